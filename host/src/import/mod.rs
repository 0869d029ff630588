// SPDX-License-Identifier: Apache-2.0
//! A checkpoint as the core wants it: weights quantised and laid out in memory, tables and norms beside them.
//!
//! A [`Packed`] model is an image of memory from address 0 on and a [`Manifest`] that says what lies where. It is made from
//! a [`Checkpoint`] at once ([`Packed::of_checkpoint`]), or from a model directory into a file ([`import`]), one layer at
//! a time, and from there again ([`Packed::load`]).

mod file;
mod layout;
mod pack;
mod random;
mod unpack;

use std::path::Path;

use memmap2::Mmap;
use serde::{Deserialize, Serialize};
use tandem_model::array::Geometry;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::error::HostError;
use crate::tokenizer::{TOKENIZER, Tokenizer};

pub use layout::{Manifest, Tensor, TokenizerFile};

/// Format of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// MXFP4 blocks along the rows, as a stream of weights.
    #[serde(rename = "mxfp4")]
    Fp4,
    /// MXINT8 blocks along the rows, as a stream of weights.
    #[serde(rename = "mxint8")]
    Int8,
    /// binary32, row after row.
    #[serde(rename = "binary32")]
    Binary32,
}

/// How a checkpoint is packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// The core that it is for: its segments decide how weights lie.
    pub geometry: Geometry,
    /// Longest sequence, in tokens; `None` is the model's, at most [`DEFAULT_CONTEXT`].
    pub context: Option<usize>,
    /// Matrices that become MXINT8, by the names of [`MATRICES`], of a checkpoint (`lm_head`), or of a tensor
    /// (`layers.3.down`). All others become MXFP4.
    pub int8: Vec<String>,
}

/// Context of a model that has more positions, unless the options say otherwise.
pub const DEFAULT_CONTEXT: usize = 4096;

/// Names of the packed matrices. `kv` has the rows of k_proj, then those of v_proj; `gate_up` likewise.
pub const MATRICES: [&str; 6] = ["kv", "q", "o", "gate_up", "down", "head"];

impl ImportOptions {
    /// All matrices in MXFP4, the default context.
    #[must_use]
    pub const fn new(geometry: Geometry) -> Self {
        Self { geometry, context: None, int8: Vec::new() }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the image so far.
    pub done: u64,
    /// Bytes of the image.
    pub of: u64,
}

/// An image of memory, and what lies where in it.
#[derive(Debug)]
pub struct Packed {
    /// What lies where.
    pub manifest: Manifest,
    image: Bytes,
    tokenizer: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Bytes {
    Owned(Vec<u8>),
    /// A file, behind its header.
    Mapped(Mmap),
}

impl Packed {
    /// Packs a checkpoint that is in memory.
    ///
    /// # Errors
    ///
    /// As [`import`], without those of files.
    pub fn of_checkpoint(checkpoint: &Checkpoint, options: &ImportOptions) -> Result<Self, HostError> {
        checkpoint.check()?;
        let mut image = Vec::new();
        let manifest = pack::pack(&mut &*checkpoint, options, &mut |bytes| {
            image.extend_from_slice(bytes);
            Ok(())
        })?;
        Ok(Self { manifest, image: Bytes::Owned(image), tokenizer: None })
    }

    /// A model of this shape with random weights, the same for the same seed: norms near 1, products about as large as their
    /// inputs. Its embedding has `table` rows, however many the head has; larger token ids read its first row. Checksums are
    /// empty.
    ///
    /// # Errors
    ///
    /// As [`Manifest::new`].
    pub fn random(
        config: &Config,
        options: &ImportOptions,
        table: usize,
        seed: u64,
    ) -> Result<Self, HostError> {
        random::random(config, options, table, seed)
    }

    /// Maps a file that [`import`] wrote, and checks every tensor's checksum.
    ///
    /// # Errors
    ///
    /// [`HostError::NotThere`], [`HostError::Unreadable`]; [`HostError::Packed`] when it is no such file, of another
    /// version, truncated, or when bytes of it have changed.
    pub fn load(path: &Path) -> Result<Self, HostError> {
        file::load(path)
    }

    /// The image, from address 0 on.
    #[must_use]
    pub fn image(&self) -> &[u8] {
        match &self.image {
            Bytes::Owned(image) => image,
            Bytes::Mapped(file) => &file[file::image_of(&self.manifest)],
        }
    }

    /// The bytes of a tensor of this model.
    #[must_use]
    pub fn bytes(&self, tensor: &Tensor) -> &[u8] {
        &self.image()[tensor.range()]
    }

    /// The tokenizer of a model that was imported; `None` for one that was a checkpoint in memory.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::parse`]; never for a file that [`import`] wrote.
    pub fn tokenizer(&self) -> Result<Option<Tokenizer>, HostError> {
        let parse = |bytes| Tokenizer::parse(bytes, Path::new(TOKENIZER), self.config());
        self.tokenizer.as_deref().map(parse).transpose()
    }

    /// What the model is.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.manifest.config
    }
}

/// Packs the model directory `dir` into `file`, which is replaced only when all of it is written. `each` is told how far it
/// is and stops it by returning false.
///
/// # Errors
///
/// As [`Checkpoint::load`]; [`HostError::Config`] when the core cannot run the model, by the key that says so;
/// [`HostError::NoMatrix`] for a name of the options that there is not, [`HostError::NonFinite`] for a weight that is no
/// number, [`HostError::Unwritable`] when the file cannot be written, [`HostError::Stopped`].
pub fn import(
    dir: &Path,
    file: &Path,
    options: &ImportOptions,
    each: &mut dyn FnMut(Progress) -> bool,
) -> Result<Manifest, HostError> {
    file::import(dir, file, options, each)
}
