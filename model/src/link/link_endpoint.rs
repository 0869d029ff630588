// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_endpoint.sv`.

use super::types::{LINK_CHANNELS, LinkState, LinkWord, visit_words};
use crate::block::{Uint, Visit, Visitor, Wide};

/// Input ports. Arrays are by channel: control, latency, bulk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// A session is wanted.
    pub enable_i: bool,
    /// Looked at when a session is begun; should differ from the one of the session before, also over a reset.
    pub nonce_i: Uint<7>,
    /// There is a word to be sent.
    pub word_valid_i: [bool; LINK_CHANNELS],
    /// The word.
    pub word_i: [LinkWord; LINK_CHANNELS],
    /// The received word is read.
    pub word_ready_i: [bool; LINK_CHANNELS],
    /// The wire in: data.
    pub wire_data_i: LinkWord,
    /// The wire in: header and CRC.
    pub wire_side_i: Uint<16>,
}

/// Output ports. Arrays are by channel: control, latency, bulk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A word is taken in.
    pub word_ready_o: [bool; LINK_CHANNELS],
    /// There is a received word.
    pub word_valid_o: [bool; LINK_CHANNELS],
    /// The word; 0 when there is none.
    pub word_o: [LinkWord; LINK_CHANNELS],
    /// A message has come on the latency channel.
    pub doorbell_o: bool,
    /// Messages on the latency channel that have not been read.
    pub waiting_o: Uint<7>,
    /// The wire out: data.
    pub wire_data_o: LinkWord,
    /// The wire out: header and CRC.
    pub wire_side_o: Uint<16>,
    /// State of the session.
    pub state_o: LinkState,
    /// Nothing that was taken in waits to be sent or acknowledged.
    pub drained_o: bool,
    /// Flits with a wrong CRC.
    pub crc_errors_o: Wide<32>,
    /// Times that the peer was asked for a flit.
    pub asks_o: Wide<32>,
    /// Flits that were sent again.
    pub replays_o: Wide<32>,
    /// Cycles in which a channel had a flit and could not send it for want of credit or window.
    pub stalls_o: [Wide<32>; LINK_CHANNELS],
    /// Sessions that were lost.
    pub losses_o: Wide<32>,
    /// Sessions that came up.
    pub sessions_o: Wide<32>,
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("enable_i", &mut self.enable_i);
        v.bits("nonce_i", &mut self.nonce_i);
        v.packed("word_valid_i", &mut self.word_valid_i);
        visit_words(v, "word_i", &mut self.word_i);
        v.packed("word_ready_i", &mut self.word_ready_i);
        v.packed("wire_data_i", &mut self.wire_data_i.0);
        v.bits("wire_side_i", &mut self.wire_side_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("word_ready_o", &mut self.word_ready_o);
        v.packed("word_valid_o", &mut self.word_valid_o);
        visit_words(v, "word_o", &mut self.word_o);
        v.bits("doorbell_o", &mut self.doorbell_o);
        v.bits("waiting_o", &mut self.waiting_o);
        v.packed("wire_data_o", &mut self.wire_data_o.0);
        v.bits("wire_side_o", &mut self.wire_side_o);
        v.bits("state_o", &mut self.state_o);
        v.bits("drained_o", &mut self.drained_o);
        v.bits("crc_errors_o", &mut self.crc_errors_o);
        v.bits("asks_o", &mut self.asks_o);
        v.bits("replays_o", &mut self.replays_o);
        v.packed("stalls_o", &mut self.stalls_o);
        v.bits("losses_o", &mut self.losses_o);
        v.bits("sessions_o", &mut self.sessions_o);
    }
}
