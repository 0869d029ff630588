// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/row_sums.sv`.

use super::float_function::FloatFunction;
use super::types::{FUNCTION_LATENCY, Function, PARTIAL_SUMS, PRODUCT_LATENCY, VECTOR_UNITS, VectorWord};
use super::vector_lane::widen;
use crate::array::float_add::FloatAdd;
use crate::array::float_multiply::FloatMultiply;
use crate::array::types::FLOAT_LATENCY;
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::control::types::GROUP_FLOATS;
use crate::numerics::Float36;
use crate::packed_struct;

/// Partial sums of all units.
const DEPTH: usize = VECTOR_UNITS * PARTIAL_SUMS;
const LAST_PARTIAL: u16 = 7;
const _: () = assert!(PARTIAL_SUMS == 8);
/// From this step on lanes are folded.
const FIRST_FOLD: u16 = 3;
const LAST_FOLD: u16 = 6;
/// Cycles from a unit's sum to its scale.
const SCALE_STAGES: usize = PRODUCT_LATENCY + FLOAT_LATENCY + FUNCTION_LATENCY;
/// Cycles after which nothing changes any more when nothing comes: more than any path through the block is long.
const SETTLED: u8 = 32;

packed_struct! {
    /// Where a partial sum lies.
    struct Address {
        unit: Uint<3>,
        partial: Uint<3>,
    }
}

packed_struct! {
    /// What is in the adders.
    struct SumTag {
        valid: bool,
        last: bool,
        address: Address,
    }
}

packed_struct! {
    /// A unit's sum on its way to the scale.
    struct ScaleTag {
        valid: bool,
        unit: Uint<3>,
    }
}

/// Sums of squares of units, and the scales that follow from them.
#[derive(Clone, Debug)]
pub struct RowSums {
    /// Partial sums that have been written since the last clear.
    present_q: Wide<64>,
    tag_q: [SumTag; FLOAT_LATENCY],
    scale_tag_q: [ScaleTag; SCALE_STAGES],
    active_q: bool,
    step_q: Uint<3>,
    unit_q: Uint<3>,
    partial_q: Uint<3>,
    last_unit_q: Uint<3>,
    mean_q: Wide<32>,
    eps_q: Wide<32>,
    scales_q: [Float36; VECTOR_UNITS],
    /// `[lane][address]`.
    total_q: [[Float36; DEPTH]; GROUP_FLOATS],
    written: [bool; DEPTH],
    adders: [FloatAdd; GROUP_FLOATS],
    product: FloatMultiply,
    eps: FloatAdd,
    root: FloatFunction,
    /// No register. Clocks since the last word or step of a reduction, at most [`SETTLED`]: from there on every register stays
    /// as it is.
    quiet: u8,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// All sums are +0.
    pub clear_i: bool,
    /// Squares of a word come.
    pub word_i: VectorWord,
    /// The squares.
    pub square_i: [Float36; GROUP_FLOATS],
    /// Reduce, and work out the scales.
    pub reduce_i: bool,
    /// How many units: 0 to `units_i` - 1.
    pub units_i: Uint<4>,
    /// Factor that makes a mean of a sum, binary32.
    pub mean_i: Wide<32>,
    /// What is added to the mean, binary32.
    pub eps_i: Wide<32>,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// Words or a reduction are under way.
    pub busy_o: bool,
    /// Scale of every unit.
    pub scales_o: [Float36; VECTOR_UNITS],
}

impl Address {
    fn index(self) -> usize {
        usize::from(self.unit.0) * PARTIAL_SUMS + usize::from(self.partial.0)
    }
}

impl Default for RowSums {
    fn default() -> Self {
        Self {
            present_q: Wide(0),
            tag_q: Default::default(),
            scale_tag_q: Default::default(),
            active_q: false,
            step_q: Uint(0),
            unit_q: Uint(0),
            partial_q: Uint(0),
            last_unit_q: Uint(0),
            mean_q: Wide(0),
            eps_q: Wide(0),
            scales_q: Default::default(),
            total_q: [[Float36::ZERO; DEPTH]; GROUP_FLOATS],
            written: [false; DEPTH],
            adders: Default::default(),
            product: FloatMultiply::default(),
            eps: FloatAdd::default(),
            root: FloatFunction::default(),
            quiet: 0,
        }
    }
}

