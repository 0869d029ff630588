// SPDX-License-Identifier: Apache-2.0
//! What a forward pass keeps between steps, and what a step gives.

/// Keys and values of the tokens so far. Grows by the tokens of every step.
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) layers: Vec<LayerCache>,
    /// Values per position of a layer's keys.
    pub(crate) width: usize,
    pub(crate) tokens: usize,
}

/// `[tokens, num_key_value_heads * head_dim]` each.
#[derive(Clone, Debug, Default)]
pub(crate) struct LayerCache {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

/// The residual stream of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Hidden {
    /// `num_hidden_layers + 1` times `[tokens, hidden_size]`: after the embedding and after each layer.
    pub residual: Vec<Vec<f32>>,
    /// `[tokens, hidden_size]`: the last of `residual` after the final norm, the input of the head.
    pub normed: Vec<f32>,
}

/// What one step computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The residual stream.
    pub hidden: Hidden,
    /// `[tokens, vocab_size]`: row `t` scores the token that follows token `t`.
    pub logits: Vec<f32>,
}

impl Cache {
    /// Tokens so far, which is the position of the next one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tokens
    }

    /// Whether there is no token yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tokens == 0
    }
}
