// SPDX-License-Identifier: Apache-2.0
//! The reference of the vector commands: its arithmetic in binary64 against exact integers, its order of additions against
//! one that is written out, and what the commands do to memory.

mod support;

use proptest::prelude::*;
use tandem_model::numerics::{BLOCK_LEN, Float36, ScaleRule};
use tandem_model::reference::command::{DONE, Fields, INDEX, READ_ERROR, WRITE_ERROR};
use tandem_model::reference::float::{self, Exact};
use tandem_model::reference::image::Image;
use tandem_model::reference::vector_program::Vector;
use tandem_model::reference::{divide, quantise, vector};

use support::{Corners, run};

type Check = Result<(), String>;

fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

// ---- arithmetic ----

fn fraction() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1, 2, 3, (1 << 22) - 1, 1 << 22, (1 << 22) + 1, (1 << 23) - 2, (1 << 23) - 1];
    prop_oneof![0..1u64 << 23, proptest::sample::select(edges)]
}

fn floats() -> impl Strategy<Value = Float36> {
    let code = prop_oneof![1..4096u64, 2000..2100u64, 2020..2076u64, 1..30u64, 4060..4096u64];
    (any::<bool>(), prop_oneof![1 => Just(0).boxed(), 15 => code.boxed()], fraction()).prop_map(
        |(negative, code, fraction)| Float36::canonical(u64::from(negative) << 35 | code << 23 | fraction),
    )
}

/// Bits of binary32, all fields, with crowds at both ends of the range.
fn binary32() -> impl Strategy<Value = u32> {
    let field = prop_oneof![0..=255u32, 0..3u32, 100..150u32, 250..=255u32];
    (any::<bool>(), field, fraction()).prop_map(|(negative, field, fraction)| {
        u32::from(negative) << 31 | field << 23 | u32::try_from(fraction).expect("23 bits")
    })
}

#[test]
fn every_operation_rounds_as_exact_integers_do() {
    let corners = Corners::of(["tie", "saturated", "underflow", "far apart"]);
    run(60_000, 1, &(floats(), floats()), |(a, b)| {
        let (x, y) = (Exact::of(a), Exact::of(b));
        let (sum, product) = (x.plus(&y), x.times(&y));
        for (exact, value, what) in
            [(&sum, vector::sum(a, b), "sum"), (&product, vector::product(a, b), "product")]
        {
            let expected = exact.round();
            ensure(value == expected.value, || format!("{what}: {value}, but {}", expected.value))?;
            corners.hit("saturated", expected.saturated);
            corners.hit("underflow", !exact.is_zero() && expected.value == Float36::ZERO);
            corners.hit("tie", exact.rounded_to(25) == *exact && exact.rounded_to(24) != *exact);
        }
        corners.hit("far apart", x.floor_log2().zip(y.floor_log2()).is_some_and(|(x, y)| x - y > 100));
        Ok(())
    })
    .unwrap();
    corners.covered(20).unwrap();
}

#[test]
fn sums_that_cancel_and_sums_on_ties() {
    let corners = Corners::of(["cancelled"]);
    let strategy = (floats(), prop_oneof![0..30u64, Just(24)], any::<bool>(), fraction(), 0..100u8);
    run(60_000, 2, &strategy, |(a, down, negative, fraction, same)| {
        let code = (a.bits() >> 23 & 0xFFF).saturating_sub(down);
        let b = Float36::canonical((u64::from(negative) << 35) | code << 23 | fraction);
        let b = if same == 0 { vector::negated(a) } else { b };
        corners.hit("cancelled", same == 0 && a != Float36::ZERO);
        let expected = float::add(a, b).value;
        ensure(vector::sum(a, b) == expected, || format!("{}, but {expected}", vector::sum(a, b)))
    })
    .unwrap();
    corners.covered(20).unwrap();
}

#[test]
fn truncation_is_noticed() {
    let truncated = |a: Float36, b: Float36| {
        let exact = Exact::of(a).times(&Exact::of(b));
        let rounded = exact.round().value;
        let above = Exact::of(rounded).abs() > exact.abs();
        if above { Float36::canonical(rounded.bits() - 1) } else { rounded }
    };
    let found = run(1000, 3, &(floats(), floats()), |(a, b)| {
        ensure(vector::product(a, b) == truncated(a, b), || "differs".to_owned())
    });
    assert!(found.is_err());
}

