// SPDX-License-Identifier: Apache-2.0
//! Decoders on the core: a layer of the shape of Qwen3-0.6B's, a whole model of it, and the checkpoint that comes with the
//! project. Every pass is held against the untimed decoder: logits and tokens, bit for bit.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::lower::{Plan, PlanOptions};
use tandem_host::{Architecture, Checkpoint, Config, RopeScaling};
use tandem_model::core::core::Core;
use tandem_model::devices::{Device, Kind};
use tandem_model::numerics::{E8m0, MxFp4Block};
use tandem_model::reference::decoder::Decoder;
use tandem_model::reference::fast::Blocks;
use tandem_testbenches::core::{CoreDut, IDEAL_LATENCY};
use tandem_testbenches::memory::hbm3;
use tandem_testbenches::random::{Flavour, Source};
use tandem_testbenches::{Dut, ModelOnly};

use super::{Better, Figure, SMALL, speed_group, speeds};
use crate::engine::{Engine, FailureFiles, Runner};
use crate::jobs::generate::{Decoding, Draft, OfLayer, Options, Purpose, Report};
use crate::jobs::run::Memory;
use crate::jobs::{Format, as_f64};

/// Layers of the model whose middle one is measured.
const LAYERS: usize = 3;
const MIDDLE: usize = 1;
/// Rows of its embedding and of its head, which are not measured.
const VOCABULARY: usize = 1024;
/// Waits that are told.
const WORST: usize = 6;
/// Products of a cycle: rows, and the codes of 64 bytes of MXFP4.
const PRODUCTS: f64 = 8.0 * 128.0;
const TINY: &str = "testbenches/models/tiny-qwen3";

/// The shape of Qwen3-0.6B.
fn shape(layers: usize, vocabulary: usize) -> Config {
    Config {
        architecture: Architecture::Qwen3,
        hidden_size: 1024,
        num_hidden_layers: layers,
        num_attention_heads: 16,
        num_key_value_heads: 8,
        head_dim: 128,
        intermediate_size: 3072,
        vocab_size: vocabulary,
        rms_norm_eps: 1e-6,
        rope_theta: 1e6,
        rope_scaling: RopeScaling::None,
        windows: vec![None; layers],
        tie_word_embeddings: true,
        max_position_embeddings: 40960,
    }
}

/// A model that is ready to run.
struct Bench {
    packed: Packed,
    reference: Decoder,
    plan: Plan,
}

impl Bench {
    fn new(packed: Packed) -> anyhow::Result<Self> {
        let plan = PlanOptions { geometry: SMALL, context: None, int8: false };
        let plan = Plan::new(&packed.manifest, plan)?;
        Ok(Self { reference: packed.decoder(false), plan, packed })
    }

    fn random(config: &Config, context: usize) -> anyhow::Result<Self> {
        let options = ImportOptions { context: Some(context), ..ImportOptions::new(SMALL) };
        Self::new(Packed::random(config, &options, VOCABULARY.min(config.vocab_size), 1)?)
    }

    fn tiny() -> anyhow::Result<Self> {
        let checkpoint = Checkpoint::load(Path::new(TINY))
            .with_context(|| format!("run `tandem bench` where {TINY} is, the project's folder"))?;
        let import = ImportOptions { context: Some(64), ..ImportOptions::new(SMALL) };
        Self::new(Packed::of_checkpoint(&checkpoint, &import)?)
    }

    fn open<'a>(&'a self, core: &'a mut CoreDut<'_>, options: &'a Options) -> anyhow::Result<Decoding<'a>> {
        Decoding::open(core, options, &self.plan, &self.packed, &self.reference)
    }

    /// The middle layer in a pass of `rows` tokens behind `first` others.
    fn layer(&self, memory: Memory, first: usize, rows: usize) -> anyhow::Result<OfLayer> {
        let options = options(memory);
        let mut dut = ModelOnly { model: Core::new(SMALL) };
        let mut core = CoreDut(&mut dut);
        let mut decoding = self.open(&mut core, &options)?;
        let blocks = first * self.packed.config().head_dim / 32;
        let mut source = Source::new(first as u64, Flavour::Plain);
        // About as large as a normed head.
        let mut block = |_| MxFp4Block { scale: E8m0::from_code(125), ..source.fp4_block() };
        let mut random = || Blocks::Fp4((0..blocks).map(&mut block).collect());
        let (keys, values) = (random(), random());
        decoding.fill(&keys, &values);
        let tokens = ids(rows);
        let mut report = Report::new(&options, first);
        decoding.pass(&tokens, true, Purpose::Decode, &mut report)?;
        Ok(decoding.layer(MIDDLE))
    }
}

fn ids(count: usize) -> Vec<u32> {
    (0..count).map(|row| u32::try_from(17 * row + 3).expect("few rows")).collect()
}

