// SPDX-License-Identifier: Apache-2.0
//! A command as the host writes it: 64 bytes, little end first, eight words of 64 bits.

use super::types::{
    CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, MAX_ROWS, OPCODE_APPEND,
    OPCODE_ATTEND, OPCODE_FILL, OPCODE_GEMV, OPCODE_LOAD, OPCODE_NOP, STATUS_ALIGNMENT, STATUS_BANK,
    STATUS_BOUNDS, STATUS_COMPLETION_ERROR, STATUS_DONE, STATUS_FETCH_ERROR, STATUS_FIELD, STATUS_NO_KEYS,
    STATUS_OPCODE, STATUS_OPERAND, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use crate::block::{Bits, Uint, Wide, low_u8, low_u16};

/// Bytes of a command, and of a completion.
pub const COMMAND_BYTES: usize = 64;

/// Names of the opcodes, and their codes.
pub const OPCODES: [(&str, u16); 6] = [
    ("nop", OPCODE_NOP),
    ("load", OPCODE_LOAD),
    ("gemv", OPCODE_GEMV),
    ("attend", OPCODE_ATTEND),
    ("append", OPCODE_APPEND),
    ("fill", OPCODE_FILL),
];

/// Names of the statuses, and their codes.
pub const STATUSES: [(&str, u16); 12] = [
    ("done", STATUS_DONE),
    ("opcode", STATUS_OPCODE),
    ("field", STATUS_FIELD),
    ("alignment", STATUS_ALIGNMENT),
    ("bounds", STATUS_BOUNDS),
    ("operand", STATUS_OPERAND),
    ("bank", STATUS_BANK),
    ("read_error", STATUS_READ_ERROR),
    ("write_error", STATUS_WRITE_ERROR),
    ("no_keys", STATUS_NO_KEYS),
    ("fetch_error", STATUS_FETCH_ERROR),
    ("completion_error", STATUS_COMPLETION_ERROR),
];

/// Name of a code of [`OPCODES`] or [`STATUSES`].
#[must_use]
pub fn name_of(names: &[(&'static str, u16)], code: u16) -> Option<&'static str> {
    names.iter().find(|(_, known)| *known == code).map(|(name, _)| *name)
}

/// A command. Fields that its opcode does not use are 0.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Command {
    /// What is to be done.
    pub opcode: u8,
    /// Flags.
    pub flags: CommandFlags,
    /// Rows in use.
    pub rows: u8,
    /// First chunk of x or q.
    pub operand: u8,
    /// Tokens that are waited for before it begins.
    pub wait_tokens: u16,
    /// Tokens that are given back when it is done.
    pub signal_tokens: u16,
    /// Address of what is read, 48 bits.
    pub source: u64,
    /// Word of the banks.
    pub bank: u16,
    /// Address of what is written, 48 bits.
    pub destination: u64,
    /// Tokens that are waited for before the array takes it; it streams ahead of that.
    pub wait_array: u16,
    /// Output features; keys; tokens; words.
    pub count: u32,
    /// Input features; window; first token.
    pub length: u32,
    /// Of rows 0 to 7 in the session.
    pub positions: [u32; MAX_ROWS],
}

impl Command {
    /// The words, the lowest address first.
    #[must_use]
    pub fn words(&self) -> [u64; 8] {
        let head = CommandHead {
            signal_tokens: Uint(self.signal_tokens),
            wait_tokens: Uint(self.wait_tokens),
            operand: Uint(self.operand.into()),
            rows: Uint(self.rows.into()),
            flags: self.flags,
            opcode: Uint(self.opcode.into()),
        };
        let source = CommandSource { bank: Uint(self.bank), address: Wide::from_bits(self.source) };
        let destination = CommandDestination {
            wait_array: Uint(self.wait_array),
            address: Wide::from_bits(self.destination),
        };
        let shape = CommandShape { length: Wide(self.length.into()), count: Wide(self.count.into()) };
        let pair = |i: usize| u64::from(self.positions[i]) | u64::from(self.positions[i + 1]) << 32;
        [
            head.to_bits(),
            source.to_bits(),
            destination.to_bits(),
            shape.to_bits(),
            pair(0),
            pair(2),
            pair(4),
            pair(6),
        ]
    }

    /// The command of these words.
    #[must_use]
    pub fn from_words(words: &[u64; 8]) -> Self {
        let head = CommandHead::from_bits(words[0]);
        let source = CommandSource::from_bits(words[1]);
        let destination = CommandDestination::from_bits(words[2]);
        let shape = CommandShape::from_bits(words[3]);
        Self {
            opcode: low_u8(head.opcode.to_bits()),
            flags: head.flags,
            rows: low_u8(head.rows.to_bits()),
            operand: low_u8(head.operand.to_bits()),
            wait_tokens: head.wait_tokens.0,
            signal_tokens: head.signal_tokens.0,
            source: source.address.0,
            bank: source.bank.0,
            destination: destination.address.0,
            wait_array: destination.wait_array.0,
            count: low_u32(shape.count.0),
            length: low_u32(shape.length.0),
            positions: std::array::from_fn(|row| low_u32(words[4 + row / 2] >> (32 * (row % 2)))),
        }
    }

    /// The bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> [u8; COMMAND_BYTES] {
        command_bytes(&self.words())
    }
}

/// The bytes in memory of a command's words.
#[must_use]
pub fn command_bytes(words: &[u64; 8]) -> [u8; COMMAND_BYTES] {
    std::array::from_fn(|i| words[i / 8].to_le_bytes()[i % 8])
}

/// What the core writes when a command is done, or was refused.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Completion {
    /// Number of the command, counted from reset, modulo 65536.
    pub index: u16,
    /// How it ended.
    pub status: u8,
    /// Opcode of the command.
    pub opcode: u8,
    /// Clock in which it was dispatched.
    pub dispatched: u64,
    /// Clock in which it was done.
    pub done: u64,
}

impl Completion {
    /// The completion that these bytes are. `None` when bytes are set that belong to no field.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; COMMAND_BYTES]) -> Option<Self> {
        let word = |i: usize| u64::from_le_bytes(std::array::from_fn(|k| bytes[8 * i + k]));
        let index = low_u16(word(0));
        let completion =
            Self { index, status: bytes[2], opcode: bytes[3], dispatched: word(1), done: word(2) };
        (bytes[4..8].iter().chain(&bytes[24..]).all(|&byte| byte == 0)).then_some(completion)
    }
}

