// SPDX-License-Identifier: Apache-2.0
//! Rows of blocks and tiles of p times V: the numerics put together as the array does, against the
//! references, and the documented error bound against exact integers.

mod support;

use proptest::prelude::*;
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, Float36, MxFp4Block, MxInt8Block, Mxint8, Rounded};
use tandem_model::reference::dot::{self, Flags, Row};
use tandem_model::reference::float::{self, Exact};
use tandem_model::reference::pv::{self, LANES, Tile, Values};

use support::{Corners, run};

type Check = Result<(), String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

// ---- operands ----

fn fp4_elements() -> impl Strategy<Value = [E2m1; BLOCK_LEN]> {
    let element = || (0..16u8).prop_map(|code| E2m1::from_code(code).expect("4 bits"));
    prop_oneof![
        6 => proptest::array::uniform32(element()).boxed(),
        // One element over: all 6, all -6, all -0.
        1 => element().prop_map(|e| [e; BLOCK_LEN]).boxed(),
    ]
}

fn int8_elements() -> impl Strategy<Value = [Mxint8; BLOCK_LEN]> {
    let same = proptest::sample::select(vec![-128i8, -127, -1, 0, 1, 127]);
    prop_oneof![
        6 => proptest::array::uniform32(any::<i8>().prop_map(Mxint8::new)).boxed(),
        1 => same.prop_map(|units| [Mxint8::new(units); BLOCK_LEN]).boxed(),
    ]
}

fn scale() -> impl Strategy<Value = E8m0> {
    let code = prop_oneof![
        24 => (123..=131u8).boxed(),
        4 => (0..=254u8).boxed(),
        4 => proptest::sample::select(vec![0u8, 1, 253, 254]).boxed(),
        1 => Just(255u8).boxed(),
    ];
    code.prop_map(E8m0::from_code)
}

fn fp4_block() -> impl Strategy<Value = MxFp4Block> {
    (scale(), fp4_elements()).prop_map(|(scale, elements)| MxFp4Block { scale, elements })
}

fn int8_block() -> impl Strategy<Value = MxInt8Block> {
    (scale(), int8_elements()).prop_map(|(scale, elements)| MxInt8Block { scale, elements })
}

/// Weights of either format.
#[derive(Clone, Debug)]
enum Weights {
    MxFp4(Vec<MxFp4Block>),
    MxInt8(Vec<MxInt8Block>),
}

impl Weights {
    fn row(&self) -> Row<'_> {
        match self {
            Self::MxFp4(blocks) => Row::MxFp4(blocks),
            Self::MxInt8(blocks) => Row::MxInt8(blocks),
        }
    }
}

/// Weights and activations of one row. A mirrored row repeats itself with the activations negated: it
/// cancels.
fn rows() -> impl Strategy<Value = (Weights, Vec<MxInt8Block>)> {
    fn mirrored<W: Clone>(pairs: Vec<(W, MxInt8Block)>, mirror: bool) -> (Vec<W>, Vec<MxInt8Block>) {
        let (mut w, mut x): (Vec<W>, Vec<MxInt8Block>) = pairs.into_iter().unzip();
        if mirror {
            w.extend_from_within(..);
            let negated =
                |x: &MxInt8Block| x.elements.map(|e| Mxint8::new(e.units().checked_neg().unwrap_or(127)));
            x.extend(x.clone().iter().map(|x| MxInt8Block { elements: negated(x), ..*x }));
        }
        (w, x)
    }
    let length = || prop_oneof![0..=2usize, 3..=8usize, 9..=40usize];
    prop_oneof![
        (
            length().prop_flat_map(|n| proptest::collection::vec((fp4_block(), int8_block()), n)),
            any::<bool>()
        )
            .prop_map(|(pairs, mirror)| {
                let (w, x) = mirrored(pairs, mirror);
                (Weights::MxFp4(w), x)
            })
            .boxed(),
        (
            length().prop_flat_map(|n| proptest::collection::vec((int8_block(), int8_block()), n)),
            any::<bool>()
        )
            .prop_map(|(pairs, mirror)| {
                let (w, x) = mirrored(pairs, mirror);
                (Weights::MxInt8(w), x)
            })
            .boxed(),
    ]
}

// ---- rows of the numerics ----

/// Sum over a block of left operands (9 bits signed) times array operands, checked to fit 18 bits signed.
fn chain(left: impl IntoIterator<Item = i32>, right: impl IntoIterator<Item = i8>) -> i32 {
    let sum: i32 = left.into_iter().zip(right).map(|(l, r)| l * i32::from(r)).sum();
    assert!((-(1 << 17)..1 << 17).contains(&sum), "a partial sum of more than 18 bits: {sum}");
    sum
}

