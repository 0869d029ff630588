// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/fetch_sequencer.sv`.

use super::head_table::{Position, following};
use super::types::{
    BEAT_FIFO_DEPTH, CONTEXTS, HeadInfo, HeadShape, HeadStart, POSITION_BITS, TILE_SLOTS, TILES_AHEAD,
    TileInfo, WordKind, WordTag,
};
use crate::array::Geometry;
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::packed_struct;
use crate::sram::types::{BankFill, BankRead, Region, WORD_ADDRESS_BITS};

packed_struct! {
    /// Where K or V stands.
    struct Walk {
        head: Uint<2>,
        tile: Uint<2>,
        midway: bool,
        token: Wide<POSITION_BITS>,
    }
}

/// The tile that a walk comes to next.
struct Step {
    int8: bool,
    parts_last: Uint<2>,
    beats_last: Uint<5>,
    head_last: bool,
    token: Position,
    next_token: Position,
    address: Uint<WORD_ADDRESS_BITS>,
    value_address: Uint<WORD_ADDRESS_BITS>,
}

packed_struct! {
    /// The tile whose words are read.
    struct Current {
        active: bool,
        kind: WordKind,
        head: Uint<2>,
        tile: Uint<2>,
        int8: bool,
        parts_last: Uint<2>,
        beats_last: Uint<5>,
        head_first: bool,
        head_last: bool,
        address: Uint<WORD_ADDRESS_BITS>,
        part: Uint<2>,
        beat: Uint<5>,
    }
}

/// Input ports.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inputs {
    /// A head that may be walked.
    pub started_i: HeadStart,
    /// What is known of each head.
    pub heads_i: [HeadInfo; CONTEXTS],
    /// q of a head that is pending here may be loaded, or was.
    pub operands_there_i: [bool; CONTEXTS],
    /// This word is in the banks.
    pub written_i: BankFill,
    /// A beat left the FIFO.
    pub release_i: bool,
    /// Nobody needs the oldest tile's slot any more.
    pub tile_done_i: bool,
}

/// Walks the tiles of the heads and reads their words.
#[derive(Clone, Debug)]
pub struct FetchSequencer {
    geometry: Geometry,
    key_q: Walk,
    value_q: Walk,
    current_q: Current,
    pending_q: [bool; CONTEXTS],
    ahead_q: Uint<2>,
    busy_q: [bool; TILE_SLOTS],
    oldest_q: Uint<2>,
    key_end_q: Uint<WORD_ADDRESS_BITS>,
    value_end_q: Uint<WORD_ADDRESS_BITS>,
    used_q: Uint<7>,
    tiles_q: [TileInfo; TILE_SLOTS],
    read_q: BankRead,
    tag_q: WordTag,
    released_q: bool,
}

