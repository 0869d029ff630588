// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/memory/write_queue.sv`.

use super::types::{AXI_BYTES, WriteRequest};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::link::types::LinkWord;

/// A client's way to the writer: two requests, two words.
#[derive(Clone, Default, Debug)]
pub struct WriteQueue {
    /// Element 0 is given first.
    request_q: [WriteRequest; 2],
    /// Words.
    count_q: Uint<2>,
    push_q: bool,
    pop_q: bool,
    strobe_q: [Wide<64>; 2],
    /// `[column][place]`: eight bytes each.
    data_q: [[Wide<64>; 2]; AXI_BYTES / 8],
    written: [bool; 2],
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Drops everything.
    pub clear_i: bool,
    /// A request.
    pub request_i: WriteRequest,
    /// There is a word.
    pub word_valid_i: bool,
    /// Which bytes of it are written.
    pub strobe_i: Wide<64>,
    /// The word.
    pub data_i: LinkWord,
    /// The request that is given is taken.
    pub request_taken_i: bool,
    /// The word that is given is taken.
    pub word_taken_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A request is taken, if it is there.
    pub request_ready_o: bool,
    /// A word is taken, if it is there.
    pub word_ready_o: bool,
    /// A request is given.
    pub request_o: WriteRequest,
    /// A word is given.
    pub word_valid_o: bool,
    /// Which bytes of it are written.
    pub strobe_o: Wide<64>,
    /// The word.
    pub data_o: LinkWord,
    /// Nothing waits.
    pub idle_o: bool,
}

impl Block for WriteQueue {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let pop = usize::from(self.pop_q);
        Outputs {
            request_ready_o: !self.request_q[1].valid,
            word_ready_o: self.count_q.0 < 2,
            request_o: self.request_q[0],
            word_valid_o: self.count_q.0 != 0,
            strobe_o: self.strobe_q[pop],
            data_o: LinkWord(self.data_q.map(|column| column[pop])),
            idle_o: !self.request_q[0].valid && self.count_q.0 == 0,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let (request, full) = (i.request_i, self.request_q[1].valid);
        let oldest = self.request_q[0];
        let sound = oldest.words.0 != 0 && oldest.address.0.is_multiple_of(AXI_BYTES as u64);
        assert!(!oldest.valid || sound, "INV_WRITES_1");
        assert!(self.request_q[0].valid || !full, "INV_WRITES_2");
        assert!(self.count_q.0 <= 2, "INV_WRITES_3");
        if i.request_taken_i {
            self.request_q[0] = self.request_q[1];
            self.request_q[1].valid = false;
        }
        if request.valid && !full {
            self.request_q[usize::from(self.request_q[0].valid)] = request;
        }
        let store = i.word_valid_i && self.count_q.0 < 2;
        if store {
            let push = usize::from(self.push_q);
            self.strobe_q[push] = i.strobe_i;
            for (column, bytes) in self.data_q.iter_mut().zip(i.data_i.0) {
                column[push] = bytes;
            }
            self.written[push] = true;
            self.push_q = !self.push_q;
        }
        self.pop_q ^= i.word_taken_i;
        self.count_q = Uint(low_u16(self.count_q.to_bits() + u64::from(store) - u64::from(i.word_taken_i)));
        if i.clear_i {
            for request in &mut self.request_q {
                request.valid = false;
            }
            self.count_q = Uint(0);
            self.pop_q = self.push_q;
        }
    }

    fn reset(&mut self) {
        let Self { strobe_q, data_q, written, .. } = *self;
        *self = Self { strobe_q, data_q, written, ..Self::default() };
    }
}

impl Visit for WriteQueue {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("request_q", &mut self.request_q);
        v.bits("count_q", &mut self.count_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        v.memory("strobe_q", &mut self.strobe_q, &mut self.written);
        for (c, column) in self.data_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("data_q", column, &mut self.written);
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("clear_i", &mut self.clear_i);
        v.bits("request_i", &mut self.request_i);
        v.bits("word_valid_i", &mut self.word_valid_i);
        v.bits("strobe_i", &mut self.strobe_i);
        v.packed("data_i", &mut self.data_i.0);
        v.bits("request_taken_i", &mut self.request_taken_i);
        v.bits("word_taken_i", &mut self.word_taken_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("request_ready_o", &mut self.request_ready_o);
        v.bits("word_ready_o", &mut self.word_ready_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("word_valid_o", &mut self.word_valid_o);
        v.bits("strobe_o", &mut self.strobe_o);
        v.packed("data_o", &mut self.data_o.0);
        v.bits("idle_o", &mut self.idle_o);
    }
}
