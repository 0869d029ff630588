// SPDX-License-Identifier: Apache-2.0
//! Test bench of softmax.

use std::collections::HashMap;

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::{LaneByte, SEGMENT_LANES};
use tandem_model::attention::softmax::{Inputs, Outputs, Softmax};
use tandem_model::attention::types::{
    EXP2_LATENCY, FEED_LATENCY, FeedTag, OperandBlock, ScoreTag, SoftmaxFlags, TILE_SLOTS, TileSum,
};
use tandem_model::block::{Int, Uint, Wide, low_u16};
use tandem_model::numerics::Float36;
use tandem_model::reference::softmax::{Power, TileP, exp2, tile_p};

use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Property test of `softmax`.
#[derive(Clone, Copy, Debug)]
pub struct SoftmaxBench {
    /// Sets how many V blocks a segment holds.
    pub geometry: Geometry,
}

/// Scores of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scores {
    /// Within +-8, finer than the fixed point.
    Near,
    /// All the same.
    Flat,
    /// One key above all others.
    Strong,
    /// Falling by half a binade from key to key.
    Tail,
    /// About +-1023, beyond, and next to nothing.
    Ends,
}

/// V scales of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scales {
    /// Near 1.
    Near,
    /// Half of them 2^40 below the others.
    Apart,
    /// Some NaN.
    Nan,
    /// Any code.
    Any,
}

/// Which keys the row sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// All.
    Open,
    /// None.
    Closed,
    /// Those before some position.
    Causal,
    /// Any.
    Random,
}

/// Some clocks of inputs. What a case does not say comes from its seeds.
#[derive(Clone, Debug)]
pub enum Op {
    /// Scores of a tile, and its beats.
    Tile {
        /// Keys.
        tokens: usize,
        /// MXINT8.
        int8: bool,
        /// Scores.
        scores: Scores,
        /// V scales.
        scales: Scales,
        /// Mask.
        mask: Mask,
        /// With gaps between scores and between beats, some of them taken by loads.
        stalls: bool,
        /// Values.
        seed: u64,
    },
    /// Stationary operands are written and read back.
    Operands {
        /// How many.
        count: usize,
        /// Places and values.
        seed: u64,
    },
    /// The beats wait.
    Idle(usize),
    /// Clear the flags.
    Clear,
    /// Reset for one clock, this many clocks before everything is through.
    Reset(usize),
}

const CORNERS: [&str; 17] = [
    "all keys masked",
    "some keys masked",
    "one key",
    "p of 255",
    "key too small for a p",
    "tie between two p",
    "scale code 255",
    "V scales far apart",
    "clamped score",
    "score of 1023",
    "MXINT8",
    "operand loaded",
    "write beside a load",
    "scores beside beats",
    "slot reused at once",
    "reset in flight",
    "flags cleared",
];

/// Cycles from a score to the first cycle in which it can be fed.
const SCORE_TO_FEED: usize = EXP2_LATENCY + 1;
/// Cycles from a feed tag to everything that comes of it.
const FEED_TO_EXPONENT: usize = FEED_LATENCY + 2;

/// Inputs of every clock; true: reset.
struct Schedule {
    geometry: Geometry,
    clocks: Vec<(bool, Inputs)>,
    score_at: usize,
    feed_at: usize,
    /// Clock from which on a slot takes scores.
    free_at: [usize; TILE_SLOTS],
    tiles: usize,
    /// Operands that both chains have: chunk and lane, and the clock of their write.
    operands: Vec<(usize, Place)>,
}

/// A stationary operand: chunk, and lane or 32 for the scales.
type Place = (Uint<7>, Uint<6>);

fn below(state: &mut u64, n: usize) -> usize {
    usize::from(low_u16(split_mix(state) >> 20)) % n
}

fn uint<const W: u32>(n: usize) -> Uint<W> {
    Uint(low_u16(n as u64))
}

fn float(n: usize, negative: bool, exponent: i32) -> Float36 {
    let n = i32::try_from(n).expect("23 bits");
    Float36::from_int(if negative { -n } else { n }, exponent).value
}

