// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_sequencer.sv`.

use super::types::{Form, HEAD_WORDS, HeadsMode, LaneOp, VECTOR_UNITS, VectorPlace, VectorWord};
use super::vector_memory::{self, VectorMemory};
use super::vector_placer::{self, VectorPlacer};
use super::vector_reader::{self, VectorReader};
use crate::block::{Bits, Block, Format, Uint, Visit, Visitor, Wide, further, low_u16};
use crate::control::types::{
    Activity, COMMAND_INDEX_BITS, CommandDestination, CommandHead, CommandShape, Done, FEATURE_BITS,
    GROUP_FLOATS, OPCODE_ADD, OPCODE_ANGLES, OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_GATE, OPCODE_HEADS,
    OPCODE_NORM, OPCODE_QUANTISE, STATUS_DONE, STATUS_INDEX, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use crate::control::work_queue::WorkWords;
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES, LINE_BITS, ReadRequest, ReadWord};
use crate::numerics::Float36;

/// Bits of the number of heads times rows.
const UNITS_BITS: u32 = 19;
/// 16 times 1.0.
const ONES: Floats = [Wide(0x3f80_0000); GROUP_FLOATS];

/// 16 binary32 numbers.
type Floats = [Wide<32>; GROUP_FLOATS];

/// The floats of a word of memory.
#[must_use]
pub fn floats(word: &LinkWord) -> Floats {
    std::array::from_fn(|l| Wide::from_bits(word.0[l / 2].0 >> (32 * (l % 2))))
}

/// What is being done for the command.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum State {
    #[default]
    Idle,
    /// Words to be kept in the chunk buffer.
    Side,
    /// Words to be issued; Heads: and kept.
    Main,
    /// Until they have left the lanes.
    Drain,
    /// Until the scales are there.
    Scales,
    /// Heads: the kept words are issued in pairs.
    Turn,
    /// Until all is written, and that was taken note of.
    End,
}

impl State {
    const ALL: [Self; 7] =
        [Self::Idle, Self::Side, Self::Main, Self::Drain, Self::Scales, Self::Turn, Self::End];
}

impl Bits for State {
    const WIDTH: u32 = 3;
    const FORMAT: Format = Format::Enum(&[
        "StateIdle",
        "StateSide",
        "StateMain",
        "StateDrain",
        "StateScales",
        "StateTurn",
        "StateEnd",
    ]);
    #[inline]
    fn to_bits(self) -> u64 {
        self as u64
    }
    fn from_bits(bits: u64) -> Self {
        Self::ALL[usize::from(low_u16(bits & 7).min(6))]
    }
}

