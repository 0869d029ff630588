// SPDX-License-Identifier: Apache-2.0
//! What the commands of the vector unit do to memory (docs/commands.md), from the definition.

use crate::numerics::{Float36, MxFp4Block, MxInt8Block};

use super::command::{BLOCK, DONE, Fields, INDEX, Kind, Target};
use super::image::{Image, WORD_BYTES};
use super::program::{Bytes, GROUP_FLOATS, Undefined, WORD, ended, undefined};
use super::vector;

/// Rows and heads of rows that the unit works on side by side, and rows of a command.
const ROWS: usize = 8;
/// Bytes of binary32.
const FLOAT_BYTES: usize = 4;

/// Cosines and sines of a position.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Angles {
    cosines: Vec<u32>,
    sines: Vec<u32>,
}

/// What the unit keeps from command to command.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Vector {
    /// Of each row, as the last Embed or Add has left it.
    scales: [Option<Float36>; ROWS],
    /// Of each row, as the last Angles has brought them.
    angles: [Option<Angles>; ROWS],
}

/// Bytes that are written, each run with its address.
#[derive(Default)]
struct Writes {
    runs: Vec<(u64, Vec<u8>)>,
}

impl Vector {
    /// Runs a command that obeys the rules, and says how it ended. Commands of other units do nothing.
    ///
    /// # Errors
    /// When it uses what nothing has defined.
    pub fn run(&mut self, image: &mut Image, fields: &Fields) -> Result<u8, Undefined> {
        let mut reader = Reader { image, refused: false };
        let mut index_error = false;
        let writes = match fields.kind() {
            Some(Kind::Embed) => self.embed(fields, &mut reader, &mut index_error)?,
            Some(Kind::Add) => self.add(fields, &mut reader)?,
            Some(Kind::Norm) => self.norm(fields, &mut reader)?,
            Some(Kind::Angles) => self.turn(fields, &mut reader)?,
            Some(Kind::Heads) => self.heads(fields, &mut reader)?,
            Some(Kind::Gate) => gate(fields, &mut reader)?,
            Some(Kind::Quantise) => quantise(fields, &mut reader)?,
            Some(Kind::Argmax) => argmax(fields, &mut reader)?,
            _ => return Ok(DONE),
        };
        let read_error = reader.refused;
        // All is written after a refused read, too, but nobody says what.
        let refused = !writes.apply(image, read_error);
        // What was read comes first, then the numbers of rows, then what was written.
        Ok(if index_error && !read_error { INDEX } else { ended(read_error, refused) })
    }

    fn embed(
        &mut self,
        fields: &Fields,
        reader: &mut Reader<'_>,
        index_error: &mut bool,
    ) -> Result<Writes, Undefined> {
        let features = size(fields.length);
        let numbers = reader.floats(fields.source, ROWS)?;
        let mut rows = Vec::new();
        for &number in &numbers[..fields.rows] {
            let beyond = u64::from(number) >= fields.count;
            *index_error |= beyond;
            let row = if beyond { 0 } else { u64::from(number) };
            let bytes = (features * FLOAT_BYTES) as u64;
            rows.push(vector::copied(&reader.floats(fields.second() + row * bytes, features)?));
        }
        self.leave_scales(fields, reader, &rows);
        Ok(Writes::results(fields.destination, &rows))
    }

    fn add(&mut self, fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
        let a = reader.results(fields.source, size(fields.length), fields.rows)?;
        let b = reader.results(fields.second(), size(fields.length), fields.rows)?;
        let rows: Vec<_> = a.iter().zip(&b).map(|(a, b)| vector::added(a, b)).collect();
        self.leave_scales(fields, reader, &rows);
        Ok(Writes::results(fields.destination, &rows))
    }

    /// Of the values before they become binary32.
    fn leave_scales(&mut self, fields: &Fields, reader: &Reader<'_>, rows: &[Vec<Float36>]) {
        self.scales = std::array::from_fn(|row| {
            let values = rows.get(row).filter(|_| !reader.refused)?;
            Some(vector::norm_scale(values, fields.mean(), fields.eps()))
        });
    }

    fn norm(&self, fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
        let features = size(fields.length);
        let weights = reader.floats(fields.second(), features)?;
        let rows = reader.results(fields.source, features, fields.rows)?;
        let mut operands = Operands::new(fields.destination, features);
        for (row, x) in rows.iter().enumerate() {
            let Some(scale) = self.scales[row] else {
                return undefined(format!("the scale of row {row}, which no Embed or Add has left"));
            };
            operands.put(row, 0, &vector::all_narrowed(&vector::normed(x, scale, &weights)));
        }
        Ok(operands.writes)
    }

