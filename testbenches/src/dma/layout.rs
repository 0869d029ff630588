// SPDX-License-Identifier: Apache-2.0
//! Untimed: where rows of x and q go in the operand files, and token records in the tiles of K and V. From the
//! definitions, byte by byte.

use std::collections::BTreeMap;

use tandem_model::array::Geometry;

/// Bytes of a word of memory.
const WORD: usize = 64;

/// Rows in memory, and where they go.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// Rows in use.
    pub rows: usize,
    /// Blocks of a row.
    pub blocks: usize,
    /// First chunk.
    pub operand: usize,
    /// For MXINT8 streams, else for MXFP4.
    pub int8: bool,
    /// To all segments.
    pub grouped: bool,
}

/// Where a block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Row.
    pub row: usize,
    /// Segment.
    pub segment: usize,
    /// 0 is lo.
    pub chain: usize,
    /// Chunk.
    pub chunk: usize,
}

/// A block: scale, elements.
pub type Block = (u8, [u8; 32]);

impl Rows {
    /// Words of memory of a row's scales.
    #[must_use]
    pub const fn scale_words(self) -> usize {
        self.blocks.div_ceil(WORD)
    }

    /// Words of memory of a row.
    #[must_use]
    pub const fn row_words(self) -> usize {
        self.scale_words() + (32 * self.blocks).div_ceil(WORD)
    }

    /// Blocks of a chunk that differ.
    #[must_use]
    pub const fn chunk_blocks(self, geometry: Geometry) -> usize {
        let segments = if self.grouped { 1 } else { geometry.segments };
        if self.int8 { segments } else { 2 * segments }
    }

    /// Chunks that are written.
    #[must_use]
    pub const fn chunks(self, geometry: Geometry) -> usize {
        self.blocks.div_ceil(self.chunk_blocks(geometry))
    }

    /// What the operand files hold afterwards, of what was written.
    #[must_use]
    pub fn image(self, geometry: Geometry, memory: &[u8]) -> BTreeMap<Place, Block> {
        let mut image = BTreeMap::new();
        for row in 0..geometry.rows {
            for chunk in 0..self.chunks(geometry) {
                for segment in 0..geometry.segments {
                    for chain in 0..2 {
                        let share = if self.grouped { 0 } else { segment };
                        let shares = if self.grouped { 1 } else { geometry.segments };
                        let unit = chunk * shares + share;
                        let block = if self.int8 { unit } else { 2 * unit + chain };
                        let there = row < self.rows && block < self.blocks;
                        let bytes = if there { self.block(memory, row, block) } else { (0, [0; 32]) };
                        image.insert(Place { row, segment, chain, chunk: self.operand + chunk }, bytes);
                    }
                }
            }
        }
        image
    }

    fn block(self, memory: &[u8], row: usize, block: usize) -> Block {
        let scales = row * self.row_words() * WORD;
        let elements = scales + self.scale_words() * WORD + 32 * block;
        (memory[scales + block], memory[elements..elements + 32].try_into().expect("32 bytes"))
    }
}

/// Tokens of a head, and where they go.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    /// MXINT8, else MXFP4.
    pub int8: bool,
    /// Head of 128, else of 64.
    pub wide: bool,
    /// Address of the first tile.
    pub region: u64,
}

impl Tokens {
    /// Units of 32 bytes of K, or of V, of a token.
    #[must_use]
    pub const fn units(self) -> usize {
        (if self.wide { 2 } else { 1 }) * (if self.int8 { 2 } else { 1 })
    }

    /// Words of memory of a record.
    #[must_use]
    pub const fn record_words(self) -> usize {
        2 * (32 * self.units()).div_ceil(WORD) + 1
    }

    /// H and G.
    #[must_use]
    pub const fn shape(self, geometry: Geometry) -> (usize, usize) {
        let (units, segments) = (self.units(), geometry.segments);
        if units > segments { (units / segments, 1) } else { (1, segments / units) }
    }

    /// Tokens of a tile.
    #[must_use]
    pub const fn tile_tokens(self, geometry: Geometry) -> usize {
        32 * self.shape(geometry).1
    }

    /// Bytes of a tile.
    #[must_use]
    pub const fn tile_bytes(self, geometry: Geometry) -> usize {
        let words = (if self.int8 { 66 } else { 68 }) * self.shape(geometry).0;
        words * geometry.word_bytes()
    }

