// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/attention/attention_engine.sv`.

use super::fetch_sequencer::{self, FetchSequencer};
use super::head_table::{HeadTable, Position};
use super::issue_sequencer::{self, IssueSequencer};
use super::normaliser::{self, Normaliser};
use super::operand_file::BlockData;
use super::p_quantiser::BlockScales;
use super::scale_file::ScaleFile;
use super::softmax::{self, Softmax};
use super::types::{
    Attended, AttentionFlags, CONTEXTS, Command, EXP2_LATENCY, FeedTag, HeadEnd, HeadInfo, HeadShape,
    HeadStart, OperandBlock, Operands, POSITION_BITS, ScoreTag, TILE_SLOTS, WordKind, WordTag,
};
use crate::array::Geometry;
use crate::array::systolic_array::{self, SystolicArray};
use crate::array::types::{AccRead, Beat, FLOAT_LATENCY, Flags, LaneByte, ResultOut, SEGMENT_LANES};
use crate::block::{Bits, Block, Uint, Visit, Visitor, Wide};
use crate::common::{DelayLine, TapLine};
use crate::packed_struct;
use crate::sram::bank_group::BankGroup;
use crate::sram::types::{BankErrors, BankFill, READ_LATENCY};

packed_struct! {
    /// What goes along the rows with a score.
    struct ScoreControl {
        tag: ScoreTag,
        head: Uint<2>,
        position: Wide<POSITION_BITS>,
    }
}

packed_struct! {
    /// What goes along the rows with a feed tag.
    struct FeedControl {
        tag: FeedTag,
        scale: LaneByte,
    }
}

/// Attention of one head after the other.
#[derive(Clone, Debug)]
pub struct AttentionEngine {
    geometry: Geometry,
    heads: HeadTable,
    fetch: FetchSequencer,
    tile_done: DelayLine<bool>,
    banks: BankGroup,
    word_tag: DelayLine<WordTag>,
    poisoned_q: [bool; CONTEXTS],
    issue: IssueSequencer,
    array: SystolicArray,
    tile_scored: DelayLine<bool>,
    segments: Vec<Segment>,
    normaliser: Normaliser,
}

/// Scales, scores and softmax of one segment.
#[derive(Clone, Debug)]
struct Segment {
    tile_q: Uint<2>,
    /// None in segment 0.
    feed: Option<DelayLine<FeedTag>>,
    value_scales: ScaleFile,
    key_scales: ScaleFile,
    score_rows: TapLine<ScoreControl>,
    /// By block.
    scale_rows: Vec<TapLine<Uint<8>>>,
    feed_rows: TapLine<FeedControl>,
    rows: Vec<Softmax>,
}

/// Input ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// What the next head is to do.
    pub command_i: Command,
    /// Position of each row's query.
    pub positions_i: Vec<Position>,
    /// Rows in use.
    pub rows_i: Vec<bool>,
    /// A block of a stationary operand.
    pub block_i: OperandBlock,
    /// Its elements.
    pub block_data_i: BlockData,
    /// q of a context may be loaded.
    pub operands_i: Operands,
    /// The lower half of the banks is not for streamed tiles; constant while anything is in flight.
    pub pinned_i: bool,
    /// A word for the banks.
    pub fill_i: BankFill,
    /// Its bytes.
    pub fill_data_i: Vec<Uint<8>>,
    /// The array is not attention's.
    pub gemv_i: bool,
    /// GEMV: asks for stationary operands.
    pub gemv_feed_i: FeedTag,
    /// GEMV: a beat.
    pub gemv_beat_i: Beat,
    /// Its scales, by segment.
    pub gemv_scales_i: Vec<LaneByte>,
    /// Its elements, by lane.
    pub gemv_elements_i: Vec<Uint<8>>,
    /// There is room for a whole head's results.
    pub out_ready_i: bool,
    /// Clear flags and counters.
    pub clear_i: bool,
}

