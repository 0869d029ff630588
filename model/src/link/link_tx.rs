// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_tx.sv`.

use super::crc32c::{after_word, start};
use super::crc32c_zeros::Crc32cZeros;
use super::flit_packer::FlitPacker;
use super::flit_rx::MAGIC;
use super::replay_buffer::{ReplayBuffer, Step};
use super::types::{
    CREDIT_BITS, FLIT_WORDS, Flit, FlitAsk, FlitHeader, FlitKind, FlitRequest, LINK_CHANNELS,
    LINK_WORD_BYTES, LinkWord, ReplayEntry, SEQUENCE_BITS,
};
use crate::block::{Bits, Format, Uint, Visit, Visitor, Wide, low_u16};

/// Of flits outside of a session: no receiver begins a flit with it. One whose session has just begun still takes the flit
/// on its wires as one of epoch 0, so that is none for the flits of a peer that has given up.
const NO_EPOCH: Uint<8> = Uint(2);

/// The CRC state after so many words of zeros.
const ZEROS: [Crc32cZeros; FLIT_WORDS + 1] = [zeros(0), zeros(1), zeros(2), zeros(3), zeros(4)];

const fn zeros(words: usize) -> Crc32cZeros {
    Crc32cZeros::new(words * LINK_WORD_BYTES)
}

/// Where the words of a flit come from.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Source {
    /// There are none.
    #[default]
    None,
    /// The word that tells where flits begin.
    Init,
    /// A channel.
    New,
    /// Flits that were sent before.
    Replay,
}

impl Bits for Source {
    const WIDTH: u32 = 2;
    const FORMAT: Format = Format::Enum(&["SourceNone", "SourceInit", "SourceNew", "SourceReplay"]);
    fn to_bits(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Init => 1,
            Self::New => 2,
            Self::Replay => 3,
        }
    }
    fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            0 => Self::None,
            1 => Self::Init,
            2 => Self::New,
            _ => Self::Replay,
        }
    }
}

/// The sending half of an endpoint.
#[derive(Clone, Debug)]
pub struct LinkTx {
    sent_q: [Uint<CREDIT_BITS>; LINK_CHANNELS],
    limit_q: [Uint<CREDIT_BITS>; LINK_CHANNELS],
    told_q: Uint<2>,
    source_q: Source,
    channel_q: Uint<2>,
    packers: [FlitPacker; LINK_CHANNELS],
    replay: ReplayBuffer,
    /// Payload CRC of an init flit.
    init_crc: Wide<32>,
}

/// Input ports; see the page.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// Data flits may be sent.
    pub run_i: bool,
    /// New words are taken in.
    pub accept_i: bool,
    /// A new session.
    pub clear_i: bool,
    /// What to send when there are no data.
    pub kind_i: FlitKind,
    /// Epoch of the session.
    pub epoch_i: Uint<8>,
    /// Own nonce.
    pub nonce_i: Uint<SEQUENCE_BITS>,
    /// The peer's nonce is known.
    pub heard_i: bool,
    /// The peer's nonce.
    pub heard_nonce_i: Uint<SEQUENCE_BITS>,
    /// There is a word, by channel.
    pub valid_i: [bool; LINK_CHANNELS],
    /// The words.
    pub word_i: [LinkWord; LINK_CHANNELS],
    /// A good flit of the session.
    pub peer_i: Flit,
    /// Number of the flit that is wanted next.
    pub ack_i: Uint<SEQUENCE_BITS>,
    /// A flit that the peer has to send again.
    pub ask_i: FlitAsk,
    /// How many flits the peer may have sent, by channel.
    pub limit_i: [Uint<CREDIT_BITS>; LINK_CHANNELS],
    /// The next flit is taken.
    pub take_i: bool,
    /// Word of the flit taken last that goes out.
    pub word_index_i: Uint<2>,
}