#[test]
fn binary32_comes_and_goes_as_it_should() {
    run(20_000, 4, &binary32(), |bits| {
        let value = vector::widened(bits);
        let field = bits >> 23 & 0xFF;
        let exact = match field {
            0 => Exact::zero(),
            // One binade above the largest there is.
            255 => Exact::of_f32(f32::from_bits(bits - (1 << 23))).unwrap().times(&Exact::new(2, 0)),
            _ => Exact::of_f32(f32::from_bits(bits)).unwrap(),
        };
        ensure(Exact::of(value) == exact, || format!("{bits:#010x} is {value}"))
    })
    .unwrap();
    run(20_000, 5, &floats(), |value| {
        let expected = divide::to_binary32(&Exact::of(value)).0;
        let found = vector::narrowed(value);
        ensure(found == expected, || format!("{value} is {found:#010x}, not {expected:#010x}"))
    })
    .unwrap();
}

#[test]
fn blocks_are_those_of_the_exact_quantiser() {
    let element = (any::<bool>(), 0..12u32, fraction());
    let strategy = (1..=254u32, proptest::array::uniform32(element), any::<bool>());
    run(3000, 6, &strategy, |(field, elements, ties)| {
        let values: [u32; BLOCK_LEN] = elements.map(|(negative, down, fraction)| {
            let fraction = u32::try_from(fraction).expect("23 bits");
            // Few bits make ties.
            let fraction = if ties { fraction & 0x7F_0000 & !(down << 16) } else { fraction };
            u32::from(negative) << 31 | field.saturating_sub(down) << 23 | fraction
        });
        let floats = values.map(f32::from_bits);
        let eight = quantise::mxint8(&floats, ScaleRule::Even).block;
        ensure(vector::mxint8_blocks(&values) == [eight], || "MXINT8".to_owned())?;
        let four = quantise::mxfp4(&floats, ScaleRule::Even).block;
        ensure(vector::mxfp4_blocks(&values) == [four], || "MXFP4".to_owned())
    })
    .unwrap();
    let zero = [0; BLOCK_LEN];
    assert_eq!(vector::mxint8_blocks(&zero), [Default::default()]);
    assert_eq!(vector::mxfp4_blocks(&zero), [Default::default()]);
    // The twin: rule `floor` is another one.
    let twin = [0x3FFF_FFFF; BLOCK_LEN];
    let floor = quantise::mxint8(&twin.map(f32::from_bits), ScaleRule::Floor).block;
    assert_ne!(vector::mxint8_blocks(&twin), [floor]);
}

// ---- functions of rows ----

/// Numbers that a seed gives.
fn numbers(seed: u64, count: usize) -> Vec<u32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = u32::try_from(state >> 33).expect("31 bits");
        // 2^-8 to 2^8, both signs.
        (bits & 1) << 31 | (119 + bits % 16) << 23 | bits >> 8 & 0x7F_FFFF
    };
    (0..count).map(|_| next()).collect()
}

/// The sum of squares, written out.
fn written_out(values: &[Float36]) -> Float36 {
    let add = |a, b| float::add(a, b).value;
    let lane = |lane: usize| {
        let partial = |p: usize| {
            let squares = values.iter().enumerate().filter(|(i, _)| i % 16 == lane && i / 16 % 8 == p);
            float::sum(squares.map(|(_, &x)| Exact::of(x).times(&Exact::of(x)).round().value)).value
        };
        let p: Vec<Float36> = (0..8).map(partial).collect();
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| add(p[i], p[i + 4]));
        add(add(a, c), add(b, d))
    };
    let mut lanes: Vec<Float36> = (0..16).map(lane).collect();
    for half in [8, 4, 2, 1] {
        lanes = (0..half).map(|i| add(lanes[i], lanes[i + half])).collect();
    }
    lanes[0]
}

