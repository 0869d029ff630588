// SPDX-License-Identifier: Apache-2.0
//! A verilated device: safe wrapper around the bridge.

use std::path::Path;

use cxx::UniquePtr;

use crate::bridge::ffi;
use crate::error::{Error, Result};

/// A verilated top. Its registers start with random values of a seed.
pub struct RtlDevice {
    inner: UniquePtr<ffi::Device>,
    sizes: ffi::ImageSizes,
}

impl RtlDevice {
    /// A device that was linked into this program.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn linked(name: &str, seed: u64) -> Result<Self> {
        Self::wrap(ffi::linked_device(name, seed))
    }

    /// A device from a shared object that [`tandem_verilate::build`] made.
    ///
    /// # Errors
    /// When it cannot be loaded.
    pub fn loaded(library: &Path, name: &str, seed: u64) -> Result<Self> {
        Self::wrap(ffi::loaded_device(&library.to_string_lossy(), name, seed))
    }

    fn wrap(made: std::result::Result<UniquePtr<ffi::Device>, cxx::Exception>) -> Result<Self> {
        let inner = made.map_err(|e| Error::Device(e.what().to_owned()))?;
        let sizes = inner.sizes();
        Ok(Self { inner, sizes })
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
        let done = self.inner.pin_mut().step(rst_ni, inputs, registers, outputs);
        done.map_err(|e| Error::Invariant(e.what().trim().to_owned()))
    }

    /// One clock of the bare simulation.
    ///
    /// # Errors
    /// The RTL's message when one of its invariants fails.
    pub fn advance(&mut self, rst_ni: bool, inputs: &[u8], outputs: &mut [u8]) -> Result<()> {
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
        self.inner.pin_mut().flip(memory, entry, bit).map_err(|e| Error::Device(e.what().to_owned()))
    }

    /// Keeps the whole state, in place of the one kept before.
    ///
    /// # Errors
    /// When Verilator cannot serialise it.
    pub fn save(&mut self) -> Result<()> {
        self.inner.pin_mut().save().map_err(|e| Error::Device(e.what().to_owned()))
    }

    /// Back to the state of the last [`RtlDevice::save`].
    ///
    /// # Errors
    /// When there is none.
    pub fn restore(&mut self) -> Result<()> {
        self.inner.pin_mut().restore().map_err(|e| Error::Device(e.what().to_owned()))
    }
}
