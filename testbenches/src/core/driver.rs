// SPDX-License-Identifier: Apache-2.0
//! The host of a core: sets its registers, keeps the rings, waits for completions.

use std::ops::Range;

use tandem_model::block::{Bits, Uint, Wide, low_u16};
use tandem_model::control::command::{COMMAND_BYTES, Completion, command_bytes};
use tandem_model::control::types::{
    AxiLiteAddress, AxiLiteWrite, CSR_BOUNDS_BASE_LO, CSR_BOUNDS_LIMIT_LO, CSR_COMMAND_BASE_LO,
    CSR_COMPLETION_BASE_LO, CSR_CONSUMER, CSR_CONTROL, CSR_COUNTER_HI, CSR_COUNTER_LO, CSR_COUNTER_SELECT,
    CSR_DOORBELL, CSR_ERROR_CODE, CSR_ERROR_INDEX, CSR_INTERRUPT_ENABLE, CSR_INTERRUPT_STATUS,
    CSR_RING_SIZE_LOG2, CSR_STATUS, Interrupts,
};

use super::port::{CoreInputs, CorePort};
use super::trace::Trace;
use crate::bench::WrongAnswer;
use crate::dut::DutError;
use crate::memory::Memory;
use crate::memory::checker::{Checker, Limits};
use crate::memory::contents::Contents;
use crate::memory::port::{Data, WORD};
use crate::random::split_mix;

/// Largest ring, log2 of its commands.
const MOST_RING_LOG2: u8 = 15;
/// Clocks of reset at the start.
const RESET_CLOCKS: usize = 3;
/// Cycles that an access of the host may take, and the interrupt after a completion.
const HOST_PATIENCE: u64 = 1000;
/// Clocks after a soft reset in which nothing may happen.
const QUIET_CLOCKS: usize = 30;
/// Bursts each way that the port may have open.
const OUTSTANDING: usize = 256;
/// Bit of `CONTROL`: the core takes commands.
const ENABLE: u32 = 1;
/// Bit of `CONTROL`: the core forgets what it does.
const SOFT_RESET: u32 = 2;
/// Bit of `CONTROL`: the lower half of the banks is not used for streaming.
const PINNED: u32 = 4;

/// What the host does.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// The commands, in order.
    pub commands: Vec<[u64; 8]>,
    /// Where the core may write.
    pub bounds: Range<u64>,
    /// The lower half of the banks is not used for streaming.
    pub pinned: bool,
    /// Where the host's rings lie: commands, and behind them completions. No command uses these addresses.
    pub rings: u64,
    /// log2 of the commands of the ring.
    pub ring_log2: u8,
    /// The host takes its time, and rings the doorbell for a few commands at a time.
    pub stalls: Option<u64>,
    /// Cycles without a completion after which it gives up.
    pub patience: u64,
}

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Cycles.
    pub cycles: u64,
    /// Commands that are done.
    pub done: usize,
}

/// Everything that a run needs.
pub struct Run<'a> {
    /// The core.
    pub core: &'a mut dyn CorePort,
    /// Its memory, with all that the commands read.
    pub memory: Box<dyn Memory>,
    /// The host.
    pub plan: &'a HostPlan,
}

/// A reset in the middle of a program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// Of core and memory, by the wire.
    Hard,
    /// Of the core, by the register. The memory goes on.
    Soft,
}

/// Says what the host does after a reset, from what memory holds and which commands were completed before; it may store what the
/// new commands read.
pub type Next<'a> = dyn FnMut(&mut Contents, &[Option<Completion>]) -> Result<HostPlan, DutError> + 'a;

/// Words that crossed the memory port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Words read.
    pub words_read: u64,
    /// Words written.
    pub words_written: u64,
    /// Bytes written: those with a strobe.
    pub bytes_written: u64,
}

/// What came out.
pub struct Finished {
    /// Completions, command by command.
    pub completions: Vec<Completion>,
    /// Cycle of the first doorbell.
    pub start: u64,
    /// Cycle after the last completion.
    pub end: u64,
    /// Cycles in all.
    pub cycles: u64,
    /// What crossed the memory port from `start` to `end`.
    pub traffic: Traffic,
    /// What the units did.
    pub trace: Trace,
    /// The core's counters, by number.
    pub counters: Vec<u64>,
    /// The memory.
    pub contents: Contents,
    /// Addresses of the host's rings.
    pub rings: Range<u64>,
}

