// SPDX-License-Identifier: Apache-2.0
//! What the jobs over a checkpoint have in common: operands and commands for the core, put together step by step, and the core
//! that runs them.

use std::time::Instant;

use anyhow::{Context, bail};
use tandem_host::program::{Program, Region, Step};
use tandem_model::array::Geometry;
use tandem_model::control::command::{Command, STATUSES, name_of};
use tandem_model::control::types::{OPERAND_CHUNKS, STATUS_DONE};
use tandem_model::core::core::Core;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::DutError;
use tandem_testbenches::core::{CoreDut, CoreInputs, CoreOutputs, CorePort, Finished};

use super::run::{Prepared, Surroundings};
use super::{Options, Totals, as_f64};
use crate::engine::Runner;

/// What is placed begins at a multiple of this, the first at the first.
const PAGE: u64 = 4096;
/// Where results begin: far above all that is read.
const RESULTS: u64 = 1 << 39;
/// Pairs of commands that may be under way: as many tokens for loads, and as many for what uses them.
const PAIRS: usize = 4;

/// Commands in pairs, the first of which loads the operands of the second, and the memory that they work on.
///
/// The operands of a pair are loaded, and what it streams is fetched, while pairs before it are at work.
pub(super) struct Draft {
    geometry: Geometry,
    /// Chunks of operands that a pair takes, and how many pairs have their own.
    chunks: usize,
    places: usize,
    program: Program,
    free: u64,
}

impl Draft {
    /// Nothing yet. No pair takes more chunks of operands than this.
    pub fn new(geometry: Geometry, chunks: usize) -> Self {
        let program =
            Program { regions: Vec::new(), steps: Vec::new(), bounds: RESULTS..RESULTS, pinned: false };
        Self { geometry, chunks, places: (OPERAND_CHUNKS / chunks).clamp(1, PAIRS), program, free: PAGE }
    }

    /// Puts bytes into memory; their address.
    pub fn place(&mut self, bytes: Vec<u8>) -> u64 {
        let (address, name) = (self.free, self.program.regions.len().to_string());
        let region = Region { name, address, bytes };
        self.free = region.range().end.next_multiple_of(PAGE);
        self.program.regions.push(region);
        address
    }

    /// Adds a pair; operands, tokens and destination are filled in. Gives the address of so many bytes of results.
    pub fn pair(&mut self, load: Command, work: Command, result_bytes: usize) -> u64 {
        let number = self.program.steps.len() / 2;
        let loaded = |pair: usize| 1 << (pair % PAIRS);
        let worked = |pair: usize| 1 << (PAIRS + pair % PAIRS);
        let operand = u8::try_from(number % self.places * self.chunks).expect("a chunk of the operand files");
        let destination = self.program.bounds.end;
        self.program.bounds.end += result_bytes as u64;
        let load = Command {
            operand,
            // The operands that lie there are used up.
            wait_tokens: number.checked_sub(self.places).map_or(0, worked),
            signal_tokens: loaded(number),
            ..load
        };
        let work = Command {
            operand,
            wait_array: loaded(number),
            signal_tokens: worked(number),
            destination,
            ..work
        };
        let steps = [load, work].map(|command| Step { words: command.words(), expect: None });
        self.program.steps.extend(steps);
        destination
    }

    /// The program, and what it does by the definition. The last command notifies the host.
    ///
    /// # Errors
    /// When the core does not take a command.
    pub fn prepare(mut self) -> anyhow::Result<Prepared> {
        if let Some(last) = self.program.steps.last_mut() {
            let mut command = Command::from_words(&last.words);
            command.flags.notify = true;
            last.words = command.words();
        }
        let mut machine = self.program.machine(self.geometry);
        let mut statuses = Vec::new();
        for (index, step) in self.program.steps.iter().enumerate() {
            let status = machine.run(&step.words).with_context(|| format!("command {index}"))?;
            if u16::from(status) != STATUS_DONE {
                let told = name_of(&STATUSES, status.into()).unwrap_or("an unknown status");
                bail!("command {index}, {:?}, ends with {told}", Command::from_words(&step.words));
            }
            statuses.push(status);
        }
        Ok(Prepared { program: self.program, statuses, image: machine.image })
    }
}

