// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/beat_fifo.sv`.

use super::types::{BEAT_FIFO_DEPTH, WordTag};
use crate::array::Geometry;
use crate::array::types::LaneByte;
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};

/// Entry of the FIFO.
pub type Index = Uint<6>;

/// Beats between the banks and the array.
#[derive(Clone, Debug)]
pub struct BeatFifo {
    segments: usize,
    push_q: Index,
    pop_q: Index,
    count_q: Uint<7>,
    tag_q: Vec<WordTag>,
    /// `[entry][segment]`.
    scales_q: Vec<Vec<LaneByte>>,
    /// `[column][entry]`: eight bytes each.
    elements_q: Vec<Vec<Wide<64>>>,
    written: Vec<bool>,
}

impl BeatFifo {
    /// An empty FIFO.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            segments: geometry.segments,
            push_q: Uint(0),
            pop_q: Uint(0),
            count_q: Uint(0),
            tag_q: vec![WordTag::default(); BEAT_FIFO_DEPTH],
            scales_q: vec![vec![LaneByte::default(); geometry.segments]; BEAT_FIFO_DEPTH],
            elements_q: vec![vec![Wide(0); BEAT_FIFO_DEPTH]; geometry.word_bytes() / 8],
            written: vec![false; BEAT_FIFO_DEPTH],
        }
    }

    /// The oldest beat's tag; not valid when there is none.
    #[must_use]
    pub fn head_tag(&self) -> WordTag {
        WordTag { valid: self.count_q.0 != 0, ..self.tag_q[usize::from(self.pop_q.0)] }
    }

    /// Where the oldest beat lies.
    #[must_use]
    pub const fn head_index(&self) -> Index {
        self.pop_q
    }

    /// Scales of an entry, by segment.
    #[must_use]
    pub fn scales(&self, index: Index) -> &[LaneByte] {
        &self.scales_q[usize::from(index.0)]
    }

    /// Elements of an entry, by lane.
    pub fn elements(&self, index: Index) -> impl Iterator<Item = Uint<8>> {
        let columns = self.elements_q.iter().map(move |column| column[usize::from(index.0)].0);
        columns.flat_map(|word| word.to_le_bytes().map(|byte| Uint(u16::from(byte))))
    }

    /// Advances by one clock: pushes a valid tag with its scales and elements, pops the oldest.
    ///
    /// # Panics
    /// When the FIFO overflows or an empty one is popped.
    pub fn clock(&mut self, tag: WordTag, scales: &[LaneByte], elements: &[Uint<8>], pop: bool) {
        assert!(!(tag.valid && usize::from(self.count_q.0) == BEAT_FIFO_DEPTH), "INV_FIFO_1");
        assert!(!(pop && self.count_q.0 == 0), "INV_FIFO_2");
        if tag.valid {
            let at = usize::from(self.push_q.0);
            self.tag_q[at] = tag;
            self.scales_q[at].copy_from_slice(scales);
            for (column, bytes) in self.elements_q.iter_mut().zip(elements.chunks_exact(8)) {
                let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(byte.0));
                column[at] = Wide(word);
            }
            self.written[at] = true;
        }
        let depth = low_u16(BEAT_FIFO_DEPTH as u64);
        self.push_q = Uint((self.push_q.0 + u16::from(tag.valid)) % depth);
        self.pop_q = Uint((self.pop_q.0 + u16::from(pop)) % depth);
        self.count_q = Uint(self.count_q.0 + u16::from(tag.valid) - u16::from(pop));
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        (self.push_q, self.pop_q, self.count_q) = (Uint(0), Uint(0), Uint(0));
    }
}

impl Visit for BeatFifo {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        v.bits("count_q", &mut self.count_q);
        v.memory("tag_q", &mut self.tag_q, &mut self.written);
        visit_scales(&mut self.scales_q, self.segments, &mut self.written, v);
        for (c, column) in self.elements_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("elements_q", column, &mut self.written);
            v.leave();
        }
    }
}

/// An entry holds the scales of all segments as one vector.
fn visit_scales<V: Visitor>(scales: &mut [Vec<LaneByte>], segments: usize, written: &mut [bool], v: &mut V) {
    use crate::block::Bits;
    fn packed<T: Bits, V: Visitor>(scales: &mut [Vec<LaneByte>], written: &mut [bool], v: &mut V) {
        let word = |entry: &Vec<LaneByte>| {
            entry.iter().rev().fold(0, |word, scale| word << LaneByte::WIDTH | scale.to_bits())
        };
        let mut words: Vec<T> = scales.iter().map(|entry| T::from_bits(word(entry))).collect();
        v.memory("scales_q", &mut words, written);
        for (entry, word) in scales.iter_mut().zip(words) {
            for (s, scale) in entry.iter_mut().enumerate() {
                *scale = LaneByte::from_bits(word.to_bits() >> (LaneByte::WIDTH as usize * s));
            }
        }
    }
    if segments == 1 {
        packed::<LaneByte, V>(scales, written, v);
    } else {
        packed::<Wide<32>, V>(scales, written, v);
    }
}
