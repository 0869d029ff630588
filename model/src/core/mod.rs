// SPDX-License-Identifier: Apache-2.0
//! The core, register for register as `rtl/core/`.

#[expect(clippy::module_inception, reason = "the top is called as its group is")]
pub mod core;
