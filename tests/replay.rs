// SPDX-License-Identifier: Apache-2.0
//! Replay files: a recording runs again as it was, a damaged one is refused, and the one that a failing run leaves
//! shows the failure again.

mod support;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use support::{Readback, Witness, cases, files, layout_findings, project, tandem, text};
use tandem::Error;
use tandem::device::RtlDevice;
use tandem::lockstep::{Lockstep, SNAPSHOT_INTERVAL};
use tandem::replay::{Recording, write_atomically};
use tandem::report::Mismatch;
use tandem_model::array::Geometry;
use tandem_model::array::float_add::FloatAdd;
use tandem_model::block::Block;
use tandem_model::devices::Device;
use tandem_model::image;
use tandem_testbenches::array::ArrayBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::{Bench, Coverage};
use tandem_verilate::{Kind, Ports, Spec, Verilator};
use tempfile::TempDir;

/// Runs one case on a linked device and writes what went in to `run.json`; cycles, registers and bits.
fn recorded<B: Bench>(bench: &B, device: &str, folder: &Path) -> (u64, u64, u64) {
    let mut engine = Lockstep::linked(device, bench.model(), 5).unwrap();
    engine.originate("a test".to_owned());
    let case = cases(bench).next().unwrap();
    bench.run(&case, &mut engine, &mut Coverage::default()).unwrap();
    let totals = engine.finish().unwrap();
    engine.recording().write(&folder.join("run.json")).unwrap();
    (totals.cycles, totals.registers, totals.bits)
}

fn replays<B: Bench>(bench: &B, device: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (cycles, registers, bits) = recorded(bench, device, folder.path());
    let ran = tandem(folder.path(), None, &["replay", "run.json"]);
    ran.good().unwrap();
    let line =
        format!("{device}: {cycles} cycles, {registers} registers ({bits} bits) equal at every clock\n");
    assert_eq!(ran.stdout, line);
    // The waveform of all of it.
    for wave in ["replay.vcd", "replay.fst"] {
        tandem(folder.path(), None, &["replay", "run.json", "--wave", wave]).good().unwrap();
        let read = Readback::of(&folder.path().join(wave));
        assert_eq!(read.end, 2 * cycles, "{wave}");
        let (findings, _) = layout_findings(&folder.path().join(wave), &read);
        assert_eq!(findings, Vec::<String>::new(), "{wave}");
    }
}

#[test]
fn recording_of_float_add_replays() {
    replays(&FloatBench, "float_add");
}

#[test]
fn recording_of_slim_segment_edge_replays() {
    replays(&SegmentBench { geometry: Geometry::ALL[1] }, "segment_edge_slim");
}

#[test]
fn recording_of_slim_array_replays() {
    replays(&ArrayBench { geometry: Geometry::ALL[1] }, "systolic_array_slim");
}

fn float_inputs() -> Vec<image::Field> {
    Ports::of(&FloatAdd::default()).inputs
}

#[test]
fn file_holds_the_recording_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let mut witness =
        Witness::new(Lockstep::linked("float_add", FloatAdd::default(), 5).unwrap(), FloatAdd::default());
    let case = cases(&FloatBench).next().unwrap();
    FloatBench.run(&case, &mut witness, &mut Coverage::default()).unwrap();
    witness.engine.recording().write(&path).unwrap();
    let read = Recording::read(&path, &float_inputs()).unwrap();
    assert_eq!((read.len(), read.seed), (witness.clocks.len() as u64, 5));
    for (cycle, clock) in (0..).zip(&witness.clocks) {
        assert_eq!(read.at(cycle), (clock.rst_ni, clock.inputs.as_slice()), "cycle {cycle}");
    }
    // The folder holds the file and no temporary one.
    assert_eq!(files(folder.path()).len(), 1);
}

// ---- damaged files ----

/// A recording with something changed, and what the program says to it.
struct Damaged {
    folder: TempDir,
    whole: Value,
}

impl Damaged {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        recorded(&FloatBench, "float_add", folder.path());
        let whole = serde_json::from_str(&text(&folder.path().join("run.json"))).unwrap();
        Self { folder, whole }
    }

    fn says(&self, text: &str, parts: &[&str]) -> Result<(), String> {
        std::fs::write(self.folder.path().join("bad.json"), text).unwrap();
        let ran = tandem(self.folder.path(), None, &["replay", "bad.json", "--wave", "bad.vcd"]);
        ran.refused(&["bad.json"]).and_then(|()| ran.refused(parts))?;
        if self.folder.path().join("bad.vcd").exists() {
            Err("a waveform of nothing".to_owned())
        } else {
            Ok(())
        }
    }

    fn with(&self, change: impl Fn(&mut Value), parts: &[&str]) {
        let mut file = self.whole.clone();
        change(&mut file);
        assert_ne!(file, self.whole);
        self.says(&file.to_string(), parts).unwrap();
    }
}

