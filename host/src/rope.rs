// SPDX-License-Identifier: Apache-2.0
//! Rotary positions: frequencies, and how they are scaled for sequences longer than those of the training, after
//! `modeling_rope_utils.py` of transformers.

use std::f32::consts::TAU;

use serde::{Deserialize, Serialize};

use crate::config::{Config, refuse};
use crate::error::HostError;
use crate::math::float;

/// How the frequencies are changed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All are divided by the factor.
    Linear {
        /// At least 1.
        factor: f32,
    },
    /// Those of long waves are divided by the factor, those of short ones kept, with a ramp between.
    Llama3 {
        /// At least 1.
        factor: f32,
        /// Waves that go this often into the original context, or less, are long.
        low: f32,
        /// Waves that go this often into the original context, or more, are short.
        high: f32,
        /// Tokens of the original context.
        original: f32,
    },
    /// As `Llama3` with a ramp over the number of the frequency; and cosines and sines are scaled.
    Yarn {
        /// At least 1.
        factor: f32,
        /// Turns within the original context from which on a frequency is kept.
        fast: f32,
        /// Turns up to which a frequency is divided.
        slow: f32,
        /// The ends of the ramp are whole numbers.
        truncate: bool,
        /// Factor of all cosines and sines.
        attention: f32,
        /// Tokens of the original context.
        original: f32,
    },
}

/// `rope_parameters` or `rope_scaling` as it is written.
#[derive(Deserialize)]
pub(crate) struct RawRope {
    pub(crate) rope_theta: Option<f32>,
    rope_type: Option<String>,
    /// The older key. Not an alias: some files hold both.
    #[serde(rename = "type")]
    old_type: Option<String>,
    partial_rotary_factor: Option<f32>,
    factor: Option<f32>,
    original_max_position_embeddings: Option<f32>,
    low_freq_factor: Option<f32>,
    high_freq_factor: Option<f32>,
    attention_factor: Option<f32>,
    beta_fast: Option<f32>,
    beta_slow: Option<f32>,
    truncate: Option<bool>,
    mscale: Option<f32>,
    mscale_all_dim: Option<f32>,
}

impl RawRope {
    /// What it says; `key` is only named in errors.
    pub(crate) fn scaling(&self, key: &'static str) -> Result<RopeScaling, HostError> {
        if let Some(factor) = self.partial_rotary_factor.filter(|factor| *factor != 1.0) {
            let advice = "use a checkpoint that turns whole heads";
            return Err(refuse(key, "of partial_rotary_factor 1", factor, advice));
        }
        let needed = |name: &str, value: Option<f32>| {
            value.ok_or_else(|| {
                let expected = format!("with {name}, which its rope_type needs");
                refuse(key, expected, "none", "correct the file or fetch it again")
            })
        };
        let factor = || needed("factor", self.factor);
        let original = || needed("original_max_position_embeddings", self.original_max_position_embeddings);
        let kind = self.rope_type.as_deref().or(self.old_type.as_deref()).unwrap_or("default");
        match kind {
            "default" => Ok(RopeScaling::None),
            "linear" => Ok(RopeScaling::Linear { factor: factor()? }),
            "llama3" => Ok(RopeScaling::Llama3 {
                factor: factor()?,
                low: needed("low_freq_factor", self.low_freq_factor)?,
                high: needed("high_freq_factor", self.high_freq_factor)?,
                original: original()?,
            }),
            "yarn" => {
                for (name, value) in [("mscale", self.mscale), ("mscale_all_dim", self.mscale_all_dim)] {
                    if let Some(value) = value {
                        let advice = "use a checkpoint of Qwen3 or Llama as they are published";
                        return Err(refuse(key, format!("without {name}"), value, advice));
                    }
                }
                let factor = factor()?;
                Ok(RopeScaling::Yarn {
                    factor,
                    fast: self.beta_fast.unwrap_or(32.0),
                    slow: self.beta_slow.unwrap_or(1.0),
                    truncate: self.truncate.unwrap_or(true),
                    attention: self.attention_factor.unwrap_or(0.1 * factor.max(1.0).ln() + 1.0),
                    original: original()?,
                })
            }
            other => {
                let expected = "of rope_type \"default\", \"linear\", \"llama3\" or \"yarn\"";
                let advice = "use a checkpoint with rotary positions of one of these kinds";
                Err(refuse(key, expected, format!("{other:?}"), advice))
            }
        }
    }
}

impl RopeScaling {
    /// Refuses numbers with which frequencies would be none.
    pub(crate) fn check(&self) -> Result<(), HostError> {
        let (numbers, ordered): (&[f32], bool) = match *self {
            Self::None => (&[], true),
            Self::Linear { factor } => (&[factor], factor >= 1.0),
            Self::Llama3 { factor, low, high, original } => {
                (&[factor, low, high, original], factor >= 1.0 && low < high)
            }
            Self::Yarn { factor, fast, slow, attention, original, .. } => {
                (&[factor, fast, slow, attention, original], factor >= 1.0 && slow < fast)
            }
        };
        if ordered && numbers.iter().all(|number| number.is_finite() && *number > 0.0) {
            return Ok(());
        }
        let expected = "of a factor of at least 1 and positive numbers, the lower bound below the upper";
        Err(refuse("rope_scaling", expected, format!("{self:?}"), "correct the file or fetch it again"))
    }

    /// Factor of all cosines and sines.
    const fn attention(&self) -> f32 {
        match self {
            Self::Yarn { attention, .. } => *attention,
            _ => 1.0,
        }
    }
}

/// Angles of every position of a model.
#[derive(Clone, Debug)]
pub(crate) struct Rope {
    /// Radians per position, one for each of the `head_dim / 2` pairs.
    frequencies: Vec<f32>,
    scale: f32,
}

