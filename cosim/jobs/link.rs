// SPDX-License-Identifier: Apache-2.0
//! Two endpoints of the link send to each other over wires that go wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use tandem_model::array::Geometry;
use tandem_model::devices::{Device, Kind};
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_model::link::types::{FLIT_WORDS, LINK_CHANNELS, LINK_WORD_BYTES, RETRY_TIMEOUT};
use tandem_testbenches::link::channel::{Counts, Rates, WIRES};
use tandem_testbenches::link::exchange::{self, Outcome, Plan};
use tandem_testbenches::link::scoreboard::{CHANNELS, DIRECTIONS};
use tandem_testbenches::link::{ALWAYS, Traffic};

use super::{as_f64, progress};
use crate::engine::{Engine, FailureFiles, Runner, unbox};
use crate::interrupt;

/// Longest wire, cycles: there and back must be well within the time after which a session is given up.
pub const MOST_LATENCY: usize = 200;
/// Most wrong bits per bit: beyond it more than a flit in five is spoiled.
pub const MOST_BER: f64 = 1e-4;
/// Most flits' worth of words: months of a simulation.
pub const MOST_FLITS: u64 = 1_000_000_000_000;
/// Most faults of a kind per flit.
pub const MOST_FAULTS: f64 = 0.05;
/// A run with wrong bits that saw fewer CRC errors, or fewer flits sent again, shows nothing.
pub const FEWEST_ERRORS: u64 = 10;

/// How what is lost is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Replay {
    /// That flit alone.
    Selective,
    /// It and all behind it.
    GoBackN,
}

impl Replay {
    /// The geometry that has it.
    #[must_use]
    pub fn geometry(self) -> Geometry {
        let selective = self == Self::Selective;
        let found = Geometry::ALL.into_iter().find(|g| g.selective == selective);
        found.expect("there is a geometry with each kind of replay")
    }
}

/// A direction in which nothing comes through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Dead {
    /// From side a to side b.
    AToB,
    /// From side b to side a.
    BToA,
}

/// Shares of the channels in percent: control, latency, bulk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mix(pub [u16; LINK_CHANNELS]);

impl std::str::FromStr for Mix {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let mut shares = [None; LINK_CHANNELS];
        for part in text.split(',') {
            let (name, percent) = part.split_once('=').with_context(|| {
                format!("a mix is like bulk=90,latency=5,control=5, got `{part}` without a `=`")
            })?;
            let channel = CHANNELS
                .iter()
                .position(|&c| c == name)
                .with_context(|| format!("no channel `{name}`; there are {}", CHANNELS.join(", ")))?;
            let share: u16 = percent
                .parse()
                .with_context(|| format!("expected percent of {name} as a whole number, got `{percent}`"))?;
            if shares[channel].replace(share).is_some() {
                bail!("the mix has {name} twice");
            }
        }
        let shares = shares.map(Option::unwrap_or_default);
        let all: u64 = shares.iter().map(|&s| u64::from(s)).sum();
        if all != 100 {
            bail!("the shares of a mix add up to 100 percent, these to {all}");
        }
        Ok(Self(shares))
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// What runs both endpoints.
    pub engine: Engine,
    /// Kind of replay.
    pub replay: Replay,
    /// What goes wrong, both ways.
    pub rates: Rates,
    /// The direction that is dead.
    pub dead: Option<Dead>,
    /// Cycles on the wire, each way.
    pub latency: usize,
    /// Flits' worth of words each way.
    pub flits: u64,
    /// Which words.
    pub mix: Mix,
    /// Sides read now and then only.
    pub stalls: bool,
    /// Seed of everything.
    pub seed: u64,
    /// Waveform of side a, the whole run.
    pub wave: Option<PathBuf>,
    /// Where failures go.
    pub failure: FailureFiles,
}

