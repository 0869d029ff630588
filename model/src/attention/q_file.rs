// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/q_file.sv`.

use super::types::{CONTEXTS, OperandWrite};
use crate::array::Geometry;
use crate::array::types::LaneByte;
use crate::block::{Uint, Visit, Visitor};

/// Entries of a part: 32 lanes, the scale, and space up to a power of two.
const PART_ENTRIES: usize = 64;

/// Stationary operands of one row and segment.
#[derive(Clone, Debug)]
pub struct QFile {
    parts: usize,
    operand_q: Vec<LaneByte>,
    written: Vec<bool>,
}

impl QFile {
    /// A file that nobody has written yet.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let parts = 2 * geometry.chain_parts();
        let entries = CONTEXTS * parts * PART_ENTRIES;
        Self { parts, operand_q: vec![LaneByte::default(); entries], written: vec![false; entries] }
    }

    /// {head, part, count}, as many bits of the part as there are parts.
    fn address(&self, head: Uint<2>, part: Uint<2>, count: Uint<6>) -> usize {
        let part = usize::from(part.0) % self.parts;
        (usize::from(head.0) * self.parts + part) * PART_ENTRIES + usize::from(count.0)
    }

    /// An operand, in the same cycle. What an unwritten entry holds is not defined: the RTL's differs.
    #[must_use]
    pub fn read(&self, head: Uint<2>, part: Uint<2>, count: Uint<6>) -> LaneByte {
        self.operand_q[self.address(head, part, count)]
    }

    /// Writes what is to be written at the clock.
    pub fn clock(&mut self, write: OperandWrite, operand: LaneByte) {
        if write.valid {
            let address = self.address(write.head, write.part, write.count);
            self.operand_q[address] = operand;
            self.written[address] = true;
        }
    }
}

impl Visit for QFile {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.memory("operand_q", &mut self.operand_q, &mut self.written);
    }
}
