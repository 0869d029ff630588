// SPDX-License-Identifier: Apache-2.0
//! The engine: drives the same inputs into RTL and model, advances both, compares all registers and outputs.

use std::path::{Path, PathBuf};

use tandem_model::block::Block;
use tandem_model::image::{self, Field, Fields};
use tandem_testbenches::{Dut, DutError};
use tandem_verilate::{Kind, Ports, Spec, Verilator};
use tandem_wave::{Options, Sample, Sides, Signals, Wave};

use crate::device::RtlDevice;
use crate::error::{Error, Result};
use crate::golden::{Divergence, Frame, Golden, Images, Memories};
use crate::replay::{Recording, Upset};
use crate::report::{Difference, Mismatch, Side};

/// Cycles between two points where memories are compared whole, and where a snapshot may be taken. The waveform of a failure
/// begins at one.
pub const SNAPSHOT_INTERVAL: u64 = 1000;
/// Verilator saves a memory entry by entry: each so many bytes of memories, a snapshot is taken one interval later.
const BYTES_PER_INTERVAL: usize = 1 << 16;
/// Cycles shown before a failure.
pub const HISTORY: usize = 16;
/// Cycles that a failure's waveform shows after the mismatch.
const WAVE_AFTER: u64 = 4;

/// What was compared so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Clocks.
    pub cycles: u64,
    /// Registers (an array counts once per element) compared at every clock.
    pub registers: u64,
    /// Their bits.
    pub bits: u64,
    /// Bits in memories.
    pub memory_bits: u64,
    /// Bits of the memory entries that had been written, and so were compared, at the last comparison.
    pub written_bits: u64,
}

/// Names and layouts of a device.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Name of the device.
    pub device: String,
    /// Input ports.
    pub inputs: Vec<Field>,
    /// Output ports.
    pub outputs: Vec<Field>,
    /// Registers and memories.
    pub fields: Fields,
}

impl Layout {
    /// Walks a model.
    pub fn of<B: Block>(device: &str, model: &mut B) -> Self {
        let Ports { inputs, outputs } = Ports::of(model);
        Self { device: device.to_owned(), inputs, outputs, fields: image::fields(model) }
    }

    fn signals(&self) -> Signals<'_> {
        Signals {
            device: &self.device,
            inputs: &self.inputs,
            outputs: &self.outputs,
            registers: &self.fields.registers,
        }
    }
}

/// RTL and model of one device, side by side.
pub struct Lockstep<B: Block> {
    pair: Pair,
    outputs: B::Outputs,
}

/// All of it that knows images only, compiled once for all blocks.
struct Pair {
    layout: Layout,
    rtl_device: RtlDevice,
    golden: Golden,
    recording: Recording,
    /// Cycle of the last snapshot.
    snapshot: Option<u64>,
    /// Cycles between two snapshots.
    snapshot_every: u64,
    /// Cycle in which memories were compared last.
    compared: Option<u64>,
    cycle: u64,
    written_bits: u64,
    wave: Option<Wave>,
    failure_wave: Option<PathBuf>,
    failure_replay: Option<PathBuf>,
}

