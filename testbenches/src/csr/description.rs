// SPDX-License-Identifier: Apache-2.0
//! The description of the host's registers, `rtl/control/registers.json`: read, checked, printed.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

/// What a host may do with a register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Read only: a write is refused.
    ReadOnly,
    /// Read what was written.
    ReadWrite,
    /// Writing 1 clears a bit.
    WriteOneToClear,
}

/// Bits of a register.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Highest bit.
    pub high: u32,
    /// Lowest bit.
    pub low: u32,
    /// Writing 1 does something, and it reads 0.
    pub pulse: bool,
    /// What it is.
    pub meaning: String,
}

impl Field {
    /// Its bits.
    #[must_use]
    pub const fn mask(&self) -> u32 {
        (u32::MAX >> (31 - self.high)) & (u32::MAX << self.low)
    }
}

/// A register of 32 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// Name.
    pub name: String,
    /// Byte address.
    pub offset: u16,
    /// What a host may do.
    pub access: Access,
    /// Value after reset; `None` where the core says what it is.
    pub reset: Option<u32>,
    /// What it is.
    pub meaning: String,
    /// From the lowest bit up.
    pub fields: Vec<Field>,
}

impl Register {
    /// Bits that read what was written last.
    #[must_use]
    pub fn kept(&self) -> u32 {
        self.fields.iter().filter(|f| !f.pulse).fold(0, |bits, f| bits | f.mask())
    }

    /// Bits that do something when 1 is written.
    #[must_use]
    pub fn pulses(&self) -> u32 {
        self.fields.iter().filter(|f| f.pulse).fold(0, |bits, f| bits | f.mask())
    }
}

/// All registers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    /// Bits of an address.
    pub address_bits: u32,
    /// By rising offset.
    pub registers: Vec<Register>,
}

/// The description that RTL, model and documentation follow.
const SHIPPED: &str = include_str!("../../../rtl/control/registers.json");

impl Description {
    /// The shipped one.
    ///
    /// # Panics
    /// When it is not well formed.
    #[must_use]
    pub fn shipped() -> Self {
        Self::parse(SHIPPED).unwrap_or_else(|e| panic!("rtl/control/registers.json: {e}"))
    }

    /// Reads a description.
    ///
    /// # Errors
    /// What is not well formed: a key that is missing or unknown, a number out of range, registers or fields that
    /// overlap or share a name, a value after reset in no field.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
        keys(&value, &["address_bits", "registers"], &[])?;
        let address_bits = value["address_bits"].as_u64().and_then(|bits| u32::try_from(bits).ok());
        let address_bits = address_bits.filter(|bits| (2..=16).contains(bits)).ok_or("no address bits")?;
        let list = value["registers"].as_array().ok_or("`registers` is no list")?;
        let registers = list.iter().map(register).collect::<Result<Vec<_>, _>>()?;
        let mut names = BTreeSet::new();
        for (i, register) in registers.iter().enumerate() {
            let name = &register.name;
            if !names.insert(name) {
                return Err(format!("{name}: two registers have this name"));
            }
            if register.offset % 4 != 0 || u32::from(register.offset) >> address_bits != 0 {
                return Err(format!("{name}: offset {:#05x} is no register's", register.offset));
            }
            if i > 0 && registers[i - 1].offset >= register.offset {
                return Err(format!("{name}: its offset is not above that of the register before"));
            }
        }
        Ok(Self { address_bits, registers })
    }

    /// The register at an address.
    #[must_use]
    pub fn at(&self, address: u16) -> Option<&Register> {
        self.registers.iter().find(|r| r.offset == address)
    }

    /// The table of docs/csr.md.
    #[must_use]
    pub fn table(&self) -> String {
        let mut table =
            "| offset | register, bits | access | reset | meaning |\n|---|---|---|---|---|\n".to_owned();
        for Register { name, offset, access, reset, meaning, fields } in &self.registers {
            let access = match access {
                Access::ReadOnly => "read",
                Access::ReadWrite => "read, write",
                Access::WriteOneToClear => "read, 1 clears",
            };
            let reset = reset.map_or_else(|| "the core's".to_owned(), |reset| format!("`{reset:#x}`"));
            let _ = writeln!(table, "| `{offset:#05x}` | `{name}` | {access} | {reset} | {meaning} |");
            for Field { name, high, low, pulse, meaning } in fields {
                let bits = if high == low { format!("{low}") } else { format!("{high}:{low}") };
                let access = if *pulse { "pulse" } else { "" };
                let _ = writeln!(table, "| | {bits} `{name}` | {access} | | {meaning} |");
            }
        }
        table
    }
}

