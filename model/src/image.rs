// SPDX-License-Identifier: Apache-2.0
//! Flat images of registers and ports, and the list of names that goes with them.
//!
//! An element of at most 8, 16, 32 or 64 bits takes that many bits of the image, a wider one whole 32-bit words: the
//! way Verilator stores it. Elements follow each other without padding, little-endian.

use crate::block::{Bits, Format, Visit, Visitor};

/// Bytes that an element of `width` bits takes.
#[must_use]
#[inline(always)]
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

/// Writes the register (or port) image of `of` into `image`, whatever that held before.
pub fn pack<T: Visit>(of: &mut T, image: &mut Vec<u8>) {
    let mut packer = Packer::new(image);
    of.visit(&mut packer);
    packer.finish();
}

/// Bytes that a write may touch beyond the element: every element is written as a whole 64-bit word.
const SLACK: usize = 8;

struct Packer<'a> {
    image: &'a mut Vec<u8>,
    at: usize,
}

impl<'a> Packer<'a> {
    fn new(image: &'a mut Vec<u8>) -> Self {
        // The image of the last cycle has the right length already; only the first call grows it.
        image.resize(image.len() + SLACK, 0);
        Self { image, at: 0 }
    }

    fn finish(self) {
        self.image.truncate(self.at);
    }

    /// Grows the image for the first walk, element by element.
    #[cold]
    fn grow(&mut self) {
        self.image.resize(2 * self.image.len() + SLACK, 0);
    }

    #[inline(always)]
    fn push(&mut self, bytes: usize, bits: u64) {
        if let Some(word) = self.image.get_mut(self.at..self.at + SLACK) {
            word.copy_from_slice(&bits.to_le_bytes());
            self.at += bytes;
        } else {
            self.grow();
            self.push_again(bytes, bits);
        }
    }

    #[cold]
    fn push_again(&mut self, bytes: usize, bits: u64) {
        self.image[self.at..][..SLACK].copy_from_slice(&bits.to_le_bytes());
        self.at += bytes;
    }
}

impl Visitor for Packer<'_> {
    #[inline(always)]
    fn enter(&mut self, _: &'static str, _: Option<usize>) {}
    #[inline(always)]
    fn leave(&mut self) {}
    #[inline(always)]
    fn bits<T: Bits>(&mut self, _: &'static str, value: &mut T) {
        self.push(element_bytes(T::WIDTH), value.to_bits());
    }
    fn packed<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        let total = T::WIDTH as usize * values.len();
        let start = self.at;
        let size = element_bytes(u32::try_from(total).expect("a port of fewer than 2^32 bits"));
        // Collected in 128 bits, written 64 at a time.
        let (mut pending, mut held) = (0u128, 0);
        for value in values {
            pending |= u128::from(value.to_bits()) << held;
            held += T::WIDTH;
            if held >= 64 {
                self.push(8, low_u64(pending));
                pending >>= 64;
                held -= 64;
            }
        }
        if held > 0 {
            self.push(8, low_u64(pending));
        }
        // What is left of the last word belongs to the next element.
        self.at = start + size;
    }
    #[inline(always)]
    fn array<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        for value in values {
            self.push(element_bytes(T::WIDTH), value.to_bits());
        }
    }
    fn memory<T: Bits>(&mut self, _: &'static str, _: &mut [T], _: &mut [bool]) {}
}

/// The low 64 bits.
fn low_u64(bits: u128) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = bits.to_le_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// Writes the memory image of `of` and, byte for byte beside it, 0xFF where the entry has been written, else 0.
pub fn pack_memories<T: Visit>(of: &mut T, image: &mut Vec<u8>, mask: &mut Vec<u8>) {
    image.clear();
    mask.clear();
    of.visit(&mut MemoryPacker { image, mask });
}

struct MemoryPacker<'a> {
    image: &'a mut Vec<u8>,
    mask: &'a mut Vec<u8>,
}

