// SPDX-License-Identifier: Apache-2.0
//! Arithmetic of the vector unit against exact values: docs/numerics.md, "Vector unit".

mod support;

use std::path::Path;

use num_bigint::{BigInt, BigUint};
use proptest::prelude::*;
use tandem_model::numerics::float36::{EXPONENT_BIAS, EXPONENT_MAX};
use tandem_model::numerics::function_tables::{BEND, SLOPE, START};
use tandem_model::numerics::vector::{self, evaluate, quantise};
use tandem_model::numerics::{BLOCK_LEN, Float36, Rounded, ScaleRule};
use tandem_model::reference::float::Exact;
use tandem_model::reference::quantise as reference;
use tandem_model::vector::types::Function;

use support::{Corners, run};

type Check = Result<(), String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

const FRACTION_MAX: u64 = (1 << 23) - 1;

// ---- product ----

fn fraction() -> impl Strategy<Value = u64> {
    let corners = [0, 1, 2, 3, (1 << 22) - 1, 1 << 22, (1 << 22) + 1, FRACTION_MAX - 1, FRACTION_MAX];
    // Few bits make products with ties.
    prop_oneof![
        0..=FRACTION_MAX,
        proptest::sample::select(corners.to_vec()),
        (0..1u64 << 12, 8..=11u32).prop_map(|(bits, shift)| bits << shift)
    ]
}

fn float(exponents: std::ops::RangeInclusive<i32>) -> impl Strategy<Value = Float36> {
    (any::<bool>(), prop_oneof![1 => Just(0).boxed(), 15 => exponents.boxed()], fraction())
        .prop_map(|(negative, exponent, fraction)| Float36::from_fields(negative, exponent, fraction))
}

fn factors() -> impl Strategy<Value = (Float36, Float36)> {
    let at = |product: i32| {
        (any::<[bool; 2]>(), 1..=EXPONENT_MAX, product - 2..=product + 2, fraction(), fraction()).prop_map(
            |([s, t], e, sum, f, g)| {
                let other = (sum + EXPONENT_BIAS - e).clamp(1, EXPONENT_MAX);
                (Float36::from_fields(s, e, f), Float36::from_fields(t, other, g))
            },
        )
    };
    prop_oneof![
        4 => (float(1..=EXPONENT_MAX), float(1..=EXPONENT_MAX)).boxed(),
        4 => (float(2000..=2100), float(2000..=2100)).boxed(),
        1 => at(0).boxed(),
        1 => at(EXPONENT_MAX).boxed(),
    ]
}

fn check_product(product: impl Fn(Float36, Float36) -> Rounded, a: Float36, b: Float36) -> Check {
    let (got, want) = (product(a, b), Exact::of(a).times(&Exact::of(b)).round());
    ensure(got == want, || format!("{a:?} x {b:?}: {got:?}, not {want:?}"))
}

#[test]
fn products_are_rounded_once() {
    let corners = Corners::of(["zero", "exact", "tie", "saturated", "flushed", "smallest", "carry"]);
    run(40_000, 1, &factors(), |(a, b)| {
        let exact = Exact::of(a).times(&Exact::of(b));
        let rounded = exact.round();
        let total = a.significand() * b.significand();
        let low = total & ((1 << if total >> 47 == 1 { 24 } else { 23 }) - 1);
        corners.hit("zero", exact.is_zero());
        corners.hit("exact", low == 0 && !exact.is_zero());
        corners.hit("tie", low == if total >> 47 == 1 { 1 << 23 } else { 1 << 22 });
        corners.hit("saturated", rounded.saturated);
        corners.hit("flushed", rounded.value.is_zero() && !exact.is_zero());
        corners.hit("smallest", rounded.value.exponent() == 1);
        corners.hit("carry", low != 0 && rounded.value.fraction() == 0 && total >> 47 == 0);
        check_product(vector::product, a, b)
    })
    .unwrap();
    corners.covered(5).unwrap();
}

