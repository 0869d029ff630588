// SPDX-License-Identifier: Apache-2.0
//! Text from a checkpoint: the core computes every token, the host only spells.

mod report;
mod session;

use std::path::PathBuf;

use anyhow::bail;
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::lower::{Plan, PlanOptions};
use tandem_host::{Chat, Checkpoint, Sampler, Tokenizer, ngram_draft, stop_ids};
use tandem_model::array::Geometry;
use tandem_model::core::core::Core;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::core::CoreDut;

pub use report::{Barrier, Pass, Purpose, Report};
pub use session::{Decoding, OfLayer, Outcome};

use super::Format;
use super::run::Memory;
use crate::engine::{Engine, FailureFiles, Runner};
use crate::interrupt::Interrupted;
use crate::timeline;

/// Where drafted tokens come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Draft {
    /// No drafting: one token per pass.
    None,
    /// What came after the last tokens when they stood in the text before.
    Ngram,
}

/// How a model that converses is spoken to.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// What it is told beforehand.
    pub system: Option<String>,
}

/// What to generate, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checkpoint folder, or a checkpoint that `tandem import` packed.
    pub model: PathBuf,
    /// Prompt.
    pub prompt: String,
    /// The prompt is said to a model that converses.
    pub chat: Option<Conversation>,
    /// Most tokens that are generated.
    pub tokens: usize,
    /// Go on after a token that ends a text.
    pub ignore_stop: bool,
    /// Format of K and V.
    pub kv: Format,
    /// Drafting.
    pub draft: Draft,
    /// Divides the logits; 0 takes the largest.
    pub temperature: f64,
    /// Share of the probability that is sampled from.
    pub top_p: f64,
    /// Longest session.
    pub context: Option<usize>,
    /// Clock that tokens per second are told for, MHz.
    pub clock: f64,
    /// Of the core.
    pub geometry: Geometry,
    /// What runs it.
    pub engine: Engine,
    /// What is behind the memory port.
    pub memory: Memory,
    /// Seed of a host that takes its time, and of the hostile memory.
    pub stalls: Option<u64>,
    /// Where to write what the units did.
    pub timeline: Option<PathBuf>,
    /// Waveform of the whole run.
    pub wave: Option<PathBuf>,
    /// Seed of sampling, and of the registers' initial values.
    pub seed: u64,
    /// Where failures go.
    pub failure: FailureFiles,
}

/// Generates text. `say` is given it piece by piece as it comes, the prompt first.
///
/// # Errors
/// Bad input, a mismatch, or an activation that is not that of the untimed decoder.
pub fn run(options: &Options, say: &mut dyn FnMut(&str)) -> anyhow::Result<Report> {
    // First what fails fast.
    timeline::check(options.timeline.as_deref())?;
    let mut runner = Runner::new(
        options.engine,
        Device::of(Kind::Core, options.geometry),
        Core::new(options.geometry),
        options.seed,
        &options.failure,
        options.wave.as_deref(),
    )?;
    let model = Model::load(options)?;
    let prompt = model.prompt(options)?;
    let Model { packed, tokenizer, stops, .. } = model;
    let int8 = options.kv == Format::Int8;
    let plan_options = PlanOptions { geometry: options.geometry, context: options.context, int8 };
    let plan = Plan::new(&packed.manifest, plan_options)?;
    let reference = packed.decoder(int8);

    let mut core = CoreDut(runner.dut());
    let mut decoding = Decoding::open(&mut core, options, &plan, &packed, &reference)?;
    let mut text = Text { tokenizer: &tokenizer, said: String::new(), say };
    let mut report = Report::new(options, prompt.len());
    let done = generate(options, &prompt, &stops, &mut decoding, &mut text, &mut report);
    report.text = text.said;
    report.interrupted = match done {
        Err(e) if e.is::<Interrupted>() => true,
        other => {
            other?;
            false
        }
    };
    decoding.tell(&mut report)?;
    report.conclude();
    if let Some(totals) = runner.finish()? {
        (report.registers, report.bits) = (totals.registers, totals.bits);
    }
    Ok(report)
}

/// What is needed of a model.
struct Model {
    packed: Packed,
    tokenizer: Tokenizer,
    /// Tokens that end a text.
    stops: Vec<u32>,
    chat: Option<Chat>,
}

