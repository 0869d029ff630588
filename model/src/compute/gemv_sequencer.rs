// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/gemv_sequencer.sv`.

use crate::array::Geometry;
use crate::array::types::{Beat, FLOAT_LATENCY, LaneByte, Mode, PSUM_SLOTS, SEGMENT_LANES};
use crate::attention::types::{FEED_LATENCY, FeedTag};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::common::DelayLine;
use crate::control::types::{FEATURE_BITS, GROUP_FLOATS, Gemv};
use crate::packed_struct;

packed_struct! {
    /// What is issued.
    struct Issue {
        valid: bool,
        int8: bool,
        left: Wide<FEATURE_BITS>,
        chunks_last: Uint<7>,
    }
}

packed_struct! {
    /// What is loaded.
    struct Loader {
        valid: bool,
        left: Wide<FEATURE_BITS>,
        chunks_last: Uint<7>,
        operand: Uint<7>,
    }
}

packed_struct! {
    /// A load on its way to the array.
    struct LoadSlot {
        load: bool,
        bank: bool,
        count: Uint<6>,
    }
}

/// Words that a full tile's scales take, at most.
const SCALE_WORDS: usize = PSUM_SLOTS / GROUP_FLOATS;
/// Features of a full tile.
const TILE: u64 = PSUM_SLOTS as u64;

