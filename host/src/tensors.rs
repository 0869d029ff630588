// SPDX-License-Identifier: Apache-2.0
//! Tensors by name out of safetensors files, and the check that they are those of the model.

use std::collections::{BTreeMap, BTreeSet};

use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

use crate::checkpoint::{Layer, Linear, Matrix};
use crate::config::Config;
use crate::error::HostError;
use crate::shards::Shards;

const EMBEDDING: &str = "model.embed_tokens.weight";
const FINAL_NORM: &str = "model.norm.weight";
const HEAD: &str = "lm_head.weight";

/// The tensors of a model directory. All that the configuration calls for are there, in their shapes, and no other.
pub(crate) struct Tensors<'data> {
    files: Vec<SafeTensors<'data>>,
    places: BTreeMap<String, usize>,
}

impl<'data> Tensors<'data> {
    /// Reads the headers alone.
    ///
    /// # Errors
    ///
    /// When files are corrupt or do not fit their index, and when a tensor is missing, superfluous, of another type or
    /// of another shape than the configuration says.
    pub(crate) fn new(shards: &'data Shards, config: &Config) -> Result<Self, HostError> {
        let (files, places) = shards.parse()?;
        let tensors = Self { files, places };
        // One after the other: a wrong number of layers is noticed at the first that is missing.
        let mut known = BTreeSet::new();
        for (name, shape) in names(config) {
            tensors.view(&name, &shape)?;
            known.insert(name);
        }
        // A bias or a layer that nobody computes would be a silent wrong answer. Exempt are what transformers itself
        // ignores: a copy of a tied head, and rotary tables.
        let rest = |name: &&String| {
            !known.contains(*name) && *name != HEAD && !name.ends_with("rotary_emb.inv_freq")
        };
        match tensors.places.keys().find(rest) {
            Some(name) => Err(HostError::ExtraTensor { name: name.clone() }),
            None => Ok(tensors),
        }
    }

    /// The tensor `name`, which must have the shape `expected`.
    fn view(&self, name: &str, expected: &[usize]) -> Result<TensorView<'_>, HostError> {
        let found = self.places.get(name).and_then(|&number| self.files[number].tensor(name).ok());
        let tensor = found
            .ok_or_else(|| HostError::NoTensor { name: name.to_owned(), expected: expected.to_vec() })?;
        if tensor.shape() != expected {
            return Err(HostError::TensorShape {
                name: name.to_owned(),
                expected: expected.to_vec(),
                found: tensor.shape().to_vec(),
            });
        }
        if !matches!(tensor.dtype(), Dtype::BF16 | Dtype::F16 | Dtype::F32) {
            return Err(HostError::TensorType { name: name.to_owned(), found: tensor.dtype().to_string() });
        }
        Ok(tensor)
    }

    /// Its values, in its own order.
    pub(crate) fn take(&self, name: &str, expected: &[usize]) -> Result<Vec<f32>, HostError> {
        let tensor = self.view(name, expected)?;
        Ok(widen(tensor.dtype(), tensor.data()).expect("a type that the view lets pass"))
    }

    /// The matrix `name` of shape `[rows, cols]`.
    pub(crate) fn matrix(&self, name: &str, shape: [usize; 2]) -> Result<Matrix, HostError> {
        let data = self.take(name, &shape)?;
        let [rows, cols] = shape;
        Ok(Matrix { name: name.to_owned(), rows, cols, data })
    }

    /// The weights of decoder layer `layer`, counted from zero.
    pub(crate) fn layer(&self, layer: usize, config: &Config) -> Result<Layer, HostError> {
        let (hidden, head) = ([config.hidden_size], [config.head_dim]);
        let path = |block: &str, name: &str| format!("model.layers.{layer}.{block}{name}.weight");
        let linear =
            |block: &str, linear: Linear| self.matrix(&path(block, linear.name()), linear.shape(config));
        let (q_proj, k_proj) = (linear("self_attn.", Linear::Q)?, linear("self_attn.", Linear::K)?);
        let (v_proj, o_proj) = (linear("self_attn.", Linear::V)?, linear("self_attn.", Linear::O)?);
        let (gate_proj, up_proj) = (linear("mlp.", Linear::Gate)?, linear("mlp.", Linear::Up)?);
        let down_proj = linear("mlp.", Linear::Down)?;
        let norm = |name: &str| {
            let normed = config.architecture.norms_heads();
            normed.then(|| self.take(&path("self_attn.", name), &head)).transpose()
        };
        Ok(Layer {
            input_norm: self.take(&path("", "input_layernorm"), &hidden)?,
            q_proj,
            k_proj,
            v_proj,
            q_norm: norm("q_norm")?,
            k_norm: norm("k_norm")?,
            o_proj,
            post_attention_norm: self.take(&path("", "post_attention_layernorm"), &hidden)?,
            gate_proj,
            up_proj,
            down_proj,
        })
    }

    /// `[vocab_size, hidden_size]`.
    pub(crate) fn embedding(&self, config: &Config) -> Result<Matrix, HostError> {
        self.matrix(EMBEDDING, Linear::Head.shape(config))
    }

    /// The head's own matrix, where it has one.
    pub(crate) fn untied_head(&self, config: &Config) -> Result<Option<Matrix>, HostError> {
        let untied = !config.tie_word_embeddings;
        untied.then(|| self.matrix(HEAD, Linear::Head.shape(config))).transpose()
    }

    /// The norm before the head.
    pub(crate) fn final_norm(&self, config: &Config) -> Result<Vec<f32>, HostError> {
        self.take(FINAL_NORM, &[config.hidden_size])
    }
}

