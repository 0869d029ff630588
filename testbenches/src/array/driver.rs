// SPDX-License-Identifier: Apache-2.0
//! Drives a systolic array beat by beat: skews the p wires, keeps the schedule's rules, collects results.

use std::collections::VecDeque;

use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::{Inputs, SystolicArray};
use tandem_model::array::types::{AccRead, Beat, FLOAT_LATENCY, LaneByte, Mode, PSUM_SLOTS, SEGMENT_LANES};
use tandem_model::block::{Block, Int, Uint};
use tandem_model::numerics::Float36;

use crate::dut::{Dut, DutError};

/// Slots between a PV tile's last beat and the previous GEMV or QK beat or tile end (docs/blocks/systolic_array.md).
pub const TILE_SPACING: u64 = 32;

/// What enters the array in one cycle, before any skew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Slot {
    /// Control.
    pub beat: Beat,
    /// One byte per lane; empty for a bubble.
    pub elements: Vec<u8>,
    /// Scales per segment; empty for none.
    pub scales: Vec<LaneByte>,
    /// `[row][segment]`: p or stationary operands; empty for none.
    pub p: Vec<LaneByte>,
    /// `[row][segment][lo, hi]`: exponents, with a PV tile's last beat; empty for none.
    pub tile_exponents: Vec<[Int<12>; 2]>,
}

/// A result that left the array.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Emitted {
    /// Clock after which it was on the port, counted as the slots are.
    pub cycle: u64,
    /// Row.
    pub row: usize,
    /// Segment: the last of its group.
    pub segment: usize,
    /// The slot that the beat named.
    pub slot: u16,
    /// The value.
    pub value: Float36,
}

/// A breach of the schedule's rules by the caller.
#[derive(Debug)]
pub struct RuleBroken(String);

impl std::fmt::Display for RuleBroken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "schedule rule broken: {}", self.0)
    }
}

impl std::error::Error for RuleBroken {}

/// Random bubbles between slots, as a memory that is late would cause them.
#[derive(Clone, Debug)]
pub struct Stalls {
    state: u64,
}

impl Stalls {
    /// About one bubble in eight slots, in bursts, from a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x9E37_79B9_7F4A_7C15 }
    }

    fn next(&mut self) -> u64 {
        crate::random::split_mix(&mut self.state)
    }

    /// Bubbles to insert now.
    fn bubbles(&mut self) -> u64 {
        match self.next() % 32 {
            0 => 1 + self.next() % 12,
            1 | 2 => 1,
            _ => 0,
        }
    }
}

/// Driver of a systolic array.
pub struct ArrayDriver<'a> {
    geometry: Geometry,
    dut: &'a mut dyn Dut<SystolicArray>,
    inputs: Inputs,
    past: VecDeque<Slot>,
    now: u64,
    stalls: Option<Stalls>,
    last_row_sum: Option<u64>,
    last_tile_end: Option<u64>,
    tile_open: bool,
    parked: Vec<Option<u64>>,
    last_use: [Option<u64>; 2],
    last_load: [Option<u64>; 2],
    emitted: Vec<Emitted>,
}

