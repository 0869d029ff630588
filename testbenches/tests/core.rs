// SPDX-License-Identifier: Apache-2.0
//! The surroundings of the core, with a stand-in for it: registers, rings and memory as a core sees them, the commands carried
//! out by the untimed interpreter. What is wrong on purpose must be found.

use std::collections::{BTreeMap, VecDeque};

use tandem_model::array::Geometry;
use tandem_model::block::{Uint, Wide, low_u8, low_u16};
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    Activity, AxiLiteRead, AxiLiteResponse, CSR_CONSUMER, CSR_CONTROL, CSR_COUNTER_LO, CSR_COUNTER_SELECT,
    CSR_DOORBELL, CSR_ERROR_CODE, CSR_ERROR_INDEX, CSR_INTERRUPT_STATUS, CSR_RING_SIZE_LOG2, CSR_STATUS,
    CommandFlags, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPCODE_NOP, UNITS,
};
use tandem_model::memory::types::AxiAddress;
use tandem_model::reference::command::Core;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;
use tandem_testbenches::DutError;
use tandem_testbenches::core::{
    CoreInputs, CoreOutputs, CorePort, Finished, HostPlan, MEMORY_END, MemoryKind, Run, judge, run,
};
use tandem_testbenches::memory::port::{Data, MasterSignals, WriteWord};

const OPERANDS: u64 = 0x1000;
const WEIGHTS: u64 = 0x2000;
const RESULTS: u64 = 0x1_0000;
const RINGS: u64 = MEMORY_END - 0x1_0000;

/// What the stand-in does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    Nothing,
    /// A byte of a result.
    Result,
    /// A word that no command is to write.
    Stray,
    Status,
    Opcode,
    StrayCompletionByte,
    Times,
    /// The third command's completion never comes.
    Lost,
    NoInterrupt,
    StuckInterrupt,
    ErrorOfAnother,
    Consumer,
    NeverIdle,
    RegisterRefused,
    RegisterSilent,
    /// A burst crosses 4 KB.
    Crosses,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Waits,
    Asks,
    Fetches,
    Addresses,
    Writes,
    Answered,
}

struct StandIn {
    machine: Machine,
    fault: Fault,
    registers: BTreeMap<u16, u32>,
    aw: Option<u16>,
    w: Option<u32>,
    b: Option<bool>,
    r: Option<u32>,
    now: u64,
    taken: u16,
    dispatched: u64,
    interrupts: u32,
    error: Option<(u8, u16)>,
    state: State,
    /// Words to be written for the command at hand, its completion last.
    writes: VecDeque<(u64, Data, u64)>,
    raises: u32,
    failed: Option<(u8, u16)>,
}

impl StandIn {
    fn new(machine: Machine, fault: Fault) -> Self {
        Self {
            machine,
            fault,
            registers: BTreeMap::new(),
            aw: None,
            w: None,
            b: None,
            r: None,
            now: 0,
            taken: 0,
            dispatched: 0,
            interrupts: 0,
            error: None,
            state: State::Waits,
            writes: VecDeque::new(),
            raises: 0,
            failed: None,
        }
    }

    fn register(&self, register: u16) -> u32 {
        self.registers.get(&register).copied().unwrap_or(0)
    }

    fn address(&self, register: u16) -> u64 {
        u64::from(self.register(register)) | u64::from(self.register(register + 4)) << 32
    }

    /// Place of the command at hand in a ring.
    fn place(&self, base: u16) -> u64 {
        let mask = (1 << self.register(CSR_RING_SIZE_LOG2)) - 1;
        self.address(base) + 64 * u64::from(self.taken & mask)
    }

    fn value(&self, register: u16) -> u32 {
        match register {
            CSR_STATUS => u32::from(self.state == State::Waits && self.fault != Fault::NeverIdle),
            CSR_CONSUMER => u32::from(self.taken) + u32::from(self.fault == Fault::Consumer),
            CSR_INTERRUPT_STATUS => self.interrupts,
            CSR_ERROR_CODE => self.error.map_or(0, |(code, _)| code.into()),
            CSR_ERROR_INDEX => self
                .error
                .map_or(0, |(_, index)| u32::from(index) + u32::from(self.fault == Fault::ErrorOfAnother)),
            CSR_COUNTER_LO => 100 + self.register(CSR_COUNTER_SELECT),
            _ => self.register(register),
        }
    }

    fn host(&mut self, i: &CoreInputs) {
        if i.host_b_ready {
            self.b = None;
        }
        if i.host_r_ready {
            self.r = None;
        }
        if i.host_aw.valid && self.aw.is_none() {
            self.aw = Some(i.host_aw.address.0);
        }
        if i.host_w.valid && self.w.is_none() {
            self.w = Some(u32::try_from(i.host_w.data.0).expect("32 bits"));
        }
        if let (Some(register), Some(data), None) = (self.aw, self.w, self.b) {
            (self.aw, self.w) = (None, None);
            self.b = Some(self.fault == Fault::RegisterRefused && register == CSR_DOORBELL);
            match register {
                CSR_INTERRUPT_STATUS if self.fault == Fault::StuckInterrupt => {}
                CSR_INTERRUPT_STATUS => self.interrupts &= !data,
                _ => drop(self.registers.insert(register, data)),
            }
        }
        if i.host_ar.valid && self.r.is_none() && self.fault != Fault::RegisterSilent {
            self.r = Some(self.value(i.host_ar.address.0));
        }
    }

