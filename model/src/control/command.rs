// SPDX-License-Identifier: Apache-2.0
//! A command as the host writes it: 64 bytes, little end first, eight words of 64 bits.

use super::types::{
    CommandDestination, CommandFlags, CommandHead, CommandShape, CommandSource, MAX_ROWS, OPCODE_ADD,
    OPCODE_ANGLES, OPCODE_APPEND, OPCODE_ARGMAX, OPCODE_ATTEND, OPCODE_EMBED, OPCODE_FILL, OPCODE_GATE,
    OPCODE_GEMV, OPCODE_HEADS, OPCODE_LOAD, OPCODE_NOP, OPCODE_NORM, OPCODE_QUANTISE, STATUS_ALIGNMENT,
    STATUS_BANK, STATUS_BOUNDS, STATUS_COMPLETION_ERROR, STATUS_DONE, STATUS_FETCH_ERROR, STATUS_FIELD,
    STATUS_INDEX, STATUS_NO_KEYS, STATUS_OPCODE, STATUS_OPERAND, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use crate::block::{Bits, Uint, Wide, low_u8, low_u16};

/// Bytes of a command, and of a completion.
pub const COMMAND_BYTES: usize = 64;

/// Names of the opcodes, and their codes.
pub const OPCODES: [(&str, u16); 14] = [
    ("nop", OPCODE_NOP),
    ("load", OPCODE_LOAD),
    ("gemv", OPCODE_GEMV),
    ("attend", OPCODE_ATTEND),
    ("append", OPCODE_APPEND),
    ("fill", OPCODE_FILL),
    ("embed", OPCODE_EMBED),
    ("add", OPCODE_ADD),
    ("norm", OPCODE_NORM),
    ("angles", OPCODE_ANGLES),
    ("heads", OPCODE_HEADS),
    ("gate", OPCODE_GATE),
    ("quantise", OPCODE_QUANTISE),
    ("argmax", OPCODE_ARGMAX),
];

/// Names of the statuses, and their codes.
pub const STATUSES: [(&str, u16); 13] = [
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
    ("index", STATUS_INDEX),
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
    /// First chunk of x or q; of Heads the mode, of Quantise the tokens.
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
    /// Output features; keys; tokens; words; rows of a table; heads.
    pub count: u32,
    /// Input features; window; first token; first feature.
    pub length: u32,
    /// Of rows 0 to 7 in the session. Vector commands but Angles have other fields in their place:
    /// [`Command::with_second`], [`Command::with_root`].
    pub positions: [u32; MAX_ROWS],
}

impl Command {
    /// Address of a second source, 48 bits, of vector commands.
    #[must_use]
    pub fn second(&self) -> u64 {
        u64::from(self.positions[0]) | u64::from(self.positions[1] & 0xffff) << 32
    }

    /// The same command with this second source, of which 48 bits count.
    #[must_use]
    pub fn with_second(mut self, address: u64) -> Self {
        self.positions[0] = low_u32(address);
        self.positions[1] = low_u32(address >> 32 & 0xffff);
        self
    }

    /// What vector commands multiply a sum of squares with, and what they add to that: binary32.
    #[must_use]
    pub const fn root(&self) -> (u32, u32) {
        (self.positions[2], self.positions[3])
    }

    /// The same command with this factor and this addend.
    #[must_use]
    pub const fn with_root(mut self, mean: u32, eps: u32) -> Self {
        self.positions[2] = mean;
        self.positions[3] = eps;
        self
    }

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
    fn vector_commands_have_other_fields_in_place_of_positions() {
        let command =
            Command::default().with_second(0xabcd_2524_2322_2120).with_root(0x2b2a_2928, 0x2f2e_2d2c);
        let bytes = command.bytes();
        let want: [u8; 16] =
            [0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0, 0, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f];
        assert_eq!(bytes[32..48], want);
        assert_eq!((command.second(), command.root()), (0x2524_2322_2120, (0x2b2a_2928, 0x2f2e_2d2c)));
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