    /// What the first `words` words of token `token`'s record write: bytes by address.
    #[must_use]
    pub fn bytes(self, geometry: Geometry, token: usize, record: &[u8], words: usize) -> BTreeMap<u64, u8> {
        let (parts, groups) = self.shape(geometry);
        let per_group = geometry.segments / groups;
        let scale_words = if self.int8 { 1 } else { 2 };
        let (tile, in_tile) = (token / (32 * groups), token % (32 * groups));
        let (group, beat) = (in_tile / 32, in_tile % 32);
        let stream_words = (32 * self.units()).div_ceil(WORD);
        let mut written = BTreeMap::new();
        let mut put = |word: usize, byte: usize, from: usize| {
            if from / WORD < words {
                let at = tile * self.tile_bytes(geometry) + word * geometry.word_bytes() + byte;
                written.insert(self.region + at as u64, record[from]);
            }
        };
        for value in 0..2 {
            for unit in 0..self.units() {
                let (part, segment) = (unit / per_group, group * per_group + unit % per_group);
                let element_word = 2 * scale_words * parts + 32 * parts * value + 32 * part + beat;
                for lane in 0..32 {
                    put(element_word, 32 * segment + lane, value * stream_words * WORD + 32 * unit + lane);
                }
                let scale_word = scale_words * parts * value + scale_words * part;
                let scales = 2 * stream_words * WORD + 8 * value;
                if self.int8 {
                    put(scale_word, 32 * segment + beat, scales + unit);
                } else {
                    for chain in 0..2 {
                        let byte = 32 * segment + 2 * (beat % 16) + chain;
                        put(scale_word + beat / 16, byte, scales + 2 * unit + chain);
                    }
                }
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::Stream;
    use crate::attention::Session;
    use crate::attention::pages::pack;
    use crate::random::{Flavour, Source};

    /// A token's record, from the session's blocks.
    fn record(session: &Session, token: usize, tokens: Tokens) -> Vec<u8> {
        let blocks = session.head_dim / 32;
        let stream_bytes = (32 * tokens.units()).next_multiple_of(WORD);
        let mut bytes = vec![0; tokens.record_words() * WORD];
        for (value, stream) in [&session.keys, &session.values].into_iter().enumerate() {
            for block in 0..blocks {
                let at = token * blocks + block;
                let elements = value * stream_bytes;
                let scale = match stream {
                    Stream::Int8(all) => {
                        for (lane, element) in all[at].elements.iter().enumerate() {
                            bytes[elements + 32 * block + lane] = element.code();
                        }
                        all[at].scale.code()
                    }
                    Stream::Fp4(all) => {
                        for (lane, element) in all[at].elements.iter().enumerate() {
                            bytes[elements + 32 * (block / 2) + lane] |= element.code() << (4 * (block % 2));
                        }
                        all[at].scale.code()
                    }
                };
                bytes[2 * stream_bytes + 8 * value + block] = scale;
            }
        }
        bytes
    }

    #[test]
    fn tokens_one_by_one_make_the_tiles_that_the_engine_reads() {
        for geometry in Geometry::ALL {
            for (int8, wide) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut source = Source::new(9, Flavour::WildScales);
                let (head_dim, count) = (if wide { 128 } else { 64 }, 70);
                let blocks = count * head_dim / 32;
                let mut stream = || {
                    if int8 {
                        Stream::Int8((0..blocks).map(|_| source.int8_block()).collect())
                    } else {
                        Stream::Fp4((0..blocks).map(|_| source.fp4_block()).collect())
                    }
                };
                let session = Session { head_dim, keys: stream(), values: stream() };
                let tokens = Tokens { int8, wide, region: 4096 };
                let mut memory = BTreeMap::new();
                for token in 0..count {
                    let record = record(&session, token, tokens);
                    memory.extend(tokens.bytes(geometry, token, &record, tokens.record_words()));
                }
                let tiles = pack(&session, geometry);
                let mut packed = BTreeMap::new();
                for (n, tile) in tiles.iter().enumerate() {
                    for (word, bytes) in tile.words.iter().enumerate() {
                        let at = n * tokens.tile_bytes(geometry) + word * geometry.word_bytes();
                        for (i, &byte) in bytes.iter().flatten().enumerate() {
                            packed.insert(tokens.region + (at + i) as u64, byte);
                        }
                    }
                }
                // Words that hold a token's bytes have zeros where there is none.
                for (address, byte) in &memory {
                    assert_eq!(packed.remove(address), Some(*byte), "{geometry:?} {tokens:?} {address:#x}");
                }
                assert!(packed.values().all(|&byte| byte == 0), "{geometry:?} {tokens:?}");
            }
        }
    }
}
