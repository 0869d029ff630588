// SPDX-License-Identifier: Apache-2.0
//! Powers of two of scores, and p of a tile, from their definitions (docs/numerics.md, "Softmax").

use std::sync::LazyLock;

use num_bigint::BigUint;

use super::float::Exact;
use crate::numerics::Float36;

/// Scores are multiples of 2^-12 ...
const SCORE_PLACE: i32 = -12;
/// ... of a magnitude up to this.
const SCORE_LIMIT: i32 = 1023;
/// Entries of the table per binade.
const ENTRIES: u32 = 64;
/// A mantissa is in units of 2^-11, a table's entry in units of 2^-15.
const MANTISSA_BITS: u32 = 11;
const TABLE_BITS: u32 = 15;
/// p in units of the tile's maximum: 2^7 stands for 1.
const P_BITS: i32 = 7;

/// mantissa x 2^(exponent - 11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Power {
    /// The score was beyond +-1023.
    pub clamped: bool,
    /// Floor of the rounded score.
    pub exponent: i32,
    /// 2^fraction.
    pub mantissa: u16,
}

/// Entry `i` of the table: the nearest integer to 2^(i / 64) x 2^15. There are no ties.
#[must_use]
pub fn table_entry(i: u32) -> u32 {
    // t is not too small when 2^(i / 64) x 2^15 <= t + 1/2, both sides doubled and to the 64th.
    let bound = BigUint::from(1u32) << (i + ENTRIES * (TABLE_BITS + 1));
    let (mut low, mut high) = (1u32 << TABLE_BITS, 2u32 << TABLE_BITS);
    while low < high {
        let middle = low.midpoint(high);
        if BigUint::from(2 * middle + 1).pow(ENTRIES) >= bound {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

static TABLE: LazyLock<Vec<u32>> = LazyLock::new(|| (0..=ENTRIES).map(table_entry).collect());

/// 2^(fraction / 4096) as mantissa: the straight line between the two nearest entries, rounded, half a unit up.
#[must_use]
pub fn mantissa(fraction: u32) -> u16 {
    let per_entry = (1 << SCORE_PLACE.unsigned_abs()) / ENTRIES;
    let index = usize::try_from(fraction / per_entry).expect("below 64");
    let right = fraction % per_entry;
    let left = per_entry - right;
    // A weighted mean of the two, exact in units of 2^-15 / 64.
    let line = left * TABLE[index] + right * TABLE[index + 1];
    let unit = per_entry << (TABLE_BITS - MANTISSA_BITS);
    u16::try_from((2 * line + unit) / (2 * unit)).expect("12 bits")
}

/// 2^score.
#[must_use]
pub fn exp2(score: Float36) -> Power {
    let rounded = Exact::of(score).rounded_at(SCORE_PLACE);
    let limit = Exact::new(SCORE_LIMIT, 0);
    let clamped = rounded.abs() > limit;
    let clamp = if rounded.is_negative() { Exact::zero().minus(&limit) } else { limit };
    let score = if clamped { clamp } else { rounded };
    // The largest integer that is not above: at most 2 x 1023 + 1 to choose from.
    let (mut exponent, mut above) = (-SCORE_LIMIT, SCORE_LIMIT + 1);
    while above - exponent > 1 {
        let middle = exponent.midpoint(above);
        if Exact::new(middle, 0) <= score { exponent = middle } else { above = middle }
    }
    let fraction = score.minus(&Exact::new(exponent, 0));
    let units = fraction.times(&Exact::new(1, -SCORE_PLACE)).to_f64();
    let fraction = (0..1u32 << SCORE_PLACE.unsigned_abs()).find(|&f| f64::from(f) >= units);
    Power { clamped, exponent, mantissa: mantissa(fraction.expect("a fraction is below 1")) }
}

/// p of a tile's keys.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TileP {
    /// One per key.
    pub p: Vec<u8>,
    /// The largest exponent among the keys that count; `None` without such a key.
    pub maximum: Option<i32>,
}

impl TileP {
    /// The exponent of p's unit, short of the biases of V; 0 without a key that counts.
    #[must_use]
    pub fn exponent(&self) -> i32 {
        self.maximum.map_or(0, |maximum| maximum - P_BITS)
    }
}

/// p of a tile: of every key its weight, `None` where it is masked or its V scale is NaN, and an exponent that is
/// added to the weight's (V's scale code; 0 for the denominator).
#[must_use]
pub fn tile_p(keys: &[Option<(Power, i32)>]) -> TileP {
    let maximum = keys.iter().flatten().map(|(power, scale)| power.exponent + scale).max();
    let p = |key: &Option<(Power, i32)>| {
        let (power, scale) = (*key)?;
        let below = maximum? - (power.exponent + scale);
        Some(nearest(power.mantissa, below))
    };
    TileP { p: keys.iter().map(|key| p(key).unwrap_or(0)).collect(), maximum }
}

/// The 8-bit number nearest to mantissa x 2^-11 x 2^-below x 2^7, the even one of two.
fn nearest(mantissa: u16, below: i32) -> u8 {
    // Times 2^(4 + below): integers. Below 2^-20 nothing is left of any mantissa.
    let unit = 1i64 << (4 + below.min(20));
    (0..=255u8).min_by_key(|&p| ((i64::from(mantissa) - i64::from(p) * unit).abs(), p % 2)).unwrap_or(0)
}
