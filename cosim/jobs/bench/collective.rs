// SPDX-License-Identifier: Apache-2.0
//! Collective operations between chips: cycles against what the links' bandwidth and the wires' latency allow.

use tandem_model::block::Block;
use tandem_model::collective::collective::Collective;
use tandem_model::collective::types::{CollectiveCommand, CollectiveOp};
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_testbenches::collective::links::Link;
use tandem_testbenches::collective::network::{Cable, End, Layout, Nest, Network, Order};
use tandem_testbenches::{Dut, ModelOnly};

use super::{Better, Figure, SMALL};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::as_f64;

/// Ports of a chip.
const PORTS: usize = SMALL.peers;
/// Cycles of a beat on a wire.
const WIRE: usize = 20;

/// Cycles until the last rank is done, with these cables and commands per rank.
fn cycles(cables: Vec<[End; 2]>, commands: Vec<Vec<CollectiveCommand>>, words: usize) -> anyhow::Result<u64> {
    let unit = Collective::sized(PORTS, words.next_power_of_two());
    let idle = unit.idle_inputs();
    let units =
        commands.iter().map(|_| -> Box<dyn Dut<Collective>> { Box::new(ModelOnly { model: unit.clone() }) });
    let endpoint = LinkEndpoint::new(SMALL);
    let cables = cables
        .into_iter()
        .map(|ends| -> (Box<dyn Cable>, _) { (Box::new(Link::new(&endpoint, WIRE, None)), ends) });
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
        limit.hops * WIRE
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
    if limit.words > 10 * limit.hops * WIRE {
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

/// An all-reduce of 8 KiB on groups within groups.
fn nested(name: &str, levels: &[(usize, bool)]) -> anyhow::Result<Vec<Figure>> {
    const WORDS: usize = 128;
    let nest = Nest::new(levels, WORDS);
    let ranks = nest.commands.len();
    let limit = Limit { words: nest.load, hops: nest.hops };
    let cycles = cycles(nest.cables, nest.commands, WORDS)?;
    let what = format!("{ranks} chips as {name}, a vector of {WORDS} words, on the models");
    Ok(measured(format!("collective_all_reduce_{name}_8k"), cycles, &limit, &what))
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
    figures.extend(nested("ring_128", &[(128, false)])?);
    figures.extend(nested("torus_8x16", &[(8, false), (16, false)])?);
    figures.extend(nested("full_4_ring_4_ring_8", &[(4, true), (4, false), (8, false)])?);
    Ok(figures)
}
