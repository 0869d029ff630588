// SPDX-License-Identifier: Apache-2.0
//! The vector unit's sequencer in lockstep, loaded at run time: it is no device of its own.

use std::path::Path;
use std::time::Duration;

use tandem::device::RtlDevice;
use tandem::lockstep::Lockstep;
use tandem_model::vector::vector_sequencer::VectorSequencer;
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::vector_sequencer::SequencerBench;
use tandem_testbenches::{Bench, Dut, DutError};
use tandem_verilate::{Kind, Spec, Verilator};

#[test]
fn sequencer_in_lockstep() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut spec =
        Spec::of_model("vector_sequencer", "vector_sequencer", project, &mut VectorSequencer::default());
    spec.include_dirs.push(project.join("rtl/vector"));
    spec.sources.push(project.join("rtl/vector/vector_sequencer.sv"));
    let verilator = Verilator::find(project).unwrap();
    let cache = project.join("target/verilated");
    let cpp = project.join("cosim/cpp");
    let built = tandem_verilate::build(&spec, &verilator, &cpp, &cache, Kind::Shared).unwrap();

    let seed = std::env::var("TANDEM_SEED").map_or(1, |text| text.parse().expect("TANDEM_SEED is a number"));
    let limits = Limits { cases: 256, cycles: 100_000, time: Duration::ZERO };
    let make = |device_seed| -> Result<Box<dyn Dut<VectorSequencer>>, DutError> {
        let device = RtlDevice::loaded(&built.library, &spec.name, device_seed)?;
        Ok(Box::new(Lockstep::with_device(&spec.name, device, SequencerBench.model(), device_seed)))
    };
    let outcome = check(&SequencerBench, limits, seed, make, |_| false);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    assert_eq!(outcome.coverage.missing(SequencerBench.corners()), Vec::<&str>::new(), "corners never hit");
}