/// Carries out the vector commands.
#[derive(Clone, Debug, Default)]
pub struct VectorSequencer {
    state_q: State,
    opcode_q: Uint<4>,
    wide_q: bool,
    /// 0 but for Heads.
    mode_q: HeadsMode,
    rows_q: Uint<4>,
    count_q: Wide<FEATURE_BITS>,
    /// Destination.
    line_q: Wide<LINE_BITS>,
    mean_q: Wide<32>,
    eps_q: Wide<32>,
    form_q: Form,
    /// Groups of a unit, less one.
    groups_last_q: Uint<16>,
    /// Rows, or heads of rows in the batch.
    units_q: Uint<4>,
    /// Heads: from this batch on.
    units_left_q: Wide<UNITS_BITS>,
    /// Of row 0.
    unit_q: Uint<3>,
    row_q: Uint<3>,
    /// Of the unit; of a pair, the first.
    group_q: Uint<16>,
    /// Word of the chunk.
    index_q: Uint<4>,
    /// The second of the pair is next.
    half_q: bool,
    /// Heads: the kept words have been issued.
    turned_q: bool,
    /// Nothing was in lanes, sums, argmax.
    quiet_q: bool,
    writer_ready_q: bool,
    /// A word was refused.
    failed_q: bool,
    op_q: LaneOp,
    write_q: bool,
    word_q: VectorWord,
    a_q: Floats,
    b_q: Floats,
    cos_q: Floats,
    sin_q: Floats,
    scale_q: Float36,
    start_q: bool,
    clear_q: bool,
    reduce_q: bool,
    direct_q: bool,
    done_q: Done,
    activity_q: Activity,
    reader: VectorReader,
    placer: VectorPlacer,
    memory: VectorMemory,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// There is a command.
    pub work_valid_i: bool,
    /// Its index.
    pub work_index_i: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub work_i: WorkWords,
    /// A request is taken, if it is there.
    pub request_ready_i: bool,
    /// A word that was read.
    pub word_i: ReadWord,
    /// Its bytes.
    pub data_i: LinkWord,
    /// Something is in the lanes.
    pub lanes_busy_i: bool,
    /// Something is in argmax.
    pub argmax_busy_i: bool,
    /// By row its index, then by row its value.
    pub argmax_result_i: Floats,
    /// Something is in the sums, or a reduction is on its way.
    pub sums_busy_i: bool,
    /// By unit: the last reduction's.
    pub scales_i: [Float36; VECTOR_UNITS],
    /// There is room for what may be issued.
    pub writer_ready_i: bool,
    /// All is written and answered.
    pub writer_idle_i: bool,
    /// A write of this command was refused.
    pub writer_failed_i: bool,
    /// The end of a command is taken note of, if it is there.
    pub done_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A command is taken, if it is there.
    pub work_ready_o: bool,
    /// Words that are asked for.
    pub request_o: ReadRequest,
    /// A word is taken, if it is there.
    pub word_ready_o: bool,
    /// What the lanes do.
    pub op_o: LaneOp,
    /// A word for the lanes.
    pub word_o: VectorWord,
    /// Its first operand, or the word for argmax.
    pub a_o: Floats,
    /// Its second operand.
    pub b_o: Floats,
    /// Cosines of its pair.
    pub cos_o: Floats,
    /// Sines of its pair.
    pub sin_o: Floats,
    /// Scale of its unit.
    pub scale_o: Float36,
    /// What comes out of the lanes is written.
    pub write_o: bool,
    /// A word for argmax.
    pub argmax_word_o: VectorWord,
    /// A command begins.
    pub argmax_clear_o: bool,
    /// Features that count.
    pub argmax_count_o: Wide<FEATURE_BITS>,
    /// All sums begin with +0.
    pub sums_clear_o: bool,
    /// Scales are to be made.
    pub reduce_o: bool,
    /// Of so many units.
    pub units_o: Uint<4>,
    /// Factor of the mean.
    pub mean_o: Wide<32>,
    /// What is added to it.
    pub eps_o: Wide<32>,
    /// A command begins.
    pub start_o: bool,
    /// How results are written.
    pub form_o: Form,
    /// Rows.
    pub stride_o: Uint<4>,
    /// Where a unit goes.
    pub place_o: VectorPlace,
    /// Its first scale byte.
    pub place_scales_o: Wide<AXI_ADDRESS_BITS>,
    /// A word is to be written as it is.
    pub direct_valid_o: bool,
    /// There.
    pub direct_line_o: Wide<LINE_BITS>,
    /// The word.
    pub direct_data_o: Floats,
    /// A command is done.
    pub done_o: Done,
    /// What the unit does.
    pub activity_o: Activity,
}

/// Units of a whole batch: rows times as many heads as fit.
const fn batch_units(rows: u16) -> u64 {
    match rows {
        3 | 6 => 6,
        5 => 5,
        7 => 7,
        _ => 8,
    }
}

impl VectorSequencer {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    const fn is(&self, opcode: u16) -> bool {
        self.opcode_q.0 == opcode
    }

    const fn pairs_weights(&self) -> bool {
        self.is(OPCODE_ADD) || self.is(OPCODE_GATE)
    }

    const fn unit(&self) -> u16 {
        (self.unit_q.0 + self.row_q.0) % 8
    }

    const fn row_ends(&self) -> bool {
        self.row_q.0 + 1 == self.rows_q.0
    }

    const fn groups_end(&self) -> bool {
        self.group_q.0 == self.groups_last_q.0
    }

    const fn pairs_end(&self) -> bool {
        self.group_q.0 == self.groups_last_q.0 / 2
    }

    const fn last_unit(&self) -> bool {
        self.unit() + 1 == self.units_q.0
    }

    const fn main_ends(&self) -> bool {
        self.groups_end() && self.last_unit()
    }

    const fn turn_ends(&self) -> bool {
        self.half_q && self.pairs_end() && self.last_unit()
    }

