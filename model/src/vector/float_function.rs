// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/float_function.sv`: the four steps of [`crate::numerics::vector::evaluate`] between registers.

use super::types::{FUNCTION_LATENCY, Function};
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::numerics::Float36;
use crate::numerics::vector::evaluate::{self, Line, Prepared, Value};
use crate::packed_struct;

/// Reciprocal, root and power of latency 4.
#[derive(Clone, Debug, Default)]
pub struct FloatFunction {
    prepared_q: Prepared,
    line_q: Line,
    value_q: Value,
    result_q: Float36,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// What is computed.
    pub function_i: Function,
    /// Of what.
    pub value_i: Float36,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The function of the value of four cycles ago.
    pub result_o: Float36,
}

impl FloatFunction {
    /// Cycles from value to result.
    pub const LATENCY: usize = FUNCTION_LATENCY;

    /// The function of the value of four cycles ago.
    #[must_use]
    #[inline]
    pub fn result(&self) -> Float36 {
        self.result_q
    }

    /// Advances by one clock.
    #[inline]
    pub fn advance(&mut self, function: Function, value: Float36) {
        self.result_q = evaluate::round(self.value_q);
        self.value_q = evaluate::value(self.line_q);
        self.line_q = evaluate::look_up(self.prepared_q);
        self.prepared_q = evaluate::prepare(function, value);
    }
}

impl Block for FloatFunction {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { result_o: self.result_q }
    }

    fn clock(&mut self, inputs: &Inputs) {
        self.advance(inputs.function_i, inputs.value_i);
    }

    fn depth(&self, path: &str) -> Option<u64> {
        let stages = [("prepared_q", 0), ("line_q", 1), ("start_q", 1), ("value_q", 2), ("result_q", 3)];
        stages.iter().find(|(name, _)| path == *name).map(|&(_, stage)| stage)
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

packed_struct! {
    struct PreparedBits {
        largest: bool,
        negative: bool,
        exponent: Uint<12>,
        entry: Uint<9>,
        place: Wide<18>,
    }
}

packed_struct! {
    struct LineBits {
        largest: bool,
        negative: bool,
        falls: bool,
        exponent: Uint<12>,
        slope: Wide<22>,
        place: Wide<18>,
    }
}

packed_struct! {
    struct ValueBits {
        largest: bool,
        negative: bool,
        exponent: Uint<12>,
        value: Wide<30>,
    }
}

impl Visit for FloatFunction {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        let x = self.prepared_q;
        v.bits(
            "prepared_q",
            &mut PreparedBits {
                largest: x.largest,
                negative: x.negative,
                exponent: Uint(x.exponent),
                entry: Uint(x.entry),
                place: Wide(x.place.into()),
            },
        );
        let x = self.line_q;
        v.bits(
            "line_q",
            &mut LineBits {
                largest: x.largest,
                negative: x.negative,
                falls: x.falls,
                exponent: Uint(x.exponent),
                slope: Wide(x.slope.into()),
                place: Wide(x.place.into()),
            },
        );
        v.bits("start_q", &mut Wide::<30>(x.start.into()));
        let x = self.value_q;
        v.bits(
            "value_q",
            &mut ValueBits {
                largest: x.largest,
                negative: x.negative,
                exponent: Uint(x.exponent),
                value: Wide(x.value.into()),
            },
        );
        v.bits("result_q", &mut self.result_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("function_i", &mut self.function_i);
        v.bits("value_i", &mut self.value_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("result_o", &mut self.result_o);
    }
}