/// Runs a core from reset until all commands are done and it is idle. `progress` is told how far it is, and may stop the run
/// with an error.
///
/// # Errors
/// When the core, or its port, breaks a rule, or something does not come.
///
/// # Panics
/// When the ring is larger than the core can have.
pub fn run(
    run: Run<'_>,
    progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
) -> Result<Finished, DutError> {
    let mut driver = Driver::new(run);
    driver.reset()?;
    driver.configure()?;
    driver.work(progress)?;
    driver.conclude()?;
    driver.finish()
}

/// Runs a core as [`run`] does, resets it so many cycles after the first doorbell, and goes on with what `next` says. After a
/// soft reset nothing may be on the port any more when the core says that it is idle.
///
/// # Errors
/// As [`run`], and what `next` says.
///
/// # Panics
/// As [`run`].
pub fn run_interrupted(
    run: Run<'_>,
    how: Break,
    after: u64,
    next: &mut Next<'_>,
) -> Result<Finished, DutError> {
    let mut driver = Driver::new(run);
    driver.reset()?;
    driver.configure()?;
    driver.until = Some(after);
    driver.work(&mut |_| Ok(()))?;
    match how {
        Break::Hard => {
            driver.reset()?;
            driver.zero = driver.now;
        }
        Break::Soft => driver.soft_reset()?,
    }
    driver.begin_again(next)?;
    driver.configure()?;
    driver.work(&mut |_| Ok(()))?;
    driver.conclude()?;
    driver.finish()
}

pub(super) struct Driver<'a> {
    core: &'a mut dyn CorePort,
    memory: Box<dyn Memory>,
    plan: HostPlan,
    /// Cycles from the first doorbell after which it stops.
    until: Option<u64>,
    checker: Checker,
    inputs: CoreInputs,
    now: u64,
    /// Cycle from which clocks in completions count, or later.
    zero: u64,
    chance: Option<u64>,
    issued: usize,
    completions: Vec<Option<Completion>>,
    /// Commands from the first that is not done on: their number.
    oldest: usize,
    start: u64,
    end: u64,
    traffic: Traffic,
    trace: Trace,
    counters: Vec<u64>,
}

fn wrong<T>(what: String) -> Result<T, DutError> {
    Err(WrongAnswer(what).into())
}

impl<'a> Driver<'a> {
    pub(super) fn new(run: Run<'a>) -> Self {
        let Run { core, memory, plan } = run;
        let plan = plan.clone();
        let bounds = memory.contents().bounds().clone();
        Self {
            core,
            memory,
            chance: plan.stalls,
            completions: vec![None; plan.commands.len()],
            plan,
            until: None,
            checker: Checker::new(Limits { reads: OUTSTANDING, writes: OUTSTANDING, bounds }),
            inputs: CoreInputs::default(),
            now: 0,
            zero: 0,
            issued: 0,
            oldest: 0,
            start: 0,
            end: 0,
            traffic: Traffic::default(),
            trace: Trace::default(),
            counters: Vec::new(),
        }
    }

    const fn ring(&self) -> usize {
        1 << self.plan.ring_log2
    }

    /// Address of a command's place in the ring.
    const fn command_place(&self, index: usize) -> u64 {
        self.plan.rings + WORD * (index % self.ring()) as u64
    }

    const fn completion_base(&self) -> u64 {
        self.plan.rings + WORD * self.ring() as u64
    }

    const fn completion_place(&self, index: usize) -> u64 {
        self.completion_base() + WORD * (index % self.ring()) as u64
    }

    fn below(&mut self, n: u64) -> u64 {
        self.chance.as_mut().map_or(0, |state| split_mix(state) % n)
    }

    pub(super) fn reset(&mut self) -> Result<(), DutError> {
        self.inputs = CoreInputs::default();
        for _ in 0..RESET_CLOCKS {
            self.core.clock(false, &CoreInputs::default())?;
            self.memory.reset();
        }
        self.checker.check_reset(&self.core.outputs().memory, &self.memory.outputs())?;
        Ok(())
    }

