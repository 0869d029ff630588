// SPDX-License-Identifier: Apache-2.0
//! The core, register for register as `rtl/core/`.

pub mod core;
