// SPDX-License-Identifier: Apache-2.0
//! Exact dyadic numbers, and the 36-bit float as a rounding of them (docs/numerics.md, "The float").

use std::cmp::Ordering;

use num_bigint::{BigInt, BigUint, Sign};

use crate::numerics::{Float36, Rounded};

/// Significand bits of the float, hidden bit included.
const SIGNIFICAND_BITS: i64 = 24;
/// floor(log2) of the largest magnitude.
const LOG2_MAX: i64 = 2047;
/// log2 of the smallest magnitude.
const LOG2_MIN: i64 = -2047;
/// Largest magnitude: exponent and fraction fields all ones.
const LARGEST: u64 = (1 << 35) - 1;

/// An exact number `n x 2^exponent`. Comparison is by value.
#[derive(Clone, Debug)]
pub struct Exact {
    n: BigInt,
    exponent: i32,
}

impl Exact {
    /// `n x 2^exponent`.
    #[must_use]
    pub fn new(n: impl Into<BigInt>, exponent: i32) -> Self {
        Self { n: n.into(), exponent }
    }

    /// Zero.
    #[must_use]
    pub fn zero() -> Self {
        Self::new(0, 0)
    }

    /// The value of a 36-bit float.
    #[must_use]
    pub fn of(value: Float36) -> Self {
        let bits = value.bits();
        let code = i32::try_from(bits >> 23 & 0xFFF).expect("12 bits");
        if code == 0 {
            return Self::zero();
        }
        // (1 + f / 2^23) x 2^(code - 2048), over 2^23.
        let n = BigInt::from((1u64 << 23) + (bits & 0x7F_FFFF));
        Self::new(if bits >> 35 == 1 { -n } else { n }, code - 2048 - 23)
    }

    /// The value of a binary32 number; `None` for Inf and NaN.
    #[must_use]
    pub fn of_f32(value: f32) -> Option<Self> {
        if !value.is_finite() {
            return None;
        }
        let bits = value.to_bits();
        let field = i32::try_from(bits >> 23 & 0xFF).expect("8 bits");
        let fraction = BigInt::from(bits & 0x7F_FFFF);
        // IEEE 754: field 0 has no hidden bit and the exponent of field 1.
        let (n, exponent) =
            if field == 0 { (fraction, 1 - 127) } else { (fraction + (1 << 23), field - 127) };
        Some(Self::new(if bits >> 31 == 1 { -n } else { n }, exponent - 23))
    }

