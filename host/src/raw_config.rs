// SPDX-License-Identifier: Apache-2.0
//! `config.json` as it is written, and what of it is not computed.

use serde::Deserialize;
use serde::de::Error;

use crate::config::{Architecture, refuse};
use crate::error::HostError;
use crate::rope::{RawRope, RopeScaling};

const CORRECT: &str = "correct the file or fetch it again";

/// Read before the rest, so that another architecture is refused by its name and not by a key it lacks.
#[derive(Deserialize)]
pub(crate) struct Header {
    #[serde(default)]
    pub(crate) architectures: Vec<String>,
}

#[derive(Deserialize)]
pub(crate) struct Raw {
    pub(crate) hidden_size: usize,
    pub(crate) num_hidden_layers: usize,
    pub(crate) num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    pub(crate) intermediate_size: usize,
    pub(crate) vocab_size: usize,
    pub(crate) rms_norm_eps: f32,
    pub(crate) max_position_embeddings: usize,
    hidden_act: String,
    // The defaults are those of Qwen3Config and LlamaConfig in transformers.
    #[serde(default)]
    pub(crate) tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    sliding_window: Option<usize>,
    max_window_layers: Option<usize>,
    layer_types: Option<Vec<String>>,
    rope_theta: Option<f32>,
    rope_parameters: Option<RawRope>,
    rope_scaling: Option<RawRope>,
    quantization_config: Option<serde_json::Value>,
}

impl Raw {
    /// Refuses what would need other arithmetic than the forward pass has.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), HostError> {
        for (key, bias) in [("attention_bias", self.attention_bias), ("mlp_bias", self.mlp_bias)] {
            if bias {
                return Err(refuse(key, false, true, "use a checkpoint without biases"));
            }
        }
        if self.hidden_act != "silu" {
            let found = format!("{:?}", self.hidden_act);
            let advice = "use a checkpoint with the SiLU activation";
            return Err(refuse("hidden_act", "\"silu\"", found, advice));
        }
        if self.quantization_config.is_some() {
            let advice = "use the unquantised checkpoint (BF16, F16 or F32)";
            return Err(refuse("quantization_config", "absent", "a value", advice));
        }
        Ok(())
    }

    /// Heads of K and V. A Llama without the key has as many as of Q.
    pub(crate) fn kv_heads(&self, architecture: Architecture) -> Result<usize, serde_json::Error> {
        match (self.num_key_value_heads, architecture) {
            (Some(heads), _) => Ok(heads),
            (None, Architecture::Llama) => Ok(self.num_attention_heads),
            (None, Architecture::Qwen3) => Err(Error::missing_field("num_key_value_heads")),
        }
    }

    /// Width of a head. The heads of a Llama without the key share the hidden width.
    pub(crate) fn head_dim(&self, architecture: Architecture) -> Result<usize, serde_json::Error> {
        match (self.head_dim, architecture) {
            (Some(dim), _) => Ok(dim),
            // Without heads any width will do: their number is refused.
            (None, Architecture::Llama) => {
                Ok(self.hidden_size.checked_div(self.num_attention_heads).unwrap_or(2))
            }
            (None, Architecture::Qwen3) => Err(Error::missing_field("head_dim")),
        }
    }

    /// The window of every layer. As transformers has it, layers slide only with `use_sliding_window`: those that
    /// `layer_types` names, or without it those from `max_window_layers` on.
    pub(crate) fn windows(&self) -> Result<Vec<Option<usize>>, HostError> {
        // Loops over a number that nobody has checked yet must end soon.
        let layers = self.num_hidden_layers.min(1 << 24);
        let slides: Vec<bool> = match &self.layer_types {
            None => {
                let first = self.max_window_layers.unwrap_or(28);
                (0..layers).map(|layer| self.use_sliding_window && layer >= first).collect()
            }
            Some(types) if types.len() != layers => {
                let expected = format!("num_hidden_layers = {layers} entries");
                return Err(refuse("layer_types", expected, types.len(), CORRECT));
            }
            Some(types) => {
                let slides = |kind: &String| match kind.as_str() {
                    "full_attention" => Ok(false),
                    "sliding_attention" => Ok(true),
                    other => {
                        let expected = "\"full_attention\" or \"sliding_attention\" in every layer";
                        let advice = "use a checkpoint of layers of these kinds";
                        Err(refuse("layer_types", expected, format!("{other:?}"), advice))
                    }
                };
                types.iter().map(slides).collect::<Result<_, _>>()?
            }
        };
        if !slides.contains(&true) {
            return Ok(vec![None; layers]);
        }
        if !self.use_sliding_window {
            let expected = "true, as layer_types has \"sliding_attention\"";
            return Err(refuse("use_sliding_window", expected, false, CORRECT));
        }
        let Some(window) = self.sliding_window else {
            let expected = "the number of tokens that a token sees in layers that slide";
            return Err(refuse("sliding_window", expected, "none", CORRECT));
        };
        Ok(slides.into_iter().map(|slides| slides.then_some(window)).collect())
    }

    /// The rotary base, which newer files nest and older ones keep at the top level.
    pub(crate) fn theta(&self, architecture: Architecture) -> Result<f32, HostError> {
        let nested = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        let (expected, found) = match (nested, self.rope_theta) {
            (Some(nested), Some(top)) if nested != top => {
                (format!("rope_parameters.rope_theta = {nested} in both places"), top.to_string())
            }
            (Some(theta), _) | (None, Some(theta)) => return Ok(theta),
            // LlamaConfig's, of which the first checkpoints make use.
            (None, None) if architecture == Architecture::Llama => return Ok(10_000.0),
            (None, None) => ("given here or in rope_parameters.rope_theta".to_owned(), "neither".to_owned()),
        };
        Err(refuse("rope_theta", expected, found, CORRECT))
    }

    /// The rotary scaling, which newer files have in `rope_parameters` and older ones in `rope_scaling`.
    pub(crate) fn scaling(&self) -> Result<RopeScaling, HostError> {
        let ropes = [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)];
        let read = ropes.map(|(key, rope)| rope.as_ref().map(|rope| rope.scaling(key)).transpose());
        match read {
            [Err(error), _] | [_, Err(error)] => Err(error),
            [Ok(Some(new)), Ok(Some(old))] if new != old => {
                Err(refuse("rope_scaling", "as rope_parameters has it", format!("{old:?}"), CORRECT))
            }
            [Ok(new), Ok(old)] => Ok(new.or(old).unwrap_or(RopeScaling::None)),
        }
    }
}