    /// A soft reset, until the core is idle.
    fn soft_reset(&mut self) -> Result<(), DutError> {
        let enable = if self.below(2) == 0 { 0 } else { ENABLE };
        self.write(CSR_CONTROL, SOFT_RESET | enable)?;
        let reset = self.now;
        while self.read(CSR_STATUS)? != 1 {
            if self.now - reset > self.plan.patience {
                return wrong("it does not become idle after a soft reset".to_owned());
            }
        }
        self.checker.finish()?;
        let (doorbell, consumer) = (self.read(CSR_DOORBELL)?, self.read(CSR_CONSUMER)?);
        if (doorbell, consumer) != (0, 0) {
            return wrong(format!("after a soft reset DOORBELL is {doorbell}, CONSUMER {consumer}"));
        }
        for _ in 0..QUIET_CLOCKS {
            let outputs = self.core.outputs();
            let port = outputs.memory;
            if port.ar.valid || port.aw.valid || port.w.valid || outputs.interrupt {
                return wrong(format!("it was idle after a soft reset, and now there is {outputs:?}"));
            }
            self.watch()?;
        }
        self.zero = reset;
        Ok(())
    }

    /// After a reset: as at the beginning, with another plan.
    fn begin_again(&mut self, next: &mut Next<'_>) -> Result<(), DutError> {
        self.plan = next(self.memory.contents_mut(), &self.completions)?;
        self.until = None;
        self.issued = 0;
        self.completions = vec![None; self.plan.commands.len()];
        self.oldest = 0;
        self.trace = Trace::default();
        Ok(())
    }

    /// One clock with `inputs` as the host has set them. True when a write was answered in this cycle.
    fn clock(&mut self) -> Result<bool, DutError> {
        let outputs = self.core.outputs();
        let (master, slave) = (outputs.memory, self.memory.outputs());
        self.checker.check(&master, &slave)?;
        self.trace.record(self.now, &outputs.activity);
        let (read, written) = (slave.r.valid && master.r_ready, master.w.valid && slave.w_ready);
        self.traffic.words_read += u64::from(read);
        self.traffic.words_written += u64::from(written);
        if written {
            self.traffic.bytes_written += u64::from(master.w.strobe.count_ones());
        }
        self.inputs.memory = slave;
        self.core.clock(true, &self.inputs)?;
        self.memory.clock(&master);
        self.now += 1;
        Ok(slave.b.valid && master.b_ready)
    }

