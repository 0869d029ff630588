// SPDX-License-Identifier: Apache-2.0
//! Mirror of the control part of `rtl/tandem_pkg.sv`. `tests/package.rs` compares the two, `tests/csr.rs` compares the
//! offsets with `rtl/control/registers.json`.

use crate::array::types::{NamedStruct, named};
use crate::block::{Uint, Wide};
use crate::memory::types::LINE_BITS;
use crate::packed_struct;
use crate::sram::types::{Region, WORD_ADDRESS_BITS};

/// Bits of a register's address.
pub const CSR_ADDRESS_BITS: u32 = 12;
/// Bits of a command's index.
pub const COMMAND_INDEX_BITS: u32 = 16;
/// Bits that select a counter.
pub const COUNTER_SELECT_BITS: u32 = 6;
/// Tokens of the scoreboard.
pub const SCOREBOARD_TOKENS: usize = 16;
/// Units that run beside each other: control, load, stream, array, append, results, vector.
pub const UNITS: usize = 7;
/// Most rows of an array: a command has a position for each.
pub const MAX_ROWS: usize = 8;
/// Chunks of stationary operands, x or q, that are kept: a chunk is what the array's lanes hold at a time.
pub const OPERAND_CHUNKS: usize = 128;
/// Bits of a number of output or input features.
pub const FEATURE_BITS: u32 = 20;
/// Floats of a word of results.
pub const GROUP_FLOATS: usize = 16;
/// Groups of [`GROUP_FLOATS`] results of every row that there is room for.
pub const RESULT_GROUPS: usize = 32;
/// Opcode: does nothing.
pub const OPCODE_NOP: u16 = 0;
/// Opcode: x or q into the operand files.
pub const OPCODE_LOAD: u16 = 1;
/// Opcode: a matrix times x.
pub const OPCODE_GEMV: u16 = 2;
/// Opcode: attention of a head.
pub const OPCODE_ATTEND: u16 = 3;
/// Opcode: K and V of new tokens into their tiles.
pub const OPCODE_APPEND: u16 = 4;
/// Opcode: tiles into the banks.
pub const OPCODE_FILL: u16 = 5;
/// Opcode: rows of a table.
pub const OPCODE_EMBED: u16 = 6;
/// Opcode: the sum of two results.
pub const OPCODE_ADD: u16 = 7;
/// Opcode: root-mean-square norm, into operand rows.
pub const OPCODE_NORM: u16 = 8;
/// Opcode: cosines and sines of positions into the vector unit.
pub const OPCODE_ANGLES: u16 = 9;
/// Opcode: norm and rotation of heads, into operand rows or token records.
pub const OPCODE_HEADS: u16 = 10;
/// Opcode: SwiGLU, into operand rows.
pub const OPCODE_GATE: u16 = 11;
/// Opcode: results into operand rows.
pub const OPCODE_QUANTISE: u16 = 12;
/// Opcode: the feature with the largest result.
pub const OPCODE_ARGMAX: u16 = 13;
/// Status of a command: it is done.
pub const STATUS_DONE: u16 = 0;
/// Status of a command: there is no such opcode.
pub const STATUS_OPCODE: u16 = 1;
/// Status of a command: a field has a value that it may not have.
pub const STATUS_FIELD: u16 = 2;
/// Status of a command: an address is no multiple of 64, or beyond the memory's.
pub const STATUS_ALIGNMENT: u16 = 3;
/// Status of a command: it would write where the host did not allow it.
pub const STATUS_BOUNDS: u16 = 4;
/// Status of a command: more chunks of operands than there are.
pub const STATUS_OPERAND: u16 = 5;
/// Status of a command: words beyond the banks.
pub const STATUS_BANK: u16 = 6;
/// Status of a command: what it read was refused.
pub const STATUS_READ_ERROR: u16 = 7;
/// Status of a command: what it wrote was refused.
pub const STATUS_WRITE_ERROR: u16 = 8;
/// Status of a command: no row sees a key.
pub const STATUS_NO_KEYS: u16 = 9;
/// Status of a command: the command itself could not be read.
pub const STATUS_FETCH_ERROR: u16 = 10;
/// Status of a command: its completion could not be written.
pub const STATUS_COMPLETION_ERROR: u16 = 11;
/// Status of a command: a row number is beyond the table.
pub const STATUS_INDEX: u16 = 12;
/// Offset of `ID`: what this is.
pub const CSR_ID: u16 = 0x000;
/// Offset of `VERSION`: of this register map.
pub const CSR_VERSION: u16 = 0x004;
/// Offset of `GEOMETRY`: of the core.
pub const CSR_GEOMETRY: u16 = 0x008;
/// Offset of `CONTROL`: what the core may do.
pub const CSR_CONTROL: u16 = 0x00c;
/// Offset of `STATUS`: what the core does.
pub const CSR_STATUS: u16 = 0x010;
/// Offset of `COMMAND_BASE_LO`: where the command ring lies.
pub const CSR_COMMAND_BASE_LO: u16 = 0x020;
/// Offset of `COMMAND_BASE_HI`: where the command ring lies.
pub const CSR_COMMAND_BASE_HI: u16 = 0x024;
/// Offset of `RING_SIZE_LOG2`: room in the command ring.
pub const CSR_RING_SIZE_LOG2: u16 = 0x028;
/// Offset of `DOORBELL`: commands that the host has written.
pub const CSR_DOORBELL: u16 = 0x02c;
/// Offset of `CONSUMER`: commands that the core has taken.
pub const CSR_CONSUMER: u16 = 0x030;
/// Offset of `COMPLETION_BASE_LO`: where completions are written.
pub const CSR_COMPLETION_BASE_LO: u16 = 0x034;
/// Offset of `COMPLETION_BASE_HI`: where completions are written.
pub const CSR_COMPLETION_BASE_HI: u16 = 0x038;
/// Offset of `INTERRUPT_STATUS`: what has happened.
pub const CSR_INTERRUPT_STATUS: u16 = 0x040;
/// Offset of `INTERRUPT_ENABLE`: what raises the interrupt.
pub const CSR_INTERRUPT_ENABLE: u16 = 0x044;
/// Offset of `ERROR_CODE`: the first error since they were cleared.
pub const CSR_ERROR_CODE: u16 = 0x048;
/// Offset of `ERROR_INDEX`: the first error since they were cleared.
pub const CSR_ERROR_INDEX: u16 = 0x04c;
/// Offset of `COUNTER_SELECT`: which counter is read.
pub const CSR_COUNTER_SELECT: u16 = 0x050;
/// Offset of `COUNTER_LO`: the selected counter.
pub const CSR_COUNTER_LO: u16 = 0x054;
/// Offset of `COUNTER_HI`: the selected counter.
pub const CSR_COUNTER_HI: u16 = 0x058;
/// Offset of `BOUNDS_BASE_LO`: where the core may write.
pub const CSR_BOUNDS_BASE_LO: u16 = 0x060;
/// Offset of `BOUNDS_BASE_HI`: where the core may write.
pub const CSR_BOUNDS_BASE_HI: u16 = 0x064;
/// Offset of `BOUNDS_LIMIT_LO`: where the core may write.
pub const CSR_BOUNDS_LIMIT_LO: u16 = 0x068;
/// Offset of `BOUNDS_LIMIT_HI`: where the core may write.
pub const CSR_BOUNDS_LIMIT_HI: u16 = 0x06c;

