// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/memory/axi_writer.sv`.

use super::types::{AXI_BYTES, AxiAddress, AxiResponse, AxiWrite, LINE_BITS, WriteDone, WriteRequest};
use super::{CLIENTS, next_turn};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::link::types::{LinkWord, visit_words};

/// Words of 4 KB.
const PAGE_WORDS: u64 = 4096 / AXI_BYTES as u64;

/// Writes memory over AXI: `1 << PLACE_BITS` bursts on their way, of up to `1 << BURST_BITS` words. `COUNT_BITS` is
/// `PLACE_BITS` + 1.
#[derive(Clone, Debug)]
pub struct AxiWriter<const PLACE_BITS: u32, const COUNT_BITS: u32, const BURST_BITS: u32> {
    aw_q: AxiAddress,
    /// Of the next burst, in words.
    address_q: Wide<LINE_BITS>,
    /// Words of the request that no burst has yet.
    left_q: Uint<8>,
    /// Whose request it is or was.
    client_q: Uint<2>,
    push_q: Uint<COUNT_BITS>,
    feed_q: Uint<COUNT_BITS>,
    answer_q: Uint<COUNT_BITS>,
    /// Bursts without an answer that were flushed.
    dropped_q: Uint<COUNT_BITS>,
    /// Words of a burst that were given.
    sent_q: Uint<BURST_BITS>,
    /// A burst of the request that is being answered was refused.
    error_q: bool,
    done_q: [WriteDone; CLIENTS],
    w_q: AxiWrite,
    w_strobe_q: Wide<64>,
    w_data_q: LinkWord,
    owner_q: Vec<Uint<2>>,
    length_q: Vec<Uint<BURST_BITS>>,
    closing_q: Vec<bool>,
    written: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Drops all that was requested.
    pub flush_i: bool,
    /// Requests.
    pub request_i: [WriteRequest; CLIENTS],
    /// There are words.
    pub word_valid_i: [bool; CLIENTS],
    /// Which bytes of them are written.
    pub strobe_i: [Wide<64>; CLIENTS],
    /// The words.
    pub data_i: [LinkWord; CLIENTS],
    /// AW is taken, if it is there.
    pub aw_ready_i: bool,
    /// W is taken, if it is there.
    pub w_ready_i: bool,
    /// B.
    pub b_i: AxiResponse,
}

/// Output ports but those that depend on inputs of the same cycle: [`Taken`].
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A request is written.
    pub done_o: [WriteDone; CLIENTS],
    /// AW.
    pub aw_o: AxiAddress,
    /// W.
    pub w_o: AxiWrite,
    /// Which bytes of W are written.
    pub w_strobe_o: Wide<64>,
    /// Data of W.
    pub w_data_o: LinkWord,
    /// Always.
    pub b_ready_o: bool,
    /// Nothing is on its way.
    pub idle_o: bool,
}

/// Output ports that depend on inputs of the same cycle.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Taken {
    /// `request_taken_o`: whose request is taken.
    pub request: Option<usize>,
    /// `word_taken_o`: whose word is taken.
    pub word: Option<usize>,
}

/// A burst to be sent.
#[derive(Clone, Copy, Debug)]
struct Next {
    client: usize,
    /// In words.
    address: u64,
    /// Words of the request, its own included.
    left: u64,
    words: u64,
}

/// A word to be given.
#[derive(Clone, Copy, Debug)]
struct Feed {
    client: usize,
    /// The burst's last.
    ends: bool,
    /// Its burst was flushed: it writes nothing.
    ignored: bool,
}

impl<const PLACE_BITS: u32, const COUNT_BITS: u32, const BURST_BITS: u32> Default
    for AxiWriter<PLACE_BITS, COUNT_BITS, BURST_BITS>
{
    fn default() -> Self {
        let depth = 1 << PLACE_BITS;
        Self {
            aw_q: AxiAddress::default(),
            address_q: Wide(0),
            left_q: Uint(0),
            client_q: Uint(0),
            push_q: Uint(0),
            feed_q: Uint(0),
            answer_q: Uint(0),
            dropped_q: Uint(0),
            sent_q: Uint(0),
            error_q: false,
            done_q: [WriteDone::default(); CLIENTS],
            w_q: AxiWrite::default(),
            w_strobe_q: Wide(0),
            w_data_q: LinkWord::default(),
            owner_q: vec![Uint(0); depth],
            length_q: vec![Uint(0); depth],
            closing_q: vec![false; depth],
            written: vec![false; depth],
        }
    }
}