fn low_u32(bits: u64) -> u32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of the command's bytes, written a second time.
    #[test]
    fn every_field_lies_at_its_bytes() {
        let command = Command {
            opcode: 0x01,
            flags: CommandFlags { int8: true, grouped: true, ..CommandFlags::default() },
            rows: 0x02,
            operand: 0x03,
            wait_tokens: 0x0504,
            signal_tokens: 0x0706,
            source: 0x0d0c_0b0a_0908,
            bank: 0x0f0e,
            destination: 0x1514_1312_1110,
            wait_array: 0x1716,
            count: 0x1b1a_1918,
            length: 0x1f1e_1d1c,
            positions: std::array::from_fn(|row| 0x2322_2120 + 0x0404_0404 * low_u32(row as u64)),
        };
        let mut want: [u8; COMMAND_BYTES] = std::array::from_fn(|i| low_u8(i as u64));
        (want[0], want[1], want[2], want[3]) = (1, 0b10_0010, 2, 3);
        assert_eq!(command.bytes(), want);
        assert_eq!(Command::from_words(&command.words()), command);
        for bit in 0..8 {
            let flags = CommandFlags::from_bits(1 << bit);
            assert_eq!(Command { flags, ..command }.bytes()[1], 1 << bit);
        }
    }

    #[test]
    fn a_completion_has_no_stray_bytes() {
        let mut bytes = [0; COMMAND_BYTES];
        (bytes[0], bytes[1], bytes[2], bytes[3], bytes[9], bytes[16]) = (0x34, 0x12, 7, 2, 1, 9);
        let want = Completion { index: 0x1234, status: 7, opcode: 2, dispatched: 256, done: 9 };
        assert_eq!(Completion::from_bytes(&bytes), Some(want));
        for stray in [4, 7, 24, 63] {
            let mut bytes = bytes;
            bytes[stray] = 1;
            assert_eq!(Completion::from_bytes(&bytes), None);
        }
    }
}
