// SPDX-License-Identifier: Apache-2.0
//! Mirror of the banks' part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Uint};
use crate::packed_struct;

/// Banks of a bank group.
pub const BANKS: usize = 4;
/// Data bytes of a SECDED codeword.
pub const CODEWORD_BYTES: usize = 8;
/// Bits of a word address, more than any geometry's banks need.
pub const WORD_ADDRESS_BITS: u32 = 16;
/// Cycles from a read of the bank group to its word.
pub const READ_LATENCY: usize = 2;

packed_struct! {
    /// A read of one word.
    pub struct BankRead {
        /// There is one.
        valid: bool,
        /// Which word.
        address: Uint<WORD_ADDRESS_BITS>,
    }
}

/// What a word that is filled in belongs to.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum Region {
    /// A pinned tile.
    #[default]
    Resident,
    /// Scales, or elements of K, of a tile that is streamed.
    Key,
    /// Elements of V.
    Value,
    /// None.
    Reserved,
}

impl Bits for Region {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&["RegionResident", "RegionKey", "RegionValue", "RegionReserved"]);
    #[inline(always)]
    fn to_bits(self) -> u64 {
        match self {
            Self::Resident => 0,
            Self::Key => 1,
            Self::Value => 2,
            Self::Reserved => 3,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Resident,
            1 => Self::Key,
            2 => Self::Value,
            _ => Self::Reserved,
        }
    }
}

packed_struct! {
    /// A word to be written.
    pub struct BankFill {
        /// There is one.
        valid: bool,
        /// The last word of a tile.
        commit: bool,
        /// What it belongs to.
        region: Region,
        /// Which word.
        address: Uint<WORD_ADDRESS_BITS>,
    }
}

packed_struct! {
    /// What comes with a word that was read.
    pub struct BankWord {
        /// There is one.
        valid: bool,
        /// A codeword of this word has two wrong bits.
        uncorrectable: bool,
    }
}

packed_struct! {
    /// Counters of wrong bits.
    pub struct BankErrors {
        /// Codewords read with one wrong bit; stays at its maximum.
        corrected: Uint<16>,
        /// Codewords read with two wrong bits; stays at its maximum.
        uncorrectable: Uint<16>,
        /// Address of the first of them.
        first_uncorrectable: Uint<WORD_ADDRESS_BITS>,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<BankRead>("bank_read_t"),
        named::<BankFill>("bank_fill_t"),
        named::<BankWord>("bank_word_t"),
        named::<BankErrors>("bank_errors_t"),
    ]
}
