// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/p_quantiser.sv`.

use super::types::{FeedTag, ScoreTag, TILE_SLOTS, TileSum, Weight};
use crate::array::Geometry;
use crate::array::types::{LaneByte, SEGMENT_LANES, ScaleCode};
use crate::block::{Int, Uint, Visit, Visitor};
use crate::numerics::softmax::{TOO_SMALL, quantise};
use crate::packed_struct;

/// V blocks of a token in a segment, at most.
pub const MAX_BLOCKS: usize = 4;
/// From feed tag to the tile's exponents, without their own register.
const STAGES: usize = 4;
/// p is the mantissa >> 4: 2^7 stands for 1.
const POINT_OF_P: i32 = 7;

packed_struct! {
    /// The largest exponent among the keys of a tile that count.
    struct TileMaximum {
        any: bool,
        maximum: Int<12>,
    }
}

packed_struct! {
    /// How far a weight lies below its tile's maximum; 9: too far.
    struct Shifts {
        hi: Uint<4>,
        lo: Uint<4>,
        key: Uint<4>,
    }
}

impl TileMaximum {
    /// With one more key.
    fn raised(self, counts: bool, exponent: i32) -> Self {
        if counts && (!self.any || exponent > self.maximum.0) {
            return Self { any: true, maximum: Int(exponent) };
        }
        self
    }

    /// How far below.
    fn shift(self, counts: bool, exponent: i32) -> Uint<4> {
        let distance = u16::try_from(self.maximum.0 - exponent).unwrap_or(TOO_SMALL);
        Uint(if counts { distance.min(TOO_SMALL) } else { TOO_SMALL })
    }

    /// The exponent of p's unit; 0 where no key counts.
    fn unit(self, point: i32) -> Int<12> {
        Int(if self.any { self.maximum.0 - point } else { 0 })
    }
}

fn is_nan(scale: Uint<8>) -> bool {
    scale.0 == u16::from(ScaleCode::NAN.0)
}

/// Codes of a token's V blocks in a segment: 2 or 4, by the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockScales {
    codes: [Uint<8>; MAX_BLOCKS],
    blocks: usize,
}

impl BlockScales {
    /// All codes 0.
    #[must_use]
    pub const fn new(geometry: Geometry) -> Self {
        Self { codes: [Uint(0); MAX_BLOCKS], blocks: 2 * geometry.chain_parts() }
    }

    /// The codes.
    #[must_use]
    pub fn codes(&self) -> &[Uint<8>] {
        &self.codes[..self.blocks]
    }

    /// The codes, to be set.
    pub fn codes_mut(&mut self) -> &mut [Uint<8>] {
        &mut self.codes[..self.blocks]
    }
}

/// The p buffer of one row and segment, and its quantiser.
#[derive(Clone, Debug)]
pub struct PQuantiser {
    blocks: usize,
    weight_q: Vec<Weight>,
    written: Vec<bool>,
    key_maximum_q: [TileMaximum; TILE_SLOTS],
    value_maximum_q: [TileMaximum; TILE_SLOTS * MAX_BLOCKS],
    tag_q: [FeedTag; STAGES],
    read_q: Weight,
    scale_q: LaneByte,
    shifts_q: Shifts,
    mantissa_q: Uint<12>,
    p_q: LaneByte,
    key_p_q: Uint<8>,
    tile_sum_q: TileSum,
    tile_exponent_q: [Int<12>; 2],
    nan_scale_q: bool,
}

/// Input ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// A token's weight.
    pub weight_i: Weight,
    /// Which token that is.
    pub score_tag_i: ScoreTag,
    /// Of the token's V blocks.
    pub scales_i: BlockScales,
    /// Which p is wanted.
    pub feed_tag_i: FeedTag,
    /// Of the beat's V blocks.
    pub feed_scale_i: LaneByte,
    /// The operand that [`PQuantiser::load`] names.
    pub operand_i: LaneByte,
    /// Clear the sticky flag.
    pub clear_flags_i: bool,
}

/// Output ports but `load_*_o`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outputs {
    /// p, or a stationary operand, of the tag of three cycles ago.
    pub p_o: LaneByte,
    /// {lo, hi} exponents of the tile whose last tag came five cycles ago.
    pub tile_exponent_o: [Int<12>; 2],
    /// Sum of the tile whose last tag of part 0 came four cycles ago.
    pub tile_sum_o: TileSum,
    /// Sticky flag.
    pub nan_scale_o: bool,
}

/// {tile, beat} as an index.
fn entry(tile: Uint<2>, beat: Uint<5>) -> usize {
    usize::from(tile.0) * SEGMENT_LANES + usize::from(beat.0)
}

