// SPDX-License-Identifier: Apache-2.0
//! Whole attention by its definition: against binary64 within the promised bound, on hostile inputs.

mod support;

use proptest::prelude::*;
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};
use tandem_model::reference::attention::{Attended, Flags, Head, Query, Tokens, attend, exp2, visible_keys};
use tandem_model::reference::attention_error::{EXP2_ERROR, figures};
use tandem_model::reference::dot::{e2m1_doubled, mxint8_units};
use tandem_model::reference::float::Exact;

use support::{Corners, run};

/// SplitMix64 (Steele, Lea, Flood 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// A number of lo..=hi.
fn between(state: &mut u64, lo: i64, hi: i64) -> i64 {
    lo + i64::try_from(split_mix(state) % hi.abs_diff(lo).saturating_add(1)).expect("a small range")
}

// ---- scores on demand ----

/// K or V of a session.
#[derive(Clone, Debug)]
enum Data {
    Fp4(Vec<MxFp4Block>),
    Int8(Vec<MxInt8Block>),
}

impl Data {
    fn tokens(&self) -> Tokens<'_> {
        match self {
            Self::Fp4(all) => Tokens::MxFp4(all),
            Self::Int8(all) => Tokens::MxInt8(all),
        }
    }

    fn push(&mut self, scale: u8, codes: [u8; BLOCK_LEN]) {
        let scale = E8m0::from_code(scale);
        match self {
            Self::Fp4(all) => {
                let elements = codes.map(|c| E2m1::from_code(c & 15).expect("4 bits"));
                all.push(MxFp4Block { scale, elements });
            }
            Self::Int8(all) => all.push(MxInt8Block { scale, elements: codes.map(Mxint8::from_code) }),
        }
    }

    fn scale(&self, index: usize) -> u8 {
        match self {
            Self::Fp4(all) => all[index].scale.code(),
            Self::Int8(all) => all[index].scale.code(),
        }
    }

    /// Element in binary64, without its scale.
    fn element(&self, index: usize, lane: usize) -> f64 {
        let (integer, unit) = match self {
            Self::Fp4(all) => (e2m1_doubled(all[index].elements[lane]), 0.5),
            Self::Int8(all) => (mxint8_units(all[index].elements[lane]), 1.0 / 64.0),
        };
        f64::from(i32::try_from(integer).expect("8 bits")) * unit
    }
}

/// q whose product with [`digits`] is their number: lane i of 0..7 has 2^(6 - i) units.
fn query_block() -> MxInt8Block {
    let lane = |i: usize| if i < 7 { Mxint8::new(1 << (6 - i)) } else { Mxint8::new(0) };
    MxInt8Block { scale: E8m0::from_code(127), elements: std::array::from_fn(lane) }
}

/// A block of K whose product with q is `score` (units of 2^-12) cut to seven binary digits; returns the rest.
fn push_digits(keys: &mut Data, score: i64) -> i64 {
    // Seven binary digits under the scale that holds them: digits x 2^place units.
    let place = (64 - score.unsigned_abs().leading_zeros()).saturating_sub(7);
    let digits = score.unsigned_abs() >> place;
    // An element of 1 is FP4's code 2 and INT8's 64.
    let one: u8 = match (matches!(keys, Data::Fp4(_)), score < 0) {
        (true, false) => 2,
        (true, true) => 10,
        (false, false) => 64,
        (false, true) => 192,
    };
    let codes = std::array::from_fn(|i| if i < 7 && digits >> (6 - i) & 1 == 1 { one } else { 0 });
    // digits x 2^-6 x 2^scale = digits x 2^(place - 12)
    keys.push(u8::try_from(127 + place - 6).expect("a scale"), codes);
    let part = i64::try_from(digits << place).expect("small");
    if score < 0 { score + part } else { score - part }
}

/// K of a token: the blocks add up to `score` (units of 2^-12) as near as they can.
fn push_key(keys: &mut Data, blocks: usize, score: i64) {
    (0..blocks).fold(score, |rest, _| push_digits(keys, rest));
}

