// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/systolic_array.sv`.

use super::float_add::FloatAdd;
use super::float_file::FloatFile;
use super::pe_array::PeArray;
use super::segment_edge::{self, SegmentEdge};
use super::types::{
    AccRead, Beat, BlockControl, FLOAT_LATENCY, Flags, Geometry, LaneByte, Mode, PSUM_SLOTS, ResultOut,
    RowControl, SEGMENT_LANES,
};
use crate::block::{Block, Int, Uint, Visit, Visitor, low_u16};
use crate::common::{DelayLine, TapLine};
use crate::numerics::Float36;
use crate::packed_struct;

packed_struct! {
    /// A beat's control on its way to the first row's edge.
    struct Entry {
        last: bool,
        control: RowControl,
    }
}

/// The systolic array with its edges and files.
#[derive(Clone, Debug)]
pub struct SystolicArray {
    geometry: Geometry,
    pe_array: PeArray,
    control: Vec<Control>,
    rows: Vec<Row>,
    acc_data_q: Vec<Float36>,
}

/// Control lines of one segment.
#[derive(Clone, Debug)]
struct Control {
    entry: DelayLine<Entry>,
    block_rows: TapLine<BlockControl>,
    late: DelayLine<RowControl>,
    row_rows: TapLine<RowControl>,
}

/// Edges and partial-sum file of one row.
#[derive(Clone, Debug)]
struct Row {
    edges: Vec<SegmentEdge>,
    psum_file: FloatFile,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The beat's control.
    pub beat_i: Beat,
    /// One byte per lane, segment by segment.
    pub elements_i: Vec<Uint<8>>,
    /// E8M0 codes of the streamed blocks, one pair per segment.
    pub scales_i: Vec<LaneByte>,
    /// `[row][segment]`: p, or a stationary operand, of the beat of r + 2 L s cycles ago.
    pub p_i: Vec<LaneByte>,
    /// `[row][segment][lo, hi]`: exponents of the tile whose last p was on `p_i` two cycles ago.
    pub tile_exponent_i: Vec<Int<12>>,
    /// Read port of the accumulators.
    pub acc_read_i: AccRead,
    /// Clear the sticky flags of all rows.
    pub clear_flags_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// `[row][segment]`: finished GEMV and QK results.
    pub result_o: Vec<ResultOut>,
    /// Per row: the accumulator that `acc_read_i` named in the cycle before.
    pub acc_data_o: Vec<Float36>,
    /// Per row: sticky flags.
    pub flags_o: Vec<Flags>,
}

