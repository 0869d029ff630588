// SPDX-License-Identifier: Apache-2.0
//! Commands as docs/commands.md has them: fields, bytes, rules, written down without any regard for how the RTL checks them.

use std::ops::Range;

use tandem_model::array::Geometry;
use tandem_model::block::{Wide, low_u16};
use tandem_model::control::types::{
    MAX_ROWS, OPCODE_ADD, OPCODE_ANGLES, OPCODE_APPEND, OPCODE_ARGMAX, OPCODE_ATTEND, OPCODE_EMBED,
    OPCODE_FILL, OPCODE_GATE, OPCODE_GEMV, OPCODE_HEADS, OPCODE_LOAD, OPCODE_NOP, OPCODE_NORM,
    OPCODE_QUANTISE, OPERAND_CHUNKS, STATUS_ALIGNMENT, STATUS_BANK, STATUS_BOUNDS, STATUS_DONE, STATUS_FIELD,
    STATUS_OPCODE, STATUS_OPERAND,
};
use tandem_model::link::types::LinkWord;

use crate::random::split_mix;

const NOTIFY: u64 = 1;
const INT8: u64 = 2;
const WIDE: u64 = 4;
const CAUSAL: u64 = 8;
const RESIDENT: u64 = 16;
const GROUPED: u64 = 32;
/// Of the operand field of Heads: no norm; then whether it is rotated, and in the next two bits where it goes.
const PLAIN: u64 = 1;

/// Bytes of a word of memory.
pub const WORD: u64 = 64;

/// Fields of a command, each as wide as it likes; `words` cuts them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Command {
    pub opcode: u64,
    pub flags: u64,
    pub rows: u64,
    pub operand: u64,
    pub wait: u16,
    pub signal: u16,
    pub source: u64,
    pub bank: u64,
    pub destination: u64,
    pub wait_array: u16,
    pub count: u64,
    pub length: u64,
    /// Vector commands but Angles have in the first two a second source, in the next two numbers.
    pub positions: [u64; MAX_ROWS],
}

/// Which fields a kind of command has.
struct Uses {
    flags: u64,
    rows: bool,
    operand: bool,
    source: bool,
    second: bool,
    root: bool,
    positions: bool,
    bank: bool,
    destination: bool,
    array: bool,
}

impl Uses {
    const NONE: Self = Self {
        flags: NOTIFY,
        rows: false,
        operand: false,
        source: false,
        second: false,
        root: false,
        positions: false,
        bank: false,
        destination: false,
        array: false,
    };
    /// Of the vector unit: from memory to memory.
    const VECTOR: Self = Self { rows: true, source: true, destination: true, ..Self::NONE };
    /// The same with two sources.
    const TWO: Self = Self { second: true, ..Self::VECTOR };
}

/// Where commands may write.
pub type Bounds = Range<u64>;

impl Command {
    /// Its 64 bytes.
    pub fn words(&self) -> LinkWord {
        let mut bytes = [0; 64];
        let mut put = |at: usize, length: usize, value: u64| {
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        };
        put(0, 1, self.opcode);
        put(1, 1, self.flags);
        put(2, 1, self.rows);
        put(3, 1, self.operand);
        put(4, 2, self.wait.into());
        put(6, 2, self.signal.into());
        put(8, 6, self.source);
        put(14, 2, self.bank);
        put(16, 6, self.destination);
        put(22, 2, self.wait_array.into());
        put(24, 4, self.count);
        put(28, 4, self.length);
        for (row, position) in self.positions.into_iter().enumerate() {
            put(32 + 4 * row, 4, position);
        }
        let mut words = [Wide(0); 8];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = Wide(u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        }
        LinkWord(words)
    }

    pub const fn notify(&self) -> bool {
        self.flags & NOTIFY != 0
    }

    /// Tokens that it waits for.
    pub const fn waits(&self) -> u16 {
        self.wait | self.wait_array
    }

    const fn has(&self, flag: u64) -> bool {
        self.flags & flag != 0
    }

