// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_reader.sv`.

use super::types::{HEAD_WORDS, VECTOR_UNITS};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::{
    CommandHead, CommandShape, CommandSource, FEATURE_BITS, OPCODE_ADD, OPCODE_ANGLES, OPCODE_EMBED,
    OPCODE_GATE, OPCODE_HEADS, OPCODE_NORM, OPCODE_QUANTISE,
};
use crate::control::work_queue::WorkWords;
use crate::memory::types::{AXI_BYTES, LINE_BITS, ReadRequest};

/// Most words of a request.
const REQUEST_WORDS: u64 = 16;
/// Bits of the words of a command.
const LEFT_BITS: u32 = 23;
/// Features of a word.
const GROUP: u64 = 16;

/// Asks for the words of a vector command.
#[derive(Clone, Default, Debug)]
pub struct VectorReader {
    /// Of the next request to the side.
    side_line_q: Wide<LINE_BITS>,
    /// Of the next other one.
    main_line_q: Wide<LINE_BITS>,
    /// Words that are not asked for.
    side_left_q: Wide<LEFT_BITS>,
    /// Also: of the row of a table.
    main_left_q: Wide<LEFT_BITS>,
    /// Other requests to one to the side.
    parts_q: Uint<4>,
    /// Until the next to the side.
    part_q: Uint<4>,
    /// Rows of a table that have not begun.
    runs_q: Uint<4>,
    /// Words of one.
    run_words_q: Uint<16>,
    /// Where it begins.
    table_q: Wide<LINE_BITS>,
    /// Which rows; 0 is next.
    numbers_q: [Wide<FEATURE_BITS>; VECTOR_UNITS],
    /// For the row numbers.
    waits_q: bool,
    /// Rows of the table.
    count_q: Wide<FEATURE_BITS>,
    beyond_q: bool,
    request_q: ReadRequest,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// `work_i` is taken.
    pub start_i: bool,
    /// The command's words.
    pub work_i: WorkWords,
    /// Embed: the row numbers have come.
    pub numbers_valid_i: bool,
    /// They are these.
    pub numbers_i: [Wide<32>; VECTOR_UNITS],
    /// A request is taken, if it is there.
    pub request_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A row number is beyond the table.
    pub beyond_o: bool,
    /// Words that are asked for.
    pub request_o: ReadRequest,
}

impl VectorReader {
    /// A row number is beyond the table.
    #[must_use]
    pub const fn beyond(&self) -> bool {
        self.beyond_q
    }

    /// The request that is made.
    #[must_use]
    pub const fn request(&self) -> ReadRequest {
        self.request_q
    }

    /// Nothing is left to be asked for.
    #[must_use]
    pub const fn idle(&self) -> bool {
        let left = self.side_left_q.0 != 0 || self.main_left_q.0 != 0 || self.runs_q.0 != 0;
        !self.request_q.valid && !left
    }

    /// Puts the next words into the request.
    fn ask(&mut self) {
        let side = self.part_q.0 == 0 && self.side_left_q.0 != 0;
        let (line, left) = if side {
            (&mut self.side_line_q, &mut self.side_left_q)
        } else {
            (&mut self.main_line_q, &mut self.main_left_q)
        };
        let words = left.0.min(REQUEST_WORDS);
        self.request_q.valid = words != 0;
        if words == 0 {
            return;
        }
        self.request_q.address = Wide(line.0 * AXI_BYTES as u64);
        self.request_q.words = Uint(low_u16(words));
        *line = Wide::from_bits(line.0 + words);
        left.0 -= words;
        self.part_q = if side { self.parts_q } else { Uint(self.part_q.0.saturating_sub(1)) };
    }

    /// Goes to the table's next row.
    fn run(&mut self) {
        let row = self.numbers_q[0].0 * u64::from(self.run_words_q.0);
        self.main_line_q = Wide::from_bits(self.table_q.0 + row);
        self.main_left_q = Wide(u64::from(self.run_words_q.0));
        self.runs_q.0 -= 1;
        self.numbers_q.rotate_left(1);
        self.numbers_q[VECTOR_UNITS - 1] = Wide(0);
    }

    /// Notes which rows are wanted; row 0 for those that there are not.
    fn take_numbers(&mut self, numbers: &[Wide<32>; VECTOR_UNITS]) {
        self.waits_q = false;
        for (r, number) in numbers.iter().enumerate() {
            let beyond = number.0 >= self.count_q.0;
            self.numbers_q[r] = if beyond { Wide(0) } else { Wide::from_bits(number.0) };
            self.beyond_q |= beyond && r < usize::from(self.runs_q.0);
        }
    }

