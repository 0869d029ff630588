// SPDX-License-Identifier: Apache-2.0
//! Packed models in files: what is written is what is read, what has changed is noticed, and what the core cannot run is
//! refused by name.

mod common;

use std::fs;
use std::path::Path;

use common::broken::{altered, same_config, same_tensors, says};
use common::generated::{llama, qwen3, store, tensors};
use safetensors::Dtype;
use serde_json::{Value, json};
use tandem_host::import::{Format, ImportOptions, Manifest, Packed, Progress, import};
use tandem_host::{Checkpoint, Config, HostError};
use tandem_model::array::Geometry;

const SMALL: Geometry = Geometry::ALL[0];

fn options() -> ImportOptions {
    ImportOptions::new(SMALL)
}

fn all(_: Progress) -> bool {
    true
}

fn files_of(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_file_is_what_is_packed_in_memory() {
    let model = altered(same_config, same_tensors);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("tiny.tandem");
    let mut last = Progress { done: 0, of: 0 };
    let manifest = import(model.path(), &file, &options(), &mut |progress| {
        assert!(progress.done >= last.done);
        last = progress;
        true
    })
    .unwrap();
    assert_eq!((last.done, last.of), (manifest.bytes, manifest.bytes));
    assert_eq!(files_of(to.path()), 1);

    let read = Packed::load(&file).unwrap();
    assert_eq!(read.manifest, manifest);
    let packed = Packed::of_checkpoint(&common::checkpoint(), &options()).unwrap();
    assert_eq!(packed.image(), read.image());
    assert_eq!(packed.manifest.tensors, manifest.tensors);
    assert!(packed.tokenizer().unwrap().is_none());
    let tokenizer = read.tokenizer().unwrap().expect("it is in the file");
    assert_eq!(manifest.tokenizer.unwrap().stop, [0], "config.json says so");
    let prompt = &common::prompts()[0];
    assert_eq!(tokenizer.encode(&prompt.text).unwrap(), prompt.ids);
}

#[test]
fn shards_are_packed_as_one_file() {
    let tokenizer = fs::read(common::model_dir().join("tokenizer.json")).unwrap();
    for mut config in [qwen3(), llama()] {
        // That of the tokenizer.
        config["vocab_size"] = json!(512);
        let tensors = tensors(&config, Dtype::F32, 5);
        let to = tempfile::tempdir().unwrap();
        let [one, three] = [1, 3].map(|files| {
            let model = store(&config, &tensors, files);
            fs::write(model.path().join("tokenizer.json"), &tokenizer).unwrap();
            let file = to.path().join(files.to_string());
            import(model.path(), &file, &options(), &mut all).unwrap();
            fs::read(&file).unwrap()
        });
        assert!(one == three);
    }
}

#[test]
fn formats_go_by_name() {
    let formats = |int8: &[&str]| {
        let int8 = int8.iter().map(|&name| name.to_owned()).collect();
        let options = ImportOptions { int8, ..options() };
        let config = Config::load(&common::model_dir()).unwrap();
        let manifest = Manifest::new(&config, &options)?;
        let eight = manifest.tensors.iter().filter(|t| t.format == Format::Int8);
        Ok::<_, HostError>(eight.map(|t| t.name.clone()).collect::<Vec<_>>())
    };
    assert_eq!(formats(&[]).unwrap(), [""; 0]);
    assert_eq!(formats(&["lm_head", "head"]).unwrap(), ["head"]);
    assert_eq!(formats(&["layers.1.down"]).unwrap(), ["layers.1.down"]);
    assert_eq!(formats(&["model.layers.2.self_attn.v_proj.weight"]).unwrap(), ["layers.2.kv"]);
    assert_eq!(formats(&["up_proj"]).unwrap().len(), 3);
    says(formats(&["layers.3.down"]), &["kv, q, o, gate_up, down, head", "3 layers", "`layers.3.down`"]);
    says(formats(&["input_norm"]), &["`input_norm`"]);
}

#[test]
fn models_that_do_not_fit_the_core_are_refused_by_name() {
    let of = |key: &str, value: Value, options: &ImportOptions| {
        let mut config = qwen3();
        config[key] = value;
        let config = Config::parse(config.to_string().as_bytes(), Path::new("config.json")).unwrap();
        Manifest::new(&config, options)
    };
    says(of("head_dim", json!(96), &options()), &["head_dim to be 64 or 128", "found 96"]);
    says(of("hidden_size", json!(100), &options()), &["hidden_size to be a multiple of 32", "found 100"]);
    says(of("intermediate_size", json!(80), &options()), &["intermediate_size", "found 80"]);
    says(of("vocab_size", json!(1 << 20), &options()), &["vocab_size", "less than 1048576 outputs"]);
    says(of("intermediate_size", json!(1 << 19), &options()), &["intermediate_size", "gate_up"]);
    says(of("intermediate_size", json!(16416), &options()), &["intermediate_size", "at most 16384 inputs"]);
    assert!(of("intermediate_size", json!(16384), &options()).is_ok());
    let int8 = ImportOptions { int8: vec!["down".to_owned()], ..options() };
    says(of("intermediate_size", json!(16384), &int8), &["at most 8192 inputs", "found 16384 inputs"]);
    for context in [0, 257] {
        let options = ImportOptions { context: Some(context), ..options() };
        says(of("head_dim", json!(64), &options), &["context to be between 1 and 256", &context.to_string()]);
    }
}

#[test]
fn weights_that_are_no_numbers_are_refused() {
    let mut checkpoint = common::checkpoint();
    checkpoint.layers[2].down_proj.data[7] = f32::NAN;
    says(Packed::of_checkpoint(&checkpoint, &options()), &["model.layers.2.mlp.down_proj.weight", "NaN"]);
    let mut checkpoint = common::checkpoint();
    checkpoint.final_norm[3] = f32::INFINITY;
    says(Packed::of_checkpoint(&checkpoint, &options()), &["final_norm", "found inf"]);
}

#[test]
fn nothing_half_written_stays() {
    let model = altered(same_config, same_tensors);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("tiny.tandem");
    let mut left = 5;
    let stopped = import(model.path(), &file, &options(), &mut |_| {
        left -= 1;
        left > 0
    });
    says(stopped, &["stopped before it was done"]);
    assert_eq!(files_of(to.path()), 0);
    let nan = |all: &mut Vec<common::broken::Tensor>| {
        common::broken::find(all, "model.norm.weight").3.fill(0xff);
    };
    let broken = altered(same_config, nan);
    fs::write(&file, "what was there").unwrap();
    says(import(broken.path(), &file, &options(), &mut all), &["final_norm"]);
    assert_eq!(fs::read(&file).unwrap(), b"what was there");
    assert_eq!(files_of(to.path()), 1);

    let nowhere = to.path().join("none").join("tiny.tandem");
    says(import(model.path(), &nowhere, &options(), &mut all), &["cannot write", "none", "space left"]);
    says(import(model.path(), to.path(), &options(), &mut all), &["cannot write"]);
    fs::remove_file(model.path().join("tokenizer.json")).unwrap();
    says(import(model.path(), &file, &options(), &mut all), &["expected tokenizer.json", "no such file"]);
}

#[test]
fn a_file_that_has_changed_is_refused() {
    let model = altered(same_config, same_tensors);
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("tiny.tandem");
    let manifest = import(model.path(), &file, &options(), &mut all).unwrap();
    let bytes = fs::read(&file).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.clone();
        change(&mut bytes);
        fs::write(&file, bytes).unwrap();
        Packed::load(&file)
    };
    assert!(changed(&|_| ()).is_ok());
    says(changed(&|b| b.clear()), &["TANDEMPK", "an empty file", "import the model again"]);
    says(changed(&|b| b.truncate(7)), &["TANDEMPK", "another kind of file"]);
    says(changed(&|b| b[0] ^= 1), &["TANDEMPK", "another kind of file"]);
    says(changed(&|b| b[8] = 9), &["version 2", "version 9"]);
    says(changed(&|b| b.truncate(100)), &["4096 bytes", "truncated"]);
    for length in [4096, 10_000, bytes.len() - 1] {
        says(changed(&|b| b.truncate(length)), &["truncated"]);
    }
    says(changed(&|b| b[23] = 0xff), &["truncated"]);
    let image = usize::try_from(manifest.bytes).unwrap();
    says(changed(&|b| b[4096 + image + 5] ^= 1), &["manifest", "bytes have changed"]);
    says(changed(&|b| *b.last_mut().unwrap() ^= 1), &["tokenizer of SHA-256", "bytes have changed"]);
    let down = manifest.of_layer(1, "down").range();
    says(changed(&|b| b[4096 + down.start] ^= 1), &["tensor layers.1.down of SHA-256", "bytes have changed"]);
    says(changed(&|b| b[4096 + down.end - 1] ^= 1), &["layers.1.down"]);
    says(Packed::load(&to.path().join("none")), &["expected a file at", "none"]);
    says(Packed::load(to.path()), &["expected to read"]);
    let packed = Packed::of_checkpoint(&Checkpoint::load(model.path()).unwrap(), &options()).unwrap();
    assert_eq!(packed.bytes(packed.manifest.of_layer(1, "down")).len(), down.len());
}

