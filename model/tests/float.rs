// SPDX-License-Identifier: Apache-2.0
//! The 36-bit float against exact integers: addition, conversion of integers, display values.

mod support;

use num_bigint::BigInt;
use proptest::prelude::*;
use tandem_model::numerics::float36::{EXPONENT_BIAS, EXPONENT_MAX, add};
use tandem_model::numerics::{Float36, Rounded};
use tandem_model::reference::float::{self, Exact};

use support::{Corners, run};

const FRACTION_MAX: u64 = (1 << 23) - 1;
/// Fractions at which carries, ties and stickies turn.
const FRACTIONS: [u64; 9] =
    [0, 1, 2, 3, (1 << 22) - 1, 1 << 22, (1 << 22) + 1, FRACTION_MAX - 1, FRACTION_MAX];
/// Exponent distances at which the aligner changes what is left of the smaller operand.
const DISTANCES: [i32; 9] = [0, 1, 2, 23, 24, 25, 26, 27, 28];

type Check = Result<(), String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

fn negated(x: Float36) -> Float36 {
    Float36::from_fields(!x.is_negative(), x.exponent(), x.fraction())
}

// ---- operands ----

fn fraction() -> impl Strategy<Value = u64> {
    prop_oneof![0..=FRACTION_MAX, proptest::sample::select(FRACTIONS.to_vec())]
}

fn exponent() -> impl Strategy<Value = i32> {
    prop_oneof![
        1..=EXPONENT_MAX,
        EXPONENT_BIAS - 40..=EXPONENT_BIAS + 40,
        1..=30,
        EXPONENT_MAX - 29..=EXPONENT_MAX
    ]
}

fn float() -> impl Strategy<Value = Float36> {
    (any::<bool>(), prop_oneof![1 => Just(0).boxed(), 15 => exponent().boxed()], fraction())
        .prop_map(|(negative, exponent, fraction)| Float36::from_fields(negative, exponent, fraction))
}

fn distance() -> impl Strategy<Value = i32> {
    prop_oneof![3 => proptest::sample::select(DISTANCES.to_vec()), 1 => 0..=30]
}

/// Operands at a chosen distance of exponents, in either order; one below the range is zero.
fn apart() -> impl Strategy<Value = (Float36, Float36)> {
    (any::<[bool; 3]>(), exponent(), distance(), fraction(), fraction()).prop_map(
        |([s, t, swap], e, d, f, g)| {
            let (a, b) = (Float36::from_fields(s, e, f), Float36::from_fields(t, (e - d).max(0), g));
            if swap { (b, a) } else { (a, b) }
        },
    )
}

/// Operands of opposite sign whose magnitudes are a few units apart.
fn cancelling() -> impl Strategy<Value = (Float36, Float36)> {
    (float(), -3..=3i64).prop_map(|(a, delta)| {
        let magnitude = a.magnitude().saturating_add_signed(delta).clamp(1 << 23, Float36::MAX.magnitude());
        let b = Float36::from_bits(magnitude).expect("exponent code not 0");
        (a, if a.is_negative() { b } else { negated(b) })
    })
}

/// The largest magnitude, plus something around half its unit.
fn at_the_top() -> impl Strategy<Value = (Float36, Float36)> {
    (any::<bool>(), EXPONENT_MAX - 26..=EXPONENT_MAX - 22, fraction()).prop_map(|(negative, e, f)| {
        let top = Float36::from_fields(negative, EXPONENT_MAX, FRACTION_MAX);
        (top, Float36::from_fields(negative, e, f))
    })
}

fn operands() -> impl Strategy<Value = (Float36, Float36)> {
    prop_oneof![
        2 => (float(), float()).boxed(),
        6 => apart().boxed(),
        2 => cancelling().boxed(),
        1 => at_the_top().boxed(),
    ]
}

// ---- addition ----

fn check_add(adder: impl Fn(Float36, Float36) -> Rounded, a: Float36, b: Float36) -> Check {
    let (got, want) = (adder(a, b), float::add(a, b));
    ensure(got == want, || {
        format!(
            "{:09x} + {:09x}: {:09x} {}, not {:09x} {}",
            a.bits(),
            b.bits(),
            got.value.bits(),
            got.saturated,
            want.value.bits(),
            want.saturated
        )
    })
}

