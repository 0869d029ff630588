// SPDX-License-Identifier: Apache-2.0
//! Lanes and sums of the vector unit against straight-line arithmetic in binary64, rounded to 24 bits after every operation.
//! 53 bits are more than twice 24 and two: rounding twice gives what rounding once does. The functions' values are those of
//! `numerics::vector::function`, which has tests of its own.

use std::collections::VecDeque;

use proptest::prelude::*;
use tandem_model::block::{Block, Uint, Wide, low_u16};
use tandem_model::numerics::Float36;
use tandem_model::numerics::vector::function;
use tandem_model::vector::row_sums::{self, RowSums};
use tandem_model::vector::types::{Function, LaneOp, VectorWord};
use tandem_model::vector::vector_lanes::{self, VectorLanes, latency};

mod support;

use support::{Corners, run};

const LANES: usize = 16;
const OPS: [LaneOp; 5] = [LaneOp::Copy, LaneOp::Add, LaneOp::Scale, LaneOp::Rotate, LaneOp::Gate];

/// A value of the reference: 24 bits in a binary64 number.
type Value = f64;

/// Rounded to 24 bits, ties to even. Zero has no sign.
fn rounded(x: Value) -> Value {
    let bits = x.to_bits();
    let even = bits >> 29 & 1;
    f64::from_bits((bits + 0x0FFF_FFFF + even) & !0x1FFF_FFFF) + 0.0
}

fn times(a: Value, b: Value) -> Value {
    rounded(a * b)
}

fn plus(a: Value, b: Value) -> Value {
    rounded(a + b)
}

fn float(x: Value) -> Float36 {
    let bits = x.to_bits();
    let exponent = i32::try_from(bits >> 52 & 0x7FF).expect("11 bits");
    if exponent == 0 {
        return Float36::ZERO;
    }
    Float36::from_fields(x < 0.0, exponent - 1023 + 2048, bits >> 29 & 0x7F_FFFF)
}

fn function_of(which: Function, x: Value) -> Value {
    function(which, float(x)).to_f64()
}

fn value(binary32: u32) -> Value {
    // Subnormals are 0.
    if binary32 >> 23 & 0xFF == 0 { 0.0 } else { f64::from(f32::from_bits(binary32)) }
}

/// Operands of one feature.
#[derive(Clone, Copy, Debug)]
struct Feature {
    a: u32,
    b: u32,
    cos: u32,
    sin: u32,
}

fn normed(x: Feature, scale: Value) -> Value {
    times(times(value(x.a), scale), value(x.b))
}

/// What a feature becomes; `partner` is the other one of its pair.
fn expected(op: LaneOp, x: Feature, scale: Value, partner: Option<(Feature, Value)>, hi: bool) -> Value {
    let (a, b) = (value(x.a), value(x.b));
    match op {
        LaneOp::Copy => a,
        LaneOp::Add => plus(a, b),
        LaneOp::Scale => normed(x, scale),
        LaneOp::Rotate => {
            let (partner, partner_scale) = partner.expect("a pair");
            let sine = times(normed(partner, partner_scale), value(x.sin));
            plus(times(normed(x, scale), value(x.cos)), if hi { sine } else { -sine })
        }
        _ => {
            let t = times(a, f64::from(f32::from_bits(0xBFB8_AA3B)));
            let q = function_of(Function::Reciprocal, plus(1.0, function_of(Function::Power, t)));
            times(times(a, q), b)
        }
    }
}

fn binary32() -> impl Strategy<Value = u32> + Clone {
    let of = |exponents: std::ops::Range<u32>, mask: u32| {
        (any::<u32>(), exponents)
            .prop_map(move |(bits, exponent)| bits & (0x8000_0000 | mask) | exponent << 23)
    };
    // Any fraction, few bits of it (ties, cancellation), any exponent, subnormals and zeros.
    prop_oneof![
        6 => of(117..137, 0x7F_FFFF),
        3 => of(124..131, 0x60_0000),
        2 => of(1..255, 0x7F_FFFF),
        1 => of(0..1, 0x7F_FFFF),
        1 => Just(0),
    ]
}

fn features() -> impl Strategy<Value = Vec<Feature>> {
    let one = (binary32(), binary32(), binary32(), binary32());
    proptest::collection::vec(one.prop_map(|(a, b, cos, sin)| Feature { a, b, cos, sin }), LANES)
}

/// A word: bubbles before it, its features, its scale.
type Word = (u64, Vec<Feature>, u32);

