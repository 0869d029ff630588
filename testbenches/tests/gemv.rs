// SPDX-License-Identifier: Apache-2.0
//! GEMV from the words of W to the words of y: sequencer, array and result buffer, as models, around an operand file and a
//! memory of the test's own. What is written must be what the reference says of the matrix, bit for bit.

use std::collections::{BTreeMap, VecDeque};

use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::array::types::{FLOAT_LATENCY, LaneByte, SEGMENT_LANES};
use tandem_model::attention::types::FEED_LATENCY;
use tandem_model::block::{Block, Uint, Wide, low_u8, low_u16};
use tandem_model::compute::gemv_sequencer::GemvSequencer;
use tandem_model::compute::result_buffer::ResultBuffer;
use tandem_model::control::types::{Done, Gemv, JobFault, ResultJob};
use tandem_model::memory::types::WriteDone;
use tandem_model::numerics::{MxFp4Block, MxInt8Block};
use tandem_model::reference::divide::to_binary32;
use tandem_model::reference::dot::{Row, gemv_row};
use tandem_model::reference::float::Exact;
use tandem_testbenches::random::{Flavour, Source, split_mix};

/// W, feature by feature.
enum Weights {
    Fp4(Vec<Vec<MxFp4Block>>),
    Int8(Vec<Vec<MxInt8Block>>),
}

/// A product: W, x by row, where x lies in the operand file, where y goes.
struct Product {
    weights: Weights,
    features: usize,
    blocks: usize,
    x: Vec<Vec<MxInt8Block>>,
    operand: usize,
    line: u64,
}

impl Product {
    fn new(
        geometry: Geometry,
        int8: bool,
        features: usize,
        blocks: usize,
        rows: usize,
        source: &mut Source,
    ) -> Self {
        let mut fp4 = || (0..blocks).map(|_| source.fp4_block()).collect();
        let weights = if int8 {
            Weights::Int8((0..features).map(|_| (0..blocks).map(|_| source.int8_block()).collect()).collect())
        } else {
            Weights::Fp4((0..features).map(|_| fp4()).collect())
        };
        let x = (0..rows).map(|_| (0..blocks).map(|_| source.int8_block()).collect()).collect();
        let mut product = Self { weights, features, blocks, x, operand: 0, line: source.below(1 << 30) };
        product.operand = usize::from(source.byte()) % (129 - product.chunks(geometry));
        product
    }

    const fn int8(&self) -> bool {
        matches!(self.weights, Weights::Int8(_))
    }

    /// Blocks of a chunk.
    const fn per_chunk(&self, geometry: Geometry) -> usize {
        if self.int8() { geometry.segments } else { 2 * geometry.segments }
    }

    fn chunks(&self, geometry: Geometry) -> usize {
        self.blocks.div_ceil(self.per_chunk(geometry))
    }

    /// The block of a chunk that a chain of a segment takes; `None` beyond the contraction.
    fn block(&self, geometry: Geometry, chunk: usize, s: usize, chain: usize) -> Option<usize> {
        let within = if self.int8() { s } else { 2 * s + chain };
        Some(chunk * self.per_chunk(geometry) + within).filter(|&b| b < self.blocks)
    }

    /// Scale code and element code of W; 0 beyond the contraction.
    fn weight(&self, feature: usize, block: Option<usize>, lane: usize) -> (u8, u8) {
        let Some(block) = block else { return (0, 0) };
        match &self.weights {
            Weights::Fp4(rows) => {
                let block = &rows[feature][block];
                (block.scale.code(), block.elements[lane].code())
            }
            Weights::Int8(rows) => {
                let block = &rows[feature][block];
                (block.scale.code(), block.elements[lane].code())
            }
        }
    }

    /// The words of W.
    fn words(&self, geometry: Geometry) -> Vec<Vec<Uint<8>>> {
        let (int8, mut words) = (self.int8(), Vec::new());
        let per_word = if int8 { 32 } else { 16 };
        for tile in (0..self.features).step_by(64) {
            let features = tile..self.features.min(tile + 64);
            for chunk in 0..self.chunks(geometry) {
                let block = |s, chain| self.block(geometry, chunk, s, chain);
                for first in features.clone().step_by(per_word) {
                    let mut word = vec![Uint(0); geometry.lanes()];
                    for f in first..features.end.min(first + per_word) {
                        for s in 0..geometry.segments {
                            let scale = |chain| Uint(u16::from(self.weight(f, block(s, chain), 0).0));
                            if int8 {
                                word[32 * s + f - first] = scale(0);
                            } else {
                                word[32 * s + 2 * (f - first)] = scale(0);
                                word[32 * s + 2 * (f - first) + 1] = scale(1);
                            }
                        }
                    }
                    words.push(word);
                }
                for f in features.clone() {
                    let byte = |n: usize| {
                        let (s, lane) = (n / SEGMENT_LANES, n % SEGMENT_LANES);
                        let element = |chain| u16::from(self.weight(f, block(s, chain), lane).1);
                        Uint(if int8 { element(0) } else { element(0) | element(1) << 4 })
                    };
                    words.push((0..geometry.lanes()).map(byte).collect());
                }
            }
        }
        words
    }

