// SPDX-License-Identifier: Apache-2.0
//! The SECDED code of the banks: (72, 64), odd-weight columns (Hsiao 1970), docs/blocks/secded_encode.md.

/// Rows of the parity-check matrix over the data bits; check bit r stands alone in row r. `rtl/sram/secded.svh` says the
/// same table.
const ROWS: [u64; 8] = [
    0xf104_2258_44b1_2cb7,
    0xe308_44a8_8952_555b,
    0xc710_8931_1264_9a6d,
    0x8f21_11c2_2388_e38e,
    0x1f42_1e04_3c0f_03f0,
    0x3e83_e007_c00f_fc00,
    0x7cfc_0007_fff0_0000,
    0xf8ff_fff8_0000_0000,
];

/// The data bit (0..64) or check bit (64..72) that a syndrome accuses; `NOBODY` where no single bit explains it.
const ACCUSED: [u8; 256] = accused();

/// No single bit.
const NOBODY: u8 = 255;

const fn accused() -> [u8; 256] {
    let mut table = [NOBODY; 256];
    let mut bit = 0u8;
    while bit < 72 {
        let mut column = 0;
        let mut row = 0;
        while row < 8 {
            let ones = if bit < 64 { (ROWS[row] >> bit & 1) == 1 } else { row + 64 == bit as usize };
            if ones {
                column |= 1 << row;
            }
            row += 1;
        }
        table[column] = bit;
        bit += 1;
    }
    table
}

/// What a codeword said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded {
    /// The data, corrected where that was possible.
    pub data: u64,
    /// One bit was wrong, of data or check.
    pub corrected: bool,
    /// More were.
    pub uncorrectable: bool,
}

/// Check bits of 64 data bits.
#[must_use]
pub fn encode(data: u64) -> u8 {
    let mut check = 0;
    for (row, mask) in ROWS.iter().enumerate() {
        if (data & mask).count_ones() % 2 == 1 {
            check |= 1 << row;
        }
    }
    check
}

/// Corrects one wrong bit, detects two.
#[must_use]
pub fn decode(data: u64, check: u8) -> Decoded {
    let syndrome = encode(data) ^ check;
    if syndrome == 0 {
        return Decoded { data, corrected: false, uncorrectable: false };
    }
    match ACCUSED[usize::from(syndrome)] {
        NOBODY => Decoded { data, corrected: false, uncorrectable: true },
        bit @ 0..64 => Decoded { data: data ^ 1 << bit, corrected: true, uncorrectable: false },
        _ => Decoded { data, corrected: true, uncorrectable: false },
    }
}