    fn take_work(&mut self, work: &WorkWords) {
        let head = CommandHead::from_bits(work[0].0);
        let line = |word: usize| {
            Wide::from_bits(CommandSource::from_bits(work[word].0).address.0 / AXI_BYTES as u64)
        };
        let (source, second) = (line(1), line(4));
        let shape = CommandShape::from_bits(work[3].0);
        let (count, length) = (shape.count.0 % (1 << FEATURE_BITS), shape.length.0 % (1 << FEATURE_BITS));
        let rows = u64::from(head.rows.0 % 16);
        let groups = length / GROUP;
        let head_words = if head.flags.wide { HEAD_WORDS } else { HEAD_WORDS / 2 } as u64;
        self.side_line_q = second;
        self.main_line_q = source;
        self.side_left_q = Wide(0);
        self.main_left_q = Wide(groups * rows);
        self.parts_q = Uint(1);
        self.part_q = Uint(0);
        self.runs_q = Uint(0);
        self.run_words_q = Uint(low_u16(groups));
        self.table_q = second;
        self.waits_q = false;
        self.count_q = Wide(count);
        self.beyond_q = false;
        self.numbers_q = std::array::from_fn(|r| Wide::from_bits(work[4 + r / 2].0 >> (32 * (r % 2))));
        match head.opcode.0 {
            OPCODE_EMBED => {
                self.side_line_q = source;
                self.side_left_q = Wide(1);
                self.main_left_q = Wide(0);
                self.runs_q = Uint::from_bits(rows);
                self.waits_q = true;
            }
            OPCODE_ADD | OPCODE_GATE => {
                (self.side_line_q, self.main_line_q) = (source, second);
                self.side_left_q = self.main_left_q;
            }
            OPCODE_NORM => {
                self.side_left_q = Wide(groups);
                self.parts_q = Uint::from_bits(rows);
            }
            OPCODE_ANGLES => {
                self.main_left_q = Wide(0);
                self.runs_q = Uint::from_bits(rows);
                self.run_words_q = Uint(low_u16(head_words));
                self.table_q = source;
            }
            OPCODE_HEADS => {
                self.side_left_q = Wide(head_words);
                self.main_left_q = Wide(count % (1 << 16) * rows * head_words);
            }
            OPCODE_QUANTISE => self.main_left_q = Wide(head_words * rows),
            _ => self.main_left_q = Wide(count.div_ceil(GROUP) * rows),
        }
    }
}

impl Block for VectorReader {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { beyond_o: self.beyond_q, request_o: self.request_q }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        assert!(!i.start_i || self.idle(), "INV_VREADER_1");
        assert!(!i.numbers_valid_i || self.waits_q, "INV_VREADER_2");
        let asked = self.side_left_q.0 == 0 && self.main_left_q.0 == 0;
        let run = asked && self.runs_q.0 != 0 && !self.waits_q;
        if !self.request_q.valid || i.request_ready_i {
            self.ask();
        }
        if run {
            self.run();
        }
        if i.numbers_valid_i {
            self.take_numbers(&i.numbers_i);
        }
        if i.start_i {
            self.take_work(&i.work_i);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for VectorReader {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("side_line_q", &mut self.side_line_q);
        v.bits("main_line_q", &mut self.main_line_q);
        v.bits("side_left_q", &mut self.side_left_q);
        v.bits("main_left_q", &mut self.main_left_q);
        v.bits("parts_q", &mut self.parts_q);
        v.bits("part_q", &mut self.part_q);
        v.bits("runs_q", &mut self.runs_q);
        v.bits("run_words_q", &mut self.run_words_q);
        v.bits("table_q", &mut self.table_q);
        v.packed("numbers_q", &mut self.numbers_q);
        v.bits("waits_q", &mut self.waits_q);
        v.bits("count_q", &mut self.count_q);
        v.bits("beyond_q", &mut self.beyond_q);
        v.bits("request_q", &mut self.request_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("start_i", &mut self.start_i);
        v.packed("work_i", &mut self.work_i);
        v.bits("numbers_valid_i", &mut self.numbers_valid_i);
        v.packed("numbers_i", &mut self.numbers_i);
        v.bits("request_ready_i", &mut self.request_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("beyond_o", &mut self.beyond_o);
        v.bits("request_o", &mut self.request_o);
    }
}
