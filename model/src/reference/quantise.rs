// SPDX-License-Identifier: Apache-2.0
//! The MX quantisers from their definition: exact values, and a search for the nearest element
//! (docs/numerics.md, "Quantisers").

use std::cmp::Ordering;

use crate::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8, Quantised, ScaleRule};

use super::float::Exact;

/// Twice the E2M1 magnitudes, by code.
const E2M1_MAGNITUDES: [i32; 8] = [0, 1, 2, 3, 4, 6, 8, 12];

/// What the two formats differ in.
struct Format {
    /// floor(log2) of the largest element.
    emax: i32,
    /// Significand bits of an element in the largest binade.
    precision: i64,
}

const E2M1: Format = Format { emax: 2, precision: 2 };
const INT8: Format = Format { emax: 0, precision: 7 };

/// Quantises a block to MXFP4.
#[must_use]
pub fn mxfp4(values: &[f32; BLOCK_LEN], rule: ScaleRule) -> Quantised<MxFp4Block> {
    let Some(exact) = exact_values(values) else {
        let block = MxFp4Block { scale: E8m0::from_code(255), ..MxFp4Block::default() };
        return Quantised { block, non_finite: true };
    };
    let scale = scale_exponent(&exact, rule, &E2M1);
    let elements = std::array::from_fn(|i| e2m1_element(&exact[i], values[i].is_sign_negative(), scale));
    Quantised { block: MxFp4Block { scale: scale_code(scale), elements }, non_finite: false }
}

/// Quantises a block to MXINT8.
#[must_use]
pub fn mxint8(values: &[f32; BLOCK_LEN], rule: ScaleRule) -> Quantised<MxInt8Block> {
    let Some(exact) = exact_values(values) else {
        let block = MxInt8Block { scale: E8m0::from_code(255), ..MxInt8Block::default() };
        return Quantised { block, non_finite: true };
    };
    let scale = scale_exponent(&exact, rule, &INT8);
    let magnitudes: Vec<i32> = (0..=127).collect();
    let elements = std::array::from_fn(|i| {
        let units = i8::try_from(nearest(&exact[i].abs(), &magnitudes, scale - 6)).expect("at most 127");
        Mxint8::new(if exact[i].is_negative() { -units } else { units })
    });
    Quantised { block: MxInt8Block { scale: scale_code(scale), elements }, non_finite: false }
}

/// The E2M1 element nearest to one number under scale 1; `None` for Inf and NaN.
#[must_use]
pub fn e2m1(value: f32) -> Option<E2m1> {
    Exact::of_f32(value).map(|exact| e2m1_element(&exact, value.is_sign_negative(), 0))
}

/// The E2M1 element nearest to a number over 2^scale. Its sign comes apart: -0 keeps it and an exact zero has
/// none.
fn e2m1_element(x: &Exact, negative: bool, scale: i32) -> E2m1 {
    let code = nearest(&x.abs(), &E2M1_MAGNITUDES, scale - 1);
    let sign = if negative { 8 } else { 0 };
    E2m1::from_code(sign | u8::try_from(code).expect("8 codes")).expect("4 bits")
}

/// The exact values; `None` when one is Inf or NaN.
fn exact_values(values: &[f32; BLOCK_LEN]) -> Option<Vec<Exact>> {
    values.iter().map(|&v| Exact::of_f32(v)).collect()
}

/// The scale's exponent, -127..=127.
fn scale_exponent(values: &[Exact], rule: ScaleRule, format: &Format) -> i32 {
    let amax = values.iter().map(Exact::abs).max().expect("32 values");
    // Zero, and by decree every subnormal amax, takes the smallest scale.
    if amax < Exact::new(1, -126) {
        return -127;
    }
    let amax = match rule {
        ScaleRule::Floor => amax,
        ScaleRule::Even => amax.rounded_to(format.precision),
    };
    let log2 = i32::try_from(amax.floor_log2().expect("not zero")).expect("binary32");
    (log2 - format.emax).clamp(-127, 127)
}

/// The scale with this exponent.
fn scale_code(exponent: i32) -> E8m0 {
    E8m0::from_code(u8::try_from(exponent + 127).expect("-127..=127"))
}

/// Index of the magnitude (ascending integers, units of 2^unit) nearest to `x`, not negative; ties to the
/// even index.
fn nearest(x: &Exact, magnitudes: &[i32], unit: i32) -> usize {
    let value = |index: usize| Exact::new(magnitudes[index], unit);
    let above = {
        let (mut low, mut high) = (0, magnitudes.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if value(middle) < *x { low = middle + 1 } else { high = middle }
        }
        low
    };
    if above == 0 {
        return 0;
    }
    if above == magnitudes.len() {
        return above - 1;
    }
    let below = above - 1;
    match x.minus(&value(below)).cmp(&value(above).minus(x)) {
        Ordering::Less => below,
        Ordering::Greater => above,
        Ordering::Equal => below + below % 2,
    }
}
