// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/operand_file.sv`.

use super::types::OperandBlock;
use crate::array::types::{LaneByte, SEGMENT_LANES};
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::OPERAND_CHUNKS;

/// Words of eight lanes.
const COLUMNS: usize = SEGMENT_LANES / 8;

/// 32 elements of a block, eight to a column, the lowest lane in the low byte.
pub type BlockData = [Wide<64>; COLUMNS];

/// A memory with an entry for every chunk.
#[derive(Clone, Debug)]
struct Entries<T> {
    values: Vec<T>,
    written: Vec<bool>,
}

impl<T: Copy + Default> Entries<T> {
    fn new() -> Self {
        Self { values: vec![T::default(); OPERAND_CHUNKS], written: vec![false; OPERAND_CHUNKS] }
    }

    fn write(&mut self, chunk: usize, value: T) {
        self.values[chunk] = value;
        self.written[chunk] = true;
    }
}

/// What a chain multiplies with.
#[derive(Clone, Debug)]
struct Chain {
    scale_q: Entries<Uint<8>>,
    /// `elements_q`, by column.
    columns: [Entries<Wide<64>>; COLUMNS],
}

/// Stationary operands of one row and segment.
#[derive(Clone, Debug)]
pub struct OperandFile {
    chains: [Chain; 2],
}

impl Default for OperandFile {
    fn default() -> Self {
        let chain = || Chain { scale_q: Entries::new(), columns: std::array::from_fn(|_| Entries::new()) };
        Self { chains: [chain(), chain()] }
    }
}

impl OperandFile {
    /// An operand, in the same cycle. What an unwritten entry holds is not defined: the RTL's differs.
    #[must_use]
    pub fn read(&self, chunk: Uint<7>, count: Uint<6>) -> LaneByte {
        let (chunk, count) = (usize::from(chunk.0), usize::from(count.0));
        let byte = |chain: &Chain| {
            if count >= SEGMENT_LANES {
                chain.scale_q.values[chunk]
            } else {
                Uint(low_u16(chain.columns[count / 8].values[chunk].0 >> (8 * (count % 8)) & 255))
            }
        };
        LaneByte { lo: byte(&self.chains[0]), hi: byte(&self.chains[1]) }
    }

    /// Writes what is to be written at the clock.
    pub fn clock(&mut self, block: OperandBlock, data: &BlockData) {
        let chunk = usize::from(block.chunk.0);
        for (k, chain) in self.chains.iter_mut().enumerate() {
            if block.valid && block.chains.0 >> k & 1 == 1 {
                chain.scale_q.write(chunk, block.scale);
                for (column, &word) in chain.columns.iter_mut().zip(data) {
                    column.write(chunk, word);
                }
            }
        }
    }
}

impl Visit for OperandFile {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for (k, chain) in self.chains.iter_mut().enumerate() {
            v.enter("gen_chain", Some(k));
            v.memory("scale_q", &mut chain.scale_q.values, &mut chain.scale_q.written);
            for (c, column) in chain.columns.iter_mut().enumerate() {
                v.enter("gen_column", Some(c));
                v.memory("elements_q", &mut column.values, &mut column.written);
                v.leave();
            }
            v.leave();
        }
    }
}
