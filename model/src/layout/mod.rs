// SPDX-License-Identifier: Apache-2.0
//! How matrices, operands and sessions lie in memory (docs/commands.md, "Layouts"): from blocks to bytes, and from bytes to
//! results. What has a length of its own begins at a multiple of [`AXI_BYTES`] and fills whole words of memory.
//!
//! `segments` is the array's: an *array word* is 32 bytes for each of them, segment s's from byte 32s on.

mod operands;
mod results;
mod tiles;
mod weights;

pub use operands::pack_operands;
pub use results::{result_bytes, unpack_results};
pub use tiles::{pack_records, pack_region, region_bytes};
pub use weights::{pack_weights, weight_bytes};

use crate::array::types::SEGMENT_LANES;
use crate::memory::types::AXI_BYTES;
use crate::numerics::{MxFp4Block, MxInt8Block};

/// Blocks of what streams: weights, K or V, row by row.
#[derive(Clone, Copy, Debug)]
pub enum Blocks<'a> {
    /// MXFP4.
    Fp4(&'a [MxFp4Block]),
    /// MXINT8.
    Int8(&'a [MxInt8Block]),
}

impl Blocks<'_> {
    /// How many.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Fp4(blocks) => blocks.len(),
            Self::Int8(blocks) => blocks.len(),
        }
    }

    /// True when there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// True for MXINT8.
    #[must_use]
    pub const fn is_int8(&self) -> bool {
        matches!(self, Self::Int8(_))
    }

    /// Blocks that one segment takes per beat, one for each of its chains or one for both.
    const fn per_segment(&self) -> usize {
        if self.is_int8() { 1 } else { 2 }
    }

    /// One segment's 32 bytes: the blocks from `first` on of a row that ends before `end`. What the row does not have is
    /// zero.
    fn elements(&self, first: usize, end: usize) -> [u8; SEGMENT_LANES] {
        std::array::from_fn(|lane| match self {
            Self::Fp4(blocks) => {
                let nibble = |at: usize| if at < end { blocks[at].elements[lane].code() } else { 0 };
                nibble(first) | nibble(first + 1) << 4
            }
            Self::Int8(blocks) => {
                if first < end {
                    blocks[first].elements[lane].code()
                } else {
                    0
                }
            }
        })
    }

    /// Scale codes of the same blocks, as many as [`Blocks::per_segment`].
    fn scales(&self, first: usize, end: usize) -> Vec<u8> {
        let code = |at: usize| match self {
            _ if at >= end => 0,
            Self::Fp4(blocks) => blocks[at].scale.code(),
            Self::Int8(blocks) => blocks[at].scale.code(),
        };
        (first..first + self.per_segment()).map(code).collect()
    }
}

/// Fills the last word of memory up with zeros.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(AXI_BYTES), 0);
}
