// SPDX-License-Identifier: Apache-2.0
//! `config.json` of a Hugging Face model directory.

use std::fmt;
use std::path::Path;

use crate::error::HostError;
use crate::raw_config::{Header, Raw};

/// The only architecture this crate computes.
const ARCHITECTURE: &str = "Qwen3ForCausalLM";

/// Sizes and counts up to here are exact in binary32, where means and positions need them as numbers.
const LARGEST: usize = 1 << 24;

/// What the forward pass needs to know of a `Qwen3ForCausalLM`. Sizes are in elements.
///
/// A value from [`Config::parse`] is consistent: sizes are between 1 and 2^24, `num_attention_heads` is a
/// multiple of `num_key_value_heads` and `head_dim` is even.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
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
    /// [`HostError::Config`] when a value is one this crate does not compute (another architecture, scaled
    /// rotary positions, attention biases, an activation other than SiLU, sliding windows, quantised weights)
    /// or contradicts another.
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, HostError> {
        let corrupt = |source: serde_json::Error| HostError::Corrupt {
            path: path.to_path_buf(),
            expected: "a Hugging Face model configuration in JSON",
            reason: source.to_string(),
        };
        let header: Header = serde_json::from_slice(bytes).map_err(corrupt)?;
        if header.architectures != [ARCHITECTURE] {
            return Err(refuse(
                "architectures",
                format!("[{ARCHITECTURE:?}]"),
                format!("{:?}", header.architectures),
                "use a Qwen3 causal language model",
            ));
        }
        let raw: Raw = serde_json::from_slice(bytes).map_err(corrupt)?;
        raw.refuse_unsupported()?;
        let config = Self {
            rope_theta: raw.theta()?,
            hidden_size: raw.hidden_size,
            num_hidden_layers: raw.num_hidden_layers,
            num_attention_heads: raw.num_attention_heads,
            num_key_value_heads: raw.num_key_value_heads,
            head_dim: raw.head_dim,
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
