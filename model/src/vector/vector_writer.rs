// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_writer.sv`.

use super::block_quantiser::BlockQuantiser;
use super::types::{Form, VECTOR_UNITS, VectorPlace, VectorWord};
use crate::block::{Block, Uint, Visit, Visitor, Wide, further};
use crate::control::types::GROUP_FLOATS;
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES, LINE_BITS, WriteDone, WriteRequest};
use crate::numerics::{BLOCK_LEN, Float36};
use crate::packed_struct;

const COLUMNS: usize = AXI_BYTES / 8;
const HALF_BYTES: usize = AXI_BYTES / 2;
/// Bits of an address in halves of a word.
const HALF_BITS: u32 = AXI_ADDRESS_BITS - 5;
/// Blocks that wait for their second half.
const HOLDS: usize = 8;
/// Pairs that wait for their second block.
const PAIRS: usize = 2;
const STAGES: usize = BlockQuantiser::LATENCY;
/// Entries of the FIFO.
pub const DEPTH: usize = 64;
/// Words that may come while it is ready.
pub const COMING: usize = 32;
const OUTSTANDING_BITS: u32 = 7;
/// Most writes without a response.
pub const OUTSTANDING_WRITES: u16 = (1 << OUTSTANDING_BITS) - 1;
/// Bits of a pointer into the FIFO.
const POINTER_BITS: u32 = DEPTH.ilog2() + 1;

type Pointer = Uint<POINTER_BITS>;

packed_struct! {
    /// A block on its way through the quantiser.
    struct Flight {
        valid: bool,
        fp4: bool,
        /// Of a pair.
        second: bool,
        /// Where it waits.
        pair: bool,
        /// Of its elements, or of its pair's.
        position: Wide<HALF_BITS>,
    }
}

packed_struct! {
    /// What is written of an entry of the FIFO.
    struct Entry {
        /// A whole word, else half of it.
        whole: bool,
        /// Anything but a scale.
        elements: bool,
        /// A scale.
        scaled: bool,
        /// Of the elements.
        position: Wide<HALF_BITS>,
    }
}

packed_struct! {
    /// A scale byte.
    struct Scale {
        code: Uint<8>,
        address: Wide<AXI_ADDRESS_BITS>,
    }
}

/// Writes what the lanes compute to memory.
#[derive(Clone, Debug)]
pub struct VectorWriter {
    base_q: [Wide<HALF_BITS>; VECTOR_UNITS],
    scales_q: [Wide<AXI_ADDRESS_BITS>; VECTOR_UNITS],
    /// A word of a block came.
    word_valid_q: bool,
    /// A word came that is written as it is.
    whole_valid_q: bool,
    fp4_q: bool,
    hold_q: Uint<3>,
    group_q: Uint<16>,
    place_base_q: Wide<HALF_BITS>,
    place_scales_q: Wide<AXI_ADDRESS_BITS>,
    data_q: [Wide<32>; GROUP_FLOATS],
    /// Blocks in the quantiser, the youngest first.
    block_q: [Flight; STAGES],
    scale_address_q: [Wide<AXI_ADDRESS_BITS>; STAGES],
    /// Codes of first blocks.
    low_q: [[Uint<4>; HALF_BYTES]; PAIRS],
    push_q: Pointer,
    ask_q: Pointer,
    give_q: Pointer,
    ask_scale_q: bool,
    give_scale_q: bool,
    outstanding_q: Uint<OUTSTANDING_BITS>,
    failed_q: bool,
    overflow_q: bool,
    entry_q: [Entry; DEPTH],
    scale_q: [Scale; DEPTH],
    /// `[column][hold]`: eight bytes each.
    hold_data_q: [[Wide<64>; HOLDS]; COLUMNS],
    hold_written: [bool; HOLDS],
    quantiser: BlockQuantiser,
    /// `[column][entry]`: eight bytes each.
    word_q: [[Wide<64>; DEPTH]; COLUMNS],
    written: [bool; DEPTH],
}

