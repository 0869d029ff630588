// SPDX-License-Identifier: Apache-2.0
//! The description of the host's registers, `rtl/control/registers.json`, against what follows from it: the RTL's offsets,
//! what the model answers (the RTL answers alike: lockstep), the table of docs/csr.md.
//!
//! Each checker is a function that lists what differs; its twin test shows that it objects.

mod support;

use support::{project, text};
use tandem_model::block::{Block, Uint, Wide};
use tandem_model::control::csr::{Csr, Inputs};
use tandem_model::control::types::{AxiLiteAddress, AxiLiteWrite, CoreError};
use tandem_testbenches::csr::description::{Access, Description};

fn package() -> String {
    text(&project().join("rtl/tandem_pkg.sv"))
}

fn page() -> String {
    text(&project().join("docs/csr.md"))
}

fn json() -> String {
    text(&project().join("rtl/control/registers.json"))
}

// ---- checkers ----

/// `COMMAND_BASE_LO` as the package spells it.
fn constant(name: &str) -> String {
    let camel = |word: &str| word[..1].to_owned() + &word[1..].to_lowercase();
    format!("Csr{}", name.split('_').map(camel).collect::<String>())
}

/// Offsets that the package lacks, has otherwise, or has although nothing is described there.
fn package_findings(description: &Description, package: &str) -> Vec<String> {
    let declared = package.lines().filter_map(|line| line.trim().strip_prefix("localparam int unsigned Csr"));
    let mut declared: Vec<_> = declared.map(|rest| format!("Csr{rest}")).collect();
    let mut take = |expected: String| {
        let at = declared.iter().position(|line| *line == expected)?;
        Some(declared.remove(at))
    };
    let mut expected = vec![format!("CsrAddressBits = {};", description.address_bits)];
    expected.extend(description.registers.iter().map(|r| format!("{} = {};", constant(&r.name), r.offset)));
    let missing: Vec<_> = expected.into_iter().filter(|line| take(line.clone()).is_none()).collect();
    let missing = missing.into_iter().map(|line| format!("not in the package: {line}"));
    missing.chain(declared.iter().map(|line| format!("not in the description: {line}"))).collect()
}

/// A host that waits for every answer.
#[derive(Default)]
struct Host {
    csr: Csr,
}

impl Host {
    fn clock(&mut self, mut inputs: Inputs) {
        inputs.idle_i = true;
        (inputs.b_ready_i, inputs.r_ready_i) = (true, true);
        self.csr.clock(&inputs);
    }

    /// What is read; `None` for SLVERR.
    fn read(&mut self, address: u16) -> Option<u32> {
        let ar_i = AxiLiteAddress { valid: true, address: Uint(address) };
        self.clock(Inputs { ar_i, ..Inputs::default() });
        let answer = self.csr.outputs().r_o;
        assert!(answer.valid, "a read is answered in the next cycle");
        self.clock(Inputs::default());
        (answer.response.0 == 0).then(|| u32::try_from(answer.data.0).expect("32 bits"))
    }

    /// Whether a write is taken.
    fn write(&mut self, address: u16, data: u32) -> bool {
        let aw_i = AxiLiteAddress { valid: true, address: Uint(address) };
        let w_i = AxiLiteWrite { valid: true, strobe: Uint(15), data: Wide(data.into()) };
        self.clock(Inputs { aw_i, w_i, ..Inputs::default() });
        self.clock(Inputs { consumer_i: Uint(u16::MAX), ..Inputs::default() });
        let answer = self.csr.outputs().b_o;
        assert!(answer.valid, "a write is answered two cycles after it was offered");
        self.clock(Inputs::default());
        answer.response.0 == 0
    }
}