/// Output ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// A command would be taken.
    pub command_ready_o: bool,
    /// A head begins.
    pub started_o: HeadStart,
    /// What is known of it.
    pub started_info_o: HeadInfo,
    /// A head of which no row sees a key.
    pub refused_o: HeadStart,
    /// A fill would be taken.
    pub fill_ready_o: bool,
    /// This word is in the banks.
    pub written_o: BankFill,
    /// All words of a tile that was filled in have been asked for.
    pub released_o: bool,
    /// Per row: a result of the last segment, of GEMV or of K.
    pub result_o: Vec<ResultOut>,
    /// Names the results of this cycle.
    pub attended_o: Attended,
    /// Per row: a result, as binary32.
    pub values_o: Vec<Wide<32>>,
    /// A word of the head was beyond repair.
    pub poisoned_o: bool,
    /// A head gave its last result.
    pub head_done_o: HeadEnd,
    /// Per row: sticky flags.
    pub flags_o: Vec<AttentionFlags>,
    /// Counters of wrong bits.
    pub errors_o: BankErrors,
}

/// The chains' codes of a beat's part.
fn chains(blocks: &BlockScales, int8: bool, part: Uint<2>) -> LaneByte {
    let (codes, part) = (blocks.codes(), usize::from(part.0));
    let (lo, hi) = if int8 { (part, part) } else { (2 * part, 2 * part + 1) };
    // Index bits beyond the blocks do not count.
    LaneByte { lo: codes[lo % codes.len()], hi: codes[hi % codes.len()] }
}

/// Both, of which one is zero: who does not have the array brings zeros.
fn merged<T: Bits>(a: T, b: T) -> T {
    T::from_bits(a.to_bits() | b.to_bits())
}

/// Collects what is known to be `len` values: flattened iterators do not tell, and this happens at every clock.
fn vector<T>(len: usize, values: impl Iterator<Item = T>) -> Vec<T> {
    let mut all = Vec::with_capacity(len);
    all.extend(values);
    all
}

impl Segment {
    fn new(geometry: Geometry, index: usize) -> Self {
        let taps = geometry.rows - 1;
        Self {
            tile_q: Uint(0),
            feed: (index > 0).then(|| DelayLine::new(2 * FLOAT_LATENCY * index)),
            value_scales: ScaleFile::new(geometry, TILE_SLOTS),
            key_scales: ScaleFile::new(geometry, 1),
            score_rows: TapLine::new(taps),
            scale_rows: vec![TapLine::new(taps); geometry.segment_blocks()],
            feed_rows: TapLine::new(taps),
            rows: vec![Softmax::new(geometry); geometry.rows],
        }
    }

    /// Memories keep what they hold.
    fn reset(&mut self, geometry: Geometry, index: usize) {
        let fresh = Self::new(geometry, index);
        let old = std::mem::replace(self, fresh);
        self.value_scales = old.value_scales;
        self.key_scales = old.key_scales;
        self.rows = old.rows;
        self.rows.iter_mut().for_each(Softmax::reset);
    }
}

impl AttentionEngine {
    /// Sticky flags of the rows: `flags_o` alone.
    #[must_use]
    pub fn flags(&self) -> Vec<AttentionFlags> {
        let flags = |(r, array): (usize, Flags)| {
            let normaliser = self.normaliser.flags()[r];
            let softmax = self.segments.iter().map(|s| s.rows[r].outputs().flags_o);
            let (clamped, nan_scale) =
                softmax.fold((false, false), |(c, n), f| (c || f.clamped, n || f.nan_scale));
            AttentionFlags {
                empty: normaliser.empty,
                overflow: normaliser.overflow,
                clamped,
                nan_scale: array.nan_scale || nan_scale,
                saturated: array.saturated,
            }
        };
        self.array.flags().enumerate().map(flags).collect()
    }

    /// Counters of wrong bits in the banks: `errors_o` alone.
    #[must_use]
    pub fn errors(&self) -> BankErrors {
        self.banks.errors()
    }

