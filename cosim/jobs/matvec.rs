// SPDX-License-Identifier: Apache-2.0
//! The main job: every weight matrix of a checkpoint, with the prompt's real activations, as commands for the core.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Serialize;
use tandem_host::{Forward, Linear, Observer, Rows};
use tandem_model::array::Geometry;
use tandem_model::control::command::Command;
use tandem_model::control::types::{CommandFlags, OPCODE_GEMV, OPCODE_LOAD, OPERAND_CHUNKS};
use tandem_model::layout::{pack_operands, pack_weights, result_bytes};
use tandem_model::memory::types::AXI_BYTES;
use tandem_model::numerics::{BLOCK_LEN, MxInt8Block};
use tandem_testbenches::WrongAnswer;
use tandem_testbenches::array::{Matrix, Stream};
use tandem_testbenches::core::Finished;

use super::draft::{CoreOfJob, Draft};
use super::{Deviation, Format, Options, Totals, as_f64, blocks, int8, laid_out, results};

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
    /// Beats: words of elements.
    pub beats: u64,
    /// Cycles, from the completion of what came before to its own.
    pub cycles: u64,
    /// Bytes of its elements and scales, once for each pass, by what the memory port could bring in these cycles.
    pub utilisation: f64,
    /// Relative L2 error against binary64 on the same codes: what the core's floats cost.
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

/// A matrix and its place in a program.
struct Work<'a> {
    layer: Option<usize>,
    linear: Linear,
    exact: Unquantised<'a>,
    matrix: Matrix,
    /// Token by token.
    x: Vec<MxInt8Block>,
    /// Where the results of each pass go.
    destinations: Vec<u64>,
}

/// Runs the job, the matrices of a layer in one program. `each` is told every matrix as its layer is done.
///
/// # Errors
/// Bad input, a mismatch, or a result beyond its bound.
pub fn run(options: &Options, mut each: impl FnMut(&MatrixReport)) -> anyhow::Result<Report> {
    // First what fails fast.
    let mut core = CoreOfJob::new(options)?;
    let (checkpoint, ids) = options.load()?;
    let linears: Vec<_> = checkpoint.linears().collect();
    for &(layer, linear, weights) in &linears {
        fits(options, &label(layer, linear), weights.cols)?;
    }
    let forward = Forward::new(&checkpoint)?;
    let mut inputs = Inputs::default();
    forward.step(&mut forward.cache(), &ids, &mut inputs)?;

    let mut report = Report {
        weights: options.format,
        matrices: Vec::new(),
        of_matrices: linears.len(),
        totals: Totals::new(options, ids.len()),
    };
    for layer in linears.chunk_by(|(one, ..), (other, ..)| one == other) {
        let done = matvec_layer(&mut core, options, &inputs, layer);
        let Some(done) = report.totals.unless_interrupted(done)? else { break };
        done.iter().for_each(&mut each);
        report.matrices.extend(done);
    }
    core.finish(&mut report.totals)?;
    Ok(report)
}

fn label(layer: Option<usize>, linear: Linear) -> String {
    layer.map_or_else(|| linear.to_string(), |l| format!("layer {l} {linear}"))
}

/// Chunks of operands that so many input features take.
const fn chunks(geometry: Geometry, format: Format, features: usize) -> usize {
    let of_chunk = match format {
        Format::Fp4 => 2 * geometry.segments,
        Format::Int8 => geometry.segments,
    };
    features.div_ceil(of_chunk * BLOCK_LEN)
}

/// Fails when a matrix has more input features than the operand files hold.
fn fits(options: &Options, label: &str, features: usize) -> anyhow::Result<()> {
    let Options { geometry, format, .. } = options;
    let needed = chunks(*geometry, *format, features);
    if needed > OPERAND_CHUNKS {
        bail!(
            "geometry {} has room for {OPERAND_CHUNKS} chunks of activations, the {features} input features of {label} take {needed}; use {}",
            geometry.name,
            "a checkpoint of smaller matrices"
        );
    }
    Ok(())
}

