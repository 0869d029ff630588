// SPDX-License-Identifier: Apache-2.0
//! Property test of the systolic array: random operations chained without a gap, against the untimed reference.

use std::collections::{HashMap, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::array::types::{AccRead, LaneByte, SEGMENT_LANES};
use tandem_model::block::{Int, Uint, low_u16};
use tandem_model::numerics::{E2m1, Float36, MxInt8Block, Mxint8};
use tandem_model::reference::dot::{Flags, Row, gemv_row};
use tandem_model::reference::pv::{Tile, Values, accumulate};

use super::attention::{HeadLayout, KeyTile, ValueTile};
use super::driver::{ArrayDriver, Stalls};
use super::gemv::{Matrix, Stationary, Stream, stream_gemv};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::{Flavour, Source};

/// Property test of `systolic_array`.
#[derive(Clone, Copy, Debug)]
pub struct ArrayBench {
    /// Its geometry.
    pub geometry: Geometry,
}

/// An operation. The data come from a seed and a flavour.
#[derive(Clone, Debug)]
pub enum Op {
    /// A matrix times activations.
    Gemv {
        /// MXINT8 weights.
        int8: bool,
        /// Output features.
        features: usize,
        /// Blocks of the contraction.
        blocks: usize,
        /// Rows of activations.
        rows: usize,
        /// Data.
        data: (Flavour, u64),
    },
    /// A tile of keys.
    Keys {
        /// MXINT8 keys.
        int8: bool,
        /// Head of 64 instead of 128.
        narrow: bool,
        /// Tokens per group.
        beats: usize,
        /// Data.
        data: (Flavour, u64),
    },
    /// One part of a tile of values.
    Values {
        /// MXINT8 values.
        int8: bool,
        /// Tokens.
        tokens: usize,
        /// Part of the token.
        part: usize,
        /// First tile of a head.
        first: bool,
        /// Bank.
        bank: bool,
        /// Data.
        data: (Flavour, u64),
    },
    /// Wait and read accumulators back.
    ReadAccumulators,
    /// Bubbles.
    Bubbles(usize),
    /// Wait, compare the flags, clear them.
    ClearFlags,
    /// Reset with beats in flight.
    Reset,
    /// Random stalls from here on.
    Stall(u64),
}

const CORNERS: [&str; 13] = [
    "GEMV of one chunk",
    "GEMV over several chunks",
    "tail in features",
    "tail in the contraction",
    "fewer rows than the array",
    "narrow head",
    "head in parts",
    "tile of one token",
    "keys right before values",
    "accumulation over tiles",
    "NaN scale",
    "reset in flight",
    "stalls",
];

/// What the device still owes, and what its accumulators hold.
struct Expected {
    geometry: Geometry,
    /// Per (row, segment): results in the order of the beats.
    results: HashMap<(usize, usize), VecDeque<(u16, Float36)>>,
    /// (row, segment, chain, address): defined entries.
    accumulators: HashMap<(usize, usize, usize, usize), Float36>,
    flags: Vec<Flags>,
}

impl Expected {
    fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            results: HashMap::new(),
            accumulators: HashMap::new(),
            flags: vec![Flags::default(); geometry.rows],
        }
    }

    fn result(&mut self, row: usize, segment: usize, slot: usize, (value, flags): (Float36, Flags)) {
        self.results.entry((row, segment)).or_default().push_back((low_u16(slot as u64), value));
        self.raise(row, flags.nan_scale, flags.saturated);
    }

    fn raise(&mut self, row: usize, nan_scale: bool, saturated: bool) {
        self.flags[row].nan_scale |= nan_scale;
        self.flags[row].saturated |= saturated;
    }

    /// Compares everything that has left the array so far.
    fn compare(&mut self, driver: &mut ArrayDriver<'_>) -> Result<(), DutError> {
        for got in driver.take_emitted() {
            let queue = self.results.entry((got.row, got.segment)).or_default();
            let want = queue.pop_front();
            if want != Some((got.slot, got.value)) {
                return Err(WrongAnswer(format!("{got:?}, expected {want:?}")).into());
            }
        }
        Ok(())
    }

    /// After the array has drained: nothing is owed, flags are as they should be.
    fn settle(&mut self, driver: &mut ArrayDriver<'_>) -> Result<(), DutError> {
        driver.drain()?;
        self.compare(driver)?;
        if let Some((at, _)) = self.results.iter().find(|(_, queue)| !queue.is_empty()) {
            return Err(WrongAnswer(format!("row and segment {at:?} still owe results")).into());
        }
        let want: Vec<_> = self.flags.iter().map(|f| (f.nan_scale, f.saturated)).collect();
        let got = driver.flags();
        if want == got {
            return Ok(());
        }
        Err(WrongAnswer(format!("flags (nan_scale, saturated) per row: expected {want:?}, got {got:?}"))
            .into())
    }
}