impl Options {
    /// Refuses what no run can be made of.
    ///
    /// # Errors
    /// What is wrong, and what would do.
    pub fn check(&self) -> anyhow::Result<()> {
        let Rates { ber, burst, burst_bits, drop, duplicate, slip, .. } = self.rates;
        if !(0.0..=MOST_BER).contains(&ber) {
            bail!(
                "--ber is wrong bits per bit, from 0 to {MOST_BER:e}, got {ber:e}: above, more than a flit in five is spoiled, of {} bits each",
                FLIT_WORDS * usize::from(WIRES)
            );
        }
        for (name, rate) in [("burst", burst), ("drop", drop), ("duplicate", duplicate), ("slip", slip)] {
            if !(0.0..=MOST_FAULTS).contains(&rate) {
                bail!("--{name} is a rate per flit, from 0 to {MOST_FAULTS}, got {rate}");
            }
        }
        if burst_bits == 0 || burst_bits > 4 * WIRES {
            bail!("--burst-bits is from 1 to {} (a flit), got {burst_bits}", 4 * WIRES);
        }
        if self.latency > MOST_LATENCY {
            bail!(
                "--latency is from 0 to {MOST_LATENCY} cycles each way, got {}: a longer wire needs a larger window (ReplayDepth)",
                self.latency
            );
        }
        if !(1..=MOST_FLITS).contains(&self.flits) {
            bail!("--flits is from 1 to {MOST_FLITS}, got {}", self.flits);
        }
        Ok(())
    }

    fn plan(&self) -> Plan {
        let rates = |dead| Rates { dead: self.dead == Some(dead), ..self.rates };
        Plan {
            latency: self.latency,
            rates: [rates(Dead::AToB), rates(Dead::BToA)],
            traffic: traffic(self.mix, self.flits),
            sinks: if self.stalls { ALWAYS / 2 } else { ALWAYS },
            seed: self.seed,
        }
    }
}

/// As many words as such a number of flits carries, always more waiting: messages of one word, bulk by the flit.
pub(crate) fn traffic(mix: Mix, flits: u64) -> Traffic {
    let words = flits * FLIT_WORDS as u64;
    Traffic { shares: mix.0, load: ALWAYS, lengths: [1, 1, 4], exact: true, words }
}

/// Cycles from the port of one side to that of the other.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Channel.
    pub channel: &'static str,
    /// Words.
    pub words: u64,
    /// Fewest.
    pub min: u64,
    /// Of half of the words at most.
    pub median: u64,
    /// Of 99 in 100 at most.
    pub p99: u64,
    /// Most.
    pub max: u64,
}

impl Latency {
    pub(crate) fn of(channel: &'static str, histogram: &BTreeMap<u64, u64>) -> Option<Self> {
        let words: u64 = histogram.values().sum();
        let quantile = |percent: u64| {
            let mut below = 0;
            let at = histogram.iter().find(|&(_, &count)| {
                below += count;
                100 * below >= percent * words
            });
            at.map_or(0, |(&latency, _)| latency)
        };
        let (&min, &max) = (histogram.keys().next()?, histogram.keys().next_back()?);
        Some(Self { channel, words, min, median: quantile(50), p99: quantile(99), max })
    }
}

/// One direction.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Direction {
    /// Name.
    pub direction: &'static str,
    /// Words that came out.
    pub words: u64,
    /// Bytes of words behind the first by the bytes that the wire can carry from the first to the last.
    pub efficiency: f64,
    /// Wrong bits that came one by one.
    pub wrong_bits: u64,
    /// Bursts.
    pub bursts: u64,
    /// Flits that the wire lost.
    pub drops: u64,
    /// Flits that the wire doubled.
    pub duplicates: u64,
    /// Beats put in or lost.
    pub slips: u64,
}

