// SPDX-License-Identifier: Apache-2.0
//! Soft errors: bits that flip in the memories of RTL and model alike, in every engine, in replay files and waveforms. A
//! flip on one side only must be seen.

mod support;

use std::path::Path;

use serde_json::{Value, json};
use support::{Readback, cases, tandem, text};
use tandem::Error;
use tandem::device::RtlDevice;
use tandem::lockstep::{Lockstep, RtlOnly};
use tandem::report::{Mismatch, Side};
use tandem_model::array::Geometry;
use tandem_model::block::{Block, Uint};
use tandem_model::image;
use tandem_model::sram::bank_group::{BankGroup, Inputs};
use tandem_model::sram::types::{BankFill, BankRead, Region};
use tandem_testbenches::sram::{CampaignReport, SramBench, campaign};
use tandem_testbenches::{Bench, Coverage, Dut};

const DEVICE: &str = "bank_group_slim";
const GEOMETRY: Geometry = Geometry::ALL[1];
/// Address 5 is word 1 of bank 1.
const ADDRESS: u16 = 5;
const MEMORY: &str = "gen_bank[1].u_bank.gen_column[2].data_q";
const ENTRY: usize = 1;

fn idle() -> Inputs {
    BankGroup::new(GEOMETRY).idle_inputs()
}

fn read() -> Inputs {
    Inputs { read_i: BankRead { valid: true, streamed: false, address: Uint(ADDRESS) }, ..idle() }
}

/// RTL and model that hold a word at `ADDRESS`, apart from any engine.
fn apart() -> (RtlDevice, BankGroup) {
    let mut rtl = RtlDevice::linked(DEVICE, 3).unwrap();
    let mut model = BankGroup::new(GEOMETRY);
    let fill = BankFill { valid: true, region: Region::Resident, address: Uint(ADDRESS) };
    let fill = Inputs { fill_i: fill, fill_data_i: vec![Uint(0xA5); GEOMETRY.word_bytes()], ..idle() };
    let (mut registers, mut outputs) = (vec![0; rtl.register_bytes()], vec![0; rtl.output_bytes()]);
    for (rst_ni, mut inputs) in [(false, idle()), (true, fill), (true, idle()), (true, idle())] {
        let mut image = Vec::new();
        image::pack(&mut inputs, &mut image);
        rtl.step(rst_ni, &image, &mut registers, &mut outputs).unwrap();
        if rst_ni { model.clock(&inputs) } else { model.reset() }
    }
    (rtl, model)
}

fn memory_number() -> usize {
    let memories = image::fields(&mut BankGroup::new(GEOMETRY)).memories;
    memories.iter().position(|f| f.path == MEMORY).unwrap()
}

fn engine((rtl, model): (RtlDevice, BankGroup)) -> Lockstep<BankGroup> {
    Lockstep::with_device(DEVICE, rtl, model, 3)
}

fn mismatch(error: Error) -> Mismatch {
    match error {
        Error::Mismatch(report) => *report,
        other => panic!("no mismatch but {other}"),
    }
}

const ERRORS: u64 = 10_000;

fn sound(report: CampaignReport) {
    assert_eq!(
        report,
        CampaignReport { injected: ERRORS, corrected: ERRORS / 2, detected: ERRORS / 2, silent: 0 }
    );
}

#[test]
fn flips_on_both_sides_stay_equal() {
    let mut engine = Lockstep::linked(DEVICE, BankGroup::new(GEOMETRY), 1).unwrap();
    sound(campaign(GEOMETRY, &mut engine, ERRORS, 1).unwrap());
    engine.finish().unwrap();
}

#[test]
fn flips_with_the_model_beside_stay_equal() {
    let mut engine = Lockstep::linked(DEVICE, BankGroup::new(GEOMETRY), 2).unwrap();
    engine.beside();
    sound(campaign(GEOMETRY, &mut engine, ERRORS, 2).unwrap());
    engine.finish().unwrap();
}

#[test]
fn flips_in_the_rtl_alone_are_corrected_and_detected() {
    let mut rtl = RtlOnly::linked(DEVICE, &BankGroup::new(GEOMETRY), 3).unwrap();
    sound(campaign(GEOMETRY, &mut rtl, ERRORS, 3).unwrap());
    for (memory, entry, bit) in [("no_q", 0, 0), (MEMORY, 256, 0), (MEMORY, 0, 64)] {
        assert!(Dut::upset(&mut rtl, memory, entry, bit).is_err(), "took bit {bit} of {memory}[{entry}]");
    }
}

#[test]
fn flip_in_the_rtl_only_is_found() {
    let flipped = || {
        let (mut rtl, model) = apart();
        rtl.flip(memory_number(), ENTRY, 9).unwrap();
        (rtl, model)
    };
    one_sided(flipped);
}

#[test]
fn flip_in_the_model_only_is_found() {
    let flipped = || {
        let (rtl, mut model) = apart();
        image::flip(&mut model, MEMORY, ENTRY, 9).unwrap();
        (rtl, model)
    };
    one_sided(flipped);
}

