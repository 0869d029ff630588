// SPDX-License-Identifier: Apache-2.0
//! The commands of a plan, run one after the other by the untimed interpreter, compute what the untimed decoder does: every
//! token, logit and residual, bit for bit.

mod common;

use common::generated::{llama, qwen3, store, tensors};
use safetensors::Dtype;
use serde_json::{Value, json};
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::lower::{Plan, PlanOptions, best_of, ids_word};
use tandem_host::{Checkpoint, Forward};
use tandem_model::array::Geometry;
use tandem_model::layout::{result_bytes, unpack_results};
use tandem_model::reference::command::Core;
use tandem_model::reference::decoder::Decoder;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;

/// Logits of all rows, and the largest of each.
type Answer = (Vec<u32>, Vec<(u32, f32)>);

/// A machine with a packed model in its memory.
struct Session {
    plan: Plan,
    machine: Machine,
    tokens: usize,
}

impl Session {
    fn new(packed: &Packed, options: PlanOptions) -> Self {
        let plan = Plan::new(&packed.manifest, options).unwrap();
        let Geometry { rows, segments, .. } = options.geometry;
        let mut image = Image::new(0..plan.end());
        for (at, word) in (0..).step_by(64).zip(packed.image().as_chunks().0) {
            image.write(at, word, u64::MAX);
        }
        for at in plan.zeroed().step_by(64) {
            image.write(at, &[0; 64], u64::MAX);
        }
        let bank_words = options.geometry.words();
        let core = Core { rows, segments, bank_words, bounds: plan.zeroed() };
        Self { plan, machine: Machine::new(core, image), tokens: 0 }
    }

    fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let words = (at..).step_by(64).take(length.div_ceil(64));
        words.flat_map(|at| self.machine.image.read(at).expect("it was written").bytes).collect()
    }

    /// A step; its logits and what was largest, if they are wanted.
    fn step(&mut self, ids: &[u32], logits: bool) -> Option<Answer> {
        self.machine.image.write(self.plan.ids(), &ids_word(ids), u64::MAX);
        let step = self.plan.step(self.tokens, ids.len(), logits).unwrap();
        for (command, label) in step.commands.iter().zip(&step.labels) {
            let status = self.machine.run(&command.words()).unwrap_or_else(|e| panic!("{label}: {e}"));
            assert_eq!(status, 0, "{label}: {command:?}");
        }
        self.tokens += ids.len();
        if !logits {
            return None;
        }
        let (rows, vocab) = (ids.len(), self.plan.config().vocab_size);
        let bytes = self.bytes(self.plan.logits(), result_bytes(rows, vocab));
        let best = self.bytes(self.plan.best(), 64);
        let best = best_of(best.as_slice().try_into().unwrap(), rows);
        Some((unpack_results(rows, vocab, &bytes).unwrap().concat(), best))
    }
}

/// Steps of these lengths, of which every other one gives logits, on machine and decoder.
#[track_caller]
fn compare(packed: &Packed, options: PlanOptions, lengths: &[usize]) {
    let decoder: Decoder = packed.decoder(options.int8);
    let mut cache = decoder.cache();
    let mut session = Session::new(packed, options);
    let vocab = u32::try_from(packed.config().vocab_size).unwrap();
    let mut id = 0;
    for (number, &length) in lengths.iter().enumerate() {
        let ids: Vec<u32> = (0..length)
            .map(|_| {
                id = (id * 5 + 3) % vocab;
                id
            })
            .collect();
        let wanted = number % 2 == 0;
        let expected = decoder.step(&mut cache, &ids, 0..if wanted { length } else { 0 });
        let Some((logits, best)) = session.step(&ids, wanted) else { continue };
        assert!(logits == expected.logits, "logits of step {number}");
        let best: Vec<_> =
            best.iter().map(|&(id, logit)| (usize::try_from(id).unwrap(), logit.to_bits())).collect();
        assert_eq!(best, expected.best, "step {number}");
    }
}

fn packed(config: &Value, geometry: Geometry, int8: &[&str]) -> Packed {
    let dir = store(config, &tensors(config, Dtype::BF16, 7), 1);
    let checkpoint = Checkpoint::load(dir.path()).unwrap();
    let int8 = int8.iter().map(|&name| name.to_owned()).collect();
    let options = ImportOptions { context: Some(100), int8, ..ImportOptions::new(geometry) };
    Packed::of_checkpoint(&checkpoint, &options).unwrap()
}

#[test]
fn generated_models_run_on_every_geometry() {
    let mut sliding = qwen3();
    sliding["use_sliding_window"] = json!(true);
    sliding["sliding_window"] = json!(5);
    sliding["max_window_layers"] = json!(1);
    sliding["rope_scaling"] = json!({
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 4.0
    });
    for geometry in Geometry::ALL {
        let most = geometry.rows;
        for (config, int8) in [(qwen3(), false), (llama(), true), (sliding.clone(), true), (llama(), false)] {
            let packed = packed(&config, geometry, &[]);
            let options = PlanOptions { geometry, context: None, int8 };
            compare(&packed, options, &[most, 2, most, 1, 1, most - 1, 1, 1, 1]);
        }
    }
}

#[test]
fn matrices_of_both_formats_go_together() {
    for (geometry, int8) in Geometry::ALL.into_iter().zip([["lm_head", "q_proj"], ["kv", "layers.1.down"]]) {
        let packed = packed(&qwen3(), geometry, &int8);
        compare(&packed, PlanOptions { geometry, context: Some(40), int8: false }, &[3, 1, 1]);
    }
}

#[test]
fn the_small_model_answers_as_in_binary32() {
    let geometry = Geometry::ALL[0];
    let checkpoint = common::checkpoint();
    let packed = Packed::of_checkpoint(
        &checkpoint,
        &ImportOptions {
            int8: ["kv", "q", "o", "gate_up", "down", "head"].map(str::to_owned).to_vec(),
            ..ImportOptions::new(geometry)
        },
    )
    .unwrap();
    let options = PlanOptions { geometry, context: Some(64), int8: true };
    compare(&packed, options, &[8, 3, 1]);

    // With eight bits everywhere the first tokens are those of the unquantised pass.
    let prompt = &common::prompts()[0];
    let expected = Forward::new(&checkpoint).unwrap().greedy(&prompt.ids, 6).unwrap();
    let mut session = Session::new(&packed, options);
    let mut found = Vec::new();
    let steps = prompt.ids.chunks(geometry.rows);
    for (number, ids) in steps.clone().enumerate() {
        let best = session.step(ids, number + 1 == steps.len());
        found.extend(best.map(|(_, best)| best[ids.len() - 1].0));
    }
    while found.len() < expected.len() {
        let (_, best) = session.step(&[found[found.len() - 1]], true).unwrap();
        found.push(best[0].0);
    }
    assert_eq!(found, expected);
}
