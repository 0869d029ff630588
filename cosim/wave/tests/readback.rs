// SPDX-License-Identifier: Apache-2.0
//! What stands in the files is what was recorded.

mod common;

use std::path::PathBuf;

use common::{Cycle, Random, Readback, Run, float_add, read};
use tandem_model::array::types::{PeTag, ScaleCode};
use tandem_model::block::{Bits, Block, Uint, Visit, Visitor};
use tandem_model::devices::{Device, WithModel};
use tandem_model::image::{fields, pack};
use tandem_model::numerics::Float36;
use tandem_wave::{Options, Sides};

const DETAIL: Options = Options { sides: Sides::Both, detail: true };

fn both_formats(run: &Run, options: Options) -> [Readback; 2] {
    let folder = tempfile::tempdir().unwrap();
    ["wave.vcd", "wave.fst"].map(|name| {
        let files = run.write(&folder.path().join(name), options);
        let expected = [name, "wave.gtkw", "wave.sucl"].map(|name| folder.path().join(name));
        assert_eq!(files, expected);
        read(&files[0])
    })
}

#[test]
fn float_add_with_a_wrong_register() {
    let run = float_add(0, 200, Some(57..90));
    let [vcd, fst] = both_formats(&run, DETAIL);
    vcd.check(&run, Sides::Both).unwrap();
    fst.check(&run, Sides::Both).unwrap();
    // The bit rises with the first wrong cycle, not around it, and is the only one that does.
    let differs: Vec<_> = vcd.signals.iter().filter(|(name, _)| name.ends_with("_differs")).collect();
    for (name, changes) in differs {
        let expected = if name == "float_add.rtl.aligned_larger_q_differs" {
            vec![(0, "0".to_owned()), (2 * 57, "1".to_owned()), (2 * 90, "0".to_owned())]
        } else {
            vec![(0, "0".to_owned())]
        };
        assert_eq!(*changes, expected, "{name}");
    }
}

#[test]
fn formats_agree_value_for_value() {
    // Windows begin anywhere, whole runs at zero.
    for start in [0, 1_000_000] {
        let [vcd, fst] = both_formats(&float_add(start, 100, Some(start + 5..start + 6)), DETAIL);
        assert_eq!(vcd.signals, fst.signals);
        assert_eq!(vcd.gtkwave, fst.gtkwave);
        assert_eq!(vcd.end, fst.end);
    }
}

/// The checker itself: it must refuse a wave of another run.
#[test]
fn readback_checker_fails_on_a_wrong_wave() {
    let run = float_add(0, 100, Some(57..90));
    let early = both_formats(&float_add(0, 100, Some(56..90)), DETAIL);
    let late = both_formats(&float_add(0, 100, Some(58..90)), DETAIL);
    let short = both_formats(&float_add(0, 99, Some(57..90)), DETAIL);
    for (wave, wrong) in early.iter().map(|w| (w, "112")).chain(late.iter().map(|w| (w, "114"))) {
        let error = wave.check(&run, Sides::Both).unwrap_err();
        assert!(error.contains("float_add.rtl.aligned_larger_q at ") && error.contains(wrong), "{error}");
    }
    assert!(short.iter().all(|wave| wave.check(&run, Sides::Both).is_err()));
    let [vcd, _] = both_formats(&run, Options { sides: Sides::Rtl, detail: false });
    assert!(vcd.check(&run, Sides::Both).unwrap_err().contains("no signal"));
}

#[test]
fn one_side_alone() {
    let run = float_add(3, 50, Some(20..30));
    for (sides, present, absent) in [(Sides::Rtl, "", "_model"), (Sides::Model, "_model", "")] {
        for wave in both_formats(&run, Options { sides, detail: true }) {
            wave.check(&run, sides).unwrap();
            let name = |suffix| format!("float_add.rtl.summed_q{suffix}");
            assert!(wave.signals.contains_key(&name(present)));
            assert!(!wave.signals.contains_key(&name(absent)));
            assert!(!wave.signals.keys().any(|name| name.contains("differs") || name.contains("mismatch")));
        }
    }
}

#[test]
fn decoded_parts_follow_their_register() {
    let run = float_add(0, 100, None);
    let [vcd, _] = both_formats(&run, DETAIL);
    let a = run.inputs.iter().find(|field| field.path == "a_i").unwrap();
    let rounded = run.registers.iter().find(|field| field.path == "rounded_q").unwrap();
    for cycle in &run.cycles {
        let word = |bits: Vec<bool>| bits.iter().rev().fold(0, |w, &b| w << 1 | u64::from(b));
        let operand = Float36::canonical(word(a.element(&cycle.inputs, 0)));
        assert_eq!(
            vcd.at("float_add.a_i_real", 2 * cycle.number).unwrap(),
            format!("{:e}", operand.to_f64())
        );
        let bits = word(rounded.element(&cycle.model, 0));
        let value = format!("{:e}", Float36::canonical(bits).to_f64());
        assert_eq!(vcd.at("float_add.rtl.rounded_q.value_real_model", 2 * cycle.number).unwrap(), value);
        let saturated = format!("{}", bits >> Float36::WIDTH);
        assert_eq!(vcd.at("float_add.rtl.rounded_q.saturated", 2 * cycle.number).unwrap(), saturated);
    }
    let [plain, _] = both_formats(&run, Options { sides: Sides::Both, detail: false });
    assert!(!plain.signals.keys().any(|name| name.contains("_real") || name.contains("rounded_q.")));
    plain.check(&run, Sides::Both).unwrap();
}

