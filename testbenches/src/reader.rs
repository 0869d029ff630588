// SPDX-License-Identifier: Apache-2.0
//! Test bench of the AXI reader: a memory of its own answers in any order; what comes out must be exactly the words that
//! were asked for. AR is held against the rules of AXI and against the words that are still to be asked for.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::axi_reader::{Inputs, Outputs, READER_BURST_WORDS, READER_DEPTH, Reader};
use tandem_model::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES, AXI_ID_BITS, AxiAddress, AxiRead};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `axi_reader`.
#[derive(Clone, Copy, Debug)]
pub struct ReaderBench;

/// What is asked for, or happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A request joins those that wait to be taken.
    Request {
        /// Which 4 KB.
        page: u64,
        /// Word within it.
        offset: u8,
        /// Words, less one.
        words: u16,
    },
    /// So many cycles.
    Run(u16),
    /// Until all has come.
    Settle,
    /// The reader of the words takes none for so many cycles.
    Hold(u16),
    /// Drops everything after so many cycles, so many times in a row.
    Flush {
        /// Cycles.
        after: u8,
        /// Times.
        times: u8,
    },
    /// Drops everything in the cycle in which the next request is taken.
    Meet,
    /// Resets reader and memory after so many cycles.
    Reset(u8),
}

/// How the memory answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Burst after burst, as they were asked for.
    Asked,
    /// Any burst, whole.
    Bursts,
    /// Any word of any burst, each burst's own in order.
    Words,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Cycles from a burst to its first word, at least.
    pub latency: u16,
    /// And so many more at random.
    pub jitter: u8,
    /// In which order.
    pub order: Order,
    /// Of 256 cycles, in how many AR is not taken, R gives nothing, nobody asks and nobody takes a word.
    pub stalls: [u8; 4],
    /// Of 256 words, how many are refused.
    pub errors: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Words, stalls, order.
    pub seed: u64,
}

