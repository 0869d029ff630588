// SPDX-License-Identifier: Apache-2.0
//! Collective units and the cables between them.

mod bench;
pub mod links;
pub mod network;

pub use bench::{Case, CollectiveBench, Op};
