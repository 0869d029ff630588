// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/collective/collective.sv`.

use super::reducer::{Reducer, visit_words};
use super::types::{CollectiveCommand, CollectiveOp};
use crate::array::Geometry;
use crate::block::{Block, Uint, Visit, Visitor, Wide, low_u16};
use crate::link::types::LinkWord;
use crate::packed_struct;

/// Words of the vector memory of the devices.
pub const VECTOR_WORDS: usize = 256;

packed_struct! {
    /// A word that was taken: whether it is added, and where it goes.
    struct Stage {
        valid: bool,
        add: bool,
        own: bool,
        address: Uint<16>,
    }
}

packed_struct! {
    /// What goes through the adders beside a word.
    struct SumTag {
        valid: bool,
        own: bool,
        address: Uint<16>,
    }
}

/// One rank's part in collective operations.
#[derive(Clone, Debug)]
pub struct Collective {
    ports: usize,
    command_q: CollectiveCommand,
    check_q: bool,
    start_q: bool,
    run_q: bool,
    done_q: bool,
    refused_q: bool,
    saturated_q: bool,
    own_q: u16,
    top_q: u16,
    give_left_q: u16,
    give_first_q: bool,
    give_chunk_q: u16,
    give_word_q: u16,
    give_port_q: u16,
    give_credit_q: u64,
    pending_q: Vec<bool>,
    word_q: LinkWord,
    take_sums_q: u16,
    take_stores_q: u16,
    take_first_q: bool,
    take_chunk_q: u16,
    take_word_q: u16,
    take_port_q: u16,
    adding_q: u16,
    stage_q: Stage,
    running_q: LinkWord,
    term_q: LinkWord,
    /// `[column][entry]`: eight bytes each.
    vector_q: Vec<Vec<Wide<64>>>,
    written: Vec<bool>,
    reducer: Reducer<SumTag>,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// What to do; taken with `command_ready_o`.
    pub command_i: CollectiveCommand,
    /// The host writes a word; looked at while `command_ready_o` is high.
    pub host_write_i: bool,
    /// The host reads a word; looked at while `command_ready_o` is high.
    pub host_read_i: bool,
    /// Where.
    pub host_address_i: Uint<16>,
    /// The word to be written.
    pub host_word_i: LinkWord,
    /// By port: the word is taken.
    pub word_ready_i: Vec<bool>,
    /// By port: a word has come.
    pub word_valid_i: Vec<bool>,
    /// By port: the word.
    pub word_i: Vec<LinkWord>,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A command is taken; the host has the memory.
    pub command_ready_o: bool,
    /// The command has been carried out.
    pub done_o: bool,
    /// The command means nothing; it changed nothing.
    pub refused_o: bool,
    /// A sum since the command was clamped.
    pub saturated_o: bool,
    /// The word that was read last.
    pub host_word_o: LinkWord,
    /// By port: there is a word for it.
    pub word_valid_o: Vec<bool>,
    /// The word, the same for all ports.
    pub word_o: LinkWord,
    /// By port: a word is taken.
    pub word_ready_o: Vec<bool>,
}

/// What the registers say about this cycle.
#[derive(Clone, Copy)]
struct Taking {
    sum: bool,
    /// The last pass of a full reduction.
    last_pass: bool,
    allowed: bool,
    /// Both terms come from the memory.
    both: bool,
    flight: u16,
}

