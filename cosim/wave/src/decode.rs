// SPDX-License-Identifier: Apache-2.0
//! Register values for people: mismatch reports print what this module makes of the bits.

use std::fmt::Write;

use tandem_model::block::{Format, low_u8};
use tandem_model::image::Field;
use tandem_model::numerics::{E8m0, Float36};

const FLOAT_WIDTH: usize = 36;
const SCALE_WIDTH: usize = 8;

/// A value in words: unsigned numbers (`0x3f`, below ten `7`), signed ones (`-3`), floats in decimal, scale codes as
/// `2^k` or `NaN`, enumerations by name, structs as `a=1 b=0x3f`, a struct inside a struct in braces.
///
/// `bits` come least significant first, as [`Field::element`] gives them. Bits that the format cannot explain are
/// printed as a hexadecimal number, so nothing is ever hidden and nothing panics.
#[must_use]
pub fn decode(format: Format, bits: &[bool]) -> String {
    match format {
        Format::Uint => unsigned(bits),
        Format::Int => signed(bits),
        Format::Float36 => match word(bits).and_then(Float36::from_bits) {
            Some(float) if bits.len() == FLOAT_WIDTH => float.to_string(),
            _ => format!("{} (no float)", hex(bits)),
        },
        Format::E8m0 => match word(bits) {
            Some(code) if bits.len() == SCALE_WIDTH => {
                let exponent = E8m0::from_code(low_u8(code)).exponent();
                exponent.map_or_else(|| "NaN".to_owned(), |exponent| format!("2^{exponent}"))
            }
            _ => hex(bits),
        },
        Format::Enum(names) => {
            let index = word(bits).and_then(|value| usize::try_from(value).ok());
            let name = index.and_then(|index| names.get(index));
            name.map_or_else(|| format!("{} (no name)", unsigned(bits)), |name| (*name).to_owned())
        }
        Format::Struct(fields) => {
            let mut text = String::new();
            let mut above = bits;
            for field in fields {
                let width = usize::try_from(field.width).unwrap_or(usize::MAX);
                let Some(low) = above.len().checked_sub(width) else { return hex(bits) };
                let (rest, own) = above.split_at(low);
                above = rest;
                let value = decode(field.format, own);
                let (open, close) =
                    if matches!(field.format, Format::Struct(_)) { ("{", "}") } else { ("", "") };
                let space = if text.is_empty() { "" } else { " " };
                // Writing to a string cannot fail.
                let _ = write!(text, "{space}{}={open}{value}{close}", field.name);
            }
            if above.is_empty() { text } else { hex(bits) }
        }
    }
}

/// One element of a field in words; the entries of a packed array as `[0]=... [1]=...`.
#[must_use]
pub fn decode_element(field: &Field, bits: &[bool]) -> String {
    let entry = usize::try_from(field.entry_width).unwrap_or(0);
    if entry == 0 || bits.len() <= entry {
        return decode(field.format, bits);
    }
    let braces = matches!(field.format, Format::Struct(_));
    let entries =
        bits.chunks(entry).enumerate().map(|(i, bits)| match (braces, decode(field.format, bits)) {
            (true, value) => format!("[{i}]={{{value}}}"),
            (false, value) => format!("[{i}]={value}"),
        });
    entries.collect::<Vec<_>>().join(" ")
}

/// The number that a waveform shows beside the bits; `None` where the format has none.
pub(crate) fn real(format: Format, bits: u64) -> Option<f64> {
    match format {
        // A zero exponent with other bits is no float: neither zero nor anything else would be true.
        Format::Float36 => Some(Float36::from_bits(bits).map_or(f64::NAN, Float36::to_f64)),
        Format::E8m0 => Some(f64::from(E8m0::from_code(low_u8(bits)).to_f32())),
        _ => None,
    }
}

/// Whether values of this format are `width` bits wide.
pub(crate) fn fits(format: Format, width: u32) -> bool {
    match format {
        Format::Uint | Format::Int | Format::Enum(_) => width > 0,
        Format::Float36 => usize::try_from(width) == Ok(FLOAT_WIDTH),
        Format::E8m0 => usize::try_from(width) == Ok(SCALE_WIDTH),
        Format::Struct(fields) => {
            let total: u64 = fields.iter().map(|field| u64::from(field.width)).sum();
            total == u64::from(width) && fields.iter().all(|field| fits(field.format, field.width))
        }
    }
}

