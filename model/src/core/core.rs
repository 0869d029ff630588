// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/core/core.sv`.

use crate::array::Geometry;
use crate::array::types::PSUM_SLOTS;
use crate::attention::attention_engine::{self, AttentionEngine};
use crate::attention::types::AttentionFlags;
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::compute::array_unit::{self, ArrayUnit};
use crate::compute::gemv_sequencer::{self, GemvSequencer};
use crate::compute::result_buffer::{self, ResultBuffer};
use crate::compute::stream_unit::{self, StreamUnit};
use crate::control::command_unit::{self, CommandUnit, TARGETS};
use crate::control::counters::{self, Counters};
use crate::control::csr::{self, Csr};
use crate::control::types::{
    Activity, AxiLiteAddress, AxiLiteRead, AxiLiteResponse, AxiLiteWrite, CommandDestination, CommandHead,
    CoreGeometry, GROUP_FLOATS, OPCODE_FILL, UNITS,
};
use crate::control::work_queue::{Stage, Work, WorkQueue};
use crate::dma::appender::{self, Appender};
use crate::dma::operand_loader::{self, OperandLoader};
use crate::link::types::LinkWord;
use crate::memory::memory_port::{self, MemoryPort};
use crate::memory::types::{AxiAddress, AxiRead, AxiResponse, AxiWrite};
use crate::sram::types::BankErrors;
use crate::vector::vector_unit::{self, VectorUnit};

/// Groups of results of a tile of a GEMV.
const TILE_GROUPS: usize = PSUM_SLOTS / GROUP_FLOATS;

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Host: address of a write.
    pub host_aw_i: AxiLiteAddress,
    /// Host: data of a write.
    pub host_w_i: AxiLiteWrite,
    /// Host: takes the answer to a write.
    pub host_b_ready_i: bool,
    /// Host: address of a read.
    pub host_ar_i: AxiLiteAddress,
    /// Host: takes what was read.
    pub host_r_ready_i: bool,
    /// Memory: takes a read's address.
    pub ar_ready_i: bool,
    /// Memory: a word that was read ...
    pub r_i: AxiRead,
    /// ... and its data.
    pub r_data_i: LinkWord,
    /// Memory: takes a write's address.
    pub aw_ready_i: bool,
    /// Memory: takes a word to be written.
    pub w_ready_i: bool,
    /// Memory: a burst is written.
    pub b_i: AxiResponse,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Host: takes a write's address.
    pub host_aw_ready_o: bool,
    /// Host: takes a write's data.
    pub host_w_ready_o: bool,
    /// Host: answer to a write.
    pub host_b_o: AxiLiteResponse,
    /// Host: takes a read's address.
    pub host_ar_ready_o: bool,
    /// Host: what was read.
    pub host_r_o: AxiLiteRead,
    /// Something has happened that the host wants to know of.
    pub interrupt_o: bool,
    /// Memory: address of a read.
    pub ar_o: AxiAddress,
    /// Memory: takes words that were read.
    pub r_ready_o: bool,
    /// Memory: address of a write.
    pub aw_o: AxiAddress,
    /// Memory: a word to be written ...
    pub w_o: AxiWrite,
    /// ... which of its bytes ...
    pub w_strobe_o: Wide<64>,
    /// ... and what.
    pub w_data_o: LinkWord,
    /// Memory: takes answers to writes.
    pub b_ready_o: bool,
    /// What each unit does.
    pub activity_o: [Activity; UNITS],
    /// Per row: sticky flags.
    pub flags_o: Vec<AttentionFlags>,
    /// Counters of wrong bits in the banks.
    pub errors_o: BankErrors,
}

/// The core.
#[derive(Clone, Debug)]
pub struct Core {
    geometry: Geometry,
    csr: Csr,
    clearing_q: bool,
    pinned_q: bool,
    port: MemoryPort,
    command: CommandUnit,
    queues: [WorkQueue; TARGETS],
    loader: OperandLoader,
    appender: Appender,
    stream: StreamUnit,
    array_unit: ArrayUnit,
    gemv: GemvSequencer,
    engine: AttentionEngine,
    results: ResultBuffer,
    vector: VectorUnit,
    counters: Counters,
}

