// SPDX-License-Identifier: Apache-2.0
//! Named cases of attention with fixed seeds. What they hold is the same on every host: sums, products and square
//! roots of binary32, quantised.

use tandem_model::numerics::{BLOCK_LEN, MxFp4Block, MxInt8Block, ScaleRule};

use super::session::{Queries, Session};
use crate::array::Stream;
use crate::random::split_mix;

/// Most that the relative L2 error against binary64 on the same codes may be, row by row, where nothing else is said.
pub const RELATIVE_ERROR: f64 = 1.2e-2;

/// Where the weight of a row lies. Logits are natural: a weight is e^logit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Normally distributed logits of this deviation.
    Spread(f32),
    /// Key 0 has this logit, all others have logits of deviation 1.
    Sink(f32),
    /// The same, and key 0's V is 2^-7 of the others' size.
    EmptySink(f32),
    /// Deviation 1; V of each token is scaled by 2^0 .. 2^n.
    ValueScales(u8),
    /// Eight keys of deviation 1, then all others at this logit.
    Tail(f32),
    /// One key in 32 at logit 0, all others at this one.
    Strong(f32),
}

/// A case of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is about.
    pub name: &'static str,
    /// Where the weight lies.
    pub shape: Shape,
    /// Keys.
    pub tokens: usize,
    /// Keys that a row sees; 0: all.
    pub window: u32,
    /// K and V in MXINT8, else MXFP4.
    pub int8: bool,
    /// 64 or 128.
    pub head_dim: usize,
    /// Most that the relative L2 error of a row may be.
    pub limit: f64,
    /// Of everything random.
    pub seed: u64,
}

/// Limit where keys weigh little beside one of their own block of 32 and matter all the same: most have a p below a
/// half and are lost to both sums (docs/numerics.md, "What eight bits lose").
const EIGHT_BITS: f64 = 3e-2;

/// Name, shape, keys, window, limit of the relative error.
const SHAPES: [(&str, Shape, usize, u32, f64); 25] = [
    ("flat", Shape::Spread(0.0), 256, 0, RELATIVE_ERROR),
    ("peaked", Shape::Spread(4.0), 256, 0, RELATIVE_ERROR),
    ("sink +12", Shape::Sink(12.0), 256, 0, RELATIVE_ERROR),
    ("sink +18", Shape::Sink(18.0), 256, 0, RELATIVE_ERROR),
    ("V scales over 2^4", Shape::ValueScales(4), 256, 0, RELATIVE_ERROR),
    ("V scales over 2^8", Shape::ValueScales(8), 256, 0, RELATIVE_ERROR),
    ("V scales over 2^12", Shape::ValueScales(12), 256, 0, RELATIVE_ERROR),
    ("V scales over 2^16", Shape::ValueScales(16), 256, 0, RELATIVE_ERROR),
    ("long tail at -4", Shape::Tail(-4.0), 768, 0, EIGHT_BITS),
    ("long tail at -8", Shape::Tail(-8.0), 768, 0, RELATIVE_ERROR),
    ("1 key", Shape::Spread(1.0), 1, 0, RELATIVE_ERROR),
    ("2 keys", Shape::Spread(1.0), 2, 0, RELATIVE_ERROR),
    ("31 keys", Shape::Spread(1.0), 31, 0, RELATIVE_ERROR),
    ("32 keys", Shape::Spread(1.0), 32, 0, RELATIVE_ERROR),
    ("33 keys", Shape::Spread(1.0), 33, 0, RELATIVE_ERROR),
    ("one strong, 31 weak at -2", Shape::Strong(-2.0), 32, 0, RELATIVE_ERROR),
    ("window of 100", Shape::Spread(1.0), 300, 100, RELATIVE_ERROR),
    ("1k keys", Shape::Spread(1.0), 1024, 0, RELATIVE_ERROR),
    ("4k keys", Shape::Spread(1.0), 4096, 0, RELATIVE_ERROR),
    ("one strong, 31 weak at -4", Shape::Strong(-4.0), 32, 0, EIGHT_BITS),
    ("one strong, 31 weak at -6", Shape::Strong(-6.0), 32, 0, 3.0 * EIGHT_BITS),
    ("sink +6", Shape::Sink(6.0), 256, 0, EIGHT_BITS),
    ("sink +6 with V near 0", Shape::EmptySink(6.0), 256, 0, EIGHT_BITS),
    ("sink +12 with V near 0", Shape::EmptySink(12.0), 256, 0, RELATIVE_ERROR),
    ("sink +18 with V near 0", Shape::EmptySink(18.0), 256, 0, RELATIVE_ERROR),
];

