// SPDX-License-Identifier: Apache-2.0
//! E2M1, the 4-bit element of MXFP4 (docs/numerics.md, "Formats" and "E2M1, doubled").

use super::quantise::Magnitude;

/// A 4-bit float: sign, 2 exponent bits (bias 1), 1 fraction bit. No Inf, no NaN; -0 is kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct E2m1(u8);

impl E2m1 {
    /// Exponent of the largest element's binade: 6 = 1.5 x 2^2.
    pub const EMAX: i32 = 2;

    /// The element with this code; `None` above 15.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        if code < 16 { Some(Self(code)) } else { None }
    }

    /// The 4-bit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Twice the value, an integer of -12..=12; -0 gives 0. What the array multiplies.
    #[must_use]
    pub fn doubled(self) -> i8 {
        let fraction = self.0 & 1;
        let magnitude = match self.0 >> 1 & 3 {
            0 => fraction,
            exponent => (2 | fraction) << (exponent - 1),
        };
        let magnitude = i8::try_from(magnitude).expect("at most 12");
        if self.is_negative() { -magnitude } else { magnitude }
    }

    /// Sign bit, set for -0 too.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 & 8 != 0
    }

    /// The value in binary32, exact; code 8 gives -0.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        let magnitude = f32::from(self.doubled().unsigned_abs()) * 0.5;
        if self.is_negative() { -magnitude } else { magnitude }
    }

    /// The nearest element, ties to the even code, saturating at +-6; the sign is kept when the result is
    /// zero.
    ///
    /// Infinities saturate. A NaN is read as the number above infinity that its bits would be, so it
    /// saturates too: the block quantiser never lets one come here.
    #[must_use]
    pub fn from_f32_rne_saturating(value: f32) -> Self {
        Self::from_magnitude(Magnitude::of(value), 0)
    }

    /// The nearest element to `m x 2^-scale`, as [`Self::from_f32_rne_saturating`] rounds.
    pub(super) fn from_magnitude(m: Magnitude, scale: i32) -> Self {
        // In quarters every tie is an integer: 1, 3, 5, 7, 10, 14, 20.
        let (quarters, lost) = m.shifted(2 - scale);
        // A tie below an odd code goes down, so it needs something above the tie; below an even code the tie
        // suffices.
        let above = |tie: u32| quarters > tie || (quarters == tie && lost);
        let code = u8::from(above(1))
            + u8::from(quarters >= 3)
            + u8::from(above(5))
            + u8::from(quarters >= 7)
            + u8::from(above(10))
            + u8::from(quarters >= 14)
            + u8::from(above(20));
        Self(code | u8::from(m.negative) << 3)
    }
}
