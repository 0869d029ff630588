// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/float_add.sv`: the four steps of [`crate::numerics::float36::add`] between registers.

use super::types::FLOAT_LATENCY;
use crate::block::{Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::numerics::float36::{
    Float36, Rounded,
    add::{self, Aligned, Ordered, Summed},
};
use crate::packed_struct;

/// Float adder of latency 4.
#[derive(Clone, Debug, Default)]
pub struct FloatAdd {
    ordered_q: Ordered,
    aligned_q: Aligned,
    summed_q: Summed,
    rounded_q: Rounded,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// First operand.
    pub a_i: Float36,
    /// Second operand.
    pub b_i: Float36,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The sum of the operands of four cycles ago.
    pub sum_o: Float36,
    /// It was clamped to the largest magnitude.
    pub saturated_o: bool,
}

impl FloatAdd {
    /// Cycles from operands to sum.
    pub const LATENCY: usize = FLOAT_LATENCY;

    /// The sum of the operands of four cycles ago.
    #[must_use]
    #[inline]
    pub fn sum(&self) -> Rounded {
        self.rounded_q
    }

    /// Cycles from the operands to a register.
    pub(super) fn stage(register: &str) -> Option<u64> {
        let stages = ["ordered", "aligned", "summed", "rounded"];
        stages.iter().zip(0..).find(|(name, _)| register.starts_with(*name)).map(|(_, stage)| stage)
    }

    /// Advances by one clock.
    #[inline]
    pub fn advance(&mut self, a: Float36, b: Float36) {
        self.rounded_q = add::round(self.summed_q);
        self.summed_q = add::sum(self.aligned_q);
        self.aligned_q = add::align(self.ordered_q);
        self.ordered_q = add::order(a, b);
    }
}

impl Block for FloatAdd {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { sum_o: self.rounded_q.value, saturated_o: self.rounded_q.saturated }
    }

    fn clock(&mut self, inputs: &Inputs) {
        self.advance(inputs.a_i, inputs.b_i);
    }

    fn depth(&self, path: &str) -> Option<u64> {
        Self::stage(path)
    }

    fn reset(&mut self) {
        // The leading-zero count of nothing is a register's reset value too: 0, not 28.
        *self = Self::default();
    }
}

// The registers as the RTL packs them. An exponent code is 12 bits, a distance at most 27.

packed_struct! {
    struct OrderedBits {
        negative: bool,
        subtract: bool,
        exponent: Uint<12>,
        shift: Uint<5>,
    }
}

packed_struct! {
    struct AlignedBits {
        negative: bool,
        subtract: bool,
        exponent: Uint<12>,
    }
}

packed_struct! {
    struct SummedBits {
        negative: bool,
        exponent: Uint<12>,
        total: Wide<28>,
        zeros: Uint<5>,
    }
}

packed_struct! {
    struct RoundedBits {
        saturated: bool,
        value: Float36,
    }
}

fn uint<const W: u32>(value: i32) -> Uint<W> {
    Uint(low_u16(u64::from(value.unsigned_abs())))
}

impl Visit for FloatAdd {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = &self.ordered_q;
        v.bits(
            "ordered_q",
            &mut OrderedBits {
                negative: x.negative,
                subtract: x.subtract,
                exponent: uint(x.exponent),
                shift: uint(x.shift),
            },
        );
        v.bits("ordered_larger_q", &mut Wide::<24>(x.larger));
        v.bits("ordered_smaller_q", &mut Wide::<24>(x.smaller));
        let x = &self.aligned_q;
        v.bits(
            "aligned_q",
            &mut AlignedBits { negative: x.negative, subtract: x.subtract, exponent: uint(x.exponent) },
        );
        v.bits("aligned_larger_q", &mut Wide::<27>(x.larger));
        v.bits("aligned_smaller_q", &mut Wide::<27>(x.smaller));
        let x = &self.summed_q;
        v.bits(
            "summed_q",
            &mut SummedBits {
                negative: x.negative,
                exponent: uint(x.exponent),
                total: Wide(x.total),
                zeros: Uint(low_u16(u64::from(x.zeros))),
            },
        );
        v.bits(
            "rounded_q",
            &mut RoundedBits { saturated: self.rounded_q.saturated, value: self.rounded_q.value },
        );
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("a_i", &mut self.a_i);
        v.bits("b_i", &mut self.b_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("sum_o", &mut self.sum_o);
        v.bits("saturated_o", &mut self.saturated_o);
    }
}
