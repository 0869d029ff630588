// SPDX-License-Identifier: Apache-2.0
//! Mirror of the vector part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two.

use crate::array::types::{NamedStruct, named};
use crate::block::{Bits, Format, Uint, Wide};
use crate::memory::types::AXI_ADDRESS_BITS;
use crate::packed_struct;

/// Units, rows or heads of rows, whose sums and scales are kept.
pub const VECTOR_UNITS: usize = 8;
/// Partial sums of a unit in every lane.
pub const PARTIAL_SUMS: usize = 8;
/// Words of 16 features of the longest head.
pub const HEAD_WORDS: usize = 8;
/// Pipeline stages of `float_multiply`.
pub const PRODUCT_LATENCY: usize = 2;
/// Pipeline stages of `float_function`.
pub const FUNCTION_LATENCY: usize = 4;
/// Bits of a unit's base: an address in 32 bytes.
const BASE_BITS: u32 = AXI_ADDRESS_BITS - 5;

/// Implements [`Bits`] for an enumeration of the package whose values are numbered in order.
macro_rules! enumeration {
    ($name:ident, $width:literal, [$($value:ident = $rtl:literal),+ $(,)?]) => {
        impl $name {
            /// All values, by number.
            pub const ALL: [Self; 1 << $width] = [$(Self::$value),+];
        }

        impl Bits for $name {
            const WIDTH: u32 = $width;
            const FORMAT: Format = Format::Enum(&[$($rtl),+]);
            #[inline(always)]
            fn to_bits(self) -> u64 {
                self as u64
            }
            fn from_bits(bits: u64) -> Self {
                let at = usize::try_from(bits & ((1 << $width) - 1)).expect("a few bits");
                Self::ALL[at]
            }
        }
    };
}

/// What the lanes make of their operands.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum LaneOp {
    /// y = a.
    #[default]
    Copy,
    /// y = a + b.
    Add,
    /// y = (a x scale) x b.
    Scale,
    /// z = (a x scale) x b, in pairs: lo x cos - hi x sin, then hi x cos + lo x sin.
    Rotate,
    /// y = (a / (1 + 2^(-a x log2 e))) x b.
    Gate,
    /// None.
    Reserved5,
    /// None.
    Reserved6,
    /// None.
    Reserved7,
}

enumeration!(
    LaneOp,
    3,
    [
        Copy = "LaneCopy",
        Add = "LaneAdd",
        Scale = "LaneScale",
        Rotate = "LaneRotate",
        Gate = "LaneGate",
        Reserved5 = "LaneReserved5",
        Reserved6 = "LaneReserved6",
        Reserved7 = "LaneReserved7",
    ]
);

/// What `float_function` computes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum Function {
    /// 1 / x.
    #[default]
    Reciprocal,
    /// 1 / sqrt(x).
    Root,
    /// 2^x.
    Power,
    /// None.
    Reserved3,
}

enumeration!(
    Function,
    2,
    [
        Reciprocal = "FunctionReciprocal",
        Root = "FunctionRoot",
        Power = "FunctionPower",
        Reserved3 = "FunctionReserved3",
    ]
);

/// How results are written.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, Hash)]
pub enum Form {
    /// binary32.
    #[default]
    Results,
    /// MXINT8.
    Int8,
    /// MXFP4.
    Fp4,
    /// None.
    Reserved3,
}

enumeration!(
    Form,
    2,
    [Results = "FormResults", Int8 = "FormInt8", Fp4 = "FormFp4", Reserved3 = "FormReserved3"]
);

packed_struct! {
    /// 16 features on their way through the lanes. A unit is a row, or a head of a row.
    pub struct VectorWord {
        /// There is one.
        valid: bool,
        /// Rotation: the second of a pair.
        hi: bool,
        /// Whose.
        unit: Uint<3>,
        /// Where the first half of a block waits for the second.
        hold: Uint<3>,
        /// Which 16 features of the unit.
        group: Uint<16>,
    }
}

packed_struct! {
    /// Where a unit's results go; the address of its first scale byte is beside it.
    pub struct VectorPlace {
        /// There is one.
        valid: bool,
        /// Whose.
        unit: Uint<3>,
        /// Of its elements, in 32 bytes.
        base: Wide<BASE_BITS>,
    }
}

packed_struct! {
    /// The operand field of Heads.
    pub struct HeadsMode {
        /// 0.
        reserved: Uint<4>,
        /// 0: operand rows, 1: K of records, 2: V of records.
        target: Uint<2>,
        /// Its pairs are turned by the angles of the row's position.
        rotated: bool,
        /// Not normed: the scale is 1.
        plain: bool,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<VectorWord>("vector_word_t"),
        named::<VectorPlace>("vector_place_t"),
        named::<HeadsMode>("heads_mode_t"),
    ]
}
