// SPDX-License-Identifier: Apache-2.0
//! Planted bugs (`testbenches/mutants/`): lockstep must catch each one, in the right register and at the right cycle.
//!
//! What is right is not the engine's to say: pristine and mutated RTL run side by side on the same inputs and the same
//! seed, without engine and model, and where their images part first is where the report must point.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tandem::Error;
use tandem::device::RtlDevice;
use tandem::lockstep::{Lockstep, SNAPSHOT_INTERVAL};
use tandem::replay::{Upset, write_atomically};
use tandem::report::{Mismatch, Side};
use tandem_model::block::Block;
use tandem_model::control::types::CSR_DOORBELL;
use tandem_model::devices::{self, Device};
use tandem_model::image::{self, Field, Fields, element_bytes};
use tandem_testbenches::array::ArrayBench;
use tandem_testbenches::attention::{self, AttentionBench};
use tandem_testbenches::collective::{self, CollectiveBench};
use tandem_testbenches::control::{ControlBench, CountersBench};
use tandem_testbenches::core::CoreBench;
use tandem_testbenches::csr::{self, CsrBench};
use tandem_testbenches::dma::DmaBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::framer::FramerBench;
use tandem_testbenches::gemv::GemvBench;
use tandem_testbenches::link::LinkBench;
use tandem_testbenches::memory_port::PortBench;
use tandem_testbenches::normaliser::NormaliserBench;
use tandem_testbenches::random::Flavour;
use tandem_testbenches::reader::ReaderBench;
use tandem_testbenches::results::ResultsBench;
use tandem_testbenches::segment::{Op, SegmentBench};
use tandem_testbenches::softmax::SoftmaxBench;
use tandem_testbenches::sram::{self, SramBench, Traffic};
use tandem_testbenches::stream::StreamBench;
use tandem_testbenches::vector::VectorBench;
use tandem_testbenches::{Bench, Coverage, Dut, DutError};
use tandem_verilate::{Kind, Ports, Spec, VerilateError, Verilator};