    /// All outputs but the flags, which nothing in the core needs in every cycle.
    #[must_use]
    pub fn handed(&self) -> Outputs {
        let normaliser = self.normaliser.handed();
        let attended = normaliser.attended_o;
        Outputs {
            command_ready_o: self.heads.command_ready(),
            started_o: self.heads.started(),
            started_info_o: self.heads.heads()[usize::from(self.heads.started().head.0)],
            refused_o: self.heads.refused(),
            fill_ready_o: self.banks.fill_ready(),
            written_o: self.banks.written(),
            released_o: self.fetch.released(),
            result_o: self.results().collect(),
            attended_o: attended,
            poisoned_o: attended.valid && self.poisoned_q[usize::from(attended.head.0)],
            head_done_o: normaliser.head_done_o,
            flags_o: Vec::new(),
            errors_o: self.banks.errors(),
            values_o: normaliser.values_o,
        }
    }

    /// An engine after reset, whose memories nobody has written yet.
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self {
            geometry,
            heads: HeadTable::new(geometry),
            fetch: FetchSequencer::new(geometry),
            tile_done: DelayLine::new(2 * FLOAT_LATENCY * (geometry.segments - 1) + 1),
            banks: BankGroup::new(geometry),
            word_tag: DelayLine::new(READ_LATENCY),
            poisoned_q: [false; CONTEXTS],
            issue: IssueSequencer::new(geometry),
            array: SystolicArray::new(geometry),
            tile_scored: DelayLine::new(EXP2_LATENCY - 1),
            segments: (0..geometry.segments).map(|s| Segment::new(geometry, s)).collect(),
            normaliser: Normaliser::new(geometry),
        }
    }

    /// Per row: a result of the last segment, of GEMV or of K.
    pub fn results(&self) -> impl Iterator<Item = ResultOut> {
        self.array.results().skip(self.geometry.segments - 1).step_by(self.geometry.segments)
    }

    /// The score that a segment's softmax of one row takes: each group's leaves at its own segment, else at the last.
    /// Slot bit 5 says that the head has groups.
    fn score(&self, results: &[ResultOut], row: usize, segment: usize) -> ResultOut {
        let segments = self.geometry.segments;
        let (own, last) = (results[row * segments + segment], results[(row + 1) * segments - 1]);
        if segment + 1 == segments || own.valid {
            own
        } else {
            ResultOut { valid: last.valid && last.slot.0 < 32, ..last }
        }
    }

    /// Scores of one segment: row 0's finds its tile and token, the other rows' follow. Returns whether a tile is complete.
    fn clock_segment(&mut self, s: usize, results: &[ResultOut], feed: FeedTag, i: &Inputs) -> bool {
        let geometry = self.geometry;
        let mut score = self.score(results, 0, s);
        score.valid &= !i.gemv_i;
        let beat = score.slot.0 % 32;
        let tile = self.fetch.tiles()[usize::from(self.segments[s].tile_q.0)];
        let scored = score.valid && beat == tile.beats_last.0;
        let segment = &self.segments[s];
        let mut now = ScoreControl::default();
        let mut score_scales = BlockScales::new(geometry);
        if score.valid {
            let group = if score.slot.0 >= 32 { (SEGMENT_LANES * s) as u64 } else { 0 };
            let mask = (1 << POSITION_BITS) - 1;
            now = ScoreControl {
                tag: ScoreTag { valid: true, first: beat == 0, tile: segment.tile_q, beat: Uint(beat) },
                head: tile.head,
                position: Wide((tile.origin.0 + u64::from(beat) + group) & mask),
            };
            let HeadInfo { int8, wide, .. } = self.heads.heads()[usize::from(tile.head.0)];
            let at = (usize::from(segment.tile_q.0), usize::from(beat));
            segment.value_scales.blocks(int8, at.0, at.1, &mut score_scales);
            // A narrow head does not have all blocks.
            let parts = HeadShape::new(geometry.segments, int8, wide).parts;
            let used = if int8 { parts } else { 2 * parts };
            score_scales.codes_mut()[used..].fill(Uint(0));
        }
        let feed_tag = segment.feed.as_ref().map_or(feed, DelayLine::output);
        let mut feed_now = FeedControl { tag: feed_tag, scale: LaneByte::default() };
        if feed_tag.valid {
            let mut blocks = BlockScales::new(geometry);
            let at = (usize::from(feed_tag.tile.0), usize::from(feed_tag.beat.0));
            segment.value_scales.blocks(feed_tag.int8, at.0, at.1, &mut blocks);
            feed_now.scale = chains(&blocks, feed_tag.int8, feed_tag.part);
        }

        for r in (0..geometry.rows).rev() {
            let segment = &self.segments[s];
            let control = if r == 0 { now } else { segment.score_rows.tap(r - 1) };
            let feed_row = if r == 0 { feed_now } else { segment.feed_rows.tap(r - 1) };
            let mut scales = score_scales;
            if r > 0 {
                for (code, line) in scales.codes_mut().iter_mut().zip(&segment.scale_rows) {
                    *code = line.tap(r - 1);
                }
            }
            let inputs = softmax::Inputs {
                score_i: self.score(results, r, s).value,
                score_tag_i: control.tag,
                visible_i: self.heads.sees(control.head, r, control.position),
                scales_i: scales,
                feed_tag_i: feed_row.tag,
                feed_scale_i: feed_row.scale,
                block_i: OperandBlock {
                    valid: i.block_i.valid
                        && i.block_i.rows.0 >> r & 1 == 1
                        && i.block_i.segments.0 >> s & 1 == 1,
                    ..i.block_i
                },
                block_data_i: i.block_data_i,
                clear_flags_i: i.clear_i,
            };
            self.segments[s].rows[r].clock(&inputs);
        }

        let segment = &mut self.segments[s];
        segment.tile_q = Uint((segment.tile_q.0 + u16::from(scored)) % 4);
        segment.score_rows.clock(now);
        for (line, &code) in segment.scale_rows.iter_mut().zip(score_scales.codes()) {
            line.clock(code);
        }
        segment.feed_rows.clock(feed_now);
        if let Some(line) = &mut segment.feed {
            line.clock(feed);
        }
        scored
    }

    /// Scales and beats of the word that the banks deliver.
    fn clock_words(&mut self, data: &[Uint<8>]) -> (WordTag, Vec<LaneByte>) {
        let tag = self.word_tag.output();
        let int8 = self.heads.heads()[usize::from(tag.head.0)].int8;
        let word = usize::from(if int8 { tag.part.0 } else { 2 * tag.part.0 + (tag.beat.0 & 1) });
        let key = tag.valid && tag.kind == WordKind::Key;
        let mut scales = vec![LaneByte::default(); self.geometry.segments];
        for (s, segment) in self.segments.iter_mut().enumerate() {
            let bytes = &data[s * SEGMENT_LANES..][..SEGMENT_LANES];
            if key {
                let mut blocks = BlockScales::new(self.geometry);
                segment.key_scales.blocks(int8, 0, usize::from(tag.beat.0), &mut blocks);
                scales[s] = chains(&blocks, int8, tag.part);
            }
            match tag.kind {
                WordKind::KeyScale if tag.valid => segment.key_scales.write(0, word, bytes),
                WordKind::ValueScale if tag.valid => {
                    segment.value_scales.write(usize::from(tag.tile.0), word, bytes);
                }
                _ => {}
            }
        }
        let beat = matches!(tag.kind, WordKind::Key | WordKind::Value);
        (WordTag { valid: tag.valid && beat, ..tag }, scales)
    }

    fn array_inputs(&self, i: &Inputs, acc_read_i: AccRead) -> systolic_array::Inputs {
        let Geometry { rows, segments, .. } = self.geometry;
        let softmax = || (0..rows).flat_map(|r| self.segments.iter().map(move |s| s.rows[r].outputs()));
        let elements = self.issue.elements().zip(&i.gemv_elements_i).map(|(a, b)| merged(a, *b));
        systolic_array::Inputs {
            beat_i: merged(self.issue.beat(), i.gemv_beat_i),
            elements_i: vector(self.geometry.lanes(), elements),
            scales_i: self.issue.scales().zip(&i.gemv_scales_i).map(|(a, b)| merged(a, *b)).collect(),
            p_i: vector(rows * segments, softmax().map(|o| o.p_o)),
            tile_exponent_i: vector(2 * rows * segments, softmax().flat_map(|o| o.tile_exponent_o)),
            acc_read_i,
            clear_flags_i: i.clear_i,
        }
    }
}

