// SPDX-License-Identifier: Apache-2.0
//! The link's framing, register for register as `rtl/link/`.

pub mod crc32c;
pub mod flit_queue;
pub mod flit_rx;
pub mod flit_tx;
pub mod framer;
pub mod link_control;
pub mod link_endpoint;
pub mod replay_buffer;
pub mod link_rx;
pub mod types;
