// SPDX-License-Identifier: Apache-2.0
//! What is at the other end of the memory port (docs/memory-models.md): an ideal memory, one with the timing of HBM3, a
//! hostile one, and the rules of AXI4 that are checked on the port.

pub mod checker;
pub mod contents;
pub mod hbm3;
pub mod hostile;
pub mod ideal;
pub mod port;
mod pseudo_channel;
pub mod stream;

use std::collections::VecDeque;

use contents::Contents;
use port::{Burst, MasterSignals, SlaveSignals};

/// A memory at an AXI4 master port. Its outputs are Moore, as those of a block are.
pub trait Memory {
    /// What it drives in the present cycle.
    fn outputs(&self) -> SlaveSignals;

    /// Advances by one clock, in whose cycle the master drove this.
    fn clock(&mut self, master: &MasterSignals);

    /// Reset of the port: what is in flight is forgotten, what is stored stays.
    fn reset(&mut self);

    /// What is stored.
    fn contents(&self) -> &Contents;

    /// What is stored, to change it past the port.
    fn contents_mut(&mut self) -> &mut Contents;
}

/// Write bursts whose words are still to come, in the order of their addresses.
#[derive(Clone, Debug, Default)]
struct WriteIntake {
    waiting: VecDeque<(Burst, u64)>,
}

impl WriteIntake {
    fn len(&self) -> usize {
        self.waiting.len()
    }

    fn push(&mut self, burst: Burst) {
        self.waiting.push_back((burst, 0));
    }

    /// Address of the word that comes next. None before its burst's address has come.
    fn next_word(&self) -> Option<u64> {
        self.waiting.front().map(|(burst, taken)| burst.word(*taken))
    }

    /// Takes a word: its burst, its number, whether it is the last.
    fn word(&mut self) -> (Burst, u64, bool) {
        let (burst, taken) = self.waiting.front_mut().expect("no word is taken before its address");
        let (burst, index) = (*burst, *taken);
        *taken += 1;
        let last = *taken == burst.words;
        if last {
            self.waiting.pop_front();
        }
        (burst, index, last)
    }

    fn clear(&mut self) {
        self.waiting.clear();
    }
}
