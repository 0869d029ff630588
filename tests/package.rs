// SPDX-License-Identifier: Apache-2.0
//! `rtl/tandem_pkg.sv` and its mirror in the model: constants, packed structs, modes, geometries.
//!
//! Each checker is a function that lists what differs; its twin test shows that it objects to a wrong number.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use support::{project, text, tree};
use tandem_model::array;
use tandem_model::array::Geometry;
use tandem_model::array::types::{FLOAT_LATENCY, MAX_HEAD_DIM, Mode, PSUM_SLOTS, SEGMENT_LANES};
use tandem_model::attention::types as attention;
use tandem_model::attention::types::WordKind;
use tandem_model::block::{Bits, Format};
use tandem_model::collective::types as collective;
use tandem_model::control::types as control;
use tandem_model::devices::Device;
use tandem_model::link::types as link;
use tandem_model::memory::types as memory;
use tandem_model::numerics::float36::{EXPONENT_BIAS, EXPONENT_BITS, FRACTION_BITS};
use tandem_model::numerics::multiply::BINARY32;
use tandem_model::sram::types as sram;
use tandem_model::vector::types as vector;
use tandem_verilate::{PackedStruct, Verilator};

fn package() -> String {
    text(&project().join("rtl/tandem_pkg.sv"))
}

/// What is in one table and not, or differently, in the other.
fn differences<V: PartialEq + std::fmt::Debug>(
    rtl: &BTreeMap<String, V>,
    model: &BTreeMap<String, V>,
) -> Vec<String> {
    let names: BTreeSet<_> = rtl.keys().chain(model.keys()).collect();
    let differing = names.into_iter().filter(|name| rtl.get(*name) != model.get(*name));
    differing
        .map(|name| format!("{name}: {:?} in the RTL, {:?} in the model", rtl.get(name), model.get(name)))
        .collect()
}

// ---- constants ----

/// Names and values of the package's parameters.
fn constants(package: &str) -> BTreeMap<String, u64> {
    let declared = package.lines().map(str::trim).filter(|line| line.starts_with("localparam"));
    declared
        .map(|line| {
            let parsed = line.strip_prefix("localparam int unsigned ").and_then(|rest| {
                let (name, value) = rest.split_once(';')?.0.split_once('=')?;
                Some((name.trim().to_owned(), value.trim().parse().ok()?))
            });
            parsed.unwrap_or_else(|| panic!("expected `localparam int unsigned X = N;`, got `{line}`"))
        })
        .collect()
}

