// SPDX-License-Identifier: Apache-2.0
//! Random traffic of a host and a core, and what must come out after every clock.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::control::csr::{Csr, Inputs, Outputs};
use tandem_model::control::types::{
    AxiLiteAddress, AxiLiteRead, AxiLiteResponse, AxiLiteWrite, CSR_BOUNDS_BASE_HI, CSR_BOUNDS_BASE_LO,
    CSR_BOUNDS_LIMIT_HI, CSR_BOUNDS_LIMIT_LO, CSR_COMMAND_BASE_HI, CSR_COMMAND_BASE_LO,
    CSR_COMPLETION_BASE_HI, CSR_COMPLETION_BASE_LO, CSR_CONTROL, CSR_COUNTER_LO, CSR_COUNTER_SELECT,
    CSR_DOORBELL, CSR_INTERRUPT_ENABLE, CSR_INTERRUPT_STATUS, CSR_RING_SIZE_LOG2, CoreError, CoreGeometry,
    Doorbell,
};

use super::description::{Access, Description};
use super::map::{COMPLETION, ERROR, Map, OVERFLOW, Write};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `csr`.
#[derive(Clone, Debug)]
pub struct CsrBench {
    description: Description,
}

impl Default for CsrBench {
    fn default() -> Self {
        Self { description: Description::shipped() }
    }
}

/// What host and core do next.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// The host writes a register.
    Write {
        /// Which of the description.
        register: u8,
        /// Which bytes.
        strobe: u8,
        /// What.
        data: u32,
    },
    /// The host writes anywhere.
    Anywhere {
        /// Where.
        address: u16,
        /// Which bytes.
        strobe: u8,
        /// What.
        data: u32,
    },
    /// The host reads a register.
    Read(u8),
    /// The host reads anywhere.
    ReadAnywhere(u16),
    /// The host writes the doorbell: a full ring and so many more.
    Ring(i8),
    /// The host sets the size of the ring.
    Size(u8),
    /// The host clears interrupts.
    Clear(u8),
    /// The host resets the core.
    SoftReset,
    /// The core has taken this many commands.
    Consumer(u16),
    /// The core takes so many commands of those that wait.
    Take(u8),
    /// Chances of 16 that a channel that could move does: AW, W, B, AR, R.
    Pace([u8; 5]),
    /// Chances of 16 per cycle of a completion and of an error.
    Events(u8, u8),
    /// So many clocks.
    Clocks(u8),
    /// Until everything is answered.
    Settle,
    /// Reset after so many clocks.
    Reset(u8),
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// One after the other.
    pub ops: Vec<Op>,
    /// Stalls, events, geometry.
    pub seed: u64,
}

const CORNERS: [&str; 29] = [
    "address of a write before its data",
    "data of a write before their address",
    "address and data in one cycle",
    "response to a write waits",
    "read data wait",
    "next write waits for a response",
    "read and write in one cycle",
    "read of a register in the cycle of its write",
    "some bytes written",
    "no bytes written",
    "write to a read-only register",
    "write to an unknown address",
    "misaligned write",
    "read of an unknown address",
    "misaligned read",
    "doorbell that fills the ring",
    "doorbell one beyond the ring",
    "doorbell across 65536",
    "doorbell before the last one's commands are taken",
    "completion in the cycle of its clearing",
    "error in the cycle of its clearing",
    "error behind an error",
    "event in the cycle of a soft reset",
    "counter of the core",
    "clocks since reset",
    "interrupt that is not enabled",
    "reset with a write waiting for its data",
    "reset with a response waiting",
    "reset with read data waiting",
];

/// Clocks that a transaction may take; stalls end long before.
const PATIENCE: usize = 2000;

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// A channel that the host drives: what waits, and whether the first of it is offered.
#[derive(Clone, Debug)]
struct Channel<T> {
    queue: VecDeque<T>,
    offered: bool,
}

impl<T: Copy> Channel<T> {
    const fn new() -> Self {
        Self { queue: VecDeque::new(), offered: false }
    }

    /// What is offered in this cycle, if anything: once it is, it stays.
    fn offer(&mut self, moves: bool) -> Option<T> {
        self.offered |= moves;
        self.queue.front().copied().filter(|_| self.offered)
    }

