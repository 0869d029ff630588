// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/pe_segment.sv`.

use super::drain::Drain;
use super::pe::{Operands, Pes};
use super::types::{Drained, LaneByte, PeTag, SEGMENT_LANES, ScaleLoad};
use crate::block::{Visit, Visitor};

/// 32 PEs of one row in a chain, and their drain.
#[derive(Clone, Debug, Default)]
pub struct PeSegment {
    lanes: Pes,
    drain: Drain,
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
        let (tag, p) = self.lanes.last();
        ScaleLoad { valid: tag.load, bank: tag.load_bank, scale: p }
    }

    /// Operands that the lanes hand to the row below.
    #[must_use]
    #[inline]
    pub fn operands(&self) -> &Operands {
        self.lanes.operands()
    }

    /// Advances by one clock. `operands` come from the row above; rows below must have been clocked before.
    #[inline]
    pub fn clock(&mut self, operands: &Operands, tag: PeTag, p: LaneByte) {
        self.drain.clock(&self.lanes);
        self.lanes.clock(operands, tag, p);
    }
}

impl Visit for PeSegment {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for c in 0..SEGMENT_LANES {
            v.enter("gen_lane", Some(c));
            v.enter(if c == 0 { "gen_first" } else { "gen_next" }, None);
            v.enter("u_pe", None);
            self.lanes.visit(c, v);
            v.leave();
            v.leave();
            v.leave();
        }
        v.enter("u_drain", None);
        self.drain.visit(v);
        v.leave();
    }
}
