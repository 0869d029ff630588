// SPDX-License-Identifier: Apache-2.0
//! Both units at once, each with a port and a memory of its own. What the operand files and the tiles hold afterwards must be
//! what the layouts say.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::attention::types::OperandBlock;
use tandem_model::block::{Bits, Uint, Wide, low_u8, low_u16};
use tandem_model::control::types::{
    Activity, CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, Done,
    OPCODE_APPEND, OPCODE_LOAD, OPERAND_CHUNKS, STATUS_DONE, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use tandem_model::dma::appender::OUTSTANDING_WRITES;
use tandem_model::dma::dma::{Dma, Inputs, Outputs};

use super::layout::{Block, Place, Rows, Tokens};
use super::port::{FromClient, Port, ToClient};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::memory::Memory;
use crate::memory::contents::{Contents, Unwritten};
use crate::memory::hostile::{Behaviour, Hostile};
use crate::memory::ideal::Ideal;
use crate::memory::port::WORD;
use crate::random::split_mix;

/// Property test of `dma`.
#[derive(Clone, Copy, Debug)]
pub struct DmaBench {
    /// Geometry.
    pub geometry: Geometry,
}

/// A Load. What is too much for the geometry is taken modulo what is not.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// For MXINT8 streams.
    pub int8: bool,
    /// To all segments.
    pub grouped: bool,
    /// Rows, less one.
    pub rows: u8,
    /// Blocks of a row, less one.
    pub blocks: u16,
    /// Where it begins.
    pub operand: u8,
}

