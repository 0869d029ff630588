// SPDX-License-Identifier: Apache-2.0
//! The forward pass of Qwen3 and Llama in binary32, after their definition in transformers.

use crate::checkpoint::{Checkpoint, Layer, Linear, Matrix};
use crate::config::Config;
use crate::error::HostError;
use crate::math;
use crate::observe::{Observer, Rows, Unobserved};
use crate::rope::{self, Rope};
use crate::state::{Cache, Hidden, LayerCache, Step};

/// A forward pass over one checkpoint.
pub struct Forward<'a> {
    checkpoint: &'a Checkpoint,
    rope: Rope,
    round: Option<fn(&mut [f32])>,
}

impl<'a> Forward<'a> {
    /// A forward pass over `checkpoint`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::check`]; never for a checkpoint as it was loaded.
    pub fn new(checkpoint: &'a Checkpoint) -> Result<Self, HostError> {
        checkpoint.check()?;
        Ok(Self { checkpoint, rope: Rope::new(&checkpoint.config), round: None })
    }

    /// The same with K and V rounded on their way into the cache, all else in binary32: what a format of the cache costs by itself.
    #[must_use]
    pub fn rounding(self, round: fn(&mut [f32])) -> Self {
        Self { round: Some(round), ..self }
    }

    /// An empty cache for this model.
    #[must_use]
    pub fn cache(&self) -> Cache {
        let layers = vec![LayerCache::default(); self.config().num_hidden_layers];
        Cache { layers, width: self.config().key_width(), tokens: 0 }
    }

    /// Appends the tokens `ids` to `cache` and computes their residual streams and logits.
    ///
    /// # Errors
    ///
    /// As [`Forward::hidden`].
    pub fn step(
        &self,
        cache: &mut Cache,
        ids: &[u32],
        observer: &mut dyn Observer,
    ) -> Result<Step, HostError> {
        let hidden = self.hidden(cache, ids, observer)?;
        let logits = self.logits(&hidden.normed, observer)?;
        Ok(Step { hidden, logits })
    }

    /// Appends the tokens `ids` to `cache` and computes their residual streams, without the head: for prompts,
    /// of which only the last token's logits are wanted.
    ///
    /// # Errors
    ///
    /// [`HostError::EmptyPrompt`] without tokens, [`HostError::UnknownToken`] for an id beyond the vocabulary,
    /// [`HostError::TooLong`] when the model has no more positions, [`HostError::ForeignCache`] for a cache of
    /// another model. The cache is unchanged then.
    pub fn hidden(
        &self,
        cache: &mut Cache,
        ids: &[u32],
        observer: &mut dyn Observer,
    ) -> Result<Hidden, HostError> {
        let mut x = self.embed(cache, ids)?;
        let mut residual = Vec::with_capacity(self.checkpoint.layers.len() + 1);
        let past = cache.tokens;
        cache.tokens += ids.len();
        let layers = self.checkpoint.layers.iter().zip(&mut cache.layers);
        for (index, (layer, cache)) in layers.enumerate() {
            residual.push(x.clone());
            let mut at = At { index, layer, observer: &mut *observer };
            self.attention(&mut at, cache, past, &mut x);
            self.feed_forward(&mut at, &mut x);
        }
        residual.push(x.clone());
        self.norm(&mut x, &self.checkpoint.final_norm);
        Ok(Hidden { residual, normed: x })
    }

    /// The head alone: `normed` is `[tokens, hidden_size]` as in [`Hidden::normed`], the result
    /// `[tokens, vocab_size]`.
    ///
    /// # Errors
    ///
    /// [`HostError::PartialRow`] when `normed` is not a whole number of tokens.
    pub fn logits(&self, normed: &[f32], observer: &mut dyn Observer) -> Result<Vec<f32>, HostError> {
        let cols = self.config().hidden_size;
        if !normed.len().is_multiple_of(cols) {
            return Err(HostError::PartialRow { cols, found: normed.len() });
        }
        observer.linear_input(None, Linear::Head, Rows { cols, data: normed });
        Ok(math::linear(self.checkpoint.head(), normed))
    }

    /// The `n` tokens that follow `prompt`, each the one with the largest logit, the lowest id winning ties. Does
    /// not stop at an end-of-text token.
    ///
    /// # Errors
    ///
    /// As [`Forward::hidden`], with prompt and generated tokens together within the model's positions;
    /// [`HostError::NanLogits`] when there is no largest logit.
    pub fn greedy(&self, prompt: &[u32], n: usize) -> Result<Vec<u32>, HostError> {
        let (tokens, limit) = (prompt.len().saturating_add(n), self.config().max_position_embeddings);
        if tokens > limit {
            return Err(HostError::TooLong { tokens, limit });
        }
        if prompt.is_empty() {
            return Err(HostError::EmptyPrompt);
        }
        let mut cache = self.cache();
        let mut generated: Vec<u32> = Vec::with_capacity(n);
        while generated.len() < n {
            let next = generated.last().map_or(prompt, std::slice::from_ref);
            let hidden = self.hidden(&mut cache, next, &mut Unobserved)?;
            let last = (next.len() - 1) * self.config().hidden_size;
            let logits = self.logits(&hidden.normed[last..], &mut Unobserved)?;
            let nan = HostError::NanLogits { position: cache.tokens - 1 };
            generated.push(math::argmax(&logits).ok_or(nan)?);
        }
        Ok(generated)
    }

    fn config(&self) -> &Config {
        &self.checkpoint.config
    }

    fn norm(&self, x: &mut [f32], weight: &[f32]) {
        math::rms_norm(x, weight, self.config().rms_norm_eps);
    }

