// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/sram/secded_encode.sv`.

use crate::block::{Uint, Wide};
use crate::numerics::secded;

/// Check bits of 64 data bits, in the same cycle.
#[must_use]
pub fn secded_encode(data: Wide<64>) -> Uint<8> {
    Uint(u16::from(secded::encode(data.0)))
}
