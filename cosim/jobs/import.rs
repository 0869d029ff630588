// SPDX-License-Identifier: Apache-2.0
//! Packs a checkpoint into one file, as the core wants it.

use std::path::PathBuf;

use serde::Serialize;
use tandem_host::HostError;
use tandem_host::import::{Format, ImportOptions, import};

use super::progress;
use crate::interrupt::{self, Interrupted};

/// What is packed, and where to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checkpoint folder.
    pub model: PathBuf,
    /// The file.
    pub file: PathBuf,
    /// For which core, how long, and what becomes MXINT8.
    pub import: ImportOptions,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// The core that it is for.
    pub geometry: &'static str,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Tensors.
    pub tensors: usize,
    /// Bytes of the image of memory.
    pub bytes: u64,
    /// Weights in the matrices.
    pub weights: u64,
    /// Bytes of the matrices in MXFP4.
    pub fp4: u64,
    /// Bytes of the matrices in MXINT8.
    pub int8: u64,
    /// Bytes of tables and norms in binary32.
    pub binary32: u64,
}

/// Packs the checkpoint; the file is there when all of it is.
///
/// # Errors
/// Bad input, a file that cannot be written, or Ctrl-C.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let Options { model, file, import: how } = options;
    let bar = progress(0, "import");
    let packed = import(model, file, how, &mut |progress| {
        bar.set_length(progress.of);
        bar.set_position(progress.done);
        !interrupt::raised()
    });
    bar.finish_and_clear();
    let manifest = packed.map_err(|error| match error {
        HostError::Stopped => anyhow::Error::from(Interrupted),
        other => other.into(),
    })?;
    let sum = |format: Format| manifest.tensors.iter().filter(|t| t.format == format).map(|t| t.bytes).sum();
    let matrices = manifest.tensors.iter().filter(|t| t.format != Format::Binary32);
    Ok(Report {
        file: file.clone(),
        geometry: how.geometry.name,
        context: manifest.context,
        tensors: manifest.tensors.len(),
        bytes: manifest.bytes,
        weights: matrices.map(|t| (t.shape[0] * t.shape[1]) as u64).sum(),
        fp4: sum(Format::Fp4),
        int8: sum(Format::Int8),
        binary32: sum(Format::Binary32),
    })
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "{}: {} tensors for {}, {} tokens",
            self.file.display(),
            self.tensors,
            self.geometry,
            self.context
        )?;
        write!(
            f,
            "{} weights; bytes: {} in MXFP4, {} in MXINT8, {} of tables and norms, {} in all",
            self.weights, self.fp4, self.int8, self.binary32, self.bytes
        )
    }
}