/// The test of one patch.
macro_rules! planted {
    ([$(#[$attribute:meta])*] $name:ident) => {
        #[test]
        $(#[$attribute])*
        fn $name() {
            super::run(stringify!($name));
        }
    };
}

/// One test per patch, so that a runner runs them side by side and names the one that got away.
macro_rules! campaign {
    ($($group:ident $attributes:tt { $($name:ident)+ })+) => {
        const NAMES: &[&str] = &[$($(stringify!($name)),+),+];

        $(mod $group {
            $(planted!($attributes $name);)+
        })+
    };
}

campaign! {
    planted_bug [] {
        acc_bank_not_switched
        acc_bank_stuck
        acc_first_ignored
        acc_read_bank_stuck
        ack_wrap_ignored
        answer_of_wrong_id
        append_ends_unanswered
        append_resumes_after_refusal
        arbitration_ignored
        argmax_last_of_equals
        bad_flit_acknowledged
        bank_bit_wrong
        beat_popped_while_waiting
        binary32_flush_bound_off_by_one
        bulk_first
        burst_over_page
        burst_without_room
        chunk_of_x_stuck
        clear_forgets_queued
        clear_swallows_error
        clear_wins_over_event
        closed_undrained
        commit_before_write
        completion_before_done
        convert_exponent_short
        correction_beside
        counter_not_kept
        counter_wraps
        crc_bits_reversed
        credit_reset_missing
        credit_returned_twice
        denominator_first_ignored
        denominator_scaled
        denominators_do_not_wait
        distance_short
        done_before_last_answer
        done_of_wrong_client
        doorbell_lost_while_busy
        doorbell_overflow_off_by_one
        drain_select_off_by_one
        end_before_last_answer
        epoch_ignored
        exp2_index_off_by_one
        exp2_line_flat
        fill_done_unwritten
        flags_not_sticky
        flight_overtaken
        flush_bound_off_by_one
        flushed_answers_taken
        flushed_word_written
        given_from_waiting_pass
        grant_ignored
        group_ignored
        half_of_word_twice
        header_bytes_swapped
        hi_acc_written_from_lo
        hi_control_a_beat_early
        int8_halves_misjoined
        inverse_copied_early
        last_group_not_padded
        last_loss_unseen
        later_error_recorded
        leading_zeros_off_by_one
        lo_hi_swapped
        load_count_off_by_one
        maximum_of_masked_key
        nan_scale_hi_ignored
        negative_zero
        p_ties_up
        p_wraps
        partial_sum_read_early
        pe_tag_a_beat_early
        peer_restart_unnoticed
        pending_wait_lost
        phase_off_by_one
        place_overwritten
        prefetch_survives_reset
        present_kept_at_clear
        reciprocal_truncated
        refusal_forgotten
        replay_slot_off_by_one
        request_beyond_ring
        result_slot_early
        room_ignored
        room_not_awaited
        room_returned_twice
        rope_position_off_by_one
        rounded_reset_missing
        rounding_ties_away
        runs_survive_reset
        saturation_bound_off_by_one
        scale_bias_off_by_one
        scale_in_wrong_half
        scale_of_other_head
        scale_strobe_too_wide
        score_ties_away
        second_group_ignored
        sign_of_first_operand
        skew_register_bypassed
        skew_stage_missing
        slot_not_restarted
        sticky_bit_dropped
        strobe_ignored
        sum_begins_with_second
        syndrome_row_ignored
        tail_not_zeroed
        tail_scales_missing
        tile_exponent_not_held
        tile_first_ignored
        tile_without_room
        token_released_early
        token_signalled_while_held
        unused_row_divided
        unused_rows_not_zeroed
        value_maximum_of_neighbour
        value_scale_of_neighbour
        value_scale_of_next_tile
        value_scale_over_key
        values_too_early
        eps_forgotten
        residual_added_twice
        key_before_its_norm
        word_given_before_sum
        word_of_wrong_client
        write_beyond_bounds
        write_does_not_wait
        write_during_reset
        write_over_page
        wrong_chunk_summed
    }
    planted_bug_in_engine [] {
        group_score_of_last_segment
        look_ahead_short
        mask_end_inclusive
        part_not_spaced
        poison_kept
        q_bank_not_switched
        spacing_to_keys_ignored
        window_not_aligned
    }
    planted_bug_in_core [] {
        array_not_drained
        port_not_awaited
        scores_taken_for_results
        transit_tokens_dropped
    }
    no_bug [] {
        comment_only
    }
}

/// Cases that a mutant may survive before it counts as not caught; the comment-only one must survive them all.
const CASES: usize = 64;

/// Bits of a register, least significant first.
type Value = Vec<bool>;

/// A place, a time, and what was there.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sighting {
    side: Side,
    name: String,
    cycle: u64,
    wrong: Value,
    right: Value,
}

impl Sighting {
    fn place(&self) -> (Side, &str) {
        (self.side, &self.name)
    }
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = |value: &Value| -> String {
            value.iter().rev().map(|&bit| if bit { '1' } else { '0' }).collect()
        };
        let Self { side, name, cycle, wrong, right } = self;
        write!(f, "{side:?} {name} at cycle {cycle} ({} for {})", bits(wrong), bits(right))
    }
}

/// What the header of a patch says must happen.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Expected {
    /// The report names this register, output or memory entry first.
    Difference(Side, String),
    /// The registers are not the model's: the device is not even built, and the message names this one.
    Refused(String),
    /// The mutant changes nothing.
    Nothing,
}

/// A patch with its header.
struct Mutant {
    name: String,
    device: Device,
    expected: Expected,
    diff: String,
}