impl<B: Block> Lockstep<B> {
    /// Lockstep of a device that is linked into this program. `seed` sets the registers' values before reset.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn linked(device: &str, model: B, seed: u64) -> Result<Self> {
        Ok(Self::with_device(device, RtlDevice::linked(device, seed)?, model, seed))
    }

    /// Lockstep of a module of your own: verilates and compiles it first (results are kept in `target/verilated/`).
    ///
    /// `spec` may come from [`Spec::of_model`]; `project` is the folder that holds this project.
    ///
    /// # Errors
    /// When Verilator or the compiler fails, or when model and RTL do not have the same registers.
    pub fn verilated(spec: &Spec, project: &Path, model: B, seed: u64) -> Result<Self> {
        let device = loaded(spec, project, seed)?;
        Ok(Self::with_device(&spec.name, device, model, seed))
    }

    /// Lockstep of a given device.
    pub fn with_device(name: &str, rtl_device: RtlDevice, mut model: B, seed: u64) -> Self {
        let layout = Layout::of(name, &mut model);
        let outputs = model.outputs();
        Self { pair: Pair::new(layout, rtl_device, Golden::new(model), seed), outputs }
    }

    /// Records the whole run into a waveform (`.vcd` or `.fst`).
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn record_wave(&mut self, path: &Path) -> Result<()> {
        self.pair.record_wave(path)
    }

    /// On a mismatch, writes a replay file and the waveform around it to these files.
    pub fn on_failure(&mut self, replay: Option<PathBuf>, wave: Option<PathBuf>) {
        self.pair.failure_replay = replay;
        self.pair.failure_wave = wave;
    }

    /// Notes in the replay file what made the run.
    pub fn originate(&mut self, origin: String) {
        self.pair.recording.origin = origin;
    }

    /// Names and layouts.
    pub fn layout(&self) -> &Layout {
        &self.pair.layout
    }

    /// Runs the model on a thread of its own, beside the RTL: for long runs on a machine with a core to spare.
    pub fn beside(&mut self) {
        // A waveform of the whole run wants both sides at every clock.
        if self.pair.wave.is_none() {
            self.pair.golden.detach();
        }
    }

    /// All inputs so far.
    pub fn recording(&self) -> &Recording {
        &self.pair.recording
    }

    /// What has been compared.
    pub fn totals(&self) -> Totals {
        self.pair.totals()
    }

    /// One clock of both, then the comparison.
    ///
    /// # Errors
    /// [`Error::Mismatch`] names the first differing cycle; with the model beside the RTL it may come a few calls later (at
    /// the latest from [`Lockstep::finish`]). [`Error::Invariant`] when an invariant of the RTL fails.
    pub fn step(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> Result<()> {
        let mut frame = self.pair.frame(rst_ni)?;
        image::pack(inputs, &mut frame.inputs);
        self.pair.clock(&mut frame)?;
        image::unpack(&frame.rtl.outputs, &mut self.outputs);
        self.pair.compare(frame)
    }

    /// Flips a bit of a memory in RTL and model, between two clocks. It goes into the recording.
    ///
    /// # Errors
    /// [`Error::Upset`] when there is no such bit or nobody has written the entry, [`Error::Mismatch`] when a clock before
    /// differs.
    pub fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<()> {
        self.pair.upset(memory, entry, bit)
    }

    /// Compares the memories a last time and closes the waveform.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when a memory differs; an I/O error when the waveform cannot be written.
    pub fn finish(&mut self) -> Result<Totals> {
        self.pair.finish()
    }
}

/// Verilates, compiles and loads a device.
fn loaded(spec: &Spec, project: &Path, seed: u64) -> Result<RtlDevice> {
    let verilator = Verilator::find(project)?;
    let cache = project.join("target/verilated");
    let built = tandem_verilate::build(spec, &verilator, &project.join("cosim/cpp"), &cache, Kind::Shared)?;
    RtlDevice::loaded(&built.library, &spec.name, seed)
}

impl Pair {
    fn new(layout: Layout, rtl_device: RtlDevice, golden: Golden, seed: u64) -> Self {
        let recording = Recording::new(&layout.device, &layout.inputs, seed);
        let intervals = 1 + layout.fields.memory_bytes() / BYTES_PER_INTERVAL;
        Self {
            layout,
            rtl_device,
            golden,
            recording,
            snapshot: None,
            snapshot_every: intervals as u64 * SNAPSHOT_INTERVAL,
            compared: None,
            cycle: 0,
            written_bits: 0,
            wave: None,
            failure_wave: None,
            failure_replay: None,
        }
    }

    fn record_wave(&mut self, path: &Path) -> Result<()> {
        // The waveform wants both sides at every clock.
        self.settle()?;
        self.golden.inline();
        self.wave =
            Some(Wave::create(path, &self.layout.signals(), Options { sides: Sides::Both, detail: false })?);
        Ok(())
    }

