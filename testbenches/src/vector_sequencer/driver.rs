// SPDX-License-Identifier: Apache-2.0
//! Stand-ins around the sequencer, and what they check.

use std::collections::VecDeque;

use tandem_model::block::{Uint, Wide, low_u16};
use tandem_model::control::types::{
    Activity, Done, OPCODE_ADD, OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_GATE, OPCODE_HEADS, OPCODE_NORM,
    OPCODE_QUANTISE, STATUS_DONE, STATUS_INDEX, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{ReadRequest, ReadWord};
use tandem_model::numerics::Float36;
use tandem_model::vector::types::{Form, LaneOp, VECTOR_UNITS, VectorWord};
use tandem_model::vector::vector_sequencer::{Inputs, Outputs, VectorSequencer, floats};

use super::command::{Angles, Scale, Step, Work, memory_word, steps};
use super::{CORNERS, Case};
use crate::bench::{Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Most words that are asked for and not taken.
const ROOM: usize = 64;
/// Cycles of a reduction of eight units.
const REDUCTION: u64 = 103;
/// Cycles without a word that mean that nothing comes any more.
const PATIENCE: u64 = 5000;

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// Cycles from issue to result.
const fn latency(op: LaneOp) -> u64 {
    match op {
        LaneOp::Copy => 1,
        LaneOp::Rotate => 11,
        LaneOp::Gate => 18,
        _ => 4,
    }
}

/// A word on its way through the lanes.
#[derive(Clone, Copy, Debug)]
struct Flight {
    out: u64,
    unit: u16,
    place: (u64, Option<u64>),
    writes: bool,
    /// Its squares come 2 cycles later.
    squared: bool,
}

/// A command that is worked on.
struct Running {
    work: Work,
    steps: VecDeque<Step>,
    /// Since the cycle.
    began: u64,
    failed: bool,
    write_failed: bool,
    started: bool,
}

/// When a command was taken and when its last word was issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Its handshake.
    pub taken: u64,
    /// The first word that it took.
    pub first_word: u64,
    /// The last word that it issued.
    pub last_issue: u64,
}

pub(super) struct Driver<'a> {
    case: &'a Case,
    dut: &'a mut dyn Dut<VectorSequencer>,
    seed: u64,
    memory_seed: u64,
    now: u64,
    pub(super) waiting: VecDeque<Work>,
    offered: bool,
    running: Option<Running>,
    angles: Angles,
    /// Words that are asked for: what they are, and from when on they are there.
    coming: VecDeque<(ReadWord, LinkWord, u64)>,
    shown: bool,
    flights: VecDeque<Flight>,
    op: LaneOp,
    /// Words whose squares were summed since the sums were cleared, cycles in which they are.
    summed: u32,
    sums_until: u64,
    scales: [Float36; VECTOR_UNITS],
    next_scales: Option<[Float36; VECTOR_UNITS]>,
    argmax_until: u64,
    result: LinkWord,
    /// The writer's table, its writes without an answer.
    table: [Option<(u64, u64)>; VECTOR_UNITS],
    unanswered: u32,
    writer_failed: bool,
    ready: bool,
    /// Cycles for which it has not been ready.
    not_ready: u32,
    last_word: u64,
    activity: (bool, u16),
    pub(super) timings: Vec<Timing>,
}

