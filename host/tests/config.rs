// SPDX-License-Identifier: Apache-2.0
//! Configurations: what is read, and what is refused by its name.

mod common;

use std::path::Path;

use serde_json::{Value, json};
use tandem_host::{Config, HostError};

fn original() -> Value {
    let bytes = std::fs::read(common::model_dir().join("config.json")).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

fn parse(value: &Value) -> Result<Config, HostError> {
    Config::parse(value.to_string().as_bytes(), Path::new("config.json"))
}

/// The message on the small model's configuration with `key` set to `value`, or removed where that is null.
fn refusal(key: &str, value: Value) -> String {
    let mut config = original();
    match value {
        Value::Null => drop(config.as_object_mut().unwrap().remove(key)),
        value => config[key] = value,
    }
    parse(&config).expect_err(key).to_string()
}

#[test]
fn the_small_model_is_read() {
    let expected = Config {
        hidden_size: 128,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 128,
        intermediate_size: 384,
        vocab_size: 512,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        max_position_embeddings: 512,
    };
    assert_eq!(Config::load(&common::model_dir()).unwrap(), expected);
    assert_eq!((expected.query_width(), expected.key_width()), (512, 256));
}

#[test]
fn theta_is_read_from_either_place() {
    let mut config = original();
    config.as_object_mut().unwrap().remove("rope_parameters");
    config["rope_theta"] = json!(1_000_000);
    config["rope_scaling"] = Value::Null;
    assert_eq!(parse(&config).unwrap().rope_theta, 1e6);
    config["rope_parameters"] = json!({"rope_theta": 5e6});
    let message = parse(&config).unwrap_err().to_string();
    assert!(message.contains("expected rope_theta to be rope_parameters.rope_theta = 5000000"), "{message}");
    config["rope_theta"] = json!(5e6);
    config["rope_scaling"] = json!({"rope_type": "default", "type": "default"});
    assert_eq!(parse(&config).unwrap().rope_theta, 5e6);
}

#[test]
fn what_is_not_computed_is_refused_by_name() {
    let yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0});
    let old_yarn = json!({"type": "yarn", "factor": 4.0});
    let partial = json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5});
    let sliding = json!(["full_attention", "sliding_attention", "full_attention"]);
    let cases = [
        ("architectures", json!(["LlamaForCausalLM"]), "found [\"LlamaForCausalLM\"]"),
        ("architectures", Value::Null, "expected architectures to be [\"Qwen3ForCausalLM\"], found []"),
        ("attention_bias", json!(true), "expected attention_bias to be false, found true"),
        ("hidden_act", json!("gelu"), "expected hidden_act to be \"silu\", found \"gelu\""),
        ("use_sliding_window", json!(true), "expected use_sliding_window to be false"),
        ("layer_types", sliding, "found \"sliding_attention\""),
        ("layer_types", json!(["full_attention"]), "num_hidden_layers = 3 entries, found 1"),
        ("rope_parameters", yarn, "of rope_type \"default\", found \"yarn\""),
        ("rope_scaling", old_yarn, "of rope_type \"default\", found \"yarn\""),
        ("rope_parameters", partial, "of partial_rotary_factor 1, found 0.5"),
        ("rope_parameters", Value::Null, "in rope_parameters.rope_theta, found neither"),
        ("quantization_config", json!({"quant_method": "fp8"}), "quantization_config to be absent"),
        ("num_key_value_heads", json!(3), "a multiple of num_key_value_heads = 3, found 4"),
        ("head_dim", json!(127), "expected head_dim to be even"),
        ("rms_norm_eps", json!(-1e-6), "rms_norm_eps to be finite and above zero"),
        ("rope_parameters", json!({"rope_theta": 0.0}), "rope_theta to be finite and above zero"),
    ];
    for (key, value, part) in cases {
        let message = refusal(key, value);
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

#[test]
fn sizes_are_neither_zero_nor_absurd() {
    let sizes = [
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
    ];
    for key in sizes {
        let mut config = original();
        config["layer_types"] = Value::Null;
        for size in [0_u64, 1 << 40] {
            config[key] = json!(size);
            let message = parse(&config).unwrap_err().to_string();
            let part = format!("expected {key} to be between 1 and 16777216, found {size}");
            assert!(message.contains(&part), "{part:?} is not in {message:?}");
        }
        let message = refusal(key, Value::Null);
        assert!(message.contains(&format!("missing field `{key}`")), "{message}");
        assert!(refusal(key, json!(-1)).contains("does not parse"));
    }
}

#[test]
fn other_bytes_are_no_configuration() {
    for bytes in [&b""[..], b"{", b"3", b"\xff\xfe"] {
        let error = Config::parse(bytes, Path::new("config.json")).unwrap_err().to_string();
        assert!(error.contains("Hugging Face model configuration in JSON"), "{error}");
    }
}
