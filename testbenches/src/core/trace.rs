// SPDX-License-Identifier: Apache-2.0
//! What every unit did, cycle by cycle.

use tandem_model::control::types::{Activity, UNITS};

/// Names of the units, in the order of `activity_o`.
pub const UNIT_NAMES: [&str; UNITS] = ["control", "load", "stream", "array", "append", "results", "vector"];

/// Cycles in a row in which a unit worked on one command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// Number of the unit.
    pub unit: usize,
    /// Number of the command, modulo 65536.
    pub index: u16,
    /// First cycle.
    pub start: u64,
    /// After the last cycle.
    pub end: u64,
    /// Cycles of these in which it waited for what comes in.
    pub starved: u64,
    /// Cycles of these in which it waited for those behind it.
    pub blocked: u64,
}

/// Cycles of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct UnitCycles {
    /// In which it had something to do.
    pub busy: u64,
    /// Of these: waited for what comes in.
    pub starved: u64,
    /// Of these: waited for those behind it.
    pub blocked: u64,
}

/// A record.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    open: [Option<Span>; UNITS],
    spans: Vec<Span>,
    totals: [UnitCycles; UNITS],
}

impl Trace {
    /// Takes down a cycle.
    pub fn record(&mut self, now: u64, activity: &[Activity; UNITS]) {
        for (unit, now_doing) in activity.iter().enumerate() {
            let index = now_doing.index.0;
            let open = &mut self.open[unit];
            if let Some(span) = open.take_if(|span| !now_doing.busy || span.index != index) {
                self.spans.push(span);
            }
            if !now_doing.busy {
                continue;
            }
            let span = open.get_or_insert(Span { unit, index, start: now, end: now, starved: 0, blocked: 0 });
            let (starved, blocked) = (u64::from(now_doing.starved), u64::from(now_doing.blocked));
            span.end = now + 1;
            span.starved += starved;
            span.blocked += blocked;
            let total = &mut self.totals[unit];
            total.busy += 1;
            total.starved += starved;
            total.blocked += blocked;
        }
    }

    /// All spans, by the cycle in which they end.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.iter().copied().chain(self.open.iter().flatten().copied()).collect()
    }

    /// The spans that have ended since the last time.
    pub fn take_spans(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.spans)
    }

    /// Cycles of each unit.
    #[must_use]
    pub const fn totals(&self) -> &[UnitCycles; UNITS] {
        &self.totals
    }

    /// The units that have something to do now, with their commands.
    #[must_use]
    pub fn busy(&self) -> String {
        let busy =
            self.open.iter().flatten().map(|s| format!("{} with command {}", UNIT_NAMES[s.unit], s.index));
        let busy: Vec<_> = busy.collect();
        if busy.is_empty() { "no unit is busy".to_owned() } else { format!("busy are {}", busy.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tandem_model::block::Uint;

    #[test]
    fn a_span_ends_when_the_unit_does_something_else_or_nothing() {
        let mut trace = Trace::default();
        for (now, busy, index, starved) in [
            (5, true, 1, false),
            (6, true, 1, true),
            (7, true, 2, false),
            (8, false, 2, false),
            (9, true, 2, false),
        ] {
            let mut activity = [Activity::default(); UNITS];
            activity[3] = Activity { busy, starved, blocked: false, index: Uint(index) };
            trace.record(now, &activity);
        }
        let span = |index, start, end, starved| Span { unit: 3, index, start, end, starved, blocked: 0 };
        assert_eq!(trace.spans(), [span(1, 5, 7, 1), span(2, 7, 8, 0), span(2, 9, 10, 0)]);
        assert_eq!(trace.totals()[3], UnitCycles { busy: 4, starved: 1, blocked: 0 });
        assert_eq!(trace.busy(), "busy are array with command 2");
    }
}
