// SPDX-License-Identifier: Apache-2.0
//! The program from outside: exit codes 0, 1 and 2, what it says to bad input, and that its commands agree.

mod support;

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use support::{Ran, interrupted, project, tandem};
use tandem::lockstep::Lockstep;
use tandem_model::array::float_add::FloatAdd;
use tandem_model::block::Block;
use tempfile::TempDir;

const PROMPT: &str = "To create";

/// A folder with a copy of the small model in `model/`.
fn with_model() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = project().join("testbenches/models/tiny-qwen3");
    std::fs::create_dir(folder.path().join("model")).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        std::fs::copy(from.join(file), folder.path().join("model").join(file)).unwrap();
    }
    folder
}

/// Changes `model/config.json`.
fn alter_config(folder: &Path, change: impl Fn(&mut Value)) {
    let path = folder.join("model/config.json");
    let mut config = serde_json::from_str(&support::text(&path)).unwrap();
    change(&mut config);
    std::fs::write(path, config.to_string()).unwrap();
}

/// Changes header and data of `model/model.safetensors`. The format: length of the header, header, data.
fn alter_weights(folder: &Path, change: impl Fn(&mut Value, &mut Vec<u8>)) {
    let path = folder.join("model/model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    let (length, rest) = bytes.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
    let mut header: Value = serde_json::from_slice(header).unwrap();
    let mut data = data.to_vec();
    change(&mut header, &mut data);
    let mut header = header.to_string();
    // The data begins at a multiple of 8.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let length = (header.len() as u64).to_le_bytes();
    std::fs::write(path, [&length, header.as_bytes(), &data].concat()).unwrap();
}

/// Blocks of very different magnitude: their sums do not fit the array's float and get rounded.
fn spread_weights(folder: &Path) {
    alter_weights(folder, |header, data| {
        for (_, tensor) in
            header.as_object().unwrap().iter().filter(|(name, _)| name.ends_with("_proj.weight"))
        {
            let offset = |i: usize| usize::try_from(tensor["data_offsets"][i].as_u64().unwrap()).unwrap();
            // 2^16 in the exponent of a bfloat16, for every other block of 32.
            for block in data[offset(0)..offset(1)].chunks_exact_mut(64).step_by(2) {
                for element in block.chunks_exact_mut(2) {
                    let bits = u16::from_le_bytes([element[0], element[1]]);
                    if bits & 0x7f80 != 0 {
                        element.copy_from_slice(&(bits + (16 << 7)).to_le_bytes());
                    }
                }
            }
        }
    });
}

/// The first layer alone, for what takes long.
fn keep_one_layer(folder: &Path) {
    alter_config(folder, |config| {
        config["num_hidden_layers"] = json!(1);
        config["layer_types"] = Value::Null;
    });
    alter_weights(folder, |header, data| {
        let all = std::mem::take(data);
        let header = header.as_object_mut().unwrap();
        header.retain(|name, _| !name.starts_with("model.layers.") || name.starts_with("model.layers.0."));
        // No hole may be left between the tensors.
        for tensor in header.values_mut().filter_map(|tensor| tensor.get_mut("data_offsets")) {
            let [from, to] = [0, 1].map(|i| usize::try_from(tensor[i].as_u64().unwrap()).unwrap());
            *tensor = json!([data.len(), data.len() + to - from]);
            data.extend_from_slice(&all[from..to]);
        }
    });
}

/// `tandem matvec` on `model/`.
fn matvec(folder: &Path, more: &[&str]) -> Ran {
    let args = [&["matvec", "--model", "model", "--prompt", PROMPT], more].concat();
    tandem(folder, None, &args)
}

/// `tandem attend` on `model/`, with 22 tokens.
fn attend(folder: &Path, more: &[&str]) -> Ran {
    let prompt = "To create a new thread, we call the spawn function";
    tandem(folder, None, &[&["attend", "--model", "model", "--prompt", prompt], more].concat())
}

/// A command that has nothing to do with files, in an empty folder.
fn run(args: &[&str]) -> Ran {
    tandem(tempfile::tempdir().unwrap().path(), None, args)
}

// ---- bad input: exit code 2 ----

#[test]
fn model_folder_that_is_missing_or_incomplete_is_refused() {
    let folder = with_model();
    let missing = tandem(folder.path(), None, &["matvec", "--model", "none", "--prompt", PROMPT]);
    missing.refused(&["expected a model directory at none", "found nothing", "give the directory"]).unwrap();
    for file in ["tokenizer.json", "model.safetensors", "config.json"] {
        std::fs::remove_file(folder.path().join("model").join(file)).unwrap();
        let parts = [&format!("expected {file} in model"), "no such file", "copy it"];
        matvec(folder.path(), &[]).refused(&parts).unwrap();
    }
}

#[test]
fn truncated_weights_are_refused() {
    let folder = with_model();
    let path = folder.path().join("model/model.safetensors");
    let bytes = std::fs::read(&path).unwrap();
    for length in [bytes.len() - 1, bytes.len() / 2, 100, 7, 0] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let parts = ["model.safetensors", "safetensors file", "truncated", "fetch it again"];
        matvec(folder.path(), &[]).refused(&parts).unwrap();
    }
}

