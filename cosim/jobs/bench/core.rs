// SPDX-License-Identifier: Apache-2.0
//! Programs on the core, all data from memory through AXI: how close they come to what memory can bring, and what a command
//! costs beside that.

use anyhow::bail;
use tandem_model::core::core::Core;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::core::{CoreDut, Finished, IDEAL_LATENCY, MemoryKind, Workload};
use tandem_testbenches::memory::hbm3::Config;
use tandem_testbenches::memory::stream::Rate;

use super::{Better, Figure, SMALL};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::as_f64;

/// Cycles that the array takes for a head beside the words of its tiles, found before there was RTL.
const ARRAY_CYCLES: u64 = 55;

/// A program with this in it.
fn program(fill: impl FnOnce(&mut Workload)) -> Workload {
    let mut workload = Workload::new(SMALL);
    fill(&mut workload);
    workload
}

/// Runs a program on the model. Returns the cycles from the first doorbell to the last completion.
fn cycles(workload: &Workload, kind: MemoryKind) -> anyhow::Result<(u64, Finished)> {
    let mut dut = ModelOnly { model: Core::new(SMALL) };
    let finished = workload.run(&mut CoreDut(&mut dut), kind, &mut |_| Ok(interrupt::check()?));
    let finished = finished.map_err(unbox)?;
    Ok((finished.end - finished.start, finished))
}

fn memory(kind: MemoryKind) -> String {
    match kind {
        MemoryKind::Hbm3 => "one channel of HBM3".to_owned(),
        _ => format!(
            "the ideal memory: a word a cycle, {IDEAL_LATENCY} cycles to the first word and to the answer of a write"
        ),
    }
}

const HOW: &str = "cycles from the first doorbell to the last completion, 8 rows x 64 lanes, on the model, which lockstep holds equal to \
                   the RTL";

/// What was streamed, by what the ideal memory could bring.
fn ideal(name: &str, workload: &Workload, reach: Option<f64>) -> anyhow::Result<Figure> {
    utilisation(name, workload, MemoryKind::Ideal, 1.0, reach)
}

/// What was streamed, by what HBM3 could bring.
fn hbm3(name: &str, workload: &Workload, peak: Rate) -> anyhow::Result<Figure> {
    utilisation(name, workload, MemoryKind::Hbm3, as_f64(peak.words) / as_f64(peak.cycles), None)
}

fn utilisation(
    name: &str,
    workload: &Workload,
    kind: MemoryKind,
    peak: f64,
    reach: Option<f64>,
) -> anyhow::Result<Figure> {
    let (cycles, finished) = cycles(workload, kind)?;
    let payload = workload.payload();
    let value = as_f64(payload) / 64.0 / as_f64(cycles) / peak;
    if value > 1.0 || finished.traffic.words_read * 64 < payload {
        bail!(
            "core {name} {kind:?}: utilisation {value:.4}, {} words read: the accounting is wrong",
            finished.traffic.words_read
        );
    }
    let (suffix, unit) = match kind {
        MemoryKind::Hbm3 => ("hbm3", "of HBM3's sustained reads"),
        _ => ("ideal", "of the port limit"),
    };
    Ok(Figure {
        name: format!("core_{name}_{suffix}_utilisation"),
        value,
        reach,
        better: Better::Higher,
        unit,
        how: format!(
            "{payload} bytes of elements and scales, each once, in {cycles} cycles, at {peak:.4} words of 64 bytes a cycle; {} words \
             read, {} written; {}; {HOW}",
            finished.traffic.words_read,
            finished.traffic.words_written,
            memory(kind)
        ),
    })
}

/// Cycles of a program beside those of the words that it streams, less what the array takes for its heads.
fn beside(
    name: &str,
    workload: &Workload,
    array: u64,
    reach: Option<f64>,
    what: &str,
) -> anyhow::Result<Figure> {
    let (cycles, _) = cycles(workload, MemoryKind::Ideal)?;
    let words = workload.stream_words();
    let Some(left) = cycles.checked_sub(words + array) else {
        bail!("core {name}: {words} words in {cycles} cycles, the accounting is wrong");
    };
    Ok(Figure {
        name: format!("core_{name}_cycles"),
        value: as_f64(left),
        reach,
        better: Better::Lower,
        unit: "cycles",
        how: format!(
            "{cycles} cycles less {words} words of 64 bytes that stream and {array} of the array: {what}; {}; {HOW}",
            memory(MemoryKind::Ideal)
        ),
    })
}

/// All figures of the core.
///
/// # Errors
/// When the core is wrong, or a utilisation is above its limit.
pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let peak = Config::ONE_CHANNEL.sustained_peak();
    let mut figures = Vec::new();
    for (features, columns) in [(1024, 3072), (3072, 1024), (4096, 4096)] {
        let work = program(|w| {
            w.gemv(features, columns, 0);
        });
        let name = format!("gemv_{features}x{columns}_fp4");
        figures.push(ideal(&name, &work, Some(0.98))?);
        figures.push(hbm3(&name, &work, peak)?);
    }
    for (name, heads, tokens, reach) in [
        ("decode_2k", 1, 2048, Some(0.93)),
        ("decode_16k", 1, 16384, Some(0.99)),
        ("chain_8x2k", 8, 2048, None),
        ("chain_8x16k", 8, 16384, None),
    ] {
        let work = program(|w| (0..heads).for_each(|_| w.attend(tokens)));
        let name = format!("attention_{name}_fp4");
        figures.push(ideal(&name, &work, reach)?);
        figures.push(hbm3(&name, &work, peak)?);
    }
    let what = "doorbell, fetch of the commands, q, first word of K, from the last weight's product to the last result, its write, the \
                completion; four times the memory's latency";
    let head = program(|w| w.attend(2048));
    figures.push(beside("attention_command_overhead", &head, ARRAY_CYCLES, Some(270.0), what)?);
    let dependent = program(|w| {
        let first = w.gemv(1024, 1024, 0);
        w.gemv(1024, 1024, first);
    });
    let what = "two products of 1024 x 1024, x of the second is loaded when the results of the first are written, its weights stream \
                ahead";
    figures.push(beside("gemv_dependent_lost", &dependent, 0, None, what)?);
    let independent = program(|w| w.two_gemvs(1024, 1024));
    let what = "two products of 1024 x 1024 that do not wait for each other";
    figures.push(beside("gemv_independent_lost", &independent, 0, None, what)?);
    Ok(figures)
}
