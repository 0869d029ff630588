// SPDX-License-Identifier: Apache-2.0
//! Test bench of the memory port: the stream and eight clients against the memories of [`crate::memory`], whose rules are
//! checked on the port. Every client has addresses of its own, so what comes out does not depend on whose turn it was.

use std::collections::{BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint, Wide};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::CLIENTS;
use tandem_model::memory::memory_port::{Inputs, MemoryPort, Outputs, WRITE_DEPTH};
use tandem_model::memory::types::{
    AXI_ID_BITS, AxiAddress, AxiRead, AxiResponse, ReadRequest, ReadWord, WriteDone, WriteRequest,
};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::memory::Memory;
use crate::memory::checker::{Checker, Limits};
use crate::memory::contents::{Contents, Unwritten};
use crate::memory::hbm3::{Config, Hbm3};
use crate::memory::hostile::{Behaviour, Hostile};
use crate::memory::ideal::Ideal;
use crate::memory::port::{Data, MasterSignals, SlaveSignals, WORD, WriteWord};
use crate::random::split_mix;

/// Property test of `memory_port`.
#[derive(Clone, Copy, Debug)]
pub struct PortBench;

/// The memory.
#[derive(Clone, Copy, Debug)]
pub enum Behind {
    /// Ideal, of this latency.
    Ideal(u16),
    /// With the timing of HBM3.
    Hbm3,
    /// Hostile by a seed; of 256 bursts so many meet an error.
    Hostile(u64, u8),
}

/// Where a request begins.
#[derive(Clone, Copy, Debug)]
pub struct At {
    /// Page of 4 KB within the client's addresses.
    page: u8,
    /// Word of the page.
    offset: u8,
    /// Where there is no memory.
    outside: bool,
}

/// What is asked for, or happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// The stream or a client asks for words.
    Read {
        /// 0 is the stream, the others are the clients.
        source: usize,
        /// From where.
        at: At,
        /// Words, less one.
        words: u16,
    },
    /// A client writes.
    Write {
        /// Client.
        client: usize,
        /// To where.
        at: At,
        /// Words, less one.
        words: u8,
        /// So many such requests, one behind the other.
        times: u8,
    },
    /// So many cycles.
    Run(u16),
    /// Until all is done.
    Settle,
    /// Nobody takes a word that was read for so many cycles.
    Hold(u16),
    /// Drops everything after so many cycles.
    Flush {
        /// Cycles.
        after: u8,
        /// So many times in a row.
        times: u8,
        /// Nobody asks for anything until the port is idle.
        wait: bool,
    },
    /// Drops everything in the cycle in which the next request is taken.
    Meet,
    /// Drops everything in the cycle of the next answer to a write.
    MeetAnswer,
    /// Resets port and memory after so many cycles.
    Reset(u8),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The memory.
    pub behind: Behind,
    /// Of 256 cycles, in how many nobody asks, no word is taken, no word to be written is there.
    pub stalls: [u8; 3],
    /// One after the other.
    pub ops: Vec<Op>,
    /// Contents, words, stalls.
    pub seed: u64,
}

const CORNERS: [&str; 37] = [
    "stream over 4 KB",
    "all clients ask at once",
    "client behind a stream that waits on AR",
    "client before the stream",
    "word of a client waits",
    "words of two clients, one behind the other",
    "refused word to the stream",
    "refused word to a client",
    "write over 4 KB",
    "write of one word",
    "longest write",
    "writes of one word, a word in each of 16 cycles",
    "all clients write at once",
    "AW waits",
    "W waits",
    "burst waits for a word",
    "strobe of some bytes",
    "strobe of no byte",
    "all places of bursts in use",
    "write refused",
    "first burst of a write refused, the last not",
    "good write behind a refused one",
    "answers of two clients, one behind the other",
    "flush with words on their way",
    "flush while AR waits",
    "flush while AW waits",
    "flush while W waits",
    "flush within a burst",
    "flush before all bursts of a write are sent",
    "flush with answers to writes missing",
    "flush in the cycle of an answer to a write",
    "flush in the cycle of a request",
    "flush of nothing",
    "flush before the port is idle again",
    "request before the port is idle again",
    "reset with bursts on their way",
    "flush of a burst behind another on AR",
];

/// Bytes of the addresses that the stream and each client have.
const REGION: u64 = 1 << 18;
/// Bytes of memory: the stream, the clients that read, those that write.
const MEMORY: u64 = (2 * CLIENTS as u64 + 1) * REGION;
/// The first region of those that write.
const WRITERS: usize = CLIENTS + 1;
/// The bit of an ID that the clients' bursts have.
const AUX_ID: u16 = 1 << (AXI_ID_BITS - 1);

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