#[test]
fn tensor_of_the_wrong_type_or_shape_is_refused() {
    const KEY: &str = "model.layers.1.self_attn.k_proj.weight";
    let folder = with_model();
    // Two bytes an element, as before.
    alter_weights(folder.path(), |header, _| header[KEY]["dtype"] = json!("I16"));
    let parts = [KEY, "BF16, F16 or F32", "found I16", "convert"];
    matvec(folder.path(), &[]).refused(&parts).unwrap();

    let folder = with_model();
    alter_weights(folder.path(), |header, _| header[KEY]["shape"] = json!([128, 256]));
    let parts = [KEY, "[256, 128]", "found [128, 256]", "belong to the same model"];
    matvec(folder.path(), &[]).refused(&parts).unwrap();
}

#[test]
fn unsupported_architecture_is_refused_by_its_name() {
    let folder = with_model();
    alter_config(folder.path(), |config| config["architectures"] = json!(["MambaForCausalLM"]));
    matvec(folder.path(), &[])
        .refused(&["config.json", "architectures", "Qwen3ForCausalLM", "MambaForCausalLM"])
        .unwrap();
    std::fs::write(folder.path().join("model/config.json"), "{").unwrap();
    matvec(folder.path(), &[]).refused(&["config.json", "does not parse"]).unwrap();
}

#[test]
fn empty_or_overlong_prompt_is_refused() {
    let folder = with_model();
    for job in ["matvec", "attend"] {
        let prompt = |text: &str| tandem(folder.path(), None, &[job, "--model", "model", "--prompt", text]);
        prompt("").refused(&["at least one token", "empty prompt", "give a prompt"]).unwrap();
        prompt(&"a b c ".repeat(400)).refused(&["at most 512 tokens", "shorten"]).unwrap();
    }
}

/// Four times as many heads, a quarter as wide: the weights keep their shapes, only the norms of q and k shrink.
#[test]
fn heads_that_the_engine_does_not_have_are_refused() {
    let folder = with_model();
    alter_config(folder.path(), |config| {
        config["num_attention_heads"] = json!(16);
        config["num_key_value_heads"] = json!(8);
        config["head_dim"] = json!(32);
    });
    alter_weights(folder.path(), |header, data| {
        let all = std::mem::take(data);
        for (name, tensor) in header.as_object_mut().unwrap() {
            let Some(offsets) = tensor.get("data_offsets") else { continue };
            let [from, mut to] = [0, 1].map(|i| usize::try_from(offsets[i].as_u64().unwrap()).unwrap());
            if name.ends_with("q_norm.weight") || name.ends_with("k_norm.weight") {
                to = from + (to - from) / 4;
                tensor["shape"] = json!([32]);
            }
            tensor["data_offsets"] = json!([data.len(), data.len() + to - from]);
            data.extend_from_slice(&all[from..to]);
        }
    });
    attend(folder.path(), &[]).refused(&["heads of 64 or 128", "have 32"]).unwrap();
    matvec(folder.path(), &["--engine", "model"]).good().unwrap();
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let folder = with_model();
    matvec(folder.path(), &["--geometry", "huge"]).refused(&["no geometry `huge`", "small, slim"]).unwrap();
    matvec(folder.path(), &["--engine", "spice"]).refused(&["'spice'", "lockstep, rtl, model"]).unwrap();
    matvec(folder.path(), &["--weights", "fp8"]).refused(&["'fp8'", "fp4, int8"]).unwrap();
    matvec(folder.path(), &["--memory", "dram"]).refused(&["'dram'", "ideal, hbm3, hostile"]).unwrap();
    run(&["fuzz", "--block", "cache"])
        .refused(&[
            "no block `cache`",
            "float, segment, array, sram, softmax, normaliser, attention, framer, link, collective, csr, reader, control, counters, stream, dma, gemv, results, port, vector, core, decoder and all",
        ])
        .unwrap();
    run(&["bench", "--only", "power"])
        .refused(&[
            "`power`",
            "gemv, attention, core, layer, generate, secded, link, collective, speed, compile, model",
        ])
        .unwrap();
    run(&["list", "--registers", "float_sub"])
        .refused(&["no device `float_sub`", "float_add, segment_edge"])
        .unwrap();
    run(&["simulate"]).refused(&["'simulate'"]).unwrap();
    run(&["matvec"]).refused(&["--model", "--prompt"]).unwrap();
}

