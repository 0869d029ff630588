// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/pe_segment.sv`.

use super::drain::Drain;
use super::pe::Pe;
use super::types::{Drained, LaneByte, Operand, PeTag, Psum, SEGMENT_LANES, ScaleLoad};
use crate::block::{Visit, Visitor};

/// 32 PEs of one row in a chain, and their drain.
#[derive(Clone, Debug)]
pub struct PeSegment {
    lanes: [Pe; SEGMENT_LANES],
    drain: Drain,
}

impl Default for PeSegment {
    fn default() -> Self {
        Self { lanes: [Pe::default(); SEGMENT_LANES], drain: Drain::default() }
    }
}

impl PeSegment {
    /// What left at the right edge.
    #[must_use]
    #[inline]
    pub fn drained(&self) -> Drained {
        self.drain.output()
    }

    /// A scale that passed all lanes.
    #[must_use]
    #[inline]
    pub fn scale_load(&self) -> ScaleLoad {
        let last = &self.lanes[SEGMENT_LANES - 1];
        ScaleLoad { valid: last.tag_q.load, bank: last.tag_q.load_bank, scale: last.p_q }
    }

    /// Operand that lane `c` hands to the row below.
    #[must_use]
    #[inline]
    pub fn operand(&self, c: usize) -> Operand {
        self.lanes[c].operand_q
    }

    /// Advances by one clock. `operand(c)` comes from the row above; rows below must have been clocked before.
    #[inline]
    pub fn clock(&mut self, operand: impl Fn(usize) -> Operand, tag: PeTag, p: LaneByte) {
        self.drain.clock(&self.lanes);
        // From right to left, so that every lane still sees its left neighbour's old registers.
        for c in (1..SEGMENT_LANES).rev() {
            let left = self.lanes[c - 1];
            self.lanes[c].clock(operand(c), left.tag_q, left.p_q, left.psum_q);
        }
        self.lanes[0].clock(operand(0), tag, p, Psum::default());
    }
}

impl Visit for PeSegment {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for (c, pe) in self.lanes.iter_mut().enumerate() {
            v.enter("gen_lane", Some(c));
            v.enter(if c == 0 { "gen_first" } else { "gen_next" }, None);
            v.enter("u_pe", None);
            pe.visit(v);
            v.leave();
            v.leave();
            v.leave();
        }
        v.enter("u_drain", None);
        self.drain.visit(v);
        v.leave();
    }
}
