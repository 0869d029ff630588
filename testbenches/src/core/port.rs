// SPDX-License-Identifier: Apache-2.0
//! The core as its surroundings see it.

use tandem_model::control::types::{
    Activity, AxiLiteAddress, AxiLiteRead, AxiLiteResponse, AxiLiteWrite, UNITS,
};

use crate::dut::DutError;
use crate::memory::port::{MasterSignals, SlaveSignals};

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
