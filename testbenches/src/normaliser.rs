// SPDX-License-Identifier: Apache-2.0
//! Test bench of the normaliser. It plays the softmax (sums of tiles) and the array (accumulators).

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::{AccRead, FLOAT_LATENCY, SEGMENT_LANES};
use tandem_model::attention::normaliser::{Inputs, Normaliser, Outputs};
use tandem_model::attention::types::{Attended, HeadEnd, NormaliserFlags, TileSum};
use tandem_model::block::{Block, Int, Uint, low_u16};
use tandem_model::numerics::Float36;
use tandem_model::reference::{divide, float};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `normaliser`.
#[derive(Clone, Copy, Debug)]
pub struct NormaliserBench {
    /// Rows and segments.
    pub geometry: Geometry,
}

/// A head.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// MXINT8.
    pub int8: bool,
    /// Head of 128.
    pub wide: bool,
    /// Tiles.
    pub tiles: u64,
    /// Rows in use, one bit each.
    pub rows: u16,
    /// Cycles after its end in which there is no room.
    pub late: u64,
    /// Sums and accumulators.
    pub seed: u64,
}

/// What happens. A head follows the one before at once, unless its bank is taken.
#[derive(Clone, Debug)]
pub enum Op {
    /// A head.
    Head(Head),
    /// Nothing new for so many clocks.
    Idle(u64),
    /// Clear the flags.
    Clear,
    /// Reset for one clock.
    Reset,
}

const CORNERS: [&str; 16] = [
    "overflow",
    "flushed result",
    "rounded up to the smallest normal",
    "rounding tie",
    "denominator is a power of two",
    "empty row",
    "unused row",
    "FP4",
    "INT8",
    "head of 128",
    "two heads pending",
    "room comes late",
    "reset with a head under way",
    "reads begin before the results of the head before have ended",
    "read waits for the denominators of the next head",
    // Only where a beat holds two groups.
    "grouped head",
];

/// Row 0's sum of a tile comes so many cycles after the tile's last beat was issued.
const SUM_DELAY: u64 = 14;
/// Cycles from a read to its result.
const RESULT_DELAY: u64 = 7;
/// Cycles from the last denominator of a head to its first read.
const READY_DELAY: u64 = 20;
/// A head that takes longer than this never ends.
const PATIENCE: u64 = 2000;
/// Cycles between the ends of two tiles.
const TILE: u64 = 32;

/// A head on its way, with everything that its results depend on.
#[derive(Clone, Debug)]
struct Live {
    head: Head,
    end: HeadEnd,
    /// Cycle of `head_end_i`.
    ends_at: u64,
    /// Reads so far.
    reads: u64,
    /// Cycle of the first.
    read_from: u64,
    /// `[row][tile][segment]`.
    sums: Vec<Vec<Vec<TileSum>>>,
    /// Denominators over all groups.
    totals: Vec<Float36>,
    /// Their reciprocals; `None` of 0.
    inverses: Vec<Option<Float36>>,
}

fn pick(seed: u64, words: &[u64]) -> u64 {
    let mut state = words.iter().fold(seed, |so_far, &word| {
        let mut state = so_far ^ word.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        split_mix(&mut state)
    });
    split_mix(&mut state)
}

impl Live {
    fn new(geometry: Geometry, head: Head, context: u16, acc_bank: bool, starts_at: u64) -> Self {
        let end = HeadEnd { valid: true, head: Uint(context), int8: head.int8, wide: head.wide, acc_bank };
        let mut state = head.seed;
        let mut sums = Vec::new();
        for _ in 0..geometry.rows {
            let flavour = split_mix(&mut state) % 8;
            let center = match split_mix(&mut state) % 3 {
                0 => i32::from(low_u16(split_mix(&mut state)) % 2160) - 1090,
                _ => i32::from(low_u16(split_mix(&mut state)) % 40) - 20,
            };
            let mut sum = |tile: u64| {
                let bits = split_mix(&mut state);
                let number = match flavour {
                    0 => 0,
                    1 => 1 << (bits % 13),
                    2 if tile % 2 == 1 => 0,
                    _ => low_u16(bits) % 8161,
                };
                let exponent = center + i32::from(low_u16(bits >> 16) % 12);
                let acc_first = tile == 0;
                TileSum { valid: true, acc_first, acc_bank, number: Uint(number), exponent: Int(exponent) }
            };
            sums.push(
                (0..head.tiles).map(|t| (0..geometry.segments).map(|_| sum(t)).collect()).collect::<Vec<_>>(),
            );
        }
        let mut live = Self {
            head,
            end,
            ends_at: starts_at + TILE * (head.tiles - 1),
            reads: 0,
            read_from: 0,
            sums,
            totals: Vec::new(),
            inverses: Vec::new(),
        };
        live.totals = (0..geometry.rows).map(|row| live.total(geometry, row)).collect();
        live.inverses = live.totals.iter().map(|&total| divide::reciprocal(total)).collect();
        live
    }

