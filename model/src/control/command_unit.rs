// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/command_unit.sv`.

use super::command_fetch::{self, CommandFetch};
use super::completer::{self, CHANNELS, Completer};
use super::scoreboard::{Scoreboard, Tokens};
use super::types::{
    Activity, COMMAND_INDEX_BITS, CommandDestination, CommandHead, CoreError, Done, Doorbell, OPCODE_APPEND,
    OPCODE_EMBED, OPCODE_LOAD, OPCODE_NOP, STATUS_DONE, STATUS_FETCH_ERROR,
};
use crate::array::Geometry;
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, ReadRequest, ReadWord, WriteDone, WriteRequest};

/// Units that commands go to: load, stream, append, vector.
pub const TARGETS: usize = 4;
/// Units that say when a command is done: load, stream, append, results, vector.
pub const SOURCES: usize = 5;

/// Fetches, checks and dispatches commands, and writes their completions.
#[derive(Clone, Debug)]
pub struct CommandUnit {
    work_valid_q: [bool; TARGETS],
    /// What the command that is offered waits for.
    work_waits_q: Tokens,
    work_index_q: Uint<COMMAND_INDEX_BITS>,
    work_q: LinkWord,
    activity_q: Activity,
    u_fetch: CommandFetch,
    u_scoreboard: Scoreboard,
    u_completer: Completer,
}

/// Input ports.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The core takes commands.
    pub enable_i: bool,
    /// Where the command ring lies.
    pub command_base_i: Wide<AXI_ADDRESS_BITS>,
    /// log2 of its commands.
    pub ring_size_log2_i: Uint<4>,
    /// Where completions are written.
    pub completion_base_i: Wide<AXI_ADDRESS_BITS>,
    /// How far the host is.
    pub doorbell_i: Doorbell,
    /// Commands may write from here on.
    pub bounds_base_i: Wide<AXI_ADDRESS_BITS>,
    /// And up to here, exclusive.
    pub bounds_limit_i: Wide<AXI_ADDRESS_BITS>,
    /// The request is taken, if it is there.
    pub request_ready_i: bool,
    /// A word of the ring.
    pub word_i: ReadWord,
    /// Its bytes.
    pub data_i: LinkWord,
    /// A completion's request is taken, if it is there.
    pub write_request_ready_i: bool,
    /// A completion's word is taken, if it is there.
    pub write_ready_i: bool,
    /// A completion is written.
    pub write_done_i: WriteDone,
    /// A unit takes the command, if it is there.
    pub work_ready_i: [bool; TARGETS],
    /// Commands in queues still wait for these tokens.
    pub holds_i: Tokens,
    /// Commands that are done: load, stream, append, results, vector.
    pub done_i: [Done; SOURCES],
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// Commands dispatched or refused since reset.
    pub consumer_o: Uint<COMMAND_INDEX_BITS>,
    /// A completion that was to be told of is written.
    pub completion_o: bool,
    /// Something went wrong.
    pub error_o: CoreError,
    /// No command anywhere.
    pub idle_o: bool,
    /// Words of the ring that are wanted.
    pub request_o: ReadRequest,
    /// Always.
    pub word_ready_o: bool,
    /// A completion is to be written.
    pub write_request_o: WriteRequest,
    /// Its word is there.
    pub write_valid_o: bool,
    /// All bytes.
    pub write_strobe_o: Wide<64>,
    /// The word.
    pub write_data_o: LinkWord,
    /// There is a command for a unit.
    pub work_valid_o: [bool; TARGETS],
    /// Its index.
    pub work_index_o: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub work_o: LinkWord,
    /// Tokens that are pending.
    pub pending_o: Tokens,
    /// What is done is taken, if it is there.
    pub done_ready_o: [bool; SOURCES],
    /// What the unit does.
    pub activity_o: Activity,
}

/// The next command, where it may go in this cycle.
struct Taken {
    index: Uint<COMMAND_INDEX_BITS>,
    status: Uint<8>,
    head: CommandHead,
    waits: Tokens,
    command: LinkWord,
    /// It goes nowhere.
    ends: bool,
}

impl Taken {
    /// Its opcode; of what could not be read none is known.
    const fn opcode(&self) -> Uint<8> {
        if self.status.0 == STATUS_FETCH_ERROR { Uint(0) } else { self.head.opcode }
    }