/// By the comparison of memories, and at once when somebody reads the word. Without a flip there is nothing to find.
fn one_sided(flipped: impl Fn() -> (RtlDevice, BankGroup)) {
    for beside in [false, true] {
        let prepared = |sides| {
            let mut engine = engine(sides);
            if beside {
                engine.beside();
            }
            engine.step(true, &mut idle()).unwrap();
            engine
        };
        prepared(apart()).finish().unwrap();
        let report = mismatch(prepared(flipped()).finish().unwrap_err());
        let first = &report.differences[0];
        assert_eq!((first.side, first.name()), (Side::Memory, format!("{MEMORY}[{ENTRY}]")));

        let mut engine = prepared(flipped());
        let error = engine.step(true, &mut read()).and_then(|()| engine.finish().map(|_| ())).unwrap_err();
        let report = mismatch(error);
        let first = &report.differences[0];
        assert_eq!((first.side, report.cycle), (Side::Register, 1));
        assert_eq!(first.name(), MEMORY.replace("data_q", "read_data_q"));
    }
}

#[test]
fn bit_that_holds_nothing_is_refused() {
    for beside in [false, true] {
        let mut engine = engine(apart());
        if beside {
            engine.beside();
        }
        let mut refused = |memory: &str, entry, bit, why: &str| {
            let error = engine.upset(memory, entry, bit).unwrap_err();
            assert!(matches!(error, Error::Upset { .. }) && error.to_string().contains(why), "{error}");
        };
        refused("gen_bank[1].u_bank.gen_column[2]", ENTRY, 0, "no memory");
        refused("gen_bank[1].u_bank.gen_column[2].read_data_q", ENTRY, 0, "no memory");
        refused(&MEMORY.replace("[1]", "[4]"), ENTRY, 0, "no memory");
        refused(MEMORY, 256, 0, "256 entries");
        refused(MEMORY, ENTRY, 64, "64 bits");
        refused(MEMORY, ENTRY + 1, 0, "nobody has written");
        engine.upset(MEMORY, ENTRY, 63).unwrap();
        engine.step(true, &mut read()).unwrap();
        engine.finish().unwrap();
    }
}

/// A recorded case with soft errors; the file.
fn recorded(folder: &Path) -> Value {
    let bench = SramBench { geometry: GEOMETRY };
    let path = folder.join("run.json");
    for case in cases(&bench) {
        let mut engine = Lockstep::linked(DEVICE, bench.model(), 5).unwrap();
        bench.run(&case, &mut engine, &mut Coverage::default()).unwrap();
        engine.finish().unwrap();
        engine.recording().write(&path).unwrap();
        let file: Value = serde_json::from_str(&text(&path)).unwrap();
        if file["upsets"].as_array().is_some_and(|upsets| upsets.len() > 2) {
            return file;
        }
        // Without soft errors the file is one of the first version.
        assert_eq!(file["tandem_replay"], 1);
    }
    unreachable!("there are endless cases");
}

#[test]
fn recording_with_soft_errors_replays() {
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(folder.path());
    assert_eq!(file["tandem_replay"], 2);
    let ran = tandem(folder.path(), None, &["replay", "run.json"]);
    ran.good().unwrap();
    assert!(ran.stdout.contains("equal at every clock"), "{}", ran.stdout);
}

#[test]
fn impossible_soft_error_in_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = recorded(folder.path());
    let says = |change: &dyn Fn(&mut Value), parts: &[&str]| {
        let mut file = whole.clone();
        change(&mut file);
        assert_ne!(file, whole);
        std::fs::write(folder.path().join("bad.json"), file.to_string()).unwrap();
        let ran = tandem(folder.path(), None, &["replay", "bad.json"]);
        ran.refused(&["bad.json"]).and_then(|()| ran.refused(parts)).unwrap();
    };
    says(&|f| f["tandem_replay"] = json!(1), &["version 1 has no upsets"]);
    says(&|f| f["upsets"][0]["cycle"] = json!(u64::MAX), &["order of cycles"]);
    says(&|f| f["upsets"][0]["memory"] = json!("no_q"), &["no memory `no_q`"]);
    says(&|f| f["upsets"][0]["bit"] = json!(64), &["64 bits"]);
    says(&|f| f["upsets"][0]["entry"] = json!(100_000), &["entries"]);
    says(&|f| f["upsets"][0]["cycle"] = json!(0), &["nobody has written"]);
    says(&|f| f["upsets"][0]["more"] = json!(0), &["not a replay file"]);
}

/// The run that makes the waveform goes back to a snapshot: the flips since then happen again, once, the one right behind
/// the snapshot included.
#[test]
fn waveform_around_a_failure_shows_the_soft_error() {
    let folder = tempfile::tempdir().unwrap();
    let wave = folder.path().join("failure.vcd");
    let (mut rtl, model) = apart();
    // What fails in the end: the next codeword of the same word, on one side.
    rtl.flip(memory_number() + 2, ENTRY, 0).unwrap();
    let mut engine = engine((rtl, model));
    engine.on_failure(None, Some(wave.clone()));
    engine.upset(MEMORY, ENTRY, 9).unwrap();
    let report = mismatch(engine.step(true, &mut read()).unwrap_err());
    assert_eq!(report.cycle, 0);
    let read = Readback::of(&wave);
    // A clock after the failure both words are decoded: codeword 2 is wrong on both sides, codeword 3 in the RTL.
    assert_eq!(read.at("bank_group_slim.rtl.corrected_q", 2), Ok("1100"));
    assert_eq!(read.at("bank_group_slim.rtl.corrected_q_model", 2), Ok("0100"));
}
