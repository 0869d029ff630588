// SPDX-License-Identifier: Apache-2.0
//! The vector unit at a memory of its own. What the memory holds after a command, and how the command ended, must be what the
//! untimed reference makes of the words that the unit was given.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::collection::vec;
use proptest::prelude::*;
use tandem_model::block::Uint;
use tandem_model::control::types::{
    Activity, Done, STATUS_DONE, STATUS_INDEX, STATUS_READ_ERROR, STATUS_WRITE_ERROR,
};
use tandem_model::reference::image::Image;
use tandem_model::reference::vector_program::Vector;
use tandem_model::vector::vector_unit::{Inputs, Outputs, VectorUnit};
use tandem_model::vector::vector_writer::OUTSTANDING_WRITES;

use super::commands::{Command, Op, Recipe, command};
use crate::bench::{Bench, Coverage, WrongAnswer};
use crate::dma::port::{FromClient, Given, Port, ToClient};
use crate::dut::{Dut, DutError};
use crate::memory::Memory;
use crate::memory::contents::{Contents, Unwritten};
use crate::memory::hostile::{Behaviour, Hostile};
use crate::memory::ideal::Ideal;
use crate::memory::port::{Data, WORD};
use crate::random::split_mix;

/// Words of memory: data, and a bit for each byte that was written.
type Written = BTreeMap<u64, (Data, u64)>;

/// Property test of `vector_unit`.
#[derive(Clone, Copy, Debug)]
pub struct VectorBench;

/// What a case runs.
#[derive(Clone, Debug)]
pub struct Case {
    /// Commands, one after the other. Those that use what none before has left are left out.
    pub commands: Vec<Recipe>,
    /// Rows of most of them, less one.
    pub rows: u8,
    /// Latency of an ideal memory; 0: a hostile one.
    pub latency: u8,
    /// Hostile: chance in 256 that a burst meets an error.
    pub errors: u8,
    /// Of 256 cycles, in how many each handshake does not move: at the port, of commands.
    pub stalls: [u8; 2],
    /// Words to be written may be taken ahead of their requests.
    pub eager: bool,
    /// Resets unit and memory after so many cycles.
    pub reset_after: Option<u16>,
    /// Everything else.
    pub seed: u64,
}

const CORNERS: [&str; 53] = [
    "Embed",
    "Add",
    "Norm",
    "Angles",
    "Heads",
    "Gate",
    "Quantise",
    "Argmax",
    "1 row",
    "2 rows",
    "3 rows",
    "4 rows",
    "5 rows",
    "6 rows",
    "7 rows",
    "8 rows",
    "one block",
    "128 features and more",
    "more than a word of scale bytes",
    "all rows of the table in reach",
    "number of the last row",
    "row beyond the table",
    "sum in place of the first",
    "sum in place of the second",
    "norm behind Embed",
    "norm behind Add",
    "far position",
    "head of 64",
    "head of 128",
    "plain heads",
    "normed heads",
    "rotated heads",
    "heads not rotated",
    "heads to operand rows",
    "heads to K of MXFP4 records",
    "heads to K of MXINT8 records",
    "heads to V of MXFP4 records",
    "heads to V of MXINT8 records",
    "more heads of rows than units",
    "one token of many heads",
    "as many tokens as rows",
    "some of each",
    "tie of the largest",
    "last word of features not full",
    "binary32's largest was passed",
    "a read refused",
    "a write refused",
    "good command after an error",
    "most writes without a response",
    "writes wait",
    "end of a command waits",
    "command waits",
    "reset with words on their way",
];

fn wrong(what: String) -> DutError {
    WrongAnswer(what).into()
}

/// Words that a command was given.
struct Words {
    /// By address, as they came first.
    first: BTreeMap<u64, Given>,
    /// One was refused.
    refused: bool,
    /// One came twice, and not the same: nobody says what is made of it.
    ambiguous: bool,
}

/// What the unit has kept, as far as commands need it.
#[derive(Clone, Copy, Default)]
struct Kept {
    /// Rows whose scales are there, and who left them.
    scales: Option<(usize, Op)>,
    /// Rows whose angles are there, and whether for heads of 128.
    angles: Option<(usize, bool)>,
}

impl Kept {
    /// A command uses only what is there.
    fn suffices(&self, command: &Command) -> bool {
        let rows = command.fields.rows;
        match command.op {
            Op::Norm => self.scales.is_some_and(|(scales, _)| scales >= rows),
            Op::Heads if command.rotated() => {
                self.angles.is_some_and(|(angles, wide)| angles >= rows && wide == command.fields.wide())
            }
            _ => true,
        }
    }

