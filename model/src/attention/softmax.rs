// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/softmax.sv`.

use super::exp2::Exp2;
use super::operand_file::{BlockData, OperandFile};
use super::p_quantiser::{self, BlockScales, PQuantiser};
use super::types::{EXP2_LATENCY, FeedTag, OperandBlock, ScoreTag, SoftmaxFlags, TileSum, Weight};
use crate::array::Geometry;
use crate::array::types::LaneByte;
use crate::block::{Block, Int, Uint, Visit, Visitor};
use crate::common::DelayLine;
use crate::numerics::Float36;

/// Softmax of one row and segment, short of the division.
#[derive(Clone, Debug)]
pub struct Softmax {
    geometry: Geometry,
    exp2: Exp2,
    tag: DelayLine<ScoreTag>,
    visible: DelayLine<bool>,
    scales: Vec<DelayLine<Uint<8>>>,
    quantiser: PQuantiser,
    operands: OperandFile,
    clamped_q: bool,
}

/// Input ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// A token's score.
    pub score_i: Float36,
    /// Which token that is.
    pub score_tag_i: ScoreTag,
    /// The row sees the token.
    pub visible_i: bool,
    /// Of the token's V blocks.
    pub scales_i: BlockScales,
    /// Which p is wanted.
    pub feed_tag_i: FeedTag,
    /// Of the beat's V blocks.
    pub feed_scale_i: LaneByte,
    /// A block of a stationary operand of this row and segment.
    pub block_i: OperandBlock,
    /// Its elements.
    pub block_data_i: BlockData,
    /// Clear the sticky flags.
    pub clear_flags_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// p, or a stationary operand, of the feed tag of three cycles ago.
    pub p_o: LaneByte,
    /// {lo, hi} exponents of the tile whose last tag came five cycles ago.
    pub tile_exponent_o: [Int<12>; 2],
    /// Sum of the tile whose last tag of part 0 came four cycles ago.
    pub tile_sum_o: TileSum,
    /// Sticky flags.
    pub flags_o: SoftmaxFlags,
}

impl Inputs {
    /// Nothing to do.
    #[must_use]
    pub fn idle(geometry: Geometry) -> Self {
        Self {
            score_i: Float36::ZERO,
            score_tag_i: ScoreTag::default(),
            visible_i: false,
            scales_i: BlockScales::new(geometry),
            feed_tag_i: FeedTag::default(),
            feed_scale_i: LaneByte::default(),
            block_i: OperandBlock::default(),
            block_data_i: BlockData::default(),
            clear_flags_i: false,
        }
    }
}

impl Softmax {
    /// A softmax after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            exp2: Exp2::default(),
            tag: DelayLine::new(EXP2_LATENCY),
            visible: DelayLine::new(EXP2_LATENCY),
            scales: vec![DelayLine::new(EXP2_LATENCY); 2 * geometry.chain_parts()],
            quantiser: PQuantiser::new(geometry),
            operands: OperandFile::default(),
            clamped_q: false,
        }
    }
}

impl Block for Softmax {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::idle(self.geometry)
    }

    #[inline]
    fn outputs(&self) -> Outputs {
        let p_quantiser::Outputs { p_o, tile_exponent_o, tile_sum_o, nan_scale_o } = self.quantiser.outputs();
        let flags_o = SoftmaxFlags { clamped: self.clamped_q, nan_scale: nan_scale_o };
        Outputs { p_o, tile_exponent_o, tile_sum_o, flags_o }
    }

    #[inline]
    fn clock(&mut self, i: &Inputs) {
        let power = self.exp2.power();
        let (tag, visible) = (self.tag.output(), self.visible.output());
        let clamped = tag.valid && visible && power.clamped;
        self.clamped_q = clamped || (self.clamped_q && !i.clear_flags_i);

        let (chunk, count) = self.quantiser.load();
        let mut scales = BlockScales::new(self.geometry);
        for (scale, line) in scales.codes_mut().iter_mut().zip(&mut self.scales) {
            *scale = line.output();
        }
        let weight = if visible {
            Weight { visible, exponent: Int(power.exponent), mantissa: Uint(power.mantissa) }
        } else {
            Weight::default()
        };
        self.quantiser.clock(&p_quantiser::Inputs {
            weight_i: weight,
            score_tag_i: tag,
            scales_i: scales,
            feed_tag_i: i.feed_tag_i,
            feed_scale_i: i.feed_scale_i,
            operand_i: self.operands.read(chunk, count),
            clear_flags_i: i.clear_flags_i,
        });
        self.operands.clock(i.block_i, &i.block_data_i);

        self.exp2.clock(i.score_i);
        self.tag.clock(i.score_tag_i);
        self.visible.clock(i.visible_i);
        for (line, &scale) in self.scales.iter_mut().zip(i.scales_i.codes()) {
            line.clock(scale);
        }
    }

    fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        let operands = std::mem::replace(&mut self.operands, fresh.operands);
        let mut quantiser = std::mem::replace(&mut self.quantiser, fresh.quantiser);
        quantiser.reset(self.geometry);
        *self = Self { operands, quantiser, ..Self::new(self.geometry) };
    }
}

impl Visit for Softmax {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_exp2", None);
        self.exp2.visit(v);
        v.leave();
        v.enter("u_tag", None);
        self.tag.visit(v);
        v.leave();
        v.enter("u_visible", None);
        self.visible.visit(v);
        v.leave();
        for (k, line) in self.scales.iter_mut().enumerate() {
            v.enter("gen_block", Some(k));
            v.enter("u_scale", None);
            line.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_quantiser", None);
        self.quantiser.visit(v);
        v.leave();
        v.enter("u_operands", None);
        self.operands.visit(v);
        v.leave();
        v.bits("clamped_q", &mut self.clamped_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("score_i", &mut self.score_i);
        v.bits("score_tag_i", &mut self.score_tag_i);
        v.bits("visible_i", &mut self.visible_i);
        v.packed("scales_i", self.scales_i.codes_mut());
        v.bits("feed_tag_i", &mut self.feed_tag_i);
        v.bits("feed_scale_i", &mut self.feed_scale_i);
        v.bits("block_i", &mut self.block_i);
        v.packed("block_data_i", &mut self.block_data_i);
        v.bits("clear_flags_i", &mut self.clear_flags_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("p_o", &mut self.p_o);
        v.packed("tile_exponent_o", &mut self.tile_exponent_o);
        v.bits("tile_sum_o", &mut self.tile_sum_o);
        v.bits("flags_o", &mut self.flags_o);
    }
}
