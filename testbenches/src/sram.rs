// SPDX-License-Identifier: Apache-2.0
//! Test bench of a bank group: words against a map from addresses to bytes, with bits flipped in the memories.

use std::collections::{HashMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::block::{Block, Uint, low_u8, low_u16};
use tandem_model::sram::bank_group::{BankGroup, Inputs};
use tandem_model::sram::types::{BankErrors, BankFill, BankRead, Region};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `bank_group`.
#[derive(Clone, Copy, Debug)]
pub struct SramBench {
    /// Sets the width of a word and the size of a bank.
    pub geometry: Geometry,
}

/// A few clocks. What a case does not say comes from its seeds.
#[derive(Clone, Debug)]
pub enum Op {
    /// Fills and reads at once, until both are through.
    Traffic(Traffic),
    /// Flips bits of words that are there.
    Flip {
        /// Of a codeword: one, or two.
        double: bool,
        /// Codewords.
        count: u8,
        /// Which.
        seed: u64,
    },
    /// Reads a word that is there over and over.
    Hammer(u16),
    /// Nothing.
    Idle(u8),
    /// The lower half is closed to streamed words, or opened again, when the queue is empty.
    Pin,
    /// Clear the counters.
    Clear,
    /// Reset for one clock.
    Reset,
}

/// Fills and reads. Addresses go from `start` in steps of `stride`.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Words to fill.
    pub fills: u16,
    /// Address of the first.
    pub start: u16,
    /// From one to the next.
    pub stride: u16,
    /// Words to read, of those that are there.
    pub reads: u16,
    /// From one to the next.
    pub read_stride: u16,
    /// Cycles of 8 in which nothing is offered.
    pub idle: u8,
    /// Bytes, regions, idle cycles.
    pub seed: u64,
}

const CORNERS: [&str; 15] = [
    "queue full",
    "read and fill in one cycle",
    "read as soon as it is written",
    "address beyond the capacity",
    "one wrong data bit",
    "one wrong check bit",
    "two wrong bits in a codeword",
    "two codewords with one wrong bit each",
    "wrong bits overwritten",
    "counter at its maximum",
    "clear in the cycle of an error",
    "reset with words in the queue",
    "reset with a read on its way",
    "word read after a reset",
    "streamed word kept out of the lower half",
];

/// Clocks after which fills count as lost, many more than fills, reads and idle cycles can take together.
const PATIENCE: u64 = 10_000;

/// What the banks hold at an address.
#[derive(Clone, Debug)]
struct Stored {
    bytes: Vec<u8>,
    /// Wrong bits by codeword: 0 to 63 data, 64 to 71 check.
    wrong: Vec<Vec<u32>>,
}

/// What a read must bring.
#[derive(Clone, Debug)]
struct Expected {
    address: u16,
    /// `None` for a codeword of two wrong bits: its data are not checked.
    codewords: Vec<Option<[u8; 8]>>,
    corrected: usize,
    uncorrectable: usize,
}

/// A device with the untimed view of it.
struct Driver<'a> {
    geometry: Geometry,
    dut: &'a mut dyn Dut<BankGroup>,
    stored: HashMap<u16, Stored>,
    /// Addresses of `stored`, in the order of their first fill.
    known: Vec<u16>,
    /// Fills that were taken and are not written: (address, bytes, region).
    waiting: VecDeque<(u16, Vec<u8>, Region)>,
    /// Reads of the last cycles, the newest first.
    on_their_way: VecDeque<Option<Expected>>,
    errors: BankErrors,
    idle: Inputs,
    cycles: u64,
    /// There was a reset, and nothing was read since.
    fresh: bool,
}

/// What is offered in a cycle.
#[derive(Clone, Debug, Default)]
struct Offer {
    read: Option<u16>,
    fill: Option<(u16, Vec<u8>, Region)>,
    clear: bool,
}

/// Bank and word of an address: the definition, docs/blocks/bank_group.md.
fn place(geometry: Geometry, address: u16) -> (usize, usize) {
    (usize::from(address % 4), usize::from(address) % geometry.words() / 4)
}

/// Memory below the bank group, entry and bit in it, of a bit of a codeword: 64 of data, then 8 of check.
#[must_use]
pub fn memory_of(geometry: Geometry, address: u16, codeword: usize, bit: u32) -> (String, usize, u32) {
    let (bank, entry) = place(geometry, address);
    let (memory, within) = if bit < 64 { ("data_q", bit) } else { ("check_q", bit - 64) };
    (format!("gen_bank[{bank}].u_bank.gen_column[{codeword}].{memory}"), entry, within)
}

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

