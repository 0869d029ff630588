// SPDX-License-Identifier: Apache-2.0
//! Test bench of the link's endpoint: the device under test on one side, a model of another on the other, and wires
//! between them that go wrong. What comes out is judged by what went in, whatever the two say to each other.

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_model::link::types::{LINK_CHANNELS, LinkState};

use super::channel::{Fault, Rates};
use super::driver::{Pair, Seen, Traffic};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError, ModelOnly};

/// Property test of `link_endpoint`.
#[derive(Clone, Copy, Debug)]
pub struct LinkBench {
    /// The geometry whose kind of replay both sides have.
    pub geometry: Geometry,
}

/// What happens. Side 0 is the device under test, side 1 its peer.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// So many flits pass.
    Run(u8),
    /// A side has these words to send.
    Send {
        /// Which.
        side: usize,
        /// Shares of the channels.
        shares: [u8; LINK_CHANNELS],
        /// How often a message begins.
        load: u8,
        /// Longest message.
        length: u8,
        /// Words in all.
        words: u16,
    },
    /// A side reads a channel more or less eagerly.
    Read {
        /// Which.
        side: usize,
        /// Channel.
        channel: usize,
        /// A chance in 256, less one; 0 is not at all.
        chance: u8,
    },
    /// Something happens to what a side sends.
    Fault(usize, Fault),
    /// One bit in 2 to this power is wrong in what a side sends, for so many flits.
    Noise {
        /// Side.
        side: usize,
        /// Power.
        power: u8,
        /// Flits.
        flits: u8,
    },
    /// A side wants a session, or no longer.
    Enable(usize, bool),
    /// A side is reset after so many cycles, for so many cycles.
    Reset {
        /// Which.
        side: usize,
        /// After.
        after: u8,
        /// For.
        cycles: u8,
    },
    /// A side is reset as soon as it is in this state, which it is brought to.
    ResetIn(usize, LinkState),
    /// Both sides end the session cleanly.
    ShutDown,
    /// All is well until everything has come.
    Settle,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Cycles on the wire, by the side that sends.
    pub latencies: [u8; 2],
    /// One after the other.
    pub ops: Vec<Op>,
    /// Words, and what is left to chance.
    pub seed: u64,
}

const CORNERS: [&str; 33] = [
    "wrong bit recovered",
    "burst recovered",
    "lost flit recovered",
    "doubled flit recovered",
    "stuck wire recovered",
    "silence recovered",
    "noise recovered",
    "slip: session lost and up again",
    "stuck wire: session lost and up again",
    "dead direction: session lost and up again",
    "window full",
    "numbers begin anew",
    "control waits for credit",
    "latency waits for credit",
    "bulk waits for credit",
    "ask repeated",
    "clean end with words both ways",
    "one side ends the session",
    "session again after a clean end",
    "reset of the device in Down",
    "reset of the device in Init",
    "reset of the device in Ready",
    "reset of the device in Up",
    "reset of the device in Closing",
    "reset of the peer in Down",
    "reset of the peer in Init",
    "reset of the peer in Ready",
    "reset of the peer in Up",
    "reset of the peer in Closing",
    "loss while closing",
    "word read after its session was lost",
    "message overtakes bulk",
    "words lost with a session",
];

/// What has gone wrong since everything was last well.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    recovered: Option<&'static str>,
    lost: Option<&'static str>,
}

/// A run of a case.
struct Run<'a, 'c> {
    pair: Pair<'a>,
    coverage: &'c mut Coverage,
    troubles: Vec<Trouble>,
    /// Losses and replays when all was well.
    before: (u64, u64),
    reset: bool,
    ended: bool,
    /// Last cycle in which a session may be lost for something that has happened.
    excused: u64,
}

impl Run<'_, '_> {
    /// Sessions lost and flits sent again, of both sides.
    fn counters(&self) -> (u64, u64) {
        let sum = |f: fn(&tandem_model::link::link_endpoint::Outputs) -> u64| {
            f(self.pair.outputs(0)) + f(self.pair.outputs(1))
        };
        (sum(|o| o.losses_o.0), sum(|o| o.replays_o.0))
    }

    /// Something has happened that a session may be lost for, and goes on for so many cycles.
    fn excuse(&mut self, cycles: u16) {
        self.excused = self.pair.now() + u64::from(cycles) + self.pair.bound_up();
    }

