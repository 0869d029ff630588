// SPDX-License-Identifier: Apache-2.0
//! What the program does: one module per command.

pub mod attend;
pub mod bench;
pub mod fuzz;
pub mod list;
pub mod matvec;
pub mod replay;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::engine::Engine;
use crate::lockstep;
use tandem_model::array::Geometry;

/// A progress bar on standard error; nothing where that is no terminal.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:30} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}

/// What a job over a checkpoint did in all.
#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    /// Engine.
    pub engine: &'static str,
    /// Geometry.
    pub geometry: &'static str,
    /// Tokens of the prompt.
    pub tokens: usize,
    /// Clocks in all.
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
    fn new(engine: Engine, geometry: Geometry, tokens: usize) -> Self {
        Self {
            engine: engine.name(),
            geometry: geometry.name,
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

    /// After the last clock: what lockstep compared, if it ran, and how fast it went.
    fn finish(&mut self, compared: Option<lockstep::Totals>, seconds: f64) {
        if let Some(compared) = compared {
            self.registers = compared.registers;
            self.bits = compared.bits;
            self.memory_bits = compared.memory_bits;
            self.written_bits = compared.written_bits;
        }
        self.seconds = seconds;
        self.cycles_per_second = as_f64(self.cycles) / seconds;
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
