// SPDX-License-Identifier: Apache-2.0
//! Mirror of the link's part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Uint, Wide};
use crate::packed_struct;

/// Words of a flit's payload; a flit takes as many beats on the wire.
pub const FLIT_WORDS: usize = 4;
/// Bytes of a word of the link.
pub const LINK_WORD_BYTES: usize = 64;
/// Bits of a flit's number.
pub const SEQUENCE_BITS: u32 = 7;
/// Bits of a count of credits.
pub const CREDIT_BITS: u32 = 8;

/// What a flit is for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum FlitKind {
    /// Nothing to send.
    #[default]
    Idle,
    /// Words of a channel.
    Data,
    /// Bring-up: where flits begin, nonces.
    Init,
    /// Bring-up: the epoch is known.
    Ready,
    /// The end of a session.
    Close,
    /// No flit is of this kind.
    Reserved5,
    /// No flit is of this kind.
    Reserved6,
    /// No flit is of this kind.
    Reserved7,
}

impl FlitKind {
    /// All kinds in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Idle,
        Self::Data,
        Self::Init,
        Self::Ready,
        Self::Close,
        Self::Reserved5,
        Self::Reserved6,
        Self::Reserved7,
    ];
}

impl Bits for FlitKind {
    const WIDTH: u32 = 3;
    const FORMAT: Format = Format::Enum(&[
        "FlitIdle",
        "FlitData",
        "FlitInit",
        "FlitReady",
        "FlitClose",
        "FlitReserved5",
        "FlitReserved6",
        "FlitReserved7",
    ]);
    fn to_bits(self) -> u64 {
        match self {
            Self::Idle => 0,
            Self::Data => 1,
            Self::Init => 2,
            Self::Ready => 3,
            Self::Close => 4,
            Self::Reserved5 => 5,
            Self::Reserved6 => 6,
            Self::Reserved7 => 7,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Idle,
            1 => Self::Data,
            2 => Self::Init,
            3 => Self::Ready,
            4 => Self::Close,
            5 => Self::Reserved5,
            6 => Self::Reserved6,
            _ => Self::Reserved7,
        }
    }
}

packed_struct! {
    /// What travels with a flit's payload. The kind lies in the lower half: it is on the wire in beat 0.
    pub struct FlitHeader {
        /// Number of a data flit.
        number: Uint<SEQUENCE_BITS>,
        /// Number of the next data flit that is wanted.
        ack: Uint<SEQUENCE_BITS>,
        /// Channel that `credit` is of.
        credit_channel: Uint<2>,
        /// Buffers freed.
        credit: Uint<CREDIT_BITS>,
        /// Channel of the payload.
        channel: Uint<2>,
        /// Payload words in use, less one.
        words_last: Uint<2>,
        /// Please send again.
        nak: bool,
        /// What it is for.
        kind: FlitKind,
    }
}

packed_struct! {
    /// A flit to be sent.
    pub struct FlitRequest {
        /// Its header.
        header: FlitHeader,
        /// CRC state after all words of the payload.
        payload_crc: Wide<32>,
    }
}

packed_struct! {
    /// A flit that was received.
    pub struct Flit {
        /// There is one.
        valid: bool,
        /// Its CRC is right.
        good: bool,
        /// Its header, as received.
        header: FlitHeader,
    }
}

/// A word of the link: 64 bytes, in packed order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub struct LinkWord(pub [Wide<64>; LINK_WORD_BYTES / 8]);

impl LinkWord {
    /// Its bytes, byte 0 first.
    #[must_use]
    pub fn bytes(&self) -> [u8; LINK_WORD_BYTES] {
        std::array::from_fn(|n| self.0[n / 8].0.to_le_bytes()[n % 8])
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<FlitHeader>("flit_header_t"),
        named::<FlitRequest>("flit_request_t"),
        named::<Flit>("flit_t"),
    ]
}
