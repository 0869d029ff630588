// SPDX-License-Identifier: Apache-2.0
//! The conformance vectors in `testbenches/vectors/`, reproduced bit for bit. Each checker rejects a
//! corrupted file.

use serde_json::Value;
use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8, Quantised, ScaleRule};
use tandem_model::reference;

const DECODE_TABLES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/vectors/decode_tables.json"));
const CONVERSIONS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/vectors/f32_to_e2m1.csv"));
const BLOCKS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/vectors/mx_blocks.json"));
const DOTS: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/vectors/block_dots.json"));

/// Rows of the conversion file, and how many of them are NaN (no defined result).
const CONVERSION_ROWS: usize = 3_196;
const CONVERSION_NANS: usize = 8;
/// Blocks of the block file, and how many of them hold an Inf or a NaN.
const BLOCK_COUNT: usize = 240;
const BLOCK_NON_FINITE: usize = 3;
/// Dot products per kind of right-hand block.
const DOT_COUNT: usize = 80;

type Check = Result<(), String>;

// ---- reading ----

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    value[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("no list {key}"))
}

fn text<'a>(value: &'a Value, what: &str) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{what}: not a string"))
}

fn integer(value: &Value, what: &str) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{what}: not an integer"))
}

fn word(digits: &str) -> Result<u32, String> {
    u32::from_str_radix(digits, 16).map_err(|e| format!("{digits}: {e}"))
}

/// A string of hexadecimal numbers of `width` digits each.
fn words(digits: &str, width: usize) -> Result<Vec<u32>, String> {
    ensure(digits.len().is_multiple_of(width), || {
        format!("{} digits, not a multiple of {width}", digits.len())
    })?;
    (0..digits.len() / width)
        .map(|i| digits.get(i * width..(i + 1) * width).ok_or("not ASCII".into()).and_then(word))
        .collect()
}

fn bytes(digits: &str, width: usize) -> Result<Vec<u8>, String> {
    words(digits, width)?.into_iter().map(|w| u8::try_from(w).map_err(|e| e.to_string())).collect()
}

/// 32 elements from their codes.
fn elements<T>(codes: &[u8], element: impl Fn(u8) -> Option<T>) -> Result<[T; BLOCK_LEN], String> {
    let all: Option<Vec<T>> = codes.iter().map(|&code| element(code)).collect();
    all.and_then(|all| all.try_into().ok()).ok_or_else(|| format!("not {BLOCK_LEN} element codes: {codes:?}"))
}

// ---- checkers ----

fn check_decode_tables(file: &str) -> Check {
    let tables = json(file)?;
    let (e2m1, e8m0) = (list(&tables, "e2m1")?, list(&tables, "e8m0")?);
    ensure(e2m1.len() == 16 && e8m0.len() == 256, || format!("{} and {} codes", e2m1.len(), e8m0.len()))?;
    for code in 0..=255u8 {
        if let Some(element) = E2m1::from_code(code) {
            let (got, want) = (element.to_f32().to_bits(), word(text(&e2m1[usize::from(code)], "e2m1")?)?);
            ensure(got == want, || format!("E2M1 {code:x}: {got:08x}, not {want:08x}"))?;
        }
        let (got, want) =
            (E8m0::from_code(code).to_f32().to_bits(), word(text(&e8m0[usize::from(code)], "e8m0")?)?);
        ensure(got == want, || format!("E8M0 {code}: {got:08x}, not {want:08x}"))?;
    }
    Ok(())
}

fn check_conversions(file: &str) -> Check {
    let (mut rows, mut nans) = (0, 0);
    for row in file.lines().filter(|row| !row.starts_with('#')) {
        let (bits, code) = row.split_once(',').ok_or_else(|| format!("row {row}"))?;
        let value = f32::from_bits(word(bits)?);
        rows += 1;
        if code == "x" {
            ensure(value.is_nan(), || format!("{bits}: no result, but a number"))?;
            nans += 1;
            continue;
        }
        let (got, want) = (u32::from(E2m1::from_f32_rne_saturating(value).code()), word(code)?);
        ensure(got == want, || format!("{bits}: {got:x}, not {want:x}"))?;
    }
    ensure((rows, nans) == (CONVERSION_ROWS, CONVERSION_NANS), || format!("{rows} rows, {nans} NaN"))
}

/// One column of the block file: how its elements are written and which quantisers make them.
struct Column {
    key: &'static str,
    digits: usize,
    rule: ScaleRule,
}