impl<'a> ArrayDriver<'a> {
    /// A driver that has held reset for two clocks.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn new(geometry: Geometry, dut: &'a mut dyn Dut<SystolicArray>) -> Result<Self, DutError> {
        let mut driver = Self {
            geometry,
            dut,
            inputs: SystolicArray::new(geometry).idle_inputs(),
            past: VecDeque::new(),
            now: 0,
            stalls: None,
            last_row_sum: None,
            last_tile_end: None,
            tile_open: false,
            parked: vec![None; PSUM_SLOTS],
            last_use: [None; 2],
            last_load: [None; 2],
            emitted: Vec::new(),
        };
        driver.reset()?;
        Ok(driver)
    }

    /// Inserts random bubbles from now on.
    pub fn stall(&mut self, stalls: Stalls) {
        self.stalls = Some(stalls);
    }

    /// The array's geometry.
    #[must_use]
    pub fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Clocks since the driver was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Takes what left the array since the last call.
    pub fn take_emitted(&mut self) -> Vec<Emitted> {
        std::mem::take(&mut self.emitted)
    }

    /// Holds reset for two clocks: everything in flight is lost, memories keep their contents.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn reset(&mut self) -> Result<(), DutError> {
        for _ in 0..2 {
            self.inputs = SystolicArray::new(self.geometry).idle_inputs();
            self.dut.clock(false, &mut self.inputs)?;
            self.now += 1;
        }
        self.past = (0..self.depth()).map(|_| Slot::default()).collect();
        (self.last_row_sum, self.last_tile_end, self.tile_open) = (None, None, false);
        (self.last_use, self.last_load) = ([None; 2], [None; 2]);
        self.parked.fill(None);
        Ok(())
    }

    /// Slots that the p wires and exponents of the last row and segment look back.
    fn depth(&self) -> usize {
        self.geometry.rows + 2 * FLOAT_LATENCY * (self.geometry.segments - 1) + 3
    }

    /// One bubble.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn bubble(&mut self) -> Result<(), DutError> {
        self.clock(Slot::default(), AccRead::default(), false)
    }

    /// Bubbles until everything in flight has left the array and has been checked.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn drain(&mut self) -> Result<(), DutError> {
        let cycles = SystolicArray::result_latency(self.geometry) + self.geometry.rows + 1;
        (0..cycles).try_for_each(|_| self.bubble())?;
        self.dut.settle()
    }

    /// Clears the sticky flags.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn clear_flags(&mut self) -> Result<(), DutError> {
        self.clock(Slot::default(), AccRead::default(), true)
    }

    /// Reads one accumulator of every row. Only entries that have been written hold anything defined.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn read_accumulator(&mut self, read: AccRead) -> Result<Vec<Float36>, DutError> {
        self.clock(Slot::default(), AccRead { valid: true, ..read }, false)?;
        Ok(self.dut.outputs().acc_data_o)
    }

    /// Sticky flags per row: (`nan_scale`, saturated).
    #[must_use]
    pub fn flags(&self) -> Vec<(bool, bool)> {
        self.dut.outputs().flags_o.iter().map(|f| (f.nan_scale, f.saturated)).collect()
    }

    /// Feeds a slot as soon as the schedule's rules allow, with bubbles before it where they do not (or where a stall comes).
    ///
    /// # Errors
    /// When the device finds something wrong, or no number of bubbles would make the slot legal.
    pub fn issue(&mut self, slot: Slot) -> Result<(), DutError> {
        if let Some(stalls) = &mut self.stalls {
            let bubbles = stalls.bubbles();
            (0..bubbles).try_for_each(|_| self.bubble())?;
        }
        while self.now < self.earliest(&slot)? {
            self.bubble()?;
        }
        self.account(&slot);
        self.clock(slot, AccRead::default(), false)
    }

    /// First cycle in which the slot is legal.
    fn earliest(&self, slot: &Slot) -> Result<u64, RuleBroken> {
        let after = |event: Option<u64>, distance: u64| event.map_or(0, |e| e + distance);
        let Beat { pe, segment } = slot.beat;
        let mut earliest = 0;
        if pe.mode.is_row_sum() {
            if self.tile_open {
                return Err(RuleBroken("a GEMV or QK beat inside an open V tile".to_owned()));
            }
            if segment.partial_in {
                let parked = self.parked[usize::from(segment.slot.0)];
                let parked =
                    parked.ok_or_else(|| RuleBroken(format!("slot {} was never parked", segment.slot.0)))?;
                let spacing = self.geometry.adders() * FLOAT_LATENCY + 1;
                earliest = earliest.max(parked + spacing as u64);
            }
            earliest = earliest.max(after(self.last_load[usize::from(pe.bank)], 1));
        }
        if pe.mode == Mode::Pv && pe.last {
            earliest = earliest
                .max(after(self.last_row_sum, TILE_SPACING))
                .max(after(self.last_tile_end, TILE_SPACING));
        }
        if pe.load {
            earliest = earliest.max(after(self.last_use[usize::from(pe.load_bank)], 1));
            if pe.mode == Mode::Pv {
                return Err(RuleBroken("a load beside a PV beat: both want the p wires".to_owned()));
            }
            if pe.mode.is_row_sum() && pe.load_bank == pe.bank {
                return Err(RuleBroken("a load into the bank that its own beat uses".to_owned()));
            }
        }
        Ok(earliest)
    }

    fn account(&mut self, slot: &Slot) {
        let Beat { pe, segment } = slot.beat;
        if pe.mode.is_row_sum() {
            self.last_row_sum = Some(self.now);
            self.last_use[usize::from(pe.bank)] = Some(self.now);
            if segment.partial_out {
                self.parked[usize::from(segment.slot.0)] = Some(self.now);
            }
        }
        if pe.mode == Mode::Pv {
            self.tile_open = !pe.last;
            if pe.last {
                self.last_tile_end = Some(self.now);
            }
        }
        if pe.load {
            self.last_load[usize::from(pe.load_bank)] = Some(self.now);
        }
    }

    /// One clock.
    fn clock(&mut self, slot: Slot, acc_read: AccRead, clear_flags: bool) -> Result<(), DutError> {
        let Geometry { rows, segments, .. } = self.geometry;
        self.past.pop_back();
        self.past.push_front(slot);
        let now = &self.past[0];
        let inputs = &mut self.inputs;
        inputs.beat_i = now.beat;
        inputs.acc_read_i = acc_read;
        inputs.clear_flags_i = clear_flags;
        for lane in 0..segments * SEGMENT_LANES {
            inputs.elements_i[lane] = Uint(now.elements.get(lane).copied().map_or(0, u16::from));
        }
        for s in 0..segments {
            inputs.scales_i[s] = now.scales.get(s).copied().unwrap_or_default();
        }
        for r in 0..rows {
            for s in 0..segments {
                let (at, skew) = (r * segments + s, r + 2 * FLOAT_LATENCY * s);
                inputs.p_i[at] = self.past[skew].p.get(at).copied().unwrap_or_default();
                let exponents = self.past[skew + 2].tile_exponents.get(at).copied().unwrap_or_default();
                inputs.tile_exponent_i[2 * at..2 * at + 2].copy_from_slice(&exponents);
            }
        }
        self.dut.clock(true, &mut self.inputs)?;
        self.now += 1;
        for (at, result) in self.dut.outputs().result_o.iter().enumerate().filter(|(_, r)| r.valid) {
            let (row, segment) = (at / segments, at % segments);
            self.emitted.push(Emitted {
                cycle: self.now,
                row,
                segment,
                slot: result.slot.0,
                value: result.value,
            });
        }
        Ok(())
    }
}