impl Collective {
    /// A unit of a geometry.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self::sized(geometry.peers, VECTOR_WORDS)
    }

    /// A unit of so many ports, with a vector memory of so many words.
    ///
    /// # Panics
    /// When `vector_words` is no power of two up to 2^16, or there are more than 7 ports.
    #[must_use]
    pub fn sized(ports: usize, vector_words: usize) -> Self {
        assert!(vector_words.is_power_of_two() && vector_words <= 1 << 16 && ports <= 7);
        Self {
            ports,
            command_q: CollectiveCommand::default(),
            check_q: false,
            start_q: false,
            run_q: false,
            done_q: false,
            refused_q: false,
            saturated_q: false,
            own_q: 0,
            top_q: 0,
            give_left_q: 0,
            give_first_q: false,
            give_chunk_q: 0,
            give_word_q: 0,
            give_port_q: 0,
            give_credit_q: 0,
            pending_q: vec![false; ports],
            word_q: LinkWord::default(),
            take_sums_q: 0,
            take_stores_q: 0,
            take_first_q: false,
            take_chunk_q: 0,
            take_word_q: 0,
            take_port_q: 0,
            adding_q: 0,
            stage_q: Stage::default(),
            running_q: LinkWord::default(),
            term_q: LinkWord::default(),
            vector_q: vec![vec![Wide(0); vector_words]; 8],
            written: vec![false; vector_words],
            reducer: Reducer::default(),
        }
    }

    fn ready(&self) -> bool {
        !self.check_q && !self.start_q && !self.run_q
    }

    fn index(&self, address: u16) -> usize {
        usize::from(address) % self.written.len()
    }

    fn read(&self, address: u16) -> LinkWord {
        let at = self.index(address);
        LinkWord(std::array::from_fn(|c| self.vector_q[c][at]))
    }

    fn write(&mut self, address: u16, word: LinkWord) {
        let at = self.index(address);
        for (column, bytes) in self.vector_q.iter_mut().zip(word.0) {
            column[at] = bytes;
        }
        self.written[at] = true;
    }

    /// First word of the chunk before one.
    fn previous(&self, chunk: u16) -> u16 {
        if chunk == self.command_q.base.0 { self.top_q } else { chunk.wrapping_sub(self.command_q.words.0) }
    }

    /// First word of the chunk behind one.
    fn following(&self, chunk: u16) -> u16 {
        if chunk == self.top_q { self.command_q.base.0 } else { chunk.wrapping_add(self.command_q.words.0) }
    }

    /// Ranks but this one, modulo 256.
    fn others(&self) -> u16 {
        self.command_q.ranks.0.wrapping_sub(1) & 0xFF
    }

    fn legal(&self) -> bool {
        let c = self.command_q;
        let end = u64::from(c.base.0) + u64::from(c.ranks.0) * u64::from(c.words.0);
        let port = |port: Uint<3>| usize::from(port.0) < self.ports;
        c.op != CollectiveOp::Reserved3
            && (2..=128).contains(&c.ranks.0)
            && c.rank.0 < c.ranks.0
            && c.words.0 != 0
            && end <= self.written.len() as u64
            && if c.full {
                usize::from(self.others()) <= self.ports
            } else {
                port(c.send_port) && port(c.receive_port)
            }
    }

    fn taking(&self) -> Taking {
        let full = self.command_q.full;
        let sum = self.take_sums_q != 0;
        let flight = self.adding_q + u16::from(self.stage_q.valid && !self.stage_q.add);
        let allowed = if !sum {
            self.take_stores_q != 0 && self.adding_q == 0
        } else if !full {
            true
        } else if self.take_first_q {
            !self.give_first_q || self.give_word_q > self.take_word_q
        } else {
            flight < self.command_q.words.0
        };
        let (last_pass, allowed) = (full && self.take_sums_q == 1, allowed && self.run_q);
        Taking { sum, last_pass, allowed, both: allowed && last_pass, flight }
    }

    fn start(&mut self) {
        let CollectiveCommand { op, full, ranks, words, base, send_port, receive_port, .. } = self.command_q;
        let others = self.others();
        let before = self.previous(self.own_q);
        self.run_q = true;
        self.give_first_q = true;
        self.give_word_q = 0;
        self.take_first_q = true;
        self.take_word_q = 0;
        self.give_chunk_q = before;
        if full {
            self.give_port_q = others.wrapping_sub(1) & 7;
            self.give_credit_q = u64::from(self.top_q.wrapping_sub(base.0));
            self.take_sums_q = ranks.0;
            self.take_stores_q = 1;
            self.take_chunk_q = before;
            self.take_port_q = 0;
        } else {
            self.give_port_q = send_port.0;
            self.give_credit_q = u64::from(words.0);
            self.take_sums_q = others;
            self.take_stores_q = others;
            self.take_chunk_q = self.previous(before);
            self.take_port_q = receive_port.0;
        }
        match op {
            CollectiveOp::ReduceScatter => {
                self.give_left_q = others;
                self.take_stores_q = 0;
            }
            CollectiveOp::AllGather => {
                self.give_left_q = if full { 1 } else { others };
                self.give_chunk_q = self.own_q;
                self.give_credit_q = u64::from(words.0);
                self.take_sums_q = 0;
                self.take_chunk_q = if full { self.following(self.own_q) } else { before };
            }
            CollectiveOp::AllReduce | CollectiveOp::Reserved3 => {
                self.give_left_q = if full { ranks.0 } else { 2 * others };
            }
        }
    }

    /// Behind a word that was given.
    fn given(&mut self, broadcast: bool) {
        let others = usize::from(self.others());
        for (k, pending) in self.pending_q.iter_mut().enumerate() {
            *pending = if broadcast { k < others } else { usize::from(self.give_port_q) == k };
        }
        self.give_word_q += 1;
        if self.give_word_q == self.command_q.words.0 {
            self.give_word_q = 0;
            self.give_first_q = false;
            self.give_left_q -= 1;
            self.give_chunk_q = self.previous(self.give_chunk_q);
            if self.command_q.full {
                self.give_port_q = self.give_port_q.wrapping_sub(1) & 7;
            }
        }
    }

    /// Behind a word that was taken.
    fn taken(&mut self, taking: Taking) {
        let full = self.command_q.full;
        let last = self.take_word_q + 1 == self.command_q.words.0;
        if full && !taking.sum {
            // A word from every port, then the next.
            if self.take_port_q + 1 == self.others() {
                self.take_port_q = 0;
                self.take_chunk_q = self.following(self.own_q);
                self.take_word_q += 1;
                if last {
                    self.take_stores_q = 0;
                }
            } else {
                self.take_port_q += 1;
                self.take_chunk_q = self.following(self.take_chunk_q);
            }
        } else if last {
            self.take_word_q = 0;
            self.take_first_q = false;
            if taking.sum {
                self.take_sums_q -= 1;
            } else {
                self.take_stores_q -= 1;
            }
            if !full {
                self.take_chunk_q = self.previous(self.take_chunk_q);
            } else if taking.last_pass {
                self.take_port_q = 0;
                self.take_chunk_q = self.following(self.own_q);
            } else {
                self.take_port_q = (self.take_port_q + 1) & 7;
            }
        } else {
            self.take_word_q += 1;
        }
    }
}