fn adder_corners() -> Corners {
    let distances = DISTANCES
        .iter()
        .flat_map(|d| [format!("distance {d}, adding"), format!("distance {d}, subtracting")]);
    let named = [
        "zero + zero",
        "zero + number",
        "number + zero",
        "cancels to zero",
        "cancels 20 bits or more",
        "exact",
        "tie stays at even",
        "tie goes up to even",
        "just below a tie",
        "just above a tie",
        "sum in the next binade",
        "difference in a lower binade",
        "rounding carries into the next binade",
        "rounding restores the binade of the larger operand",
        "saturates upwards",
        "saturates downwards",
        "saturates by rounding alone",
        "largest, not saturated",
        "flushes a positive",
        "flushes a negative",
        "smallest, not flushed",
    ];
    Corners::of(named.map(String::from).into_iter().chain(distances))
}

/// Counts the corners of one addition, from exact values alone.
fn count_add(corners: &Corners, a: Float36, b: Float36) {
    corners.hit("zero + zero", a.is_zero() && b.is_zero());
    corners.hit("zero + number", a.is_zero() && !b.is_zero());
    corners.hit("number + zero", !a.is_zero() && b.is_zero());
    if a.is_zero() || b.is_zero() {
        return;
    }
    let (distance, subtract) = ((a.exponent() - b.exponent()).abs(), a.is_negative() != b.is_negative());
    if DISTANCES.contains(&distance) {
        let kind = if subtract { "subtracting" } else { "adding" };
        corners.hit(&format!("distance {distance}, {kind}"), true);
    }
    let exact = Exact::of(a).plus(&Exact::of(b));
    corners.hit("cancels to zero", exact.is_zero());
    let Some(log2) = exact.floor_log2() else {
        return;
    };
    let larger = i64::from(a.exponent().max(b.exponent()) - EXPONENT_BIAS);
    corners.hit("cancels 20 bits or more", larger - log2 >= 20);
    corners.hit("sum in the next binade", log2 == larger + 1);
    corners.hit("difference in a lower binade", log2 < larger);

    let rounded = exact.rounded_to(24);
    let (error, up) = (rounded.minus(&exact).abs(), rounded.abs() > exact.abs());
    // In 32nds of a unit: 16 is the tie.
    let place = i32::try_from(log2 - 23).expect("an exponent") - 5;
    let (tie, close) = (error == Exact::new(16, place), error > Exact::new(15, place));
    corners.hit("exact", error.is_zero());
    corners.hit("tie stays at even", tie && !up);
    corners.hit("tie goes up to even", tie && up);
    corners.hit("just below a tie", close && !tie && !up);
    corners.hit("just above a tie", close && !tie && up);
    let carries = rounded.floor_log2() != Some(log2);
    corners.hit("rounding carries into the next binade", carries && log2 >= larger);
    corners.hit("rounding restores the binade of the larger operand", carries && log2 == larger - 1);

    let result = float::add(a, b);
    corners.hit("saturates upwards", result.saturated && !exact.is_negative());
    corners.hit("saturates downwards", result.saturated && exact.is_negative());
    corners.hit("saturates by rounding alone", result.saturated && log2 == 2047);
    corners.hit(
        "largest, not saturated",
        !result.saturated && result.value.magnitude() == Float36::MAX.magnitude(),
    );
    corners.hit("flushes a positive", result.value.is_zero() && !exact.is_negative());
    corners.hit("flushes a negative", result.value.is_zero() && exact.is_negative());
    corners.hit("smallest, not flushed", result.value.magnitude() == 1 << 23);
}

#[test]
fn addition_equals_the_exact_sum_rounded_once() {
    let corners = adder_corners();
    run(30_000, 1, &operands(), |(a, b)| {
        count_add(&corners, a, b);
        check_add(|a, b| a + b, a, b)
    })
    .unwrap();
    corners.covered(20).unwrap();
}