/// What the blocks say in a cycle. All but the queues' fronts is Moore, so this is all that they tell each other.
struct Said {
    csr: csr::Outputs,
    port: memory_port::Outputs,
    command: command_unit::Outputs,
    fronts: [Work; TARGETS],
    loader: operand_loader::Outputs,
    appender: appender::Outputs,
    stream: stream_unit::Outputs,
    array_unit: array_unit::Outputs,
    gemv: gemv_sequencer::Outputs,
    engine: attention_engine::Outputs,
    results: result_buffer::Outputs,
    vector: vector_unit::Outputs,
}

impl Said {
    /// The stream unit is offered a command: one at a time is between it and the array unit.
    const fn stream_valid(&self) -> bool {
        self.fronts[1].valid && !self.array_unit.transit_o
    }
}

impl Core {
    /// A core after reset, whose memories nobody has written yet.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            csr: Csr::default(),
            clearing_q: false,
            pinned_q: false,
            port: MemoryPort::default(),
            command: CommandUnit::new(geometry),
            queues: std::array::from_fn(|_| WorkQueue::new(Stage::Unit)),
            loader: OperandLoader::new(geometry),
            appender: Appender::new(geometry),
            stream: StreamUnit::new(geometry),
            array_unit: ArrayUnit::new(geometry),
            gemv: GemvSequencer::new(geometry),
            engine: AttentionEngine::new(geometry),
            results: ResultBuffer::new(geometry),
            vector: VectorUnit::default(),
            counters: Counters::default(),
        }
    }

    fn activity(&self) -> [Activity; UNITS] {
        [
            self.command.doing(),
            self.loader.doing(),
            self.stream.doing(),
            self.array_unit.doing(),
            self.appender.doing(),
            self.results.doing(),
            self.vector.doing(),
        ]
    }

    fn said(&self) -> Said {
        let command = self.command.outputs();
        Said {
            csr: self.csr.outputs(),
            port: self.port.outputs(),
            fronts: std::array::from_fn(|u| self.queues[u].front(command.pending_o)),
            command,
            loader: self.loader.outputs(),
            appender: self.appender.outputs(),
            stream: self.stream.outputs(),
            array_unit: self.array_unit.outputs(),
            gemv: self.gemv.outputs(),
            engine: self.engine.handed(),
            results: self.results.outputs(),
            vector: self.vector.outputs(),
        }
    }

    fn clock_csr(&mut self, i: &Inputs, said: &Said) {
        let Geometry { rows, segments, bank_words, .. } = self.geometry;
        self.csr.clock(&csr::Inputs {
            aw_i: i.host_aw_i,
            w_i: i.host_w_i,
            b_ready_i: i.host_b_ready_i,
            ar_i: i.host_ar_i,
            r_ready_i: i.host_r_ready_i,
            geometry_i: CoreGeometry {
                bank_words: Uint(low_u16(bank_words as u64)),
                segments: Uint(low_u16(segments as u64)),
                rows: Uint(low_u16(rows as u64)),
            },
            idle_i: said.command.idle_o && !self.clearing_q,
            consumer_i: said.command.consumer_o,
            completion_i: said.command.completion_o,
            error_i: said.command.error_o,
            counter_i: self.counter(said),
        });
    }

    /// The counter that is selected. Behind the units' counters: codewords with wrong bits, the flags of all rows, and whether
    /// a result of the vector unit was beyond binary32.
    fn counter(&self, said: &Said) -> Wide<64> {
        match said.csr.counter_select_o.0 {
            26 => Wide(said.engine.errors_o.corrected.0.into()),
            27 => Wide(said.engine.errors_o.uncorrectable.0.into()),
            28 => Wide(self.engine.flags().iter().fold(0, |all, flags| all | flags.to_bits())),
            29 => Wide(said.vector.overflow_o.into()),
            _ => self.counters.outputs().counter_o,
        }
    }

    fn clock_port(&mut self, i: &Inputs, said: &Said) {
        let Said { command, loader, appender, stream, results, vector, .. } = said;
        self.port.clock(&memory_port::Inputs {
            flush_i: self.clearing_q,
            stream_request_i: stream.request_o,
            stream_ready_i: stream.word_ready_o,
            read_request_i: [command.request_o, loader.request_o, appender.request_o, vector.request_o],
            read_ready_i: [
                command.word_ready_o,
                loader.word_ready_o,
                appender.word_ready_o,
                vector.word_ready_o,
            ],
            write_request_i: [
                results.write_request_o,
                appender.write_request_o,
                command.write_request_o,
                vector.write_request_o,
            ],
            write_valid_i: [
                results.write_valid_o,
                appender.write_valid_o,
                command.write_valid_o,
                vector.write_valid_o,
            ],
            write_strobe_i: [
                results.write_strobe_o,
                appender.write_strobe_o,
                command.write_strobe_o,
                vector.write_strobe_o,
            ],
            write_data_i: [
                results.write_data_o,
                appender.write_data_o,
                command.write_data_o,
                vector.write_data_o,
            ],
            ar_ready_i: i.ar_ready_i,
            r_i: i.r_i,
            r_data_i: i.r_data_i,
            aw_ready_i: i.aw_ready_i,
            w_ready_i: i.w_ready_i,
            b_i: i.b_i,
        });
    }

    fn clock_counters(&mut self, i: &Inputs, said: &Said) {
        let pending = said.command.pending_o;
        let waiting = self.queues.iter().map(|queue| queue.waiting(pending).0);
        let waiting = waiting.fold(self.array_unit.waiting(pending).0, |all, one| all | one);
        let Said { command, loader, appender, vector, .. } = said;
        let taken = [command.word_ready_o, loader.word_ready_o, appender.word_ready_o, vector.word_ready_o];
        let read = said.port.read_word_o.iter().zip(taken).any(|(word, ready)| word.valid && ready);
        self.counters.clock(&counters::Inputs {
            activity_i: self.activity(),
            waiting_i: Uint(waiting),
            event_i: [
                said.port.stream_word_o.valid && said.stream.word_ready_o,
                read,
                said.port.w_o.valid && i.w_ready_i,
                said.port.write_done_o[2].valid,
            ],
            select_i: said.csr.counter_select_o,
        });
    }

    fn clock_command(&mut self, said: &Said) {
        let Said { csr, port, .. } = said;
        let holds = self.queues.iter().map(|queue| queue.holds().0);
        let holds = holds.fold(said.array_unit.holds_o.0, |all, one| all | one);
        self.command.clock(&command_unit::Inputs {
            enable_i: csr.enable_o,
            command_base_i: csr.command_base_o,
            ring_size_log2_i: csr.ring_size_log2_o,
            completion_base_i: csr.completion_base_o,
            doorbell_i: csr.doorbell_o,
            bounds_base_i: csr.bounds_base_o,
            bounds_limit_i: csr.bounds_limit_o,
            request_ready_i: port.read_request_ready_o[0],
            word_i: port.read_word_o[0],
            data_i: port.read_data_o,
            write_request_ready_i: port.write_request_ready_o[2],
            write_ready_i: port.write_ready_o[2],
            write_done_i: port.write_done_o[2],
            work_ready_i: std::array::from_fn(|u| self.queues[u].ready()),
            holds_i: Uint(holds),
            done_i: [
                said.loader.done_o,
                said.stream.done_o,
                said.appender.done_o,
                said.results.done_o,
                said.vector.done_o,
            ],
        });
    }

    fn clock_queues(&mut self, said: &Said) {
        let stream_ready = said.stream.work_ready_o && !said.array_unit.transit_o;
        let ready =
            [said.loader.work_ready_o, stream_ready, said.appender.work_ready_o, said.vector.work_ready_o];
        let Said { command, .. } = said;
        for (u, queue) in self.queues.iter_mut().enumerate() {
            let work =
                Work { valid: command.work_valid_o[u], index: command.work_index_o, words: command.work_o.0 };
            queue.clock(&work, command.pending_o, ready[u]);
        }
    }

    fn clock_dma(&mut self, said: &Said) {
        let Said { port, command, fronts, .. } = said;
        self.loader.clock(&operand_loader::Inputs {
            work_valid_i: fronts[0].valid,
            work_index_i: fronts[0].index,
            work_i: fronts[0].words,
            request_ready_i: port.read_request_ready_o[1],
            word_i: port.read_word_o[1],
            data_i: port.read_data_o,
            done_ready_i: command.done_ready_o[0],
        });
        self.appender.clock(&appender::Inputs {
            work_valid_i: fronts[2].valid,
            work_index_i: fronts[2].index,
            work_i: fronts[2].words,
            request_ready_i: port.read_request_ready_o[2],
            word_i: port.read_word_o[2],
            data_i: port.read_data_o,
            write_request_ready_i: port.write_request_ready_o[1],
            write_ready_i: port.write_ready_o[1],
            write_done_i: port.write_done_o[1],
            done_ready_i: command.done_ready_o[2],
        });
    }

    fn clock_vector(&mut self, said: &Said) {
        let Said { port, command, fronts, .. } = said;
        self.vector.clock(&vector_unit::Inputs {
            work_valid_i: fronts[3].valid,
            work_index_i: fronts[3].index,
            work_i: fronts[3].words,
            request_ready_i: port.read_request_ready_o[3],
            word_i: port.read_word_o[3],
            data_i: port.read_data_o,
            write_request_ready_i: port.write_request_ready_o[3],
            write_ready_i: port.write_ready_o[3],
            write_done_i: port.write_done_o[3],
            done_ready_i: command.done_ready_o[4],
        });
    }

    fn clock_stream(&mut self, said: &Said) {
        let Said { port, engine, .. } = said;
        self.stream.clock(&stream_unit::Inputs {
            pinned_i: self.pinned_q,
            work_valid_i: said.stream_valid(),
            work_index_i: said.fronts[1].index,
            work_i: said.fronts[1].words,
            command_ready_i: engine.command_ready_o,
            started_i: engine.started_o,
            started_info_i: engine.started_info_o,
            refused_i: engine.refused_o,
            request_ready_i: port.stream_request_ready_o,
            word_i: port.stream_word_o,
            data_i: port.stream_data_o,
            fill_ready_i: engine.fill_ready_o,
            written_i: engine.written_o,
            released_i: engine.released_o,
            weight_ready_i: said.gemv.weight_ready_o,
            array_ready_i: said.array_unit.work_ready_o,
            done_ready_i: said.command.done_ready_o[1],
        });
    }

    fn clock_array_unit(&mut self, said: &Said) {
        let Said { stream, gemv, engine, results, fronts, .. } = said;
        let head = CommandHead::from_bits(fronts[1].words[0].0);
        let destination = CommandDestination::from_bits(fronts[1].words[2].0);
        self.array_unit.clock(&array_unit::Inputs {
            taken_i: said.stream_valid() && stream.work_ready_o && head.opcode.0 != OPCODE_FILL,
            taken_wait_i: destination.wait_array,
            refused_i: engine.refused_o.valid,
            work_i: Work {
                valid: stream.array_valid_o,
                index: stream.array_index_o,
                words: stream.array_work_o,
            },
            fault_i: stream.fault_o,
            pending_i: said.command.pending_o,
            gemv_ready_i: gemv.gemv_ready_o,
            gemv_end_i: gemv.job_end_o,
            gemv_fault_i: gemv.fault_o,
            gemv_busy_i: gemv.busy_o,
            gemv_starved_i: gemv.starved_o,
            gemv_blocked_i: gemv.blocked_o,
            stream_starved_i: stream.activity_o.starved,
            attended_i: engine.attended_o,
            poisoned_i: engine.poisoned_o,
            head_done_i: engine.head_done_o,
            job_ready_i: results.job_ready_o,
            job_slot_i: results.job_slot_o,
            free_i: results.free_o,
        });
    }

    fn clock_array(&mut self, said: Said) {
        let Said { port, command, loader, stream, array_unit, gemv, engine, results, .. } = said;
        self.gemv.clock(&gemv_sequencer::Inputs {
            gemv_i: array_unit.gemv_o,
            weight_valid_i: stream.weight_valid_o,
            weight_i: stream.weight_o,
            weight_fault_i: stream.weight_fault_o,
            room_i: usize::from(results.free_o.0) >= TILE_GROUPS,
        });
        let mut result_i = engine.result_o;
        for result in &mut result_i {
            result.valid &= array_unit.owner_o;
        }
        self.results.clock(&result_buffer::Inputs {
            job_i: array_unit.job_o,
            job_done_i: array_unit.job_done_o,
            fault_i: array_unit.job_fault_o,
            reserve_i: Uint(array_unit.reserve_o.0 | gemv.reserve_o.0),
            result_i,
            attended_valid_i: engine.attended_o.valid,
            values_i: engine.values_o,
            write_request_ready_i: port.write_request_ready_o[0],
            write_ready_i: port.write_ready_o[0],
            write_done_i: port.write_done_o[0],
            done_ready_i: command.done_ready_o[3],
        });
        self.engine.clock(&attention_engine::Inputs {
            command_i: stream.command_o,
            positions_i: stream.positions_o,
            rows_i: stream.rows_o,
            block_i: loader.block_o,
            block_data_i: loader.block_data_o,
            operands_i: array_unit.operands_o,
            pinned_i: self.pinned_q,
            gemv_i: array_unit.owner_o,
            gemv_feed_i: gemv.feed_o,
            gemv_beat_i: gemv.beat_o,
            gemv_scales_i: gemv.scales_o,
            gemv_elements_i: gemv.elements_o,
            fill_i: stream.fill_o,
            fill_data_i: stream.fill_data_o,
            out_ready_i: true,
            clear_i: false,
        });
    }

    fn reset_units(&mut self) {
        self.command.reset();
        self.queues.iter_mut().for_each(WorkQueue::reset);
        self.loader.reset();
        self.appender.reset();
        self.stream.reset();
        self.array_unit.reset();
        self.gemv.reset();
        self.engine.reset();
        self.results.reset();
        self.vector.reset();
    }
}

