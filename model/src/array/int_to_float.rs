// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/int_to_float.sv`: combinational.

use super::types::BlockSum;
use crate::numerics::{Float36, Rounded};

/// The float of a block sum.
#[must_use]
#[inline]
pub fn int_to_float(sum: BlockSum) -> Rounded {
    Float36::from_int(sum.number.0, sum.exponent.0)
}
