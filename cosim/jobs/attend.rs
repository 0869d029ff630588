// SPDX-License-Identifier: Apache-2.0
//! The main job: the attention of every layer and head of a checkpoint, for every token of a prompt, as commands
//! for the core.

use std::f32::consts::LOG2_E;

use anyhow::bail;
use serde::Serialize;
use tandem_host::{Forward, Observer, Rows};
use tandem_model::attention::types::HeadShape;
use tandem_model::control::command::Command;
use tandem_model::control::types::{CommandFlags, MAX_ROWS, OPCODE_ATTEND, OPCODE_LOAD};
use tandem_model::layout::{pack_operands, pack_region, result_bytes};
use tandem_model::memory::types::AXI_BYTES;
use tandem_testbenches::WrongAnswer;
use tandem_testbenches::attention::pages::PageLayout;
use tandem_testbenches::attention::{Job, Queries, Session, Traffic};
use tandem_testbenches::core::Finished;

use super::draft::{CoreOfJob, Draft};
use super::{Deviation, Format, Options, Totals, as_f64, blocks, int8, laid_out, results};

/// The query heads that share one head of K and V.
#[derive(Clone, Debug, Serialize)]
pub struct HeadReport {
    /// Layer.
    pub layer: usize,
    /// Head of K and V.
    pub kv_head: usize,
    /// First and last head of q.
    pub heads: (usize, usize),
    /// Tokens, each of which attends to itself and those before it.
    pub tokens: usize,
    /// Passes over K and V: rows of queries by rows of the core.
    pub passes: usize,
    /// Beats: words of elements.
    pub beats: u64,
    /// Cycles, from the completion of what came before to its own.
    pub cycles: u64,
    /// Bytes of elements and scales that every pass needs, by what the memory port could bring in these cycles.
    pub utilisation: f64,
    /// Relative L2 error against binary64 on the same codes: what the core's numbers cost.
    pub error: f64,
    /// Relative L2 error against the unquantised q, k and v: what the formats cost, too.
    pub quantisation: f64,
    /// Rows with a score beyond the fixed point or a result beyond binary32: no error is promised for them.
    pub beyond: u64,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Format of K and V.
    pub kv: Format,
    /// Heads done.
    pub heads: Vec<HeadReport>,
    /// Heads of K and V that there are, in all layers.
    pub of_heads: usize,
    /// In all.
    #[serde(flatten)]
    pub totals: Totals,
}

/// A layer's operands of attention, `[tokens, heads * head_dim]` each.
struct Layer {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
}

/// Keeps every layer's operands.
#[derive(Default)]
struct Operands {
    layers: Vec<Layer>,
}

impl Observer for Operands {
    fn attention_input(&mut self, _: usize, q: Rows<'_>, k: Rows<'_>, v: Rows<'_>) {
        self.layers.push(Layer { q: q.data.to_vec(), k: k.data.to_vec(), v: v.data.to_vec() });
    }
}

/// Shape of the checkpoint's attention.
#[derive(Clone, Copy)]
struct Shape {
    tokens: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
}

impl Shape {
    /// Heads of q that share one of K and V.
    const fn group(self) -> usize {
        self.heads / self.kv_heads
    }

    /// One token's head out of a row of heads.
    fn head(self, data: &[f32], heads: usize, token: usize, head: usize) -> &[f32] {
        &data[(token * heads + head) * self.head_dim..][..self.head_dim]
    }
}

/// A head of K and V with all that attend to it.
struct Head {
    session: Session,
    /// (token, head of q) of every row of every pass.
    rows: Vec<Vec<(usize, usize)>>,
    passes: Vec<Queries>,
    /// Where the results of each pass go.
    destinations: Vec<u64>,
}

/// What the results of a head are worth.
struct Judged {
    error: f64,
    quantisation: f64,
    beyond: u64,
}

impl Head {
    fn new(options: &Options, shape: Shape, layer: &Layer, kv_head: usize) -> Self {
        let geometry = options.geometry;
        let stream = |data: &[f32]| {
            let tokens = (0..shape.tokens).map(|t| shape.head(data, shape.kv_heads, t, kv_head));
            options.format.stream(tokens)
        };
        let session = Session { head_dim: shape.head_dim, keys: stream(&layer.k), values: stream(&layer.v) };
        let heads = kv_head * shape.group()..(kv_head + 1) * shape.group();
        let all: Vec<_> = (0..shape.tokens).flat_map(|t| heads.clone().map(move |h| (t, h))).collect();
        let rows: Vec<Vec<_>> = all.chunks(geometry.rows).map(<[_]>::to_vec).collect();
        // Powers of two and the scores' scale are q's, before it is quantised (docs/numerics.md).
        let fold = LOG2_E / f32::from(u16::try_from(shape.head_dim).expect("64 or 128")).sqrt();
        let query = |&(token, head): &(usize, usize)| {
            let folded: Vec<f32> =
                shape.head(&layer.q, shape.heads, token, head).iter().map(|q| q * fold).collect();
            blocks(&folded, int8).collect()
        };
        let pass = |rows: &Vec<(usize, usize)>| Queries {
            rows: rows.iter().map(query).collect(),
            positions: rows.iter().map(|&(t, _)| u32::try_from(t).expect("a position")).collect(),
            causal: true,
            window: 0,
        };
        let passes = rows.iter().map(pass).collect();
        Self { session, rows, passes, destinations: Vec::new() }
    }