    /// What the operand file gives for a load, in one row and segment.
    fn operand(&self, geometry: Geometry, load: (usize, usize), row: usize, s: usize) -> LaneByte {
        let (chunk, count) = load;
        let byte = |chain| {
            let block = self.block(geometry, chunk - self.operand, s, chain);
            let block = block.and_then(|b| self.x.get(row).map(|x| &x[b]));
            Uint(u16::from(block.map_or(0, |b| b.elements.get(count).map_or(b.scale.code(), |e| e.code()))))
        };
        LaneByte { hi: byte(1), lo: byte(0) }
    }

    /// The words of y, by their place.
    fn expected(&self) -> BTreeMap<u64, Vec<u32>> {
        let mut memory = BTreeMap::new();
        for (r, x) in self.x.iter().enumerate() {
            let values: Vec<_> = (0..self.features)
                .map(|f| match &self.weights {
                    Weights::Fp4(rows) => gemv_row(Row::MxFp4(&rows[f]), x).0,
                    Weights::Int8(rows) => gemv_row(Row::MxInt8(&rows[f]), x).0,
                })
                .map(|value| to_binary32(&Exact::of(value)).0)
                .collect();
            for (g, group) in values.chunks(16).enumerate() {
                let mut word = group.to_vec();
                word.resize(16, 0);
                memory.insert(self.line + (g * self.x.len() + r) as u64, word);
            }
        }
        memory
    }
}

/// Sequencer, array and buffer, and the time.
struct Chain {
    geometry: Geometry,
    sequencer: GemvSequencer,
    array: SystolicArray,
    buffer: ResultBuffer,
    now: usize,
    /// Loads by the cycle in which they enter the array: number of the product, chunk, count.
    loads: BTreeMap<usize, (usize, (usize, usize))>,
    memory: BTreeMap<u64, Vec<u32>>,
    /// Where the words of the granted request go.
    places: VecDeque<(u64, bool)>,
    answer: bool,
    done: Vec<Done>,
}