#[test]
fn truncated_or_foreign_file_is_refused() {
    let damaged = Damaged::new();
    let whole = damaged.whole.to_string();
    let expected = "expected the JSON that a failing run writes";
    for text in ["", "{}", "[]", "no JSON", &whole[..whole.len() / 2], &format!("{whole}}}")] {
        damaged.says(text, &["not a replay file", expected]).unwrap();
    }
    damaged.with(|f| f["more"] = json!(1), &["not a replay file", "more"]);
    damaged.with(|f| f["cycles"][0]["more"] = json!(1), &["not a replay file", "more"]);
    damaged.with(|f| f["seed"] = json!(-1), &["not a replay file", "-1"]);
    std::fs::write(damaged.folder.path().join("run.json"), [0xff, 0xfe, 0]).unwrap();
    tandem(damaged.folder.path(), None, &["replay", "run.json"]).refused(&["run.json", "UTF-8"]).unwrap();
}

#[test]
fn file_of_another_version_is_refused_by_its_version() {
    let damaged = Damaged::new();
    let parts = ["format version 3", "reads 1 to 2", "program that wrote it"];
    damaged.with(|f| f["tandem_replay"] = json!(3), &parts);
    // A later version has other keys; still it is the version that is wrong.
    damaged.with(|f| (f["tandem_replay"], f["more"]) = (json!(3), json!(1)), &parts);
}

#[test]
fn file_of_another_device_or_geometry_is_refused() {
    let damaged = Damaged::new();
    damaged.with(
        |f| f["device"] = json!("float_sub"),
        &["`float_sub`", "float_add, segment_edge_small", "program that wrote it"],
    );
    let parts = ["another geometry: 9 rows x 2 segments", "8 x 2", "built for that geometry"];
    damaged.with(|f| f["rows"] = json!(9), &parts);
    damaged.with(|f| f["segments"] = json!(null), &["8 rows x ? segments"]);
    // Its ports are not the array's.
    let array = Device::by_name("systolic_array_small").unwrap();
    damaged.with(|f| f["device"] = json!(array.name), &["no input `a_i`", "beat_i"]);
}

#[test]
fn unknown_port_or_impossible_value_is_refused() {
    let damaged = Damaged::new();
    let inputs = |digits: &str| {
        let digits = digits.to_owned();
        move |f: &mut Value| f["cycles"][1]["inputs"] = json!({ "a_i": digits })
    };
    damaged.with(
        |f| f["cycles"][1]["inputs"] = json!({ "c_i": "00" }),
        &["no input `c_i`", "expected a_i, b_i"],
    );
    // 36 bits take 8 bytes: 16 digits, no sign, no other alphabet.
    for digits in [
        "",
        "12",
        "000000000000000",
        "00000000000000000",
        "000000000000000x",
        "+0+0+0+0+0+0+0+0",
        "é00000000000000",
    ] {
        damaged.with(inputs(digits), &["input `a_i` takes 16 hex digits", digits]);
    }
    // A bit above the 36 of the port; a zero exponent with a fraction, which is no float.
    for digits in ["0000000010000000", "0100000000000000"] {
        damaged.with(inputs(digits), &["cycle 1", "a value that its port cannot have"]);
    }
}

#[test]
fn empty_or_endless_file_is_refused() {
    let damaged = Damaged::new();
    damaged.with(|f| f["cycles"] = json!([]), &["no cycles"]);
    damaged.with(|f| f["cycles"] = json!([{ "times": 0 }]), &["no cycles"]);
    damaged.with(|f| f["cycles"][0]["times"] = json!(u64::MAX), &["more than"]);
    damaged.with(|f| f["cycles"] = json!([{ "times": 1u64 << 63 }, { "times": 1u64 << 63 }]), &["more than"]);
}

