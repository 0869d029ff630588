// SPDX-License-Identifier: Apache-2.0
//! `vector_writer` against the bytes that the layouts say, and layouts with a mistake that must be found.

mod support;

use std::collections::{BTreeMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Block, Uint, Wide};
use tandem_model::memory::types::WriteDone;
use tandem_model::numerics::{BLOCK_LEN, Float36, ScaleRule};
use tandem_model::reference::quantise as reference;
use tandem_model::vector::types::{Form, VectorPlace, VectorWord};
use tandem_model::vector::vector_writer::{COMING, Inputs, VectorWriter};

use support::{Corners, run};

type Bytes = BTreeMap<u64, u8>;

/// What one command writes.
#[derive(Clone, Debug)]
struct Command {
    form: Form,
    /// Units, and words of each.
    units: u16,
    groups: u16,
    /// Halves of a unit in turn, as rotated heads come.
    paired: bool,
    /// Words that are written as they are, of results only.
    direct: u16,
    /// Cycles from a word's issue to the writer.
    latency: usize,
}

#[derive(Clone, Debug)]
struct Case {
    commands: Vec<Command>,
    /// Of 256 cycles, in how many no word is issued, no request is taken, no word is taken, nothing is answered.
    stalls: [u8; 4],
    /// Of 256 writes, how many are refused.
    errors: u8,
    /// Of 256 words, how many have floats beyond binary32.
    beyond: u8,
    seed: u64,
}

/// What is wrong with the expected bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mistake {
    None,
    /// The two blocks of a pair in each other's nibbles.
    Nibbles,
    /// Scale bytes one further.
    Scales,
    /// Results of a group one word apart, whatever the rows.
    Stride,
}

fn command() -> impl Strategy<Value = Command> {
    let shape = prop_oneof![
        (1..=8u16, 1..=40u16).prop_map(|(units, groups)| (Form::Results, units, groups)),
        (1..=8u16, 1..=20u16).prop_map(|(units, blocks)| (Form::Int8, units, 2 * blocks)),
        (1..=8u16, 1..=2u16).prop_map(|(units, pairs)| (Form::Fp4, units, 4 * pairs)),
    ];
    (shape, any::<bool>(), 0..3u16, 0..=COMING).prop_map(
        |((form, units, groups), paired, direct, latency)| {
            let direct = if form == Form::Results { direct } else { 0 };
            Command { form, units, groups, paired: paired && groups % 4 == 0, direct, latency }
        },
    )
}

fn case() -> impl Strategy<Value = Case> {
    let stall = || prop_oneof![Just(0u8), Just(200), any::<u8>().prop_map(|s| s / 2)];
    let stalls = [stall(), stall(), stall(), stall()];
    let rare = || prop_oneof![3 => Just(0u8), 1 => 1..20u8];
    (vec(command(), 1..5), stalls, rare(), rare(), any::<u64>())
        .prop_map(|(commands, stalls, errors, beyond, seed)| Case { commands, stalls, errors, beyond, seed })
}

/// SplitMix64.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

fn float(state: &mut u64, beyond: bool) -> Float36 {
    let exponent = match random(state) % 64 {
        0 if beyond => random(state) % 4096,
        0 => 0,
        1 => 2048 - 130 + random(state) % 8,
        2 => 2048 + 120 + random(state) % 8,
        _ => 2048 - 6 + random(state) % 12,
    };
    let bits = random(state);
    Float36::canonical(bits & 0x7F_FFFF | exponent << 23 | (bits >> 63) << 35)
}

/// binary32 of a float, from its value; and that it is beyond.
fn binary32(y: Float36) -> (u32, bool) {
    let value = y.to_f64();
    let sign = u32::from(y.is_negative()) << 31;
    if value.abs() < f64::from(f32::MIN_POSITIVE) {
        (0, false)
    } else if value.abs() > f64::from(f32::MAX) {
        (sign | f32::MAX.to_bits(), true)
    } else {
        let fraction = u32::try_from(value.to_bits() >> 29 & 0x7F_FFFF).expect("23 bits");
        let exponent = u32::try_from((value.to_bits() >> 52 & 0x7FF) + 127 - 1023).expect("normal");
        (sign | exponent << 23 | fraction, false)
    }
}

