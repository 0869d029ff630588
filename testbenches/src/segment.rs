// SPDX-License-Identifier: Apache-2.0
//! Test bench of a segment's edge.

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::segment_edge::{Inputs, SegmentEdge};
use tandem_model::array::types::{
    BlockControl, Drained, EdgeTag, FLOAT_LATENCY, LaneByte, Psum, RowControl, SEGMENT_LANES, ScaleLoad,
};
use tandem_model::block::{Bits, Int, Uint, low_u16};
use tandem_model::numerics::Float36;
use tandem_model::reference::float::{self, Exact};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `segment_edge`.
#[derive(Clone, Copy, Debug)]
pub struct SegmentBench {
    /// Segments of the array that the edge belongs to.
    pub geometry: Geometry,
}

/// A few clocks of inputs. What a case does not say comes from its seeds.
#[derive(Clone, Debug)]
pub enum Op {
    /// Sums of GEMV or QK beats.
    Rows {
        /// How many.
        count: usize,
        /// MXINT8.
        int8: bool,
        /// log2 of the segments per group.
        group_log2: u16,
        /// Which segment this is.
        segment: u16,
        /// Values and control.
        seed: u64,
    },
    /// The 32 lanes of a PV tile.
    Tile {
        /// MXINT8.
        int8: bool,
        /// Part of the token.
        part: u16,
        /// Accumulate onto +0.
        first: bool,
        /// Bank.
        bank: bool,
        /// Sums; exponents.
        seed: u64,
    },
    /// Stationary scales.
    Load {
        /// Bank.
        bank: bool,
        /// Codes {hi, lo}.
        scale: (u8, u8),
    },
    /// Nothing.
    Idle(usize),
    /// Clear the flags.
    Clear,
    /// Reset for one clock.
    Reset,
}

const CORNERS: [&str; 10] = [
    "scale code 255",
    "scale code 0",
    "joined INT8 sum",
    "ripple from the left",
    "partial from the file",
    "parked result",
    "odd part to the hi chain",
    "saturated tile exponent",
    "flushed tile exponent",
    "reset between sums",
];

/// Inputs of every clock, with `None` for reset.
fn expand(geometry: Geometry, case: &[Op], coverage: &mut Coverage) -> Vec<Option<Inputs>> {
    let mut clocks: Vec<Option<Inputs>> = Vec::new();
    // Entries of {bank, part, chain} that hold something defined.
    let mut written = std::collections::HashSet::new();
    let latency = 2 + 2 * FLOAT_LATENCY;
    for op in case {
        match *op {
            Op::Rows { count, int8, group_log2, segment, seed } => {
                let mut state = seed;
                for _ in 0..count {
                    clocks.push(Some(row_sum(int8, group_log2, segment, &mut state, coverage)));
                }
            }
            Op::Tile { int8, part, first, bank, seed } => {
                let part = part
                    % if int8 {
                        2 * low_u16(geometry.chain_parts() as u64)
                    } else {
                        low_u16(geometry.chain_parts() as u64)
                    };
                let chains: &[u16] = if !int8 {
                    &[0, 1]
                } else if part % 2 == 1 {
                    &[1]
                } else {
                    &[0]
                };
                let key = |chain: u16| (bank, if int8 { part / 2 } else { part }, chain);
                let acc_first = first || chains.iter().any(|&c| !written.contains(&key(c)));
                written.extend(chains.iter().map(|&c| key(c)));
                coverage.hit_if(int8 && part % 2 == 1, CORNERS[6]);
                tile(int8, part, acc_first, bank, seed, &mut clocks, coverage);
            }
            Op::Load { bank, scale } => {
                let scale = LaneByte { hi: Uint(u16::from(scale.0)), lo: Uint(u16::from(scale.1)) };
                clocks.push(Some(Inputs {
                    scale_load_i: ScaleLoad { valid: true, bank, scale },
                    ..Inputs::default()
                }));
            }
            Op::Idle(n) => clocks.extend(std::iter::repeat_n(Some(Inputs::default()), n)),
            Op::Clear => clocks.push(Some(Inputs { clear_flags_i: true, ..Inputs::default() })),
            Op::Reset => {
                let busy = clocks.last().and_then(Option::as_ref).is_some_and(|i| i.drained_i.row_sum);
                coverage.hit_if(busy, CORNERS[9]);
                // What was on its way to the accumulators is lost.
                written.clear();
                clocks.push(None);
            }
        }
    }
    clocks.extend(std::iter::repeat_n(Some(Inputs::default()), latency));
    // What ripples in and what the partial-sum file answers is anybody's guess: any float will do.
    let mut state = 0x5EED ^ clocks.len() as u64;
    for inputs in clocks.iter_mut().flatten() {
        inputs.ripple_i = random_float(&mut state);
        inputs.partial_i = random_float(&mut state);
    }
    clocks
}

