// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/drain.sv`.

use super::pe::Pes;
use super::types::{Drained, SEGMENT_LANES};
use crate::block::{Uint, Visit, Visitor};

/// The lane at the right edge.
const LAST_LANE: Uint<5> = Uint(31);

/// Drain of one segment of one row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drain {
    drained_q: Drained,
}

impl Drain {
    /// What left the segment in the last cycle.
    #[must_use]
    #[inline]
    pub fn output(&self) -> Drained {
        self.drained_q
    }

    /// Advances by one clock: looks at the PEs' registers of before this clock.
    ///
    /// # Panics
    /// When two lanes drive (INV-DRAIN-1): the beats break the schedule's rules.
    #[inline]
    pub fn clock(&mut self, lanes: &Pes) {
        let (mut driving, lane) = lanes.last_of_tile();
        self.drained_q = Drained::default();
        if driving != 0 {
            let lane = lane.unsigned_abs();
            let psum = lanes.psum(usize::from(lane));
            self.drained_q = Drained { row_sum: false, block_sum: true, lane: Uint(lane), psum };
        }
        if lanes.last().0.mode.is_row_sum() {
            driving += 1;
            let psum = lanes.psum(SEGMENT_LANES - 1);
            self.drained_q = Drained { row_sum: true, block_sum: false, lane: LAST_LANE, psum };
        }
        assert!(driving <= 1, "INV-DRAIN-1: {driving} lanes drive the bus of one segment");
    }
}

impl Visit for Drain {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("drained_q", &mut self.drained_q);
    }
}
