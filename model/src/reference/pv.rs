// SPDX-License-Identifier: Apache-2.0
//! p times V, a tile of up to 32 tokens by 32 lanes at a time (docs/numerics.md, "Blocks and scales").

use crate::numerics::{E2m1, Float36, Mxint8};

use super::dot::{e2m1_doubled, mxint8_units};
use super::float::{self, Exact};

/// Lanes (head dimensions) of a tile.
pub const LANES: usize = 32;
/// Most tokens of a tile.
pub const TOKENS: usize = 32;

/// V of a tile: per token, one element per lane. Scales are folded into p and `tile_exponent`.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// MXFP4 elements, \[tokens\]\[lanes\].
    MxFp4(&'a [[E2m1; LANES]]),
    /// MXINT8 elements, \[tokens\]\[lanes\].
    MxInt8(&'a [[Mxint8; LANES]]),
}

impl Values<'_> {
    /// Tokens.
    fn tokens(&self) -> usize {
        match self {
            Self::MxFp4(v) => v.len(),
            Self::MxInt8(v) => v.len(),
        }
    }

    /// The integer the array multiplies: doubled for E2M1, units of 2^-6 for MXINT8.
    fn integer(&self, token: usize, lane: usize) -> i64 {
        match self {
            Self::MxFp4(v) => e2m1_doubled(v[token][lane]),
            Self::MxInt8(v) => mxint8_units(v[token][lane]),
        }
    }
}

/// One tile: its lane sums are worth `n x 2^tile_exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Tile<'a> {
    /// Weight of each token, unsigned 8 bits; masked tokens and tokens whose V scale is NaN have 0.
    pub p: &'a [u8],
    /// V, as many tokens as `p`.
    pub values: Values<'a>,
    /// Signed 12 bits, all constants included.
    pub tile_exponent: i32,
}

/// The accumulators after a tile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accumulated {
    /// One float per lane.
    pub values: [Float36; LANES],
    /// Some lane's conversion or addition was out of range.
    pub saturated: bool,
}

/// The exact integer sum over the tokens, per lane.
///
/// # Panics
/// When there are more than 32 tokens or `p` and V have different numbers of them.
#[must_use]
pub fn lane_sums(tile: &Tile<'_>) -> [i64; LANES] {
    assert!(tile.p.len() <= TOKENS, "at most {TOKENS} tokens");
    assert_eq!(tile.p.len(), tile.values.tokens(), "tokens of p and V");
    let product = |token: usize, lane| i64::from(tile.p[token]) * tile.values.integer(token, lane);
    std::array::from_fn(|lane| (0..tile.p.len()).map(|token| product(token, lane)).sum())
}

/// Adds a tile to the accumulators: each lane sum converted, then added, both clamped in range.
///
/// # Panics
/// As [`lane_sums`], and when `tile_exponent` is not a signed 12-bit number.
#[must_use]
pub fn accumulate(acc: [Float36; LANES], tile: &Tile<'_>) -> Accumulated {
    assert!((-2048..=2047).contains(&tile.tile_exponent), "tile_exponent {} of 12 bits", tile.tile_exponent);
    let mut after = Accumulated { values: acc, saturated: false };
    for (value, n) in after.values.iter_mut().zip(lane_sums(tile)) {
        let lane = Exact::new(n, tile.tile_exponent).round();
        let sum = float::add(*value, lane.value);
        *value = sum.value;
        after.saturated |= lane.saturated || sum.saturated;
    }
    after
}
