// SPDX-License-Identifier: Apache-2.0
//! How much of the wire carries payload, with and without errors, and how long messages take.

use tandem_model::link::link_endpoint::LinkEndpoint;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::link::channel::Rates;
use tandem_testbenches::link::exchange::{self, Outcome, Plan};
use tandem_testbenches::link::{ALWAYS, Traffic};

use super::{Better, Figure};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::as_f64;
use crate::jobs::link::{Latency, Mix, Replay, efficiency, enough, expected_efficiency, traffic};

/// Cycles on the wire each way: there and back are more than 100.
const LATENCY: usize = 40;

/// Rates of wrong bits, flits each way that show at least ten of them, and what is to be reached with selective replay.
const ROWS: [(f64, u64, Option<f64>); 5] = [
    (0.0, 10_000, Some(0.965)),
    (1e-8, 500_000, Some(0.965)),
    (1e-7, 60_000, None),
    (1e-6, 20_000, Some(0.95)),
    (1e-5, 20_000, None),
];

fn exchange(replay: Replay, plan: &Plan) -> anyhow::Result<Outcome> {
    let geometry = replay.geometry();
    let [mut a, mut b] = [0; 2].map(|_| ModelOnly { model: LinkEndpoint::new(geometry) });
    exchange::run(plan, geometry, [&mut a, &mut b], &mut |_| Ok(interrupt::check()?)).map_err(unbox)
}

fn plan(ber: f64, latency: usize, traffic: Traffic) -> Plan {
    let rates = Rates { ber, ..Rates::default() };
    Plan { latency, rates: [rates; 2], traffic, sinks: ALWAYS, seed: 1 }
}

/// Both sides send bulk as fast as it goes.
fn throughput(replay: Replay, ber: f64, flits: u64, reach: Option<f64>) -> anyhow::Result<Figure> {
    let outcome = exchange(replay, &plan(ber, LATENCY, traffic(Mix([0, 0, 100]), flits)))?;
    let counters = outcome.counters;
    enough(ber, flits, counters.crc_errors, counters.replays)?;
    let name = if replay == Replay::Selective { "selective" } else { "go_back_n" };
    Ok(Figure {
        name: if ber > 0.0 {
            format!("link_{name}_ber_{ber:e}_efficiency")
        } else {
            format!("link_{name}_efficiency")
        },
        value: efficiency(&outcome),
        reach,
        better: Better::Higher,
        unit: "of the wire",
        how: format!(
            "{flits} flits of bulk each way, {LATENCY} cycles of wire each way, {} there and back; {} CRC errors, {} flits \
             sent again, {} sessions lost; 66 bytes a cycle; the formula of docs/link.md says {:.4}; on the models, which \
             lockstep holds equal to the RTL",
            outcome.round_trip,
            counters.crc_errors,
            counters.replays,
            counters.losses,
            expected_efficiency(replay, ber, outcome.round_trip)
        ),
    })
}

/// Messages of one word on a wire without delay, alone and with bulk behind them.
fn messages(loaded: bool) -> anyhow::Result<Vec<Figure>> {
    let (mix, load) = if loaded { (Mix([0, 5, 95]), ALWAYS) } else { (Mix([0, 100, 0]), 8) };
    // Bulk in pieces of any length: else messages would always come in the same cycle of a flit.
    let traffic = Traffic { load, exact: false, ..traffic(mix, 5000) };
    let outcome = exchange(Replay::Selective, &plan(0.0, 0, traffic))?;
    let latency = Latency::of("latency", &outcome.board.latencies(1));
    let Some(latency) = latency else { anyhow::bail!("no message has come") };
    let name = if loaded { "loaded" } else { "alone" };
    let figure = |what: &str, value: u64, reach| Figure {
        name: format!("link_message_{name}_{what}"),
        value: as_f64(value),
        reach,
        better: Better::Lower,
        unit: "cycles",
        how: format!(
            "port to port on a wire without delay, {} messages of 64 bytes, {}",
            latency.words,
            if loaded { "bulk always waiting" } else { "now and then" }
        ),
    };
    Ok(vec![figure("median", latency.median, None), figure("p99", latency.p99, None), {
        // Alone, a message waits for nothing but the next flit.
        figure("max", latency.max, (!loaded).then_some(12.0))
    }])
}

/// All figures of the link.
///
/// # Errors
/// When an endpoint fails, or a run saw too few errors.
pub fn figures(quick: bool) -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for replay in [Replay::Selective, Replay::GoBackN] {
        for (ber, flits, reach) in ROWS {
            // A rare error takes a long run.
            if !quick || flits < 100_000 {
                let reach = reach.filter(|_| replay == Replay::Selective || ber < 1e-7);
                figures.push(throughput(replay, ber, flits, reach)?);
            }
        }
    }
    figures.extend(messages(false)?);
    figures.extend(messages(true)?);
    Ok(figures)
}
