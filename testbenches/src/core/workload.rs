// SPDX-License-Identifier: Apache-2.0
//! Programs whose cycles are measured: data of random codes in memory, commands that use them, and the least that must be read.

use tandem_model::array::Geometry;
use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::block::low_u8;
use tandem_model::control::command::Command;
use tandem_model::control::types::{CommandFlags, OPCODE_ATTEND, OPCODE_GEMV, OPCODE_LOAD};
use tandem_model::layout::{Blocks, pack_operands, pack_region, pack_weights, result_bytes};
use tandem_model::numerics::{E8m0, MxInt8Block};
use tandem_model::reference::command::Core as Shape;
use tandem_model::reference::image::Image;
use tandem_model::reference::program::Machine;

use super::{CorePort, Finished, HostPlan, MEMORY_END, MemoryKind, Progress, Run, judge, run};
use crate::dut::DutError;
use crate::random::{Flavour, Source};

/// Where the host's rings lie.
const RINGS: u64 = MEMORY_END - 0x10_0000;
/// Where the data begin.
const FIRST: u64 = 0x1_0000;
/// log2 of the commands of the ring.
const RING_LOG2: u8 = 6;
/// Cycles without a completion after which something is wrong.
const PATIENCE: u64 = 2_000_000;
/// Tokens that there are.
const TOKENS: u8 = 16;
/// Features of a head.
const HEAD_DIM: usize = 128;

/// Commands and their data.
#[derive(Clone, Debug)]
pub struct Workload {
    geometry: Geometry,
    source: Source,
    commands: Vec<Command>,
    regions: Vec<(u64, Vec<u8>)>,
    next: u64,
    token: u8,
    operand: u8,
    payload: u64,
    stream: u64,
}

impl Workload {
    /// Nothing to do yet.
    #[must_use]
    pub const fn new(geometry: Geometry) -> Self {
        let source = Source::new(1, Flavour::Plain);
        Self {
            geometry,
            source,
            commands: Vec::new(),
            regions: Vec::new(),
            next: FIRST,
            token: 0,
            operand: 0,
            payload: 0,
            stream: 0,
        }
    }

    /// Bytes of the elements and scales that are streamed, each once: without padding, operands and commands.
    #[must_use]
    pub const fn payload(&self) -> u64 {
        self.payload
    }

    /// Words of memory that hold what is streamed.
    #[must_use]
    pub const fn stream_words(&self) -> u64 {
        self.stream
    }

    fn room(&mut self, bytes: usize) -> u64 {
        let at = self.next;
        self.next += bytes.next_multiple_of(0x1000) as u64;
        at
    }

    fn place(&mut self, bytes: Vec<u8>) -> u64 {
        let at = self.room(bytes.len());
        self.regions.push((at, bytes));
        at
    }

    /// A token that no command has used for a while.
    const fn next_token(&mut self) -> u16 {
        self.token = (self.token + 1) % TOKENS;
        1 << self.token
    }

    /// Loads rows of so many blocks each behind what was loaded before. Returns the first chunk and the token to wait for.
    fn load(&mut self, rows: usize, blocks: usize, wait_tokens: u16) -> (u8, u16) {
        // Small enough that no score leaves the fixed point.
        let scale = E8m0::from_code(113);
        let values: Vec<_> =
            (0..rows * blocks).map(|_| MxInt8Block { scale, ..self.source.int8_block() }).collect();
        let source = self.place(pack_operands(blocks, &values));
        let signal_tokens = self.next_token();
        let operand = self.operand;
        self.operand += low_u8(blocks.div_ceil(2 * self.geometry.segments) as u64);
        self.commands.push(Command {
            opcode: low_u8(OPCODE_LOAD.into()),
            rows: low_u8(rows as u64),
            operand,
            wait_tokens,
            signal_tokens,
            source,
            length: number(blocks * SEGMENT_LANES),
            ..Command::default()
        });
        (operand, signal_tokens)
    }

    /// x of one row, and the product of a matrix in MXFP4 with it: the weights stream while x is loaded. `behind`: x is loaded
    /// when the tokens of this product's command were given back. Returns the token of the product.
    pub fn gemv(&mut self, features: usize, columns: usize, behind: u16) -> u16 {
        let (operand, loaded) = self.load(1, columns / SEGMENT_LANES, behind);
        self.product(features, columns, operand, loaded)
    }

    /// Two products of matrices of this size that do not wait for each other: both operands are loaded first.
    pub fn two_gemvs(&mut self, features: usize, columns: usize) {
        let operands = [(); 2].map(|()| self.load(1, columns / SEGMENT_LANES, 0));
        for (operand, loaded) in operands {
            self.product(features, columns, operand, loaded);
        }
    }

