// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/memory/axi_reader.sv`.

use super::types::{AXI_ADDRESS_BITS, AXI_BYTES, AxiAddress, AxiRead};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, further, low_u16};
use crate::link::types::LinkWord;

/// `OffsetBits`: bits of an address within a word.
const OFFSET_BITS: u32 = AXI_BYTES.ilog2();
/// `LineBits`: bits of a word's address.
const LINE_BITS: u32 = AXI_ADDRESS_BITS - OFFSET_BITS;
/// Words of 4 KB.
const PAGE_WORDS: u64 = 4096 / AXI_BYTES as u64;

/// Words that the device has room for.
pub const READER_DEPTH: usize = 256;
/// Words of the device's longest burst.
pub const READER_BURST_WORDS: usize = 16;

/// ID bits of the device.
pub const READER_ID_BITS: usize = 4;

/// The device: 256 words, bursts of up to 16, 16 IDs.
pub type Reader = AxiReader<8, 9, 4, 0, { 1 << READER_ID_BITS }>;

/// Reads memory over AXI: room for `1 << PLACE_BITS` words, bursts of up to `1 << BURST_BITS`, `IDS` IDs from `FIRST_ID` on.
/// `COUNT_BITS` is `PLACE_BITS` + 1.
#[derive(Clone, Debug)]
pub struct AxiReader<
    const PLACE_BITS: u32,
    const COUNT_BITS: u32,
    const BURST_BITS: u32,
    const FIRST_ID: usize,
    const IDS: usize,
> {
    ar_q: AxiAddress,
    /// Of the next burst, in words.
    address_q: Wide<LINE_BITS>,
    /// Words of the request that are not yet asked for.
    left_q: Uint<16>,
    /// What was flushed still comes.
    draining_q: bool,
    /// By ID: its burst is not yet answered.
    busy_q: [bool; IDS],
    /// By ID: its burst is the last of a request.
    closing_q: [bool; IDS],
    /// By ID: where the next answer goes.
    place_q: [Uint<PLACE_BITS>; IDS],
    /// By ID: answers behind the next.
    burst_left_q: [Uint<BURST_BITS>; IDS],
    push_q: Uint<COUNT_BITS>,
    pop_q: Uint<COUNT_BITS>,
    /// By place: its word is there.
    present_q: Vec<bool>,
    /// The next word is not the first of a request.
    inside_q: bool,
    word_valid_q: bool,
    word_first_q: bool,
    word_last_q: bool,
    word_error_q: bool,
    word_q: LinkWord,
    last_q: Vec<bool>,
    error_q: Vec<bool>,
    /// `[column][place]`: eight bytes each.
    data_q: [Vec<Wide<64>>; AXI_BYTES / 8],
    written: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Drops all that was requested.
    pub flush_i: bool,
    /// There is a request.
    pub request_valid_i: bool,
    /// Address of its first word, a multiple of [`AXI_BYTES`].
    pub request_address_i: Wide<AXI_ADDRESS_BITS>,
    /// Its words, at least one.
    pub request_words_i: Uint<16>,
    /// AR is taken, if it is there.
    pub ar_ready_i: bool,
    /// R.
    pub r_i: AxiRead,
    /// Data of R.
    pub r_data_i: LinkWord,
    /// A word that is offered is taken.
    pub word_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A request is taken, if it is there.
    pub request_ready_o: bool,
    /// AR.
    pub ar_o: AxiAddress,
    /// Always.
    pub r_ready_o: bool,
    /// There is a word.
    pub word_valid_o: bool,
    /// The word.
    pub word_o: LinkWord,
    /// It is the first of its request.
    pub word_first_o: bool,
    /// It is the last of its request.
    pub word_last_o: bool,
    /// It, or one before it in its request, was refused.
    pub word_error_o: bool,
    /// Nothing is asked for, and nothing on its way.
    pub idle_o: bool,
}

impl<
    const PLACE_BITS: u32,
    const COUNT_BITS: u32,
    const BURST_BITS: u32,
    const FIRST_ID: usize,
    const IDS: usize,
> Default for AxiReader<PLACE_BITS, COUNT_BITS, BURST_BITS, FIRST_ID, IDS>
{
    fn default() -> Self {
        let depth = 1 << PLACE_BITS;
        Self {
            ar_q: AxiAddress::default(),
            address_q: Wide(0),
            left_q: Uint(0),
            draining_q: false,
            busy_q: [false; IDS],
            closing_q: [false; IDS],
            place_q: [Uint(0); IDS],
            burst_left_q: [Uint(0); IDS],
            push_q: Uint(0),
            pop_q: Uint(0),
            present_q: vec![false; depth],
            inside_q: false,
            word_valid_q: false,
            word_first_q: false,
            word_last_q: false,
            word_error_q: false,
            word_q: LinkWord::default(),
            last_q: vec![false; depth],
            error_q: vec![false; depth],
            data_q: std::array::from_fn(|_| vec![Wide(0); depth]),
            written: vec![false; depth],
        }
    }
}