    /// No session has been lost since there were so many losses, unless there is a reason.
    fn check_losses(&self, losses: u64, excused: bool) -> Result<(), DutError> {
        if self.counters().0 > losses && !excused {
            let what = format!(
                "cycle {}: a session was lost for no reason: {}",
                self.pair.now(),
                self.pair.states()
            );
            return Err(WrongAnswer(what).into());
        }
        Ok(())
    }

    fn clocks(&mut self, cycles: u64) -> Result<(), DutError> {
        let stalls = |pair: &Pair<'_>, side: usize| pair.outputs(side).stalls_o.map(|s| s.0);
        for _ in 0..cycles {
            let before = [0, 1].map(|side| (stalls(&self.pair, side), self.pair.seen(side)));
            let closing = [0, 1].map(|side| self.pair.outputs(side).state_o == LinkState::Closing);
            let losses = [0, 1].map(|side| self.pair.outputs(side).losses_o.0);
            self.pair.clock()?;
            for side in 0..2 {
                let (stalled, seen) = before[side];
                let now = self.pair.seen(side);
                let full = now.window_full > seen.window_full;
                for channel in 0..LINK_CHANNELS {
                    let waits = stalls(&self.pair, side)[channel] > stalled[channel];
                    self.coverage.hit_if(waits && !full, CORNERS[12 + channel]);
                }
                self.seen(seen, now);
                let lost = self.pair.outputs(side).losses_o.0 > losses[side];
                self.coverage.hit_if(lost && closing[side], CORNERS[29]);
            }
            self.check_losses(losses[0] + losses[1], self.pair.now() <= self.excused)?;
        }
        Ok(())
    }

    fn seen(&mut self, before: Seen, now: Seen) {
        self.coverage.hit_if(now.window_full > before.window_full, CORNERS[10]);
        self.coverage.hit_if(now.wraps > before.wraps, CORNERS[11]);
        self.coverage.hit_if(now.repeated_asks > before.repeated_asks, CORNERS[15]);
        self.coverage.hit_if(now.late > before.late, CORNERS[30]);
        self.coverage.hit_if(now.prompt > before.prompt, CORNERS[31]);
    }

    /// Cycles in which what a side does reaches the other and is answered.
    fn round_trip(&self) -> u64 {
        self.pair.round_trip()
    }

    fn trouble(&mut self, recovered: Option<usize>, lost: Option<usize>) {
        if self.pair.up() {
            let corner = |n: usize| CORNERS[n];
            self.troubles.push(Trouble { recovered: recovered.map(corner), lost: lost.map(corner) });
        }
    }

    fn run(&mut self, op: Op) -> Result<(), DutError> {
        match op {
            Op::Run(flits) => self.clocks(4 * u64::from(flits)),
            Op::Send { side, shares, load, length, words } => {
                let traffic = Traffic {
                    shares: shares.map(u16::from),
                    load: 1 + u16::from(load),
                    lengths: [u16::from(length); LINK_CHANNELS],
                    exact: false,
                    words: u64::from(words),
                };
                self.pair.send(side, traffic);
                Ok(())
            }
            Op::Read { side, channel, chance } => {
                let chance = u16::from(chance);
                self.pair.read(side, channel, if chance > 0 { chance + 1 } else { 0 });
                Ok(())
            }
            Op::Fault(side, fault) => {
                let (recovered, lost) = match fault {
                    Fault::Bit => (Some(0), None),
                    Fault::Burst(_) => (Some(1), None),
                    Fault::Drop => (Some(2), None),
                    Fault::Duplicate => (Some(3), None),
                    Fault::Stuck { .. } => (Some(4), Some(8)),
                    Fault::Silence(_) => (Some(5), Some(9)),
                    Fault::Slip => (None, Some(7)),
                };
                self.trouble(recovered, lost);
                match fault {
                    Fault::Slip => self.excuse(0),
                    Fault::Stuck { cycles, .. } | Fault::Silence(cycles) => self.excuse(cycles),
                    _ => {}
                }
                self.pair.channels[side].order(fault);
                self.clocks(8)
            }
            Op::Noise { side, power, flits } => {
                self.trouble(Some(6), None);
                let ber = 2f64.powi(-i32::from(power));
                self.pair.channels[side].set_rates(Rates { ber, ..Rates::default() });
                self.clocks(4 * u64::from(flits))?;
                self.pair.channels[side].set_rates(Rates::default());
                Ok(())
            }
            Op::Enable(side, enable) => {
                let up = self.pair.up();
                self.pair.enable(side, enable);
                let cycles = self.round_trip();
                self.clocks(cycles)?;
                let ended = up && !enable && self.pair.outputs(1 - side).state_o != LinkState::Up;
                self.coverage.hit_if(ended, CORNERS[17]);
                self.ended |= ended;
                Ok(())
            }
            Op::Reset { side, after, cycles } => {
                self.clocks(u64::from(after))?;
                self.reset(side, cycles)
            }
            Op::ResetIn(side, state) => self.reset_in(side, state),
            Op::ShutDown => self.shut_down(),
            Op::Settle => self.settle(),
        }
    }

