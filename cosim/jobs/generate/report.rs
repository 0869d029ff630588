// SPDX-License-Identifier: Apache-2.0
//! What a session of tokens took.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Serialize;
use tandem_host::lower::Label;
use tandem_testbenches::core::{Span, UNIT_NAMES};

use super::Options;
use crate::jobs::as_f64;
use crate::jobs::run::Memory;

/// Barriers that are told.
const WORST: usize = 5;

/// What a pass is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Tokens of the prompt.
    Prefill,
    /// One token.
    Decode,
    /// One token, and drafted ones behind it.
    Verify,
}

/// A pass over the model.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pass {
    /// What it is for.
    pub purpose: Purpose,
    /// Position of its first token.
    pub first: usize,
    /// Its tokens.
    pub tokens: usize,
    /// From the doorbell to the last completion.
    pub cycles: u64,
    /// Bytes of weights, K and V that must cross the memory port once.
    pub streamed_bytes: u64,
    /// Bytes read in all.
    pub bytes_read: u64,
    /// Bytes written.
    pub bytes_written: u64,
    /// `streamed_bytes` by what the port could bring in these cycles.
    pub utilisation: f64,
}

/// Cycles in which the array waits for what a command needs.
#[derive(Clone, Debug, Serialize)]
pub struct Barrier {
    /// The command, or what is left to do behind the last one.
    pub before: String,
    /// Cycles per pass that it is in.
    pub cycles: f64,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Engine.
    pub engine: &'static str,
    /// Geometry.
    pub geometry: &'static str,
    /// What was behind the memory port.
    pub memory: Memory,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens that were generated.
    pub tokens: Vec<u32>,
    /// Prompt and what came behind it.
    pub text: String,
    /// The last token ends a text.
    pub stopped: bool,
    /// Tokens that were drafted.
    pub drafted: usize,
    /// Of these: that were right.
    pub accepted: usize,
    /// Pass by pass.
    pub passes: Vec<Pass>,
    /// The worst ones behind the prompt.
    pub barriers: Vec<Barrier>,
    /// Clock for `tokens_per_second`, MHz.
    pub clock_mhz: f64,
    /// Tokens generated per second at that clock, behind the prompt.
    pub tokens_per_second: f64,
    /// Registers compared at every clock.
    pub registers: u64,
    /// Bits compared at every clock.
    pub bits: u64,
    /// Clocks in all.
    pub all_cycles: u64,
    /// Wall time, seconds.
    pub seconds: f64,
    /// Simulated cycles per second.
    pub cycles_per_second: f64,
    /// Ctrl-C ended it early.
    pub interrupted: bool,
    #[serde(skip)]
    waits: BTreeMap<String, (u64, u64)>,
}

impl Report {
    pub(crate) fn new(options: &Options, prompt_tokens: usize) -> Self {
        Self {
            engine: options.engine.name(),
            geometry: options.geometry.name,
            memory: options.memory,
            prompt_tokens,
            tokens: Vec::new(),
            text: String::new(),
            stopped: false,
            drafted: 0,
            accepted: 0,
            passes: Vec::new(),
            barriers: Vec::new(),
            clock_mhz: options.clock,
            tokens_per_second: 0.0,
            registers: 0,
            bits: 0,
            all_cycles: 0,
            seconds: 0.0,
            cycles_per_second: 0.0,
            interrupted: false,
            waits: BTreeMap::new(),
        }
    }

    /// Notes what a pass waited for.
    pub(super) fn add_barriers(&mut self, waits: Vec<(String, u64)>) {
        for (before, cycles) in waits {
            let (all, passes) = self.waits.entry(before).or_default();
            *all += cycles;
            *passes += 1;
        }
    }