impl SystolicArray {
    /// An array after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let control = |s| Control {
            entry: DelayLine::new(1 + 2 * FLOAT_LATENCY * s),
            block_rows: TapLine::new(geometry.rows),
            late: DelayLine::new(SEGMENT_LANES),
            row_rows: TapLine::new(geometry.rows),
        };
        let row = Row {
            edges: vec![SegmentEdge::new(geometry); geometry.segments],
            psum_file: FloatFile::new(PSUM_SLOTS),
        };
        Self {
            geometry,
            pe_array: PeArray::new(geometry),
            control: (0..geometry.segments).map(control).collect(),
            rows: vec![row; geometry.rows],
            acc_data_q: vec![Float36::ZERO; geometry.rows],
        }
    }

    /// Cycles from a GEMV or QK beat to its result in row 0.
    #[must_use]
    pub const fn result_latency(geometry: Geometry) -> usize {
        SEGMENT_LANES + 4 + geometry.adders() * FLOAT_LATENCY
    }

    /// `result_o`.
    pub fn results(&self) -> impl Iterator<Item = ResultOut> {
        self.rows.iter().flat_map(|row| row.edges.iter().map(|edge| edge.outputs().result_o))
    }

    /// `acc_data_o`.
    #[must_use]
    pub fn acc_data(&self) -> &[Float36] {
        &self.acc_data_q
    }

    /// `flags_o`.
    pub fn flags(&self) -> impl Iterator<Item = Flags> {
        self.rows.iter().map(|row| {
            let edges = || row.edges.iter().map(|edge| edge.outputs().flags_o);
            Flags { nan_scale: edges().any(|f| f.nan_scale), saturated: edges().any(|f| f.saturated) }
        })
    }

    fn clock_rows(&mut self, i: &Inputs) {
        let segments = self.geometry.segments;
        for (r, row) in self.rows.iter_mut().enumerate() {
            let acc = &i.acc_read_i;
            let segment = usize::from(acc.segment.0);
            self.acc_data_q[r] = if acc.valid && segment < segments {
                row.edges[segment].result_data(acc.chain, usize::from(acc.address.0))
            } else {
                Float36::ZERO
            };
            let end = row.edges[segments - 1].outputs();
            let partial = row.psum_file.read(usize::from(row.edges[0].outputs().partial_slot_o.0));
            // From right to left, so that every edge still sees the old output of the one to its left.
            for s in (0..segments).rev() {
                let exponents = &i.tile_exponent_i[2 * (r * segments + s)..][..2];
                let inputs = segment_edge::Inputs {
                    segment_i: Uint(low_u16(s as u64)),
                    drained_i: self.pe_array.drained(r, s),
                    scale_load_i: self.pe_array.scale_load(r, s),
                    row_control_i: self.control[s].row_rows.tap(r),
                    block_control_i: self.control[s].block_rows.tap(r),
                    tile_exponent_i: [exponents[0], exponents[1]],
                    ripple_i: if s == 0 { Float36::ZERO } else { row.edges[s - 1].outputs().ripple_o },
                    partial_i: if s == 0 { partial } else { Float36::ZERO },
                    result_chain_i: acc.chain,
                    result_address_i: acc.address,
                    clear_flags_i: i.clear_flags_i,
                };
                row.edges[s].clock(&inputs);
            }
            if end.partial_write_o {
                row.psum_file.write(usize::from(end.result_o.slot.0), end.ripple_o);
            }
        }
    }
}

impl Block for SystolicArray {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        let Geometry { rows, segments, .. } = self.geometry;
        Inputs {
            elements_i: vec![Uint(0); self.geometry.lanes()],
            scales_i: vec![LaneByte::default(); segments],
            p_i: vec![LaneByte::default(); rows * segments],
            tile_exponent_i: vec![Int(0); 2 * rows * segments],
            ..Inputs::default()
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            result_o: self.results().collect(),
            acc_data_o: self.acc_data().to_vec(),
            flags_o: self.flags().collect(),
        }
    }

    fn clock(&mut self, i: &Inputs) {
        // Edges read the PEs' and the control lines' old registers, so they go first.
        self.clock_rows(i);
        self.pe_array.clock(i.beat_i.pe, i.beat_i.segment.int8, &i.elements_i, &i.p_i);
        let entry_last = i.beat_i.pe.mode == Mode::Pv && i.beat_i.pe.last;
        for (s, line) in self.control.iter_mut().enumerate() {
            let now = line.entry.output();
            line.row_rows.clock(line.late.output());
            line.late.clock(now.control);
            line.block_rows.clock(BlockControl { last: now.last, tag: now.control.tag });
            line.entry.clock(Entry {
                last: entry_last,
                control: RowControl { tag: i.beat_i.segment, scale: i.scales_i[s] },
            });
        }
    }

    fn depth(&self, path: &str) -> Option<u64> {
        depth(path)
    }

    fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        let old = std::mem::replace(self, fresh);
        for (row, old) in self.rows.iter_mut().zip(old.rows) {
            row.psum_file = old.psum_file;
            for (edge, mut old) in row.edges.iter_mut().zip(old.edges) {
                old.reset();
                *edge = old;
            }
        }
    }
}

