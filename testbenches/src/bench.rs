// SPDX-License-Identifier: Apache-2.0
//! What a property test of a block consists of.

use std::collections::BTreeMap;
use std::fmt::Debug;

use proptest::strategy::BoxedStrategy;
use tandem_model::block::Block;

use crate::dut::{Dut, DutError};

/// How often each named corner was hit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    hits: BTreeMap<&'static str, u64>,
    cycles: u64,
}

impl Coverage {
    /// Counts a corner.
    pub fn hit(&mut self, corner: &'static str) {
        *self.hits.entry(corner).or_default() += 1;
    }

    /// Counts a corner when `condition` holds.
    pub fn hit_if(&mut self, condition: bool, corner: &'static str) {
        if condition {
            self.hit(corner);
        }
    }

    /// Counts clocks.
    pub fn add_cycles(&mut self, cycles: u64) {
        self.cycles += cycles;
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (corner, hits) in &other.hits {
            *self.hits.entry(corner).or_default() += hits;
        }
        self.cycles += other.cycles;
    }

    /// Clocks counted.
    #[must_use]
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// The named corners that were never hit.
    #[must_use]
    pub fn missing(&self, corners: &[&'static str]) -> Vec<&'static str> {
        corners.iter().copied().filter(|c| !self.hits.contains_key(c)).collect()
    }

    /// Hits by corner.
    #[must_use]
    pub const fn hits(&self) -> &BTreeMap<&'static str, u64> {
        &self.hits
    }
}

/// The device's answer is not the reference's.
#[derive(Debug)]
pub struct WrongAnswer(pub String);

impl std::fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the answer differs from the untimed reference: {}", self.0)
    }
}

impl std::error::Error for WrongAnswer {}

/// A property test of a block: random cases, and the device's answers against the untimed reference.
pub trait Bench {
    /// The block.
    type Block: Block;
    /// A case: everything that the run depends on.
    type Case: Clone + Debug;

    /// Named corners; a test that never hits one of them fails.
    fn corners(&self) -> &'static [&'static str];
    /// Cases, corners included.
    fn strategy(&self) -> BoxedStrategy<Self::Case>;
    /// The model after reset.
    fn model(&self) -> Self::Block;
    /// Runs a case and checks what comes out.
    ///
    /// # Errors
    /// What the device found wrong, or [`WrongAnswer`].
    fn run(
        &self,
        case: &Self::Case,
        dut: &mut dyn Dut<Self::Block>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError>;
}
