// SPDX-License-Identifier: Apache-2.0
//! Test bench of the operand loader and the appender.

mod bench;
pub mod layout;
pub(crate) mod port;

pub use bench::{Append, Case, DmaBench, Load};
