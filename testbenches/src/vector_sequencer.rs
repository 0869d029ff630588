// SPDX-License-Identifier: Apache-2.0
//! The sequencer of the vector unit among stand-ins for memory, lanes, sums, argmax and writer, which do not compute: every
//! word of memory is a hash of its address, so what is issued tells where it was read. Order, operands, tags, places and ends
//! of commands must be what the commands' definition says.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::control::types::{
    Activity, CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, Done, OPCODE_ADD,
    OPCODE_ANGLES, OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_GATE, OPCODE_HEADS, OPCODE_NORM, OPCODE_QUANTISE,
    STATUS_DONE, STATUS_INDEX, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{ReadRequest, ReadWord};
use tandem_model::numerics::Float36;
use tandem_model::vector::types::{Form, HeadsMode, LaneOp, VECTOR_UNITS, VectorWord};
use tandem_model::vector::vector_sequencer::{Inputs, Outputs, VectorSequencer, floats};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `vector_sequencer`.
#[derive(Clone, Copy, Debug)]
pub struct SequencerBench;

/// A command, sizes taken from its seed.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// What it does.
    pub opcode: u16,
    /// Everything else.
    pub seed: u64,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// One after the other.
    pub commands: Vec<Command>,
    /// Of 256 cycles, in how many do not move: requests and words, writer, commands.
    pub stalls: [u8; 3],
    /// Cycles from a request to its first word, at least.
    pub latency: u8,
    /// Chance in 256 that a request meets an error.
    pub errors: u8,
    /// Resets the sequencer after so many cycles.
    pub reset_after: Option<u16>,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 35] = [
    "Embed",
    "Add",
    "Norm",
    "Angles",
    "Heads",
    "Gate",
    "Quantise",
    "Argmax",
    "one row",
    "eight rows",
    "one group beyond a chunk",
    "chunk of less than 16",
    "several chunks",
    "row number beyond the table",
    "heads of 128",
    "heads of 64",
    "plain heads",
    "rotated heads",
    "heads to operand rows",
    "heads to K of FP4 records",
    "heads to V of FP4 records",
    "heads to INT8 records",
    "several batches",
    "last batch of fewer heads",
    "whole batch of eight units",
    "several heads to a row",
    "unused features of the last word",
    "read refused",
    "write refused",
    "read and write refused",
    "writer is not ready",
    "word waits for the writer",
    "end of a command waits",
    "command waits",
    "reset in a command",
];

/// Most words that are asked for and not taken.
const ROOM: usize = 64;
/// Cycles of a reduction of eight units.
const REDUCTION: u64 = 103;
/// Cycles without a word that mean that nothing comes any more.
const PATIENCE: u64 = 5000;

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// The word of memory at an address.
fn memory_word(seed: u64, address: u64) -> LinkWord {
    let mut state = seed ^ address.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    LinkWord(std::array::from_fn(|_| Wide(split_mix(&mut state))))
}

const fn pad(bytes: u64) -> u64 {
    bytes.next_multiple_of(64)
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

/// What a word's scale must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    /// It is not looked at.
    Any,
    One,
    /// The unit's of the last reduction.
    Unit,
}

/// A word that must be issued.
#[derive(Clone, Debug)]
struct Order {
    op: LaneOp,
    writes: bool,
    argmax: bool,
    unit: u16,
    group: u16,
    hold: Option<u16>,
    hi: bool,
    a: LinkWord,
    b: Option<LinkWord>,
    angles: Option<(LinkWord, LinkWord)>,
    scale: Scale,
    /// Bytes: where the unit's elements and scales begin.
    place: (u64, Option<u64>),
}

/// What must happen next.
#[derive(Clone, Debug)]
enum Step {
    Issue(Box<Order>),
    /// A reduction of so many units, over so many words.
    Reduce {
        units: u16,
        words: u32,
    },
    /// The result of argmax is written.
    Direct {
        rows: usize,
        line: u64,
    },
}

