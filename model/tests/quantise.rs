// SPDX-License-Identifier: Apache-2.0
//! The quantisers on the bits against the quantisers from the definition.

mod support;

use proptest::prelude::*;
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8, Quantised, ScaleRule};
use tandem_model::reference::dot::{e2m1_doubled, mxint8_units};
use tandem_model::reference::float::Exact;
use tandem_model::reference::quantise as reference;

use support::{Corners, run};

type Check = Result<(), String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

/// 2^exponent, for exponents of normal numbers.
fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).expect("normal") << 52)
}

// ---- operands ----

/// Fraction fields of amax around the carries of rule `even`.
const FRACTIONS: [u32; 13] = [
    0, 1, 0x40_0000, 0x5F_FFFF, 0x60_0000, 0x60_0001, 0x7E_FFFF, 0x7F_0000, 0x7F_0001, 0x7F_7FFF, 0x7F_8000,
    0x7F_FFFE, 0x7F_FFFF,
];

fn fraction() -> impl Strategy<Value = u32> {
    prop_oneof![0..=0x7F_FFFFu32, proptest::sample::select(FRACTIONS.to_vec())]
}

fn field() -> impl Strategy<Value = u32> {
    prop_oneof![0..=254u32, 0..=4u32, 100..=150u32, 251..=254u32]
}

/// Magnitudes at most the first one, up to 14 binades below, all signs.
fn spread() -> impl Strategy<Value = [f32; BLOCK_LEN]> {
    let below = proptest::array::uniform32((any::<bool>(), 0..=14u32, fraction()));
    (field(), fraction(), below).prop_map(|(field, top, elements)| {
        let amax = field << 23 | top;
        let mut first = true;
        elements.map(|(negative, down, fraction)| {
            let magnitude =
                if first { amax } else { (field.saturating_sub(down) << 23 | fraction).min(amax) };
            first = false;
            f32::from_bits(u32::from(negative) << 31 | magnitude)
        })
    })
}

/// Elements on the ties of a format and a unit beside them. `top` is amax in the units of the ties, so it
/// sets the scale.
fn ties(
    top: impl Strategy<Value = u16>,
    tie: impl Strategy<Value = u16>,
    fields: impl Strategy<Value = i32>,
) -> impl Strategy<Value = [f32; BLOCK_LEN]> {
    let elements = proptest::array::uniform32((any::<bool>(), tie, -1..=1i32));
    (top, fields, elements).prop_map(|(top, exponent, elements)| {
        let unit = f32::from_bits(u32::try_from(exponent + 127).expect("normal") << 23);
        let mut values = elements.map(|(negative, tie, beside)| {
            let bits = (f32::from(tie) * unit).to_bits().saturating_add_signed(beside);
            f32::from_bits(u32::from(negative) << 31 | bits)
        });
        values[0] = f32::from(top) * unit;
        values
    })
}

/// A block of one other kind: zeros, subnormals, something that is not finite.
fn special() -> impl Strategy<Value = [f32; BLOCK_LEN]> {
    let zeros =
        proptest::array::uniform32(any::<bool>().prop_map(|negative| if negative { -0.0 } else { 0.0 }));
    let subnormals = || {
        proptest::array::uniform32((any::<bool>(), fraction())).prop_map(|all| {
            all.map(|(negative, fraction)| f32::from_bits(u32::from(negative) << 31 | fraction))
        })
    };
    let bad =
        proptest::sample::select(vec![0x7F80_0000u32, 0xFF80_0000, 0x7FC0_0000, 0xFFC0_0001, 0x7F80_0001]);
    let smallest_normal = subnormals().prop_map(|mut values| {
        values[0] = f32::MIN_POSITIVE;
        values
    });
    let poisoned = (spread(), 0..BLOCK_LEN, bad).prop_map(|(mut values, at, bits)| {
        values[at] = f32::from_bits(bits);
        values
    });
    prop_oneof![
        1 => Just([0.0; BLOCK_LEN]).boxed(),
        2 => zeros.boxed(),
        4 => subnormals().boxed(),
        1 => smallest_normal.boxed(),
        4 => poisoned.boxed(),
    ]
}