/// The integer of one block as the array makes it, and the sum of the constants of both formats.
fn block_integer(w: &Weights, index: usize, x: &MxInt8Block) -> (i32, E8m0, i32) {
    let left = || x.elements.map(|x| i32::from(x.units()));
    match w {
        Weights::MxFp4(w) => (chain(left(), w[index].elements.map(E2m1::doubled)), w[index].scale, -1 - 6),
        Weights::MxInt8(w) => {
            let low = chain(left(), w[index].elements.map(Mxint8::low_nibble));
            let high = chain(left(), w[index].elements.map(Mxint8::high_half));
            (low + 16 * high, w[index].scale, -6 - 6)
        }
    }
}

/// Converted blocks in order, a NaN scale as +0.
fn converted(w: &Weights, x: &[MxInt8Block], flags: &mut Flags) -> Vec<Float36> {
    let block = |(index, x): (usize, &MxInt8Block)| {
        let (n, scale, constants) = block_integer(w, index, x);
        match (scale.exponent(), x.scale.exponent()) {
            (Some(sw), Some(sx)) => {
                let block = Float36::from_int(n, sw + sx + constants);
                flags.saturated |= block.saturated;
                block.value
            }
            _ => {
                flags.nan_scale = true;
                Float36::ZERO
            }
        }
    };
    x.iter().enumerate().map(block).collect()
}

fn folded(w: &Weights, x: &[MxInt8Block], add: impl Fn(Float36, Float36) -> Rounded) -> (Float36, Flags) {
    let mut flags = Flags::default();
    let mut sum = Float36::ZERO;
    for block in converted(w, x, &mut flags) {
        let next = add(sum, block);
        flags.saturated |= next.saturated;
        sum = next.value;
    }
    (sum, flags)
}

fn check_row(
    model: impl Fn(&Weights, &[MxInt8Block]) -> (Float36, Flags),
    w: &Weights,
    x: &[MxInt8Block],
) -> Check {
    let (got, want) = (model(w, x), dot::gemv_row(w.row(), x));
    ensure(got == want, || format!("{} blocks: {got:?}, not {want:?}", x.len()))
}

fn count_row(corners: &Corners, w: &Weights, x: &[MxInt8Block]) {
    let (result, flags) = dot::gemv_row(w.row(), x);
    let (exact, magnitudes) = dot::gemv_row_exact(w.row(), x);
    let weight_scales: Vec<E8m0> = match w {
        Weights::MxFp4(w) => w.iter().map(|b| b.scale).collect(),
        Weights::MxInt8(w) => w.iter().map(|b| b.scale).collect(),
    };
    corners.hit("MXFP4 weights", matches!(w, Weights::MxFp4(_)));
    corners.hit("MXINT8 weights", matches!(w, Weights::MxInt8(_)));
    corners.hit("no block", x.is_empty());
    corners.hit("one block", x.len() == 1);
    corners.hit("more than 32 blocks", x.len() > 32);
    corners.hit(
        "NaN scale of the weights only",
        weight_scales.iter().zip(x).any(|(w, x)| w.is_nan() && !x.scale.is_nan()),
    );
    corners.hit(
        "NaN scale of the activations only",
        weight_scales.iter().zip(x).any(|(w, x)| !w.is_nan() && x.scale.is_nan()),
    );
    corners.hit("NaN scale, yet not zero", flags.nan_scale && !result.is_zero());
    let both = |code| weight_scales.iter().zip(x).any(|(w, x)| w.code() == code && x.scale.code() == code);
    corners.hit("smallest scales", both(0));
    corners.hit("largest scales", both(254));
    corners.hit("element -128", x.iter().any(|x| x.elements.iter().any(|e| e.units() == -128)));
    corners.hit("exact", Exact::of(result) == exact && !exact.is_zero());
    corners.hit("rounded", Exact::of(result) != exact);
    corners.hit("cancels", exact.times(&Exact::new(1 << 10, 0)).abs() < magnitudes);
    corners.hit("cancels to zero", result.is_zero() && !magnitudes.is_zero());
    corners.hit("rounding leaves a rest of what cancels", exact.is_zero() && !result.is_zero());
}

fn row_corners() -> Corners {
    Corners::of([
        "MXFP4 weights",
        "MXINT8 weights",
        "no block",
        "one block",
        "more than 32 blocks",
        "NaN scale of the weights only",
        "NaN scale of the activations only",
        "NaN scale, yet not zero",
        "smallest scales",
        "largest scales",
        "element -128",
        "exact",
        "rounded",
        "cancels",
        "cancels to zero",
        "rounding leaves a rest of what cancels",
    ])
}

