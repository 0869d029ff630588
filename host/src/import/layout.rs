// SPDX-License-Identifier: Apache-2.0
//! What lies where in a packed model, from its configuration alone; and which models the core can run.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::attention::types::HeadShape;
use tandem_model::layout::weight_bytes;

use super::{DEFAULT_CONTEXT, Format, ImportOptions, MATRICES};
use crate::chat::Chat;
use crate::config::{Config, refuse};
use crate::error::HostError;

/// Version of the manifest, of the image's layout and of the file.
pub(super) const VERSION: u32 = 2;
/// Every tensor begins at a multiple of this.
const ALIGNMENT: usize = 4096;
/// Chunks of stationary operands.
const CHUNKS: usize = 128;
/// Counts, lengths and positions of commands are below this.
const MOST: usize = 1 << 20;

/// A tensor of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tensor {
    /// Its name: `embedding`, `angles`, `ones`, `layers.N.` with `input_norm`, `kv`, `q`, `k_norm`, `q_norm`, `o`,
    /// `post_attention_norm`, `gate_up`, `down`; `final_norm`, `head`.
    pub name: String,
    /// Where it begins.
    pub address: u64,
    /// How many bytes it has.
    pub bytes: u64,
    /// Its format.
    pub format: Format,
    /// Rows and columns; a vector is one row.
    pub shape: [usize; 2],
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
}

impl Tensor {
    /// Its bytes in the image.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        let at = |address: u64| usize::try_from(address).expect("images are in memory");
        at(self.address)..at(self.address + self.bytes)
    }
}

/// What a packed model is and what lies where in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Of the format.
    pub version: u32,
    /// The model.
    pub config: Config,
    /// Segments of the array that it is for.
    pub segments: usize,
    /// Longest sequence, in tokens.
    pub context: usize,
    /// Bytes of the image.
    pub bytes: u64,
    /// All tensors, by rising address.
    pub tensors: Vec<Tensor>,
    /// The tokenizer, which a file has behind this; `None` for a model that was packed without one.
    pub tokenizer: Option<TokenizerFile>,
}

/// A `tokenizer.json` in a packed model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenizerFile {
    /// Ids that end a text, as [`stop_ids`](crate::stop_ids) finds them in the model directory.
    pub stop: Vec<u32>,
    /// The chat template, as [`Chat::load`] finds it there.
    pub chat: Option<Chat>,
    /// How many bytes it has.
    pub bytes: u64,
    /// Of its bytes, in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// The manifest of a model, but for checksums, which are empty: enough for a plan.
    ///
    /// # Errors
    ///
    /// [`HostError::Config`] when the core cannot run it, [`HostError::Option`] for a context that is none of its,
    /// [`HostError::NoMatrix`].
    pub fn new(config: &Config, options: &ImportOptions) -> Result<Self, HostError> {
        Self::with_table(config, options, config.vocab_size)
    }

    /// The same with so many rows in the embedding, which may be fewer than the head has.
    pub(super) fn with_table(
        config: &Config,
        options: &ImportOptions,
        table: usize,
    ) -> Result<Self, HostError> {
        config.check()?;
        let segments = options.geometry.segments;
        let context = context(config, options.context)?;
        let int8 = overrides(config, &options.int8)?;
        let format = |name: &str| {
            let kind = name.rsplit('.').next().unwrap_or(name);
            let named = int8.iter().any(|other| other == name || other == kind);
            if named { Format::Int8 } else { Format::Fp4 }
        };
        let manifest = Self::laid_out(config, segments, [context, table], format);
        manifest.check()?;
        Ok(manifest)
    }

    /// This manifest as it must be if its configuration, sizes and formats are right; checksums and the tokenizer
    /// are taken over.
    pub(super) fn expected(&self) -> Result<Self, HostError> {
        self.config.check()?;
        let int8: Vec<&str> =
            self.tensors.iter().filter(|t| t.format == Format::Int8).map(|t| t.name.as_str()).collect();
        let format = |name: &str| if int8.contains(&name) { Format::Int8 } else { Format::Fp4 };
        let mut expected =
            Self::laid_out(&self.config, self.segments, [self.context, self.config.vocab_size], format);
        for (to, from) in expected.tensors.iter_mut().zip(&self.tensors) {
            to.sha256.clone_from(&from.sha256);
        }
        expected.tokenizer.clone_from(&self.tokenizer);
        expected.check()?;
        Ok(expected)
    }

    /// The tensor called `name`.
    ///
    /// # Panics
    ///
    /// When there is none: names follow from the configuration.
    #[must_use]
    pub fn tensor(&self, name: &str) -> &Tensor {
        let found = self.tensors.iter().find(|tensor| tensor.name == name);
        found.unwrap_or_else(|| panic!("a packed model has no tensor {name}"))
    }

    /// The tensor called `name` of a layer.
    ///
    /// # Panics
    ///
    /// As [`Manifest::tensor`].
    #[must_use]
    pub fn of_layer(&self, layer: usize, name: &str) -> &Tensor {
        self.tensor(&format!("layers.{layer}.{name}"))
    }

    fn laid_out(
        config: &Config,
        segments: usize,
        [context, table]: [usize; 2],
        format: impl Fn(&str) -> Format,
    ) -> Self {
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut end = 0;
        for (name, shape, matrix) in items(config, context, table) {
            let format = if matrix { format(&name) } else { Format::Binary32 };
            let [rows, cols] = shape;
            let bytes = match format {
                Format::Binary32 => rows * cols * 4,
                _ => weight_bytes(segments, format == Format::Int8, rows, cols / SEGMENT_LANES),
            };
            let (address, sha256) = (end as u64, String::new());
            tensors.push(Tensor { name, address, bytes: bytes as u64, format, shape, sha256 });
            end = (end + bytes).next_multiple_of(ALIGNMENT);
        }
        let config = config.clone();
        Self { version: VERSION, config, segments, context, bytes: end as u64, tensors, tokenizer: None }
    }

    /// Refuses models that the core cannot run.
    fn check(&self) -> Result<(), HostError> {
        let config = &self.config;
        let advice = "use a model that fits the core (docs/commands.md)";
        if ![64, 128].contains(&config.head_dim) {
            let expected = "64 or 128, the heads that the core attends with";
            return Err(refuse("head_dim", expected, config.head_dim, advice));
        }
        for (key, size) in
            [("hidden_size", config.hidden_size), ("intermediate_size", config.intermediate_size)]
        {
            if !size.is_multiple_of(SEGMENT_LANES) {
                let expected = format!("a multiple of {SEGMENT_LANES}, whole blocks");
                return Err(refuse(key, expected, size, advice));
            }
        }
        let matrices = self.tensors.iter().filter(|tensor| tensor.format != Format::Binary32);
        for tensor in matrices {
            let [rows, cols] = tensor.shape;
            let name = tensor.name.rsplit('.').next().unwrap_or_default();
            let (of_rows, of_cols) = match name {
                "kv" => ("num_key_value_heads", "hidden_size"),
                "q" => ("num_attention_heads", "hidden_size"),
                "o" => ("hidden_size", "num_attention_heads"),
                "gate_up" => ("intermediate_size", "hidden_size"),
                "down" => ("hidden_size", "intermediate_size"),
                _ => ("vocab_size", "hidden_size"),
            };
            if rows >= MOST {
                let expected = format!("such that {name} has less than {MOST} outputs");
                return Err(refuse(of_rows, expected, format!("{rows} outputs"), advice));
            }
            let of_chunk = SEGMENT_LANES * self.segments * if tensor.format == Format::Int8 { 1 } else { 2 };
            if cols > CHUNKS * of_chunk {
                let expected = format!("such that {name} has at most {} inputs", CHUNKS * of_chunk);
                return Err(refuse(of_cols, expected, format!("{cols} inputs"), advice));
            }
        }
        for int8 in [false, true] {
            let wide = config.head_dim == 128;
            let HeadShape { parts, groups } = HeadShape::new(self.segments, int8, wide);
            assert!(
                groups == 1 || parts == 1 && self.segments == groups,
                "a group of segments is one segment"
            );
        }
        Ok(())
    }
}