fn blocks() -> impl Strategy<Value = [f32; BLOCK_LEN]> {
    // Quarters for E2M1: the scale is 1 for amax in 4..8. Halves of 2^-6 for MXINT8: for amax in 1..2.
    let e2m1 = ties(16..=31u16, proptest::sample::select(vec![1u16, 3, 5, 7, 10, 14, 20]), -120..=120i32);
    let int8 = ties(128..=255u16, (0..=127u16).prop_map(|k| 2 * k + 1), -120..=119i32);
    prop_oneof![3 => spread().boxed(), 1 => e2m1.boxed(), 1 => int8.boxed(), 1 => special().boxed()]
}

fn rule() -> impl Strategy<Value = ScaleRule> {
    prop_oneof![Just(ScaleRule::Floor), Just(ScaleRule::Even)]
}

// ---- both quantisers ----

type Fp4 = Quantised<MxFp4Block>;
type Int8 = Quantised<MxInt8Block>;

fn check(
    fp4: impl Fn(&[f32; BLOCK_LEN], ScaleRule) -> Fp4,
    int8: impl Fn(&[f32; BLOCK_LEN], ScaleRule) -> Int8,
    values: &[f32; BLOCK_LEN],
    rule: ScaleRule,
) -> Check {
    let (got, want) = (fp4(values, rule), reference::mxfp4(values, rule));
    ensure(got == want, || format!("MXFP4: {got:?}, not {want:?}"))?;
    let (got, want) = (int8(values, rule), reference::mxint8(values, rule));
    ensure(got == want, || format!("MXINT8: {got:?}, not {want:?}"))
}

fn corners() -> Corners {
    let ties = ["1", "3", "5", "7", "10", "14", "20"];
    let around = ties
        .iter()
        .flat_map(|t| ["below", "at", "above"].map(|side| format!("E2M1 {side} the tie of {t} quarters")));
    let named = [
        "all +0",
        "zeros of both signs",
        "subnormal amax",
        "subnormal amax above every carry",
        "a subnormal among normal numbers",
        "smallest normal amax",
        "+Inf",
        "-Inf",
        "NaN",
        "MXFP4 scale code 0",
        "MXFP4 scale code 1",
        "MXFP4 largest scale code",
        "MXINT8 scale code 0",
        "MXINT8 scale code 1",
        "MXINT8 scale code 254",
        "MXINT8 scale clamped to 254",
        "MXFP4 carry exactly at 1.75",
        "MXFP4 no carry just below 1.75",
        "MXFP4 carry above 1.75",
        "MXINT8 carry exactly at 1.9921875",
        "MXINT8 no carry just below 1.9921875",
        "MXINT8 carry above 1.9921875",
        "E2M1 saturates",
        "E2M1 negative rounds to -0",
        "MXINT8 saturates at 127",
        "MXINT8 saturates at -127",
        "MXINT8 tie down to even",
        "MXINT8 tie up to even",
        "MXINT8 just below a tie",
        "MXINT8 just above a tie",
        "MXINT8 negative rounds to 0",
    ];
    Corners::of(named.map(String::from).into_iter().chain(around))
}

