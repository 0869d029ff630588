// SPDX-License-Identifier: Apache-2.0
//! Test bench of the vector unit.

mod bench;
pub mod commands;

pub use bench::{Case, VectorBench};