/// Every case: each shape in both formats and both head sizes.
#[must_use]
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, shape, tokens, window, limit) in SHAPES {
        for (int8, head_dim) in [(false, 64), (false, 128), (true, 64), (true, 128)] {
            let seed = 1 + cases.len() as u64;
            cases.push(Case { name, shape, tokens, window, int8, head_dim, limit, seed });
        }
    }
    cases
}

impl Case {
    /// The session, and rows of queries at its last positions.
    #[must_use]
    pub fn generate(&self, rows: usize) -> (Session, Queries) {
        let mut random = Normal(self.seed);
        let root = f32::from(u16::try_from(self.head_dim).expect("a head")).sqrt();
        // Queries share a direction, which keys lean to as much as their logit wants.
        let direction = random.vector(self.head_dim);
        let square = dot(&direction, &direction);
        let mut keys = Vec::new();
        let mut values = Vec::new();
        for token in 0..self.tokens {
            let (logit, size) = self.token(token, &mut random);
            let mut key = random.vector(self.head_dim);
            let lean = (logit * root - dot(&direction, &key)) / square;
            key.iter_mut().zip(&direction).for_each(|(k, d)| *k += lean * d);
            keys.extend(key);
            values.extend(random.vector(self.head_dim).iter().map(|v| v * size));
        }
        let fold = std::f32::consts::LOG2_E / root;
        let mut own = Normal(!self.seed);
        let query = |_| {
            let noise = own.vector(self.head_dim);
            let q: Vec<f32> = direction.iter().zip(&noise).map(|(d, n)| (d + 0.2 * n) * fold).collect();
            int8_blocks(&q)
        };
        let queries = Queries {
            rows: (0..rows).map(query).collect(),
            positions: (0..rows)
                .map(|row| u32::try_from((self.tokens + row).saturating_sub(rows)).expect("a position"))
                .collect(),
            causal: true,
            window: self.window,
        };
        let stream = |all: &[f32]| {
            if self.int8 { Stream::Int8(int8_blocks(all)) } else { Stream::Fp4(fp4_blocks(all)) }
        };
        (Session { head_dim: self.head_dim, keys: stream(&keys), values: stream(&values) }, queries)
    }

    /// Logit and size of V of a token.
    fn token(&self, token: usize, random: &mut Normal) -> (f32, f32) {
        match self.shape {
            Shape::Spread(deviation) => (random.number() * deviation, 1.0),
            Shape::Sink(logit) if token == 0 => (logit, 1.0),
            Shape::EmptySink(logit) if token == 0 => (logit, 1.0 / 128.0),
            Shape::Sink(_) | Shape::EmptySink(_) => (random.number(), 1.0),
            Shape::ValueScales(range) => {
                let exponent = split_mix(&mut random.0) % (u64::from(range) + 1);
                (random.number(), f32::from_bits(u32::try_from(127 + exponent).expect("8 bits") << 23))
            }
            Shape::Tail(_) if token < 8 => (random.number(), 1.0),
            Shape::Strong(_) if token % 32 == 13 => (0.0, 1.0),
            Shape::Tail(logit) | Shape::Strong(logit) => (logit, 1.0),
        }
    }
}

/// Numbers of about the normal distribution: twelve uniform ones added up (Irwin and Hall).
struct Normal(u64);

impl Normal {
    fn number(&mut self) -> f32 {
        let uniform = |_| u16::try_from(split_mix(&mut self.0) >> 52).expect("12 bits");
        f32::from((0..12).map(uniform).sum::<u16>()) / 4096.0 - 6.0
    }

    fn vector(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| self.number()).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |total, (a, b)| total + a * b)
}

fn blocks(values: &[f32]) -> impl Iterator<Item = &[f32; BLOCK_LEN]> {
    values.as_chunks().0.iter()
}

fn int8_blocks(values: &[f32]) -> Vec<MxInt8Block> {
    blocks(values).map(|block| MxInt8Block::quantise(block, ScaleRule::Even).block).collect()
}

fn fp4_blocks(values: &[f32]) -> Vec<MxFp4Block> {
    blocks(values).map(|block| MxFp4Block::quantise(block, ScaleRule::Even).block).collect()
}
