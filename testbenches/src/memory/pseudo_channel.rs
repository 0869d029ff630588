// SPDX-License-Identifier: Apache-2.0
//! A pseudo channel of HBM3 and the part of its controller that orders commands: row hits first, then the oldest.

use std::collections::VecDeque;

use super::hbm3::{BANKS, Counts, GROUPS, Timing};

/// Reads or writes that wait for their commands. A group of writes begins at [`MANY`] and ends at [`FEW`].
pub(super) const QUEUE: usize = 32;
const MANY: usize = 24;
const FEW: usize = 8;

/// After so many clocks in the queue an access no longer lets row hits of its bank pass.
const PATIENCE: u64 = 1000;

/// One burst of the memory: 32 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    /// Which burst of the port it belongs to.
    pub serial: u64,
    /// Which word of that.
    pub word: usize,
    /// Bank; the lowest bits are the bank group.
    pub bank: usize,
    pub row: u64,
    /// When it came.
    pub arrived: u64,
}

impl Access {
    const fn group(&self) -> usize {
        self.bank % GROUPS
    }
}

/// A bank: the open row, and from when on it takes each command.
#[derive(Clone, Copy, Debug, Default)]
struct Bank {
    row: Option<u64>,
    activate: u64,
    precharge: u64,
    column: u64,
}

/// From when on a column command may come, whatever its bank.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    any: u64,
    group: [u64; GROUPS],
}

impl Columns {
    fn open(&self, group: usize) -> u64 {
        self.any.max(self.group[group])
    }

