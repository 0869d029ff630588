// SPDX-License-Identifier: Apache-2.0
//! Program files: the examples mean what they say, and what cannot be is refused by name and place.

use std::path::{Path, PathBuf};

use tandem_host::HostError;
use tandem_host::program::Program;
use tandem_model::array::Geometry;
use tandem_model::control::command::{Command, STATUSES, name_of};

const EXAMPLES: [&str; 3] = ["gemv.toml", "attend.toml", "illegal.toml"];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/programs")
}

fn parse(text: &str) -> Result<Program, HostError> {
    Program::parse(text, Path::new("p.toml"), Geometry::ALL[0])
}

#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let error = parse(text).expect_err("it cannot be").to_string();
    for word in words {
        assert!(error.contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn the_examples_end_as_they_say_in_every_geometry() {
    for (name, geometry) in EXAMPLES.iter().flat_map(|name| Geometry::ALL.map(|g| (name, g))) {
        let program = Program::load(&folder().join(name), geometry).unwrap_or_else(|e| panic!("{e}"));
        let mut machine = program.machine(geometry);
        assert!(!program.steps.is_empty());
        for (index, step) in program.steps.iter().enumerate() {
            let status = machine.run(&step.words).unwrap_or_else(|e| panic!("{name}: command {index}: {e}"));
            let status = name_of(&STATUSES, status.into());
            let expect = step.expect.and_then(|code| name_of(&STATUSES, code.into()));
            assert_eq!(status, expect.or(Some("done")), "{name}, {}: command {index}", geometry.name);
        }
    }
}

#[test]
fn every_example_is_tested() {
    let files = std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    let mut found: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut known = EXAMPLES;
    known.sort_unstable();
    assert_eq!(found, known);
}

#[test]
fn fields_regions_and_tokens_become_bits() {
    let program = parse(
        r#"
        bounds = ["b", "b"]
        pinned = true
        [[region]]
        name = "a"
        data = "01 02 0a ff"
        [[region]]
        name = "b"
        address = 0x8000
        size = 100
        [[command]]
        op = "append"
        notify = true
        wide = true
        source = "a+0x40"
        destination = "b + 128"
        count = 7
        length = 9
        signal = ["first", "second"]
        [[command]]
        op = 3
        rows = 2
        operand = 200
        positions = [4294967295, 5]
        wait = ["second"]
        wait_array = ["third", "first"]
        bank = 0xffff
        destination = 0xffff_ffff_ffff
        expect = "field"
        "#,
    )
    .unwrap();
    let [a, b] = &program.regions[..] else { panic!("two regions") };
    assert_eq!((a.address, a.bytes.len(), &a.bytes[..5]), (4096, 64, &[1, 2, 10, 255, 0][..]));
    assert_eq!((b.address, b.bytes.len()), (0x8000, 128));
    assert_eq!((program.bounds.clone(), program.pinned), (0x8000..0x8080, true));

    let [append, attend] = &program.steps[..] else { panic!("two commands") };
    let command = Command::from_words(&append.words);
    assert_eq!((command.opcode, command.flags.notify, command.flags.wide), (4, true, true));
    assert_eq!((command.source, command.destination), (4096 + 0x40, 0x8080));
    assert_eq!((command.count, command.length, command.signal_tokens), (7, 9, 0b11));
    assert_eq!(append.expect, None);
    let command = Command::from_words(&attend.words);
    assert_eq!((command.opcode, command.rows, command.operand), (3, 2, 200));
    assert_eq!((command.wait_tokens, command.wait_array), (0b10, 0b101));
    assert_eq!(command.positions, [u32::MAX, 5, 0, 0, 0, 0, 0, 0]);
    assert_eq!((command.bank, command.destination), (0xffff, 0xffff_ffff_ffff));
    assert_eq!(attend.expect, Some(2));
}

#[test]
fn files_are_found_from_the_programs_folder() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), [7; 65]).unwrap();
    let text = "[[region]]\nname = \"a\"\nfile = \"data\"\n";
    let path = folder.path().join("p.toml");
    let program = Program::parse(text, &path, Geometry::ALL[0]).unwrap();
    assert_eq!(program.regions[0].bytes.len(), 128);
    let missing = text.replace("data", "nothing");
    let error = Program::parse(&missing, &path, Geometry::ALL[0]).unwrap_err().to_string();
    assert!(error.contains("region `a`, file") && error.contains("nothing"), "{error}");
    let error = Program::load(&folder.path().join("none.toml"), Geometry::ALL[0]).unwrap_err();
    assert!(error.to_string().contains("none.toml"), "{error}");
}