impl Stored {
    fn sound(bytes: Vec<u8>) -> Self {
        let wrong = vec![Vec::new(); bytes.len() / 8];
        Self { bytes, wrong }
    }

    fn expected(&self, address: u16) -> Expected {
        let codewords = self.bytes.chunks(8).zip(&self.wrong);
        let codewords = codewords.map(|(bytes, wrong)| {
            (wrong.len() < 2).then(|| bytes.try_into().expect("8 bytes of a codeword"))
        });
        let count = |bits: usize| self.wrong.iter().filter(|w| w.len() == bits).count();
        Expected { address, codewords: codewords.collect(), corrected: count(1), uncorrectable: count(2) }
    }
}

impl<'a> Driver<'a> {
    /// A device after reset.
    fn new(geometry: Geometry, dut: &'a mut dyn Dut<BankGroup>) -> Result<Self, DutError> {
        let mut driver = Self {
            geometry,
            dut,
            stored: HashMap::new(),
            known: Vec::new(),
            waiting: VecDeque::new(),
            on_their_way: VecDeque::new(),
            errors: BankErrors::default(),
            idle: BankGroup::new(geometry).idle_inputs(),
            cycles: 0,
            fresh: false,
        };
        driver.reset()?;
        Ok(driver)
    }

    /// The address as the banks see it.
    fn wrapped(&self, address: u16) -> u16 {
        low_u16(usize::from(address) as u64 % self.geometry.words() as u64)
    }

    fn reset(&mut self) -> Result<(), DutError> {
        self.dut.clock(false, &mut self.idle)?;
        self.cycles += 1;
        // Whether a word in the queue has been written, nobody told.
        for (address, _, region) in std::mem::take(&mut self.waiting) {
            let address = self.place(address, region);
            self.stored.remove(&address);
            self.known.retain(|&a| a != address);
        }
        self.on_their_way = VecDeque::from([None, None]);
        self.errors = BankErrors::default();
        Ok(())
    }

    /// Lets everything run out that was wrong, and starts afresh. Nothing may be in the queue.
    fn forget(&mut self) -> Result<(), DutError> {
        let mut clear = Inputs { clear_errors_i: true, ..self.idle.clone() };
        for _ in 0..4 {
            self.dut.clock(true, &mut clear)?;
        }
        self.on_their_way = VecDeque::from([None, None]);
        self.errors = BankErrors::default();
        Ok(())
    }

    /// One clock. True when the fill was taken.
    fn clock(&mut self, offer: &Offer) -> Result<bool, DutError> {
        let before = self.dut.outputs();
        let taken = offer.fill.is_some() && before.fill_ready_o;
        let mut inputs = self.idle.clone();
        inputs.clear_errors_i = offer.clear;
        if let Some(address) = offer.read {
            // An address of the upper half stays where it is.
            let streamed = usize::from(self.wrapped(address)) >= self.geometry.words() / 2;
            inputs.read_i = BankRead { valid: true, streamed, address: Uint(address) };
        }
        if let Some((address, bytes, region)) = &offer.fill {
            inputs.fill_i = BankFill { valid: true, region: *region, address: Uint(*address) };
            inputs.fill_data_i = bytes.iter().map(|&byte| Uint(u16::from(byte))).collect();
        }
        let read = offer.read.map(|address| {
            let place = self.wrapped(address);
            // Mapped to the upper half, it is told as it lies there.
            let streamed = usize::from(place) >= self.geometry.words() / 2;
            self.stored[&place].expected(if self.idle.pinned_i && streamed { place } else { address })
        });
        self.dut.clock(true, &mut inputs)?;
        self.cycles += 1;
        self.on_their_way.push_front(read);
        self.check(offer.clear)?;
        if let (true, Some(fill)) = (taken, &offer.fill) {
            self.waiting.push_back(fill.clone());
        }
        let written = self.dut.outputs().written_o;
        if written.valid {
            let Some((address, bytes, region)) = self.waiting.pop_front() else {
                return Err(wrong(format!("cycle {}: nothing was to be written", self.cycles)));
            };
            if (written.address.0, written.region) != (address, region) {
                return Err(wrong(format!(
                    "cycle {}: {written:?}, expected {address} {region:?}",
                    self.cycles
                )));
            }
            let address = self.place(address, region);
            if self.stored.insert(address, Stored::sound(bytes)).is_none() {
                self.known.push(address);
            }
        }
        Ok(taken)
    }

    /// Where a fill goes: with `pinned_i`, streamed words into the upper half.
    fn place(&self, address: u16, region: Region) -> u16 {
        let half = low_u16(self.geometry.words() as u64 / 2);
        if self.idle.pinned_i && region != Region::Resident {
            half + address % half
        } else {
            self.wrapped(address)
        }
    }