/// Score of key `i` of a tile whose seed is `seed`.
fn score(scores: Scores, i: usize, seed: u64, state: &mut u64) -> Float36 {
    let fine = below(state, 1 << 16);
    let base = usize::from(low_u16(seed));
    match scores {
        Scores::Near => float(fine << 3 | below(state, 8), below(state, 2) == 0, -16),
        Scores::Flat => float(base, seed >> 16 & 1 == 0, -13),
        Scores::Strong => {
            let strong = usize::from(low_u16(seed >> 20)) % SEGMENT_LANES;
            float((if i == strong { 3 + base % 10 } else { 0 }) << 16 | fine, false, -16)
        }
        Scores::Tail => float((SEGMENT_LANES - i) << 15 | fine >> 2, false, -16),
        Scores::Ends => {
            let negative = below(state, 2) == 0;
            match below(state, 6) {
                0 => float(1023, negative, 0),
                1 => float((1023 << 13) + below(state, 4), negative, -13),
                2 => float(1022 << 6 | below(state, 128), negative, -6),
                3 => float(1 + fine, negative, 11 + i32::from(low_u16(seed) % 100)),
                4 => float(1 + fine, negative, -60),
                _ => float(fine, negative, -12),
            }
        }
    }
}

fn scale(scales: Scales, state: &mut u64) -> Uint<8> {
    let near = 120 + below(state, 14);
    let odd = below(state, 4);
    uint(match scales {
        Scales::Apart if odd < 2 => near - 40,
        Scales::Nan if odd == 0 => 255,
        Scales::Any => below(state, 256),
        Scales::Near | Scales::Apart | Scales::Nan => near,
    })
}