impl<const PLACE_BITS: u32, const COUNT_BITS: u32, const BURST_BITS: u32>
    AxiWriter<PLACE_BITS, COUNT_BITS, BURST_BITS>
{
    /// Bursts from the oldest without an answer up to this one.
    fn since_answer(&self, burst: Uint<COUNT_BITS>) -> u64 {
        Uint::<COUNT_BITS>::from_bits(burst.to_bits().wrapping_sub(self.answer_q.to_bits())).to_bits()
    }

    /// Where a burst's entry lies.
    fn place(burst: Uint<COUNT_BITS>) -> usize {
        usize::from(Uint::<PLACE_BITS>::from_bits(burst.to_bits()).0)
    }

    /// The burst that is sent in this cycle.
    fn next(&self, i: &Inputs) -> Option<Next> {
        let (client, address, left) = if self.left_q.0 != 0 {
            (usize::from(self.client_q.0), self.address_q.0, self.left_q.to_bits())
        } else {
            let client = next_turn(i.request_i.map(|request| request.valid), usize::from(self.client_q.0))?;
            let request = i.request_i[client];
            (client, request.address.0 / AXI_BYTES as u64, request.words.to_bits())
        };
        let longest = 1 << BURST_BITS;
        let words = left.min(longest - address % longest);
        let full = self.since_answer(self.push_q) == 1 << PLACE_BITS;
        let sends = !full && (!self.aw_q.valid || i.aw_ready_i) && !i.flush_i;
        sends.then_some(Next { client, address, left, words })
    }

    /// The word that is given in this cycle.
    fn feed(&self, i: &Inputs, next: Option<Next>) -> Option<Feed> {
        let (client, words) = if self.feed_q == self.push_q {
            next.map(|next| (next.client, next.words))?
        } else {
            let place = Self::place(self.feed_q);
            (usize::from(self.owner_q[place].0), self.length_q[place].to_bits() + 1)
        };
        let ignored = i.flush_i || self.since_answer(self.feed_q) < self.dropped_q.to_bits();
        let there = (ignored || i.word_valid_i[client]) && (!self.w_q.valid || i.w_ready_i);
        there.then_some(Feed { client, ends: self.sent_q.to_bits() + 1 == words, ignored })
    }

    /// The outputs that depend on inputs of the same cycle.
    #[must_use]
    pub fn taken(&self, i: &Inputs) -> Taken {
        let next = self.next(i);
        Taken {
            request: next.filter(|_| self.left_q.0 == 0).map(|next| next.client),
            word: self.feed(i, next).filter(|feed| !feed.ignored).map(|feed| feed.client),
        }
    }

    fn send(&mut self, next: Next) {
        self.aw_q = AxiAddress {
            valid: true,
            id: Uint(0),
            address: Wide(next.address * AXI_BYTES as u64),
            length: Uint(low_u16(next.words - 1)),
        };
        assert!(next.address % PAGE_WORDS + next.words <= PAGE_WORDS, "INV_WRITER_1");
        self.address_q = Wide::from_bits(next.address + next.words);
        self.left_q = Uint(low_u16(next.left - next.words));
        self.client_q = Uint(low_u16(next.client as u64));
        let place = Self::place(self.push_q);
        self.owner_q[place] = self.client_q;
        self.length_q[place] = Uint::from_bits(next.words - 1);
        self.closing_q[place] = self.left_q.0 == 0;
        self.written[place] = true;
        self.push_q = Uint::from_bits(self.push_q.to_bits() + 1);
    }

    /// Takes an answer to the oldest burst.
    fn answer(&mut self, b: AxiResponse, flush: bool) {
        let waits = self.since_answer(self.feed_q) == 1 && self.w_q.valid && self.w_q.last;
        assert!(b.id.0 == 0 && self.answer_q != self.feed_q && !waits, "INV_WRITER_2");
        let place = Self::place(self.answer_q);
        if self.dropped_q.0 == 0 && !flush {
            let refused = b.response.0 >= 2 || self.error_q;
            self.error_q = refused && !self.closing_q[place];
            if self.closing_q[place] {
                self.done_q[usize::from(self.owner_q[place].0)] = WriteDone { valid: true, error: refused };
            }
        }
        self.dropped_q = Uint(self.dropped_q.0.saturating_sub(1));
        self.answer_q = Uint::from_bits(self.answer_q.to_bits() + 1);
    }
}

