// SPDX-License-Identifier: Apache-2.0
//! Test benches of the command unit and of the counters.

mod bench;
mod command;
mod counters;

pub use bench::{Case, ControlBench, Op};
pub use counters::CountersBench;
