// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/issue_sequencer.sv`.

use super::beat_fifo::{BeatFifo, Index};
use super::head_table::following;
use super::types::{
    CONTEXTS, FEED_LATENCY, FeedTag, HeadEnd, HeadInfo, HeadShape, HeadStart, Operands, POSITION_BITS,
    WordKind, WordTag,
};
use crate::array::Geometry;
use crate::array::types::{Beat, FLOAT_LATENCY, LaneByte, Mode, SEGMENT_LANES};
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::common::DelayLine;
use crate::packed_struct;

packed_struct! {
    /// A beat of K in one of the last slots.
    struct Recent {
        valid: bool,
        beat: Uint<5>,
    }
}

packed_struct! {
    /// Loads of q: which head, part, lane comes next.
    struct Load {
        head: Uint<2>,
        part: Uint<2>,
        count: Uint<6>,
        bank: bool,
        midway: bool,
        token: Wide<POSITION_BITS>,
    }
}

packed_struct! {
    /// What waits for its p.
    struct Slot {
        valid: bool,
        index: Index,
        beat: Beat,
    }
}

/// Slots that rule 3 asks for.
const SPACING: u16 = 32;

/// The accumulators are written from the last beat of the head's first tile on.
const fn opens(tag: &WordTag) -> bool {
    tag.head_first && tag.last && tag.part.0 == 0
}

/// Input ports.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// A head that may be walked.
    pub started_i: HeadStart,
    /// What is known of each head.
    pub heads_i: &'a [HeadInfo; CONTEXTS],
    /// q of a context may be loaded.
    pub operands_i: Operands,
    /// A beat for the FIFO.
    pub tag_i: WordTag,
    /// Its scales, by segment.
    pub scales_i: &'a [LaneByte],
    /// Its elements, by lane.
    pub elements_i: &'a [Uint<8>],
    /// One more tile's p is there.
    pub tile_scored_i: bool,
    /// Accumulators are free again.
    pub head_done_i: bool,
}

/// Issues the beats of the FIFO to the array, and loads q.
#[derive(Clone, Debug)]
pub struct IssueSequencer {
    geometry: Geometry,
    fifo: BeatFifo,
    late: DelayLine<Slot>,
    load_q: Load,
    pending_q: [bool; CONTEXTS],
    ready_q: [bool; CONTEXTS],
    chunk_q: [Uint<7>; CONTEXTS],
    loaded_q: [bool; 2],
    key_bank_q: bool,
    grouped_q: bool,
    since_key_q: Uint<6>,
    since_end_q: Uint<6>,
    scored_q: Uint<3>,
    open_q: Uint<2>,
    acc_bank_q: bool,
    recent_q: Vec<Recent>,
    slot_q: Slot,
    feed_q: FeedTag,
    head_end_q: HeadEnd,
    tile_done_q: bool,
}

