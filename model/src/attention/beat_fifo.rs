// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/beat_fifo.sv`.

use super::types::{BEAT_FIFO_DEPTH, WordTag};
use crate::array::Geometry;
use crate::array::types::LaneByte;
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};

/// Entry of the FIFO.
pub type Index = Uint<6>;

/// Beats between the banks and the array.
#[derive(Clone, Debug)]
pub struct BeatFifo {
    push_q: Index,
    pop_q: Index,
    count_q: Uint<7>,
    tag_q: Vec<WordTag>,
    scales_q: Scales,
    /// `[column][entry]`: eight bytes each.
    elements_q: Vec<Vec<Wide<64>>>,
    written: Vec<bool>,
}

/// Per entry the scales of all segments, which the RTL holds as one vector.
#[derive(Clone, Debug)]
enum Scales {
    One(Vec<LaneByte>),
    Two(Vec<Wide<32>>),
}

impl Scales {
    fn new(segments: usize) -> Self {
        match segments {
            1 => Self::One(vec![LaneByte::default(); BEAT_FIFO_DEPTH]),
            2 => Self::Two(vec![Wide(0); BEAT_FIFO_DEPTH]),
            _ => panic!("an entry of more than two segments is not supported"),
        }
    }

    fn write(&mut self, at: usize, scales: &[LaneByte]) {
        match self {
            Self::One(entries) => entries[at] = scales[0],
            Self::Two(entries) => {
                entries[at] = Wide(scales[1].to_bits() << LaneByte::WIDTH | scales[0].to_bits());
            }
        }
    }

    /// By segment.
    fn read(&self, at: usize) -> impl Iterator<Item = LaneByte> {
        let (word, segments) = match self {
            Self::One(entries) => (entries[at].to_bits(), 1),
            Self::Two(entries) => (entries[at].0, 2),
        };
        (0..segments).map(move |s| LaneByte::from_bits(word >> (LaneByte::WIDTH * s)))
    }
}

impl BeatFifo {
    /// An empty FIFO.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            push_q: Uint(0),
            pop_q: Uint(0),
            count_q: Uint(0),
            tag_q: vec![WordTag::default(); BEAT_FIFO_DEPTH],
            scales_q: Scales::new(geometry.segments),
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
    pub fn scales(&self, index: Index) -> impl Iterator<Item = LaneByte> {
        self.scales_q.read(usize::from(index.0))
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
            self.scales_q.write(at, scales);
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
        match &mut self.scales_q {
            Scales::One(entries) => v.memory("scales_q", entries, &mut self.written),
            Scales::Two(entries) => v.memory("scales_q", entries, &mut self.written),
        }
        for (c, column) in self.elements_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("elements_q", column, &mut self.written);
            v.leave();
        }
    }
}
