// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/operand_decode.sv`: combinational.

use super::types::Operand;
use crate::block::{Int, Uint};

/// Twice the value of every E2M1 code.
const DOUBLED: [i32; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// One byte of a beat to the operands of its lane's two chains.
#[must_use]
#[inline]
pub fn operand_decode(int8: bool, byte: Uint<8>) -> Operand {
    let byte = byte.0.to_le_bytes()[0];
    if int8 {
        let high_half = i8::from_le_bytes([byte]) >> 4;
        Operand { hi: Int(i32::from(high_half)), lo: Int(i32::from(byte & 15)) }
    } else {
        Operand { hi: Int(DOUBLED[usize::from(byte >> 4)]), lo: Int(DOUBLED[usize::from(byte & 15)]) }
    }
}