    fn follow(&mut self, command: &Command) {
        let rows = command.fields.rows;
        match command.op {
            Op::Embed | Op::Add => self.scales = Some((rows, command.op)),
            Op::Heads => self.scales = None,
            Op::Angles => self.angles = Some((rows, command.fields.wide())),
            _ => {}
        }
    }
}

struct Driver<'a> {
    case: &'a Case,
    dut: &'a mut dyn Dut<VectorUnit>,
    seed: u64,
    port: Port,
    /// What the memory must hold.
    shadow: Contents,
    reference: Vector,
    /// After the command that runs.
    kept: Kept,
    /// Before it.
    kept_before: Kept,
    waiting: VecDeque<Command>,
    offered: bool,
    running: Option<Command>,
    /// Its end is told.
    ended: bool,
    /// `busy` of the cycle before, and whose.
    activity: (bool, u16),
    overflow: bool,
    /// Nobody says what the scales and the angles are that were left.
    odd_scales: bool,
    odd_angles: bool,
    failed_before: bool,
    now: u64,
}

impl<'a> Driver<'a> {
    fn new(case: &'a Case, dut: &'a mut dyn Dut<VectorUnit>) -> Self {
        let mut seed = case.seed;
        let mut contents = Contents::new(0..1 << 40, Unwritten::Pattern, split_mix(&mut seed));
        let rows = u64::from(case.rows) % 8 + 1;
        let waiting = case.commands.iter().map(|recipe| command(recipe, rows, &mut contents)).collect();
        let of_memory = split_mix(&mut seed);
        let memory: Box<dyn Memory> = if case.latency > 0 {
            Box::new(Ideal::new(contents.clone(), u64::from(case.latency)))
        } else {
            let behaviour = Behaviour { errors: u64::from(case.errors), ..Behaviour::from_seed(of_memory) };
            Box::new(Hostile::new(contents.clone(), behaviour, of_memory))
        };
        Self {
            case,
            dut,
            port: Port::new(memory, case.stalls[0], case.eager, split_mix(&mut seed)),
            seed,
            shadow: contents,
            reference: Vector::default(),
            kept: Kept::default(),
            kept_before: Kept::default(),
            waiting,
            offered: false,
            running: None,
            ended: false,
            activity: (false, 0),
            overflow: false,
            odd_scales: false,
            odd_angles: false,
            failed_before: false,
            now: 0,
        }
    }

    fn moves(&mut self) -> bool {
        split_mix(&mut self.seed) & 255 >= u64::from(self.case.stalls[1])
    }

    /// The words that the unit was given.
    fn given(&self) -> Result<Words, DutError> {
        let addresses =
            self.port.requests.iter().flat_map(|request| {
                (0..u64::from(request.words.0)).map(|word| request.address.0 + word * WORD)
            });
        let addresses: Vec<u64> = addresses.collect();
        if addresses.len() != self.port.given.len() {
            let what = format!("asked for {} words, took {}", addresses.len(), self.port.given.len());
            return Err(wrong(what));
        }
        let mut words = Words { first: BTreeMap::new(), refused: false, ambiguous: false };
        for (address, word) in addresses.into_iter().zip(&self.port.given) {
            words.ambiguous |= words.first.entry(address).or_insert(*word).data != word.data;
            words.refused |= word.error;
        }
        Ok(words)
    }

    /// What the reference makes of these words: its status, and the words that it has written, all of their bytes that it
    /// has.
    fn answer(
        &mut self,
        command: &Command,
        given: &BTreeMap<u64, Given>,
    ) -> Result<(u16, Written), DutError> {
        // What was refused came with something, and that is worked with.
        let mut image = Image::new(0..1 << 40);
        for (address, word) in given {
            image.write(*address, &word.data, u64::MAX);
        }
        let status = self
            .reference
            .run(&mut image, &command.fields)
            .map_err(|error| wrong(format!("{command:?}: {error}")))?;
        if u16::from(status) == STATUS_READ_ERROR {
            return Err(wrong(format!("{command:?}: not all was read that it needs")));
        }
        let mut written = BTreeMap::new();
        for (address, word) in image.words() {
            let before = given.get(&address).map(|word| word.data);
            let changed = |i: &usize| {
                word.written >> i & 1 == 1 && before.is_none_or(|data| data[*i] != word.bytes[*i])
            };
            let strobe = (0..word.bytes.len()).filter(changed).fold(0, |strobe, i| strobe | 1 << i);
            if strobe != 0 {
                written.insert(address, (word.bytes, strobe));
            }
        }
        Ok((status.into(), written))
    }

