// SPDX-License-Identifier: Apache-2.0
//! Products with a matrix and attention in binary64, for whole models: the same results as [`gemv_row`](super::dot::gemv_row)
//! and [`attend`], which go by the definition and are slow. `model/tests/decoder.rs` compares them.
//!
//! Sums of blocks are exact integers. Times their power of two they are exact in binary64, for scales of MX blocks go from
//! 2^-127 to 2^127; what is added is rounded to 24 bits as in [`vector`](super::vector). Powers of two of scores may go beyond
//! binary64: rows with such scores are left to `attend`.

use std::ops::Range;
use std::sync::LazyLock;

use crate::numerics::{BLOCK_LEN, E8m0, MxFp4Block, MxInt8Block};

use super::attention::{Head, Query, Tokens, attend};
use super::dot::{e2m1_doubled, mxint8_units};
use super::softmax;

/// A scale that is not a number.
const NAN_SCALE: u8 = 255;
/// Powers of scores up to 2^400, times scales and 24 bits, are far from the ends of binary64.
const MOST_EXPONENT: i32 = 400;
/// Fraction bits of a score in fixed point, and its limit.
const SCORE_BITS: i32 = 12;
const SCORE_LIMIT: f64 = 1023.0;

/// Mantissas of 2^(f / 4096).
static MANTISSAS: LazyLock<Vec<u32>> =
    LazyLock::new(|| (0..1 << SCORE_BITS).map(|fraction| softmax::mantissa(fraction).into()).collect());

/// 2^exponent, a normal number of binary64.
fn two_to(exponent: i32) -> f64 {
    f64::from_bits(u64::from((exponent + 1023).unsigned_abs()) << 52)
}

/// To 24 bits of significand, the even one of two. Ranges are the caller's affair.
#[inline]
fn rounded24(x: f64) -> f64 {
    let bits = x.to_bits();
    let even = bits >> 29 & 1;
    f64::from_bits((bits + ((1 << 28) - 1) + even) >> 29 << 29)
}

/// Binary32 of a number of 24 bits: beyond the largest the largest, below the smallest normal one +0.
fn binary32(x: f64) -> u32 {
    let bits = x.to_bits();
    let sign = u32::try_from(bits >> 63).expect("a bit") << 31;
    let field = bits >> 52 & 0x7FF;
    let fraction = bits >> 29 & 0x7F_FFFF;
    match field {
        ..897 => 0,
        897..1151 => sign | u32::try_from((field - 896) << 23 | fraction).expect("31 bits"),
        _ => sign | 0x7F7F_FFFF,
    }
}