/// An Append.
#[derive(Clone, Copy, Debug)]
pub struct Append {
    /// MXINT8.
    pub int8: bool,
    /// Head of 128.
    pub wide: bool,
    /// Number of the first token.
    pub first: u32,
    /// Tokens, less one.
    pub count: u16,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Commands of the loader.
    pub loads: Vec<Load>,
    /// Commands of the appender.
    pub appends: Vec<Append>,
    /// Latency of ideal memories; 0: hostile ones.
    pub latency: u8,
    /// Hostile: chance in 256 that a burst meets an error.
    pub errors: u8,
    /// Of 256 cycles, in how many each handshake does not move: at the loader's port, at the appender's, of commands.
    pub stalls: [u8; 3],
    /// Words to be written may be taken ahead of their requests.
    pub eager: bool,
    /// Resets units and memories after so many cycles.
    pub reset_after: Option<u16>,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 40] = [
    "FP4 load",
    "INT8 load",
    "grouped load",
    "one row",
    "all rows",
    "some rows",
    "one block",
    "odd number of blocks",
    "last chunk not full",
    "last chunk full",
    "more than 64 blocks",
    "most blocks",
    "last chunk of the files",
    "load reads a refused word",
    "good load after a refused word",
    "word waits for zeros",
    "FP4 append of 64",
    "FP4 append of 128",
    "INT8 append of 64",
    "INT8 append of 128",
    "from the first token of a tile",
    "to the last token of a tile",
    "over the end of a tile",
    "second group or later tile",
    "far token",
    "one token",
    "more tokens than a request has",
    "first record refused",
    "later record refused",
    "scales refused",
    "write refused",
    "read and write refused",
    "good append after an error",
    "a write in each of 3 cycles",
    "write request waits",
    "write data wait",
    "most writes without a response",
    "end of a command waits",
    "command waits",
    "reset with words on their way",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// Memory that holds random bytes everywhere.
fn memory(case: &Case, seed: u64) -> (Box<dyn Memory>, Contents) {
    let contents = Contents::new(0..1 << 40, Unwritten::Pattern, seed);
    let memory: Box<dyn Memory> = if case.latency > 0 {
        Box::new(Ideal::new(contents.clone(), u64::from(case.latency)))
    } else {
        let behaviour = Behaviour { errors: u64::from(case.errors), ..Behaviour::from_seed(seed) };
        Box::new(Hostile::new(contents.clone(), behaviour, seed))
    };
    (memory, contents)
}

/// A command, and what is done for it.
#[derive(Clone, Debug)]
struct Command<T> {
    what: T,
    source: u64,
    words: [Wide<64>; 8],
    index: u16,
    notify: bool,
    tokens: u16,
}

impl<T> Command<T> {
    fn head(&self, opcode: u16, rows: u16, operand: u16, flags: CommandFlags) -> u64 {
        let head = CommandHead {
            signal_tokens: Uint(self.tokens),
            wait_tokens: Uint(!self.tokens),
            operand: Uint(operand),
            rows: Uint(rows),
            flags: CommandFlags { notify: self.notify, ..flags },
            opcode: Uint(opcode),
        };
        head.to_bits()
    }

    /// The end of it is told as it should be.
    fn check_done(&self, done: Done, status: u16) -> Result<(), DutError> {
        let want = Done {
            valid: true,
            status: Uint(status),
            notify: self.notify,
            tokens: Uint(self.tokens),
            index: Uint(self.index),
        };
        if done == want { Ok(()) } else { Err(wrong(format!("ended as {done:?}, expected {want:?}"))) }
    }
}

/// What both units have: commands in order, one at a time.
struct Unit<T> {
    port: Port,
    /// What the memory must hold.
    shadow: Contents,
    waiting: VecDeque<Command<T>>,
    offered: bool,
    running: Option<Command<T>>,
    /// The command was taken in the cycle before: its request must be there.
    fresh: bool,
    /// Its end is told.
    ended: bool,
    /// `busy` of the cycle before, and whose.
    activity: (bool, u16),
    failed_before: bool,
}

impl<T: Clone> Unit<T> {
    /// What the unit says of itself must be what was true in the cycle before.
    fn check_activity(&mut self, activity: Activity) -> Result<(), DutError> {
        let (busy, index) = self.activity;
        let sound = activity.busy == busy
            && (!busy || activity.index.0 == index)
            && (busy || !activity.starved && !activity.blocked);
        self.activity = self.running.as_ref().map_or((false, 0), |command| (true, command.index));
        if sound { Ok(()) } else { Err(wrong(format!("{activity:?}, but busy is {busy}"))) }
    }

    fn take(&mut self) {
        self.running = self.waiting.pop_front();
        self.offered = false;
        self.fresh = true;
        self.ended = false;
        self.port.begin();
    }

    fn reset(&mut self) {
        self.port.reset();
        self.port.begin();
        self.running = None;
        self.offered = false;
        self.fresh = false;
        self.activity = (false, 0);
        self.failed_before = false;
    }
}

struct Driver<'a> {
    geometry: Geometry,
    case: &'a Case,
    dut: &'a mut dyn Dut<Dma>,
    seed: u64,
    load: Unit<Rows>,
    append: Unit<(Tokens, Append)>,
    /// What the operand files were given since the command began.
    image: BTreeMap<Place, Block>,
    /// Cycles in a row in which a word was written.
    run: u32,
    now: u64,
}

impl<'a> Driver<'a> {
    fn new(geometry: Geometry, case: &'a Case, dut: &'a mut dyn Dut<Dma>) -> Self {
        let unit_port = |stall, seed| {
            let (memory, shadow) = memory(case, seed);
            (Port::new(memory, stall, case.eager, seed), shadow)
        };
        let mut seed = case.seed;
        let (load_port, load_shadow) = unit_port(case.stalls[0], split_mix(&mut seed));
        let (append_port, append_shadow) = unit_port(case.stalls[1], split_mix(&mut seed));
        let loads = case.loads.iter().map(|&load| Self::load_command(geometry, load, &mut seed)).collect();
        let appends = case.appends.iter().map(|&what| Self::append_command(what, &mut seed)).collect();
        Self {
            geometry,
            case,
            dut,
            seed,
            load: Unit {
                port: load_port,
                shadow: load_shadow,
                waiting: loads,
                offered: false,
                running: None,
                fresh: false,
                ended: false,
                activity: (false, 0),
                failed_before: false,
            },
            append: Unit {
                port: append_port,
                shadow: append_shadow,
                waiting: appends,
                offered: false,
                running: None,
                fresh: false,
                ended: false,
                activity: (false, 0),
                failed_before: false,
            },
            image: BTreeMap::new(),
            run: 0,
            now: 0,
        }
    }

