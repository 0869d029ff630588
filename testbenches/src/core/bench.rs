// SPDX-License-Identifier: Apache-2.0
//! Random programs on the core: how commands end, and every byte of memory, against the untimed interpreter.

use std::collections::BTreeMap;
use std::ops::Range;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::control::command::{Command, Completion, STATUSES};
use tandem_model::control::types::{OPCODE_ATTEND, OPCODE_GEMV};
use tandem_model::core::core::Core;

use super::generate::{Banks, Generator, Program, Step, What};
use super::{Break, CoreDut, Finished, HostPlan, MEMORY_END, MemoryKind, Run, judge, run, run_interrupted};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::memory::contents::Contents;
use crate::memory::port::Data;

/// Rings of the first program.
const RINGS: u64 = MEMORY_END - 0x10_0000;
/// Rings of the program after a reset.
const LATER_RINGS: u64 = MEMORY_END - 0x8_0000;
/// Cycles without a completion after which a program hangs.
const PATIENCE: u64 = 40_000;
/// Numbers of units in a trace.
const LOAD: usize = 1;
const STREAM: usize = 2;
const ARRAY: usize = 3;
const APPEND: usize = 4;
const RESULTS: usize = 5;

/// Property test of `core`.
#[derive(Clone, Copy, Debug)]
pub struct CoreBench {
    /// Geometry.
    pub geometry: Geometry,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// The program.
    pub steps: Vec<Step>,
    /// A reset so many cycles after the first doorbell, and the program that follows.
    pub then: Option<(Break, u16, Vec<Step>)>,
    /// What the banks are used for.
    pub banks: Banks,
    /// The memory.
    pub memory: MemoryKind,
    /// A hostile memory refuses some writes.
    pub faults: bool,
    /// Tokens in use, less one.
    pub tokens: u8,
    /// log2 of the commands of the ring.
    pub ring_log2: u8,
    /// The host takes its time.
    pub stalls: Option<u64>,
    /// What is left to chance in the memory.
    pub memory_seed: u64,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 58] = [
    "FP4 product",
    "INT8 product",
    "one row",
    "all rows",
    "several tiles of weights",
    "features that are no whole group",
    "several chunks",
    "a chunk that is not full",
    "FP4 head of 64",
    "FP4 head of 128",
    "INT8 head of 64",
    "INT8 head of 128",
    "resident head",
    "streamed head",
    "causal head",
    "window",
    "several tiles of keys",
    "resident and streamed heads in turn",
    "append",
    "append over the end of a tile",
    "an operand is used again",
    "an operand is overwritten",
    "a resident head is used again",
    "a resident head is overwritten",
    "something else is read as data",
    "a token is used again",
    "several tokens are waited for",
    "the array waits for a token",
    "a nop waits",
    "a refused command has tokens",
    "done",
    "opcode",
    "field",
    "alignment",
    "bounds",
    "operand",
    "bank",
    "read_error",
    "write_error",
    "no_keys",
    "a head after a product",
    "a product after a head",
    "a load beside the array",
    "an append beside the array",
    "the stream ahead of the array",
    "results behind the array",
    "done out of order",
    "ideal memory",
    "HBM3",
    "hostile memory",
    "a ring of one command",
    "the ring goes round",
    "the host stalls",
    "hard reset in the middle",
    "soft reset in the middle",
    "soft reset at once",
    "soft reset after the end",
    "soft reset beside a stalled memory",
];

impl CoreBench {
    fn plan(case: &Case, generator: &Generator, program: &Program, rings: u64) -> HostPlan {
        HostPlan {
            commands: program.commands.clone(),
            bounds: generator.bounds.clone(),
            pinned: case.banks == Banks::Pinned,
            rings,
            ring_log2: case.ring_log2,
            stalls: case.stalls,
            patience: PATIENCE,
        }
    }

    fn generator(self, case: &Case) -> Generator {
        let faults = case.faults && case.memory == MemoryKind::Hostile;
        Generator::new(self.geometry, case.banks, u64::from(case.tokens % 16) + 1, faults, case.seed)
    }

