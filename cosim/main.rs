// SPDX-License-Identifier: Apache-2.0
//! The command line. Exit codes: 0 good, 1 mismatch, 2 bad input, 130 interrupted.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use serde::Serialize;
use tandem::engine::{Engine, FailureFiles};
use tandem::interrupt::{self, Interrupted};
use tandem::jobs::attend::{HeadReport, KvFormat};
use tandem::jobs::matvec::{MatrixReport, Weights};
use tandem::jobs::{Totals, attend, bench, fuzz, list, matvec, replay};
use tandem_model::array::Geometry;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::property::{Limits, Panicked};

#[derive(Parser)]
#[command(name = "tandem", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Folder for the replay file and waveform of a failure.
    #[arg(long, global = true, default_value = "tandem-failures")]
    failures: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Stream every weight matrix of a checkpoint, with the prompt's activations, through the array.
    Matvec {
        /// Checkpoint folder (Hugging Face layout).
        #[arg(long)]
        model: PathBuf,
        /// Prompt.
        #[arg(long)]
        prompt: String,
        /// Array geometry (see `tandem list`).
        #[arg(long, default_value = "small")]
        geometry: String,
        /// What runs it.
        #[arg(long, default_value = "lockstep")]
        engine: Engine,
        /// Format of the weights.
        #[arg(long, default_value = "fp4")]
        weights: Weights,
        /// Waveform of the whole run (.vcd or .fst).
        #[arg(long)]
        wave: Option<PathBuf>,
        /// Insert random stalls of this seed.
        #[arg(long)]
        stalls: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Attend with every layer and head of a checkpoint, for every token of a prompt.
    Attend {
        /// Checkpoint folder (Hugging Face layout).
        #[arg(long)]
        model: PathBuf,
        /// Prompt.
        #[arg(long)]
        prompt: String,
        /// Format of K and V.
        #[arg(long, default_value = "fp4")]
        kv: KvFormat,
        /// Geometry of the array (see `tandem list`).
        #[arg(long, default_value = "small")]
        geometry: String,
        /// What runs it.
        #[arg(long, default_value = "lockstep")]
        engine: Engine,
        /// Waveform of the whole run (.vcd or .fst).
        #[arg(long)]
        wave: Option<PathBuf>,
        /// Wait at random at all handshakes, with this seed.
        #[arg(long)]
        stalls: Option<u64>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Search for trouble with random cases in lockstep.
    Fuzz {
        /// float, segment, array, sram, softmax, normaliser, attention or all.
        #[arg(long, default_value = "all")]
        block: String,
        /// How long, in all.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Seed (`TANDEM_SEED` overrides it).
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a replay file again.
    Replay {
        /// The file that a failing run wrote.
        file: PathBuf,
        /// Waveform of the whole replay (.vcd or .fst).
        #[arg(long)]
        wave: Option<PathBuf>,
    },
    /// Show blocks, geometries and what lockstep compares.
    List {
        /// Every register of this device.
        #[arg(long)]
        registers: Option<String>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Measure the figures that the project set itself.
    Bench {
        /// Print JSON.
        #[arg(long)]
        json: bool,
        /// One group of figures: gemv, attention, secded, speed or compile.
        #[arg(long)]
        only: Option<String>,
        /// Fewer rounds.
        #[arg(long)]
        quick: bool,
    },
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors.
            let code = u8::from(e.use_stderr()) * 2;
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    let ended = run(cli).and_then(|code| written().map(|()| code));
    ended.unwrap_or_else(|e| {
        eprintln!("error: {}", told_once(&e));
        ExitCode::from(exit_code(&e))
    })
}

/// An error with its causes, each told once: messages of ours name their cause already.
fn told_once(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |mut told, cause| {
        let cause = cause.to_string();
        if !told.contains(&cause) {
            if !told.is_empty() {
                told.push_str(": ");
            }
            told.push_str(&cause);
        }
        told
    })
}

/// 1 where the design is at fault, 130 for Ctrl-C, 2 for everything else.
fn exit_code(error: &anyhow::Error) -> u8 {
    let mut chain = error.chain();
    if error.is::<Interrupted>() {
        130
    } else if chain.any(|e| {
        e.downcast_ref::<tandem::Error>().is_some_and(tandem::Error::is_verdict)
            || e.is::<tandem_testbenches::WrongAnswer>()
            || e.is::<Panicked>()
    }) {
        1
    } else {
        2
    }
}

/// The seed of the environment, if it names one.
fn seed(given: u64) -> anyhow::Result<u64> {
    let Some(text) = std::env::var_os("TANDEM_SEED") else { return Ok(given) };
    let text = text.to_string_lossy();
    text.trim().parse().with_context(|| format!("TANDEM_SEED takes a number, got `{text}`"))
}

/// The first thing that went wrong with standard output.
static UNWRITTEN: OnceLock<std::io::Error> = OnceLock::new();

/// `println!` that does not panic: a run goes on to its verdict whether or not somebody reads along.
macro_rules! say {
    ($($text:tt)*) => {
        if let Err(e) = writeln!(std::io::stdout(), $($text)*) {
            let _ = UNWRITTEN.set(e);
        }
    };
}

/// Fails when not all that was said could be written. That a reader had enough (`| head`) is no failure.
fn written() -> anyhow::Result<()> {
    match UNWRITTEN.get() {
        Some(e) if e.kind() != ErrorKind::BrokenPipe => {
            bail!("cannot write to standard output: {e}; check that there is space left")
        }
        _ => Ok(()),
    }
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    say!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    interrupt::install().context("cannot catch Ctrl-C")?;
    let failure = FailureFiles::below(cli.failures);
    match cli.command {
        Command::Matvec { model, prompt, geometry, engine, weights, wave, stalls, json } => {
            let geometry = geometry_by_name(&geometry)?;
            let seed = seed(1)?;
            let options =
                matvec::Options { model, prompt, geometry, engine, weights, wave, stalls, seed, failure };
            run_matvec(&options, json)
        }
        Command::Attend { model, prompt, kv, geometry, engine, wave, stalls, json } => {
            let geometry = geometry_by_name(&geometry)?;
            let seed = seed(1)?;
            let options =
                attend::Options { model, prompt, geometry, engine, kv, wave, stalls, seed, failure };
            run_attend(&options, json)
        }
        Command::Fuzz { block, seconds, seed: given, json } => {
            let devices = devices(&block)?;
            // Every device gets its share of the time.
            let time = Duration::from_secs(seconds) / u32::try_from(devices.len())?;
            let limits = Limits { cases: 1, cycles: 0, time };
            let options = fuzz::Options { devices, limits, seed: seed(given)?, failure };
            let reports = fuzz::run(&options, |r| {
                if !json {
                    print_fuzz(r);
                }
            })?;
            if json {
                print_json(&reports)?;
            }
            Ok(interrupted_or_good())
        }
        Command::Replay { file, wave } => {
            let (device, totals) = replay::run(&file, wave)?;
            say!(
                "{}: {} cycles, {} registers ({} bits) equal at every clock",
                device.name,
                totals.cycles,
                totals.registers,
                totals.bits
            );
            Ok(ExitCode::SUCCESS)
        }
        Command::List { registers, json } => print_list(registers.as_deref(), json),
        Command::Bench { json, only, quick } => {
            if let Some(name) = only.as_deref().filter(|n| !bench::GROUPS.contains(n)) {
                bail!("no group of figures `{name}`; there are {}", bench::GROUPS.join(", "));
            }
            let figures = bench::run(only.as_deref(), quick, |f| {
                if !json {
                    print_figure(f);
                }
            })?;
            if json {
                print_json(&figures)?;
            }
            Ok(interrupted_or_good())
        }
    }
}

fn interrupted_or_good() -> ExitCode {
    if interrupt::raised() { ExitCode::from(130) } else { ExitCode::SUCCESS }
}

fn geometry_by_name(name: &str) -> anyhow::Result<Geometry> {
    let known = || Geometry::ALL.map(|g| g.name).join(", ");
    Geometry::by_name(name).with_context(|| format!("no geometry `{name}`; there are {}", known()))
}

fn devices(block: &str) -> anyhow::Result<Vec<Device>> {
    let chosen: Vec<_> =
        Device::ALL.into_iter().filter(|d| block == "all" || d.kind.name() == block).collect();
    if chosen.is_empty() {
        bail!("no block `{block}`; there are {} and all", Kind::ALL.map(Kind::name).join(", "));
    }
    Ok(chosen)
}

fn run_matvec(options: &matvec::Options, json: bool) -> anyhow::Result<ExitCode> {
    // The table begins with its first row: bad input leaves no header behind.
    let mut begun = json;
    let report = matvec::run(options, |m| {
        if !begun {
            print_matrix_header();
            begun = true;
        }
        if !json {
            print_matrix(m);
        }
    })?;
    if json {
        print_json(&report)?;
    } else {
        say!(
            "\n{} of {} matrices, {} tokens",
            report.matrices.len(),
            report.of_matrices,
            report.totals.tokens
        );
        print_totals(&report.totals, options.wave.as_deref());
    }
    Ok(if report.totals.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn run_attend(options: &attend::Options, json: bool) -> anyhow::Result<ExitCode> {
    let mut begun = json;
    let report = attend::run(options, |h| {
        if !begun {
            print_head_header();
            begun = true;
        }
        if !json {
            print_head(h);
        }
    })?;
    if json {
        print_json(&report)?;
    } else {
        say!(
            "\n{} of {} heads of K and V, {} tokens",
            report.heads.len(),
            report.of_heads,
            report.totals.tokens
        );
        print_totals(&report.totals, options.wave.as_deref());
    }
    Ok(if report.totals.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn print_totals(totals: &Totals, wave: Option<&Path>) {
    if totals.bits > 0 {
        say!(
            "compared at each of {} clocks: {} registers, {} bits; at snapshots: {} of {} bits of memories (those written)",
            totals.cycles,
            totals.registers,
            totals.bits,
            totals.written_bits,
            totals.memory_bits
        );
    }
    say!(
        "{} engine, geometry {}: {} cycles in {:.1} s, {:.0} cycles/s",
        totals.engine,
        totals.geometry,
        totals.cycles,
        totals.seconds,
        totals.cycles_per_second
    );
    if let Some(wave) = wave {
        say!("waveform {}", wave.display());
    }
}

fn print_head_header() {
    say!(
        "{:<20} {:>11} {:>7} {:>8} {:>8} {:>7} {:>10} {:>10}",
        "heads",
        "tokens",
        "passes",
        "beats",
        "cycles",
        "util",
        "vs f64",
        "quantised"
    );
}

fn print_head(h: &HeadReport) {
    say!(
        "{:<20} {:>11} {:>7} {:>8} {:>8} {:>6.1}% {:>10.1e} {:>10.1e}",
        format!("layer {} heads {}-{}", h.layer, h.heads.0, h.heads.1),
        h.tokens,
        h.passes,
        h.beats,
        h.cycles,
        100.0 * h.utilisation,
        h.error,
        h.quantisation
    );
}

fn print_matrix_header() {
    say!(
        "{:<20} {:>11} {:>7} {:>8} {:>8} {:>7} {:>10} {:>10}",
        "matrix",
        "shape",
        "passes",
        "beats",
        "cycles",
        "util",
        "vs f64",
        "quantised"
    );
}

fn print_matrix(m: &MatrixReport) {
    let name = m.layer.map_or_else(|| m.matrix.clone(), |l| format!("layer {l} {}", m.matrix));
    say!(
        "{name:<20} {:>11} {:>7} {:>8} {:>8} {:>6.1}% {:>10.1e} {:>10.1e}",
        format!("{} x {}", m.rows, m.columns),
        m.passes,
        m.beats,
        m.cycles,
        100.0 * m.utilisation,
        m.error,
        m.quantisation
    );
}

fn print_fuzz(r: &fuzz::Report) {
    say!(
        "{}: {} cases, {} cycles, {:.1} cases/s, seed {}, no mismatch",
        r.device,
        r.cases,
        r.cycles,
        r.cases_per_second,
        r.seed
    );
    let corners: Vec<_> = r.corners.iter().map(|(name, hits)| format!("{name} {hits}")).collect();
    say!("  corners: {}", corners.join(", "));
}

fn print_figure(f: &bench::Figure) {
    let reach = f.reach.map_or_else(String::new, |r| {
        let sign = if f.better == bench::Better::Higher { ">=" } else { "<=" };
        format!("  (reach {sign} {r}: {})", if f.reached() { "yes" } else { "NO" })
    });
    say!("{:<36} {:>12.4} {}{reach}\n    {}", f.name, f.value, f.unit, f.how);
}

fn print_list(registers: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let mut entries = list::run();
    if let Some(name) = registers {
        let known: Vec<_> = entries.iter().map(|e| e.device).collect();
        entries.retain(|e| e.device == name);
        if entries.is_empty() {
            bail!("no device `{name}`; there are {}", known.join(", "));
        }
    }
    if json {
        print_json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{:<22} {:<8} {:<9} {:>5} {:>9} {:>10} {:>10} {:>12}",
        "device",
        "block",
        "geometry",
        "rows",
        "segments",
        "registers",
        "bits",
        "memory bits"
    );
    for e in &entries {
        say!(
            "{:<22} {:<8} {:<9} {:>5} {:>9} {:>10} {:>10} {:>12}",
            e.device,
            e.block,
            e.geometry,
            e.rows,
            e.segments,
            e.registers,
            e.register_bits,
            e.memory_bits
        );
    }
    if registers.is_some() {
        for r in entries.iter().flat_map(|e| &e.names) {
            let memory = if r.memory { "  memory" } else { "" };
            say!("  {:<80} {:>4} bits x {}{memory}", r.path, r.width, r.elements);
        }
    }
    Ok(ExitCode::SUCCESS)
}
