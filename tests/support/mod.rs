// SPDX-License-Identifier: Apache-2.0
//! What the tests of the root package share: the program, Verilator's trees, recorded runs, waveforms read back.
#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tandem::lockstep::Lockstep;
use tandem_model::block::Block;
use tandem_model::devices::Device;
use tandem_model::image;
use tandem_testbenches::{Bench, Dut, DutError};
use tandem_verilate::Tree;
use wellen::SignalValueRef;

pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

// ---- the program ----

/// What a run of the program left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program in a folder. `seed` is `TANDEM_SEED`.
pub fn tandem<S: AsRef<OsStr>>(folder: &Path, seed: Option<&str>, args: &[S]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.current_dir(folder).args(args).env_remove("TANDEM_SEED");
    if let Some(seed) = seed {
        command.env("TANDEM_SEED", seed);
    }
    let out = command.output().expect("cargo built the program");
    let [stdout, stderr] = [out.stdout, out.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ran { code: out.status.code(), stdout, stderr }
}

/// Starts the program, sends it a signal when it has said `ready`, and gives its exit code and all that it said.
#[cfg(unix)]
pub fn interrupted(folder: &Path, args: &[&str], signal: &str, ready: &str) -> (Option<i32>, String, String) {
    use std::io::Read;
    use std::process::Stdio;

    let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(args)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let (mut said, mut piece) = (Vec::new(), [0; 256]);
    while !String::from_utf8_lossy(&said).contains(ready) {
        let read = out.read(&mut piece).unwrap();
        assert_ne!(read, 0, "ended before {ready:?}: {}", String::from_utf8_lossy(&said));
        said.extend(&piece[..read]);
    }
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    out.read_to_end(&mut said).unwrap();
    let ended = child.wait_with_output().unwrap();
    let [said, errors] = [said, ended.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (ended.status.code(), said, errors)
}

impl Ran {
    /// Whether it ended as input that is refused should: code 2, nothing on standard output but a table's head, a
    /// message that holds all of `parts`, and no panic.
    pub fn refused(&self, parts: &[&str]) -> Result<(), String> {
        let Self { code, stdout, stderr } = self;
        let missing: Vec<_> = parts.iter().filter(|part| !stderr.contains(**part)).collect();
        if *code != Some(2) {
            Err(format!("exit code {code:?} instead of 2; {stderr}"))
        } else if stderr.contains("panicked") || !stderr.contains("error: ") {
            Err(format!("no message but a crash: {stderr}"))
        } else if stdout.lines().count() > 1 {
            Err(format!("output in spite of the error: {stdout}"))
        } else if missing.is_empty() {
            Ok(())
        } else {
            Err(format!("{missing:?} is not in: {stderr}"))
        }
    }

    /// Whether all was well.
    pub fn good(&self) -> Result<(), String> {
        if self.code == Some(0) { Ok(()) } else { Err(format!("{self:?}")) }
    }

    pub fn json(&self) -> serde_json::Value {
        self.good().unwrap();
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

// ---- Verilator's trees ----

/// The tree that the build script's Verilator wrote of a device.
pub fn tree(device: Device) -> Tree {
    let paths: BTreeMap<_, _> =
        env!("TANDEM_TREES").split(',').map(|entry| entry.split_once('=').expect("name=path")).collect();
    Tree::parse(device.name, &text(Path::new(paths[device.name])))
        .expect("the tree of a device that was built")
}

// ---- recorded runs ----

/// One clock: what went in, and what registers and outputs were after it, by a model of its own.
#[derive(Clone, Debug)]
pub struct Clock {
    pub rst_ni: bool,
    pub inputs: Vec<u8>,
    pub registers: Vec<u8>,
    pub outputs: Vec<u8>,
}

/// Hands every input on to an engine, and to a second model that the engine does not know.
pub struct Witness<B: Block> {
    pub engine: Lockstep<B>,
    model: B,
    pub clocks: Vec<Clock>,
}

impl<B: Block> Witness<B> {
    pub fn new(engine: Lockstep<B>, model: B) -> Self {
        Self { engine, model, clocks: Vec::new() }
    }
}

impl<B: Block> Dut<B> for Witness<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<(), DutError> {
        if rst_ni {
            self.model.clock(inputs);
        } else {
            self.model.reset();
        }
        let mut clock = Clock { rst_ni, inputs: vec![], registers: vec![], outputs: vec![] };
        image::pack(inputs, &mut clock.inputs);
        image::pack(&mut self.model, &mut clock.registers);
        image::pack(&mut self.model.outputs(), &mut clock.outputs);
        self.clocks.push(clock);
        self.engine.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> B::Outputs {
        self.engine.outputs()
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        image::flip(&mut self.model, memory, entry, bit)?;
        Ok(self.engine.upset(memory, entry, bit)?)
    }
}

/// Random cases of a bench, the same in every run.
pub fn cases<B: Bench>(bench: &B) -> impl Iterator<Item = B::Case> {
    let mut runner = TestRunner::deterministic();
    let strategy = bench.strategy();
    std::iter::repeat_with(move || {
        strategy.new_tree(&mut runner).expect("the strategies reject nothing").current()
    })
}

// ---- waveforms ----

/// A waveform as a reader sees it: changes of every signal by its name, as digits.
#[derive(Debug)]
pub struct Readback {
    pub signals: BTreeMap<String, Vec<(u64, String)>>,
    /// Names as a GTKWave save file spells them.
    pub gtkwave: BTreeSet<String>,
    pub end: u64,
}

impl Readback {
    pub fn of(path: &Path) -> Self {
        let mut wave = wellen::simple::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let hierarchy = wave.hierarchy();
        let refs: Vec<_> = hierarchy.all_vars().map(|var| hierarchy[var].signal_ref()).collect();
        wave.load_signals(&refs);
        let hierarchy = wave.hierarchy();
        let (mut signals, mut gtkwave) = (BTreeMap::new(), BTreeSet::new());
        for var in hierarchy.all_vars().map(|var| &hierarchy[var]) {
            let signal = wave.get_signal(var.signal_ref()).expect("it was loaded");
            let changes = signal.iter_changes().map(|(time, value)| {
                let value = match value {
                    SignalValueRef::Real(number) => format!("{number:e}"),
                    bits => bits.to_bit_string().expect("a vector"),
                };
                (wave.time_table()[time as usize], value)
            });
            let name = var.full_name(hierarchy);
            let range = match var.index().map(|index| (index.msb(), index.lsb())) {
                None => String::new(),
                Some((0, 0)) => "[0]".to_owned(),
                Some((high, low)) => format!("[{high}:{low}]"),
            };
            gtkwave.insert(format!("{}{range}", name.replace(".[", "[")));
            signals.insert(name, changes.collect());
        }
        Self { signals, gtkwave, end: wave.time_table().last().copied().unwrap_or(0) }
    }

    /// Value of a signal at a time.
    pub fn at(&self, name: &str, time: u64) -> Result<&str, String> {
        let changes = self.signals.get(name).ok_or_else(|| format!("no signal {name}"))?;
        let last = changes.iter().take_while(|(at, _)| *at <= time).last();
        last.map(|(_, value)| value.as_str()).ok_or_else(|| format!("{name} has no value at {time}"))
    }
}

/// Names in the layout files beside a waveform that are no signals of it, and how many are.
pub fn layout_findings(wave: &Path, read: &Readback) -> (Vec<String>, usize) {
    let gtkw = text(&wave.with_extension("gtkw"));
    let sucl = text(&wave.with_extension("sucl"));
    let traces = gtkw.lines().filter(|l| !l.is_empty() && !l.starts_with(['[', '@', '*', '-']));
    let added = sucl.lines().filter_map(|l| l.strip_prefix("variable_add "));
    let (mut findings, mut known) = (Vec::new(), 0);
    let named = traces
        .map(|name| (name, read.gtkwave.contains(name)))
        .chain(added.map(|name| (name, read.signals.contains_key(name))));
    for (name, found) in named {
        if found {
            known += 1;
        } else {
            findings.push(format!("{name} is no signal of the waveform"));
        }
    }
    for (file, text) in [("gtkw", &gtkw), ("sucl", &sucl)] {
        if !text.contains(&*wave.file_name().expect("a file").to_string_lossy()) {
            findings.push(format!("the {file} file does not load the waveform"));
        }
    }
    (findings, known)
}

/// Every file below a folder, by its path from there.
pub fn files(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
        for entry in std::fs::read_dir(root.join(at))? {
            let entry = entry?;
            let path = at.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                walk(root, &path, found)?;
            } else {
                found.insert(path, std::fs::read(entry.path())?);
            }
        }
        Ok(())
    }
    let mut found = BTreeMap::new();
    walk(root, Path::new(""), &mut found).unwrap_or_else(|e| panic!("{}: {e}", root.display()));
    found
}