    fn totals(&self) -> Totals {
        let fields = &self.layout.fields;
        Totals {
            cycles: self.cycle,
            registers: fields.registers.iter().map(|f| f.elements as u64).sum(),
            bits: fields.register_bits(),
            memory_bits: fields.memories.iter().map(Field::bits).sum(),
            written_bits: self.written_bits,
        }
    }

    /// A frame of the next clock, for its inputs.
    fn frame(&mut self, rst_ni: bool) -> Result<Frame> {
        self.snapshot_when_due()?;
        let mut frame = self.golden.frame();
        (frame.cycle, frame.rst_ni) = (self.cycle, rst_ni);
        Ok(frame)
    }

    /// Clocks the RTL as the frame says.
    fn clock(&mut self, frame: &mut Frame) -> Result<()> {
        self.recording.push(frame.rst_ni, &frame.inputs);
        match self.clock_rtl(frame) {
            Err(Error::Invariant(message)) => return Err(self.broken_invariant(message)),
            other => other?,
        }
        self.cycle += 1;
        Ok(())
    }

    /// Has the model clocked too, and compared.
    fn compare(&mut self, frame: Frame) -> Result<()> {
        let sample = self.wave.is_some().then(|| frame.clone());
        let divergence = self.golden.submit(frame);
        if let Some(frame) = sample {
            self.record_sample(&frame)?;
        }
        divergence.map_or(Ok(()), |d| Err(self.diverged(&d)))
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> Result<()> {
        self.snapshot_when_due()?;
        self.settle()?;
        let upset = Upset { cycle: self.cycle, memory: memory.to_owned(), entry, bit };
        self.golden.upset(&upset).map_err(|source| Error::Upset { upset: upset.clone(), source })?;
        self.upset_rtl(&upset)?;
        self.recording.upset(upset);
        Ok(())
    }

    fn upset_rtl(&mut self, upset: &Upset) -> Result<()> {
        let memories = &self.layout.fields.memories;
        let number = memories.iter().position(|f| f.path == upset.memory);
        let number = number.ok_or_else(|| Error::Device(format!("there is no memory `{}`", upset.memory)))?;
        self.rtl_device.flip(number, upset.entry, upset.bit)
    }

    /// Clocks the RTL with a frame's inputs and fills in its images.
    fn clock_rtl(&mut self, frame: &mut Frame) -> Result<()> {
        frame.rtl.registers.resize(self.rtl_device.register_bytes(), 0);
        frame.rtl.outputs.resize(self.rtl_device.output_bytes(), 0);
        self.rtl_device.step(frame.rst_ni, &frame.inputs, &mut frame.rtl.registers, &mut frame.rtl.outputs)
    }

    fn finish(&mut self) -> Result<Totals> {
        self.settle()?;
        self.compare_memories()?;
        if let Some(wave) = self.wave.take() {
            wave.finish()?;
        }
        Ok(self.totals())
    }

    /// Writes a frame and the model's images of the same clock into the waveform.
    fn record_sample(&mut self, frame: &Frame) -> Result<()> {
        if let Some(wave) = &mut self.wave {
            wave.record(&Sample {
                cycle: frame.cycle,
                rst_ni: frame.rst_ni,
                inputs: &frame.inputs,
                rtl: Some(frame.rtl.state()),
                model: self.golden.images().map(Images::state),
            })?;
        }
        Ok(())
    }

    /// Waits until every clock so far has been compared.
    fn settle(&mut self) -> Result<()> {
        self.golden.settle().map_or(Ok(()), |d| Err(self.diverged(&d)))
    }

    /// Once before everything that happens in a cycle, soft errors included.
    fn snapshot_when_due(&mut self) -> Result<()> {
        if !self.cycle.is_multiple_of(SNAPSHOT_INTERVAL) || self.compared == Some(self.cycle) {
            return Ok(());
        }
        self.settle()?;
        if self.cycle > 0 {
            self.compare_memories()?;
        }
        self.compared = Some(self.cycle);
        if !self.cycle.is_multiple_of(self.snapshot_every) {
            return Ok(());
        }
        self.rtl_device.save()?;
        self.golden.snapshot();
        self.snapshot = Some(self.cycle);
        Ok(())
    }

    /// All registers and outputs that differ in a clock.
    fn diverged(&mut self, d: &Divergence) -> Error {
        let mut found = Vec::new();
        let registers = &self.layout.fields.registers;
        Difference::collect(Side::Register, registers, &d.rtl.registers, &d.golden.registers, &mut found);
        Difference::collect(
            Side::Output,
            &self.layout.outputs,
            &d.rtl.outputs,
            &d.golden.outputs,
            &mut found,
        );
        self.fail(d.cycle, found)
    }

    fn compare_memories(&mut self) -> Result<()> {
        if self.layout.fields.memories.is_empty() {
            return Ok(());
        }
        let Memories { image: golden, written: mask } = self.golden.memories();
        let mut rtl = self.rtl_device.memories()?;
        let written = |f: &Field| {
            let entries = mask[f.offset..][..f.bytes()].iter().step_by(image::element_bytes(f.width));
            entries.filter(|&&first| first != 0).count() as u64 * u64::from(f.width)
        };
        self.written_bits = self.layout.fields.memories.iter().map(written).sum();
        // An entry that nobody wrote holds anything.
        for (byte, (model, mask)) in rtl.iter_mut().zip(golden.iter().zip(&mask)) {
            if *mask == 0 {
                *byte = *model;
            }
        }
        let mut found = Vec::new();
        Difference::collect(Side::Memory, &self.layout.fields.memories, &rtl, &golden, &mut found);
        if found.is_empty() {
            return Ok(());
        }
        let mut error = self.fail(self.cycle.saturating_sub(1), found);
        if let Error::Mismatch(mismatch) = &mut error {
            let note = format!(
                "memories are compared every {SNAPSHOT_INTERVAL} cycles: the write came before this cycle"
            );
            mismatch.notes.push(note);
        }
        Err(error)
    }

    /// An invariant of the RTL failed: its message, the cycle, and a replay file.
    fn broken_invariant(&mut self, message: String) -> Error {
        // A difference that the model has not told yet came first, and says more.
        if let Some(divergence) = self.golden.settle() {
            return self.diverged(&divergence);
        }
        let mut text = format!("{message} in cycle {} (seed {})", self.cycle, self.recording.seed);
        if let Some(path) = self.failure_replay.take() {
            match self.recording.write(&path) {
                Ok(()) => text.push_str(&format!("\nreplay with: tandem replay {}", path.display())),
                Err(e) => text.push_str(&format!("\nno replay file: {e}")),
            }
        }
        match self.failure_waveform(self.cycle) {
            Ok(Some(path)) => text.push_str(&format!("\nwaveform {}", path.display())),
            Ok(None) => {}
            Err(e) => text.push_str(&format!("\nno waveform: {e}")),
        }
        Error::Invariant(text)
    }

    /// Turns differences into a report, with its replay file and waveform.
    fn fail(&mut self, cycle: u64, differences: Vec<Difference>) -> Error {
        let mut mismatch = {
            let depth = |path: &str| self.golden.depth(path);
            Mismatch::new(&self.layout, cycle, differences, &self.recording, depth)
        };
        if let Some(path) = self.failure_replay.take() {
            match self.recording.write(&path) {
                Ok(()) => mismatch.replay = Some(path),
                Err(e) => mismatch.notes.push(format!("no replay file: {e}")),
            }
        }
        match self.failure_waveform(cycle) {
            Ok(path) => mismatch.wave = path,
            Err(e) => mismatch.notes.push(format!("no waveform: {e}")),
        }
        Error::Mismatch(Box::new(mismatch))
    }

    /// Closes the waveform of the whole run, or makes one around `cycle`.
    fn failure_waveform(&mut self, cycle: u64) -> Result<Option<PathBuf>> {
        if let Some(wave) = self.wave.take() {
            return Ok(wave.finish()?.into_iter().next());
        }
        let Some(path) = self.failure_wave.take() else { return Ok(None) };
        self.wave_around(&path, cycle)?;
        Ok(Some(path))
    }

    /// Runs again from the last snapshot, with recording on from the last comparison of memories.
    fn wave_around(&mut self, path: &Path, cycle: u64) -> Result<()> {
        let start = self.snapshot.take().filter(|_| self.golden.rewind());
        let start = start.ok_or_else(|| Error::Device("no snapshot to start from".to_owned()))?;
        self.rtl_device.restore()?;
        self.wave = Some(Wave::create(path, &self.layout.signals(), Options::default())?);
        let shown = cycle - cycle % SNAPSHOT_INTERVAL;
        for at in start..=cycle + WAVE_AFTER {
            // After the failure the inputs are idle, which is always legal.
            let (rst_ni, image) = self.recording.at(at.min(cycle));
            let inputs = if at > cycle { vec![0; image.len()] } else { image.to_vec() };
            for upset in self.recording.upsets_at(at).to_vec() {
                self.upset_rtl(&upset)?;
                self.golden.upset(&upset).map_err(|source| Error::Upset { upset, source })?;
            }
            let mut frame = Frame { cycle: at, rst_ni, inputs, ..Frame::default() };
            match self.clock_rtl(&mut frame) {
                // The failure that this waveform leads to.
                Err(Error::Invariant(_)) => break,
                other => other?,
            }
            self.golden.replay(rst_ni, &frame.inputs);
            if at >= shown {
                self.record_sample(&frame)?;
            }
        }
        if let Some(wave) = self.wave.take() {
            wave.finish()?;
        }
        Ok(())
    }
}

impl<B: Block> Dut<B> for Lockstep<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> std::result::Result<(), DutError> {
        self.step(rst_ni, inputs).map_err(Into::into)
    }