    /// Runs a case, and says what came out of its last program.
    ///
    /// # Errors
    /// What the device found wrong, or [`WrongAnswer`].
    pub fn finish(
        self,
        case: &Case,
        dut: &mut dyn Dut<Core>,
        coverage: &mut Coverage,
    ) -> Result<Finished, DutError> {
        let mut generator = self.generator(case);
        let mut program = generator.program(&case.steps);
        let faulty = generator.faulty.clone();
        let mut memory =
            case.memory.make_faulty(case.memory_seed, if faulty.is_empty() { vec![] } else { vec![faulty] });
        store(memory.contents_mut(), &generator.stores);
        let plan = Self::plan(case, &generator, &program, RINGS);
        let run_of = Run { core: &mut CoreDut(dut), memory, plan: &plan };
        let mut before = Vec::new();
        let finished = match &case.then {
            None => run(run_of, &mut |_| Ok(())),
            Some((how, after, steps)) => {
                run_interrupted(run_of, *how, (*after).into(), &mut |contents, done| {
                    broken_off(
                        &program,
                        &generator.stores,
                        plan.rings..plan.rings + 0x1_0000,
                        contents,
                        done,
                    )?;
                    before = done.to_vec();
                    program.corners.drain(..).for_each(|corner| coverage.hit(corner));
                    generator.restart(contents);
                    program = generator.program(steps);
                    store(contents, &generator.stores);
                    Ok(Self::plan(case, &generator, &program, LATER_RINGS))
                })
            }
        }?;
        judge(&program.commands, &program.statuses, &program.image, &finished)?;
        coverage.add_cycles(finished.cycles);
        program.corners.iter().for_each(|&corner| coverage.hit(corner));
        if let Some((how, _, _)) = case.then {
            let done = before.iter().flatten().count();
            let middle = done > 0 && done < before.len();
            coverage.hit_if(how == Break::Hard && middle, "hard reset in the middle");
            coverage.hit_if(how == Break::Soft && middle, "soft reset in the middle");
            coverage.hit_if(how == Break::Soft && done == 0 && !before.is_empty(), "soft reset at once");
            coverage.hit_if(how == Break::Soft && done == before.len(), "soft reset after the end");
            let stalled = case.memory == MemoryKind::Hostile;
            coverage.hit_if(how == Break::Soft && stalled && middle, "soft reset beside a stalled memory");
        }
        count(case, &program, &finished, coverage);
        Ok(finished)
    }
}

fn store(contents: &mut Contents, stores: &[(u64, Data)]) {
    for (address, data) in stores {
        contents.write_word(*address, data, u64::MAX);
    }
}

/// What holds when a program was broken off: commands that are done ended as they should, and nothing was written but what it
/// may write.
fn broken_off(
    program: &Program,
    stores: &[(u64, Data)],
    rings: Range<u64>,
    contents: &Contents,
    completions: &[Option<Completion>],
) -> Result<(), DutError> {
    for (index, (completion, &status)) in completions.iter().zip(&program.statuses).enumerate() {
        if completion.is_some_and(|completion| completion.status != status) {
            let what =
                format!("before the reset command {index} ended as {completion:?}, status is {status}");
            return Err(WrongAnswer(what).into());
        }
    }
    let before: BTreeMap<u64, &Data> = stores.iter().map(|(address, data)| (*address, data)).collect();
    for (address, _) in contents.written() {
        let may = program.written.iter().any(|range| range.contains(&address)) || rings.contains(&address);
        let (data, _) = contents.read_word(address);
        if !may && before.get(&address) != Some(&&data) {
            let what = format!("before the reset the word at {address:#x} was written");
            return Err(WrongAnswer(what).into());
        }
    }
    Ok(())
}