/// A command, worked out.
#[derive(Clone, Debug)]
struct Work {
    words: [Wide<64>; 8],
    index: u16,
    notify: bool,
    tokens: u16,
    opcode: u16,
    rows: u64,
    wide: bool,
    int8: bool,
    mode: HeadsMode,
    /// Quantise: T.
    tokens_of_heads: u64,
    source: u64,
    second: u64,
    destination: u64,
    count: u64,
    length: u64,
    mean: u32,
    eps: u32,
    /// Row numbers or positions.
    numbers: [u64; VECTOR_UNITS],
}

impl Work {
    fn new(command: Command) -> Self {
        let mut seed = command.seed;
        let mut below = |n: u64| split_mix(&mut seed) % n;
        let address = |random: u64| random * 64;
        let mut work = Self {
            words: [Wide(0); 8],
            index: low_u16(below(1 << 16)),
            notify: below(2) == 1,
            tokens: low_u16(below(1 << 16)),
            opcode: command.opcode,
            rows: if below(3) == 0 { [1, 8][usize::from(low_u16(below(2)))] } else { 1 + below(8) },
            wide: false,
            int8: false,
            mode: HeadsMode::default(),
            tokens_of_heads: 0,
            source: address(below(1 << 33)),
            second: address(below(1 << 33)),
            destination: address(below(1 << 33)),
            count: 0,
            length: 0,
            mean: u32::try_from(below(1 << 32)).expect("32 bits"),
            eps: u32::try_from(below(1 << 32)).expect("32 bits"),
            numbers: [0; VECTOR_UNITS],
        };
        let features = 32 * (1 + if below(3) == 0 { below(28) } else { below(10) });
        let (flag, other) = (below(2) == 1, below(2) == 1);
        match command.opcode {
            OPCODE_EMBED => {
                work.length = features;
                work.count = if flag { 1 + below(40) } else { (1 << 20) - 1 - below(100) };
                let most = work.count + if below(2) == 0 { 0 } else { 1 + work.count / 8 };
                work.numbers = std::array::from_fn(|_| below(most));
            }
            OPCODE_ADD | OPCODE_NORM | OPCODE_GATE => work.length = features,
            OPCODE_ANGLES => {
                work.wide = flag;
                work.numbers = std::array::from_fn(|_| below(if other { 1 << 20 } else { 100 }));
            }
            OPCODE_HEADS => {
                work.wide = flag;
                work.count = 1 + below(if other { 4 } else { 20 });
                work.mode.plain = below(3) == 0;
                work.mode.rotated = below(2) == 0;
                work.mode.target = Uint(low_u16(below(3)));
                work.int8 = work.mode.target.0 != 0 && below(2) == 0;
            }
            OPCODE_QUANTISE => {
                work.wide = flag;
                let fitting = (1..=work.rows).filter(|t| work.rows.is_multiple_of(*t)).collect::<Vec<_>>();
                work.tokens_of_heads = fitting[usize::from(low_u16(below(fitting.len() as u64)))];
                work.length = below(20) * work.head();
                let end = work.length + work.rows / work.tokens_of_heads * work.head();
                work.count = end + 32 * below(40);
            }
            _ => work.count = 1 + below(if flag { 40 } else { 900 }),
        }
        work.encode();
        work
    }

    /// Elements of a head.
    const fn head(&self) -> u64 {
        if self.wide { 128 } else { 64 }
    }

