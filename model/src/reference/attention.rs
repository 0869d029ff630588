// SPDX-License-Identifier: Apache-2.0
//! Attention of one head, from the definition (docs/numerics.md, "Attention").

use std::ops::Range;
use std::sync::LazyLock;

use num_bigint::BigUint;

use crate::numerics::{Float36, MxFp4Block, MxInt8Block};

use super::dot::{Row, gemv_row};
use super::float::{self, Exact};
use super::pv::{self, LANES, TOKENS};

/// Fraction bits of a score in fixed point.
const SCORE_FRACTION_BITS: i32 = 12;
/// The largest score in fixed point, in magnitude.
const SCORE_LIMIT: i32 = 1023;
/// Entries of the exp2 table, and fractions between two of them.
const STEPS: i64 = 64;
/// A scale that is not a number.
const NAN_SCALE: u8 = 255;

/// 2^(i/64) x 2^15 to the nearest integer, i = 0..=64.
static TABLE: LazyLock<Vec<i64>> = LazyLock::new(|| {
    let entry = |i: u32| {
        // floor(2 x 2^(i/64) x 2^15) is a 64th root; a tie would make it an integer power, which none is.
        let twice = (BigUint::from(1u32) << (i + 64 * 16)).nth_root(64);
        let nearest: BigUint = (twice + 1u32) >> 1u32;
        i64::try_from(nearest).expect("17 bits")
    };
    (0..=64).map(entry).collect()
});

/// K or V of a session, token by token.
#[derive(Clone, Copy, Debug)]
pub enum Tokens<'a> {
    /// MXFP4, `tokens x blocks`.
    MxFp4(&'a [MxFp4Block]),
    /// MXINT8, `tokens x blocks`.
    MxInt8(&'a [MxInt8Block]),
}

impl<'a> Tokens<'a> {
    /// Blocks in all.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::MxFp4(all) => all.len(),
            Self::MxInt8(all) => all.len(),
        }
    }

    /// True when there is no block.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The blocks of one token.
    pub(super) fn token(&self, token: usize, blocks: usize) -> Row<'a> {
        let of = token * blocks..(token + 1) * blocks;
        match self {
            Self::MxFp4(all) => Row::MxFp4(&all[of]),
            Self::MxInt8(all) => Row::MxInt8(&all[of]),
        }
    }

    /// Scale code of one block.
    pub(super) fn scale(&self, index: usize) -> u8 {
        match self {
            Self::MxFp4(all) => all[index].scale.code(),
            Self::MxInt8(all) => all[index].scale.code(),
        }
    }

    /// Power of two that an element's integer is counted in.
    pub(super) const fn unit(&self) -> i32 {
        match self {
            Self::MxFp4(_) => -1,
            Self::MxInt8(_) => -6,
        }
    }
}

/// One head's K and V.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// MX blocks per token.
    pub blocks: usize,
    /// K, one token after the other.
    pub keys: Tokens<'a>,
    /// V, as many tokens and of the same format.
    pub values: Tokens<'a>,
    /// Accumulators that take the 32-token blocks in turns.
    pub groups: usize,
}

impl Head<'_> {
    /// Tokens of the session.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.keys.len() / self.blocks
    }
}

/// One row of queries.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// q, log2(e)/sqrt(d) folded in.
    pub blocks: &'a [MxInt8Block],
    /// The keys that it sees.
    pub visible: Range<usize>,
}

/// The keys that a query at `position` sees: none after its own position when `causal`, and when `window` is
/// not 0 none earlier than the `window` keys that end with its own. The range may be empty.
#[must_use]
pub fn visible_keys(tokens: usize, position: usize, causal: bool, window: usize) -> Range<usize> {
    let first = if window == 0 { 0 } else { (position + 1).saturating_sub(window) };
    let end = if causal { tokens.min(position + 1) } else { tokens };
    first..end
}

/// What a row can raise on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// No key was visible: the results are +0.
    pub empty: bool,
    /// A result was beyond binary32.
    pub overflow: bool,
    /// The score of a visible key left the range of the fixed point.
    pub clamped: bool,
    /// A block with scale code 255 contributed +0.
    pub nan_scale: bool,
    /// A float left its range.
    pub saturated: bool,
}

