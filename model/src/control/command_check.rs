// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/command_check.sv`.

use super::types::{
    CommandDestination, CommandHead, CommandShape, CommandSource, FEATURE_BITS, GROUP_FLOATS, MAX_ROWS,
    OPCODE_ADD, OPCODE_ANGLES, OPCODE_APPEND, OPCODE_ARGMAX, OPCODE_ATTEND, OPCODE_EMBED, OPCODE_FILL,
    OPCODE_GATE, OPCODE_GEMV, OPCODE_HEADS, OPCODE_LOAD, OPCODE_NORM, OPCODE_QUANTISE, OPERAND_CHUNKS,
    STATUS_ALIGNMENT, STATUS_BANK, STATUS_BOUNDS, STATUS_DONE, STATUS_FIELD, STATUS_OPCODE, STATUS_OPERAND,
};
use crate::array::Geometry;
use crate::attention::types::HeadShape;
use crate::block::{Bits, Wide};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES};
use crate::vector::types::HeadsMode;

/// Bytes of a word of memory.
const WORD: u64 = AXI_BYTES as u64;

/// A command with what follows from its opcode.
struct Fields {
    head: CommandHead,
    source: CommandSource,
    destination: CommandDestination,
    count: u64,
    length: u64,
    /// Words 4 to 7.
    rest: [u64; 4],
    /// Of Heads.
    mode: HeadsMode,
}

/// No more than [`FEATURE_BITS`].
const fn short(value: u64) -> bool {
    value >> FEATURE_BITS == 0
}

/// A number of features in blocks.
const fn blocked(value: u64) -> bool {
    value != 0 && value.is_multiple_of(32) && short(value)
}

impl Fields {
    fn new(command: &LinkWord) -> Self {
        let [head, source, destination, shape, rest @ ..] = command.0.map(|word| word.0);
        let head = CommandHead::from_bits(head);
        let shape = CommandShape::from_bits(shape);
        Self {
            head,
            source: CommandSource::from_bits(source),
            destination: CommandDestination::from_bits(destination),
            count: shape.count.0,
            length: shape.length.0,
            rest,
            mode: HeadsMode::from_bits(head.operand.to_bits()),
        }
    }

    fn is_one_of(&self, opcodes: &[u16]) -> bool {
        opcodes.contains(&self.head.opcode.0)
    }

    const fn is(&self, opcode: u16) -> bool {
        self.head.opcode.0 == opcode
    }

    const fn vector(&self) -> bool {
        self.head.opcode.0 >= OPCODE_EMBED
    }

    fn uses_operands(&self) -> bool {
        self.is_one_of(&[OPCODE_LOAD, OPCODE_GEMV, OPCODE_ATTEND])
    }

    fn uses_rows(&self) -> bool {
        self.uses_operands() || self.vector()
    }

    const fn banked(&self) -> bool {
        self.is(OPCODE_FILL) || (self.is(OPCODE_ATTEND) && self.head.flags.resident)
    }

    fn reads(&self) -> bool {
        let streamed = self.is(OPCODE_ATTEND) && !self.head.flags.resident;
        self.is_one_of(&[OPCODE_LOAD, OPCODE_GEMV, OPCODE_APPEND, OPCODE_FILL]) || streamed || self.vector()
    }

    fn reads_second(&self) -> bool {
        self.is_one_of(&[OPCODE_EMBED, OPCODE_ADD, OPCODE_NORM, OPCODE_HEADS, OPCODE_GATE])
    }

    fn writes(&self) -> bool {
        self.is_one_of(&[OPCODE_GEMV, OPCODE_ATTEND, OPCODE_APPEND])
            || (self.vector() && !self.is(OPCODE_ANGLES))
    }

    /// It takes roots of sums of squares.
    fn rooted(&self) -> bool {
        self.is_one_of(&[OPCODE_EMBED, OPCODE_ADD]) || (self.is(OPCODE_HEADS) && !self.mode.plain)
    }

    const fn second(&self) -> u64 {
        self.rest[0] & ((1 << 48) - 1)
    }

    const fn shape(&self, geometry: Geometry) -> HeadShape {
        HeadShape::new(geometry.segments, self.head.flags.int8, self.head.flags.wide)
    }

    /// Elements of a head.
    const fn dimension(&self) -> u64 {
        if self.head.flags.wide { 128 } else { 64 }
    }