    fn close(&mut self, any: u64, group: Option<(usize, u64)>) {
        self.any = self.any.max(any);
        if let Some((group, until)) = group {
            self.group[group] = self.group[group].max(until);
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct PseudoChannel {
    timing: Timing,
    banks: [Bank; BANKS],
    pub reads: VecDeque<Access>,
    pub writes: VecDeque<Access>,
    writing: bool,
    read: Columns,
    write: Columns,
    activate: Columns,
    /// The last four activations, the oldest first; from when on each no longer counts.
    window: VecDeque<u64>,
    refresh_due: u64,
    refreshing: u64,
    pub counts: Counts,
}

impl PseudoChannel {
    pub fn new(timing: Timing, refresh_due: u64) -> Self {
        Self {
            timing,
            banks: [Bank::default(); BANKS],
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            writing: false,
            read: Columns::default(),
            write: Columns::default(),
            activate: Columns::default(),
            window: VecDeque::from([0; 4]),
            refresh_due,
            refreshing: 0,
            counts: Counts::default(),
        }
    }

    /// One clock of the memory, number `now`: at most one row and one column command. Returns a read whose command was
    /// given, and when its data have come.
    pub fn tick(&mut self, now: u64) -> Option<(Access, u64)> {
        if now < self.refreshing {
            return None;
        }
        if now >= self.refresh_due {
            self.refresh(now);
            return None;
        }
        let turn = if self.writing {
            self.writes.is_empty() || self.writes.len() <= FEW && !self.reads.is_empty()
        } else {
            self.writes.len() >= MANY || self.reads.is_empty() && !self.writes.is_empty()
        };
        self.writing ^= turn;
        let done = self.column_command(now);
        self.row_command(now);
        done
    }

    /// Closes all banks, then refreshes them all.
    fn refresh(&mut self, now: u64) {
        if self.banks.iter().any(|bank| bank.row.is_some() && bank.precharge > now) {
            return;
        }
        for bank in self.banks.iter_mut().filter(|bank| bank.row.is_some()) {
            bank.row = None;
            bank.activate = now + self.timing.precharge;
            self.counts.precharges += 1;
        }
        if self.banks.iter().all(|bank| bank.activate <= now) {
            self.refreshing = now + self.timing.refresh;
            self.refresh_due += self.timing.refresh_interval;
            self.counts.refreshes += 1;
        }
    }

    fn queue(&self) -> &VecDeque<Access> {
        if self.writing { &self.writes } else { &self.reads }
    }

    /// The bank whose oldest access has waited too long.
    fn pressed(&self, now: u64) -> Option<usize> {
        self.queue().front().filter(|a| a.arrived + PATIENCE <= now).map(|a| a.bank)
    }

    fn column_command(&mut self, now: u64) -> Option<(Access, u64)> {
        let t = self.timing;
        let pressed = self.pressed(now);
        let columns = if self.writing { &self.write } else { &self.read };
        let at = self.queue().iter().enumerate().position(|(i, a)| {
            let bank = &self.banks[a.bank];
            bank.row == Some(a.row)
                && bank.column.max(columns.open(a.group())) <= now
                && (i == 0 || pressed != Some(a.bank))
        })?;
        if self.writing {
            let access = self.writes.remove(at).expect("found");
            let end = now + t.write_latency + t.burst;
            let group = access.group();
            self.write.close(now + t.column_short, Some((group, now + t.column_long)));
            self.read.close(end + t.write_to_read_short, Some((group, end + t.write_to_read_long)));
            let bank = &mut self.banks[access.bank];
            bank.precharge = bank.precharge.max(end + t.write_recovery);
            self.counts.writes += 1;
            return None;
        }
        let access = self.reads.remove(at).expect("found");
        let end = now + t.read_latency + t.burst;
        self.read.close(now + t.column_short, Some((access.group(), now + t.column_long)));
        self.write.close(end + 2 - t.write_latency, None);
        let bank = &mut self.banks[access.bank];
        bank.precharge = bank.precharge.max(now + t.read_to_precharge);
        self.counts.reads += 1;
        Some((access, end))
    }

    fn row_command(&mut self, now: u64) {
        let t = self.timing;
        let pressed = self.pressed(now);
        let mut seen = [false; BANKS];
        let mut command = None;
        for access in self.queue() {
            if std::mem::replace(&mut seen[access.bank], true) {
                continue;
            }
            let bank = &self.banks[access.bank];
            let may = match bank.row {
                Some(row) if row == access.row => false,
                Some(row) => {
                    let hits = || self.queue().iter().any(|a| a.bank == access.bank && a.row == row);
                    bank.precharge <= now && (pressed == Some(access.bank) || !hits())
                }
                None => bank.activate.max(self.activate.open(access.group())).max(self.window[0]) <= now,
            };
            if may {
                command = Some(*access);
                break;
            }
        }
        let Some(access) = command else { return };
        let bank = &mut self.banks[access.bank];
        if bank.row.take().is_some() {
            bank.activate = now + t.precharge;
            self.counts.precharges += 1;
        } else {
            bank.row = Some(access.row);
            bank.column = now + t.activate_to_column;
            bank.precharge = now + t.activate_to_precharge;
            self.activate.close(now + t.activate_short, Some((access.group(), now + t.activate_long)));
            self.window.pop_front();
            self.window.push_back(now + t.activate_window);
            self.counts.activates += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: u64 = 1 << 40;

    fn access(bank: usize, row: u64) -> Access {
        Access { serial: 0, word: 0, bank, row, arrived: 0 }
    }

    /// Clocks at which the data of reads have come, the accesses all there from the start.
    fn reads(timing: Timing, refresh_due: u64, accesses: &[Access]) -> Vec<u64> {
        let mut channel = PseudoChannel::new(timing, refresh_due);
        channel.reads.extend(accesses);
        (0..2000).filter_map(|now| channel.tick(now)).map(|(_, end)| end).collect()
    }

    #[test]
    fn closed_bank_row_hit_and_conflict_take_their_time() {
        let t = Timing::HBM3_6400;
        let closed = t.activate_to_column + t.read_latency + t.burst;
        // The first clock gives the activation.
        assert_eq!(reads(t, NEVER, &[access(0, 5)]), [closed]);
        assert_eq!(reads(t, NEVER, &[access(0, 5), access(0, 5)]), [closed, closed + t.column_long]);
        let conflict = t.activate_to_precharge + t.precharge + closed;
        assert_eq!(reads(t, NEVER, &[access(0, 5), access(0, 6)]), [closed, conflict]);
    }

    #[test]
    fn other_groups_are_faster_than_the_own() {
        let t = Timing::HBM3_6400;
        let closed = t.activate_to_column + t.read_latency + t.burst;
        let rows = |banks: [usize; 5]| banks.map(|bank| access(bank, 0));
        // Activations: short distance between groups, and a fifth one waits for the window of four.
        let ends = [0, 1, 2, 3].map(|i| closed + i * t.activate_short);
        assert_eq!(
            reads(t, NEVER, &rows([0, 1, 2, 3, 4])),
            [&ends[..], &[closed + t.activate_window]].concat()
        );
        assert_eq!(reads(t, NEVER, &[access(0, 0), access(4, 0)]), [closed, closed + t.activate_long]);
    }

    #[test]
    fn row_hits_pass_but_not_for_ever() {
        let t = Timing::HBM3_6400;
        let order = |arrived| {
            let mut channel = PseudoChannel::new(t, NEVER);
            channel.reads.extend([access(0, 1), Access { arrived, ..access(0, 2) }, access(0, 1)]);
            let rows = (PATIENCE - 1..).filter_map(|now| channel.tick(now)).map(|(a, _)| a.row).take(3);
            rows.collect::<Vec<_>>()
        };
        assert_eq!(order(PATIENCE), [1, 1, 2]);
        assert_eq!(order(0), [1, 2, 1]);
    }

    #[test]
    fn refresh_closes_rows_and_takes_its_time() {
        let t = Timing::HBM3_6400;
        let mut channel = PseudoChannel::new(t, 200);
        channel.reads.push_back(access(0, 5));
        assert!((0..200).any(|now| channel.tick(now).is_some()));
        channel.reads.push_back(access(0, 5));
        let (_, end) = (200..2000).find_map(|now| channel.tick(now)).unwrap();
        let again = t.activate_to_column + t.read_latency + t.burst;
        assert_eq!(end, 200 + t.precharge + t.refresh + again);
        assert_eq!((channel.counts.refreshes, channel.counts.activates), (1, 2));
    }

    #[test]
    fn turning_round_costs_time() {
        let t = Timing::HBM3_6400;
        let mut channel = PseudoChannel::new(t, NEVER);
        channel.writes.push_back(access(0, 5));
        let mut now = 0;
        while channel.counts.writes == 0 {
            channel.tick(now);
            now += 1;
        }
        let written = now - 1;
        channel.reads.push_back(access(0, 5));
        let (_, end) = (now..).find_map(|now| channel.tick(now)).unwrap();
        let turn = t.write_latency + t.burst + t.write_to_read_long;
        assert_eq!(end, written + turn + t.read_latency + t.burst);

        let mut channel = PseudoChannel::new(t, NEVER);
        channel.reads.push_back(access(0, 5));
        let (_, end) = (0..).find_map(|now| channel.tick(now)).unwrap();
        let read = end - t.read_latency - t.burst;
        channel.writes.push_back(access(1, 5));
        // A write to a row that is open, so that only the turn counts.
        channel.banks[1].row = Some(5);
        let mut now = read + 1;
        while channel.counts.writes == 0 {
            channel.tick(now);
            now += 1;
        }
        assert_eq!(now - 1, end + 2 - t.write_latency);
    }
}