    const fn chunk_ends(&self) -> bool {
        match self.opcode_q.0 {
            OPCODE_NORM => self.row_ends() && self.group_q.0 % 16 == 15,
            OPCODE_ADD | OPCODE_GATE => self.index_q.0 == 15,
            _ => false,
        }
    }

    /// Upper half of the head.
    fn upper(&self) -> bool {
        let half = if self.wide_q { 4 } else { 2 };
        if self.state_q == State::Turn { self.half_q } else { self.group_q.0 & half != 0 }
    }

    /// Pair of words of the head.
    const fn pair(&self) -> u16 {
        self.group_q.0 % if self.wide_q { 4 } else { 2 }
    }

    /// Word of the head.
    fn word_number(&self) -> u16 {
        self.pair() + if self.upper() { u16::from(self.wide_q) * 2 + 2 } else { 0 }
    }

    const fn may_issue(&self) -> bool {
        !self.write_q || self.writer_ready_q
    }

    fn word_ready(&self) -> bool {
        self.state_q == State::Side || (self.state_q == State::Main && self.may_issue())
    }

    /// Heads are left beyond the batch.
    fn again(&self) -> bool {
        self.units_left_q.0 != u64::from(self.units_q.0)
    }

    /// Where the memories are written and read.
    fn memory_inputs(&self, i: &Inputs, side: bool, main: bool) -> vector_memory::Inputs {
        let chunk = match self.state_q {
            State::Main if self.is(OPCODE_NORM) => self.group_q.0 % 16,
            State::Turn => self.word_number(),
            _ => self.index_q.0,
        };
        let angles = main && self.is(OPCODE_ANGLES);
        vector_memory::Inputs {
            data_i: i.data_i,
            chunk_write_i: side,
            chunk_address_i: Uint(chunk),
            batch_write_i: main && self.is(OPCODE_HEADS),
            batch_address_i: Uint(8 * self.unit() + self.word_number()),
            cosines_write_i: angles && !self.upper(),
            sines_write_i: angles && self.upper(),
            angles_address_i: Uint(4 * self.row_q.0 + self.pair()),
        }
    }

    /// Issues the word that has come, or the next of those that were kept.
    fn issue(&mut self, i: &Inputs, at: &vector_memory::Inputs) {
        let (turn, chunk) = (self.state_q == State::Turn, at.chunk_address_i.0);
        let (unit, norm) = (self.unit(), self.is(OPCODE_NORM));
        let stays = self.is(OPCODE_ANGLES) || (self.is(OPCODE_HEADS) && self.mode_q.plain);
        self.word_q = VectorWord {
            valid: turn || !stays,
            unit: Uint(unit),
            hi: turn && self.half_q && self.mode_q.rotated,
            hold: Uint(if turn { u16::from(self.half_q) } else { unit }),
            group: if turn { Uint(self.word_number()) } else { self.group_q },
        };
        self.b_q = ONES;
        if turn {
            self.a_q = floats(&self.memory.batch(at.batch_address_i.0));
            self.b_q = floats(&self.memory.chunk(chunk));
        } else if self.pairs_weights() {
            (self.a_q, self.b_q) = (floats(&self.memory.chunk(chunk)), floats(&i.data_i));
        } else {
            self.a_q = floats(&i.data_i);
            if norm {
                self.b_q = floats(&self.memory.chunk(chunk));
            }
        }
        let scaled = norm || (turn && !self.mode_q.plain);
        self.scale_q = if scaled { i.scales_i[usize::from(unit)] } else { Float36::ONE };
        if turn && self.mode_q.rotated {
            let (cosines, sines) = self.memory.angles(at.angles_address_i.0);
            (self.cos_q, self.sin_q) = (floats(&cosines), floats(&sines));
        }
    }

    /// To the next row, or to that of the next head.
    fn next_row(&mut self) -> bool {
        let ends = self.row_ends();
        self.row_q = if ends { Uint(0) } else { further(self.row_q, 1) };
        ends
    }

