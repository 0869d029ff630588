// SPDX-License-Identifier: Apache-2.0
//! Ranks, wired as a ring or each with each other, and what they do together.

use std::collections::VecDeque;

use tandem_model::block::{Uint, low_u16};
use tandem_model::collective::collective::{Collective, Inputs, Outputs};
use tandem_model::collective::types::{CollectiveCommand, CollectiveOp};
use tandem_model::link::types::LinkWord;

use crate::bench::WrongAnswer;
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// A rank and one of its ports.
pub type End = (usize, usize);

/// What one side of a port says in a cycle: a word, and whether it would take one.
#[derive(Clone, Copy, Default, Debug)]
pub struct Signals {
    /// The word.
    pub word: Option<LinkWord>,
    /// A word is taken.
    pub ready: bool,
}

/// Something that carries words between two ports, in both directions.
pub trait Cable {
    /// What it says to its ends; from registers only.
    fn signals(&self) -> [Signals; 2];
    /// One clock, with what the ends said.
    fn clock(&mut self, ends: [Signals; 2]);
    /// Words can cross.
    fn up(&self) -> bool {
        true
    }
    /// Forgets what is on its way.
    fn reset(&mut self);
}

/// A cable that loses nothing but time.
#[derive(Clone, Debug)]
pub struct Stream {
    ways: [Way; 2],
    latency: u64,
    room: usize,
    /// Seed of stalls.
    stalls: Option<u64>,
    now: u64,
}

#[derive(Clone, Debug, Default)]
struct Way {
    words: VecDeque<(u64, LinkWord)>,
    ready: bool,
}

impl Stream {
    /// A cable of so many cycles that holds at most `room` words each way; it stalls at random when there is a seed.
    #[must_use]
    pub fn new(latency: u64, room: usize, stalls: Option<u64>) -> Self {
        let mut stream = Self { ways: Default::default(), latency, room, stalls, now: 0 };
        stream.settle();
        stream
    }

    /// Whether it takes words in the next cycle, and when the next one of a queue comes out.
    fn settle(&mut self) {
        let (room, now) = (self.room, self.now);
        for way in &mut self.ways {
            let mut stall =
                |one_in: u64| self.stalls.as_mut().is_some_and(|seed| split_mix(seed).is_multiple_of(one_in));
            way.ready = way.words.len() < room && !stall(3);
            // What is offered stays; what is not may come later.
            if let Some((due, _)) = way.words.front_mut()
                && *due == now
                && stall(3)
            {
                *due += 1;
            }
        }
    }
}

impl Cable for Stream {
    fn signals(&self) -> [Signals; 2] {
        std::array::from_fn(|end| {
            let coming = self.ways[1 - end].words.front().filter(|(due, _)| *due <= self.now);
            Signals { word: coming.map(|(_, word)| *word), ready: self.ways[end].ready }
        })
    }

    fn clock(&mut self, ends: [Signals; 2]) {
        let shown = self.signals();
        self.now += 1;
        for end in 0..2 {
            if ends[end].ready && shown[end].word.is_some() {
                self.ways[1 - end].words.pop_front();
            }
            if let Some(word) = ends[end].word
                && shown[end].ready
            {
                self.ways[end].words.push_back((self.now + self.latency, word));
            }
        }
        self.settle();
    }

    fn reset(&mut self) {
        self.ways.iter_mut().for_each(|way| way.words.clear());
        self.settle();
    }
}

/// Which ports are tied to each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Every rank has a link to every other.
    pub full: bool,
    /// By rank: ports to the next and from the previous one. Of a ring.
    pub ports: Vec<(usize, usize)>,
}

impl Layout {
    /// A ring that leaves by port 0 and comes in by port 1; of two ranks, by the same cable.
    #[must_use]
    pub fn ring(ranks: usize) -> Self {
        Self { full: false, ports: vec![(0, usize::from(ranks > 2)); ranks] }
    }

    /// Each tied to each other: port k of rank r leads to rank r + 1 + k.
    #[must_use]
    pub fn full(ranks: usize) -> Self {
        Self { full: true, ports: vec![(0, 0); ranks] }
    }

    /// How many ranks.
    #[must_use]
    pub fn ranks(&self) -> usize {
        self.ports.len()
    }

