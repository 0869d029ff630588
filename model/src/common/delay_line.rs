// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/common/delay_line.sv`.

use crate::block::{Bits, Visit, Visitor};

/// Delays a value by as many cycles as it has stages.
///
/// The stages are a ring, so that a clock moves one value, not all of them; [`Visit`] turns it to the RTL's order.
#[derive(Clone, Debug)]
pub struct DelayLine<T> {
    stage_q: Vec<T>,
    /// Index of the oldest stage; the youngest follows it.
    oldest: usize,
}

impl<T: Bits> DelayLine<T> {
    /// A line of `depth` stages, at least one.
    ///
    /// # Panics
    /// When `depth` is 0.
    #[must_use]
    pub fn new(depth: usize) -> Self {
        assert!(depth > 0, "a delay line has at least one stage");
        Self { stage_q: vec![T::default(); depth], oldest: depth - 1 }
    }

    /// What entered `depth` cycles ago.
    #[must_use]
    #[inline]
    pub fn output(&self) -> T {
        self.stage_q[self.oldest]
    }

    /// What entered `i + 1` cycles ago.
    #[inline]
    pub(super) fn stage(&self, i: usize) -> T {
        let index = self.oldest + 1 + i;
        let depth = self.stage_q.len();
        self.stage_q[if index < depth { index } else { index - depth }]
    }

    /// Advances by one clock.
    #[inline]
    pub fn clock(&mut self, input: T) {
        // What was the oldest is the youngest now.
        self.stage_q[self.oldest] = input;
        self.oldest = self.oldest.checked_sub(1).unwrap_or(self.stage_q.len() - 1);
    }
}

impl<T: Bits> Visit for DelayLine<T> {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let last = self.stage_q.len() - 1;
        if self.oldest + 1 == last {
            // One clock since the last visit, as in lockstep: cheaper than a rotation in general.
            let youngest = self.stage_q[last];
            self.stage_q.copy_within(..last, 1);
            self.stage_q[0] = youngest;
        } else if self.oldest != last {
            self.stage_q.rotate_left(self.oldest + 1);
        }
        self.oldest = last;
        v.array("stage_q", &mut self.stage_q);
    }
}
