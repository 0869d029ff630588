// SPDX-License-Identifier: Apache-2.0
//! The surroundings of the core, with a stand-in for it: registers, rings and memory as a core sees them, the commands carried
//! out by the untimed interpreter. What is wrong on purpose must be found.

use tandem_model::array::Geometry;
use tandem_model::block::low_u8;
use tandem_model::control::command::Command;
use tandem_model::control::types::{CommandFlags, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPCODE_NOP};
use tandem_model::reference::command::Core;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;
use tandem_testbenches::DutError;
use tandem_testbenches::core::{Fault, Finished, HostPlan, MEMORY_END, MemoryKind, Run, StandIn, judge, run};

const OPERANDS: u64 = 0x1000;
const WEIGHTS: u64 = 0x2000;
const RESULTS: u64 = 0x1_0000;
const RINGS: u64 = MEMORY_END - 0x1_0000;

/// Two good products, a refused command, and nothings, so many in all.
fn commands(count: usize) -> Vec<[u64; 8]> {
    let opcode = |opcode: u16| low_u8(opcode.into());
    let load =
        Command { opcode: opcode(OPCODE_LOAD), rows: 1, source: OPERANDS, length: 64, ..Command::default() };
    let gemv = Command {
        opcode: opcode(OPCODE_GEMV),
        rows: 1,
        source: WEIGHTS,
        destination: RESULTS,
        count: 20,
        length: 64,
        ..Command::default()
    };
    let refused = Command { opcode: opcode(OPCODE_FILL), ..Command::default() };
    let notify = CommandFlags { notify: true, ..CommandFlags::default() };
    let nop = Command { opcode: opcode(OPCODE_NOP), flags: notify, ..Command::default() };
    let mut all = vec![load, gemv, nop, refused, Command { destination: RESULTS + 0x400, ..gemv }];
    all.resize(count, nop);
    all.iter().map(Command::words).collect()
}

fn bytes(count: usize, seed: u8) -> Vec<u8> {
    (0..count).map(|i| 100 + low_u8((i * i) as u64) % 16 + seed).collect()
}

fn attempt(
    count: usize,
    ring_log2: u8,
    kind: MemoryKind,
    stalls: Option<u64>,
    fault: Fault,
) -> Result<Finished, DutError> {
    let [_, geometry] = Geometry::ALL;
    let core = Core {
        rows: geometry.rows,
        segments: geometry.segments,
        bank_words: geometry.words(),
        bounds: RESULTS..RINGS,
    };
    let mut image = Image::new(0..MEMORY_END);
    let mut memory = kind.make(7);
    for (at, bytes) in [(OPERANDS, bytes(128, 3)), (WEIGHTS, bytes(4096, 5))] {
        image.store(at, &bytes);
        memory.contents_mut().store(at, &bytes);
    }
    let mut machine = Machine::new(core, image);
    let mut stand_in = StandIn::new(machine.clone(), fault);
    let plan = HostPlan {
        commands: commands(count),
        bounds: RESULTS..RINGS,
        pinned: false,
        rings: RINGS,
        ring_log2,
        stalls,
        patience: 5000,
    };
    let statuses: Vec<u8> =
        plan.commands.iter().map(|words| machine.run(words).expect("all is defined")).collect();
    let finished = run(Run { core: &mut stand_in, memory, plan: &plan }, &mut |_| Ok(()))?;
    judge(&plan.commands, &statuses, &machine.image, &finished)?;
    Ok(finished)
}

#[test]
fn a_good_core_is_found_good_whatever_memory_and_host_do() {
    for kind in MemoryKind::ALL {
        for (count, ring_log2, stalls) in [(5, 0, None), (9, 2, Some(1)), (40, 3, None), (40, 6, Some(2))] {
            let finished = attempt(count, ring_log2, kind, stalls, Fault::Nothing)
                .unwrap_or_else(|e| panic!("{kind:?}: {e}"));
            let statuses: Vec<_> = finished.completions[..5].iter().map(|c| c.status).collect();
            assert_eq!((finished.completions.len(), &statuses[..]), (count, &[0, 0, 0, 2, 0][..]));
            assert_eq!((finished.counters.len(), finished.counters[20]), (64, 120));
            assert!(finished.start < finished.end && finished.end <= finished.cycles);
            assert!(
                finished.traffic.words_written >= count as u64 && finished.traffic.words_read == count as u64
            );
            assert_eq!(finished.trace.spans().len(), count);
        }
    }
}

#[test]
fn a_host_that_stops_is_obeyed() {
    let plan = HostPlan {
        commands: commands(5),
        bounds: 0..0,
        pinned: true,
        rings: RINGS,
        ring_log2: 2,
        stalls: None,
        patience: 100,
    };
    let core = Core { rows: 3, segments: 1, bank_words: 16, bounds: 0..0 };
    let mut stand_in = StandIn::new(Machine::new(core, Image::new(0..MEMORY_END)), Fault::Nothing);
    let memory = MemoryKind::Ideal.make(1);
    let stopped = run(Run { core: &mut stand_in, memory, plan: &plan }, &mut |p| {
        if p.cycles > 40 { Err("enough".into()) } else { Ok(()) }
    });
    assert_eq!(stopped.err().map(|e| e.to_string()), Some("enough".to_owned()));
}

#[test]
fn what_a_core_does_wrong_is_found() {
    let faults = [
        (Fault::Result, "memory at 0x10001"),
        (Fault::Stray, "memory at 0x18009 was written"),
        (Fault::Status, "command 0 ended with opcode instead of done"),
        (Fault::Opcode, "completion of command 0: opcode 0 instead of 1"),
        (Fault::StrayCompletionByte, "belong to no field"),
        (Fault::Times, "dispatched in"),
        (Fault::Lost, "command 2 of 9 is not done"),
        (Fault::NoInterrupt, "the interrupt is false"),
        (Fault::StuckInterrupt, "stays after it was cleared"),
        (Fault::ErrorOfAnother, "of command 4, which ended otherwise"),
        (Fault::Consumer, "10 commands taken of 9"),
        (Fault::NeverIdle, "is not idle"),
        (Fault::RegisterRefused, "was refused"),
        (Fault::RegisterSilent, "was not answered"),
        (Fault::Crosses, "4KB is broken"),
    ];
    for (fault, what) in faults {
        let error = attempt(9, 4, MemoryKind::Ideal, None, fault)
            .err()
            .unwrap_or_else(|| panic!("{fault:?} was not found"));
        assert!(error.to_string().contains(what), "{fault:?}: {error}");
    }
}
