// SPDX-License-Identifier: Apache-2.0
//! Mirror of the control part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two, `tests/csr.rs` compares the
//! offsets with `rtl/control/registers.json`.

use crate::array::types::{NamedStruct, named};
use crate::block::{Uint, Wide};
use crate::packed_struct;

/// Bits of a register's address.
pub const CSR_ADDRESS_BITS: u32 = 12;
/// Bits of a command's index.
pub const COMMAND_INDEX_BITS: u32 = 16;
/// Bits that select a counter.
pub const COUNTER_SELECT_BITS: u32 = 6;
/// Offset of `ID`: what this is.
pub const CSR_ID: u16 = 0x000;
/// Offset of `VERSION`: of this register map.
pub const CSR_VERSION: u16 = 0x004;
/// Offset of `GEOMETRY`: of the core.
pub const CSR_GEOMETRY: u16 = 0x008;
/// Offset of `CONTROL`: what the core may do.
pub const CSR_CONTROL: u16 = 0x00c;
/// Offset of `STATUS`: what the core does.
pub const CSR_STATUS: u16 = 0x010;
/// Offset of `COMMAND_BASE_LO`: where the command ring lies.
pub const CSR_COMMAND_BASE_LO: u16 = 0x020;
/// Offset of `COMMAND_BASE_HI`: where the command ring lies.
pub const CSR_COMMAND_BASE_HI: u16 = 0x024;
/// Offset of `RING_SIZE_LOG2`: room in the command ring.
pub const CSR_RING_SIZE_LOG2: u16 = 0x028;
/// Offset of `DOORBELL`: commands that the host has written.
pub const CSR_DOORBELL: u16 = 0x02c;
/// Offset of `CONSUMER`: commands that the core has taken.
pub const CSR_CONSUMER: u16 = 0x030;
/// Offset of `COMPLETION_BASE_LO`: where completions are written.
pub const CSR_COMPLETION_BASE_LO: u16 = 0x034;
/// Offset of `COMPLETION_BASE_HI`: where completions are written.
pub const CSR_COMPLETION_BASE_HI: u16 = 0x038;
/// Offset of `INTERRUPT_STATUS`: what has happened.
pub const CSR_INTERRUPT_STATUS: u16 = 0x040;
/// Offset of `INTERRUPT_ENABLE`: what raises the interrupt.
pub const CSR_INTERRUPT_ENABLE: u16 = 0x044;
/// Offset of `ERROR_CODE`: the first error since they were cleared.
pub const CSR_ERROR_CODE: u16 = 0x048;
/// Offset of `ERROR_INDEX`: the first error since they were cleared.
pub const CSR_ERROR_INDEX: u16 = 0x04c;
/// Offset of `COUNTER_SELECT`: which counter is read.
pub const CSR_COUNTER_SELECT: u16 = 0x050;
/// Offset of `COUNTER_LO`: the selected counter.
pub const CSR_COUNTER_LO: u16 = 0x054;
/// Offset of `COUNTER_HI`: the selected counter.
pub const CSR_COUNTER_HI: u16 = 0x058;

packed_struct! {
    /// AW or AR.
    pub struct AxiLiteAddress {
        /// There is one.
        valid: bool,
        /// Address of a register.
        address: Uint<CSR_ADDRESS_BITS>,
    }
}

packed_struct! {
    /// W.
    pub struct AxiLiteWrite {
        /// There is one.
        valid: bool,
        /// Which bytes are written.
        strobe: Uint<4>,
        /// All bytes.
        data: Wide<32>,
    }
}

packed_struct! {
    /// R.
    pub struct AxiLiteRead {
        /// There is one.
        valid: bool,
        /// 0 is OKAY, 2 SLVERR.
        response: Uint<2>,
        /// The register's value.
        data: Wide<32>,
    }
}

packed_struct! {
    /// B.
    pub struct AxiLiteResponse {
        /// There is one.
        valid: bool,
        /// 0 is OKAY, 2 SLVERR.
        response: Uint<2>,
    }
}

packed_struct! {
    /// What the host may know of the core.
    pub struct CoreGeometry {
        /// Words of the banks.
        bank_words: Uint<16>,
        /// Segments of a row.
        segments: Uint<8>,
        /// Rows of the array.
        rows: Uint<8>,
    }
}

packed_struct! {
    /// Something went wrong in the core.
    pub struct CoreError {
        /// It did.
        valid: bool,
        /// What.
        code: Uint<8>,
        /// Index of the command it belongs to.
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// How far the host is.
    pub struct Doorbell {
        /// The host has just written it.
        valid: bool,
        /// Commands written since reset.
        producer: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// Reasons for an interrupt.
    pub struct Interrupts {
        /// A doorbell was refused.
        doorbell_overflow: bool,
        /// An error.
        error: bool,
        /// A completion was written.
        completion: bool,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<AxiLiteAddress>("axi_lite_address_t"),
        named::<AxiLiteWrite>("axi_lite_write_t"),
        named::<AxiLiteRead>("axi_lite_read_t"),
        named::<AxiLiteResponse>("axi_lite_response_t"),
        named::<CoreGeometry>("core_geometry_t"),
        named::<CoreError>("core_error_t"),
        named::<Doorbell>("doorbell_t"),
        named::<Interrupts>("interrupts_t"),
    ]
}
