// SPDX-License-Identifier: Apache-2.0
//! A decoder on the numerics of the hardware, straight over tensors: no commands, no memory, no time. Every result that the
//! hardware writes on the way is in a [`Step`], so that each can be compared bit for bit.
//!
//! Tensors are token after token; within a token head after head. binary32 is given as its bits.

use std::ops::Range;

use crate::numerics::{BLOCK_LEN, Float36, MxInt8Block};

use super::attention::visible_keys;
use super::command::Shape;
use super::fast::{Blocks, Matrix, Session};
use super::vector;

/// Sizes of a model, and how its cache is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    /// Features of the residual stream.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Heads of K and V.
    pub kv_heads: usize,
    /// Elements of a head: 64 or 128.
    pub head_dim: usize,
    /// Features of the feed-forward layer.
    pub intermediate: usize,
    /// What is added to mean squares, binary32.
    pub eps: u32,
    /// Queries and keys are normed head by head.
    pub norms_heads: bool,
    /// K and V are MXINT8, else MXFP4.
    pub int8: bool,
    /// Segments of the array: they decide in how many groups attention adds.
    pub segments: usize,
}

/// Weights of a layer. Norms are binary32.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Norm ahead of attention.
    pub input_norm: Vec<u32>,
    /// Rows of K of all heads, then of V.
    pub kv: Matrix,
    /// Queries.
    pub q: Matrix,
    /// Norm of a head of K; ones where there is none.
    pub k_norm: Vec<u32>,
    /// Norm of a head of queries, times log2(e) / sqrt(d); that alone where there is none.
    pub q_norm: Vec<u32>,
    /// Output of attention.
    pub o: Matrix,
    /// Norm ahead of the feed-forward layer.
    pub post_attention_norm: Vec<u32>,
    /// Rows of the gate, then those that it multiplies.
    pub gate_up: Matrix,
    /// Output of the feed-forward layer.
    pub down: Matrix,
    /// Keys that a token sees, the last of them its own; 0: all.
    pub window: usize,
}

/// A model.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// Sizes.
    pub sizes: Sizes,
    /// Rows of binary32.
    pub embedding: Vec<u32>,
    /// For each position the cosines of all pairs, then the sines.
    pub angles: Vec<u32>,
    /// Layers, the first one first.
    pub layers: Vec<Layer>,
    /// Norm ahead of the head.
    pub final_norm: Vec<u32>,
    /// The head.
    pub head: Matrix,
}

/// What a decoder keeps of a sequence: for each layer its heads of K and V.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<Vec<Session>>,
    tokens: usize,
}

impl Cache {
    /// Tokens so far.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.tokens
    }

    /// The same K and V of further tokens for every head of every layer: a long sequence of which nobody asks what it said.
    ///
    /// # Panics
    /// As [`Session::append`].
    pub fn append(&mut self, keys: &Blocks, values: &Blocks) {
        let mut heads = self.layers.iter_mut().flatten();
        let Some(first) = heads.next() else { return };
        let before = first.tokens();
        first.append(keys, values);
        self.tokens += first.tokens() - before;
        heads.for_each(|head| head.append(keys, values));
    }

    /// Forgets all tokens but the first ones.
    pub fn truncate(&mut self, tokens: usize) {
        self.tokens = self.tokens.min(tokens);
        self.layers.iter_mut().flatten().for_each(|head| head.truncate(tokens));
    }
}

/// What a layer computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LayerStep {
    /// Operands of `kv` and `q`.
    pub normed: Vec<MxInt8Block>,
    /// K of all heads, then V.
    pub kv: Vec<u32>,
    /// Queries.
    pub q: Vec<u32>,
    /// Queries, normed and rotated.
    pub queries: Vec<MxInt8Block>,
    /// K, normed and rotated.
    pub keys: Blocks,
    /// V.
    pub values: Blocks,
    /// Results of attention.
    pub attended: Vec<u32>,
    /// Operands of `o`.
    pub mixed: Vec<MxInt8Block>,
    /// Output of attention.
    pub o: Vec<u32>,
    /// Residual stream behind attention.
    pub middle: Vec<u32>,
    /// Operands of `gate_up`.
    pub middle_normed: Vec<MxInt8Block>,
    /// The gate, then what it multiplies.
    pub gate_up: Vec<u32>,
    /// Operands of `down`.
    pub gated: Vec<MxInt8Block>,
    /// Output of the feed-forward layer.
    pub down: Vec<u32>,
    /// Residual stream behind the layer.
    pub residual: Vec<u32>,
}

