// SPDX-License-Identifier: Apache-2.0
//! Lockstep of RTL and golden model: every register, every clock.
//!
//! [`lockstep::Lockstep`] runs a verilated device and its model side by side. `docs/adding-a-block.md` takes a module of
//! your own there.

mod bridge;
pub mod device;
pub mod engine;
pub mod error;
mod golden;
pub mod interrupt;
pub mod jobs;
pub mod lockstep;
pub mod replay;
pub mod report;
pub mod timeline;

pub use error::{Error, Result};
