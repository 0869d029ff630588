// SPDX-License-Identifier: Apache-2.0
//! Every device in lockstep: random cases, every register at every clock, answers against the untimed reference.
//!
//! `TANDEM_SEED` searches elsewhere. A failure is shrunk and leaves a replay file and a waveform in `target/failures/`.

use std::path::Path;
use std::time::Duration;

use tandem::engine::FailureFiles;
use tandem::jobs::fuzz::{Options, Report, run};
use tandem::lockstep::Lockstep;
use tandem_model::array::Geometry;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::array::Stream;
use tandem_testbenches::attention::pages::pack;
use tandem_testbenches::attention::suite::cases;
use tandem_testbenches::attention::{EngineDriver, Job, Queries, Session};
use tandem_testbenches::property::Limits;
use tandem_testbenches::random::{Flavour, Source};

fn rtl_equals_model(kind: Kind) {
    rtl_equals_model_in(kind, 256, 100_000);
}

/// In so many cases and clocks of each geometry.
fn rtl_equals_model_in(kind: Kind, cases: u64, cycles: u64) {
    let devices: Vec<_> = Device::ALL.into_iter().filter(|d| d.kind == kind).collect();
    let count = devices.len();
    let limits = Limits { cases, cycles, time: Duration::ZERO };
    let reports = fuzzed(devices, Vec::new(), limits);
    assert_eq!(reports.len(), count);
    for report in reports {
        assert!(report.cases >= cases && report.cycles >= cycles, "{report:?}");
        let missed: Vec<_> = report.corners.iter().filter(|(_, hits)| *hits == 0).collect();
        assert!(missed.is_empty(), "{}: corners never hit: {missed:?}", report.device);
    }
}

fn fuzzed(devices: Vec<Device>, decoders: Vec<Device>, limits: Limits) -> Vec<Report> {
    let seed = std::env::var("TANDEM_SEED").map_or(1, |text| text.parse().expect("TANDEM_SEED is a number"));
    let failure = FailureFiles::below(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/failures"));
    run(&Options { devices, decoders, limits, seed, failure }, |_| {}).unwrap_or_else(|e| panic!("{e:#}"))
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

/// The named suite of attention, its shorter cases: RTL, model and reference give the same bits.
#[test]
fn named_suite_of_attention_in_lockstep() {
    let mut heads = 0;
    for geometry in Geometry::ALL {
        for case in cases().into_iter().filter(|case| case.tokens <= 300) {
            let (session, queries) = case.generate(geometry.rows);
            let pages = pack(&session, geometry);
            let device = Device::of(Kind::Attention, geometry).name;
            let mut engine = Lockstep::linked(device, AttentionEngine::new(geometry), case.seed).unwrap();
            let mut driver = EngineDriver::new(geometry, &mut engine).unwrap();
            let job = Job { session: &session, pages: &pages, queries: &queries, resident: None };
            let results = driver.run(&[job], false, &mut |_| Ok(()));
            let results = results.unwrap_or_else(|e| panic!("{device} {case:?}: {e}"));
            let want: Vec<_> = session.attend(geometry, &queries).into_iter().map(|row| row.values).collect();
            assert_eq!(results[0].values, want, "{device} {case:?}");
            engine.finish().unwrap();
            heads += 1;
        }
    }
    assert!(heads > 100, "{heads} heads");
}

/// Windows at the end of a long session: the upper bits of positions and addresses.
#[test]
fn far_positions_in_lockstep() {
    const TOKENS: usize = 300_000;
    let mut source = Source::new(1, Flavour::Plain);
    let mut stream = || Stream::Fp4((0..2 * TOKENS).map(|_| source.fp4_block()).collect());
    let session = Session { head_dim: 64, keys: stream(), values: stream() };
    for geometry in Geometry::ALL {
        let mut source = Source::new(2, Flavour::Plain);
        let rows: Vec<Vec<_>> =
            (0..geometry.rows).map(|_| vec![source.int8_block(), source.int8_block()]).collect();
        let positions = (0..rows.len()).map(|row| u32::try_from(TOKENS - 1 - row).unwrap()).collect();
        let queries = Queries { rows, positions, causal: true, window: 70 };
        let pages = pack(&session, geometry);
        let device = Device::of(Kind::Attention, geometry).name;
        let mut engine = Lockstep::linked(device, AttentionEngine::new(geometry), 1).unwrap();
        let mut driver = EngineDriver::new(geometry, &mut engine).unwrap();
        let job = Job { session: &session, pages: &pages, queries: &queries, resident: None };
        let results = driver.run(&[job], false, &mut |_| Ok(())).unwrap();
        let want: Vec<_> = session.attend(geometry, &queries).into_iter().map(|row| row.values).collect();
        assert_eq!(results[0].values, want, "{device}");
        engine.finish().unwrap();
    }
}

#[test]
fn framer_in_lockstep() {
    rtl_equals_model(Kind::Framer);
}

#[test]
fn link_endpoints_in_lockstep() {
    rtl_equals_model(Kind::Link);
}

#[test]
fn reader_in_lockstep() {
    rtl_equals_model(Kind::Reader);
}

#[test]
fn command_units_in_lockstep() {
    rtl_equals_model(Kind::Control);
}

#[test]
fn counters_in_lockstep() {
    rtl_equals_model(Kind::Counters);
}

#[test]
fn stream_units_in_lockstep() {
    rtl_equals_model(Kind::Stream);
}

#[test]
fn dma_in_lockstep() {
    rtl_equals_model(Kind::Dma);
}

#[test]
fn gemv_sequencers_in_lockstep() {
    rtl_equals_model(Kind::Gemv);
}

#[test]
fn result_buffers_in_lockstep() {
    rtl_equals_model(Kind::Results);
}

#[test]
fn memory_port_in_lockstep() {
    rtl_equals_model(Kind::Port);
}

#[test]
fn vector_unit_in_lockstep() {
    rtl_equals_model(Kind::Vector);
}

/// A whole core is slow: fewer cases.
#[test]
fn cores_in_lockstep() {
    rtl_equals_model_in(Kind::Core, 100, 0);
}

/// Whole models are slower still; testbenches/tests/decoder.rs has more of them, on the model alone.
#[test]
fn small_core_decodes_in_lockstep() {
    decodes_in_lockstep(Geometry::ALL[0]);
}

#[test]
fn slim_core_decodes_in_lockstep() {
    decodes_in_lockstep(Geometry::ALL[1]);
}

fn decodes_in_lockstep(geometry: Geometry) {
    let limits = Limits { cases: 2, cycles: 0, time: Duration::ZERO };
    let reports = fuzzed(Vec::new(), vec![Device::of(Kind::Core, geometry)], limits);
    assert!(reports.len() == 1 && reports[0].cases == 2 && reports[0].cycles > 0, "{reports:?}");
}

#[test]
fn collectives_in_lockstep() {
    rtl_equals_model(Kind::Collective);
}

#[test]
fn registers_of_the_host_in_lockstep() {
    rtl_equals_model(Kind::Csr);
}
