// SPDX-License-Identifier: Apache-2.0
//! Recorded inputs, and the replay files that hold them: JSON that a person can read and edit.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tandem_model::devices::Device;
use tandem_model::image::{Field, element_bytes};

use crate::error::{Error, Result};

/// Version of the file format: 2 has soft errors. A recording without any is written as 1, which older programs read too.
const VERSION: u32 = 2;
/// A recording is held in memory; an absurd count is a damaged file.
const MOST_CYCLES: u64 = 100_000_000;

/// The inputs of every clock since the start, in memory: about 160 bytes a clock for the `small` array, so 10^8 clocks (what a
/// replay file may hold) are 16 GB. Longer jobs run in pieces.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The device.
    pub device: String,
    /// Seed of the registers' initial values.
    pub seed: u64,
    /// What made it: printed in reports.
    pub origin: String,
    inputs: Vec<Field>,
    stride: usize,
    images: Vec<u8>,
    resets: Vec<bool>,
    upsets: Vec<Upset>,
}

/// A soft error: a bit of a memory that flips before a clock.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upset {
    /// Before this clock; the number of all clocks for one behind the last.
    pub cycle: u64,
    /// Path of the memory.
    pub memory: String,
    /// Which entry.
    pub entry: usize,
    /// Which bit of it.
    pub bit: u32,
}

/// What every version of the format has.
#[derive(Deserialize)]
struct Version {
    tandem_replay: u32,
}

/// A replay file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tandem_replay: u32,
    device: String,
    rows: Option<usize>,
    segments: Option<usize>,
    seed: u64,
    origin: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    upsets: Vec<Upset>,
    cycles: Vec<Entry>,
}

/// Equal cycles in a row. Ports that are zero are left out.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default = "one", skip_serializing_if = "is_one")]
    times: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reset: bool,
    /// Port to hex digits, least significant byte first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    inputs: BTreeMap<String, String>,
}

const fn one() -> u64 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_one(n: &u64) -> bool {
    *n == 1
}

impl Recording {
    /// An empty recording of a device with these input ports.
    #[must_use]
    pub fn new(device: &str, inputs: &[Field], seed: u64) -> Self {
        Self {
            device: device.to_owned(),
            seed,
            origin: String::new(),
            inputs: inputs.to_vec(),
            stride: inputs.iter().map(Field::bytes).sum(),
            images: Vec::new(),
            resets: Vec::new(),
            upsets: Vec::new(),
        }
    }

    /// Adds a clock.
    pub fn push(&mut self, rst_ni: bool, image: &[u8]) {
        self.images.extend_from_slice(image);
        self.resets.push(rst_ni);
    }

    /// Adds a soft error before the next clock.
    pub fn upset(&mut self, upset: Upset) {
        self.upsets.push(upset);
    }

    /// Soft errors before a clock.
    #[must_use]
    pub fn upsets_at(&self, cycle: u64) -> &[Upset] {
        let from = self.upsets.partition_point(|u| u.cycle < cycle);
        let to = self.upsets.partition_point(|u| u.cycle <= cycle);
        &self.upsets[from..to]
    }