#[test]
fn addition_is_exact_on_all_corner_fractions_signs_and_distances() {
    let mut count = 0;
    for e in [1, 2, 25, EXPONENT_BIAS, EXPONENT_MAX - 1, EXPONENT_MAX] {
        for d in 0..=30.min(e - 1) {
            for (f, g) in FRACTIONS.iter().flat_map(|f| FRACTIONS.map(|g| (*f, g))) {
                for (s, t) in [(false, false), (false, true), (true, false), (true, true)] {
                    let (a, b) = (Float36::from_fields(s, e, f), Float36::from_fields(t, e - d, g));
                    check_add(|a, b| a + b, a, b).unwrap();
                    check_add(|a, b| a + b, b, a).unwrap();
                    count += 2;
                }
            }
        }
    }
    assert_eq!(count, (1 + 2 + 25 + 3 * 31) * 81 * 4 * 2);
}

type Adder = fn(Float36, Float36) -> Rounded;

/// Adders that are wrong in one place each.
fn mutants() -> [(&'static str, Adder); 7] {
    /// The last step on a sum that was normalised and then changed.
    fn round_with(a: Float36, b: Float36, change: impl Fn(u64) -> u64) -> Rounded {
        let x = add::sum(add::align(add::order(a, b)));
        if x.total == 0 {
            return add::round(x);
        }
        let exponent = x.exponent - i32::try_from(x.zeros).unwrap();
        add::round(add::Summed { exponent, total: change(x.total << x.zeros), zeros: 0, ..x })
    }
    [
        ("truncates", |a, b| round_with(a, b, |sum| sum & !15)),
        ("rounds ties away from zero", |a, b| round_with(a, b, |sum| sum | (sum >> 3 & 1))),
        ("rounds ties down", |a, b| round_with(a, b, |sum| if sum & 15 == 8 { sum & !8 } else { sum })),
        ("has no sticky bit", |a, b| {
            let x = add::order(a, b);
            add::round(add::sum(add::Aligned { smaller: x.smaller << 3 >> x.shift, ..add::align(x) }))
        }),
        ("drops what is 25 places away", |a, b| {
            let x = add::order(a, b);
            add::round(add::sum(add::align(add::Ordered {
                smaller: if x.shift >= 25 { 0 } else { x.smaller },
                ..x
            })))
        }),
        ("saturates without the flag", |a, b| Rounded { saturated: false, ..a + b }),
        ("keeps the smallest magnitude instead of flushing", |a, b| {
            let sum = a + b;
            let flushed = sum.value.is_zero() && a.magnitude() != b.magnitude();
            if flushed { Rounded { value: Float36::from_fields(false, 1, 0), saturated: false } } else { sum }
        }),
    ]
}

#[test]
fn a_wrong_adder_is_rejected() {
    for (what, adder) in mutants() {
        assert!(
            run(30_000, 1, &operands(), |(a, b)| check_add(adder, a, b)).is_err(),
            "an adder that {what} passed"
        );
    }
}

#[test]
fn an_unhit_corner_fails() {
    let corners = Corners::of(["met", "missed"]);
    corners.hit("met", true);
    corners.hit("missed", false);
    assert!(corners.covered(1).unwrap_err().contains("missed: 0"));
    // A strategy of random operands alone reaches few of the adder's corners.
    let corners = adder_corners();
    run(2_000, 1, &(float(), float()), |(a, b)| {
        count_add(&corners, a, b);
        Ok(())
    })
    .unwrap();
    assert!(corners.covered(1).is_err());
}

// ---- the table of docs/numerics.md ----

/// +(1 + fraction / 2^23) x 2^log2.
fn plus(log2: i32, fraction: u64) -> Float36 {
    Float36::from_fields(false, log2 + EXPONENT_BIAS, fraction)
}

fn minus(log2: i32, fraction: u64) -> Float36 {
    negated(plus(log2, fraction))
}

struct Line {
    text: &'static str,
    a: Float36,
    b: Float36,
    sum: Float36,
    saturated: bool,
}

fn table() -> Vec<Line> {
    let one = Float36::ONE;
    let line = |text, a, b, sum| Line { text, a, b, sum, saturated: false };
    vec![
        line("1 + 2^-24", one, plus(-24, 0), one),
        line("(1 + 2^-23) + 2^-24", plus(0, 1), plus(-24, 0), plus(0, 2)),
        line("1 + (2^-24 + 2^-47)", one, plus(-24, 1), plus(0, 1)),
        line("1 - 2^-25", one, minus(-25, 0), one),
        line("1 - (2^-25 + 2^-48)", one, minus(-25, 1), plus(-1, FRACTION_MAX)),
        line("(2 - 2^-23) + 2^-24", plus(0, FRACTION_MAX), plus(-24, 0), plus(1, 0)),
        line("x + (-x)", plus(17, 0x12_3456), minus(17, 0x12_3456), Float36::ZERO),
        line("largest - largest", Float36::MAX, negated(Float36::MAX), Float36::ZERO),
        line("smallest - smallest", plus(-2047, 0), minus(-2047, 0), Float36::ZERO),
        line("2^-2047 x 1.5 + -(2^-2047)", plus(-2047, 1 << 22), minus(-2047, 0), Float36::ZERO),
        Line {
            text: "largest + largest",
            a: Float36::MAX,
            b: Float36::MAX,
            sum: Float36::MAX,
            saturated: true,
        },
        line("0 + 0", Float36::ZERO, Float36::ZERO, Float36::ZERO),
    ]
}

/// A line of the table, also with operands swapped and with all signs changed, in numerics and reference.
fn check_line(line: &Line) -> Check {
    let (a, b) = (line.a, line.b);
    for (a, b, sum) in [
        (a, b, line.sum),
        (b, a, line.sum),
        (negated(a), negated(b), negated(line.sum)),
        (negated(b), negated(a), negated(line.sum)),
    ] {
        let want = Rounded { value: sum, saturated: line.saturated };
        ensure(a + b == want, || format!("{}: numerics {:?}", line.text, a + b))?;
        ensure(float::add(a, b) == want, || format!("{}: reference {:?}", line.text, float::add(a, b)))?;
    }
    Ok(())
}

#[test]
fn every_line_of_the_documented_table_holds() {
    for line in table() {
        check_line(&line).unwrap();
    }
}

#[test]
fn a_wrong_line_of_the_table_is_rejected() {
    for mut line in table() {
        line.saturated = !line.saturated;
        assert!(check_line(&line).is_err(), "{} with the other flag", line.text);
        line.saturated = !line.saturated;
        line.sum =
            if line.sum.is_zero() { plus(-2047, 0) } else { plus(line.sum.exponent() - EXPONENT_BIAS, 77) };
        assert!(check_line(&line).is_err(), "{} with another sum", line.text);
    }
}

// ---- the words ----

#[test]
fn the_constants_are_the_documented_words() {
    assert_eq!(Exact::of(Float36::ONE), Exact::new(1, 0));
    assert_eq!(Exact::of(Float36::MAX), Exact::new((1 << 24) - 1, 2047 - 23));
    assert_eq!(Float36::ZERO.bits(), 0);
    assert_eq!((Float36::MAX + Float36::ZERO).value, Float36::MAX);
}

#[test]
fn words_that_are_no_float_are_refused() {
    let refused = [1, FRACTION_MAX, 1 << 35, 1 << 35 | 5, 1 << 36, 1 << 63 | 1 << 23];
    assert!(refused.iter().all(|&bits| Float36::from_bits(bits).is_none()));
    let accepted = [0, 1 << 23, (1 << 36) - 1, 1 << 35 | 1 << 23];
    assert!(accepted.iter().all(|&bits| Float36::from_bits(bits).is_some_and(|x| x.bits() == bits)));
}

// ---- integers ----

fn check_int(convert: impl Fn(i32, i32) -> Rounded, n: i32, exponent: i32) -> Check {
    let (exact, got) = (Exact::new(n, exponent), convert(n, exponent));
    ensure(got == exact.round(), || format!("{n} x 2^{exponent}: {got:?}, not {:?}", exact.round()))?;
    // Inside the range nothing is rounded.
    let inside = exact.floor_log2().is_none_or(|log2| (-2047..=2047).contains(&log2));
    ensure(!inside || Exact::of(got.value) == exact, || format!("{n} x 2^{exponent}: {got:?} is not exact"))
}

fn integers() -> impl Strategy<Value = (i32, i32)> {
    let limit = (1 << 23) - 1;
    let power = (0..=23u32, -1..=1i32, any::<bool>()).prop_map(move |(bit, delta, negative)| {
        let n = ((1 << bit) + delta).min(limit);
        if negative { -n } else { n }
    });
    let n = prop_oneof![4 => (-limit..=limit).boxed(), 4 => power.boxed(), 1 => Just(0).boxed()];
    let exponent = prop_oneof![-2100..=2100, -280..=280, -2075..=-2040, 2020..=2060];
    (n, exponent)
}

#[test]
fn block_sums_convert_exactly_and_clamp_like_the_exact_value() {
    let corners = Corners::of([
        "zero",
        "-1",
        "largest n",
        "smallest n",
        "power of two",
        "saturates",
        "largest binade",
        "flushes",
        "smallest binade",
    ]);
    run(20_000, 2, &integers(), |(n, exponent)| {
        let exact = Exact::new(n, exponent);
        corners.hit("zero", n == 0);
        corners.hit("-1", n == -1);
        corners.hit("largest n", n == (1 << 23) - 1);
        corners.hit("smallest n", n == -(1 << 23) + 1);
        corners.hit("power of two", n.unsigned_abs().is_power_of_two());
        corners.hit("saturates", exact.floor_log2() == Some(2048));
        corners.hit("largest binade", exact.floor_log2() == Some(2047));
        corners.hit("flushes", exact.floor_log2() == Some(-2048));
        corners.hit("smallest binade", exact.floor_log2() == Some(-2047));
        check_int(Float36::from_int, n, exponent)
    })
    .unwrap();
    corners.covered(10).unwrap();
}

#[test]
fn a_wrong_conversion_is_rejected() {
    let keeps_23_bits =
        |n: i32, e| Float36::from_int(if n.unsigned_abs() >= 1 << 22 { n & !1 } else { n }, e);
    assert!(run(20_000, 2, &integers(), |(n, e)| check_int(keeps_23_bits, n, e)).is_err());
    let one_off = |n, e| Float36::from_int(n, e + 1);
    assert!(run(20_000, 2, &integers(), |(n, e)| check_int(one_off, n, e)).is_err());
    let silent = |n, e| Rounded { saturated: false, ..Float36::from_int(n, e) };
    assert!(run(20_000, 2, &integers(), |(n, e)| check_int(silent, n, e)).is_err());
}

// ---- binary64 ----

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap() << 52)
}

