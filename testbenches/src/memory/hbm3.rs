// SPDX-License-Identifier: Apache-2.0
//! A memory with the timing of HBM3: pseudo channels, banks, rows, refresh, turnaround, behind a controller that reorders.
//! docs/memory-models.md has the parameters' sources.

use std::collections::{BTreeMap, VecDeque};

use tandem_model::memory::types::{AXI_BYTES, AxiRead, AxiResponse};

use super::contents::{Contents, Unwritten};
use super::port::{
    Burst, Data, MasterSignals, Response, SlaveSignals, WORD, burst_taken, read_word, write_response,
};
use super::pseudo_channel::{Access, PseudoChannel, QUEUE};
use super::stream::{Rate, Stream};
use super::{Memory, WriteIntake};

/// Bank groups of a pseudo channel.
pub const GROUPS: usize = 4;
/// Banks of a pseudo channel.
pub const BANKS: usize = 16;
/// Bursts of 32 bytes in a row of a bank: 1 KB.
pub const COLUMNS: u64 = 32;
/// Pseudo channels of a channel. Each holds half of every word.
const PSEUDO_CHANNELS: usize = 2;

/// Times of the memory in its clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Data of one burst on the bus (BL / 4).
    pub burst: u64,
    /// Read command to data (tCL).
    pub read_latency: u64,
    /// Write command to data (tCWL).
    pub write_latency: u64,
    /// Activation to column command (tRCD).
    pub activate_to_column: u64,
    /// Precharge to activation (tRP).
    pub precharge: u64,
    /// Activation to precharge (tRAS).
    pub activate_to_precharge: u64,
    /// Read command to precharge (tRTP).
    pub read_to_precharge: u64,
    /// Last data written to precharge (tWR).
    pub write_recovery: u64,
    /// Column command to column command (`tCCD_S`).
    pub column_short: u64,
    /// The same within a bank group (`tCCD_L`).
    pub column_long: u64,
    /// Activation to activation (`tRRD_S`).
    pub activate_short: u64,
    /// The same within a bank group (`tRRD_L`).
    pub activate_long: u64,
    /// In such a window at most four activations (tFAW).
    pub activate_window: u64,
    /// Last data written to read command (`tWTR_S`).
    pub write_to_read_short: u64,
    /// The same within a bank group (`tWTR_L`).
    pub write_to_read_long: u64,
    /// Refresh of all banks (tRFC).
    pub refresh: u64,
    /// Refresh to refresh (tREFI).
    pub refresh_interval: u64,
}

impl Timing {
    /// HBM3 at 6.4 Gb/s a pin, clock 625 ps, 8 Gb a channel.
    pub const HBM3_6400: Self = Self {
        burst: 2,
        read_latency: 23,
        write_latency: 7,
        activate_to_column: 23,
        precharge: 23,
        activate_to_precharge: 55,
        read_to_precharge: 10,
        write_recovery: 26,
        column_short: 2,
        column_long: 4,
        activate_short: 2,
        activate_long: 4,
        activate_window: 48,
        write_to_read_short: 10,
        write_to_read_long: 13,
        refresh: 560,
        refresh_interval: 6240,
    };
}

/// What is behind the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Times of the memory.
    pub timing: Timing,
    /// Clock of the memory, picoseconds.
    pub memory_period: u64,
    /// Clock of the port, picoseconds.
    pub port_period: u64,
    /// Channels.
    pub channels: usize,
    /// Controller and wires, both ways together: clocks of the memory between data and their word on the port.
    pub path: u64,
    /// Bursts each way that are accepted before the first is answered.
    pub outstanding: usize,
    /// Words of read bursts that are on their way from queue to port, or wait there. At least a burst's: 64.
    pub buffer: u64,
}

impl Config {
    /// One channel of HBM3 at 6.4 Gb/s a pin, and a port at 800 MHz that carries just as much: a word in 1.25 ns.
    pub const ONE_CHANNEL: Self = Self {
        timing: Timing::HBM3_6400,
        memory_period: 625,
        port_period: 1250,
        channels: 1,
        path: 32,
        outstanding: 64,
        buffer: 256,
    };

    fn place(&self, address: u64) -> Place {
        let at = |n: u64| usize::try_from(n).expect("small");
        let (channels, groups, banks) = (u64_of(self.channels), u64_of(GROUPS), u64_of(BANKS / GROUPS));
        let (word, channel) = (address / WORD / channels, address / WORD % channels);
        let (rest, group) = (word / groups, word % groups);
        let rest = rest / COLUMNS;
        let (row, bank) = (rest / banks, rest % banks);
        Place { channel: at(channel), bank: at(group + groups * bank), row }
    }

    /// Distance of addresses that lie in one bank and neighbouring rows.
    #[must_use]
    pub fn row_distance(&self) -> u64 {
        WORD * COLUMNS * u64_of(self.channels * BANKS)
    }