#[test]
fn rows_of_the_numerics_equal_the_reference() {
    let corners = row_corners();
    run(3_000, 11, &rows(), |(w, x)| {
        count_row(&corners, &w, &x);
        // Scales alone cannot leave the float's range.
        ensure(!dot::gemv_row(w.row(), &x).1.saturated, || "saturated".into())?;
        check_row(|w, x| folded(w, x, |a, b| a + b), &w, &x)
    })
    .unwrap();
    corners.covered(5).unwrap();
}

/// Something that computes a row.
type Model<'a> = dyn Fn(&Weights, &[MxInt8Block]) -> (Float36, Flags) + 'a;

#[test]
fn a_wrong_row_is_rejected() {
    let sum = |blocks: Vec<Float36>| blocks.into_iter().fold(Float36::ZERO, |sum, block| (sum + block).value);
    let rejects = |model: &Model<'_>, what: &str| {
        let outcome = run(3_000, 11, &rows(), |(w, x)| check_row(model, &w, &x));
        assert!(outcome.is_err(), "a row that {what} passed");
    };
    rejects(
        &|w, x| {
            let mut flags = Flags::default();
            let blocks = converted(w, x, &mut flags).into_iter().rev().collect();
            (sum(blocks), flags)
        },
        "adds its blocks in the other order",
    );
    rejects(
        &|w, x| {
            let mut flags = Flags::default();
            let blocks = converted(w, x, &mut flags);
            let (even, odd) = (blocks.iter().step_by(2), blocks.iter().skip(1).step_by(2));
            ((sum(even.copied().collect()) + sum(odd.copied().collect())).value, flags)
        },
        "adds even and odd blocks apart",
    );
    rejects(
        &|w, x| {
            let (value, flags) = folded(w, x, |a, b| a + b);
            (value, Flags { nan_scale: false, ..flags })
        },
        "keeps quiet about a NaN scale",
    );
    rejects(
        &|w, x| {
            let read =
                |x: &MxInt8Block| if x.scale.is_nan() { MxInt8Block { scale: E8m0::ONE, ..*x } } else { *x };
            let numbers: Vec<MxInt8Block> = x.iter().map(read).collect();
            (folded(w, &numbers, |a, b| a + b).0, dot::gemv_row(w.row(), x).1)
        },
        "reads a NaN scale as a number",
    );
}

#[test]
fn a_row_goes_on_from_a_stored_partial_as_if_it_had_not_stopped() {
    run(500, 12, &(rows(), any::<proptest::sample::Index>()), |((w, x), split)| {
        let at = split.index(x.len() + 1);
        let (first, second) = match &w {
            Weights::MxFp4(w) => (Row::MxFp4(&w[..at]), Row::MxFp4(&w[at..])),
            Weights::MxInt8(w) => (Row::MxInt8(&w[..at]), Row::MxInt8(&w[at..])),
        };
        let (stored, _) = dot::gemv_row(first, &x[..at]);
        let (whole, _) = dot::gemv_row(w.row(), &x);
        let (resumed, _) = dot::gemv_row_from(stored, second, &x[at..]);
        ensure(resumed == whole, || format!("split at {at}: {resumed:?}, not {whole:?}"))
    })
    .unwrap();
}

#[test]
fn the_binary64_figures_are_the_exact_ones_rounded() {
    let x = MxInt8Block { scale: E8m0::ONE, elements: [Mxint8::new(127); BLOCK_LEN] };
    let minus = MxInt8Block { elements: [Mxint8::new(-127); BLOCK_LEN], ..x };
    let w = MxFp4Block { scale: E8m0::from_code(128), elements: [E2m1::from_code(7).unwrap(); BLOCK_LEN] };
    // 32 x 6 x 2 x 127/64 = 762, twice with opposite signs and once more.
    let row = Row::MxFp4(&[w, w, w]);
    assert_eq!(dot::gemv_row_f64(row, &[x, minus, minus]), (-762.0, 3.0 * 762.0));
    assert_eq!(dot::gemv_row(row, &[x, minus, minus]).0.to_f64(), -762.0);
}

// ---- the error bound ----

