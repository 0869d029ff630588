// SPDX-License-Identifier: Apache-2.0
//! Layouts, and the untimed interpreter of commands: bytes are packed by the layouts and read back by formulas written here,
//! commands run on them, and the results are those of the references on the blocks themselves.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tandem_model::array::Geometry;
use tandem_model::block::low_u8;
use tandem_model::control::command::Command;
use tandem_model::control::types::{
    CommandFlags, OPCODE_APPEND, OPCODE_ATTEND, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPCODE_NOP,
    STATUS_ALIGNMENT, STATUS_BANK, STATUS_BOUNDS, STATUS_DONE, STATUS_FIELD, STATUS_NO_KEYS, STATUS_OPCODE,
    STATUS_OPERAND, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use tandem_model::layout::{
    Blocks, pack_operands, pack_records, pack_region, pack_weights, region_bytes, result_bytes,
    unpack_results, weight_bytes,
};
use tandem_model::numerics::MxInt8Block;
use tandem_model::reference::command::Core;
use tandem_model::reference::divide::to_binary32;
use tandem_model::reference::dot::{Row, gemv_row};
use tandem_model::reference::float::Exact;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;
use tandem_testbenches::array::Stream;
use tandem_testbenches::attention::{Queries, Session, pages};
use tandem_testbenches::random::{Flavour, Source};

const SOURCE: u64 = 0x1_0000;
const OPERANDS: u64 = 0x200_0000;
const RESULTS: u64 = 0x400_0000;
const END: u64 = 0x800_0000;

fn cases(count: u32) -> TestRunner {
    TestRunner::new_with_rng(
        Config { cases: count, failure_persistence: None, ..Config::default() },
        proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
    )
}

fn stream(int8: bool, blocks: usize, source: &mut Source) -> Stream {
    if int8 {
        Stream::Int8((0..blocks).map(|_| source.int8_block()).collect())
    } else {
        Stream::Fp4((0..blocks).map(|_| source.fp4_block()).collect())
    }
}

fn blocks(stream: &Stream) -> Blocks<'_> {
    match stream {
        Stream::Fp4(blocks) => Blocks::Fp4(blocks),
        Stream::Int8(blocks) => Blocks::Int8(blocks),
    }
}

/// Element codes of a block, then its scale's.
fn codes(stream: &Stream, at: usize) -> Vec<u8> {
    match stream {
        Stream::Fp4(all) => all[at].elements.iter().map(|e| e.code()).chain([all[at].scale.code()]).collect(),
        Stream::Int8(all) => int8_codes(&all[at]),
    }
}

fn int8_codes(block: &MxInt8Block) -> Vec<u8> {
    block.elements.iter().map(|e| e.code()).chain([block.scale.code()]).collect()
}

fn machine(geometry: Geometry) -> Machine {
    let core = Core {
        rows: geometry.rows,
        segments: geometry.segments,
        bank_words: geometry.words(),
        bounds: RESULTS..END,
    };
    Machine::new(core, Image::new(0..END))
}

fn byte(n: usize) -> u8 {
    u8::try_from(n).expect("a byte")
}

fn word(n: usize) -> u32 {
    u32::try_from(n).expect("32 bits")
}

/// A command with nothing but its opcode.
fn command(opcode: u16) -> Command {
    Command { opcode: low_u8(opcode.into()), ..Command::default() }
}

fn run(machine: &mut Machine, command: Command) -> u16 {
    machine.run(&command.words()).expect("all is defined").into()
}

fn memory(machine: &Machine, address: u64, length: usize) -> Vec<u8> {
    let words = (address..).step_by(64).take(length / 64);
    words.flat_map(|at| machine.image.read(at).expect("written").bytes).collect()
}

fn load(x: &[MxInt8Block], rows: usize, operand: usize, flags: CommandFlags) -> Command {
    Command {
        flags,
        rows: byte(rows),
        operand: byte(operand),
        source: OPERANDS,
        length: word(32 * x.len() / rows),
        ..command(OPCODE_LOAD)
    }
}

