// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/work_queue.sv`.

use super::scoreboard::Tokens;
use super::types::{COMMAND_INDEX_BITS, CommandDestination, CommandHead};
use crate::block::{Bits, Uint, Visit, Visitor, Wide};
use crate::packed_struct;

/// A command as it lies in memory: eight words.
pub type WorkWords = [Wide<64>; 8];

/// A command on its way to a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// There is one.
    pub valid: bool,
    /// Which.
    pub index: Uint<COMMAND_INDEX_BITS>,
    /// The command.
    pub words: WorkWords,
}

packed_struct! {
    /// What is looked at while a command waits.
    struct Entry {
        index: Uint<COMMAND_INDEX_BITS>,
        wait_tokens: Uint<16>,
        wait_array: Uint<16>,
    }
}

/// Which tokens the front waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// `wait_tokens`, ahead of the unit that begins with a command.
    Unit,
    /// `wait_array`, ahead of the array.
    Array,
}

/// Commands on their way to a unit.
#[derive(Clone, Debug)]
pub struct WorkQueue {
    stage: Stage,
    entry_q: Vec<Entry>,
    valid_q: Vec<bool>,
    push_q: Uint<2>,
    pop_q: Uint<2>,
    /// `word_q` of each word.
    words: [Vec<Wide<64>>; 8],
    written: [Vec<bool>; 8],
}

/// Commands that there is room for.
pub const WORK_QUEUE_DEPTH: usize = 4;

impl WorkQueue {
    /// A queue after reset.
    #[must_use]
    pub fn new(stage: Stage) -> Self {
        Self {
            stage,
            entry_q: vec![Entry::default(); WORK_QUEUE_DEPTH],
            valid_q: vec![false; WORK_QUEUE_DEPTH],
            push_q: Uint(0),
            pop_q: Uint(0),
            words: std::array::from_fn(|_| vec![Wide(0); WORK_QUEUE_DEPTH]),
            written: std::array::from_fn(|_| vec![false; WORK_QUEUE_DEPTH]),
        }
    }

    /// Would a command be taken?
    #[must_use]
    pub fn ready(&self) -> bool {
        !self.valid_q[usize::from(self.push_q.0)]
    }

    fn mask(&self) -> u16 {
        let front = &self.entry_q[usize::from(self.pop_q.0)];
        match self.stage {
            Stage::Unit => front.wait_tokens.0,
            Stage::Array => front.wait_array.0,
        }
    }

    /// The front, valid when it waits for none of the pending tokens.
    #[must_use]
    pub fn front(&self, pending: Tokens) -> Work {
        let at = usize::from(self.pop_q.0);
        let taken = self.valid_q[at];
        Work {
            valid: taken && self.mask() & pending.0 == 0,
            index: self.entry_q[at].index,
            words: std::array::from_fn(|w| if taken { self.words[w][at] } else { Wide(0) }),
        }
    }

    /// Tokens that a command in here waits for.
    #[must_use]
    pub fn holds(&self) -> Tokens {
        let held = |entry: &Entry| match self.stage {
            Stage::Unit => entry.wait_tokens.0 | entry.wait_array.0,
            Stage::Array => entry.wait_array.0,
        };
        let entries = self.entry_q.iter().zip(&self.valid_q);
        Uint(entries.filter(|(_, valid)| **valid).fold(0, |all, (entry, _)| all | held(entry)))
    }

    /// Pending tokens that the front waits for.
    #[must_use]
    pub fn waiting(&self, pending: Tokens) -> Tokens {
        Uint(if self.valid_q[usize::from(self.pop_q.0)] { self.mask() & pending.0 } else { 0 })
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When an empty queue has lost its place.
    pub fn clock(&mut self, work: &Work, pending: Tokens, front_ready: bool) {
        assert!(self.valid_q.contains(&true) || self.push_q == self.pop_q, "INV_WORK_1");
        let push = work.valid && self.ready();
        let pop = self.front(pending).valid && front_ready;
        if push {
            let at = usize::from(self.push_q.0);
            let head = CommandHead::from_bits(work.words[0].0);
            let destination = CommandDestination::from_bits(work.words[2].0);
            self.entry_q[at] = Entry {
                index: work.index,
                wait_tokens: head.wait_tokens,
                wait_array: destination.wait_array,
            };
            self.valid_q[at] = true;
            self.push_q = Uint((self.push_q.0 + 1) % 4);
            for (w, word) in work.words.iter().enumerate() {
                self.words[w][at] = *word;
                self.written[w][at] = true;
            }
        }
        if pop {
            self.valid_q[usize::from(self.pop_q.0)] = false;
            self.pop_q = Uint((self.pop_q.0 + 1) % 4);
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        let Self { words, written, .. } = std::mem::replace(self, Self::new(self.stage));
        (self.words, self.written) = (words, written);
    }
}

impl Visit for WorkQueue {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("entry_q", &mut self.entry_q);
        v.packed("valid_q", &mut self.valid_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        for (w, (words, written)) in self.words.iter_mut().zip(&mut self.written).enumerate() {
            v.enter("gen_word", Some(w));
            v.memory("word_q", words, written);
            v.leave();
        }
    }
}
