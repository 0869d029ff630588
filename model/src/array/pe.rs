// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/array/pe.sv`, for all lanes of a segment at once.
//!
//! A register of the 32 PEs is an array of plain integers here, and one clock is one loop over the lanes without
//! branches: the compiler makes vector instructions of it. [`Pes::visit`] puts a lane's registers together again.

#![expect(clippy::needless_range_loop, reason = "one loop over the lanes of several arrays")]

use super::types::{LaneByte, Operand, PeTag, Psum, SEGMENT_LANES};
use crate::block::{Bits, Format, Int, Uint, Visitor, low_u8, low_u16};

/// Numbers of the lanes.
const LANE: Lanes<i16> = {
    let mut lane = [0; SEGMENT_LANES];
    let mut c = 1;
    while c < SEGMENT_LANES {
        lane[c] = lane[c - 1] + 1;
        c += 1;
    }
    lane
};

/// A value of every lane.
type Lanes<T> = [T; SEGMENT_LANES];

/// One register of every lane, of lane `c` at `c + 1`, so that every lane finds its left neighbour's at `c`.
/// At 0 is what enters from the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chain<T>([T; SEGMENT_LANES + 1]);

impl<T: Copy + Default> Default for Chain<T> {
    fn default() -> Self {
        Self([T::default(); SEGMENT_LANES + 1])
    }
}

impl<T: Copy> Chain<T> {
    /// The register of lane `c`.
    #[inline(always)]
    const fn lane(&self, c: usize) -> T {
        self.0[c + 1]
    }

    /// What every lane sees at its left: `first` enters lane 0.
    #[inline(always)]
    fn enter(&mut self, first: T) -> Lanes<T> {
        self.0[0] = first;
        let mut left = [first; SEGMENT_LANES];
        left.copy_from_slice(&self.0[..SEGMENT_LANES]);
        left
    }

    /// Clocks the registers of all lanes.
    #[inline(always)]
    fn set(&mut self, lanes: &Lanes<T>) {
        self.0[1..].copy_from_slice(lanes);
    }
}

/// 32 processing elements in a chain: each two multipliers, two partial-sum chains.
#[derive(Clone, Debug, Default)]
pub struct Pes {
    operand_q: Operands,
    tag_q: Chain<Tag>,
    p_q: PBytes,
    psum_q: Psums,
    /// Two banks.
    stationary_q: [Signed; 2],
}

/// Operands of every lane.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    hi: Lanes<i16>,
    lo: Lanes<i16>,
}

/// p of every lane.
#[derive(Clone, Copy, Debug, Default)]
struct PBytes {
    hi: Chain<u8>,
    lo: Chain<u8>,
}

/// Stationary bytes of every lane.
#[derive(Clone, Copy, Debug, Default)]
struct Signed {
    hi: Lanes<i16>,
    lo: Lanes<i16>,
}

/// [`Psum`] of every lane.
#[derive(Clone, Copy, Debug, Default)]
struct Psums {
    hi: Chain<i32>,
    lo: Chain<i32>,
}

/// [`PeTag`] as the RTL packs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tag(u16);

/// Bits of a [`Tag`], from the most significant: mode (2), first, last, bank, load, load_bank, load_count (6).
impl Tag {
    const MODE_1: u32 = 12;
    const MODE_0: u32 = 11;
    const FIRST: u32 = 10;
    const LAST: u32 = 9;
    const BANK: u32 = 8;
    const LOAD: u32 = 7;
    const COUNT: u16 = 0x3F;

    /// All ones where the bit is set.
    #[inline(always)]
    const fn mask(self, bit: u32) -> i16 {
        (self.0 << (15 - bit)).cast_signed() >> 15
    }

    /// All ones in a PV beat.
    #[inline(always)]
    const fn is_pv(self) -> i16 {
        self.mask(Self::MODE_1) & self.mask(Self::MODE_0)
    }

    /// All ones in a GEMV or QK beat.
    #[inline(always)]
    const fn is_row_sum(self) -> i16 {
        self.mask(Self::MODE_1) ^ self.mask(Self::MODE_0)
    }

    fn unpacked(self) -> PeTag {
        PeTag::from_bits(u64::from(self.0))
    }
}

impl Bits for Tag {
    const WIDTH: u32 = PeTag::WIDTH;
    const FORMAT: Format = PeTag::FORMAT;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.0)
    }
    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self(low_u16(bits) & ((1 << Self::WIDTH) - 1))
    }
}

