// SPDX-License-Identifier: Apache-2.0
//! Test bench of the float adder.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::float_add::{FloatAdd, Inputs};
use tandem_model::numerics::Float36;
use tandem_model::numerics::float36::{EXPONENT_BIAS, EXPONENT_MAX};
use tandem_model::reference;

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};

/// Property test of `float_add`.
#[derive(Clone, Copy, Debug)]
pub struct FloatBench;

/// One clock.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Add these.
    Add(Float36, Float36),
    /// Hold reset for a clock.
    Reset,
}

const CORNERS: [&str; 9] = [
    "tie to even",
    "carry into the next binade",
    "exact cancellation",
    "long cancellation",
    "saturation",
    "flush to zero",
    "zero operand",
    "everything shifted out",
    "reset in flight",
];

fn float() -> impl Strategy<Value = Float36> {
    let exponent = prop_oneof![
        6 => EXPONENT_BIAS - 30..EXPONENT_BIAS + 30,
        1 => 1..30,
        1 => EXPONENT_MAX - 2..=EXPONENT_MAX,
        1 => 0..=EXPONENT_MAX,
        1 => Just(0),
    ];
    let fraction = prop_oneof![
        4 => 0..1u64 << 23,
        1 => Just(0),
        1 => Just((1 << 23) - 1),
        2 => (0..24u32).prop_map(|n| (1u64 << 23) - (1 << n).min(1 << 23)),
        1 => (0..23u32).prop_map(|n| 1u64 << n),
    ];
    (any::<bool>(), exponent, fraction).prop_map(|(s, e, f)| Float36::from_fields(s, e, f))
}

/// Pairs that are close in exponent or nearly cancel, besides independent ones.
fn pair() -> impl Strategy<Value = (Float36, Float36)> {
    let near = (float(), -27..=27i32, 0..1u64 << 23, any::<bool>())
        .prop_map(|(a, d, f, s)| (a, Float36::from_fields(s, (a.exponent() + d).clamp(0, EXPONENT_MAX), f)));
    let cancelling = (float(), 0..4u64).prop_map(|(a, d)| {
        let fraction = (a.fraction() ^ d) & ((1 << 23) - 1);
        (a, Float36::from_fields(!a.is_negative(), a.exponent(), fraction))
    });
    // b is exactly half a unit in the last place of a.
    let tie = (float(), any::<bool>())
        .prop_map(|(a, s)| (a, Float36::from_fields(s, (a.exponent() - 24).max(0), 0)));
    prop_oneof![2 => (float(), float()), 4 => near, 2 => cancelling, 2 => tie]
}

fn classify(a: Float36, b: Float36, coverage: &mut Coverage) {
    let sum = reference::float::add(a, b);
    let exact = reference::float::Exact::of(a).plus(&reference::float::Exact::of(b));
    let rounded = reference::float::Exact::of(sum.value);
    let distance = (a.exponent() - b.exponent()).abs();
    let nonzero = !a.is_zero() && !b.is_zero();
    coverage.hit_if(nonzero && distance == 24 && (a.fraction() == 0 || b.fraction() == 0), CORNERS[0]);
    coverage.hit_if(nonzero && sum.value.exponent() > a.exponent().max(b.exponent()), CORNERS[1]);
    coverage.hit_if(nonzero && exact.is_zero(), CORNERS[2]);
    let lost = a.exponent().max(b.exponent()) - sum.value.exponent();
    coverage.hit_if(nonzero && !sum.value.is_zero() && lost >= 12, CORNERS[3]);
    coverage.hit_if(sum.saturated, CORNERS[4]);
    coverage.hit_if(sum.value.is_zero() && !exact.is_zero(), CORNERS[5]);
    coverage.hit_if(a.is_zero() != b.is_zero(), CORNERS[6]);
    coverage.hit_if(nonzero && distance > 27 && rounded != exact, CORNERS[7]);
}

impl Bench for FloatBench {
    type Block = FloatAdd;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let op = prop_oneof![60 => pair().prop_map(|(a, b)| Op::Add(a, b)), 1 => Just(Op::Reset)];
        vec(op, 1..800).boxed()
    }

    fn model(&self) -> FloatAdd {
        FloatAdd::default()
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<FloatAdd>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut idle = Inputs::default();
        dut.clock(false, &mut idle)?;
        // Sums that must still come out.
        let mut expected: VecDeque<_> = VecDeque::new();
        let flush = std::iter::repeat_n(Op::Add(Float36::ZERO, Float36::ZERO), FloatAdd::LATENCY);
        for op in case.iter().copied().chain(flush) {
            match op {
                Op::Reset => {
                    dut.clock(false, &mut idle)?;
                    coverage.hit_if(!expected.is_empty(), CORNERS[8]);
                    expected.clear();
                }
                Op::Add(a, b) => {
                    classify(a, b, coverage);
                    dut.clock(true, &mut Inputs { a_i: a, b_i: b })?;
                    expected.push_back((a, b));
                }
            }
            if expected.len() == FloatAdd::LATENCY {
                let (a, b) = expected.pop_front().unwrap_or_default();
                let (want, got) = (reference::float::add(a, b), dut.outputs());
                if (got.sum_o, got.saturated_o) != (want.value, want.saturated) {
                    return Err(WrongAnswer(format!("{a} + {b}: expected {want:?}, got {got:?}")).into());
                }
            }
        }
        coverage.add_cycles((case.len() + FloatAdd::LATENCY + 1) as u64);
        Ok(())
    }
}