    /// The outputs after a clock: the word of the read before the last, the counters with the one before that.
    fn check(&mut self, clear: bool) -> Result<(), DutError> {
        let outputs = self.dut.outputs();
        let at = self.cycles;
        let word = &self.on_their_way[1];
        if outputs.word_o.valid != word.is_some() {
            return Err(wrong(format!("cycle {at}: {:?}, expected {word:?}", outputs.word_o)));
        }
        if let Some(word) = word {
            if outputs.word_o.uncorrectable != (word.uncorrectable > 0) {
                return Err(wrong(format!("cycle {at}: {:?}, expected {word:?}", outputs.word_o)));
            }
            for (c, codeword) in word.codewords.iter().enumerate() {
                let got = outputs.word_data_o[8 * c..][..8].iter().map(|byte| low_u8(u64::from(byte.0)));
                if codeword.is_some_and(|bytes| !got.clone().eq(bytes)) {
                    let got: Vec<_> = got.collect();
                    return Err(wrong(format!(
                        "cycle {at}: codeword {c} of address {}: {got:?}, expected {codeword:?}",
                        word.address
                    )));
                }
            }
        }
        if clear {
            self.errors = BankErrors::default();
        }
        if let Some(Some(counted)) = self.on_their_way.get(2) {
            if counted.uncorrectable > 0 && self.errors.uncorrectable.0 == 0 {
                self.errors.first_uncorrectable = Uint(counted.address);
            }
            let sum = |count: Uint<16>, more: usize| {
                Uint(low_u16((u64::from(count.0) + more as u64).min(u64::from(u16::MAX))))
            };
            self.errors.corrected = sum(self.errors.corrected, counted.corrected);
            self.errors.uncorrectable = sum(self.errors.uncorrectable, counted.uncorrectable);
        }
        self.on_their_way.truncate(3);
        if outputs.errors_o != self.errors {
            return Err(wrong(format!(
                "cycle {at}: counters {:?}, expected {:?}",
                outputs.errors_o, self.errors
            )));
        }
        Ok(())
    }

    /// Idle clocks until all that was taken has been written.
    fn drain(&mut self) -> Result<(), DutError> {
        for _ in 0..8 {
            self.clock(&Offer::default())?;
        }
        if !self.waiting.is_empty() {
            return Err(wrong(format!("cycle {}: {} words were lost", self.cycles, self.waiting.len())));
        }
        Ok(())
    }

    /// Addresses that hold something defined that nothing on its way changes.
    fn readable(&self, address: u16) -> bool {
        let waits = |&(other, _, region): &(u16, _, Region)| self.place(other, region) == address;
        self.stored.contains_key(&address) && !self.waiting.iter().any(waits)
    }

    /// Flips a bit of a codeword, or flips it back.
    fn flip(&mut self, address: u16, codeword: usize, bit: u32) -> Result<(), DutError> {
        let (path, entry, within) = memory_of(self.geometry, address, codeword, bit);
        self.dut.upset(&path, entry, within)?;
        let stored = self.stored.get_mut(&address).expect("only what is known is flipped");
        let wrong = &mut stored.wrong[codeword];
        match wrong.iter().position(|&b| b == bit) {
            Some(at) => drop(wrong.remove(at)),
            None => wrong.push(bit),
        }
        Ok(())
    }

    fn random_bytes(&self, state: &mut u64) -> Vec<u8> {
        (0..self.geometry.word_bytes() / 8).flat_map(|_| split_mix(state).to_le_bytes()).collect()
    }

