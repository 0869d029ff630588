// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/result_buffer.sv`.

use crate::array::Geometry;
use crate::array::float_multiply::FloatMultiply;
use crate::array::types::ResultOut;
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, further, low_u16};
use crate::common::DelayLine;
use crate::control::types::{
    Activity, COMMAND_INDEX_BITS, Done, FEATURE_BITS, GROUP_FLOATS, JobFault, RESULT_GROUPS, ResultJob,
    STATUS_DONE, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_BYTES, LINE_BITS, WriteDone, WriteRequest};
use crate::numerics::Float36;
use crate::numerics::multiply::BINARY32;
use crate::packed_struct;

/// Jobs that are known at a time.
pub const JOBS: usize = 4;

/// Bits of a feature's place in its group.
const LANE_BITS: u32 = GROUP_FLOATS.ilog2();

packed_struct! {
    /// A job.
    struct Job {
        rows: Uint<4>,
        /// Feature.
        last: Wide<FEATURE_BITS>,
        /// Of its next group.
        line: Wide<LINE_BITS>,
    }
}

impl Job {
    /// Number of the last group.
    const fn last_group(self) -> u64 {
        self.last.0 >> LANE_BITS
    }
}

packed_struct! {
    /// What is said when it is done.
    struct CommandEnd {
        notify: bool,
        tokens: Uint<16>,
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

/// One row: rounding, the wait for the rows after it, results.
#[derive(Clone, Debug)]
struct Row {
    convert: FloatMultiply,
    /// All rows but the last.
    late: Option<DelayLine<Wide<32>>>,
    /// `[lane][group]`.
    value_q: Vec<Vec<Wide<32>>>,
}

impl Row {
    fn new(later: usize) -> Self {
        Self {
            convert: FloatMultiply::new(BINARY32),
            late: (later > 0).then(|| DelayLine::new(later)),
            value_q: vec![vec![Wide(0); RESULT_GROUPS]; GROUP_FLOATS],
        }
    }

    fn product(&self) -> Wide<32> {
        Wide(self.convert.clamped().bits)
    }

    /// The result, when those of all rows are there.
    fn converted(&self) -> Wide<32> {
        self.late.as_ref().map_or_else(|| self.product(), DelayLine::output)
    }

    fn clock(&mut self, value: Float36) {
        let product = self.product();
        if let Some(late) = &mut self.late {
            late.clock(product);
        }
        self.convert.advance(value, Float36::ONE);
    }
}

/// Collects results and writes them to memory.
#[derive(Clone, Debug)]
pub struct ResultBuffer {
    job_q: [Job; JOBS],
    end_q: [CommandEnd; JOBS],
    /// By job: could not be read.
    fault_q: [bool; JOBS],
    /// By job: could not be written.
    refused_q: [bool; JOBS],
    /// By job: all its words are written.
    finished_q: [bool; JOBS],
    push_q: Uint<3>,
    fill_q: Uint<3>,
    send_q: Uint<3>,
    answer_q: Uint<3>,
    pop_q: Uint<3>,
    feature_q: Wide<FEATURE_BITS>,
    fill_group_q: Uint<5>,
    complete_q: Uint<6>,
    used_q: Uint<6>,
    send_group_q: Uint<5>,
    sent_q: Uint<16>,
    row_q: Uint<3>,
    sending_q: bool,
    answered_q: Uint<16>,
    request_q: WriteRequest,
    valid_q: bool,
    word_q: [Wide<32>; GROUP_FLOATS],
    done_q: Done,
    activity_q: Activity,
    valid: DelayLine<bool>,
    rows: Vec<Row>,
    /// `[lane][group]`, of all rows.
    written: Vec<Vec<bool>>,
}

/// Input ports.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// A job.
    pub job_i: ResultJob,
    /// What `done_o` shall say of it; valid and status mean nothing.
    pub job_done_i: Done,
    /// Something that a job needed could not be read.
    pub fault_i: JobFault,
    /// Groups that are reserved.
    pub reserve_i: Uint<4>,
    /// Results of GEMV; row r is r cycles late.
    pub result_i: Vec<ResultOut>,
    /// There are results of attention.
    pub attended_valid_i: bool,
    /// One of every row.
    pub values_i: Vec<Wide<32>>,
    /// A request is granted, if it is there.
    pub write_request_ready_i: bool,
    /// A word is taken, if it is there.
    pub write_ready_i: bool,
    /// A request's words are written.
    pub write_done_i: WriteDone,
    /// `done_o` is taken, if it is there.
    pub done_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// A job is taken, if it is there.
    pub job_ready_o: bool,
    /// Place of the job that is taken.
    pub job_slot_o: Uint<2>,
    /// Groups that are neither reserved nor hold results.
    pub free_o: Uint<6>,
    /// Words of a group.
    pub write_request_o: WriteRequest,
    /// There is a word.
    pub write_valid_o: bool,
    /// All of its bytes.
    pub write_strobe_o: Wide<64>,
    /// The word.
    pub write_data_o: LinkWord,
    /// A job is done.
    pub done_o: Done,
    /// What is going on.
    pub activity_o: Activity,
}

/// Place of a job in its queue.
fn slot(pointer: Uint<3>) -> usize {
    usize::from(pointer.0) % JOBS
}

impl ResultBuffer {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    /// After reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            job_q: [Job::default(); JOBS],
            end_q: [CommandEnd::default(); JOBS],
            fault_q: [false; JOBS],
            refused_q: [false; JOBS],
            finished_q: [false; JOBS],
            push_q: Uint(0),
            fill_q: Uint(0),
            send_q: Uint(0),
            answer_q: Uint(0),
            pop_q: Uint(0),
            feature_q: Wide(0),
            fill_group_q: Uint(0),
            complete_q: Uint(0),
            used_q: Uint(0),
            send_group_q: Uint(0),
            sent_q: Uint(0),
            row_q: Uint(0),
            sending_q: false,
            answered_q: Uint(0),
            request_q: WriteRequest::default(),
            valid_q: false,
            word_q: [Wide(0); GROUP_FLOATS],
            done_q: Done::default(),
            activity_q: Activity::default(),
            valid: DelayLine::new(geometry.rows + 1),
            rows: (0..geometry.rows).map(|r| Row::new(geometry.rows - 1 - r)).collect(),
            written: vec![vec![false; RESULT_GROUPS]; GROUP_FLOATS],
        }
    }

    fn job_ready(&self) -> bool {
        usize::from(further(self.push_q, u64::from(self.pop_q.0).wrapping_neg()).0) != JOBS
    }

    /// What goes on before the clock.
    fn activity(&self, i: &Inputs, store: bool) -> Activity {
        let busy = self.push_q != self.pop_q;
        let waits = (self.request_q.valid && !i.write_request_ready_i)
            || (self.valid_q && !i.write_ready_i)
            || (self.done_q.valid && !i.done_ready_i);
        let blocked = busy && waits;
        let quiet = self.complete_q.0 == 0 && !self.request_q.valid && !self.sending_q && !self.valid_q;
        let starved = self.fill_q != self.push_q && !store && quiet && !blocked;
        Activity { busy, starved, blocked, index: self.end_q[slot(self.pop_q)].index }
    }

    /// Takes one result of every row. True when a group is complete.
    fn store(&mut self, values: &[Wide<32>]) -> bool {
        let (lane, group) = (low_u16(self.feature_q.0) % 16, usize::from(self.fill_group_q.0));
        let lane = usize::from(lane);
        for (row, &value) in self.rows.iter_mut().zip(values) {
            row.value_q[lane][group] = value;
        }
        self.written[lane][group] = true;
        let last = self.feature_q == self.job_q[slot(self.fill_q)].last;
        self.feature_q = if last { Wide(0) } else { further(self.feature_q, 1) };
        self.fill_q = further(self.fill_q, u64::from(last));
        let complete = last || lane == GROUP_FLOATS - 1;
        self.fill_group_q = further(self.fill_group_q, u64::from(complete));
        complete
    }

    /// The next word leaves the memory. True when it is the last of its group.
    fn load(&mut self) -> bool {
        let job = &mut self.job_q[slot(self.send_q)];
        let last_group = u64::from(self.sent_q.0) == job.last_group();
        let lanes = if last_group { usize::from(low_u16(job.last.0) % 16) + 1 } else { GROUP_FLOATS };
        let (row, group) = (&self.rows[usize::from(self.row_q.0)], usize::from(self.send_group_q.0));
        self.word_q = std::array::from_fn(|l| if l < lanes { row.value_q[l][group] } else { Wide(0) });
        if self.row_q.0 + 1 != job.rows.0 {
            self.row_q = further(self.row_q, 1);
            return false;
        }
        self.row_q = Uint(0);
        self.send_group_q = further(self.send_group_q, 1);
        job.line = further(job.line, u64::from(job.rows.0));
        self.sent_q = if last_group { Uint(0) } else { further(self.sent_q, 1) };
        self.send_q = further(self.send_q, u64::from(last_group));
        true
    }

    /// A group is written.
    fn answer(&mut self, error: bool) {
        let job = slot(self.answer_q);
        self.refused_q[job] |= error;
        if u64::from(self.answered_q.0) == self.job_q[job].last_group() {
            self.answered_q = Uint(0);
            self.answer_q = further(self.answer_q, 1);
            self.finished_q[job] = true;
        } else {
            self.answered_q = further(self.answered_q, 1);
        }
    }

    /// The oldest job is done.
    fn give(&mut self) {
        let job = slot(self.pop_q);
        let status = match (self.fault_q[job], self.refused_q[job]) {
            (true, _) => STATUS_READ_ERROR,
            (false, true) => STATUS_WRITE_ERROR,
            (false, false) => STATUS_DONE,
        };
        let CommandEnd { notify, tokens, index } = self.end_q[job];
        self.done_q = Done { valid: true, status: Uint(status), notify, tokens, index };
        self.finished_q[job] = false;
        self.pop_q = further(self.pop_q, 1);
    }

    fn check(&self, i: &Inputs) {
        let ResultJob { valid, rows, features, .. } = i.job_i;
        let sound = features.0 != 0 && (1..=self.rows.len()).contains(&usize::from(rows.0));
        assert!(!valid || sound, "INV_RESULTS_1");
        let converted = self.valid.output();
        assert!(!(converted && i.attended_valid_i), "INV_RESULTS_2");
        assert!(!converted || self.fill_q != self.push_q, "INV_RESULTS_3");
        assert!(!i.attended_valid_i || self.fill_q != self.push_q, "INV_RESULTS_4");
        assert!(!i.write_done_i.valid || self.answer_q != self.push_q, "INV_RESULTS_5");
        assert!(usize::from(self.used_q.0) <= RESULT_GROUPS, "INV_RESULTS_6");
        assert!(self.complete_q.0 <= self.used_q.0, "INV_RESULTS_7");
    }
}

