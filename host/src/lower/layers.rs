// SPDX-License-Identifier: Apache-2.0
//! The commands of a step, layer by layer.

use std::ops::Range;

use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::attention::types::HeadShape;
use tandem_model::control::command::Command;
use tandem_model::control::types::MAX_ROWS;
use tandem_model::layout::result_bytes;

use super::commands::{self, Heads, Mean, field};
use super::memory::{Memory, operand_row};
use super::schedule::{Schedule, Unit, Use, chunks};
use super::{Label, Plan};
use crate::import::{Format, Tensor};
use crate::math::float;

/// Chunks of operands.
const CHUNKS: usize = 128;

/// Commands of a step so far.
struct Draft<'a> {
    plan: &'a Plan,
    schedule: Schedule,
    /// Position of the first token, and how many there are.
    first: usize,
    tokens: usize,
    layer: Option<usize>,
    /// Where the next operands go: behind the last ones, so that those are not waited for.
    chunk: usize,
}

/// Operand rows in the operand files.
#[derive(Clone, Copy)]
struct Operand {
    chunk: usize,
    chunks: usize,
}

pub(super) fn step(plan: &Plan, first: usize, tokens: usize, logits: bool) -> (Vec<Command>, Vec<Label>) {
    let schedule = Schedule::default();
    let mut draft = Draft { plan, schedule, first, tokens, layer: None, chunk: 0 };
    draft.begin();
    let layers = plan.config().num_hidden_layers;
    for layer in 0..layers {
        draft.layer = Some(layer);
        // Nobody sees what the last layer makes of tokens whose logits are not wanted, but for K and V.
        draft.layer(layer, logits || layer + 1 < layers);
    }
    draft.layer = None;
    if logits {
        draft.end();
    }
    draft.schedule.finish()
}

const fn range(at: u64, bytes: usize) -> Range<u64> {
    at..at + bytes as u64
}

fn of_tensor(tensor: &Tensor) -> Range<u64> {
    tensor.address..tensor.address + tensor.bytes
}