#[test]
fn a_random_model_is_the_same_for_a_seed_and_runs() {
    let config = Config::parse(&serde_json::to_vec(&qwen3()).unwrap(), Path::new("config.json")).unwrap();
    for int8 in [Vec::new(), vec!["down".to_owned(), "head".to_owned()]] {
        let options = ImportOptions { context: Some(8), int8, ..options() };
        let packed = Packed::random(&config, &options, 4, 1).unwrap();
        assert_eq!(packed.image().len() as u64, packed.manifest.bytes);
        assert_eq!(packed.manifest.tensor("embedding").shape[0], 4);
        assert!(packed.image() == Packed::random(&config, &options, 4, 1).unwrap().image());
        assert!(packed.image() != Packed::random(&config, &options, 4, 2).unwrap().image());

        let decoder = packed.decoder(false);
        let mut cache = decoder.cache();
        let step = decoder.step(&mut cache, &[1, 2, 3], 2..3);
        assert_eq!(step.logits.len(), config.vocab_size);
        // Neither lost nor out of bounds.
        let size = |bits: &u32| f32::from_bits(*bits).abs();
        let largest = step.logits.iter().map(size).fold(0.0, f32::max);
        assert!((0.01..1000.0).contains(&largest), "{largest}");
        // A token that the table does not have reads its first row.
        let beyond = decoder.step(&mut decoder.cache(), &[1, 2, 4], 2..3).logits;
        assert_eq!(beyond, decoder.step(&mut decoder.cache(), &[1, 2, 0], 2..3).logits);
    }
}
