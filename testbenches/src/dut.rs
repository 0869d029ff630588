// SPDX-License-Identifier: Apache-2.0
//! A device under test, whatever runs it.

use std::error::Error;

use tandem_model::block::Block;
use tandem_model::image;

/// Why a device stopped.
pub type DutError = Box<dyn Error + Send + Sync>;

/// A device that is clocked.
pub trait Dut<B: Block> {
    /// One clock with these inputs. While `rst_ni` is false the registers are held in reset.
    ///
    /// # Errors
    /// When the device found something wrong: a mismatch, a failed invariant. It cannot be clocked any further.
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<(), DutError>;

    /// Outputs after the last clock.
    fn outputs(&self) -> B::Outputs;

    /// Flips bit `bit` of entry `entry` of the memory at the path `memory`, before the next clock: a soft error, on every
    /// side alike. The entry must have been written.
    ///
    /// # Errors
    /// When there is no such bit, or this device cannot be upset.
    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        Err(format!("this device has no soft errors (bit {bit} of {memory}[{entry}])").into())
    }

    /// Waits until all clocks so far have been checked.
    ///
    /// # Errors
    /// When something is wrong.
    fn settle(&mut self) -> Result<(), DutError> {
        Ok(())
    }

    /// Checks what is only checked at the end (memories).
    ///
    /// # Errors
    /// When something is wrong.
    fn finish(&mut self) -> Result<(), DutError> {
        Ok(())
    }
}

/// The golden model alone.
#[derive(Clone, Debug)]
pub struct ModelOnly<B> {
    /// The model.
    pub model: B,
}

impl<B: Block> Dut<B> for ModelOnly<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<(), DutError> {
        if rst_ni {
            self.model.clock(inputs);
        } else {
            self.model.reset();
        }
        Ok(())
    }

    fn outputs(&self) -> B::Outputs {
        self.model.outputs()
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        Ok(image::flip(&mut self.model, memory, entry, bit)?)
    }
}
