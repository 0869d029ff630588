// SPDX-License-Identifier: Apache-2.0
//! Flat images of registers and ports, and the list of names that goes with them.
//!
//! An element of at most 8, 16, 32 or 64 bits takes that many bits of the image, a wider one whole 32-bit words: the
//! way Verilator stores it. Elements follow each other without padding, little-endian.

use crate::block::{Bits, Format, Visit, Visitor};

/// Bytes that an element of `width` bits takes.
#[must_use]
pub const fn element_bytes(width: u32) -> usize {
    match width {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        33..=64 => 8,
        _ => (width.div_ceil(32) * 4) as usize,
    }
}

/// One named register, port or memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Path below the top module, as the RTL spells it: `gen_row[2].u_edge.flags_q`.
    pub path: String,
    /// Bits of one element.
    pub width: u32,
    /// Elements of an unpacked array; 1 for everything else.
    pub elements: usize,
    /// A memory: compared whole at snapshots, not every cycle.
    pub memory: bool,
    /// Bits of one entry of a packed array, the width itself otherwise.
    pub entry_width: u32,
    /// How to print an entry.
    pub format: Format,
    /// Where it starts in its image.
    pub offset: usize,
}

impl Field {
    /// Bytes in the image.
    #[must_use]
    pub fn bytes(&self) -> usize {
        element_bytes(self.width) * self.elements
    }

    /// Bits in the design.
    #[must_use]
    pub fn bits(&self) -> u64 {
        u64::from(self.width) * self.elements as u64
    }

    /// The bits of element `index`, least significant first, out of an image.
    #[must_use]
    pub fn element(&self, image: &[u8], index: usize) -> Vec<bool> {
        let size = element_bytes(self.width);
        let bytes = &image[self.offset + index * size..][..size];
        (0..self.width as usize).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect()
    }
}

/// The registers (or ports) and the memories of something, in the order of their images.
#[must_use]
pub fn fields<T: Visit>(of: &mut T) -> Fields {
    let mut list = Lister::default();
    of.visit(&mut list);
    list.fields
}

/// Result of [`fields`].
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fields {
    /// Compared every cycle.
    pub registers: Vec<Field>,
    /// Compared whole at snapshots.
    pub memories: Vec<Field>,
}

impl Fields {
    /// Bytes of the register image.
    #[must_use]
    pub fn register_bytes(&self) -> usize {
        self.registers.iter().map(Field::bytes).sum()
    }

    /// Bytes of the memory image.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.memories.iter().map(Field::bytes).sum()
    }

    /// Bits of all registers, memories excluded.
    #[must_use]
    pub fn register_bits(&self) -> u64 {
        self.registers.iter().map(Field::bits).sum()
    }
}

#[derive(Default)]
struct Lister {
    scope: Vec<String>,
    fields: Fields,
    offsets: [usize; 2],
}

impl Lister {
    fn push(&mut self, name: &str, width: u32, elements: usize, entry: (u32, Format), memory: bool) {
        let mut path = self.scope.join(".");
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(name);
        let offset = &mut self.offsets[usize::from(memory)];
        let field =
            Field { path, width, elements, memory, entry_width: entry.0, format: entry.1, offset: *offset };
        *offset += field.bytes();
        if memory { &mut self.fields.memories } else { &mut self.fields.registers }.push(field);
    }
}

impl Visitor for Lister {
    fn enter(&mut self, name: &'static str, index: Option<usize>) {
        self.scope.push(index.map_or_else(|| name.to_owned(), |i| format!("{name}[{i}]")));
    }
    fn leave(&mut self) {
        self.scope.pop();
    }
    fn bits<T: Bits>(&mut self, name: &'static str, _: &mut T) {
        self.push(name, T::WIDTH, 1, (T::WIDTH, T::FORMAT), false);
    }
    fn packed<T: Bits>(&mut self, name: &'static str, values: &mut [T]) {
        let count = u32::try_from(values.len()).expect("a packed array of fewer than 2^32 entries");
        self.push(name, T::WIDTH * count, 1, (T::WIDTH, T::FORMAT), false);
    }
    fn array<T: Bits>(&mut self, name: &'static str, values: &mut [T]) {
        self.push(name, T::WIDTH, values.len(), (T::WIDTH, T::FORMAT), false);
    }
    fn memory<T: Bits>(&mut self, name: &'static str, values: &mut [T], _: &mut [bool]) {
        self.push(name, T::WIDTH, values.len(), (T::WIDTH, T::FORMAT), true);
    }
}

/// Writes the register (or port) image of `of` into `image`, which it clears first.
pub fn pack<T: Visit>(of: &mut T, image: &mut Vec<u8>) {
    image.clear();
    of.visit(&mut Packer { image });
}

struct Packer<'a> {
    image: &'a mut Vec<u8>,
}