/// Every shape of register there is.
#[derive(Default)]
struct Shapes {
    tags: [PeTag; 3],
    valid: [bool; 4],
    sums: [Float36; 3],
    scales: [ScaleCode; 20],
    lanes: [[Uint<5>; 3]; 1],
}

impl Visit for Shapes {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("gen_row", Some(2));
        v.enter("u_line", None);
        v.array("stage_q", &mut self.tags);
        v.array("valid_q", &mut self.valid);
        v.leave();
        v.packed("flags_q", &mut self.valid);
        v.leave();
        v.packed("acc_q", &mut self.sums);
        v.array("scale_q", &mut self.scales);
        v.packed("lane_q", &mut self.lanes[0]);
    }
}

fn shapes(seed: u64) -> Run {
    let mut random = Random(seed);
    let cycles = (0..60).map(|number| {
        let mut images = [vec![], vec![]];
        let mut shapes = Shapes::default();
        for image in &mut images {
            // Few enough values that sides agree now and then.
            shapes.tags.fill_with(|| PeTag::from_bits(random.next() % 2));
            shapes.valid.fill_with(|| random.next().is_multiple_of(4));
            shapes.sums.fill_with(|| Float36::canonical((random.next() % 3) << 34));
            shapes
                .scales
                .fill_with(|| ScaleCode::from_bits(if random.next().is_multiple_of(5) { 255 } else { 127 }));
            shapes.lanes[0].fill_with(|| Uint::from_bits(random.next() % 2));
            pack(&mut shapes, image);
        }
        let [rtl, model] = images;
        Cycle { number, rst_ni: true, inputs: vec![], outputs: vec![], rtl, model }
    });
    let registers = fields(&mut Shapes::default()).registers;
    Run { device: "shapes", inputs: vec![], outputs: vec![], registers, cycles: cycles.collect() }
}

#[test]
fn arrays_of_all_shapes() {
    let run = shapes(3);
    let [vcd, fst] = both_formats(&run, DETAIL);
    vcd.check(&run, Sides::Both).unwrap();
    fst.check(&run, Sides::Both).unwrap();
    assert_eq!(vcd.signals, fst.signals);
    for name in [
        "rtl.gen_row[2].u_line.stage_q.[1]",
        "rtl.gen_row[2].u_line.stage_q[1]_model",
        "rtl.gen_row[2].u_line.stage_q[1].load_count",
        "rtl.gen_row[2].u_line.valid_q.[3]",
        "rtl.gen_row[2].u_line.valid_q[3]_differs",
        "rtl.gen_row[2].flags_q.[2]",
        "rtl.acc_q.[2]",
        "rtl.acc_q[2]_real_model",
        "rtl.scale_q[19]_real",
        "rtl.lane_q.[2]",
    ] {
        assert!(vcd.signals.contains_key(&format!("shapes.{name}")), "{name} is missing");
    }
    // Entries of a packed array and the scale's number
    let (acc, scale) = (&run.registers[3], &run.registers[4]);
    assert_eq!((acc.path.as_str(), scale.path.as_str()), ("acc_q", "scale_q"));
    for cycle in &run.cycles {
        let whole = acc.element(&cycle.rtl, 0);
        let entry = vcd.at("shapes.rtl.acc_q.[2]", 2 * cycle.number).unwrap();
        assert_eq!(entry, common::digits(&whole[72..108]));
        let number = if scale.element(&cycle.model, 19)[7] { "NaN" } else { "1e0" };
        assert_eq!(vcd.at("shapes.rtl.scale_q[19]_real_model", 2 * cycle.number).unwrap(), number);
    }
}

/// The models of the array have such registers: a control word without the bit that its place never uses.
#[test]
fn a_register_narrower_than_its_format_has_no_parts() {
    let mut run = float_add(0, 20, Some(5..6));
    assert_eq!(run.registers[1].path, "ordered_larger_q");
    run.registers[1].format = run.registers[0].format;
    for wave in both_formats(&run, DETAIL) {
        wave.check(&run, Sides::Both).unwrap();
        assert!(wave.signals.keys().any(|name| name.contains("ordered_q.")));
        assert!(!wave.signals.keys().any(|name| name.contains("ordered_larger_q.")));
    }
}

/// Three cycles of a device, whatever it is.
struct Record;

impl WithModel for Record {
    type Output = Run;

    fn run<B: Block>(self, device: Device, mut model: B) -> Run {
        let mut inputs = model.idle_inputs();
        let registers = fields(&mut model).registers;
        let (input_fields, output_fields) =
            (fields(&mut inputs).registers, fields(&mut model.outputs()).registers);
        let cycles = (0..3).map(|number| {
            let mut images = [vec![], vec![], vec![]];
            pack(&mut inputs, &mut images[0]);
            pack(&mut model.outputs(), &mut images[1]);
            pack(&mut model, &mut images[2]);
            model.clock(&inputs);
            let [inputs, outputs, rtl] = images;
            Cycle { number, rst_ni: true, inputs, outputs, model: rtl.clone(), rtl }
        });
        let cycles = cycles.collect();
        Run { device: device.name, inputs: input_fields, outputs: output_fields, registers, cycles }
    }
}

#[test]
fn every_device_can_be_recorded() {
    for device in Device::ALL {
        let run = device.with_model(Record);
        for wave in both_formats(&run, DETAIL) {
            wave.check(&run, Sides::Both).unwrap();
        }
    }
}

#[test]
fn same_run_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let run = float_add(0, 50, Some(10..20));
    for name in ["wave.vcd", "wave.fst"] {
        let path = folder.path().join(name);
        let bytes = || {
            let files: Vec<PathBuf> = run.write(&path, DETAIL);
            files.iter().map(|file| std::fs::read(file).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(bytes(), bytes());
    }
}