/// The nearest integer, the even one of two, to a number of less than 31 bits.
#[inline]
fn nearest(x: f64) -> i32 {
    const HIGH: f64 = 6_755_399_441_055_744.0; // 1.5 x 2^52: units of 1, and negative numbers borrow from the half.
    let [a, b, c, d, ..] = (x + HIGH).to_bits().to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// The power of two of a scale; 0 where it is not a number, for then the block counts nothing.
fn power(scale: E8m0, unit: i32) -> f64 {
    if scale.code() == NAN_SCALE { 0.0 } else { two_to(i32::from(scale.code()) - 127 + unit) }
}

/// MX blocks as integers and powers of two.
#[derive(Clone, Default, Debug)]
struct Integers {
    elements: Vec<[i8; BLOCK_LEN]>,
    powers: Vec<f64>,
}

impl Integers {
    fn fp4(blocks: &[MxFp4Block]) -> Self {
        let mut all = Self::default();
        all.extend_fp4(blocks);
        all
    }

    fn int8(blocks: &[MxInt8Block]) -> Self {
        let mut all = Self::default();
        all.extend_int8(blocks);
        all
    }

    fn extend_fp4(&mut self, blocks: &[MxFp4Block]) {
        let small = |n: i64| i8::try_from(n).expect("-12 to 12");
        self.elements.extend(blocks.iter().map(|block| block.elements.map(|e| small(e2m1_doubled(e)))));
        self.powers.extend(blocks.iter().map(|block| power(block.scale, -1)));
    }

    fn extend_int8(&mut self, blocks: &[MxInt8Block]) {
        let small = |n: i64| i8::try_from(n).expect("8 bits");
        self.elements.extend(blocks.iter().map(|block| block.elements.map(|e| small(mxint8_units(e)))));
        self.powers.extend(blocks.iter().map(|block| power(block.scale, -6)));
    }

    fn truncate(&mut self, blocks: usize) {
        self.elements.truncate(blocks);
        self.powers.truncate(blocks);
    }

    /// Some of these blocks times as many others, from +0.
    #[inline]
    fn dot(&self, of: Range<usize>, other: &Self, from: usize) -> f64 {
        let mine = self.elements[of.clone()].iter().zip(&self.powers[of.clone()]);
        let end = from + of.len();
        let others = other.elements[from..end].iter().zip(&other.powers[from..end]);
        mine.zip(others).fold(0.0, |sum, ((a, by_a), (b, by_b))| {
            rounded24(sum + f64::from(integer_dot(a, b)) * (by_a * by_b))
        })
    }
}

#[inline]
fn integer_dot(a: &[i8; BLOCK_LEN], b: &[i8; BLOCK_LEN]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

/// Rows of weights.
#[derive(Clone, Debug)]
pub struct Matrix {
    blocks: usize,
    integers: Integers,
}

impl Matrix {
    /// MXFP4 weights, so many blocks to a row.
    ///
    /// # Panics
    /// When the blocks are not whole rows.
    #[must_use]
    pub fn fp4(blocks: usize, weights: &[MxFp4Block]) -> Self {
        assert!(weights.len().is_multiple_of(blocks), "whole rows");
        Self { blocks, integers: Integers::fp4(weights) }
    }

    /// MXINT8 weights, so many blocks to a row.
    ///
    /// # Panics
    /// When the blocks are not whole rows.
    #[must_use]
    pub fn int8(blocks: usize, weights: &[MxInt8Block]) -> Self {
        assert!(weights.len().is_multiple_of(blocks), "whole rows");
        Self { blocks, integers: Integers::int8(weights) }
    }

    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.integers.powers.len() / self.blocks
    }

    /// Inputs.
    #[must_use]
    pub const fn inputs(&self) -> usize {
        self.blocks * BLOCK_LEN
    }

    /// Times the operands of each token: for each token binary32 of all rows.
    ///
    /// # Panics
    /// When the operands are not those of whole tokens.
    #[must_use]
    pub fn times(&self, x: &[MxInt8Block]) -> Vec<u32> {
        assert!(x.len().is_multiple_of(self.blocks), "whole tokens");
        let (tokens, rows) = (x.len() / self.blocks, self.rows());
        let x = Integers::int8(x);
        let mut results = vec![0; tokens * rows];
        // Some tokens' operands at a time, so that they stay near.
        for first in (0..tokens).step_by(16) {
            for row in 0..rows {
                let weights = row * self.blocks..(row + 1) * self.blocks;
                for token in first..tokens.min(first + 16) {
                    results[token * rows + row] =
                        binary32(self.integers.dot(weights.clone(), &x, token * self.blocks));
                }
            }
        }
        results
    }
}

/// Blocks of K or of V, token by token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Blocks {
    /// MXFP4.
    Fp4(Vec<MxFp4Block>),
    /// MXINT8.
    Int8(Vec<MxInt8Block>),
}

