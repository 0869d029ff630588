// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_lanes.sv`.

use super::types::{FUNCTION_LATENCY, LaneOp, PRODUCT_LATENCY, VectorWord};
use super::vector_lane::{self, VectorLane};
use crate::array::types::FLOAT_LATENCY;
use crate::block::{Block, Visit, Visitor, Wide};
use crate::control::types::GROUP_FLOATS;
use crate::numerics::Float36;

/// Cycles to the result of a gate: the longest way.
const GATED: usize = 3 * PRODUCT_LATENCY + 2 * FUNCTION_LATENCY + FLOAT_LATENCY;

/// Cycles from a word to its y.
#[must_use]
pub const fn latency(op: LaneOp) -> usize {
    match op {
        LaneOp::Copy => 1,
        LaneOp::Add => FLOAT_LATENCY,
        LaneOp::Scale => 2 * PRODUCT_LATENCY,
        LaneOp::Rotate => 3 * PRODUCT_LATENCY + 1 + FLOAT_LATENCY,
        _ => GATED,
    }
}

/// Whether squares come behind the results.
const fn squares(op: LaneOp) -> bool {
    matches!(op, LaneOp::Copy | LaneOp::Add)
}

/// 16 lanes and the tags of the words in them.
#[derive(Clone, Debug, Default)]
pub struct VectorLanes {
    op_q: LaneOp,
    /// A word is in element i i + 1 cycles after it came.
    tag_q: [VectorWord; GATED],
    lanes: [VectorLane; GROUP_FLOATS],
    /// No registers. Clocks since the last word, at most [`VectorLane::SETTLED`]: from there on every register stays as it is,
    /// because the lanes have no loops and have had nothing but zeros.
    quiet: u8,
    /// Clocks since op changed, at most [`VectorLane::SETTLED`].
    steady: u8,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// What is made of the words.
    pub op_i: LaneOp,
    /// A word.
    pub word_i: VectorWord,
    /// First operands, binary32.
    pub a_i: [Wide<32>; GROUP_FLOATS],
    /// Second operands.
    pub b_i: [Wide<32>; GROUP_FLOATS],
    /// Cosines.
    pub cos_i: [Wide<32>; GROUP_FLOATS],
    /// Sines.
    pub sin_i: [Wide<32>; GROUP_FLOATS],
    /// Factor of the whole word.
    pub scale_i: Float36,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The word whose results come out.
    pub word_o: VectorWord,
    /// Results.
    pub y_o: [Float36; GROUP_FLOATS],
    /// The word whose squares come out.
    pub square_word_o: VectorWord,
    /// Squares of results.
    pub square_o: [Float36; GROUP_FLOATS],
    /// There are words in the lanes.
    pub busy_o: bool,
}

impl VectorLanes {
    /// Stages in which there may be a word.
    const fn stages(op: LaneOp) -> usize {
        latency(op) + if squares(op) { PRODUCT_LATENCY } else { 0 }
    }

    /// The word whose results come out.
    #[must_use]
    pub fn word(&self) -> VectorWord {
        self.tag_q[latency(self.op_q) - 1]
    }

    /// The word whose squares come out.
    #[must_use]
    pub fn square_word(&self) -> VectorWord {
        if squares(self.op_q) { self.tag_q[Self::stages(self.op_q) - 1] } else { VectorWord::default() }
    }

    /// There are words in the lanes.
    #[must_use]
    pub fn busy(&self) -> bool {
        usize::from(self.quiet) < GATED && self.tag_q.iter().any(|tag| tag.valid)
    }
}

impl Block for VectorLanes {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            word_o: self.word(),
            y_o: std::array::from_fn(|k| self.lanes[k].y()),
            square_word_o: self.square_word(),
            square_o: std::array::from_fn(|k| self.lanes[k].square()),
            busy_o: self.busy(),
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let valid = i.word_i.valid;
        if !valid && self.quiet == VectorLane::SETTLED {
            return;
        }
        self.quiet = if valid { 0 } else { self.quiet + 1 };
        let op = if valid { i.op_i } else { self.op_q };
        let known = !matches!(op, LaneOp::Reserved5 | LaneOp::Reserved6 | LaneOp::Reserved7);
        assert!(!valid || (known && (op == self.op_q || !self.busy())), "INV_LANES_1");
        let before = self.tag_q[0];
        let awaited = self.op_q == LaneOp::Rotate && before.valid && !before.hi;
        assert!(awaited == (op == LaneOp::Rotate && valid && i.word_i.hi), "INV_LANES_2");

        // As in the RTL the tags end where the present operation's stages do.
        let stages = Self::stages(self.op_q);
        self.tag_q.copy_within(..stages - 1, 1);
        self.tag_q[stages..].fill(VectorWord::default());
        self.tag_q[0] = if valid { i.word_i } else { VectorWord::default() };

        self.steady = if op == self.op_q { (self.steady + 1).min(VectorLane::SETTLED) } else { 0 };
        let settled = self.steady == VectorLane::SETTLED;
        self.op_q = op;
        let mut operands = vector_lane::Inputs { op_i: op, ..vector_lane::Inputs::default() };
        if valid {
            operands.hi_i = i.word_i.hi;
            operands.scale_i = i.scale_i;
        }
        for (k, lane) in self.lanes.iter_mut().enumerate() {
            if valid {
                (operands.a_i, operands.b_i) = (i.a_i[k], i.b_i[k]);
                (operands.cos_i, operands.sin_i) = (i.cos_i[k], i.sin_i[k]);
            }
            lane.advance(&operands, settled);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for VectorLanes {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("op_q", &mut self.op_q);
        v.array("tag_q", &mut self.tag_q);
        for (k, lane) in self.lanes.iter_mut().enumerate() {
            v.enter("gen_lane", Some(k));
            v.enter("u_lane", None);
            lane.visit(v);
            v.leave();
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("op_i", &mut self.op_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("a_i", &mut self.a_i);
        v.packed("b_i", &mut self.b_i);
        v.packed("cos_i", &mut self.cos_i);
        v.packed("sin_i", &mut self.sin_i);
        v.bits("scale_i", &mut self.scale_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("word_o", &mut self.word_o);
        v.packed("y_o", &mut self.y_o);
        v.bits("square_word_o", &mut self.square_word_o);
        v.packed("square_o", &mut self.square_o);
        v.bits("busy_o", &mut self.busy_o);
    }
}