impl FetchSequencer {
    /// After reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            key_q: Walk::default(),
            value_q: Walk::default(),
            current_q: Current::default(),
            pending_q: [false; CONTEXTS],
            ahead_q: Uint(0),
            busy_q: [false; TILE_SLOTS],
            oldest_q: Uint(0),
            key_end_q: Uint(0),
            value_end_q: Uint(0),
            used_q: Uint(0),
            tiles_q: [TileInfo::default(); TILE_SLOTS],
            read_q: BankRead::default(),
            tag_q: WordTag::default(),
            released_q: false,
        }
    }

    /// Read of the banks.
    #[must_use]
    pub const fn read(&self) -> BankRead {
        self.read_q
    }

    /// Tag of the word that is asked for.
    #[must_use]
    pub const fn tag(&self) -> WordTag {
        self.tag_q
    }

    /// Tiles in flight.
    #[must_use]
    pub const fn tiles(&self) -> &[TileInfo; TILE_SLOTS] {
        &self.tiles_q
    }

    /// The last word of a tile that was waited for was asked for.
    #[must_use]
    pub const fn released(&self) -> bool {
        self.released_q
    }

    fn next_step(&self, walk: &Walk, head: &HeadInfo) -> Step {
        let shape = HeadShape::new(self.geometry.segments, head.int8, head.wide);
        let token = if walk.midway { walk.token } else { head.origin };
        let mask = (1 << POSITION_BITS) - 1;
        let left = head.limit.0.wrapping_sub(token.0) & mask;
        let tokens = shape.tile_tokens() as u64;
        // A head that is streamed begins with the first tile that it needs.
        let first = if head.resident { 0 } else { head.origin.0 };
        let index = (token.0.wrapping_sub(first) & mask) / tokens;
        let offset = index.wrapping_mul(shape.tile_words(head.int8) as u64);
        let address = head.base.0.wrapping_add(low_u16(offset));
        let values = 2 * shape.scale_words(head.int8) + 32 * shape.parts;
        Step {
            int8: head.int8,
            parts_last: Uint(low_u16(shape.parts as u64 - 1)),
            beats_last: Uint(if left >= 32 { 31 } else { low_u16(left.wrapping_sub(1) & 31) }),
            head_last: left <= tokens,
            token,
            next_token: Wide((token.0 + tokens) & mask),
            address: Uint(address),
            value_address: Uint(address.wrapping_add(low_u16(values as u64))),
        }
    }

    /// May K be walked, may V?
    fn next_run(&self, heads: &[HeadInfo; CONTEXTS], operands_there: &[bool; CONTEXTS]) -> (bool, bool) {
        let (key_context, value_context) = (usize::from(self.key_q.head.0), usize::from(self.value_q.head.0));
        let (key_head, value_head) = (&heads[key_context], &heads[value_context]);
        let key_there =
            || key_head.resident || there(self.next_step(&self.key_q, key_head).address, self.key_end_q);
        let value_there = || {
            value_head.resident
                || there(self.next_step(&self.value_q, value_head).value_address, self.value_end_q)
        };
        let key_go = self.pending_q[key_context]
            && self.ahead_q.0 < TILES_AHEAD
            && !self.busy_q[usize::from(self.key_q.tile.0)]
            // K of a head that waits for q would stand in the FIFO ahead of V of those before it, and q may wait for those.
            && (operands_there[key_context] || self.key_q.midway || self.ahead_q.0 == 0)
            && key_there();
        (key_go, self.ahead_q.0 != 0 && value_there())
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When a slot is given back that is not in use.
    pub fn clock(&mut self, i: &Inputs) {
        // Words that are written just now are there, too.
        let behind = Uint(i.written_i.address.0.wrapping_add(1));
        match i.written_i.region {
            Region::Key if i.written_i.valid => self.key_end_q = behind,
            Region::Value if i.written_i.valid => self.value_end_q = behind,
            _ => {}
        }

        let current = self.current_q;
        let element = matches!(current.kind, WordKind::Key | WordKind::Value);
        let halves_last = u16::from(!current.int8 && current.beats_last.0 >= 16);
        let words_last = if element { current.beats_last.0 } else { halves_last };
        let address = word_address(&current);
        let resident = i.heads_i[usize::from(current.head.0)].resident;
        let words_end = if current.kind == WordKind::Value { self.value_end_q } else { self.key_end_q };
        let advance = current.active
            && (!element || usize::from(self.used_q.0) < BEAT_FIFO_DEPTH)
            && (resident || there(address, words_end));
        let phase_end = current.part == current.parts_last && current.beat.0 == words_last;
        let tile_end = advance && phase_end && element;
        let choose = !current.active || tile_end;
        let (key_go, value_go) =
            if choose { self.next_run(&i.heads_i, &i.operands_there_i) } else { (false, false) };

        self.read_q = BankRead::default();
        self.tag_q = WordTag::default();
        self.released_q = tile_end && current.kind == WordKind::Value && !resident;
        if advance {
            self.read_q = BankRead { valid: true, streamed: !resident, address };
            self.tag_q = WordTag {
                valid: true,
                kind: current.kind,
                head: current.head,
                tile: current.tile,
                part: current.part,
                beat: current.beat,
                last: element && current.beat == current.beats_last,
                tile_first: element && current.part.0 == 0 && current.beat.0 == 0,
                tile_last: element && phase_end,
                head_first: current.head_first,
                head_last: current.head_last,
            };
            let next = &mut self.current_q;
            if phase_end {
                (next.part, next.beat) = (Uint(0), Uint(0));
                next.kind = match current.kind {
                    WordKind::KeyScale => WordKind::ValueScale,
                    WordKind::ValueScale => WordKind::Key,
                    other => other,
                };
            } else if current.beat.0 == words_last {
                (next.part, next.beat) = (Uint(current.part.0 + 1), Uint(0));
            } else {
                next.beat = Uint(current.beat.0 + 1);
            }
        }

        self.used_q = Uint(self.used_q.0 + u16::from(advance && element) - u16::from(i.release_i));
        if choose {
            self.current_q.active = false;
            if key_go {
                self.start_keys(&i.heads_i);
            } else if value_go {
                self.start_values(&i.heads_i);
            }
        }

        if i.started_i.valid {
            self.pending_q[usize::from(i.started_i.head.0)] = true;
        }
        if i.tile_done_i {
            let oldest = &mut self.busy_q[usize::from(self.oldest_q.0)];
            assert!(*oldest, "INV_FETCH_1");
            *oldest = false;
            self.oldest_q = following(self.oldest_q);
        }
    }

    fn start_keys(&mut self, heads: &[HeadInfo; CONTEXTS]) {
        let walk = self.key_q;
        let step = self.next_step(&walk, &heads[usize::from(walk.head.0)]);
        self.current_q = current(WordKind::KeyScale, &walk, &step);
        let slot = usize::from(walk.tile.0);
        self.tiles_q[slot] = TileInfo { head: walk.head, beats_last: step.beats_last, origin: step.token };
        self.busy_q[slot] = true;
        self.ahead_q = Uint(self.ahead_q.0 + 1);
        if step.head_last {
            self.pending_q[usize::from(walk.head.0)] = false;
        }
        self.key_q = walked(&walk, &step);
    }

    fn start_values(&mut self, heads: &[HeadInfo; CONTEXTS]) {
        let walk = self.value_q;
        let step = self.next_step(&walk, &heads[usize::from(walk.head.0)]);
        self.current_q = current(WordKind::Value, &walk, &step);
        self.ahead_q = Uint(self.ahead_q.0 - 1);
        self.value_q = walked(&walk, &step);
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

fn current(kind: WordKind, walk: &Walk, step: &Step) -> Current {
    Current {
        active: true,
        kind,
        head: walk.head,
        tile: walk.tile,
        int8: step.int8,
        parts_last: step.parts_last,
        beats_last: step.beats_last,
        head_first: !walk.midway,
        head_last: step.head_last,
        address: step.address,
        part: Uint(0),
        beat: Uint(0),
    }
}

fn walked(walk: &Walk, step: &Step) -> Walk {
    Walk {
        head: if step.head_last { following(walk.head) } else { walk.head },
        tile: following(walk.tile),
        midway: !step.head_last,
        token: step.next_token,
    }
}

/// Is a word of a streamed tile there? Less than half of all addresses lies between it and the end.
const fn there(address: Uint<WORD_ADDRESS_BITS>, words_end: Uint<WORD_ADDRESS_BITS>) -> bool {
    address.0.wrapping_sub(words_end.0) >> (WORD_ADDRESS_BITS - 1) == 1
}

/// Address of the word that the current tile has come to.
fn word_address(current: &Current) -> Uint<WORD_ADDRESS_BITS> {
    let parts = current.parts_last.0 + 1;
    let scale_words = if current.int8 { parts } else { 2 * parts };
    let (part, beat) = (current.part.0, current.beat.0);
    let scale = if current.int8 { part } else { 2 * part + beat };
    let offset = match current.kind {
        WordKind::KeyScale => scale,
        WordKind::ValueScale => scale_words + scale,
        WordKind::Key => 2 * scale_words + 32 * part + beat,
        WordKind::Value => 2 * scale_words + 32 * parts + 32 * part + beat,
    };
    Uint(current.address.0.wrapping_add(offset))
}

impl Visit for FetchSequencer {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("key_q", &mut self.key_q);
        v.bits("value_q", &mut self.value_q);
        v.bits("current_q", &mut self.current_q);
        v.packed("pending_q", &mut self.pending_q);
        v.bits("ahead_q", &mut self.ahead_q);
        v.packed("busy_q", &mut self.busy_q);
        v.bits("oldest_q", &mut self.oldest_q);
        v.bits("key_end_q", &mut self.key_end_q);
        v.bits("value_end_q", &mut self.value_end_q);
        v.bits("used_q", &mut self.used_q);
        v.packed("tiles_q", &mut self.tiles_q);
        v.bits("read_q", &mut self.read_q);
        v.bits("tag_q", &mut self.tag_q);
        v.bits("released_q", &mut self.released_q);
    }
}
