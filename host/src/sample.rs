// SPDX-License-Identifier: Apache-2.0
//! Which token comes next, of logits that the accelerator computed.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::math::argmax;

/// Draws tokens. The same seed and logits give the same tokens.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f64,
    top_p: f64,
    random: ChaCha8Rng,
}

impl Sampler {
    /// Logits are divided by `temperature`; of the probabilities only the largest are left that together reach `top_p`. At
    /// temperature 0 the largest logit wins, of equal ones the lowest id.
    #[must_use]
    pub fn new(temperature: f64, top_p: f64, seed: u64) -> Self {
        Self { temperature, top_p, random: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// Whether the logits alone decide.
    #[must_use]
    pub fn is_greedy(&self) -> bool {
        self.temperature == 0.0
    }

    /// The id of a token.
    ///
    /// # Panics
    /// Without logits.
    pub fn pick(&mut self, logits: &[f32]) -> u32 {
        if self.is_greedy() {
            return argmax(logits).expect("there are logits");
        }
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |logit: f32| (f64::from(logit - most) / self.temperature).exp();
        let mut candidates: Vec<(u32, f64)> = (0..).zip(logits.iter().map(|&logit| weight(logit))).collect();
        candidates.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut kept = 0.0;
        let enough = candidates.iter().position(|(_, weight)| {
            kept += weight;
            kept >= self.top_p * total
        });
        candidates.truncate(enough.map_or(candidates.len(), |last| last + 1));
        let kept: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = self.uniform() * kept;
        for &(id, weight) in &candidates {
            left -= weight;
            if left < 0.0 {
                return id;
            }
        }
        candidates[0].0
    }

    /// A number from 0 to below 1.
    fn uniform(&mut self) -> f64 {
        f64::from(self.random.next_u32()) / 2f64.powi(32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(temperature: f64, top_p: f64) -> [u32; 3] {
        let mut sampler = Sampler::new(temperature, top_p, 5);
        let mut counts = [0; 3];
        for _ in 0..4000 {
            counts[usize::try_from(sampler.pick(&[0.0, 2f32.ln(), 4f32.ln()])).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn frequencies_are_those_of_the_softmax() {
        for (count, share) in counts(1.0, 1.0).into_iter().zip([1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]) {
            assert!((f64::from(count) / 4000.0 - share).abs() < 0.03, "{count} of 4000, expected {share}");
        }
        // At half the temperature the odds are squared.
        let [a, _, c] = counts(0.5, 1.0);
        assert!((f64::from(a) / f64::from(c) - 1.0 / 16.0).abs() < 0.03, "{a} against {c}");
    }

    #[test]
    fn top_p_leaves_the_largest_out_of_which_it_comes() {
        assert_eq!(counts(1.0, 0.5), [0, 0, 4000]);
        let [a, b, c] = counts(1.0, 0.7);
        assert!(a == 0 && b > 1000 && c > 2000, "{b} {c}");
    }

    #[test]
    fn at_temperature_zero_the_lowest_of_the_largest_wins() {
        assert_eq!(Sampler::new(0.0, 1.0, 1).pick(&[1.0, 3.0, 3.0]), 1);
    }
}
