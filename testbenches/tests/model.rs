// SPDX-License-Identifier: Apache-2.0
//! The cycle model against the untimed references, without any RTL.

use std::time::Duration;

use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::reference::dot::{Row, gemv_row_f64};
use tandem_testbenches::array::{ArrayBench, ArrayDriver, Matrix, Stationary, Stream, run_gemv};
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::normaliser::NormaliserBench;
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::random::{Flavour, Source};
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

#[test]
fn normalisers_divide_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&NormaliserBench { geometry });
    }
}

/// The bound of docs/numerics.md, with scales spread so far that sums must round.
#[test]
fn long_contractions_round_and_stay_within_the_bound() {
    let geometry = Geometry::ALL[0];
    let (features, blocks) = (64, 96);
    let mut source = Source::new(3, Flavour::Plain);
    let weights: Vec<_> = (0..features * blocks).map(|_| source.fp4_block()).collect();
    let x: Vec<_> = (0..blocks).map(|_| source.int8_block()).collect();
    let matrix = Matrix { features, blocks, weights: Stream::Fp4(weights.clone()) };
    let mut dut = ModelOnly { model: SystolicArray::new(geometry) };
    let mut driver = ArrayDriver::new(geometry, &mut dut).unwrap();
    let stationary = Stationary { blocks, values: x.clone() };
    let run = run_gemv(&mut driver, &matrix, &stationary, &mut |_| Ok(())).unwrap();

    let gamma = 95.0 * 2f64.powi(-24) / (1.0 - 95.0 * 2f64.powi(-24));
    let mut rounded = 0;
    for (feature, row) in weights.chunks(blocks).enumerate() {
        let (exact, magnitudes) = gemv_row_f64(Row::MxFp4(row), &x);
        let error = (run.results[feature * geometry.rows].to_f64() - exact).abs();
        assert!(
            error <= gamma * magnitudes,
            "feature {feature}: error {error}, bound {}",
            gamma * magnitudes
        );
        rounded += u32::from(error > 0.0);
    }
    assert!(rounded > 32, "only {rounded} of 64 sums rounded at all");
}