#[test]
fn seed_that_is_no_number_is_refused() {
    let folder = with_model();
    for seed in ["seven", "", "-1", "18446744073709551616"] {
        let parts = ["TANDEM_SEED takes a number", &format!("`{seed}`")];
        let fuzz = ["fuzz", "--block", "float", "--seconds", "0"];
        tandem(folder.path(), Some(seed), &fuzz).refused(&parts).unwrap();
        let matvec = ["matvec", "--model", "model", "--prompt", PROMPT];
        tandem(folder.path(), Some(seed), &matvec).refused(&parts).unwrap();
    }
    run(&["fuzz", "--seed", "seven"]).refused(&["'seven'", "--seed"]).unwrap();
}

/// On Linux a string of the environment may be no text at all.
#[cfg(unix)]
#[test]
fn seed_that_is_no_text_is_refused() {
    let seed: OsString = std::os::unix::ffi::OsStringExt::from_vec(vec![0x37, 0xff]);
    let out = Command::new(env!("CARGO_BIN_EXE_tandem"))
        .args(["fuzz", "--block", "float", "--seconds", "0"])
        .env("TANDEM_SEED", seed)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&out.stderr).contains("TANDEM_SEED takes a number"), "{out:?}");
}

#[test]
fn waveform_that_cannot_be_written_is_refused() {
    let folder = with_model();
    let wave = |path: &str, parts: &[&str]| matvec(folder.path(), &["--wave", path]).refused(parts).unwrap();
    for extension in ["vcd", "fst"] {
        let path = format!("none/out.{extension}");
        wave(&path, &["cannot write", &path, "check that its folder exists"]);
        // A file where the folder should be.
        let path = format!("model/config.json/out.{extension}");
        wave(&path, &["cannot write", &path, "check that its folder"]);
    }
    wave("out.txt", &["ends in .vcd or .fst", "'out.txt'", "rename"]);
    wave("out", &["ends in .vcd or .fst", "'out'", "rename"]);
    std::fs::create_dir(folder.path().join("folder.vcd")).unwrap();
    wave("folder.vcd", &["folder.vcd", "is a folder", "name a file inside it"]);
}

#[cfg(unix)]
#[test]
fn waveform_in_a_read_only_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Lockstep::linked("float_add", FloatAdd::default(), 1).unwrap();
    engine.step(false, &mut FloatAdd::default().idle_inputs()).unwrap();
    engine.recording().write(&folder.path().join("run.json")).unwrap();
    let closed = folder.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o555)).unwrap();
    let closed_to_us = std::fs::write(closed.join("probe"), "").is_err();
    let ran = tandem(folder.path(), None, &["replay", "run.json", "--wave", "closed/out.vcd"]);
    if closed_to_us {
        ran.refused(&["cannot write 'closed/out.vcd'", "writable"]).unwrap();
    } else {
        // Nothing is closed to root.
        ran.good().unwrap();
    }
}

#[test]
fn waveform_of_one_side_alone_is_refused() {
    let folder = with_model();
    for engine in ["model", "rtl"] {
        let ran = matvec(folder.path(), &["--wave", "out.vcd", "--engine", engine]);
        ran.refused(&["--wave", "--engine lockstep", &format!("got --engine {engine}")]).unwrap();
    }
    assert!(!folder.path().join("out.vcd").exists());
}

#[test]
fn replay_file_that_cannot_be_read_is_refused() {
    let folder = with_model();
    let replay = |path: &str| tandem(folder.path(), None, &["replay", path]);
    replay("none.json").refused(&["cannot read the replay file none.json", "No such file"]).unwrap();
    replay("model").refused(&["cannot read the replay file model", "directory"]).unwrap();
    // More of this in tests/replay.rs.
    replay("model/config.json").refused(&["model/config.json", "not a replay file"]).unwrap();
}

/// The checker of all the above: it must see a wrong code, a missing word, a crash, output that goes on.
#[test]
fn refusal_that_is_none_is_found() {
    let ran = |code: i32, stdout: &str, stderr: &str| Ran {
        code: Some(code),
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    };
    ran(2, "head\n", "error: bad thing\n").refused(&["bad", "thing"]).unwrap();
    for (wrong, says) in [
        (ran(1, "", "error: bad thing"), "exit code"),
        (ran(101, "", "error: bad thing"), "exit code"),
        (ran(2, "", "error: bad"), "is not in"),
        (ran(2, "", "bad thing"), "crash"),
        (ran(2, "", "thread 'main' panicked at bad thing, error: "), "crash"),
        (ran(2, "a\nb\n", "error: bad thing"), "in spite"),
    ] {
        let error = wrong.refused(&["bad", "thing"]).unwrap_err();
        assert!(error.contains(says), "{error}");
    }
    assert!(ran(2, "", "").good().is_err());
}

