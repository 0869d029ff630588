// SPDX-License-Identifier: Apache-2.0
//! Test bench of the systolic array.

mod attention;
mod bench;
mod driver;
mod gemv;

pub use attention::{HeadLayout, KeyTile, TILE_TOKENS, ValueTile};
pub use bench::{ArrayBench, Op};
pub use driver::{ArrayDriver, Emitted, RuleBroken, Slot, Stalls, TILE_SPACING};
pub use gemv::{GemvRun, Matrix, Stationary, Stream, Traffic, run_gemv, stream_gemv};