const COLUMNS: [Column; 4] = [
    Column { key: "e2m1_floor", digits: 1, rule: ScaleRule::Floor },
    Column { key: "e2m1_even", digits: 1, rule: ScaleRule::Even },
    Column { key: "int8_floor", digits: 2, rule: ScaleRule::Floor },
    Column { key: "int8_even", digits: 2, rule: ScaleRule::Even },
];

/// Scale code, element codes, non-finite flag.
type Codes = (u8, Vec<u8>, bool);

fn fp4_codes(q: &Quantised<MxFp4Block>) -> Codes {
    (q.block.scale.code(), q.block.elements.map(E2m1::code).to_vec(), q.non_finite)
}

fn int8_codes(q: &Quantised<MxInt8Block>) -> Codes {
    (q.block.scale.code(), q.block.elements.map(Mxint8::code).to_vec(), q.non_finite)
}

fn check_column(file: &str, column: &Column) -> Check {
    let file = json(file)?;
    let inputs = list(&file, "x")?;
    let scales = bytes(text(&file[column.key]["scale"], "scale")?, 2)?;
    let expected = list(&file[column.key], "elem")?;
    ensure([inputs.len(), scales.len(), expected.len()] == [BLOCK_COUNT; 3], || {
        format!("{} inputs, {} scales, {} blocks", inputs.len(), scales.len(), expected.len())
    })?;
    let mut non_finite = 0;
    for (index, input) in inputs.iter().enumerate() {
        let input = words(text(input, "x")?, 8)?.into_iter().map(f32::from_bits);
        let input: [f32; BLOCK_LEN] = input
            .collect::<Vec<_>>()
            .try_into()
            .map_err(|_| format!("block {index}: not {BLOCK_LEN} values"))?;
        let bad = input.iter().any(|v| !v.is_finite());
        non_finite += usize::from(bad);
        let want = (scales[index], bytes(text(&expected[index], "elem")?, column.digits)?, bad);
        let (numerics, untimed) = if column.digits == 1 {
            (
                fp4_codes(&MxFp4Block::quantise(&input, column.rule)),
                fp4_codes(&reference::quantise::mxfp4(&input, column.rule)),
            )
        } else {
            (
                int8_codes(&MxInt8Block::quantise(&input, column.rule)),
                int8_codes(&reference::quantise::mxint8(&input, column.rule)),
            )
        };
        ensure(numerics == want, || {
            format!("{} block {index}: numerics {numerics:x?}, not {want:x?}", column.key)
        })?;
        ensure(untimed == want, || {
            format!("{} block {index}: reference {untimed:x?}, not {want:x?}", column.key)
        })?;
    }
    ensure(non_finite == BLOCK_NON_FINITE, || format!("{non_finite} blocks with Inf or NaN"))
}

/// Sum over a block of MXINT8 integers times array operands.
fn dot_of(a: &[Mxint8; BLOCK_LEN], operand: impl Fn(usize) -> i8) -> i64 {
    a.iter().enumerate().map(|(i, a)| i64::from(a.units()) * i64::from(operand(i))).sum()
}

fn check_dots(file: &str) -> Check {
    let file = json(file)?;
    let (mut fp4, mut int8) = (0, 0);
    for (index, dot) in list(&file, "dots")?.iter().enumerate() {
        let scale = |key: &str| -> Result<E8m0, String> {
            Ok(E8m0::from_code(u8::try_from(integer(&dot[key], key)?).map_err(|e| e.to_string())?))
        };
        let mxint8 =
            |key: &str| elements(&bytes(text(&dot[key], key)?, 2)?, |code| Some(Mxint8::from_code(code)));
        let a = MxInt8Block { scale: scale("sa")?, elements: mxint8("ea")? };
        // `split`: the integers as the array makes them, doubled elements and nibbles on two chains.
        let (sum, split) = match text(&dot["b"], "b")? {
            "e2m1" => {
                fp4 += 1;
                let elements = elements(&bytes(text(&dot["eb"], "eb")?, 1)?, E2m1::from_code)?;
                let split = dot_of(&a.elements, |i| elements[i].doubled());
                (reference::dot::mxfp4_block_sum(&MxFp4Block { scale: scale("sb")?, elements }, &a), split)
            }
            "int8" => {
                int8 += 1;
                let b = MxInt8Block { scale: scale("sb")?, elements: mxint8("eb")? };
                let low = dot_of(&a.elements, |i| b.elements[i].low_nibble());
                let high = dot_of(&a.elements, |i| b.elements[i].high_half());
                (reference::dot::mxint8_block_sum(&b, &a), low + 16 * high)
            }
            other => return Err(format!("dot {index}: b is {other}")),
        };
        let got = sum.map(|sum| (sum.n, i64::from(sum.exponent)));
        let (n, exponent) = (integer(&dot["int"], "int")?, integer(&dot["exp2"], "exp2")?);
        ensure(got == Some((n, exponent)), || format!("dot {index}: {got:?}, not {n} x 2^{exponent}"))?;
        ensure(split == n, || format!("dot {index}: {split} from the array's operands, not {n}"))?;
    }
    ensure((fp4, int8) == (DOT_COUNT, DOT_COUNT), || format!("{fp4} MXFP4 and {int8} MXINT8 dots"))
}

