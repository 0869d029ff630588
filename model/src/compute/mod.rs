// SPDX-License-Identifier: Apache-2.0
//! What feeds the array and takes its results, register for register as `rtl/compute/`.

pub mod array_unit;
pub mod stream_distributor;
pub mod stream_sequencer;
pub mod stream_unit;
