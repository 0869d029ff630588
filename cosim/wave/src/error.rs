// SPDX-License-Identifier: Apache-2.0
//! What can go wrong while a waveform is written.

use std::io;
use std::path::PathBuf;

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Errors while writing a waveform.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The extension names no format.
    #[error("expected a waveform path that ends in .vcd or .fst, got '{path}': rename the output")]
    Extension {
        /// The path given.
        path: PathBuf,
    },
    /// A folder stands where the waveform should go.
    #[error("expected a file name for the waveform, but '{path}' is a folder: name a file inside it")]
    Folder {
        /// The path given.
        path: PathBuf,
    },
    /// A name that the formats cannot carry, or two signals of one name.
    #[error("cannot declare the signal '{name}': {why}; rename the register or port")]
    Name {
        /// The name, with its scope.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A field that contradicts itself.
    #[error("cannot split the field '{path}' into signals: {why}; correct its description in the model")]
    Field {
        /// Path of the field.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// An image of the wrong length.
    #[error(
        "expected {expected} bytes in the image of the {what}, got {got}: pack the image from the same field list \
         that the waveform was created with"
    )]
    Image {
        /// Which image.
        what: &'static str,
        /// Bytes according to the field list.
        expected: usize,
        /// Bytes given.
        got: usize,
    },
    /// A side that was announced is absent, or the other way round.
    #[error(
        "expected a sample of {expected} in cycle {cycle}, got {got}: give every sample the sides that the waveform \
         was created with"
    )]
    Sides {
        /// The cycle.
        cycle: u64,
        /// Sides announced.
        expected: &'static str,
        /// Sides given.
        got: &'static str,
    },
    /// Samples out of order.
    #[error(
        "expected a cycle after {last} and below 2^62, got {got}: record every cycle once, in increasing order, and \
         start a new waveform after going back"
    )]
    Order {
        /// The last cycle recorded.
        last: u64,
        /// The cycle given.
        got: u64,
    },
    /// Nothing was recorded.
    #[error(
        "expected at least one recorded cycle in '{path}', got none: record before finishing, or drop the waveform"
    )]
    Empty {
        /// Where it would have gone.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("cannot write '{path}': {source}; check that its folder exists, is writable and has space left")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The FST library refused.
    #[error("cannot write the FST waveform '{path}': {source}; try .vcd instead")]
    Fst {
        /// The file.
        path: PathBuf,
        /// What the library said.
        source: fst_writer::FstWriteError,
    },
}