    /// The offer is taken.
    fn taken(&mut self) {
        self.queue.pop_front();
        self.offered = false;
    }
}

/// A device with the host, the core, and the map of values.
struct Driver<'a> {
    dut: &'a mut dyn Dut<Csr>,
    description: &'a Description,
    seed: u64,
    /// Clocks in all, and since reset.
    clocks: u64,
    cycles: u64,
    map: Map<'a>,
    aw: Channel<u16>,
    w: Channel<(u16, u32)>,
    ar: Channel<u16>,
    /// Taken by the device and not yet carried out.
    address: Option<u16>,
    data: Option<(u16, u32)>,
    /// Responses that must be out.
    b: Option<bool>,
    r: Option<Option<u32>>,
    soft_reset: bool,
    rung: bool,
    pace: [u8; 5],
    events: (u8, u8),
    consumer: u16,
    geometry: CoreGeometry,
}

impl<'a> Driver<'a> {
    fn new(case: &Case, description: &'a Description, dut: &'a mut dyn Dut<Csr>) -> Result<Self, DutError> {
        let mut seed = case.seed;
        let geometry = CoreGeometry::from_bits(split_mix(&mut seed));
        let mut driver = Self {
            dut,
            description,
            seed,
            clocks: 0,
            cycles: 0,
            map: Map::new(description),
            aw: Channel::new(),
            w: Channel::new(),
            ar: Channel::new(),
            address: None,
            data: None,
            b: None,
            r: None,
            soft_reset: false,
            rung: false,
            pace: [16; 5],
            events: (0, 0),
            consumer: 0,
            geometry,
        };
        driver.reset()?;
        Ok(driver)
    }

    fn random(&mut self) -> u64 {
        split_mix(&mut self.seed)
    }

    fn chance(&mut self, of_16: u8) -> bool {
        self.random() % 16 < u64::from(of_16)
    }

    /// Inputs in which nothing is valid.
    fn inputs(&mut self) -> Inputs {
        let mut inputs = Inputs {
            aw_i: AxiLiteAddress::from_bits(self.random()),
            w_i: AxiLiteWrite::from_bits(self.random()),
            b_ready_i: self.chance(self.pace[2]),
            ar_i: AxiLiteAddress::from_bits(self.random()),
            r_ready_i: self.chance(self.pace[4]),
            geometry_i: self.geometry,
            idle_i: self.chance(8),
            consumer_i: Uint(self.consumer),
            completion_i: self.chance(self.events.0),
            error_i: CoreError::from_bits(self.random()),
            counter_i: Wide(self.random()),
        };
        inputs.aw_i.valid = false;
        inputs.w_i.valid = false;
        inputs.ar_i.valid = false;
        inputs.error_i.valid = self.chance(self.events.1);
        inputs
    }

