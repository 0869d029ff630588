// SPDX-License-Identifier: Apache-2.0
//! The systolic array, register for register as `rtl/array/`.

pub mod drain;
pub mod float_add;
pub mod float_file;
pub mod float_multiply;
pub mod int_to_float;
pub mod operand_decode;
pub mod pe;
pub mod pe_array;
pub mod pe_segment;
pub mod segment_edge;
pub mod systolic_array;
pub mod types;

pub use types::Geometry;