/// An operation and the words that it works on.
type Batch = (LaneOp, Vec<Word>);

fn batches() -> impl Strategy<Value = Vec<Batch>> {
    let word = (prop_oneof![4 => Just(0), 1 => 1..40u64], features(), binary32());
    proptest::collection::vec(batch(word, 1..12), 1..5)
}

fn batch(word: impl Strategy<Value = Word>, words: std::ops::Range<usize>) -> impl Strategy<Value = Batch> {
    let batch = (proptest::sample::select(OPS.to_vec()), proptest::collection::vec(word, words));
    batch.prop_map(|(op, mut words)| {
        // Powers of two stay inside binary64.
        let gates = words.iter_mut().filter(|_| op == LaneOp::Gate).flat_map(|word| &mut word.1);
        for x in gates.filter(|x| value(x.a).abs() >= 512.0) {
            x.a &= !(1 << 30);
        }
        (op, words)
    })
}

fn inputs_of(op: LaneOp, tag: VectorWord, features: &[Feature], scale: u32) -> vector_lanes::Inputs {
    let all = |get: fn(&Feature) -> u32| std::array::from_fn(|k| Wide(u64::from(get(&features[k]))));
    vector_lanes::Inputs {
        op_i: op,
        word_i: tag,
        a_i: all(|x| x.a),
        b_i: all(|x| x.b),
        cos_i: all(|x| x.cos),
        sin_i: all(|x| x.sin),
        scale_i: Float36::widen(scale),
    }
}

/// Results to come: (cycle, tag, values).
type Awaited = VecDeque<(u64, VectorWord, Vec<Value>)>;

fn arrives(
    awaited: &mut Awaited,
    cycle: u64,
    tag: VectorWord,
    got: &[Float36],
    what: &str,
) -> Result<(), String> {
    let due = awaited.front().is_some_and(|(at, ..)| *at == cycle);
    if tag.valid != due {
        return Err(format!("cycle {cycle}: {what}: valid {}, expected {due}", tag.valid));
    }
    if !due {
        return Ok(());
    }
    let (_, want_tag, want) = awaited.pop_front().expect("one is due");
    if tag != want_tag {
        return Err(format!("cycle {cycle}: {what}: word {tag:?}, expected {want_tag:?}"));
    }
    for (lane, (got, want)) in got.iter().zip(want).enumerate() {
        if *got != float(want) {
            return Err(format!("cycle {cycle}: {what} of lane {lane}: {got}, expected {want:e}"));
        }
    }
    Ok(())
}

/// A word on its way to the lanes.
struct Issue {
    cycle: u64,
    inputs: vector_lanes::Inputs,
}

/// When the words are given to the lanes, and what has to come out when, `wanted` by the reference.
fn schedule(
    batches: &[Batch],
    wanted: impl Fn(LaneOp, &Word, Option<&Word>, bool) -> Vec<Value>,
) -> (Vec<Issue>, Awaited, Awaited) {
    let (mut issues, mut results, mut squares) = (Vec::new(), Awaited::new(), Awaited::new());
    let mut cycle = 0;
    for (op, words) in batches {
        let pairs = *op == LaneOp::Rotate;
        let words = if pairs { &words[..words.len() / 2 * 2] } else { &words[..] };
        for (at, word) in words.iter().enumerate() {
            let hi = pairs && at % 2 == 1;
            cycle += if hi { 0 } else { word.0 };
            let tag = VectorWord {
                valid: true,
                hi,
                unit: Uint(low_u16(cycle) & 7),
                hold: Uint(low_u16(cycle) >> 1 & 7),
                group: Uint(low_u16(cycle).wrapping_mul(0x9E37)),
            };
            let partner = pairs.then(|| &words[at ^ 1]);
            let y = wanted(*op, word, partner, hi);
            let due = cycle + latency(*op) as u64;
            if matches!(op, LaneOp::Copy | LaneOp::Add) {
                squares.push_back((due + 2, tag, y.iter().map(|&y| times(y, y)).collect()));
            }
            results.push_back((due, tag, y));
            issues.push(Issue { cycle, inputs: inputs_of(*op, tag, &word.1, word.2) });
            cycle += 1;
        }
        // The last word leaves before the operation changes.
        cycle += latency(*op) as u64 + 2;
    }
    (issues, results, squares)
}

