// SPDX-License-Identifier: Apache-2.0
//! What the tests share: the small model, its reference outputs and how far an answer may be from them.

// Every test binary compiles all of this and uses a part.
#![allow(dead_code)]

pub mod broken;
pub mod generated;

use std::path::{Path, PathBuf};

use tandem_host::{Checkpoint, Forward, Tokenizer, Unobserved};

/// Largest error of a vector, relative to the root mean square of the reference.
pub const TOLERANCE: f64 = 1e-4;

pub fn model_dir() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/models/tiny-qwen3")).to_path_buf()
}

pub fn checkpoint() -> Checkpoint {
    Checkpoint::load(&model_dir()).unwrap()
}

/// One prompt of `reference.json`, as transformers answered it.
pub struct Prompt {
    pub text: String,
    pub ids: Vec<u32>,
    pub greedy: Vec<u32>,
    pub greedy_text: String,
    /// Of the last position.
    pub logits: Vec<f32>,
    /// Of the last position: after the embedding and each layer, the last one after the final norm. Empty for
    /// prompts without them.
    pub hidden: Vec<Vec<f32>>,
}

pub fn prompts() -> Vec<Prompt> {
    let bytes = std::fs::read(model_dir().join("reference.json")).unwrap();
    let reference: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    let prompts: Vec<Prompt> = reference["prompts"].as_array().unwrap().iter().map(prompt).collect();
    assert_eq!(prompts.len(), 8);
    assert_eq!(prompts.iter().filter(|prompt| prompt.hidden.len() == 4).count(), 3);
    prompts
}

fn prompt(value: &serde_json::Value) -> Prompt {
    let ids = |key: &str| serde_json::from_value(value[key].clone()).unwrap();
    let hidden = value.get("hidden_f32").and_then(|hidden| hidden.as_array());
    Prompt {
        text: value["text"].as_str().unwrap().to_owned(),
        ids: ids("ids"),
        greedy: ids("greedy"),
        greedy_text: value["greedy_text"].as_str().unwrap().to_owned(),
        logits: floats(&value["logits_f32"]),
        hidden: hidden.into_iter().flatten().map(floats).collect(),
    }
}

/// Eight hexadecimal digits per binary32.
fn floats(value: &serde_json::Value) -> Vec<f32> {
    let digits = value.as_str().unwrap().as_bytes().chunks_exact(8);
    let bits = digits.map(|digits| u32::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap());
    bits.map(f32::from_bits).collect()
}

/// Largest absolute difference over the root mean square of `expected`. NaN counts as infinitely far.
pub fn distance(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() || found.iter().any(|x| x.is_nan()) {
        return f64::INFINITY;
    }
    let (mut worst, mut squares, mut count) = (0.0_f64, 0.0, 0.0);
    for (found, expected) in found.iter().zip(expected) {
        worst = worst.max((f64::from(*found) - f64::from(*expected)).abs());
        squares += f64::from(*expected).powi(2);
        count += 1.0;
    }
    worst / f64::sqrt(squares / count)
}

fn near(what: &str, found: &[f32], expected: &[f32]) -> Result<f64, String> {
    match distance(found, expected) {
        distance if distance <= TOLERANCE => Ok(distance),
        distance => Err(format!("{what}: {distance:e} of its rms away, at most {TOLERANCE:e} expected")),
    }
}

/// Compares residual streams and logits of the prompt with the reference; the largest distance where all are near.
pub fn check_pass(checkpoint: &Checkpoint, prompt: &Prompt) -> Result<f64, String> {
    let forward = Forward::new(checkpoint).map_err(|error| error.to_string())?;
    let step = forward
        .step(&mut forward.cache(), &prompt.ids, &mut Unobserved)
        .map_err(|error| error.to_string())?;
    let width = checkpoint.config.hidden_size;
    let mut worst = 0.0_f64;
    let stages = prompt.hidden.len();
    for (stage, expected) in prompt.hidden.iter().enumerate() {
        let all = match stage + 1 == stages {
            true => &step.hidden.normed,
            false => &step.hidden.residual[stage],
        };
        worst = worst.max(near(&format!("residual {stage}"), &all[all.len() - width..], expected)?);
    }
    let last = &step.logits[step.logits.len() - checkpoint.config.vocab_size..];
    Ok(worst.max(near("logits", last, &prompt.logits)?))
}

/// Compares the greedy continuation with the reference.
pub fn check_greedy(checkpoint: &Checkpoint, prompt: &Prompt) -> Result<(), String> {
    let forward = Forward::new(checkpoint).map_err(|error| error.to_string())?;
    let found = forward.greedy(&prompt.ids, prompt.greedy.len()).map_err(|error| error.to_string())?;
    match found.iter().zip(&prompt.greedy).position(|(found, expected)| found != expected) {
        None if found.len() == prompt.greedy.len() => Ok(()),
        at => Err(format!("greedy tokens differ at {at:?}")),
    }
}

/// Compares the ids of the prompt and the text of its continuation with the reference.
pub fn check_tokens(tokenizer: &Tokenizer, prompt: &Prompt) -> Result<(), String> {
    let ids = tokenizer.encode(&prompt.text).map_err(|error| error.to_string())?;
    let text = tokenizer.decode(&prompt.greedy).map_err(|error| error.to_string())?;
    match ids == prompt.ids && text == prompt.greedy_text {
        true => Ok(()),
        false => Err(format!("{:?}: ids {ids:?}, text {text:?}", prompt.text)),
    }
}