/// Where the model's answers are not those of the description: every address is read and written.
fn model_findings(description: &Description) -> Vec<String> {
    let mut found = Vec::new();
    for address in 0..1 << description.address_bits {
        let fresh = Host::default().read(address);
        let taken = Host::default().write(address, u32::MAX);
        let Some(register) = description.at(address) else {
            if fresh.is_some() || taken {
                found.push(format!("{address:#05x}: nothing is described there, and the model answers"));
            }
            continue;
        };
        let mut say = |what: String| found.push(format!("{}: {what}", register.name));
        let Some(fresh) = fresh else {
            say("the model has none".to_owned());
            continue;
        };
        if register.reset.is_some_and(|reset| reset != fresh) {
            say(format!("after reset {fresh:#010x}"));
        }
        if taken != (register.access != Access::ReadOnly) {
            say(format!("a write is {}", if taken { "taken" } else { "refused" }));
        }
        let mut host = Host::default();
        let error_i = CoreError { valid: true, code: Uint(0xff), index: Uint(0xffff) };
        host.clock(Inputs { completion_i: true, error_i, ..Inputs::default() });
        let before = host.read(address).unwrap_or(0);
        if before & !register.kept() != 0 {
            say(format!("{before:#010x} has bits outside of the fields"));
        }
        host.write(address, u32::MAX);
        let after = host.read(address).unwrap_or(0);
        match register.access {
            Access::ReadWrite if after != register.kept() => say(format!("{after:#010x} stays of all ones")),
            Access::WriteOneToClear if before == 0 || after != 0 => {
                say(format!("writing ones makes {before:#010x} {after:#010x}"));
            }
            _ => {}
        }
    }
    found
}

/// Whether the page has the description's table.
fn page_findings(description: &Description, page: &str) -> Option<String> {
    let table = description.table();
    let has = page.contains(&format!("\n\n{table}\n"));
    (!has).then(|| format!("docs/csr.md must have this table, between blank lines:\n\n{table}"))
}

// ---- the repository ----

#[test]
fn package_has_the_offsets_described() {
    assert_eq!(package_findings(&Description::shipped(), &package()), Vec::<String>::new());
}

#[test]
fn model_answers_as_described_at_every_address() {
    assert_eq!(model_findings(&Description::shipped()), Vec::<String>::new());
}

#[test]
fn page_has_the_table_described() {
    if let Some(found) = page_findings(&Description::shipped(), &page()) {
        panic!("{found}");
    }
}

// ---- the twins ----

/// The shipped description with a change.
fn changed(change: impl FnOnce(&mut Description)) -> Description {
    let mut description = Description::shipped();
    change(&mut description);
    assert_ne!(description, Description::shipped());
    description
}

fn index(name: &str) -> usize {
    Description::shipped().registers.iter().position(|r| r.name == name).expect("a register")
}

#[test]
fn wrong_missing_or_extra_offset_is_found() {
    let found = |from: &str, to: &str| {
        assert!(package().contains(from), "the package has no {from}");
        package_findings(&Description::shipped(), &package().replace(from, to))
    };
    let doorbell = "localparam int unsigned CsrDoorbell = 44;";
    let (missing, extra) =
        ("not in the package: CsrDoorbell = 44;", "not in the description: CsrDoorbell = 48;");
    assert_eq!(found(doorbell, "localparam int unsigned CsrDoorbell = 48;"), [missing, extra]);
    assert_eq!(found(doorbell, ""), [missing]);
    let more = format!("{doorbell}\n  localparam int unsigned CsrMore = 256;");
    assert_eq!(found(doorbell, &more), ["not in the description: CsrMore = 256;"]);
}

