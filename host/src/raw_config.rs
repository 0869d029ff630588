// SPDX-License-Identifier: Apache-2.0
//! `config.json` as it is written, and what of it is not computed.

use serde::Deserialize;

use crate::config::refuse;
use crate::error::HostError;

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
    pub(crate) num_key_value_heads: usize,
    pub(crate) head_dim: usize,
    pub(crate) intermediate_size: usize,
    pub(crate) vocab_size: usize,
    pub(crate) rms_norm_eps: f32,
    pub(crate) max_position_embeddings: usize,
    hidden_act: String,
    // The three defaults are those of Qwen3Config in transformers.
    #[serde(default)]
    pub(crate) tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
    layer_types: Option<Vec<String>>,
    rope_theta: Option<f32>,
    rope_parameters: Option<Rope>,
    rope_scaling: Option<Rope>,
    quantization_config: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Rope {
    rope_theta: Option<f32>,
    rope_type: Option<String>,
    /// The older key. Not an alias: some files hold both.
    #[serde(rename = "type")]
    old_type: Option<String>,
    partial_rotary_factor: Option<f32>,
}

impl Raw {
    /// Refuses what would need other arithmetic than the forward pass has.
    pub(crate) fn refuse_unsupported(&self) -> Result<(), HostError> {
        if self.attention_bias {
            let advice = "use a checkpoint without attention biases";
            return Err(refuse("attention_bias", false, true, advice));
        }
        if self.hidden_act != "silu" {
            let found = format!("{:?}", self.hidden_act);
            let advice = "use a checkpoint with the SiLU activation";
            return Err(refuse("hidden_act", "\"silu\"", found, advice));
        }
        if self.use_sliding_window {
            let advice = "use a checkpoint whose layers all attend to the whole sequence";
            return Err(refuse("use_sliding_window", false, true, advice));
        }
        if let Some(types) = &self.layer_types {
            let advice = "use a checkpoint whose layers all attend to the whole sequence";
            if let Some(other) = types.iter().find(|kind| *kind != "full_attention") {
                let expected = "\"full_attention\" in every layer";
                return Err(refuse("layer_types", expected, format!("{other:?}"), advice));
            }
            if types.len() != self.num_hidden_layers {
                let expected = format!("num_hidden_layers = {} entries", self.num_hidden_layers);
                let found = types.len();
                return Err(refuse("layer_types", expected, found, "correct the file or fetch it again"));
            }
        }
        if self.quantization_config.is_some() {
            let advice = "use the unquantised checkpoint (BF16, F16 or F32)";
            return Err(refuse("quantization_config", "absent", "a value", advice));
        }
        let ropes = [("rope_parameters", &self.rope_parameters), ("rope_scaling", &self.rope_scaling)];
        for (key, rope) in ropes.into_iter().filter_map(|(key, rope)| Some((key, rope.as_ref()?))) {
            let advice = "use a checkpoint with unscaled rotary positions";
            let mut kinds = [&rope.rope_type, &rope.old_type].into_iter().flatten();
            if let Some(other) = kinds.find(|kind| *kind != "default") {
                let expected = "of rope_type \"default\"";
                return Err(refuse(key, expected, format!("{other:?}"), advice));
            }
            if let Some(factor) = rope.partial_rotary_factor.filter(|factor| *factor != 1.0) {
                let expected = "of partial_rotary_factor 1";
                return Err(refuse(key, expected, factor, advice));
            }
        }
        Ok(())
    }

    /// The rotary base, which newer files nest and older ones keep at the top level.
    pub(crate) fn theta(&self) -> Result<f32, HostError> {
        let nested = self.rope_parameters.as_ref().and_then(|rope| rope.rope_theta);
        let (expected, found) = match (nested, self.rope_theta) {
            (Some(nested), Some(top)) if nested != top => {
                (format!("rope_parameters.rope_theta = {nested} in both places"), top.to_string())
            }
            (Some(theta), _) | (None, Some(theta)) => return Ok(theta),
            (None, None) => ("given here or in rope_parameters.rope_theta".to_owned(), "neither".to_owned()),
        };
        Err(refuse("rope_theta", expected, found, "correct the file or fetch it again"))
    }
}
