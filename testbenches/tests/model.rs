// SPDX-License-Identifier: Apache-2.0
//! The cycle model against the untimed references, without any RTL.

use std::time::Duration;

use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::block::{Block, Uint, Wide};
use tandem_model::compute::stream_unit::{self, StreamUnit};
use tandem_model::control::command_unit::{self, CommandUnit};
use tandem_model::control::types::{Done, Doorbell};
use tandem_model::dma::dma::{self, Dma};
use tandem_model::link::link_endpoint::{self, LinkEndpoint};
use tandem_model::link::types::LinkWord;
use tandem_model::memory::axi_reader::{self, Reader};
use tandem_model::memory::memory_port::{self, MemoryPort};
use tandem_model::memory::types::{AxiAddress, AxiRead, ReadRequest, WriteRequest};
use tandem_model::memory::types::{ReadWord, WriteDone};
use tandem_model::reference::dot::{Row, gemv_row_f64};
use tandem_model::sram::bank_group::{BankGroup, Inputs, Outputs};
use tandem_model::sram::types::{BankFill, BankRead, Region};
use tandem_model::vector::vector_unit::{self, VectorUnit};
use tandem_testbenches::array::{ArrayBench, ArrayDriver, Matrix, Stationary, Stream, run_gemv};
use tandem_testbenches::attention::AttentionBench;
use tandem_testbenches::collective::CollectiveBench;
use tandem_testbenches::control::{self, ControlBench, CountersBench};
use tandem_testbenches::core::CoreBench;
use tandem_testbenches::csr::CsrBench;
use tandem_testbenches::dma::DmaBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::framer::FramerBench;
use tandem_testbenches::gemv::{self, GemvBench, issue_cycles};
use tandem_testbenches::link::LinkBench;
use tandem_testbenches::memory_port::{PortBench, single_words_per_cycle};
use tandem_testbenches::normaliser::NormaliserBench;
use tandem_testbenches::property::{Limits, check};
use tandem_testbenches::random::{Flavour, Source};
use tandem_testbenches::reader::{ReaderBench, words_per_cycle};
use tandem_testbenches::results::{self, ResultsBench, latency};
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::softmax::SoftmaxBench;
use tandem_testbenches::sram::{SramBench, campaign};
use tandem_testbenches::stream::{self, StreamBench};
use tandem_testbenches::vector::VectorBench;
use tandem_testbenches::{Bench, Coverage, Dut, DutError, ModelOnly, WrongAnswer};

fn model_answers_as_the_reference<B: Bench>(bench: &B) {
    let limits = Limits { cases: 256, cycles: 100_000, time: Duration::ZERO };
    let outcome = check(bench, limits, 1, |_| Ok(Box::new(ModelOnly { model: bench.model() })), |_| false);
    if let Some(failure) = outcome.failure {
        panic!("{}\nshrunk case: {:?}", failure.error, failure.case);
    }
    assert_eq!(outcome.coverage.missing(bench.corners()), Vec::<&str>::new(), "corners never hit");
}

#[test]
fn float_add_adds_as_big_integers_do() {
    model_answers_as_the_reference(&FloatBench);
}

#[test]
fn segment_edges_convert_and_add_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&SegmentBench { geometry });
    }
}

#[test]
fn arrays_answer_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&ArrayBench { geometry });
    }
}

#[test]
fn bank_groups_keep_words_as_a_map_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&SramBench { geometry });
    }
}

#[test]
fn cores_do_what_the_interpreter_says() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&CoreBench { geometry });
    }
}

#[test]
fn every_flip_is_corrected_or_detected() {
    for geometry in Geometry::ALL {
        let mut dut = ModelOnly { model: SramBench { geometry }.model() };
        let report = campaign(geometry, &mut dut, 20_000, 1).unwrap();
        assert_eq!(
            (report.injected, report.corrected, report.detected, report.silent),
            (20_000, 10_000, 10_000, 0)
        );
    }
}

/// A group that gets other soft errors than the bench believes.
struct Other {
    dut: ModelOnly<BankGroup>,
    /// Bits that flip for one.
    bits: fn(u32) -> Vec<u32>,
}