/// K of a token: the same between blocks of +-`detour`, which a float cannot hold beside it.
fn push_cancelling_key(keys: &mut Data, blocks: usize, score: i64, detour: i64) {
    push_digits(keys, detour);
    push_key(keys, blocks - 2, score);
    push_digits(keys, -detour);
}

/// A session with one row of queries.
#[derive(Clone, Debug)]
struct Case {
    blocks: usize,
    groups: usize,
    keys: Data,
    values: Data,
    visible: std::ops::Range<usize>,
}

impl Case {
    fn new(int8: bool, blocks: usize, groups: usize) -> Self {
        let empty = || if int8 { Data::Int8(Vec::new()) } else { Data::Fp4(Vec::new()) };
        Self { blocks, groups, keys: empty(), values: empty(), visible: 0..0 }
    }

    fn head(&self) -> Head<'_> {
        Head {
            blocks: self.blocks,
            keys: self.keys.tokens(),
            values: self.values.tokens(),
            groups: self.groups,
        }
    }

    fn attend(&self) -> Attended {
        let q = vec![query_block(); self.blocks];
        let query = Query { blocks: &q, visible: self.visible.clone() };
        attend(&self.head(), &[query]).remove(0)
    }

    /// The largest error in bounds; `Err` when one is beyond 1.
    fn judge(&self, answers: &[f64]) -> Result<f64, String> {
        let q = vec![query_block(); self.blocks];
        let want = figures(&self.head(), &Query { blocks: &q, visible: self.visible.clone() });
        let mut worst = 0f64;
        for (j, &got) in answers.iter().enumerate() {
            let (exact, bound) = (want.exact[j], want.bound[j]);
            let error = (got - exact).abs();
            if error > bound {
                return Err(format!("element {j}: {got}, exact {exact}, error {error:e} above {bound:e}"));
            }
            if bound > 0.0 {
                worst = worst.max(error / bound);
            }
        }
        Ok(worst)
    }
}

fn numbers(values: &[u32]) -> Vec<f64> {
    values.iter().map(|&bits| f64::from(f32::from_bits(bits))).collect()
}

// ---- hostile inputs ----

const SCORES: [&str; 10] = [
    "flat",
    "random",
    "one strong plus weak",
    "sinks",
    "long tail",
    "just below integers",
    "p near one half",
    "wild",
    "cancelling blocks",
    "beyond the fixed point",
];
const VALUES: [&str; 6] =
    ["random", "one sign", "cancelling", "scales spread by 2^40", "scale 255", "largest"];

#[derive(Clone, Debug)]
struct Recipe {
    seed: u64,
    tokens: usize,
    int8: bool,
    blocks: usize,
    groups: usize,
    scores: usize,
    values: usize,
    position: usize,
    causal: bool,
    window: usize,
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let tokens = prop_oneof![1..=4usize, 28..=36usize, 60..=70usize, 100..=200usize];
    let shape = (any::<u64>(), tokens, any::<bool>(), 1..=4usize, 1..=2usize);
    let mask = (0..220usize, any::<bool>(), prop_oneof![Just(0), 1..=70usize]);
    (shape, 0..SCORES.len(), 0..VALUES.len(), mask).prop_map(
        |((seed, tokens, int8, blocks, groups), scores, values, (position, causal, window))| Recipe {
            seed,
            tokens,
            int8,
            blocks,
            groups,
            scores,
            values,
            position,
            causal,
            window,
        },
    )
}

