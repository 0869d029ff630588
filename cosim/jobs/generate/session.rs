// SPDX-License-Identifier: Apache-2.0
//! Passes of a decoder over a core: a few tokens each, checked against the untimed decoder.

use std::time::Instant;

use anyhow::bail;
use tandem_host::import::Packed;
use tandem_host::lower::{Label, Plan, best_of, ids_word};
use tandem_model::control::command::{Command, STATUSES, name_of};
use tandem_model::control::types::{OPCODE_ATTEND, OPCODE_GEMV};
use tandem_model::layout::{pack_region, region_bytes, result_bytes, unpack_results, weight_bytes};
use tandem_model::memory::types::AXI_BYTES;
use tandem_model::numerics::BLOCK_LEN;
use tandem_model::reference::decoder::{Cache, Decoder};
use tandem_model::reference::fast::Blocks;
use tandem_testbenches::WrongAnswer;
use tandem_testbenches::core::{Batch, CorePort, HostPlan, Progress, Session, Span};

use super::Options;
use super::report::{Pass, Purpose, Report, barriers};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::{as_f64, progress};
use crate::timeline::{self, Named};

/// log2 of the commands of the ring.
const RING_LOG2: u8 = 8;
/// Cycles without a completion after which the host gives up: no command takes as long.
const PATIENCE: u64 = 1 << 32;
/// Clocks between two looks at Ctrl-C.
const CLOCKS_PER_LOOK: u64 = 1024;
/// Bytes that are zeroed at a time.
const PAGE: usize = 1 << 16;

/// A session of tokens on a core.
pub struct Decoding<'a> {
    session: Session<'a>,
    plan: &'a Plan,
    options: &'a Options,
    reference: &'a Decoder,
    cache: Cache,
    /// Tokens whose K and V are there.
    tokens: Vec<u32>,
    spans: Vec<Named>,
    /// Cycles of the last pass.
    last: std::ops::Range<u64>,
    noted: Noted,
    start: Instant,
}

/// What is known of the last pass, command by command.
#[derive(Default)]
struct Noted {
    commands: Vec<Command>,
    labels: Vec<Label>,
    done: Vec<u64>,
    waits: Vec<(String, u64)>,
}

/// What a layer took in a pass.
#[derive(Clone, Debug)]
pub struct OfLayer {
    /// From the last completion of the layer before to its own last one.
    pub cycles: u64,
    /// Bytes of its weights, K and V that must cross the memory port once.
    pub streamed_bytes: u64,
    /// Products that its commands need: tokens times weights, and queries times K and V.
    pub products: u64,
    /// Cycles in which the array had nothing to do, by the command that it then began; the worst first.
    pub waits: Vec<(String, u64)>,
}

/// What a pass with logits has computed.
#[derive(Clone, Debug)]
pub struct Outcome {
    best: Vec<u32>,
    logits: Vec<Vec<u32>>,
}

impl Outcome {
    /// Tokens of the pass.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.best.len()
    }

    /// The token with the largest logit behind this token of the pass.
    #[must_use]
    pub fn best(&self, row: usize) -> u32 {
        self.best[row]
    }

    /// All logits behind this token of the pass.
    #[must_use]
    pub fn logits(&self, row: usize) -> Vec<f32> {
        self.logits[row].iter().map(|&bits| f32::from_bits(bits)).collect()
    }
}

impl<'a> Decoding<'a> {
    /// Puts the model into memory and resets the core.
    ///
    /// # Errors
    /// When the core, or its port, breaks a rule.
    pub fn open(
        core: &'a mut dyn CorePort,
        options: &'a Options,
        plan: &'a Plan,
        packed: &Packed,
        reference: &'a Decoder,
    ) -> anyhow::Result<Self> {
        let mut memory = options.memory.kind().make(options.stalls.unwrap_or(options.seed));
        let contents = memory.contents_mut();
        contents.store(0, packed.image());
        let zeroed = plan.zeroed();
        for at in zeroed.clone().step_by(PAGE) {
            let end = zeroed.end.min(at + PAGE as u64);
            contents.store(at, &vec![0; usize::try_from(end - at)?]);
        }
        let host = HostPlan {
            commands: Vec::new(),
            bounds: zeroed.clone(),
            pinned: false,
            rings: zeroed.end,
            ring_log2: RING_LOG2,
            stalls: options.stalls,
            patience: PATIENCE,
        };
        let session = Session::open(core, memory, host).map_err(unbox)?;
        Ok(Self {
            session,
            plan,
            options,
            reference,
            cache: reference.cache(),
            tokens: Vec::new(),
            spans: Vec::new(),
            last: 0..0,
            noted: Noted::default(),
            start: Instant::now(),
        })
    }

