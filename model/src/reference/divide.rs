// SPDX-License-Identifier: Apache-2.0
//! Division from the definition: numerator x RNE(1 / denominator), rounded to binary32 once (docs/numerics.md,
//! "Division").

use num_bigint::BigUint;

use super::float::Exact;
use crate::numerics::Float36;

/// Significand bits of binary32 and of the 36-bit float.
const SIGNIFICAND_BITS: i64 = 24;
/// Quotient bits below the binary point: far more than decide a rounding.
const QUOTIENT: i32 = 96;

/// 1 / value as a float: nearest, ties to even. `None` for zero and below.
#[must_use]
pub fn reciprocal(value: Float36) -> Option<Float36> {
    let bits = value.bits();
    let code = i32::try_from(bits >> 23 & 0xFFF).expect("12 bits");
    if code == 0 || bits >> 35 == 1 {
        return None;
    }
    // value = n x 2^(code - 2071), so 1 / value = (1 / n) x 2^(2071 - code).
    let n = BigUint::from((1u64 << 23) + (bits & 0x7F_FFFF));
    let one = BigUint::from(1u32) << QUOTIENT.unsigned_abs();
    let quotient = &one / &n;
    // What is left decides as a bit below all others.
    let left = &quotient * &n != one;
    let sticky = (quotient << 1u32) + u32::from(left);
    Some(Exact::new(sticky, 2071 - code - QUOTIENT - 1).round().value)
}

/// A number as binary32: its bits, and whether it was beyond the range.
#[must_use]
pub fn to_binary32(exact: &Exact) -> (u32, bool) {
    let rounded = exact.rounded_to(SIGNIFICAND_BITS);
    let Some(log2) = rounded.floor_log2() else {
        return (0, false);
    };
    let sign = u32::from(rounded.is_negative()) << 31;
    if log2 > 127 {
        return (sign | 0x7F7F_FFFF, true);
    }
    if log2 < -126 {
        return (0, false);
    }
    // 24 significand bits and this exponent are exact in binary64: its fraction's top 23 bits are binary32's.
    let fraction = rounded.to_f64().to_bits() >> 29 & 0x7F_FFFF;
    let field = u32::try_from(log2 + 127).expect("1 to 254");
    (sign | field << 23 | u32::try_from(fraction).expect("23 bits"), false)
}

/// numerator x inverse, rounded once; +0 where there is no inverse.
#[must_use]
pub fn scaled(numerator: Float36, inverse: Option<Float36>) -> (u32, bool) {
    inverse.map_or((0, false), |inverse| to_binary32(&Exact::of(numerator).times(&Exact::of(inverse))))
}

/// numerator x RNE(1 / denominator); +0 where the denominator is 0.
#[must_use]
pub fn divide(numerator: Float36, denominator: Float36) -> (u32, bool) {
    scaled(numerator, reciprocal(denominator))
}