impl Block for Collective {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs {
            word_ready_i: vec![false; self.ports],
            word_valid_i: vec![false; self.ports],
            word_i: vec![LinkWord::default(); self.ports],
            ..Inputs::default()
        }
    }

    fn outputs(&self) -> Outputs {
        let taking = self.taking();
        let from_port = taking.allowed && !taking.last_pass;
        let ready = |k: usize| from_port && usize::from(self.take_port_q) == k;
        Outputs {
            command_ready_o: self.ready(),
            done_o: self.done_q,
            refused_o: self.refused_q,
            saturated_o: self.saturated_q,
            host_word_o: self.term_q,
            word_valid_o: self.pending_q.clone(),
            word_o: self.word_q,
            word_ready_o: (0..self.ports).map(ready).collect(),
        }
    }

    fn clock(&mut self, i: &Inputs) {
        let command = self.command_q;
        let taking = self.taking();
        let (ready, running) = (self.ready(), self.run_q);
        let sum_tag = self.reducer.tag();
        let sum_word = if sum_tag.valid { self.reducer.word() } else { LinkWord::default() };
        let sum_saturated = sum_tag.valid && self.reducer.clamped();
        let store = self.stage_q.valid && !self.stage_q.add;
        assert!(!(sum_tag.valid && store), "INV_COLLECTIVE_1");
        assert!(!ready || !self.stage_q.valid && self.adding_q == 0, "INV_COLLECTIVE_3");

        let port = usize::from(self.take_port_q);
        let take = taking.both || taking.allowed && i.word_valid_i.get(port) == Some(&true);
        let given = !self.pending_q.contains(&true);
        for (pending, taken) in self.pending_q.iter_mut().zip(&i.word_ready_i) {
            *pending &= !taken;
        }
        let waiting = self.pending_q.contains(&true);
        let give = running && self.give_left_q != 0 && self.give_credit_q != 0 && !waiting && !taking.both;
        let broadcast = command.full && command.op != CollectiveOp::ReduceScatter && self.give_left_q == 1;
        let finished = running
            && self.give_left_q == 0
            && given
            && !taking.sum
            && self.take_stores_q == 0
            && taking.flight == 0;

        // What the memory and the ports give, before anything is written.
        let give_read = if taking.both {
            self.own_q.wrapping_add(self.take_word_q)
        } else {
            self.give_chunk_q.wrapping_add(self.give_word_q)
        };
        let take_read =
            if ready { i.host_address_i.0 } else { self.take_chunk_q.wrapping_add(self.take_word_q) };
        self.reducer.advance(
            SumTag {
                valid: self.stage_q.valid && self.stage_q.add,
                own: self.stage_q.own,
                address: self.stage_q.address,
            },
            &self.running_q,
            &self.term_q,
        );
        let (stored, store_address) = (self.running_q, self.stage_q.address.0);
        let add = take && taking.sum && !(command.full && self.take_first_q);
        if add || ready && i.host_read_i {
            self.term_q = self.read(take_read);
        }
        if give {
            self.word_q = self.read(give_read);
        }
        self.stage_q.valid = take;
        if take {
            self.running_q = if taking.both { self.read(give_read) } else { i.word_i[port] };
            let address = if taking.both { give_read } else { take_read };
            self.stage_q = Stage { valid: true, add, own: taking.both, address: Uint(address) };
        }
        self.adding_q = self.adding_q + u16::from(add) - u16::from(sum_tag.valid);

        // Writes.
        if ready {
            if i.host_write_i {
                self.write(i.host_address_i.0, i.host_word_i);
            }
        } else if sum_tag.valid {
            self.write(sum_tag.address.0, sum_word);
        } else if store {
            self.write(store_address, stored);
        }
        let wrote = !ready && (sum_tag.valid || store);

        // Counts.
        if give {
            self.give_credit_q -= 1;
            self.given(broadcast);
        }
        if running && wrote && (!command.full || sum_tag.valid && sum_tag.own) {
            self.give_credit_q += 1;
        }
        if take {
            self.taken(taking);
        }

        // The command.
        self.saturated_q |= sum_saturated;
        self.done_q = finished;
        if finished {
            self.run_q = false;
        }
        self.refused_q = false;
        if std::mem::take(&mut self.start_q) {
            self.start();
        }
        if std::mem::take(&mut self.check_q) {
            self.start_q = self.legal();
            self.refused_q = !self.start_q;
            let place = |chunk: u16| {
                low_u16(u64::from(command.base.0) + u64::from(chunk) * u64::from(command.words.0))
            };
            self.own_q = place(command.rank.0);
            self.top_q = place(self.others());
        }
        if ready && i.command_i.valid {
            self.command_q = i.command_i;
            self.check_q = true;
            self.saturated_q = false;
        }
    }

    fn reset(&mut self) {
        let fresh = Self::sized(self.ports, self.written.len());
        let (vector_q, written) = (std::mem::take(&mut self.vector_q), std::mem::take(&mut self.written));
        *self = Self { vector_q, written, ..fresh };
    }
}