    /// Puts K, V and q into memory and adds the commands: a pass after the other, each with as many rows as the core has.
    fn issue(&mut self, draft: &mut Draft, options: &Options) -> anyhow::Result<()> {
        let (segments, session) = (options.geometry.segments, &self.session);
        let (int8, wide) = (session.int8(), session.head_dim == 128);
        let region = pack_region(segments, wide, laid_out(&session.keys), laid_out(&session.values));
        let region = draft.place(region);
        let grouped = HeadShape::new(segments, int8, wide).groups > 1;
        for queries in &self.passes {
            let rows = queries.rows.len();
            let of_rows = Command { rows: u8::try_from(rows)?, ..Command::default() };
            let load = Command {
                opcode: u8::try_from(OPCODE_LOAD)?,
                flags: CommandFlags { int8, grouped, ..CommandFlags::default() },
                source: draft.place(pack_operands(session.blocks(), &queries.rows.concat())),
                length: u32::try_from(session.head_dim)?,
                ..of_rows
            };
            let mut positions = [0; MAX_ROWS];
            positions[..rows].copy_from_slice(&queries.positions);
            let attend = Command {
                opcode: u8::try_from(OPCODE_ATTEND)?,
                flags: CommandFlags { int8, wide, causal: queries.causal, ..CommandFlags::default() },
                source: region,
                count: u32::try_from(session.tokens())?,
                length: queries.window,
                positions,
                ..of_rows
            };
            self.destinations.push(draft.pair(load, attend, result_bytes(rows, session.head_dim)));
        }
        Ok(())
    }

    /// What all passes need of K and V.
    fn traffic(&self, options: &Options) -> Traffic {
        let layout = PageLayout::of(&self.session, options.geometry);
        let job = |queries| Job { session: &self.session, pages: &[], queries, resident: None };
        let needed = self.passes.iter().filter_map(|queries| job(queries).needed(options.geometry));
        needed.map(|needed| needed.traffic(layout)).fold(Traffic::default(), |sum, of| Traffic {
            words: sum.words + of.words,
            beats: sum.beats + of.beats,
            payload: sum.payload + of.payload,
        })
    }

    /// Compares results with the untimed reference, bit for bit, and with binary64, within the documented bound.
    fn judge(
        &self,
        options: &Options,
        shape: Shape,
        layer: &Layer,
        finished: &Finished,
    ) -> anyhow::Result<Judged> {
        let (mut error, mut quantisation) = (Deviation::default(), Deviation::default());
        let mut beyond = 0;
        for ((queries, rows), &at) in self.passes.iter().zip(&self.rows).zip(&self.destinations) {
            let values = results(finished, at, rows.len(), shape.head_dim);
            let figures = self.session.figures(options.geometry, queries);
            let want = self.session.attend(options.geometry, queries);
            for (row, &(token, head)) in rows.iter().enumerate() {
                let (figures, want) = (&figures[row], &want[row]);
                if values[row] != want.values {
                    return Err(WrongAnswer(format!("token {token}, head {head}")).into());
                }
                let values: Vec<f64> =
                    want.values.iter().map(|&bits| f64::from(f32::from_bits(bits))).collect();
                // The bound is promised where no flag says that a number left its range.
                if want.flags.clamped || want.flags.overflow {
                    beyond += 1;
                } else {
                    within(&values, &figures.exact, &figures.bound, token, head)?;
                }
                error.add(&values, figures.exact.iter().copied());
                quantisation.add(&values, unquantised(shape, layer, token, head));
            }
        }
        Ok(Judged { error: error.relative(), quantisation: quantisation.relative(), beyond })
    }
}

/// Every result must lie within the bound of docs/numerics.md, "Error of attention".
fn within(values: &[f64], exact: &[f64], bound: &[f64], token: usize, head: usize) -> anyhow::Result<()> {
    for (element, ((value, exact), bound)) in values.iter().zip(exact).zip(bound).enumerate() {
        if (value - exact).abs() > *bound {
            let what = format!(
                "token {token}, head {head}, element {element}: {value} instead of {exact}, beyond the bound {bound:e}"
            );
            return Err(WrongAnswer(what).into());
        }
    }
    Ok(())
}

