// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/normaliser.sv`.

use super::denominator::Denominator;
use super::reciprocal::Reciprocal;
use super::types::{Attended, HeadEnd, NormaliserFlags, TileSum};
use crate::array::Geometry;
use crate::array::float_add::FloatAdd;
use crate::array::float_multiply::FloatMultiply;
use crate::array::types::{AccRead, FLOAT_LATENCY};
use crate::block::{Bits, Block, Format, Uint, Visit, Visitor, Wide, low_u16};
use crate::common::DelayLine;
use crate::numerics::Float36;
use crate::numerics::multiply::BINARY32;

/// What is being done for the oldest head whose reads have not begun.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum State {
    #[default]
    Wait,
    Total,
    Divide,
}

impl Bits for State {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&["StateWait", "StateTotal", "StateDivide"]);
    #[inline]
    fn to_bits(self) -> u64 {
        match self {
            Self::Wait => 0,
            Self::Total => 1,
            Self::Divide => 2,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::Wait,
            1 => Self::Total,
            _ => Self::Divide,
        }
    }
}

/// Stage of `attended_q` beside the adders' inputs.
const ADD: usize = 0;
/// Stage of `attended_q` beside the results.
const LAST: usize = ADD + FLOAT_LATENCY + FloatMultiply::LATENCY;

/// One row: adder, reciprocal, multiplier.
#[derive(Clone, Debug)]
struct Row {
    add: FloatAdd,
    reciprocal: Reciprocal,
    multiply: FloatMultiply,
}

impl Row {
    fn new() -> Self {
        let multiply = FloatMultiply::new(BINARY32);
        Self { add: FloatAdd::default(), reciprocal: Reciprocal::default(), multiply }
    }
}

/// Divides a head's accumulators by its denominators.
#[derive(Clone, Debug)]
pub struct Normaliser {
    geometry: Geometry,
    pending_q: [HeadEnd; 2],
    /// Rows of the first pending head, then of the second.
    rows_q: Vec<bool>,
    wait_q: [Uint<7>; 2],
    state_q: State,
    count_q: Uint<2>,
    reading_q: HeadEnd,
    read_q: Uint<7>,
    attended_q: [Attended; LAST + 1],
    grouped_q: bool,
    done: DelayLine<HeadEnd>,
    first: DelayLine<bool>,
    segments: Vec<Denominator>,
    held_q: Vec<Float36>,
    inverse_q: Vec<Float36>,
    rows: Vec<Row>,
    flags_q: Vec<NormaliserFlags>,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// Sums of the tiles' p: `[row][segment]`.
    pub tile_sum_i: Vec<TileSum>,
    /// The last beat of a head was issued.
    pub head_end_i: HeadEnd,
    /// Its rows in use.
    pub rows_i: Vec<bool>,
    /// The accumulators read in the cycle before.
    pub acc_data_i: Vec<Float36>,
    /// There is room for the results of a whole head.
    pub out_ready_i: bool,
    /// Clear the sticky flags.
    pub clear_flags_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Accumulator to read in all rows.
    pub acc_read_o: AccRead,
    /// What `values_o` are.
    pub attended_o: Attended,
    /// Results of the rows, binary32.
    pub values_o: Vec<Wide<32>>,
    /// In the cycle after the last result of a head.
    pub head_done_o: HeadEnd,
    /// Sticky flags of the rows.
    pub flags_o: Vec<NormaliserFlags>,
}

/// A read of the accumulators and where its result belongs.
struct Read {
    access: AccRead,
    attended: Attended,
}

impl Normaliser {
    /// Sticky flags of the rows.
    #[must_use]
    pub fn flags(&self) -> &[NormaliserFlags] {
        &self.flags_q
    }

    /// All outputs but the flags.
    #[must_use]
    pub fn handed(&self) -> Outputs {
        Outputs {
            acc_read_o: self.acc_read(),
            attended_o: self.attended_q[LAST],
            values_o: self.rows.iter().map(|row| Wide(row.multiply.clamped().bits)).collect(),
            head_done_o: self.head_done(),
            flags_o: Vec::new(),
        }
    }