impl Block for Core {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (csr, port) = (self.csr.outputs(), self.port.outputs());
        Outputs {
            host_aw_ready_o: csr.aw_ready_o,
            host_w_ready_o: csr.w_ready_o,
            host_b_o: csr.b_o,
            host_ar_ready_o: csr.ar_ready_o,
            host_r_o: csr.r_o,
            interrupt_o: csr.interrupt_o,
            ar_o: port.ar_o,
            r_ready_o: port.r_ready_o,
            aw_o: port.aw_o,
            w_o: port.w_o,
            w_strobe_o: port.w_strobe_o,
            w_data_o: port.w_data_o,
            b_ready_o: port.b_ready_o,
            activity_o: self.activity(),
            flags_o: self.engine.flags(),
            errors_o: self.engine.errors(),
        }
    }

    /// # Panics
    /// When both sequencers reserve room at once.
    fn clock(&mut self, i: &Inputs) {
        let said = self.said();
        self.clock_csr(i, &said);
        self.clock_port(i, &said);
        self.clock_counters(i, &said);
        let idle = said.command.idle_o && !self.clearing_q;
        let pinned = if idle { said.csr.pinned_o } else { self.pinned_q };
        let reserved = (said.array_unit.reserve_o.0, said.gemv.reserve_o.0);
        assert!(reserved.0 == 0 || reserved.1 == 0, "INV_CORE_1");
        let clearing = said.csr.soft_reset_o || (self.clearing_q && !said.port.idle_o);
        // While clearing, reset holds the units.
        if !self.clearing_q {
            self.clock_command(&said);
            self.clock_queues(&said);
            self.clock_dma(&said);
            self.clock_vector(&said);
            self.clock_stream(&said);
            self.clock_array_unit(&said);
            self.clock_array(said);
            if clearing {
                self.reset_units();
            }
        }
        self.clearing_q = clearing;
        self.pinned_q = pinned;
    }

    fn reset(&mut self) {
        self.csr.reset();
        self.clearing_q = false;
        self.pinned_q = false;
        self.port.reset();
        self.counters.reset();
        self.reset_units();
    }
}

