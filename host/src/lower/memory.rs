// SPDX-License-Identifier: Apache-2.0
//! What lies where behind the image: a step's activations, then K and V.

use tandem_model::layout::{region_bytes, result_bytes};
use tandem_model::memory::types::AXI_BYTES;

use super::PlanOptions;
use crate::config::refuse;
use crate::error::HostError;
use crate::import::Manifest;

/// Everything begins at a multiple of this.
const ALIGNMENT: u64 = 4096;
/// Addresses are below this; the topmost part is left to the host's rings.
const MOST: u64 = (1 << 40) - (1 << 24);

/// Addresses.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    /// A word of token ids.
    pub(super) ids: u64,
    /// A word of what Argmax finds.
    pub(super) best: u64,
    /// Residual stream, results.
    pub(super) x: u64,
    /// Of a norm, operand rows.
    pub(super) normed: u64,
    /// Products, results.
    pub(super) kv: u64,
    pub(super) q: u64,
    pub(super) o: u64,
    pub(super) gate_up: u64,
    pub(super) down: u64,
    pub(super) logits: u64,
    /// Token records of all heads of K and V.
    pub(super) records: u64,
    /// Operand rows of all heads of Q.
    pub(super) q_rows: u64,
    /// Of every Attend of a layer, results.
    pub(super) mixed: u64,
    /// The same, operand rows.
    pub(super) mixed_rows: u64,
    /// Of the gate, operand rows.
    pub(super) gated: u64,
    /// K and V of the first head of the first layer.
    pub(super) cache: u64,
    /// Bytes from there to the next head's.
    pub(super) region: u64,
    pub(super) kv_heads: usize,
    pub(super) end: u64,
    /// Most tokens of a session.
    pub(super) context: usize,
    /// Bytes of a token record.
    pub(super) record: usize,
}

/// Bytes of an operand row.
pub(super) const fn operand_row(features: usize) -> usize {
    (features / 32).next_multiple_of(AXI_BYTES) + features.next_multiple_of(AXI_BYTES)
}

impl Memory {
    pub(super) fn new(manifest: &Manifest, options: &PlanOptions, context: usize) -> Result<Self, HostError> {
        let config = &manifest.config;
        let (rows, dim) = (options.geometry.rows, config.head_dim);
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let (q_width, k_width) = (config.query_width(), config.key_width());
        // Elements of K or V of a record, in units of a segment's 32 bytes.
        let elements = if options.int8 { dim } else { dim / 2 };
        let record = 2 * elements.next_multiple_of(AXI_BYTES) + AXI_BYTES;

        let mut end = manifest.bytes.next_multiple_of(ALIGNMENT);
        let mut place = |bytes: usize| {
            let at = end;
            end += (bytes as u64).next_multiple_of(ALIGNMENT);
            at
        };
        let mut memory = Self {
            ids: place(AXI_BYTES),
            best: place(AXI_BYTES),
            x: place(result_bytes(rows, hidden)),
            normed: place(rows * operand_row(hidden)),
            kv: place(result_bytes(rows, 2 * k_width)),
            q: place(result_bytes(rows, q_width)),
            o: place(result_bytes(rows, hidden)),
            gate_up: place(result_bytes(rows, 2 * inner)),
            down: place(result_bytes(rows, hidden)),
            logits: place(result_bytes(rows, config.vocab_size)),
            records: place(config.num_key_value_heads * rows * record),
            q_rows: place(config.num_attention_heads * rows * operand_row(dim)),
            mixed: place(result_bytes(rows, q_width)),
            mixed_rows: place(rows * operand_row(q_width)),
            gated: place(rows * operand_row(inner)),
            cache: 0,
            region: 0,
            kv_heads: config.num_key_value_heads,
            end: 0,
            context,
            record,
        };
        let region = region_bytes(manifest.segments, options.int8, dim == 128, context);
        memory.region = (region as u64).next_multiple_of(ALIGNMENT);
        memory.cache = end;
        let regions = (config.num_hidden_layers * memory.kv_heads) as u64;
        memory.end = regions.saturating_mul(memory.region).saturating_add(end);
        if memory.end > MOST {
            let (expected, found) = (format!("such that all fits below {MOST:#x}"), memory.end);
            let advice = "use a smaller model or a shorter context";
            return Err(refuse("num_hidden_layers", expected, format!("an end of {found:#x}"), advice));
        }
        Ok(memory)
    }
}
