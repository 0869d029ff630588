// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/flit_rx.sv`.

use super::crc32c::{after_header, after_word};
use super::types::{Flit, FlitHeader, FlitKind, LinkWord};
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u8};

/// Bytes 8 to 15 of an init flit's payload: `TANDEMLK`.
pub const MAGIC: [u8; 8] = *b"TANDEMLK";

/// Receives flits and checks their CRC.
#[derive(Clone, Debug, Default)]
pub struct FlitRx {
    data_q: LinkWord,
    side_q: Uint<16>,
    aligned_q: bool,
    beat_q: Uint<2>,
    crc_q: Wide<32>,
    sides_q: [Uint<16>; 4],
    ended_q: bool,
    flit_q: Flit,
}

impl FlitRx {
    /// The registered beat is the first of an init flit, by its looks.
    fn begins(&self) -> bool {
        FlitHeader::from_bits(self.side_q.to_bits()).kind == FlitKind::Init
            && self.data_q.0[1].0 == u64::from_le_bytes(MAGIC)
    }

    /// It is known where flits begin.
    #[must_use]
    pub fn aligned(&self) -> bool {
        self.aligned_q || self.begins()
    }

    /// The beat of its flit that the registered one is.
    #[must_use]
    pub fn beat(&self) -> Uint<2> {
        if self.aligned_q { self.beat_q } else { Uint(0) }
    }

    /// The registered word.
    #[must_use]
    pub fn word(&self) -> LinkWord {
        self.data_q
    }

    /// The flit that was judged in the cycle before.
    #[must_use]
    pub fn flit(&self) -> Flit {
        self.flit_q
    }

    /// Whether the flit in the registers is good.
    fn judged(&self, epoch: Uint<8>) -> Flit {
        let [low, high, crc_low, crc_high] = self.sides_q.map(|half| half.to_bits());
        let header = FlitHeader::from_bits(high << 16 | low);
        let epoch = if header.kind == FlitKind::Init { 0 } else { low_u8(epoch.to_bits()) };
        let state = after_header(self.crc_q, header, epoch);
        Flit { valid: true, good: Wide::<32>(crc_high << 16 | crc_low) == Wide::from_bits(!state.0), header }
    }

    /// Advances by one clock.
    pub fn advance(&mut self, data: LinkWord, side: Uint<16>, epoch: Uint<8>, realign: bool) {
        let (aligned, beat) = (self.aligned(), self.beat());
        self.flit_q = if self.ended_q { self.judged(epoch) } else { Flit::default() };
        self.beat_q = Uint(0);
        self.ended_q = false;
        if aligned {
            let before = if beat.0 == 0 { Wide(0xFFFF_FFFF) } else { self.crc_q };
            self.crc_q = after_word(before, &self.data_q);
            self.sides_q[usize::from(beat.0)] = self.side_q;
            self.ended_q = beat.0 == 3;
            self.beat_q = Uint((beat.0 + 1) % 4);
        }
        self.aligned_q = aligned && !realign;
        self.data_q = data;
        self.side_q = side;
    }
}

impl Visit for FlitRx {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("data_q", &mut self.data_q.0);
        v.bits("side_q", &mut self.side_q);
        v.bits("aligned_q", &mut self.aligned_q);
        v.bits("beat_q", &mut self.beat_q);
        v.bits("crc_q", &mut self.crc_q);
        v.packed("sides_q", &mut self.sides_q);
        v.bits("ended_q", &mut self.ended_q);
        v.bits("flit_q", &mut self.flit_q);
    }
}
