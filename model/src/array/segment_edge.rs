// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/segment_edge.sv`.

use super::float_add::FloatAdd;
use super::float_file::FloatFile;
use super::int_to_float::int_to_float;
use super::types::{
    BlockControl, BlockSum, Drained, EdgeTag, FLOAT_LATENCY, Flags, Geometry, LaneByte, ResultOut,
    RowControl, ScaleCode, ScaleLoad,
};
use crate::block::{Block, Int, Uint, Visit, Visitor};
use crate::common::DelayLine;
use crate::numerics::Float36;
use crate::packed_struct;

packed_struct! {
    /// Control of one block sum on its way through the edge.
    struct EdgeControl {
        row_sum: bool,
        block_lo: bool,
        block_hi: bool,
        restart: bool,
        finish: bool,
        partial_in: bool,
        partial_out: bool,
        slot: Uint<6>,
        acc_first: bool,
    }
}

/// Control stage beside the lo adder's inputs.
const LO: usize = 1;
/// Control stage beside the hi adder's inputs and the lo adder's output.
const HI: usize = LO + FLOAT_LATENCY;
/// Control stage beside the hi adder's output.
const LAST: usize = HI + FLOAT_LATENCY;

/// Right edge of one segment of one row.
#[derive(Clone, Debug)]
pub struct SegmentEdge {
    geometry: Geometry,
    scale_q: [LaneByte; 2],
    tile_q: BlockControl,
    tile_exponent_q: [Int<12>; 2],
    lo_sum_q: BlockSum,
    hi_sum_q: BlockSum,
    nan_scale_q: bool,
    control_q: [EdgeControl; LAST + 1],
    acc_address_q: [Uint<7>; LAST + 1],
    lo_float_q: Float36,
    hi_float_q: Float36,
    convert_saturated_q: bool,
    hi_late: DelayLine<Float36>,
    lo_add: FloatAdd,
    hi_add: FloatAdd,
    lo_acc: FloatFile,
    hi_acc: FloatFile,
    flags_q: Flags,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Which segment this is.
    pub segment_i: Uint<2>,
    /// What left the segment.
    pub drained_i: Drained,
    /// A scale that passed all lanes.
    pub scale_load_i: ScaleLoad,
    /// Of the GEMV or QK beat in `drained_i`.
    pub row_control_i: RowControl,
    /// Of the PV beat that lane 0 worked on in the last cycle.
    pub block_control_i: BlockControl,
    /// {lo, hi} exponents of the tile that `block_control_i` ends.
    pub tile_exponent_i: [Int<12>; 2],
    /// From the segment to the left.
    pub ripple_i: Float36,
    /// From the partial-sum file, entry `partial_slot_o`.
    pub partial_i: Float36,
    /// Read the hi chain's accumulators.
    pub result_chain_i: bool,
    /// Entry to read.
    pub result_address_i: Uint<7>,
    /// Clear the sticky flags.
    pub clear_flags_i: bool,
}

/// Output ports that come from registers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Entry of the partial-sum file that the lo adder needs now.
    pub partial_slot_o: Uint<6>,
    /// To the segment to the right.
    pub ripple_o: Float36,
    /// A finished result.
    pub result_o: ResultOut,
    /// Write `result_o` into the partial-sum file instead.
    pub partial_write_o: bool,
    /// Sticky flags.
    pub flags_o: Flags,
}

/// Both E8M0 biases and the binary points of E2M1 (doubled) and MXINT8.
const BIAS_FP4: i32 = 127 + 127 + 1 + 6;
/// Both E8M0 biases and the binary points of MXINT8 twice.
const BIAS_INT8: i32 = 127 + 127 + 6 + 6;

/// An accumulator's address as an index.
fn at(address: Uint<7>) -> usize {
    usize::from(address.0)
}