/// A core, its memory, and what all programs so far took.
pub(super) struct CoreOfJob {
    runner: Runner<Core>,
    surroundings: Surroundings,
    clocks: u64,
    seconds: f64,
}

impl CoreOfJob {
    pub fn new(options: &Options) -> anyhow::Result<Self> {
        let (device, model) = (Device::of(Kind::Core, options.geometry), Core::new(options.geometry));
        let Options { engine, seed, failure, wave, memory, stalls, .. } = options;
        let runner = Runner::new(*engine, device, model, *seed, failure, wave.as_deref())?;
        let surroundings = Surroundings { memory: *memory, stalls: *stalls, seed: *seed };
        Ok(Self { runner, surroundings, clocks: 0, seconds: 0.0 })
    }

    /// Runs a program from reset, and holds all that comes out against the definition.
    pub fn run(&mut self, prepared: &Prepared, label: &str) -> anyhow::Result<Finished> {
        let start = Instant::now();
        let mut core = Counted { core: CoreDut(self.runner.dut()), clocks: &mut self.clocks };
        let outcome = prepared.run_on(&mut core, &self.surroundings, label);
        self.seconds += start.elapsed().as_secs_f64();
        Ok(outcome?.finished)
    }

    /// After the last program.
    pub fn finish(mut self, totals: &mut Totals) -> anyhow::Result<()> {
        let start = Instant::now();
        if let Some(compared) = self.runner.finish()? {
            totals.registers = compared.registers;
            totals.bits = compared.bits;
            totals.memory_bits = compared.memory_bits;
            totals.written_bits = compared.written_bits;
        }
        totals.cycles = self.clocks;
        totals.seconds = self.seconds + start.elapsed().as_secs_f64();
        totals.cycles_per_second = as_f64(totals.cycles) / totals.seconds;
        Ok(())
    }
}

/// A core whose clocks are counted, however a run ends.
struct Counted<'a> {
    core: CoreDut<'a>,
    clocks: &'a mut u64,
}

impl CorePort for Counted<'_> {
    fn clock(&mut self, rst_ni: bool, inputs: &CoreInputs) -> Result<(), DutError> {
        *self.clocks += 1;
        self.core.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> CoreOutputs {
        self.core.outputs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunks, tokens that the loads wait for.
    #[test]
    fn a_load_waits_for_what_uses_the_operands_that_lie_there() {
        for (chunks, operands, waits) in [
            (3, [0, 3, 6, 9, 0, 3], [0, 0, 0, 0, 0x10, 0x20]),
            (50, [0, 50, 0, 50, 0, 50], [0, 0, 0x10, 0x20, 0x40, 0x80]),
            (128, [0; 6], [0, 0x10, 0x20, 0x40, 0x80, 0x10]),
        ] {
            let mut draft = Draft::new(Geometry::ALL[0], chunks);
            for pair in 0..6 {
                let at = draft.pair(Command::default(), Command::default(), 64);
                assert_eq!(at, RESULTS + 64 * pair);
            }
            let commands: Vec<_> =
                draft.program.steps.iter().map(|step| Command::from_words(&step.words)).collect();
            let pairs = || commands.chunks(2);
            assert_eq!(pairs().map(|two| two[0].operand).collect::<Vec<_>>(), operands);
            assert_eq!(pairs().map(|two| two[0].wait_tokens).collect::<Vec<_>>(), waits);
            for (number, two) in pairs().enumerate() {
                assert_eq!(two[0].operand, two[1].operand);
                assert_eq!((two[0].signal_tokens, two[1].wait_array), (1 << (number % 4), 1 << (number % 4)));
                assert_eq!(two[1].signal_tokens, 0x10 << (number % 4));
            }
        }
    }

    #[test]
    fn a_command_that_the_core_does_not_take_is_told() {
        let mut draft = Draft::new(Geometry::ALL[0], 1);
        draft.pair(Command { opcode: 99, ..Command::default() }, Command::default(), 0);
        let error = draft.prepare().expect_err("there is no opcode 99").to_string();
        assert!(error.contains("command 0, ") && error.ends_with("ends with opcode"), "{error}");
    }
}
