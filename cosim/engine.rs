// SPDX-License-Identifier: Apache-2.0
//! Which engine runs a device: lockstep, the RTL alone or the model alone.

use std::path::{Path, PathBuf};

use tandem_model::block::Block;
use tandem_model::devices::Device;
use tandem_testbenches::memory::checker::Broken;
use tandem_testbenches::{Dut, DutError, ModelOnly, WrongAnswer};

use crate::error::{Error, Result};
use crate::interrupt::Interrupted;
use crate::lockstep::{Lockstep, RtlOnly, Totals};

/// Engines of the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Engine {
    /// RTL and model, every register compared at every clock.
    Lockstep,
    /// The verilated RTL alone.
    Rtl,
    /// The golden model alone.
    Model,
}

impl Engine {
    /// Name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lockstep => "lockstep",
            Self::Rtl => "rtl",
            Self::Model => "model",
        }
    }
}

/// Where a failing run leaves its replay file and waveform.
#[derive(Clone, Debug)]
pub struct FailureFiles {
    folder: PathBuf,
}

impl FailureFiles {
    /// Below this folder, which is made when something fails.
    pub fn below(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Replay file and waveform of a device and seed.
    #[must_use]
    pub fn paths(&self, device: &str, seed: u64) -> (PathBuf, PathBuf) {
        let stem = format!("{device}-{seed:016x}");
        (self.folder.join(format!("{stem}.json")), self.folder.join(format!("{stem}.vcd")))
    }
}

/// A device run by one of the engines.
pub enum Runner<B: Block> {
    /// Lockstep.
    Lockstep(Box<Lockstep<B>>),
    /// RTL alone.
    Rtl(RtlOnly<B>),
    /// Model alone.
    Model(ModelOnly<B>),
}

impl<B: Block> Runner<B> {
    /// A linked device. `wave` records the whole run (lockstep only).
    ///
    /// # Errors
    /// When the device or the waveform cannot be made.
    pub fn new(
        engine: Engine,
        device: Device,
        model: B,
        seed: u64,
        failure: &FailureFiles,
        wave: Option<&Path>,
    ) -> Result<Self> {
        if wave.is_some() && engine != Engine::Lockstep {
            let what = format!(
                "--wave shows RTL and model side by side and needs --engine lockstep, got --engine {}",
                engine.name()
            );
            return Err(Error::Usage(what));
        }
        Ok(match engine {
            Engine::Lockstep => {
                let mut lockstep = Lockstep::linked(device.name, model, seed)?;
                let (replay, around) = failure.paths(device.name, seed);
                lockstep.on_failure(Some(replay), wave.is_none().then_some(around));
                if let Some(path) = wave {
                    lockstep.record_wave(path)?;
                }
                if std::thread::available_parallelism().is_ok_and(|n| n.get() > 1) {
                    lockstep.beside();
                }
                Self::Lockstep(Box::new(lockstep))
            }
            Engine::Rtl => Self::Rtl(RtlOnly::linked(device.name, &model, seed)?),
            Engine::Model => Self::Model(ModelOnly { model }),
        })
    }

    /// The device under test.
    pub fn dut(&mut self) -> &mut dyn Dut<B> {
        match self {
            Self::Lockstep(lockstep) => &mut **lockstep,
            Self::Rtl(rtl) => rtl,
            Self::Model(model) => model,
        }
    }

    /// Compares what is left to compare and closes the waveform.
    ///
    /// # Errors
    /// A mismatch in a memory, or the waveform could not be written.
    pub fn finish(&mut self) -> Result<Option<Totals>> {
        match self {
            Self::Lockstep(lockstep) => lockstep.finish().map(Some),
            Self::Rtl(_) | Self::Model(_) => Ok(None),
        }
    }
}

/// An error that a test bench handed through, back in its own type where exit codes depend on it.
#[must_use]
pub fn unbox(error: DutError) -> anyhow::Error {
    fn typed<E: std::error::Error + Send + Sync + 'static>(
        error: DutError,
    ) -> std::result::Result<anyhow::Error, DutError> {
        error.downcast::<E>().map(|error| anyhow::Error::new(*error))
    }
    typed::<Error>(error)
        .or_else(typed::<Interrupted>)
        .or_else(typed::<WrongAnswer>)
        .or_else(typed::<Broken>)
        .unwrap_or_else(anyhow::Error::from_boxed)
}