impl<'a> Driver<'a> {
    pub(super) fn new(case: &'a Case, dut: &'a mut dyn Dut<VectorSequencer>) -> Self {
        Self {
            case,
            dut,
            seed: case.seed,
            memory_seed: case.seed ^ 0x5EED,
            now: 0,
            waiting: case.commands.iter().map(|&command| Work::new(command)).collect(),
            offered: false,
            running: None,
            angles: Angles::default(),
            coming: VecDeque::new(),
            shown: false,
            flights: VecDeque::new(),
            op: LaneOp::Copy,
            summed: 0,
            sums_until: 0,
            scales: [Float36::ZERO; VECTOR_UNITS],
            next_scales: None,
            argmax_until: 0,
            result: LinkWord::default(),
            table: [None; VECTOR_UNITS],
            unanswered: 0,
            writer_failed: false,
            ready: false,
            not_ready: 0,
            last_word: 0,
            activity: (false, 0),
            timings: Vec::new(),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        split_mix(&mut self.seed) % n
    }

    fn moves(&mut self, what: usize) -> bool {
        self.below(256) >= u64::from(self.case.stalls[what])
    }

    /// The word at an address, row numbers of the running command included.
    fn read(&self, address: u64) -> LinkWord {
        match &self.running {
            Some(Running { work, .. }) if work.opcode == OPCODE_EMBED && work.source == address => {
                let mut word = memory_word(self.memory_seed, address);
                for (r, number) in work.numbers.iter().enumerate() {
                    let shift = 32 * (r % 2);
                    word.0[r / 2].0 = word.0[r / 2].0 & !(0xFFFF_FFFF << shift) | number << shift;
                }
                word
            }
            _ => memory_word(self.memory_seed, address),
        }
    }

    fn inputs(&mut self, ready_done: bool) -> Inputs {
        let random = split_mix(&mut self.seed);
        if self.now >= self.sums_until
            && let Some(scales) = self.next_scales.take()
        {
            self.scales = scales;
        }
        self.offered = self.offered || (!self.waiting.is_empty() && self.moves(2));
        let mut inputs = Inputs {
            work_valid_i: self.offered,
            work_index_i: Uint(low_u16(random)),
            request_ready_i: self.moves(0),
            lanes_busy_i: self.flights.iter().any(|f| f.out + if f.squared { 2 } else { 0 } > self.now),
            argmax_busy_i: self.argmax_until > self.now,
            argmax_result_i: floats(&self.result),
            sums_busy_i: self.sums_until > self.now,
            scales_i: self.scales,
            writer_ready_i: self.ready,
            writer_idle_i: self.unanswered == 0,
            writer_failed_i: self.writer_failed,
            done_ready_i: ready_done,
            data_i: memory_word(random, 1),
            ..Inputs::default()
        };
        if self.offered {
            inputs.work_i = self.waiting[0].words;
            inputs.work_index_i = Uint(self.waiting[0].index);
        }
        if self.coming.len() > ROOM - 16 {
            inputs.request_ready_i = false;
        }
        let there = self.coming.front().is_some_and(|(_, _, at)| *at <= self.now);
        self.shown = self.shown || (there && self.moves(0));
        if self.shown {
            let (word, data, _) = self.coming[0];
            (inputs.word_i, inputs.data_i) = (word, data);
        }
        inputs
    }

    /// What was asked for comes later.
    fn ask(&mut self, request: ReadRequest) -> Result<(), DutError> {
        let words = u64::from(request.words.0);
        if !(1..=16).contains(&words) || !request.address.0.is_multiple_of(64) {
            return Err(wrong(format!("a request that may not be: {request:?}")));
        }
        let refused = if self.below(256) < u64::from(self.case.errors) { self.below(words) } else { words };
        let at = self.now + 1 + u64::from(self.case.latency);
        for n in 0..words {
            let word = ReadWord { valid: true, first: n == 0, last: n + 1 == words, error: n >= refused };
            let address = (request.address.0 + 64 * n) % (1 << 40);
            let data = self.read(address);
            self.coming.push_back((word, data, at));
        }
        Ok(())
    }

    fn next_step(&mut self, what: &str) -> Result<Step, DutError> {
        let step = self.running.as_mut().and_then(|running| running.steps.pop_front());
        step.ok_or_else(|| wrong(format!("{what} beyond all that the command does")))
    }

    fn check_issue(&mut self, outputs: &Outputs, word: VectorWord, argmax: bool) -> Result<(), DutError> {
        let Step::Issue(order) = self.next_step("a word")? else {
            return Err(wrong(format!("{word:?} ahead of what goes before it")));
        };
        let got = (outputs.op_o, outputs.write_o, argmax, word.unit.0, word.group.0);
        let want = (order.op, order.writes, order.argmax, order.unit, order.group);
        let same_tag = argmax && got.2 == want.2 && got.3 == want.3 && got.4 == want.4 || got == want;
        let hold = order.hold.is_none_or(|hold| hold == word.hold.0);
        let operands = floats(&order.a) == outputs.a_o && order.b.is_none_or(|b| floats(&b) == outputs.b_o);
        let angles = order
            .angles
            .is_none_or(|(cos, sin)| (floats(&cos), floats(&sin)) == (outputs.cos_o, outputs.sin_o));
        let scale = match order.scale {
            Scale::Any => true,
            Scale::One => outputs.scale_o == Float36::ONE,
            Scale::Unit => outputs.scale_o == self.scales[usize::from(order.unit)],
        };
        let hi = argmax || word.hi == order.hi;
        let facts = [
            same_tag,
            hold,
            hi,
            operands,
            angles,
            scale,
            self.sums_until <= self.now || order.scale != Scale::Unit,
        ];
        if facts.contains(&false) {
            return Err(wrong(format!("{word:?} is issued as {got:?}, expected {order:?}: {facts:?}")));
        }
        if order.writes && self.not_ready > 2 && !word.hi {
            return Err(wrong(format!("{word:?} is issued though the writer is not ready")));
        }
        if let Some(running) = self.running.as_mut()
            && !running.started
        {
            return Err(wrong(format!("{word:?} ahead of the start")));
        }
        if argmax {
            self.argmax_until = self.now + 4;
        } else {
            let squared = matches!(order.op, LaneOp::Copy | LaneOp::Add);
            let flight = Flight {
                out: self.now + latency(order.op),
                unit: order.unit,
                place: order.place,
                writes: order.writes,
                squared,
            };
            self.flights.push_back(flight);
        }
        self.timings.last_mut().expect("a command runs").last_issue = self.now;
        Ok(())
    }

    /// What leaves the lanes in this cycle.
    fn leave(&mut self) -> Result<(), DutError> {
        for flight in self.flights.clone() {
            if flight.out == self.now && flight.writes {
                let (elements, scales) = flight.place;
                let found = self.table[usize::from(flight.unit)];
                let right = found
                    .is_some_and(|(base, at)| base == elements && scales.is_none_or(|scales| scales == at));
                if !right {
                    return Err(wrong(format!("{flight:x?} goes to {found:x?}")));
                }
                self.unanswered += 1;
            }
            if flight.squared && flight.out + 2 == self.now {
                self.summed += 1;
                self.sums_until = self.sums_until.max(self.now + 6);
            }
        }
        self.flights.retain(|f| f.out + if f.squared { 2 } else { 0 } > self.now);
        Ok(())
    }

    fn check_reduce(&mut self, outputs: &Outputs) -> Result<(), DutError> {
        let Step::Reduce { units, words } = self.next_step("a reduction")? else {
            return Err(wrong("a reduction ahead of words".to_owned()));
        };
        let (mean, eps) = self.running.as_ref().map_or((0, 0), |r| (r.work.mean, r.work.eps));
        let got = (outputs.units_o.0, self.summed, outputs.mean_o.0, outputs.eps_o.0);
        let want = (units, words, u64::from(mean), u64::from(eps));
        if got != want || !self.flights.is_empty() || self.sums_until > self.now {
            return Err(wrong(format!("a reduction of {got:?}, expected {want:?}")));
        }
        let lasts = if self.case.stalls == [0; 3] { REDUCTION } else { 20 + self.below(60) };
        self.sums_until = self.now + lasts;
        let scales: [_; VECTOR_UNITS] =
            std::array::from_fn(|_| Float36::widen(u32::try_from(self.below(1 << 32)).expect("32 bits")));
        self.next_scales = Some(scales);
        // They are not to be looked at before.
        self.scales = [Float36::MAX; VECTOR_UNITS];
        Ok(())
    }

    fn check_direct(&mut self, outputs: &Outputs) -> Result<(), DutError> {
        let Step::Direct { rows, line } = self.next_step("a word as it is")? else {
            return Err(wrong("the result of argmax ahead of its words".to_owned()));
        };
        let mut want = floats(&self.result);
        for row in rows..VECTOR_UNITS {
            (want[row], want[VECTOR_UNITS + row]) = (Wide(0), Wide(0));
        }
        let busy = self.argmax_until > self.now || self.not_ready > 2;
        if outputs.direct_line_o.0 != line || outputs.direct_data_o != want || busy {
            return Err(wrong(format!(
                "argmax writes {:x?} to {:x}",
                outputs.direct_data_o, outputs.direct_line_o.0
            )));
        }
        self.unanswered += 1;
        Ok(())
    }

    fn check_start(&mut self, outputs: &Outputs) -> Result<(), DutError> {
        let Some(running) = self.running.as_mut() else {
            return Err(wrong("a start without a command".to_owned()));
        };
        let work = &running.work;
        let form = match work.opcode {
            OPCODE_NORM | OPCODE_GATE | OPCODE_QUANTISE => Form::Int8,
            OPCODE_HEADS if work.mode.target.0 == 0 || work.int8 => Form::Int8,
            OPCODE_HEADS => Form::Fp4,
            _ => Form::Results,
        };
        let counted = work.opcode != OPCODE_ARGMAX || outputs.argmax_count_o.0 == work.count;
        if outputs.form_o != form || u64::from(outputs.stride_o.0) != work.rows || !counted || running.started
        {
            return Err(wrong(format!(
                "{work:x?} starts with {:?}, stride {:?}",
                outputs.form_o, outputs.stride_o
            )));
        }
        running.started = true;
        self.writer_failed = false;
        self.table = [None; VECTOR_UNITS];
        Ok(())
    }

    fn check_done(&mut self, done: Done, coverage: &mut Coverage) -> Result<(), DutError> {
        let Some(running) = self.running.take() else {
            return Err(wrong("an end without a command".to_owned()));
        };
        let work = running.work;
        let rows = usize::from(low_u16(work.rows));
        let beyond = work.opcode == OPCODE_EMBED && work.numbers[..rows].iter().any(|&n| n >= work.count);
        let status = match () {
            () if running.failed => STATUS_READ_ERROR,
            () if beyond => STATUS_INDEX,
            () if running.write_failed => STATUS_WRITE_ERROR,
            () => STATUS_DONE,
        };
        let want = Done {
            valid: true,
            status: Uint(status),
            notify: work.notify,
            tokens: Uint(work.tokens),
            index: Uint(work.index),
        };
        let left = (running.steps.len(), self.coming.len(), self.unanswered, self.flights.len());
        if done != want || left != (0, 0, 0, 0) {
            return Err(wrong(format!("ended as {done:?}, expected {want:?}; left {left:?} of {work:x?}")));
        }

        coverage.hit(CORNERS[usize::from(work.opcode - OPCODE_EMBED)]);
        coverage.hit_if(rows == 1, CORNERS[8]);
        coverage.hit_if(rows == 8, CORNERS[9]);
        let chunked = matches!(work.opcode, OPCODE_ADD | OPCODE_NORM | OPCODE_GATE);
        let side = work.length / 16 * if work.opcode == OPCODE_NORM { 1 } else { work.rows };
        coverage.hit_if(chunked && side % 16 == 2, CORNERS[10]);
        coverage.hit_if(chunked && side < 16, CORNERS[11]);
        coverage.hit_if(chunked && side > 32, CORNERS[12]);
        coverage.hit_if(beyond && status == STATUS_INDEX, CORNERS[13]);
        if work.opcode == OPCODE_HEADS {
            coverage.hit(CORNERS[if work.wide { 14 } else { 15 }]);
            coverage.hit_if(work.mode.plain, CORNERS[16]);
            coverage.hit_if(work.mode.rotated, CORNERS[17]);
            coverage.hit(CORNERS[if work.int8 { 21 } else { 18 + usize::from(work.mode.target.0) }]);
            let most = 8 / work.rows;
            coverage.hit_if(work.count > most, CORNERS[22]);
            coverage.hit_if(work.count % most != 0, CORNERS[23]);
            coverage.hit_if(most * work.rows == 8 && work.count >= most, CORNERS[24]);
        }
        coverage.hit_if(work.opcode == OPCODE_QUANTISE && work.rows > work.tokens_of_heads, CORNERS[25]);
        coverage.hit_if(work.opcode == OPCODE_ARGMAX && work.count % 16 != 0, CORNERS[26]);
        coverage.hit_if(status == STATUS_READ_ERROR, CORNERS[27]);
        coverage.hit_if(status == STATUS_WRITE_ERROR, CORNERS[28]);
        coverage.hit_if(running.failed && running.write_failed, CORNERS[29]);
        Ok(())
    }

    fn check_activity(&mut self, activity: Activity) -> Result<(), DutError> {
        let (busy, index) = self.activity;
        let sound = activity.busy == busy
            && (!busy || activity.index.0 == index)
            && (busy || !activity.starved && !activity.blocked);
        self.activity = self.running.as_ref().map_or((false, 0), |running| (true, running.work.index));
        if sound { Ok(()) } else { Err(wrong(format!("{activity:?}, but busy is {busy}"))) }
    }

    /// What the sequencer drives in this cycle.
    fn look(&mut self, outputs: &Outputs) -> Result<(), DutError> {
        self.check_activity(outputs.activity_o)?;
        self.leave()?;
        let issued = outputs.word_o.valid;
        if outputs.op_o != self.op && !self.flights.is_empty() {
            return Err(wrong(format!("{:?} while {:?} is in the lanes", outputs.op_o, self.op)));
        }
        self.op = outputs.op_o;
        if outputs.start_o {
            self.check_start(outputs)?;
        }
        if outputs.sums_clear_o {
            self.summed = 0;
        }
        if outputs.argmax_clear_o && self.argmax_until > self.now {
            return Err(wrong("argmax is cleared with words in it".to_owned()));
        }
        if outputs.place_o.valid {
            let place = (32 * outputs.place_o.base.0, outputs.place_scales_o.0);
            self.table[usize::from(outputs.place_o.unit.0)] = Some(place);
        }
        if issued {
            self.check_issue(outputs, outputs.word_o, false)?;
        }
        if outputs.argmax_word_o.valid {
            self.check_issue(outputs, outputs.argmax_word_o, true)?;
        }
        if outputs.reduce_o {
            self.check_reduce(outputs)?;
        }
        if outputs.direct_valid_o {
            self.check_direct(outputs)?;
        }
        Ok(())
    }

    fn cycle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let outputs = self.dut.outputs();
        self.look(&outputs)?;
        let ready_done = self.moves(2);
        let mut inputs = self.inputs(ready_done);
        coverage.hit_if(!self.ready, CORNERS[30]);
        coverage.hit_if(!outputs.word_ready_o && inputs.word_i.valid && !self.ready, CORNERS[31]);
        coverage.hit_if(outputs.done_o.valid && !ready_done, CORNERS[32]);
        coverage.hit_if(self.offered && !outputs.work_ready_o, CORNERS[33]);

        if outputs.done_o.valid && ready_done {
            self.check_done(outputs.done_o, coverage)?;
        }
        if inputs.word_i.valid && outputs.word_ready_o {
            let (word, ..) = self.coming.pop_front().expect("it was shown");
            self.shown = false;
            self.last_word = self.now;
            if let Some(running) = &mut self.running {
                running.failed |= word.error;
            }
            let timing = self.timings.last_mut().expect("a command runs");
            if timing.first_word == 0 {
                timing.first_word = self.now;
            }
        }
        if outputs.request_o.valid && inputs.request_ready_i {
            self.ask(outputs.request_o)?;
        }
        if self.offered && outputs.work_ready_o {
            self.offered = false;
            let work = self.waiting.pop_front().expect("it was offered");
            self.timings.push(Timing { taken: self.now, ..Timing::default() });
            self.result = memory_word(self.memory_seed, self.now);
            let mut angles = self.angles;
            let seed = self.memory_seed;
            let steps = steps(&work, &|address| memory_word(seed, address), &mut angles);
            self.angles = angles;
            let (began, failed, write_failed) = (self.now, false, false);
            self.running = Some(Running { work, steps, began, failed, write_failed, started: false });
        }
        // Of the writer: what it says in the next cycle.
        let answers = self.unanswered != 0 && self.moves(1);
        if answers {
            self.unanswered -= 1;
            if self.below(4096) < u64::from(self.case.errors)
                && let Some(running) = &mut self.running
            {
                running.write_failed = true;
                self.writer_failed = true;
            }
        }
        self.not_ready = if self.ready { 0 } else { self.not_ready + 1 };
        self.ready = self.moves(1);
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        let idle = self.running.as_ref().map_or(0, |running| self.now - running.began.max(self.last_word));
        if idle > PATIENCE {
            return Err(wrong(format!(
                "nothing happens any more in {:?}",
                self.running.as_ref().map(|r| &r.work)
            )));
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = Inputs::default();
        for _ in 0..2 {
            self.dut.clock(false, &mut inputs)?;
            self.now += 1;
        }
        self.running = None;
        self.offered = false;
        self.coming.clear();
        self.shown = false;
        self.flights.clear();
        (self.op, self.summed, self.sums_until, self.argmax_until) = (LaneOp::Copy, 0, 0, 0);
        self.next_scales = None;
        self.unanswered = 0;
        self.angles = Angles::default();
        self.activity = (false, 0);
        Ok(())
    }

    pub(super) fn run(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.reset()?;
        while !self.waiting.is_empty() || self.running.is_some() {
            if self.case.reset_after.is_some_and(|after| self.now == u64::from(after) + 2) {
                coverage.hit_if(self.running.is_some(), CORNERS[34]);
                self.reset()?;
            }
            self.cycle(coverage)?;
        }
        for _ in 0..4 {
            self.cycle(coverage)?;
        }
        coverage.add_cycles(self.now);
        Ok(())
    }
}