impl<
    const PLACE_BITS: u32,
    const COUNT_BITS: u32,
    const BURST_BITS: u32,
    const FIRST_ID: usize,
    const IDS: usize,
> AxiReader<PLACE_BITS, COUNT_BITS, BURST_BITS, FIRST_ID, IDS>
{
    fn request_ready(&self) -> bool {
        self.left_q.0 == 0 && !self.draining_q
    }

    /// Words that were given a place and have not left it.
    fn used(&self) -> u64 {
        further(self.push_q, u64::from(self.pop_q.0).wrapping_neg()).to_bits()
    }

    /// Where the next word to be given lies.
    fn head(&self) -> usize {
        usize::from(Uint::<PLACE_BITS>::from_bits(self.pop_q.to_bits()).0)
    }

    /// Words of the next burst: up to the next multiple of the longest.
    fn burst_words(&self) -> u64 {
        let longest = 1 << BURST_BITS;
        u64::from(self.left_q.0).min(longest - self.address_q.0 % longest)
    }

    /// The ID and the words of the burst that is issued in this cycle.
    fn issued(&self, i: &Inputs) -> Option<(usize, u64)> {
        let words = self.burst_words();
        let id = self.busy_q.iter().position(|busy| !busy)?;
        let room = (1 << PLACE_BITS) - self.used();
        let sends = !self.ar_q.valid || i.ar_ready_i;
        (self.left_q.0 != 0 && room >= words && sends && !i.flush_i).then_some((id, words))
    }

    fn issue(&mut self, id: usize, words: u64) {
        self.ar_q = AxiAddress {
            valid: true,
            id: Uint(low_u16((FIRST_ID + id) as u64)),
            address: Wide(self.address_q.0 << OFFSET_BITS),
            length: Uint(low_u16(words - 1)),
        };
        assert!(self.address_q.0 % PAGE_WORDS + words <= PAGE_WORDS, "INV_READER_2");
        assert!(!self.busy_q[id], "INV_READER_3");
        self.address_q = further(self.address_q, words);
        self.left_q = further(self.left_q, words.wrapping_neg());
        self.busy_q[id] = true;
        self.closing_q[id] = self.left_q.0 == 0;
        self.place_q[id] = Uint::from_bits(self.push_q.to_bits());
        self.burst_left_q[id] = Uint::from_bits(words - 1);
        self.push_q = further(self.push_q, words);
        assert!(self.used() <= 1 << PLACE_BITS, "INV_READER_7");
    }

    /// Takes an answer; keeps it, unless what it belongs to was dropped.
    fn answer(&mut self, answer: AxiRead, word: &LinkWord, keep: bool) {
        let id = usize::from(answer.id.0) - FIRST_ID;
        assert!(self.busy_q[id] && !(self.ar_q.valid && self.ar_q.id == answer.id), "INV_READER_4");
        let place = usize::from(self.place_q[id].0);
        let ends = self.burst_left_q[id].0 == 0;
        assert_eq!(answer.last, ends, "INV_READER_5");
        self.place_q[id] = further(self.place_q[id], 1);
        self.burst_left_q[id] = further(self.burst_left_q[id], u64::MAX);
        self.busy_q[id] &= !ends;
        if keep {
            assert!(!self.present_q[place], "INV_READER_6");
            self.present_q[place] = true;
            self.last_q[place] = ends && self.closing_q[id];
            self.error_q[place] = answer.response.0 >= 2;
            for (column, bytes) in self.data_q.iter_mut().zip(word.0) {
                column[place] = bytes;
            }
            self.written[place] = true;
        }
    }

    /// Gives the word at the head.
    fn pop(&mut self) {
        let head = self.head();
        self.pop_q = further(self.pop_q, 1);
        self.present_q[head] = false;
        self.word_valid_q = true;
        self.word_first_q = !self.inside_q;
        self.word_last_q = self.last_q[head];
        self.word_error_q = self.error_q[head] || (self.inside_q && self.word_error_q);
        self.inside_q = !self.last_q[head];
        self.word_q = LinkWord(std::array::from_fn(|c| self.data_q[c][head]));
    }

    fn flush(&mut self) {
        self.left_q = Uint(0);
        self.pop_q = self.push_q;
        self.present_q.fill(false);
        self.inside_q = false;
        self.word_valid_q = false;
    }
}

