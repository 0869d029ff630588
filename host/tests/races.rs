// SPDX-License-Identifier: Apache-2.0
//! Whatever the speed of its units, a core reads what it is meant to: every two commands of different units that use the same
//! memory or operands, one of them writing, are ordered by their tokens. What a command uses is read off its fields here, by
//! docs/commands.md; what is ordered, off its tokens.

mod common;

use std::ops::Range;
use std::path::Path;

use common::generated::{llama, qwen3};
use serde_json::{Value, json};
use tandem_host::Config;
use tandem_host::import::{ImportOptions, Manifest};
use tandem_host::lower::{Plan, PlanOptions, Step};
use tandem_model::array::Geometry;
use tandem_model::control::command::Command;
use tandem_model::layout::{region_bytes, result_bytes, weight_bytes};
use tandem_model::reference::command::{Core, DONE, Fields};

/// Units: load, stream, append, vector.
const UNITS: usize = 4;
const LOAD: usize = 0;
const STREAM: usize = 1;
const VECTOR: usize = 3;

type Clock = [usize; UNITS];

/// Bytes of memory, or chunks of operands behind all of it.
struct Access {
    range: Range<u64>,
    write: bool,
    /// When the array has taken the command.
    late: bool,
}

fn unit(command: &Command) -> usize {
    match command.opcode {
        1 => LOAD,
        2 | 3 => STREAM,
        4 => 2,
        6..=13 => VECTOR,
        other => panic!("no plan has opcode {other}"),
    }
}

fn accesses(command: &Command, geometry: Geometry) -> Vec<Access> {
    let number = |n: u32| usize::try_from(n).unwrap();
    let (rows, count, length) = (usize::from(command.rows), number(command.count), number(command.length));
    let second = u64::from(command.positions[0]) | u64::from(command.positions[1]) << 32;
    let dim = if command.flags.wide { 128 } else { 64 };
    let (int8, segments) = (command.flags.int8, geometry.segments);
    let operand_rows =
        |rows: usize, n: usize| rows * ((n / 32).next_multiple_of(64) + n.next_multiple_of(64));
    let of = |at: u64, bytes: usize, write| Access { range: at..at + bytes as u64, write, late: false };
    let read = |at: u64, bytes: usize| of(at, bytes, false);
    let write = |at: u64, bytes: usize| of(at, bytes, true);
    let late = |access: Access| Access { late: true, ..access };
    let chunks = |blocks: usize, spread: usize, write| {
        let chunks = blocks.div_ceil(if int8 { spread } else { 2 * spread });
        of((1 << 50) + u64::from(command.operand), chunks, write)
    };
    let (source, to) = (command.source, command.destination);
    let elements: usize = if int8 { dim } else { dim / 2 };
    let record = 2 * elements.next_multiple_of(64) + 64;
    match command.opcode {
        1 => {
            let spread = if command.flags.grouped { 1 } else { segments };
            vec![read(source, operand_rows(rows, length)), chunks(length / 32, spread, true)]
        }
        2 => vec![
            read(source, weight_bytes(segments, int8, count, length / 32)),
            late(chunks(length / 32, segments, false)),
            late(write(to, result_bytes(rows, count))),
        ],
        3 => vec![
            read(source, region_bytes(segments, int8, dim == 128, count)),
            late(chunks((dim / 32).max(if int8 { segments } else { 2 * segments }), segments, false)),
            late(write(to, result_bytes(rows, dim))),
        ],
        4 => vec![
            read(source, count * record),
            write(to, region_bytes(segments, int8, dim == 128, length + count)),
        ],
        6 => vec![read(source, 64), write(to, result_bytes(rows, length))],
        7 => vec![
            read(source, result_bytes(rows, length)),
            read(second, result_bytes(rows, length)),
            write(to, result_bytes(rows, length)),
        ],
        8 => vec![read(source, result_bytes(rows, length)), write(to, operand_rows(rows, length))],
        9 => Vec::new(),
        10 => {
            let operands = command.operand >> 2 == 0;
            let size = if operands { 64 + dim } else { record };
            vec![read(source, result_bytes(rows, count * dim)), write(to, count * rows * size)]
        }
        11 => vec![
            read(source, result_bytes(rows, length)),
            read(second, result_bytes(rows, length)),
            write(to, operand_rows(rows, length)),
        ],
        12 => vec![
            read(source, result_bytes(rows, dim)),
            write(to, operand_rows(usize::from(command.operand), count)),
        ],
        _ => vec![read(source, result_bytes(rows, count)), write(to, 64)],
    }
}

fn join(a: &mut Clock, b: Clock) {
    for (a, b) in a.iter_mut().zip(b) {
        *a = (*a).max(b);
    }
}

/// A command that signals a token for which nobody waits.
fn idle_signal(commands: &[Command]) -> Option<usize> {
    (0..commands.len()).find(|&index| {
        let mut left = commands[index].signal_tokens;
        let mut waited = 0;
        for command in &commands[index + 1..] {
            waited |= left & (command.wait_tokens | command.wait_array);
            left &= !command.signal_tokens;
        }
        commands[index].signal_tokens & !waited != 0
    })
}

