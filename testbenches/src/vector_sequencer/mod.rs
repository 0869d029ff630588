// SPDX-License-Identifier: Apache-2.0
//! The sequencer of the vector unit among stand-ins for memory, lanes, sums, argmax and writer, which do not compute: every
//! word of memory is a hash of its address, so what is issued tells where it was read. Order, operands, tags, places and ends
//! of commands must be what the commands' definition says.

mod command;
mod driver;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::control::types::{OPCODE_ARGMAX, OPCODE_EMBED, OPCODE_HEADS};
use tandem_model::vector::types::HeadsMode;
use tandem_model::vector::vector_sequencer::VectorSequencer;

use crate::bench::{Bench, Coverage};
use crate::dut::{Dut, DutError};

pub use command::Command;
use command::Work;
use driver::Driver;
pub use driver::Timing;

/// Property test of `vector_sequencer`.
#[derive(Clone, Copy, Debug)]
pub struct SequencerBench;

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// One after the other.
    pub commands: Vec<Command>,
    /// Of 256 cycles, in how many do not move: requests and words, writer, commands.
    pub stalls: [u8; 3],
    /// Cycles from a request to its first word, at least.
    pub latency: u8,
    /// Chance in 256 that a request meets an error.
    pub errors: u8,
    /// Resets the sequencer after so many cycles.
    pub reset_after: Option<u16>,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 35] = [
    "Embed",
    "Add",
    "Norm",
    "Angles",
    "Heads",
    "Gate",
    "Quantise",
    "Argmax",
    "one row",
    "eight rows",
    "one group beyond a chunk",
    "chunk of less than 16",
    "several chunks",
    "row number beyond the table",
    "heads of 128",
    "heads of 64",
    "plain heads",
    "rotated heads",
    "heads to operand rows",
    "heads to K of FP4 records",
    "heads to V of FP4 records",
    "heads to INT8 records",
    "several batches",
    "last batch of fewer heads",
    "whole batch of eight units",
    "several heads to a row",
    "unused features of the last word",
    "read refused",
    "write refused",
    "read and write refused",
    "writer is not ready",
    "word waits for the writer",
    "end of a command waits",
    "command waits",
    "reset in a command",
];

/// When a command was taken and issued that nothing holds up: of `rows` rows of `size` features, or of so many heads of 128,
/// normed and rotated. Memory answers after `latency` cycles, a reduction takes 103.
///
/// # Errors
/// What the device or its answers had wrong.
pub fn timing(
    (opcode, rows, size): (u16, u64, u64),
    latency: u8,
    dut: &mut dyn Dut<VectorSequencer>,
) -> Result<Timing, DutError> {
    let case = Case { commands: Vec::new(), stalls: [0; 3], latency, errors: 0, reset_after: None, seed: 1 };
    let mut work = Work::new(Command { opcode, seed: 1 });
    work.rows = rows;
    if opcode == OPCODE_HEADS {
        work.wide = true;
        work.count = size;
        work.mode = HeadsMode { rotated: true, ..HeadsMode::default() };
        work.int8 = false;
    } else {
        work.length = size;
    }
    work.encode();
    let mut driver = Driver::new(&case, dut);
    driver.waiting.push_back(work);
    driver.run(&mut Coverage::default())?;
    Ok(driver.timings[0])
}
impl Bench for SequencerBench {
    type Block = VectorSequencer;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let command = (OPCODE_EMBED..=OPCODE_ARGMAX, any::<u64>());
        let command = command.prop_map(|(opcode, seed)| Command { opcode, seed });
        let stall = prop_oneof![2 => Just(0u8), 1 => 0u8..160];
        let latency = prop_oneof![Just(0u8), 1u8..100];
        let errors = prop_oneof![2 => Just(0u8), 1 => 1u8..120];
        let reset_after = proptest::option::weighted(0.3, 0u16..1500);
        (
            vec(command, 1..8),
            [stall.clone(), stall.clone(), stall],
            latency,
            errors,
            reset_after,
            any::<u64>(),
        )
            .prop_map(|(commands, stalls, latency, errors, reset_after, seed)| Case {
                commands,
                stalls,
                latency,
                errors,
                reset_after,
                seed,
            })
            .boxed()
    }

    fn model(&self) -> VectorSequencer {
        VectorSequencer::default()
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<VectorSequencer>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        Driver::new(case, dut).run(coverage)
    }
}
