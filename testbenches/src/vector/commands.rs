// SPDX-License-Identifier: Apache-2.0
//! Random commands of the vector unit, and the data that they read.

use tandem_model::block::{Bits, Uint, Wide, low_u8, low_u16};
use tandem_model::control::types::{
    CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, OPCODE_ADD, OPCODE_ANGLES,
    OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_GATE, OPCODE_HEADS, OPCODE_NORM, OPCODE_QUANTISE,
};
use tandem_model::reference::command::Fields;

use crate::memory::contents::Contents;
use crate::memory::port::WORD;
use crate::random::split_mix;

/// Most rows of a command.
const ROWS: u64 = 8;
/// Features of a word of results.
const GROUP: u64 = 16;
/// Features of a block.
const BLOCK: u64 = 32;
/// Counts and positions are below this.
const MOST: u64 = 1 << 20;

/// What a command does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// Rows of a table.
    Embed,
    /// Sums.
    Add,
    /// Norm with the scales that are there.
    Norm,
    /// Cosines and sines.
    Angles,
    /// Norm and rotation of heads.
    Heads,
    /// SwiGLU.
    Gate,
    /// Results of attention to operand rows.
    Quantise,
    /// The largest features.
    Argmax,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Embed,
        Self::Add,
        Self::Norm,
        Self::Angles,
        Self::Heads,
        Self::Gate,
        Self::Quantise,
        Self::Argmax,
    ];

    const fn opcode(self) -> u16 {
        match self {
            Self::Embed => OPCODE_EMBED,
            Self::Add => OPCODE_ADD,
            Self::Norm => OPCODE_NORM,
            Self::Angles => OPCODE_ANGLES,
            Self::Heads => OPCODE_HEADS,
            Self::Gate => OPCODE_GATE,
            Self::Quantise => OPCODE_QUANTISE,
            Self::Argmax => OPCODE_ARGMAX,
        }
    }
}

/// What a command is made from. What is too much is taken modulo what is not.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// What it does.
    pub op: Op,
    /// Rows, less one; `None`: those of the case.
    pub rows: Option<u8>,
    /// Blocks of a row, heads, or features of Argmax, less one.
    pub size: u16,
    /// Everything else.
    pub seed: u64,
}

/// A command.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it does.
    pub op: Op,
    /// Its words.
    pub words: [Wide<64>; 8],
    /// The same by name.
    pub fields: Fields,
    /// Its index.
    pub index: u16,
    /// Said of it.
    pub notify: bool,
    /// Given back.
    pub tokens: u16,
}

impl Command {
    /// Mode bits of Heads.
    #[must_use]
    pub const fn plain(&self) -> bool {
        self.fields.operand & 1 == 1
    }

    /// Pairs are turned.
    #[must_use]
    pub const fn rotated(&self) -> bool {
        matches!(self.op, Op::Heads) && self.fields.operand >> 1 & 1 == 1
    }

    /// 0: operand rows, 1: K of records, 2: V of records.
    #[must_use]
    pub const fn target(&self) -> usize {
        self.fields.operand >> 2
    }
}

/// What numbers of a region are like.
#[derive(Clone, Copy)]
enum Flavour {
    Near,
    Any,
    Few,
    Largest,
    Smallest,
}

/// The makings of a command.
struct Maker<'a> {
    seed: u64,
    contents: &'a mut Contents,
}

