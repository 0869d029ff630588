// SPDX-License-Identifier: Apache-2.0
//! Attention of a row in binary64 on the same codes, and how far the documented rules may be from it
//! (docs/numerics.md, "Error of attention", whose letters are used here).

use super::attention::{Head, Query, Tokens};
use super::dot::{e2m1_doubled, gemv_row_exact, mxint8_units};
use super::pv::{LANES, TOKENS};

/// Half a unit in the last place of 24 bits, relative.
const U: f64 = 1.0 / 16_777_216.0;
/// Rounding of a score to 12 fraction bits.
const SCORE_ROUNDING: f64 = 1.0 / 8192.0;
/// Largest relative error of the mantissa of exp2 over all 4096 fractions, rounded up (a test measures it).
pub const EXP2_ERROR: f64 = 17.0 / 65536.0;
/// What binary64 itself may be wrong by, relative to a sum of magnitudes: scores stay below 2^11.
const BINARY64: f64 = 1.0 / 1_099_511_627_776.0;
/// The smallest normal binary32 number.
const SMALLEST: f64 = 1.0 / (4_294_967_296.0 * 4_294_967_296.0 * 4_294_967_296.0 * 1_073_741_824.0);

/// Answer and promise, one per element of the head.
#[derive(Clone, Debug)]
pub struct Figures {
    /// softmax(q K) V on the codes, in binary64.
    pub exact: Vec<f64>,
    /// |result - exact| is at most this when no flag but `nan_scale` or `empty` is raised. Infinite when scores
    /// cancel so far that their own rounding may change any weight beyond recognition.
    pub bound: Vec<f64>,
}

/// A visible key. Weights are relative to 2^(largest score).
struct Key {
    /// Number of its block of 32.
    block: usize,
    /// Exact weight.
    weight: f64,
    /// Largest relative error of the stored weight.
    eta: f64,
    /// The largest that the stored exponent can be.
    exponent: f64,
    /// Its place in the session.
    token: usize,
}

/// Sum of the rounded weights, before and after its own rounding.
#[derive(Default)]
struct Rounding {
    /// Largest error by p's eight bits.
    p: f64,
    /// Largest error by the additions of floats.
    floats: f64,
}

/// The exact answer of a row, and the bound.
///
/// # Panics
/// When the shapes do not agree.
#[must_use]
pub fn figures(head: &Head<'_>, query: &Query<'_>) -> Figures {
    let elements = head.blocks * LANES;
    let zeros = || vec![0.0; elements];
    if query.visible.is_empty() {
        return Figures { exact: zeros(), bound: zeros() };
    }
    let (keys, top) = keys(head, query);
    let depth = additions(&keys, head.groups);

    let denominator: f64 = keys.iter().map(|k| k.weight).sum();
    let ones: Vec<Option<(f64, f64)>> = keys.iter().map(|_| Some((1.0, 0.0))).collect();
    let below = rounding(&keys, &ones, top, depth);
    let least = denominator - keys.iter().map(|k| k.weight * k.eta).sum::<f64>() - below.p - below.floats;

    let mut figures = Figures { exact: zeros(), bound: zeros() };
    for j in 0..elements {
        // Magnitude and scale exponent of V, None where its scale is NaN.
        let of_key = |k: &Key| value(head, k.token, j);
        let values: Vec<Option<(f64, i32)>> = keys.iter().map(of_key).collect();
        let v = |i: usize| values[i].map_or(0.0, |(element, scale)| element * f64::from(scale).exp2());
        let exact = (0..keys.len()).map(|i| keys[i].weight * v(i)).sum::<f64>() / denominator;
        let size = (0..keys.len()).map(|i| keys[i].weight * v(i).abs()).sum::<f64>() / denominator;
        let scaled: Vec<_> =
            values.iter().map(|v| v.map(|(element, scale)| (element.abs(), f64::from(scale)))).collect();
        let above = rounding(&keys, &scaled, top, depth);
        // Numerator and denominator read the same stored weight: only v's distance from the answer counts.
        let stored: f64 = (0..keys.len()).map(|i| keys[i].weight * keys[i].eta * (v(i) - exact).abs()).sum();
        let quotient = if least > 0.0 {
            (stored + above.p + above.floats + exact.abs() * (below.p + below.floats)) / least
        } else {
            f64::INFINITY
        };
        figures.exact[j] = exact;
        figures.bound[j] =
            quotient + (exact.abs() + quotient) * (2.0 * U + U * U) + SMALLEST + size * BINARY64;
    }
    figures
}