/// Blocks (feature, block) of the stream of weights, read by the formulas of the layout.
fn weight_block(
    bytes: &[u8],
    segments: usize,
    int8: bool,
    (features, of_row): (usize, usize),
    (feature, block): (usize, usize),
) -> Vec<u8> {
    let word = 32 * segments;
    let chunks = of_row.div_ceil(if int8 { segments } else { 2 * segments });
    let (tile, f) = (feature / 64, feature % 64);
    let m = (features - 64 * tile).min(64);
    let scale_words = |m: usize| m.div_ceil(if int8 { 32 } else { 16 });
    let chunk = block / if int8 { segments } else { 2 * segments };
    let first = tile * chunks * (64 + scale_words(64)) + chunk * (m + scale_words(m));
    let segment = if int8 { block % segments } else { block / 2 % segments };
    let elements = (first + scale_words(m) + f) * word + 32 * segment;
    let (shift, mask) = if int8 { (0, 255) } else { (4 * (block % 2), 15) };
    let scale = if int8 {
        (first + f / 32) * word + 32 * segment + f % 32
    } else {
        (first + f / 16) * word + 32 * segment + 2 * (f % 16) + block % 2
    };
    let mut codes: Vec<u8> = bytes[elements..elements + 32].iter().map(|byte| byte >> shift & mask).collect();
    codes.push(bytes[scale]);
    codes
}

#[test]
fn every_block_of_the_weights_is_where_the_layout_says() {
    let shapes = (any::<bool>(), 1..150usize, 1..12usize, any::<u64>());
    for geometry in Geometry::ALL {
        let segments = geometry.segments;
        let test = |(int8, features, of_row, seed): (bool, usize, usize, u64)| {
            let mut source = Source::new(seed, Flavour::WildScales);
            let w = stream(int8, features * of_row, &mut source);
            let bytes = pack_weights(segments, of_row, blocks(&w));
            prop_assert_eq!(bytes.len(), weight_bytes(segments, int8, features, of_row));
            for at in 0..features * of_row {
                let place = (at / of_row, at % of_row);
                let got = weight_block(&bytes, segments, int8, (features, of_row), place);
                prop_assert_eq!(got, codes(&w, at), "{:?}", place);
            }
            // Nothing else is in there: the last chunk's missing blocks are zero, and so is the rest.
            let of_chunk = if int8 { segments } else { 2 * segments };
            for missing in of_row..of_row.next_multiple_of(of_chunk) {
                let got = weight_block(&bytes, segments, int8, (features, of_row), (features - 1, missing));
                prop_assert_eq!(got, vec![0; 33]);
            }
            Ok(())
        };
        cases(60).run(&shapes, test).unwrap();
    }
}

#[test]
fn every_block_of_the_operands_is_where_the_layout_says() {
    let test = |(rows, of_row, seed): (usize, usize, u64)| {
        let mut source = Source::new(seed, Flavour::WildScales);
        let x: Vec<_> = (0..rows * of_row).map(|_| source.int8_block()).collect();
        let bytes = pack_operands(of_row, &x);
        let scales = of_row.div_ceil(64) * 64;
        let row = scales + (32 * of_row).div_ceil(64) * 64;
        prop_assert_eq!(bytes.len(), rows * row);
        for (at, block) in x.iter().enumerate() {
            let (r, b) = (at / of_row, at % of_row);
            let mut got = bytes[r * row + scales + 32 * b..][..32].to_vec();
            got.push(bytes[r * row + b]);
            prop_assert_eq!(got, int8_codes(block));
        }
        prop_assert!(bytes[of_row..scales].iter().all(|&byte| byte == 0));
        Ok(())
    };
    cases(60).run(&(1..=8usize, 1..150usize, any::<u64>()), test).unwrap();
}

