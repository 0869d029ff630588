// SPDX-License-Identifier: Apache-2.0
//! The vector unit, register for register as `rtl/vector/`.

pub mod types;