impl<
    const PLACE_BITS: u32,
    const COUNT_BITS: u32,
    const BURST_BITS: u32,
    const FIRST_ID: usize,
    const IDS: usize,
> Block for AxiReader<PLACE_BITS, COUNT_BITS, BURST_BITS, FIRST_ID, IDS>
{
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            request_ready_o: self.request_ready(),
            ar_o: self.ar_q,
            r_ready_o: true,
            word_valid_o: self.word_valid_q,
            word_o: self.word_q,
            word_first_o: self.word_first_q,
            word_last_o: self.word_last_q,
            word_error_o: self.word_error_q,
            idle_o: self.left_q.0 == 0
                && !self.busy_q.contains(&true)
                && self.push_q == self.pop_q
                && !self.word_valid_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let address = i.request_address_i.0;
        let sound = i.request_words_i.0 != 0 && address.is_multiple_of(AXI_BYTES as u64);
        assert!(!i.request_valid_i || sound, "INV_READER_1");
        if i.request_valid_i && self.request_ready() {
            self.address_q = Wide(address >> OFFSET_BITS);
            self.left_q = i.request_words_i;
        }
        let issued = self.issued(i);
        let pops = self.present_q[self.head()] && (!self.word_valid_q || i.word_ready_i) && !i.flush_i;

        // An answer finds what its burst was given in an earlier cycle; a word leaves before one takes its place.
        self.word_valid_q &= !i.word_ready_i;
        if pops {
            self.pop();
        }
        if i.r_i.valid && (FIRST_ID..FIRST_ID + IDS).contains(&usize::from(i.r_i.id.0)) {
            self.answer(i.r_i, &i.r_data_i, !self.draining_q && !i.flush_i);
        }
        self.ar_q.valid &= !i.ar_ready_i;
        if let Some((id, words)) = issued {
            self.issue(id, words);
        }
        if i.flush_i {
            self.flush();
        }
        self.draining_q = (self.draining_q || i.flush_i) && self.busy_q.contains(&true);
    }

    fn reset(&mut self) {
        let memories = (
            std::mem::take(&mut self.last_q),
            std::mem::take(&mut self.error_q),
            std::mem::take(&mut self.data_q),
            std::mem::take(&mut self.written),
        );
        *self = Self::default();
        (self.last_q, self.error_q, self.data_q, self.written) = memories;
    }
}

impl<
    const PLACE_BITS: u32,
    const COUNT_BITS: u32,
    const BURST_BITS: u32,
    const FIRST_ID: usize,
    const IDS: usize,
> Visit for AxiReader<PLACE_BITS, COUNT_BITS, BURST_BITS, FIRST_ID, IDS>
{
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("ar_q", &mut self.ar_q);
        v.bits("address_q", &mut self.address_q);
        v.bits("left_q", &mut self.left_q);
        v.bits("draining_q", &mut self.draining_q);
        v.packed("busy_q", &mut self.busy_q);
        v.packed("closing_q", &mut self.closing_q);
        v.packed("place_q", &mut self.place_q);
        v.packed("burst_left_q", &mut self.burst_left_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        v.packed("present_q", &mut self.present_q);
        v.bits("inside_q", &mut self.inside_q);
        v.bits("word_valid_q", &mut self.word_valid_q);
        v.bits("word_first_q", &mut self.word_first_q);
        v.bits("word_last_q", &mut self.word_last_q);
        v.bits("word_error_q", &mut self.word_error_q);
        v.packed("word_q", &mut self.word_q.0);
        v.memory("last_q", &mut self.last_q, &mut self.written);
        v.memory("error_q", &mut self.error_q, &mut self.written);
        for (c, column) in self.data_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("data_q", column, &mut self.written);
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("flush_i", &mut self.flush_i);
        v.bits("request_valid_i", &mut self.request_valid_i);
        v.bits("request_address_i", &mut self.request_address_i);
        v.bits("request_words_i", &mut self.request_words_i);
        v.bits("ar_ready_i", &mut self.ar_ready_i);
        v.bits("r_i", &mut self.r_i);
        v.packed("r_data_i", &mut self.r_data_i.0);
        v.bits("word_ready_i", &mut self.word_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("request_ready_o", &mut self.request_ready_o);
        v.bits("ar_o", &mut self.ar_o);
        v.bits("r_ready_o", &mut self.r_ready_o);
        v.bits("word_valid_o", &mut self.word_valid_o);
        v.packed("word_o", &mut self.word_o.0);
        v.bits("word_first_o", &mut self.word_first_o);
        v.bits("word_last_o", &mut self.word_last_o);
        v.bits("word_error_o", &mut self.word_error_o);
        v.bits("idle_o", &mut self.idle_o);
    }
}