    fn traffic(&mut self, traffic: Traffic, coverage: &mut Coverage) -> Result<(), DutError> {
        let Traffic { mut fills, start, stride, mut reads, read_stride, idle, seed } = traffic;
        let mut state = seed;
        let mut offer = Offer::default();
        let mut address = start;
        let mut next_read = low_u16(split_mix(&mut state));
        let mut just_written = None;
        let deadline = self.cycles + PATIENCE;
        while fills > 0 || reads > 0 {
            if self.cycles > deadline {
                return Err(wrong(format!("cycle {}: {fills} fills never taken", self.cycles)));
            }
            let dice = split_mix(&mut state);
            if offer.fill.is_none() && fills > 0 && low_u8(dice) % 8 >= idle {
                let region =
                    [Region::Resident, Region::Key, Region::Value][usize::from(low_u8(dice >> 8)) % 3];
                coverage.hit_if(usize::from(address) >= self.geometry.words(), CORNERS[3]);
                offer.fill = Some((address, self.random_bytes(&mut state), region));
                let low = usize::from(self.wrapped(address)) < self.geometry.words() / 2;
                coverage.hit_if(self.idle.pinned_i && low && region != Region::Resident, CORNERS[14]);
                address = address.wrapping_add(stride);
            }
            offer.read = None;
            if reads > 0 && low_u8(dice >> 16) % 8 >= idle {
                offer.read = self.pick(just_written, &mut next_read, read_stride);
                reads -= 1;
                coverage.hit_if(offer.read.is_some() && offer.read == just_written, CORNERS[2]);
                coverage.hit_if(offer.read.is_some() && self.fresh, CORNERS[13]);
                self.fresh &= offer.read.is_none();
            }
            coverage.hit_if(!self.dut.outputs().fill_ready_o, CORNERS[0]);
            coverage.hit_if(offer.read.is_some() && offer.fill.is_some(), CORNERS[1]);
            let next = self.waiting.front().map(|(address, _, region)| self.place(*address, *region));
            if let Some((fill, _, region)) = &offer.fill {
                let old = self.stored.get(&self.place(*fill, *region));
                coverage.hit_if(old.is_some_and(|s| s.wrong.iter().any(|w| !w.is_empty())), CORNERS[8]);
            }
            if self.clock(&offer)? {
                offer.fill = None;
                fills -= 1;
            }
            just_written = next.filter(|_| self.dut.outputs().written_o.valid);
        }
        Ok(())
    }

    /// What to read next: what has just been written, else the next of a stride, as far as it is there.
    fn pick(&self, just_written: Option<u16>, next: &mut u16, stride: u16) -> Option<u16> {
        if let Some(address) = just_written.filter(|&a| self.readable(a)) {
            return Some(address);
        }
        *next = next.wrapping_add(stride);
        let at = self.wrapped(*next);
        if self.readable(at) {
            // Addresses wrap: the one beyond the capacity names the same word.
            return Some(*next);
        }
        let any = self.known.get(usize::from(*next) % self.known.len().max(1)).copied();
        any.filter(|&a| self.readable(a))
    }

    fn flips(&mut self, double: bool, count: u8, seed: u64, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut state = seed;
        let columns = self.geometry.word_bytes() / 8;
        let mut address = 0;
        for i in 0..count {
            // Codewords of one word, three times of four.
            if i == 0 || split_mix(&mut state) & 3 == 0 {
                let Some(&any) = self.known.get(low_usize(&mut state) % self.known.len().max(1)) else {
                    return Ok(());
                };
                address = any;
            }
            let codeword = low_usize(&mut state) % columns;
            let whole = |s: &Stored| s.wrong[codeword].is_empty();
            if !self.readable(address) || !whole(&self.stored[&address]) {
                continue;
            }
            let first = low_u16(split_mix(&mut state)) % 72;
            let second = (first + 1 + low_u16(split_mix(&mut state)) % 71) % 72;
            self.flip(address, codeword, u32::from(first))?;
            if double {
                self.flip(address, codeword, u32::from(second))?;
            }
            let ones = self.stored[&address].wrong.iter().filter(|w| w.len() == 1).count();
            coverage.hit_if(!double && first < 64, CORNERS[4]);
            coverage.hit_if(!double && first >= 64, CORNERS[5]);
            coverage.hit_if(double, CORNERS[6]);
            coverage.hit_if(ones > 1, CORNERS[7]);
        }
        Ok(())
    }

    fn run(&mut self, op: &Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match *op {
            Op::Traffic(traffic) => self.traffic(traffic, coverage)?,
            Op::Flip { double, count, seed } => self.flips(double, count, seed, coverage)?,
            Op::Hammer(times) => {
                let worst = self.known.iter().copied().filter(|&a| self.readable(a));
                let worst =
                    worst.max_by_key(|a| self.stored[a].wrong.iter().filter(|w| !w.is_empty()).count());
                for _ in 0..worst.map_or(0, |_| times) {
                    self.clock(&Offer { read: worst, ..Offer::default() })?;
                }
                let most = self.errors.corrected.0.max(self.errors.uncorrectable.0);
                coverage.hit_if(most == u16::MAX, CORNERS[9]);
            }
            Op::Idle(clocks) => {
                for _ in 0..clocks {
                    self.clock(&Offer::default())?;
                }
            }
            Op::Pin => {
                self.drain()?;
                self.idle.pinned_i = !self.idle.pinned_i;
            }
            Op::Clear => {
                let counts = |e: &Expected| e.corrected + e.uncorrectable > 0;
                coverage.hit_if(self.on_their_way[1].as_ref().is_some_and(counts), CORNERS[10]);
                self.clock(&Offer { clear: true, ..Offer::default() })?;
            }
            Op::Reset => {
                coverage.hit_if(!self.waiting.is_empty(), CORNERS[11]);
                coverage.hit_if(self.on_their_way.iter().take(2).any(Option::is_some), CORNERS[12]);
                self.reset()?;
                self.fresh = true;
            }
        }
        Ok(())
    }
}

