// SPDX-License-Identifier: Apache-2.0
//! Documentation against code: pages, ports, registers, invariants, timing diagrams, links.
//!
//! Each checker is a function from texts to a list of findings. One test runs them on the repository; every checker
//! has a twin test on made-up input that it must object to.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

type Names = BTreeSet<String>;

// ---- SystemVerilog, as far as a header needs it ----

/// What a module's page must mention.
#[derive(Debug, Default, PartialEq)]
struct Module {
    name: String,
    ports: Names,
    registers: Names,
    invariants: Names,
}

/// The text without its comments.
fn uncommented(text: &str) -> String {
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find('/') {
        kept.push_str(&rest[..at]);
        let (end, from) = match rest[at..].chars().nth(1) {
            Some('/') => ("\n", at),
            Some('*') => ("*/", at + 2),
            _ => {
                kept.push('/');
                rest = &rest[at + 1..];
                continue;
            }
        };
        rest = rest[from..].find(end).map_or("", |length| &rest[from + length + end.len()..]);
        kept.push('\n');
    }
    kept + rest
}

/// Identifiers of a text.
fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(move |c| !part(c)).filter(|word| !word.is_empty())
}

/// Splits at the bracket that closes the one `text` begins with: (inside, behind).
fn bracketed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((text.get(1..at)?, &text[at + 1..]));
        }
    }
    None
}

/// Names in a port list: the last word of every entry, unpacked dimensions aside.
fn port_names(list: &str) -> Names {
    let mut flat = String::new();
    let mut depth = 0;
    for c in list.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            _ if depth == 0 => flat.push(c),
            _ => {}
        }
    }
    flat.split(',').filter_map(|entry| identifiers(entry).last()).map(str::to_owned).collect()
}

/// An invariant's id, `INV_DRAIN_1`, and not the beginning of one.
fn is_invariant(word: &str) -> bool {
    let parts: Vec<_> = word.split('_').collect();
    matches!(parts.as_slice(), ["INV", block, number]
        if !block.is_empty() && number.parse::<u32>().is_ok())
}

/// The module of a file; `None` for a package or a header.
fn module(text: &str) -> Option<Module> {
    let text = uncommented(text);
    let at = text.match_indices("module ").map(|(at, _)| at).find(|&at| {
        let before = text[..at].chars().next_back();
        before.is_none_or(char::is_whitespace)
    })?;
    let name = identifiers(&text[at + "module ".len()..]).next()?;
    let mut rest = text[at..].split_once(name)?.1.trim_start();
    loop {
        if rest.starts_with("import") {
            rest = rest.split_once(';')?.1.trim_start();
        } else if let Some(parameters) = rest.strip_prefix('#') {
            rest = bracketed(parameters.trim_start())?.1.trim_start();
        } else {
            break;
        }
    }
    let collect =
        |keep: fn(&str) -> bool| identifiers(&text).filter(|w| keep(w)).map(str::to_owned).collect();
    Some(Module {
        name: name.to_owned(),
        ports: port_names(bracketed(rest)?.0),
        registers: collect(|w| w.ends_with("_q")),
        invariants: collect(is_invariant),
    })
}

// ---- Markdown, as far as a page needs it ----

/// Text below a heading, up to the next of the same level or above.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let Some(at) = page.find(&heading) else { return "" };
    let body = &page[at + heading.len()..];
    body.find("\n## ").map_or(body, |end| &body[..end])
}

/// Code spans in the first column of the tables of a text.
fn first_column(text: &str) -> Names {
    let cells = text.lines().filter_map(|line| line.strip_prefix('|')?.split('|').next());
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect()
}

/// The text without fenced blocks and code spans.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut kept = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside: Vec<_> = line.split('`').step_by(2).collect();
            kept.push_str(&outside.join(" "));
            kept.push('\n');
        }
    }
    kept
}

/// Contents of the fenced blocks of a language. An open end reaches to the end of the page.
fn fenced_blocks(page: &str, language: &str) -> Vec<String> {
    let open = format!("```{language}");
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while lines.any(|line| line.trim_end() == open) {
        let inside: Vec<_> = lines.by_ref().take_while(|line| line.trim_end() != "```").collect();
        blocks.push(inside.join("\n"));
    }
    blocks
}

/// Link targets: inline links and images, and the attributes of HTML tags.
fn links(page: &str) -> Vec<String> {
    let text = prose(page);
    let inline = text.split("](").skip(1).filter_map(|after| after.split([')', ' ', '\n']).next());
    let quoted = ["src=\"", "href=\"", "srcset=\""]
        .into_iter()
        .flat_map(|attribute| text.split(attribute).skip(1).filter_map(|after| after.split('"').next()));
    inline.chain(quoted).map(str::to_owned).collect()
}

