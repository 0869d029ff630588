// SPDX-License-Identifier: Apache-2.0
//! Random programs: legal commands whose every dependency is respected by tokens and nothing else, illegal ones between them.
//!
//! What a command reads and writes is noted as ranges; a later command that conflicts with an earlier one waits for its token, and
//! only as early as it must. What the units keep in order by themselves is not waited for.

use std::ops::Range;

use tandem_model::array::Geometry;
use tandem_model::attention::types::HeadShape;
use tandem_model::block::{low_u8, low_u16};
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    CommandFlags, OPCODE_APPEND, OPCODE_ATTEND, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPCODE_NOP,
    OPERAND_CHUNKS, SCOREBOARD_TOKENS, STATUS_DONE, STATUS_WRITE_ERROR,
};
use tandem_model::layout::{Blocks, pack_operands, pack_records, pack_region, pack_weights};
use tandem_model::numerics::{MxFp4Block, MxInt8Block};
use tandem_model::reference::command;
use tandem_model::reference::image::{Image, WORD_BYTES};
use tandem_model::reference::program::Machine;

use super::MEMORY_END;
use crate::memory::contents::Contents;
use crate::memory::port::{Data, WORD};
use crate::random::{Flavour, Source};

/// What a step is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// An operand that something later may use.
    Load,
    /// A product, with its Load where none of the right shape is there.
    Gemv,
    /// A head, with all that it needs.
    Attend,
    /// Tokens for a session.
    Append,
    /// Nothing, after some tokens.
    Nop,
    /// A command that is refused.
    Illegal,
}

/// One or a few commands; what is too much for the core is taken modulo what is not.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// What.
    pub what: What,
    /// MXINT8.
    pub int8: bool,
    /// Head of 128.
    pub wide: bool,
    /// Rows, less one.
    pub rows: u8,
    /// Blocks of the contraction, less one.
    pub blocks: u8,
    /// Features or tokens, less one.
    pub count: u8,
    /// Something cannot be read or written.
    pub bad: bool,
    /// Everything else.
    pub seed: u32,
}

/// What the banks are used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Banks {
    /// Tiles that stream.
    Streamed,
    /// Heads that stay.
    Resident,
    /// The lower half for heads that stay, the upper for tiles that stream.
    Pinned,
}

/// A program, and what it must do.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its commands.
    pub commands: Vec<[u64; 8]>,
    /// How they end.
    pub statuses: Vec<u8>,
    /// Memory afterwards.
    pub image: Image,
    /// Where it may have written.
    pub written: Vec<Range<u64>>,
    /// What is in it.
    pub corners: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Space {
    Memory,
    Operands,
    Banks,
}

/// Who puts accesses in order by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Loader,
    Appender,
    Stream,
    Results,
    Array,
}

#[derive(Clone, Debug)]
struct Access {
    space: Space,
    range: Range<u64>,
    write: bool,
    unit: Unit,
}

impl Access {
    /// `self` may come before `earlier` is done, were it not waited for.
    fn conflicts(&self, earlier: &Self) -> bool {
        let overlap = self.space == earlier.space
            && self.range.start < earlier.range.end
            && earlier.range.start < self.range.end;
        // A unit writes in order; the stream unit is done with a Fill before it takes the next command.
        let ordered = self.unit == earlier.unit && earlier.write && (self.write || self.unit == Unit::Stream);
        overlap && (self.write || earlier.write) && !ordered
    }

    /// The array's use of it is what must wait.
    fn is_late(&self) -> bool {
        matches!(self.unit, Unit::Array | Unit::Results)
    }
}

#[derive(Clone, Debug)]
struct Planned {
    command: Command,
    status: u8,
    accesses: Vec<Access>,
    refused: bool,
}

/// Chunks of operands that a Load has filled.
#[derive(Clone, Debug)]
struct Loaded {
    int8: bool,
    grouped: bool,
    blocks: usize,
    chunks: Range<usize>,
}

/// Tiles of K and V, in memory or in the banks.
#[derive(Clone, Debug)]
struct Session {
    int8: bool,
    wide: bool,
    tokens: usize,
    address: u64,
}