    /// Two groups, one in each segment.
    fn grouped(&self, geometry: Geometry) -> bool {
        geometry.segments == 2 && !self.head.int8 && !self.head.wide
    }

    /// Reads that the head takes.
    fn all_reads(&self, geometry: Geometry) -> u64 {
        if self.head.wide || self.grouped(geometry) { 128 } else { 64 }
    }

    /// Its end has come, its first read has not.
    fn waits(&self, cycle: u64) -> bool {
        self.ends_at < cycle && self.reads == 0
    }

    fn uses(&self, row: usize) -> bool {
        self.head.rows >> row & 1 == 1
    }

    fn empty(&self, row: usize) -> bool {
        self.uses(row) && self.totals[row].is_zero()
    }

    fn total(&self, geometry: Geometry, row: usize) -> Float36 {
        let denominator = |segment: usize| {
            let sums = self.sums[row].iter().map(|tile| tile[segment]);
            let floats = sums.map(|s| float::Exact::new(s.number.0, s.exponent.0).round().value);
            float::sum(floats).value
        };
        if self.grouped(geometry) { float::add(denominator(0), denominator(1)).value } else { denominator(0) }
    }

    /// What an accumulator holds: values around the ends of binary32's range, ties and carries among others.
    fn accumulator(&self, row: usize, segment: u16, chain: bool, index: u16) -> Float36 {
        let place = [row as u64, u64::from(segment), u64::from(chain), u64::from(index)];
        let bits = pick(self.head.seed, &place);
        let near = i32::from(low_u16(bits >> 24) % 4);
        let target = match bits % 8 {
            0 | 1 => 125 + near,
            2 | 3 => near - 128,
            4 => i32::from(low_u16(bits >> 32) % 600) - 300,
            _ => i32::from(low_u16(bits >> 32) % 20) - 10,
        };
        let total = self.totals[row];
        let inverse = self.inverses[row].map_or(1 << 23, Float36::significand);
        let fraction = match bits >> 8 & 7 {
            0 => 0,
            1 => (1 << 23) - 1,
            // A tie with every reciprocal whose significand is odd.
            2 => 1 << 22,
            // The product lies just below a power of two.
            3 | 4 => (((1u64 << 47) - 1) / inverse).clamp(1 << 23, (1 << 24) - 1) - (1 << 23),
            _ => bits >> 41,
        };
        let base = if total.is_zero() { 2048 } else { total.exponent() };
        let second = segment == 1 && bits >> 11 & 3 != 0;
        if bits >> 13 & 7 == 0 || second {
            return Float36::ZERO;
        }
        Float36::from_fields(bits >> 16 & 1 == 1, (base + target).clamp(1, 4095), fraction & ((1 << 23) - 1))
    }

    /// Results in their order: where the array puts block b of a head, by docs/blocks/segment_edge.md.
    fn results(&self, geometry: Geometry, coverage: &mut Coverage) -> Vec<Expected> {
        let blocks = if self.head.wide { 4 } else { 2 };
        let segments = geometry.segments;
        let mut expected = Vec::new();
        for block in 0..blocks {
            let (segment, chain, part) = if self.grouped(geometry) {
                (0, block == 1, 0)
            } else if self.head.int8 {
                let part = block / segments;
                (block % segments, part % 2 == 1, part / 2)
            } else {
                (block / 2 % segments, block % 2 == 1, block / (2 * segments))
            };
            for lane in 0..SEGMENT_LANES {
                let index = low_u16((SEGMENT_LANES * part + lane) as u64);
                let read =
                    |row: usize, segment: usize| self.accumulator(row, low_u16(segment as u64), chain, index);
                let values = (0..geometry.rows).map(|row| {
                    if !self.uses(row) {
                        return (0, false);
                    }
                    let mut numerator = read(row, segment);
                    if self.grouped(geometry) {
                        numerator = float::add(numerator, read(row, 1)).value;
                    }
                    let value = divide::scaled(numerator, self.inverses[row]);
                    if let Some(inverse) = self.inverses[row] {
                        note(numerator, inverse, value, coverage);
                    }
                    value
                });
                let values = values.collect();
                let attended = Attended {
                    valid: true,
                    last: block == blocks - 1 && lane == SEGMENT_LANES - 1,
                    head: self.end.head,
                    block: Uint(low_u16(block as u64)),
                    lane: Uint(low_u16(lane as u64)),
                };
                expected.push(Expected { attended, values });
            }
        }
        expected
    }
}