fn count(corners: &Corners, values: &[f32; BLOCK_LEN], rule: ScaleRule) {
    corners.hit("+Inf", values.contains(&f32::INFINITY));
    corners.hit("-Inf", values.contains(&f32::NEG_INFINITY));
    corners.hit("NaN", values.iter().any(|v| v.is_nan()));
    if values.iter().any(|v| !v.is_finite()) {
        return;
    }
    let amax = values.iter().fold(0f32, |amax, v| amax.max(v.abs()));
    corners.hit("all +0", values.iter().all(|v| v.to_bits() == 0));
    corners.hit("zeros of both signs", amax == 0.0 && values.iter().any(|v| v.is_sign_negative()));
    corners.hit("subnormal amax", amax.is_subnormal());
    corners.hit(
        "subnormal amax above every carry",
        amax.is_subnormal() && amax.to_bits() >= 0x7F_8000 && rule == ScaleRule::Even,
    );
    corners
        .hit("a subnormal among normal numbers", amax.is_normal() && values.iter().any(|v| v.is_subnormal()));
    corners.hit("smallest normal amax", amax == f32::MIN_POSITIVE);

    let (fp4, int8) = (reference::mxfp4(values, rule).block, reference::mxint8(values, rule).block);
    corners.hit("MXFP4 scale code 0", fp4.scale.code() == 0 && amax.is_normal());
    corners.hit("MXFP4 scale code 1", fp4.scale.code() == 1);
    corners
        .hit("MXFP4 largest scale code", fp4.scale.code() == if rule == ScaleRule::Even { 253 } else { 252 });
    corners.hit("MXINT8 scale code 0", int8.scale.code() == 0);
    corners.hit("MXINT8 scale code 1", int8.scale.code() == 1);
    corners.hit("MXINT8 scale code 254", int8.scale.code() == 254);
    let fraction = amax.to_bits() & 0x7F_FFFF;
    let even = rule == ScaleRule::Even && amax.is_normal();
    corners.hit("MXINT8 scale clamped to 254", even && amax.to_bits() >> 23 == 254 && fraction >= 0x7F_0000);
    corners.hit("MXFP4 carry exactly at 1.75", even && fraction == 0x60_0000);
    corners.hit("MXFP4 no carry just below 1.75", even && fraction == 0x5F_FFFF);
    corners.hit("MXFP4 carry above 1.75", even && fraction > 0x60_0000);
    corners.hit("MXINT8 carry exactly at 1.9921875", even && fraction == 0x7F_0000);
    corners.hit("MXINT8 no carry just below 1.9921875", even && fraction == 0x7E_FFFF);
    corners.hit("MXINT8 carry above 1.9921875", even && fraction > 0x7F_0000);

    for (i, &v) in values.iter().enumerate() {
        let magnitude = f64::from(v).abs();
        // Exact: powers of two well inside binary64.
        let quarters = magnitude * power_of_two(2 - fp4.scale.exponent().expect("finite"));
        for tie in [1.0, 3.0, 5.0, 7.0, 10.0, 14.0, 20.0] {
            corners.hit(&format!("E2M1 at the tie of {tie} quarters"), quarters == tie);
            corners.hit(
                &format!("E2M1 below the tie of {tie} quarters"),
                quarters < tie && quarters > tie - 1e-5,
            );
            corners.hit(
                &format!("E2M1 above the tie of {tie} quarters"),
                quarters > tie && quarters < tie + 1e-5,
            );
        }
        corners.hit("E2M1 saturates", quarters > 26.0);
        corners.hit("E2M1 negative rounds to -0", v < 0.0 && fp4.elements[i].code() == 8);

        let halves = magnitude * power_of_two(7 - int8.scale.exponent().expect("finite"));
        let units = int8.elements[i].units();
        let tie = halves % 2.0 == 1.0;
        corners.hit("MXINT8 saturates at 127", halves >= 255.0 && units == 127);
        corners.hit("MXINT8 saturates at -127", halves >= 255.0 && units == -127);
        corners.hit("MXINT8 tie down to even", tie && halves < 255.0 && halves % 4.0 == 1.0);
        corners.hit("MXINT8 tie up to even", tie && halves < 255.0 && halves % 4.0 == 3.0);
        corners.hit("MXINT8 just below a tie", !tie && halves % 2.0 < 1.0 && halves % 2.0 > 1.0 - 1e-4);
        corners.hit("MXINT8 just above a tie", !tie && halves % 2.0 > 1.0 && halves % 2.0 < 1.0 + 1e-4);
        corners.hit("MXINT8 negative rounds to 0", v < 0.0 && units == 0);
    }
}

#[test]
fn blocks_quantise_as_the_definition_says() {
    let corners = corners();
    run(4_000, 21, &(blocks(), rule()), |(values, rule)| {
        count(&corners, &values, rule);
        check(MxFp4Block::quantise, MxInt8Block::quantise, &values, rule)
    })
    .unwrap();
    corners.covered(3).unwrap();
}