#[test]
fn wrong_products_are_found() {
    let truncated = |a: Float36, b: Float36| {
        let exact = Exact::of(a).times(&Exact::of(b));
        let Some(top) = exact.floor_log2() else { return Rounded::default() };
        let unit = i32::try_from(top).unwrap() - 23;
        let half = Exact::new(if exact.is_negative() { -1 } else { 1 }, unit - 1);
        exact.minus(&half).round()
    };
    assert!(run(1000, 2, &factors(), |(a, b)| check_product(truncated, a, b)).is_err());
    let unflagged = |a: Float36, b: Float36| Rounded { saturated: false, ..vector::product(a, b) };
    assert!(run(5000, 2, &factors(), |(a, b)| check_product(unflagged, a, b)).is_err());
}

// ---- tables ----

/// Bits below the tables' units in which the exact values are taken.
const GUARD: u32 = 64;

/// The curve of a table at u = `j` / 256, in units of 2^-(28 + GUARD), cut off.
fn curve(table: usize, j: u32) -> BigInt {
    let bits = evaluate::VALUE_BITS + GUARD;
    let m = BigUint::from(256 + j);
    let value = match table {
        0 => (BigUint::from(512u32) << bits) / m,
        1 => (BigUint::from(1u32) << (256 * bits + j)).nth_root(256),
        2 => ((BigUint::from(1024u32) << (2 * bits)) / m).sqrt(),
        _ => ((BigUint::from(512u32) << (2 * bits)) / m).sqrt(),
    };
    value.into()
}

/// `exact` without its guard bits, to nearest; what was cut off must not matter.
fn nearest(exact: &BigInt) -> u32 {
    let round = |x: BigInt| (x + (BigInt::from(1) << (GUARD - 1))) >> GUARD;
    let rounded = round(exact + 16);
    assert_eq!(rounded, round(exact - 16u32), "too near to a tie");
    u32::try_from(rounded).unwrap()
}

/// What the tables hold for a segment: the parabola through both ends and the middle.
fn parabola(table: usize, segment: u32) -> (u32, u32, u32) {
    let [left, middle, right] = [0, 1, 2].map(|step| curve(table, 2 * segment + step));
    let slope: BigInt = &middle * 4 - &left * 3 - &right;
    let bend: BigInt = (&left + &right - &middle * 2) * 2;
    let slope = if table == 1 { slope } else { -slope };
    // A power of two is exact; so are its guard bits, all 0.
    (nearest(&left), nearest(&slope), nearest(&bend))
}