    /// What is said of it if it ends here. What cannot be read has no flags: it is told of.
    const fn ended(&self) -> Done {
        Done {
            valid: self.ends,
            status: self.status,
            notify: self.head.flags.notify || self.status.0 == STATUS_FETCH_ERROR,
            tokens: Uint(0),
            index: self.index,
        }
    }

    fn target(&self) -> [bool; TARGETS] {
        let target = match self.head.opcode.0 {
            OPCODE_LOAD => 0,
            OPCODE_APPEND => 2,
            OPCODE_EMBED.. => 3,
            _ => 1,
        };
        std::array::from_fn(|unit| unit == target)
    }
}

impl CommandUnit {
    /// Nothing to do.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            work_valid_q: [false; TARGETS],
            work_waits_q: Uint(0),
            work_index_q: Uint(0),
            work_q: LinkWord::default(),
            activity_q: Activity::default(),
            u_fetch: CommandFetch::new(geometry),
            u_scoreboard: Scoreboard::default(),
            u_completer: Completer::default(),
        }
    }

    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    /// The offered command stays: its unit does not take it.
    fn stays(&self, i: &Inputs) -> bool {
        self.work_valid_q.iter().zip(i.work_ready_i).any(|(&valid, ready)| valid && !ready)
    }

    /// The next command, if nothing is in its way.
    fn taken(&self, i: &Inputs) -> Option<Taken> {
        let fetched = self.u_fetch.fetched()?;
        let index = self.u_fetch.index();
        let head = CommandHead::from_bits(fetched.command.0[0].0);
        let destination = CommandDestination::from_bits(fetched.command.0[2].0);
        let waits = Uint(head.wait_tokens.0 | destination.wait_array.0);
        let status = fetched.status;
        let good = status.0 == STATUS_DONE;
        let nop = head.opcode.0 == OPCODE_NOP;
        let ends = nop || !good;

        let pending = self.u_scoreboard.pending().0;
        let held = pending | i.holds_i.0 | self.work_waits_q.0;
        let waiting = head.signal_tokens.0 & held != 0 || (nop && head.wait_tokens.0 & pending != 0);
        let room = if ends { self.u_completer.done_ready()[SOURCES] } else { !self.stays(i) };
        let goes = !self.u_completer.busy(index) && (!good || !waiting) && room;
        goes.then_some(Taken { index, status, head, waits, command: fetched.command, ends })
    }

    fn working(&self) -> bool {
        self.work_valid_q.contains(&true)
    }

    fn activity(&self, i: &Inputs, taken: bool) -> Activity {
        let there = self.u_fetch.fetched().is_some();
        Activity {
            busy: !self.u_fetch.empty() || self.working(),
            starved: self.u_fetch.waits() && !there && !self.working(),
            blocked: (there && !taken) || self.stays(i),
            index: self.u_fetch.index(),
        }
    }

    /// Tokens of commands that are taken as done in this cycle.
    fn released(&self, i: &Inputs) -> Tokens {
        let ready = self.u_completer.done_ready();
        let taken = i.done_i.iter().zip(ready).filter(|(done, ready)| done.valid && *ready);
        Uint(taken.fold(0, |tokens, (done, _)| tokens | done.tokens.0))
    }
}

