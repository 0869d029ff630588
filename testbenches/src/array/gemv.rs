// SPDX-License-Identifier: Apache-2.0
//! A matrix times up to R rows of activations as a stream of beats (rules 4, 10, 11 of docs/blocks/systolic_array.md).
//!
//! The matrix goes through the array in tiles of 64 output features x all chunks of the contraction. Elements and
//! scales cross one port, a word of 32 x segments bytes a cycle: a tile's chunk is its scale words, then one word per
//! feature. Activations are loaded while the chunk before them streams.

use std::collections::VecDeque;

use tandem_model::array::Geometry;
use tandem_model::array::types::{Beat, EdgeTag, LaneByte, Mode, PSUM_SLOTS, PeTag, SEGMENT_LANES};
use tandem_model::block::{Uint, low_u16};
use tandem_model::numerics::{Float36, MxFp4Block, MxInt8Block};

use super::driver::{ArrayDriver, Slot};
use crate::bench::WrongAnswer;
use crate::dut::DutError;

/// Blocks of what streams: weights or keys, row by row.
#[derive(Clone, Debug)]
pub enum Stream {
    /// MXFP4.
    Fp4(Vec<MxFp4Block>),
    /// MXINT8.
    Int8(Vec<MxInt8Block>),
}

impl Stream {
    /// Blocks that a segment's two chains take per beat.
    #[must_use]
    pub const fn blocks_per_segment(&self) -> usize {
        match self {
            Self::Fp4(_) => 2,
            Self::Int8(_) => 1,
        }
    }

    /// True for MXINT8.
    #[must_use]
    pub const fn is_int8(&self) -> bool {
        matches!(self, Self::Int8(_))
    }

    /// Blocks in all.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Fp4(blocks) => blocks.len(),
            Self::Int8(blocks) => blocks.len(),
        }
    }

    /// True when there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One segment's 32 bytes and its scales, of the blocks from `first`; `None` stands for a block of zeros.
    pub(crate) fn segment(&self, lo: Option<usize>, hi: Option<usize>) -> ([u8; SEGMENT_LANES], LaneByte) {
        let code = |scale: Option<u8>| Uint(u16::from(scale.unwrap_or(0)));
        match self {
            Self::Fp4(blocks) => {
                let (lo, hi) = (lo.map(|i| &blocks[i]), hi.map(|i| &blocks[i]));
                let nibble = |b: Option<&MxFp4Block>, c: usize| b.map_or(0, |b| b.elements[c].code());
                let bytes = std::array::from_fn(|c| nibble(lo, c) | nibble(hi, c) << 4);
                (
                    bytes,
                    LaneByte { lo: code(lo.map(|b| b.scale.code())), hi: code(hi.map(|b| b.scale.code())) },
                )
            }
            Self::Int8(blocks) => {
                let block = lo.map(|i| &blocks[i]);
                let bytes = std::array::from_fn(|c| block.map_or(0, |b| b.elements[c].code()));
                (bytes, LaneByte { lo: code(block.map(|b| b.scale.code())), hi: Uint(0) })
            }
        }
    }
}

/// A weight matrix.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Output features.
    pub features: usize,
    /// Blocks of 32 along the contraction.
    pub blocks: usize,
    /// `features x blocks` blocks, feature by feature.
    pub weights: Stream,
}

impl Matrix {
    /// Words of the port that elements and scales take, each counted once: the least cycles in which they can cross.
    #[must_use]
    pub fn port_words(&self, geometry: Geometry) -> u64 {
        self.bytes().div_ceil(geometry.lanes() as u64)
    }

    /// Bytes of elements and scales.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        let element_bytes = if self.weights.is_int8() { 32 } else { 16 };
        (self.features * self.blocks * (element_bytes + 1)) as u64
    }
}

/// Operands that stay in the array: `rows x blocks` MXINT8 blocks.
#[derive(Clone, Debug)]
pub struct Stationary {
    /// Blocks per row.
    pub blocks: usize,
    /// Row by row; at most as many rows as the array has.
    pub values: Vec<MxInt8Block>,
}