impl IssueSequencer {
    /// After reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            fifo: BeatFifo::new(geometry),
            late: DelayLine::new(FEED_LATENCY),
            load_q: Load::default(),
            pending_q: [false; CONTEXTS],
            ready_q: [false; CONTEXTS],
            chunk_q: [Uint(0); CONTEXTS],
            loaded_q: [false; 2],
            key_bank_q: false,
            grouped_q: false,
            since_key_q: Uint(0),
            since_end_q: Uint(0),
            scored_q: Uint(0),
            open_q: Uint(0),
            acc_bank_q: false,
            recent_q: vec![Recent::default(); geometry.adders() * FLOAT_LATENCY],
            slot_q: Slot::default(),
            feed_q: FeedTag::default(),
            head_end_q: HeadEnd::default(),
            tile_done_q: false,
        }
    }

    /// Asks for what the p wires carry beside the beat.
    #[must_use]
    pub const fn feed(&self) -> FeedTag {
        self.feed_q
    }

    /// The last beat of a head was issued.
    #[must_use]
    pub const fn head_end(&self) -> HeadEnd {
        self.head_end_q
    }

    /// The last beat of a tile of V was issued.
    #[must_use]
    pub const fn tile_done(&self) -> bool {
        self.tile_done_q
    }

    /// A beat left the FIFO.
    #[must_use]
    pub fn release(&self) -> bool {
        self.late.output().valid
    }

    /// The beat for the array.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.late.output().beat
    }

    /// Its scales, by segment. A bubble brings no data.
    pub fn scales(&self) -> impl Iterator<Item = LaneByte> {
        let Slot { valid, index, .. } = self.late.output();
        self.fifo.scales(index).map(move |scale| if valid { scale } else { LaneByte::default() })
    }

    /// Its elements, by lane. A bubble brings no data.
    pub fn elements(&self) -> impl Iterator<Item = Uint<8>> {
        let Slot { valid, index, .. } = self.late.output();
        self.fifo.elements(index).map(move |element| if valid { element } else { Uint(0) })
    }

    fn shape(&self, head: &HeadInfo) -> HeadShape {
        HeadShape::new(self.geometry.segments, head.int8, head.wide)
    }

    /// May the beat of K go now?
    fn key_ok(&self, tag: &WordTag, shape: HeadShape) -> bool {
        let recently = self.recent_q.iter().any(|r| r.valid && r.beat == tag.beat);
        let overtake = 2 * FLOAT_LATENCY * (self.geometry.segments - 1) + 1;
        self.loaded_q[self.bank(tag)]
            && !(tag.part.0 != 0 && recently)
            && ((shape.groups != 1) == self.grouped_q || usize::from(self.since_key_q.0) >= overtake)
    }

    /// May the beat of V go now?
    fn value_ok(&self, tag: &WordTag) -> bool {
        let end = self.since_key_q.0 >= SPACING && self.since_end_q.0 >= SPACING;
        (!tag.tile_first || self.scored_q.0 != 0) && (!opens(tag) || self.open_q.0 != 2) && (!tag.last || end)
    }

    /// The bank that holds the operand of a beat of K.
    fn bank(&self, tag: &WordTag) -> usize {
        usize::from(self.key_bank_q ^ (tag.part.0 & 1 == 1))
    }

    /// q of a head that is started may be loaded, or was.
    #[must_use]
    pub fn operands_there(&self) -> [bool; CONTEXTS] {
        std::array::from_fn(|context| self.ready_q[context] || !self.pending_q[context])
    }

    /// Advances by one clock.
    pub fn clock(&mut self, i: &Inputs<'_>) {
        let tag = self.fifo.head_tag();
        let head = &i.heads_i[usize::from(tag.head.0)];
        let shape = self.shape(head);
        let key = tag.valid && tag.kind == WordKind::Key && self.key_ok(&tag, shape);
        let value = tag.valid && tag.kind == WordKind::Value && self.value_ok(&tag);

        let mut slot = Slot { valid: key || value, index: self.fifo.head_index(), beat: Beat::default() };
        let mut feed = FeedTag::default();
        let key_bank = self.bank(&tag);
        let load = self.load_q;
        let context = usize::from(load.head.0);
        let load_now = self.pending_q[context]
            && self.ready_q[context]
            && !self.loaded_q[usize::from(load.bank)]
            && !value;
        if load_now {
            slot.beat.pe.load = true;
            slot.beat.pe.load_bank = load.bank;
            slot.beat.pe.load_count = load.count;
            feed.load = true;
            feed.load_chunk = Uint((self.chunk_q[context].0 + load.part.0) & 127);
            feed.load_count = load.count;
            self.advance_load(i.heads_i);
        }
        if i.started_i.valid {
            self.pending_q[usize::from(i.started_i.head.0)] = true;
        }
        if i.operands_i.valid {
            let context = usize::from(i.operands_i.head.0);
            self.ready_q[context] = true;
            self.chunk_q[context] = i.operands_i.chunk;
        }

        let since = |count: Uint<6>| Uint(if count.0 == SPACING { SPACING } else { count.0 + 1 });
        self.since_key_q = since(self.since_key_q);
        self.since_end_q = since(self.since_end_q);
        self.scored_q = Uint(self.scored_q.0 + u16::from(i.tile_scored_i));
        self.open_q = Uint(self.open_q.0 - u16::from(i.head_done_i));
        self.recent_q.rotate_right(1);
        self.recent_q[0] = Recent::default();
        self.head_end_q = HeadEnd::default();
        self.tile_done_q = false;
        if key {
            self.issue_key(&tag, head.int8, shape, key_bank, &mut slot.beat);
        }
        if value {
            self.issue_value(&tag, head, &mut slot.beat, &mut feed);
        }
        self.late.clock(self.slot_q);
        self.slot_q = slot;
        self.feed_q = feed;
        self.fifo.clock(i.tag_i, i.scales_i, i.elements_i, key || value);
    }

    fn advance_load(&mut self, heads: &[HeadInfo; CONTEXTS]) {
        let load = self.load_q;
        let head = &heads[usize::from(load.head.0)];
        let parts = self.shape(head).parts;
        self.load_q.count = Uint(load.count.0 + 1);
        if usize::from(load.count.0) < SEGMENT_LANES {
            return;
        }
        self.load_q.count = Uint(0);
        self.load_q.bank = !load.bank;
        self.loaded_q[usize::from(load.bank)] = true;
        self.load_q.part = Uint(load.part.0 + 1);
        if usize::from(load.part.0) + 1 == parts {
            let token = if load.midway { load.token.0 } else { head.origin.0 };
            let mask = (1 << POSITION_BITS) - 1;
            self.load_q.part = Uint(0);
            self.load_q.midway = true;
            self.load_q.token = Wide((token + 32) & mask);
            if parts <= 2 || head.limit.0.wrapping_sub(token) & mask <= 32 {
                self.load_q.midway = false;
                self.load_q.head = following(load.head);
                self.pending_q[usize::from(load.head.0)] = false;
                self.ready_q[usize::from(load.head.0)] = false;
            }
        }
    }

    fn issue_key(&mut self, tag: &WordTag, int8: bool, shape: HeadShape, bank: usize, beat: &mut Beat) {
        let grouped = shape.groups != 1;
        let per_group = self.geometry.segments / shape.groups;
        beat.pe.mode = Mode::Qk;
        beat.pe.bank = bank == 1;
        beat.segment.bank = bank == 1;
        beat.segment.int8 = int8;
        beat.segment.group_log2 = Uint(low_u16(u64::from(per_group.ilog2())));
        beat.segment.slot = Uint(u16::from(grouped) << 5 | tag.beat.0);
        beat.segment.partial_in = tag.part.0 != 0;
        beat.segment.partial_out = usize::from(tag.part.0) + 1 != shape.parts;
        self.grouped_q = grouped;
        self.since_key_q = Uint(1);
        self.recent_q[0] = Recent { valid: true, beat: tag.beat };
        // The operand's last use.
        if tag.last && (tag.head_last || shape.parts > 2) {
            self.loaded_q[bank] = false;
        }
        if tag.tile_last && tag.head_last && shape.parts == 1 {
            self.key_bank_q = !self.key_bank_q;
        }
    }

    fn issue_value(&mut self, tag: &WordTag, head: &HeadInfo, beat: &mut Beat, feed: &mut FeedTag) {
        let acc_bank = self.acc_bank_q;
        beat.pe.mode = Mode::Pv;
        beat.pe.first = tag.beat.0 == 0;
        beat.pe.last = tag.last;
        beat.segment.int8 = head.int8;
        beat.segment.part = tag.part;
        beat.segment.acc_first = tag.head_first;
        beat.segment.acc_bank = acc_bank;
        *feed = FeedTag {
            valid: true,
            int8: head.int8,
            tile: tag.tile,
            part: tag.part,
            beat: tag.beat,
            last: tag.last,
            acc_first: tag.head_first,
            acc_bank,
            ..FeedTag::default()
        };
        if tag.last {
            self.since_end_q = Uint(1);
        }
        if tag.tile_first {
            self.scored_q = Uint(self.scored_q.0 - 1);
        }
        self.open_q = Uint(self.open_q.0 + u16::from(opens(tag)));
        if tag.tile_last {
            self.tile_done_q = true;
            if tag.head_last {
                let HeadInfo { int8, wide, .. } = *head;
                self.head_end_q = HeadEnd { valid: true, head: tag.head, int8, wide, acc_bank };
                self.acc_bank_q = !acc_bank;
            }
        }
    }

    /// Reset. Memories keep what they hold.
    pub fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        let mut fifo = std::mem::replace(&mut self.fifo, BeatFifo::new(self.geometry));
        fifo.reset();
        *self = Self { fifo, ..fresh };
    }
}

impl Visit for IssueSequencer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_fifo", None);
        self.fifo.visit(v);
        v.leave();
        v.enter("u_late", None);
        self.late.visit(v);
        v.leave();
        v.bits("load_q", &mut self.load_q);
        v.packed("pending_q", &mut self.pending_q);
        v.packed("ready_q", &mut self.ready_q);
        v.packed("chunk_q", &mut self.chunk_q);
        v.packed("loaded_q", &mut self.loaded_q);
        v.bits("key_bank_q", &mut self.key_bank_q);
        v.bits("grouped_q", &mut self.grouped_q);
        v.bits("since_key_q", &mut self.since_key_q);
        v.bits("since_end_q", &mut self.since_end_q);
        v.bits("scored_q", &mut self.scored_q);
        v.bits("open_q", &mut self.open_q);
        v.bits("acc_bank_q", &mut self.acc_bank_q);
        v.packed("recent_q", &mut self.recent_q);
        v.bits("slot_q", &mut self.slot_q);
        v.bits("feed_q", &mut self.feed_q);
        v.bits("head_end_q", &mut self.head_end_q);
        v.bits("tile_done_q", &mut self.tile_done_q);
    }
}
