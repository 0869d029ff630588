// SPDX-License-Identifier: Apache-2.0
//! Waveforms of lockstep runs, read back and compared with the values of a model that was stepped beside them.

mod support;

use std::path::{Path, PathBuf};

use support::{Clock, Readback, Witness, cases, layout_findings};
use tandem::lockstep::{Layout, Lockstep};
use tandem_model::array::Geometry;
use tandem_model::image::Field;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::{Bench, Coverage};

/// What was run, and where its waveform is.
struct Run {
    layout: Layout,
    clocks: Vec<Clock>,
    wave: PathBuf,
}

/// Random cases one after the other, until there are enough clocks.
fn record<B: Bench>(bench: &B, device: &str, wave: &Path) -> Run {
    let mut engine = Lockstep::linked(device, bench.model(), 3).unwrap();
    engine.record_wave(wave).unwrap();
    let mut witness = Witness::new(engine, bench.model());
    for case in cases(bench) {
        bench.run(&case, &mut witness, &mut Coverage::default()).unwrap();
        if witness.clocks.len() > 500 {
            break;
        }
    }
    let Witness { mut engine, clocks, .. } = witness;
    assert_eq!(engine.finish().unwrap().cycles, clocks.len() as u64);
    Run { layout: engine.layout().clone(), clocks, wave: wave.to_owned() }
}

fn digits(bits: &[bool]) -> String {
    bits.iter().rev().map(|&bit| if bit { '1' } else { '0' }).collect()
}

/// A reader makes a scope of an array, `stage_q.[3]`; a name with something behind the index stays whole.
fn signal(scope: &str, field: &Field, index: usize, suffix: &str) -> String {
    let path = if field.elements == 1 { field.path.clone() } else { format!("{}[{index}]", field.path) };
    let (scopes, name) = path.rsplit_once('.').map_or(("", path.as_str()), |(scopes, name)| (scopes, name));
    let dot = if scopes.is_empty() { "" } else { "." };
    let name = if suffix.is_empty() { name.replace('[', ".[") } else { format!("{name}{suffix}") };
    format!("{scope}.{scopes}{dot}{name}")
}

/// Compares every signal at every cycle; how many of them ever changed.
fn check(run: &Run, read: &Readback) -> Result<usize, String> {
    let Layout { device, inputs, outputs, fields } = &run.layout;
    let rtl = format!("{device}.rtl");
    let expect = |name: &str, time: u64, expected: &str| match read.at(name, time)? {
        got if got == expected => Ok(()),
        got => Err(format!("{name} at {time}: expected {expected}, got {got}")),
    };
    for (cycle, clock) in (0..).zip(&run.clocks) {
        let time = 2 * cycle;
        expect(&format!("{device}.clk_i"), time, "1")?;
        expect(&format!("{device}.clk_i"), time + 1, "0")?;
        expect(&format!("{device}.rst_ni"), time, if clock.rst_ni { "1" } else { "0" })?;
        expect(&format!("{device}.cycle"), time, &format!("{cycle:064b}"))?;
        expect(&format!("{device}.mismatch"), time, "0")?;
        let lists = [
            (device, inputs, &clock.inputs, [""].as_slice()),
            (device, outputs, &clock.outputs, &["", "_model"]),
            (&rtl, &fields.registers, &clock.registers, &["", "_model"]),
        ];
        for (scope, list, image, suffixes) in lists {
            for (field, index) in list.iter().flat_map(|f| (0..f.elements).map(move |i| (f, i))) {
                let value = digits(&field.element(image, index));
                for suffix in suffixes {
                    expect(&signal(scope, field, index, suffix), time, &value)?;
                }
            }
        }
    }
    if read.end != 2 * run.clocks.len() as u64 {
        return Err(format!("the waveform ends at {}", read.end));
    }
    Ok(read.signals.values().filter(|changes| changes.len() > 2).count())
}

const FORMATS: [&str; 2] = ["out.vcd", "out.fst"];

/// Records and checks both formats. At least so many signals must move.
fn waves_show_the_run<B: Bench>(bench: &B, device: &str, moving: usize) {
    let folder = tempfile::tempdir().unwrap();
    for name in FORMATS {
        let run = record(bench, device, &folder.path().join(name));
        let read = Readback::of(&run.wave);
        let moved = check(&run, &read).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(moved >= moving, "{name}: only {moved} signals change");
        let (findings, known) = layout_findings(&run.wave, &read);
        assert_eq!(findings, Vec::<String>::new(), "{name}");
        // Clock, reset, cycle, mismatch and the ports, in both files.
        let ports = run.layout.inputs.len() + 2 * run.layout.outputs.len();
        assert!(known >= 2 * (4 + ports), "{name}: the layouts show {known} signals");
        for file in [run.wave.clone(), run.wave.with_extension("gtkw"), run.wave.with_extension("sucl")] {
            std::fs::remove_file(file).unwrap();
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{name} leaves nothing else behind");
    }
}

#[test]
fn waves_of_float_add_show_the_run() {
    waves_show_the_run(&FloatBench, "float_add", 20);
}

#[test]
fn waves_of_slim_segment_edge_show_the_run() {
    waves_show_the_run(&SegmentBench { geometry: Geometry::ALL[1] }, "segment_edge_slim", 100);
}

#[test]
fn wave_of_another_run_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = record(&FloatBench, "float_add", &folder.path().join("out.vcd"));
    let read = Readback::of(&run.wave);
    check(&run, &read).unwrap();
    let last = run.clocks.len() - 1;
    let whole = run.clocks.clone();
    let refused = |run: &Run, part: &str| {
        let error = check(run, &read).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    run.clocks[last].registers[0] ^= 1;
    refused(&run, "float_add.rtl.ordered_q at ");
    run.clocks.clone_from(&whole);
    run.clocks[7].inputs[0] ^= 1;
    refused(&run, "float_add.a_i at 14: ");
    run.clocks.clone_from(&whole);
    run.clocks[7].rst_ni ^= true;
    refused(&run, "float_add.rst_ni at 14: ");
    run.clocks.clone_from(&whole);
    run.clocks.pop();
    refused(&run, "the waveform ends at ");
}

#[test]
fn layout_with_a_name_that_is_no_signal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let run = record(&FloatBench, "float_add", &folder.path().join("out.vcd"));
    let read = Readback::of(&run.wave);
    for extension in ["gtkw", "sucl"] {
        let path = run.wave.with_extension(extension);
        let text = support::text(&path);
        std::fs::write(&path, text.replace("float_add.saturated_o_model", "float_add.saturated_x")).unwrap();
        let (findings, _) = layout_findings(&run.wave, &read);
        assert_eq!(findings, ["float_add.saturated_x is no signal of the waveform"], "{extension}");
        std::fs::write(&path, text.replace("out.vcd", "in.vcd")).unwrap();
        let (findings, _) = layout_findings(&run.wave, &read);
        assert_eq!(findings, [format!("the {extension} file does not load the waveform")]);
        std::fs::write(&path, text).unwrap();
    }
}