    /// The host forgets what it wanted, the device what it was told.
    fn reset(&mut self) -> Result<(), DutError> {
        let mut inputs = self.inputs();
        self.dut.clock(false, &mut inputs)?;
        self.clocks += 1;
        self.cycles = 0;
        self.map = Map::new(self.description);
        (self.aw, self.w, self.ar) = (Channel::new(), Channel::new(), Channel::new());
        (self.address, self.data, self.b, self.r) = (None, None, None, None);
        (self.soft_reset, self.rung) = (false, false);
        self.consumer = 0;
        self.compare()
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut inputs = self.inputs();
        let moves = [0, 1, 3].map(|channel| self.chance(self.pace[channel]));
        let (aw, w, ar) = (self.aw.offer(moves[0]), self.w.offer(moves[1]), self.ar.offer(moves[2]));
        if let Some(address) = aw {
            inputs.aw_i = AxiLiteAddress { valid: true, address: Uint(address) };
        }
        if let Some((strobe, data)) = w {
            inputs.w_i = AxiLiteWrite { valid: true, strobe: Uint(strobe), data: Wide(data.into()) };
        }
        if let Some(address) = ar {
            inputs.ar_i = AxiLiteAddress { valid: true, address: Uint(address) };
        }
        self.dut.clock(true, &mut inputs)?;
        self.clocks += 1;

        coverage.hit_if(self.b.is_some() && !inputs.b_ready_i, CORNERS[3]);
        coverage.hit_if(self.r.is_some() && !inputs.r_ready_i, CORNERS[4]);
        let (aw_free, w_free) = (self.address.is_none(), self.data.is_none());
        let write =
            self.address.zip(self.data).map(|(address, (strobe, data))| Write { address, strobe, data });
        let write = write.filter(|_| self.b.is_none());
        coverage.hit_if(!aw_free && !w_free && write.is_none(), CORNERS[5]);
        let read = ar.filter(|_| self.r.is_none());
        coverage.hit_if(write.is_some() && read.is_some(), CORNERS[6]);
        let same = write.zip(read).is_some_and(|(write, read)| write.address == read && write.strobe != 0);
        coverage.hit_if(same && self.known(read).is_some_and(|a| a != Access::ReadOnly), CORNERS[7]);

        // A read finds what was there before the clock.
        if self.r.is_some() && inputs.r_ready_i {
            self.r = None;
        } else if let Some(address) = read {
            self.count_read(address, coverage);
            self.r = Some(self.map.read(address, &inputs, self.cycles));
            self.ar.taken();
        }
        if self.b.is_some() && inputs.b_ready_i {
            self.b = None;
        }
        let soft_reset = std::mem::take(&mut self.soft_reset);
        self.rung = false;
        let mut cleared = 0;
        if let Some(write) = write {
            self.count_write(write, coverage);
            let written = self.map.write(write, self.consumer);
            self.b = Some(written.refused);
            // CONTROL's is the only pulse.
            self.soft_reset = written.pulses != 0;
            self.rung = written.rung;
            cleared = written.cleared;
            (self.address, self.data) = (None, None);
        }
        self.happen(&inputs, cleared, soft_reset, coverage);
        if aw_free && let Some(address) = aw {
            self.aw.taken();
            self.address = Some(address);
            coverage.hit_if(w_free && w.is_none(), CORNERS[0]);
            coverage.hit_if(w_free && w.is_some(), CORNERS[2]);
        }
        if w_free && let Some(data) = w {
            self.w.taken();
            self.data = Some(data);
            coverage.hit_if(aw_free && aw.is_none(), CORNERS[1]);
        }
        self.cycles += 1;
        self.compare()
    }

    /// Events: they win over clearing, and a soft reset over them.
    fn happen(&mut self, inputs: &Inputs, cleared: u32, soft_reset: bool, coverage: &mut Coverage) {
        let pending = self.map.get(CSR_INTERRUPT_STATUS);
        if inputs.completion_i {
            self.map.raise(COMPLETION);
            coverage.hit_if(cleared & COMPLETION != 0, CORNERS[19]);
        }
        if inputs.error_i.valid {
            self.map.error(inputs.error_i.code.0, inputs.error_i.index.0);
            coverage.hit_if(cleared & ERROR != 0, CORNERS[20]);
            coverage.hit_if(pending & ERROR != 0, CORNERS[21]);
        }
        if soft_reset {
            // The core's share of it.
            self.consumer = 0;
            self.map.soft_reset();
            coverage.hit_if(inputs.completion_i || inputs.error_i.valid, CORNERS[22]);
        }
        coverage.hit_if(pending != 0 && !self.map.interrupt(), CORNERS[25]);
    }

    fn known(&self, address: Option<u16>) -> Option<Access> {
        self.description.at(address?).map(|register| register.access)
    }

    fn count_write(&self, Write { address, strobe, data }: Write, coverage: &mut Coverage) {
        let access = self.known(Some(address));
        coverage.hit_if(access.is_some() && !matches!(strobe, 0 | 15), CORNERS[8]);
        coverage.hit_if(access.is_some() && strobe == 0, CORNERS[9]);
        coverage.hit_if(access == Some(Access::ReadOnly), CORNERS[10]);
        coverage.hit_if(access.is_none() && address.is_multiple_of(4), CORNERS[11]);
        coverage.hit_if(!address.is_multiple_of(4), CORNERS[12]);
        if address == CSR_DOORBELL && strobe & 3 == 3 {
            let producer = low_u16(data.into());
            let waiting = u32::from(producer.wrapping_sub(self.consumer));
            let size = 1 << self.map.get(CSR_RING_SIZE_LOG2);
            coverage.hit_if(waiting == size, CORNERS[15]);
            coverage.hit_if(waiting == size + 1, CORNERS[16]);
            coverage.hit_if(waiting <= size && producer < self.consumer, CORNERS[17]);
            let before = self.map.get(CSR_DOORBELL) != u32::from(self.consumer);
            coverage.hit_if(waiting <= size && before, CORNERS[18]);
        }
    }

