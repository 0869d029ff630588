// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/scale_file.sv`.

use super::p_quantiser::BlockScales;
use crate::array::Geometry;
use crate::array::types::SEGMENT_LANES;
use crate::block::{Uint, Visit, Visitor};

/// Scale codes of the tiles in flight, for one segment.
#[derive(Clone, Debug)]
pub struct ScaleFile {
    blocks: usize,
    scale_q: Vec<Uint<8>>,
    written: Vec<bool>,
}

impl ScaleFile {
    /// A file of `tiles` tiles that nobody has written yet.
    #[must_use]
    pub fn new(geometry: Geometry, tiles: usize) -> Self {
        let blocks = geometry.segment_blocks();
        let bytes = tiles * blocks * SEGMENT_LANES;
        Self { blocks, scale_q: vec![Uint(0); bytes], written: vec![false; bytes] }
    }

    /// {tile, word, byte}.
    const fn address(&self, tile: usize, word: usize, byte: usize) -> usize {
        (tile * self.blocks + word) * SEGMENT_LANES + byte
    }

    /// Writes a word of 32 bytes at the clock.
    pub fn write(&mut self, tile: usize, word: usize, data: &[Uint<8>]) {
        let start = self.address(tile, word, 0);
        self.scale_q[start..start + SEGMENT_LANES].copy_from_slice(data);
        self.written[start..start + SEGMENT_LANES].fill(true);
    }

    /// The codes of all blocks of a token: block 2 x part + chain in FP4, block `part` in INT8.
    pub fn blocks(&self, int8: bool, tile: usize, beat: usize, codes: &mut BlockScales) {
        for (k, code) in codes.codes_mut().iter_mut().enumerate() {
            let (word, byte) =
                if int8 { (k, beat) } else { ((k & !1) + beat / 16, 2 * (beat % 16) + (k & 1)) };
            *code = self.scale_q[self.address(tile, word, byte)];
        }
    }
}

impl Visit for ScaleFile {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.memory("scale_q", &mut self.scale_q, &mut self.written);
    }
}
