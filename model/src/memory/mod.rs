// SPDX-License-Identifier: Apache-2.0
//! The memory port, register for register as `rtl/memory/`.

pub mod axi_reader;
pub mod axi_writer;
pub mod memory_port;
pub mod read_arbiter;
pub mod types;
pub mod write_queue;

/// Clients of the port that share its auxiliary reads, and as many that share its writes.
pub const CLIENTS: usize = 4;

/// Whose turn it is of those that want something: the next behind the last one that had it.
#[must_use]
pub fn next_turn(wants: [bool; CLIENTS], last: usize) -> Option<usize> {
    let next = |from: usize| (from..CLIENTS).find(|&client| wants[client]);
    next((last + 1).min(CLIENTS)).or_else(|| next(0))
}
