// SPDX-License-Identifier: Apache-2.0
//! Test bench of a collective unit: one rank is the device, models are the others; the memories of all must hold what
//! the definition says.

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::block::{Block, Uint, Wide, low_u16};
use tandem_model::collective::collective::{Collective, VECTOR_WORDS};
use tandem_model::collective::types::{CollectiveCommand, CollectiveOp};
use tandem_model::link::types::LinkWord;
use tandem_model::reference::collective::reduce;

use super::network::{Borrowed, Cable, Layout, Network, Order, Stream};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError, ModelOnly};
use crate::random::split_mix;

/// Property test of `collective`.
#[derive(Clone, Copy, Debug)]
pub struct CollectiveBench {
    /// Geometry: how many ports.
    pub geometry: Geometry,
}

/// What the ranks are told.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// All of them the same.
    Run {
        /// 0 reduce-scatter, 1 all-gather, 2 all-reduce.
        op: u8,
        /// First word, or as far up as the vector fits.
        base: u8,
        /// Words of a chunk, at most as many as fit.
        words: u8,
        /// New words before, of this kind.
        fresh: Option<Words>,
        /// Ranks begin up to so many cycles late.
        skew: u8,
        /// All are reset after so many cycles.
        reset: Option<u8>,
    },
    /// All gather what they scattered last, if that was the last thing they did.
    Gather,
    /// The device is told what it must refuse: which of the reasons.
    Refuse(u8),
    /// Nothing.
    Idle(u8),
}

/// Kinds of words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Words {
    /// Floats of similar magnitude.
    Near,
    /// A few values: sums that cancel.
    Few,
    /// Floats at the ends of the range.
    Ends,
    /// Any bits.
    Bits,
}

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Each rank has a cable to each other.
    pub full: bool,
    /// Ranks, as far as there are ports; a ring has up to ten.
    pub ranks: u8,
    /// Which of them is the device.
    pub rank: u8,
    /// Cycles of a cable.
    pub latency: u8,
    /// Words that a cable holds.
    pub room: u8,
    /// Cables stall.
    pub stalls: bool,
    /// The host asks for what it must not get.
    pub meddle: bool,
    /// One after the other.
    pub ops: Vec<Op>,
    /// Words, ports, stalls.
    pub seed: u64,
}

