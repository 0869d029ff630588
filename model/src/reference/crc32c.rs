// SPDX-License-Identifier: Apache-2.0
//! CRC-32C from its definition: the remainder of a long division of polynomials over GF(2).
//!
//! The first bit of a message (bit 0 of byte 0) is the coefficient of the highest power. The message's first 32 bits are
//! complemented, 32 zeros are appended, the remainder is complemented; its highest power is bit 0 of the CRC.

/// x^32 + x^28 + x^27 + x^26 + x^25 + x^23 + x^22 + x^20 + x^19 + x^18 + x^14 + x^13 + x^11 + x^10 + x^9 + x^8 + x^6 + 1.
const DIVISOR: u64 = 0x1_1EDC_6F41;

/// Remainder of a polynomial, highest power first; bit n is the coefficient of x^n.
fn remainder(dividend: impl Iterator<Item = bool>) -> u32 {
    let mut rest = 0u64;
    for coefficient in dividend {
        rest = rest << 1 | u64::from(coefficient);
        if rest >> 32 == 1 {
            rest ^= DIVISOR;
        }
    }
    u32::try_from(rest).expect("a remainder is of lower degree than the divisor")
}

/// The CRC of a message.
#[must_use]
pub fn crc(message: &[u8]) -> u32 {
    let bits = message.iter().flat_map(|byte| (0..8).map(move |n| byte >> n & 1 == 1));
    let padded = bits.chain([false; 32]).enumerate();
    (!remainder(padded.map(|(at, bit)| bit != (at < 32)))).reverse_bits()
}

/// What one wrong bit, `behind` places before the end of message and CRC, leaves: x^behind divided, bit 0 the highest power.
#[must_use]
pub fn syndrome(behind: usize) -> u32 {
    remainder((0..=behind).map(|at| at == 0)).reverse_bits()
}
