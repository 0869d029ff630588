// SPDX-License-Identifier: Apache-2.0
//! Steps of a decoder as commands for the core: what a packed model does to a few tokens of a session.
//!
//! A [`Plan`] says what lies where in memory. The host
//!
//! 1. stores the image of the [`Packed`](crate::import::Packed) model at address 0, and zeros at [`Plan::zeroed`];
//! 2. for a step of up to [`Plan::rows`] tokens, stores [`ids_word`] of them at [`Plan::ids`];
//! 3. runs the commands of [`Plan::step`]: the core may write within [`Plan::zeroed`] alone;
//! 4. when all of them are done, reads the token with the largest logit of every row, [`best_of`] the word at
//!    [`Plan::best`], and the logits at [`Plan::logits`].
//!
//! K and V of the session stay in memory, so the next step begins at the next position.

mod commands;
mod layers;
mod memory;
mod schedule;

use std::ops::Range;

use tandem_model::array::Geometry;
use tandem_model::control::command::Command;

use crate::config::Config;
use crate::error::HostError;
use crate::import::Manifest;

use self::memory::Memory;

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// The core.
    pub geometry: Geometry,
    /// Tokens of the longest session, at most the packed model's context; `None` is as many.
    pub context: Option<usize>,
    /// K and V are MXINT8, else MXFP4.
    pub int8: bool,
}

/// What lies where, and what every command needs to know of the model.
#[derive(Clone, Debug)]
pub struct Plan {
    manifest: Manifest,
    options: PlanOptions,
    memory: Memory,
}

/// What a command is part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Label {
    /// Layer; `None` before the first and behind the last one.
    pub layer: Option<usize>,
    /// What it makes, or what it is for: `embed`, `norm`, `kv`, `attend` and so on.
    pub what: &'static str,
    /// Head of K and V, where it is of one.
    pub head: Option<usize>,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(layer) = self.layer {
            write!(f, "layer {layer}, ")?;
        }
        f.write_str(self.what)?;
        self.head.map_or(Ok(()), |head| write!(f, " {head}"))
    }
}

/// The commands of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In the order of the ring.
    pub commands: Vec<Command>,
    /// What each of them is part of.
    pub labels: Vec<Label>,
}

impl Plan {
    /// Lays out memory behind the image of a packed model.
    ///
    /// # Errors
    ///
    /// [`HostError::Option`] when the core is not the one that the model was packed for, or the context is none of the
    /// model's; [`HostError::Config`] when memory ends before the model does.
    pub fn new(manifest: &Manifest, options: PlanOptions) -> Result<Self, HostError> {
        let segments = options.geometry.segments;
        if segments != manifest.segments {
            let expected = format!("one of {} segments, for which the model was packed", manifest.segments);
            let found = format!("{}, which has {segments}", options.geometry.name);
            return Err(HostError::Option { option: "geometry", expected, found });
        }
        let context = options.context.unwrap_or(manifest.context);
        if context == 0 || context > manifest.context {
            let expected = format!("between 1 and {}, the context of the packed model", manifest.context);
            return Err(HostError::Option { option: "context", expected, found: context.to_string() });
        }
        let memory = Memory::new(manifest, &options, context)?;
        Ok(Self { manifest: manifest.clone(), options, memory })
    }

    /// The commands that append `tokens` tokens to a session which has `first`. `logits`: the largest logit of every token is
    /// wanted, and they are left in memory; else the step only fills K and V.
    ///
    /// # Errors
    ///
    /// [`HostError::Option`] when there are no tokens, or more than rows; [`HostError::Context`] when the session grows too
    /// long.
    pub fn step(&self, first: usize, tokens: usize, logits: bool) -> Result<Step, HostError> {
        let rows = self.rows();
        if tokens == 0 || tokens > rows {
            let expected = format!("between 1 and {rows}, the rows of the core");
            return Err(HostError::Option {
                option: "tokens of a step",
                expected,
                found: tokens.to_string(),
            });
        }
        let (end, limit) = (first.saturating_add(tokens), self.context());
        if end > limit {
            return Err(HostError::Context { tokens: end, limit });
        }
        let (commands, labels) = layers::step(self, first, tokens, logits);
        Ok(Step { commands, labels })
    }

    /// Most tokens of a step.
    #[must_use]
    pub const fn rows(&self) -> usize {
        self.options.geometry.rows
    }

    /// Most tokens of a session.
    #[must_use]
    pub const fn context(&self) -> usize {
        self.memory.context
    }

    /// What must be zero before the first step, and where the core writes: everything behind the image.
    #[must_use]
    pub const fn zeroed(&self) -> Range<u64> {
        self.memory.ids..self.memory.end
    }

    /// End of all memory of the plan; rings may lie behind it.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.memory.end
    }

    /// Where the ids of a step's tokens are expected: [`ids_word`].
    #[must_use]
    pub const fn ids(&self) -> u64 {
        self.memory.ids
    }

    /// Where a step with logits leaves the largest one of every row: [`best_of`].
    #[must_use]
    pub const fn best(&self) -> u64 {
        self.memory.best
    }

    /// Where it leaves all of them, in the layout of results with as many rows as the step has tokens.
    #[must_use]
    pub const fn logits(&self) -> u64 {
        self.memory.logits
    }

    /// Where a layer's attention leaves the results of all heads, head after head, each in the layout of results.
    #[must_use]
    pub const fn attended(&self) -> u64 {
        self.memory.mixed
    }

    /// Where it leaves the output of attention's last matrix, results.
    #[must_use]
    pub const fn projected(&self) -> u64 {
        self.memory.o
    }

    /// Where K and V of a head of a layer lie.
    #[must_use]
    pub const fn region(&self, layer: usize, head: usize) -> u64 {
        let Memory { cache, region, kv_heads, .. } = self.memory;
        cache + ((layer * kv_heads + head) as u64) * region
    }

    /// The model.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.manifest.config
    }

    /// K and V are MXINT8, else MXFP4.
    #[must_use]
    pub const fn int8(&self) -> bool {
        self.options.int8
    }
}

/// Tokens as the core reads them.
///
/// # Panics
///
/// When there are more than 16.
#[must_use]
pub fn ids_word(ids: &[u32]) -> [u8; 64] {
    let mut word = [0; 64];
    for (to, id) in word.chunks_exact_mut(4).zip(ids) {
        to.copy_from_slice(&id.to_le_bytes());
    }
    assert!(ids.len() <= 16, "a word has 16 ids");
    word
}

/// The token with the largest logit of every row, and that logit.
#[must_use]
pub fn best_of(word: &[u8; 64], rows: usize) -> Vec<(u32, f32)> {
    let number = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| word[at + i]));
    (0..rows).map(|row| (number(4 * row), f32::from_bits(number(32 + 4 * row)))).collect()
}
