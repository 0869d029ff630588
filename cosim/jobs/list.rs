// SPDX-License-Identifier: Apache-2.0
//! Blocks, geometries and registers.

use serde::Serialize;
use tandem_model::block::Block;
use tandem_model::devices::{Device, WithModel};
use tandem_model::image::{Field, fields};

/// A device and what lockstep compares in it.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Device.
    pub device: &'static str,
    /// Name for `--block`.
    pub block: &'static str,
    /// Geometry.
    pub geometry: &'static str,
    /// Rows of the geometry.
    pub rows: usize,
    /// Segments of the geometry.
    pub segments: usize,
    /// Register elements.
    pub registers: u64,
    /// Their bits.
    pub register_bits: u64,
    /// Bits in memories.
    pub memory_bits: u64,
    /// Names.
    pub names: Vec<Register>,
}

/// A register or memory.
#[derive(Clone, Debug, Serialize)]
pub struct Register {
    /// Path below the top module.
    pub path: String,
    /// Bits of an element.
    pub width: u32,
    /// Elements.
    pub elements: usize,
    /// Compared at snapshots instead of every clock.
    pub memory: bool,
}

struct Lister;

impl WithModel for Lister {
    type Output = Entry;

    fn run<B: Block>(self, device: Device, mut model: B) -> Entry {
        let fields = fields(&mut model);
        let name = |f: &Field| Register {
            path: f.path.clone(),
            width: f.width,
            elements: f.elements,
            memory: f.memory,
        };
        Entry {
            device: device.name,
            block: device.kind.name(),
            geometry: device.geometry.name,
            rows: device.geometry.rows,
            segments: device.geometry.segments,
            registers: fields.registers.iter().map(|f| f.elements as u64).sum(),
            register_bits: fields.register_bits(),
            memory_bits: fields.memories.iter().map(Field::bits).sum(),
            names: fields.registers.iter().chain(&fields.memories).map(name).collect(),
        }
    }
}

/// All devices.
#[must_use]
pub fn run() -> Vec<Entry> {
    Device::ALL.iter().map(|d| d.with_model(Lister)).collect()
}
