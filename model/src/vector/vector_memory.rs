// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_memory.sv`.

use super::types::{HEAD_WORDS, VECTOR_UNITS};
use crate::block::{Uint, Visit, Visitor, Wide};
use crate::link::types::LinkWord;
use crate::memory::types::AXI_BYTES;

const COLUMNS: usize = AXI_BYTES / 8;
const CHUNK_WORDS: usize = 16;
const BATCH_WORDS: usize = VECTOR_UNITS * HEAD_WORDS;
const ANGLE_WORDS: usize = VECTOR_UNITS * HEAD_WORDS / 2;

/// One of the memories.
#[derive(Clone, Debug)]
struct Words<const N: usize> {
    /// `[column][word]`: eight bytes each.
    columns: [[Wide<64>; N]; COLUMNS],
    written: [bool; N],
}

impl<const N: usize> Default for Words<N> {
    fn default() -> Self {
        Self { columns: [[Wide(0); N]; COLUMNS], written: [false; N] }
    }
}

impl<const N: usize> Words<N> {
    fn at(&self, address: usize) -> LinkWord {
        LinkWord(std::array::from_fn(|c| self.columns[c][address]))
    }

    fn write(&mut self, address: usize, data: &LinkWord) {
        for (column, bytes) in self.columns.iter_mut().zip(data.0) {
            column[address] = bytes;
        }
        self.written[address] = true;
    }

    fn visit<V: Visitor>(&mut self, name: &'static str, v: &mut V) {
        for (c, column) in self.columns.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory(name, column, &mut self.written);
            v.leave();
        }
    }
}

/// Small memories of the vector unit.
#[derive(Clone, Debug, Default)]
pub struct VectorMemory {
    /// Angles that were written.
    known_q: Wide<32>,
    chunk: Words<CHUNK_WORDS>,
    batch: Words<BATCH_WORDS>,
    cosines: Words<ANGLE_WORDS>,
    sines: Words<ANGLE_WORDS>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// To be written.
    pub data_i: LinkWord,
    /// Into the chunk.
    pub chunk_write_i: bool,
    /// Its word that is written or read.
    pub chunk_address_i: Uint<4>,
    /// Into the batch.
    pub batch_write_i: bool,
    /// Its word: {unit, word}.
    pub batch_address_i: Uint<6>,
    /// Into the cosines.
    pub cosines_write_i: bool,
    /// Into the sines.
    pub sines_write_i: bool,
    /// Word of both: {row, word}.
    pub angles_address_i: Uint<5>,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// Word of the chunk.
    pub chunk_o: LinkWord,
    /// Word of the batch.
    pub batch_o: LinkWord,
    /// Word of cosines.
    pub cosines_o: LinkWord,
    /// Word of sines.
    pub sines_o: LinkWord,
}

impl VectorMemory {
    /// A word of the chunk.
    #[must_use]
    pub fn chunk(&self, address: u16) -> LinkWord {
        self.chunk.at(usize::from(address))
    }

    /// A word of the batch.
    #[must_use]
    pub fn batch(&self, address: u16) -> LinkWord {
        self.batch.at(usize::from(address))
    }

    /// Words of cosines and sines; 0 if they were not written since reset.
    #[must_use]
    pub fn angles(&self, address: u16) -> (LinkWord, LinkWord) {
        if self.known_q.0 >> address & 1 == 0 {
            return (LinkWord::default(), LinkWord::default());
        }
        (self.cosines.at(usize::from(address)), self.sines.at(usize::from(address)))
    }

    /// Outputs in the present cycle: they depend on addresses.
    #[must_use]
    pub fn outputs(&self, i: &Inputs) -> Outputs {
        let (cosines_o, sines_o) = self.angles(i.angles_address_i.0);
        let (chunk_o, batch_o) = (self.chunk(i.chunk_address_i.0), self.batch(i.batch_address_i.0));
        Outputs { chunk_o, batch_o, cosines_o, sines_o }
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs) {
        assert!(!(i.cosines_write_i && i.sines_write_i), "INV_VMEMORY_1");
        if i.chunk_write_i {
            self.chunk.write(usize::from(i.chunk_address_i.0), &i.data_i);
        }
        if i.batch_write_i {
            self.batch.write(usize::from(i.batch_address_i.0), &i.data_i);
        }
        let angles = i.angles_address_i.0;
        if i.cosines_write_i {
            self.cosines.write(usize::from(angles), &i.data_i);
            self.known_q.0 &= !(1 << angles);
        }
        if i.sines_write_i {
            self.sines.write(usize::from(angles), &i.data_i);
            self.known_q.0 |= 1 << angles;
        }
    }

    /// Reset: the memories keep what they hold.
    pub fn reset(&mut self) {
        self.known_q = Wide(0);
    }
}

impl Visit for VectorMemory {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("known_q", &mut self.known_q);
        self.chunk.visit("chunk_q", v);
        self.batch.visit("batch_q", v);
        self.cosines.visit("cosines_q", v);
        self.sines.visit("sines_q", v);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("data_i", &mut self.data_i.0);
        v.bits("chunk_write_i", &mut self.chunk_write_i);
        v.bits("chunk_address_i", &mut self.chunk_address_i);
        v.bits("batch_write_i", &mut self.batch_write_i);
        v.bits("batch_address_i", &mut self.batch_address_i);
        v.bits("cosines_write_i", &mut self.cosines_write_i);
        v.bits("sines_write_i", &mut self.sines_write_i);
        v.bits("angles_address_i", &mut self.angles_address_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("chunk_o", &mut self.chunk_o.0);
        v.packed("batch_o", &mut self.batch_o.0);
        v.packed("cosines_o", &mut self.cosines_o.0);
        v.packed("sines_o", &mut self.sines_o.0);
    }
}
