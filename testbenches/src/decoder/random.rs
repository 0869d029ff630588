// SPDX-License-Identifier: Apache-2.0
//! Small models of random sizes and weights.

use proptest::prelude::*;
use tandem_host::import::{ImportOptions, MATRICES};
use tandem_host::{Architecture, Checkpoint, Config, Layer, Linear, Matrix, RopeScaling};
use tandem_model::array::Geometry;
use tandem_model::block::low_u16;

use super::run::CONTEXT;
use crate::random::{Flavour, Source};

/// Elements of a block: hidden and intermediate sizes are multiples.
const BLOCK: usize = 32;

/// Sizes of a model, and what kind it is.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Heads have norms.
    pub qwen3: bool,
    /// Layers.
    pub layers: u8,
    /// Heads of K and V.
    pub kv_heads: u8,
    /// Heads of q for each of them.
    pub group: u8,
    /// Heads of 128, else of 64.
    pub wide: bool,
    /// Blocks of the residual stream.
    pub hidden: u8,
    /// Blocks of the feed-forward layer.
    pub intermediate: u8,
    /// Tokens that there are.
    pub vocabulary: u8,
    /// The head is the embedding.
    pub tied: bool,
    /// Windows of the layers; 0 is none.
    pub windows: [u8; 3],
    /// Matrices in MXINT8, a bit for each of [`MATRICES`].
    pub int8: u8,
}

impl Shape {
    /// Any.
    pub fn strategy() -> impl Strategy<Value = Self> {
        let sizes = (1..4u8, 1..3u8, 1..4u8, 1..4u8, 1..5u8, 1..70u8);
        let windows = prop::array::uniform3(prop_oneof![2 => Just(0u8), 1 => 1..12u8]);
        let int8 = prop_oneof![2 => Just(0u8), 1 => 0..64u8];
        let kinds = (any::<bool>(), any::<bool>(), any::<bool>());
        (sizes, windows, int8, kinds).prop_map(
            |(
                (layers, kv_heads, group, hidden, intermediate, vocabulary),
                windows,
                int8,
                (qwen3, wide, tied),
            )| Self {
                qwen3,
                layers,
                kv_heads,
                group,
                wide,
                hidden,
                intermediate,
                vocabulary,
                tied,
                windows,
                int8,
            },
        )
    }

    /// Its `config.json`.
    #[must_use]
    pub fn config(&self) -> Config {
        let layers = usize::from(self.layers);
        let window = |&window: &u8| (window > 0).then_some(usize::from(window));
        Config {
            architecture: if self.qwen3 { Architecture::Qwen3 } else { Architecture::Llama },
            hidden_size: BLOCK * usize::from(self.hidden),
            num_hidden_layers: layers,
            num_attention_heads: usize::from(self.kv_heads) * usize::from(self.group),
            num_key_value_heads: self.kv_heads.into(),
            head_dim: if self.wide { 128 } else { 64 },
            intermediate_size: BLOCK * usize::from(self.intermediate),
            vocab_size: self.vocabulary.into(),
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            windows: self.windows[..layers].iter().map(window).collect(),
            tie_word_embeddings: self.tied,
            max_position_embeddings: CONTEXT,
        }
    }

    /// How it is packed.
    #[must_use]
    pub fn import(&self, geometry: Geometry) -> ImportOptions {
        let int8 = MATRICES.iter().enumerate().filter(|(bit, _)| self.int8 >> bit & 1 != 0);
        let int8 = int8.map(|(_, name)| (*name).to_owned()).collect();
        ImportOptions { int8, ..ImportOptions::new(geometry) }
    }

    /// Random weights. Norms are near one; some rows of matrices are much larger than others.
    #[must_use]
    pub fn checkpoint(&self, seed: u64) -> Checkpoint {
        let config = self.config();
        let mut weights = Weights(Source::new(seed, Flavour::Plain));
        let (hidden, dim) = (config.hidden_size, config.head_dim);
        let layer = |weights: &mut Weights| {
            let mut matrix = |linear| weights.matrix(&config, linear);
            let [q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj] =
                Linear::LAYER.map(&mut matrix);
            let mut of_heads = || self.qwen3.then(|| weights.norm(dim));
            let (q_norm, k_norm) = (of_heads(), of_heads());
            let (input_norm, post_attention_norm) = (weights.norm(hidden), weights.norm(hidden));
            Layer {
                input_norm,
                q_proj,
                k_proj,
                v_proj,
                q_norm,
                k_norm,
                o_proj,
                post_attention_norm,
                gate_proj,
                up_proj,
                down_proj,
            }
        };
        let layers = (0..config.num_hidden_layers).map(|_| layer(&mut weights)).collect();
        let embedding = weights.matrix(&config, Linear::Head);
        let untied_head = (!self.tied).then(|| weights.matrix(&config, Linear::Head));
        let final_norm = weights.norm(hidden);
        Checkpoint { config, embedding, layers, final_norm, untied_head }
    }
}

struct Weights(Source);

impl Weights {
    /// About normal, of deviation 1/2.
    fn number(&mut self) -> f32 {
        let sum: f32 = (0..4).map(|_| f32::from(low_u16(self.0.bits())) / 65_536.0 - 0.5).sum();
        sum * 0.9
    }

    fn norm(&mut self, length: usize) -> Vec<f32> {
        (0..length).map(|_| 1.0 + self.number() / 2.0).collect()
    }

    fn matrix(&mut self, config: &Config, linear: Linear) -> Matrix {
        let [rows, cols] = linear.shape(config);
        let deviation = 2.0 / f32::from(low_u16(cols as u64)).sqrt();
        let mut data = Vec::with_capacity(rows * cols);
        for _ in 0..rows {
            let large = if self.0.below(16) == 0 { 64.0 } else { 1.0 };
            data.extend((0..cols).map(|_| self.number() * deviation * large));
        }
        Matrix { name: linear.name().to_owned(), rows, cols, data }
    }
}
