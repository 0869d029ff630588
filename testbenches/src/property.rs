// SPDX-License-Identifier: Apache-2.0
//! Runs a [`Bench`] on random cases and shrinks what fails.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
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

/// The model or the bench panicked: one of its contracts is broken.
#[derive(Debug)]
pub struct Panicked(String);

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a contract of the model is broken: {}", self.0)
    }
}

impl std::error::Error for Panicked {}

/// Runs something that may break a contract of the model, which is a panic: it must not take the case with it.
///
/// # Errors
/// What `run` says, or [`Panicked`].
pub fn catching(run: impl FnOnce() -> Result<(), DutError>) -> Result<(), DutError> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(Panicked(message(&*panic)).into()))
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
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
            let again = catching(|| run(&case));
            let error = again.expect_err("a failing case fails again: everything comes from its seeds");
            outcome.failure = Some(Failure { case, device_seed, error });
            break;
        }
    }
    outcome.seconds = start.elapsed().as_secs_f64();
    outcome
}