fn stream(source: &mut Source, int8: bool, blocks: usize) -> Stream {
    if int8 {
        Stream::Int8((0..blocks).map(|_| source.int8_block()).collect())
    } else {
        Stream::Fp4((0..blocks).map(|_| source.fp4_block()).collect())
    }
}

/// Row `index` of a stream of rows of `blocks` blocks.
fn row(stream: &Stream, index: usize, blocks: usize) -> Row<'_> {
    let range = index * blocks..(index + 1) * blocks;
    match stream {
        Stream::Fp4(all) => Row::MxFp4(&all[range]),
        Stream::Int8(all) => Row::MxInt8(&all[range]),
    }
}

fn has_nan(x: &Stationary) -> bool {
    x.values.iter().any(|b| b.scale.is_nan())
}

fn gemv(
    driver: &mut ArrayDriver<'_>,
    expected: &mut Expected,
    coverage: &mut Coverage,
    matrix: &Matrix,
    x: &Stationary,
) -> Result<(), DutError> {
    let geometry = expected.geometry;
    let per_chunk = matrix.weights.blocks_per_segment() * geometry.segments;
    coverage.hit(CORNERS[usize::from(matrix.blocks > per_chunk)]);
    coverage.hit_if(!matrix.features.is_multiple_of(64), CORNERS[2]);
    coverage.hit_if(!matrix.blocks.is_multiple_of(per_chunk), CORNERS[3]);
    coverage.hit_if(x.rows() < geometry.rows, CORNERS[4]);
    coverage.hit_if(has_nan(x), CORNERS[10]);
    // Rows without activations hold zeros.
    let zeros = vec![MxInt8Block::default(); matrix.blocks];
    for feature in 0..matrix.features {
        for r in 0..geometry.rows {
            let x = x.values.chunks(matrix.blocks).nth(r).unwrap_or(&zeros);
            let want = gemv_row(row(&matrix.weights, feature, matrix.blocks), x);
            expected.result(r, geometry.segments - 1, feature % 64, want);
        }
    }
    stream_gemv(driver, matrix, x, &mut |_| Ok(()))?;
    Ok(())
}

fn keys(
    driver: &mut ArrayDriver<'_>,
    expected: &mut Expected,
    coverage: &mut Coverage,
    tile: &KeyTile,
    queries: &Stationary,
) -> Result<(), DutError> {
    let geometry = expected.geometry;
    let layout = tile.layout;
    coverage.hit_if(layout.blocks == 2, CORNERS[5]);
    coverage.hit_if(layout.parts > 1, CORNERS[6]);
    coverage.hit_if(has_nan(queries), CORNERS[10]);
    for token in 0..tile.beats {
        for group in 0..layout.groups {
            let segment = (group + 1) * layout.segments_per_group(geometry) - 1;
            for r in 0..geometry.rows {
                let q = &queries.values[r * layout.blocks..][..layout.blocks];
                let want = gemv_row(row(&tile.keys, group * tile.beats + token, layout.blocks), q);
                expected.result(r, segment, token, want);
            }
        }
    }
    tile.stream(driver, queries)
}