    fn uses(&self) -> Uses {
        match low_u16(self.opcode) {
            OPCODE_LOAD => {
                let flags = NOTIFY | INT8 | GROUPED;
                Uses { flags, rows: true, operand: true, source: true, ..Uses::NONE }
            }
            OPCODE_GEMV => Uses { flags: NOTIFY | INT8, operand: true, array: true, ..Uses::VECTOR },
            OPCODE_ATTEND => Uses {
                flags: NOTIFY | INT8 | WIDE | CAUSAL | RESIDENT,
                operand: true,
                source: !self.has(RESIDENT),
                bank: self.has(RESIDENT),
                positions: true,
                array: true,
                ..Uses::VECTOR
            },
            OPCODE_APPEND => {
                Uses { flags: NOTIFY | INT8 | WIDE, source: true, destination: true, ..Uses::NONE }
            }
            OPCODE_FILL => Uses { source: true, bank: true, ..Uses::NONE },
            OPCODE_EMBED | OPCODE_ADD => Uses { root: true, ..Uses::TWO },
            OPCODE_NORM | OPCODE_GATE => Uses::TWO,
            OPCODE_ANGLES => {
                Uses { flags: NOTIFY | WIDE, destination: false, positions: true, ..Uses::VECTOR }
            }
            OPCODE_HEADS => {
                let (flags, root) = (NOTIFY | INT8 | WIDE, self.operand & PLAIN == 0);
                Uses { flags, operand: true, root, ..Uses::TWO }
            }
            OPCODE_QUANTISE => Uses { flags: NOTIFY | WIDE, operand: true, ..Uses::VECTOR },
            OPCODE_ARGMAX => Uses::VECTOR,
            _ => Uses::NONE,
        }
    }

    fn fields_fit(&self, geometry: Geometry) -> bool {
        let uses = self.uses();
        let zero = |used: bool, value: u64| used || value == 0;
        let rows = if uses.rows { (1..=geometry.rows as u64).contains(&self.rows) } else { self.rows == 0 };
        let unused = zero(uses.operand, self.operand)
            && zero(uses.source, self.source)
            && zero(uses.bank, self.bank)
            && zero(uses.destination, self.destination)
            && zero(uses.array, self.wait_array.into());
        let most = 1u64 << 20;
        let features = |n: u64| (32..most).contains(&n) && n.is_multiple_of(32);
        let shape = match low_u16(self.opcode) {
            OPCODE_LOAD => self.count == 0 && features(self.length),
            OPCODE_GEMV => (1..most).contains(&self.count) && features(self.length),
            OPCODE_ATTEND => (1..most).contains(&self.count) && self.length < most,
            OPCODE_APPEND => {
                (1..65536).contains(&self.count) && self.length < most && self.length + self.count <= most
            }
            OPCODE_FILL => (1..65536).contains(&self.count) && self.length == 0,
            OPCODE_EMBED => (1..most).contains(&self.count) && features(self.length),
            OPCODE_ADD | OPCODE_NORM | OPCODE_GATE => self.count == 0 && features(self.length),
            OPCODE_HEADS => {
                let rows = self.operand == 0 || self.operand < 4;
                let mode = self.operand < 12 && !(rows && self.has(INT8));
                mode && (1..65536).contains(&self.count) && self.length == 0
            }
            OPCODE_QUANTISE => {
                let tokens = self.operand > 0 && self.rows.is_multiple_of(self.operand);
                tokens
                    && features(self.count)
                    && self.length.is_multiple_of(self.dimension())
                    && self.length + self.rows / self.operand * self.dimension() <= self.count
            }
            OPCODE_ARGMAX => (1..most).contains(&self.count) && self.length == 0,
            _ => self.count == 0 && self.length == 0,
        };
        let cut = |position: u64| position & 0xffff_ffff;
        let positions = self.positions.into_iter().zip(0..).all(|(position, row)| match row {
            _ if uses.positions && row < self.rows => position < most,
            0 if uses.second => true,
            1 if uses.second => cut(position) < 1 << 16,
            2 | 3 if uses.root => true,
            _ => position == 0,
        });
        self.flags & !uses.flags == 0
            && rows
            && unused
            && shape
            && positions
            && self.signal & self.waits() == 0
    }

