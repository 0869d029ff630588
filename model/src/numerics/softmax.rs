// SPDX-License-Identifier: Apache-2.0
//! Powers of two and p (docs/numerics.md, "Softmax"), in the steps of the hardware.

use super::Float36;
use super::float36::{EXPONENT_BIAS, FRACTION_BITS};
use crate::attention::types::{SCORE_EXPONENT_BITS, SCORE_FRACTION_BITS};

/// The largest score in fixed point: 1023.
const LIMIT: i32 = 1023 << SCORE_FRACTION_BITS;
/// Fraction bits of a score that lie between two entries of the table.
const LOW_BITS: u32 = 6;
/// A shift that leaves nothing of a mantissa.
pub const TOO_SMALL: u16 = 9;

/// 2^(i / 64) x 2^15, to nearest; `model/tests/softmax.rs` derives every entry.
#[rustfmt::skip]
pub const POWERS: [u32; 65] = [
    32_768, 33_125, 33_486, 33_850, 34_219, 34_591, 34_968, 35_349,
    35_734, 36_123, 36_516, 36_914, 37_316, 37_722, 38_133, 38_548,
    38_968, 39_392, 39_821, 40_255, 40_693, 41_136, 41_584, 42_037,
    42_495, 42_958, 43_425, 43_898, 44_376, 44_859, 45_348, 45_842,
    46_341, 46_846, 47_356, 47_871, 48_393, 48_920, 49_452, 49_991,
    50_535, 51_085, 51_642, 52_204, 52_773, 53_347, 53_928, 54_515,
    55_109, 55_709, 56_316, 56_929, 57_549, 58_176, 58_809, 59_449,
    60_097, 60_751, 61_413, 62_081, 62_757, 63_441, 64_132, 64_830,
    65_536,];

/// Step 1: a score aligned to the fixed point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Scaled {
    /// Sign of the score.
    pub negative: bool,
    /// The score is 1024 and more; the rest is 0 then.
    pub over: bool,
    /// Magnitude, cut off, 22 bits.
    pub magnitude: i32,
    /// The first bit that is cut off.
    pub half: bool,
    /// Whether any bit below it is set.
    pub rest: bool,
}

/// Step 2: the score in fixed point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Fixed {
    /// The score was beyond +-1023.
    pub clamped: bool,
    /// In units of 2^-12.
    pub value: i32,
}

/// Step 3: mantissa x 2^(exponent - 11).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Power {
    /// The score was beyond +-1023.
    pub clamped: bool,
    /// Floor of the score.
    pub exponent: i32,
    /// 2^fraction, 2048..=4095.
    pub mantissa: u16,
}

/// Aligns a score.
#[must_use]
pub fn scale(score: Float36) -> Scaled {
    let negative = score.is_negative();
    let bits = |width: u32| i32::try_from(width).expect("a width");
    if score.exponent() >= EXPONENT_BIAS + bits(SCORE_EXPONENT_BITS) - 1 {
        return Scaled { negative, over: true, ..Scaled::default() };
    }
    let unit = EXPONENT_BIAS + bits(FRACTION_BITS) - bits(SCORE_FRACTION_BITS);
    let shift = (unit - score.exponent()).min(bits(FRACTION_BITS) + 3);
    let significand = score.significand();
    let below = significand & ((1 << shift) - 1);
    let half = 1 << (shift - 1);
    Scaled {
        negative,
        over: false,
        magnitude: i32::try_from(significand >> shift).expect("22 bits"),
        half: below & half != 0,
        rest: below & (half - 1) != 0,
    }
}

/// Rounds to nearest even and clamps.
#[must_use]
pub fn fix(x: Scaled) -> Fixed {
    let up = x.half && (x.rest || x.magnitude & 1 == 1);
    let rounded = x.magnitude + i32::from(up);
    let clamped = x.over || rounded > LIMIT;
    let magnitude = if clamped { LIMIT } else { rounded };
    Fixed { clamped, value: if x.negative { -magnitude } else { magnitude } }
}

/// 2^score.
#[must_use]
pub fn power(x: Fixed) -> Power {
    let fraction = x.value & ((1 << SCORE_FRACTION_BITS) - 1);
    Power {
        clamped: x.clamped,
        exponent: x.value >> SCORE_FRACTION_BITS,
        mantissa: mantissa(u16::try_from(fraction).expect("12 bits")),
    }
}

/// 2^(fraction / 4096), 2048..=4095: a straight line between two entries of the table, half a unit rounded up.
#[must_use]
pub fn mantissa(fraction: u16) -> u16 {
    let index = usize::from(fraction >> LOW_BITS);
    let low = u32::from(fraction & ((1 << LOW_BITS) - 1));
    let line = (POWERS[index] << LOW_BITS) + (POWERS[index + 1] - POWERS[index]) * low;
    u16::try_from((line + (1 << 9)) >> 10).expect("12 bits")
}

/// p: the mantissa shifted right by 4 + `shift`, to nearest even, at most 255.
#[must_use]
pub fn quantise(mantissa: u16, shift: u16) -> u16 {
    let by = 4 + shift;
    let (kept, below, half) = (mantissa >> by, mantissa & ((1 << by) - 1), 1 << (by - 1));
    let up = below > half || (below == half && kept & 1 == 1);
    (kept + u16::from(up)).min(255)
}