impl Schedule {
    fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            clocks: Vec::new(),
            score_at: 0,
            feed_at: 0,
            free_at: [0; TILE_SLOTS],
            tiles: 0,
            operands: Vec::new(),
        }
    }

    fn at(&mut self, clock: usize) -> &mut Inputs {
        if clock >= self.clocks.len() {
            self.clocks.resize(clock + 1, (false, Inputs::idle(self.geometry)));
        }
        &mut self.clocks[clock].1
    }

    /// A gap on the feed side, taken by a load where there is something to load.
    fn gap(&mut self, clocks: usize, state: &mut u64) {
        for _ in 0..clocks {
            let choice = below(state, 2 * self.operands.len().max(1));
            if let Some(&(written, place)) = self.operands.get(choice)
                && written <= self.feed_at
            {
                self.load(place);
            } else {
                self.feed_at += 1;
            }
        }
    }

    fn load(&mut self, (load_chunk, load_count): Place) {
        let tag = FeedTag { load: true, load_chunk, load_count, ..FeedTag::default() };
        let clock = self.feed_at;
        self.at(clock).feed_tag_i = tag;
        self.feed_at += 1;
    }

    fn operands(&mut self, count: usize, seed: u64) {
        let mut state = seed;
        let from = self.operands.len();
        // Few places, so that they are written again, also one chain alone.
        for clock in self.feed_at..self.feed_at + count {
            let chunk = uint([0, 1, 64, 127][below(&mut state, 4)]);
            let known = self.operands.iter().any(|(_, place)| place.0 == chunk);
            let chains = if known { 1 + below(&mut state, 3) } else { 3 };
            let inputs = self.at(clock);
            inputs.block_i = OperandBlock {
                valid: true,
                chunk,
                chains: uint(chains),
                scale: uint(below(&mut state, 256)),
                ..OperandBlock::default()
            };
            inputs.block_data_i.fill_with(|| Wide(split_mix(&mut state)));
            self.operands.push((clock, (chunk, uint([0, 1, 13, 31, 32][below(&mut state, 5)]))));
        }
        // An operand that is written in the cycle of its load can be read.
        for i in from..self.operands.len() {
            self.load(self.operands[i].1);
        }
    }

    fn tile(&mut self, op: &Op, coverage: &mut Coverage) {
        let &Op::Tile { tokens, int8, scores, scales, mask, stalls, seed } = op else { return };
        let mut state = seed;
        let slot = self.tiles % TILE_SLOTS;
        self.tiles += 1;
        coverage.hit_if(self.free_at[slot] > self.score_at, CORNERS[14]);
        self.score_at = self.score_at.max(self.free_at[slot]);
        let horizon = below(&mut state, tokens + 1);
        let mut codes = Vec::new();
        for beat in 0..tokens {
            if stalls && below(&mut state, 4) == 0 {
                self.score_at += 1 + below(&mut state, 3);
            }
            let clock = self.score_at;
            let visible = match mask {
                Mask::Open => true,
                Mask::Closed => false,
                Mask::Causal => beat < horizon,
                Mask::Random => below(&mut state, 2) == 0,
            };
            let inputs = self.at(clock);
            inputs.score_i = score(scores, beat, seed, &mut state);
            inputs.score_tag_i =
                ScoreTag { valid: true, first: beat == 0, tile: uint(slot), beat: uint(beat) };
            inputs.visible_i = visible;
            inputs.scales_i.codes_mut().fill_with(|| scale(scales, &mut state));
            codes.push(inputs.scales_i);
            self.score_at += 1;
        }
        // What follows the last score is of no tile, whatever it is.
        let clock = self.score_at;
        self.at(clock).score_i = float(1, false, 50);
        self.at(clock).visible_i = true;

        self.feed_at = self.feed_at.max(self.score_at - 1 + SCORE_TO_FEED);
        let parts = self.geometry.chain_parts() * if int8 { 2 } else { 1 };
        let (acc_first, acc_bank) = (below(&mut state, 2) == 0, below(&mut state, 2) == 0);
        for part in 0..parts {
            for (beat, codes) in codes.iter().enumerate() {
                if stalls && below(&mut state, 4) == 0 {
                    let clocks = 1 + below(&mut state, 3);
                    self.gap(clocks, &mut state);
                }
                let block = |chain| codes.codes()[if int8 { part } else { 2 * part + chain }];
                let tag = FeedTag {
                    valid: true,
                    int8,
                    tile: uint(slot),
                    part: uint(part),
                    beat: uint(beat),
                    last: beat + 1 == tokens,
                    acc_first,
                    acc_bank,
                    ..FeedTag::default()
                };
                let clock = self.feed_at;
                let inputs = self.at(clock);
                inputs.feed_tag_i = tag;
                inputs.feed_scale_i = LaneByte { hi: block(1), lo: block(0) };
                self.feed_at += 1;
            }
        }
        self.free_at[slot] = self.feed_at;
    }

    fn reset(&mut self, early: usize, coverage: &mut Coverage) {
        let at = self.clocks.len().saturating_sub(1 + early);
        self.at(at);
        self.clocks.truncate(at + 1);
        self.clocks[at].0 = true;
        let before = self.clocks[at.saturating_sub(FEED_LATENCY)..at].iter();
        coverage.hit_if(before.rev().any(|(_, i)| i.feed_tag_i.valid || i.score_tag_i.valid), CORNERS[15]);
        self.operands.retain(|&(clock, _)| clock < at);
        (self.score_at, self.feed_at, self.free_at) = (at + 1, at + 1, [at + 1; TILE_SLOTS]);
    }
}

/// Inputs of every clock.
fn expand(geometry: Geometry, case: &[Op], coverage: &mut Coverage) -> Vec<(bool, Inputs)> {
    let mut schedule = Schedule::new(geometry);
    for op in case {
        match *op {
            Op::Tile { .. } => schedule.tile(op, coverage),
            Op::Operands { count, seed } => schedule.operands(count, seed),
            Op::Idle(clocks) => schedule.feed_at += clocks,
            Op::Clear => {
                let clock = schedule.feed_at;
                schedule.at(clock).clear_flags_i = true;
            }
            Op::Reset(early) => schedule.reset(early, coverage),
        }
    }
    let end = schedule.clocks.len() + FEED_TO_EXPONENT;
    schedule.at(end);
    schedule.clocks
}

