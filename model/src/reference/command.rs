// SPDX-License-Identifier: Apache-2.0
//! Commands from the definition (docs/commands.md): which bytes are which field, and which commands are refused.

use std::ops::Range;

/// Status: it is done.
pub const DONE: u8 = 0;
/// Status: there is no such opcode.
pub const OPCODE: u8 = 1;
/// Status: a field has a value that it may not have.
pub const FIELD: u8 = 2;
/// Status: an address is no multiple of 64, or beyond the memory's.
pub const ALIGNMENT: u8 = 3;
/// Status: it would write where the host did not allow it.
pub const BOUNDS: u8 = 4;
/// Status: more chunks of operands than there are.
pub const OPERAND: u8 = 5;
/// Status: words beyond the banks.
pub const BANK: u8 = 6;
/// Status: what it read was refused.
pub const READ_ERROR: u8 = 7;
/// Status: what it wrote was refused.
pub const WRITE_ERROR: u8 = 8;
/// Status: no row sees a key.
pub const NO_KEYS: u8 = 9;
/// Status: the number of a row is beyond the table.
pub const INDEX: u8 = 12;

/// Chunks of stationary operands.
pub const CHUNKS: usize = 128;
/// Elements of a block, and tokens of a group of a tile.
pub const BLOCK: usize = 32;
/// Counts, positions and windows are below this.
const MOST: u64 = 1 << 20;
/// Addresses are below this.
const MOST_ADDRESS: u64 = 1 << 40;

/// Sizes of a core, and what the host allowed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Core {
    /// Rows of the array.
    pub rows: usize,
    /// Segments of a row.
    pub segments: usize,
    /// Words of all banks, each as wide as a row.
    pub bank_words: usize,
    /// Where it may write.
    pub bounds: Range<u64>,
}

/// What a command does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing.
    Nop,
    /// x or q into the operand files.
    Load,
    /// A matrix times x.
    Gemv,
    /// Attention of a head.
    Attend,
    /// K and V of new tokens into their tiles.
    Append,
    /// Tiles into the banks.
    Fill,
    /// Rows of a table.
    Embed,
    /// The sum of two results.
    Add,
    /// Results by their scales, into operand rows.
    Norm,
    /// Cosines and sines of positions into the vector unit.
    Angles,
    /// Norm and rotation of heads, into operand rows or token records.
    Heads,
    /// SwiGLU, into operand rows.
    Gate,
    /// Results into operand rows.
    Quantise,
    /// The feature with the largest result.
    Argmax,
}

/// Where the heads of a Heads go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// Operand rows.
    Rows,
    /// K of token records.
    Keys,
    /// V of token records.
    Values,
}

/// The fields of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fields {
    /// Byte 0.
    pub opcode: u8,
    /// Byte 1.
    pub flags: u8,
    /// Byte 2.
    pub rows: usize,
    /// Byte 3.
    pub operand: usize,
    /// Bytes 4 and 5.
    pub wait_tokens: u64,
    /// Bytes 6 and 7.
    pub signal_tokens: u64,
    /// Bytes 8 to 13.
    pub source: u64,
    /// Bytes 14 and 15.
    pub bank: usize,
    /// Bytes 16 to 21.
    pub destination: u64,
    /// Bytes 22 and 23.
    pub wait_array: u64,
    /// Bytes 24 to 27.
    pub count: u64,
    /// Bytes 28 to 31.
    pub length: u64,
    /// Bytes 32 to 63, four for a row.
    pub positions: [u64; 8],
}

/// How a head lies in the array.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shape {
    /// Blocks of a token.
    pub blocks: usize,
    /// Blocks that one segment takes of a beat.
    pub per_segment: usize,
    /// Beats of a token.
    pub parts: usize,
    /// Tokens of a beat.
    pub groups: usize,
}

impl Shape {
    /// On an array of so many segments.
    #[must_use]
    pub fn new(segments: usize, int8: bool, wide: bool) -> Self {
        let (blocks, per_segment) = (if wide { 4 } else { 2 }, if int8 { 1 } else { 2 });
        let of_beat = per_segment * segments;
        Self { blocks, per_segment, parts: (blocks / of_beat).max(1), groups: (of_beat / blocks).max(1) }
    }

    /// Tokens of a tile.
    #[must_use]
    pub const fn tile_tokens(&self) -> usize {
        BLOCK * self.groups
    }

