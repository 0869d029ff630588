// SPDX-License-Identifier: Apache-2.0
//! The vector unit, register for register as `rtl/vector/`.

pub mod types;
pub mod vector_memory;
pub mod vector_placer;
pub mod vector_reader;
pub mod vector_sequencer;
