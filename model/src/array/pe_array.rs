// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/pe_array.sv`.

use super::operand_decode::operand_decode;
use super::pe::Operands;
use super::pe_segment::PeSegment;
use super::types::{Drained, FLOAT_LATENCY, Geometry, LaneByte, Operand, PeTag, SEGMENT_LANES, ScaleLoad};
use crate::block::{Uint, Visit, Visitor};
use crate::common::{DelayLine, TapLine};

/// Rows x segments grid of PE segments with the skew that feeds it.
#[derive(Clone, Debug)]
pub struct PeArray {
    segments: Vec<Column>,
}

/// One segment of every row.
#[derive(Clone, Debug)]
struct Column {
    skew: Vec<DelayLine<Operand>>,
    tag: Option<DelayLine<PeTag>>,
    tag_rows: TapLine<PeTag>,
    p_q: Vec<LaneByte>,
    rows: Vec<PeSegment>,
}

impl PeArray {
    /// An array after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let column = |s| {
            let skew = 1 + 2 * FLOAT_LATENCY * s;
            Column {
                skew: (0..SEGMENT_LANES).map(|c| DelayLine::new(skew + c)).collect(),
                tag: (s > 0).then(|| DelayLine::new(skew - 1)),
                tag_rows: TapLine::new(geometry.rows),
                p_q: vec![LaneByte::default(); geometry.rows],
                rows: vec![PeSegment::default(); geometry.rows],
            }
        };
        Self { segments: (0..geometry.segments).map(column).collect() }
    }

    /// What left row `r`, segment `s`.
    #[must_use]
    #[inline]
    pub fn drained(&self, r: usize, s: usize) -> Drained {
        self.segments[s].rows[r].drained()
    }

    /// A scale that reached the edge of row `r`, segment `s`.
    #[must_use]
    #[inline]
    pub fn scale_load(&self, r: usize, s: usize) -> ScaleLoad {
        self.segments[s].rows[r].scale_load()
    }

    /// Advances by one clock. `elements`: one byte per lane; `p[r * segments + s]`: what the p wires carry.
    pub fn clock(&mut self, tag: PeTag, int8: bool, elements: &[Uint<8>], p: &[LaneByte]) {
        let segments = self.segments.len();
        for (s, column) in self.segments.iter_mut().enumerate() {
            // From the bottom up, so that every row still sees the old operands of the row above.
            for r in (1..column.rows.len()).rev() {
                let (above, below) = column.rows.split_at_mut(r);
                below[0].clock(above[r - 1].operands(), column.tag_rows.tap(r), column.p_q[r]);
            }
            let mut operands = Operands::default();
            let elements = &elements[s * SEGMENT_LANES..][..SEGMENT_LANES];
            for (c, (line, &element)) in column.skew.iter_mut().zip(elements).enumerate() {
                operands.set(c, line.output());
                line.clock(operand_decode(int8, element));
            }
            column.rows[0].clock(&operands, column.tag_rows.tap(0), column.p_q[0]);

            column.tag_rows.clock(column.tag.as_ref().map_or(tag, DelayLine::output));
            if let Some(line) = &mut column.tag {
                line.clock(tag);
            }
            for (r, p_q) in column.p_q.iter_mut().enumerate() {
                *p_q = p[r * segments + s];
            }
        }
    }
}

impl Visit for PeArray {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for (s, column) in self.segments.iter_mut().enumerate() {
            v.enter("gen_segment", Some(s));
            for (c, line) in column.skew.iter_mut().enumerate() {
                v.enter("gen_skew", Some(c));
                v.enter("u_skew", None);
                line.visit(v);
                v.leave();
                v.leave();
            }
            if let Some(line) = &mut column.tag {
                v.enter("gen_tag_late", None);
                v.enter("u_tag", None);
                line.visit(v);
                v.leave();
                v.leave();
            }
            v.enter("u_tag_rows", None);
            column.tag_rows.visit(v);
            v.leave();
            v.array("p_q", &mut column.p_q);
            for (r, row) in column.rows.iter_mut().enumerate() {
                v.enter("gen_row", Some(r));
                v.enter("u_pe_segment", None);
                row.visit(v);
                v.leave();
                v.leave();
            }
            v.leave();
        }
    }
}
