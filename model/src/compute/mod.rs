// SPDX-License-Identifier: Apache-2.0
//! What turns commands into work of the array, and results into words of memory, register for register as
//! `rtl/compute/`.

pub mod array_unit;
pub mod gemv_sequencer;
pub mod result_buffer;
pub mod stream_distributor;
pub mod stream_sequencer;
pub mod stream_unit;
