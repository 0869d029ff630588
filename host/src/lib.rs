// SPDX-License-Identifier: Apache-2.0
//! What runs on the host: checkpoints, tokenisers and the binary32 forward pass that says what a model answers.
//!
//! A model directory is one of Hugging Face: `config.json`, `model.safetensors` (or shards and their index) and
//! `tokenizer.json` of a `Qwen3ForCausalLM` or `LlamaForCausalLM`. The forward pass is plain code after the model's definition; it is the yardstick that
//! quantised and accelerated passes are compared with, and an [`Observer`] sees the activations that reach every
//! weight matrix on the way.
//!
//! A [`Chat`] template, where the directory has one, makes a prompt of a message.
//!
//! A [`import::Packed`] model is such a directory as the core wants it, in memory or in a file; a [`lower::Plan`] makes
//! commands of its steps.
//!
//! A [`program::Program`] is a file of commands for the core, with the memory that they work on.
//!
//! ```
//! use std::path::Path;
//! use tandem_host::{Checkpoint, Forward, HostError, Tokenizer};
//!
//! fn complete(dir: &Path, prompt: &str) -> Result<String, HostError> {
//!     let checkpoint = Checkpoint::load(dir)?;
//!     let tokenizer = Tokenizer::load(dir, &checkpoint.config)?;
//!     let ids = Forward::new(&checkpoint)?.greedy(&tokenizer.encode(prompt)?, 8)?;
//!     tokenizer.decode(&ids)
//! }
//!
//! let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/models/tiny-qwen3");
//! assert!(complete(Path::new(dir), "The Rust compiler").is_ok());
//! let error = complete(Path::new(dir), "").unwrap_err();
//! assert!(error.to_string().contains("empty prompt"));
//! ```

mod chat;
mod checkpoint;
mod config;
mod draft;
mod error;
mod files;
mod forward;
pub mod import;
pub mod lower;
mod map;
mod math;
mod observe;
pub mod perplexity;
pub mod program;
mod raw_config;
mod rope;
mod sample;
mod shards;
mod state;
mod stop;
mod tensors;
mod tokenizer;

pub use chat::Chat;
pub use checkpoint::{Checkpoint, Layer, Linear, Matrix};
pub use config::{Architecture, Config};
pub use draft::ngram_draft;
pub use error::HostError;
pub use forward::Forward;
pub use math::argmax;
pub use observe::{Observer, Rows, Unobserved};
pub use rope::RopeScaling;
pub use sample::Sampler;
pub use state::{Cache, Hidden, Step};
pub use stop::stop_ids;
pub use tokenizer::Tokenizer;
