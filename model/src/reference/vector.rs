// SPDX-License-Identifier: Apache-2.0
//! The vector commands from the definition (docs/numerics.md, "Vector unit"), as plain functions on slices.
//!
//! Numbers in memory are bits of binary32. Between them every operation is done in binary64 and rounded to 24 bits of
//! significand ([`round24`]). Rounding twice does no harm: products of two significands of 24 bits are exact in binary64, and a
//! sum that is rounded to 53 bits first, at least 2 x 24 + 2, then rounds to 24 as the exact one does. Exponents are kept
//! apart, because those of the float go further than binary64's.

use crate::numerics::{BLOCK_LEN, E2m1, E8m0, Float36, MxFp4Block, MxInt8Block, Mxint8};

pub use super::functions::{power, reciprocal, root};

/// Lanes over which the elements of a sum of squares are dealt.
const LANES: usize = 16;
/// Partial sums of a lane.
const PARTIAL_SUMS: usize = 8;
/// Minus log2(e) to the nearest binary32.
const MINUS_LOG2_E: u32 = 0xBFB8_AA3B;
/// The exponent code of 1.
const BIAS: i32 = 2048;
/// The largest exponent code.
const MOST_CODE: i32 = 4095;
/// The exponent that stands with a significand of 0: below all others.
const NO_EXPONENT: i32 = -(1 << 16);
/// Sign of a float.
const SIGN: u64 = 1 << 35;
/// Exponent and fraction of the largest float.
const LARGEST: u64 = SIGN - 1;

/// A float from words that are one.
fn float(bits: u64) -> Float36 {
    Float36::from_bits(bits).expect("36 bits, exponent code not 0")
}

/// 2^exponent for a small exponent.
fn two_to(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + 1023).unsigned_abs()) << 52)
}

/// The float's significand, with its sign, 1 or more and below 2, and its exponent.
fn parts(value: Float36) -> (f64, i32) {
    let bits = value.bits();
    if bits == 0 {
        return (0.0, NO_EXPONENT);
    }
    let code = i32::try_from(bits >> 23 & 0xFFF).expect("12 bits");
    // The same fraction, its first bit below the hidden one of binary64, under the exponent 0.
    let significand = (bits >> 35) << 63 | 1023 << 52 | (bits & 0x7F_FFFF) << 29;
    (f64::from_bits(significand), code - BIAS)
}

/// `x x 2^exponent` to 24 bits of significand, the even one of two; beyond the largest float the largest, below the
/// smallest 0. `x` is a normal number of binary64, or 0.
#[must_use]
pub fn round24(x: f64, exponent: i32) -> Float36 {
    if x == 0.0 {
        return Float36::ZERO;
    }
    let bits = x.to_bits();
    // 29 of the 52 bits of the fraction go. A carry out of the rest goes on into the exponent, as it should.
    let even = bits >> 29 & 1;
    let rounded = (bits + ((1 << 28) - 1) + even) >> 29;
    let sign = rounded >> 34 & 1;
    let code = i32::try_from(rounded >> 23 & 0x7FF).expect("11 bits") - 1023 + exponent + BIAS;
    if code > MOST_CODE {
        float(sign << 35 | LARGEST)
    } else if code < 1 {
        Float36::ZERO
    } else {
        float(sign << 35 | u64::from(code.unsigned_abs()) << 23 | rounded & 0x7F_FFFF)
    }
}

/// a x b.
#[must_use]
pub fn product(a: Float36, b: Float36) -> Float36 {
    let ((x, by_x), (y, by_y)) = (parts(a), parts(b));
    round24(x * y, by_x + by_y)
}

/// a + b.
#[must_use]
pub fn sum(a: Float36, b: Float36) -> Float36 {
    let ((x, by_x), (y, by_y)) = (parts(a), parts(b));
    let ((x, exponent), (y, by_y)) =
        if by_x < by_y { ((y, by_y), (x, by_x)) } else { ((x, by_x), (y, by_y)) };
    // 100 places down nothing is left of y but that the sum is not exact.
    round24(x + y * two_to(-(exponent - by_y).min(100)), exponent)
}

/// -a. There is one zero.
#[must_use]
pub fn negated(a: Float36) -> Float36 {
    if a.bits() == 0 { a } else { float(a.bits() ^ SIGN) }
}