/// Two banks of stationary operands; bank 1 in the high bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Stationary(u32);

impl Bits for Stationary {
    const WIDTH: u32 = 2 * LaneByte::WIDTH;
    const FORMAT: Format = Format::Uint;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.0)
    }
    fn from_bits(bits: u64) -> Self {
        let [a, b, c, d, ..] = bits.to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]))
    }
}

impl Operands {
    /// Sets those of lane `c`.
    #[inline]
    pub fn set(&mut self, c: usize, operand: Operand) {
        let low = |half: i32| low_u16(u64::from(half.cast_unsigned())).cast_signed();
        (self.hi[c], self.lo[c]) = (low(operand.hi.0), low(operand.lo.0));
    }

    fn lane(&self, c: usize) -> Operand {
        Operand { hi: Int(i32::from(self.hi[c])), lo: Int(i32::from(self.lo[c])) }
    }
}

impl PBytes {
    #[inline]
    fn lane(&self, c: usize) -> LaneByte {
        LaneByte { hi: Uint(u16::from(self.hi.lane(c))), lo: Uint(u16::from(self.lo.lane(c))) }
    }
}

/// What the tags tell the lanes to do: all ones where they are to.
struct Steps {
    /// GEMV, QK: add to the partial sum from the left.
    ripple: Lanes<i16>,
    /// PV: multiply p.
    take_p: Lanes<i16>,
    /// PV but for the first token of a tile, or a bubble: add to the own partial sum.
    stay: Lanes<i16>,
    /// The stationary operand is bank 1's.
    bank: Lanes<i16>,
}

impl Steps {
    #[inline(always)]
    fn new(tag: &Lanes<Tag>) -> Self {
        let none = [0; SEGMENT_LANES];
        let mut steps = Self { ripple: none, take_p: none, stay: none, bank: none };
        for c in 0..SEGMENT_LANES {
            let (row_sum, pv) = (tag[c].is_row_sum(), tag[c].is_pv());
            steps.ripple[c] = row_sum;
            steps.take_p[c] = pv;
            steps.stay[c] = !(row_sum | (pv & tag[c].mask(Tag::FIRST)));
            steps.bank[c] = tag[c].mask(Tag::BANK);
        }
        steps
    }

    /// Products and sums of one chain, with the operands of before this clock. The product of a bubble is 0.
    #[inline(always)]
    fn accumulate(
        &self,
        psum: &mut Chain<i32>,
        stationary: [&Lanes<i16>; 2],
        p: &Lanes<u8>,
        operand: &Lanes<i16>,
    ) {
        let from_left = psum.enter(0);
        let mut next = [0; SEGMENT_LANES];
        for c in 0..SEGMENT_LANES {
            let left = (stationary[1][c] & self.bank[c]) | (stationary[0][c] & !self.bank[c]);
            let factor = (left & self.ripple[c]) | (i16::from(p[c]) & self.take_p[c]);
            let base = (from_left[c] & i32::from(self.ripple[c])) | (psum.lane(c) & i32::from(self.stay[c]));
            next[c] = base.wrapping_add(i32::from(factor).wrapping_mul(i32::from(operand[c])));
        }
        psum.set(&next);
    }
}

impl Pes {
    /// Operands for the row below.
    #[must_use]
    #[inline]
    pub fn operands(&self) -> &Operands {
        &self.operand_q
    }

    /// What the last lane hands on to the right: tag and p.
    #[must_use]
    #[inline]
    pub fn last(&self) -> (PeTag, LaneByte) {
        (self.tag_q.lane(SEGMENT_LANES - 1).unpacked(), self.p_q.lane(SEGMENT_LANES - 1))
    }

    /// Partial sums of lane `c`.
    #[must_use]
    #[inline]
    pub fn psum(&self, c: usize) -> Psum {
        Psum { hi: Int(self.psum_q.hi.lane(c)), lo: Int(self.psum_q.lo.lane(c)) }
    }

    /// Lanes whose last PV beat of a tile this was: how many, and one of them.
    #[must_use]
    #[inline]
    pub fn last_of_tile(&self) -> (i16, i16) {
        let (mut count, mut lane) = (0, 0);
        for c in 0..SEGMENT_LANES {
            let tag = self.tag_q.lane(c);
            let drives = tag.is_pv() & tag.mask(Tag::LAST);
            count -= drives;
            lane |= LANE[c] & drives;
        }
        (count, lane)
    }

