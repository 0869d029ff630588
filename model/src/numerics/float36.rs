// SPDX-License-Identifier: Apache-2.0
//! The float between blocks: 24-bit significand, 12-bit exponent (docs/numerics.md, "The float").

use std::fmt;

/// Bits of the fraction field.
pub const FRACTION_BITS: u32 = 23;
/// Bits of the exponent field.
pub const EXPONENT_BITS: u32 = 12;
/// Bits of a whole float.
pub const FLOAT_BITS: u32 = 1 + EXPONENT_BITS + FRACTION_BITS;
/// Exponent code of the value 1.
pub const EXPONENT_BIAS: i32 = 2048;
/// The largest exponent code.
pub const EXPONENT_MAX: i32 = (1 << EXPONENT_BITS) - 1;

const FRACTION_MASK: u64 = (1 << FRACTION_BITS) - 1;
const HIDDEN_BIT: u64 = 1 << FRACTION_BITS;
const EXPONENT_MASK: u64 = ((1 << EXPONENT_BITS) - 1) << FRACTION_BITS;

/// A 36-bit float: sign, 12 exponent bits (bias 2048), 23 fraction bits. Zero is the word 0 and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Float36(u64);

/// A float together with "this result was clamped to the largest magnitude".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rounded {
    /// The rounded value.
    pub value: Float36,
    /// True when the exact result was out of range and `value` is the largest magnitude.
    pub saturated: bool,
}

impl Float36 {
    /// The only zero.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(1 << (FLOAT_BITS - 2));
    /// The largest magnitude, positive.
    pub const MAX: Self = Self(EXPONENT_MASK | FRACTION_MASK);

