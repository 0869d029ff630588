// SPDX-License-Identifier: Apache-2.0
//! Bytes that a command must leave in memory.

use tandem_model::control::types::GROUP_FLOATS;
use tandem_model::layout::result_bytes;
use tandem_model::memory::types::AXI_BYTES;

use crate::bench::WrongAnswer;

/// Bytes in memory, and which of them are known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Write {
    /// Where they lie.
    pub address: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Those that the command writes, or that must stay as they were.
    pub known: Vec<bool>,
}

impl Write {
    /// All of them.
    pub(super) fn all(address: u64, bytes: Vec<u8>) -> Self {
        let known = vec![true; bytes.len()];
        Self { address, bytes, known }
    }

    /// Those alone that have a mark.
    pub(super) fn marked(address: u64, bytes: Vec<u8>, marks: &[u8]) -> Self {
        assert_eq!(bytes.len(), marks.len(), "a mark for each byte");
        Self { address, bytes, known: marks.iter().map(|&mark| mark != 0).collect() }
    }

    /// What is there when another write of the same place follows.
    pub fn then(&mut self, later: Self) {
        if self.bytes.len() != later.bytes.len() {
            *self = later;
            return;
        }
        for (at, _) in later.known.iter().enumerate().filter(|(_, known)| **known) {
            (self.bytes[at], self.known[at]) = (later.bytes[at], true);
        }
    }

    /// Holds what is found at the address against it. `what` is named in the error.
    ///
    /// # Errors
    /// The first byte that is another.
    pub fn check(&self, what: &str, found: &[u8]) -> Result<(), WrongAnswer> {
        let wrong = |at: &usize| self.known[*at] && found[*at] != self.bytes[*at];
        (0..self.bytes.len()).find(wrong).map_or(Ok(()), |at| {
            let (address, found, expected) = (self.address + at as u64, found[at], self.bytes[at]);
            Err(WrongAnswer(format!(
                "{what}: byte {at} (at {address:#x}) is {found:#04x} instead of {expected:#04x}"
            )))
        })
    }
}

/// Rows of binary32 in the layout of results.
pub(super) fn pack_results(rows: usize, values: &[u32]) -> Vec<u8> {
    let features = values.len() / rows;
    let mut bytes = vec![0; result_bytes(rows, features)];
    for (row, values) in values.chunks(features).enumerate() {
        for (feature, value) in values.iter().enumerate() {
            let word = feature / GROUP_FLOATS * rows + row;
            let at = word * AXI_BYTES + 4 * (feature % GROUP_FLOATS);
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
    bytes
}
