// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/crc32c.sv`.

use super::types::{FlitHeader, LinkWord};
use crate::block::{Bits, Wide, low_u8};
use crate::numerics::crc32c::update;

/// The state after a word of payload.
#[must_use]
pub fn after_word(state: Wide<32>, word: &LinkWord) -> Wide<32> {
    Wide(u64::from(update(narrow(state), &word.bytes())))
}

/// The state after a header and the epoch's byte.
#[must_use]
pub fn after_header(state: Wide<32>, header: FlitHeader, epoch: u8) -> Wide<32> {
    let header = header.to_bits().to_le_bytes();
    let bytes = [header[0], header[1], header[2], header[3], epoch];
    Wide(u64::from(update(narrow(state), &bytes)))
}

fn narrow(state: Wide<32>) -> u32 {
    u32::from_le_bytes([0, 8, 16, 24].map(|shift| low_u8(state.0 >> shift)))
}
