// SPDX-License-Identifier: Apache-2.0
//! W as a stream: tiles of 64 output features, each tile chunk by chunk, each chunk its scale words and then a word for each
//! feature.

use super::{Blocks, pad};
use crate::array::types::{PSUM_SLOTS, SEGMENT_LANES};
use crate::memory::types::AXI_BYTES;

/// Bytes of the stream of `features` output features times `blocks` blocks of the contraction.
#[must_use]
pub const fn weight_bytes(segments: usize, int8: bool, features: usize, blocks: usize) -> usize {
    let chunks = blocks.div_ceil(if int8 { segments } else { 2 * segments });
    let of_word = if int8 { SEGMENT_LANES } else { SEGMENT_LANES / 2 };
    // Tiles that are not the last are whole words of scales.
    let words = chunks * (features + features.div_ceil(of_word));
    (words * SEGMENT_LANES * segments).next_multiple_of(AXI_BYTES)
}

/// The stream of a matrix, its blocks feature by feature.
///
/// # Panics
/// When the blocks are not whole features.
#[must_use]
pub fn pack_weights(segments: usize, blocks: usize, weights: Blocks<'_>) -> Vec<u8> {
    assert!(blocks > 0 && weights.len().is_multiple_of(blocks), "whole features");
    let features = weights.len() / blocks;
    let (per_segment, word) = (weights.per_segment(), SEGMENT_LANES * segments);
    let of_word = SEGMENT_LANES / per_segment;
    let mut bytes = Vec::with_capacity(weight_bytes(segments, weights.is_int8(), features, blocks));
    for tile in (0..features).step_by(PSUM_SLOTS) {
        let rows: Vec<usize> = (tile..features.min(tile + PSUM_SLOTS)).collect();
        for chunk in (0..blocks).step_by(per_segment * segments) {
            let at = |feature: usize, segment: usize| {
                let row = feature * blocks;
                (row + chunk + per_segment * segment, row + blocks)
            };
            for features in rows.chunks(of_word) {
                let start = bytes.len();
                bytes.resize(start + word, 0);
                for (i, &feature) in features.iter().enumerate() {
                    for segment in 0..segments {
                        let (first, end) = at(feature, segment);
                        let to = start + SEGMENT_LANES * segment + per_segment * i;
                        bytes[to..to + per_segment].copy_from_slice(&weights.scales(first, end));
                    }
                }
            }
            for &feature in &rows {
                for segment in 0..segments {
                    let (first, end) = at(feature, segment);
                    bytes.extend(weights.elements(first, end));
                }
            }
        }
    }
    pad(&mut bytes);
    bytes
}