fn check_tables(start: &[u32], slope: &[u32], bend: &[u32]) -> Check {
    for table in 0..4usize {
        for segment in 0..128u32 {
            let at = 128 * table + usize::try_from(segment).unwrap();
            let (got, want) = ((start[at], slope[at], bend[at]), parabola(table, segment));
            ensure(got == want, || format!("table {table}, segment {segment}: {got:?}, not {want:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn every_entry_of_the_tables_is_the_nearest() {
    check_tables(&START, &SLOPE, &BEND).unwrap();
}

#[test]
fn wrong_entry_is_found() {
    let mut bend = BEND;
    bend[300] += 1;
    assert!(check_tables(&START, &SLOPE, &bend).unwrap_err().starts_with("table 2, segment 44"));
}

fn tables_of_the_rtl() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtl/vector/float_function_tables.svh");
    std::fs::read_to_string(path).unwrap()
}

fn check_rtl(text: &str) -> Check {
    for (name, bits, table) in [("Start", "30'd", &START), ("Slope", "22'd", &SLOPE), ("Bend", "15'd", &BEND)]
    {
        let rest = text.split(&format!("{name} [512] = '{{")).nth(1).ok_or("no such table")?;
        let entries = rest.split('}').next().unwrap_or("").split(',');
        let entries: Option<Vec<u32>> =
            entries.map(|entry| entry.trim().strip_prefix(bits)?.parse().ok()).collect();
        ensure(entries.as_deref() == Some(table), || format!("{name} differs"))?;
    }
    Ok(())
}

#[test]
fn rtl_and_model_have_the_same_tables() {
    let text = tables_of_the_rtl();
    check_rtl(&text).unwrap();
    let (left, right) = text.split_at(text.rfind("15'd").unwrap());
    let broken = format!("{left}{}", right.replacen("15'd", "15'd1", 1));
    assert_eq!(check_rtl(&broken).unwrap_err(), "Bend differs");
}

// ---- functions ----

/// What a function makes of a binade, or of a part of it.
#[derive(Clone, Copy)]
struct Sweep {
    function: Function,
    negative: bool,
    /// Exponent code.
    exponent: i32,
    step: usize,
}

/// Largest errors that docs/numerics.md promises: in units of the last place, and the logarithm of the relative one.
fn promised(function: Function) -> (f64, f64) {
    match function {
        Function::Root => (0.67, -23.8),
        Function::Power => (0.75, -23.6),
        _ => (0.92, -23.8),
    }
}

impl Sweep {
    const fn of(function: Function, exponent: i32) -> Self {
        Self { function, negative: false, exponent, step: 1 }
    }

    fn exact(self, x: f64) -> f64 {
        match self.function {
            Function::Root => x.sqrt().recip(),
            Function::Power => x.exp2(),
            _ => x.recip(),
        }
    }

    /// Every value within its bound and on the right side of the one before. The result is the largest error in units of
    /// the last place. binary64 is 29 bits finer.
    fn check(self, function: impl Fn(Float36) -> Float36) -> Result<f64, String> {
        let (bound, log) = promised(self.function);
        let most = log.exp2();
        // 2^x rises with x, the others fall; in negative numbers the fraction goes the other way, and so do both.
        let rising = (self.function == Function::Power) != self.negative;
        let mut before: Option<f64> = None;
        let mut worst = 0f64;
        for fraction in (0..=FRACTION_MAX).step_by(self.step) {
            let x = Float36::from_fields(self.negative, self.exponent, fraction);
            let (got, want) = (function(x).to_f64(), self.exact(x.to_f64()));
            // Of the exact value's binade; a result of the next power of two is judged by the finer unit.
            let unit = f64::from_bits(want.abs().to_bits() & 0x7FF0_0000_0000_0000) / f64::from(1 << 23);
            let error = ((got - want) / unit).abs();
            worst = worst.max(error);
            if let Some(before) = before {
                let right = if rising { got >= before } else { got <= before };
                ensure(right, || format!("{x:?}: {got:e} behind {before:e}"))?;
            }
            ensure(error <= bound, || format!("{x:?}: {got:e}, {error} units from {want:e}"))?;
            let relative = ((got - want) / want).abs();
            ensure(relative <= most, || format!("{x:?}: {got:e}, {relative:e} of {want:e} wrong"))?;
            before = Some(got);
        }
        Ok(worst)
    }
}

fn check_all(sweep: Sweep) -> f64 {
    let worst = sweep.check(|x| vector::function(sweep.function, x)).unwrap();
    println!("{:?} of exponent code {}: {worst:.3} units", sweep.function, sweep.exponent);
    worst
}

#[test]
fn reciprocal_of_every_fraction() {
    assert!(check_all(Sweep::of(Function::Reciprocal, EXPONENT_BIAS)) > 0.91);
}

#[test]
fn root_of_every_fraction_of_even_exponents() {
    assert!(check_all(Sweep::of(Function::Root, EXPONENT_BIAS)) > 0.66);
}

#[test]
fn root_of_every_fraction_of_odd_exponents() {
    assert!(check_all(Sweep::of(Function::Root, EXPONENT_BIAS + 1)) > 0.62);
}

#[test]
fn power_of_every_fraction() {
    assert!(check_all(Sweep::of(Function::Power, EXPONENT_BIAS)) > 0.56);
}

#[test]
fn functions_of_other_binades() {
    for exponent in EXPONENT_BIAS - 40..EXPONENT_BIAS + 10 {
        for negative in [false, true] {
            // Results of 2^x beyond binary64 cannot be judged.
            if exponent < EXPONENT_BIAS + 9 {
                check_all(Sweep { negative, step: 1021, ..Sweep::of(Function::Power, exponent) });
            }
            check_all(Sweep { negative, step: 1021, ..Sweep::of(Function::Reciprocal, exponent) });
        }
        check_all(Sweep { step: 1021, ..Sweep::of(Function::Root, exponent) });
    }
}

/// Where 2^x rounds x before it looks it up, the error is the largest.
#[test]
fn power_of_numbers_below_one() {
    for exponent in [EXPONENT_BIAS - 1, EXPONENT_BIAS - 4] {
        for negative in [false, true] {
            check_all(Sweep { negative, step: 3, ..Sweep::of(Function::Power, exponent) });
        }
    }
}

#[test]
fn wrong_functions_are_found() {
    let reciprocal = Sweep::of(Function::Reciprocal, EXPONENT_BIAS);
    let exact = |x| vector::function(Function::Reciprocal, x);
    let before = |x: Float36| Float36::from_bits(x.bits() - 1).unwrap();
    let off = |x: Float36| if x.fraction() == 5_000_000 { before(before(exact(x))) } else { exact(x) };
    assert!(reciprocal.check(off).unwrap_err().contains("units from"));
    // A unit down, where neighbours have the same result.
    let power = Sweep::of(Function::Power, EXPONENT_BIAS - 8);
    let exact = |x| vector::function(Function::Power, x);
    let uneven = |x: Float36| if x.fraction() == 10_000 { before(exact(x)) } else { exact(x) };
    assert!(power.check(uneven).unwrap_err().contains("behind"));
}

/// From the last value of a binade to the first of the next.
fn check_binades(function: impl Fn(Function, Float36) -> Float36) -> Check {
    for which in [Function::Reciprocal, Function::Root, Function::Power] {
        for exponent in 1..EXPONENT_MAX {
            let last = function(which, Float36::from_fields(false, exponent, FRACTION_MAX));
            let first = function(which, Float36::from_fields(false, exponent + 1, 0));
            let (low, high) = if which == Function::Power { (last, first) } else { (first, last) };
            ensure(low.magnitude() <= high.magnitude(), || format!("{which:?} behind code {exponent}"))?;
        }
    }
    Ok(())
}

#[test]
fn functions_are_monotonic_across_binades() {
    check_binades(vector::function).unwrap();
    // The root of odd exponents taken from the other table.
    let even = |which, x: Float36| {
        let exponent = if which == Function::Root { x.exponent() & !1 } else { x.exponent() };
        vector::function(which, Float36::from_fields(false, exponent, x.fraction()))
    };
    assert!(check_binades(even).unwrap_err().starts_with("Root"));
}

fn power_of_two(exponent: i32) -> Float36 {
    Float36::from_fields(false, EXPONENT_BIAS + exponent, 0)
}

fn negated(x: Float36) -> Float36 {
    Float36::from_fields(!x.is_negative(), x.exponent(), x.fraction())
}

/// The arguments at which the functions are exact, and those at which they are clamped.
fn check_points(function: impl Fn(Function, Float36) -> Float36) -> Check {
    let same = |which: Function, x: Float36, want: Float36| {
        let got = function(which, x);
        ensure(got == want, || format!("{which:?} of {x:?}: {got:?}, not {want:?}"))
    };
    for exponent in -2047..=2047 {
        let x = power_of_two(exponent);
        same(Function::Reciprocal, x, power_of_two(-exponent))?;
        same(Function::Reciprocal, negated(x), negated(power_of_two(-exponent)))?;
        if exponent % 2 == 0 {
            same(Function::Root, x, power_of_two(-exponent / 2))?;
        }
        same(Function::Root, negated(x), Float36::MAX)?;
        let whole = Float36::from_int(exponent, 0).value;
        same(Function::Power, whole, power_of_two(exponent))?;
    }
    same(Function::Reciprocal, Float36::ZERO, Float36::MAX)?;
    same(Function::Root, Float36::ZERO, Float36::MAX)?;
    same(Function::Power, Float36::ZERO, Float36::ONE)?;
    // Below the smallest, and beyond the largest.
    same(Function::Reciprocal, Float36::MAX, Float36::ZERO)?;
    same(Function::Reciprocal, negated(Float36::MAX), Float36::ZERO)?;
    for exponent in 11..=2047 {
        same(Function::Power, power_of_two(exponent), Float36::MAX)?;
        same(Function::Power, negated(power_of_two(exponent)), Float36::ZERO)?;
    }
    let almost = Float36::from_fields(true, EXPONENT_BIAS + 10, FRACTION_MAX);
    same(Function::Power, almost, Float36::ZERO)?;
    // 2^(1 - 2^-13) is 1.9998307849; its fraction is 8387188.5, less 0.01.
    same(Function::Power, negated(almost), Float36::from_fields(false, EXPONENT_MAX, 8_387_188))
}

#[test]
fn powers_of_two_and_integers_are_exact() {
    check_points(vector::function).unwrap();
    let unsigned = |function, x| {
        let y = vector::function(function, x);
        if function == Function::Reciprocal && y.is_negative() { negated(y) } else { y }
    };
    assert!(check_points(unsigned).unwrap_err().starts_with("Reciprocal"));
}

// ---- quantiser ----

/// Values of up to 14 binades below the largest, or of any magnitude, subnormals among them.
fn block() -> impl Strategy<Value = [u32; BLOCK_LEN]> {
    let fraction = || {
        let corners = [0u32, 1, 0x40_0000, 0x5F_FFFF, 0x60_0000, 0x7E_FFFF, 0x7F_0000, 0x7F_7FFF, 0x7F_FFFF];
        prop_oneof![0..1u32 << 23, proptest::sample::select(corners.to_vec())]
    };
    let element = (any::<bool>(), 0..=14u32, fraction());
    (prop_oneof![0..=254u32, 0..=4u32, 250..=254u32], proptest::array::uniform32(element)).prop_map(
        |(top, elements)| {
            elements.map(|(negative, down, fraction)| {
                u32::from(negative) << 31 | top.saturating_sub(down) << 23 | fraction
            })
        },
    )
}

fn quantised(int8: bool, values: &[u32; BLOCK_LEN]) -> (u8, [u8; BLOCK_LEN]) {
    let scale = quantise::scale(int8, quantise::maxima(values));
    (scale, values.map(|value| quantise::code(int8, value, scale)))
}

fn check_block(int8: bool, values: &[u32; BLOCK_LEN], rule: ScaleRule) -> Check {
    let floats = values.map(f32::from_bits);
    let want = if int8 {
        let block = reference::mxint8(&floats, rule).block;
        (block.scale.code(), block.elements.map(|element| element.code()))
    } else {
        let block = reference::mxfp4(&floats, rule).block;
        (block.scale.code(), block.elements.map(|element| element.code()))
    };
    let got = quantised(int8, values);
    ensure(got == want, || format!("{got:?}, not {want:?}"))
}

#[test]
fn blocks_are_quantised_as_defined() {
    let corners = Corners::of(["scale 0", "clamped", "carry", "subnormal"]);
    run(3000, 3, &(any::<bool>(), block()), |(int8, values)| {
        let amax = quantise::maxima(&values).into_iter().max().unwrap();
        let scale = quantise::scale(int8, quantise::maxima(&values));
        corners.hit("scale 0", scale == 0);
        corners.hit("clamped", int8 && amax >= 0x7F7F_0000);
        corners.hit("carry", u32::from(scale) + if int8 { 0 } else { 2 } > amax >> 23);
        corners.hit("subnormal", values.iter().any(|value| value >> 23 & 0xFF == 0));
        check_block(int8, &values, ScaleRule::Even)
    })
    .unwrap();
    corners.covered(20).unwrap();
    for int8 in [false, true] {
        check_block(int8, &[0; BLOCK_LEN], ScaleRule::Even).unwrap();
    }
}

#[test]
fn quantiser_of_another_rule_is_found() {
    let found =
        run(200, 4, &(any::<bool>(), block()), |(int8, values)| check_block(int8, &values, ScaleRule::Floor));
    assert!(found.is_err());
}
