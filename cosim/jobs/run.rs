// SPDX-License-Identifier: Apache-2.0
//! A program on a core: what it takes, what the units do meanwhile, and whether memory is then what the commands mean.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use tandem_host::program::{HOST_BYTES, MOST_ADDRESS, Program, Step};
use tandem_model::array::Geometry;
use tandem_model::control::command::{Completion, OPCODES, STATUSES, name_of};
use tandem_model::core::core::Core;
use tandem_model::devices::{Device, Kind};
use tandem_model::memory::types::AXI_BYTES;
use tandem_model::reference::image::Image;
use tandem_testbenches::core::{self, CoreDut, CorePort, Finished, HostPlan, MemoryKind, Span, UNIT_NAMES};

use super::{as_f64, progress};
use crate::engine::{Engine, FailureFiles, Runner, unbox};
use crate::interrupt;
use crate::timeline::{self, Named};

/// log2 of the commands of the ring.
const RING_LOG2: u8 = 6;
/// Cycles without a completion after which the host gives up: no command takes as long.
const PATIENCE: u64 = 1 << 32;
/// Clocks between two looks at Ctrl-C.
const CLOCKS_PER_LOOK: u64 = 1024;

/// What is behind the memory port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// Fixed latency, a word per cycle each way.
    Ideal,
    /// One channel of HBM3.
    Hbm3,
    /// Whatever AXI allows, by the seed of --stalls.
    Hostile,
}

impl Memory {
    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ideal => "ideal",
            Self::Hbm3 => "hbm3",
            Self::Hostile => "hostile",
        }
    }

    pub(super) const fn kind(self) -> MemoryKind {
        match self {
            Self::Ideal => MemoryKind::Ideal,
            Self::Hbm3 => MemoryKind::Hbm3,
            Self::Hostile => MemoryKind::Hostile,
        }
    }
}

/// What to run, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub program: PathBuf,
    /// Of the core.
    pub geometry: Geometry,
    /// What runs the core.
    pub engine: Engine,
    /// What is behind the memory port.
    pub memory: Memory,
    /// Seed of a host that takes its time, and of the hostile memory.
    pub stalls: Option<u64>,
    /// Where to write what the units did.
    pub timeline: Option<PathBuf>,
    /// Waveform of the whole run.
    pub wave: Option<PathBuf>,
    /// Seed of the registers' initial values.
    pub seed: u64,
    /// Where failures go.
    pub failure: FailureFiles,
}

impl Options {
    const fn surroundings(&self) -> Surroundings {
        Surroundings { memory: self.memory, stalls: self.stalls, seed: self.seed }
    }
}

/// What is around the core.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings {
    /// What is behind the memory port.
    pub memory: Memory,
    /// Seed of a host that takes its time, and of the hostile memory.
    pub stalls: Option<u64>,
    /// Seed of whatever else is left to chance.
    pub seed: u64,
}

/// Runs a program.
///
/// # Errors
/// Bad input, or a core that is wrong.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let geometry = options.geometry;
    // First what fails fast.
    let prepared = Prepared::load(&options.program, geometry)?;
    let mut runner = Runner::new(
        options.engine,
        Device::of(Kind::Core, geometry),
        Core::new(geometry),
        options.seed,
        &options.failure,
        options.wave.as_deref(),
    )?;
    let surroundings = options.surroundings();
    let outcome = prepared.run_on(&mut CoreDut(runner.dut()), &surroundings, "commands")?;
    let mut report = Report::new(&prepared, options, &outcome);
    if let Some(compared) = runner.finish()? {
        (report.registers, report.bits) = (compared.registers, compared.bits);
    }
    if let Some(path) = &options.timeline {
        let Finished { start, end, trace, .. } = &outcome.finished;
        timeline::write(path, &named(&report, &trace.spans()), &(*start..*end))?;
    }
    Ok(report)
}

/// A program, and what it does by the definition.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The program.
    pub program: Program,
    /// How each command must end.
    pub statuses: Vec<u8>,
    /// Memory afterwards.
    pub image: Image,
}