/// A unit's place and features.
struct Unit {
    base: u64,
    scales: u64,
    features: Vec<Float36>,
}

/// What comes of one command.
struct Plan {
    units: Vec<Unit>,
    /// Unit, hold and group, in the order of words.
    words: Vec<(u16, u16, u16)>,
    direct: Vec<(u64, [u32; 16])>,
}

/// The order of groups of a unit.
fn order(command: &Command) -> Vec<u16> {
    let half = command.groups / 2;
    if command.paired {
        (0..half).flat_map(|g| [g, g + half]).collect()
    } else {
        (0..command.groups).collect()
    }
}

fn plan(command: &Command, state: &mut u64, beyond: u8) -> Plan {
    let region = (random(state) & ((1 << 34) - 1)) << 6;
    let features = usize::from(command.groups) * 16;
    let units = (0..command.units)
        .map(|u| Unit {
            base: match command.form {
                Form::Results => region / 32 + 2 * u64::from(u),
                _ => region / 32 + u64::from(u) * 1024 + random(state) % 64,
            },
            scales: (region + (1 << 30) + u64::from(u) * 1024 + random(state) % 64) & ((1 << 40) - 1),
            features: (0..features)
                .map(|_| {
                    let beyond = random(state) % 256 < u64::from(beyond);
                    float(state, beyond)
                })
                .collect(),
        })
        .collect();
    // Heads come unit after unit, else all units take turns.
    let heads = command.form == Form::Fp4 || command.paired;
    let mut words = Vec::new();
    for u in 0..command.units {
        for (n, g) in order(command).into_iter().enumerate() {
            let hold = if heads { 2 * (u % 4) + u16::from(g >= command.groups / 2) } else { u };
            words.push((if heads { 0 } else { n }, (u, hold, g)));
        }
    }
    words.sort_by_key(|&(turn, _)| turn);
    let words = words.into_iter().map(|(_, word)| word).collect();
    let direct = (0..command.direct).map(|n| {
        let line = (region / 64 + (1 << 32) + u64::from(n)) & ((1 << 34) - 1);
        (line, std::array::from_fn(|_| u32::try_from(random(state) >> 32).expect("32 bits")))
    });
    Plan { units, words, direct: direct.collect() }
}

fn put(bytes: &mut Bytes, address: u64, data: impl IntoIterator<Item = u8>) {
    for (at, byte) in (address..).zip(data) {
        bytes.insert(at & ((1 << 40) - 1), byte);
    }
}

/// Puts the bytes of a command; true when something was beyond binary32.
fn expect(bytes: &mut Bytes, command: &Command, plan: &Plan, mistake: Mistake) -> bool {
    let mut overflow = false;
    for unit in &plan.units {
        let numbers: Vec<u32> = unit.features.iter().map(|&y| binary32(y).0).collect();
        overflow |= unit.features.iter().any(|&y| binary32(y).1);
        if command.form == Form::Results {
            let stride = if mistake == Mistake::Stride { 1 } else { u64::from(command.units) };
            for (group, word) in (0..).zip(numbers.chunks_exact(16)) {
                let data = word.iter().flat_map(|number| number.to_le_bytes());
                put(bytes, unit.base * 32 + group * stride * 64, data);
            }
            continue;
        }
        let blocks: Vec<(u8, [u8; BLOCK_LEN])> = numbers
            .chunks_exact(BLOCK_LEN)
            .map(|block| {
                let values = std::array::from_fn(|i| f32::from_bits(block[i]));
                if command.form == Form::Int8 {
                    let block = reference::mxint8(&values, ScaleRule::Even).block;
                    (block.scale.code(), block.elements.map(|e| e.code()))
                } else {
                    let block = reference::mxfp4(&values, ScaleRule::Even).block;
                    (block.scale.code(), block.elements.map(|e| e.code()))
                }
            })
            .collect();
        let further = u64::from(mistake == Mistake::Scales);
        for (b, (scale, elements)) in (0..).zip(&blocks) {
            put(bytes, unit.scales + b + further, [*scale]);
            if command.form == Form::Int8 {
                put(bytes, (unit.base + b) * 32, *elements);
            }
        }
        if command.form == Form::Fp4 {
            for (k, pair) in (0..).zip(blocks.chunks_exact(2)) {
                let (mut low, mut high) = (pair[0].1, pair[1].1);
                if mistake == Mistake::Nibbles {
                    (low, high) = (high, low);
                }
                let data: [u8; BLOCK_LEN] = std::array::from_fn(|i| low[i] | high[i] << 4);
                put(bytes, (unit.base + k) * 32, data);
            }
        }
    }
    for (line, word) in &plan.direct {
        put(bytes, line * 64, word.iter().flat_map(|number| number.to_le_bytes()));
    }
    overflow
}

