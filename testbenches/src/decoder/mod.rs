// SPDX-License-Identifier: Apache-2.0
//! Whole decoders on the core: what each command of a step must leave in memory, and random models to try it with.

mod bench;
mod follow;
mod random;
mod run;
mod write;

pub use bench::{Case, DecoderBench, Pass};
pub use follow::{Followed, Follower};
pub use random::Shape;
pub use run::{CONTEXT, Runner, Tamper};
pub use write::Write;