/// |result - sum| <= (B - 1) u / (1 - (B - 1) u) x sum of magnitudes + B x 2^-2047, with u = 2^-24, times
/// (2^24 - (B - 1)).
fn check_bound(result: Float36, w: &Weights, x: &[MxInt8Block]) -> Check {
    let (sum, magnitudes) = dot::gemv_row_exact(w.row(), x);
    let blocks = i64::try_from(x.len()).expect("a row");
    let additions = (blocks - 1).max(0);
    let denominator = Exact::new((1 << 24) - additions, 0);
    let error = Exact::of(result).minus(&sum).abs();
    let flushed = Exact::new(blocks, -2047).times(&denominator);
    let bound = Exact::new(additions, 0).times(&magnitudes).plus(&flushed);
    ensure(error.times(&denominator) <= bound, || {
        let bound = bound.to_f64() / denominator.to_f64();
        format!("{blocks} blocks: error {:e}, bound {bound:e}", error.to_f64())
    })
}

#[test]
fn the_error_of_a_row_stays_in_the_documented_bound() {
    run(3_000, 11, &rows(), |(w, x)| check_bound(dot::gemv_row(w.row(), &x).0, &w, &x)).unwrap();
}

#[test]
fn an_error_outside_the_bound_is_rejected() {
    // An adder that truncates loses up to twice as much per addition.
    let truncating = |a: Float36, b: Float36| {
        use tandem_model::numerics::float36::add;
        let x = add::sum(add::align(add::order(a, b)));
        let total = if x.total == 0 { 0 } else { ((x.total << x.zeros) & !15) >> x.zeros };
        add::round(add::Summed { total, ..x })
    };
    assert!(run(3_000, 11, &rows(), |(w, x)| check_bound(folded(&w, &x, truncating).0, &w, &x)).is_err());
    // One block is exact: a single unit is too much.
    let x = [MxInt8Block { scale: E8m0::ONE, elements: [Mxint8::new(127); BLOCK_LEN] }];
    let w = Weights::MxInt8(x.to_vec());
    let result = dot::gemv_row(w.row(), &x).0;
    assert_eq!(check_bound(result, &w, &x), Ok(()));
    let next = Float36::from_bits(result.bits() + 1).unwrap();
    assert!(check_bound(next, &w, &x).is_err());
}

// ---- p times V ----

#[derive(Clone, Debug)]
enum Lanes {
    MxFp4(Vec<[E2m1; LANES]>),
    MxInt8(Vec<[Mxint8; LANES]>),
}

#[derive(Clone, Debug)]
struct Case {
    acc: [Float36; LANES],
    p: Vec<u8>,
    v: Lanes,
    tile_exponent: i32,
}

impl Case {
    fn tile(&self) -> Tile<'_> {
        let values = match &self.v {
            Lanes::MxFp4(v) => Values::MxFp4(v),
            Lanes::MxInt8(v) => Values::MxInt8(v),
        };
        Tile { p: &self.p, values, tile_exponent: self.tile_exponent }
    }

    /// The lane's integer from the operands of the array.
    fn lane_integer(&self, lane: usize) -> i32 {
        let left = || self.p.iter().map(|&p| i32::from(p));
        match &self.v {
            Lanes::MxFp4(v) => chain(left(), v.iter().map(|v| v[lane].doubled())),
            Lanes::MxInt8(v) => {
                let low = chain(left(), v.iter().map(|v| v[lane].low_nibble()));
                low + 16 * chain(left(), v.iter().map(|v| v[lane].high_half()))
            }
        }
    }
}

/// One token at the bottom of the range: products of a few 2^-2048 on accumulators of a few 2^-2048.
fn bottom() -> impl Strategy<Value = Case> {
    let accumulator = (any::<bool>(), 0..=3i32, proptest::sample::select(vec![0u64, 1, 1 << 22]))
        .prop_map(|(negative, exponent, fraction)| Float36::from_fields(negative, exponent, fraction));
    let units = proptest::array::uniform32((-3..=3i8).prop_map(Mxint8::new));
    let v = prop_oneof![
        fp4_elements().prop_map(|v| Lanes::MxFp4(vec![v])).boxed(),
        units.prop_map(|v| Lanes::MxInt8(vec![v])).boxed(),
    ];
    (proptest::array::uniform32(accumulator), 1..=2u8, v).prop_map(|(acc, p, v)| Case {
        acc,
        p: vec![p],
        v,
        tile_exponent: -2048,
    })
}

fn tiles() -> impl Strategy<Value = Case> {
    prop_oneof![9 => anywhere().boxed(), 1 => bottom().boxed()]
}