    fn load_command(geometry: Geometry, load: Load, seed: &mut u64) -> Command<Rows> {
        let Load { int8, grouped, rows, blocks, operand } = load;
        let mut what =
            Rows { rows: usize::from(rows) % geometry.rows + 1, blocks: 1, operand: 0, int8, grouped };
        what.blocks = usize::from(blocks) % (OPERAND_CHUNKS * what.chunk_blocks(geometry)) + 1;
        let room = OPERAND_CHUNKS - what.chunks(geometry);
        what.operand = usize::from(operand).min(room);
        let mut random = || split_mix(seed);
        let source = (random() & ((1 << 39) - 1)) / WORD * WORD;
        let mut command = Command {
            what,
            source,
            words: std::array::from_fn(|_| Wide(random())),
            index: low_u16(random()),
            notify: random() & 1 == 1,
            tokens: low_u16(random()),
        };
        let noise = random();
        let flags = CommandFlags { int8, grouped, ..CommandFlags::from_bits(noise & 0x0c) };
        let small = |value: usize| u16::try_from(value).expect("small");
        let head = command.head(OPCODE_LOAD, small(what.rows), small(what.operand), flags);
        let shape = CommandShape { length: Wide(32 * what.blocks as u64), count: Wide(noise >> 32) };
        command.words[0] = Wide(head);
        command.words[1] =
            Wide(CommandSource { bank: Uint(low_u16(noise)), address: Wide(source) }.to_bits());
        command.words[3] = Wide(shape.to_bits());
        command
    }

    fn append_command(append: Append, seed: &mut u64) -> Command<(Tokens, Append)> {
        let Append { int8, wide, .. } = append;
        let mut random = || split_mix(seed);
        let region = (random() & ((1 << 38) - 1)) / WORD * WORD;
        let source = (1 << 39) + (random() & ((1 << 38) - 1)) / WORD * WORD;
        let count = u32::from(append.count) + 1;
        let append = Append { first: append.first.min((1 << 20) - count), ..append };
        let mut command = Command {
            what: (Tokens { int8, wide, region }, append),
            source,
            words: std::array::from_fn(|_| Wide(random())),
            index: low_u16(random()),
            notify: random() & 1 == 1,
            tokens: low_u16(random()),
        };
        let noise = random();
        let flags = CommandFlags { int8, wide, ..CommandFlags::from_bits(noise & 0x38) };
        let head =
            command.head(OPCODE_APPEND, u16::from(low_u8(noise >> 8)), u16::from(low_u8(noise >> 16)), flags);
        let shape = CommandShape { length: Wide(append.first.into()), count: Wide(count.into()) };
        command.words[0] = Wide(head);
        command.words[1] =
            Wide(CommandSource { bank: Uint(low_u16(noise)), address: Wide(source) }.to_bits());
        let destination = CommandDestination { wait_array: Uint(low_u16(noise)), address: Wide(region) };
        command.words[2] = Wide(destination.to_bits());
        command.words[3] = Wide(shape.to_bits());
        command
    }

    fn moves(&mut self) -> bool {
        split_mix(&mut self.seed) & 255 >= u64::from(self.case.stalls[2])
    }

    /// A block for the operand files.
    fn write_image(&mut self, block: OperandBlock, data: [u8; 32]) -> Result<(), DutError> {
        let bits = |mask: u16| (0..16).filter(move |bit| mask >> bit & 1 == 1);
        for row in bits(block.rows.0) {
            for segment in bits(block.segments.0) {
                for chain in bits(block.chains.0) {
                    let place = Place { row, segment, chain, chunk: usize::from(block.chunk.0) };
                    if row >= self.geometry.rows || segment >= self.geometry.segments {
                        return Err(wrong(format!("a block for {place:?}")));
                    }
                    self.image.insert(place, (low_u8(block.scale.0.into()), data));
                }
            }
        }
        Ok(())
    }