/// Attention of one token and head in binary64, on the operands as the forward pass has them.
fn unquantised(shape: Shape, layer: &Layer, token: usize, head: usize) -> Vec<f64> {
    let kv_head = head / shape.group();
    let q = shape.head(&layer.q, shape.heads, token, head);
    let root = as_f64(shape.head_dim as u64).sqrt();
    let score = |t: usize| {
        let k = shape.head(&layer.k, shape.kv_heads, t, kv_head);
        q.iter().zip(k).map(|(&q, &k)| f64::from(q) * f64::from(k)).sum::<f64>() / root
    };
    let scores: Vec<f64> = (0..=token).map(score).collect();
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - highest).exp()).collect();
    let total: f64 = weights.iter().sum();
    let mut mixed = vec![0.0; shape.head_dim];
    for (t, weight) in weights.iter().enumerate() {
        let v = shape.head(&layer.v, shape.kv_heads, t, kv_head);
        mixed.iter_mut().zip(v).for_each(|(m, &v)| *m += weight / total * f64::from(v));
    }
    mixed
}

/// Runs the job, the heads of a layer in one program. `each` is told every head as its layer is done.
///
/// # Errors
/// Bad input, a mismatch, or a result beyond its bound.
pub fn run(options: &Options, mut each: impl FnMut(&HeadReport)) -> anyhow::Result<Report> {
    // First what fails fast.
    let mut core = CoreOfJob::new(options)?;
    let (checkpoint, ids) = options.load()?;
    let config = &checkpoint.config;
    if ![64, 128].contains(&config.head_dim) {
        bail!("the core attends with heads of 64 or 128, the checkpoint's have {}", config.head_dim);
    }
    let shape = Shape {
        tokens: ids.len(),
        heads: config.num_attention_heads,
        kv_heads: config.num_key_value_heads,
        head_dim: config.head_dim,
    };
    let forward = Forward::new(&checkpoint)?;
    let mut operands = Operands::default();
    forward.step(&mut forward.cache(), &ids, &mut operands)?;

    let mut report = Report {
        kv: options.format,
        heads: Vec::new(),
        of_heads: operands.layers.len() * shape.kv_heads,
        totals: Totals::new(options, ids.len()),
    };
    for (index, layer) in operands.layers.iter().enumerate() {
        let done = attend_layer(&mut core, options, shape, layer, index);
        let Some(done) = report.totals.unless_interrupted(done)? else { break };
        done.iter().for_each(&mut each);
        report.heads.extend(done);
    }
    core.finish(&mut report.totals)?;
    Ok(report)
}

/// The heads of one layer.
fn attend_layer(
    core: &mut CoreOfJob,
    options: &Options,
    shape: Shape,
    layer: &Layer,
    index: usize,
) -> anyhow::Result<Vec<HeadReport>> {
    let mut heads: Vec<Head> = (0..shape.kv_heads).map(|h| Head::new(options, shape, layer, h)).collect();
    // Chunks of q are the parts of the head.
    let parts = HeadShape::new(options.geometry.segments, options.format == Format::Int8, shape.head_dim == 128).parts;
    let mut draft = Draft::new(options.geometry, parts);
    for head in &mut heads {
        head.issue(&mut draft, options)?;
    }
    let finished = core.run(&draft.prepare()?, &format!("layer {index}"))?;

    let (mut start, mut commands) = (finished.start, finished.completions.iter());
    let mut reports = Vec::new();
    for (kv_head, head) in heads.iter().enumerate() {
        let Judged { error, quantisation, beyond } = head.judge(options, shape, layer, &finished)?;
        let own = commands.by_ref().take(2 * head.passes.len());
        let end = own.map(|completion| completion.done).max().unwrap_or(start);
        let (cycles, Traffic { beats, payload, .. }) = (end - start, head.traffic(options));
        start = end;
        reports.push(HeadReport {
            layer: index,
            kv_head,
            heads: (kv_head * shape.group(), (kv_head + 1) * shape.group() - 1),
            tokens: shape.tokens,
            passes: head.passes.len(),
            beats,
            cycles,
            utilisation: as_f64(payload) / as_f64(cycles * AXI_BYTES as u64),
            error,
            quantisation,
            beyond,
        });
    }
    Ok(reports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_beyond_the_bound_is_refused() {
        assert!(within(&[1.0, 2.5], &[1.0, 2.0], &[0.0, 0.5], 3, 1).is_ok());
        let error = within(&[1.0, 2.51], &[1.0, 2.0], &[0.0, 0.5], 3, 1).unwrap_err();
        assert!(
            error.is::<WrongAnswer>() && error.to_string().contains("token 3, head 1, element 1"),
            "{error}"
        );
    }
}