    /// Quantise: heads of a token, 0 if they are no whole ones.
    fn batches(&self) -> u64 {
        let (rows, tokens) = (u64::from(self.head.rows.0), u64::from(self.head.operand.0));
        (1..=MAX_ROWS as u64).rev().find(|heads| heads * tokens == rows).unwrap_or(0)
    }

    fn flags_wrong(&self) -> bool {
        let flags = self.head.flags;
        let wide = [OPCODE_ATTEND, OPCODE_APPEND, OPCODE_ANGLES, OPCODE_HEADS, OPCODE_QUANTISE];
        flags.reserved.0 != 0
            || (flags.int8 && !(self.uses_operands() || self.is_one_of(&[OPCODE_APPEND, OPCODE_HEADS])))
            || (flags.wide && !self.is_one_of(&wide))
            || ((flags.causal || flags.resident) && !self.is(OPCODE_ATTEND))
            || (flags.grouped && !self.is(OPCODE_LOAD))
    }

    fn unused_wrong(&self) -> bool {
        let CommandHead { signal_tokens, wait_tokens, operand, .. } = self.head;
        let wait_array = self.destination.wait_array;
        let operands = self.uses_operands() || self.is_one_of(&[OPCODE_HEADS, OPCODE_QUANTISE]);
        (!operands && operand.0 != 0)
            || (!self.reads() && self.source.address.0 != 0)
            || (!self.banked() && self.source.bank.0 != 0)
            || (!self.writes() && self.destination.address.0 != 0)
            || (!self.is_one_of(&[OPCODE_GEMV, OPCODE_ATTEND]) && wait_array.0 != 0)
            || signal_tokens.0 & (wait_tokens.0 | wait_array.0) != 0
    }

    fn shape_wrong(&self) -> bool {
        let (count, length) = (self.count, self.length);
        let count_good = match self.head.opcode.0 {
            OPCODE_GEMV | OPCODE_ATTEND | OPCODE_EMBED | OPCODE_ARGMAX => count != 0 && short(count),
            OPCODE_APPEND | OPCODE_FILL | OPCODE_HEADS => count != 0 && count >> 16 == 0,
            OPCODE_QUANTISE => blocked(count),
            _ => count == 0,
        };
        let length_good = match self.head.opcode.0 {
            OPCODE_LOAD | OPCODE_GEMV | OPCODE_EMBED | OPCODE_ADD | OPCODE_NORM | OPCODE_GATE => {
                blocked(length)
            }
            OPCODE_ATTEND => short(length),
            OPCODE_APPEND => short(length) && length + count <= 1 << FEATURE_BITS,
            OPCODE_QUANTISE => {
                let end = length + self.batches() * self.dimension();
                length.is_multiple_of(self.dimension()) && end <= count
            }
            _ => length == 0,
        };
        !count_good || !length_good
    }

    /// Positions, or what vector commands have in their place.
    fn positions_wrong(&self) -> bool {
        if self.vector() && !self.is(OPCODE_ANGLES) {
            return self.rest[0] >> 48 != 0
                || (!self.reads_second() && self.second() != 0)
                || (!self.rooted() && self.rest[1] != 0)
                || self.rest[2..] != [0, 0];
        }
        let position = |row: usize| self.rest[row / 2] >> (32 * (row % 2)) & 0xffff_ffff;
        (0..MAX_ROWS).any(|row| {
            let placed = self.is_one_of(&[OPCODE_ATTEND, OPCODE_ANGLES]);
            let used = placed && row < usize::from(self.head.rows.0);
            position(row) >> (if used { FEATURE_BITS } else { 0 }) != 0
        })
    }

    /// The operand field of a command that has no operands.
    fn operand_odd(&self) -> bool {
        let HeadsMode { reserved, target, .. } = self.mode;
        let mode_wrong = reserved.0 != 0 || target.0 == 3 || (target.0 == 0 && self.head.flags.int8);
        (self.is(OPCODE_QUANTISE) && self.batches() == 0) || (self.is(OPCODE_HEADS) && mode_wrong)
    }

    fn field_wrong(&self, geometry: Geometry) -> bool {
        let rows = usize::from(self.head.rows.0);
        let rows_wrong = if self.uses_rows() { rows == 0 || rows > geometry.rows } else { rows != 0 };
        self.flags_wrong()
            || rows_wrong
            || self.unused_wrong()
            || self.shape_wrong()
            || self.positions_wrong()
            || self.operand_odd()
    }