// ---- good input: exit code 0 ----

#[test]
fn list_shows_every_device() {
    let devices: Vec<_> = tandem_model::devices::Device::ALL.iter().map(|d| d.name).collect();
    let table = run(&["list"]);
    table.good().unwrap();
    let json = run(&["list", "--json"]).json();
    for (entry, device) in json.as_array().unwrap().iter().zip(&devices) {
        assert_eq!(entry["device"], **device);
        let line = table.stdout.lines().find(|line| line.split_whitespace().next() == Some(device));
        let line: Vec<_> = line.unwrap().split_whitespace().map(str::to_owned).collect();
        let keys = ["registers", "register_bits", "memory_bits"];
        assert_eq!(line[line.len() - 3..], keys.map(|key| entry[key].to_string()));
        // The figures are the sums of the list.
        let sum = |memory: bool, of: &dyn Fn(&Value) -> u64| -> u64 {
            entry["names"].as_array().unwrap().iter().filter(|r| r["memory"] == memory).map(of).sum()
        };
        let elements = |r: &Value| r["elements"].as_u64().unwrap();
        let bits = |r: &Value| elements(r) * r["width"].as_u64().unwrap();
        assert_eq!(entry["registers"], sum(false, &elements));
        assert_eq!(entry["register_bits"], sum(false, &bits));
        assert_eq!(entry["memory_bits"], sum(true, &bits));
    }
    assert_eq!(json.as_array().unwrap().len(), devices.len());
    let one = run(&["list", "--registers", "float_add", "--json"]).json();
    assert_eq!((one.as_array().unwrap().len(), &one[0]), (1, &json[0]));
    let names = run(&["list", "--registers", "float_add"]);
    assert!(names.stdout.contains("  rounded_q "), "{names:?}");
}

/// What the matrices of a report have in common whatever ran them. Order and numbers, but no times.
fn column(report: &Value, key: &str) -> Vec<Value> {
    let matrices = report["matrices"].as_array().unwrap();
    // Seven in each of three layers, and the head.
    assert_eq!((matrices.len(), &report["of_matrices"]), (22, &json!(22)));
    matrices.iter().map(|m| m[key].clone()).collect()
}

const RESULTS: [&str; 5] = ["layer", "matrix", "rows", "columns", "error"];

#[test]
fn engines_agree_on_beats_cycles_and_errors() {
    let folder = with_model();
    spread_weights(folder.path());
    for weights in ["fp4", "int8"] {
        let report = |engine: &str| {
            matvec(folder.path(), &["--json", "--weights", weights, "--engine", engine]).json()
        };
        let [lockstep, rtl, model] = ["lockstep", "rtl", "model"].map(report);
        for key in RESULTS.iter().chain(&["quantisation", "passes", "beats", "cycles", "utilisation"]) {
            assert_eq!(column(&lockstep, key), column(&rtl, key), "{weights} {key}");
            assert_eq!(column(&lockstep, key), column(&model, key), "{weights} {key}");
        }
        assert_eq!((&lockstep["cycles"], &lockstep["cycles"]), (&rtl["cycles"], &model["cycles"]));
        let compared =
            |report: &Value| ["registers", "bits", "memory_bits"].map(|key| report[key].as_u64().unwrap());
        assert!(compared(&lockstep).iter().all(|&n| n > 0), "{lockstep}");
        assert_eq!((compared(&rtl), compared(&model)), ([0; 3], [0; 3]));
        // Rounding shows, so equal errors mean something; and it is all there is.
        let errors: Vec<_> = column(&model, "error").iter().map(|e| e.as_f64().unwrap()).collect();
        assert!(errors.iter().any(|&e| e > 0.0) && errors.iter().all(|&e| e < 1e-6), "{errors:?}");
    }
}

/// Without it the test above compares zeros.
#[test]
fn weights_of_the_small_model_need_no_rounding() {
    let folder = with_model();
    let errors = column(&matvec(folder.path(), &["--json", "--engine", "model"]).json(), "error");
    assert!(errors.iter().all(|e| e == 0.0), "{errors:?}");
}

#[test]
fn stalls_change_cycles_but_no_result() {
    let folder = with_model();
    spread_weights(folder.path());
    let plain = matvec(folder.path(), &["--json"]).json();
    let stalled = matvec(folder.path(), &["--json", "--stalls", "3"]).json();
    let other = matvec(folder.path(), &["--json", "--stalls", "4"]).json();
    for key in RESULTS.iter().chain(&["quantisation"]) {
        assert_eq!(column(&plain, key), column(&stalled, key), "{key}");
        assert_eq!(column(&plain, key), column(&other, key), "{key}");
    }
    let cycles = [&plain, &stalled, &other].map(|report| report["cycles"].as_u64().unwrap());
    assert!(cycles[0] < cycles[1] && cycles[0] < cycles[2] && cycles[1] != cycles[2], "{cycles:?}");
    let again = matvec(folder.path(), &["--json", "--stalls", "3"]).json();
    assert_eq!(column(&again, "cycles"), column(&stalled, "cycles"));
}

