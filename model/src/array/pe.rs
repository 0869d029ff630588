// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/pe.sv`.

use super::types::{LaneByte, Mode, Operand, PeTag, Psum};
use crate::block::{Bits, Format, Int, Uint, Visit, Visitor};

/// Processing element: two multipliers, two partial-sum chains.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pe {
    pub(super) operand_q: Operand,
    pub(super) tag_q: PeTag,
    pub(super) p_q: LaneByte,
    pub(super) psum_q: Psum,
    stationary_q: Stationary,
}

/// Two banks of stationary operands; bank 1 in the high bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stationary([LaneByte; 2]);

impl Bits for Stationary {
    const WIDTH: u32 = 2 * LaneByte::WIDTH;
    const FORMAT: Format = Format::Uint;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.0[1].to_bits() << LaneByte::WIDTH | self.0[0].to_bits()
    }
    fn from_bits(bits: u64) -> Self {
        Self([LaneByte::from_bits(bits), LaneByte::from_bits(bits >> LaneByte::WIDTH)])
    }
}

/// A stationary byte is signed.
#[inline]
fn signed(byte: Uint<8>) -> i32 {
    i32::from(i8::from_le_bytes([byte.0.to_le_bytes()[0]]))
}

impl Pe {
    /// Advances by one clock: operands from above, the rest from the left.
    #[inline]
    pub fn clock(&mut self, operand: Operand, tag: PeTag, p: LaneByte, psum: Psum) {
        // Products and sums, with the operands of before this clock
        match tag.mode {
            Mode::Idle => {}
            Mode::Gemv | Mode::Qk => {
                let left = self.stationary_q.0[usize::from(tag.bank)];
                self.psum_q.lo = Int(psum.lo.0 + signed(left.lo) * operand.lo.0);
                self.psum_q.hi = Int(psum.hi.0 + signed(left.hi) * operand.hi.0);
            }
            Mode::Pv => {
                let base = if tag.first { Psum::default() } else { self.psum_q };
                self.psum_q.lo = Int(base.lo.0 + i32::from(p.lo.0) * operand.lo.0);
                self.psum_q.hi = Int(base.hi.0 + i32::from(p.hi.0) * operand.hi.0);
            }
        }
        // Loads
        self.tag_q = tag;
        if tag.load {
            if tag.load_count.0 == 0 {
                self.stationary_q.0[usize::from(tag.load_bank)] = p;
                self.tag_q.load = false;
            } else {
                self.tag_q.load_count = Uint(tag.load_count.0 - 1);
            }
        }
        self.operand_q = operand;
        self.p_q = p;
    }
}

impl Visit for Pe {
    #[inline]
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("operand_q", &mut self.operand_q);
        v.bits("tag_q", &mut self.tag_q);
        v.bits("p_q", &mut self.p_q);
        v.bits("psum_q", &mut self.psum_q);
        v.bits("stationary_q", &mut self.stationary_q);
    }
}
