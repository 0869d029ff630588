// SPDX-License-Identifier: Apache-2.0
//! Verilates and compiles every device and the bridge. Archives are kept in `target/verilated/` by the hash of all
//! that went in, shared by all profiles; the hash is in the folder's name, so a stale archive is never linked.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::exit;

use tandem_model::devices::Device;
use tandem_verilate::{Archive, Kind, Spec, Verilator, build, runtime, side_by_side};

fn main() {
    let project = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    for path in ["build.rs", "rtl", "cosim/cpp", "cosim/bridge.rs", ".tools/venv/pyvenv.cfg"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=VERILATOR_ROOT");
    println!("cargo:rerun-if-env-changed={DEVICES}");
    let built = wanted().and_then(|devices| run(&project, &devices).map_err(|e| e.to_string()));
    if let Err(message) = built {
        eprintln!("\n{message}\n");
        exit(1);
    }
}

/// Environment variable: names of the only devices to be linked, with commas between them. All when it is not set.
const DEVICES: &str = "TANDEM_DEVICES";

fn wanted() -> Result<Vec<Device>, String> {
    let Ok(names) = std::env::var(DEVICES) else { return Ok(Device::ALL.to_vec()) };
    let device = |name| {
        Device::by_name(name).ok_or_else(|| format!("{DEVICES}: expected names of devices, found `{name}`"))
    };
    names.split(',').map(device).collect()
}

fn run(project: &Path, devices: &[Device]) -> Result<(), tandem_verilate::VerilateError> {
    let cpp = project.join("cosim/cpp");
    let cache = project.join("target/verilated");
    let verilator = Verilator::find(project)?;

    let runtime = runtime(&verilator, &cpp, &cache)?;
    // Two at a time: Verilator works on one thread, the compilers on all.
    let built = side_by_side(2, devices, |&device| {
        let spec = Spec::of_device(device, project);
        Ok((device.name, build(&spec, &verilator, &cpp, &cache, Kind::Static)?))
    })?;

    let out = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let registry = out.join("registry.cpp");
    std::fs::write(&registry, registry_source(devices)).expect("OUT_DIR is writable");
    cxx_build::bridge("cosim/bridge.rs")
        .file("cosim/cpp/bridge.cpp")
        .file(&registry)
        .include(&cpp)
        .std("c++17")
        .opt_level(2)
        .compile("tandem_bridge");

    // Link order: bridge, devices, runtime.
    for (name, archive) in &built {
        link(archive, &format!("tandem_{name}"));
    }
    link(&runtime, "tandem_verilated");
    println!("cargo:rustc-link-lib=dl");
    println!("cargo:rustc-env=TANDEM_BUILD_TIMES={}", times(&built, &runtime));
    println!("cargo:rustc-env=TANDEM_TREES={}", trees(&built));
    Ok(())
}

fn link(archive: &Archive, name: &str) {
    let dir = archive.library.parent().expect("an archive lies in a folder");
    println!("cargo:rustc-link-search=native={}", dir.display());
    println!("cargo:rustc-link-lib=static={name}");
}

/// Factories by name.
fn registry_source(devices: &[Device]) -> String {
    let mut text = "// Generated.\n#include <string>\n#include \"dut.h\"\n".to_owned();
    for device in devices {
        let _ = writeln!(text, "extern \"C\" tandem::Dut* tandem_dut_{}(std::uint64_t seed);", device.name);
    }
    text.push_str("namespace tandem {\nDutFactory linked_factory(const std::string& name) {\n");
    for device in devices {
        let _ = writeln!(text, "  if (name == \"{0}\") return tandem_dut_{0};", device.name);
    }
    text.push_str("  return nullptr;\n}\n}  // namespace tandem\n");
    text
}

/// `name=verilate+compile` seconds, for `tandem bench`.
fn times(built: &[(&str, Archive)], runtime: &Archive) -> String {
    let devices = built.iter().map(|(name, a)| (*name, a));
    let all = devices.chain([("runtime", runtime)]);
    let entry =
        |(name, a): (&str, &Archive)| format!("{name}={:.1}+{:.1}", a.timing.verilate, a.timing.compile);
    all.map(entry).collect::<Vec<_>>().join(",")
}

/// `name=path` of every device's syntax tree, for the tests that read registers and structs from it.
fn trees(built: &[(&str, Archive)]) -> String {
    built.iter().map(|(name, a)| format!("{name}={}", a.tree.display())).collect::<Vec<_>>().join(",")
}