fn by_definition(op: LaneOp, word: &Word, partner: Option<&Word>, hi: bool) -> Vec<Value> {
    let one = |k: usize| {
        let partner = partner.map(|word| (word.1[k], value(word.2)));
        expected(op, word.1[k], value(word.2), partner, hi)
    };
    (0..LANES).map(one).collect()
}

fn lanes_are_right(
    batches: &[Batch],
    wanted: impl Fn(LaneOp, &Word, Option<&Word>, bool) -> Vec<Value>,
) -> Result<(), String> {
    let (issues, mut results, mut squares) = schedule(batches, wanted);
    let mut lanes = VectorLanes::default();
    let mut issues = issues.into_iter().peekable();
    let mut cycle = 0;
    while issues.peek().is_some() || !results.is_empty() || !squares.is_empty() {
        let out = lanes.outputs();
        arrives(&mut results, cycle, out.word_o, &out.y_o, "y")?;
        arrives(&mut squares, cycle, out.square_word_o, &out.square_o, "square")?;
        let next = issues.next_if(|issue| issue.cycle == cycle);
        lanes.clock(&next.map_or(vector_lanes::Inputs::default(), |issue| issue.inputs));
        cycle += 1;
    }
    if lanes.busy() { Err("busy when all is out".to_owned()) } else { Ok(()) }
}

#[test]
fn lanes_round_after_every_operation() {
    let corners = Corners::of(OPS.map(|op| format!("{op:?}")).into_iter().chain(["bubble".to_owned()]));
    run(500, 11, &batches(), |batches| {
        for (op, words) in &batches {
            corners.hit(&format!("{op:?}"), words.len() > 1);
            corners.hit("bubble", words.iter().any(|word| word.0 > 0));
        }
        lanes_are_right(&batches, by_definition)
    })
    .unwrap();
    corners.covered(100).unwrap();
}

#[test]
fn long_runs_of_an_operation_give_the_same() {
    let word = (prop_oneof![9 => Just(0), 1 => 1..3u64], features(), binary32());
    run(30, 12, &proptest::collection::vec(batch(word, 100..140), 1..3), |b| {
        lanes_are_right(&b, by_definition)
    })
    .unwrap();
}

#[test]
fn rotation_with_the_other_sign_is_found() {
    let wrong = |op, word: &Word, partner: Option<&Word>, hi: bool| by_definition(op, word, partner, !hi);
    assert!(run(200, 13, &batches(), |batches| lanes_are_right(&batches, wrong)).is_err());
}

#[test]
fn scale_times_weight_first_is_found() {
    let wrong = |op, word: &Word, partner: Option<&Word>, hi| {
        if op != LaneOp::Scale {
            return by_definition(op, word, partner, hi);
        }
        word.1.iter().map(|x| times(value(x.a), times(value(word.2), value(x.b)))).collect()
    };
    assert!(run(200, 14, &batches(), |batches| lanes_are_right(&batches, wrong)).is_err());
}

/// Sums: every unit's groups in rising order, of the units in turn; mean and eps.
#[derive(Clone, Debug)]
struct Case {
    /// `[unit][group][lane]`: binary32.
    squares: Vec<Vec<Vec<u32>>>,
    mean: u32,
    eps: u32,
    bubbles: u64,
    /// The squares of another reduction come first.
    before: bool,
}

fn cases() -> impl Strategy<Value = Case> {
    // Mostly of one size: what is rounded away depends on the order.
    let near = (any::<u32>(), 122..130u32).prop_map(|(bits, exponent)| bits & 0x7F_FFFF | exponent << 23);
    let square = prop_oneof![60 => near, 1 => binary32().prop_map(|bits| bits & 0x7FFF_FFFF)];
    let group = move || proptest::collection::vec(square.clone(), LANES);
    let mean = prop_oneof![4 => Just(0x3C00_0000), 4 => Just(0x3AAA_AAAB), 1 => binary32()];
    let eps = prop_oneof![4 => Just(0x3586_37BD), 1 => Just(0), 1 => binary32()];
    let squares = (1..=8usize, 1..24usize).prop_flat_map(move |(units, groups)| {
        proptest::collection::vec(proptest::collection::vec(group(), groups), units)
    });
    (squares, mean, eps, 0..3u64, any::<bool>()).prop_map(|(squares, mean, eps, bubbles, before)| Case {
        squares,
        mean,
        eps,
        bubbles,
        before,
    })
}