impl Recipe {
    fn case(&self) -> Case {
        let mut state = self.seed;
        let state = &mut state;
        let mut case = Case::new(self.int8, self.blocks, self.groups);
        case.visible = visible_keys(self.tokens, self.position, self.causal, self.window);
        let strong = usize::try_from(split_mix(state) % 1000).expect("small") % self.tokens;
        let gap = between(state, 1, 10 * 4096);
        for token in 0..self.tokens {
            let score = match SCORES[self.scores] {
                "flat" => gap,
                "random" | "cancelling blocks" => between(state, -8 * 4096, 8 * 4096),
                "one strong plus weak" => {
                    if token == strong {
                        0
                    } else {
                        -gap
                    }
                }
                "sinks" => {
                    if token < 4 {
                        18 * 4096
                    } else {
                        between(state, -2 * 4096, 2 * 4096)
                    }
                }
                "long tail" => -i64::try_from(token).expect("small") * (gap / 64),
                "just below integers" => between(state, -3, 0) * 4096 - between(state, 1, 12),
                "p near one half" => {
                    if token % 32 == strong % 32 {
                        2047
                    } else {
                        -8 * 4096 - between(state, 0, 120)
                    }
                }
                "wild" => between(state, -1000 * 4096, 1000 * 4096),
                _ => between(state, -1400 * 4096, 1400 * 4096),
            };
            if SCORES[self.scores] == "cancelling blocks" && self.blocks > 2 {
                push_cancelling_key(&mut case.keys, self.blocks, score, 1 << (20 + gap % 20));
            } else {
                push_key(&mut case.keys, self.blocks, score);
            }
            for _ in 0..self.blocks {
                let largest = if self.int8 { 127u8 } else { 7 };
                let opposite = if self.int8 { 129u8 } else { 15 };
                let random = split_mix(state).to_le_bytes();
                let noise: [u8; BLOCK_LEN] = std::array::from_fn(|_| split_mix(state).to_le_bytes()[3]);
                let (scale, codes) = match VALUES[self.values] {
                    "one sign" => (127, noise.map(|c| c & largest)),
                    "cancelling" => (127, [if token % 2 == 0 { largest } else { opposite }; 32]),
                    "scales spread by 2^40" => (107 + random[0] % 41, noise),
                    "scale 255" => (if random[0].is_multiple_of(4) { 255 } else { 127 }, noise),
                    "largest" => (
                        if random[1].is_multiple_of(2) { random[0] % 255 } else { 248 + random[0] % 7 },
                        [largest; BLOCK_LEN],
                    ),
                    _ => (127, noise),
                };
                case.values.push(scale, codes);
            }
        }
        case
    }
}

#[test]
fn every_answer_is_within_the_bound() {
    let other = [
        "no key visible",
        "window",
        "MXFP4",
        "MXINT8",
        "two groups",
        "four blocks",
        "clamped",
        "overflow",
        "nan_scale",
    ];
    let names = SCORES.iter().map(|s| format!("scores {s}"));
    let names = names.chain(VALUES.iter().map(|v| format!("values {v}")));
    let corners = Corners::of(names.chain(other.map(str::to_owned)));
    run(2_500, 21, &recipes(), |recipe| {
        let case = recipe.case();
        let got = case.attend();
        corners.hit("no key visible", got.flags.empty);
        corners.hit("window", recipe.window > 0 && !got.flags.empty);
        corners.hit(if recipe.int8 { "MXINT8" } else { "MXFP4" }, true);
        corners.hit("two groups", recipe.groups == 2 && recipe.tokens > 32);
        corners.hit("four blocks", recipe.blocks == 4);
        corners.hit("clamped", got.flags.clamped);
        corners.hit("overflow", got.flags.overflow);
        corners.hit("nan_scale", got.flags.nan_scale);
        if got.flags.saturated {
            return Err("attention's exponents never leave the float's range".into());
        }
        if got.flags.clamped || got.flags.overflow {
            return Ok(());
        }
        corners.hit(&format!("scores {}", SCORES[recipe.scores]), true);
        corners.hit(&format!("values {}", VALUES[recipe.values]), true);
        case.judge(&numbers(&got.values)).map(|_| ())
    })
    .unwrap();
    corners.covered(5).unwrap();
}

// ---- must-fail twins: rules that were not chosen break the bound ----

/// p in binary64 from a stored weight.
fn p(got: &Attended, case: &Case, token: usize, scale: i32, maximum: i32) -> f64 {
    let start = case.visible.start - case.visible.start % (32 * case.groups);
    got.weights[token - start].map_or(0.0, |w| {
        let shift = maximum - w.exponent - scale;
        (f64::from(w.mantissa) * f64::from(-4 - shift).exp2()).round_ties_even().min(255.0)
    })
}

