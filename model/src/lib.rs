// SPDX-License-Identifier: Apache-2.0
//! Golden model of the Tandem accelerator.
//!
//! Three layers, never mixed: [`numerics`] are pure functions, the blocks count cycles, register for register as
//! the RTL does, and [`mod@reference`] says untimed, from the definition, what the answer must be.

pub mod array;
pub mod attention;
pub mod block;
pub mod collective;
pub mod common;
pub mod compute;
pub mod control;
pub mod core;
pub mod devices;
pub mod dma;
pub mod image;
pub mod layout;
pub mod link;
pub mod memory;
pub mod numerics;
pub mod reference;
pub mod sram;
pub mod vector;
