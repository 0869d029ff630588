// SPDX-License-Identifier: Apache-2.0
//! The 8-bit element of MXINT8 (docs/numerics.md, "Formats" and "Blocks and scales").

use super::quantise::Magnitude;

/// A two's complement integer in units of 2^-6. Quantised to -127..=127; -128 is accepted on input.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Mxint8(i8);

impl Mxint8 {
    /// Exponent of the largest element's binade: 127/64 lies in \[1, 2).
    pub const EMAX: i32 = 0;
    /// Fraction bits of the element.
    pub const FRACTION_BITS: i32 = 6;

    /// The element `units x 2^-6`.
    #[must_use]
    pub const fn new(units: i8) -> Self {
        Self(units)
    }

    /// The element with this two's complement code.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(i8::from_ne_bytes([code]))
    }

    /// The two's complement code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0.to_ne_bytes()[0]
    }

    /// The integer, -128..=127, in units of 2^-6.
    #[must_use]
    pub const fn units(self) -> i8 {
        self.0
    }

    /// The lower partial-sum chain's operand, 0..=15.
    #[must_use]
    pub const fn low_nibble(self) -> i8 {
        self.0 & 15
    }

    /// The upper partial-sum chain's operand, -8..=7: the element is `low_nibble + 16 x high_half`.
    #[must_use]
    pub const fn high_half(self) -> i8 {
        self.0 >> 4
    }

    /// The value in binary32, exact.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        f32::from(self.0) / 64.0
    }

    /// The nearest element to `m x 2^-scale`, ties to the even integer, saturating at +-127.
    pub(super) fn from_magnitude(m: Magnitude, scale: i32) -> Self {
        // One bit below the unit is the half; what is lost below it is sticky.
        let (halves, lost) = m.shifted(Self::FRACTION_BITS + 1 - scale);
        let (floor, half) = (halves >> 1, halves & 1 == 1);
        let up = half && (lost || floor & 1 == 1);
        let units = (floor + u32::from(up)).min(127);
        let units = i8::try_from(units).expect("at most 127");
        Self(if m.negative { -units } else { units })
    }
}
