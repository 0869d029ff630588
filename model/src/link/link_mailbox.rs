// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/link/link_mailbox.sv`.

use crate::block::{Uint, Visit, Visitor};

/// Messages that fit: four words in each of the latency channel's slots.
const MESSAGES: u16 = 64;

/// Counts messages, and rings when some have come.
#[derive(Clone, Debug, Default)]
pub struct LinkMailbox {
    doorbell_q: bool,
    waiting_q: Uint<7>,
}

impl LinkMailbox {
    /// Messages have come.
    #[must_use]
    pub fn doorbell(&self) -> bool {
        self.doorbell_q
    }

    /// Messages that can be read.
    #[must_use]
    pub fn waiting(&self) -> Uint<7> {
        self.waiting_q
    }

    /// Advances by one clock. `push` is `words_last` of a flit that has come.
    ///
    /// # Panics
    /// When there are more messages than fit, or one is read that is not there.
    pub fn advance(&mut self, push: Option<Uint<2>>, read: bool) {
        assert!(self.waiting_q.0 <= MESSAGES, "INV_MAILBOX_1");
        assert!(!read || self.waiting_q.0 != 0, "INV_MAILBOX_2");
        self.doorbell_q = push.is_some();
        self.waiting_q.0 += push.map_or(0, |words_last| words_last.0 + 1);
        self.waiting_q.0 -= u16::from(read);
    }
}

impl Visit for LinkMailbox {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("doorbell_q", &mut self.doorbell_q);
        v.bits("waiting_q", &mut self.waiting_q);
    }
}
