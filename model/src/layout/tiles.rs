// SPDX-License-Identifier: Apache-2.0
//! K and V of a session: tiles as the attention engine takes them (docs/blocks/attention_engine.md, "A tile in the banks"), and
//! records of single tokens that are to be put into tiles.

use super::{Blocks, pad};
use crate::array::types::SEGMENT_LANES;
use crate::attention::types::HeadShape;
use crate::memory::types::AXI_BYTES;

/// Tokens of a group of a tile.
const GROUP_TOKENS: usize = 32;
/// Where a record's last word has V's scales.
const VALUE_SCALES: usize = 8;

/// Bytes of the tiles of so many tokens: always whole tiles.
#[must_use]
pub const fn region_bytes(segments: usize, int8: bool, wide: bool, tokens: usize) -> usize {
    let shape = HeadShape::new(segments, int8, wide);
    tokens.div_ceil(shape.tile_tokens()) * shape.tile_words(int8) * SEGMENT_LANES * segments
}

/// The tiles of a session, its blocks token by token; a token has four blocks if `wide`, else two.
///
/// # Panics
/// When K and V differ in format or length, or are not whole tokens.
#[must_use]
pub fn pack_region(segments: usize, wide: bool, keys: Blocks<'_>, values: Blocks<'_>) -> Vec<u8> {
    let (blocks, tokens) = shape_of(wide, keys, values);
    let int8 = keys.is_int8();
    let shape = HeadShape::new(segments, int8, wide);
    let (word, per_segment) = (SEGMENT_LANES * segments, keys.per_segment());
    let (units, group_segments) = (blocks / per_segment, segments / shape.groups);
    let scale_words = shape.scale_words(int8);
    let mut bytes = vec![0; region_bytes(segments, int8, wide, tokens)];
    for token in 0..tokens {
        let (tile, of_tile) = (token / shape.tile_tokens(), token % shape.tile_tokens());
        let (group, beat) = (of_tile / GROUP_TOKENS, of_tile % GROUP_TOKENS);
        for unit in 0..units {
            let (part, segment) = (unit / group_segments, group * group_segments + unit % group_segments);
            let (first, end) = (token * blocks + unit * per_segment, (token + 1) * blocks);
            for (value, stream) in [(0, keys), (1, values)] {
                let place = |word_of_tile: usize, byte: usize| {
                    (tile * shape.tile_words(int8) + word_of_tile) * word + SEGMENT_LANES * segment + byte
                };
                let elements = place(2 * scale_words + (value * shape.parts + part) * GROUP_TOKENS + beat, 0);
                bytes[elements..elements + SEGMENT_LANES].copy_from_slice(&stream.elements(first, end));
                // Scales of the beats follow each other through the words of the part.
                let byte = beat * per_segment;
                let word_of_part = part * per_segment + byte / SEGMENT_LANES;
                let scales = place(value * scale_words + word_of_part, byte % SEGMENT_LANES);
                bytes[scales..scales + per_segment].copy_from_slice(&stream.scales(first, end));
            }
        }
    }
    bytes
}

/// A record for each token.
///
/// # Panics
/// When K and V differ in format or length, or are not whole tokens.
#[must_use]
pub fn pack_records(wide: bool, keys: Blocks<'_>, values: Blocks<'_>) -> Vec<u8> {
    let (blocks, tokens) = shape_of(wide, keys, values);
    let per_segment = keys.per_segment();
    let mut bytes = Vec::new();
    for token in 0..tokens {
        let (first, end) = (token * blocks, (token + 1) * blocks);
        let units = || (first..end).step_by(per_segment);
        for stream in [keys, values] {
            bytes.extend(units().flat_map(|at| stream.elements(at, end)));
            pad(&mut bytes);
        }
        let mut scales = vec![0; AXI_BYTES];
        for (from, stream) in [(0, keys), (VALUE_SCALES, values)] {
            let codes: Vec<u8> = units().flat_map(|at| stream.scales(at, end)).collect();
            scales[from..from + blocks].copy_from_slice(&codes);
        }
        bytes.extend(scales);
    }
    bytes
}

/// Blocks of a token, and tokens.
fn shape_of(wide: bool, keys: Blocks<'_>, values: Blocks<'_>) -> (usize, usize) {
    assert_eq!(keys.is_int8(), values.is_int8(), "K and V of one format");
    assert_eq!(keys.len(), values.len(), "K and V of the same tokens");
    let blocks = if wide { 4 } else { 2 };
    assert_eq!(keys.len() % blocks, 0, "whole tokens");
    (blocks, keys.len() / blocks)
}