/// The visible keys and the largest score.
fn keys(head: &Head<'_>, query: &Query<'_>) -> (Vec<Key>, f64) {
    let scores: Vec<_> = query
        .visible
        .clone()
        .map(|key| gemv_row_exact(head.keys.token(key, head.blocks), query.blocks))
        .collect();
    let top = scores.iter().map(|(score, _)| score).max().expect("a visible key");
    let gamma = gamma(head.blocks.saturating_sub(1));
    let keys = query.visible.clone().zip(&scores).map(|(token, (score, magnitudes))| {
        let delta = gamma * magnitudes.to_f64() + SCORE_ROUNDING;
        Key {
            block: token / TOKENS,
            weight: score.minus(top).to_f64().exp2(),
            eta: delta.exp2() * (1.0 + EXP2_ERROR) - 1.0,
            exponent: (score.to_f64() + delta + BINARY64).floor(),
            token,
        }
    });
    (keys.collect(), top.to_f64())
}

/// Errors of sum over keys of weight x magnitude x 2^scale (`None`: no part in it), whose weights are rounded to
/// p block by block and whose block sums are added as floats.
fn rounding(keys: &[Key], values: &[Option<(f64, f64)>], top: f64, depth: usize) -> Rounding {
    let mut errors = Rounding::default();
    let mut sizes = 0.0;
    let mut from = 0;
    for block in keys.chunk_by(|a, b| a.block == b.block) {
        let values = &values[from..from + block.len()];
        from += block.len();
        let exponents = block.iter().zip(values).filter_map(|(k, v)| v.map(|(_, scale)| k.exponent + scale));
        let maximum = exponents.fold(f64::NEG_INFINITY, f64::max);
        for (key, value) in block.iter().zip(values) {
            let Some((magnitude, scale)) = value else { continue };
            let stored = key.weight * (1.0 + key.eta) * magnitude * scale.exp2();
            // Only p of the largest binade saturates, from 255 + 15/16 at most.
            let units = if key.exponent + scale >= maximum { 15.0 / 16.0 } else { 0.5 };
            // A p below a half becomes 0, so nothing loses more than itself.
            let lost = (units * (maximum - 7.0 - top).exp2() * magnitude).min(stored);
            errors.p += lost;
            sizes += stored + lost;
        }
    }
    errors.floats = gamma(depth) * sizes;
    errors
}

/// The most additions that round on the way of a block sum to the end.
fn additions(keys: &[Key], groups: usize) -> usize {
    let mut blocks = vec![0usize; groups];
    for block in keys.chunk_by(|a, b| a.block == b.block) {
        blocks[block[0].block % groups] += 1;
    }
    let longest = blocks.iter().max().copied().unwrap_or(0);
    longest.saturating_sub(1) + groups - 1
}

/// Relative error of a sum after so many roundings.
fn gamma(roundings: usize) -> f64 {
    let n = f64::from(u32::try_from(roundings).expect("few")) * U;
    n / (1.0 - n)
}

/// Element `j` of a token's V without its scale, and the scale's exponent; `None` for a NaN scale.
fn value(head: &Head<'_>, token: usize, j: usize) -> Option<(f64, i32)> {
    let index = token * head.blocks + j / LANES;
    let code = head.values.scale(index);
    let integer = match head.values {
        Tokens::MxFp4(all) => e2m1_doubled(all[index].elements[j % LANES]),
        Tokens::MxInt8(all) => mxint8_units(all[index].elements[j % LANES]),
    };
    let element = f64::from(i32::try_from(integer).expect("8 bits")) * f64::from(head.values.unit()).exp2();
    (code != 255).then(|| (element, i32::from(code) - 127))
}
