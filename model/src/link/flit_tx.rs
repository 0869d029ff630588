// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/flit_tx.sv`.

use super::crc32c::after_header;
use super::types::{FlitHeader, FlitRequest, LinkWord};
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};

/// Sends flits back to back, four beats each.
#[derive(Clone, Debug, Default)]
pub struct FlitTx {
    left_q: Uint<2>,
    header_q: FlitHeader,
    crc_q: Wide<32>,
    wire_data_q: LinkWord,
    wire_side_q: Uint<16>,
}

impl FlitTx {
    /// The next flit is asked for.
    #[must_use]
    pub fn take(&self) -> bool {
        self.left_q.0 == 0
    }

    /// Which word of the payload is wanted.
    #[must_use]
    pub fn word_index(&self) -> Uint<2> {
        Uint(3 - self.left_q.0)
    }

    /// The wire: data and side.
    #[must_use]
    pub fn wire(&self) -> (LinkWord, Uint<16>) {
        (self.wire_data_q, self.wire_side_q)
    }

    /// Advances by one clock.
    pub fn advance(&mut self, request: FlitRequest, word: LinkWord) {
        let index = self.word_index().0;
        let sides = self.crc_q.0 << 32 | self.header_q.to_bits();
        self.wire_data_q = word;
        self.wire_side_q = Uint(low_u16(sides >> (16 * index)));
        if index == 0 {
            self.crc_q = Wide::from_bits(!after_header(self.crc_q, self.header_q).0);
        }
        if self.take() {
            self.header_q = request.header;
            self.crc_q = request.payload_crc;
        }
        self.left_q = Uint((self.left_q.0 + 3) % 4);
    }
}

impl Visit for FlitTx {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("left_q", &mut self.left_q);
        v.bits("header_q", &mut self.header_q);
        v.bits("crc_q", &mut self.crc_q);
        v.packed("wire_data_q", &mut self.wire_data_q.0);
        v.bits("wire_side_q", &mut self.wire_side_q);
    }
}
