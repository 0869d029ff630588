// SPDX-License-Identifier: Apache-2.0
//! How well a model foretells a text: in binary32, and on the numerics of the hardware.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use tandem_model::numerics::{BLOCK_LEN, MxFp4Block, ScaleRule};
use tandem_model::reference::decoder::Decoder;

use crate::checkpoint::Checkpoint;
use crate::error::HostError;
use crate::forward::Forward;
use crate::import::Packed;
use crate::observe::Unobserved;
use crate::tokenizer::Tokenizer;

/// Tokens of a window, unless the options say otherwise.
pub const DEFAULT_WINDOW: usize = 512;

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerplexityOptions {
    /// The text is cut into windows of so many tokens. The first token of a window is not foretold, each other one from those
    /// ahead of it in the window.
    pub window: usize,
    /// Windows that are measured; `None` is all.
    pub windows: Option<usize>,
    /// Formats of K and V on the numerics of the hardware: MXINT8 for true, else MXFP4.
    pub int8: Vec<bool>,
    /// Windows that are measured beside each other.
    pub threads: usize,
}

impl Default for PerplexityOptions {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { window: DEFAULT_WINDOW, windows: None, int8: vec![false, true], threads }
    }
}

/// How far a measurement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerplexityProgress {
    /// Windows so far.
    pub done: usize,
    /// Windows.
    pub of: usize,
}

/// How well a text was foretold.
#[derive(Clone, Debug, PartialEq)]
pub struct Perplexity {
    /// Tokens that were foretold.
    pub tokens: usize,
    /// Nats per token in binary32.
    pub binary32: f64,
    /// Nats per token in binary32 with K and V in MXFP4: what this format costs, whatever computes with it.
    pub rounded: f64,
    /// Nats per token on the numerics of the hardware, for each of [`PerplexityOptions::int8`].
    pub hardware: Vec<f64>,
}

impl Perplexity {
    /// The perplexity of so many nats per token.
    #[must_use]
    pub fn of(nats: f64) -> f64 {
        nats.exp()
    }

    /// By what part the perplexity of so many nats per token is above that in binary32.
    #[must_use]
    pub fn above(&self, nats: f64) -> f64 {
        (nats - self.binary32).exp_m1()
    }
}

/// The tokens of a text whose lines are paragraphs, each with the token `end` behind it. Empty lines are none.
///
/// Models that were trained on texts of this form foretell badly what comes behind a line feed.
///
/// # Errors
///
/// As [`Tokenizer::encode_text`].
pub fn paragraphs(tokenizer: &Tokenizer, text: &str, end: u32) -> Result<Vec<u32>, HostError> {
    let mut tokens = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        tokens.extend(tokenizer.encode_text(line)?);
        tokens.push(end);
    }
    Ok(tokens)
}

/// Measures a text. `packed` is the packed `checkpoint`. `each` is told how far it is and stops it by returning false.
///
/// # Errors
///
/// [`HostError::Option`] for a window that is longer than the model's positions or the packed context, or shorter than 2
/// tokens; [`HostError::ShortText`] when no token of the text is foretold; [`HostError::UnknownToken`];
/// [`HostError::Stopped`].
pub fn perplexity(
    checkpoint: &Checkpoint,
    packed: &Packed,
    tokens: &[u32],
    options: &PerplexityOptions,
    each: &mut dyn FnMut(PerplexityProgress) -> bool,
) -> Result<Perplexity, HostError> {
    let limit = packed.manifest.context.min(checkpoint.config.max_position_embeddings);
    if !(2..=limit).contains(&options.window) {
        let expected = format!("between 2 and {limit} tokens, the context of the model");
        return Err(HostError::Option { option: "window", expected, found: options.window.to_string() });
    }
    let vocab = checkpoint.config.vocab_size;
    if let Some(&id) = tokens.iter().find(|&&id| usize::try_from(id).map_or(true, |id| id >= vocab)) {
        return Err(HostError::UnknownToken { id, vocab });
    }
    let most = options.windows.unwrap_or(usize::MAX);
    let windows: Vec<&[u32]> = tokens.chunks(options.window).filter(|w| w.len() > 1).take(most).collect();
    if windows.is_empty() {
        return Err(HostError::ShortText { tokens: tokens.len() });
    }
    let forward = Forward::new(checkpoint)?;
    let rounded = Forward::new(checkpoint)?.rounding(to_mxfp4);
    let decoders: Vec<Decoder> = options.int8.iter().map(|&int8| packed.decoder(int8)).collect();
    let sums = in_turns(&windows, options.threads, each, &|window| {
        let mut sums = vec![in_binary32(&forward, window)?, in_binary32(&rounded, window)?];
        sums.extend(decoders.iter().map(|decoder| on_hardware(decoder, window)));
        Ok(sums)
    })?;

    let foretold: usize = windows.iter().map(|window| window.len() - 1).sum();
    let tokens = f64::from(u32::try_from(foretold).expect("a text that fits in memory as tokens of 32 bits"));
    // In the order of the text, so that threads change nothing.
    let mean = |which: usize| sums.iter().map(|sums| sums[which]).sum::<f64>() / tokens;
    Ok(Perplexity {
        tokens: foretold,
        binary32: mean(0),
        rounded: mean(1),
        hardware: (2..2 + decoders.len()).map(mean).collect(),
    })
}

