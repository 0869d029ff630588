// SPDX-License-Identifier: Apache-2.0
//! CRC-32C (Castagnoli) of the link's flits, reflected: docs/blocks/crc32c.md.

/// The polynomial but its highest power, reflected: the residue of the last bit.
pub const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What the eight bits of a byte that enters a state of 0 leave.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let mut state = byte;
        let mut bit = 0;
        while bit < 8 {
            state = state >> 1 ^ if state & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[byte as usize] = state;
        byte += 1;
    }
    table
}

/// The state after more bytes. The first state is all ones, the CRC is the complement of the last.
#[must_use]
pub fn update(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |state, byte| {
        let [low, ..] = state.to_le_bytes();
        state >> 8 ^ TABLE[usize::from(low ^ byte)]
    })
}