impl Maker<'_> {
    fn bits(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    fn once(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// An address of a word. Regions are up to 2^33 bytes long.
    fn address(&mut self) -> u64 {
        self.below((1 << 40) - (1 << 33)) / WORD * WORD
    }

    fn flavour(&mut self) -> Flavour {
        match self.below(16) {
            0 => Flavour::Any,
            1 | 2 => Flavour::Few,
            3 => Flavour::Largest,
            4 => Flavour::Smallest,
            _ => Flavour::Near,
        }
    }

    /// Bits of binary32.
    fn number(&mut self, flavour: Flavour) -> u32 {
        let bits = self.bits();
        let field = match flavour {
            Flavour::Near => 118 + (bits >> 40) % 12,
            Flavour::Any => bits >> 40 & 0xFF,
            Flavour::Few => [0, 126, 127, 127][usize::from(low_u8(bits >> 40)) % 4],
            Flavour::Largest => 250 + (bits >> 40) % 6,
            Flavour::Smallest => (bits >> 40) % 5,
        };
        let fraction = match flavour {
            Flavour::Few => 0,
            _ => bits & 0x7F_FFFF,
        };
        u32::try_from((bits >> 63) << 31 | field << 23 | fraction).expect("32 bits")
    }

    /// Puts so many numbers there.
    fn fill(&mut self, address: u64, count: u64) {
        let flavour = self.flavour();
        self.fill_with(address, count, flavour);
    }

    fn fill_with(&mut self, address: u64, count: u64, flavour: Flavour) {
        let bytes: Vec<u8> = (0..count).flat_map(|_| self.number(flavour).to_le_bytes()).collect();
        self.contents.store(address, &bytes);
    }

    /// A region of so many numbers.
    fn region(&mut self, count: u64) -> u64 {
        let address = self.address();
        self.fill(address, count);
        address
    }

    /// Word 5: what is added to the mean of so many squares, and the factor that makes it a mean.
    fn norm(&mut self, features: u64) -> u64 {
        let mean = (1.0 / f32::from(low_u16(features))).to_bits();
        let eps = match self.below(8) {
            0 => 0,
            1 => self.number(Flavour::Any),
            _ => 1e-6_f32.to_bits(),
        };
        u64::from(eps) << 32 | u64::from(mean)
    }
}

/// What a command asks for.
#[derive(Default)]
struct Asked {
    flags: CommandFlags,
    operand: u64,
    source: u64,
    second: u64,
    destination: u64,
    count: u64,
    length: u64,
    norm: u64,
    /// Instead of the second source and the norm.
    positions: Option<[u64; 8]>,
}

/// A command of a case whose commands have so many rows, and what it reads.
#[must_use]
pub fn command(recipe: &Recipe, rows: u64, contents: &mut Contents) -> Command {
    let mut make = Maker { seed: recipe.seed, contents };
    let rows = recipe.rows.map_or(rows, |rows| u64::from(rows) % ROWS + 1);
    let size = u64::from(recipe.size);
    // Long rows come alone.
    let most = if rows < 3 { 72 } else { 12 };
    let features = BLOCK * (size % most + 1);
    let mut asked = Asked { destination: make.address(), ..Asked::default() };
    let rows = match recipe.op {
        Op::Embed => {
            asked.norm = make.norm(features);
            asked.length = features;
            asked.count = if make.once(3) { MOST - 1 } else { 1 + make.below(40) };
            asked.second = make.address();
            asked.source = make.address();
            let beyond = make.once(4);
            let mut numbers = Vec::new();
            for row in 0..GROUP {
                let mut number = make.below(asked.count);
                if row >= rows || (beyond && make.once(3)) {
                    number = asked.count + make.below(1 << 20);
                }
                let read = if number < asked.count { number } else { 0 };
                if row < rows {
                    make.fill(asked.second + read * features * 4, features);
                }
                numbers.extend(u32::try_from(number).expect("32 bits").to_le_bytes());
            }
            make.contents.store(asked.source, &numbers);
            rows
        }
        Op::Add => {
            asked.norm = make.norm(features);
            asked.length = features;
            asked.source = make.region(features * rows);
            asked.second = make.region(features * rows);
            match make.below(4) {
                0 => asked.destination = asked.source,
                1 => asked.destination = asked.second,
                _ => {}
            }
            rows
        }
        Op::Norm => {
            asked.length = features;
            asked.source = make.region(features * rows);
            asked.second = make.region(features);
            rows
        }
        Op::Angles => {
            asked.flags.wide = make.once(2);
            asked.destination = 0;
            asked.source = make.address();
            let numbers = if asked.flags.wide { 128 } else { 64 };
            let mut positions = [0; 8];
            for position in positions.iter_mut().take(usize::from(low_u16(rows))) {
                *position = if make.once(3) { make.below(MOST) } else { make.below(9) };
                make.fill(asked.source + *position * numbers * 4, numbers);
            }
            asked.positions = Some(positions);
            rows
        }
        Op::Heads => {
            asked.flags.wide = make.once(2);
            let dim = if asked.flags.wide { 128 } else { 64 };
            let (target, rotated, plain) = (make.below(3), make.below(2), u64::from(make.once(3)));
            asked.flags.int8 = target != 0 && make.once(2);
            asked.operand = target << 2 | rotated << 1 | plain;
            asked.count = size % 12 + 1;
            asked.source = make.region(asked.count * dim * rows);
            asked.second = make.region(dim);
            asked.norm = if plain == 1 { 0 } else { make.norm(dim) };
            rows
        }
        Op::Gate => {
            asked.length = features;
            asked.source = make.region(features * rows);
            asked.second = make.region(features * rows);
            rows
        }
        Op::Quantise => {
            asked.flags.wide = make.once(2);
            let dim = if asked.flags.wide { 128 } else { 64 };
            let tokens = (1..=rows).filter(|tokens| rows.is_multiple_of(*tokens));
            let tokens: Vec<u64> = tokens.collect();
            asked.operand = tokens[usize::from(low_u8(make.bits())) % tokens.len()];
            asked.length = make.below(6) * dim;
            asked.count = asked.length + rows / asked.operand * dim + BLOCK * make.below(8);
            asked.source = make.region(dim * rows);
            rows
        }
        Op::Argmax => {
            asked.count = size % 300 + 1;
            asked.source = make.address();
            let flavour = if make.once(2) { Flavour::Few } else { make.flavour() };
            make.fill_with(asked.source, asked.count.next_multiple_of(GROUP) * rows, flavour);
            rows
        }
    };
    finish(recipe.op, rows, &asked, make.bits())
}

/// The words of a command.
fn finish(op: Op, rows: u64, asked: &Asked, noise: u64) -> Command {
    let notify = noise & 1 == 1;
    let tokens = low_u16(noise >> 16);
    let head = CommandHead {
        signal_tokens: Uint(tokens),
        wait_tokens: Uint(low_u16(noise >> 32) & !tokens),
        operand: Uint(low_u16(asked.operand)),
        rows: Uint(low_u16(rows)),
        flags: CommandFlags { notify, ..asked.flags },
        opcode: Uint(op.opcode()),
    };
    let source = CommandSource { bank: Uint(0), address: Wide(asked.source) };
    let destination = CommandDestination { wait_array: Uint(0), address: Wide(asked.destination) };
    let shape = CommandShape { length: Wide(asked.length), count: Wide(asked.count) };
    let mut words = [0; 8];
    words[..4].copy_from_slice(&[head.to_bits(), source.to_bits(), destination.to_bits(), shape.to_bits()]);
    if let Some(positions) = asked.positions {
        for (word, pair) in words[4..].iter_mut().zip(positions.chunks_exact(2)) {
            *word = pair[0] | pair[1] << 32;
        }
    } else {
        (words[4], words[5]) = (asked.second, asked.norm);
    }
    Command {
        op,
        words: words.map(Wide),
        fields: Fields::of(&words),
        index: low_u16(noise >> 48),
        notify,
        tokens,
    }
}
