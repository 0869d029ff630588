// SPDX-License-Identifier: Apache-2.0
//! Control: what the host reads and writes, register for register as `rtl/control/`.

pub mod command;
pub mod csr;
pub mod types;
