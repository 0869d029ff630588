// SPDX-License-Identifier: Apache-2.0
//! The recorder.

use std::path::{Path, PathBuf};

use tandem_model::image::Field;

use crate::error::{Error, Result};
use crate::layout::{Entry, Group, Layout};
use crate::leaf::Scratch;
use crate::plan::{Kind, Plan, VarId};
use crate::sink::{Finished, Sink};
use crate::track::{Element, Track};

/// Cycles from this one on have no time of their own in 64 bits.
const CYCLE_LIMIT: u64 = 1 << 62;
const CYCLE_BITS: u32 = 64;

/// The signals of a device: field lists as [`tandem_model::image::fields`] gives them.
#[derive(Clone, Copy, Debug)]
pub struct Signals<'a> {
    /// Name of the top scope.
    pub device: &'a str,
    /// Input ports but clock and reset.
    pub inputs: &'a [Field],
    /// Output ports.
    pub outputs: &'a [Field],
    /// Registers, memories excluded.
    pub registers: &'a [Field],
}

/// Whose values a waveform has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sides {
    /// RTL and model, and where they differ.
    #[default]
    Both,
    /// The RTL alone.
    Rtl,
    /// The model alone.
    Model,
}

/// What a waveform has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Whose values.
    pub sides: Sides,
    /// Numbers, struct fields and array entries as signals of their own. They multiply the size of the file: meant
    /// for windows around a failure, not for whole runs of a large device.
    pub detail: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { sides: Sides::Both, detail: true }
    }
}

/// Images of one side in one cycle.
#[derive(Clone, Copy, Debug)]
pub struct State<'a> {
    /// Output ports.
    pub outputs: &'a [u8],
    /// Registers.
    pub registers: &'a [u8],
}

/// One cycle.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Its number.
    pub cycle: u64,
    /// Reset, active low.
    pub rst_ni: bool,
    /// Image of the input ports.
    pub inputs: &'a [u8],
    /// The RTL, if it runs.
    pub rtl: Option<State<'a>>,
    /// The model, if it runs.
    pub model: Option<State<'a>>,
}

/// A waveform in the making.
pub struct Wave {
    path: PathBuf,
    plan: Plan,
    sink: Sink,
    sides: Sides,
    clock: VarId,
    reset: VarId,
    cycle: VarId,
    mismatch: Option<VarId>,
    inputs: Track,
    outputs: Track,
    registers: Track,
    scratch: Scratch,
    first: Option<u64>,
    last: Option<(u64, bool, bool)>,
    first_mismatch: Option<u64>,
}

impl Sides {
    const fn name(rtl: bool, model: bool) -> &'static str {
        match (rtl, model) {
            (true, true) => "RTL and model",
            (true, false) => "the RTL alone",
            (false, true) => "the model alone",
            (false, false) => "neither side",
        }
    }

    const fn present(self) -> [bool; 2] {
        [!matches!(self, Self::Model), !matches!(self, Self::Rtl)]
    }
}

impl Wave {
    /// A waveform at `path`, in the format that its extension names (`.vcd`, `.fst`).
    ///
    /// # Errors
    /// When the extension is another one, a signal cannot be declared or the folder cannot be written to.
    pub fn create(path: &Path, signals: &Signals<'_>, options: Options) -> Result<Self> {
        let mut plan = Plan::default();
        let top = plan.scope(None, signals.device)?;
        let clock = plan.var(top, "clk_i".to_owned(), Kind::Bits(1))?;
        let reset = plan.var(top, "rst_ni".to_owned(), Kind::Bits(1))?;
        let cycle = plan.var(top, "cycle".to_owned(), Kind::Bits(CYCLE_BITS))?;
        let both = options.sides == Sides::Both;
        let mismatch = both.then(|| plan.var(top, "mismatch".to_owned(), Kind::Bits(1))).transpose()?;
        let sides = (options.sides.present(), ["", "_model"]);
        let detail = options.detail;
        // Both engines are driven with the same inputs: one value, as if the RTL alone had them.
        let alone = ([true, false], ["", ""]);
        let inputs = Track::new("inputs", signals.inputs, alone, detail, (&mut plan, top))?;
        let outputs = Track::new("outputs", signals.outputs, sides, detail, (&mut plan, top))?;
        let rtl = plan.scope(Some(top), "rtl")?;
        let registers = Track::new("registers", signals.registers, sides, detail, (&mut plan, rtl))?;
        let sink = Sink::create(path, &plan)?;
        Ok(Self {
            path: path.to_owned(),
            plan,
            sink,
            sides: options.sides,
            clock,
            reset,
            cycle,
            mismatch,
            inputs,
            outputs,
            registers,
            scratch: Scratch::default(),
            first: None,
            last: None,
            first_mismatch: None,
        })
    }