const CORNERS: [&str; 26] = [
    "reduce-scatter on a ring",
    "all-gather on a ring",
    "all-reduce on a ring",
    "reduce-scatter, full",
    "all-gather, full",
    "all-reduce, full",
    "ring of two",
    "ring of two on one port",
    "ring of more than eight",
    "full, of two",
    "full, all ports in use",
    "chunk of one word",
    "chunk shorter than the adders",
    "vector to the end of the memory",
    "sum saturated",
    "device begins first",
    "device begins last",
    "all-gather behind reduce-scatter",
    "all-gather of any bits",
    "sum of any bits",
    "reset in the middle",
    "cable of one word",
    "no stalls",
    "host meddles",
    "chunk beyond the memory refused",
    "port refused",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

fn word(kind: Words, state: &mut u64) -> LinkWord {
    let mut bits = || split_mix(state);
    if kind == Words::Bits {
        return LinkWord(std::array::from_fn(|_| Wide(bits())));
    }
    let mut word = LinkWord::default();
    for lane in 0..14 {
        let random = bits();
        let exponent = match kind {
            Words::Near => 2040 + random % 24,
            Words::Few => [2048, 2048, 2049, 0][usize::from(low_u16(random % 4))],
            Words::Ends | Words::Bits => {
                [4095, 4095, 4094, 2048, 0, 1, 1, 2][usize::from(low_u16(random % 8))]
            }
        };
        let fraction = if kind == Words::Few || exponent == 0 { 0 } else { random >> 8 & 0x7F_FFFF };
        let sign = if exponent == 0 { 0 } else { random >> 40 & 1 };
        let float = u128::from(sign << 35 | exponent << 23 | fraction) << (36 * lane % 64);
        let at = 36 * lane / 64;
        let (low, high) = (float & u128::from(u64::MAX), float >> 64);
        word.0[at].0 |= u64::try_from(low).expect("64 bits");
        if at < 7 {
            word.0[at + 1].0 |= u64::try_from(high).expect("64 bits");
        }
    }
    word
}

fn from_bytes(bytes: &[u8; 64]) -> LinkWord {
    LinkWord(std::array::from_fn(|c| {
        Wide(u64::from_le_bytes(bytes[8 * c..][..8].try_into().expect("8 bytes")))
    }))
}

/// The untimed view: what each rank's memory must hold, where that is known.
type Memories = Vec<Vec<Option<LinkWord>>>;

/// Carries out an operation; returns which ranks must have seen a lane clamped.
fn collect(memories: &mut Memories, op: u8, full: bool, base: usize, words: usize) -> Vec<bool> {
    let ranks = memories.len();
    let mut saturated = vec![false; ranks];
    for chunk in 0..ranks {
        for at in (0..words).map(|w| base + chunk * words + w) {
            let mut result = memories[chunk][at];
            if op != 1 {
                let terms: Vec<[u8; 64]> =
                    memories.iter().map(|memory| memory[at].expect("was written").bytes()).collect();
                let (total, clamped) = reduce(&terms, chunk);
                result = Some(from_bytes(&total));
                for (rank, clamped) in clamped.into_iter().enumerate() {
                    // In the full shape the owner of a chunk adds all of it.
                    saturated[if full { chunk } else { rank }] |= clamped;
                }
            }
            for (rank, memory) in memories.iter_mut().enumerate() {
                // A reduce-scatter leaves partial sums elsewhere.
                memory[at] = if op == 0 && rank != chunk { None } else { result };
            }
        }
    }
    saturated
}

/// Compares what is known of these addresses with what the hosts read.
fn compare(
    network: &mut Network<'_>,
    memories: &Memories,
    range: std::ops::Range<usize>,
) -> Result<(), DutError> {
    let known = |memory: &Vec<Option<LinkWord>>| range.clone().filter(|&at| memory[at].is_some()).collect();
    let addresses: Vec<Vec<usize>> = memories.iter().map(known).collect();
    let read = network.read(&addresses)?;
    for (rank, (addresses, read)) in addresses.iter().zip(read).enumerate() {
        for (&at, got) in addresses.iter().zip(read) {
            let expected = memories[rank][at];
            if expected != Some(got) {
                return Err(wrong(format!("word {at} of rank {rank}: {got:x?}, expected {expected:x?}")));
            }
        }
    }
    Ok(())
}

impl CollectiveBench {
    fn layout(&self, case: &Case, seed: &mut u64) -> Layout {
        let ports = self.geometry.peers;
        if case.full {
            return Layout::full(2 + usize::from(case.ranks) % ports);
        }
        let ranks = 2 + usize::from(case.ranks) % 9;
        let mut pick = |n: usize| usize::from(low_u16(split_mix(seed) % n as u64));
        let pair = |_| {
            let send = pick(ports);
            let receive = (send + 1 + pick(ports - 1)) % ports;
            (send, receive)
        };
        let mut layout = Layout { full: false, ports: (0..ranks).map(pair).collect() };
        if ranks == 2 && pick(2) == 0 {
            layout.ports.iter_mut().for_each(|p| p.1 = p.0);
        }
        layout
    }

    /// A command with one thing wrong.
    fn refused(&self, which: usize) -> CollectiveCommand {
        let mut command = Layout::ring(3).command(CollectiveOp::AllReduce, 1, 0, 4);
        let ports = low_u16(self.geometry.peers as u64);
        match which {
            0 => command.op = CollectiveOp::Reserved3,
            1 => command.ranks = Uint(1),
            2 => (command.ranks, command.words) = (Uint(129), Uint(1)),
            3 => command.rank = Uint(3),
            4 => command.words = Uint(0),
            5 => command.base = Uint(low_u16(VECTOR_WORDS as u64) - 11),
            6 => command.words = Uint(0xFFFF),
            7 => (command.full, command.ranks) = (true, Uint(ports + 2)),
            8 => command.send_port = Uint(ports),
            _ => command.receive_port = Uint(ports),
        }
        command
    }
}

/// Kinds of refused commands.
const REFUSED: usize = 10;

/// A case while it runs.
struct Driver<'a> {
    case: &'a Case,
    layout: Layout,
    /// Which rank the device is.
    rank: usize,
    seed: u64,
    network: Network<'a>,
    memories: Memories,
    scattered: Option<(usize, usize)>,
}

