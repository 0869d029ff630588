// SPDX-License-Identifier: Apache-2.0
//! Test bench of the attention engine: chains of random heads against the untimed reference.

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::array::Geometry;
use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_model::attention::types::AttentionFlags;
use tandem_model::numerics::{E8m0, MxFp4Block, MxInt8Block};
use tandem_model::reference::attention::{Attended, Flags};
use tandem_model::sram::types::BankErrors;

use super::engine::{EngineDriver, Job, JobResult};
use super::pages::{PageLayout, Tile, pack};
use super::session::{Queries, Session};
use crate::array::Stream;
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dut::{Dut, DutError};
use crate::random::{Flavour, Source, split_mix};
use crate::sram::memory_of;

/// Property test of the attention engine.
#[derive(Clone, Copy, Debug)]
pub struct AttentionBench {
    /// Its array and banks.
    pub geometry: Geometry,
}

/// One head of a case.
#[derive(Clone, Debug)]
pub struct Head {
    /// K and V are MXINT8.
    pub int8: bool,
    /// Head of 128, else of 64.
    pub wide: bool,
    /// Keys.
    pub tokens: usize,
    /// Rows in use.
    pub rows: usize,
    /// Rows of the same query token.
    pub group: usize,
    /// Position of the first query.
    pub position: usize,
    /// From one query's position to the next.
    pub step: usize,
    /// Rows see no key after their own position.
    pub causal: bool,
    /// Keys that a row sees; 0: all.
    pub window: usize,
    /// Exponent of q's scales: how far apart the scores are.
    pub heat: i32,
    /// By how much V's scales differ, powers of two.
    pub spread: u64,
    /// Values of the elements; wild scales hold NaN.
    pub flavour: Flavour,
    /// The session lies in the banks before anything starts.
    pub resident: bool,
    /// Bits to flip in its words: none, one, or two of a codeword.
    pub flips: usize,
    /// Of the data.
    pub seed: u64,
}

/// A chain of heads.
#[derive(Clone, Debug)]
pub struct Case {
    /// One after the other.
    pub heads: Vec<Head>,
    /// Random waiting at all handshakes.
    pub stalls: Option<u64>,
    /// Fill the banks before the first command.
    pub fill_first: bool,
    /// Words from the first tile to the banks' end; 0: it lies at their beginning.
    pub ring: u16,
    /// Start the chain, and reset after so many clocks, before the chain runs.
    pub reset_after: Option<u64>,
}

const CORNERS: [&str; 28] = [
    "MXFP4, head of 64",
    "MXFP4, head of 128",
    "MXINT8, head of 64",
    "MXINT8, head of 128",
    "one key",
    "a full tile",
    "one key more than a tile",
    "one key less than a tile",
    "several tiles",
    "row without a key",
    "head without a key",
    "causal",
    "window",
    "window skips tiles",
    "several query tokens",
    "rows not in use",
    "resident",
    "filled while reading",
    "score beyond the fixed point",
    "V scale 255",
    "K scale 255",
    "formats mixed in a chain",
    "more heads than contexts",
    "stalls",
    "reset in flight",
    "wrong bit corrected",
    "two wrong bits marked",
    "ring wraps",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// A block's scale, unless the flavour wants a wild one.
fn scaled(scale: E8m0, flavour: Flavour, exponent: i32) -> E8m0 {
    if flavour == Flavour::WildScales && !(100..=150).contains(&scale.code()) {
        return scale;
    }
    E8m0::from_code(u8::try_from((127 + exponent).clamp(0, 254)).expect("clamped"))
}

impl Head {
    fn stream(&self, source: &mut Source, spread: u64) -> Stream {
        let blocks = self.tokens * self.blocks();
        let exponent = |source: &mut Source| {
            let random = i32::try_from(source.below(spread)).expect("small");
            random - i32::try_from(spread / 2).expect("small")
        };
        if self.int8 {
            let mut block = || {
                let block = source.int8_block();
                MxInt8Block { scale: scaled(block.scale, self.flavour, exponent(source)), ..block }
            };
            Stream::Int8((0..blocks).map(|_| block()).collect())
        } else {
            let mut block = || {
                let block = source.fp4_block();
                MxFp4Block { scale: scaled(block.scale, self.flavour, exponent(source)), ..block }
            };
            Stream::Fp4((0..blocks).map(|_| block()).collect())
        }
    }

    const fn blocks(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }

    fn generate(&self, geometry: Geometry) -> (Session, Queries) {
        let mut source = Source::new(self.seed, self.flavour);
        let keys = self.stream(&mut source, 4);
        let values = self.stream(&mut source, self.spread);
        let session = Session { head_dim: SEGMENT_LANES * self.blocks(), keys, values };
        let rows = self.rows.min(geometry.rows);
        let mut block = |_| {
            let block = source.int8_block();
            MxInt8Block { scale: scaled(block.scale, self.flavour, self.heat), ..block }
        };
        let queries = Queries {
            rows: (0..rows).map(|_| (0..self.blocks()).map(&mut block).collect()).collect(),
            positions: (0..rows)
                .map(|row| u32::try_from(self.position + row / self.group * self.step).expect("a position"))
                .collect(),
            causal: self.causal,
            window: u32::try_from(self.window).expect("a window"),
        };
        (session, queries)
    }
}

/// Some block of a stream has scale code 255.
fn has_nan(stream: &Stream) -> bool {
    match stream {
        Stream::Fp4(blocks) => blocks.iter().any(|b| b.scale.is_nan()),
        Stream::Int8(blocks) => blocks.iter().any(|b| b.scale.is_nan()),
    }
}

/// A head with its data.
struct Loaded<'a> {
    head: &'a Head,
    session: Session,
    queries: Queries,
    pages: Vec<Tile>,
    resident: Option<u16>,
    /// Words with a flipped bit; with two in one codeword.
    corrected: bool,
    poisoned: bool,
}

