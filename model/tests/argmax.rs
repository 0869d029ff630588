// SPDX-License-Identifier: Apache-2.0
//! `argmax` against a search over the features, and a search with a mistake that must be found.

mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Block, Uint, Wide};
use tandem_model::vector::argmax::{Argmax, Inputs};
use tandem_model::vector::types::VectorWord;

use support::{Corners, run};

/// Features of some units.
#[derive(Clone, Debug)]
struct Case {
    /// By unit, bits of binary32.
    units: Vec<Vec<u32>>,
    /// Words come from the last to the first.
    backwards: bool,
    /// Cycles without a word, in the order of words, repeated.
    gaps: Vec<u8>,
}

fn number() -> impl Strategy<Value = u32> {
    let few = prop::sample::select(vec![
        0,
        1 << 31,
        1,
        0x8000_0001,
        0x3F80_0000,
        0x3F80_0001,
        0xBF80_0000,
        0x7F7F_FFFF,
        0xFF7F_FFFF,
        0x7F80_0000,
        0xFFFF_FFFF,
    ]);
    prop_oneof![4 => few, 1 => any::<u32>()]
}

fn case() -> impl Strategy<Value = Case> {
    let negative = vec(number().prop_map(|bits| bits | 1 << 31), 1..60);
    let zeros = vec(prop::sample::select(vec![0, 1 << 31, 0xBF80_0000]), 1..60);
    let all = prop_oneof![3 => vec(number(), 1..200), 1 => vec(number(), 1..20), 1 => negative, 1 => zeros];
    let units = (vec(number(), 0..8), all).prop_flat_map(|(others, first)| {
        // All units have as many features.
        let count = first.len();
        let more = others.iter().map(|_| vec(number(), count..=count)).collect::<Vec<_>>();
        more.prop_map(move |more| std::iter::once(first.clone()).chain(more).collect::<Vec<_>>())
    });
    let units = units.prop_map(|mut units: Vec<Vec<u32>>| {
        units.truncate(8);
        units
    });
    (units, any::<bool>(), vec(0..4u8, 1..10)).prop_map(|(units, backwards, gaps)| Case {
        units,
        backwards,
        gaps,
    })
}

/// What a number is worth: exponent field 255 is one more binade.
fn worth(bits: u32) -> f64 {
    let (field, fraction) = (bits >> 23 & 0xFF, f64::from(bits & 0x7F_FFFF));
    let hidden = if field == 0 { 0.0 } else { f64::from(1 << 23) };
    let exponent = i32::try_from(field.max(1)).expect("8 bits") - 150;
    let magnitude = (hidden + fraction) * 2_f64.powi(exponent);
    if bits >> 31 == 1 { -magnitude } else { magnitude }
}

/// The first of the largest. `later` is the mistake: the last of them.
fn search(features: &[u32], later: bool) -> (u64, u32) {
    let mut best = 0;
    for (at, &feature) in features.iter().enumerate() {
        let (new, old) = (worth(feature), worth(features[best]));
        if new > old || (later && new == old) {
            best = at;
        }
    }
    (best as u64, features[best])
}

/// Runs the words of a case. Indices by unit, then values.
fn found(case: &Case) -> [Wide<32>; 16] {
    let count = case.units[0].len();
    let mut model = Argmax::default();
    // What came before is forgotten.
    let before = Inputs {
        count_i: Wide(16),
        word_i: VectorWord { valid: true, unit: Uint(7), ..VectorWord::default() },
        a_i: [Wide(0x7FFF_FFFF); 16],
        ..Inputs::default()
    };
    model.clock(&before);
    let settle = |model: &mut Argmax| {
        for _ in 0..20 {
            if !model.outputs().busy_o {
                return;
            }
            model.clock(&model.idle_inputs());
        }
        panic!("busy for ever");
    };
    settle(&mut model);
    model.clock(&Inputs { clear_i: true, ..Inputs::default() });
    let mut words: Vec<(usize, usize)> =
        (0..count.div_ceil(16) + 1).flat_map(|g| (0..case.units.len()).map(move |u| (u, g))).collect();
    if case.backwards {
        words.reverse();
    }
    for ((unit, group), gap) in words.into_iter().zip(case.gaps.iter().cycle()) {
        for _ in 0..*gap {
            model.clock(&model.idle_inputs());
        }
        let bits = |lane: usize| case.units[unit].get(16 * group + lane).copied().unwrap_or(0x7FFF_FFFF);
        let word_i = VectorWord {
            valid: true,
            unit: Uint(u16::try_from(unit).expect("few")),
            group: Uint(u16::try_from(group).expect("few")),
            ..VectorWord::default()
        };
        let a_i = std::array::from_fn(|lane| Wide(u64::from(bits(lane))));
        model.clock(&Inputs { clear_i: false, count_i: Wide(count as u64), word_i, a_i });
    }
    settle(&mut model);
    model.outputs().result_o
}

fn check(case: &Case, later: bool) -> Result<(), String> {
    let result = found(case);
    for unit in 0..8 {
        let (index, value) = case.units.get(unit).map_or((0, 0), |features| search(features, later));
        let got = (result[unit].0, result[8 + unit].0);
        if got != (index, u64::from(value)) {
            return Err(format!("unit {unit}: {got:x?}, expected {index} with {value:x}"));
        }
    }
    Ok(())
}

#[test]
fn the_first_of_the_largest_is_found() {
    let corners = Corners::of([
        "one feature",
        "a word that is not full",
        "all units",
        "a tie in a word",
        "a tie of words",
        "a tie of zeros",
        "all negative",
        "field 255",
        "subnormal",
        "backwards",
    ]);
    let outcome = run(600, 1, &case(), |case| {
        check(&case, false)?;
        corners.hit("all units", case.units.len() == 8);
        corners.hit("backwards", case.backwards);
        for features in &case.units {
            let (first, value) = search(features, false);
            let (last, other) = search(features, true);
            corners.hit("one feature", features.len() == 1);
            corners.hit("a word that is not full", features.len() % 16 != 0);
            corners.hit("a tie in a word", first != last && first / 16 == last / 16);
            corners.hit("a tie of words", first / 16 != last / 16);
            corners.hit("a tie of zeros", value != other);
            corners.hit("all negative", worth(value) < 0.0);
            corners.hit("field 255", value >> 23 == 255);
            corners.hit("subnormal", value >> 23 == 0 && value != 0);
        }
        Ok(())
    });
    outcome.unwrap();
    corners.covered(5).unwrap();
}

#[test]
fn a_search_that_takes_the_last_is_caught() {
    assert!(run(600, 1, &case(), |case| check(&case, true)).is_err());
}

#[test]
fn nothing_is_found_without_words() {
    let model = Argmax::default();
    assert!(!model.outputs().busy_o);
    assert_eq!(model.outputs().result_o, [Wide(0); 16]);
}