impl Stationary {
    /// Rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.values.len() / self.blocks.max(1)
    }

    fn block(&self, row: usize, block: Option<usize>) -> Option<&MxInt8Block> {
        block.filter(|_| row < self.rows()).map(|b| &self.values[row * self.blocks + b])
    }

    /// The 33 slots that load one bank: 32 lanes, then the scales. `at(segment, chain)` names the block.
    pub(super) fn loads(
        &self,
        geometry: Geometry,
        bank: bool,
        at: impl Fn(usize, usize) -> Option<usize>,
    ) -> Vec<Slot> {
        let byte = |count: usize, block: Option<&MxInt8Block>| match block {
            Some(b) if count < SEGMENT_LANES => b.elements[count].code(),
            Some(b) => b.scale.code(),
            None => 0,
        };
        let slot = |count: usize| {
            let pe = PeTag {
                load: true,
                load_bank: bank,
                load_count: Uint(low_u16(count as u64)),
                ..PeTag::default()
            };
            let wires = |row: usize, s: usize| LaneByte {
                lo: Uint(u16::from(byte(count, self.block(row, at(s, 0))))),
                hi: Uint(u16::from(byte(count, self.block(row, at(s, 1))))),
            };
            let p = (0..geometry.rows).flat_map(|r| (0..geometry.segments).map(move |s| (r, s)));
            Slot {
                beat: Beat { pe, ..Beat::default() },
                p: p.map(|(r, s)| wires(r, s)).collect(),
                ..Slot::default()
            }
        };
        (0..=SEGMENT_LANES).map(slot).collect()
    }
}

/// What a GEMV took and gave.
#[derive(Clone, Debug)]
pub struct GemvRun {
    /// `features x rows of the array`: results, feature by feature.
    pub results: Vec<Float36>,
    /// What crossed the port.
    pub traffic: Traffic,
    /// Cycles from the first slot to the last result.
    pub cycles: u64,
}

/// Puts the oldest pending load onto a slot's p wires.
fn ride(mut slot: Slot, loads: &mut VecDeque<Slot>) -> Slot {
    if let Some(load) = loads.pop_front() {
        let tag = load.beat.pe;
        slot.beat.pe =
            PeTag { load: true, load_bank: tag.load_bank, load_count: tag.load_count, ..slot.beat.pe };
        slot.p = load.p;
    }
    slot
}

/// Beats and port words of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Beats.
    pub beats: u64,
    /// Words that crossed the port.
    pub port_words: u64,
}

/// Streams a matrix past stationary activations, waits for all results and puts them in order. `progress` is told the beats
/// done and may stop the run with an error.
///
/// # Errors
/// When the device finds something wrong.
///
/// # Panics
/// When the shapes of matrix and activations differ.
pub fn run_gemv(
    driver: &mut ArrayDriver<'_>,
    matrix: &Matrix,
    x: &Stationary,
    progress: &mut dyn FnMut(u64) -> Result<(), DutError>,
) -> Result<GemvRun, DutError> {
    let rows = driver.geometry().rows;
    let start = driver.now();
    driver.take_emitted();
    let traffic = stream_gemv(driver, matrix, x, progress)?;
    driver.drain()?;
    let emitted = driver.take_emitted();
    let cycles = emitted.last().map_or(driver.now(), |e| e.cycle) - start;
    // Rows are skewed, but each row's results come in the order of the beats.
    let mut results = vec![Float36::ZERO; matrix.features * rows];
    let mut next = vec![0; rows];
    for result in emitted {
        let feature = &mut next[result.row];
        if *feature >= matrix.features || *feature % PSUM_SLOTS != usize::from(result.slot) {
            let what = format!("result {feature} of row {} says slot {}", result.row, result.slot);
            return Err(WrongAnswer(what).into());
        }
        results[*feature * rows + result.row] = result.value;
        *feature += 1;
    }
    if next.iter().any(|&n| n != matrix.features) {
        return Err(WrongAnswer(format!("{} results per row expected, got {next:?}", matrix.features)).into());
    }
    Ok(GemvRun { results, traffic, cycles })
}

