// SPDX-License-Identifier: Apache-2.0
//! Mirror of the collective unit's part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Uint};
use crate::packed_struct;

/// Floats of a word of the link, little end first; the bits above them are 0.
pub const WORD_FLOATS: usize = 14;
/// Bits of a rank: 128 chips.
pub const RANK_BITS: u32 = 7;
/// Bits of a port's number.
pub const PORT_BITS: u32 = 3;

/// What the ranks do together.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum CollectiveOp {
    /// Rank r ends with the sum of chunk r.
    #[default]
    ReduceScatter,
    /// All ranks end with chunk r of rank r, for all r.
    AllGather,
    /// All ranks end with the sums of all chunks.
    AllReduce,
    /// No operation has this code.
    Reserved3,
}

impl CollectiveOp {
    /// All operations in the order of their codes.
    pub const ALL: [Self; 4] = [Self::ReduceScatter, Self::AllGather, Self::AllReduce, Self::Reserved3];
}

impl Bits for CollectiveOp {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&[
        "CollectiveReduceScatter",
        "CollectiveAllGather",
        "CollectiveAllReduce",
        "CollectiveReserved3",
    ]);
    fn to_bits(self) -> u64 {
        match self {
            Self::ReduceScatter => 0,
            Self::AllGather => 1,
            Self::AllReduce => 2,
            Self::Reserved3 => 3,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::ReduceScatter,
            1 => Self::AllGather,
            2 => Self::AllReduce,
            _ => Self::Reserved3,
        }
    }
}

packed_struct! {
    /// What a rank has to do.
    pub struct CollectiveCommand {
        /// There is one.
        valid: bool,
        /// Operation.
        op: CollectiveOp,
        /// Every rank has a link to every other, else a ring.
        full: bool,
        /// Of this chip.
        rank: Uint<RANK_BITS>,
        /// How many there are.
        ranks: Uint<8>,
        /// First word of chunk 0.
        base: Uint<16>,
        /// Words of a chunk.
        words: Uint<16>,
        /// Ring: to the next rank.
        send_port: Uint<PORT_BITS>,
        /// Ring: from the previous rank.
        receive_port: Uint<PORT_BITS>,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![named::<CollectiveCommand>("collective_command_t")]
}