    /// Adds a cycle. Cycles may be left out, but not come back.
    ///
    /// # Errors
    /// When the cycle is out of order, an image is not of its list's length, a side is absent or one too many, or the
    /// file cannot be written.
    pub fn record(&mut self, sample: &Sample<'_>) -> Result<()> {
        let cycle = sample.cycle;
        let present = [sample.rtl.is_some(), sample.model.is_some()];
        let announced = self.sides.present();
        if present != announced {
            let [expected, got] = [announced, present].map(|[rtl, model]| Sides::name(rtl, model));
            return Err(Error::Sides { cycle, expected, got });
        }
        if cycle >= CYCLE_LIMIT || self.last.is_some_and(|(last, ..)| cycle <= last) {
            return Err(Error::Order { last: self.last.map_or(0, |(last, ..)| last), got: cycle });
        }
        let states = [sample.rtl, sample.model];
        let inputs = [Some(sample.inputs), None];
        let outputs = states.map(|state| state.map(|state| state.outputs));
        let registers = states.map(|state| state.map(|state| state.registers));
        // All checks before the first write: a refused sample leaves no trace.
        self.inputs.check(inputs)?;
        self.outputs.check(outputs)?;
        self.registers.check(registers)?;
        let initial = self.first.is_none();
        self.sink.time(2 * cycle)?;
        if initial {
            self.first = Some(cycle);
            self.sink.begin_initial()?;
        }
        self.sink.bits(self.clock, b"1")?;
        let last = self.last.map(|(_, reset, mismatch)| (reset, mismatch));
        if last.is_none_or(|(reset, _)| reset != sample.rst_ni) {
            self.sink.bits(self.reset, bit(sample.rst_ni))?;
        }
        self.sink.bits(self.cycle, format!("{cycle:064b}").as_bytes())?;
        let (sink, scratch) = (&mut self.sink, &mut self.scratch);
        self.inputs.record(cycle, inputs, sink, scratch)?;
        self.outputs.record(cycle, outputs, sink, scratch)?;
        self.registers.record(cycle, registers, sink, scratch)?;
        let mismatch = self.outputs.any_differs() || self.registers.any_differs();
        if mismatch {
            self.first_mismatch.get_or_insert(cycle);
        }
        let changed = last.is_none_or(|(_, before)| before != mismatch);
        if let Some(var) = self.mismatch.filter(|_| changed) {
            self.sink.bits(var, bit(mismatch))?;
        }
        if initial {
            self.sink.end_initial()?;
        }
        self.last = Some((cycle, sample.rst_ni, mismatch));
        self.sink.time(2 * cycle + 1)?;
        self.sink.bits(self.clock, b"0")
    }

    /// First recorded cycle in which the sides differ.
    #[must_use]
    pub fn first_mismatch(&self) -> Option<u64> {
        self.first_mismatch
    }

    /// Completes the waveform, writes the layouts beside it and returns the paths of all files.
    ///
    /// # Errors
    /// When nothing was recorded or a file cannot be written.
    pub fn finish(mut self) -> Result<Vec<PathBuf>> {
        let (Some(first), Some((last, ..))) = (self.first, self.last) else {
            return Err(Error::Empty { path: self.path });
        };
        // The last cycle is as long as the others.
        self.sink.time(2 * last + 2)?;
        let layout = self.layout(first);
        // Viewers resolve names from their own working directory.
        let absolute = std::path::absolute(&self.path);
        let wave = absolute.map_err(|source| Error::Write { path: self.path.clone(), source })?;
        let gtkwave = layout.gtkwave(&wave, &self.plan);
        let surfer = layout.surfer(&wave, &self.plan);
        let mut finished = vec![self.sink.finish()?];
        for (extension, text) in [("gtkw", gtkwave), ("sucl", surfer)] {
            finished.push(Finished::text(self.path.with_extension(extension), &text)?);
        }
        finished.into_iter().map(Finished::persist).collect()
    }

    /// What differed first comes first; then the ports.
    fn layout(&self, first: u64) -> Layout {
        let mut differing: Vec<_> = [&self.outputs, &self.registers]
            .into_iter()
            .flat_map(|track| track.elements.iter().map(move |element| (track, element)))
            .filter_map(|(track, element)| element.first_difference.map(|at| (at, track, element)))
            .collect();
        differing.sort_by_key(|(at, ..)| *at);
        let differing: Vec<_> =
            differing.into_iter().map(|(_, track, element)| self.entry(track, element, true)).collect();
        let mut clocks = vec![self.clock, self.reset, self.cycle];
        clocks.extend(self.mismatch);
        let mut groups = vec![Group { title: "Clock".to_owned(), vars: clocks }];
        if !differing.is_empty() {
            groups.push(Group::new("Differs, earliest first", differing));
        }
        for (title, track) in [("Inputs", &self.inputs), ("Outputs", &self.outputs)] {
            let entries = track.elements.iter().map(|element| self.entry(track, element, false));
            groups.push(Group::new(title, entries.collect()));
        }
        let mark = self.first_mismatch.map(|cycle| 2 * cycle);
        Layout { groups, start: 2 * first, mark, cycle: self.cycle }
    }

    /// An element as a layout shows it: floats as numbers, everything else as it is; all parts when `whole`.
    fn entry(&self, track: &Track, element: &Element, whole: bool) -> Entry {
        let parts = track.leaves[element.leaves.clone()].iter().flat_map(|leaf| leaf.vars).flatten();
        let parts = parts.filter(|&var| whole || self.plan.get(var).kind == Kind::Real).collect();
        let own = element.vars.into_iter().flatten().chain(element.differs_var).collect();
        Entry { own, parts }
    }
}

const fn bit(value: bool) -> &'static [u8] {
    if value { b"1" } else { b"0" }
}
