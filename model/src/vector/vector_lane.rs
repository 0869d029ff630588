// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_lane.sv`.

use super::float_function::FloatFunction;
use super::types::{FUNCTION_LATENCY, Function, LaneOp, PRODUCT_LATENCY};
use crate::array::float_add::FloatAdd;
use crate::array::float_multiply::FloatMultiply;
use crate::array::types::FLOAT_LATENCY;
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::common::TapLine;
use crate::numerics::Float36;
use crate::numerics::vector::MINUS_LOG2_E;

/// Stage in which a z is beside the z before it.
const TURNED: usize = 2 * PRODUCT_LATENCY + 1;
/// Stage of the products of z with cosine and sine.
const PRODUCTS: usize = TURNED + PRODUCT_LATENCY;
/// Stage of the quotient of a gate.
const QUOTIENT: usize = PRODUCT_LATENCY + 2 * FUNCTION_LATENCY + FLOAT_LATENCY;
/// Bits of `hi_q`.
const HI_BITS: u32 = 7;

/// One lane of the vector unit.
#[derive(Clone, Debug)]
pub struct VectorLane {
    op_q: LaneOp,
    copy_q: Float36,
    hi_q: Uint<HI_BITS>,
    b_q: [Wide<32>; PRODUCT_LATENCY],
    z_q: [Float36; 2],
    first: FloatMultiply,
    second: FloatMultiply,
    third: FloatMultiply,
    fourth: FloatMultiply,
    add: FloatAdd,
    power: FloatFunction,
    reciprocal: FloatFunction,
    /// {sin, cos} or {b, a}.
    late: TapLine<Wide<64>>,
}

/// Input ports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Inputs {
    /// What is made of the operands.
    pub op_i: LaneOp,
    /// Rotation: the second of a pair.
    pub hi_i: bool,
    /// First operand, binary32.
    pub a_i: Wide<32>,
    /// Second operand.
    pub b_i: Wide<32>,
    /// Cosine.
    pub cos_i: Wide<32>,
    /// Sine.
    pub sin_i: Wide<32>,
    /// Factor.
    pub scale_i: Float36,
}

/// Output ports.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Result.
    pub y_o: Float36,
    /// Its square, two cycles later (Copy, Add).
    pub square_o: Float36,
}

/// -x; of 0 it is 0.
fn negated(x: Float36) -> Float36 {
    const SIGN: u64 = 1 << 35;
    if x.is_zero() { x } else { Float36::canonical(x.bits() ^ SIGN) }
}

/// The float of a binary32 number in the low bits.
#[inline]
pub(super) fn widen(bits: u64) -> Float36 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    Float36::widen(u32::from_le_bytes([a, b, c, d]))
}

impl Default for VectorLane {
    fn default() -> Self {
        Self {
            op_q: LaneOp::Copy,
            copy_q: Float36::ZERO,
            hi_q: Uint(0),
            b_q: [Wide(0); PRODUCT_LATENCY],
            z_q: [Float36::ZERO; 2],
            first: FloatMultiply::default(),
            second: FloatMultiply::default(),
            third: FloatMultiply::default(),
            fourth: FloatMultiply::default(),
            add: FloatAdd::default(),
            power: FloatFunction::default(),
            reciprocal: FloatFunction::default(),
            late: TapLine::new(QUOTIENT),
        }
    }
}

impl VectorLane {
    /// Cycles after which nothing changes any more while op and operands stay: more than any path through the lane is long.
    pub const SETTLED: u8 = 32;

    /// Result.
    #[must_use]
    #[inline]
    pub fn y(&self) -> Float36 {
        match self.op_q {
            LaneOp::Copy => self.copy_q,
            LaneOp::Add | LaneOp::Rotate => self.add.sum().value,
            LaneOp::Scale => self.second.product().value,
            LaneOp::Gate => self.third.product().value,
            _ => Float36::ZERO,
        }
    }

    /// Square of the result of two cycles ago.
    #[must_use]
    #[inline]
    pub fn square(&self) -> Float36 {
        self.fourth.product().value
    }

    /// Advances by one clock. `settled` says that op has been the same for [`Self::SETTLED`] clocks: what it does not use has
    /// come to rest on its zeros and need not be computed.
    #[inline]
    pub fn advance(&mut self, i: &Inputs, settled: bool) {
        let op = i.op_i;
        let wires = self.wires(i);
        let used = |ops: &[LaneOp]| !settled || ops.contains(&op);
        let [copied, added] = [LaneOp::Copy, LaneOp::Add];
        let [scaled, rotated, gated] = [LaneOp::Scale, LaneOp::Rotate, LaneOp::Gate];
        self.op_q = op;
        self.copy_q = wires.copy;
        if used(&[scaled, rotated, gated]) {
            self.first.advance(wires.first.0, wires.first.1);
            self.second.advance(wires.second.0, wires.second.1);
            self.b_q.copy_within(..PRODUCT_LATENCY - 1, 1);
            self.b_q[0] = Wide(wires.b);
        }
        if used(&[rotated, gated]) {
            self.third.advance(wires.third.0, wires.third.1);
            self.late.clock(Wide(wires.late));
        }
        if used(&[copied, added, rotated]) {
            self.fourth.advance(wires.fourth.0, wires.fourth.1);
        }
        if used(&[added, rotated, gated]) {
            self.add.advance(wires.add.0, wires.add.1);
        }
        if used(&[rotated]) {
            self.hi_q = Uint(self.hi_q.0 << 1 & ((1 << HI_BITS) - 1) | u16::from(wires.hi));
            self.z_q = [wires.z, self.z_q[0]];
        }
        if used(&[gated]) {
            self.power.advance(Function::Power, wires.exponent);
            self.reciprocal.advance(Function::Reciprocal, wires.base);
        }
    }