    /// On to the next word.
    fn advance_main(&mut self) {
        let groups_end = self.groups_end();
        self.index_q = further(self.index_q, 1);
        let next_group = if groups_end { Uint(0) } else { further(self.group_q, 1) };
        if self.is(OPCODE_EMBED) || self.is(OPCODE_ANGLES) {
            self.group_q = next_group;
            self.row_q = further(self.row_q, u64::from(groups_end));
        } else if self.next_row() {
            self.group_q = next_group;
            if groups_end {
                self.unit_q = further(self.unit_q, u64::from(self.rows_q.0));
            }
        }
    }

    /// On to the next of the kept words.
    fn advance_turn(&mut self) {
        if self.half_q {
            let pairs_end = self.pairs_end();
            self.group_q = if pairs_end { Uint(0) } else { further(self.group_q, 1) };
            if pairs_end && self.next_row() {
                self.unit_q = further(self.unit_q, u64::from(self.rows_q.0));
            }
        }
        self.half_q = !self.half_q;
    }

    /// Begins again at the first unit.
    fn rewind(&mut self) {
        (self.unit_q, self.row_q) = (Uint(0), Uint(0));
        (self.group_q, self.index_q) = (Uint(0), Uint(0));
    }

    /// A batch begins, or the rows of another command.
    fn begin_units(&mut self) {
        self.clear_q = true;
        self.units_q = Uint(low_u16(self.units_left_q.0.min(batch_units(self.rows_q.0))));
    }

    /// Uses a word that has come.
    fn step_main(&mut self, i: &Inputs, at: &vector_memory::Inputs) {
        let (chunk_ends, main_ends) = (self.chunk_ends(), self.main_ends());
        assert!(!(chunk_ends || (main_ends && !self.again())) || i.word_i.last, "INV_SEQUENCER_5");
        self.failed_q |= i.word_i.error;
        self.issue(i, at);
        self.advance_main();
        if main_ends {
            self.rewind();
            self.state_q = State::Drain;
        } else if chunk_ends {
            self.state_q = State::Side;
        }
    }

    /// All words have left the lanes.
    fn drained(&mut self, i: &Inputs) {
        match self.opcode_q.0 {
            OPCODE_EMBED | OPCODE_ADD => {
                self.reduce_q = true;
                self.state_q = State::Scales;
            }
            OPCODE_HEADS if !self.turned_q => {
                self.reduce_q = !self.mode_q.plain;
                self.state_q = State::Scales;
            }
            OPCODE_HEADS if self.again() => {
                self.units_left_q.0 -= u64::from(self.units_q.0);
                self.turned_q = false;
                self.op_q = LaneOp::Copy;
                self.write_q = false;
                self.state_q = State::Main;
                self.begin_units();
            }
            OPCODE_ARGMAX if !self.writer_ready_q => {}
            OPCODE_ARGMAX => {
                self.direct_q = true;
                self.a_q = i.argmax_result_i;
                for row in usize::from(self.rows_q.0)..VECTOR_UNITS {
                    (self.a_q[row], self.a_q[VECTOR_UNITS + row]) = (Wide(0), Wide(0));
                }
                self.state_q = State::End;
            }
            _ => self.state_q = State::End,
        }
    }