impl Dut<BankGroup> for Other {
    fn clock(&mut self, rst_ni: bool, inputs: &mut Inputs) -> Result<(), DutError> {
        self.dut.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> Outputs {
        self.dut.outputs()
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<(), DutError> {
        (self.bits)(bit).into_iter().try_for_each(|bit| self.dut.upset(memory, entry, bit))
    }
}

/// Bits that do not flip although they should, and one wrong bit more than was put in: the bench and the campaign see it.
#[test]
fn wrong_words_and_counts_are_found() {
    let geometry = Geometry::ALL[1];
    let bench = SramBench { geometry };
    let none = |_| Vec::new();
    let more = |bit| vec![bit, (bit + 1) % 8];
    for bits in [none as fn(u32) -> Vec<u32>, more] {
        let other = || Other { dut: ModelOnly { model: bench.model() }, bits };
        let report = campaign(geometry, &mut other(), 1000, 1).unwrap();
        assert_eq!(report.injected, report.corrected + report.detected + report.silent);
        assert!(report.silent >= 500, "{report:?}");
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let outcome = check(&bench, limits, 1, |_| Ok(Box::new(other())), |_| false);
        let failure = outcome.failure.expect("some case flips a bit and reads the word");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
    let sound = |bit| vec![bit];
    let mut dut = Other { dut: ModelOnly { model: bench.model() }, bits: sound };
    assert_eq!(campaign(geometry, &mut dut, 1000, 1).unwrap().silent, 0);
}

/// Addresses in the order in which words of streamed tiles of 68 words, 36 of them K with all scales, are filled in and read.
fn tile_walk() -> impl Iterator<Item = u16> {
    let run = |tile: u16, values: bool| {
        let first = 68 * tile;
        if values { first + 36..first + 68 } else { first..first + 36 }
    };
    (0..3)
        .flat_map(move |tile| run(tile, false))
        .chain((0..).flat_map(move |tile| run(tile, true).chain(run(tile + 3, false))))
}

/// Words that get from the queue into the banks in 1,000 cycles, each of which reads the word so many places behind those that
/// are filled in, or would with another place for each address.
fn filled(behind: usize, other: impl Fn(u16) -> u16) -> u64 {
    let mut group = BankGroup::new(Geometry::ALL[0]);
    let mut fills = tile_walk().skip(behind).peekable();
    let mut written = 0;
    for read in tile_walk().take(1000) {
        let mut inputs = group.idle_inputs();
        inputs.read_i = BankRead { valid: true, streamed: true, address: Uint(other(read)) };
        let to = *fills.peek().expect("it does not end");
        inputs.fill_i = BankFill { valid: true, region: Region::Key, address: Uint(other(to)) };
        fills.next_if(|_| group.fill_ready());
        group.clock(&inputs);
        written += u64::from(group.written().valid);
    }
    written
}

#[test]
fn fills_do_not_wait_for_reads_in_the_same_order() {
    for behind in 1..40 {
        let words = filled(behind, |address| address);
        assert!(words >= 998, "{behind} places behind: {words}");
    }
    // A bank that changes with address bits 6:5, too, lets strides of 32 through, but not this.
    let least = (1..40).map(|behind| filled(behind, |a| a ^ a >> 5 & 3)).min();
    assert_eq!(least, Some(983));
}

#[test]
fn softmax_answers_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&SoftmaxBench { geometry });
    }
}

#[test]
fn attention_engines_attend_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&AttentionBench { geometry });
    }
}

#[test]
fn normalisers_divide_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&NormaliserBench { geometry });
    }
}

#[test]
fn framers_judge_flits_as_the_reference_does() {
    model_answers_as_the_reference(&FramerBench);
}

#[test]
fn links_deliver_every_word_once_and_in_order() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&LinkBench { geometry });
    }
}

#[test]
fn collectives_reduce_and_gather_as_the_reference_does() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&CollectiveBench { geometry });
    }
}

#[test]
fn registers_of_the_host_answer_as_a_map_does() {
    model_answers_as_the_reference(&CsrBench::default());
}

