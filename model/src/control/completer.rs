// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/completer.sv`.

use super::types::{COMMAND_INDEX_BITS, CoreError, Done, STATUS_COMPLETION_ERROR, STATUS_DONE};
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES, WriteDone, WriteRequest};
use crate::packed_struct;

/// Who says that a command is done: load, stream, append, results, vector, and the command unit itself.
pub const CHANNELS: usize = 6;
/// Commands that may be dispatched and not done.
pub const FLIGHTS: usize = 32;
/// Completions that may be on their way.
const AWAITED: u16 = 8;
/// Bits of a count of those, up to [`AWAITED`].
const COUNT_BITS: u32 = AWAITED.ilog2() + 1;

packed_struct! {
    /// A command is done.
    struct Ended {
        valid: bool,
        status: Uint<8>,
        notify: bool,
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

/// Commands that are dispatched and not done, and the completions of those that are.
#[derive(Clone, Debug)]
pub struct Completer {
    done_q: [Ended; CHANNELS],
    busy_q: [bool; FLIGHTS],
    cycle_q: Wide<64>,
    request_q: WriteRequest,
    write_valid_q: bool,
    /// What is not 0 of the word.
    record_q: [Wide<64>; 3],
    /// Completions that were sent.
    push_q: Uint<COUNT_BITS>,
    /// Of these written.
    pop_q: Uint<COUNT_BITS>,
    completion_q: bool,
    error_q: CoreError,
    opcode_q: Vec<Uint<8>>,
    dispatched_q: Vec<Wide<64>>,
    flown: Vec<bool>,
    notify_q: Vec<bool>,
    index_q: Vec<Uint<COMMAND_INDEX_BITS>>,
    sent: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// Where completions are written.
    pub completion_base_i: Wide<AXI_ADDRESS_BITS>,
    /// log2 of the ring's commands.
    pub ring_size_log2_i: Uint<4>,
    /// A command is dispatched: its index and its opcode.
    pub dispatch: Option<(Uint<COMMAND_INDEX_BITS>, Uint<8>)>,
    /// Commands that are done.
    pub done_i: [Done; CHANNELS],
    /// The request is taken, if it is there.
    pub write_request_ready_i: bool,
    /// The word is taken, if it is there.
    pub write_ready_i: bool,
    /// A completion is written.
    pub write_done_i: WriteDone,
}

impl Default for Completer {
    fn default() -> Self {
        Self {
            done_q: [Ended::default(); CHANNELS],
            busy_q: [false; FLIGHTS],
            cycle_q: Wide(0),
            request_q: WriteRequest::default(),
            write_valid_q: false,
            record_q: [Wide(0); 3],
            push_q: Uint(0),
            pop_q: Uint(0),
            completion_q: false,
            error_q: CoreError::default(),
            opcode_q: vec![Uint(0); FLIGHTS],
            dispatched_q: vec![Wide(0); FLIGHTS],
            flown: vec![false; FLIGHTS],
            notify_q: vec![false; AWAITED.into()],
            index_q: vec![Uint(0); AWAITED.into()],
            sent: vec![false; AWAITED.into()],
        }
    }
}

/// The place of a command that is dispatched.
fn flight(index: Uint<COMMAND_INDEX_BITS>) -> usize {
    usize::from(index.0) % FLIGHTS
}

/// The count one further.
fn further(count: Uint<COUNT_BITS>) -> Uint<COUNT_BITS> {
    Uint((count.0 + 1) % (2 * AWAITED))
}

impl Completer {
    /// A command of this index that was dispatched is not done.
    #[must_use]
    pub fn busy(&self, index: Uint<COMMAND_INDEX_BITS>) -> bool {
        self.busy_q[flight(index)]
    }

    /// Whether a channel's command is taken, if it is there.
    #[must_use]
    pub fn done_ready(&self) -> [bool; CHANNELS] {
        self.done_q.map(|done| !done.valid)
    }

    /// What is to be written.
    #[must_use]
    pub const fn request(&self) -> WriteRequest {
        self.request_q
    }

    /// The word, if there is one to be sent.
    #[must_use]
    pub const fn write(&self) -> (bool, [Wide<64>; 3]) {
        (self.write_valid_q, self.record_q)
    }

    /// A completion that was to be told of is written.
    #[must_use]
    pub const fn completion(&self) -> bool {
        self.completion_q
    }

    /// Something went wrong.
    #[must_use]
    pub const fn error(&self) -> CoreError {
        self.error_q
    }

    /// All is done and written.
    #[must_use]
    pub fn idle(&self) -> bool {
        !self.busy_q.contains(&true) && self.push_q == self.pop_q
    }

    /// The channel whose command is recorded in this cycle: the lowest. A completion that was refused is told of first.
    fn picked(&self, i: &Inputs) -> Option<usize> {
        let channel = self.done_q.iter().position(|done| done.valid)?;
        assert!(self.busy(self.done_q[channel].index), "INV_COMPLETER_1");
        let sent = (self.push_q.0 + 2 * AWAITED - self.pop_q.0) % (2 * AWAITED);
        assert!(sent <= AWAITED, "INV_COMPLETER_3");
        let room = (!self.request_q.valid || i.write_request_ready_i)
            && (!self.write_valid_q || i.write_ready_i)
            && sent != AWAITED;
        let refused = i.write_done_i.valid && i.write_done_i.error;
        (room && !refused).then_some(channel)
    }

    /// Turns what is done into a completion.
    fn record(&mut self, next: Ended, i: &Inputs) {
        let place = flight(next.index);
        self.busy_q[place] = false;
        let mask = low_u16((1 << i.ring_size_log2_i.0) - 1);
        let offset = u64::from(next.index.0 & mask) * AXI_BYTES as u64;
        let address = (i.completion_base_i.0 + offset) & ((1 << AXI_ADDRESS_BITS) - 1);
        self.request_q = WriteRequest { valid: true, address: Wide(address), words: Uint(1) };
        self.write_valid_q = true;
        let head = u64::from(next.index.0)
            | u64::from(next.status.0) << 16
            | u64::from(self.opcode_q[place].0) << 24;
        self.record_q = [Wide(head), self.dispatched_q[place], self.cycle_q];
        let slot = usize::from(self.push_q.0 % AWAITED);
        self.notify_q[slot] = next.notify;
        self.index_q[slot] = next.index;
        self.sent[slot] = true;
        self.push_q = further(self.push_q);
        if next.status.0 != STATUS_DONE {
            self.error_q = CoreError { valid: true, code: next.status, index: next.index };
        }
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs) {
        let on_its_way = self.request_q.valid || self.write_valid_q;
        assert!(!on_its_way || self.push_q != self.pop_q, "INV_COMPLETER_2");
        let picked = self.picked(i).map(|channel| (channel, self.done_q[channel]));
        let oldest = usize::from(self.pop_q.0 % AWAITED);
        let (notify, index) = (self.notify_q[oldest], self.index_q[oldest]);

        for (kept, done) in self.done_q.iter_mut().zip(i.done_i) {
            if !kept.valid && done.valid {
                let Done { status, notify, index, .. } = done;
                *kept = Ended { valid: true, status, notify, index };
            }
        }
        if let Some((index, _)) = i.dispatch {
            self.busy_q[flight(index)] = true;
        }
        self.request_q.valid &= !i.write_request_ready_i;
        self.write_valid_q &= !i.write_ready_i;
        self.completion_q = false;
        self.error_q = CoreError::default();
        if let Some((channel, next)) = picked {
            self.done_q[channel] = Ended::default();
            self.record(next, i);
        }
        // The place of what is recorded is not that of what is dispatched: it was busy.
        if let Some((index, opcode)) = i.dispatch {
            self.opcode_q[flight(index)] = opcode;
            self.dispatched_q[flight(index)] = self.cycle_q;
            self.flown[flight(index)] = true;
        }
        if i.write_done_i.valid {
            self.pop_q = further(self.pop_q);
            self.completion_q = notify && !i.write_done_i.error;
            if i.write_done_i.error {
                self.error_q = CoreError { valid: true, code: Uint(STATUS_COMPLETION_ERROR), index };
            }
        }
        self.cycle_q = Wide(self.cycle_q.0.wrapping_add(1));
    }

    /// Reset; memories stay.
    pub fn reset(&mut self) {
        *self = Self {
            opcode_q: std::mem::take(&mut self.opcode_q),
            dispatched_q: std::mem::take(&mut self.dispatched_q),
            flown: std::mem::take(&mut self.flown),
            notify_q: std::mem::take(&mut self.notify_q),
            index_q: std::mem::take(&mut self.index_q),
            sent: std::mem::take(&mut self.sent),
            ..Self::default()
        };
    }
}

impl Visit for Completer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("done_q", &mut self.done_q);
        v.packed("busy_q", &mut self.busy_q);
        v.bits("cycle_q", &mut self.cycle_q);
        v.bits("request_q", &mut self.request_q);
        v.bits("write_valid_q", &mut self.write_valid_q);
        v.packed("record_q", &mut self.record_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("pop_q", &mut self.pop_q);
        v.bits("completion_q", &mut self.completion_q);
        v.bits("error_q", &mut self.error_q);
        v.memory("opcode_q", &mut self.opcode_q, &mut self.flown);
        v.memory("dispatched_q", &mut self.dispatched_q, &mut self.flown);
        v.memory("notify_q", &mut self.notify_q, &mut self.sent);
        v.memory("index_q", &mut self.index_q, &mut self.sent);
    }
}
