// SPDX-License-Identifier: Apache-2.0
//! What turns commands into work of the array, and results into words of memory, register for register as
//! `rtl/compute/`.

pub mod gemv_sequencer;
pub mod result_buffer;
