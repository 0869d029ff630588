// SPDX-License-Identifier: Apache-2.0
//! `config.json` of a Hugging Face model directory.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::HostError;
use crate::raw_config::{Header, Raw};
use crate::rope::RopeScaling;

/// The architectures that this crate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Architecture {
    /// `Qwen3ForCausalLM`: queries and keys are normed head by head.
    Qwen3,
    /// `LlamaForCausalLM`: they are not.
    Llama,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Qwen3, Self::Llama];

    /// The name in `config.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Llama => "LlamaForCausalLM",
        }
    }

    /// Queries and keys have norms of their own.
    #[must_use]
    pub const fn norms_heads(self) -> bool {
        matches!(self, Self::Qwen3)
    }
}

/// Sizes and counts up to here are exact in binary32, where means and positions need them as numbers.
const LARGEST: usize = 1 << 24;

/// What the forward pass needs to know of a model. Sizes are in elements.
///
/// A value from [`Config::parse`] is consistent: sizes are between 1 and 2^24, `num_attention_heads` is a
/// multiple of `num_key_value_heads`, `head_dim` is even and every layer has an entry in `windows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// What kind of model it is.
    pub architecture: Architecture,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads per layer.
    pub num_attention_heads: usize,
    /// Key and value heads per layer; each serves `num_attention_heads / num_key_value_heads` query heads.
    pub num_key_value_heads: usize,
    /// Width of one head. Independent of `hidden_size`.
    pub head_dim: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Rows of the embedding and of the head.
    pub vocab_size: usize,
    /// Added to the mean square in every RMS norm.
    pub rms_norm_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f32,
    /// How the frequencies are changed for longer sequences.
    pub rope_scaling: RopeScaling,
    /// For each layer how many tokens a token sees, the last of them itself; `None` is all up to itself.
    pub windows: Vec<Option<usize>>,
    /// Whether the head is the embedding matrix.
    pub tie_word_embeddings: bool,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
}

impl Config {
    /// Reads `config.json` of the model directory `dir`.
    ///
    /// # Errors
    ///
    /// When the directory or the file is missing or unreadable, and as [`Config::parse`].
    pub fn load(dir: &Path) -> Result<Self, HostError> {
        let bytes = crate::files::read(dir, "config.json")?;
        Self::parse(&bytes, &dir.join("config.json"))
    }

    /// Parses the bytes of a `config.json`; `path` is only named in errors.
    ///
    /// # Errors
    ///
    /// [`HostError::Corrupt`] when it is not JSON, lacks a key or a key has the wrong type;
    /// [`HostError::Config`] when a value is one this crate does not compute (another architecture, a kind of
    /// rotary scaling that is not known, biases, an activation other than SiLU, quantised weights) or
    /// contradicts another.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, HostError> {
        let corrupt = |source: serde_json::Error| HostError::Corrupt {
            path: path.to_path_buf(),
            expected: "a Hugging Face model configuration in JSON",
            reason: source.to_string(),
        };
        let header: Header = serde_json::from_slice(bytes).map_err(corrupt)?;
        let known = |kind: &Architecture| header.architectures == [kind.name()];
        let Some(architecture) = Architecture::ALL.into_iter().find(known) else {
            let [qwen, llama] = Architecture::ALL.map(Architecture::name);
            return Err(refuse(
                "architectures",
                format!("[{qwen:?}] or [{llama:?}]"),
                format!("{:?}", header.architectures),
                "use a Qwen3 or Llama causal language model",
            ));
        };
        let raw: Raw = serde_json::from_slice(bytes).map_err(corrupt)?;
        raw.refuse_unsupported()?;
        let config = Self {
            architecture,
            rope_theta: raw.theta(architecture)?,
            rope_scaling: raw.scaling()?,
            windows: raw.windows()?,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            num_key_value_heads: raw.kv_heads(architecture).map_err(corrupt)?,
            head_dim: raw.head_dim(architecture).map_err(corrupt)?,
            intermediate_size: raw.intermediate_size,
            vocab_size: raw.vocab_size,
            rms_norm_eps: raw.rms_norm_eps,
            tie_word_embeddings: raw.tie_word_embeddings,
            max_position_embeddings: raw.max_position_embeddings,
        };
        config.check()?;
        Ok(config)
    }

    /// Values per position of a layer's queries: `num_attention_heads * head_dim`.
    #[must_use]
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Values per position of a layer's keys, and of its values: `num_key_value_heads * head_dim`.
    #[must_use]
    pub fn key_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Checks what [`Config::parse`] promises, for configurations that were changed since.
    ///
    /// # Errors
    ///
    /// [`HostError::Config`] naming the first key that is out of range or contradicts another.
    pub fn check(&self) -> Result<(), HostError> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("intermediate_size", self.intermediate_size),
            ("vocab_size", self.vocab_size),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        let advice = "correct the file or fetch it again";
        for (key, size) in sizes {
            if size == 0 || size > LARGEST {
                let expected = format!("between 1 and {LARGEST}");
                return Err(refuse(key, expected, size, advice));
            }
        }
        let (heads, kv_heads) = (self.num_attention_heads, self.num_key_value_heads);
        if !heads.is_multiple_of(kv_heads) {
            let expected = format!("a multiple of num_key_value_heads = {kv_heads}");
            return Err(refuse("num_attention_heads", expected, heads, advice));
        }
        if !self.head_dim.is_multiple_of(2) {
            let expected = "even, for rotary positions turn pairs";
            return Err(refuse("head_dim", expected, self.head_dim, advice));
        }
        if self.windows.len() != self.num_hidden_layers {
            let expected = format!("num_hidden_layers = {} entries", self.num_hidden_layers);
            return Err(refuse("layer_types", expected, self.windows.len(), advice));
        }
        if let Some(window) = self.windows.iter().flatten().find(|&&window| window == 0 || window > LARGEST) {
            let expected = format!("between 1 and {LARGEST}");
            return Err(refuse("sliding_window", expected, window, advice));
        }
        self.rope_scaling.check()?;
        for (key, value) in [("rms_norm_eps", self.rms_norm_eps), ("rope_theta", self.rope_theta)] {
            if !(value.is_finite() && value > 0.0) {
                let expected = "finite and above zero";
                return Err(refuse(key, expected, value, advice));
            }
        }
        Ok(())
    }
}

/// The error for a value that is refused.
pub(crate) fn refuse(
    key: &'static str,
    expected: impl fmt::Display,
    found: impl fmt::Display,
    advice: &'static str,
) -> HostError {
    HostError::Config { key, expected: expected.to_string(), found: found.to_string(), advice }
}
