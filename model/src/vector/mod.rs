// SPDX-License-Identifier: Apache-2.0
//! The vector unit, register for register as `rtl/vector/`.

pub mod argmax;
pub mod block_quantiser;
pub mod float_function;
pub mod row_sums;
pub mod types;
pub mod vector_lane;
pub mod vector_lanes;
pub mod vector_memory;
pub mod vector_placer;
pub mod vector_reader;
pub mod vector_sequencer;
pub mod vector_unit;
pub mod vector_writer;
