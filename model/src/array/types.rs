// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/tandem_pkg.sv`: constants and packed structs. `tests/package.rs` compares the two.

use crate::block::{Bits, FieldFormat, Format, Int, Uint};
use crate::numerics::Float36;
use crate::packed_struct;

/// Lanes of a segment: one MX block per partial-sum chain.
pub const SEGMENT_LANES: usize = 32;
/// Pipeline stages of `float_add`.
pub const FLOAT_LATENCY: usize = 4;
/// Output features of a GEMV tile: entries of a partial-sum file.
pub const PSUM_SLOTS: usize = 64;
/// Longest head: it sets the depth of the accumulator files.
pub const MAX_HEAD_DIM: usize = 128;

/// Sizes of what is built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Geometry {
    /// Name on the command line.
    pub name: &'static str,
    /// Rows: tokens of a batch, or query rows, that share the stream.
    pub rows: usize,
    /// Segments of 32 lanes.
    pub segments: usize,
    /// Words of each SRAM bank; a word is what the array takes per beat, 32 bytes per segment.
    pub bank_words: usize,
    /// The link asks for exactly the flit that is missing, not for all from it on.
    pub selective: bool,
    /// Ports of the collective unit: links to other chips.
    pub peers: usize,
}

impl Geometry {
    /// Every geometry that is built, linted, locksteped and fuzzed.
    pub const ALL: [Self; 2] = [
        Self { name: "small", rows: 8, segments: 2, bank_words: 2048, selective: true, peers: 7 },
        Self { name: "slim", rows: 3, segments: 1, bank_words: 256, selective: false, peers: 3 },
    ];

    /// The geometry called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|g| g.name == name)
    }

    /// Lanes of a row.
    #[must_use]
    pub const fn lanes(self) -> usize {
        self.segments * SEGMENT_LANES
    }

    /// Parts of the longest head that one chain accumulates (`chain_parts` of the package).
    #[must_use]
    pub const fn chain_parts(self) -> usize {
        let elements = 2 * self.lanes();
        if MAX_HEAD_DIM > elements { MAX_HEAD_DIM / elements } else { 1 }
    }

    /// MX blocks of a token that one segment holds, at most: FP4 block 2 x part + chain, INT8 block part.
    #[must_use]
    pub const fn segment_blocks(self) -> usize {
        2 * self.chain_parts()
    }

    /// Bytes of a word of the banks.
    #[must_use]
    pub const fn word_bytes(self) -> usize {
        self.segments * SEGMENT_LANES
    }

    /// Words of all banks.
    #[must_use]
    pub const fn words(self) -> usize {
        crate::sram::types::BANKS * self.bank_words
    }

    /// Entries of an accumulator file.
    #[must_use]
    pub const fn acc_depth(self) -> usize {
        2 * SEGMENT_LANES * self.chain_parts()
    }

    /// Adders that a result passes through: two per segment.
    #[must_use]
    pub const fn adders(self) -> usize {
        2 * self.segments
    }
}

/// What a beat does.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum Mode {
    /// A bubble.
    #[default]
    Idle,
    /// Rows of W meet stationary activations.
    Gemv,
    /// Tokens of K meet stationary q.
    Qk,
    /// Tokens of V meet p.
    Pv,
}

impl Mode {
    /// GEMV or QK: the partial sums ripple along the row.
    #[must_use]
    #[inline]
    pub const fn is_row_sum(self) -> bool {
        matches!(self, Self::Gemv | Self::Qk)
    }
}

impl Bits for Mode {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&["ModeIdle", "ModeGemv", "ModeQk", "ModePv"]);
    #[inline(always)]
    fn to_bits(self) -> u64 {
        match self {
            Self::Idle => 0,
            Self::Gemv => 1,
            Self::Qk => 2,
            Self::Pv => 3,
        }
    }
    #[inline]
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Idle,
            1 => Self::Gemv,
            2 => Self::Qk,
            _ => Self::Pv,
        }
    }
}

impl Bits for Float36 {
    const WIDTH: u32 = crate::numerics::float36::FLOAT_BITS;
    const FORMAT: Format = Format::Float36;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.bits()
    }
    fn from_bits(bits: u64) -> Self {
        Self::canonical(bits)
    }
}

/// An E8M0 code as a port or register holds it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub struct ScaleCode(pub u8);

impl ScaleCode {
    /// The code of NaN.
    pub const NAN: Self = Self(255);
}

impl Bits for ScaleCode {
    const WIDTH: u32 = 8;
    const FORMAT: Format = Format::E8m0;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.0)
    }
    fn from_bits(bits: u64) -> Self {
        Self(crate::block::low_u8(bits))
    }
}

packed_struct! {
    /// Travels with a beat from lane to lane.
    pub struct PeTag {
        /// What the beat does.
        mode: Mode,
        /// PV: first token of the tile, the accumulator restarts.
        first: bool,
        /// PV: last token of the tile, the lane drains in the next cycle.
        last: bool,
        /// Which bank of stationary operands the beat multiplies with.
        bank: bool,
        /// The p wires carry a stationary operand.
        load: bool,
        /// For this bank.
        load_bank: bool,
        /// Of the lane this far to the right; 32 is the segment's edge (the scale).
        load_count: Uint<6>,
    }
}