/// Input ports.
#[derive(Clone, Default, Debug)]
pub struct Inputs {
    /// Clears failed and overflow.
    pub start_i: bool,
    /// How results are written.
    pub form_i: Form,
    /// Words of results from a group to the next.
    pub stride_i: Uint<4>,
    /// Where a unit's results go, of words that come in later cycles.
    pub place_i: VectorPlace,
    /// Address of its first scale byte.
    pub place_scales_i: Wide<AXI_ADDRESS_BITS>,
    /// Which features come.
    pub word_i: VectorWord,
    /// The features.
    pub y_i: [Float36; GROUP_FLOATS],
    /// There is a word that is written as it is.
    pub direct_valid_i: bool,
    /// Where.
    pub direct_line_i: Wide<LINE_BITS>,
    /// The word.
    pub direct_data_i: [Wide<32>; GROUP_FLOATS],
    /// A request is taken, if it is there.
    pub write_request_ready_i: bool,
    /// A word to be written is taken, if it is there.
    pub write_ready_i: bool,
    /// A request is written.
    pub write_done_i: WriteDone,
}

/// Output ports.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Outputs {
    /// There is room for [`COMING`] more words.
    pub ready_o: bool,
    /// A word is to be written.
    pub write_request_o: WriteRequest,
    /// There is a word to be written.
    pub write_valid_o: bool,
    /// Which of its bytes.
    pub write_strobe_o: Wide<64>,
    /// All its bytes.
    pub write_data_o: LinkWord,
    /// All is written.
    pub idle_o: bool,
    /// Something could not be written.
    pub failed_o: bool,
    /// Something was clamped to binary32.
    pub overflow_o: bool,
}

impl Default for VectorWriter {
    fn default() -> Self {
        Self {
            base_q: [Wide(0); VECTOR_UNITS],
            scales_q: [Wide(0); VECTOR_UNITS],
            word_valid_q: false,
            whole_valid_q: false,
            fp4_q: false,
            hold_q: Uint(0),
            group_q: Uint(0),
            place_base_q: Wide(0),
            place_scales_q: Wide(0),
            data_q: [Wide(0); GROUP_FLOATS],
            block_q: [Flight::default(); STAGES],
            scale_address_q: [Wide(0); STAGES],
            low_q: [[Uint(0); HALF_BYTES]; PAIRS],
            push_q: Uint(0),
            ask_q: Uint(0),
            give_q: Uint(0),
            ask_scale_q: false,
            give_scale_q: false,
            outstanding_q: Uint(0),
            failed_q: false,
            overflow_q: false,
            entry_q: [Entry::default(); DEPTH],
            scale_q: [Scale::default(); DEPTH],
            hold_data_q: [[Wide(0); HOLDS]; COLUMNS],
            hold_written: [false; HOLDS],
            quantiser: BlockQuantiser::default(),
            word_q: [[Wide(0); DEPTH]; COLUMNS],
            written: [false; DEPTH],
        }
    }
}

/// Where an entry lies.
fn place(pointer: Pointer) -> usize {
    usize::from(pointer.0) % DEPTH
}

/// Entries from one pointer up to another.
fn between(from: Pointer, to: Pointer) -> u16 {
    further(to, u64::from(from.0).wrapping_neg()).0
}

/// Two numbers in each column, the first in the lower bits.
fn columns(numbers: &[Wide<32>; GROUP_FLOATS]) -> [u64; COLUMNS] {
    std::array::from_fn(|c| numbers[2 * c].0 | numbers[2 * c + 1].0 << 32)
}

impl VectorWriter {
    /// Entries that are not both requested and given.
    fn held(&self) -> u16 {
        between(self.ask_q, self.push_q).max(between(self.give_q, self.push_q))
    }

    /// Something is not in the FIFO yet.
    fn moving(&self) -> bool {
        self.word_valid_q || self.whole_valid_q || self.block_q.iter().any(|block| block.valid)
    }

    fn asks(&self) -> bool {
        self.ask_q != self.push_q && self.outstanding_q.0 != OUTSTANDING_WRITES
    }

