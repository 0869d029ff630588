// SPDX-License-Identifier: Apache-2.0
//! The example programs on the core's model, with every memory: what comes out is what the untimed interpreter says.

use std::path::PathBuf;

use tandem_host::program::Program;
use tandem_model::array::Geometry;
use tandem_model::core::core::Core;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::core::{CoreDut, HostPlan, MEMORY_END, MemoryKind, Run, judge, run};

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
