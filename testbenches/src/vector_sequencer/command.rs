// SPDX-License-Identifier: Apache-2.0
//! What a command must make the sequencer do, from the commands' definition.

use std::collections::VecDeque;

use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::control::types::{
    CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, OPCODE_ADD, OPCODE_ANGLES,
    OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_GATE, OPCODE_HEADS, OPCODE_NORM, OPCODE_QUANTISE,
};
use tandem_model::link::types::LinkWord;
use tandem_model::vector::types::{HeadsMode, LaneOp, VECTOR_UNITS};

use crate::random::split_mix;

/// A command, sizes taken from its seed.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// What it does.
    pub opcode: u16,
    /// Everything else.
    pub seed: u64,
}

/// The word of memory at an address.
pub(super) fn memory_word(seed: u64, address: u64) -> LinkWord {
    let mut state = seed ^ address.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    LinkWord(std::array::from_fn(|_| Wide(split_mix(&mut state))))
}

const fn pad(bytes: u64) -> u64 {
    bytes.next_multiple_of(64)
}

/// What a word's scale must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// It is not looked at.
    Any,
    One,
    /// The unit's of the last reduction.
    Unit,
}

/// A word that must be issued.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) op: LaneOp,
    pub(super) writes: bool,
    pub(super) argmax: bool,
    pub(super) unit: u16,
    pub(super) group: u16,
    pub(super) hold: Option<u16>,
    pub(super) hi: bool,
    pub(super) a: LinkWord,
    pub(super) b: Option<LinkWord>,
    pub(super) angles: Option<(LinkWord, LinkWord)>,
    pub(super) scale: Scale,
    /// Bytes: where the unit's elements and scales begin.
    pub(super) place: (u64, Option<u64>),
}

/// What must happen next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Issue(Box<Order>),
    /// A reduction of so many units, over so many words.
    Reduce {
        units: u16,
        words: u32,
    },
    /// The result of argmax is written.
    Direct {
        rows: usize,
        line: u64,
    },
}

/// A command, worked out.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) words: [Wide<64>; 8],
    pub(super) index: u16,
    pub(super) notify: bool,
    pub(super) tokens: u16,
    pub(super) opcode: u16,
    pub(super) rows: u64,
    pub(super) wide: bool,
    pub(super) int8: bool,
    pub(super) mode: HeadsMode,
    /// Quantise: T.
    pub(super) tokens_of_heads: u64,
    pub(super) source: u64,
    pub(super) second: u64,
    pub(super) destination: u64,
    pub(super) count: u64,
    pub(super) length: u64,
    pub(super) mean: u32,
    pub(super) eps: u32,
    /// Row numbers or positions.
    pub(super) numbers: [u64; VECTOR_UNITS],
}

impl Work {
    pub(super) fn new(command: Command) -> Self {
        let mut seed = command.seed;
        let mut below = |n: u64| split_mix(&mut seed) % n;
        let address = |random: u64| random * 64;
        let mut work = Self {
            words: [Wide(0); 8],
            index: low_u16(below(1 << 16)),
            notify: below(2) == 1,
            tokens: low_u16(below(1 << 16)),
            opcode: command.opcode,
            rows: if below(3) == 0 { [1, 8][usize::from(low_u16(below(2)))] } else { 1 + below(8) },
            wide: false,
            int8: false,
            mode: HeadsMode::default(),
            tokens_of_heads: 0,
            source: address(below(1 << 33)),
            second: address(below(1 << 33)),
            destination: address(below(1 << 33)),
            count: 0,
            length: 0,
            mean: u32::try_from(below(1 << 32)).expect("32 bits"),
            eps: u32::try_from(below(1 << 32)).expect("32 bits"),
            numbers: [0; VECTOR_UNITS],
        };
        let features = 32 * (1 + if below(3) == 0 { below(28) } else { below(10) });
        let (flag, other) = (below(2) == 1, below(2) == 1);
        match command.opcode {
            OPCODE_EMBED => {
                work.length = features;
                work.count = if flag { 1 + below(40) } else { (1 << 20) - 1 - below(100) };
                let most = work.count + if below(2) == 0 { 0 } else { 1 + work.count / 8 };
                work.numbers = std::array::from_fn(|_| below(most));
            }
            OPCODE_ADD | OPCODE_NORM | OPCODE_GATE => work.length = features,
            OPCODE_ANGLES => {
                work.wide = flag;
                work.numbers = std::array::from_fn(|_| below(if other { 1 << 20 } else { 100 }));
            }
            OPCODE_HEADS => {
                work.wide = flag;
                work.count = 1 + below(if other { 4 } else { 20 });
                work.mode.plain = below(3) == 0;
                work.mode.rotated = below(2) == 0;
                work.mode.target = Uint(low_u16(below(3)));
                work.int8 = work.mode.target.0 != 0 && below(2) == 0;
            }
            OPCODE_QUANTISE => {
                work.wide = flag;
                let fitting = (1..=work.rows).filter(|t| work.rows.is_multiple_of(*t)).collect::<Vec<_>>();
                work.tokens_of_heads = fitting[usize::from(low_u16(below(fitting.len() as u64)))];
                work.length = below(20) * work.head();
                let end = work.length + work.rows / work.tokens_of_heads * work.head();
                work.count = end + 32 * below(40);
            }
            _ => work.count = 1 + below(if flag { 40 } else { 900 }),
        }
        work.encode();
        work
    }

