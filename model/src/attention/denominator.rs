// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/denominator.sv`.

use super::types::TileSum;
use crate::array::float_add::FloatAdd;
use crate::array::int_to_float::int_to_float;
use crate::array::types::{BlockSum, FLOAT_LATENCY};
use crate::block::{Int, Uint, Visit, Visitor, low_u16};
use crate::numerics::Float36;
use crate::packed_struct;

packed_struct! {
    /// Control of one tile sum on its way through the adder.
    struct SumControl {
        valid: bool,
        acc_first: bool,
        acc_bank: bool,
        row: Uint<5>,
    }
}

/// Control stage beside the adder's inputs.
const ADD: usize = 1;
/// Control stage beside the adder's output.
const LAST: usize = ADD + FLOAT_LATENCY;

/// Denominators of the rows of one segment.
#[derive(Clone, Debug)]
pub struct Denominator {
    rows: usize,
    number_q: BlockSum,
    control_q: [SumControl; LAST + 1],
    float_q: Float36,
    add: FloatAdd,
    /// Of bank 0, then of bank 1.
    denominator_q: Vec<Float36>,
}

impl Denominator {
    /// After reset.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self {
            rows,
            number_q: BlockSum::default(),
            control_q: Default::default(),
            float_q: Float36::ZERO,
            add: FloatAdd::default(),
            denominator_q: vec![Float36::ZERO; 2 * rows],
        }
    }

    /// A row's denominator.
    #[must_use]
    pub fn read(&self, bank: bool, row: usize) -> Float36 {
        self.denominator_q[usize::from(bank) * self.rows + row]
    }

    fn at(&self, control: SumControl) -> usize {
        usize::from(control.acc_bank) * self.rows + usize::from(control.row.0)
    }

    /// Advances by one clock.
    pub fn advance(&mut self, tile_sums: impl Iterator<Item = TileSum>) {
        let ends = self.control_q[LAST];
        let begins = self.control_q[ADD];
        let stored = if begins.valid && !begins.acc_first {
            self.denominator_q[self.at(begins)]
        } else {
            Float36::ZERO
        };
        if ends.valid {
            let at = self.at(ends);
            self.denominator_q[at] = self.add.sum().value;
        }
        self.add.advance(self.float_q, stored);
        self.float_q = int_to_float(self.number_q).value;

        self.control_q.copy_within(..LAST, 1);
        self.control_q[0] = SumControl::default();
        self.number_q = BlockSum::default();
        for (row, sum) in tile_sums.enumerate().filter(|(_, sum)| sum.valid) {
            self.number_q = BlockSum { number: Int(i32::from(sum.number.0)), exponent: Int(sum.exponent.0) };
            let TileSum { acc_first, acc_bank, .. } = sum;
            self.control_q[0] =
                SumControl { valid: true, acc_first, acc_bank, row: Uint(low_u16(row as u64)) };
        }
    }
}

impl Visit for Denominator {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("number_q", &mut self.number_q);
        v.array("control_q", &mut self.control_q);
        v.bits("float_q", &mut self.float_q);
        v.enter("u_add", None);
        self.add.visit(v);
        v.leave();
        v.packed("denominator_q", &mut self.denominator_q);
    }
}