fn word_of(data: &Data) -> LinkWord {
    let part =
        |n: usize| data[8 * n..8 * n + 8].iter().rev().fold(0, |bits, &byte| bits << 8 | u64::from(byte));
    LinkWord(std::array::from_fn(|n| Wide(part(n))))
}

fn region(address: u64) -> usize {
    usize::try_from(address % MEMORY / REGION).expect("few")
}

/// A word that was asked for.
#[derive(Clone, Copy, Debug)]
struct Expected {
    first: bool,
    last: bool,
    /// What came for it, and whether it was refused.
    came: Option<(LinkWord, bool)>,
}

/// The stream, or a client that reads.
#[derive(Clone, Debug, Default)]
struct Source {
    /// Requests that have not been taken.
    waiting: VecDeque<ReadRequest>,
    /// The first of them is on the port.
    offered: bool,
    /// Words that no burst has asked for yet.
    to_ask: VecDeque<u64>,
    /// Words that have not been given.
    expected: VecDeque<Expected>,
    /// Of them, those that bursts have asked for.
    asked: usize,
    /// A word of this request was refused.
    error: bool,
    /// A word waits: it must not change.
    held: Option<(ReadWord, LinkWord)>,
}

/// A burst that is read.
#[derive(Clone, Copy, Debug)]
struct Read {
    id: u16,
    source: usize,
    address: u64,
    /// Place of its next word among those that are expected.
    place: usize,
    flushed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Word {
    address: u64,
    strobe: u64,
    data: LinkWord,
}

/// A request to write that was taken.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Words without an answer.
    left: u64,
    error: bool,
}

/// A client that writes.
#[derive(Clone, Debug, Default)]
struct Sink {
    waiting: VecDeque<WriteRequest>,
    offered: bool,
    /// Words that the port has not taken.
    to_give: VecDeque<Word>,
    given: bool,
    /// Words that no burst has.
    to_ask: VecDeque<u64>,
    /// Words that have not been on W.
    to_write: VecDeque<Word>,
    open: VecDeque<Open>,
    refused_before: bool,
}

/// A burst that is written.
#[derive(Clone, Debug)]
struct Write {
    client: usize,
    address: u64,
    words: u64,
    /// Words that were on W.
    fed: u64,
    /// What W has handed over.
    sent: Vec<Word>,
    flushed: bool,
}