/// 2^score of a visible key: `mantissa x 2^(exponent - 11)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Weight {
    /// Floor of the score.
    pub exponent: i32,
    /// 2048..=4095.
    pub mantissa: u16,
}

/// Weights of a 32-token block in 8 bits: each is worth `p x 2^exponent`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Weights {
    /// One per token of the block; 0 where masked.
    pub p: Vec<u8>,
    /// With all constants; 0 when no key counts.
    pub exponent: i32,
}

/// What happened to a block of 32 tokens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenBlock {
    /// Its number: the position of its first token over 32.
    pub number: usize,
    /// For each block of V; the exponent counts the constants of V's elements too.
    pub folded: Vec<Weights>,
    /// For the denominator.
    pub plain: Weights,
}

/// Result of a row, and the way to it.
#[derive(Clone, Debug)]
pub struct Attended {
    /// binary32, 32 per block of the head.
    pub values: Vec<u32>,
    /// What was raised.
    pub flags: Flags,
    /// Score of every key that was fetched, from the first on.
    pub scores: Vec<Float36>,
    /// Weight of every key that was fetched, `None` where masked.
    pub weights: Vec<Option<Weight>>,
    /// The token blocks that hold a visible key.
    pub token_blocks: Vec<TokenBlock>,
    /// Numerators after the groups were added.
    pub numerators: Vec<Float36>,
    /// Denominator after the groups were added.
    pub denominator: Float36,
}

/// The keys that are fetched for these rows: from the start of the tile (32 tokens per group) of the first key that a
/// row sees, as many beats as it takes to the last one. A beat brings a token of every group, so tokens behind the last
/// one may come along. The scales of all of them can raise `nan_scale` in every row, masked or not.
#[must_use]
pub fn fetched_keys(head: &Head<'_>, queries: &[Query<'_>]) -> Vec<usize> {
    let Range { start, end } = seen_keys(head, queries);
    let tile = TOKENS * head.groups;
    let comes = |key: &usize| {
        let first = key - (key - start) % tile;
        (key - first) % TOKENS < end.saturating_sub(first).min(TOKENS)
    };
    (start..head.tokens().min(end.next_multiple_of(tile))).filter(comes).collect()
}

/// From the start of the first visible key's tile to the last visible key. Rows that see nothing do not count.
fn seen_keys(head: &Head<'_>, queries: &[Query<'_>]) -> Range<usize> {
    let seen = || queries.iter().map(|q| &q.visible).filter(|keys| !keys.is_empty());
    let first = seen().map(|keys| keys.start).min().unwrap_or(0);
    let end = seen().map(|keys| keys.end).max().unwrap_or(0);
    let tile = TOKENS * head.groups;
    first - first % tile..end
}

/// Attention of all rows.
///
/// # Panics
/// When the shapes do not agree.
#[must_use]
pub fn attend(head: &Head<'_>, queries: &[Query<'_>]) -> Vec<Attended> {
    assert_eq!(head.keys.len(), head.tokens() * head.blocks, "blocks of whole tokens");
    assert_eq!(head.keys.len(), head.values.len(), "K and V of the same tokens");
    let seen = seen_keys(head, queries);
    assert!(seen.is_empty() || seen.end <= head.tokens(), "rows see keys that exist");
    let behind: Vec<usize> = fetched_keys(head, queries).into_iter().filter(|&key| key >= seen.end).collect();
    queries.iter().map(|query| attend_row(head, query, seen.clone(), &behind)).collect()
}

