// SPDX-License-Identifier: Apache-2.0
//! Every device in lockstep: random cases, every register at every clock, answers against the untimed reference.
//!
//! `TANDEM_SEED` searches elsewhere. A failure is shrunk and leaves a replay file and a waveform in `target/failures/`.

use std::path::Path;
use std::time::Duration;

use tandem::engine::FailureFiles;
use tandem::jobs::fuzz::{Options, run};
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::property::Limits;

fn rtl_equals_model(kind: Kind) {
    let seed = std::env::var("TANDEM_SEED").map_or(1, |text| text.parse().expect("TANDEM_SEED is a number"));
    let devices: Vec<_> = Device::ALL.into_iter().filter(|d| d.kind == kind).collect();
    let failure = FailureFiles::below(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/failures"));
    let limits = Limits { cases: 256, cycles: 100_000, time: Duration::ZERO };
    let reports = run(&Options { devices: devices.clone(), limits, seed, failure }, |_| {});
    let reports = reports.unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(reports.len(), devices.len());
    for report in reports {
        assert!(report.cases >= 256 && report.cycles >= 100_000, "{report:?}");
        let missed: Vec<_> = report.corners.iter().filter(|(_, hits)| *hits == 0).collect();
        assert!(missed.is_empty(), "{}: corners never hit: {missed:?}", report.device);
    }
}

#[test]
fn float_add_in_lockstep() {
    rtl_equals_model(Kind::Float);
}

#[test]
fn segment_edges_in_lockstep() {
    rtl_equals_model(Kind::Segment);
}

#[test]
fn arrays_in_lockstep() {
    rtl_equals_model(Kind::Array);
}

#[test]
fn bank_groups_in_lockstep() {
    rtl_equals_model(Kind::Sram);
}

#[test]
fn softmax_in_lockstep() {
    rtl_equals_model(Kind::Softmax);
}

#[test]
fn attention_engines_in_lockstep() {
    rtl_equals_model(Kind::Attention);
}

#[test]
fn normalisers_in_lockstep() {
    rtl_equals_model(Kind::Normaliser);
}

#[test]
fn framer_in_lockstep() {
    rtl_equals_model(Kind::Framer);
}