fn session(int8: bool, wide: bool, tokens: usize, source: &mut Source) -> Session {
    let count = tokens * if wide { 4 } else { 2 };
    let (keys, values) = (stream(int8, count, source), stream(int8, count, source));
    Session { head_dim: if wide { 128 } else { 64 }, keys, values }
}

#[test]
fn a_region_is_the_pages_of_the_engine_one_after_the_other() {
    for geometry in Geometry::ALL {
        let test = |(int8, wide, tokens, seed): (bool, bool, usize, u64)| {
            let session = session(int8, wide, tokens, &mut Source::new(seed, Flavour::WildScales));
            let region = pack_region(geometry.segments, wide, blocks(&session.keys), blocks(&session.values));
            let mut want = Vec::new();
            for tile in pages::pack(&session, geometry) {
                for word in tile.words {
                    want.extend(word.unwrap_or_else(|| vec![0; geometry.word_bytes()]));
                }
            }
            prop_assert_eq!(region.len(), region_bytes(geometry.segments, int8, wide, tokens));
            prop_assert!(region == want);
            Ok(())
        };
        cases(60).run(&(any::<bool>(), any::<bool>(), 1..150usize, any::<u64>()), test).unwrap();
    }
}

#[test]
fn records_have_units_and_scales_where_the_layout_says() {
    let test = |(int8, wide, tokens, seed): (bool, bool, usize, u64)| {
        let session = session(int8, wide, tokens, &mut Source::new(seed, Flavour::WildScales));
        let bytes = pack_records(wide, blocks(&session.keys), blocks(&session.values));
        let of_token = if wide { 4 } else { 2 };
        let half = (if int8 { 32 } else { 16 } * of_token).max(64);
        prop_assert_eq!(bytes.len(), tokens * (2 * half + 64));
        for at in 0..tokens * of_token {
            let (token, block) = (at / of_token, at % of_token);
            for (value, stream) in [&session.keys, &session.values].into_iter().enumerate() {
                let record = &bytes[token * (2 * half + 64)..];
                let unit = if int8 { block } else { block / 2 };
                let lanes = &record[value * half + 32 * unit..][..32];
                let (shift, mask) = if int8 { (0, 255) } else { (4 * (block % 2), 15) };
                let mut got: Vec<u8> = lanes.iter().map(|byte| byte >> shift & mask).collect();
                got.push(record[2 * half + 8 * value + block]);
                prop_assert_eq!(got, codes(stream, at));
            }
        }
        Ok(())
    };
    cases(60).run(&(any::<bool>(), any::<bool>(), 1..20usize, any::<u64>()), test).unwrap();
}

#[test]
fn gemv_gives_the_dot_products_of_the_matrix() {
    for geometry in Geometry::ALL {
        let shapes = (any::<bool>(), 1..150usize, 1..12usize, 1..=geometry.rows, 0..4usize, any::<u64>());
        let test = |(int8, features, of_row, rows, operand, seed)| {
            let mut source = Source::new(seed, Flavour::WildScales);
            let w = stream(int8, features * of_row, &mut source);
            let x: Vec<_> = (0..rows * of_row).map(|_| source.int8_block()).collect();
            let mut machine = machine(geometry);
            machine.image.store(SOURCE, &pack_weights(geometry.segments, of_row, blocks(&w)));
            machine.image.store(OPERANDS, &pack_operands(of_row, &x));
            let flags = CommandFlags { int8, ..CommandFlags::default() };
            let done = run(&mut machine, load(&x, rows, operand, flags));
            prop_assert_eq!(done, STATUS_DONE);
            let gemv = Command {
                flags,
                rows: byte(rows),
                operand: byte(operand),
                source: SOURCE,
                destination: RESULTS,
                count: word(features),
                length: word(32 * of_row),
                ..command(OPCODE_GEMV)
            };
            prop_assert_eq!(run(&mut machine, gemv), STATUS_DONE);
            let bytes = memory(&machine, RESULTS, result_bytes(rows, features));
            let got = unpack_results(rows, features, &bytes).expect("the rest is +0");
            for (row, got) in got.iter().enumerate() {
                let x = &x[row * of_row..(row + 1) * of_row];
                for (feature, &got) in got.iter().enumerate() {
                    let of = feature * of_row..(feature + 1) * of_row;
                    let w = match &w {
                        Stream::Fp4(all) => Row::MxFp4(&all[of]),
                        Stream::Int8(all) => Row::MxInt8(&all[of]),
                    };
                    let (want, _) = to_binary32(&Exact::of(gemv_row(w, x).0));
                    prop_assert_eq!(got, want, "row {} feature {}", row, feature);
                }
            }
            Ok(())
        };
        cases(40).run(&shapes, test).unwrap();
    }
}

