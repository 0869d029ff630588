// SPDX-License-Identifier: Apache-2.0
//! The attention engine, register for register as `rtl/attention/`.

pub mod attention_engine;
pub mod beat_fifo;
pub mod denominator;
pub mod exp2;
pub mod fetch_sequencer;
pub mod head_table;
pub mod issue_sequencer;
pub mod normaliser;
pub mod operand_file;
pub mod p_quantiser;
pub mod reciprocal;
pub mod scale_file;
pub mod softmax;
pub mod types;
