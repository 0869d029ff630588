// SPDX-License-Identifier: Apache-2.0
//! The untimed decoder beside a session of the core: for every command of a step what it leaves in memory, bit for bit.

use tandem_host::lower::{Label, Plan};
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    OPCODE_ADD, OPCODE_ANGLES, OPCODE_APPEND, OPCODE_ARGMAX, OPCODE_ATTEND, OPCODE_EMBED, OPCODE_GATE,
    OPCODE_GEMV, OPCODE_HEADS, OPCODE_LOAD, OPCODE_NORM, OPCODE_QUANTISE,
};
use tandem_model::layout::{self, pack_operands, pack_records, pack_region};
use tandem_model::memory::types::AXI_BYTES;
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};
use tandem_model::reference::decoder::{Cache, Decoder, LayerStep, Step};
use tandem_model::reference::fast::Blocks;

use super::write::{Write, pack_results};

/// Where the second half of Argmax's word begins: the values.
const BEST_VALUES: usize = 32;

/// K and V of a head, all tokens.
#[derive(Clone, Debug)]
struct Head {
    keys: Blocks,
    values: Blocks,
}

/// A session of the untimed decoder.
pub struct Follower<'a> {
    plan: &'a Plan,
    decoder: &'a Decoder,
    cache: Cache,
    /// Of every layer its heads.
    heads: Vec<Vec<Head>>,
}

/// A step of it.
pub struct Followed<'a> {
    follower: &'a Follower<'a>,
    /// What it computes.
    pub step: Step,
    /// Its tokens.
    tokens: usize,
}

impl<'a> Follower<'a> {
    /// No tokens yet.
    #[must_use]
    pub fn new(plan: &'a Plan, decoder: &'a Decoder) -> Self {
        let int8 = decoder.sizes.int8;
        let head = Head { keys: Blocks::new(int8), values: Blocks::new(int8) };
        let heads = vec![vec![head; decoder.sizes.kv_heads]; decoder.layers.len()];
        Self { plan, decoder, cache: decoder.cache(), heads }
    }

    /// Tokens so far.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.cache.tokens()
    }

    /// Forgets all tokens but the first ones.
    pub fn keep(&mut self, tokens: usize) {
        self.cache.truncate(tokens);
        let blocks = tokens.min(self.tokens()) * self.of_head();
        for head in self.heads.iter_mut().flatten() {
            (head.keys, head.values) = (head.keys.part(0..blocks), head.values.part(0..blocks));
        }
    }

    /// Further tokens, with their logits if they are wanted.
    pub fn step(&mut self, ids: &[u32], logits: bool) -> Followed<'_> {
        let wanted = if logits { 0..ids.len() } else { 0..0 };
        let step = self.decoder.step(&mut self.cache, ids, wanted);
        let (of_head, kv_heads) = (self.of_head(), self.decoder.sizes.kv_heads);
        for (heads, layer) in self.heads.iter_mut().zip(&step.layers) {
            for token in 0..ids.len() {
                for (number, head) in heads.iter_mut().enumerate() {
                    let at = (token * kv_heads + number) * of_head;
                    head.keys.append(&layer.keys.part(at..at + of_head));
                    head.values.append(&layer.values.part(at..at + of_head));
                }
            }
        }
        Followed { follower: self, step, tokens: ids.len() }
    }

    /// Blocks of a token of a head.
    const fn of_head(&self) -> usize {
        self.decoder.sizes.head_dim / BLOCK_LEN
    }
}