/// An Attend of a session, and what the reference says of it.
fn attend_case(
    geometry: Geometry,
    (int8, wide, tokens, rows, causal, window, resident, seed): (
        bool,
        bool,
        usize,
        usize,
        bool,
        u32,
        bool,
        u64,
    ),
) -> Result<(), TestCaseError> {
    let mut source = Source::new(seed, Flavour::Plain);
    let session = session(int8, wide, tokens, &mut source);
    let q: Vec<_> = (0..rows * session.blocks()).map(|_| source.int8_block()).collect();
    let position = |_| u32::try_from(source.below(tokens as u64 + 3)).expect("small");
    let queries = Queries {
        positions: (0..rows).map(position).collect(),
        rows: q.chunks(session.blocks()).map(<[_]>::to_vec).collect(),
        causal,
        window,
    };
    let region = pack_region(geometry.segments, wide, blocks(&session.keys), blocks(&session.values));
    let words = region.len() / geometry.word_bytes();
    let resident = resident && words <= geometry.words();

    let mut machine = machine(geometry);
    machine.image.store(SOURCE, &region);
    machine.image.store(OPERANDS, &pack_operands(session.blocks(), &q));
    let grouped = session.layout(geometry).groups > 1;
    let of_load = CommandFlags { int8, grouped, ..CommandFlags::default() };
    prop_assert_eq!(run(&mut machine, load(&q, rows, 5, of_load)), STATUS_DONE);
    let bank = geometry.words() - words.min(geometry.words());
    if resident {
        let fill = Command {
            source: SOURCE,
            bank: u16::try_from(bank).expect("16 bits"),
            count: word(words),
            ..command(OPCODE_FILL)
        };
        prop_assert_eq!(run(&mut machine, fill), STATUS_DONE);
    }
    let mut positions = [0; 8];
    positions[..rows].copy_from_slice(&queries.positions);
    let attend = Command {
        flags: CommandFlags { int8, wide, causal, resident, ..CommandFlags::default() },
        rows: byte(rows),
        operand: 5,
        source: if resident { 0 } else { SOURCE },
        bank: if resident { u16::try_from(bank).expect("16 bits") } else { 0 },
        destination: RESULTS,
        count: word(tokens),
        length: window,
        positions,
        ..command(OPCODE_ATTEND)
    };
    let status = run(&mut machine, attend);
    let want = session.attend(geometry, &queries);
    if want.iter().all(|row| row.flags.empty) {
        prop_assert_eq!(status, STATUS_NO_KEYS);
        return Ok(());
    }
    prop_assert_eq!(status, STATUS_DONE);
    let bytes = memory(&machine, RESULTS, result_bytes(rows, session.head_dim));
    let got = unpack_results(rows, session.head_dim, &bytes).expect("whole groups");
    for (got, want) in got.iter().zip(&want) {
        prop_assert_eq!(got, &want.values);
    }
    Ok(())
}

#[test]
fn attend_gives_the_attention_of_the_session() {
    for geometry in Geometry::ALL {
        let heads = (
            any::<bool>(),
            any::<bool>(),
            1..150usize,
            1..=geometry.rows,
            any::<bool>(),
            prop_oneof![2 => Just(0u32), 1 => 1..80u32],
            any::<bool>(),
            any::<u64>(),
        );
        cases(60).run(&heads, |head| attend_case(geometry, head)).unwrap();
    }
}