    fn gives(&self) -> bool {
        self.give_q != self.push_q
    }

    /// The request that is made, if [`Self::asks`]; and that it is the last of its entry.
    fn request(&self) -> (WriteRequest, bool) {
        let at = place(self.ask_q);
        let entry = self.entry_q[at];
        let scale = self.ask_scale_q || !entry.elements;
        let address = if scale { self.scale_q[at].address.0 } else { entry.position.0 << 5 };
        let address = Wide(address / AXI_BYTES as u64 * AXI_BYTES as u64);
        (WriteRequest { valid: self.asks(), address, words: Uint(1) }, scale || !entry.scaled)
    }

    /// The entry that is given, and that its scale is given now.
    fn given(&self) -> (Entry, bool) {
        let entry = self.entry_q[place(self.give_q)];
        (entry, self.give_scale_q || !entry.elements)
    }

    /// The word that is given.
    fn word(&self) -> (LinkWord, u64) {
        let at = place(self.give_q);
        let (entry, scale) = self.given();
        if scale {
            let Scale { code, address } = self.scale_q[at];
            let bytes = u64::from(code.0) * 0x0101_0101_0101_0101;
            return (LinkWord([Wide(bytes); COLUMNS]), 1 << (address.0 % AXI_BYTES as u64));
        }
        let strobe = match (entry.whole, entry.position.0 % 2) {
            (true, _) => u64::MAX,
            (false, 0) => u64::from(u32::MAX),
            (false, _) => u64::from(u32::MAX) << HALF_BYTES,
        };
        (LinkWord(self.word_q.map(|column| column[at])), strobe)
    }

    /// A word, or one as it is, comes.
    fn receive(&mut self, i: &Inputs) {
        let results = i.form_i == Form::Results;
        self.word_valid_q = i.word_i.valid && !results;
        self.whole_valid_q = i.direct_valid_i || (i.word_i.valid && results);
        if i.word_i.valid {
            let VectorWord { unit, hold, group, .. } = i.word_i;
            let unit = usize::from(unit.0);
            self.fp4_q = i.form_i == Form::Fp4;
            self.hold_q = hold;
            self.group_q = group;
            self.place_base_q = self.base_q[unit];
            self.place_scales_q = self.scales_q[unit];
            if results {
                assert!(self.base_q[unit].0.is_multiple_of(2), "INV_STORES_6");
                let words = u64::from(group.0) * u64::from(i.stride_i.0);
                self.place_base_q = further(self.place_base_q, 2 * words);
            }
            let mut clamped = false;
            self.data_q = i.y_i.map(|y| {
                let (number, over) = y.narrow();
                clamped |= over;
                Wide(u64::from(number))
            });
            self.overflow_q |= clamped;
        }
        if i.direct_valid_i {
            self.place_base_q = Wide(i.direct_line_i.0 << 1);
            self.data_q = i.direct_data_i;
        }
        if i.place_i.valid {
            let unit = usize::from(i.place_i.unit.0);
            self.base_q[unit] = i.place_i.base;
            self.scales_q[unit] = i.place_scales_i;
        }
    }

    /// What came takes a step towards the quantiser.
    fn join(&mut self) {
        let number = u64::from(self.group_q.0 >> 1);
        let second = self.group_q.0 % 2 == 1;
        let hold = usize::from(self.hold_q.0);
        let (mut flight, mut address) = (Flight::default(), Wide(0));
        if self.word_valid_q && second {
            let waiting: [u64; COLUMNS] = std::array::from_fn(|c| self.hold_data_q[c][hold].0);
            let now = columns(&self.data_q);
            let values: [u32; BLOCK_LEN] = std::array::from_fn(|i| {
                let column = if i < GROUP_FLOATS { waiting[i / 2] } else { now[i / 2 - COLUMNS] };
                u32::try_from(column >> (32 * (i % 2)) & u64::from(u32::MAX)).expect("32 bits")
            });
            self.quantiser.advance(Some((!self.fp4_q, &values)));
            flight = Flight {
                valid: true,
                fp4: self.fp4_q,
                second: number % 2 == 1,
                pair: number / 2 % 2 == 1,
                position: further(self.place_base_q, if self.fp4_q { number / 2 } else { number }),
            };
            address = further(self.place_scales_q, number);
        } else {
            self.quantiser.advance(None);
        }
        if self.word_valid_q && !second {
            for (column, bytes) in self.hold_data_q.iter_mut().zip(columns(&self.data_q)) {
                column[hold] = Wide(bytes);
            }
            self.hold_written[hold] = true;
        }
        self.block_q = [flight, self.block_q[0], self.block_q[1]];
        self.scale_address_q = [address, self.scale_address_q[0], self.scale_address_q[1]];
    }

