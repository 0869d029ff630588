// SPDX-License-Identifier: Apache-2.0
//! The bytes of a packed model, tensor after tensor.

use std::borrow::Cow;
use std::f64::consts::LOG2_E;

use sha2::{Digest, Sha256};
use tandem_model::layout::{Blocks, pack_weights};
use tandem_model::numerics::{BLOCK_LEN, MxFp4Block, MxInt8Block, ScaleRule};

use super::layout::Manifest;
use super::{Format, ImportOptions};
use crate::checkpoint::{Checkpoint, Layer, Matrix};
use crate::config::Config;
use crate::error::HostError;
use crate::rope::Rope;
use crate::tensors::Tensors;

/// Rows that are packed at once: whole tiles, so that parts of a stream follow each other without a gap.
pub(super) const ROWS: usize = 1024;

/// Where weights come from.
pub(super) trait Source {
    fn config(&self) -> &Config;
    fn embedding(&mut self) -> Result<Cow<'_, Matrix>, HostError>;
    fn layer(&mut self, layer: usize) -> Result<Cow<'_, Layer>, HostError>;
    fn final_norm(&mut self) -> Result<Cow<'_, [f32]>, HostError>;
    fn head(&mut self) -> Result<Cow<'_, Matrix>, HostError>;
}

impl Source for &Checkpoint {
    fn config(&self) -> &Config {
        &self.config
    }

    fn embedding(&mut self) -> Result<Cow<'_, Matrix>, HostError> {
        Ok(Cow::Borrowed(&self.embedding))
    }

    fn layer(&mut self, layer: usize) -> Result<Cow<'_, Layer>, HostError> {
        Ok(Cow::Borrowed(&self.layers[layer]))
    }

    fn final_norm(&mut self) -> Result<Cow<'_, [f32]>, HostError> {
        Ok(Cow::Borrowed(&self.final_norm))
    }

    fn head(&mut self) -> Result<Cow<'_, Matrix>, HostError> {
        Ok(Cow::Borrowed(Checkpoint::head(self)))
    }
}

/// The files of a model directory, of which a layer at a time is widened.
pub(super) struct Files<'a> {
    pub(super) config: &'a Config,
    pub(super) tensors: Tensors<'a>,
}

impl Source for Files<'_> {
    fn config(&self) -> &Config {
        self.config
    }

    fn embedding(&mut self) -> Result<Cow<'_, Matrix>, HostError> {
        self.tensors.embedding(self.config).map(Cow::Owned)
    }

    fn layer(&mut self, layer: usize) -> Result<Cow<'_, Layer>, HostError> {
        self.tensors.layer(layer, self.config).map(Cow::Owned)
    }

    fn final_norm(&mut self) -> Result<Cow<'_, [f32]>, HostError> {
        self.tensors.final_norm(self.config).map(Cow::Owned)
    }

    fn head(&mut self) -> Result<Cow<'_, Matrix>, HostError> {
        match self.tensors.untied_head(self.config)? {
            Some(head) => Ok(Cow::Owned(head)),
            None => self.embedding(),
        }
    }
}

/// Where the image goes, and how much of it is there.
struct Writer<'a> {
    manifest: Manifest,
    /// The next tensor.
    next: usize,
    end: u64,
    sink: &'a mut dyn FnMut(&[u8]) -> Result<(), HostError>,
}

impl Writer<'_> {
    /// The next tensor, in parts. `name` is what the caller takes it for.
    fn put(
        &mut self,
        name: &str,
        parts: impl Iterator<Item = Result<Vec<u8>, HostError>>,
    ) -> Result<(), HostError> {
        let tensor = &self.manifest.tensors[self.next];
        assert!(tensor.name.ends_with(name), "tensors come in their order: {} is not {name}", tensor.name);
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        for part in parts {
            let part = part?;
            hash.update(&part);
            bytes += part.len() as u64;
            (self.sink)(&part)?;
        }
        assert_eq!(bytes, tensor.bytes, "bytes of {}", tensor.name);
        self.end += bytes;
        self.manifest.tensors[self.next].sha256 = digits(&hash.finalize());
        self.next += 1;
        let next = self.manifest.tensors.get(self.next).map_or(self.manifest.bytes, |next| next.address);
        let gap = usize::try_from(next - self.end).expect("a gap is short");
        self.end = next;
        (self.sink)(&vec![0; gap])
    }

    fn vector(&mut self, name: &str, values: &[f32]) -> Result<(), HostError> {
        let tensor = self.name();
        self.put(name, std::iter::once(floats(&tensor, values)))
    }

    /// A matrix of the rows of these, one behind the other.
    fn matrix(&mut self, name: &str, matrices: &[&Matrix]) -> Result<(), HostError> {
        let tensor = &self.manifest.tensors[self.next];
        let (segments, format) = (self.manifest.segments, tensor.format);
        let cols = matrices[0].cols;
        let rows: Vec<(&str, &[f32])> = matrices
            .iter()
            .flat_map(|matrix| matrix.data.chunks_exact(cols).map(|row| (matrix.name.as_str(), row)))
            .collect();
        let parts = rows.chunks(ROWS).map(|rows| stream(segments, format, rows));
        self.put(name, parts)
    }

    fn name(&self) -> String {
        self.manifest.tensors[self.next].name.clone()
    }
}

