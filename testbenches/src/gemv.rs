// SPDX-License-Identifier: Apache-2.0
//! Test bench of the GEMV sequencer. What it must issue follows from the jobs alone: loads of x by tile and chunk, beats by
//! tile, chunk and feature. When it may do so is judged by what the array's banks and files then hold.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::{
    Beat, EdgeTag, FLOAT_LATENCY, LaneByte, Mode, PSUM_SLOTS, PeTag, SEGMENT_LANES,
};
use tandem_model::attention::types::{FEED_LATENCY, FeedTag};
use tandem_model::block::{Bits, Uint, Wide, low_u8, low_u16};
use tandem_model::compute::gemv_sequencer::{GemvSequencer, Inputs, Outputs};
use tandem_model::control::types::{GROUP_FLOATS, Gemv, OPERAND_CHUNKS};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `gemv_sequencer`.
#[derive(Clone, Copy, Debug)]
pub struct GemvBench {
    /// Of the device.
    pub geometry: Geometry,
}

/// A matrix-vector product.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    /// W is MXINT8, else MXFP4.
    pub int8: bool,
    /// Output features, at least one.
    pub features: u16,
    /// Chunks of the contraction, at least one.
    pub chunks: u16,
    /// First chunk of x.
    pub operand: u16,
}

/// What is asked for, or happens.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// A job joins those that wait to be taken; its words are there.
    Job(Job),
    /// So many cycles.
    Run(u16),
    /// Until all is issued.
    Settle,
    /// No room for so many cycles.
    Full(u16),
    /// No words for so many cycles.
    Dry(u16),
    /// Resets after so many cycles.
    Reset(u16),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Of 256 cycles, in how many there is no job, no word, and no room.
    pub stalls: [u8; 3],
    /// Groups of results that there is room for, at least those of a tile.
    pub room: u8,
    /// Of 256 words, how many could not be read.
    pub faults: u8,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Words, stalls.
    pub seed: u64,
}

const CORNERS: [&str; 19] = [
    "tile of one feature",
    "last tile not full",
    "several tiles of one chunk",
    "more than 100 chunks",
    "last chunk of the operands",
    "INT8 behind FP4",
    "FP4 behind INT8",
    "slot again as soon as it may",
    "room withheld",
    "room for one tile only",
    "words late",
    "word behind word across tiles",
    "word behind word across jobs",
    "load beside a beat",
    "x of the next job loaded beside beats",
    "job taken while another is issued",
    "fault among the scales",
    "fault among the features",
    "reset with a job under way",
];

/// Groups of a full tile.
const TILE_GROUPS: u16 = 4;

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// A word of W.
#[derive(Clone, Debug)]
struct Word {
    bytes: Vec<Uint<8>>,
    fault: bool,
    scales: bool,
    /// The first of a tile; of a job.
    begins: (bool, bool),
}

/// Which x: number of the job, chunk.
type Chunk = (u64, u16);

/// A beat that must come.
#[derive(Clone, Debug)]
struct Expected {
    x: Chunk,
    segment: EdgeTag,
    elements: Vec<Uint<8>>,
    scales: Vec<LaneByte>,
    tile: u64,
    /// The tile is so long that no beat has to wait for its partial sum.
    spaced: bool,
    job_end: bool,
}

/// A load that must come.
#[derive(Clone, Copy, Debug)]
struct Load {
    x: Chunk,
    chunk: u16,
    count: u16,
}

/// A job with all that must come of it.
#[derive(Clone, Debug)]
struct Planned {
    job: Job,
    loads: Vec<Load>,
    beats: Vec<Expected>,
    /// Groups, by tile.
    reservations: Vec<u16>,
}

/// A device, and the untimed view of it.
struct Driver<'a> {
    geometry: Geometry,
    case: &'a Case,
    dut: &'a mut dyn Dut<GemvSequencer>,
    seed: u64,
    now: u64,
    waiting: VecDeque<Planned>,
    job_offered: bool,
    words: VecDeque<Word>,
    word_offered: bool,
    /// Jobs and tiles that were planned.
    jobs: u64,
    tiles: u64,
    /// Of jobs that were taken.
    loads: VecDeque<Load>,
    beats: VecDeque<Expected>,
    reservations: VecDeque<u16>,
    /// Tiles that there was room for.
    with_room: u64,
    /// Groups that there is room for.
    free: u16,
    /// Groups whose results are under way.
    held: u16,
    /// Loads on their way, and when each is due.
    asked: VecDeque<(u64, Load)>,
    /// By bank and lane, the last being the scales: which x is there.
    banks: [[Option<Chunk>; SEGMENT_LANES + 1]; 2],
    /// By slot: when a beat last sent a partial sum there.
    parked: [Option<u64>; PSUM_SLOTS],
    full: u16,
    dry: u16,
    /// Format of the job that was last taken.
    int8: Option<bool>,
    /// A word was taken in the cycle before.
    behind: bool,
    idle: u64,
}

