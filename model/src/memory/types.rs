// SPDX-License-Identifier: Apache-2.0
//! Mirror of the memory port's part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Uint, Wide};
use crate::packed_struct;

/// Bits of a byte address.
pub const AXI_ADDRESS_BITS: u32 = 40;
/// Bits of an ID.
pub const AXI_ID_BITS: u32 = 4;
/// Bytes of a word of data.
pub const AXI_BYTES: usize = 64;

packed_struct! {
    /// AR or AW: a burst of whole words at rising addresses.
    pub struct AxiAddress {
        /// There is one.
        valid: bool,
        /// Its ID.
        id: Uint<AXI_ID_BITS>,
        /// Address of its first byte, a multiple of [`AXI_BYTES`].
        address: Wide<AXI_ADDRESS_BITS>,
        /// Words less one.
        length: Uint<8>,
    }
}

packed_struct! {
    /// R, without its data.
    pub struct AxiRead {
        /// There is a word.
        valid: bool,
        /// ID of its burst.
        id: Uint<AXI_ID_BITS>,
        /// 0 is OKAY, 2 SLVERR, 3 DECERR.
        response: Uint<2>,
        /// The burst's last word.
        last: bool,
    }
}

packed_struct! {
    /// B: a burst is written.
    pub struct AxiResponse {
        /// There is one.
        valid: bool,
        /// ID of the burst.
        id: Uint<AXI_ID_BITS>,
        /// 0 is OKAY, 2 SLVERR, 3 DECERR.
        response: Uint<2>,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<AxiAddress>("axi_address_t"),
        named::<AxiRead>("axi_read_t"),
        named::<AxiResponse>("axi_response_t"),
    ]
}