fn low_usize(state: &mut u64) -> usize {
    usize::from(low_u16(split_mix(state)))
}

impl Bench for SramBench {
    type Block = BankGroup;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let stride = || prop_oneof![4 => Just(1u16), 3 => Just(32), 1 => Just(0), 2 => any::<u16>()];
        let start = prop_oneof![3 => 0..256u16, 1 => any::<u16>()];
        let traffic = (0..80u16, start, stride(), 0..80u16, stride(), 0..6u8, any::<u64>()).prop_map(
            |(fills, start, stride, reads, read_stride, idle, seed)| {
                Op::Traffic(Traffic { fills, start, stride, reads, read_stride, idle, seed })
            },
        );
        let flip = (any::<bool>(), 1..16u8, any::<u64>()).prop_map(|(double, count, seed)| Op::Flip {
            double,
            count,
            seed,
        });
        // 65,535 codewords, one a cycle at the least.
        let hammer = prop_oneof![8 => 1..40u16, 1 => Just(u16::MAX)];
        let op = prop_oneof![
            12 => traffic,
            8 => flip,
            2 => hammer.prop_map(Op::Hammer),
            3 => (0..12u8).prop_map(Op::Idle),
            2 => Just(Op::Pin),
            2 => Just(Op::Clear),
            2 => Just(Op::Reset),
        ];
        vec(op, 1..24).boxed()
    }

    fn model(&self) -> BankGroup {
        BankGroup::new(self.geometry)
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<BankGroup>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(self.geometry, dut)?;
        for op in case {
            driver.run(op, coverage)?;
        }
        driver.drain()?;
        coverage.add_cycles(driver.cycles);
        Ok(())
    }
}

/// What became of flipped bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignReport {
    /// Errors put in: one wrong bit in a codeword, or two.
    pub injected: u64,
    /// The word came out right, was not marked, and was counted as corrected.
    pub corrected: u64,
    /// The word was marked and counted as uncorrectable.
    pub detected: u64,
    /// Everything else: wrong data without a mark, a mark too many, a wrong count.
    pub silent: u64,
}

/// Puts `errors` errors into random codewords, single and double by turns, and reads each word back.
///
/// # Errors
/// What the device found wrong. A word that comes out wrong is no error but `silent`.
pub fn campaign(
    geometry: Geometry,
    dut: &mut dyn Dut<BankGroup>,
    errors: u64,
    seed: u64,
) -> Result<CampaignReport, DutError> {
    let mut state = seed;
    let mut driver = Driver::new(geometry, dut)?;
    let words = geometry.words();
    let fills = low_u16(words as u64);
    let seed = split_mix(&mut state);
    let traffic = Traffic { fills, start: 0, stride: 1, reads: 0, read_stride: 0, idle: 0, seed };
    driver.traffic(traffic, &mut Coverage::default())?;
    driver.drain()?;
    let mut report = CampaignReport::default();
    for error in 0..errors {
        let address = low_u16(low_usize(&mut state) as u64 % words as u64);
        let codeword = low_usize(&mut state) % (geometry.word_bytes() / 8);
        let first = low_u16(split_mix(&mut state)) % 72;
        let second = (first + 1 + low_u16(split_mix(&mut state)) % 71) % 72;
        let double = error % 2 == 1;
        let bits: &[u16] = if double { &[first, second] } else { &[first] };
        for &bit in bits {
            driver.flip(address, codeword, u32::from(bit))?;
        }
        report.injected += 1;
        let read = Offer { read: Some(address), ..Offer::default() };
        let verdict = driver.clock(&read).and_then(|_| {
            driver.clock(&Offer::default())?;
            driver.clock(&Offer { clear: true, ..Offer::default() })?;
            driver.clock(&Offer::default())
        });
        match verdict {
            Ok(_) if double => report.detected += 1,
            Ok(_) => report.corrected += 1,
            Err(error) if error.is::<WrongAnswer>() => {
                report.silent += 1;
                driver.forget()?;
            }
            Err(error) => return Err(error),
        }
        for &bit in bits {
            driver.flip(address, codeword, u32::from(bit))?;
        }
    }
    Ok(report)
}