    fn outputs(&self) -> B::Outputs {
        self.outputs.clone()
    }

    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> std::result::Result<(), DutError> {
        Self::upset(self, memory, entry, bit).map_err(Into::into)
    }

    fn settle(&mut self) -> std::result::Result<(), DutError> {
        self.pair.settle().map_err(Into::into)
    }

    fn finish(&mut self) -> std::result::Result<(), DutError> {
        Self::finish(self)?;
        Ok(())
    }
}

/// The RTL alone, at the speed of the bare simulation.
pub struct RtlOnly<B: Block> {
    device: RtlDevice,
    input_image: Vec<u8>,
    output_image: Vec<u8>,
    outputs: B::Outputs,
    memories: Vec<Field>,
}

impl<B: Block> RtlOnly<B> {
    /// A device that is linked into this program; `model` lends its ports.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn linked(device: &str, model: &B, seed: u64) -> Result<Self> {
        let device = RtlDevice::linked(device, seed)?;
        let output_image = vec![0; device.output_bytes()];
        let memories = image::fields(&mut model.clone()).memories;
        Ok(Self { device, input_image: Vec::new(), output_image, outputs: model.outputs(), memories })
    }
}

impl<B: Block> Dut<B> for RtlOnly<B> {
    fn clock(&mut self, rst_ni: bool, inputs: &mut B::Inputs) -> std::result::Result<(), DutError> {
        image::pack(inputs, &mut self.input_image);
        self.device.advance(rst_ni, &self.input_image, &mut self.output_image)?;
        image::unpack(&self.output_image, &mut self.outputs);
        Ok(())
    }

    /// The RTL alone does not know which entries have been written.
    fn upset(&mut self, memory: &str, entry: usize, bit: u32) -> std::result::Result<(), DutError> {
        let field = self.memories.iter().position(|f| f.path == memory && bit < f.width);
        let number = field.ok_or_else(|| Error::Device(format!("there is no bit {bit} of {memory}")))?;
        Ok(self.device.flip(number, entry, bit)?)
    }

    fn outputs(&self) -> B::Outputs {
        self.outputs.clone()
    }
}
