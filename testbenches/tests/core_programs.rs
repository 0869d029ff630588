// SPDX-License-Identifier: Apache-2.0
//! The example programs on the core's model, with every memory: statuses and memory are those of the definition.

use std::path::Path;

use tandem_host::program::{HOST_BYTES, MOST_ADDRESS, Program};
use tandem_model::array::Geometry;
use tandem_model::core::core::Core;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::core::{CoreDut, Finished, HostPlan, MemoryKind, Run, judge, run};

fn run_example(name: &str, geometry: Geometry, kind: MemoryKind, stalls: Option<u64>) -> Finished {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/programs");
    let program = Program::load(&folder.join(name), geometry).unwrap_or_else(|e| panic!("{e}"));
    let mut machine = program.machine(geometry);
    let mut memory = kind.make(stalls.unwrap_or(1));
    for region in &program.regions {
        memory.contents_mut().store(region.address, &region.bytes);
    }
    let plan = HostPlan {
        commands: program.steps.iter().map(|step| step.words).collect(),
        bounds: program.bounds.clone(),
        pinned: program.pinned,
        rings: MOST_ADDRESS - HOST_BYTES,
        ring_log2: 3,
        stalls,
        patience: 200_000,
    };
    let status = |words| machine.run(words).unwrap_or_else(|e| panic!("{name}: {e}"));
    let statuses: Vec<u8> = plan.commands.iter().map(status).collect();
    let mut model = ModelOnly { model: Core::new(geometry) };
    let mut core = CoreDut(&mut model);
    let finished = run(Run { core: &mut core, memory, plan: &plan }, &mut |_| Ok(()));
    let judged = finished
        .and_then(|finished| judge(&plan.commands, &statuses, &machine.image, &finished).map(|()| finished));
    judged.unwrap_or_else(|e| panic!("{name}, {}, {kind:?}, {stalls:?}: {e}", geometry.name))
}

#[test]
fn the_examples_give_what_the_definition_says() {
    for geometry in Geometry::ALL {
        for kind in MemoryKind::ALL {
            for name in ["gemv.toml", "attend.toml", "illegal.toml"] {
                for stalls in [None, Some(1), Some(2)] {
                    run_example(name, geometry, kind, stalls);
                }
            }
        }
    }
}
