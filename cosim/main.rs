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
use tandem::jobs::attend::HeadReport;
use tandem::jobs::matvec::MatrixReport;
use tandem::jobs::{
    Format, Options, Totals, attend, bench, fuzz, generate, import, link, list, matvec, perplexity, replay,
    run,
};
use tandem_host::import::ImportOptions;
use tandem_model::array::Geometry;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::link::channel::Rates;
use tandem_testbenches::memory::checker::Broken;
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
    /// Generate text from a checkpoint, a folder or what import made of it: the core computes every token.
    Generate(GenerateRun),
    /// How well a checkpoint foretells a text, in binary32 and on the numerics of the core.
    Perplexity(PerplexityRun),
    /// Stream every weight matrix of a checkpoint, with the prompt's activations, from memory through the core.
    Matvec {
        #[command(flatten)]
        run: CheckpointRun,
        /// Format of the weights.
        #[arg(long, default_value = "fp4")]
        weights: Format,
    },
    /// Attend with every layer and head of a checkpoint, for every token of a prompt, K and V from memory.
    Attend {
        #[command(flatten)]
        run: CheckpointRun,
        /// Format of K and V.
        #[arg(long, default_value = "fp4")]
        kv: Format,
    },
    /// Quantise a checkpoint and lay it out in memory as the core wants it, in one file.
    Import(ImportRun),
    /// Run a program of commands on the core (docs/programs/README.md).
    Run(ProgramRun),
    /// Search for trouble with random cases in lockstep.
    Fuzz {
        /// float, segment, array, sram, softmax, normaliser, attention, framer, link, collective, csr, reader, control, counters, stream, dma, gemv, results, port, vector, core, decoder (whole models on the core) or all.
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
    /// Let two endpoints of the link send to each other over wires that go wrong.
    Link(LinkRun),
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
        /// One group of figures: gemv, attention, core, layer, generate, secded, link, collective, speed or compile; model runs only when asked for.
        #[arg(long)]
        only: Option<String>,
        /// Fewer rounds.
        #[arg(long)]
        quick: bool,
    },
}

