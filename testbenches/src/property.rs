// SPDX-License-Identifier: Apache-2.0
//! Runs a [`Bench`] on random cases and shrinks what fails.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::bench::{Bench, Coverage};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// How long to search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// At least so many cases ...
    pub cases: u64,
    /// ... and so many clocks ...
    pub cycles: u64,
    /// ... and so long.
    pub time: Duration,
}

/// What a search found.
#[derive(Debug)]
pub struct Outcome<C> {
    /// Cases run, shrinking excluded.
    pub cases: u64,
    /// Corners and clocks.
    pub coverage: Coverage,
    /// Wall time, seconds.
    pub seconds: f64,
    /// The smallest failing case.
    pub failure: Option<Failure<C>>,
}

/// A failing case, shrunk.
#[derive(Debug)]
pub struct Failure<C> {
    /// The case.
    pub case: C,
    /// Seed of the device's initial state.
    pub device_seed: u64,
    /// What went wrong.
    pub error: DutError,
}

/// Generator of a seed, the same everywhere.
fn rng(seed: u64) -> TestRng {
    let mut state = seed;
    let words: [u64; 4] = std::array::from_fn(|_| split_mix(&mut state));
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// Runs random cases of `bench` on devices that `make` gives, each after reset of a random initial state, until all
/// limits are reached, a case fails, or `stop` says so (it is told the cases so far).
///
/// # Panics
/// When the strategy itself rejects every case: a bug of the bench.
pub fn check<'a, B: Bench>(
    bench: &B,
    limits: Limits,
    seed: u64,
    make: impl Fn(u64) -> Result<Box<dyn Dut<B::Block> + 'a>, DutError>,
    mut stop: impl FnMut(u64) -> bool,
) -> Outcome<B::Case> {
    let config = Config { failure_persistence: None, max_shrink_iters: 2000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, rng(seed));
    let strategy = bench.strategy();
    let start = Instant::now();
    let mut outcome = Outcome { cases: 0, coverage: Coverage::default(), seconds: 0.0, failure: None };
    let mut seeds = seed;
    while outcome.cases < limits.cases
        || outcome.coverage.cycles() < limits.cycles
        || start.elapsed() < limits.time
    {
        if stop(outcome.cases) {
            break;
        }
        let device_seed = split_mix(&mut seeds);
        let tree = strategy.new_tree(&mut runner).expect("the strategies reject nothing");
        let coverage = RefCell::new(&mut outcome.coverage);
        let run = |case: &B::Case| -> Result<(), DutError> {
            let mut dut = make(device_seed)?;
            let mut hits = Coverage::default();
            let verdict = bench.run(case, &mut *dut, &mut hits).and_then(|()| dut.finish());
            coverage.borrow_mut().merge(&hits);
            verdict
        };
        let result = runner.run_one(tree, |case| run(&case).map_err(|e| TestCaseError::fail(e.to_string())));
        outcome.cases += 1;
        if let Err(TestError::Fail(_, case)) = result {
            let error = run(&case).expect_err("a failing case fails again: everything comes from its seeds");
            outcome.failure = Some(Failure { case, device_seed, error });
            break;
        }
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome
}