impl<const PLACE_BITS: u32, const COUNT_BITS: u32, const BURST_BITS: u32> Block
    for AxiWriter<PLACE_BITS, COUNT_BITS, BURST_BITS>
{
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            done_o: self.done_q,
            aw_o: self.aw_q,
            w_o: self.w_q,
            w_strobe_o: self.w_strobe_q,
            w_data_o: self.w_data_q,
            b_ready_o: true,
            idle_o: self.left_q.0 == 0 && self.push_q == self.answer_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let next = self.next(i);
        let feed = self.feed(i, next);
        self.done_q = [WriteDone::default(); CLIENTS];
        if i.b_i.valid {
            self.answer(i.b_i, i.flush_i);
        }
        self.aw_q.valid &= !i.aw_ready_i;
        if let Some(next) = next {
            self.send(next);
        }
        self.w_q.valid &= !i.w_ready_i;
        if let Some(Feed { client, ends, ignored }) = feed {
            self.w_q = AxiWrite { valid: true, last: ends };
            self.w_strobe_q = if ignored { Wide(0) } else { i.strobe_i[client] };
            self.w_data_q = if ignored { LinkWord::default() } else { i.data_i[client] };
            self.sent_q = if ends { Uint(0) } else { Uint(self.sent_q.0 + 1) };
            self.feed_q = Uint::from_bits(self.feed_q.to_bits() + u64::from(ends));
        }
        let listed = self.since_answer(self.push_q);
        assert!(listed <= 1 << PLACE_BITS, "INV_WRITER_3");
        assert!(self.since_answer(self.feed_q) <= listed, "INV_WRITER_4");
        if i.flush_i {
            self.left_q = Uint(0);
            self.error_q = false;
            self.dropped_q = Uint::from_bits(listed);
        }
        assert!(self.dropped_q.to_bits() <= listed, "INV_WRITER_5");
    }

    fn reset(&mut self) {
        let memories = (
            std::mem::take(&mut self.owner_q),
            std::mem::take(&mut self.length_q),
            std::mem::take(&mut self.closing_q),
            std::mem::take(&mut self.written),
        );
        *self = Self::default();
        (self.owner_q, self.length_q, self.closing_q, self.written) = memories;
    }
}

impl<const PLACE_BITS: u32, const COUNT_BITS: u32, const BURST_BITS: u32> Visit
    for AxiWriter<PLACE_BITS, COUNT_BITS, BURST_BITS>
{
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("aw_q", &mut self.aw_q);
        v.bits("address_q", &mut self.address_q);
        v.bits("left_q", &mut self.left_q);
        v.bits("client_q", &mut self.client_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("feed_q", &mut self.feed_q);
        v.bits("answer_q", &mut self.answer_q);
        v.bits("dropped_q", &mut self.dropped_q);
        v.bits("sent_q", &mut self.sent_q);
        v.bits("error_q", &mut self.error_q);
        v.packed("done_q", &mut self.done_q);
        v.bits("w_q", &mut self.w_q);
        v.bits("w_strobe_q", &mut self.w_strobe_q);
        v.packed("w_data_q", &mut self.w_data_q.0);
        v.memory("owner_q", &mut self.owner_q, &mut self.written);
        v.memory("length_q", &mut self.length_q, &mut self.written);
        v.memory("closing_q", &mut self.closing_q, &mut self.written);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("flush_i", &mut self.flush_i);
        v.packed("request_i", &mut self.request_i);
        v.packed("word_valid_i", &mut self.word_valid_i);
        v.packed("strobe_i", &mut self.strobe_i);
        visit_words(v, "data_i", &mut self.data_i);
        v.bits("aw_ready_i", &mut self.aw_ready_i);
        v.bits("w_ready_i", &mut self.w_ready_i);
        v.bits("b_i", &mut self.b_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("done_o", &mut self.done_o);
        v.bits("aw_o", &mut self.aw_o);
        v.bits("w_o", &mut self.w_o);
        v.bits("w_strobe_o", &mut self.w_strobe_o);
        v.packed("w_data_o", &mut self.w_data_o.0);
        v.bits("b_ready_o", &mut self.b_ready_o);
        v.bits("idle_o", &mut self.idle_o);
    }
}
