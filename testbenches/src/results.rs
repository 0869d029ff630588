// SPDX-License-Identifier: Apache-2.0
//! Test bench of the result buffer: random jobs, results as the array and the normaliser give them, and a memory that
//! takes its time. Requests, words and what is said of each job must be what the definition makes of the results.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::ResultOut;
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::compute::result_buffer::{Inputs, JOBS, Outputs, ResultBuffer};
use tandem_model::control::types::{
    Done, GROUP_FLOATS, JobFault, RESULT_GROUPS, ResultJob, STATUS_DONE, STATUS_READ_ERROR,
    STATUS_WRITE_ERROR,
};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{AXI_BYTES, LINE_BITS, WriteDone, WriteRequest};
use tandem_model::numerics::Float36;
use tandem_model::reference::divide::to_binary32;
use tandem_model::reference::float::Exact;

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `result_buffer`.
#[derive(Clone, Copy, Debug)]
pub struct ResultsBench {
    /// Of the device.
    pub geometry: Geometry,
}

/// Results to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    /// Of attention, else of GEMV.
    pub attention: bool,
    /// Rows in use, at least one; more than there are means all.
    pub rows: u16,
    /// Results of a row, at least one.
    pub features: u16,
    /// Something could not be read, known when this result comes.
    pub fault: Option<u16>,
}

/// What is asked for, or happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A job joins those that wait to be taken.
    Job(Job),
    /// So many cycles.
    Run(u16),
    /// Until all is written.
    Settle,
    /// The memory grants nothing and takes nothing for so many cycles.
    Hold(u16),
    /// Resets after so many cycles.
    Reset(u16),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Of 256 cycles, in how many there is no job, no result, no grant, no word is taken, and no end of a job.
    pub stalls: [u8; 5],
    /// Cycles from a request's last word to its answer.
    pub latency: u16,
    /// Of 256 requests, how many are refused.
    pub errors: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Results, stalls.
    pub seed: u64,
}

const CORNERS: [&str; 24] = [
    "last group not full",
    "group of one result",
    "several tiles",
    "one row",
    "all rows",
    "attention behind GEMV as soon as it may",
    "GEMV behind attention",
    "GEMV behind GEMV without a gap",
    "request waits",
    "word waits",
    "word behind word",
    "no room for a tile",
    "all places of jobs taken",
    "refused write",
    "good job behind a refused one",
    "job with a fault",
    "fault and refused write",
    "end of a job waits",
    "group complete while one before it is sent",
    "ring of groups wraps within a job",
    "result beyond binary32",
    "result below binary32",
    "address wraps",
    "reset with a job under way",
];

/// Features of a tile of GEMV.
const TILE: u16 = 64;
/// Features of a group.
const GROUP: u16 = 16;
/// Groups that there is room for.
const ROOM: u16 = 32;
const _: () = assert!(GROUP_FLOATS == 16 && RESULT_GROUPS == 32);

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// Words that must be written.
#[derive(Clone, Debug)]
struct Write {
    request: WriteRequest,
    words: Vec<LinkWord>,
}

/// A job that was taken and not given back.
#[derive(Clone, Copy, Debug)]
struct Taken {
    job: Job,
    slot: u16,
    rows: u16,
    line: u64,
    done: Done,
    /// Groups that are not answered.
    left: u16,
    refused: bool,
}

