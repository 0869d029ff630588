// SPDX-License-Identifier: Apache-2.0
//! SRAM banks, register for register as `rtl/sram/`.

pub mod types;
