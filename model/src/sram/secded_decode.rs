// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/sram/secded_decode.sv`.

use crate::block::{Uint, Wide, low_u8};
use crate::numerics::secded::{self, Decoded};

/// The codeword with one wrong bit corrected, in the same cycle.
#[must_use]
pub fn secded_decode(data: Wide<64>, check: Uint<8>) -> Decoded {
    secded::decode(data.0, low_u8(u64::from(check.0)))
}
