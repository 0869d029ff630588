// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/memory/read_arbiter.sv`.

use super::types::{ReadRequest, ReadWord};
use super::{CLIENTS, next_turn};
use crate::block::{Bits, Block, Uint, Visit, Visitor, low_u16};

/// `PlaceBits`.
const PLACE_BITS: u32 = 4;
/// `Depth`: requests that the reader may have.
const DEPTH: usize = 1 << PLACE_BITS;

/// Four clients at one reader.
#[derive(Clone, Default, Debug)]
pub struct ReadArbiter {
    /// By client: waits for the reader.
    request_q: [ReadRequest; CLIENTS],
    /// Client of the newest request that the reader has.
    last_q: Uint<2>,
    /// By place: client of a request that the reader has.
    owner_q: [Uint<2>; DEPTH],
    push_q: Uint<{ PLACE_BITS + 1 }>,
    pop_q: Uint<{ PLACE_BITS + 1 }>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Drops everything.
    pub clear_i: bool,
    /// Requests of the clients.
    pub request_i: [ReadRequest; CLIENTS],
    /// The reader takes a request, if it is there.
    pub request_ready_i: bool,
    /// The reader's word.
    pub word_i: ReadWord,
    /// A client takes a word, if it is there.
    pub word_ready_i: [bool; CLIENTS],
}

/// Output ports but those that depend on inputs of the same cycle: [`ReadArbiter::words`],
/// [`ReadArbiter::word_ready`].
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A client's request is taken, if it is there.
    pub request_ready_o: [bool; CLIENTS],
    /// The request to the reader.
    pub request_o: ReadRequest,
    /// No request waits.
    pub idle_o: bool,
}

impl ReadArbiter {
    fn wants(&self) -> [bool; CLIENTS] {
        self.request_q.map(|request| request.valid)
    }

    /// Whose request is next, if the reader may have one more.
    fn next(&self) -> Option<usize> {
        let full = self.push_q.0 ^ self.pop_q.0 == low_u16(DEPTH as u64);
        next_turn(self.wants(), usize::from(self.last_q.0)).filter(|_| !full)
    }

    fn place(count: Uint<{ PLACE_BITS + 1 }>) -> usize {
        usize::from(count.0) % DEPTH
    }

    /// Whose word the reader's next one is.
    fn owner(&self) -> usize {
        usize::from(self.owner_q[Self::place(self.pop_q)].0)
    }

    /// `word_o`: the reader's word by client.
    #[must_use]
    pub fn words(&self, word: ReadWord) -> [ReadWord; CLIENTS] {
        std::array::from_fn(|client| ReadWord { valid: word.valid && client == self.owner(), ..word })
    }

    /// `word_ready_o`: the reader's word is taken.
    #[must_use]
    pub fn word_ready(&self, ready: [bool; CLIENTS]) -> bool {
        ready[self.owner()]
    }
}

impl Block for ReadArbiter {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let client = next_turn(self.wants(), usize::from(self.last_q.0)).unwrap_or(0);
        Outputs {
            request_ready_o: self.wants().map(|waits| !waits),
            request_o: ReadRequest { valid: self.next().is_some(), ..self.request_q[client] },
            idle_o: self.wants() == [false; CLIENTS],
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        assert!(!i.word_i.valid || self.push_q != self.pop_q, "INV_READS_2");
        let ready = self.outputs().request_ready_o;
        let pops = i.word_i.valid && i.word_i.last && self.word_ready(i.word_ready_i);
        if let Some(client) = self.next().filter(|_| i.request_ready_i) {
            self.request_q[client].valid = false;
            self.last_q = Uint(low_u16(client as u64));
            self.owner_q[Self::place(self.push_q)] = self.last_q;
            self.push_q = Uint::from_bits(self.push_q.to_bits() + 1);
        }
        for ((waiting, request), ready) in self.request_q.iter_mut().zip(i.request_i).zip(ready) {
            if request.valid && ready {
                *waiting = request;
            }
        }
        self.pop_q = Uint::from_bits(self.pop_q.to_bits() + u64::from(pops));
        if i.clear_i {
            for request in &mut self.request_q {
                request.valid = false;
            }
            self.pop_q = self.push_q;
        }
        let held =
            Uint::<{ PLACE_BITS + 1 }>::from_bits(self.push_q.to_bits().wrapping_sub(self.pop_q.to_bits()));
        assert!(usize::from(held.0) <= DEPTH, "INV_READS_1");
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for ReadArbiter {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("request_q", &mut self.request_q);
        v.bits("last_q", &mut self.last_q);
        v.packed("owner_q", &mut self.owner_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("clear_i", &mut self.clear_i);
        v.packed("request_i", &mut self.request_i);
        v.bits("request_ready_i", &mut self.request_ready_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("word_ready_i", &mut self.word_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("request_ready_o", &mut self.request_ready_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("idle_o", &mut self.idle_o);
    }
}