/// The float of a binary32 number. Subnormals are 0; field 255 is an exponent as any other.
#[must_use]
pub fn widened(bits: u32) -> Float36 {
    let field = bits >> 23 & 0xFF;
    if field == 0 {
        return Float36::ZERO;
    }
    let significand = f64::from((1 << 23) + (bits & 0x7F_FFFF));
    let signed = if bits >> 31 == 1 { -significand } else { significand };
    round24(signed, i32::try_from(field).expect("8 bits") - 127 - 23)
}

/// The binary32 number of a float: beyond the largest the largest, below the smallest normal one +0.
#[must_use]
pub fn narrowed(value: Float36) -> u32 {
    let (x, exponent) = parts(value);
    let sign = if x < 0.0 { 1 << 31 } else { 0 };
    let fraction = u32::try_from(value.bits() & 0x7F_FFFF).expect("23 bits");
    match exponent {
        128.. => sign | 0x7F7F_FFFF,
        -126..128 => sign | (exponent + 127).unsigned_abs() << 23 | fraction,
        _ => 0,
    }
}

/// All of them.
#[must_use]
pub fn all_narrowed(values: &[Float36]) -> Vec<u32> {
    values.iter().map(|&value| narrowed(value)).collect()
}

/// The sum of squares. Element i goes to lane i mod 16 and there to partial sum (i / 16) mod 8; then the partial sums of a
/// lane are added, four to four, two to two, one to one, then the lanes likewise.
#[must_use]
pub fn sum_of_squares(values: &[Float36]) -> Float36 {
    let mut sums = [[Float36::ZERO; LANES]; PARTIAL_SUMS];
    for (i, &value) in values.iter().enumerate() {
        let partial = &mut sums[i / LANES % PARTIAL_SUMS][i % LANES];
        *partial = sum(*partial, product(value, value));
    }
    let lanes: [Float36; LANES] = std::array::from_fn(|lane| halved(sums.map(|sums| sums[lane])));
    halved(lanes)
}

/// The sum of a power of two of addends: the upper half is added to the lower one until one is left.
fn halved<const N: usize>(mut addends: [Float36; N]) -> Float36 {
    let mut half = N / 2;
    while half > 0 {
        for i in 0..half {
            addends[i] = sum(addends[i], addends[i + half]);
        }
        half /= 2;
    }
    addends[0]
}

/// What a norm multiplies with: 1 / sqrt(the sum of squares x mean + eps). `mean` is 1/n to the nearest binary32.
#[must_use]
pub fn norm_scale(values: &[Float36], mean: u32, eps: u32) -> Float36 {
    root(sum(product(sum_of_squares(values), widened(mean)), widened(eps)))
}

/// Rows of a table: nothing happens to them but that they are read and written.
#[must_use]
pub fn copied(x: &[u32]) -> Vec<Float36> {
    x.iter().map(|&x| widened(x)).collect()
}

/// x + y, element by element.
#[must_use]
pub fn added(x: &[u32], y: &[u32]) -> Vec<Float36> {
    x.iter().zip(y).map(|(&x, &y)| sum(widened(x), widened(y))).collect()
}

/// (x * scale) * weight, element by element.
#[must_use]
pub fn normed(x: &[u32], scale: Float36, weights: &[u32]) -> Vec<Float36> {
    x.iter().zip(weights).map(|(&x, &weight)| product(product(widened(x), scale), widened(weight))).collect()
}

/// The pairs (z\[j\], z\[j + n/2\]) turned by the angles with these cosines and sines.
#[must_use]
pub fn rotated(z: &[Float36], cosines: &[u32], sines: &[u32]) -> Vec<Float36> {
    let half = z.len() / 2;
    let turned = |i: usize| {
        let (cosine, sine) = (widened(cosines[i % half]), widened(sines[i % half]));
        let other = if i < half { negated(product(z[i + half], sine)) } else { product(z[i - half], sine) };
        sum(product(z[i], cosine), other)
    };
    (0..2 * half).map(turned).collect()
}

