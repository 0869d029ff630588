// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/sram/bank_group.sv`.

use super::bank::Bank;
use super::secded_decode::secded_decode;
use super::secded_encode::secded_encode;
use super::types::{
    BANKS, BankErrors, BankFill, BankRead, BankWord, CODEWORD_BYTES, Region, WORD_ADDRESS_BITS, ring_address,
};
use crate::array::Geometry;
use crate::block::{Block, Uint, Visit, Visitor, Wide, low_u16};

/// Words that wait to be written.
const FILL_WORDS: usize = 4;

/// Four banks behind one read port and one fill queue.
#[derive(Clone, Debug)]
pub struct BankGroup {
    geometry: Geometry,
    fill_q: [BankFill; FILL_WORDS],
    head_q: Uint<2>,
    tail_q: Uint<2>,
    banks: Vec<Bank>,
    columns: Vec<Column>,
    read_q: BankRead,
    word_q: BankWord,
    word_address_q: Uint<WORD_ADDRESS_BITS>,
    corrected_q: Vec<bool>,
    uncorrectable_q: Vec<bool>,
    written_q: BankFill,
    errors_q: BankErrors,
}

/// One codeword of the fill queue and of the word that goes out.
#[derive(Clone, Debug, Default)]
struct Column {
    queue_q: [Wide<64>; FILL_WORDS],
    word_data_q: Wide<64>,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The lower half is not for words of streamed tiles; constant while anything is in flight.
    pub pinned_i: bool,
    /// Read this word.
    pub read_i: BankRead,
    /// Write this word ...
    pub fill_i: BankFill,
    /// ... with these bytes.
    pub fill_data_i: Vec<Uint<8>>,
    /// Clear the counters.
    pub clear_errors_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A word that was read.
    pub word_o: BankWord,
    /// Its bytes.
    pub word_data_o: Vec<Uint<8>>,
    /// A fill would be taken.
    pub fill_ready_o: bool,
    /// A fill was written: this one.
    pub written_o: BankFill,
    /// Counters of wrong bits.
    pub errors_o: BankErrors,
}

/// The bank of an address: words that are filled in and read in one order touch the banks in turn.
fn bank_of(address: Uint<WORD_ADDRESS_BITS>) -> usize {
    usize::from(address.0) % BANKS
}

/// Its word in that bank. Addresses wrap.
fn index_of(geometry: Geometry, address: Uint<WORD_ADDRESS_BITS>) -> usize {
    usize::from(address.0) / BANKS % geometry.bank_words
}

/// A count of 16 bits that stays at its maximum, plus events.
fn counted(count: Uint<16>, events: &[bool]) -> Uint<16> {
    let events = events.iter().filter(|&&event| event).count();
    Uint(count.0.saturating_add(low_u16(events as u64)))
}

