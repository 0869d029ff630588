// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/framer.sv`.

use super::flit_rx::FlitRx;
use super::flit_tx::FlitTx;
use super::types::{Flit, FlitRequest, LinkWord};
use crate::block::{Block, Uint, Visit, Visitor};

/// A transmitter and a receiver of flits.
#[derive(Clone, Debug, Default)]
pub struct Framer {
    tx: FlitTx,
    rx: FlitRx,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The next flit; looked at while `take_o` is high.
    pub request_i: FlitRequest,
    /// The word that `tx_word_index_o` asks for.
    pub tx_word_i: LinkWord,
    /// The wire in: data.
    pub wire_data_i: LinkWord,
    /// The wire in: header and CRC.
    pub wire_side_i: Uint<16>,
    /// Epoch of the session; looked at while the first word of a flit is shown.
    pub epoch_i: Uint<8>,
    /// Look for the beginning of a flit again.
    pub realign_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// The next flit is asked for.
    pub take_o: bool,
    /// Which word of the payload is wanted.
    pub tx_word_index_o: Uint<2>,
    /// The wire out: data.
    pub wire_data_o: LinkWord,
    /// The wire out: header and CRC.
    pub wire_side_o: Uint<16>,
    /// There is a word.
    pub rx_word_valid_o: bool,
    /// Which of its flit.
    pub rx_word_index_o: Uint<2>,
    /// The word.
    pub rx_word_o: LinkWord,
    /// Channel of its flit, as received.
    pub rx_word_channel_o: Uint<2>,
    /// A flit whose words have come.
    pub flit_o: Flit,
    /// It is known where flits begin.
    pub aligned_o: bool,
}

impl Block for Framer {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (wire_data_o, wire_side_o) = self.tx.wire();
        Outputs {
            take_o: self.tx.take(),
            tx_word_index_o: self.tx.word_index(),
            wire_data_o,
            wire_side_o,
            rx_word_valid_o: self.rx.aligned(),
            rx_word_index_o: self.rx.beat(),
            rx_word_o: self.rx.word(),
            rx_word_channel_o: self.rx.word_channel(),
            flit_o: self.rx.flit(),
            aligned_o: self.rx.aligned(),
        }
    }

    fn clock(&mut self, i: &Inputs) {
        self.tx.advance(i.request_i, i.tx_word_i);
        self.rx.advance(i.wire_data_i, i.wire_side_i, i.epoch_i, i.realign_i);
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for Framer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_tx", None);
        self.tx.visit(v);
        v.leave();
        v.enter("u_rx", None);
        self.rx.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("request_i", &mut self.request_i);
        v.packed("tx_word_i", &mut self.tx_word_i.0);
        v.packed("wire_data_i", &mut self.wire_data_i.0);
        v.bits("wire_side_i", &mut self.wire_side_i);
        v.bits("epoch_i", &mut self.epoch_i);
        v.bits("realign_i", &mut self.realign_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("take_o", &mut self.take_o);
        v.bits("tx_word_index_o", &mut self.tx_word_index_o);
        v.packed("wire_data_o", &mut self.wire_data_o.0);
        v.bits("wire_side_o", &mut self.wire_side_o);
        v.bits("rx_word_valid_o", &mut self.rx_word_valid_o);
        v.bits("rx_word_index_o", &mut self.rx_word_index_o);
        v.packed("rx_word_o", &mut self.rx_word_o.0);
        v.bits("rx_word_channel_o", &mut self.rx_word_channel_o);
        v.bits("flit_o", &mut self.flit_o);
        v.bits("aligned_o", &mut self.aligned_o);
    }
}