    /// The embeddings of `ids`, after every check that a step needs, so that nothing fails half-way.
    fn embed(&self, cache: &Cache, ids: &[u32]) -> Result<Vec<f32>, HostError> {
        let config = self.config();
        let (layers, width) = (cache.layers.len(), cache.width);
        let (expected_layers, expected_width) = (config.num_hidden_layers, config.key_width());
        if (layers, width) != (expected_layers, expected_width) {
            return Err(HostError::ForeignCache { expected_layers, expected_width, layers, width });
        }
        if ids.is_empty() {
            return Err(HostError::EmptyPrompt);
        }
        let tokens = cache.tokens.saturating_add(ids.len());
        if tokens > config.max_position_embeddings {
            return Err(HostError::TooLong { tokens, limit: config.max_position_embeddings });
        }
        let Matrix { cols, ref data, .. } = self.checkpoint.embedding;
        let mut x = Vec::with_capacity(ids.len() * cols);
        for &id in ids {
            // A checked configuration keeps the vocabulary below 2^24, so the product cannot wrap.
            let row = usize::try_from(id).ok().filter(|&row| row < config.vocab_size);
            let row = row.ok_or(HostError::UnknownToken { id, vocab: config.vocab_size })?;
            x.extend_from_slice(&data[row * cols..(row + 1) * cols]);
        }
        Ok(x)
    }

    /// `x += o_proj(attention(norm(x)))` for `x` of `[tokens, hidden_size]` that follow `past` tokens.
    fn attention(&self, at: &mut At, cache: &mut LayerCache, past: usize, x: &mut [f32]) {
        let (config, layer) = (self.config(), at.layer);
        let mut normed = x.to_vec();
        self.norm(&mut normed, &layer.input_norm);
        let mut q = at.linear(Linear::Q, &layer.q_proj, &normed);
        let mut k = at.linear(Linear::K, &layer.k_proj, &normed);
        let mut v = at.linear(Linear::V, &layer.v_proj, &normed);

        let (q_width, k_width) = (config.query_width(), config.key_width());
        for (heads, width, norm) in [(&mut q, q_width, &layer.q_norm), (&mut k, k_width, &layer.k_norm)] {
            if let Some(norm) = norm {
                self.norm(heads, norm);
            }
            for (position, heads) in (past..).zip(heads.chunks_exact_mut(width)) {
                let turns: Vec<_> = self.rope.turns(position).collect();
                rope::turn(heads, &turns);
            }
        }
        let rows = |cols, data| Rows { cols, data };
        at.observer.attention_input(at.index, rows(q_width, &q), rows(k_width, &k), rows(k_width, &v));
        if let Some(round) = self.round {
            round(&mut k);
            round(&mut v);
        }
        cache.keys.extend_from_slice(&k);
        cache.values.extend_from_slice(&v);

        let mut mixed = vec![0.0; q.len()];
        let tokens = q.chunks_exact(q_width).zip(mixed.chunks_exact_mut(q_width));
        for (position, (q, mixed)) in (past..).zip(tokens) {
            // Causal: a token sees itself and what came before it, and of this step's tokens not the later ones.
            let first = config.windows[at.index].map_or(0, |window| (position + 1).saturating_sub(window));
            let seen = first * k_width..(position + 1) * k_width;
            self.attend(q, &cache.keys[seen.clone()], &cache.values[seen], mixed);
        }
        math::add(x, &at.linear(Linear::O, &layer.o_proj, &mixed));
    }

    /// Softmax attention of one token: `q` and `mixed` are all its query heads, `keys` and `values` are
    /// `[seen, num_key_value_heads * head_dim]`.
    fn attend(&self, q: &[f32], keys: &[f32], values: &[f32], mixed: &mut [f32]) {
        let (config, dim) = (self.config(), self.config().head_dim);
        let scale = 1.0 / math::float(dim).sqrt();
        let group = config.num_attention_heads / config.num_key_value_heads;
        let heads = q.chunks_exact(dim).zip(mixed.chunks_exact_mut(dim));
        for (head, (q, mixed)) in heads.enumerate() {
            let head = head / group * dim;
            let slices = |x| <[f32]>::chunks_exact(x, config.key_width()).map(|x| &x[head..head + dim]);
            let mut weights: Vec<f32> = slices(keys).map(|k| math::dot(q, k) * scale).collect();
            math::softmax(&mut weights);
            for (weight, v) in weights.iter().zip(slices(values)) {
                for (mixed, v) in mixed.iter_mut().zip(v) {
                    *mixed += weight * v;
                }
            }
        }
    }

    /// `x += down_proj(silu(gate_proj(norm(x))) * up_proj(norm(x)))`.
    fn feed_forward(&self, at: &mut At, x: &mut [f32]) {
        let layer = at.layer;
        let mut normed = x.to_vec();
        self.norm(&mut normed, &layer.post_attention_norm);
        let gate = at.linear(Linear::Gate, &layer.gate_proj, &normed);
        let up = at.linear(Linear::Up, &layer.up_proj, &normed);
        let product = math::swiglu(&gate, &up);
        math::add(x, &at.linear(Linear::Down, &layer.down_proj, &product));
    }
}

/// One layer and who watches it.
struct At<'a> {
    index: usize,
    layer: &'a Layer,
    observer: &'a mut dyn Observer,
}

impl At<'_> {
    fn linear(&mut self, linear: Linear, matrix: &Matrix, x: &[f32]) -> Vec<f32> {
        let input = Rows { cols: matrix.cols, data: x };
        self.observer.linear_input(Some(self.index), linear, input);
        math::linear(matrix, x)
    }
}