    fn encode(&mut self) {
        let operand = match self.opcode {
            OPCODE_HEADS => self.mode.to_bits(),
            _ => self.tokens_of_heads,
        };
        let flags =
            CommandFlags { wide: self.wide, int8: self.int8, notify: self.notify, ..CommandFlags::default() };
        let head = CommandHead {
            signal_tokens: Uint(self.tokens),
            wait_tokens: Uint(!self.tokens),
            operand: Uint(low_u16(operand)),
            rows: Uint(low_u16(self.rows)),
            flags,
            opcode: Uint(self.opcode),
        };
        let at = |address| CommandSource { bank: Uint(0), address: Wide(address) }.to_bits();
        let to = CommandDestination { wait_array: Uint(0), address: Wide(self.destination) };
        let shape = CommandShape { length: Wide(self.length), count: Wide(self.count) };
        self.words[..4]
            .copy_from_slice(&[head.to_bits(), at(self.source), to.to_bits(), shape.to_bits()].map(Wide));
        if self.opcode == OPCODE_ANGLES {
            for (r, number) in self.numbers.iter().enumerate() {
                self.words[4 + r / 2].0 |= number << (32 * (r % 2));
            }
        } else {
            self.words[4] = Wide(at(self.second));
            self.words[5] = Wide(u64::from(self.eps) << 32 | u64::from(self.mean));
        }
    }

    /// Where elements and scales of row r of operand rows lie.
    fn operand_row(&self, r: u64, features: u64) -> (u64, u64) {
        let row = self.destination + r * (pad(features / 32) + pad(features));
        (row + pad(features / 32), row)
    }

    /// Where elements and scales of a head of a token go.
    fn head_place(&self, head: u64, token: u64) -> (u64, u64) {
        let (number, d) = (head * self.rows + token, self.head());
        let part = if self.int8 { pad(d) } else { 64 };
        match self.mode.target.0 {
            0 => (self.destination + number * (64 + d) + 64, self.destination + number * (64 + d)),
            1 => {
                let record = self.destination + number * (2 * part + 64);
                (record, record + 2 * part)
            }
            _ => {
                let record = self.destination + number * (2 * part + 64);
                (record + part, record + 2 * part + 8)
            }
        }
    }
}

/// Angles that were read since reset: cosines, sines.
type Angles = [[(LinkWord, LinkWord); 4]; VECTOR_UNITS];