/// Objects to keys that are missing or unknown.
fn keys(value: &Value, needed: &[&str], possible: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("not an object")?;
    let missing = needed.iter().find(|&&key| !object.contains_key(key));
    let unknown = object.keys().find(|&key| !needed.iter().chain(possible).any(|known| known == key));
    match (missing, unknown) {
        (Some(key), _) => Err(format!("`{key}` is missing in {value}")),
        (_, Some(key)) => Err(format!("nobody knows `{key}` in {value}")),
        _ => Ok(()),
    }
}

fn word(value: &Value, key: &str) -> Result<String, String> {
    value[key].as_str().map(str::to_owned).ok_or_else(|| format!("`{key}` is no text in {value}"))
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn register(value: &Value) -> Result<Register, String> {
    keys(value, &["name", "offset", "access", "reset", "meaning", "fields"], &[])?;
    let name = word(value, "name")?;
    let wrong = |what: &str| format!("{name}: {what}");
    let offset = hex(&word(value, "offset")?).and_then(|offset| u16::try_from(offset).ok());
    let access = match word(value, "access")?.as_str() {
        "ro" => Access::ReadOnly,
        "rw" => Access::ReadWrite,
        "w1c" => Access::WriteOneToClear,
        _ => return Err(wrong("access is none of ro, rw, w1c")),
    };
    let reset = match &value["reset"] {
        Value::Null => None,
        _ => Some(hex(&word(value, "reset")?).ok_or_else(|| wrong("reset is no hexadecimal number"))?),
    };
    let list = value["fields"].as_array().ok_or_else(|| wrong("`fields` is no list"))?;
    let fields = list.iter().map(|f| field(f).map_err(|e| wrong(&e))).collect::<Result<Vec<_>, _>>()?;
    let mut names = BTreeSet::new();
    for (i, field) in fields.iter().enumerate() {
        if i > 0 && fields[i - 1].high >= field.low {
            return Err(wrong(&format!("`{}` begins below the end of the field before", field.name)));
        }
        if !names.insert(&field.name) {
            return Err(wrong(&format!("two fields are called `{}`", field.name)));
        }
        if field.pulse && access != Access::ReadWrite {
            return Err(wrong(&format!("nobody can write `{}`", field.name)));
        }
    }
    let register = Register {
        offset: offset.ok_or_else(|| wrong("offset is no hexadecimal number"))?,
        access,
        reset,
        meaning: word(value, "meaning")?,
        fields,
        name,
    };
    if register.fields.is_empty() || reset.unwrap_or(0) & !register.kept() != 0 {
        return Err(format!("{}: after reset a bit is set that is in no field", register.name));
    }
    Ok(register)
}

fn field(value: &Value) -> Result<Field, String> {
    keys(value, &["name", "bits", "meaning"], &["access"])?;
    let name = word(value, "name")?;
    let bits = word(value, "bits")?;
    let (high, low) = bits.split_once(':').unwrap_or((&bits, &bits));
    let range =
        high.parse().ok().zip(low.parse().ok()).filter(|&(high, low): &(u32, u32)| low <= high && high < 32);
    let (high, low) = range.ok_or_else(|| format!("`{name}` has no bits `{bits}`"))?;
    let pulse = match value.get("access") {
        None => false,
        Some(access) if access == "pulse" => true,
        Some(access) => {
            return Err(format!("`{name}` has access {access}: the only one of a field is pulse"));
        }
    };
    Ok(Field { name, high, low, pulse, meaning: word(value, "meaning")? })
}
