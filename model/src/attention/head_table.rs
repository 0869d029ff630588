// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/head_table.sv`.

use super::types::{CONTEXTS, Command, HeadInfo, HeadShape, HeadStart, POSITION_BITS};
use crate::array::Geometry;
use crate::block::{Uint, Visit, Visitor, Wide};

/// A token's position.
pub type Position = Wide<POSITION_BITS>;

/// Takes commands and keeps what the stages need to know of each head.
#[derive(Clone, Debug)]
pub struct HeadTable {
    geometry: Geometry,
    busy_q: [bool; CONTEXTS],
    next_q: Uint<2>,
    taken_q: HeadStart,
    started_q: HeadStart,
    refused_q: HeadStart,
    heads_q: [HeadInfo; CONTEXTS],
    /// `[context][row]`.
    rows_q: Vec<bool>,
    first_key_q: Vec<Position>,
    end_key_q: Vec<Position>,
}

/// The context after this one.
pub(super) const fn following(head: Uint<2>) -> Uint<2> {
    Uint((head.0 + 1) % 4)
}

impl HeadTable {
    /// A table without a head.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        let entries = CONTEXTS * geometry.rows;
        Self {
            geometry,
            busy_q: [false; CONTEXTS],
            next_q: Uint(0),
            taken_q: HeadStart::default(),
            started_q: HeadStart::default(),
            refused_q: HeadStart::default(),
            heads_q: [HeadInfo::default(); CONTEXTS],
            rows_q: vec![false; entries],
            first_key_q: vec![Wide(0); entries],
            end_key_q: vec![Wide(0); entries],
        }
    }

    /// A command would be taken.
    #[must_use]
    pub fn command_ready(&self) -> bool {
        !self.busy_q[usize::from(self.next_q.0)] && !self.taken_q.valid
    }

    /// A head that may be walked from now on.
    #[must_use]
    pub const fn started(&self) -> HeadStart {
        self.started_q
    }

    /// A head of which no row sees a key.
    #[must_use]
    pub const fn refused(&self) -> HeadStart {
        self.refused_q
    }

    /// What the stages need to know of each head.
    #[must_use]
    pub const fn heads(&self) -> &[HeadInfo; CONTEXTS] {
        &self.heads_q
    }

    /// Rows in use of a head.
    #[must_use]
    pub fn rows(&self, head: Uint<2>) -> &[bool] {
        &self.rows_q[usize::from(head.0) * self.geometry.rows..][..self.geometry.rows]
    }

    /// True when the row sees the token.
    #[must_use]
    pub fn sees(&self, head: Uint<2>, row: usize, position: Position) -> bool {
        let at = usize::from(head.0) * self.geometry.rows + row;
        (self.first_key_q[at].0..self.end_key_q[at].0).contains(&position.0)
    }

    /// Advances by one clock.
    pub fn clock(&mut self, command: Command, positions: &[Position], rows: &[bool], done: HeadStart) {
        let count = self.geometry.rows;
        let (take, next) = (command.valid && self.command_ready(), self.next_q);
        if done.valid {
            self.busy_q[usize::from(done.head.0)] = false;
        }

        self.started_q = HeadStart::default();
        self.refused_q = HeadStart::default();
        if self.taken_q.valid {
            let head = usize::from(self.taken_q.head.0);
            let keys =
                (head * count..(head + 1) * count).map(|i| (self.first_key_q[i].0, self.end_key_q[i].0));
            let seen = || keys.clone().filter(|(first, end)| first < end);
            let info = &mut self.heads_q[head];
            if let (Some(lowest), Some(highest)) = (seen().map(|k| k.0).min(), seen().map(|k| k.1).max()) {
                self.started_q = self.taken_q;
                self.busy_q[head] = true;
                self.next_q = following(self.next_q);
                let tile = HeadShape::new(self.geometry.segments, info.int8, info.wide).tile_tokens() as u64;
                info.origin = Wide(lowest - lowest % tile);
                info.limit = Wide(highest);
            } else {
                self.refused_q = self.taken_q;
            }
        }

        self.taken_q = HeadStart { valid: take, head: next };
        if take {
            let head = usize::from(next.0);
            let Command { resident, int8, wide, base, .. } = command;
            self.heads_q[head] = HeadInfo { resident, int8, wide, base, ..self.heads_q[head] };
            for r in 0..count {
                let own = positions[r].0 + 1;
                let (window, tokens) = (command.window.0, command.tokens.0);
                let first = if window != 0 { own.saturating_sub(window) } else { 0 };
                let end = if command.causal { tokens.min(own) } else { tokens };
                let at = head * count + r;
                self.rows_q[at] = rows[r];
                (self.first_key_q[at], self.end_key_q[at]) =
                    if rows[r] { (Wide(first), Wide(end)) } else { (Wide(0), Wide(0)) };
            }
        }
    }

    /// Reset.
    pub fn reset(&mut self) {
        *self = Self::new(self.geometry);
    }
}

impl Visit for HeadTable {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.packed("busy_q", &mut self.busy_q);
        v.bits("next_q", &mut self.next_q);
        v.bits("taken_q", &mut self.taken_q);
        v.bits("started_q", &mut self.started_q);
        v.bits("refused_q", &mut self.refused_q);
        v.packed("heads_q", &mut self.heads_q);
        v.packed("rows_q", &mut self.rows_q);
        v.packed("first_key_q", &mut self.first_key_q);
        v.packed("end_key_q", &mut self.end_key_q);
    }
}
