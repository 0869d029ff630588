// SPDX-License-Identifier: Apache-2.0
//! Division against exact integers: reciprocals, products as binary32.

mod support;

use proptest::prelude::*;
use tandem_model::numerics::Float36;
use tandem_model::numerics::divide::reciprocal;
use tandem_model::numerics::float36::{EXPONENT_BIAS, EXPONENT_MAX};
use tandem_model::numerics::multiply::{BINARY32, exact, round};
use tandem_model::reference::divide;

use support::{Corners, run};

const FRACTION_MAX: u64 = (1 << 23) - 1;
const FRACTIONS: [u64; 7] = [0, 1, 2, 1 << 22, (1 << 22) + 1, FRACTION_MAX - 1, FRACTION_MAX];

fn fraction() -> impl Strategy<Value = u64> {
    prop_oneof![0..=FRACTION_MAX, proptest::sample::select(FRACTIONS.to_vec())]
}

fn denominator() -> impl Strategy<Value = Float36> {
    let exponent = prop_oneof![
        0..=EXPONENT_MAX,
        EXPONENT_BIAS - 40..=EXPONENT_BIAS + 40,
        EXPONENT_MAX - 2..=EXPONENT_MAX
    ];
    (exponent, fraction()).prop_map(|(exponent, fraction)| Float36::from_fields(false, exponent, fraction))
}

/// A denominator, and a numerator whose quotient lies near an end of binary32's range or anywhere.
fn division() -> impl Strategy<Value = (Float36, Float36)> {
    let distance = prop_oneof![124..=129, -129..=-124, -10..=10, -4095..=4095];
    // Below a power of two: the product is all ones and may round into the next binade.
    let kind = prop_oneof![fraction().prop_map(Some), fraction().prop_map(Some), Just(None)];
    (denominator(), distance, any::<bool>(), kind).prop_map(
        |(denominator, distance, negative, kind): (Float36, i32, bool, Option<u64>)| {
            let inverse = reciprocal(denominator);
            let below = (((1 << 47) - 1) / inverse.significand().max(1 << 23)).min((1 << 24) - 1) - (1 << 23);
            let exponent = (denominator.exponent() + distance).clamp(0, EXPONENT_MAX);
            (Float36::from_fields(negative, exponent, kind.unwrap_or(below)), denominator)
        },
    )
}

fn reciprocal_is_right(give: impl Fn(Float36) -> Float36, value: Float36) -> Result<(), String> {
    let (want, got) = (divide::reciprocal(value).unwrap_or(Float36::ZERO), give(value));
    if want == got { Ok(()) } else { Err(format!("1 / {value:?}: expected {want:?}, got {got:?}")) }
}

#[test]
fn reciprocals_round_as_exact_integers_do() {
    run(200_000, 1, &denominator(), |value| reciprocal_is_right(reciprocal, value)).unwrap();
    // Every significand near the ends of the binade, where a quotient is nearest to a power of two.
    for fraction in (0..4096).chain(FRACTION_MAX - 4095..=FRACTION_MAX) {
        reciprocal_is_right(reciprocal, Float36::from_fields(false, EXPONENT_BIAS, fraction)).unwrap();
    }
}

/// Every denominator of one tile's sums, whatever its power of two.
#[test]
fn reciprocals_of_all_integers_that_a_tile_can_sum_to() {
    for n in 0..=32 * 255 {
        reciprocal_is_right(reciprocal, Float36::from_int(n, -11).value).unwrap();
    }
}

#[test]
fn truncated_reciprocal_is_rejected() {
    let truncated = |value: Float36| {
        let right = reciprocal(value);
        if right.fraction() == 0 { right } else { Float36::canonical(right.bits() - 1) }
    };
    run(1000, 1, &denominator(), |value| reciprocal_is_right(truncated, value)).unwrap_err();
}

#[test]
fn quotients_round_once_to_binary32() {
    let corners = Corners::of(["overflow", "largest", "flushed", "smallest normal", "negative", "tie"]);
    run(200_000, 2, &division(), |(numerator, denominator)| {
        let inverse = reciprocal(denominator);
        let product = exact(numerator, inverse);
        let got = round(product, BINARY32);
        let (want, overflow) = divide::divide(numerator, denominator);
        corners.hit("overflow", overflow);
        corners.hit("largest", !overflow && want & 0x7FFF_FFFF == 0x7F7F_FFFF);
        corners.hit("flushed", want == 0 && product.total != 0);
        corners.hit("smallest normal", want & 0x7FFF_FFFF == 0x0080_0000);
        corners.hit("negative", want >> 31 == 1);
        let kept = if product.total >> 47 == 1 { 24 } else { 23 };
        corners.hit("tie", product.total & ((1 << kept) - 1) == 1 << (kept - 1));
        if (got.bits, got.saturated) == (u64::from(want), overflow) {
            return Ok(());
        }
        Err(format!("{numerator:?} / {denominator:?}: expected {want:08x} {overflow}, got {got:?}"))
    })
    .unwrap();
    corners.covered(10).unwrap();
}

/// The table of docs/numerics.md, "Division".
#[test]
fn table_of_the_numerics_page() {
    let power = |negative, exponent| Float36::from_fields(negative, EXPONENT_BIAS + exponent, 0);
    let three = Float36::from_int(3, 0).value;
    let ones = |exponent| Float36::from_fields(false, EXPONENT_BIAS + exponent, FRACTION_MAX);
    let rows = [
        (Float36::ONE, three, 0x3EAA_AAAB, false),
        (three, three, 0x3F80_0000, false),
        (ones(127), Float36::ONE, 0x7F7F_FFFF, false),
        (power(true, 128), Float36::ONE, 0xFF7F_FFFF, true),
        (ones(-127), Float36::from_fields(false, EXPONENT_BIAS, 1), 0, false),
        (power(false, -126), Float36::ONE, 0x0080_0000, false),
        (power(false, -127), Float36::ONE, 0, false),
        (power(true, -127), Float36::ONE, 0, false),
        (three, Float36::ZERO, 0, false),
    ];
    for (numerator, denominator, bits, overflow) in rows {
        let got = round(exact(numerator, reciprocal(denominator)), BINARY32);
        assert_eq!((got.bits, got.saturated), (u64::from(bits), overflow), "{numerator:?} / {denominator:?}");
        assert_eq!(
            divide::divide(numerator, denominator),
            (bits, overflow),
            "{numerator:?} / {denominator:?}"
        );
    }
}
