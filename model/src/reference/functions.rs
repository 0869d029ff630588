// SPDX-License-Identifier: Apache-2.0
//! The three functions of the vector unit. Their tables are their definition, so there is nothing to say a second time: this
//! is the one file of the references that calls the numerics, whose exhaustive test holds them against exact values.

use crate::numerics::Float36;
use crate::numerics::vector::function;
use crate::vector::types::Function;

/// 1 / x.
#[must_use]
pub fn reciprocal(x: Float36) -> Float36 {
    function(Function::Reciprocal, x)
}

/// 1 / sqrt(x).
#[must_use]
pub fn root(x: Float36) -> Float36 {
    function(Function::Root, x)
}

/// 2^x.
#[must_use]
pub fn power(x: Float36) -> Float36 {
    function(Function::Power, x)
}
