// SPDX-License-Identifier: Apache-2.0
//! The memory port, register for register as `rtl/memory/`.

pub mod axi_reader;
pub mod types;