    fn product(&mut self, features: usize, columns: usize, operand: u8, wait_array: u16) -> u16 {
        let blocks = columns / SEGMENT_LANES;
        let weights: Vec<_> = (0..features * blocks).map(|_| self.source.fp4_block()).collect();
        let source = pack_weights(self.geometry.segments, blocks, Blocks::Fp4(&weights));
        self.streams(&source, features * blocks);
        let source = self.place(source);
        let destination = self.room(result_bytes(1, features));
        let signal_tokens = self.next_token();
        self.commands.push(Command {
            opcode: low_u8(OPCODE_GEMV.into()),
            rows: 1,
            operand,
            signal_tokens,
            source,
            destination,
            wait_array,
            count: number(features),
            length: number(columns),
            ..Command::default()
        });
        signal_tokens
    }

    /// A head of a session in MXFP4: as many queries as rows, at its last token. K and V stream while q is loaded.
    pub fn attend(&mut self, tokens: usize) {
        let blocks = HEAD_DIM / SEGMENT_LANES;
        let rows = self.geometry.rows;
        let (operand, wait_array) = self.load(rows, blocks, 0);
        let mut codes = || -> Vec<_> { (0..tokens * blocks).map(|_| self.source.fp4_block()).collect() };
        let (keys, values) = (codes(), codes());
        let source = pack_region(self.geometry.segments, true, Blocks::Fp4(&keys), Blocks::Fp4(&values));
        self.streams(&source, 2 * tokens * blocks);
        let source = self.place(source);
        let destination = self.room(result_bytes(rows, HEAD_DIM));
        let last = number(tokens - 1);
        self.commands.push(Command {
            opcode: low_u8(OPCODE_ATTEND.into()),
            flags: CommandFlags { wide: true, causal: true, ..CommandFlags::default() },
            rows: low_u8(rows as u64),
            operand,
            source,
            destination,
            wait_array,
            count: number(tokens),
            positions: std::array::from_fn(|row| if row < rows { last } else { 0 }),
            ..Command::default()
        });
    }

    const fn streams(&mut self, bytes: &[u8], blocks: usize) {
        self.payload += (blocks * (SEGMENT_LANES / 2 + 1)) as u64;
        self.stream += bytes.len() as u64 / 64;
    }

    /// Runs it on a core that was just built, and holds what comes out against the untimed interpreter.
    ///
    /// # Errors
    /// When the core is wrong, or `progress` stops it.
    ///
    /// # Panics
    /// When the commands use what is not defined.
    pub fn run(
        &self,
        core: &mut dyn CorePort,
        kind: MemoryKind,
        progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
    ) -> Result<Finished, DutError> {
        self.prepared().run(core, kind, progress)
    }

    /// With what the untimed interpreter makes of it, for several runs.
    ///
    /// # Panics
    /// When the commands use what is not defined.
    #[must_use]
    pub fn prepared(&self) -> PreparedWorkload<'_> {
        let Geometry { rows, segments, .. } = self.geometry;
        let shape = Shape { rows, segments, bank_words: self.geometry.words(), bounds: FIRST..RINGS };
        let mut image = Image::new(0..MEMORY_END);
        for (at, bytes) in &self.regions {
            image.store(*at, bytes);
        }
        let mut machine = Machine::new(shape, image);
        let commands: Vec<_> = self.commands.iter().map(Command::words).collect();
        let statuses = commands.iter().map(|words| machine.run(words).expect("all is defined")).collect();
        let plan = HostPlan {
            commands,
            bounds: FIRST..RINGS,
            pinned: false,
            rings: RINGS,
            ring_log2: RING_LOG2,
            stalls: None,
            patience: PATIENCE,
        };
        PreparedWorkload { regions: &self.regions, plan, statuses, image: machine.image }
    }
}

/// A program, and what must come out.
#[derive(Clone, Debug)]
pub struct PreparedWorkload<'a> {
    regions: &'a [(u64, Vec<u8>)],
    plan: HostPlan,
    statuses: Vec<u8>,
    image: Image,
}

impl PreparedWorkload<'_> {
    /// Runs it on a core that was just built.
    ///
    /// # Errors
    /// When the core is wrong, or `progress` stops it.
    pub fn run(
        &self,
        core: &mut dyn CorePort,
        kind: MemoryKind,
        progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
    ) -> Result<Finished, DutError> {
        let mut memory = kind.make(1);
        for (at, bytes) in self.regions {
            memory.contents_mut().store(*at, bytes);
        }
        let finished = run(Run { core, memory, plan: &self.plan }, progress)?;
        judge(&self.plan.commands, &self.statuses, &self.image, &finished)?;
        Ok(finished)
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("programs that are measured are short")
}