packed_struct! {
    /// Travels with a beat to the edges of the segments.
    pub struct EdgeTag {
        /// Operands are MXINT8: lo and hi are halves of one operand.
        int8: bool,
        /// As in [`PeTag`]: selects the scale of the stationary operand.
        bank: bool,
        /// log2 of the segments that one result spans.
        group_log2: Uint<2>,
        /// Entry of the partial-sum file; also names the result.
        slot: Uint<6>,
        /// GEMV, QK: continue from the partial-sum file instead of +0.
        partial_in: bool,
        /// GEMV, QK: park the result in the partial-sum file instead of emitting it.
        partial_out: bool,
        /// PV: which part of the token this beat carries.
        part: Uint<2>,
        /// PV: first tile of a head: accumulate onto +0.
        acc_first: bool,
        /// PV: bank of the accumulator files.
        acc_bank: bool,
    }
}

packed_struct! {
    /// A beat's control, as it enters the array.
    pub struct Beat {
        /// For the lanes.
        pe: PeTag,
        /// For the edges.
        segment: EdgeTag,
    }
}

packed_struct! {
    /// Operands of a lane's two chains: doubled E2M1, or the halves of an INT8.
    pub struct Operand {
        /// High nibble or high half.
        hi: Int<5>,
        /// Low nibble or low half.
        lo: Int<5>,
    }
}

packed_struct! {
    /// A byte for each chain: p, or a stationary operand on its way, or a pair of scales.
    pub struct LaneByte {
        /// For the hi chain.
        hi: Uint<8>,
        /// For the lo chain.
        lo: Uint<8>,
    }
}

packed_struct! {
    /// Partial sums of the two chains.
    pub struct Psum {
        /// Hi chain.
        hi: Int<18>,
        /// Lo chain.
        lo: Int<18>,
    }
}

packed_struct! {
    /// What leaves a segment at its right edge.
    pub struct Drained {
        /// GEMV, QK: sum over the lanes of the segment.
        row_sum: bool,
        /// PV: sum over the tokens of the tile, of one lane.
        block_sum: bool,
        /// Which lane.
        lane: Uint<5>,
        /// The sums.
        psum: Psum,
    }
}

packed_struct! {
    /// A stationary operand's scales on their way into an edge.
    pub struct ScaleLoad {
        /// There is one.
        valid: bool,
        /// For this bank.
        bank: bool,
        /// E8M0 codes.
        scale: LaneByte,
    }
}

packed_struct! {
    /// Control of the GEMV or QK beat whose sum drains.
    pub struct RowControl {
        /// The beat's tag.
        tag: EdgeTag,
        /// E8M0 of the streamed blocks.
        scale: LaneByte,
    }
}

packed_struct! {
    /// Control of the PV beat that lane 0 worked on in the last cycle.
    pub struct BlockControl {
        /// A PV beat that ends its tile.
        last: bool,
        /// The beat's tag.
        tag: EdgeTag,
    }
}

packed_struct! {
    /// A block sum before it becomes a float: `number x 2^exponent`.
    pub struct BlockSum {
        /// Exact integer.
        number: Int<23>,
        /// Power of two.
        exponent: Int<13>,
    }
}

packed_struct! {
    /// A finished GEMV or QK result.
    pub struct ResultOut {
        /// There is one.
        valid: bool,
        /// The slot that its beats named.
        slot: Uint<6>,
        /// The result.
        value: Float36,
    }
}

packed_struct! {
    /// Sticky flags.
    pub struct Flags {
        /// A block with scale code 255 contributed +0.
        nan_scale: bool,
        /// A float left the range.
        saturated: bool,
    }
}

packed_struct! {
    /// Read port of the accumulators.
    pub struct AccRead {
        /// Read; otherwise the output is 0.
        valid: bool,
        /// Which segment.
        segment: Uint<2>,
        /// Hi chain.
        chain: bool,
        /// {bank, part, lane}; without the part bit where a chain has one part.
        address: Uint<7>,
    }
}

/// A packed struct by the RTL's name: width and fields.
pub type NamedStruct = (&'static str, u32, &'static [FieldFormat]);

/// The fields of a struct, to be compared with the RTL's.
pub(crate) fn named<T: Bits>(name: &'static str) -> NamedStruct {
    match T::FORMAT {
        Format::Struct(fields) => (name, T::WIDTH, fields),
        _ => (name, T::WIDTH, &[]),
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<PeTag>("pe_tag_t"),
        named::<EdgeTag>("edge_tag_t"),
        named::<Beat>("beat_t"),
        named::<Operand>("operand_t"),
        named::<LaneByte>("lane_byte_t"),
        named::<Psum>("psum_t"),
        named::<Drained>("drained_t"),
        named::<ScaleLoad>("scale_load_t"),
        named::<RowControl>("row_control_t"),
        named::<BlockControl>("block_control_t"),
        named::<BlockSum>("block_sum_t"),
        named::<ResultOut>("result_t"),
        named::<Flags>("flags_t"),
        named::<AccRead>("acc_read_t"),
    ]
}
