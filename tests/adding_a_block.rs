// SPDX-License-Identifier: Apache-2.0
//! A module of your own in lockstep: the model and the run that docs/adding-a-block.md shows.

use std::path::Path;

use tandem::lockstep::Lockstep;
use tandem_model::block::{Block, Uint, Visit, Visitor};
use tandem_verilate::Spec;

/// Counts events up to a limit and remembers that it was reached.
#[derive(Clone, Default)]
struct ClampCounter {
    count_q: Uint<8>,
    clamped_q: bool,
}

#[derive(Clone, Debug, Default)]
struct Inputs {
    event_i: bool,
    step_i: Uint<4>,
}

#[derive(Clone, Debug, Default)]
struct Outputs {
    count_o: Uint<8>,
    clamped_o: bool,
}

const LIMIT: u16 = 200;

impl Block for ClampCounter {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        Inputs::default()
    }

    fn outputs(&self) -> Outputs {
        Outputs { count_o: self.count_q, clamped_o: self.clamped_q }
    }

    fn clock(&mut self, i: &Inputs) {
        if i.event_i {
            let next = self.count_q.0 + i.step_i.0;
            self.clamped_q |= next > LIMIT;
            self.count_q = Uint(next.min(LIMIT));
        }
    }

    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Visit for ClampCounter {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("count_q", &mut self.count_q);
        v.bits("clamped_q", &mut self.clamped_q);
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("event_i", &mut self.event_i);
        v.bits("step_i", &mut self.step_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("count_o", &mut self.count_o);
        v.bits("clamped_o", &mut self.clamped_o);
    }
}

/// Runs `verilog` against the model for 300 clocks with a reset in the middle.
fn run(name: &str, verilog: &Path) -> tandem::Result<tandem::lockstep::Totals> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut model = ClampCounter::default();
    let mut spec = Spec::of_model(name, "clamp_counter", project, &mut model);
    spec.sources = vec![verilog.to_owned()];
    spec.parameters = vec![("Limit".to_owned(), usize::from(LIMIT))];

    let mut lockstep = Lockstep::verilated(&spec, project, model, 1)?;
    for cycle in 0..300u16 {
        let rst_ni = cycle != 0 && cycle != 150;
        lockstep.step(rst_ni, &mut Inputs { event_i: cycle % 3 != 0, step_i: Uint(cycle % 7) })?;
    }
    lockstep.finish()
}
// The page ends here; below, the test that holds page and code together.

/// Text of the first fenced block of a language.
fn fenced<'a>(page: &'a str, language: &str) -> &'a str {
    let start = page.find(&format!("```{language}\n")).expect("the page has such a block");
    let text = &page[start..];
    let text = &text[text.find('\n').expect("a fence ends its line") + 1..];
    &text[..text.find("```").expect("the block ends")]
}

const PAGE: &str = include_str!("../docs/adding-a-block.md");

/// The page's module in a file that stays in place, so that its archive is found again.
fn saved(name: &str, text: &str) -> std::path::PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/adding-a-block").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("clamp_counter.sv");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn page_shows_the_code_that_runs() {
    let file = include_str!("adding_a_block.rs");
    let shown = &file[file.find("use std::path").unwrap()..file.find("// The page ends here").unwrap()];
    assert_eq!(fenced(PAGE, "rust").trim(), shown.trim());
}

#[test]
fn module_of_the_page_runs_in_lockstep() {
    let totals = run("clamp_counter", &saved("good", fenced(PAGE, "systemverilog"))).unwrap();
    assert_eq!((totals.cycles, totals.registers, totals.bits), (300, 2, 9));
}

#[test]
fn bug_in_the_module_is_found() {
    let broken = fenced(PAGE, "systemverilog").replace("8'(Limit);", "8'(Limit - 1);");
    let error = run("clamp_counter_broken", &saved("broken", &broken)).unwrap_err();
    assert!(error.to_string().contains("register count_q"), "{error}");
}

#[test]
fn forgotten_register_is_refused() {
    let more = fenced(PAGE, "systemverilog").replace(
        "  assign count_o",
        "  logic extra_q;\n  always_ff @(posedge clk_i) extra_q <= event_i;\n  assign count_o",
    );
    let error = run("clamp_counter_extra", &saved("extra", &more)).unwrap_err();
    assert!(error.to_string().contains("extra_q: in the RTL, not in the model"), "{error}");
}