    /// The end of a command: memory and status.
    fn check(&mut self, done: Done, coverage: &mut Coverage) -> Result<(), DutError> {
        let command =
            self.running.clone().ok_or_else(|| wrong("a command ended that never began".to_owned()))?;
        if !self.port.idle() {
            return Err(wrong(format!("{command:?} ended with words on their way")));
        }
        let Words { first: given, refused: read_failed, ambiguous } = self.given()?;
        let clean = match command.op {
            Op::Norm => !self.odd_scales,
            Op::Heads if command.rotated() => !self.odd_angles,
            _ => true,
        };
        match command.op {
            Op::Embed | Op::Add => self.odd_scales = ambiguous,
            Op::Angles => self.odd_angles = ambiguous,
            _ => {}
        }
        let clean = clean && !ambiguous;
        let (status, written) = self.answer(&command, &given)?;
        let write_failed = self.port.written.iter().any(|written| written.error);
        let want = Done {
            valid: true,
            status: Uint(match (read_failed, status) {
                (true, _) => STATUS_READ_ERROR,
                (false, STATUS_INDEX) => STATUS_INDEX,
                (false, _) if write_failed => STATUS_WRITE_ERROR,
                (false, _) => STATUS_DONE,
            }),
            notify: command.notify,
            tokens: Uint(command.tokens),
            index: Uint(command.index),
        };
        if done != want {
            return Err(wrong(format!("{command:?}: ended as {done:?}, expected {want:?}")));
        }

        let mut touched: BTreeSet<u64> = written.keys().copied().collect();
        for (address, (data, strobe)) in &written {
            self.shadow.write_word(*address, data, *strobe);
        }
        for written in &self.port.written {
            touched.insert(written.address);
            // Of a write that was refused some is done. Of words that were refused nobody knows what was there.
            let unknown = given.get(&written.address).is_some_and(|word| word.error);
            if written.error || unknown || !clean {
                let (data, _) = self.port.memory.contents().read_word(written.address);
                let strobe = if unknown || !clean { u64::MAX } else { written.strobe };
                self.shadow.write_word(written.address, &data, strobe);
            }
        }
        for address in touched {
            let got = self.port.memory.contents().read_word(address).0;
            let want = self.shadow.read_word(address).0;
            if got != want {
                let what = format!("{command:x?}: at {address:#x} {got:x?}, expected {want:x?}");
                return Err(wrong(what));
            }
        }
        self.cover(&command, &given, status, coverage);
        coverage.hit_if(read_failed, CORNERS[45]);
        coverage.hit_if(write_failed, CORNERS[46]);
        coverage.hit_if(want.status.0 == STATUS_DONE && self.failed_before, CORNERS[47]);
        self.failed_before = want.status.0 != STATUS_DONE;
        Ok(())
    }

    fn cover(&self, command: &Command, given: &BTreeMap<u64, Given>, status: u16, coverage: &mut Coverage) {
        let fields = &command.fields;
        let (rows, length, count) = (fields.rows, fields.length, fields.count);
        let op = Op::ALL.iter().position(|op| *op == command.op).expect("one of them");
        coverage.hit(CORNERS[op]);
        coverage.hit(CORNERS[7 + rows]);
        match command.op {
            Op::Embed | Op::Add | Op::Norm | Op::Gate => {
                coverage.hit_if(length == 32, CORNERS[16]);
                coverage.hit_if(length > 128, CORNERS[17]);
                coverage.hit_if(length > 2048, CORNERS[18]);
            }
            _ => {}
        }
        match command.op {
            Op::Embed => {
                let numbers = given[&fields.source].data;
                let number = |row: usize| {
                    u64::from(u32::from_le_bytes(numbers[4 * row..4 * row + 4].try_into().expect("four")))
                };
                coverage.hit_if(count == (1 << 20) - 1, CORNERS[19]);
                coverage.hit_if((0..rows).any(|row| number(row) + 1 == count), CORNERS[20]);
                coverage.hit_if(status == STATUS_INDEX, CORNERS[21]);
            }
            Op::Add => {
                coverage.hit_if(fields.destination == fields.source, CORNERS[22]);
                coverage.hit_if(fields.destination == fields.second(), CORNERS[23]);
            }
            Op::Norm => {
                let left_by = self.kept_before.scales.map(|(_, op)| op);
                coverage.hit_if(left_by == Some(Op::Embed), CORNERS[24]);
                coverage.hit_if(left_by == Some(Op::Add), CORNERS[25]);
            }
            Op::Angles => coverage.hit_if(fields.positions[0] > 1 << 16, CORNERS[26]),
            Op::Heads => {
                coverage.hit(CORNERS[27 + usize::from(fields.wide())]);
                coverage.hit(CORNERS[30 - usize::from(command.plain())]);
                coverage.hit(CORNERS[32 - usize::from(command.rotated())]);
                coverage.hit(match command.target() {
                    0 => CORNERS[33],
                    target => CORNERS[32 + 2 * target + usize::from(fields.int8())],
                });
                coverage.hit_if(rows as u64 * count > 8, CORNERS[38]);
            }
            Op::Quantise => {
                coverage.hit_if(fields.operand == 1 && rows > 1, CORNERS[39]);
                coverage.hit_if(fields.operand == rows, CORNERS[40]);
                coverage.hit_if(fields.operand > 1 && fields.operand < rows, CORNERS[41]);
            }
            Op::Argmax => {
                coverage.hit_if(tied(command, given), CORNERS[42]);
                coverage.hit_if(!count.is_multiple_of(16), CORNERS[43]);
            }
            Op::Gate => {}
        }
    }