    fn turn(&mut self, fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
        let dim = fields.head_dim();
        let mut angles = [const { None }; ROWS];
        for (angles, position) in angles.iter_mut().zip(fields.positions).take(fields.rows) {
            let mut both = reader.floats(fields.source + position * (dim * FLOAT_BYTES) as u64, dim)?;
            let sines = both.split_off(dim / 2);
            *angles = Some(Angles { cosines: both, sines });
        }
        self.angles = if reader.refused { [const { None }; ROWS] } else { angles };
        Ok(Writes::default())
    }

    fn heads(&mut self, fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
        let (dim, heads, tokens) = (fields.head_dim(), size(fields.count), fields.rows);
        let (plain, rotate) = (fields.plain(), fields.rotated());
        let target = fields.target().unwrap_or(Target::Values);
        let weights = reader.floats(fields.second(), dim)?;
        let rows = reader.results(fields.source, heads * dim, tokens)?;
        let mut writes = Writes::default();
        for head in 0..heads {
            for (token, row) in rows.iter().enumerate() {
                let x = &row[head * dim..(head + 1) * dim];
                let scale = if plain {
                    vector::round24(1.0, 0)
                } else {
                    vector::norm_scale(&vector::copied(x), fields.mean(), fields.eps())
                };
                let mut z = vector::normed(x, scale, &weights);
                if rotate {
                    let Some(angles) = self.angles[token].as_ref().filter(|a| a.sines.len() == dim / 2)
                    else {
                        return undefined(format!(
                            "the angles of row {token}, which no Angles has brought for heads of {dim}"
                        ));
                    };
                    z = vector::rotated(&z, &angles.cosines, &angles.sines);
                }
                let values = vector::all_narrowed(&z);
                writes.head(fields, target, head * tokens + token, &values);
            }
        }
        self.scales = [None; ROWS];
        Ok(writes)
    }
}

fn gate(fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
    let features = size(fields.length);
    let g = reader.results(fields.source, features, fields.rows)?;
    let u = reader.results(fields.second(), features, fields.rows)?;
    let mut operands = Operands::new(fields.destination, features);
    for (row, (g, u)) in g.iter().zip(&u).enumerate() {
        operands.put(row, 0, &vector::all_narrowed(&vector::gated(g, u)));
    }
    Ok(operands.writes)
}

fn quantise(fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
    let (dim, tokens) = (fields.head_dim(), fields.operand);
    let rows = reader.results(fields.source, dim, fields.rows)?;
    let mut operands = Operands::new(fields.destination, size(fields.count));
    for (unit, x) in rows.iter().enumerate() {
        let first = size(fields.length) + unit / tokens * dim;
        operands.put(unit % tokens, first, &vector::all_narrowed(&vector::copied(x)));
    }
    Ok(operands.writes)
}

fn argmax(fields: &Fields, reader: &mut Reader<'_>) -> Result<Writes, Undefined> {
    let features = size(fields.count);
    let rows = reader.results(fields.source, features, fields.rows)?;
    let mut word = vec![0; WORD_BYTES];
    for (row, values) in rows.iter().enumerate() {
        let best = vector::argmax(&values[..features]).expect("a feature");
        let index = u32::try_from(best).expect("20 bits");
        for (at, number) in [(row, index), (ROWS + row, values[best])] {
            word[at * FLOAT_BYTES..][..FLOAT_BYTES].copy_from_slice(&number.to_le_bytes());
        }
    }
    Ok(Writes { runs: vec![(fields.destination, word)] })
}

fn size(field: u64) -> usize {
    usize::try_from(field).expect("32 bits")
}

/// Reads memory and remembers what was refused.
struct Reader<'a> {
    image: &'a Image,
    refused: bool,
}

impl Reader<'_> {
    /// So many numbers of four bytes, and those behind them in the last word.
    fn floats(&mut self, address: u64, count: usize) -> Result<Vec<u32>, Undefined> {
        let read = Bytes::read(self.image, address, count * FLOAT_BYTES);
        self.refused |= read.refused;
        if !read.refused {
            read.known(address)?;
        }
        Ok(read.bytes.as_chunks().0.iter().map(|&bytes| u32::from_le_bytes(bytes)).collect())
    }

    /// Results, row by row, with those that the last word of a row has beyond `features`.
    fn results(&mut self, address: u64, features: usize, rows: usize) -> Result<Vec<Vec<u32>>, Undefined> {
        let groups = features.div_ceil(GROUP_FLOATS);
        let all = self.floats(address, groups * rows * GROUP_FLOATS)?;
        let mut by_row = vec![Vec::with_capacity(groups * GROUP_FLOATS); rows];
        for (at, word) in all.chunks(GROUP_FLOATS).enumerate() {
            by_row[at % rows].extend(word);
        }
        Ok(by_row)
    }
}

