// SPDX-License-Identifier: Apache-2.0
//! Stimulus for the blocks: drivers that turn operations into port values, and proptest strategies that search for
//! trouble. Nothing here knows Verilator; a [`Dut`] may be RTL, model, or both in lockstep.

pub mod array;
pub mod attention;
mod bench;
pub mod collective;
pub mod control;
pub mod core;
pub mod csr;
pub mod decoder;
pub mod dma;
mod dut;
pub mod float;
pub mod framer;
pub mod gemv;
pub mod link;
pub mod memory;
pub mod memory_port;
pub mod normaliser;
pub mod property;
pub mod random;
pub mod reader;
pub mod results;
pub mod segment;
pub mod softmax;
pub mod sram;
pub mod stream;
pub mod vector;
pub mod vector_sequencer;

pub use bench::{Bench, Coverage, WrongAnswer};
pub use dut::{Dut, DutError, ModelOnly};
