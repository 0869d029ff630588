// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/control/scoreboard.sv`.

use crate::block::{Uint, Visit, Visitor};

/// A set of tokens: a bit for each.
pub type Tokens = Uint<16>;

/// Which tokens are pending.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    pending_q: Tokens,
}

impl Scoreboard {
    /// Those that are.
    #[must_use]
    pub const fn pending(&self) -> Tokens {
        self.pending_q
    }

    /// Advances by one clock.
    ///
    /// # Panics
    /// When one that is taken is pending.
    pub fn clock(&mut self, take: Tokens, release: Tokens) {
        assert_eq!(take.0 & self.pending_q.0, 0, "INV_SCOREBOARD_1");
        self.pending_q = Uint(self.pending_q.0 & !release.0 | take.0);
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for Scoreboard {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("pending_q", &mut self.pending_q);
    }
}