    /// Scale words of K, or of V, of a tile. A part's are as many as a segment's blocks.
    #[must_use]
    pub const fn scale_words(&self) -> usize {
        self.per_segment * self.parts
    }

    /// Words of a tile.
    #[must_use]
    pub const fn tile_words(&self) -> usize {
        2 * self.scale_words() + 2 * BLOCK * self.parts
    }
}

impl Fields {
    /// The fields of a command's eight words.
    #[must_use]
    pub fn of(words: &[u64; 8]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let number = |range: Range<usize>| {
            bytes[range].iter().rev().fold(0, |number: u64, &byte| number << 8 | u64::from(byte))
        };
        let low = |range| usize::try_from(number(range)).expect("two bytes at most");
        Self {
            opcode: bytes[0],
            flags: bytes[1],
            rows: low(2..3),
            operand: low(3..4),
            wait_tokens: number(4..6),
            signal_tokens: number(6..8),
            source: number(8..14),
            bank: low(14..16),
            destination: number(16..22),
            wait_array: number(22..24),
            count: number(24..28),
            length: number(28..32),
            positions: std::array::from_fn(|row| number(32 + 4 * row..36 + 4 * row)),
        }
    }

    /// What it does. `None`: there is no such opcode.
    #[must_use]
    pub const fn kind(&self) -> Option<Kind> {
        Some(match self.opcode {
            0 => Kind::Nop,
            1 => Kind::Load,
            2 => Kind::Gemv,
            3 => Kind::Attend,
            4 => Kind::Append,
            5 => Kind::Fill,
            6 => Kind::Embed,
            7 => Kind::Add,
            8 => Kind::Norm,
            9 => Kind::Angles,
            10 => Kind::Heads,
            11 => Kind::Gate,
            12 => Kind::Quantise,
            13 => Kind::Argmax,
            _ => return None,
        })
    }

    /// The streamed format is MXINT8.
    #[must_use]
    pub const fn int8(&self) -> bool {
        self.flags >> 1 & 1 == 1
    }

    /// Head of 128.
    #[must_use]
    pub const fn wide(&self) -> bool {
        self.flags >> 2 & 1 == 1
    }

    /// A row sees no key after its own position.
    #[must_use]
    pub const fn causal(&self) -> bool {
        self.flags >> 3 & 1 == 1
    }

    /// K and V are in the banks.
    #[must_use]
    pub const fn resident(&self) -> bool {
        self.flags >> 4 & 1 == 1
    }

    /// The blocks are repeated in every group of segments.
    #[must_use]
    pub const fn grouped(&self) -> bool {
        self.flags >> 5 & 1 == 1
    }

    /// Of vector commands: a second source, bytes 32 to 37.
    #[must_use]
    pub const fn second(&self) -> u64 {
        self.positions[0] | (self.positions[1] & 0xFFFF) << 32
    }

    /// Of vector commands: what a sum of squares is multiplied with, binary32.
    #[must_use]
    pub fn mean(&self) -> u32 {
        u32::try_from(self.positions[2]).expect("four bytes")
    }

    /// Of vector commands: what is added to it, binary32.
    #[must_use]
    pub fn eps(&self) -> u32 {
        u32::try_from(self.positions[3]).expect("four bytes")
    }

    /// Elements of a head.
    #[must_use]
    pub const fn head_dim(&self) -> usize {
        if self.wide() { 128 } else { 64 }
    }

    /// Heads: they are not normed.
    #[must_use]
    pub const fn plain(&self) -> bool {
        self.operand & 1 == 1
    }

    /// Heads: they are rotated.
    #[must_use]
    pub const fn rotated(&self) -> bool {
        self.operand >> 1 & 1 == 1
    }

    /// Heads: where they go. `None`: nowhere that there is.
    #[must_use]
    pub const fn target(&self) -> Option<Target> {
        Some(match self.operand >> 2 {
            0 => Target::Rows,
            1 => Target::Keys,
            2 => Target::Values,
            _ => return None,
        })
    }

    /// Quantise: heads of a token. `None`: the rows are not those of whole tokens.
    #[must_use]
    pub fn token_heads(&self) -> Option<usize> {
        self.rows.is_multiple_of(self.operand).then(|| self.rows / self.operand.max(1))
    }

    /// Bytes of a row of operands with so many features.
    #[must_use]
    pub const fn row_bytes(features: u64) -> u64 {
        (features / BLOCK as u64).next_multiple_of(64) + features.next_multiple_of(64)
    }