/// All tensors that the configuration calls for, with their shapes.
fn names(config: &Config) -> impl Iterator<Item = (String, Vec<usize>)> {
    let (hidden, head) = (vec![config.hidden_size], Linear::Head.shape(config).to_vec());
    let mut names = vec![(EMBEDDING.to_owned(), head.clone()), (FINAL_NORM.to_owned(), hidden)];
    if !config.tie_word_embeddings {
        names.push((HEAD.to_owned(), head));
    }
    names.into_iter().chain((0..config.num_hidden_layers).flat_map(|layer| names_of_layer(layer, config)))
}

fn names_of_layer(layer: usize, config: &Config) -> Vec<(String, Vec<usize>)> {
    let mut names = Vec::new();
    let mut add = |name: &str, shape| names.push((format!("model.layers.{layer}.{name}.weight"), shape));
    for linear in Linear::LAYER {
        let block = match linear {
            Linear::Gate | Linear::Up | Linear::Down => "mlp",
            _ => "self_attn",
        };
        add(&format!("{block}.{linear}"), linear.shape(config).to_vec());
    }
    for norm in ["input_layernorm", "post_attention_layernorm"] {
        add(norm, vec![config.hidden_size]);
    }
    if config.architecture.norms_heads() {
        for norm in ["self_attn.q_norm", "self_attn.k_norm"] {
            add(norm, vec![config.head_dim]);
        }
    }
    names
}

/// Little-endian elements of `dtype` as binary32, all exactly; `None` for types that are not read.
fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let (pairs, quads) = (bytes.as_chunks::<2>().0.iter(), bytes.as_chunks::<4>().0.iter());
    match dtype {
        Dtype::BF16 => Some(pairs.map(|b| bf16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::F16 => Some(pairs.map(|b| f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::F32 => Some(quads.map(|b| f32::from_le_bytes(*b)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_is_exact_and_keeps_what_is_not_finite() {
        let half: Vec<u8> = [1.5, -0.25, f32::INFINITY]
            .into_iter()
            .flat_map(|value| f16::from_f32(value).to_le_bytes())
            .collect();
        assert_eq!(widen(Dtype::F16, &half), Some(vec![1.5, -0.25, f32::INFINITY]));
        // 0x3f80 is one, 0x8000 minus zero, 0x0001 the least subnormal.
        let brain = widen(Dtype::BF16, &[0x80, 0x3f, 0x00, 0x80, 0x01, 0x00]).unwrap();
        let bits: Vec<u32> = brain.iter().map(|value| value.to_bits()).collect();
        assert_eq!(bits, [0x3f80_0000, 0x8000_0000, 0x0001_0000]);
        let full = widen(Dtype::F32, &f32::NAN.to_le_bytes()).unwrap();
        assert!(full.len() == 1 && full[0].is_nan());
        assert_eq!(widen(Dtype::I32, &[0; 8]), None);
    }
}
