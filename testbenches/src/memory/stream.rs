// SPDX-License-Identifier: Apache-2.0
//! A master that only streams, to measure what a memory can do.

use tandem_model::block::{Uint, Wide};
use tandem_model::memory::types::AxiAddress;

use super::Memory;
use super::port::{MasterSignals, WriteWord};

/// So long may nothing move.
const PATIENCE: u64 = 100_000;

/// Words in cycles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Words of data.
    pub words: u64,
    /// In so many cycles of the port.
    pub cycles: u64,
}

impl Rate {
    /// Words per thousand cycles.
    #[must_use]
    pub const fn per_thousand(&self) -> u64 {
        1000 * self.words / self.cycles
    }
}

/// Bursts of equal length at equal distances, as fast as the memory takes them.
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    /// Address of the first.
    pub first: u64,
    /// Words of each, at most 256.
    pub words: u64,
    /// From one's address to the next one's.
    pub step: u64,
    /// How many.
    pub bursts: u64,
    /// Writes instead of reads.
    pub write: bool,
}

impl Stream {
    fn address(&self, number: u64) -> AxiAddress {
        AxiAddress {
            valid: number < self.bursts,
            id: Uint(u16::try_from(number % 16).expect("small")),
            address: Wide(self.first + number * self.step),
            length: Uint(u16::try_from(self.words - 1).expect("at most 256 words")),
        }
    }

    /// Runs to the end; counts from the first to the last word of data. None when the memory stops.
    #[must_use]
    pub fn run(&self, memory: &mut dyn Memory) -> Option<Rate> {
        let total = self.words * self.bursts;
        let (mut asked, mut moved) = (0, 0);
        let mut first = None;
        for now in 0.. {
            let word = WriteWord {
                valid: self.write && moved < total,
                strobe: u64::MAX,
                last: moved % self.words == self.words - 1,
                ..WriteWord::default()
            };
            let address = self.address(asked);
            let idle = AxiAddress::default();
            let (ar, aw) = if self.write { (idle, address) } else { (address, idle) };
            let master = MasterSignals { ar, r_ready: true, aw, w: word, b_ready: true };
            let slave = memory.outputs();
            memory.clock(&master);
            let ready = if self.write { slave.aw_ready } else { slave.ar_ready };
            asked += u64::from(address.valid && ready);
            if slave.r.valid || word.valid && slave.w_ready {
                moved += 1;
                let first = *first.get_or_insert(now);
                if moved == total {
                    return Some(Rate { words: total, cycles: now + 1 - first });
                }
            }
            if now > PATIENCE + 1000 * total {
                return None;
            }
        }
        None
    }
}