    fn check_loaded(&mut self, done: Done, coverage: &mut Coverage) -> Result<(), DutError> {
        let command =
            self.load.running.clone().ok_or_else(|| wrong("a load ended that never began".to_owned()))?;
        let rows = command.what;
        let words = rows.rows * rows.row_words();
        let given = &self.load.port.given;
        let requests: Vec<_> =
            self.load.port.requests.iter().map(|r| (r.address.0, usize::from(r.words.0))).collect();
        if requests != [(command.source, words)] || given.len() != words {
            return Err(wrong(format!("{rows:?}: read {requests:x?}, {} words of {words}", given.len())));
        }
        let bytes: Vec<u8> = given.iter().flat_map(|word| word.data).collect();
        let want = rows.image(self.geometry, &bytes);
        let image = std::mem::take(&mut self.image);
        if image != want {
            let differs = |(place, block): &(&Place, &Block)| want.get(place) != Some(block);
            let first = image.iter().find(differs);
            let missing = want.keys().find(|place| !image.contains_key(place));
            return Err(wrong(format!("{rows:?}: written {first:x?}, not written {missing:?}")));
        }
        let failed = given.iter().any(|word| word.error);
        command.check_done(done, if failed { STATUS_READ_ERROR } else { STATUS_DONE })?;

        coverage.hit(CORNERS[usize::from(rows.int8)]);
        coverage.hit_if(rows.grouped, CORNERS[2]);
        coverage.hit_if(rows.rows == 1, CORNERS[3]);
        coverage.hit_if(rows.rows == self.geometry.rows, CORNERS[4]);
        coverage.hit_if(rows.rows != 1 && rows.rows != self.geometry.rows, CORNERS[5]);
        coverage.hit_if(rows.blocks == 1, CORNERS[6]);
        coverage.hit_if(rows.blocks % 2 == 1, CORNERS[7]);
        // In slim a chunk of INT8 is one block.
        let full = rows.blocks.is_multiple_of(rows.chunk_blocks(self.geometry));
        coverage.hit(CORNERS[8 + usize::from(full)]);
        coverage.hit_if(rows.blocks > 64, CORNERS[10]);
        coverage.hit_if(rows.blocks == OPERAND_CHUNKS * 2 * self.geometry.segments, CORNERS[11]);
        coverage.hit_if(rows.operand + rows.chunks(self.geometry) == OPERAND_CHUNKS, CORNERS[12]);
        coverage.hit_if(failed, CORNERS[13]);
        coverage.hit_if(!failed && self.load.failed_before, CORNERS[14]);
        self.load.failed_before = failed;
        Ok(())
    }