fn values(
    driver: &mut ArrayDriver<'_>,
    expected: &mut Expected,
    coverage: &mut Coverage,
    tile: &ValueTile,
) -> Result<(), DutError> {
    let geometry = expected.geometry;
    let segments = geometry.segments;
    coverage.hit_if(tile.elements.len() == 1, CORNERS[7]);
    coverage.hit_if(!tile.acc_first, CORNERS[9]);
    let address = tile.address(geometry);
    for at in 0..geometry.rows * segments {
        let (r, s) = (at / segments, at % segments);
        let mut saturated = false;
        for &chain in &[0, 1] {
            let byte = |v: LaneByte| if chain == 0 { v.lo } else { v.hi }.0.to_le_bytes()[0];
            let p: Vec<u8> = tile.p.iter().map(|token| byte(token[at])).collect();
            let lanes = |token: &Vec<u8>, c: usize| token[s * SEGMENT_LANES + c];
            let nibble = |b: u8| E2m1::from_code(b >> (4 * chain) & 15).expect("4 bits");
            let fp4: Vec<[E2m1; 32]> =
                tile.elements.iter().map(|t| std::array::from_fn(|c| nibble(lanes(t, c)))).collect();
            let int8: Vec<[Mxint8; 32]> = tile
                .elements
                .iter()
                .map(|t| std::array::from_fn(|c| Mxint8::from_code(lanes(t, c))))
                .collect();
            let values = if tile.int8 { Values::MxInt8(&int8) } else { Values::MxFp4(&fp4) };
            let reference = Tile { p: &p, values, tile_exponent: tile.exponents[at][chain].0 };
            let writes = tile.chains().contains(&chain);
            let entry = |c: usize| (r, s, chain, address + c);
            let start = std::array::from_fn(|c| match (writes, tile.acc_first) {
                (true, false) => expected.accumulators[&entry(c)],
                _ => Float36::ZERO,
            });
            let after = accumulate(start, &reference);
            saturated |= writes && after.saturated;
            if writes {
                expected.accumulators.extend((0..SEGMENT_LANES).map(|c| (entry(c), after.values[c])));
            }
        }
        expected.raise(r, false, saturated);
    }
    tile.stream(driver)
}

impl ArrayBench {
    fn queries(&self, source: &mut Source, rows: usize, blocks: usize) -> Stationary {
        Stationary { blocks, values: (0..rows * blocks).map(|_| source.int8_block()).collect() }
    }

    /// A tile of values whose accumulators are defined: the first of its head where nothing is there yet.
    fn value_tile(&self, op: &Op, expected: &Expected) -> Option<ValueTile> {
        let Op::Values { int8, tokens, part, first, bank, data: (flavour, seed) } = *op else { return None };
        let geometry = self.geometry;
        let mut source = Source::new(seed, flavour);
        let edges = geometry.rows * geometry.segments;
        let parts = if int8 { 2 } else { 1 } * geometry.chain_parts();
        let mut tile = ValueTile {
            int8,
            part: part % parts,
            acc_first: first,
            acc_bank: bank,
            elements: Vec::new(),
            p: Vec::new(),
            exponents: Vec::new(),
        };
        for _ in 0..tokens {
            tile.elements.push((0..geometry.lanes()).map(|_| source.byte()).collect());
            let p = (0..edges).map(|_| {
                let (lo, hi) = match flavour {
                    Flavour::Extreme => (255, 255),
                    _ => (source.byte(), source.byte()),
                };
                LaneByte { lo: Uint(u16::from(lo)), hi: Uint(u16::from(if int8 { lo } else { hi })) }
            });
            tile.p.push(p.collect());
        }
        let exponent = |bits: u64| {
            Int(match (flavour, bits % 4) {
                (Flavour::WildScales, 0) => 2047,
                (Flavour::WildScales, 1) => -2048,
                _ => i32::from(low_u16(bits >> 8) % 40) - 27,
            })
        };
        tile.exponents = (0..edges).map(|_| [exponent(source.bits()), exponent(source.bits())]).collect();
        let address = tile.address(geometry);
        let defined = tile.chains().iter().all(|&c| expected.accumulators.contains_key(&(0, 0, c, address)));
        tile.acc_first |= !defined;
        Some(tile)
    }

