// SPDX-License-Identifier: Apache-2.0
//! The link's surroundings: wires that go wrong, those that send and receive, and what they may rely on.

mod bench;
pub mod channel;
mod driver;
pub mod exchange;
pub mod scoreboard;

pub use bench::LinkBench;
pub use driver::{ALWAYS, PROMPT, Pair, Seen, Traffic};
