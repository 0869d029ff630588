// SPDX-License-Identifier: Apache-2.0
//! Untimed references: straight-line code from the definition, in exact integers. They share nothing with the
//! cycle model but the format types.
//!
//! `attention` says the whole of attention once, from scores to binary32. `softmax` and `divide` say its parts a second time,
//! for the test benches of those blocks: two readings of one definition, which the engine's bench holds against each other.
//!
//! `tests/independence.rs` reads these sources and enforces it: a format type is used as a carrier of bits
//! (codes in, codes out); what the bits mean is written here a second time.

pub mod attention;
pub mod attention_error;
pub mod collective;
pub mod command;
pub mod crc32c;
pub mod decoder;
pub mod divide;
pub mod dot;
pub mod fast;
pub mod float;
pub mod functions;
pub mod image;
pub mod program;
pub mod pv;
pub mod quantise;
pub mod secded;
pub mod softmax;
pub mod vector;
pub mod vector_program;