    fn reset(&mut self, side: usize, cycles: u8) -> Result<(), DutError> {
        let state = match self.pair.outputs(side).state_o {
            LinkState::Down => 0,
            LinkState::Init => 1,
            LinkState::Ready => 2,
            LinkState::Up => 3,
            _ => 4,
        };
        self.coverage.hit(CORNERS[19 + 5 * side + state]);
        self.reset = true;
        self.excuse(u16::from(cycles));
        self.pair.reset(side, u16::from(cycles));
        self.clocks(u64::from(cycles))
    }

    fn reset_in(&mut self, side: usize, state: LinkState) -> Result<(), DutError> {
        if state == LinkState::Closing {
            self.pair.enable(side, false);
        } else {
            // The peer begins anew, and the side with it.
            self.pair.enable(side, true);
            self.reset(1 - side, 1)?;
        }
        for _ in 0..self.pair.bound_up() {
            if self.pair.outputs(side).state_o == state {
                break;
            }
            self.clocks(1)?;
        }
        self.reset(side, 1)?;
        self.pair.enable(side, true);
        Ok(())
    }

    fn shut_down(&mut self) -> Result<(), DutError> {
        let waiting = (0..2).all(|d| (0..LINK_CHANNELS).any(|c| self.pair.board.pending(d, c) > 0));
        let (up, (losses, _)) = (self.pair.up(), self.counters());
        (0..2).for_each(|side| self.pair.channels[side].heal());
        let excused = self.pair.now() <= self.excused;
        self.pair.shut_down()?;
        self.check_losses(losses, excused)?;
        let clean = up && waiting && self.counters().0 == losses;
        self.coverage.hit_if(clean, CORNERS[16]);
        self.ended |= clean;
        Ok(())
    }

    fn settle(&mut self) -> Result<(), DutError> {
        let (excused, before) = (self.pair.now() <= self.excused, self.counters().0);
        self.pair.settle()?;
        self.check_losses(before, excused)?;
        let (losses, replays) = self.counters();
        if !self.reset {
            for trouble in std::mem::take(&mut self.troubles) {
                if losses > self.before.0 {
                    trouble.lost.into_iter().for_each(|corner| self.coverage.hit(corner));
                } else {
                    let corner = trouble.recovered.filter(|_| replays > self.before.1);
                    corner.into_iter().for_each(|corner| self.coverage.hit(corner));
                }
            }
        }
        self.coverage.hit_if(self.ended, CORNERS[18]);
        self.coverage.hit_if(self.pair.board.lost() > 0, CORNERS[32]);
        self.troubles.clear();
        self.before = (losses, replays);
        (self.reset, self.ended) = (false, false);
        Ok(())
    }
}

/// Words on all channels, or on some.
fn send() -> impl Strategy<Value = Op> {
    let share = || prop_oneof![Just(0u8), Just(1), Just(16)];
    (0..2usize, [share(), share(), share()], any::<u8>(), 1..9u8, 1..600u16)
        .prop_map(|(side, shares, load, length, words)| Op::Send { side, shares, load, length, words })
}

/// As many words as a side can send in some thousand cycles.
fn flood(side: usize) -> Op {
    Op::Send { side, shares: [1, 1, 6], load: 255, length: 4, words: 1000 }
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        4 => Just(Fault::Bit),
        2 => (2..700u16).prop_map(Fault::Burst),
        4 => Just(Fault::Drop),
        2 => Just(Fault::Duplicate),
        1 => Just(Fault::Slip),
        2 => (0..528u16, any::<bool>(), prop_oneof![1..64u16, 600..700u16])
            .prop_map(|(wire, high, cycles)| Fault::Stuck { wire, high, cycles }),
        2 => prop_oneof![1..64u16, 520..700u16].prop_map(Fault::Silence),
    ]
}