/// The model's constants under the RTL's names.
fn model_constants() -> BTreeMap<String, u64> {
    [
        ("SegmentLanes", SEGMENT_LANES as u64),
        ("FloatLatency", FLOAT_LATENCY as u64),
        ("PsumSlots", PSUM_SLOTS as u64),
        ("MaxHeadDim", MAX_HEAD_DIM as u64),
        ("Banks", sram::BANKS as u64),
        ("CodewordBytes", sram::CODEWORD_BYTES as u64),
        ("WordAddressBits", u64::from(sram::WORD_ADDRESS_BITS)),
        ("ReadLatency", sram::READ_LATENCY as u64),
        ("Contexts", attention::CONTEXTS as u64),
        ("TileSlots", attention::TILE_SLOTS as u64),
        ("PositionBits", u64::from(attention::POSITION_BITS)),
        ("ScoreFractionBits", u64::from(attention::SCORE_FRACTION_BITS)),
        ("ScoreExponentBits", u64::from(attention::SCORE_EXPONENT_BITS)),
        ("MantissaBits", u64::from(attention::MANTISSA_BITS)),
        ("Exp2Latency", attention::EXP2_LATENCY as u64),
        ("BeatFifoDepth", attention::BEAT_FIFO_DEPTH as u64),
        ("TilesAhead", u64::from(attention::TILES_AHEAD)),
        ("FeedLatency", attention::FEED_LATENCY as u64),
        ("FlitWords", link::FLIT_WORDS as u64),
        ("LinkWordBytes", link::LINK_WORD_BYTES as u64),
        ("SequenceBits", u64::from(link::SEQUENCE_BITS)),
        ("CreditBits", u64::from(link::CREDIT_BITS)),
        ("LinkChannels", link::LINK_CHANNELS as u64),
        ("ReplayDepth", link::REPLAY_DEPTH as u64),
        ("ControlSlots", link::CONTROL_SLOTS as u64),
        ("LatencySlots", link::LATENCY_SLOTS as u64),
        ("BulkSlots", link::BULK_SLOTS as u64),
        ("RetryTimeout", u64::from(link::RETRY_TIMEOUT)),
        ("LossTimeout", u64::from(link::LOSS_TIMEOUT)),
        ("AxiAddressBits", u64::from(memory::AXI_ADDRESS_BITS)),
        ("AxiIdBits", u64::from(memory::AXI_ID_BITS)),
        ("AxiBytes", memory::AXI_BYTES as u64),
        ("LineBits", u64::from(memory::LINE_BITS)),
        ("CsrAddressBits", u64::from(control::CSR_ADDRESS_BITS)),
        ("CommandIndexBits", u64::from(control::COMMAND_INDEX_BITS)),
        ("CounterSelectBits", u64::from(control::COUNTER_SELECT_BITS)),
        ("CsrId", u64::from(control::CSR_ID)),
        ("CsrVersion", u64::from(control::CSR_VERSION)),
        ("CsrGeometry", u64::from(control::CSR_GEOMETRY)),
        ("CsrControl", u64::from(control::CSR_CONTROL)),
        ("CsrStatus", u64::from(control::CSR_STATUS)),
        ("CsrCommandBaseLo", u64::from(control::CSR_COMMAND_BASE_LO)),
        ("CsrCommandBaseHi", u64::from(control::CSR_COMMAND_BASE_HI)),
        ("CsrRingSizeLog2", u64::from(control::CSR_RING_SIZE_LOG2)),
        ("CsrDoorbell", u64::from(control::CSR_DOORBELL)),
        ("CsrConsumer", u64::from(control::CSR_CONSUMER)),
        ("CsrCompletionBaseLo", u64::from(control::CSR_COMPLETION_BASE_LO)),
        ("CsrCompletionBaseHi", u64::from(control::CSR_COMPLETION_BASE_HI)),
        ("CsrInterruptStatus", u64::from(control::CSR_INTERRUPT_STATUS)),
        ("CsrInterruptEnable", u64::from(control::CSR_INTERRUPT_ENABLE)),
        ("CsrErrorCode", u64::from(control::CSR_ERROR_CODE)),
        ("CsrErrorIndex", u64::from(control::CSR_ERROR_INDEX)),
        ("CsrCounterSelect", u64::from(control::CSR_COUNTER_SELECT)),
        ("CsrCounterLo", u64::from(control::CSR_COUNTER_LO)),
        ("CsrCounterHi", u64::from(control::CSR_COUNTER_HI)),
        ("ScoreboardTokens", control::SCOREBOARD_TOKENS as u64),
        ("Units", control::UNITS as u64),
        ("MaxRows", control::MAX_ROWS as u64),
        ("OperandChunks", control::OPERAND_CHUNKS as u64),
        ("GroupFloats", control::GROUP_FLOATS as u64),
        ("ResultGroups", control::RESULT_GROUPS as u64),
        ("FeatureBits", u64::from(control::FEATURE_BITS)),
        ("OpcodeNop", u64::from(control::OPCODE_NOP)),
        ("OpcodeLoad", u64::from(control::OPCODE_LOAD)),
        ("OpcodeGemv", u64::from(control::OPCODE_GEMV)),
        ("OpcodeAttend", u64::from(control::OPCODE_ATTEND)),
        ("OpcodeAppend", u64::from(control::OPCODE_APPEND)),
        ("OpcodeFill", u64::from(control::OPCODE_FILL)),
        ("OpcodeEmbed", u64::from(control::OPCODE_EMBED)),
        ("OpcodeAdd", u64::from(control::OPCODE_ADD)),
        ("OpcodeNorm", u64::from(control::OPCODE_NORM)),
        ("OpcodeAngles", u64::from(control::OPCODE_ANGLES)),
        ("OpcodeHeads", u64::from(control::OPCODE_HEADS)),
        ("OpcodeGate", u64::from(control::OPCODE_GATE)),
        ("OpcodeQuantise", u64::from(control::OPCODE_QUANTISE)),
        ("OpcodeArgmax", u64::from(control::OPCODE_ARGMAX)),
        ("VectorUnits", vector::VECTOR_UNITS as u64),
        ("PartialSums", vector::PARTIAL_SUMS as u64),
        ("HeadWords", vector::HEAD_WORDS as u64),
        ("ProductLatency", vector::PRODUCT_LATENCY as u64),
        ("FunctionLatency", vector::FUNCTION_LATENCY as u64),
        ("StatusDone", u64::from(control::STATUS_DONE)),
        ("StatusOpcode", u64::from(control::STATUS_OPCODE)),
        ("StatusField", u64::from(control::STATUS_FIELD)),
        ("StatusAlignment", u64::from(control::STATUS_ALIGNMENT)),
        ("StatusBounds", u64::from(control::STATUS_BOUNDS)),
        ("StatusOperand", u64::from(control::STATUS_OPERAND)),
        ("StatusBank", u64::from(control::STATUS_BANK)),
        ("StatusReadError", u64::from(control::STATUS_READ_ERROR)),
        ("StatusWriteError", u64::from(control::STATUS_WRITE_ERROR)),
        ("StatusNoKeys", u64::from(control::STATUS_NO_KEYS)),
        ("StatusFetchError", u64::from(control::STATUS_FETCH_ERROR)),
        ("StatusCompletionError", u64::from(control::STATUS_COMPLETION_ERROR)),
        ("StatusIndex", u64::from(control::STATUS_INDEX)),
        ("CsrBoundsBaseLo", u64::from(control::CSR_BOUNDS_BASE_LO)),
        ("CsrBoundsBaseHi", u64::from(control::CSR_BOUNDS_BASE_HI)),
        ("CsrBoundsLimitLo", u64::from(control::CSR_BOUNDS_LIMIT_LO)),
        ("CsrBoundsLimitHi", u64::from(control::CSR_BOUNDS_LIMIT_HI)),
        ("WordFloats", collective::WORD_FLOATS as u64),
        ("RankBits", u64::from(collective::RANK_BITS)),
        ("PortBits", u64::from(collective::PORT_BITS)),
        ("FractionBits", u64::from(FRACTION_BITS)),
        ("Binary32CodeBits", u64::from(BINARY32.code_bits)),
        ("Binary32Bias", u64::from(BINARY32.bias.unsigned_abs())),
        ("Binary32Most", u64::from(BINARY32.most.unsigned_abs())),
        ("ExponentBits", u64::from(EXPONENT_BITS)),
        ("ExponentBias", u64::from(EXPONENT_BIAS.unsigned_abs())),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// `pub const NAME` of a Rust file outside of impls, spelt as the RTL would.
fn rust_constants(source: &str) -> BTreeSet<String> {
    let declared = source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split_once(": "));
    let camel = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    declared.map(|(name, _)| name.split('_').map(camel).collect()).collect()
}

#[test]
fn constants_of_package_and_model_are_equal() {
    assert_eq!(differences(&constants(&package()), &model_constants()), Vec::<String>::new());
}

/// The table above names all constants that the model's mirror of the package has.
#[test]
fn every_constant_of_the_mirror_is_compared() {
    let files = ["array", "sram", "attention", "link", "memory", "control", "collective", "vector"]
        .map(|group| format!("model/src/{group}/types.rs"));
    let mirror: BTreeSet<_> = files.iter().flat_map(|f| rust_constants(&text(&project().join(f)))).collect();
    let compared: BTreeSet<_> = model_constants().into_keys().collect();
    assert_eq!(mirror.difference(&compared).collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(mirror.contains("PsumSlots") && mirror.len() == 101, "{mirror:?}");
}

#[test]
fn wrong_missing_or_extra_constant_is_found() {
    let changed = |from: &str, to: &str| {
        assert!(package().contains(from), "the package has no {from}");
        differences(&constants(&package().replace(from, to)), &model_constants())
    };
    let psum_slots = "localparam int unsigned PsumSlots = 64;";
    assert_eq!(
        changed(psum_slots, "localparam int unsigned PsumSlots = 32;"),
        ["PsumSlots: Some(32) in the RTL, Some(64) in the model"]
    );
    assert_eq!(changed(psum_slots, ""), ["PsumSlots: None in the RTL, Some(64) in the model"]);
    let more = format!("{psum_slots}\n  localparam int unsigned More = 1;");
    assert_eq!(changed(psum_slots, &more), ["More: Some(1) in the RTL, None in the model"]);
}

// ---- packed structs ----

type Members = BTreeMap<String, Vec<(String, u32)>>;

fn rtl_structs(structs: Vec<PackedStruct>) -> Members {
    structs.into_iter().map(|s| (s.name, s.fields)).collect()
}

/// The model's structs, and the float, which is a number there and not a struct.
fn model_structs() -> Members {
    let float = [("sign", 1), ("exponent", EXPONENT_BITS), ("fraction", FRACTION_BITS)];
    let mut structs =
        Members::from([("float_t".to_owned(), float.map(|(name, width)| (name.to_owned(), width)).to_vec())]);
    let all = [
        array::types::packed_structs(),
        sram::packed_structs(),
        attention::packed_structs(),
        link::packed_structs(),
        memory::packed_structs(),
        control::packed_structs(),
        collective::packed_structs(),
        vector::packed_structs(),
    ];
    for (name, width, fields) in all.concat() {
        let fields: Vec<_> = fields.iter().map(|f| (f.name.to_owned(), f.width)).collect();
        assert_eq!(fields.iter().map(|f| f.1).sum::<u32>(), width, "{name}");
        assert!(structs.insert(name.to_owned(), fields).is_none(), "{name} is listed twice");
    }
    structs
}

#[test]
fn packed_structs_of_rtl_and_model_are_equal() {
    for device in Device::ALL {
        let rtl = rtl_structs(tree(device).packed_structs().unwrap());
        assert_eq!(differences(&rtl, &model_structs()), Vec::<String>::new(), "{}", device.name);
    }
}

#[test]
fn wrong_missing_or_extra_field_is_found() {
    let rtl = rtl_structs(tree(Device::ALL[0]).packed_structs().unwrap());
    let found = |change: &dyn Fn(&mut Members)| {
        let mut rtl = rtl.clone();
        change(&mut rtl);
        differences(&rtl, &model_structs())
    };
    fn tag(s: &mut Members) -> &mut Vec<(String, u32)> {
        s.get_mut("edge_tag_t").expect("a struct of the package")
    }
    let cases: [&dyn Fn(&mut Members); 5] = [
        &|s| tag(s)[3].1 += 1,
        &|s| tag(s).swap(0, 1),
        &|s| tag(s)[0].0.push('x'),
        &|s| drop(tag(s).pop()),
        &|s| drop(s.remove("edge_tag_t")),
    ];
    for (i, case) in cases.into_iter().enumerate() {
        let found = found(case);
        assert!(found.len() == 1 && found[0].starts_with("edge_tag_t: "), "case {i}: {found:?}");
    }
    let extra = found(&|s| drop(s.insert("more_t".to_owned(), vec![])));
    assert_eq!(extra, ["more_t: Some([]) in the RTL, None in the model"]);
}

// ---- modes ----

/// Names and values of an enumeration.
fn enumeration(package: &str, name: &str) -> BTreeMap<String, u64> {
    let end = package.find(&format!("}} {name};")).expect("the package has this enumeration");
    let start = package[..end].rfind('{').expect("an enumeration opens") + 1;
    let uncommented = package[start..end].lines().map(|line| line.split("//").next().unwrap_or(line));
    let uncommented: String = uncommented.collect();
    let values = uncommented.split(',').filter(|entry| !entry.trim().is_empty()).map(|entry| {
        let (name, value) = entry.split_once('=').expect("NAME = WIDTH'dN");
        let (_, digits) = value.split_once("'d").expect("WIDTH'dN");
        (name.trim().to_owned(), digits.trim().parse().expect("a number"))
    });
    values.collect()
}

/// An enumeration of the model under the RTL's names.
fn model_enumeration<T: Bits>(prefix: &str, values: &[T]) -> BTreeMap<String, u64> {
    let Format::Enum(names) = T::FORMAT else { panic!("an enumeration is printed by its names") };
    assert_eq!((names.len(), 1 << T::WIDTH), (values.len(), values.len()));
    // The name that a report prints for a value is the RTL's name for it.
    let named = values.iter().map(|value| (format!("{prefix}{value:?}"), value.to_bits()));
    named
        .zip(names)
        .map(|((name, bits), printed)| {
            assert_eq!((name.as_str(), T::from_bits(bits).to_bits()), (*printed, bits));
            (name, bits)
        })
        .collect()
}

fn model_modes() -> BTreeMap<String, u64> {
    model_enumeration("Mode", &[Mode::Idle, Mode::Gemv, Mode::Qk, Mode::Pv])
}

fn model_kinds() -> BTreeMap<String, u64> {
    use WordKind::{Key, KeyScale, Value, ValueScale};
    model_enumeration("Kind", &[KeyScale, ValueScale, Key, Value])
}

#[test]
fn enumerations_of_package_and_model_are_equal() {
    assert_eq!(differences(&enumeration(&package(), "mode_e"), &model_modes()), Vec::<String>::new());
    assert_eq!(differences(&enumeration(&package(), "kind_e"), &model_kinds()), Vec::<String>::new());
    let flits = model_enumeration("Flit", &link::FlitKind::ALL);
    assert_eq!(differences(&enumeration(&package(), "flit_kind_e"), &flits), Vec::<String>::new());
    let states = model_enumeration("Link", &link::LinkState::ALL);
    assert_eq!(differences(&enumeration(&package(), "link_state_e"), &states), Vec::<String>::new());
    let ops = model_enumeration("Collective", &collective::CollectiveOp::ALL);
    assert_eq!(differences(&enumeration(&package(), "collective_op_e"), &ops), Vec::<String>::new());
    let lanes = model_enumeration("Lane", &vector::LaneOp::ALL);
    assert_eq!(differences(&enumeration(&package(), "lane_op_e"), &lanes), Vec::<String>::new());
    let functions = model_enumeration("Function", &vector::Function::ALL);
    assert_eq!(differences(&enumeration(&package(), "function_e"), &functions), Vec::<String>::new());
    let forms = model_enumeration("Form", &vector::Form::ALL);
    assert_eq!(differences(&enumeration(&package(), "form_e"), &forms), Vec::<String>::new());
}

#[test]
fn wrong_mode_is_found() {
    let swapped = package().replace("ModeQk   = 2'd2", "ModeQk   = 2'd3");
    assert_ne!(swapped, package());
    let found = differences(&enumeration(&swapped, "mode_e"), &model_modes());
    assert_eq!(found, ["ModeQk: Some(3) in the RTL, Some(2) in the model"]);
}

// ---- parts of a chain ----

/// `chain_parts` of a package, elaborated by Verilator.
fn elaborated_parts(package: &str, segments: [usize; 3]) -> [usize; 3] {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let declared: String = segments
        .iter()
        .map(|n| format!("  localparam int unsigned Parts{n} = tandem_pkg::chain_parts({n});\n"))
        .collect();
    let top = write("parts.sv", &format!("module parts;\n{declared}endmodule\n"));
    let package = write("tandem_pkg.sv", package);
    let verilator = Verilator::find(project()).unwrap();
    let mut command = verilator.command();
    command.args(["--json-only", "--quiet", "-Wno-lint", "--top-module", "parts", "--Mdir"]);
    let out = command.arg(folder.path()).args([package, top]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let tree: serde_json::Value =
        serde_json::from_str(&text(&folder.path().join("Vparts.tree.json"))).unwrap();
    let modules = tree["modulesp"].as_array().unwrap();
    let statements = modules.iter().flat_map(|module| module["stmtsp"].as_array().unwrap());
    let values: BTreeMap<_, _> = statements
        .filter_map(|node| Some((node["name"].as_str()?, node["valuep"][0]["name"].as_str()?)))
        .collect();
    segments.map(|n| {
        // A constant is spelt `32'h2`.
        let value = values[format!("Parts{n}").as_str()];
        let digits = value.split_once("'h").unwrap_or_else(|| panic!("no constant: {value}")).1;
        usize::from_str_radix(digits, 16).unwrap()
    })
}

const SEGMENTS: [usize; 3] = [1, 2, 4];

fn model_parts() -> [usize; 3] {
    SEGMENTS.map(|segments| Geometry { segments, ..Geometry::ALL[0] }.chain_parts())
}

#[test]
fn parts_of_a_chain_are_equal_for_one_two_and_four_segments() {
    let parts = elaborated_parts(&package(), SEGMENTS);
    assert_eq!(parts, model_parts());
    assert_eq!(parts, [2, 1, 1]);
}

#[test]
fn wrong_parts_of_a_chain_are_found() {
    let wrong = package().replace("(2 * SegmentLanes * segments) : 1", "(2 * SegmentLanes * segments) : 2");
    assert_ne!(wrong, package());
    assert_ne!(elaborated_parts(&wrong, SEGMENTS), model_parts());
}

// ---- geometries ----

/// Rows and segments that the lint script goes through.
fn linted(script: &str) -> BTreeSet<(usize, usize)> {
    let line = script.lines().find_map(|line| line.strip_prefix("for geometry in ")?.split_once(';'));
    let (list, _) = line.expect("the script loops over geometries");
    let pairs = list.split_whitespace().map(|pair| pair.split_once(',').expect("ROWS,SEGMENTS"));
    pairs.map(|(rows, segments)| (rows.parse().unwrap(), segments.parse().unwrap())).collect()
}

fn not_linted(script: &str) -> Vec<&'static str> {
    let linted = linted(script);
    Geometry::ALL.iter().filter(|g| !linted.contains(&(g.rows, g.segments))).map(|g| g.name).collect()
}

#[test]
fn every_geometry_is_linted() {
    let script = text(&project().join("rtl/lint.sh"));
    assert_eq!(not_linted(&script), Vec::<&str>::new());
    // The widest output group has four segments; no device is that big.
    assert!(linted(&script).iter().any(|(_, segments)| *segments == 4));
}

#[test]
fn geometry_that_is_not_linted_is_found() {
    let script = text(&project().join("rtl/lint.sh"));
    assert_eq!(not_linted(&script.replace("8,2 3,1", "8,2 3,2")), ["slim"]);
}