impl Packer<'_> {
    #[inline]
    fn push(&mut self, width: u32, bits: u64) {
        let bytes = bits.to_le_bytes();
        match element_bytes(width) {
            1 => self.image.push(bytes[0]),
            2 => self.image.extend_from_slice(&bytes[..2]),
            4 => self.image.extend_from_slice(&bytes[..4]),
            _ => self.image.extend_from_slice(&bytes),
        }
    }
}

impl Visitor for Packer<'_> {
    #[inline]
    fn enter(&mut self, _: &'static str, _: Option<usize>) {}
    #[inline]
    fn leave(&mut self) {}
    #[inline]
    fn bits<T: Bits>(&mut self, _: &'static str, value: &mut T) {
        self.push(T::WIDTH, value.to_bits());
    }
    fn packed<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        let total = T::WIDTH as usize * values.len();
        let start = self.image.len();
        let size = element_bytes(u32::try_from(total).expect("a port of fewer than 2^32 bits"));
        // Collected in 64 bits and written bytewise; what is left of the last element is zero.
        let (mut pending, mut held) = (0u128, 0);
        for value in values {
            pending |= u128::from(value.to_bits()) << held;
            held += T::WIDTH;
            while held >= 8 {
                self.image.push(pending.to_le_bytes()[0]);
                pending >>= 8;
                held -= 8;
            }
        }
        if held > 0 {
            self.image.push(pending.to_le_bytes()[0]);
        }
        self.image.resize(start + size, 0);
    }
    #[inline]
    fn array<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        for value in values {
            self.push(T::WIDTH, value.to_bits());
        }
    }
    fn memory<T: Bits>(&mut self, _: &'static str, _: &mut [T], _: &mut [bool]) {}
}

/// Writes the memory image of `of` and, byte for byte beside it, 0xFF where the entry has been written, else 0.
pub fn pack_memories<T: Visit>(of: &mut T, image: &mut Vec<u8>, mask: &mut Vec<u8>) {
    image.clear();
    mask.clear();
    of.visit(&mut MemoryPacker { packer: Packer { image }, mask });
}

struct MemoryPacker<'a> {
    packer: Packer<'a>,
    mask: &'a mut Vec<u8>,
}

impl Visitor for MemoryPacker<'_> {
    fn enter(&mut self, _: &'static str, _: Option<usize>) {}
    fn leave(&mut self) {}
    fn bits<T: Bits>(&mut self, _: &'static str, _: &mut T) {}
    fn packed<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn array<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn memory<T: Bits>(&mut self, name: &'static str, values: &mut [T], written: &mut [bool]) {
        self.packer.array(name, values);
        for &w in written.iter() {
            let byte = if w { 0xFF } else { 0 };
            self.mask.extend(std::iter::repeat_n(byte, element_bytes(T::WIDTH)));
        }
    }
}

/// Reads an image of ports or registers back. Returns false when the image is not of the right length.
pub fn unpack<T: Visit>(image: &[u8], into: &mut T) -> bool {
    let mut reader = Unpacker { image, at: 0 };
    into.visit(&mut reader);
    reader.at == image.len()
}

struct Unpacker<'a> {
    image: &'a [u8],
    at: usize,
}

impl Unpacker<'_> {
    fn take(&mut self, size: usize) -> &[u8] {
        let end = (self.at + size).min(self.image.len());
        let bytes = &self.image[self.at.min(end)..end];
        self.at += size;
        bytes
    }

    fn word(&mut self, width: u32) -> u64 {
        let mut bytes = [0; 8];
        let taken = self.take(element_bytes(width));
        bytes[..taken.len()].copy_from_slice(taken);
        u64::from_le_bytes(bytes)
    }
}

impl Visitor for Unpacker<'_> {
    fn enter(&mut self, _: &'static str, _: Option<usize>) {}
    fn leave(&mut self) {}
    fn bits<T: Bits>(&mut self, _: &'static str, value: &mut T) {
        *value = T::from_bits(self.word(T::WIDTH));
    }
    fn packed<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        let total = T::WIDTH as usize * values.len();
        let bytes = self.take(element_bytes(u32::try_from(total).expect("a port of fewer than 2^32 bits")));
        for (i, value) in values.iter_mut().enumerate() {
            let start = i * T::WIDTH as usize;
            let bit = |b: usize| bytes.get(b / 8).is_some_and(|x| x >> (b % 8) & 1 == 1);
            let bits = (0..T::WIDTH as usize).fold(0, |acc, b| acc | u64::from(bit(start + b)) << b);
            *value = T::from_bits(bits);
        }
    }
    fn array<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        for value in values {
            *value = T::from_bits(self.word(T::WIDTH));
        }
    }
    fn memory<T: Bits>(&mut self, _: &'static str, _: &mut [T], _: &mut [bool]) {}
}
