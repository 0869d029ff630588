// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/memory/memory_port.sv`.

use super::CLIENTS;
use super::axi_reader::{self, AxiReader};
use super::axi_writer::{self, AxiWriter, Taken};
use super::read_arbiter::{self, ReadArbiter};
use super::types::{
    AXI_ID_BITS, AxiAddress, AxiRead, AxiResponse, AxiWrite, ReadRequest, ReadWord, WriteDone, WriteRequest,
};
use super::write_queue::{self, WriteQueue};
use crate::block::{Block, Visit, Visitor, Wide};
use crate::link::types::{LinkWord, visit_words};

/// Words that the stream's reader has room for.
pub const STREAM_DEPTH: usize = 512;
/// Words of the stream's longest burst.
pub const STREAM_BURST: usize = 64;
/// Words that the clients' reader has room for.
pub const AUX_DEPTH: usize = 64;
/// Words of its longest burst.
pub const AUX_BURST: usize = 16;
/// Bursts to be written that may be on their way.
pub const WRITE_DEPTH: usize = 64;
/// Words of the longest of them.
pub const WRITE_BURST: usize = 16;

/// IDs of each reader.
const IDS: usize = 1 << (AXI_ID_BITS - 1);

/// The core's port to memory.
#[derive(Clone, Default, Debug)]
pub struct MemoryPort {
    /// The stream waits on AR: nobody else may.
    stream_waits_q: bool,
    stream: AxiReader<9, 10, 6, 0, IDS>,
    reads: ReadArbiter,
    aux: AxiReader<6, 7, 4, IDS, IDS>,
    queue: [WriteQueue; CLIENTS],
    writer: AxiWriter<6, 7, 4>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Drops all that was requested.
    pub flush_i: bool,
    /// Request of the stream.
    pub stream_request_i: ReadRequest,
    /// A word of the stream is taken, if it is there.
    pub stream_ready_i: bool,
    /// Requests of the clients that read.
    pub read_request_i: [ReadRequest; CLIENTS],
    /// A word is taken, if it is there.
    pub read_ready_i: [bool; CLIENTS],
    /// Requests of the clients that write.
    pub write_request_i: [WriteRequest; CLIENTS],
    /// There is a word to be written.
    pub write_valid_i: [bool; CLIENTS],
    /// Which of its bytes are.
    pub write_strobe_i: [Wide<64>; CLIENTS],
    /// The word.
    pub write_data_i: [LinkWord; CLIENTS],
    /// AR is taken, if it is there.
    pub ar_ready_i: bool,
    /// R.
    pub r_i: AxiRead,
    /// Data of R.
    pub r_data_i: LinkWord,
    /// AW is taken, if it is there.
    pub aw_ready_i: bool,
    /// W is taken, if it is there.
    pub w_ready_i: bool,
    /// B.
    pub b_i: AxiResponse,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// Nothing is asked for, and nothing on its way.
    pub idle_o: bool,
    /// A request of the stream is taken, if it is there.
    pub stream_request_ready_o: bool,
    /// A word of the stream.
    pub stream_word_o: ReadWord,
    /// Its data.
    pub stream_data_o: LinkWord,
    /// A client's request is taken, if it is there.
    pub read_request_ready_o: [bool; CLIENTS],
    /// Words of the clients, at most one at a time.
    pub read_word_o: [ReadWord; CLIENTS],
    /// Data of that one.
    pub read_data_o: LinkWord,
    /// A client's request is taken, if it is there.
    pub write_request_ready_o: [bool; CLIENTS],
    /// A client's word is taken, if it is there.
    pub write_ready_o: [bool; CLIENTS],
    /// A client's request is written.
    pub write_done_o: [WriteDone; CLIENTS],
    /// AR.
    pub ar_o: AxiAddress,
    /// Always.
    pub r_ready_o: bool,
    /// AW.
    pub aw_o: AxiAddress,
    /// W.
    pub w_o: AxiWrite,
    /// Which bytes of W are written.
    pub w_strobe_o: Wide<64>,
    /// Data of W.
    pub w_data_o: LinkWord,
    /// Always.
    pub b_ready_o: bool,
}

fn word(o: &axi_reader::Outputs) -> ReadWord {
    ReadWord { valid: o.word_valid_o, first: o.word_first_o, last: o.word_last_o, error: o.word_error_o }
}

impl MemoryPort {
    /// AR is the clients': they go first, but what waits on it stays.
    const fn aux_first(&self, aux: &axi_reader::Outputs) -> bool {
        aux.ar_o.valid && !self.stream_waits_q
    }

    /// Inputs of a reader.
    fn reader_inputs(i: &Inputs, request: ReadRequest) -> axi_reader::Inputs {
        axi_reader::Inputs {
            flush_i: i.flush_i,
            request_valid_i: request.valid,
            request_address_i: request.address,
            request_words_i: request.words,
            ar_ready_i: i.ar_ready_i,
            r_i: i.r_i,
            r_data_i: i.r_data_i,
            word_ready_i: i.stream_ready_i,
        }
    }

    fn clock_reads(&mut self, i: &Inputs) {
        let (stream, aux, reads) = (self.stream.outputs(), self.aux.outputs(), self.reads.outputs());
        let aux_first = self.aux_first(&aux);

        let mut inputs = Self::reader_inputs(i, i.stream_request_i);
        inputs.ar_ready_i &= !aux_first;
        self.stream.clock(&inputs);

        let mut inputs = Self::reader_inputs(i, reads.request_o);
        inputs.ar_ready_i &= aux_first;
        inputs.word_ready_i = self.reads.word_ready(i.read_ready_i);
        self.aux.clock(&inputs);

        self.reads.clock(&read_arbiter::Inputs {
            clear_i: i.flush_i,
            request_i: i.read_request_i,
            request_ready_i: aux.request_ready_o,
            word_i: word(&aux),
            word_ready_i: i.read_ready_i,
        });
        self.stream_waits_q = stream.ar_o.valid && !aux_first && !i.ar_ready_i;
    }