/// One operation.
fn op() -> impl Strategy<Value = Op> {
    let side = 0..2usize;
    let read = (side.clone(), 0..LINK_CHANNELS, prop_oneof![Just(0u8), Just(255), any::<u8>()]);
    let reset = (side.clone(), prop_oneof![0..8u8, any::<u8>()], 1..6u8);
    let states = prop_oneof![
        Just(LinkState::Init),
        Just(LinkState::Ready),
        Just(LinkState::Up),
        Just(LinkState::Closing)
    ];
    prop_oneof![
        8 => any::<u8>().prop_map(Op::Run),
        6 => send(),
        3 => read.prop_map(|(side, channel, chance)| Op::Read { side, channel, chance }),
        4 => (side.clone(), fault()).prop_map(|(side, fault)| Op::Fault(side, fault)),
        1 => (side.clone(), 10..16u8, any::<u8>())
            .prop_map(|(side, power, flits)| Op::Noise { side, power, flits }),
        2 => (side.clone(), any::<bool>()).prop_map(|(side, enable)| Op::Enable(side, enable)),
        1 => reset.prop_map(|(side, after, cycles)| Op::Reset { side, after, cycles }),
        1 => (side, states).prop_map(|(side, state)| Op::ResetIn(side, state)),
        2 => Just(Op::Settle),
    ]
}

/// Operations that show something together, or one.
fn group() -> impl Strategy<Value = Vec<Op>> {
    let side = || 0..2usize;
    prop_oneof![
        16 => op().prop_map(|op| vec![op]),
        // A fault with words around it, and what becomes of them.
        4 => (side(), fault()).prop_map(|(side, fault)| {
            vec![Op::Settle, flood(side), Op::Run(40), Op::Fault(side, fault), Op::Run(180), Op::Settle]
        }),
        1 => (side(), 11..16u8).prop_map(|(side, power)| {
            vec![Op::Settle, flood(side), Op::Noise { side, power, flits: 200 }, Op::Settle]
        }),
        // Both sides end the session with words on their way.
        1 => any::<u8>().prop_map(|flits| vec![flood(0), flood(1), Op::Run(flits), Op::ShutDown]),
        // Words lie at a reader that does not read while its session is lost, and reads again later.
        1 => (side(), 0..LINK_CHANNELS).prop_map(|(side, channel)| {
            let read = |chance| Op::Read { side: 1 - side, channel, chance };
            let silence = Op::Fault(side, Fault::Silence(600));
            vec![read(0), flood(side), Op::Run(100), silence, Op::Run(200), read(255), Op::Run(20), Op::Settle]
        }),
        // Words that come early wait for one that is lost, until the session is lost: the asks for it do not come through.
        1 => side().prop_map(|side| {
            let silence = Op::Fault(1 - side, Fault::Silence(600));
            let lost = Op::Fault(side, Fault::Drop);
            vec![Op::Settle, flood(side), Op::Run(40), silence, lost, Op::Run(200), Op::Settle]
        }),
        // The wire dies while a side ends the session.
        1 => side().prop_map(|side| {
            let silence = Op::Fault(side, Fault::Silence(900));
            vec![flood(side), Op::Run(60), silence, Op::Enable(side, false), Op::Run(200), Op::Settle]
        }),
    ]
}

impl Bench for LinkBench {
    type Block = LinkEndpoint;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let latency = || prop_oneof![Just(0u8), 0..8u8, 0..=200u8];
        ([latency(), latency()], vec(group(), 1..16), any::<u64>())
            .prop_map(|(latencies, groups, seed)| Case { latencies, ops: groups.concat(), seed })
            .boxed()
    }

    fn model(&self) -> LinkEndpoint {
        LinkEndpoint::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<LinkEndpoint>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut peer = ModelOnly { model: self.model() };
        let latencies = case.latencies.map(usize::from);
        let pair = Pair::new(self.geometry, [dut, &mut peer], latencies, case.seed)?;
        let mut run = Run {
            pair,
            coverage,
            troubles: Vec::new(),
            before: (0, 0),
            reset: false,
            ended: false,
            excused: 0,
        };
        (0..2).for_each(|side| run.pair.enable(side, true));
        // Some cases begin before the link is up.
        if case.seed & 7 != 0 {
            run.settle()?;
        }
        case.ops.iter().try_for_each(|&op| run.run(op))?;
        run.settle()?;
        let cycles = run.pair.now();
        coverage.add_cycles(cycles);
        Ok(())
    }
}
