// SPDX-License-Identifier: Apache-2.0
//! Watching the activations of a forward pass.

use crate::checkpoint::Linear;

/// Activations `[tokens, cols]`, one row per token of the step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rows<'a> {
    /// Values per token. Not zero.
    pub cols: usize,
    /// `tokens * cols` values, row after row.
    pub data: &'a [f32],
}

impl<'a> Rows<'a> {
    /// Number of rows.
    #[must_use]
    pub fn tokens(self) -> usize {
        self.data.len().checked_div(self.cols).unwrap_or(0)
    }

    /// The rows, first token first.
    pub fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        // The field is public, and a width of zero would panic.
        self.data.chunks_exact(self.cols.max(1))
    }
}

/// Is told the activations of a forward pass as they are computed. What is not wanted need not be written.
pub trait Observer {
    /// The input of a linear, in the order of [`Linear::LAYER`] in each layer and the head last. `layer` is `None`
    /// for the head; `input` is `[tokens, cols]` of its matrix.
    fn linear_input(&mut self, layer: Option<usize>, linear: Linear, input: Rows<'_>) {
        let _ = (layer, linear, input);
    }

    /// The operands of attention in layer `layer` for the tokens of this step, after norm and RoPE (values have
    /// neither): `q` is `[tokens, num_attention_heads * head_dim]`, `k` and `v` are
    /// `[tokens, num_key_value_heads * head_dim]`, head after head. Scores are not scaled yet.
    fn attention_input(&mut self, layer: usize, q: Rows<'_>, k: Rows<'_>, v: Rows<'_>) {
        let _ = (layer, q, k, v);
    }
}

/// The observer that is not interested.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {}
