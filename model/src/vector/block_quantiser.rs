// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/block_quantiser.sv`: the three steps of [`crate::numerics::vector::quantise`] between registers.

use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::numerics::BLOCK_LEN;
use crate::numerics::vector::quantise::{self, PARTS};

/// Quantiser of a block, latency 3.
#[derive(Clone, Debug)]
pub struct BlockQuantiser {
    valid_q: [bool; 3],
    int8_q: [bool; 2],
    read_q: [u32; BLOCK_LEN],
    scaled_q: [u32; BLOCK_LEN],
    maxima_q: [u32; PARTS],
    scale_q: [u8; 2],
    codes_q: [u8; BLOCK_LEN],
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// A block comes.
    pub valid_i: bool,
    /// As MXINT8, else as MXFP4.
    pub int8_i: bool,
    /// Its binary32 numbers, neither infinities nor NaN.
    pub values_i: [u32; BLOCK_LEN],
}

/// Output ports.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// A block of three cycles ago.
    pub valid_o: bool,
    /// Its scale code.
    pub scale_o: u8,
    /// Its elements: bytes of MXINT8, or MXFP4 in the low nibbles.
    pub codes_o: [u8; BLOCK_LEN],
}

impl Default for BlockQuantiser {
    fn default() -> Self {
        Self {
            valid_q: [false; 3],
            int8_q: [false; 2],
            read_q: [0; BLOCK_LEN],
            scaled_q: [0; BLOCK_LEN],
            maxima_q: [0; PARTS],
            scale_q: [0; 2],
            codes_q: [0; BLOCK_LEN],
        }
    }
}

impl BlockQuantiser {
    /// Cycles from values to codes.
    pub const LATENCY: usize = 3;

    /// Nothing is under way.
    #[must_use]
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.valid_q == [false; 3]
    }

    /// The block of three cycles ago, if there was one.
    #[must_use]
    #[inline]
    pub fn block(&self) -> Option<(u8, &[u8; BLOCK_LEN])> {
        self.valid_q[2].then_some((self.scale_q[1], &self.codes_q))
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When a value is an infinity or a NaN.
    pub fn advance(&mut self, block: Option<(bool, &[u32; BLOCK_LEN])>) {
        if block.is_none() && self.is_idle() {
            return;
        }
        if self.valid_q[1] {
            let (int8, scale) = (self.int8_q[1], self.scale_q[0]);
            self.scale_q[1] = scale;
            self.codes_q = self.scaled_q.map(|value| quantise::code(int8, value, scale));
        }
        if self.valid_q[0] {
            self.int8_q[1] = self.int8_q[0];
            self.scale_q[0] = quantise::scale(self.int8_q[0], self.maxima_q);
            self.scaled_q = self.read_q;
        }
        if let Some((int8, values)) = block {
            self.int8_q[0] = int8;
            self.read_q = *values;
            self.maxima_q = quantise::maxima(values);
            let finite = self.maxima_q.iter().all(|&magnitude| magnitude < f32::INFINITY.to_bits());
            assert!(finite, "INV-MX-1: a value is an infinity or a NaN");
        }
        self.valid_q = [block.is_some(), self.valid_q[0], self.valid_q[1]];
    }
}

impl Block for BlockQuantiser {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { valid_o: self.valid_q[2], scale_o: self.scale_q[1], codes_o: self.codes_q }
    }

    fn clock(&mut self, inputs: &Inputs) {
        self.advance(inputs.valid_i.then_some((inputs.int8_i, &inputs.values_i)));
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

fn bytes<const N: usize>(values: &[u8; N]) -> [Uint<8>; N] {
    values.map(|value| Uint(value.into()))
}

fn words<const N: usize>(values: &[u32; N]) -> [Wide<32>; N] {
    values.map(|value| Wide(value.into()))
}

impl Visit for BlockQuantiser {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("valid_q", &mut self.valid_q);
        v.array("int8_q", &mut self.int8_q);
        v.array("read_q", &mut words(&self.read_q));
        v.array("scaled_q", &mut words(&self.scaled_q));
        v.array("maxima_q", &mut self.maxima_q.map(|value| Wide::<31>(value.into())));
        v.array("scale_q", &mut bytes(&self.scale_q));
        v.array("codes_q", &mut bytes(&self.codes_q));
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("valid_i", &mut self.valid_i);
        v.bits("int8_i", &mut self.int8_i);
        let mut values = words(&self.values_i);
        v.packed("values_i", &mut values);
        self.values_i = values.map(|value| u32::try_from(value.0).expect("32 bits"));
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("valid_o", &mut self.valid_o);
        v.bits("scale_o", &mut Uint::<8>(self.scale_o.into()));
        v.packed("codes_o", &mut bytes(&self.codes_o));
    }
}