    /// Bytes of a token record: K and V in words, then a word of scales.
    #[must_use]
    pub const fn record_bytes(&self) -> u64 {
        let half = if self.int8() { self.head_dim() } else { self.head_dim() / 2 };
        2 * (half as u64).next_multiple_of(64) + 64
    }

    /// The head's shape.
    #[must_use]
    pub fn shape(&self, segments: usize) -> Shape {
        Shape::new(segments, self.int8(), self.wide())
    }

    /// Blocks of a chunk of operands.
    #[must_use]
    pub const fn chunk_blocks(&self, segments: usize) -> usize {
        let spread = if self.grouped() { 1 } else { segments };
        if self.int8() { spread } else { 2 * spread }
    }

    /// Whether the core refuses it: [`DONE`] if not, else the status.
    #[must_use]
    pub fn check(&self, core: &Core) -> u8 {
        let Some(kind) = self.kind() else { return OPCODE };
        if !self.fields_are_good(kind, core) {
            return FIELD;
        }
        let second = if kind == Kind::Angles { 0 } else { self.second() };
        let addresses = [self.source, self.destination, if self.is_vector() { second } else { 0 }];
        if addresses.iter().any(|at| at % 64 != 0 || *at >= MOST_ADDRESS) {
            return ALIGNMENT;
        }
        if !self.is_vector() && self.operand + self.chunks(kind, core) > CHUNKS {
            return OPERAND;
        }
        if self.bank as u64 + self.bank_words(kind, core) > core.bank_words as u64 {
            return BANK;
        }
        let outside = |range: Range<u64>| range.start < core.bounds.start || range.end > core.bounds.end;
        if self.written(kind, core).is_some_and(outside) {
            return BOUNDS;
        }
        DONE
    }

    /// It is for the vector unit.
    const fn is_vector(&self) -> bool {
        self.opcode > 5
    }

    /// The same of those of the vector unit, but for what all commands share.
    fn vector_fields_are_good(&self, kind: Kind, core: &Core) -> bool {
        let features = |n: u64| (1..MOST).contains(&n) && n.is_multiple_of(BLOCK as u64);
        let count = |most: u64| self.count > 0 && self.count < most;
        // Flags beside `notify`; operand; count; length.
        let (flags, operand, count, length) = match kind {
            Kind::Embed => (0, self.operand == 0, count(MOST), features(self.length)),
            Kind::Add | Kind::Norm | Kind::Gate => {
                (0, self.operand == 0, self.count == 0, features(self.length))
            }
            Kind::Angles => (0b100, self.operand == 0, self.count == 0, self.length == 0),
            Kind::Heads => {
                let rows = self.target() == Some(Target::Rows);
                let mode = self.target().is_some() && !(rows && self.int8());
                (0b110, mode, count(1 << 16), self.length == 0)
            }
            Kind::Quantise => {
                let heads = self.token_heads().filter(|_| self.operand > 0);
                let end = self.length + (heads.unwrap_or(0) * self.head_dim()) as u64;
                let whole = self.length.is_multiple_of(self.head_dim() as u64) && end <= self.count;
                (0b100, heads.is_some(), features(self.count), whole)
            }
            Kind::Argmax => (0, self.operand == 0, count(MOST), self.length == 0),
            _ => return false,
        };
        let two = matches!(kind, Kind::Embed | Kind::Add | Kind::Norm | Kind::Heads | Kind::Gate);
        let root = matches!(kind, Kind::Embed | Kind::Add) || (kind == Kind::Heads && !self.plain());
        let rest = if kind == Kind::Angles {
            let (used, others) = self.positions.split_at(self.rows.min(8));
            self.destination == 0 && used.iter().all(|&p| p < MOST) && others.iter().all(|&p| p == 0)
        } else {
            self.positions[1] >> 16 == 0
                && (two || self.second() == 0)
                && (root || (self.mean(), self.eps()) == (0, 0))
                && self.positions[4..].iter().all(|&p| p == 0)
        };
        (1..=core.rows.min(8)).contains(&self.rows)
            && self.flags & !(flags | 1) == 0
            && operand
            && count
            && length
            && rest
            && (self.bank, self.wait_array) == (0, 0)
    }

