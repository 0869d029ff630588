// SPDX-License-Identifier: Apache-2.0
//! Shared by the property tests: a runner with a fixed seed, and counted corners.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// Runs `check` on `cases` values, the same ones every time. `Err` holds a small counterexample.
pub fn run<S: Strategy>(
    cases: u32,
    seed: u8,
    strategy: &S,
    check: impl Fn(S::Value) -> Result<(), String>,
) -> Result<(), String>
where
    S::Value: std::fmt::Debug,
{
    // No failure file: the seed already makes every run the same.
    // Must-fail twins fail in every run: a short search for a small counterexample is enough.
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let outcome = TestRunner::new_with_rng(config, rng)
        .run(strategy, |value| check(value).map_err(TestCaseError::fail));
    outcome.map_err(|error| match error {
        TestError::Fail(reason, value) => format!("{reason}\n  for {value:?}"),
        TestError::Abort(reason) => format!("aborted: {reason}"),
    })
}

/// Counts how often each named corner was met.
#[derive(Debug)]
pub struct Corners(RefCell<BTreeMap<String, usize>>);

impl Corners {
    /// The corners that must be met.
    pub fn of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self(RefCell::new(names.into_iter().map(|name| (name.into(), 0)).collect()))
    }

    /// Counts a corner when `met`. A name that was not declared is a mistake of the test.
    pub fn hit(&self, name: &str, met: bool) {
        let mut counts = self.0.borrow_mut();
        let count = counts.get_mut(name).unwrap_or_else(|| panic!("undeclared corner: {name}"));
        *count += usize::from(met);
    }

    /// `Err` names the corners met fewer than `least` times.
    pub fn covered(&self, least: usize) -> Result<(), String> {
        let counts = self.0.borrow();
        let missed: Vec<String> =
            counts.iter().filter(|(_, n)| **n < least).map(|(name, n)| format!("{name}: {n}")).collect();
        if missed.is_empty() {
            Ok(())
        } else {
            Err(format!("corners met fewer than {least} times: {missed:?}"))
        }
    }
}
