// SPDX-License-Identifier: Apache-2.0
//! Small blocks that every group uses.

pub mod delay_line;
pub mod tap_line;

pub use delay_line::DelayLine;
pub use tap_line::TapLine;
