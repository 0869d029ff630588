// SPDX-License-Identifier: Apache-2.0
//! Reciprocals, of which [`multiply`](super::multiply) makes quotients (docs/numerics.md, "Division"). Each function is what the
//! hardware does between two registers.

use super::float36::{EXPONENT_BIAS, EXPONENT_MAX, FRACTION_BITS, Float36};

/// Bits of the quotient: one that only a power of two sets, the significand, and the bit that rounds.
pub const QUOTIENT_BITS: u32 = FRACTION_BITS + 3;
/// Quotient bits per step.
pub const BITS_PER_STEP: u32 = 2;
/// What the division starts from, as a remainder.
pub const FIRST_REMAINDER: u64 = 1 << (FRACTION_BITS - 1);

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
