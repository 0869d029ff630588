// SPDX-License-Identifier: Apache-2.0
//! A verilated device: safe wrapper around the bridge.

use std::path::{Path, PathBuf};

use cxx::UniquePtr;

use crate::bridge::ffi;
use crate::error::{Error, Result};

/// A verilated top. Its registers start with random values of a seed.
pub struct RtlDevice {
    inner: UniquePtr<ffi::Device>,
    sizes: ffi::ImageSizes,
    origin: Origin,
    seed: u64,
    /// Nothing has happened to it.
    fresh: bool,
    kept: Kept,
}

/// Where a device comes from.
enum Origin {
    Linked(String),
    Loaded(PathBuf, String),
}

impl Origin {
    fn make(&self, seed: u64) -> Result<UniquePtr<ffi::Device>> {
        let made = match self {
            Self::Linked(name) => ffi::linked_device(name, seed),
            Self::Loaded(library, name) => ffi::loaded_device(&library.to_string_lossy(), name, seed),
        };
        made.map_err(|e| Error::Device(e.what().to_owned()))
    }
}

/// State to go back to.
enum Kept {
    Nothing,
    /// The one that a new device starts in: it is made again, which costs nothing unless it is needed.
    Fresh,
    Snapshot,
}

impl RtlDevice {
    /// A device that was linked into this program.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn linked(name: &str, seed: u64) -> Result<Self> {
        Self::new(Origin::Linked(name.to_owned()), seed)
    }

    /// A device from a shared object that [`tandem_verilate::build`] made.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn loaded(library: &Path, name: &str, seed: u64) -> Result<Self> {
        Self::new(Origin::Loaded(library.to_owned(), name.to_owned()), seed)
    }

    fn new(origin: Origin, seed: u64) -> Result<Self> {
        let inner = origin.make(seed)?;
        let sizes = inner.sizes();
        Ok(Self { inner, sizes, origin, seed, fresh: true, kept: Kept::Nothing })
    }

    /// Bytes of the register image.
    #[must_use]
    pub fn register_bytes(&self) -> usize {
        self.sizes.registers
    }

    /// Bytes of the output image.
    #[must_use]
    pub fn output_bytes(&self) -> usize {
        self.sizes.outputs
    }

    /// One clock; reads registers and outputs back.
    ///
    /// # Errors
    /// The RTL's message when one of its invariants fails.
    pub fn step(
        &mut self,
        rst_ni: bool,
        inputs: &[u8],
        registers: &mut [u8],
        outputs: &mut [u8],
    ) -> Result<()> {
        self.fresh = false;
        let done = self.inner.pin_mut().step(rst_ni, inputs, registers, outputs);
        done.map_err(|e| Error::Invariant(e.what().trim().to_owned()))
    }

    /// One clock of the bare simulation.
    ///
    /// # Errors
    /// The RTL's message when one of its invariants fails.
    pub fn advance(&mut self, rst_ni: bool, inputs: &[u8], outputs: &mut [u8]) -> Result<()> {
        self.fresh = false;
        let done = self.inner.pin_mut().advance(rst_ni, inputs, outputs);
        done.map_err(|e| Error::Invariant(e.what().trim().to_owned()))
    }

    /// The contents of all memories.
    ///
    /// # Errors
    /// Never, unless the bridge is broken.
    pub fn memories(&mut self) -> Result<Vec<u8>> {
        let mut image = vec![0; self.sizes.memories];
        self.inner.pin_mut().memories(&mut image).map_err(|e| Error::Device(e.what().to_owned()))?;
        Ok(image)
    }

    /// Flips a bit of an entry of a memory, which goes by its place in the list of memories: a soft error. A register that
    /// reads the memory sees it at the next clock.
    ///
    /// # Errors
    /// When there is no such bit.
    pub fn flip(&mut self, memory: usize, entry: usize, bit: u32) -> Result<()> {
        self.fresh = false;
        self.inner.pin_mut().flip(memory, entry, bit).map_err(|e| Error::Device(e.what().to_owned()))
    }

    /// Keeps the whole state, in place of the one kept before.
    ///
    /// # Errors
    /// When Verilator cannot serialise it.
    pub fn save(&mut self) -> Result<()> {
        if self.fresh {
            self.kept = Kept::Fresh;
            return Ok(());
        }
        self.kept = Kept::Snapshot;
        self.inner.pin_mut().save().map_err(|e| Error::Device(e.what().to_owned()))
    }

    /// Back to the state of the last [`RtlDevice::save`].
    ///
    /// # Errors
    /// When there is none.
    pub fn restore(&mut self) -> Result<()> {
        if matches!(self.kept, Kept::Fresh) {
            self.inner = self.origin.make(self.seed)?;
            self.fresh = true;
            return Ok(());
        }
        self.inner.pin_mut().restore().map_err(|e| Error::Device(e.what().to_owned()))
    }
}
