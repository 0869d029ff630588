// SPDX-License-Identifier: Apache-2.0
//! Devices to record, and a reader that checks what was written against the images it came from.
#![allow(dead_code, reason = "every test uses a part of it")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tandem_model::array::float_add::{self, FloatAdd};
use tandem_model::block::Block;
use tandem_model::image::{Field, fields, pack, unpack};
use tandem_wave::{Options, Sample, Sides, Signals, State, Wave};
use wellen::SignalValueRef;

/// Knuth's multiplier: enough randomness for a waveform.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }
}

pub struct Cycle {
    pub number: u64,
    pub rst_ni: bool,
    pub inputs: Vec<u8>,
    pub outputs: Vec<u8>,
    pub rtl: Vec<u8>,
    pub model: Vec<u8>,
}

pub struct Run {
    pub device: &'static str,
    pub inputs: Vec<Field>,
    pub outputs: Vec<Field>,
    pub registers: Vec<Field>,
    pub cycles: Vec<Cycle>,
}

/// Random operands through the model's adder. From `wrong` on the "RTL" has another bit in `aligned_larger_q`.
pub fn float_add(start: u64, count: u64, wrong: Option<std::ops::Range<u64>>) -> Run {
    let mut random = Random(7);
    let mut model = FloatAdd::default();
    let mut inputs = float_add::Inputs::default();
    let registers = fields(&mut model).registers;
    let at = registers.iter().find(|f| f.path == "aligned_larger_q").expect("a register of float_add").offset;
    let mut cycles = vec![];
    for number in start..start + count {
        let words = [random.next(), random.next()];
        // Every third operand stays as it is, so that some signals do not change.
        if !random.next().is_multiple_of(3) {
            let bits: Vec<_> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
            assert!(unpack(&bits, &mut inputs));
        }
        let mut cycle = Cycle {
            number,
            rst_ni: number > start + 1,
            inputs: vec![],
            outputs: vec![],
            rtl: vec![],
            model: vec![],
        };
        pack(&mut inputs, &mut cycle.inputs);
        pack(&mut model.outputs(), &mut cycle.outputs);
        pack(&mut model, &mut cycle.model);
        cycle.rtl.clone_from(&cycle.model);
        if wrong.as_ref().is_some_and(|wrong| wrong.contains(&number)) {
            cycle.rtl[at] ^= 8;
        }
        cycles.push(cycle);
        if number > start + 1 {
            model.clock(&inputs);
        }
    }
    let outputs = fields(&mut model.outputs()).registers;
    Run { device: "float_add", inputs: fields(&mut inputs).registers, outputs, registers, cycles }
}

impl Run {
    pub fn signals(&self) -> Signals<'_> {
        let Self { device, inputs, outputs, registers, .. } = self;
        Signals { device, inputs, outputs, registers }
    }

    pub fn write(&self, path: &Path, options: Options) -> Vec<PathBuf> {
        let mut wave = Wave::create(path, &self.signals(), options).unwrap();
        self.cycles.iter().for_each(|cycle| wave.record(&cycle.sample(options.sides)).unwrap());
        wave.finish().unwrap()
    }
}

impl Cycle {
    pub fn sample(&self, sides: Sides) -> Sample<'_> {
        let rtl = State { outputs: &self.outputs, registers: &self.rtl };
        let model = State { outputs: &self.outputs, registers: &self.model };
        Sample {
            cycle: self.number,
            rst_ni: self.rst_ni,
            inputs: &self.inputs,
            rtl: (sides != Sides::Model).then_some(rtl),
            model: (sides != Sides::Rtl).then_some(model),
        }
    }
}

/// Changes of every signal by its name, values as text: digits, or a number.
pub struct Readback {
    pub signals: BTreeMap<String, Vec<(u64, String)>>,
    /// Names as GTKWave spells them.
    pub gtkwave: Vec<String>,
    pub end: u64,
}

pub fn read(path: &Path) -> Readback {
    let mut wave = wellen::simple::read(path).unwrap();
    let refs: Vec<_> = wave.hierarchy().all_vars().map(|var| wave.hierarchy()[var].signal_ref()).collect();
    wave.load_signals(&refs);
    let hierarchy = wave.hierarchy();
    let (mut signals, mut gtkwave) = (BTreeMap::<_, Vec<_>>::new(), vec![]);
    for var in hierarchy.all_vars().map(|var| &hierarchy[var]) {
        let changes = wave.get_signal(var.signal_ref()).into_iter().flat_map(|signal| signal.iter_changes());
        let changes = changes.map(|(time, value)| {
            let text = match value {
                SignalValueRef::Real(number) => format!("{number:e}"),
                other => other.to_bit_string().unwrap(),
            };
            (wave.time_table()[time as usize], text)
        });
        let name = var.full_name(hierarchy);
        let range = match var.index().map(|index| (index.msb(), index.lsb())) {
            None => String::new(),
            Some((0, 0)) => "[0]".to_owned(),
            Some((high, low)) => format!("[{high}:{low}]"),
        };
        gtkwave.push(format!("{}{range}", name.replace(".[", "[")));
        assert!(signals.insert(name, changes.collect()).is_none(), "two signals of one name");
    }
    // Before a first sample that is not at zero FST has unknown values, the clock's too, and VCD none.
    let early = signals.iter().any(|(name, changes)| name.ends_with(".clk_i") && changes[0].1 == "x");
    if early {
        signals.values_mut().for_each(|changes| assert_eq!(changes.remove(0).0, 0));
    }
    Readback { signals, gtkwave, end: *wave.time_table().last().unwrap() }
}