impl Model {
    fn load(options: &Options) -> anyhow::Result<Self> {
        let path = &options.model;
        let mut model = if path.is_file() {
            let packed = Packed::load(path)?;
            let Some(tokenizer) = packed.tokenizer()? else {
                bail!(
                    "expected a tokenizer in {}, found none: the folder had no tokenizer.json when it was imported; \
                     put one there and import it again",
                    path.display()
                );
            };
            let (stops, chat) = match &packed.manifest.tokenizer {
                Some(of) => (of.stop.clone(), of.chat.clone()),
                None => (Vec::new(), None),
            };
            Self { packed, tokenizer, stops, chat }
        } else {
            let import = ImportOptions { context: options.context, ..ImportOptions::new(options.geometry) };
            let checkpoint = Checkpoint::load(path)?;
            let tokenizer = Tokenizer::load(path, &checkpoint.config)?;
            let packed = Packed::of_checkpoint(&checkpoint, &import)?;
            Self { packed, tokenizer, stops: stop_ids(path)?, chat: Chat::load(path)? }
        };
        if options.ignore_stop {
            model.stops.clear();
        }
        Ok(model)
    }

    /// Tokens of the prompt.
    fn prompt(&self, options: &Options) -> anyhow::Result<Vec<u32>> {
        let Some(Conversation { system }) = &options.chat else {
            return Ok(self.tokenizer.encode(&options.prompt)?);
        };
        let Some(chat) = &self.chat else {
            bail!(
                "expected a chat template for --chat in {} (chat_template.jinja, or chat_template in tokenizer_config.json), found \
                 none: leave --chat away",
                options.model.display()
            );
        };
        Ok(self.tokenizer.encode_chat(&chat.render(system.as_deref(), &options.prompt)?)?)
    }
}

/// What has been said so far.
struct Text<'a> {
    tokenizer: &'a Tokenizer,
    said: String,
    say: &'a mut dyn FnMut(&str),
}

impl Text<'_> {
    /// Says what tokens add to the text. A character whose bytes are not all there yet waits.
    fn tell(&mut self, ids: &[u32], last: bool) -> anyhow::Result<()> {
        let text = self.tokenizer.decode(ids)?;
        let whole = if last { &text } else { text.trim_end_matches(char::REPLACEMENT_CHARACTER) };
        if let Some(new) = whole.strip_prefix(self.said.as_str()).filter(|new| !new.is_empty()) {
            (self.say)(new);
            self.said.push_str(new);
        }
        Ok(())
    }
}

fn generate(
    options: &Options,
    prompt: &[u32],
    stops: &[u32],
    decoding: &mut Decoding<'_>,
    text: &mut Text<'_>,
    report: &mut Report,
) -> anyhow::Result<()> {
    text.tell(prompt, false)?;
    let mut sampler = Sampler::new(options.temperature, options.top_p, options.seed);
    let mut ids = prompt.to_vec();
    let rows = decoding.rows();
    let mut outcome = None;
    for pass in prompt.chunks(rows) {
        let last = decoding.tokens() + pass.len() == prompt.len();
        outcome = decoding.pass(pass, last, Purpose::Prefill, report)?;
    }
    // `Tokenizer::encode` gives no empty prompt, and the last pass has logits.
    let mut next = outcome.map(|outcome| sampler.next(&outcome, outcome.rows() - 1));
    while let Some(id) = next.take() {
        ids.push(id);
        report.tokens.push(id);
        let stop = stops.contains(&id);
        let ends = stop || report.tokens.len() == options.tokens;
        text.tell(&ids, ends)?;
        if ends {
            report.stopped = stop;
            break;
        }
        let room = (options.tokens - report.tokens.len()).min(decoding.room()).min(rows).saturating_sub(1);
        let mut pass = vec![id];
        if options.draft == Draft::Ngram {
            pass.extend(ngram_draft(&ids, room));
        }
        let purpose = if pass.len() > 1 { Purpose::Verify } else { Purpose::Decode };
        let Some(outcome) = decoding.pass(&pass, true, purpose, report)? else { break };
        report.drafted += pass.len() - 1;
        // Drafted tokens are good as long as each is what the core would have said.
        let mut row = 0;
        while let Some(&drafted) = pass.get(row + 1) {
            let said = sampler.next(&outcome, row);
            if said != drafted {
                next = Some(said);
                break;
            }
            row += 1;
            ids.push(drafted);
            report.tokens.push(drafted);
            report.accepted += 1;
            if stops.contains(&drafted) {
                report.stopped = true;
                decoding.keep(ids.len());
                text.tell(&ids, true)?;
                return Ok(());
            }
        }
        decoding.keep(ids.len());
        if next.is_none() {
            next = Some(sampler.next(&outcome, row));
        }
    }
    Ok(())
}

/// Picks from what a pass has computed.
trait Next {
    fn next(&mut self, outcome: &Outcome, row: usize) -> u32;
}

impl Next for Sampler {
    fn next(&mut self, outcome: &Outcome, row: usize) -> u32 {
        if self.is_greedy() { outcome.best(row) } else { self.pick(&outcome.logits(row)) }
    }
}