    fn alignment_wrong(&self) -> bool {
        let wrong = |address: u64| address >> AXI_ADDRESS_BITS != 0 || !address.is_multiple_of(WORD);
        wrong(self.source.address.0)
            || wrong(self.destination.address.0)
            || (self.reads_second() && wrong(self.second()))
    }

    fn operand_wrong(&self, geometry: Geometry) -> bool {
        let flags = self.head.flags;
        let segments = if flags.grouped { 1 } else { geometry.segments as u64 };
        let per_chunk = if flags.int8 { segments } else { 2 * segments };
        let chunks = if self.is(OPCODE_ATTEND) {
            self.shape(geometry).parts as u64
        } else {
            (self.length / 32).div_ceil(per_chunk)
        };
        self.uses_operands() && u64::from(self.head.operand.0) + chunks > OPERAND_CHUNKS as u64
    }

    /// Tiles up to the last token.
    fn tiles(&self, geometry: Geometry) -> u64 {
        let before = if self.is(OPCODE_APPEND) { self.length } else { 0 };
        (before + self.count).div_ceil(self.shape(geometry).tile_tokens() as u64)
    }

    fn tile_words(&self, geometry: Geometry) -> u64 {
        self.shape(geometry).tile_words(self.head.flags.int8) as u64
    }

    fn bank_wrong(&self, geometry: Geometry) -> bool {
        let words =
            if self.is(OPCODE_FILL) { self.count } else { self.tiles(geometry) * self.tile_words(geometry) };
        self.banked() && u64::from(self.source.bank.0) + words > geometry.words() as u64
    }

    /// Bytes that a vector command writes, a Gemv or an Attend.
    fn bytes(&self) -> u64 {
        let rows = u64::from(self.head.rows.0);
        let results = |features: u64| features.div_ceil(GROUP_FLOATS as u64) * rows * WORD;
        let operands =
            |features: u64| (features / 32).next_multiple_of(WORD) + features.next_multiple_of(WORD);
        match self.head.opcode.0 {
            OPCODE_ATTEND => results(self.dimension()),
            OPCODE_EMBED | OPCODE_ADD => results(self.length),
            OPCODE_NORM | OPCODE_GATE => rows * operands(self.length),
            OPCODE_HEADS => {
                let CommandHead { flags, .. } = self.head;
                let head = match (self.mode.target.0, flags.wide && flags.int8) {
                    (0, _) => WORD + self.dimension(),
                    (_, true) => 5 * WORD,
                    (_, false) => 3 * WORD,
                };
                self.count * rows * head
            }
            OPCODE_QUANTISE => u64::from(self.head.operand.0) * operands(self.count),
            OPCODE_ARGMAX => WORD,
            _ => results(self.count),
        }
    }

    fn bounds_wrong(&self, geometry: Geometry, base: u64, limit: u64) -> bool {
        let begin = self.destination.address.0;
        let (first, end) = if self.is(OPCODE_APPEND) {
            let bytes = self.tile_words(geometry) * geometry.word_bytes() as u64;
            let tile = self.length / self.shape(geometry).tile_tokens() as u64;
            (begin + tile * bytes, begin + self.tiles(geometry) * bytes)
        } else {
            (begin, begin + self.bytes())
        };
        self.writes() && (first < base || end > limit)
    }
}

/// Status of a command: 0, or that of the first rule of `docs/commands.md` which it breaks. The bounds are those of what
/// commands may write.
#[must_use]
pub fn command_check(
    geometry: Geometry,
    command: &LinkWord,
    bounds_base: Wide<AXI_ADDRESS_BITS>,
    bounds_limit: Wide<AXI_ADDRESS_BITS>,
) -> u16 {
    let fields = Fields::new(command);
    match () {
        () if fields.head.opcode.0 > OPCODE_ARGMAX => STATUS_OPCODE,
        () if fields.field_wrong(geometry) => STATUS_FIELD,
        () if fields.alignment_wrong() => STATUS_ALIGNMENT,
        () if fields.operand_wrong(geometry) => STATUS_OPERAND,
        () if fields.bank_wrong(geometry) => STATUS_BANK,
        () if fields.bounds_wrong(geometry, bounds_base.0, bounds_limit.0) => STATUS_BOUNDS,
        () => STATUS_DONE,
    }
}