impl Block for ResultBuffer {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs {
            job_i: ResultJob::default(),
            job_done_i: Done::default(),
            fault_i: JobFault::default(),
            reserve_i: Uint(0),
            result_i: vec![ResultOut::default(); self.rows.len()],
            attended_valid_i: false,
            values_i: vec![Wide(0); self.rows.len()],
            write_request_ready_i: false,
            write_ready_i: false,
            write_done_i: WriteDone::default(),
            done_ready_i: false,
        }
    }

    fn outputs(&self) -> Outputs {
        let pair = |w: usize| self.word_q[2 * w].0 | self.word_q[2 * w + 1].0 << 32;
        Outputs {
            job_ready_o: self.job_ready(),
            job_slot_o: Uint::from_bits(self.push_q.to_bits()),
            free_o: further(Uint(low_u16(RESULT_GROUPS as u64)), u64::from(self.used_q.0).wrapping_neg()),
            write_request_o: self.request_q,
            write_valid_o: self.valid_q,
            write_strobe_o: Wide(u64::MAX),
            write_data_o: LinkWord(std::array::from_fn(|w| Wide(pair(w)))),
            done_o: self.done_q,
            activity_o: self.activity_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        self.check(i);
        let converted = self.valid.output();
        let store = converted || i.attended_valid_i;
        let taken = i.job_i.valid && self.job_ready();
        let ask = self.complete_q.0 != 0 && !self.request_q.valid && !self.sending_q;
        let granted = self.request_q.valid && i.write_request_ready_i;
        let load = (self.sending_q || granted) && (!self.valid_q || i.write_ready_i);
        let given = self.finished_q[slot(self.pop_q)] && (!self.done_q.valid || i.done_ready_i);
        self.activity_q = self.activity(i, store);

        self.done_q.valid &= !i.done_ready_i;
        if given {
            self.give();
        }
        if i.write_done_i.valid {
            self.answer(i.write_done_i.error);
        }
        self.request_q.valid &= !granted;
        if ask {
            let Job { rows, line, .. } = self.job_q[slot(self.send_q)];
            self.request_q =
                WriteRequest { valid: true, address: Wide(line.0 * AXI_BYTES as u64), words: Uint(rows.0) };
        }
        self.valid_q = load || (self.valid_q && !i.write_ready_i);
        let group_sent = load && self.load();
        self.sending_q = (self.sending_q || granted) && !group_sent;

        let attended = i.attended_valid_i.then(|| i.values_i.clone());
        let values = attended.unwrap_or_else(|| self.rows.iter().map(Row::converted).collect());
        let group_filled = store && self.store(&values);
        for (row, result) in self.rows.iter_mut().zip(&i.result_i) {
            row.clock(result.value);
        }
        self.valid.clock(i.result_i[0].valid);

        self.complete_q = Uint(self.complete_q.0 + u16::from(group_filled) - u16::from(ask));
        let used = further(self.used_q, u64::from(i.reserve_i.0));
        self.used_q = further(used, u64::from(group_sent).wrapping_neg());

        if taken {
            let at = slot(self.push_q);
            let ResultJob { rows, features, line, .. } = i.job_i;
            let Done { notify, tokens, index, .. } = i.job_done_i;
            self.job_q[at] = Job { rows, last: further(features, u64::MAX), line };
            self.end_q[at] = CommandEnd { notify, tokens, index };
            (self.fault_q[at], self.refused_q[at]) = (false, false);
            self.push_q = further(self.push_q, 1);
        }
        if i.fault_i.valid {
            self.fault_q[usize::from(i.fault_i.job.0)] = true;
        }
    }

    fn reset(&mut self) {
        let last = self.rows.len() - 1;
        let rows = std::mem::take(&mut self.rows).into_iter().enumerate();
        let rows = rows.map(|(r, row)| Row { value_q: row.value_q, ..Row::new(last - r) }).collect();
        let written = std::mem::take(&mut self.written);
        *self = Self { rows, written, ..Self::new(Geometry { rows: last + 1, ..Geometry::ALL[0] }) };
    }
}