/// What is behind the port, too, changes cycles alone. --stalls takes the hostile memory where none is named.
#[test]
fn memories_change_cycles_but_no_result() {
    let folder = with_model();
    keep_one_layer(folder.path());
    let report =
        |more: &[&str]| matvec(folder.path(), &[&["--json", "--engine", "model"], more].concat()).json();
    let [ideal, hbm3, hostile] = ["ideal", "hbm3", "hostile"].map(|memory| report(&["--memory", memory]));
    for other in [&hbm3, &hostile] {
        for (one, other) in
            ideal["matrices"].as_array().unwrap().iter().zip(other["matrices"].as_array().unwrap())
        {
            assert!(RESULTS.iter().all(|&key| one[key] == other[key]), "{one} {other}");
        }
        assert!(ideal["cycles"].as_u64() < other["cycles"].as_u64());
    }
    assert_eq!((&report(&[])["cycles"], &hbm3["memory"]), (&ideal["cycles"], &json!("hbm3")));
    assert_eq!(report(&["--stalls", "3"])["memory"], "hostile");
    assert_eq!(report(&["--stalls", "3", "--memory", "ideal"])["memory"], "ideal");
}

#[test]
fn geometries_give_the_same_results() {
    let folder = with_model();
    spread_weights(folder.path());
    for weights in ["fp4", "int8"] {
        let report = |geometry: &str| {
            matvec(folder.path(), &["--json", "--weights", weights, "--geometry", geometry]).json()
        };
        let [small, slim] = ["small", "slim"].map(report);
        for key in RESULTS.iter().chain(&["quantisation"]) {
            assert_eq!(column(&small, key), column(&slim, key), "{weights} {key}");
        }
        assert_ne!(column(&small, "cycles"), column(&slim, "cycles"));
    }
}

#[test]
fn other_weights_give_other_errors() {
    let folder = with_model();
    let plain = matvec(folder.path(), &["--json", "--engine", "model"]).json();
    spread_weights(folder.path());
    let spread = matvec(folder.path(), &["--json", "--engine", "model"]).json();
    for key in ["error", "quantisation"] {
        assert_ne!(column(&plain, key), column(&spread, key), "{key}");
    }
}

#[test]
fn table_of_matvec_shows_every_matrix_and_what_was_compared() {
    let folder = with_model();
    keep_one_layer(folder.path());
    let ran = matvec(folder.path(), &["--wave", "out.fst"]);
    ran.good().unwrap();
    let core = run(&["list", "--json"]).json();
    let core = core.as_array().unwrap().iter().find(|e| e["device"] == "core_small").unwrap();
    let compared =
        format!(" clocks: {} registers, {} bits; at snapshots: ", core["registers"], core["register_bits"]);
    let of_memories = format!(" of {} bits of memories (those written)", core["memory_bits"]);
    for part in
        ["layer 0 q_proj ", "layer 0 down_proj ", "\nlm_head ", "\n8 of 8 matrices", &compared, &of_memories]
    {
        assert!(ran.stdout.contains(part), "{part:?} is not in {}", ran.stdout);
    }
    assert!(ran.stdout.contains("waveform out.fst"), "{}", ran.stdout);
    assert!(["out.fst", "out.gtkw", "out.sucl"].iter().all(|file| folder.path().join(file).is_file()));
    assert!(!folder.path().join("tandem-failures").exists(), "nothing failed");
}

/// What the heads of a report have in common whatever ran them.
fn heads(report: &Value, key: &str) -> Vec<Value> {
    let heads = report["heads"].as_array().unwrap();
    // Two of K and V in each of three layers.
    assert_eq!((heads.len(), &report["of_heads"]), (6, &json!(6)));
    heads.iter().map(|h| h[key].clone()).collect()
}

