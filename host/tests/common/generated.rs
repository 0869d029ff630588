// SPDX-License-Identifier: Apache-2.0
//! Small checkpoints of random weights, in one file or in shards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::{bf16, f16};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::broken::Tensor;

/// A Qwen3 of two layers with heads of 64, four of q to one of K and V.
pub fn qwen3() -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "hidden_act": "silu",
        "hidden_size": 96, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 8,
        "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 77, "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0, "tie_word_embeddings": true, "max_position_embeddings": 256
    })
}

/// The same as a Llama: no norms of heads.
pub fn llama() -> Value {
    let mut config = qwen3();
    config["architectures"] = json!(["LlamaForCausalLM"]);
    config["tie_word_embeddings"] = json!(false);
    config["hidden_size"] = json!(128);
    config["num_attention_heads"] = json!(2);
    config["num_key_value_heads"] = json!(1);
    config.as_object_mut().unwrap().remove("head_dim");
    config
}

/// Names and shapes of the tensors of a configuration, written a second time.
fn shapes(config: &Value) -> Vec<(String, Vec<usize>)> {
    let number = |key: &str| config[key].as_u64().map(|n| usize::try_from(n).unwrap());
    let size = |key: &str| number(key).unwrap();
    let (hidden, inner, heads) =
        (size("hidden_size"), size("intermediate_size"), size("num_attention_heads"));
    let dim = number("head_dim").unwrap_or(hidden / heads);
    let (q, kv, vocab) = (heads * dim, size("num_key_value_heads") * dim, size("vocab_size"));
    let mut all =
        vec![("model.embed_tokens".to_owned(), vec![vocab, hidden]), ("model.norm".to_owned(), vec![hidden])];
    if config["tie_word_embeddings"] == json!(false) {
        all.push(("lm_head".to_owned(), vec![vocab, hidden]));
    }
    for layer in 0..size("num_hidden_layers") {
        let mut add = |name: &str, shape| all.push((format!("model.layers.{layer}.{name}"), shape));
        add("input_layernorm", vec![hidden]);
        add("self_attn.q_proj", vec![q, hidden]);
        add("self_attn.k_proj", vec![kv, hidden]);
        add("self_attn.v_proj", vec![kv, hidden]);
        add("self_attn.o_proj", vec![hidden, q]);
        if config["architectures"] == json!(["Qwen3ForCausalLM"]) {
            add("self_attn.q_norm", vec![dim]);
            add("self_attn.k_norm", vec![dim]);
        }
        add("post_attention_layernorm", vec![hidden]);
        add("mlp.gate_proj", vec![inner, hidden]);
        add("mlp.up_proj", vec![inner, hidden]);
        add("mlp.down_proj", vec![hidden, inner]);
    }
    all.into_iter().map(|(name, shape)| (format!("{name}.weight"), shape)).collect()
}

/// Numbers of about normal distribution, of a fan-in's deviation; norms are near one.
pub fn tensors(config: &Value, dtype: Dtype, mut seed: u64) -> Vec<Tensor> {
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = u16::try_from(seed >> 48).unwrap();
        f32::from(bits) / 32768.0 - 1.0
    };
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let (inputs, norm) = (shape[shape.len() - 1], shape.len() == 1);
        let deviation = 1.0 / f32::from(u16::try_from(inputs).unwrap()).sqrt();
        let mut value = || {
            let sum: f32 = (0..4).map(|_| random()).sum();
            if norm { 1.0 + sum / 8.0 } else { sum * deviation }
        };
        let count: usize = shape.iter().product();
        let bytes = (0..count).flat_map(|_| match dtype {
            Dtype::BF16 => bf16::from_f32(value()).to_le_bytes().to_vec(),
            Dtype::F16 => f16::from_f32(value()).to_le_bytes().to_vec(),
            _ => value().to_le_bytes().to_vec(),
        });
        let bytes = bytes.collect();
        (name, dtype, shape, bytes)
    };
    shapes(config).into_iter().map(tensor).collect()
}

/// A model directory without a tokenizer, its tensors in so many files.
pub fn store(config: &Value, tensors: &[Tensor], files: usize) -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    if files == 1 {
        write(&dir.path().join("model.safetensors"), tensors.iter());
        return dir;
    }
    let mut map = BTreeMap::new();
    for file in 0..files {
        let name = format!("model-{:05}-of-{files:05}.safetensors", file + 1);
        let own = || tensors.iter().skip(file).step_by(files);
        write(&dir.path().join(&name), own());
        map.extend(own().map(|tensor| (tensor.0.clone(), name.clone())));
    }
    let index = json!({"metadata": {"total_size": 0}, "weight_map": map});
    fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

pub fn write<'a>(path: &Path, tensors: impl Iterator<Item = &'a Tensor>) {
    let views = tensors.map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}
