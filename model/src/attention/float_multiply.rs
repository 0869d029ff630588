// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/float_multiply.sv`: the two steps of [`crate::numerics::divide`] between registers.

use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::numerics::Float36;
use crate::numerics::divide::{Binary32, Product, multiply, round};
use crate::packed_struct;

/// Multiplier of latency 2 with a binary32 result.
#[derive(Clone, Debug, Default)]
pub struct FloatMultiply {
    product_q: Product,
    rounded_q: Binary32,
}

impl FloatMultiply {
    /// Cycles from operands to product.
    pub const LATENCY: usize = 2;

    /// The product of the operands of two cycles ago.
    #[must_use]
    pub fn product(&self) -> Binary32 {
        self.rounded_q
    }

    /// Advances by one clock.
    pub fn advance(&mut self, a: Float36, b: Float36) {
        self.rounded_q = round(self.product_q);
        self.product_q = multiply(a, b);
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
        overflow: bool,
        value: Wide<32>,
    }
}

impl Visit for FloatMultiply {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = self.product_q;
        let exponent = Uint(low_u16(u64::from(x.exponent.unsigned_abs())));
        v.bits("product_q", &mut ProductBits { negative: x.negative, exponent, total: Wide(x.total) });
        let x = self.rounded_q;
        v.bits("rounded_q", &mut RoundedBits { overflow: x.overflow, value: Wide(u64::from(x.bits)) });
    }
}
