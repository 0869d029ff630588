// SPDX-License-Identifier: Apache-2.0
//! Model directories with something changed, and what the error must say.

use std::fs;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use tandem_host::HostError;
use tempfile::TempDir;

use super::model_dir;

/// A tensor as it lies in the file.
pub type Tensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// A copy of the small model's directory with its configuration and tensors changed.
pub fn altered(config: impl Fn(&mut Value), tensors: impl Fn(&mut Vec<Tensor>)) -> TempDir {
    let dir = TempDir::new().unwrap();
    let read = |file: &str| fs::read(model_dir().join(file)).unwrap();
    let mut value = serde_json::from_slice(&read("config.json")).unwrap();
    config(&mut value);
    fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
    let bytes = read("model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<Tensor> = file
        .iter()
        .map(|(name, t)| (name.to_owned(), t.dtype(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    tensors(&mut all);
    let views = all
        .iter()
        .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    fs::write(dir.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
    fs::write(dir.path().join("tokenizer.json"), read("tokenizer.json")).unwrap();
    dir
}

pub fn same_config(_: &mut Value) {}

pub fn same_tensors(_: &mut Vec<Tensor>) {}

pub fn find<'a>(tensors: &'a mut [Tensor], name: &str) -> &'a mut Tensor {
    tensors.iter_mut().find(|tensor| tensor.0 == name).unwrap()
}

/// The message of the error, which must hold every one of `parts`.
#[track_caller]
pub fn says<T>(result: Result<T, HostError>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}