impl Chain {
    fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            sequencer: GemvSequencer::new(geometry),
            array: SystolicArray::new(geometry),
            buffer: ResultBuffer::new(geometry),
            now: 0,
            loads: BTreeMap::new(),
            memory: BTreeMap::new(),
            places: VecDeque::new(),
            answer: false,
            done: Vec::new(),
        }
    }

    /// Runs all products one behind the other; words and memory stall in so many of 256 cycles.
    fn run(&mut self, products: &[Product], stall: u8, seed: u64) {
        let mut seed = seed;
        let geometry = self.geometry;
        let mut words: VecDeque<_> = products.iter().flat_map(|product| product.words(geometry)).collect();
        let mut offered = false;
        let (mut next, mut next_result) = (0, 0);
        // Loads come in the order of the products: which one they are of.
        let mut left: VecDeque<_> =
            products
                .iter()
                .map(|p| {
                    if p.chunks(geometry) == 1 {
                        33
                    } else {
                        33 * p.chunks(geometry) * p.features.div_ceil(64)
                    }
                })
                .collect();
        let mut loading = 0;
        while self.done.len() < products.len() {
            assert!(self.now < 200_000, "{} of {} products are done", self.done.len(), products.len());
            let mut go = || low_u8(split_mix(&mut seed)) >= stall;
            let (s, b) = (self.sequencer.outputs(), self.buffer.outputs());
            if s.feed_o.load {
                let load = (usize::from(s.feed_o.load_chunk.0), usize::from(s.feed_o.load_count.0));
                self.loads.insert(self.now + FEED_LATENCY, (loading, load));
                left[loading] -= 1;
                loading += usize::from(left[loading] == 0);
            }

            let mut i = self.array.idle_inputs();
            i.beat_i = s.beat_o;
            i.elements_i.clone_from(&s.elements_o);
            i.scales_i.clone_from(&s.scales_o);
            for r in 0..geometry.rows {
                for segment in 0..geometry.segments {
                    let late = r + 2 * FLOAT_LATENCY * segment;
                    if let Some(&(p, load)) = self.now.checked_sub(late).and_then(|t| self.loads.get(&t)) {
                        i.p_i[r * geometry.segments + segment] =
                            products[p].operand(geometry, load, r, segment);
                    }
                }
            }
            let results: Vec<_> = self.array.results().collect();

            let mut buffer = self.buffer.idle_inputs();
            buffer.reserve_i = Uint(s.reserve_o.0);
            buffer.result_i =
                results.chunks(geometry.segments).map(|row| row[geometry.segments - 1]).collect();
            buffer.fault_i = JobFault::default();
            if let Some(product) = products.get(next_result) {
                buffer.job_i = ResultJob {
                    valid: true,
                    rows: Uint(low_u16(product.x.len() as u64)),
                    features: Wide(product.features as u64),
                    line: Wide(product.line),
                };
                buffer.job_done_i = Done { index: Uint(low_u16(next_result as u64)), ..Done::default() };
            }
            buffer.write_request_ready_i = go();
            buffer.write_ready_i = go();
            buffer.done_ready_i = true;
            buffer.write_done_i = WriteDone { valid: self.answer, error: false };
            self.write(&b, &buffer);
            self.done.extend(Some(b.done_o).filter(|done| done.valid));

            // A product begins when its results have a place.
            offered |= !words.is_empty() && go();
            let mut sequencer = self.sequencer.idle_inputs();
            if let Some(product) = products.get(next).filter(|_| next < next_result) {
                sequencer.gemv_i = Gemv {
                    valid: true,
                    int8: product.int8(),
                    features: Wide(product.features as u64),
                    chunks_last: Uint(low_u16(product.chunks(geometry) as u64 - 1)),
                    operand: Uint(low_u16(product.operand as u64)),
                };
            }
            sequencer.weight_valid_i = offered;
            if let Some(word) = words.front().filter(|_| offered) {
                sequencer.weight_i.clone_from(word);
            }
            sequencer.room_i = b.free_o.0 >= 4;
            next += usize::from(sequencer.gemv_i.valid && s.gemv_ready_o);
            next_result += usize::from(buffer.job_i.valid && b.job_ready_o);
            if offered && s.weight_ready_o {
                words.pop_front();
                offered = false;
            }

            self.sequencer.clock(&sequencer);
            self.array.clock(&i);
            self.buffer.clock(&buffer);
            self.now += 1;
        }
        assert!(words.is_empty() && loading == products.len());
    }

    /// The memory's side of a clock.
    fn write(
        &mut self,
        b: &tandem_model::compute::result_buffer::Outputs,
        i: &tandem_model::compute::result_buffer::Inputs,
    ) {
        self.answer = false;
        if b.write_valid_o && i.write_ready_i {
            let (line, last) = self.places.pop_front().expect("a request came before");
            let words = b.write_data_o.0.iter().flat_map(|w| [w.0 & 0xFFFF_FFFF, w.0 >> 32]);
            let words = words.map(|w| u32::try_from(w).expect("32 bits")).collect();
            assert!(self.memory.insert(line, words).is_none(), "a word is written twice");
            self.answer = last;
        }
        let request = b.write_request_o;
        if request.valid && i.write_request_ready_i {
            let (first, words) = (request.address.0 / 64, u64::from(request.words.0));
            self.places.extend((0..words).map(|n| (first + n, n + 1 == words)));
        }
    }
}

#[test]
fn products_are_what_the_reference_says() {
    let shapes = [
        (false, 64, 8),
        (false, 1, 9),
        (true, 3, 6),
        (false, 17, 4),
        (true, 130, 2),
        (false, 200, 11),
        (true, 15, 1),
        (false, 100, 1),
        (true, 64, 12),
    ];
    for geometry in Geometry::ALL {
        for (stall, flavour) in [(0, Flavour::Plain), (100, Flavour::WildScales), (20, Flavour::Extreme)] {
            let mut source = Source::new(u64::from(stall) + 7, flavour);
            let mut products = Vec::new();
            for (n, (int8, features, blocks)) in shapes.into_iter().enumerate() {
                let rows = 1 + n % geometry.rows;
                products.push(Product::new(geometry, int8, features, blocks, rows, &mut source));
            }
            let mut chain = Chain::new(geometry);
            chain.run(&products, stall, 1);
            let mut want = BTreeMap::new();
            products.iter().for_each(|product| want.extend(product.expected()));
            assert!(chain.memory == want, "{} stalls {stall}", geometry.name);
            let order: Vec<_> = chain.done.iter().map(|done| usize::from(done.index.0)).collect();
            assert_eq!(order, (0..products.len()).collect::<Vec<_>>());
        }
    }
}
