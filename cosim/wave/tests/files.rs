// SPDX-License-Identifier: Apache-2.0
//! Layouts, errors, and what is left on the disk.

mod common;

use std::fs;
use std::path::Path;

use common::{Run, float_add, read};
use tandem_wave::{Error, Options, Sample, Sides, Wave};

fn create(run: &Run, path: &Path) -> Result<Wave, Error> {
    Wave::create(path, &run.signals(), Options::default())
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// Signals of a save file for GTKWave, in order.
fn gtkwave_signals(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with(['[', '*', '@', '-'])).collect()
}

/// Signals of a command file for Surfer, in order.
fn surfer_signals(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.strip_prefix("variable_add ")).collect()
}

#[test]
fn layouts_name_signals_that_exist_and_failures_first() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["wave.vcd", "wave.fst"] {
        for detail in [true, false] {
            let path = folder.path().join(name);
            let run = float_add(10, 50, Some(30..31));
            let files = run.write(&path, Options { sides: Sides::Both, detail });
            let wave = read(&files[0]);
            let [gtkwave, surfer] = [1, 2].map(|i| fs::read_to_string(&files[i]).unwrap());
            let listed = gtkwave_signals(&gtkwave);
            for signal in &listed {
                assert!(wave.gtkwave.iter().any(|known| known == signal), "{signal} is not in {name}");
            }
            assert_eq!(listed[4], "float_add.rtl.aligned_larger_q[26:0]");
            assert_eq!(listed[5], "float_add.rtl.aligned_larger_q_model[26:0]");
            assert_eq!(listed[6], "float_add.rtl.aligned_larger_q_differs");
            assert_eq!(listed.contains(&"float_add.sum_o_real"), detail);
            let listed = surfer_signals(&surfer);
            for signal in &listed {
                assert!(wave.signals.contains_key(*signal), "{signal} is not in {name}");
            }
            assert_eq!(listed[4], "float_add.rtl.aligned_larger_q");
            // Both open the file and point at the first wrong cycle.
            assert!(gtkwave.contains(&format!("[dumpfile] \"{}\"", path.display())), "{gtkwave}");
            assert!(gtkwave.contains("\n*-2.000000 60 -1 "), "{gtkwave}");
            assert!(surfer.contains(&format!("load_file {}\n", path.display())), "{surfer}");
            assert!(surfer.contains("\ncursor_set 60\n"), "{surfer}");
        }
    }
}

#[test]
fn layouts_without_failure_list_the_ports() {
    let folder = tempfile::tempdir().unwrap();
    let files = float_add(0, 20, None).write(&folder.path().join("wave.fst"), Options::default());
    let surfer = fs::read_to_string(&files[2]).unwrap();
    assert_eq!(surfer_signals(&surfer)[4], "float_add.a_i");
    assert!(!surfer.contains("Differs") && surfer.contains("zoom_fit"));
}

#[test]
fn bad_paths_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let run = float_add(0, 5, None);
    for name in ["wave", "wave.txt", "wave.VCD", ".vcd"] {
        let error = create(&run, &folder.path().join(name)).err().unwrap();
        assert!(matches!(error, Error::Extension { .. }));
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(".vcd or .fst"), "{text}");
    }
    let inner = folder.path().join("folder.vcd");
    fs::create_dir(&inner).unwrap();
    assert!(matches!(create(&run, &inner), Err(Error::Folder { .. })));
    fs::write(folder.path().join("plain"), "").unwrap();
    let mut unwritable = vec![folder.path().join("absent/wave.vcd"), folder.path().join("plain/wave.fst")];
    // Read-only even for root, which tests in a container often are.
    if cfg!(target_os = "linux") {
        unwritable.push("/proc/self/wave.vcd".into());
    }
    for path in unwritable {
        let error = create(&run, &path).err().unwrap();
        assert!(matches!(error, Error::Write { .. }));
        let text = error.to_string();
        assert!(text.contains(path.to_str().unwrap()) && text.contains("writable"), "{text}");
    }
    assert_eq!(names(folder.path()), ["folder.vcd", "plain"]);
}

