// SPDX-License-Identifier: Apache-2.0
//! What a block is, and how its registers and ports are named and laid out.
//!
//! A block is a plain struct of its registers. [`Block::clock`] advances it by one clock, [`Block::outputs`] reads its
//! (Moore) outputs. [`Visit`] walks registers or ports in one fixed order under the names that the RTL uses; from
//! that one walk come the packed image that lockstep compares, the accessor code for the RTL, the names in a report
//! and the signals of a waveform.

use std::fmt::Debug;

/// How to print a value beside its hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Unsigned integer.
    Uint,
    /// Two's complement integer.
    Int,
    /// [`crate::numerics::Float36`].
    Float36,
    /// Scale code, printed as a power of two.
    E8m0,
    /// Enumeration: names by value.
    Enum(&'static [&'static str]),
    /// Packed struct: fields from the most significant bit down.
    Struct(&'static [FieldFormat]),
}

/// A field of a packed struct.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldFormat {
    /// Name in the RTL.
    pub name: &'static str,
    /// Bits.
    pub width: u32,
    /// How to print it.
    pub format: Format,
}

/// A value of a fixed number of bits, at most 64.
pub trait Bits: Copy + Default + PartialEq + Debug {
    /// Bits of the value.
    const WIDTH: u32;
    /// How to print it.
    const FORMAT: Format;
    /// The bits, right-aligned.
    fn to_bits(self) -> u64;
    /// The value of these bits. Bits above [`Self::WIDTH`] are ignored.
    fn from_bits(bits: u64) -> Self;
}

impl Bits for bool {
    const WIDTH: u32 = 1;
    const FORMAT: Format = Format::Uint;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self)
    }
    fn from_bits(bits: u64) -> Self {
        bits & 1 == 1
    }
}

/// An unsigned integer of `W` bits, at most 16.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Uint<const W: u32>(pub u16);

impl<const W: u32> Bits for Uint<W> {
    const WIDTH: u32 = W;
    const FORMAT: Format = Format::Uint;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        u64::from(self.0)
    }
    fn from_bits(bits: u64) -> Self {
        Self(low_u16(bits & ((1 << W) - 1)))
    }
}

/// The value so many further, in as many bits.
#[must_use]
pub fn further<T: Bits>(from: T, steps: u64) -> T {
    T::from_bits(from.to_bits().wrapping_add(steps))
}

/// The low 16 bits.
#[must_use]
pub fn low_u16(bits: u64) -> u16 {
    let [a, b, ..] = bits.to_le_bytes();
    u16::from_le_bytes([a, b])
}

/// The low 8 bits.
#[must_use]
pub fn low_u8(bits: u64) -> u8 {
    bits.to_le_bytes()[0]
}

/// The low `width` bits of a signed value.
#[must_use]
#[inline(always)]
pub fn to_twos(value: i32, width: u32) -> u64 {
    u64::from(value.cast_unsigned()) & ((1 << width) - 1)
}

/// The signed value of `width` bits.
#[must_use]
pub fn from_twos(bits: u64, width: u32) -> i32 {
    let [a, b, c, d, ..] = bits.to_le_bytes();
    let shift = 32 - width;
    i32::from_le_bytes([a, b, c, d]) << shift >> shift
}

/// Walks the registers or ports of a block.
pub trait Visitor {
    /// What follows lies inside the instance or generate block `name`, with an index where it is one of an array.
    fn enter(&mut self, name: &'static str, index: Option<usize>);
    /// Ends the innermost [`Visitor::enter`].
    fn leave(&mut self);
    /// One register or port.
    fn bits<T: Bits>(&mut self, name: &'static str, value: &mut T);
    /// A packed array: one vector, element 0 in the lowest bits.
    fn packed<T: Bits>(&mut self, name: &'static str, values: &mut [T]);
    /// An unpacked array of registers.
    fn array<T: Bits>(&mut self, name: &'static str, values: &mut [T]);
    /// A memory: not compared every cycle. `written[i]` tells whether entry `i` has been written.
    fn memory<T: Bits>(&mut self, name: &'static str, values: &mut [T], written: &mut [bool]);
}

/// Something whose registers or ports can be walked.
pub trait Visit {
    /// Calls the visitor for every register or port, always in the same order.
    fn visit<V: Visitor>(&mut self, visitor: &mut V);
}

/// A block: registers and what one clock does to them.
pub trait Block: Visit + Clone + Send + 'static {
    /// Input ports but clock and reset.
    type Inputs: Visit + Clone + Debug + Send;
    /// Output ports.
    type Outputs: Visit + Clone + Debug;
    /// Input ports, all zero, of this block's geometry.
    fn idle_inputs(&self) -> Self::Inputs;
    /// Outputs in the present cycle.
    fn outputs(&self) -> Self::Outputs;
    /// Advances by one clock.
    fn clock(&mut self, inputs: &Self::Inputs);
    /// For a report: in how many cycles what enters the inputs reaches the register called `path`. `None` where that
    /// has no single answer.
    fn depth(&self, path: &str) -> Option<u64> {
        let _ = path;
        None
    }
    /// Reset: what `rst_ni` low does to the registers. Memories keep what they hold.
    fn reset(&mut self);
}

/// A signed integer of `W` bits, at most 32.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Int<const W: u32>(pub i32);

impl<const W: u32> Bits for Int<W> {
    const WIDTH: u32 = W;
    const FORMAT: Format = Format::Int;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        to_twos(self.0, W)
    }
    #[inline]
    fn from_bits(bits: u64) -> Self {
        Self(from_twos(bits, W))
    }
}

/// An unsigned integer of `W` bits, 17 to 64.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
pub struct Wide<const W: u32>(pub u64);

impl<const W: u32> Bits for Wide<W> {
    const WIDTH: u32 = W;
    const FORMAT: Format = Format::Uint;
    #[inline(always)]
    fn to_bits(self) -> u64 {
        self.0
    }
    fn from_bits(bits: u64) -> Self {
        Self(bits & (u64::MAX >> (64 - W)))
    }
}

/// Declares a struct that mirrors a packed struct of the RTL: fields from the most significant bit down.
#[macro_export]
macro_rules! packed_struct {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        $vis struct $name { $($(#[$fmeta])* pub $field: $type),+ }

        impl $crate::block::Bits for $name {
            const WIDTH: u32 = 0 $(+ <$type as $crate::block::Bits>::WIDTH)+;
            const FORMAT: $crate::block::Format = $crate::block::Format::Struct(&[$(
                $crate::block::FieldFormat {
                    name: stringify!($field),
                    width: <$type as $crate::block::Bits>::WIDTH,
                    format: <$type as $crate::block::Bits>::FORMAT,
                }
            ),+]);
            #[inline(always)]
            fn to_bits(self) -> u64 {
                let bits = 0;
                $(let bits = bits << <$type as $crate::block::Bits>::WIDTH
                    | $crate::block::Bits::to_bits(self.$field);)+
                bits
            }
            #[inline]
            fn from_bits(bits: u64) -> Self {
                let mut left = <Self as $crate::block::Bits>::WIDTH;
                $(
                    left -= <$type as $crate::block::Bits>::WIDTH;
                    let $field = <$type as $crate::block::Bits>::from_bits(bits >> left);
                )+
                let _ = left;
                Self { $($field),+ }
            }
        }
    };
}