#[test]
fn a_wrong_quantiser_is_rejected() {
    let rejects = |fp4: &dyn Fn(&[f32; BLOCK_LEN], ScaleRule) -> Fp4,
                   int8: &dyn Fn(&[f32; BLOCK_LEN], ScaleRule) -> Int8,
                   what: &str| {
        let outcome = run(4_000, 21, &(blocks(), rule()), |(values, rule)| check(fp4, int8, &values, rule));
        assert!(outcome.is_err(), "a quantiser that {what} passed");
    };
    let (fp4, int8) = (MxFp4Block::quantise, MxInt8Block::quantise);
    rejects(&|v, _| fp4(v, ScaleRule::Floor), &int8, "knows only floor for MXFP4");
    rejects(&fp4, &|v, _| int8(v, ScaleRule::Even), "knows only even for MXINT8");
    rejects(
        &|v, rule| {
            let mut q = fp4(v, rule);
            q.block.elements = q.block.elements.map(|e| if e.code() == 8 { E2m1::default() } else { e });
            q
        },
        &int8,
        "loses the sign of zero",
    );
    rejects(&|v, rule| Quantised { non_finite: false, ..fp4(v, rule) }, &int8, "keeps quiet about an Inf");
    rejects(
        &fp4,
        &|v, rule| {
            let mut q = int8(v, rule);
            if q.block.scale.code() == 1 {
                q.block.scale = E8m0::from_code(0);
            }
            q
        },
        "takes scale code 0 for 1",
    );
    // Ties away from zero: a unit of the last place outwards before rounding.
    let outwards = |v: &[f32; BLOCK_LEN]| {
        let amax = v.iter().fold(0f32, |amax, v| amax.max(v.abs()));
        v.map(
            |v| if v.is_finite() && v.abs() < amax && v != 0.0 { f32::from_bits(v.to_bits() + 1) } else { v },
        )
    };
    rejects(&|v, rule| fp4(&outwards(v), rule), &int8, "rounds E2M1 ties away");
    rejects(&fp4, &|v, rule| int8(&outwards(v), rule), "rounds MXINT8 ties away");
}

#[test]
fn a_subnormal_amax_gets_scale_code_0_under_either_rule() {
    for bits in [1, 0x40_0000, 0x60_0000, 0x7F_0000, 0x7F_8000, 0x7F_FFFF] {
        let mut values = [0.0; BLOCK_LEN];
        values[7] = f32::from_bits(bits);
        for rule in [ScaleRule::Floor, ScaleRule::Even] {
            assert_eq!(MxFp4Block::quantise(&values, rule).block.scale.code(), 0, "{bits:x} {rule:?}");
            assert_eq!(MxInt8Block::quantise(&values, rule).block.scale.code(), 0, "{bits:x} {rule:?}");
        }
    }
    let smallest_normal = [f32::MIN_POSITIVE; BLOCK_LEN];
    assert_eq!(MxInt8Block::quantise(&smallest_normal, ScaleRule::Even).block.scale.code(), 1);
}

#[test]
fn the_default_rule_is_even() {
    assert_eq!(ScaleRule::default(), ScaleRule::Even);
}

// ---- single elements ----

fn check_element(convert: impl Fn(f32) -> E2m1, value: f32) -> Check {
    // Out of reach of the exact reference: infinity saturates.
    let want = reference::e2m1(if value.is_infinite() { f32::MAX.copysign(value) } else { value });
    let got = convert(value);
    ensure(want.is_none_or(|want| got == want), || format!("{value:e}: {got:?}, not {want:?}"))
}

fn numbers() -> impl Strategy<Value = f32> {
    let near = (
        proptest::sample::select(vec![0.25f32, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 6.0]),
        -2..=2i32,
        any::<bool>(),
    )
        .prop_map(|(v, beside, negative)| {
            let v = f32::from_bits(v.to_bits().saturating_add_signed(beside));
            if negative { -v } else { v }
        });
    prop_oneof![any::<u32>().prop_map(f32::from_bits).boxed(), (-8.0..8.0f32).boxed(), near.boxed()]
}

#[test]
fn single_numbers_round_to_the_nearest_element() {
    run(20_000, 22, &numbers(), |v| check_element(E2m1::from_f32_rne_saturating, v)).unwrap();
    check_element(E2m1::from_f32_rne_saturating, f32::INFINITY).unwrap();
    check_element(E2m1::from_f32_rne_saturating, f32::NEG_INFINITY).unwrap();
}