    /// Elements of a head.
    pub(super) const fn head(&self) -> u64 {
        if self.wide { 128 } else { 64 }
    }

    pub(super) fn encode(&mut self) {
        let operand = match self.opcode {
            OPCODE_HEADS => self.mode.to_bits(),
            _ => self.tokens_of_heads,
        };
        let flags =
            CommandFlags { wide: self.wide, int8: self.int8, notify: self.notify, ..CommandFlags::default() };
        let head = CommandHead {
            signal_tokens: Uint(self.tokens),
            wait_tokens: Uint(!self.tokens),
            operand: Uint(low_u16(operand)),
            rows: Uint(low_u16(self.rows)),
            flags,
            opcode: Uint(self.opcode),
        };
        let at = |address| CommandSource { bank: Uint(0), address: Wide(address) }.to_bits();
        let to = CommandDestination { wait_array: Uint(0), address: Wide(self.destination) };
        let shape = CommandShape { length: Wide(self.length), count: Wide(self.count) };
        self.words[..4]
            .copy_from_slice(&[head.to_bits(), at(self.source), to.to_bits(), shape.to_bits()].map(Wide));
        if self.opcode == OPCODE_ANGLES {
            for (r, number) in self.numbers.iter().enumerate() {
                self.words[4 + r / 2].0 |= number << (32 * (r % 2));
            }
        } else {
            self.words[4] = Wide(at(self.second));
            self.words[5] = Wide(u64::from(self.eps) << 32 | u64::from(self.mean));
        }
    }

    /// Where elements and scales of row r of operand rows lie.
    fn operand_row(&self, r: u64, features: u64) -> (u64, u64) {
        let row = self.destination + r * (pad(features / 32) + pad(features));
        (row + pad(features / 32), row)
    }

    /// Where elements and scales of a head of a token go.
    fn head_place(&self, head: u64, token: u64) -> (u64, u64) {
        let (number, d) = (head * self.rows + token, self.head());
        let part = if self.int8 { pad(d) } else { 64 };
        match self.mode.target.0 {
            0 => (self.destination + number * (64 + d) + 64, self.destination + number * (64 + d)),
            1 => {
                let record = self.destination + number * (2 * part + 64);
                (record, record + 2 * part)
            }
            _ => {
                let record = self.destination + number * (2 * part + 64);
                (record + part, record + 2 * part + 8)
            }
        }
    }
}

/// Angles that were read since reset: cosines, sines.
pub(super) type Angles = [[(LinkWord, LinkWord); 4]; VECTOR_UNITS];

