// SPDX-License-Identifier: Apache-2.0
//! The model of the vector unit's sequencer against the commands' definition, and broken ones that must be found.

use std::time::Duration;

use tandem_model::control::types::{OPCODE_ADD, OPCODE_HEADS, OPCODE_NORM};
use tandem_model::vector::vector_sequencer::{Inputs, Outputs, VectorSequencer};
use tandem_testbenches::property::{Limits, Outcome, check};
use tandem_testbenches::vector_sequencer::{Case, SequencerBench, Timing, timing};
use tandem_testbenches::{Bench, Dut, DutError, ModelOnly};

/// A fault in what the sequencer drives.
type Fault = fn(&mut Outputs);

/// The model, with a fault.
struct Faulty {
    model: ModelOnly<VectorSequencer>,
    fault: Fault,
}

impl Dut<VectorSequencer> for Faulty {
    fn clock(&mut self, rst_ni: bool, inputs: &mut Inputs) -> Result<(), DutError> {
        self.model.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> Outputs {
        let mut outputs = self.model.outputs();
        (self.fault)(&mut outputs);
        outputs
    }
}

fn searched(fault: Fault, cases: u64) -> Outcome<Case> {
    let limits = Limits { cases, cycles: 0, time: Duration::ZERO };
    let make = |_| -> Result<Box<dyn Dut<VectorSequencer>>, DutError> {
        Ok(Box::new(Faulty { model: ModelOnly { model: SequencerBench.model() }, fault }))
    };
    check(&SequencerBench, limits, 1, make, |_| false)
}

#[test]
fn sequencer_does_what_commands_say() {
    let outcome = searched(|_| (), 1500);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    assert_eq!(outcome.coverage.missing(SequencerBench.corners()), Vec::<&str>::new(), "corners never hit");
}

#[test]
fn faults_of_every_kind_are_found() {
    let faults: [(&str, Fault); 14] = [
        ("unit", |o| o.word_o.unit.0 ^= 1),
        ("group", |o| o.word_o.group.0 ^= 1),
        ("hold", |o| o.word_o.hold.0 ^= 1),
        ("hi", |o| o.word_o.hi = false),
        ("a", |o| o.a_o[15].0 ^= 1 << 31),
        ("b", |o| o.b_o[0].0 ^= 1),
        ("cos", |o| o.cos_o[3].0 ^= 1),
        ("sin", |o| std::mem::swap(&mut o.sin_o, &mut o.cos_o)),
        ("write", |o| o.write_o = true),
        ("units", |o| o.units_o.0 ^= 1),
        ("base", |o| o.place_o.base.0 ^= 1),
        ("scales", |o| o.place_scales_o.0 ^= 8),
        ("reduce", |o| o.reduce_o = false),
        ("done", |o| o.done_o.valid &= !o.word_o.valid && o.done_o.status.0 == 0),
    ];
    for (name, fault) in faults {
        let error = searched(fault, 300).failure.map(|failure| failure.error.to_string());
        assert!(error.is_some_and(|text| text.contains("differs from")), "{name}: not found");
    }
}

/// Commands that nothing holds up, on a memory that answers after 20 cycles.
#[test]
fn words_are_issued_in_so_many_cycles() {
    let timing = |opcode, rows, size| {
        let mut dut = ModelOnly { model: SequencerBench.model() };
        timing((opcode, rows, size), 20, &mut dut).expect("nothing is wrong")
    };
    let command = |t: Timing| t.last_issue - t.taken;
    // A word of weights per word of x, and per word of the sum two.
    assert_eq!(command(timing(OPCODE_NORM, 1, 1024)), 64 + 64 + 23);
    assert_eq!(command(timing(OPCODE_NORM, 8, 1024)), 64 + 512 + 23);
    assert_eq!(command(timing(OPCODE_ADD, 1, 1024)), 64 + 64 + 23);
    // Eight heads of 128, weights included: in, reduction, out. Sixteen: twice that.
    let heads = |t: Timing| t.last_issue - t.first_word;
    assert_eq!(heads(timing(OPCODE_HEADS, 1, 8)), 8 + 64 + 103 + 64 + 13);
    assert_eq!(heads(timing(OPCODE_HEADS, 1, 16)), 8 + 2 * (64 + 103 + 64) + 39);
}
