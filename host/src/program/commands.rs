// SPDX-License-Identifier: Apache-2.0
//! Commands: names of opcodes, regions and tokens to bits.

use tandem_model::control::command::{COMMAND_BYTES, Command, OPCODES, STATUSES, name_of};
use tandem_model::control::types::{CommandFlags, MAX_ROWS, SCOREBOARD_TOKENS};

use super::file::{CommandEntry, NameOrNumber};
use super::{Region, Step, Wrong, hex, region, wrong};

/// Names of tokens, by number.
#[derive(Default)]
struct Tokens(Vec<String>);

impl Tokens {
    /// One bit for each name; a new name takes the next number.
    fn mask(&mut self, place: &str, names: &[String]) -> Result<u16, Wrong> {
        let mut mask = 0;
        for name in names {
            let known = self.0.iter().position(|other| other == name);
            let number = known.unwrap_or(self.0.len());
            if number == SCOREBOARD_TOKENS {
                return wrong(
                    place,
                    format!("one of the {SCOREBOARD_TOKENS} tokens {}", self.0.join(", ")),
                    format!("another one, `{name}`"),
                );
            }
            if known.is_none() {
                self.0.push(name.clone());
            }
            mask |= 1 << number;
        }
        Ok(mask)
    }
}

/// The commands of a file.
pub(super) fn read(entries: &[CommandEntry], regions: &[Region]) -> Result<Vec<Step>, Wrong> {
    let mut tokens = Tokens::default();
    let step = |(index, entry)| step(index, entry, regions, &mut tokens);
    entries.iter().enumerate().map(step).collect()
}

fn step(index: usize, entry: &CommandEntry, regions: &[Region], tokens: &mut Tokens) -> Result<Step, Wrong> {
    let expect = match &entry.expect {
        None => None,
        Some(name) => Some(code(&format!("command {index}, expect"), &STATUSES, name)?),
    };
    let words = match (&entry.op, &entry.raw) {
        (Some(op), None) => {
            let (opcode, name) = opcode(&format!("command {index}, op"), op)?;
            command(&format!("command {index} ({name})"), opcode, entry, regions, tokens)?.words()
        }
        (None, Some(raw)) => words(&format!("command {index}, raw"), entry, raw)?,
        (None, None) => return wrong(format!("command {index}"), "`op` or `raw`", "neither"),
        (Some(_), Some(_)) => return wrong(format!("command {index}"), "`op` or `raw`", "both"),
    };
    Ok(Step { words, expect })
}

/// A command given as bytes, and nothing beside them.
fn words(place: &str, entry: &CommandEntry, raw: &str) -> Result<[u64; 8], Wrong> {
    let bytes = hex(place, raw)?;
    if bytes.len() != COMMAND_BYTES {
        return wrong(place, format!("{COMMAND_BYTES} bytes"), bytes.len().to_string());
    }
    let CommandEntry { notify, int8, wide, causal, resident, grouped, rows, operand, .. } = entry;
    let CommandEntry {
        wait, signal, wait_array, source, bank, destination, count, length, positions, ..
    } = entry;
    let set = [*notify, *int8, *wide, *causal, *resident, *grouped].contains(&true)
        || [*rows, *operand, *bank, *count, *length].iter().any(|&field| field != 0)
        || [wait, signal, wait_array].iter().any(|names| !names.is_empty())
        || source.is_some()
        || destination.is_some()
        || !positions.is_empty();
    if set {
        return wrong(place, "no other field but `expect`", "others: they are in the bytes already");
    }
    let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[8 * i + k]));
    Ok(std::array::from_fn(word))
}

fn opcode(place: &str, op: &NameOrNumber) -> Result<(u8, String), Wrong> {
    match op {
        NameOrNumber::Name(name) => Ok((code(place, &OPCODES, name)?, name.clone())),
        NameOrNumber::Number(number) => match u8::try_from(*number) {
            Ok(opcode) => {
                let name = name_of(&OPCODES, opcode.into());
                Ok((opcode, name.map_or_else(|| format!("opcode {opcode}"), str::to_owned)))
            }
            Err(_) => wrong(place, "a number from 0 to 255", number.to_string()),
        },
    }
}

fn code(place: &str, names: &[(&str, u16)], name: &str) -> Result<u8, Wrong> {
    match names.iter().find(|(known, _)| *known == name) {
        Some((_, code)) => Ok(u8::try_from(*code).expect("a byte")),
        None => {
            let known: Vec<_> = names.iter().map(|(known, _)| *known).collect();
            wrong(place, format!("one of {}", known.join(", ")), format!("`{name}`"))
        }
    }
}

fn command(
    place: &str,
    opcode: u8,
    entry: &CommandEntry,
    regions: &[Region],
    tokens: &mut Tokens,
) -> Result<Command, Wrong> {
    let at = |field: &str| format!("{place}, {field}");
    let &CommandEntry { notify, int8, wide, causal, resident, grouped, .. } = entry;
    let mut positions = [0; MAX_ROWS];
    if entry.positions.len() > MAX_ROWS {
        return wrong(at("positions"), format!("at most {MAX_ROWS}"), entry.positions.len().to_string());
    }
    for (to, &position) in positions.iter_mut().zip(&entry.positions) {
        *to = number(&at("positions"), position)?;
    }
    Ok(Command {
        opcode,
        flags: CommandFlags { notify, int8, wide, causal, resident, grouped, ..CommandFlags::default() },
        rows: number(&at("rows"), entry.rows)?,
        operand: number(&at("operand"), entry.operand)?,
        wait_tokens: tokens.mask(&at("wait"), &entry.wait)?,
        signal_tokens: tokens.mask(&at("signal"), &entry.signal)?,
        source: address(&at("source"), entry.source.as_ref(), regions)?,
        bank: number(&at("bank"), entry.bank)?,
        destination: address(&at("destination"), entry.destination.as_ref(), regions)?,
        wait_array: tokens.mask(&at("wait_array"), &entry.wait_array)?,
        count: number(&at("count"), entry.count)?,
        length: number(&at("length"), entry.length)?,
        positions,
    })
}

/// A number that fits into its field.
fn number<T: TryFrom<u64>>(place: &str, value: u64) -> Result<T, Wrong> {
    let bits = 8 * size_of::<T>();
    T::try_from(value).or_else(|_| wrong(place, format!("a number of {bits} bits"), value.to_string()))
}

/// An address: a number, `region` or `region+offset`.
fn address(place: &str, given: Option<&NameOrNumber>, regions: &[Region]) -> Result<u64, Wrong> {
    let value = match given {
        None => return Ok(0),
        Some(NameOrNumber::Number(address)) => Some(*address),
        Some(NameOrNumber::Name(text)) => {
            let (name, offset) = text.split_once('+').unwrap_or((text, "0"));
            let (name, offset) = (name.trim(), offset.trim());
            let parsed = match offset.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16),
                None => offset.parse(),
            };
            let Ok(offset) = parsed else {
                return wrong(place, "`region` or `region+offset`, bytes", format!("`{text}`"));
            };
            region(regions, place, name)?.address.checked_add(offset)
        }
    };
    match value {
        Some(address) if address < 1 << 48 => Ok(address),
        _ => wrong(place, "an address of 48 bits", "a higher one"),
    }
}
