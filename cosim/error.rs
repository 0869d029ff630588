// SPDX-License-Identifier: Apache-2.0
//! Errors of the engine.

use std::path::PathBuf;

use tandem_model::image::FlipError;

use crate::replay::Upset;
use crate::report::Mismatch;

/// What can stop a lockstep run. Mismatches and failed invariants exit with 1, everything else is bad input and exits with 2.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// RTL and model differ.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// An invariant of the RTL failed.
    #[error("an invariant of the RTL failed: {0}")]
    Invariant(String),
    /// A device could not be made or driven.
    #[error("device: {0}")]
    Device(String),
    /// A soft error that cannot be.
    #[error("no bit {} of {}[{}] to flip: {source}", upset.bit, upset.memory, upset.entry)]
    Upset {
        /// Which bit.
        upset: Upset,
        /// Why not.
        source: FlipError,
    },
    /// Options that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A file could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A replay file that is none, or that belongs to something else.
    #[error("replay file {path}: {what}")]
    Replay {
        /// The file.
        path: PathBuf,
        /// What is wrong, what was expected, what to do.
        what: String,
    },
    /// Building a device at run time failed.
    #[error(transparent)]
    Verilate(#[from] tandem_verilate::VerilateError),
    /// Writing a waveform failed.
    #[error(transparent)]
    Wave(#[from] tandem_wave::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// True when the design is at fault, not the input.
    #[must_use]
    pub const fn is_verdict(&self) -> bool {
        matches!(self, Self::Mismatch(_) | Self::Invariant(_))
    }
}
