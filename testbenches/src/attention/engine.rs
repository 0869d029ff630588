// SPDX-License-Identifier: Apache-2.0
//! Drives an attention engine: fills the banks, writes q, gives commands, collects results.

use std::collections::VecDeque;

use tandem_model::array::Geometry;
use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::attention::attention_engine::{AttentionEngine, Inputs, Outputs};
use tandem_model::attention::operand_file::BlockData;
use tandem_model::attention::types::{AttentionFlags, CONTEXTS, Command, OperandBlock, Operands};
use tandem_model::block::{Block, Uint, Wide, low_u16};
use tandem_model::reference::attention::visible_keys;
use tandem_model::sram::types::{BankErrors, BankFill, Region};

use super::pages::{PageLayout, Tile};
use super::session::{Queries, Session};
use crate::array::TILE_TOKENS;
use crate::bench::WrongAnswer;
use crate::dut::{Dut, DutError};
use crate::random::split_mix;

/// Cycles without a result or a released tile, beyond those that a head's words take, after which the engine counts as hung.
const PATIENCE: u64 = 5_000;

/// One head to attend to.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// K and V.
    pub session: &'a Session,
    /// The same, packed for the banks.
    pub pages: &'a [Tile],
    /// Queries, at most as many as the array has rows.
    pub queries: &'a Queries,
    /// Where tile 0 lies when the session is in the banks already; else its tiles are filled in while earlier ones are
    /// read.
    pub resident: Option<u16>,
}

/// What came out of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct JobResult {
    /// `[row][element]`: binary32 bits, for all rows of the array. Empty when the head was refused.
    pub values: Vec<Vec<u32>>,
    /// No row sees a key.
    pub refused: bool,
    /// A word was beyond repair.
    pub poisoned: bool,
    /// Clock of the last result.
    pub end: u64,
    /// Words of the banks that were read for it.
    pub words: u64,
    /// Those of them that hold elements: beats of the array.
    pub beats: u64,
    /// Bytes of elements and scales in them, of the tokens from the first tile that a row sees to the last key that one does.
    pub payload: u64,
}

/// Random waiting at all handshakes, from a seed.
#[derive(Clone, Debug)]
struct Stalls {
    state: u64,
    /// Clocks left to hold fills, commands, results.
    holds: [u64; 3],
}

impl Stalls {
    fn holds(&mut self) -> [bool; 3] {
        for hold in &mut self.holds {
            let random = split_mix(&mut self.state);
            *hold = match random % 64 {
                _ if *hold > 0 => *hold - 1,
                0 => 1 + (random >> 8) % 60,
                1..=4 => 1 + (random >> 8) % 3,
                _ => 0,
            };
        }
        self.holds.map(|hold| hold > 0)
    }
}

/// How far a chain has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Clocks of the driver.
    pub now: u64,
    /// Heads of the chain that are done.
    pub heads: u64,
}

/// Tiles that a job needs: first, and tokens from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needed {
    /// First tile.
    pub first: usize,
    /// Tokens from the first tile's first on.
    pub tokens: usize,
}

/// What crosses the read port for a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Words of the banks.
    pub words: u64,
    /// Those of them that hold elements: beats of the array.
    pub beats: u64,
    /// Bytes of elements and scales.
    pub payload: u64,
}

impl Needed {
    /// What of a session of this layout that is.
    #[must_use]
    pub fn traffic(self, layout: PageLayout) -> Traffic {
        let tile = layout.tile_tokens();
        let mut traffic = Traffic { payload: layout.payload_bytes(self.tokens) as u64, ..Traffic::default() };
        for at in (0..self.tokens).step_by(tile) {
            let tokens = (self.tokens - at).min(tile);
            traffic.words += layout.words(tokens).len() as u64;
            traffic.beats += 2 * (layout.head.parts * tokens.min(TILE_TOKENS)) as u64;
        }
        traffic
    }
}