/// A device with array and memory, and the untimed view of them.
struct Driver<'a> {
    rows: usize,
    case: &'a Case,
    dut: &'a mut dyn Dut<ResultBuffer>,
    seed: u64,
    now: u64,
    waiting: VecDeque<Job>,
    /// The first of them is on the port: with which line and end.
    offered: Option<(u64, Done)>,
    /// From the oldest on.
    taken: VecDeque<Taken>,
    /// Taken jobs whose results have all begun.
    fed: usize,
    /// Results of the next job that came; for how many there is room.
    feature: u16,
    room_for: u16,
    /// No result of attention before.
    quiet_until: u64,
    /// By row: results of GEMV on their way, and when they come.
    results: Vec<VecDeque<(u64, ResultOut)>>,
    /// Results that count, by row, of the group that is being filled.
    group: Vec<Vec<u32>>,
    /// Groups that must be written, some of which are not complete.
    writes: VecDeque<Write>,
    /// Groups reserved and groups handed over, ever.
    reserved: u64,
    handed: u64,
    request_held: Option<WriteRequest>,
    word_held: Option<LinkWord>,
    /// Words granted and not taken; the last of their group.
    granted: VecDeque<(LinkWord, bool)>,
    /// When a group is answered, and whether it is refused.
    answers: VecDeque<(u64, bool)>,
    done_held: Option<Done>,
    hold: u16,
    indices: u16,
    last_attention: Option<bool>,
    refused_before: bool,
    word_behind: bool,
    /// When the last result came, and the last word was first offered.
    last_result: u64,
    last_word: u64,
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(rows: usize, case: &'a Case, dut: &'a mut dyn Dut<ResultBuffer>) -> Result<Self, DutError> {
        let mut driver = Self {
            rows,
            case,
            dut,
            seed: case.seed,
            now: 0,
            waiting: VecDeque::new(),
            offered: None,
            taken: VecDeque::new(),
            fed: 0,
            feature: 0,
            room_for: 0,
            quiet_until: 0,
            results: vec![VecDeque::new(); rows],
            group: vec![Vec::new(); rows],
            writes: VecDeque::new(),
            reserved: 0,
            handed: 0,
            request_held: None,
            word_held: None,
            granted: VecDeque::new(),
            answers: VecDeque::new(),
            done_held: None,
            hold: 0,
            indices: 0,
            last_attention: None,
            refused_before: false,
            word_behind: false,
            last_result: 0,
            last_word: 0,
            idle: 0,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        self.random() & 255 < u64::from(of_256)
    }

    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.noise();
        self.dut.clock(false, &mut inputs)?;
        self.now += 1;
        self.waiting.clear();
        self.offered = None;
        self.taken.clear();
        (self.fed, self.feature, self.room_for, self.quiet_until) = (0, 0, 0, 0);
        self.results.iter_mut().for_each(VecDeque::clear);
        self.group.iter_mut().for_each(Vec::clear);
        self.writes.clear();
        (self.reserved, self.handed) = (0, 0);
        (self.request_held, self.word_held, self.done_held) = (None, None, None);
        self.granted.clear();
        self.answers.clear();
        (self.last_attention, self.refused_before) = (None, false);
        Ok(())
    }

    /// Inputs that mean nothing where nothing is valid.
    fn noise(&mut self) -> Inputs {
        let mut random = || split_mix(&mut self.seed);
        Inputs {
            job_i: ResultJob { valid: false, ..ResultJob::from_bits(random()) },
            job_done_i: Done::from_bits(random()),
            fault_i: JobFault { valid: false, ..JobFault::from_bits(random()) },
            reserve_i: Uint(0),
            result_i: (0..self.rows)
                .map(|_| ResultOut { valid: false, ..ResultOut::from_bits(random()) })
                .collect(),
            attended_valid_i: false,
            values_i: (0..self.rows).map(|_| Wide::from_bits(random())).collect(),
            write_request_ready_i: false,
            write_ready_i: false,
            write_done_i: WriteDone { valid: false, error: random() & 1 == 1 },
            done_ready_i: false,
        }
    }

    /// A float: mostly within binary32's range, or at its ends.
    fn float(&mut self) -> Float36 {
        let bits = self.random();
        let sign = bits & 1 << 35;
        let exponent = match bits >> 40 & 7 {
            0 => bits >> 23 & 0xFFF,
            1 => 2048 + 126 + (bits >> 23 & 3),
            2 => 2048 - 128 + (bits >> 23 & 3),
            3 => 0,
            _ => 2048 - 100 + (bits >> 23 & 127),
        };
        let fraction = if bits >> 45 & 7 == 0 { 0x7F_FFFF } else { bits & 0x7F_FFFF };
        Float36::canonical(sign | exponent << 23 | fraction)
    }

    /// One result of every row has come: what it makes of the words.
    fn count(&mut self, values: &[u32], coverage: &mut Coverage) {
        let Taken { job, rows, line, .. } = self.taken[self.fed];
        for (group, &value) in self.group.iter_mut().zip(values) {
            group.push(value);
        }
        self.feature += 1;
        let last = self.feature == job.features;
        if self.group[0].len() == GROUP_FLOATS || last {
            coverage.hit_if(self.group[0].len() == 1, CORNERS[1]);
            let number = u64::from((self.feature - 1) / GROUP);
            let first = line + number * u64::from(rows);
            coverage.hit_if(first >> LINE_BITS != 0, CORNERS[22]);
            let address = Wide::from_bits((first * AXI_BYTES as u64) & ((1 << 40) - 1));
            let request = WriteRequest { valid: true, address, words: Uint(rows) };
            let word = |values: &Vec<u32>| {
                let at = |n: usize| u64::from(values.get(n).copied().unwrap_or(0));
                LinkWord(std::array::from_fn(|w| Wide(at(2 * w) | at(2 * w + 1) << 32)))
            };
            let words = self.group.iter().take(rows.into()).map(word).collect();
            self.writes.push_back(Write { request, words });
            self.group.iter_mut().for_each(Vec::clear);
        }
        if last {
            self.feature = 0;
            self.room_for = 0;
            self.fed += 1;
            self.last_attention = Some(job.attention);
        }
    }

    /// Results of the job whose turn it is, once there is room.
    fn feed(&mut self, free: u16, i: &mut Inputs, coverage: &mut Coverage) {
        let Some(&Taken { job, slot, .. }) = self.taken.get(self.fed) else { return };
        if self.feature == self.room_for {
            let tile = if job.attention { job.features } else { TILE };
            let groups = tile.div_ceil(GROUP).max(4);
            if free < groups {
                coverage.hit(CORNERS[11]);
                return;
            }
            let features = tile.min(job.features - self.feature);
            let groups = features.div_ceil(GROUP);
            i.reserve_i = Uint(groups);
            let place = self.reserved % u64::from(ROOM);
            coverage.hit_if(self.feature > 0 && place + u64::from(groups) > u64::from(ROOM), CORNERS[19]);
            self.reserved += u64::from(groups);
            self.room_for += features;
        }
        if self.chance(self.case.stalls[1]) || (job.attention && self.now < self.quiet_until) {
            return;
        }
        if job.fault.is_some_and(|at| at.min(job.features - 1) == self.feature) {
            i.fault_i = JobFault { valid: true, job: Uint(slot) };
        }
        self.last_result = self.now;
        if job.attention {
            coverage.hit_if(
                self.feature == 0 && self.now == self.quiet_until && self.last_attention == Some(false),
                CORNERS[5],
            );
            i.attended_valid_i = true;
            let values: Vec<_> = (0..self.rows).map(|_| self.random() >> 32).collect();
            i.values_i = values.iter().map(|&v| Wide(v)).collect();
            let values: Vec<_> = values.iter().map(|&v| u32::try_from(v).expect("32 bits")).collect();
            self.count(&values, coverage);
        } else {
            let first = self.feature == 0;
            coverage.hit_if(first && self.last_attention == Some(true), CORNERS[6]);
            let behind = self.quiet_until == self.now + self.rows as u64 + 1;
            coverage.hit_if(first && self.last_attention == Some(false) && behind, CORNERS[7]);
            self.quiet_until = self.now + self.rows as u64 + 2;
            let slot = Uint(self.feature % TILE);
            let mut values = Vec::new();
            for r in 0..self.rows {
                let value = self.float();
                let (bits, beyond) = to_binary32(&Exact::of(value));
                coverage.hit_if(beyond, CORNERS[20]);
                coverage.hit_if(bits == 0 && !value.is_zero(), CORNERS[21]);
                self.results[r].push_back((self.now + r as u64, ResultOut { valid: true, slot, value }));
                values.push(bits);
            }
            self.count(&values, coverage);
        }
    }

    /// Requests, words and what is said of a job: as expected, and kept while they wait.
    fn check(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        let request = o.write_request_o.valid.then_some(o.write_request_o);
        if self.request_held.is_some() && request != self.request_held {
            return Err(wrong(format!("request {:?} waits and is {request:?}", self.request_held)));
        }
        if let Some(request) = request {
            if self.writes.front().map(|write| write.request) != Some(request) {
                return Err(wrong(format!("{request:?}, expected {:?}", self.writes.front())));
            }
            if self.granted.len() > 1 {
                return Err(wrong(format!("{request:?} before the words of the one before")));
            }
        }
        let word = o.write_valid_o.then_some(o.write_data_o);
        if self.word_held.is_some() && word != self.word_held {
            return Err(wrong(format!("word {:x?} waits and is {word:x?}", self.word_held)));
        }
        if o.write_strobe_o.0 != u64::MAX {
            return Err(wrong(format!("strobe {:x?}", o.write_strobe_o)));
        }
        if let Some(word) = word {
            let want = self.granted.front().copied();
            let Some((_, last)) = want.filter(|&(want, _)| want == word) else {
                return Err(wrong(format!("word {word:x?}, expected {want:x?}")));
            };
            if self.word_held.is_none() {
                self.last_word = self.now;
                self.handed += u64::from(last);
            }
        }
        let free = u64::from(ROOM) - (self.reserved - self.handed);
        if u64::from(o.free_o.0) != free {
            return Err(wrong(format!("{} groups are free, expected {free}", o.free_o.0)));
        }
        coverage.hit_if(self.granted.len() > 1 && self.writes.len() > 1, CORNERS[18]);
        self.check_done(o, coverage)
    }

    fn check_done(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        let done = o.done_o.valid.then_some(o.done_o);
        if self.done_held.is_some() && done != self.done_held {
            return Err(wrong(format!("{:?} waits and is {done:?}", self.done_held)));
        }
        if self.done_held.is_none() && done.is_some() {
            let Some(Taken { left: 0, refused, job, done: mut want, .. }) = self.taken.pop_front() else {
                return Err(wrong(format!("{done:?} before its time: {:?}", self.taken.front())));
            };
            self.fed -= 1;
            want.valid = true;
            want.status = Uint(match (job.fault, refused) {
                (Some(_), _) => STATUS_READ_ERROR,
                (None, true) => STATUS_WRITE_ERROR,
                (None, false) => STATUS_DONE,
            });
            if done != Some(want) {
                return Err(wrong(format!("{done:?}, expected {want:?}")));
            }
            coverage.hit_if(refused, CORNERS[13]);
            coverage.hit_if(self.refused_before && !refused, CORNERS[14]);
            coverage.hit_if(job.fault.is_some(), CORNERS[15]);
            coverage.hit_if(job.fault.is_some() && refused, CORNERS[16]);
            self.refused_before = refused;
        }
        if o.job_ready_o != (self.taken.len() < JOBS) {
            return Err(wrong(format!("{} jobs, ready: {}", self.taken.len(), o.job_ready_o)));
        }
        coverage.hit_if(!o.job_ready_o, CORNERS[12]);
        Ok(())
    }

    /// The memory's side of the next clock.
    fn serve(&mut self, o: &Outputs, i: &mut Inputs, coverage: &mut Coverage) {
        let stalls = self.case.stalls;
        i.write_request_ready_i = self.hold == 0 && !self.chance(stalls[2]);
        i.write_ready_i = self.hold == 0 && !self.chance(stalls[3]);
        let request = o.write_request_o;
        self.request_held = (request.valid && !i.write_request_ready_i).then_some(request);
        coverage.hit_if(self.request_held.is_some(), CORNERS[8]);
        let taken = o.write_valid_o && i.write_ready_i;
        self.word_held = (o.write_valid_o && !taken).then_some(o.write_data_o);
        coverage.hit_if(self.word_held.is_some(), CORNERS[9]);
        coverage.hit_if(taken && self.word_behind, CORNERS[10]);
        self.word_behind = taken;
        if taken {
            let (_, last) = self.granted.pop_front().expect("it was checked");
            if last {
                let error = self.chance(self.case.errors);
                self.answers.push_back((self.now + u64::from(self.case.latency), error));
            }
        }
        if request.valid && i.write_request_ready_i {
            let words = self.writes.pop_front().expect("it was checked").words;
            let last = words.len() - 1;
            self.granted.extend(words.into_iter().enumerate().map(|(n, word)| (word, n == last)));
        }
        if let Some(&(_, error)) = self.answers.front().filter(|(due, _)| *due <= self.now) {
            self.answers.pop_front();
            i.write_done_i = WriteDone { valid: true, error };
            let job = self.taken.iter_mut().find(|job| job.left > 0).expect("a job of the words");
            job.left -= 1;
            job.refused |= error;
        }
        i.done_ready_i = !self.chance(stalls[4]);
        self.done_held = (o.done_o.valid && !i.done_ready_i).then_some(o.done_o);
        coverage.hit_if(self.done_held.is_some(), CORNERS[17]);
    }

    /// A job on the port.
    fn offer(&mut self, o: &Outputs, i: &mut Inputs, coverage: &mut Coverage) -> Option<Taken> {
        let &job = self.waiting.front()?;
        if self.offered.is_none() && !self.chance(self.case.stalls[0]) {
            let done = Done { index: Uint(self.indices), ..Done::from_bits(self.random()) };
            self.indices = self.indices.wrapping_add(1);
            let near_end = self.chance(16);
            let mask = (1 << LINE_BITS) - 1;
            let line = self.random() & mask;
            self.offered = Some((if near_end { mask - (line & 15) } else { line }, done));
        }
        let (line, done) = self.offered?;
        let rows = job.rows.min(low_u16(self.rows as u64));
        i.job_i = ResultJob {
            valid: true,
            rows: Uint(rows),
            features: Wide(job.features.into()),
            line: Wide(line),
        };
        i.job_done_i = done;
        if !o.job_ready_o {
            return None;
        }
        self.waiting.pop_front();
        self.offered = None;
        coverage.hit_if(job.features % GROUP != 0, CORNERS[0]);
        coverage.hit_if(job.features > TILE && !job.attention, CORNERS[2]);
        coverage.hit_if(rows == 1, CORNERS[3]);
        coverage.hit_if(usize::from(rows) == self.rows, CORNERS[4]);
        let left = job.features.div_ceil(GROUP);
        Some(Taken { job, slot: o.job_slot_o.0, rows, line, done, left, refused: false })
    }

    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let before = self.dut.outputs();
        let mut i = self.noise();
        self.feed(before.free_o.0, &mut i, coverage);
        for (result, row) in i.result_i.iter_mut().zip(&mut self.results) {
            if let Some(&(_, due)) = row.front().filter(|(when, _)| *when == self.now) {
                row.pop_front();
                *result = due;
            }
        }
        let (busy, index) =
            (!self.taken.is_empty(), self.taken.front().map(|job| job.done.index).unwrap_or_default());
        self.serve(&before, &mut i, coverage);
        let taken = self.offer(&before, &mut i, coverage);
        self.dut.clock(true, &mut i)?;
        self.now += 1;
        self.taken.extend(taken);
        let o = self.dut.outputs();
        self.check(&o, coverage)?;
        let waits = self.request_held.is_some() || self.word_held.is_some() || self.done_held.is_some();
        let activity = o.activity_o;
        let sound = activity.busy == busy
            && activity.blocked == (busy && waits)
            && !(activity.starved && (waits || !busy))
            && (!busy || activity.index == index);
        if !sound {
            return Err(wrong(format!("{activity:?}: busy {busy}, waits {waits}, index {index:?}")));
        }
        self.hold = self.hold.saturating_sub(1);
        self.idle = if o.write_valid_o || o.done_o.valid || waits { 0 } else { self.idle + 1 };
        Ok(())
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.idle = 0;
        while !self.waiting.is_empty() || self.dut.outputs().done_o.valid || !self.taken.is_empty() {
            if self.idle > 4000 + u64::from(self.case.latency) {
                return Err(wrong(format!("{} groups never came", self.writes.len())));
            }
            self.clock(coverage)?;
        }
        Ok(())
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Job(job) => self.waiting.push_back(job),
            Op::Run(cycles) => (0..cycles).try_for_each(|_| self.clock(coverage))?,
            Op::Settle => self.settle(coverage)?,
            Op::Hold(cycles) => self.hold = cycles,
            Op::Reset(after) => {
                (0..after).try_for_each(|_| self.clock(coverage))?;
                coverage.hit_if(self.fed > 0 || self.feature > 0, CORNERS[23]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

/// Cycles from a job's last result (of GEMV: row 0's) to its last word, when nothing waits.
///
/// # Errors
/// What the device found wrong, or [`WrongAnswer`].
pub fn latency(geometry: Geometry, dut: &mut dyn Dut<ResultBuffer>, job: Job) -> Result<u64, DutError> {
    let case = Case { stalls: [0; 5], latency: 1, errors: 0, ops: vec![], seed: 1 };
    let mut driver = Driver::new(geometry.rows, &case, dut)?;
    let mut coverage = Coverage::default();
    driver.run(Op::Job(job), &mut coverage)?;
    driver.settle(&mut coverage)?;
    Ok(driver.last_word - driver.last_result)
}

fn jobs() -> impl Strategy<Value = Job> {
    let gemv = prop_oneof![3 => 1..200u16, 2 => 1..20u16, 1 => Just(64), 1 => Just(600)];
    let attention = prop_oneof![Just(64u16), Just(128)];
    let results = prop_oneof![
        3 => gemv.prop_map(|features| (false, features)),
        2 => attention.prop_map(|features| (true, features)),
    ];
    let fault = prop_oneof![4 => Just(None), 1 => (0..200u16).prop_map(Some)];
    (results, prop_oneof![2 => 1..9u16, 1 => Just(1), 1 => Just(8)], fault)
        .prop_map(|((attention, features), rows, fault)| Job { attention, rows, features, fault })
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => jobs().prop_map(Op::Job),
        2 => (0..400u16).prop_map(Op::Run),
        1 => Just(Op::Settle),
        2 => (0..900u16).prop_map(Op::Hold),
        1 => (0..300u16).prop_map(Op::Reset),
    ]
}

impl Bench for ResultsBench {
    type Block = ResultBuffer;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let stall = || prop_oneof![2 => Just(0u8), 2 => 0..200u8, 1 => Just(240)];
        let stalls = [stall(), stall(), stall(), stall(), stall()];
        let latency = prop_oneof![1..20u16, 20..300u16];
        let errors = prop_oneof![2 => Just(0), 1 => 1..20u8, 1 => Just(128)];
        let case = (stalls, latency, errors, vec(ops(), 1..10), any::<u64>());
        case.prop_map(|(stalls, latency, errors, ops, seed)| Case { stalls, latency, errors, ops, seed })
            .boxed()
    }

    fn model(&self) -> ResultBuffer {
        ResultBuffer::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<ResultBuffer>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(self.geometry.rows, case, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        coverage.add_cycles(driver.now);
        Ok(())
    }
}