const CORNERS: [&str; 25] = [
    "request of one word",
    "request from within a burst",
    "request over 4 KB",
    "request of more than the buffer",
    "request to the last word of the memory",
    "AR waits",
    "all IDs in use",
    "buffer full",
    "answer overtakes an older burst's",
    "answers of two bursts interleaved",
    "answer to the newest burst first",
    "word waits",
    "a word in each of 32 cycles",
    "first word refused",
    "word refused in the middle",
    "good word behind a refused one",
    "good request behind a refused word",
    "flush with words on their way",
    "flush while AR waits",
    "flush of nothing",
    "flush while a word waits",
    "flush in the cycle of a request",
    "flush in the cycle of an answer",
    "flush while draining",
    "reset with words on their way",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// What the memory holds at an address.
fn content(seed: u64, address: u64) -> LinkWord {
    let mut state = seed ^ address.rotate_left(20);
    LinkWord(std::array::from_fn(|_| Wide(split_mix(&mut state))))
}

/// What the memory says of an address: so many of 256 words are refused.
fn response(seed: u64, address: u64, errors: u8) -> u16 {
    let random = split_mix(&mut (!seed ^ address.rotate_left(20)));
    let code = low_u16(random >> 8 & 1);
    if random & 255 < u64::from(errors) { 2 + code } else { 0 }
}

/// The address so many words further.
const fn further(address: u64, words: u64) -> u64 {
    (address + words * AXI_BYTES as u64) & ((1 << AXI_ADDRESS_BITS) - 1)
}

/// A burst that the memory has taken.
#[derive(Clone, Debug)]
struct Burst {
    id: u16,
    address: u64,
    /// Words that are not answered yet.
    left: u64,
    begun: bool,
    due: u64,
}

/// A word that must come.
#[derive(Clone, Copy, Debug)]
struct Expected {
    address: u64,
    first: bool,
    last: bool,
    error: bool,
}

/// A device with its memory and the untimed view of both.
struct Driver<'a> {
    case: &'a Case,
    dut: &'a mut dyn Dut<Reader>,
    seed: u64,
    now: u64,
    /// Requests that have not been taken.
    waiting: VecDeque<(u64, u16)>,
    /// The first of them is on the port.
    offered: bool,
    /// Words that were requested and not asked for: what the next bursts must be.
    to_ask: VecDeque<u64>,
    expected: VecDeque<Expected>,
    /// AR waits: it must not change.
    held: Option<AxiAddress>,
    /// A word waits: it must not change.
    word_held: Option<Outputs>,
    bursts: Vec<Burst>,
    /// R goes on with this ID.
    answering: Option<u16>,
    draining: bool,
    hold: u16,
    flush: bool,
    /// Flush when a request is taken.
    meet: bool,
    /// Words in as many cycles up to now.
    run: u32,
    /// The last word that came was refused and the last of its request.
    behind_refused: bool,
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(case: &'a Case, dut: &'a mut dyn Dut<Reader>) -> Result<Self, DutError> {
        let mut driver = Self {
            case,
            dut,
            seed: case.seed,
            now: 0,
            waiting: VecDeque::new(),
            offered: false,
            to_ask: VecDeque::new(),
            expected: VecDeque::new(),
            held: None,
            word_held: None,
            bursts: Vec::new(),
            answering: None,
            draining: false,
            hold: 0,
            flush: false,
            meet: false,
            run: 0,
            behind_refused: false,
            idle: 0,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        split_mix(&mut self.seed) & 255 < u64::from(of_256)
    }

    fn below(&mut self, n: usize) -> usize {
        usize::try_from(split_mix(&mut self.seed) % n as u64).expect("it is below one")
    }

    /// Resets reader and memory.
    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.noise();
        inputs.r_i.valid = false;
        self.dut.clock(false, &mut inputs)?;
        self.now += 1;
        self.offered = false;
        self.to_ask.clear();
        self.expected.clear();
        (self.held, self.word_held) = (None, None);
        self.bursts.clear();
        self.answering = None;
        self.draining = false;
        self.behind_refused = false;
        Ok(())
    }

    /// Inputs that mean nothing where nothing is valid.
    fn noise(&mut self) -> Inputs {
        let mut random = || split_mix(&mut self.seed);
        Inputs {
            flush_i: false,
            request_valid_i: false,
            request_address_i: Wide::from_bits(random()),
            request_words_i: Uint(low_u16(random())),
            ar_ready_i: false,
            r_i: AxiRead { valid: false, ..AxiRead::from_bits(random()) },
            r_data_i: LinkWord(std::array::from_fn(|_| Wide(random()))),
            word_ready_i: false,
        }
    }

    /// Requests that have been taken are all that may be asked for, in order, by the rules of AXI.
    fn check_address(&mut self, ar: AxiAddress) -> Result<(), DutError> {
        if let Some(held) = self.held {
            let fits = ar == held;
            return if fits { Ok(()) } else { Err(wrong(format!("AR waits as {held:?} and is {ar:?}"))) };
        }
        if !ar.valid {
            return Ok(());
        }
        let words = u64::from(ar.length.0) + 1;
        if words > READER_BURST_WORDS as u64 || ar.address.0 % 4096 + words * AXI_BYTES as u64 > 4096 {
            return Err(wrong(format!("a burst that may not be: {ar:?}")));
        }
        if self.bursts.iter().any(|burst| burst.id == ar.id.0) {
            return Err(wrong(format!("an ID in use: {ar:?}")));
        }
        for word in 0..words {
            let address = further(ar.address.0, word);
            match self.to_ask.pop_front() {
                Some(next) if next == address => {}
                next => return Err(wrong(format!("word {word} of {ar:?} instead of {next:x?}"))),
            }
        }
        self.held = Some(ar);
        Ok(())
    }

    fn check_word(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        if let Some(held) = self.word_held.take() {
            let part =
                |o: &Outputs| (o.word_valid_o, o.word_o, o.word_first_o, o.word_last_o, o.word_error_o);
            if part(&held) != part(o) {
                return Err(wrong(format!("a word waits as {held:x?} and is {o:x?}")));
            }
        }
        if !o.word_valid_o {
            return Ok(());
        }
        let Some(next) = self.expected.front() else {
            return Err(wrong("a word that nobody asked for".to_owned()));
        };
        let want = (content(self.case.seed, next.address), next.first, next.last, next.error);
        let got = (o.word_o, o.word_first_o, o.word_last_o, o.word_error_o);
        if got != want {
            return Err(wrong(format!("word {:#x}: {got:x?}, expected {want:x?}", next.address)));
        }
        coverage.hit_if(self.behind_refused && !next.error, CORNERS[16]);
        Ok(())
    }

    /// The word that R gives, if any.
    fn answer(&mut self, coverage: &mut Coverage) -> Option<(AxiRead, LinkWord)> {
        let now = self.now;
        if self.bursts.is_empty() || self.chance(self.case.stalls[1]) {
            return None;
        }
        let ready = |burst: &Burst| burst.due <= now;
        let at = match self.case.order {
            Order::Asked => Some(0).filter(|&at| ready(&self.bursts[at])),
            _ if self.answering.is_some() => {
                self.bursts.iter().position(|burst| Some(burst.id) == self.answering)
            }
            Order::Bursts | Order::Words => {
                let due: Vec<_> = (0..self.bursts.len()).filter(|&at| ready(&self.bursts[at])).collect();
                if due.is_empty() { None } else { Some(due[self.below(due.len())]) }
            }
        }?;
        coverage.hit_if(at > 0, CORNERS[8]);
        coverage.hit_if(at > 1 && at + 1 == self.bursts.len() && !self.bursts[at].begun, CORNERS[10]);
        let others = self.bursts.iter().enumerate().any(|(n, burst)| n != at && burst.begun);
        coverage.hit_if(others, CORNERS[9]);
        let burst = &mut self.bursts[at];
        burst.begun = true;
        burst.left -= 1;
        let (address, last) = (burst.address, burst.left == 0);
        let response = response(self.case.seed, address, self.case.errors);
        let read = AxiRead { valid: true, id: Uint(burst.id), response: Uint(response), last };
        burst.address = further(address, 1);
        self.answering = (!last && self.case.order == Order::Bursts).then_some(burst.id);
        if last {
            self.bursts.remove(at);
        }
        Some((read, content(self.case.seed, address)))
    }

    fn take_request(&mut self, coverage: &mut Coverage) {
        let (address, words) = self.waiting.pop_front().expect("it was offered");
        self.offered = false;
        let offset = address / AXI_BYTES as u64;
        coverage.hit_if(words == 1, CORNERS[0]);
        coverage.hit_if(!offset.is_multiple_of(READER_BURST_WORDS as u64), CORNERS[1]);
        coverage.hit_if(offset % 64 + u64::from(words) > 64, CORNERS[2]);
        coverage.hit_if(usize::from(words) > READER_DEPTH, CORNERS[3]);
        coverage.hit_if(further(address, u64::from(words)) == 0, CORNERS[4]);
        let mut error = false;
        for word in 0..u64::from(words) {
            let address = further(address, word);
            let refused = response(self.case.seed, address, self.case.errors) != 0;
            coverage.hit_if(refused && word == 0, CORNERS[13]);
            coverage.hit_if(refused && word != 0 && !error, CORNERS[14]);
            coverage.hit_if(!refused && error, CORNERS[15]);
            error |= refused;
            let last = word + 1 == u64::from(words);
            self.to_ask.push_back(address);
            self.expected.push_back(Expected { address, first: word == 0, last, error });
        }
    }

    /// A flush drops what was requested up to this cycle.
    fn drop_all(&mut self, o: &Outputs, inputs: &Inputs, coverage: &mut Coverage) {
        let on_their_way = !self.bursts.is_empty() || self.held.is_some();
        coverage.hit_if(on_their_way, CORNERS[17]);
        coverage.hit_if(o.ar_o.valid && !inputs.ar_ready_i, CORNERS[18]);
        coverage.hit_if(!on_their_way && self.expected.is_empty(), CORNERS[19]);
        coverage.hit_if(o.word_valid_o && !inputs.word_ready_i, CORNERS[20]);
        coverage.hit_if(inputs.request_valid_i && o.request_ready_o, CORNERS[21]);
        coverage.hit_if(inputs.r_i.valid, CORNERS[22]);
        coverage.hit_if(self.draining, CORNERS[23]);
        self.to_ask.clear();
        self.expected.clear();
        self.word_held = None;
        self.behind_refused = false;
        self.draining = true;
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let o = self.dut.outputs();
        self.check_address(o.ar_o)?;
        self.check_word(&o, coverage)?;
        // What was dropped is over when the last of it has come.
        self.draining &= !self.bursts.is_empty() || self.held.is_some();
        if !o.r_ready_o || o.request_ready_o != (self.to_ask.is_empty() && !self.draining) {
            return Err(wrong(format!("ready for R {}, for a request {}", o.r_ready_o, o.request_ready_o)));
        }

        let idle = self.expected.is_empty() && self.bursts.is_empty() && self.held.is_none();
        if o.idle_o != idle {
            return Err(wrong(format!("idle is {}, expected {idle}", o.idle_o)));
        }

        let mut inputs = self.noise();
        self.offered |= !self.waiting.is_empty() && !self.chance(self.case.stalls[2]);
        if let Some(&(address, words)) = self.waiting.front()
            && self.offered
        {
            inputs.request_valid_i = true;
            inputs.request_address_i = Wide(address);
            inputs.request_words_i = Uint(words);
        }
        inputs.ar_ready_i = !self.chance(self.case.stalls[0]);
        inputs.word_ready_i = self.hold == 0 && !self.chance(self.case.stalls[3]);
        let met = inputs.request_valid_i && o.request_ready_o && std::mem::take(&mut self.meet);
        inputs.flush_i = std::mem::take(&mut self.flush) || met;
        self.hold = self.hold.saturating_sub(1);
        if let Some((read, word)) = self.answer(coverage) {
            (inputs.r_i, inputs.r_data_i) = (read, word);
        }

        if inputs.request_valid_i && o.request_ready_o {
            self.take_request(coverage);
        }
        if o.ar_o.valid && inputs.ar_ready_i {
            self.take_address(o.ar_o, coverage);
        }
        coverage.hit_if(o.ar_o.valid && !inputs.ar_ready_i, CORNERS[5]);
        let taken = o.word_valid_o && inputs.word_ready_i;
        self.run = if taken { self.run + 1 } else { 0 };
        coverage.hit_if(self.run == 32, CORNERS[12]);
        coverage.hit_if(o.word_valid_o && !inputs.word_ready_i, CORNERS[11]);
        if taken && let Some(word) = self.expected.pop_front() {
            self.behind_refused = word.last && word.error;
        } else if o.word_valid_o {
            self.word_held = Some(o.clone());
        }
        let given = self.expected.len().saturating_sub(self.to_ask.len());
        coverage.hit_if(given + READER_BURST_WORDS > READER_DEPTH && !self.to_ask.is_empty(), CORNERS[7]);
        let moved =
            taken || inputs.request_valid_i && o.request_ready_o || inputs.r_i.valid || inputs.flush_i;
        self.idle = if moved { 0 } else { self.idle + 1 };
        if inputs.flush_i {
            self.drop_all(&o, &inputs, coverage);
        }
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        Ok(())
    }

    fn take_address(&mut self, ar: AxiAddress, coverage: &mut Coverage) {
        self.held = None;
        let jitter = self.below(usize::from(self.case.jitter) + 1) as u64;
        let due = self.now + u64::from(self.case.latency) + jitter;
        let left = u64::from(ar.length.0) + 1;
        self.bursts.push(Burst { id: ar.id.0, address: ar.address.0, left, begun: false, due });
        coverage.hit_if(self.bursts.len() == 1 << AXI_ID_BITS, CORNERS[6]);
    }

    /// Cycles without anything that show that nothing comes any more.
    const fn patience(&self) -> u64 {
        self.case.latency as u64 + self.case.jitter as u64 + 2000
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.idle = 0;
        while !self.waiting.is_empty()
            || !self.expected.is_empty()
            || !self.bursts.is_empty()
            || self.draining
        {
            if self.idle > self.patience() {
                return Err(wrong(format!("{} words never came", self.expected.len())));
            }
            self.clock(coverage)?;
        }
        Ok(())
    }

    fn clocks(&mut self, cycles: u16, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..cycles).try_for_each(|_| self.clock(coverage))
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Request { page, offset, words } => {
                let address = further(0, page * 64 + u64::from(offset % 64));
                self.waiting.push_back((address, words.saturating_add(1)));
            }
            Op::Run(cycles) => self.clocks(cycles, coverage)?,
            Op::Settle => self.settle(coverage)?,
            Op::Hold(cycles) => self.hold = cycles,
            Op::Flush { after, times } => {
                self.clocks(u16::from(after), coverage)?;
                for _ in 0..times {
                    self.flush = true;
                    self.clock(coverage)?;
                }
            }
            Op::Meet => self.meet = true,
            Op::Reset(after) => {
                self.clocks(u16::from(after), coverage)?;
                coverage.hit_if(!self.bursts.is_empty(), CORNERS[24]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

/// Words per cycle, from the first of a long request to its last, that a reader gives when every burst is answered
/// after so many cycles and words follow each other.
///
/// # Errors
/// What the device found wrong, or [`WrongAnswer`].
pub fn words_per_cycle(dut: &mut dyn Dut<Reader>, latency: u16) -> Result<f64, DutError> {
    const WORDS: u16 = 4096;
    let case =
        Case { latency, jitter: 0, order: Order::Asked, stalls: [0; 4], errors: 0, ops: vec![], seed: 1 };
    let mut driver = Driver::new(&case, dut)?;
    let mut coverage = Coverage::default();
    driver.run(Op::Request { page: 0, offset: 0, words: WORDS - 1 }, &mut coverage)?;
    while driver.expected.len() != usize::from(WORDS) - 1 {
        driver.clock(&mut coverage)?;
    }
    let first = driver.now;
    driver.settle(&mut coverage)?;
    let cycles = u32::try_from(driver.now - first)?;
    Ok(f64::from(WORDS - 1) / f64::from(cycles))
}

fn ops() -> impl Strategy<Value = Op> {
    let page = prop_oneof![any::<u64>(), Just(0), Just((1 << (AXI_ADDRESS_BITS - 12)) - 1)]
        .prop_map(|page| page & ((1 << (AXI_ADDRESS_BITS - 12)) - 1));
    let offset = prop_oneof![any::<u8>(), Just(0), Just(63)];
    let words = prop_oneof![4 => 0..40u16, 2 => 0..300u16, 1 => 300..900u16, 2 => Just(0)];
    let request = (page, offset, words).prop_map(|(page, offset, words)| Op::Request { page, offset, words });
    let last = (0..64u8).prop_map(|offset| Op::Request {
        page: (1 << (AXI_ADDRESS_BITS - 12)) - 1,
        offset,
        words: u16::from(63 - offset),
    });
    prop_oneof![
        10 => request,
        1 => last,
        3 => (0..300u16).prop_map(Op::Run),
        1 => Just(Op::Settle),
        1 => (0..600u16).prop_map(Op::Hold),
        2 => (0..60u8, 1..3u8).prop_map(|(after, times)| Op::Flush { after, times }),
        1 => Just(Op::Meet),
        1 => any::<u8>().prop_map(Op::Reset),
    ]
}

impl Bench for ReaderBench {
    type Block = Reader;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let latency = prop_oneof![3 => 1..20u16, 2 => 20..300u16];
        let jitter = prop_oneof![Just(0), any::<u8>()];
        let order = prop_oneof![Just(Order::Asked), Just(Order::Bursts), Just(Order::Words)];
        let stall = || prop_oneof![2 => Just(0u8), 2 => 0..200u8, 1 => Just(240)];
        let stalls = [stall(), stall(), stall(), stall()];
        let errors = prop_oneof![2 => Just(0), 1 => 1..20u8, 1 => Just(128)];
        let case = (latency, jitter, order, stalls, errors, vec(ops(), 1..12), any::<u64>());
        case.prop_map(|(latency, jitter, order, stalls, errors, ops, seed)| Case {
            latency,
            jitter,
            order,
            stalls,
            errors,
            ops,
            seed,
        })
        .boxed()
    }

    fn model(&self) -> Reader {
        Reader::default()
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Reader>, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut driver = Driver::new(case, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        driver.clocks(4, coverage)?;
        coverage.add_cycles(driver.now);
        Ok(())
    }
}
