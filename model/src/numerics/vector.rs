// SPDX-License-Identifier: Apache-2.0
//! Arithmetic of the vector unit (docs/numerics.md, "Vector unit"). Each function of a module is what the hardware does
//! between two registers.

use super::Rounded;
use super::float36::Float36;
use super::multiply::{self, FLOAT};
use crate::vector::types::Function;

/// -log2 e, as binary32.
pub const MINUS_LOG2_E: u32 = 0xBFB8_AA3B;

/// a x b, rounded once to nearest even.
#[must_use]
pub fn product(a: Float36, b: Float36) -> Rounded {
    multiply::round(multiply::exact(a, b), FLOAT).float()
}

/// A function of `x`, less than one unit in the last place from the exact value.
#[must_use]
pub fn function(function: Function, x: Float36) -> Float36 {
    evaluate::round(evaluate::value(evaluate::look_up(evaluate::prepare(function, x))))
}

/// Functions in the four steps of the hardware.
pub mod evaluate {
    use super::super::float36::{EXPONENT_BIAS, EXPONENT_MAX, FRACTION_BITS, Float36};
    use super::super::function_tables::{BEND, SLOPE, START};
    use super::Function;

    /// Bits of a place within a segment.
    pub const PLACE_BITS: u32 = 18;
    /// Bits of a segment's number.
    pub const SEGMENT_BITS: u32 = 7;
    /// Fraction bits of a value of a parabola.
    pub const VALUE_BITS: u32 = 28;
    /// Fraction bits of an argument of 2^x.
    const FIXED_BITS: u32 = SEGMENT_BITS + PLACE_BITS;
    /// From this exponent code on an argument of 2^x is 2048 and more.
    const OVER_CODE: i32 = EXPONENT_BIAS + 11;
    /// Places by which the largest argument of 2^x stands above half of its last bit.
    const HALF_SHIFT: u32 = 13;
    /// A shift that leaves nothing, not even half a unit.
    const MAX_SHIFT: i32 = 37;

    /// Table of 2 / m.
    const TABLE_RECIPROCAL: u16 = 0;
    /// Table of 2^u.
    const TABLE_POWER: u16 = 1;
    /// Table of 2 / sqrt(m); that of 2 / sqrt(2 m) follows.
    const TABLE_ROOT: u16 = 2;

