// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/stream_sequencer.sv`.

use crate::array::Geometry;
use crate::array::types::PSUM_SLOTS;
use crate::attention::head_table::Position;
use crate::attention::types::{CONTEXTS, Command, HeadInfo, HeadShape, HeadStart, TILES_AHEAD};
use crate::block::{Bits, Format, Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::{
    COMMAND_INDEX_BITS, CommandHead, CommandShape, CommandSource, Done, FEATURE_BITS, OPCODE_FILL,
    OPCODE_GEMV, STATUS_DONE, STATUS_NO_KEYS, STATUS_READ_ERROR, StreamRun,
};
use crate::control::work_queue::WorkWords;
use crate::memory::types::{AXI_BYTES, LINE_BITS, ReadRequest};
use crate::sram::types::{BankFill, Region, WORD_ADDRESS_BITS};

/// What the sequencer is at.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum State {
    /// It has no command.
    #[default]
    Idle,
    /// Gemv: how many chunks.
    Measure,
    /// Asks for them.
    Weights,
    /// Attend: the head is offered.
    Command,
    /// It was taken.
    Answer,
    /// Where its first tile lies.
    Place,
    /// Asks for them.
    Tiles,
    /// Asks for words that stay, waits until they are written.
    Fill,
}

impl State {
    const ALL: [Self; 8] = [
        Self::Idle,
        Self::Measure,
        Self::Weights,
        Self::Command,
        Self::Answer,
        Self::Place,
        Self::Tiles,
        Self::Fill,
    ];
}

impl Bits for State {
    const WIDTH: u32 = 3;
    const FORMAT: Format = Format::Enum(&[
        "StateIdle",
        "StateMeasure",
        "StateWeights",
        "StateCommand",
        "StateAnswer",
        "StatePlace",
        "StateTiles",
        "StateFill",
    ]);
    fn to_bits(self) -> u64 {
        Self::ALL.iter().position(|&state| state == self).expect("it is one of all") as u64
    }
    fn from_bits(bits: u64) -> Self {
        Self::ALL[usize::from(low_u16(bits & 7))]
    }
}

/// Takes the commands that stream and asks memory for their words.
#[derive(Clone, Debug)]
pub struct StreamSequencer {
    geometry: Geometry,
    state_q: State,
    index_q: Uint<COMMAND_INDEX_BITS>,
    work_q: WorkWords,
    array_valid_q: bool,
    context_q: Uint<2>,
    done_q: Done,
    request_q: ReadRequest,
    run_q: StreamRun,
    /// Next of W, of K, of the Fill.
    line_q: Wide<LINE_BITS>,
    /// Next of V.
    value_line_q: Wide<LINE_BITS>,
    /// Features, words to be asked for.
    left_q: Wide<FEATURE_BITS>,
    /// Gemv: chunks, Attend: number of the first tile.
    factor_q: Uint<15>,
    /// Tiles whose K is to be asked for.
    keys_left_q: Uint<16>,
    /// Tiles whose K was asked for, and V was not.
    ahead_q: Uint<2>,
    /// Of the next tile.
    place_q: Uint<WORD_ADDRESS_BITS>,
    /// Of the next of V.
    value_place_q: Uint<WORD_ADDRESS_BITS>,
    /// Words of the banks in use for tiles.
    used_q: Uint<WORD_ADDRESS_BITS>,
    /// By head: tiles that are to be released.
    owed_q: [Uint<16>; CONTEXTS],
    /// By head: words of a tile.
    owed_words_q: [Uint<9>; CONTEXTS],
    oldest_q: Uint<2>,
    newest_q: Uint<2>,
    /// Words of the Fill.
    unwritten_q: Uint<16>,
    /// One of them could not be read.
    failed_q: bool,
}

/// Inputs of a clock.
#[derive(Clone, Copy, Debug)]
pub struct SequencerInputs<'a> {
    /// Tiles have half of the banks.
    pub pinned: bool,
    /// There is a command.
    pub work_valid: bool,
    /// Its index.
    pub work_index: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub work: &'a WorkWords,
    /// A head is taken.
    pub command_ready: bool,
    /// It was started ...
    pub started: HeadStart,
    /// ... and sees these keys.
    pub started_info: HeadInfo,
    /// Or no row sees a key.
    pub refused: HeadStart,
    /// A request is taken.
    pub request_ready: bool,
    /// A run is taken.
    pub run_ready: bool,
    /// This word is in the banks.
    pub written: BankFill,
    /// The room of the oldest tile is free.
    pub released: bool,
    /// A word of the Fill could not be read.
    pub fill_error: bool,
    /// The array takes the command.
    pub array_ready: bool,
    /// The end of a command is taken.
    pub done_ready: bool,
}

