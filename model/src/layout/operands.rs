// SPDX-License-Identifier: Apache-2.0
//! x or q: row after row its scale bytes, then its element bytes, each filled up to a word of memory.

use super::pad;
use crate::numerics::MxInt8Block;

/// Rows of so many blocks each, row by row.
///
/// # Panics
/// When the blocks are not whole rows.
#[must_use]
pub fn pack_operands(blocks: usize, rows: &[MxInt8Block]) -> Vec<u8> {
    assert!(blocks > 0 && rows.len().is_multiple_of(blocks), "whole rows");
    let mut bytes = Vec::new();
    for row in rows.chunks(blocks) {
        bytes.extend(row.iter().map(|block| block.scale.code()));
        pad(&mut bytes);
        bytes.extend(row.iter().flat_map(|block| block.elements.map(|element| element.code())));
        pad(&mut bytes);
    }
    bytes
}