/// Streams a matrix and returns with its last beats still in flight.
///
/// # Errors
/// When the device finds something wrong.
///
/// # Panics
/// When the shapes of matrix and activations differ.
pub fn stream_gemv(
    driver: &mut ArrayDriver<'_>,
    matrix: &Matrix,
    x: &Stationary,
    progress: &mut dyn FnMut(u64) -> Result<(), DutError>,
) -> Result<Traffic, DutError> {
    let geometry = driver.geometry();
    assert_eq!(matrix.blocks, x.blocks, "blocks of matrix and activations");
    assert_eq!(matrix.weights.len(), matrix.features * matrix.blocks, "blocks of the matrix");
    assert!(x.rows() <= geometry.rows, "more activations than rows");
    let per_segment = matrix.weights.blocks_per_segment();
    let per_chunk = per_segment * geometry.segments;
    let chunks = matrix.blocks.div_ceil(per_chunk);
    let tiles = matrix.features.div_ceil(PSUM_SLOTS);
    // Block of a chunk that a chain of a segment holds; INT8 has the same block on both chains of the stationary side.
    let block = |chunk: usize, s: usize, chain: usize| {
        let b = chunk * per_chunk + if per_segment == 2 { 2 * s + chain } else { s };
        (b < matrix.blocks).then_some(b)
    };

    let mut traffic = Traffic::default();
    let load = |step: usize| {
        let chunk = step % chunks;
        VecDeque::from(x.loads(geometry, step % 2 == 1, |s, chain| block(chunk, s, chain)))
    };
    let mut loads = load(0);
    let steps = tiles * chunks;
    for step in 0..steps {
        let (tile, chunk) = (step / chunks, step % chunks);
        let features = tile * PSUM_SLOTS..matrix.features.min((tile + 1) * PSUM_SLOTS);
        // The chunk's own blocks; a tail brings fewer scales and, were it packed, fewer bytes, but a word is a beat.
        let blocks = per_chunk.min(matrix.blocks - chunk * per_chunk);
        let scale_words = (features.len() * blocks).div_ceil(geometry.lanes());
        for _ in 0..scale_words {
            driver.issue(ride(Slot::default(), &mut loads))?;
        }
        // One chunk's activations serve every tile when there is only one chunk.
        let keeps = chunks == 1 && step > 0;
        while !loads.is_empty() && !keeps {
            driver.issue(ride(Slot::default(), &mut loads))?;
        }
        if step + 1 < steps && chunks > 1 {
            loads = load(step + 1);
        }
        let bank = chunks > 1 && step % 2 == 1;
        for (slot, feature) in features.clone().enumerate() {
            let row = |b: Option<usize>| b.map(|b| feature * matrix.blocks + b);
            let mut beat = Slot::default();
            for s in 0..geometry.segments {
                let hi = if per_segment == 2 { block(chunk, s, 1) } else { None };
                let (bytes, scale) = matrix.weights.segment(row(block(chunk, s, 0)), row(hi));
                beat.elements.extend(bytes);
                beat.scales.push(scale);
            }
            beat.beat = Beat {
                pe: PeTag { mode: Mode::Gemv, bank, ..PeTag::default() },
                segment: EdgeTag {
                    int8: matrix.weights.is_int8(),
                    bank,
                    group_log2: Uint(low_u16(u64::from(geometry.segments.ilog2()))),
                    slot: Uint(low_u16(slot as u64)),
                    partial_in: chunk > 0,
                    partial_out: chunk + 1 < chunks,
                    ..EdgeTag::default()
                },
            };
            driver.issue(ride(beat, &mut loads))?;
        }
        traffic.beats += features.len() as u64;
        traffic.port_words += (scale_words + features.len()) as u64;
        progress(traffic.beats)?;
    }
    Ok(traffic)
}