    fn take_work(&mut self, index: Uint<COMMAND_INDEX_BITS>, work: &WorkWords) {
        let head = CommandHead::from_bits(work[0].0);
        let shape = CommandShape::from_bits(work[3].0);
        let (count, length) = (shape.count.0 % (1 << FEATURE_BITS), shape.length.0 % (1 << FEATURE_BITS));
        let destination = CommandDestination::from_bits(work[2].0).address.0;
        let opcode = head.opcode.0;
        let heads = opcode == OPCODE_HEADS;
        let mode = HeadsMode::from_bits(head.operand.to_bits());
        let head_words = if head.flags.wide { HEAD_WORDS } else { HEAD_WORDS / 2 } as u64;
        self.opcode_q = Uint::from_bits(head.opcode.to_bits());
        self.wide_q = head.flags.wide;
        self.mode_q = if heads { mode } else { HeadsMode::default() };
        self.rows_q = Uint(head.rows.0 % 16);
        self.count_q = Wide(count);
        self.line_q = Wide::from_bits(destination / AXI_BYTES as u64);
        self.mean_q = Wide::from_bits(work[5].0);
        self.eps_q = Wide::from_bits(work[5].0 >> 32);
        let (op, form, words, write, state) = match opcode {
            OPCODE_EMBED => (LaneOp::Copy, Form::Results, length / 16, true, State::Side),
            OPCODE_ADD => (LaneOp::Add, Form::Results, length / 16, true, State::Side),
            OPCODE_NORM => (LaneOp::Scale, Form::Int8, length / 16, true, State::Side),
            OPCODE_ANGLES => (LaneOp::Copy, Form::Results, head_words, false, State::Main),
            OPCODE_HEADS => {
                let form = if mode.target.0 != 0 && !head.flags.int8 { Form::Fp4 } else { Form::Int8 };
                (LaneOp::Copy, form, head_words, false, State::Side)
            }
            OPCODE_GATE => (LaneOp::Gate, Form::Int8, length / 16, true, State::Side),
            OPCODE_QUANTISE => (LaneOp::Scale, Form::Int8, head_words, true, State::Main),
            _ => (LaneOp::Copy, Form::Results, count.div_ceil(16), false, State::Main),
        };
        (self.op_q, self.form_q, self.write_q, self.state_q) = (op, form, write, state);
        self.groups_last_q = Uint(low_u16(words.wrapping_sub(1)));
        let heads_count = if heads { count % (1 << 16) } else { 1 };
        self.units_left_q = Wide::from_bits(heads_count * u64::from(self.rows_q.0));
        self.turned_q = false;
        self.failed_q = false;
        self.start_q = true;
        self.begin_units();
        self.rewind();
        let (notify, tokens) = (head.flags.notify, head.signal_tokens);
        self.done_q = Done { valid: false, status: Uint(0), notify, tokens, index };
    }

    fn check(&self, i: &Inputs, side: bool) {
        if i.work_valid_i {
            let head = CommandHead::from_bits(i.work_i[0].0);
            let aligned = i.work_i[1..3].iter().all(|word| word.0.is_multiple_of(AXI_BYTES as u64));
            assert!((OPCODE_EMBED..=OPCODE_ARGMAX).contains(&head.opcode.0) && aligned, "INV_SEQUENCER_1");
            assert!((1..=8).contains(&head.rows.0), "INV_SEQUENCER_2");
        }
        let expects = !matches!(self.state_q, State::Idle | State::End);
        assert!(!i.word_i.valid || expects, "INV_SEQUENCER_3");
        assert!(!side || i.word_i.first == (self.index_q.0 == 0), "INV_SEQUENCER_4");
    }

    /// Nothing is being done: only commands and `writer_ready_i` are looked at.
    #[must_use]
    pub const fn idle(&self) -> bool {
        matches!(self.state_q, State::Idle) && !self.start_q && !self.activity_q.busy && self.placer.idle()
    }

    /// Whether the command ends, and how.
    fn finish(&mut self, i: &Inputs, settled: bool) {
        if settled && i.writer_idle_i && !self.done_q.valid {
            self.done_q.valid = true;
            self.done_q.status = Uint(match () {
                () if self.failed_q => STATUS_READ_ERROR,
                () if self.reader.beyond() => STATUS_INDEX,
                () if i.writer_failed_i => STATUS_WRITE_ERROR,
                () => STATUS_DONE,
            });
        } else if self.done_q.valid && i.done_ready_i {
            self.done_q.valid = false;
            self.state_q = State::Idle;
        }
    }
}

