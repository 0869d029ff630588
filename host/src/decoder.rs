// SPDX-License-Identifier: Apache-2.0
//! A packed model on the numerics of the hardware, without the hardware: its tensors read back out of the image for the
//! decoder of the references.

use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};
use tandem_model::reference::decoder::{Decoder, Layer, Sizes};
use tandem_model::reference::fast::Matrix;

use crate::import::{Format, Packed, Tensor};

/// Output features of a tile of weights.
const TILE_FEATURES: usize = 64;

/// The decoder of a packed model. K and V are MXINT8 with `int8`, else MXFP4.
///
/// # Panics
///
/// Never for a model as it was packed or loaded.
#[must_use]
pub fn decoder(packed: &Packed, int8: bool) -> Decoder {
    let manifest = &packed.manifest;
    let config = &manifest.config;
    let floats = |tensor: &Tensor| -> Vec<u32> {
        packed.bytes(tensor).as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect()
    };
    let layers = (0..config.num_hidden_layers).zip(&config.windows).map(|(index, window)| {
        let matrix = |name: &str| matrix(packed, manifest.of_layer(index, name));
        let norm = |name: &str| floats(manifest.of_layer(index, name));
        Layer {
            input_norm: norm("input_norm"),
            kv: matrix("kv"),
            q: matrix("q"),
            k_norm: norm("k_norm"),
            q_norm: norm("q_norm"),
            o: matrix("o"),
            post_attention_norm: norm("post_attention_norm"),
            gate_up: matrix("gate_up"),
            down: matrix("down"),
            window: window.unwrap_or(0),
        }
    });
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
            segments: manifest.segments,
        },
        embedding: floats(manifest.tensor("embedding")),
        angles: floats(manifest.tensor("angles")),
        layers: layers.collect(),
        final_norm: floats(manifest.tensor("final_norm")),
        head: matrix(packed, manifest.tensor("head")),
    }
}

/// A matrix, from its stream: tiles of 64 features, each chunk by chunk, a chunk its scales and then a word for each feature
/// (docs/commands.md, "Layouts").
fn matrix(packed: &Packed, tensor: &Tensor) -> Matrix {
    let [features, inputs] = tensor.shape;
    let (bytes, segments) = (packed.bytes(tensor), packed.manifest.segments);
    let (blocks, word) = (inputs / BLOCK_LEN, BLOCK_LEN * segments);
    let per_segment = if tensor.format == Format::Int8 { 1 } else { 2 };
    let of_word = BLOCK_LEN / per_segment;
    let (mut fp4, mut int8) = (Vec::new(), Vec::new());
    let mut tile = 0;
    for first in (0..features).step_by(TILE_FEATURES) {
        let m = TILE_FEATURES.min(features - first);
        let scale_words = m.div_ceil(of_word);
        for feature in 0..m {
            for block in 0..blocks {
                let (chunk, within) = (block / (per_segment * segments), block % (per_segment * segments));
                let (segment, chain) = (within / per_segment, within % per_segment);
                let chunk = tile + chunk * (scale_words + m) * word + segment * BLOCK_LEN;
                let scale = chunk + feature / of_word * word + feature % of_word * per_segment + chain;
                let scale = E8m0::from_code(bytes[scale]);
                let codes = &bytes[chunk + (scale_words + feature) * word..][..BLOCK_LEN];
                if per_segment == 1 {
                    let elements = std::array::from_fn(|lane| Mxint8::from_code(codes[lane]));
                    int8.push(MxInt8Block { scale, elements });
                } else {
                    let nibble = |lane: usize| codes[lane] >> (4 * chain) & 15;
                    let element = |lane| E2m1::from_code(nibble(lane)).expect("4 bits");
                    fp4.push(MxFp4Block { scale, elements: std::array::from_fn(element) });
                }
            }
        }
        tile += blocks.div_ceil(per_segment * segments) * (scale_words + m) * word;
    }
    if per_segment == 1 { Matrix::int8(blocks, &int8) } else { Matrix::fp4(blocks, &fp4) }
}