struct Driver<'a> {
    case: &'a Case,
    dut: &'a mut dyn Dut<MemoryPort>,
    memory: Box<dyn Memory>,
    checker: Checker,
    /// What the memory must hold.
    contents: Contents,
    /// Words that were refused, or that a reset met.
    unknown: BTreeSet<u64>,
    touched: BTreeSet<u64>,
    seed: u64,
    now: u64,
    sources: [Source; CLIENTS + 1],
    sinks: [Sink; CLIENTS],
    /// Bursts on AR or on their way.
    reads: Vec<Read>,
    ar_held: Option<AxiAddress>,
    /// One of these may have been in a reader when a flush came, behind the other reader's burst: it still comes.
    hidden: Vec<VecDeque<u64>>,
    aw_held: bool,
    /// Bursts without an answer, in the order of AW.
    writes: VecDeque<Write>,
    /// The word that is on W.
    on_w: Option<Word>,
    /// Done must be so now.
    done: [WriteDone; CLIENTS],
    hold: u16,
    flush: bool,
    meet: bool,
    meet_answer: bool,
    /// Nobody asks.
    quiet: bool,
    /// A flush is not over.
    draining: bool,
    last_reader: Option<usize>,
    last_writer: Option<usize>,
    singles: u32,
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(case: &'a Case, dut: &'a mut dyn Dut<MemoryPort>) -> Result<Self, DutError> {
        let contents = Contents::new(0..MEMORY, Unwritten::Pattern, case.seed);
        let memory: Box<dyn Memory> = match case.behind {
            Behind::Ideal(latency) => Box::new(Ideal::new(contents.clone(), u64::from(latency))),
            Behind::Hbm3 => Box::new(Hbm3::new(contents.clone(), Config::ONE_CHANNEL)),
            Behind::Hostile(seed, errors) => {
                let behaviour = Behaviour { errors: u64::from(errors), ..Behaviour::from_seed(seed) };
                Box::new(Hostile::new(contents.clone(), behaviour, seed))
            }
        };
        let limits = Limits { reads: 1 << AXI_ID_BITS, writes: WRITE_DEPTH, bounds: 0..2 * MEMORY };
        let mut driver = Self {
            case,
            dut,
            memory,
            checker: Checker::new(limits),
            contents,
            unknown: BTreeSet::new(),
            touched: BTreeSet::new(),
            seed: case.seed,
            now: 0,
            sources: Default::default(),
            sinks: Default::default(),
            reads: Vec::new(),
            ar_held: None,
            hidden: Vec::new(),
            aw_held: false,
            writes: VecDeque::new(),
            on_w: None,
            done: Default::default(),
            hold: 0,
            flush: false,
            meet: false,
            meet_answer: false,
            quiet: false,
            draining: false,
            last_reader: None,
            last_writer: None,
            singles: 0,
            idle: 0,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        split_mix(&mut self.seed) & 255 < u64::from(of_256)
    }

    /// Resets port and memory. What was on its way may have been stored or not.
    fn reset(&mut self) -> Result<(), DutError> {
        for _ in 0..2 {
            let mut inputs = self.noise();
            self.dut.clock(false, &mut inputs)?;
            self.memory.reset();
            self.now += 1;
        }
        self.checker.check_reset(&master(&self.dut.outputs()), &self.memory.outputs())?;
        for write in std::mem::take(&mut self.writes) {
            self.unknown.extend((0..write.words).map(|word| write.address + WORD * word));
        }
        for source in &mut self.sources {
            *source = Source { waiting: std::mem::take(&mut source.waiting), ..Source::default() };
        }
        for sink in &mut self.sinks {
            *sink = Sink { waiting: std::mem::take(&mut sink.waiting), ..Sink::default() };
        }
        self.reads.clear();
        self.hidden.clear();
        (self.ar_held, self.aw_held, self.on_w) = (None, false, None);
        self.done = Default::default();
        (self.quiet, self.draining) = (false, false);
        Ok(())
    }

    /// Inputs that mean nothing where nothing is valid.
    fn noise(&mut self) -> Inputs {
        let mut random = || split_mix(&mut self.seed);
        let mut word = |_| LinkWord(std::array::from_fn(|_| Wide(random())));
        let (r_data_i, write_data_i) = (word(0), std::array::from_fn(&mut word));
        let read = |bits| ReadRequest { valid: false, ..ReadRequest::from_bits(bits) };
        let write = |bits| WriteRequest { valid: false, ..WriteRequest::from_bits(bits) };
        Inputs {
            flush_i: false,
            stream_request_i: read(random()),
            stream_ready_i: false,
            read_request_i: std::array::from_fn(|_| read(random())),
            read_ready_i: [false; CLIENTS],
            write_request_i: std::array::from_fn(|_| write(random())),
            write_valid_i: [false; CLIENTS],
            write_strobe_i: std::array::from_fn(|_| Wide(random())),
            write_data_i,
            ar_ready_i: false,
            r_i: AxiRead { valid: false, ..AxiRead::from_bits(random()) },
            r_data_i,
            aw_ready_i: false,
            w_ready_i: false,
            b_i: AxiResponse { valid: false, ..AxiResponse::from_bits(random()) },
        }
    }

    /// A burst on AR asks for the next words of its source.
    fn check_ar(&mut self, ar: AxiAddress, coverage: &mut Coverage) -> Result<(), DutError> {
        if self.ar_held.is_some() {
            return Ok(());
        }
        let hidden = std::mem::take(&mut self.hidden);
        if !ar.valid {
            return Ok(());
        }
        let source = region(ar.address.0);
        if source > CLIENTS || (source != 0) != (ar.id.0 & AUX_ID != 0) {
            return Err(wrong(format!("whose burst is {ar:?}?")));
        }
        if self.reads.iter().any(|read| read.id == ar.id.0) {
            return Err(wrong(format!("an ID in use: {ar:?}")));
        }
        coverage.hit_if(source != 0 && !self.sources[0].to_ask.is_empty(), CORNERS[3]);
        let hidden = hidden.into_iter().find(|words| words.front() == Some(&ar.address.0));
        let from = &mut self.sources[source];
        self.reads.push(Read {
            id: ar.id.0,
            source,
            address: ar.address.0,
            place: from.asked,
            flushed: hidden.is_some(),
        });
        self.ar_held = Some(ar);
        if let Some(words) = hidden {
            coverage.hit(CORNERS[36]);
            let longest = words.len() as u64;
            return if u64::from(ar.length.0) < longest {
                Ok(())
            } else {
                Err(wrong(format!("too long: {ar:?}")))
            };
        }
        for word in 0..=u64::from(ar.length.0) {
            match from.to_ask.pop_front() {
                Some(next) if next == ar.address.0 + WORD * word => {}
                next => return Err(wrong(format!("word {word} of {ar:?} instead of {next:x?}"))),
            }
            from.asked += 1;
        }
        Ok(())
    }

    /// A burst on AW has the next words of its client.
    fn check_aw(&mut self, aw: AxiAddress) -> Result<(), DutError> {
        if !aw.valid || self.aw_held {
            return Ok(());
        }
        let client = region(aw.address.0).wrapping_sub(WRITERS);
        let (address, words) = (aw.address.0, u64::from(aw.length.0) + 1);
        if client >= CLIENTS || aw.id.0 != 0 || words > 16 {
            return Err(wrong(format!("a burst that may not be: {aw:?}")));
        }
        for word in 0..words {
            match self.sinks[client].to_ask.pop_front() {
                Some(next) if next == address + WORD * word => {}
                next => return Err(wrong(format!("word {word} of {aw:?} instead of {next:x?}"))),
            }
        }
        self.writes.push_back(Write { client, address, words, fed: 0, sent: Vec::new(), flushed: false });
        self.aw_held = true;
        Ok(())
    }

    /// A word on W is the next of its burst; of a flushed one it writes nothing.
    fn check_w(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        let Some(write) = self.writes.iter_mut().find(|write| write.fed < write.words) else {
            let fits = !o.w_o.valid || self.on_w.is_some();
            return if fits { Ok(()) } else { Err(wrong("a word without its burst".to_owned())) };
        };
        if self.on_w.is_some() {
            return Ok(());
        }
        if !o.w_o.valid {
            coverage.hit_if(!write.flushed && !self.sinks[write.client].to_give.is_empty(), CORNERS[15]);
            return Ok(());
        }
        let address = write.address + WORD * write.fed;
        let nothing = Word { address, strobe: 0, data: o.w_data_o };
        let next = if write.flushed { Some(nothing) } else { self.sinks[write.client].to_write.pop_front() };
        let got = (address, o.w_strobe_o.0, o.w_data_o);
        match next {
            Some(word) if (word.address, word.strobe, word.data) == got => self.on_w = Some(word),
            next => return Err(wrong(format!("{got:x?} on W instead of {next:x?}"))),
        }
        write.fed += 1;
        coverage.hit_if(!write.flushed && ![0, u64::MAX].contains(&o.w_strobe_o.0), CORNERS[16]);
        coverage.hit_if(!write.flushed && o.w_strobe_o.0 == 0, CORNERS[17]);
        Ok(())
    }

    /// Words that are given are the next of their source.
    fn check_word(&mut self, source: usize, word: ReadWord, data: LinkWord) -> Result<(), DutError> {
        let from = &self.sources[source];
        if let Some(held) = from.held {
            let fits = held == (word, data);
            return if fits { Ok(()) } else { Err(wrong(format!("a word of {source} changed: {held:x?}"))) };
        }
        if !word.valid {
            return Ok(());
        }
        let Some(Expected { first, last, came: Some((came, refused)) }) = from.expected.front().copied()
        else {
            return Err(wrong(format!("a word to {source} that nobody asked for, or before it came")));
        };
        let error = refused || from.error && !first;
        let want = (ReadWord { valid: true, first, last, error }, came);
        if (word, data) == want {
            Ok(())
        } else {
            Err(wrong(format!("word to {source}: {word:x?} {data:x?}, expected {want:x?}")))
        }
    }

    fn nothing_on_its_way(&self) -> bool {
        self.reads.is_empty()
            && self.writes.is_empty()
            && self.sources.iter().all(|source| source.expected.is_empty())
            && self.sinks.iter().all(|sink| sink.open.is_empty())
    }

    fn check(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        self.check_ar(o.ar_o, coverage)?;
        self.check_aw(o.aw_o)?;
        self.check_w(o, coverage)?;
        self.check_word(0, o.stream_word_o, o.stream_data_o)?;
        for (client, word) in o.read_word_o.into_iter().enumerate() {
            self.check_word(client + 1, word, o.read_data_o)?;
        }
        let done = std::mem::take(&mut self.done);
        if o.write_done_o != done {
            return Err(wrong(format!("done {:?}, expected {done:?}", o.write_done_o)));
        }
        let idle = self.nothing_on_its_way();
        if o.idle_o != idle {
            return Err(wrong(format!("idle is {}, expected {idle}", o.idle_o)));
        }
        self.draining &= !idle;
        self.quiet &= !idle;
        Ok(())
    }

    /// Requests that are on the port in this cycle, and words to be written.
    fn ask(&mut self, o: &Outputs, inputs: &mut Inputs, coverage: &mut Coverage) -> bool {
        let mut taken = false;
        let mut all = [true; 2];
        for number in 0..self.sources.len() {
            let stalls = self.quiet || self.chance(self.case.stalls[0]);
            let source = &mut self.sources[number];
            source.offered |= !source.waiting.is_empty() && !stalls;
            if !source.offered {
                all[0] &= number == 0;
                continue;
            }
            let request = source.waiting[0];
            let ready = match number {
                0 => {
                    inputs.stream_request_i = request;
                    o.stream_request_ready_o
                }
                _ => {
                    inputs.read_request_i[number - 1] = request;
                    o.read_request_ready_o[number - 1]
                }
            };
            if ready {
                taken = true;
                source.waiting.pop_front();
                source.offered = false;
                let (address, words) = (request.address.0, u64::from(request.words.0));
                coverage.hit_if(number == 0 && address % 4096 + WORD * words > 4096, CORNERS[0]);
                for word in 0..words {
                    let (first, last) = (word == 0, word + 1 == words);
                    source.to_ask.push_back(address + WORD * word);
                    source.expected.push_back(Expected { first, last, came: None });
                }
            }
        }
        for client in 0..CLIENTS {
            let stalls = self.quiet || self.chance(self.case.stalls[0]);
            let word_stalls = self.chance(self.case.stalls[2]);
            let mut seed = split_mix(&mut self.seed);
            let sink = &mut self.sinks[client];
            sink.offered |= !sink.waiting.is_empty() && !stalls;
            all[1] &= sink.offered;
            if sink.offered {
                let request = sink.waiting[0];
                inputs.write_request_i[client] = request;
                if o.write_request_ready_o[client] {
                    taken = true;
                    sink.waiting.pop_front();
                    sink.offered = false;
                    let (address, words) = (request.address.0, u64::from(request.words.0));
                    coverage.hit_if(address % 4096 + WORD * words > 4096, CORNERS[8]);
                    coverage.hit_if(words == 1, CORNERS[9]);
                    coverage.hit_if(words == 255, CORNERS[10]);
                    sink.open.push_back(Open { left: words, error: false });
                    for word in 0..words {
                        let address = address + WORD * word;
                        let strobe = match split_mix(&mut seed) & 7 {
                            0 => 0,
                            1 | 2 => split_mix(&mut seed),
                            _ => u64::MAX,
                        };
                        let data = LinkWord(std::array::from_fn(|_| Wide(split_mix(&mut seed))));
                        let word = Word { address, strobe, data };
                        sink.to_ask.push_back(address);
                        sink.to_write.push_back(word);
                        sink.to_give.push_back(word);
                    }
                }
            }
            sink.given |= !sink.to_give.is_empty() && !word_stalls;
            if sink.given {
                inputs.write_valid_i[client] = true;
                inputs.write_strobe_i[client] = Wide(sink.to_give[0].strobe);
                inputs.write_data_i[client] = sink.to_give[0].data;
                if o.write_ready_o[client] {
                    sink.to_give.pop_front();
                    sink.given = false;
                }
            }
        }
        coverage.hit_if(all[0], CORNERS[1]);
        coverage.hit_if(all[1], CORNERS[12]);
        taken
    }

    /// Words that are taken in this cycle.
    fn take(&mut self, o: &Outputs, inputs: &mut Inputs, coverage: &mut Coverage) -> bool {
        let mut any = false;
        for number in 0..self.sources.len() {
            let ready = self.hold == 0 && !self.chance(self.case.stalls[1]);
            let (word, data) = match number {
                0 => {
                    inputs.stream_ready_i = ready;
                    (o.stream_word_o, o.stream_data_o)
                }
                _ => {
                    inputs.read_ready_i[number - 1] = ready;
                    (o.read_word_o[number - 1], o.read_data_o)
                }
            };
            let source = &mut self.sources[number];
            source.held = None;
            if !word.valid {
                continue;
            }
            if ready {
                any = true;
                source.expected.pop_front();
                source.asked -= 1;
                source.error = word.error;
                for read in self.reads.iter_mut().filter(|read| read.source == number && !read.flushed) {
                    read.place -= 1;
                }
                coverage.hit_if(word.error, CORNERS[if number == 0 { 6 } else { 7 }]);
                if number != 0 {
                    let other = self.last_reader.replace(number).is_some_and(|last| last != number);
                    coverage.hit_if(other, CORNERS[5]);
                }
            } else {
                source.held = Some((word, data));
                coverage.hit_if(number != 0, CORNERS[4]);
            }
        }
        any
    }

    /// What the memory says in this cycle.
    fn hear(&mut self, slave: &SlaveSignals, coverage: &mut Coverage) -> Result<(), DutError> {
        if slave.r.valid {
            let at = self.reads.iter().position(|read| read.id == slave.r.id.0).expect("the rules hold");
            let read = &mut self.reads[at];
            let (data, refused) = (word_of(&slave.r_data), slave.r.response.0 >= 2);
            if !read.flushed {
                let right = word_of(&self.contents.read_word(read.address).0);
                if !refused && data != right {
                    return Err(wrong(format!("the memory holds {right:x?} at {:#x}", read.address)));
                }
                self.sources[read.source].expected[read.place].came = Some((data, refused));
            }
            read.place += 1;
            read.address += WORD;
            if slave.r.last {
                self.reads.remove(at);
            }
        }
        if slave.b.valid {
            let write = self.writes.pop_front().expect("the rules hold");
            let refused = slave.b.response.0 >= 2;
            for word in &write.sent {
                self.touched.insert(word.address);
                if refused {
                    self.unknown.insert(word.address);
                }
                let bytes = word.data.bytes();
                self.contents.write_word(word.address, &bytes, word.strobe);
            }
            let other = self.last_writer.replace(write.client).is_some_and(|last| last != write.client);
            coverage.hit_if(other, CORNERS[22]);
            if !write.flushed {
                let sink = &mut self.sinks[write.client];
                let open = sink.open.front_mut().expect("it has a burst");
                coverage.hit_if(open.error && !refused && open.left == write.words, CORNERS[20]);
                open.left -= write.words;
                open.error |= refused;
                if open.left == 0 {
                    let Open { error, .. } = sink.open.pop_front().expect("seen");
                    coverage.hit_if(error, CORNERS[19]);
                    coverage.hit_if(!error && sink.refused_before, CORNERS[21]);
                    sink.refused_before = error;
                    self.done[write.client] = WriteDone { valid: true, error };
                }
            }
        }
        Ok(())
    }

    /// A flush drops what was requested up to this cycle.
    fn drop_all(&mut self, o: &Outputs, inputs: &Inputs, met: bool, coverage: &mut Coverage) {
        coverage.hit_if(!self.reads.is_empty(), CORNERS[23]);
        coverage.hit_if(o.ar_o.valid && !inputs.ar_ready_i, CORNERS[24]);
        coverage.hit_if(o.aw_o.valid && !inputs.aw_ready_i, CORNERS[25]);
        coverage.hit_if(o.w_o.valid && !inputs.w_ready_i, CORNERS[26]);
        let within = |write: &Write| write.fed != 0 && write.fed < write.words && !write.flushed;
        coverage.hit_if(self.writes.iter().any(within), CORNERS[27]);
        let cut = |sink: &Sink| sink.open.front().is_some() && !sink.to_ask.is_empty();
        coverage.hit_if(self.sinks.iter().any(cut), CORNERS[28]);
        coverage.hit_if(self.writes.iter().any(|write| write.fed == write.words), CORNERS[29]);
        coverage.hit_if(inputs.b_i.valid, CORNERS[30]);
        coverage.hit_if(met, CORNERS[31]);
        coverage.hit_if(self.nothing_on_its_way(), CORNERS[32]);
        coverage.hit_if(self.draining, CORNERS[33]);
        if o.ar_o.valid {
            let others = if o.ar_o.id.0 & AUX_ID == 0 { 1..CLIENTS + 1 } else { 0..1 };
            self.hidden.extend(self.sources[others].iter().map(|source| source.to_ask.clone()));
        }
        for source in &mut self.sources {
            let offered = source.offered && !self.quiet;
            *source = Source { waiting: std::mem::take(&mut source.waiting), offered, ..Source::default() };
        }
        for sink in &mut self.sinks {
            let offered = sink.offered && !self.quiet;
            *sink = Sink { waiting: std::mem::take(&mut sink.waiting), offered, ..Sink::default() };
        }
        self.reads.iter_mut().for_each(|read| read.flushed = true);
        self.writes.iter_mut().for_each(|write| write.flushed = true);
        self.done = Default::default();
        self.draining = true;
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let (o, slave) = (self.dut.outputs(), self.memory.outputs());
        let master = master(&o);
        self.checker.check(&master, &slave)?;
        self.check(&o, coverage)?;

        let mut inputs = self.noise();
        let draining = self.draining;
        let asked = self.ask(&o, &mut inputs, coverage);
        coverage.hit_if(asked && draining, CORNERS[34]);
        let moved = self.take(&o, &mut inputs, coverage);
        self.hold = self.hold.saturating_sub(1);
        (inputs.ar_ready_i, inputs.aw_ready_i, inputs.w_ready_i) =
            (slave.ar_ready, slave.aw_ready, slave.w_ready);
        if slave.r.valid {
            (inputs.r_i, inputs.r_data_i) = (slave.r, word_of(&slave.r_data));
        }
        if slave.b.valid {
            inputs.b_i = slave.b;
        }
        let met = asked && std::mem::take(&mut self.meet);
        let answered = slave.b.valid && std::mem::take(&mut self.meet_answer);
        inputs.flush_i = std::mem::take(&mut self.flush) || met || answered;

        if let Some(before) = self.ar_held.take_if(|_| slave.ar_ready) {
            let behind = before.id.0 & AUX_ID == 0 && self.sources[1..].iter().any(|s| !s.to_ask.is_empty());
            coverage.hit_if(behind, CORNERS[2]);
        }
        coverage.hit_if(o.aw_o.valid && !slave.aw_ready, CORNERS[13]);
        coverage.hit_if(o.w_o.valid && !slave.w_ready, CORNERS[14]);
        coverage.hit_if(self.writes.len() == WRITE_DEPTH, CORNERS[18]);
        self.aw_held &= !slave.aw_ready;
        if slave.w_ready
            && let Some(word) = self.on_w.take()
        {
            let burst = self.writes.iter_mut().rev().find(|write| write.fed != 0).expect("it was on W");
            self.singles = if burst.words == 1 && !burst.flushed { self.singles + 1 } else { 0 };
            burst.sent.push(word);
            coverage.hit_if(self.singles == 16, CORNERS[11]);
        } else {
            self.singles = 0;
        }
        self.hear(&slave, coverage)?;
        let moves = moved || asked || slave.r.valid || slave.b.valid || inputs.flush_i;
        self.idle = if moves { 0 } else { self.idle + 1 };
        if inputs.flush_i {
            self.drop_all(&o, &inputs, asked, coverage);
        }
        self.memory.clock(&master);
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        Ok(())
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.idle = 0;
        while !self.nothing_on_its_way()
            || self.sources.iter().any(|source| !source.waiting.is_empty())
            || self.sinks.iter().any(|sink| !sink.waiting.is_empty())
        {
            if self.idle > 20_000 {
                return Err(wrong("nothing moves any more".to_owned()));
            }
            self.clock(coverage)?;
        }
        Ok(())
    }

    fn clocks(&mut self, cycles: u16, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..cycles).try_for_each(|_| self.clock(coverage))
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        let address = |region: usize, at: At| {
            let base = region as u64 * REGION + if at.outside { MEMORY } else { 0 };
            Wide(base + 4096 * u64::from(at.page) + WORD * u64::from(at.offset))
        };
        match op {
            Op::Read { source, at, words } => {
                let request =
                    ReadRequest { valid: true, address: address(source, at), words: Uint(words + 1) };
                self.sources[source].waiting.push_back(request);
            }
            Op::Write { client, at, words, times } => {
                let address = address(WRITERS + client, at);
                let words = Uint(u16::from(words) + 1);
                let request = WriteRequest { valid: true, address, words };
                self.sinks[client].waiting.extend((0..times).map(|_| request));
            }
            Op::Run(cycles) => self.clocks(cycles, coverage)?,
            Op::Settle => self.settle(coverage)?,
            Op::Hold(cycles) => self.hold = cycles,
            Op::Flush { after, times, wait } => {
                self.clocks(u16::from(after), coverage)?;
                for _ in 0..times {
                    self.flush = true;
                    self.quiet = wait;
                    self.clock(coverage)?;
                }
            }
            Op::Meet => self.meet = true,
            Op::MeetAnswer => self.meet_answer = true,
            Op::Reset(after) => {
                self.clocks(u16::from(after), coverage)?;
                coverage.hit_if(!self.reads.is_empty() && !self.writes.is_empty(), CORNERS[35]);
                self.reset()?;
            }
        }
        Ok(())
    }

    /// What is stored is what was written.
    fn check_contents(&self) -> Result<(), DutError> {
        self.checker.finish()?;
        for &address in self.touched.difference(&self.unknown) {
            let (want, got) = (self.contents.read_word(address), self.memory.contents().read_word(address));
            if want != got {
                return Err(wrong(format!("{got:x?} is stored at {address:#x}, expected {want:x?}")));
            }
        }
        Ok(())
    }
}