/// Two commands that are not ordered.
fn race(commands: &[Command], geometry: Geometry) -> Option<(usize, usize)> {
    let uses: Vec<_> = commands.iter().map(|command| accesses(command, geometry)).collect();
    let mut numbers = Vec::new();
    let mut counts = [0; UNITS];
    let (mut begun, mut taken, mut last) = ([[0; UNITS]; UNITS], [[0; UNITS]; UNITS], [[0; UNITS]; UNITS]);
    let mut done: Vec<Clock> = Vec::new();
    let mut signals: [Option<usize>; 16] = [None; 16];
    for (index, command) in commands.iter().enumerate() {
        let own = unit(command);
        let waited = |tokens: u16| (0..16).filter(move |t| tokens >> t & 1 == 1);
        let mut begin = begun[own];
        if own == VECTOR {
            join(&mut begin, last[own]);
        }
        for token in waited(command.wait_tokens) {
            join(&mut begin, signals[token].map_or([0; UNITS], |signal| done[signal]));
        }
        let mut take = taken[own];
        join(&mut take, begin);
        for token in waited(command.wait_array) {
            join(&mut take, signals[token].map_or([0; UNITS], |signal| done[signal]));
        }
        (begun[own], taken[own]) = (begin, take);
        for (before, accesses) in uses[..index].iter().enumerate() {
            let other = unit(&commands[before]);
            if other == own {
                continue;
            }
            for a in accesses {
                for b in &uses[index] {
                    let overlap = a.range.start < b.range.end && b.range.start < a.range.end;
                    let known = if b.late { take } else { begin };
                    if overlap && (a.write || b.write) && known[other] <= numbers[before] {
                        return Some((before, index));
                    }
                }
            }
        }
        numbers.push(counts[own]);
        counts[own] += 1;
        let mut end = last[own];
        join(&mut end, take);
        end[own] = counts[own];
        last[own] = end;
        done.push(end);
        for token in waited(command.signal_tokens) {
            signals[token] = Some(index);
        }
    }
    None
}

fn plan(config: &Value, options: PlanOptions, int8: &[&str]) -> Plan {
    let config = Config::parse(config.to_string().as_bytes(), Path::new("config.json")).unwrap();
    let int8 = int8.iter().map(|&name| name.to_owned()).collect();
    let import = ImportOptions { context: Some(100), int8, ..ImportOptions::new(options.geometry) };
    Plan::new(&Manifest::new(&config, &import).unwrap(), options).unwrap()
}

/// Steps of a few models on every geometry.
fn steps() -> Vec<(Geometry, Plan, Step)> {
    // Many heads, more than there are tokens; operands of which two do not fit into the files at once.
    let mut many = llama();
    (many["hidden_size"], many["num_attention_heads"]) = (json!(1536), json!(24));
    (many["num_key_value_heads"], many["intermediate_size"]) = (json!(24), json!(2560));
    let mut steps = Vec::new();
    for geometry in Geometry::ALL {
        for (config, int8, matrices) in
            [(qwen3(), false, &["q"][..]), (llama(), true, &[]), (many.clone(), true, &["down"])]
        {
            let plan = plan(&config, PlanOptions { geometry, context: None, int8 }, matrices);
            for tokens in [1, 2, geometry.rows] {
                for logits in [false, true] {
                    steps.push((geometry, plan.clone(), plan.step(37, tokens, logits).unwrap()));
                }
            }
        }
    }
    steps
}

#[test]
fn commands_that_share_memory_are_ordered() {
    for (geometry, _, step) in steps() {
        let Some((a, b)) = race(&step.commands, geometry) else { continue };
        let [a, b] = [a, b].map(|at| format!("{} {:?}", step.labels[at], step.commands[at]));
        panic!("{}: not ordered:\n{a}\n{b}", geometry.name);
    }
}

#[test]
fn no_wait_is_missed_when_it_is_gone() {
    let (geometry, _, step) = steps().swap_remove(3);
    let mut waits = 0;
    for index in 0..step.commands.len() {
        for token in 0..16 {
            let mut commands = step.commands.clone();
            let Command { wait_tokens, wait_array, .. } = &mut commands[index];
            if (*wait_tokens | *wait_array) >> token & 1 == 1 {
                (*wait_tokens, *wait_array) = (*wait_tokens & !(1 << token), *wait_array & !(1 << token));
                assert!(race(&commands, geometry).is_some(), "{}: token {token}", step.labels[index]);
                waits += 1;
            }
        }
    }
    assert!(waits > 20, "{waits} waits");
}

#[test]
fn weights_wait_for_nothing_and_every_command_is_accepted() {
    for (geometry, plan, step) in steps() {
        let Geometry { rows, segments, .. } = geometry;
        let core = Core { rows, segments, bank_words: geometry.words(), bounds: plan.zeroed() };
        for (command, label) in step.commands.iter().zip(&step.labels) {
            assert_eq!(Fields::of(&command.words()).check(&core), DONE, "{label}: {command:?}");
            assert!(command.opcode != 2 || command.wait_tokens == 0, "{label}");
        }
        assert_eq!(idle_signal(&step.commands).map(|at| step.labels[at]), None);
    }
}
