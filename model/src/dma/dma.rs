// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/dma/dma.sv`.

use super::appender::{self, Appender};
use super::operand_loader::{self, OperandLoader};
use crate::array::Geometry;
use crate::block::{Block, Visit, Visitor};

/// The operand loader and the appender side by side.
#[derive(Clone, Debug)]
pub struct Dma {
    loader: OperandLoader,
    appender: Appender,
}

/// Input ports: those of the two units.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Of the operand loader.
    pub load: operand_loader::Inputs,
    /// Of the appender.
    pub append: appender::Inputs,
}

/// Output ports: those of the two units.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// Of the operand loader.
    pub load: operand_loader::Outputs,
    /// Of the appender.
    pub append: appender::Outputs,
}

impl Dma {
    /// The units after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self { loader: OperandLoader::new(geometry), appender: Appender::new(geometry) }
    }
}

impl Block for Dma {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { load: self.loader.outputs(), append: self.appender.outputs() }
    }

    fn clock(&mut self, i: &Inputs) {
        self.loader.clock(&i.load);
        self.appender.clock(&i.append);
    }

    fn reset(&mut self) {
        self.loader.reset();
        self.appender.reset();
    }
}

impl Visit for Dma {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_loader", None);
        self.loader.visit(v);
        v.leave();
        v.enter("u_appender", None);
        self.appender.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let i = &mut self.load;
        v.bits("load_valid_i", &mut i.work_valid_i);
        v.bits("load_index_i", &mut i.work_index_i);
        v.packed("load_i", &mut i.work_i);
        v.bits("load_request_ready_i", &mut i.request_ready_i);
        v.bits("load_word_i", &mut i.word_i);
        v.packed("load_data_i", &mut i.data_i.0);
        v.bits("load_done_ready_i", &mut i.done_ready_i);
        let i = &mut self.append;
        v.bits("append_valid_i", &mut i.work_valid_i);
        v.bits("append_index_i", &mut i.work_index_i);
        v.packed("append_i", &mut i.work_i);
        v.bits("append_request_ready_i", &mut i.request_ready_i);
        v.bits("append_word_i", &mut i.word_i);
        v.packed("append_data_i", &mut i.data_i.0);
        v.bits("write_request_ready_i", &mut i.write_request_ready_i);
        v.bits("write_ready_i", &mut i.write_ready_i);
        v.bits("write_done_i", &mut i.write_done_i);
        v.bits("append_done_ready_i", &mut i.done_ready_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let o = &mut self.load;
        v.bits("load_ready_o", &mut o.work_ready_o);
        v.bits("load_request_o", &mut o.request_o);
        v.bits("load_word_ready_o", &mut o.word_ready_o);
        v.bits("block_o", &mut o.block_o);
        v.packed("block_data_o", &mut o.block_data_o);
        v.bits("load_done_o", &mut o.done_o);
        v.bits("load_activity_o", &mut o.activity_o);
        let o = &mut self.append;
        v.bits("append_ready_o", &mut o.work_ready_o);
        v.bits("append_request_o", &mut o.request_o);
        v.bits("append_word_ready_o", &mut o.word_ready_o);
        v.bits("write_request_o", &mut o.write_request_o);
        v.bits("write_valid_o", &mut o.write_valid_o);
        v.bits("write_strobe_o", &mut o.write_strobe_o);
        v.packed("write_data_o", &mut o.write_data_o.0);
        v.bits("append_done_o", &mut o.done_o);
        v.bits("append_activity_o", &mut o.activity_o);
    }
}