#[test]
fn squares_are_added_in_the_order_that_is_written_out() {
    let mut differs = false;
    for (seed, count) in [(1, 32), (2, 64), (3, 128), (4, 384), (5, 1056)] {
        let values = vector::copied(&numbers(seed, count));
        let expected = written_out(&values);
        assert_eq!(vector::sum_of_squares(&values), expected, "{count} elements");
        let one_by_one = float::sum(values.iter().map(|&x| Exact::of(x).times(&Exact::of(x)).round().value));
        differs |= one_by_one.value != expected;
    }
    assert!(differs, "no order would be noticed");
}

#[test]
fn a_norm_and_a_gate_are_near_what_they_stand_for() {
    let (x, weights) = (numbers(7, 128), numbers(8, 128));
    let float = |bits: u32| f64::from(f32::from_bits(bits));
    let scale = vector::norm_scale(&vector::copied(&x), (1.0f32 / 128.0).to_bits(), 1e-6f32.to_bits());
    let mean: f64 = x.iter().map(|&x| float(x) * float(x)).sum::<f64>() / 128.0;
    for ((y, &x), &weight) in vector::normed(&x, scale, &weights).iter().zip(&x).zip(&weights) {
        let exact = float(x) / (mean + 1e-6).sqrt() * float(weight);
        assert!((y.to_f64() - exact).abs() <= 1e-6 * exact.abs(), "{y} {exact}");
    }
    for ((y, &g), &u) in vector::gated(&x, &weights).iter().zip(&x).zip(&weights) {
        let exact = float(g) / (1.0 + (-float(g)).exp()) * float(u);
        // An error of t = g log2(e) of 2^-24 is one of |t| times as much in 2^t.
        assert!((y.to_f64() - exact).abs() <= (2e-6 + 2e-7 * float(g).abs()) * exact.abs(), "{y} {exact}");
    }
}

