// SPDX-License-Identifier: Apache-2.0
//! A stand-in for the core, to test its surroundings with: registers, rings and memory are as a core's, the commands are carried
//! out by the untimed interpreter, and some of it is wrong on purpose.

use std::collections::{BTreeMap, VecDeque};

use tandem_model::block::{Uint, Wide, low_u8, low_u16};
use tandem_model::control::types::{
    Activity, AxiLiteRead, AxiLiteResponse, CSR_COMMAND_BASE_LO, CSR_COMPLETION_BASE_LO, CSR_CONSUMER,
    CSR_CONTROL, CSR_COUNTER_LO, CSR_COUNTER_SELECT, CSR_DOORBELL, CSR_ERROR_CODE, CSR_ERROR_INDEX,
    CSR_INTERRUPT_STATUS, CSR_RING_SIZE_LOG2, CSR_STATUS, UNITS,
};
use tandem_model::memory::types::AxiAddress;
use tandem_model::reference::program::Machine;

use super::port::{CoreInputs, CoreOutputs, CorePort};
use crate::dut::DutError;
use crate::memory::port::{Data, MasterSignals, WriteWord};

/// Where it writes what no command wants.
pub const STRAY: u64 = 0x1_8000;

/// What the stand-in does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing.
    Nothing,
    /// A byte of a result.
    Result,
    /// A word that no command is to write.
    Stray,
    /// Statuses.
    Status,
    /// Opcodes of completions.
    Opcode,
    /// A byte of completions that belongs to no field.
    StrayCompletionByte,
    /// Completions say that commands were dispatched after they were done.
    Times,
    /// The third command's completion never comes.
    Lost,
    /// There are no interrupts.
    NoInterrupt,
    /// An interrupt cannot be cleared.
    StuckInterrupt,
    /// The error is that of another command.
    ErrorOfAnother,
    /// The number of commands taken.
    Consumer,
    /// It does not become idle.
    NeverIdle,
    /// A doorbell is refused.
    RegisterRefused,
    /// Reads of registers are not answered.
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

/// A core that carries out one command after the other by the untimed interpreter.
pub struct StandIn {
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
    /// A core after reset, whose memory holds what the machine's does.
    #[must_use]
    pub fn new(machine: Machine, fault: Fault) -> Self {
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
        let mut status = self.machine.run(words).expect("the program was run before");
        let changed = self.machine.image.words().filter(|(at, word)| before.get(at) != Some(word));
        self.writes = changed.map(|(at, word)| (at, word.bytes, word.written)).collect();
        if self.fault == Fault::Result
            && let Some((_, data, _)) = self.writes.front_mut()
        {
            data[1] ^= 4;
        }
        if self.fault == Fault::Stray && self.taken == 2 {
            self.writes.push_back((STRAY, [0; 64], 1 << 9));
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
            self.writes.push_back((self.place(CSR_COMPLETION_BASE_LO), data, u64::MAX));
        } else {
            self.writes.push_back((STRAY, [0; 64], 0));
        }
        self.raises = low(words[0] >> 8 & 1) | u32::from(status != 0) << 1;
    }

    fn ar(&self) -> AxiAddress {
        AxiAddress {
            valid: self.state == State::Asks,
            address: Wide(self.place(CSR_COMMAND_BASE_LO)),
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
