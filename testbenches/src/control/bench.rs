// SPDX-License-Identifier: Apache-2.0
//! Test bench of the command unit: a host that writes commands and rings doorbells, units that take any time and end in any
//! order, a memory that answers when it likes. Whatever happens when, every command must be taken once and in order, get
//! to its unit once and only when its tokens are free, and have one completion that says what became of it.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::control::command_unit::{CommandUnit, Inputs, Outputs, SOURCES, TARGETS};
use tandem_model::control::completer::FLIGHTS;
use tandem_model::control::types::{
    Done, Doorbell, OPCODE_APPEND, OPCODE_EMBED, OPCODE_FILL, OPCODE_LOAD, OPCODE_NOP, STATUS_ALIGNMENT,
    STATUS_BANK, STATUS_BOUNDS, STATUS_COMPLETION_ERROR, STATUS_DONE, STATUS_FETCH_ERROR, STATUS_FIELD,
    STATUS_OPCODE, STATUS_OPERAND, STATUS_READ_ERROR,
};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{ReadRequest, ReadWord, WriteDone};

use super::command::{Bounds, Command, Maker, WORD};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `command_unit`.
#[derive(Clone, Copy, Debug)]
pub struct ControlBench {
    /// Which array it checks commands for.
    pub geometry: Geometry,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// The host has so many more commands.
    Submit(u32),
    /// So many clocks.
    Run(u16),
    /// Until all is done.
    Settle,
    /// The core may not take commands for so many clocks.
    Disable(u8),
    /// The host takes its doorbell back for so many clocks.
    Retract(u8),
    /// The units take nothing for so many clocks.
    Hold(u16),
    /// What is done is not said for so many clocks.
    Hush(u16),
    /// Reset after so many clocks.
    Reset(u8),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// log2 of the ring.
    pub size_log2: u16,
    /// Of 256 commands, how many are spoilt, how many do nothing, how many notify.
    pub mix: [u8; 3],
    /// Tokens in use.
    pub tokens: u8,
    /// Clocks that the memory takes, at most.
    pub latency: u8,
    /// Clocks that a unit takes, at most.
    pub work: u16,
    /// Of 256 clocks, in how many there is none of: request taken, word, write taken, its word taken, command taken, doorbell.
    pub stalls: [u8; 6],
    /// Of 256 words, how many are refused: commands, completions.
    pub errors: [u8; 2],
    /// Of 256 commands, how many fail in their unit.
    pub failures: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 46] = [
    "unknown opcode",
    "wrong field",
    "wrong address",
    "operands beyond their room",
    "words beyond the banks",
    "writes out of bounds",
    "command that cannot be read",
    "last chunk of operands",
    "one chunk too many",
    "last word of the banks",
    "one word beyond the banks",
    "writes up to the limit",
    "one word beyond the limit",
    "writes from the base on",
    "one word below the base",
    "several commands in a request",
    "request cut at the end of the ring",
    "ring of one command",
    "full ring",
    "doorbell while commands wait",
    "doorbell taken back",
    "not enabled with commands in the ring",
    "command waits for tokens to be given back",
    "command waits for a queue to let go of its tokens",
    "command waits for room in a queue",
    "empty command waits",
    "as many dispatched as may be",
    "units done in the same clock",
    "done out of order",
    "done waits",
    "as many completions on their way as may be",
    "completion refused",
    "completion without telling",
    "command fails in its unit",
    "commands in 4 clocks in a row",
    "reset with commands in flight",
    "good embed",
    "good add",
    "good norm",
    "good angles",
    "good heads",
    "good gate",
    "good quantise",
    "good argmax",
    "vector command writes up to the limit",
    "vector command writes one word beyond the limit",
];

/// Clocks in which something must happen.
const PATIENCE: u64 = 6000;

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// How far a command is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Written,
    Taken,
    Ended { status: u16, clock: u64 },
    Completed,
}

