// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_unit.sv`.

use super::argmax::{self, Argmax};
use super::row_sums::{self, RowSums};
use super::vector_lanes::{self, VectorLanes};
use super::vector_sequencer::{self, VectorSequencer};
use super::vector_writer::{self, VectorWriter};
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::control::types::{Activity, COMMAND_INDEX_BITS, Done};
use crate::control::work_queue::WorkWords;
use crate::link::types::LinkWord;
use crate::memory::types::{ReadRequest, ReadWord, WriteDone, WriteRequest};

/// The vector unit.
#[derive(Clone, Debug, Default)]
pub struct VectorUnit {
    overflow_q: bool,
    sequencer: VectorSequencer,
    lanes: VectorLanes,
    sums: RowSums,
    argmax: Argmax,
    writer: VectorWriter,
}

/// Input ports.
#[derive(Clone, Debug, Default)]
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
    /// A request to write is taken, if it is there.
    pub write_request_ready_i: bool,
    /// A word to be written is taken, if it is there.
    pub write_ready_i: bool,
    /// A request is written.
    pub write_done_i: WriteDone,
    /// The end of a command is taken note of.
    pub done_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A command is taken, if it is there.
    pub work_ready_o: bool,
    /// Words to be read.
    pub request_o: ReadRequest,
    /// A word is taken, if it is there.
    pub word_ready_o: bool,
    /// Words to be written.
    pub write_request_o: WriteRequest,
    /// There is a word to be written.
    pub write_valid_o: bool,
    /// Which of its bytes.
    pub write_strobe_o: Wide<64>,
    /// Its bytes.
    pub write_data_o: LinkWord,
    /// A command is done.
    pub done_o: Done,
    /// A result was clamped since reset.
    pub overflow_o: bool,
    /// What it did in the cycle before.
    pub activity_o: Activity,
}

impl VectorUnit {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.sequencer.doing()
    }
}

impl Block for VectorUnit {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (sequencer, writer) = (self.sequencer.outputs(), self.writer.outputs());
        Outputs {
            work_ready_o: sequencer.work_ready_o,
            request_o: sequencer.request_o,
            word_ready_o: sequencer.word_ready_o,
            write_request_o: writer.write_request_o,
            write_valid_o: writer.write_valid_o,
            write_strobe_o: writer.write_strobe_o,
            write_data_o: writer.write_data_o,
            done_o: sequencer.done_o,
            overflow_o: self.overflow_q,
            activity_o: sequencer.activity_o,
        }
    }

    /// # Panics
    /// When a word goes both ways.
    fn clock(&mut self, i: &Inputs) {
        let sequencer = self.sequencer.outputs();
        let (lanes, sums) = (self.lanes.outputs(), self.sums.outputs());
        let (argmax, writer) = (self.argmax.outputs(), self.writer.outputs());
        assert!(!(sequencer.word_o.valid && sequencer.argmax_word_o.valid), "INV_VECTOR_1");

        self.overflow_q |= writer.overflow_o;
        self.sequencer.clock(&vector_sequencer::Inputs {
            work_valid_i: i.work_valid_i,
            work_index_i: i.work_index_i,
            work_i: i.work_i,
            request_ready_i: i.request_ready_i,
            word_i: i.word_i,
            data_i: i.data_i,
            lanes_busy_i: lanes.busy_o,
            argmax_busy_i: argmax.busy_o,
            argmax_result_i: argmax.result_o,
            sums_busy_i: sums.busy_o,
            scales_i: sums.scales_o,
            writer_ready_i: writer.ready_o,
            writer_idle_i: writer.idle_o,
            writer_failed_i: writer.failed_o,
            done_ready_i: i.done_ready_i,
        });
        self.lanes.clock(&vector_lanes::Inputs {
            op_i: sequencer.op_o,
            word_i: sequencer.word_o,
            a_i: sequencer.a_o,
            b_i: sequencer.b_o,
            cos_i: sequencer.cos_o,
            sin_i: sequencer.sin_o,
            scale_i: sequencer.scale_o,
        });
        self.sums.clock(&row_sums::Inputs {
            clear_i: sequencer.sums_clear_o,
            word_i: lanes.square_word_o,
            square_i: lanes.square_o,
            reduce_i: sequencer.reduce_o,
            units_i: sequencer.units_o,
            mean_i: sequencer.mean_o,
            eps_i: sequencer.eps_o,
        });
        self.argmax.clock(&argmax::Inputs {
            clear_i: sequencer.argmax_clear_o,
            count_i: sequencer.argmax_count_o,
            word_i: sequencer.argmax_word_o,
            a_i: sequencer.a_o,
        });
        let mut written = lanes.word_o;
        written.valid &= sequencer.write_o;
        self.writer.clock(&vector_writer::Inputs {
            start_i: sequencer.start_o,
            form_i: sequencer.form_o,
            stride_i: sequencer.stride_o,
            place_i: sequencer.place_o,
            place_scales_i: sequencer.place_scales_o,
            word_i: written,
            y_i: lanes.y_o,
            direct_valid_i: sequencer.direct_valid_o,
            direct_line_i: sequencer.direct_line_o,
            direct_data_i: sequencer.direct_data_o,
            write_request_ready_i: i.write_request_ready_i,
            write_ready_i: i.write_ready_i,
            write_done_i: i.write_done_i,
        });
    }

    fn reset(&mut self) {
        self.overflow_q = false;
        self.sequencer.reset();
        self.lanes.reset();
        self.sums.reset();
        self.argmax.reset();
        self.writer.reset();
    }
}

impl Visit for VectorUnit {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_sequencer", None);
        self.sequencer.visit(v);
        v.leave();
        v.enter("u_lanes", None);
        self.lanes.visit(v);
        v.leave();
        v.enter("u_sums", None);
        self.sums.visit(v);
        v.leave();
        v.enter("u_argmax", None);
        self.argmax.visit(v);
        v.leave();
        v.enter("u_writer", None);
        self.writer.visit(v);
        v.leave();
        v.bits("overflow_q", &mut self.overflow_q);
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
        v.bits("write_request_ready_i", &mut self.write_request_ready_i);
        v.bits("write_ready_i", &mut self.write_ready_i);
        v.bits("write_done_i", &mut self.write_done_i);
        v.bits("done_ready_i", &mut self.done_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("work_ready_o", &mut self.work_ready_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("word_ready_o", &mut self.word_ready_o);
        v.bits("write_request_o", &mut self.write_request_o);
        v.bits("write_valid_o", &mut self.write_valid_o);
        v.bits("write_strobe_o", &mut self.write_strobe_o);
        v.packed("write_data_o", &mut self.write_data_o.0);
        v.bits("done_o", &mut self.done_o);
        v.bits("overflow_o", &mut self.overflow_o);
        v.bits("activity_o", &mut self.activity_o);
    }
}
