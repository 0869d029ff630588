// SPDX-License-Identifier: Apache-2.0
//! Text from a checkpoint: whatever runs the core, the tokens are the same, and bad input is told.

mod support;

use std::path::{Path, PathBuf};

use support::{project, tandem};
use tandem::engine::{Engine, FailureFiles};
use tandem::jobs::Format;
use tandem::jobs::generate::{self, Conversation, Draft, Options, Purpose, Report};
use tandem::jobs::run::Memory;
use tandem_model::array::Geometry;

/// It says the same again and again, so that there is something to draft.
const PROMPT: &str = "the thread, the thread, the thread, the thread";

fn model() -> PathBuf {
    project().join("testbenches/models/tiny-qwen3")
}

fn options() -> Options {
    Options {
        model: model(),
        prompt: PROMPT.to_owned(),
        tokens: 8,
        chat: None,
        ignore_stop: true,
        kv: Format::Fp4,
        draft: Draft::None,
        temperature: 0.0,
        top_p: 1.0,
        context: Some(64),
        clock: 1000.0,
        geometry: Geometry::ALL[0],
        engine: Engine::Model,
        memory: Memory::Ideal,
        stalls: None,
        timeline: None,
        wave: None,
        seed: 1,
        failure: FailureFiles::below("unused"),
    }
}

fn run(options: &Options) -> Report {
    generate::run(options, &mut |_| ()).unwrap_or_else(|e| panic!("{e:#}"))
}

#[test]
fn tokens_do_not_depend_on_what_runs_the_core() {
    let [small, slim] = Geometry::ALL;
    let one = run(&options());
    assert_eq!(one.tokens.len(), 8);
    let others = [
        (Engine::Lockstep, small, Memory::Ideal, None, Draft::Ngram),
        (Engine::Lockstep, slim, Memory::Hbm3, None, Draft::Ngram),
        (Engine::Rtl, small, Memory::Hostile, Some(3), Draft::None),
        (Engine::Model, small, Memory::Hbm3, None, Draft::None),
        (Engine::Model, slim, Memory::Hostile, Some(4), Draft::Ngram),
    ];
    for (engine, geometry, memory, stalls, draft) in others {
        let other = run(&Options { engine, geometry, memory, stalls, draft, ..options() });
        assert_eq!(other.tokens, one.tokens, "{engine:?} {} {memory:?} {draft:?}", geometry.name);
        assert_eq!(other.text, one.text);
        assert_eq!(other.bits > 0, engine == Engine::Lockstep);
    }
}

#[test]
fn drafts_save_passes_and_change_no_token() {
    let passes = |report: &Report| report.passes.iter().filter(|p| p.purpose != Purpose::Prefill).count();
    for kv in [Format::Fp4, Format::Int8] {
        let plain = run(&Options { kv, tokens: 24, ..options() });
        let drafted = run(&Options { kv, tokens: 24, draft: Draft::Ngram, ..options() });
        assert_eq!(drafted.tokens, plain.tokens);
        assert_eq!(passes(&plain), 23);
        assert_eq!(passes(&drafted), 23 - drafted.accepted);
        // Some were right, some were not.
        assert!(drafted.accepted > 0 && drafted.accepted < drafted.drafted, "{drafted}");
    }
}

#[test]
fn a_seed_decides_what_is_drawn() {
    let drawn = |seed, draft| run(&Options { temperature: 1.5, top_p: 0.9, seed, draft, ..options() }).tokens;
    let one = drawn(1, Draft::None);
    assert_eq!(one, drawn(1, Draft::None));
    assert_ne!(one, drawn(2, Draft::None));
    // Each token takes one draw, drafted or not.
    assert_eq!(one, drawn(1, Draft::Ngram));
    assert_ne!(one, run(&options()).tokens);
}

