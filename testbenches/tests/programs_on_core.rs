// SPDX-License-Identifier: Apache-2.0
//! The example programs on the core's model, with every memory: what comes out is what the untimed interpreter says.

use std::path::PathBuf;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tandem_host::program::Program;
use tandem_model::array::Geometry;
use tandem_model::core::core::Core;
use tandem_testbenches::core::{Case, CoreBench, CoreDut, HostPlan, MEMORY_END, MemoryKind, Run, judge, run};
use tandem_testbenches::{Bench, Coverage, ModelOnly};

const RINGS: u64 = MEMORY_END - 0x10_0000;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/programs").join(name)
}

#[test]
fn examples_give_what_the_interpreter_says() {
    for geometry in Geometry::ALL {
        for name in ["gemv.toml", "attend.toml", "illegal.toml"] {
            let program = Program::load(&example(name), geometry).unwrap();
            for (kind, stalls) in MemoryKind::ALL.into_iter().flat_map(|kind| [(kind, None), (kind, Some(3))])
            {
                let mut machine = program.machine(geometry);
                let commands: Vec<_> = program.steps.iter().map(|step| step.words).collect();
                let statuses: Vec<u8> =
                    commands.iter().map(|words| machine.run(words).expect("all is defined")).collect();
                let mut memory = kind.make(1);
                for region in &program.regions {
                    memory.contents_mut().store(region.address, &region.bytes);
                }
                let plan = HostPlan {
                    commands,
                    bounds: program.bounds.clone(),
                    pinned: program.pinned,
                    rings: RINGS,
                    ring_log2: 4,
                    stalls,
                    patience: 20_000,
                };
                let mut dut = ModelOnly { model: Core::new(geometry) };
                let run = run(Run { core: &mut CoreDut(&mut dut), memory, plan: &plan }, &mut |_| Ok(()));
                let finished = run.unwrap_or_else(|e| panic!("{name} {kind:?} {geometry:?}: {e}"));
                judge(&plan.commands, &statuses, &machine.image, &finished)
                    .unwrap_or_else(|e| panic!("{name} {kind:?} {geometry:?}: {e}"));
            }
        }
    }
}

/// Words of memory outside the host's rings, with which bytes of them were written.
fn words(case: &Case, geometry: Geometry) -> Vec<(u64, [u8; 64], u64)> {
    let bench = CoreBench { geometry };
    let mut dut = ModelOnly { model: bench.model() };
    let finished = bench
        .finish(case, &mut dut, &mut Coverage::default())
        .unwrap_or_else(|e| panic!("{case:?} {geometry:?}: {e}"));
    let contents = &finished.contents;
    let written = contents.written().filter(|(address, _)| !finished.rings.contains(address));
    written
        .map(|(address, mask)| {
            let (mut data, _) = contents.read_word(address);
            // What nobody wrote is the memory's own.
            (0..64).filter(|i| mask >> i & 1 == 0).for_each(|i| data[i] = 0);
            (address, data, mask)
        })
        .collect()
}

#[test]
fn a_program_gives_the_same_bytes_whatever_memory_and_host_do() {
    let mut runner = TestRunner::deterministic();
    for geometry in Geometry::ALL {
        let strategy = CoreBench { geometry }.strategy();
        for _ in 0..6 {
            let mut case = strategy.new_tree(&mut runner).expect("the strategies reject nothing").current();
            (case.then, case.faults) = (None, false);
            // What a refused word leaves is not defined.
            case.steps.iter_mut().for_each(|step| step.bad = false);
            let mut all =
                MemoryKind::ALL.into_iter().chain([MemoryKind::Hostile]).zip(1..).flat_map(|(memory, n)| {
                    [(memory, n, 0, None), (memory, n, 1, Some(n)), (memory, n, 5, Some(n + 10))]
                });
            let (memory, memory_seed, ring_log2, stalls) = all.next().expect("there are some");
            let case = Case { memory, memory_seed, ring_log2, stalls, ..case };
            let first = words(&case, geometry);
            for (memory, memory_seed, ring_log2, stalls) in all {
                let other = Case { memory, memory_seed, ring_log2, stalls, ..case.clone() };
                assert!(words(&other, geometry) == first, "{case:?} and {other:?} differ");
            }
        }
    }
}