/// What is sent next.
#[derive(Clone, Copy, Debug)]
struct Choice {
    source: Source,
    /// Of a new flit.
    channel: usize,
}

/// First word of an init flit's payload; the others are zero.
fn init_word() -> LinkWord {
    let mut word = LinkWord::default();
    word.0[1] = Wide(u64::from_le_bytes(MAGIC));
    word
}

impl LinkTx {
    /// After reset; whether the peer asks for exactly the flits that are missing.
    #[must_use]
    pub fn new(selective: bool) -> Self {
        Self {
            sent_q: Default::default(),
            limit_q: Default::default(),
            told_q: Uint(0),
            source_q: Source::None,
            channel_q: Uint(0),
            packers: Default::default(),
            replay: ReplayBuffer::new(selective),
            init_crc: ZEROS[FLIT_WORDS - 1].after(after_word(start(Uint(0)), &init_word())),
        }
    }

    /// Nothing may be sent on this channel.
    fn stuck(&self, channel: usize) -> bool {
        let no_room = if channel == LINK_CHANNELS - 1 { self.replay.crowded() } else { self.replay.full() };
        no_room || self.sent_q[channel] == self.limit_q[channel]
    }

    fn choice(&self, i: &Inputs) -> Choice {
        let may = (0..LINK_CHANNELS).find(|&c| self.packers[c].offer().valid && !self.stuck(c));
        let source = match may {
            _ if !i.run_i || i.clear_i => None,
            _ if self.replay.resend().valid => Some(Source::Replay),
            Some(_) => Some(Source::New),
            None => None,
        };
        let other = if i.kind_i == FlitKind::Init { Source::Init } else { Source::None };
        Choice { source: source.unwrap_or(other), channel: may.unwrap_or(0) }
    }

    /// What would be kept of a new flit.
    fn entry(&self, channel: usize) -> ReplayEntry {
        let offer = self.packers[channel].offer();
        let crc = ZEROS[FLIT_WORDS - 1 - usize::from(offer.words_last.0)].after(offer.crc);
        ReplayEntry { channel: Uint(low_u16(channel as u64)), words_last: offer.words_last, crc }
    }

    /// The flit that would be taken now.
    #[must_use]
    pub fn request(&self, i: &Inputs) -> FlitRequest {
        let Choice { source, channel } = self.choice(i);
        let (credit_channel, credit) = if i.ask_i.valid {
            (Uint(low_u16(LINK_CHANNELS as u64)), Uint(i.ask_i.number.0))
        } else {
            (self.told_q, i.limit_i[usize::from(self.told_q.0)])
        };
        let mut header = FlitHeader {
            number: self.replay.next(),
            ack: i.ack_i,
            credit_channel,
            credit,
            nak: i.ask_i.valid,
            kind: i.kind_i,
            ..FlitHeader::default()
        };
        let entry = match source {
            Source::Init => {
                let header = FlitHeader {
                    number: i.nonce_i,
                    ack: i.heard_nonce_i,
                    nak: i.heard_i,
                    kind: FlitKind::Init,
                    ..FlitHeader::default()
                };
                return FlitRequest { header, payload_crc: self.init_crc };
            }
            Source::None => ReplayEntry::default(),
            Source::New => self.entry(channel),
            Source::Replay => self.replay.resend().entry,
        };
        if source != Source::None {
            header.kind = FlitKind::Data;
            header.channel = entry.channel;
            header.words_last = entry.words_last;
        }
        if source == Source::Replay {
            header.number = self.replay.resend().number;
        }
        let epoch = if i.clear_i { NO_EPOCH } else { i.epoch_i };
        let from_start = ZEROS[FLIT_WORDS].after(start(epoch));
        FlitRequest { header, payload_crc: Wide(from_start.0 ^ entry.crc.0) }
    }

