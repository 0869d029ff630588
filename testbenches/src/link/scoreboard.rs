// SPDX-License-Identifier: Apache-2.0
//! What a link promises to those that use it, and nothing of how: on every channel of every direction the words come out
//! in the order they went in, none twice, and none is missing unless a session was lost or a side was reset between.

use std::collections::{BTreeMap, VecDeque};

use tandem_model::block::Wide;
use tandem_model::link::flit_rx::MAGIC;
use tandem_model::link::types::{LINK_CHANNELS, LinkWord};

use crate::random::{Flavour, Source};

/// Names of the channels.
pub const CHANNELS: [&str; LINK_CHANNELS] = ["control", "latency", "bulk"];
/// Names of the directions, by the side that sends.
pub const DIRECTIONS: [&str; 2] = ["a to b", "b to a"];

/// Word `number` that a side sends on a channel: no other is equal to it.
#[must_use]
pub fn word_of(side: usize, channel: usize, number: u64) -> LinkWord {
    let tag = (side as u64) << 62 | (channel as u64) << 60 | number;
    let mut source = Source::new(tag, Flavour::Plain);
    let mut word = LinkWord(std::array::from_fn(|_| Wide(source.bits())));
    match source.below(8) {
        0 => word.0.fill(Wide(0)),
        1 => word.0.fill(Wide(u64::MAX)),
        // It looks like what flits are aligned by.
        2 => word.0[1] = Wide(u64::from_le_bytes(MAGIC)),
        _ => {}
    }
    word.0[0] = Wide(tag);
    word
}

/// A word that went in, or a reason for those before it to be missing.
#[derive(Clone, Copy, Debug)]
enum Entry {
    Word { word: LinkWord, cycle: u64 },
    Break,
}

/// One channel of one direction.
#[derive(Clone, Debug, Default)]
struct Lane {
    pending: VecDeque<Entry>,
    words: usize,
    accepted: u64,
    delivered: u64,
    lost: u64,
    latencies: BTreeMap<u64, u64>,
}

/// The words on their way.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    lanes: [[Lane; LINK_CHANNELS]; 2],
    /// Cycles of the first and the last word that came out, by direction.
    spans: [Option<(u64, u64)>; 2],
}

impl Scoreboard {
    /// A word went in.
    pub fn accept(&mut self, direction: usize, channel: usize, word: LinkWord, cycle: u64) {
        let lane = &mut self.lanes[direction][channel];
        lane.pending.push_back(Entry::Word { word, cycle });
        lane.words += 1;
        lane.accepted += 1;
    }

    /// Words that went into this direction before now may be missing.
    pub fn break_off(&mut self, direction: usize) {
        for lane in &mut self.lanes[direction] {
            if matches!(lane.pending.back(), Some(Entry::Word { .. })) {
                lane.pending.push_back(Entry::Break);
            }
        }
    }