    fn check_appended(&mut self, done: Done, coverage: &mut Coverage) -> Result<(), DutError> {
        let unit = &mut self.append;
        let command =
            unit.running.clone().ok_or_else(|| wrong("an append ended that never began".to_owned()))?;
        let (tokens, append) = command.what;
        let (first, count) = (append.first as usize, usize::from(append.count) + 1);
        let record_words = tokens.record_words();
        let mut next = command.source;
        for request in &unit.port.requests {
            if request.address.0 != next {
                return Err(wrong(format!("{append:?}: {request:?}, expected from {next:#x} on")));
            }
            next += u64::from(request.words.0) * WORD;
        }
        let given = &unit.port.given;
        let asked = (next - command.source) / WORD;
        if asked != (count * record_words) as u64 || given.len() != count * record_words {
            return Err(wrong(format!("{append:?}: {} of {asked} words", given.len())));
        }
        if !unit.port.idle() {
            return Err(wrong(format!("{append:?} ended with writes on their way")));
        }

        // Up to the first word that was refused all is written, nothing behind it.
        let refused = given.iter().position(|word| word.error);
        let good = refused.unwrap_or(given.len());
        let mut touched = BTreeSet::new();
        for (token, record) in given.chunks(record_words).enumerate() {
            let bytes: Vec<u8> = record.iter().flat_map(|word| word.data).collect();
            let words = good.saturating_sub(token * record_words);
            for (address, byte) in tokens.bytes(self.geometry, first + token, &bytes, words) {
                unit.shadow.store(address, &[byte]);
                touched.insert(address / WORD * WORD);
            }
        }
        // Of what was refused some is written.
        let write_failed = unit.port.written.iter().any(|written| written.error);
        for written in &unit.port.written {
            touched.insert(written.address);
            if written.error {
                let (data, _) = unit.port.memory.contents().read_word(written.address);
                unit.shadow.write_word(written.address, &data, written.strobe);
            }
        }
        for address in touched {
            let (got, want) =
                (unit.port.memory.contents().read_word(address).0, unit.shadow.read_word(address).0);
            if got != want {
                let what = format!("{tokens:x?} {append:?}: at {address:#x} {got:x?}, expected {want:x?}");
                return Err(wrong(what));
            }
        }
        let status = match (refused.is_some(), write_failed) {
            (true, _) => STATUS_READ_ERROR,
            (false, true) => STATUS_WRITE_ERROR,
            (false, false) => STATUS_DONE,
        };
        command.check_done(done, status)?;

        coverage.hit(CORNERS[16 + 2 * usize::from(append.int8) + usize::from(append.wide)]);
        let tile = tokens.tile_tokens(self.geometry);
        coverage.hit_if(first.is_multiple_of(tile), CORNERS[20]);
        coverage.hit_if((first + count).is_multiple_of(tile), CORNERS[21]);
        coverage.hit_if(first % tile + count > tile, CORNERS[22]);
        coverage.hit_if(first >= 32, CORNERS[23]);
        coverage.hit_if(first + count > 1 << 19, CORNERS[24]);
        coverage.hit_if(count == 1, CORNERS[25]);
        coverage.hit_if(unit.port.requests.len() > 1, CORNERS[26]);
        coverage.hit_if(refused.is_some_and(|word| word < record_words), CORNERS[27]);
        coverage.hit_if(refused.is_some_and(|word| word >= record_words), CORNERS[28]);
        coverage.hit_if(refused.is_some_and(|word| word % record_words == record_words - 1), CORNERS[29]);
        coverage.hit_if(write_failed, CORNERS[30]);
        coverage.hit_if(write_failed && refused.is_some(), CORNERS[31]);
        coverage.hit_if(status == STATUS_DONE && unit.failed_before, CORNERS[32]);
        unit.failed_before = status != STATUS_DONE;
        Ok(())
    }

    /// Inputs of both units.
    fn inputs(&mut self) -> (Inputs, ToClient, ToClient) {
        let (load, append) = (self.load.port.drive(), self.append.port.drive());
        let mut inputs = Inputs::default();
        self.load.offered |= !self.load.waiting.is_empty() && self.moves();
        self.append.offered |= !self.append.waiting.is_empty() && self.moves();
        let i = &mut inputs.load;
        if let Some(command) = self.load.waiting.front() {
            (i.work_valid_i, i.work_index_i, i.work_i) =
                (self.load.offered, Uint(command.index), command.words);
        }
        i.request_ready_i = load.request_ready;
        (i.word_i, i.data_i) = (load.word, load.data);
        let i = &mut inputs.append;
        if let Some(command) = self.append.waiting.front() {
            (i.work_valid_i, i.work_index_i, i.work_i) =
                (self.append.offered, Uint(command.index), command.words);
        }
        i.request_ready_i = append.request_ready;
        (i.word_i, i.data_i) = (append.word, append.data);
        i.write_request_ready_i = append.write_request_ready;
        i.write_ready_i = append.write_ready;
        i.write_done_i = append.write_done;
        inputs.load.done_ready_i = self.moves();
        inputs.append.done_ready_i = self.moves();
        (inputs, load, append)
    }