/// The port as the memories see it.
fn master(o: &Outputs) -> MasterSignals {
    MasterSignals {
        ar: o.ar_o,
        r_ready: o.r_ready_o,
        aw: o.aw_o,
        w: WriteWord {
            valid: o.w_o.valid,
            data: o.w_data_o.bytes(),
            strobe: o.w_strobe_o.0,
            last: o.w_o.last,
        },
        b_ready: o.b_ready_o,
    }
}

/// Words per cycle that a client writes by 1,000 requests of one word into an ideal memory that answers after so many
/// cycles; the last answer's latency does not count.
///
/// # Errors
/// What the device found wrong, or [`WrongAnswer`].
pub fn single_words_per_cycle(dut: &mut dyn Dut<MemoryPort>, latency: u16) -> Result<f64, DutError> {
    const WORDS: u8 = 200;
    let case = Case { behind: Behind::Ideal(latency), stalls: [0; 3], ops: vec![], seed: 1 };
    let mut driver = Driver::new(&case, dut)?;
    let mut coverage = Coverage::default();
    let at = At { page: 0, offset: 0, outside: false };
    for _ in 0..5 {
        driver.run(Op::Write { client: 0, at, words: 0, times: WORDS }, &mut coverage)?;
    }
    let first = driver.now;
    driver.settle(&mut coverage)?;
    let cycles = u32::try_from(driver.now - first)? - u32::from(latency);
    Ok(5.0 * f64::from(WORDS) / f64::from(cycles))
}

