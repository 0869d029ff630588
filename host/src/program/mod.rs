// SPDX-License-Identifier: Apache-2.0
//! Programs: commands for the core and the memory that they work on, as a TOML file (docs/programs/README.md).
//!
//! Regions of memory have names, commands name regions and tokens. Every field can be given any value that fits into its
//! bits, so that a program can show what the core refuses.

mod commands;
mod file;
mod generate;
mod regions;

use std::fs;
use std::ops::Range;
use std::path::Path;

use tandem_model::array::Geometry;
use tandem_model::reference::command::Core;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;

use crate::error::HostError;
use file::ProgramFile;

/// Addresses are below this.
pub const MOST_ADDRESS: u64 = 1 << 40;
/// The uppermost addresses, where the host keeps its rings of commands and completions.
pub const HOST_BYTES: u64 = 1 << 22;

/// A part of memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Name.
    pub name: String,
    /// Of its first byte, a multiple of 64.
    pub address: u64,
    /// What it holds at the start.
    pub bytes: Vec<u8>,
}

impl Region {
    /// The addresses of its bytes.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.address..self.address + self.bytes.len() as u64
    }
}

/// A command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The command.
    pub words: [u64; 8],
    /// The status that the file says it ends with.
    pub expect: Option<u8>,
}

/// A program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// By rising address; they do not overlap.
    pub regions: Vec<Region>,
    /// In order.
    pub steps: Vec<Step>,
    /// Where the core may write.
    pub bounds: Range<u64>,
    /// The lower half of the banks is not used for streaming.
    pub pinned: bool,
}

impl Program {
    /// Reads a file; what it generates is laid out for this geometry.
    ///
    /// # Errors
    /// When the file cannot be read, or says something that cannot be.
    pub fn load(path: &Path, geometry: Geometry) -> Result<Self, HostError> {
        let unreadable = |source| HostError::Unreadable { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, path, geometry)
    }

    /// The program of a file's text. `path` is for messages, and for the files that it names.
    ///
    /// # Errors
    /// When it says something that cannot be.
    pub fn parse(text: &str, path: &Path, geometry: Geometry) -> Result<Self, HostError> {
        let reason = |e: toml::de::Error| HostError::ProgramText {
            path: path.to_owned(),
            reason: e.to_string().trim_end().to_owned(),
        };
        let file: ProgramFile = toml::from_str(text).map_err(reason)?;
        let found = |wrong: Wrong| HostError::Program {
            path: path.to_owned(),
            place: wrong.place,
            expected: wrong.expected,
            found: wrong.found,
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        let regions = regions::read(&file.region, folder, geometry).map_err(found)?;
        let steps = commands::read(&file.command, &regions).map_err(found)?;
        let bounds = bounds(file.bounds.as_ref(), &regions).map_err(found)?;
        Ok(Self { regions, steps, bounds, pinned: file.pinned })
    }

    /// The untimed core of this geometry, with the program's memory as it is at the start.
    #[must_use]
    pub fn machine(&self, geometry: Geometry) -> Machine {
        let core = Core {
            rows: geometry.rows,
            segments: geometry.segments,
            bank_words: geometry.words(),
            bounds: self.bounds.clone(),
        };
        let mut image = Image::new(0..MOST_ADDRESS);
        for region in &self.regions {
            image.store(region.address, &region.bytes);
        }
        Machine::new(core, image)
    }
}

/// Something that cannot be.
#[derive(Debug)]
struct Wrong {
    place: String,
    expected: String,
    found: String,
}

fn wrong<T>(
    place: impl Into<String>,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T, Wrong> {
    Err(Wrong { place: place.into(), expected: expected.into(), found: found.into() })
}

/// From the start of the first of two regions to the end of the second; all regions where none are named.
fn bounds(named: Option<&[String; 2]>, regions: &[Region]) -> Result<Range<u64>, Wrong> {
    let Some([first, last]) = named else {
        let end = regions.iter().map(|region| region.range().end).max();
        return Ok(regions.first().map_or(0, |region| region.address)..end.unwrap_or(0));
    };
    let (first, last) = (region(regions, "bounds", first)?, region(regions, "bounds", last)?);
    if first.address > last.address {
        let found = format!("`{}` at {:#x} behind `{}`", first.name, first.address, last.name);
        return wrong("bounds", "the region at the lower address first", found);
    }
    Ok(first.address..last.range().end)
}

fn region<'a>(regions: &'a [Region], place: &str, name: &str) -> Result<&'a Region, Wrong> {
    let known = || regions.iter().map(|region| region.name.as_str()).collect::<Vec<_>>().join(", ");
    match regions.iter().find(|region| region.name == name) {
        Some(region) => Ok(region),
        None if regions.is_empty() => wrong(place, "a region, of which there is none", format!("`{name}`")),
        None => wrong(place, format!("one of the regions {}", known()), format!("`{name}`")),
    }
}

/// Bytes of hexadecimal digits; blanks between bytes do not count.
fn hex(place: &str, text: &str) -> Result<Vec<u8>, Wrong> {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    if let Some(other) = digits.iter().find(|c| !c.is_ascii_hexdigit()) {
        return wrong(place, "hexadecimal digits", format!("`{other}`"));
    }
    if !digits.len().is_multiple_of(2) {
        return wrong(place, "two hexadecimal digits for each byte", format!("{} digits", digits.len()));
    }
    let value = |c: char| u8::try_from(c.to_digit(16).expect("seen")).expect("4 bits");
    Ok(digits.chunks(2).map(|pair| value(pair[0]) << 4 | value(pair[1])).collect())
}
