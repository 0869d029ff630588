// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/replay_buffer.sv`.

use super::types::{
    FLIT_WORDS, FlitAsk, LINK_WORD_BYTES, LinkWord, REPLAY_DEPTH, ReplayEntry, Resend, SEQUENCE_BITS,
};
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};

/// Number of a data flit.
type Number = Uint<SEQUENCE_BITS>;

/// Numbers there are.
const NUMBERS: u16 = 1 << SEQUENCE_BITS;

/// Data flits that were sent and not yet acknowledged.
#[derive(Clone, Debug)]
pub struct ReplayBuffer {
    selective: bool,
    acked_q: Number,
    next_q: Number,
    /// By slot: the low bits of the number.
    marks_q: Wide<64>,
    read_slot_q: Uint<6>,
    entry_q: Vec<ReplayEntry>,
    entry_written: Vec<bool>,
    /// `[column][address]`: eight bytes each; a slot's words follow each other.
    words_q: Vec<Vec<Wide<64>>>,
    words_written: Vec<bool>,
}

/// What happens in a cycle. One default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// Forget everything.
    pub clear: bool,
    /// A new flit is taken.
    pub push: Option<ReplayEntry>,
    /// Word of the flit pushed last, with its index.
    pub write: Option<(Uint<2>, LinkWord)>,
    /// The peer has all before this number.
    pub ack: Option<Number>,
    /// The peer misses this number.
    pub ask: FlitAsk,
    /// The flit of [`ReplayBuffer::resend`] is taken.
    pub resend_take: bool,
}

/// How far `to` lies behind `from`, modulo all numbers.
fn distance(from: Number, to: Number) -> u16 {
    (to.0 + NUMBERS - from.0) % NUMBERS
}

/// The number `by` behind.
fn advanced(number: Number, by: u16) -> Number {
    Uint((number.0 + by) % NUMBERS)
}

/// Where a flit lies.
fn slot(number: Number) -> u32 {
    u32::from(number.0) % (1 << (SEQUENCE_BITS - 1))
}

/// The slots of `count` flits from `first` on.
fn span(first: Number, count: u16) -> u64 {
    let from_zero = u64::MAX.checked_shr(64 - u32::from(count)).unwrap_or(0);
    from_zero.rotate_left(slot(first))
}

impl ReplayBuffer {
    /// An empty buffer; whether an ask marks one flit only.
    #[must_use]
    pub fn new(selective: bool) -> Self {
        Self {
            selective,
            acked_q: Uint(0),
            next_q: Uint(0),
            marks_q: Wide(0),
            read_slot_q: Uint(0),
            entry_q: vec![ReplayEntry::default(); REPLAY_DEPTH],
            entry_written: vec![false; REPLAY_DEPTH],
            words_q: vec![vec![Wide(0); FLIT_WORDS * REPLAY_DEPTH]; LINK_WORD_BYTES / 8],
            words_written: vec![false; FLIT_WORDS * REPLAY_DEPTH],
        }
    }

    /// Flits that are outstanding.
    fn outstanding(&self) -> u16 {
        distance(self.acked_q, self.next_q)
    }

    /// The first one that has to be sent again, from the oldest on.
    fn marked(&self) -> Number {
        let from_oldest = self.marks_q.0.rotate_right(slot(self.acked_q));
        advanced(self.acked_q, low_u16(u64::from(from_oldest.trailing_zeros() % 64)))
    }

    /// The flit that has to be sent again next. Says nothing when there is none.
    #[must_use]
    pub fn resend(&self) -> Resend {
        if self.marks_q.0 == 0 {
            return Resend::default();
        }
        let number = self.marked();
        Resend { valid: true, number, entry: self.entry_q[slot(number) as usize] }
    }

    /// A word of the flit whose resend was taken last.
    #[must_use]
    pub fn word(&self, index: Uint<2>) -> LinkWord {
        let at = FLIT_WORDS * usize::from(self.read_slot_q.0) + usize::from(index.0);
        LinkWord(std::array::from_fn(|c| self.words_q[c][at]))
    }

    /// Number of the next new flit.
    #[must_use]
    pub fn next(&self) -> Uint<SEQUENCE_BITS> {
        self.next_q
    }

    /// No new flit may be pushed.
    #[must_use]
    pub fn full(&self) -> bool {
        usize::from(self.outstanding()) == REPLAY_DEPTH
    }

    /// What is left is for small channels.
    #[must_use]
    pub fn crowded(&self) -> bool {
        usize::from(self.outstanding()) >= REPLAY_DEPTH - REPLAY_DEPTH / 8
    }

    /// Nothing is outstanding.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.acked_q == self.next_q
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn advance(&mut self, step: &Step) {
        let push = step.push.is_some();
        assert!(!(push && (self.full() || step.resend_take || step.clear)), "INV_REPLAY_3");
        assert!(!(step.resend_take && self.marks_q.0 == 0), "INV_REPLAY_4");
        if let Some((index, word)) = step.write {
            let at = FLIT_WORDS * slot(advanced(self.next_q, NUMBERS - 1)) as usize + usize::from(index.0);
            for (column, bytes) in self.words_q.iter_mut().zip(word.0) {
                column[at] = bytes;
            }
            self.words_written[at] = true;
        }
        if let Some(entry) = step.push {
            self.entry_q[slot(self.next_q) as usize] = entry;
            self.entry_written[slot(self.next_q) as usize] = true;
        }
        let taken = step.resend_take.then(|| self.marked());
        if let Some(number) = taken {
            self.read_slot_q = Uint(low_u16(u64::from(slot(number))));
        }
        if step.clear {
            (self.acked_q, self.next_q, self.marks_q) = (Uint(0), Uint(0), Wide(0));
            return;
        }

        let outstanding = self.outstanding();
        let freed = step.ack.map_or(0, |ack| distance(self.acked_q, ack));
        let freed = if freed <= outstanding { freed } else { 0 };
        let acked = advanced(self.acked_q, freed);
        let next = advanced(self.next_q, u16::from(push));

        let mut again = 0;
        if step.ask.valid && distance(acked, step.ask.number) < outstanding - freed {
            let count = if self.selective { 1 } else { distance(step.ask.number, next) };
            again = span(step.ask.number, count);
            if taken == Some(step.ask.number) {
                again &= !span(step.ask.number, 1);
            }
        }
        let gone = span(self.acked_q, freed) | taken.map_or(0, |number| span(number, 1));
        self.marks_q = Wide(self.marks_q.0 & !gone | again);
        self.acked_q = acked;
        self.next_q = next;
        assert!(usize::from(self.outstanding()) <= REPLAY_DEPTH, "INV_REPLAY_1");
        assert!(self.marks_q.0 & !span(acked, self.outstanding()) == 0, "INV_REPLAY_2");
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        (self.acked_q, self.next_q, self.marks_q) = (Uint(0), Uint(0), Wide(0));
        self.read_slot_q = Uint(0);
    }
}

impl Visit for ReplayBuffer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("acked_q", &mut self.acked_q);
        v.bits("next_q", &mut self.next_q);
        v.bits("marks_q", &mut self.marks_q);
        v.bits("read_slot_q", &mut self.read_slot_q);
        v.memory("entry_q", &mut self.entry_q, &mut self.entry_written);
        for (c, column) in self.words_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("words_q", column, &mut self.words_written);
            v.leave();
        }
    }
}