impl RowSums {
    /// Words or a reduction are under way.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.quiet < SETTLED && (self.reducing() || self.coming() != 0)
    }

    /// Scale of every unit.
    #[must_use]
    pub fn scales(&self) -> &[Float36; VECTOR_UNITS] {
        &self.scales_q
    }

    /// The partial sums that are in the adders.
    fn coming(&self) -> u64 {
        let in_adders = self.tag_q.iter().filter(|tag| tag.valid);
        in_adders.fold(0, |sums, tag| sums | 1 << tag.address.index())
    }

    fn reducing(&self) -> bool {
        self.active_q || self.tag_q.iter().any(|tag| tag.last) || self.scale_tag_q.iter().any(|tag| tag.valid)
    }

    /// A partial sum of a lane, +0 if it has not been written since the last clear.
    fn stored(&self, lane: usize, at: usize) -> Float36 {
        if self.present_q.0 >> at & 1 == 1 { self.total_q[lane][at] } else { Float36::ZERO }
    }

    /// What the adders of all lanes are given. Upper lanes are folded onto lower ones.
    fn terms(
        &self,
        own: Address,
        partner: Address,
        squares: &[Float36; GROUP_FLOATS],
    ) -> [(Float36, Float36); GROUP_FLOATS] {
        let (own, partner) = (own.index(), partner.index());
        let distance = (GROUP_FLOATS / 2) >> self.step_q.0.saturating_sub(FIRST_FOLD);
        std::array::from_fn(|lane| {
            let term = if !self.active_q {
                squares[lane]
            } else if self.step_q.0 < FIRST_FOLD {
                self.stored(lane, partner)
            } else if lane < distance {
                self.stored(lane + distance, own)
            } else {
                Float36::ZERO
            };
            (self.stored(lane, own), term)
        })
    }

    /// The next sum of the reduction: partial by partial, unit by unit, step by step.
    fn step(&mut self) {
        if self.partial_q.0 != (LAST_PARTIAL >> 1) >> self.step_q.0 {
            self.partial_q.0 += 1;
            return;
        }
        self.partial_q.0 = 0;
        if self.unit_q != self.last_unit_q {
            self.unit_q.0 += 1;
            return;
        }
        self.unit_q.0 = 0;
        self.active_q = self.step_q.0 != LAST_FOLD;
        self.step_q.0 = if self.active_q { self.step_q.0 + 1 } else { 0 };
    }
}

impl Block for RowSums {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { busy_o: self.busy(), scales_o: self.scales_q }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        if !i.word_i.valid && !i.reduce_i && self.quiet == SETTLED {
            if i.clear_i {
                self.present_q = Wide(0);
            }
            return;
        }
        self.quiet = if i.word_i.valid || i.reduce_i || self.active_q { 0 } else { self.quiet + 1 };

        let (own, partner) = if self.active_q {
            let half = LAST_PARTIAL.div_ceil(2) >> self.step_q.0;
            let partner = Uint((self.partial_q.0 + half) & LAST_PARTIAL);
            (
                Address { unit: self.unit_q, partial: self.partial_q },
                Address { unit: self.unit_q, partial: partner },
            )
        } else {
            let partial = Uint(i.word_i.group.0 & LAST_PARTIAL);
            (Address { unit: i.word_i.unit, partial }, Address::default())
        };
        let coming = self.coming();
        let is_coming = |address: Address| coming >> address.index() & 1 == 1;
        let waits = is_coming(own) || (self.active_q && self.step_q.0 < FIRST_FOLD && is_coming(partner));
        let enter = if self.active_q { !waits } else { i.word_i.valid };
        assert!(!i.word_i.valid || (!self.active_q && !waits), "INV_SUMS_1");
        let units = usize::from(i.units_i.0);
        assert!(!i.reduce_i || (!self.reducing() && (1..=VECTOR_UNITS).contains(&units)), "INV_SUMS_2");
        assert!(!i.clear_i || (!self.busy() && !i.word_i.valid && !i.reduce_i), "INV_SUMS_3");