    fn count_read(&self, address: u16, coverage: &mut Coverage) {
        let known = self.known(Some(address)).is_some();
        coverage.hit_if(!known && address.is_multiple_of(4), CORNERS[13]);
        coverage.hit_if(!address.is_multiple_of(4), CORNERS[14]);
        let own = self.map.get(CSR_COUNTER_SELECT) == 0;
        coverage.hit_if(address == CSR_COUNTER_LO && !own, CORNERS[23]);
        coverage.hit_if(address == CSR_COUNTER_LO && own, CORNERS[24]);
    }

    /// What must be on the outputs.
    fn expected(&self) -> Outputs {
        let response = |refused: bool| Uint(if refused { 2 } else { 0 });
        let get = |offset| self.map.get(offset);
        let base = |high, low| Wide((u64::from(get(high)) << 32) + u64::from(get(low)));
        let low = |offset| low_u16(get(offset).into());
        Outputs {
            aw_ready_o: self.address.is_none(),
            w_ready_o: self.data.is_none(),
            b_o: self.b.map_or_else(AxiLiteResponse::default, |refused| AxiLiteResponse {
                valid: true,
                response: response(refused),
            }),
            ar_ready_o: self.r.is_none(),
            r_o: self.r.map_or_else(AxiLiteRead::default, |data| AxiLiteRead {
                valid: true,
                response: response(data.is_none()),
                data: Wide(data.unwrap_or(0).into()),
            }),
            interrupt_o: self.map.interrupt(),
            enable_o: get(CSR_CONTROL) & 1 != 0,
            pinned_o: get(CSR_CONTROL) & 4 != 0,
            soft_reset_o: self.soft_reset,
            command_base_o: base(CSR_COMMAND_BASE_HI, CSR_COMMAND_BASE_LO),
            ring_size_log2_o: Uint(low(CSR_RING_SIZE_LOG2)),
            completion_base_o: base(CSR_COMPLETION_BASE_HI, CSR_COMPLETION_BASE_LO),
            bounds_base_o: base(CSR_BOUNDS_BASE_HI, CSR_BOUNDS_BASE_LO),
            bounds_limit_o: base(CSR_BOUNDS_LIMIT_HI, CSR_BOUNDS_LIMIT_LO),
            doorbell_o: Doorbell { valid: self.rung, producer: Uint(low(CSR_DOORBELL)) },
            counter_select_o: Uint(low(CSR_COUNTER_SELECT)),
        }
    }

    fn compare(&self) -> Result<(), DutError> {
        let (outputs, expected) = (self.dut.outputs(), self.expected());
        if outputs == expected {
            Ok(())
        } else {
            Err(wrong(format!("cycle {}: {outputs:?}, expected {expected:?}", self.clocks)))
        }
    }

    fn clocks(&mut self, clocks: u8, coverage: &mut Coverage) -> Result<(), DutError> {
        (0..clocks).try_for_each(|_| self.clock(coverage))
    }

    fn settle(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        for _ in 0..PATIENCE {
            let written = self.aw.queue.is_empty() && self.address.is_none() && self.b.is_none();
            if written && self.ar.queue.is_empty() && self.r.is_none() && !self.soft_reset {
                return Ok(());
            }
            self.clock(coverage)?;
        }
        Err(wrong(format!("cycle {}: a transaction has no end", self.clocks)))
    }

    fn write(&mut self, address: u16, strobe: u8, data: u32) {
        self.aw.queue.push_back(address);
        self.w.queue.push_back((strobe.into(), data));
    }

    fn register(&self, index: u8) -> u16 {
        self.description.registers[usize::from(index) % self.description.registers.len()].offset
    }