impl Rope {
    pub(crate) fn new(config: &Config) -> Self {
        let (theta, dim) = (config.rope_theta, config.head_dim);
        let exponents = (0..dim).step_by(2).map(|i| float(i) / float(dim));
        let plain = exponents.map(|exponent| 1.0 / theta.powf(exponent));
        let scaling = config.rope_scaling;
        let ramp = match scaling {
            RopeScaling::Yarn { fast, slow, truncate, original, .. } => {
                yarn_ramp(theta, dim, [fast, slow], truncate, original)
            }
            _ => [0.0; 2],
        };
        let scaled = |(number, plain): (usize, f32)| match scaling {
            RopeScaling::None => plain,
            RopeScaling::Linear { factor } => plain / factor,
            RopeScaling::Llama3 { factor, low, high, original } => {
                let wave = TAU / plain;
                if wave > original / low {
                    plain / factor
                } else if wave < original / high {
                    plain
                } else {
                    let smooth = (original / wave - low) / (high - low);
                    (1.0 - smooth) * plain / factor + smooth * plain
                }
            }
            RopeScaling::Yarn { factor, .. } => {
                let [from, to] = ramp;
                let divided = ((float(number) - from) / (to - from)).clamp(0.0, 1.0);
                plain / factor * divided + plain * (1.0 - divided)
            }
        };
        Self { frequencies: plain.enumerate().map(scaled).collect(), scale: scaling.attention() }
    }

    /// (sine, cosine) of every pair at `position`.
    pub(crate) fn turns(&self, position: usize) -> impl Iterator<Item = (f32, f32)> {
        self.frequencies.iter().map(move |frequency| {
            let (sin, cos) = (frequency * float(position)).sin_cos();
            (sin * self.scale, cos * self.scale)
        })
    }
}

/// Numbers of the frequencies up to which they are kept, and from which on they are divided.
fn yarn_ramp(theta: f32, dim: usize, turns: [f32; 2], truncate: bool, original: f32) -> [f32; 2] {
    let number = |turns: f32| float(dim) * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
    let [mut from, mut to] = turns.map(number);
    if truncate {
        (from, to) = (from.floor(), to.ceil());
    }
    (from, to) = (from.max(0.0), to.min(float(dim - 1)));
    // As transformers: a ramp has a length.
    if from == to { [from, to + 0.001] } else { [from, to] }
}

/// Turns every head of one token. Element `i` pairs with `i + head_dim / 2`, as Hugging Face stores heads, not with
/// `i + 1`.
pub(crate) fn turn(heads: &mut [f32], turns: &[(f32, f32)]) {
    let half = turns.len();
    for head in heads.chunks_exact_mut(2 * half) {
        let (low, high) = head.split_at_mut(half);
        for ((low, high), (sin, cos)) in low.iter_mut().zip(high).zip(turns) {
            (*low, *high) = (*low * cos - *high * sin, *high * cos + *low * sin);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn frequencies(theta: f32, scaling: &str) -> Rope {
        let config = format!(
            r#"{{"architectures": ["LlamaForCausalLM"], "hidden_act": "silu", "hidden_size": 128,
            "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 1, "vocab_size": 8,
            "rms_norm_eps": 1e-6, "max_position_embeddings": 131072, "rope_theta": {theta},
            "rope_scaling": {scaling}}}"#
        );
        Rope::new(&Config::parse(config.as_bytes(), Path::new("config.json")).expect("a configuration"))
    }

    /// Against the same formulas in binary64, as `_compute_llama3_parameters` has them.
    #[test]
    fn llama3_divides_long_waves() {
        let scaling = r#"{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192}"#;
        let rope = frequencies(500_000.0, scaling);
        let mut kinds = [0; 3];
        for (number, found) in (0..64).zip(&rope.frequencies) {
            let plain = 500_000_f64.powf(-f64::from(number) / 64.0);
            let turns = 8192.0 * plain / std::f64::consts::TAU;
            let (kind, expected) = if turns < 1.0 {
                (0, plain / 8.0)
            } else if turns > 4.0 {
                (1, plain)
            } else {
                let smooth = (turns - 1.0) / 3.0;
                (2, (1.0 - smooth) * plain / 8.0 + smooth * plain)
            };
            kinds[kind] += 1;
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-5, "{number}: {found} {expected}");
        }
        assert!(kinds.iter().all(|&count| count > 2), "{kinds:?}");
        assert_eq!(rope.scale, 1.0);
    }

    /// Against `_compute_yarn_parameters` for Qwen3's 32,768 positions times four: kept up to number 23, divided from 40 on.
    #[test]
    fn yarn_divides_what_turns_seldom() {
        let scaling = r#"{"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}"#;
        let rope = frequencies(1_000_000.0, scaling);
        for (number, found) in (0_u32..64).zip(&rope.frequencies) {
            let plain = 1_000_000_f64.powf(-f64::from(number) / 64.0);
            let divided = ((f64::from(number) - 23.0) / 17.0).clamp(0.0, 1.0);
            let expected = plain / 4.0 * divided + plain * (1.0 - divided);
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-5, "{number}: {found} {expected}");
        }
        let (sin, cos) = rope.turns(0).next().expect("pairs");
        assert_eq!((sin, cos), (0.0, 0.1 * 4.0_f32.ln() + 1.0));
    }

    #[test]
    fn linear_divides_all() {
        let (plain, scaled) =
            (frequencies(1e4, "null"), frequencies(1e4, r#"{"type": "linear", "factor": 2.0}"#));
        let halves: Vec<f32> = plain.frequencies.iter().map(|frequency| frequency / 2.0).collect();
        assert_eq!(scaled.frequencies, halves);
    }
}
