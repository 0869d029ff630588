// SPDX-License-Identifier: Apache-2.0
//! Accessor code: the C++ class that drives one verilated top and copies its registers into flat images.

use std::fmt::Write;

use tandem_model::image::{Field, element_bytes};

use crate::Spec;
use crate::error::{Result, VerilateError};
use crate::tree::Register;

/// Pairs every field with its register, both ways.
///
/// # Errors
/// [`VerilateError::Registers`] with one line per register that is missing, extra or of another shape.
pub(crate) fn tie<'a>(spec: &'a Spec, rtl: &'a [Register]) -> Result<Vec<(&'a Field, &'a Register)>> {
    let by_path: std::collections::HashMap<_, _> = rtl.iter().map(|r| (r.path.as_str(), r)).collect();
    let mut tied = Vec::new();
    let mut list = String::new();
    let mut known = std::collections::HashSet::new();
    for field in spec.registers.iter().chain(&spec.memories) {
        known.insert(field.path.as_str());
        match by_path.get(field.path.as_str()) {
            None => writeln!(list, "  {}: in the model, not in the RTL", field.path),
            Some(r) if (r.width, r.elements) != (field.width, field.elements) => writeln!(
                list,
                "  {}: {} bits x {} in the model, {} bits x {} in the RTL",
                field.path, field.width, field.elements, r.width, r.elements
            ),
            Some(r) => {
                tied.push((field, *r));
                Ok(())
            }
        }
        .expect("writing to a string");
    }
    let excused = |path: &str| spec.exceptions.iter().any(|(prefix, _)| path.starts_with(prefix.as_str()));
    for register in rtl.iter().filter(|r| !known.contains(r.path.as_str()) && !excused(&r.path)) {
        writeln!(list, "  {}: in the RTL, not in the model", register.path).expect("writing to a string");
    }
    if list.is_empty() {
        Ok(tied)
    } else {
        Err(VerilateError::Registers { name: spec.name.clone(), list: list.trim_end().to_owned() })
    }
}

/// The C++ source of the device.
pub(crate) fn source(spec: &Spec, tied: &[(&Field, &Register)]) -> String {
    let name = &spec.name;
    let copies = |memory: bool| {
        tied.iter().filter(|(f, _)| f.memory == memory).fold(String::new(), |mut out, (field, register)| {
            let _ = writeln!(
                out,
                "    copy<{}>(image + {}, root.{});",
                field.bytes(),
                field.offset,
                register.expression
            );
            out
        })
    };
    let memories = tied.iter().filter(|(f, _)| f.memory);
    let toggles = memories.enumerate().fold(String::new(), |mut out, (number, (field, register))| {
        let (size, memory) = (element_bytes(field.width), &register.expression);
        let _ = writeln!(out, "      case {number}: return toggle<{size}>(root.{memory}, entry, bit);");
        out
    });
    let ports = |fields: &[Field], to_top: bool| {
        fields.iter().fold(String::new(), |mut out, field| {
            let (port, offset, bytes) = (&field.path, field.offset, field.bytes());
            let _ = if to_top {
                writeln!(out, "    fill<{bytes}>(top_.{port}, image + {offset});")
            } else {
                writeln!(out, "    copy<{bytes}>(image + {offset}, top_.{port});")
            };
            out
        })
    };
    let bytes = |fields: &[Field]| fields.iter().map(Field::bytes).sum::<usize>();
    format!(
        r#"// Generated. The registers come from Verilator's syntax tree, the order from the model.
#include "dut_base.h"
#include "V{name}.h"
#include "V{name}___024root.h"
{submodules}
namespace {{

using tandem::copy;
using tandem::fill;
using tandem::toggle;

class Device final : public tandem::VerilatedDut<V{name}> {{
 public:
  explicit Device(std::uint64_t seed) : VerilatedDut(seed) {{}}

  Sizes sizes() const override {{ return {{{inputs}, {outputs}, {registers}, {memories}}}; }}

  void drive(const std::uint8_t* image) override {{
    (void)image;
{drive}  }}

  void read_outputs(std::uint8_t* image) override {{
    (void)image;
{read}  }}

  void read_registers(std::uint8_t* image) override {{
    auto& root = *top_.rootp;
    (void)root, (void)image;
{copy_registers}  }}

  void read_memories(std::uint8_t* image) override {{
    auto& root = *top_.rootp;
    (void)root, (void)image;
{copy_memories}  }}

  void flip(std::size_t memory, std::size_t entry, std::uint32_t bit) override {{
    auto& root = *top_.rootp;
    (void)root, (void)entry, (void)bit;
    switch (memory) {{
{toggles}      default: throw std::out_of_range("there is no such memory");
    }}
  }}
}};

}}  // namespace

extern "C" tandem::Dut* tandem_dut_{name}(std::uint64_t seed) {{ return new Device(seed); }}
"#,
        submodules = "@SUBMODULES@",
        inputs = bytes(&spec.inputs),
        outputs = bytes(&spec.outputs),
        registers = bytes(&spec.registers),
        memories = bytes(&spec.memories),
        drive = ports(&spec.inputs, true),
        read = ports(&spec.outputs, false),
        copy_registers = copies(false),
        copy_memories = copies(true),
    )
}