/// Largest exponent plus scale of these tokens.
fn maximum(got: &Attended, case: &Case, tokens: std::ops::Range<usize>, scale: impl Fn(usize) -> i32) -> i32 {
    let start = case.visible.start - case.visible.start % (32 * case.groups);
    tokens.filter_map(|t| got.weights[t - start].map(|w| w.exponent + scale(t))).max().unwrap_or(0)
}

/// Attention in binary64 with 8-bit p, by rules of one's own for the exponents.
fn twin(case: &Case, one_exponent_per_row: bool, denominator_from_folded: bool) -> Vec<f64> {
    let got = case.attend();
    let span = |t: usize| {
        if one_exponent_per_row {
            case.visible.clone()
        } else {
            (t / 32 * 32).max(case.visible.start)..(t / 32 * 32 + 32).min(case.visible.end)
        }
    };
    let element = |j: usize| {
        let block = j / BLOCK_LEN;
        let scale = |t: usize| i32::from(case.values.scale(t * case.blocks + block)) - 127;
        let (mut above, mut below) = (0.0, 0.0);
        for t in case.visible.clone() {
            let top = maximum(&got, case, span(t), scale);
            let folded = p(&got, case, t, scale(t), top) * f64::from(top - 7).exp2();
            above += folded * case.values.element(t * case.blocks + block, j % BLOCK_LEN);
            below += if denominator_from_folded {
                folded * f64::from(-scale(t)).exp2()
            } else {
                let top = maximum(&got, case, span(t), |_| 0);
                p(&got, case, t, 0, top) * f64::from(top - 7).exp2()
            };
        }
        above / below
    };
    (0..case.blocks * BLOCK_LEN).map(element).collect()
}

fn judge_twin(one_exponent_per_row: bool, denominator_from_folded: bool) -> Result<(), String> {
    run(600, 22, &recipes(), |recipe| {
        let case = recipe.case();
        let flags = case.attend().flags;
        if flags != Flags::default() {
            return Ok(());
        }
        case.judge(&twin(&case, one_exponent_per_row, denominator_from_folded)).map(|_| ())
    })
}

#[test]
fn rules_that_were_not_chosen_break_the_bound() {
    judge_twin(false, false).unwrap();
    assert!(judge_twin(true, false).is_err(), "one exponent for the whole row");
    assert!(judge_twin(false, true).is_err(), "denominator from p with V's scale folded in");
}

// ---- the search for the worst ----

/// Scores (units of 2^-12), V's scale codes and elements, which a search may change.
#[derive(Clone)]
struct Gene {
    int8: bool,
    scores: Vec<i64>,
    scales: Vec<u8>,
    elements: Vec<u8>,
}

impl Gene {
    fn case(&self) -> Case {
        let mut case = Case::new(self.int8, 2, 1);
        for ((&score, &scale), &element) in self.scores.iter().zip(&self.scales).zip(&self.elements) {
            push_key(&mut case.keys, 2, score);
            case.values.push(scale, [element; BLOCK_LEN]);
            case.values.push(scale, [0; BLOCK_LEN]);
        }
        case.visible = 0..self.scores.len();
        case
    }

    fn ratio(&self) -> f64 {
        let case = self.case();
        case.judge(&numbers(&case.attend().values)).unwrap_or_else(|e| panic!("{e}"))
    }

    fn changed(&self, state: &mut u64) -> Self {
        let mut next = self.clone();
        let i = usize::try_from(split_mix(state)).expect("64 bits") % self.scores.len();
        match between(state, 0, 3) {
            0 => next.scores[i] = between(state, -12 * 4096, 4096),
            1 => next.scores[i] += between(state, -40, 40),
            2 => next.scales[i] = u8::try_from(between(state, 119, 135)).expect("a scale"),
            _ => next.elements[i] = split_mix(state).to_le_bytes()[1],
        }
        next
    }
}