#[test]
fn a_head_is_turned_in_halves() {
    let z = vector::copied(&[1.0f32, 2.0, 3.0, 4.0].map(f32::to_bits));
    let turned = |cosine: f32, sine: f32| {
        let values = vector::rotated(&z, &[cosine.to_bits(); 2], &[sine.to_bits(); 2]);
        values.iter().map(|value| value.to_f64()).collect::<Vec<_>>()
    };
    assert_eq!(turned(1.0, 0.0), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(turned(0.0, 1.0), [-3.0, -4.0, 1.0, 2.0]);
    assert_eq!(turned(0.5, 0.25), [-0.25, 0.0, 1.75, 2.5]);
}

#[test]
fn the_first_of_the_largest_is_found() {
    let of = |values: &[f32]| vector::argmax(&values.iter().map(|x| x.to_bits()).collect::<Vec<_>>());
    assert_eq!(of(&[1.0, 3.0, 3.0, 2.0]), Some(1));
    assert_eq!(of(&[-0.0, 0.0]), Some(0));
    assert_eq!(of(&[0.0, -0.0]), Some(0));
    assert_eq!(of(&[-2.0, -1.0, -3.0]), Some(1));
    assert_eq!(of(&[f32::MAX, f32::NAN, f32::INFINITY]), Some(1), "field 255 is an exponent as any other");
    assert_eq!(of(&[]), None);
}

// ---- commands ----

const SOURCE: u64 = 0x1_0000;
const SECOND: u64 = 0x2_0000;
const DESTINATION: u64 = 0x3_0000;
const END: u64 = 0x5_0000;

/// A command's words.
#[derive(Clone, Copy, Default)]
struct Command {
    opcode: u8,
    flags: u8,
    rows: u8,
    operand: u8,
    count: u32,
    length: u32,
    rest: [u32; 8],
}

impl Command {
    fn fields(&self) -> Fields {
        let mut words = [0; 8];
        words[0] = u64::from(u32::from_le_bytes([self.opcode, self.flags, self.rows, self.operand]));
        (words[1], words[2]) = (SOURCE, DESTINATION);
        words[3] = u64::from(self.length) << 32 | u64::from(self.count);
        for (word, pair) in words[4..].iter_mut().zip(self.rest.chunks(2)) {
            *word = u64::from(pair[1]) << 32 | u64::from(pair[0]);
        }
        Fields::of(&words)
    }

    fn run(&self, vector: &mut Vector, image: &mut Image) -> u8 {
        vector.run(image, &self.fields()).unwrap()
    }
}

/// Word 4 says the second source, word 5 the mean of so many features and eps.
fn rooted(features: u16) -> [u32; 8] {
    let second = u32::try_from(SECOND).expect("32 bits");
    [second, 0, (1.0 / f32::from(features)).to_bits(), 1e-6f32.to_bits(), 0, 0, 0, 0]
}

fn store(image: &mut Image, address: u64, values: &[u32]) {
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert!(image.store(address, &bytes));
}

/// Memory of zeros, and these numbers at both sources.
fn memory(source: &[u32], second: &[u32]) -> Image {
    let mut image = Image::new(SOURCE..END);
    for address in (SOURCE..END).step_by(64) {
        image.write(address, &[0; 64], u64::MAX);
    }
    store(&mut image, SOURCE, source);
    store(&mut image, SECOND, second);
    image
}

fn bytes(image: &Image, address: u64, count: usize) -> Vec<u8> {
    (address..)
        .take(count)
        .map(|at| image.read(at - at % 64).expect("written").bytes[usize::try_from(at % 64).expect("6 bits")])
        .collect()
}

fn words(image: &Image, address: u64, count: usize) -> Vec<u32> {
    bytes(image, address, 4 * count).as_chunks().0.iter().map(|&b| u32::from_le_bytes(b)).collect()
}

/// Results of rows as they lie in memory.
fn laid_out(rows: &[Vec<u32>]) -> Vec<u32> {
    let groups = 0..rows[0].len() / 16;
    groups.flat_map(|g| rows.iter().flat_map(move |row| row[16 * g..16 * g + 16].to_vec())).collect()
}

#[test]
fn embed_and_norm_go_through_memory() {
    let table = numbers(20, 3 * 64);
    let mut image = memory(&[2, 0, 7], &table);
    let mut vector = Vector::default();
    let embed = Command { opcode: 6, rows: 2, count: 3, length: 64, rest: rooted(64), ..Command::default() };
    assert_eq!(embed.run(&mut vector, &mut image), DONE);
    let rows = [table[128..].to_vec(), table[..64].to_vec()];
    assert_eq!(words(&image, DESTINATION, 128), laid_out(&rows));

    // Rows that the Embed has not had have no scale.
    let norm = Command { opcode: 8, rows: 2, length: 64, rest: rooted(64), ..Command::default() };
    assert!(vector.clone().run(&mut image.clone(), &Command { rows: 3, ..norm }.fields()).is_err());
    assert!(Vector::default().run(&mut image.clone(), &norm.fields()).is_err());
    let scale = |row: &[u32]| vector::norm_scale(&vector::copied(row), embed.rest[2], embed.rest[3]);
    let x = [numbers(21, 64), numbers(22, 64)];
    store(&mut image, SOURCE, &laid_out(&x));
    assert_eq!(norm.run(&mut vector, &mut image), DONE);
    for (number, (row, x)) in rows.iter().zip(&x).enumerate() {
        let y = vector::all_narrowed(&vector::normed(x, scale(row), &table[..64]));
        let blocks = vector::mxint8_blocks(&y);
        let at = DESTINATION + 128 * number as u64;
        assert_eq!(bytes(&image, at, 2), blocks.iter().map(|b| b.scale.code()).collect::<Vec<_>>());
        let codes: Vec<u8> = blocks.iter().flat_map(|b| b.elements.map(|e| e.code())).collect();
        assert_eq!(bytes(&image, at + 64, 64), codes);
    }
}

#[test]
fn rows_beyond_the_table_read_its_first() {
    let table = numbers(23, 64);
    let mut image = memory(&[1, 2], &table);
    let embed = Command { opcode: 6, rows: 2, count: 2, length: 32, rest: rooted(32), ..Command::default() };
    assert_eq!(embed.run(&mut Vector::default(), &mut image), INDEX);
    let rows = [table[32..].to_vec(), table[..32].to_vec()];
    assert_eq!(words(&image, DESTINATION, 64), laid_out(&rows));
}

#[test]
fn add_may_write_where_it_reads() {
    let (a, b) = ([numbers(24, 32), numbers(25, 32)], [numbers(26, 32), numbers(27, 32)]);
    let mut image = memory(&laid_out(&a), &laid_out(&b));
    let mut vector = Vector::default();
    let add = Command { opcode: 7, rows: 2, length: 32, rest: rooted(32), ..Command::default() };
    let mut fields = add.fields();
    fields.destination = SOURCE;
    assert_eq!(vector.run(&mut image, &fields), Ok(DONE));
    let sums = [0, 1].map(|row| vector::all_narrowed(&vector::added(&a[row], &b[row])));
    assert_eq!(words(&image, SOURCE, 64), laid_out(&sums));
}

#[test]
fn heads_become_operands_and_records() {
    let x = [numbers(30, 128), numbers(31, 128)];
    let weights = numbers(32, 64);
    let turns = numbers(33, 4 * 64);
    let mut image = memory(&turns, &weights);
    let mut vector = Vector::default();
    let angles = Command { opcode: 9, rows: 2, rest: [3, 1, 0, 0, 0, 0, 0, 0], ..Command::default() };
    assert_eq!(angles.run(&mut vector, &mut image), DONE);
    store(&mut image, SOURCE, &laid_out(&x));
    let heads = Command { opcode: 10, rows: 2, count: 2, rest: rooted(64), ..Command::default() };
    let expected = |head: usize, row: usize, plain: bool, turned: bool| {
        let x = &x[row][64 * head..64 * head + 64];
        let scale = if plain {
            vector::round24(1.0, 0)
        } else {
            vector::norm_scale(&vector::copied(x), heads.rest[2], heads.rest[3])
        };
        let z = vector::normed(x, scale, &weights);
        let at = [3, 1][row] * 64;
        let turn = || vector::rotated(&z, &turns[at..at + 32], &turns[at + 32..at + 64]);
        vector::all_narrowed(&if turned { turn() } else { z.clone() })
    };
    // q: operand rows of 64 + 64 bytes.
    assert_eq!(Command { operand: 2, ..heads }.run(&mut vector, &mut image), DONE);
    for (number, (head, row)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
        let blocks = vector::mxint8_blocks(&expected(head, row, false, true));
        let codes: Vec<u8> = blocks.iter().flat_map(|b| b.elements.map(|e| e.code())).collect();
        let at = DESTINATION + 128 * number as u64;
        assert_eq!(bytes(&image, at + 64, 64), codes, "head {head}, row {row}");
    }
    // K and V in MXFP4: records of two streams of one word and the scales. What is not a head's stays.
    let mut image = {
        let mut image = memory(&laid_out(&x), &weights);
        store(&mut image, DESTINATION, &[0xDEAD_BEEF; 4 * 48]);
        image
    };
    assert_eq!(Command { operand: 2 | 1 << 2, ..heads }.run(&mut vector, &mut image), DONE);
    assert_eq!(Command { operand: 1 | 2 << 2, ..heads }.run(&mut vector, &mut image), DONE);
    for (number, (head, row)) in [(0, 0), (0, 1), (1, 0), (1, 1)].into_iter().enumerate() {
        let record = bytes(&image, DESTINATION + 192 * number as u64, 192);
        let mut wanted: Vec<u8> = [0xEF, 0xBE, 0xAD, 0xDE].repeat(48);
        for (value, (at, scales)) in [(false, (0, 128)), (true, (64, 136))] {
            let blocks = vector::mxfp4_blocks(&expected(head, row, value, !value));
            for lane in 0..32 {
                wanted[at + lane] = blocks[0].elements[lane].code() | blocks[1].elements[lane].code() << 4;
            }
            for (b, block) in blocks.iter().enumerate() {
                wanted[scales + b] = block.scale.code();
            }
        }
        assert_eq!(record, wanted, "head {head}, row {row}");
    }
    // Angles of heads of 64 are none of heads of 128.
    let wide = Command { operand: 2, flags: 4, count: 1, ..heads };
    assert!(vector.run(&mut image, &wide.fields()).is_err());
}

#[test]
fn heads_of_attention_become_one_row_of_operands() {
    let x: Vec<Vec<u32>> = (0..4).map(|unit| numbers(40 + unit, 64)).collect();
    let mut image = memory(&laid_out(&x), &[]);
    // Two heads of two tokens, into features 64 to 191 of 256.
    let quantise = Command { opcode: 12, rows: 4, operand: 2, count: 256, length: 64, ..Command::default() };
    assert_eq!(quantise.run(&mut Vector::default(), &mut image), DONE);
    for (unit, x) in x.iter().enumerate() {
        let (head, token) = (unit / 2, unit % 2);
        let blocks = vector::mxint8_blocks(&vector::all_narrowed(&vector::copied(x)));
        let row = DESTINATION + 320 * token as u64;
        let first = 64 + 64 * head as u64;
        let scales: Vec<u8> = blocks.iter().map(|b| b.scale.code()).collect();
        assert_eq!(bytes(&image, row + first / 32, 2), scales);
        let codes: Vec<u8> = blocks.iter().flat_map(|b| b.elements.map(|e| e.code())).collect();
        assert_eq!(bytes(&image, row + 64 + first, 64), codes);
    }
    assert_eq!(bytes(&image, DESTINATION, 2), [0, 0], "features that are not its own");
}

#[test]
fn argmax_ignores_what_is_beyond_its_features() {
    let mut rows = [numbers(50, 32), numbers(51, 32)];
    (rows[0][4], rows[1][19]) = (300f32.to_bits(), 400f32.to_bits());
    (rows[0][20], rows[1][20]) = (1000f32.to_bits(), 1000f32.to_bits());
    let mut image = memory(&laid_out(&rows), &[]);
    let argmax = Command { opcode: 13, rows: 2, count: 20, ..Command::default() };
    assert_eq!(argmax.run(&mut Vector::default(), &mut image), DONE);
    let mut expected = [0; 16];
    (expected[0], expected[1]) = (4, 19);
    (expected[8], expected[9]) = (300f32.to_bits(), 400f32.to_bits());
    assert_eq!(words(&image, DESTINATION, 16), expected);
}

#[test]
fn refused_reads_leave_results_undefined_and_refused_writes_are_told() {
    let gate = Command { opcode: 11, rows: 1, length: 32, rest: rooted(32), ..Command::default() };
    let mut image = Image::new(SOURCE..END);
    assert_eq!(gate.run(&mut Vector::default(), &mut image), READ_ERROR);
    let unknown: Vec<_> = image.words().map(|(at, word)| (at, word.unknown)).collect();
    assert_eq!(unknown, [(DESTINATION, 1), (DESTINATION + 64, 0xFFFF_FFFF)]);

    let mut image = memory(&numbers(60, 32), &numbers(61, 32));
    let mut fields = gate.fields();
    fields.destination = END - 64;
    assert_eq!(Vector::default().run(&mut image, &fields), Ok(WRITE_ERROR));

    // A row number beyond the table comes behind a refused read and before a refused write.
    let embed = Command { opcode: 6, rows: 1, count: 1, length: 32, rest: rooted(32), ..Command::default() };
    let mut image = memory(&[5], &numbers(62, 32));
    let mut fields = embed.fields();
    fields.destination = END;
    assert_eq!(Vector::default().run(&mut image, &fields), Ok(INDEX));
    fields.positions[0] = END;
    assert_eq!(Vector::default().run(&mut image, &fields), Ok(READ_ERROR));
    // Its scale is of no use.
    let norm = Command { opcode: 8, rows: 1, length: 32, rest: rooted(32), ..Command::default() };
    let mut vector = Vector::default();
    assert_eq!(vector.run(&mut image, &fields), Ok(READ_ERROR));
    assert!(vector.run(&mut image, &norm.fields()).is_err());

    // Nor may anything be made of bytes that nobody knows.
    image.forget(SOURCE, 1);
    assert!(Vector::default().run(&mut image, &gate.fields()).is_err());
}
