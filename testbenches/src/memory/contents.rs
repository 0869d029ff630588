// SPDX-License-Identifier: Apache-2.0
//! What a memory stores: bytes, sparse, within bounds.

use std::collections::BTreeMap;
use std::ops::Range;

use tandem_model::block::low_u8;
use tandem_model::memory::types::AXI_BYTES;

use super::port::{Data, Response, WORD};
use crate::random::split_mix;

/// What a byte reads as that was never written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// A random value of its own, from the contents' seed.
    Pattern,
    /// The same, and the word's response is SLVERR.
    Error,
}

/// One word and which of its bytes were written.
#[derive(Clone, Copy, Debug)]
struct Word {
    data: Data,
    written: u64,
}

/// Words of a page: large memories are many pages, small ones few.
const PAGE_WORDS: usize = 64;
const PAGE: u64 = WORD * PAGE_WORDS as u64;

/// Words of which none was written have no meaning.
type Page = Box<[Word; PAGE_WORDS]>;

/// Bytes by address.
#[derive(Clone, Debug)]
pub struct Contents {
    bounds: Range<u64>,
    unwritten: Unwritten,
    seed: u64,
    pages: BTreeMap<u64, Page>,
}

impl Contents {
    /// Nothing written yet. Outside `bounds` there is no memory.
    #[must_use]
    pub const fn new(bounds: Range<u64>, unwritten: Unwritten, seed: u64) -> Self {
        Self { bounds, unwritten, seed, pages: BTreeMap::new() }
    }

    /// Where there is memory.
    #[must_use]
    pub const fn bounds(&self) -> &Range<u64> {
        &self.bounds
    }

    /// Addresses of the words of which bytes were written, rising, and a bit for each such byte.
    pub fn written(&self) -> impl Iterator<Item = (u64, u64)> {
        let words =
            self.pages.iter().flat_map(|(&page, words)| (page..).step_by(AXI_BYTES).zip(words.iter()));
        words.filter(|(_, word)| word.written != 0).map(|(address, word)| (address, word.written))
    }

    /// What the word at `address` holds before it is written.
    fn pattern(&self, address: u64) -> Data {
        let mut state = self.seed ^ address.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut data = [0; AXI_BYTES];
        for bytes in data.chunks_exact_mut(8) {
            bytes.copy_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        data
    }

    /// The word at `address`, if any of its bytes was written.
    fn word(&self, address: u64) -> Option<&Word> {
        let word = &self.pages.get(&(address / PAGE * PAGE))?[word_of_page(address)];
        (word.written != 0).then_some(word)
    }

    fn holds(&self, address: u64) -> bool {
        self.bounds.start <= address && address + WORD <= self.bounds.end
    }

    /// Reads the word at `address`, a multiple of its size. Data come with every response; they mean something with
    /// OKAY only.
    #[must_use]
    pub fn read_word(&self, address: u64) -> (Data, Response) {
        if !self.holds(address) {
            return (self.pattern(address), Response::Decode);
        }
        let (data, written) =
            self.word(address).map_or_else(|| (self.pattern(address), 0), |word| (word.data, word.written));
        let whole = written == u64::MAX || self.unwritten == Unwritten::Pattern;
        (data, if whole { Response::Okay } else { Response::Slave })
    }

    /// Writes those bytes of the word at `address` whose bit of `strobe` is set.
    pub fn write_word(&mut self, address: u64, data: &Data, strobe: u64) -> Response {
        if !self.holds(address) {
            return Response::Decode;
        }
        let before = if self.word(address).is_none() && strobe != u64::MAX {
            self.pattern(address)
        } else {
            [0; AXI_BYTES]
        };
        let unwritten = || Box::new([Word { data: [0; AXI_BYTES], written: 0 }; PAGE_WORDS]);
        let page = self.pages.entry(address / PAGE * PAGE).or_insert_with(unwritten);
        let word = &mut page[word_of_page(address)];
        if word.written == 0 {
            word.data = before;
        }
        for (i, (byte, new)) in word.data.iter_mut().zip(data).enumerate() {
            if strobe >> i & 1 == 1 {
                *byte = *new;
            }
        }
        word.written |= strobe;
        Response::Okay
    }

    /// Writes bytes at any address, past the port.
    ///
    /// # Panics
    /// When they do not lie within the bounds.
    pub fn store(&mut self, address: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = address;
        while !rest.is_empty() {
            let offset = usize::from(low_u8(at % WORD));
            let (now, later) = rest.split_at(rest.len().min(AXI_BYTES - offset));
            let mut data = [0; AXI_BYTES];
            data[offset..offset + now.len()].copy_from_slice(now);
            let strobe = u64::MAX >> (AXI_BYTES - now.len()) << offset;
            let response = self.write_word(at / WORD * WORD, &data, strobe);
            assert_eq!(response, Response::Okay, "no memory at {at:#x}, bounds are {:#x?}", self.bounds);
            (rest, at) = (later, at + now.len() as u64);
        }
    }

    /// Reads bytes at any address, past the port.
    ///
    /// # Panics
    /// When they do not lie within the bounds.
    #[must_use]
    pub fn load(&self, address: u64, length: usize) -> Vec<u8> {
        let end = address + length as u64;
        let mut bytes = Vec::with_capacity(length + 2 * AXI_BYTES);
        for at in (address / WORD * WORD..end).step_by(AXI_BYTES) {
            let (data, response) = self.read_word(at);
            assert_ne!(response, Response::Decode, "no memory at {at:#x}, bounds are {:#x?}", self.bounds);
            bytes.extend(data);
        }
        let first = usize::from(low_u8(address % WORD));
        bytes[first..first + length].to_vec()
    }
}

/// Number of a word in its page.
fn word_of_page(address: u64) -> usize {
    usize::from(low_u8(address % PAGE / WORD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_what_was_stored_and_others_their_pattern() {
        let mut contents = Contents::new(0..4096, Unwritten::Pattern, 7);
        let before = contents.load(0, 256);
        contents.store(60, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        let after = contents.load(0, 256);
        assert_eq!(after[60..70], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
        assert_eq!((&after[..60], &after[70..]), (&before[..60], &before[70..]));
        assert_ne!(before, Contents::new(0..4096, Unwritten::Pattern, 8).load(0, 256));
    }

    #[test]
    fn a_word_not_wholly_written_is_an_error_where_that_was_chosen() {
        let mut contents = Contents::new(0..4096, Unwritten::Error, 7);
        contents.store(0, &[0; 63]);
        assert_eq!(contents.read_word(0).1, Response::Slave);
        contents.store(63, &[0]);
        assert_eq!(contents.read_word(0).1, Response::Okay);
    }

    #[test]
    fn outside_the_bounds_there_is_no_memory() {
        let mut contents = Contents::new(64..128, Unwritten::Pattern, 7);
        for (address, response) in [(0, Response::Decode), (64, Response::Okay), (128, Response::Decode)] {
            assert_eq!(contents.read_word(address).1, response);
            assert_eq!(contents.write_word(address, &[0; 64], u64::MAX), response);
        }
    }
}