/// The run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Engine.
    pub engine: &'static str,
    /// Kind of replay.
    pub replay: Replay,
    /// Seed.
    pub seed: u64,
    /// Cycles.
    pub cycles: u64,
    /// Both directions.
    pub directions: Vec<Direction>,
    /// Efficiency of both together.
    pub efficiency: f64,
    /// Of the channels that were used.
    pub latencies: Vec<Latency>,
    /// Flits with a wrong CRC, of both sides, as all that follows.
    pub crc_errors: u64,
    /// Times that a flit was asked for.
    pub asks: u64,
    /// Flits sent again.
    pub replays: u64,
    /// Cycles in which a channel could not send: control, latency, bulk.
    pub stalls: [u64; LINK_CHANNELS],
    /// Sessions lost.
    pub losses: u64,
    /// Sessions that came up.
    pub sessions: u64,
    /// Words that went down with a session. Every other came out once and in order, or the run had failed.
    pub words_lost: u64,
    /// Registers compared at every clock, of both sides; 0 without lockstep.
    pub registers: u64,
    /// Their bits.
    pub bits: u64,
    /// Wall time.
    pub seconds: f64,
    /// Cycles per second.
    pub cycles_per_second: f64,
}

/// Bytes of words by what the wire can carry: data and what is beside them.
fn share(words: u64, cycles: u64) -> f64 {
    let wire = u64::from(WIRES) / 8;
    as_f64(words * LINK_WORD_BYTES as u64) / as_f64((cycles * wire).max(1))
}

pub(crate) fn efficiency(outcome: &Outcome) -> f64 {
    let spans = [outcome.board.span(0), outcome.board.span(1)];
    share(spans[0].0 + spans[1].0, spans[0].1 + spans[1].1)
}

/// Chance of a flit to have a wrong bit.
fn lost_flits(ber: f64) -> f64 {
    -(f64::from(4 * WIRES) * (-ber).ln_1p()).exp_m1()
}

/// Payload by wire when no flit waits for anything but those sent again: docs/link.md, "Efficiency".
#[must_use]
pub fn expected_efficiency(replay: Replay, ber: f64, round_trip: u64) -> f64 {
    let lost = lost_flits(ber);
    let flits = as_f64(round_trip) / 4.0;
    let full = as_f64((FLIT_WORDS * LINK_WORD_BYTES) as u64) / f64::from(4 * WIRES / 8);
    match replay {
        // The ask or the flit itself is lost once more: it is asked for again after a time-out.
        Replay::Selective => {
            let retry = f64::from(RETRY_TIMEOUT / 4);
            full * (1.0 - lost) / (1.0 + 2.0 * lost * lost * retry)
        }
        Replay::GoBackN => full * (1.0 - lost) / (1.0 + lost * (flits - 1.0)),
    }
}

/// Fails where a run with wrong bits saw too few of them.
///
/// # Errors
/// How many flits would do.
pub(crate) fn enough(ber: f64, flits: u64, crc_errors: u64, replays: u64) -> anyhow::Result<()> {
    if ber > 0.0 && crc_errors.min(replays) < FEWEST_ERRORS {
        // Twice as many as needed: errors come at random. Both directions count.
        let needed = (as_f64(FEWEST_ERRORS) / lost_flits(ber)).max(as_f64(2 * flits));
        let more =
            if needed < as_f64(MOST_FLITS) { format!("--flits {needed:.0}, or ") } else { String::new() };
        bail!(
            "a run with wrong bits must see at least {FEWEST_ERRORS} CRC errors and {FEWEST_ERRORS} flits sent again to show \
             anything, this one saw {crc_errors} and {replays}; try {more}a higher --ber"
        );
    }
    Ok(())
}

