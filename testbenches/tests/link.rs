// SPDX-License-Identifier: Apache-2.0
//! What the link promises of the ends of sessions, at any moment.

use tandem_model::array::Geometry;
use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::link::{ALWAYS, Pair, Traffic};

/// A side no longer wants a session, in any cycle of its bring-up: no word is lost that the other side has taken in, and
/// that one does not believe in a session that has never been.
#[test]
fn session_ended_in_any_cycle_of_its_bring_up_loses_nothing() {
    let geometry = Geometry::ALL[0];
    for latency in [0, 3, 40] {
        for (second, cycle) in (0..8).flat_map(|second| (0..200).map(move |cycle| (second, cycle))) {
            let [mut a, mut b] = [0; 2].map(|_| ModelOnly { model: LinkEndpoint::new(geometry) });
            let mut pair = Pair::new(geometry, [&mut a, &mut b], [latency; 2], 1).unwrap();
            let words = Traffic { load: ALWAYS, words: 20, ..Traffic::NONE };
            (0..2).for_each(|side| pair.send(side, words));
            pair.enable(0, true);
            pair.clocks(second).unwrap();
            pair.enable(1, true);
            pair.clocks(cycle).unwrap();
            pair.enable(0, false);
            pair.clocks(800).unwrap();
            pair.settle().unwrap();
            let losses = pair.outputs(0).losses_o.0 + pair.outputs(1).losses_o.0;
            assert_eq!(
                (losses, pair.board.lost()),
                (0, 0),
                "wire of {latency}, enabled {second} and disabled {cycle} cycles later: {}",
                pair.states()
            );
        }
    }
}
