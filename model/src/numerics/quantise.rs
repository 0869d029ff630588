// SPDX-License-Identifier: Apache-2.0
//! MX blocks and their quantisers from binary32 (docs/numerics.md, "Quantisers"), in integers on the bits
//! alone.

use super::{E2m1, E8m0, Mxint8};

/// Elements of an MX block, all under one scale.
pub const BLOCK_LEN: usize = 32;

const FRACTION_MASK: u32 = 0x7F_FFFF;
const HIDDEN_BIT: u32 = 0x80_0000;
const MAGNITUDE_MASK: u32 = 0x7FFF_FFFF;
/// Magnitude bits of infinity; above it are the NaNs.
const INFINITY_BITS: u32 = 0x7F80_0000;

/// How the scale follows from the largest magnitude.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum ScaleRule {
    /// OCP MX 1.0: floor(log2 amax) - emax.
    Floor,
    /// One more than `Floor` when rounding amax to the element's precision would carry into the next binade.
    #[default]
    Even,
}

/// 32 E2M1 elements under one scale; element i is at index i.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MxFp4Block {
    /// The scale. NaN (code 255): the block contributes +0 to every sum, whatever its elements.
    pub scale: E8m0,
    /// The elements.
    pub elements: [E2m1; BLOCK_LEN],
}

/// 32 MXINT8 elements under one scale; element i is at index i.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MxInt8Block {
    /// The scale. NaN (code 255): the block contributes +0 to every sum, whatever its elements.
    pub scale: E8m0,
    /// The elements.
    pub elements: [Mxint8; BLOCK_LEN],
}

/// A quantised block together with "the input held an Inf or a NaN".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Quantised<B> {
    /// The block; scale NaN and elements 0 when `non_finite`.
    pub block: B,
    /// The input held an Inf or a NaN: raises the sticky flag.
    pub non_finite: bool,
}

impl MxFp4Block {
    /// Fraction field of amax from which rounding to two significand bits carries: 1.75.
    const CARRY_AT: u32 = 0x60_0000;

    /// Quantises 32 binary32 values.
    #[must_use]
    pub fn quantise(values: &[f32; BLOCK_LEN], rule: ScaleRule) -> Quantised<Self> {
        match shared_scale(values, E2m1::EMAX, Self::CARRY_AT, rule) {
            None => Quantised { block: Self { scale: E8m0::NAN, ..Self::default() }, non_finite: true },
            Some(scale) => {
                let exponent = scale.exponent().expect("only a non-finite block has the NaN scale");
                let elements = values.map(|v| E2m1::from_magnitude(Magnitude::of(v), exponent));
                Quantised { block: Self { scale, elements }, non_finite: false }
            }
        }
    }

    /// The values in binary32: exact, but 2^128 and above (scale codes 253 and 254 only) is an infinity. All
    /// NaN under a NaN scale. The sign of -0 is kept.
    #[must_use]
    pub fn dequantise_f32(&self) -> [f32; BLOCK_LEN] {
        self.elements.map(|e| scaled_f32(e.to_f32(), self.scale))
    }

    /// The values in binary64, exact. All NaN under a NaN scale. The sign of -0 is kept.
    #[must_use]
    pub fn dequantise_f64(&self) -> [f64; BLOCK_LEN] {
        self.elements.map(|e| f64::from(e.to_f32()) * f64::from(self.scale.to_f32()))
    }
}

impl MxInt8Block {
    /// Fraction field of amax from which rounding to seven significand bits carries: 1.9921875.
    const CARRY_AT: u32 = 0x7F_0000;

    /// Quantises 32 binary32 values.
    #[must_use]
    pub fn quantise(values: &[f32; BLOCK_LEN], rule: ScaleRule) -> Quantised<Self> {
        match shared_scale(values, Mxint8::EMAX, Self::CARRY_AT, rule) {
            None => Quantised { block: Self { scale: E8m0::NAN, ..Self::default() }, non_finite: true },
            Some(scale) => {
                let exponent = scale.exponent().expect("only a non-finite block has the NaN scale");
                let elements = values.map(|v| Mxint8::from_magnitude(Magnitude::of(v), exponent));
                Quantised { block: Self { scale, elements }, non_finite: false }
            }
        }
    }

    /// The values in binary32: exact, but -2 x 2^127 (element -128 under scale code 254) is an infinity. All
    /// NaN under a NaN scale.
    #[must_use]
    pub fn dequantise_f32(&self) -> [f32; BLOCK_LEN] {
        self.elements.map(|e| scaled_f32(e.to_f32(), self.scale))
    }

    /// The values in binary64, exact. All NaN under a NaN scale.
    #[must_use]
    pub fn dequantise_f64(&self) -> [f64; BLOCK_LEN] {
        self.elements.map(|e| f64::from(e.to_f32()) * f64::from(self.scale.to_f32()))
    }
}

/// `value x scale` in binary32. One multiplication suffices: at most 8 significand bits, lowest bit at least
/// 2^-133.
fn scaled_f32(value: f32, scale: E8m0) -> f32 {
    value * scale.to_f32()
}

/// The scale of a block; `None` when it holds an Inf or a NaN.
///
/// A subnormal amax has exponent field 0 and always gets scale code 0, under either rule.
fn shared_scale(values: &[f32; BLOCK_LEN], emax: i32, carry_at: u32, rule: ScaleRule) -> Option<E8m0> {
    let amax = values.iter().map(|v| v.to_bits() & MAGNITUDE_MASK).max().expect("32 values");
    if amax >= INFINITY_BITS {
        return None;
    }
    let (field, fraction) = (amax >> 23, amax & FRACTION_MASK);
    if field == 0 {
        return Some(E8m0::default());
    }
    let carry = rule == ScaleRule::Even && fraction >= carry_at;
    // Field and scale code have the same bias.
    let code = i32::try_from(field).expect("8 bits") + i32::from(carry) - emax;
    let code = code.clamp(0, i32::from(E8m0::MAX_CODE));
    Some(E8m0::from_code(u8::try_from(code).expect("clamped")))
}

/// A binary32 number taken apart: `significand x 2^(exponent - 150)`.
#[derive(Clone, Copy)]
pub(super) struct Magnitude {
    /// Sign bit.
    pub negative: bool,
    /// 24 bits with the hidden bit, without it for a subnormal.
    significand: u32,
    /// Exponent field, 1 for a subnormal.
    exponent: i32,
}

impl Magnitude {
    /// Takes a number apart. Inf and NaN read as numbers of the binade 2^128.
    pub fn of(value: f32) -> Self {
        let bits = value.to_bits();
        let (field, fraction) = (bits >> 23 & 0xFF, bits & FRACTION_MASK);
        Self {
            negative: bits >> 31 == 1,
            significand: if field == 0 { fraction } else { fraction | HIDDEN_BIT },
            exponent: i32::try_from(field.max(1)).expect("8 bits"),
        }
    }

    /// The integer part of `magnitude x 2^by`, clamped where it would pass 24 bits, and whether bits below it
    /// were lost.
    pub fn shifted(self, by: i32) -> (u32, bool) {
        let left = self.exponent - 150 + by;
        if self.significand == 0 {
            (0, false)
        } else if left > 0 {
            // Only normal numbers come here (scales are at least 2^-127): 2^24 and more, far above any
            // saturation.
            (HIDDEN_BIT, true)
        } else {
            // 24 places empty the significand: further ones change nothing.
            let right = left.unsigned_abs().min(24);
            (self.significand >> right, self.significand & ((1 << right) - 1) != 0)
        }
    }
}