impl Job<'_> {
    /// The tiles that any row sees a key of; `None` when there is none.
    #[must_use]
    pub fn needed(&self, geometry: Geometry) -> Option<Needed> {
        let whole = |n: u32| usize::try_from(n).expect("32 bits");
        let Queries { causal, window, ref positions, .. } = *self.queries;
        let tokens = self.session.tokens();
        let keys = positions.iter().map(|&p| visible_keys(tokens, whole(p), causal, whole(window)));
        let keys: Vec<_> = keys.filter(|keys| keys.start < keys.end).collect();
        let lowest = keys.iter().map(|keys| keys.start).min()?;
        let highest = keys.iter().map(|keys| keys.end).max()?;
        let tile = PageLayout::of(self.session, geometry).tile_tokens();
        let first = lowest / tile;
        Some(Needed { first, tokens: highest - first * tile })
    }
}

/// Words of one tile to be filled in.
#[derive(Clone, Debug)]
struct FillTile {
    words: VecDeque<(u16, Region, Vec<u8>)>,
    /// Room that it takes until it is released.
    stride: usize,
    /// It stays, and takes no part in the ring.
    resident: bool,
}

struct Running {
    index: usize,
    head_dim: usize,
    /// Context, and results so far.
    context: u16,
    count: usize,
}

/// Driver of an attention engine.
pub struct EngineDriver<'a> {
    geometry: Geometry,
    dut: &'a mut dyn Dut<AttentionEngine>,
    idle: Inputs,
    outputs: Outputs,
    now: u64,
    stalls: Option<Stalls>,
    /// Heads since reset: names the context of the next one.
    contexts: usize,
    fills: VecDeque<FillTile>,
    /// Address of the next tile that is filled in, behind the last one that was streamed, and room taken by those that are
    /// not released. Addresses count on beyond the banks' words, which are a power of two.
    ring: usize,
    streamed: usize,
    taken: VecDeque<usize>,
    used: usize,
    /// A word was offered and not taken.
    fill_offered: bool,
}

