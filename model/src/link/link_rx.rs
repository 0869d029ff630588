// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_rx.sv`.

use super::flit_queue::{Actions, FlitQueue, Push};
use super::types::{
    CREDIT_BITS, Flit, FlitAsk, FlitKind, LINK_CHANNELS, LinkWord, REPLAY_DEPTH, RETRY_TIMEOUT, SEQUENCE_BITS,
};
use crate::block::{Bits, Uint, Visit, Visitor, Wide};
use crate::packed_struct;

/// Number of a flit.
type Number = Uint<SEQUENCE_BITS>;

packed_struct! {
    /// A flit that waits for its turn.
    struct Place {
        /// Whose queue it lies in.
        channel: Uint<2>,
        /// Where.
        slot: Uint<6>,
        /// Its words, less one.
        words_last: Uint<2>,
    }
}

/// What becomes of received flits.
#[derive(Clone, Debug)]
pub struct LinkRx {
    wanted_q: Number,
    seen_q: Number,
    ask_q: Number,
    retry_q: Uint<8>,
    /// `None`: go-back-N.
    reorder: Option<Reorder>,
    control: FlitQueue<16, 4>,
    latency: FlitQueue<16, 4>,
    bulk: FlitQueue<64, 6>,
}

/// Flits that came early, by the lower bits of their number.
#[derive(Clone, Debug)]
struct Reorder {
    present_q: Wide<64>,
    place_q: Vec<Place>,
    written: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// A session is on.
    pub run_i: bool,
    /// It is forgotten.
    pub clear_i: bool,
    /// A word: which of its flit, what, and of which channel.
    pub word_i: Option<(Uint<2>, LinkWord, Uint<2>)>,
    /// The flit that was judged.
    pub flit_i: Flit,
    /// The ask is on its way.
    pub ask_taken_i: bool,
    /// By channel: a word that is offered is taken.
    pub word_ready_i: [bool; LINK_CHANNELS],
}

/// What is done about a cycle's flit.
#[derive(Clone, Copy, Default, Debug)]
struct Decision {
    /// It is the wanted one.
    in_turn: bool,
    /// It has to wait for its turn.
    early: bool,
    /// Where it lies.
    place: Place,
    /// The number that the peer has come to.
    told: Option<Number>,
}

/// How far `number` is ahead of `from`.
fn distance(from: Number, number: Number) -> u16 {
    number.0.wrapping_sub(from.0) & ((1 << SEQUENCE_BITS) - 1)
}

fn after(number: Number) -> Number {
    Uint::from_bits(u64::from(number.0) + 1)
}

fn entry(number: Number) -> usize {
    usize::from(number.0) % REPLAY_DEPTH
}

impl Reorder {
    fn present(&self, number: Number) -> bool {
        self.present_q.0 >> entry(number) & 1 == 1
    }
}

impl LinkRx {
    /// A receiver that has received nothing.
    #[must_use]
    pub fn new(selective: bool) -> Self {
        let reorder = Reorder {
            present_q: Wide(0),
            place_q: vec![Place::default(); REPLAY_DEPTH],
            written: vec![false; REPLAY_DEPTH],
        };
        Self {
            wanted_q: Uint(0),
            seen_q: Uint(0),
            ask_q: Uint(0),
            retry_q: Uint(0),
            reorder: selective.then_some(reorder),
            control: FlitQueue::default(),
            latency: FlitQueue::default(),
            bulk: FlitQueue::default(),
        }
    }

    /// The flit of this number waits for its turn.
    fn present(&self, number: Number) -> bool {
        self.reorder.as_ref().is_some_and(|reorder| reorder.present(number))
    }

    /// The next flit that is wanted.
    #[must_use]
    pub const fn ack(&self) -> Number {
        self.wanted_q
    }

    /// A flit that is missing.
    #[must_use]
    pub fn ask(&self) -> FlitAsk {
        FlitAsk { valid: self.ask_q != self.seen_q && !self.present(self.ask_q), number: self.ask_q }
    }

    /// By channel, how many flits may have been sent in the session.
    #[must_use]
    pub fn limits(&self) -> [Uint<CREDIT_BITS>; LINK_CHANNELS] {
        [self.control.limit(), self.latency.limit(), self.bulk.limit()]
    }

    /// By channel, the oldest word that has not been read.
    #[must_use]
    pub fn words(&self) -> [Option<LinkWord>; LINK_CHANNELS] {
        [self.control.word(), self.latency.word(), self.bulk.word()]
    }

    /// Slot where the last flit of a channel has landed, if it may be kept.
    fn landed(&self, channel: Uint<2>) -> Option<u16> {
        match channel.0 {
            0 => self.control.landed(),
            1 => self.latency.landed(),
            2 => self.bulk.landed(),
            _ => None,
        }
    }

    fn decide(&self, i: &Inputs) -> Decision {
        let header = i.flit_i.header;
        if !(i.run_i && !i.clear_i && i.flit_i.valid && i.flit_i.good) {
            return Decision::default();
        }
        match (header.kind, self.landed(header.channel)) {
            (FlitKind::Data, Some(slot)) => {
                let ahead = distance(self.wanted_q, header.number);
                let absent = !self.present(header.number);
                Decision {
                    in_turn: ahead == 0 && absent,
                    early: self.reorder.is_some()
                        && (1..REPLAY_DEPTH).contains(&usize::from(ahead))
                        && absent,
                    place: Place { channel: header.channel, slot: Uint(slot), words_last: header.words_last },
                    told: Some(after(header.number)),
                }
            }
            (FlitKind::Idle | FlitKind::Ready | FlitKind::Close, _) => {
                Decision { told: Some(header.number), ..Decision::default() }
            }
            _ => Decision::default(),
        }
    }

