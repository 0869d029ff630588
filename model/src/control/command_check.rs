// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/command_check.sv`.

use super::types::{
    CommandDestination, CommandHead, CommandShape, CommandSource, FEATURE_BITS, GROUP_FLOATS, MAX_ROWS,
    OPCODE_APPEND, OPCODE_ATTEND, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPERAND_CHUNKS, STATUS_ALIGNMENT,
    STATUS_BANK, STATUS_BOUNDS, STATUS_DONE, STATUS_FIELD, STATUS_OPCODE, STATUS_OPERAND,
};
use crate::array::Geometry;
use crate::attention::types::HeadShape;
use crate::block::{Bits, Wide};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES};

/// A command with what follows from its opcode.
struct Fields {
    head: CommandHead,
    source: CommandSource,
    destination: CommandDestination,
    count: u64,
    length: u64,
    load: bool,
    gemv: bool,
    attend: bool,
    append: bool,
    fill: bool,
}

impl Fields {
    fn new(command: &LinkWord) -> Self {
        let [head, source, destination, shape, ..] = command.0.map(|word| word.0);
        let head = CommandHead::from_bits(head);
        let shape = CommandShape::from_bits(shape);
        let opcode = head.opcode.0;
        Self {
            head,
            source: CommandSource::from_bits(source),
            destination: CommandDestination::from_bits(destination),
            count: shape.count.0,
            length: shape.length.0,
            load: opcode == OPCODE_LOAD,
            gemv: opcode == OPCODE_GEMV,
            attend: opcode == OPCODE_ATTEND,
            append: opcode == OPCODE_APPEND,
            fill: opcode == OPCODE_FILL,
        }
    }

    const fn uses_rows(&self) -> bool {
        self.load || self.gemv || self.attend
    }

    const fn banked(&self) -> bool {
        self.fill || (self.attend && self.head.flags.resident)
    }

    const fn reads(&self) -> bool {
        self.load || self.gemv || self.append || self.fill || (self.attend && !self.head.flags.resident)
    }

    const fn writes(&self) -> bool {
        self.gemv || self.attend || self.append
    }

    const fn shape(&self, geometry: Geometry) -> HeadShape {
        HeadShape::new(geometry.segments, self.head.flags.int8, self.head.flags.wide)
    }

    fn flags_wrong(&self) -> bool {
        let flags = self.head.flags;
        flags.reserved.0 != 0
            || (flags.int8 && !(self.uses_rows() || self.append))
            || (flags.wide && !(self.attend || self.append))
            || ((flags.causal || flags.resident) && !self.attend)
            || (flags.grouped && !self.load)
    }

    fn unused_wrong(&self) -> bool {
        let CommandHead { signal_tokens, wait_tokens, operand, .. } = self.head;
        let wait_array = self.destination.wait_array;
        (!self.uses_rows() && operand.0 != 0)
            || (!self.reads() && self.source.address.0 != 0)
            || (!self.banked() && self.source.bank.0 != 0)
            || (!self.writes() && self.destination.address.0 != 0)
            || (!(self.gemv || self.attend) && wait_array.0 != 0)
            || signal_tokens.0 & (wait_tokens.0 | wait_array.0) != 0
    }

    fn shape_wrong(&self) -> bool {
        let short = |value: u64| value >> FEATURE_BITS == 0;
        let count = match () {
            () if self.gemv || self.attend => self.count != 0 && short(self.count),
            () if self.append || self.fill => self.count != 0 && self.count >> 16 == 0,
            () => self.count == 0,
        };
        let length = match () {
            () if self.load || self.gemv => {
                self.length != 0 && self.length.is_multiple_of(32) && short(self.length)
            }
            () if self.attend => short(self.length),
            () if self.append => short(self.length) && self.length + self.count <= 1 << FEATURE_BITS,
            () => self.length == 0,
        };
        !count || !length
    }

    fn positions_wrong(&self, command: &LinkWord) -> bool {
        let position = |row: usize| command.0[4 + row / 2].0 >> (32 * (row % 2)) & 0xffff_ffff;
        (0..MAX_ROWS).any(|row| {
            let used = self.attend && row < usize::from(self.head.rows.0);
            position(row) >> (if used { FEATURE_BITS } else { 0 }) != 0
        })
    }

    fn field_wrong(&self, geometry: Geometry, command: &LinkWord) -> bool {
        let rows = usize::from(self.head.rows.0);
        let rows_wrong = if self.uses_rows() { rows == 0 || rows > geometry.rows } else { rows != 0 };
        self.flags_wrong()
            || rows_wrong
            || self.unused_wrong()
            || self.shape_wrong()
            || self.positions_wrong(command)
    }

    fn alignment_wrong(&self) -> bool {
        let wrong =
            |address: u64| address >> AXI_ADDRESS_BITS != 0 || !address.is_multiple_of(AXI_BYTES as u64);
        wrong(self.source.address.0) || wrong(self.destination.address.0)
    }

    fn operand_wrong(&self, geometry: Geometry) -> bool {
        let flags = self.head.flags;
        let segments = if flags.grouped { 1 } else { geometry.segments as u64 };
        let per_chunk = if flags.int8 { segments } else { 2 * segments };
        let chunks = if self.attend {
            self.shape(geometry).parts as u64
        } else {
            (self.length / 32).div_ceil(per_chunk)
        };
        self.uses_rows() && u64::from(self.head.operand.0) + chunks > OPERAND_CHUNKS as u64
    }

    /// Tiles up to the last token.
    fn tiles(&self, geometry: Geometry) -> u64 {
        let before = if self.append { self.length } else { 0 };
        (before + self.count).div_ceil(self.shape(geometry).tile_tokens() as u64)
    }

    fn tile_words(&self, geometry: Geometry) -> u64 {
        self.shape(geometry).tile_words(self.head.flags.int8) as u64
    }

    fn bank_wrong(&self, geometry: Geometry) -> bool {
        let words = if self.fill { self.count } else { self.tiles(geometry) * self.tile_words(geometry) };
        self.banked() && u64::from(self.source.bank.0) + words > geometry.words() as u64
    }

    fn bounds_wrong(&self, geometry: Geometry, base: u64, limit: u64) -> bool {
        let begin = self.destination.address.0;
        let features = match (self.attend, self.head.flags.wide) {
            (true, true) => 128,
            (true, false) => 64,
            (false, _) => self.count,
        };
        let words = features.div_ceil(GROUP_FLOATS as u64) * u64::from(self.head.rows.0);
        let (first, end) = if self.append {
            let bytes = self.tile_words(geometry) * geometry.word_bytes() as u64;
            let tile = self.length / self.shape(geometry).tile_tokens() as u64;
            (begin + tile * bytes, begin + self.tiles(geometry) * bytes)
        } else {
            (begin, begin + words * AXI_BYTES as u64)
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
        () if fields.head.opcode.0 > OPCODE_FILL => STATUS_OPCODE,
        () if fields.field_wrong(geometry, command) => STATUS_FIELD,
        () if fields.alignment_wrong() => STATUS_ALIGNMENT,
        () if fields.operand_wrong(geometry) => STATUS_OPERAND,
        () if fields.bank_wrong(geometry) => STATUS_BANK,
        () if fields.bounds_wrong(geometry, bounds_base.0, bounds_limit.0) => STATUS_BOUNDS,
        () => STATUS_DONE,
    }
}