    /// A word came out. Returns how many cycles after it went in.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn deliver(
        &mut self,
        direction: usize,
        channel: usize,
        word: LinkWord,
        cycle: u64,
    ) -> Result<u64, String> {
        let lane = &mut self.lanes[direction][channel];
        let at = format_args!("cycle {cycle}, {}, channel {}", DIRECTIONS[direction], CHANNELS[channel]);
        let found = lane.pending.iter().position(|e| matches!(e, Entry::Word { word: w, .. } if *w == word));
        let Some(position) = found else {
            return Err(format!("{at}: {word:x?} came although it never went in, or came before"));
        };
        if position > 0 && matches!(lane.pending[position - 1], Entry::Word { .. }) {
            return Err(format!("{at}: {word:x?} came, the word before it is missing"));
        }
        let mut latency = 0;
        for entry in lane.pending.drain(..=position) {
            if let Entry::Word { cycle: accepted, .. } = entry {
                latency = cycle - accepted;
                lane.lost += 1;
                lane.words -= 1;
            }
        }
        lane.lost -= 1;
        lane.delivered += 1;
        *lane.latencies.entry(latency).or_default() += 1;
        let span = self.spans[direction].get_or_insert((cycle, cycle));
        span.1 = cycle;
        Ok(latency)
    }

    /// Every word that had to come has come.
    ///
    /// # Errors
    /// Which has not.
    pub fn complete(&self) -> Result<(), String> {
        for (lanes, direction) in self.lanes.iter().zip(DIRECTIONS) {
            for (lane, channel) in lanes.iter().zip(CHANNELS) {
                if let Some(Entry::Word { word, cycle }) = lane.pending.back() {
                    return Err(format!(
                        "{direction}, channel {channel}: {word:x?} went in in cycle {cycle} and never came out"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Words of a direction and channel that went in and have not come out, those given up included.
    #[must_use]
    pub fn pending(&self, direction: usize, channel: usize) -> usize {
        self.lanes[direction][channel].words
    }

    /// Nothing is on its way.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.lanes.iter().flatten().all(|l| !matches!(l.pending.back(), Some(Entry::Word { .. })))
    }

    /// Words that came out.
    #[must_use]
    pub fn delivered(&self, direction: usize, channel: usize) -> u64 {
        self.lanes[direction][channel].delivered
    }

    /// Words that went in.
    #[must_use]
    pub fn accepted(&self, direction: usize, channel: usize) -> u64 {
        self.lanes[direction][channel].accepted
    }

    /// Words that went down with a session or a reset, as far as later words have shown it.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let given_up = |l: &Lane| if self.is_quiet() { l.words as u64 } else { 0 };
        self.lanes.iter().flatten().map(|l| l.lost + given_up(l)).sum()
    }

    /// Words by cycles between in and out, on a channel of both directions.
    #[must_use]
    pub fn latencies(&self, channel: usize) -> BTreeMap<u64, u64> {
        let mut all = BTreeMap::new();
        for (latency, words) in self.lanes.iter().flat_map(|l| &l[channel].latencies) {
            *all.entry(*latency).or_default() += words;
        }
        all
    }

    /// Words that came out of a direction after the first, and the cycles from that one to the last.
    #[must_use]
    pub fn span(&self, direction: usize) -> (u64, u64) {
        let words: u64 = self.lanes[direction].iter().map(|l| l.delivered).sum();
        self.spans[direction].map_or((0, 0), |(first, last)| (words - 1, last - first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words 0, 1, 2 went in, then a break where wanted, then words 3, 4.
    fn board(broken: bool) -> Scoreboard {
        let mut board = Scoreboard::default();
        (0..3).for_each(|n| board.accept(0, 2, word_of(0, 2, n), n));
        if broken {
            board.break_off(0);
        }
        (3..5).for_each(|n| board.accept(0, 2, word_of(0, 2, n), n));
        board
    }

    fn deliver(board: &mut Scoreboard, numbers: &[u64]) -> Result<(), String> {
        numbers.iter().try_for_each(|&n| board.deliver(0, 2, word_of(0, 2, n), 10).map(|_| ()))
    }

    #[test]
    fn words_in_order_are_right() {
        for broken in [false, true] {
            let mut board = board(broken);
            assert!(!board.is_quiet());
            deliver(&mut board, &[0, 1, 2, 3, 4]).unwrap();
            board.complete().unwrap();
            assert!(board.is_quiet());
            assert_eq!((board.delivered(0, 2), board.lost(), board.pending(0, 2)), (5, 0, 0));
        }
    }

    #[test]
    fn doubled_lost_reordered_and_foreign_words_are_found() {
        for numbers in [&[0, 0][..], &[0, 1, 0], &[1], &[0, 2], &[0, 1, 2, 4], &[1, 0], &[7]] {
            deliver(&mut board(false), numbers).unwrap_err();
        }
        let mut board = board(false);
        deliver(&mut board, &[0, 1, 2, 3]).unwrap();
        assert!(board.complete().unwrap_err().contains("never came out"));
        // The right word on the wrong channel, or in the wrong direction, or changed.
        assert!(board.deliver(0, 1, word_of(0, 2, 4), 10).is_err());
        assert!(board.deliver(1, 2, word_of(0, 2, 4), 10).is_err());
        let mut changed = word_of(0, 2, 4);
        changed.0[7].0 ^= 1;
        assert!(board.deliver(0, 2, changed, 10).is_err());
        assert!(board.deliver(0, 2, word_of(0, 2, 4), 10).is_ok());
    }

    #[test]
    fn lost_session_excuses_the_end_of_what_went_in_and_nothing_else() {
        let mut lost = board(true);
        deliver(&mut lost, &[0, 3, 4]).unwrap();
        assert_eq!(lost.lost(), 2);
        lost.complete().unwrap();
        // No prefix.
        deliver(&mut board(true), &[0, 2]).unwrap_err();
        deliver(&mut board(true), &[0, 4]).unwrap_err();
        // A word of a lost session after one of the next.
        deliver(&mut board(true), &[3, 1]).unwrap_err();
        let mut quiet = board(true);
        quiet.break_off(0);
        quiet.complete().unwrap();
        assert_eq!(quiet.lost(), 5);
    }
}
