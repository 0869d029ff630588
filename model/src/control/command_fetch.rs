// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/command_fetch.sv`.

use super::command_check::command_check;
use super::types::{COMMAND_INDEX_BITS, STATUS_FETCH_ERROR};
use crate::array::Geometry;
use crate::block::{Uint, Visit, Visitor, Wide, low_u16};
use crate::link::types::LinkWord;
use crate::memory::types::{AXI_ADDRESS_BITS, AXI_BYTES, ReadRequest, ReadWord};

/// Commands that are asked for before they are taken.
const AHEAD: u16 = 4;

/// Commands of the ring, in order.
#[derive(Clone, Debug)]
pub struct CommandFetch {
    geometry: Geometry,
    request_q: ReadRequest,
    /// Commands that were asked for.
    fetched_q: Uint<COMMAND_INDEX_BITS>,
    /// Commands that have got their place.
    stored_q: Uint<COMMAND_INDEX_BITS>,
    taken_q: Uint<COMMAND_INDEX_BITS>,
    word_valid_q: bool,
    word_error_q: bool,
    word_q: LinkWord,
    status_q: Vec<Uint<8>>,
    /// `[column][place]`: eight bytes each.
    command_q: [Vec<Wide<64>>; AXI_BYTES / 8],
    written: Vec<bool>,
}

/// Input ports.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The core takes commands.
    pub enable_i: bool,
    /// Where the ring lies.
    pub command_base_i: Wide<AXI_ADDRESS_BITS>,
    /// log2 of its commands.
    pub ring_size_log2_i: Uint<4>,
    /// Commands that the host has written.
    pub producer_i: Uint<COMMAND_INDEX_BITS>,
    /// Commands may write from here on.
    pub bounds_base_i: Wide<AXI_ADDRESS_BITS>,
    /// And up to here, exclusive.
    pub bounds_limit_i: Wide<AXI_ADDRESS_BITS>,
    /// The request is taken, if it is there.
    pub request_ready_i: bool,
    /// A word of the ring.
    pub word_i: ReadWord,
    /// Its bytes.
    pub data_i: &'a LinkWord,
    /// The command is taken.
    pub take_i: bool,
}

/// A command that is there.
#[derive(Clone, Copy, Debug)]
pub struct Fetched {
    /// 0: it may be carried out.
    pub status: Uint<8>,
    /// Its words.
    pub command: LinkWord,
}

impl CommandFetch {
    /// Nothing fetched.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let depth = usize::from(AHEAD);
        Self {
            geometry,
            request_q: ReadRequest::default(),
            fetched_q: Uint(0),
            stored_q: Uint(0),
            taken_q: Uint(0),
            word_valid_q: false,
            word_error_q: false,
            word_q: LinkWord::default(),
            status_q: vec![Uint(0); depth],
            command_q: std::array::from_fn(|_| vec![Wide(0); depth]),
            written: vec![false; depth],
        }
    }

    /// What is asked for.
    #[must_use]
    pub const fn request(&self) -> ReadRequest {
        self.request_q
    }

    /// Index of the next command: so many were taken.
    #[must_use]
    pub const fn index(&self) -> Uint<COMMAND_INDEX_BITS> {
        self.taken_q
    }

    /// The next command, if it is there.
    #[must_use]
    pub fn fetched(&self) -> Option<Fetched> {
        let place = usize::from(self.taken_q.0 % AHEAD);
        (self.stored_q != self.taken_q).then(|| Fetched {
            status: self.status_q[place],
            command: LinkWord(std::array::from_fn(|c| self.command_q[c][place])),
        })
    }

    /// Words that were asked for have not come.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.fetched_q != self.stored_q
    }

    /// Nothing is asked for or there.
    #[must_use]
    pub fn empty(&self) -> bool {
        self.fetched_q == self.taken_q
    }

    /// The place and the words of the request that is made in this cycle: to the end of the ring, of what the host has
    /// written, and of the room.
    fn issued(&self, i: &Inputs<'_>) -> Option<(u16, u32)> {
        let size = 1u32 << i.ring_size_log2_i.0;
        let place = self.fetched_q.0 & low_u16(u64::from(size - 1));
        let waiting = u32::from(i.producer_i.0.wrapping_sub(self.fetched_q.0));
        let room = u32::from(AHEAD - self.fetched_q.0.wrapping_sub(self.taken_q.0));
        let words = (size - u32::from(place)).min(waiting).min(room);
        // A doorbell that takes commands back is none.
        let sends = i.enable_i && waiting <= size && (!self.request_q.valid || i.request_ready_i);
        (sends && words != 0).then_some((place, words))
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one of the invariants does not hold.
    pub fn clock(&mut self, i: &Inputs<'_>) {
        assert!(!self.word_valid_q || self.waits(), "INV_FETCH_1");
        assert!(self.fetched_q.0.wrapping_sub(self.taken_q.0) <= AHEAD, "INV_FETCH_2");
        assert!(!i.take_i || self.stored_q != self.taken_q, "INV_FETCH_3");
        let issued = self.issued(i);
        self.request_q.valid &= !i.request_ready_i;
        if let Some((place, words)) = issued {
            let offset = u64::from(place) * AXI_BYTES as u64;
            let address = (i.command_base_i.0 + offset) & ((1 << AXI_ADDRESS_BITS) - 1);
            let words = low_u16(words.into());
            self.request_q = ReadRequest { valid: true, address: Wide(address), words: Uint(words) };
            self.fetched_q = Uint(self.fetched_q.0.wrapping_add(words));
        }
        if self.word_valid_q {
            let place = usize::from(self.stored_q.0 % AHEAD);
            let checked = command_check(self.geometry, &self.word_q, i.bounds_base_i, i.bounds_limit_i);
            self.status_q[place] = Uint(if self.word_error_q { STATUS_FETCH_ERROR } else { checked });
            for (column, bytes) in self.command_q.iter_mut().zip(self.word_q.0) {
                column[place] = bytes;
            }
            self.written[place] = true;
            self.stored_q = Uint(self.stored_q.0.wrapping_add(1));
        }
        self.word_valid_q = i.word_i.valid;
        if i.word_i.valid {
            self.word_error_q = i.word_i.error;
            self.word_q = *i.data_i;
        }
        self.taken_q = Uint(self.taken_q.0.wrapping_add(i.take_i.into()));
    }

    /// Reset; memories stay.
    pub fn reset(&mut self) {
        let fresh = Self::new(self.geometry);
        let status_q = std::mem::take(&mut self.status_q);
        let command_q = std::mem::take(&mut self.command_q);
        let written = std::mem::take(&mut self.written);
        *self = Self { status_q, command_q, written, ..fresh };
    }
}

impl Visit for CommandFetch {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("request_q", &mut self.request_q);
        v.bits("fetched_q", &mut self.fetched_q);
        v.bits("stored_q", &mut self.stored_q);
        v.bits("taken_q", &mut self.taken_q);
        v.bits("word_valid_q", &mut self.word_valid_q);
        v.bits("word_error_q", &mut self.word_error_q);
        v.packed("word_q", &mut self.word_q.0);
        v.memory("status_q", &mut self.status_q, &mut self.written);
        for (c, column) in self.command_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("command_q", column, &mut self.written);
            v.leave();
        }
    }
}