impl Block for VectorSequencer {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let argmax = self.is(OPCODE_ARGMAX);
        let placed = self.placer.outputs();
        Outputs {
            work_ready_o: self.state_q == State::Idle,
            request_o: self.reader.request(),
            word_ready_o: self.word_ready(),
            op_o: self.op_q,
            word_o: VectorWord { valid: self.word_q.valid && !argmax, ..self.word_q },
            a_o: self.a_q,
            b_o: self.b_q,
            cos_o: self.cos_q,
            sin_o: self.sin_q,
            scale_o: self.scale_q,
            write_o: self.write_q,
            argmax_word_o: VectorWord { valid: self.word_q.valid && argmax, ..self.word_q },
            argmax_clear_o: self.start_q,
            argmax_count_o: self.count_q,
            sums_clear_o: self.clear_q,
            reduce_o: self.reduce_q,
            units_o: self.units_q,
            mean_o: self.mean_q,
            eps_o: self.eps_q,
            start_o: self.start_q,
            form_o: self.form_q,
            stride_o: self.rows_q,
            place_o: placed.place_o,
            place_scales_o: placed.place_scales_o,
            direct_valid_o: self.direct_q,
            direct_line_o: self.line_q,
            direct_data_o: self.a_q,
            done_o: self.done_q,
            activity_o: self.activity_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let busy = i.lanes_busy_i || i.sums_busy_i || i.argmax_busy_i;
        let quiet = !self.word_q.valid && !self.direct_q && !self.reduce_q && !busy;
        let settled = quiet && self.quiet_q;
        let may_issue = self.may_issue();
        self.quiet_q = quiet;
        if self.idle() && !i.work_valid_i {
            assert!(!i.word_i.valid, "INV_SEQUENCER_3");
            self.writer_ready_q = i.writer_ready_i;
            return;
        }

        let state = self.state_q;
        let side = state == State::Side && i.word_i.valid;
        let main = state == State::Main && i.word_i.valid && may_issue;
        let turn = state == State::Turn && (self.half_q || self.writer_ready_q);
        let take = i.work_valid_i && state == State::Idle;
        self.check(i, side);
        let waits = matches!(state, State::Main | State::Turn) && !may_issue && !self.half_q;
        self.activity_q = Activity {
            busy: state != State::Idle,
            starved: self.word_ready() && !i.word_i.valid,
            blocked: state == State::End || waits,
            index: self.done_q.index,
        };
        let batch = state == State::Drain && settled && self.is(OPCODE_HEADS) && !self.turned_q;
        let units = self.units_q;
        let numbers_valid = side && self.is(OPCODE_EMBED);
        let memory = self.memory_inputs(i, side, main);

        self.word_q.valid = false;
        (self.start_q, self.clear_q) = (false, false);
        (self.reduce_q, self.direct_q) = (false, false);
        match state {
            State::Side if side => {
                self.failed_q |= i.word_i.error;
                self.index_q = if i.word_i.last { Uint(0) } else { further(self.index_q, 1) };
                if i.word_i.last {
                    self.state_q = State::Main;
                }
            }
            State::Main if main => self.step_main(i, &memory),
            State::Drain if settled => self.drained(i),
            State::Scales if settled => {
                self.state_q = State::End;
                if self.is(OPCODE_HEADS) {
                    self.op_q = if self.mode_q.rotated { LaneOp::Rotate } else { LaneOp::Scale };
                    self.write_q = true;
                    self.state_q = State::Turn;
                }
            }
            State::Turn if turn => {
                let ends = self.turn_ends();
                self.issue(i, &memory);
                self.advance_turn();
                if ends {
                    self.rewind();
                    self.turned_q = true;
                    self.state_q = State::Drain;
                }
            }
            State::End => self.finish(i, settled),
            _ => {}
        }
        if take {
            self.take_work(i.work_index_i, &i.work_i);
        }

        self.writer_ready_q = i.writer_ready_i;
        if memory.chunk_write_i || main {
            self.memory.clock(&memory);
        }
        if take || !self.placer.idle() || batch {
            let work_i = i.work_i;
            self.placer.clock(&vector_placer::Inputs {
                start_i: take,
                work_i,
                batch_i: batch,
                units_i: units,
            });
        }
        if take || !self.reader.idle() || numbers_valid {
            self.reader.clock(&vector_reader::Inputs {
                start_i: take,
                work_i: i.work_i,
                numbers_valid_i: numbers_valid,
                numbers_i: std::array::from_fn(|r| Wide::from_bits(i.data_i.0[r / 2].0 >> (32 * (r % 2)))),
                request_ready_i: i.request_ready_i,
            });
        }
    }

    /// Reset: the memories keep what they hold.
    fn reset(&mut self) {
        let mut memory = std::mem::take(&mut self.memory);
        memory.reset();
        *self = Self { memory, ..Self::default() };
    }
}