// ---- the vectors pass ----

#[test]
fn every_e2m1_and_e8m0_code_decodes_to_the_table() {
    check_decode_tables(DECODE_TABLES).unwrap();
}

#[test]
fn all_conversions_from_binary32_to_e2m1_match() {
    check_conversions(CONVERSIONS).unwrap();
}

#[test]
fn all_blocks_quantise_to_the_vectors_under_both_rules_and_formats() {
    for column in &COLUMNS {
        check_column(BLOCKS, column).unwrap();
    }
}

#[test]
fn all_block_dot_products_match() {
    check_dots(DOTS).unwrap();
}

// ---- must-fail twins ----

/// The file with one string or number replaced: `find` picks it.
fn corrupted(file: &str, find: impl FnOnce(&mut Value) -> &mut Value) -> String {
    let mut file: Value = serde_json::from_str(file).unwrap();
    let target = find(&mut file);
    *target = match target {
        Value::String(digits) => {
            // Another last digit: valid hexadecimal, the wrong number.
            let last = if digits.pop() == Some('1') { '2' } else { '1' };
            Value::String(format!("{digits}{last}"))
        }
        Value::Number(n) => (n.as_i64().unwrap() + 1).into(),
        other => panic!("cannot corrupt {other}"),
    };
    file.to_string()
}

#[test]
fn a_corrupted_decode_table_is_rejected() {
    for (key, index) in [("e2m1", 8), ("e2m1", 15), ("e8m0", 0), ("e8m0", 255)] {
        let file = corrupted(DECODE_TABLES, |file| &mut file[key][index]);
        assert!(check_decode_tables(&file).unwrap_err().contains("not"), "{key} {index}");
    }
    assert!(check_decode_tables(r#"{"e2m1": [], "e8m0": []}"#).is_err());
}

#[test]
fn a_corrupted_or_truncated_conversion_file_is_rejected() {
    let wrong = CONVERSIONS.replacen("00800000,0", "00800000,1", 1);
    assert!(wrong != CONVERSIONS && check_conversions(&wrong).unwrap_err().starts_with("00800000"));
    let without_sign = CONVERSIONS.replacen("ff800000,f", "ff800000,7", 1);
    assert!(without_sign != CONVERSIONS && check_conversions(&without_sign).is_err());
    let short = CONVERSIONS.trim_end().rsplit_once('\n').unwrap().0;
    assert!(check_conversions(short).unwrap_err().contains("3195 rows"));
    assert!(check_conversions("").is_err());
}

#[test]
fn a_corrupted_block_is_rejected_in_every_column() {
    for column in &COLUMNS {
        for index in [0, BLOCK_COUNT - 1] {
            let file = corrupted(BLOCKS, |file| &mut file[column.key]["elem"][index]);
            assert!(
                check_column(&file, column).unwrap_err().contains(&format!("block {index}")),
                "{}",
                column.key
            );
        }
        let file = corrupted(BLOCKS, |file| &mut file[column.key]["scale"]);
        assert!(check_column(&file, column).unwrap_err().contains("block 239"), "{}", column.key);
    }
    let empty = r#"{"x": [], "e2m1_floor": {"scale": "", "elem": []}}"#;
    assert!(check_column(empty, &COLUMNS[0]).is_err());
}

#[test]
fn the_two_scale_rules_cannot_be_swapped_unnoticed() {
    for (wrong, key) in [(ScaleRule::Even, "e2m1_floor"), (ScaleRule::Floor, "int8_even")] {
        let digits = if key.starts_with("e2m1") { 1 } else { 2 };
        assert!(check_column(BLOCKS, &Column { key, digits, rule: wrong }).is_err(), "{key}");
    }
}

#[test]
fn a_corrupted_dot_product_is_rejected() {
    for (index, key) in [(0, "int"), (0, "exp2"), (159, "int"), (159, "eb"), (80, "sa"), (80, "sb")] {
        let file = corrupted(DOTS, |file| &mut file["dots"][index][key]);
        assert!(check_dots(&file).unwrap_err().starts_with(&format!("dot {index}:")), "{index} {key}");
    }
    assert!(check_dots(r#"{"dots": []}"#).is_err());
}