impl BankGroup {
    /// A group after reset, whose memories nobody has written yet.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let columns = geometry.word_bytes() / CODEWORD_BYTES;
        let banks = vec![Bank::new(geometry.bank_words, columns); BANKS];
        Self { banks, ..Self::without_banks(geometry) }
    }

    fn without_banks(geometry: Geometry) -> Self {
        let columns = geometry.word_bytes() / CODEWORD_BYTES;
        Self {
            geometry,
            fill_q: Default::default(),
            head_q: Uint(0),
            tail_q: Uint(0),
            banks: Vec::new(),
            columns: vec![Column::default(); columns],
            read_q: BankRead::default(),
            word_q: BankWord::default(),
            word_address_q: Uint(0),
            corrected_q: vec![false; columns],
            uncorrectable_q: vec![false; columns],
            written_q: BankFill::default(),
            errors_q: BankErrors::default(),
        }
    }

    /// What came with the word that was read.
    #[must_use]
    pub const fn word(&self) -> BankWord {
        self.word_q
    }

    /// Bytes of the word that was read.
    pub fn word_data(&self) -> impl Iterator<Item = Uint<8>> {
        self.columns.iter().flat_map(|c| c.word_data_q.0.to_le_bytes()).map(|byte| Uint(u16::from(byte)))
    }

    /// A fill would be taken.
    #[must_use]
    pub fn fill_ready(&self) -> bool {
        !self.fill_q[usize::from(self.tail_q.0)].valid
    }

    /// A fill was written: this one.
    #[must_use]
    pub const fn written(&self) -> BankFill {
        self.written_q
    }

    /// Counters of wrong bits.
    #[must_use]
    pub const fn errors(&self) -> BankErrors {
        self.errors_q
    }

    /// Advances by one clock; the arguments are the input ports.
    pub fn advance(
        &mut self,
        pinned: bool,
        mut read: BankRead,
        fill: BankFill,
        fill_data: &[Uint<8>],
        clear_errors: bool,
    ) {
        read.address = ring_address(self.geometry.words(), pinned && read.streamed, read.address);
        // Everything below reads registers of before this clock, from the outputs back to the inputs.
        self.count_errors(clear_errors);
        self.take_word();
        let accept = fill.valid && self.fill_ready();
        self.write_head(read, pinned);
        if read.valid {
            self.banks[bank_of(read.address)].read(index_of(self.geometry, read.address));
        }
        self.read_q = read;
        if accept {
            let tail = usize::from(self.tail_q.0);
            self.fill_q[tail] = fill;
            for (column, bytes) in self.columns.iter_mut().zip(fill_data.chunks(CODEWORD_BYTES)) {
                let data = bytes.iter().rev().fold(0, |data, byte| data << 8 | u64::from(byte.0));
                column.queue_q[tail] = Wide(data);
            }
            self.tail_q = Uint((self.tail_q.0 + 1) % 4);
        }
    }

    fn count_errors(&mut self, clear: bool) {
        let mut errors = if clear { BankErrors::default() } else { self.errors_q };
        if self.word_q.uncorrectable && errors.uncorrectable.0 == 0 {
            errors.first_uncorrectable = self.word_address_q;
        }
        errors.corrected = counted(errors.corrected, &self.corrected_q);
        errors.uncorrectable = counted(errors.uncorrectable, &self.uncorrectable_q);
        self.errors_q = errors;
    }

    /// What the banks read in the last cycle, decoded.
    fn take_word(&mut self) {
        let BankRead { valid, address, .. } = self.read_q;
        self.corrected_q.fill(false);
        self.uncorrectable_q.fill(false);
        if valid {
            let bank = &self.banks[bank_of(address)];
            for (c, column) in self.columns.iter_mut().enumerate() {
                let (data, check) = bank.read_data(c);
                let decoded = secded_decode(data, check);
                self.corrected_q[c] = decoded.corrected;
                self.uncorrectable_q[c] = decoded.uncorrectable;
                column.word_data_q = Wide(decoded.data);
            }
        }
        self.word_q = BankWord { valid, uncorrectable: self.uncorrectable_q.contains(&true) };
        self.word_address_q = address;
    }

    /// The head of the queue into its bank, unless a read takes that.
    fn write_head(&mut self, read: BankRead, pinned: bool) {
        let at = usize::from(self.head_q.0);
        let head = self.fill_q[at];
        let streamed = head.region != Region::Resident;
        let address = ring_address(self.geometry.words(), pinned && streamed, head.address);
        let write = head.valid && !(read.valid && bank_of(read.address) == bank_of(address));
        if write {
            let codewords = self.columns.iter().map(|c| (c.queue_q[at], secded_encode(c.queue_q[at])));
            self.banks[bank_of(address)].write(index_of(self.geometry, address), codewords);
            self.fill_q[at].valid = false;
            self.head_q = Uint((self.head_q.0 + 1) % 4);
        }
        self.written_q = if write { head } else { BankFill::default() };
    }
}

impl Block for BankGroup {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs { fill_data_i: vec![Uint(0); self.geometry.word_bytes()], ..Inputs::default() }
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            word_o: self.word(),
            word_data_o: self.word_data().collect(),
            fill_ready_o: self.fill_ready(),
            written_o: self.written(),
            errors_o: self.errors(),
        }
    }

    fn clock(&mut self, i: &Inputs) {
        self.advance(i.pinned_i, i.read_i, i.fill_i, &i.fill_data_i, i.clear_errors_i);
    }

    fn reset(&mut self) {
        let mut banks = std::mem::take(&mut self.banks);
        banks.iter_mut().for_each(Bank::reset);
        *self = Self { banks, ..Self::without_banks(self.geometry) };
    }
}

impl Visit for BankGroup {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("fill_q", &mut self.fill_q);
        v.bits("head_q", &mut self.head_q);
        v.bits("tail_q", &mut self.tail_q);
        for (c, column) in self.columns.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.array("queue_q", &mut column.queue_q);
            v.leave();
        }
        for (b, bank) in self.banks.iter_mut().enumerate() {
            v.enter("gen_bank", Some(b));
            v.enter("u_bank", None);
            bank.visit(v);
            v.leave();
            v.leave();
        }
        v.bits("read_q", &mut self.read_q);
        v.bits("word_q", &mut self.word_q);
        v.bits("word_address_q", &mut self.word_address_q);
        for (c, column) in self.columns.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.bits("word_data_q", &mut column.word_data_q);
            v.leave();
        }
        v.packed("corrected_q", &mut self.corrected_q);
        v.packed("uncorrectable_q", &mut self.uncorrectable_q);
        v.bits("written_q", &mut self.written_q);
        v.bits("errors_q", &mut self.errors_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("pinned_i", &mut self.pinned_i);
        v.bits("read_i", &mut self.read_i);
        v.bits("fill_i", &mut self.fill_i);
        v.packed("fill_data_i", &mut self.fill_data_i);
        v.bits("clear_errors_i", &mut self.clear_errors_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("word_o", &mut self.word_o);
        v.packed("word_data_o", &mut self.word_data_o);
        v.bits("fill_ready_o", &mut self.fill_ready_o);
        v.bits("written_o", &mut self.written_o);
        v.bits("errors_o", &mut self.errors_o);
    }
}
