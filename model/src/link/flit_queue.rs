// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/flit_queue.sv`.

use super::types::{CREDIT_BITS, FLIT_WORDS, LINK_WORD_BYTES, LinkWord};
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};

/// Where the flits of one channel land and wait to be read: `SLOTS` of them, numbered with `BITS` bits.
#[derive(Clone, Debug)]
pub struct FlitQueue<const SLOTS: u32, const BITS: u32> {
    /// By slot: waits for its push.
    kept_q: Wide<SLOTS>,
    /// By slot: waits to be read.
    queued_q: Wide<SLOTS>,
    landing_q: Uint<BITS>,
    push_q: Uint<BITS>,
    pop_q: Uint<BITS>,
    read_q: Uint<2>,
    freed_q: Uint<CREDIT_BITS>,
    slot_q: Vec<Uint<BITS>>,
    words_last_q: Vec<Uint<2>>,
    queue_written: Vec<bool>,
    /// `[column][4 x slot + word]`: eight bytes each.
    data_q: [Vec<Wide<64>>; LINK_WORD_BYTES / 8],
    data_written: Vec<bool>,
}

/// A flit to be queued.
#[derive(Clone, Copy, Debug)]
pub struct Push {
    /// Where it lies.
    pub slot: u16,
    /// Its words, less one.
    pub words_last: Uint<2>,
}

/// What happens to a queue in a cycle.
#[derive(Clone, Copy, Default, Debug)]
pub struct Actions {
    /// What was kept and not pushed is forgotten.
    pub clear: bool,
    /// A word comes: which of its flit, and what.
    pub word: Option<(Uint<2>, LinkWord)>,
    /// The flit that has landed last is kept.
    pub keep: bool,
    /// A kept flit is queued.
    pub push: Option<Push>,
    /// A word that is offered is taken.
    pub ready: bool,
}

impl<const SLOTS: u32, const BITS: u32> Default for FlitQueue<SLOTS, BITS> {
    fn default() -> Self {
        let slots = SLOTS as usize;
        Self {
            kept_q: Wide(0),
            queued_q: Wide(0),
            landing_q: Uint(0),
            push_q: Uint(0),
            pop_q: Uint(0),
            read_q: Uint(0),
            freed_q: Uint(0),
            slot_q: vec![Uint(0); slots],
            words_last_q: vec![Uint(0); slots],
            queue_written: vec![false; slots],
            data_q: std::array::from_fn(|_| vec![Wide(0); slots * FLIT_WORDS]),
            data_written: vec![false; slots * FLIT_WORDS],
        }
    }
}

impl<const SLOTS: u32, const BITS: u32> FlitQueue<SLOTS, BITS> {
    /// Free slots, but for the one where the last flit landed.
    fn others(&self) -> u64 {
        let used = self.kept_q.0 | self.queued_q.0 | 1 << self.landing_q.0;
        Wide::<SLOTS>::from_bits(!used).0
    }

    /// Slot that a word of this index is written to.
    fn write_slot(&self, index: Uint<2>) -> Uint<BITS> {
        match self.others() {
            others if index.0 == 0 && others != 0 => Uint(low_u16(u64::from(others.trailing_zeros()))),
            _ => self.landing_q,
        }
    }

    /// Slot of the flit that has landed last, if it may be kept.
    #[must_use]
    pub fn landed(&self) -> Option<u16> {
        (self.others() != 0).then_some(self.landing_q.0)
    }

    /// The oldest word that has not been read.
    #[must_use]
    pub fn word(&self) -> Option<LinkWord> {
        let at =
            usize::from(self.slot_q[usize::from(self.pop_q.0)].0) * FLIT_WORDS + usize::from(self.read_q.0);
        (self.push_q != self.pop_q).then(|| LinkWord(std::array::from_fn(|c| self.data_q[c][at])))
    }