    /// Most tokens of a pass.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.plan.rows()
    }

    /// Tokens whose K and V are there.
    #[must_use]
    pub const fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Tokens for which there is room.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.plan.context() - self.tokens.len()
    }

    /// Forgets all tokens but the first ones: those behind a drafted one that was wrong. The next pass overwrites them.
    pub fn keep(&mut self, tokens: usize) {
        self.tokens.truncate(tokens);
        self.cache.truncate(self.tokens.len());
    }

    /// Puts K and V of further tokens into memory, the same for every head of every layer, as if they had been appended.
    ///
    /// # Panics
    /// When there are tokens already, or they are not of the plan's format.
    pub fn fill(&mut self, keys: &Blocks, values: &Blocks) {
        assert!(self.tokens.is_empty(), "regions begin with the first token");
        self.cache.append(keys, values);
        self.tokens = vec![0; self.cache.tokens()];
        let config = self.plan.config();
        let segments = self.options.geometry.segments;
        let bytes = pack_region(segments, config.head_dim == 128, laid_out(keys), laid_out(values));
        for layer in 0..config.num_hidden_layers {
            for head in 0..config.num_key_value_heads {
                self.session.store(self.plan.region(layer, head), &bytes);
            }
        }
    }

    /// What a layer, not the first one, took in the last pass.
    ///
    /// # Panics
    /// When there was no pass.
    #[must_use]
    pub fn layer(&self, layer: usize) -> OfLayer {
        let Noted { commands, labels, done, waits } = &self.noted;
        let last = |layer: usize| {
            let of_layer = labels.iter().zip(done).filter(|(label, _)| label.layer == Some(layer));
            *of_layer.map(|(_, done)| done).max().expect("a pass runs all layers")
        };
        let own = || commands.iter().zip(labels).filter(|(_, label)| label.layer == Some(layer));
        let segments = self.options.geometry.segments;
        let bytes: usize = own().map(|(command, _)| streamed_bytes(command, segments)).sum();
        let name = format!("layer {layer}, ");
        let waits = waits.iter().filter_map(|(what, cycles)| Some((what.strip_prefix(&name)?, *cycles)));
        let mut waits: Vec<(String, u64)> = waits.map(|(what, cycles)| (what.to_owned(), cycles)).collect();
        waits.sort_by_key(|&(_, cycles)| std::cmp::Reverse(cycles));
        OfLayer {
            cycles: last(layer) - last(layer - 1),
            streamed_bytes: bytes as u64,
            products: own().map(|(command, _)| products(command)).sum(),
            waits,
        }
    }

    /// Runs a few more tokens, and says what comes behind each when `logits` are wanted.
    ///
    /// # Errors
    /// A session that grows too long, a core that is wrong, Ctrl-C.
    pub fn pass(
        &mut self,
        tokens: &[u32],
        logits: bool,
        purpose: Purpose,
        report: &mut Report,
    ) -> anyhow::Result<Option<Outcome>> {
        let first = self.tokens.len();
        let step = self.plan.step(first, tokens.len(), logits)?;
        self.session.store(self.plan.ids(), &ids_word(tokens));
        let words: Vec<_> = step.commands.iter().map(Command::words).collect();
        let bar = progress(words.len() as u64, &format!("tokens {first} to {}", first + tokens.len() - 1));
        let batch = self.session.run(&words, &mut |at: Progress| {
            if at.cycles.is_multiple_of(CLOCKS_PER_LOOK) {
                bar.set_position(at.done as u64);
                interrupt::check()?;
            }
            Ok(())
        });
        bar.finish_and_clear();
        let batch = batch.map_err(unbox)?;
        for (completion, label) in batch.completions.iter().zip(&step.labels) {
            if completion.status != 0 {
                let status = name_of(&STATUSES, completion.status.into()).unwrap_or("an unknown status");
                bail!(WrongAnswer(format!("{label} of tokens {first} and on ended with {status}")));
            }
        }
        self.tokens.extend_from_slice(tokens);
        let outcome = self.check(tokens, logits)?;
        self.note(&batch, &step.commands, &step.labels, purpose, tokens.len(), report);
        Ok(outcome)
    }

    /// Holds what the pass left in memory against the untimed decoder.
    fn check(&mut self, tokens: &[u32], logits: bool) -> anyhow::Result<Option<Outcome>> {
        let rows = tokens.len();
        let wanted = if logits { 0..rows } else { 0..0 };
        let want = self.reference.step(&mut self.cache, tokens, wanted);
        if !logits {
            return Ok(None);
        }
        let vocabulary = self.plan.config().vocab_size;
        let bytes = self.session.load(self.plan.logits(), result_bytes(rows, vocabulary));
        let Some(found) = unpack_results(rows, vocabulary, &bytes) else {
            bail!(WrongAnswer("logits behind the last one are not zero".to_owned()));
        };
        let word = self.session.load(self.plan.best(), AXI_BYTES);
        let word: &[u8; AXI_BYTES] = word.as_slice().try_into()?;
        let best = best_of(word, rows);
        for row in 0..rows {
            let of_row = &want.logits[row * vocabulary..(row + 1) * vocabulary];
            if let Some(at) = (0..vocabulary).find(|&at| found[row][at] != of_row[at]) {
                bail!(WrongAnswer(format!(
                    "logit {at} behind token {} is {} instead of {}",
                    self.tokens.len() - rows + row,
                    f32::from_bits(found[row][at]),
                    f32::from_bits(of_row[at])
                )));
            }
            let (id, bits) = want.best[row];
            if (best[row].0, best[row].1.to_bits()) != (u32::try_from(id)?, bits) {
                bail!(WrongAnswer(format!(
                    "Argmax behind token {} found {:?} instead of token {id}",
                    self.tokens.len() - rows + row,
                    best[row]
                )));
            }
        }
        Ok(Some(Outcome { best: best.iter().map(|&(id, _)| id).collect(), logits: found }))
    }

    fn note(
        &mut self,
        batch: &Batch,
        commands: &[Command],
        labels: &[Label],
        purpose: Purpose,
        tokens: usize,
        report: &mut Report,
    ) {
        let segments = self.options.geometry.segments;
        let cycles = batch.cycles.end - batch.cycles.start;
        let streamed: usize = commands.iter().map(|command| streamed_bytes(command, segments)).sum();
        report.passes.push(Pass {
            purpose,
            first: self.tokens.len() - tokens,
            tokens,
            cycles,
            streamed_bytes: streamed as u64,
            bytes_read: batch.traffic.words_read * AXI_BYTES as u64,
            bytes_written: batch.traffic.bytes_written,
            utilisation: as_f64(streamed as u64) / (as_f64(cycles) * as_f64(AXI_BYTES as u64)),
        });
        let spans = self.session.take_spans();
        let command = |span: &Span| {
            let from_first = span.index.wrapping_sub(tandem_model::block::low_u16(batch.first as u64));
            usize::from(from_first)
        };
        let waits = barriers(&spans, &batch.cycles, |span| labels.get(command(span)));
        self.noted = Noted {
            commands: commands.to_vec(),
            labels: labels.to_vec(),
            done: batch.completions.iter().map(|completion| completion.done).collect(),
            waits: waits.clone(),
        };
        if purpose != Purpose::Prefill {
            report.add_barriers(waits);
        }
        if self.options.timeline.is_some() {
            let named = spans.iter().filter_map(|span| {
                let label = labels.get(command(span))?;
                Some(Named { span: *span, kind: label.what.to_owned(), name: label.to_string() })
            });
            self.spans.extend(named);
        }
        self.last = batch.cycles.clone();
    }

    /// Puts what is known at the end into the report, and the timeline into its file.
    ///
    /// # Errors
    /// When the core is not idle as it must be, or the file cannot be written.
    pub fn tell(self, report: &mut Report) -> anyhow::Result<()> {
        report.all_cycles = self.session.cycles();
        report.seconds = self.start.elapsed().as_secs_f64();
        report.cycles_per_second = as_f64(report.all_cycles) / report.seconds;
        if let Some(path) = &self.options.timeline {
            timeline::write(path, &self.spans, &self.last)?;
        }
        if !report.interrupted {
            self.session.close().map_err(unbox)?;
        }
        Ok(())
    }
}