    /// What follows from all passes.
    pub(super) fn conclude(&mut self) {
        let barrier = |(before, &(all, passes)): (&String, &(u64, u64))| Barrier {
            before: before.clone(),
            cycles: as_f64(all) / as_f64(passes),
        };
        self.barriers = self.waits.iter().map(barrier).collect();
        self.barriers.sort_by(|a, b| b.cycles.total_cmp(&a.cycles));
        self.barriers.truncate(WORST);
        let behind: u64 = self.generating().map(|pass| pass.cycles).sum();
        // The first token comes with the prompt's last pass.
        let tokens = self.tokens.len().saturating_sub(1) as u64;
        if behind > 0 {
            self.tokens_per_second = as_f64(tokens) * self.clock_mhz * 1e6 / as_f64(behind);
        }
    }

    fn generating(&self) -> impl Iterator<Item = &Pass> {
        self.passes.iter().filter(|pass| pass.purpose != Purpose::Prefill)
    }
}

/// Cycles in which the array had nothing to do, by the command that it then began, and those behind its last one.
pub(super) fn barriers<'a>(
    spans: &[Span],
    cycles: &Range<u64>,
    label: impl Fn(&Span) -> Option<&'a Label>,
) -> Vec<(String, u64)> {
    let array = UNIT_NAMES.iter().position(|name| *name == "array");
    let mut idle = BTreeMap::<String, u64>::new();
    let mut since = cycles.start;
    for span in spans.iter().filter(|span| Some(span.unit) == array) {
        if let Some(label) = label(span) {
            *idle.entry(label.to_string()).or_default() += span.start.saturating_sub(since) + span.starved;
        }
        since = since.max(span.end);
    }
    *idle.entry("the end of the pass".to_owned()).or_default() += cycles.end.saturating_sub(since);
    idle.into_iter().collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefill = self.passes.iter().filter(|pass| pass.purpose == Purpose::Prefill);
        let (mut passes, mut cycles) = (0, 0);
        for pass in prefill {
            (passes, cycles) = (passes + 1, cycles + pass.cycles);
        }
        writeln!(f, "prompt     {:>5} tokens in {passes} passes, {cycles} cycles", self.prompt_tokens)?;
        let all: Vec<&Pass> = self.generating().collect();
        let of = |value: fn(&Pass) -> u64| as_f64(all.iter().map(|pass| value(pass)).sum());
        if !all.is_empty() {
            let tokens = as_f64(self.tokens.len().saturating_sub(1) as u64);
            let (cycles, streamed) = (of(|pass| pass.cycles), of(|pass| pass.streamed_bytes));
            writeln!(
                f,
                "generated  {:>5} tokens, the first with the prompt, {} in {} passes: {:.0} cycles per token\n\
                 port       {:.0} bytes of weights, K and V per token: {:.1}% of what the port can bring; {:.0} read in all, {:.0} written\n\
                 speed      {:.0} tokens/s at {} MHz",
                self.tokens.len(),
                self.tokens.len().saturating_sub(1),
                all.len(),
                cycles / tokens,
                streamed / tokens,
                100.0 * streamed / (64.0 * cycles),
                of(|pass| pass.bytes_read) / tokens,
                of(|pass| pass.bytes_written) / tokens,
                self.tokens_per_second,
                self.clock_mhz
            )?;
        }
        if self.drafted > 0 {
            writeln!(f, "drafted    {:>5} tokens, {} of them right", self.drafted, self.accepted)?;
        }
        for (i, barrier) in self.barriers.iter().enumerate() {
            let title = if i == 0 { "waits" } else { "" };
            writeln!(f, "{title:<10} {:>5.0} cycles per pass before {}", barrier.cycles, barrier.before)?;
        }
        writeln!(f, "logits and tokens are those of the untimed decoder, bit for bit")?;
        if self.bits > 0 {
            let Self { all_cycles, registers, bits, .. } = self;
            writeln!(f, "compared at each of {all_cycles} clocks: {registers} registers, {bits} bits")?;
        }
        write!(
            f,
            "{} engine, geometry {}, {} memory: {} cycles in {:.1} s, {:.0} cycles/s",
            self.engine,
            self.geometry,
            self.memory.name(),
            self.all_cycles,
            self.seconds,
            self.cycles_per_second
        )
    }
}