packed_struct! {
    /// AW or AR.
    pub struct AxiLiteAddress {
        /// There is one.
        valid: bool,
        /// Address of a register.
        address: Uint<CSR_ADDRESS_BITS>,
    }
}

packed_struct! {
    /// W.
    pub struct AxiLiteWrite {
        /// There is one.
        valid: bool,
        /// Which bytes are written.
        strobe: Uint<4>,
        /// All bytes.
        data: Wide<32>,
    }
}

packed_struct! {
    /// R.
    pub struct AxiLiteRead {
        /// There is one.
        valid: bool,
        /// 0 is OKAY, 2 SLVERR.
        response: Uint<2>,
        /// The register's value.
        data: Wide<32>,
    }
}

packed_struct! {
    /// B.
    pub struct AxiLiteResponse {
        /// There is one.
        valid: bool,
        /// 0 is OKAY, 2 SLVERR.
        response: Uint<2>,
    }
}

packed_struct! {
    /// What the host may know of the core.
    pub struct CoreGeometry {
        /// Words of the banks.
        bank_words: Uint<16>,
        /// Segments of a row.
        segments: Uint<8>,
        /// Rows of the array.
        rows: Uint<8>,
    }
}

packed_struct! {
    /// Something went wrong in the core.
    pub struct CoreError {
        /// It did.
        valid: bool,
        /// What.
        code: Uint<8>,
        /// Index of the command it belongs to.
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// How far the host is.
    pub struct Doorbell {
        /// The host has just written it.
        valid: bool,
        /// Commands written since reset.
        producer: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// Reasons for an interrupt.
    pub struct Interrupts {
        /// A doorbell was refused.
        doorbell_overflow: bool,
        /// An error.
        error: bool,
        /// A completion was written.
        completion: bool,
    }
}

packed_struct! {
    /// Flags of a command.
    pub struct CommandFlags {
        /// 0.
        reserved: Uint<2>,
        /// Load: the blocks are repeated in every group of segments.
        grouped: bool,
        /// Attend: K and V are in the banks.
        resident: bool,
        /// Attend: a row sees no key after its own position.
        causal: bool,
        /// Attend, Append: head of 128, else of 64.
        wide: bool,
        /// W, K and V are MXINT8, else MXFP4.
        int8: bool,
        /// Its completion raises the interrupt.
        notify: bool,
    }
}

packed_struct! {
    /// Word 0 of a command.
    pub struct CommandHead {
        /// Tokens that are given back when it is done.
        signal_tokens: Uint<16>,
        /// Tokens that are waited for before it begins.
        wait_tokens: Uint<16>,
        /// First chunk of x or q.
        operand: Uint<8>,
        /// Rows in use.
        rows: Uint<8>,
        /// Flags.
        flags: CommandFlags,
        /// What is to be done.
        opcode: Uint<8>,
    }
}

packed_struct! {
    /// Word 1 of a command.
    pub struct CommandSource {
        /// Word of the banks.
        bank: Uint<16>,
        /// What is read.
        address: Wide<48>,
    }
}

packed_struct! {
    /// Word 2 of a command.
    pub struct CommandDestination {
        /// Tokens that are waited for before the array takes it; it streams ahead of that.
        wait_array: Uint<16>,
        /// What is written.
        address: Wide<48>,
    }
}

packed_struct! {
    /// Word 3 of a command.
    pub struct CommandShape {
        /// Input features; window; first token.
        length: Wide<32>,
        /// Output features; keys; tokens; words.
        count: Wide<32>,
    }
}

packed_struct! {
    /// A command is done.
    pub struct Done {
        /// One is.
        valid: bool,
        /// How it ended.
        status: Uint<8>,
        /// Its completion raises the interrupt.
        notify: bool,
        /// Tokens that it gives back.
        tokens: Uint<16>,
        /// Which command.
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// What a unit does in a cycle. Starved and blocked are parts of busy.
    pub struct Activity {
        /// It has something to do.
        busy: bool,
        /// It waits for what comes in.
        starved: bool,
        /// It waits for those behind it.
        blocked: bool,
        /// Command that it works on.
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

packed_struct! {
    /// A matrix-vector product for the array.
    pub struct Gemv {
        /// There is one.
        valid: bool,
        /// W is MXINT8, else MXFP4.
        int8: bool,
        /// Output features.
        features: Wide<FEATURE_BITS>,
        /// Chunks of the contraction, less one.
        chunks_last: Uint<7>,
        /// First chunk of x.
        operand: Uint<7>,
    }
}

packed_struct! {
    /// Results to come: where they are written.
    pub struct ResultJob {
        /// There is one.
        valid: bool,
        /// Rows in use.
        rows: Uint<4>,
        /// Results of a row.
        features: Wide<FEATURE_BITS>,
        /// Word of memory where they begin.
        line: Wide<LINE_BITS>,
    }
}

packed_struct! {
    /// Something that a job needed could not be read.
    pub struct JobFault {
        /// It could not.
        valid: bool,
        /// Place of the job in the queue of the results.
        job: Uint<2>,
    }
}

packed_struct! {
    /// Words of memory that are asked for together: what becomes of them.
    pub struct StreamRun {
        /// There are some.
        valid: bool,
        /// They go to the array, else to the banks.
        weights: bool,
        /// Of the banks.
        region: Region,
        /// Context, of K and V.
        head: Uint<2>,
        /// Of the banks: of the next word.
        address: Uint<WORD_ADDRESS_BITS>,
        /// Words of the array that are to come.
        words: Uint<16>,
        /// Of the command.
        index: Uint<COMMAND_INDEX_BITS>,
    }
}

/// The structs that a test compares with the RTL's.
#[must_use]
pub fn packed_structs() -> Vec<NamedStruct> {
    vec![
        named::<AxiLiteAddress>("axi_lite_address_t"),
        named::<AxiLiteWrite>("axi_lite_write_t"),
        named::<AxiLiteRead>("axi_lite_read_t"),
        named::<AxiLiteResponse>("axi_lite_response_t"),
        named::<CoreGeometry>("core_geometry_t"),
        named::<CoreError>("core_error_t"),
        named::<Doorbell>("doorbell_t"),
        named::<Interrupts>("interrupts_t"),
        named::<CommandFlags>("command_flags_t"),
        named::<CommandHead>("command_head_t"),
        named::<CommandSource>("command_source_t"),
        named::<CommandDestination>("command_destination_t"),
        named::<CommandShape>("command_shape_t"),
        named::<Done>("done_t"),
        named::<Activity>("activity_t"),
        named::<Gemv>("gemv_t"),
        named::<ResultJob>("result_job_t"),
        named::<JobFault>("job_fault_t"),
        named::<StreamRun>("stream_run_t"),
    ]
}
