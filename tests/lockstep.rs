// SPDX-License-Identifier: Apache-2.0
//! Every device in lockstep: random cases, every register at every clock, answers against the untimed reference.

use std::time::Duration;

use tandem::lockstep::Lockstep;
use tandem_model::array::Geometry;
use tandem_testbenches::array::ArrayBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::{Bench, Dut, DutError};

fn rtl_equals_model<B: Bench>(bench: &B, device: &str) {
    let limits = Limits { cases: 256, cycles: 100_000, time: Duration::ZERO };
    let make = |seed| {
        let engine = Lockstep::linked(device, bench.model(), seed)?;
        Ok::<Box<dyn Dut<B::Block>>, DutError>(Box::new(engine))
    };
    let outcome = check(bench, limits, 1, make, |_| false);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    assert_eq!(outcome.coverage.missing(bench.corners()), Vec::<&str>::new(), "corners never hit");
}

#[test]
fn float_add_in_lockstep() {
    rtl_equals_model(&FloatBench, "float_add");
}

#[test]
fn segment_edges_in_lockstep() {
    for geometry in Geometry::ALL {
        rtl_equals_model(&SegmentBench { geometry }, &format!("segment_edge_{}", geometry.name));
    }
}

#[test]
fn small_array_in_lockstep() {
    rtl_equals_model(&ArrayBench { geometry: Geometry::ALL[0] }, "systolic_array_small");
}

#[test]
fn slim_array_in_lockstep() {
    rtl_equals_model(&ArrayBench { geometry: Geometry::ALL[1] }, "systolic_array_slim");
}