impl AttentionBench {
    /// Flips bits of words that are read for the head.
    fn flip(&self, loaded: &mut Loaded<'_>, driver: &mut EngineDriver<'_>) -> Result<(), DutError> {
        let Some(base) = loaded.resident else { return Ok(()) };
        let job = Job {
            session: &loaded.session,
            pages: &loaded.pages,
            queries: &loaded.queries,
            resident: loaded.resident,
        };
        let Some(needed) = job.needed(self.geometry) else { return Ok(()) };
        let layout = PageLayout::of(&loaded.session, self.geometry);
        let words = layout.words(needed.tokens.min(layout.tile_tokens()));
        let head = loaded.head;
        let mut state = head.seed;
        let mut below = |n: usize| usize::try_from(split_mix(&mut state) % n as u64).expect("small");
        let word = needed.first * layout.stride() + words[below(words.len())];
        let codeword = below(self.geometry.word_bytes() / 8);
        let address = base.wrapping_add(u16::try_from(word).expect("words of a session in the banks"));
        let first = below(72);
        let apart = 1 + below(71);
        for flip in 0..head.flips {
            // The second bit is another one.
            let bit = u32::try_from((first + flip * apart) % 72).expect("72 bits");
            let (memory, entry, bit) = memory_of(self.geometry, address, codeword, bit);
            driver.upset(&format!("u_banks.{memory}"), entry, bit)?;
        }
        loaded.corrected = head.flips == 1;
        loaded.poisoned = head.flips == 2;
        Ok(())
    }

    fn judge(&self, loaded: &Loaded<'_>, result: &JobResult, flags: &mut [Flags]) -> Result<(), DutError> {
        let want = loaded.session.attend(self.geometry, &loaded.queries);
        if result.refused != want.iter().all(|row| row.flags.empty) {
            return Err(wrong(format!("refused: {}, which is wrong", result.refused)));
        }
        if result.refused {
            return Ok(());
        }
        if result.poisoned != loaded.poisoned {
            return Err(wrong(format!("marked as beyond repair: {}, which is wrong", result.poisoned)));
        }
        if result.poisoned {
            return Ok(());
        }
        for (r, got) in result.values.iter().enumerate() {
            let none = vec![0; got.len()];
            let want = want.get(r).map_or(&none, |row| &row.values);
            if let Some(at) = (0..got.len()).find(|&i| got[i] != want[i]) {
                let (got, want) = (f32::from_bits(got[at]), f32::from_bits(want[at]));
                return Err(wrong(format!("row {r}, element {at}: {got:e} instead of {want:e}")));
            }
        }
        self.judge_error(loaded, result, &want)?;
        // Rows that are not in use are multiplied, too.
        let nan = loaded.session.fetches_nan(self.geometry, &loaded.queries);
        flags.iter_mut().skip(want.len()).for_each(|unused| unused.nan_scale |= nan);
        for (flags, want) in flags.iter_mut().zip(&want) {
            flags.empty |= want.flags.empty;
            flags.overflow |= want.flags.overflow;
            flags.clamped |= want.flags.clamped;
            flags.nan_scale |= want.flags.nan_scale;
            flags.saturated |= want.flags.saturated;
        }
        Ok(())
    }