/// A key as its score came in.
#[derive(Clone, Copy, Debug)]
struct Key {
    power: Option<Power>,
    codes: [u16; 4],
}

/// What a tile's beats must give.
#[derive(Clone, Debug)]
struct Answers {
    blocks: Vec<TileP>,
    keys: TileP,
}

/// A tile as the untimed reference sees it.
#[derive(Clone, Debug, Default)]
struct Tile {
    keys: Vec<Key>,
    answers: Option<Answers>,
}

impl Tile {
    fn answers(&mut self, blocks: usize, coverage: &mut Coverage) -> &Answers {
        let keys = &self.keys;
        self.answers.get_or_insert_with(|| {
            let folded = |k: usize| -> Vec<_> {
                let scaled = |key: &Key| {
                    key.power.filter(|_| key.codes[k] != 255).map(|p| (p, i32::from(key.codes[k])))
                };
                keys.iter().map(scaled).collect()
            };
            let answers = Answers {
                blocks: (0..blocks).map(|k| tile_p(&folded(k))).collect(),
                keys: tile_p(&keys.iter().map(|key| key.power.map(|p| (p, 0))).collect::<Vec<_>>()),
            };
            classify(keys, &folded(0), &answers, coverage);
            answers
        })
    }
}

fn classify(keys: &[Key], folded: &[Option<(Power, i32)>], answers: &Answers, coverage: &mut Coverage) {
    let masked = keys.iter().filter(|key| key.power.is_none()).count();
    coverage.hit_if(masked == keys.len(), CORNERS[0]);
    coverage.hit_if(masked > 0 && masked < keys.len(), CORNERS[1]);
    coverage.hit_if(keys.len() == 1, CORNERS[2]);
    let top = &answers.blocks[0];
    for (key, &p) in folded.iter().zip(&top.p) {
        let (Some((power, scale)), Some(maximum)) = (key, top.maximum) else { continue };
        let shift = maximum - power.exponent - scale;
        coverage.hit_if(p == 255, CORNERS[3]);
        coverage.hit_if(p == 0, CORNERS[4]);
        let rest = power.mantissa & ((1 << (4 + shift.min(10))) - 1);
        coverage.hit_if(shift < 9 && rest == 1 << (3 + shift.min(10)), CORNERS[5]);
        coverage.hit_if(shift >= 40, CORNERS[7]);
    }
    let seen = || keys.iter().filter_map(|key| key.power.map(|power| (power, key.codes[0])));
    coverage.hit_if(seen().any(|(_, code)| code == 255), CORNERS[6]);
    coverage.hit_if(seen().any(|(power, _)| power.clamped), CORNERS[8]);
    let limit = |p: Power| !p.clamped && p.exponent.abs() == 1023 && p.mantissa == 2048;
    coverage.hit_if(seen().any(|(power, _)| limit(power)), CORNERS[9]);
}

/// What must come of one clock's inputs.
#[derive(Clone, Copy, Debug, Default)]
struct Expected {
    p: LaneByte,
    load: Option<Place>,
    sum: Option<TileSum>,
    exponents: Option<[Int<12>; 2]>,
}

/// The untimed reference beside a run.
struct Checker {
    blocks: usize,
    tiles: [Tile; TILE_SLOTS],
    /// By chunk and chain: elements and scale.
    operands: HashMap<(Uint<7>, u16), [Uint<8>; SEGMENT_LANES + 1]>,
    expected: Vec<Expected>,
    /// Flags raised in a clock.
    raised: Vec<SoftmaxFlags>,
    flags: SoftmaxFlags,
}

impl Checker {
    fn new(geometry: Geometry, clocks: usize) -> Self {
        Self {
            blocks: 2 * geometry.chain_parts(),
            tiles: Default::default(),
            operands: HashMap::new(),
            expected: vec![Expected::default(); clocks],
            raised: vec![SoftmaxFlags::default(); clocks + SCORE_TO_FEED],
            flags: SoftmaxFlags::default(),
        }
    }