/// What happened.
#[derive(Default)]
struct Seen {
    not_ready: bool,
    refused: bool,
    overflow: bool,
    most_outstanding: usize,
    back_to_back: u64,
}

/// The port: requests and words, taken each on their own.
#[derive(Default)]
struct Port {
    requests: VecDeque<u64>,
    words: VecDeque<(u64, [u8; 64])>,
    /// Requests whose word is there, too.
    unanswered: usize,
    bytes: Bytes,
}

impl Port {
    fn settle(&mut self) {
        while !self.requests.is_empty() && !self.words.is_empty() {
            let address = self.requests.pop_front().expect("there");
            let (strobe, data) = self.words.pop_front().expect("there");
            for (at, byte) in (0..).zip(data) {
                if strobe >> at & 1 == 1 {
                    self.bytes.insert(address + at, byte);
                }
            }
            self.unanswered += 1;
        }
    }
}

struct Bench<'a> {
    case: &'a Case,
    state: u64,
    model: VectorWriter,
    port: Port,
    seen: Seen,
    run: u64,
}

impl Bench<'_> {
    fn stalled(&mut self, which: usize) -> bool {
        random(&mut self.state) % 256 < u64::from(self.case.stalls[which])
    }

    fn clock(&mut self, mut i: Inputs) -> Result<(), String> {
        let outputs = self.model.outputs();
        i.write_request_ready_i = !self.stalled(1);
        i.write_ready_i = !self.stalled(2);
        self.port.settle();
        i.write_done_i.valid = self.port.unanswered > 0 && !self.stalled(3);
        i.write_done_i.error = random(&mut self.state) % 256 < u64::from(self.case.errors);
        self.port.unanswered -= usize::from(i.write_done_i.valid);
        self.seen.refused |= i.write_done_i == WriteDone { valid: true, error: true };
        let request = outputs.write_request_o;
        if request.valid && i.write_request_ready_i {
            if request.words.0 != 1 || !request.address.0.is_multiple_of(64) {
                return Err(format!("asks for {request:?}"));
            }
            self.port.requests.push_back(request.address.0);
        }
        let given = outputs.write_valid_o && i.write_ready_i;
        if given {
            self.port.words.push_back((outputs.write_strobe_o.0, outputs.write_data_o.bytes()));
        }
        self.run = if given { self.run + 1 } else { 0 };
        self.seen.back_to_back = self.seen.back_to_back.max(self.run);
        self.seen.not_ready |= !outputs.ready_o;
        let waits = self.port.requests.len() + self.port.unanswered;
        self.seen.most_outstanding = self.seen.most_outstanding.max(waits);
        self.model.clock(&i);
        Ok(())
    }

    fn command(&mut self, command: &Command, plan: &Plan) -> Result<(), String> {
        let steady = Inputs { form_i: command.form, stride_i: Uint(command.units), ..Inputs::default() };
        self.clock(Inputs { start_i: true, ..steady.clone() })?;
        for (u, unit) in (0..).zip(&plan.units) {
            let place_i = VectorPlace { valid: true, unit: Uint(u), base: Wide(unit.base) };
            self.clock(Inputs { place_i, place_scales_i: Wide(unit.scales), ..steady.clone() })?;
        }
        let words = plan.words.iter().map(|&(u, hold, group)| {
            let first = usize::from(group) * 16;
            let features = &plan.units[usize::from(u)].features[first..first + 16];
            Inputs {
                word_i: VectorWord {
                    valid: true,
                    hi: false,
                    unit: Uint(u),
                    hold: Uint(hold),
                    group: Uint(group),
                },
                y_i: features.try_into().expect("16"),
                ..steady.clone()
            }
        });
        let direct = plan.direct.iter().map(|&(line, data)| Inputs {
            direct_valid_i: true,
            direct_line_i: Wide(line),
            direct_data_i: data.map(|number| Wide(u64::from(number))),
            ..steady.clone()
        });
        let mut waiting: VecDeque<Inputs> = words.chain(direct).collect();
        let mut coming: VecDeque<Option<Inputs>> = vec![None; command.latency].into();
        let mut quiet = 0;
        for _ in 0..100_000 {
            let outputs = self.model.outputs();
            let done = waiting.is_empty() && coming.iter().all(Option::is_none);
            if done && outputs.idle_o {
                quiet += 1;
                if quiet > 3 {
                    self.port.settle();
                    return Ok(());
                }
            }
            let issued = if outputs.ready_o && !self.stalled(0) { waiting.pop_front() } else { None };
            coming.push_back(issued);
            let now = coming.pop_front().expect("one at least");
            self.clock(now.unwrap_or_else(|| steady.clone()))?;
        }
        Err("no end".to_owned())
    }
}

