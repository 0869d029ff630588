// SPDX-License-Identifier: Apache-2.0
//! The weights of a model directory, widened to binary32.

use std::fmt;
use std::path::Path;

use crate::config::Config;
use crate::error::HostError;
use crate::shards::Shards;
use crate::tensors::Tensors;

/// A weight matrix `[rows, cols]`, which is `[out, in]` for a linear: `y = data * x`.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Name of the tensor in the checkpoint. A tied head has the name of the embedding.
    pub name: String,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// `rows * cols` values, row after row.
    pub data: Vec<f32>,
}

/// The linears of the model: seven in every layer, and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Linear {
    /// Queries.
    Q,
    /// Keys.
    K,
    /// Values.
    V,
    /// Output of attention.
    O,
    /// Gate of the feed-forward layer, before SiLU.
    Gate,
    /// The feed-forward branch that the gate multiplies.
    Up,
    /// Output of the feed-forward layer.
    Down,
    /// Logits.
    Head,
}

impl Linear {
    /// The linears of one layer, in the order in which they are computed.
    pub const LAYER: [Self; 7] = [Self::Q, Self::K, Self::V, Self::O, Self::Gate, Self::Up, Self::Down];

    /// The name Hugging Face gives it, without its path: `q_proj` to `down_proj`, and `lm_head`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Q => "q_proj",
            Self::K => "k_proj",
            Self::V => "v_proj",
            Self::O => "o_proj",
            Self::Gate => "gate_proj",
            Self::Up => "up_proj",
            Self::Down => "down_proj",
            Self::Head => "lm_head",
        }
    }

    /// `[rows, cols]` of its matrix in the model of `config`.
    #[must_use]
    pub fn shape(self, config: &Config) -> [usize; 2] {
        let hidden = config.hidden_size;
        match self {
            Self::Q => [config.query_width(), hidden],
            Self::K | Self::V => [config.key_width(), hidden],
            Self::O => [hidden, config.query_width()],
            Self::Gate | Self::Up => [config.intermediate_size, hidden],
            Self::Down => [hidden, config.intermediate_size],
            Self::Head => [config.vocab_size, hidden],
        }
    }
}