impl SegmentEdge {
    /// An edge after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            scale_q: Default::default(),
            tile_q: BlockControl::default(),
            tile_exponent_q: Default::default(),
            lo_sum_q: BlockSum::default(),
            hi_sum_q: BlockSum::default(),
            nan_scale_q: false,
            control_q: Default::default(),
            acc_address_q: Default::default(),
            lo_float_q: Float36::ZERO,
            hi_float_q: Float36::ZERO,
            convert_saturated_q: false,
            hi_late: DelayLine::new(FLOAT_LATENCY),
            lo_add: FloatAdd::default(),
            hi_add: FloatAdd::default(),
            lo_acc: FloatFile::new(geometry.acc_depth()),
            hi_acc: FloatFile::new(geometry.acc_depth()),
            flags_q: Flags::default(),
        }
    }

    /// The accumulator at `address` of the lo or hi chain, in the same cycle.
    #[must_use]
    pub fn result_data(&self, hi: bool, address: usize) -> Float36 {
        // The port is wider than the address of a small file.
        let address = address % self.geometry.acc_depth();
        if hi { self.hi_acc.read(address) } else { self.lo_acc.read(address) }
    }

    /// {bank, part of the chain, lane}; a file of one part per chain has no part bit.
    fn acc_address(&self, bank: bool, part: bool, lane: Uint<5>) -> Uint<7> {
        let high = if self.geometry.chain_parts() == 1 {
            u16::from(bank)
        } else {
            u16::from(bank) << 1 | u16::from(part)
        };
        Uint(high << 5 | lane.0)
    }

    /// Block sums as integers with exponents, and their control.
    fn block_sums(&self, i: &Inputs) -> (BlockSum, BlockSum, bool, EdgeControl, Uint<7>) {
        let joined = Int(i.drained_i.psum.lo.0 + 16 * i.drained_i.psum.hi.0);
        let (lo, hi) = (Int(i.drained_i.psum.lo.0), Int(i.drained_i.psum.hi.0));
        let none = (BlockSum::default(), BlockSum::default(), false, EdgeControl::default(), Uint(0));
        if i.drained_i.row_sum {
            let RowControl { tag, scale } = i.row_control_i;
            let stationary = self.scale_q[usize::from(tag.bank)];
            let bias = if tag.int8 { BIAS_INT8 } else { BIAS_FP4 };
            let is_nan = |a: Uint<8>, b: Uint<8>| {
                a.0 == u16::from(ScaleCode::NAN.0) || b.0 == u16::from(ScaleCode::NAN.0)
            };
            let exponent = |a: Uint<8>, b: Uint<8>| Int(i32::from(a.0) + i32::from(b.0) - bias);
            let nan_lo = is_nan(scale.lo, stationary.lo);
            let nan_hi = is_nan(scale.hi, stationary.hi);
            let number = |nan: bool, n| if nan { Int(0) } else { n };
            let lo_sum = BlockSum {
                number: number(nan_lo, if tag.int8 { joined } else { lo }),
                exponent: exponent(scale.lo, stationary.lo),
            };
            let hi_sum = BlockSum {
                number: number(nan_hi || tag.int8, hi),
                exponent: exponent(scale.hi, stationary.hi),
            };
            let mask = (1 << tag.group_log2.0) - 1;
            let control = EdgeControl {
                row_sum: true,
                restart: i.segment_i.0 & mask & 3 == 0,
                finish: (i.segment_i.0 + 1) & mask & 3 == 0,
                partial_in: tag.partial_in,
                partial_out: tag.partial_out,
                slot: tag.slot,
                ..EdgeControl::default()
            };
            (lo_sum, hi_sum, nan_lo || (nan_hi && !tag.int8), control, Uint(0))
        } else if i.drained_i.block_sum {
            let EdgeTag { int8, part, acc_first, acc_bank, .. } = self.tile_q.tag;
            let odd_part = part.0 & 1 == 1;
            let block = |n, e: Int<12>| BlockSum { number: n, exponent: Int(e.0) };
            // A joined sum goes to the chain that accumulates it.
            let (lo, hi) = match (int8, odd_part) {
                (false, _) => (lo, hi),
                (true, false) => (joined, Int(0)),
                (true, true) => (Int(0), joined),
            };
            let control = EdgeControl {
                block_lo: !(int8 && odd_part),
                block_hi: !int8 || odd_part,
                acc_first,
                ..EdgeControl::default()
            };
            let half = if int8 { part.0 >> 1 == 1 } else { odd_part };
            let address = self.acc_address(acc_bank, half, i.drained_i.lane);
            (block(lo, self.tile_exponent_q[0]), block(hi, self.tile_exponent_q[1]), false, control, address)
        } else {
            none
        }
    }

    /// Operands of the lo adder.
    fn lo_operands(&self, i: &Inputs) -> (Float36, Float36) {
        let control = self.control_q[LO];
        if control.row_sum {
            let b = if !control.restart {
                i.ripple_i
            } else if control.partial_in {
                i.partial_i
            } else {
                Float36::ZERO
            };
            (self.lo_float_q, b)
        } else if control.block_lo {
            let b =
                if control.acc_first { Float36::ZERO } else { self.lo_acc.read(at(self.acc_address_q[LO])) };
            (self.lo_float_q, b)
        } else {
            (Float36::ZERO, Float36::ZERO)
        }
    }

    /// Operands of the hi adder.
    fn hi_operands(&self) -> (Float36, Float36) {
        let control = self.control_q[HI];
        if control.row_sum {
            (self.hi_late.output(), self.lo_add.sum().value)
        } else if control.block_hi {
            let b =
                if control.acc_first { Float36::ZERO } else { self.hi_acc.read(at(self.acc_address_q[HI])) };
            (self.hi_late.output(), b)
        } else {
            (Float36::ZERO, Float36::ZERO)
        }
    }
}

impl Block for SegmentEdge {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    #[inline]
    fn outputs(&self) -> Outputs {
        let last = self.control_q[LAST];
        Outputs {
            partial_slot_o: self.control_q[LO].slot,
            ripple_o: self.hi_add.sum().value,
            result_o: ResultOut {
                valid: last.row_sum && last.finish && !last.partial_out,
                slot: last.slot,
                value: self.hi_add.sum().value,
            },
            partial_write_o: last.row_sum && last.finish && last.partial_out,
            flags_o: self.flags_q,
        }
    }

