// SPDX-License-Identifier: Apache-2.0
//! E8M0, the power-of-two scale of an MX block (docs/numerics.md, "Formats").

/// A power of two: 2^(code - 127). Code 255 is NaN; code 0 is 2^-127, never "zero".
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct E8m0(u8);

impl E8m0 {
    /// The only NaN, code 255.
    pub const NAN: Self = Self(255);
    /// The scale 1.
    pub const ONE: Self = Self(127);
    /// The exponent of scale code 0, negated.
    pub const BIAS: i32 = 127;
    /// The largest code that is a number.
    pub const MAX_CODE: u8 = 254;

    /// The scale with this code. Every code is valid.
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        Self(code)
    }

    /// The 8-bit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// True for code 255.
    #[must_use]
    pub const fn is_nan(self) -> bool {
        self.0 == Self::NAN.0
    }

    /// The power of two, -127..=127; `None` for NaN.
    #[must_use]
    pub fn exponent(self) -> Option<i32> {
        (!self.is_nan()).then(|| i32::from(self.0) - Self::BIAS)
    }

    /// The value in binary32, exact (2^-127 is a subnormal); NaN is the quiet `7fc00000`.
    #[must_use]
    pub fn to_f32(self) -> f32 {
        f32::from_bits(match self.0 {
            0 => 1 << 22,
            255 => 0x7FC0_0000,
            code => u32::from(code) << 23,
        })
    }
}
