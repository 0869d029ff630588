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