/// Corners of one division.
fn note(numerator: Float36, inverse: Float36, (bits, overflow): (u32, bool), coverage: &mut Coverage) {
    coverage.hit_if(inverse.fraction() == 0, CORNERS[4]);
    if numerator.is_zero() {
        return;
    }
    let product = numerator.significand() * inverse.significand();
    let kept = if product >> 47 == 1 { 24 } else { 23 };
    coverage.hit_if(product & ((1 << kept) - 1) == 1 << (kept - 1), CORNERS[3]);
    coverage.hit_if(overflow, CORNERS[0]);
    coverage.hit_if(bits == 0, CORNERS[1]);
    let below = numerator.exponent() + inverse.exponent() + i32::from(kept == 24) < 4096 - 126;
    coverage.hit_if(bits & 0x7FFF_FFFF == 0x0080_0000 && below, CORNERS[2]);
}

/// Results of one cycle.
#[derive(Clone, Debug)]
struct Expected {
    attended: Attended,
    /// Bits and overflow of every row.
    values: Vec<(u32, bool)>,
}

/// The run of one case.
struct Run<'a> {
    geometry: Geometry,
    dut: &'a mut dyn Dut<Normaliser>,
    coverage: &'a mut Coverage,
    idle: Inputs,
    cycle: u64,
    noise: u64,
    /// By bank.
    live: [Option<Live>; 2],
    expected: VecDeque<Expected>,
    /// Cycles of the results whose accumulators have been read.
    due: VecDeque<u64>,
    /// First and last read of the head before.
    read_before: (u64, u64),
    /// Ends in this cycle.
    done: HeadEnd,
    /// `acc_read_o` of this cycle.
    asked: AccRead,
    /// `acc_read_o` of the cycle before.
    answered: AccRead,
    room_from: u64,
    /// In the cycle before, and in the one before that.
    had_room: [bool; 2],
    cleared_at: u64,
    flags: Vec<NormaliserFlags>,
    /// Rows whose result of this cycle overflows.
    overflows: Vec<bool>,
}