impl Blocks {
    /// None yet.
    #[must_use]
    pub const fn new(int8: bool) -> Self {
        if int8 { Self::Int8(Vec::new()) } else { Self::Fp4(Vec::new()) }
    }

    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tokens().len()
    }

    /// There is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all but the first ones.
    fn truncate(&mut self, blocks: usize) {
        match self {
            Self::Fp4(all) => all.truncate(blocks),
            Self::Int8(all) => all.truncate(blocks),
        }
    }

    /// As the reference of attention wants them.
    #[must_use]
    pub const fn tokens(&self) -> Tokens<'_> {
        match self {
            Self::Fp4(blocks) => Tokens::MxFp4(blocks.as_slice()),
            Self::Int8(blocks) => Tokens::MxInt8(blocks.as_slice()),
        }
    }

    /// Some of them.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn part(&self, of: Range<usize>) -> Self {
        match self {
            Self::Fp4(blocks) => Self::Fp4(blocks[of].to_vec()),
            Self::Int8(blocks) => Self::Int8(blocks[of].to_vec()),
        }
    }

    /// Puts others of the same format behind them.
    ///
    /// # Panics
    /// When their format is another.
    pub fn append(&mut self, other: &Self) {
        match (self, other) {
            (Self::Fp4(blocks), Self::Fp4(other)) => blocks.extend(other),
            (Self::Int8(blocks), Self::Int8(other)) => blocks.extend(other),
            _ => panic!("K and V are of one format"),
        }
    }

    fn code(&self, at: usize) -> u8 {
        match self {
            Self::Fp4(blocks) => blocks[at].scale.code(),
            Self::Int8(blocks) => blocks[at].scale.code(),
        }
    }
}

/// K and V of a head, token by token, and the same as integers.
#[derive(Clone, Debug)]
pub struct Session {
    /// Blocks of a token.
    blocks: usize,
    /// Accumulators that take the 32-token blocks in turns.
    groups: usize,
    keys: Blocks,
    values: Blocks,
    key_integers: Integers,
    value_integers: Integers,
    /// Scale codes of V.
    value_codes: Vec<i32>,
}

/// 2^score of a key: `mantissa x 2^(exponent - 11)`.
#[derive(Clone, Copy)]
struct Weight {
    exponent: i32,
    mantissa: u32,
}

impl Session {
    /// No token yet; so many blocks to a token.
    #[must_use]
    pub fn new(int8: bool, blocks: usize, groups: usize) -> Self {
        let (keys, values) = (Blocks::new(int8), Blocks::new(int8));
        let (key_integers, value_integers) = (Integers::default(), Integers::default());
        Self { blocks, groups, keys, values, key_integers, value_integers, value_codes: Vec::new() }
    }