impl Visit for Core {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_csr", None);
        self.csr.visit(v);
        v.leave();
        v.bits("clearing_q", &mut self.clearing_q);
        v.bits("pinned_q", &mut self.pinned_q);
        v.enter("u_port", None);
        self.port.visit(v);
        v.leave();
        v.enter("u_command", None);
        self.command.visit(v);
        v.leave();
        for (u, queue) in self.queues.iter_mut().enumerate() {
            v.enter("gen_queue", Some(u));
            v.enter("u_queue", None);
            queue.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_loader", None);
        self.loader.visit(v);
        v.leave();
        v.enter("u_appender", None);
        self.appender.visit(v);
        v.leave();
        v.enter("u_stream", None);
        self.stream.visit(v);
        v.leave();
        v.enter("u_array_unit", None);
        self.array_unit.visit(v);
        v.leave();
        v.enter("u_gemv", None);
        self.gemv.visit(v);
        v.leave();
        v.enter("u_engine", None);
        self.engine.visit(v);
        v.leave();
        v.enter("u_results", None);
        self.results.visit(v);
        v.leave();
        v.enter("u_vector", None);
        self.vector.visit(v);
        v.leave();
        v.enter("u_counters", None);
        self.counters.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("host_aw_i", &mut self.host_aw_i);
        v.bits("host_w_i", &mut self.host_w_i);
        v.bits("host_b_ready_i", &mut self.host_b_ready_i);
        v.bits("host_ar_i", &mut self.host_ar_i);
        v.bits("host_r_ready_i", &mut self.host_r_ready_i);
        v.bits("ar_ready_i", &mut self.ar_ready_i);
        v.bits("r_i", &mut self.r_i);
        v.packed("r_data_i", &mut self.r_data_i.0);
        v.bits("aw_ready_i", &mut self.aw_ready_i);
        v.bits("w_ready_i", &mut self.w_ready_i);
        v.bits("b_i", &mut self.b_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("host_aw_ready_o", &mut self.host_aw_ready_o);
        v.bits("host_w_ready_o", &mut self.host_w_ready_o);
        v.bits("host_b_o", &mut self.host_b_o);
        v.bits("host_ar_ready_o", &mut self.host_ar_ready_o);
        v.bits("host_r_o", &mut self.host_r_o);
        v.bits("interrupt_o", &mut self.interrupt_o);
        v.bits("ar_o", &mut self.ar_o);
        v.bits("r_ready_o", &mut self.r_ready_o);
        v.bits("aw_o", &mut self.aw_o);
        v.bits("w_o", &mut self.w_o);
        v.bits("w_strobe_o", &mut self.w_strobe_o);
        v.packed("w_data_o", &mut self.w_data_o.0);
        v.bits("b_ready_o", &mut self.b_ready_o);
        v.packed("activity_o", &mut self.activity_o);
        v.packed("flags_o", &mut self.flags_o);
        v.bits("errors_o", &mut self.errors_o);
    }
}