    /// What is to be written goes into the FIFO.
    fn push(&mut self) {
        let block = self.block_q[STAGES - 1];
        let quantised = self.quantiser.block();
        assert!(quantised.is_some() == block.valid, "INV_STORES_5");
        assert!(!block.valid || !self.whole_valid_q, "INV_STORES_2");
        let (entry, scale, word) = if let Some((code, codes)) = quantised {
            let pair = usize::from(block.pair);
            let mut half = *codes;
            if block.fp4 {
                for (element, low) in half.iter_mut().zip(&mut self.low_q[pair]) {
                    let new = *element & 15;
                    *element = new << 4 | u8::try_from(low.0).expect("4 bits");
                    if !block.second {
                        *low = Uint(u16::from(new));
                    }
                }
            }
            let entry = Entry {
                whole: false,
                elements: !block.fp4 || block.second,
                scaled: true,
                position: block.position,
            };
            let scale = Scale { code: Uint(code.into()), address: self.scale_address_q[STAGES - 1] };
            let column = |c: usize| std::array::from_fn(|b| half[8 * (c % (COLUMNS / 2)) + b]);
            (entry, scale, std::array::from_fn(|c| u64::from_le_bytes(column(c))))
        } else if self.whole_valid_q {
            let entry = Entry { whole: true, elements: true, scaled: false, position: self.place_base_q };
            (entry, Scale::default(), columns(&self.data_q))
        } else {
            return;
        };
        let at = place(self.push_q);
        self.entry_q[at] = entry;
        self.scale_q[at] = scale;
        for (column, bytes) in self.word_q.iter_mut().zip(word) {
            column[at] = Wide(bytes);
        }
        self.written[at] = true;
        self.push_q = further(self.push_q, 1);
    }

    /// Requests, words and responses at the port.
    fn write(&mut self, i: &Inputs) {
        let (asked, given) = (self.asks() && i.write_request_ready_i, self.gives() && i.write_ready_i);
        if given {
            let (entry, scale) = self.given();
            let ends = scale || !entry.scaled;
            self.give_scale_q = !ends;
            self.give_q = further(self.give_q, u64::from(ends));
        }
        if asked {
            let (_, ends) = self.request();
            self.ask_scale_q = !ends;
            self.ask_q = further(self.ask_q, u64::from(ends));
        }
        self.outstanding_q = Uint(self.outstanding_q.0 + u16::from(asked) - u16::from(i.write_done_i.valid));
        self.failed_q |= i.write_done_i.valid && i.write_done_i.error;
    }
}

