// SPDX-License-Identifier: Apache-2.0
//! Reads Verilator's elaborated syntax tree (`--json-only`): which registers exist, and which packed structs.
//!
//! A register is a target of a non-blocking assignment, whatever its name.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::error::{Result, VerilateError};

/// A register or memory of the elaborated design.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Path below the top module.
    pub path: String,
    /// Bits of an element.
    pub width: u32,
    /// Elements of an unpacked array, else 1.
    pub elements: usize,
    /// C++ expression below the root object.
    pub expression: String,
}

/// A packed struct of a package: fields from the most significant bit down, with widths.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PackedStruct {
    /// Name without its package.
    pub name: String,
    /// (name, bits).
    pub fields: Vec<(String, u32)>,
}

/// The parsed tree.
pub struct Tree {
    name: String,
    root: Value,
}

/// Nodes by their address.
type Index<'a> = HashMap<&'a str, &'a Value>;

impl Tree {
    /// Parses the text of a `.tree.json` file of the device `name`.
    ///
    /// # Errors
    /// [`VerilateError::Tree`] when it is no such file.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let root = serde_json::from_str(text)
            .map_err(|e| VerilateError::Tree { name: name.to_owned(), what: e.to_string() })?;
        Ok(Self { name: name.to_owned(), root })
    }

    fn odd(&self, what: impl Into<String>) -> VerilateError {
        VerilateError::Tree { name: self.name.clone(), what: what.into() }
    }

    fn index(&self) -> Index<'_> {
        fn walk<'a>(node: &'a Value, index: &mut Index<'a>) {
            match node {
                Value::Object(map) => {
                    if let Some(addr) = map.get("addr").and_then(Value::as_str) {
                        index.insert(addr, node);
                    }
                    map.values().filter(|v| v.is_array()).for_each(|v| walk(v, index));
                }
                Value::Array(list) => list.iter().for_each(|v| walk(v, index)),
                _ => {}
            }
        }
        let mut index = Index::new();
        walk(&self.root, &mut index);
        index
    }

    /// Names of all modules, as written in the source, packages excluded.
    #[must_use]
    pub fn modules(&self) -> BTreeSet<String> {
        let modules = self.root["modulesp"].as_array().into_iter().flatten();
        modules
            .filter(|m| kind(m) == "MODULE")
            .filter_map(|m| m["origName"].as_str())
            .map(str::to_owned)
            .collect()
    }

    /// All registers, in the order of the elaborated hierarchy. `no_inline`: modules with a C++ class of their own.
    ///
    /// # Errors
    /// [`VerilateError::Tree`] when the tree has an unknown shape.
    pub fn registers(&self, top: &str, no_inline: &[String]) -> Result<Vec<Register>> {
        let index = self.index();
        let modules = self.root["modulesp"].as_array().ok_or_else(|| self.odd("no modules"))?;
        let module = modules
            .iter()
            .find(|m| kind(m) == "MODULE" && m["origName"] == top)
            .ok_or_else(|| self.odd(format!("no module {top}")))?;
        let mut walk = Walk { tree: self, index, no_inline, registers: Vec::new() };
        walk.module(module, "", &format!("{top}__DOT__"), "")?;
        Ok(walk.registers)
    }

    /// Packed structs that live in packages.
    ///
    /// # Errors
    /// [`VerilateError::Tree`] when the tree has an unknown shape.
    pub fn packed_structs(&self) -> Result<Vec<PackedStruct>> {
        let index = self.index();
        let mut found = Vec::new();
        for node in index.values().filter(|n| kind(n) == "STRUCTDTYPE") {
            let Some((_, name)) = node["name"].as_str().and_then(|n| n.split_once("::")) else { continue };
            let mut fields = Vec::new();
            for member in node["membersp"].as_array().into_iter().flatten() {
                let (width, _) = self.width(member, &index)?;
                fields.push((text(member, "name").to_owned(), width));
            }
            found.push(PackedStruct { name: name.to_owned(), fields });
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found.dedup();
        Ok(found)
    }

    /// (bits of an element, elements) of a node's data type.
    fn width(&self, node: &Value, index: &Index<'_>) -> Result<(u32, usize)> {
        let dtype = index.get(text(node, "dtypep")).ok_or_else(|| self.odd("a data type is missing"))?;
        self.dtype_width(dtype, index)
    }

    fn dtype_width(&self, dtype: &Value, index: &Index<'_>) -> Result<(u32, usize)> {
        let refers = || {
            index
                .get(text(dtype, "refDTypep"))
                .ok_or_else(|| self.odd("a data type refers to nothing"))
                .and_then(|d| self.dtype_width(d, index))
        };
        match kind(dtype) {
            "BASICDTYPE" => match dtype.get("range").and_then(Value::as_str) {
                Some(range) => Ok((range_size(range).ok_or_else(|| self.odd(format!("range {range}")))?, 1)),
                None if matches!(text(dtype, "keyword"), "logic" | "bit") => Ok((1, 1)),
                None => Ok((32, 1)),
            },
            "REFDTYPE" | "ENUMDTYPE" | "MEMBERDTYPE" => refers(),
            "PACKARRAYDTYPE" | "UNPACKARRAYDTYPE" => {
                let (width, elements) = refers()?;
                let range = text(dtype, "declRange");
                let size = range_size(range).ok_or_else(|| self.odd(format!("range {range}")))?;
                if kind(dtype) == "PACKARRAYDTYPE" {
                    Ok((width * size, elements))
                } else {
                    Ok((
                        width,
                        elements * usize::try_from(size).expect("an array of fewer than 2^32 elements"),
                    ))
                }
            }
            "STRUCTDTYPE" => {
                let mut width = 0;
                for member in dtype["membersp"].as_array().into_iter().flatten() {
                    width += self.width(member, index)?.0;
                }
                Ok((width, 1))
            }
            other => Err(self.odd(format!("data type {other}"))),
        }
    }
}

