// SPDX-License-Identifier: Apache-2.0
//! `tokenizer.json`: text to token ids and back.

use std::path::Path;

use crate::config::Config;
use crate::error::HostError;

/// Its file in a model directory.
pub(crate) const TOKENIZER: &str = "tokenizer.json";

/// The tokenizer of one model.
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    limit: usize,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of the model directory `dir`, for the model of `config`.
    ///
    /// # Errors
    ///
    /// When the directory or the file is missing, unreadable or no tokenizer, and when the tokenizer has ids
    /// that the model has no embedding for.
    pub fn load(dir: &Path, config: &Config) -> Result<Self, HostError> {
        Self::parse(&crate::files::read(dir, TOKENIZER)?, &dir.join(TOKENIZER), config)
    }

    /// The tokenizer of these bytes of a `tokenizer.json`; `path` is only named in errors.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::load`], without those of files.
    pub fn parse(bytes: &[u8], path: &Path, config: &Config) -> Result<Self, HostError> {
        let corrupt = |source: tokenizers::Error| HostError::Corrupt {
            path: path.to_path_buf(),
            expected: "a Hugging Face tokenizer in JSON",
            reason: source.to_string(),
        };
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(corrupt)?;
        // A stored truncation would shorten prompts without a word; padding would add tokens.
        inner.with_truncation(None).map_err(corrupt)?;
        inner.with_padding(None);
        if let Some(id) = inner.get_vocab(true).into_values().max()
            && usize::try_from(id).map_or(true, |id| id >= config.vocab_size)
        {
            return Err(HostError::TokenizerVocabulary { id, vocab: config.vocab_size });
        }
        Ok(Self { inner, limit: config.max_position_embeddings })
    }

    /// The token ids of a prompt, with the special tokens the tokenizer itself adds: at least one, at most the
    /// model's `max_position_embeddings`.
    ///
    /// # Errors
    ///
    /// [`HostError::EmptyPrompt`] when no token comes of `text`, [`HostError::TooLong`] when more come than the
    /// model has positions, [`HostError::Tokenizer`] when the tokenizer refuses.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, HostError> {
        self.within_limit(self.encode_text(text)?)
    }

    /// The token ids of a text that a [chat template](crate::Chat) made, whose special tokens are in it already.
    ///
    /// # Errors
    ///
    /// As [`Tokenizer::encode`].
    pub fn encode_chat(&self, text: &str) -> Result<Vec<u32>, HostError> {
        self.within_limit(self.ids(text, false)?)
    }

    fn within_limit(&self, ids: Vec<u32>) -> Result<Vec<u32>, HostError> {
        if ids.is_empty() {
            return Err(HostError::EmptyPrompt);
        }
        if ids.len() > self.limit {
            return Err(HostError::TooLong { tokens: ids.len(), limit: self.limit });
        }
        Ok(ids)
    }

    /// The token ids of a text of any length, with the special tokens the tokenizer itself adds.
    ///
    /// # Errors
    ///
    /// [`HostError::Tokenizer`] when the tokenizer refuses.
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, HostError> {
        self.ids(text, true)
    }

    fn ids(&self, text: &str, special: bool) -> Result<Vec<u32>, HostError> {
        let encoding =
            self.inner.encode_fast(text, special).map_err(|source| failed("encode a text", &source))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of `ids`, special tokens spelt out. Ids that the tokenizer does not know give no text: a model's
    /// embedding may be padded beyond its tokenizer.
    ///
    /// # Errors
    ///
    /// [`HostError::Tokenizer`] when the tokenizer refuses.
    pub fn decode(&self, ids: &[u32]) -> Result<String, HostError> {
        self.inner.decode(ids, false).map_err(|source| failed("decode ids", &source))
    }
}

fn failed(action: &'static str, source: &tokenizers::Error) -> HostError {
    HostError::Tokenizer { action, reason: source.to_string() }
}