#[test]
fn a_search_for_the_worst_stays_within_the_bound() {
    let mut worst = 0f64;
    for start in 0..8u64 {
        let mut state = start;
        let tokens = [1, 2, 32, 40][usize::try_from(start % 4).expect("small")];
        let mut best = Gene {
            int8: start >= 4,
            scores: (0..tokens).map(|i| if i == 0 { 2047 } else { -8 * 4096 - 8 }).collect(),
            scales: vec![127; tokens],
            elements: vec![if start >= 4 { 127 } else { 7 }; tokens],
        };
        let mut ratio = best.ratio();
        for _ in 0..1_500 {
            let next = best.changed(&mut state);
            let of_next = next.ratio();
            if of_next >= ratio {
                (best, ratio) = (next, of_next);
            }
        }
        println!("{tokens} tokens, int8 {}: error / bound {ratio:.3}", start >= 4);
        worst = worst.max(ratio);
    }
    println!("worst error / bound: {worst:.3}");
    assert!(worst > 0.5, "the bound is far from anything that happens: {worst}");
}

// ---- pieces ----

#[test]
fn exp2_errs_by_less_than_promised_and_never_falls() {
    let mut last = 0;
    let mut worst = 0f64;
    for fraction in 0..4096 {
        let (weight, clamped) = exp2(Exact::new(fraction - 3 * 4096, -12).round().value);
        assert_eq!((weight.exponent, clamped), (-3, false));
        let exact = (f64::from(fraction) / 4096.0).exp2();
        worst = worst.max((f64::from(weight.mantissa) / 2048.0 / exact - 1.0).abs());
        assert!(weight.mantissa >= last && (2048..4096).contains(&weight.mantissa));
        last = weight.mantissa;
    }
    println!("worst relative error of exp2: {worst:e}");
    assert!(worst <= EXP2_ERROR);
}

#[test]
fn scores_round_to_fixed_point_and_stop_at_its_ends() {
    let of = |n: i64, exponent: i32| {
        let (weight, clamped) = exp2(Exact::new(n, exponent).round().value);
        (weight.exponent, weight.mantissa, clamped)
    };
    assert_eq!(of(0, 0), (0, 2048, false));
    // Half a unit below an integer is a tie; the even neighbour is the integer.
    assert_eq!(of(-1, -13), (0, 2048, false));
    assert_eq!(of(-3, -14), (-1, 4095, false));
    assert_eq!(of(1023, 0), (1023, 2048, false));
    assert_eq!(of(1023 * 8192 + 1, -13), (1023, 2048, false));
    assert_eq!(of(1023 * 4096 + 1, -12), (1023, 2048, true));
    assert_eq!(of(-1023, 0), (-1023, 2048, false));
    assert_eq!(of(-1024, 0), (-1023, 2048, true));
    assert_eq!(of(-1, 2000), (-1023, 2048, true));
}

#[test]
fn p_is_counted_under_the_largest_of_its_block() {
    let mut case = Case::new(false, 1, 2);
    // Scores 0, -1, -8 (a tie, down to even), -8 and a half unit more, -9; masked from 5 on.
    let scores = [0, -4096, -8 * 4096, -8 * 4096 + 8, -9 * 4096, 5 * 4096];
    let scales = [127, 130, 140, 255, 127, 127];
    for (score, scale) in scores.into_iter().zip(scales) {
        push_key(&mut case.keys, 1, score);
        case.values.push(scale, [2; BLOCK_LEN]);
    }
    case.visible = 0..5;
    let got = case.attend();
    let block = &got.token_blocks[0];
    assert_eq!((block.plain.p.as_slice(), block.plain.exponent), (&[128, 64, 0, 1, 0][..], -7));
    // e + scale: 127, 129, 132, none, 118.
    let folded = &block.folded[0];
    assert_eq!((folded.p.as_slice(), folded.exponent), (&[4, 16, 128, 0, 0][..], 132 - 127 - 7 - 1));
    assert_eq!(got.flags, Flags { nan_scale: true, ..Flags::default() });
    // 148 x 2 (doubled) x 2^-3 over 193 x 2^-7.
    assert_eq!(numbers(&got.values)[0], f64::from(4736.0f32 / 193.0));
}

