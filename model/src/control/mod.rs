// SPDX-License-Identifier: Apache-2.0
//! Control: what the host reads and writes, register for register as `rtl/control/`, and what becomes of its commands.

pub mod command;
pub mod command_check;
pub mod command_fetch;
pub mod command_unit;
pub mod completer;
pub mod counters;
pub mod csr;
pub mod scoreboard;
pub mod types;
pub mod work_queue;