impl Block for AttentionEngine {
    type Inputs = Inputs;
    type Outputs = Outputs;

    fn idle_inputs(&self) -> Inputs {
        let Geometry { rows, segments, .. } = self.geometry;
        Inputs {
            positions_i: vec![Wide(0); rows],
            rows_i: vec![false; rows],
            gemv_scales_i: vec![LaneByte::default(); segments],
            gemv_elements_i: vec![Uint(0); self.geometry.lanes()],
            fill_data_i: vec![Uint(0); self.geometry.word_bytes()],
            ..Inputs::default()
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs { flags_o: self.flags(), ..self.handed() }
    }

    fn clock(&mut self, i: &Inputs) {
        // What the registers say now. All blocks are Moore, so this is all that they tell each other.
        let started = self.heads.started();
        let word = self.banks.word();
        let word_tag = self.word_tag.output();
        assert_eq!(word.valid, word_tag.valid, "INV_ENGINE_1");
        let data = vector(self.geometry.word_bytes(), self.banks.word_data());
        let written = self.banks.written();
        let head_end = self.issue.head_end();
        let tile_done = self.issue.tile_done();
        let released = self.issue.release();
        let head_done = self.normaliser.head_done();
        let Geometry { rows, segments, .. } = self.geometry;
        let results = vector(rows * segments, self.array.results());
        let tile_scored = self.tile_scored.output();
        let array_inputs = self.array_inputs(i, self.normaliser.acc_read());
        let tile_sums =
            (0..rows).flat_map(|r| self.segments.iter().map(move |s| s.rows[r].outputs().tile_sum_o));
        let normaliser_inputs = normaliser::Inputs {
            tile_sum_i: vector(rows * segments, tile_sums),
            head_end_i: head_end,
            rows_i: self.heads.rows(head_end.head).to_vec(),
            acc_data_i: self.array.acc_data().to_vec(),
            out_ready_i: i.out_ready_i,
            clear_flags_i: i.clear_i,
        };

        let feed = merged(self.issue.feed(), i.gemv_feed_i);
        let mut scored = false;
        for s in (0..segments).rev() {
            // Segment 0's count is the one that matters.
            scored = self.clock_segment(s, &results, feed, i);
        }
        let (beat_tag, key_scales) = self.clock_words(&data);
        let operands_there_i = self.issue.operands_there();
        self.issue.clock(&issue_sequencer::Inputs {
            started_i: started,
            heads_i: self.heads.heads(),
            operands_i: i.operands_i,
            tag_i: beat_tag,
            scales_i: &key_scales,
            elements_i: &data,
            tile_scored_i: tile_scored,
            head_done_i: head_done.valid,
        });
        self.tile_scored.clock(scored);
        self.array.clock(&array_inputs);
        self.normaliser.clock(&normaliser_inputs);

        let read = self.fetch.read();
        self.word_tag.clock(self.fetch.tag());
        self.fetch.clock(&fetch_sequencer::Inputs {
            started_i: started,
            heads_i: *self.heads.heads(),
            operands_there_i,
            written_i: written,
            release_i: released,
            tile_done_i: self.tile_done.output(),
        });
        self.tile_done.clock(tile_done);
        self.banks.advance(i.pinned_i, read, i.fill_i, &i.fill_data_i, i.clear_i);
        if started.valid {
            self.poisoned_q[usize::from(started.head.0)] = false;
        }
        if word.valid && word.uncorrectable {
            self.poisoned_q[usize::from(word_tag.head.0)] = true;
        }
        let HeadEnd { valid, head, .. } = head_done;
        self.heads.clock(i.command_i, &i.positions_i, &i.rows_i, HeadStart { valid, head });
    }

    fn reset(&mut self) {
        self.heads.reset();
        self.fetch.reset();
        self.tile_done = DelayLine::new(2 * FLOAT_LATENCY * (self.geometry.segments - 1) + 1);
        self.banks.reset();
        self.word_tag = DelayLine::new(READ_LATENCY);
        self.poisoned_q = [false; CONTEXTS];
        self.issue.reset();
        self.array.reset();
        self.tile_scored = DelayLine::new(EXP2_LATENCY - 1);
        for (s, segment) in self.segments.iter_mut().enumerate() {
            segment.reset(self.geometry, s);
        }
        self.normaliser.reset();
    }
}

impl Visit for Segment {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("tile_q", &mut self.tile_q);
        if let Some(line) = &mut self.feed {
            v.enter("gen_later", None);
            v.enter("u_feed", None);
            line.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_value_scales", None);
        self.value_scales.visit(v);
        v.leave();
        v.enter("u_key_scales", None);
        self.key_scales.visit(v);
        v.leave();
        v.enter("u_score_rows", None);
        self.score_rows.visit(v);
        v.leave();
        for (k, line) in self.scale_rows.iter_mut().enumerate() {
            v.enter("gen_block", Some(k));
            v.enter("u_scale_rows", None);
            line.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_feed_rows", None);
        self.feed_rows.visit(v);
        v.leave();
        for (r, softmax) in self.rows.iter_mut().enumerate() {
            v.enter("gen_row", Some(r));
            v.enter("u_softmax", None);
            softmax.visit(v);
            v.leave();
            v.leave();
        }
    }
}

impl Visit for AttentionEngine {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.enter("u_heads", None);
        self.heads.visit(v);
        v.leave();
        v.enter("u_fetch", None);
        self.fetch.visit(v);
        v.leave();
        v.enter("u_tile_done", None);
        self.tile_done.visit(v);
        v.leave();
        v.enter("u_banks", None);
        self.banks.visit(v);
        v.leave();
        v.enter("u_word_tag", None);
        self.word_tag.visit(v);
        v.leave();
        v.packed("poisoned_q", &mut self.poisoned_q);
        v.enter("u_issue", None);
        self.issue.visit(v);
        v.leave();
        v.enter("u_array", None);
        self.array.visit(v);
        v.leave();
        v.enter("u_tile_scored", None);
        self.tile_scored.visit(v);
        v.leave();
        for (s, segment) in self.segments.iter_mut().enumerate() {
            v.enter("gen_segment", Some(s));
            segment.visit(v);
            v.leave();
        }
        v.enter("u_normaliser", None);
        self.normaliser.visit(v);
        v.leave();
    }
}

impl Visit for Inputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("command_i", &mut self.command_i);
        v.packed("positions_i", &mut self.positions_i);
        v.packed("rows_i", &mut self.rows_i);
        v.bits("block_i", &mut self.block_i);
        v.packed("block_data_i", &mut self.block_data_i);
        v.bits("operands_i", &mut self.operands_i);
        v.bits("pinned_i", &mut self.pinned_i);
        v.bits("gemv_i", &mut self.gemv_i);
        v.bits("gemv_feed_i", &mut self.gemv_feed_i);
        v.bits("gemv_beat_i", &mut self.gemv_beat_i);
        v.packed("gemv_scales_i", &mut self.gemv_scales_i);
        v.packed("gemv_elements_i", &mut self.gemv_elements_i);
        v.bits("fill_i", &mut self.fill_i);
        v.packed("fill_data_i", &mut self.fill_data_i);
        v.bits("out_ready_i", &mut self.out_ready_i);
        v.bits("clear_i", &mut self.clear_i);
    }
}

impl Visit for Outputs {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        v.bits("command_ready_o", &mut self.command_ready_o);
        v.bits("started_o", &mut self.started_o);
        v.bits("started_info_o", &mut self.started_info_o);
        v.bits("refused_o", &mut self.refused_o);
        v.bits("fill_ready_o", &mut self.fill_ready_o);
        v.bits("written_o", &mut self.written_o);
        v.bits("released_o", &mut self.released_o);
        v.packed("result_o", &mut self.result_o);
        v.bits("attended_o", &mut self.attended_o);
        v.packed("values_o", &mut self.values_o);
        v.bits("poisoned_o", &mut self.poisoned_o);
        v.bits("head_done_o", &mut self.head_done_o);
        v.packed("flags_o", &mut self.flags_o);
        v.bits("errors_o", &mut self.errors_o);
    }
}
