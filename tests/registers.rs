// SPDX-License-Identifier: Apache-2.0
//! Nothing in the RTL escapes lockstep: every register of every device is one that the model lists, and every module
//! is part of a device.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::{files, project, tree};
use tandem_model::block::Block;
use tandem_model::devices::{Device, WithModel};
use tandem_model::image::{Field, Fields, fields};
use tandem_verilate::{Kind, Register, Spec, VerilateError, Verilator};

fn rtl_registers(device: Device) -> Vec<Register> {
    let no_inline: Vec<_> = device.no_inline().iter().map(|&m| m.to_owned()).collect();
    tree(device).registers(device.top(), &no_inline).unwrap()
}

fn model_fields(device: Device) -> Fields {
    struct Lister;
    impl WithModel for Lister {
        type Output = Fields;
        fn run<B: Block>(self, _: Device, mut model: B) -> Fields {
            fields(&mut model)
        }
    }
    device.with_model(Lister)
}

/// (bits, elements) by path. Twice the same path is a finding, too.
type Shapes = BTreeMap<String, (u32, usize)>;

fn shapes(of: impl Iterator<Item = (String, u32, usize)>) -> Shapes {
    let mut found = Shapes::new();
    for (path, width, elements) in of {
        assert!(found.insert(path.clone(), (width, elements)).is_none(), "{path} stands twice");
    }
    found
}

/// What one side has and the other has not, or has in another shape. Written without the engine's own check.
fn differences(rtl: &[Register], model: &Fields) -> Vec<String> {
    let rtl = shapes(rtl.iter().map(|r| (r.path.clone(), r.width, r.elements)));
    let fields = model.registers.iter().chain(&model.memories);
    let model = shapes(fields.map(|f| (f.path.clone(), f.width, f.elements)));
    let paths: BTreeSet<_> = rtl.keys().chain(model.keys()).collect();
    let differing = paths.into_iter().filter(|path| rtl.get(*path) != model.get(*path));
    differing
        .map(|path| format!("{path}: {:?} in the RTL, {:?} in the model", rtl.get(path), model.get(path)))
        .collect()
}

fn misnamed(registers: &[Register]) -> Vec<&str> {
    registers.iter().map(|r| r.path.as_str()).filter(|path| !path.ends_with("_q")).collect()
}

#[test]
fn registers_of_every_device_are_those_of_its_model() {
    for device in Device::ALL {
        let (rtl, model) = (rtl_registers(device), model_fields(device));
        assert_eq!(differences(&rtl, &model), Vec::<String>::new(), "{}", device.name);
        assert!(!rtl.is_empty());
    }
}

#[test]
fn memories_are_in_the_lists() {
    let without = ["float", "normaliser", "framer", "csr", "counters", "stream"];
    for device in Device::ALL {
        let memories = model_fields(device).memories;
        assert_eq!(memories.is_empty(), without.contains(&device.kind.name()), "{}", device.name);
    }
}

#[test]
fn missing_extra_or_reshaped_register_is_found() {
    let device = Device::by_name("segment_edge_slim").unwrap();
    let (rtl, model) = (rtl_registers(device), model_fields(device));
    let found = |change: &dyn Fn(&mut Fields)| {
        let mut model = model.clone();
        change(&mut model);
        differences(&rtl, &model)
    };
    let cases: [&dyn Fn(&mut Fields); 5] = [
        &|f| drop(f.registers.remove(0)),
        &|f| drop(f.memories.pop()),
        &|f| f.registers[0].width += 1,
        &|f| f.memories[0].elements -= 1,
        &|f| f.registers[0].path = "u_other.value_q".to_owned(),
    ];
    for (i, (case, count)) in cases.into_iter().zip([1, 1, 1, 1, 2]).enumerate() {
        assert_eq!(found(case).len(), count, "case {i}");
    }
}

#[test]
fn every_register_is_named_q() {
    for device in Device::ALL {
        assert_eq!(misnamed(&rtl_registers(device)), Vec::<&str>::new(), "{}", device.name);
    }
}