#[test]
fn model_that_answers_otherwise_is_found() {
    let first = |change: &dyn Fn(&mut Description)| {
        let found = model_findings(&changed(change));
        found.first().cloned().unwrap_or_else(|| "nothing".to_owned())
    };
    let (id, control, doorbell) = (index("ID"), index("CONTROL"), index("DOORBELL"));
    let (status, enable) = (index("INTERRUPT_STATUS"), index("INTERRUPT_ENABLE"));
    assert_eq!(first(&|d| d.registers[id].reset = Some(0)), "ID: after reset 0x444e4154");
    assert_eq!(
        first(&|d| d.registers[id].offset = 0x100),
        "0x000: nothing is described there, and the model answers"
    );
    assert_eq!(
        first(&|d| drop(d.registers.remove(doorbell))),
        "0x02c: nothing is described there, and the model answers"
    );
    assert_eq!(first(&|d| d.registers[id].access = Access::ReadWrite), "ID: a write is refused");
    assert_eq!(first(&|d| d.registers[doorbell].access = Access::ReadOnly), "DOORBELL: a write is taken");
    assert_eq!(
        first(&|d| d.registers[control].fields[1].pulse = false),
        "CONTROL: 0x00000005 stays of all ones"
    );
    assert_eq!(
        first(&|d| d.registers[doorbell].fields[0].high = 14),
        "DOORBELL: 0x0000ffff stays of all ones"
    );
    assert_eq!(
        first(&|d| d.registers[status].access = Access::ReadWrite),
        "INTERRUPT_STATUS: 0x00000000 stays of all ones"
    );
    assert_eq!(
        first(&|d| d.registers[enable].access = Access::WriteOneToClear),
        "INTERRUPT_ENABLE: writing ones makes 0x00000000 0x00000007"
    );
    assert_eq!(
        first(&|d| drop(d.registers[status].fields.remove(1))),
        "INTERRUPT_STATUS: 0x00000003 has bits outside of the fields"
    );
    assert_eq!(
        first(&|d| d.registers.last_mut().expect("registers").offset = 0x80),
        "0x06c: nothing is described there, and the model answers"
    );
    let more = first(&|d| {
        let mut more = d.registers[id].clone();
        (more.name, more.offset) = ("MORE".to_owned(), 0x100);
        d.registers.push(more);
    });
    assert_eq!(more, "MORE: the model has none");
}

#[test]
fn page_that_says_otherwise_is_found() {
    let page = page();
    let shipped = Description::shipped();
    assert!(page_findings(&changed(|d| d.registers[0].fields[0].high = 30), &page).is_some());
    assert!(page_findings(&changed(|d| drop(d.registers.pop())), &page).is_some());
    assert!(page_findings(&shipped, &page.replace("`0x02c`", "`0x030`")).is_some());
}

#[test]
fn description_that_is_not_well_formed_is_refused() {
    let refused = |from: &str, to: &str, why: &str| {
        assert!(json().contains(from), "the description has no {from}");
        let found = Description::parse(&json().replacen(from, to, 1)).expect_err(to);
        assert!(found.contains(why), "{to}: {found}");
    };
    refused("\"0x004\"", "\"0x006\"", "VERSION: offset 0x006 is no register's");
    refused("\"0x004\"", "\"0x000\"", "VERSION: its offset is not above");
    refused("\"0x058\"", "\"0x1000\"", "COUNTER_HI: offset 0x1000 is no register's");
    refused("\"VERSION\"", "\"ID\"", "ID: two registers have this name");
    refused("\"15:8\"", "\"15:7\"", "GEOMETRY: `segments` begins below");
    refused("\"15:8\"", "\"8:15\"", "GEOMETRY: `segments` has no bits");
    refused("\"31:16\"", "\"32:16\"", "VERSION: `major` has no bits");
    refused("\"segments\"", "\"rows\"", "GEOMETRY: two fields are called `rows`");
    refused("\"ro\"", "\"wo\"", "ID: access is none of");
    refused("\"pulse\"", "\"rw\"", "CONTROL: `soft_reset` has access");
    refused("\"meaning\"", "\"meant\"", "`meaning` is missing");
    refused("\"address_bits\": 12", "\"address_bits\": 12, \"data\": 1", "nobody knows `data`");
    let (bit, outside) = ("\"rw\", \"reset\": \"0x00000000\"", "\"rw\", \"reset\": \"0x00000080\"");
    refused(bit, outside, "CONTROL: after reset a bit is set that is in no field");
}