/// What a command must do.
fn steps(work: &Work, read: &dyn Fn(u64) -> LinkWord, angles: &mut Angles) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let (rows, d) = (work.rows, work.head());
    let ones = LinkWord([Wide(0x3f80_0000_3f80_0000); 8]);
    let plain = Order {
        op: LaneOp::Copy,
        writes: true,
        argmax: false,
        unit: 0,
        group: 0,
        hold: None,
        hi: false,
        a: LinkWord::default(),
        b: None,
        angles: None,
        scale: Scale::Any,
        place: (0, None),
    };
    let streams = |groups: u64, order: &dyn Fn(u64, u64) -> Order| -> Vec<Step> {
        let words = (0..groups).flat_map(|g| (0..rows).map(move |r| (g, r)));
        let tagged = |(g, r)| Order { unit: low_u16(r), group: low_u16(g), ..order(g, r) };
        words.map(|at| Step::Issue(Box::new(tagged(at)))).collect()
    };
    let word = |base: u64, g: u64, r: u64| read(base + (g * rows + r) * 64);
    let groups = work.length / 16;
    let reduce = Step::Reduce { units: low_u16(rows), words: u32::try_from(groups * rows).expect("small") };
    match work.opcode {
        OPCODE_EMBED => {
            for r in 0..rows {
                let number = work.numbers[usize::from(low_u16(r))];
                let number = if number < work.count { number } else { 0 };
                for g in 0..groups {
                    let a = read(work.second + (number * groups + g) * 64);
                    let place = (work.destination + 64 * r, None);
                    let (unit, group) = (low_u16(r), low_u16(g));
                    steps.push_back(Step::Issue(Box::new(Order { a, unit, group, place, ..plain.clone() })));
                }
            }
            steps.push_back(reduce);
        }
        OPCODE_ADD => {
            steps.extend(streams(groups, &|g, r| Order {
                op: LaneOp::Add,
                a: word(work.source, g, r),
                b: Some(word(work.second, g, r)),
                place: (work.destination + 64 * r, None),
                ..plain.clone()
            }));
            steps.push_back(reduce);
        }
        OPCODE_NORM | OPCODE_GATE => steps.extend(streams(groups, &|g, r| {
            let gate = work.opcode == OPCODE_GATE;
            let (elements, scales) = work.operand_row(r, work.length);
            let weight = if gate { word(work.second, g, r) } else { read(work.second + 64 * g) };
            Order {
                op: if gate { LaneOp::Gate } else { LaneOp::Scale },
                hold: Some(low_u16(r)),
                a: word(work.source, g, r),
                b: Some(weight),
                scale: if gate { Scale::Any } else { Scale::Unit },
                place: (elements, Some(scales)),
                ..plain.clone()
            }
        })),
        OPCODE_QUANTISE => steps.extend(streams(d / 16, &|g, u| {
            let (head, token) = (u / work.tokens_of_heads, u % work.tokens_of_heads);
            let (elements, scales) = work.operand_row(token, work.count);
            let first = work.length + head * d;
            Order {
                op: LaneOp::Scale,
                hold: Some(low_u16(u)),
                a: word(work.source, g, u),
                b: Some(ones),
                scale: Scale::One,
                place: (elements + first, Some(scales + first / 32)),
                ..plain.clone()
            }
        })),
        OPCODE_ARGMAX => {
            steps.extend(streams(work.count.div_ceil(16), &|g, r| Order {
                argmax: true,
                writes: false,
                a: word(work.source, g, r),
                ..plain.clone()
            }));
            let rows = usize::from(low_u16(rows));
            steps.push_back(Step::Direct { rows, line: work.destination / 64 });
        }
        OPCODE_ANGLES => {
            let half = d / 32;
            for r in 0..usize::from(low_u16(rows)) {
                let row = work.source + work.numbers[r] * d * 4;
                for j in 0..half {
                    angles[r][usize::from(low_u16(j))] = (read(row + 64 * j), read(row + 64 * (half + j)));
                }
            }
        }
        _ => {
            let most = 8 / rows;
            for first in (0..work.count).step_by(usize::from(low_u16(most))) {
                steps.extend(batch(work, first..(first + most).min(work.count), read, angles, &plain));
            }
        }
    }
    steps
}

/// What Heads must do for a batch.
fn batch(
    work: &Work,
    heads: std::ops::Range<u64>,
    read: &dyn Fn(u64) -> LinkWord,
    angles: &Angles,
    plain: &Order,
) -> Vec<Step> {
    let (rows, d, first) = (work.rows, work.head(), heads.start);
    let (groups, half) = (d / 16, d / 32);
    let word = |h: u64, g: u64, t: u64| read(work.source + ((h * groups + g) * rows + t) * 64);
    let unit = |h: u64, t: u64| low_u16((h - first) * rows + t);
    let mut steps = Vec::new();
    if !work.mode.plain {
        for h in heads.clone() {
            for (g, t) in (0..groups).flat_map(|g| (0..rows).map(move |t| (g, t))) {
                let (a, group, unit) = (word(h, g, t), low_u16(g), unit(h, t));
                let order = Order { writes: false, a, group, unit, ..plain.clone() };
                steps.push(Step::Issue(Box::new(order)));
            }
        }
        let units = low_u16((heads.end - first) * rows);
        steps.push(Step::Reduce { units, words: u32::from(units) * u32::from(low_u16(groups)) });
    }
    for (h, t) in heads.flat_map(|h| (0..rows).map(move |t| (h, t))) {
        for (j, upper) in (0..half).flat_map(|j| [(j, 0), (j, 1)]) {
            let g = j + upper * half;
            let (elements, scales) = work.head_place(h, t);
            let pair = angles[usize::from(low_u16(t))][usize::from(low_u16(j))];
            steps.push(Step::Issue(Box::new(Order {
                op: if work.mode.rotated { LaneOp::Rotate } else { LaneOp::Scale },
                unit: unit(h, t),
                group: low_u16(g),
                hold: Some(low_u16(upper)),
                hi: work.mode.rotated && upper == 1,
                a: word(h, g, t),
                b: Some(read(work.second + 64 * g)),
                angles: work.mode.rotated.then_some(pair),
                scale: if work.mode.plain { Scale::One } else { Scale::Unit },
                place: (elements, Some(scales)),
                ..plain.clone()
            })));
        }
    }
    steps
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

struct Driver<'a> {
    case: &'a Case,
    dut: &'a mut dyn Dut<VectorSequencer>,
    seed: u64,
    memory_seed: u64,
    now: u64,
    waiting: VecDeque<Work>,
    offered: bool,
    running: Option<Running>,
    angles: Angles,
    /// Words that are asked for: what they are, and from when on they are there.
    coming: VecDeque<(ReadWord, LinkWord, u64)>,
    shown: bool,
    /// Numbers of an Embed by the address they lie at.
    flights: VecDeque<Flight>,
    op: LaneOp,
    /// Words whose squares were summed since the sums were cleared, cycles in which they are.
    summed: u32,
    sums_until: u64,
    scales: [Float36; VECTOR_UNITS],
    next_scales: Option<[Float36; VECTOR_UNITS]>,
    argmax_until: u64,
    argmax_words: u32,
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
    timings: Vec<Timing>,
}

