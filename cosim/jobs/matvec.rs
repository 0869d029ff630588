// SPDX-License-Identifier: Apache-2.0
//! The main job: every weight matrix of a checkpoint, with the prompt's real activations, through the array.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::Context;
use serde::Serialize;
use tandem_host::{Forward, Linear, Observer, Rows};
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::devices::{Device, Kind};
use tandem_model::numerics::{BLOCK_LEN, MxInt8Block};
use tandem_testbenches::WrongAnswer;
use tandem_testbenches::array::{ArrayDriver, Matrix, Stalls, Stationary, Stream, run_gemv};

use super::{Deviation, Format, Options, Totals, as_f64, blocks, int8, progress};
use crate::engine::{Runner, unbox};
use crate::interrupt;

/// One matrix.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixReport {
    /// Layer, none for the head.
    pub layer: Option<usize>,
    /// Name within the layer.
    pub matrix: String,
    /// Output features.
    pub rows: usize,
    /// Input features.
    pub columns: usize,
    /// Passes over the matrix: tokens of the prompt by rows of the array.
    pub passes: usize,
    /// Beats.
    pub beats: u64,
    /// Cycles, fill and drain included.
    pub cycles: u64,
    /// Least cycles of the port by cycles taken.
    pub utilisation: f64,
    /// Relative L2 error against binary64 on the same codes: what the array's floats cost.
    pub error: f64,
    /// Relative L2 error against the unquantised weights and activations: what the formats cost.
    pub quantisation: f64,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Format of the weights.
    pub weights: Format,
    /// Matrices done.
    pub matrices: Vec<MatrixReport>,
    /// Matrices that there are.
    pub of_matrices: usize,
    /// In all.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Keeps every linear layer's input.
#[derive(Default)]
struct Inputs {
    by_matrix: BTreeMap<(Option<usize>, Linear), Vec<f32>>,
}

impl Observer for Inputs {
    fn linear_input(&mut self, layer: Option<usize>, linear: Linear, input: Rows<'_>) {
        self.by_matrix.insert((layer, linear), input.data.to_vec());
    }
}

/// Runs the job. `each` is told every matrix as it is done.
///
/// # Errors
/// Bad input, or a mismatch.
pub fn run(options: &Options, mut each: impl FnMut(&MatrixReport)) -> anyhow::Result<Report> {
    // First what fails fast.
    let geometry = options.geometry;
    let device = Device::of(Kind::Array, geometry);
    let mut runner = Runner::new(
        options.engine,
        device,
        SystolicArray::new(geometry),
        options.seed,
        &options.failure,
        options.wave.as_deref(),
    )?;
    let (checkpoint, ids) = options.load()?;
    let forward = Forward::new(&checkpoint)?;
    let mut inputs = Inputs::default();
    forward.step(&mut forward.cache(), &ids, &mut inputs)?;

    let linears: Vec<_> = checkpoint.linears().collect();
    let mut report = Report {
        weights: options.format,
        matrices: Vec::new(),
        of_matrices: linears.len(),
        totals: Totals::new(options.engine, geometry, ids.len()),
    };
    let start = Instant::now();
    {
        let mut driver = ArrayDriver::new(geometry, runner.dut()).map_err(unbox)?;
        if let Some(seed) = options.stalls {
            driver.stall(Stalls::new(seed));
        }
        for (layer, linear, weights) in linears {
            let blocks_per_row = weights.cols.div_ceil(BLOCK_LEN);
            let stream = options.format.stream(weights.data.chunks(weights.cols));
            let matrix = Matrix { features: weights.rows, blocks: blocks_per_row, weights: stream };
            let activations = inputs
                .by_matrix
                .get(&(layer, linear))
                .with_context(|| format!("the forward pass never reached {linear}"))?;
            let x: Vec<_> = activations.chunks(weights.cols).flat_map(|row| blocks(row, int8)).collect();
            let exact = Unquantised { weights: &weights.data, activations, columns: weights.cols };
            let measured = matvec(&mut driver, &matrix, &x, &exact, &label(layer, linear));
            let Some(measured) = report.totals.unless_interrupted(measured)? else { break };
            let done = MatrixReport {
                layer,
                matrix: linear.to_string(),
                rows: weights.rows,
                columns: weights.cols,
                ..measured
            };
            each(&done);
            report.matrices.push(done);
        }
        report.totals.cycles = driver.now();
    }
    report.totals.finish(runner.finish()?, start.elapsed().as_secs_f64());
    Ok(report)
}

fn label(layer: Option<usize>, linear: Linear) -> String {
    layer.map_or_else(|| linear.to_string(), |l| format!("layer {l} {linear}"))
}