/// What a step computes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// Residual stream ahead of the first layer.
    pub embedded: Vec<u32>,
    /// Layers.
    pub layers: Vec<LayerStep>,
    /// Operands of the head.
    pub normed: Vec<MxInt8Block>,
    /// Logits of the tokens for which they were wanted.
    pub logits: Vec<u32>,
    /// For each of these the index of the largest logit, and that logit.
    pub best: Vec<(usize, u32)>,
}

/// Rows of the residual stream, with the scale of each.
struct Stream {
    rows: Vec<u32>,
    scales: Vec<Float36>,
}

impl Decoder {
    /// No tokens yet.
    #[must_use]
    pub fn cache(&self) -> Cache {
        let Sizes { head_dim, kv_heads, int8, segments, .. } = self.sizes;
        let groups = Shape::new(segments, int8, head_dim == 128).groups;
        let head = Session::new(int8, head_dim / BLOCK_LEN, groups);
        Cache { layers: vec![vec![head; kv_heads]; self.layers.len()], tokens: 0 }
    }

    /// Further tokens of a sequence, and the logits of those that are in `logits`.
    ///
    /// A token that is not in the embedding is token 0, as for the hardware.
    ///
    /// # Panics
    /// When the angles do not reach so far, or tensors are not of the sizes.
    #[must_use]
    pub fn step(&self, cache: &mut Cache, tokens: &[u32], logits: Range<usize>) -> Step {
        let hidden = self.sizes.hidden;
        let first = cache.tokens;
        cache.tokens += tokens.len();
        let vocabulary = self.embedding.len() / hidden;
        let embedded: Vec<u32> = tokens
            .iter()
            .map(|&token| usize::try_from(token).ok().filter(|&row| row < vocabulary).unwrap_or(0))
            .flat_map(|row| &self.embedding[row * hidden..(row + 1) * hidden])
            .copied()
            .collect();
        let mut stream = self.stream(&vector::copied(&embedded));
        let embedded = stream.rows.clone();
        let mut layers = Vec::with_capacity(self.layers.len());
        for (layer, sessions) in self.layers.iter().zip(&mut cache.layers) {
            let step = self.layer(layer, sessions, first, &mut stream);
            layers.push(step);
        }
        let normed = self.norm(&stream, &self.final_norm);
        let of_token = hidden / BLOCK_LEN;
        let logits = self.head.times(&normed[logits.start * of_token..logits.end * of_token]);
        let best = logits.chunks(self.head.rows()).map(|logits| {
            let best = vector::argmax(logits).expect("a logit");
            (best, logits[best])
        });
        Step { embedded, layers, normed, best: best.collect(), logits }
    }

    fn layer(&self, layer: &Layer, sessions: &mut [Session], first: usize, stream: &mut Stream) -> LayerStep {
        let Sizes { heads, kv_heads, head_dim, intermediate, .. } = self.sizes;
        let normed = self.norm(stream, &layer.input_norm);
        let kv = layer.kv.times(&normed);
        let q = layer.q.times(&normed);

        let ones = vec![1.0f32.to_bits(); head_dim];
        let (mut k_values, mut v_values, mut q_values) = (Vec::new(), Vec::new(), Vec::new());
        for (position, (kv, q)) in
            (first..).zip(kv.chunks(2 * kv_heads * head_dim).zip(q.chunks(heads * head_dim)))
        {
            let angles = Some(&self.angles[position * head_dim..(position + 1) * head_dim]);
            let (k, v) = kv.split_at(kv_heads * head_dim);
            let norms = self.sizes.norms_heads;
            k_values.extend(self.heads(k, &layer.k_norm, norms, angles));
            v_values.extend(self.heads(v, &ones, false, None));
            q_values.extend(self.heads(q, &layer.q_norm, norms, angles));
        }
        let queries = vector::mxint8_blocks(&q_values);
        let (keys, values) = (self.blocks(&k_values), self.blocks(&v_values));
        let attended = self.attention(layer, sessions, first, &queries, (&keys, &values));

        let mixed = vector::mxint8_blocks(&vector::all_narrowed(&vector::copied(&attended)));
        let o = layer.o.times(&mixed);
        *stream = self.stream(&vector::added(&stream.rows, &o));
        let middle = stream.rows.clone();
        let middle_normed = self.norm(stream, &layer.post_attention_norm);
        let gate_up = layer.gate_up.times(&middle_normed);
        let gated = gate_up.chunks(2 * intermediate).flat_map(|both| {
            let (gate, up) = both.split_at(intermediate);
            vector::mxint8_blocks(&vector::all_narrowed(&vector::gated(gate, up)))
        });
        let gated: Vec<_> = gated.collect();
        let down = layer.down.times(&gated);
        *stream = self.stream(&vector::added(&stream.rows, &down));
        let residual = stream.rows.clone();
        LayerStep {
            normed,
            kv,
            q,
            queries,
            keys,
            values,
            attended,
            mixed,
            o,
            middle,
            middle_normed,
            gate_up,
            gated,
            down,
            residual,
        }
    }

