// SPDX-License-Identifier: Apache-2.0
//! Contents from a seed: numbers of a bell curve, quantised and laid out as the core reads them.

use tandem_model::layout::{Blocks, pack_operands, pack_records, pack_region, pack_weights};
use tandem_model::numerics::{BLOCK_LEN, MxFp4Block, MxInt8Block, ScaleRule};

use super::file::{Format, Operands, Records, Session, Weights};
use super::{Wrong, wrong};

/// Most blocks of one region.
const MOST_BLOCKS: u64 = 1 << 24;

/// Numbers by seed and place, so that parts can be had without the whole.
#[derive(Clone, Copy)]
struct Numbers {
    seed: u64,
    magnitude: f32,
}

impl Numbers {
    /// The block of this number: mean 0, standard deviation `magnitude`.
    fn block(self, number: u64) -> [f32; BLOCK_LEN] {
        let mut state = mixed(self.seed ^ mixed(number));
        std::array::from_fn(|_| {
            // Twelve numbers of 16 bits: their sum is a bell curve of deviation 1.
            let mut sum = 0.0;
            for _ in 0..3 {
                state = mixed(state);
                let parts = state.to_le_bytes();
                sum += parts
                    .chunks(2)
                    .map(|pair| f32::from(u16::from_le_bytes([pair[0], pair[1]])))
                    .sum::<f32>();
            }
            (sum / 65536.0 - 6.0) * self.magnitude
        })
    }

    fn fp4(self, numbers: impl Iterator<Item = u64>) -> Vec<MxFp4Block> {
        numbers.map(|number| MxFp4Block::quantise(&self.block(number), ScaleRule::Even).block).collect()
    }

    fn int8(self, numbers: impl Iterator<Item = u64>) -> Vec<MxInt8Block> {
        numbers.map(|number| MxInt8Block::quantise(&self.block(number), ScaleRule::Even).block).collect()
    }
}

/// A step of the `SplitMix64` generator.
const fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Blocks of so many features.
fn blocks(place: &str, features: u64) -> Result<u64, Wrong> {
    let block = BLOCK_LEN as u64;
    if features == 0 || !features.is_multiple_of(block) {
        return wrong(place, format!("a positive multiple of {block}"), features.to_string());
    }
    Ok(features / block)
}

fn limited(place: &str, rows: u64, blocks: u64) -> Result<u64, Wrong> {
    match rows.checked_mul(blocks) {
        Some(all) if all > 0 && all <= MOST_BLOCKS => Ok(all),
        _ => wrong(
            place,
            format!("from one to {MOST_BLOCKS} blocks of {BLOCK_LEN} numbers"),
            format!("{rows} x {blocks}"),
        ),
    }
}

fn size(n: u64) -> usize {
    usize::try_from(n).expect("limited")
}

/// x or q.
pub(super) fn operands(place: &str, of: &Operands) -> Result<Vec<u8>, Wrong> {
    let row = blocks(&format!("{place}, features"), of.features)?;
    let all = limited(place, of.rows, row)?;
    let numbers = Numbers { seed: of.seed, magnitude: of.magnitude };
    Ok(pack_operands(size(row), &numbers.int8(0..all)))
}

/// W.
pub(super) fn weights(place: &str, of: &Weights, segments: usize) -> Result<Vec<u8>, Wrong> {
    let row = blocks(&format!("{place}, inputs"), of.inputs)?;
    let all = limited(place, of.outputs, row)?;
    let numbers = Numbers { seed: of.seed, magnitude: of.magnitude };
    Ok(match of.format {
        Format::Fp4 => pack_weights(segments, size(row), Blocks::Fp4(&numbers.fp4(0..all))),
        Format::Int8 => pack_weights(segments, size(row), Blocks::Int8(&numbers.int8(0..all))),
    })
}

/// Tiles of K and V.
pub(super) fn session(place: &str, of: &Session, segments: usize) -> Result<Vec<u8>, Wrong> {
    let &Session { tokens, head, seed, format, magnitude } = of;
    let tokens = Records { first: 0, tokens, head, seed, format, magnitude };
    key_values(place, &tokens, |wide, keys, values| pack_region(segments, wide, keys, values))
}

/// Records of tokens.
pub(super) fn records(place: &str, of: &Records) -> Result<Vec<u8>, Wrong> {
    key_values(place, of, pack_records)
}

fn key_values(
    place: &str,
    of: &Records,
    pack: impl Fn(bool, Blocks<'_>, Blocks<'_>) -> Vec<u8>,
) -> Result<Vec<u8>, Wrong> {
    if !matches!(of.head, 64 | 128) {
        return wrong(format!("{place}, head"), "64 or 128", of.head.to_string());
    }
    let token = of.head / BLOCK_LEN as u64;
    limited(place, of.tokens, token)?;
    limited(place, of.first + 1, token)?;
    let range = of.first * token..(of.first + of.tokens) * token;
    // K and V are two series of numbers.
    let series = |seed| Numbers { seed, magnitude: of.magnitude };
    let (keys, values) = (series(of.seed), series(mixed(of.seed)));
    let wide = of.head == 128;
    Ok(match of.format {
        Format::Fp4 => {
            let (k, v) = (keys.fp4(range.clone()), values.fp4(range));
            pack(wide, Blocks::Fp4(&k), Blocks::Fp4(&v))
        }
        Format::Int8 => {
            let (k, v) = (keys.int8(range.clone()), values.int8(range));
            pack(wide, Blocks::Int8(&k), Blocks::Int8(&v))
        }
    })
}
