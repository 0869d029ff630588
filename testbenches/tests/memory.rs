// SPDX-License-Identifier: Apache-2.0
//! The memories at the memory port: they obey its rules, store what is written, and are as fast as they claim.

use std::collections::VecDeque;
use std::ops::Range;

use tandem_model::block::{Uint, Wide};
use tandem_model::memory::types::AxiAddress;
use tandem_testbenches::memory::Memory;
use tandem_testbenches::memory::checker::{Checker, Limits};
use tandem_testbenches::memory::contents::{Contents, Unwritten};
use tandem_testbenches::memory::hbm3::{Config, Hbm3};
use tandem_testbenches::memory::hostile::{Behaviour, Hostile};
use tandem_testbenches::memory::ideal::Ideal;
use tandem_testbenches::memory::port::{Burst, MasterSignals, Response, WORD, WriteWord};
use tandem_testbenches::memory::stream::Stream;
use tandem_testbenches::random::split_mix;

/// All the memory there is in these tests.
const BOUNDS: Range<u64> = 0x1_0000..0x2_0000;

fn contents() -> Contents {
    Contents::new(BOUNDS, Unwritten::Pattern, 1)
}

fn below(state: &mut u64, n: u64) -> u64 {
    split_mix(state) % n
}

/// A burst to be done. Writes bring their words.
#[derive(Clone, Debug)]
struct Operation {
    burst: Burst,
    write: Option<Vec<WriteWord>>,
}

/// Random reads and writes of all IDs; a few places are used often.
fn program(seed: u64, operations: usize) -> Vec<Operation> {
    let mut state = seed;
    let operation = |_| {
        let words =
            if below(&mut state, 4) == 0 { 1 + below(&mut state, 64) } else { 1 + below(&mut state, 4) };
        let page = BOUNDS.start + 4096 * if below(&mut state, 2) == 0 { 3 } else { below(&mut state, 16) };
        let address = page + WORD * below(&mut state, 65 - words);
        let burst = Burst { id: usize::try_from(below(&mut state, 16)).unwrap(), address, words };
        let write = below(&mut state, 2) == 0;
        let word = |i| WriteWord {
            valid: true,
            data: std::array::from_fn(|_| split_mix(&mut state).to_le_bytes()[0]),
            strobe: if below(&mut state, 2) == 0 { u64::MAX } else { split_mix(&mut state) },
            last: i + 1 == words,
        };
        Operation { burst, write: write.then(|| (0..words).map(word).collect()) }
    };
    (0..operations).map(operation).collect()
}

/// A simple master: its operations one after the other, as many at a time as do not touch the same words.
struct Master {
    program: VecDeque<Operation>,
    /// Chance in 256 that it does not begin or take something.
    stall: u64,
    state: u64,
    expected: Vec<u8>,
    reads: [VecDeque<(Burst, u64)>; 16],
    writes: [VecDeque<Operation>; 16],
    words: VecDeque<WriteWord>,
    signals: MasterSignals,
    /// Read words and bursts written that came with an error.
    failed: usize,
    cycles: u64,
}

const NO_ADDRESS: AxiAddress = AxiAddress { valid: false, id: Uint(0), address: Wide(0), length: Uint(0) };

impl Master {
    fn new(program: Vec<Operation>, stall: u64, seed: u64) -> Self {
        let length = usize::try_from(BOUNDS.end - BOUNDS.start).unwrap();
        Self {
            program: program.into(),
            stall,
            state: seed,
            expected: contents().load(BOUNDS.start, length),
            reads: Default::default(),
            writes: Default::default(),
            words: VecDeque::new(),
            signals: MasterSignals::default(),
            failed: 0,
            cycles: 0,
        }
    }

    fn go(&mut self) -> bool {
        below(&mut self.state, 256) >= self.stall
    }

    fn bytes(burst: &Burst) -> Range<usize> {
        let offset = |address| usize::try_from(address - BOUNDS.start).unwrap();
        offset(burst.address)..offset(burst.bytes().end)
    }

    /// Whether an operation in flight touches words of this one and one of the two writes.
    fn conflicts(&self, operation: &Operation) -> bool {
        let touches = |other: &Burst| {
            let (a, b) = (operation.burst.bytes(), other.bytes());
            a.start < b.end && b.start < a.end
        };
        let read = |(burst, _): &(Burst, u64)| operation.write.is_some() && touches(burst);
        self.reads.iter().flatten().any(read)
            || self.writes.iter().flatten().any(|other| touches(&other.burst))
    }