    fn check_ready(&self, o: &Outputs) -> Result<(), DutError> {
        let (load, append) = (self.load.running.is_none(), self.append.running.is_none());
        if o.load.work_ready_o != load || o.append.work_ready_o != append {
            let ready = (o.load.work_ready_o, o.append.work_ready_o);
            return Err(wrong(format!("ready for commands {ready:?}, expected {:?}", (load, append))));
        }
        if self.load.fresh && !o.load.request_o.valid || self.append.fresh && !o.append.request_o.valid {
            return Err(wrong("a command is taken, and nothing is asked for".to_owned()));
        }
        Ok(())
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let o = self.dut.outputs();
        self.check_ready(&o)?;
        (self.load.fresh, self.append.fresh) = (false, false);
        self.load.check_activity(o.load.activity_o)?;
        self.append.check_activity(o.append.activity_o)?;
        if o.load.block_o.valid {
            let bytes: Vec<u8> =
                o.load.block_data_o.iter().flat_map(|column| column.0.to_le_bytes()).collect();
            self.write_image(o.load.block_o, bytes.try_into().expect("32 bytes"))?;
        }
        let (mut inputs, load, append) = self.inputs();
        if o.load.done_o.valid && !std::mem::replace(&mut self.load.ended, true) {
            self.check_loaded(o.load.done_o, coverage)?;
        }
        if o.append.done_o.valid && !std::mem::replace(&mut self.append.ended, true) {
            self.check_appended(o.append.done_o, coverage)?;
        }
        self.cover(&o, &inputs, coverage);

        if o.load.done_o.valid && inputs.load.done_ready_i {
            self.load.running = None;
        }
        if o.append.done_o.valid && inputs.append.done_ready_i {
            self.append.running = None;
        }
        let of_load = FromClient {
            request: o.load.request_o,
            word_ready: o.load.word_ready_o,
            ..FromClient::default()
        };
        let of_append = FromClient {
            request: o.append.request_o,
            word_ready: o.append.word_ready_o,
            write_request: o.append.write_request_o,
            write_valid: o.append.write_valid_o,
            write_strobe: o.append.write_strobe_o.0,
            write_data: o.append.write_data_o,
        };
        self.load.port.clock(&load, &of_load).map_err(wrong)?;
        self.append.port.clock(&append, &of_append).map_err(wrong)?;
        if inputs.load.work_valid_i && o.load.work_ready_o {
            self.load.take();
            self.image.clear();
        }
        if inputs.append.work_valid_i && o.append.work_ready_o {
            self.append.take();
        }
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        Ok(())
    }

    fn cover(&mut self, o: &Outputs, inputs: &Inputs, coverage: &mut Coverage) {
        let zeros = o.load.block_o.valid && o.load.block_o.chains.0 == 3 && o.load.block_o.scale.0 == 0;
        coverage.hit_if(zeros && inputs.load.word_i.valid && !o.load.word_ready_o, CORNERS[15]);
        let (request, word) = (o.append.write_request_o.valid, o.append.write_valid_o);
        let written = word && inputs.append.write_ready_i;
        self.run = if written { self.run + 1 } else { 0 };
        coverage.hit_if(self.run == 3, CORNERS[33]);
        coverage.hit_if(request && !inputs.append.write_request_ready_i, CORNERS[34]);
        coverage.hit_if(word && !inputs.append.write_ready_i, CORNERS[35]);
        let outstanding = self.append.port.outstanding();
        coverage.hit_if(outstanding == usize::from(OUTSTANDING_WRITES), CORNERS[36]);
        let waits = o.load.done_o.valid && !inputs.load.done_ready_i
            || o.append.done_o.valid && !inputs.append.done_ready_i;
        coverage.hit_if(waits, CORNERS[37]);
        let waits = inputs.load.work_valid_i && !o.load.work_ready_o
            || inputs.append.work_valid_i && !o.append.work_ready_o;
        coverage.hit_if(waits, CORNERS[38]);
    }