#[test]
fn an_element_rounded_wrongly_is_rejected() {
    let half_up = |v: f32| E2m1::from_f32_rne_saturating(f32::from_bits(v.to_bits().saturating_add(1)));
    assert!(run(20_000, 22, &numbers(), |v| check_element(half_up, v)).is_err());
}

#[test]
fn element_integers_follow_the_documented_tables() {
    for code in 0..16 {
        let element = E2m1::from_code(code).unwrap();
        assert_eq!(i64::from(element.doubled()), e2m1_doubled(element));
        assert_eq!(f64::from(element.to_f32()) * 2.0, f64::from(element.doubled()));
        assert_eq!((element.code(), element.is_negative()), (code, element.to_f32().is_sign_negative()));
    }
    assert!((16..=255).all(|code| E2m1::from_code(code).is_none()));
    for units in i8::MIN..=i8::MAX {
        let element = Mxint8::new(units);
        assert_eq!(i64::from(units), mxint8_units(element));
        assert_eq!(Mxint8::from_code(element.code()), element);
        assert!((0..=15).contains(&element.low_nibble()) && (-8..=7).contains(&element.high_half()));
        assert_eq!(i16::from(element.low_nibble()) + 16 * i16::from(element.high_half()), i16::from(units));
        assert_eq!(element.to_f32() * 64.0, f32::from(units));
    }
    assert_eq!((E8m0::from_code(0).exponent(), E8m0::from_code(254).exponent()), (Some(-127), Some(127)));
    assert_eq!((E8m0::ONE.exponent(), E8m0::NAN.exponent()), (Some(0), None));
}

// ---- dequantising ----

/// Every value of a block, binary32 and binary64, against `n x 2^(scale + constant)`.
fn check_values(n: i64, scale: E8m0, constant: i32, single: f32, double: f64) -> Check {
    let Some(exponent) = scale.exponent() else {
        return ensure(single.is_nan() && double.is_nan(), || format!("NaN scale: {single:e} {double:e}"));
    };
    let want = Exact::new(n, exponent + constant);
    ensure(double == want.to_f64(), || format!("{double:e}, not {:e}", want.to_f64()))?;
    let overflows = want.abs() >= Exact::new(1, 128);
    let right = if overflows {
        single.is_infinite() && (single < 0.0) == (n < 0)
    } else {
        f64::from(single) == double
    };
    ensure(right, || format!("{single:e}, not {double:e}"))
}

#[test]
fn every_element_under_every_scale_dequantises_exactly() {
    for code in 0..=255u8 {
        let scale = E8m0::from_code(code);
        for first in (0..=255u8).step_by(BLOCK_LEN) {
            let offset = |i: usize| first + u8::try_from(i).unwrap();
            let int8 = MxInt8Block { scale, elements: std::array::from_fn(|i| Mxint8::from_code(offset(i))) };
            let (single, double) = (int8.dequantise_f32(), int8.dequantise_f64());
            for (i, e) in int8.elements.iter().enumerate() {
                check_values(mxint8_units(*e), scale, -6, single[i], double[i]).unwrap();
            }
        }
        let fp4 = MxFp4Block {
            scale,
            elements: std::array::from_fn(|i| E2m1::from_code((i % 16).try_into().unwrap()).unwrap()),
        };
        let (single, double) = (fp4.dequantise_f32(), fp4.dequantise_f64());
        for (i, e) in fp4.elements.iter().enumerate() {
            check_values(e2m1_doubled(*e), scale, -1, single[i], double[i]).unwrap();
            assert!(scale.is_nan() || single[i].is_sign_negative() == e.is_negative());
        }
    }
}

#[test]
fn a_wrong_value_is_rejected() {
    assert!(check_values(3, E8m0::ONE, -1, 1.5, 1.5).is_ok());
    assert!(check_values(3, E8m0::ONE, -1, 1.25, 1.5).is_err());
    assert!(check_values(3, E8m0::ONE, -1, 1.5, 1.25).is_err());
    assert!(check_values(3, E8m0::NAN, -1, 1.5, 1.5).is_err());
    assert!(check_values(-12, E8m0::from_code(254), -1, f32::INFINITY, -12.0 * power_of_two(126)).is_err());
}
