// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/flit_packer.sv`.

use super::crc32c::after_word;
use super::types::{FLIT_WORDS, FlitOffer, LINK_WORD_BYTES, LinkWord};
use crate::block::{Uint, Visit, Visitor, Wide};

/// Entries of the memory: two slots.
const ENTRIES: usize = 2 * FLIT_WORDS;
/// Words of a full slot.
const FULL: u16 = 4;

/// Packs a channel's words into flits.
#[derive(Clone, Debug, Default)]
pub struct FlitPacker {
    oldest_q: bool,
    count_q: [Uint<3>; 2],
    crc_q: [Wide<32>; 2],
    taken_q: bool,
    length_q: Uint<3>,
    /// `[column][entry]`: eight bytes each.
    words_q: [[Wide<64>; ENTRIES]; LINK_WORD_BYTES / 8],
    written: [bool; ENTRIES],
}

impl FlitPacker {
    /// There is room for a word.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.count_q.iter().any(|count| count.0 != FULL)
    }

    /// The oldest slot, as soon as it holds a word.
    #[must_use]
    pub fn offer(&self) -> FlitOffer {
        let oldest = usize::from(self.oldest_q);
        let count = self.count_q[oldest].0;
        FlitOffer { valid: count != 0, words_last: Uint((count + 3) % 4), crc: self.crc_q[oldest] }
    }

    /// A word of the flit taken last; zero beyond its end.
    #[must_use]
    pub fn word(&self, index: Uint<2>) -> LinkWord {
        if index.0 >= self.length_q.0 {
            return LinkWord::default();
        }
        let entry = usize::from(self.taken_q) * FLIT_WORDS + usize::from(index.0);
        LinkWord(std::array::from_fn(|column| self.words_q[column][entry]))
    }

    /// Advances by one clock. `word` is a valid word, taken in if there is room; `take`: the offered flit goes.
    ///
    /// # Panics
    /// When a flit is taken that is not offered.
    pub fn advance(&mut self, clear: bool, word: Option<&LinkWord>, take: bool) {
        assert!(!take || self.offer().valid, "INV_PACKER_1");
        let oldest = usize::from(self.oldest_q);
        assert!(self.count_q[oldest].0 == FULL || self.count_q[1 - oldest].0 == 0, "INV_PACKER_2");
        let slot = if take || self.count_q[oldest].0 == FULL { 1 - oldest } else { oldest };
        let word = word.filter(|_| self.ready() && !clear);
        if take {
            self.taken_q = self.oldest_q;
            self.length_q = self.count_q[oldest];
            self.count_q[oldest] = Uint(0);
            self.oldest_q = !self.oldest_q;
        }
        if let Some(word) = word {
            let count = usize::from(self.count_q[slot].0);
            let entry = slot * FLIT_WORDS + count;
            for (column, bytes) in self.words_q.iter_mut().zip(word.0) {
                column[entry] = bytes;
            }
            self.written[entry] = true;
            self.crc_q[slot] = after_word(if count == 0 { Wide(0) } else { self.crc_q[slot] }, word);
            self.count_q[slot].0 += 1;
        }
        if clear {
            self.count_q = [Uint(0); 2];
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        *self = Self { words_q: self.words_q, written: self.written, ..Self::default() };
    }
}

impl Visit for FlitPacker {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("oldest_q", &mut self.oldest_q);
        v.packed("count_q", &mut self.count_q);
        v.packed("crc_q", &mut self.crc_q);
        v.bits("taken_q", &mut self.taken_q);
        v.bits("length_q", &mut self.length_q);
        for (c, column) in self.words_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("words_q", column, &mut self.written);
            v.leave();
        }
    }
}