/// The checker itself: it must not take a good file for a refused one.
#[test]
fn whole_file_is_not_refused() {
    let damaged = Damaged::new();
    let error = damaged.says(&damaged.whole.to_string(), &[]).unwrap_err();
    assert!(error.contains("Some(0) instead of 2"), "{error}");
    let error = damaged.says("", &["no such words"]).unwrap_err();
    assert!(error.contains("is not in"), "{error}");
}

// ---- a failure ----

/// The mutant whose float adder rounds ties away from zero.
const MUTANT: &str = "rounding_ties_away";

/// The mutated adder, built where `tests/mutants.rs` builds it too.
fn mutated() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let patch = text(&project().join(format!("testbenches/mutants/{MUTANT}.patch")));
        let diff = &patch[patch.find("--- a/").expect("a unified diff")..];
        let diff = diffy::Patch::from_str(diff).expect("a unified diff");
        let folder = project().join("target/mutants").join(MUTANT);
        let mut rtl = files(&project().join("rtl"));
        let adder = rtl.get_mut(Path::new("array/float_add.sv")).expect("the adder");
        *adder = diffy::apply(str::from_utf8(adder).unwrap(), &diff).unwrap().into_bytes();
        for (path, bytes) in &rtl {
            let path = folder.join("rtl").join(path);
            if std::fs::read(&path).ok().as_ref() != Some(bytes) {
                write_atomically(&path, bytes).unwrap();
            }
        }
        let spec = Spec::of_device(Device::by_name("float_add").unwrap(), &folder);
        let verilator = Verilator::find(project()).unwrap();
        let (cpp, cache) = (project().join("cosim/cpp"), project().join("target/verilated"));
        tandem_verilate::build(&spec, &verilator, &cpp, &cache, Kind::Shared).unwrap().library
    })
}

/// A lockstep run of the mutant that ends in a mismatch after more than 16 cycles.
struct Failure {
    folder: TempDir,
    report: Mismatch,
    clocks: Vec<support::Clock>,
}

fn mutant(seed: u64) -> Lockstep<FloatAdd> {
    let rtl = RtlDevice::loaded(mutated(), "float_add", seed).unwrap();
    Lockstep::with_device("float_add", rtl, FloatAdd::default(), seed)
}

fn mismatch(error: Error) -> Mismatch {
    match error {
        Error::Mismatch(report) => *report,
        other => panic!("no mismatch but {other}"),
    }
}

fn failure() -> Failure {
    let folder = tempfile::tempdir().unwrap();
    for (seed, case) in (1..100).zip(cases(&FloatBench)) {
        let mut engine = mutant(seed);
        engine.originate("a test".to_owned());
        let [replay, wave] = ["failure.json", "failure.vcd"].map(|name| folder.path().join(name));
        engine.on_failure(Some(replay), Some(wave));
        let mut witness = Witness::new(engine, FloatAdd::default());
        let verdict = FloatBench.run(&case, &mut witness, &mut Coverage::default());
        let Some(error) = verdict.err() else { continue };
        let report = mismatch(*error.downcast::<Error>().expect("an error of the engine"));
        if report.cycle > 30 {
            return Failure { folder, report, clocks: witness.clocks };
        }
    }
    panic!("the mutant survives");
}

fn hex(bits: &[bool]) -> String {
    let word = bits.iter().rev().fold(0u64, |word, &bit| word << 1 | u64::from(bit));
    format!("{word:0width$x}", width = bits.len().div_ceil(4))
}

