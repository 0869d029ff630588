// SPDX-License-Identifier: Apache-2.0
//! The attention engine, register for register as `rtl/attention/`.

pub mod exp2;
pub mod p_quantiser;
pub mod q_file;
pub mod softmax;
pub mod types;