    fn inputs(&mut self) -> (Inputs, ToClient) {
        let port = self.port.drive();
        if !self.offered {
            while self.waiting.front().is_some_and(|command| !self.kept.suffices(command)) {
                self.waiting.pop_front();
            }
            self.offered = !self.waiting.is_empty() && self.moves();
        }
        let mut inputs = Inputs {
            request_ready_i: port.request_ready,
            word_i: port.word,
            data_i: port.data,
            write_request_ready_i: port.write_request_ready,
            write_ready_i: port.write_ready,
            write_done_i: port.write_done,
            done_ready_i: self.moves(),
            ..Inputs::default()
        };
        if let Some(command) = self.waiting.front() {
            inputs.work_valid_i = self.offered;
            (inputs.work_index_i, inputs.work_i) = (Uint(command.index), command.words);
        }
        (inputs, port)
    }

    /// What the unit says of itself must be what was true in the cycle before.
    fn check_activity(&mut self, activity: Activity) -> Result<(), DutError> {
        let (busy, index) = self.activity;
        let sound = activity.busy == busy
            && (!busy || activity.index.0 == index)
            && (busy || !activity.starved && !activity.blocked);
        self.activity = self.running.as_ref().map_or((false, 0), |command| (true, command.index));
        if sound { Ok(()) } else { Err(wrong(format!("{activity:?}, but busy is {busy}"))) }
    }

    fn check_state(&mut self, o: &Outputs) -> Result<(), DutError> {
        if o.work_ready_o != self.running.is_none() {
            return Err(wrong(format!("ready for a command is {}", o.work_ready_o)));
        }
        if self.overflow && !o.overflow_o {
            return Err(wrong("the overflow was forgotten".to_owned()));
        }
        self.overflow = o.overflow_o;
        self.check_activity(o.activity_o)
    }

    /// One clock.
    fn clock(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        let o = self.dut.outputs();
        self.check_state(&o)?;
        let (mut inputs, port) = self.inputs();
        if o.done_o.valid && !std::mem::replace(&mut self.ended, true) {
            self.check(o.done_o, coverage)?;
        }
        coverage.hit_if(o.overflow_o, CORNERS[44]);
        coverage.hit_if(self.port.outstanding() == usize::from(OUTSTANDING_WRITES), CORNERS[48]);
        let waits = o.write_request_o.valid && !inputs.write_request_ready_i;
        coverage.hit_if(waits && o.write_valid_o && !inputs.write_ready_i, CORNERS[49]);
        coverage.hit_if(o.done_o.valid && !inputs.done_ready_i, CORNERS[50]);
        coverage.hit_if(inputs.work_valid_i && !o.work_ready_o, CORNERS[51]);

        if o.done_o.valid && inputs.done_ready_i {
            self.running = None;
        }
        let unit = FromClient {
            request: o.request_o,
            word_ready: o.word_ready_o,
            write_request: o.write_request_o,
            write_valid: o.write_valid_o,
            write_strobe: o.write_strobe_o.0,
            write_data: o.write_data_o,
        };
        self.port.clock(&port, &unit).map_err(wrong)?;
        if inputs.work_valid_i && o.work_ready_o {
            self.running = self.waiting.pop_front();
            (self.offered, self.ended) = (false, false);
            self.kept_before = self.kept;
            self.kept.follow(self.running.as_ref().expect("it was offered"));
            self.port.begin();
        }
        self.dut.clock(true, &mut inputs)?;
        self.now += 1;
        Ok(())
    }