    /// A clock; completions that it brought are noted.
    fn watch(&mut self) -> Result<(), DutError> {
        if self.clock()? {
            self.collect()?;
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<(), DutError> {
        let clocks = if self.below(4) == 0 { self.below(20) } else { 0 };
        (0..clocks).try_for_each(|_| self.watch())
    }

    fn write(&mut self, register: u16, data: u32) -> Result<(), DutError> {
        self.pause()?;
        let w = AxiLiteWrite { valid: true, strobe: Uint(15), data: Wide(data.into()) };
        self.inputs.host_aw = AxiLiteAddress { valid: true, address: Uint(register) };
        self.inputs.host_w = w;
        self.inputs.host_b_ready = true;
        let due = self.now + HOST_PATIENCE;
        while self.now < due {
            let outputs = self.core.outputs();
            self.watch()?;
            self.inputs.host_aw.valid &= !outputs.host_aw_ready;
            self.inputs.host_w.valid &= !outputs.host_w_ready;
            if outputs.host_b.valid {
                self.inputs.host_b_ready = false;
                if outputs.host_b.response != Uint(0) {
                    return wrong(format!("the write of {data:#x} to register {register:#x} was refused"));
                }
                return Ok(());
            }
        }
        wrong(format!("the write to register {register:#x} was not answered in {HOST_PATIENCE} cycles"))
    }

    fn read(&mut self, register: u16) -> Result<u32, DutError> {
        self.pause()?;
        self.inputs.host_ar = AxiLiteAddress { valid: true, address: Uint(register) };
        self.inputs.host_r_ready = true;
        let due = self.now + HOST_PATIENCE;
        while self.now < due {
            let outputs = self.core.outputs();
            self.watch()?;
            self.inputs.host_ar.valid &= !outputs.host_ar_ready;
            if outputs.host_r.valid {
                self.inputs.host_r_ready = false;
                if outputs.host_r.response != Uint(0) {
                    return wrong(format!("the read of register {register:#x} was refused"));
                }
                return Ok(low_u32(outputs.host_r.data.0));
            }
        }
        wrong(format!("the read of register {register:#x} was not answered in {HOST_PATIENCE} cycles"))
    }

    /// Writes an address to a register of two halves.
    fn write_address(&mut self, register_lo: u16, address: u64) -> Result<(), DutError> {
        self.write(register_lo, low_u32(address))?;
        self.write(register_lo + 4, low_u32(address >> 32))
    }

    pub(super) fn configure(&mut self) -> Result<(), DutError> {
        let plan = self.plan.clone();
        assert!(plan.ring_log2 <= MOST_RING_LOG2, "commands of a ring are counted in 16 bits");
        self.write_address(CSR_COMMAND_BASE_LO, plan.rings)?;
        self.write(CSR_RING_SIZE_LOG2, plan.ring_log2.into())?;
        self.write_address(CSR_COMPLETION_BASE_LO, self.completion_base())?;
        self.write_address(CSR_BOUNDS_BASE_LO, plan.bounds.start)?;
        self.write_address(CSR_BOUNDS_LIMIT_LO, plan.bounds.end)?;
        let all = Interrupts { doorbell_overflow: true, error: true, completion: true };
        self.write(CSR_INTERRUPT_ENABLE, low_u32(all.to_bits()))?;
        self.write(CSR_CONTROL, ENABLE | if plan.pinned { PINNED } else { 0 })
    }

    /// More commands behind those that are done; what the host keeps of them is forgotten.
    pub(super) fn add(&mut self, commands: &[[u64; 8]]) {
        self.plan.commands.extend_from_slice(commands);
        self.completions.resize(self.plan.commands.len(), None);
    }

    /// Completions from this command on, the cycle of the doorbell, and that after the last of them.
    pub(super) fn since(&self, first: usize) -> (Vec<Completion>, Range<u64>) {
        let completions = self.completions[first..].iter().flatten().copied().collect();
        (completions, self.start..self.end)
    }

    pub(super) const fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(super) const fn trace(&mut self) -> &mut Trace {
        &mut self.trace
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    pub(super) fn contents(&self) -> &Contents {
        self.memory.contents()
    }

    pub(super) fn contents_mut(&mut self) -> &mut Contents {
        self.memory.contents_mut()
    }

    /// Commands so far.
    pub(super) const fn commands(&self) -> usize {
        self.plan.commands.len()
    }

    /// Keeps the ring full until all commands are done.
    pub(super) fn work(
        &mut self,
        progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
    ) -> Result<(), DutError> {
        let all = self.plan.commands.len();
        self.start = self.now;
        self.traffic = Traffic::default();
        let (mut since, mut before) = (self.now, 0);
        while self.oldest < all && self.until.is_none_or(|cycles| self.now - self.start < cycles) {
            let mut room = (self.oldest + self.ring()).min(all) - self.issued;
            if room > 1 && self.chance.is_some() {
                room = usize::try_from(self.below(room as u64 + 1)).expect("at most a ring");
            }
            if room > 0 {
                self.issue(room)?;
            }
            self.watch()?;
            let done = self.completions.iter().skip(self.oldest).flatten().count() + self.oldest;
            if done > before {
                (since, before) = (self.now, done);
            }
            progress(Progress { cycles: self.now, done })?;
            if self.now - since > self.plan.patience {
                return wrong(format!(
                    "{} cycles without a completion: command {} of {all} is not done; {}",
                    self.plan.patience,
                    self.oldest,
                    self.trace.busy()
                ));
            }
        }
        Ok(())
    }

    /// Puts the next commands into the ring and rings the doorbell.
    fn issue(&mut self, count: usize) -> Result<(), DutError> {
        for index in self.issued..self.issued + count {
            let command = command_bytes(&self.plan.commands[index]);
            // The place must not look like a completion of this command.
            let stale = Completion { index: !number(index), ..Completion::default() }.index.to_le_bytes();
            let (to, answer) = (self.command_place(index), self.completion_place(index));
            let contents = self.memory.contents_mut();
            contents.store(to, &command);
            contents.store(answer, &[0; COMMAND_BYTES]);
            contents.store(answer, &stale);
        }
        self.issued += count;
        self.write(CSR_DOORBELL, number(self.issued).into())
    }

    /// Notes the completions that are in memory.
    fn collect(&mut self) -> Result<(), DutError> {
        for index in self.oldest..self.issued {
            let (data, _) = self.memory.contents().read_word(self.completion_place(index));
            if self.completions[index].is_some() || u16::from_le_bytes([data[0], data[1]]) != number(index) {
                continue;
            }
            self.completions[index] = Some(self.completion(index, &data)?);
            self.end = self.now;
        }
        while self.completions.get(self.oldest).is_some_and(Option::is_some) {
            self.oldest += 1;
        }
        Ok(())
    }

    fn completion(&self, index: usize, data: &Data) -> Result<Completion, DutError> {
        let Some(completion) = Completion::from_bytes(data) else {
            return wrong(format!("completion of command {index}: bytes are set that belong to no field"));
        };
        let Completion { dispatched, done, .. } = completion;
        if dispatched > done || done > self.now - self.zero {
            return wrong(format!(
                "completion of command {index} in cycle {}: dispatched in {dispatched}, done in {done}",
                self.now - self.zero
            ));
        }
        Ok(completion)
    }

    /// After the last completion: interrupts, errors, counters.
    pub(super) fn conclude(&mut self) -> Result<(), DutError> {
        let completions: Vec<Completion> = self.completions.iter().flatten().copied().collect();
        let notified = self.plan.commands.iter().any(|words| words[0] >> 8 & 1 == 1);
        let failed = completions.iter().any(|c| c.status != 0);
        let due = self.now + HOST_PATIENCE;
        while self.read(CSR_STATUS)? & 1 == 0 {
            if self.now > due {
                return wrong(format!(
                    "all commands are done, and the core is not idle; {}",
                    self.trace.busy()
                ));
            }
        }
        if self.core.outputs().interrupt != (notified || failed) {
            return wrong(format!(
                "the interrupt is {}; a command had to notify: {notified}, one failed: {failed}",
                self.core.outputs().interrupt
            ));
        }
        let status = self.read(CSR_INTERRUPT_STATUS)?;
        let want = Interrupts { doorbell_overflow: false, error: failed, completion: notified };
        if u64::from(status) != want.to_bits() {
            return wrong(format!("interrupts are {status:#b} instead of {:#b}", want.to_bits()));
        }
        if failed {
            let (code, index) = (self.read(CSR_ERROR_CODE)?, self.read(CSR_ERROR_INDEX)?);
            let known = |c: &Completion| u32::from(c.status) == code && u32::from(c.index) == index;
            if code == 0 || !completions.iter().any(known) {
                return wrong(format!("error {code} of command {index}, which ended otherwise"));
            }
        }
        self.write(CSR_INTERRUPT_STATUS, status)?;
        self.watch()?;
        self.watch()?;
        if self.core.outputs().interrupt {
            return wrong("the interrupt stays after it was cleared".to_owned());
        }
        let consumer = self.read(CSR_CONSUMER)?;
        if consumer != u32::from(number(self.plan.commands.len())) {
            return wrong(format!("{consumer} commands taken of {}", self.plan.commands.len()));
        }
        for counter in 0..64 {
            self.write(CSR_COUNTER_SELECT, counter)?;
            let low = self.read(CSR_COUNTER_LO)?;
            let high = self.read(CSR_COUNTER_HI)?;
            self.counters.push(u64::from(high) << 32 | u64::from(low));
        }
        Ok(self.checker.finish()?)
    }

    pub(super) fn finish(self) -> Result<Finished, DutError> {
        let rings = self.plan.rings..self.completion_base() + WORD * self.ring() as u64;
        Ok(Finished {
            completions: self.completions.iter().flatten().copied().collect(),
            start: self.start,
            end: self.end,
            cycles: self.now,
            traffic: self.traffic,
            trace: self.trace,
            counters: self.counters,
            contents: self.memory.contents().clone(),
            rings,
        })
    }
}

/// The number of a command as the core counts it.
fn number(index: usize) -> u16 {
    low_u16(index as u64)
}

fn low_u32(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