#[test]
fn masks_follow_position_and_window() {
    assert_eq!(visible_keys(100, 7, true, 0), 0..8);
    assert_eq!(visible_keys(100, 200, true, 0), 0..100);
    assert_eq!(visible_keys(100, 7, false, 0), 0..100);
    assert_eq!(visible_keys(100, 50, true, 16), 35..51);
    assert_eq!(visible_keys(100, 7, true, 16), 0..8);
    assert!(visible_keys(100, 200, true, 16).is_empty());
    assert!(visible_keys(0, 7, true, 0).is_empty());
}

#[test]
fn one_key_gives_its_value_and_none_gives_zero() {
    for int8 in [false, true] {
        let mut case = Case::new(int8, 1, 1);
        push_key(&mut case.keys, 1, 5 * 4096);
        case.values.push(128, std::array::from_fn(|i| u8::try_from(i).expect("small")));
        case.visible = 0..1;
        let got = case.attend();
        let want = |i: usize| case.values.element(0, i) * 2.0;
        assert_eq!(numbers(&got.values), (0..32).map(want).collect::<Vec<_>>());
        assert_eq!(got.flags, Flags::default());
        case.visible = 1..1;
        let got = case.attend();
        assert_eq!((got.values, got.flags), (vec![0; 32], Flags { empty: true, ..Flags::default() }));
    }
}

#[test]
fn scale_255_of_a_fetched_key_is_told_to_every_row() {
    let mut case = Case::new(true, 1, 1);
    for token in 0..70 {
        push_key(&mut case.keys, 1, 0);
        case.values.push(if token == 50 { 255 } else { 127 }, [64; BLOCK_LEN]);
    }
    let Data::Int8(keys) = &mut case.keys else { unreachable!() };
    keys[40].scale = E8m0::NAN;
    let q = [query_block()];
    let flags = |ranges: &[(usize, usize)]| -> Vec<bool> {
        let rows: Vec<_> =
            ranges.iter().map(|&(first, end)| Query { blocks: &q, visible: first..end }).collect();
        attend(&case.head(), &rows).iter().map(|row| row.flags.nan_scale).collect()
    };
    assert_eq!(flags(&[(0, 40)]), [false]);
    assert_eq!(flags(&[(0, 41)]), [true]);
    assert_eq!(flags(&[(0, 40), (33, 45)]), [true, true]);
    // Key 40 shares the tile of key 45; key 64 begins another.
    assert_eq!(flags(&[(45, 49)]), [true]);
    assert_eq!(flags(&[(64, 70)]), [false]);
    // V's scale counts for the rows that see the key.
    assert_eq!(flags(&[(51, 52)]), [true]);
    let Data::Int8(keys) = &mut case.keys else { unreachable!() };
    keys[40].scale = E8m0::ONE;
    let rows = [Query { blocks: &q, visible: 0..60 }, Query { blocks: &q, visible: 0..50 }];
    let told: Vec<_> = attend(&case.head(), &rows).iter().map(|row| row.flags.nan_scale).collect();
    assert_eq!(told, [true, false]);
}

#[test]
fn results_beyond_binary32_stop_or_flush() {
    let mut case = Case::new(true, 1, 1);
    push_key(&mut case.keys, 1, 0);
    case.values.push(254, [128; BLOCK_LEN]);
    case.visible = 0..1;
    let got = case.attend();
    assert_eq!((got.values[0], got.flags.overflow), (0xFF7F_FFFF, true));
    let mut case = Case::new(true, 1, 1);
    push_key(&mut case.keys, 1, 0);
    case.values.push(0, [255; BLOCK_LEN]);
    case.visible = 0..1;
    let got = case.attend();
    assert_eq!((got.values[0], got.flags), (0, Flags::default()));
}