    /// The command has come: carries it out and lists what is to be written.
    fn carry_out(&mut self, words: &[u64; 8]) {
        let before: BTreeMap<u64, _> = self.machine.image.words().map(|(at, word)| (at, *word)).collect();
        let mut status = self.machine.run(words).expect("all is defined");
        let changed = self.machine.image.words().filter(|(at, word)| before.get(at) != Some(word));
        self.writes = changed.map(|(at, word)| (at, word.bytes, word.written)).collect();
        if self.fault == Fault::Result
            && let Some((_, data, _)) = self.writes.front_mut()
        {
            data[1] ^= 4;
        }
        if self.fault == Fault::Stray && self.taken == 2 {
            self.writes.push_back((RESULTS + 0x8000, [0; 64], 1 << 9));
        }
        status ^= u8::from(self.fault == Fault::Status);
        if status != 0 {
            self.failed = Some((status, self.taken));
        }
        let mut data = [0; 64];
        data[..2].copy_from_slice(&self.taken.to_le_bytes());
        data[2] = status;
        data[3] = low_u8(words[0]) ^ u8::from(self.fault == Fault::Opcode);
        data[60] = u8::from(self.fault == Fault::StrayCompletionByte);
        let late = if self.fault == Fault::Times { 1000 } else { 0 };
        data[8..16].copy_from_slice(&(self.dispatched + late).to_le_bytes());
        data[16..24].copy_from_slice(&self.now.to_le_bytes());
        if !(self.fault == Fault::Lost && self.taken == 2) {
            self.writes.push_back((self.place(0x34), data, u64::MAX));
        } else {
            self.writes.push_back((RESULTS, [0; 64], 0));
        }
        self.raises = low(words[0] >> 8 & 1) | u32::from(status != 0) << 1;
    }

    fn ar(&self) -> AxiAddress {
        AxiAddress {
            valid: self.state == State::Asks,
            address: Wide(self.place(0x20)),
            length: Uint(if self.fault == Fault::Crosses { 255 } else { 0 }),
            ..AxiAddress::default()
        }
    }
}

fn low(bits: u64) -> u32 {
    u32::from(low_u16(bits))
}

impl CorePort for StandIn {
    fn clock(&mut self, rst_ni: bool, i: &CoreInputs) -> Result<(), DutError> {
        if !rst_ni {
            return Ok(());
        }
        self.host(i);
        let waiting = low_u16(self.register(CSR_DOORBELL).into()) != self.taken;
        match self.state {
            State::Waits if waiting && self.register(CSR_CONTROL) & 1 == 1 => {
                (self.state, self.dispatched) = (State::Asks, self.now);
            }
            State::Asks if i.memory.ar_ready => self.state = State::Fetches,
            State::Fetches if i.memory.r.valid => {
                let word = |k: usize| u64::from_le_bytes(std::array::from_fn(|b| i.memory.r_data[8 * k + b]));
                self.carry_out(&std::array::from_fn(word));
                self.state = State::Addresses;
            }
            State::Addresses if i.memory.aw_ready => self.state = State::Writes,
            State::Writes if i.memory.w_ready => self.state = State::Answered,
            State::Answered if i.memory.b.valid => {
                self.writes.pop_front();
                self.state = State::Addresses;
                if self.writes.is_empty() {
                    self.state = State::Waits;
                    self.taken = self.taken.wrapping_add(1);
                    self.error = self.error.or(self.failed.take());
                    if self.fault != Fault::NoInterrupt {
                        self.interrupts |= self.raises;
                    }
                }
            }
            _ => {}
        }
        self.now += 1;
        Ok(())
    }

    fn outputs(&self) -> CoreOutputs {
        let write = self.writes.front();
        let (at, data, strobe) = write.copied().unwrap_or((0, [0; 64], 0));
        let mut activity = [Activity::default(); UNITS];
        let busy = self.state != State::Waits;
        activity[0] =
            Activity { busy, starved: self.state == State::Fetches, blocked: false, index: Uint(self.taken) };
        CoreOutputs {
            host_aw_ready: self.aw.is_none(),
            host_w_ready: self.w.is_none(),
            host_b: AxiLiteResponse {
                valid: self.b.is_some(),
                response: Uint(if self.b == Some(true) { 2 } else { 0 }),
            },
            host_ar_ready: self.r.is_none(),
            host_r: AxiLiteRead {
                valid: self.r.is_some(),
                response: Uint(0),
                data: Wide(self.r.unwrap_or(0).into()),
            },
            interrupt: self.interrupts != 0,
            memory: MasterSignals {
                ar: self.ar(),
                r_ready: true,
                aw: AxiAddress {
                    valid: self.state == State::Addresses,
                    address: Wide(at),
                    ..AxiAddress::default()
                },
                w: WriteWord { valid: self.state == State::Writes, data, strobe, last: true },
                b_ready: true,
            },
            activity,
        }
    }
}

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
