// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/float_product.sv`: the two steps of [`crate::numerics::vector::multiply`] between registers.

use super::types::PRODUCT_LATENCY;
use crate::block::{Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::numerics::vector::multiply::{self, Product};
use crate::numerics::{Float36, Rounded};
use crate::packed_struct;

/// Float multiplier of latency 2.
#[derive(Clone, Debug, Default)]
pub struct FloatProduct {
    product_q: Product,
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
    /// The product of the operands of two cycles ago.
    pub product_o: Float36,
    /// It was clamped to the largest magnitude.
    pub saturated_o: bool,
}

impl FloatProduct {
    /// Cycles from operands to product.
    pub const LATENCY: usize = PRODUCT_LATENCY;

    /// The product of the operands of two cycles ago.
    #[must_use]
    #[inline]
    pub fn product(&self) -> Rounded {
        self.rounded_q
    }

    /// Advances by one clock.
    #[inline]
    pub fn advance(&mut self, a: Float36, b: Float36) {
        self.rounded_q = multiply::round(self.product_q);
        self.product_q = multiply::exact(a, b);
    }
}

impl Block for FloatProduct {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { product_o: self.rounded_q.value, saturated_o: self.rounded_q.saturated }
    }

    fn clock(&mut self, inputs: &Inputs) {
        self.advance(inputs.a_i, inputs.b_i);
    }

    fn depth(&self, path: &str) -> Option<u64> {
        [("product_q", 0), ("rounded_q", 1)].iter().find(|(name, _)| path == *name).map(|&(_, stage)| stage)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

packed_struct! {
    struct ProductBits {
        negative: bool,
        exponent: Uint<13>,
        total: Wide<48>,
    }
}

packed_struct! {
    struct RoundedBits {
        saturated: bool,
        value: Float36,
    }
}

impl Visit for FloatProduct {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = self.product_q;
        let exponent = Uint(low_u16(u64::from(x.exponent.unsigned_abs())));
        v.bits("product_q", &mut ProductBits { negative: x.negative, exponent, total: Wide(x.total) });
        let x = self.rounded_q;
        v.bits("rounded_q", &mut RoundedBits { saturated: x.saturated, value: x.value });
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
        v.bits("product_o", &mut self.product_o);
        v.bits("saturated_o", &mut self.saturated_o);
    }
}
