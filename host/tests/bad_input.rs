// SPDX-License-Identifier: Apache-2.0
//! Tokenizers, prompts and steps that do not fit the model are refused with a message. None panics.

mod common;

use std::fs;

use common::broken::{altered, same_config, same_tensors, says};
use common::{checkpoint, model_dir, prompts};
use tandem_host::{Checkpoint, Config, Forward, Tokenizer, Unobserved};

#[test]
fn tokenizers_that_are_corrupt_or_of_another_model() {
    let dir = altered(same_config, same_tensors);
    let mut config = Config::load(dir.path()).unwrap();
    config.vocab_size = 500;
    says(Tokenizer::load(dir.path(), &config), &["vocabulary of 500", "found id 511"]);
    for content in ["", "{", "{\"model\": 3}"] {
        fs::write(dir.path().join("tokenizer.json"), content).unwrap();
        says(Tokenizer::load(dir.path(), &config), &["tokenizer.json", "does not parse"]);
    }
}

#[test]
fn prompts_that_are_empty_or_too_long() {
    let checkpoint = checkpoint();
    let tokenizer = Tokenizer::load(&model_dir(), &checkpoint.config).unwrap();
    says(tokenizer.encode(""), &["at least one token", "empty prompt"]);
    assert_eq!(tokenizer.encode(&"!".repeat(512)).map(|ids| ids.len() <= 512).ok(), Some(true));
    says(tokenizer.encode(&"a b c ".repeat(400)), &["at most 512 tokens", "shorten"]);

    let forward = Forward::new(&checkpoint).unwrap();
    says(forward.greedy(&[], 4), &["empty prompt"]);
    says(forward.greedy(&[512], 4), &["vocabulary of 512", "found 512"]);
    says(forward.greedy(&[1; 500], 13), &["at most 512 tokens", "found 513"]);
    says(forward.greedy(&[1], usize::MAX), &["at most 512 tokens"]);
    assert!(forward.greedy(&prompts()[0].ids, 0).unwrap().is_empty());
}

#[test]
fn a_refused_step_leaves_the_cache_as_it_was() {
    let checkpoint = checkpoint();
    let forward = Forward::new(&checkpoint).unwrap();
    let mut cache = forward.cache();
    forward.hidden(&mut cache, &[1, 2, 3], &mut Unobserved).unwrap();
    says(forward.step(&mut cache, &[], &mut Unobserved), &["at least one token"]);
    says(forward.step(&mut cache, &[4, 9999], &mut Unobserved), &["found 9999"]);
    says(forward.step(&mut cache, &[1; 510], &mut Unobserved), &["found 513"]);
    says(forward.logits(&[0.0; 130], &mut Unobserved), &["whole rows of 128", "found 130"]);
    assert_eq!(cache.len(), 3);
    let again = forward.step(&mut cache, &[4], &mut Unobserved).unwrap();
    let whole = forward.step(&mut forward.cache(), &[1, 2, 3, 4], &mut Unobserved).unwrap();
    assert_eq!(again.logits, whole.logits[3 * 512..]);

    let mut shorter = checkpoint.clone();
    shorter.layers.pop();
    says(Forward::new(&shorter).map(|_| ()), &["model.layers", "[3]", "[2]"]);
    shorter.config.num_hidden_layers = 2;
    shorter.config.windows.pop();
    let shorter = Forward::new(&shorter).unwrap();
    let result = shorter.step(&mut cache, &[4], &mut Unobserved);
    says(result, &["2 layers", "found 3", "Forward::cache"]);
}

#[test]
fn checkpoints_changed_after_loading_are_checked() {
    let new = |change: fn(&mut Checkpoint)| {
        let mut checkpoint = checkpoint();
        change(&mut checkpoint);
        Forward::new(&checkpoint).map(|_| ())
    };
    says(new(|c| c.layers[1].q_norm.as_mut().unwrap().truncate(3)), &["q_norm", "[128]", "[3]"]);
    says(new(|c| c.layers[1].k_norm = None), &["k_norm", "[128]", "[0]"]);
    says(new(|c| c.config.windows.truncate(2)), &["layer_types", "3 entries", "found 2"]);
    says(new(|c| c.layers[0].up_proj.data.truncate(3)), &["up_proj", "[384, 128]", "[3]"]);
    says(new(|c| c.embedding.rows = 3), &["model.embed_tokens.weight", "[3, 128]"]);
    says(new(|c| c.config.head_dim = 7), &["head_dim", "even"]);
}
