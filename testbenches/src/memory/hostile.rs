// SPDX-License-Identifier: Apache-2.0
//! A memory that does whatever AXI4 allows: random latency, any order between IDs, back-pressure on every channel, errors.
//!
//! A write is stored when its response is offered, never before; a read sees the memory as it is when its address comes
//! or as it is when its word is offered, at random. Who does not wait for B reads what was there before.

use std::ops::Range;

use tandem_model::memory::types::{AXI_BYTES, AxiRead, AxiResponse};

use super::contents::Contents;
use super::port::{
    Burst, Data, MasterSignals, Response, SlaveSignals, WORD, WriteWord, burst_taken, read_word,
    write_response,
};
use super::{Memory, WriteIntake};
use crate::random::split_mix;

/// How hostile.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Largest latency in cycles, at least one. Of 32 bursts one takes up to eight times as long.
    pub latency: u64,
    /// Chance in 256 that a channel does not move in a cycle, each on its own.
    pub stall: u64,
    /// Words of bursts of different IDs are mixed.
    pub interleave: bool,
    /// Bursts each way that are accepted before the first is answered.
    pub outstanding: usize,
    /// Chance in 256 that a burst meets an error (SLVERR).
    pub errors: u64,
    /// Words in these places always give an error (SLVERR).
    pub faulty: Vec<Range<u64>>,
}

impl Behaviour {
    /// Everything but errors, and how much of it by a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut state = seed;
        let mut two_bits = || usize::try_from(split_mix(&mut state) & 3).expect("two bits");
        Self {
            latency: [1, 10, 30, 100][two_bits()],
            stall: [0, 32, 128, 224][two_bits()],
            interleave: two_bits() < 2,
            outstanding: [1, 2, 16, 64][two_bits()],
            errors: 0,
            faulty: Vec::new(),
        }
    }
}

#[derive(Clone, Debug)]
struct Read {
    burst: Burst,
    due: u64,
    sent: u64,
    /// What the words were when the address came, where that is what is sent.
    early: Option<Vec<(Data, Response)>>,
    failing: Vec<bool>,
}

#[derive(Clone, Debug)]
struct Write {
    burst: Burst,
    due: u64,
    words: Vec<WriteWord>,
    failing: Vec<bool>,
}

/// The hostile memory.
#[derive(Clone, Debug)]
pub struct Hostile {
    contents: Contents,
    behaviour: Behaviour,
    state: u64,
    now: u64,
    reads: Vec<Read>,
    intake: WriteIntake,
    words: Vec<WriteWord>,
    writes: Vec<Write>,
    outputs: SlaveSignals,
}

impl Hostile {
    /// A hostile memory; `seed` decides all that is left to chance.
    #[must_use]
    pub fn new(contents: Contents, behaviour: Behaviour, seed: u64) -> Self {
        assert!(behaviour.latency >= 1, "outputs are registered: a latency of 0 cannot be");
        Self {
            contents,
            behaviour,
            state: seed,
            now: 0,
            reads: Vec::new(),
            intake: WriteIntake::default(),
            words: Vec::new(),
            writes: Vec::new(),
            outputs: SlaveSignals::default(),
        }
    }

    fn below(&mut self, n: u64) -> u64 {
        split_mix(&mut self.state) % n
    }

    fn chance(&mut self, of_256: u64) -> bool {
        self.below(256) < of_256
    }

    /// When a burst that came now may be answered.
    fn due(&mut self) -> u64 {
        let longest = if self.below(32) == 0 { 8 * self.behaviour.latency } else { self.behaviour.latency };
        self.now + self.below(longest)
    }

    /// Which words of a burst fail.
    fn failing(&mut self, burst: &Burst) -> Vec<bool> {
        let certain = if self.chance(self.behaviour.errors) { Some(self.below(burst.words)) } else { None };
        let seed = split_mix(&mut self.state);
        let fails = |index: u64, chance: bool| {
            let bytes = burst.word(index)..burst.word(index) + WORD;
            certain.is_some_and(|word| word == index || chance)
                || self.behaviour.faulty.iter().any(|f| f.start < bytes.end && bytes.start < f.end)
        };
        let mut state = seed;
        (0..burst.words).map(|index| fails(index, split_mix(&mut state) & 1 == 1)).collect()
    }

    /// One of these, at random.
    fn choose(&mut self, of: &[usize]) -> Option<usize> {
        let count = u64::try_from(of.len()).expect("few");
        (count > 0).then(|| of[usize::try_from(self.below(count)).expect("few")])
    }

