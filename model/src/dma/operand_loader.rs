// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/dma/operand_loader.sv`.

use crate::array::Geometry;
use crate::array::types::SEGMENT_LANES;
use crate::attention::operand_file::BlockData;
use crate::attention::types::OperandBlock;
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::{
    Activity, COMMAND_INDEX_BITS, CommandHead, CommandShape, CommandSource, Done, OPCODE_LOAD,
    OPERAND_CHUNKS, STATUS_DONE, STATUS_READ_ERROR,
};
use crate::control::work_queue::WorkWords;
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_BYTES, ReadRequest, ReadWord};

/// Carries out Load.
#[derive(Clone, Debug)]
pub struct OperandLoader {
    geometry: Geometry,
    busy_q: bool,
    int8_q: bool,
    grouped_q: bool,
    /// First chunk.
    operand_q: Uint<7>,
    /// Rows in use, less one.
    rows_last_q: Uint<3>,
    /// Blocks of a row, less one.
    blocks_last_q: Uint<9>,
    /// Zeros are given.
    zero_q: bool,
    /// To this chunk, from `operand_q` on.
    zero_chunk_q: Uint<7>,
    /// Row of the next word.
    row_q: Uint<3>,
    /// It holds elements, else scales.
    elements_q: bool,
    /// Its first block that was not yet given.
    number_q: Uint<9>,
    failed_q: bool,
    request_q: ReadRequest,
    block_q: OperandBlock,
    block_data_q: BlockData,
    done_q: Done,
    activity_q: Activity,
    /// `[column][word]`: eight scales each.
    scales_q: [Vec<Wide<64>>; AXI_BYTES / 8],
    written: Vec<bool>,
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
    /// A block for the operand files.
    pub block_o: OperandBlock,
    /// Its elements.
    pub block_data_o: BlockData,
    /// A command is done.
    pub done_o: Done,
    /// What the unit does.
    pub activity_o: Activity,
}

