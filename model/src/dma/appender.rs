// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/dma/appender.sv`.

use crate::array::Geometry;
use crate::attention::types::POSITION_BITS;
use crate::block::{Bits, Uint, Visit, Visitor, Wide, low_u16};
use crate::control::types::{
    Activity, COMMAND_INDEX_BITS, CommandDestination, CommandHead, CommandShape, CommandSource, Done,
    OPCODE_APPEND, STATUS_DONE, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use crate::control::work_queue::WorkWords;
use crate::link::types::{LinkWord, visit_words};
use crate::memory::types::{AXI_BYTES, LINE_BITS, ReadRequest, ReadWord, WriteDone, WriteRequest};

/// Records of one request.
const REQUEST_TOKENS: u16 = 16;
/// Writes that can be offered.
const SLOTS: usize = 2;
/// Bits of the number of writes without a response.
const OUTSTANDING_BITS: u32 = 7;
/// Most writes without a response.
pub const OUTSTANDING_WRITES: u16 = (1 << OUTSTANDING_BITS) - 1;
/// Bytes of half a word of memory.
const HALF_BYTES: usize = AXI_BYTES / 2;

/// Carries out Append.
#[derive(Clone, Debug)]
pub struct Appender {
    geometry: Geometry,
    busy_q: bool,
    int8_q: bool,
    /// H, less one.
    parts_last_q: Uint<2>,
    /// G is 2.
    paired_q: bool,
    /// Records beyond the request.
    ask_q: Uint<16>,
    /// A record has five words, not three.
    five_q: bool,
    /// Tokens that are not written.
    left_q: Uint<16>,
    /// First word of memory of the tile.
    tile_q: Wide<LINE_BITS>,
    /// Token of the tile.
    place_q: Uint<6>,
    /// The word holds scales, else elements.
    scale_q: bool,
    /// Of V is written next, else of K.
    value_q: bool,
    /// And which part.
    part_q: Uint<2>,
    failed_q: bool,
    write_failed_q: bool,
    outstanding_q: Uint<OUTSTANDING_BITS>,
    /// Slot of the next write.
    push_q: bool,
    /// Slot of the next request.
    ask_slot_q: bool,
    /// Slot of the next data.
    give_slot_q: bool,
    /// By slot: its request is to be made.
    asking_q: [bool; SLOTS],
    /// By slot: its data are to be given.
    giving_q: [bool; SLOTS],
    line_q: [Wide<LINE_BITS>; SLOTS],
    strobe_q: [Wide<64>; SLOTS],
    data_q: [LinkWord; SLOTS],
    request_q: ReadRequest,
    done_q: Done,
    activity_q: Activity,
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// There is a command.
    pub work_valid_i: bool,
    /// Its index.
    pub work_index_i: Uint<COMMAND_INDEX_BITS>,
    /// Its words.
    pub work_i: WorkWords,
    /// A request to read is taken, if it is there.
    pub request_ready_i: bool,
    /// A word that was read.
    pub word_i: ReadWord,
    /// Its bytes.
    pub data_i: LinkWord,
    /// A request to write is taken, if it is there.
    pub write_request_ready_i: bool,
    /// A word to be written is taken, if it is there.
    pub write_ready_i: bool,
    /// A request is written.
    pub write_done_i: WriteDone,
    /// The end of a command is taken note of, if it is there.
    pub done_ready_i: bool,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// A command is taken, if it is there.
    pub work_ready_o: bool,
    /// Words that are asked for.
    pub request_o: ReadRequest,
    /// A word is taken, if it is there.
    pub word_ready_o: bool,
    /// A word is to be written.
    pub write_request_o: WriteRequest,
    /// There is a word to be written.
    pub write_valid_o: bool,
    /// Which of its bytes.
    pub write_strobe_o: Wide<64>,
    /// All its bytes.
    pub write_data_o: LinkWord,
    /// A command is done.
    pub done_o: Done,
    /// What the unit does.
    pub activity_o: Activity,
}

/// H and G of a head: parts per token, tokens per beat (`head_parts`, `head_groups` of the package).
const fn head_shape(segments: usize, int8: bool, wide: bool) -> (usize, usize) {
    let blocks: usize = if wide { 4 } else { 2 };
    let per_beat = if int8 { segments } else { 2 * segments };
    if blocks > per_beat { (blocks / per_beat, 1) } else { (1, per_beat / blocks) }
}

impl Appender {
    /// What the unit does: `activity_o` alone.
    #[must_use]
    pub const fn doing(&self) -> Activity {
        self.activity_q
    }

    /// The unit after reset.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            busy_q: false,
            int8_q: false,
            parts_last_q: Uint(0),
            paired_q: false,
            ask_q: Uint(0),
            five_q: false,
            left_q: Uint(0),
            tile_q: Wide(0),
            place_q: Uint(0),
            scale_q: false,
            value_q: false,
            part_q: Uint(0),
            failed_q: false,
            write_failed_q: false,
            outstanding_q: Uint(0),
            push_q: false,
            ask_slot_q: false,
            give_slot_q: false,
            asking_q: [false; SLOTS],
            giving_q: [false; SLOTS],
            line_q: [Wide(0); SLOTS],
            strobe_q: [Wide(0); SLOTS],
            data_q: [LinkWord::default(); SLOTS],
            request_q: ReadRequest::default(),
            done_q: Done::default(),
            activity_q: Activity::default(),
        }
    }

    /// Words of memory that so many tiles take.
    fn tile_lines(&self, tiles: u64) -> u64 {
        let array_words = tiles * if self.int8_q { 66 } else { 68 } * self.parts();
        array_words * self.geometry.word_bytes() as u64 / AXI_BYTES as u64
    }

    /// H.
    fn parts(&self) -> u64 {
        u64::from(self.parts_last_q.0) + 1
    }

    /// Words of so many records.
    const fn record_words(&self, records: u16) -> u16 {
        if self.five_q { 5 * records } else { 3 * records }
    }

    /// A part's elements fill a word of memory.
    const fn whole(&self) -> bool {
        self.geometry.segments == 2 && !self.paired_q
    }

    const fn parts_end(&self) -> bool {
        self.part_q.0 == self.parts_last_q.0
    }

    const fn record_ends(&self) -> bool {
        self.scale_q && self.value_q && self.parts_end()
    }

    const fn word_ends(&self) -> bool {
        if self.scale_q {
            self.record_ends()
        } else {
            self.whole() || self.part_q.0 % 2 == 1 || self.parts_end()
        }
    }

    const fn beat(&self) -> u16 {
        self.place_q.0 % 32
    }

    /// There is a slot for a write.
    fn free(&self) -> bool {
        let slot = usize::from(self.push_q);
        !self.asking_q[slot] && !self.giving_q[slot]
    }

    /// The array's word that is written next, in its tile.
    fn offset(&self) -> u64 {
        let part = u64::from(self.value_q) * self.parts() + u64::from(self.part_q.0);
        let scale_words = if self.int8_q { 1 } else { 2 };
        if self.scale_q {
            part * scale_words + u64::from(self.beat()) * scale_words / 32
        } else {
            2 * scale_words * self.parts() + 32 * part + u64::from(self.beat())
        }
    }

    /// Bytes that are written next, repeated where they are not, and which they are.
    fn bytes(&self, data: &LinkWord, half: usize) -> (LinkWord, u64) {
        let word = data.bytes();
        let part = usize::from(self.part_q.0);
        let bytes: [u8; AXI_BYTES] = std::array::from_fn(|i| {
            let in_whole = i / HALF_BYTES;
            if self.scale_q {
                let unit = if self.whole() { 2 * (part % 2) + in_whole } else { part };
                let code = if self.int8_q { unit } else { 2 * (unit % 2) + i % 2 };
                word[8 * usize::from(self.value_q) + code]
            } else {
                word[if self.whole() { i } else { part % 2 * HALF_BYTES + i % HALF_BYTES }]
            }
        });
        let of_half = match (self.scale_q, self.int8_q) {
            (false, _) => u64::from(u32::MAX),
            (true, true) => 1 << self.beat(),
            (true, false) => 3 << (2 * (self.beat() % 16)),
        };
        let strobe = if self.whole() { of_half << 32 | of_half } else { of_half << (HALF_BYTES * half) };
        let column = |c: usize| std::array::from_fn(|i| bytes[8 * c + i]);
        (LinkWord(std::array::from_fn(|c| Wide(u64::from_le_bytes(column(c))))), strobe)
    }

    /// Puts the next write of the word into a slot.
    fn issue(&mut self, data: &LinkWord) {
        let slot = usize::from(self.push_q);
        let narrow = self.geometry.segments == 1;
        let offset = self.offset();
        let half = if narrow { usize::from(offset % 2 == 1) } else { usize::from(self.place_q.0 >= 32) };
        let line = if narrow { offset / 2 } else { offset };
        let (bytes, strobe) = self.bytes(data, half);
        self.line_q[slot] = Wide::from_bits(self.tile_q.0 + line);
        self.strobe_q[slot] = Wide(strobe);
        self.data_q[slot] = bytes;
        self.asking_q[slot] = true;
        self.giving_q[slot] = true;
        self.push_q = !self.push_q;
    }

    /// On to the next write, word, token, tile.
    fn advance(&mut self) {
        let parts_end = self.parts_end();
        if self.record_ends() {
            self.left_q.0 -= 1;
            let tile_ends = self.beat() == 31 && (self.place_q.0 >= 32 || !self.paired_q);
            if tile_ends {
                self.tile_q = Wide::from_bits(self.tile_q.0 + self.tile_lines(1));
                self.place_q = Uint(0);
            } else {
                self.place_q.0 += 1;
            }
        }
        self.scale_q ^= self.value_q && parts_end;
        self.value_q ^= parts_end;
        self.part_q = if parts_end { Uint(0) } else { Uint(self.part_q.0 + 1) };
    }

    /// Puts the next records into a request, of `ask` that are left.
    fn ask(&mut self, ask: u16) {
        let records = ask.min(REQUEST_TOKENS);
        self.ask_q = Uint(ask - records);
        self.request_q.words = Uint(self.record_words(records));
    }

    fn take_work(&mut self, index: Uint<COMMAND_INDEX_BITS>, work: &[Wide<64>; 8]) {
        let head = CommandHead::from_bits(work[0].0);
        let shape = CommandShape::from_bits(work[3].0);
        let (parts, groups) = head_shape(self.geometry.segments, head.flags.int8, head.flags.wide);
        let first = shape.length.0 % (1 << POSITION_BITS);
        let tile_tokens = 32 * groups as u64;
        let region = CommandDestination::from_bits(work[2].0).address.0 / AXI_BYTES as u64;
        self.busy_q = true;
        self.int8_q = head.flags.int8;
        self.parts_last_q = Uint::from_bits(parts as u64 - 1);
        self.paired_q = groups == 2;
        self.five_q = head.flags.int8 && head.flags.wide;
        self.left_q = Uint(low_u16(shape.count.0));
        self.tile_q = Wide::from_bits(region + self.tile_lines(first / tile_tokens));
        self.place_q = Uint(low_u16(first % tile_tokens));
        (self.scale_q, self.value_q, self.part_q) = (false, false, Uint(0));
        self.failed_q = false;
        self.write_failed_q = false;
        let address = Wide::from_bits(CommandSource::from_bits(work[1].0).address.0);
        self.request_q = ReadRequest { valid: true, address, words: Uint(0) };
        self.ask(self.left_q.0);
        self.done_q = Done {
            valid: false,
            status: Uint(0),
            notify: head.flags.notify,
            tokens: head.signal_tokens,
            index,
        };
    }

    fn write_request(&self) -> WriteRequest {
        let slot = usize::from(self.ask_slot_q);
        WriteRequest {
            valid: self.asking_q[slot] && self.outstanding_q.0 != OUTSTANDING_WRITES,
            address: Wide(self.line_q[slot].0 * AXI_BYTES as u64),
            words: Uint(1),
        }
    }

    fn write_valid(&self) -> bool {
        self.giving_q[usize::from(self.give_slot_q)]
    }

    /// Outputs in the present cycle.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        let give = usize::from(self.give_slot_q);
        Outputs {
            work_ready_o: !self.busy_q,
            request_o: self.request_q,
            word_ready_o: self.left_q.0 != 0 && self.free() && self.word_ends(),
            write_request_o: self.write_request(),
            write_valid_o: self.write_valid(),
            write_strobe_o: self.strobe_q[give],
            write_data_o: self.data_q[give],
            done_o: self.done_q,
            activity_o: self.activity_q,
        }
    }

    fn check(&self, i: &Inputs) {
        if i.work_valid_i {
            let head = CommandHead::from_bits(i.work_i[0].0);
            let shape = CommandShape::from_bits(i.work_i[3].0);
            let aligned = i.work_i[1..3].iter().all(|word| word.0.is_multiple_of(AXI_BYTES as u64));
            let counted = (1..1 << 16).contains(&shape.count.0);
            assert!(head.opcode.0 == OPCODE_APPEND && aligned && counted, "INV_APPENDER_1");
            assert!(shape.length.0 + shape.count.0 <= 1 << POSITION_BITS, "INV_APPENDER_2");
        }
        if i.word_i.valid {
            assert!(self.left_q.0 != 0, "INV_APPENDER_3");
            let first = !i.word_i.first || !(self.scale_q || self.value_q);
            assert!(first && (!i.word_i.last || self.scale_q), "INV_APPENDER_4");
        }
        assert!(!i.write_done_i.valid || self.outstanding_q.0 != 0, "INV_APPENDER_5");
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs) {
        self.check(i);
        let (free, left) = (self.free(), self.left_q.0 != 0);
        self.activity_q = Activity {
            busy: self.busy_q,
            starved: left && free && !i.word_i.valid,
            blocked: self.busy_q && (!left || !free),
            index: self.done_q.index,
        };
        let idle = self.giving_q == [false; SLOTS] && self.asking_q == [false; SLOTS];
        let ends = self.busy_q && !self.done_q.valid && !left && idle && self.outstanding_q.0 == 0;
        let takes = i.work_valid_i && !self.busy_q;

        if self.done_q.valid && i.done_ready_i {
            self.busy_q = false;
            self.done_q.valid = false;
        }
        if ends {
            self.done_q.valid = true;
            self.done_q.status = Uint(match (self.failed_q, self.write_failed_q) {
                (true, _) => STATUS_READ_ERROR,
                (false, true) => STATUS_WRITE_ERROR,
                (false, false) => STATUS_DONE,
            });
        }

        let (asked, given) =
            (self.write_request().valid && i.write_request_ready_i, self.write_valid() && i.write_ready_i);
        if asked {
            self.asking_q[usize::from(self.ask_slot_q)] = false;
            self.ask_slot_q = !self.ask_slot_q;
        }
        if given {
            self.giving_q[usize::from(self.give_slot_q)] = false;
            self.give_slot_q = !self.give_slot_q;
        }
        self.outstanding_q.0 += u16::from(asked);
        self.outstanding_q.0 -= u16::from(i.write_done_i.valid);
        self.write_failed_q |= i.write_done_i.valid && i.write_done_i.error;

        if self.request_q.valid && i.request_ready_i {
            let address = self.request_q.address.0 + u64::from(self.request_q.words.0) * AXI_BYTES as u64;
            self.request_q.valid = self.ask_q.0 != 0;
            self.request_q.address = Wide::from_bits(address);
            self.ask(self.ask_q.0);
        }
        if i.word_i.valid && left && free {
            if !i.word_i.error && !self.failed_q {
                self.issue(&i.data_i);
            }
            self.failed_q |= i.word_i.error;
            self.advance();
        }
        if takes {
            self.take_work(i.work_index_i, &i.work_i);
        }
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

impl Visit for Appender {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("busy_q", &mut self.busy_q);
        v.bits("int8_q", &mut self.int8_q);
        v.bits("parts_last_q", &mut self.parts_last_q);
        v.bits("paired_q", &mut self.paired_q);
        v.bits("ask_q", &mut self.ask_q);
        v.bits("five_q", &mut self.five_q);
        v.bits("left_q", &mut self.left_q);
        v.bits("tile_q", &mut self.tile_q);
        v.bits("place_q", &mut self.place_q);
        v.bits("scale_q", &mut self.scale_q);
        v.bits("value_q", &mut self.value_q);
        v.bits("part_q", &mut self.part_q);
        v.bits("failed_q", &mut self.failed_q);
        v.bits("write_failed_q", &mut self.write_failed_q);
        v.bits("outstanding_q", &mut self.outstanding_q);
        v.bits("push_q", &mut self.push_q);
        v.bits("ask_slot_q", &mut self.ask_slot_q);
        v.bits("give_slot_q", &mut self.give_slot_q);
        v.packed("asking_q", &mut self.asking_q);
        v.packed("giving_q", &mut self.giving_q);
        v.packed("line_q", &mut self.line_q);
        v.packed("strobe_q", &mut self.strobe_q);
        visit_words(v, "data_q", &mut self.data_q);
        v.bits("request_q", &mut self.request_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("activity_q", &mut self.activity_q);
    }
}
