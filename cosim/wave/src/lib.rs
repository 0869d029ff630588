// SPDX-License-Identifier: Apache-2.0
//! Waveforms of a lockstep run, RTL and model side by side.
//!
//! The lockstep engine compares flat images of all registers in every cycle. This crate turns those images into a
//! VCD or FST file, so nothing needs Verilator's tracing and the model's registers stand beside the RTL's:
//!
//! - Scopes are those of the RTL: `<device>.rtl.gen_row[2].u_edge.flags_q`; ports stand in `<device>`.
//! - The model's value of `psum_q` is `psum_q_model`, and `psum_q_differs` tells whether the two are different.
//!   `<device>.mismatch` is high while anything differs.
//! - With [`Options::detail`], a float or a scale code has its number beside it (`psum_q_real`), a struct a scope of
//!   its name with the fields, a packed array its entries (`acc_data_q[3]`).
//! - One clock takes two time units; the rising edge of `clk_i` is at twice the cycle. What a sample gives for a cycle
//!   holds from that edge on: a register takes at the next edge what its inputs ask for in this cycle.
//!
//! Beside the waveform stand a save file for GTKWave (`.gtkw`) and a command file for Surfer (`.sucl`) that show what
//! differed first. All three appear, complete, in [`Wave::finish`]; a waveform that is dropped leaves nothing behind.

mod decode;
mod error;
mod layout;
mod leaf;
mod plan;
mod sink;
mod track;
mod wave;

pub use decode::{decode, decode_element};
pub use error::{Error, Result};
pub use wave::{Options, Sample, Sides, Signals, State, Wave};
