// SPDX-License-Identifier: Apache-2.0
//! How a session lies in the words of the banks.
//!
//! A word is what the array takes per beat: 32 bytes for each of S segments, segment s's from byte 32 s on. A tile
//! is 32 tokens for each of G groups; a token takes H parts ([`HeadLayout`]). With W scale words per part (MXFP4: 2,
//! MXINT8: 1), and with the space of a full tile whatever the tile holds, its words are:
//!
//! | first word | words | what |
//! |---|---|---|
//! | 0 | W H | scales of K, part by part |
//! | W H | W H | scales of V |
//! | 2 W H | 32 H | elements of K: 32 part + beat |
//! | 2 W H + 32 H | 32 H | elements of V |
//!
//! - Beat b brings token b of every group: segment s belongs to group s / (S / G).
//! - Elements: lane c's byte is byte c of the segment. MXFP4: the low nibble is the lo chain's element, the high nibble
//!   the hi chain's.
//! - Scales, MXFP4: word b / 16 of the part holds in bytes 2 (b mod 16) and the next the lo and the hi chain's scale of
//!   beat b. MXINT8: byte b.
//! - Tokens that a tile does not have are zero bytes. Words that hold only such tokens are neither stored nor fetched.

use tandem_model::array::Geometry;
use tandem_model::array::types::SEGMENT_LANES;

use super::session::Session;
use crate::array::{HeadLayout, Stream, TILE_TOKENS};

/// Where a tile's words lie, from its first word on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLayout {
    /// How the head lies in the array.
    pub head: HeadLayout,
    /// K and V are MXINT8.
    pub int8: bool,
}

impl PageLayout {
    /// Layout of a session's tiles.
    #[must_use]
    pub fn of(session: &Session, geometry: Geometry) -> Self {
        Self { head: session.layout(geometry), int8: session.int8() }
    }

    /// Tokens of a full tile.
    #[must_use]
    pub const fn tile_tokens(self) -> usize {
        TILE_TOKENS * self.head.groups
    }

    /// Scale words of K, or of V, of a part.
    #[must_use]
    pub const fn scale_words(self) -> usize {
        if self.int8 { 1 } else { 2 }
    }

    /// Words from one tile to the next.
    #[must_use]
    pub const fn stride(self) -> usize {
        2 * self.head.parts * (self.scale_words() + TILE_TOKENS)
    }

    /// Word that holds the scales of a beat, of K or of V.
    #[must_use]
    pub const fn scale_word(self, value: bool, part: usize, beat: usize) -> usize {
        let of_values = if value { self.head.parts * self.scale_words() } else { 0 };
        of_values + part * self.scale_words() + beat * self.scale_words() / TILE_TOKENS
    }

    /// Word that holds the elements of a beat, of K or of V.
    #[must_use]
    pub const fn element_word(self, value: bool, part: usize, beat: usize) -> usize {
        let scales = 2 * self.head.parts * self.scale_words();
        let of_values = if value { self.head.parts * TILE_TOKENS } else { 0 };
        scales + of_values + part * TILE_TOKENS + beat
    }