#[test]
fn commands_are_carried_out_once_and_in_order() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&ControlBench { geometry });
    }
}

#[test]
fn counters_count_what_happens() {
    model_answers_as_the_reference(&CountersBench);
}

#[test]
fn readers_give_every_word_once_and_in_order() {
    model_answers_as_the_reference(&ReaderBench);
}

#[test]
fn stream_units_deal_out_every_word_once_and_in_order() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&StreamBench { geometry });
    }
}

/// A head of so many keys, all of which every row sees.
const fn whole_head(tokens: u32) -> stream::Op {
    let head = stream::Head {
        int8: false,
        wide: false,
        causal: false,
        resident: false,
        rows: 0,
        tokens,
        window: 0,
        position: 0,
        step: 0,
    };
    stream::Op::Attend { head, seed: 1 }
}

/// No cycle is lost from tile to tile, from command to command, behind a memory that takes its time.
#[test]
fn stream_units_deal_out_a_word_per_cycle() {
    for geometry in Geometry::ALL {
        let gemv = |int8, features, blocks| stream::Op::Gemv { int8, features, blocks, seed: 4 };
        let ops = vec![
            gemv(false, 200, 16),
            whole_head(300),
            gemv(true, 65, 8),
            whole_head(40),
            whole_head(33),
            gemv(false, 128, 5),
        ];
        let bench = StreamBench { geometry };
        let figure =
            stream::words_per_cycle(bench, &mut ModelOnly { model: bench.model() }, 200, ops).unwrap();
        assert!((figure - 1.0).abs() < f64::EPSILON, "{}: {figure}", geometry.name);
    }
}

/// A head of more words than there are addresses.
#[test]
fn places_in_the_banks_wrap() {
    for geometry in Geometry::ALL {
        let ops = vec![whole_head(63_000), whole_head(100)];
        let case = stream::Case { latency: 20, stalls: [0; 8], errors: 0, ops, seed: 1 };
        let bench = StreamBench { geometry };
        let mut coverage = Coverage::default();
        bench.run(&case, &mut ModelOnly { model: bench.model() }, &mut coverage).unwrap();
        assert!(coverage.cycles() > 1 << 16, "{} cycles", coverage.cycles());
    }
}

/// A device whose outputs are not what they should be.
struct Misled<B: Block> {
    dut: ModelOnly<B>,
    how: fn(&mut B::Outputs),
}

impl<B: Block> Dut<B> for Misled<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<(), DutError> {
        self.dut.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> B::Outputs {
        let mut outputs = self.dut.outputs();
        (self.how)(&mut outputs);
        outputs
    }
}

/// Requests of other words, or none; words that are changed, misplaced, not marked, or missing; heads, commands and ends
/// that are not those that were given.
#[test]
fn wrong_answers_of_a_stream_unit_are_found() {
    let ways: [fn(&mut stream_unit::Outputs); 14] = [
        |o| o.request_o.address.0 ^= 64,
        |o| o.request_o.words.0 += 1,
        |o| o.request_o.valid = false,
        |o| o.fill_o.address.0 ^= 1,
        |o| o.fill_data_o[31].0 ^= 1,
        |o| o.fill_o.valid = false,
        |o| o.weight_o[0].0 ^= 1,
        |o| o.weight_fault_o = false,
        |o| o.fault_o.valid = false,
        |o| o.command_o.base.0 ^= 1,
        |o| o.array_work_o[1].0 ^= 1,
        |o| o.array_valid_o = false,
        |o| o.done_o.status.0 ^= 1,
        |o| o.activity_o.starved = true,
    ];
    let bench = StreamBench { geometry: Geometry::ALL[0] };
    for how in ways {
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let make = |_| -> Result<Box<dyn Dut<StreamUnit>>, DutError> {
            Ok(Box::new(Misled { dut: ModelOnly { model: bench.model() }, how }))
        };
        let failure = check(&bench, limits, 1, make, |_| false).failure.expect("some case shows it");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
}

#[test]
fn operands_and_tokens_end_up_where_the_layouts_say() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&DmaBench { geometry });
    }
}

