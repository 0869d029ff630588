// SPDX-License-Identifier: Apache-2.0
//! Mirror of attention's part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Int, Uint, Wide};
use crate::packed_struct;
use crate::sram::types::WORD_ADDRESS_BITS;

/// Heads between command and last result.
pub const CONTEXTS: usize = 4;
/// Tiles between the first word of K and the last beat of V.
pub const TILE_SLOTS: usize = 4;
/// Bits of a token's position in its session.
pub const POSITION_BITS: u32 = 20;
/// Fraction bits of a score in fixed point.
pub const SCORE_FRACTION_BITS: u32 = 12;
/// Bits of the integer part of a score, signed.
pub const SCORE_EXPONENT_BITS: u32 = 11;
/// Bits of 2^fraction, 1.0 to below 2.0.
pub const MANTISSA_BITS: u32 = 12;
/// Pipeline stages of exp2.
pub const EXP2_LATENCY: usize = 3;
/// Cycles from a feed tag to its p.
pub const FEED_LATENCY: usize = 3;
/// Beats between the banks and the array.
pub const BEAT_FIFO_DEPTH: usize = 64;
/// Tiles by which the words of K run ahead of those of V.
pub const TILES_AHEAD: u16 = 3;

packed_struct! {
    /// What one head is to do.
    pub struct Command {
        /// There is one.
        valid: bool,
        /// All words are in the banks, no tile is waited for.
        resident: bool,
        /// K and V are MXINT8, else MXFP4.
        int8: bool,
        /// Head of 128, else of 64.
        wide: bool,
        /// A row sees no key after its own position.
        causal: bool,
        /// A row sees this many keys up to its position; 0: all.
        window: Wide<POSITION_BITS>,
        /// Keys of the session.
        tokens: Wide<POSITION_BITS>,
        /// Where tile 0 lies; when not resident, where the first tile lies that a row sees.
        base: Uint<WORD_ADDRESS_BITS>,
    }
}

packed_struct! {
    /// A head may be walked.
    pub struct HeadStart {
        /// One may.
        valid: bool,
        /// Context.
        head: Uint<2>,
    }
}

packed_struct! {
    /// A head between its command and its last result.
    pub struct HeadInfo {
        /// All words are in the banks, no tile is waited for.
        resident: bool,
        /// K and V are MXINT8, else MXFP4.
        int8: bool,
        /// Head of 128, else of 64.
        wide: bool,
        /// First token of the first tile that a row sees.
        origin: Wide<POSITION_BITS>,
        /// After the last token that a row sees.
        limit: Wide<POSITION_BITS>,
        /// Where tile 0 lies; when not resident, where the first tile lies that a row sees.
        base: Uint<WORD_ADDRESS_BITS>,
    }
}

packed_struct! {
    /// A tile between the first word of K and the last beat of V.
    pub struct TileInfo {
        /// Context.
        head: Uint<2>,
        /// Beats of a part, less one.
        beats_last: Uint<5>,
        /// Its first token.
        origin: Wide<POSITION_BITS>,
    }
}

/// How a head lies in the array (`head_parts` and `head_groups` of the package).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadShape {
    /// Beats per token.
    pub parts: usize,
    /// Tokens per beat.
    pub groups: usize,
}

impl HeadShape {
    /// Shape on an array of `segments` segments.
    #[must_use]
    pub const fn new(segments: usize, int8: bool, wide: bool) -> Self {
        let blocks = if wide { 4 } else { 2 };
        let per_beat = if int8 { segments } else { 2 * segments };
        let (parts, groups) = (blocks / per_beat, per_beat / blocks);
        Self { parts: if parts == 0 { 1 } else { parts }, groups: if groups == 0 { 1 } else { groups } }
    }

    /// Tokens of a tile.
    #[must_use]
    pub const fn tile_tokens(self) -> usize {
        32 * self.groups
    }

    /// Scale words of a full tile, of K or of V.
    #[must_use]
    pub const fn scale_words(self, int8: bool) -> usize {
        if int8 { self.parts } else { 2 * self.parts }
    }

    /// Words of a full tile.
    #[must_use]
    pub const fn tile_words(self, int8: bool) -> usize {
        2 * self.scale_words(int8) + 64 * self.parts
    }
}

/// What a word is.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum WordKind {
    /// Scales of K.
    #[default]
    KeyScale,
    /// Scales of V.
    ValueScale,
    /// Elements of K.
    Key,
    /// Elements of V.
    Value,
}

impl Bits for WordKind {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&["KindKeyScale", "KindValueScale", "KindKey", "KindValue"]);
    #[inline(always)]
    fn to_bits(self) -> u64 {
        match self {
            Self::KeyScale => 0,
            Self::ValueScale => 1,
            Self::Key => 2,
            Self::Value => 3,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::KeyScale,
            1 => Self::ValueScale,
            2 => Self::Key,
            _ => Self::Value,
        }
    }
}

packed_struct! {
    /// Travels with a word from the banks to the array.
    pub struct WordTag {
        /// There is one.
        valid: bool,
        /// What it is.
        kind: WordKind,
        /// Context.
        head: Uint<2>,
        /// Slot.
        tile: Uint<2>,
        /// Part of the token.
        part: Uint<2>,
        /// Elements: token of the tile's group; scales: word of the part.
        beat: Uint<5>,
        /// Last beat of the part.
        last: bool,
        /// First beat of the tile.
        tile_first: bool,
        /// Last beat of the tile.
        tile_last: bool,
        /// Of the first tile of the head.
        head_first: bool,
        /// Of the last tile of the head.
        head_last: bool,
    }
}