impl Visit for ResultBuffer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("job_q", &mut self.job_q);
        v.packed("end_q", &mut self.end_q);
        v.packed("fault_q", &mut self.fault_q);
        v.packed("refused_q", &mut self.refused_q);
        v.packed("finished_q", &mut self.finished_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("fill_q", &mut self.fill_q);
        v.bits("send_q", &mut self.send_q);
        v.bits("answer_q", &mut self.answer_q);
        v.bits("pop_q", &mut self.pop_q);
        v.bits("feature_q", &mut self.feature_q);
        v.bits("fill_group_q", &mut self.fill_group_q);
        v.bits("complete_q", &mut self.complete_q);
        v.bits("used_q", &mut self.used_q);
        v.bits("send_group_q", &mut self.send_group_q);
        v.bits("sent_q", &mut self.sent_q);
        v.bits("row_q", &mut self.row_q);
        v.bits("sending_q", &mut self.sending_q);
        v.bits("answered_q", &mut self.answered_q);
        v.bits("request_q", &mut self.request_q);
        v.bits("valid_q", &mut self.valid_q);
        v.packed("word_q", &mut self.word_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("activity_q", &mut self.activity_q);
        v.enter("u_valid", None);
        self.valid.visit(v);
        v.leave();
        for (r, row) in self.rows.iter_mut().enumerate() {
            v.enter("gen_row", Some(r));
            v.enter("u_convert", None);
            row.convert.visit(v);
            v.leave();
            if let Some(late) = &mut row.late {
                v.enter("gen_early", None);
                v.enter("u_late", None);
                late.visit(v);
                v.leave();
                v.leave();
            }
            for (l, (lane, written)) in row.value_q.iter_mut().zip(&mut self.written).enumerate() {
                v.enter("gen_lane", Some(l));
                v.memory("value_q", lane, written);
                v.leave();
            }
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("job_i", &mut self.job_i);
        v.bits("job_done_i", &mut self.job_done_i);
        v.bits("fault_i", &mut self.fault_i);
        v.bits("reserve_i", &mut self.reserve_i);
        v.packed("result_i", &mut self.result_i);
        v.bits("attended_valid_i", &mut self.attended_valid_i);
        v.packed("values_i", &mut self.values_i);
        v.bits("write_request_ready_i", &mut self.write_request_ready_i);
        v.bits("write_ready_i", &mut self.write_ready_i);
        v.bits("write_done_i", &mut self.write_done_i);
        v.bits("done_ready_i", &mut self.done_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("job_ready_o", &mut self.job_ready_o);
        v.bits("job_slot_o", &mut self.job_slot_o);
        v.bits("free_o", &mut self.free_o);
        v.bits("write_request_o", &mut self.write_request_o);
        v.bits("write_valid_o", &mut self.write_valid_o);
        v.bits("write_strobe_o", &mut self.write_strobe_o);
        v.packed("write_data_o", &mut self.write_data_o.0);
        v.bits("done_o", &mut self.done_o);
        v.bits("activity_o", &mut self.activity_o);
    }
}
