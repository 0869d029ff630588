// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/float_multiply.sv`: the two steps of [`crate::numerics::multiply`] between registers.

use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::numerics::multiply::{self, BINARY32, Clamped, FLOAT, Product};
use crate::numerics::{Float36, Rounded};
use crate::packed_struct;
use crate::vector::types::PRODUCT_LATENCY;

/// Float multiplier of latency 2, with floats or with binary32 as products.
#[derive(Clone, Debug)]
pub struct FloatMultiply {
    format: multiply::Format,
    product_q: Product,
    rounded_q: Clamped,
}

impl FloatMultiply {
    /// Cycles from operands to product.
    pub const LATENCY: usize = PRODUCT_LATENCY;

    /// With products of this format.
    #[must_use]
    pub fn new(format: multiply::Format) -> Self {
        Self { format, product_q: Product::default(), rounded_q: Clamped::default() }
    }

    /// The product of the operands of two cycles ago.
    #[must_use]
    #[inline]
    pub fn clamped(&self) -> Clamped {
        self.rounded_q
    }

    /// The same as a float, of a multiplier that has them.
    #[must_use]
    #[inline]
    pub fn product(&self) -> Rounded {
        self.rounded_q.float()
    }

    /// Advances by one clock.
    #[inline]
    pub fn advance(&mut self, a: Float36, b: Float36) {
        self.rounded_q = multiply::round(self.product_q, self.format);
        self.product_q = multiply::exact(a, b);
    }
}

impl Default for FloatMultiply {
    fn default() -> Self {
        Self::new(FLOAT)
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
    struct FloatBits {
        saturated: bool,
        value: Float36,
    }
}

packed_struct! {
    struct Binary32Bits {
        saturated: bool,
        value: Wide<32>,
    }
}

impl Visit for FloatMultiply {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = self.product_q;
        let exponent = Uint(low_u16(u64::from(x.exponent.unsigned_abs())));
        v.bits("product_q", &mut ProductBits { negative: x.negative, exponent, total: Wide(x.total) });
        let Clamped { bits, saturated } = self.rounded_q;
        if self.format == BINARY32 {
            v.bits("rounded_q", &mut Binary32Bits { saturated, value: Wide(bits) });
        } else {
            v.bits("rounded_q", &mut FloatBits { saturated, value: self.product().value });
        }
    }
}