fn options(memory: Memory) -> Options {
    Options {
        model: PathBuf::new(),
        prompt: String::new(),
        tokens: 1,
        chat: None,
        ignore_stop: true,
        kv: Format::Fp4,
        draft: Draft::None,
        temperature: 0.0,
        top_p: 1.0,
        context: None,
        clock: 1000.0,
        geometry: SMALL,
        engine: Engine::Model,
        memory,
        stalls: None,
        timeline: None,
        wave: None,
        seed: 1,
        failure: FailureFiles::below("target/failures"),
    }
}

fn figure(
    name: String,
    value: f64,
    reach: Option<f64>,
    better: Better,
    unit: &'static str,
    how: String,
) -> Figure {
    Figure { name, value, reach, better, unit, how }
}

const LAYER: &str = "the middle one of three layers of Qwen3-0.6B's shape with random weights (hidden 1024, 16 heads of 128, 8 of K and V, \
                     feed-forward 3072), MXFP4, from the last completion of the layer before to its own; on the model, which lockstep \
                     holds equal to the RTL; logits held against the untimed decoder";

fn waits(of: &OfLayer) -> String {
    let all: u64 = of.waits.iter().map(|(_, cycles)| cycles).sum();
    let worst = of.waits.iter().take(WORST).map(|(what, cycles)| format!("{cycles} before {what}"));
    format!("the array had nothing to do in {all} cycles: {}", worst.collect::<Vec<_>>().join(", "))
}

/// A layer: one token, four, and a prompt.
///
/// # Errors
/// When the core is wrong, or a utilisation is above its limit.
pub(super) fn layer() -> anyhow::Result<Vec<Figure>> {
    let bench = Bench::random(&shape(LAYERS, VOCABULARY), 4112)?;
    let sustained = hbm3::Config::ONE_CHANNEL.sustained_peak();
    let sustained = as_f64(sustained.words) / as_f64(sustained.cycles);
    let mut figures = Vec::new();
    let mut one = 0.0;
    for context in [512, 4096] {
        for (memory, peak, reach) in [(Memory::Ideal, 1.0, Some(0.94)), (Memory::Hbm3, sustained, None)] {
            let of = bench.layer(memory, context, 1)?;
            let value = as_f64(of.streamed_bytes) / (64.0 * as_f64(of.cycles) * peak);
            if value > 1.0 {
                bail!(
                    "a layer at context {context}, {memory:?}: utilisation {value:.4} is above 1, the accounting is wrong"
                );
            }
            let (unit, what) = match memory {
                Memory::Hbm3 => ("of HBM3's sustained reads", "one channel of HBM3".to_owned()),
                _ => ("of the port limit", format!("the ideal memory, latency {IDEAL_LATENCY}")),
            };
            if (context, memory) == (512, Memory::Ideal) {
                one = as_f64(of.cycles);
            }
            figures.push(figure(
                format!("layer_decode_{context}_{}_utilisation", memory.name()),
                value,
                reach,
                Better::Higher,
                unit,
                format!(
                    "one token behind {context}: {} bytes of weights, K and V, each once, in {} cycles; {}; {what}; {LAYER}",
                    of.streamed_bytes,
                    of.cycles,
                    waits(&of)
                ),
            ));
        }
    }
    let of = bench.layer(Memory::Ideal, 512, 4)?;
    let each = as_f64(of.cycles) / 4.0;
    figures.push(figure(
        "layer_drafted_4_cycles_per_token".to_owned(),
        each / one,
        None,
        Better::Lower,
        "of one token's",
        format!(
            "{} cycles of a pass of 4 tokens behind 512, {each:.0} each, {one:.0} of a pass of one; {}; {LAYER}",
            of.cycles,
            waits(&of)
        ),
    ));
    figures.extend(prefill(&bench)?);
    Ok(figures)
}

/// A prompt of 512 tokens, of which every eighth pass is run.
fn prefill(bench: &Bench) -> anyhow::Result<Vec<Figure>> {
    const TOKENS: usize = 512;
    const EACH: usize = 64;
    let (mut cycles, mut products, mut worst) = (0, 0, String::new());
    let firsts = (EACH / 2..TOKENS).step_by(EACH);
    let passes = as_f64(firsts.len() as u64);
    for first in firsts {
        let of = bench.layer(Memory::Ideal, first, SMALL.rows)?;
        cycles += of.cycles;
        products += of.products;
        worst = waits(&of);
    }
    let how = format!(
        "{TOKENS} tokens, {} a pass, of which every eighth is run ({passes} passes, behind 32, 96 and so on, whose mean stands for all 64): \
         {cycles} cycles, {products} products, at most {PRODUCTS} a cycle; in the last one {worst}; {LAYER}",
        SMALL.rows
    );
    let per_token = as_f64(cycles) / (passes * as_f64(SMALL.rows as u64));
    Ok(vec![
        figure(
            "layer_prefill_cycles_per_token".to_owned(),
            per_token,
            None,
            Better::Lower,
            "cycles",
            how.clone(),
        ),
        figure(
            "layer_prefill_utilisation".to_owned(),
            as_f64(products) / (as_f64(cycles) * PRODUCTS),
            None,
            Better::Higher,
            "of the products",
            how,
        ),
    ])
}