/// Name, shape and "is a matrix" of every tensor, in order.
fn items(config: &Config, context: usize, table: usize) -> Vec<(String, [usize; 2], bool)> {
    let (hidden, dim) = (config.hidden_size, config.head_dim);
    let vector = |name: &str, length: usize| (name.to_owned(), [1, length], false);
    let mut items = vec![
        ("embedding".to_owned(), [table, hidden], false),
        ("angles".to_owned(), [context, dim], false),
        vector("ones", dim),
    ];
    for layer in 0..config.num_hidden_layers {
        let of = |name: &str| format!("layers.{layer}.{name}");
        items.push(vector(&of("input_norm"), hidden));
        items.push((of("kv"), [2 * config.key_width(), hidden], true));
        items.push((of("q"), [config.query_width(), hidden], true));
        items.push(vector(&of("k_norm"), dim));
        items.push(vector(&of("q_norm"), dim));
        items.push((of("o"), [hidden, config.query_width()], true));
        items.push(vector(&of("post_attention_norm"), hidden));
        items.push((of("gate_up"), [2 * config.intermediate_size, hidden], true));
        items.push((of("down"), [hidden, config.intermediate_size], true));
    }
    items.push(vector("final_norm", hidden));
    items.push(("head".to_owned(), [config.vocab_size, hidden], true));
    items
}

fn context(config: &Config, wanted: Option<usize>) -> Result<usize, HostError> {
    let most = config.max_position_embeddings.min(MOST);
    let context = wanted.unwrap_or(most.min(DEFAULT_CONTEXT));
    if context == 0 || context > most {
        let expected = format!("between 1 and {most}, the model's positions");
        return Err(HostError::Option { option: "context", expected, found: context.to_string() });
    }
    Ok(context)
}

/// Names of packed matrices, or of all of a kind, from those that were given.
fn overrides(config: &Config, given: &[String]) -> Result<Vec<String>, HostError> {
    let matrices: Vec<String> =
        items(config, 1, 1).into_iter().filter(|(_, _, matrix)| *matrix).map(|(name, ..)| name).collect();
    let known = |name: &String| MATRICES.contains(&name.as_str()) || matrices.contains(name);
    given
        .iter()
        .map(|given| {
            let mut name = given.strip_prefix("model.").unwrap_or(given).replace("self_attn.", "");
            name = name.replace("mlp.", "").trim_end_matches(".weight").to_owned();
            for (theirs, ours) in [
                ("k_proj", "kv"),
                ("v_proj", "kv"),
                ("q_proj", "q"),
                ("o_proj", "o"),
                ("gate_proj", "gate_up"),
                ("up_proj", "gate_up"),
                ("down_proj", "down"),
                ("lm_head", "head"),
            ] {
                if let Some(path) =
                    name.strip_suffix(theirs).filter(|path| path.is_empty() || path.ends_with('.'))
                {
                    name = format!("{path}{ours}");
                    break;
                }
            }
            let known = known(&name);
            known.then_some(name).ok_or_else(|| HostError::NoMatrix {
                name: given.clone(),
                known: MATRICES.join(", "),
                layers: config.num_hidden_layers,
            })
        })
        .collect()
}