    /// Elements of a head.
    const fn dimension(&self) -> u64 {
        if self.has(WIDE) { 128 } else { 64 }
    }

    const fn second(&self) -> u64 {
        (self.positions[0] & 0xffff_ffff) | (self.positions[1] & 0xffff) << 32
    }

    /// Bytes of a row of operands.
    const fn row(features: u64) -> u64 {
        (features.div_ceil(32 * WORD) + features.div_ceil(WORD)) * WORD
    }

    /// (Beats per token, tokens per beat) of a head.
    const fn head(&self, geometry: Geometry) -> (u64, u64) {
        let blocks = if self.has(WIDE) { 4 } else { 2 };
        let lanes = geometry.segments as u64 * if self.has(INT8) { 1 } else { 2 };
        if blocks > lanes { (blocks / lanes, 1) } else { (1, lanes / blocks) }
    }

    /// Chunks of operands behind the first.
    fn chunks(&self, geometry: Geometry) -> u64 {
        let segments = if self.has(GROUPED) { 1 } else { geometry.segments as u64 };
        let blocks = if self.has(INT8) { segments } else { 2 * segments };
        match low_u16(self.opcode) {
            OPCODE_LOAD | OPCODE_GEMV => (self.length / 32).div_ceil(blocks),
            OPCODE_ATTEND => self.head(geometry).0,
            _ => 0,
        }
    }

    /// Array words of a tile.
    fn tile(&self, geometry: Geometry) -> u64 {
        let scales = if self.has(INT8) { 1 } else { 2 };
        self.head(geometry).0 * (2 * scales + 2 * 32)
    }

    /// Words of the banks from `bank` on.
    fn bank_words(&self, geometry: Geometry) -> u64 {
        match low_u16(self.opcode) {
            OPCODE_FILL => self.count,
            OPCODE_ATTEND if self.has(RESIDENT) => {
                self.count.div_ceil(32 * self.head(geometry).1) * self.tile(geometry)
            }
            _ => 0,
        }
    }

    /// What it writes, relative to its destination.
    fn extent(&self, geometry: Geometry) -> Option<Range<u64>> {
        let groups = |features: u64| Some(0..features.div_ceil(16) * self.rows * WORD);
        match low_u16(self.opcode) {
            OPCODE_GEMV => groups(self.count),
            OPCODE_ATTEND => groups(self.dimension()),
            OPCODE_EMBED | OPCODE_ADD => groups(self.length),
            OPCODE_NORM | OPCODE_GATE => Some(0..self.rows * Self::row(self.length)),
            OPCODE_HEADS => {
                let words = match (self.operand >> 2, self.has(WIDE), self.has(INT8)) {
                    (0, wide, _) => 2 + u64::from(wide),
                    (_, true, true) => 5,
                    _ => 3,
                };
                Some(0..self.count * self.rows * words * WORD)
            }
            OPCODE_QUANTISE => Some(0..self.operand * Self::row(self.count)),
            OPCODE_ARGMAX => Some(0..WORD),
            OPCODE_APPEND => {
                let tokens = 32 * self.head(geometry).1;
                let bytes = self.tile(geometry) * 32 * geometry.segments as u64;
                let last = (self.length + self.count).saturating_sub(1);
                Some(self.length / tokens * bytes..(last / tokens + 1) * bytes)
            }
            _ => None,
        }
    }