#[test]
fn engines_agree_on_attention() {
    let folder = with_model();
    let mut errors = Vec::new();
    for more in [["--kv", "fp4", "--geometry", "small"], ["--kv", "int8", "--geometry", "slim"]] {
        let report = |engine: &str| {
            attend(folder.path(), &[&more[..], &["--json", "--engine", engine]].concat()).json()
        };
        let [lockstep, rtl, model] = ["lockstep", "rtl", "model"].map(report);
        for key in ["layer", "heads", "passes", "beats", "cycles", "utilisation", "error", "quantisation"] {
            assert_eq!(heads(&lockstep, key), heads(&rtl, key), "{key}");
            assert_eq!(heads(&lockstep, key), heads(&model, key), "{key}");
        }
        assert_eq!((&lockstep["cycles"], &lockstep["cycles"]), (&rtl["cycles"], &model["cycles"]));
        let compared = ["registers", "bits", "memory_bits"].map(|key| lockstep[key].as_u64().unwrap());
        assert!(compared.iter().all(|&n| n > 0), "{lockstep}");
        errors.push(heads(&model, "error"));
    }
    let error = |v: &Value| v.as_f64().unwrap();
    assert!(errors.iter().flatten().all(|e| error(e) > 0.0 && error(e) < 1.2e-2), "{errors:?}");
    assert_ne!(errors[0], errors[1]);
}

/// q and k 64 times as large: scores leave the fixed point. That is no fault of the design.
#[test]
fn scores_beyond_the_fixed_point_are_told() {
    let folder = with_model();
    alter_weights(folder.path(), |header, data| {
        for (name, tensor) in header.as_object().unwrap() {
            if name.ends_with("q_norm.weight") || name.ends_with("k_norm.weight") {
                let offset = |i: usize| usize::try_from(tensor["data_offsets"][i].as_u64().unwrap()).unwrap();
                // 2^6 in the exponent of a bfloat16.
                for element in data[offset(0)..offset(1)].chunks_exact_mut(2) {
                    let bits = u16::from_le_bytes([element[0], element[1]]);
                    element.copy_from_slice(&(bits + (6 << 7)).to_le_bytes());
                }
            }
        }
    });
    let ran = attend(folder.path(), &["--engine", "model"]);
    ran.good().unwrap();
    assert!(ran.stdout.contains("no error is promised for them"), "{}", ran.stdout);
    let json = attend(folder.path(), &["--engine", "model", "--json"]).json();
    assert!(heads(&json, "beyond").iter().any(|rows| rows.as_u64() > Some(0)), "{json}");
}

/// Heads of 128 lie alike in both geometries.
#[test]
fn stalls_and_geometries_change_no_result_of_attention() {
    let folder = with_model();
    let report = |more: &[&str]| attend(folder.path(), &[&["--json"], more].concat()).json();
    let plain = report(&[]);
    for more in [["--stalls", "3"], ["--stalls", "4"], ["--geometry", "slim"]] {
        let other = report(&more);
        for key in ["error", "quantisation"] {
            assert_eq!(heads(&plain, key), heads(&other, key), "{more:?}");
        }
        assert!(other["cycles"].as_u64() > plain["cycles"].as_u64(), "{more:?}");
    }
}

#[test]
fn table_of_attention_shows_every_head_and_what_was_compared() {
    let folder = with_model();
    keep_one_layer(folder.path());
    let ran = attend(folder.path(), &["--wave", "out.fst"]);
    ran.good().unwrap();
    for part in
        ["layer 0 heads 0-1 ", "layer 0 heads 2-3 ", "\n2 of 2 heads of K and V, ", "compared at each of "]
    {
        assert!(ran.stdout.contains(part), "{part:?} is not in {}", ran.stdout);
    }
    assert!(["out.fst", "out.gtkw", "out.sucl"].iter().all(|file| folder.path().join(file).is_file()));
}

#[test]
fn fuzz_of_a_good_block_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["fuzz", "--block", "float", "--seconds", "1", "--seed", "7"];
    for _ in 0..2 {
        let ran = tandem(folder.path(), None, &args);
        ran.good().unwrap();
        assert!(
            ran.stdout.starts_with("float_add: ") && ran.stdout.contains("seed 7, no mismatch"),
            "{ran:?}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing failed");
    let json = tandem(folder.path(), Some("9"), &[&args[..], &["--json"]].concat()).json();
    assert_eq!(
        (&json[0]["device"], &json[0]["seed"]),
        (&json!("float_add"), &json!(9)),
        "TANDEM_SEED comes first"
    );
    assert!(json[0]["cases"].as_u64().unwrap() > 0);
}

#[test]
fn help_and_version_are_no_errors() {
    for args in [["--help"].as_slice(), &["--version"], &["matvec", "--help"]] {
        let ran = run(args);
        ran.good().unwrap();
        assert!(ran.stdout.contains("tandem") && ran.stderr.is_empty(), "{ran:?}");
    }
}

/// `tandem list | head -1`: the reader has enough.
#[test]
fn reader_that_goes_away_causes_no_crash() {
    for args in [["list", "--registers", "systolic_array_small"].as_slice(), &["list", "--json"]] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // More than a pipe holds is still to come when it is closed.
        let mut first = [0; 1];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let out = child.wait_with_output().unwrap();
        let message = String::from_utf8_lossy(&out.stderr);
        assert!(!message.contains("panicked"), "{args:?}: {message}");
        assert_eq!(out.status.code(), Some(0), "{args:?}: {message}");
    }
}