impl Block for CommandUnit {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (write_valid_o, [head, dispatched, done]) = self.u_completer.write();
        let zero = Wide(0);
        let [load, stream, append, results, vector, _] = self.u_completer.done_ready();
        Outputs {
            consumer_o: self.u_fetch.index(),
            completion_o: self.u_completer.completion(),
            error_o: self.u_completer.error(),
            idle_o: self.u_fetch.empty() && self.u_completer.idle(),
            request_o: self.u_fetch.request(),
            word_ready_o: true,
            write_request_o: self.u_completer.request(),
            write_valid_o,
            write_strobe_o: Wide(u64::MAX),
            write_data_o: LinkWord([head, dispatched, done, zero, zero, zero, zero, zero]),
            work_valid_o: self.work_valid_q,
            work_index_o: self.work_index_q,
            work_o: self.work_q,
            pending_o: self.u_scoreboard.pending(),
            done_ready_o: [load, stream, append, results, vector],
            activity_o: self.activity_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        assert!(!self.working() || self.u_completer.busy(self.work_index_q), "INV_COMMAND_1");
        let taken = self.taken(i);
        let released = self.released(i);
        self.activity_q = self.activity(i, taken.is_some());
        for (valid, ready) in self.work_valid_q.iter_mut().zip(i.work_ready_i) {
            *valid &= !ready;
        }
        if !self.working() {
            self.work_waits_q = Uint(0);
        }
        let mut claimed = Uint(0);
        if let Some(taken) = taken.as_ref().filter(|taken| !taken.ends) {
            assert!(!self.working(), "INV_COMMAND_2");
            self.work_valid_q = taken.target();
            self.work_waits_q = taken.waits;
            self.work_index_q = taken.index;
            self.work_q = taken.command;
            claimed = taken.head.signal_tokens;
        }

        self.u_fetch.clock(&command_fetch::Inputs {
            enable_i: i.enable_i,
            command_base_i: i.command_base_i,
            ring_size_log2_i: i.ring_size_log2_i,
            producer_i: i.doorbell_i.producer,
            bounds_base_i: i.bounds_base_i,
            bounds_limit_i: i.bounds_limit_i,
            request_ready_i: i.request_ready_i,
            word_i: i.word_i,
            data_i: &i.data_i,
            take_i: taken.is_some(),
        });
        self.u_scoreboard.clock(claimed, released);
        let ended = taken.as_ref().map_or_else(Done::default, Taken::ended);
        let mut done_i = [ended; CHANNELS];
        done_i[..SOURCES].copy_from_slice(&i.done_i);
        self.u_completer.clock(&completer::Inputs {
            completion_base_i: i.completion_base_i,
            ring_size_log2_i: i.ring_size_log2_i,
            dispatch: taken.map(|taken| (taken.index, taken.opcode())),
            done_i,
            write_request_ready_i: i.write_request_ready_i,
            write_ready_i: i.write_ready_i,
            write_done_i: i.write_done_i,
        });
    }

    fn reset(&mut self) {
        self.work_valid_q = [false; TARGETS];
        self.work_waits_q = Uint(0);
        self.work_index_q = Uint(0);
        self.work_q = LinkWord::default();
        self.activity_q = Activity::default();
        self.u_fetch.reset();
        self.u_scoreboard.reset();
        self.u_completer.reset();
    }
}

impl Visit for CommandUnit {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("work_valid_q", &mut self.work_valid_q);
        v.bits("work_waits_q", &mut self.work_waits_q);
        v.bits("work_index_q", &mut self.work_index_q);
        v.packed("work_q", &mut self.work_q.0);
        v.bits("activity_q", &mut self.activity_q);
        v.enter("u_fetch", None);
        self.u_fetch.visit(v);
        v.leave();
        v.enter("u_scoreboard", None);
        self.u_scoreboard.visit(v);
        v.leave();
        v.enter("u_completer", None);
        self.u_completer.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("enable_i", &mut self.enable_i);
        v.bits("command_base_i", &mut self.command_base_i);
        v.bits("ring_size_log2_i", &mut self.ring_size_log2_i);
        v.bits("completion_base_i", &mut self.completion_base_i);
        v.bits("doorbell_i", &mut self.doorbell_i);
        v.bits("bounds_base_i", &mut self.bounds_base_i);
        v.bits("bounds_limit_i", &mut self.bounds_limit_i);
        v.bits("request_ready_i", &mut self.request_ready_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("data_i", &mut self.data_i.0);
        v.bits("write_request_ready_i", &mut self.write_request_ready_i);
        v.bits("write_ready_i", &mut self.write_ready_i);
        v.bits("write_done_i", &mut self.write_done_i);
        v.packed("work_ready_i", &mut self.work_ready_i);
        v.bits("holds_i", &mut self.holds_i);
        v.packed("done_i", &mut self.done_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("consumer_o", &mut self.consumer_o);
        v.bits("completion_o", &mut self.completion_o);
        v.bits("error_o", &mut self.error_o);
        v.bits("idle_o", &mut self.idle_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("word_ready_o", &mut self.word_ready_o);
        v.bits("write_request_o", &mut self.write_request_o);
        v.bits("write_valid_o", &mut self.write_valid_o);
        v.bits("write_strobe_o", &mut self.write_strobe_o);
        v.packed("write_data_o", &mut self.write_data_o.0);
        v.packed("work_valid_o", &mut self.work_valid_o);
        v.bits("work_index_o", &mut self.work_index_o);
        v.packed("work_o", &mut self.work_o.0);
        v.bits("pending_o", &mut self.pending_o);
        v.packed("done_ready_o", &mut self.done_ready_o);
        v.bits("activity_o", &mut self.activity_o);
    }
}