    /// Resets unit, port and memory.
    fn reset(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        coverage.hit_if(!self.port.idle(), CORNERS[52]);
        // Of what was on its way some is written.
        let written: Vec<_> = self.port.written.iter().map(|written| written.address).collect();
        self.port.reset();
        self.port.begin();
        for address in written {
            let (data, _) = self.port.memory.contents().read_word(address);
            self.shadow.write_word(address, &data, u64::MAX);
        }
        self.reference = Vector::default();
        (self.odd_scales, self.odd_angles) = (false, false);
        (self.kept, self.running, self.offered) = (Kept::default(), None, false);
        (self.activity, self.overflow, self.failed_before) = ((false, 0), false, false);
        self.dut.clock(false, &mut Inputs::default())?;
        self.now += 1;
        Ok(())
    }

    fn run(&mut self, coverage: &mut Coverage) -> Result<(), DutError> {
        self.reset(&mut Coverage::default())?;
        let patience = self.now + 1_000_000 * (self.case.commands.len() as u64 + 1);
        let reset_at = self.case.reset_after.map(|after| self.now + u64::from(after));
        while self.running.is_some() || !self.waiting.is_empty() || reset_at.is_some_and(|at| at >= self.now)
        {
            if reset_at == Some(self.now) {
                self.reset(coverage)?;
            }
            self.clock(coverage)?;
            if self.now > patience {
                return Err(wrong(format!("{:x?} never ends", self.running)));
            }
        }
        for _ in 0..4 {
            self.clock(coverage)?;
        }
        coverage.add_cycles(self.now);
        Ok(())
    }
}

/// The largest feature of a row is there twice.
fn tied(command: &Command, given: &BTreeMap<u64, Given>) -> bool {
    let (rows, count) = (command.fields.rows as u64, command.fields.count);
    // Rises with the number, the same for both zeros.
    let rank = |bits: u32| {
        let magnitude = i64::from(bits & 0x7FFF_FFFF);
        if bits >> 31 == 1 { -magnitude } else { magnitude }
    };
    (0..rows).any(|row| {
        let features = (0..count).map(|feature| {
            let word = given[&(command.fields.source + (feature / 16 * rows + row) * WORD)].data;
            let at = usize::try_from(feature % 16 * 4).expect("small");
            rank(u32::from_le_bytes(word[at..at + 4].try_into().expect("four")))
        });
        let features: Vec<i64> = features.collect();
        let most = features.iter().max().expect("a feature");
        features.iter().filter(|feature| *feature == most).count() > 1
    })
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let op = prop::sample::select(Op::ALL.to_vec());
    let rows = prop_oneof![4 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let size = prop_oneof![3 => 0..6u16, 2 => 0..20u16, 1 => any::<u16>(), 1 => Just(65)];
    (op, rows, size, any::<u64>()).prop_map(|(op, rows, size, seed)| Recipe { op, rows, size, seed })
}

impl Bench for VectorBench {
    type Block = VectorUnit;
    type Case = Case;

    fn corners(&self) -> &'static [&'static str] {
        &CORNERS
    }

    fn strategy(&self) -> BoxedStrategy<Case> {
        let latency = prop_oneof![1 => Just(1), 1 => any::<u8>(), 3 => Just(0)];
        let errors = prop_oneof![3 => Just(0), 1 => 1..8u8, 1 => 8..80u8];
        let stall = || prop_oneof![3 => Just(0u8), 2 => 0..200u8, 1 => Just(230)];
        let reset = prop_oneof![3 => Just(None), 1 => (0..1500u16).prop_map(Some)];
        let commands = vec(recipes(), 1..12);
        let stalls = [stall(), stall()];
        let case = (commands, any::<u8>(), latency, errors, stalls, any::<bool>(), reset, any::<u64>());
        case.prop_map(|(commands, rows, latency, errors, stalls, eager, reset_after, seed)| Case {
            commands,
            rows,
            latency,
            errors,
            stalls,
            eager,
            reset_after,
            seed,
        })
        .boxed()
    }

    fn model(&self) -> VectorUnit {
        VectorUnit::default()
    }

    fn run(
        &self,
        case: &Case,
        dut: &mut dyn Dut<VectorUnit>,
        coverage: &mut Coverage,
    ) -> Result<(), DutError> {
        Driver::new(case, dut).run(coverage)
    }
}
