// SPDX-License-Identifier: Apache-2.0
//! Number formats as pure functions (docs/numerics.md). No cycles here.

pub mod crc32c;
pub mod divide;
pub mod e2m1;
pub mod e8m0;
pub mod float36;
pub mod function_tables;
pub mod multiply;
pub mod mxint8;
pub mod quantise;
pub mod secded;
pub mod softmax;
pub mod vector;

pub use e2m1::E2m1;
pub use e8m0::E8m0;
pub use float36::{Float36, Rounded};
pub use mxint8::Mxint8;
pub use quantise::{BLOCK_LEN, MxFp4Block, MxInt8Block, Quantised, ScaleRule};