    /// Puts the next operation on the port, if it may.
    fn begin(&mut self) {
        if !self.go() {
            return;
        }
        let Some(next) = self.program.front() else { return };
        let busy = if next.write.is_some() { self.signals.aw.valid } else { self.signals.ar.valid };
        if busy || self.conflicts(next) {
            return;
        }
        let next = self.program.pop_front().unwrap();
        let Burst { id, address, words } = next.burst;
        let signals = AxiAddress {
            valid: true,
            id: Uint(u16::try_from(id).unwrap()),
            address: Wide(address),
            length: Uint(u16::try_from(words - 1).unwrap()),
        };
        if let Some(words) = &next.write {
            self.signals.aw = signals;
            self.words.extend(words);
            self.writes[id].push_back(next);
        } else {
            self.signals.ar = signals;
            self.reads[id].push_back((next.burst, 0));
        }
    }

    /// One cycle with a memory under a checker.
    fn cycle(&mut self, memory: &mut dyn Memory, checker: &mut Checker) {
        let (master, slave) = (self.signals, memory.outputs());
        checker.check(&master, &slave).unwrap();
        memory.clock(&master);
        self.cycles += 1;
        if slave.ar_ready {
            self.signals.ar = NO_ADDRESS;
        }
        if slave.aw_ready {
            self.signals.aw = NO_ADDRESS;
        }
        if slave.w_ready {
            self.signals.w.valid = false;
        }
        if slave.r.valid && master.r_ready {
            let queue = &mut self.reads[usize::from(slave.r.id.0)];
            let (burst, index) = queue.front_mut().unwrap();
            let at = Self::bytes(burst).start + usize::try_from(*index * WORD).unwrap();
            if slave.r.response == Response::Okay.code() {
                assert_eq!(slave.r_data, self.expected[at..at + 64], "word {index} of {burst:x?}");
            } else {
                self.failed += 1;
            }
            *index += 1;
            if slave.r.last {
                queue.pop_front();
            }
        }
        if slave.b.valid && master.b_ready {
            let done = self.writes[usize::from(slave.b.id.0)].pop_front().unwrap();
            let bytes = Self::bytes(&done.burst);
            if slave.b.response == Response::Okay.code() {
                let words = done.write.as_ref().unwrap();
                for (word, stored) in words.iter().zip(self.expected[bytes].chunks_exact_mut(64)) {
                    for (i, byte) in stored.iter_mut().enumerate().filter(|(i, _)| word.strobe >> i & 1 == 1)
                    {
                        *byte = word.data[i];
                    }
                }
            } else {
                // Nobody knows what such a write has stored.
                self.failed += 1;
                let stored = memory.contents().load(done.burst.address, bytes.len());
                self.expected[bytes].copy_from_slice(&stored);
            }
        }
        self.begin();
        if !self.signals.w.valid && self.go() {
            self.signals.w = self.words.pop_front().unwrap_or_default();
        }
        self.signals.r_ready = self.go();
        self.signals.b_ready = self.go();
    }

    fn done(&self) -> bool {
        let idle = self.reads.iter().all(VecDeque::is_empty) && self.writes.iter().all(VecDeque::is_empty);
        self.program.is_empty() && idle
    }

    fn run(&mut self, memory: &mut dyn Memory) {
        let limits = Limits { reads: 64, writes: 64, bounds: BOUNDS };
        let mut checker = Checker::new(limits);
        while !self.done() {
            assert!(self.cycles < 1_000_000, "nothing moves");
            self.cycle(memory, &mut checker);
        }
        checker.finish().unwrap();
        assert_eq!(memory.contents().load(BOUNDS.start, self.expected.len()), self.expected);
    }
}

fn memories(seed: u64) -> Vec<Box<dyn Memory>> {
    let two = Config { channels: 2, port_period: 1000, buffer: 64, ..Config::ONE_CHANNEL };
    vec![
        Box::new(Ideal::new(contents(), 1 + seed % 30)),
        Box::new(Hbm3::new(contents(), Config::ONE_CHANNEL)),
        Box::new(Hbm3::new(contents(), two)),
        Box::new(Hostile::new(contents(), Behaviour::from_seed(seed), seed)),
        Box::new(Hostile::new(contents(), Behaviour::from_seed(seed + 100), seed)),
    ]
}