    /// What a linear stream of reads gets, with the refreshes of eight intervals.
    ///
    /// # Panics
    /// Never: the stream ends.
    #[must_use]
    pub fn sustained_peak(&self) -> Rate {
        let words = 8 * self.timing.refresh_interval * self.memory_period / self.port_period;
        let stream = Stream { first: 0, words: 64, step: 64 * WORD, bursts: words / 64, write: false };
        let contents = Contents::new(0..(words + 1) * WORD, Unwritten::Pattern, 0);
        stream.run(&mut Hbm3::new(contents, *self)).expect("the memory answers")
    }
}

fn u64_of(n: usize) -> u64 {
    u64::try_from(n).expect("64 bits")
}

/// Where a word is: in both pseudo channels of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    channel: usize,
    bank: usize,
    row: u64,
}

/// Commands given, of all pseudo channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows opened.
    pub activates: u64,
    /// Rows closed.
    pub precharges: u64,
    /// Bursts of 32 bytes read.
    pub reads: u64,
    /// Bursts of 32 bytes written.
    pub writes: u64,
    /// Refreshes of all banks.
    pub refreshes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Word {
    /// Halves that have come.
    halves: usize,
    /// When the last of them had come.
    ready: u64,
}

#[derive(Clone, Debug)]
struct Read {
    burst: Burst,
    sent: usize,
    words: Vec<Word>,
}

impl Read {
    fn ready(&self, now: u64) -> bool {
        let word = &self.words[self.sent];
        word.halves == PSEUDO_CHANNELS && word.ready <= now
    }
}

/// The memory.
#[derive(Clone, Debug)]
pub struct Hbm3 {
    contents: Contents,
    config: Config,
    channels: Vec<[PseudoChannel; PSEUDO_CHANNELS]>,
    /// Picoseconds of the port that the memory has not lived yet.
    behind: u64,
    /// Clocks of the memory.
    now: u64,
    /// Read bursts by number.
    reads: BTreeMap<u64, Read>,
    next_serial: u64,
    /// Bursts whose words are not all in queues: number, words that are.
    unqueued: VecDeque<(u64, usize)>,
    /// Words that have been queued and not sent.
    buffered: u64,
    /// The burst whose words R carries.
    current: Option<u64>,
    r: AxiRead,
    r_data: Data,
    intake: WriteIntake,
    response: Response,
    responses: VecDeque<(AxiResponse, u64)>,
    b: AxiResponse,
}

impl Hbm3 {
    /// A memory.
    #[must_use]
    pub fn new(contents: Contents, config: Config) -> Self {
        assert!(config.buffer >= 64, "the longest burst has 64 words, the buffer {}", config.buffer);
        // A stream goes round all channels: they refresh together, or it would wait for each of them.
        let half = PseudoChannel::new(config.timing, config.timing.refresh_interval);
        let channel = std::array::from_fn(|_| half.clone());
        Self {
            contents,
            config,
            channels: vec![channel; config.channels],
            behind: 0,
            now: 0,
            reads: BTreeMap::new(),
            next_serial: 0,
            unqueued: VecDeque::new(),
            buffered: 0,
            current: None,
            r: AxiRead::default(),
            r_data: [0; AXI_BYTES],
            intake: WriteIntake::default(),
            response: Response::Okay,
            responses: VecDeque::new(),
            b: AxiResponse::default(),
        }
    }

