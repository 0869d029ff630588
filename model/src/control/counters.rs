// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/counters.sv`.

use super::scoreboard::Tokens;
use super::types::{Activity, COUNTER_SELECT_BITS, SCOREBOARD_TOKENS, UNITS};
use crate::block::{Block, Uint, Visit, Visitor, Wide};

/// Bits of a counter.
const COUNTER_BITS: u32 = 48;
/// Bits of a counter, as the RTL's parameter.
pub const COUNTER_WIDTH: usize = 48;
const _: () = assert!(COUNTER_WIDTH == COUNTER_BITS as usize);
/// Events that are counted.
pub const EVENTS: usize = 4;
/// The first event's counter; units' are before it.
pub const EVENT_BASE: usize = 1 + 3 * UNITS;
/// The first token's counter.
pub const TOKEN_BASE: usize = 32;

type Counter = Wide<COUNTER_BITS>;

/// Counts what the units do and wait for.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    unit_q: [Counter; 3 * UNITS],
    event_q: [Counter; EVENTS],
    token_q: [Counter; SCOREBOARD_TOKENS],
    counter_q: Wide<64>,
}

/// Input ports.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// What every unit does.
    pub activity_i: [Activity; UNITS],
    /// A command at the front of a queue waits for them.
    pub waiting_i: Tokens,
    /// Word read for the stream, word read else, word written, command completed.
    pub event_i: [bool; EVENTS],
    /// Which counter is wanted.
    pub select_i: Uint<COUNTER_SELECT_BITS>,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outputs {
    /// The counter that was wanted in the cycle before.
    pub counter_o: Wide<64>,
}

/// One more, if it happens.
fn count(counter: &mut Counter, happens: bool) {
    counter.0 = (counter.0 + u64::from(happens)) % (1 << COUNTER_BITS);
}

impl Block for Counters {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { counter_o: self.counter_q }
    }

    fn clock(&mut self, i: &Inputs) {
        let select = usize::from(i.select_i.0);
        let at = |counters: &[Counter], base: usize| counters.get(select.checked_sub(base)?).copied();
        let unit = at(&self.unit_q, 1);
        let event = at(&self.event_q, EVENT_BASE);
        let token = at(&self.token_q, TOKEN_BASE);
        self.counter_q = Wide(unit.or(event).or(token).map_or(0, |counter| counter.0));

        for (counters, activity) in self.unit_q.chunks_exact_mut(3).zip(i.activity_i) {
            let Activity { busy, starved, blocked, .. } = activity;
            for (counter, happens) in counters.iter_mut().zip([busy, starved, blocked]) {
                count(counter, happens);
            }
        }
        for (counter, happens) in self.event_q.iter_mut().zip(i.event_i) {
            count(counter, happens);
        }
        for (t, counter) in self.token_q.iter_mut().enumerate() {
            count(counter, i.waiting_i.0 >> t & 1 == 1);
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for Counters {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("unit_q", &mut self.unit_q);
        v.packed("event_q", &mut self.event_q);
        v.packed("token_q", &mut self.token_q);
        v.bits("counter_q", &mut self.counter_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("activity_i", &mut self.activity_i);
        v.bits("waiting_i", &mut self.waiting_i);
        v.packed("event_i", &mut self.event_i);
        v.bits("select_i", &mut self.select_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("counter_o", &mut self.counter_o);
    }
}
