// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/flit_rx.sv`.

use super::crc32c::{after_header, after_word, start};
use super::types::{Flit, FlitHeader, FlitKind, LinkWord};
use crate::block::{Bits, Uint, Visit, Visitor, Wide};

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
    /// Of the beats before.
    sides_q: [Uint<16>; 3],
    flit_q: Flit,
}

impl FlitRx {
    /// The header's lower half, from beat 0 on.
    fn first_header(&self) -> FlitHeader {
        let side = if self.beat().0 == 0 { self.side_q } else { self.sides_q[0] };
        FlitHeader::from_bits(side.to_bits())
    }

    /// The registered beat is the first of an init flit, by its looks.
    fn begins(&self) -> bool {
        self.first_header().kind == FlitKind::Init && self.data_q.0[1].0 == u64::from_le_bytes(MAGIC)
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

    /// Channel of the flit that the word is of, as received.
    #[must_use]
    pub fn word_channel(&self) -> Uint<2> {
        self.first_header().channel
    }

    /// The flit that was judged in the cycle before.
    #[must_use]
    pub fn flit(&self) -> Flit {
        self.flit_q
    }

    /// Whether the flit whose last beat is registered is good; `state` is that after its payload.
    fn judged(&self, state: Wide<32>) -> Flit {
        let [low, high, crc_low] = self.sides_q.map(Bits::to_bits);
        let header = FlitHeader::from_bits(high << 16 | low);
        let sent: Wide<32> = Wide(self.side_q.to_bits() << 16 | crc_low);
        Flit { valid: true, good: sent == Wide::from_bits(!after_header(state, header).0), header }
    }

    /// Advances by one clock.
    pub fn advance(&mut self, data: LinkWord, side: Uint<16>, epoch: Uint<8>, realign: bool) {
        let (aligned, beat) = (self.aligned(), self.beat());
        self.flit_q = Flit::default();
        self.beat_q = Uint(0);
        if aligned {
            let epoch = if self.first_header().kind == FlitKind::Init { Uint(0) } else { epoch };
            let before = if beat.0 == 0 { start(epoch) } else { self.crc_q };
            self.crc_q = after_word(before, &self.data_q);
            if beat.0 == 3 {
                self.flit_q = self.judged(self.crc_q);
            } else {
                self.sides_q[usize::from(beat.0)] = self.side_q;
            }
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
        v.bits("flit_q", &mut self.flit_q);
    }
}