    fn take(&mut self, master: &MasterSignals) {
        let slave = self.outputs;
        if let Some(burst) = burst_taken(&master.ar, slave.ar_ready) {
            let words = (0..burst.words).map(|i| self.contents.read_word(burst.word(i)));
            let words: Vec<_> = words.collect();
            let early = self.chance(128).then_some(words);
            let (due, failing) = (self.due(), self.failing(&burst));
            self.reads.push(Read { burst, due, sent: 0, early, failing });
        }
        if master.w.valid && slave.w_ready {
            let (burst, _, last) = self.intake.word();
            self.words.push(master.w);
            if last {
                let (due, failing) = (self.due(), self.failing(&burst));
                self.writes.push(Write { burst, due, words: std::mem::take(&mut self.words), failing });
            }
        }
        if let Some(burst) = burst_taken(&master.aw, slave.aw_ready) {
            self.intake.push(burst);
        }
    }

    /// Offers a word of R, from a burst that is the first of its ID.
    fn offer_read(&mut self) {
        let begun = self.reads.iter().position(|read| read.sent > 0).filter(|_| !self.behaviour.interleave);
        let ready: Vec<usize> = (0..self.reads.len())
            .filter(|&i| {
                let first = self.reads[..i].iter().all(|other| other.burst.id != self.reads[i].burst.id);
                first && self.reads[i].due <= self.now && begun.is_none_or(|b| b == i)
            })
            .collect();
        let Some(chosen) = self.choose(&ready) else { return };
        let garbage = std::array::from_fn(|_| split_mix(&mut self.state).to_le_bytes()[0]);
        let read = &mut self.reads[chosen];
        let index = usize::try_from(read.sent).expect("short");
        let late = || self.contents.read_word(read.burst.word(read.sent));
        let (data, response) = read.early.as_ref().map_or_else(late, |words| words[index]);
        let failing = read.failing[index];
        let response = if failing { response.max(Response::Slave) } else { response };
        self.outputs.r = read_word(&read.burst, read.sent, response);
        self.outputs.r_data = if response == Response::Okay { data } else { garbage };
        read.sent += 1;
        if self.outputs.r.last {
            self.reads.remove(chosen);
        }
    }

    /// Offers a response for a burst that is the first of its ID, and stores its words. Of those that fail some are stored.
    fn offer_response(&mut self) {
        let ready: Vec<usize> = (0..self.writes.len())
            .filter(|&i| {
                let first = self.writes[..i].iter().all(|other| other.burst.id != self.writes[i].burst.id);
                first && self.writes[i].due <= self.now
            })
            .collect();
        let Some(chosen) = self.choose(&ready) else { return };
        let write = self.writes.remove(chosen);
        let mut response = Response::Okay;
        for ((index, word), failing) in (0..).zip(&write.words).zip(write.failing) {
            if failing {
                response = response.max(Response::Slave);
                if self.below(2) == 0 {
                    continue;
                }
            }
            response =
                response.max(self.contents.write_word(write.burst.word(index), &word.data, word.strobe));
        }
        self.outputs.b = write_response(&write.burst, response);
    }
}

impl Memory for Hostile {
    fn outputs(&self) -> SlaveSignals {
        self.outputs
    }

    fn clock(&mut self, master: &MasterSignals) {
        self.now += 1;
        self.take(master);
        if master.r_ready || !self.outputs.r.valid {
            self.outputs.r = AxiRead::default();
            self.outputs.r_data = [0; AXI_BYTES];
            if !self.chance(self.behaviour.stall) {
                self.offer_read();
            }
        }
        if master.b_ready || !self.outputs.b.valid {
            self.outputs.b = AxiResponse::default();
            if !self.chance(self.behaviour.stall) {
                self.offer_response();
            }
        }
        let [ar, aw, w] = [0; 3].map(|_| !self.chance(self.behaviour.stall));
        self.outputs.ar_ready = ar && self.reads.len() < self.behaviour.outstanding;
        let writes = self.intake.len() + self.writes.len();
        self.outputs.aw_ready = aw && writes < self.behaviour.outstanding;
        self.outputs.w_ready = w && self.intake.next_word().is_some();
    }

    fn reset(&mut self) {
        self.reads.clear();
        self.intake.clear();
        self.words.clear();
        self.writes.clear();
        self.outputs = SlaveSignals::default();
    }

    fn contents(&self) -> &Contents {
        &self.contents
    }

    fn contents_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}