impl Writes {
    /// Results of all rows, in groups of 16.
    fn results(address: u64, rows: &[Vec<Float36>]) -> Self {
        let mut bytes = Vec::new();
        for group in 0..rows[0].len() / GROUP_FLOATS {
            for row in rows {
                let word = &row[group * GROUP_FLOATS..(group + 1) * GROUP_FLOATS];
                bytes.extend(word.iter().flat_map(|&value| vector::narrowed(value).to_le_bytes()));
            }
        }
        Self { runs: vec![(address, bytes)] }
    }

    /// One head of one token: an operand row of its own, or half a token record.
    fn head(&mut self, fields: &Fields, target: Target, number: usize, values: &[u32]) {
        let dim = fields.head_dim();
        let at = |size: usize, offset: usize| fields.destination + (number * size + offset) as u64;
        if target == Target::Rows {
            let row = WORD_BYTES + dim;
            self.int8(at(row, 0), at(row, WORD_BYTES), &vector::mxint8_blocks(values));
            return;
        }
        // K, V, then a word of scales: K's from byte 0 on, V's from byte 8 on.
        let stream = if fields.int8() { dim } else { dim / 2 }.next_multiple_of(WORD_BYTES);
        let record = 2 * stream + WORD_BYTES;
        let (elements, scales) = if target == Target::Keys { (0, 0) } else { (stream, 8) };
        let (elements, scales) = (at(record, elements), at(record, 2 * stream + scales));
        if fields.int8() {
            self.int8(scales, elements, &vector::mxint8_blocks(values));
        } else {
            self.fp4(scales, elements, &vector::mxfp4_blocks(values));
        }
    }

    fn int8(&mut self, scales: u64, elements: u64, blocks: &[MxInt8Block]) {
        self.runs.push((scales, blocks.iter().map(|block| block.scale.code()).collect()));
        let codes = blocks.iter().flat_map(|block| block.elements.map(|element| element.code()));
        self.runs.push((elements, codes.collect()));
    }

    /// Two blocks in 32 bytes, the first in the low nibbles.
    fn fp4(&mut self, scales: u64, elements: u64, blocks: &[MxFp4Block]) {
        self.runs.push((scales, blocks.iter().map(|block| block.scale.code()).collect()));
        let mut bytes = Vec::new();
        for pair in blocks.chunks(2) {
            let lanes = pair[0].elements.iter().zip(&pair[1].elements);
            bytes.extend(lanes.map(|(low, high)| low.code() | high.code() << 4));
        }
        self.runs.push((elements, bytes));
    }

    /// Writes it all, or with `forget` leaves it undefined. False when some of it was refused.
    fn apply(&self, image: &mut Image, forget: bool) -> bool {
        let mut done = true;
        for (address, bytes) in &self.runs {
            let mut rest = bytes.as_slice();
            let mut at = *address;
            while !rest.is_empty() {
                let offset = size(at % WORD);
                let here = rest.len().min(WORD_BYTES - offset);
                let mut word = [0; WORD_BYTES];
                word[offset..offset + here].copy_from_slice(&rest[..here]);
                let strobe = (u64::MAX >> (WORD_BYTES - here)) << offset;
                if forget {
                    image.forget(at - at % WORD, strobe);
                } else {
                    done &= image.write(at - at % WORD, &word, strobe);
                }
                rest = &rest[here..];
                at += here as u64;
            }
        }
        done
    }
}

/// Operand rows in the making.
struct Operands {
    base: u64,
    /// Bytes of the scales of a row, and of a row.
    scales: usize,
    row: usize,
    writes: Writes,
}

impl Operands {
    /// Rows of so many features.
    fn new(base: u64, features: usize) -> Self {
        let scales = (features / BLOCK).next_multiple_of(WORD_BYTES);
        let row = scales + features.next_multiple_of(WORD_BYTES);
        Self { base, scales, row, writes: Writes::default() }
    }

    /// Features of a row from `first` on.
    fn put(&mut self, row: usize, first: usize, values: &[u32]) {
        let at = |offset: usize| self.base + (row * self.row + offset) as u64;
        let (scales, elements) = (at(first / BLOCK), at(self.scales + first));
        self.writes.int8(scales, elements, &vector::mxint8_blocks(values));
    }
}
