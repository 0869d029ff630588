// SPDX-License-Identifier: Apache-2.0
//! SRAM banks, register for register as `rtl/sram/`.

pub mod bank;
pub mod bank_group;
pub mod secded_decode;
pub mod secded_encode;
pub mod types;