impl Followed<'_> {
    /// What a command of the plan's step leaves in memory, if anything.
    ///
    /// # Panics
    /// For a command that a plan does not have.
    #[must_use]
    pub fn written(&self, command: &Command, label: &Label) -> Option<Write> {
        let Self { step, tokens, follower } = self;
        let to = command.destination;
        let results = |values: &[u32]| Write::all(to, pack_results(*tokens, values));
        let operands = |blocks: &[MxInt8Block]| {
            assert!(!blocks.is_empty(), "a step with logits");
            Write::all(to, pack_operands(blocks.len() / tokens, blocks))
        };
        let layer = label.layer.map(|layer| &step.layers[layer]);
        Some(match (u16::from(command.opcode), label.what, layer) {
            (OPCODE_LOAD | OPCODE_ANGLES, ..) => return None,
            (OPCODE_EMBED, ..) => results(&step.embedded),
            (OPCODE_NORM, "input_norm", Some(layer)) => operands(&layer.normed),
            (OPCODE_NORM, "post_attention_norm", Some(layer)) => operands(&layer.middle_normed),
            (OPCODE_NORM, "final_norm", None) => operands(&step.normed),
            (OPCODE_GEMV, "kv", Some(layer)) => results(&layer.kv),
            (OPCODE_GEMV, "q", Some(layer)) => results(&layer.q),
            (OPCODE_GEMV, "o", Some(layer)) => results(&layer.o),
            (OPCODE_GEMV, "gate_up", Some(layer)) => results(&layer.gate_up),
            (OPCODE_GEMV, "down", Some(layer)) => results(&layer.down),
            (OPCODE_GEMV, "head", None) => results(&step.logits),
            (OPCODE_HEADS, "q", Some(layer)) => self.queries(layer, to),
            (OPCODE_HEADS, "k", Some(layer)) => self.records(layer, false, to),
            (OPCODE_HEADS, "v", Some(layer)) => self.records(layer, true, to),
            (OPCODE_APPEND, ..) => self.region(label, to),
            (OPCODE_ATTEND, _, Some(layer)) => self.attended(layer, command),
            (OPCODE_QUANTISE, _, Some(layer)) => self.mixed(layer, command),
            (OPCODE_GATE, _, Some(layer)) => operands(&layer.gated),
            (OPCODE_ADD, _, Some(layer)) => {
                let second = u64::from(command.positions[0]) | u64::from(command.positions[1]) << 32;
                let of_attention = second == follower.plan.projected();
                results(if of_attention { &layer.middle } else { &layer.residual })
            }
            (OPCODE_ARGMAX, ..) => Write::all(to, self.best()),
            other => panic!("a plan has no {other:?}"),
        })
    }

    /// Token after token and in each head after head, the other way round.
    fn by_head<T: Clone>(&self, heads: usize, of_head: usize, values: &[T]) -> Vec<T> {
        let at = |head: usize, token: usize| (token * heads + head) * of_head;
        let all = (0..heads).flat_map(|head| (0..self.tokens).map(move |token| at(head, token)));
        all.flat_map(|at| values[at..at + of_head].iter().cloned()).collect()
    }

    fn queries(&self, layer: &LayerStep, to: u64) -> Write {
        let of_head = self.follower.of_head();
        let rows = self.by_head(self.follower.decoder.sizes.heads, of_head, &layer.queries);
        Write::all(to, pack_operands(of_head, &rows))
    }

    /// K of the token records, and with `values` V, which comes behind it.
    fn records(&self, layer: &LayerStep, values: bool, to: u64) -> Write {
        let sizes = &self.follower.decoder.sizes;
        let by_head = |blocks: &Blocks| match blocks {
            Blocks::Fp4(blocks) => Blocks::Fp4(self.by_head(sizes.kv_heads, self.follower.of_head(), blocks)),
            Blocks::Int8(blocks) => {
                Blocks::Int8(self.by_head(sizes.kv_heads, self.follower.of_head(), blocks))
            }
        };
        let (k, v) = (by_head(&layer.keys), by_head(&layer.values));
        let wide = sizes.head_dim == 128;
        let marks = pack_records(wide, view(&filled(&k, true)), view(&filled(&v, values)));
        Write::marked(to, pack_records(wide, view(&k), view(&v)), &marks)
    }

    /// All tokens of a head so far; what lies behind the last one is not known.
    fn region(&self, label: &Label, to: u64) -> Write {
        let sizes = &self.follower.decoder.sizes;
        let (layer, head) = label.layer.zip(label.head).expect("an Append is of a head");
        let Head { keys, values } = &self.follower.heads[layer][head];
        let wide = sizes.head_dim == 128;
        let pack = |k: &Blocks, v: &Blocks| pack_region(sizes.segments, wide, view(k), view(v));
        Write::marked(to, pack(keys, values), &pack(&filled(keys, true), &filled(values, true)))
    }

    fn attended(&self, layer: &LayerStep, command: &Command) -> Write {
        let sizes = &self.follower.decoder.sizes;
        let (dim, heads, rows) = (sizes.head_dim, sizes.heads, usize::from(command.rows));
        let of_head = layout::result_bytes(self.tokens, dim) as u64;
        let first = usize::try_from((command.destination - self.follower.plan.attended()) / of_head);
        let first = first.expect("a head's number");
        let all = self.by_head(heads, dim, &layer.attended);
        let from = first * self.tokens * dim;
        Write::all(command.destination, pack_results(rows, &all[from..from + rows * dim]))
    }

    /// Features of some heads of the operands of `o`.
    fn mixed(&self, layer: &LayerStep, command: &Command) -> Write {
        let dim = self.follower.decoder.sizes.head_dim;
        let heads = usize::from(command.rows) / self.tokens;
        let first = command.length as usize / BLOCK_LEN;
        let of_row = layer.mixed.len() / self.tokens;
        let features = first..first + heads * dim / BLOCK_LEN;
        let marks: Vec<_> =
            (0..layer.mixed.len()).map(|block| int8_block(features.contains(&(block % of_row)))).collect();
        let bytes = pack_operands(of_row, &layer.mixed);
        Write::marked(command.destination, bytes, &pack_operands(of_row, &marks))
    }

    fn best(&self) -> Vec<u8> {
        let mut word = vec![0; AXI_BYTES];
        for (row, &(id, value)) in self.step.best.iter().enumerate() {
            let id = u32::try_from(id).expect("20 bits");
            word[4 * row..4 * row + 4].copy_from_slice(&id.to_le_bytes());
            let at = BEST_VALUES + 4 * row;
            word[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        word
    }
}

fn view(blocks: &Blocks) -> layout::Blocks<'_> {
    match blocks {
        Blocks::Fp4(blocks) => layout::Blocks::Fp4(blocks),
        Blocks::Int8(blocks) => layout::Blocks::Int8(blocks),
    }
}

/// As many blocks, all of whose bits are ones, or zeros.
fn filled(like: &Blocks, ones: bool) -> Blocks {
    match like {
        Blocks::Fp4(blocks) => {
            let element = E2m1::from_code(if ones { 15 } else { 0 }).expect("4 bits");
            let block = MxFp4Block { scale: scale(ones), elements: [element; BLOCK_LEN] };
            Blocks::Fp4(vec![block; blocks.len()])
        }
        Blocks::Int8(blocks) => Blocks::Int8(vec![int8_block(ones); blocks.len()]),
    }
}

const fn scale(ones: bool) -> E8m0 {
    E8m0::from_code(if ones { 255 } else { 0 })
}

fn int8_block(ones: bool) -> MxInt8Block {
    let element = Mxint8::from_code(if ones { 255 } else { 0 });
    MxInt8Block { scale: scale(ones), elements: [element; BLOCK_LEN] }
}
