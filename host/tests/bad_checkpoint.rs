// SPDX-License-Identifier: Apache-2.0
//! Broken model directories are refused with a message that says what is wrong. None panics.

mod common;

use std::fs;

use common::broken::{Tensor, altered, find, same_config, same_tensors, says};
use common::checkpoint;
use safetensors::Dtype;
use serde_json::{Value, json};
use tandem_host::{Checkpoint, Config, Forward, Tokenizer, Unobserved};

const KEY: &str = "model.layers.1.self_attn.k_proj.weight";

#[test]
fn an_unchanged_copy_is_accepted() {
    let dir = altered(same_config, same_tensors);
    assert_eq!(Checkpoint::load(dir.path()).unwrap(), checkpoint());
}

#[test]
fn missing_directories_and_files() {
    let dir = altered(same_config, same_tensors);
    let path = dir.path();
    says(Checkpoint::load(&path.join("none")), &["model directory", "found nothing", "config.json"]);
    says(Checkpoint::load(&path.join("config.json")), &["model directory", "found a file"]);

    fs::remove_file(path.join("tokenizer.json")).unwrap();
    let config = Config::load(path).unwrap();
    says(Tokenizer::load(path, &config), &["expected tokenizer.json", "no such file"]);

    fs::remove_file(path.join("model.safetensors")).unwrap();
    says(Checkpoint::load(path), &["expected model.safetensors", "no such file"]);
    fs::write(path.join("model.safetensors.index.json"), "{}").unwrap();
    says(Checkpoint::load(path), &["an index of safetensors files", "missing field `weight_map`"]);
    fs::create_dir(path.join("model.safetensors")).unwrap();
    says(Checkpoint::load(path), &["expected to read", "permissions"]);

    fs::remove_file(path.join("config.json")).unwrap();
    says(Checkpoint::load(path), &["expected config.json", "no such file"]);
}

#[test]
fn corrupt_weights() {
    let dir = altered(same_config, same_tensors);
    let path = dir.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    // Nothing, part of the header's length, part of the header, part of the data, an absurd header length.
    for length in [0, 5, 100, bytes.len() - 1] {
        fs::write(&path, &bytes[..length]).unwrap();
        says(Checkpoint::load(dir.path()), &["safetensors file", "truncated", "fetch it again"]);
    }
    fs::write(&path, [0xff; 64]).unwrap();
    says(Checkpoint::load(dir.path()), &["safetensors file", "does not parse"]);
}

#[test]
fn tensors_that_do_not_fit_the_configuration() {
    let load = |change: fn(&mut Vec<Tensor>)| Checkpoint::load(altered(same_config, change).path());
    says(load(|all| all.retain(|t| t.0 != KEY)), &[KEY, "[256, 128]", "no tensor of that name"]);
    says(load(|all| all.retain(|t| t.0 != "model.norm.weight")), &["model.norm.weight", "[128]"]);
    says(load(|all| find(all, KEY).2 = vec![128, 256]), &[KEY, "[256, 128]", "found [128, 256]"]);
    says(load(|all| find(all, KEY).2 = vec![256 * 128]), &[KEY, "[256, 128]", "found [32768]"]);
    let integers = |all: &mut Vec<Tensor>| {
        let tensor = find(all, KEY);
        (tensor.1, tensor.3) = (Dtype::I32, vec![0; 256 * 128 * 4]);
    };
    says(load(integers), &[KEY, "BF16, F16 or F32", "found I32", "convert"]);
    let bias = |all: &mut Vec<Tensor>| {
        all.push(("model.layers.0.self_attn.q_proj.bias".into(), Dtype::BF16, vec![1], vec![0; 2]));
    };
    says(load(bias), &["found also model.layers.0.self_attn.q_proj.bias"]);

    let fewer = |config: &mut Value| {
        config["num_hidden_layers"] = json!(2);
        config["layer_types"] = Value::Null;
    };
    says(Checkpoint::load(altered(fewer, same_tensors).path()), &["found also model.layers.2."]);
}

#[test]
fn binary32_and_non_finite_weights_are_read() {
    let widen = |all: &mut Vec<Tensor>| {
        for (_, dtype, _, data) in all {
            *dtype = Dtype::F32;
            *data = data.chunks(2).flat_map(|pair| [0, 0, pair[0], pair[1]]).collect();
        }
    };
    let wide = Checkpoint::load(altered(same_config, widen).path()).unwrap();
    assert_eq!(wide, checkpoint());

    let nan = |all: &mut Vec<Tensor>| find(all, "model.norm.weight").3.fill(0xff);
    let nan = Checkpoint::load(altered(same_config, nan).path()).unwrap();
    assert!(nan.final_norm[0].is_nan());
    says(Forward::new(&nan).unwrap().greedy(&[1, 2], 1), &["found NaN at position 1", "non-finite"]);
}

#[test]
fn an_untied_head_is_read_and_a_copy_of_a_tied_one_ignored() {
    let untie = |config: &mut Value| config["tie_word_embeddings"] = json!(false);
    let head = |all: &mut Vec<Tensor>| {
        let (_, dtype, shape, data) = find(all, "model.embed_tokens.weight").clone();
        let negative = data.chunks(2).flat_map(|pair| [pair[0], pair[1] ^ 0x80]).collect();
        all.push(("lm_head.weight".to_owned(), dtype, shape, negative));
    };
    let tied = Checkpoint::load(altered(same_config, head).path()).unwrap();
    assert_eq!(tied, checkpoint());
    let untied = Checkpoint::load(altered(untie, head).path()).unwrap();
    assert_eq!(untied.head().name, "lm_head.weight");
    let logits = |checkpoint: &Checkpoint| {
        let forward = Forward::new(checkpoint).unwrap();
        forward.step(&mut forward.cache(), &[5, 6], &mut Unobserved).unwrap().logits
    };
    let negated: Vec<f32> = logits(&tied).iter().map(|logit| -logit).collect();
    assert_eq!(logits(&untied), negated);
    let missing = Checkpoint::load(altered(untie, same_tensors).path());
    says(missing, &["lm_head.weight", "[512, 128]"]);
}