    /// After reset.
    ///
    /// # Panics
    /// When the geometry has more than two segments.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        assert!(geometry.segments <= 2, "a head of more than two groups is not supported");
        Self {
            geometry,
            pending_q: Default::default(),
            rows_q: vec![false; 2 * geometry.rows],
            wait_q: Default::default(),
            state_q: State::Wait,
            count_q: Uint(0),
            reading_q: HeadEnd::default(),
            read_q: Uint(0),
            attended_q: Default::default(),
            grouped_q: false,
            done: DelayLine::new(LAST + 2),
            first: DelayLine::new(ADD + FLOAT_LATENCY),
            segments: vec![Denominator::new(geometry.rows); geometry.segments],
            held_q: vec![Float36::ZERO; geometry.rows],
            inverse_q: vec![Float36::ZERO; geometry.rows],
            rows: vec![Row::new(); geometry.rows],
            flags_q: vec![NormaliserFlags::default(); geometry.rows],
        }
    }

    /// Cycles from the end of a head to its last denominator, with those of the accumulators to spare.
    #[must_use]
    pub const fn wait(geometry: Geometry) -> usize {
        20 + geometry.rows + 2 * FLOAT_LATENCY * (geometry.segments - 1)
    }

    /// `acc_read_o`.
    #[must_use]
    pub fn acc_read(&self) -> AccRead {
        self.read().map_or_else(AccRead::default, |read| read.access)
    }

    /// `head_done_o`.
    #[must_use]
    pub fn head_done(&self) -> HeadEnd {
        self.done.output()
    }

    /// The head has a sum in each segment.
    fn grouped(&self, head: HeadEnd) -> bool {
        self.geometry.segments == 2 && !head.int8 && !head.wide
    }

    /// The denominators of the head that is worked on are final and have not been taken.
    fn ready(&self) -> bool {
        self.state_q == State::Wait && self.pending_q[0].valid && self.wait_q[0].0 == 0
    }

    /// Numerators are at the adders.
    fn add_busy(&self) -> bool {
        self.attended_q[ADD].valid
    }

    /// The read of this cycle. None while one waits, for denominators that need the adders.
    fn read(&self) -> Option<Read> {
        if !self.reading_q.valid || (self.ready() && self.add_busy()) {
            return None;
        }
        let head = self.reading_q;
        let grouped = self.grouped(head);
        let reads = if grouped || head.wide { 128 } else { 64 };
        let count = self.read_q.0;
        let bit = |n: u16, at: u16| n >> at & 1 == 1;
        let (block, lane) = if grouped { (count >> 6, count >> 1 & 31) } else { (count >> 5, count & 31) };
        let (part, segment, chain) = if self.geometry.segments == 1 {
            (bit(block, 1), false, bit(block, 0))
        } else if grouped {
            (false, bit(count, 0), bit(block, 0))
        } else if head.int8 {
            (false, bit(block, 0), bit(block, 1))
        } else {
            (false, bit(block, 1), bit(block, 0))
        };
        let bank = u16::from(head.acc_bank);
        let address = if self.geometry.chain_parts() == 1 {
            bank << 5 | lane
        } else {
            bank << 6 | u16::from(part) << 5 | lane
        };
        Some(Read {
            access: AccRead { valid: true, segment: Uint(u16::from(segment)), chain, address: Uint(address) },
            attended: Attended {
                valid: !grouped || segment,
                last: count == reads - 1,
                head: head.head,
                block: Uint(block),
                lane: Uint(lane),
            },
        })
    }

    /// Takes the oldest head off the queue and a new one on.
    fn queue(&mut self, take: bool, i: &Inputs) {
        let rows = self.geometry.rows;
        for wait in &mut self.wait_q {
            wait.0 = wait.0.saturating_sub(1);
        }
        if take {
            self.pending_q = [self.pending_q[1], HeadEnd::default()];
            self.rows_q.copy_within(rows.., 0);
            self.rows_q[rows..].fill(false);
            self.wait_q = [self.wait_q[1], Uint(0)];
        }
        if i.head_end_i.valid {
            let at = usize::from(self.pending_q[0].valid);
            self.pending_q[at] = i.head_end_i;
            self.rows_q[at * rows..(at + 1) * rows].copy_from_slice(&i.rows_i);
            self.wait_q[at] = Uint(low_u16(Self::wait(self.geometry) as u64 - 1));
        }
    }
}

impl Block for Normaliser {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        let Geometry { rows, segments, .. } = self.geometry;
        Inputs {
            tile_sum_i: vec![TileSum::default(); rows * segments],
            rows_i: vec![false; rows],
            acc_data_i: vec![Float36::ZERO; rows],
            ..Inputs::default()
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs { flags_o: self.flags_q.clone(), ..self.handed() }
    }