/// A whole model in lockstep.
///
/// # Errors
/// When the core is wrong.
pub(super) fn model() -> anyhow::Result<Vec<Figure>> {
    const WHOLE: usize = 151_936;
    const MODEL_LAYERS: usize = 28;
    let made = Instant::now();
    let bench = Bench::random(&shape(MODEL_LAYERS, WHOLE), 64)?;
    let made = made.elapsed().as_secs_f64();
    let options = Options { engine: Engine::Lockstep, ..options(Memory::Ideal) };
    let device = Device::of(Kind::Core, SMALL);
    let mut runner = Runner::new(options.engine, device, Core::new(SMALL), 1, &options.failure, None)?;
    let mut core = CoreDut(runner.dut());
    let mut decoding = bench.open(&mut core, &options)?;
    let mut report = Report::new(&options, 1);
    let start = Instant::now();
    decoding.pass(&ids(1), true, Purpose::Decode, &mut report)?;
    let seconds = start.elapsed().as_secs_f64();
    decoding.tell(&mut report)?;
    let pass = report.passes[0];
    let registers = runner.finish()?.map_or(0, |totals| totals.registers);
    let how = format!(
        "one token through {MODEL_LAYERS} layers of Qwen3-0.6B's shape and a head of {WHOLE}, random weights, {} bytes streamed in {} cycles, \
         ideal memory, {registers} registers compared at every clock, logits held against the untimed decoder; the embedding has {VOCABULARY} \
         rows instead of {WHOLE}, of which one is read anyway; made in {made:.1} s",
        pass.streamed_bytes, pass.cycles
    );
    let seconds = ("model_lockstep_seconds", seconds, Some(180.0), Better::Lower, "s");
    let cycles = ("model_cycles", as_f64(pass.cycles), None, Better::Lower, "cycles per token");
    let utilisation = ("model_utilisation", pass.utilisation, None, Better::Higher, "of the port limit");
    let all = [seconds, cycles, utilisation];
    Ok(all
        .map(|(name, value, reach, better, unit)| {
            figure(name.to_owned(), value, reach, better, unit, how.clone())
        })
        .into())
}

/// The checkpoint that comes with the project.
///
/// # Errors
/// When the core is wrong, or the checkpoint is not there.
pub(super) fn generate(quick: bool) -> anyhow::Result<Vec<Figure>> {
    const PROMPT: usize = 8;
    const TOKENS: usize = 4;
    let bench = Bench::tiny()?;
    let options = options(Memory::Ideal);
    let work = |dut: &mut dyn Dut<Core>, tokens: usize| {
        let mut core = CoreDut(dut);
        let mut decoding = bench.open(&mut core, &options)?;
        let mut report = Report::new(&options, PROMPT);
        let mut outcome = decoding.pass(&ids(PROMPT), true, Purpose::Prefill, &mut report)?;
        for _ in 0..tokens {
            let last = outcome.as_ref().context("a pass with logits")?;
            let next = last.best(last.rows() - 1);
            outcome = decoding.pass(&[next], true, Purpose::Decode, &mut report)?;
        }
        decoding.tell(&mut report)?;
        anyhow::Ok(report)
    };
    let report = work(&mut ModelOnly { model: Core::new(SMALL) }, TOKENS)?;
    let decoded = report.passes.iter().filter(|pass| pass.purpose == Purpose::Decode);
    let cycles: u64 = decoded.clone().map(|pass| pass.cycles).sum();
    let bytes: u64 = decoded.map(|pass| pass.streamed_bytes).sum();
    let how = format!(
        "tiny-qwen3, {TOKENS} tokens behind a prompt of {PROMPT}, ideal memory, logits held against the untimed decoder"
    );
    let mut figures = vec![
        figure(
            "generate_cycles_per_token".to_owned(),
            as_f64(cycles) / as_f64(TOKENS as u64),
            None,
            Better::Lower,
            "cycles",
            how.clone(),
        ),
        figure(
            "generate_utilisation".to_owned(),
            as_f64(bytes) / (64.0 * as_f64(cycles)),
            None,
            Better::Higher,
            "of the port limit",
            how,
        ),
    ];
    let rounds = if quick { 3 } else { 9 };
    let speed = speeds(Kind::Core, || Core::new(SMALL), rounds, |dut| Ok(work(dut, 0)?.all_cycles))?;
    figures.extend(speed_group("generate_", speed, "tiny-qwen3, a prompt of 8 tokens", rounds));
    Ok(figures)
}
