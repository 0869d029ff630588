// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/compute/stream_distributor.sv`.

use crate::array::Geometry;
use crate::attention::types::HeadStart;
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::{Activity, COMMAND_INDEX_BITS, StreamRun};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_BYTES, ReadWord};
use crate::sram::types::{BankFill, Region};

/// Runs that wait to be dealt out, the present one included.
const SLOTS: usize = 8;

/// Deals out the words that memory gives, in order, as the runs say.
#[derive(Clone, Debug)]
pub struct StreamDistributor {
    geometry: Geometry,
    runs_q: [StreamRun; SLOTS],
    head_q: Uint<3>,
    tail_q: Uint<3>,
    /// Words of the array in `hold_q`.
    hold_left_q: Uint<2>,
    hold_error_q: bool,
    /// The next one lowest.
    hold_q: LinkWord,
    fill_q: BankFill,
    weight_valid_q: bool,
    weight_fault_q: bool,
    word_q: Vec<Wide<64>>,
    fault_q: HeadStart,
    fill_error_q: bool,
    activity_q: Activity,
}

/// Inputs of a clock.
#[derive(Clone, Copy, Debug)]
pub struct DistributorInputs<'a> {
    /// Words that were asked for.
    pub run: StreamRun,
    /// A word of memory.
    pub word: ReadWord,
    /// Its bytes.
    pub data: &'a LinkWord,
    /// A word for the banks is taken.
    pub fill_ready: bool,
    /// A word for the array is taken.
    pub weight_ready: bool,
    /// The sequencer has a command.
    pub working: bool,
    /// It waits for room in the banks.
    pub waits: bool,
    /// Its last command.
    pub index: Uint<COMMAND_INDEX_BITS>,
}