/// What a command must do.
pub(super) fn steps(work: &Work, read: &dyn Fn(u64) -> LinkWord, angles: &mut Angles) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let (rows, d) = (work.rows, work.head());
    let ones = LinkWord([Wide(0x3f80_0000_3f80_0000); 8]);
    let plain = Order {
        op: LaneOp::Copy,
        writes: true,
        argmax: false,
        unit: 0,
        group: 0,
        hold: None,
        hi: false,
        a: LinkWord::default(),
        b: None,
        angles: None,
        scale: Scale::Any,
        place: (0, None),
    };
    let streams = |groups: u64, order: &dyn Fn(u64, u64) -> Order| -> Vec<Step> {
        let words = (0..groups).flat_map(|g| (0..rows).map(move |r| (g, r)));
        let tagged = |(g, r)| Order { unit: low_u16(r), group: low_u16(g), ..order(g, r) };
        words.map(|at| Step::Issue(Box::new(tagged(at)))).collect()
    };
    let word = |base: u64, g: u64, r: u64| read(base + (g * rows + r) * 64);
    let groups = work.length / 16;
    let reduce = Step::Reduce { units: low_u16(rows), words: u32::try_from(groups * rows).expect("small") };
    match work.opcode {
        OPCODE_EMBED => {
            for r in 0..rows {
                let number = work.numbers[usize::from(low_u16(r))];
                let number = if number < work.count { number } else { 0 };
                for g in 0..groups {
                    let a = read(work.second + (number * groups + g) * 64);
                    let place = (work.destination + 64 * r, None);
                    let (unit, group) = (low_u16(r), low_u16(g));
                    steps.push_back(Step::Issue(Box::new(Order { a, unit, group, place, ..plain.clone() })));
                }
            }
            steps.push_back(reduce);
        }
        OPCODE_ADD => {
            steps.extend(streams(groups, &|g, r| Order {
                op: LaneOp::Add,
                a: word(work.source, g, r),
                b: Some(word(work.second, g, r)),
                place: (work.destination + 64 * r, None),
                ..plain.clone()
            }));
            steps.push_back(reduce);
        }
        OPCODE_NORM | OPCODE_GATE => steps.extend(streams(groups, &|g, r| {
            let gate = work.opcode == OPCODE_GATE;
            let (elements, scales) = work.operand_row(r, work.length);
            let weight = if gate { word(work.second, g, r) } else { read(work.second + 64 * g) };
            Order {
                op: if gate { LaneOp::Gate } else { LaneOp::Scale },
                hold: Some(low_u16(r)),
                a: word(work.source, g, r),
                b: Some(weight),
                scale: if gate { Scale::Any } else { Scale::Unit },
                place: (elements, Some(scales)),
                ..plain.clone()
            }
        })),
        OPCODE_QUANTISE => steps.extend(streams(d / 16, &|g, u| {
            let (head, token) = (u / work.tokens_of_heads, u % work.tokens_of_heads);
            let (elements, scales) = work.operand_row(token, work.count);
            let first = work.length + head * d;
            Order {
                op: LaneOp::Scale,
                hold: Some(low_u16(u)),
                a: word(work.source, g, u),
                b: Some(ones),
                scale: Scale::One,
                place: (elements + first, Some(scales + first / 32)),
                ..plain.clone()
            }
        })),
        OPCODE_ARGMAX => {
            steps.extend(streams(work.count.div_ceil(16), &|g, r| Order {
                argmax: true,
                writes: false,
                a: word(work.source, g, r),
                ..plain.clone()
            }));
            let rows = usize::from(low_u16(rows));
            steps.push_back(Step::Direct { rows, line: work.destination / 64 });
        }
        OPCODE_ANGLES => {
            let half = d / 32;
            let rows = usize::from(low_u16(rows));
            for (angles, number) in angles.iter_mut().zip(work.numbers).take(rows) {
                let row = work.source + number * d * 4;
                for j in 0..half {
                    angles[usize::from(low_u16(j))] = (read(row + 64 * j), read(row + 64 * (half + j)));
                }
            }
        }
        _ => {
            let most = 8 / rows;
            for first in (0..work.count).step_by(usize::from(low_u16(most))) {
                steps.extend(batch(work, first..(first + most).min(work.count), read, angles, &plain));
            }
        }
    }
    steps
}

/// What Heads must do for a batch.
fn batch(
    work: &Work,
    heads: std::ops::Range<u64>,
    read: &dyn Fn(u64) -> LinkWord,
    angles: &Angles,
    plain: &Order,
) -> Vec<Step> {
    let (rows, d, first) = (work.rows, work.head(), heads.start);
    let (groups, half) = (d / 16, d / 32);
    let word = |h: u64, g: u64, t: u64| read(work.source + ((h * groups + g) * rows + t) * 64);
    let unit = |h: u64, t: u64| low_u16((h - first) * rows + t);
    let mut steps = Vec::new();
    if !work.mode.plain {
        for h in heads.clone() {
            for (g, t) in (0..groups).flat_map(|g| (0..rows).map(move |t| (g, t))) {
                let (a, group, unit) = (word(h, g, t), low_u16(g), unit(h, t));
                let order = Order { writes: false, a, group, unit, ..plain.clone() };
                steps.push(Step::Issue(Box::new(order)));
            }
        }
        let units = low_u16((heads.end - first) * rows);
        steps.push(Step::Reduce { units, words: u32::from(units) * u32::from(low_u16(groups)) });
    }
    for (h, t) in heads.flat_map(|h| (0..rows).map(move |t| (h, t))) {
        for (j, upper) in (0..half).flat_map(|j| [(j, 0), (j, 1)]) {
            let g = j + upper * half;
            let (elements, scales) = work.head_place(h, t);
            let pair = angles[usize::from(low_u16(t))][usize::from(low_u16(j))];
            steps.push(Step::Issue(Box::new(Order {
                op: if work.mode.rotated { LaneOp::Rotate } else { LaneOp::Scale },
                unit: unit(h, t),
                group: low_u16(g),
                hold: Some(low_u16(upper)),
                hi: work.mode.rotated && upper == 1,
                a: word(h, g, t),
                b: Some(read(work.second + 64 * g)),
                angles: work.mode.rotated.then_some(pair),
                scale: if work.mode.plain { Scale::One } else { Scale::Unit },
                place: (elements, Some(scales)),
                ..plain.clone()
            })));
        }
    }
    steps
}