    /// How it ends if it is read: the first rule that it breaks.
    pub fn status(&self, geometry: Geometry, bounds: &Bounds) -> u16 {
        let address = |a: u64| a < 1 << 40 && a.is_multiple_of(WORD);
        if self.opcode > u64::from(OPCODE_ARGMAX) {
            return STATUS_OPCODE;
        }
        if !self.fields_fit(geometry) {
            return STATUS_FIELD;
        }
        let second = if self.uses().second { self.second() } else { 0 };
        if ![self.source, self.destination, second].into_iter().all(address) {
            return STATUS_ALIGNMENT;
        }
        let chunks = self.chunks(geometry);
        if chunks != 0 && self.operand + chunks > OPERAND_CHUNKS as u64 {
            return STATUS_OPERAND;
        }
        if self.bank + self.bank_words(geometry) > geometry.words() as u64 {
            return STATUS_BANK;
        }
        let inside = self.extent(geometry).is_none_or(|extent| {
            bounds.start <= self.destination + extent.start && self.destination + extent.end <= bounds.end
        });
        if inside { STATUS_DONE } else { STATUS_BOUNDS }
    }

    /// How far it is from the edges, for corners.
    pub fn margins(&self, geometry: Geometry, bounds: &Bounds) -> Margins {
        let far = |end: u64, limit: u64| i128::from(limit) - i128::from(end);
        let (chunks, words) = (self.chunks(geometry), self.bank_words(geometry));
        let extent = self.extent(geometry);
        Margins {
            chunks: (chunks != 0).then(|| far(self.operand + chunks, OPERAND_CHUNKS as u64)),
            bank: (words != 0).then(|| far(self.bank + words, geometry.words() as u64)),
            base: extent.as_ref().map(|e| far(bounds.start, self.destination + e.start)),
            limit: extent.as_ref().map(|e| far(self.destination + e.end, bounds.end)),
        }
    }
}

/// What is left up to an edge; below 0: beyond it.
pub struct Margins {
    pub chunks: Option<i128>,
    pub bank: Option<i128>,
    pub base: Option<i128>,
    pub limit: Option<i128>,
}

/// Random commands.
#[derive(Clone, Copy, Debug)]
pub struct Maker {
    pub geometry: Geometry,
    /// Of 256 commands, how many are changed so that most are illegal.
    pub illegal: u8,
    /// Of 256 commands, how many do nothing.
    pub nops: u8,
    /// Tokens in use, 0 to 16.
    pub tokens: u8,
    /// Of 256 commands, how many notify.
    pub notify: u8,
}

impl Maker {
    fn tokens(&self, random: u64) -> u16 {
        // Every token one time in four.
        let mask = (1u32 << self.tokens) - 1;
        low_u16(random & random >> 16 & u64::from(mask))
    }

    /// A value at an edge, at a power of two, or anything below it.
    fn below(most: u64, seed: &mut u64) -> u64 {
        let random = split_mix(seed);
        match random % 4 {
            0 => most - 1,
            1 => (random >> 8) % most.min(200),
            2 => (1 << ((random >> 8) % 64 % u64::from(most.ilog2() + 1))).min(most - 1),
            _ => (random >> 8) % most,
        }
    }

