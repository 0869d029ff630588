// SPDX-License-Identifier: Apache-2.0
//! Collective operations between chips: cycles against what the links' bandwidth and the wires' latency allow.

use tandem_model::block::Block;
use tandem_model::collective::collective::Collective;
use tandem_model::collective::types::{CollectiveCommand, CollectiveOp};
use tandem_testbenches::collective::network::{Cable, End, Layout, Network, Order, Stream};
use tandem_testbenches::{Dut, ModelOnly};

use super::{Better, Figure};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::as_f64;

/// Ports of a chip.
const PORTS: usize = 7;
/// Cycles of a beat on a wire.
const WIRE: u64 = 20;

fn cable() -> Box<dyn Cable> {
    Box::new(Stream::new(WIRE, 64, None))
}

/// Cycles until the last rank is done, with these cables and commands per rank.
fn cycles(cables: Vec<[End; 2]>, commands: Vec<Vec<CollectiveCommand>>, words: usize) -> anyhow::Result<u64> {
    let unit = Collective::sized(PORTS, words.next_power_of_two());
    let idle = unit.idle_inputs();
    let units =
        commands.iter().map(|_| -> Box<dyn Dut<Collective>> { Box::new(ModelOnly { model: unit.clone() }) });
    let cables = cables.into_iter().map(|ends| (cable(), ends));
    let mut network = Network::new(units.collect(), cables.collect(), idle).map_err(unbox)?;
    network.bring_up(2000).map_err(unbox)?;
    let orders: Vec<Order> = commands.into_iter().map(|commands| Order { after: 0, commands }).collect();
    let ran = network.run(&orders, 10_000_000, None).map_err(unbox)?;
    interrupt::check()?;
    Ok(ran.cycles)
}

/// The cycles that every one of so many words and so many hops on the wire take.
struct Limit {
    words: usize,
    hops: usize,
}

fn measured(name: String, cycles: u64, limit: &Limit, what: &str) -> Vec<Figure> {
    let bandwidth = limit.words as u64;
    let how = format!(
        "{what}: {cycles} cycles; the bandwidth of a link (a word of 64 bytes a cycle each way) needs {bandwidth}, {} hops of \
         {WIRE} cycles on the wire need {}",
        limit.hops,
        limit.hops as u64 * WIRE
    );
    let mut figures = vec![Figure {
        name: format!("{name}_cycles"),
        value: as_f64(cycles),
        reach: None,
        better: Better::Lower,
        unit: "cycles",
        how: how.clone(),
    }];
    // Where the bandwidth is what counts.
    if bandwidth > 10 * limit.hops as u64 * WIRE {
        figures.push(Figure {
            name: format!("{name}_utilisation"),
            value: as_f64(bandwidth) / as_f64(cycles),
            reach: None,
            better: Better::Higher,
            unit: "of the links' bandwidth",
            how,
        });
    }
    figures
}

/// One operation on a vector of so many bytes, padded to a word per rank.
fn single(
    op: CollectiveOp,
    full: bool,
    ranks: usize,
    (size, bytes): (&str, usize),
) -> anyhow::Result<Vec<Figure>> {
    let words = (bytes / 64 / ranks).max(1);
    let layout = if full { Layout::full(ranks) } else { Layout::ring(ranks) };
    let commands = (0..ranks).map(|rank| vec![layout.command(op, rank, 0, words)]).collect();
    let cycles = cycles(layout.cables(), commands, words * ranks)?;
    let (name, halves) = match op {
        CollectiveOp::AllGather => ("all_gather", 1),
        _ => ("all_reduce", 2),
    };
    let shape = if full { "full" } else { "ring" };
    let hops = halves * if full { 1 } else { ranks - 1 };
    let limit = Limit { words: halves * (ranks - 1) * words, hops };
    let what = format!("{ranks} chips of {PORTS} ports, chunks of {words} words, on the models");
    Ok(measured(format!("collective_{name}_{shape}_{ranks}_{size}"), cycles, &limit, &what))
}

/// An all-reduce on rings within rings: `sizes` from the innermost one out. Reduce-scatter on each but the last, all-reduce
/// there, all-gather on the way back.
fn nested(name: &str, sizes: &[(usize, bool)], words: usize) -> anyhow::Result<Vec<Figure>> {
    let ranks: usize = sizes.iter().map(|(size, _)| size).product();
    let mut cables = Vec::new();
    let mut commands = vec![Vec::new(); ranks];
    // By level: commands of the way in, to be undone on the way back.
    let mut back: Vec<Vec<CollectiveCommand>> = vec![Vec::new(); ranks];
    let mut base = vec![0; ranks];
    let (mut stride, mut port, mut left, mut hops, mut load) = (1, 0, words, 0, 0);
    for (level, &(size, full)) in sizes.iter().enumerate() {
        let last = level + 1 == sizes.len();
        let layout = if full { Layout::full(size) } else { Layout::ring(size) };
        let chunk = (left / size).max(1);
        let groups = (0..ranks).filter(|rank| rank / stride % size == 0);
        for group in groups {
            for ends in layout.cables() {
                cables.push(ends.map(|(rank, own)| (group + rank * stride, port + own)));
            }
        }
        for rank in 0..ranks {
            let place = rank / stride % size;
            let told = |op| {
                let mut command = layout.command(op, place, base[rank], chunk);
                command.send_port.0 += low(port);
                command.receive_port.0 += low(port);
                command
            };
            let op = if last { CollectiveOp::AllReduce } else { CollectiveOp::ReduceScatter };
            commands[rank].push(told(op));
            if !last {
                back[rank].push(told(CollectiveOp::AllGather));
            }
            base[rank] += place * chunk;
        }
        hops += 2 * if full { 1 } else { size - 1 };
        load += 2 * (size - 1) * chunk;
        stride *= size;
        port += if full { size - 1 } else { 2 };
        left = chunk;
    }
    for (commands, back) in commands.iter_mut().zip(back) {
        commands.extend(back.into_iter().rev());
    }
    let cycles = cycles(cables, commands, words)?;
    let what = format!("{ranks} chips as {name}, a vector of {words} words, on the models");
    Ok(measured(format!("collective_all_reduce_{name}_8k"), cycles, &Limit { words: load, hops }, &what))
}

fn low(port: usize) -> u16 {
    tandem_model::block::low_u16(port as u64)
}

/// All figures of collective operations.
///
/// # Errors
/// When a model fails.
pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for size in [("64", 64), ("8k", 8 << 10), ("1m", 1 << 20)] {
        for op in [CollectiveOp::AllGather, CollectiveOp::AllReduce] {
            for ranks in [2, 4, 8] {
                for full in [false, true] {
                    figures.extend(single(op, full, ranks, size)?);
                }
            }
        }
    }
    figures.extend(nested("ring_128", &[(128, false)], 128)?);
    figures.extend(nested("torus_8x16", &[(8, false), (16, false)], 128)?);
    figures.extend(nested("full_4_ring_4_ring_8", &[(4, true), (4, false), (8, false)], 128)?);
    Ok(figures)
}