    /// Commands given so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut all = Counts::default();
        for channel in self.channels.iter().flatten() {
            let Counts { activates, precharges, reads, writes, refreshes } = channel.counts;
            all.activates += activates;
            all.precharges += precharges;
            all.reads += reads;
            all.writes += writes;
            all.refreshes += refreshes;
        }
        all
    }

    /// Moves words of read bursts into the queues of their channels while there is room.
    fn queue_reads(&mut self) {
        while let Some((serial, word)) = self.unqueued.front_mut() {
            let burst = self.reads[serial].burst;
            let place = self.config.place(burst.word(u64_of(*word)));
            let channel = &mut self.channels[place.channel];
            if self.buffered == self.config.buffer || channel.iter().any(|half| half.reads.len() == QUEUE) {
                return;
            }
            let Place { bank, row, .. } = place;
            for half in channel {
                half.reads.push_back(Access { serial: *serial, word: *word, bank, row, arrived: self.now });
            }
            *word += 1;
            self.buffered += 1;
            if u64_of(*word) == burst.words {
                self.unqueued.pop_front();
            }
        }
    }

    /// The clocks of the memory that pass in one of the port.
    fn live(&mut self) {
        self.behind += self.config.port_period;
        while self.behind >= self.config.memory_period {
            self.behind -= self.config.memory_period;
            for half in self.channels.iter_mut().flatten() {
                if let Some((access, end)) = half.tick(self.now)
                    && let Some(read) = self.reads.get_mut(&access.serial)
                {
                    let word = &mut read.words[access.word];
                    word.halves += 1;
                    word.ready = word.ready.max(end + self.config.path);
                }
            }
            self.now += 1;
        }
    }

    /// The burst that R carries next: the first of its ID, the oldest whose first word is there. All its words have room
    /// in the buffer: those of the oldest burst have, and those of bursts that are wholly in the queues.
    fn next_read(&self) -> Option<u64> {
        let queued = self.unqueued.front().map_or(u64::MAX, |&(serial, _)| serial);
        let oldest = self.reads.keys().next().copied();
        let mut seen = 0_u64;
        self.reads.iter().find_map(|(&serial, read)| {
            let id = 1 << read.burst.id;
            let first = seen & id == 0;
            seen |= id;
            let room = serial < queued || Some(serial) == oldest;
            (first && room && read.ready(self.now)).then_some(serial)
        })
    }

    fn offer_read(&mut self) {
        self.current = self.current.or_else(|| self.next_read());
        let Some(serial) = self.current else { return };
        let read = self.reads.get_mut(&serial).expect("current");
        if !read.ready(self.now) {
            return;
        }
        let index = u64_of(read.sent);
        let (data, response) = self.contents.read_word(read.burst.word(index));
        (self.r, self.r_data) = (read_word(&read.burst, index, response), data);
        read.sent += 1;
        self.buffered -= 1;
        if self.r.last {
            self.reads.remove(&serial);
            self.current = None;
        }
    }

    fn take_word(&mut self, master: &MasterSignals) {
        let (burst, index, last) = self.intake.word();
        let Place { channel, bank, row } = self.config.place(burst.word(index));
        let arrived = self.now;
        for half in &mut self.channels[channel] {
            half.writes.push_back(Access { serial: 0, word: 0, bank, row, arrived });
        }
        let written = self.contents.write_word(burst.word(index), &master.w.data, master.w.strobe);
        self.response = self.response.max(written);
        if last {
            let response = std::mem::take(&mut self.response);
            self.responses.push_back((write_response(&burst, response), self.now + self.config.path));
        }
    }
}

impl Memory for Hbm3 {
    fn outputs(&self) -> SlaveSignals {
        let room = |address| {
            let channel = &self.channels[self.config.place(address).channel];
            channel.iter().all(|half| half.writes.len() < QUEUE)
        };
        SlaveSignals {
            ar_ready: self.reads.len() < self.config.outstanding,
            r: self.r,
            r_data: self.r_data,
            aw_ready: self.intake.len() + self.responses.len() < self.config.outstanding,
            w_ready: self.intake.next_word().is_some_and(room),
            b: self.b,
        }
    }

    fn clock(&mut self, master: &MasterSignals) {
        let slave = self.outputs();
        if let Some(burst) = burst_taken(&master.ar, slave.ar_ready) {
            let words = vec![Word::default(); usize::try_from(burst.words).expect("short")];
            self.reads.insert(self.next_serial, Read { burst, sent: 0, words });
            self.unqueued.push_back((self.next_serial, 0));
            self.next_serial += 1;
        }
        if master.w.valid && slave.w_ready {
            self.take_word(master);
        }
        if let Some(burst) = burst_taken(&master.aw, slave.aw_ready) {
            self.intake.push(burst);
        }
        self.queue_reads();
        self.live();
        if master.r_ready {
            self.r.valid = false;
        }
        if !self.r.valid {
            self.offer_read();
        }
        if master.b_ready {
            self.b.valid = false;
        }
        if !self.b.valid && self.responses.front().is_some_and(|&(_, due)| due <= self.now) {
            self.b = self.responses.pop_front().expect("seen").0;
        }
    }

    fn reset(&mut self) {
        for half in self.channels.iter_mut().flatten() {
            half.reads.clear();
        }
        self.reads.clear();
        self.unqueued.clear();
        self.buffered = 0;
        self.current = None;
        self.r = AxiRead::default();
        self.intake.clear();
        self.response = Response::Okay;
        self.responses.clear();
        self.b = AxiResponse::default();
    }

    fn contents(&self) -> &Contents {
        &self.contents
    }

    fn contents_mut(&mut self) -> &mut Contents {
        &mut self.contents
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_round_the_groups_then_along_the_row_then_to_the_next_bank() {
        let config = Config { channels: 2, ..Config::ONE_CHANNEL };
        let place = |word: u64| {
            let Place { channel, bank, row } = config.place(word * WORD);
            (channel, bank, row)
        };
        assert_eq!([place(0), place(1), place(2)], [(0, 0, 0), (1, 0, 0), (0, 1, 0)]);
        assert_eq!([place(8), place(255), place(256)], [(0, 0, 0), (1, 3, 0), (0, 4, 0)]);
        assert_eq!([place(1023), place(1024)], [(1, 15, 0), (0, 0, 1)]);
        assert_eq!(place(config.row_distance() / WORD), (0, 0, 1));
    }
}