/// Cycles from the beat port to a register of a PE, a drain or an edge (there: of a GEMV or QK beat).
fn depth(path: &str) -> Option<u64> {
    // `name[7].` anywhere in the path.
    let index = |name: &str| -> Option<u64> {
        let rest = &path[path.find(&format!("{name}["))? + name.len() + 1..];
        rest[..rest.find(']')?].parse().ok()
    };
    let skew = index("gen_row")? + (2 * FLOAT_LATENCY) as u64 * index("gen_segment")?;
    let edge = (SEGMENT_LANES + 2) as u64;
    let adder = |start: u64, register: &str| Some(start + FloatAdd::stage(register)?);
    let (_, register) = path.rsplit_once('.')?;
    let stage = if path.contains(".u_pe.") {
        1 + index("gen_lane")?
    } else if path.contains(".u_drain.") {
        edge - 1
    } else if path.contains(".u_lo_add.") {
        adder(edge + 2, register)?
    } else if path.contains(".u_hi_add.") {
        adder(edge + 2 + FLOAT_LATENCY as u64, register)?
    } else if register.ends_with("_sum_q") {
        edge
    } else if register.ends_with("_float_q") {
        edge + 1
    } else {
        return None;
    };
    Some(stage + skew)
}

impl Visit for SystolicArray {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_pe_array", None);
        self.pe_array.visit(v);
        v.leave();
        for (s, line) in self.control.iter_mut().enumerate() {
            v.enter("gen_control", Some(s));
            v.enter("u_entry", None);
            line.entry.visit(v);
            v.leave();
            v.enter("u_block_rows", None);
            line.block_rows.visit(v);
            v.leave();
            v.enter("u_late", None);
            line.late.visit(v);
            v.leave();
            v.enter("u_row_rows", None);
            line.row_rows.visit(v);
            v.leave();
            v.leave();
        }
        for (r, row) in self.rows.iter_mut().enumerate() {
            v.enter("gen_row", Some(r));
            for (s, edge) in row.edges.iter_mut().enumerate() {
                v.enter("gen_segment", Some(s));
                v.enter("u_edge", None);
                edge.visit(v);
                v.leave();
                v.leave();
            }
            v.enter("u_psum_file", None);
            row.psum_file.visit(v);
            v.leave();
            v.leave();
        }
        v.packed("acc_data_q", &mut self.acc_data_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("beat_i", &mut self.beat_i);
        v.packed("elements_i", &mut self.elements_i);
        v.packed("scales_i", &mut self.scales_i);
        v.packed("p_i", &mut self.p_i);
        v.packed("tile_exponent_i", &mut self.tile_exponent_i);
        v.bits("acc_read_i", &mut self.acc_read_i);
        v.bits("clear_flags_i", &mut self.clear_flags_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("result_o", &mut self.result_o);
        v.packed("acc_data_o", &mut self.acc_data_o);
        v.packed("flags_o", &mut self.flags_o);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::types::PeTag;
    use crate::image::{fields, pack};

    /// Sends one marked beat through the array and sees which registers change when.
    #[test]
    fn depth_says_when_a_beat_reaches_a_register() {
        let geometry = Geometry::ALL[0];
        let mut array = SystolicArray::new(geometry);
        let mut before = Vec::new();
        let names = fields(&mut array).registers;
        let mut inputs = array.idle_inputs();
        inputs.beat_i.pe = PeTag { mode: Mode::Gemv, ..PeTag::default() };
        pack(&mut array, &mut before);
        let mut seen = 0;
        for cycle in 0..60 {
            array.clock(&inputs);
            inputs = array.idle_inputs();
            let mut after = Vec::new();
            pack(&mut array, &mut after);
            for field in &names {
                let bytes = field.offset..field.offset + field.bytes();
                let first = before[bytes.clone()] != after[bytes];
                let tells = [".u_pe.tag_q", ".u_drain."].iter().any(|n| field.path.contains(n));
                if first && tells {
                    let entered =
                        cycle - depth(&field.path).unwrap_or_else(|| panic!("{} has a depth", field.path));
                    assert!(entered <= 1, "{} changed in cycle {cycle}", field.path);
                    seen += 1;
                }
            }
            before = after;
        }
        assert!(seen >= 512 + 16, "{seen} registers changed");
    }
}
