// SPDX-License-Identifier: Apache-2.0
//! QK and PV tiles as beats (rules 1, 4, 5 and 8 of docs/blocks/systolic_array.md).

use tandem_model::array::Geometry;
use tandem_model::array::types::{Beat, EdgeTag, LaneByte, Mode, PeTag, SEGMENT_LANES};
use tandem_model::block::{Int, Uint, low_u16};

use super::driver::{ArrayDriver, Slot};
use super::gemv::{Stationary, Stream};
use crate::dut::DutError;

/// Tokens of a tile, per group.
pub const TILE_TOKENS: usize = 32;

/// How a head lies in the array: in groups when it is narrower than a beat, in parts when it is wider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLayout {
    /// Blocks of the head.
    pub blocks: usize,
    /// Blocks that a segment takes per beat.
    pub per_segment: usize,
    /// Tokens per beat.
    pub groups: usize,
    /// Beats per token.
    pub parts: usize,
}

impl HeadLayout {
    /// Layout of a head of `blocks` (a power of two) blocks of 32.
    #[must_use]
    pub fn new(geometry: Geometry, int8: bool, blocks: usize) -> Self {
        let per_segment = if int8 { 1 } else { 2 };
        let capacity = per_segment * geometry.segments;
        Self { blocks, per_segment, groups: (capacity / blocks).max(1), parts: (blocks / capacity).max(1) }
    }

    /// Segments of a group.
    #[must_use]
    pub fn segments_per_group(self, geometry: Geometry) -> usize {
        geometry.segments / self.groups
    }

    /// Block of the head on a chain of a segment in a part. A segment of MXINT8 has one, on both chains.
    #[must_use]
    pub fn block(self, geometry: Geometry, part: usize, segment: usize, chain: usize) -> usize {
        let in_group = segment % self.segments_per_group(geometry);
        let chain = if self.per_segment == 2 { chain } else { 0 };
        part * self.per_segment * geometry.segments + in_group * self.per_segment + chain
    }
}

/// A tile of keys: at most 32 tokens per group.
#[derive(Clone, Debug)]
pub struct KeyTile {
    /// How the head lies.
    pub layout: HeadLayout,
    /// Beats of a part: tokens of group 0.
    pub beats: usize,
    /// `beats * groups x blocks`: token t of group g is at `g * beats + t`.
    pub keys: Stream,
}

impl KeyTile {
    /// Streams the tile past the queries: loads them part by part, then one beat per token and part.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn stream(&self, driver: &mut ArrayDriver<'_>, queries: &Stationary) -> Result<(), DutError> {
        let geometry = driver.geometry();
        let layout = self.layout;
        let spg = layout.segments_per_group(geometry);
        for part in 0..layout.parts {
            let bank = part % 2 == 1;
            for slot in queries.loads(geometry, bank, |s, c| Some(layout.block(geometry, part, s, c))) {
                driver.issue(slot)?;
            }
            for token in 0..self.beats {
                let mut slot = Slot::default();
                for s in 0..geometry.segments {
                    let row = ((s / spg) * self.beats + token) * layout.blocks;
                    let at = |chain| Some(row + layout.block(geometry, part, s, chain));
                    let (bytes, scale) = self.keys.segment(at(0), at(1));
                    slot.elements.extend(bytes);
                    slot.scales.push(scale);
                }
                slot.beat = Beat {
                    pe: PeTag { mode: Mode::Qk, bank, ..PeTag::default() },
                    segment: EdgeTag {
                        int8: self.keys.is_int8(),
                        bank,
                        group_log2: Uint(low_u16(u64::from(spg.ilog2()))),
                        slot: Uint(low_u16(token as u64)),
                        partial_in: part > 0,
                        partial_out: part + 1 < layout.parts,
                        ..EdgeTag::default()
                    },
                };
                driver.issue(slot)?;
            }
        }
        Ok(())
    }
}

/// One part of a tile of values: at most 32 tokens.
#[derive(Clone, Debug)]
pub struct ValueTile {
    /// MXINT8 elements: lo and hi halves share a p.
    pub int8: bool,
    /// Which part of the token.
    pub part: usize,
    /// First tile of its head.
    pub acc_first: bool,
    /// Bank of the accumulators.
    pub acc_bank: bool,
    /// `[token][lane]`: element bytes.
    pub elements: Vec<Vec<u8>>,
    /// `[token][row * segments + segment]`.
    pub p: Vec<Vec<LaneByte>>,
    /// `[row * segments + segment][lo, hi]`.
    pub exponents: Vec<[Int<12>; 2]>,
}

impl ValueTile {
    /// Entry of the accumulator files that lane 0 of this part uses.
    #[must_use]
    pub fn address(&self, geometry: Geometry) -> usize {
        let part = if self.int8 { self.part / 2 } else { self.part };
        let high = usize::from(self.acc_bank) * geometry.chain_parts() + part % geometry.chain_parts();
        high * SEGMENT_LANES
    }

    /// Which chains accumulate.
    #[must_use]
    pub fn chains(&self) -> &'static [usize] {
        match (self.int8, self.part % 2) {
            (false, _) => &[0, 1],
            (true, 0) => &[0],
            (true, _) => &[1],
        }
    }

    /// Streams the tile.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn stream(&self, driver: &mut ArrayDriver<'_>) -> Result<(), DutError> {
        let last = self.elements.len() - 1;
        for (token, elements) in self.elements.iter().enumerate() {
            let ends = token == last;
            let beat = Beat {
                pe: PeTag { mode: Mode::Pv, first: token == 0, last: ends, ..PeTag::default() },
                segment: EdgeTag {
                    int8: self.int8,
                    part: Uint(low_u16(self.part as u64)),
                    acc_first: self.acc_first,
                    acc_bank: self.acc_bank,
                    ..EdgeTag::default()
                },
            };
            driver.issue(Slot {
                beat,
                elements: elements.clone(),
                p: self.p[token].clone(),
                tile_exponents: if ends { self.exponents.clone() } else { Vec::new() },
                ..Slot::default()
            })?;
        }
        Ok(())
    }
}