/// A command and what is known of it.
#[derive(Clone, Debug)]
struct Entry {
    command: Command,
    words: LinkWord,
    /// How it ends without a unit's help, if it does.
    status: u16,
    opcode: u64,
    notify: bool,
    taken: u64,
    state: State,
}

impl Entry {
    fn target(&self) -> Option<usize> {
        let opcode = low_u16(self.command.opcode);
        (self.status == STATUS_DONE && opcode != OPCODE_NOP).then_some(match opcode {
            OPCODE_LOAD => 0,
            OPCODE_APPEND => 2,
            OPCODE_EMBED.. => 3,
            _ => 1,
        })
    }
}

/// A device with host, memory and units.
struct Driver<'a> {
    case: &'a Case,
    geometry: Geometry,
    dut: &'a mut dyn Dut<CommandUnit>,
    seed: u64,
    bounds: Bounds,
    command_base: u64,
    completion_base: u64,
    /// Clocks since reset, and in all.
    now: u64,
    clocks: u64,
    /// Commands that the host wants to write.
    submitted: u64,
    rung: u64,
    retract: u8,
    disable: u8,
    hold: u16,
    hush: u16,
    entries: Vec<Entry>,
    asked: usize,
    taken: usize,
    given: usize,
    completed: usize,
    /// Requests that the memory has taken: places, and from when on it answers.
    requests: VecDeque<(usize, usize, u64)>,
    request_error: bool,
    /// Commands in the units' queues; at work; done and not said, by who says it.
    queues: [VecDeque<usize>; TARGETS],
    working: Vec<(usize, u64)>,
    saying: [VecDeque<usize>; SOURCES],
    statuses: Vec<(usize, u16)>,
    /// Dispatched and not taken as done.
    alive: Vec<usize>,
    offered: Option<usize>,
    write_addresses: VecDeque<u64>,
    write_words: VecDeque<LinkWord>,
    /// Completions on their way.
    writing: VecDeque<(usize, u64)>,
    errors: Vec<(u16, u16)>,
    in_a_row: u32,
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(case: &'a Case, geometry: Geometry, dut: &'a mut dyn Dut<CommandUnit>) -> Result<Self, DutError> {
        let mut seed = case.seed;
        let mut aligned = || (split_mix(&mut seed) >> 30) / WORD * WORD;
        let command_base = aligned().min((1 << 40) - 64 * WORD);
        let completion_base = aligned().min((1 << 40) - 64 * WORD);
        let base = aligned();
        let room = split_mix(&mut seed) % (1 << (10 + seed % 22)) / WORD * WORD;
        let mut driver = Self {
            case,
            geometry,
            dut,
            seed,
            bounds: base..(base + room).min((1 << 40) - WORD),
            command_base,
            completion_base,
            now: 0,
            clocks: 0,
            submitted: 0,
            rung: 0,
            retract: 0,
            disable: 0,
            hold: 0,
            hush: 0,
            entries: Vec::new(),
            asked: 0,
            taken: 0,
            given: 0,
            completed: 0,
            requests: VecDeque::new(),
            request_error: false,
            queues: std::array::from_fn(|_| VecDeque::new()),
            working: Vec::new(),
            saying: std::array::from_fn(|_| VecDeque::new()),
            statuses: Vec::new(),
            alive: Vec::new(),
            offered: None,
            write_addresses: VecDeque::new(),
            write_words: VecDeque::new(),
            writing: VecDeque::new(),
            errors: Vec::new(),
            in_a_row: 0,
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

    fn size(&self) -> usize {
        1 << self.case.size_log2
    }

    /// Everybody forgets.
    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.noise();
        self.dut.clock(false, &mut inputs)?;
        self.clocks += 1;
        (self.now, self.submitted, self.rung) = (0, 0, 0);
        (self.asked, self.taken, self.given, self.completed) = (0, 0, 0, 0);
        self.entries.clear();
        self.requests.clear();
        (self.request_error, self.offered) = (false, None);
        self.queues.iter_mut().for_each(VecDeque::clear);
        self.saying.iter_mut().for_each(VecDeque::clear);
        self.working.clear();
        self.statuses.clear();
        self.alive.clear();
        self.write_addresses.clear();
        self.write_words.clear();
        self.writing.clear();
        self.errors.clear();
        Ok(())
    }

    /// Inputs that mean nothing where nothing is valid.
    fn noise(&mut self) -> Inputs {
        let mut random = || split_mix(&mut self.seed);
        Inputs {
            enable_i: false,
            command_base_i: Wide(self.command_base),
            ring_size_log2_i: Uint(self.case.size_log2),
            completion_base_i: Wide(self.completion_base),
            doorbell_i: Doorbell::default(),
            bounds_base_i: Wide(self.bounds.start),
            bounds_limit_i: Wide(self.bounds.end),
            request_ready_i: false,
            word_i: ReadWord { valid: false, ..ReadWord::from_bits(random()) },
            data_i: LinkWord(std::array::from_fn(|_| Wide(random()))),
            write_request_ready_i: false,
            write_ready_i: false,
            write_done_i: WriteDone { valid: false, ..WriteDone::from_bits(random()) },
            work_ready_i: [false; TARGETS],
            holds_i: Uint(0),
            done_i: std::array::from_fn(|_| Done { valid: false, ..Done::from_bits(random()) }),
        }
    }

    /// The host writes what fits into the ring, and rings the doorbell.
    fn host(&mut self, inputs: &mut Inputs, coverage: &mut Coverage) {
        let maker = Maker {
            geometry: self.geometry,
            illegal: self.case.mix[0],
            nops: self.case.mix[1],
            tokens: self.case.tokens,
            notify: self.case.mix[2],
        };
        while (self.entries.len() as u64) < self.submitted && self.entries.len() - self.taken < self.size() {
            let command = maker.make(&self.bounds, &mut self.seed);
            let entry = Entry {
                command,
                words: command.words(),
                status: command.status(self.geometry, &self.bounds),
                opcode: command.opcode,
                notify: command.notify(),
                taken: 0,
                state: State::Written,
            };
            self.count(&entry, coverage);
            self.entries.push(entry);
        }
        let written = self.entries.len() as u64;
        let mut producer = self.rung;
        let rung = self.rung;
        if self.retract > 0 {
            self.retract -= 1;
            coverage.hit_if(self.asked > self.taken, CORNERS[20]);
            producer = self.taken as u64;
        } else if self.rung < written && !self.chance(self.case.stalls[5]) {
            coverage.hit_if((self.taken as u64) < self.rung, CORNERS[19]);
            self.rung += 1 + self.random() % (written - self.rung);
            producer = self.rung;
            coverage.hit_if(producer - self.taken as u64 == self.size() as u64, CORNERS[18]);
        }
        inputs.doorbell_i = Doorbell { valid: producer != rung, producer: Uint(low_u16(producer)) };
        inputs.enable_i = self.disable == 0;
        coverage.hit_if(self.disable > 0 && (self.asked as u64) < self.rung, CORNERS[21]);
        self.disable = self.disable.saturating_sub(1);
    }

    fn count(&self, entry: &Entry, coverage: &mut Coverage) {
        let statuses =
            [STATUS_OPCODE, STATUS_FIELD, STATUS_ALIGNMENT, STATUS_OPERAND, STATUS_BANK, STATUS_BOUNDS];
        if let Some(at) = statuses.iter().position(|&status| status == entry.status) {
            coverage.hit(CORNERS[at]);
        }
        let margins = entry.command.margins(self.geometry, &self.bounds);
        let word = i128::from(WORD);
        let done = entry.status == STATUS_DONE;
        if let Some(vector) = low_u16(entry.opcode).checked_sub(OPCODE_EMBED) {
            coverage.hit_if(done, CORNERS[(36 + usize::from(vector)).min(43)]);
            coverage.hit_if(done && margins.limit == Some(0), CORNERS[44]);
            let beyond = entry.status == STATUS_BOUNDS && margins.limit == Some(-word);
            coverage.hit_if(beyond, CORNERS[45]);
        }
        coverage.hit_if(done && margins.chunks == Some(0), CORNERS[7]);
        coverage.hit_if(entry.status == STATUS_OPERAND && margins.chunks == Some(-1), CORNERS[8]);
        coverage.hit_if(done && margins.bank == Some(0), CORNERS[9]);
        coverage.hit_if(entry.status == STATUS_BANK && margins.bank == Some(-1), CORNERS[10]);
        coverage.hit_if(done && margins.limit == Some(0), CORNERS[11]);
        let above = margins.base.is_some_and(|base| base >= 0);
        let bounds = entry.status == STATUS_BOUNDS;
        coverage.hit_if(bounds && above && margins.limit == Some(-word), CORNERS[12]);
        coverage.hit_if(done && margins.base == Some(0), CORNERS[13]);
        let below = margins.limit.is_some_and(|limit| limit >= 0);
        coverage.hit_if(bounds && below && margins.base == Some(-word), CORNERS[14]);
    }

    /// The memory's answer to what was asked for.
    fn answer(&mut self, inputs: &mut Inputs, coverage: &mut Coverage) {
        let Some(&(first, words, due)) = self.requests.front() else { return };
        if due > self.now || self.chance(self.case.stalls[1]) {
            return;
        }
        self.request_error |= self.chance(self.case.errors[0]);
        let number = self.given;
        let (is_first, is_last) = (number == first, number + 1 == first + words);
        let error = self.request_error;
        inputs.word_i = ReadWord { valid: true, first: is_first, last: is_last, error };
        if error {
            coverage.hit(CORNERS[6]);
            let entry = &mut self.entries[number];
            (entry.status, entry.opcode, entry.notify) = (STATUS_FETCH_ERROR, 0, true);
        }
        inputs.data_i = if error { inputs.data_i } else { self.entries[number].words };
        self.given += 1;
        if is_last {
            self.requests.pop_front();
            self.request_error = false;
        }
    }

    /// What the units say and take.
    fn units(&mut self, inputs: &mut Inputs) {
        let mut holds = 0;
        for unit in 0..TARGETS {
            holds |= self.queues[unit].iter().fold(0, |all, &n| all | self.entries[n].command.waits());
            let room = self.queues[unit].len() < 4 && self.hold == 0;
            inputs.work_ready_i[unit] = room && !self.chance(self.case.stalls[4]);
        }
        self.hold = self.hold.saturating_sub(1);
        inputs.holds_i = Uint(holds);
        for source in 0..SOURCES {
            if let Some(&number) = self.saying[source].front() {
                let status =
                    self.statuses.iter().find(|(n, _)| *n == number).map_or(0, |(_, status)| *status);
                let command = &self.entries[number].command;
                inputs.done_i[source] = Done {
                    valid: true,
                    status: Uint(status),
                    notify: command.notify(),
                    tokens: Uint(command.signal),
                    index: Uint(low_u16(number as u64)),
                };
            }
        }
    }

    fn check_request(
        &mut self,
        request: ReadRequest,
        producer: u64,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let words = usize::from(request.words.0);
        let place = self.asked % self.size();
        let address = self.command_base + place as u64 * WORD;
        let rung = usize::try_from(producer).expect("few");
        if words == 0
            || request.address.0 != address
            || place + words > self.size()
            || self.asked + words > rung
        {
            return Err(wrong(format!("{request:?} for command {}, {rung} are rung", self.asked)));
        }
        coverage.hit_if(words > 1, CORNERS[15]);
        coverage.hit_if(place + words == self.size() && self.asked + words < rung && words < 4, CORNERS[16]);
        coverage.hit_if(self.size() == 1, CORNERS[17]);
        self.asked += words;
        Ok(())
    }

    /// The next command was taken: to its unit, or it ends.
    fn check_taken(&mut self, o: &Outputs, holds: u16, coverage: &mut Coverage) -> Result<(), DutError> {
        let number = self.taken;
        if number >= self.given {
            return Err(wrong(format!("command {number} is taken and has not come")));
        }
        self.taken += 1;
        let clock = self.now;
        let held = self.alive.iter().fold(0, |all, &n| all | self.entries[n].command.signal);
        let entry = &mut self.entries[number];
        entry.taken = clock;
        let command = entry.command;
        match entry.target() {
            Some(target) => {
                let expected = std::array::from_fn(|unit| unit == target);
                let index = low_u16(number as u64);
                if o.work_valid_o != expected || o.work_index_o.0 != index || o.work_o != entry.words {
                    return Err(wrong(format!("command {number} is not offered to unit {target}: {o:x?}")));
                }
                if command.signal & (held | holds) != 0 {
                    return Err(wrong(format!("command {number} begins before its tokens are free")));
                }
                entry.state = State::Taken;
                self.alive.push(number);
                self.offered = Some(number);
            }
            None => {
                if entry.status == STATUS_DONE && command.wait & held != 0 {
                    return Err(wrong(format!("empty command {number} does not wait")));
                }
                entry.state = State::Ended { status: entry.status, clock };
                if entry.status != STATUS_DONE {
                    self.errors.push((entry.status, low_u16(number as u64)));
                }
            }
        }
        self.in_a_row += 1;
        coverage.hit_if(self.in_a_row == 4, CORNERS[34]);
        Ok(())
    }

    /// A completion's word.
    fn check_completion(&mut self, address: u64, word: &LinkWord) -> Result<usize, DutError> {
        let [head, dispatched, done, rest @ ..] = word.0.map(|w| w.0);
        let index = low_u16(head);
        let fits =
            |n: &usize| low_u16(*n as u64) == index && matches!(self.entries[*n].state, State::Ended { .. });
        let Some(number) = (self.taken.saturating_sub(4096)..self.taken).find(fits) else {
            return Err(wrong(format!("a completion of no command that is done: {word:x?}")));
        };
        let entry = &mut self.entries[number];
        let State::Ended { status, clock } = entry.state else { unreachable!("it was looked for") };
        entry.state = State::Completed;
        let place = (number % (1 << self.case.size_log2)) as u64;
        let expected = u64::from(index) | u64::from(status) << 16 | entry.opcode << 24;
        let good = address == self.completion_base + place * WORD
            && head == expected
            && dispatched == entry.taken
            && (clock + 1..self.now).contains(&done)
            && rest == [0; 5];
        let what = || {
            format!("completion of {number}, {entry:?}, ended {status} at {clock}: {address:x}, {word:x?}")
        };
        if good { Ok(number) } else { Err(wrong(what())) }
    }

    /// Commands whose tokens are there begin to work.
    fn begin(&mut self, pending: u16) -> Result<(), DutError> {
        for unit in 0..TARGETS {
            let Some(&number) = self.queues[unit].front() else { continue };
            let waits = self.entries[number].command.waits();
            if waits & pending != 0 {
                continue;
            }
            let before =
                self.alive.iter().find(|&&n| n < number && self.entries[n].command.signal & waits != 0);
            if let Some(before) = before {
                return Err(wrong(format!("command {number} begins, and {before} is not done")));
            }
            self.queues[unit].pop_front();
            let due = self.now + 1 + self.random() % (u64::from(self.case.work) + 1);
            self.working.push((number, due));
        }
        Ok(())
    }

    /// Commands whose time is over are to be said.
    fn finish(&mut self, coverage: &mut Coverage) {
        if self.hush > 0 {
            self.hush -= 1;
            return;
        }
        for (number, _) in self.working.extract_if(.., |(_, due)| *due <= self.now).collect::<Vec<_>>() {
            coverage.hit_if(self.alive.iter().any(|&n| n < number), CORNERS[28]);
            let opcode = low_u16(self.entries[number].command.opcode);
            let fails = split_mix(&mut self.seed) & 255 < u64::from(self.case.failures);
            let source = match opcode {
                OPCODE_LOAD => 0,
                OPCODE_APPEND => 2,
                OPCODE_FILL => 1,
                OPCODE_EMBED.. => 4,
                _ if fails => 1,
                _ => 3,
            };
            self.saying[source].push_back(number);
            if fails {
                coverage.hit(CORNERS[33]);
                self.statuses.push((number, STATUS_READ_ERROR));
            }
        }
    }

    /// A command is taken as done.
    fn end(&mut self, source: usize, done: Done) {
        let number = self.saying[source].pop_front().expect("it was offered");
        self.statuses.retain(|(n, _)| *n != number);
        self.alive.retain(|&n| n != number);
        self.entries[number].state = State::Ended { status: done.status.0, clock: self.now };
        if done.status.0 != STATUS_DONE {
            self.errors.push((done.status.0, done.index.0));
        }
    }

    /// The memory takes a completion's request and word, and writes it some time.
    fn write(&mut self, o: &Outputs, inputs: &Inputs, coverage: &mut Coverage) -> Result<(), DutError> {
        if o.write_request_o.valid && inputs.write_request_ready_i {
            if o.write_request_o.words.0 != 1 {
                return Err(wrong(format!("{:?}", o.write_request_o)));
            }
            self.write_addresses.push_back(o.write_request_o.address.0);
        }
        if o.write_valid_o && inputs.write_ready_i {
            if o.write_strobe_o.0 != u64::MAX {
                return Err(wrong("a completion is written in part".to_owned()));
            }
            self.write_words.push_back(o.write_data_o);
        }
        while !self.write_addresses.is_empty() && !self.write_words.is_empty() {
            let address = self.write_addresses.pop_front().expect("there is one");
            let word = self.write_words.pop_front().expect("there is one");
            let number = self.check_completion(address, &word)?;
            let due = self.now + 1 + self.random() % (u64::from(self.case.latency) + 1);
            self.writing.push_back((number, due));
            coverage.hit_if(self.writing.len() == 8, CORNERS[30]);
        }
        Ok(())
    }

    /// What waits must not change.
    fn check_held(&self, o: &Outputs, after: &Outputs, inputs: &Inputs) -> Result<(), DutError> {
        let request = !o.request_o.valid || inputs.request_ready_i || o.request_o == after.request_o;
        let address = !o.write_request_o.valid
            || inputs.write_request_ready_i
            || o.write_request_o == after.write_request_o;
        let word = !o.write_valid_o
            || inputs.write_ready_i
            || (after.write_valid_o && o.write_data_o == after.write_data_o);
        let work = |o: &Outputs| (o.work_valid_o, o.work_index_o, o.work_o);
        let stays = self.offered.is_none() || work(o) == work(after);
        if request && address && word && stays {
            Ok(())
        } else {
            Err(wrong(format!("{o:x?} waits and is {after:x?}")))
        }
    }

    fn count_waiting(&self, o: &Outputs, holds: u16, coverage: &mut Coverage) {
        if self.taken >= self.given {
            return;
        }
        let entry = &self.entries[self.taken];
        let Command { signal, wait, .. } = entry.command;
        let pending = o.pending_o.0;
        let target = entry.target();
        coverage.hit_if(target.is_some() && signal & pending != 0, CORNERS[22]);
        coverage.hit_if(target.is_some() && signal & !pending & holds != 0, CORNERS[23]);
        let nop = entry.status == STATUS_DONE && target.is_none();
        coverage.hit_if(nop && wait & pending != 0, CORNERS[25]);
        let behind = self.taken >= FLIGHTS && self.alive.contains(&(self.taken - FLIGHTS));
        coverage.hit_if(behind, CORNERS[26]);
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let o = self.dut.outputs();
        self.finish(coverage);
        let mut inputs = self.noise();
        self.host(&mut inputs, coverage);
        self.answer(&mut inputs, coverage);
        self.units(&mut inputs);
        inputs.request_ready_i = !self.chance(self.case.stalls[0]);
        inputs.write_request_ready_i = !self.chance(self.case.stalls[2]);
        inputs.write_ready_i = !self.chance(self.case.stalls[3]);
        let written = self.writing.front().copied().filter(|&(_, due)| due <= self.now);
        if written.is_some() {
            let error = self.chance(self.case.errors[1]);
            inputs.write_done_i = WriteDone { valid: true, error };
        }
        self.count_waiting(&o, inputs.holds_i.0, coverage);
        self.dut.clock(true, &mut inputs)?;
        let after = self.dut.outputs();

        // What was handed over.
        if o.request_o.valid && inputs.request_ready_i {
            let words = usize::from(o.request_o.words.0);
            let due = self.now + 1 + self.random() % (u64::from(self.case.latency) + 1);
            self.requests.push_back((self.asked - words, words, due));
        }
        let given = o.work_valid_o.iter().zip(inputs.work_ready_i).position(|(&valid, ready)| valid && ready);
        coverage.hit_if(o.work_valid_o.contains(&true) && given.is_none(), CORNERS[24]);
        self.begin(o.pending_o.0)?;
        if let Some(unit) = given {
            let number = self.offered.take().expect("it is offered");
            self.queues[unit].push_back(number);
        }
        let mut ended = 0;
        for source in 0..SOURCES {
            let done = inputs.done_i[source];
            coverage.hit_if(done.valid && !o.done_ready_o[source], CORNERS[29]);
            if done.valid && o.done_ready_o[source] {
                ended += 1;
                self.end(source, done);
            }
        }
        coverage.hit_if(ended > 1, CORNERS[27]);
        self.write(&o, &inputs, coverage)?;
        self.check_held(&o, &after, &inputs)?;

        // What is new.
        if after.request_o.valid && (!o.request_o.valid || inputs.request_ready_i) {
            if !inputs.enable_i {
                return Err(wrong("a command is asked for, and none may be".to_owned()));
            }
            let behind = u64::from(inputs.doorbell_i.producer.0.wrapping_sub(low_u16(self.taken as u64)));
            self.check_request(after.request_o, self.taken as u64 + behind, coverage)?;
        }
        match after.consumer_o.0.wrapping_sub(o.consumer_o.0) {
            0 => self.in_a_row = 0,
            1 => self.check_taken(&after, inputs.holds_i.0, coverage)?,
            _ => return Err(wrong(format!("consumer {:?} after {:?}", after.consumer_o, o.consumer_o))),
        }
        if after.work_valid_o.contains(&true) != self.offered.is_some() {
            return Err(wrong(format!("offered {:?}: {after:x?}", self.offered)));
        }
        self.check_events(&after, written.map(|(number, _)| number), &inputs, coverage)?;
        self.check_levels(&after)?;
        let moves = after.consumer_o != o.consumer_o || written.is_some() || ended != 0;
        self.idle = if moves { 0 } else { self.idle + 1 };
        self.now += 1;
        self.clocks += 1;
        Ok(())
    }

    /// Pulses: completions that are written, errors.
    fn check_events(
        &mut self,
        o: &Outputs,
        written: Option<usize>,
        inputs: &Inputs,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let refused = inputs.write_done_i.error;
        let mut told = false;
        let mut error = None;
        if let Some(number) = written {
            self.writing.pop_front();
            self.completed += 1;
            told = self.entries[number].notify && !refused;
            coverage.hit_if(!self.entries[number].notify, CORNERS[32]);
            coverage.hit_if(refused, CORNERS[31]);
            error = refused.then(|| (STATUS_COMPLETION_ERROR, low_u16(number as u64)));
        }
        let said = o.error_o.valid.then_some((o.error_o.code.0, o.error_o.index.0));
        let known = match said {
            _ if error.is_some() => said == error,
            None => true,
            Some(said) => {
                let at = self.errors.iter().position(|&known| known == said);
                at.map(|at| self.errors.swap_remove(at)).is_some()
            }
        };
        if o.completion_o != told || !known {
            return Err(wrong(format!("completion {}, error {said:?}; {told}, {error:?}", o.completion_o)));
        }
        Ok(())
    }

    fn check_levels(&self, o: &Outputs) -> Result<(), DutError> {
        let pending = self.alive.iter().fold(0, |all, &n| all | self.entries[n].command.signal);
        let idle = self.asked == self.taken && self.taken == self.completed;
        let activity = o.activity_o;
        let parts = !activity.starved && !activity.blocked || activity.busy;
        if o.pending_o.0 != pending || o.idle_o != idle || !o.word_ready_o || !parts {
            return Err(wrong(format!("pending {pending:#06x}, idle {idle}: {o:x?}")));
        }
        Ok(())
    }

    fn clocks(&mut self, n: u64, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..n).try_for_each(|_| self.clock(coverage))
    }

    /// Until all commands have their completions.
    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        while (self.completed as u64) < self.submitted {
            self.clock(coverage)?;
            if self.idle > PATIENCE {
                return Err(wrong(format!(
                    "nothing happens any more: {} of {} commands taken, {} completed",
                    self.taken, self.submitted, self.completed
                )));
            }
        }
        self.clocks(3, coverage)?;
        if self.errors.is_empty() { Ok(()) } else { Err(wrong(format!("never said: {:?}", self.errors))) }
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Submit(n) => self.submitted += u64::from(n),
            Op::Run(n) => self.clocks(n.into(), coverage)?,
            Op::Settle => self.settle(coverage)?,
            Op::Disable(n) => self.disable = n,
            Op::Retract(n) => self.retract = n,
            Op::Hold(n) => self.hold = n,
            Op::Hush(n) => self.hush = n,
            Op::Reset(after) => {
                self.clocks(after.into(), coverage)?;
                coverage.hit_if(!self.alive.is_empty(), CORNERS[35]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => (1..40u32).prop_map(Op::Submit),
        4 => (0..300u16).prop_map(Op::Run),
        1 => Just(Op::Settle),
        1 => (0..100u8).prop_map(Op::Disable),
        1 => (0..60u8).prop_map(Op::Retract),
        1 => (0..400u16).prop_map(Op::Hold),
        1 => (0..600u16).prop_map(Op::Hush),
        1 => any::<u8>().prop_map(Op::Reset),
    ]
}

