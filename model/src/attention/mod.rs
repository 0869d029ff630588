// SPDX-License-Identifier: Apache-2.0
//! The attention engine, register for register as `rtl/attention/`.

pub mod types;
