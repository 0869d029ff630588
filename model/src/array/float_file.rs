// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/float_file.sv`.

use crate::block::{Visit, Visitor};
use crate::numerics::Float36;

/// A register file of floats: the partial-sum file of a row, the accumulators of a chain.
#[derive(Clone, Debug)]
pub struct FloatFile {
    entry_q: Vec<Float36>,
    written: Vec<bool>,
}

impl FloatFile {
    /// A file of `depth` floats that nobody has written yet.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        Self { entry_q: vec![Float36::ZERO; depth], written: vec![false; depth] }
    }

    /// An entry, in the same cycle. What an unwritten entry holds is not defined: the RTL's differs.
    #[must_use]
    pub fn read(&self, address: usize) -> Float36 {
        self.entry_q[address]
    }

    /// Writes an entry at the clock.
    pub fn write(&mut self, address: usize, value: Float36) {
        self.entry_q[address] = value;
        self.written[address] = true;
    }
}

impl Visit for FloatFile {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.memory("entry_q", &mut self.entry_q, &mut self.written);
    }
}