fn check(case: &Case, mistake: Mistake) -> Result<Seen, String> {
    let mut bench = Bench {
        case,
        state: case.seed,
        model: VectorWriter::default(),
        port: Port::default(),
        seen: Seen::default(),
        run: 0,
    };
    let mut state = !case.seed;
    for command in &case.commands {
        let plan = plan(command, &mut state, case.beyond);
        let mut expected = Bytes::new();
        let overflow = expect(&mut expected, command, &plan, mistake);
        bench.port.bytes.clear();
        bench.seen.refused = false;
        bench.command(command, &plan)?;
        if bench.port.bytes != expected {
            let differ = expected.iter().find(|(at, byte)| bench.port.bytes.get(at) != Some(byte));
            let counts = (bench.port.bytes.len(), expected.len());
            return Err(format!("{command:?}: {counts:?} bytes, first that differs: {differ:x?}"));
        }
        let outputs = bench.model.outputs();
        if outputs.failed_o != bench.seen.refused {
            return Err(format!("{command:?}: failed is {}", outputs.failed_o));
        }
        if outputs.overflow_o != overflow {
            return Err(format!("{command:?}: overflow is {}", outputs.overflow_o));
        }
        bench.seen.overflow |= overflow;
    }
    Ok(bench.seen)
}

#[test]
fn bytes_are_where_the_layouts_say() {
    let corners = Corners::of([
        "results",
        "words as they are",
        "MXINT8",
        "MXINT8, halves in turn",
        "MXFP4",
        "MXFP4, halves in turn",
        "all units",
        "not ready",
        "all 32 words on their way",
        "refused",
        "overflow",
        "more than 64 writes without a response",
        "a write in each of 60 cycles",
    ]);
    let outcome = run(300, 1, &case(), |case| {
        let seen = check(&case, Mistake::None)?;
        corners.hit("not ready", seen.not_ready);
        corners.hit("refused", seen.refused);
        corners.hit("overflow", seen.overflow);
        corners.hit("more than 64 writes without a response", seen.most_outstanding > 64);
        corners.hit("a write in each of 60 cycles", seen.back_to_back >= 60);
        for command in &case.commands {
            corners.hit("results", command.form == Form::Results);
            corners.hit("words as they are", command.direct > 0);
            corners.hit("MXINT8", command.form == Form::Int8);
            corners.hit("MXINT8, halves in turn", command.form == Form::Int8 && command.paired);
            corners.hit("MXFP4", command.form == Form::Fp4);
            corners.hit("MXFP4, halves in turn", command.form == Form::Fp4 && command.paired);
            corners.hit("all units", command.units == 8);
            corners.hit("all 32 words on their way", seen.not_ready && command.latency == COMING);
        }
        Ok(())
    });
    outcome.unwrap();
    corners.covered(3).unwrap();
}

#[test]
fn wrong_layouts_are_caught() {
    for mistake in [Mistake::Nibbles, Mistake::Scales, Mistake::Stride] {
        let outcome = run(100, 2, &case(), |case| check(&case, mistake).map(|_| ()));
        assert!(outcome.is_err(), "{mistake:?}");
    }
}
