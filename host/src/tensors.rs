// SPDX-License-Identifier: Apache-2.0
//! Tensors by name out of a safetensors file, and the check that none is left over.

use std::collections::BTreeSet;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use crate::checkpoint::{Layer, Linear, Matrix};
use crate::config::Config;
use crate::error::HostError;

/// A safetensors file and the names that nothing has asked for yet.
pub(crate) struct Tensors<'data> {
    file: &'data SafeTensors<'data>,
    left: BTreeSet<String>,
}

impl<'data> Tensors<'data> {
    pub(crate) fn new(file: &'data SafeTensors<'data>) -> Self {
        Self { file, left: file.names().into_iter().map(str::to_owned).collect() }
    }

    /// The values of the tensor `name`, which must have the shape `expected`, in its own order.
    pub(crate) fn take(&mut self, name: &str, expected: &[usize]) -> Result<Vec<f32>, HostError> {
        // The only error there is: no tensor of that name.
        let tensor = self
            .file
            .tensor(name)
            .map_err(|_| HostError::NoTensor { name: name.to_owned(), expected: expected.to_vec() })?;
        if tensor.shape() != expected {
            return Err(HostError::TensorShape {
                name: name.to_owned(),
                expected: expected.to_vec(),
                found: tensor.shape().to_vec(),
            });
        }
        self.left.remove(name);
        widen(tensor.dtype(), tensor.data())
            .ok_or_else(|| HostError::TensorType { name: name.to_owned(), found: tensor.dtype().to_string() })
    }

    /// The matrix `name` of shape `[rows, cols]`.
    pub(crate) fn matrix(&mut self, name: &str, shape: [usize; 2]) -> Result<Matrix, HostError> {
        let data = self.take(name, &shape)?;
        let [rows, cols] = shape;
        Ok(Matrix { name: name.to_owned(), rows, cols, data })
    }

    /// The weights of decoder layer `layer`, counted from zero.
    pub(crate) fn layer(&mut self, layer: usize, config: &Config) -> Result<Layer, HostError> {
        let (hidden, head) = ([config.hidden_size], [config.head_dim]);
        let path = |block: &str, name: &str| format!("model.layers.{layer}.{block}{name}.weight");
        let mut linear =
            |block: &str, linear: Linear| self.matrix(&path(block, linear.name()), linear.shape(config));
        let (q_proj, k_proj) = (linear("self_attn.", Linear::Q)?, linear("self_attn.", Linear::K)?);
        let (v_proj, o_proj) = (linear("self_attn.", Linear::V)?, linear("self_attn.", Linear::O)?);
        let (gate_proj, up_proj) = (linear("mlp.", Linear::Gate)?, linear("mlp.", Linear::Up)?);
        let down_proj = linear("mlp.", Linear::Down)?;
        Ok(Layer {
            input_norm: self.take(&path("", "input_layernorm"), &hidden)?,
            q_proj,
            k_proj,
            v_proj,
            q_norm: self.take(&path("self_attn.", "q_norm"), &head)?,
            k_norm: self.take(&path("self_attn.", "k_norm"), &head)?,
            o_proj,
            post_attention_norm: self.take(&path("", "post_attention_layernorm"), &hidden)?,
            gate_proj,
            up_proj,
            down_proj,
        })
    }

    /// Refuses a file with tensors that were not taken: a bias or a layer that nobody computes would be a silent
    /// wrong answer. Exempt are what transformers itself ignores: a copy of a tied head, and rotary tables.
    pub(crate) fn refuse_rest(self) -> Result<(), HostError> {
        let rest = |name: &String| name != "lm_head.weight" && !name.ends_with("rotary_emb.inv_freq");
        match self.left.into_iter().find(rest) {
            Some(name) => Err(HostError::ExtraTensor { name }),
            None => Ok(()),
        }
    }
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