#[test]
fn every_memory_stores_the_same() {
    for seed in 0..12 {
        let mut stored = Vec::new();
        for mut memory in memories(seed) {
            let mut master =
                Master::new(program(seed, 300), [0, 64, 192][usize::try_from(seed % 3).unwrap()], seed);
            master.run(memory.as_mut());
            assert_eq!(master.failed, 0);
            stored.push(master.expected);
        }
        assert!(stored.windows(2).all(|pair| pair[0] == pair[1]), "seed {seed}");
    }
}

#[test]
fn reset_forgets_what_is_in_flight() {
    for seed in 0..4 {
        for mut memory in memories(seed) {
            let limits = Limits { reads: 64, writes: 64, bounds: BOUNDS };
            let mut checker = Checker::new(limits);
            let mut master = Master::new(program(seed, 300), 0, seed);
            while master.cycles < 100 + 37 * seed {
                master.cycle(memory.as_mut(), &mut checker);
            }
            memory.reset();
            checker.check_reset(&MasterSignals::default(), &memory.outputs()).unwrap();
            // Which of the writes in flight are stored is not known.
            let mut after = Master::new(program(seed + 50, 100), 64, seed);
            after.expected = memory.contents().load(BOUNDS.start, after.expected.len());
            after.run(memory.as_mut());
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = || {
        let mut memory = Hostile::new(contents(), Behaviour::from_seed(3), 9);
        let mut master = Master::new(program(5, 200), 64, 5);
        master.run(&mut memory);
        master.cycles
    };
    assert_eq!(run(), run());
}

#[test]
fn errors_come_where_they_are_asked_for() {
    let faulty = BOUNDS.start + 3 * 4096..BOUNDS.start + 3 * 4096 + 2048;
    let quiet = Behaviour::from_seed(1);
    for behaviour in
        [Behaviour { errors: 64, ..quiet.clone() }, Behaviour { faulty: vec![faulty], ..quiet.clone() }]
    {
        let mut memory = Hostile::new(contents(), behaviour, 4);
        let mut master = Master::new(program(4, 300), 0, 4);
        master.run(&mut memory);
        assert!((20..1000).contains(&master.failed), "{}", master.failed);
    }
}

#[test]
fn no_memory_is_an_answer_too() {
    let nowhere = Contents::new(0..0, Unwritten::Pattern, 1);
    let memories: [Box<dyn Memory>; 3] = [
        Box::new(Ideal::new(nowhere.clone(), 4)),
        Box::new(Hbm3::new(nowhere.clone(), Config::ONE_CHANNEL)),
        Box::new(Hostile::new(nowhere, Behaviour::from_seed(0), 0)),
    ];
    for mut memory in memories {
        let address = AxiAddress { valid: true, address: Wide(BOUNDS.start), ..NO_ADDRESS };
        let w = WriteWord { valid: true, last: true, ..WriteWord::default() };
        let mut master = MasterSignals { ar: address, r_ready: true, aw: address, w, b_ready: true };
        let (mut reads, mut writes) = (Vec::new(), Vec::new());
        for _ in 0..5000 {
            let slave = memory.outputs();
            memory.clock(&master);
            master.ar.valid &= !slave.ar_ready;
            master.aw.valid &= !slave.aw_ready;
            master.w.valid &= !slave.w_ready;
            reads.extend(slave.r.valid.then_some(slave.r.response));
            writes.extend(slave.b.valid.then_some(slave.b.response));
        }
        let decode = vec![Response::Decode.code()];
        assert_eq!((reads, writes), (decode.clone(), decode));
    }
}

/// IDs of R in the order of the words, of eight bursts with eight words and an ID each; in how many cycles AR waited.
fn answers(memory: &mut dyn Memory) -> (Vec<u16>, usize) {
    let (mut ids, mut asked, mut waits) = (Vec::new(), 0, 0);
    while ids.len() < 64 {
        let ar =
            AxiAddress { valid: asked < 8, id: Uint(asked), address: Wide(BOUNDS.start), length: Uint(7) };
        let slave = memory.outputs();
        memory.clock(&MasterSignals { ar, r_ready: true, ..Default::default() });
        waits += usize::from(ar.valid && !slave.ar_ready);
        asked += u16::from(ar.valid && slave.ar_ready);
        ids.extend(slave.r.valid.then_some(slave.r.id.0));
    }
    (ids, waits)
}

#[test]
fn hostile_reorders_mixes_and_stalls() {
    let mild =
        Behaviour { latency: 20, stall: 0, interleave: false, outstanding: 16, ..Behaviour::from_seed(0) };
    let answers = |behaviour: &Behaviour| answers(&mut Hostile::new(contents(), behaviour.clone(), 3));
    let bursts = |ids: &[u16]| ids.chunk_by(|a, b| a == b).count();
    let (ids, waits) = answers(&mild);
    assert!(!ids.is_sorted() && bursts(&ids) == 8, "{ids:?}");
    // Moore outputs: nothing is ready in the first cycle after reset.
    assert_eq!(waits, 1);
    let (ids, _) = answers(&Behaviour { interleave: true, ..mild.clone() });
    assert!(bursts(&ids) > 16, "{ids:?}");
    let (_, waits) = answers(&Behaviour { stall: 224, ..mild });
    assert!(waits > 20, "{waits}");
}

/// Who reads without waiting for B is found out by the hostile memory.
#[test]
fn a_write_is_not_seen_before_its_response() {
    let mut stale = 0;
    for seed in 0..40 {
        let before = contents().read_word(BOUNDS.start).0;
        let behaviour = Behaviour { latency: 20, stall: 0, ..Behaviour::from_seed(0) };
        let mut memory = Hostile::new(contents(), behaviour, seed);
        let address = AxiAddress { valid: true, address: Wide(BOUNDS.start), ..NO_ADDRESS };
        let w = WriteWord { valid: true, last: true, strobe: u64::MAX, ..WriteWord::default() };
        let mut master = MasterSignals { aw: address, w, r_ready: true, b_ready: true, ..Default::default() };
        for _ in 0..1000 {
            let slave = memory.outputs();
            memory.clock(&master);
            master.aw.valid &= !slave.aw_ready;
            master.ar.valid &= !slave.ar_ready;
            if master.w.valid && slave.w_ready {
                (master.w.valid, master.ar) = (false, address);
            }
            stale += usize::from(slave.r.valid && slave.r_data == before);
        }
    }
    assert!((5..40).contains(&stale), "{stale}");
}

fn linear(write: bool) -> Stream {
    Stream { first: 0, words: 64, step: 64 * WORD, bursts: 500, write }
}

fn large() -> Contents {
    Contents::new(0..1 << 40, Unwritten::Pattern, 1)
}

#[test]
fn ideal_moves_a_word_per_cycle() {
    for write in [false, true] {
        for words in [1, 3, 64] {
            let stream = Stream { words, ..linear(write) };
            let rate = stream.run(&mut Ideal::new(large(), 20)).unwrap();
            assert_eq!(rate.words, rate.cycles, "{stream:?}");
        }
    }
}

#[test]
fn hbm3_reaches_its_bus_less_refresh_on_a_linear_stream() {
    let config = Config::ONE_CHANNEL;
    let t = config.timing;
    // Of each interval a refresh and the closing and opening of rows around it are lost.
    let ceiling = 1000 * (t.refresh_interval - t.refresh) / t.refresh_interval;
    let peak = config.sustained_peak().per_thousand();
    assert!((ceiling - 30..=ceiling).contains(&peak), "{peak} of {ceiling}");
    for write in [false, true] {
        let mut memory = Hbm3::new(large(), config);
        let rate = linear(write).run(&mut memory).unwrap().per_thousand();
        assert!((ceiling - 50..=ceiling + 20).contains(&rate), "{rate} of {ceiling}, write is {write}");
        let counts = memory.counts();
        assert!(counts.activates * 20 < counts.reads + counts.writes, "{counts:?}");
    }
}

#[test]
fn hbm3_is_slow_where_every_word_is_another_row() {
    let config = Config::ONE_CHANNEL;
    let t = config.timing;
    let mut memory = Hbm3::new(large(), config);
    let stream = Stream { first: 0, words: 1, step: config.row_distance(), bursts: 2000, write: false };
    let rate = stream.run(&mut memory).unwrap();
    // A word per activation, precharge and activation: in cycles of the port.
    let row = (t.activate_to_precharge + t.precharge) * config.memory_period / config.port_period;
    assert!(rate.per_thousand() <= 1000 / row, "{rate:?}");
    assert!(rate.per_thousand() >= 850 / row, "{rate:?}");
    let counts = memory.counts();
    assert!(counts.activates >= counts.reads, "{counts:?}");
}

#[test]
fn hbm3_with_more_channels_fills_a_faster_port() {
    let config = Config { channels: 4, port_period: 625, ..Config::ONE_CHANNEL };
    let one = Config { channels: 1, ..config };
    let (four, one) = (config.sustained_peak().per_thousand(), one.sustained_peak().per_thousand());
    assert!((440..500).contains(&one), "{one}");
    assert!((900..=1000).contains(&four), "{four}");
}