    /// Step 1: where in the tables.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Prepared {
        /// The result is the largest magnitude, whatever the rest says.
        pub largest: bool,
        /// Sign of the result.
        pub negative: bool,
        /// Exponent code of the result, one less where the parabola reaches 2. Of code 0 the result is 0.
        pub exponent: u16,
        /// Table and segment.
        pub entry: u16,
        /// Place in the segment, in units of 2^-18 of it.
        pub place: u32,
    }

    /// Step 2: the mean slope of the parabola up to the place.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Line {
        /// As in [`Prepared`].
        pub largest: bool,
        /// As in [`Prepared`].
        pub negative: bool,
        /// The function falls.
        pub falls: bool,
        /// As in [`Prepared`].
        pub exponent: u16,
        /// Value at the segment's left end, 30 bits.
        pub start: u32,
        /// Magnitude of the slope, 22 bits.
        pub slope: u32,
        /// As in [`Prepared`].
        pub place: u32,
    }

    /// Step 3: the parabola's value.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Value {
        /// As in [`Prepared`].
        pub largest: bool,
        /// As in [`Prepared`].
        pub negative: bool,
        /// As in [`Prepared`].
        pub exponent: u16,
        /// 1 to 2, 30 bits.
        pub value: u32,
    }

    fn narrowed(bits: u64) -> u32 {
        u32::try_from(bits).expect("32 bits")
    }

    fn code(exponent: i32) -> u16 {
        u16::try_from(exponent).expect("an exponent code")
    }

    /// The entry of a segment of a table.
    fn entry(table: u16, segment: u64) -> u16 {
        table << SEGMENT_BITS | u16::try_from(segment).expect("7 bits")
    }

    /// Takes the argument apart into exponent, segment and place.
    #[must_use]
    #[inline]
    pub fn prepare(function: Function, x: Float36) -> Prepared {
        if function == Function::Power {
            return prepare_power(x);
        }
        // 24 bits of significand leave the two lowest bits of the place 0.
        let rest_bits = FRACTION_BITS - SEGMENT_BITS;
        let segment = x.fraction() >> rest_bits;
        let place = narrowed(x.fraction() & ((1 << rest_bits) - 1)) << (PLACE_BITS - rest_bits);
        let (table, exponent) = if function == Function::Root {
            let odd = x.exponent() & 1;
            (TABLE_ROOT + code(odd), 3 * EXPONENT_BIAS / 2 - 1 - (x.exponent() >> 1))
        } else {
            (TABLE_RECIPROCAL, EXPONENT_MAX - x.exponent())
        };
        Prepared {
            largest: x.is_zero() || (function == Function::Root && x.is_negative()),
            negative: x.is_negative() && function != Function::Root,
            exponent: code(exponent),
            entry: entry(table, segment),
            place,
        }
    }

    /// Of 2^x: x in fixed point, rounded to 25 fraction bits (half up in magnitude); its integer part is the exponent.
    fn prepare_power(x: Float36) -> Prepared {
        if x.exponent() >= OVER_CODE {
            return Prepared {
                largest: !x.is_negative(),
                entry: entry(TABLE_POWER, 0),
                ..Prepared::default()
            };
        }
        let shift = (OVER_CODE - 1 - x.exponent()).min(MAX_SHIFT);
        let aligned = x.significand() << HALF_SHIFT >> shift;
        let magnitude = i64::try_from((aligned >> 1) + (aligned & 1)).expect("37 bits");
        let fixed = if x.is_negative() { -magnitude } else { magnitude };
        let fraction = u64::try_from(fixed & ((1 << FIXED_BITS) - 1)).expect("25 bits");
        let exponent = i64::from(EXPONENT_BIAS) + (fixed >> FIXED_BITS);
        Prepared {
            largest: false,
            negative: false,
            exponent: u16::try_from(exponent).expect("an exponent code"),
            entry: entry(TABLE_POWER, fraction >> PLACE_BITS),
            place: narrowed(fraction & ((1 << PLACE_BITS) - 1)),
        }
    }

    /// Reads the tables.
    #[must_use]
    #[inline]
    pub fn look_up(x: Prepared) -> Line {
        let at = usize::from(x.entry);
        let falls = x.entry >> SEGMENT_BITS != TABLE_POWER;
        let bend = narrowed((u64::from(BEND[at]) * u64::from(x.place)) >> PLACE_BITS);
        Line {
            largest: x.largest,
            negative: x.negative,
            falls,
            exponent: x.exponent,
            start: START[at],
            slope: if falls { SLOPE[at] - bend } else { SLOPE[at] + bend },
            place: x.place,
        }
    }

    /// Follows the slope.
    #[must_use]
    #[inline]
    pub fn value(x: Line) -> Value {
        let change = narrowed((u64::from(x.slope) * u64::from(x.place)) >> PLACE_BITS);
        Value {
            largest: x.largest,
            negative: x.negative,
            exponent: x.exponent,
            value: if x.falls { x.start - change } else { x.start + change },
        }
    }

    /// Rounds to 24 bits, half up.
    #[must_use]
    #[inline]
    pub fn round(x: Value) -> Float36 {
        if x.largest {
            return Float36::from_fields(x.negative, EXPONENT_MAX, (1 << FRACTION_BITS) - 1);
        }
        let below = VALUE_BITS - FRACTION_BITS;
        let rounded = (x.value + (1 << (below - 1))) >> below;
        // On a carry the fraction bits are all zero, so they need no shift.
        let carry = rounded >> (FRACTION_BITS + 1);
        let exponent = i32::from(x.exponent) + i32::try_from(carry).expect("a bit");
        Float36::from_fields(x.negative, exponent, u64::from(rounded) & ((1 << FRACTION_BITS) - 1))
    }
}

/// Quantisation of a block by the rule `even`, in the steps of the hardware. Without Inf and NaN: there is none.
pub mod quantise {
    use super::super::quantise::Magnitude;
    use super::super::{BLOCK_LEN, E2m1, E8m0, Mxint8};

    /// Values of which step 1 takes the maximum.
    pub const PART_LEN: usize = 8;
    /// Parts of a block.
    pub const PARTS: usize = BLOCK_LEN / PART_LEN;
    const MAGNITUDE_MASK: u32 = 0x7FFF_FFFF;

    /// Step 1: the largest magnitude of every part.
    #[must_use]
    pub fn maxima(values: &[u32; BLOCK_LEN]) -> [u32; PARTS] {
        std::array::from_fn(|part| {
            let part = &values[part * PART_LEN..][..PART_LEN];
            part.iter().map(|value| value & MAGNITUDE_MASK).max().expect("8 values")
        })
    }

    /// Step 2: the scale code.
    #[must_use]
    pub fn scale(int8: bool, maxima: [u32; PARTS]) -> u8 {
        let amax = maxima.into_iter().max().expect("4 parts");
        let (field, fraction) = (amax >> 23, amax & 0x7F_FFFF);
        if field == 0 {
            return 0;
        }
        let (carry_at, emax) = if int8 { (0x7F_0000, 0) } else { (0x60_0000, 2) };
        let code = (field + u32::from(fraction >= carry_at)).saturating_sub(emax);
        u8::try_from(code.min(u32::from(E8m0::MAX_CODE))).expect("clamped")
    }

    /// Step 3: the code of a value under a scale: a byte of MXINT8, or an element of MXFP4 in the low nibble.
    #[must_use]
    pub fn code(int8: bool, value: u32, scale: u8) -> u8 {
        let magnitude = Magnitude::of(f32::from_bits(value));
        let exponent = i32::from(scale) - E8m0::BIAS;
        if int8 {
            Mxint8::from_magnitude(magnitude, exponent).code()
        } else {
            E2m1::from_magnitude(magnitude, exponent).code()
        }
    }
}
