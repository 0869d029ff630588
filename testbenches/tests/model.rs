// SPDX-License-Identifier: Apache-2.0
//! The cycle model against the untimed references, without any RTL.

use std::time::Duration;

use tandem_model::array::Geometry;
use tandem_testbenches::array::ArrayBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::{Bench, ModelOnly};

fn model_answers_as_the_reference<B: Bench>(bench: &B) {
    let limits = Limits { cases: 256, cycles: 100_000, time: Duration::ZERO };
    let outcome = check(bench, limits, 1, |_| Ok(Box::new(ModelOnly { model: bench.model() })), |_| false);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    assert_eq!(outcome.coverage.missing(bench.corners()), Vec::<&str>::new(), "corners never hit");
}

#[test]
fn float_add_adds_as_big_integers_do() {
    model_answers_as_the_reference(&FloatBench);
}

#[test]
fn segment_edges_convert_and_add_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&SegmentBench { geometry });
    }
}

#[test]
fn arrays_answer_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&ArrayBench { geometry });
    }
}
