// SPDX-License-Identifier: Apache-2.0
//! The keys of a program file.

use std::path::PathBuf;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProgramFile {
    /// Regions from whose start to whose end the core may write.
    pub bounds: Option<[String; 2]>,
    /// The lower half of the banks is not used for streaming.
    #[serde(default)]
    pub pinned: bool,
    #[serde(default)]
    pub region: Vec<RegionEntry>,
    #[serde(default)]
    pub command: Vec<CommandEntry>,
}

/// A region: zeros of a size, or one of the kinds of contents, and then zeros up to its size if it is given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionEntry {
    pub name: String,
    pub address: Option<u64>,
    pub size: Option<u64>,
    /// Hexadecimal digits.
    pub data: Option<String>,
    /// A file's bytes, its path from the program's folder on.
    pub file: Option<PathBuf>,
    pub operands: Option<Operands>,
    pub weights: Option<Weights>,
    pub session: Option<Session>,
    pub records: Option<Records>,
}

/// Format of what streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    #[default]
    Fp4,
    Int8,
}

/// x or q.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Operands {
    pub rows: u64,
    pub features: u64,
    pub seed: u64,
    #[serde(default = "one")]
    pub magnitude: f32,
}

/// W.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Weights {
    pub outputs: u64,
    pub inputs: u64,
    pub seed: u64,
    #[serde(default)]
    pub format: Format,
    #[serde(default = "one")]
    pub magnitude: f32,
}

/// Tiles of K and V.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Session {
    pub tokens: u64,
    /// 64 or 128.
    pub head: u64,
    pub seed: u64,
    #[serde(default)]
    pub format: Format,
    #[serde(default = "one")]
    pub magnitude: f32,
}

/// Records of tokens: those that a session of the same seed has from `first` on.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Records {
    #[serde(default)]
    pub first: u64,
    pub tokens: u64,
    /// 64 or 128.
    pub head: u64,
    pub seed: u64,
    #[serde(default)]
    pub format: Format,
    #[serde(default = "one")]
    pub magnitude: f32,
}

const fn one() -> f32 {
    1.0
}

/// A name or a number.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "a number or a string")]
pub(super) enum NameOrNumber {
    Number(u64),
    Name(String),
}

/// A command.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandEntry {
    /// Name or number of the opcode.
    pub op: Option<NameOrNumber>,
    /// All 64 bytes as hexadecimal digits, instead of everything else but `expect`.
    pub raw: Option<String>,
    #[serde(default)]
    pub notify: bool,
    #[serde(default)]
    pub int8: bool,
    #[serde(default)]
    pub wide: bool,
    #[serde(default)]
    pub causal: bool,
    #[serde(default)]
    pub resident: bool,
    #[serde(default)]
    pub grouped: bool,
    #[serde(default)]
    pub rows: u64,
    #[serde(default)]
    pub operand: u64,
    #[serde(default)]
    pub wait: Vec<String>,
    #[serde(default)]
    pub signal: Vec<String>,
    #[serde(default)]
    pub wait_array: Vec<String>,
    pub source: Option<NameOrNumber>,
    #[serde(default)]
    pub bank: u64,
    pub destination: Option<NameOrNumber>,
    #[serde(default)]
    pub count: u64,
    #[serde(default)]
    pub length: u64,
    #[serde(default)]
    pub positions: Vec<u64>,
    /// Name of the status that it ends with.
    pub expect: Option<String>,
}
