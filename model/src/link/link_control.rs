// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_control.sv`.

use super::types::{Flit, FlitKind, LINK_CHANNELS, LOSS_TIMEOUT, LinkState};
use crate::block::{Uint, Visit, Visitor, Wide};

/// Close flits that are sent when all is said.
const FAREWELLS: u16 = 4;

/// Brings a session up, watches it, takes it down, and counts what happens on the way.
#[derive(Clone, Debug, Default)]
pub struct LinkControl {
    state_q: LinkState,
    nonce_q: Uint<7>,
    heard_q: bool,
    heard_nonce_q: Uint<7>,
    epoch_q: Uint<8>,
    timer_q: Uint<9>,
    alternate_q: bool,
    closed_q: bool,
    farewells_q: Uint<3>,
    crc_errors_q: Wide<32>,
    asks_q: Wide<32>,
    replays_q: Wide<32>,
    stalls_q: [Wide<32>; LINK_CHANNELS],
    losses_q: Wide<32>,
    sessions_q: Wide<32>,
}

/// Inputs of a clock.
#[derive(Clone, Copy, Debug)]
pub struct ControlInputs {
    /// A session is wanted.
    pub enable: bool,
    /// Nonce of the next session.
    pub nonce: Uint<7>,
    /// A flit that was received.
    pub flit: Flit,
    /// The transmitter takes a flit.
    pub take: bool,
    /// Nothing is left to be sent or acknowledged.
    pub drained: bool,
    /// Event: the peer was asked for a flit.
    pub asked: bool,
    /// Event: a flit was sent again.
    pub replayed: bool,
    /// Events: a flit had to wait, by channel.
    pub stalled: [bool; LINK_CHANNELS],
}

fn count(counter: &mut Wide<32>, event: bool) {
    counter.0 = (counter.0 + u64::from(event)).min(u64::from(u32::MAX));
}

impl LinkControl {
    /// State of the session.
    #[must_use]
    pub fn state(&self) -> LinkState {
        self.state_q
    }

    /// Kind of the flits without data.
    #[must_use]
    pub fn kind(&self, drained: bool) -> FlitKind {
        match self.state_q {
            LinkState::Init => FlitKind::Init,
            LinkState::Ready if self.alternate_q => FlitKind::Init,
            LinkState::Ready => FlitKind::Ready,
            LinkState::Closing if drained => FlitKind::Close,
            _ => FlitKind::Idle,
        }
    }

    /// Epoch of the session; 0 outside.
    #[must_use]
    pub fn epoch(&self) -> Uint<8> {
        self.epoch_q
    }

    /// Nonce of this end.
    #[must_use]
    pub fn nonce(&self) -> Uint<7> {
        self.nonce_q
    }

    /// The peer's nonce is known.
    #[must_use]
    pub fn heard(&self) -> bool {
        self.heard_q
    }

    /// Nonce of the peer.
    #[must_use]
    pub fn heard_nonce(&self) -> Uint<7> {
        self.heard_nonce_q
    }

    /// Data flits may go.
    #[must_use]
    pub fn send(&self) -> bool {
        matches!(self.state_q, LinkState::Up | LinkState::Closing)
    }

    /// New words may come in.
    #[must_use]
    pub fn accept(&self) -> bool {
        self.state_q == LinkState::Up
    }

    /// Flits of the session are listened to.
    #[must_use]
    pub fn receive(&self) -> bool {
        matches!(self.state_q, LinkState::Ready | LinkState::Up | LinkState::Closing)
    }

    /// What is left of the session before is dropped.
    #[must_use]
    pub fn clear(&self) -> bool {
        self.state_q == LinkState::Down
    }

    /// The receiver looks for the beginning of a flit again.
    #[must_use]
    pub fn realign(&self) -> bool {
        self.state_q == LinkState::Down || (self.state_q == LinkState::Init && self.expired())
    }

    fn expired(&self) -> bool {
        u32::from(self.timer_q.0) == LOSS_TIMEOUT - 1
    }

    /// The flit when it is good and of the session.
    #[must_use]
    pub fn peer(&self, flit: Flit) -> Flit {
        let ours = flit.good && flit.header.kind != FlitKind::Init && self.receive();
        Flit { valid: flit.valid && ours, ..flit }
    }

