// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/array_unit.sv`.

use crate::array::Geometry;
use crate::array::types::{FLOAT_LATENCY, SEGMENT_LANES};
use crate::attention::types::{Attended, CONTEXTS, HeadEnd, HeadStart, Operands};
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};
use crate::control::scoreboard::Tokens;
use crate::control::types::{
    Activity, COMMAND_INDEX_BITS, CommandDestination, CommandHead, CommandShape, Done, FEATURE_BITS,
    GROUP_FLOATS, Gemv, JobFault, OPCODE_GEMV, ResultJob,
};
use crate::control::work_queue::{Stage, Work, WorkQueue};
use crate::memory::types::AXI_BYTES;

/// Jobs that the result buffer takes.
const JOBS: usize = 4;
/// Products that may be on the array or behind it.
const GEMVS: usize = 2;

/// Input ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// The stream unit takes a command that will come here.
    pub taken_i: bool,
    /// What that waits for.
    pub taken_wait_i: Tokens,
    /// It will not come.
    pub refused_i: bool,
    /// A command.
    pub work_i: Work,
    /// A word of this context could not be read.
    pub fault_i: HeadStart,
    /// Tokens that are not given back.
    pub pending_i: Tokens,
    /// A product would be taken.
    pub gemv_ready_i: bool,
    /// The last beat of one was issued.
    pub gemv_end_i: bool,
    /// A word of the one that issues could not be read.
    pub gemv_fault_i: bool,
    /// The sequencer has something to do.
    pub gemv_busy_i: bool,
    /// It waits for weights.
    pub gemv_starved_i: bool,
    /// It waits for room for results.
    pub gemv_blocked_i: bool,
    /// The stream unit waits for words of memory.
    pub stream_starved_i: bool,
    /// Results of a head.
    pub attended_i: Attended,
    /// They are marked.
    pub poisoned_i: bool,
    /// A head gave its last result.
    pub head_done_i: HeadEnd,
    /// A job would be taken.
    pub job_ready_i: bool,
    /// It would get this place.
    pub job_slot_i: Uint<2>,
    /// Groups of results that there is room for.
    pub free_i: Uint<6>,
}

/// Output ports, but those that depend on `pending_i`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A command has been taken and has not come.
    pub transit_o: bool,
    /// A command would be taken.
    pub work_ready_o: bool,
    /// Tokens that commands in here wait for.
    pub holds_o: Tokens,
    /// A product for the array.
    pub gemv_o: Gemv,
    /// The array is GEMV's.
    pub owner_o: bool,
    /// q of a head may be loaded.
    pub operands_o: Operands,
    /// Results to come.
    pub job_o: ResultJob,
    /// What is said when they are written.
    pub job_done_o: Done,
    /// Something that a job needed could not be read.
    pub job_fault_o: JobFault,
    /// Groups of results that a head takes.
    pub reserve_o: Uint<4>,
    /// What the array does.
    pub activity_o: Activity,
}

/// Hands the array to one command after the other.
#[derive(Clone, Debug)]
pub struct ArrayUnit {
    geometry: Geometry,
    transit_q: bool,
    transit_wait_q: Tokens,
    queue: WorkQueue,
    gemv_q: Gemv,
    booked_q: bool,
    slot_q: Uint<2>,
    chunk_q: Uint<7>,
    job_q: ResultJob,
    done_q: Done,
    drain_q: Uint<7>,
    heads_q: Uint<3>,
    context_q: Uint<2>,
    faulty_q: [bool; CONTEXTS],
    head_slot_q: [Uint<2>; CONTEXTS],
    gemv_slot_q: [Uint<2>; GEMVS],
    gemvs_q: Uint<2>,
    operands_q: Operands,
    reserve_q: Uint<4>,
    job_fault_q: JobFault,
    activity_q: Activity,
    index_q: [Uint<COMMAND_INDEX_BITS>; JOBS],
}

