// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/common/tap_line.sv`.

use crate::block::{Bits, Visit, Visitor};

/// Delay line whose every stage is an output: tap `i` is the input `i + 1` cycles later.
#[derive(Clone, Debug)]
pub struct TapLine<T> {
    stage_q: Vec<T>,
}

impl<T: Bits> TapLine<T> {
    /// A line of `taps` stages.
    #[must_use]
    pub fn new(taps: usize) -> Self {
        Self { stage_q: vec![T::default(); taps] }
    }

    /// What entered `i + 1` cycles ago, for every `i`.
    #[must_use]
    pub fn taps(&self) -> &[T] {
        &self.stage_q
    }

    /// Advances by one clock.
    pub fn clock(&mut self, input: T) {
        let last = self.stage_q.len() - 1;
        self.stage_q.copy_within(..last, 1);
        self.stage_q[0] = input;
    }

    /// Clears every stage.
    pub fn reset(&mut self) {
        self.stage_q.fill(T::default());
    }
}

impl<T: Bits> Visit for TapLine<T> {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("stage_q", &mut self.stage_q);
    }
}