/// Runs the job.
///
/// # Errors
/// Options that make no sense, a mismatch, a word that the scoreboard refuses, or a link that does not come up.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    options.check()?;
    let geometry = options.replay.geometry();
    let device = Device::of(Kind::Link, geometry);
    let runner = |seed, wave| {
        Runner::new(options.engine, device, LinkEndpoint::new(geometry), seed, &options.failure, wave)
    };
    let mut a = runner(options.seed, options.wave.as_deref())?;
    // Another initial state, and files of its own for a failure.
    let mut b = runner(!options.seed, None)?;
    let plan = options.plan();
    let bar = progress(2 * plan.traffic.words, device.name);
    let start = Instant::now();
    let outcome = exchange::run(&plan, geometry, [a.dut(), b.dut()], &mut |words| {
        bar.set_position(words);
        Ok(interrupt::check()?)
    });
    bar.finish_and_clear();
    let outcome = outcome.map_err(unbox)?;
    let (compared_a, compared_b) = (a.finish()?, b.finish()?);
    let seconds = start.elapsed().as_secs_f64();
    let compared = compared_a.unwrap_or_default();
    let beside = compared_b.unwrap_or_default();
    let Outcome { cycles, ref board, counters, faults, .. } = outcome;
    enough(options.rates.ber, options.flits, counters.crc_errors, counters.replays)?;
    let direction = |d: usize| {
        let (words, span) = board.span(d);
        let Counts { bits, bursts, drops, duplicates, slips, .. } = faults[d];
        Direction {
            direction: DIRECTIONS[d],
            words: (0..LINK_CHANNELS).map(|c| board.delivered(d, c)).sum(),
            efficiency: share(words, span),
            wrong_bits: bits,
            bursts,
            drops,
            duplicates,
            slips,
        }
    };
    let latencies = CHANNELS.iter().enumerate();
    Ok(Report {
        engine: options.engine.name(),
        replay: options.replay,
        seed: options.seed,
        cycles,
        directions: (0..2).map(direction).collect(),
        efficiency: efficiency(&outcome),
        latencies: latencies.filter_map(|(c, name)| Latency::of(name, &board.latencies(c))).collect(),
        crc_errors: counters.crc_errors,
        asks: counters.asks,
        replays: counters.replays,
        stalls: counters.stalls,
        losses: counters.losses,
        sessions: counters.sessions,
        words_lost: board.lost(),
        registers: compared.registers + beside.registers,
        bits: compared.bits + beside.bits,
        seconds,
        cycles_per_second: as_f64(cycles) / seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_words() {
        let histogram: BTreeMap<u64, u64> = [(9, 50), (10, 48), (300, 2)].into();
        let latency = Latency::of("bulk", &histogram).unwrap();
        assert_eq!(
            (latency.words, latency.min, latency.median, latency.p99, latency.max),
            (100, 9, 9, 300, 300)
        );
        assert!(Latency::of("bulk", &BTreeMap::new()).is_none());
    }

    #[test]
    fn formula_at_its_ends() {
        for replay in [Replay::Selective, Replay::GoBackN] {
            assert!((expected_efficiency(replay, 0.0, 100) - 256.0 / 264.0).abs() < 1e-12);
        }
        let [one, all] = [Replay::Selective, Replay::GoBackN].map(|r| expected_efficiency(r, 1e-5, 100));
        assert!(all < one && one < 256.0 / 264.0);
    }

    #[test]
    fn mix_is_of_known_channels_and_100_percent() {
        assert_eq!("bulk=90,latency=5,control=5".parse::<Mix>().unwrap(), Mix([5, 5, 90]));
        assert_eq!("bulk=100".parse::<Mix>().unwrap(), Mix([0, 0, 100]));
        for (text, part) in [
            ("bulk=90", "these to 90"),
            ("bulk", "without a `=`"),
            ("video=100", "no channel `video`; there are control, latency, bulk"),
            ("bulk=-1", "whole number"),
            ("bulk=10,bulk=90", "bulk twice"),
        ] {
            let error = text.parse::<Mix>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn too_few_errors_show_nothing() {
        assert!(enough(0.0, 10, 0, 0).is_ok());
        assert!(enough(1e-6, 10, 10, 10).is_ok());
        for (crc_errors, replays) in [(9, 10), (10, 9), (0, 0)] {
            let error = enough(1e-6, 1000, crc_errors, replays).unwrap_err().to_string();
            assert!(error.contains("at least 10 CRC errors") && error.contains("--flits"), "{error}");
        }
    }
}
