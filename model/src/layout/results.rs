// SPDX-License-Identifier: Apache-2.0
//! Results: binary32, in groups of 16 features, a word of memory for each row of a group.

use crate::control::types::GROUP_FLOATS;
use crate::memory::types::AXI_BYTES;

/// Bytes of the results of so many rows and features.
#[must_use]
pub const fn result_bytes(rows: usize, features: usize) -> usize {
    features.div_ceil(GROUP_FLOATS) * rows * AXI_BYTES
}

/// Bits of the floats, row by row. `None` when a missing feature of the last group is not +0.
///
/// # Panics
/// When there are not as many bytes as [`result_bytes`].
#[must_use]
pub fn unpack_results(rows: usize, features: usize, bytes: &[u8]) -> Option<Vec<Vec<u32>>> {
    assert_eq!(bytes.len(), result_bytes(rows, features), "bytes of the results");
    let float = |row: usize, feature: usize| {
        let word = feature / GROUP_FLOATS * rows + row;
        let at = word * AXI_BYTES + 4 * (feature % GROUP_FLOATS);
        u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
    };
    let missing = features..features.next_multiple_of(GROUP_FLOATS);
    let zero = missing.into_iter().all(|feature| (0..rows).all(|row| float(row, feature) == 0));
    zero.then(|| (0..rows).map(|row| (0..features).map(|feature| float(row, feature)).collect()).collect())
}
