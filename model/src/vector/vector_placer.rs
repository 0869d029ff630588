// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_placer.sv`.

use super::types::{HeadsMode, VectorPlace};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, further, low_u16};
use crate::control::types::{
    CommandDestination, CommandHead, CommandShape, FEATURE_BITS, OPCODE_ANGLES, OPCODE_ARGMAX, OPCODE_GATE,
    OPCODE_HEADS, OPCODE_NORM, OPCODE_QUANTISE,
};
use crate::control::work_queue::WorkWords;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES};

/// Bits of the words of memory from row to row.
const PITCH_BITS: u32 = 15;
/// Bits of an address in 32 bytes.
const BASE_BITS: u32 = AXI_ADDRESS_BITS - 5;
/// Elements of a block.
const BLOCK: u64 = 32;
const WORD: u64 = AXI_BYTES as u64;

/// Tells the writer where units go.
#[derive(Clone, Default, Debug)]
pub struct VectorPlacer {
    /// Quantise: a row has several heads.
    heads_q: bool,
    wide_q: bool,
    /// From one unit to the next, in words of memory.
    pitch_q: Uint<PITCH_BITS>,
    /// Quantise: T, less one.
    tokens_last_q: Uint<3>,
    token_q: Uint<3>,
    /// Of the head's first token.
    first_q: Wide<BASE_BITS>,
    first_scales_q: Wide<AXI_ADDRESS_BITS>,
    /// Of the next unit.
    base_q: Wide<BASE_BITS>,
    scales_q: Wide<AXI_ADDRESS_BITS>,
    /// Units that are to be placed.
    left_q: Uint<4>,
    /// The next.
    unit_q: Uint<3>,
    place_q: VectorPlace,
    place_scales_q: Wide<AXI_ADDRESS_BITS>,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// `work_i` is taken.
    pub start_i: bool,
    /// The command's words.
    pub work_i: WorkWords,
    /// Heads: units of a batch.
    pub batch_i: bool,
    /// How many.
    pub units_i: Uint<4>,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// Where a unit goes.
    pub place_o: VectorPlace,
    /// Its first scale byte.
    pub place_scales_o: Wide<AXI_ADDRESS_BITS>,
}

impl VectorPlacer {
    /// No place is given, now or later.
    #[must_use]
    pub const fn idle(&self) -> bool {
        self.left_q.0 == 0 && !self.place_q.valid
    }

    /// Gives the next unit's place.
    fn give(&mut self) {
        self.place_q.unit = self.unit_q;
        self.place_q.base = self.base_q;
        self.place_scales_q = self.scales_q;
        self.left_q.0 -= 1;
        self.unit_q = further(self.unit_q, 1);
        if self.heads_q && self.token_q == self.tokens_last_q {
            let blocks = if self.wide_q { 4 } else { 2 };
            self.token_q = Uint(0);
            self.first_q = further(self.first_q, blocks);
            self.first_scales_q = further(self.first_scales_q, blocks);
            self.base_q = self.first_q;
            self.scales_q = self.first_scales_q;
        } else {
            let pitch = u64::from(self.pitch_q.0);
            self.token_q = further(self.token_q, 1);
            self.base_q = further(self.base_q, 2 * pitch);
            self.scales_q = further(self.scales_q, WORD * pitch);
        }
    }

    fn take_work(&mut self, work: &WorkWords) {
        let head = CommandHead::from_bits(work[0].0);
        let destination = CommandDestination::from_bits(work[2].0).address.0 / WORD * WORD;
        let shape = CommandShape::from_bits(work[3].0);
        let (count, length) = (shape.count.0 % (1 << FEATURE_BITS), shape.length.0 % (1 << FEATURE_BITS));
        let mode = HeadsMode::from_bits(head.operand.to_bits());
        self.heads_q = head.opcode.0 == OPCODE_QUANTISE;
        self.wide_q = head.flags.wide;
        self.tokens_last_q = Uint::from_bits(head.operand.to_bits().wrapping_sub(1));
        self.token_q = Uint(0);
        self.left_q = Uint(head.rows.0 % 16);
        self.unit_q = Uint(0);
        // Bytes from unit to unit; elements, scales of the first one.
        let (pitch, elements, scales) = match head.opcode.0 {
            OPCODE_NORM | OPCODE_GATE | OPCODE_QUANTISE => {
                let features = if self.heads_q { count } else { length };
                let scale_bytes = features.div_ceil(BLOCK * WORD) * WORD;
                let from = if self.heads_q { length / BLOCK } else { 0 };
                (scale_bytes + features.next_multiple_of(WORD), scale_bytes + BLOCK * from, from)
            }
            OPCODE_HEADS => {
                self.left_q = Uint(0);
                let features = if head.flags.wide { 128 } else { 64 };
                let part = if head.flags.int8 && head.flags.wide { 2 * WORD } else { WORD };
                match mode.target.0 {
                    0 => (WORD + features, WORD, 0),
                    1 => (2 * part + WORD, 0, 2 * part),
                    target => {
                        (2 * part + WORD, u64::from(target / 2) * part, 2 * part + 8 * u64::from(target / 2))
                    }
                }
            }
            opcode => {
                if opcode == OPCODE_ANGLES || opcode == OPCODE_ARGMAX {
                    self.left_q = Uint(0);
                }
                (WORD, 0, 0)
            }
        };
        self.pitch_q = Uint(low_u16(pitch / WORD));
        self.base_q = Wide::from_bits((destination + elements) / BLOCK);
        self.scales_q = Wide::from_bits(destination + scales);
        (self.first_q, self.first_scales_q) = (self.base_q, self.scales_q);
    }
}

impl Block for VectorPlacer {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { place_o: self.place_q, place_scales_o: self.place_scales_q }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        assert!(!(i.start_i || i.batch_i) || self.left_q.0 == 0, "INV_PLACER_1");
        self.place_q.valid = self.left_q.0 != 0;
        if self.place_q.valid {
            self.give();
        }
        if i.batch_i {
            self.left_q = i.units_i;
            self.unit_q = Uint(0);
        }
        if i.start_i {
            self.take_work(&i.work_i);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for VectorPlacer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("heads_q", &mut self.heads_q);
        v.bits("wide_q", &mut self.wide_q);
        v.bits("pitch_q", &mut self.pitch_q);
        v.bits("tokens_last_q", &mut self.tokens_last_q);
        v.bits("token_q", &mut self.token_q);
        v.bits("first_q", &mut self.first_q);
        v.bits("first_scales_q", &mut self.first_scales_q);
        v.bits("base_q", &mut self.base_q);
        v.bits("scales_q", &mut self.scales_q);
        v.bits("left_q", &mut self.left_q);
        v.bits("unit_q", &mut self.unit_q);
        v.bits("place_q", &mut self.place_q);
        v.bits("place_scales_q", &mut self.place_scales_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("start_i", &mut self.start_i);
        v.packed("work_i", &mut self.work_i);
        v.bits("batch_i", &mut self.batch_i);
        v.bits("units_i", &mut self.units_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("place_o", &mut self.place_o);
        v.bits("place_scales_o", &mut self.place_scales_o);
    }
}