    fn run(&mut self, op: Op, coverage: &mut Coverage) -> Result<(), DutError> {
        match op {
            Op::Write { register, strobe, data } => self.write(self.register(register), strobe, data),
            Op::Anywhere { address, strobe, data } => self.write(address, strobe, data),
            Op::Read(register) => self.ar.queue.push_back(self.register(register)),
            Op::ReadAnywhere(address) => self.ar.queue.push_back(address),
            Op::Ring(more) => {
                self.settle(coverage)?;
                let size = 1u16 << self.map.get(CSR_RING_SIZE_LOG2);
                let producer = self.consumer.wrapping_add(size).wrapping_add_signed(more.into());
                self.write(CSR_DOORBELL, 15, producer.into());
            }
            Op::Size(log2) => self.write(CSR_RING_SIZE_LOG2, 1, log2.into()),
            Op::Clear(interrupts) => self.write(CSR_INTERRUPT_STATUS, 15, interrupts.into()),
            Op::SoftReset => self.write(CSR_CONTROL, 15, 3),
            Op::Consumer(consumer) => self.consumer = consumer,
            Op::Take(commands) => {
                let waiting = low_u16(self.map.get(CSR_DOORBELL).into()).wrapping_sub(self.consumer);
                self.consumer = self.consumer.wrapping_add(waiting.min(commands.into()));
            }
            Op::Pace(pace) => self.pace = pace,
            Op::Events(completion, error) => self.events = (completion, error),
            Op::Clocks(clocks) => self.clocks(clocks, coverage)?,
            Op::Settle => self.settle(coverage)?,
            Op::Reset(after) => {
                self.clocks(after, coverage)?;
                coverage.hit_if(self.address.is_some() != self.data.is_some(), CORNERS[26]);
                coverage.hit_if(self.b.is_some(), CORNERS[27]);
                coverage.hit_if(self.r.is_some(), CORNERS[28]);
                self.reset()?;
            }
        }
        Ok(())
    }
}

impl Bench for CsrBench {
    type Block = Csr;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let data = || prop_oneof![2 => any::<u32>(), 1 => Just(u32::MAX), 2 => 0..16u32];
        let strobe = || prop_oneof![3 => Just(15u8), 1 => 0..16u8];
        let address = || 0..1u16 << self.description.address_bits;
        let near = || 0..0x60u16;
        let address = move || prop_oneof![near(), address()];
        let pace = || prop_oneof![3 => Just(16u8), 1 => 1..16u8, 1 => Just(2)];
        let paces = [pace(), pace(), pace(), pace(), pace()];
        let op = prop_oneof![
            12 => (any::<u8>(), strobe(), data())
                .prop_map(|(register, strobe, data)| Op::Write { register, strobe, data }),
            3 => (address(), strobe(), data())
                .prop_map(|(address, strobe, data)| Op::Anywhere { address, strobe, data }),
            12 => any::<u8>().prop_map(Op::Read),
            3 => address().prop_map(Op::ReadAnywhere),
            6 => (-3..3i8).prop_map(Op::Ring),
            2 => (0..16u8).prop_map(Op::Size),
            4 => (0..8u8).prop_map(Op::Clear),
            1 => Just(Op::SoftReset),
            1 => prop_oneof![any::<u16>(), 65500..=65535u16].prop_map(Op::Consumer),
            4 => (0..8u8).prop_map(Op::Take),
            3 => paces.prop_map(Op::Pace),
            3 => (0..12u8, 0..12u8).prop_map(|(completion, error)| Op::Events(completion, error)),
            1 => Just(Op::Events(0, 0)),
            12 => (1..12u8).prop_map(Op::Clocks),
            4 => Just(Op::Settle),
            1 => (0..8u8).prop_map(Op::Reset),
        ];
        (vec(op, 1..120), any::<u64>()).prop_map(|(ops, seed)| Case { ops, seed }).boxed()
    }

    fn model(&self) -> Csr {
        Csr::default()
    }

    fn run(&self, case: &Case, dut: &mut dyn Dut<Csr>, coverage: &mut Coverage) -> Result<(), DutError> {
        let mut driver = Driver::new(case, &self.description, dut)?;
        // Something to clear, to tell of, and to refuse.
        driver.write(CSR_INTERRUPT_ENABLE, 15, COMPLETION | OVERFLOW);
        driver.write(CSR_RING_SIZE_LOG2, 15, 2);
        case.ops.iter().try_for_each(|&op| driver.run(op, coverage))?;
        driver.settle(coverage)?;
        coverage.add_cycles(driver.clocks);
        Ok(())
    }
}