    fn clock_writes(&mut self, i: &Inputs) {
        let given = self.queue.each_ref().map(Block::outputs);
        let inputs = axi_writer::Inputs {
            flush_i: i.flush_i,
            request_i: given.each_ref().map(|o| o.request_o),
            word_valid_i: given.each_ref().map(|o| o.word_valid_o),
            strobe_i: given.each_ref().map(|o| o.strobe_o),
            data_i: given.each_ref().map(|o| o.data_o),
            aw_ready_i: i.aw_ready_i,
            w_ready_i: i.w_ready_i,
            b_i: i.b_i,
        };
        let Taken { request, word } = self.writer.taken(&inputs);
        self.writer.clock(&inputs);
        for (client, queue) in self.queue.iter_mut().enumerate() {
            queue.clock(&write_queue::Inputs {
                clear_i: i.flush_i,
                request_i: i.write_request_i[client],
                word_valid_i: i.write_valid_i[client],
                strobe_i: i.write_strobe_i[client],
                data_i: i.write_data_i[client],
                request_taken_i: request == Some(client),
                word_taken_i: word == Some(client),
            });
        }
    }
}

impl Block for MemoryPort {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (stream, aux, reads) = (self.stream.outputs(), self.aux.outputs(), self.reads.outputs());
        let writer = self.writer.outputs();
        let queues = self.queue.each_ref().map(Block::outputs);
        let idle = stream.idle_o && aux.idle_o && reads.idle_o && writer.idle_o;
        Outputs {
            idle_o: idle && queues.iter().all(|queue| queue.idle_o),
            stream_request_ready_o: stream.request_ready_o,
            stream_word_o: word(&stream),
            stream_data_o: stream.word_o,
            read_request_ready_o: reads.request_ready_o,
            read_word_o: self.reads.words(word(&aux)),
            read_data_o: aux.word_o,
            write_request_ready_o: queues.each_ref().map(|queue| queue.request_ready_o),
            write_ready_o: queues.each_ref().map(|queue| queue.word_ready_o),
            write_done_o: writer.done_o,
            ar_o: if self.aux_first(&aux) { aux.ar_o } else { stream.ar_o },
            r_ready_o: stream.r_ready_o && aux.r_ready_o,
            aw_o: writer.aw_o,
            w_o: writer.w_o,
            w_strobe_o: writer.w_strobe_o,
            w_data_o: writer.w_data_o,
            b_ready_o: writer.b_ready_o,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        self.clock_reads(i);
        self.clock_writes(i);
        assert!(!self.stream_waits_q || self.stream.outputs().ar_o.valid, "INV_PORT_1");
    }

    fn reset(&mut self) {
        self.stream_waits_q = false;
        self.stream.reset();
        self.reads.reset();
        self.aux.reset();
        self.queue.iter_mut().for_each(Block::reset);
        self.writer.reset();
    }
}

fn instance<V: Visitor>(v: &mut V, name: &'static str, block: &mut impl Visit) {
    v.enter(name, None);
    block.visit(v);
    v.leave();
}

impl Visit for MemoryPort {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("stream_waits_q", &mut self.stream_waits_q);
        instance(v, "u_stream", &mut self.stream);
        instance(v, "u_reads", &mut self.reads);
        instance(v, "u_aux", &mut self.aux);
        for (client, queue) in self.queue.iter_mut().enumerate() {
            v.enter("gen_client", Some(client));
            instance(v, "u_queue", queue);
            v.leave();
        }
        instance(v, "u_writer", &mut self.writer);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("flush_i", &mut self.flush_i);
        v.bits("stream_request_i", &mut self.stream_request_i);
        v.bits("stream_ready_i", &mut self.stream_ready_i);
        v.packed("read_request_i", &mut self.read_request_i);
        v.packed("read_ready_i", &mut self.read_ready_i);
        v.packed("write_request_i", &mut self.write_request_i);
        v.packed("write_valid_i", &mut self.write_valid_i);
        v.packed("write_strobe_i", &mut self.write_strobe_i);
        visit_words(v, "write_data_i", &mut self.write_data_i);
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
        v.bits("idle_o", &mut self.idle_o);
        v.bits("stream_request_ready_o", &mut self.stream_request_ready_o);
        v.bits("stream_word_o", &mut self.stream_word_o);
        v.packed("stream_data_o", &mut self.stream_data_o.0);
        v.packed("read_request_ready_o", &mut self.read_request_ready_o);
        v.packed("read_word_o", &mut self.read_word_o);
        v.packed("read_data_o", &mut self.read_data_o.0);
        v.packed("write_request_ready_o", &mut self.write_request_ready_o);
        v.packed("write_ready_o", &mut self.write_ready_o);
        v.packed("write_done_o", &mut self.write_done_o);
        v.bits("ar_o", &mut self.ar_o);
        v.bits("r_ready_o", &mut self.r_ready_o);
        v.bits("aw_o", &mut self.aw_o);
        v.bits("w_o", &mut self.w_o);
        v.bits("w_strobe_o", &mut self.w_strobe_o);
        v.packed("w_data_o", &mut self.w_data_o.0);
        v.bits("b_ready_o", &mut self.b_ready_o);
    }
}
