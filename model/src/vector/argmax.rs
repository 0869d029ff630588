// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/argmax.sv`.

use super::types::{VECTOR_UNITS, VectorWord};
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::control::types::{FEATURE_BITS, GROUP_FLOATS};
use crate::packed_struct;

/// Levels of the tree.
const LEVELS: usize = GROUP_FLOATS.ilog2() as usize;

packed_struct! {
    /// The best of some floats of a word.
    struct Candidate {
        valid: bool,
        lane: Uint<4>,
        value: Wide<32>,
    }
}

packed_struct! {
    /// A word in the tree.
    struct Tag {
        valid: bool,
        unit: Uint<3>,
        group: Uint<16>,
    }
}

/// Rises with the number of these bits of binary32; the same for both zeros. Exponent field 255 is read as any other.
#[must_use]
pub const fn rank(value: u32) -> u32 {
    const SIGN: u32 = 1 << 31;
    if value & !SIGN == 0 {
        SIGN
    } else if value & SIGN != 0 {
        !value
    } else {
        value | SIGN
    }
}

impl Candidate {
    fn rank(self) -> u32 {
        rank(bits(self.value))
    }

    /// The better of two, of equal ones `a`.
    fn better(a: Self, b: Self) -> Self {
        if b.valid && (!a.valid || b.rank() > a.rank()) { b } else { a }
    }
}

/// A number of 32 bits.
fn bits(value: Wide<32>) -> u32 {
    u32::try_from(value.0).expect("32 bits")
}

/// A level from the one before.
fn level(to: &mut [Candidate], from: &[Candidate]) {
    for (best, pair) in to.iter_mut().zip(from.chunks_exact(2)) {
        *best = Candidate::better(pair[0], pair[1]);
    }
}

/// The largest of every unit's features.
#[derive(Clone, Default, Debug)]
pub struct Argmax {
    eight_q: [Candidate; 8],
    four_q: [Candidate; 4],
    two_q: [Candidate; 2],
    one_q: Candidate,
    /// Element 0 belongs to `eight_q`.
    tag_q: [Tag; LEVELS],
    seen_q: [bool; VECTOR_UNITS],
    index_q: [Wide<FEATURE_BITS>; VECTOR_UNITS],
    value_q: [Wide<32>; VECTOR_UNITS],
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Forgets all units.
    pub clear_i: bool,
    /// Features of a unit; those beyond do not count.
    pub count_i: Wide<FEATURE_BITS>,
    /// Which 16 features.
    pub word_i: VectorWord,
    /// Their values.
    pub a_i: [Wide<32>; GROUP_FLOATS],
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// Words are in the tree.
    pub busy_o: bool,
    /// By unit: which feature, then its value; 0 without any.
    pub result_o: [Wide<32>; 2 * VECTOR_UNITS],
}

impl Argmax {
    /// Words are in the tree.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.tag_q.iter().any(|tag| tag.valid)
    }

    /// The best of a word against the best of its unit.
    fn store(&mut self) {
        let Tag { valid, unit, group } = self.tag_q[LEVELS - 1];
        if !valid || !self.one_q.valid {
            return;
        }
        let unit = usize::from(unit.0);
        let feature = Wide(u64::from(group.0) << LEVELS | u64::from(self.one_q.lane.0));
        let (new, old) = (self.one_q.rank(), rank(bits(self.value_q[unit])));
        if !self.seen_q[unit] || new > old || (new == old && feature < self.index_q[unit]) {
            self.seen_q[unit] = true;
            self.index_q[unit] = feature;
            self.value_q[unit] = self.one_q.value;
        }
    }
}

impl Block for Argmax {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let result_o = std::array::from_fn(|i| match i.checked_sub(VECTOR_UNITS) {
            None => Wide(self.index_q[i].0),
            Some(unit) => self.value_q[unit],
        });
        Outputs { busy_o: self.busy(), result_o }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        if !i.word_i.valid && !i.clear_i && !self.busy() {
            return;
        }
        assert!(!i.clear_i || (!self.busy() && !i.word_i.valid), "INV_ARGMAX_1");
        assert!(!i.word_i.valid || i.count_i.0 != 0, "INV_ARGMAX_2");
        self.store();
        if i.clear_i {
            self.seen_q = [false; VECTOR_UNITS];
            self.index_q = [Wide(0); VECTOR_UNITS];
            self.value_q = [Wide(0); VECTOR_UNITS];
        }
        // From the root to the leaves: a level moves only when it has a word.
        for l in (1..LEVELS).rev() {
            self.tag_q[l].valid = false;
            if self.tag_q[l - 1].valid {
                self.tag_q[l] = self.tag_q[l - 1];
                match l {
                    1 => level(&mut self.four_q, &self.eight_q),
                    2 => level(&mut self.two_q, &self.four_q),
                    _ => self.one_q = Candidate::better(self.two_q[0], self.two_q[1]),
                }
            }
        }
        let VectorWord { valid, unit, group, .. } = i.word_i;
        self.tag_q[0].valid = valid;
        if valid {
            self.tag_q[0] = Tag { valid, unit, group };
            let first = u64::from(group.0) << LEVELS;
            let mut lane = 0;
            let leaves = i.a_i.map(|value| {
                let leaf =
                    Candidate { valid: first + u64::from(lane) < i.count_i.0, lane: Uint(lane), value };
                lane += 1;
                leaf
            });
            level(&mut self.eight_q, &leaves);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for Argmax {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("eight_q", &mut self.eight_q);
        v.packed("four_q", &mut self.four_q);
        v.packed("two_q", &mut self.two_q);
        v.bits("one_q", &mut self.one_q);
        v.packed("tag_q", &mut self.tag_q);
        v.packed("seen_q", &mut self.seen_q);
        v.packed("index_q", &mut self.index_q);
        v.packed("value_q", &mut self.value_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("clear_i", &mut self.clear_i);
        v.bits("count_i", &mut self.count_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("a_i", &mut self.a_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("busy_o", &mut self.busy_o);
        v.packed("result_o", &mut self.result_o);
    }
}