/// Makes beats of the words of W, and loads x beside them.
#[derive(Clone, Debug)]
pub struct GemvSequencer {
    geometry: Geometry,
    /// Taken ahead.
    next_q: Gemv,
    /// Its x is being loaded.
    handed_q: bool,
    issue_q: Issue,
    chunk_q: Uint<7>,
    /// The chunk's scales are here.
    beats_q: bool,
    index_q: Uint<6>,
    bank_q: bool,
    /// Slots since the last beat of the chunk before.
    since_q: Uint<6>,
    /// There is room for the tile's results.
    reserved_q: bool,
    reserve_q: Uint<3>,
    loader_q: Loader,
    load_chunk_q: Uint<7>,
    load_count_q: Uint<6>,
    load_bank_q: bool,
    /// Banks whose load is decided, up to their last use.
    filled_q: [bool; 2],
    /// Banks that beats may use.
    loaded_q: [bool; 2],
    late: DelayLine<LoadSlot>,
    feed_q: FeedTag,
    beat_q: Beat,
    scales_q: Vec<LaneByte>,
    elements_q: Vec<Uint<8>>,
    fault_q: bool,
    job_end_q: bool,
    busy_q: bool,
    starved_q: bool,
    blocked_q: bool,
    /// `[column][word]`: eight bytes each.
    scale_q: Vec<Vec<Wide<64>>>,
    written: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// A job.
    pub gemv_i: Gemv,
    /// There is a word of W.
    pub weight_valid_i: bool,
    /// The word.
    pub weight_i: Vec<Uint<8>>,
    /// It could not be read.
    pub weight_fault_i: bool,
    /// There is room for the results of one more tile.
    pub room_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outputs {
    /// A job is taken, if it is there.
    pub gemv_ready_o: bool,
    /// A word is taken, if it is there.
    pub weight_ready_o: bool,
    /// Groups of results that a tile takes.
    pub reserve_o: Uint<3>,
    /// What the p wires shall carry.
    pub feed_o: FeedTag,
    /// For the array.
    pub beat_o: Beat,
    /// By segment.
    pub scales_o: Vec<LaneByte>,
    /// By lane.
    pub elements_o: Vec<Uint<8>>,
    /// A word of the job could not be read.
    pub fault_o: bool,
    /// The last beat of a job.
    pub job_end_o: bool,
    /// There is a job.
    pub busy_o: bool,
    /// It waits for a word.
    pub starved_o: bool,
    /// It waits for room.
    pub blocked_o: bool,
}

impl GemvSequencer {
    /// After reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            next_q: Gemv::default(),
            handed_q: false,
            issue_q: Issue::default(),
            chunk_q: Uint(0),
            beats_q: false,
            index_q: Uint(0),
            bank_q: false,
            since_q: Uint(0),
            reserved_q: false,
            reserve_q: Uint(0),
            loader_q: Loader::default(),
            load_chunk_q: Uint(0),
            load_count_q: Uint(0),
            load_bank_q: false,
            filled_q: [false; 2],
            loaded_q: [false; 2],
            late: DelayLine::new(FEED_LATENCY),
            feed_q: FeedTag::default(),
            beat_q: Beat::default(),
            scales_q: vec![LaneByte::default(); geometry.segments],
            elements_q: vec![Uint(0); geometry.lanes()],
            fault_q: false,
            job_end_q: false,
            busy_q: false,
            starved_q: false,
            blocked_q: false,
            scale_q: vec![vec![Wide(0); SCALE_WORDS]; geometry.lanes() / 8],
            written: vec![false; SCALE_WORDS],
        }
    }

    /// Slots between beats of one slot: rule 4.
    fn spacing(&self) -> u16 {
        low_u16((self.geometry.adders() * FLOAT_LATENCY + 1) as u64)
    }

    /// This is the job's last tile.
    fn tiles_end(&self) -> bool {
        self.issue_q.left.0 <= TILE
    }

    /// This is the tile's last chunk.
    fn chunks_end(&self) -> bool {
        self.chunk_q == self.issue_q.chunks_last
    }

    /// The tile's last feature. 63 when there is no job.
    fn tile_last(&self) -> u16 {
        low_u16(if self.tiles_end() { self.issue_q.left.0.wrapping_sub(1) % TILE } else { TILE - 1 })
    }

    /// The last word of the chunk's scales, or of its features.
    fn index_last(&self) -> u16 {
        match (self.beats_q, self.issue_q.int8) {
            (true, _) => self.tile_last(),
            (false, true) => self.tile_last() / 32,
            (false, false) => self.tile_last() / 16,
        }
    }

    fn may_issue(&self) -> bool {
        let spaced = self.chunk_q.0 == 0 || self.since_q.0 + self.tile_last() >= self.spacing();
        self.loaded_q[usize::from(self.bank_q)] && spaced && (!self.chunks_end() || self.reserved_q)
    }

    fn weight_ready(&self) -> bool {
        self.issue_q.valid && (!self.beats_q || self.may_issue())
    }

    /// Scales of the feature, by segment.
    fn scales(&self) -> impl Iterator<Item = LaneByte> {
        let feature = usize::from(self.index_q.0);
        let byte =
            move |word: usize, at: usize| Uint(u16::from(self.scale_q[at / 8][word].0.to_le_bytes()[at % 8]));
        (0..self.geometry.segments).map(move |s| {
            let first = SEGMENT_LANES * s;
            if self.issue_q.int8 {
                LaneByte { hi: Uint(0), lo: byte(feature / 32, first + feature % 32) }
            } else {
                let at = first + 2 * (feature % 16);
                LaneByte { hi: byte(feature / 16, at + 1), lo: byte(feature / 16, at) }
            }
        })
    }

    /// The beat that is decided now.
    fn beat(&self, issue: bool, late: LoadSlot) -> Beat {
        let mut beat = Beat::default();
        if late.load {
            beat.pe.load = true;
            beat.pe.load_bank = late.bank;
            beat.pe.load_count = late.count;
        }
        if issue {
            beat.pe.mode = Mode::Gemv;
            beat.pe.bank = self.bank_q;
            beat.segment.int8 = self.issue_q.int8;
            beat.segment.bank = self.bank_q;
            beat.segment.group_log2 = Uint(low_u16(u64::from(self.geometry.segments.ilog2())));
            beat.segment.slot = self.index_q;
            beat.segment.partial_in = self.chunk_q.0 != 0;
            beat.segment.partial_out = !self.chunks_end();
        }
        beat
    }

    /// Takes a word of scales.
    fn keep_scales(&mut self, word: &[Uint<8>]) {
        let at = usize::from(self.index_q.0);
        for (column, bytes) in self.scale_q.iter_mut().zip(word.chunks_exact(8)) {
            column[at] = Wide(bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(byte.0)));
        }
        self.written[at] = true;
    }

    /// The chunk's last beat is issued. Gives back the bank that is free.
    fn end_chunk(&mut self) -> Option<usize> {
        let (bank, tiles_end) = (self.bank_q, self.tiles_end());
        self.since_q = Uint(1);
        if self.chunks_end() {
            self.chunk_q = Uint(0);
            self.reserved_q = false;
            self.issue_q.left = Wide::from_bits(self.issue_q.left.0.wrapping_sub(TILE));
            self.issue_q.valid = !tiles_end;
        } else {
            self.chunk_q.0 += 1;
        }
        // x of a single chunk serves all tiles.
        let free = self.issue_q.chunks_last.0 != 0 || tiles_end;
        self.bank_q ^= free;
        free.then_some(usize::from(bank))
    }

    /// Decides a load. True when it is the job's last.
    fn advance_load(&mut self) -> bool {
        if usize::from(self.load_count_q.0) < SEGMENT_LANES {
            self.load_count_q.0 += 1;
            return false;
        }
        self.load_count_q = Uint(0);
        self.filled_q[usize::from(self.load_bank_q)] = true;
        self.load_bank_q = !self.load_bank_q;
        if self.load_chunk_q != self.loader_q.chunks_last {
            self.load_chunk_q.0 += 1;
            return false;
        }
        self.load_chunk_q = Uint(0);
        let last = self.loader_q.chunks_last.0 == 0 || self.loader_q.left.0 <= TILE;
        self.loader_q.left = Wide::from_bits(self.loader_q.left.0.wrapping_sub(TILE));
        self.loader_q.valid = !last;
        last
    }
}