/// The tree finds registers by what they are, so a badly named one is seen.
#[test]
fn register_of_another_name_is_found() {
    let mut registers = rtl_registers(Device::ALL[0]);
    registers[0].path = "ordered".to_owned();
    assert_eq!(misnamed(&registers), ["ordered"]);
}

/// What the build says to a list of registers that is not the RTL's. It stops before the C++ compiler.
fn refusal(change: impl Fn(&mut Vec<Field>)) -> Option<String> {
    let mut spec = Spec::of_device(Device::ALL[0], project());
    change(&mut spec.registers);
    let verilator = Verilator::find(project()).unwrap();
    let (cpp, cache) = (project().join("cosim/cpp"), project().join("target/verilated"));
    match tandem_verilate::build(&spec, &verilator, &cpp, &cache, Kind::Static) {
        Ok(_) => None,
        Err(e @ VerilateError::Registers { .. }) => Some(e.to_string()),
        Err(e) => panic!("{e}"),
    }
}

#[test]
fn build_takes_the_list_of_the_model() {
    assert_eq!(refusal(|_| {}), None);
}

#[test]
fn build_refuses_a_register_that_the_model_lacks() {
    let refusal = refusal(|list| list.retain(|f| f.path != "summed_q")).unwrap();
    assert!(refusal.contains("  summed_q: in the RTL, not in the model"), "{refusal}");
    assert!(refusal.contains("float_add") && refusal.contains("Give the model's `visit`"), "{refusal}");
    assert!(!refusal.contains("rounded_q"), "{refusal}");
}

#[test]
fn build_refuses_a_register_that_the_rtl_lacks() {
    let more = |list: &mut Vec<Field>| list.push(Field { path: "more_q".to_owned(), ..list[0].clone() });
    let refusal = refusal(more).unwrap();
    assert!(refusal.contains("  more_q: in the model, not in the RTL"), "{refusal}");
}

#[test]
fn build_refuses_a_register_of_another_shape() {
    let at = |list: &[Field]| list.iter().position(|f| f.path == "summed_q").unwrap();
    let wide = refusal(|list| {
        let at = at(list);
        list[at].width += 1;
    });
    let wide = wide.unwrap();
    assert!(wide.contains("  summed_q: 47 bits x 1 in the model, 46 bits x 1 in the RTL"), "{wide}");
    let long = refusal(|list| {
        let at = at(list);
        list[at].elements = 2;
    });
    let long = long.unwrap();
    assert!(long.contains("  summed_q: 46 bits x 2 in the model, 46 bits x 1 in the RTL"), "{long}");
}

/// Modules that the files of a folder declare.
fn declared(rtl: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, bytes) in files(rtl) {
        if path.extension().is_some_and(|x| x == "sv") {
            let text = String::from_utf8(bytes).unwrap();
            let modules = text.lines().filter_map(|line| line.strip_prefix("module "));
            let word =
                |rest: &str| rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(str::to_owned);
            names.extend(modules.filter_map(word));
        }
    }
    names
}

/// Modules of which these devices have no instance.
fn unclocked(devices: &[Device]) -> Vec<String> {
    let used: BTreeSet<_> = devices.iter().flat_map(|&device| tree(device).modules()).collect();
    declared(&project().join("rtl")).difference(&used).cloned().collect()
}

#[test]
fn every_module_is_part_of_a_device() {
    assert_eq!(unclocked(&Device::ALL), Vec::<String>::new());
    // One module to a file, save the package.
    let sources = files(&project().join("rtl")).into_keys();
    let stems = sources.filter(|p| p.extension().is_some_and(|x| x == "sv"));
    let mut stems: BTreeSet<_> =
        stems.map(|p| p.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert!(stems.remove("tandem_pkg"));
    assert_eq!(declared(&project().join("rtl")), stems);
}

#[test]
fn module_that_no_device_has_is_found() {
    let found = unclocked(&Device::ALL[..3]);
    assert!(found.contains(&"pe".to_owned()) && found.contains(&"systolic_array".to_owned()), "{found:?}");
    assert!(!found.contains(&"float_add".to_owned()), "{found:?}");
}