fn anywhere() -> impl Strategy<Value = Case> {
    let accumulator = (any::<bool>(), prop_oneof![0..=40i32, 2000..=2100, 4060..=4095], 0..1u64 << 23)
        .prop_map(|(negative, exponent, fraction)| Float36::from_fields(negative, exponent, fraction));
    let p = || prop_oneof![4 => any::<u8>().boxed(), 1 => Just(0u8).boxed(), 1 => Just(255u8).boxed()];
    let weights = prop_oneof![
        4 => proptest::collection::vec(p(), 0..=pv::TOKENS).boxed(),
        1 => proptest::collection::vec(Just(255u8), pv::TOKENS).boxed(),
        1 => proptest::collection::vec(Just(0u8), 0..=pv::TOKENS).boxed(),
    ];
    let exponent = prop_oneof![-2048..=2047i32, -2048..=-2030, 2025..=2047, -20..=20];
    (proptest::array::uniform32(accumulator), weights, exponent, any::<bool>()).prop_flat_map(
        |(acc, p, tile_exponent, fp4)| {
            let tokens = p.len();
            let v = if fp4 {
                proptest::collection::vec(fp4_elements(), tokens).prop_map(Lanes::MxFp4).boxed()
            } else {
                prop_oneof![
                    proptest::collection::vec(int8_elements(), tokens).boxed(),
                    Just(vec![[Mxint8::new(-128); LANES]; tokens]).boxed(),
                    Just(vec![[Mxint8::new(127); LANES]; tokens]).boxed(),
                ]
                .prop_map(Lanes::MxInt8)
                .boxed()
            };
            v.prop_map(move |v| Case { acc, p: p.clone(), v, tile_exponent })
        },
    )
}

fn accumulated(case: &Case, offset: i32) -> ([Float36; LANES], bool) {
    let (mut acc, mut saturated) = (case.acc, false);
    for (lane, value) in acc.iter_mut().enumerate() {
        let block = Float36::from_int(case.lane_integer(lane), case.tile_exponent + offset);
        let sum = *value + block.value;
        saturated |= block.saturated || sum.saturated;
        *value = sum.value;
    }
    (acc, saturated)
}

fn check_tile(model: impl Fn(&Case) -> ([Float36; LANES], bool), case: &Case) -> Check {
    let want = pv::accumulate(case.acc, &case.tile());
    let (values, saturated) = model(case);
    ensure((values, saturated) == (want.values, want.saturated), || {
        format!("{values:?} {saturated}, not {want:?}")
    })
}

#[test]
fn tiles_of_p_times_v_equal_the_reference() {
    let corners = Corners::of([
        "MXFP4 values",
        "MXINT8 values",
        "no token",
        "32 tokens",
        "all p 0",
        "largest lane sum",
        "conversion saturates",
        "addition saturates",
        "conversion flushes",
        "accumulator cleared by flushing",
    ]);
    run(2_000, 13, &tiles(), |case| {
        let tile = case.tile();
        let after = pv::accumulate(case.acc, &tile);
        let sums = pv::lane_sums(&tile);
        let converted = sums.map(|n| Exact::new(n, case.tile_exponent).round());
        corners.hit("MXFP4 values", matches!(case.v, Lanes::MxFp4(_)));
        corners.hit("MXINT8 values", matches!(case.v, Lanes::MxInt8(_)));
        corners.hit("no token", case.p.is_empty());
        corners.hit("32 tokens", case.p.len() == 32);
        corners.hit("all p 0", !case.p.is_empty() && case.p.iter().all(|&p| p == 0));
        corners.hit("largest lane sum", sums.iter().any(|n| n.abs() == 32 * 255 * 128));
        corners.hit("conversion saturates", converted.iter().any(|c| c.saturated));
        corners.hit(
            "addition saturates",
            case.acc.iter().zip(&converted).any(|(&a, c)| !c.saturated && float::add(a, c.value).saturated),
        );
        corners.hit(
            "conversion flushes",
            sums.iter().zip(&converted).any(|(&n, c)| n != 0 && c.value.is_zero()),
        );
        corners.hit(
            "accumulator cleared by flushing",
            case.acc.iter().zip(&converted).zip(&after.values).any(|((a, c), after)| {
                after.is_zero() && !a.is_zero() && a.magnitude() != c.value.magnitude()
            }),
        );
        check_tile(|case| accumulated(case, 0), &case)
    })
    .unwrap();
    corners.covered(1).unwrap();
}

#[test]
fn a_wrong_tile_is_rejected() {
    assert!(run(2_000, 13, &tiles(), |case| check_tile(|case| accumulated(case, -1), &case)).is_err());
    let silent = |case: &Case| (accumulated(case, 0).0, false);
    assert!(run(2_000, 13, &tiles(), |case| check_tile(silent, &case)).is_err());
    let seven_bits = |case: &Case| {
        let p = case.p.iter().map(|&p| p & 127).collect();
        accumulated(&Case { p, ..case.clone() }, 0)
    };
    assert!(run(2_000, 13, &tiles(), |case| check_tile(seven_bits, &case)).is_err());
}