/// Bytes of weights, K and V that a command must bring over the port once.
fn streamed_bytes(command: &Command, segments: usize) -> usize {
    let (count, length) = (command.count as usize, command.length as usize);
    let int8 = command.flags.int8;
    match u16::from(command.opcode) {
        OPCODE_GEMV => weight_bytes(segments, int8, count, length / BLOCK_LEN),
        OPCODE_ATTEND => {
            let keys = if length == 0 { count } else { count.min(length + usize::from(command.rows)) };
            region_bytes(segments, int8, command.flags.wide, keys)
        }
        _ => 0,
    }
}

/// Products of a command, by its rows.
fn products(command: &Command) -> u64 {
    let (count, length, rows) =
        (u64::from(command.count), u64::from(command.length), u64::from(command.rows));
    match u16::from(command.opcode) {
        OPCODE_GEMV => rows * count * length,
        // A row sees the keys up to its own position.
        OPCODE_ATTEND => {
            let seen = command.positions.iter().take(usize::from(command.rows));
            let seen: u64 = seen.map(|&at| u64::from(at) + 1).sum();
            2 * seen * if command.flags.wide { 128 } else { 64 }
        }
        _ => 0,
    }
}

fn laid_out(blocks: &Blocks) -> tandem_model::layout::Blocks<'_> {
    match blocks {
        Blocks::Fp4(blocks) => tandem_model::layout::Blocks::Fp4(blocks),
        Blocks::Int8(blocks) => tandem_model::layout::Blocks::Int8(blocks),
    }
}