impl Prepared {
    /// Reads a program and has the untimed interpreter run it.
    ///
    /// # Errors
    /// When it cannot be read, uses what it never defined, or expects a status that the definition does not give.
    pub fn load(path: &Path, geometry: Geometry) -> anyhow::Result<Self> {
        let program = Program::load(path, geometry)?;
        let mut machine = program.machine(geometry);
        let mut statuses = Vec::new();
        for (index, step) in program.steps.iter().enumerate() {
            let opcode = step.words[0].to_le_bytes()[0];
            let place = || format!("{}: command {index} ({})", path.display(), opcode_name(opcode));
            let status = machine.run(&step.words).with_context(place)?;
            if let Some(expect) = step.expect.filter(|&expect| expect != status) {
                bail!(
                    "{}: expect = \"{}\", but on geometry {} it ends with \"{}\" by definition; correct the one or the other",
                    place(),
                    status_name(expect),
                    geometry.name,
                    status_name(status)
                );
            }
            statuses.push(status);
        }
        if statuses.is_empty() {
            bail!("{}: a program has at least one [[command]], this one has none", path.display());
        }
        Ok(Self { program, statuses, image: machine.image })
    }

    fn plan(&self, stalls: Option<u64>) -> HostPlan {
        HostPlan {
            commands: self.program.steps.iter().map(|step| step.words).collect(),
            bounds: self.program.bounds.clone(),
            pinned: self.program.pinned,
            rings: MOST_ADDRESS - HOST_BYTES,
            ring_log2: RING_LOG2,
            stalls,
            patience: PATIENCE,
        }
    }

    /// Runs the program on a core and holds what comes out against the definition. `what` is said beside the progress bar.
    ///
    /// # Errors
    /// When the core is wrong, or Ctrl-C was pressed.
    pub fn run_on(
        &self,
        core: &mut dyn CorePort,
        surroundings: &Surroundings,
        what: &str,
    ) -> anyhow::Result<Outcome> {
        let &Surroundings { memory, stalls, seed } = surroundings;
        let mut memory = memory.kind().make(stalls.unwrap_or(seed));
        for region in &self.program.regions {
            memory.contents_mut().store(region.address, &region.bytes);
        }
        let plan = self.plan(stalls);
        let bar = progress(plan.commands.len() as u64, what);
        let start = Instant::now();
        let run = core::Run { core, memory, plan: &plan };
        let finished = core::run(run, &mut |at| {
            if at.cycles.is_multiple_of(CLOCKS_PER_LOOK) {
                bar.set_position(at.done as u64);
                interrupt::check()?;
            }
            Ok(())
        });
        bar.finish_and_clear();
        let finished = finished.map_err(unbox)?;
        core::judge(&plan.commands, &self.statuses, &self.image, &finished).map_err(unbox)?;
        Ok(Outcome { finished, seconds: start.elapsed().as_secs_f64() })
    }
}

/// A run that ended well.
pub struct Outcome {
    /// What came out.
    pub finished: Finished,
    /// Wall time, seconds.
    pub seconds: f64,
}

/// A command.
#[derive(Clone, Debug, Serialize)]
pub struct CommandReport {
    /// Its place in the program.
    pub command: usize,
    /// What it does.
    pub op: String,
    /// How it ended.
    pub status: String,
    /// Clock in which it was dispatched, from reset.
    pub dispatched: u64,
    /// Clock in which it was done.
    pub done: u64,
}

impl CommandReport {
    /// From dispatch to done.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.done - self.dispatched
    }
}

/// A unit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct UnitReport {
    /// Name.
    pub unit: &'static str,
    /// Cycles in which it had something to do.
    pub busy: u64,
    /// Of these: waited for what comes in.
    pub starved: u64,
    /// Of these: waited for those behind it.
    pub blocked: u64,
}

/// The run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Engine.
    pub engine: &'static str,
    /// Geometry.
    pub geometry: &'static str,
    /// What was behind the memory port.
    pub memory: Memory,
    /// Command by command.
    pub commands: Vec<CommandReport>,
    /// From the first doorbell to the last completion.
    pub cycles: u64,
    /// Bytes read.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// Words read by cycles: the port can bring one per cycle.
    pub read_utilisation: f64,
    /// Words written by cycles.
    pub write_utilisation: f64,
    /// Unit by unit.
    pub units: Vec<UnitReport>,
    /// Registers compared at every clock, if RTL and model ran in lockstep.
    pub registers: u64,
    /// Bits of them.
    pub bits: u64,
    /// Cycles in all, with those in which the host reads counters.
    pub all_cycles: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Simulated cycles per second.
    pub cycles_per_second: f64,
}