impl PQuantiser {
    /// A quantiser after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let entries = TILE_SLOTS * SEGMENT_LANES;
        Self {
            blocks: 2 * geometry.chain_parts(),
            weight_q: vec![Weight::default(); entries],
            written: vec![false; entries],
            key_maximum_q: Default::default(),
            value_maximum_q: Default::default(),
            tag_q: Default::default(),
            read_q: Weight::default(),
            scale_q: LaneByte::default(),
            shifts_q: Shifts::default(),
            mantissa_q: Uint(0),
            p_q: LaneByte::default(),
            key_p_q: Uint(0),
            tile_sum_q: TileSum::default(),
            tile_exponent_q: Default::default(),
            nan_scale_q: false,
        }
    }

    /// Outputs in the present cycle.
    #[must_use]
    #[inline]
    pub fn outputs(&self) -> Outputs {
        Outputs {
            p_o: self.p_q,
            tile_exponent_o: self.tile_exponent_q,
            tile_sum_o: self.tile_sum_q,
            nan_scale_o: self.nan_scale_q,
        }
    }

    /// `load_chunk_o`, `load_count_o`.
    #[must_use]
    #[inline]
    pub fn load(&self) -> (Uint<7>, Uint<6>) {
        let tag = &self.tag_q[1];
        (tag.load_chunk, tag.load_count)
    }

    /// Where the maximum of a chain's V block lies: FP4 has a block per chain, INT8 one for both.
    fn chain(&self, tag: &FeedTag, chain: u16) -> TileMaximum {
        let block = if tag.int8 { tag.part.0 } else { 2 * tag.part.0 + chain };
        self.value_maximum_q[usize::from(tag.tile.0) * self.blocks + usize::from(block) % self.blocks]
    }

    /// Advances by one clock, from the outputs back to the inputs.
    #[inline]
    pub fn clock(&mut self, i: &Inputs) {
        let read = self.read_q;
        let raised = read.visible && (is_nan(self.scale_q.hi) || is_nan(self.scale_q.lo));
        self.nan_scale_q = raised || (self.nan_scale_q && !i.clear_flags_i);
        self.clock_tile();

        self.key_p_q = Uint(quantise(self.mantissa_q.0, self.shifts_q.key.0));
        let p = |shift: Uint<4>| Uint(quantise(self.mantissa_q.0, shift.0));
        self.p_q = if self.tag_q[1].load {
            i.operand_i
        } else {
            LaneByte { hi: p(self.shifts_q.hi), lo: p(self.shifts_q.lo) }
        };

        let tag = &self.tag_q[0];
        let folded = |top: TileMaximum, scale: Uint<8>| {
            top.shift(read.visible && !is_nan(scale), read.exponent.0 + i32::from(scale.0))
        };
        self.shifts_q = Shifts {
            hi: folded(self.chain(tag, 1), self.scale_q.hi),
            lo: folded(self.chain(tag, 0), self.scale_q.lo),
            key: self.key_maximum_q[usize::from(tag.tile.0)].shift(read.visible, read.exponent.0),
        };
        self.mantissa_q = read.mantissa;

        let tag = &i.feed_tag_i;
        (self.read_q, self.scale_q) = if tag.valid {
            (self.weight_q[entry(tag.tile, tag.beat)], i.feed_scale_i)
        } else {
            Default::default()
        };
        self.tag_q.copy_within(..STAGES - 1, 1);
        self.tag_q[0] = *tag;

        self.clock_scores(i);
    }

    /// Sum and exponents of a tile.
    fn clock_tile(&mut self) {
        let tag = &self.tag_q[2];
        self.tile_sum_q.valid = false;
        if tag.valid && tag.part.0 == 0 {
            let so_far = if tag.beat.0 == 0 { 0 } else { self.tile_sum_q.number.0 };
            self.tile_sum_q.number = Uint((so_far + self.key_p_q.0) & 0x1FFF);
            if tag.last {
                self.tile_sum_q.valid = true;
                self.tile_sum_q.acc_first = tag.acc_first;
                self.tile_sum_q.acc_bank = tag.acc_bank;
                self.tile_sum_q.exponent = self.key_maximum_q[usize::from(tag.tile.0)].unit(POINT_OF_P);
            }
        }
        let tag = &self.tag_q[3];
        if tag.valid && tag.last {
            // INT8 elements of V are in units of 2^-6, doubled E2M1 in units of 2^-1.
            let point = 127 + POINT_OF_P + if tag.int8 { 6 } else { 1 };
            self.tile_exponent_q = [0, 1].map(|chain| self.chain(tag, chain).unit(point));
        }
    }

    /// A weight and its maxima.
    fn clock_scores(&mut self, i: &Inputs) {
        let ScoreTag { valid, first, tile, beat } = i.score_tag_i;
        if !valid {
            return;
        }
        let weight = i.weight_i;
        self.weight_q[entry(tile, beat)] = weight;
        self.written[entry(tile, beat)] = true;
        let slot = usize::from(tile.0);
        let before = |maximum| if first { TileMaximum::default() } else { maximum };
        self.key_maximum_q[slot] = before(self.key_maximum_q[slot]).raised(weight.visible, weight.exponent.0);
        let tops = &mut self.value_maximum_q[slot * self.blocks..][..self.blocks];
        for (top, &scale) in tops.iter_mut().zip(i.scales_i.codes()) {
            let exponent = weight.exponent.0 + i32::from(scale.0);
            *top = before(*top).raised(weight.visible && !is_nan(scale), exponent);
        }
    }

    /// Reset: the weights keep what they hold.
    pub fn reset(&mut self, geometry: Geometry) {
        let weight_q = std::mem::take(&mut self.weight_q);
        let written = std::mem::take(&mut self.written);
        *self = Self { weight_q, written, ..Self::new(geometry) };
    }
}

impl Visit for PQuantiser {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.memory("weight_q", &mut self.weight_q, &mut self.written);
        v.array("key_maximum_q", &mut self.key_maximum_q);
        v.array("value_maximum_q", &mut self.value_maximum_q[..TILE_SLOTS * self.blocks]);
        v.array("tag_q", &mut self.tag_q);
        v.bits("read_q", &mut self.read_q);
        v.bits("scale_q", &mut self.scale_q);
        v.bits("shifts_q", &mut self.shifts_q);
        v.bits("mantissa_q", &mut self.mantissa_q);
        v.bits("p_q", &mut self.p_q);
        v.bits("key_p_q", &mut self.key_p_q);
        v.bits("tile_sum_q", &mut self.tile_sum_q);
        v.packed("tile_exponent_q", &mut self.tile_exponent_q);
        v.bits("nan_scale_q", &mut self.nan_scale_q);
    }
}
