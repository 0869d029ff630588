// SPDX-License-Identifier: Apache-2.0
//! The attention engine, register for register as `rtl/attention/`.

pub mod denominator;
pub mod float_multiply;
pub mod normaliser;
pub mod reciprocal;
pub mod types;
