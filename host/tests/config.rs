// SPDX-License-Identifier: Apache-2.0
//! Configurations: what is read, and what is refused by its name.

mod common;

use std::path::Path;

use serde_json::{Value, json};
use tandem_host::{Architecture, Config, HostError, RopeScaling};

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
        architecture: Architecture::Qwen3,
        hidden_size: 128,
        num_hidden_layers: 3,
        num_attention_heads: 4,
        num_key_value_heads: 2,
        head_dim: 128,
        intermediate_size: 384,
        vocab_size: 512,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        rope_scaling: RopeScaling::None,
        windows: vec![None; 3],
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
    let unknown = json!({"rope_type": "longrope", "rope_theta": 1e4, "factor": 4.0});
    let old_dynamic = json!({"type": "dynamic", "factor": 4.0});
    let linear = json!({"type": "linear", "factor": 4.0});
    let bare_linear = json!({"rope_type": "linear", "rope_theta": 1e4});
    let shrunk = json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 0.5});
    let other_yarn = json!({"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "mscale": 1.0});
    let partial = json!({"rope_theta": 1e4, "partial_rotary_factor": 0.5});
    let sliding = json!(["full_attention", "sliding_attention", "full_attention"]);
    let chunked = json!(["full_attention", "chunked_attention", "full_attention"]);
    let cases = [
        ("architectures", json!(["Qwen3MoeForCausalLM"]), "found [\"Qwen3MoeForCausalLM\"]"),
        ("architectures", Value::Null, "[\"Qwen3ForCausalLM\"] or [\"LlamaForCausalLM\"], found []"),
        ("attention_bias", json!(true), "expected attention_bias to be false, found true"),
        ("hidden_act", json!("gelu"), "expected hidden_act to be \"silu\", found \"gelu\""),
        ("mlp_bias", json!(true), "expected mlp_bias to be false, found true"),
        ("layer_types", sliding, "use_sliding_window to be true"),
        ("layer_types", chunked, "found \"chunked_attention\""),
        ("layer_types", json!(["full_attention"]), "num_hidden_layers = 3 entries, found 1"),
        ("rope_parameters", unknown, "\"linear\", \"llama3\" or \"yarn\", found \"longrope\""),
        ("rope_scaling", old_dynamic, "found \"dynamic\""),
        ("rope_scaling", linear, "as rope_parameters has it, found Linear"),
        ("rope_parameters", bare_linear, "with factor, which its rope_type needs"),
        ("rope_parameters", shrunk, "a factor of at least 1"),
        ("rope_parameters", other_yarn, "without mscale, found 1"),
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
fn layers_slide_where_the_file_says_so() {
    let mut config = original();
    config["use_sliding_window"] = json!(true);
    assert_eq!(parse(&config).unwrap().windows, [None; 3], "layer_types says it");
    config["layer_types"] = json!(["sliding_attention", "full_attention", "sliding_attention"]);
    assert!(parse(&config).unwrap_err().to_string().contains("expected sliding_window to be the number"));
    config["sliding_window"] = json!(5);
    assert_eq!(parse(&config).unwrap().windows, [Some(5), None, Some(5)]);
    config["layer_types"] = Value::Null;
    config["max_window_layers"] = json!(1);
    assert_eq!(parse(&config).unwrap().windows, [None, Some(5), Some(5)]);
    config["use_sliding_window"] = json!(false);
    assert_eq!(parse(&config).unwrap().windows, [None; 3]);
    config["use_sliding_window"] = json!(true);
    config["sliding_window"] = json!(0);
    assert!(parse(&config).unwrap_err().to_string().contains("sliding_window to be between 1"));
}

#[test]
fn llama_has_defaults_of_its_own() {
    let mut config = original();
    config["architectures"] = json!(["LlamaForCausalLM"]);
    for key in ["head_dim", "num_key_value_heads", "rope_parameters"] {
        config.as_object_mut().unwrap().remove(key);
    }
    let read = parse(&config).unwrap();
    assert_eq!((read.architecture, read.head_dim, read.num_key_value_heads), (Architecture::Llama, 32, 4));
    assert_eq!((read.rope_theta, read.rope_scaling), (1e4, RopeScaling::None));
    config["num_attention_heads"] = json!(0);
    assert!(parse(&config).unwrap_err().to_string().contains("num_attention_heads to be between 1"));
}

#[test]
fn rotary_scaling_is_read() {
    let mut config = original();
    let mut scaling = |rope: Value| {
        config["rope_parameters"] = rope;
        parse(&config).unwrap().rope_scaling
    };
    let rope = json!({"rope_type": "linear", "rope_theta": 1e4, "factor": 2.0});
    assert_eq!(scaling(rope), RopeScaling::Linear { factor: 2.0 });
    let rope = json!({
        "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let llama = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
    assert_eq!(scaling(rope), llama);
    let rope = json!({
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32768
    });
    let RopeScaling::Yarn { factor, fast, slow, truncate, attention, original } = scaling(rope) else {
        panic!("it is yarn");
    };
    assert_eq!((factor, fast, slow, truncate, original), (4.0, 32.0, 1.0, true, 32768.0));
    assert!((attention - 1.138_629_4).abs() < 1e-6, "0.1 ln 4 + 1");
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