impl fmt::Display for Linear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The weights of one decoder layer. Norms of the residual stream are `[hidden_size]`, those of heads `[head_dim]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Norm before attention.
    pub input_norm: Vec<f32>,
    /// Query projection.
    pub q_proj: Matrix,
    /// Key projection.
    pub k_proj: Matrix,
    /// Value projection.
    pub v_proj: Matrix,
    /// Norm of each query head, before RoPE; `None` where the architecture has none.
    pub q_norm: Option<Vec<f32>>,
    /// Norm of each key head, before RoPE; as `q_norm`.
    pub k_norm: Option<Vec<f32>>,
    /// Projection back to the residual stream.
    pub o_proj: Matrix,
    /// Norm before the feed-forward layer.
    pub post_attention_norm: Vec<f32>,
    /// Gate projection.
    pub gate_proj: Matrix,
    /// Up projection.
    pub up_proj: Matrix,
    /// Down projection.
    pub down_proj: Matrix,
}

/// The configuration and all weights of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What `config.json` says.
    pub config: Config,
    /// `[vocab_size, hidden_size]`.
    pub embedding: Matrix,
    /// `num_hidden_layers` layers, first to last.
    pub layers: Vec<Layer>,
    /// Norm before the head, `[hidden_size]`.
    pub final_norm: Vec<f32>,
    /// `[vocab_size, hidden_size]` where the head has its own matrix; `None` where it is the embedding.
    pub untied_head: Option<Matrix>,
}

impl Checkpoint {
    /// Reads `config.json` and the weights of the model directory `dir`: `model.safetensors`, or the files that
    /// `model.safetensors.index.json` names. Weights may be BF16, F16 or F32 and need not be finite.
    ///
    /// # Errors
    ///
    /// When the directory or a file is missing, unreadable or corrupt, when the configuration is one that
    /// [`Config::parse`] refuses, when shards and their index do not agree, and when a tensor is missing,
    /// superfluous, of another type or of another shape than the configuration says.
    pub fn load(dir: &Path) -> Result<Self, HostError> {
        let config = Config::load(dir)?;
        let shards = Shards::open(dir)?;
        let tensors = Tensors::new(&shards, &config)?;
        let layers = (0..config.num_hidden_layers)
            .map(|layer| tensors.layer(layer, &config))
            .collect::<Result<_, _>>()?;
        let (embedding, final_norm) = (tensors.embedding(&config)?, tensors.final_norm(&config)?);
        let untied_head = tensors.untied_head(&config)?;
        Ok(Self { config, embedding, layers, final_norm, untied_head })
    }

    /// The matrix of the head, `[vocab_size, hidden_size]`: its own, or the embedding where it is tied.
    #[must_use]
    pub fn head(&self) -> &Matrix {
        self.untied_head.as_ref().unwrap_or(&self.embedding)
    }

    /// Every linear with its layer (`None` for the head), in the order in which they are computed.
    pub fn linears(&self) -> impl Iterator<Item = (Option<usize>, Linear, &Matrix)> {
        let layers =
            self.layers.iter().enumerate().flat_map(|(index, layer)| {
                layer.linears().map(|(linear, matrix)| (Some(index), linear, matrix))
            });
        layers.chain(std::iter::once((None, Linear::Head, self.head())))
    }

    /// Checks that every weight has the shape its configuration says, for checkpoints that were changed since
    /// they were loaded.
    ///
    /// # Errors
    ///
    /// As [`Config::check`]; [`HostError::TensorShape`] naming the first weight that does not fit.
    pub fn check(&self) -> Result<(), HostError> {
        let config = &self.config;
        config.check()?;
        let wrong = |name: &str, expected: &[usize], found: &[usize]| HostError::TensorShape {
            name: name.to_owned(),
            expected: expected.to_vec(),
            found: found.to_vec(),
        };
        if self.layers.len() != config.num_hidden_layers {
            return Err(wrong("model.layers", &[config.num_hidden_layers], &[self.layers.len()]));
        }
        let embedding = std::iter::once((None, Linear::Head, &self.embedding));
        for (_, linear, matrix) in embedding.chain(self.linears()) {
            let [rows, cols] = linear.shape(config);
            if [matrix.rows, matrix.cols] != [rows, cols] {
                return Err(wrong(&matrix.name, &[rows, cols], &[matrix.rows, matrix.cols]));
            }
            if rows.checked_mul(cols) != Some(matrix.data.len()) {
                return Err(wrong(&matrix.name, &[rows, cols], &[matrix.data.len()]));
            }
        }
        let (hidden, head) = (config.hidden_size, config.head_dim);
        let of_heads = if config.architecture.norms_heads() { head } else { 0 };
        let length = |norm: &Option<Vec<f32>>| norm.as_ref().map_or(0, Vec::len);
        let layers = self.layers.iter().flat_map(|layer| {
            [
                ("input_layernorm", hidden, layer.input_norm.len()),
                ("post_attention_layernorm", hidden, layer.post_attention_norm.len()),
                ("q_norm", of_heads, length(&layer.q_norm)),
                ("k_norm", of_heads, length(&layer.k_norm)),
            ]
        });
        for (name, size, found) in layers.chain([("model.norm", hidden, self.final_norm.len())]) {
            if found != size {
                return Err(wrong(name, &[size], &[found]));
            }
        }
        Ok(())
    }
}

impl Layer {
    /// The seven linears, in the order in which they are computed.
    #[must_use]
    pub fn linears(&self) -> [(Linear, &Matrix); 7] {
        [
            (Linear::Q, &self.q_proj),
            (Linear::K, &self.k_proj),
            (Linear::V, &self.v_proj),
            (Linear::O, &self.o_proj),
            (Linear::Gate, &self.gate_proj),
            (Linear::Up, &self.up_proj),
            (Linear::Down, &self.down_proj),
        ]
    }
}