/// The matrices of one layer.
fn matvec_layer(
    core: &mut CoreOfJob,
    options: &Options,
    inputs: &Inputs,
    linears: &[(Option<usize>, Linear, &tandem_host::Matrix)],
) -> anyhow::Result<Vec<MatrixReport>> {
    let most = linears.iter().map(|(.., weights)| chunks(options.geometry, options.format, weights.cols)).max();
    let mut draft = Draft::new(options.geometry, most.unwrap_or(1));
    let mut works = Vec::new();
    for &(layer, linear, weights) in linears {
        let activations = inputs
            .by_matrix
            .get(&(layer, linear))
            .with_context(|| format!("the forward pass never reached {linear}"))?;
        let matrix = Matrix {
            features: weights.rows,
            blocks: weights.cols.div_ceil(BLOCK_LEN),
            weights: options.format.stream(weights.data.chunks(weights.cols)),
        };
        let exact = Unquantised { weights: &weights.data, activations, columns: weights.cols };
        let x = activations.chunks(weights.cols).flat_map(|row| blocks(row, int8)).collect();
        let mut work = Work { layer, linear, exact, matrix, x, destinations: Vec::new() };
        work.issue(&mut draft, options.geometry)?;
        works.push(work);
    }
    let prepared = draft.prepare()?;
    let label = linears.first().map_or_else(String::new, |&(layer, linear, _)| match layer {
        Some(layer) => format!("layer {layer}"),
        None => linear.to_string(),
    });
    let finished = core.run(&prepared, &label)?;

    let (mut start, mut commands) = (finished.start, finished.completions.iter());
    let mut reports = Vec::new();
    for work in &works {
        let passes = work.destinations.len();
        let own = commands.by_ref().take(2 * passes);
        let end = own.map(|completion| completion.done).max().unwrap_or(start);
        reports.push(work.report(options, &finished, end - start)?);
        start = end;
    }
    Ok(reports)
}

impl Work<'_> {
    /// Rows of a pass, with their results' address.
    fn passes(&self, geometry: Geometry) -> impl Iterator<Item = &[MxInt8Block]> {
        self.x.chunks(geometry.rows * self.matrix.blocks)
    }

    /// Puts matrix and activations into memory and adds the commands: all tokens, as many at a time as the core has rows.
    fn issue(&mut self, draft: &mut Draft, geometry: Geometry) -> anyhow::Result<()> {
        let Matrix { features, blocks, weights } = &self.matrix;
        let w = draft.place(pack_weights(geometry.segments, *blocks, laid_out(weights)));
        let flags = CommandFlags { int8: weights.is_int8(), ..CommandFlags::default() };
        let length = u32::try_from(blocks * BLOCK_LEN)?;
        let mut destinations = Vec::new();
        for pass in self.passes(geometry) {
            let rows = pass.len() / blocks;
            let both = Command { flags, rows: u8::try_from(rows)?, length, ..Command::default() };
            let source = draft.place(pack_operands(*blocks, pass));
            let load = Command { opcode: u8::try_from(OPCODE_LOAD)?, source, ..both };
            let count = u32::try_from(*features)?;
            let gemv = Command { opcode: u8::try_from(OPCODE_GEMV)?, source: w, count, ..both };
            destinations.push(draft.pair(load, gemv, result_bytes(rows, *features)));
        }
        self.destinations = destinations;
        Ok(())
    }

    /// Compares the results with binary64, within the documented bound. Bit for bit they have been compared already.
    fn report(&self, options: &Options, finished: &Finished, cycles: u64) -> anyhow::Result<MatrixReport> {
        let geometry = options.geometry;
        let Matrix { features, blocks, .. } = self.matrix;
        let (mut error, mut quantisation) = (Deviation::default(), Deviation::default());
        let mut tokens = 0;
        for (pass, &destination) in self.passes(geometry).zip(&self.destinations) {
            let rows = pass.len() / blocks;
            for (x, values) in pass.chunks(blocks).zip(results(finished, destination, rows, features)) {
                let values: Vec<f64> = values.into_iter().map(|bits| f32::from_bits(bits).into()).collect();
                let codes: Vec<Codes> = same_codes(&self.matrix, x).collect();
                judge(&values, &codes, blocks)?;
                error.add(&values, codes.iter().map(|c| c.sum));
                quantisation.add(&values, self.exact.products(tokens));
                tokens += 1;
            }
        }
        let passes = self.destinations.len();
        let beats = features * chunks(geometry, options.format, blocks * BLOCK_LEN) * passes;
        let payload = self.matrix.bytes() * passes as u64;
        Ok(MatrixReport {
            layer: self.layer,
            matrix: self.linear.to_string(),
            rows: features,
            columns: self.exact.columns,
            passes,
            beats: beats as u64,
            cycles,
            utilisation: as_f64(payload) / as_f64(cycles * AXI_BYTES as u64),
            error: error.relative(),
            quantisation: quantisation.relative(),
        })
    }
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

/// Every result must lie within the bound of docs/numerics.md, "Error of a dot product"; then it becomes binary32, which has as many
/// bits, but a smaller range.
fn judge(results: &[f64], codes: &[Codes], blocks: usize) -> anyhow::Result<()> {
    let additions = as_f64(blocks as u64) * 2f64.powi(-24);
    // One part in 2^40 more, for binary64's own rounding.
    let gamma = additions / (1.0 - additions) + 2f64.powi(-40);
    for (feature, (result, Codes { sum, magnitudes })) in results.iter().zip(codes).enumerate() {
        let bound = gamma * magnitudes + f64::from(f32::MIN_POSITIVE);
        if (result - sum.clamp(f32::MIN.into(), f32::MAX.into())).abs() > bound {
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
