// SPDX-License-Identifier: Apache-2.0
//! The one error type of this crate.

use std::path::PathBuf;

/// Everything that can go wrong between a model directory and its logits.
///
/// Each message says what was expected, what came and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostError {
    /// The model directory is not there, or is not a directory.
    #[error(
        "expected a model directory at {path}, found {found}; give the directory that holds \
         config.json, model.safetensors and tokenizer.json"
    )]
    NoDirectory {
        /// The path that was given.
        path: PathBuf,
        /// What is there instead.
        found: &'static str,
    },
    /// A file of the model directory is not there.
    #[error(
        "expected {file} in {dir}, found no such file; copy it from the model's Hugging Face \
         repository"
    )]
    NoFile {
        /// The model directory.
        dir: PathBuf,
        /// The file's name.
        file: &'static str,
    },
    /// A file that was named is not there.
    #[error("expected a file at {path}, found nothing; check the path")]
    NotThere {
        /// The path that was given.
        path: PathBuf,
    },
    /// The index of a sharded checkpoint names a file that is not there.
    #[error(
        "expected {file} in {dir}, as {index} names it, found no such file; copy all shards from the model's \
         Hugging Face repository"
    )]
    NoShard {
        /// The model directory.
        dir: PathBuf,
        /// The file's name.
        file: String,
        /// The index.
        index: &'static str,
    },
    /// A tensor is in another shard than the index says.
    #[error(
        "expected the index to have tensor {name} in {file}, which holds it, found it {found}; shards and \
         model.safetensors.index.json are not of one download: fetch all of them again"
    )]
    Shard {
        /// The tensor's name.
        name: String,
        /// The shard that holds it.
        file: String,
        /// Where the index has it.
        found: String,
    },
    /// A tensor is not in the shard that the index says.
    #[error(
        "expected tensor {name} in {file}, as model.safetensors.index.json says, found none; the shards are not of \
         one download: fetch all of them again"
    )]
    NotInShard {
        /// The tensor's name.
        name: String,
        /// The shard that should hold it.
        file: String,
    },
    /// A file is there but the system would not read it.
    #[error("expected to read {path}, found an error: {source}; check the file and its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file's content does not parse.
    #[error(
        "expected {path} to be {expected}, found that it does not parse: {reason}; the file may be \
         truncated: fetch it again"
    )]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The format it should have.
        expected: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// A program file is no TOML, or has a key that there is not.
    #[error("{path} is no program: {reason}")]
    ProgramText {
        /// The file.
        path: PathBuf,
        /// What the parser said, with the line.
        reason: String,
    },
    /// Something in a program file cannot be.
    #[error("{path}: {place}: expected {expected}, found {found}")]
    Program {
        /// The file.
        path: PathBuf,
        /// Which region or command, and which field of it.
        place: String,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A value of `config.json` is valid there, but this crate does not compute it, or it contradicts another.
    #[error("config.json: expected {key} to be {expected}, found {found}; {advice}")]
    Config {
        /// The key of the value, dotted where nested.
        key: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// The checkpoint lacks a tensor that its configuration calls for.
    #[error(
        "expected tensor {name} of shape {expected:?}, found no tensor of that name; check that \
         config.json and model.safetensors belong to the same model"
    )]
    NoTensor {
        /// The tensor's name.
        name: String,
        /// The shape it should have.
        expected: Vec<usize>,
    },
    /// The checkpoint holds a tensor that its configuration has no use for.
    #[error(
        "expected only the tensors that config.json calls for, found also {name}; check that \
         config.json and model.safetensors belong to the same model"
    )]
    ExtraTensor {
        /// The tensor's name.
        name: String,
    },
    /// A tensor has elements of a type that is not read.
    #[error(
        "expected tensor {name} to be BF16, F16 or F32, found {found}; convert the checkpoint to \
         one of these"
    )]
    TensorType {
        /// The tensor's name.
        name: String,
        /// Its element type.
        found: String,
    },
    /// A tensor has another shape than its configuration says.
    #[error(
        "expected tensor {name} to have shape {expected:?}, found {found:?}; check that \
         config.json and model.safetensors belong to the same model"
    )]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape `config.json` calls for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The tokenizer makes ids that the model has no embedding for.
    #[error(
        "expected every id of tokenizer.json to be below the model's vocabulary of {vocab}, found \
         id {id}; check that tokenizer.json and config.json belong to the same model"
    )]
    TokenizerVocabulary {
        /// The tokenizer's highest id.
        id: u32,
        /// Rows of the model's embedding.
        vocab: usize,
    },
    /// The tokenizer refused a text or a list of ids.
    #[error("expected the tokenizer to {action}, found an error: {reason}; check the input")]
    Tokenizer {
        /// `encode a text` or `decode ids`.
        action: &'static str,
        /// What the tokenizer said.
        reason: String,
    },
    /// The chat template refused the messages.
    #[error(
        "expected the chat template to take the messages, found an error: {reason}; change them, or leave --chat away"
    )]
    Chat {
        /// What the template said.
        reason: String,
    },
    /// There is no token to compute.
    #[error("expected at least one token, found none (an empty prompt); give a prompt with text")]
    EmptyPrompt,
    /// The sequence is longer than the model's positions.
    #[error(
        "expected at most {limit} tokens (max_position_embeddings), found {tokens}; shorten the \
         prompt or generate fewer tokens"
    )]
    TooLong {
        /// Tokens of the whole sequence.
        tokens: usize,
        /// The model's limit.
        limit: usize,
    },
    /// A token id has no embedding.
    #[error(
        "expected token ids below the vocabulary of {vocab}, found {id}; encode the prompt with \
         the tokenizer of this model"
    )]
    UnknownToken {
        /// The id.
        id: u32,
        /// Rows of the model's embedding.
        vocab: usize,
    },
    /// A key/value cache was made by a pass over another model.
    #[error(
        "expected a cache of {expected_layers} layers by {expected_width} values, found {layers} \
         by {width}; make the cache with Forward::cache of the same model"
    )]
    ForeignCache {
        /// Layers of this model.
        expected_layers: usize,
        /// Values per position of this model's keys.
        expected_width: usize,
        /// Layers of the cache.
        layers: usize,
        /// Values per position of the cache.
        width: usize,
    },
    /// A slice of values is not a whole number of rows.
    #[error("expected whole rows of {cols} values, found {found} values; pass [tokens, {cols}]")]
    PartialRow {
        /// Values per row.
        cols: usize,
        /// Values that came.
        found: usize,
    },
    /// The logits do not say which token comes next.
    #[error(
        "expected logits that compare, found NaN at position {position}; check the checkpoint for \
         non-finite weights"
    )]
    NanLogits {
        /// Position in the sequence whose logits hold a NaN.
        position: usize,
    },
    /// A name of a matrix that is not there.
    #[error(
        "expected the name of a matrix: {known}, or one of a layer as layers.0.down ({layers} layers), found `{name}`"
    )]
    NoMatrix {
        /// What was given.
        name: String,
        /// Names that there are in every layer, and the head.
        known: String,
        /// Layers of the model.
        layers: usize,
    },
    /// An option has a value that does not go with the model.
    #[error("expected {option} to be {expected}, found {found}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The session is longer than memory was laid out for.
    #[error(
        "expected at most {limit} tokens (the context of the plan), found {tokens}; shorten the prompt, generate fewer tokens, or import the model with a larger context"
    )]
    Context {
        /// Tokens of the whole session.
        tokens: usize,
        /// The limit.
        limit: usize,
    },
    /// A weight is an infinity or no number; the core has neither.
    #[error("expected finite weights in tensor {name}, found {found}; check the checkpoint")]
    NonFinite {
        /// The tensor's name.
        name: String,
        /// The weight.
        found: f32,
    },
    /// A packed model that is none, or not as it was written.
    #[error("{path}: expected {expected}, found {found}; import the model again")]
    Packed {
        /// The file.
        path: PathBuf,
        /// What it must be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A file could not be written; nothing of it is left.
    #[error("cannot write {path}: {source}; check the folder, its permissions and that there is space left")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A text has too few tokens for one to be foretold.
    #[error("expected a text of at least 2 tokens, found {tokens}; give a longer text")]
    ShortText {
        /// Tokens of the text.
        tokens: usize,
    },
    /// The caller stopped the work; nothing of it is left.
    #[error("stopped before it was done")]
    Stopped,
}