    /// A command that is legal, or would be but for operands, banks and bounds.
    fn proper(&self, bounds: &Bounds, seed: &mut u64) -> Command {
        let geometry = self.geometry;
        let random = split_mix(seed);
        let bit = |n: u32| random >> n & 1 == 1;
        let nop = random >> 8 & 255 < u64::from(self.nops);
        let vector = bit(2);
        let opcode = match low_u16(random >> 16) {
            _ if nop => OPCODE_NOP,
            any if vector => OPCODE_EMBED + any % 8,
            any => OPCODE_LOAD + any % 5,
        };
        let mut command = Command { opcode: opcode.into(), ..Command::default() };
        let uses = command.uses();
        command.flags = split_mix(seed) & uses.flags & !NOTIFY;
        let uses = command.uses();
        if split_mix(seed) & 255 < u64::from(self.notify) {
            command.flags |= NOTIFY;
        }
        command.signal = self.tokens(split_mix(seed));
        command.wait = self.tokens(split_mix(seed)) & !command.signal;
        if uses.array {
            command.wait_array = self.tokens(split_mix(seed)) & !command.signal;
        }
        if uses.rows {
            command.rows = 1 + split_mix(seed) % geometry.rows as u64;
        }
        if uses.source {
            command.source = Self::below(1 << 34, seed) * WORD;
        }
        let dimension = command.dimension();
        match opcode {
            OPCODE_EMBED | OPCODE_ADD | OPCODE_NORM | OPCODE_GATE => {
                command.length = 32 * (1 + Self::below((1 << 15) - 1, seed));
                if opcode == OPCODE_EMBED {
                    command.count = 1 + Self::below((1 << 20) - 1, seed);
                }
            }
            OPCODE_HEADS => {
                command.operand = split_mix(seed) % 12;
                if command.operand < 4 {
                    command.flags &= !INT8;
                }
                command.count = 1 + Self::below(if bit(0) { 65535 } else { 64 }, seed);
            }
            OPCODE_QUANTISE => {
                let tokens: Vec<u64> =
                    (1..=command.rows).filter(|t| command.rows.is_multiple_of(*t)).collect();
                command.operand = tokens[usize::from(low_u16(split_mix(seed))) % tokens.len()];
                let own = command.rows / command.operand * dimension;
                let before =
                    Self::below((((1 << 20) - 32 - own) / dimension).min(1 << (random >> 32 & 15)), seed);
                command.length = before * dimension;
                let room = ((1 << 20) - 32 - own - command.length) / 32;
                let behind = if bit(1) { 0 } else { Self::below(room + 1, seed) };
                command.count = command.length + own + behind * 32;
            }
            OPCODE_ARGMAX => command.count = 1 + Self::below((1 << 20) - 1, seed),
            OPCODE_LOAD | OPCODE_GEMV => {
                let most = if bit(0) { 1 << 15 } else { geometry.segments as u64 * 512 };
                command.length = 32 * (1 + Self::below(most, seed));
                if opcode == OPCODE_GEMV {
                    command.count = 1 + Self::below(if bit(1) { (1 << 20) - 1 } else { 600 }, seed);
                }
                command.length = command.length.min((1 << 20) - 32);
            }
            OPCODE_ATTEND => {
                let most = if uses.bank { 4096 } else { (1 << 20) - 1 };
                command.count = 1 + Self::below(most, seed);
                command.length = Self::below(1 << 20, seed);
            }
            OPCODE_APPEND => {
                command.count = 1 + Self::below(if bit(0) { 65535 } else { 300 }, seed);
                command.length = Self::below((1 << 20) - command.count + 1, seed);
            }
            OPCODE_FILL => command.count = 1 + Self::below(if bit(0) { 65535 } else { 300 }, seed),
            _ => {}
        }
        let uses = command.uses();
        if uses.positions {
            for row in 0..usize::try_from(command.rows).expect("few") {
                command.positions[row] = Self::below(1 << 20, seed);
            }
        }
        if uses.second {
            let second = Self::below(1 << 34, seed) * WORD;
            (command.positions[0], command.positions[1]) = (second & 0xffff_ffff, second >> 32);
        }
        if uses.root {
            (command.positions[2], command.positions[3]) = (split_mix(seed) >> 32, split_mix(seed) >> 32);
        }
        // Up to an edge, one beyond it, or well within.
        let near = |edge: u64, seed: &mut u64| match split_mix(seed) % 8 {
            0..3 => edge,
            3 => edge + 1,
            _ => edge - edge.min(split_mix(seed) % 64),
        };
        if command.chunks(geometry) != 0 {
            let room = (OPERAND_CHUNKS as u64).saturating_sub(command.chunks(geometry));
            command.operand = near(room, seed).min(255);
        }
        if uses.bank {
            let room = (geometry.words() as u64).saturating_sub(command.bank_words(geometry));
            command.bank = near(room, seed).min(65535);
        }
        if let Some(extent) = command.extent(geometry) {
            let first = bounds.start.saturating_sub(extent.start).next_multiple_of(WORD);
            let last = bounds.end.saturating_sub(extent.end);
            let places = (last.saturating_sub(first) / WORD).max(1);
            command.destination = match split_mix(seed) % 16 {
                0..4 => first,
                4..8 => last,
                8 => first.saturating_sub(WORD),
                9 => last + WORD,
                _ => first + split_mix(seed) % places * WORD,
            }
            .min((1 << 40) - WORD);
        }
        command
    }

