// SPDX-License-Identifier: Apache-2.0
//! From a SystemVerilog top to a compiled device under test.
//!
//! [`build`] runs Verilator, reads from its own syntax tree which registers exist, ties them to the registers that the
//! model lists, writes the accessor code and compiles everything. The build script uses it for the shipped tops,
//! tests and users for any other (`docs/adding-a-block.md`).

mod compile;
mod error;
mod find;
mod slot;
mod tools;
mod tree;
mod wrapper;

pub use compile::{Archive, Kind, build, runtime};
pub use error::VerilateError;
pub use find::{PINNED_VERSION, Verilator};
pub use tools::side_by_side;
pub use tree::{PackedStruct, Register, Tree};

use std::path::{Path, PathBuf};

use tandem_model::block::Block;
use tandem_model::devices::{Device, WithModel};
use tandem_model::image::{Field, Fields, fields};

/// A top module and what lockstep needs to see of it.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name of the device: letters, digits, underscores. Unique in a program.
    pub name: String,
    /// Top module.
    pub top: String,
    /// SystemVerilog and Verilator configuration files, packages first.
    pub sources: Vec<PathBuf>,
    /// Folders in which modules and headers are found by name.
    pub include_dirs: Vec<PathBuf>,
    /// Parameters of the top.
    pub parameters: Vec<(String, usize)>,
    /// Modules that keep a C++ class of their own; big repeated ones build and run faster so.
    pub no_inline: Vec<String>,
    /// Input ports but `clk_i` and `rst_ni`, as the model lists them.
    pub inputs: Vec<Field>,
    /// Output ports.
    pub outputs: Vec<Field>,
    /// Registers.
    pub registers: Vec<Field>,
    /// Memories.
    pub memories: Vec<Field>,
    /// Registers of the RTL that the model need not have: (path prefix, reason).
    pub exceptions: Vec<(String, String)>,
}

/// Ports of a block as [`Spec`] wants them.
pub struct Ports {
    /// Input ports.
    pub inputs: Vec<Field>,
    /// Output ports.
    pub outputs: Vec<Field>,
}

impl Ports {
    /// Walks the ports of a model block.
    pub fn of<B: Block>(model: &B) -> Self {
        Self {
            inputs: fields(&mut model.idle_inputs()).registers,
            outputs: fields(&mut model.outputs()).registers,
        }
    }
}

impl Spec {
    /// Everything about a top whose registers and ports `model` lists. `project` holds `rtl/`.
    pub fn of_model<B: Block>(name: &str, top: &str, project: &Path, model: &mut B) -> Self {
        let Ports { inputs, outputs } = Ports::of(model);
        let Fields { registers, memories } = fields(model);
        let rtl = project.join("rtl");
        Self {
            name: name.to_owned(),
            top: top.to_owned(),
            sources: vec![rtl.join("lint.vlt"), rtl.join("tandem_pkg.sv")],
            include_dirs: vec![rtl.join("common")],
            parameters: Vec::new(),
            no_inline: Vec::new(),
            inputs,
            outputs,
            registers,
            memories,
            exceptions: Vec::new(),
        }
    }

    /// A shipped device, from the RTL of `project`.
    #[must_use]
    pub fn of_device(device: Device, project: &Path) -> Self {
        struct Lister<'a>(&'a Path);
        impl WithModel for Lister<'_> {
            type Output = Spec;
            fn run<B: Block>(self, device: Device, mut model: B) -> Spec {
                let mut spec = Spec::of_model(device.name, device.top(), self.0, &mut model);
                let groups = device.kind.groups();
                spec.include_dirs.extend(groups.iter().map(|g| self.0.join("rtl").join(g)));
                spec.sources.push(self.0.join(format!("rtl/{}/{}.sv", groups[0], device.top())));
                spec.parameters = device.parameters().into_iter().map(|(n, v)| (n.to_owned(), v)).collect();
                spec.no_inline = device.no_inline().iter().map(|&m| m.to_owned()).collect();
                spec
            }
        }
        device.with_model(Lister(project))
    }
}