impl Driver<'_> {
    /// Writes what an operation needs and is not known.
    fn fill(&mut self, op: u8, base: usize, words: usize, fresh: Option<Words>) -> Result<(), DutError> {
        let ranks = self.layout.ranks();
        let mut writes = vec![Vec::new(); ranks];
        for (rank, writes) in writes.iter_mut().enumerate() {
            for at in base..base + ranks * words {
                // An all-gather looks at nothing but the rank's own chunk.
                let needed = op != 1 || (at - base) / words == rank;
                if needed && (fresh.is_some() || self.memories[rank][at].is_none()) {
                    let word = word(fresh.unwrap_or(Words::Near), &mut self.seed);
                    self.memories[rank][at] = Some(word);
                    writes.push((at, word));
                }
            }
        }
        self.network.write(&writes)
    }

    fn run(&mut self, op: Op, bench: CollectiveBench, coverage: &mut Coverage) -> Result<(), DutError> {
        let ranks = self.layout.ranks();
        let (op, base, words, fresh, skew, reset) = match op {
            Op::Run { op, base, words, fresh, skew, reset } => {
                (op % 3, usize::from(base), usize::from(words), fresh, skew, reset)
            }
            Op::Gather => match self.scattered {
                Some((base, words)) => (1, base, words - 1, None, 0, None),
                None => return Ok(()),
            },
            Op::Refuse(which) => {
                let which = usize::from(which) % REFUSED;
                coverage.hit_if(which == 5, CORNERS[24]);
                coverage.hit_if(which == 8, CORNERS[25]);
                return self.network.refuse(self.rank, bench.refused(which));
            }
            Op::Idle(cycles) => {
                return self.network.wait(u64::from(cycles));
            }
        };
        let words = (1 + words).min(VECTOR_WORDS / ranks);
        let base = base.min(VECTOR_WORDS - ranks * words);
        self.fill(op, base, words, fresh)?;
        let range = base..base + ranks * words;
        let code = CollectiveOp::ALL[usize::from(op)];
        let late: Vec<u64> = (0..ranks).map(|_| split_mix(&mut self.seed) % (u64::from(skew) + 1)).collect();
        let orders: Vec<Order> = (0..ranks)
            .map(|rank| {
                let command = self.layout.command(code, rank, base, words);
                Order { after: late[rank], commands: vec![command] }
            })
            .collect();
        let full = self.layout.full;
        coverage.hit(CORNERS[usize::from(op) + if full { 3 } else { 0 }]);
        coverage.hit_if(!full && ranks == 2, CORNERS[6]);
        coverage.hit_if(!full && ranks == 2 && self.layout.ports[0].0 == self.layout.ports[0].1, CORNERS[7]);
        coverage.hit_if(!full && ranks > 8, CORNERS[8]);
        coverage.hit_if(full && ranks == 2, CORNERS[9]);
        coverage.hit_if(full && ranks == bench.geometry.peers + 1, CORNERS[10]);
        coverage.hit_if(words == 1, CORNERS[11]);
        coverage.hit_if((2..5).contains(&words), CORNERS[12]);
        coverage.hit_if(range.end == VECTOR_WORDS, CORNERS[13]);
        let others = || late.iter().enumerate().filter(|(rank, _)| *rank != self.rank).map(|(_, late)| *late);
        coverage.hit_if(others().all(|other| other > late[self.rank]), CORNERS[15]);
        coverage.hit_if(others().all(|other| other < late[self.rank]), CORNERS[16]);
        coverage.hit_if(op == 1 && self.scattered == Some((base, words)), CORNERS[17]);
        coverage.hit_if(op == 1 && fresh == Some(Words::Bits), CORNERS[18]);
        coverage.hit_if(op != 1 && fresh == Some(Words::Bits), CORNERS[19]);
        coverage.hit_if(self.case.room == 1, CORNERS[21]);
        coverage.hit_if(!self.case.stalls, CORNERS[22]);
        coverage.hit_if(self.case.meddle, CORNERS[23]);

        if let Some(cycles) = reset {
            let ran = self.network.run(&orders, 0, Some(u64::from(cycles)))?;
            coverage.hit_if(ran.cycles == u64::from(cycles), CORNERS[20]);
            self.network.reset()?;
            self.scattered = None;
            for memory in &mut self.memories {
                memory[range.clone()].fill(None);
            }
            return Ok(());
        }
        let limit = 2000 + 200 * (ranks * words * 2) as u64;
        let ran = self.network.run(&orders, limit, None)?;
        let saturated = collect(&mut self.memories, op, full, base, words);
        coverage.hit_if(saturated[self.rank], CORNERS[14]);
        if ran.saturated != saturated {
            return Err(wrong(format!("saturated_o by rank: {:?}, expected {saturated:?}", ran.saturated)));
        }
        self.scattered = (op == 0).then_some((base, words));
        compare(&mut self.network, &self.memories, range)
    }
}

