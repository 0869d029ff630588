// SPDX-License-Identifier: Apache-2.0
//! Collective operations from the definition: which rank ends with what, and in which order floats are added.

use super::float;
use crate::numerics::Float36;

/// Bytes of a word.
pub const WORD_BYTES: usize = 64;
/// A word of floats, or of anything else.
pub type Word = [u8; WORD_BYTES];
/// Floats of a word.
const FLOATS: usize = 14;
/// Bits of a float.
const FLOAT_BITS: usize = 36;

/// Lane `lane` of a word: 36 bits, little end first. Without an exponent it is zero.
fn float_of(word: &Word, lane: usize) -> Float36 {
    let bit = |at: usize| u64::from(word[at / 8] >> (at % 8) & 1);
    let bits = (0..FLOAT_BITS).map(|n| bit(FLOAT_BITS * lane + n) << n).sum::<u64>();
    let zero = bits >> 23 & 0xFFF == 0;
    Float36::from_bits(if zero { 0 } else { bits }).expect("36 bits, and zero is zero")
}

/// A word of these floats; the bits above them are 0.
fn word_of(floats: &[Float36; FLOATS]) -> Word {
    let mut word = [0; WORD_BYTES];
    for (lane, float) in floats.iter().enumerate() {
        for n in 0..FLOAT_BITS {
            let at = FLOAT_BITS * lane + n;
            word[at / 8] |= u8::from(float.bits() >> n & 1 == 1) << (at % 8);
        }
    }
    word
}

/// The sum of a word over the ranks, and for each rank whether adding its own word clamped a lane: `terms[r]` is rank r's
/// word of chunk `chunk`. Added from left to right: x\[chunk + 1\] + x\[chunk + 2\] + ... + x\[chunk\].
///
/// # Panics
/// When there are no terms.
#[must_use]
pub fn reduce(terms: &[Word], chunk: usize) -> (Word, Vec<bool>) {
    let ranks = terms.len();
    let order: Vec<usize> = (1..=ranks).map(|step| (chunk + step) % ranks).collect();
    let mut so_far: [Float36; FLOATS] = std::array::from_fn(|lane| float_of(&terms[order[0]], lane));
    let mut clamped = vec![false; ranks];
    for &rank in &order[1..] {
        for (lane, total) in so_far.iter_mut().enumerate() {
            let next = float::add(*total, float_of(&terms[rank], lane));
            clamped[rank] |= next.saturated;
            *total = next.value;
        }
    }
    (word_of(&so_far), clamped)
}