impl Run<'_> {
    fn wrong(&self, what: &str) -> DutError {
        WrongAnswer(format!("cycle {}: {what}", self.cycle)).into()
    }

    fn reset(&mut self) -> Result<(), DutError> {
        self.coverage.hit_if(self.busy(), CORNERS[12]);
        self.dut.clock(false, &mut self.idle.clone())?;
        self.cycle += 1;
        self.live = [None, None];
        self.expected.clear();
        self.due.clear();
        self.done = HeadEnd::default();
        self.asked = AccRead::default();
        self.answered = AccRead::default();
        self.flags.fill(NormaliserFlags::default());
        self.overflows.fill(false);
        Ok(())
    }

    fn busy(&self) -> bool {
        self.live.iter().any(Option::is_some)
    }

    /// {bank, entry} of the accumulator that is read.
    fn place(&self, read: AccRead) -> (usize, u16) {
        let entry_bits = if self.geometry.chain_parts() == 1 { 5 } else { 6 };
        let address = read.address.0;
        (usize::from(address >> entry_bits), address & ((1 << entry_bits) - 1))
    }

    fn inputs(&mut self, clear: bool) -> Result<Inputs, DutError> {
        let mut inputs = self.idle.clone();
        inputs.clear_flags_i = clear;
        let (bank, entry) = self.place(self.answered);
        for row in 0..self.geometry.rows {
            // What nobody asked for may be anything.
            let bits = split_mix(&mut self.noise);
            inputs.rows_i[row] = bits >> 62 & 1 == 1;
            inputs.acc_data_i[row] = if self.answered.valid {
                let live = self.live.get(bank).and_then(Option::as_ref);
                let live = live.ok_or_else(|| self.wrong("reads a bank without a head"))?;
                live.accumulator(row, self.answered.segment.0, self.answered.chain, entry)
            } else {
                Float36::from_fields(bits >> 63 == 1, 2048, bits & ((1 << 23) - 1))
            };
        }
        for live in self.live.iter().flatten() {
            if live.ends_at == self.cycle {
                inputs.head_end_i = live.end;
                inputs.rows_i = (0..self.geometry.rows).map(|row| live.uses(row)).collect();
                self.room_from = self.room_from.max(self.cycle + live.head.late);
            }
            let first = live.ends_at + SUM_DELAY - TILE * (live.head.tiles - 1);
            for (row, tiles) in live.sums.iter().enumerate() {
                for (tile, sums) in tiles.iter().enumerate() {
                    for (segment, sum) in sums.iter().enumerate() {
                        let skew = row + 2 * FLOAT_LATENCY * segment;
                        if first + TILE * tile as u64 + skew as u64 == self.cycle {
                            inputs.tile_sum_i[row * self.geometry.segments + segment] = *sum;
                        }
                    }
                }
            }
        }
        // Once reads have begun, room is nobody's business, unless another head waits for them to end.
        let waits = self.live.iter().flatten().any(|live| live.waits(self.cycle + 1));
        inputs.out_ready_i =
            if waits { self.cycle >= self.room_from } else { split_mix(&mut self.noise) & 1 == 1 };
        Ok(inputs)
    }

    /// One clock.
    fn clock(&mut self, clear: bool) -> Result<(), DutError> {
        let mut inputs = self.inputs(clear)?;
        self.had_room = [inputs.out_ready_i, self.had_room[0]];
        if clear {
            self.cleared_at = self.cycle;
        }
        self.dut.clock(true, &mut inputs)?;
        self.cycle += 1;
        let outputs = self.dut.outputs();
        self.check_flags(clear, &outputs)?;
        self.answered = self.asked;
        self.asked = outputs.acc_read_o;
        if self.asked.valid {
            self.check_read()?;
        }
        self.check_results(&outputs)
    }

    fn check_flags(&mut self, clear: bool, outputs: &Outputs) -> Result<(), DutError> {
        for (row, flags) in outputs.flags_o.iter().enumerate() {
            let kept = if clear { NormaliserFlags::default() } else { self.flags[row] };
            // It is raised somewhere between the end of its head and the first read.
            let may = self.live.iter().flatten().any(|live| live.empty(row) && live.ends_at < self.cycle);
            if flags.empty != kept.empty && !(flags.empty && may) {
                return Err(self.wrong(&format!("row {row}: `empty` is {}", flags.empty)));
            }
            if flags.overflow != (kept.overflow || self.overflows[row]) {
                return Err(self.wrong(&format!("row {row}: `overflow` is {}", flags.overflow)));
            }
        }
        self.flags.clone_from(&outputs.flags_o);
        Ok(())
    }

    fn check_read(&mut self) -> Result<(), DutError> {
        let (bank, _) = self.place(self.asked);
        let Some(mut live) = self.live.get_mut(bank).and_then(Option::take) else {
            return Err(self.wrong("reads a bank without a head"));
        };
        let others: Vec<_> = self.live.iter().flatten().collect();
        if live.reads == 0 {
            live.read_from = self.cycle;
            let Geometry { rows, segments, .. } = self.geometry;
            if self.cycle < live.ends_at + 25 + (rows + 8 * (segments - 1)) as u64 {
                return Err(self.wrong("reads an accumulator before it is final"));
            }
            // The first read itself may wait.
            let waited = others.iter().any(|other| other.waits(self.cycle)) && self.had_room[1];
            if !self.had_room[0] && !waited {
                return Err(self.wrong("reads without room for the results"));
            }
            let ready = live.ends_at + Normaliser::wait(self.geometry) as u64 + READY_DELAY;
            let (first, last) = self.read_before;
            let latest = ready.max(first + READY_DELAY + 1).max(last + 1).max(self.room_from + 1);
            if self.cycle > latest + 1 {
                return Err(self.wrong(&format!("first read should be not later than in {}", latest + 1)));
            }
            self.coverage.hit_if(!self.due.is_empty(), CORNERS[13]);
            for row in 0..rows {
                self.coverage.hit_if(live.empty(row), CORNERS[5]);
                self.coverage.hit_if(!live.uses(row), CORNERS[6]);
                if live.empty(row) && !self.flags[row].empty && self.cleared_at < live.ends_at {
                    return Err(self.wrong(&format!("empty row {row} raised no flag")));
                }
            }
            self.coverage.hit(if live.head.int8 { CORNERS[8] } else { CORNERS[7] });
            self.coverage.hit_if(live.head.wide, CORNERS[9]);
            self.coverage.hit_if(others.iter().any(|other| other.ends_at < self.cycle), CORNERS[10]);
            self.coverage.hit_if(live.head.late > 0, CORNERS[11]);
            self.coverage.hit_if(live.grouped(self.geometry), CORNERS[15]);
            self.expected.extend(live.results(self.geometry, self.coverage));
        }
        let waited = self.cycle - live.read_from - live.reads;
        self.coverage.hit_if(waited == 1, CORNERS[14]);
        live.reads += 1;
        if live.reads > live.all_reads(self.geometry) || waited > 1 {
            return Err(self.wrong(&format!("read {} of a head, {waited} cycles late", live.reads)));
        }
        // Of two groups the second one's read gives the result.
        if !live.grouped(self.geometry) || live.reads % 2 == 0 {
            self.due.push_back(self.cycle + RESULT_DELAY);
        }
        self.read_before = (live.read_from, self.cycle);
        self.live[bank] = Some(live);
        Ok(())
    }

    fn check_results(&mut self, outputs: &Outputs) -> Result<(), DutError> {
        if outputs.head_done_o != self.done {
            return Err(self.wrong(&format!("expected {:?}, got {:?}", self.done, outputs.head_done_o)));
        }
        if self.done.valid {
            self.live[usize::from(self.done.acc_bank)] = None;
        }
        self.done = HeadEnd::default();
        self.overflows.fill(false);
        let is_due = self.due.front() == Some(&self.cycle);
        let due = if is_due {
            self.due.pop_front();
            self.expected.pop_front()
        } else {
            None
        };
        let attended = due.as_ref().map_or_else(Attended::default, |due| due.attended);
        if attended.valid != outputs.attended_o.valid || (attended.valid && attended != outputs.attended_o) {
            return Err(self.wrong(&format!("expected {attended:?}, got {:?}", outputs.attended_o)));
        }
        for (row, &(want, overflow)) in due.iter().flat_map(|due| &due.values).enumerate() {
            let got = outputs.values_o[row].0;
            if got != u64::from(want) {
                return Err(
                    self.wrong(&format!("{attended:?}, row {row}: expected {want:08x}, got {got:08x}"))
                );
            }
            self.overflows[row] = overflow;
        }
        if attended.last {
            let ended = self.live.iter().flatten().find(|live| live.end.head == attended.head);
            self.done = ended.map_or_else(HeadEnd::default, |live| live.end);
        }
        Ok(())
    }

    /// Clocks until `ready`.
    fn until(&mut self, ready: impl Fn(&Self) -> bool) -> Result<(), DutError> {
        let begin = self.cycle;
        while !ready(self) {
            if self.cycle > begin + PATIENCE {
                return Err(self.wrong("a head never ends"));
            }
            self.clock(false)?;
        }
        Ok(())
    }
}

