// SPDX-License-Identifier: Apache-2.0
//! Two endpoints of the link, the wires between them, and those that send and receive words on both sides.

use tandem_model::array::Geometry;
use tandem_model::block::{Uint, low_u16};
use tandem_model::link::link_endpoint::{Inputs, LinkEndpoint, Outputs};
use tandem_model::link::types::{
    BULK_SLOTS, FLIT_WORDS, FlitHeader, FlitKind, LINK_CHANNELS, LOSS_TIMEOUT, LinkState, LinkWord,
    REPLAY_DEPTH, RETRY_TIMEOUT,
};

use super::channel::{Beat, Channel, Counts};
use super::scoreboard::{CHANNELS, DIRECTIONS, Scoreboard, word_of};
use crate::bench::WrongAnswer;
use crate::dut::{Dut, DutError};
use crate::random::{Flavour, Source};

/// Words that a channel's source has ready at most.
const BACKLOG: u64 = 8;
/// Words that a channel's receiver has room for at most.
const RECEIVED: u64 = (BULK_SLOTS * FLIT_WORDS) as u64;
/// A sink that always reads, a source that always has words: chances are parts of 256.
pub const ALWAYS: u16 = 256;
/// Cycles from the port of one side to that of the other, on a wire without delay: fewest and most, as flits begin every
/// fourth cycle.
pub const PROMPT: [u64; 2] = [9, 12];

/// Cycles after which nothing that went before holds a message up.
const PROMPT_AFTER: u64 = 16 + REPLAY_DEPTH as u64;

/// What a side sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// Shares of the channels.
    pub shares: [u16; LINK_CHANNELS],
    /// Chance in 256 that a message is begun in a cycle.
    pub load: u16,
    /// Words of a message on each channel, at most and, where `exact`, always.
    pub lengths: [u16; LINK_CHANNELS],
    /// Messages are as long as they may be.
    pub exact: bool,
    /// Words in all.
    pub words: u64,
}

impl Traffic {
    /// Nothing.
    pub const NONE: Self =
        Self { shares: [1; LINK_CHANNELS], load: 0, lengths: [1; LINK_CHANNELS], exact: false, words: 0 };
}

/// One side: what is connected to an endpoint.
#[derive(Clone, Debug)]
struct Side {
    outputs: Outputs,
    enable: bool,
    nonce: u16,
    /// Cycles of reset to come.
    reset: u16,
    traffic: Traffic,
    /// The message that waits for room.
    message: Option<(usize, u64)>,
    backlog: [u64; LINK_CHANNELS],
    /// Number of the word that is offered.
    numbers: [u64; LINK_CHANNELS],
    /// Number of the word at the port.
    offered: [Option<u64>; LINK_CHANNELS],
    sinks: [u16; LINK_CHANNELS],
    /// Words that were shown and not read: they must stay.
    held: [Option<LinkWord>; LINK_CHANNELS],
    /// The latency channel was empty when its last word went in.
    alone: bool,
    /// Messages were readable and not counted, for so many cycles.
    uncounted: u8,
    rings: u64,
    /// Cycle in which a session was lost last.
    lost: Option<u64>,
    monitor: Monitor,
}

/// What was last seen of a side's flits, before anything happens to them.
#[derive(Clone, Copy, Debug, Default)]
struct Monitor {
    /// Number of the last data flit.
    data: Option<u16>,
    /// Its latest ack.
    ack: u16,
    /// Its last ask, and the ack that came with it.
    ask: Option<(u16, u16)>,
}

/// What happened that only shows on the wire. Counted from the beginning, by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Seen {
    /// Flits of no use while the window was full.
    pub window_full: u64,
    /// Numbers that began anew.
    pub wraps: u64,
    /// Asks for the same flit without any progress between them.
    pub repeated_asks: u64,
    /// Messages that met [`PROMPT`] with bulk waiting behind them.
    pub prompt: u64,
    /// Words that were read after their session had been lost.
    pub late: u64,
}

/// The two endpoints.
pub struct Pair<'a> {
    duts: [&'a mut dyn Dut<LinkEndpoint>; 2],
    sides: [Side; 2],
    /// The wires, by the side that sends.
    pub channels: [Channel; 2],
    /// The words on their way.
    pub board: Scoreboard,
    inputs: [Inputs; 2],
    source: Source,
    cycle: u64,
    /// Last cycle in which something kept words of a direction from being prompt.
    disturbed: [u64; 2],
    counts: [Counts; 2],
    seen: [Seen; 2],
}

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

