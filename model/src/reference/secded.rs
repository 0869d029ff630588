// SPDX-License-Identifier: Apache-2.0
//! The SECDED code from its definition: a codeword is a word in the kernel of the parity-check matrix, and decoding is
//! the search for the nearest one.
//!
//! A word is a list of 72 bits: data bit 0 first, check bit 0 at 64.

use bitvec::BitArr;
use bitvec::order::Lsb0;

/// Data and check bits.
pub type Word = BitArr!(for 72, in u64, Lsb0);

/// Bits of a word.
pub const BITS: usize = 72;

/// What the nearest codeword is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Nearest {
    /// The word itself.
    Same,
    /// The word with this bit inverted.
    OneBit(usize),
    /// None at a distance of 0 or 1.
    Far,
}

/// A word of these bits.
#[must_use]
pub fn word(data: u64, check: u8) -> Word {
    Word::new([data, u64::from(check)])
}

/// Data and check bits of a word.
#[must_use]
pub fn parts(word: Word) -> (u64, u8) {
    let [data, check] = word.data;
    (data, check.to_le_bytes()[0])
}

/// The columns of the parity-check matrix: the 56 bytes of three ones in ascending order, then 0001 1111 rotated left by
/// 0 to 7 places, then the identity.
#[must_use]
pub fn columns() -> Vec<u8> {
    let three = (0..=255u8).filter(|byte| byte.count_ones() == 3);
    let five = (0..8).map(|places| 0x1f_u8.rotate_left(places));
    let one = (0..8).map(|row| 1u8 << row);
    three.chain(five).chain(one).collect()
}

/// Whether the matrix times the word is 0.
fn is_codeword(columns: &[u8], word: &Word) -> bool {
    word.iter_ones().fold(0, |syndrome, bit| syndrome ^ columns[bit]) == 0
}

/// The one codeword with these data, among all 256 choices of check bits.
///
/// # Panics
/// Never: the check bits' columns are the identity.
#[must_use]
pub fn encode(data: u64) -> u8 {
    let columns = columns();
    let mut fitting = (0..=255).filter(|&check| is_codeword(&columns, &word(data, check)));
    fitting.next().expect("the check bits' columns are the identity")
}

/// The nearest codeword, by trying.
#[must_use]
pub fn nearest(word: &Word) -> Nearest {
    let columns = columns();
    if is_codeword(&columns, word) {
        return Nearest::Same;
    }
    let with = |bit: usize| {
        let mut other = *word;
        let inverted = !other[bit];
        other.set(bit, inverted);
        other
    };
    (0..BITS).find(|&bit| is_codeword(&columns, &with(bit))).map_or(Nearest::Far, Nearest::OneBit)
}