    fn reset(&mut self, at: usize) {
        self.tiles = Default::default();
        self.expected[at.saturating_sub(FEED_TO_EXPONENT)..at].fill(Expected::default());
        self.raised[at..].fill(SoftmaxFlags::default());
        self.flags = SoftmaxFlags::default();
    }

    /// Takes in the inputs of clock `at`.
    fn clock(&mut self, at: usize, i: &Inputs, coverage: &mut Coverage) {
        // A load reads in the second cycle after its tag.
        if let Some(tag) = at.checked_sub(FEED_LATENCY - 1)
            && let Some((chunk, count)) = self.expected[tag].load
        {
            coverage.hit(CORNERS[11]);
            coverage.hit_if(i.block_i.valid, CORNERS[12]);
            let of = |chain| self.operands[&(chunk, chain)][usize::from(count.0)];
            self.expected[tag].p = LaneByte { hi: of(1), lo: of(0) };
        }
        for chain in
            [0, 1].into_iter().filter(|chain| i.block_i.valid && i.block_i.chains.0 >> chain & 1 == 1)
        {
            let mut block = [i.block_i.scale; SEGMENT_LANES + 1];
            let bytes = i.block_data_i.iter().flat_map(|column| column.0.to_le_bytes());
            block.iter_mut().zip(bytes).for_each(|(lane, byte)| *lane = Uint(u16::from(byte)));
            self.operands.insert((i.block_i.chunk, chain), block);
        }
        let tag = &i.score_tag_i;
        coverage.hit_if(tag.valid && i.feed_tag_i.valid, CORNERS[13]);
        if tag.valid {
            let tile = &mut self.tiles[usize::from(tag.tile.0)];
            if tag.first {
                *tile = Tile::default();
            }
            let mut codes = [0; 4];
            codes.iter_mut().zip(i.scales_i.codes()).for_each(|(code, scale)| *code = scale.0);
            let power = i.visible_i.then(|| exp2(i.score_i));
            self.raised[at + EXP2_LATENCY].clamped = power.is_some_and(|p| p.clamped);
            tile.keys.push(Key { power, codes });
        }
        if i.feed_tag_i.valid {
            self.feed(at, i, coverage);
        }
        if i.feed_tag_i.load {
            let FeedTag { load_chunk, load_count, .. } = i.feed_tag_i;
            self.expected[at].load = Some((load_chunk, load_count));
        }
        let kept = if i.clear_flags_i { SoftmaxFlags::default() } else { self.flags };
        coverage.hit_if(kept != self.flags, CORNERS[16]);
        let raised = self.raised[at];
        self.flags = SoftmaxFlags {
            clamped: kept.clamped || raised.clamped,
            nan_scale: kept.nan_scale || raised.nan_scale,
        };
    }

    fn feed(&mut self, at: usize, i: &Inputs, coverage: &mut Coverage) {
        let tag = &i.feed_tag_i;
        let beat = usize::from(tag.beat.0);
        let tile = &mut self.tiles[usize::from(tag.tile.0)];
        let part = usize::from(tag.part.0);
        let chains = if tag.int8 { [part, part] } else { [2 * part, 2 * part + 1] };
        let key = tile.keys[beat];
        let answers = tile.answers(self.blocks, coverage);
        let p = |k: usize| Uint(u16::from(answers.blocks[k].p[beat]));
        let expected = &mut self.expected[at];
        expected.p = LaneByte { hi: p(chains[1]), lo: p(chains[0]) };
        if tag.last {
            // p times 2^exponent is weight x V scale; V's elements are in units of 2^-6 or 2^-1.
            let unit = 127 + if tag.int8 { 6 } else { 1 };
            let exponent = |k: usize| {
                let block = &answers.blocks[k];
                Int(if block.maximum.is_some() { block.exponent() - unit } else { 0 })
            };
            expected.exponents = Some(chains.map(exponent));
            expected.sum = (part == 0).then(|| TileSum {
                valid: true,
                acc_first: tag.acc_first,
                acc_bank: tag.acc_bank,
                number: Uint(answers.keys.p.iter().map(|&p| u16::from(p)).sum()),
                exponent: Int(answers.keys.exponent()),
            });
        }
        coverage.hit_if(tag.int8, CORNERS[10]);
        self.raised[at + 1].nan_scale = key.power.is_some() && chains.iter().any(|&k| key.codes[k] == 255);
    }

