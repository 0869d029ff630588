// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/drain.sv`.

use super::pe::Pe;
use super::types::{Drained, Mode, SEGMENT_LANES};
use crate::block::{Uint, Visit, Visitor};

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
    pub fn clock(&mut self, lanes: &[Pe]) {
        let last = SEGMENT_LANES - 1;
        self.drained_q = Drained::default();
        let mut driving = 0;
        for (c, pe) in lanes.iter().enumerate() {
            if pe.tag_q.mode == Mode::Pv && pe.tag_q.last {
                driving += 1;
                self.drained_q = Drained { row_sum: false, block_sum: true, lane: lane(c), psum: pe.psum_q };
            }
        }
        if lanes[last].tag_q.mode.is_row_sum() {
            driving += 1;
            self.drained_q =
                Drained { row_sum: true, block_sum: false, lane: lane(last), psum: lanes[last].psum_q };
        }
        assert!(driving <= 1, "INV-DRAIN-1: {driving} lanes drive the bus of one segment");
    }
}

fn lane(c: usize) -> Uint<5> {
    Uint(u16::try_from(c).expect("a lane below 32"))
}

impl Visit for Drain {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("drained_q", &mut self.drained_q);
    }
}