impl Block for GemvSequencer {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs {
            gemv_i: Gemv::default(),
            weight_valid_i: false,
            weight_i: vec![Uint(0); self.geometry.lanes()],
            weight_fault_i: false,
            room_i: false,
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            gemv_ready_o: !self.next_q.valid,
            weight_ready_o: self.weight_ready(),
            reserve_o: self.reserve_q,
            feed_o: self.feed_q,
            beat_o: self.beat_q,
            scales_o: self.scales_q.clone(),
            elements_o: self.elements_q.clone(),
            fault_o: self.fault_q,
            job_end_o: self.job_end_q,
            busy_o: self.busy_q,
            starved_o: self.starved_q,
            blocked_o: self.blocked_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        assert!(!i.gemv_i.valid || i.gemv_i.features.0 != 0, "INV_GEMV_1");
        assert!((0..2).all(|b| !self.loaded_q[b] || self.filled_q[b]), "INV_GEMV_2");
        let pe = self.beat_q.pe;
        assert!(!pe.load || pe.mode != Mode::Gemv || pe.load_bank != pe.bank, "INV_GEMV_3");

        let word = i.weight_valid_i && self.weight_ready();
        let issue = word && self.beats_q;
        let chunks_end = self.chunks_end();
        let waits = self.issue_q.valid && chunks_end && !self.reserved_q;
        let late = self.late.output();
        let load = self.loader_q.valid && !self.filled_q[usize::from(self.load_bank_q)];
        let slot = LoadSlot { load, bank: self.load_bank_q, count: self.load_count_q };
        let slot = if load { slot } else { LoadSlot::default() };

        self.beat_q = self.beat(issue, late);
        if issue {
            self.scales_q = self.scales().collect();
            self.elements_q.copy_from_slice(&i.weight_i);
        } else {
            self.scales_q.fill(LaneByte::default());
            self.elements_q.fill(Uint(0));
        }
        self.fault_q = word && i.weight_fault_i;
        self.busy_q = self.issue_q.valid || self.next_q.valid;
        self.starved_q = self.weight_ready() && !i.weight_valid_i;
        self.blocked_q = waits && self.beats_q;
        let chunk = (self.loader_q.operand.0 + self.load_chunk_q.0) % 128;
        self.feed_q = if load {
            FeedTag { load, load_chunk: Uint(chunk), load_count: self.load_count_q, ..FeedTag::default() }
        } else {
            FeedTag::default()
        };
        self.late.clock(slot);

        // x.
        let load_ends = load && self.advance_load();
        let loader_free = !self.loader_q.valid || load_ends;
        if late.load && usize::from(late.count.0) == SEGMENT_LANES {
            self.loaded_q[usize::from(late.bank)] = true;
        }

