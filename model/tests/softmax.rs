// SPDX-License-Identifier: Apache-2.0
//! Powers of two and p: the steps of the hardware against the untimed reference, and the bounds of
//! docs/numerics.md, "Softmax".

use std::cmp::Ordering;
use std::path::Path;

use num_bigint::BigUint;
use proptest::prelude::*;
use tandem_model::numerics::Float36;
use tandem_model::numerics::softmax::{POWERS, fix, mantissa, power, quantise, scale};
use tandem_model::reference::softmax as reference;

/// 2^score in the hardware's steps.
fn exp2(score: Float36) -> reference::Power {
    let power = power(fix(scale(score)));
    reference::Power { clamped: power.clamped, exponent: power.exponent, mantissa: power.mantissa }
}

#[test]
fn every_entry_of_the_table_is_the_nearest() {
    for (i, &entry) in (0u32..).zip(&POWERS) {
        // entry - 1/2 <= 2^(i / 64) x 2^15 <= entry + 1/2, doubled, to the 64th.
        let exact = BigUint::from(1u32) << (i + 64 * 16);
        assert!(BigUint::from(2 * entry - 1).pow(64) <= exact, "entry {i} is too large");
        assert!(BigUint::from(2 * entry + 1).pow(64) >= exact, "entry {i} is too small");
        assert_eq!(reference::table_entry(i), entry);
    }
}

#[test]
fn rtl_and_model_have_one_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../rtl/attention/exp2.sv");
    let text = std::fs::read_to_string(path).unwrap();
    let table = text.split("Power [65] = '{").nth(1).unwrap().split('}').next().unwrap();
    let entries: Vec<u32> = table
        .split(',')
        .map(|entry| entry.trim().strip_prefix("17'd").expect("a decimal of 17 bits").parse().unwrap())
        .collect();
    assert_eq!(entries, POWERS);
}

/// The exact mantissa of a fraction, 2^(fraction / 4096) x 2048, against `thousandths / 1000`: 4096th powers of both.
fn compare(fraction: u16, thousandths: i32) -> Ordering {
    let exact = BigUint::from(1000u32).pow(4096) << (u32::from(fraction) + 11 * 4096);
    exact.cmp(&BigUint::from(thousandths.unsigned_abs()).pow(4096))
}

/// Every fraction: monotonic, and less than 0.558 units from the exact power, at 3352 / 4096 more than 0.557.
#[test]
fn mantissas_stay_within_their_bound() {
    let mut before = 0;
    for fraction in 0..4096u16 {
        let m = mantissa(fraction);
        assert!(m >= before && (2048..4096).contains(&m), "fraction {fraction}: {m} after {before}");
        assert_eq!(m, reference::mantissa(u32::from(fraction)));
        let m = 1000 * i32::from(m);
        assert_eq!(compare(fraction, m + 558), Ordering::Less, "fraction {fraction}");
        assert_eq!(compare(fraction, m - 558), Ordering::Greater, "fraction {fraction}");
        before = mantissa(fraction);
    }
    assert_eq!(mantissa(0), 2048);
    let worst = 1000 * i32::from(mantissa(3352));
    assert!(compare(3352, worst + 557) == Ordering::Greater || compare(3352, worst - 557) == Ordering::Less);
}

#[test]
fn every_fraction_is_near_its_power() {
    // 2^-10 is the promise; binary64 is good for 2^-50.
    let worst = (0..4096u16)
        .map(|f| (f64::from(mantissa(f)) / 2048.0 / (f64::from(f) / 4096.0).exp2() - 1.0).abs())
        .fold(0.0, f64::max);
    assert!((2.57e-4..2.58e-4).contains(&worst) && worst < 2f64.powi(-10), "{worst}");
}

#[test]
fn p_of_every_mantissa_is_the_nearest() {
    let power = |exponent, mantissa| reference::Power { clamped: false, exponent, mantissa };
    for mantissa in 2048..4096 {
        for shift in 0..=12u16 {
            let keys = [Some((power(i32::from(shift), 2048), 0)), Some((power(0, mantissa), 0))];
            let want = u16::from(reference::tile_p(&keys).p[1]);
            assert_eq!(quantise(mantissa, shift.min(9)), want, "{mantissa} >> {shift}");
        }
    }
    // A tie, even and odd; half a unit; 255.5 and up.
    assert_eq!(quantise(0b1000_0000_1000, 0), 0b1000_0000);
    assert_eq!(quantise(0b1000_0001_1000, 0), 0b1000_0010);
    assert_eq!((quantise(2048, 8), quantise(2049, 8)), (0, 1));
    assert_eq!((quantise(4087, 0), quantise(4088, 0), quantise(4095, 0)), (255, 255, 255));
}

#[test]
fn scores_at_the_limits() {
    let score = |negative, exponent, fraction| exp2(Float36::from_fields(negative, exponent, fraction));
    let power = |clamped, exponent, mantissa| reference::Power { clamped, exponent, mantissa };
    // 1023 = 1.998046875 x 2^9, and the next larger and smaller.
    let limit = 0x7F_C000;
    assert_eq!(score(false, 2057, limit), power(false, 1023, 2048));
    assert_eq!(score(true, 2057, limit), power(false, -1023, 2048));
    // Half a unit of 2^-12 above: a tie, and 1023 is even.
    assert_eq!(score(false, 2057, limit + 2), power(false, 1023, 2048));
    assert_eq!(score(false, 2057, limit + 3), power(true, 1023, 2048));
    assert_eq!(score(true, 2057, limit + 3), power(true, -1023, 2048));
    assert_eq!(score(false, 2058, 0), power(true, 1023, 2048));
    assert_eq!(score(true, 4095, 0), power(true, -1023, 2048));
    assert_eq!(score(false, 0, 0), power(false, 0, 2048));
    // Half a unit is a tie, and 0 is even; a little more is a unit. Below 0 the floor is -1.
    assert_eq!(score(true, 2048 - 13, 0), power(false, 0, 2048));
    assert_eq!(score(true, 2048 - 13, 1), power(false, -1, 4095));
    assert_eq!(score(true, 1, 1), power(false, 0, 2048));
}

proptest! {
    #[test]
    fn powers_are_the_references(negative: bool, exponent in 2020..2062i32, fraction in 0..1u64 << 23, keep in 0..24u32) {
        let fraction = fraction >> keep << keep;
        let score = Float36::from_fields(negative, exponent, fraction);
        prop_assert_eq!(exp2(score), reference::exp2(score));
    }
}
