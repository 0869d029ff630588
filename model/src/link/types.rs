// SPDX-License-Identifier: Apache-2.0
//! Mirror of the link's part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Uint, Visitor, Wide};
use crate::packed_struct;

/// Words of a flit's payload; a flit takes as many beats on the wire.
pub const FLIT_WORDS: usize = 4;
/// Bytes of a word of the link.
pub const LINK_WORD_BYTES: usize = 64;
/// Bits of a flit's number.
pub const SEQUENCE_BITS: u32 = 7;
/// Bits of a count of credits.
pub const CREDIT_BITS: u32 = 8;
/// Channels of the link: 0 control, 1 latency, 2 bulk; a lower one goes first.
pub const LINK_CHANNELS: usize = 3;
/// Flits that may be on their way without having been acknowledged; half of all numbers.
pub const REPLAY_DEPTH: usize = 64;
/// Flit buffers at the receiver of the control channel. One is where a flit lands: credits are one fewer.
pub const CONTROL_SLOTS: usize = 16;
/// Flit buffers at the receiver of the latency channel.
pub const LATENCY_SLOTS: usize = 16;
/// Flit buffers at the receiver of the bulk channel.
pub const BULK_SLOTS: usize = 64;
/// Cycles until a missing flit is asked for again: in so many the peer's window is sent.
pub const RETRY_TIMEOUT: u32 = 256;
/// Cycles without a good flit after which the session is given up.
pub const LOSS_TIMEOUT: u32 = 512;

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
        /// How many flits of that channel may have been sent in this session, modulo 256; with `nak`, the missing one.
        credit: Uint<CREDIT_BITS>,
        /// Channel of the payload.
        channel: Uint<2>,
        /// Payload words in use, less one.
        words_last: Uint<2>,
        /// `credit` is the number of a flit that has to be sent again.
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

packed_struct! {
    /// What a channel would send now.
    pub struct FlitOffer {
        /// There is something.
        valid: bool,
        /// Payload words in use, less one.
        words_last: Uint<2>,
        /// CRC state after these words, from state 0.
        crc: Wide<32>,
    }
}

packed_struct! {
    /// What is known of a flit that was sent.
    pub struct ReplayEntry {
        /// Channel of the payload.
        channel: Uint<2>,
        /// Payload words in use, less one.
        words_last: Uint<2>,
        /// CRC state after all words of the payload, from state 0.
        crc: Wide<32>,
    }
}

packed_struct! {
    /// A flit that has to be sent again.
    pub struct Resend {
        /// There is one.
        valid: bool,
        /// Its number.
        number: Uint<SEQUENCE_BITS>,
        /// What is known of it.
        entry: ReplayEntry,
    }
}

packed_struct! {
    /// A flit that is missing and has to be asked for.
    pub struct FlitAsk {
        /// There is one.
        valid: bool,
        /// Its number.
        number: Uint<SEQUENCE_BITS>,
    }
}

/// State of an endpoint.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum LinkState {
    /// Nothing is sent that a peer would take.
    #[default]
    Down,
    /// Sends its nonce until the peer sends it back.
    Init,
    /// Knows the epoch; waits for a flit in it.
    Ready,
    /// Data may flow.
    Up,
    /// Sends what is left, then says that there is no more.
    Closing,
    /// No endpoint is in this state.
    Reserved5,
    /// No endpoint is in this state.
    Reserved6,
    /// No endpoint is in this state.
    Reserved7,
}

impl LinkState {
    /// All states in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Down,
        Self::Init,
        Self::Ready,
        Self::Up,
        Self::Closing,
        Self::Reserved5,
        Self::Reserved6,
        Self::Reserved7,
    ];
}

impl Bits for LinkState {
    const WIDTH: u32 = 3;
    const FORMAT: Format = Format::Enum(&[
        "LinkDown",
        "LinkInit",
        "LinkReady",
        "LinkUp",
        "LinkClosing",
        "LinkReserved5",
        "LinkReserved6",
        "LinkReserved7",
    ]);
    fn to_bits(self) -> u64 {
        match self {
            Self::Down => 0,
            Self::Init => 1,
            Self::Ready => 2,
            Self::Up => 3,
            Self::Closing => 4,
            Self::Reserved5 => 5,
            Self::Reserved6 => 6,
            Self::Reserved7 => 7,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Down,
            1 => Self::Init,
            2 => Self::Ready,
            3 => Self::Up,
            4 => Self::Closing,
            5 => Self::Reserved5,
            6 => Self::Reserved6,
            _ => Self::Reserved7,
        }
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

/// Visits a packed array of words.
pub fn visit_words<V: Visitor, const N: usize>(v: &mut V, name: &'static str, words: &mut [LinkWord; N]) {
    let mut parts = words.map(|word| word.0);
    v.packed(name, parts.as_flattened_mut());
    *words = parts.map(LinkWord);
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<FlitHeader>("flit_header_t"),
        named::<FlitRequest>("flit_request_t"),
        named::<Flit>("flit_t"),
        named::<FlitOffer>("flit_offer_t"),
        named::<ReplayEntry>("replay_entry_t"),
        named::<Resend>("resend_t"),
        named::<FlitAsk>("flit_ask_t"),
    ]
}
