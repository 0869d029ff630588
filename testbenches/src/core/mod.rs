// SPDX-License-Identifier: Apache-2.0
//! What is around the core: a host that writes commands into a ring and rings the doorbell, a memory with the rules of its
//! port, a record of what every unit does in every cycle, and a judge that holds all of it against the untimed interpreter.

mod bench;
mod driver;
mod generate;
mod judge;
mod port;
mod session;
mod stand_in;
mod trace;
mod workload;

pub use bench::{Case, CoreBench};
pub use driver::{Break, Finished, HostPlan, Next, Progress, Run, Traffic, run, run_interrupted};
pub use generate::{Banks, Generator, Program, Step, What};
pub use judge::judge;
pub use port::{CoreDut, CoreInputs, CoreOutputs, CorePort};
pub use session::{Batch, Session};
pub use stand_in::{Fault, StandIn};
pub use trace::{Span, Trace, UNIT_NAMES, UnitCycles};
pub use workload::{PreparedWorkload, Workload};

use std::ops::Range;

use crate::memory::Memory;
use crate::memory::contents::{Contents, Unwritten};
use crate::memory::hbm3::{Config, Hbm3};
use crate::memory::hostile::{Behaviour, Hostile};
use crate::memory::ideal::Ideal;

/// Where there is memory.
pub const MEMORY_END: u64 = 1 << 40;
/// Cycles of the ideal memory.
pub const IDEAL_LATENCY: u64 = 40;

/// Memories that a core can be run with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MemoryKind {
    /// Fixed latency, a word per cycle.
    Ideal,
    /// One channel of HBM3.
    Hbm3,
    /// Whatever AXI allows.
    Hostile,
}

impl MemoryKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Ideal, Self::Hbm3, Self::Hostile];

    /// A memory of this kind in which nothing is written. `seed` decides what is left to chance.
    #[must_use]
    pub fn make(self, seed: u64) -> Box<dyn Memory> {
        self.make_faulty(seed, Vec::new())
    }

    /// The same; a hostile one refuses accesses to these places.
    #[must_use]
    pub fn make_faulty(self, seed: u64, faulty: Vec<Range<u64>>) -> Box<dyn Memory> {
        // What nobody wrote cannot be read: the interpreter refuses it, too.
        let contents = Contents::new(0..MEMORY_END, Unwritten::Error, seed);
        match self {
            Self::Ideal => Box::new(Ideal::new(contents, IDEAL_LATENCY)),
            Self::Hbm3 => Box::new(Hbm3::new(contents, Config::ONE_CHANNEL)),
            Self::Hostile => {
                Box::new(Hostile::new(contents, Behaviour { faulty, ..Behaviour::from_seed(seed) }, seed))
            }
        }
    }
}
