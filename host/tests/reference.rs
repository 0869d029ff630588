// SPDX-License-Identifier: Apache-2.0
//! The small model answers as transformers does, and the checks notice when it does not.

mod common;

use common::{Prompt, check_greedy, check_pass, check_tokens, checkpoint, distance, model_dir, prompts};
use tandem_host::{Checkpoint, Forward, Tokenizer, Unobserved};

#[test]
fn tokens_are_those_of_transformers() {
    let tokenizer = Tokenizer::load(&model_dir(), &checkpoint().config).unwrap();
    for prompt in prompts() {
        check_tokens(&tokenizer, &prompt).unwrap();
    }
}

#[test]
fn the_token_check_notices_another_id_and_another_text() {
    let tokenizer = Tokenizer::load(&model_dir(), &checkpoint().config).unwrap();
    let [mut ids, mut text, ..] = <[Prompt; 8]>::try_from(prompts()).ok().unwrap();
    ids.ids[0] += 1;
    text.greedy[5] += 1;
    assert!(check_tokens(&tokenizer, &ids).is_err());
    assert!(check_tokens(&tokenizer, &text).is_err());
}

#[test]
fn residual_streams_and_logits_are_those_of_transformers() {
    let (checkpoint, prompts) = (checkpoint(), prompts());
    let distances = prompts.iter().map(|prompt| check_pass(&checkpoint, prompt).unwrap());
    println!("largest distance: {:e} of the rms", distances.fold(0.0, f64::max));
}

#[test]
fn greedy_tokens_are_those_of_transformers() {
    let checkpoint = checkpoint();
    for prompt in prompts() {
        assert_eq!(prompt.greedy.len(), 64);
        check_greedy(&checkpoint, &prompt).unwrap();
    }
}

/// Every part of the pass that a wrong reading of the definition would change.
#[test]
fn the_checks_notice_every_perturbed_pass() {
    type Change = fn(&mut Checkpoint);
    let changes: [(&str, Change); 9] = [
        ("rope theta", |c| c.config.rope_theta = 11_000.0),
        ("rms epsilon", |c| c.config.rms_norm_eps = 1e-2),
        ("residual norms swapped", |c| {
            let layer = &mut c.layers[1];
            std::mem::swap(&mut layer.input_norm, &mut layer.post_attention_norm);
        }),
        ("head norms swapped", |c| {
            let layer = &mut c.layers[2];
            std::mem::swap(&mut layer.q_norm, &mut layer.k_norm);
        }),
        ("no head norm weights", |c| c.layers[0].k_norm.as_mut().unwrap().fill(1.0)),
        ("gate and up swapped", |c| {
            let layer = &mut c.layers[0];
            std::mem::swap(&mut layer.gate_proj, &mut layer.up_proj);
        }),
        ("keys and values swapped", |c| {
            let layer = &mut c.layers[2];
            std::mem::swap(&mut layer.k_proj, &mut layer.v_proj);
        }),
        ("layers swapped", |c| c.layers.swap(0, 1)),
        ("final norm", |c| c.final_norm.rotate_left(1)),
    ];
    let (original, prompts) = (checkpoint(), prompts());
    for (name, change) in changes {
        let mut changed = original.clone();
        change(&mut changed);
        assert!(check_pass(&changed, &prompts[0]).is_err(), "{name}: residual and logits pass");
        let noticed = prompts.iter().any(|prompt| check_greedy(&changed, prompt).is_err());
        assert!(noticed, "{name}: all greedy tokens pass");
    }
}

#[test]
fn steps_of_any_length_give_what_one_step_gives() {
    let (checkpoint, prompt) = (checkpoint(), &prompts()[5]);
    let forward = Forward::new(&checkpoint).unwrap();
    let mut whole = forward.cache();
    let expected = forward.step(&mut whole, &prompt.ids, &mut Unobserved).unwrap();
    for length in [1, 2, 5] {
        let mut cache = forward.cache();
        assert!(cache.is_empty());
        let mut logits = Vec::new();
        for ids in prompt.ids.chunks(length) {
            logits.extend(forward.step(&mut cache, ids, &mut Unobserved).unwrap().logits);
        }
        assert_eq!(cache.len(), prompt.ids.len());
        // Every sum has the same order whatever the step, so this is exact.
        assert_eq!(logits, expected.logits, "steps of {length}");
    }
}

#[test]
fn attention_is_causal() {
    let (checkpoint, prompt) = (checkpoint(), &prompts()[1]);
    let forward = Forward::new(&checkpoint).unwrap();
    let logits = |ids: &[u32]| forward.step(&mut forward.cache(), ids, &mut Unobserved).unwrap().logits;
    let mut other = prompt.ids.clone();
    *other.last_mut().unwrap() ^= 1;
    let (a, b) = (logits(&prompt.ids), logits(&other));
    let before = a.len() - checkpoint.config.vocab_size;
    assert_eq!(a[..before], b[..before]);
    assert!(distance(&a[before..], &b[before..]) > 1e-2);
}