#[derive(Clone, Debug)]
struct Weights {
    int8: bool,
    blocks: usize,
    features: usize,
    address: u64,
}

/// Makes programs, one after the other, that run in one memory.
pub struct Generator {
    geometry: Geometry,
    /// Where commands may write.
    pub bounds: Range<u64>,
    /// Writes in here are refused by the memory.
    pub faulty: Range<u64>,
    banks: Banks,
    tokens: u64,
    outside: u64,
    inside: u64,
    /// What memory holds that no command has written.
    pub stores: Vec<(u64, Data)>,
    /// Words within the bounds that commands may overwrite.
    places: Vec<(u64, usize)>,
    weights: Vec<Weights>,
    sessions: Vec<Session>,
    machine: Machine,
    loaded: Vec<Loaded>,
    resident: Vec<(usize, Session)>,
    plan: Vec<Planned>,
    corners: Vec<&'static str>,
    chance: Source,
}

fn small(n: usize) -> u8 {
    u8::try_from(n).expect("a byte")
}

fn word(n: usize) -> u32 {
    u32::try_from(n).expect("32 bits")
}

fn opcode(opcode: u16) -> u8 {
    low_u8(opcode.into())
}

fn memory(at: u64, words: usize, write: bool, unit: Unit) -> Access {
    Access { space: Space::Memory, range: at..at + WORD * words as u64, write, unit }
}

fn part(space: Space, range: Range<usize>, write: bool, unit: Unit) -> Access {
    Access { space, range: range.start as u64..range.end as u64, write, unit }
}

fn words_of(bytes: &[u8]) -> usize {
    bytes.len().div_ceil(WORD_BYTES)
}

impl Generator {
    /// `tokens` of the tokens are used where they are enough. With `faults` the memory refuses some writes.
    #[must_use]
    pub fn new(geometry: Geometry, banks: Banks, tokens: u64, faults: bool, seed: u64) -> Self {
        let mut chance = Source::new(seed, Flavour::Plain);
        let outside = ((1 + chance.below(100)) << 32) + WORD * chance.below(1 << 26);
        let start = ((128 + chance.below(100)) << 32) + WORD * chance.below(1 << 26);
        let bounds = start..start + 0x40_0000;
        let faulty = if faults { start + 0x30_0000..bounds.end } else { bounds.end..bounds.end };
        let machine = Self::machine(geometry, &bounds, Image::new(0..MEMORY_END));
        Self {
            geometry,
            bounds,
            faulty,
            banks,
            tokens,
            outside,
            inside: start,
            stores: Vec::new(),
            places: Vec::new(),
            weights: Vec::new(),
            sessions: Vec::new(),
            machine,
            loaded: Vec::new(),
            resident: Vec::new(),
            plan: Vec::new(),
            corners: Vec::new(),
            chance,
        }
    }

    fn machine(geometry: Geometry, bounds: &Range<u64>, image: Image) -> Machine {
        let core = command::Core {
            rows: geometry.rows,
            segments: geometry.segments,
            bank_words: geometry.words(),
            bounds: bounds.clone(),
        };
        Machine::new(core, image)
    }

    /// The core was reset; memory is now as it is here. Nothing is known of operands and banks, and only of those words of
    /// memory that no program was to write does anyone say what they are good for.
    pub fn restart(&mut self, contents: &Contents) {
        let mut image = Image::new(0..MEMORY_END);
        for (address, written) in contents.written() {
            image.write(address, &contents.read_word(address).0, written);
        }
        self.machine = Self::machine(self.geometry, &self.bounds, image);
        self.stores.clear();
        self.loaded.clear();
        self.resident.clear();
    }