    /// Clocks recorded.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.resets.len() as u64
    }

    /// True when nothing was recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.resets.is_empty()
    }

    /// `rst_ni` and input image of a cycle.
    ///
    /// # Panics
    /// When the cycle was not recorded.
    #[must_use]
    pub fn at(&self, cycle: u64) -> (bool, &[u8]) {
        let cycle = usize::try_from(cycle).expect("a recording in memory is shorter than the address space");
        (self.resets[cycle], &self.images[cycle * self.stride..][..self.stride])
    }

    /// Writes a replay file, whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let geometry = Device::by_name(&self.device).map(|d| d.geometry);
        let mut cycles: Vec<Entry> = Vec::new();
        for cycle in 0..self.len() {
            let (rst_ni, image) = self.at(cycle);
            let entry = Entry { times: 1, reset: !rst_ni, inputs: self.ports(image) };
            match cycles.last_mut() {
                Some(last) if last.reset == entry.reset && last.inputs == entry.inputs => last.times += 1,
                _ => cycles.push(entry),
            }
        }
        let file = File {
            tandem_replay: if self.upsets.is_empty() { 1 } else { VERSION },
            device: self.device.clone(),
            rows: geometry.map(|g| g.rows),
            segments: geometry.map(|g| g.segments),
            seed: self.seed,
            origin: self.origin.clone(),
            upsets: self.upsets.clone(),
            cycles,
        };
        write_atomically(path, &serde_json::to_vec_pretty(&file).expect("plain data"))
    }

    fn ports(&self, image: &[u8]) -> BTreeMap<String, String> {
        let mut ports = BTreeMap::new();
        for field in &self.inputs {
            let bytes = &image[field.offset..][..field.bytes()];
            if bytes.iter().any(|&b| b != 0) {
                ports.insert(field.path.clone(), bytes.iter().map(|b| format!("{b:02x}")).collect());
            }
        }
        ports
    }

    /// The device that a replay file names.
    ///
    /// # Errors
    /// When the file cannot be read, is no replay file, or is for a device or geometry that this program does not have.
    pub fn device_of(path: &Path) -> Result<Device> {
        let file = load(path)?;
        let names: Vec<_> = Device::ALL.iter().map(|d| d.name).collect();
        let device = Device::by_name(&file.device).ok_or_else(|| Error::Replay {
            path: path.to_owned(),
            what: format!(
                "it is for device `{}`; this program has {}. Replay it with the program that wrote it",
                file.device,
                names.join(", ")
            ),
        })?;
        let (rows, segments) = (device.geometry.rows, device.geometry.segments);
        if (file.rows, file.segments) != (Some(rows), Some(segments)) {
            let shown = |n: Option<usize>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
            return Err(Error::Replay {
                path: path.to_owned(),
                what: format!(
                    "it is for another geometry: {} rows x {} segments, `{}` has {rows} x {segments}. \
                     Replay it with a program built for that geometry",
                    shown(file.rows),
                    shown(file.segments),
                    device.name
                ),
            });
        }
        Ok(device)
    }

    /// Reads a replay file for a device with these input ports.
    ///
    /// # Errors
    /// When the file cannot be read or a port or value does not belong to the device.
    pub fn read(path: &Path, inputs: &[Field]) -> Result<Self> {
        let file = load(path)?;
        let mut recording = Self::new(&file.device, inputs, file.seed);
        recording.origin = file.origin;
        recording.upsets = file.upsets;
        for entry in &file.cycles {
            let image =
                recording.image(entry).map_err(|what| Error::Replay { path: path.to_owned(), what })?;
            for _ in 0..entry.times {
                recording.push(!entry.reset, &image);
            }
        }
        Ok(recording)
    }

    fn image(&self, entry: &Entry) -> std::result::Result<Vec<u8>, String> {
        let mut image = vec![0; self.stride];
        for (port, digits) in &entry.inputs {
            let field = self.inputs.iter().find(|f| f.path == *port).ok_or_else(|| {
                let known: Vec<_> = self.inputs.iter().map(|f| f.path.as_str()).collect();
                format!("`{}` has no input `{port}`; expected {}", self.device, known.join(", "))
            })?;
            let bytes =
                parse_hex(digits).filter(|b| b.len() == element_bytes(field.width)).ok_or_else(|| {
                    format!(
                        "input `{port}` takes {} hex digits, got `{digits}`",
                        2 * element_bytes(field.width)
                    )
                })?;
            image[field.offset..][..bytes.len()].copy_from_slice(&bytes);
        }
        Ok(image)
    }
}

fn load(path: &Path) -> Result<File> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Io {
        action: "read the replay file",
        path: path.to_owned(),
        source,
    })?;
    let bad = |what: String| Error::Replay { path: path.to_owned(), what };
    let none = |e| bad(format!("not a replay file ({e}); expected the JSON that a failing run writes"));
    // The version before the rest: another one may have other keys.
    let Version { tandem_replay: version } = serde_json::from_str(&text).map_err(none)?;
    if !(1..=VERSION).contains(&version) {
        return Err(bad(format!(
            "format version {version}, this program reads 1 to {VERSION}. Replay it with the program that wrote it"
        )));
    }
    let file: File = serde_json::from_str(&text).map_err(none)?;
    let cycles = match file.cycles.iter().try_fold(0u64, |sum, e| sum.checked_add(e.times)) {
        // Equal at every clock of none would pass for a verdict.
        Some(0) => return Err(bad("it holds no cycles; expected at least one".to_owned())),
        Some(cycles @ 1..=MOST_CYCLES) => cycles,
        _ => {
            let what = format!("it holds more than {MOST_CYCLES} cycles; expected fewer, it may be damaged");
            return Err(bad(what));
        }
    };
    if version == 1 && !file.upsets.is_empty() {
        return Err(bad("format version 1 has no upsets; expected version 2".to_owned()));
    }
    if !file.upsets.is_sorted_by_key(|u| u.cycle) || file.upsets.last().is_some_and(|u| u.cycle > cycles) {
        return Err(bad(format!("its upsets are not in the order of cycles 0 to {cycles}, as expected")));
    }
    Ok(file)
}

fn parse_hex(digits: &str) -> Option<Vec<u8>> {
    // The standard parser takes a sign, and half a byte for a whole one.
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
        return None;
    }
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Writes a file so that a reader sees all of it or none.
///
/// # Errors
/// When the folder cannot be written to.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |source| Error::Io { action: "write", path: path.to_owned(), source };
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(fail)?;
    let mut builder = tempfile::Builder::new();
    // Temporary files are for the owner's eyes only; a result is as public as the umask lets it be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.persist(path).map_err(|e| fail(e.error))?;
    Ok(())
}
