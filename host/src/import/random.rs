// SPDX-License-Identifier: Apache-2.0
//! A model of any shape with random weights, straight into its layout: for figures, which do not depend on what weights say.

use tandem_model::layout::{Blocks, pack_weights};
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};

use super::layout::{Manifest, Tensor};
use super::pack::{ROWS, angles, folded};
use super::{Bytes, Format, ImportOptions, Packed};
use crate::config::Config;
use crate::error::HostError;
use crate::math::float;
use crate::rope::Rope;

/// Root mean square of a random E2M1 element, and of a random byte as an MXINT8 element.
const FP4_SIZE: f32 = 2.93;
const INT8_SIZE: f32 = 1.15;

pub(super) fn random(
    config: &Config,
    options: &ImportOptions,
    table: usize,
    seed: u64,
) -> Result<Packed, HostError> {
    let manifest = Manifest::with_table(config, options, table)?;
    let mut source = Source(seed);
    let mut image = Vec::with_capacity(usize::try_from(manifest.bytes).expect("images are in memory"));
    for tensor in &manifest.tensors {
        image.resize(tensor.range().start, 0);
        source.tensor(tensor, &manifest, &mut image);
        assert_eq!(image.len(), tensor.range().end, "bytes of {}", tensor.name);
    }
    image.resize(usize::try_from(manifest.bytes).expect("images are in memory"), 0);
    Ok(Packed { manifest, image: Bytes::Owned(image), tokenizer: None })
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Source(u64);

impl Source {
    const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// Between -1 and 1.
    fn unit(&mut self) -> f32 {
        let [a, b, ..] = self.bits().to_le_bytes();
        f32::from(i16::from_le_bytes([a, b])) / 32768.0
    }

    fn tensor(&mut self, tensor: &Tensor, manifest: &Manifest, to: &mut Vec<u8>) {
        let [rows, cols] = tensor.shape;
        if tensor.format != Format::Binary32 {
            for first in (0..rows).step_by(ROWS) {
                let blocks = ROWS.min(rows - first) * cols / BLOCK_LEN;
                to.extend(self.stream(tensor.format, manifest.segments, blocks, cols));
            }
            return;
        }
        let values = match tensor.name.rsplit('.').next().unwrap_or_default() {
            "angles" => {
                let rope = Rope::new(&manifest.config);
                (0..rows).flat_map(|position| angles(&rope, position)).collect()
            }
            "ones" => vec![1.0; cols],
            "embedding" => (0..rows * cols).map(|_| self.unit() / 16.0).collect(),
            name => {
                let norm: Vec<f32> = (0..cols).map(|_| 1.0 + self.unit() / 8.0).collect();
                if name == "q_norm" { folded(&norm) } else { norm }
            }
        };
        to.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    }

    /// Rows of a matrix whose products are about as large as what is multiplied.
    fn stream(&mut self, format: Format, segments: usize, blocks: usize, cols: usize) -> Vec<u8> {
        let size = if format == Format::Int8 { INT8_SIZE } else { FP4_SIZE };
        let below = (1..=126).find(|&n| 2f32.powi(n) >= size * float(cols).sqrt()).unwrap_or(126);
        let code = 127 - u8::try_from(below).expect("at most 126");
        let of_row = cols / BLOCK_LEN;
        if format == Format::Int8 {
            let block = |_| MxInt8Block {
                scale: E8m0::from_code(code + u8::from(self.bits() & 1 == 1)),
                elements: self.bytes().map(Mxint8::from_code),
            };
            let blocks: Vec<_> = (0..blocks).map(block).collect();
            return pack_weights(segments, of_row, Blocks::Int8(&blocks));
        }
        let block = |_| MxFp4Block {
            scale: E8m0::from_code(code + u8::from(self.bits() & 1 == 1)),
            elements: self.bytes().map(|byte| E2m1::from_code(byte & 15).expect("4 bits")),
        };
        let blocks: Vec<_> = (0..blocks).map(block).collect();
        pack_weights(segments, of_row, Blocks::Fp4(&blocks))
    }

    fn bytes(&mut self) -> [u8; BLOCK_LEN] {
        let mut bytes = [0; BLOCK_LEN];
        for part in bytes.as_chunks_mut::<8>().0 {
            *part = self.bits().to_le_bytes();
        }
        bytes
    }
}