    /// What the units and registers are given. What an operation does not use gets zeros.
    #[inline]
    fn wires(&self, i: &Inputs) -> Wires {
        let (a, b) = (|| widen(i.a_i.0), || widen(i.b_i.0));
        let (first, second) = (|| self.first.product().value, || self.second.product().value);
        let last_b = || widen(self.b_q[PRODUCT_LATENCY - 1].0);
        let y = self.y();
        match i.op_i {
            LaneOp::Copy => Wires { copy: a(), fourth: (y, y), ..Wires::default() },
            LaneOp::Add => Wires { add: (a(), b()), fourth: (y, y), ..Wires::default() },
            LaneOp::Scale => {
                Wires { first: (a(), i.scale_i), second: (first(), last_b()), b: i.b_i.0, ..Wires::default() }
            }
            LaneOp::Rotate => {
                // In the cycle in which z_q[0] is a pair's lo, its hi is `second`; in the next one z_q[0] is hi, z_q[1] lo.
                let is_hi = |stage: usize| self.hi_q.0 >> (stage - 1) & 1 == 1;
                let angle = self.late.tap(TURNED - 1).0;
                let other = if is_hi(TURNED) { self.z_q[1] } else { second() };
                let sine = self.fourth.product().value;
                let term = if is_hi(PRODUCTS) { sine } else { negated(sine) };
                Wires {
                    first: (a(), i.scale_i),
                    second: (first(), last_b()),
                    b: i.b_i.0,
                    z: second(),
                    hi: i.hi_i,
                    late: i.sin_i.0 << 32 | i.cos_i.0,
                    third: (self.z_q[0], widen(angle)),
                    fourth: (other, widen(angle >> 32)),
                    add: (self.third.product().value, term),
                    ..Wires::default()
                }
            }
            LaneOp::Gate => {
                let late = self.late.tap(QUOTIENT - 1).0;
                Wires {
                    first: (a(), Float36::widen(MINUS_LOG2_E)),
                    exponent: first(),
                    add: (self.power.result(), Float36::ONE),
                    base: self.add.sum().value,
                    late: i.b_i.0 << 32 | i.a_i.0,
                    second: (widen(late), self.reciprocal.result()),
                    b: late >> 32,
                    third: (second(), last_b()),
                    ..Wires::default()
                }
            }
            _ => Wires::default(),
        }
    }
}

/// Inputs of the units and registers of a lane.
#[derive(Default)]
struct Wires {
    copy: Float36,
    hi: bool,
    b: u64,
    z: Float36,
    late: u64,
    first: (Float36, Float36),
    second: (Float36, Float36),
    third: (Float36, Float36),
    fourth: (Float36, Float36),
    add: (Float36, Float36),
    exponent: Float36,
    base: Float36,
}

impl Block for VectorLane {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { y_o: self.y(), square_o: self.square() }
    }

    fn clock(&mut self, inputs: &Inputs) {
        self.advance(inputs, false);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for VectorLane {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("op_q", &mut self.op_q);
        v.bits("copy_q", &mut self.copy_q);
        v.bits("hi_q", &mut self.hi_q);
        v.array("b_q", &mut self.b_q);
        v.array("z_q", &mut self.z_q);
        for (name, product) in [
            ("u_first", &mut self.first),
            ("u_second", &mut self.second),
            ("u_third", &mut self.third),
            ("u_fourth", &mut self.fourth),
        ] {
            v.enter(name, None);
            product.visit(v);
            v.leave();
        }
        v.enter("u_add", None);
        self.add.visit(v);
        v.leave();
        for (name, function) in [("u_power", &mut self.power), ("u_reciprocal", &mut self.reciprocal)] {
            v.enter(name, None);
            function.visit(v);
            v.leave();
        }
        v.enter("u_late", None);
        self.late.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("op_i", &mut self.op_i);
        v.bits("hi_i", &mut self.hi_i);
        v.bits("a_i", &mut self.a_i);
        v.bits("b_i", &mut self.b_i);
        v.bits("cos_i", &mut self.cos_i);
        v.bits("sin_i", &mut self.sin_i);
        v.bits("scale_i", &mut self.scale_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("y_o", &mut self.y_o);
        v.bits("square_o", &mut self.square_o);
    }
}
