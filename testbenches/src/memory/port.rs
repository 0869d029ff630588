// SPDX-License-Identifier: Apache-2.0
//! The signals of one AXI4 master port in one cycle, both directions.

use std::ops::Range;

use tandem_model::block::Uint;
use tandem_model::memory::types::{AXI_BYTES, AxiAddress, AxiRead, AxiResponse};

/// [`AXI_BYTES`] as a distance between addresses.
pub const WORD: u64 = AXI_BYTES as u64;

/// Data of a word, the lowest address first.
pub type Data = [u8; AXI_BYTES];

/// W.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteWord {
    /// There is a word.
    pub valid: bool,
    /// Its data.
    pub data: Data,
    /// Bit `i`: byte `i` is written.
    pub strobe: u64,
    /// The burst's last word.
    pub last: bool,
}

impl Default for WriteWord {
    fn default() -> Self {
        Self { valid: false, data: [0; AXI_BYTES], strobe: 0, last: false }
    }
}

/// What the master drives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MasterSignals {
    /// AR.
    pub ar: AxiAddress,
    /// Takes a word of R.
    pub r_ready: bool,
    /// AW.
    pub aw: AxiAddress,
    /// W.
    pub w: WriteWord,
    /// Takes a response.
    pub b_ready: bool,
}

/// What the slave drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlaveSignals {
    /// Takes an address of AR.
    pub ar_ready: bool,
    /// R without its data.
    pub r: AxiRead,
    /// Data of R.
    pub r_data: Data,
    /// Takes an address of AW.
    pub aw_ready: bool,
    /// Takes a word of W.
    pub w_ready: bool,
    /// B.
    pub b: AxiResponse,
}

impl Default for SlaveSignals {
    fn default() -> Self {
        Self {
            ar_ready: false,
            r: AxiRead::default(),
            r_data: [0; AXI_BYTES],
            aw_ready: false,
            w_ready: false,
            b: AxiResponse::default(),
        }
    }
}

/// The address that a channel transfers in this cycle.
#[must_use]
pub fn burst_taken(address: &AxiAddress, ready: bool) -> Option<Burst> {
    (address.valid && ready).then(|| Burst::from(address))
}

/// A burst of whole words at rising addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Burst {
    /// Its ID.
    pub id: usize,
    /// Address of its first byte.
    pub address: u64,
    /// How many words.
    pub words: u64,
}

impl Burst {
    /// Address of word `index`.
    #[must_use]
    pub const fn word(&self, index: u64) -> u64 {
        self.address + WORD * index
    }

    /// The addresses of its bytes.
    #[must_use]
    pub const fn bytes(&self) -> Range<u64> {
        self.address..self.word(self.words)
    }
}

impl From<&AxiAddress> for Burst {
    fn from(a: &AxiAddress) -> Self {
        Self { id: usize::from(a.id.0), address: a.address.0, words: u64::from(a.length.0) + 1 }
    }
}

/// How an access ended. Of several the largest counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Response {
    /// OKAY.
    #[default]
    Okay,
    /// SLVERR: the memory has failed.
    Slave,
    /// DECERR: there is no memory at this address.
    Decode,
}

impl Response {
    /// As the port carries it.
    #[must_use]
    pub const fn code(self) -> Uint<2> {
        match self {
            Self::Okay => Uint(0),
            Self::Slave => Uint(2),
            Self::Decode => Uint(3),
        }
    }
}

/// R of a word of burst `burst`, its number `index`.
pub(super) fn read_word(burst: &Burst, index: u64, response: Response) -> AxiRead {
    let last = index + 1 == burst.words;
    AxiRead { valid: true, id: id_bits(burst.id), response: response.code(), last }
}

/// B of a burst.
pub(super) fn write_response(burst: &Burst, response: Response) -> AxiResponse {
    AxiResponse { valid: true, id: id_bits(burst.id), response: response.code() }
}

fn id_bits<const W: u32>(id: usize) -> Uint<W> {
    Uint(u16::try_from(id).expect("IDs are small"))
}
