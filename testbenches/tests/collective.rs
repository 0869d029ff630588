// SPDX-License-Identifier: Apache-2.0
//! Collective units over real links: models of the endpoints, wires of some latency, bit errors.

use tandem_model::array::Geometry;
use tandem_model::block::{Block, Wide};
use tandem_model::collective::collective::{Collective, VECTOR_WORDS};
use tandem_model::collective::reducer::{floats, word_of};
use tandem_model::collective::types::CollectiveOp;
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_model::link::types::LinkWord;
use tandem_model::numerics::Float36;
use tandem_model::reference::collective::reduce;
use tandem_testbenches::collective::links::Link;
use tandem_testbenches::collective::network::{Cable, Layout, Nest, Network, Order, Stream};
use tandem_testbenches::random::split_mix;
use tandem_testbenches::{Dut, ModelOnly};

fn vector(rank: usize, words: usize) -> Vec<LinkWord> {
    let mut state = rank as u64;
    let mut float = || {
        let bits = split_mix(&mut state);
        let exponent = 2040 + i32::from(bits.to_le_bytes()[0] % 16);
        Float36::from_fields(bits >> 63 == 1, exponent, bits >> 8 & 0x7F_FFFF)
    };
    (0..words).map(|_| word_of(&std::array::from_fn(|_| float()))).collect()
}

/// An all-reduce over links; returns cycles and what all ranks ended with.
fn all_reduce(
    geometry: Geometry,
    layout: &Layout,
    words: usize,
    errors: Option<u64>,
) -> (u64, Vec<Vec<LinkWord>>) {
    let unit = Collective::new(geometry);
    let ranks = layout.ranks();
    let units =
        (0..ranks).map(|_| -> Box<dyn Dut<Collective>> { Box::new(ModelOnly { model: unit.clone() }) });
    let endpoint = LinkEndpoint::new(geometry);
    let cables = (1..).zip(layout.cables()).map(|(seed, ends)| -> (Box<dyn Cable>, _) {
        (Box::new(Link::new(&endpoint, 20, errors.map(|one_in| (seed, one_in)))), ends)
    });
    let mut network = Network::new(units.collect(), cables.collect(), unit.idle_inputs()).unwrap();
    network.bring_up(5000).unwrap();
    let total = ranks * words;
    let vectors: Vec<_> =
        (0..ranks).map(|rank| vector(rank, total).into_iter().enumerate().collect()).collect();
    network.write(&vectors).unwrap();
    let order =
        |rank| Order { after: 0, commands: vec![layout.command(CollectiveOp::AllReduce, rank, 0, words)] };
    let orders: Vec<Order> = (0..ranks).map(order).collect();
    let ran = network.run(&orders, 200_000, None).unwrap();
    let read = network.read(&vec![(0..total).collect(); ranks]).unwrap();
    (ran.cycles, read)
}

fn expected(ranks: usize, words: usize) -> Vec<LinkWord> {
    let vectors: Vec<_> = (0..ranks).map(|rank| vector(rank, ranks * words)).collect();
    let total = |at: usize| {
        let terms: Vec<_> = vectors.iter().map(|vector| vector[at].bytes()).collect();
        from_bytes(reduce(&terms, at / words).0)
    };
    (0..ranks * words).map(total).collect()
}

#[test]
fn every_rank_has_the_same_bits_over_links_with_bit_errors() {
    let (ranks, words) = (4, VECTOR_WORDS / 4);
    let expected = expected(ranks, words);
    for geometry in Geometry::ALL {
        for layout in [Layout::ring(ranks), Layout::full(ranks)] {
            let (clean, sums) = all_reduce(geometry, &layout, words, None);
            assert!(sums.iter().all(|sums| *sums == expected), "{} {layout:?}", geometry.name);
            // One flit of 50 is lost.
            let (noisy, sums) = all_reduce(geometry, &layout, words, Some(200));
            assert!(sums.iter().all(|sums| *sums == expected), "{} {layout:?}, errors", geometry.name);
            assert!(noisy > clean, "no flit of this run was lost");
        }
    }
}

fn from_bytes(bytes: [u8; 64]) -> LinkWord {
    LinkWord(std::array::from_fn(|c| Wide(u64::from_le_bytes(bytes[8 * c..][..8].try_into().unwrap()))))
}

/// Four groups of four that are tied each to each, and rings through them.
#[test]
fn groups_within_groups_sum_by_levels() {
    let (inner, outer, words) = (4, 4, 64);
    let ranks = inner * outer;
    let unit = Collective::sized(7, words);
    let units =
        (0..ranks).map(|_| -> Box<dyn Dut<Collective>> { Box::new(ModelOnly { model: unit.clone() }) });
    let nest = Nest::new(&[(inner, true), (outer, false)], words);
    let cables = (1..)
        .zip(nest.cables)
        .map(|(seed, ends)| -> (Box<dyn Cable>, _) { (Box::new(Stream::new(5, 4, Some(seed))), ends) });
    let mut network = Network::new(units.collect(), cables.collect(), unit.idle_inputs()).unwrap();
    let vectors: Vec<_> = (0..ranks).map(|rank| vector(rank, words)).collect();
    let writes: Vec<Vec<_>> = vectors.iter().map(|v| v.iter().copied().enumerate().collect()).collect();
    network.write(&writes).unwrap();
    let orders: Vec<Order> = nest.commands.into_iter().map(|commands| Order { after: 0, commands }).collect();
    network.run(&orders, 100_000, None).unwrap();
    let (chunk, piece) = (words / inner, words / inner / outer);
    let expected: Vec<LinkWord> = (0..words)
        .map(|at| {
            let group = |j: usize| {
                let terms: Vec<_> = (0..inner).map(|i| vectors[i + inner * j][at].bytes()).collect();
                reduce(&terms, at / chunk).0
            };
            let groups: Vec<_> = (0..outer).map(group).collect();
            from_bytes(reduce(&groups, at % chunk / piece).0)
        })
        .collect();
    let read = network.read(&vec![(0..words).collect(); ranks]).unwrap();
    assert!(read.iter().all(|vector| *vector == expected));
}

#[test]
fn words_of_floats_are_packed_and_unpacked() {
    for word in vector(1, 16) {
        assert_eq!(word_of(&floats(&word)), word);
        assert!(word.0[7].0 >> 56 == 0);
    }
}
