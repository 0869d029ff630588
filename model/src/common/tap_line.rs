// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/common/tap_line.sv`.

use super::DelayLine;
use crate::block::{Bits, Visit, Visitor};

/// Delay line whose every stage is an output: tap `i` is the input `i + 1` cycles later.
#[derive(Clone, Debug)]
pub struct TapLine<T>(DelayLine<T>);

impl<T: Bits> TapLine<T> {
    /// A line of `taps` stages.
    #[must_use]
    pub fn new(taps: usize) -> Self {
        Self(DelayLine::new(taps))
    }

    /// What entered `i + 1` cycles ago.
    #[must_use]
    #[inline]
    pub fn tap(&self, i: usize) -> T {
        self.0.stage(i)
    }

    /// Advances by one clock.
    #[inline]
    pub fn clock(&mut self, input: T) {
        self.0.clock(input);
    }
}

impl<T: Bits> Visit for TapLine<T> {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        self.0.visit(v);
    }
}
