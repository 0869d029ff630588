// SPDX-License-Identifier: Apache-2.0
//! Figures, each against the limit it should come close to.
//!
//! `reach` is what the project set itself and is not touched by the code that it judges.

mod attention;
mod collective;
mod core;
mod decoder;
mod link;

use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_model::block::Block;
use tandem_model::core::core::Core;
use tandem_model::devices::{Device, Kind};
use tandem_model::sram::bank_group::BankGroup;
use tandem_testbenches::array::{ArrayDriver, GemvRun, Matrix, Stationary, Stream, run_gemv};
use tandem_testbenches::attention::pages::pack;
use tandem_testbenches::attention::suite::{Case, RELATIVE_ERROR, Shape};
use tandem_testbenches::attention::{EngineDriver, Job};
use tandem_testbenches::core::{CoreDut, MemoryKind, Workload};
use tandem_testbenches::random::{Flavour, Source};
use tandem_testbenches::sram::{CampaignReport, campaign};
use tandem_testbenches::{Dut, ModelOnly};

use super::as_f64;
use crate::engine::unbox;
use crate::interrupt;
use crate::lockstep::{Lockstep, RtlOnly};

/// Which way a figure should go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Higher is better.
    Higher,
    /// Lower is better.
    Lower,
}

/// A figure.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Name.
    pub name: String,
    /// Measured.
    pub value: f64,
    /// To be reached; none for figures that are only told.
    pub reach: Option<f64>,
    /// Which way is better.
    pub better: Better,
    /// Unit.
    pub unit: &'static str,
    /// How it was measured.
    pub how: String,
}

impl Figure {
    /// True when the figure is where it should be.
    #[must_use]
    pub fn reached(&self) -> bool {
        self.reach.is_none_or(|reach| match self.better {
            Better::Higher => self.value >= reach,
            Better::Lower => self.value <= reach,
        })
    }
}

const SMALL: Geometry = Geometry::ALL[0];

/// A matrix of random codes and a full set of activations.
fn workload(int8: bool, features: usize, columns: usize) -> (Matrix, Stationary) {
    let mut source = Source::new(1, Flavour::Plain);
    let blocks = columns / 32;
    let count = features * blocks;
    let weights = if int8 {
        Stream::Int8((0..count).map(|_| source.int8_block()).collect())
    } else {
        Stream::Fp4((0..count).map(|_| source.fp4_block()).collect())
    };
    let values = (0..SMALL.rows * blocks).map(|_| source.int8_block()).collect();
    (Matrix { features, blocks, weights }, Stationary { blocks, values })
}

fn gemv(dut: &mut dyn Dut<SystolicArray>, work: &(Matrix, Stationary)) -> anyhow::Result<GemvRun> {
    let mut driver = ArrayDriver::new(SMALL, dut).map_err(unbox)?;
    run_gemv(&mut driver, &work.0, &work.1, &mut |_| Ok(interrupt::check()?)).map_err(unbox)
}

fn utilisation(int8: bool) -> anyhow::Result<Figure> {
    let (features, columns) = (1024, 3072);
    let work = workload(int8, features, columns);
    let run = gemv(&mut ModelOnly { model: SystolicArray::new(SMALL) }, &work)?;
    let limit = work.0.port_words(SMALL);
    let value = as_f64(limit) / as_f64(run.cycles);
    let format = if int8 { "int8" } else { "fp4" };
    if value > 1.0 {
        bail!("GEMV {format}: utilisation {value:.4} is above 1, the accounting is wrong");
    }
    Ok(Figure {
        name: format!("gemv_{format}_{features}x{columns}_utilisation"),
        value,
        reach: Some(0.98),
        better: Better::Higher,
        unit: "of the port limit",
        how: format!(
            "{limit} words of 64 bytes (elements and scales, each once) over {} cycles from the first slot to the last \
             result, 8 rows x 64 lanes; cycles of the model, which lockstep holds equal to the RTL's",
            run.cycles
        ),
    })
}