    /// A program of these steps. What would use anything undefined is left out.
    pub fn program(&mut self, steps: &[Step]) -> Program {
        self.plan.clear();
        self.corners.clear();
        for step in steps {
            let flavour = if step.seed.is_multiple_of(8) { Flavour::WildScales } else { Flavour::Plain };
            self.chance = Source::new(step.seed.into(), flavour);
            match step.what {
                What::Load => self.any_load(step),
                What::Gemv => self.gemv(step),
                What::Attend => self.attend(step),
                What::Append => self.append(step),
                What::Nop => self.nop(),
                What::Illegal => self.illegal(step),
            }
        }
        let (commands, statuses) = self.with_tokens();
        let written = self.plan.iter().flat_map(|planned| &planned.accesses);
        let written = written.filter(|a| a.write && a.space == Space::Memory).map(|a| a.range.clone());
        Program {
            commands,
            statuses,
            image: self.machine.image.clone(),
            written: written.collect(),
            corners: self.corners.clone(),
        }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    fn number(&mut self, below: usize) -> usize {
        usize::try_from(self.chance.below(below as u64)).expect("it is below a usize")
    }

    fn hit(&mut self, condition: bool, corner: &'static str) {
        if condition {
            self.corners.push(corner);
        }
    }

    fn fp4(&mut self, count: usize) -> Vec<MxFp4Block> {
        (0..count).map(|_| self.chance.fp4_block()).collect()
    }

    fn eight(&mut self, count: usize) -> Vec<MxInt8Block> {
        (0..count).map(|_| self.chance.int8_block()).collect()
    }

    // ---- memory ----

    fn allocate(&mut self, inside: bool, words: usize) -> u64 {
        // What lies behind cannot be read, now and then.
        let gap = self.chance.below(3);
        let next = if inside { &mut self.inside } else { &mut self.outside };
        let at = *next;
        *next += WORD * (words as u64 + gap);
        at
    }

    /// Memory that holds these bytes. With `bad` a word of it cannot be read.
    fn store(&mut self, inside: bool, bytes: &[u8], bad: bool) -> u64 {
        let words = words_of(bytes);
        let at = self.allocate(inside, words);
        let hole = if bad { Some(self.number(words)) } else { None };
        for (i, chunk) in bytes.chunks(WORD_BYTES).enumerate() {
            let mut data: Data = [0; WORD_BYTES];
            data[..chunk.len()].copy_from_slice(chunk);
            if hole != Some(i) {
                let address = at + WORD * i as u64;
                self.machine.image.write(address, &data, u64::MAX);
                self.stores.push((address, data));
            }
        }
        if inside && !bad {
            self.places.push((at, words));
        }
        at
    }

    /// Words within the bounds, so many, that something else has written or is to read.
    fn place(&mut self, words: usize) -> Option<u64> {
        let fit: Vec<_> = self.places.iter().copied().filter(|&(_, room)| room >= words).collect();
        if fit.is_empty() {
            return None;
        }
        let (at, room) = fit[self.number(fit.len())];
        Some(at + WORD * self.chance.below((room - words + 1) as u64))
    }

    /// Memory to be read: these bytes, or whatever a place holds.
    fn source(&mut self, bytes: &[u8], bad: bool) -> u64 {
        if !bad
            && self.one_in(4)
            && let Some(at) = self.place(words_of(bytes))
        {
            self.hit(true, "something else is read as data");
            return at;
        }
        let inside = self.one_in(2);
        self.store(inside, bytes, bad)
    }

    /// Memory to be written with results, none of `source`: a command that overwrote what it reads would be undefined.
    fn destination(&mut self, words: usize, bad: bool, source: &Range<u64>) -> u64 {
        if !self.faulty.is_empty() && (bad || self.one_in(6)) {
            return self.faulty.start + WORD * self.chance.below(16);
        }
        if self.one_in(3)
            && let Some(at) = self.place(words)
            && (at >= source.end || at + WORD * words as u64 <= source.start)
        {
            return at;
        }
        let at = self.allocate(true, words);
        self.places.push((at, words));
        at
    }

    // ---- commands ----

    /// Puts a command into the program, unless it uses what nothing has defined. Says how it ends.
    fn push(&mut self, command: Command, accesses: Vec<Access>) -> Option<u16> {
        let mut status = self.machine.run(&command.words()).ok()?;
        for access in accesses.iter().filter(|a| a.write && a.space == Space::Memory) {
            let Range { start, end } = access.range;
            if start < self.faulty.end && self.faulty.start < end {
                let places = (start.max(self.faulty.start)..end.min(self.faulty.end)).step_by(WORD_BYTES);
                places.for_each(|at| self.machine.image.forget(at, u64::MAX));
                if u16::from(status) == STATUS_DONE {
                    status = opcode(STATUS_WRITE_ERROR);
                }
            }
        }
        self.plan.push(Planned { command, status, accesses, refused: false });
        Some(status.into())
    }

    fn load(&mut self, int8: bool, grouped: bool, rows: usize, blocks: usize, bad: bool) -> Option<Loaded> {
        let spread = if grouped { 1 } else { self.geometry.segments };
        let chunks = blocks.div_ceil(if int8 { spread } else { 2 * spread });
        let room = OPERAND_CHUNKS - chunks;
        let operand = if self.one_in(8) { room } else { self.number(room.min(8) + 1) };
        let data = self.eight(rows * blocks);
        let bytes = pack_operands(blocks, &data);
        let source = self.source(&bytes, bad);
        let command = Command {
            opcode: opcode(OPCODE_LOAD),
            flags: CommandFlags { int8, grouped, ..CommandFlags::default() },
            rows: small(rows),
            operand: small(operand),
            source,
            length: word(32 * blocks),
            ..Command::default()
        };
        let chunks = operand..operand + chunks;
        let accesses = vec![
            memory(source, words_of(&bytes), false, Unit::Loader),
            part(Space::Operands, chunks.clone(), true, Unit::Loader),
        ];
        let status = self.push(command, accesses)?;
        self.hit(self.loaded.iter().any(|old| overlap(&old.chunks, &chunks)), "an operand is overwritten");
        self.loaded.retain(|old| !overlap(&old.chunks, &chunks));
        if status != STATUS_DONE {
            return None;
        }
        let loaded = Loaded { int8, grouped, blocks, chunks };
        self.loaded.push(loaded.clone());
        Some(loaded)
    }

    fn rows(&self, step: &Step) -> usize {
        usize::from(step.rows) % self.geometry.rows + 1
    }

    fn any_load(&mut self, step: &Step) {
        let blocks = usize::from(step.blocks % 12) + 1;
        let grouped = step.wide && self.one_in(4);
        let _ = self.load(step.int8, grouped, self.rows(step), blocks, step.bad);
    }

    fn gemv(&mut self, step: &Step) {
        let (int8, rows, segments) = (step.int8, self.rows(step), self.geometry.segments);
        let bad_load = step.bad && self.one_in(4);
        let known: Vec<_> = self.loaded.iter().filter(|l| l.int8 == int8 && !l.grouped).cloned().collect();
        let operand = if known.is_empty() || bad_load || self.one_in(2) {
            self.load(int8, false, rows, usize::from(step.blocks % 8) + 1, bad_load)
        } else {
            self.hit(true, "an operand is used again");
            Some(known[self.number(known.len())].clone())
        };
        let Some(operand) = operand else { return };
        let (bad, refused) = (step.bad && self.one_in(2), step.bad);
        let old: Vec<_> =
            self.weights.iter().filter(|w| w.int8 == int8 && w.blocks == operand.blocks).cloned().collect();
        let weights = if !bad && !old.is_empty() && self.one_in(2) {
            old[self.number(old.len())].clone()
        } else {
            let features = usize::from(step.count) % 150 + 1;
            let count = features * operand.blocks;
            let bytes = if int8 {
                pack_weights(segments, operand.blocks, Blocks::Int8(&self.eight(count)))
            } else {
                pack_weights(segments, operand.blocks, Blocks::Fp4(&self.fp4(count)))
            };
            let inside = self.one_in(4);
            let address = self.store(inside, &bytes, bad);
            let weights = Weights { int8, blocks: operand.blocks, features, address };
            if !bad {
                self.weights.push(weights.clone());
            }
            weights
        };
        let Weights { features, address, .. } = weights;
        let of_word = if int8 { 32 } else { 16 };
        let of_chunk = if int8 { segments } else { 2 * segments };
        let array_words = operand.chunks.len() * (features + features.div_ceil(of_word));
        let words = (32 * segments * array_words).div_ceil(WORD_BYTES);
        let results = features.div_ceil(16) * rows;
        let source = address..address + WORD * words as u64;
        let destination = self.destination(results, refused && !bad, &source);
        let command = Command {
            opcode: opcode(OPCODE_GEMV),
            flags: CommandFlags { int8, ..CommandFlags::default() },
            rows: small(rows),
            operand: small(operand.chunks.start),
            source: address,
            destination,
            count: word(features),
            length: word(32 * operand.blocks),
            ..Command::default()
        };
        let accesses = vec![
            memory(address, words, false, Unit::Stream),
            part(Space::Operands, operand.chunks.clone(), false, Unit::Array),
            memory(destination, results, true, Unit::Results),
        ];
        if self.push(command, accesses).is_some() {
            self.hit(!int8, "FP4 product");
            self.hit(int8, "INT8 product");
            self.hit(rows == 1, "one row");
            self.hit(rows == self.geometry.rows, "all rows");
            self.hit(features > 64, "several tiles of weights");
            self.hit(!features.is_multiple_of(16), "features that are no whole group");
            self.hit(operand.chunks.len() > 1, "several chunks");
            self.hit(!operand.blocks.is_multiple_of(of_chunk), "a chunk that is not full");
        }
    }

    /// K and V of a new session.
    fn session(&mut self, step: &Step, bad: bool) -> Session {
        let (int8, wide) = (step.int8, step.wide);
        let tokens = usize::from(step.count) % 70 + 1;
        let blocks = tokens * if wide { 4 } else { 2 };
        let segments = self.geometry.segments;
        let bytes = if int8 {
            let (keys, values) = (self.eight(blocks), self.eight(blocks));
            pack_region(segments, wide, Blocks::Int8(&keys), Blocks::Int8(&values))
        } else {
            let (keys, values) = (self.fp4(blocks), self.fp4(blocks));
            pack_region(segments, wide, Blocks::Fp4(&keys), Blocks::Fp4(&values))
        };
        let address = self.store(true, &bytes, bad);
        let shape = HeadShape::new(segments, int8, wide);
        let session = Session { int8, wide, tokens: tokens.next_multiple_of(shape.tile_tokens()), address };
        if !bad {
            self.sessions.push(session.clone());
        }
        session
    }

    /// A session of the right format, an old one or a new one.
    fn any_session(&mut self, step: &Step) -> Session {
        let known: Vec<_> =
            self.sessions.iter().filter(|s| s.int8 == step.int8 && s.wide == step.wide).cloned().collect();
        if known.is_empty() || self.one_in(3) {
            return self.session(step, false);
        }
        known[self.number(known.len())].clone()
    }

    const fn shape(&self, session: &Session) -> HeadShape {
        HeadShape::new(self.geometry.segments, session.int8, session.wide)
    }

    /// Words of memory of the tiles of so many tokens.
    fn region_words(&self, session: &Session, tokens: usize) -> usize {
        let shape = self.shape(session);
        let words = tokens.div_ceil(shape.tile_tokens()) * shape.tile_words(session.int8);
        words * 32 * self.geometry.segments / WORD_BYTES
    }

    fn fill(&mut self, session: &Session) -> Option<usize> {
        let shape = self.shape(session);
        let words = session.tokens / shape.tile_tokens() * shape.tile_words(session.int8);
        let all = self.geometry.words() / if self.banks == Banks::Pinned { 2 } else { 1 };
        let room = all.checked_sub(words)?;
        let bank = if self.one_in(3) { room } else { self.number(room + 1) };
        let command = Command {
            opcode: opcode(OPCODE_FILL),
            bank: u16::try_from(bank).ok()?,
            source: session.address,
            count: word(words),
            ..Command::default()
        };
        let accesses = vec![
            memory(session.address, self.region_words(session, session.tokens), false, Unit::Stream),
            part(Space::Banks, bank..bank + words, true, Unit::Stream),
        ];
        let status = self.push(command, accesses)?;
        let place = bank..bank + words;
        let geometry = self.geometry;
        let kept = |(at, old): &(usize, Session)| {
            let shape = HeadShape::new(geometry.segments, old.int8, old.wide);
            let words = old.tokens / shape.tile_tokens() * shape.tile_words(old.int8);
            !overlap(&(*at..at + words), &place)
        };
        let before = self.resident.len();
        self.resident.retain(kept);
        self.hit(self.resident.len() < before, "a resident head is overwritten");
        if status != STATUS_DONE {
            return None;
        }
        self.resident.push((bank, session.clone()));
        Some(bank)
    }

    fn attend(&mut self, step: &Step) {
        let rows = self.rows(step);
        let (int8, wide) = (step.int8, step.wide);
        let blocks = if wide { 4 } else { 2 };
        let bad = if step.bad { self.number(3) } else { 3 };
        let known: Vec<_> =
            self.resident.iter().filter(|(_, s)| s.int8 == int8 && s.wide == wide).cloned().collect();
        let stays = match self.banks {
            Banks::Streamed => false,
            Banks::Resident => true,
            Banks::Pinned => self.one_in(2),
        };
        let (bank, session) = if stays && !known.is_empty() && bad != 0 && !self.one_in(4) {
            let (bank, session) = known[self.number(known.len())].clone();
            self.hit(true, "a resident head is used again");
            (Some(bank), session)
        } else {
            let session = if bad == 0 { self.session(step, true) } else { self.any_session(step) };
            let bank = if stays { self.fill(&session) } else { None };
            if stays && bank.is_none() {
                return;
            }
            (bank, session)
        };
        let shape = self.shape(&session);
        let grouped = shape.groups > 1;
        let fits = |l: &&Loaded| l.int8 == int8 && l.grouped == grouped && l.blocks == blocks;
        let known: Vec<_> = self.loaded.iter().filter(fits).cloned().collect();
        let q = if known.is_empty() || self.one_in(2) {
            self.load(int8, grouped, rows, blocks, bad == 1)
        } else {
            Some(known[self.number(known.len())].clone())
        };
        let Some(q) = q else { return };
        let count = self.number(session.tokens) + 1;
        let causal = self.one_in(2);
        let window = if self.one_in(2) { self.number(count + 8) } else { 0 };
        let mut positions = [0; 8];
        for position in &mut positions[..rows] {
            *position = word(self.number(count + if causal { 4 } else { 60 }));
        }
        let results = 2 * blocks * rows;
        let words = self.region_words(&session, count);
        let source = session.address..session.address + WORD * words as u64;
        let destination = self.destination(results, bad == 2, &source);
        let command = Command {
            opcode: opcode(OPCODE_ATTEND),
            flags: CommandFlags { int8, wide, causal, resident: bank.is_some(), ..CommandFlags::default() },
            rows: small(rows),
            operand: small(q.chunks.start),
            source: if bank.is_some() { 0 } else { session.address },
            bank: bank.map_or(0, |bank| low_u16(bank as u64)),
            destination,
            count: word(count),
            length: word(window),
            positions,
            ..Command::default()
        };
        let tiles = match bank {
            Some(bank) => {
                let words = count.div_ceil(shape.tile_tokens()) * shape.tile_words(int8);
                // The array reads them; a Fill before it was done before the stream unit took this one.
                part(Space::Banks, bank..bank + words, false, Unit::Stream)
            }
            None => memory(session.address, words, false, Unit::Stream),
        };
        let accesses = vec![
            tiles,
            part(Space::Operands, q.chunks, false, Unit::Array),
            memory(destination, results, true, Unit::Results),
        ];
        if self.push(command, accesses).is_some() {
            let format = match (int8, wide) {
                (false, false) => "FP4 head of 64",
                (false, true) => "FP4 head of 128",
                (true, false) => "INT8 head of 64",
                (true, true) => "INT8 head of 128",
            };
            self.hit(true, format);
            self.hit(bank.is_some(), "resident head");
            self.hit(bank.is_none(), "streamed head");
            self.hit(causal, "causal head");
            self.hit(window > 0, "window");
            self.hit(count > shape.tile_tokens(), "several tiles of keys");
        }
    }

    fn append(&mut self, step: &Step) {
        let session = self.any_session(step);
        let Session { int8, wide, tokens, mut address } = session;
        let count = (usize::from(step.count) % 10 + 1).min(tokens);
        let of_tile = self.shape(&session).tile_tokens();
        let first = if tokens > of_tile && self.one_in(2) {
            of_tile - 1 - self.number(count.min(of_tile))
        } else {
            self.number(tokens - count + 1)
        };
        let blocks = count * if wide { 4 } else { 2 };
        let bytes = if int8 {
            let (keys, values) = (self.eight(blocks), self.eight(blocks));
            pack_records(wide, Blocks::Int8(&keys), Blocks::Int8(&values))
        } else {
            let (keys, values) = (self.fp4(blocks), self.fp4(blocks));
            pack_records(wide, Blocks::Fp4(&keys), Blocks::Fp4(&values))
        };
        let bad_read = step.bad && self.one_in(2);
        // Records are their own: an Append reads and writes record by record.
        let source = self.store(false, &bytes, bad_read);
        if step.bad && !bad_read && !self.faulty.is_empty() {
            address = self.faulty.start;
        }
        let command = Command {
            opcode: opcode(OPCODE_APPEND),
            flags: CommandFlags { int8, wide, ..CommandFlags::default() },
            source,
            destination: address,
            count: word(count),
            length: word(first),
            ..Command::default()
        };
        let tile = |tokens: usize| self.region_words(&session, tokens);
        let (start, end) = (tile(first / of_tile * of_tile), tile(first + count));
        let accesses = vec![
            memory(source, words_of(&bytes), false, Unit::Appender),
            memory(address + WORD * start as u64, end - start, true, Unit::Appender),
        ];
        if self.push(command, accesses).is_some() {
            self.hit(true, "append");
            self.hit(first / of_tile != (first + count - 1) / of_tile, "append over the end of a tile");
        }
    }

    fn nop(&mut self) {
        let nop = Command { opcode: opcode(OPCODE_NOP), ..Command::default() };
        let _ = self.push(nop, Vec::new());
    }

    /// A command that breaks a rule, with tokens that must stay as they are.
    fn illegal(&mut self, step: &Step) {
        let rows = small(self.geometry.rows);
        let bounds = self.bounds.clone();
        let base = |code: u16| Command { opcode: opcode(code), rows, source: 0x1000, ..Command::default() };
        let load = Command { length: 64, ..base(OPCODE_LOAD) };
        let gemv = Command { count: 17, length: 64, destination: bounds.start, rows: 1, ..base(OPCODE_GEMV) };
        let attend = Command { count: 33, destination: bounds.start, ..base(OPCODE_ATTEND) };
        let resident = CommandFlags { resident: true, ..CommandFlags::default() };
        let append = Command { count: 2, rows: 0, destination: bounds.start, ..base(OPCODE_APPEND) };
        let fill = Command { count: 2, rows: 0, ..base(OPCODE_FILL) };
        let last = low_u16(self.geometry.words() as u64 - 1);
        let all = [
            Command { opcode: 14 + small(self.number(242)), ..load },
            Command { opcode: 255, ..gemv },
            Command { rows: 0, ..load },
            Command { rows: rows + 1, ..gemv },
            Command { length: 33, ..load },
            Command { count: 0, ..attend },
            Command { operand: 1, ..fill },
            Command { wait_tokens: 1, signal_tokens: 1, ..load },
            Command { wait_array: 2, signal_tokens: 2, ..gemv },
            Command { source: 0x1020, ..load },
            Command { destination: 1 << 40, ..gemv },
            Command { destination: bounds.end - WORD, ..gemv },
            Command { destination: bounds.start - WORD, ..attend },
            Command { destination: bounds.end - 0x800, ..append },
            Command { operand: 127, length: 160, ..load },
            Command { operand: 128, ..gemv },
            Command { bank: last, ..fill },
            Command { flags: resident, source: 0, bank: last, ..attend },
        ];
        let mut command = all[self.number(all.len())];
        if step.wide && command.signal_tokens == 0 {
            command.wait_tokens = low_u16(self.chance.bits());
            command.signal_tokens = low_u16(self.chance.bits()) & !command.wait_tokens;
        }
        let status = command::Fields::of(&command.words()).check(&command::Core {
            rows: self.geometry.rows,
            segments: self.geometry.segments,
            bank_words: self.geometry.words(),
            bounds,
        });
        if status != command::DONE {
            self.hit(command.signal_tokens != 0, "a refused command has tokens");
            self.plan.push(Planned { command, status, accesses: Vec::new(), refused: true });
        }
    }

    // ---- tokens ----

    /// A token out of those that are not among `taken`.
    fn token(&mut self, taken: u16) -> Option<usize> {
        let free = |tokens: usize| (0..tokens).filter(|t| taken >> t & 1 == 0).collect::<Vec<_>>();
        let few = free(usize::try_from(self.tokens).expect("at most 16"));
        let choice = if few.is_empty() { free(SCOREBOARD_TOKENS) } else { few };
        (!choice.is_empty()).then(|| choice[self.number(choice.len())])
    }

    /// Adds the tokens: a command waits for those before it that it conflicts with, and for nothing else but by chance.
    fn with_tokens(&mut self) -> (Vec<[u64; 8]>, Vec<u8>) {
        let plan = std::mem::take(&mut self.plan);
        let mut waits: Vec<Vec<(usize, bool)>> = Vec::new();
        let mut needed = vec![false; plan.len()];
        for (i, planned) in plan.iter().enumerate() {
            let mut of = Vec::new();
            for (j, earlier) in plan[..i].iter().enumerate() {
                let conflicts = |a: &&Access| earlier.accesses.iter().any(|e| a.conflicts(e));
                let clashes: Vec<_> = planned.accesses.iter().filter(conflicts).collect();
                if !clashes.is_empty() {
                    needed[j] = true;
                    of.push((j, clashes.iter().all(|a| a.is_late())));
                }
            }
            waits.push(of);
        }
        let (mut commands, mut statuses) = (Vec::new(), Vec::new());
        // The last command that signals each token.
        let mut holder: Vec<Option<usize>> = vec![None; SCOREBOARD_TOKENS];
        for (i, planned) in plan.iter().enumerate() {
            let mut command = planned.command;
            command.flags.notify = self.one_in(4);
            if planned.refused {
                commands.push(command.words());
                statuses.push(planned.status);
                continue;
            }
            let (mut early, mut late) = (0, 0);
            for &(j, is_late) in &waits[i] {
                // A token that was signalled again since was given back before that.
                let Some(token) = holder.iter().position(|&holder| holder == Some(j)) else { continue };
                if is_late && !self.one_in(6) {
                    late |= 1 << token;
                } else {
                    early |= 1 << token;
                }
            }
            if command.opcode == opcode(OPCODE_NOP) || self.one_in(12) {
                let held: Vec<_> = (0..SCOREBOARD_TOKENS).filter(|&token| holder[token].is_some()).collect();
                if !held.is_empty() {
                    early |= 1 << held[self.number(held.len())];
                }
            }
            if early | late == u16::MAX {
                // None is left that it could signal: it is a Nop that waits.
                let nop = Command { opcode: opcode(OPCODE_NOP), wait_tokens: u16::MAX, ..Command::default() };
                commands.push(nop.words());
                statuses.push(opcode(STATUS_DONE));
                (early, late) = (0, 0);
            }
            self.hit(command.opcode == opcode(OPCODE_NOP) && early != 0, "a nop waits");
            self.hit(late != 0, "the array waits for a token");
            self.hit((early | late).count_ones() > 1, "several tokens are waited for");
            let signals = if needed[i] || self.one_in(4) { 1 + usize::from(self.one_in(8)) } else { 0 };
            for _ in 0..signals {
                if let Some(token) = self.token(early | late) {
                    self.hit(holder[token].is_some(), "a token is used again");
                    command.signal_tokens |= 1 << token;
                    holder[token] = Some(i);
                }
            }
            command.wait_tokens = early;
            command.wait_array = late;
            commands.push(command.words());
            statuses.push(planned.status);
        }
        self.plan = plan;
        (commands, statuses)
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start < b.end && b.start < a.end
}