    /// Sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        Self { n: self.at(exponent) + other.at(exponent), exponent }
    }

    /// Difference.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&Self { n: -&other.n, exponent: other.exponent })
    }

    /// Product.
    #[must_use]
    pub fn times(&self, other: &Self) -> Self {
        Self { n: &self.n * &other.n, exponent: self.exponent + other.exponent }
    }

    /// Magnitude.
    #[must_use]
    pub fn abs(&self) -> Self {
        Self { n: BigInt::from(self.n.magnitude().clone()), exponent: self.exponent }
    }

    /// True for zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.n.sign() == Sign::NoSign
    }

    /// True below zero.
    #[must_use]
    pub fn is_negative(&self) -> bool {
        self.n.sign() == Sign::Minus
    }

    /// floor(log2 |x|); `None` for zero.
    #[must_use]
    pub fn floor_log2(&self) -> Option<i64> {
        let bits = i64::try_from(self.n.bits()).expect("fits in memory");
        (bits != 0).then(|| bits - 1 + i64::from(self.exponent))
    }

    /// The nearest number of at most `bits` significand bits, ties to even, with unbounded exponent.
    #[must_use]
    pub fn rounded_to(&self, bits: i64) -> Self {
        match self.floor_log2() {
            None => Self::zero(),
            Some(log2) => self.rounded_at(i32::try_from(log2 - bits + 1).expect("an exponent")),
        }
    }

    /// The nearest multiple of 2^place, ties to the even multiple.
    #[must_use]
    pub fn rounded_at(&self, place: i32) -> Self {
        if place <= self.exponent {
            return self.clone();
        }
        let drop = place.abs_diff(self.exponent);
        let magnitude = self.n.magnitude();
        let floor = magnitude >> drop;
        let rest = magnitude - (&floor << drop);
        let up = match (rest << 1u32).cmp(&(BigUint::from(1u32) << drop)) {
            Ordering::Less => false,
            Ordering::Equal => floor.bit(0),
            Ordering::Greater => true,
        };
        Self { n: BigInt::from_biguint(self.n.sign(), floor + u32::from(up)), exponent: place }
    }

    /// The 36-bit float: nearest, ties to even, judged in range after rounding; saturates or flushes to zero.
    #[must_use]
    pub fn round(&self) -> Rounded {
        let rounded = self.rounded_to(SIGNIFICAND_BITS);
        let Some(log2) = rounded.floor_log2() else {
            return Rounded::default();
        };
        let sign = u64::from(rounded.is_negative()) << 35;
        let float = |bits| Float36::from_bits(bits).expect("36 bits, exponent code not 0");
        if log2 > LOG2_MAX {
            Rounded { value: float(sign | LARGEST), saturated: true }
        } else if log2 < LOG2_MIN {
            Rounded::default()
        } else {
            let unit = i32::try_from(log2 - SIGNIFICAND_BITS + 1).expect("in range");
            let significand = u64::try_from(rounded.at(unit).magnitude()).expect("24 bits");
            let code = u64::try_from(log2 + 2048).expect("in range");
            Rounded { value: float(sign | code << 23 | (significand - (1 << 23))), saturated: false }
        }
    }

    /// The nearest binary64, ties to even; infinity when out of range. For error figures.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        let Some(log2) = self.floor_log2() else {
            return 0.0;
        };
        // 53 significand bits, fewer among the subnormals, whose unit is 2^-1074.
        let unit = i32::try_from((log2 - 52).max(-1074)).expect("an exponent");
        let rounded = self.rounded_at(unit);
        let negative = u64::from(rounded.is_negative()) << 63;
        let bits = match rounded.floor_log2() {
            None => 0,
            Some(log2) if log2 > 1023 => 0x7FF << 52,
            Some(log2) => {
                let unit = i32::try_from((log2 - 52).max(-1074)).expect("an exponent");
                let significand = u64::try_from(rounded.at(unit).magnitude()).expect("53 bits");
                // Unit -1074 with the hidden bit is field 1, without it field 0: the addition makes both.
                significand + (u64::try_from(unit + 1074).expect("not negative") << 52)
            }
        };
        f64::from_bits(negative | bits)
    }

    /// How many times 2^place this is; `None` when that is no integer of 64 bits.
    #[must_use]
    pub fn multiple_of(&self, place: i32) -> Option<i64> {
        if self.is_zero() {
            return Some(0);
        }
        // Far too large a quotient would be a waste to write down.
        let fits = self.floor_log2()? - i64::from(place) < 64 && self.rounded_at(place) == *self;
        fits.then(|| i64::try_from(self.at(place)).ok()).flatten()
    }

    /// The integer at a unit of 2^exponent. The caller knows that it is one.
    fn at(&self, exponent: i32) -> BigInt {
        if exponent <= self.exponent {
            &self.n << self.exponent.abs_diff(exponent)
        } else {
            let shift = exponent.abs_diff(self.exponent);
            let n = &self.n >> shift;
            assert!(&n << shift == self.n, "not a multiple of 2^{exponent}");
            n
        }
    }
}

impl PartialEq for Exact {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Exact {}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Self) -> Ordering {
        let exponent = self.exponent.min(other.exponent);
        self.at(exponent).cmp(&other.at(exponent))
    }
}

/// The sum of two floats: exact, then rounded once.
#[must_use]
pub fn add(a: Float36, b: Float36) -> Rounded {
    Exact::of(a).plus(&Exact::of(b)).round()
}

/// (((start + b0) + b1) + ...), each addition rounded; `saturated` when any of them saturated.
pub fn sum_from(start: Float36, blocks: impl IntoIterator<Item = Float36>) -> Rounded {
    blocks.into_iter().fold(Rounded { value: start, saturated: false }, |so_far, block| {
        let next = add(so_far.value, block);
        Rounded { value: next.value, saturated: so_far.saturated || next.saturated }
    })
}

/// [`sum_from`] +0.
pub fn sum(blocks: impl IntoIterator<Item = Float36>) -> Rounded {
    sum_from(Float36::ZERO, blocks)
}