impl Bench for NormaliserBench {
    type Block = Normaliser;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        if self.geometry.segments == 2 { &CORNERS } else { &CORNERS[..15] }
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let rows = prop_oneof![3 => Just(u16::MAX), 1 => any::<u16>()];
        let late = prop_oneof![3 => Just(0u64), 1 => 60..200u64];
        let head = (any::<bool>(), any::<bool>(), 1..4u64, rows, late, any::<u64>())
            .prop_map(|(int8, wide, tiles, rows, late, seed)| Head { int8, wide, tiles, rows, late, seed });
        let op = prop_oneof![
            6 => head.prop_map(Op::Head),
            1 => (1..200u64).prop_map(Op::Idle),
            1 => Just(Op::Clear),
            1 => Just(Op::Reset),
        ];
        vec(op, 1..8).boxed()
    }

    fn model(&self) -> Normaliser {
        Normaliser::new(self.geometry)
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<Normaliser>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut run = Run {
            geometry: self.geometry,
            dut,
            coverage,
            idle: self.model().idle_inputs(),
            cycle: 0,
            noise: 1,
            live: [None, None],
            expected: VecDeque::new(),
            due: VecDeque::new(),
            read_before: (0, 0),
            done: HeadEnd::default(),
            asked: AccRead::default(),
            answered: AccRead::default(),
            room_from: 0,
            had_room: [false; 2],
            cleared_at: 0,
            flags: vec![NormaliserFlags::default(); self.geometry.rows],
            overflows: vec![false; self.geometry.rows],
        };
        run.reset()?;
        let (mut bank, mut context, mut start) = (false, 0, 0);
        for op in case {
            match *op {
                Op::Head(head) => {
                    run.until(|run| run.cycle >= start && run.live[usize::from(bank)].is_none())?;
                    let live = Live::new(self.geometry, head, context, bank, run.cycle);
                    start = run.cycle + TILE * head.tiles;
                    run.live[usize::from(bank)] = Some(live);
                    bank = !bank;
                    context = (context + 1) % 4;
                }
                Op::Idle(cycles) => {
                    for _ in 0..cycles {
                        run.clock(false)?;
                    }
                }
                Op::Clear => run.clock(true)?,
                Op::Reset => run.reset()?,
            }
        }
        run.until(|run| !run.busy())?;
        run.clock(false)?;
        let cycles = run.cycle;
        coverage.add_cycles(cycles);
        Ok(())
    }
}
