// SPDX-License-Identifier: Apache-2.0
//! Multiplication of floats (docs/numerics.md, "The float"). Each function is what the hardware does between two registers.

use super::float36::{EXPONENT_BIAS, EXPONENT_BITS, EXPONENT_MAX, FRACTION_BITS, Float36, Rounded};
use crate::block::Bits;

const FRACTION_MASK: u64 = (1 << FRACTION_BITS) - 1;

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

/// Step 1: the exact product of two floats.
#[must_use]
#[inline]
pub fn exact(a: Float36, b: Float36) -> Product {
    Product {
        negative: a.is_negative() != b.is_negative(),
        exponent: a.exponent() + b.exponent(),
        total: a.significand() * b.significand(),
    }
}

/// A format of products: a sign, an exponent code, as many fraction bits as a float.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Format {
    /// Bits of the exponent code.
    pub code_bits: u32,
    /// Code of 2^0.
    pub bias: i32,
    /// Largest code.
    pub most: i32,
}

/// A float, as [`Float36::to_bits`](crate::block::Bits::to_bits) has it.
pub const FLOAT: Format = Format { code_bits: EXPONENT_BITS, bias: EXPONENT_BIAS, most: EXPONENT_MAX };
/// Finite binary32.
pub const BINARY32: Format = Format { code_bits: 8, bias: 127, most: 254 };

/// The bits of a product, and whether it was clamped to the largest magnitude of its format.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Clamped {
    /// The bits.
    pub bits: u64,
    /// The exact result was out of range.
    pub saturated: bool,
}

impl Clamped {
    /// The float of these bits, of a product in [`FLOAT`].
    #[must_use]
    #[inline]
    pub fn float(self) -> Rounded {
        Rounded { value: <Float36 as Bits>::from_bits(self.bits), saturated: self.saturated }
    }
}

/// Step 2: the nearest number of a format, ties to even; beyond its range the largest one, below its smallest normal one +0.
///
/// # Panics
/// When `product` is none of two floats.
#[must_use]
#[inline]
pub fn round(product: Product, format: Format) -> Clamped {
    if product.total == 0 {
        return Clamped::default();
    }
    let top = product.total >> (2 * FRACTION_BITS + 1);
    let normal = if top == 1 { product.total } else { product.total << 1 };
    let significand = normal >> (FRACTION_BITS + 1);
    let (half, rest) = (normal >> FRACTION_BITS & 1, normal & FRACTION_MASK);
    let up = half == 1 && (rest != 0 || significand & 1 == 1);
    let rounded = significand + u64::from(up);
    let carry = i32::from(rounded >> (FRACTION_BITS + 1) == 1);
    let code = product.exponent - (2 * EXPONENT_BIAS - format.bias) + i32::from(top == 1) + carry;
    if code < 1 {
        return Clamped::default();
    }
    let saturated = code > format.most;
    // On a carry the fraction bits are all zero, so they need no shift.
    let (code, fraction) =
        if saturated { (format.most, FRACTION_MASK) } else { (code, rounded & FRACTION_MASK) };
    let signed = u64::from(product.negative) << format.code_bits | u64::from(code.unsigned_abs());
    Clamped { bits: signed << FRACTION_BITS | fraction, saturated }
}