/// A device that takes nothing, as a full disk.
#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_told() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_tandem")).arg("list").stdout(full).output().unwrap();
    let message = String::from_utf8_lossy(&out.stderr);
    assert!(
        message.contains("error: cannot write to standard output") && !message.contains("panicked"),
        "{message}"
    );
    assert_eq!(out.status.code(), Some(2));
}

// ---- without Verilator ----

/// What the finder says of a project with these values of `VERILATOR_ROOT` and, instead of nothing, `PATH`.
fn found(variables: &[(&str, &Path)], folder: &Path) -> String {
    let value = |name| variables.iter().find(|(n, _)| *n == name).map(|(_, path)| path.as_os_str());
    let nowhere = folder.join("none");
    let path = value("PATH").unwrap_or(nowhere.as_os_str());
    match tandem_verilate::Verilator::find_in(folder, value("VERILATOR_ROOT"), Some(path)) {
        Ok(found) => format!("found {}", found.root.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn missing_verilator_is_told_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let message = found(&[], folder.path());
    let tools = folder.path().join(".tools").display().to_string();
    for part in
        ["no suitable Verilator", "VERILATOR_ROOT", &tools, "PATH", "5.48.0 or later", "Run `make setup`"]
    {
        assert!(message.contains(part), "{part:?} is not in {message}");
    }
    assert!(!message.contains("rejected"), "{message}");
}

#[test]
fn unusable_verilator_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let message = found(&[("VERILATOR_ROOT", folder.path())], folder.path());
    let reason = format!("rejected {}: no ", folder.path().display());
    assert!(message.contains(&reason) && message.contains("Run `make setup`"), "{message}");
}

/// The finder does find a Verilator where there is one.
#[test]
fn verilator_of_the_project_is_found() {
    let root = tandem_verilate::Verilator::find(project()).unwrap().root;
    let folder = tempfile::tempdir().unwrap();
    let message = found(&[("VERILATOR_ROOT", &root)], folder.path());
    assert!(message.contains(&format!("found {}", root.display())), "{message}");
}

// ---- Ctrl-C, and being told to end ----

#[cfg(unix)]
#[test]
fn interrupted_matvec_gives_its_figures_so_far() {
    let folder = with_model();
    let prompt = "the value is moved into the closure ".repeat(12);
    let args = ["matvec", "--model", "model", "--geometry", "slim", "--prompt", &prompt];
    let (code, text, errors) = interrupted(folder.path(), &args, "-INT", "layer 0 q_proj");
    assert_eq!(code, Some(130), "{text}{errors}");
    assert!(text.contains(" of 22 matrices, ") && !text.contains("\n22 of 22 "), "{text}");
    assert!(text.contains("compared at each of "), "{text}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[cfg(unix)]
#[test]
fn interrupted_attention_gives_its_figures_so_far() {
    let folder = with_model();
    let prompt = "the value is moved into the closure ".repeat(12);
    let args = ["attend", "--model", "model", "--geometry", "slim", "--kv", "int8", "--prompt", &prompt];
    let (code, text, errors) = interrupted(folder.path(), &args, "-TERM", "layer 0 heads");
    assert_eq!(code, Some(130), "{text}{errors}");
    assert!(text.contains(" of 6 heads of K and V, ") && text.contains("compared at each of "), "{text}");
    assert!(!errors.contains("panicked"), "{errors}");
}

#[cfg(unix)]
#[test]
fn interrupted_fuzz_ends_with_130() {
    let folder = tempfile::tempdir().unwrap();
    let args = ["fuzz", "--block", "segment", "--seconds", "8"];
    let (code, text, errors) = interrupted(folder.path(), &args, "-INT", "segment_edge_small");
    assert_eq!(code, Some(130), "{text}{errors}");
}

// ---- link ----

/// `tandem link` on the models, which is fast.
fn link(more: &[&str]) -> Ran {
    run(&[&["link", "--engine", "model"], more].concat())
}

#[test]
fn engines_agree_on_the_link() {
    let args = ["link", "--flits", "300", "--latency", "7", "--drop", "0.02", "--json", "--engine"];
    let reports = ["lockstep", "rtl", "model"].map(|engine| run(&[&args[..], &[engine]].concat()).json());
    for report in &reports {
        assert_eq!(report["cycles"], reports[0]["cycles"]);
        assert_eq!(report["directions"], reports[0]["directions"]);
        assert_eq!(report["latencies"], reports[0]["latencies"]);
        for counter in ["crc_errors", "asks", "replays", "stalls", "losses", "sessions"] {
            assert_eq!(report[counter], reports[0][counter]);
        }
        assert!(report["replays"].as_u64().unwrap() > 0 && report["words_lost"] == 0, "{report}");
    }
    assert!(reports[0]["bits"].as_u64().unwrap() > 0 && reports[2]["bits"] == 0);
}

#[test]
fn link_carries_every_word_with_both_kinds_of_replay() {
    for replay in ["selective", "go-back-n"] {
        let mix =
            ["--replay", replay, "--vc", "bulk=60,latency=20,control=20", "--ber", "1e-5", "--flits", "2000"];
        let report = link(&[&mix[..], &["--stalls", "--json"]].concat()).json();
        for direction in report["directions"].as_array().unwrap() {
            assert_eq!(direction["words"], 8000, "{report}");
        }
        assert_eq!(report["latencies"].as_array().unwrap().len(), 3);
    }
    let table = link(&["--flits", "500"]);
    table.good().unwrap();
    for part in ["a to b", "b to a", "bulk", "0 CRC errors", "every word once and in order, 0 lost"] {
        assert!(table.stdout.contains(part), "{part}: {table:?}");
    }
}

#[test]
fn link_that_cannot_come_up_tells_both_states() {
    for dead in ["a-to-b", "b-to-a"] {
        link(&["--dead", dead]).refused(&["has not come up", "side a Init", "side b Init"]).unwrap();
    }
}

#[test]
fn impossible_links_are_refused() {
    for (args, parts) in [
        (&["--ber", "0.5"][..], &["--ber", "from 0 to 1e-4"][..]),
        (&["--ber=-1e-9"], &["--ber"]),
        (&["--ber", "NaN"], &["--ber"]),
        (&["--drop", "1"], &["--drop is a rate per flit"]),
        (&["--burst-bits", "0"], &["--burst-bits is from 1"]),
        (&["--latency", "201"], &["--latency is from 0 to 200", "got 201"]),
        (&["--flits", "0"], &["--flits is from 1 to 1000000000000", "got 0"]),
        (&["--vc", "bulk=90"], &["add up to 100"]),
        (&["--vc", "voice=100"], &["no channel `voice`", "control, latency, bulk"]),
        (&["--replay", "never"], &["selective", "go-back-n"]),
        (&["--wave", "link.vcd"], &["--engine lockstep"]),
    ] {
        link(args).refused(parts).unwrap();
    }
}

#[test]
fn run_with_too_few_errors_is_refused() {
    link(&["--ber", "1e-7", "--flits", "100"])
        .refused(&["at least 10 CRC errors and 10 flits sent again", "try --flits"])
        .unwrap();
}

// ---- run ----

/// `tandem run` of an example on the model.
fn program(name: &str, more: &[&str]) -> Ran {
    let path = format!("{}/docs/programs/{name}", env!("CARGO_MANIFEST_DIR"));
    let engine: &[&str] = if more.contains(&"--engine") { &[] } else { &["--engine", "model"] };
    run(&[&["run", &path], engine, more].concat())
}

#[test]
fn engines_agree_on_a_program() {
    let reports = ["lockstep", "rtl", "model"]
        .map(|engine| program("attend.toml", &["--json", "--engine", engine]).json());
    for report in &reports {
        assert_eq!(report["commands"], reports[0]["commands"]);
        assert_eq!(report["units"], reports[0]["units"]);
    }
    assert!(reports[0]["bits"].as_u64().unwrap() > 0 && reports[2]["bits"] == 0);
}

#[test]
fn programs_run_with_every_memory_and_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let timeline = folder.path().join("t.json");
    for memory in ["ideal", "hbm3", "hostile"] {
        let more = [
            "--memory",
            memory,
            "--geometry",
            "slim",
            "--stalls",
            "3",
            "--timeline",
            timeline.to_str().unwrap(),
        ];
        let ran = program("illegal.toml", &more);
        ran.good().unwrap();
        for part in ["opcode 99", "no_keys", "read_error", "starved", "those of the definition", "timeline"] {
            assert!(ran.stdout.contains(part), "{part}: {ran:?}");
        }
        let events: serde_json::Value = serde_json::from_slice(&std::fs::read(&timeline).unwrap()).unwrap();
        assert!(events["traceEvents"].as_array().unwrap().iter().any(|e| e["name"] == "9 load"), "{events}");
    }
}

#[test]
fn programs_that_cannot_be_are_refused() {
    program("none.toml", &[]).refused(&["none.toml"]).unwrap();
    program("README.md", &[]).refused(&["README.md is no program", "line 3"]).unwrap();
    program("gemv.toml", &["--memory", "tape"]).refused(&["ideal", "hbm3", "hostile"]).unwrap();
    program("gemv.toml", &["--geometry", "wide"]).refused(&["no geometry `wide`"]).unwrap();
    program("gemv.toml", &["--wave", "run.vcd"]).refused(&["--engine lockstep"]).unwrap();
}