#[test]
fn vector_commands_end_as_the_definition_says() {
    model_answers_as_the_reference(&VectorBench);
}

#[test]
fn gemv_sequencers_issue_every_beat_as_the_schedule_allows() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&GemvBench { geometry });
    }
}

#[test]
fn result_buffers_write_what_the_definition_says() {
    for geometry in Geometry::ALL {
        model_answers_as_the_reference(&ResultsBench { geometry });
    }
}

/// The diagram in docs/blocks/command_unit.md: a Load and a Gemv that signal the same token.
#[test]
fn commands_take_the_cycles_that_their_page_says() {
    let load = [1 | 1 << 16 | 1 << 48, 0, 0, 32 << 32];
    let gemv = [2 | 1 << 16 | 1 << 48, 0, 0, 1 | 32 << 32];
    let command = |head: [u64; 4]| LinkWord(std::array::from_fn(|n| Wide(head.get(n).copied().unwrap_or(0))));
    let mut unit = CommandUnit::new(Geometry::ALL[0]);
    let mut seen = Vec::new();
    for cycle in 0..16 {
        let o = unit.outputs();
        let events = [
            (o.request_o.valid, "request"),
            (o.work_valid_o[0], "load"),
            (o.work_valid_o[1], "stream"),
            (o.pending_o.0 == 1, "pending"),
            (o.write_request_o.valid, "write"),
            (o.completion_o, "completion"),
        ];
        seen.extend(events.into_iter().filter(|event| event.0).map(|event| (cycle, event.1)));
        let word = |valid, last: bool| ReadWord { valid, first: !last, last, error: false };
        let done = Done { valid: cycle == 9, status: Uint(0), notify: true, tokens: Uint(1), index: Uint(0) };
        unit.clock(&command_unit::Inputs {
            enable_i: true,
            ring_size_log2_i: Uint(2),
            bounds_limit_i: Wide(64),
            doorbell_i: Doorbell { valid: cycle == 1, producer: Uint(if cycle >= 1 { 2 } else { 0 }) },
            request_ready_i: true,
            word_i: word(cycle == 4 || cycle == 5, cycle == 5),
            data_i: command(if cycle == 4 { load } else { gemv }),
            write_request_ready_i: true,
            write_ready_i: true,
            write_done_i: WriteDone { valid: cycle == 13, error: false },
            work_ready_i: [true; 4],
            done_i: [done, Done::default(), Done::default(), Done::default(), Done::default()],
            ..command_unit::Inputs::default()
        });
    }
    let pending = [7, 8, 9, 11, 12, 13, 14, 15].map(|cycle| (cycle, "pending"));
    let mut expected = vec![(2, "request"), (7, "load"), (11, "stream"), (11, "write"), (14, "completion")];
    expected.extend(pending);
    expected.sort_by_key(|event| event.0);
    seen.sort_unstable();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

/// Indices of commands go on from 65535 with 0.
#[test]
fn commands_are_counted_modulo_65536() {
    let case = control::Case {
        size_log2: 6,
        mix: [0, 255, 0],
        tokens: 0,
        latency: 1,
        work: 0,
        stalls: [0; 6],
        errors: [0; 2],
        failures: 0,
        ops: vec![control::Op::Submit(66_000)],
        seed: 1,
    };
    let bench = ControlBench { geometry: Geometry::ALL[1] };
    let mut dut = ModelOnly { model: bench.model() };
    bench.run(&case, &mut dut, &mut Coverage::default()).unwrap();
    assert_eq!(dut.model.outputs().consumer_o.0, 464);
}

/// A word in every cycle across chunks, tiles and jobs (docs/blocks/gemv_sequencer.md, "Timing").
#[test]
fn jobs_of_gemv_follow_each_other_without_a_bubble() {
    for geometry in Geometry::ALL {
        let mut dut = ModelOnly { model: GemvBench { geometry }.model() };
        let job = |int8, features, chunks| gemv::Job { int8, features, chunks, operand: 0 };
        let jobs = [job(false, 128, 3), job(true, 64, 2), job(false, 256, 1), job(false, 40, 2)];
        // The first chunk's scales are taken at once, then its x is waited for: 37 cycles from the first word on.
        let words = 2 * 3 * 68 + 2 * 66 + 4 * 68 + 2 * 43;
        assert_eq!(issue_cycles(geometry, &mut dut, &jobs).unwrap(), words + 36 - 4);
        let mut dut = ModelOnly { model: GemvBench { geometry }.model() };
        let short = issue_cycles(geometry, &mut dut, &[job(false, 3, 101)]).unwrap();
        assert!((3300..3400).contains(&short), "{short} cycles for 101 short chunks");
    }
}

/// From the last result to the last word (docs/blocks/result_buffer.md, "Timing").
#[test]
fn results_are_written_soon() {
    for geometry in Geometry::ALL {
        let (all, last) = (u16::try_from(geometry.rows).unwrap(), geometry.rows as u64 - 1);
        for rows in 1..=all {
            for (attention, features) in [(false, 64), (false, 80), (true, 64)] {
                let mut dut = ModelOnly { model: ResultsBench { geometry }.model() };
                let job = results::Job { attention, rows, features, fault: None };
                let cycles = latency(geometry, &mut dut, job).unwrap();
                let want = u64::from(rows) + if attention { 2 } else { last + 4 };
                assert_eq!(cycles, want, "{} {job:?}", geometry.name);
            }
        }
    }
}

/// The table in docs/blocks/axi_reader.md.
#[test]
fn reader_keeps_up_with_a_slow_memory() {
    let figures = [1, 100, 224, 240, 300, 500].map(|latency| {
        let mut dut = ModelOnly { model: ReaderBench.model() };
        let figure = words_per_cycle(&mut dut, latency).unwrap();
        println!("latency {latency}: {figure:.3} words per cycle");
        format!("{figure:.2}")
    });
    assert_eq!(figures, ["1.00", "1.00", "1.00", "0.99", "0.81", "0.51"]);
}

#[test]
fn memory_port_reads_and_writes_as_a_map_does() {
    model_answers_as_the_reference(&PortBench);
}

/// The table in docs/blocks/memory_port.md: cycles on an idle port.
#[test]
fn memory_port_is_as_fast_as_its_page_says() {
    let request = ReadRequest { valid: true, address: Wide(64), words: Uint(1) };
    // Cycles from one with these inputs to the first in which the outputs are so.
    let cycles = |inputs: &memory_port::Inputs, seen: fn(&memory_port::Outputs) -> bool| {
        let mut port = MemoryPort::default();
        port.clock(inputs);
        let idle = memory_port::Inputs { ar_ready_i: true, ..port.idle_inputs() };
        let mut cycles = 1;
        while !seen(&port.outputs()) {
            port.clock(&idle);
            cycles += 1;
            assert!(cycles < 10, "it never comes");
        }
        cycles
    };
    let none = MemoryPort::default().idle_inputs();
    let stream = memory_port::Inputs { stream_request_i: request, ..none.clone() };
    assert_eq!(cycles(&stream, |o| o.ar_o.valid), 1);
    let mut read = none.clone();
    read.read_request_i[2] = request;
    assert_eq!(cycles(&read, |o| o.ar_o.valid), 2);
    let mut write = none;
    write.write_request_i[1] = WriteRequest { valid: true, address: Wide(64), words: Uint(1) };
    write.write_valid_i[1] = true;
    assert_eq!(cycles(&write, |o| o.aw_o.valid && o.w_o.valid), 2);

    let mut port = MemoryPort::default();
    port.clock(&read);
    let taken = memory_port::Inputs { ar_ready_i: true, ..port.idle_inputs() };
    (0..2).for_each(|_| port.clock(&taken));
    let word = AxiRead { valid: true, id: Uint(8), response: Uint(0), last: true };
    port.clock(&memory_port::Inputs { r_i: word, ..port.idle_inputs() });
    assert_eq!(port.outputs().ar_o, AxiAddress { valid: false, ..port.outputs().ar_o });
    port.clock(&port.idle_inputs());
    assert!(port.outputs().read_word_o[2].valid, "2 cycles after it came");

    let mut dut = ModelOnly { model: PortBench.model() };
    let figures = [1, 20, 60, 100, 200].map(|latency| {
        let figure = single_words_per_cycle(&mut dut, latency).unwrap();
        println!("latency {latency}: {figure:.3} words per cycle");
        format!("{figure:.2}")
    });
    assert_eq!(figures, ["1.00", "1.00", "1.00", "0.63", "0.32"]);
}

/// The bound of docs/numerics.md, with scales spread so far that sums must round.
#[test]
fn long_contractions_round_and_stay_within_the_bound() {
    let geometry = Geometry::ALL[0];
    let (features, blocks) = (64, 96);
    let mut source = Source::new(3, Flavour::Plain);
    let weights: Vec<_> = (0..features * blocks).map(|_| source.fp4_block()).collect();
    let x: Vec<_> = (0..blocks).map(|_| source.int8_block()).collect();
    let matrix = Matrix { features, blocks, weights: Stream::Fp4(weights.clone()) };
    let mut dut = ModelOnly { model: SystolicArray::new(geometry) };
    let mut driver = ArrayDriver::new(geometry, &mut dut).unwrap();
    let stationary = Stationary { blocks, values: x.clone() };
    let run = run_gemv(&mut driver, &matrix, &stationary, &mut |_| Ok(())).unwrap();

    let gamma = 95.0 * 2f64.powi(-24) / (1.0 - 95.0 * 2f64.powi(-24));
    let mut rounded = 0;
    for (feature, row) in weights.chunks(blocks).enumerate() {
        let (exact, magnitudes) = gemv_row_f64(Row::MxFp4(row), &x);
        let error = (run.results[feature * geometry.rows].to_f64() - exact).abs();
        assert!(
            error <= gamma * magnitudes,
            "feature {feature}: error {error}, bound {}",
            gamma * magnitudes
        );
        rounded += u32::from(error > 0.0);
    }
    assert!(rounded > 32, "only {rounded} of 64 sums rounded at all");
}

/// An endpoint whose words are not what came.
struct Tampered {
    dut: ModelOnly<LinkEndpoint>,
    how: fn(&mut link_endpoint::Outputs),
}

impl Dut<LinkEndpoint> for Tampered {
    fn clock(&mut self, rst_ni: bool, inputs: &mut link_endpoint::Inputs) -> Result<(), DutError> {
        self.dut.clock(rst_ni, inputs)
    }

    fn outputs(&self) -> link_endpoint::Outputs {
        let mut outputs = self.dut.outputs();
        (self.how)(&mut outputs);
        outputs
    }
}

/// A word that is changed, comes on another channel, never comes, comes from nowhere, or is not rung for.
#[test]
fn wrong_words_of_a_link_are_found() {
    let ways: [fn(&mut link_endpoint::Outputs); 6] = [
        |o| o.word_o[2].0[7].0 ^= 1,
        |o| o.word_o.swap(0, 1),
        |o| o.word_valid_o[1] = false,
        |o| o.word_valid_o[0] = true,
        |o| o.waiting_o = Uint(0),
        |o| o.word_ready_o = [true; 3],
    ];
    let bench = LinkBench { geometry: Geometry::ALL[0] };
    for how in ways {
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let make = |_| -> Result<Box<dyn Dut<LinkEndpoint>>, DutError> {
            Ok(Box::new(Tampered { dut: ModelOnly { model: bench.model() }, how }))
        };
        let failure = check(&bench, limits, 1, make, |_| false).failure.expect("some case shows it");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
}

/// A word that is changed, not marked, never comes, comes from nowhere; an answer or a request that is kept waiting; bursts
/// that are not of the request, too long, or withdrawn.
#[test]
fn wrong_words_of_a_reader_are_found() {
    let ways: [fn(&mut axi_reader::Outputs); 11] = [
        |o| o.word_o.0[7].0 ^= 1,
        |o| o.word_first_o = false,
        |o| o.word_last_o = true,
        |o| o.word_error_o = false,
        |o| o.word_valid_o = false,
        |o| o.word_valid_o = true,
        |o| o.r_ready_o = false,
        |o| o.request_ready_o = true,
        |o| o.ar_o.address.0 ^= 64,
        |o| o.ar_o.length.0 = 63,
        |o| o.ar_o.valid &= o.word_o.0[0].0 & 1 == 0,
    ];
    for how in ways {
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let make = |_| -> Result<Box<dyn Dut<Reader>>, DutError> {
            Ok(Box::new(Misled { dut: ModelOnly { model: ReaderBench.model() }, how }))
        };
        let failure = check(&ReaderBench, limits, 1, make, |_| false).failure.expect("some case shows it");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
}

/// Words that are changed, go elsewhere or nowhere, bytes that are written beside them; ends that are early, of another
/// command, or hide an error; words that are not asked for; activity that is none.
#[test]
fn wrong_results_of_vector_commands_are_found() {
    let ways: [fn(&mut vector_unit::Outputs); 13] = [
        |o| o.write_data_o.0[7].0 ^= 1 << 63,
        |o| o.write_data_o.0[0].0 ^= 1,
        |o| o.write_strobe_o.0 &= !(1 << 63),
        |o| o.write_strobe_o.0 |= 1,
        |o| o.write_request_o.address.0 ^= 64,
        |o| o.request_o.address.0 ^= 64,
        |o| o.done_o.status.0 = 0,
        |o| o.done_o.index.0 ^= 1,
        |o| o.done_o.tokens.0 ^= 1,
        |o| o.done_o.notify ^= true,
        |o| o.done_o.valid |= o.write_valid_o,
        |o| o.work_ready_o = true,
        |o| o.activity_o.busy ^= true,
    ];
    let bench = VectorBench;
    for how in ways {
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let make = |_| -> Result<Box<dyn Dut<VectorUnit>>, DutError> {
            Ok(Box::new(Misled { dut: ModelOnly { model: bench.model() }, how }))
        };
        let failure = check(&bench, limits, 1, make, |_| false).failure.expect("some case shows it");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
}

/// Blocks that are changed, go elsewhere or nowhere; writes that do; ends that are early, of another command, or hide an
/// error; requests for other words; activity that is none.
#[test]
fn wrong_blocks_and_writes_are_found() {
    let ways: [fn(&mut dma::Outputs); 17] = [
        |o| o.load.block_data_o[3].0 ^= 1 << 63,
        |o| o.load.block_o.scale.0 ^= 1,
        |o| o.load.block_o.chunk.0 ^= 1,
        |o| o.load.block_o.rows.0 |= 1,
        |o| o.load.block_o.chains.0 = 3,
        |o| o.load.block_o.valid &= o.load.block_o.scale.0 != 0,
        |o| o.load.request_o.address.0 ^= 64,
        |o| o.load.done_o.status.0 = 0,
        |o| o.load.done_o.index.0 ^= 1,
        |o| o.append.write_data_o.0[7].0 ^= 1 << 63,
        |o| o.append.write_strobe_o.0 &= !(1 << 63),
        |o| o.append.write_strobe_o.0 |= 1,
        |o| o.append.write_request_o.address.0 ^= 64,
        |o| o.append.done_o.status.0 = 0,
        |o| o.append.done_o.tokens.0 ^= 1,
        |o| o.append.done_o.valid |= o.append.write_valid_o,
        |o| o.append.activity_o.busy ^= true,
    ];
    let bench = DmaBench { geometry: Geometry::ALL[0] };
    for how in ways {
        let limits = Limits { cases: 64, cycles: 0, time: Duration::ZERO };
        let make = |_| -> Result<Box<dyn Dut<Dma>>, DutError> {
            Ok(Box::new(Misled { dut: ModelOnly { model: bench.model() }, how }))
        };
        let failure = check(&bench, limits, 1, make, |_| false).failure.expect("some case shows it");
        assert!(failure.error.is::<WrongAnswer>(), "{}", failure.error);
    }
}