/// A job over a checkpoint and a prompt.
#[derive(clap::Args)]
struct CheckpointRun {
    /// Checkpoint folder (Hugging Face layout).
    #[arg(long)]
    model: PathBuf,
    /// Prompt.
    #[arg(long)]
    prompt: String,
    /// Geometry of the core (see `tandem list`).
    #[arg(long, default_value = "small")]
    geometry: String,
    /// What runs it.
    #[arg(long, default_value = "lockstep")]
    engine: Engine,
    /// What is behind the memory port; by default ideal, with --stalls hostile.
    #[arg(long)]
    memory: Option<run::Memory>,
    /// Waveform of the whole run (.vcd or .fst).
    #[arg(long)]
    wave: Option<PathBuf>,
    /// The host waits at random, with this seed, which also decides what the hostile memory does.
    #[arg(long)]
    stalls: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A checkpoint, a prompt, and how it goes on.
#[derive(clap::Args)]
struct GenerateRun {
    #[command(flatten)]
    run: CheckpointRun,
    /// Most tokens that are generated.
    #[arg(long, default_value_t = 32)]
    tokens: usize,
    /// The prompt is a message to a model that converses: its chat template comes around it.
    #[arg(long)]
    chat: bool,
    /// What such a model is told beforehand.
    #[arg(long, requires = "chat")]
    system: Option<String>,
    /// Go on behind a token that ends a text.
    #[arg(long)]
    ignore_stop: bool,
    /// Format of K and V.
    #[arg(long, default_value = "fp4")]
    kv: Format,
    /// Where drafted tokens come from; they change the number of passes, but no token.
    #[arg(long, default_value = "none")]
    draft: generate::Draft,
    /// Divides the logits before one is drawn; 0 takes the largest.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    /// Only the most probable tokens are drawn from that together have this probability.
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Seed of the draws (`TANDEM_SEED` overrides it).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Longest session in tokens; by default the model's, at most 4096.
    #[arg(long)]
    context: Option<usize>,
    /// Clock for which tokens per second are told, MHz.
    #[arg(long, default_value_t = 1000.0)]
    clock: f64,
    /// What every unit did: Chrome trace events (.json), or a picture of the last pass (.svg).
    #[arg(long)]
    timeline: Option<PathBuf>,
}

impl GenerateRun {
    fn options(self, failure: FailureFiles) -> anyhow::Result<generate::Options> {
        if self.tokens == 0 {
            bail!("--tokens takes at least 1, got 0");
        }
        if !(self.temperature.is_finite() && self.temperature >= 0.0) {
            bail!("--temperature takes a number that is not negative, got {}", self.temperature);
        }
        if !(self.top_p > 0.0 && self.top_p <= 1.0) {
            bail!("--top-p takes a number above 0 and up to 1, got {}", self.top_p);
        }
        if !(self.clock.is_finite() && self.clock > 0.0) {
            bail!("--clock takes a number of MHz above 0, got {}", self.clock);
        }
        let Options { model, prompt, geometry, engine, format: kv, memory, wave, stalls, failure, .. } =
            self.run.options(self.kv, failure)?;
        Ok(generate::Options {
            model,
            prompt,
            chat: self.chat.then_some(generate::Conversation { system: self.system }),
            tokens: self.tokens,
            ignore_stop: self.ignore_stop,
            kv,
            draft: self.draft,
            temperature: self.temperature,
            top_p: self.top_p,
            context: self.context,
            clock: self.clock,
            geometry,
            engine,
            memory,
            stalls,
            timeline: self.timeline,
            wave,
            seed: seed(self.seed)?,
            failure,
        })
    }
}

/// A checkpoint and a text.
#[derive(clap::Args)]
struct PerplexityRun {
    /// Checkpoint folder (Hugging Face layout).
    #[arg(long)]
    model: PathBuf,
    /// Text file; its lines are paragraphs.
    #[arg(long)]
    text: PathBuf,
    /// Tokens of a window: each is foretold from those ahead of it.
    #[arg(long, default_value_t = tandem_host::perplexity::DEFAULT_WINDOW)]
    window: usize,
    /// Measure only the first windows.
    #[arg(long)]
    windows: Option<usize>,
    /// A matrix that becomes MXINT8 in place of MXFP4, as for `tandem import`.
    #[arg(long)]
    int8: Vec<String>,
    /// Geometry of the core (see `tandem list`).
    #[arg(long, default_value = "small")]
    geometry: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A checkpoint and how it is packed.
#[derive(clap::Args)]
struct ImportRun {
    /// Checkpoint folder (Hugging Face layout, in one file or in shards).
    model: PathBuf,
    /// The file to be written.
    #[arg(long, short)]
    output: PathBuf,
    /// Geometry of the core (see `tandem list`).
    #[arg(long, default_value = "small")]
    geometry: String,
    /// Longest sequence in tokens; by default the model's, at most 4096.
    #[arg(long)]
    context: Option<usize>,
    /// A matrix that becomes MXINT8 in place of MXFP4: kv, q, o, gate_up, down, head, or layers.0.down; more than one may be given.
    #[arg(long)]
    int8: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A program and what it runs on.
#[derive(clap::Args)]
struct ProgramRun {
    /// Program file.
    program: PathBuf,
    /// Geometry of the core (see `tandem list`).
    #[arg(long, default_value = "small")]
    geometry: String,
    /// What runs it.
    #[arg(long, default_value = "lockstep")]
    engine: Engine,
    /// What is behind the memory port.
    #[arg(long, default_value = "hbm3")]
    memory: run::Memory,
    /// The host waits at random, with this seed, which also decides what the hostile memory does.
    #[arg(long)]
    stalls: Option<u64>,
    /// What every unit did: Chrome trace events (.json) or a picture (.svg).
    #[arg(long)]
    timeline: Option<PathBuf>,
    /// Waveform of the whole run (.vcd or .fst).
    #[arg(long)]
    wave: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl ProgramRun {
    fn options(self, failure: FailureFiles) -> anyhow::Result<run::Options> {
        let Self { program, geometry, engine, memory, stalls, timeline, wave, .. } = self;
        let (geometry, seed) = (geometry_by_name(&geometry)?, seed(1)?);
        Ok(run::Options { program, geometry, engine, memory, stalls, timeline, wave, seed, failure })
    }
}

/// Two endpoints and the wires between them. Rates hold each way.
#[derive(clap::Args)]
struct LinkRun {
    /// Wrong bits per bit.
    #[arg(long, default_value_t = 0.0)]
    ber: f64,
    /// Cycles on the wire, each way.
    #[arg(long, default_value_t = 0)]
    latency: usize,
    /// Words each way, as the number of flits that they fill.
    #[arg(long, default_value_t = 10_000)]
    flits: u64,
    /// Shares of the channels in percent of the words.
    #[arg(long, default_value = "bulk=100")]
    vc: link::Mix,
    /// What runs both endpoints.
    #[arg(long, default_value = "lockstep")]
    engine: Engine,
    /// What is sent again of what got lost.
    #[arg(long, default_value = "selective")]
    replay: link::Replay,
    /// Seed of words and errors (`TANDEM_SEED` overrides it).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Bursts of wrong bits per flit.
    #[arg(long, default_value_t = 0.0)]
    burst: f64,
    /// Length of a burst.
    #[arg(long, default_value_t = 16)]
    burst_bits: u16,
    /// Flits lost per flit.
    #[arg(long, default_value_t = 0.0)]
    drop: f64,
    /// Flits doubled per flit.
    #[arg(long, default_value_t = 0.0)]
    duplicate: f64,
    /// Beats put in or lost per flit: the receiver no longer knows where flits begin.
    #[arg(long, default_value_t = 0.0)]
    slip: f64,
    /// A direction in which nothing comes through.
    #[arg(long)]
    dead: Option<link::Dead>,
    /// Read the words only now and then.
    #[arg(long)]
    stalls: bool,
    /// Waveform of side a, the whole run (.vcd or .fst).
    #[arg(long)]
    wave: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl LinkRun {
    fn options(self, failure: FailureFiles) -> anyhow::Result<link::Options> {
        let Self { ber, burst, burst_bits, drop, duplicate, slip, .. } = self;
        Ok(link::Options {
            engine: self.engine,
            replay: self.replay,
            rates: Rates { ber, burst, burst_bits, drop, duplicate, slip, dead: false },
            dead: self.dead,
            latency: self.latency,
            flits: self.flits,
            mix: self.vc,
            stalls: self.stalls,
            seed: seed(self.seed)?,
            wave: self.wave,
            failure,
        })
    }
}

impl CheckpointRun {
    fn options(self, format: Format, failure: FailureFiles) -> anyhow::Result<Options> {
        let Self { model, prompt, geometry, engine, wave, stalls, .. } = self;
        let geometry = geometry_by_name(&geometry)?;
        let seed = seed(1)?;
        let unnamed = if stalls.is_some() { run::Memory::Hostile } else { run::Memory::Ideal };
        let memory = self.memory.unwrap_or(unnamed);
        Ok(Options { model, prompt, geometry, engine, format, memory, wave, stalls, seed, failure })
    }
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
            || e.is::<Broken>()
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
        Command::Generate(run) => {
            let json = run.run.json;
            run_generate(&run.options(failure)?, json)
        }
        Command::Perplexity(run) => {
            let PerplexityRun { model, text, window, windows, int8, geometry, json } = run;
            let geometry = geometry_by_name(&geometry)?;
            let options = perplexity::Options { model, text, window, windows, int8, geometry };
            let report = perplexity::run(&options)?;
            if json {
                print_json(&report)?;
            } else {
                say!("{report}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Matvec { run, weights } => {
            let json = run.json;
            run_matvec(&run.options(weights, failure)?, json)
        }
        Command::Attend { run, kv } => {
            let json = run.json;
            run_attend(&run.options(kv, failure)?, json)
        }
        Command::Import(run) => {
            let ImportRun { model, output: file, geometry, context, int8, json } = run;
            let import = ImportOptions { geometry: geometry_by_name(&geometry)?, context, int8 };
            let report = import::run(&import::Options { model, file, import })?;
            if json {
                print_json(&report)?;
            } else {
                say!("{report}");
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Run(run) => {
            let (json, files) = (run.json, [run.timeline.clone(), run.wave.clone()]);
            let report = run::run(&run.options(failure)?)?;
            if json {
                print_json(&report)?;
            } else {
                say!("{report}");
                for (what, file) in ["timeline", "waveform"].iter().zip(files) {
                    if let Some(file) = file {
                        say!("{what} {}", file.display());
                    }
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Fuzz { block, seconds, seed: given, json } => {
            let (devices, decoders) = devices(&block)?;
            // Every device gets its share of the time.
            let time = Duration::from_secs(seconds) / u32::try_from(devices.len() + decoders.len())?;
            let limits = Limits { cases: 1, cycles: 0, time };
            let options = fuzz::Options { devices, decoders, limits, seed: seed(given)?, failure };
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
        Command::Link(run) => {
            let (json, wave) = (run.json, run.wave.clone());
            let report = link::run(&run.options(failure)?)?;
            if json {
                print_json(&report)?;
            } else {
                print_link(&report, wave.as_deref());
            }
            Ok(ExitCode::SUCCESS)
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

/// The devices of a block, and the cores that decode with whole models.
fn devices(block: &str) -> anyhow::Result<(Vec<Device>, Vec<Device>)> {
    let all = |chosen: &dyn Fn(&Device) -> bool| Device::ALL.into_iter().filter(chosen).collect::<Vec<_>>();
    let chosen = all(&|device| block == "all" || device.kind.name() == block);
    let decodes = ["all", fuzz::DECODER].contains(&block);
    let decoders = all(&|device| decodes && device.kind == Kind::Core);
    if chosen.is_empty() && decoders.is_empty() {
        let known = Kind::ALL.map(Kind::name).join(", ");
        bail!("no block `{block}`; there are {known}, {} and all", fuzz::DECODER);
    }
    Ok((chosen, decoders))
}

fn run_generate(options: &generate::Options, json: bool) -> anyhow::Result<ExitCode> {
    let report = generate::run(options, &mut |text| {
        if !json {
            let mut out = std::io::stdout();
            if let Err(e) = write!(out, "{text}").and_then(|()| out.flush()) {
                let _ = UNWRITTEN.set(e);
            }
        }
    })?;
    if json {
        print_json(&report)?;
    } else {
        say!("\n\n{report}");
        for (what, file) in [("timeline", &options.timeline), ("waveform", &options.wave)] {
            if let Some(file) = file {
                say!("{what} {}", file.display());
            }
        }
    }
    Ok(if report.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
}

fn run_matvec(options: &Options, json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(json, ["matrix", "shape"]);
    let report = matvec::run(options, |m| table.matrix(m))?;
    let done = format!("{} of {} matrices", report.matrices.len(), report.of_matrices);
    conclude(options, json, &report, &report.totals, &done)
}

fn run_attend(options: &Options, json: bool) -> anyhow::Result<ExitCode> {
    let mut table = Table::new(json, ["heads", "tokens"]);
    let report = attend::run(options, |h| table.head(h))?;
    let beyond: u64 = report.heads.iter().map(|h| h.beyond).sum();
    if beyond > 0 && !json {
        say!(
            "\n{beyond} rows have scores beyond +-1023 or results beyond binary32: no error is promised for them"
        );
    }
    let done = format!("{} of {} heads of K and V", report.heads.len(), report.of_heads);
    conclude(options, json, &report, &report.totals, &done)
}

/// The end of a job over a checkpoint.
fn conclude(
    options: &Options,
    json: bool,
    report: &impl Serialize,
    totals: &Totals,
    done: &str,
) -> anyhow::Result<ExitCode> {
    if json {
        print_json(report)?;
    } else {
        say!("\n{done}, {} tokens", totals.tokens);
        print_totals(totals, options.wave.as_deref());
    }
    Ok(if totals.interrupted { ExitCode::from(130) } else { ExitCode::SUCCESS })
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
        "{} engine, geometry {}, {} memory: {} cycles in {:.1} s, {:.0} cycles/s",
        totals.engine,
        totals.geometry,
        totals.memory.name(),
        totals.cycles,
        totals.seconds,
        totals.cycles_per_second
    );
    if let Some(wave) = wave {
        say!("waveform {}", wave.display());
    }
}

/// The table of a job over a checkpoint. It begins with its first row: bad input leaves no header behind.
struct Table {
    silent: bool,
    header: Option<[&'static str; 2]>,
}

impl Table {
    const fn new(silent: bool, header: [&'static str; 2]) -> Self {
        Self { silent, header: Some(header) }
    }

    fn matrix(&mut self, m: &MatrixReport) {
        let name = m.layer.map_or_else(|| m.matrix.clone(), |l| format!("layer {l} {}", m.matrix));
        let counts = [m.passes as u64, m.beats, m.cycles];
        self.row(
            &[name, format!("{} x {}", m.rows, m.columns)],
            counts,
            m.utilisation,
            [m.error, m.quantisation],
        );
    }

    fn head(&mut self, h: &HeadReport) {
        let name = format!("layer {} heads {}-{}", h.layer, h.heads.0, h.heads.1);
        let counts = [h.passes as u64, h.beats, h.cycles];
        self.row(&[name, h.tokens.to_string()], counts, h.utilisation, [h.error, h.quantisation]);
    }

    fn row(&mut self, names: &[String; 2], counts: [u64; 3], utilisation: f64, errors: [f64; 2]) {
        if self.silent {
            return;
        }
        if let Some([first, second]) = self.header.take() {
            say!(
                "{first:<20} {second:>11} {:>7} {:>8} {:>8} {:>7} {:>10} {:>10}",
                "passes",
                "beats",
                "cycles",
                "util",
                "vs f64",
                "quantised"
            );
        }
        let ([name, shape], [passes, beats, cycles]) = (names, counts);
        let [error, quantisation] = errors;
        say!(
            "{name:<20} {shape:>11} {passes:>7} {beats:>8} {cycles:>8} {:>6.1}% {error:>10.1e} {quantisation:>10.1e}",
            100.0 * utilisation
        );
    }
}

fn print_fuzz(r: &fuzz::Report) {
    let decodes = if r.block == fuzz::DECODER { " with whole models" } else { "" };
    say!(
        "{}{decodes}: {} cases, {} cycles, {:.1} cases/s, seed {}, no mismatch",
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

fn print_link(r: &link::Report, wave: Option<&Path>) {
    say!(
        "{:<10} {:>10} {:>10} {:>10} {:>7} {:>7} {:>7} {:>7}",
        "direction",
        "words",
        "efficiency",
        "wrong bits",
        "bursts",
        "lost",
        "doubled",
        "slips"
    );
    for d in &r.directions {
        say!(
            "{:<10} {:>10} {:>9.2}% {:>10} {:>7} {:>7} {:>7} {:>7}",
            d.direction,
            d.words,
            100.0 * d.efficiency,
            d.wrong_bits,
            d.bursts,
            d.drops,
            d.duplicates,
            d.slips
        );
    }
    say!(
        "\n{:<10} {:>10} {:>7} {:>7} {:>7} {:>7}  cycles, port to port",
        "channel",
        "words",
        "min",
        "median",
        "p99",
        "max"
    );
    for l in &r.latencies {
        say!("{:<10} {:>10} {:>7} {:>7} {:>7} {:>7}", l.channel, l.words, l.min, l.median, l.p99, l.max);
    }
    let [control, latency, bulk] = r.stalls;
    say!(
        "\n{} CRC errors, {} asks, {} replays, {} sessions, {} of them lost; stalls: control {control}, latency {latency}, bulk {bulk}",
        r.crc_errors,
        r.asks,
        r.replays,
        r.sessions,
        r.losses
    );
    say!(
        "every word once and in order, {} lost with a session; payload {:.2}% of the wire",
        r.words_lost,
        100.0 * r.efficiency
    );
    if r.bits > 0 {
        say!(
            "compared at each of {} clocks: {} registers, {} bits of both sides",
            r.cycles,
            r.registers,
            r.bits
        );
    }
    say!(
        "{} engine, seed {}: {} cycles in {:.1} s, {:.0} cycles/s",
        r.engine,
        r.seed,
        r.cycles,
        r.seconds,
        r.cycles_per_second
    );
    if let Some(wave) = wave {
        say!("waveform {}", wave.display());
    }
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