impl Visitor for MemoryPacker<'_> {
    fn enter(&mut self, _: &'static str, _: Option<usize>) {}
    fn leave(&mut self) {}
    fn bits<T: Bits>(&mut self, _: &'static str, _: &mut T) {}
    fn packed<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn array<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn memory<T: Bits>(&mut self, _: &'static str, values: &mut [T], written: &mut [bool]) {
        // Memories are large, and the same size for a whole field: its place is made once, not entry by entry.
        let size = element_bytes(T::WIDTH);
        let start = self.image.len();
        self.image.resize(start + size * values.len(), 0);
        for (bytes, value) in self.image[start..].chunks_exact_mut(size).zip(values) {
            bytes.copy_from_slice(&value.to_bits().to_le_bytes()[..size]);
        }
        self.mask.resize(start + size * written.len(), 0);
        for (bytes, &written) in self.mask[start..].chunks_exact_mut(size).zip(written.iter()) {
            bytes.fill(if written { 0xFF } else { 0 });
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
            // A value of at most 64 bits lies in the 9 bytes from its first.
            let mut window = [0; 16];
            let from = bytes.get(start / 8..).unwrap_or_default();
            let from = &from[..from.len().min(9)];
            window[..from.len()].copy_from_slice(from);
            let bits = low_u64(u128::from_le_bytes(window) >> (start % 8));
            *value = T::from_bits(bits & (u64::MAX >> (64 - T::WIDTH)));
        }
    }
    fn array<T: Bits>(&mut self, _: &'static str, values: &mut [T]) {
        for value in values {
            *value = T::from_bits(self.word(T::WIDTH));
        }
    }
    fn memory<T: Bits>(&mut self, _: &'static str, _: &mut [T], _: &mut [bool]) {}
}

/// Why a memory bit cannot be flipped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlipError {
    /// There is no memory of this path.
    NoMemory(String),
    /// The memory has only so many entries.
    NoEntry(usize),
    /// Its entries have only so many bits.
    NoBit(u32),
    /// Nobody has written the entry: it holds nothing defined.
    NotWritten,
}

impl std::fmt::Display for FlipError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoMemory(path) => write!(f, "there is no memory `{path}`"),
            Self::NoEntry(entries) => write!(f, "the memory has {entries} entries"),
            Self::NoBit(bits) => write!(f, "an entry has {bits} bits"),
            Self::NotWritten => f.write_str("nobody has written the entry, it holds nothing defined"),
        }
    }
}

impl std::error::Error for FlipError {}

/// Flips one bit of a memory entry: a soft error. Only what has been written can be flipped.
///
/// # Errors
/// When there is no such bit, or nobody has written the entry.
pub fn flip<T: Visit>(of: &mut T, path: &str, entry: usize, bit: u32) -> Result<(), FlipError> {
    let done = Err(FlipError::NoMemory(path.to_owned()));
    let mut walk = Flipper { left: vec![Some(path)], entry, bit, done };
    of.visit(&mut walk);
    walk.done
}

/// Follows a path: the last of `left` is what is left of it in this scope, `None` outside of it.
struct Flipper<'a> {
    left: Vec<Option<&'a str>>,
    entry: usize,
    bit: u32,
    done: Result<(), FlipError>,
}

impl Flipper<'_> {
    fn flip<T: Bits>(&self, values: &mut [T], written: &[bool]) -> Result<(), FlipError> {
        let entries = values.len();
        let value = values.get_mut(self.entry).ok_or(FlipError::NoEntry(entries))?;
        if self.bit >= T::WIDTH {
            return Err(FlipError::NoBit(T::WIDTH));
        }
        if !written[self.entry] {
            return Err(FlipError::NotWritten);
        }
        *value = T::from_bits(value.to_bits() ^ 1 << self.bit);
        Ok(())
    }
}

/// What is left of `path` behind the scope `name[index].`, if it begins so.
fn behind<'a>(path: &'a str, name: &str, index: Option<usize>) -> Option<&'a str> {
    let rest = path.strip_prefix(name)?;
    let rest = match index {
        None => rest,
        Some(index) => {
            let (digits, rest) = rest.strip_prefix('[')?.split_once(']')?;
            (digits.parse() == Ok(index)).then_some(rest)?
        }
    };
    rest.strip_prefix('.')
}

impl Visitor for Flipper<'_> {
    fn enter(&mut self, name: &'static str, index: Option<usize>) {
        let outside = self.left.last().copied().flatten();
        self.left.push(outside.and_then(|path| behind(path, name, index)));
    }
    fn leave(&mut self) {
        self.left.pop();
    }
    fn bits<T: Bits>(&mut self, _: &'static str, _: &mut T) {}
    fn packed<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn array<T: Bits>(&mut self, _: &'static str, _: &mut [T]) {}
    fn memory<T: Bits>(&mut self, name: &'static str, values: &mut [T], written: &mut [bool]) {
        if self.left.last() == Some(&Some(name)) {
            self.done = self.flip(values, written);
        }
    }
}