/// `behind`: keys that come along with those that a row sees.
fn attend_row(head: &Head<'_>, query: &Query<'_>, fetched: Range<usize>, behind: &[usize]) -> Attended {
    let mut flags = Flags { empty: query.visible.is_empty(), ..Flags::default() };
    for &key in behind {
        let (_, raised) = gemv_row(head.keys.token(key, head.blocks), query.blocks);
        flags.nan_scale |= raised.nan_scale;
        flags.saturated |= raised.saturated;
    }
    let mut scores = Vec::with_capacity(fetched.len());
    let mut weights = Vec::with_capacity(fetched.len());
    for key in fetched.clone() {
        let (score, raised) = gemv_row(head.keys.token(key, head.blocks), query.blocks);
        flags.nan_scale |= raised.nan_scale;
        flags.saturated |= raised.saturated;
        scores.push(score);
        weights.push(query.visible.contains(&key).then(|| {
            let (weight, clamped) = exp2(score);
            flags.clamped |= clamped;
            weight
        }));
    }

    let mut token_blocks = Vec::new();
    let mut numerators = vec![vec![[Float36::ZERO; LANES]; head.blocks]; head.groups];
    let mut denominators = vec![Float36::ZERO; head.groups];
    let numbers = if query.visible.is_empty() {
        0..0
    } else {
        query.visible.start / TOKENS..query.visible.end.div_ceil(TOKENS)
    };
    for number in numbers {
        let keys = number * TOKENS..((number + 1) * TOKENS).min(fetched.end);
        let of_block = &weights[keys.start - fetched.start..keys.end - fetched.start];
        let group = number % head.groups;

        // The numerator: V's scales are folded into the exponents.
        let mut folded = Vec::with_capacity(head.blocks);
        for (block, acc) in numerators[group].iter_mut().enumerate() {
            let scale = |i: usize| head.values.scale((keys.start + i) * head.blocks + block);
            let is_nan = |i: usize| scale(i) == NAN_SCALE;
            flags.nan_scale |= (0..keys.len()).any(|i| of_block[i].is_some() && is_nan(i));
            let counted = |i: usize| of_block[i].filter(|_| !is_nan(i));
            let parts: Vec<Option<Weight>> = (0..keys.len())
                .map(|i| counted(i).map(|w| Weight { exponent: w.exponent + i32::from(scale(i)), ..w }))
                .collect();
            // p counts in 2^(maximum - 7); the scales carry E8M0's bias; V's integers have their unit.
            let tile = quantised(&parts, head.values.unit() - 127 - 7);
            let after = accumulate(*acc, head, keys.start, block, &tile);
            *acc = after.values;
            flags.saturated |= after.saturated;
            folded.push(tile);
        }

        // The denominator: without V.
        let plain = quantised(of_block, -7);
        let total: i64 = plain.p.iter().map(|&p| i64::from(p)).sum();
        let total = Exact::new(total, plain.exponent).round();
        let after = float::add(denominators[group], total.value);
        flags.saturated |= total.saturated || after.saturated;
        denominators[group] = after.value;
        token_blocks.push(TokenBlock { number, folded, plain });
    }

    let mut joined = |parts: Vec<Float36>| {
        let after = float::sum_from(parts[0], parts[1..].iter().copied());
        flags.saturated |= after.saturated;
        after.value
    };
    let lanes = |i: usize| numerators.iter().map(|group| group[i / LANES][i % LANES]).collect();
    let numerators: Vec<Float36> = (0..head.blocks * LANES).map(|i| joined(lanes(i))).collect();
    let denominator = joined(denominators.clone());
    let mut values = vec![0; numerators.len()];
    if !flags.empty {
        let reciprocal = reciprocal(denominator);
        for (value, numerator) in values.iter_mut().zip(&numerators) {
            let overflow;
            (*value, overflow) = binary32(&Exact::of(*numerator).times(&reciprocal));
            flags.overflow |= overflow;
        }
    }
    Attended { values, flags, scores, weights, token_blocks, numerators, denominator }
}

/// 2^score, and "the score left the range of the fixed point".
#[must_use]
pub fn exp2(score: Float36) -> (Weight, bool) {
    let rounded = Exact::of(score).rounded_at(-SCORE_FRACTION_BITS);
    let limit = Exact::new(SCORE_LIMIT, 0);
    let clamped = rounded.abs() > limit;
    let fixed = match (clamped, rounded.is_negative()) {
        (false, _) => rounded,
        (true, false) => limit,
        (true, true) => Exact::new(-SCORE_LIMIT, 0),
    };
    let fixed = fixed.multiple_of(-SCORE_FRACTION_BITS).expect("in range");
    let exponent = i32::try_from(fixed >> SCORE_FRACTION_BITS).expect("11 bits");
    (Weight { exponent, mantissa: mantissa(fixed & ((1 << SCORE_FRACTION_BITS) - 1)) }, clamped)
}

