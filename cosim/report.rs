// SPDX-License-Identifier: Apache-2.0
//! What a person sees when RTL and model differ.

use std::fmt;
use std::path::PathBuf;

use tandem_model::block::Format;
use tandem_model::image::{Field, element_bytes};
use tandem_wave::decode;

use crate::lockstep::{HISTORY, Layout};
use crate::replay::Recording;

/// Differences printed in full; the rest is counted.
const SHOWN: usize = 8;

/// Which image a difference was found in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// A register.
    Register,
    /// An output port.
    Output,
    /// A memory entry.
    Memory,
}

/// One register, port or memory entry with two values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Where.
    pub side: Side,
    /// Path below the top module.
    pub path: String,
    /// Element of an unpacked array.
    pub index: Option<usize>,
    /// How to print it.
    pub format: Format,
    /// Bits of one entry of a packed array, else of the whole.
    pub entry_width: u32,
    /// The RTL's bits, least significant first.
    pub rtl: Vec<bool>,
    /// The model's bits.
    pub model: Vec<bool>,
}

impl Difference {
    /// Compares two images field by field.
    pub(crate) fn collect(side: Side, fields: &[Field], rtl: &[u8], model: &[u8], found: &mut Vec<Self>) {
        for field in fields {
            let whole = field.offset..field.offset + field.bytes();
            if rtl[whole.clone()] == model[whole] {
                continue;
            }
            let size = element_bytes(field.width);
            for index in 0..field.elements {
                let at = field.offset + index * size;
                if rtl[at..at + size] != model[at..at + size] {
                    found.push(Self {
                        side,
                        path: field.path.clone(),
                        index: (field.elements > 1).then_some(index),
                        format: field.format,
                        entry_width: field.entry_width,
                        rtl: field.element(rtl, index),
                        model: field.element(model, index),
                    });
                }
            }
        }
    }

    /// Path with the element's index.
    #[must_use]
    pub fn name(&self) -> String {
        self.index.map_or_else(|| self.path.clone(), |i| format!("{}[{i}]", self.path))
    }

    /// Instance that holds the register, `u_pe` spelt `pe`; the device itself for its own registers.
    fn block<'a>(&'a self, device: &'a str) -> &'a str {
        let instances = self.path.split('.').rev().skip(1);
        instances.filter_map(|part| part.strip_prefix("u_")).next().unwrap_or(device)
    }

    fn decoded(&self, bits: &[bool]) -> String {
        let entries: Vec<_> =
            bits.chunks(usize::try_from(self.entry_width).unwrap_or(usize::MAX).max(1)).collect();
        if let [one] = entries.as_slice() {
            return decode(self.format, one);
        }
        // Of a packed array only the entries that differ are worth reading.
        let differing = entries.iter().enumerate().filter(|(i, entry)| {
            let start = i * usize::try_from(self.entry_width).unwrap_or(0);
            self.rtl.get(start..start + entry.len()) != self.model.get(start..start + entry.len())
        });
        differing
            .map(|(i, entry)| format!("[{i}] {}", decode(self.format, entry)))
            .collect::<Vec<_>>()
            .join("  ")
    }
}

/// Hex digits of bits, least significant first.
fn hex(bits: &[bool]) -> String {
    let digits = bits.chunks(4).rev().map(|nibble| {
        let value = nibble.iter().rev().fold(0, |acc, &bit| acc << 1 | u32::from(bit));
        char::from_digit(value, 16).unwrap_or('?')
    });
    digits.collect()
}

/// RTL and model differ: everything there is to know about it.
#[derive(Clone, Debug)]
pub struct Mismatch {
    /// The device.
    pub device: String,
    /// First differing cycle, counted from the first clock.
    pub cycle: u64,
    /// What differs, registers first.
    pub differences: Vec<Difference>,
    /// The beat that the first differing register was working on.
    pub in_flight: Option<String>,
    /// The last cycles of inputs, oldest first.
    pub history: Vec<String>,
    /// The seed of the registers' initial values.
    pub seed: u64,
    /// Replay file.
    pub replay: Option<PathBuf>,
    /// Waveform around the failure.
    pub wave: Option<PathBuf>,
    /// What else to say.
    pub notes: Vec<String>,
}

impl Mismatch {
    pub(crate) fn new(
        layout: &Layout,
        cycle: u64,
        differences: Vec<Difference>,
        recording: &Recording,
        mut depth: impl FnMut(&str) -> Option<u64>,
    ) -> Self {
        let show = |at: u64| {
            let (rst_ni, image) = recording.at(at);
            format!("{at:>8}  {}{}", if rst_ni { "" } else { "reset  " }, inputs(&layout.inputs, image))
        };
        let first = cycle.saturating_sub(HISTORY as u64 - 1);
        let depth = differences.first().and_then(|d| depth(&d.path));
        let entered = depth.and_then(|d| cycle.checked_sub(d));
        Self {
            device: layout.device.clone(),
            cycle,
            in_flight: entered.map(show),
            history: (first..=cycle).map(show).collect(),
            seed: recording.seed,
            differences,
            replay: None,
            wave: None,
            notes: Vec::new(),
        }
    }
}

/// Ports that are not zero, decoded.
fn inputs(fields: &[Field], image: &[u8]) -> String {
    let mut shown = Vec::new();
    for field in fields {
        let bits = field.element(image, 0);
        if bits.iter().any(|&b| b) {
            let text =
                if field.entry_width == field.width { decode(field.format, &bits) } else { hex(&bits) };
            shown.push(format!("{}={text}", field.path));
        }
    }
    if shown.is_empty() { "idle".to_owned() } else { shown.join("  ") }
}

impl std::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "MISMATCH in {} at cycle {} (seed {})", self.device, self.cycle, self.seed)?;
        for difference in self.differences.iter().take(SHOWN) {
            let kind = match difference.side {
                Side::Register => "register",
                Side::Output => "output",
                Side::Memory => "memory",
            };
            writeln!(f, "  block {}, {kind} {}", difference.block(&self.device), difference.name())?;
            writeln!(f, "    RTL    {}  {}", hex(&difference.rtl), difference.decoded(&difference.rtl))?;
            writeln!(f, "    model  {}  {}", hex(&difference.model), difference.decoded(&difference.model))?;
            let differing: Vec<_> =
                difference.rtl.iter().zip(&difference.model).map(|(a, b)| a != b).collect();
            writeln!(f, "    bits   {}", hex(&differing))?;
        }
        if self.differences.len() > SHOWN {
            writeln!(f, "  and {} more", self.differences.len() - SHOWN)?;
        }
        if let Some(beat) = &self.in_flight {
            writeln!(f, "  beat in flight, entered at\n  {beat}")?;
        }
        writeln!(f, "  inputs of the last {} cycles", self.history.len())?;
        for line in &self.history {
            writeln!(f, "  {line}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note: {note}")?;
        }
        if let Some(path) = &self.wave {
            writeln!(f, "  waveform {}", path.display())?;
        }
        if let Some(path) = &self.replay {
            writeln!(f, "  replay file {}", path.display())?;
            writeln!(f, "  replay with: tandem replay {} --wave replay.vcd", path.display())?;
        }
        Ok(())
    }
}