impl Readback {
    pub fn at(&self, name: &str, time: u64) -> Result<&str, String> {
        let changes = self.signals.get(name).ok_or_else(|| format!("no signal {name}"))?;
        let last = changes.iter().take_while(|(at, _)| *at <= time).last();
        last.map(|(_, value)| value.as_str()).ok_or_else(|| format!("{name} has no value at {time}"))
    }

    fn expect(&self, name: &str, time: u64, expected: &str) -> Result<(), String> {
        let got = self.at(name, time)?;
        if got == expected {
            Ok(())
        } else {
            Err(format!("{name} at {time}: expected {expected}, got {got}"))
        }
    }

    fn expect_fields(
        &self,
        scope: &str,
        suffix: &str,
        time: u64,
        list: &[Field],
        image: &[u8],
    ) -> Result<(), String> {
        each_element(list, |path, field, index| {
            self.expect(&reader_name(scope, path, suffix), time, &digits(&field.element(image, index)))
        })
    }

    /// Compares every signal that a register or port has with its image, in every half cycle.
    pub fn check(&self, run: &Run, sides: Sides) -> Result<(), String> {
        let device = run.device;
        let rtl = format!("{device}.rtl");
        for cycle in &run.cycles {
            let mut mismatch = false;
            for (time, clock) in [(2 * cycle.number, "1"), (2 * cycle.number + 1, "0")] {
                self.expect(&format!("{device}.clk_i"), time, clock)?;
                self.expect(&format!("{device}.rst_ni"), time, if cycle.rst_ni { "1" } else { "0" })?;
                self.expect(&format!("{device}.cycle"), time, &format!("{:064b}", cycle.number))?;
                self.expect_fields(device, "", time, &run.inputs, &cycle.inputs)?;
                for (side, suffix, image) in
                    [(Sides::Rtl, "", &cycle.rtl), (Sides::Model, "_model", &cycle.model)]
                {
                    if sides == Sides::Both || sides == side {
                        self.expect_fields(device, suffix, time, &run.outputs, &cycle.outputs)?;
                        self.expect_fields(&rtl, suffix, time, &run.registers, image)?;
                    }
                }
                if sides != Sides::Both {
                    continue;
                }
                each_element(&run.registers, |path, field, index| {
                    let differs = field.element(&cycle.rtl, index) != field.element(&cycle.model, index);
                    mismatch |= differs;
                    self.expect(&reader_name(&rtl, path, "_differs"), time, if differs { "1" } else { "0" })
                })?;
                self.expect(&format!("{device}.mismatch"), time, if mismatch { "1" } else { "0" })?;
            }
        }
        let end = run.cycles.last().map_or(0, |cycle| 2 * cycle.number + 2);
        if self.end == end { Ok(()) } else { Err(format!("expected the end at {end}, got {}", self.end)) }
    }
}

/// The reader makes a scope of an array, `stage_q.[3]`; a name with something behind the index stays whole.
fn reader_name(scope: &str, path: &str, suffix: &str) -> String {
    let (scopes, name) = path.rsplit_once('.').map_or(("", path), |(scopes, name)| (scopes, name));
    let name = if suffix.is_empty() { name.replace('[', ".[") } else { format!("{name}{suffix}") };
    let dot = if scopes.is_empty() { "" } else { "." };
    format!("{scope}.{scopes}{dot}{name}")
}

fn each_element(
    list: &[Field],
    mut visit: impl FnMut(&str, &Field, usize) -> Result<(), String>,
) -> Result<(), String> {
    list.iter().try_for_each(|field| {
        (0..field.elements).try_for_each(|index| {
            let path =
                if field.elements == 1 { field.path.clone() } else { format!("{}[{index}]", field.path) };
            visit(&path, field, index)
        })
    })
}

pub fn digits(bits: &[bool]) -> String {
    bits.iter().rev().map(|&bit| if bit { '1' } else { '0' }).collect()
}