    /// All fields have values that they may have; those that have no meaning are 0.
    fn fields_are_good(&self, kind: Kind, core: &Core) -> bool {
        let rows = (1..=core.rows).contains(&self.rows);
        let features = (1..MOST).contains(&self.length) && self.length.is_multiple_of(BLOCK as u64);
        let count = |most: u64| self.count > 0 && self.count < most;
        let zero = |unused: &[u64]| unused.iter().all(|&field| field == 0);
        let positions =
            |used: usize| self.positions[..used].iter().all(|&p| p < MOST) && zero(&self.positions[used..]);
        let (operand, bank) = (self.operand as u64, self.bank as u64);
        let (source, destination, wait) = (self.source, self.destination, self.wait_array);
        // Bit 0 raises the interrupt, whatever the command.
        let flags = |known: u8| self.flags & !(known | 1) == 0;
        // It would wait for itself.
        if self.signal_tokens & (self.wait_tokens | wait) != 0 {
            return false;
        }
        match kind {
            Kind::Nop => {
                let unused = [self.rows as u64, operand, source, bank, destination, wait];
                flags(0) && zero(&unused) && zero(&[self.count, self.length]) && positions(0)
            }
            Kind::Load => {
                flags(0b10_0010)
                    && rows
                    && features
                    && zero(&[bank, destination, wait, self.count])
                    && positions(0)
            }
            Kind::Gemv => flags(0b10) && rows && features && count(MOST) && bank == 0 && positions(0),
            Kind::Attend => {
                let place = if self.resident() { source } else { bank };
                flags(0b1_1110)
                    && rows
                    && count(MOST)
                    && self.length < MOST
                    && place == 0
                    && positions(self.rows)
            }
            Kind::Append => {
                flags(0b110)
                    && count(1 << 16)
                    && self.length + self.count <= MOST
                    && zero(&[self.rows as u64, operand, bank, wait])
                    && positions(0)
            }
            Kind::Fill => {
                flags(0)
                    && count(1 << 16)
                    && zero(&[self.rows as u64, operand, destination, wait, self.length])
                    && positions(0)
            }
            _ => self.vector_fields_are_good(kind, core),
        }
    }

    /// Chunks of operands that it takes from its first on.
    fn chunks(&self, kind: Kind, core: &Core) -> usize {
        let blocks = usize::try_from(self.length).unwrap_or(usize::MAX) / BLOCK;
        match kind {
            Kind::Load | Kind::Gemv => blocks.div_ceil(self.chunk_blocks(core.segments)),
            Kind::Attend => self.shape(core.segments).parts,
            _ => 0,
        }
    }

    /// Words of the banks that it takes from its first on.
    fn bank_words(&self, kind: Kind, core: &Core) -> u64 {
        match kind {
            Kind::Fill => self.count,
            Kind::Attend if self.resident() => {
                let shape = self.shape(core.segments);
                self.count.div_ceil(shape.tile_tokens() as u64) * shape.tile_words() as u64
            }
            _ => 0,
        }
    }

    /// Addresses that it may write; whole tiles of those that it puts tokens into.
    fn written(&self, kind: Kind, core: &Core) -> Option<Range<u64>> {
        let results = |features: u64| {
            let words = features.div_ceil(16) * self.rows as u64;
            self.destination..self.destination + 64 * words
        };
        let bytes = |bytes: u64| Some(self.destination..self.destination + bytes);
        let rows = self.rows as u64;
        match kind {
            Kind::Gemv => Some(results(self.count)),
            Kind::Attend => Some(results(if self.wide() { 128 } else { 64 })),
            Kind::Append => {
                let shape = self.shape(core.segments);
                let bytes = (shape.tile_words() * BLOCK * core.segments) as u64;
                let tile = |token: u64| token / shape.tile_tokens() as u64;
                let (first, last) = (tile(self.length), tile(self.length + self.count - 1));
                Some(self.destination + first * bytes..self.destination + (last + 1) * bytes)
            }
            Kind::Embed | Kind::Add => Some(results(self.length)),
            Kind::Norm | Kind::Gate => bytes(rows * Self::row_bytes(self.length)),
            Kind::Heads => {
                let head = match self.target()? {
                    Target::Rows => 64 + self.head_dim() as u64,
                    Target::Keys | Target::Values => self.record_bytes(),
                };
                bytes(self.count * rows * head)
            }
            Kind::Quantise => bytes(self.operand as u64 * Self::row_bytes(self.count)),
            Kind::Argmax => bytes(64),
            Kind::Nop | Kind::Load | Kind::Fill | Kind::Angles => None,
        }
    }
}