    /// Counters: CRC errors, asks, replays.
    #[must_use]
    pub fn errors(&self) -> [Wide<32>; 3] {
        [self.crc_errors_q, self.asks_q, self.replays_q]
    }

    /// Counters: stalls by channel.
    #[must_use]
    pub fn stalls(&self) -> [Wide<32>; LINK_CHANNELS] {
        self.stalls_q
    }

    /// Counters: losses, sessions.
    #[must_use]
    pub fn sessions(&self) -> [Wide<32>; 2] {
        [self.losses_q, self.sessions_q]
    }

    /// Advances by one clock.
    pub fn advance(&mut self, i: &ControlInputs) {
        let (header, peer) = (i.flit.header, self.peer(i.flit));
        let init = i.flit.valid && i.flit.good && header.kind == FlitKind::Init;
        let answered = header.nak && header.ack == self.nonce_q;
        let ours = answered && header.number == self.heard_nonce_q;
        let (expired, received) = (self.expired(), self.receive());
        let over = (init && !ours) || expired;
        let lost =
            over && (self.state_q == LinkState::Up || (self.state_q == LinkState::Closing && !i.drained));
        let closes = peer.valid && peer.header.kind == FlitKind::Close;
        let before = self.state_q;

        match before {
            LinkState::Init => {
                if init {
                    self.heard_q = true;
                    self.heard_nonce_q = header.number;
                    if answered {
                        self.state_q = LinkState::Ready;
                        self.epoch_q = Uint((self.nonce_q.0 ^ header.number.0) << 1 | 1);
                    }
                }
                if !i.enable {
                    self.state_q = LinkState::Down;
                }
            }
            LinkState::Ready => {
                self.alternate_q ^= i.take;
                if peer.valid {
                    self.state_q = LinkState::Up;
                }
                if over {
                    self.state_q = LinkState::Down;
                }
            }
            LinkState::Up => {
                self.closed_q |= closes;
                if self.closed_q || !i.enable {
                    self.state_q = LinkState::Closing;
                }
                if over {
                    self.state_q = LinkState::Down;
                }
            }
            LinkState::Closing => {
                if over || self.farewells_q.0 == FAREWELLS {
                    self.state_q = LinkState::Down;
                }
                self.farewells_q.0 += u16::from(self.closed_q && i.drained && i.take);
                self.closed_q |= closes;
            }
            _ => {
                if i.enable {
                    self.state_q = LinkState::Init;
                    self.nonce_q = i.nonce;
                }
            }
        }
        if self.state_q == LinkState::Down {
            self.heard_q = false;
            self.epoch_q = Uint(0);
            self.alternate_q = false;
            self.closed_q = false;
            self.farewells_q = Uint(0);
        }

        let heard_something = init || peer.valid || before == LinkState::Down;
        self.timer_q.0 = if heard_something || expired { 0 } else { self.timer_q.0 + 1 };

        count(&mut self.crc_errors_q, received && i.flit.valid && !i.flit.good);
        count(&mut self.asks_q, i.asked);
        count(&mut self.replays_q, i.replayed);
        for (counter, stalled) in self.stalls_q.iter_mut().zip(i.stalled) {
            count(counter, stalled);
        }
        count(&mut self.losses_q, lost);
        count(&mut self.sessions_q, before == LinkState::Ready && self.state_q == LinkState::Up);
    }
}

impl Visit for LinkControl {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("state_q", &mut self.state_q);
        v.bits("nonce_q", &mut self.nonce_q);
        v.bits("heard_q", &mut self.heard_q);
        v.bits("heard_nonce_q", &mut self.heard_nonce_q);
        v.bits("epoch_q", &mut self.epoch_q);
        v.bits("timer_q", &mut self.timer_q);
        v.bits("alternate_q", &mut self.alternate_q);
        v.bits("closed_q", &mut self.closed_q);
        v.bits("farewells_q", &mut self.farewells_q);
        v.bits("crc_errors_q", &mut self.crc_errors_q);
        v.bits("asks_q", &mut self.asks_q);
        v.bits("replays_q", &mut self.replays_q);
        v.packed("stalls_q", &mut self.stalls_q);
        v.bits("losses_q", &mut self.losses_q);
        v.bits("sessions_q", &mut self.sessions_q);
    }
}