impl Block for VectorWriter {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        let (write_data_o, strobe) = if self.gives() { self.word() } else { Default::default() };
        let held = self.held();
        Outputs {
            ready_o: usize::from(held) + COMING + STAGES < DEPTH,
            write_request_o: if self.asks() { self.request().0 } else { WriteRequest::default() },
            write_valid_o: self.gives(),
            write_strobe_o: Wide(strobe),
            write_data_o,
            idle_o: !self.moving() && held == 0 && self.outstanding_q.0 == 0,
            failed_o: self.failed_q,
            overflow_o: self.overflow_q,
        }
    }

    /// # Panics
    /// When one of the invariants does not hold.
    fn clock(&mut self, i: &Inputs) {
        let comes = i.word_i.valid || i.direct_valid_i || i.place_i.valid;
        let moving = self.moving();
        if i.start_i {
            (self.failed_q, self.overflow_q) = (false, false);
        }
        let held = self.held();
        assert!(usize::from(held) <= DEPTH, "INV_STORES_3");
        assert!(!i.write_done_i.valid || self.outstanding_q.0 != 0, "INV_STORES_4");
        assert!(!i.word_i.valid || !i.direct_valid_i, "INV_STORES_1");
        if held == 0 && self.outstanding_q.0 == 0 && !moving && !comes {
            return;
        }
        self.write(i);
        if moving {
            self.push();
            self.join();
        }
        if moving || comes {
            self.receive(i);
        }
    }

    fn reset(&mut self) {
        let Self { entry_q, scale_q, hold_data_q, hold_written, word_q, written, .. } = *self;
        *self = Self { entry_q, scale_q, hold_data_q, hold_written, word_q, written, ..Self::default() };
    }
}

impl Visit for VectorWriter {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("base_q", &mut self.base_q);
        v.packed("scales_q", &mut self.scales_q);
        v.bits("word_valid_q", &mut self.word_valid_q);
        v.bits("whole_valid_q", &mut self.whole_valid_q);
        v.bits("fp4_q", &mut self.fp4_q);
        v.bits("hold_q", &mut self.hold_q);
        v.bits("group_q", &mut self.group_q);
        v.bits("place_base_q", &mut self.place_base_q);
        v.bits("place_scales_q", &mut self.place_scales_q);
        v.packed("data_q", &mut self.data_q);
        v.packed("block_q", &mut self.block_q);
        v.packed("scale_address_q", &mut self.scale_address_q);
        v.packed("low_q", self.low_q.as_flattened_mut());
        v.bits("push_q", &mut self.push_q);
        v.bits("ask_q", &mut self.ask_q);
        v.bits("give_q", &mut self.give_q);
        v.bits("ask_scale_q", &mut self.ask_scale_q);
        v.bits("give_scale_q", &mut self.give_scale_q);
        v.bits("outstanding_q", &mut self.outstanding_q);
        v.bits("failed_q", &mut self.failed_q);
        v.bits("overflow_q", &mut self.overflow_q);
        v.memory("entry_q", &mut self.entry_q, &mut self.written);
        v.memory("scale_q", &mut self.scale_q, &mut self.written);
        for (c, column) in self.hold_data_q.iter_mut().enumerate() {
            v.enter("gen_hold", Some(c));
            v.memory("hold_data_q", column, &mut self.hold_written);
            v.leave();
        }
        v.enter("u_quantiser", None);
        self.quantiser.visit(v);
        v.leave();
        for (c, column) in self.word_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("word_q", column, &mut self.written);
            v.leave();
        }
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("start_i", &mut self.start_i);
        v.bits("form_i", &mut self.form_i);
        v.bits("stride_i", &mut self.stride_i);
        v.bits("place_i", &mut self.place_i);
        v.bits("place_scales_i", &mut self.place_scales_i);
        v.bits("word_i", &mut self.word_i);
        v.packed("y_i", &mut self.y_i);
        v.bits("direct_valid_i", &mut self.direct_valid_i);
        v.bits("direct_line_i", &mut self.direct_line_i);
        v.packed("direct_data_i", &mut self.direct_data_i);
        v.bits("write_request_ready_i", &mut self.write_request_ready_i);
        v.bits("write_ready_i", &mut self.write_ready_i);
        v.bits("write_done_i", &mut self.write_done_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("ready_o", &mut self.ready_o);
        v.bits("write_request_o", &mut self.write_request_o);
        v.bits("write_valid_o", &mut self.write_valid_o);
        v.bits("write_strobe_o", &mut self.write_strobe_o);
        v.packed("write_data_o", &mut self.write_data_o.0);
        v.bits("idle_o", &mut self.idle_o);
        v.bits("failed_o", &mut self.failed_o);
        v.bits("overflow_o", &mut self.overflow_o);
    }
}