impl Bench for ControlBench {
    type Block = CommandUnit;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let share = || prop_oneof![2 => Just(0u8), 2 => 0..100u8, 1 => Just(128)];
        let mix = [share().boxed(), share().boxed(), any::<u8>().boxed()];
        let stall = || prop_oneof![2 => Just(0u8), 2 => 0..200u8, 1 => Just(240)];
        let stalls = [stall(), stall(), stall(), stall(), stall(), stall()];
        let error = || prop_oneof![2 => Just(0u8), 1 => 1..40u8];
        let errors = [error(), error()];
        let times = (prop_oneof![0..4u8, any::<u8>()], prop_oneof![0..4u16, 0..300u16]);
        let rest = (stalls, errors, error(), vec(ops(), 1..12), any::<u64>());
        (0..7u16, mix, prop_oneof![1 => Just(0u8), 3 => 0..=16u8], times, rest)
            .prop_map(|(size_log2, mix, tokens, (latency, work), rest)| {
                let (stalls, errors, failures, ops, seed) = rest;
                Case { size_log2, mix, tokens, latency, work, stalls, errors, failures, ops, seed }
            })
            .boxed()
    }

    fn model(&self) -> CommandUnit {
        CommandUnit::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<CommandUnit>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(case, self.geometry, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        coverage.add_cycles(driver.clocks);
        Ok(())
    }
}