#[test]
fn a_token_that_ends_a_text_ends_the_run() {
    let ended = Options {
        prompt: "In this chapter, we will see that there's no way to do this is to manage the value."
            .to_owned(),
        ignore_stop: false,
        tokens: 30,
        ..options()
    };
    let report = run(&ended);
    assert!(report.stopped && report.tokens.len() < 30, "{report}");
    assert_eq!(report.tokens.last(), Some(&0));
    let on = run(&Options { ignore_stop: true, tokens: report.tokens.len() + 1, ..ended });
    assert!(!on.stopped && on.tokens.starts_with(&report.tokens), "{on}");
}

#[test]
fn a_packed_model_gives_the_same_text_and_the_table_tells_what_json_does() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let import = ["import", model.to_str().unwrap(), "-o", "tiny.tandem", "--context", "64"];
    tandem(folder.path(), None, &import).good().unwrap();
    let args = |model: &str, json: bool| {
        let mut args =
            ["generate", "--engine", "model", "--prompt", PROMPT, "--tokens", "8", "--ignore-stop"].to_vec();
        args.extend(["--context", "64", "--model"]);
        args.push(model);
        args.extend(json.then_some("--json"));
        args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>()
    };
    let packed = tandem(folder.path(), None, &args("tiny.tandem", true)).json();
    let one = run(&options());
    assert_eq!(packed["tokens"], serde_json::json!(one.tokens));
    assert_eq!(packed["text"], one.text.as_str());
    let table = tandem(folder.path(), None, &args(model.to_str().unwrap(), false));
    table.good().unwrap();
    for part in
        [&one.text, "8 tokens, the first with the prompt, 7 in 7 passes", "those of the untimed decoder"]
    {
        assert!(table.stdout.contains(part), "{part:?} is not in {}", table.stdout);
    }
    let cycles = packed["all_cycles"].as_u64().unwrap().to_string();
    assert!(table.stdout.contains(&cycles), "{cycles} is not in {}", table.stdout);
}

#[test]
fn a_message_stands_in_the_template_of_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model");
    std::fs::create_dir(&model).unwrap();
    for file in ["config.json", "generation_config.json", "model.safetensors", "tokenizer.json"] {
        std::fs::copy(self::model().join(file), model.join(file)).unwrap();
    }
    let template =
        "{% for m in messages %}{{ m.role }} says: {{ m.content }}{{ eos_token }}{% endfor %}the answer:";
    std::fs::write(model.join("chat_template.jinja"), template).unwrap();
    std::fs::write(model.join("tokenizer_config.json"), r#"{"eos_token": "<|endoftext|>"}"#).unwrap();
    let asked = "system says: Be brief.<|endoftext|>user says: What is a thread?<|endoftext|>the answer:";
    let chat = Some(Conversation { system: Some("Be brief.".to_owned()) });
    let options = Options { prompt: "What is a thread?".to_owned(), chat, tokens: 4, ..options() };
    let report = run(&Options { model: model.clone(), ..options.clone() });
    assert!(report.text.starts_with(asked), "{}", report.text);
    // The same tokens as of a prompt that spells all of it.
    let spelt = run(&Options { prompt: asked.to_owned(), chat: None, ..options.clone() });
    assert_eq!((spelt.prompt_tokens, &spelt.tokens), (report.prompt_tokens, &report.tokens));

    let at = folder.path();
    tandem(at, None, &["import", "model", "-o", "t.tandem", "--context", "64"]).good().unwrap();
    let packed = run(&Options { model: at.join("t.tandem"), ..options.clone() });
    assert_eq!((packed.text, packed.tokens), (report.text, report.tokens));

    let error = generate::run(&options, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("chat_template.jinja"), "{error:#}");
    refused(at, &["generate", "--model", "model", "--prompt", "a", "--system", "b"], &["--chat"]);
}

#[test]
fn a_timeline_shows_the_units_of_the_last_pass() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.svg");
    run(&Options { tokens: 2, timeline: Some(path.clone()), ..options() });
    let picture = support::text(&path);
    for part in ["vector", "stream", "layer 2, gate_up: cycles", "argmax"] {
        assert!(picture.contains(part), "no {part} in the picture");
    }
}