/// Scale of a unit, straight from the definition. `partials` is 8.
fn scale_of(groups: &[Vec<u32>], mean: u32, eps: u32, partials: usize) -> Value {
    let mut sums = vec![[0.0; LANES]; partials];
    for (g, group) in groups.iter().enumerate() {
        for (sum, &square) in sums[g % partials].iter_mut().zip(group) {
            *sum = plus(*sum, value(square));
        }
    }
    let mut half = partials;
    while half > 1 {
        half /= 2;
        let (low, high) = sums.split_at_mut(half);
        for (low, high) in low.iter_mut().zip(high) {
            for (a, b) in low.iter_mut().zip(high) {
                *a = plus(*a, *b);
            }
        }
    }
    let mut lanes = sums[0];
    for distance in [8, 4, 2, 1] {
        for lane in 0..distance {
            lanes[lane] = plus(lanes[lane], lanes[lane + distance]);
        }
    }
    function_of(Function::Root, plus(times(lanes[0], value(mean)), value(eps)))
}

/// Adds up and reduces. The scales, and the cycles that the reduction took.
fn reduce(sums: &mut RowSums, case: &Case) -> (Vec<Float36>, u64) {
    let (units, groups) = (case.squares.len(), case.squares[0].len());
    sums.clock(&row_sums::Inputs { clear_i: true, ..row_sums::Inputs::default() });
    for group in 0..groups {
        for (unit, squares) in case.squares.iter().enumerate() {
            let word_i = VectorWord {
                valid: true,
                unit: Uint(low_u16(unit as u64)),
                group: Uint(low_u16(group as u64)),
                ..VectorWord::default()
            };
            let square_i = std::array::from_fn(|k| Float36::widen(squares[group][k]));
            sums.clock(&row_sums::Inputs { word_i, square_i, ..row_sums::Inputs::default() });
            for _ in 0..case.bubbles {
                sums.clock(&row_sums::Inputs::default());
            }
        }
    }
    let mut inputs = row_sums::Inputs {
        reduce_i: true,
        units_i: Uint(low_u16(units as u64)),
        mean_i: Wide(u64::from(case.mean)),
        eps_i: Wide(u64::from(case.eps)),
        ..row_sums::Inputs::default()
    };
    let mut cycles = 0;
    while cycles == 0 || sums.busy() {
        sums.clock(&inputs);
        inputs = row_sums::Inputs::default();
        cycles += 1;
    }
    (sums.scales()[..units].to_vec(), cycles)
}

fn sums_are_right(case: &Case, partials: usize) -> Result<(), String> {
    let mut sums = RowSums::default();
    if case.before {
        let mut other = case.clone();
        other.squares.iter_mut().flatten().flatten().for_each(|square| *square ^= 1 << 24);
        reduce(&mut sums, &other);
    }
    let (scales, cycles) = reduce(&mut sums, case);
    for (unit, (got, groups)) in scales.iter().zip(&case.squares).enumerate() {
        let want = scale_of(groups, case.mean, case.eps, partials);
        if got.to_f64().to_bits() != want.to_bits() {
            return Err(format!("unit {unit}: {got}, expected {want:e}"));
        }
    }
    if cycles > 110 { Err(format!("{cycles} cycles")) } else { Ok(()) }
}

#[test]
fn sums_are_added_in_the_order_of_the_definition() {
    let corners =
        Corners::of(["one unit", "all units", "partial sums twice", "partial sums absent", "again"]);
    run(1_000, 21, &cases(), |case| {
        let (units, groups) = (case.squares.len(), case.squares[0].len());
        corners.hit("one unit", units == 1);
        corners.hit("all units", units == 8);
        corners.hit("partial sums twice", groups > 8);
        corners.hit("partial sums absent", groups < 8);
        corners.hit("again", case.before);
        sums_are_right(&case, 8)
    })
    .unwrap();
    corners.covered(50).unwrap();
}

#[test]
fn another_number_of_partial_sums_is_found() {
    assert!(run(300, 22, &cases(), |case| sums_are_right(&case, 4)).is_err());
}

#[test]
fn reductions_take_as_long_as_the_page_says() {
    let case = |units| Case {
        squares: vec![vec![vec![0x3F80_0000; LANES]; 8]; units],
        mean: 0x3C00_0000,
        eps: 0x3586_37BD,
        bubbles: 6,
        before: false,
    };
    let cycles = |units| reduce(&mut RowSums::default(), &case(units)).1;
    assert_eq!([1, 2, 4, 8].map(cycles), [49, 53, 64, 103]);
}