#[test]
fn tokens_appended_one_run_after_the_other_are_the_region() {
    for geometry in Geometry::ALL {
        let test = |(int8, wide, tokens, cut, seed): (bool, bool, usize, usize, u64)| {
            let session = session(int8, wide, tokens, &mut Source::new(seed, Flavour::WildScales));
            let mut machine = machine(geometry);
            let region = pack_region(geometry.segments, wide, blocks(&session.keys), blocks(&session.values));
            let records = pack_records(wide, blocks(&session.keys), blocks(&session.values));
            let record = records.len() / tokens;
            machine.image.store(SOURCE, &records);
            machine.image.store(RESULTS, &vec![0; region.len()]);
            let cut = cut % tokens;
            for run_of in [0..cut, cut..tokens].into_iter().filter(|run| !run.is_empty()) {
                let append = Command {
                    flags: CommandFlags { int8, wide, ..CommandFlags::default() },
                    source: SOURCE + (run_of.start * record) as u64,
                    destination: RESULTS,
                    count: word(run_of.len()),
                    length: word(run_of.start),
                    ..command(OPCODE_APPEND)
                };
                prop_assert_eq!(run(&mut machine, append), STATUS_DONE);
            }
            prop_assert!(memory(&machine, RESULTS, region.len()) == region);
            Ok(())
        };
        let shapes = (any::<bool>(), any::<bool>(), 1..100usize, any::<usize>(), any::<u64>());
        cases(40).run(&shapes, test).unwrap();
    }
}

/// A command of each kind that is good on every geometry.
fn good() -> [Command; 6] {
    let wide = CommandFlags { wide: true, ..CommandFlags::default() };
    [
        command(OPCODE_NOP),
        Command { rows: 1, source: SOURCE, length: 64, ..command(OPCODE_LOAD) },
        Command {
            rows: 1,
            source: SOURCE,
            destination: RESULTS,
            count: 17,
            length: 64,
            ..command(OPCODE_GEMV)
        },
        Command {
            rows: 1,
            flags: wide,
            source: SOURCE,
            destination: RESULTS,
            count: 9,
            length: 3,
            positions: [8, 0, 0, 0, 0, 0, 0, 0],
            ..command(OPCODE_ATTEND)
        },
        Command {
            flags: wide,
            source: SOURCE,
            destination: RESULTS,
            count: 2,
            length: 1,
            ..command(OPCODE_APPEND)
        },
        Command { source: SOURCE, bank: 3, count: 5, ..command(OPCODE_FILL) },
    ]
}