    /// The cables.
    #[must_use]
    pub fn cables(&self) -> Vec<[End; 2]> {
        let ranks = self.ranks();
        if self.full {
            let pairs = (0..ranks).flat_map(|a| (a + 1..ranks).map(move |b| (a, b)));
            return pairs.map(|(a, b)| [(a, b - a - 1), (b, ranks - 1 - (b - a))]).collect();
        }
        let hops = (0..ranks).map(|r| {
            let next = (r + 1) % ranks;
            [(r, self.ports[r].0), (next, self.ports[next].1)]
        });
        let mut cables: Vec<_> = hops.collect();
        // Of two ranks that send and receive on one port there is one cable.
        if ranks == 2 && cables[0] == [cables[1][1], cables[1][0]] {
            cables.pop();
        }
        cables
    }

    /// What a rank has to be told.
    #[must_use]
    pub fn command(&self, op: CollectiveOp, rank: usize, base: usize, words: usize) -> CollectiveCommand {
        let number = |n: usize| low_u16(n as u64);
        CollectiveCommand {
            valid: true,
            op,
            full: self.full,
            rank: Uint(number(rank)),
            ranks: Uint(number(self.ranks())),
            base: Uint(number(base)),
            words: Uint(number(words)),
            send_port: Uint(number(self.ports[rank].0)),
            receive_port: Uint(number(self.ports[rank].1)),
        }
    }
}

/// An all-reduce on groups within groups: reduce-scatter in each level but the outermost, all-reduce there, all-gather on the
/// way back. The order of additions is that of the levels.
#[derive(Clone, Debug)]
pub struct Nest {
    /// The cables.
    pub cables: Vec<[End; 2]>,
    /// By rank, what it is told.
    pub commands: Vec<Vec<CollectiveCommand>>,
    /// Words that each rank sends at least.
    pub load: usize,
    /// Hops one after the other.
    pub hops: usize,
}

impl Nest {
    /// Of these levels, the innermost first: how many ranks, and whether each is tied to each. Only the innermost may be so: it
    /// has the lowest ports.
    ///
    /// # Panics
    /// When another level is, or the vector has fewer words than there are ranks.
    #[must_use]
    pub fn new(levels: &[(usize, bool)], words: usize) -> Self {
        let ranks: usize = levels.iter().map(|(size, _)| size).product();
        assert!(levels[1..].iter().all(|(_, full)| !full) && words >= ranks);
        let mut nest = Self { cables: Vec::new(), commands: vec![Vec::new(); ranks], load: 0, hops: 0 };
        let mut back = nest.commands.clone();
        let mut base = vec![0; ranks];
        let (mut stride, mut port, mut left) = (1, 0, words);
        for (level, &(size, full)) in levels.iter().enumerate() {
            let outermost = level + 1 == levels.len();
            let mut layout = if full { Layout::full(size) } else { Layout::ring(size) };
            layout.ports.iter_mut().for_each(|ports| *ports = (ports.0 + port, ports.1 + port));
            let chunk = left / size;
            for group in (0..ranks).filter(|rank| rank / stride % size == 0) {
                let tie = |ends: [End; 2]| ends.map(|(rank, port)| (group + rank * stride, port));
                nest.cables.extend(layout.cables().into_iter().map(tie));
            }
            for rank in 0..ranks {
                let place = rank / stride % size;
                let told = |op| layout.command(op, place, base[rank], chunk);
                if outermost {
                    nest.commands[rank].push(told(CollectiveOp::AllReduce));
                } else {
                    nest.commands[rank].push(told(CollectiveOp::ReduceScatter));
                    back[rank].push(told(CollectiveOp::AllGather));
                }
                base[rank] += place * chunk;
            }
            nest.hops += 2 * if full { 1 } else { size - 1 };
            nest.load += 2 * (size - 1) * chunk;
            stride *= size;
            port += if full { size - 1 } else { 2 };
            left = chunk;
        }
        for (commands, back) in nest.commands.iter_mut().zip(back) {
            commands.extend(back.into_iter().rev());
        }
        nest
    }
}

/// A device that belongs to somebody else.
pub struct Borrowed<'a>(pub &'a mut dyn Dut<Collective>);

impl Dut<Collective> for Borrowed<'_> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut Inputs) -> Result<(), DutError> {
        self.0.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> Outputs {
        self.0.outputs()
    }
}

/// When a rank is told what.
#[derive(Clone, Debug)]
pub struct Order {
    /// After so many cycles.
    pub after: u64,
    /// What, one after the other.
    pub commands: Vec<CollectiveCommand>,
}

/// What came of orders.
#[derive(Clone, Debug, Default)]
pub struct Ran {
    /// From the first command to the last rank's `done_o`.
    pub cycles: u64,
    /// By rank: `saturated_o` at the end of a command.
    pub saturated: Vec<bool>,
}