/// One head of 2k keys in MXFP4, as many queries as rows, filled in while it is read.
fn decode() -> impl Fn(&mut dyn Dut<AttentionEngine>) -> anyhow::Result<u64> {
    let case = Case {
        name: "decode",
        shape: Shape::Spread(1.0),
        tokens: 2048,
        window: 0,
        int8: false,
        head_dim: 64,
        limit: RELATIVE_ERROR,
        seed: 1,
    };
    let (session, queries) = case.generate(SMALL.rows);
    let pages = pack(&session, SMALL);
    move |dut| {
        let mut driver = EngineDriver::new(SMALL, dut).map_err(unbox)?;
        let job = Job { session: &session, pages: &pages, queries: &queries, resident: None };
        driver.run(&[job], false, &mut |_| Ok(interrupt::check()?)).map_err(unbox)?;
        Ok(driver.now())
    }
}

/// Cycles per second of the RTL, lockstep and the model, alternated in one run; the median of each. `work` returns its
/// cycles.
fn speeds<B>(
    kind: Kind,
    model: impl Fn() -> B,
    rounds: usize,
    work: impl Fn(&mut dyn Dut<B>) -> anyhow::Result<u64>,
) -> anyhow::Result<[f64; 3]>
where
    B: Block + Send + 'static,
    B::Inputs: Send,
{
    let device = Device::of(kind, SMALL).name;
    let mut seconds = [Vec::new(), Vec::new(), Vec::new()];
    let mut cycles = 0;
    for _ in 0..rounds {
        let mut rtl = RtlOnly::linked(device, &model(), 1)?;
        let mut lockstep = Lockstep::linked(device, model(), 1)?;
        lockstep.beside();
        let mut model = ModelOnly { model: model() };
        let duts: [&mut dyn Dut<B>; 3] = [&mut rtl, &mut lockstep, &mut model];
        for (dut, seconds) in duts.into_iter().zip(&mut seconds) {
            let start = Instant::now();
            cycles = work(dut)?;
            seconds.push(start.elapsed().as_secs_f64());
            dut.finish().map_err(unbox)?;
        }
    }
    Ok(seconds.map(|mut s| {
        s.sort_by(f64::total_cmp);
        as_f64(cycles) / s[s.len() / 2]
    }))
}

fn speed_figures(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let rounds = if quick { 3 } else { 15 };
    let work = workload(false, 512, 1024);
    let array =
        speeds(Kind::Array, || SystolicArray::new(SMALL), rounds, |dut| Ok(gemv(dut, &work)?.cycles))?;
    let attention = speeds(Kind::Attention, || AttentionEngine::new(SMALL), rounds, decode())?;
    let mut figures = speed_group("", array, "GEMV 512 x 1024 FP4", rounds);
    let decode = "attention to 2048 keys FP4, head of 64";
    figures.extend(speed_group("attention_", attention, decode, rounds));
    let mut program = Workload::new(SMALL);
    program.gemv(512, 1024, 0);
    let program = program.prepared();
    let core = speeds(
        Kind::Core,
        || Core::new(SMALL),
        rounds,
        |dut| {
            let run = program.run(&mut CoreDut(dut), MemoryKind::Ideal, &mut |_| Ok(interrupt::check()?));
            Ok(run.map_err(unbox)?.cycles)
        },
    )?;
    let mut figures_of_core = speed_group("core_", core, "program of a GEMV 512 x 1024 FP4", rounds);
    let lockstep = figures_of_core.iter_mut().filter(|f| f.name == "core_lockstep_cycles_per_second");
    lockstep.for_each(|figure| figure.reach = Some(3e4));
    figures.extend(figures_of_core);
    Ok(figures)
}