    /// How many flits may have been sent in the session, modulo 256.
    #[must_use]
    pub fn limit(&self) -> Uint<CREDIT_BITS> {
        Uint::from_bits(u64::from(self.freed_q.0) + u64::from(SLOTS - 1))
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, actions: &Actions) {
        let Actions { clear, word, keep, push, ready } = *actions;
        let used = self.kept_q.0 | self.queued_q.0;
        assert!(!keep || self.landed().is_some(), "INV_QUEUE_1");
        assert!(!(clear && (keep || push.is_some())), "INV_QUEUE_3");
        assert!(used != Wide::<SLOTS>::from_bits(u64::MAX).0, "INV_QUEUE_4");
        assert!(self.kept_q.0 & self.queued_q.0 == 0, "INV_QUEUE_4");
        let landing = self.landing_q;
        let read = ready && self.push_q != self.pop_q;
        if let Some((index, word)) = word {
            self.land(index, &word);
        }
        if keep {
            self.kept_q.0 |= 1 << landing.0;
        }
        if let Some(push) = push {
            self.push(push);
        }
        if read {
            self.read();
        }
        if clear {
            self.kept_q = Wide(0);
            let queued = next(self.push_q, u64::from(self.pop_q.0).wrapping_neg());
            self.freed_q = Uint::from_bits(u64::from(queued.0).wrapping_neg());
        }
    }

    /// Writes a word to its slot.
    fn land(&mut self, index: Uint<2>, word: &LinkWord) {
        let slot = self.write_slot(index);
        assert!((self.kept_q.0 | self.queued_q.0) >> slot.0 & 1 == 0, "INV_QUEUE_5");
        let at = usize::from(slot.0) * FLIT_WORDS + usize::from(index.0);
        for (column, bytes) in self.data_q.iter_mut().zip(word.0) {
            column[at] = bytes;
        }
        self.data_written[at] = true;
        self.landing_q = slot;
    }

    fn push(&mut self, push: Push) {
        let bit = 1 << push.slot;
        assert!(self.kept_q.0 & bit != 0, "INV_QUEUE_2");
        self.kept_q.0 &= !bit;
        self.queued_q.0 |= bit;
        let at = usize::from(self.push_q.0);
        self.slot_q[at] = Uint(push.slot);
        self.words_last_q[at] = push.words_last;
        self.queue_written[at] = true;
        self.push_q = next(self.push_q, 1);
    }

    /// Takes the oldest word, and with the last of its flit frees the slot.
    fn read(&mut self) {
        let oldest = usize::from(self.pop_q.0);
        if self.read_q == self.words_last_q[oldest] {
            self.queued_q.0 &= !(1 << self.slot_q[oldest].0);
            self.pop_q = next(self.pop_q, 1);
            self.freed_q = next(self.freed_q, 1);
            self.read_q = Uint(0);
        } else {
            self.read_q = next(self.read_q, 1);
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        (self.kept_q, self.queued_q) = (Wide(0), Wide(0));
        (self.landing_q, self.push_q, self.pop_q) = (Uint(0), Uint(0), Uint(0));
        (self.read_q, self.freed_q) = (Uint(0), Uint(0));
    }
}

/// So many further, in as many bits.
fn next<const BITS: u32>(from: Uint<BITS>, steps: u64) -> Uint<BITS> {
    Uint::from_bits(u64::from(from.0).wrapping_add(steps))
}

impl<const SLOTS: u32, const BITS: u32> Visit for FlitQueue<SLOTS, BITS> {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("kept_q", &mut self.kept_q);
        v.bits("queued_q", &mut self.queued_q);
        v.bits("landing_q", &mut self.landing_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        v.bits("read_q", &mut self.read_q);
        v.bits("freed_q", &mut self.freed_q);
        v.memory("slot_q", &mut self.slot_q, &mut self.queue_written);
        v.memory("words_last_q", &mut self.words_last_q, &mut self.queue_written);
        for (c, column) in self.data_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("data_q", column, &mut self.data_written);
            v.leave();
        }
    }
}