    /// The bound of docs/numerics.md, "Error of attention", for every row that it is promised to.
    fn judge_error(
        &self,
        loaded: &Loaded<'_>,
        result: &JobResult,
        want: &[Attended],
    ) -> Result<(), DutError> {
        let figures = loaded.session.figures(self.geometry, &loaded.queries);
        let promised = |r: &usize| !(want[*r].flags.clamped || want[*r].flags.overflow);
        for r in (0..want.len()).filter(promised) {
            for (i, &bits) in result.values[r].iter().enumerate() {
                let error = (f64::from(f32::from_bits(bits)) - figures[r].exact[i]).abs();
                let bound = figures[r].bound[i];
                if error > bound {
                    return Err(wrong(format!(
                        "row {r}, element {i}: error {error:e} beyond the bound {bound:e}"
                    )));
                }
            }
        }
        Ok(())
    }

    fn judge_flags(
        &self,
        driver: &EngineDriver<'_>,
        loaded: &[Loaded<'_>],
        want: &[Flags],
    ) -> Result<(), DutError> {
        // What a poisoned head raises is not defined.
        if loaded.iter().any(|l| l.poisoned) {
            return Ok(());
        }
        for (r, (got, want)) in driver.flags().iter().zip(want).enumerate() {
            let same = (got.empty, got.overflow, got.clamped, got.nan_scale, got.saturated)
                == (want.empty, want.overflow, want.clamped, want.nan_scale, want.saturated);
            if !same {
                return Err(wrong(format!("flags of row {r}: {got:?} instead of {want:?}")));
            }
        }
        Ok(())
    }
}

fn cover(coverage: &mut Coverage, case: &Case, loaded: &[Loaded<'_>], geometry: Geometry) {
    let mut hit = |at: usize, condition: bool| coverage.hit_if(condition, CORNERS[at]);
    for l in loaded {
        let head = l.head;
        let job = Job { session: &l.session, pages: &l.pages, queries: &l.queries, resident: l.resident };
        let needed = job.needed(geometry);
        let tile = PageLayout::of(&l.session, geometry).tile_tokens();
        hit(usize::from(head.int8) * 2 + usize::from(head.wide), true);
        hit(4, head.tokens == 1);
        hit(5, head.tokens == tile);
        hit(6, head.tokens == tile + 1);
        hit(7, head.tokens == tile - 1);
        hit(8, head.tokens > 2 * tile);
        hit(10, needed.is_none());
        hit(11, head.causal);
        hit(12, head.window > 0);
        hit(13, needed.is_some_and(|n| n.first > 0));
        hit(14, l.queries.positions.iter().any(|&p| p != l.queries.positions[0]));
        hit(15, l.queries.rows.len() < geometry.rows);
        hit(16, l.resident.is_some());
        hit(17, l.resident.is_none() && !case.fill_first);
        hit(19, has_nan(&l.session.values));
        hit(20, has_nan(&l.session.keys));
        hit(25, l.corrected);
        hit(26, l.poisoned);
    }
    hit(21, loaded.iter().any(|l| l.head.int8) && loaded.iter().any(|l| !l.head.int8));
    hit(22, loaded.len() > 4);
    hit(23, case.stalls.is_some());
}

impl Bench for AttentionBench {
    type Block = AttentionEngine;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let tokens = prop_oneof![
            1 => Just(0usize), 4 => Just(1usize), 1 => 2..31usize, 1 => 31..=33usize, 1 => 34..63usize, 1 => 63..=65usize, 1 => 66..150usize
        ];
        let shape = (any::<bool>(), any::<bool>(), tokens, 0..=self.geometry.rows, 1..=self.geometry.rows);
        let window = prop_oneof![2 => Just(0usize), 1 => 1..80usize];
        // A query may stand before, at or after the session's end.
        let step = prop_oneof![3 => Just(1usize), 1 => 2..40usize];
        let mask = (0..170usize, step, any::<bool>(), any::<bool>(), window);
        let data = (
            -14..4i32,
            prop_oneof![2 => Just(4u64), 1 => 8..40u64],
            proptest::sample::select(&Flavour::ALL[..]),
            any::<u64>(),
        );
        let place = (any::<bool>(), prop_oneof![4 => Just(0usize), 1 => 1..=2usize]);
        let head = (shape, mask, data, place).prop_map(|(shape, mask, data, place)| {
            let (int8, wide, tokens, rows, group) = shape;
            let (offset, step, at_end, causal, window) = mask;
            let (heat, spread, flavour, seed) = data;
            let position = if at_end { (tokens + offset % 4).saturating_sub(1) } else { offset };
            let (resident, flips) = place;
            Head {
                int8,
                wide,
                tokens,
                rows,
                group,
                position,
                step,
                causal,
                window,
                heat,
                spread,
                flavour,
                resident,
                flips,
                seed,
            }
        });
        let reset = prop_oneof![4 => Just(None), 1 => (1..400u64).prop_map(Some)];
        let ring = prop_oneof![1 => Just(0u16), 1 => 1..400u16];
        (vec(head, 1..7), proptest::option::of(any::<u64>()), any::<bool>(), ring, reset)
            .prop_map(|(heads, stalls, fill_first, ring, reset_after)| Case {
                heads,
                stalls,
                fill_first,
                ring,
                reset_after,
            })
            .boxed()
    }

    fn model(&self) -> AttentionEngine {
        AttentionEngine::new(self.geometry)
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<AttentionEngine>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        let geometry = self.geometry;
        let mut driver = EngineDriver::new(geometry, dut)?;
        if let Some(seed) = case.stalls {
            driver.stall(seed);
        }
        let load = |head| {
            let (session, queries) = Head::generate(head, geometry);
            let pages = pack(&session, geometry);
            Loaded { head, session, queries, pages, resident: None, corrected: false, poisoned: false }
        };
        let mut loaded: Vec<Loaded<'_>> = case.heads.iter().map(load).collect();

        if let Some(clocks) = case.reset_after {
            let end = driver.now() + clocks;
            let run = driver.run(&jobs(&loaded), case.fill_first, &mut |progress| {
                if progress.now < end { Ok(()) } else { Err(Box::new(Stop)) }
            });
            match run {
                Err(e) if e.is::<Stop>() => coverage.hit(CORNERS[24]),
                Err(e) => return Err(e),
                Ok(_) => {}
            }
            driver.reset()?;
        }

        driver.forget((geometry.words() - usize::from(case.ring)) % geometry.words());
        let start = driver.room();
        for l in &mut loaded {
            if l.head.resident
                && driver.room() >= l.pages.len() * PageLayout::of(&l.session, geometry).stride()
            {
                l.resident = Some(driver.keep(&l.session, &l.pages)?);
                self.flip(l, &mut driver)?;
            }
        }
        // What lies in the banks must not be overwritten by what is filled in.
        if loaded.iter().any(|l| l.resident.is_some()) {
            let streamed = |l: &Loaded<'_>| l.pages.len() * PageLayout::of(&l.session, geometry).stride();
            let all: usize = loaded.iter().filter(|l| l.resident.is_none()).map(streamed).sum();
            if all > driver.room() {
                loaded.retain(|l| l.resident.is_some());
            }
        }
        let results = driver.run(&jobs(&loaded), case.fill_first, &mut |_| Ok(()))?;
        driver.idle()?;
        let mut flags = vec![Flags::default(); geometry.rows];
        for (l, result) in loaded.iter().zip(&results) {
            self.judge(l, result, &mut flags)?;
        }
        self.judge_flags(&driver, &loaded, &flags)?;
        let corrected = driver.errors().corrected.0 > 0;
        if loaded.iter().zip(&results).any(|(l, r)| l.corrected && !r.refused) != corrected {
            return Err(wrong(format!("wrong bits counted: {:?}", driver.errors())));
        }
        if loaded.iter().any(|l| l.poisoned) != (driver.errors().uncorrectable.0 > 0) {
            return Err(wrong(format!("words beyond repair counted: {:?}", driver.errors())));
        }
        driver.clear()?;
        if driver.flags().iter().any(|&f| f != AttentionFlags::default())
            || driver.errors() != BankErrors::default()
        {
            let (flags, errors) = (driver.flags(), driver.errors());
            return Err(wrong(format!("flags and counters after a clear: {flags:?}, {errors:?}")));
        }
        cover(coverage, case, &loaded, geometry);
        let filled: u64 =
            loaded.iter().zip(&results).filter(|(l, _)| l.resident.is_none()).map(|(_, r)| r.words).sum();
        coverage.hit_if(filled > start as u64, CORNERS[27]);
        coverage.hit_if(flags.iter().any(|f| f.empty), CORNERS[9]);
        coverage.hit_if(flags.iter().any(|f| f.clamped), CORNERS[18]);
        coverage.add_cycles(driver.now());
        Ok(())
    }
}

/// The chain is to be cut here.
#[derive(Debug)]
struct Stop;

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cut by the bench")
    }
}

impl std::error::Error for Stop {}

fn jobs<'a>(loaded: &'a [Loaded<'_>]) -> Vec<Job<'a>> {
    let job = |l: &'a Loaded<'_>| {
        let Loaded { session, queries, pages, resident, .. } = l;
        Job { session, pages, queries, resident: *resident }
    };
    loaded.iter().map(job).collect()
}