impl Mutant {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let header: Vec<_> = text.lines().map_while(|line| line.strip_prefix('#')).map(str::trim).collect();
        let mut keys = BTreeMap::new();
        let mut told = false;
        for line in &header {
            match line.split_once(": ") {
                Some(("SPDX-License-Identifier", _)) => {}
                Some((
                    key @ ("device" | "register" | "output" | "memory" | "refused" | "nothing"),
                    value,
                )) => {
                    if keys.insert(key, value.trim().to_owned()).is_some() {
                        return Err(format!("`{key}:` stands twice"));
                    }
                }
                _ => told |= !line.is_empty(),
            }
        }
        if !told {
            return Err("the header does not say what the bug is".to_owned());
        }
        let device = keys.remove("device").ok_or("the header has no `device:`")?;
        let device = Device::by_name(&device).ok_or_else(|| format!("no device {device}"))?;
        let mut keys = keys.into_iter();
        let expected = match (keys.next(), keys.next()) {
            (Some(("register", path)), None) => Expected::Difference(Side::Register, path),
            (Some(("output", path)), None) => Expected::Difference(Side::Output, path),
            (Some(("memory", path)), None) => Expected::Difference(Side::Memory, path),
            (Some(("refused", path)), None) => Expected::Refused(path),
            (Some(("nothing", _)), None) => Expected::Nothing,
            other => return Err(format!("one of register, output, memory, refused, nothing: got {other:?}")),
        };
        let diff = text.lines().skip(header.len()).map(|line| format!("{line}\n")).collect();
        Ok(Self { name: name.to_owned(), device, expected, diff })
    }

    fn load(name: &str) -> Result<Self, String> {
        let path = mutants().join(format!("{name}.patch"));
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Self::parse(name, &text)
    }

    /// The RTL with the bug in it, always in the same folder: a build is cached by its sources' paths too.
    fn plant(&self) -> Result<PathBuf, String> {
        let patch = diffy::Patch::from_str(&self.diff).map_err(|e| format!("no unified diff: {e}"))?;
        let target = patch.original().and_then(|path| path.split('\t').next()).unwrap_or_default();
        let target = target.strip_prefix("a/rtl/").ok_or_else(|| format!("`{target}` is not in a/rtl/"))?;
        let mut files = BTreeMap::new();
        read_tree(&project().join("rtl"), Path::new(""), &mut files).map_err(|e| e.to_string())?;
        let file = files.get_mut(Path::new(target)).ok_or_else(|| format!("there is no rtl/{target}"))?;
        let before = std::str::from_utf8(file).map_err(|e| e.to_string())?;
        let after = diffy::apply(before, &patch).map_err(|e| format!("rtl/{target}: {e}"))?;
        if after == before {
            return Err("the patch changes nothing".to_owned());
        }
        *file = after.into_bytes();

        let folder = project().join("target/mutants").join(&self.name);
        let mut old = BTreeMap::new();
        if folder.join("rtl").is_dir() {
            read_tree(&folder.join("rtl"), Path::new(""), &mut old).map_err(|e| e.to_string())?;
        }
        for path in old.keys().filter(|path| !files.contains_key(*path)) {
            std::fs::remove_file(folder.join("rtl").join(path)).map_err(|e| e.to_string())?;
        }
        for (path, bytes) in files.iter().filter(|(path, bytes)| old.get(*path) != Some(bytes)) {
            write_atomically(&folder.join("rtl").join(path), bytes).map_err(|e| e.to_string())?;
        }
        Ok(folder)
    }

    fn build(&self, folder: &Path) -> Result<PathBuf, VerilateError> {
        let spec = Spec::of_device(self.device, folder);
        let (cpp, cache) = (project().join("cosim/cpp"), project().join("target/verilated"));
        let verilator = Verilator::find(project())?;
        Ok(tandem_verilate::build(&spec, &verilator, &cpp, &cache, Kind::Shared)?.library)
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn mutants() -> PathBuf {
    project().join("testbenches/mutants")
}

/// Every file below `root`, by its path from there.
fn read_tree(root: &Path, at: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(at))? {
        let entry = entry?;
        let path = at.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            read_tree(root, &path, files)?;
        } else {
            files.insert(path, std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// What a case did to the device.
#[derive(Default)]
struct Stimulus {
    clocks: Vec<(bool, Vec<u8>)>,
    /// In the order of their clocks.
    upsets: Vec<Upset>,
}

impl Stimulus {
    /// Soft errors before a clock.
    fn upsets_at(&self, clock: u64) -> impl Iterator<Item = &Upset> {
        self.upsets.iter().filter(move |upset| upset.cycle == clock)
    }
}

/// Hands every input on to the engine and keeps it for the RTL alone.
struct Recorder<B: Block> {
    engine: Lockstep<B>,
    stimulus: Stimulus,
}

impl<B: Block> Dut<B> for Recorder<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<(), DutError> {
        let mut image = Vec::new();
        image::pack(inputs, &mut image);
        self.stimulus.clocks.push((rst_ni, image));
        self.engine.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> B::Outputs {
        self.engine.outputs()
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        let cycle = self.stimulus.clocks.len() as u64;
        self.stimulus.upsets.push(Upset { cycle, memory: memory.to_owned(), entry, bit });
        Ok(self.engine.upset(memory, entry, bit)?)
    }
}

/// First field and element in which two images differ, after so many clocks. `skip` is told the bytes of an element.
fn parted(
    (side, fields): (Side, &[Field]),
    clocks: u64,
    (pristine, mutated): (&[u8], &[u8]),
    skip: impl Fn(Range<usize>) -> bool,
) -> Option<Sighting> {
    for field in fields {
        for index in 0..field.elements {
            let size = element_bytes(field.width);
            let at = field.offset + index * size;
            if pristine[at..at + size] != mutated[at..at + size] && !skip(at..at + size) {
                let element = if field.elements > 1 { format!("[{index}]") } else { String::new() };
                return Some(Sighting {
                    side,
                    name: format!("{}{element}", field.path),
                    cycle: clocks.saturating_sub(1),
                    wrong: field.element(mutated, index),
                    right: field.element(pristine, index),
                });
            }
        }
    }
    None
}

/// Runs pristine and mutated RTL on the same clocks: where and when they part.
fn oracle<B: Block>(
    device: Device,
    library: &Path,
    mut model: B,
    seed: u64,
    stimulus: &Stimulus,
) -> Result<Option<Sighting>, Error> {
    let Fields { registers, memories } = image::fields(&mut model);
    let Ports { outputs, .. } = Ports::of(&model);
    let mut pristine = RtlDevice::linked(device.name, seed)?;
    let mut mutated = RtlDevice::loaded(library, device.name, seed)?;
    let images = |rtl: &RtlDevice| (vec![0; rtl.register_bytes()], vec![0; rtl.output_bytes()]);
    let (mut good, mut bad) = (images(&pristine), images(&mutated));
    let power_up = pristine.memories()?;
    // An entry that still holds what it held before the first clock was never written and means nothing.
    let memory = |pristine: &mut RtlDevice, mutated: &mut RtlDevice, done| -> Result<_, Error> {
        let (good, bad) = (pristine.memories()?, mutated.memories()?);
        let unwritten = |at: Range<usize>| good[at.clone()] == power_up[at];
        Ok(parted((Side::Memory, &memories), done, (&good, &bad), unwritten))
    };
    let flip = |rtl: &mut RtlDevice, upset: &Upset| {
        let number = memories.iter().position(|f| f.path == upset.memory).expect("the engine took it");
        rtl.flip(number, upset.entry, upset.bit)
    };
    let mut done = 0;
    for (rst_ni, inputs) in &stimulus.clocks {
        if done > 0
            && done % SNAPSHOT_INTERVAL == 0
            && let found @ Some(_) = memory(&mut pristine, &mut mutated, done)?
        {
            return Ok(found);
        }
        for upset in stimulus.upsets_at(done) {
            flip(&mut pristine, upset)?;
            flip(&mut mutated, upset)?;
        }
        pristine.step(*rst_ni, inputs, &mut good.0, &mut good.1)?;
        mutated.step(*rst_ni, inputs, &mut bad.0, &mut bad.1)?;
        done += 1;
        let found = parted((Side::Register, &registers), done, (&good.0, &bad.0), |_| false)
            .or_else(|| parted((Side::Output, &outputs), done, (&good.1, &bad.1), |_| false));
        if found.is_some() {
            return Ok(found);
        }
    }
    for upset in stimulus.upsets_at(done) {
        flip(&mut pristine, upset)?;
        flip(&mut mutated, upset)?;
    }
    memory(&mut pristine, &mut mutated, done)
}

/// The same clocks with the model on a thread of its own, as the commands run it: the same report must come.
fn beside<B>(device: Device, library: &Path, model: B, seed: u64, stimulus: &Stimulus) -> Result<(), Error>
where
    B: Block<Inputs: Send> + Send + 'static,
{
    let mut inputs = model.idle_inputs();
    let rtl = RtlDevice::loaded(library, device.name, seed)?;
    let mut engine = Lockstep::with_device(device.name, rtl, model, seed);
    engine.beside();
    let upset = |engine: &mut Lockstep<B>, done| {
        stimulus.upsets_at(done).try_for_each(|u| engine.upset(&u.memory, u.entry, u.bit))
    };
    for (done, (rst_ni, bytes)) in (0..).zip(&stimulus.clocks) {
        upset(&mut engine, done)?;
        image::unpack(bytes, &mut inputs);
        engine.step(*rst_ni, &mut inputs)?;
    }
    upset(&mut engine, stimulus.clocks.len() as u64)?;
    engine.finish().map(|_| ())
}

/// Whether the model beside the RTL found what the inline one did.
fn same_report(inline: Option<&Mismatch>, beside: Result<(), Error>) -> Result<(), String> {
    match (inline, beside) {
        (None, Ok(())) => Ok(()),
        (Some(a), Err(Error::Mismatch(b))) if (a.cycle, &a.differences) == (b.cycle, &b.differences) => {
            Ok(())
        }
        (_, beside) => Err(format!("with the model beside the RTL: {beside:?}")),
    }
}

/// Where and when a report says that the trouble began.
fn reported(report: &Mismatch) -> Option<Sighting> {
    let first = report.differences.first()?;
    Some(Sighting {
        side: first.side,
        name: first.name(),
        cycle: report.cycle,
        wrong: first.rtl.clone(),
        right: first.model.clone(),
    })
}

/// Whether a case's report, or its absence, is what the RTL alone says.
fn judge(report: Option<&Mismatch>, truth: Option<&Sighting>) -> Result<Option<Sighting>, String> {
    let shown = |s: Option<&Sighting>| s.map_or_else(|| "nothing".to_owned(), Sighting::to_string);
    let found = report.and_then(reported);
    if found.as_ref() != truth {
        return Err(format!("lockstep saw {}, the RTL alone {}", shown(found.as_ref()), shown(truth)));
    }
    // The text is what a person has to go by.
    if let (Some(report), Some(Sighting { name, cycle, .. })) = (report, &found) {
        let text = report.to_string();
        let mut lines = text.lines();
        let (head, first) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        if !head.contains(&format!("at cycle {cycle} ")) || !first.ends_with(&format!(" {name}")) {
            return Err(format!("the report does not begin with {name} at cycle {cycle}"));
        }
    }
    Ok(found)
}

/// Runs cases until lockstep reports something. Every case is checked against the RTL alone.
fn hunt<B>(
    bench: &B,
    directed: Vec<B::Case>,
    device: Device,
    library: &Path,
) -> Result<Option<(Sighting, Mismatch)>, String>
where
    B: Bench<Block: Block<Inputs: Send> + Send + 'static>,
{
    let mut runner = TestRunner::deterministic();
    let strategy = bench.strategy();
    let random = std::iter::repeat_with(|| {
        strategy.new_tree(&mut runner).expect("the strategies reject nothing").current()
    });
    for (seed, case) in (1..).zip(directed.into_iter().chain(random).take(CASES)) {
        let name = device.name;
        let rtl = RtlDevice::loaded(library, name, seed).map_err(|e| e.to_string())?;
        let engine = Lockstep::with_device(name, rtl, bench.model(), seed);
        let mut dut = Recorder { engine, stimulus: Stimulus::default() };
        let verdict = bench
            .run(&case, &mut dut, &mut Coverage::default())
            .and_then(|()| Ok(dut.engine.finish().map(|_| ())?));
        let report = match verdict.map_err(|e| e.downcast::<Error>()) {
            Ok(()) => None,
            Err(Ok(error)) => match *error {
                Error::Mismatch(report) => Some(report),
                other => return Err(format!("no mismatch but: {other}")),
            },
            Err(Err(other)) => return Err(format!("no mismatch but: {other}")),
        };
        let truth = oracle(device, library, bench.model(), seed, &dut.stimulus)
            .map_err(|e| format!("RTL alone: {e}"))?;
        let with_report = |e: String| match &report {
            Some(report) => format!("{e}\n{report}"),
            None => e,
        };
        let beside = beside(device, library, bench.model(), seed, &dut.stimulus);
        same_report(report.as_deref(), beside).map_err(with_report)?;
        if let Some(found) = judge(report.as_deref(), truth.as_ref()).map_err(with_report)?
            && let Some(report) = report
        {
            return Ok(Some((found, *report)));
        }
    }
    Ok(None)
}

fn catch(mutant: &Mutant) -> Result<String, String> {
    let folder = mutant.plant()?;
    let library = match (mutant.build(&folder), &mutant.expected) {
        (Err(VerilateError::Registers { list, .. }), Expected::Refused(register)) => {
            let first = list.lines().next().unwrap_or_default().trim();
            return if first.starts_with(&format!("{register}: ")) {
                Ok(format!("refused: {first}"))
            } else {
                Err(format!("the build names another register first:\n{list}"))
            };
        }
        (Err(other), _) => return Err(other.to_string()),
        (Ok(_), Expected::Refused(_)) => return Err("the device was built".to_owned()),
        (Ok(library), _) => library,
    };
    let (device, geometry) = (mutant.device, mutant.device.geometry);
    let found = match device.kind {
        devices::Kind::Float => hunt(&FloatBench, vec![], device, &library),
        devices::Kind::Segment => {
            // Tiles that nobody reads back: what they leave in the accumulators shows in no register. The second case
            // ends in a reset, with lanes of its second tile still on their way over those of its first.
            let tile = |seed| Op::Tile { int8: false, part: 0, first: true, bank: true, seed };
            let directed = vec![vec![tile(1)], vec![tile(1), Op::Idle(12), tile(2), Op::Reset]];
            hunt(&SegmentBench { geometry }, directed, device, &library)
        }
        devices::Kind::Array => hunt(&ArrayBench { geometry }, vec![], device, &library),
        devices::Kind::Sram => {
            // Words 32 apart, one wrong bit, and the reads after the fills: nothing that waits, so that one thing only
            // can differ. The second case counts beyond the counters' end.
            let traffic = |fills, reads| {
                sram::Op::Traffic(Traffic {
                    fills,
                    start: 0,
                    stride: 32,
                    reads,
                    read_stride: 32,
                    idle: 0,
                    seed: 1,
                })
            };
            let flip = sram::Op::Flip { double: false, count: 1, seed: 1 };
            let quiet = vec![traffic(8, 0), sram::Op::Idle(8), traffic(0, 40), flip.clone(), traffic(0, 40)];
            let hammer = sram::Op::Hammer(u16::MAX);
            let full = vec![traffic(1, 0), sram::Op::Idle(8), flip, hammer.clone(), hammer];
            hunt(&SramBench { geometry }, vec![quiet, full], device, &library)
        }
        devices::Kind::Softmax => hunt(&SoftmaxBench { geometry }, vec![], device, &library),
        devices::Kind::Normaliser => hunt(&NormaliserBench { geometry }, vec![], device, &library),
        devices::Kind::Attention => {
            // Short heads that lie in the banks, one more than there are contexts; a word of the first is beyond repair.
            let head = |flips| attention::Head {
                int8: false,
                wide: false,
                tokens: 2,
                rows: geometry.rows,
                group: 1,
                position: 0,
                step: 1,
                causal: true,
                window: 0,
                heat: -8,
                spread: 4,
                flavour: Flavour::Plain,
                resident: true,
                flips,
                seed: 1,
            };
            let heads = [2, 0, 0, 0, 0].map(head).to_vec();
            let short =
                attention::Case { heads, stalls: None, ring: 0, fill_first: false, reset_after: None };
            hunt(&AttentionBench { geometry }, vec![short], device, &library)
        }
        devices::Kind::Framer => hunt(&FramerBench, vec![], device, &library),
        devices::Kind::Link => hunt(&LinkBench { geometry }, vec![], device, &library),
        devices::Kind::Reader => hunt(&ReaderBench, vec![], device, &library),
        devices::Kind::Control => hunt(&ControlBench { geometry }, vec![], device, &library),
        devices::Kind::Counters => hunt(&CountersBench, vec![], device, &library),
        devices::Kind::Stream => hunt(&StreamBench { geometry }, vec![], device, &library),
        devices::Kind::Dma => hunt(&DmaBench { geometry }, vec![], device, &library),
        devices::Kind::Gemv => hunt(&GemvBench { geometry }, vec![], device, &library),
        devices::Kind::Results => hunt(&ResultsBench { geometry }, vec![], device, &library),
        devices::Kind::Port => hunt(&PortBench, vec![], device, &library),
        devices::Kind::Vector => hunt(&VectorBench, vec![], device, &library),
        devices::Kind::Core => hunt(&CoreBench { geometry }, vec![], device, &library),
        devices::Kind::Collective => {
            // Short chunks on cables that hold one word: the sums of a pass are waited for while words are still given.
            let op = collective::Op::Run { op: 0, base: 0, words: 3, fresh: None, skew: 30, reset: None };
            let full = collective::Case {
                full: true,
                ranks: 2,
                rank: 0,
                latency: 0,
                room: 1,
                stalls: true,
                meddle: false,
                ops: vec![op; 100],
                seed: 1,
            };
            hunt(&CollectiveBench { geometry }, vec![full], device, &library)
        }
        devices::Kind::Csr => {
            // A doorbell of which only the upper byte is strobed.
            let op = csr::Op::Anywhere { address: CSR_DOORBELL, strobe: 2, data: 1 };
            let case = csr::Case { ops: vec![op, csr::Op::Settle], seed: 1 };
            hunt(&CsrBench::default(), vec![case], device, &library)
        }
    };
    match (found?, &mutant.expected) {
        (None, Expected::Nothing) => Ok(format!("not seen in {CASES} cases")),
        (None, _) => Err(format!("not caught in {CASES} cases")),
        (Some((found, _)), Expected::Difference(side, name)) if found.place() == (*side, name) => {
            Ok(found.to_string())
        }
        (Some((found, report)), expected) => Err(format!("caught {found}, expected {expected:?}\n{report}")),
    }
}

fn run(name: &str) {
    let caught = Mutant::load(name).and_then(|mutant| Ok((mutant.device.name, catch(&mutant)?)));
    match caught {
        Ok((device, caught)) => println!("{name} | {device} | {caught}"),
        Err(why) => panic!("mutant {name}: {why}"),
    }
}

#[test]
fn every_patch_has_its_test() {
    let files = std::fs::read_dir(mutants()).expect("the folder is there").flatten().map(|e| e.path());
    let patches = files.filter(|path| path.extension().is_some_and(|x| x == "patch"));
    let mut stems: Vec<_> =
        patches.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    stems.sort();
    let mut names = NAMES.to_vec();
    names.sort_unstable();
    assert_eq!(stems, names, "testbenches/mutants/*.patch and the list in tests/mutants.rs");
}

#[test]
fn patch_that_does_not_fit_is_refused() {
    let whole = Mutant::load("rounding_ties_away").expect("a whole patch");
    let planted = |diff: String| Mutant { name: "no_such_mutant".to_owned(), diff, ..whole }.plant();
    let stale = planted(whole.diff.replace("normal[2:0]", "normal[9:0]"));
    assert!(stale.is_err(), "took a patch whose context is not in the RTL");
}

/// The table in the folder's README says of every patch what its header says.
#[test]
fn readme_lists_every_mutant() {
    let readme = std::fs::read_to_string(mutants().join("README.md")).expect("a README");
    for name in NAMES {
        let mutant = Mutant::load(name).unwrap_or_else(|e| panic!("mutant {name}: {e}"));
        let place = match &mutant.expected {
            Expected::Difference(_, place) | Expected::Refused(place) => place,
            Expected::Nothing => "nothing",
        };
        // Paths of array devices are long: the table leaves out what all of them begin with.
        let place = place.strip_prefix("u_pe_array.gen_segment[0].").unwrap_or(place);
        let row = format!("| `{name}` | {} | `{place}` |", mutant.device.name);
        assert!(readme.contains(&row), "README.md has no row that begins with {row}");
    }
}

/// A report of `register[1]` at cycle 7, for the tests of the judge.
fn report() -> Mismatch {
    let difference = tandem::report::Difference {
        side: Side::Register,
        path: "register".to_owned(),
        index: Some(1),
        format: tandem_model::block::Format::Uint,
        entry_width: 1,
        rtl: vec![true],
        model: vec![false],
    };
    Mismatch {
        device: "device".to_owned(),
        cycle: 7,
        differences: vec![difference],
        in_flight: None,
        history: Vec::new(),
        seed: 1,
        replay: None,
        wave: None,
        notes: Vec::new(),
    }
}

fn truth(side: Side, name: &str, cycle: u64) -> Sighting {
    Sighting { side, name: name.to_owned(), cycle, wrong: vec![true], right: vec![false] }
}

#[test]
fn judge_takes_the_right_place_and_time() {
    let right = truth(Side::Register, "register[1]", 7);
    assert_eq!(judge(Some(&report()), Some(&right)), Ok(Some(right)));
    assert_eq!(judge(None, None), Ok(None));
}

#[test]
fn judge_refuses_a_wrong_place_time_value_or_silence() {
    let wrong = [
        truth(Side::Register, "register[0]", 7),
        truth(Side::Register, "register[1]", 6),
        truth(Side::Register, "register[1]", 8),
        truth(Side::Memory, "register[1]", 7),
        Sighting { wrong: vec![false], right: vec![true], ..truth(Side::Register, "register[1]", 7) },
    ];
    for truth in &wrong {
        assert!(judge(Some(&report()), Some(truth)).is_err(), "took {truth}");
        assert!(judge(None, Some(truth)).is_err(), "took silence for {truth}");
    }
    assert!(judge(Some(&report()), None).is_err(), "took a false alarm");
}

#[test]
fn header_must_say_device_bug_and_one_place() {
    let parse = |header: &str| Mutant::parse("name", header).map(|m| (m.device.name, m.expected));
    let whole = "# A bug.\n# device: float_add\n# register: rounded_q\n--- a/rtl/x\n";
    let place = Expected::Difference(Side::Register, "rounded_q".to_owned());
    assert_eq!(parse(whole), Ok(("float_add", place)));
    for gap in ["# A bug.\n", "# device: float_add\n", "# register: rounded_q\n"] {
        assert!(parse(&whole.replace(gap, "")).is_err(), "took a header without {gap}");
    }
    assert!(parse(&whole.replace("# A", "# output: sum_o\n# A")).is_err(), "took two places");
    assert!(parse(&whole.replace("float_add", "float_sub")).is_err(), "took an unknown device");
}