#[test]
fn illegal_commands_are_refused_and_do_nothing() {
    let [nop, load, gemv, attend, append, fill] = good();
    let resident = CommandFlags { resident: true, ..attend.flags };
    let reserved =
        |bit: u16| CommandFlags { reserved: tandem_model::block::Uint(bit), ..CommandFlags::default() };
    let last = END - 64;
    for geometry in Geometry::ALL {
        let words = u16::try_from(geometry.words()).expect("16 bits");
        let rows = byte(geometry.rows);
        let chunks = 32 * word(geometry.segments);
        let bad = [
            (Command { opcode: 14, ..nop }, STATUS_OPCODE),
            (Command { opcode: 255, ..nop }, STATUS_OPCODE),
            (Command { flags: reserved(1), ..nop }, STATUS_FIELD),
            (Command { flags: reserved(2), ..fill }, STATUS_FIELD),
            (Command { rows: 1, ..nop }, STATUS_FIELD),
            (Command { wait_tokens: 6, signal_tokens: 12, ..nop }, STATUS_FIELD),
            (Command { wait_array: 4, signal_tokens: 12, ..gemv }, STATUS_FIELD),
            (Command { length: 1, ..nop }, STATUS_FIELD),
            (Command { positions: [0, 0, 0, 0, 0, 0, 0, 1], ..nop }, STATUS_FIELD),
            (Command { rows: 0, ..load }, STATUS_FIELD),
            (Command { rows: rows + 1, ..load }, STATUS_FIELD),
            (Command { length: 0, ..load }, STATUS_FIELD),
            (Command { length: 33, ..load }, STATUS_FIELD),
            (Command { length: 1 << 20, ..load }, STATUS_FIELD),
            (Command { operand: 1, length: (1 << 20) - 32, ..load }, STATUS_OPERAND),
            (Command { count: 1, ..load }, STATUS_FIELD),
            (Command { destination: RESULTS, ..load }, STATUS_FIELD),
            (Command { source: SOURCE + 32, ..load }, STATUS_ALIGNMENT),
            (Command { source: 1 << 40, ..load }, STATUS_ALIGNMENT),
            (Command { operand: 128, ..load }, STATUS_OPERAND),
            (Command { length: 2 * 128 * chunks + 32, ..load }, STATUS_OPERAND),
            (Command { count: 0, ..gemv }, STATUS_FIELD),
            (Command { count: 1 << 20, ..gemv }, STATUS_FIELD),
            (Command { flags: CommandFlags { wide: true, ..gemv.flags }, ..gemv }, STATUS_FIELD),
            (Command { bank: 1, ..gemv }, STATUS_FIELD),
            (Command { destination: RESULTS + 4, ..gemv }, STATUS_ALIGNMENT),
            (Command { destination: RESULTS - 64, ..gemv }, STATUS_BOUNDS),
            (Command { destination: last, ..gemv }, STATUS_BOUNDS),
            (Command { destination: (1 << 40) - 64, ..gemv }, STATUS_BOUNDS),
            (Command { count: 0, ..attend }, STATUS_FIELD),
            (Command { length: 1 << 20, ..attend }, STATUS_FIELD),
            (Command { bank: 1, ..attend }, STATUS_FIELD),
            (Command { positions: [8, 1, 0, 0, 0, 0, 0, 0], ..attend }, STATUS_FIELD),
            (Command { positions: [1 << 20, 0, 0, 0, 0, 0, 0, 0], ..attend }, STATUS_FIELD),
            (Command { flags: resident, ..attend }, STATUS_FIELD),
            (Command { flags: resident, source: 0, bank: words - 1, ..attend }, STATUS_BANK),
            (Command { destination: last, ..attend }, STATUS_BOUNDS),
            (Command { operand: 128, destination: last, ..attend }, STATUS_OPERAND),
            (Command { rows: 1, ..append }, STATUS_FIELD),
            (Command { count: 0, ..append }, STATUS_FIELD),
            (Command { count: 1 << 16, ..append }, STATUS_FIELD),
            (Command { count: 2, length: (1 << 20) - 1, ..append }, STATUS_FIELD),
            (Command { destination: last, ..append }, STATUS_BOUNDS),
            (Command { bank: words - 4, ..fill }, STATUS_BANK),
            (Command { count: 0, ..fill }, STATUS_FIELD),
            (Command { destination: RESULTS, ..fill }, STATUS_FIELD),
        ];
        for (command, status) in bad {
            let mut machine = machine(geometry);
            assert_eq!(run(&mut machine, command), status, "{geometry:?} {command:?}");
            assert_eq!(machine.image.words().count(), 0);
        }
        // What stands closest to the limits is good: it fails only because there is nothing in memory.
        let good = [
            Command { rows, length: 2 * 32 * word(geometry.segments), operand: 127, ..load },
            Command { destination: END - 2 * 64, ..gemv },
            Command { count: (1 << 20) - 1, positions: [9, 0, 0, 0, 0, 0, 0, 0], ..attend },
            Command { bank: words - 5, ..fill },
        ];
        for command in good {
            let (mut machine, status) = (machine(geometry), STATUS_READ_ERROR);
            machine.image.store(OPERANDS, &[0; 128]);
            if command.opcode != 1 {
                run(&mut machine, Command { source: OPERANDS, ..load });
                run(&mut machine, Command { source: OPERANDS, operand: 1, ..load });
            }
            assert_eq!(run(&mut machine, command), status, "{geometry:?} {command:?}");
        }
    }
}

