// SPDX-License-Identifier: Apache-2.0
//! A packed model as the untimed decoder wants it.

use tandem_model::array::types::{PSUM_SLOTS, SEGMENT_LANES};
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};
use tandem_model::reference::decoder::{Decoder, Layer, Sizes};
use tandem_model::reference::fast::Matrix;

use super::{Format, Packed, Tensor};

impl Packed {
    /// The decoder that computes what the core does with this model, bit for bit. `int8`: K and V are MXINT8, else MXFP4.
    #[must_use]
    pub fn decoder(&self, int8: bool) -> Decoder {
        let config = self.config();
        let floats = |name: &str| self.floats(self.manifest.tensor(name));
        let layer = |layer: usize| {
            let of = |name: &str| self.manifest.of_layer(layer, name);
            Layer {
                input_norm: self.floats(of("input_norm")),
                kv: self.matrix(of("kv")),
                q: self.matrix(of("q")),
                k_norm: self.floats(of("k_norm")),
                q_norm: self.floats(of("q_norm")),
                o: self.matrix(of("o")),
                post_attention_norm: self.floats(of("post_attention_norm")),
                gate_up: self.matrix(of("gate_up")),
                down: self.matrix(of("down")),
                window: config.windows[layer].unwrap_or(0),
            }
        };
        Decoder {
            sizes: Sizes {
                hidden: config.hidden_size,
                heads: config.num_attention_heads,
                kv_heads: config.num_key_value_heads,
                head_dim: config.head_dim,
                intermediate: config.intermediate_size,
                eps: config.rms_norm_eps.to_bits(),
                norms_heads: config.architecture.norms_heads(),
                int8,
                segments: self.manifest.segments,
            },
            embedding: floats("embedding"),
            angles: floats("angles"),
            layers: (0..config.num_hidden_layers).map(layer).collect(),
            final_norm: floats("final_norm"),
            head: self.matrix(self.manifest.tensor("head")),
        }
    }

    fn floats(&self, tensor: &Tensor) -> Vec<u32> {
        self.bytes(tensor).as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
    }

    /// A matrix out of its stream (docs/commands.md, "Layouts").
    fn matrix(&self, tensor: &Tensor) -> Matrix {
        let [rows, cols] = tensor.shape;
        let (segments, blocks) = (self.manifest.segments, cols / BLOCK_LEN);
        let int8 = tensor.format == Format::Int8;
        let per_segment = if int8 { 1 } else { 2 };
        let of_word = SEGMENT_LANES / per_segment;
        let mut words = self.bytes(tensor).chunks_exact(SEGMENT_LANES * segments);
        let mut fp4 = vec![MxFp4Block::default(); if int8 { 0 } else { rows * blocks }];
        let mut eight = vec![MxInt8Block::default(); if int8 { rows * blocks } else { 0 }];
        for first in (0..rows).step_by(PSUM_SLOTS) {
            let features = PSUM_SLOTS.min(rows - first);
            for chunk in (0..blocks).step_by(per_segment * segments) {
                let scales: Vec<&[u8]> = words.by_ref().take(features.div_ceil(of_word)).collect();
                for (feature, word) in words.by_ref().take(features).enumerate() {
                    for (segment, bytes) in word.chunks_exact(SEGMENT_LANES).enumerate() {
                        let of_feature = feature % of_word * per_segment;
                        let scales = &scales[feature / of_word][SEGMENT_LANES * segment + of_feature..];
                        let block = chunk + per_segment * segment;
                        let row = (first + feature) * blocks;
                        for chain in (0..per_segment).filter(|chain| block + chain < blocks) {
                            let (at, scale) = (row + block + chain, E8m0::from_code(scales[chain]));
                            if int8 {
                                let elements = std::array::from_fn(|lane| Mxint8::from_code(bytes[lane]));
                                eight[at] = MxInt8Block { scale, elements };
                            } else {
                                let code = |lane: usize| bytes[lane] >> (4 * chain) & 15;
                                let elements =
                                    std::array::from_fn(|lane| E2m1::from_code(code(lane)).expect("4 bits"));
                                fp4[at] = MxFp4Block { scale, elements };
                            }
                        }
                    }
                }
            }
        }
        if int8 { Matrix::int8(blocks, &eight) } else { Matrix::fp4(blocks, &fp4) }
    }
}
