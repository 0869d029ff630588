// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/stream_unit.sv`.

use super::stream_distributor::{DistributorInputs, StreamDistributor};
use super::stream_sequencer::{SequencerInputs, StreamSequencer};
use crate::array::Geometry;
use crate::attention::head_table::Position;
use crate::attention::types::{Command, HeadInfo, HeadStart};
use crate::block::{Block, Uint, Visit, Visitor};
use crate::control::types::{Activity, COMMAND_INDEX_BITS, Done};
use crate::control::work_queue::WorkWords;
use crate::link::types::LinkWord;
use crate::memory::types::{ReadRequest, ReadWord};
use crate::sram::types::BankFill;

/// Streams what the array works on.
#[derive(Clone, Debug)]
pub struct StreamUnit {
    sequencer: StreamSequencer,
    distributor: StreamDistributor,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Tiles have half of the banks. Changes only when nothing runs.
    pub pinned_i: bool,
    /// There is a command: Gemv, Attend or Fill.
    pub work_valid_i: bool,
    /// Its index.
    pub work_index_i: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub work_i: WorkWords,
    /// The attention engine takes a head.
    pub command_ready_i: bool,
    /// The head that was taken two cycles ago is started.
    pub started_i: HeadStart,
    /// What it sees.
    pub started_info_i: HeadInfo,
    /// It is refused: no row sees a key.
    pub refused_i: HeadStart,
    /// A request is taken.
    pub request_ready_i: bool,
    /// A word of memory.
    pub word_i: ReadWord,
    /// Its bytes.
    pub data_i: LinkWord,
    /// A word for the banks is taken.
    pub fill_ready_i: bool,
    /// This word is in the banks.
    pub written_i: BankFill,
    /// The room of the oldest tile is free.
    pub released_i: bool,
    /// A word of weights is taken.
    pub weight_ready_i: bool,
    /// The array takes the command.
    pub array_ready_i: bool,
    /// The end of a command is taken.
    pub done_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct Outputs {
    /// A command is taken.
    pub work_ready_o: bool,
    /// A head.
    pub command_o: Command,
    /// Positions of its rows.
    pub positions_o: Vec<Position>,
    /// Its rows in use.
    pub rows_o: Vec<bool>,
    /// Words of memory that are wanted.
    pub request_o: ReadRequest,
    /// A word of memory is taken.
    pub word_ready_o: bool,
    /// A word for the banks.
    pub fill_o: BankFill,
    /// Its bytes.
    pub fill_data_o: Vec<Uint<8>>,
    /// There is a word of weights.
    pub weight_valid_o: bool,
    /// Its bytes.
    pub weight_o: Vec<Uint<8>>,
    /// It, or one before in its tile, could not be read.
    pub weight_fault_o: bool,
    /// There is a command for the array.
    pub array_valid_o: bool,
    /// Its index.
    pub array_index_o: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub array_work_o: WorkWords,
    /// A word of this context could not be read.
    pub fault_o: HeadStart,
    /// The end of a command.
    pub done_o: Done,
    /// What the unit does.
    pub activity_o: Activity,
}

impl StreamUnit {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.distributor.activity()
    }

    /// A unit after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self { sequencer: StreamSequencer::new(geometry), distributor: StreamDistributor::new(geometry) }
    }
}

impl Block for StreamUnit {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (weight_valid_o, weight_fault_o) = self.distributor.weight();
        let word = self.distributor.word();
        Outputs {
            work_ready_o: self.sequencer.work_ready(),
            command_o: self.sequencer.command(),
            positions_o: self.sequencer.positions(),
            rows_o: self.sequencer.rows(),
            request_o: self.sequencer.request(),
            word_ready_o: self.distributor.word_ready(),
            fill_o: self.distributor.fill(),
            fill_data_o: word.clone(),
            weight_valid_o,
            weight_o: word,
            weight_fault_o,
            array_valid_o: self.sequencer.array_valid(),
            array_index_o: self.sequencer.index(),
            array_work_o: *self.sequencer.work(),
            fault_o: self.distributor.fault(),
            done_o: self.sequencer.done(),
            activity_o: self.distributor.activity(),
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let distributor = DistributorInputs {
            run: self.sequencer.run(),
            word: i.word_i,
            data: &i.data_i,
            fill_ready: i.fill_ready_i,
            weight_ready: i.weight_ready_i,
            working: self.sequencer.working(),
            waits: self.sequencer.waits(i.pinned_i),
            index: self.sequencer.index(),
        };
        self.sequencer.clock(&SequencerInputs {
            pinned: i.pinned_i,
            work_valid: i.work_valid_i,
            work_index: i.work_index_i,
            work: &i.work_i,
            command_ready: i.command_ready_i,
            started: i.started_i,
            started_info: i.started_info_i,
            refused: i.refused_i,
            request_ready: i.request_ready_i,
            run_ready: self.distributor.run_ready(),
            written: i.written_i,
            released: i.released_i,
            fill_error: self.distributor.fill_error(),
            array_ready: i.array_ready_i,
            done_ready: i.done_ready_i,
        });
        self.distributor.clock(&distributor);
    }

    fn reset(&mut self) {
        self.sequencer.reset();
        self.distributor.reset();
    }
}

impl Visit for StreamUnit {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_sequencer", None);
        self.sequencer.visit(v);
        v.leave();
        v.enter("u_distributor", None);
        self.distributor.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("pinned_i", &mut self.pinned_i);
        v.bits("work_valid_i", &mut self.work_valid_i);
        v.bits("work_index_i", &mut self.work_index_i);
        v.packed("work_i", &mut self.work_i);
        v.bits("command_ready_i", &mut self.command_ready_i);
        v.bits("started_i", &mut self.started_i);
        v.bits("started_info_i", &mut self.started_info_i);
        v.bits("refused_i", &mut self.refused_i);
        v.bits("request_ready_i", &mut self.request_ready_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("data_i", &mut self.data_i.0);
        v.bits("fill_ready_i", &mut self.fill_ready_i);
        v.bits("written_i", &mut self.written_i);
        v.bits("released_i", &mut self.released_i);
        v.bits("weight_ready_i", &mut self.weight_ready_i);
        v.bits("array_ready_i", &mut self.array_ready_i);
        v.bits("done_ready_i", &mut self.done_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("work_ready_o", &mut self.work_ready_o);
        v.bits("command_o", &mut self.command_o);
        v.packed("positions_o", &mut self.positions_o);
        v.packed("rows_o", &mut self.rows_o);
        v.bits("request_o", &mut self.request_o);
        v.bits("word_ready_o", &mut self.word_ready_o);
        v.bits("fill_o", &mut self.fill_o);
        v.packed("fill_data_o", &mut self.fill_data_o);
        v.bits("weight_valid_o", &mut self.weight_valid_o);
        v.packed("weight_o", &mut self.weight_o);
        v.bits("weight_fault_o", &mut self.weight_fault_o);
        v.bits("array_valid_o", &mut self.array_valid_o);
        v.bits("array_index_o", &mut self.array_index_o);
        v.packed("array_work_o", &mut self.array_work_o);
        v.bits("fault_o", &mut self.fault_o);
        v.bits("done_o", &mut self.done_o);
        v.bits("activity_o", &mut self.activity_o);
    }
}
