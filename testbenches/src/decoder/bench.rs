// SPDX-License-Identifier: Apache-2.0
//! Random models on the core: passes of random lengths, with tokens that are thrown away, against the untimed decoder.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use tandem_host::import::Packed;
use tandem_host::lower::{Plan, PlanOptions};
use tandem_model::array::Geometry;
use tandem_model::core::core::Core;

use super::random::Shape;
use super::run::Runner;
use crate::bench::{Bench, Coverage};
use crate::core::{CoreDut, MemoryKind};
use crate::dut::{Dut, DutError};
use crate::random::{Flavour, Source};

/// Property test of `core` as a decoder.
#[derive(Clone, Copy, Debug)]
pub struct DecoderBench {
    /// Geometry.
    pub geometry: Geometry,
}

/// A few tokens.
#[derive(Clone, Copy, Debug)]
pub struct Pass {
    /// How many, less one, modulo the rows of the core.
    pub tokens: u8,
    /// How many of them are thrown away, modulo their number.
    pub thrown: u8,
    /// Logits are wanted.
    pub logits: bool,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The model.
    pub shape: Shape,
    /// K and V are MXINT8.
    pub int8: bool,
    /// The passes; those that do not fit any more are left out.
    pub passes: Vec<Pass>,
    /// The memory.
    pub memory: MemoryKind,
    /// The host takes its time.
    pub stalls: Option<u64>,
    /// Of weights, tokens and memory.
    pub seed: u64,
}

const CORNERS: [&str; 27] = [
    "Qwen3",
    "Llama",
    "heads of 64",
    "heads of 128",
    "MXFP4 K and V",
    "MXINT8 K and V",
    "MXFP4 matrices alone",
    "an MXINT8 matrix",
    "kv and q of different formats",
    "the head is the embedding",
    "a head of its own",
    "a vocabulary of whole groups",
    "a vocabulary of no whole groups",
    "one layer",
    "several layers",
    "a window shorter than the session",
    "heads share K and V",
    "heads do not share K and V",
    "one token",
    "all rows",
    "tokens are thrown away",
    "a pass over thrown tokens",
    "a pass without logits",
    "ideal memory",
    "HBM3",
    "hostile memory",
    "the host stalls",
];

impl DecoderBench {
    fn count(case: &Case, tokens: usize, coverage: &mut Coverage) {
        let shape = &case.shape;
        let layers = usize::from(shape.layers);
        coverage.hit(if shape.qwen3 { "Qwen3" } else { "Llama" });
        coverage.hit(if shape.wide { "heads of 128" } else { "heads of 64" });
        coverage.hit(if case.int8 { "MXINT8 K and V" } else { "MXFP4 K and V" });
        coverage.hit(if shape.int8 == 0 { "MXFP4 matrices alone" } else { "an MXINT8 matrix" });
        coverage.hit_if(matches!(shape.int8 & 3, 1 | 2), "kv and q of different formats");
        coverage.hit(if shape.tied { "the head is the embedding" } else { "a head of its own" });
        let whole = shape.vocabulary.is_multiple_of(16);
        coverage.hit(if whole { "a vocabulary of whole groups" } else { "a vocabulary of no whole groups" });
        coverage.hit(if layers == 1 { "one layer" } else { "several layers" });
        let shorter = |&window: &u8| window > 0 && usize::from(window) < tokens;
        coverage.hit_if(shape.windows[..layers].iter().any(shorter), "a window shorter than the session");
        coverage.hit(if shape.group > 1 { "heads share K and V" } else { "heads do not share K and V" });
        coverage.hit(match case.memory {
            MemoryKind::Ideal => "ideal memory",
            MemoryKind::Hbm3 => "HBM3",
            MemoryKind::Hostile => "hostile memory",
        });
        coverage.hit_if(case.stalls.is_some(), "the host stalls");
    }
}

impl Bench for DecoderBench {
    type Block = Core;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let tokens = prop_oneof![2 => Just(0u8), 1 => Just(u8::MAX), 2 => any::<u8>()];
        let thrown = prop_oneof![2 => Just(0u8), 1 => any::<u8>()];
        let pass = (tokens, thrown, prop::bool::weighted(0.7));
        let pass = pass.prop_map(|(tokens, thrown, logits)| Pass { tokens, thrown, logits });
        let memory = prop_oneof![Just(MemoryKind::Ideal), Just(MemoryKind::Hbm3), Just(MemoryKind::Hostile)];
        let host = (memory, weighted(0.5, any::<u64>()));
        (Shape::strategy(), any::<bool>(), vec(pass, 1..5), host, any::<u64>())
            .prop_map(|(shape, int8, passes, (memory, stalls), seed)| Case {
                shape,
                int8,
                passes,
                memory,
                stalls,
                seed,
            })
            .boxed()
    }

    fn model(&self) -> Core {
        Core::new(self.geometry)
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Core>, coverage: &mut Coverage) -> Result<(), DutError> {
        let geometry = self.geometry;
        let packed = Packed::of_checkpoint(&case.shape.checkpoint(case.seed), &case.shape.import(geometry))?;
        let options = PlanOptions { geometry, context: None, int8: case.int8 };
        let plan = Plan::new(&packed.manifest, options)?;
        let decoder = packed.decoder(case.int8);
        let mut core = CoreDut(dut);
        let around = (case.memory, case.seed, case.stalls);
        let mut runner = Runner::open(&mut core, around, &packed, &plan, &decoder)?;
        let mut source = Source::new(!case.seed, Flavour::Plain);
        let mut threw = false;
        for pass in &case.passes {
            let rows = plan.rows();
            let tokens = if pass.tokens == u8::MAX { rows } else { usize::from(pass.tokens) % rows + 1 };
            let before = runner.tokens();
            if before + tokens > plan.context() {
                break;
            }
            let id = |_| u32::try_from(source.below(case.shape.vocabulary.into())).expect("8 bits");
            let ids: Vec<u32> = (0..tokens).map(id).collect();
            runner.at_once(&ids, pass.logits)?;
            let thrown = usize::from(pass.thrown) % tokens;
            runner.keep(before + tokens - thrown);
            coverage.hit_if(tokens == 1, "one token");
            coverage.hit_if(tokens == rows, "all rows");
            coverage.hit_if(threw, "a pass over thrown tokens");
            coverage.hit_if(thrown > 0, "tokens are thrown away");
            coverage.hit_if(!pass.logits, "a pass without logits");
            threw = thrown > 0;
        }
        Self::count(case, runner.tokens(), coverage);
        coverage.add_cycles(runner.cycles());
        runner.close()
    }
}
