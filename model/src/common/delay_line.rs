// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/common/delay_line.sv`.

use crate::block::{Bits, Visit, Visitor};

/// Delays a value by as many cycles as it has stages.
#[derive(Clone, Debug)]
pub struct DelayLine<T> {
    stage_q: Vec<T>,
}

impl<T: Bits> DelayLine<T> {
    /// A line of `depth` stages, at least one.
    ///
    /// # Panics
    /// When `depth` is 0.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        assert!(depth > 0, "a delay line has at least one stage");
        Self { stage_q: vec![T::default(); depth] }
    }

    /// What entered `depth` cycles ago.
    #[must_use]
    pub fn output(&self) -> T {
        self.stage_q[self.stage_q.len() - 1]
    }

    /// Every stage, the youngest first.
    pub(super) fn stages(&self) -> &[T] {
        &self.stage_q
    }

    /// Advances by one clock.
    pub fn clock(&mut self, input: T) {
        let last = self.stage_q.len() - 1;
        self.stage_q.copy_within(..last, 1);
        self.stage_q[0] = input;
    }
}

impl<T: Bits> Visit for DelayLine<T> {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("stage_q", &mut self.stage_q);
    }
}
