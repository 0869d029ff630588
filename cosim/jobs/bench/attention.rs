// SPDX-License-Identifier: Apache-2.0
//! How close attention comes to the banks' read port and to the array's multipliers.

use anyhow::bail;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_model::numerics::{E8m0, MxInt8Block};
use tandem_testbenches::ModelOnly;
use tandem_testbenches::array::Stream;
use tandem_testbenches::attention::pages::{Tile, pack};
use tandem_testbenches::attention::{EngineDriver, Job, JobResult, Queries, Session};
use tandem_testbenches::random::{Flavour, Source};

use super::{Better, Figure, SMALL};
use crate::engine::unbox;
use crate::interrupt;
use crate::jobs::as_f64;

const HEAD_DIM: usize = 128;
const BLOCKS: usize = HEAD_DIM / 32;

/// K and V of random codes.
fn session(int8: bool, tokens: usize) -> Session {
    let mut source = Source::new(tokens as u64, Flavour::Plain);
    let mut stream = || {
        if int8 {
            Stream::Int8((0..tokens * BLOCKS).map(|_| source.int8_block()).collect())
        } else {
            Stream::Fp4((0..tokens * BLOCKS).map(|_| source.fp4_block()).collect())
        }
    };
    Session { head_dim: HEAD_DIM, keys: stream(), values: stream() }
}

/// A query per row of the array, at these positions.
fn queries(positions: Vec<u32>, causal: bool) -> Queries {
    let mut source = Source::new(1, Flavour::Plain);
    // Small enough that no score leaves the fixed point.
    let mut block = |_| MxInt8Block { scale: E8m0::from_code(113), ..source.int8_block() };
    let rows = positions.iter().map(|_| (0..BLOCKS).map(&mut block).collect()).collect();
    Queries { rows, positions, causal, window: 0 }
}

fn position(token: usize) -> u32 {
    u32::try_from(token).expect("bench sessions are short")
}

/// Runs heads in a chain on the model. Returns the cycles from the first write of q to the last result.
fn cycles(
    driver: &mut EngineDriver<'_>,
    jobs: &[Job<'_>],
    fill_first: bool,
) -> anyhow::Result<(u64, Vec<JobResult>)> {
    let mut start = None;
    let results = driver.run(jobs, fill_first, &mut |progress| {
        start.get_or_insert(progress.now - 1);
        Ok(interrupt::check()?)
    });
    let results = results.map_err(unbox)?;
    let last = results.iter().map(|r| r.end).max().unwrap_or(0);
    Ok((last - start.unwrap_or(0), results))
}

const HOW: &str = "8 rows x 64 lanes, d = 128; cycles from the first write of q to the last result, on the model, which lockstep \
                   holds equal to the RTL";

/// Heads of these lengths in a chain, a decoding row group each.
fn decode(name: &str, int8: bool, lengths: &[usize], reach: Option<f64>) -> anyhow::Result<Figure> {
    let sessions: Vec<Session> = lengths.iter().map(|&tokens| session(int8, tokens)).collect();
    let pages: Vec<Vec<Tile>> = sessions.iter().map(|s| pack(s, SMALL)).collect();
    let rows: Vec<Queries> =
        lengths.iter().map(|&tokens| queries(vec![position(tokens - 1); SMALL.rows], true)).collect();
    let heads = sessions.iter().zip(&pages).zip(&rows);
    let jobs: Vec<Job<'_>> =
        heads.map(|((session, pages), queries)| Job { session, pages, queries, resident: None }).collect();
    let mut dut = ModelOnly { model: AttentionEngine::new(SMALL) };
    let mut driver = EngineDriver::new(SMALL, &mut dut).map_err(unbox)?;
    let (cycles, results) = cycles(&mut driver, &jobs, true)?;
    let bytes: u64 = results.iter().map(|r| r.payload).sum();
    let words: u64 = results.iter().map(|r| r.words).sum();
    let format = if int8 { "int8" } else { "fp4" };
    let value = as_f64(bytes) / as_f64(cycles * SMALL.word_bytes() as u64);
    if value > 1.0 {
        bail!("attention {name} {format}: utilisation {value:.4} is above 1, the accounting is wrong");
    }
    Ok(Figure {
        name: format!("attention_{name}_{format}_utilisation"),
        value,
        reach,
        better: Better::Higher,
        unit: "of the port limit",
        how: format!(
            "{bytes} bytes of elements and scales, each once, through 64 bytes a cycle ({words} words) in {cycles} \
             cycles; {HOW}. The banks hold the first 512 KiB when the first command comes, the rest is filled in while \
             tiles are read"
        ),
    })
}

/// A prompt of 512 tokens onto an empty cache, eight queries at a time.
fn prefill(int8: bool, causal: bool, reach: Option<f64>) -> anyhow::Result<Figure> {
    const TOKENS: usize = 512;
    let session = session(int8, TOKENS);
    let pages = pack(&session, SMALL);
    let passes: Vec<Queries> = (0..TOKENS)
        .step_by(SMALL.rows)
        .map(|first| queries((first..first + SMALL.rows).map(position).collect(), causal))
        .collect();
    let mut dut = ModelOnly { model: AttentionEngine::new(SMALL) };
    let mut driver = EngineDriver::new(SMALL, &mut dut).map_err(unbox)?;
    let base = driver.keep(&session, &pages).map_err(unbox)?;
    let jobs: Vec<Job<'_>> = passes
        .iter()
        .map(|queries| Job { session: &session, pages: &pages, queries, resident: Some(base) })
        .collect();
    let (cycles, results) = cycles(&mut driver, &jobs, false)?;
    let words: u64 = results.iter().map(|r| r.words).sum();
    let seen = |row: usize| if causal { row + 1 } else { TOKENS };
    let macs: usize = (0..TOKENS).map(|row| 2 * HEAD_DIM * seen(row)).sum();
    // An E2M1 product takes one multiplier, an INT8 product two.
    let per_cycle = SMALL.rows * SMALL.lanes() * if int8 { 1 } else { 2 };
    let value = as_f64(macs as u64) / as_f64(cycles * per_cycle as u64);
    let mask = if causal { "causal" } else { "full" };
    let format = if int8 { "int8" } else { "fp4" };
    if value > 1.0 || words > cycles {
        bail!(
            "attention prefill {mask} {format}: {value:.4} of the multipliers, {words} words in {cycles} cycles"
        );
    }
    Ok(Figure {
        name: format!("attention_prefill_{mask}_{format}_utilisation"),
        value,
        reach,
        better: Better::Higher,
        unit: "of the MACs",
        how: format!(
            "{macs} products that rows see, {per_cycle} a cycle, in {cycles} cycles; {words} words crossed the port, which \
             is {:.4} of its limit; {HOW}",
            as_f64(words) / as_f64(cycles)
        ),
    })
}

/// All figures of attention.
///
/// # Errors
/// When the engine fails, or a utilisation is above its limit.
pub fn figures() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for int8 in [false, true] {
        figures.push(decode("decode_512", int8, &[512], None)?);
        figures.push(decode("decode_2k", int8, &[2048], Some(0.93))?);
        figures.push(decode("decode_16k", int8, &[16384], Some(0.99))?);
        figures.push(decode("chain_8x512", int8, &[512; 8], Some(0.95))?);
        let ragged = [512, 16384, 700, 1023, 9000, 2048, 4097, 6001];
        figures.push(decode("ragged_8", int8, &ragged, Some(0.95))?);
        figures.push(prefill(int8, true, Some(0.90))?);
        figures.push(prefill(int8, false, Some(0.95))?);
    }
    Ok(figures)
}
