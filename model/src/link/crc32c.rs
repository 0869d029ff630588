// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/crc32c.sv`.

use super::types::{FlitHeader, LinkWord};
use crate::block::{Bits, Uint, Wide, low_u8};
use crate::numerics::crc32c::update;

/// The state before a flit of this epoch.
#[must_use]
pub fn start(epoch: Uint<8>) -> Wide<32> {
    Wide::from_bits(!epoch.to_bits())
}

/// The state after a word of payload.
#[must_use]
pub fn after_word(state: Wide<32>, word: &LinkWord) -> Wide<32> {
    Wide(u64::from(update(narrow(state), &word.bytes())))
}

/// The state after a header.
#[must_use]
pub fn after_header(state: Wide<32>, header: FlitHeader) -> Wide<32> {
    let [a, b, c, d, ..] = header.to_bits().to_le_bytes();
    Wide(u64::from(update(narrow(state), &[a, b, c, d])))
}

pub(super) fn narrow(state: Wide<32>) -> u32 {
    u32::from_le_bytes([0, 8, 16, 24].map(|shift| low_u8(state.0 >> shift)))
}
