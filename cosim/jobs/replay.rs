// SPDX-License-Identifier: Apache-2.0
//! Runs a replay file again.

use std::path::{Path, PathBuf};

use tandem_model::block::Block;
use tandem_model::devices::{Device, WithModel};
use tandem_model::image;

use crate::error::{Error, Result};
use crate::lockstep::{Lockstep, Totals};
use crate::replay::{Recording, Upset};

struct Replay<'a> {
    file: &'a Path,
    wave: Option<PathBuf>,
}

impl WithModel for Replay<'_> {
    type Output = Result<Totals>;

    fn run<B: Block>(self, device: Device, model: B) -> Result<Totals> {
        let (mut inputs, mut packed) = (model.idle_inputs(), Vec::new());
        let ports = tandem_verilate::Ports::of(&model);
        let recording = Recording::read(self.file, &ports.inputs)?;
        let mut lockstep = Lockstep::linked(device.name, model, recording.seed)?;
        if let Some(wave) = &self.wave {
            lockstep.record_wave(wave)?;
        }
        for cycle in 0..recording.len() {
            let (rst_ni, bytes) = recording.at(cycle);
            image::unpack(bytes, &mut inputs);
            image::pack(&mut inputs, &mut packed);
            if packed != bytes {
                let what = format!(
                    "cycle {cycle} gives an input a value that its port cannot have (a bit beyond its width, or a \
                     float with a zero exponent and a fraction); expected what a failing run writes"
                );
                return Err(Error::Replay { path: self.file.to_owned(), what });
            }
            self.upset(&recording, cycle, &mut lockstep)?;
            lockstep.step(rst_ni, &mut inputs)?;
        }
        self.upset(&recording, recording.len(), &mut lockstep)?;
        lockstep.finish()
    }
}

impl Replay<'_> {
    /// The soft errors before a clock.
    fn upset<B: Block>(&self, recording: &Recording, cycle: u64, lockstep: &mut Lockstep<B>) -> Result<()> {
        for Upset { memory, entry, bit, .. } in recording.upsets_at(cycle) {
            lockstep.upset(memory, *entry, *bit).map_err(|error| match error {
                Error::Upset { .. } => Error::Replay {
                    path: self.file.to_owned(),
                    what: format!("an upset of cycle {cycle} cannot be: {error}"),
                },
                other => other,
            })?;
        }
        Ok(())
    }
}

/// Replays a file, with a waveform of all of it if wanted.
///
/// # Errors
/// The mismatch that the file shows, or bad input.
pub fn run(file: &Path, wave: Option<PathBuf>) -> Result<(Device, Totals)> {
    let device = Recording::device_of(file)?;
    let totals = device.with_model(Replay { file, wave })?;
    Ok((device, totals))
}