impl Draft<'_> {
    const fn memory(&self) -> &Memory {
        &self.plan.memory
    }

    const fn wide(&self) -> bool {
        self.plan.config().head_dim == 128
    }

    /// A tensor of this layer, or of none.
    fn tensor(&self, name: &str) -> &Tensor {
        match self.layer {
            Some(layer) => self.plan.manifest.of_layer(layer, name),
            None => self.plan.manifest.tensor(name),
        }
    }

    fn add(&mut self, unit: Unit, what: &'static str, command: Command, uses: Vec<Use>) {
        self.schedule.add(unit, Label { layer: self.layer, what, head: None }, command, uses);
    }

    fn add_of_head(&mut self, unit: Unit, what: &'static str, head: usize, command: Command, uses: Vec<Use>) {
        self.schedule.add(unit, Label { layer: self.layer, what, head: Some(head) }, command, uses);
    }

    fn mean(&self, features: usize) -> Mean {
        Mean { mean: 1.0 / float(features), eps: self.plan.config().rms_norm_eps }
    }

    /// Bytes of results of so many features.
    const fn results(&self, features: usize) -> usize {
        result_bytes(self.tokens, features)
    }

    /// Bytes of operand rows of so many features.
    const fn rows(&self, features: usize) -> usize {
        self.tokens * operand_row(features)
    }

    /// Angles of the positions, and the tokens' embeddings into x.
    fn begin(&mut self) {
        let (hidden, memory) = (self.plan.config().hidden_size, self.memory());
        let (ids, x) = (memory.ids, memory.x);
        let row = |row: usize| if row < self.tokens { field(self.first + row) } else { 0 };
        let positions: [u32; MAX_ROWS] = std::array::from_fn(row);
        let angles = commands::angles(self.tokens, self.wide(), self.tensor("angles").address, positions);
        self.add(Unit::Vector, "angles", angles, Vec::new());
        let table = self.tensor("embedding");
        let (address, count) = (table.address, table.shape[0] as u64);
        let embed = commands::embed(self.tokens, ids, [address, count], x, hidden, self.mean(hidden));
        self.add(Unit::Vector, "embed", embed, vec![Use::write(range(x, self.results(hidden)))]);
    }

    /// The logits of x, and the largest of them.
    fn end(&mut self) {
        let (vocab, memory) = (self.plan.config().vocab_size, self.memory());
        let (logits, best) = (memory.logits, memory.best);
        self.norm("final_norm");
        let operand = self.load_normed("head");
        self.gemv("head", operand, logits);
        let argmax = commands::argmax(self.tokens, logits, best, vocab);
        let uses = vec![Use::read(range(logits, self.results(vocab))), Use::write(range(best, 64))];
        self.add(Unit::Vector, "argmax", argmax, uses);
    }

    fn layer(&mut self, layer: usize, whole: bool) {
        self.norm("input_norm");
        self.heads(whole);
        self.append(layer);
        if !whole {
            return;
        }
        self.attention(layer);
        let memory = self.memory();
        let (x, o, down, mixed_rows, gated) =
            (memory.x, memory.o, memory.down, memory.mixed_rows, memory.gated);
        let (q_width, inner) = (self.plan.config().query_width(), self.plan.config().intermediate_size);
        let operand = self.load("o", mixed_rows, q_width);
        self.gemv("o", operand, o);
        self.residual("residual", x, o);
        self.norm("post_attention_norm");
        self.gate_up(inner);
        let operand = self.load("down", gated, inner);
        self.gemv("down", operand, down);
        self.residual("residual", x, down);
    }

    /// x into `normed`, with the scales that are left of x.
    fn norm(&mut self, name: &'static str) {
        let hidden = self.plan.config().hidden_size;
        let (x, normed, weights) = (self.memory().x, self.memory().normed, self.tensor(name).address);
        let norm = commands::norm(self.tokens, x, weights, normed, hidden);
        let uses =
            vec![Use::read(range(x, self.results(hidden))), Use::write(range(normed, self.rows(hidden)))];
        self.add(Unit::Vector, name, norm, uses);
    }

    /// x += y, and the scales of x.
    fn residual(&mut self, what: &'static str, x: u64, y: u64) {
        let hidden = self.plan.config().hidden_size;
        let add = commands::add(self.tokens, x, y, x, hidden, self.mean(hidden));
        let bytes = self.results(hidden);
        self.add(Unit::Vector, what, add, vec![Use::read(range(y, bytes)), Use::write(range(x, bytes))]);
    }

    fn load_normed(&mut self, name: &'static str) -> Operand {
        let (normed, hidden) = (self.memory().normed, self.plan.config().hidden_size);
        self.load(name, normed, hidden)
    }

    /// Operand rows of as many features as the matrix `name` has inputs, for its format.
    fn load(&mut self, name: &'static str, from: u64, features: usize) -> Operand {
        let int8 = self.tensor(name).format == Format::Int8;
        let of_chunk = SEGMENT_LANES * self.plan.manifest.segments * if int8 { 1 } else { 2 };
        let operand = self.operand(features.div_ceil(of_chunk));
        let load = commands::load(self.tokens, [int8, false], operand.chunk, from, features);
        let uses = vec![
            Use::read(range(from, self.rows(features))),
            Use::write(chunks(operand.chunk, operand.chunks)),
        ];
        self.add(Unit::Load, "load", load, uses);
        operand
    }

    fn operand(&mut self, chunks: usize) -> Operand {
        if self.chunk + chunks > CHUNKS {
            self.chunk = 0;
        }
        let chunk = self.chunk;
        self.chunk += chunks;
        Operand { chunk, chunks }
    }

    /// The matrix `name` times an operand.
    fn gemv(&mut self, name: &'static str, operand: Operand, to: u64) {
        let tensor = self.tensor(name);
        let (address, shape, int8) = (tensor.address, tensor.shape, tensor.format == Format::Int8);
        let gemv = commands::gemv(self.tokens, int8, operand.chunk, address, to, shape);
        let uses = vec![
            Use::read(of_tensor(tensor)),
            Use::read(chunks(operand.chunk, operand.chunks)).late(),
            Use::write(range(to, self.results(shape[0]))).late(),
        ];
        self.add(Unit::Stream, name, gemv, uses);
    }

    /// K and V as token records; q as operand rows, if it is wanted.
    fn heads(&mut self, whole: bool) {
        let config = self.plan.config();
        let (heads, kv_heads, dim) =
            (config.num_attention_heads, config.num_key_value_heads, config.head_dim);
        let (q_width, k_width) = (config.query_width(), config.key_width());
        let &Memory { kv, q, records, q_rows, record, .. } = self.memory();
        let mean = config.architecture.norms_heads().then(|| self.mean(dim));

        let operand = self.load_normed("kv");
        self.gemv("kv", operand, kv);
        if whole {
            let same = self.tensor("q").format == self.tensor("kv").format;
            let operand = if same { operand } else { self.load_normed("q") };
            self.gemv("q", operand, q);
        }
        let how = Heads { wide: self.wide(), int8: self.plan.int8(), rotated: true, target: 1, mean };
        let values = kv + self.results(k_width) as u64;
        let all = kv_heads * self.tokens * record;
        for (what, how, from, weights) in [
            ("k", how, kv, self.tensor("k_norm").address),
            (
                "v",
                Heads { rotated: false, target: 2, mean: None, ..how },
                values,
                self.plan.manifest.tensor("ones").address,
            ),
        ] {
            let command = commands::heads(self.tokens, kv_heads, how, from, weights, records);
            let uses = vec![Use::read(range(from, self.results(k_width))), Use::write(range(records, all))];
            self.add(Unit::Vector, what, command, uses);
        }
        if whole {
            // Before the Appends in the ring, for these fill their queue and hold up what is behind them.
            let how = Heads { target: 0, ..how };
            let weights = self.tensor("q_norm").address;
            let command = commands::heads(self.tokens, heads, how, q, weights, q_rows);
            let uses = vec![
                Use::read(range(q, self.results(q_width))),
                Use::write(range(q_rows, heads * self.rows(dim))),
            ];
            self.add(Unit::Vector, "q", command, uses);
        }
    }

    fn append(&mut self, layer: usize) {
        let &Memory { records, record, region, kv_heads, .. } = self.memory();
        for head in 0..kv_heads {
            let from = records + (head * self.tokens * record) as u64;
            let to = self.plan.region(layer, head);
            let formats = [self.plan.int8(), self.wide()];
            let append = commands::append(self.tokens, formats, from, to, self.first);
            let uses = vec![Use::read(range(from, self.tokens * record)), Use::write(to..to + region)];
            self.add_of_head(Unit::Append, "append", head, append, uses);
        }
    }

    /// Heads of q that go into one Attend: they share K and V, and all their rows fit.
    fn heads_at_once(&self) -> usize {
        let config = self.plan.config();
        let group = config.num_attention_heads / config.num_key_value_heads;
        let fits = |heads: &usize| group.is_multiple_of(*heads) && heads * self.tokens <= self.plan.rows();
        (1..=group).rev().find(fits).expect("a head's tokens are no more than rows")
    }

    fn attention(&mut self, layer: usize) {
        let config = self.plan.config();
        let (heads, dim) = (config.num_attention_heads, config.head_dim);
        let group = heads / config.num_key_value_heads;
        let window = config.windows[layer].unwrap_or(0);
        let keys = self.first + self.tokens;
        let &Memory { q_rows, mixed, mixed_rows, region, .. } = self.memory();
        let (int8, wide) = (self.plan.int8(), self.wide());
        let HeadShape { parts, groups } = HeadShape::new(self.plan.manifest.segments, int8, wide);
        let at_once = self.heads_at_once();
        let rows = at_once * self.tokens;
        let positions: Vec<usize> =
            (0..at_once).flat_map(|_| (0..self.tokens).map(|t| self.first + t)).collect();

        let mut waiting = None;
        for head in (0..heads).step_by(at_once) {
            let kv_head = head / group;
            let from = q_rows + (head * self.rows(dim)) as u64;
            let operand = self.operand(parts);
            let load = commands::load(rows, [int8, groups > 1], operand.chunk, from, dim);
            let uses = vec![
                Use::read(range(from, at_once * self.rows(dim))),
                Use::write(chunks(operand.chunk, operand.chunks)),
            ];
            self.add_of_head(Unit::Load, "load", kv_head, load, uses);
            let to = mixed + (head * self.results(dim)) as u64;
            let of_head = self.plan.region(layer, kv_head);
            let shape = [keys, window.min(keys)];
            let attend = commands::attend(&positions, [int8, wide], operand.chunk, of_head, to, shape);
            let written = range(to, result_bytes(rows, dim));
            let uses = vec![
                Use::read(of_head..of_head + region),
                Use::read(chunks(operand.chunk, operand.chunks)).late(),
                Use::write(written.clone()).late(),
            ];
            self.add_of_head(Unit::Stream, "attend", kv_head, attend, uses);
            let features = [head * dim, heads * dim];
            let quantise = commands::quantise(rows, self.tokens, wide, to, mixed_rows, features);
            let uses = vec![Use::read(written), Use::write(range(mixed_rows, self.rows(heads * dim)))];
            // One later: it would only stand in its queue while the next head can be got ready.
            if let Some((head, command, uses)) = waiting.replace((kv_head, quantise, uses)) {
                self.add_of_head(Unit::Vector, "quantise", head, command, uses);
            }
        }
        if let Some((head, command, uses)) = waiting {
            self.add_of_head(Unit::Vector, "quantise", head, command, uses);
        }
    }

    /// The gate and what it multiplies, as operand rows.
    fn gate_up(&mut self, inner: usize) {
        let &Memory { gate_up, gated, .. } = self.memory();
        let operand = self.load_normed("gate_up");
        self.gemv("gate_up", operand, gate_up);
        let up = gate_up + self.results(inner) as u64;
        let gate = commands::gate(self.tokens, gate_up, up, gated, inner);
        let uses = vec![
            Use::read(range(gate_up, self.results(2 * inner))),
            Use::write(range(gated, self.rows(inner))),
        ];
        self.add(Unit::Vector, "gate", gate, uses);
    }
}
