// SPDX-License-Identifier: Apache-2.0
//! Random cases in lockstep until the time is up or something breaks.

use serde::Serialize;
use tandem_model::devices::{Device, Kind};
use tandem_testbenches::array::ArrayBench;
use tandem_testbenches::attention::AttentionBench;
use tandem_testbenches::collective::CollectiveBench;
use tandem_testbenches::control::{ControlBench, CountersBench};
use tandem_testbenches::core::CoreBench;
use tandem_testbenches::csr::CsrBench;
use tandem_testbenches::decoder::DecoderBench;
use tandem_testbenches::dma::DmaBench;
use tandem_testbenches::float::FloatBench;
use tandem_testbenches::framer::FramerBench;
use tandem_testbenches::gemv::GemvBench;
use tandem_testbenches::link::LinkBench;
use tandem_testbenches::memory_port::PortBench;
use tandem_testbenches::normaliser::NormaliserBench;
use tandem_testbenches::property::{Limits, Outcome, catching, check};
use tandem_testbenches::reader::ReaderBench;
use tandem_testbenches::results::ResultsBench;
use tandem_testbenches::segment::SegmentBench;
use tandem_testbenches::softmax::SoftmaxBench;
use tandem_testbenches::sram::SramBench;
use tandem_testbenches::stream::StreamBench;
use tandem_testbenches::vector::VectorBench;
use tandem_testbenches::{Bench, Dut, DutError};

use super::as_f64;
use crate::engine::{FailureFiles, unbox};
use crate::error::Error;
use crate::interrupt;
use crate::lockstep::Lockstep;

/// Block on the command line that stands for cores with whole models.
pub const DECODER: &str = "decoder";

/// What to fuzz.
#[derive(Clone, Debug)]
pub struct Options {
    /// The devices, one after the other.
    pub devices: Vec<Device>,
    /// Cores that decode with whole models, after these.
    pub decoders: Vec<Device>,
    /// How long to search in each.
    pub limits: Limits,
    /// Seed.
    pub seed: u64,
    /// Where failures go.
    pub failure: FailureFiles,
}

/// One device's campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Device.
    pub device: &'static str,
    /// What it was fuzzed as: its kind, or [`DECODER`].
    pub block: &'static str,
    /// Seed.
    pub seed: u64,
    /// Cases.
    pub cases: u64,
    /// Clocks.
    pub cycles: u64,
    /// Cases per second.
    pub cases_per_second: f64,
    /// Hits of every named corner.
    pub corners: Vec<(&'static str, u64)>,
}

/// Fuzzes one device after the other. `each` is told every campaign as it ends.
///
/// # Errors
/// The first failure, shrunk, with its replay file written.
pub fn run(options: &Options, mut each: impl FnMut(&Report)) -> anyhow::Result<Vec<Report>> {
    let mut reports = Vec::new();
    let devices = options.devices.iter().map(|device| (false, *device));
    for (decodes, device) in devices.chain(options.decoders.iter().map(|device| (true, *device))) {
        let report = match device.kind {
            Kind::Core if decodes => {
                campaign_of(&DecoderBench { geometry: device.geometry }, device, DECODER, options)
            }
            Kind::Float => campaign(&FloatBench, device, options),
            Kind::Segment => campaign(&SegmentBench { geometry: device.geometry }, device, options),
            Kind::Array => campaign(&ArrayBench { geometry: device.geometry }, device, options),
            Kind::Sram => campaign(&SramBench { geometry: device.geometry }, device, options),
            Kind::Softmax => campaign(&SoftmaxBench { geometry: device.geometry }, device, options),
            Kind::Normaliser => campaign(&NormaliserBench { geometry: device.geometry }, device, options),
            Kind::Attention => campaign(&AttentionBench { geometry: device.geometry }, device, options),
            Kind::Framer => campaign(&FramerBench, device, options),
            Kind::Link => campaign(&LinkBench { geometry: device.geometry }, device, options),
            Kind::Collective => campaign(&CollectiveBench { geometry: device.geometry }, device, options),
            Kind::Csr => campaign(&CsrBench::default(), device, options),
            Kind::Reader => campaign(&ReaderBench, device, options),
            Kind::Control => campaign(&ControlBench { geometry: device.geometry }, device, options),
            Kind::Counters => campaign(&CountersBench, device, options),
            Kind::Stream => campaign(&StreamBench { geometry: device.geometry }, device, options),
            Kind::Dma => campaign(&DmaBench { geometry: device.geometry }, device, options),
            Kind::Gemv => campaign(&GemvBench { geometry: device.geometry }, device, options),
            Kind::Results => campaign(&ResultsBench { geometry: device.geometry }, device, options),
            Kind::Port => campaign(&PortBench, device, options),
            Kind::Vector => campaign(&VectorBench, device, options),
            Kind::Core => campaign(&CoreBench { geometry: device.geometry }, device, options),
        }?;
        each(&report);
        reports.push(report);
        if interrupt::raised() {
            break;
        }
    }
    Ok(reports)
}

fn campaign<B: Bench>(bench: &B, device: Device, options: &Options) -> anyhow::Result<Report> {
    campaign_of(bench, device, device.kind.name(), options)
}

fn campaign_of<B: Bench>(
    bench: &B,
    device: Device,
    block: &'static str,
    options: &Options,
) -> anyhow::Result<Report> {
    let engine = |seed: u64| -> Result<Lockstep<B::Block>, Error> {
        let mut engine = Lockstep::linked(device.name, bench.model(), seed)?;
        engine.originate(format!("tandem fuzz --block {block} --seed {}", options.seed));
        Ok(engine)
    };
    let make = |seed| Ok::<Box<dyn Dut<B::Block>>, DutError>(Box::new(engine(seed)?));
    let bar = super::progress(0, device.name);
    let outcome: Outcome<B::Case> = check(bench, options.limits, options.seed, make, |cases| {
        bar.set_position(cases);
        interrupt::raised()
    });
    bar.finish_and_clear();
    if let Some(failure) = &outcome.failure {
        // Once more, with files.
        let mut engine = engine(failure.device_seed)?;
        let (replay, wave) = options.failure.paths(device.name, options.seed);
        engine.on_failure(Some(replay.clone()), Some(wave));
        let mut coverage = outcome.coverage.clone();
        let verdict = catching(|| {
            bench.run(&failure.case, &mut engine, &mut coverage)?;
            Dut::finish(&mut engine)
        });
        let error =
            verdict.err().unwrap_or_else(|| Error::Device("the failure did not repeat".to_owned()).into());
        let error = unbox(error);
        // A wrong answer on which RTL and model agree has no report with files; its stimulus is worth as much.
        let replay_line = if error.downcast_ref::<Error>().is_some_and(Error::is_verdict) {
            String::new()
        } else {
            match engine.recording().write(&replay) {
                Ok(()) => format!("\nreplay with: tandem replay {}", replay.display()),
                Err(e) => format!("\nno replay file: {e}"),
            }
        };
        let seed = options.seed;
        return Err(error.context(format!(
            "{} failed after {} cases (seed {seed}), shrunk to {:?}{replay_line}",
            device.name, outcome.cases, failure.case
        )));
    }
    Ok(Report {
        device: device.name,
        block,
        seed: options.seed,
        cases: outcome.cases,
        cycles: outcome.coverage.cycles(),
        cases_per_second: as_f64(outcome.cases) / outcome.seconds,
        corners: bench
            .corners()
            .iter()
            .map(|&c| (c, outcome.coverage.hits().get(c).copied().unwrap_or(0)))
            .collect(),
    })
}
