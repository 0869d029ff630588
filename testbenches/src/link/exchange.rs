// SPDX-License-Identifier: Apache-2.0
//! A long run of both sides sending to each other over wires that may go wrong: what the figures are measured on.

use tandem_model::array::Geometry;
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_model::link::types::LINK_CHANNELS;

use super::channel::{Counts, Rates};
use super::driver::{Pair, Traffic};
use super::scoreboard::Scoreboard;
use crate::bench::WrongAnswer;
use crate::dut::{Dut, DutError};

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Cycles on the wire, each way.
    pub latency: usize,
    /// What goes wrong, by the side that sends.
    pub rates: [Rates; 2],
    /// What each side sends.
    pub traffic: Traffic,
    /// How eagerly both sides read: a chance in 256.
    pub sinks: u16,
    /// Words, faults and what is left to chance.
    pub seed: u64,
}

impl Plan {
    fn sound(&self) -> bool {
        self.rates == [Rates::default(); 2]
    }
}

/// Counters of both sides together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Flits with a wrong CRC.
    pub crc_errors: u64,
    /// Times that a flit was asked for.
    pub asks: u64,
    /// Flits sent again.
    pub replays: u64,
    /// Cycles in which a channel could not send.
    pub stalls: [u64; LINK_CHANNELS],
    /// Sessions lost.
    pub losses: u64,
    /// Sessions that came up.
    pub sessions: u64,
}

impl Counters {
    fn of(pair: &Pair<'_>) -> Self {
        let mut all = Self::default();
        for side in 0..2 {
            let o = pair.outputs(side);
            all.crc_errors += o.crc_errors_o.0;
            all.asks += o.asks_o.0;
            all.replays += o.replays_o.0;
            all.losses += o.losses_o.0;
            all.sessions += o.sessions_o.0;
            all.stalls.iter_mut().zip(o.stalls_o).for_each(|(sum, s)| *sum += s.0);
        }
        all
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Cycles from reset to the end of the session.
    pub cycles: u64,
    /// Cycles from a flit to the answer to it, at most.
    pub round_trip: u64,
    /// The words.
    pub board: Scoreboard,
    /// What the endpoints counted.
    pub counters: Counters,
    /// What the wires did, by the side that sends.
    pub faults: [Counts; 2],
}

/// The wires are so bad that nothing comes through: no fault of the endpoints.
#[derive(Debug)]
pub struct NothingThrough(pub String);

impl std::fmt::Display for NothingThrough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NothingThrough {}

/// The run has not come on for too long.
fn hangs(plan: &Plan, pair: &Pair<'_>, cycles: u64, what: &str) -> DutError {
    let text = format!("{what} within {cycles} cycles: {}", pair.states());
    if plan.sound() { WrongAnswer(text).into() } else { NothingThrough(text).into() }
}

/// Runs it: a session comes up, both sides send everything, and the session is ended. `each` is told how many words have
/// come out, now and then.
///
/// # Errors
/// What a device found wrong, [`WrongAnswer`], [`NothingThrough`], or what `each` says.
pub fn run(
    plan: &Plan,
    geometry: Geometry,
    duts: [&mut dyn Dut<LinkEndpoint>; 2],
    each: &mut dyn FnMut(u64) -> Result<(), DutError>,
) -> Result<Outcome, DutError> {
    let mut pair = Pair::new(geometry, duts, [plan.latency; 2], plan.seed)?;
    for side in 0..2 {
        pair.channels[side].set_rates(plan.rates[side]);
        pair.enable(side, true);
        (0..LINK_CHANNELS).for_each(|channel| pair.read(side, channel, plan.sinks));
    }
    // Errors may spoil a bring-up, and the one after it.
    let patience = if plan.sound() { 1 } else { 8 };
    let bound = patience * pair.bound_up();
    while !pair.up() {
        if pair.now() > bound {
            return Err(hangs(plan, &pair, bound, "the link has not come up"));
        }
        pair.clock()?;
    }
    (0..2).for_each(|side| pair.send(side, plan.traffic));
    let delivered = |pair: &Pair<'_>| -> u64 {
        (0..6).map(|lane| pair.board.delivered(lane / LINK_CHANNELS, lane % LINK_CHANNELS)).sum()
    };
    let bound = patience * (pair.bound_up() + pair.bound_words(64));
    let (mut progressed, mut at) = (pair.now(), delivered(&pair));
    while !pair.is_quiet() {
        pair.clock()?;
        if !pair.now().is_multiple_of(1024) {
            continue;
        }
        let now = delivered(&pair);
        each(now)?;
        if now != at {
            (progressed, at) = (pair.now(), now);
        } else if pair.now() - progressed > bound {
            return Err(hangs(plan, &pair, bound, "not one word has come out"));
        }
    }
    let faults = [pair.channels[0].counts(), pair.channels[1].counts()];
    let counters = Counters::of(&pair);
    if plan.sound() && counters.losses > 0 {
        return Err(WrongAnswer(format!("a session was lost on sound wires: {}", pair.states())).into());
    }
    (0..2).for_each(|side| pair.channels[side].heal());
    pair.shut_down()?;
    Ok(Outcome { cycles: pair.now(), round_trip: pair.round_trip(), board: pair.board, counters, faults })
}