    /// A word of the flit taken last.
    #[must_use]
    pub fn word(&self, index: Uint<2>) -> LinkWord {
        match self.source_q {
            Source::Init if index.0 == 0 => init_word(),
            Source::None | Source::Init => LinkWord::default(),
            Source::New => self.packers[usize::from(self.channel_q.0)].word(index),
            Source::Replay => self.replay.word(index),
        }
    }

    /// Words are taken, by channel.
    #[must_use]
    pub fn ready(&self, accept: bool) -> [bool; LINK_CHANNELS] {
        std::array::from_fn(|c| accept && self.packers[c].ready())
    }

    /// The ask goes out with the flit that is taken in this cycle.
    #[must_use]
    pub fn ask_taken(&self, i: &Inputs) -> bool {
        i.take_i && i.ask_i.valid && self.choice(i).source != Source::Init
    }

    /// Nothing is staged, nothing outstanding.
    #[must_use]
    pub fn drained(&self) -> bool {
        self.packers.iter().all(|packer| !packer.offer().valid) && self.replay.empty()
    }

    /// A flit is sent again.
    #[must_use]
    pub fn replayed(&self, i: &Inputs) -> bool {
        i.take_i && self.choice(i).source == Source::Replay
    }

    /// Words wait that may not be sent, by channel.
    #[must_use]
    pub fn stalled(&self, run: bool) -> [bool; LINK_CHANNELS] {
        std::array::from_fn(|c| run && self.packers[c].offer().valid && self.stuck(c))
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When an invariant does not hold.
    pub fn advance(&mut self, i: &Inputs) {
        let Flit { valid, header: peer, .. } = i.peer_i;
        assert!(!(valid && peer.kind == FlitKind::Init), "INV_LINKTX_1");
        let Choice { source, channel } = self.choice(i);
        let push = i.take_i && source == Source::New;
        let step = Step {
            clear: i.clear_i,
            push: push.then(|| self.entry(channel)),
            write: (self.source_q == Source::New).then(|| (i.word_index_i, self.word(i.word_index_i))),
            ack: valid.then_some(peer.ack),
            ask: FlitAsk { valid: valid && peer.nak, number: Uint(peer.credit.0 % (1 << SEQUENCE_BITS)) },
            resend_take: i.take_i && source == Source::Replay,
        };
        self.replay.advance(&step);
        for (c, packer) in self.packers.iter_mut().enumerate() {
            let word = (i.valid_i[c] && i.accept_i).then_some(&i.word_i[c]);
            packer.advance(i.clear_i, word, push && channel == c);
        }
        if i.take_i {
            self.source_q = source;
            self.channel_q = Uint(low_u16(channel as u64));
            if source != Source::Init && !i.ask_i.valid {
                self.told_q = Uint((self.told_q.0 + 1) % 3);
            }
        }
        if push {
            self.sent_q[channel] = Uint((self.sent_q[channel].0 + 1) % (1 << CREDIT_BITS));
        }
        if valid
            && !peer.nak
            && let Some(limit) = self.limit_q.get_mut(usize::from(peer.credit_channel.0))
        {
            *limit = peer.credit;
        }
        if i.clear_i {
            self.sent_q = Default::default();
            self.limit_q = Default::default();
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        self.sent_q = Default::default();
        self.limit_q = Default::default();
        self.told_q = Uint(0);
        self.source_q = Source::None;
        self.channel_q = Uint(0);
        self.packers.iter_mut().for_each(FlitPacker::reset);
        self.replay.reset();
    }
}

impl Visit for LinkTx {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("sent_q", &mut self.sent_q);
        v.packed("limit_q", &mut self.limit_q);
        v.bits("told_q", &mut self.told_q);
        v.bits("source_q", &mut self.source_q);
        v.bits("channel_q", &mut self.channel_q);
        for (c, packer) in self.packers.iter_mut().enumerate() {
            v.enter("gen_channel", Some(c));
            v.enter("u_packer", None);
            packer.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_replay", None);
        self.replay.visit(v);
        v.leave();
    }
}
