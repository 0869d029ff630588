// SPDX-License-Identifier: Apache-2.0
//! Test bench of the counters: what comes is kept as a list, and a counter is how often its event stands there.

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint};
use tandem_model::control::counters::{Counters, EVENT_BASE, EVENTS, Inputs, TOKEN_BASE};
use tandem_model::control::types::{Activity, SCOREBOARD_TOKENS, UNITS};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `counters`.
#[derive(Clone, Copy, Debug)]
pub struct CountersBench;

const CORNERS: [&str; 5] =
    ["unit's counter", "event's counter", "token's counter", "no counter", "reset after counting"];

/// Behind the last event's counter.
const EVENT_END: usize = EVENT_BASE + EVENTS;
/// Counters that are there.
const COUNTERS: usize = 64;

/// Which counters move in a cycle.
fn moving(inputs: &Inputs) -> [bool; COUNTERS] {
    let mut moves = [false; COUNTERS];
    for (unit, activity) in inputs.activity_i.iter().enumerate() {
        moves[3 * unit + 1] = activity.busy;
        moves[3 * unit + 2] = activity.starved;
        moves[3 * unit + 3] = activity.blocked;
    }
    moves[EVENT_BASE..EVENT_BASE + EVENTS].copy_from_slice(&inputs.event_i);
    for token in 0..SCOREBOARD_TOKENS {
        moves[TOKEN_BASE + token] = inputs.waiting_i.0 >> token & 1 == 1;
    }
    moves
}

impl Bench for CountersBench {
    type Block = Counters;
    /// Runs of clocks between resets, and a seed.
    type Case = (Vec<u16>, u64);

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Self::Case> {
        (vec(1..400u16, 1..4), any::<u64>()).boxed()
    }

    fn model(&self) -> Counters {
        Counters::default()
    }

    fn run(
        &self,
        (runs, seed): &Self::Case,
        dut: &mut dyn Dut<Counters>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut seed = *seed;
        for (run, &clocks) in runs.iter().enumerate() {
            coverage.hit_if(run > 0, CORNERS[4]);
            dut.clock(false, &mut Inputs::default())?;
            let mut counts = [0u64; COUNTERS];
            for clock in 0..clocks {
                let mut random = || split_mix(&mut seed);
                let mut inputs = Inputs {
                    activity_i: std::array::from_fn::<_, UNITS, _>(|_| Activity::from_bits(random())),
                    waiting_i: Uint::from_bits(random()),
                    event_i: std::array::from_fn(|_| bool::from_bits(random())),
                    select_i: Uint::from_bits(random()),
                };
                dut.clock(true, &mut inputs)?;
                let select = usize::from(inputs.select_i.0);
                let kind = match select {
                    0 | EVENT_END..TOKEN_BASE | 48.. => 3,
                    1..EVENT_BASE => 0,
                    EVENT_BASE..EVENT_END => 1,
                    _ => 2,
                };
                coverage.hit(CORNERS[kind]);
                let (got, want) = (dut.outputs().counter_o.0, counts[select]);
                if got != want {
                    let what = format!("counter {select} is {got}, not {want}, {clock} clocks after reset");
                    return Err(WrongAnswer(what).into());
                }
                for (count, moves) in counts.iter_mut().zip(moving(&inputs)) {
                    *count += u64::from(moves);
                }
            }
            coverage.add_cycles(clocks.into());
        }
        Ok(())
    }
}