    /// Advances by one clock: operands from above, the rest from the left.
    #[inline]
    pub fn clock(&mut self, operands: &Operands, tag: PeTag, p: LaneByte) {
        let mut tag = self.tag_q.enter(Tag(low_u16(tag.to_bits())));
        let p_hi = self.p_q.hi.enter(low_u8(p.hi.to_bits()));
        let p_lo = self.p_q.lo.enter(low_u8(p.lo.to_bits()));
        let any = |bits: u16| tag.iter().fold(0, |any, tag| any | tag.0) & bits != 0;
        // Products and sums
        if any(1 << Tag::MODE_1 | 1 << Tag::MODE_0) {
            let steps = Steps::new(&tag);
            let [bank_0, bank_1] = &self.stationary_q;
            steps.accumulate(&mut self.psum_q.hi, [&bank_0.hi, &bank_1.hi], &p_hi, &operands.hi);
            steps.accumulate(&mut self.psum_q.lo, [&bank_0.lo, &bank_1.lo], &p_lo, &operands.lo);
        }
        // Loads
        if any(1 << Tag::LOAD) {
            self.load(&mut tag, &p_hi, &p_lo);
        }
        self.tag_q.set(&tag);
        self.operand_q = *operands;
        self.p_q.hi.set(&p_hi);
        self.p_q.lo.set(&p_lo);
    }

    /// Takes p where a load's count is 0, and counts the other loads down.
    fn load(&mut self, tag: &mut Lanes<Tag>, p_hi: &Lanes<u8>, p_lo: &Lanes<u8>) {
        let arrives = |tag: Tag| tag.mask(Tag::LOAD) != 0 && tag.0 & Tag::COUNT == 0;
        if tag.iter().fold(false, |any, &tag| any | arrives(tag)) {
            for (c, tag) in tag.iter().enumerate().filter(|&(_, &tag)| arrives(tag)) {
                let bank = &mut self.stationary_q[usize::from(tag.unpacked().load_bank)];
                let signed = |byte: u8| i16::from(byte.cast_signed());
                (bank.hi[c], bank.lo[c]) = (signed(p_hi[c]), signed(p_lo[c]));
            }
        }
        for tag in tag {
            // The load bit goes, or the count falls.
            let less = if tag.0 & Tag::COUNT == 0 { 1 << Tag::LOAD } else { 1 };
            tag.0 -= less & tag.mask(Tag::LOAD).cast_unsigned();
        }
    }

    /// Walks the registers of lane `c`.
    #[inline]
    pub fn visit<V: Visitor>(&mut self, c: usize, v: &mut V) {
        v.bits("operand_q", &mut self.operand_q.lane(c));
        v.bits("tag_q", &mut self.tag_q.lane(c));
        v.bits("p_q", &mut self.p_q.lane(c));
        v.bits("psum_q", &mut self.psum(c));
        let [bank_0, bank_1] = &self.stationary_q;
        let bytes =
            [bank_0.lo[c], bank_0.hi[c], bank_1.lo[c], bank_1.hi[c]].map(|byte| byte.to_le_bytes()[0]);
        v.bits("stationary_q", &mut Stationary(u32::from_le_bytes(bytes)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::types::Mode;

    #[test]
    fn bits_of_a_tag_lie_where_the_rtl_packs_them() {
        let tag = |tag: PeTag| Tag(low_u16(tag.to_bits()));
        let none = PeTag::default();
        assert_eq!(tag(PeTag { first: true, ..none }).0, 1 << Tag::FIRST);
        assert_eq!(tag(PeTag { last: true, ..none }).0, 1 << Tag::LAST);
        assert_eq!(tag(PeTag { bank: true, ..none }).0, 1 << Tag::BANK);
        assert_eq!(tag(PeTag { load: true, ..none }).0, 1 << Tag::LOAD);
        assert_eq!(tag(PeTag { load_count: Uint(63), ..none }).0, Tag::COUNT);
        for mode in [Mode::Idle, Mode::Gemv, Mode::Qk, Mode::Pv] {
            let tag = tag(PeTag { mode, ..none });
            assert_eq!(tag.is_row_sum() != 0, mode.is_row_sum());
            assert_eq!(tag.is_pv() != 0, mode == Mode::Pv);
            assert_eq!(u64::from(tag.0 >> Tag::MODE_0), mode.to_bits());
        }
    }
}