/// Collective units with cables between their ports.
pub struct Network<'a> {
    units: Vec<Box<dyn Dut<Collective> + 'a>>,
    cables: Vec<(Box<dyn Cable + 'a>, [End; 2])>,
    idle: Inputs,
    held: Vec<Vec<Option<LinkWord>>>,
    now: u64,
    /// The host of this rank asks for what it must not get while the unit is busy.
    meddler: Option<(usize, u64)>,
}

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

impl<'a> Network<'a> {
    /// Units and cables, after a reset.
    ///
    /// # Errors
    /// When a device found something wrong.
    pub fn new(
        units: Vec<Box<dyn Dut<Collective> + 'a>>,
        cables: Vec<(Box<dyn Cable + 'a>, [End; 2])>,
        idle: Inputs,
    ) -> Result<Self, DutError> {
        let held = vec![vec![None; idle.word_i.len()]; units.len()];
        let mut network = Self { units, cables, idle, held, now: 0, meddler: None };
        network.reset()?;
        Ok(network)
    }

    /// Clocks so far.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// From now on the host of this rank writes and reads while the unit is busy.
    pub const fn meddle(&mut self, rank: usize, seed: u64) {
        self.meddler = Some((rank, seed));
    }

    /// Resets all units for a clock; what is on the cables is lost.
    ///
    /// # Errors
    /// When a device found something wrong.
    pub fn reset(&mut self) -> Result<(), DutError> {
        for unit in &mut self.units {
            unit.clock(false, &mut self.idle.clone())?;
        }
        self.cables.iter_mut().for_each(|(cable, _)| cable.reset());
        self.held.iter_mut().flatten().for_each(|word| *word = None);
        self.now += 1;
        Ok(())
    }

    /// One clock. `inputs` say what the hosts do; the cables say the rest.
    ///
    /// # Errors
    /// When a device found something wrong, or a word that was offered is withdrawn.
    pub fn clock(&mut self, inputs: &mut [Inputs]) -> Result<(), DutError> {
        let outputs: Vec<Outputs> = self.units.iter().map(|unit| unit.outputs()).collect();
        for (cable, ends) in &mut self.cables {
            let signals = cable.signals();
            for (signals, (rank, port)) in signals.iter().zip(*ends) {
                inputs[rank].word_valid_i[port] = signals.word.is_some();
                inputs[rank].word_i[port] = signals.word.unwrap_or_default();
                inputs[rank].word_ready_i[port] = signals.ready;
            }
            cable.clock(ends.map(|(rank, port)| Signals {
                word: outputs[rank].word_valid_o[port].then_some(outputs[rank].word_o),
                ready: outputs[rank].word_ready_o[port],
            }));
        }
        for (rank, outputs) in outputs.iter().enumerate() {
            for (port, held) in self.held[rank].iter_mut().enumerate() {
                let offered = outputs.word_valid_o[port].then_some(outputs.word_o);
                if held.is_some() && *held != offered {
                    return Err(wrong(format!("port {port} of rank {rank} does not hold its word")));
                }
                *held = offered.filter(|_| !inputs[rank].word_ready_i[port]);
            }
        }
        if let Some((rank, seed)) = &mut self.meddler
            && !outputs[*rank].command_ready_o
        {
            let bits = split_mix(seed);
            inputs[*rank].host_write_i = bits & 1 == 1;
            inputs[*rank].host_read_i = bits & 2 == 2;
            inputs[*rank].host_address_i = Uint(low_u16(bits >> 8) & 0xFF);
        }
        for (unit, inputs) in self.units.iter_mut().zip(inputs) {
            unit.clock(true, inputs)?;
        }
        self.now += 1;
        Ok(())
    }

    fn idle(&self) -> Vec<Inputs> {
        vec![self.idle.clone(); self.units.len()]
    }

    /// Waits until words can cross all cables.
    ///
    /// # Errors
    /// As for [`Self::clock`]; when that takes more than `limit` cycles.
    pub fn bring_up(&mut self, limit: u64) -> Result<(), DutError> {
        for _ in 0..limit {
            if self.cables.iter().all(|(cable, _)| cable.up()) {
                return Ok(());
            }
            self.clock(&mut self.idle())?;
        }
        Err(wrong(format!("a cable is not up after {limit} cycles")))
    }

    /// Nobody does anything for so many cycles.
    ///
    /// # Errors
    /// As for [`Self::clock`].
    pub fn wait(&mut self, cycles: u64) -> Result<(), DutError> {
        (0..cycles).try_for_each(|_| self.clock(&mut self.idle()))
    }

    /// The hosts write words, each rank its own.
    ///
    /// # Errors
    /// As for [`Self::clock`].
    pub fn write(&mut self, words: &[Vec<(usize, LinkWord)>]) -> Result<(), DutError> {
        let longest = words.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..longest {
            let mut inputs = self.idle();
            for (inputs, words) in inputs.iter_mut().zip(words) {
                if let Some((address, word)) = words.get(n) {
                    inputs.host_write_i = true;
                    inputs.host_address_i = Uint(low_u16(*address as u64));
                    inputs.host_word_i = *word;
                }
            }
            self.clock(&mut inputs)?;
        }
        Ok(())
    }

    /// The hosts read words, each rank its own.
    ///
    /// # Errors
    /// As for [`Self::clock`].
    pub fn read(&mut self, addresses: &[Vec<usize>]) -> Result<Vec<Vec<LinkWord>>, DutError> {
        let mut read = vec![Vec::new(); addresses.len()];
        let longest = addresses.iter().map(Vec::len).max().unwrap_or(0);
        for n in 0..longest {
            let mut inputs = self.idle();
            for (inputs, addresses) in inputs.iter_mut().zip(addresses) {
                if let Some(address) = addresses.get(n) {
                    inputs.host_read_i = true;
                    inputs.host_address_i = Uint(low_u16(*address as u64));
                }
            }
            self.clock(&mut inputs)?;
            for (rank, read) in read.iter_mut().enumerate() {
                if n < addresses[rank].len() {
                    read.push(self.units[rank].outputs().host_word_o);
                }
            }
        }
        Ok(read)
    }

    /// The ranks do what they are told. With `until`, only so many cycles of it: they are still at it then.
    ///
    /// # Errors
    /// As for [`Self::clock`]; when a rank refuses, or is not done within `limit` cycles.
    pub fn run(&mut self, orders: &[Order], limit: u64, until: Option<u64>) -> Result<Ran, DutError> {
        let mut ran = Ran { cycles: 0, saturated: vec![false; orders.len()] };
        let mut told = vec![0; orders.len()];
        let mut done = vec![0; orders.len()];
        let mut left: usize = orders.iter().map(|order| order.commands.len()).sum();
        for cycle in 0..until.unwrap_or(limit) {
            let mut inputs = self.idle();
            for (rank, (inputs, order)) in inputs.iter_mut().zip(orders).enumerate() {
                if cycle >= order.after
                    && let Some(command) = order.commands.get(told[rank])
                {
                    inputs.command_i = *command;
                    told[rank] += usize::from(self.units[rank].outputs().command_ready_o);
                }
            }
            self.clock(&mut inputs)?;
            for (rank, unit) in self.units.iter().enumerate() {
                let outputs = unit.outputs();
                if outputs.refused_o {
                    return Err(wrong(format!("rank {rank} refuses command {} of {orders:?}", done[rank])));
                }
                if outputs.done_o {
                    done[rank] += 1;
                    if done[rank] > told[rank] {
                        return Err(wrong(format!("rank {rank} has done what it was not told")));
                    }
                    ran.saturated[rank] |= outputs.saturated_o;
                    left -= 1;
                }
            }
            if left == 0 {
                ran.cycles = cycle + 1;
                return Ok(ran);
            }
        }
        match until {
            Some(cycles) => Ok(Ran { cycles, ..ran }),
            None => Err(wrong(format!("{left} commands are not done after {limit} cycles"))),
        }
    }

    /// A rank is told what it must refuse.
    ///
    /// # Errors
    /// As for [`Self::clock`]; when it does not refuse.
    pub fn refuse(&mut self, rank: usize, command: CollectiveCommand) -> Result<(), DutError> {
        let mut refusals = 0;
        for cycle in 0..6 {
            let mut inputs = self.idle();
            if cycle == 0 {
                inputs[rank].command_i = command;
            }
            self.clock(&mut inputs)?;
            let outputs = self.units[rank].outputs();
            refusals += u32::from(outputs.refused_o);
            if outputs.done_o || outputs.word_valid_o.contains(&true) || cycle > 1 && !outputs.command_ready_o
            {
                return Err(wrong(format!("takes {command:?}: {outputs:?}")));
            }
        }
        if refusals == 1 { Ok(()) } else { Err(wrong(format!("{refusals} refusals of {command:?}"))) }
    }
}