    /// What the ports show after clock `at`.
    fn check(&self, at: usize, got: &Outputs) -> Result<(), DutError> {
        let of =
            |latency: usize| (at + 1).checked_sub(latency).map(|tag| self.expected[tag]).unwrap_or_default();
        let wrong = |what: &str, want: String, got: String| {
            Err(WrongAnswer(format!("{what} after clock {at}: expected {want}, got {got}")).into())
        };
        let p = of(FEED_LATENCY).p;
        if p != got.p_o {
            return wrong("p", format!("{p:?}"), format!("{:?}", got.p_o));
        }
        let sum = of(FEED_LATENCY + 1).sum;
        if sum.is_some() != got.tile_sum_o.valid || sum.is_some_and(|sum| sum != got.tile_sum_o) {
            return wrong("tile sum", format!("{sum:?}"), format!("{:?}", got.tile_sum_o));
        }
        if let Some(exponents) = of(FEED_TO_EXPONENT).exponents
            && exponents != got.tile_exponent_o
        {
            return wrong("tile exponents", format!("{exponents:?}"), format!("{:?}", got.tile_exponent_o));
        }
        if self.flags != got.flags_o {
            return wrong("flags", format!("{:?}", self.flags), format!("{:?}", got.flags_o));
        }
        Ok(())
    }
}

impl Bench for SoftmaxBench {
    type Block = Softmax;
    type Case = Vec<Op>;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Vec<Op>> {
        let scores = prop_oneof![
            3 => Just(Scores::Near),
            1 => Just(Scores::Flat),
            2 => Just(Scores::Strong),
            1 => Just(Scores::Tail),
            1 => Just(Scores::Ends),
        ];
        let scales = prop_oneof![
            4 => Just(Scales::Near),
            1 => Just(Scales::Apart),
            1 => Just(Scales::Nan),
            1 => Just(Scales::Any),
        ];
        let mask = prop_oneof![
            4 => Just(Mask::Open),
            1 => Just(Mask::Closed),
            2 => Just(Mask::Causal),
            2 => Just(Mask::Random),
        ];
        let tokens = prop_oneof![3 => Just(SEGMENT_LANES), 2 => 1..=SEGMENT_LANES, 1 => Just(1)];
        let op = prop_oneof![
            8 => (tokens, any::<bool>(), scores, scales, mask, any::<bool>(), any::<u64>()).prop_map(
                |(tokens, int8, scores, scales, mask, stalls, seed)| {
                    Op::Tile { tokens, int8, scores, scales, mask, stalls, seed }
                }
            ),
            2 => (1..20usize, any::<u64>()).prop_map(|(count, seed)| Op::Operands { count, seed }),
            1 => (1..80usize).prop_map(Op::Idle),
            1 => Just(Op::Clear),
            1 => (0..120usize).prop_map(Op::Reset),
        ];
        vec(op, 1..24).boxed()
    }

    fn model(&self) -> Softmax {
        Softmax::new(self.geometry)
    }

    fn run(
        &self,
        case: &Vec<Op>,
        dut: &mut dyn Dut<Softmax>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let mut clocks = expand(self.geometry, case, coverage);
        dut.clock(false, &mut Inputs::idle(self.geometry))?;
        let mut checker = Checker::new(self.geometry, clocks.len());
        for (at, (reset, inputs)) in clocks.iter_mut().enumerate() {
            if *reset {
                checker.reset(at);
            } else {
                checker.clock(at, inputs, coverage);
            }
            dut.clock(!*reset, inputs)?;
            checker.check(at, &dut.outputs())?;
        }
        coverage.add_cycles(clocks.len() as u64);
        Ok(())
    }
}