#[test]
fn a_dropped_waveform_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = float_add(0, 300, None);
    for name in ["wave.vcd", "wave.fst"] {
        let path = folder.path().join(name);
        fs::write(&path, "an older waveform").unwrap();
        let mut wave = create(&run, &path).unwrap();
        run.cycles.iter().for_each(|cycle| wave.record(&cycle.sample(Sides::Both)).unwrap());
        // Not even under the final name while it is written
        assert_eq!(fs::read_to_string(&path).unwrap(), "an older waveform");
        drop(wave);
        assert_eq!(names(folder.path()), [name]);
        assert_eq!(fs::read_to_string(&path).unwrap(), "an older waveform");
        // Nothing recorded: an error, and nothing left either
        let error = create(&run, &path).unwrap().finish().unwrap_err();
        assert!(matches!(error, Error::Empty { .. }), "{error}");
        assert_eq!(names(folder.path()), [name]);
        run.write(&path, Options::default());
        let mut expected = ["wave.gtkw", "wave.sucl", name];
        expected.sort_unstable();
        assert_eq!(names(folder.path()), expected);
        names(folder.path()).iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    }
}

#[cfg(unix)]
#[test]
fn waveforms_are_readable_like_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let files = float_add(0, 5, None).write(&folder.path().join("wave.fst"), Options::default());
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert!(files.iter().all(|file| mode(file) == mode(&plain)));
}

#[test]
fn bad_samples_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let run = float_add(5, 5, None);
    let mut wave = create(&run, &folder.path().join("wave.vcd")).unwrap();
    let good = run.cycles[2].sample(Sides::Both);
    wave.record(&good).unwrap();
    let cases = [
        (Sample { cycle: 7, ..good }, "after 7"),
        (Sample { cycle: 6, ..good }, "got 6"),
        (Sample { cycle: u64::MAX, ..good }, "below 2^62"),
        (
            Sample { cycle: 8, model: None, ..good },
            "expected a sample of RTL and model in cycle 8, got the RTL alone",
        ),
        (Sample { cycle: 8, rtl: None, model: None, ..good }, "neither side"),
        (Sample { cycle: 9, inputs: &[0; 3], ..good }, "expected 16 bytes in the image of the inputs, got 3"),
    ];
    for (sample, expected) in cases {
        let text = wave.record(&sample).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    }
    // A refused sample leaves no trace.
    wave.record(&run.cycles[3].sample(Sides::Both)).unwrap();
    let mut expected = float_add(5, 5, None);
    expected.cycles = expected.cycles.drain(2..4).collect();
    read(&wave.finish().unwrap()[0]).check(&expected, Sides::Both).unwrap();
}

#[test]
fn bad_fields_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("wave.vcd");
    let check = |change: &dyn Fn(&mut Run), expected: &str| {
        let mut run = float_add(0, 1, None);
        change(&mut run);
        let text = create(&run, &path).err().unwrap().to_string();
        assert!(text.contains(expected), "{text}");
    };
    check(&|run| run.registers[0].path = "a b".to_owned(), "a b");
    check(&|run| run.registers[1].path = "ordered_q".to_owned(), "already a signal of this name");
    check(&|run| run.registers[1].path = "ordered_q_model".to_owned(), "already a signal of this name");
    check(&|run| run.registers[1].memory = true, "it is a memory");
    check(&|run| run.registers[1].entry_width = 5, "no multiple");
    check(&|run| run.registers[1].offset += 4, "does not begin where");
    check(&|run| run.inputs[0].path = "clk_i".to_owned(), "float_add.clk_i");
    check(&|run| run.device = "", "letter");
    assert!(names(folder.path()).is_empty());
}
