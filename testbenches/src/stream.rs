// SPDX-License-Identifier: Apache-2.0
//! Test bench of the stream unit: a memory that answers in order, an attention engine that starts or refuses heads, writes
//! fills late and releases tiles later, an array that takes its time. Requests, words, commands and their ends must be
//! those that the layouts of the commands say, in order; tiles of K and V must never have more room than there is.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::PSUM_SLOTS;
use tandem_model::attention::head_table::HeadTable;
use tandem_model::attention::types::{
    CONTEXTS, Command, HeadInfo, HeadShape, HeadStart, POSITION_BITS, TILES_AHEAD,
};
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::compute::stream_unit::{Inputs, Outputs, StreamUnit};
use tandem_model::control::types::{
    CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, Done, OPCODE_ATTEND,
    OPCODE_FILL, OPCODE_GEMV, STATUS_DONE, STATUS_NO_KEYS, STATUS_READ_ERROR,
};
use tandem_model::control::work_queue::WorkWords;
use tandem_model::link::types::LinkWord;
use tandem_model::memory::types::{AXI_BYTES, LINE_BITS, ReadRequest, ReadWord};
use tandem_model::sram::types::{BankFill, Region};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `stream_unit`.
#[derive(Clone, Copy, Debug)]
pub struct StreamBench {
    /// Which one.
    pub geometry: Geometry,
}

/// A head.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// K and V are MXINT8.
    pub int8: bool,
    /// Head of 128.
    pub wide: bool,
    /// A row sees no key after its own position.
    pub causal: bool,
    /// It lies in the banks.
    pub resident: bool,
    /// Rows, less one; modulo those of the array.
    pub rows: u8,
    /// Keys of the session.
    pub tokens: u32,
    /// Keys that a row sees; 0: all.
    pub window: u32,
    /// Position of row 0.
    pub position: u32,
    /// From one row's position to the next's.
    pub step: u32,
}

/// What is asked for, or happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A matrix-vector product.
    Gemv {
        /// W is MXINT8.
        int8: bool,
        /// Output features.
        features: u32,
        /// Blocks of input features.
        blocks: u16,
        /// Where W lies.
        seed: u64,
    },
    /// A head.
    Attend {
        /// What it sees.
        head: Head,
        /// Where K and V lie.
        seed: u64,
    },
    /// Words that stay in the banks.
    Fill {
        /// How many.
        words: u16,
        /// Where they lie.
        seed: u64,
    },
    /// So many cycles.
    Run(u16),
    /// Until all has come; then half of the banks is given to words that stay, or is not.
    Pin(bool),
    /// No tile is released for so many cycles.
    Hold(u16),
    /// Resets everything after so many cycles.
    Reset(u8),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Cycles from a request to its first word, at least.
    pub latency: u8,
    /// Of 256 cycles, in how many: no request is taken, memory gives nothing, a fill, a word of weights, a command, an
    /// end is not taken; nothing is written, released or done; no command is offered.
    pub stalls: [u8; 8],
    /// Of 256 words of memory, how many are refused.
    pub errors: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Words, stalls.
    pub seed: u64,
}

/// The first is of arrays with two segments only, the last three of those with one.
const CORNERS: [&str; 35] = [
    "head in two groups",
    "product of one feature",
    "product with a last tile that is short",
    "product over all chunks",
    "product in MXINT8",
    "weights wait",
    "weights refused",
    "head refused",
    "head in the banks",
    "head that begins behind its first tile",
    "head far from its session's beginning",
    "head of one tile",
    "head of more tiles than K runs ahead",
    "wide head in MXINT8",
    "half of the banks pinned",
    "ring wraps",
    "ring full",
    "tile released in the cycle of a request",
    "word waits for the banks",
    "word of a tile refused",
    "word that stays refused",
    "one word that stays",
    "many words that stay",
    "head waits for a context",
    "array takes a command late",
    "command on its way while another's words come",
    "all runs in use",
    "end of a command waits",
    "word in each of 64 cycles",
    "first word of a run right behind another's last",
    "reset with words on their way",
    "reset while words wait",
    "K runs ahead less than it could",
    "words that stay end within a word of memory",
    "weights end within a word of memory",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// What the memory holds at a line.
fn content(seed: u64, line: u64) -> LinkWord {
    let mut state = seed ^ line.rotate_left(20);
    LinkWord(std::array::from_fn(|_| Wide(split_mix(&mut state))))
}

/// A line cannot be read.
fn refused(seed: u64, line: u64, errors: u8) -> bool {
    split_mix(&mut (!seed ^ line.rotate_left(20))) & 255 < u64::from(errors)
}

/// What becomes of a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Target {
    Weight,
    Bank { region: Region, address: u16, head: u16 },
}

/// Words that are asked for together.
#[derive(Clone, Copy, Debug)]
struct Run {
    line: u64,
    /// Of the array.
    words: u16,
    target: Target,
    /// Room that must be free: words of the tile.
    room: u16,
}

/// A head that was offered: its runs, and the command, when it must be started.
#[derive(Clone, Debug)]
struct Offered {
    command: Command,
    head: Head,
    runs: VecDeque<Run>,
    start: Option<(u16, WorkWords)>,
}