#[test]
fn exact_numbers_become_the_nearest_binary64() {
    // Decimal parsing rounds correctly; a product with a power of two rounds once, also among the subnormals.
    let corners = Corners::of(["rounded", "subnormal", "zero", "infinite", "normal"]);
    let n = prop_oneof![any::<i64>(), -20..=20i64, Just((1 << 53) - 1), Just((1 << 54) - 1)];
    let cases = (n, prop_oneof![-1200..=-1000, -60..=60, 900..=1030]);
    run(20_000, 3, &cases, |(n, exponent)| {
        let nearest: f64 = n.to_string().parse().unwrap();
        let got = Exact::new(n, exponent).to_f64();
        // Odd integers of more than 53 bits are rounded by the parser already: then only without a second
        // rounding.
        let representable = Exact::new(BigInt::from(n), 0).rounded_to(53) == Exact::new(n, 0);
        let want = nearest * power_of_two(exponent / 2) * power_of_two(exponent - exponent / 2);
        if !representable && want.abs() < f64::MIN_POSITIVE {
            return Ok(());
        }
        corners.hit("rounded", !representable);
        corners.hit("subnormal", want.is_subnormal());
        corners.hit("zero", want == 0.0 && n != 0);
        corners.hit("infinite", want.is_infinite());
        corners.hit("normal", want.is_normal());
        ensure(got == want, || format!("{n} x 2^{exponent}: {got:e}, not {want:e}"))
    })
    .unwrap();
    corners.covered(10).unwrap();
}

#[test]
fn a_float_shows_as_the_nearest_binary64() {
    let floats = prop_oneof![
        float().boxed(),
        (any::<bool>(), 970..=1030, fraction()).prop_map(|(s, e, f)| Float36::from_fields(s, e, f)).boxed(),
    ];
    run(20_000, 4, &floats, |x| {
        let (got, want) = (x.to_f64(), Exact::of(x).to_f64());
        ensure(got == want, || format!("{:09x}: {got:e}, not {want:e}", x.bits()))
    })
    .unwrap();
}