#[test]
fn a_session_goes_on_with_the_records_of_its_seed() {
    let text = |kind: &str| format!("[[region]]\nname = \"a\"\n{kind}\n");
    let bytes = |kind: &str| parse(&text(kind)).unwrap().regions[0].bytes.clone();
    let all = bytes("records = { tokens = 5, head = 64, seed = 4 }");
    let rest = bytes("records = { first = 3, tokens = 2, head = 64, seed = 4 }");
    assert_eq!(all[3 * 192..], rest);
    let other = bytes("records = { first = 3, tokens = 2, head = 64, seed = 5 }");
    assert_ne!(rest, other);
}

#[test]
fn what_cannot_be_is_refused_by_name_and_place() {
    let region = |rest: &str| format!("[[region]]\nname = \"a\"\n{rest}\n");
    let command = |rest: &str| format!("[[region]]\nname = \"a\"\nsize = 64\n[[command]]\n{rest}\n");
    refused("x", &["p.toml is no program", "line 1"]);
    refused("colour = 3", &["colour", "unknown field"]);
    refused(&command("op = \"nop\"\nlengths = 3"), &["lengths", "line 6"]);
    refused(&command("op = \"nop\"\nlength = -3"), &["line 6", "-3"]);
    refused(&region(""), &["region `a`", "`size`, or one of", "none"]);
    refused(&region("data = \"00\"\nfile = \"x\""), &["region `a`", "data and file"]);
    refused(&region("data = \"0g\""), &["region `a`, data", "`g`"]);
    refused(&region("data = \"000\""), &["region `a`, data", "3 digits"]);
    refused(&region("size = 0"), &["region `a`, size", "from 1", "0"]);
    refused(&region("size = 9_000_000_000"), &["region `a`, size"]);
    refused(&region("size = 1\ndata = \"0000\""), &["region `a`, size", "from 2"]);
    refused(&region("size = 1\naddress = 65"), &["region `a`, address", "multiple of 64", "0x41"]);
    refused(&region("size = 65\naddress = 0xffffbfffc0"), &["region `a`", "rings"]);
    refused(&region("size = 1").replace("\"a\"", "\"a b\""), &["a name of letters"]);
    refused(&(region("size = 1") + &region("size = 1")), &["two of this name"]);
    let other = "[[region]]\nname = \"b\"\naddress = 4096\nsize = 1\n";
    refused(&(region("size = 1") + other), &["region `b`", "region `a` there"]);
    for (kind, words) in [
        ("operands = { rows = 1, features = 33, seed = 1 }", ["operands, features", "33"]),
        ("operands = { rows = 0, features = 32, seed = 1 }", ["operands", "0 x 1"]),
        ("weights = { outputs = 1_000_000_000, inputs = 320, seed = 1 }", ["weights", "x 10"]),
        ("weights = { outputs = 1, inputs = 32, seed = 1, format = \"fp8\" }", ["fp8", "fp4"]),
        ("session = { tokens = 1, head = 96, seed = 1 }", ["session, head", "96"]),
        ("records = { tokens = 1, head = 64, seed = 1, first = 99_999_999_999 }", ["records", "x 2"]),
    ] {
        refused(&region(kind), &words);
    }
    refused(&command("op = \"jump\""), &["command 0, op", "load", "`jump`"]);
    refused(&command("op = 256"), &["command 0, op", "256"]);
    refused(&command("rows = 1"), &["command 0", "`op` or `raw`", "neither"]);
    refused(&command("op = \"nop\"\nraw = \"\""), &["command 0", "both"]);
    refused(&command("raw = \"00\""), &["command 0, raw", "64 bytes", "found 1"]);
    let raw = format!("raw = \"{}\"", "00".repeat(64));
    refused(&command(&format!("{raw}\nrows = 1")), &["command 0, raw", "no other field"]);
    refused(&command("op = \"load\"\nrows = 256"), &["command 0 (load), rows", "8 bits", "256"]);
    refused(&command("op = \"load\"\nsource = \"c\""), &["command 0 (load), source", "regions a", "`c`"]);
    refused(&command("op = \"load\"\nsource = \"a+x\""), &["source", "region+offset"]);
    refused(&command("op = \"load\"\nsource = 0x1_0000_0000_0000"), &["source", "48 bits"]);
    refused(&command("op = \"load\"\nsource = [1]"), &["a number or a string"]);
    let nine = format!("op = \"attend\"\npositions = {:?}", [0; 9]);
    refused(&command(&nine), &["command 0 (attend), positions", "at most 8", "9"]);
    refused(&command("op = \"nop\"\nexpect = \"good\""), &["command 0, expect", "no_keys", "`good`"]);
    let names: Vec<_> = (0..17).map(|n| format!("t{n}")).collect();
    refused(&command(&format!("op = \"nop\"\nsignal = {names:?}")), &["signal", "16 tokens", "`t16`"]);
    refused("bounds = [\"a\", \"b\"]", &["bounds", "none"]);
    let two = "[[region]]\nname = \"b\"\nsize = 1\n[[region]]\nname = \"a\"\nsize = 1\n";
    refused(&format!("bounds = [\"a\", \"b\"]\n{two}"), &["bounds", "lower address first"]);
}