/// Anchors that a page's headings make.
fn anchors(page: &str) -> Names {
    let headings = page.lines().filter_map(|line| line.strip_prefix('#')).map(|l| l.trim_start_matches('#'));
    let anchor = |title: &str| -> String {
        let kept = title.trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(anchor).collect()
}

// ---- checkers ----

/// Modules without page or model, pages without module.
fn orphans(modules: &Names, models: &Names, pages: &Names) -> Vec<String> {
    let page = modules.difference(pages).map(|m| format!("{m}: no docs/blocks/{m}.md"));
    let model = modules.difference(models).map(|m| format!("{m}: no model/src/**/{m}.rs"));
    let module = pages.difference(modules).map(|p| format!("docs/blocks/{p}.md: no rtl/**/{p}.sv"));
    page.chain(model).chain(module).collect()
}

/// What differs between two lists of names.
fn differing(stem: &str, what: &str, code: &Names, page: &Names) -> Vec<String> {
    let missing = code.difference(page).map(|n| format!("{stem}: {what} `{n}` is not on its page"));
    let extra = page.difference(code).map(|n| format!("{stem}: {what} `{n}` is on its page, not in the RTL"));
    missing.chain(extra).collect()
}

/// Ports, registers and invariants of a module that its page lacks, and the other way round.
fn page_findings(stem: &str, sv: &str, page: &str) -> Vec<String> {
    let Some(module) = module(sv) else { return vec![format!("{stem}: the file has no module")] };
    let mut found = Vec::new();
    if module.name != stem {
        found.push(format!("{stem}: the file holds module {}", module.name));
    }
    found.extend(differing(stem, "port", &module.ports, &first_column(section(page, "Interface"))));
    let registers = first_column(section(page, "Registers"));
    let registers = registers.iter().filter(|r| r.ends_with("_q") && !r.contains('.')).cloned().collect();
    found.extend(differing(stem, "register", &module.registers, &registers));
    let invariants = identifiers(section(page, "Invariants")).filter(|w| is_invariant(w));
    let invariants = invariants.map(str::to_owned).collect();
    found.extend(differing(stem, "invariant", &module.invariants, &invariants));
    found
}

/// Invariants that a page names and no module has.
fn unknown_invariants(file: &str, page: &str, known: &Names) -> Vec<String> {
    let named: Names = identifiers(page).filter(|w| is_invariant(w)).map(str::to_owned).collect();
    named.difference(known).map(|id| format!("{file}: no module has {id}")).collect()
}

/// Signals of a diagram, groups opened.
fn signals<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(group) => group.iter().for_each(|v| signals(v, found)),
        Value::Object(signal) if signal.contains_key("wave") => found.push(value),
        _ => {}
    }
}

/// Diagrams that are no JSON, whose waves differ in length, or whose values and labels differ in number.
fn diagram_findings(file: &str, page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (index, block) in fenced_blocks(page, "wavedrom").iter().enumerate() {
        let mut say = |what: String| found.push(format!("{file}: diagram {}: {what}", index + 1));
        let diagram: Value = match serde_json::from_str(block) {
            Ok(diagram) => diagram,
            Err(error) => {
                say(format!("not JSON: {error}"));
                continue;
            }
        };
        let mut all = Vec::new();
        signals(&diagram["signal"], &mut all);
        if all.is_empty() {
            say("no signals".to_owned());
        }
        let mut length = None;
        for signal in all {
            let name = signal["name"].as_str().unwrap_or("?");
            let Some(wave) = signal["wave"].as_str() else {
                say(format!("`{name}`: its wave is no text"));
                continue;
            };
            if let Some(odd) = wave.chars().find(|c| !"pPnNhHlL01xzud=23456789.|".contains(*c)) {
                say(format!("`{name}`: no wave has `{odd}`"));
            }
            let expected = *length.get_or_insert(wave.len());
            if wave.len() != expected {
                say(format!("`{name}` has {} cycles, the signals above it {expected}", wave.len()));
            }
            let labels = match &signal["data"] {
                Value::String(labels) => labels.split_whitespace().count(),
                labels => labels.as_array().map_or(0, Vec::len),
            };
            let values = wave.chars().filter(|c| "=23456789".contains(*c)).count();
            if labels != values {
                say(format!("`{name}` has {values} values and {labels} labels"));
            }
        }
    }
    found
}

/// The path with `.` and `..` worked out.
fn normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut done, part| {
        match part {
            Component::ParentDir => {
                done.pop();
            }
            Component::CurDir => {}
            other => done.push(other),
        }
        done
    })
}

