// SPDX-License-Identifier: Apache-2.0
//! The collective unit, register for register as `rtl/collective/`.

#[expect(clippy::module_inception, reason = "the block is called as its group is")]
pub mod collective;
pub mod reducer;
pub mod types;
