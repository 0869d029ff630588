// SPDX-License-Identifier: Apache-2.0
//! Checkpoints in several files are those in one, and files that do not belong together are refused.

mod common;

use std::fs;

use common::broken::says;
use common::generated::{llama, qwen3, store, tensors, write};
use safetensors::Dtype;
use serde_json::{Value, json};
use tandem_host::{Checkpoint, Forward, Unobserved};

const INDEX: &str = "model.safetensors.index.json";

#[test]
fn shards_are_what_one_file_is() {
    for (config, dtype) in [(qwen3(), Dtype::BF16), (llama(), Dtype::F16), (qwen3(), Dtype::F32)] {
        let tensors = tensors(&config, dtype, 3);
        let one = Checkpoint::load(store(&config, &tensors, 1).path()).unwrap();
        let three = Checkpoint::load(store(&config, &tensors, 3).path()).unwrap();
        assert_eq!(one, three);
        // A tensor with the tail of its neighbour of the same shape, as a reader that mixes up shards would see it, is another.
        let mut mixed = tensors.clone();
        let like = |at: usize| mixed.iter().skip(at + 1).position(|other| other.2 == mixed[at].2);
        let (at, next) = (0..mixed.len()).find_map(|at| Some((at, at + 1 + like(at)?))).unwrap();
        let tail = mixed[at].3.len() - 4;
        let wrong = mixed[next].3[tail..].to_vec();
        mixed[at].3[tail..].copy_from_slice(&wrong);
        assert_ne!(one, Checkpoint::load(store(&config, &mixed, 3).path()).unwrap());
        let forward = Forward::new(&one).unwrap();
        let logits = forward.step(&mut forward.cache(), &[1, 2, 3], &mut Unobserved).unwrap().logits;
        assert!(logits.iter().all(|logit| logit.is_finite()) && logits.iter().any(|&logit| logit != 0.0));
    }
}

#[test]
fn one_file_goes_before_an_index() {
    let config = qwen3();
    let tensors = tensors(&config, Dtype::BF16, 3);
    let dir = store(&config, &tensors, 1);
    fs::write(dir.path().join(INDEX), "{").unwrap();
    assert!(Checkpoint::load(dir.path()).is_ok());
}

#[test]
fn shards_and_index_that_do_not_agree_are_refused() {
    let config = qwen3();
    let tensors = tensors(&config, Dtype::BF16, 3);
    let dir = store(&config, &tensors, 2);
    let path = |name: &str| dir.path().join(name);
    let [first, second] = [1, 2].map(|n| format!("model-0000{n}-of-00002.safetensors"));
    let original: Value = serde_json::from_slice(&fs::read(path(INDEX)).unwrap()).unwrap();
    let load = |index: &Value| {
        fs::write(path(INDEX), index.to_string()).unwrap();
        Checkpoint::load(dir.path())
    };
    let name = "model.embed_tokens.weight";

    let mut index = original.clone();
    index["weight_map"][name] = json!(second);
    says(load(&index), &[name, &first, &second, "not of one download"]);
    index["weight_map"].as_object_mut().unwrap().remove(name);
    says(load(&index), &[name, &first, "nowhere"]);
    index["weight_map"][name] = json!("../elsewhere.safetensors");
    says(load(&index), &["../elsewhere.safetensors", "no file of the directory"]);
    index["weight_map"][name] = json!("model-00003-of-00003.safetensors");
    says(load(&index), &["expected model-00003-of-00003.safetensors in", INDEX, "all shards"]);
    says(load(&json!({"weight_map": {}})), &["weight_map has no tensor"]);
    let mut index = original.clone();
    index["weight_map"]["model.more.weight"] = json!(first);
    says(load(&index), &["expected tensor model.more.weight in", &first, "found none"]);

    assert!(load(&original).is_ok());
    let bytes = fs::read(path(&second)).unwrap();
    for length in [0, 5, 100, bytes.len() - 1] {
        fs::write(path(&second), &bytes[..length]).unwrap();
        says(load(&original), &[&second, "truncated", "fetch it again"]);
    }
    write(&path(&second), tensors.iter().skip(1).step_by(2).skip(1));
    says(load(&original), &["expected tensor model.norm.weight in", &second]);
    fs::remove_file(path(&second)).unwrap();
    says(load(&original), &[&second, "no such file"]);
}