/// Relative links of the page at `file` that lead nowhere. `read` gives the text of an existing file.
fn broken_links(file: &Path, page: &str, read: &dyn Fn(&Path) -> Option<String>) -> Vec<String> {
    let mut found = Vec::new();
    for link in links(page) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (target, anchor) = link.split_once('#').map_or((link.as_str(), None), |(t, a)| (t, Some(a)));
        let path = match target {
            "" => file.to_owned(),
            _ => normal(&file.parent().unwrap_or(Path::new("")).join(target)),
        };
        let text = if target.is_empty() { Some(page.to_owned()) } else { read(&path) };
        match (text, anchor) {
            (None, _) => found.push(format!("{}: `{link}` leads to no file", file.display())),
            (Some(text), Some(anchor))
                if (target.is_empty() || target.ends_with(".md")) && !anchors(&text).contains(anchor) =>
            {
                found.push(format!("{}: `{link}` leads to no heading", file.display()));
            }
            _ => {}
        }
    }
    found
}

// ---- the repository ----

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder of the project that have an extension, relative to the project, with their texts.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut folders = vec![project().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the project").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|x| x == extension) {
                let text = std::fs::read_to_string(&path).expect("source files are text");
                found.push((path.strip_prefix(project()).expect("below the project").to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn stems(files: &[(PathBuf, String)]) -> Names {
    files.iter().map(|(path, _)| stem(path)).collect()
}

/// RTL files that hold a module.
fn module_files() -> Vec<(PathBuf, String)> {
    files("rtl", "sv").into_iter().filter(|(_, text)| module(text).is_some()).collect()
}

/// All pages of the project.
fn pages() -> Vec<(PathBuf, String)> {
    let mut all = files("docs", "md");
    let readme = project().join("README.md");
    if let Ok(text) = std::fs::read_to_string(readme) {
        all.push((PathBuf::from("README.md"), text));
    }
    all
}

#[track_caller]
fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_module_has_page_and_model() {
    let modules = module_files();
    let packages = files("rtl", "sv").len() - modules.len();
    assert_eq!(packages, 1, "every file but the package holds a module that the parser can read");
    assert_none(&orphans(
        &stems(&modules),
        &stems(&files("model/src", "rs")),
        &stems(&files("docs/blocks", "md")),
    ));
}

#[test]
fn pages_name_every_port_register_and_invariant() {
    let pages = files("docs/blocks", "md");
    let mut found = Vec::new();
    for (path, sv) in module_files() {
        let stem = stem(&path);
        let page = pages.iter().find(|(p, _)| self::stem(p) == stem);
        found.extend(page.map_or_else(Vec::new, |(_, page)| page_findings(&stem, &sv, page)));
    }
    assert_none(&found);
}

#[test]
fn pages_name_no_unknown_invariant() {
    let modules = module_files();
    let known: Names = modules.iter().filter_map(|(_, sv)| module(sv)).flat_map(|m| m.invariants).collect();
    let pages = pages();
    let found = pages.iter().flat_map(|(path, p)| unknown_invariants(&path.to_string_lossy(), p, &known));
    assert_none(&found.collect::<Vec<_>>());
}

#[test]
fn every_block_has_a_sound_timing_diagram() {
    let mut found = Vec::new();
    for (path, page) in pages() {
        let file = path.to_string_lossy();
        found.extend(diagram_findings(&file, &page));
        if path.starts_with("docs/blocks") && fenced_blocks(&page, "wavedrom").is_empty() {
            found.push(format!("{file}: no timing diagram"));
        }
    }
    assert_none(&found);
}

#[test]
fn relative_links_lead_somewhere() {
    let read = |path: &Path| {
        let path = project().join(path);
        if path.is_dir() {
            return Some(String::new());
        }
        std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    };
    let pages = pages();
    let found = pages.iter().flat_map(|(path, page)| broken_links(path, page, &read));
    assert_none(&found.collect::<Vec<_>>());
}

// ---- must fail ----

const SV: &str = "\
// module commented_out (input logic no_i);
module thing
  import tandem_pkg::*;
#(
  parameter int unsigned Width,
  localparam int unsigned Bits = $clog2(Width)
) (
  input  logic             clk_i,   // no_port_i, neither
  input  beat_t [1:0][Width-1:0] beat_i,
  output logic [Bits-1:0]  sum_o [Width]
);
  logic state_q;
  /* other_q */
  `TANDEM_INVARIANT(INV_THING_1, state_q)
endmodule : thing
";

const PAGE: &str = "\
# thing

## Interface

| port | direction |
|---|---|
| `clk_i` | in |
| `beat_i` | in, not `state_q` |
| `sum_o` | out |

## Registers

| register | bits |
|---|---|
| `state_q` | 1 |
| `u_add` | those of `float_add` |

## Invariants

`INV_THING_1` holds.
";

fn names(list: &[&str]) -> Names {
    list.iter().map(|&n| n.to_owned()).collect()
}

/// Exactly one finding, and it speaks of `about`.
#[track_caller]
fn assert_one(found: &[String], about: &str) {
    assert!(
        found.len() == 1 && found[0].contains(about),
        "expected one finding about {about}, got {found:?}"
    );
}

#[test]
fn header_is_read() {
    let module = module(SV).unwrap();
    assert_eq!(module.name, "thing");
    assert_eq!(module.ports, names(&["clk_i", "beat_i", "sum_o"]));
    assert_eq!(module.registers, names(&["state_q"]));
    assert_eq!(module.invariants, names(&["INV_THING_1"]));
    assert_eq!(self::module("package p;\nendpackage"), None);
}

#[test]
fn sound_page_passes() {
    assert_none(&page_findings("thing", SV, PAGE));
}

#[test]
fn orphan_is_found() {
    let (one, two) = (names(&["a"]), names(&["a", "b"]));
    assert_none(&orphans(&one, &two, &one));
    assert_one(&orphans(&two, &two, &one), "docs/blocks/b.md");
    assert_one(&orphans(&two, &one, &two), "model/src");
    assert_one(&orphans(&one, &two, &two), "rtl");
}

#[test]
fn missing_and_invented_names_are_found() {
    let without = |line: &str| page_findings("thing", SV, &PAGE.replace(line, ""));
    assert_one(&without("| `beat_i` | in, not `state_q` |\n"), "port `beat_i` is not on its page");
    assert_one(&without("| `state_q` | 1 |\n"), "register `state_q` is not on its page");
    assert_one(&without("`INV_THING_1` holds."), "invariant `INV_THING_1` is not on its page");
    let renamed = |from: &str, to: &str| page_findings("thing", &SV.replace(from, to), PAGE);
    assert_eq!(renamed("beat_i", "bead_i").len(), 2);
    assert_eq!(renamed("state_q", "stage_q").len(), 2);
    assert_eq!(renamed("INV_THING_1", "INV_THING_2").len(), 2);
    assert_one(&renamed("module thing", "module other"), "module other");
    assert_one(&page_findings("thing", "package p;\nendpackage\n", PAGE), "no module");
}

#[test]
fn unknown_invariant_is_found() {
    let known = names(&["INV_THING_1"]);
    assert_none(&unknown_invariants("page.md", "`INV_THING_1`, and `INV_<BLOCK>_<n>`", &known));
    assert_one(&unknown_invariants("page.md", "see `INV_THING_2`", &known), "INV_THING_2");
}

fn diagram(signals: &str) -> Vec<String> {
    diagram_findings("page.md", &format!("text\n\n```wavedrom\n{{\"signal\": [{signals}]}}\n```\n"))
}

#[test]
fn odd_diagram_is_found() {
    let clock = "{\"name\": \"clk_i\", \"wave\": \"p..\"}";
    assert_none(&diagram(&format!(
        "{clock}, {{}}, [\"group\", {{\"name\": \"a\", \"wave\": \"x34\", \"data\": \"1 2\"}}]"
    )));
    assert_one(&diagram("{name: 'clk_i', wave: 'p..'}"), "not JSON");
    assert_one(&diagram(""), "no signals");
    assert_one(&diagram("{\"name\": \"a\", \"wave\": 1}"), "no text");
    assert_one(&diagram(&format!("{clock}, {{\"name\": \"a\", \"wave\": \"01\"}}")), "2 cycles");
    assert_one(&diagram("{\"name\": \"a\", \"wave\": \"0?\"}"), "`?`");
    assert_one(&diagram("{\"name\": \"a\", \"wave\": \"34\", \"data\": [\"1\"]}"), "2 values and 1 labels");
}

#[test]
fn broken_link_is_found() {
    let read = |path: &Path| match path.to_str()? {
        "docs/numerics.md" => Some("# Numerics\n\n### E2M1, doubled\n".to_owned()),
        "rtl/a.sv" => Some(String::new()),
        _ => None,
    };
    let check = |page: &str| broken_links(Path::new("docs/blocks/a.md"), page, &read);
    assert_none(&check(
        "# A\n[n](../numerics.md#e2m1-doubled) ![a](../../rtl/a.sv) [w](https://x.y/z) [a](#a) `[c](no)`\n\
         ```\n[f](no)\n```\n",
    ));
    assert_one(&check("[n](../numeric.md)"), "no file");
    assert_one(&check("[n](numerics.md)"), "no file");
    assert_one(&check("![n](../../img/none.svg)"), "no file");
    assert_one(&check("<img src=\"none.svg\">"), "no file");
    assert_one(&check("[n](../numerics.md#tripled)"), "no heading");
    assert_one(&check("[n](#nowhere)"), "no heading");
}
