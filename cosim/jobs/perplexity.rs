// SPDX-License-Identifier: Apache-2.0
//! How well a model foretells a text: in binary32 and on the numerics of the core, side by side.

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Serialize;
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::perplexity::{Perplexity, PerplexityOptions, paragraphs, perplexity};
use tandem_host::{Checkpoint, HostError, Tokenizer, stop_ids};
use tandem_model::array::Geometry;

use super::progress;
use crate::interrupt::{self, Interrupted};

/// What is measured, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Checkpoint folder.
    pub model: PathBuf,
    /// The text.
    pub text: PathBuf,
    /// Tokens of a window.
    pub window: usize,
    /// Windows that are measured; `None` is all.
    pub windows: Option<usize>,
    /// Matrices that become MXINT8.
    pub int8: Vec<String>,
    /// Of the core.
    pub geometry: Geometry,
}

/// One way to compute.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which.
    pub numerics: &'static str,
    /// Nats per token.
    pub nats: f64,
    /// Perplexity.
    pub perplexity: f64,
    /// By what part it is above that in binary32.
    pub above: f64,
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Tokens that were foretold.
    pub tokens: usize,
    /// Tokens of a window.
    pub window: usize,
    /// All ways.
    pub rows: Vec<Row>,
    /// Wall time, seconds.
    pub seconds: f64,
}

/// Measures a text whose lines are paragraphs.
///
/// # Errors
/// Bad input, or Ctrl-C.
pub fn run(options: &Options) -> anyhow::Result<Report> {
    let start = Instant::now();
    let text = std::fs::read_to_string(&options.text)
        .with_context(|| format!("expected to read a text in {}", options.text.display()))?;
    let checkpoint = Checkpoint::load(&options.model)?;
    let import = ImportOptions { int8: options.int8.clone(), ..ImportOptions::new(options.geometry) };
    let packed = Packed::of_checkpoint(&checkpoint, &import)?;
    let tokenizer = Tokenizer::load(&options.model, &checkpoint.config)?;
    let Some(&end) = stop_ids(&options.model)?.first() else {
        bail!(
            "expected an eos_token_id in generation_config.json or config.json of {}, found none: paragraphs need a token \
             that ends them",
            options.model.display()
        );
    };
    let tokens = paragraphs(&tokenizer, &text, end)?;
    let how = PerplexityOptions {
        window: options.window,
        windows: options.windows,
        ..PerplexityOptions::default()
    };
    let bar = progress(0, "windows");
    let found = perplexity(&checkpoint, &packed, &tokens, &how, &mut |at| {
        bar.set_length(at.of as u64);
        bar.set_position(at.done as u64);
        !interrupt::raised()
    });
    bar.finish_and_clear();
    let found = found.map_err(|error| match error {
        HostError::Stopped => Interrupted.into(),
        other => anyhow::Error::new(other),
    })?;
    let row =
        |numerics, nats| Row { numerics, nats, perplexity: Perplexity::of(nats), above: found.above(nats) };
    Ok(Report {
        tokens: found.tokens,
        window: options.window,
        rows: vec![
            row("binary32", found.binary32),
            row("binary32, K and V MXFP4", found.rounded),
            row("core, K and V MXFP4", found.hardware[0]),
            row("core, K and V MXINT8", found.hardware[1]),
        ],
        seconds: start.elapsed().as_secs_f64(),
    })
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>10} {:>11} {:>9}", "numerics", "nats/token", "perplexity", "above")?;
        for Row { numerics, nats, perplexity, above } in &self.rows {
            writeln!(f, "{numerics:<24} {nats:>10.4} {perplexity:>11.3} {:>8.2}%", 100.0 * above)?;
        }
        write!(f, "\n{} tokens in windows of {}, {:.1} s", self.tokens, self.window, self.seconds)
    }
}