#[test]
fn errors_of_memory_are_told_and_what_they_leave_is_unknown() {
    let [small, _] = Geometry::ALL;
    let [_, load, gemv, _, append, _] = good();
    let mut machine = machine(small);
    assert_eq!(run(&mut machine, Command { source: OPERANDS, ..load }), STATUS_READ_ERROR);
    let error = machine.run(&gemv.words()).unwrap_err();
    assert!(error.to_string().contains("chunk 0 of row 0"), "{error}");

    machine.image.store(OPERANDS, &[0; 128]);
    assert_eq!(run(&mut machine, Command { source: OPERANDS, ..load }), STATUS_DONE);
    assert_eq!(run(&mut machine, gemv), STATUS_READ_ERROR);
    let unknown = machine.image.words().filter(|(_, word)| word.unknown == u64::MAX);
    assert_eq!(unknown.map(|(at, _)| at).collect::<Vec<_>>(), [RESULTS, RESULTS + 64]);

    // The first record can be read, the second cannot: its token alone is unknown.
    machine.image.store(SOURCE, &[7; 3 * 64]);
    let append = Command { destination: RESULTS + 0x1_0000, ..append };
    assert_eq!(run(&mut machine, append), STATUS_READ_ERROR);
    let bytes: u32 = machine.image.words().map(|(_, word)| word.unknown.count_ones()).sum();
    assert_eq!(bytes, 128 + 2 * (64 + 4));
    assert_eq!(run(&mut machine, Command { source: RESULTS, ..load }), STATUS_DONE);
    assert!(machine.run(&gemv.words()).is_err(), "what is unknown may be loaded, and not used");
}

#[test]
fn a_refused_write_is_told() {
    let [small, _] = Geometry::ALL;
    let [_, load, gemv, ..] = good();
    let core = Core { rows: 8, segments: 2, bank_words: small.words(), bounds: RESULTS..2 * END };
    let mut machine = Machine::new(core, Image::new(0..END));
    machine.image.store(SOURCE, &[0; 4096]);
    assert_eq!(run(&mut machine, load), STATUS_DONE);
    assert_eq!(run(&mut machine, Command { destination: END - 64, ..gemv }), STATUS_WRITE_ERROR);
    assert!(machine.image.read(END - 64).is_some(), "what lies within the memory is written");
}

#[test]
fn operands_of_another_format_are_refused() {
    let [small, _] = Geometry::ALL;
    let mut source = Source::new(3, Flavour::Plain);
    let x: Vec<_> = (0..4).map(|_| source.int8_block()).collect();
    let mut machine = machine(small);
    machine.image.store(OPERANDS, &pack_operands(4, &x));
    run(&mut machine, load(&x, 1, 0, CommandFlags::default()));
    let [_, _, gemv, attend, ..] = good();
    let int8 = CommandFlags { int8: true, ..CommandFlags::default() };
    let error = machine.run(&Command { flags: int8, ..gemv }.words()).unwrap_err();
    assert!(error.to_string().contains("loaded for MXFP4"), "{error}");
    let narrow = Command { flags: CommandFlags::default(), ..attend };
    let error = machine.run(&narrow.words()).unwrap_err();
    assert!(error.to_string().contains("without `grouped`"), "{error}");
    let resident = Command { flags: CommandFlags { resident: true, ..attend.flags }, source: 0, ..attend };
    let error = machine.run(&resident.words()).unwrap_err();
    assert!(error.to_string().contains("word 0 of the banks"), "{error}");
}