/// One matrix, all tokens, as many at a time as the array has rows.
fn matvec(
    driver: &mut ArrayDriver<'_>,
    matrix: &Matrix,
    x: &[MxInt8Block],
    exact: &Unquantised<'_>,
    label: &str,
) -> anyhow::Result<MatrixReport> {
    let geometry = driver.geometry();
    let passes: Vec<_> = x.chunks(geometry.rows * matrix.blocks).collect();
    let words = matrix.port_words(geometry) * passes.len() as u64;
    let bar = progress(words, label);
    let (mut beats, mut cycles) = (0, 0);
    let (mut error, mut quantisation) = (Deviation::default(), Deviation::default());
    for (index, pass) in passes.iter().enumerate() {
        let stationary = Stationary { blocks: matrix.blocks, values: pass.to_vec() };
        let run = run_gemv(driver, matrix, &stationary, &mut |done| {
            bar.set_position(beats + done);
            Ok(interrupt::check()?)
        });
        let run = run.map_err(unbox)?;
        beats += run.traffic.beats;
        cycles += run.cycles;
        for row in 0..stationary.rows() {
            let x = &pass[row * matrix.blocks..][..matrix.blocks];
            let results: Vec<f64> =
                run.results.iter().skip(row).step_by(geometry.rows).map(|r| r.to_f64()).collect();
            let codes: Vec<Codes> = same_codes(matrix, x).collect();
            judge(&results, &codes, matrix.blocks)?;
            error.add(&results, codes.iter().map(|c| c.sum));
            quantisation.add(&results, exact.products(index * geometry.rows + row));
        }
    }
    bar.finish_and_clear();
    Ok(MatrixReport {
        layer: None,
        matrix: String::new(),
        rows: 0,
        columns: 0,
        passes: passes.len(),
        beats,
        cycles,
        utilisation: as_f64(words) / as_f64(cycles),
        error: error.relative(),
        quantisation: quantisation.relative(),
    })
}

/// One product in binary64 on the codes that the array sees.
struct Codes {
    sum: f64,
    /// Sum of the blocks' magnitudes: what the error bound scales with.
    magnitudes: f64,
}

/// A token's products, feature by feature. A block without a number (scale code 255) counts as 0, as in the array.
fn same_codes<'a>(matrix: &'a Matrix, x: &[MxInt8Block]) -> impl Iterator<Item = Codes> + use<'a> {
    let x: Vec<_> = x.iter().map(MxInt8Block::dequantise_f64).collect();
    let dot = |w: [f64; BLOCK_LEN], x: &[f64; BLOCK_LEN]| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    (0..matrix.features).map(move |feature| {
        let range = feature * matrix.blocks..(feature + 1) * matrix.blocks;
        let blocks: Vec<f64> = match &matrix.weights {
            Stream::Fp4(w) => w[range].iter().zip(&x).map(|(w, x)| dot(w.dequantise_f64(), x)).collect(),
            Stream::Int8(w) => w[range].iter().zip(&x).map(|(w, x)| dot(w.dequantise_f64(), x)).collect(),
        };
        let numbers = || blocks.iter().filter(|b| !b.is_nan());
        Codes { sum: numbers().sum(), magnitudes: numbers().map(|b| b.abs()).sum() }
    })
}

/// Every result must lie within the bound of docs/numerics.md, "Error of a dot product".
fn judge(results: &[f64], codes: &[Codes], blocks: usize) -> anyhow::Result<()> {
    let additions = as_f64(blocks as u64) * 2f64.powi(-24);
    // One part in 2^40 more, for binary64's own rounding.
    let gamma = additions / (1.0 - additions) + 2f64.powi(-40);
    for (feature, (result, Codes { sum, magnitudes })) in results.iter().zip(codes).enumerate() {
        if (result - sum).abs() > gamma * magnitudes {
            let bound = gamma * magnitudes;
            let what = format!("feature {feature}: {result} instead of {sum}, beyond the bound {bound:e}");
            return Err(WrongAnswer(what).into());
        }
    }
    Ok(())
}

/// Weights and activations as the checkpoint and the forward pass have them.
struct Unquantised<'a> {
    weights: &'a [f32],
    activations: &'a [f32],
    columns: usize,
}

impl Unquantised<'_> {
    /// A token's products in binary64, feature by feature.
    fn products(&self, token: usize) -> impl Iterator<Item = f64> {
        let x = &self.activations[token * self.columns..][..self.columns];
        let dot = move |w: &[f32]| w.iter().zip(x).map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
        self.weights.chunks(self.columns).map(dot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_beyond_the_bound_is_refused() {
        let codes = [Codes { sum: 3.0, magnitudes: 5.0 }];
        assert!(judge(&[3.0 + 2f64.powi(-23)], &codes, 4).is_ok());
        let error = judge(&[3.0 + 2f64.powi(-18)], &codes, 4).unwrap_err();
        assert!(error.is::<WrongAnswer>() && error.to_string().contains("feature 0"), "{error}");
    }
}