/// (g / (1 + e^-g)) * u, element by element.
#[must_use]
pub fn gated(g: &[u32], u: &[u32]) -> Vec<Float36> {
    let gate = |(&g, &u): (&u32, &u32)| {
        let (g, u) = (widened(g), widened(u));
        let inverse = power(product(g, widened(MINUS_LOG2_E)));
        product(product(g, reciprocal(sum(round24(1.0, 0), inverse))), u)
    };
    g.iter().zip(u).map(gate).collect()
}

/// Index of the largest of these binary32 numbers, the lowest of several; -0 is not less than +0, field 255 is an exponent
/// as any other. `None` without a number.
#[must_use]
pub fn argmax(values: &[u32]) -> Option<usize> {
    // The magnitude's bits rise with the magnitude.
    let number = |bits: u32| {
        let magnitude = i64::from(bits & 0x7FFF_FFFF);
        if bits >> 31 == 1 { -magnitude } else { magnitude }
    };
    let first_of_the_largest =
        |best: usize, i: usize| if number(values[i]) > number(values[best]) { i } else { best };
    (0..values.len()).reduce(first_of_the_largest)
}

/// Exponent of the scale: `most` is that of the format's largest element, `precision` the bits of a significand there.
fn scale_exponent(values: &[u32; BLOCK_LEN], most: i32, precision: u32) -> i32 {
    let amax = values.iter().map(|bits| bits & 0x7FFF_FFFF).max().expect("32 values");
    let (field, fraction) = (i32::try_from(amax >> 23).expect("8 bits"), amax & 0x7F_FFFF);
    if field == 0 {
        return -127;
    }
    // Rounded to so many bits amax is a power of two when all of them are ones and so is the next.
    let carry = fraction >> (23 - precision) == (1 << precision) - 1;
    (field - 127 + i32::from(carry) - most).clamp(-127, 127)
}

/// 2^-scale times a binary32 number, exactly.
fn scaled(bits: u32, scale: i32) -> f64 {
    f64::from(f32::from_bits(bits)) * two_to(-scale)
}

/// Blocks of MXINT8, as `quantise::mxint8` makes them under rule `even`. `values` are finite and whole blocks.
#[must_use]
pub fn mxint8_blocks(values: &[u32]) -> Vec<MxInt8Block> {
    let block = |values: &[u32; BLOCK_LEN]| {
        let scale = scale_exponent(values, 0, 7);
        let elements = values.map(|bits| {
            let units = (scaled(bits, scale) * 64.0).round_ties_even().clamp(-127.0, 127.0);
            Mxint8::new(small_integer(units))
        });
        MxInt8Block { scale: scale_code(scale), elements }
    };
    values.as_chunks().0.iter().map(block).collect()
}

/// Blocks of MXFP4, as `quantise::mxfp4` makes them under rule `even`. `values` are finite and whole blocks.
#[must_use]
pub fn mxfp4_blocks(values: &[u32]) -> Vec<MxFp4Block> {
    let block = |values: &[u32; BLOCK_LEN]| {
        let scale = scale_exponent(values, 2, 2);
        let elements = values.map(|bits| {
            let doubled = scaled(bits, scale).abs() * 2.0;
            // Twice the elements are 0, 1, 2, 3, 4, 6, 8, 12: in steps of 1, 2 and 4. A tie between steps is one of codes.
            let step =
                [(4.0, 1.0), (8.0, 2.0)].iter().find(|(below, _)| doubled < *below).map_or(4.0, |s| s.1);
            let nearest = ((doubled / step).round_ties_even() * step).min(12.0);
            let code = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0].iter().take_while(|&&m| m < nearest).count();
            let sign = if bits >> 31 == 1 { 8 } else { 0 };
            E2m1::from_code(sign | u8::try_from(code).expect("8 codes")).expect("4 bits")
        });
        MxFp4Block { scale: scale_code(scale), elements }
    };
    values.as_chunks().0.iter().map(block).collect()
}

/// The scale with this exponent.
fn scale_code(exponent: i32) -> E8m0 {
    E8m0::from_code(u8::try_from(exponent + 127).expect("-127..=127"))
}

/// An integer of -127 to 127 that comes as a number.
fn small_integer(x: f64) -> i8 {
    // 2^52 + x has x in its last bits.
    let bits = (x + 1.5 * two_to(52)).to_bits().to_le_bytes();
    i8::from_le_bytes([bits[0]])
}
