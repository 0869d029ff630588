// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/vector/vector_unit.sv`.

use super::argmax::{self, Argmax};
use super::row_sums::{self, RowSums};
use super::vector_lanes::{self, VectorLanes};
use super::vector_sequencer::{self, VectorSequencer};
use super::vector_writer::{self, VectorWriter};
use crate::block::{Block, Uint, Visit, Visitor, Wide};
use crate::control::types::{Activity, COMMAND_INDEX_BITS, Done};
use crate::link::types::LinkWord;
use crate::memory::types::{ReadRequest, ReadWord, WriteDone, WriteRequest};

