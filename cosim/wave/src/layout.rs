// SPDX-License-Identifier: Apache-2.0
//! What the viewers open beside a waveform: a save file for GTKWave and a command file for Surfer.

use std::path::Path;

use crate::plan::{Kind, Plan, Var, VarId};

/// Elements listed in a layout. A broken reset makes everything differ, and viewers choke on ten thousand rows.
const MOST_ELEMENTS: usize = 100;
/// Decoded parts listed per element.
const MOST_LEAVES: usize = 16;

// Flags of a trace in a save file, as its `@` lines spell them.
const BINARY: &str = "@28";
const HEXADECIMAL: &str = "@22";
const DECIMAL: &str = "@24";
const COMMENT: &str = "@200";

/// A heading with the variables below it.
pub struct Group {
    /// The heading.
    pub title: String,
    /// The variables.
    pub vars: Vec<VarId>,
}

/// What to show, and where to look first.
pub struct Layout {
    /// From top to bottom.
    pub groups: Vec<Group>,
    /// First time in the file.
    pub start: u64,
    /// Time of the first difference.
    pub mark: Option<u64>,
    /// The `cycle` counter, which reads best in decimal.
    pub cycle: VarId,
}

/// One element for a layout: its own variables, then its parts.
pub struct Entry {
    /// Both sides, and the bit that tells whether they differ.
    pub own: Vec<VarId>,
    /// Parts with a meaning of their own.
    pub parts: Vec<VarId>,
}

impl Group {
    /// A group of elements, cut to a size that viewers bear.
    pub fn new(title: &str, entries: Vec<Entry>) -> Self {
        let left_out = entries.len().saturating_sub(MOST_ELEMENTS);
        let title = match left_out {
            0 => title.to_owned(),
            _ => format!("{title} ({left_out} more are in the file)"),
        };
        let vars = entries.into_iter().take(MOST_ELEMENTS).flat_map(|entry| {
            let parts = entry.parts.into_iter().take(MOST_LEAVES);
            entry.own.into_iter().chain(parts)
        });
        Self { title, vars: vars.collect() }
    }
}

impl Layout {
    /// The save file for GTKWave.
    #[must_use]
    pub fn gtkwave(&self, wave: &Path, plan: &Plan) -> String {
        let mut lines = vec![
            "[*] Written by tandem-wave. Open with: gtkwave <this file>".to_owned(),
            format!("[dumpfile] \"{}\"", wave.display()),
            format!("[timestart] {}", self.start),
            "[size] 1600 900".to_owned(),
            "[pos] -1 -1".to_owned(),
        ];
        // Zoom, the marker, and 26 named markers that are not set.
        let mark = self.mark.map_or_else(|| "-1".to_owned(), |mark| mark.to_string());
        lines.push(format!("*-2.000000 {mark}{}", " -1".repeat(26)));
        for group in &self.groups {
            lines.extend([COMMENT.to_owned(), format!("-{}", group.title)]);
            for &id in &group.vars {
                let var = plan.get(id);
                let flags = match var.kind {
                    _ if id == self.cycle => DECIMAL,
                    Kind::Bits(1) => BINARY,
                    Kind::Bits(_) | Kind::Real => HEXADECIMAL,
                };
                lines.extend([flags.to_owned(), gtkwave_name(plan, var)]);
            }
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// The command file for Surfer. Its state files change with every release; its commands do not.
    #[must_use]
    pub fn surfer(&self, wave: &Path, plan: &Plan) -> String {
        let mut lines = vec![
            "# Written by tandem-wave. Open with: surfer --command-file <this file>".to_owned(),
            format!("load_file {}", wave.display()),
        ];
        for group in &self.groups {
            // A divider's name is a single word.
            lines.push(format!("divider_add {}", group.title.replace(' ', "_")));
            lines.extend(
                group.vars.iter().map(|&id| format!("variable_add {}", surfer_name(plan, plan.get(id)))),
            );
        }
        // Last, so that a release without these commands still shows everything.
        lines.push(self.mark.map_or_else(|| "zoom_fit".to_owned(), |mark| format!("cursor_set {mark}")));
        lines.push(String::new());
        lines.join("\n")
    }
}

/// GTKWave takes the range of a vector for a part of its name, a single bit's as its index.
fn gtkwave_name(plan: &Plan, var: &Var) -> String {
    let path = format!("{}.{}", plan.scope_path(var.scope), var.name);
    match var.highest_bit() {
        None => path,
        Some(0) => format!("{path}[0]"),
        Some(highest) => format!("{path}[{highest}:0]"),
    }
}

/// Surfer makes a scope of an array: `stage_q[3]` is `[3]` in `stage_q`.
fn surfer_name(plan: &Plan, var: &Var) -> String {
    let name = if var.name.ends_with(']') { var.name.replace('[', ".[") } else { var.name.clone() };
    format!("{}.{name}", plan.scope_path(var.scope))
}