impl Bench for CollectiveBench {
    type Block = Collective;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let kind = prop_oneof![
            4 => Just(Words::Near),
            2 => Just(Words::Few),
            2 => Just(Words::Ends),
            1 => Just(Words::Bits)
        ];
        let run = (
            0..3u8,
            prop_oneof![2 => 0..60u8, 1 => Just(255)],
            prop_oneof![2 => Just(0), 3 => 1..4u8, 3 => 4..16u8, 1 => 16..60u8],
            proptest::option::weighted(0.6, kind),
            prop_oneof![Just(0), 0..40u8],
            proptest::option::weighted(0.1, 0..120u8),
        );
        let op = prop_oneof![
            8 => run.prop_map(|(op, base, words, fresh, skew, reset)| Op::Run { op, base, words, fresh, skew, reset }),
            2 => any::<u8>().prop_map(Op::Refuse),
            1 => (0..20u8).prop_map(Op::Idle),
            2 => Just(Op::Gather),
        ];
        let cables = (0..24u8, prop_oneof![1 => Just(1u8), 1 => 1..4u8, 2 => 4..40u8], any::<bool>());
        (any::<bool>(), any::<u8>(), any::<u8>(), cables, any::<bool>(), vec(op, 1..8), any::<u64>())
            .prop_map(|(full, ranks, rank, (latency, room, stalls), meddle, ops, seed)| Case {
                full,
                ranks,
                rank,
                latency,
                room,
                stalls,
                meddle,
                ops,
                seed,
            })
            .boxed()
    }

    fn model(&self) -> Collective {
        Collective::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<Collective>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut seed = case.seed;
        let layout = self.layout(case, &mut seed);
        let ranks = layout.ranks();
        let rank = usize::from(case.rank) % ranks;
        let mut dut = Some(dut);
        let units = (0..ranks).map(|r| -> Box<dyn Dut<Collective> + '_> {
            match dut.take_if(|_| r == rank) {
                Some(dut) => Box::new(Borrowed(dut)),
                None => Box::new(ModelOnly { model: self.model() }),
            }
        });
        let units: Vec<_> = units.collect();
        let cables = layout.cables().into_iter().map(|ends| -> (Box<dyn Cable>, _) {
            let stalls = case.stalls.then(|| split_mix(&mut seed));
            (Box::new(Stream::new(u64::from(case.latency), usize::from(case.room), stalls)), ends)
        });
        let cables = cables.collect();
        let mut network = Network::new(units, cables, self.model().idle_inputs())?;
        if case.meddle {
            network.meddle(rank, split_mix(&mut seed));
        }
        let memories = vec![vec![None; VECTOR_WORDS]; ranks];
        let mut driver = Driver { case, layout, rank, seed, network, memories, scattered: None };
        case.ops.iter().try_for_each(|&op| driver.run(op, *self, coverage))?;
        compare(&mut driver.network, &driver.memories, 0..VECTOR_WORDS)?;
        coverage.add_cycles(driver.network.now());
        Ok(())
    }
}