fn speed_group(prefix: &str, speeds: [f64; 3], work: &str, rounds: usize) -> Vec<Figure> {
    let [rtl, lockstep, model] = speeds;
    let figure = |name: &str, value, reach, better, unit| Figure {
        name: format!("{prefix}{name}"),
        value,
        reach,
        better,
        unit,
        how: format!(
            "{work}, 8 rows x 64 lanes, median of {rounds} alternating runs, same archive and driver"
        ),
    };
    vec![
        figure("lockstep_over_rtl_time", rtl / lockstep, Some(1.10), Better::Lower, "x"),
        figure("model_over_rtl_speed", model / rtl, Some(10.0), Better::Higher, "x"),
        figure("rtl_cycles_per_second", rtl, None, Better::Higher, "cycles/s"),
        figure("lockstep_cycles_per_second", lockstep, None, Better::Higher, "cycles/s"),
        figure("model_cycles_per_second", model, None, Better::Higher, "cycles/s"),
    ]
}

/// Soft errors in the banks, in lockstep: what became of them.
fn secded_figures(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let errors = if quick { 20_000 } else { 100_000 };
    let device = Device::of(Kind::Sram, SMALL).name;
    let mut lockstep = Lockstep::linked(device, BankGroup::new(SMALL), 1)?;
    let report = campaign(SMALL, &mut lockstep, errors, 1).map_err(unbox)?;
    lockstep.finish()?;
    let CampaignReport { injected, corrected, detected, silent } = report;
    let half = as_f64(injected) / 2.0;
    let figure = |name: &str, value, reach, better, unit, what: &str| Figure {
        name: name.to_owned(),
        value,
        reach: Some(reach),
        better,
        unit,
        how: format!(
            "{what}, of {injected} errors of one and two bits by turns in codewords of {device}, in lockstep"
        ),
    };
    Ok(vec![
        figure(
            "secded_single_corrected",
            as_f64(corrected) / half,
            1.0,
            Better::Higher,
            "of single errors",
            "word right, not marked, counted",
        ),
        figure(
            "secded_double_detected",
            as_f64(detected) / half,
            1.0,
            Better::Higher,
            "of double errors",
            "word marked and counted",
        ),
        figure(
            "secded_silent",
            as_f64(silent),
            0.0,
            Better::Lower,
            "errors",
            "wrong without a mark, marked without need, or miscounted",
        ),
    ])
}

/// What the build script measured when it made the archives that this program links.
fn compile_figures() -> anyhow::Result<Vec<Figure>> {
    env!("TANDEM_BUILD_TIMES")
        .split(',')
        .map(|entry| {
            let (name, times) = entry.split_once('=').context("build times are name=verilate+compile")?;
            let (verilate, compile) =
                times.split_once('+').context("build times are name=verilate+compile")?;
            Ok(Figure {
                name: format!("compile_{name}"),
                value: verilate.parse::<f64>()? + compile.parse::<f64>()?,
                reach: None,
                better: Better::Lower,
                unit: "s",
                how: format!("Verilator {verilate} s, C++ {compile} s, when the archive was made"),
            })
        })
        .collect()
}

/// Groups of figures, by the name that `--only` takes.
pub const GROUPS: [&str; 11] = [
    "gemv",
    "attention",
    "core",
    "layer",
    "generate",
    "secded",
    "link",
    "collective",
    "speed",
    "compile",
    MODEL,
];
/// A whole model in lockstep: only when it is asked for.
const MODEL: &str = "model";

/// Measures. `each` is told every figure as it comes.
///
/// # Errors
/// When a device fails, or a utilisation is above the limit.
pub fn run(only: Option<&str>, quick: bool, mut each: impl FnMut(&Figure)) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for group in GROUPS.into_iter().filter(|g| only.map_or(*g != MODEL, |o| o == *g)) {
        let measured = match group {
            "gemv" => vec![utilisation(false)?, utilisation(true)?],
            "attention" => attention::figures()?,
            "core" => core::figures()?,
            "layer" => decoder::layer()?,
            "generate" => decoder::generate(quick)?,
            MODEL => decoder::model()?,
            "link" => link::figures(quick)?,
            "secded" => secded_figures(quick)?,
            "collective" => collective::figures()?,
            "speed" => speed_figures(quick)?,
            _ => compile_figures()?,
        };
        measured.iter().for_each(&mut each);
        figures.extend(measured);
    }
    Ok(figures)
}