/// Words of a tile of K and V.
#[derive(Clone, Copy)]
struct TileWords {
    /// Scales, and K.
    key: u16,
    /// V.
    value: u16,
}

impl TileWords {
    const fn all(self) -> u16 {
        self.key + self.value
    }
}

/// What is asked for next.
struct Next {
    run: StreamRun,
    line: Wide<LINE_BITS>,
    words: u16,
}

impl StreamSequencer {
    /// A sequencer after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            state_q: State::Idle,
            index_q: Uint(0),
            work_q: WorkWords::default(),
            array_valid_q: false,
            context_q: Uint(0),
            done_q: Done::default(),
            request_q: ReadRequest::default(),
            run_q: StreamRun::default(),
            line_q: Wide(0),
            value_line_q: Wide(0),
            left_q: Wide(0),
            factor_q: Uint(0),
            keys_left_q: Uint(0),
            ahead_q: Uint(0),
            place_q: Uint(0),
            value_place_q: Uint(0),
            used_q: Uint(0),
            owed_q: [Uint(0); CONTEXTS],
            owed_words_q: [Uint(0); CONTEXTS],
            oldest_q: Uint(0),
            newest_q: Uint(0),
            unwritten_q: Uint(0),
            failed_q: false,
        }
    }

    fn head(&self) -> CommandHead {
        CommandHead::from_bits(self.work_q[0].0)
    }

    fn source(&self) -> CommandSource {
        CommandSource::from_bits(self.work_q[1].0)
    }

    fn shape(&self) -> CommandShape {
        CommandShape::from_bits(self.work_q[3].0)
    }

    /// How the head lies in the array.
    fn head_shape(&self) -> HeadShape {
        let flags = self.head().flags;
        HeadShape::new(self.geometry.segments, flags.int8, flags.wide)
    }

    fn tile_words(&self) -> TileWords {
        let shape = self.head_shape();
        let scales = low_u16(shape.scale_words(self.head().flags.int8) as u64);
        let value = low_u16(32 * shape.parts as u64);
        TileWords { key: 2 * scales + value, value }
    }

    /// Words of the array in one of memory.
    fn parts(&self) -> u16 {
        low_u16((AXI_BYTES / self.geometry.word_bytes()) as u64)
    }

    /// Words of the banks that tiles may have.
    fn capacity(&self, pinned: bool) -> u16 {
        low_u16(self.geometry.words() as u64) >> u32::from(pinned)
    }

    fn room(&self, pinned: bool) -> bool {
        self.capacity(pinned).wrapping_sub(self.used_q.0) >= self.tile_words().all()
    }

    /// The next request is one of V: no K is left, or it has run ahead as far as it may.
    fn value_turn(&self, pinned: bool) -> bool {
        // So many tiles fit in at once: K may not run further ahead, or V would never be asked for.
        let fit = self.capacity(pinned) / self.tile_words().all();
        self.keys_left_q.0 == 0 || self.ahead_q.0 == fit.clamp(1, TILES_AHEAD)
    }

    /// A command would be taken.
    #[must_use]
    pub fn work_ready(&self) -> bool {
        self.state_q == State::Idle && !self.array_valid_q && !self.done_q.valid
    }

    /// A head for the attention engine.
    #[must_use]
    pub fn command(&self) -> Command {
        let (flags, shape) = (self.head().flags, self.shape());
        Command {
            valid: self.state_q == State::Command,
            resident: flags.resident,
            int8: flags.int8,
            wide: flags.wide,
            causal: flags.causal,
            window: Wide::from_bits(shape.length.0),
            tokens: Wide::from_bits(shape.count.0),
            base: if flags.resident { self.source().bank } else { self.place_q },
        }
    }

    /// Positions of its rows.
    #[must_use]
    pub fn positions(&self) -> Vec<Position> {
        let position = |row: usize| Wide::from_bits(self.work_q[4 + row / 2].0 >> (32 * (row % 2)));
        (0..self.geometry.rows).map(position).collect()
    }

    /// Its rows in use.
    #[must_use]
    pub fn rows(&self) -> Vec<bool> {
        let rows = usize::from(self.head().rows.0);
        (0..self.geometry.rows).map(|row| row < rows).collect()
    }

    /// Words of memory that are wanted.
    #[must_use]
    pub const fn request(&self) -> ReadRequest {
        self.request_q
    }

    /// What becomes of them.
    #[must_use]
    pub const fn run(&self) -> StreamRun {
        self.run_q
    }

    /// A command for the array.
    #[must_use]
    pub const fn array_valid(&self) -> bool {
        self.array_valid_q
    }

    /// Its index.
    #[must_use]
    pub const fn index(&self) -> Uint<COMMAND_INDEX_BITS> {
        self.index_q
    }

    /// Its words.
    #[must_use]
    pub const fn work(&self) -> &WorkWords {
        &self.work_q
    }

    /// The end of a command.
    #[must_use]
    pub const fn done(&self) -> Done {
        self.done_q
    }

    /// There is a command.
    #[must_use]
    pub fn working(&self) -> bool {
        !self.work_ready()
    }

    /// It waits for room in the banks.
    #[must_use]
    pub fn waits(&self, pinned: bool) -> bool {
        self.state_q == State::Tiles && !self.value_turn(pinned) && !self.room(pinned)
    }

    /// Features of the next tile of weights, and its words.
    fn weights(&self) -> (u64, u16) {
        let features = self.left_q.0.min(PSUM_SLOTS as u64);
        let scales = features.div_ceil(if self.head().flags.int8 { 32 } else { 16 });
        (features, low_u16(u64::from(self.factor_q.0) * (features + scales)))
    }

    /// What would be asked for now.
    fn next(&self, pinned: bool) -> Option<Next> {
        let run =
            StreamRun { valid: true, head: self.context_q, index: self.index_q, ..StreamRun::default() };
        let tile = self.tile_words();
        let (run, line) = match self.state_q {
            State::Weights => {
                let words = Uint(self.weights().1);
                (StreamRun { weights: true, words, ..run }, self.line_q)
            }
            State::Tiles if self.value_turn(pinned) => {
                let (address, words) = (self.value_place_q, Uint(tile.value));
                (StreamRun { region: Region::Value, address, words, ..run }, self.value_line_q)
            }
            State::Tiles if self.room(pinned) => {
                let (address, words) = (self.place_q, Uint(tile.key));
                (StreamRun { region: Region::Key, address, words, ..run }, self.line_q)
            }
            State::Fill if self.left_q.0 != 0 => {
                let (address, words) = (self.source().bank, Uint(low_u16(self.left_q.0)));
                (StreamRun { address, words, ..run }, self.line_q)
            }
            _ => return None,
        };
        Some(Next { run, line, words: run.words.0.div_ceil(self.parts()) })
    }

    fn ended(&self, status: u16) -> Done {
        let head = self.head();
        Done {
            valid: true,
            status: Uint(status),
            notify: head.flags.notify,
            tokens: head.signal_tokens,
            index: self.index_q,
        }
    }

    fn take(&mut self, i: &SequencerInputs<'_>) {
        self.index_q = i.work_index;
        self.work_q = *i.work;
        self.line_q = Wide::from_bits(self.source().address.0 >> AXI_BYTES.ilog2());
        self.left_q = Wide::from_bits(self.shape().count.0);
        self.state_q = match self.head().opcode.0 {
            OPCODE_GEMV => {
                self.array_valid_q = true;
                State::Measure
            }
            OPCODE_FILL => {
                self.unwritten_q = Uint(low_u16(self.left_q.0));
                self.failed_q = false;
                State::Fill
            }
            _ => State::Command,
        };
    }

    /// Chunks of the contraction.
    fn measure(&mut self) {
        let blocks = self.shape().length.0 / 32;
        let of_chunk = if self.head().flags.int8 { 1 } else { 2 } * self.geometry.segments as u64;
        self.factor_q = Uint(low_u16(blocks.div_ceil(of_chunk)));
        self.state_q = State::Weights;
    }

    fn answer(&mut self, i: &SequencerInputs<'_>) {
        if i.started.valid {
            let tokens = self.head_shape().tile_tokens() as u64;
            let first = low_u16(i.started_info.origin.0 / tokens);
            self.array_valid_q = true;
            self.context_q = i.started.head;
            self.factor_q = Uint::from_bits(u64::from(first));
            self.keys_left_q = Uint(low_u16(i.started_info.limit.0.div_ceil(tokens)).wrapping_sub(first));
            self.state_q = if self.head().flags.resident { State::Idle } else { State::Place };
        }
        if i.refused.valid {
            self.done_q = self.ended(STATUS_NO_KEYS);
            self.state_q = State::Idle;
        }
    }

    /// The first tile lies behind those that no row sees.
    fn place(&mut self) {
        let tile = self.tile_words();
        let lines = |words: u16| u64::from(words / self.parts());
        let line = self.line_q.0 + u64::from(self.factor_q.0) * lines(tile.all());
        let value_line = line + lines(tile.key);
        (self.line_q, self.value_line_q) = (Wide::from_bits(line), Wide::from_bits(value_line));
        self.value_place_q = Uint(self.place_q.0.wrapping_add(tile.key));
        let newest = usize::from(self.newest_q.0);
        assert_eq!(self.owed_q[newest].0, 0, "INV_STREAM_3");
        self.owed_q[newest] = self.keys_left_q;
        self.owed_words_q[newest] = Uint(tile.all());
        self.newest_q = Uint((self.newest_q.0 + 1) % 4);
        self.state_q = State::Tiles;
    }

    /// What was asked for is not asked for again.
    fn asked(&mut self, next: &Next) {
        let tile = self.tile_words().all();
        let lines = u64::from(tile / self.parts());
        let further = |place: Uint<WORD_ADDRESS_BITS>| Uint(place.0.wrapping_add(tile));
        match next.run.region {
            _ if next.run.weights => {
                self.line_q = Wide::from_bits(self.line_q.0 + u64::from(next.words));
                self.left_q.0 -= self.weights().0;
                if self.left_q.0 == 0 {
                    self.state_q = State::Idle;
                }
            }
            Region::Value => {
                self.value_line_q = Wide::from_bits(self.value_line_q.0 + lines);
                self.value_place_q = further(self.value_place_q);
                self.ahead_q.0 -= 1;
                if self.keys_left_q.0 == 0 && self.ahead_q.0 == 0 {
                    self.state_q = State::Idle;
                }
            }
            Region::Key => {
                self.line_q = Wide::from_bits(self.line_q.0 + lines);
                self.place_q = further(self.place_q);
                self.used_q.0 += tile;
                self.keys_left_q.0 -= 1;
                self.ahead_q.0 += 1;
            }
            Region::Resident | Region::Reserved => self.left_q = Wide(0),
        }
    }

    /// The oldest tile gives its room back.
    fn release(&mut self) {
        let oldest = usize::from(self.oldest_q.0);
        assert!(self.owed_q[oldest].0 != 0, "INV_STREAM_2");
        self.used_q = Uint(self.used_q.0.wrapping_sub(self.owed_words_q[oldest].0));
        self.owed_q[oldest].0 -= 1;
        if self.owed_q[oldest].0 == 0 {
            self.oldest_q = Uint((self.oldest_q.0 + 1) % 4);
        }
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &SequencerInputs<'_>) {
        assert!(usize::from(self.used_q.0) <= self.geometry.words(), "INV_STREAM_1");
        let answered = i.started.valid || i.refused.valid;
        assert!(!answered || self.state_q == State::Answer, "INV_STREAM_5");
        let take = i.work_valid && self.work_ready();
        let free = (!self.request_q.valid || i.request_ready) && (!self.run_q.valid || i.run_ready);
        let next = self.next(i.pinned).filter(|_| free);
        let written = self.left_q.0 == 0 && self.unwritten_q.0 == 0;
        let ended = self.ended(if self.failed_q { STATUS_READ_ERROR } else { STATUS_DONE });

        self.array_valid_q &= !i.array_ready;
        self.done_q.valid &= !i.done_ready;
        self.request_q.valid &= !i.request_ready;
        self.run_q.valid &= !i.run_ready;
        self.failed_q |= i.fill_error;
        if i.written.valid && i.written.region == Region::Resident {
            assert!(self.unwritten_q.0 != 0, "INV_STREAM_4");
            self.unwritten_q.0 -= 1;
        }
        if i.released {
            self.release();
        }
        match self.state_q {
            State::Idle if take => self.take(i),
            State::Measure => self.measure(),
            State::Command if i.command_ready => self.state_q = State::Answer,
            State::Answer => self.answer(i),
            State::Place => self.place(),
            State::Fill if written => {
                self.done_q = ended;
                self.state_q = State::Idle;
            }
            _ => {}
        }
        if let Some(next) = next {
            let address = Wide(next.line.0 * AXI_BYTES as u64);
            self.request_q = ReadRequest { valid: true, address, words: Uint(next.words) };
            self.run_q = next.run;
            self.asked(&next);
        }
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

impl Visit for StreamSequencer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("state_q", &mut self.state_q);
        v.bits("index_q", &mut self.index_q);
        v.packed("work_q", &mut self.work_q);
        v.bits("array_valid_q", &mut self.array_valid_q);
        v.bits("context_q", &mut self.context_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("request_q", &mut self.request_q);
        v.bits("run_q", &mut self.run_q);
        v.bits("line_q", &mut self.line_q);
        v.bits("value_line_q", &mut self.value_line_q);
        v.bits("left_q", &mut self.left_q);
        v.bits("factor_q", &mut self.factor_q);
        v.bits("keys_left_q", &mut self.keys_left_q);
        v.bits("ahead_q", &mut self.ahead_q);
        v.bits("place_q", &mut self.place_q);
        v.bits("value_place_q", &mut self.value_place_q);
        v.bits("used_q", &mut self.used_q);
        v.packed("owed_q", &mut self.owed_q);
        v.packed("owed_words_q", &mut self.owed_words_q);
        v.bits("oldest_q", &mut self.oldest_q);
        v.bits("newest_q", &mut self.newest_q);
        v.bits("unwritten_q", &mut self.unwritten_q);
        v.bits("failed_q", &mut self.failed_q);
    }
}