impl OperandLoader {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    /// The unit after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let scale_words = 2 * geometry.segments * OPERAND_CHUNKS / AXI_BYTES;
        Self {
            geometry,
            busy_q: false,
            int8_q: false,
            grouped_q: false,
            operand_q: Uint(0),
            rows_last_q: Uint(0),
            blocks_last_q: Uint(0),
            zero_q: false,
            zero_chunk_q: Uint(0),
            row_q: Uint(0),
            elements_q: false,
            number_q: Uint(0),
            failed_q: false,
            request_q: ReadRequest::default(),
            block_q: OperandBlock::default(),
            block_data_q: BlockData::default(),
            done_q: Done::default(),
            activity_q: Activity::default(),
            scales_q: std::array::from_fn(|_| vec![Wide(0); scale_words]),
            written: vec![false; scale_words],
        }
    }

    /// Number of the segment's share that a block belongs to: a block of INT8, two of FP4.
    const fn unit(&self, block: Uint<9>) -> u16 {
        if self.int8_q { block.0 } else { block.0 / 2 }
    }

    /// A chunk's segments have blocks of their own.
    const fn spread(&self) -> bool {
        self.geometry.segments == 2 && !self.grouped_q
    }

    /// Chunk of a block, counted from the first of the row.
    const fn chunk(&self, block: Uint<9>) -> u16 {
        if self.spread() { self.unit(block) / 2 } else { self.unit(block) }
    }

    const fn all_segments(&self) -> Uint<2> {
        Uint((1 << self.geometry.segments) - 1)
    }

    fn chunk_at(&self, from_first: u16) -> Uint<7> {
        Uint::from_bits(u64::from(self.operand_q.0 + from_first))
    }

    /// All blocks of the row but this and those behind it have been given, and this is the last.
    const fn blocks_end(&self) -> bool {
        self.elements_q && self.number_q.0 == self.blocks_last_q.0
    }

    const fn row_ends(&self) -> bool {
        self.row_q.0 == self.rows_last_q.0
    }

    const fn receiving(&self) -> bool {
        self.busy_q && !self.done_q.valid
    }

    fn word_ready(&self) -> bool {
        let whole = self.number_q.0 % 2 == 1 || self.blocks_end();
        self.receiving() && (!self.elements_q || (!self.zero_q && whole))
    }

    /// Uses a word's next block, or its scales.
    fn step(&mut self, word: ReadWord, data: &LinkWord) {
        let (first, half) = (self.number_q.0, usize::from(self.number_q.0 % 2));
        let last_pair = self.blocks_last_q.0 / 2;
        assert_eq!(word.first, self.row_q.0 == 0 && !self.elements_q && first == 0, "INV_LOADER_5");
        let ends = self.row_ends() && self.elements_q && first / 2 == last_pair;
        assert_eq!(word.last, ends, "INV_LOADER_6");
        self.failed_q |= word.error;
        let blocks_end = self.blocks_end();
        if self.elements_q {
            let scales = self.scales_q[usize::from(first / 8 % 8)][usize::from(first / 64)];
            self.block_q = OperandBlock {
                valid: true,
                rows: Uint(1 << self.row_q.0),
                segments: if self.spread() {
                    Uint(1 << (self.unit(self.number_q) % 2))
                } else {
                    self.all_segments()
                },
                chains: if self.int8_q { Uint(3) } else { Uint(1 << half) },
                chunk: self.chunk_at(self.chunk(self.number_q)),
                scale: Uint(u16::from(scales.0.to_le_bytes()[usize::from(first % 8)])),
            };
            self.block_data_q = std::array::from_fn(|column| data.0[half * SEGMENT_LANES / 8 + column]);
            self.number_q = Uint::from_bits(u64::from(first) + 1);
            if blocks_end {
                if self.row_ends() {
                    self.done_q.valid = true;
                    self.done_q.status = Uint(if self.failed_q { STATUS_READ_ERROR } else { STATUS_DONE });
                }
                self.row_q = Uint((self.row_q.0 + 1) % 8);
                (self.elements_q, self.number_q) = (false, Uint(0));
            }
        } else {
            let place = usize::from(first / 64);
            for (column, scales) in self.scales_q.iter_mut().zip(data.0) {
                column[place] = scales;
            }
            self.written[place] = true;
            self.number_q = Uint::from_bits(u64::from(first) + 64);
            if first / 64 == self.blocks_last_q.0 / 64 {
                (self.elements_q, self.number_q) = (true, Uint(0));
            }
        }
    }

    /// Zeros for a chunk: the last one of every row, the others of those that are not in use.
    fn give_zeros(&mut self) {
        let all = (1 << self.geometry.rows) - 1;
        let unused = all & !((2 << self.rows_last_q.0) - 1);
        let last = self.chunk(self.blocks_last_q);
        let chunk = if unused == 0 { last } else { self.zero_chunk_q.0 };
        self.block_q = OperandBlock {
            valid: true,
            rows: Uint(if chunk == last { all } else { unused }),
            segments: self.all_segments(),
            chains: Uint(3),
            chunk: self.chunk_at(chunk),
            scale: Uint(0),
        };
        self.block_data_q = BlockData::default();
        self.zero_chunk_q = Uint((self.zero_chunk_q.0 + 1) % 128);
        self.zero_q = chunk != last;
    }

    fn take_work(&mut self, index: Uint<COMMAND_INDEX_BITS>, work: &[Wide<64>; 8]) {
        let head = CommandHead::from_bits(work[0].0);
        let source = CommandSource::from_bits(work[1].0);
        let features = CommandShape::from_bits(work[3].0).length.0;
        let blocks_last = features / 32 - 1;
        self.busy_q = true;
        self.int8_q = head.flags.int8;
        self.grouped_q = head.flags.grouped;
        self.operand_q = Uint::from_bits(u64::from(head.operand.0));
        self.rows_last_q = Uint(head.rows.0 - 1);
        self.blocks_last_q = Uint::from_bits(blocks_last);
        self.zero_q = true;
        self.zero_chunk_q = Uint(0);
        self.row_q = Uint(0);
        self.elements_q = false;
        self.number_q = Uint(0);
        self.failed_q = false;
        self.request_q = ReadRequest {
            valid: true,
            address: Wide::from_bits(source.address.0),
            words: Uint(head.rows.0 * low_u16(blocks_last / 64 + 1 + blocks_last / 2 + 1)),
        };
        self.done_q = Done {
            valid: false,
            status: Uint(0),
            notify: head.flags.notify,
            tokens: head.signal_tokens,
            index,
        };
        let last = self.operand_q.0 + self.chunk(self.blocks_last_q);
        assert!(usize::from(last) < OPERAND_CHUNKS, "INV_LOADER_3");
    }

    /// A command is one that this unit can carry out.
    fn check_work(&self, work: &[Wide<64>; 8]) {
        let head = CommandHead::from_bits(work[0].0);
        let rows = 1..=self.geometry.rows;
        let sound = head.opcode.0 == OPCODE_LOAD
            && rows.contains(&usize::from(head.rows.0))
            && work[1].0.is_multiple_of(AXI_BYTES as u64);
        assert!(sound, "INV_LOADER_1");
        let features = CommandShape::from_bits(work[3].0).length.0;
        let most = (64 * self.geometry.segments * OPERAND_CHUNKS) as u64;
        assert!(features.is_multiple_of(32) && (1..=most).contains(&features), "INV_LOADER_2");
    }

    /// Outputs in the present cycle.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        Outputs {
            work_ready_o: !self.busy_q,
            request_o: self.request_q,
            word_ready_o: self.word_ready(),
            block_o: self.block_q,
            block_data_o: self.block_data_q,
            done_o: self.done_q,
            activity_o: self.activity_q,
        }
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs) {
        if i.work_valid_i {
            self.check_work(&i.work_i);
        }
        assert!(!i.word_i.valid || self.receiving(), "INV_LOADER_4");
        let starved = self.receiving() && !self.zero_q && !i.word_i.valid;
        self.activity_q =
            Activity { busy: self.busy_q, starved, blocked: self.done_q.valid, index: self.done_q.index };
        let takes = i.work_valid_i && !self.busy_q;

        if self.done_q.valid && i.done_ready_i {
            self.busy_q = false;
            self.done_q.valid = false;
        }
        self.request_q.valid &= !i.request_ready_i;
        self.block_q.valid = false;
        // While zeros are given, scales may come and elements wait.
        let zeros = self.zero_q;
        if i.word_i.valid && !(self.elements_q && zeros) {
            self.step(i.word_i, &i.data_i);
        }
        if zeros {
            self.give_zeros();
        }
        if takes {
            self.take_work(i.work_index_i, &i.work_i);
        }
    }

    /// Reset: the memory keeps what it holds.
    pub fn reset(&mut self) {
        let memories = (std::mem::take(&mut self.scales_q), std::mem::take(&mut self.written));
        *self = Self::new(self.geometry);
        (self.scales_q, self.written) = memories;
    }
}

impl Visit for OperandLoader {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("busy_q", &mut self.busy_q);
        v.bits("int8_q", &mut self.int8_q);
        v.bits("grouped_q", &mut self.grouped_q);
        v.bits("operand_q", &mut self.operand_q);
        v.bits("rows_last_q", &mut self.rows_last_q);
        v.bits("blocks_last_q", &mut self.blocks_last_q);
        v.bits("zero_q", &mut self.zero_q);
        v.bits("zero_chunk_q", &mut self.zero_chunk_q);
        v.bits("row_q", &mut self.row_q);
        v.bits("elements_q", &mut self.elements_q);
        v.bits("number_q", &mut self.number_q);
        v.bits("failed_q", &mut self.failed_q);
        v.bits("request_q", &mut self.request_q);
        v.bits("block_q", &mut self.block_q);
        v.packed("block_data_q", &mut self.block_data_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("activity_q", &mut self.activity_q);
        for (c, column) in self.scales_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("scales_q", column, &mut self.written);
            v.leave();
        }
    }
}