impl<'a> Driver<'a> {
    fn new(case: &'a Case, dut: &'a mut dyn Dut<VectorSequencer>) -> Self {
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
            argmax_words: 0,
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
        if !(1..=16).contains(&words) || request.address.0 % 64 != 0 {
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
            self.argmax_words += 1;
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
        if outputs.argmax_clear_o {
            self.argmax_words = 0;
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

    fn run(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
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

/// When a command was taken and issued that nothing holds up: of `rows` rows of `size` features, or of so many heads of 128,
/// normed and rotated. Memory answers after `latency` cycles, a reduction takes 103.
///
/// # Errors
/// What the device or its answers had wrong.
pub fn timing(
    (opcode, rows, size): (u16, u64, u64),
    latency: u8,
    dut: &mut dyn Dut<VectorSequencer>,
) -> Result<Timing, DutError> {
    let case = Case { commands: Vec::new(), stalls: [0; 3], latency, errors: 0, reset_after: None, seed: 1 };
    let mut work = Work::new(Command { opcode, seed: 1 });
    work.rows = rows;
    if opcode == OPCODE_HEADS {
        work.wide = true;
        work.count = size;
        work.mode = HeadsMode { rotated: true, ..HeadsMode::default() };
        work.int8 = false;
    } else {
        work.length = size;
    }
    work.encode();
    let mut driver = Driver::new(&case, dut);
    driver.waiting.push_back(work);
    driver.run(&mut Coverage::default())?;
    Ok(driver.timings[0])
}

impl Bench for SequencerBench {
    type Block = VectorSequencer;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let command = (OPCODE_EMBED..=OPCODE_ARGMAX, any::<u64>());
        let command = command.prop_map(|(opcode, seed)| Command { opcode, seed });
        let stall = prop_oneof![2 => Just(0u8), 1 => 0u8..160];
        let latency = prop_oneof![Just(0u8), 1u8..100];
        let errors = prop_oneof![2 => Just(0u8), 1 => 1u8..120];
        let reset_after = proptest::option::weighted(0.3, 0u16..1500);
        (
            vec(command, 1..8),
            [stall.clone(), stall.clone(), stall],
            latency,
            errors,
            reset_after,
            any::<u64>(),
        )
            .prop_map(|(commands, stalls, latency, errors, reset_after, seed)| Case {
                commands,
                stalls,
                latency,
                errors,
                reset_after,
                seed,
            })
            .boxed()
    }

    fn model(&self) -> VectorSequencer {
        VectorSequencer::default()
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<VectorSequencer>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        Driver::new(case, dut).run(coverage)
    }
}
