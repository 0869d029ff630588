// SPDX-License-Identifier: Apache-2.0
//! A memory of words of 64 bytes, and what is known of each byte.

use std::collections::BTreeMap;
use std::ops::Range;

/// Bytes of a word.
pub const WORD_BYTES: usize = 64;
/// The same as a distance between addresses.
const WORD: u64 = 64;

/// A word of memory. Bit `i` of the masks stands for byte `i`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word {
    /// Its bytes, the lowest address first.
    pub bytes: [u8; WORD_BYTES],
    /// Bytes that were ever written. A word that was not wholly written cannot be read.
    pub written: u64,
    /// Bytes of which nobody says what they are.
    pub unknown: u64,
}

/// Words by address.
#[derive(Clone, Debug)]
pub struct Image {
    bounds: Range<u64>,
    words: BTreeMap<u64, Word>,
}

impl Image {
    /// Nothing written yet. Outside `bounds` there is no memory.
    #[must_use]
    pub const fn new(bounds: Range<u64>) -> Self {
        Self { bounds, words: BTreeMap::new() }
    }

    /// All words of which a byte was written, by rising address.
    pub fn words(&self) -> impl Iterator<Item = (u64, &Word)> {
        self.words.iter().map(|(&address, word)| (address, word))
    }

    /// The word at `address`. `None` where reading it is refused.
    #[must_use]
    pub fn read(&self, address: u64) -> Option<&Word> {
        self.words.get(&address).filter(|word| word.written == u64::MAX)
    }

    /// Writes those bytes whose bit of `strobe` is set. False where that is refused.
    pub fn write(&mut self, address: u64, bytes: &[u8; WORD_BYTES], strobe: u64) -> bool {
        if !(self.bounds.start <= address && address + WORD <= self.bounds.end) {
            return false;
        }
        let word =
            self.words.entry(address).or_insert(Word { bytes: [0; WORD_BYTES], written: 0, unknown: 0 });
        if strobe == u64::MAX {
            word.bytes = *bytes;
        } else {
            for i in (0..WORD_BYTES).filter(|i| strobe >> i & 1 == 1) {
                word.bytes[i] = bytes[i];
            }
        }
        word.written |= strobe;
        word.unknown &= !strobe;
        true
    }

    /// From now on nobody says what these bytes are, nor whether they were written.
    pub fn forget(&mut self, address: u64, strobe: u64) {
        if self.write(address, &[0; WORD_BYTES], strobe)
            && let Some(word) = self.words.get_mut(&address)
        {
            word.unknown |= strobe;
        }
    }

    /// Writes bytes at any address; false where that is refused.
    pub fn store(&mut self, address: u64, bytes: &[u8]) -> bool {
        let mut done = true;
        let (mut at, mut rest) = (address, bytes);
        while !rest.is_empty() {
            let offset = usize::try_from(at % WORD).expect("below 64");
            let (now, later) = rest.split_at(rest.len().min(WORD_BYTES - offset));
            let mut word = [0; WORD_BYTES];
            word[offset..offset + now.len()].copy_from_slice(now);
            let strobe = u64::MAX >> (WORD_BYTES - now.len()) << offset;
            done &= self.write(at - at % WORD, &word, strobe);
            at += now.len() as u64;
            rest = later;
        }
        done
    }
}