    #[inline]
    fn clock(&mut self, i: &Inputs) {
        // Everything below reads registers of before this clock, from the outputs back to the inputs.
        let kept = if i.clear_flags_i { Flags::default() } else { self.flags_q };
        self.flags_q = Flags {
            nan_scale: kept.nan_scale || self.nan_scale_q,
            saturated: kept.saturated
                || self.convert_saturated_q
                || self.lo_add.sum().saturated
                || self.hi_add.sum().saturated,
        };

        let (lo_a, lo_b) = self.lo_operands(i);
        let (hi_a, hi_b) = self.hi_operands();
        if self.control_q[HI].block_lo {
            self.lo_acc.write(at(self.acc_address_q[HI]), self.lo_add.sum().value);
        }
        if self.control_q[LAST].block_hi {
            self.hi_acc.write(at(self.acc_address_q[LAST]), self.hi_add.sum().value);
        }
        self.lo_add.advance(lo_a, lo_b);
        self.hi_add.advance(hi_a, hi_b);

        self.hi_late.clock(self.hi_float_q);
        let (lo_float, hi_float) = (int_to_float(self.lo_sum_q), int_to_float(self.hi_sum_q));
        self.lo_float_q = lo_float.value;
        self.hi_float_q = hi_float.value;
        self.convert_saturated_q = lo_float.saturated || hi_float.saturated;

        let (lo_sum, hi_sum, nan_scale, control, acc_address) = self.block_sums(i);
        self.lo_sum_q = lo_sum;
        self.hi_sum_q = hi_sum;
        self.nan_scale_q = nan_scale;
        self.control_q.copy_within(..LAST, 1);
        self.control_q[0] = control;
        self.acc_address_q.copy_within(..LAST, 1);
        self.acc_address_q[0] = acc_address;

        if i.scale_load_i.valid {
            self.scale_q[usize::from(i.scale_load_i.bank)] = i.scale_load_i.scale;
        }
        if i.block_control_i.last {
            self.tile_q = i.block_control_i;
            self.tile_exponent_q = i.tile_exponent_i;
        }
    }

    fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        let lo_acc = std::mem::replace(&mut self.lo_acc, FloatFile::new(1));
        let hi_acc = std::mem::replace(&mut self.hi_acc, FloatFile::new(1));
        *self = Self { lo_acc, hi_acc, ..fresh };
    }
}

impl Visit for SegmentEdge {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("scale_q", &mut self.scale_q);
        v.bits("tile_q", &mut self.tile_q);
        v.packed("tile_exponent_q", &mut self.tile_exponent_q);
        v.bits("lo_sum_q", &mut self.lo_sum_q);
        v.bits("hi_sum_q", &mut self.hi_sum_q);
        v.bits("nan_scale_q", &mut self.nan_scale_q);
        v.array("control_q", &mut self.control_q);
        // {bank, part, lane}; a file of one part per chain has no part bit.
        if self.geometry.chain_parts() == 1 {
            v.array("acc_address_q", &mut self.acc_address_q.map(|a| Uint::<6>(a.0)));
        } else {
            v.array("acc_address_q", &mut self.acc_address_q);
        }
        v.bits("lo_float_q", &mut self.lo_float_q);
        v.bits("hi_float_q", &mut self.hi_float_q);
        v.bits("convert_saturated_q", &mut self.convert_saturated_q);
        v.enter("u_hi_late", None);
        self.hi_late.visit(v);
        v.leave();
        v.enter("u_lo_add", None);
        self.lo_add.visit(v);
        v.leave();
        v.enter("u_hi_add", None);
        self.hi_add.visit(v);
        v.leave();
        v.enter("u_lo_acc", None);
        self.lo_acc.visit(v);
        v.leave();
        v.enter("u_hi_acc", None);
        self.hi_acc.visit(v);
        v.leave();
        v.bits("flags_q", &mut self.flags_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("segment_i", &mut self.segment_i);
        v.bits("drained_i", &mut self.drained_i);
        v.bits("scale_load_i", &mut self.scale_load_i);
        v.bits("row_control_i", &mut self.row_control_i);
        v.bits("block_control_i", &mut self.block_control_i);
        v.packed("tile_exponent_i", &mut self.tile_exponent_i);
        v.bits("ripple_i", &mut self.ripple_i);
        v.bits("partial_i", &mut self.partial_i);
        v.bits("result_chain_i", &mut self.result_chain_i);
        v.bits("result_address_i", &mut self.result_address_i);
        v.bits("clear_flags_i", &mut self.clear_flags_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("partial_slot_o", &mut self.partial_slot_o);
        v.bits("ripple_o", &mut self.ripple_o);
        v.bits("result_o", &mut self.result_o);
        v.bits("partial_write_o", &mut self.partial_write_o);
        v.bits("flags_o", &mut self.flags_o);
    }
}