fn random_float(state: &mut u64) -> Float36 {
    let bits = split_mix(state);
    let exponent = 1950 + i32::from(low_u16(bits >> 40) % 200);
    Float36::from_fields(bits >> 63 == 1, exponent, bits & ((1 << 23) - 1))
}

/// A scale code: mostly near 127, sometimes an end of the range.
fn scale_code(bits: u64) -> Uint<8> {
    Uint(match bits % 16 {
        0 => 255,
        1 => 0,
        2 => 254,
        _ => 110 + low_u16(bits >> 8) % 34,
    })
}

fn psum(bits: u64) -> Psum {
    let bound = 122_400;
    let part = |b: u64| Int(i32::try_from(b % (2 * bound + 1)).expect("18 bits") - 122_400);
    Psum { hi: part(bits >> 32), lo: part(bits & 0xFFFF_FFFF) }
}

fn row_sum(int8: bool, group_log2: u16, segment: u16, state: &mut u64, coverage: &mut Coverage) -> Inputs {
    let bits = split_mix(state);
    let scale = LaneByte { hi: scale_code(split_mix(state)), lo: scale_code(split_mix(state)) };
    let tag = EdgeTag {
        int8,
        bank: bits >> 1 & 1 == 1,
        group_log2: Uint(group_log2),
        slot: Uint(low_u16(bits >> 2 & 63)),
        partial_in: bits >> 8 & 1 == 1,
        partial_out: bits >> 9 & 1 == 1,
        ..EdgeTag::default()
    };
    coverage.hit_if(scale.lo.0 == 255, CORNERS[0]);
    coverage.hit_if(scale.lo.0 == 0, CORNERS[1]);
    coverage.hit_if(int8, CORNERS[2]);
    let restart = segment & ((1 << group_log2) - 1) == 0;
    coverage.hit_if(!restart, CORNERS[3]);
    coverage.hit_if(restart && tag.partial_in, CORNERS[4]);
    coverage.hit_if(tag.partial_out, CORNERS[5]);
    Inputs {
        segment_i: Uint(segment),
        drained_i: Drained { row_sum: true, block_sum: false, lane: Uint(31), psum: psum(split_mix(state)) },
        row_control_i: RowControl { tag, scale },
        ..Inputs::default()
    }
}

/// Control a cycle ahead, then the lanes.
fn tile(
    int8: bool,
    part: u16,
    acc_first: bool,
    acc_bank: bool,
    seed: u64,
    clocks: &mut Vec<Option<Inputs>>,
    coverage: &mut Coverage,
) {
    let mut state = seed;
    let exponent = |bits: u64| {
        Int(match bits % 8 {
            0 => 2047,
            1 => -2048,
            2 => i32::from(low_u16(bits >> 8) % 4096) - 2048,
            _ => i32::from(low_u16(bits >> 8) % 64) - 40,
        })
    };
    let exponents = [exponent(split_mix(&mut state)), exponent(split_mix(&mut state))];
    coverage.hit_if(exponents[0].0 > 2030, CORNERS[7]);
    coverage.hit_if(exponents[0].0 < -2040, CORNERS[8]);
    let tag = EdgeTag { int8, part: Uint(part), acc_first, acc_bank, ..EdgeTag::default() };
    clocks.push(Some(Inputs {
        block_control_i: BlockControl { last: true, tag },
        tile_exponent_i: exponents,
        ..Inputs::default()
    }));
    for lane in 0..SEGMENT_LANES {
        let psum = psum(split_mix(&mut state));
        clocks.push(Some(Inputs {
            drained_i: Drained { row_sum: false, block_sum: true, lane: Uint(low_u16(lane as u64)), psum },
            ..Inputs::default()
        }));
    }
}