    /// The float with these 36 bits; `None` when a bit above 35 is set or a zero exponent code comes with other bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let exponent = bits & EXPONENT_MASK;
        if bits >> FLOAT_BITS != 0 || (exponent == 0 && bits != 0) { None } else { Some(Self(bits)) }
    }

    /// The float of the low 36 bits, any word with a zero exponent code read as zero.
    #[must_use]
    pub const fn canonical(bits: u64) -> Self {
        let bits = bits & ((1 << FLOAT_BITS) - 1);
        if bits & EXPONENT_MASK == 0 { Self::ZERO } else { Self(bits) }
    }

    /// A float from its fields. `exponent` 0 gives zero whatever the other fields say.
    ///
    /// # Panics
    /// When `exponent` is not a 12-bit code or `fraction` is not 23 bits: a caller's bug.
    #[must_use]
    pub fn from_fields(negative: bool, exponent: i32, fraction: u64) -> Self {
        assert!(fraction <= FRACTION_MASK && (0..=EXPONENT_MAX).contains(&exponent));
        if exponent == 0 {
            return Self::ZERO;
        }
        Self(
            u64::from(negative) << (FLOAT_BITS - 1)
                | u64::from(exponent.unsigned_abs()) << FRACTION_BITS
                | fraction,
        )
    }

    /// The float of a binary32 number's bits. There is no infinity: exponent field 255 is read as any other. Subnormals are 0.
    #[must_use]
    pub fn widen(binary32: u32) -> Self {
        let field = u64::from(binary32) >> FRACTION_BITS & 0xFF;
        if field == 0 {
            return Self::ZERO;
        }
        let exponent = field + (1 << (EXPONENT_BITS - 1)) - 127;
        let sign = u64::from(binary32 >> 31) << (FLOAT_BITS - 1);
        Self(sign | exponent << FRACTION_BITS | u64::from(binary32) & FRACTION_MASK)
    }

    /// Bits of the binary32 number, and whether it was clamped to the largest. Below the smallest it is 0.
    #[must_use]
    pub fn narrow(self) -> (u32, bool) {
        let code = self.exponent() - EXPONENT_BIAS + 127;
        let sign = u32::from(self.is_negative()) << 31;
        if code < 1 {
            return (0, false);
        }
        if code > 254 {
            return (sign | 0x7F7F_FFFF, true);
        }
        let fraction = u32::try_from(self.fraction()).expect("23 bits");
        (sign | code.unsigned_abs() << FRACTION_BITS | fraction, false)
    }

    /// The 36 bits.
    #[must_use]
    #[inline(always)]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Sign bit.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 >> (FLOAT_BITS - 1) != 0
    }

    /// True for the value zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Exponent code, 0..=4095; 0 means zero.
    #[must_use]
    pub fn exponent(self) -> i32 {
        i32::try_from((self.0 >> FRACTION_BITS) & 0xFFF).expect("12 bits")
    }

    /// Fraction field, 23 bits.
    #[must_use]
    pub const fn fraction(self) -> u64 {
        self.0 & FRACTION_MASK
    }

    /// Significand with its hidden bit (0 for zero): the magnitude is `significand x 2^(exponent - 2048 - 23)`.
    #[must_use]
    pub const fn significand(self) -> u64 {
        if self.is_zero() { 0 } else { self.fraction() | HIDDEN_BIT }
    }

    /// Exponent code and fraction as one integer: orders magnitudes.
    #[must_use]
    pub const fn magnitude(self) -> u64 {
        self.0 & ((1 << (FLOAT_BITS - 1)) - 1)
    }

    /// The nearest binary64 value: exact inside binary64's range, else an infinity or zero. For display and error figures.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        let bits = u32::try_from(self.significand()).expect("24 bits");
        let scale = self.exponent() - EXPONENT_BIAS - 23;
        // Two steps, so that the power itself stays inside binary64.
        let magnitude = f64::from(bits) * 2f64.powi(scale / 2) * 2f64.powi(scale - scale / 2);
        if self.is_negative() { -magnitude } else { magnitude }
    }

    /// `n x 2^exponent`, exactly, clamped in range (saturate, or flush to zero).
    ///
    /// # Panics
    /// When |n| has more than 23 bits: block sums never do.
    #[must_use]
    pub fn from_int(n: i32, exponent: i32) -> Rounded {
        assert!(n.unsigned_abs() < 1 << 23, "block sum of more than 23 bits: {n}");
        if n == 0 {
            return Rounded::default();
        }
        let magnitude = u64::from(n.unsigned_abs());
        let lead = 31 - n.unsigned_abs().leading_zeros();
        let fraction = (magnitude << (FRACTION_BITS - lead)) & FRACTION_MASK;
        let code = exponent + EXPONENT_BIAS + i32::try_from(lead).expect("at most 22");
        Self::clamp(n < 0, code, fraction)
    }

    /// The float of an unbounded exponent code, saturated or flushed.
    pub(super) fn clamp(negative: bool, code: i32, fraction: u64) -> Rounded {
        if code > EXPONENT_MAX {
            let value = Self::from_fields(negative, EXPONENT_MAX, FRACTION_MASK);
            Rounded { value, saturated: true }
        } else if code < 1 {
            Rounded::default()
        } else {
            Rounded { value: Self::from_fields(negative, code, fraction), saturated: false }
        }
    }
}

impl fmt::Debug for Float36 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Float36({self})")
    }
}

impl fmt::Display for Float36 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.to_f64();
        if v.is_finite() && (v != 0.0 || self.is_zero()) {
            write!(f, "{v:e}")
        } else {
            let sign = if self.is_negative() { "-" } else { "" };
            write!(f, "{sign}0x1.{:06x}p{}", self.fraction() << 1, self.exponent() - EXPONENT_BIAS)
        }
    }
}

/// Addition in the four steps of the hardware, each a pure function between two pipeline registers.
///
/// `float_add` (RTL and cycle model) registers the value that each step returns.
pub mod add {
    use super::{EXPONENT_MAX, Float36, HIDDEN_BIT, Rounded};

    /// Significands are carried with guard, round and sticky below them.
    const EXTRA: u32 = 3;
    /// Beyond this distance only the sticky bit of the smaller operand is left.
    const MAX_SHIFT: i32 = 26;