/// The bits as a number, when there are at most 64.
fn word(bits: &[bool]) -> Option<u64> {
    (bits.len() <= 64).then(|| bits.iter().rev().fold(0, |word, &bit| word << 1 | u64::from(bit)))
}

fn unsigned(bits: &[bool]) -> String {
    match word(bits) {
        Some(value) if value < 10 => value.to_string(),
        _ => hex(bits),
    }
}

fn signed(bits: &[bool]) -> String {
    match (word(bits), bits.last()) {
        (Some(value), Some(&negative)) => {
            let ones =
                if negative { u64::MAX.unbounded_shl(u32::try_from(bits.len()).unwrap_or(64)) } else { 0 };
            (value | ones).cast_signed().to_string()
        }
        _ => hex(bits),
    }
}

/// Hexadecimal with the leading zeros of the width, as waveform viewers show it.
fn hex(bits: &[bool]) -> String {
    let digits = bits.chunks(4).rev().map(|nibble| {
        let value = nibble.iter().rev().fold(0, |value, &bit| value << 1 | u32::from(bit));
        char::from_digit(value, 16).unwrap_or('?')
    });
    format!("0x{}", digits.collect::<String>())
}

#[cfg(test)]
mod tests {
    use tandem_model::array::types::{Beat, PeTag, Psum};
    use tandem_model::block::{Bits, Int};

    use super::*;

    fn bits(value: u64, width: usize) -> Vec<bool> {
        (0..width).map(|i| value >> i & 1 == 1).collect()
    }

    #[test]
    fn numbers() {
        assert_eq!(decode(Format::Uint, &bits(7, 8)), "7");
        assert_eq!(decode(Format::Uint, &bits(0x3f, 7)), "0x3f");
        assert_eq!(decode(Format::Uint, &bits(10, 12)), "0x00a");
        assert_eq!(decode(Format::Int, &bits(0b11101, 5)), "-3");
        assert_eq!(decode(Format::Int, &bits(u64::MAX, 64)), "-1");
        assert_eq!(decode(Format::Int, &bits(13, 5)), "13");
        assert_eq!(decode(Format::Uint, &[true; 68]), "0xfffffffffffffffff");
        assert_eq!(decode(Format::Int, &[true; 68]), "0xfffffffffffffffff");
    }

    #[test]
    fn floats_and_scales() {
        let one_half = Float36::from_fields(true, 2047, 0).bits();
        assert_eq!(decode(Format::Float36, &bits(one_half, 36)), "-5e-1");
        assert_eq!(decode(Format::Float36, &bits(1, 36)), "0x000000001 (no float)");
        assert_eq!(decode(Format::E8m0, &bits(130, 8)), "2^3");
        assert_eq!(decode(Format::E8m0, &bits(0, 8)), "2^-127");
        assert_eq!(decode(Format::E8m0, &bits(255, 8)), "NaN");
        assert_eq!(real(Format::E8m0, 130), Some(8.0));
        assert_eq!(real(Format::Float36, one_half), Some(-0.5));
        assert!(real(Format::Float36, 1).is_some_and(f64::is_nan));
        assert_eq!(real(Format::Uint, 1), None);
    }

    #[test]
    fn structs_and_enums() {
        let psum = Psum { hi: Int(-2), lo: Int(5) };
        assert_eq!(decode(Psum::FORMAT, &bits(psum.to_bits(), 36)), "hi=-2 lo=5");
        let tag = PeTag { first: true, mode: tandem_model::array::types::Mode::Pv, ..PeTag::default() };
        let text =
            decode(Beat::FORMAT, &bits(Beat { pe: tag, ..Beat::default() }.to_bits(), Beat::WIDTH as usize));
        assert!(text.starts_with("pe={mode=ModePv first=1 last=0 "), "{text}");
        assert!(text.contains("} segment={int8=0 "), "{text}");
        assert_eq!(decode(Format::Enum(&["A", "B"]), &bits(3, 2)), "3 (no name)");
        // Too few and too many bits for the struct
        assert_eq!(decode(Psum::FORMAT, &bits(1, 35)), "0x000000001");
        assert_eq!(decode(Psum::FORMAT, &bits(1, 37)), "0x0000000001");
    }
}
