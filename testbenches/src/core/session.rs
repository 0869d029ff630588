// SPDX-License-Identifier: Apache-2.0
//! A host that goes on: it looks at what commands have written, and submits others.

use std::ops::Range;

use tandem_model::control::command::Completion;

use super::driver::{Driver, Finished, Progress, Run, Traffic};
use super::trace::Span;
use crate::dut::DutError;

/// A core at work, from its reset on.
pub struct Session<'a>(Driver<'a>);

/// What a few commands did.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Their completions, in their order.
    pub completions: Vec<Completion>,
    /// Number of the first of them since reset.
    pub first: usize,
    /// From the doorbell to the last completion.
    pub cycles: Range<u64>,
    /// What crossed the memory port meanwhile.
    pub traffic: Traffic,
}

impl<'a> Session<'a> {
    /// Resets a core and sets its registers. The plan's own commands are submitted with the first others.
    ///
    /// # Errors
    /// When the core, or its port, breaks a rule.
    pub fn open(run: Run<'a>) -> Result<Self, DutError> {
        let mut driver = Driver::new(run);
        driver.reset()?;
        driver.configure()?;
        Ok(Self(driver))
    }

    /// Submits commands and waits until all are done. `progress` is told how far it is, and may stop the run with an error.
    ///
    /// # Errors
    /// When the core, or its port, breaks a rule, or a completion does not come.
    pub fn run(
        &mut self,
        commands: &[[u64; 8]],
        progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
    ) -> Result<Batch, DutError> {
        let first = self.0.commands();
        self.0.add(commands);
        self.0.work(progress)?;
        let (completions, cycles) = self.0.since(first);
        Ok(Batch { completions, first, cycles, traffic: self.0.traffic() })
    }

    /// Puts bytes into memory, past the port. What commands have read or written before may be changed.
    pub fn store(&mut self, address: u64, bytes: &[u8]) {
        self.0.contents_mut().store(address, bytes);
    }

    /// Bytes of memory.
    #[must_use]
    pub fn load(&self, address: u64, length: usize) -> Vec<u8> {
        self.0.contents().load(address, length)
    }

    /// What the units have done since the last time, by the cycle in which they ended.
    pub fn take_spans(&mut self) -> Vec<Span> {
        self.0.trace().take_spans()
    }

    /// Cycles so far.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.0.now()
    }

    /// Checks what is left to check: interrupts, errors, the port's rules.
    ///
    /// # Errors
    /// When one of them is not as it must be.
    pub fn close(mut self) -> Result<Finished, DutError> {
        self.0.conclude()?;
        self.0.finish()
    }
}