    /// Words to be fetched, and stored, of a tile of which the first `tokens` are wanted; ascending.
    #[must_use]
    pub fn words(self, tokens: usize) -> Vec<usize> {
        let mut words = Vec::new();
        for part in 0..self.head.parts {
            for beat in 0..tokens.min(TILE_TOKENS) {
                for value in [false, true] {
                    words.push(self.scale_word(value, part, beat));
                    words.push(self.element_word(value, part, beat));
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        words
    }

    /// Bytes of elements and scales of so many tokens, K and V: what must cross the port at the least.
    #[must_use]
    pub const fn payload_bytes(self, tokens: usize) -> usize {
        let element_bytes = if self.int8 { SEGMENT_LANES } else { SEGMENT_LANES / 2 };
        2 * tokens * self.head.blocks * (element_bytes + 1)
    }
}

/// One tile of a session.
#[derive(Clone, Debug)]
pub struct Tile {
    /// Tokens that it holds.
    pub tokens: usize,
    /// Word by word from its first one, as many as the stride; `None` for those that are not stored.
    pub words: Vec<Option<Vec<u8>>>,
}

/// Packs a session for the banks of a geometry.
#[must_use]
pub fn pack(session: &Session, geometry: Geometry) -> Vec<Tile> {
    let layout = PageLayout::of(session, geometry);
    let starts = (0..session.tokens()).step_by(layout.tile_tokens());
    starts.map(|start| pack_tile(session, geometry, layout, start)).collect()
}

fn pack_tile(session: &Session, geometry: Geometry, layout: PageLayout, start: usize) -> Tile {
    let tokens = (session.tokens() - start).min(layout.tile_tokens());
    let mut words = vec![None; layout.stride()];
    for word in layout.words(tokens) {
        words[word] = Some(vec![0; geometry.word_bytes()]);
    }
    let per_group = layout.head.segments_per_group(geometry);
    for (value, stream) in [(false, &session.keys), (true, &session.values)] {
        for part in 0..layout.head.parts {
            for beat in 0..tokens.min(TILE_TOKENS) {
                for segment in 0..geometry.segments {
                    let token = segment / per_group * TILE_TOKENS + beat;
                    if token >= tokens {
                        continue;
                    }
                    let row = (start + token) * layout.head.blocks;
                    let at = |chain| Some(row + layout.head.block(geometry, part, segment, chain));
                    let (elements, scale) = stream.segment(at(0), at(1));
                    let bytes = segment * SEGMENT_LANES..(segment + 1) * SEGMENT_LANES;
                    let mut put = |word: usize, from: usize, data: &[u8]| {
                        let word = words[word].as_mut().expect("a stored word");
                        word[bytes.clone()][from..from + data.len()].copy_from_slice(data);
                    };
                    put(layout.element_word(value, part, beat), 0, &elements);
                    let code = |scale: u16| u8::try_from(scale).expect("8 bits");
                    let scales = [code(scale.lo.0), code(scale.hi.0)];
                    // One byte per token of MXINT8, two (lo, hi) of MXFP4.
                    let count = if matches!(stream, Stream::Int8(_)) { 1 } else { 2 };
                    put(layout.scale_word(value, part, beat), beat * count % SEGMENT_LANES, &scales[..count]);
                }
            }
        }
    }
    Tile { tokens, words }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Flavour, Source};

    fn session(int8: bool, head_dim: usize, tokens: usize) -> Session {
        let mut source = Source::new(5, Flavour::WildScales);
        let count = tokens * head_dim / 32;
        let mut stream = || {
            if int8 {
                Stream::Int8((0..count).map(|_| source.int8_block()).collect())
            } else {
                Stream::Fp4((0..count).map(|_| source.fp4_block()).collect())
            }
        };
        Session { head_dim, keys: stream(), values: stream() }
    }

    /// Reads one block of one token back, from the layout's words alone: 32 element codes, then the scale's.
    fn unpacked(
        tiles: &[Tile],
        segments: usize,
        int8: bool,
        head_dim: usize,
        value: bool,
        (token, block): (usize, usize),
    ) -> [u8; 33] {
        // A word carries this many blocks; a narrower head lies in it several times, a wider one in several words.
        let per_word = if int8 { segments } else { 2 * segments };
        let of_head = head_dim / 32;
        let groups = if of_head < per_word { per_word / of_head } else { 1 };
        let parts = if of_head > per_word { of_head / per_word } else { 1 };
        let (tile, in_tile) = (&tiles[token / (32 * groups)], token % (32 * groups));
        let (group, beat) = (in_tile / 32, in_tile % 32);
        let (part, in_word) = (block / per_word, block % per_word + group * of_head);
        let scale_words = if int8 { parts } else { 2 * parts };
        let word = |index: usize| tile.words[index].as_ref().expect("stored");
        let elements = word(2 * scale_words + (usize::from(value) * parts + part) * 32 + beat);
        let scales_at = usize::from(value) * scale_words;
        let mut read = [0; 33];
        if int8 {
            read[..32].copy_from_slice(&elements[32 * in_word..32 * in_word + 32]);
            read[32] = word(scales_at + part)[32 * in_word + beat];
        } else {
            let segment = in_word / 2;
            for (lane, code) in read[..32].iter_mut().enumerate() {
                *code = elements[32 * segment + lane] >> (4 * (in_word % 2)) & 15;
            }
            let word = word(scales_at + 2 * part + beat / 16);
            read[32] = word[32 * segment + 2 * (beat % 16) + in_word % 2];
        }
        read
    }

    fn block(stream: &Stream, index: usize) -> [u8; 33] {
        let mut codes = [0; 33];
        match stream {
            Stream::Fp4(all) => {
                codes[..32].copy_from_slice(&all[index].elements.map(|e| e.code()));
                codes[32] = all[index].scale.code();
            }
            Stream::Int8(all) => {
                codes[..32].copy_from_slice(&all[index].elements.map(|e| e.code()));
                codes[32] = all[index].scale.code();
            }
        }
        codes
    }

    #[test]
    fn every_block_is_found_where_the_layout_says() {
        for geometry in Geometry::ALL {
            for (int8, head_dim) in [(false, 64), (false, 128), (true, 64), (true, 128)] {
                for tokens in [1, 16, 17, 32, 33, 64, 65, 100] {
                    let session = session(int8, head_dim, tokens);
                    let tiles = pack(&session, geometry);
                    for index in 0..tokens * head_dim / 32 {
                        let at = (index / (head_dim / 32), index % (head_dim / 32));
                        for (value, stream) in [(false, &session.keys), (true, &session.values)] {
                            let got = unpacked(&tiles, geometry.segments, int8, head_dim, value, at);
                            assert_eq!(got, block(stream, index), "{geometry:?} {head_dim} {tokens} {at:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn short_tiles_store_only_the_words_that_hold_tokens() {
        let [small, slim] = Geometry::ALL;
        let stored = |geometry, int8, head_dim, tokens| {
            let tile = pack(&session(int8, head_dim, tokens), geometry).remove(0);
            (0..tile.words.len()).filter(|&i| tile.words[i].is_some()).collect::<Vec<_>>()
        };
        // Two groups, one part: KS 0..2, VS 2..4, K 4..36, V 36..68.
        assert_eq!(stored(small, false, 64, 2), [0, 2, 4, 5, 36, 37]);
        assert_eq!(stored(small, false, 64, 17).len(), 4 + 2 * 17);
        assert_eq!(stored(small, false, 64, 33).len(), 4 + 2 * 32);
        // Two parts: KS 0..4, VS 4..8, K 8..72, V 72..136.
        assert_eq!(stored(slim, false, 128, 1), [0, 2, 4, 6, 8, 40, 72, 104]);
        // Four parts of MXINT8: KS 0..4, VS 4..8, K 8..136, V 136..264.
        assert_eq!(stored(slim, true, 128, 1), [0, 1, 2, 3, 4, 5, 6, 7, 8, 40, 72, 104, 136, 168, 200, 232]);
        assert_eq!(pack(&session(true, 128, 1), slim)[0].words.len(), 264);
    }

    #[test]
    fn full_tiles_of_whole_words_carry_nothing_but_payload() {
        for geometry in Geometry::ALL {
            for (int8, head_dim) in [(false, 64), (false, 128), (true, 64), (true, 128)] {
                let tokens = 64;
                let session = session(int8, head_dim, tokens);
                let layout = PageLayout::of(&session, geometry);
                let stored: usize =
                    pack(&session, geometry).iter().flat_map(|t| &t.words).flatten().map(Vec::len).sum();
                assert_eq!(stored, layout.payload_bytes(tokens));
            }
        }
    }

    #[test]
    fn missing_tokens_are_zero_bytes() {
        let tile = pack(&session(false, 64, 33), Geometry::ALL[0]).remove(0);
        // Group 1 (bytes 32..64) has one token only: beat 0.
        let word = |i: usize| tile.words[i].as_ref().expect("stored");
        assert_eq!(&word(5)[32..], [0; 32]);
        assert_eq!(&word(0)[34..], [0; 30]);
        assert_eq!(&word(1)[32..], [0; 32]);
    }
}
