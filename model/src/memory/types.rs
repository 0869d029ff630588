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
/// Bits of the number of a word of memory.
pub const LINE_BITS: u32 = 34;

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

packed_struct! {
    /// W, without strobe and data.
    pub struct AxiWrite {
        /// There is a word.
        valid: bool,
        /// The burst's last word.
        last: bool,
    }
}

packed_struct! {
    /// Words of memory to be read.
    pub struct ReadRequest {
        /// There is one.
        valid: bool,
        /// Address of the first word.
        address: Wide<AXI_ADDRESS_BITS>,
        /// How many; at least one.
        words: Uint<16>,
    }
}

packed_struct! {
    /// A word that was read.
    pub struct ReadWord {
        /// There is one.
        valid: bool,
        /// The first of its request.
        first: bool,
        /// The last of its request.
        last: bool,
        /// This word, or one before it of the same request, was refused.
        error: bool,
    }
}

packed_struct! {
    /// Words of memory to be written.
    pub struct WriteRequest {
        /// There is one.
        valid: bool,
        /// Address of the first word.
        address: Wide<AXI_ADDRESS_BITS>,
        /// How many; at least one.
        words: Uint<8>,
    }
}

packed_struct! {
    /// All words of a request are written.
    pub struct WriteDone {
        /// They are.
        valid: bool,
        /// One of them was refused.
        error: bool,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<AxiAddress>("axi_address_t"),
        named::<AxiRead>("axi_read_t"),
        named::<AxiResponse>("axi_response_t"),
        named::<AxiWrite>("axi_write_t"),
        named::<ReadRequest>("read_request_t"),
        named::<ReadWord>("read_word_t"),
        named::<WriteRequest>("write_request_t"),
        named::<WriteDone>("write_done_t"),
    ]
}
