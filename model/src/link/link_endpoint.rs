// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_endpoint.sv`.

use super::framer::{self, Framer};
use super::link_control::{ControlInputs, LinkControl};
use super::link_mailbox::LinkMailbox;
use super::link_rx::{self, LinkRx};
use super::link_tx::{self, LinkTx};
use super::types::{LINK_CHANNELS, LinkState, LinkWord, visit_words};
use crate::array::Geometry;
use crate::block::{Block, Uint, Visit, Visitor, Wide};

/// The channel of messages.
const LATENCY: usize = 1;

/// One end of the link.
#[derive(Clone, Debug)]
pub struct LinkEndpoint {
    framer: Framer,
    control: LinkControl,
    tx: LinkTx,
    rx: LinkRx,
    mailbox: LinkMailbox,
}

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

impl LinkEndpoint {
    /// An endpoint after reset, as the geometry wants it.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            framer: Framer::default(),
            control: LinkControl::default(),
            tx: LinkTx::new(geometry.selective),
            rx: LinkRx::new(geometry.selective),
            mailbox: LinkMailbox::default(),
        }
    }
}

impl Block for LinkEndpoint {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let words = self.rx.words();
        let framed = self.framer.outputs();
        let [crc_errors_o, asks_o, replays_o] = self.control.errors();
        let [losses_o, sessions_o] = self.control.sessions();
        Outputs {
            word_ready_o: self.tx.ready(self.control.accept()),
            word_valid_o: words.map(|word| word.is_some()),
            word_o: words.map(Option::unwrap_or_default),
            doorbell_o: self.mailbox.doorbell(),
            waiting_o: self.mailbox.waiting(),
            wire_data_o: framed.wire_data_o,
            wire_side_o: framed.wire_side_o,
            state_o: self.control.state(),
            drained_o: self.tx.drained(),
            crc_errors_o,
            asks_o,
            replays_o,
            stalls_o: self.control.stalls(),
            losses_o,
            sessions_o,
        }
    }

    fn clock(&mut self, i: &Inputs) {
        let framed = self.framer.outputs();
        let take = framed.take_o;
        let peer = self.control.peer(framed.flit_o);
        let drained = self.tx.drained();

        let tx = link_tx::Inputs {
            run_i: self.control.send(),
            accept_i: self.control.accept(),
            clear_i: self.control.clear(),
            kind_i: self.control.kind(drained),
            epoch_i: self.control.epoch(),
            nonce_i: self.control.nonce(),
            heard_i: self.control.heard(),
            heard_nonce_i: self.control.heard_nonce(),
            valid_i: i.word_valid_i,
            word_i: i.word_i,
            peer_i: peer,
            ack_i: self.rx.ack(),
            ask_i: self.rx.ask(),
            limit_i: self.rx.limits(),
            take_i: take,
            word_index_i: framed.tx_word_index_o,
        };
        let asked = self.tx.ask_taken(&tx);
        let rx = link_rx::Inputs {
            run_i: self.control.receive(),
            clear_i: self.control.clear(),
            word_i: framed.rx_word_valid_o.then_some((
                framed.rx_word_index_o,
                framed.rx_word_o,
                framed.rx_word_channel_o,
            )),
            flit_i: peer,
            ask_taken_i: asked,
            word_ready_i: i.word_ready_i,
        };
        let request = if take { self.tx.request(&tx) } else { Default::default() };
        let control = ControlInputs {
            enable: i.enable_i,
            nonce: i.nonce_i,
            flit: framed.flit_o,
            take,
            drained,
            asked,
            replayed: self.tx.replayed(&tx),
            stalled: self.tx.stalled(self.control.send()),
        };
        let mail = self.rx.pushed(&rx).filter(|(channel, _)| usize::from(channel.0) == LATENCY);
        let read = i.word_ready_i[LATENCY] && self.rx.words()[LATENCY].is_some();

        self.framer.clock(&framer::Inputs {
            request_i: request,
            tx_word_i: self.tx.word(framed.tx_word_index_o),
            wire_data_i: i.wire_data_i,
            wire_side_i: i.wire_side_i,
            epoch_i: self.control.epoch(),
            realign_i: self.control.realign(),
        });
        self.mailbox.advance(mail.map(|(_, words_last)| words_last), read);
        self.tx.advance(&tx);
        self.rx.clock(&rx);
        self.control.advance(&control);
    }

    fn reset(&mut self) {
        self.framer.reset();
        self.control = LinkControl::default();
        self.tx.reset();
        self.rx.reset();
        self.mailbox = LinkMailbox::default();
    }
}

impl Visit for LinkEndpoint {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_framer", None);
        self.framer.visit(v);
        v.leave();
        v.enter("u_control", None);
        self.control.visit(v);
        v.leave();
        v.enter("u_tx", None);
        self.tx.visit(v);
        v.leave();
        v.enter("u_rx", None);
        self.rx.visit(v);
        v.leave();
        v.enter("u_mailbox", None);
        self.mailbox.visit(v);
        v.leave();
    }
}