impl Report {
    /// What is to be told of a run.
    #[must_use]
    pub fn new(prepared: &Prepared, options: &Options, outcome: &Outcome) -> Self {
        let Outcome { finished, seconds } = outcome;
        let cycles = finished.end - finished.start;
        let commands = prepared.program.steps.iter().zip(&finished.completions).enumerate();
        let command = |(command, (step, done)): (usize, (&Step, &Completion))| CommandReport {
            command,
            op: opcode_name(step.words[0].to_le_bytes()[0]),
            status: status_name(done.status),
            dispatched: done.dispatched,
            done: done.done,
        };
        let units = UNIT_NAMES.into_iter().zip(finished.trace.totals());
        let traffic = finished.traffic;
        Self {
            engine: options.engine.name(),
            geometry: options.geometry.name,
            memory: options.memory,
            commands: commands.map(command).collect(),
            cycles,
            bytes_read: traffic.words_read * AXI_BYTES as u64,
            bytes_written: traffic.bytes_written,
            read_utilisation: as_f64(traffic.words_read) / as_f64(cycles),
            write_utilisation: as_f64(traffic.words_written) / as_f64(cycles),
            units: units
                .map(|(unit, of)| UnitReport {
                    unit,
                    busy: of.busy,
                    starved: of.starved,
                    blocked: of.blocked,
                })
                .collect(),
            registers: 0,
            bits: 0,
            all_cycles: finished.cycles,
            seconds: *seconds,
            cycles_per_second: as_f64(finished.cycles) / seconds,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>7} {:<10} {:<16} {:>10} {:>10} {:>10}",
            "command", "op", "status", "dispatched", "done", "cycles"
        )?;
        for c in &self.commands {
            let cycles = c.cycles();
            writeln!(
                f,
                "{:>7} {:<10} {:<16} {:>10} {:>10} {cycles:>10}",
                c.command, c.op, c.status, c.dispatched, c.done
            )?;
        }
        writeln!(f, "\n{:<10} {:>8} {:>8} {:>8}  % of the cycles", "unit", "busy", "starved", "blocked")?;
        let share = |cycles: u64| 100.0 * as_f64(cycles) / as_f64(self.cycles);
        for u in &self.units {
            let [busy, starved, blocked] = [u.busy, u.starved, u.blocked].map(share);
            writeln!(f, "{:<10} {busy:>8.1} {starved:>8.1} {blocked:>8.1}", u.unit)?;
        }
        writeln!(
            f,
            "\n{} commands in {} cycles: {} bytes read, {:.1}% of what the port can bring, {} written, {:.1}%\n\
             statuses and memory are those of the definition",
            self.commands.len(),
            self.cycles,
            self.bytes_read,
            100.0 * self.read_utilisation,
            self.bytes_written,
            100.0 * self.write_utilisation
        )?;
        if self.bits > 0 {
            let Self { all_cycles, registers, bits, .. } = self;
            writeln!(f, "compared at each of {all_cycles} clocks: {registers} registers, {bits} bits")?;
        }
        write!(
            f,
            "{} engine, geometry {}: {} cycles in {:.1} s, {:.0} cycles/s",
            self.engine, self.geometry, self.all_cycles, self.seconds, self.cycles_per_second
        )
    }
}

/// The spans of a run with the names of their commands.
fn named(report: &Report, spans: &[Span]) -> Vec<Named> {
    let name = |span: &Span| {
        // The core counts commands modulo 65536: it is the first such that was not done before.
        let mut same = report.commands.iter().skip(span.index.into()).step_by(1 << 16);
        let command = same.find(|c| c.done >= span.start);
        let kind = command.map_or("?", |c| &c.op).to_owned();
        let number = command.map_or(usize::from(span.index), |c| c.command);
        Named { span: *span, name: format!("{number} {kind}"), kind }
    };
    spans.iter().map(name).collect()
}