/// 2^(fraction / 4096) x 2^11: the table, and a straight line between its entries.
fn mantissa(fraction: i64) -> u16 {
    let (i, between) = (usize::try_from(fraction / STEPS).expect("6 bits"), fraction % STEPS);
    let y = STEPS * TABLE[i] + (TABLE[i + 1] - TABLE[i]) * between;
    u16::try_from((y + (1 << 9)) >> 10).expect("12 bits")
}

/// A block's weights in 8 bits under the exponent of the largest.
fn quantised(weights: &[Option<Weight>], constants: i32) -> Weights {
    let Some(maximum) = weights.iter().flatten().map(|w| w.exponent).max() else {
        return Weights { p: vec![0; weights.len()], exponent: 0 };
    };
    let p = |weight: &Option<Weight>| {
        let Some(w) = weight else { return 0 };
        // 2048..=4095 over 16 is 128 to below 256. Nine places further it is below a half.
        let value = Exact::new(w.mantissa, -4 - (maximum - w.exponent)).rounded_at(0);
        u8::try_from(value.multiple_of(0).expect("at most 256").min(255)).expect("8 bits")
    };
    Weights { p: weights.iter().map(p).collect(), exponent: maximum + constants }
}

/// Adds a block of tokens to the accumulators of one block of the head.
fn accumulate(
    acc: [Float36; LANES],
    head: &Head<'_>,
    first: usize,
    block: usize,
    weights: &Weights,
) -> pv::Accumulated {
    let index = |i: usize| (first + i) * head.blocks + block;
    let (p, tile_exponent) = (weights.p.as_slice(), weights.exponent);
    match head.values {
        Tokens::MxFp4(all) => {
            let v: Vec<_> = (0..p.len()).map(|i| all[index(i)].elements).collect();
            pv::accumulate(acc, &pv::Tile { p, values: pv::Values::MxFp4(&v), tile_exponent })
        }
        Tokens::MxInt8(all) => {
            let v: Vec<_> = (0..p.len()).map(|i| all[index(i)].elements).collect();
            pv::accumulate(acc, &pv::Tile { p, values: pv::Values::MxInt8(&v), tile_exponent })
        }
    }
}

/// 1/value to the nearest number of 24 significand bits. `value` is positive.
fn reciprocal(value: Float36) -> Exact {
    let bits = value.bits();
    let code = i32::try_from(bits >> 23).expect("12 bits, positive");
    // value = n x 2^(code - 2071) with n of 24 bits.
    let n = (1u64 << 23) + (bits & 0x7F_FFFF);
    // 2^47/n to the nearest integer. Only powers of two divide 2^48, and of them only 2^23 is an n: no tie.
    let nearest = ((1u64 << 48) / n).div_ceil(2);
    Exact::new(nearest, 2071 - code - 47)
}

/// Bits of the nearest binary32 number: the largest one and true beyond the range, +0 below the smallest normal.
fn binary32(value: &Exact) -> (u32, bool) {
    let rounded = value.rounded_to(24);
    let sign = u32::from(rounded.is_negative()) << 31;
    match rounded.floor_log2() {
        Some(log2) if log2 > 127 => (sign | 0x7F7F_FFFF, true),
        Some(log2) if log2 >= -126 => {
            let log2 = i32::try_from(log2).expect("binary32");
            let significand = rounded.abs().multiple_of(log2 - 23).expect("24 bits");
            let fraction = u32::try_from(significand - (1 << 23)).expect("23 bits");
            let field = u32::try_from(log2 + 127).expect("8 bits");
            (sign | field << 23 | fraction, false)
        }
        _ => (0, false),
    }
}