impl StreamDistributor {
    /// A distributor after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            runs_q: [StreamRun::default(); SLOTS],
            head_q: Uint(0),
            tail_q: Uint(0),
            hold_left_q: Uint(0),
            hold_error_q: false,
            hold_q: LinkWord::default(),
            fill_q: BankFill::default(),
            weight_valid_q: false,
            weight_fault_q: false,
            word_q: vec![Wide(0); geometry.word_bytes() / 8],
            fault_q: HeadStart::default(),
            fill_error_q: false,
            activity_q: Activity::default(),
        }
    }

    /// The run that is dealt out.
    fn run(&self) -> StreamRun {
        self.runs_q[usize::from(self.head_q.0)]
    }

    /// A run would be taken.
    #[must_use]
    pub fn run_ready(&self) -> bool {
        !self.runs_q[usize::from(self.tail_q.0)].valid
    }

    /// A word of memory would be taken.
    #[must_use]
    pub fn word_ready(&self) -> bool {
        self.run().valid && self.hold_left_q.0 == 0
    }

    /// A word for the banks.
    #[must_use]
    pub const fn fill(&self) -> BankFill {
        self.fill_q
    }

    /// A word for the array is there; it, or one before in its tile, could not be read.
    #[must_use]
    pub const fn weight(&self) -> (bool, bool) {
        (self.weight_valid_q, self.weight_fault_q)
    }

    /// The bytes of either.
    #[must_use]
    pub fn word(&self) -> Vec<Uint<8>> {
        let bytes = self.word_q.iter().flat_map(|column| column.0.to_le_bytes());
        bytes.map(|byte| Uint(u16::from(byte))).collect()
    }

    /// A word of this context could not be read.
    #[must_use]
    pub const fn fault(&self) -> HeadStart {
        self.fault_q
    }

    /// A word that stays in the banks could not be read.
    #[must_use]
    pub const fn fill_error(&self) -> bool {
        self.fill_error_q
    }

    /// What the unit does.
    #[must_use]
    pub const fn activity(&self) -> Activity {
        self.activity_q
    }

    /// What the unit does in this cycle.
    fn observed(&self, i: &DistributorInputs<'_>, advance: bool) -> Activity {
        let run = self.run();
        let blocked = !advance || i.waits;
        Activity {
            busy: i.working || run.valid || self.fill_q.valid || self.weight_valid_q,
            starved: run.valid && self.hold_left_q.0 == 0 && !i.word.valid && !blocked,
            blocked,
            index: if run.valid { run.index } else { i.index },
        }
    }

    /// Deals out a word of the array: the run is one shorter.
    fn give(&mut self, word: &LinkWord, error: bool) {
        let columns = self.word_q.len();
        self.word_q.copy_from_slice(&word.0[..columns]);
        let run = &mut self.runs_q[usize::from(self.head_q.0)];
        let StreamRun { weights, region, head, address, .. } = *run;
        self.fill_q = BankFill { valid: !weights, region, address };
        self.weight_valid_q = weights;
        self.weight_fault_q = weights && error;
        let stays = region == Region::Resident;
        self.fault_q = HeadStart { valid: error && !weights && !stays, head };
        self.fill_error_q = error && !weights && stays;
        assert!(run.words.0 != 0, "INV_DISTRIBUTOR_1");
        run.address = Uint(address.0.wrapping_add(1));
        run.words.0 -= 1;
        if run.words.0 == 0 {
            run.valid = false;
            self.head_q = Uint((self.head_q.0 + 1) % 8);
        }
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &DistributorInputs<'_>) {
        let parts = low_u16((AXI_BYTES / self.geometry.word_bytes()) as u64);
        let advance = (!self.fill_q.valid || i.fill_ready) && (!self.weight_valid_q || i.weight_ready);
        let observed = self.observed(i, advance);
        let held = self.hold_left_q.0 != 0;
        let run = self.run();
        assert!(!held || run.valid, "INV_DISTRIBUTOR_2");
        assert!(!(self.fill_q.valid && self.weight_valid_q), "INV_DISTRIBUTOR_4");
        let put = i.run.valid && self.run_ready();

        let mut left = self.hold_left_q.0;
        let (mut word, mut error) = (self.hold_q, self.hold_error_q);
        if !held {
            (word, error) = (*i.data, i.word.error);
        }
        if i.word.valid && self.word_ready() {
            assert_eq!(i.word.last, run.words.0 <= parts, "INV_DISTRIBUTOR_3");
            left = run.words.0.min(parts);
        }
        self.fault_q = HeadStart { valid: false, head: Uint(0) };
        self.fill_error_q = false;
        if advance {
            self.fill_q.valid = false;
            self.weight_valid_q = false;
            if left != 0 {
                self.give(&word, error);
                left -= 1;
                word.0.rotate_left(self.word_q.len());
                let given = word.0.len() - self.word_q.len();
                word.0[given..].fill(Wide(0));
            }
        }
        if left != 0 {
            (self.hold_q, self.hold_error_q) = (word, error);
        }
        self.hold_left_q = Uint(left);
        if put {
            self.runs_q[usize::from(self.tail_q.0)] = i.run;
            self.tail_q = Uint((self.tail_q.0 + 1) % 8);
        }
        self.activity_q = observed;
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

impl Visit for StreamDistributor {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.array("runs_q", &mut self.runs_q);
        v.bits("head_q", &mut self.head_q);
        v.bits("tail_q", &mut self.tail_q);
        v.bits("hold_left_q", &mut self.hold_left_q);
        v.bits("hold_error_q", &mut self.hold_error_q);
        v.packed("hold_q", &mut self.hold_q.0);
        v.bits("fill_q", &mut self.fill_q);
        v.bits("weight_valid_q", &mut self.weight_valid_q);
        v.bits("weight_fault_q", &mut self.weight_fault_q);
        v.packed("word_q", &mut self.word_q);
        v.bits("fault_q", &mut self.fault_q);
        v.bits("fill_error_q", &mut self.fill_error_q);
        v.bits("activity_q", &mut self.activity_q);
    }
}