        // The word. What was taken in the cycle before is not yet missing in room_i.
        let reserves = waits && i.room_i && self.reserve_q.0 == 0;
        self.reserve_q = Uint(if reserves { self.tile_last() / 16 + 1 } else { 0 });
        self.reserved_q |= reserves;
        self.since_q = Uint((self.since_q.0 + 1).min(self.spacing()));
        self.job_end_q = false;
        if word {
            if !self.beats_q {
                self.keep_scales(&i.weight_i);
            }
            if self.index_q.0 == self.index_last() {
                if self.beats_q {
                    self.job_end_q = chunks_end && self.tiles_end();
                    if let Some(bank) = self.end_chunk() {
                        self.filled_q[bank] = false;
                        self.loaded_q[bank] = false;
                    }
                }
                self.index_q = Uint(0);
                self.beats_q = !self.beats_q;
            } else {
                self.index_q.0 += 1;
            }
        }

        // The next job goes to both.
        let next = self.next_q;
        if next.valid && !self.handed_q && loader_free {
            let Gemv { features, chunks_last, operand, .. } = next;
            self.loader_q = Loader { valid: true, left: features, chunks_last, operand };
            self.handed_q = true;
        }
        if next.valid && !self.issue_q.valid {
            let Gemv { int8, features, chunks_last, .. } = next;
            self.issue_q = Issue { valid: true, int8, left: features, chunks_last };
            self.next_q.valid = false;
            self.handed_q = false;
        }
        if i.gemv_i.valid && !next.valid {
            self.next_q = i.gemv_i;
        }
    }

    fn reset(&mut self) {
        let scales = std::mem::take(&mut self.scale_q);
        let written = std::mem::take(&mut self.written);
        *self = Self { scale_q: scales, written, ..Self::new(self.geometry) };
    }
}

impl Visit for GemvSequencer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("next_q", &mut self.next_q);
        v.bits("handed_q", &mut self.handed_q);
        v.bits("issue_q", &mut self.issue_q);
        v.bits("chunk_q", &mut self.chunk_q);
        v.bits("beats_q", &mut self.beats_q);
        v.bits("index_q", &mut self.index_q);
        v.bits("bank_q", &mut self.bank_q);
        v.bits("since_q", &mut self.since_q);
        v.bits("reserved_q", &mut self.reserved_q);
        v.bits("reserve_q", &mut self.reserve_q);
        v.bits("loader_q", &mut self.loader_q);
        v.bits("load_chunk_q", &mut self.load_chunk_q);
        v.bits("load_count_q", &mut self.load_count_q);
        v.bits("load_bank_q", &mut self.load_bank_q);
        v.packed("filled_q", &mut self.filled_q);
        v.packed("loaded_q", &mut self.loaded_q);
        v.bits("feed_q", &mut self.feed_q);
        v.bits("beat_q", &mut self.beat_q);
        v.packed("scales_q", &mut self.scales_q);
        v.packed("elements_q", &mut self.elements_q);
        v.bits("fault_q", &mut self.fault_q);
        v.bits("job_end_q", &mut self.job_end_q);
        v.bits("busy_q", &mut self.busy_q);
        v.bits("starved_q", &mut self.starved_q);
        v.bits("blocked_q", &mut self.blocked_q);
        v.enter("u_late", None);
        self.late.visit(v);
        v.leave();
        for (c, column) in self.scale_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("scale_q", column, &mut self.written);
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("gemv_i", &mut self.gemv_i);
        v.bits("weight_valid_i", &mut self.weight_valid_i);
        v.packed("weight_i", &mut self.weight_i);
        v.bits("weight_fault_i", &mut self.weight_fault_i);
        v.bits("room_i", &mut self.room_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("gemv_ready_o", &mut self.gemv_ready_o);
        v.bits("weight_ready_o", &mut self.weight_ready_o);
        v.bits("reserve_o", &mut self.reserve_o);
        v.bits("feed_o", &mut self.feed_o);
        v.bits("beat_o", &mut self.beat_o);
        v.packed("scales_o", &mut self.scales_o);
        v.packed("elements_o", &mut self.elements_o);
        v.bits("fault_o", &mut self.fault_o);
        v.bits("job_end_o", &mut self.job_end_o);
        v.bits("busy_o", &mut self.busy_o);
        v.bits("starved_o", &mut self.starved_o);
        v.bits("blocked_o", &mut self.blocked_o);
    }
}
