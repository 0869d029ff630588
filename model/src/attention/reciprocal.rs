// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/reciprocal.sv`: [`crate::numerics::divide::Division`] step by step.

use crate::block::{Uint, Visit, Visitor, Wide};
use crate::numerics::Float36;
use crate::numerics::divide::{BITS_PER_STEP, Division, QUOTIENT_BITS};

/// Cycles for the quotient, and one to round.
const CYCLES: u16 = 14;
const _: () = assert!(QUOTIENT_BITS / BITS_PER_STEP + 1 == CYCLES as u32);

/// Serial reciprocal: 15 cycles from `start` to the result.
#[derive(Clone, Debug, Default)]
pub struct Reciprocal {
    value_q: Float36,
    division_q: Division,
    count_q: Uint<4>,
    result_q: Float36,
}

impl Reciprocal {
    /// Nothing is being divided.
    #[must_use]
    pub fn done(&self) -> bool {
        self.count_q.0 == 0
    }

    /// The last finished reciprocal.
    #[must_use]
    pub fn result(&self) -> Float36 {
        self.result_q
    }

    /// Advances by one clock. `start` brings a value.
    pub fn advance(&mut self, start: Option<Float36>) {
        if let Some(value) = start {
            self.value_q = value;
            self.division_q = Division::start();
            self.count_q = Uint(CYCLES);
            return;
        }
        match self.count_q.0 {
            0 => return,
            1 => self.result_q = self.division_q.round(self.value_q),
            _ => self.division_q = self.division_q.step(self.value_q),
        }
        self.count_q.0 -= 1;
    }
}

impl Visit for Reciprocal {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("value_q", &mut self.value_q);
        v.bits("remainder_q", &mut Wide::<24>(self.division_q.remainder));
        v.bits("quotient_q", &mut Wide::<26>(self.division_q.quotient));
        v.bits("count_q", &mut self.count_q);
        v.bits("result_q", &mut self.result_q);
    }
}