packed_struct! {
    /// Travels with a score.
    pub struct ScoreTag {
        /// There is one.
        valid: bool,
        /// Of the tile.
        first: bool,
        /// Slot.
        tile: Uint<2>,
        /// Token of the tile's group.
        beat: Uint<5>,
    }
}

packed_struct! {
    /// p before it is quantised: mantissa x 2^(exponent + 1 - `MANTISSA_BITS`).
    pub struct Weight {
        /// Else masked: 0.
        visible: bool,
        /// Floor of the score.
        exponent: Int<SCORE_EXPONENT_BITS>,
        /// 2^fraction.
        mantissa: Uint<MANTISSA_BITS>,
    }
}

packed_struct! {
    /// Asks for what the p wires carry beside a beat.
    pub struct FeedTag {
        /// A PV beat: p is wanted.
        valid: bool,
        /// V is MXINT8.
        int8: bool,
        /// Slot.
        tile: Uint<2>,
        /// Part of the token.
        part: Uint<2>,
        /// Token of the tile's group.
        beat: Uint<5>,
        /// Last beat of the part.
        last: bool,
        /// Of the first tile of the head.
        acc_first: bool,
        /// Bank of the accumulators.
        acc_bank: bool,
        /// The slot carries a stationary operand instead.
        load: bool,
        /// Chunk of the stationary operand.
        load_chunk: Uint<7>,
        /// Lane, or 32 for the scale.
        load_count: Uint<6>,
    }
}

packed_struct! {
    /// Sum of a tile's p without V's scales: number x 2^exponent.
    pub struct TileSum {
        /// There is one.
        valid: bool,
        /// Of the first tile of the head.
        acc_first: bool,
        /// Bank of the accumulators.
        acc_bank: bool,
        /// The sum.
        number: Uint<13>,
        /// Power of two.
        exponent: Int<12>,
    }
}

packed_struct! {
    /// Sticky flags of softmax.
    pub struct SoftmaxFlags {
        /// A score left the range of the fixed point.
        clamped: bool,
        /// A V block with scale code 255 contributed +0.
        nan_scale: bool,
    }
}

packed_struct! {
    /// Writes a block of a stationary operand: 32 elements and their scale.
    pub struct OperandBlock {
        /// There is one.
        valid: bool,
        /// Rows that take it.
        rows: Uint<8>,
        /// Segments that take it.
        segments: Uint<2>,
        /// Chains that take it.
        chains: Uint<2>,
        /// Chunk.
        chunk: Uint<7>,
        /// Scale code.
        scale: Uint<8>,
    }
}

packed_struct! {
    /// q of a context may be loaded.
    pub struct Operands {
        /// It may.
        valid: bool,
        /// Context.
        head: Uint<2>,
        /// It lies from this chunk on.
        chunk: Uint<7>,
    }
}

packed_struct! {
    /// The last beat of a head was issued.
    pub struct HeadEnd {
        /// It was.
        valid: bool,
        /// Context.
        head: Uint<2>,
        /// V is MXINT8.
        int8: bool,
        /// Head of 128, else of 64.
        wide: bool,
        /// Bank of the accumulators.
        acc_bank: bool,
    }
}

packed_struct! {
    /// Names the results of one cycle.
    pub struct Attended {
        /// There are results.
        valid: bool,
        /// The last of the head.
        last: bool,
        /// Context.
        head: Uint<2>,
        /// Block of the head.
        block: Uint<2>,
        /// Element of the block.
        lane: Uint<5>,
    }
}

packed_struct! {
    /// Sticky flags of the normaliser.
    pub struct NormaliserFlags {
        /// A row without a key: its result is +0.
        empty: bool,
        /// A result beyond binary32's range.
        overflow: bool,
    }
}

packed_struct! {
    /// Sticky flags of a row.
    pub struct AttentionFlags {
        /// A row without a key: its result is +0.
        empty: bool,
        /// A result beyond binary32's range.
        overflow: bool,
        /// A score left the range of the fixed point.
        clamped: bool,
        /// A block with scale code 255 contributed +0.
        nan_scale: bool,
        /// A float left the range.
        saturated: bool,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<Command>("command_t"),
        named::<HeadStart>("head_start_t"),
        named::<HeadInfo>("head_info_t"),
        named::<TileInfo>("tile_info_t"),
        named::<WordTag>("word_tag_t"),
        named::<ScoreTag>("score_tag_t"),
        named::<Weight>("weight_t"),
        named::<FeedTag>("feed_tag_t"),
        named::<TileSum>("tile_sum_t"),
        named::<SoftmaxFlags>("softmax_flags_t"),
        named::<OperandBlock>("operand_block_t"),
        named::<Operands>("operands_t"),
        named::<HeadEnd>("head_end_t"),
        named::<Attended>("attended_t"),
        named::<NormaliserFlags>("normaliser_flags_t"),
        named::<AttentionFlags>("attention_flags_t"),
    ]
}
