// SPDX-License-Identifier: Apache-2.0
//! Test bench of the host's registers: random AXI4-Lite traffic with stalls of every kind against a map of values.

mod bench;
pub mod description;
mod map;

pub use bench::{Case, CsrBench, Op};