fn opcode_name(opcode: u8) -> String {
    name_of(&OPCODES, opcode.into()).map_or_else(|| format!("opcode {opcode}"), str::to_owned)
}

fn status_name(status: u8) -> String {
    name_of(&STATUSES, status.into()).map_or_else(|| format!("status {status}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_testbenches::WrongAnswer;
    use tandem_testbenches::core::{Fault, StandIn};

    fn example(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/programs").join(name)
    }

    fn options(name: &str, geometry: Geometry) -> Options {
        Options {
            program: example(name),
            geometry,
            engine: Engine::Model,
            memory: Memory::Ideal,
            stalls: None,
            timeline: None,
            wave: None,
            seed: 1,
            failure: FailureFiles::below("unused"),
        }
    }

    fn run_example(name: &str, geometry: Geometry, fault: Fault) -> anyhow::Result<(Report, Outcome)> {
        let prepared = Prepared::load(&example(name), geometry)?;
        let mut stand_in = StandIn::new(prepared.program.machine(geometry), fault);
        let options = options(name, geometry);
        let outcome = prepared.run_on(&mut stand_in, &options.surroundings(), "commands")?;
        Ok((Report::new(&prepared, &options, &outcome), outcome))
    }

    #[test]
    fn the_examples_run_and_are_told() {
        for geometry in Geometry::ALL {
            for name in ["gemv.toml", "attend.toml", "illegal.toml"] {
                let (report, outcome) = run_example(name, geometry, Fault::Nothing).unwrap();
                assert_eq!(report.commands.len(), outcome.finished.completions.len());
                let text = report.to_string();
                assert!(text.contains("statuses and memory are those of the definition"), "{text}");
                assert!(report.bytes_written > 0 && report.read_utilisation > 0.0);
            }
        }
        let (report, _) = run_example("illegal.toml", Geometry::ALL[0], Fault::Nothing).unwrap();
        let of = |i: usize| (report.commands[i].op.as_str(), report.commands[i].status.as_str());
        assert_eq!(
            [of(0), of(3), of(6)],
            [("opcode 99", "opcode"), ("gemv", "bounds"), ("load", "read_error")]
        );
    }

    #[test]
    fn a_core_that_is_wrong_is_a_wrong_answer() {
        for fault in [Fault::Result, Fault::Status] {
            let error = run_example("gemv.toml", Geometry::ALL[0], fault).err().expect("it is wrong");
            assert!(error.chain().any(|e| e.is::<WrongAnswer>()), "{error}");
        }
    }

    #[test]
    fn the_model_of_the_core_runs_a_program() {
        for geometry in Geometry::ALL {
            let folder = tempfile::tempdir().unwrap();
            let timeline = folder.path().join("t.json");
            let options = Options { timeline: Some(timeline.clone()), ..options("attend.toml", geometry) };
            let report = run(&options).unwrap();
            // The program has no vector commands.
            assert!(report.units.iter().all(|unit| (unit.busy > 0) == (unit.unit != "vector")), "{report}");
            assert!(timeline.exists());
        }
    }

    #[test]
    fn each_span_has_the_name_of_its_command() {
        let (report, outcome) = run_example("gemv.toml", Geometry::ALL[1], Fault::Nothing).unwrap();
        let named = named(&report, &outcome.finished.trace.spans());
        let names: Vec<_> = named.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, ["0 load", "1 gemv", "2 load", "3 gemv"]);
        assert!(named.windows(2).all(|two| two[0].span.end <= two[1].span.start));
    }

    #[test]
    fn a_program_that_cannot_be_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        for (text, what) in [
            ("", "at least one [[command]]"),
            ("[[command]]\nop = \"nop\"\nexpect = \"field\"\n", "command 0 (nop): expect = \"field\""),
            (
                "[[region]]\nname = \"a\"\nsize = 4096\n[[command]]\nop = \"gemv\"\nrows = 1\nsource = \"a\"\n\
                 destination = \"a\"\ncount = 1\nlength = 32\n",
                "command 0 (gemv)",
            ),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = format!("{:#}", Prepared::load(&path, Geometry::ALL[0]).unwrap_err());
            assert!(error.contains(what), "{error}");
        }
    }
}
