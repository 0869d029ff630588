// SPDX-License-Identifier: Apache-2.0
//! The core as its surroundings see it.

use tandem_model::block::Wide;
use tandem_model::control::types::{
    Activity, AxiLiteAddress, AxiLiteRead, AxiLiteResponse, AxiLiteWrite, UNITS,
};
use tandem_model::core::core::{Core, Inputs};
use tandem_model::link::types::LinkWord;

use crate::dut::{Dut, DutError};
use crate::memory::port::{MasterSignals, SlaveSignals, WriteWord};

/// What host and memory drive.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreInputs {
    /// Address of a write.
    pub host_aw: AxiLiteAddress,
    /// Data of a write.
    pub host_w: AxiLiteWrite,
    /// The response to a write is taken.
    pub host_b_ready: bool,
    /// Address of a read.
    pub host_ar: AxiLiteAddress,
    /// What was read is taken.
    pub host_r_ready: bool,
    /// The memory.
    pub memory: SlaveSignals,
}

/// What the core drives.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreOutputs {
    /// There is room for an address of a write.
    pub host_aw_ready: bool,
    /// There is room for data of a write.
    pub host_w_ready: bool,
    /// Response to a write.
    pub host_b: AxiLiteResponse,
    /// There is room for an address of a read.
    pub host_ar_ready: bool,
    /// What was read.
    pub host_r: AxiLiteRead,
    /// Something has happened that the host wants to know of.
    pub interrupt: bool,
    /// Towards the memory.
    pub memory: MasterSignals,
    /// What the units do.
    pub activity: [Activity; UNITS],
}

/// A core, whatever runs it. Its outputs are Moore.
pub trait CorePort {
    /// One clock. While `rst_ni` is false the registers are held in reset.
    ///
    /// # Errors
    /// When the core found something wrong. It cannot be clocked any further.
    fn clock(&mut self, rst_ni: bool, inputs: &CoreInputs) -> Result<(), DutError>;

    /// Outputs in the present cycle.
    fn outputs(&self) -> CoreOutputs;
}

/// A device of kind core.
pub struct CoreDut<'a>(pub &'a mut dyn Dut<Core>);

impl CorePort for CoreDut<'_> {
    fn clock(&mut self, rst_ni: bool, i: &CoreInputs) -> Result<(), DutError> {
        let column = |k: usize| u64::from_le_bytes(std::array::from_fn(|n| i.memory.r_data[8 * k + n]));
        let mut inputs = Inputs {
            host_aw_i: i.host_aw,
            host_w_i: i.host_w,
            host_b_ready_i: i.host_b_ready,
            host_ar_i: i.host_ar,
            host_r_ready_i: i.host_r_ready,
            ar_ready_i: i.memory.ar_ready,
            r_i: i.memory.r,
            r_data_i: LinkWord(std::array::from_fn(|k| Wide(column(k)))),
            aw_ready_i: i.memory.aw_ready,
            w_ready_i: i.memory.w_ready,
            b_i: i.memory.b,
        };
        self.0.clock(rst_ni, &mut inputs)
    }

    fn outputs(&self) -> CoreOutputs {
        let o = self.0.outputs();
        CoreOutputs {
            host_aw_ready: o.host_aw_ready_o,
            host_w_ready: o.host_w_ready_o,
            host_b: o.host_b_o,
            host_ar_ready: o.host_ar_ready_o,
            host_r: o.host_r_o,
            interrupt: o.interrupt_o,
            memory: MasterSignals {
                ar: o.ar_o,
                r_ready: o.r_ready_o,
                aw: o.aw_o,
                w: WriteWord {
                    valid: o.w_o.valid,
                    data: o.w_data_o.bytes(),
                    strobe: o.w_strobe_o.0,
                    last: o.w_o.last,
                },
                b_ready: o.b_ready_o,
            },
            activity: o.activity_o,
        }
    }
}