    fn clock(&mut self, i: &Inputs) {
        let head = self.pending_q[0];
        let grouped = self.grouped(head);
        let read = self.read();
        let add_busy = self.add_busy();
        let last_read = read.as_ref().is_some_and(|read| read.attended.last);

        // ---- steps up to the reads ----
        let begin = self.ready() && !add_busy;
        let start = self.state_q == State::Total && self.count_q.0 == 0;
        let divided = self.state_q == State::Divide && self.rows.iter().all(|row| row.reciprocal.done());
        let take = divided && i.out_ready_i && (!self.reading_q.valid || last_read);
        match self.state_q {
            State::Wait if begin => {
                self.count_q = Uint(low_u16(FLOAT_LATENCY as u64 - 1));
                self.state_q = State::Total;
            }
            State::Total if start => self.state_q = State::Divide,
            State::Total => self.count_q.0 -= 1,
            State::Divide if take => self.state_q = State::Wait,
            State::Wait | State::Divide => {}
        }

        // ---- rows ----
        let copy = self.first.output();
        for (r, row) in self.rows.iter_mut().enumerate() {
            let total = row.add.sum().value;
            let used = self.rows_q[r];
            let kept = if i.clear_flags_i { NormaliserFlags::default() } else { self.flags_q[r] };
            self.flags_q[r] = NormaliserFlags {
                empty: kept.empty || (start && used && total.is_zero()),
                overflow: kept.overflow || row.multiply.clamped().saturated,
            };
            let last_segment = self.segments.len() - 1;
            let zero = Float36::ZERO;
            let (a, b) = if begin {
                let group = if grouped { self.segments[last_segment].read(head.acc_bank, r) } else { zero };
                (self.segments[0].read(head.acc_bank, r), group)
            } else if add_busy && self.grouped_q {
                (self.held_q[r], i.acc_data_i[r])
            } else if add_busy {
                (i.acc_data_i[r], zero)
            } else {
                (zero, zero)
            };
            let wanted = self.attended_q[ADD + FLOAT_LATENCY].valid;
            row.multiply.advance(total, if wanted { self.inverse_q[r] } else { zero });
            if copy {
                self.inverse_q[r] = row.reciprocal.result();
            }
            row.reciprocal.advance(start.then_some(if used { total } else { zero }));
            row.add.advance(a, b);
        }
        self.held_q.copy_from_slice(&i.acc_data_i);

        // ---- what goes with the data ----
        self.attended_q.copy_within(..LAST, 1);
        self.attended_q[0] = read.as_ref().map_or_else(Attended::default, |read| read.attended);
        self.grouped_q = read.is_some() && self.grouped(self.reading_q);
        self.done.clock(if last_read { self.reading_q } else { HeadEnd::default() });
        self.first.clock(read.is_some() && self.read_q.0 == 0);

        // ---- reads ----
        if read.is_some() {
            self.read_q.0 = (self.read_q.0 + 1) % 128;
        }
        if last_read {
            self.reading_q = HeadEnd::default();
        }
        if take {
            self.read_q = Uint(0);
            self.reading_q = head;
        }

        let segments = self.segments.len();
        for (s, segment) in self.segments.iter_mut().enumerate() {
            segment.advance(i.tile_sum_i.iter().skip(s).step_by(segments).copied());
        }
        self.queue(take, i);
    }

    fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

impl Visit for Normaliser {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("pending_q", &mut self.pending_q);
        v.packed("rows_q", &mut self.rows_q);
        v.array("wait_q", &mut self.wait_q);
        v.bits("state_q", &mut self.state_q);
        v.bits("count_q", &mut self.count_q);
        v.bits("reading_q", &mut self.reading_q);
        v.bits("read_q", &mut self.read_q);
        v.array("attended_q", &mut self.attended_q);
        v.bits("grouped_q", &mut self.grouped_q);
        v.enter("u_done", None);
        self.done.visit(v);
        v.leave();
        v.enter("u_first", None);
        self.first.visit(v);
        v.leave();
        for (s, segment) in self.segments.iter_mut().enumerate() {
            v.enter("gen_segment", Some(s));
            v.enter("u_denominator", None);
            segment.visit(v);
            v.leave();
            v.leave();
        }
        v.packed("held_q", &mut self.held_q);
        v.packed("inverse_q", &mut self.inverse_q);
        for (r, row) in self.rows.iter_mut().enumerate() {
            v.enter("gen_row", Some(r));
            v.enter("u_add", None);
            row.add.visit(v);
            v.leave();
            v.enter("u_reciprocal", None);
            row.reciprocal.visit(v);
            v.leave();
            v.enter("u_multiply", None);
            row.multiply.visit(v);
            v.leave();
            v.leave();
        }
        v.packed("flags_q", &mut self.flags_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("tile_sum_i", &mut self.tile_sum_i);
        v.bits("head_end_i", &mut self.head_end_i);
        v.packed("rows_i", &mut self.rows_i);
        v.packed("acc_data_i", &mut self.acc_data_i);
        v.bits("out_ready_i", &mut self.out_ready_i);
        v.bits("clear_flags_i", &mut self.clear_flags_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("acc_read_o", &mut self.acc_read_o);
        v.bits("attended_o", &mut self.attended_o);
        v.packed("values_o", &mut self.values_o);
        v.bits("head_done_o", &mut self.head_done_o);
        v.packed("flags_o", &mut self.flags_o);
    }
}
