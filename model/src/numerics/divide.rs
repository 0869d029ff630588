// SPDX-License-Identifier: Apache-2.0
//! Division: numerator x RNE(1 / denominator), as binary32 (docs/numerics.md, "Division"). Each function is what the
//! hardware does between two registers.

use super::float36::{EXPONENT_BIAS, EXPONENT_MAX, FRACTION_BITS, Float36};

/// Bits of the quotient: one that only a power of two sets, the significand, and the bit that rounds.
pub const QUOTIENT_BITS: u32 = FRACTION_BITS + 3;
/// Quotient bits per step.
pub const BITS_PER_STEP: u32 = 2;
/// What the division starts from, as a remainder.
pub const FIRST_REMAINDER: u64 = 1 << (FRACTION_BITS - 1);

/// Exponent field of the largest finite binary32 number.
const BINARY32_MAX: i32 = 254;
/// Bias of binary32.
const BINARY32_BIAS: i32 = 127;
const FRACTION_MASK: u64 = (1 << FRACTION_BITS) - 1;

/// A restoring division under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Division {
    /// What is left, 24 bits.
    pub remainder: u64,
    /// Quotient bits so far, the youngest lowest.
    pub quotient: u64,
}

impl Division {
    /// A division that has not begun.
    #[must_use]
    pub const fn start() -> Self {
        Self { remainder: FIRST_REMAINDER, quotient: 0 }
    }

    /// The next [`BITS_PER_STEP`] bits of 2^49 / significand.
    #[must_use]
    pub fn step(self, value: Float36) -> Self {
        let divisor = value.significand();
        (0..BITS_PER_STEP).fold(self, |so_far, _| {
            let doubled = so_far.remainder << 1;
            let fits = doubled >= divisor;
            Self {
                remainder: (if fits { doubled - divisor } else { doubled }) & (FRACTION_MASK << 1 | 1),
                quotient: (so_far.quotient << 1 | u64::from(fits)) & ((1 << QUOTIENT_BITS) - 1),
            }
        })
    }

    /// The reciprocal, once all bits of the quotient are there. The bit that rounds is enough: 1 / value is a tie of
    /// no value, and the significand never carries.
    #[must_use]
    pub fn round(self, value: Float36) -> Float36 {
        if value.is_zero() {
            return Float36::ZERO;
        }
        let power_of_two = self.quotient >> (QUOTIENT_BITS - 1) == 1;
        // Code 0 is below the smallest float: zero.
        if power_of_two {
            Float36::from_fields(false, 2 * EXPONENT_BIAS - value.exponent(), 0)
        } else {
            let significand = (self.quotient >> 1) + (self.quotient & 1);
            Float36::from_fields(false, EXPONENT_MAX - value.exponent(), significand & FRACTION_MASK)
        }
    }
}

/// 1 / value, rounded once to nearest even; of zero it is zero. The sign of `value` does not count.
#[must_use]
pub fn reciprocal(value: Float36) -> Float36 {
    let steps = QUOTIENT_BITS / BITS_PER_STEP;
    (0..steps).fold(Division::start(), |division, _| division.step(value)).round(value)
}

/// An exact product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Product {
    /// Sign.
    pub negative: bool,
    /// Sum of the exponent codes.
    pub exponent: i32,
    /// Product of the significands, 48 bits.
    pub total: u64,
}

/// The exact product of two floats.
#[must_use]
pub fn multiply(a: Float36, b: Float36) -> Product {
    Product {
        negative: a.is_negative() != b.is_negative(),
        exponent: a.exponent() + b.exponent(),
        total: a.significand() * b.significand(),
    }
}

/// A binary32 number together with "this result was clamped to the largest finite magnitude".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Binary32 {
    /// The bits.
    pub bits: u32,
    /// The exact result was out of range.
    pub overflow: bool,
}

/// The nearest binary32 number, ties to even; beyond the range the largest finite one, below the smallest normal one +0.
///
/// # Panics
/// When `product` is none of two floats.
#[must_use]
pub fn round(product: Product) -> Binary32 {
    if product.total == 0 {
        return Binary32::default();
    }
    let top = product.total >> (2 * FRACTION_BITS + 1);
    let normal = if top == 1 { product.total } else { product.total << 1 };
    let significand = normal >> (FRACTION_BITS + 1);
    let (half, rest) = (normal >> FRACTION_BITS & 1, normal & FRACTION_MASK);
    let up = half == 1 && (rest != 0 || significand & 1 == 1);
    let rounded = significand + u64::from(up);
    let carry = i32::from(rounded >> (FRACTION_BITS + 1) == 1);
    let code = product.exponent - (2 * EXPONENT_BIAS - BINARY32_BIAS) + i32::from(top == 1) + carry;
    if code < 1 {
        return Binary32::default();
    }
    let overflow = code > BINARY32_MAX;
    // On a carry the fraction bits are all zero, so they need no shift.
    let (code, fraction) =
        if overflow { (BINARY32_MAX, FRACTION_MASK) } else { (code, rounded & FRACTION_MASK) };
    let fraction = u32::try_from(fraction).expect("23 bits");
    let bits = u32::from(product.negative) << 31 | code.unsigned_abs() << FRACTION_BITS | fraction;
    Binary32 { bits, overflow }
}