impl SegmentBench {
    /// Results of GEMV and QK sums against the reference: two additions, lo then hi.
    fn check(
        &self,
        clocks: &[Option<Inputs>],
        at: usize,
        stationary: [LaneByte; 2],
        got: Float36,
    ) -> Result<(), DutError> {
        let Some(Some(inputs)) = clocks.get(at) else { return Ok(()) };
        let RowControl { tag, scale } = inputs.row_control_i;
        let held = stationary[usize::from(tag.bank)];
        let block = |n: i64, w: Uint<8>, x: Uint<8>| {
            let nan = w.0 == 255 || x.0 == 255;
            let constant = if tag.int8 { -12 } else { -7 };
            let exponent = i32::from(w.0) - 127 + i32::from(x.0) - 127 + constant;
            if nan { Float36::ZERO } else { Exact::new(n, exponent).round().value }
        };
        let (lo, hi) = (i64::from(inputs.drained_i.psum.lo.0), i64::from(inputs.drained_i.psum.hi.0));
        let blocks = if tag.int8 {
            [block(lo + 16 * hi, scale.lo, held.lo), Float36::ZERO]
        } else {
            [block(lo, scale.lo, held.lo), block(hi, scale.hi, held.hi)]
        };
        // The lo adder looks to the left two clocks after the sum drained.
        let start = clocks.get(at + 2).and_then(Option::as_ref);
        let start = start.map_or(Float36::ZERO, |i| {
            let restart = inputs.segment_i.0 & ((1 << tag.group_log2.0) - 1) == 0;
            match (restart, tag.partial_in) {
                (false, _) => i.ripple_i,
                (true, true) => i.partial_i,
                (true, false) => Float36::ZERO,
            }
        });
        let want = float::sum_from(start, blocks).value;
        if want == got {
            return Ok(());
        }
        Err(WrongAnswer(format!("sum of clock {at} ({tag:?}): expected {want:?}, got {got:?}")).into())
    }
}

impl Bench for SegmentBench {
    type Block = SegmentEdge;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let code = || prop_oneof![8 => 110..144u8, 1 => Just(255), 1 => Just(0), 1 => any::<u8>()];
        let op = prop_oneof![
            6 => (1..60usize, any::<bool>(), 0..=2u16, 0..4u16, any::<u64>())
                .prop_map(|(count, int8, group_log2, segment, seed)| Op::Rows { count, int8, group_log2, segment, seed }),
            4 => (any::<bool>(), 0..4u16, any::<bool>(), any::<bool>(), any::<u64>())
                .prop_map(|(int8, part, first, bank, seed)| Op::Tile { int8, part, first, bank, seed }),
            3 => (any::<bool>(), (code(), code())).prop_map(|(bank, scale)| Op::Load { bank, scale }),
            1 => (1..20usize).prop_map(Op::Idle),
            1 => Just(Op::Clear),
            1 => Just(Op::Reset),
        ];
        vec(op, 1..40).boxed()
    }

    fn model(&self) -> SegmentEdge {
        SegmentEdge::new(self.geometry)
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<SegmentEdge>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let clocks = expand(self.geometry, case, coverage);
        dut.clock(false, &mut Inputs::default())?;
        // Stationary scales as each sum found them; sums that a reset has not wiped out.
        let mut stationary = [LaneByte::from_bits(0); 2];
        let mut pending: Vec<Option<[LaneByte; 2]>> = vec![None; clocks.len()];
        let latency = 1 + 2 * FLOAT_LATENCY + 1;
        for (at, inputs) in clocks.iter().enumerate() {
            match inputs {
                None => {
                    dut.clock(false, &mut Inputs::default())?;
                    stationary = [LaneByte::default(); 2];
                    pending[at.saturating_sub(latency)..at].fill(None);
                }
                Some(inputs) => {
                    dut.clock(true, &mut inputs.clone())?;
                    if inputs.drained_i.row_sum {
                        pending[at] = Some(stationary);
                    }
                    if inputs.scale_load_i.valid {
                        stationary[usize::from(inputs.scale_load_i.bank)] = inputs.scale_load_i.scale;
                    }
                }
            }
            // After this clock the sum of `latency - 1` clocks ago is on the ports.
            if let Some(sum) = (at + 1).checked_sub(latency)
                && let Some(held) = pending[sum]
            {
                self.check(&clocks, sum, held, dut.outputs().ripple_o)?;
            }
        }
        coverage.add_cycles(clocks.len() as u64);
        Ok(())
    }
}