/// What a report must say and does not.
fn missing(failure: &Failure, report: &str) -> Vec<String> {
    let Failure { report: mismatch, clocks, folder } = failure;
    let first = &mismatch.differences[0];
    let differing: Vec<_> = first.rtl.iter().zip(&first.model).map(|(a, b)| a != b).collect();
    let mut parts = vec![
        format!("MISMATCH in float_add at cycle {} (seed {})", mismatch.cycle, mismatch.seed),
        "block float_add, register rounded_q\n".to_owned(),
        // The two values in hex, decoded behind it; then the bits that differ.
        format!("RTL    {}  saturated=0 value=", hex(&first.rtl)),
        format!("model  {}  saturated=0 value=", hex(&first.model)),
        format!("bits   {}\n", hex(&differing)),
        "inputs of the last 16 cycles\n".to_owned(),
        format!("waveform {}\n", folder.path().join("failure.vcd").display()),
        format!("replay file {}\n", folder.path().join("failure.json").display()),
        format!("replay with: tandem replay {}", folder.path().join("failure.json").display()),
    ];
    // Both sides decoded as floats, from the model that the engine does not know and the bits that differ.
    let value = |bits: &[bool]| {
        let word = bits[..36].iter().rev().fold(0u64, |word, &bit| word << 1 | u64::from(bit));
        tandem_model::numerics::Float36::canonical(word).to_string()
    };
    parts.extend([value(&first.rtl), value(&first.model)]);
    // Each of the last 16 cycles with both operands, as the model prints them.
    for cycle in mismatch.cycle - 15..=mismatch.cycle {
        let clock = &clocks[usize::try_from(cycle).unwrap()];
        let mut inputs = FloatAdd::default().idle_inputs();
        assert!(image::unpack(&clock.inputs, &mut inputs));
        let line = report.lines().find(|line| line.split_whitespace().next() == Some(&cycle.to_string()));
        let operands = [("a_i", inputs.a_i), ("b_i", inputs.b_i)].into_iter().filter(|(_, v)| !v.is_zero());
        for (port, value) in operands {
            let text = format!("{port}={value}");
            if !line.is_some_and(|line| line.contains(&text)) {
                parts.push(format!("{cycle}: {text}"));
            }
        }
    }
    parts.retain(|part| !report.contains(part.as_str()));
    parts
}

#[test]
fn report_of_a_mismatch_says_everything() {
    let failure = failure();
    let report = failure.report.to_string();
    assert_eq!(missing(&failure, &report), Vec::<String>::new(), "{report}");
    // The value that the report calls the model's is that of a model of our own.
    let clock = &failure.clocks[usize::try_from(failure.report.cycle).unwrap()];
    let registers = image::fields(&mut FloatAdd::default()).registers;
    let rounded = registers.iter().find(|f| f.path == "rounded_q").unwrap();
    assert_eq!(failure.report.differences[0].model, rounded.element(&clock.registers, 0));
    assert_eq!(failure.clocks.len() as u64, failure.report.cycle + 1, "it stops at the first mismatch");
}

#[test]
fn report_that_leaves_something_out_is_found() {
    let failure = failure();
    let report = failure.report.to_string();
    let cycle = failure.report.cycle;
    let without = |what: &dyn Fn(&str) -> bool| {
        let kept: Vec<_> = report.lines().filter(|line| !what(line.trim_start())).collect();
        missing(&failure, &format!("{}\n", kept.join("\n")))
    };
    for start in
        ["MISMATCH", "block", "RTL", "model", "bits", "inputs of", "waveform", "replay file", "replay with"]
    {
        assert!(!without(&|line| line.starts_with(start)).is_empty(), "{start} is not missed");
    }
    for cycle in [cycle - 15, cycle] {
        let line = format!("{cycle} ");
        assert!(!without(&|text| text.starts_with(&line)).is_empty(), "cycle {cycle} is not missed");
    }
}

#[test]
fn waveform_of_a_failure_shows_it() {
    let failure = failure();
    let wave = failure.folder.path().join("failure.vcd");
    let (read, cycle) = (Readback::of(&wave), failure.report.cycle);
    let first = &failure.report.differences[0];
    let digits = |bits: &[bool]| bits.iter().rev().map(|&b| if b { '1' } else { '0' }).collect::<String>();
    let at = |name: &str, cycle: u64| read.at(&format!("float_add.{name}"), 2 * cycle).unwrap().to_owned();
    assert_eq!(at("rtl.rounded_q", cycle), digits(&first.rtl));
    assert_eq!(at("rtl.rounded_q_model", cycle), digits(&first.model));
    for (cycle, differs) in [(cycle - 1, "0"), (cycle, "1")] {
        assert_eq!(at("mismatch", cycle), differs);
        assert_eq!(at("rtl.rounded_q_differs", cycle), differs);
        assert_eq!(at("rtl.aligned_q_differs", cycle), "0");
    }
    assert!((0..cycle).all(|cycle| at("mismatch", cycle) == "0"));
    assert!(read.end > 2 * cycle + 2, "it goes on behind the failure");
    let (findings, _) = layout_findings(&wave, &read);
    assert_eq!(findings, Vec::<String>::new());
    let layout = text(&wave.with_extension("gtkw"));
    let (_, differing) = layout.split_once("-Differs, earliest first\n").unwrap();
    let (differing, _) = differing.split_once("\n-").unwrap();
    assert!(differing.contains("float_add.rtl.rounded_q_differs"), "{layout}");
    assert!(!differing.contains("aligned_q"), "{layout}");
}