impl Visit for VectorSequencer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("state_q", &mut self.state_q);
        v.bits("opcode_q", &mut self.opcode_q);
        v.bits("wide_q", &mut self.wide_q);
        v.bits("mode_q", &mut self.mode_q);
        v.bits("rows_q", &mut self.rows_q);
        v.bits("count_q", &mut self.count_q);
        v.bits("line_q", &mut self.line_q);
        v.bits("mean_q", &mut self.mean_q);
        v.bits("eps_q", &mut self.eps_q);
        v.bits("form_q", &mut self.form_q);
        v.bits("groups_last_q", &mut self.groups_last_q);
        v.bits("units_q", &mut self.units_q);
        v.bits("units_left_q", &mut self.units_left_q);
        v.bits("unit_q", &mut self.unit_q);
        v.bits("row_q", &mut self.row_q);
        v.bits("group_q", &mut self.group_q);
        v.bits("index_q", &mut self.index_q);
        v.bits("half_q", &mut self.half_q);
        v.bits("turned_q", &mut self.turned_q);
        v.bits("quiet_q", &mut self.quiet_q);
        v.bits("writer_ready_q", &mut self.writer_ready_q);
        v.bits("failed_q", &mut self.failed_q);
        v.bits("op_q", &mut self.op_q);
        v.bits("write_q", &mut self.write_q);
        v.bits("word_q", &mut self.word_q);
        v.packed("a_q", &mut self.a_q);
        v.packed("b_q", &mut self.b_q);
        v.packed("cos_q", &mut self.cos_q);
        v.packed("sin_q", &mut self.sin_q);
        v.bits("scale_q", &mut self.scale_q);
        v.bits("start_q", &mut self.start_q);
        v.bits("clear_q", &mut self.clear_q);
        v.bits("reduce_q", &mut self.reduce_q);
        v.bits("direct_q", &mut self.direct_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("activity_q", &mut self.activity_q);
        v.enter("u_reader", None);
        self.reader.visit(v);
        v.leave();
        v.enter("u_placer", None);
        self.placer.visit(v);
        v.leave();
        v.enter("u_memory", None);
        self.memory.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("work_valid_i", &mut self.work_valid_i);
        v.bits("work_index_i", &mut self.work_index_i);
        v.packed("work_i", &mut self.work_i);
        v.bits("request_ready_i", &mut self.request_ready_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("data_i", &mut self.data_i.0);
        v.bits("lanes_busy_i", &mut self.lanes_busy_i);
        v.bits("argmax_busy_i", &mut self.argmax_busy_i);
        v.packed("argmax_result_i", &mut self.argmax_result_i);
        v.bits("sums_busy_i", &mut self.sums_busy_i);
        v.packed("scales_i", &mut self.scales_i);
        v.bits("writer_ready_i", &mut self.writer_ready_i);
        v.bits("writer_idle_i", &mut self.writer_idle_i);
        v.bits("writer_failed_i", &mut self.writer_failed_i);
        v.bits("done_ready_i", &mut self.done_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("work_ready_o", &mut self.work_ready_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("word_ready_o", &mut self.word_ready_o);
        v.bits("op_o", &mut self.op_o);
        v.bits("word_o", &mut self.word_o);
        v.packed("a_o", &mut self.a_o);
        v.packed("b_o", &mut self.b_o);
        v.packed("cos_o", &mut self.cos_o);
        v.packed("sin_o", &mut self.sin_o);
        v.bits("scale_o", &mut self.scale_o);
        v.bits("write_o", &mut self.write_o);
        v.bits("argmax_word_o", &mut self.argmax_word_o);
        v.bits("argmax_clear_o", &mut self.argmax_clear_o);
        v.bits("argmax_count_o", &mut self.argmax_count_o);
        v.bits("sums_clear_o", &mut self.sums_clear_o);
        v.bits("reduce_o", &mut self.reduce_o);
        v.bits("units_o", &mut self.units_o);
        v.bits("mean_o", &mut self.mean_o);
        v.bits("eps_o", &mut self.eps_o);
        v.bits("start_o", &mut self.start_o);
        v.bits("form_o", &mut self.form_o);
        v.bits("stride_o", &mut self.stride_o);
        v.bits("place_o", &mut self.place_o);
        v.bits("place_scales_o", &mut self.place_scales_o);
        v.bits("direct_valid_o", &mut self.direct_valid_o);
        v.bits("direct_line_o", &mut self.direct_line_o);
        v.packed("direct_data_o", &mut self.direct_data_o);
        v.bits("done_o", &mut self.done_o);
        v.bits("activity_o", &mut self.activity_o);
    }
}