/// A word of the array that must come.
#[derive(Clone, Debug)]
struct Expected {
    target: Target,
    bytes: Vec<u8>,
    error: bool,
    first: bool,
}

/// A head that was started and is not done.
#[derive(Clone, Copy, Debug)]
struct Active {
    head: Uint<2>,
    /// The array has taken it.
    taken: bool,
    /// Tiles to be released.
    tiles: u16,
}

/// A tile in the banks.
#[derive(Clone, Copy, Debug)]
struct Tile {
    words: u16,
    /// Words of scales and K that are not written.
    keys: u16,
    /// Words of V that are not written.
    values: u16,
}

/// A device, what is around it, and the untimed view of it.
struct Driver<'a> {
    geometry: Geometry,
    case: &'a Case,
    dut: &'a mut dyn Dut<StreamUnit>,
    seed: u64,
    now: u64,
    pinned: bool,
    hold: u16,
    index: u16,
    /// Commands that were not taken.
    waiting: VecDeque<(u16, WorkWords, Option<Head>)>,
    offered: bool,
    /// The head that is to be answered.
    command: Option<Offered>,
    table: HeadTable,
    active: VecDeque<Active>,
    /// Where the next tile goes.
    place: u16,
    /// Requests that must come.
    requests: VecDeque<Run>,
    /// Requests that the memory has: due, line, words, what was given, an error.
    memory: VecDeque<(u64, Run, u16, bool)>,
    /// Words that are on the port.
    offered_word: Option<(ReadWord, LinkWord)>,
    /// Words of the array that must come: they were taken, and are out in the next cycles.
    expected: VecDeque<Expected>,
    /// Fills that are not written.
    unwritten: VecDeque<BankFill>,
    tiles: VecDeque<Tile>,
    arrays: VecDeque<(u16, WorkWords, Option<u16>)>,
    dones: VecDeque<Done>,
    /// Words that stay, of the present command, that are not written.
    staying: u16,
    /// The last cycle.
    last: Option<(Outputs, Inputs)>,
    /// A request must be there in this cycle.
    due: Option<u64>,
    run: u32,
    /// Words that were dealt out, the cycles of the first and the last.
    dealt: u32,
    span: (u64, u64),
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(geometry: Geometry, case: &'a Case, dut: &'a mut dyn Dut<StreamUnit>) -> Result<Self, DutError> {
        let mut driver = Self {
            geometry,
            case,
            dut,
            seed: case.seed,
            now: 0,
            pinned: false,
            hold: 0,
            index: low_u16(case.seed),
            waiting: VecDeque::new(),
            offered: false,
            command: None,
            table: HeadTable::new(geometry),
            active: VecDeque::new(),
            place: 0,
            requests: VecDeque::new(),
            memory: VecDeque::new(),
            offered_word: None,
            expected: VecDeque::new(),
            unwritten: VecDeque::new(),
            tiles: VecDeque::new(),
            arrays: VecDeque::new(),
            dones: VecDeque::new(),
            staying: 0,
            last: None,
            due: None,
            run: 0,
            dealt: 0,
            span: (0, 0),
            idle: 0,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    /// True in the cycles in which something does not stall.
    fn goes(&mut self, what: usize) -> bool {
        self.random() & 255 >= u64::from(self.case.stalls[what])
    }

    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.noise();
        self.dut.clock(false, &mut inputs)?;
        self.now += 1;
        self.waiting.clear();
        self.offered = false;
        self.command = None;
        self.table.reset();
        self.active.clear();
        self.place = 0;
        self.requests.clear();
        self.memory.clear();
        self.offered_word = None;
        self.expected.clear();
        self.unwritten.clear();
        self.tiles.clear();
        self.arrays.clear();
        self.dones.clear();
        self.staying = 0;
        (self.last, self.due) = (None, None);
        Ok(())
    }

    /// Inputs that mean nothing where nothing is valid.
    fn noise(&mut self) -> Inputs {
        let pinned_i = self.pinned;
        let mut random = || split_mix(&mut self.seed);
        Inputs {
            pinned_i,
            work_index_i: Uint(low_u16(random())),
            work_i: std::array::from_fn(|_| Wide(random())),
            started_i: HeadStart { valid: false, ..HeadStart::from_bits(random()) },
            started_info_i: HeadInfo::from_bits(random()),
            refused_i: HeadStart { valid: false, ..HeadStart::from_bits(random()) },
            word_i: ReadWord { valid: false, ..ReadWord::from_bits(random()) },
            data_i: LinkWord(std::array::from_fn(|_| Wide(random()))),
            written_i: BankFill { valid: false, ..BankFill::from_bits(random()) },
            ..Inputs::default()
        }
    }

    /// Words of the array in one of memory.
    fn parts(&self) -> u16 {
        low_u16((AXI_BYTES / self.geometry.word_bytes()) as u64)
    }

    fn capacity(&self) -> u16 {
        low_u16(self.geometry.words() as u64) / if self.pinned { 2 } else { 1 }
    }

    // ---- commands ----

    fn push(
        &mut self,
        opcode: u16,
        flags: CommandFlags,
        rows: u16,
        words: [u64; 3],
        positions: &[u32],
        head: Option<Head>,
    ) {
        let mut random = || split_mix(&mut self.seed);
        let [bank_and_address, count, length] = words;
        let command = CommandHead {
            signal_tokens: Uint(low_u16(random())),
            wait_tokens: Uint(low_u16(random())),
            operand: Uint(low_u16(random()) & 255),
            rows: Uint(rows),
            flags: CommandFlags { notify: random() & 1 == 1, ..flags },
            opcode: Uint(opcode),
        };
        let shape = CommandShape { length: Wide(length), count: Wide(count) };
        let destination = CommandDestination::from_bits(random());
        let mut work: WorkWords = std::array::from_fn(|_| Wide(0));
        work[0] = Wide(command.to_bits());
        work[1] = Wide(bank_and_address);
        work[2] = Wide(destination.to_bits());
        work[3] = Wide(shape.to_bits());
        for (row, &position) in positions.iter().enumerate() {
            work[4 + row / 2].0 |= u64::from(position) << (32 * (row % 2));
        }
        self.waiting.push_back((self.index, work, head));
        self.index = self.index.wrapping_add(1);
    }

    fn source(seed: u64, bank: u16) -> u64 {
        // Far from the end, or up to 2^23 words before it: the longest session takes half of that.
        let lines = 1u64 << LINE_BITS;
        let line =
            if seed & 3 == 0 { lines - (1 << 23) + (seed >> 2 & 0x3f) } else { (seed >> 2) % (lines / 2) };
        CommandSource { bank: Uint(bank), address: Wide(line * AXI_BYTES as u64) }.to_bits()
    }

    fn issue(&mut self, op: Op) {
        let rows = self.geometry.rows;
        match op {
            Op::Gemv { int8, features, blocks, seed } => {
                // At most as many chunks as there are.
                let per_chunk = low_u16(self.geometry.segments as u64) * if int8 { 1 } else { 2 };
                let blocks = blocks.clamp(1, 128 * per_chunk);
                let flags = CommandFlags { int8, ..CommandFlags::default() };
                let words = [Self::source(seed, low_u16(seed)), u64::from(features), 32 * u64::from(blocks)];
                self.push(OPCODE_GEMV, flags, 1 + low_u16(seed) % low_u16(rows as u64), words, &[], None);
            }
            Op::Attend { head, seed } => {
                let Head { int8, wide, causal, resident, tokens, window, .. } = head;
                let flags = CommandFlags { int8, wide, causal, resident, ..CommandFlags::default() };
                let words = [Self::source(seed, low_u16(seed)), u64::from(tokens), u64::from(window)];
                let last = (1 << POSITION_BITS) - 1;
                let positions: Vec<u32> =
                    (0..8).map(|row| (head.position + row * head.step).min(last)).collect();
                let rows = 1 + u16::from(head.rows) % low_u16(rows as u64);
                self.push(OPCODE_ATTEND, flags, rows, words, &positions, Some(head));
            }
            Op::Fill { words, seed } => {
                let words = [Self::source(seed, low_u16(seed)), u64::from(words), seed >> 32];
                self.push(OPCODE_FILL, CommandFlags::default(), 1, words, &[], None);
            }
            _ => unreachable!("no command"),
        }
    }

    fn ended(index: u16, head: CommandHead, status: u16) -> Done {
        Done {
            valid: true,
            status: Uint(status),
            notify: head.flags.notify,
            tokens: head.signal_tokens,
            index: Uint(index),
        }
    }

    /// A command was taken: what must follow.
    fn taken(&mut self, coverage: &mut Coverage) {
        let (index, work, head) = self.waiting.pop_front().expect("it was offered");
        self.offered = false;
        let command = CommandHead::from_bits(work[0].0);
        let source = CommandSource::from_bits(work[1].0);
        let shape = CommandShape::from_bits(work[3].0);
        let (line, flags) = (source.address.0 / AXI_BYTES as u64, command.flags);
        let quiet = self.requests.is_empty() && self.memory.is_empty() && self.expected.is_empty();
        let others = !quiet;
        match command.opcode.0 {
            OPCODE_GEMV => {
                self.weights(line, flags.int8, shape, coverage);
                self.arrays.push_back((index, work, None));
                self.due = quiet.then_some(self.now + 3);
            }
            OPCODE_FILL => {
                let words = low_u16(shape.count.0);
                let target = Target::Bank { region: Region::Resident, address: source.bank.0, head: 0 };
                self.requests.push_back(Run { line, words, target, room: 0 });
                self.staying = words;
                let lines = line..line + u64::from(words.div_ceil(self.parts()));
                let failed = lines.clone().any(|line| refused(self.case.seed, line, self.case.errors));
                coverage.hit_if(failed, CORNERS[20]);
                coverage.hit_if(words == 1, CORNERS[21]);
                coverage.hit_if(words > 300, CORNERS[22]);
                coverage.hit_if(!words.is_multiple_of(self.parts()), CORNERS[33]);
                let status = if failed { STATUS_READ_ERROR } else { STATUS_DONE };
                self.dones.push_back(Self::ended(index, command, status));
                self.due = quiet.then_some(self.now + 2);
            }
            _ => self.attend((index, work), head.expect("a head"), coverage),
        }
        coverage.hit_if(others, CORNERS[25]);
    }

    /// Array words of W follow each other from tile to tile; so do requests, one for each tile.
    fn weights(&mut self, mut line: u64, int8: bool, shape: CommandShape, coverage: &mut Coverage) {
        let (features, inputs) = (shape.count.0, shape.length.0);
        let per_chunk = 32 * self.geometry.segments as u64 * if int8 { 1 } else { 2 };
        let chunks = inputs.div_ceil(per_chunk);
        for first in (0..features).step_by(PSUM_SLOTS) {
            let of_tile = (features - first).min(PSUM_SLOTS as u64);
            let words = low_u16(chunks * (of_tile + of_tile.div_ceil(if int8 { 32 } else { 16 })));
            self.requests.push_back(Run { line, words, target: Target::Weight, room: 0 });
            line += u64::from(words / self.parts());
            coverage.hit_if(!words.is_multiple_of(self.parts()), CORNERS[34]);
        }
        coverage.hit_if(features == 1, CORNERS[1]);
        coverage.hit_if(features > 64 && !features.is_multiple_of(64), CORNERS[2]);
        coverage.hit_if(chunks == 128, CORNERS[3]);
        coverage.hit_if(int8, CORNERS[4]);
    }

    /// A head: the tiles that any row sees, K ahead of V.
    fn attend(&mut self, (index, work): (u16, WorkWords), head: Head, coverage: &mut Coverage) {
        let command = CommandHead::from_bits(work[0].0);
        let source = CommandSource::from_bits(work[1].0);
        let position = |row: usize| work[4 + row / 2].0 >> (32 * (row % 2)) & 0xffff_ffff;
        let (tokens, window) = (u64::from(head.tokens), u64::from(head.window));
        let seen = (0..usize::from(command.rows.0)).filter_map(|row| {
            let after = position(row) + 1;
            let first = if window == 0 { 0 } else { after.saturating_sub(window) };
            let end = if head.causal { tokens.min(after) } else { tokens };
            (first < end).then_some((first, end))
        });
        let seen: Vec<_> = seen.collect();
        let base = if head.resident { source.bank.0 } else { self.place };
        let offered = Command {
            valid: true,
            resident: head.resident,
            int8: head.int8,
            wide: head.wide,
            causal: head.causal,
            window: Wide(window),
            tokens: Wide(tokens),
            base: Uint(base),
        };
        let (Some(low), Some(high)) = (seen.iter().map(|k| k.0).min(), seen.iter().map(|k| k.1).max()) else {
            coverage.hit(CORNERS[7]);
            self.dones.push_back(Self::ended(index, command, STATUS_NO_KEYS));
            self.command = Some(Offered { command: offered, head, runs: VecDeque::new(), start: None });
            return;
        };
        coverage.hit_if(head.resident, CORNERS[8]);
        let runs =
            if head.resident { VecDeque::new() } else { self.tiles_of(head, low, high, source, coverage) };
        self.command = Some(Offered { command: offered, head, runs, start: Some((index, work)) });
    }

    fn tiles_of(
        &self,
        head: Head,
        low: u64,
        high: u64,
        source: CommandSource,
        coverage: &mut Coverage,
    ) -> VecDeque<Run> {
        let shape = HeadShape::new(self.geometry.segments, head.int8, head.wide);
        let of_tile = shape.tile_tokens() as u64;
        let words = low_u16(shape.tile_words(head.int8) as u64);
        let values = low_u16(32 * shape.parts as u64);
        let (first, end) = (low / of_tile, high.div_ceil(of_tile));
        let line = source.address.0 / AXI_BYTES as u64;
        let keys = words - values;
        let run = |tile: u64, value: bool| {
            let of_head = low_u16(tile - first).wrapping_mul(words);
            let offset = if value { keys } else { 0 };
            let region = if value { Region::Value } else { Region::Key };
            let address = self.place.wrapping_add(of_head).wrapping_add(offset);
            let parts = u64::from(self.parts());
            Run {
                line: line + (tile * u64::from(words) + u64::from(offset)) / parts,
                words: if value { values } else { keys },
                target: Target::Bank { region, address, head: 0 },
                room: if value { 0 } else { words },
            }
        };
        let ahead = u64::from((self.capacity() / words).clamp(1, TILES_AHEAD));
        let mut runs = VecDeque::new();
        for tile in first..end + ahead {
            // The V that K has run ahead of goes first.
            if tile >= first + ahead {
                runs.push_back(run(tile - ahead, true));
            }
            if tile < end {
                runs.push_back(run(tile, false));
            }
        }
        let count = end - first;
        coverage.hit_if(shape.groups == 2, CORNERS[0]);
        coverage.hit_if(first > 0, CORNERS[9]);
        coverage.hit_if(first > 10_000, CORNERS[10]);
        coverage.hit_if(count == 1, CORNERS[11]);
        coverage.hit_if(count > u64::from(TILES_AHEAD) + 1, CORNERS[12]);
        coverage.hit_if(head.int8 && head.wide, CORNERS[13]);
        coverage.hit_if(self.pinned, CORNERS[14]);
        coverage.hit_if(ahead < u64::from(TILES_AHEAD) && count > 1, CORNERS[32]);
        let ring = u64::from(self.capacity());
        let place = u64::from(self.place);
        coverage.hit_if(place / ring != (place + count * u64::from(words)) / ring, CORNERS[15]);
        runs
    }

    /// The engine has answered to a head.
    fn answered(&mut self, coverage: &mut Coverage) {
        let (started, refused) = (self.table.started(), self.table.refused());
        if !started.valid && !refused.valid {
            return;
        }
        let Offered { head, runs, start, .. } = self.command.take().expect("a head was taken");
        assert_eq!(start.is_some(), started.valid, "the engine and the bench agree");
        let Some((index, work)) = start else { return };
        let shape = HeadShape::new(self.geometry.segments, head.int8, head.wide);
        let words = low_u16(shape.tile_words(head.int8) as u64);
        let tiles = low_u16(runs.iter().filter(|run| run.room != 0).count() as u64);
        let quiet = self.requests.is_empty() && self.memory.is_empty() && self.expected.is_empty();
        self.due = (quiet && tiles != 0 && self.room() >= words).then_some(self.now + 3);
        self.place = self.place.wrapping_add(tiles.wrapping_mul(words));
        for mut run in runs {
            if let Target::Bank { head, .. } = &mut run.target {
                *head = started.head.0;
            }
            self.requests.push_back(run);
        }
        self.arrays.push_back((index, work, Some(started.head.0)));
        self.active.push_back(Active { head: started.head, taken: false, tiles });
        coverage.hit_if(self.active.len() == CONTEXTS && !self.waiting.is_empty(), CORNERS[23]);
    }

    /// Words of the banks that no tile has.
    fn room(&self) -> u16 {
        self.capacity() - self.tiles.iter().map(|tile| tile.words).sum::<u16>()
    }

    // ---- checks ----

    /// What waits does not change.
    fn check_held(&self, o: &Outputs) -> Result<(), DutError> {
        let Some((was, i)) = &self.last else { return Ok(()) };
        let held = [
            (was.request_o.valid && !i.request_ready_i, was.request_o == o.request_o),
            (was.fill_o.valid && !i.fill_ready_i, was.fill_o == o.fill_o && was.fill_data_o == o.fill_data_o),
            (
                was.weight_valid_o && !i.weight_ready_i,
                o.weight_valid_o && was.weight_o == o.weight_o && was.weight_fault_o == o.weight_fault_o,
            ),
            (
                was.array_valid_o && !i.array_ready_i,
                o.array_valid_o && was.array_work_o == o.array_work_o && was.array_index_o == o.array_index_o,
            ),
            (was.done_o.valid && !i.done_ready_i, was.done_o == o.done_o),
            (was.command_o.valid && !i.command_ready_i, was.command_o == o.command_o),
            (was.work_ready_o && !i.work_valid_i, o.work_ready_o),
        ];
        match held.iter().position(|&(waits, same)| waits && !same) {
            Some(what) => Err(wrong(format!("{what} waited as {was:x?} and is {o:x?}"))),
            None => Ok(()),
        }
    }

    fn check_request(&self, request: ReadRequest) -> Result<(), DutError> {
        if let Some(due) = self.due
            && due == self.now
            && !request.valid
        {
            return Err(wrong("a request comes late".to_owned()));
        }
        if !request.valid {
            return Ok(());
        }
        let Some(next) = self.requests.front() else {
            return Err(wrong(format!("{request:x?} that nobody wants")));
        };
        let words = next.words.div_ceil(self.parts());
        let want =
            ReadRequest { valid: true, address: Wide(next.line * AXI_BYTES as u64), words: Uint(words) };
        if request != want {
            return Err(wrong(format!("{request:x?}, expected {want:x?}")));
        }
        if next.room > self.room() {
            return Err(wrong(format!("{request:x?} without room: {} of {}", self.room(), next.room)));
        }
        Ok(())
    }

    /// The word that is out.
    fn check_word(&self, o: &Outputs) -> Result<(), DutError> {
        let held = self.last.as_ref().is_some_and(|(was, i)| {
            was.fill_o.valid && !i.fill_ready_i || was.weight_valid_o && !i.weight_ready_i
        });
        let front = self.expected.front();
        let mut fault = HeadStart::default();
        match front {
            None if o.fill_o.valid || o.weight_valid_o => {
                return Err(wrong(format!("a word that nobody asked for: {:x?}", o.fill_o)));
            }
            None => {}
            Some(next) => {
                // A word is out a cycle after it came; what is behind it follows without a gap.
                let bytes =
                    |port: &[Uint<8>]| port.iter().zip(&next.bytes).all(|(a, &b)| a.0 == u16::from(b));
                let fits = match next.target {
                    Target::Weight => {
                        !o.fill_o.valid
                            && o.weight_valid_o
                            && bytes(&o.weight_o)
                            && o.weight_fault_o == next.error
                    }
                    Target::Bank { region, address, head } => {
                        fault =
                            HeadStart { valid: next.error && region != Region::Resident, head: Uint(head) };
                        let want = BankFill { valid: true, region, address: Uint(address) };
                        !o.weight_valid_o && o.fill_o == want && bytes(&o.fill_data_o)
                    }
                };
                if !fits {
                    let got = (o.fill_o, o.weight_valid_o, o.weight_fault_o, &o.fill_data_o[..8]);
                    return Err(wrong(format!("{got:x?}, expected {next:x?}")));
                }
            }
        }
        let fits = o.fault_o.valid == (fault.valid && !held) && (!o.fault_o.valid || o.fault_o == fault);
        if fits { Ok(()) } else { Err(wrong(format!("fault {:?}, expected {fault:?}", o.fault_o))) }
    }

    fn check_commands(&self, o: &Outputs) -> Result<(), DutError> {
        // The array is told at once.
        if o.array_valid_o == self.arrays.is_empty() {
            return Err(wrong(format!("a command for the array: {}", o.array_valid_o)));
        }
        if let Some((index, work, _)) = self.arrays.front() {
            let fits = o.array_index_o.0 == *index && o.array_work_o == *work;
            if !fits {
                return Err(wrong(format!("the array gets {:x?}, not {work:x?}", o.array_work_o)));
            }
        }
        if o.command_o.valid {
            let Some(Offered { command, .. }) = &self.command else {
                return Err(wrong(format!("a head from nowhere: {:?}", o.command_o)));
            };
            if *command != o.command_o {
                return Err(wrong(format!("{:?}, expected {command:?}", o.command_o)));
            }
        }
        if o.done_o.valid && (self.dones.front() != Some(&o.done_o) || self.staying != 0) {
            let (done, staying) = (self.dones.front(), self.staying);
            return Err(wrong(format!("{:?}, expected {done:?}, {staying} words unwritten", o.done_o)));
        }
        Ok(())
    }

    fn check_activity(&self, o: &Outputs) -> Result<(), DutError> {
        let Some((was, i)) = &self.last else { return Ok(()) };
        let activity = o.activity_o;
        let stalled = was.fill_o.valid && !i.fill_ready_i || was.weight_valid_o && !i.weight_ready_i;
        // The request behind the one that is out may wait for room.
        let room = self.requests.iter().take(2).any(|run| run.room > 0);
        let works = was.fill_o.valid || was.weight_valid_o || !was.work_ready_o;
        let may_starve = !i.word_i.valid && !activity.blocked;
        let fits = [
            !works || activity.busy,
            activity.busy || !activity.starved && !activity.blocked,
            !stalled || activity.blocked,
            !activity.blocked || stalled || room,
            may_starve || !activity.starved,
        ];
        let fits = fits.into_iter().all(|fits| fits);
        if fits { Ok(()) } else { Err(wrong(format!("{activity:?} after {was:?}"))) }
    }

    // ---- what is around it ----

    /// The memory's next word.
    fn give(&mut self, i: &mut Inputs) {
        if self.offered_word.is_none()
            && self.goes(1)
            && let Some(&(due, run, given, error)) = self.memory.front()
            && due <= self.now
        {
            let line = run.line + u64::from(given);
            let last = given + 1 == run.words.div_ceil(self.parts());
            let error = error || refused(self.case.seed, line, self.case.errors);
            let word = ReadWord { valid: true, first: given == 0, last, error };
            self.offered_word = Some((word, content(self.case.seed, line)));
        }
        if let Some((word, data)) = self.offered_word {
            (i.word_i, i.data_i) = (word, data);
        }
    }

    /// A word of memory was taken: the words of the array in it.
    fn take_word(&mut self, coverage: &mut Coverage) {
        let (word, data) = self.offered_word.take().expect("it was offered");
        let parts = self.parts();
        let (_, run, given, error) = self.memory.front_mut().expect("a request");
        let run = *run;
        let from = *given * parts;
        *given += 1;
        *error = word.error;
        let size = self.geometry.word_bytes();
        for n in from..(from + parts).min(run.words) {
            let at = usize::from(n - from) * size;
            let target = match run.target {
                Target::Weight => Target::Weight,
                Target::Bank { region, address, head } => {
                    Target::Bank { region, address: address.wrapping_add(n), head }
                }
            };
            let bytes = data.bytes()[at..at + size].to_vec();
            self.expected.push_back(Expected { target, bytes, error: word.error, first: n == 0 });
        }
        let bank = |wanted: &dyn Fn(Region) -> bool| match run.target {
            Target::Weight => false,
            Target::Bank { region, .. } => wanted(region),
        };
        coverage.hit_if(word.error && run.target == Target::Weight, CORNERS[6]);
        coverage.hit_if(word.error && bank(&|region| region != Region::Resident), CORNERS[19]);
        if word.last {
            self.memory.pop_front();
        }
    }

    /// A fill that was taken is written some time; a tile that is written is released some time, and a head whose tiles
    /// all are is done some time.
    fn banks(&mut self, i: &mut Inputs) -> HeadStart {
        if self.goes(6)
            && let Some(fill) = self.unwritten.pop_front()
        {
            i.written_i = fill;
            let mut tiles = self.tiles.iter_mut();
            match fill.region {
                Region::Key => tiles.find(|tile| tile.keys > 0).expect("a tile").keys -= 1,
                Region::Value => tiles.find(|tile| tile.values > 0).expect("a tile").values -= 1,
                _ => self.staying -= 1,
            }
        } else if self.hold == 0
            && self.goes(6)
            && self.tiles.front().is_some_and(|tile| tile.keys == 0 && tile.values == 0)
        {
            self.tiles.pop_front();
            let head = self.active.iter_mut().find(|head| head.tiles > 0);
            head.expect("a tile is of a head").tiles -= 1;
            i.released_i = true;
        }
        self.hold = self.hold.saturating_sub(1);
        if self.goes(6) && self.active.front().is_some_and(|head| head.taken && head.tiles == 0) {
            let head = self.active.pop_front().expect("it is there").head;
            return HeadStart { valid: true, head };
        }
        HeadStart::default()
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let o = self.dut.outputs();
        self.check_held(&o)?;
        self.check_request(o.request_o)?;
        self.check_word(&o)?;
        self.check_commands(&o)?;
        self.check_activity(&o)?;

        let mut i = self.noise();
        self.offered |= !self.waiting.is_empty() && self.goes(7);
        if self.offered {
            let (index, work, _) = self.waiting.front().expect("a command");
            (i.work_valid_i, i.work_index_i, i.work_i) = (true, Uint(*index), *work);
        }
        i.request_ready_i = self.goes(0);
        i.fill_ready_i = self.goes(2);
        i.weight_ready_i = self.goes(3);
        i.array_ready_i = self.goes(4);
        i.command_ready_i = self.table.command_ready() && self.goes(4);
        i.done_ready_i = self.goes(5);
        (i.started_i.valid, i.refused_i.valid) = (self.table.started().valid, self.table.refused().valid);
        if i.started_i.valid {
            i.started_i = self.table.started();
            i.started_info_i = self.table.heads()[usize::from(i.started_i.head.0)];
        }
        self.give(&mut i);
        let full = o.request_o.valid || self.requests.front().is_none_or(|run| run.room <= self.room());
        coverage.hit_if(!full && self.now > 0 && self.memory.is_empty(), CORNERS[16]);
        let done = self.banks(&mut i);
        self.cover(&o, &i, coverage);

        // What was taken in this cycle.
        self.answered(coverage);
        let command = Command { valid: o.command_o.valid && i.command_ready_i, ..o.command_o };
        self.table.clock(command, &o.positions_o, &o.rows_o, done);
        let taken = (o.fill_o.valid && i.fill_ready_i) || (o.weight_valid_o && i.weight_ready_i);
        if taken {
            self.expected.pop_front();
            self.span = (if self.dealt == 0 { self.now } else { self.span.0 }, self.now);
            self.dealt += 1;
        }
        if o.fill_o.valid && i.fill_ready_i {
            self.unwritten.push_back(o.fill_o);
        }
        self.run = if taken { self.run + 1 } else { 0 };
        if i.word_i.valid && o.word_ready_o {
            self.take_word(coverage);
        }
        if o.request_o.valid && i.request_ready_i {
            let run = self.requests.pop_front().expect("it was checked");
            if run.room > 0 {
                let keys = run.words;
                self.tiles.push_back(Tile { words: run.room, keys, values: run.room - keys });
            }
            self.memory.push_back((self.now + u64::from(self.case.latency), run, 0, false));
        }
        if o.array_valid_o && i.array_ready_i {
            let (.., context) = self.arrays.pop_front().expect("it was checked");
            if context.is_some() {
                let head = self.active.iter_mut().find(|head| !head.taken);
                head.expect("it was started").taken = true;
            }
        }
        if o.done_o.valid && i.done_ready_i {
            self.dones.pop_front();
        }
        let begins = i.work_valid_i && o.work_ready_o;
        if begins {
            self.taken(coverage);
        }
        let moved = taken || begins || i.written_i.valid || i.released_i || o.request_o.valid;
        self.idle = if moved { 0 } else { self.idle + 1 };
        self.dut.clock(true, &mut i)?;
        self.last = Some((o, i));
        self.now += 1;
        Ok(())
    }

    fn cover(&self, o: &Outputs, i: &Inputs, coverage: &mut Coverage) {
        coverage.hit_if(o.weight_valid_o && !i.weight_ready_i, CORNERS[5]);
        coverage.hit_if(i.released_i && o.request_o.valid, CORNERS[17]);
        coverage.hit_if(o.fill_o.valid && !i.fill_ready_i, CORNERS[18]);
        coverage.hit_if(o.array_valid_o && !i.array_ready_i, CORNERS[24]);
        coverage.hit_if(self.memory.len() == 8, CORNERS[26]);
        coverage.hit_if(o.done_o.valid && !i.done_ready_i, CORNERS[27]);
        coverage.hit_if(self.run == 64, CORNERS[28]);
        let first = self.expected.front().is_some_and(|word| word.first);
        coverage.hit_if(first && self.run > 1, CORNERS[29]);
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.idle = 0;
        loop {
            let left = self.waiting.len() + self.requests.len() + self.memory.len() + self.expected.len();
            let left = left + self.arrays.len() + self.dones.len() + self.tiles.len() + self.unwritten.len();
            if left == 0 && self.command.is_none() && self.active.is_empty() {
                break;
            }
            if self.idle > 8000 {
                return Err(wrong(format!("nothing comes any more, {left} things are missing")));
            }
            self.clock(coverage)?;
        }
        self.clocks(3, coverage)?;
        let activity = self.dut.outputs().activity_o;
        if activity.busy { Err(wrong("busy with nothing".to_owned())) } else { Ok(()) }
    }

    fn clocks(&mut self, cycles: u16, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..cycles).try_for_each(|_| self.clock(coverage))
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Gemv { .. } | Op::Attend { .. } | Op::Fill { .. } => self.issue(op),
            Op::Run(cycles) => self.clocks(cycles, coverage)?,
            Op::Pin(pinned) => {
                self.settle(coverage)?;
                self.pinned = pinned;
            }
            Op::Hold(cycles) => self.hold = cycles,
            Op::Reset(after) => {
                self.clocks(u16::from(after), coverage)?;
                coverage.hit_if(!self.memory.is_empty(), CORNERS[30]);
                coverage.hit_if(self.expected.len() > 1, CORNERS[31]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

/// Words that are dealt out per cycle, from the first to the last, when nothing stalls and memory answers after so many cycles.
///
/// # Errors
/// What the device found wrong, or [`WrongAnswer`].
pub fn words_per_cycle(
    bench: StreamBench,
    dut: &mut dyn Dut<StreamUnit>,
    latency: u8,
    ops: Vec<Op>,
) -> Result<f64, DutError> {
    let case = Case { latency, stalls: [0; 8], errors: 0, ops, seed: 1 };
    let mut driver = Driver::new(bench.geometry, &case, dut)?;
    let mut coverage = Coverage::default();
    case.ops.iter().try_for_each(|&op| driver.run(op, &mut coverage))?;
    driver.settle(&mut coverage)?;
    let cycles = u32::try_from(driver.span.1 + 1 - driver.span.0)?;
    Ok(f64::from(driver.dealt) / f64::from(cycles))
}

fn heads(geometry: Geometry) -> impl Strategy<Value = Head> {
    let ring = u32::try_from(geometry.words()).expect("few words");
    // In tiles of 68 words, tokens that fill the ring once and a half.
    let full = 32 * (ring / 68) * 3 / 2;
    let last = (1u32 << POSITION_BITS) - 1;
    let keys = prop_oneof![4 => 1..40u32, 6 => 1..500u32, 1 => full - 400..full];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop_oneof![4 => Just(false), 1 => Just(true)]);
    let near = (Just(0u32), 0..600u32, 0..40u32);
    let window = (1..200u32, 0..900u32, 0..60u32);
    let far = (1..200u32, last - 3000..last, 0..60u32);
    let (any_keys, rows) = (keys, any::<u8>());
    let shape = prop_oneof![
        5 => (any_keys.clone(), near.clone()),
        3 => (any_keys, window),
        1 => (last - 3000..=last, far),
    ];
    (flags, rows, shape).prop_map(|((int8, wide, causal, resident), rows, (tokens, seen))| {
        let (window, position, step) = seen;
        // Of a session that long only a window can be streamed, and nobody may look beyond its end.
        let causal = causal || tokens > 100_000;
        Head { int8, wide, causal, resident, rows, tokens, window, position, step }
    })
}

fn ops(geometry: Geometry) -> impl Strategy<Value = Op> {
    let features = prop_oneof![4 => 1..200u32, 2 => (1..5u32).prop_map(|tiles| 64 * tiles), 1 => Just(1)];
    let gemv = (any::<bool>(), features, 1..20u16, any::<u64>());
    let long = (any::<bool>(), 1..4u32, Just(u16::MAX), any::<u64>());
    let words = prop_oneof![2 => Just(1), 3 => 1..40u16, 1 => 300..500u16];
    let product = |(int8, features, blocks, seed)| Op::Gemv { int8, features, blocks, seed };
    prop_oneof![
        4 => gemv.prop_map(product),
        1 => long.prop_map(product),
        8 => (heads(geometry), any::<u64>()).prop_map(|(head, seed)| Op::Attend { head, seed }),
        2 => (words, any::<u64>()).prop_map(|(words, seed)| Op::Fill { words, seed }),
        2 => (0..300u16).prop_map(Op::Run),
        1 => any::<bool>().prop_map(Op::Pin),
        1 => prop_oneof![3 => 0..600u16, 1 => Just(6000)].prop_map(Op::Hold),
        1 => any::<u8>().prop_map(Op::Reset),
    ]
}

impl Bench for StreamBench {
    type Block = StreamUnit;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        if self.geometry.segments == 1 { &CORNERS[1..] } else { &CORNERS[..32] }
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let stall = || prop_oneof![4 => Just(0u8), 2 => 0..200u8, 1 => Just(230)];
        let stalls = [stall(), stall(), stall(), stall(), stall(), stall(), stall(), stall()];
        let errors = prop_oneof![3 => Just(0), 1 => 1..20u8];
        let latency = prop_oneof![1..10u8, any::<u8>()];
        let case = (latency, stalls, errors, vec(ops(self.geometry), 1..10), any::<u64>());
        case.prop_map(|(latency, stalls, errors, ops, seed)| Case { latency, stalls, errors, ops, seed })
            .boxed()
    }

    fn model(&self) -> StreamUnit {
        StreamUnit::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<StreamUnit>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(self.geometry, case, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        coverage.add_cycles(driver.now);
        Ok(())
    }
}