/// Sums over a window, one for each way to compute.
type Work<'a> = dyn Fn(&[u32]) -> Result<Vec<f64>, HostError> + Sync + 'a;

/// What `work` makes of every window, in their order, by so many threads.
fn in_turns(
    windows: &[&[u32]],
    threads: usize,
    each: &mut dyn FnMut(PerplexityProgress) -> bool,
    work: &Work<'_>,
) -> Result<Vec<Vec<f64>>, HostError> {
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut results = vec![Vec::new(); windows.len()];
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..threads.clamp(1, windows.len()) {
            let sender = sender.clone();
            let (next, stop) = (&next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(window) = windows.get(number) else { break };
                    if sender.send((number, work(window))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut outcome = Ok(());
        for (done, (number, result)) in (1..).zip(receiver) {
            match result {
                Ok(sums) => results[number] = sums,
                Err(error) => outcome = outcome.and(Err(error)),
            }
            if outcome.is_ok() && !each(PerplexityProgress { done, of: windows.len() }) {
                outcome = Err(HostError::Stopped);
            }
            if outcome.is_err() {
                stop.store(true, Ordering::Relaxed);
            }
        }
        outcome
    })?;
    Ok(results)
}

/// Nats of all tokens of a window but the first.
fn in_binary32(forward: &Forward<'_>, window: &[u32]) -> Result<f64, HostError> {
    let last = window.len() - 1;
    let logits = forward.step(&mut forward.cache(), &window[..last], &mut Unobserved)?.logits;
    Ok(nats(&logits, &window[1..]))
}

/// Rounds to MXFP4 and back. Heads are whole blocks: the model is packed.
fn to_mxfp4(values: &mut [f32]) {
    for block in values.as_chunks_mut::<BLOCK_LEN>().0 {
        *block = MxFp4Block::quantise(block, ScaleRule::Even).block.dequantise_f32();
    }
}

/// The same on the numerics of the hardware.
fn on_hardware(decoder: &Decoder, window: &[u32]) -> f64 {
    let last = window.len() - 1;
    let step = decoder.step(&mut decoder.cache(), &window[..last], 0..last);
    let logits: Vec<f32> = step.logits.iter().map(|&bits| f32::from_bits(bits)).collect();
    nats(&logits, &window[1..])
}

/// Sum over the tokens of what each is worth, with as many logits for each of them: -ln of its share.
fn nats(logits: &[f32], tokens: &[u32]) -> f64 {
    let rows = logits.chunks_exact(logits.len() / tokens.len()).zip(tokens);
    rows.map(|(logits, &token)| {
        let logit = |at: usize| f64::from(logits[at]);
        let most = (0..logits.len()).map(logit).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = (0..logits.len()).map(|at| (logit(at) - most).exp()).sum();
        most + total.ln() - logit(usize::try_from(token).expect("an index"))
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nats_of_equal_logits_are_the_logarithm_of_their_number() {
        assert!((nats(&[3.0; 8], &[1, 3]) - 2.0 * 4f64.ln()).abs() < 1e-12);
        // Far logits neither overflow nor vanish.
        assert!((nats(&[1000.0, 0.0], &[1]) - 1000.0).abs() < 1e-9);
        assert!(nats(&[1000.0, 0.0], &[0]).abs() < 1e-9);
    }

    #[test]
    fn windows_come_in_order_whatever_the_threads() {
        let text: Vec<u32> = (0..100).collect();
        let windows: Vec<&[u32]> = text.chunks(7).collect();
        let work = |window: &[u32]| Ok(vec![f64::from(window[0])]);
        for threads in [1, 3, 50] {
            let mut seen = Vec::new();
            let mut each = |progress: PerplexityProgress| {
                seen.push(progress.done);
                true
            };
            let results = in_turns(&windows, threads, &mut each, &work).unwrap();
            let expected: Vec<Vec<f64>> = windows.iter().map(|w| vec![f64::from(w[0])]).collect();
            assert_eq!(results, expected);
            assert_eq!(seen, (1..=windows.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_error_and_a_stop_end_it() {
        let text: Vec<u32> = (0..1000).collect();
        let windows: Vec<&[u32]> = text.chunks(2).collect();
        let stopped = in_turns(&windows, 2, &mut |progress| progress.done < 3, &|_| Ok(Vec::new()));
        assert!(matches!(stopped, Err(HostError::Stopped)));
        let failed = in_turns(&windows, 2, &mut |_| true, &|_| Err(HostError::EmptyPrompt));
        assert!(matches!(failed, Err(HostError::EmptyPrompt)));
    }
}