        // From sums to scales.
        let given = self.tag_q[FLOAT_LATENCY - 1];
        let unit_sum = given.valid && given.last;
        let reduced = self.scale_tag_q[SCALE_STAGES - 1];
        if reduced.valid {
            self.scales_q[usize::from(reduced.unit.0)] = self.root.result();
        }
        self.root.advance(Function::Root, self.eps.sum().value);
        self.eps.advance(self.product.product().value, widen(self.eps_q.0));
        let sum = if unit_sum { self.adders[0].sum().value } else { Float36::ZERO };
        self.product.advance(sum, widen(self.mean_q.0));
        self.scale_tag_q.copy_within(..SCALE_STAGES - 1, 1);
        self.scale_tag_q[0] =
            if unit_sum { ScaleTag { valid: true, unit: given.address.unit } } else { ScaleTag::default() };

        // Sums. What is written now is read in the next cycle at the earliest.
        let terms = if enter { self.terms(own, partner, &i.square_i) } else { Default::default() };
        let at = given.address.index();
        for (lane, (adder, (a, b))) in self.adders.iter_mut().zip(terms).enumerate() {
            if given.valid {
                self.total_q[lane][at] = adder.sum().value;
            }
            adder.advance(a, b);
        }
        if given.valid {
            self.written[at] = true;
            self.present_q.0 |= 1 << at;
        }
        if i.clear_i {
            self.present_q = Wide(0);
        }
        self.tag_q.copy_within(..FLOAT_LATENCY - 1, 1);
        let last = self.active_q && self.step_q.0 == LAST_FOLD;
        self.tag_q[0] = if enter { SumTag { valid: true, last, address: own } } else { SumTag::default() };

        if self.active_q && enter {
            self.step();
        }
        if i.reduce_i {
            self.active_q = true;
            self.last_unit_q = Uint((i.units_i.0 - 1) & 7);
            (self.mean_q, self.eps_q) = (i.mean_i, i.eps_i);
        }
    }

    fn reset(&mut self) {
        let Self { total_q, written, .. } = *self;
        *self = Self { total_q, written, ..Self::default() };
    }
}

impl Visit for RowSums {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("present_q", &mut self.present_q);
        v.array("tag_q", &mut self.tag_q);
        v.array("scale_tag_q", &mut self.scale_tag_q);
        v.bits("active_q", &mut self.active_q);
        v.bits("step_q", &mut self.step_q);
        v.bits("unit_q", &mut self.unit_q);
        v.bits("partial_q", &mut self.partial_q);
        v.bits("last_unit_q", &mut self.last_unit_q);
        v.bits("mean_q", &mut self.mean_q);
        v.bits("eps_q", &mut self.eps_q);
        v.packed("scales_q", &mut self.scales_q);
        for (l, (column, adder)) in self.total_q.iter_mut().zip(&mut self.adders).enumerate() {
            v.enter("gen_lane", Some(l));
            v.memory("total_q", column, &mut self.written);
            v.enter("u_add", None);
            adder.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_product", None);
        self.product.visit(v);
        v.leave();
        v.enter("u_eps", None);
        self.eps.visit(v);
        v.leave();
        v.enter("u_root", None);
        self.root.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("clear_i", &mut self.clear_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("square_i", &mut self.square_i);
        v.bits("reduce_i", &mut self.reduce_i);
        v.bits("units_i", &mut self.units_i);
        v.bits("mean_i", &mut self.mean_i);
        v.bits("eps_i", &mut self.eps_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("busy_o", &mut self.busy_o);
        v.packed("scales_o", &mut self.scales_o);
    }
}