    /// The residual stream of these rows, and the scales of the norms that follow.
    fn stream(&self, values: &[Float36]) -> Stream {
        let hidden = self.sizes.hidden;
        let (mean, eps) = (mean(hidden), self.sizes.eps);
        let scales = values.chunks(hidden).map(|row| vector::norm_scale(row, mean, eps)).collect();
        Stream { rows: vector::all_narrowed(values), scales }
    }

    fn norm(&self, stream: &Stream, weights: &[u32]) -> Vec<MxInt8Block> {
        let rows = stream.rows.chunks(self.sizes.hidden).zip(&stream.scales);
        rows.flat_map(|(row, &scale)| {
            vector::mxint8_blocks(&vector::all_narrowed(&vector::normed(row, scale, weights)))
        })
        .collect()
    }

    /// Heads of one token, normed or times their weights alone, and rotated if there are angles.
    fn heads(&self, x: &[u32], weights: &[u32], norms: bool, angles: Option<&[u32]>) -> Vec<u32> {
        let dim = self.sizes.head_dim;
        let mut values = Vec::with_capacity(x.len());
        for head in x.chunks(dim) {
            let scale = if norms {
                vector::norm_scale(&vector::copied(head), mean(dim), self.sizes.eps)
            } else {
                vector::round24(1.0, 0)
            };
            let mut z = vector::normed(head, scale, weights);
            if let Some((cosines, sines)) = angles.map(|angles| angles.split_at(dim / 2)) {
                z = vector::rotated(&z, cosines, sines);
            }
            values.extend(vector::all_narrowed(&z));
        }
        values
    }

    /// K or V in the format of the cache.
    fn blocks(&self, values: &[u32]) -> Blocks {
        if self.sizes.int8 {
            Blocks::Int8(vector::mxint8_blocks(values))
        } else {
            Blocks::Fp4(vector::mxfp4_blocks(values))
        }
    }

    /// Attention of all query heads of these tokens, which first go into the sessions.
    fn attention(
        &self,
        layer: &Layer,
        sessions: &mut [Session],
        first: usize,
        queries: &[MxInt8Block],
        (keys, values): (&Blocks, &Blocks),
    ) -> Vec<u32> {
        let Sizes { heads, kv_heads, head_dim, .. } = self.sizes;
        let of_head = head_dim / BLOCK_LEN;
        let tokens = queries.len() / (heads * of_head);
        for token in 0..tokens {
            for (head, session) in sessions.iter_mut().enumerate() {
                let at = (token * kv_heads + head) * of_head;
                session.append(&keys.part(at..at + of_head), &values.part(at..at + of_head));
            }
        }
        let mut attended = Vec::with_capacity(tokens * heads * head_dim);
        for (number, query) in queries.chunks(of_head).enumerate() {
            let (position, head) = (first + number / heads, number % heads);
            let session = &sessions[head / (heads / kv_heads)];
            attended
                .extend(session.attend(query, visible_keys(session.tokens(), position, true, layer.window)));
        }
        attended
    }
}

/// 1 / features, to the nearest binary32.
fn mean(features: usize) -> u32 {
    vector::narrowed(vector::round24(1.0 / f64::from(u32::try_from(features).expect("20 bits")), 0))
}