    /// Step 1: operands ordered by magnitude.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Ordered {
        /// Sign of the larger operand: the sign of the sum.
        pub negative: bool,
        /// The operands have different signs.
        pub subtract: bool,
        /// Exponent code of the larger operand.
        pub exponent: i32,
        /// Distance of the exponents, clamped to 27 (everything shifted out).
        pub shift: i32,
        /// Significand of the larger operand, 24 bits.
        pub larger: u64,
        /// Significand of the smaller operand, 24 bits.
        pub smaller: u64,
    }

    /// Step 2: the smaller significand aligned; both 27 bits.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Aligned {
        /// As in [`Ordered`].
        pub negative: bool,
        /// As in [`Ordered`].
        pub subtract: bool,
        /// As in [`Ordered`].
        pub exponent: i32,
        /// Larger significand with three zero bits below.
        pub larger: u64,
        /// Smaller significand, shifted, with guard, round, sticky.
        pub smaller: u64,
    }

    /// Step 3: the exact sum (28 bits with sticky) and where its leading one is.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Summed {
        /// Sign of the sum.
        pub negative: bool,
        /// Exponent code of the larger operand.
        pub exponent: i32,
        /// Magnitude, 28 bits.
        pub total: u64,
        /// Leading zeros of the 28-bit magnitude, 28 for zero.
        pub zeros: u32,
    }

    /// Orders the operands by magnitude.
    #[must_use]
    pub fn order(a: Float36, b: Float36) -> Ordered {
        let (larger, smaller) = if a.magnitude() >= b.magnitude() { (a, b) } else { (b, a) };
        Ordered {
            negative: larger.is_negative(),
            subtract: a.is_negative() != b.is_negative(),
            exponent: larger.exponent(),
            shift: (larger.exponent() - smaller.exponent()).min(MAX_SHIFT + 1),
            larger: larger.significand(),
            smaller: smaller.significand(),
        }
    }

    /// Shifts the smaller significand to the larger one's exponent.
    #[must_use]
    pub fn align(x: Ordered) -> Aligned {
        let wide = x.smaller << EXTRA;
        let kept = wide >> x.shift;
        let lost = wide & ((1 << x.shift) - 1) != 0;
        Aligned {
            negative: x.negative,
            subtract: x.subtract,
            exponent: x.exponent,
            larger: x.larger << EXTRA,
            smaller: kept | u64::from(lost),
        }
    }

    /// Adds or subtracts and counts leading zeros.
    #[must_use]
    pub fn sum(x: Aligned) -> Summed {
        // The larger operand comes first, so the difference is never negative.
        let total = if x.subtract { x.larger - x.smaller } else { x.larger + x.smaller };
        Summed { negative: x.negative, exponent: x.exponent, total, zeros: total.leading_zeros() - 36 }
    }

    /// Normalises, rounds to nearest even, clamps in range.
    #[must_use]
    pub fn round(x: Summed) -> Rounded {
        if x.total == 0 {
            return Rounded::default();
        }
        // Bit 27 is the carry, bit 26 the hidden bit of an unshifted sum: the leading one goes to bit 27.
        let normal = x.total << x.zeros;
        let significand = normal >> 4;
        let (half, rest) = (normal >> 3 & 1, normal & 7);
        let up = half == 1 && (rest != 0 || significand & 1 == 1);
        let rounded = significand + u64::from(up);
        let carry = i32::from(rounded == HIDDEN_BIT << 1);
        // On a carry the fraction bits are all zero, so they need no shift.
        let zeros = i32::try_from(x.zeros).expect("at most 28");
        let code = x.exponent + 1 - zeros + carry;
        debug_assert!(code <= EXPONENT_MAX + 2);
        Float36::clamp(x.negative, code, rounded & (HIDDEN_BIT - 1))
    }
}

impl std::ops::Add for Float36 {
    type Output = Rounded;

    /// The sum, rounded once to nearest even.
    fn add(self, other: Self) -> Rounded {
        add::round(add::sum(add::align(add::order(self, other))))
    }
}
