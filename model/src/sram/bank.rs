// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/sram/bank.sv`.

use crate::block::{Uint, Visit, Visitor, Wide};

/// A single-ported memory of words of SECDED codewords.
#[derive(Clone, Debug)]
pub struct Bank {
    columns: Vec<Column>,
}

/// One codeword of every word.
#[derive(Clone, Debug)]
struct Column {
    data_q: Vec<Wide<64>>,
    check_q: Vec<Uint<8>>,
    written: Vec<bool>,
    read_data_q: Wide<64>,
    read_check_q: Uint<8>,
}

impl Bank {
    /// A bank of `depth` words of `columns` codewords that nobody has written yet.
    #[must_use]
    pub fn new(depth: usize, columns: usize) -> Self {
        let column = Column {
            data_q: vec![Wide(0); depth],
            check_q: vec![Uint(0); depth],
            written: vec![false; depth],
            read_data_q: Wide(0),
            read_check_q: Uint(0),
        };
        Self { columns: vec![column; columns] }
    }

    /// Data and check bits of codeword `column` of the word that was read last.
    #[must_use]
    pub fn read_data(&self, column: usize) -> (Wide<64>, Uint<8>) {
        (self.columns[column].read_data_q, self.columns[column].read_check_q)
    }

    /// Reads a word at the clock. What an unwritten one holds is not defined: the RTL's differs.
    pub fn read(&mut self, address: usize) {
        for column in &mut self.columns {
            column.read_data_q = column.data_q[address];
            column.read_check_q = column.check_q[address];
        }
    }

    /// Writes a word at the clock: per codeword, data and check bits.
    pub fn write(&mut self, address: usize, codewords: impl Iterator<Item = (Wide<64>, Uint<8>)>) {
        for (column, (data, check)) in self.columns.iter_mut().zip(codewords) {
            column.data_q[address] = data;
            column.check_q[address] = check;
            column.written[address] = true;
        }
    }

    /// Reset: the memory keeps what it holds.
    pub fn reset(&mut self) {
        for column in &mut self.columns {
            column.read_data_q = Wide(0);
            column.read_check_q = Uint(0);
        }
    }
}

impl Visit for Bank {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for (c, column) in self.columns.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("data_q", &mut column.data_q, &mut column.written);
            v.memory("check_q", &mut column.check_q, &mut column.written);
            v.bits("read_data_q", &mut column.read_data_q);
            v.bits("read_check_q", &mut column.read_check_q);
            v.leave();
        }
    }
}
