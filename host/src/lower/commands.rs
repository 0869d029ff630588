// SPDX-License-Identifier: Apache-2.0
//! Commands of the vector unit, field by field (docs/commands.md).

use tandem_model::block::{Bits, Uint, low_u8};
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    CommandFlags, MAX_ROWS, OPCODE_ADD, OPCODE_ANGLES, OPCODE_APPEND, OPCODE_ARGMAX, OPCODE_ATTEND,
    OPCODE_EMBED, OPCODE_GATE, OPCODE_GEMV, OPCODE_HEADS, OPCODE_LOAD, OPCODE_NORM, OPCODE_QUANTISE,
};
use tandem_model::vector::types::HeadsMode;

/// Where rows are normed: binary32 of 1 / features, and what is added to the mean square.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mean {
    pub(super) mean: f32,
    pub(super) eps: f32,
}

/// A number of a command's field.
pub(super) fn field(number: usize) -> u32 {
    u32::try_from(number).expect("plans are made only where every number has room")
}

fn of(opcode: u16, rows: usize) -> Command {
    Command { opcode: low_u8(opcode.into()), rows: low_u8(rows as u64), ..Command::default() }
}

/// Words 4 and 5.
fn words(second: u64, mean: Option<Mean>) -> [u32; MAX_ROWS] {
    let command = Command::default().with_second(second);
    let rooted = |Mean { mean, eps }: Mean| command.with_root(mean.to_bits(), eps.to_bits());
    mean.map_or(command, rooted).positions
}

pub(super) fn embed(rows: usize, ids: u64, table: [u64; 2], to: u64, features: usize, mean: Mean) -> Command {
    let [table, count] = table;
    Command {
        source: ids,
        destination: to,
        count: field(usize::try_from(count).expect("20 bits")),
        length: field(features),
        positions: words(table, Some(mean)),
        ..of(OPCODE_EMBED, rows)
    }
}

pub(super) fn add(rows: usize, a: u64, b: u64, to: u64, features: usize, mean: Mean) -> Command {
    let positions = words(b, Some(mean));
    Command { source: a, destination: to, length: field(features), positions, ..of(OPCODE_ADD, rows) }
}

pub(super) fn norm(rows: usize, from: u64, weights: u64, to: u64, features: usize) -> Command {
    let positions = words(weights, None);
    Command { source: from, destination: to, length: field(features), positions, ..of(OPCODE_NORM, rows) }
}

pub(super) fn angles(rows: usize, wide: bool, table: u64, positions: [u32; MAX_ROWS]) -> Command {
    let flags = CommandFlags { wide, ..CommandFlags::default() };
    Command { flags, source: table, positions, ..of(OPCODE_ANGLES, rows) }
}

/// What Heads does with its heads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub(super) wide: bool,
    /// Token records are MXINT8.
    pub(super) int8: bool,
    pub(super) rotated: bool,
    /// 0: operand rows, 1: K of records, 2: V of records.
    pub(super) target: u64,
    /// `None`: they are not normed.
    pub(super) mean: Option<Mean>,
}

pub(super) fn heads(rows: usize, count: usize, how: Heads, from: u64, weights: u64, to: u64) -> Command {
    let Heads { wide, int8, rotated, target, mean } = how;
    let mode =
        HeadsMode { reserved: Uint(0), target: Uint::from_bits(target), rotated, plain: mean.is_none() };
    Command {
        flags: CommandFlags { wide, int8: int8 && target != 0, ..CommandFlags::default() },
        operand: low_u8(mode.to_bits()),
        source: from,
        destination: to,
        count: field(count),
        positions: words(weights, mean),
        ..of(OPCODE_HEADS, rows)
    }
}

pub(super) fn gate(rows: usize, gate: u64, up: u64, to: u64, features: usize) -> Command {
    let positions = words(up, None);
    Command { source: gate, destination: to, length: field(features), positions, ..of(OPCODE_GATE, rows) }
}

/// `rows` heads of rows, each to its features from `first` on of `features` in operand rows of `tokens` rows.
pub(super) fn quantise(
    rows: usize,
    tokens: usize,
    wide: bool,
    from: u64,
    to: u64,
    [first, features]: [usize; 2],
) -> Command {
    Command {
        flags: CommandFlags { wide, ..CommandFlags::default() },
        operand: low_u8(tokens as u64),
        source: from,
        destination: to,
        count: field(features),
        length: field(first),
        ..of(OPCODE_QUANTISE, rows)
    }
}

pub(super) fn argmax(rows: usize, from: u64, to: u64, features: usize) -> Command {
    Command { source: from, destination: to, count: field(features), ..of(OPCODE_ARGMAX, rows) }
}

pub(super) fn load(
    rows: usize,
    [int8, grouped]: [bool; 2],
    operand: usize,
    from: u64,
    features: usize,
) -> Command {
    Command {
        flags: CommandFlags { int8, grouped, ..CommandFlags::default() },
        operand: low_u8(operand as u64),
        source: from,
        length: field(features),
        ..of(OPCODE_LOAD, rows)
    }
}

pub(super) fn gemv(
    rows: usize,
    int8: bool,
    operand: usize,
    weights: u64,
    to: u64,
    shape: [usize; 2],
) -> Command {
    let [outputs, inputs] = shape;
    Command {
        flags: CommandFlags { int8, ..CommandFlags::default() },
        operand: low_u8(operand as u64),
        source: weights,
        destination: to,
        count: field(outputs),
        length: field(inputs),
        ..of(OPCODE_GEMV, rows)
    }
}

/// Attention of rows at `positions` over the first `keys` tokens of a region.
pub(super) fn attend(
    positions: &[usize],
    [int8, wide]: [bool; 2],
    operand: usize,
    region: u64,
    to: u64,
    [keys, window]: [usize; 2],
) -> Command {
    Command {
        flags: CommandFlags { int8, wide, causal: true, ..CommandFlags::default() },
        operand: low_u8(operand as u64),
        source: region,
        destination: to,
        count: field(keys),
        length: field(window),
        positions: std::array::from_fn(|row| positions.get(row).map_or(0, |&at| field(at))),
        ..of(OPCODE_ATTEND, positions.len())
    }
}

pub(super) fn append(
    tokens: usize,
    [int8, wide]: [bool; 2],
    records: u64,
    region: u64,
    first: usize,
) -> Command {
    Command {
        flags: CommandFlags { int8, wide, ..CommandFlags::default() },
        source: records,
        destination: region,
        count: field(tokens),
        length: field(first),
        ..of(OPCODE_APPEND, 0)
    }
}
