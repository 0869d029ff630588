// SPDX-License-Identifier: Apache-2.0
//! The interchip link, register for register as `rtl/link/`.

pub mod crc32c;
pub mod crc32c_zeros;
pub mod flit_packer;
pub mod flit_queue;
pub mod flit_rx;
pub mod flit_tx;
pub mod framer;
pub mod link_control;
pub mod link_endpoint;
pub mod link_mailbox;
pub mod link_rx;
pub mod link_tx;
pub mod replay_buffer;
pub mod types;