impl<'a> Driver<'a> {
    fn new(
        geometry: Geometry,
        case: &'a Case,
        dut: &'a mut dyn Dut<GemvSequencer>,
    ) -> Result<Self, DutError> {
        let mut driver = Self {
            geometry,
            case,
            dut,
            seed: case.seed,
            now: 0,
            waiting: VecDeque::new(),
            job_offered: false,
            words: VecDeque::new(),
            word_offered: false,
            jobs: 0,
            tiles: 0,
            loads: VecDeque::new(),
            beats: VecDeque::new(),
            reservations: VecDeque::new(),
            with_room: 0,
            free: case.room.into(),
            held: 0,
            asked: VecDeque::new(),
            banks: [[None; SEGMENT_LANES + 1]; 2],
            parked: [None; PSUM_SLOTS],
            full: 0,
            dry: 0,
            int8: None,
            behind: false,
            idle: 0,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn chance(&mut self, of_256: u8) -> bool {
        self.random() & 255 < u64::from(of_256)
    }

    fn bytes(&mut self) -> Vec<Uint<8>> {
        (0..self.geometry.lanes()).map(|_| Uint(u16::from(low_u8(self.random())))).collect()
    }

    fn reset(&mut self) -> Result<(), DutError> {
        (self.job_offered, self.word_offered, self.behind) = (false, false, false);
        self.words.clear();
        self.waiting.clear();
        self.loads.clear();
        self.beats.clear();
        self.reservations.clear();
        self.asked.clear();
        self.with_room = self.tiles;
        (self.free, self.held) = (self.case.room.into(), 0);
        self.banks = [[None; SEGMENT_LANES + 1]; 2];
        self.parked = [None; PSUM_SLOTS];
        self.int8 = None;
        let mut inputs = self.inputs();
        self.dut.clock(false, &mut inputs)?;
        self.now += 1;
        Ok(())
    }

    /// Inputs of the next clock. What is not valid means nothing.
    fn inputs(&mut self) -> Inputs {
        let gemv_i = match self.waiting.front() {
            Some(Planned { job, .. }) if self.job_offered => Gemv {
                valid: true,
                int8: job.int8,
                features: Wide(job.features.into()),
                chunks_last: Uint(job.chunks - 1),
                operand: Uint(job.operand),
            },
            _ => Gemv { valid: false, ..Gemv::from_bits(self.random()) },
        };
        let word = self.words.front().filter(|_| self.word_offered).map(|w| (w.bytes.clone(), w.fault));
        let noise = (self.bytes(), self.chance(128));
        let (weight_i, weight_fault_i) = word.unwrap_or(noise);
        let room = self.full == 0 && !self.chance(self.case.stalls[2]);
        let room_i = room && self.free >= TILE_GROUPS;
        Inputs { gemv_i, weight_valid_i: self.word_offered, weight_i, weight_fault_i, room_i }
    }

    /// Words of a job, by the layout of W, and what must come of them.
    fn plan(&mut self, job: Job) {
        let segments = self.geometry.segments;
        let features = usize::from(job.features);
        let per_word = if job.int8 { 32 } else { 16 };
        let (mut loads, mut beats, mut reservations) = (Vec::new(), Vec::new(), Vec::new());
        for tile in (0..features).step_by(PSUM_SLOTS) {
            let count = PSUM_SLOTS.min(features - tile);
            reservations.push(low_u16(count.div_ceil(GROUP_FLOATS) as u64));
            for chunk in 0..job.chunks {
                let x = (self.jobs, chunk);
                // x of a single chunk stays.
                if job.chunks > 1 || tile == 0 {
                    let counts = 0..=low_u16(SEGMENT_LANES as u64);
                    loads.extend(counts.map(|count| Load { x, chunk: job.operand + chunk, count }));
                }
                let scale_words = count.div_ceil(per_word);
                let words: Vec<_> = (0..scale_words + count).map(|_| self.bytes()).collect();
                for f in 0..count {
                    let byte = |n: usize| words[f / per_word][n];
                    let scales = (0..segments).map(|s| match job.int8 {
                        true => LaneByte { hi: Uint(0), lo: byte(32 * s + f % 32) },
                        false => {
                            LaneByte { hi: byte(32 * s + 2 * (f % 16) + 1), lo: byte(32 * s + 2 * (f % 16)) }
                        }
                    });
                    let segment = EdgeTag {
                        int8: job.int8,
                        group_log2: Uint(low_u16(u64::from(segments.ilog2()))),
                        slot: Uint(low_u16(f as u64)),
                        partial_in: chunk > 0,
                        partial_out: chunk + 1 < job.chunks,
                        ..EdgeTag::default()
                    };
                    beats.push(Expected {
                        x,
                        segment,
                        elements: words[scale_words + f].clone(),
                        scales: scales.collect(),
                        tile: self.tiles,
                        spaced: count > usize::from(self.spacing()),
                        job_end: tile + count == features && chunk + 1 == job.chunks && f + 1 == count,
                    });
                }
                for (n, bytes) in words.into_iter().enumerate() {
                    let first = chunk == 0 && n == 0;
                    let fault = self.chance(self.case.faults);
                    let begins = (first, first && tile == 0);
                    self.words.push_back(Word { bytes, fault, scales: n < scale_words, begins });
                }
            }
            self.tiles += 1;
        }
        self.jobs += 1;
        self.waiting.push_back(Planned { job, loads, beats, reservations });
    }

    /// Slots between two beats of a slot, by rule 4.
    fn spacing(&self) -> u16 {
        low_u16((self.geometry.adders() * FLOAT_LATENCY + 1) as u64)
    }

    /// Holds loads against the jobs: what is asked for, and what enters the array as many cycles later.
    fn check_loads(&mut self, o: &Outputs) -> Result<(), DutError> {
        let tag = o.feed_o;
        if tag.load {
            let Some(load) = self.loads.pop_front() else {
                return Err(wrong(format!("a load that no job needs: {tag:?}")));
            };
            let want = FeedTag {
                load: true,
                load_chunk: Uint(load.chunk),
                load_count: Uint(load.count),
                ..FeedTag::default()
            };
            if tag != want {
                return Err(wrong(format!("load {tag:?}, expected {want:?}")));
            }
            self.asked.push_back((self.now + FEED_LATENCY as u64, load));
        } else if tag != FeedTag::default() {
            return Err(wrong(format!("no load, but {tag:?}")));
        }
        let pe = o.beat_o.pe;
        let is_due = self.asked.front().is_some_and(|(due, _)| *due == self.now);
        let due = if is_due { self.asked.pop_front() } else { None };
        match due {
            Some((_, load)) if pe.load && pe.load_count.0 == load.count => {
                self.banks[usize::from(pe.load_bank)][usize::from(load.count)] = Some(load.x);
                Ok(())
            }
            None if !pe.load && !pe.load_bank && pe.load_count.0 == 0 => Ok(()),
            due => Err(wrong(format!("load {pe:?}, asked for {due:?}"))),
        }
    }

    /// Holds the beat against the jobs, and against what the array holds. Loads of the same slot come after it.
    fn check_beat(&mut self, o: &Outputs, coverage: &mut Coverage) -> Result<(), DutError> {
        let Beat { pe, segment } = o.beat_o;
        if pe.mode == Mode::Idle {
            let quiet = o.elements_o.iter().all(|e| e.0 == 0)
                && o.scales_o.iter().all(|&s| s == LaneByte::default())
                && segment == EdgeTag::default()
                && !pe.bank
                && !o.job_end_o;
            return if quiet { Ok(()) } else { Err(wrong(format!("a bubble that says something: {o:?}"))) };
        }
        let Some(want) = self.beats.pop_front() else {
            return Err(wrong(format!("a beat that no job needs: {:?}", o.beat_o)));
        };
        let tag = EdgeTag { bank: pe.bank, ..want.segment };
        let PeTag { load, load_bank, load_count, .. } = pe;
        let lanes =
            PeTag { mode: Mode::Gemv, bank: pe.bank, load, load_bank, load_count, ..PeTag::default() };
        if (segment, pe) != (tag, lanes) || o.job_end_o != want.job_end {
            return Err(wrong(format!("{:?}, job ends: {}; expected {want:?}", o.beat_o, o.job_end_o)));
        }
        if o.elements_o != want.elements || o.scales_o != want.scales {
            return Err(wrong(format!("{:?} {:?}, expected {want:?}", o.scales_o, o.elements_o)));
        }
        if (load && load_bank == pe.bank)
            || self.banks[usize::from(pe.bank)] != [Some(want.x); SEGMENT_LANES + 1]
        {
            return Err(wrong(format!("rule 12: {:?} meets other x than {:?}", o.beat_o, want.x)));
        }
        let slot = usize::from(segment.slot.0);
        if segment.partial_in {
            let slots = self.parked[slot].map(|then| self.now - then);
            if slots.is_none_or(|slots| slots < u64::from(self.spacing())) {
                return Err(wrong(format!("rule 4: slot {slot} again after {slots:?}")));
            }
            coverage.hit_if(!want.spaced && slots == Some(u64::from(self.spacing())), CORNERS[7]);
        }
        self.parked[slot] = segment.partial_out.then_some(self.now);
        if !segment.partial_out && want.tile >= self.with_room {
            return Err(wrong(format!("no room for the result of {:?}", o.beat_o)));
        }
        coverage.hit_if(load, CORNERS[13]);
        // Loads come in the order of the jobs: the first one still on its way tells which job's x is loaded.
        coverage.hit_if(self.asked.front().is_some_and(|(_, load)| load.x.0 > want.x.0), CORNERS[14]);
        Ok(())
    }

    fn check_room(&mut self, o: &Outputs) -> Result<(), DutError> {
        let groups = o.reserve_o.0;
        if groups == 0 {
            return Ok(());
        }
        if self.reservations.pop_front() != Some(groups) || groups > self.free {
            return Err(wrong(format!("{groups} groups reserved, there is room for {}", self.free)));
        }
        self.with_room += 1;
        self.free -= groups;
        self.held += groups;
        Ok(())
    }

    /// A job or a word was taken.
    fn advance(&mut self, before: &Outputs, coverage: &mut Coverage) -> Option<Word> {
        if self.job_offered && before.gemv_ready_o {
            let Planned { job, loads, beats, reservations } =
                self.waiting.pop_front().expect("one is offered");
            coverage.hit_if(job.features % 64 == 1, CORNERS[0]);
            coverage.hit_if(job.features % 64 != 0, CORNERS[1]);
            coverage.hit_if(job.features > 64 && job.chunks == 1, CORNERS[2]);
            coverage.hit_if(job.chunks > 100, CORNERS[3]);
            coverage.hit_if(usize::from(job.operand + job.chunks) == OPERAND_CHUNKS, CORNERS[4]);
            coverage.hit_if(self.int8 == Some(false) && job.int8, CORNERS[5]);
            coverage.hit_if(self.int8 == Some(true) && !job.int8, CORNERS[6]);
            coverage.hit_if(!self.beats.is_empty(), CORNERS[15]);
            self.int8 = Some(job.int8);
            self.loads.extend(loads);
            self.beats.extend(beats);
            self.reservations.extend(reservations);
            self.job_offered = false;
        }
        let taken = self.word_offered && before.weight_ready_o;
        if !taken {
            self.behind = false;
            return None;
        }
        self.word_offered = false;
        let word = self.words.pop_front();
        if let Some(Word { fault, scales, begins, .. }) = word {
            coverage.hit_if(self.behind && begins.0, CORNERS[11]);
            coverage.hit_if(self.behind && begins.1, CORNERS[12]);
            coverage.hit_if(fault && scales, CORNERS[16]);
            coverage.hit_if(fault && !scales, CORNERS[17]);
        }
        self.behind = true;
        word
    }

    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.job_offered |= !self.waiting.is_empty() && !self.chance(self.case.stalls[0]);
        let dry = self.dry > 0 || self.chance(self.case.stalls[1]);
        self.word_offered |= !self.words.is_empty() && !dry;
        let before = self.dut.outputs();
        let mut inputs = self.inputs();
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        coverage.hit_if(before.weight_ready_o && self.dry > 0, CORNERS[10]);
        coverage.hit_if(inputs.room_i && self.free < 2 * TILE_GROUPS, CORNERS[9]);
        let starved = before.weight_ready_o && !inputs.weight_valid_i;
        let word = self.advance(&before, coverage);

        let o = self.dut.outputs();
        coverage.hit_if(o.blocked_o, CORNERS[8]);
        let fault = word.as_ref().is_some_and(|word| word.fault);
        if (o.fault_o, o.starved_o) != (fault, starved) {
            return Err(wrong(format!(
                "fault {}, starved {}: expected {fault}, {starved}",
                o.fault_o, o.starved_o
            )));
        }
        let beat = word.is_some_and(|word| !word.scales);
        if beat != (o.beat_o.pe.mode != Mode::Idle) || (o.starved_o && o.blocked_o) {
            return Err(wrong(format!("a word of a feature: {beat}, but {o:?}")));
        }
        let inside = beat || o.feed_o.load || !self.asked.is_empty() || o.starved_o || o.blocked_o;
        if inside && !o.busy_o {
            return Err(wrong("it is not busy".to_owned()));
        }
        self.check_room(&before)?;
        self.check_beat(&o, coverage)?;
        self.check_loads(&o)?;
        // The room of what has been issued comes back some time.
        let back = if self.chance(16) { self.held } else { 0 };
        self.free += back;
        self.held -= back;
        self.full = self.full.saturating_sub(1);
        self.dry = self.dry.saturating_sub(1);
        self.idle = if beat { 0 } else { self.idle + 1 };
        Ok(())
    }

    fn done(&self) -> bool {
        self.waiting.is_empty() && self.words.is_empty() && self.beats.is_empty() && self.asked.is_empty()
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.idle = 0;
        while !self.done() {
            if self.idle > 3000 {
                return Err(wrong(format!("{} beats never came", self.beats.len())));
            }
            self.clock(coverage)?;
        }
        if let Some(load) = self.loads.front() {
            return Err(wrong(format!("{load:?} never came")));
        }
        // Nothing more comes.
        for _ in 0..4 {
            self.clock(coverage)?;
        }
        let o = self.dut.outputs();
        let idle = o.gemv_ready_o && !o.weight_ready_o && !o.busy_o;
        if idle { Ok(()) } else { Err(wrong(format!("all is issued, but {o:?}"))) }
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Job(job) => self.plan(job),
            Op::Run(cycles) => (0..cycles).try_for_each(|_| self.clock(coverage))?,
            Op::Settle => self.settle(coverage)?,
            Op::Full(cycles) => self.full = cycles,
            Op::Dry(cycles) => self.dry = cycles,
            Op::Reset(after) => {
                (0..after).try_for_each(|_| self.clock(coverage))?;
                coverage.hit_if(!self.beats.is_empty(), CORNERS[18]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

/// Cycles from the first word of W that is taken to the last, of so many jobs one behind the other that nothing holds up.
///
/// # Errors
/// What the device found wrong, or [`WrongAnswer`].
pub fn issue_cycles(
    geometry: Geometry,
    dut: &mut dyn Dut<GemvSequencer>,
    jobs: &[Job],
) -> Result<u64, DutError> {
    let case = Case { stalls: [0; 3], room: 32, faults: 0, ops: vec![], seed: 1 };
    let mut driver = Driver::new(geometry, &case, dut)?;
    let mut coverage = Coverage::default();
    for &job in jobs {
        driver.plan(job);
    }
    let all = driver.words.len();
    let mut first = None;
    while !driver.words.is_empty() {
        driver.clock(&mut coverage)?;
        if driver.words.len() != all {
            first.get_or_insert(driver.now);
        }
    }
    Ok(driver.now + 1 - first.expect("there are words"))
}

fn jobs() -> impl Strategy<Value = Job> {
    let features = prop_oneof![4 => 1..200u16, 3 => 1..20u16, 1 => Just(64), 1 => Just(128), 1 => Just(65)];
    let shape = prop_oneof![
        12 => (features, 1..7u16),
        4 => (1..200u16, Just(1)),
        1 => (1..20u16, 100..113u16),
    ];
    (any::<bool>(), shape, any::<u16>(), any::<bool>()).prop_map(
        |(int8, (features, chunks), operand, last)| {
            let most = low_u16(OPERAND_CHUNKS as u64) - chunks;
            Job { int8, features, chunks, operand: if last { most } else { operand % (most + 1) } }
        },
    )
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => jobs().prop_map(Op::Job),
        2 => (0..400u16).prop_map(Op::Run),
        1 => Just(Op::Settle),
        1 => (0..500u16).prop_map(Op::Full),
        1 => (0..500u16).prop_map(Op::Dry),
        1 => (0..300u16).prop_map(Op::Reset),
    ]
}

impl Bench for GemvBench {
    type Block = GemvSequencer;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let stall = || prop_oneof![2 => Just(0u8), 2 => 0..200u8, 1 => Just(240)];
        let stalls = [stall(), stall(), stall()];
        let faults = prop_oneof![2 => Just(0u8), 1 => 1..20u8];
        let room = prop_oneof![2 => Just(32u8), 1 => 4..12u8];
        let case = (stalls, room, faults, vec(ops(), 1..8), any::<u64>());
        case.prop_map(|(stalls, room, faults, ops, seed)| Case { stalls, room, faults, ops, seed }).boxed()
    }

    fn model(&self) -> GemvSequencer {
        GemvSequencer::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<GemvSequencer>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = Driver::new(self.geometry, case, dut)?;
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        coverage.add_cycles(driver.now);
        Ok(())
    }
}
