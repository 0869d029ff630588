// SPDX-License-Identifier: Apache-2.0
//! Tokens: which command waits for which, from what they read and write (docs/commands.md, "Tokens").
//!
//! A unit ends its commands in the order in which it began them, so of all commands of a unit that another one has to wait for
//! it is enough to name the last; and what a command has waited for, those behind it in its unit need not wait for again. For
//! every command it is known how many commands of each unit are done when it begins; a wait is named only where that is too
//! few. Within a unit nothing waits: each of them keeps the order of its own reads and writes.

use std::ops::Range;

use tandem_model::control::command::Command;
use tandem_model::control::types::SCOREBOARD_TOKENS;

use super::Label;

/// Who carries a command out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Load,
    Stream,
    Append,
    Vector,
}

const UNITS: usize = 4;

/// Tokens of each unit's commands: about as many as its queue holds.
const TOKENS: [Range<usize>; UNITS] = [0..3, 3..8, 8..11, 11..SCOREBOARD_TOKENS];

/// How many commands of every unit are done.
type Clock = [usize; UNITS];

/// What a command reads or writes: addresses of memory, or [`chunks`].
#[derive(Clone, Debug)]
pub(super) struct Use {
    range: Range<u64>,
    write: bool,
    /// Not before the array takes the command.
    late: bool,
}

impl Use {
    pub(super) const fn read(range: Range<u64>) -> Self {
        Self { range, write: false, late: false }
    }

    pub(super) const fn write(range: Range<u64>) -> Self {
        Self { range, write: true, late: false }
    }

    /// The same, when the array has taken the command.
    pub(super) const fn late(mut self) -> Self {
        self.late = true;
        self
    }

    const fn conflicts(&self, other: &Self) -> bool {
        (self.write || other.write)
            && self.range.start < other.range.end
            && other.range.start < self.range.end
    }
}

/// Chunks of operands, behind all addresses.
pub(super) fn chunks(first: usize, count: usize) -> Range<u64> {
    let at = |chunk: usize| (1 << 48) + chunk as u64;
    at(first)..at(first + count)
}

struct Job {
    command: Command,
    label: Label,
    unit: Unit,
    /// Its number among those of its unit.
    number: usize,
    uses: Vec<Use>,
    /// What is done when it is.
    done: Clock,
    /// Numbers of the commands that wait for it, rising, and whether only the array does.
    waiters: Vec<(usize, bool)>,
}

/// Commands in their order.
#[derive(Default)]
pub(super) struct Schedule {
    jobs: Vec<Job>,
    /// Of every unit: its commands.
    of_unit: [Vec<usize>; UNITS],
    /// Of every unit: what is done when its last command began, and when the array took it.
    begun: [Clock; UNITS],
    taken: [Clock; UNITS],
}

impl Schedule {
    /// Adds a command.
    pub(super) fn add(&mut self, unit: Unit, label: Label, command: Command, uses: Vec<Use>) {
        let own = unit as usize;
        let (index, number) = (self.jobs.len(), self.of_unit[own].len());
        let before = self.of_unit[own].last().map_or([0; UNITS], |&last| self.jobs[last].done);

        let mut begun = self.begun[own];
        if unit == Unit::Vector {
            // It begins a command when the one before is done.
            join(&mut begun, before);
        }
        for (late, uses) in [false, true].map(|late| (late, uses.iter().filter(move |u| u.late == late))) {
            if late {
                self.begun[own] = begun;
                join(&mut begun, self.taken[own]);
            }
            let uses: Vec<&Use> = uses.collect();
            for waited in self.needed(unit, begun, &uses) {
                join(&mut begun, self.jobs[waited].done);
                self.jobs[waited].waiters.push((index, late));
            }
        }
        self.taken[own] = begun;
        let mut done = before;
        join(&mut done, begun);
        done[own] = number + 1;
        self.of_unit[own].push(index);
        self.jobs.push(Job { command, label, unit, number, uses, done, waiters: Vec::new() });
    }

    /// Commands that must be done before something with these uses, when so many are known to be.
    fn needed(&self, unit: Unit, known: Clock, uses: &[&Use]) -> Vec<usize> {
        let conflicts = |index: &usize| {
            self.jobs[*index].uses.iter().any(|other| uses.iter().any(|of_this| of_this.conflicts(other)))
        };
        let last = |other: usize| {
            let unknown = self.of_unit[other].get(known[other]..).unwrap_or_default();
            unknown.iter().copied().rev().find(conflicts)
        };
        let last: Vec<usize> = (0..UNITS).filter(|&other| other != unit as usize).filter_map(last).collect();
        // One may be done when another is.
        let implied = |index: usize| {
            let job = &self.jobs[index];
            let by = |other: usize| other != index && self.jobs[other].done[job.unit as usize] > job.number;
            last.iter().any(|&other| by(other))
        };
        last.iter().copied().filter(|&index| !implied(index)).collect()
    }

    /// The commands with their tokens.
    pub(super) fn finish(mut self) -> (Vec<Command>, Vec<Label>) {
        // The command that each token stands for.
        let mut owners: [Option<usize>; SCOREBOARD_TOKENS] = [None; SCOREBOARD_TOKENS];
        let mut tokens: Vec<Option<usize>> = vec![None; self.jobs.len()];
        for index in 0..self.jobs.len() {
            if self.jobs[index].waiters.is_empty() {
                continue;
            }
            let own = TOKENS[self.jobs[index].unit as usize].clone();
            let until = |owner: usize| self.jobs[owner].waiters.last().map(|&(waiter, _)| waiter);
            // The token that nobody has waited for the longest: its command is taken at once.
            let free = own.clone().filter(|&t| owners[t].is_none_or(|owner| until(owner) < Some(index)));
            let token = free.min_by_key(|&t| owners[t].and_then(until));
            let token = token.unwrap_or_else(|| {
                // Who would wait the longest waits for this command, which is done later than the token's.
                let next = |owner: usize| self.jobs[owner].waiters.iter().find(|(waiter, _)| *waiter > index);
                own.max_by_key(|&t| owners[t].and_then(next)).expect("a unit has tokens")
            });
            if let Some(owner) = owners[token] {
                let waiters = &mut self.jobs[owner].waiters;
                let later = waiters.split_off(waiters.partition_point(|(waiter, _)| *waiter < index));
                let waiters = &mut self.jobs[index].waiters;
                waiters.extend(later);
                waiters.sort_unstable();
                // To wait for it early is to wait for it.
                waiters.dedup_by_key(|(waiter, _)| *waiter);
            }
            (owners[token], tokens[index]) = (Some(index), Some(token));
        }
        for (index, token) in tokens.into_iter().enumerate() {
            let Some(token) = token.filter(|_| !self.jobs[index].waiters.is_empty()) else { continue };
            let bit = 1 << token;
            self.jobs[index].command.signal_tokens |= bit;
            for (waiter, late) in std::mem::take(&mut self.jobs[index].waiters) {
                let command = &mut self.jobs[waiter].command;
                *(if late { &mut command.wait_array } else { &mut command.wait_tokens }) |= bit;
            }
        }
        self.jobs.into_iter().map(|job| (job.command, job.label)).unzip()
    }
}

fn join(clock: &mut Clock, other: Clock) {
    for (of_unit, other) in clock.iter_mut().zip(other) {
        *of_unit = (*of_unit).max(other);
    }
}