fn ops() -> impl Strategy<Value = Op> {
    let outside = || prop_oneof![9 => Just(false), 1 => Just(true)];
    let offset = || prop_oneof![0..64u8, Just(0), Just(63)];
    let at =
        || (0..3u8, offset(), outside()).prop_map(|(page, offset, outside)| At { page, offset, outside });
    let words = || prop_oneof![3 => 0..20u16, 2 => 0..90u16, 2 => Just(0)];
    let long = prop_oneof![2 => 0..200u16, 1 => 200..900u16];
    let written =
        prop_oneof![3 => 0..20u8, 1 => any::<u8>().prop_map(|words| words.min(254)), 1 => Just(254)];
    let read = |(source, at, words)| Op::Read { source, at, words };
    prop_oneof![
        3 => (Just(0), at(), long).prop_map(read),
        6 => (1..=CLIENTS, at(), words()).prop_map(read),
        5 => (0..CLIENTS, at(), written).prop_map(|(client, at, words)| Op::Write { client, at, words, times: 1 }),
        2 => (0..CLIENTS, at(), 1..100u8).prop_map(|(client, at, times)| Op::Write { client, at, words: 0, times }),
        3 => (0..200u16).prop_map(Op::Run),
        1 => Just(Op::Settle),
        1 => (0..300u16).prop_map(Op::Hold),
        3 => (0..60u8, 1..3u8, any::<bool>()).prop_map(|(after, times, wait)| Op::Flush { after, times, wait }),
        1 => Just(Op::Meet),
        1 => Just(Op::MeetAnswer),
        1 => any::<u8>().prop_map(Op::Reset),
    ]
}

impl Bench for PortBench {
    type Block = MemoryPort;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let errors = prop_oneof![2 => Just(0), 1 => any::<u8>()];
        let behind = prop_oneof![
            2 => prop_oneof![Just(1), 1..100u16].prop_map(Behind::Ideal),
            1 => Just(Behind::Hbm3),
            3 => (any::<u64>(), errors).prop_map(|(seed, errors)| Behind::Hostile(seed, errors)),
        ];
        let stall = || prop_oneof![3 => Just(0u8), 1 => 0..200u8];
        let case = (behind, [stall(), stall(), stall()], vec(ops(), 1..20), any::<u64>());
        case.prop_map(|(behind, stalls, ops, seed)| Case { behind, stalls, ops, seed }).boxed()
    }

    fn model(&self) -> MemoryPort {
        MemoryPort::default()
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<MemoryPort>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(case, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        driver.clocks(4, coverage)?;
        coverage.add_cycles(driver.now);
        driver.check_contents()
    }
}