    /// Resets units, ports and memories.
    fn reset(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        coverage.hit_if(!self.load.port.idle() && !self.append.port.idle(), CORNERS[39]);
        // Of what was on its way some is written.
        let written: Vec<_> = self.append.port.written.iter().map(|w| w.address).collect();
        self.load.reset();
        self.append.reset();
        for address in written {
            let (data, _) = self.append.port.memory.contents().read_word(address);
            self.append.shadow.write_word(address, &data, u64::MAX);
        }
        self.image.clear();
        self.dut.clock(false, &mut Inputs::default())?;
        self.now += 1;
        Ok(())
    }

    fn ended(&self) -> bool {
        let load = self.load.waiting.is_empty() && self.load.running.is_none();
        load && self.append.waiting.is_empty() && self.append.running.is_none()
    }

    fn run(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.reset(&mut Coverage::default())?;
        let commands = (self.case.loads.len() + self.case.appends.len()) as u64;
        let patience = self.now + 2_000_000 * (commands + 1);
        let reset_at = self.case.reset_after.map(|after| self.now + u64::from(after));
        while !self.ended() || reset_at.is_some_and(|at| at >= self.now) {
            if reset_at == Some(self.now) {
                self.reset(coverage)?;
            }
            self.clock(coverage)?;
            if self.now > patience {
                return Err(wrong("a command never ends".to_owned()));
            }
        }
        for _ in 0..4 {
            self.clock(coverage)?;
        }
        coverage.add_cycles(self.now);
        Ok(())
    }
}

fn loads() -> impl Strategy<Value = Load> {
    let blocks = prop_oneof![6 => 0..12u16, 2 => 0..130u16, 1 => any::<u16>(), 1 => Just(511)];
    let operand = prop_oneof![any::<u8>(), Just(0), Just(255)];
    (any::<bool>(), any::<bool>(), any::<u8>(), blocks, operand)
        .prop_map(|(int8, grouped, rows, blocks, operand)| Load { int8, grouped, rows, blocks, operand })
}

fn appends() -> impl Strategy<Value = Append> {
    let first = prop_oneof![4 => 0..140u32, 1 => 0..1u32 << 20, 1 => Just(1 << 20), 2 => (0..4u32).prop_map(|n| 32 * n)];
    let count = prop_oneof![3 => Just(0), 4 => 0..8u16, 2 => 8..40u16, 1 => 40..140u16, 1 => Just(31)];
    (any::<bool>(), any::<bool>(), first, count).prop_map(|(int8, wide, first, count)| Append {
        int8,
        wide,
        first,
        count,
    })
}

impl Bench for DmaBench {
    type Block = Dma;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let latency = prop_oneof![1 => Just(1), 1 => any::<u8>(), 3 => Just(0)];
        let errors = prop_oneof![3 => Just(0), 1 => 1..8u8, 1 => 8..80u8];
        let stall = || prop_oneof![3 => Just(0u8), 2 => 0..200u8, 1 => Just(240)];
        let reset = prop_oneof![2 => Just(None), 1 => (0..800u16).prop_map(Some)];
        let stalls = [stall(), stall(), stall()];
        let case = (
            vec(loads(), 0..5),
            vec(appends(), 0..5),
            latency,
            errors,
            stalls,
            any::<bool>(),
            reset,
            any::<u64>(),
        );
        case.prop_map(|(loads, appends, latency, errors, stalls, eager, reset_after, seed)| Case {
            loads,
            appends,
            latency,
            errors,
            stalls,
            eager,
            reset_after,
            seed,
        })
        .boxed()
    }

    fn model(&self) -> Dma {
        Dma::new(self.geometry)
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Dma>, coverage: &mut Coverage) -> Result<(), DutError> {
        Driver::new(self.geometry, case, dut).run(coverage)
    }
}
