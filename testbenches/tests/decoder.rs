// SPDX-License-Identifier: Apache-2.0
//! Decoders on the core's model: every activation of every layer, bit for bit, and what must not go unnoticed.

use std::path::Path;
use std::time::Duration;

use tandem_host::Checkpoint;
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::lower::{Plan, PlanOptions};
use tandem_model::array::Geometry;
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    OPCODE_ADD, OPCODE_APPEND, OPCODE_ATTEND, OPCODE_EMBED, OPCODE_GEMV, OPCODE_HEADS, OPCODE_NORM,
    OPCODE_QUANTISE,
};
use tandem_model::core::core::Core;
use tandem_testbenches::core::{CoreDut, MemoryKind};
use tandem_testbenches::decoder::{CONTEXT, DecoderBench, Runner, Shape};
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::{Bench, DutError, ModelOnly, WrongAnswer};

/// Steps of so many tokens on ideal memory, command by command; how many comparisons they were.
fn compared(
    packed: &Packed,
    (geometry, int8): (Geometry, bool),
    steps: &[usize],
    tamper: Option<fn(&mut Command)>,
) -> Result<usize, DutError> {
    let options = PlanOptions { geometry, context: Some(CONTEXT), int8 };
    let plan = Plan::new(&packed.manifest, options)?;
    let decoder = packed.decoder(int8);
    let mut dut = ModelOnly { model: Core::new(geometry) };
    let mut core = CoreDut(&mut dut);
    let mut runner = Runner::open(&mut core, (MemoryKind::Ideal, 1, None), packed, &plan, &decoder)?;
    if let Some(tamper) = tamper {
        runner.tamper(Box::new(tamper));
    }
    let vocabulary = u32::try_from(packed.config().vocab_size)?;
    let (mut id, mut comparisons) = (7, 0);
    for &tokens in steps {
        let mut next = || {
            id = (id * 5 + 3) % vocabulary;
            id
        };
        let ids: Vec<u32> = (0..tokens).map(|_| next()).collect();
        comparisons += runner.one_by_one(&ids, true)?;
    }
    runner.close()?;
    Ok(comparisons)
}

#[test]
fn every_activation_of_the_small_model_is_that_of_the_untimed_decoder() {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/tiny-qwen3");
    let checkpoint = Checkpoint::load(&model).unwrap();
    for (geometry, int8) in [(Geometry::ALL[0], false), (Geometry::ALL[1], true)] {
        let import = ImportOptions { context: Some(CONTEXT), ..ImportOptions::new(geometry) };
        let packed = Packed::of_checkpoint(&checkpoint, &import).unwrap();
        let tokens = 5.min(geometry.rows);
        let comparisons = compared(&packed, (geometry, int8), &[tokens, 1], None).unwrap();
        // Embedding, final norm, logits and Argmax; in each layer two norms, six matrices, Heads of K, V and q, Appends,
        // Attends and Quantises, two sums and a gate.
        assert!(comparisons >= 2 * (4 + 3 * (2 + 6 + 3 + 2 + 2 + 2 + 2 + 1)), "{comparisons} comparisons");
    }
}

/// A Qwen3 of two layers, four heads of 64 to two of K and V.
fn shape() -> Shape {
    Shape {
        qwen3: true,
        layers: 2,
        kv_heads: 2,
        group: 2,
        wide: false,
        hidden: 2,
        intermediate: 3,
        vocabulary: 45,
        tied: true,
        windows: [0, 4, 0],
        int8: 0,
    }
}

#[test]
fn every_activation_of_random_models_is_that_of_the_untimed_decoder() {
    let shapes = [
        shape(),
        Shape { qwen3: false, layers: 1, wide: true, kv_heads: 1, group: 3, vocabulary: 48, ..shape() },
        Shape { layers: 1, hidden: 3, intermediate: 5, tied: false, int8: 0b10_1010, ..shape() },
        Shape { layers: 1, wide: true, group: 1, hidden: 1, int8: 0b01_0001, ..shape() },
    ];
    for (seed, shape) in (1..).zip(&shapes) {
        for (geometry, int8) in Geometry::ALL.into_iter().zip([seed % 2 == 0, seed % 2 != 0]) {
            let packed = Packed::of_checkpoint(&shape.checkpoint(seed), &shape.import(geometry)).unwrap();
            let steps = [geometry.rows, 1, 2];
            compared(&packed, (geometry, int8), &steps, None).unwrap_or_else(|e| panic!("{shape:?}: {e}"));
        }
    }
}

/// Commands that do a little less, or something else: what they write is found to be wrong, by their name.
#[test]
fn commands_that_do_something_else_are_found() {
    fn if_of(opcode: u16, command: &mut Command) -> Option<&mut Command> {
        (u16::from(command.opcode) == opcode).then_some(command)
    }
    type Way = (&'static str, fn(&mut Command));
    let ways: [Way; 9] = [
        ("embed", |c| if_of(OPCODE_EMBED, c).into_iter().for_each(|c| c.count = 1)),
        ("input_norm", |c| if_of(OPCODE_NORM, c).into_iter().for_each(|c| c.positions[0] += 64)),
        ("kv", |c| if_of(OPCODE_GEMV, c).into_iter().for_each(|c| c.count -= 1)),
        ("layer 0, v", |c| {
            if_of(OPCODE_HEADS, c).filter(|c| c.operand & 1 != 0).into_iter().for_each(|c| c.operand &= 0b11)
        }),
        ("layer 0, k", |c| {
            if_of(OPCODE_HEADS, c)
                .filter(|c| c.operand & 1 == 0)
                .into_iter()
                .for_each(|c| c.positions[2] ^= 1 << 23)
        }),
        ("append", |c| if_of(OPCODE_APPEND, c).into_iter().for_each(|c| c.count = 1)),
        ("attend", |c| if_of(OPCODE_ATTEND, c).into_iter().for_each(|c| c.positions[1] = 0)),
        ("quantise", |c| if_of(OPCODE_QUANTISE, c).into_iter().for_each(|c| c.destination += 64)),
        ("residual", |c| if_of(OPCODE_ADD, c).into_iter().for_each(|c| c.source += 64)),
    ];
    let geometry = Geometry::ALL[0];
    let packed = Packed::of_checkpoint(&shape().checkpoint(1), &shape().import(geometry)).unwrap();
    for (what, tamper) in ways {
        let error = compared(&packed, (geometry, false), &[3, 1], Some(tamper)).expect_err(what);
        assert!(error.is::<WrongAnswer>() && error.to_string().contains(what), "{what}: {error}");
    }
}

fn random_models(geometry: Geometry, cases: u64) {
    let bench = DecoderBench { geometry };
    let limits = Limits { cases, cycles: 0, time: Duration::ZERO };
    let outcome = check(&bench, limits, 1, |_| Ok(Box::new(ModelOnly { model: bench.model() })), |_| false);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    println!(
        "{} cycles in {:.1} s, {:?}",
        outcome.coverage.cycles(),
        outcome.seconds,
        outcome.coverage.hits()
    );
    assert_eq!(outcome.coverage.missing(bench.corners()), Vec::<&str>::new(), "corners never hit");
}

#[test]
fn random_models_decode_on_small() {
    random_models(Geometry::ALL[0], 24);
}

#[test]
fn random_models_decode_on_slim() {
    random_models(Geometry::ALL[1], 24);
}
