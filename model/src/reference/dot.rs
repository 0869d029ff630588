// SPDX-License-Identifier: Apache-2.0
//! Dot products of MX blocks, and of rows of them (docs/numerics.md, "Blocks and scales").

use crate::numerics::{E2m1, E8m0, Float36, MxFp4Block, MxInt8Block, Mxint8};

use super::float::{self, Exact};

/// Twice the value of every E2M1 code, from the table in docs/numerics.md.
const E2M1_DOUBLED: [i64; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];

/// Twice the value of an E2M1 element.
#[must_use]
pub fn e2m1_doubled(element: E2m1) -> i64 {
    E2M1_DOUBLED[usize::from(element.code())]
}

/// 64 times the value of an MXINT8 element.
#[must_use]
pub fn mxint8_units(element: Mxint8) -> i64 {
    let code = i64::from(element.code());
    if code < 128 { code } else { code - 256 }
}

/// A block sum: the value `n x 2^exponent`, exactly.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockSum {
    /// Sum of 32 products of element integers.
    pub n: i64,
    /// Power of two that belongs to it: both scales and the constants of both formats.
    pub exponent: i32,
}

impl BlockSum {
    /// The value.
    #[must_use]
    pub fn exact(self) -> Exact {
        Exact::new(self.n, self.exponent)
    }
}

/// One row of weights, a block per 32 columns.
#[derive(Clone, Copy, Debug)]
pub enum Row<'a> {
    /// MXFP4 weights.
    MxFp4(&'a [MxFp4Block]),
    /// MXINT8 weights (or K, of a row of keys).
    MxInt8(&'a [MxInt8Block]),
}

impl Row<'_> {
    /// Blocks in the row.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::MxFp4(blocks) => blocks.len(),
            Self::MxInt8(blocks) => blocks.len(),
        }
    }

    /// True for a row without blocks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sum of block `index` with activations `x`; `None` when either scale is NaN.
    fn block_sum(&self, index: usize, x: &MxInt8Block) -> Option<BlockSum> {
        match self {
            Self::MxFp4(blocks) => mxfp4_block_sum(&blocks[index], x),
            Self::MxInt8(blocks) => mxint8_block_sum(&blocks[index], x),
        }
    }
}

/// What a row can raise on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// A conversion or an addition was out of range.
    pub saturated: bool,
    /// A block had scale code 255 on either side.
    pub nan_scale: bool,
}

/// Block of E2M1 elements times block of MXINT8 elements; `None` when either scale is NaN.
#[must_use]
pub fn mxfp4_block_sum(w: &MxFp4Block, x: &MxInt8Block) -> Option<BlockSum> {
    let n = w.elements.iter().zip(&x.elements).map(|(&w, &x)| e2m1_doubled(w) * mxint8_units(x)).sum();
    Some(BlockSum { n, exponent: scale_log2(w.scale)? + scale_log2(x.scale)? - 1 - 6 })
}

/// Block of MXINT8 elements times block of MXINT8 elements; `None` when either scale is NaN.
#[must_use]
pub fn mxint8_block_sum(w: &MxInt8Block, x: &MxInt8Block) -> Option<BlockSum> {
    let n = w.elements.iter().zip(&x.elements).map(|(&w, &x)| mxint8_units(w) * mxint8_units(x)).sum();
    Some(BlockSum { n, exponent: scale_log2(w.scale)? + scale_log2(x.scale)? - 6 - 6 })
}

/// One row of weights times the activations: block sums in the order of the contraction, from +0.
///
/// # Panics
/// When the row and `x` have different numbers of blocks.
#[must_use]
pub fn gemv_row(w: Row<'_>, x: &[MxInt8Block]) -> (Float36, Flags) {
    gemv_row_from(Float36::ZERO, w, x)
}

/// [`gemv_row`] that goes on from a stored partial sum.
///
/// # Panics
/// When the row and `x` have different numbers of blocks.
#[must_use]
pub fn gemv_row_from(start: Float36, w: Row<'_>, x: &[MxInt8Block]) -> (Float36, Flags) {
    assert_eq!(w.len(), x.len(), "blocks of the contraction");
    let mut flags = Flags::default();
    let mut blocks = Vec::with_capacity(x.len());
    for (index, x) in x.iter().enumerate() {
        match w.block_sum(index, x) {
            Some(sum) => {
                let block = sum.exact().round();
                flags.saturated |= block.saturated;
                blocks.push(block.value);
            }
            None => {
                flags.nan_scale = true;
                blocks.push(Float36::ZERO);
            }
        }
    }
    let total = float::sum_from(start, blocks);
    flags.saturated |= total.saturated;
    (total.value, flags)
}

/// The same row without any rounding: the sum, and the sum of the blocks' magnitudes, which error bounds
/// refer to. Blocks with a NaN scale contribute nothing.
///
/// # Panics
/// When the row and `x` have different numbers of blocks.
#[must_use]
pub fn gemv_row_exact(w: Row<'_>, x: &[MxInt8Block]) -> (Exact, Exact) {
    assert_eq!(w.len(), x.len(), "blocks of the contraction");
    let blocks = x.iter().enumerate().filter_map(|(index, x)| w.block_sum(index, x));
    blocks.fold((Exact::zero(), Exact::zero()), |(sum, magnitudes), block| {
        let block = block.exact();
        (sum.plus(&block), magnitudes.plus(&block.abs()))
    })
}

/// [`gemv_row_exact`], each figure rounded once to binary64.
///
/// # Panics
/// When the row and `x` have different numbers of blocks.
#[must_use]
pub fn gemv_row_f64(w: Row<'_>, x: &[MxInt8Block]) -> (f64, f64) {
    let (sum, magnitudes) = gemv_row_exact(w, x);
    (sum.to_f64(), magnitudes.to_f64())
}

/// log2 of a scale; `None` for NaN.
fn scale_log2(scale: E8m0) -> Option<i32> {
    (scale.code() != 255).then(|| i32::from(scale.code()) - 127)
}