fn refused(folder: &Path, args: &[&str], parts: &[&str]) {
    tandem(folder, None, args).refused(parts).unwrap_or_else(|e| panic!("{args:?}: {e}"));
}

#[test]
fn what_cannot_be_generated_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (at, dir) = (folder.path(), model());
    let dir = dir.to_str().unwrap();
    refused(at, &["generate", "--model", "nothing", "--prompt", "a"], &["nothing"]);
    for (option, value) in [("--tokens", "0"), ("--temperature", "-1"), ("--top-p", "0"), ("--clock", "0")] {
        refused(at, &["generate", "--model", dir, "--prompt", "a", &format!("{option}={value}")], &[option]);
    }
    let long = "borrow ".repeat(20);
    refused(
        at,
        &["generate", "--engine", "model", "--model", dir, "--context", "8", "--prompt", &long],
        &["8"],
    );
    refused(at, &["generate", "--model", dir, "--prompt", "a", "--timeline", "t.png"], &[".svg"]);
    refused(at, &["import", dir, "-o", "nowhere/t.tandem"], &["nowhere"]);
    // A packed file of which a byte has changed, one that is cut off, one for another core.
    tandem(at, None, &["import", dir, "-o", "t.tandem"]).good().unwrap();
    let bytes = std::fs::read(at.join("t.tandem")).unwrap();
    let mut changed = bytes.clone();
    let middle = changed.len() / 2;
    // Between two tensors are less than so many bytes.
    changed[middle..middle + 4096].iter_mut().for_each(|byte| *byte ^= 1);
    std::fs::write(at.join("changed"), changed).unwrap();
    std::fs::write(at.join("short"), &bytes[..bytes.len() / 2]).unwrap();
    let generate =
        |model, more: &[&'static str]| [&["generate", "--prompt", "a", "--model", model], more].concat();
    refused(at, &generate("changed", &[]), &["changed"]);
    refused(at, &generate("short", &[]), &["short"]);
    refused(at, &generate("t.tandem", &["--geometry", "slim"]), &["slim"]);
    // A folder without its tokenizer, and one whose weights are cut off.
    std::fs::create_dir(at.join("model")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::fs::copy(model().join(file), at.join("model").join(file)).unwrap();
    }
    refused(at, &generate("model", &[]), &["tokenizer.json"]);
    std::fs::copy(model().join("tokenizer.json"), at.join("model/tokenizer.json")).unwrap();
    let weights = std::fs::read(model().join("model.safetensors")).unwrap();
    std::fs::write(at.join("model/model.safetensors"), &weights[..weights.len() - 1000]).unwrap();
    refused(at, &["import", "model", "-o", "half.tandem"], &["model.safetensors"]);
    assert!(!at.join("half.tandem").exists(), "nothing half-written stays");
    assert_eq!(std::fs::read_dir(at).unwrap().count(), 4, "no temporary files stay");
}

#[test]
fn a_session_that_is_full_ends_with_a_message() {
    let full = Options { context: Some(20), tokens: 30, ..options() };
    let error = generate::run(&full, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("20"), "{error:#}");
}

#[cfg(unix)]
#[test]
fn interrupted_text_comes_with_its_figures_so_far() {
    let dir = model();
    let args = ["generate", "--model", dir.to_str().unwrap(), "--prompt", PROMPT, "--tokens", "400"];
    let args = [&args[..], &["--ignore-stop", "--engine", "model"]].concat();
    let folder = tempfile::tempdir().unwrap();
    let (code, text, errors) = support::interrupted(folder.path(), &args, "-INT", "the thread, the thread");
    assert_eq!(code, Some(130), "{text}{errors}");
    assert!(
        text.contains("cycles") && !text.contains("400 tokens") && !errors.contains("panicked"),
        "{text}{errors}"
    );
}