/// Runs a replay file on a device that is not linked.
fn rerun(file: &Path) -> Result<(), Error> {
    let recording = Recording::read(file, &float_inputs())?;
    let mut engine = mutant(recording.seed);
    let mut inputs = FloatAdd::default().idle_inputs();
    for cycle in 0..recording.len() {
        let (rst_ni, image) = recording.at(cycle);
        assert!(image::unpack(image, &mut inputs));
        engine.step(rst_ni, &mut inputs)?;
    }
    engine.finish().map(|_| ())
}

#[test]
fn replay_file_of_a_failure_shows_it_again() {
    let failure = failure();
    let again = mismatch(rerun(&failure.folder.path().join("failure.json")).unwrap_err());
    assert_eq!((again.cycle, again.seed), (failure.report.cycle, failure.report.seed));
    assert_eq!(again.differences, failure.report.differences);
    assert_eq!(again.history, failure.report.history);
}

#[test]
fn replay_file_of_a_failure_is_good_on_the_pristine_device() {
    let failure = failure();
    let ran = tandem(failure.folder.path(), None, &["replay", "failure.json"]);
    ran.good().unwrap();
    assert!(ran.stdout.starts_with(&format!("float_add: {} cycles, ", failure.report.cycle + 1)), "{ran:?}");
}

/// The comparison above: a file that lacks the failing cycle does not show the failure.
#[test]
fn replay_file_without_its_last_cycles_shows_no_failure() {
    let failure = failure();
    let path = failure.folder.path().join("failure.json");
    let mut file: Value = serde_json::from_str(&text(&path)).unwrap();
    let cycles = file["cycles"].as_array_mut().unwrap();
    cycles.truncate(cycles.len() - 1);
    std::fs::write(&path, file.to_string()).unwrap();
    rerun(&path).unwrap();
}

#[test]
fn waveform_of_a_late_failure_starts_at_the_last_snapshot() {
    const IDLE: u64 = 2 * SNAPSHOT_INTERVAL + 500;
    let failure = failure();
    let folder = tempfile::tempdir().unwrap();
    let [replay, wave] = ["late.json", "late.vcd"].map(|name| folder.path().join(name));
    let mut engine = mutant(1);
    engine.on_failure(Some(replay.clone()), Some(wave.clone()));
    let mut inputs = FloatAdd::default().idle_inputs();
    for cycle in 0..IDLE {
        engine.step(cycle > 0, &mut inputs).unwrap();
    }
    let verdict = failure.clocks.iter().try_for_each(|clock| {
        assert!(image::unpack(&clock.inputs, &mut inputs));
        engine.step(clock.rst_ni, &mut inputs)
    });
    let report = mismatch(verdict.unwrap_err());
    assert_eq!(report.cycle, IDLE + failure.report.cycle);
    assert_eq!(report.differences, failure.report.differences);
    let (read, first) = (Readback::of(&wave), 2 * SNAPSHOT_INTERVAL);
    assert_eq!(read.signals["float_add.cycle"][0], (2 * first, format!("{first:064b}")));
    for (cycle, mismatch) in [(first, "0"), (report.cycle - 1, "0"), (report.cycle, "1")] {
        assert_eq!(read.at("float_add.mismatch", 2 * cycle), Ok(mismatch));
    }
    // The replay file holds the time before the snapshot, too.
    assert_eq!(mismatch(rerun(&replay).unwrap_err()).cycle, report.cycle);
}

/// Stimulus that no device of this project gives: an invariant of the RTL says so, and that is the design's fault.
#[test]
fn broken_invariant_ends_with_code_one() {
    let folder = tempfile::tempdir().unwrap();
    recorded(&SegmentBench { geometry: Geometry::ALL[1] }, "segment_edge_slim", folder.path());
    let path = folder.path().join("run.json");
    let mut file: Value = serde_json::from_str(&text(&path)).unwrap();
    // Both kinds of sum at once: the two highest of 43 bits.
    file["cycles"] =
        json!([{ "reset": true, "times": 2 }, { "inputs": { "drained_i": "0000000000060000" }, "times": 3 }]);
    std::fs::write(&path, file.to_string()).unwrap();
    let ran = tandem(folder.path(), None, &["replay", "run.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in ["an invariant of the RTL failed", "INV_EDGE_1", "in cycle 2 (seed 5)"] {
        assert!(ran.stderr.contains(part), "{part:?} is not in {}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}