impl Visit for Collective {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("command_q", &mut self.command_q);
        v.bits("check_q", &mut self.check_q);
        v.bits("start_q", &mut self.start_q);
        v.bits("run_q", &mut self.run_q);
        v.bits("done_q", &mut self.done_q);
        v.bits("refused_q", &mut self.refused_q);
        v.bits("saturated_q", &mut self.saturated_q);
        visit_uint::<16, V>(v, "own_q", &mut self.own_q);
        visit_uint::<16, V>(v, "top_q", &mut self.top_q);
        visit_uint::<8, V>(v, "give_left_q", &mut self.give_left_q);
        v.bits("give_first_q", &mut self.give_first_q);
        visit_uint::<16, V>(v, "give_chunk_q", &mut self.give_chunk_q);
        visit_uint::<16, V>(v, "give_word_q", &mut self.give_word_q);
        visit_uint::<3, V>(v, "give_port_q", &mut self.give_port_q);
        let mut credit = Wide::<18>(self.give_credit_q);
        v.bits("give_credit_q", &mut credit);
        self.give_credit_q = credit.0;
        v.packed("pending_q", &mut self.pending_q);
        v.packed("word_q", &mut self.word_q.0);
        visit_uint::<8, V>(v, "take_sums_q", &mut self.take_sums_q);
        visit_uint::<8, V>(v, "take_stores_q", &mut self.take_stores_q);
        v.bits("take_first_q", &mut self.take_first_q);
        visit_uint::<16, V>(v, "take_chunk_q", &mut self.take_chunk_q);
        visit_uint::<16, V>(v, "take_word_q", &mut self.take_word_q);
        visit_uint::<3, V>(v, "take_port_q", &mut self.take_port_q);
        visit_uint::<3, V>(v, "adding_q", &mut self.adding_q);
        v.bits("stage_q", &mut self.stage_q);
        v.packed("running_q", &mut self.running_q.0);
        v.packed("term_q", &mut self.term_q.0);
        for (c, column) in self.vector_q.iter_mut().enumerate() {
            v.enter("gen_column", Some(c));
            v.memory("vector_q", column, &mut self.written);
            v.leave();
        }
        v.enter("u_reducer", None);
        self.reducer.visit(v);
        v.leave();
    }
}

/// A number that the model keeps without its width.
fn visit_uint<const W: u32, V: Visitor>(v: &mut V, name: &'static str, value: &mut u16) {
    let mut bits = Uint::<W>(*value);
    v.bits(name, &mut bits);
    *value = bits.0;
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("command_i", &mut self.command_i);
        v.bits("host_write_i", &mut self.host_write_i);
        v.bits("host_read_i", &mut self.host_read_i);
        v.bits("host_address_i", &mut self.host_address_i);
        v.packed("host_word_i", &mut self.host_word_i.0);
        v.packed("word_ready_i", &mut self.word_ready_i);
        v.packed("word_valid_i", &mut self.word_valid_i);
        visit_words(v, "word_i", &mut self.word_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("command_ready_o", &mut self.command_ready_o);
        v.bits("done_o", &mut self.done_o);
        v.bits("refused_o", &mut self.refused_o);
        v.bits("saturated_o", &mut self.saturated_o);
        v.packed("host_word_o", &mut self.host_word_o.0);
        v.packed("word_valid_o", &mut self.word_valid_o);
        v.packed("word_o", &mut self.word_o.0);
        v.packed("word_ready_o", &mut self.word_ready_o);
    }
}