impl<'a> EngineDriver<'a> {
    /// A driver that has held reset for two clocks.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn new(geometry: Geometry, dut: &'a mut dyn Dut<AttentionEngine>) -> Result<Self, DutError> {
        let mut idle = AttentionEngine::new(geometry).idle_inputs();
        idle.out_ready_i = true;
        let outputs = dut.outputs();
        let mut driver = Self {
            geometry,
            dut,
            idle,
            outputs,
            now: 0,
            stalls: None,
            contexts: 0,
            fills: VecDeque::new(),
            ring: 0,
            streamed: 0,
            taken: VecDeque::new(),
            used: 0,
            fill_offered: false,
        };
        driver.reset()?;
        Ok(driver)
    }

    /// Holds reset for two clocks; everything in flight is lost.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn reset(&mut self) -> Result<(), DutError> {
        for _ in 0..2 {
            self.dut.clock(false, &mut self.idle.clone())?;
            self.now += 1;
        }
        self.outputs = self.dut.outputs();
        self.fills.clear();
        self.fill_offered = false;
        self.taken.clear();
        (self.contexts, self.ring, self.streamed, self.used) = (0, 0, 0, 0);
        Ok(())
    }

    /// Random waiting at all handshakes from now on.
    pub const fn stall(&mut self, seed: u64) {
        self.stalls = Some(Stalls { state: seed, holds: [0; 3] });
    }

    /// Clocks so far.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// Geometry of the engine.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Sticky flags, row by row.
    #[must_use]
    pub fn flags(&self) -> &[AttentionFlags] {
        &self.outputs.flags_o
    }

    /// Counters of wrong bits.
    #[must_use]
    pub const fn errors(&self) -> BankErrors {
        self.outputs.errors_o
    }

    /// Flips a bit of a memory between two clocks.
    ///
    /// # Errors
    /// When the device does not know the place, or nobody has written it.
    pub fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        self.dut.upset(memory, entry, bit)
    }

    /// Gives up what lies in the banks: what comes next is put at `start`. Nothing may be running.
    pub fn forget(&mut self, start: usize) {
        self.taken.clear();
        self.ring = self.streamed.next_multiple_of(self.geometry.words()) + start;
        self.used = 0;
    }

    /// Words of the banks that are still free for [`EngineDriver::keep`].
    #[must_use]
    pub const fn room(&self) -> usize {
        self.geometry.words() - self.ring % self.geometry.words()
    }

    /// One clock without commands and fills: the flags of a result are up a clock after it.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn idle(&mut self) -> Result<(), DutError> {
        self.clock(self.idle.clone())
    }

    /// Clears flags and counters.
    ///
    /// # Errors
    /// When the device finds something wrong.
    pub fn clear(&mut self) -> Result<(), DutError> {
        let mut inputs = self.idle.clone();
        inputs.clear_i = true;
        self.clock(inputs)
    }

    fn clock(&mut self, mut inputs: Inputs) -> Result<(), DutError> {
        self.dut.clock(true, &mut inputs)?;
        self.outputs = self.dut.outputs();
        self.now += 1;
        if self.outputs.released_o {
            let room =
                self.taken.pop_front().ok_or_else(|| wrong("a tile was released that was not filled in"))?;
            self.used -= room;
        }
        Ok(())
    }

    /// Puts a whole session into the banks, to stay there. Returns where its tile 0 lies. Sessions that are streamed later
    /// overwrite it once the banks are full.
    ///
    /// # Errors
    /// When it does not fit, or the device finds something wrong.
    pub fn keep(&mut self, session: &Session, pages: &[Tile]) -> Result<u16, DutError> {
        let layout = PageLayout::of(session, self.geometry);
        let words = pages.len() * layout.stride();
        if words > self.room() {
            let free = self.room();
            return Err(format!("the session takes {words} words, the banks have {free} left").into());
        }
        let base = self.ring;
        let needed = Needed { first: 0, tokens: session.tokens() };
        self.queue_fills(layout, pages, needed, true);
        while !self.fills.is_empty() {
            let mut inputs = self.idle.clone();
            self.drive_fill(&mut inputs, false);
            self.clock(inputs)?;
        }
        // The queue of the banks empties.
        for _ in 0..8 {
            self.clock(self.idle.clone())?;
        }
        Ok(low_u16(base as u64))
    }

    /// Queues the words of the tiles from `needed.first` on. Returns where that one lies.
    fn queue_fills(&mut self, layout: PageLayout, pages: &[Tile], needed: Needed, resident: bool) -> u16 {
        let stride = layout.stride();
        let base = low_u16(self.ring as u64);
        let values = layout.element_word(true, 0, 0);
        let tiles = needed.tokens.div_ceil(layout.tile_tokens());
        for (n, tile) in pages[needed.first..][..tiles].iter().enumerate() {
            let start = self.ring;
            let tokens = (needed.tokens - n * layout.tile_tokens()).min(layout.tile_tokens());
            let words = layout.words(tokens).into_iter().map(|word| {
                let bytes = tile.words[word].clone().expect("a word of the tile's tokens is stored");
                let region = match resident {
                    true => Region::Resident,
                    false if word < values => Region::Key,
                    false => Region::Value,
                };
                (low_u16((start + word) as u64), region, bytes)
            });
            self.fills.push_back(FillTile { words: words.collect(), stride, resident });
            self.ring += stride;
        }
        if !resident {
            self.streamed = self.ring;
        }
        base
    }

    /// Drives the next word of a fill, if there is room for its tile.
    fn drive_fill(&mut self, inputs: &mut Inputs, hold: bool) {
        let capacity = self.geometry.words();
        let Some(tile) = self.fills.front_mut() else { return };
        let starts = !tile.resident && tile.stride > 0;
        if starts && self.used + tile.stride > capacity {
            return;
        }
        // What was offered once stays until it is taken.
        if hold && !self.fill_offered {
            return;
        }
        if starts {
            self.used += tile.stride;
            self.taken.push_back(tile.stride);
            tile.stride = 0;
        }
        let (address, region, bytes) = &tile.words[0];
        let last = tile.words.len() == 1;
        inputs.fill_i = BankFill { valid: true, region: *region, address: Uint(*address) };
        inputs.fill_data_i = bytes.iter().map(|&b| Uint(u16::from(b))).collect();
        self.fill_offered = !self.outputs.fill_ready_o;
        if self.outputs.fill_ready_o {
            tile.words.pop_front();
            if last {
                self.fills.pop_front();
            }
        }
    }

    /// Blocks of q for all rows: part by part, rows that are not in use with zeros.
    fn operands(&self, job: &Job<'_>, head: usize) -> VecDeque<(OperandBlock, BlockData)> {
        let geometry = self.geometry;
        let layout = job.session.layout(geometry);
        let mut all = VecDeque::new();
        for part in 0..layout.parts {
            let chunk = Uint(first_chunk(head).0 + low_u16(part as u64));
            for row in 0..geometry.rows {
                for (s, chain) in (0..geometry.segments).flat_map(|s| [(s, 0), (s, 1)]) {
                    let block = job.queries.rows.get(row);
                    let block = block.map(|blocks| &blocks[layout.block(geometry, part, s, chain)]);
                    let write = OperandBlock {
                        valid: true,
                        rows: Uint(1 << row),
                        segments: Uint(1 << s),
                        chains: Uint(1 << chain),
                        chunk,
                        scale: Uint(block.map_or(0, |b| u16::from(b.scale.code()))),
                    };
                    let byte = |lane: usize| block.map_or(0, |b| b.elements[lane].code());
                    let column = |c: usize| std::array::from_fn(|lane| byte(8 * c + lane));
                    let data = std::array::from_fn(|c| Wide(u64::from_le_bytes(column(c))));
                    all.push_back((write, data));
                }
            }
        }
        all
    }

    fn command(job: &Job<'_>, base: u16) -> Command {
        Command {
            valid: true,
            resident: job.resident.is_some(),
            int8: job.session.int8(),
            wide: job.session.head_dim == 128,
            causal: job.queries.causal,
            window: Wide(u64::from(job.queries.window)),
            tokens: Wide(job.session.tokens() as u64),
            base: Uint(base),
        }
    }

    /// Runs heads one after the other, chained as closely as the engine takes them. `fill_first` fills the banks as far
    /// as they go before the first command. `progress` is told every clock.
    ///
    /// # Errors
    /// When the device finds something wrong or gives no answer, or `progress` says so.
    pub fn run(
        &mut self,
        jobs: &[Job<'_>],
        fill_first: bool,
        progress: &mut dyn FnMut(Progress) -> Result<(), DutError>,
    ) -> Result<Vec<JobResult>, DutError> {
        let mut bases = Vec::new();
        let mut results = Vec::new();
        for job in jobs {
            let needed = job.needed(self.geometry);
            let layout = PageLayout::of(job.session, self.geometry);
            bases.push(match (job.resident, needed) {
                (Some(base), _) => base,
                (None, Some(needed)) => self.queue_fills(layout, job.pages, needed, false),
                (None, None) => 0,
            });
            let read = needed.map_or_else(Traffic::default, |n| n.traffic(layout));
            results.push(JobResult {
                values: vec![vec![0; job.session.head_dim]; self.geometry.rows],
                refused: false,
                poisoned: false,
                end: 0,
                words: read.words,
                beats: read.beats,
                payload: read.payload,
            });
        }
        if fill_first {
            self.fill_up()?;
        }

        // A head that is refused takes no context.
        let mut finished = self.contexts;
        let contexts: Vec<_> = jobs
            .iter()
            .map(|job| {
                let context = self.contexts;
                self.contexts += usize::from(job.needed(self.geometry).is_some());
                context
            })
            .collect();
        let (mut operands, mut loads) = (VecDeque::new(), VecDeque::new());
        let (mut written, mut given, mut done) = (0, 0, 0);
        let mut running: VecDeque<Running> = VecDeque::new();
        let (mut offered, mut ended) = (false, VecDeque::new());
        let patience = PATIENCE + results.iter().map(|r| r.words).max().unwrap_or(0);
        let mut last = self.now;
        while done < jobs.len() {
            let holds = self.stalls.as_mut().map_or([false; 3], Stalls::holds);
            let mut inputs = self.idle.clone();
            inputs.out_ready_i = !holds[2];
            self.drive_fill(&mut inputs, holds[0]);
            // A context's q may be written again once its head is done.
            if operands.is_empty() && written < jobs.len() {
                let (job, context) = (&jobs[written], contexts[written]);
                match job.needed(self.geometry) {
                    // It will be refused.
                    None => written += 1,
                    Some(_) if context < finished + CONTEXTS => operands = self.operands(job, context),
                    Some(_) => {}
                }
            }
            // What was offered once stays until it is taken.
            if given < written && (offered || !holds[1]) {
                offered = !self.outputs.command_ready_o;
                let job = &jobs[given];
                inputs.command_i = Self::command(job, bases[given]);
                for (r, &position) in job.queries.positions.iter().enumerate() {
                    inputs.positions_i[r] = Wide(u64::from(position));
                    inputs.rows_i[r] = true;
                }
                if !offered {
                    let context = low_u16((contexts[given] % CONTEXTS) as u64);
                    if job.needed(self.geometry).is_some() {
                        let chunk = first_chunk(contexts[given]);
                        loads.push_back(Operands { valid: true, head: Uint(context), chunk });
                    }
                    running.push_back(Running {
                        index: given,
                        head_dim: job.session.head_dim,
                        context,
                        count: 0,
                    });
                    given += 1;
                }
            }
            // With the command at the earliest.
            if !holds[1]
                && let Some(load) = loads.pop_front()
            {
                inputs.operands_i = load;
            }
            if let Some((block, data)) = operands.pop_front() {
                inputs.block_i = block;
                inputs.block_data_i = data;
                written += usize::from(operands.is_empty());
            }
            self.clock(inputs)?;
            progress(Progress { now: self.now, heads: done as u64 })?;

            if self.outputs.refused_o.valid {
                let position = running.iter().position(|r| jobs[r.index].needed(self.geometry).is_none());
                let refused = position.and_then(|p| running.remove(p));
                let refused = refused.ok_or_else(|| wrong("a head was refused that has keys"))?;
                if self.outputs.refused_o.head.0 != refused.context {
                    return Err(wrong(&format!("a head was refused as {:?}", self.outputs.refused_o)));
                }
                results[refused.index].refused = true;
                results[refused.index].values.clear();
                results[refused.index].end = self.now;
                done += 1;
            }
            let head_done = self.outputs.head_done_o;
            if head_done.valid {
                if ended.pop_front() != Some(head_done.head.0) {
                    return Err(wrong(&format!("a head is done that has not ended: {head_done:?}")));
                }
                (done, finished) = (done + 1, finished + 1);
            }
            ended.extend(self.collect(&mut running, &mut results)?);
            if self.outputs.attended_o.valid || self.outputs.released_o {
                last = self.now;
            }
            if self.now > last + patience {
                let what = format!(
                    "the engine hangs: nothing for {patience} clocks, {done} of {} heads done",
                    jobs.len()
                );
                return Err(wrong(&what));
            }
        }
        Ok(results)
    }

    /// Fills until the banks are full or nothing is left.
    fn fill_up(&mut self) -> Result<(), DutError> {
        loop {
            let mut inputs = self.idle.clone();
            self.drive_fill(&mut inputs, false);
            if !inputs.fill_i.valid {
                break;
            }
            self.clock(inputs)?;
        }
        // The queue of the banks empties.
        for _ in 0..8 {
            self.clock(self.idle.clone())?;
        }
        Ok(())
    }

    /// Takes this clock's results. Returns the context of a head that gave its last one.
    fn collect(
        &self,
        running: &mut VecDeque<Running>,
        results: &mut [JobResult],
    ) -> Result<Option<u16>, DutError> {
        let attended = self.outputs.attended_o;
        if !attended.valid {
            return Ok(None);
        }
        let head = running.front_mut().ok_or_else(|| wrong("results without a head"))?;
        let result = &mut results[head.index];
        let element = usize::from(attended.block.0) * SEGMENT_LANES + usize::from(attended.lane.0);
        let last = head.count + 1 == head.head_dim;
        if (attended.head.0, element, attended.last) != (head.context, head.count, last) {
            let expected = (head.context, head.count, last);
            return Err(wrong(&format!("{attended:?} instead of (head, element, last) = {expected:?}")));
        }
        for (row, value) in result.values.iter_mut().zip(&self.outputs.values_o) {
            row[element] = u32::try_from(value.0).expect("32 bits");
        }
        if head.count > 0 && result.poisoned != self.outputs.poisoned_o {
            return Err(wrong("only some results of a head are marked as beyond repair"));
        }
        result.poisoned = self.outputs.poisoned_o;
        head.count += 1;
        if last {
            result.end = self.now;
            return Ok(running.pop_front().map(|head| head.context));
        }
        Ok(None)
    }
}

/// Where q of a head is put: a context has room for four chunks.
fn first_chunk(head: usize) -> Uint<7> {
    Uint(low_u16((4 * (head % CONTEXTS)) as u64))
}

fn wrong(what: &str) -> DutError {
    WrongAnswer(what.to_owned()).into()
}
