// SPDX-License-Identifier: Apache-2.0
//! The memory port, register for register as `rtl/memory/`.

pub mod axi_reader;
pub mod axi_writer;
pub mod memory_port;
pub mod read_arbiter;
pub mod types;
pub mod write_queue;