    /// The flit whose turn it is, if it is there: it waited, or comes in this cycle.
    fn turn(&self, i: &Inputs, decision: &Decision) -> Option<Place> {
        match &self.reorder {
            Some(reorder) if reorder.present(self.wanted_q) => {
                (!i.clear_i).then(|| reorder.place_q[entry(self.wanted_q)])
            }
            _ => decision.in_turn.then_some(decision.place),
        }
    }

    /// A flit that is pushed in this cycle: its channel, its words less one.
    #[must_use]
    pub fn pushed(&self, i: &Inputs) -> Option<(Uint<2>, Uint<2>)> {
        self.turn(i, &self.decide(i)).map(|place| (place.channel, place.words_last))
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs) {
        assert!(!i.ask_taken_i || self.ask().valid, "INV_LRX_3");
        let decision = self.decide(i);
        let turn = self.turn(i, &decision);
        let keep = decision.in_turn || decision.early;
        let actions: [Actions; LINK_CHANNELS] = std::array::from_fn(|c| {
            let here = |channel: Uint<2>| usize::from(channel.0) == c;
            let push = turn.filter(|place| here(place.channel));
            Actions {
                clear: i.clear_i,
                word: i.word_i.filter(|(.., channel)| here(*channel)).map(|(index, word, _)| (index, word)),
                keep: keep && here(decision.place.channel),
                push: push.map(|place| Push { slot: place.slot.0, words_last: place.words_last }),
                ready: i.word_ready_i[c],
            }
        });
        self.control.clock(&actions[0]);
        self.latency.clock(&actions[1]);
        self.bulk.clock(&actions[2]);
        if i.clear_i {
            self.forget();
            return;
        }
        self.count(i, &decision, turn.is_some());
    }

    /// The numbers, in a cycle in which the session goes on.
    fn count(&mut self, i: &Inputs, decision: &Decision, progress: bool) {
        let (wanted, ask) = (self.wanted_q, self.ask_q);
        let (waiting, timeout) = (ask != wanted, u32::from(self.retry_q.0) == RETRY_TIMEOUT - 1);
        let skipped = ask != self.seen_q && self.present(ask);
        self.retry_q = Uint(if !waiting || progress || timeout { 0 } else { self.retry_q.0 + 1 });
        if let Some(reorder) = &mut self.reorder {
            if decision.early {
                let at = entry(i.flit_i.header.number);
                reorder.present_q.0 |= 1 << at;
                reorder.place_q[at] = decision.place;
                reorder.written[at] = true;
            }
            if progress {
                reorder.present_q.0 &= !(1 << entry(wanted));
            }
        }
        if progress {
            self.wanted_q = after(wanted);
        }
        if let Some(told) = decision.told {
            let ahead = distance(wanted, told);
            if usize::from(ahead) <= REPLAY_DEPTH && ahead > distance(wanted, self.seen_q) {
                self.seen_q = told;
            }
        }
        if self.reorder.is_some() {
            if i.ask_taken_i || skipped {
                self.ask_q = after(ask);
            }
            if progress && !waiting {
                self.ask_q = self.wanted_q;
            }
        } else {
            if progress {
                self.seen_q = self.wanted_q;
            }
            if i.ask_taken_i || waiting || progress {
                self.ask_q = self.seen_q;
            }
        }
        if timeout && !progress {
            self.ask_q = wanted;
        }
        assert!(usize::from(distance(self.wanted_q, self.seen_q)) <= REPLAY_DEPTH, "INV_LRX_1");
        assert!(distance(self.wanted_q, self.ask_q) <= distance(self.wanted_q, self.seen_q), "INV_LRX_2");
        let either = self.ask_q == self.wanted_q || self.ask_q == self.seen_q;
        assert!(self.reorder.is_some() || either, "INV_LRX_4");
    }

    /// The session ends: its numbers are forgotten.
    fn forget(&mut self) {
        (self.wanted_q, self.seen_q, self.ask_q, self.retry_q) = (Uint(0), Uint(0), Uint(0), Uint(0));
        if let Some(reorder) = &mut self.reorder {
            reorder.present_q = Wide(0);
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        self.forget();
        self.control.reset();
        self.latency.reset();
        self.bulk.reset();
    }
}

impl Visit for LinkRx {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("wanted_q", &mut self.wanted_q);
        v.bits("seen_q", &mut self.seen_q);
        v.bits("ask_q", &mut self.ask_q);
        v.bits("retry_q", &mut self.retry_q);
        if let Some(reorder) = &mut self.reorder {
            v.enter("gen_reorder", None);
            v.bits("present_q", &mut reorder.present_q);
            v.memory("place_q", &mut reorder.place_q, &mut reorder.written);
            v.leave();
        }
        visit_queue(v, 0, &mut self.control);
        visit_queue(v, 1, &mut self.latency);
        visit_queue(v, 2, &mut self.bulk);
    }
}

fn visit_queue<V: Visitor, const SLOTS: u32, const BITS: u32>(
    v: &mut V,
    channel: usize,
    queue: &mut FlitQueue<SLOTS, BITS>,
) {
    v.enter("gen_channel", Some(channel));
    v.enter("u_queue", None);
    queue.visit(v);
    v.leave();
    v.leave();
}