impl ArrayUnit {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    /// After reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            transit_q: false,
            transit_wait_q: Uint(0),
            queue: WorkQueue::new(Stage::Array),
            gemv_q: Gemv::default(),
            booked_q: false,
            slot_q: Uint(0),
            chunk_q: Uint(0),
            job_q: ResultJob::default(),
            done_q: Done::default(),
            drain_q: Uint(0),
            heads_q: Uint(0),
            context_q: Uint(0),
            faulty_q: [false; CONTEXTS],
            head_slot_q: [Uint(0); CONTEXTS],
            gemv_slot_q: [Uint(0); GEMVS],
            gemvs_q: Uint(0),
            operands_q: Operands::default(),
            reserve_q: Uint(0),
            job_fault_q: JobFault::default(),
            activity_q: Activity::default(),
            index_q: [Uint(0); JOBS],
        }
    }

    /// Cycles from the last beat that a GEMV asks for to its last result, with some to spare.
    fn drain(&self) -> u16 {
        low_u16((48 + self.geometry.rows + 2 * FLOAT_LATENCY * self.geometry.segments) as u64)
    }

    fn offers_gemv(&self) -> bool {
        self.job_q.valid
            && self.booked_q
            && self.gemv_q.valid
            && self.heads_q.0 == 0
            && usize::from(self.gemvs_q.0) != GEMVS
    }

    /// Output ports, but those that depend on `pending_i`.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        Outputs {
            transit_o: self.transit_q,
            work_ready_o: self.queue.ready(),
            holds_o: Uint(self.queue.holds().0 | self.transit_wait_q.0),
            gemv_o: Gemv { valid: self.offers_gemv(), ..self.gemv_q },
            owner_o: self.drain_q.0 != 0,
            operands_o: self.operands_q,
            job_o: ResultJob { valid: self.job_q.valid && !self.booked_q, ..self.job_q },
            job_done_o: self.done_q,
            job_fault_o: self.job_fault_q,
            reserve_o: self.reserve_q,
            activity_o: self.activity_q,
        }
    }

    /// `waiting_o`: pending tokens that the front waits for.
    #[must_use]
    pub fn waiting(&self, pending: Tokens) -> Tokens {
        self.queue.waiting(pending)
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When heads and products are on the array at once.
    pub fn clock(&mut self, i: &Inputs) {
        assert!(self.heads_q.0 == 0 || self.drain_q.0 == 0, "INV_ARRAY_UNIT_1");
        let out = self.outputs();
        let groups = low_u16(self.job_q.features.0 / GROUP_FLOATS as u64) & 15;
        let start_gemv = out.gemv_o.valid && i.gemv_ready_i;
        let start_head = self.job_q.valid
            && self.booked_q
            && !self.gemv_q.valid
            && self.drain_q.0 == 0
            && !i.gemv_busy_i
            && usize::from(self.heads_q.0) != CONTEXTS
            && i.free_i.0 >= groups;
        let (slot, chunk, booked) = (self.slot_q, self.chunk_q, self.done_q.index);
        self.activity_q = Activity {
            busy: self.job_q.valid || i.gemv_busy_i || self.heads_q.0 != 0,
            starved: if i.gemv_busy_i { i.gemv_starved_i } else { self.heads_q.0 != 0 && i.stream_starved_i },
            blocked: if i.gemv_busy_i { i.gemv_blocked_i } else { self.job_q.valid && self.heads_q.0 == 0 },
            index: self.index(),
        };

        let front = self.queue.front(i.pending_i);
        let front_ready = !self.job_q.valid;
        if front.valid && front_ready {
            self.take(&front);
        }
        if out.job_o.valid && i.job_ready_i {
            self.booked_q = true;
            self.slot_q = i.job_slot_i;
            self.index_q[usize::from(i.job_slot_i.0)] = booked;
        }
        if start_gemv || start_head {
            self.job_q = ResultJob::default();
            self.gemv_q = Gemv::default();
            self.booked_q = false;
        }
        self.queue.clock(&i.work_i, i.pending_i, front_ready);
        self.clock_transit(i, out.work_ready_o);
        self.clock_gemvs(i, start_gemv, slot);
        self.clock_heads(i, start_head.then_some((slot, chunk, groups)));
    }

    /// The oldest command on the array, else the one that waits for it.
    fn index(&self) -> Uint<COMMAND_INDEX_BITS> {
        let oldest = usize::from((self.context_q.0 + 4 - self.heads_q.0 % 4) % 4);
        let slot = match (self.gemvs_q.0, self.heads_q.0) {
            (0, 0) => return self.done_q.index,
            (0, _) => self.head_slot_q[oldest],
            _ => self.gemv_slot_q[0],
        };
        self.index_q[usize::from(slot.0)]
    }

    fn clock_transit(&mut self, i: &Inputs, work_ready: bool) {
        if (i.work_i.valid && work_ready) || i.refused_i {
            (self.transit_q, self.transit_wait_q) = (false, Uint(0));
        }
        if i.taken_i {
            (self.transit_q, self.transit_wait_q) = (true, i.taken_wait_i);
        }
    }

    /// Takes the front of the queue.
    fn take(&mut self, front: &Work) {
        let head = CommandHead::from_bits(front.words[0].0);
        let destination = CommandDestination::from_bits(front.words[2].0);
        let shape = CommandShape::from_bits(front.words[3].0);
        let lanes = (self.geometry.segments * SEGMENT_LANES) as u64;
        let chunk = if head.flags.int8 { lanes } else { 2 * lanes };
        let features = Wide(shape.count.0 & ((1 << FEATURE_BITS) - 1));
        let gemv = head.opcode.0 == OPCODE_GEMV;
        let operand = Uint(head.operand.0 & 127);
        self.gemv_q = Gemv {
            valid: gemv,
            int8: head.flags.int8,
            features,
            chunks_last: Uint(low_u16((shape.length.0.wrapping_sub(1) & 0xffff_ffff) / chunk) & 127),
            operand,
        };
        self.chunk_q = operand;
        self.job_q = ResultJob {
            valid: true,
            rows: Uint(head.rows.0 & 15),
            features: match (gemv, head.flags.wide) {
                (true, _) => features,
                (false, true) => Wide(128),
                (false, false) => Wide(64),
            },
            line: Wide((destination.address.0 & ((1 << 40) - 1)) / AXI_BYTES as u64),
        };
        self.done_q = Done {
            valid: true,
            status: Uint(0),
            notify: head.flags.notify,
            tokens: head.signal_tokens,
            index: front.index,
        };
        self.booked_q = false;
    }

    fn clock_gemvs(&mut self, i: &Inputs, start: bool, slot: Uint<2>) {
        self.job_fault_q = JobFault { valid: i.gemv_fault_i, job: self.gemv_slot_q[0] };
        let drained = self.drain_q.0.saturating_sub(1);
        self.drain_q = Uint(if start || i.gemv_busy_i { self.drain() } else { drained });
        if i.gemv_end_i {
            self.gemv_slot_q[0] = self.gemv_slot_q[1];
            self.gemvs_q = Uint((self.gemvs_q.0 + 3) % 4);
        }
        if start {
            self.gemv_slot_q[usize::from(self.gemvs_q.0 & 1)] = slot;
            self.gemvs_q = Uint((self.gemvs_q.0 + 1) % 4);
        }
    }

    fn clock_heads(&mut self, i: &Inputs, start: Option<(Uint<2>, Uint<7>, u16)>) {
        self.operands_q = Operands::default();
        self.reserve_q = Uint(0);
        self.heads_q = Uint((self.heads_q.0 + 8 - u16::from(i.head_done_i.valid)) % 8);
        if let Some((slot, chunk, groups)) = start {
            let head = self.context_q;
            self.operands_q = Operands { valid: true, head, chunk };
            self.reserve_q = Uint(groups);
            self.heads_q = Uint((self.heads_q.0 + 1) % 8);
            self.context_q = Uint((head.0 + 1) % 4);
            self.head_slot_q[usize::from(head.0)] = slot;
        }
        if i.head_done_i.valid {
            let context = usize::from(i.head_done_i.head.0);
            // A head that starts in this cycle is another one.
            self.job_fault_q = JobFault { valid: self.faulty_q[context], job: self.head_slot_q[context] };
            self.faulty_q[context] = false;
        }
        if i.fault_i.valid {
            self.faulty_q[usize::from(i.fault_i.head.0)] = true;
        }
        if i.attended_i.valid && i.poisoned_i {
            self.faulty_q[usize::from(i.attended_i.head.0)] = true;
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        self.queue.reset();
        let queue = std::mem::replace(&mut self.queue, WorkQueue::new(Stage::Array));
        *self = Self { queue, ..fresh };
    }
}

impl Visit for ArrayUnit {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("transit_q", &mut self.transit_q);
        v.bits("transit_wait_q", &mut self.transit_wait_q);
        v.enter("u_queue", None);
        self.queue.visit(v);
        v.leave();
        v.bits("gemv_q", &mut self.gemv_q);
        v.bits("booked_q", &mut self.booked_q);
        v.bits("slot_q", &mut self.slot_q);
        v.bits("chunk_q", &mut self.chunk_q);
        v.bits("job_q", &mut self.job_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("drain_q", &mut self.drain_q);
        v.bits("heads_q", &mut self.heads_q);
        v.bits("context_q", &mut self.context_q);
        v.packed("faulty_q", &mut self.faulty_q);
        v.packed("head_slot_q", &mut self.head_slot_q);
        v.packed("gemv_slot_q", &mut self.gemv_slot_q);
        v.bits("gemvs_q", &mut self.gemvs_q);
        v.bits("operands_q", &mut self.operands_q);
        v.bits("reserve_q", &mut self.reserve_q);
        v.bits("job_fault_q", &mut self.job_fault_q);
        v.bits("activity_q", &mut self.activity_q);
        v.packed("index_q", &mut self.index_q);
    }
}
