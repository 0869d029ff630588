// SPDX-License-Identifier: Apache-2.0
//! What the program does: one module per command.

pub mod attend;
pub mod bench;
mod draft;
pub mod fuzz;
pub mod import;
pub mod link;
pub mod list;
pub mod matvec;
pub mod replay;
pub mod run;

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tandem_host::{Checkpoint, Tokenizer};
use tandem_model::array::Geometry;
use tandem_model::layout::{Blocks, result_bytes, unpack_results};
use tandem_model::numerics::{BLOCK_LEN, MxFp4Block, MxInt8Block, ScaleRule};
use tandem_testbenches::array::Stream;
use tandem_testbenches::core::Finished;

use self::run::Memory;
use crate::engine::{Engine, FailureFiles};
use crate::interrupt::Interrupted;

/// A progress bar on standard error; nothing where that is no terminal.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:30} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// Format of what streams: weights, or K and V.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// MXFP4.
    Fp4,
    /// MXINT8.
    Int8,
}

impl Format {
    /// Quantises rows of numbers to blocks; a last block of a row that is not full is filled up with zeros.
    fn stream<'a>(self, rows: impl Iterator<Item = &'a [f32]>) -> Stream {
        match self {
            Self::Fp4 => Stream::Fp4(rows.flat_map(|row| blocks(row, fp4)).collect()),
            Self::Int8 => Stream::Int8(rows.flat_map(|row| blocks(row, int8)).collect()),
        }
    }
}

/// Blocks as they are laid out in memory.
fn laid_out(stream: &Stream) -> Blocks<'_> {
    match stream {
        Stream::Fp4(blocks) => Blocks::Fp4(blocks),
        Stream::Int8(blocks) => Blocks::Int8(blocks),
    }
}

/// Results of so many rows and features in the memory of a run that ended well: bits of binary32, row by row.
fn results(finished: &Finished, address: u64, rows: usize, features: usize) -> Vec<Vec<u32>> {
    let bytes = finished.contents.load(address, result_bytes(rows, features));
    unpack_results(rows, features, &bytes).expect("memory was held against the definition")
}

/// Blocks of a row of numbers; a last block that is not full is filled up with zeros.
fn blocks<T>(row: &[f32], quantise: impl Fn(&[f32; BLOCK_LEN]) -> T) -> impl Iterator<Item = T> {
    let padded = |chunk: &[f32]| std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0.0));
    row.chunks(BLOCK_LEN).map(move |chunk| quantise(&padded(chunk)))
}

fn fp4(block: &[f32; BLOCK_LEN]) -> MxFp4Block {
    MxFp4Block::quantise(block, ScaleRule::Even).block
}

fn int8(block: &[f32; BLOCK_LEN]) -> MxInt8Block {
    MxInt8Block::quantise(block, ScaleRule::Even).block
}

/// A job over a checkpoint.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checkpoint folder.
    pub model: PathBuf,
    /// Prompt.
    pub prompt: String,
    /// Array and banks.
    pub geometry: Geometry,
    /// Engine.
    pub engine: Engine,
    /// Format of what streams.
    pub format: Format,
    /// What is behind the memory port.
    pub memory: Memory,
    /// Waveform of the whole run.
    pub wave: Option<PathBuf>,
    /// Seed of a host that takes its time, and of the hostile memory.
    pub stalls: Option<u64>,
    /// Seed of the registers' initial values.
    pub seed: u64,
    /// Where failures go.
    pub failure: FailureFiles,
}

impl Options {
    /// The checkpoint, and the prompt's tokens.
    fn load(&self) -> anyhow::Result<(Checkpoint, Vec<u32>)> {
        let checkpoint = Checkpoint::load(&self.model)?;
        let tokenizer = Tokenizer::load(&self.model, &checkpoint.config)?;
        let ids = tokenizer.encode(&self.prompt)?;
        Ok((checkpoint, ids))
    }
}

/// What a job over a checkpoint did in all.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Engine.
    pub engine: &'static str,
    /// Geometry.
    pub geometry: &'static str,
    /// What was behind the memory port.
    pub memory: Memory,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Clocks in all, with those in which the host sets registers and reads them.
    pub cycles: u64,
    /// Registers compared at every clock.
    pub registers: u64,
    /// Bits compared at every clock.
    pub bits: u64,
    /// Bits in memories.
    pub memory_bits: u64,
    /// Bits of them that the run wrote, compared at snapshots.
    pub written_bits: u64,
    /// Wall time of the simulation, seconds.
    pub seconds: f64,
    /// Simulated cycles per second.
    pub cycles_per_second: f64,
    /// Ctrl-C ended it early.
    pub interrupted: bool,
}

impl Totals {
    fn new(options: &Options, tokens: usize) -> Self {
        Self {
            engine: options.engine.name(),
            geometry: options.geometry.name,
            memory: options.memory,
            tokens,
            cycles: 0,
            registers: 0,
            bits: 0,
            memory_bits: 0,
            written_bits: 0,
            seconds: 0.0,
            cycles_per_second: 0.0,
            interrupted: false,
        }
    }

    /// What a step of the job gave; `None`, and noted, when Ctrl-C ended it.
    fn unless_interrupted<T>(&mut self, step: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match step {
            Err(e) if e.is::<Interrupted>() => {
                self.interrupted = true;
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// Sums for a relative L2 error.
#[derive(Clone, Copy, Debug, Default)]
struct Deviation {
    difference: f64,
    norm: f64,
}

impl Deviation {
    fn add(&mut self, results: &[f64], exact: impl IntoIterator<Item = f64>) {
        for (result, exact) in results.iter().zip(exact) {
            self.difference += (result - exact).powi(2);
            self.norm += exact.powi(2);
        }
    }

    fn relative(&self) -> f64 {
        if self.difference == 0.0 { 0.0 } else { (self.difference / self.norm).sqrt() }
    }
}

/// A count as a float; counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of cycles and beats are far below 2^53")]
pub(crate) const fn as_f64(count: u64) -> f64 {
    count as f64
}