    /// The next command.
    pub fn make(&self, bounds: &Bounds, seed: &mut u64) -> Command {
        let mut command = self.proper(bounds, seed);
        let random = split_mix(seed);
        if random & 255 >= u64::from(self.illegal) {
            return command;
        }
        let value = split_mix(seed);
        let bit = |bits: u64| 1 << (value % bits);
        match (random >> 8) % 19 {
            0 => command.opcode = value & 255,
            1 => command.flags ^= bit(8),
            2 => command.rows = value % 10,
            3 => command.rows ^= bit(8),
            4 => command.source ^= bit(48),
            5 => command.destination ^= bit(48),
            6 => command.bank ^= bit(16),
            7 => command.wait_array ^= low_u16(bit(16)),
            8 => command.count ^= bit(32),
            9 => command.length ^= bit(32),
            10 => {
                command.count = [0, 1, 65535, 65536, (1 << 20) - 1, 1 << 20][usize::from(low_u16(value % 6))]
            }
            11 => command.length = (1 << 20) - value % 66,
            12 => command.positions[usize::from(low_u16(value >> 8 & 7))] ^= bit(32),
            13 => command.signal ^= low_u16(bit(16)),
            14 => command.operand = value & 255,
            15 => command.operand ^= bit(8),
            16 => command.positions[usize::from(low_u16(value >> 8 & 1))] ^= bit(32),
            17 => {
                command.length =
                    command.length.saturating_add_signed([-64, -32, 32, 64][usize::from(low_u16(value % 4))])
                        & 0xffff_ffff
            }
            _ => command.flags ^= INT8,
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_model::control::command_check::command_check;
    use tandem_model::reference::command::{Core, Fields};

    /// Good commands, and such as are nearly good: these rules, the reference's and the model's.
    #[test]
    fn all_statements_of_the_rules_agree() {
        for geometry in Geometry::ALL {
            let mut seed = 7;
            let mut seen = [[0u32; 7]; 14];
            for _ in 0..300_000 {
                let start = (split_mix(&mut seed) >> 30) / WORD * WORD;
                let room = split_mix(&mut seed) % (1 << (10 + seed % 22)) / WORD * WORD;
                let bounds = start..(start + room).min((1 << 40) - WORD);
                let maker = Maker { geometry, illegal: 128, nops: 4, tokens: 3, notify: 128 };
                let command = maker.make(&bounds, &mut seed);
                let want = command.status(geometry, &bounds);
                let words = command.words();
                let core = Core {
                    rows: geometry.rows,
                    segments: geometry.segments,
                    bank_words: geometry.words(),
                    bounds: bounds.clone(),
                };
                let reference = Fields::of(&words.0.map(|word| word.0)).check(&core);
                assert_eq!(u16::from(reference), want, "reference: {command:x?} {bounds:x?}");
                let model = command_check(geometry, &words, Wide(bounds.start), Wide(bounds.end));
                assert_eq!(model, want, "model: {command:x?} {bounds:x?}");
                if let Some(row) = seen.get_mut(usize::from(low_u16(command.opcode))) {
                    row[usize::from(want)] += 1;
                }
            }
            for (opcode, counts) in seen.iter().enumerate().skip(usize::from(OPCODE_EMBED)) {
                let [done, _, field, alignment, bounds, ..] = *counts;
                let written = opcode == usize::from(OPCODE_ANGLES) || bounds > 20;
                assert!(done > 20 && field > 20 && alignment > 20 && written, "opcode {opcode}: {counts:?}");
            }
        }
    }
}
