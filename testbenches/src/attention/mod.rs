// SPDX-License-Identifier: Apache-2.0
//! Sessions of attention: what goes in, how it lies in the banks, and named cases.

mod bench;
mod engine;
pub mod pages;
mod session;
pub mod suite;

pub use bench::{AttentionBench, Case, Head};
pub use engine::{EngineDriver, Job, JobResult, Needed, Progress, Traffic};
pub use session::{Queries, Session, relative_error};