impl<'a> Pair<'a> {
    /// Endpoints after reset, not enabled, on wires of these latencies (by the side that sends).
    ///
    /// # Errors
    /// What a device found wrong.
    pub fn new(
        geometry: Geometry,
        duts: [&'a mut dyn Dut<LinkEndpoint>; 2],
        latencies: [usize; 2],
        seed: u64,
    ) -> Result<Self, DutError> {
        let mut source = Source::new(seed, Flavour::Plain);
        let channels = latencies.map(|latency| Channel::new(latency, source.bits()));
        let idle = tandem_model::block::Block::idle_inputs(&LinkEndpoint::new(geometry));
        let side = |outputs| Side {
            outputs,
            enable: false,
            nonce: 0,
            reset: 0,
            traffic: Traffic::NONE,
            message: None,
            backlog: [0; LINK_CHANNELS],
            numbers: [0; LINK_CHANNELS],
            offered: [None; LINK_CHANNELS],
            sinks: [ALWAYS; LINK_CHANNELS],
            held: [None; LINK_CHANNELS],
            alone: false,
            uncounted: 0,
            rings: 0,
            lost: None,
            monitor: Monitor::default(),
        };
        let sides = [side(duts[0].outputs()), side(duts[1].outputs())];
        let mut pair = Self {
            duts,
            sides,
            channels,
            board: Scoreboard::default(),
            inputs: [idle.clone(), idle],
            source,
            cycle: 0,
            disturbed: [0; 2],
            counts: [Counts::default(); 2],
            seen: [Seen::default(); 2],
        };
        (0..2).for_each(|side| {
            pair.new_nonce(side);
            pair.reset(side, 2);
        });
        pair.clocks(2)?;
        Ok(pair)
    }

    /// Cycles so far.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.cycle
    }

    /// A side's outputs in this cycle.
    #[must_use]
    pub const fn outputs(&self, side: usize) -> &Outputs {
        &self.sides[side].outputs
    }

    /// What was seen of the flits that a side sent.
    #[must_use]
    pub const fn seen(&self, side: usize) -> Seen {
        self.seen[side]
    }

    /// Both sides are in a session.
    #[must_use]
    pub fn up(&self) -> bool {
        self.sides.iter().all(|s| s.outputs.state_o == LinkState::Up)
    }

    /// A side wants a session, or no longer.
    pub const fn enable(&mut self, side: usize, enable: bool) {
        self.sides[side].enable = enable;
    }

    /// Resets a side for so many cycles.
    pub fn reset(&mut self, side: usize, cycles: u16) {
        self.sides[side].reset = cycles;
    }

    /// What a side sends from here on, behind what it offers already.
    pub const fn send(&mut self, side: usize, traffic: Traffic) {
        self.sides[side].traffic = traffic;
    }

    /// How eagerly a side reads a channel: a chance in 256.
    pub const fn read(&mut self, side: usize, channel: usize, chance: u16) {
        self.sides[side].sinks[channel] = chance;
    }

    /// Words that a side has yet to offer, or offers.
    #[must_use]
    pub fn unsent(&self, side: usize) -> u64 {
        let side = &self.sides[side];
        let message = side.message.map_or(0, |(_, words)| words);
        side.traffic.words + message + side.backlog.iter().sum::<u64>()
    }