struct Walk<'a> {
    tree: &'a Tree,
    index: Index<'a>,
    no_inline: &'a [String],
    registers: Vec<Register>,
}

impl<'a> Walk<'a> {
    /// `path`: hierarchy so far, with a trailing dot. `inlined`: prefix of names in the C++ class that `object` reaches.
    fn module(&mut self, module: &'a Value, path: &str, inlined: &str, object: &str) -> Result<()> {
        let mut targets = BTreeSet::new();
        collect_targets(module, false, &mut targets);
        self.scope(&module["stmtsp"], &targets, path, inlined, object)
    }

    fn scope(
        &mut self,
        items: &'a Value,
        targets: &BTreeSet<&'a str>,
        path: &str,
        inlined: &str,
        object: &str,
    ) -> Result<()> {
        for item in items.as_array().into_iter().flatten() {
            let name = text(item, "name");
            match kind(item) {
                "VAR" if targets.contains(text(item, "addr")) => {
                    let (width, elements) = self.tree.width(item, &self.index)?;
                    self.registers.push(Register {
                        path: format!("{path}{name}"),
                        width,
                        elements,
                        expression: format!("{object}{inlined}{}", mangle(name)),
                    });
                }
                // The unnamed outer block of a generate loop repeats the name of its iterations.
                "GENBLOCK" if item.get("implied") == Some(&Value::Bool(true)) => {
                    self.scope(&item["itemsp"], targets, path, inlined, object)?;
                }
                "GENBLOCK" => {
                    let inlined = format!("{inlined}{}__DOT__", mangle(name));
                    self.scope(&item["itemsp"], targets, &format!("{path}{name}."), &inlined, object)?;
                }
                "CELL" => {
                    let module = self.index.get(text(item, "modp")).copied();
                    let module =
                        module.ok_or_else(|| self.tree.odd(format!("instance {name} of nothing")))?;
                    let path = format!("{path}{name}.");
                    if self.no_inline.iter().any(|m| module["origName"] == m.as_str()) {
                        let object = format!("{object}__PVT__{inlined}{}->", mangle(name));
                        self.module(module, &path, "", &object)?;
                    } else {
                        let inlined = format!("{inlined}{}__DOT__", mangle(name));
                        self.module(module, &path, &inlined, object)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Variables on the left of non-blocking assignments below `node`.
fn collect_targets<'a>(node: &'a Value, left: bool, targets: &mut BTreeSet<&'a str>) {
    match node {
        Value::Object(map) => {
            if left && kind(node) == "VARREF" && map.get("access").and_then(Value::as_str) == Some("WR") {
                targets.insert(text(node, "varp"));
            }
            let delayed = kind(node) == "ASSIGNDLY";
            for (key, child) in map {
                let left = if delayed { key == "lhsp" } else { left };
                if child.is_array() {
                    collect_targets(child, left, targets);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|n| collect_targets(n, left, targets)),
        _ => {}
    }
}

fn kind(node: &Value) -> &str {
    text(node, "type")
}

fn text<'a>(node: &'a Value, key: &str) -> &'a str {
    node.get(key).and_then(Value::as_str).unwrap_or("")
}

/// Elements of `[a:b]` or `a:b`.
fn range_size(range: &str) -> Option<u32> {
    let (a, b) = range.trim_matches(['[', ']']).split_once(':')?;
    let (a, b): (u32, u32) = (a.parse().ok()?, b.parse().ok()?);
    Some(a.abs_diff(b) + 1)
}

/// A name as Verilator spells it in C++.
fn mangle(name: &str) -> String {
    name.replace('[', "__BRA__").replace(']', "__KET__")
}