/// Packs everything; `sink` takes the image's bytes in their order.
pub(super) fn pack(
    source: &mut dyn Source,
    options: &ImportOptions,
    sink: &mut dyn FnMut(&[u8]) -> Result<(), HostError>,
) -> Result<Manifest, HostError> {
    let manifest = Manifest::new(source.config(), options)?;
    let config = source.config().clone();
    let (dim, context) = (config.head_dim, manifest.context);
    let mut writer = Writer { manifest, next: 0, end: 0, sink };

    let embedding = source.embedding()?;
    let rows = embedding.data.chunks(ROWS * embedding.cols);
    writer.put("embedding", rows.map(|rows| floats(&embedding.name, rows)))?;
    drop(embedding);
    let rope = Rope::new(&config);
    let angles = (0..context).map(|position| floats("angles", &angles(&rope, position)));
    writer.put("angles", angles)?;
    let ones = vec![1.0; dim];
    writer.vector("ones", &ones)?;
    for index in 0..config.num_hidden_layers {
        let layer = source.layer(index)?;
        writer.vector("input_norm", &layer.input_norm)?;
        writer.matrix("kv", &[&layer.k_proj, &layer.v_proj])?;
        writer.matrix("q", &[&layer.q_proj])?;
        writer.vector("k_norm", layer.k_norm.as_ref().unwrap_or(&ones))?;
        writer.vector("q_norm", &folded(layer.q_norm.as_ref().unwrap_or(&ones)))?;
        writer.matrix("o", &[&layer.o_proj])?;
        writer.vector("post_attention_norm", &layer.post_attention_norm)?;
        writer.matrix("gate_up", &[&layer.gate_proj, &layer.up_proj])?;
        writer.matrix("down", &[&layer.down_proj])?;
    }
    writer.vector("final_norm", &source.final_norm()?)?;
    writer.matrix("head", &[&*source.head()?])?;
    Ok(writer.manifest)
}

/// Cosines of a position, then its sines.
pub(super) fn angles(rope: &Rope, position: usize) -> Vec<f32> {
    let (sines, cosines): (Vec<f32>, Vec<f32>) = rope.turns(position).unzip();
    [cosines, sines].concat()
}

/// Weights of the queries' norm with what the core's softmax wants of q: powers of two, and the scores' scale
/// (docs/numerics.md).
pub(super) fn folded(weights: &[f32]) -> Vec<f32> {
    let dim = u32::try_from(weights.len()).expect("64 or 128");
    let fold = LOG2_E / f64::from(dim).sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "rounding to binary32 is what is meant")]
    let round = |value: f64| value as f32;
    weights.iter().map(|&weight| round(f64::from(weight) * fold)).collect()
}

/// binary32, little end first.
fn floats(name: &str, values: &[f32]) -> Result<Vec<u8>, HostError> {
    finite(name, values)?;
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// The core has no infinities and no NaN.
fn finite(name: &str, values: &[f32]) -> Result<(), HostError> {
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(HostError::NonFinite { name: name.to_owned(), found: *value }),
        None => Ok(()),
    }
}

/// Rows of a matrix as a stream of weights.
fn stream(segments: usize, format: Format, rows: &[(&str, &[f32])]) -> Result<Vec<u8>, HostError> {
    rows.iter().try_for_each(|(name, row)| finite(name, row))?;
    let of_row = rows[0].1.len() / BLOCK_LEN;
    let blocks = || rows.iter().flat_map(|(_, row)| row.as_chunks::<BLOCK_LEN>().0);
    Ok(match format {
        Format::Int8 => {
            let blocks: Vec<_> =
                blocks().map(|block| MxInt8Block::quantise(block, ScaleRule::Even).block).collect();
            pack_weights(segments, of_row, Blocks::Int8(&blocks))
        }
        _ => {
            let blocks: Vec<_> =
                blocks().map(|block| MxFp4Block::quantise(block, ScaleRule::Even).block).collect();
            pack_weights(segments, of_row, Blocks::Fp4(&blocks))
        }
    })
}

/// Hexadecimal digits.
pub(super) fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
