// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/exp2.sv`: the three steps of [`crate::numerics::softmax`] between registers.

use super::types::{MANTISSA_BITS, SCORE_EXPONENT_BITS};
use crate::block::{Int, Uint, Visit, Visitor, Wide};
use crate::numerics::Float36;
use crate::numerics::softmax::{self, Fixed, Power, Scaled};
use crate::packed_struct;

/// Power of two of a score, latency 3.
#[derive(Clone, Debug, Default)]
pub struct Exp2 {
    scaled_q: Scaled,
    fixed_q: Fixed,
    power_q: Power,
}

impl Exp2 {
    /// The power of the score of three cycles ago.
    #[must_use]
    #[inline]
    pub fn power(&self) -> Power {
        self.power_q
    }

    /// Advances by one clock.
    #[inline]
    pub fn clock(&mut self, score: Float36) {
        self.power_q = softmax::power(self.fixed_q);
        self.fixed_q = softmax::fix(self.scaled_q);
        self.scaled_q = softmax::scale(score);
    }
}

// The registers as the RTL packs them.

packed_struct! {
    struct ScaledBits {
        negative: bool,
        over: bool,
        magnitude: Wide<22>,
        half: bool,
        rest: bool,
    }
}

packed_struct! {
    struct FixedBits {
        clamped: bool,
        value: Int<23>,
    }
}

packed_struct! {
    struct PowerBits {
        clamped: bool,
        exponent: Int<SCORE_EXPONENT_BITS>,
        mantissa: Uint<MANTISSA_BITS>,
    }
}

impl Visit for Exp2 {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = self.scaled_q;
        let magnitude = Wide(u64::from(x.magnitude.unsigned_abs()));
        let (negative, over, half, rest) = (x.negative, x.over, x.half, x.rest);
        v.bits("scaled_q", &mut ScaledBits { negative, over, magnitude, half, rest });
        let Fixed { clamped, value } = self.fixed_q;
        v.bits("fixed_q", &mut FixedBits { clamped, value: Int(value) });
        let Power { clamped, exponent, mantissa } = self.power_q;
        v.bits("power_q", &mut PowerBits { clamped, exponent: Int(exponent), mantissa: Uint(mantissa) });
    }
}