/// Counts what happened.
fn count(case: &Case, program: &Program, finished: &Finished, coverage: &mut Coverage) {
    for &status in &program.statuses {
        let (name, _) = STATUSES[usize::from(status)];
        coverage.hit(name);
    }
    let commands: Vec<_> = program.commands.iter().map(Command::from_words).collect();
    let array = commands.iter().filter(|c| [OPCODE_GEMV, OPCODE_ATTEND].contains(&u16::from(c.opcode)));
    let array: Vec<_> = array.collect();
    for pair in array.windows(2) {
        let [first, second] = [0, 1].map(|i| u16::from(pair[i].opcode) == OPCODE_ATTEND);
        coverage.hit_if(!first && second, "a head after a product");
        coverage.hit_if(first && !second, "a product after a head");
        let stays = [0, 1].map(|i| pair[i].flags.resident);
        coverage.hit_if(first && second && stays[0] != stays[1], "resident and streamed heads in turn");
    }
    let spans = finished.trace.spans();
    let beside = |one: usize, other: usize| {
        let of = |unit| spans.iter().filter(move |span| span.unit == unit);
        of(one).any(|a| of(other).any(|b| a.index != b.index && a.start < b.end && b.start < a.end))
    };
    coverage.hit_if(beside(LOAD, ARRAY), "a load beside the array");
    coverage.hit_if(beside(APPEND, ARRAY), "an append beside the array");
    coverage.hit_if(beside(STREAM, ARRAY), "the stream ahead of the array");
    coverage.hit_if(beside(RESULTS, ARRAY), "results behind the array");
    let times: Vec<_> = finished.completions.iter().map(|completion| completion.done).collect();
    coverage.hit_if(!times.is_sorted(), "done out of order");
    coverage.hit(match case.memory {
        MemoryKind::Ideal => "ideal memory",
        MemoryKind::Hbm3 => "HBM3",
        MemoryKind::Hostile => "hostile memory",
    });
    coverage.hit_if(case.ring_log2 == 0 && commands.len() > 1, "a ring of one command");
    coverage.hit_if(case.ring_log2 > 0 && commands.len() > 1 << case.ring_log2, "the ring goes round");
    coverage.hit_if(case.stalls.is_some() && !commands.is_empty(), "the host stalls");
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        2 => Just(What::Load),
        5 => Just(What::Gemv),
        5 => Just(What::Attend),
        3 => Just(What::Append),
        2 => Just(What::Nop),
        3 => Just(What::Illegal),
    ];
    let count = prop_oneof![3 => 0..20u8, 3 => 0..80u8, 1 => any::<u8>()];
    let bad = prop::bool::weighted(0.06);
    (what, any::<bool>(), any::<bool>(), any::<u8>(), any::<u8>(), count, bad, any::<u32>()).prop_map(
        |(what, int8, wide, rows, blocks, count, bad, seed)| Step {
            what,
            int8,
            wide,
            rows,
            blocks,
            count,
            bad,
            seed,
        },
    )
}

impl Bench for CoreBench {
    type Block = Core;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let banks = prop_oneof![Just(Banks::Streamed), Just(Banks::Resident), Just(Banks::Pinned)];
        let memory = prop_oneof![
            1 => Just(MemoryKind::Ideal),
            1 => Just(MemoryKind::Hbm3),
            2 => Just(MemoryKind::Hostile),
        ];
        let how = prop_oneof![1 => Just(Break::Hard), 2 => Just(Break::Soft)];
        let after = prop_oneof![1 => 0..200u16, 5 => 0..2500u16, 1 => Just(20_000)];
        let then = weighted(0.4, (how, after, vec(step(), 0..5)));
        let host = (any::<u8>(), 0..6u8, weighted(0.5, any::<u64>()));
        let case = (vec(step(), 0..9), then, banks, memory, any::<bool>(), host, any::<[u64; 2]>());
        case.prop_map(
            |(steps, then, banks, memory, faults, (tokens, ring_log2, stalls), [memory_seed, seed])| Case {
                steps,
                then,
                banks,
                memory,
                faults,
                tokens,
                ring_log2,
                stalls,
                memory_seed,
                seed,
            },
        )
        .boxed()
    }

    fn model(&self) -> Core {
        Core::new(self.geometry)
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Core>, coverage: &mut Coverage) -> Result<(), DutError> {
        self.finish(case, dut, coverage).map(drop)
    }
}