    /// Tokens.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.keys.len() / self.blocks
    }

    /// K and V of further tokens.
    ///
    /// # Panics
    /// When they are of another format, or not whole and as many tokens.
    pub fn append(&mut self, keys: &Blocks, values: &Blocks) {
        assert!(keys.len() == values.len() && keys.len().is_multiple_of(self.blocks), "whole tokens");
        for (to, integers, blocks) in [
            (&mut self.keys, &mut self.key_integers, keys),
            (&mut self.values, &mut self.value_integers, values),
        ] {
            to.append(blocks);
            match blocks {
                Blocks::Fp4(blocks) => integers.extend_fp4(blocks),
                Blocks::Int8(blocks) => integers.extend_int8(blocks),
            }
        }
        self.value_codes.extend((0..values.len()).map(|at| i32::from(values.code(at))));
    }

    /// Forgets all tokens but the first ones.
    pub fn truncate(&mut self, tokens: usize) {
        let blocks = tokens * self.blocks;
        self.keys.truncate(blocks);
        self.values.truncate(blocks);
        self.key_integers.truncate(blocks);
        self.value_integers.truncate(blocks);
        self.value_codes.truncate(blocks);
    }

    /// Attention of one row of queries: binary32 of all elements. A row that sees no key gives +0.
    ///
    /// # Panics
    /// When it is to see keys that do not exist.
    #[must_use]
    pub fn attend(&self, query: &[MxInt8Block], visible: Range<usize>) -> Vec<u32> {
        assert!(visible.end <= self.tokens() && query.len() == self.blocks, "keys that exist");
        if visible.is_empty() {
            return vec![0; self.blocks * BLOCK_LEN];
        }
        let q = Integers::int8(query);
        let mut weights = Vec::with_capacity(visible.len());
        for key in visible.clone() {
            let score = self.key_integers.dot(key * self.blocks..(key + 1) * self.blocks, &q, 0);
            let fixed = nearest(score.clamp(-SCORE_LIMIT - 1.0, SCORE_LIMIT + 1.0) * two_to(SCORE_BITS));
            let limit = 1023 << SCORE_BITS;
            let fixed = fixed.clamp(-limit, limit);
            let exponent = fixed >> SCORE_BITS;
            if exponent.abs() > MOST_EXPONENT {
                return self.attend_by_definition(query, visible);
            }
            let fraction = usize::try_from(fixed & ((1 << SCORE_BITS) - 1)).expect("12 bits");
            weights.push(Weight { exponent, mantissa: MANTISSAS[fraction] });
        }
        self.mix(&weights, visible)
    }

    /// The same, from the definition.
    fn attend_by_definition(&self, blocks: &[MxInt8Block], visible: Range<usize>) -> Vec<u32> {
        let (keys, values) = (self.keys.tokens(), self.values.tokens());
        let head = Head { blocks: self.blocks, keys, values, groups: self.groups };
        attend(&head, &[Query { blocks, visible }]).swap_remove(0).values
    }

    /// V of the visible keys by their weights.
    fn mix(&self, weights: &[Weight], visible: Range<usize>) -> Vec<u32> {
        let unit = match self.values {
            Blocks::Fp4(_) => -1,
            Blocks::Int8(_) => -6,
        };
        let mut numerators = vec![vec![[0.0; BLOCK_LEN]; self.blocks]; self.groups];
        let mut denominators = vec![0.0; self.groups];
        let mut start = visible.start;
        let mut evs = Vec::with_capacity(BLOCK_LEN);
        while start < visible.end {
            let number = start / BLOCK_LEN;
            let end = visible.end.min((number + 1) * BLOCK_LEN);
            let group = number % self.groups;
            let of_block = &weights[start - visible.start..end - visible.start];
            for (block, accs) in numerators[group].iter_mut().enumerate() {
                evs.clear();
                evs.extend(of_block.iter().zip(start..end).map(|(weight, key)| {
                    let code = self.value_codes[key * self.blocks + block];
                    (code != i32::from(NAN_SCALE)).then_some(weight.exponent + code)
                }));
                let Some(top) = evs.iter().flatten().copied().max() else { continue };
                let mut sums = [0i32; BLOCK_LEN];
                for ((weight, ev), key) in of_block.iter().zip(&evs).zip(start..end) {
                    let p = ev.map_or(0, |ev| quantised(weight.mantissa, top - ev));
                    if p != 0 {
                        let v = &self.value_integers.elements[key * self.blocks + block];
                        for (sum, &v) in sums.iter_mut().zip(v) {
                            *sum += p * i32::from(v);
                        }
                    }
                }
                let power = two_to(top - 127 - 7 + unit);
                for (acc, n) in accs.iter_mut().zip(sums) {
                    *acc = rounded24(*acc + f64::from(n) * power);
                }
            }
            let top = of_block.iter().map(|weight| weight.exponent).max().expect("a key");
            let p: i32 = of_block.iter().map(|w| quantised(w.mantissa, top - w.exponent)).sum();
            denominators[group] = rounded24(denominators[group] + f64::from(p) * two_to(top - 7));
            start = end;
        }
        let joined = |parts: &mut dyn Iterator<Item = f64>| {
            parts.reduce(|sum, part| rounded24(sum + part)).expect("a group")
        };
        // Of quotients, too, binary64 has enough bits to round twice.
        let inverse = rounded24(1.0 / joined(&mut denominators.iter().copied()));
        let result = |block: usize, lane: usize| {
            let numerator = joined(&mut numerators.iter().map(|group| group[block][lane]));
            binary32(rounded24(numerator * inverse))
        };
        (0..self.blocks)
            .flat_map(|block| (0..BLOCK_LEN).map(move |lane| (block, lane)))
            .map(|(b, l)| result(b, l))
            .collect()
    }
}

/// p of a mantissa that stands so far below the largest.
#[inline]
fn quantised(mantissa: u32, below: i32) -> i32 {
    if below > 8 {
        return 0;
    }
    let shift = 4 + below;
    let even = mantissa >> shift & 1;
    let p = (mantissa + (1 << (shift - 1)) - 1 + even) >> shift;
    i32::try_from(p.min(255)).expect("8 bits")
}