    fn apply(
        &self,
        op: &Op,
        previous: Option<&Op>,
        driver: &mut ArrayDriver<'_>,
        expected: &mut Expected,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        match *op {
            Op::Gemv { int8, features, blocks, rows, data: (flavour, seed) } => {
                let mut source = Source::new(seed, flavour);
                let weights = stream(&mut source, int8, features * blocks);
                let x = self.queries(&mut source, rows.min(self.geometry.rows), blocks);
                gemv(driver, expected, coverage, &Matrix { features, blocks, weights }, &x)
            }
            Op::Keys { int8, narrow, beats, data: (flavour, seed) } => {
                let mut source = Source::new(seed, flavour);
                let layout = HeadLayout::new(self.geometry, int8, if narrow { 2 } else { 4 });
                let tokens = stream(&mut source, int8, beats * layout.groups * layout.blocks);
                let queries = self.queries(&mut source, self.geometry.rows, layout.blocks);
                keys(driver, expected, coverage, &KeyTile { layout, beats, keys: tokens }, &queries)
            }
            Op::Values { .. } => {
                coverage.hit_if(matches!(previous, Some(Op::Keys { .. })), CORNERS[8]);
                let tile = self.value_tile(op, expected);
                tile.map_or(Ok(()), |tile| values(driver, expected, coverage, &tile))
            }
            Op::ReadAccumulators => {
                expected.settle(driver)?;
                self.read_back(driver, expected)
            }
            Op::Bubbles(n) => (0..n).try_for_each(|_| driver.bubble()),
            Op::ClearFlags => {
                expected.settle(driver)?;
                driver.clear_flags()?;
                expected.flags.fill(Flags::default());
                Ok(())
            }
            Op::Reset => {
                expected.compare(driver)?;
                let busy = expected.results.values().any(|queue| !queue.is_empty());
                coverage.hit_if(busy, CORNERS[11]);
                *expected = Expected::new(self.geometry);
                driver.reset()?;
                driver.take_emitted();
                Ok(())
            }
            Op::Stall(seed) => {
                coverage.hit(CORNERS[12]);
                driver.stall(Stalls::new(seed));
                Ok(())
            }
        }
    }

    /// Reads every fifth defined accumulator of row 0's list, in all rows: five is prime to the 32 lanes of a tile, so that
    /// over the parts and banks all lanes have their turn.
    fn read_back(&self, driver: &mut ArrayDriver<'_>, expected: &Expected) -> Result<(), DutError> {
        let mut entries: Vec<_> = expected.accumulators.keys().filter(|k| k.0 == 0).copied().collect();
        entries.sort_unstable();
        for (_, segment, chain, address) in entries.into_iter().step_by(5) {
            let read = AccRead {
                valid: true,
                segment: Uint(low_u16(segment as u64)),
                chain: chain == 1,
                address: Uint(low_u16(address as u64)),
            };
            let got = driver.read_accumulator(read)?;
            for (r, &got) in got.iter().enumerate() {
                let want = expected.accumulators[&(r, segment, chain, address)];
                if want != got {
                    let place = format!("row {r}, segment {segment}, chain {chain}, entry {address}");
                    return Err(WrongAnswer(format!(
                        "accumulator of {place}: expected {want:?}, got {got:?}"
                    ))
                    .into());
                }
            }
        }
        Ok(())
    }
}

impl Bench for ArrayBench {
    type Block = SystolicArray;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let data = || (proptest::sample::select(&Flavour::ALL[..]), any::<u64>());
        let rows = self.geometry.rows;
        let blocks = prop_oneof![2 => 1..=4usize, 1 => 1..=9usize];
        let op = prop_oneof![
            3 => (any::<bool>(), 1..=70usize, blocks, 1..=rows, data())
                .prop_map(|(int8, features, blocks, rows, data)| Op::Gemv { int8, features, blocks, rows, data }),
            4 => (any::<bool>(), any::<bool>(), 1..=32usize, data())
                .prop_map(|(int8, narrow, beats, data)| Op::Keys { int8, narrow, beats, data }),
            6 => ((any::<bool>(), prop_oneof![1 => Just(1), 4 => 1..=32usize]), 0..4usize, any::<bool>(), any::<bool>(), data())
                .prop_map(|((int8, tokens), part, first, bank, data)| Op::Values { int8, tokens, part, first, bank, data }),
            2 => Just(Op::ReadAccumulators),
            1 => (1..40usize).prop_map(Op::Bubbles),
            1 => Just(Op::ClearFlags),
            1 => Just(Op::Reset),
            1 => any::<u64>().prop_map(Op::Stall),
        ];
        vec(op, 1..10).boxed()
    }

    fn model(&self) -> SystolicArray {
        SystolicArray::new(self.geometry)
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<SystolicArray>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut driver = ArrayDriver::new(self.geometry, dut)?;
        let mut expected = Expected::new(self.geometry);
        let mut previous = None;
        for op in case {
            self.apply(op, previous, &mut driver, &mut expected, coverage)?;
            previous = Some(op);
        }
        expected.settle(&mut driver)?;
        self.read_back(&mut driver, &expected)?;
        coverage.add_cycles(driver.now());
        Ok(())
    }
}