    /// Nobody has anything to send, and all has come.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        (0..2).all(|side| self.unsent(side) == 0) && self.board.is_quiet()
    }

    /// States of both sides, for messages.
    #[must_use]
    pub fn states(&self) -> String {
        let state = |side: usize| {
            let o = &self.sides[side].outputs;
            format!(
                "side {} {:?}, {} CRC errors, {} asks, {} replays, {} losses, {} sessions",
                ["a", "b"][side],
                o.state_o,
                o.crc_errors_o.0,
                o.asks_o.0,
                o.replays_o.0,
                o.losses_o.0,
                o.sessions_o.0
            )
        };
        format!("{}; {}", state(0), state(1))
    }

    /// Cycles within which two enabled sides with a sound wire between them come up, whatever went before: both may have to
    /// find out that the other is gone, and that they are wrong about where flits begin.
    #[must_use]
    pub fn bound_up(&self) -> u64 {
        4 * u64::from(LOSS_TIMEOUT) + 8 * self.round_trip()
    }

    /// Cycles that a flit and the answer to it take, at most.
    #[must_use]
    pub fn round_trip(&self) -> u64 {
        let wires: usize = self.channels.iter().map(Channel::delay).sum();
        wires as u64 + 2 * PROMPT[1] + 8
    }

    /// Cycles within which a sound link has carried so many words, each alone in its flit and none of them on its way
    /// before it has been asked for and credit been given.
    #[must_use]
    pub fn bound_words(&self, words: u64) -> u64 {
        4 * u64::from(RETRY_TIMEOUT) + 8 * self.round_trip() + words * (4 + self.round_trip() / 8)
    }

    /// So many clocks.
    ///
    /// # Errors
    /// What a device found wrong, or [`WrongAnswer`].
    pub fn clocks(&mut self, cycles: u64) -> Result<(), DutError> {
        (0..cycles).try_for_each(|_| self.clock())
    }

    /// One clock of everything.
    ///
    /// # Errors
    /// What a device found wrong, or [`WrongAnswer`].
    pub fn clock(&mut self) -> Result<(), DutError> {
        for side in 0..2 {
            if self.sides[side].reset > 0 {
                (0..2).for_each(|direction| self.board.break_off(direction));
                self.channels[side].sender_reset();
                self.sides[side].monitor = Monitor::default();
                self.sides[side].held = [None; LINK_CHANNELS];
                self.disturb();
            } else {
                self.offer(side);
                self.transfer(side)?;
            }
        }
        for side in 0..2 {
            let outputs = &self.sides[side].outputs;
            let beat = Beat { data: outputs.wire_data_o, side: outputs.wire_side_o.0 };
            let beat = self.channels[side].carry(beat);
            let inputs = &mut self.inputs[1 - side];
            (inputs.wire_data_i, inputs.wire_side_i) = (beat.data, Uint(beat.side));
            if let Some(header) = self.channels[side].sent_header() {
                self.watch(side, header);
            }
        }
        let counts = [self.channels[0].counts(), self.channels[1].counts()];
        if counts != self.counts {
            self.counts = counts;
            self.disturb();
        }
        for side in 0..2 {
            let running = self.sides[side].reset == 0;
            self.duts[side].clock(running, &mut self.inputs[side])?;
            self.sides[side].reset = self.sides[side].reset.saturating_sub(1);
        }
        self.cycle += 1;
        for side in 0..2 {
            self.follow(side)?;
        }
        Ok(())
    }

    fn disturb(&mut self) {
        self.disturbed = [self.cycle; 2];
    }

    fn new_nonce(&mut self, side: usize) {
        let step = 1 + low_u16(self.source.below(127));
        self.sides[side].nonce = (self.sides[side].nonce + step) % 128;
    }

    /// Sets what a side offers and reads.
    fn offer(&mut self, side: usize) {
        let Self { sides, inputs, source, .. } = self;
        let (side_at, inputs) = (side, &mut inputs[side]);
        let side = &mut sides[side];
        if side.message.is_none() && side.traffic.words > 0 && chance(source, side.traffic.load) {
            let all: u64 = side.traffic.shares.iter().map(|&s| u64::from(s)).sum();
            let mut ticket = source.below(all.max(1));
            let mut channel = 0;
            while channel < LINK_CHANNELS - 1 && ticket >= u64::from(side.traffic.shares[channel]) {
                ticket -= u64::from(side.traffic.shares[channel]);
                channel += 1;
            }
            let most = u64::from(side.traffic.lengths[channel]);
            let length = if side.traffic.exact { most } else { 1 + source.below(most.max(1)) };
            let length = length.min(side.traffic.words);
            side.traffic.words -= length;
            side.message = Some((channel, length));
        }
        if let Some((channel, words)) = side.message
            && (side.backlog[channel] == 0 || side.backlog[channel] + words <= BACKLOG)
        {
            side.backlog[channel] += words;
            side.message = None;
        }
        inputs.enable_i = side.enable;
        inputs.nonce_i = Uint(side.nonce);
        for channel in 0..LINK_CHANNELS {
            let valid = side.backlog[channel] > 0;
            let number = side.numbers[channel];
            if valid && side.offered[channel].replace(number) != Some(number) {
                inputs.word_i[channel] = word_of(side_at, channel, number);
            }
            inputs.word_valid_i[channel] = valid;
            inputs.word_ready_i[channel] = chance(source, side.sinks[channel]);
        }
    }

    /// Words that go in and come out of a side in this cycle.
    fn transfer(&mut self, side: usize) -> Result<(), DutError> {
        let cycle = self.cycle;
        for (channel, name) in CHANNELS.into_iter().enumerate() {
            let state = &mut self.sides[side];
            if self.inputs[side].word_valid_i[channel] && state.outputs.word_ready_o[channel] {
                if channel == 1 {
                    state.alone = self.board.pending(side, channel) == 0;
                }
                if channel == 0 {
                    self.disturbed[side] = cycle;
                }
                self.board.accept(side, channel, self.inputs[side].word_i[channel], cycle);
                state.backlog[channel] -= 1;
                state.numbers[channel] += 1;
            }
            let state = &mut self.sides[side];
            let (valid, word) = (state.outputs.word_valid_o[channel], state.outputs.word_o[channel]);
            if let Some(held) = state.held[channel].take()
                && (!valid || held != word)
            {
                let what = format!(
                    "cycle {cycle}: side {side}, channel {name}: {held:x?} was shown and not read, and is gone"
                );
                return Err(wrong(what));
            }
            if !valid {
                continue;
            }
            if !self.inputs[side].word_ready_i[channel] {
                state.held[channel] = Some(word);
                continue;
            }
            let latency = self.board.deliver(1 - side, channel, word, cycle).map_err(wrong)?;
            let late = self.sides[side].lost.is_some_and(|lost| cycle - latency < lost);
            self.seen[1 - side].late += u64::from(late);
            if channel == 1 {
                self.message_came(1 - side, latency)?;
            }
        }
        Ok(())
    }

    /// A message was read on the latency channel.
    fn message_came(&mut self, direction: usize, latency: u64) -> Result<(), DutError> {
        let Side { alone, backlog, .. } = self.sides[direction];
        let read_at_once = self.sides[1 - direction].sinks[1] == ALWAYS;
        let accepted = self.cycle - latency;
        // Nothing was before it, and nothing that goes before it: words of the control channel are two flits at most, and
        // after a flit that was sent again those behind it are put in order one a cycle.
        let calm = accepted > self.disturbed[direction] + PROMPT_AFTER;
        if !(alone && read_at_once && calm && self.sides[1 - direction].rings > 0) {
            return Ok(());
        }
        let wire = self.channels[direction].delay() as u64;
        let [fewest, most] = PROMPT;
        if !(wire + fewest..=wire + most).contains(&latency) {
            return Err(wrong(format!(
                "cycle {}, {}: a message took {latency} cycles with nothing before it, expected {wire} on the wire and {fewest} \
                 to {most} more",
                self.cycle, DIRECTIONS[direction]
            )));
        }
        self.seen[direction].prompt += u64::from(backlog[2] > 0);
        Ok(())
    }

    /// Notes what a side puts on the wire: its last flit's header.
    fn watch(&mut self, side: usize, header: FlitHeader) {
        let up = self.sides[side].outputs.state_o == LinkState::Up;
        let theirs = self.sides[1 - side].monitor;
        let Self { sides, seen, .. } = self;
        let (monitor, seen) = (&mut sides[side].monitor, &mut seen[side]);
        if !up || !matches!(header.kind, FlitKind::Idle | FlitKind::Data) {
            *monitor = Monitor::default();
            return;
        }
        if header.kind == FlitKind::Data {
            seen.wraps += u64::from(header.number.0 == 0 && monitor.data == Some(127));
            monitor.data = Some(header.number.0);
        } else {
            let outstanding = (header.number.0 + 128 - theirs.ack) % 128;
            seen.window_full += u64::from(usize::from(outstanding) >= REPLAY_DEPTH - REPLAY_DEPTH / 8);
        }
        monitor.ack = header.ack.0;
        if header.nak {
            let ask = (header.credit.0, header.ack.0);
            seen.repeated_asks += u64::from(monitor.ask.replace(ask) == Some(ask));
        }
    }

    /// The outputs after a clock.
    fn follow(&mut self, side: usize) -> Result<(), DutError> {
        let next = self.duts[side].outputs();
        let state = &mut self.sides[side];
        let last = std::mem::replace(&mut state.outputs, next);
        let now = &state.outputs;
        state.rings += u64::from(now.doorbell_o);
        let uncounted = now.word_valid_o[1] && now.waiting_o.0 == 0;
        state.uncounted = if uncounted { state.uncounted + 1 } else { 0 };
        if state.uncounted > 4 {
            let what = format!("cycle {}: side {side} has a message that it does not count", self.cycle);
            return Err(wrong(what));
        }
        let lost = now.losses_o.0 > last.losses_o.0;
        let entered = now.state_o == LinkState::Init && last.state_o != LinkState::Init;
        let (replayed, up) = (now.replays_o != last.replays_o, now.state_o == LinkState::Up);
        let waited = now.stalls_o[..2] != last.stalls_o[..2];
        if lost {
            state.lost = Some(self.cycle);
            self.board.break_off(side);
        }
        if entered {
            self.new_nonce(side);
        }
        if replayed || !up {
            self.disturb();
        }
        if waited {
            self.disturbed[side] = self.cycle;
        }
        Ok(())
    }

    /// Everything is well again: the wires are sound, both sides want a session and read at once, and send what they have
    /// offered. Runs until both are up and every word that has to come has come.
    ///
    /// # Errors
    /// What a device found wrong; [`WrongAnswer`] when that takes too long.
    pub fn settle(&mut self) -> Result<(), DutError> {
        for side in 0..2 {
            self.channels[side].heal();
            self.enable(side, true);
            self.sides[side].traffic = Traffic::NONE;
            self.sides[side].sinks = [ALWAYS; LINK_CHANNELS];
        }
        let unsent = self.unsent(0) + self.unsent(1);
        let on_their_way: usize =
            (0..6).map(|lane| self.board.pending(lane / LINK_CHANNELS, lane % LINK_CHANNELS)).sum();
        let bound = self.bound_up() + self.bound_words(unsent + on_their_way as u64);
        let start = self.cycle;
        let done = |pair: &Self| {
            let idle = |s: &Side| s.outputs.drained_o && s.outputs.waiting_o.0 == 0;
            pair.up() && pair.is_quiet() && pair.sides.iter().all(idle)
        };
        while !done(self) {
            if self.cycle - start > bound {
                let late = self.board.complete().err().unwrap_or_default();
                let what = format!(
                    "{bound} cycles after everything was well again not all is done: {}. {late}",
                    self.states()
                );
                return Err(wrong(what));
            }
            self.clock()?;
        }
        Ok(())
    }

    /// Both sides end the session, with sound wires, and neither loses a word. Runs until both are down.
    ///
    /// # Errors
    /// What a device found wrong; [`WrongAnswer`] when that takes too long.
    pub fn shut_down(&mut self) -> Result<(), DutError> {
        for side in 0..2 {
            self.enable(side, false);
            self.sides[side].sinks = [ALWAYS; LINK_CHANNELS];
        }
        let on_their_way: usize =
            (0..6).map(|lane| self.board.pending(lane / LINK_CHANNELS, lane % LINK_CHANNELS)).sum();
        let bound = self.bound_words(on_their_way as u64) + u64::from(LOSS_TIMEOUT);
        let start = self.cycle;
        while self.sides.iter().any(|s| s.outputs.state_o != LinkState::Down) {
            if self.cycle - start > bound {
                let what =
                    format!("{bound} cycles after it was told to, the link is not down: {}", self.states());
                return Err(wrong(what));
            }
            self.clock()?;
        }
        // What has been received is still to be read.
        let left = RECEIVED;
        let start = self.cycle;
        while !self.board.is_quiet() && self.cycle - start < left {
            self.clock()?;
        }
        self.board.complete().map_err(wrong)
    }
}

fn chance(source: &mut Source, chance: u16) -> bool {
    chance >= ALWAYS || (chance > 0 && source.below(u64::from(ALWAYS)) < u64::from(chance))
}
