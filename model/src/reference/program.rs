// SPDX-License-Identifier: Apache-2.0
//! What a list of commands does to memory (docs/commands.md): one after the other, from the definition.

use crate::numerics::{E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};

use super::attention::{Head, Query, Tokens, attend, visible_keys};
use super::command::{BLOCK, CHUNKS, Core, DONE, Fields, Kind, NO_KEYS, READ_ERROR, Shape, WRITE_ERROR};
use super::divide::to_binary32;
use super::dot::{Row, gemv_row};
use super::float::Exact;
use super::image::{Image, WORD_BYTES};
use super::vector_program::Vector;

/// Output features of a tile of weights.
const TILE_FEATURES: usize = 64;
/// Floats of a word of results.
pub(super) const GROUP_FLOATS: usize = 16;
/// Bytes of a word of memory, as a distance.
pub(super) const WORD: u64 = 64;
/// Where addresses wrap.
const ADDRESSES: u64 = 1 << 40;

/// A command uses what nothing has defined: the program is at fault, and what comes out depends on the core's past.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undefined {
    /// What it uses.
    pub what: String,
}

impl std::fmt::Display for Undefined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it uses {}", self.what)
    }
}

impl std::error::Error for Undefined {}

pub(super) fn undefined<T>(what: String) -> Result<T, Undefined> {
    Err(Undefined { what })
}

/// A core that takes no time, and its memory.
#[derive(Clone, Debug)]
pub struct Machine {
    core: Core,
    /// The memory.
    pub image: Image,
    /// `[chunk][row][segment][chain]`: operands; `None` where nothing was loaded.
    operands: Vec<Option<MxInt8Block>>,
    /// Words of the banks; `None` where nothing was filled in.
    banks: Vec<Option<Vec<u8>>>,
    vector: Vector,
}

/// Bytes that were read, and whether all of it could be.
pub(super) struct Bytes {
    pub(super) bytes: Vec<u8>,
    /// First of which nobody says what it is.
    unknown: Option<usize>,
    pub(super) refused: bool,
}

impl Bytes {
    /// Reads whole words of memory, as many as hold so many bytes.
    pub(super) fn read(image: &Image, address: u64, length: usize) -> Self {
        let mut read = Self { bytes: Vec::new(), unknown: None, refused: false };
        for at in (address..).step_by(WORD_BYTES).take(length.div_ceil(WORD_BYTES)) {
            match image.read(at % ADDRESSES) {
                Some(word) => {
                    if word.unknown != 0 && read.unknown.is_none() {
                        let first = usize::try_from(word.unknown.trailing_zeros()).expect("6 bits");
                        read.unknown = Some(read.bytes.len() + first);
                    }
                    read.bytes.extend(word.bytes);
                }
                None => {
                    read.refused = true;
                    read.bytes.extend([0; WORD_BYTES]);
                }
            }
        }
        read
    }

    pub(super) fn known(&self, first: u64) -> Result<(), Undefined> {
        match self.unknown {
            Some(at) => undefined(format!(
                "the byte at {:#x}, which a command with an error has left undefined",
                first + at as u64
            )),
            None => Ok(()),
        }
    }
}

impl Machine {
    /// A core after reset.
    #[must_use]
    pub fn new(core: Core, image: Image) -> Self {
        let operands = vec![None; CHUNKS * core.rows * core.segments * 2];
        let banks = vec![None; core.bank_words];
        Self { core, image, operands, banks, vector: Vector::default() }
    }

    /// Runs a command and says how it ended.
    ///
    /// # Errors
    /// When it uses what nothing has defined.
    pub fn run(&mut self, words: &[u64; 8]) -> Result<u8, Undefined> {
        let fields = Fields::of(words);
        let status = fields.check(&self.core);
        match fields.kind() {
            Some(kind) if status == DONE => match kind {
                Kind::Nop => Ok(DONE),
                Kind::Load => Ok(self.load(&fields)),
                Kind::Gemv => self.gemv(&fields),
                Kind::Attend => self.attend(&fields),
                Kind::Append => self.append(&fields),
                Kind::Fill => self.fill(&fields),
                _ => self.vector.run(&mut self.image, &fields),
            },
            _ => Ok(status),
        }
    }

    fn read(&self, address: u64, length: usize) -> Bytes {
        Bytes::read(&self.image, address, length)
    }

    const fn operand_index(&self, chunk: usize, row: usize, segment: usize, chain: usize) -> usize {
        ((chunk * self.core.rows + row) * self.core.segments + segment) * 2 + chain
    }

    fn operand(
        &self,
        chunk: usize,
        row: usize,
        segment: usize,
        chain: usize,
    ) -> Result<MxInt8Block, Undefined> {
        match self.operands[self.operand_index(chunk, row, segment, chain)] {
            Some(block) => Ok(block),
            None => undefined(format!(
                "chunk {chunk} of row {row}, segment {segment}, which no Load has filled without an error"
            )),
        }
    }

    /// The operand of a segment that streams MXINT8: both chains hold the same block.
    fn whole_operand(&self, chunk: usize, row: usize, segment: usize) -> Result<MxInt8Block, Undefined> {
        let [lo, hi] = [0, 1].map(|chain| self.operand(chunk, row, segment, chain));
        let (lo, hi) = (lo?, hi?);
        if lo == hi {
            return Ok(lo);
        }
        undefined(format!("chunk {chunk} of row {row} with MXINT8, but it was loaded for MXFP4"))
    }

    fn load(&mut self, fields: &Fields) -> u8 {
        let (rows, segments) = (self.core.rows, self.core.segments);
        let blocks = usize::try_from(fields.length).expect("32 bits") / BLOCK;
        let scale_bytes = blocks.next_multiple_of(WORD_BYTES);
        let row_bytes = scale_bytes + (blocks * BLOCK).next_multiple_of(WORD_BYTES);
        let read = self.read(fields.source, fields.rows * row_bytes);
        let failed = read.refused || read.unknown.is_some();
        let of_chunk = fields.chunk_blocks(segments);
        let per_segment = if fields.int8() { 1 } else { 2 };
        for row in 0..rows {
            for chunk in 0..blocks.div_ceil(of_chunk) {
                for segment in 0..segments {
                    for chain in 0..2 {
                        let spread = if fields.grouped() { 0 } else { segment };
                        let of_segment = if fields.int8() { 0 } else { chain };
                        let block = chunk * of_chunk + per_segment * spread + of_segment;
                        let value = if row < fields.rows && block < blocks {
                            let (scale, elements) =
                                (row * row_bytes + block, row * row_bytes + scale_bytes + BLOCK * block);
                            int8_block(&read.bytes[elements..], read.bytes[scale])
                        } else {
                            int8_block(&[0; BLOCK], 0)
                        };
                        let at = self.operand_index(fields.operand + chunk, row, segment, chain);
                        self.operands[at] = (!failed).then_some(value);
                    }
                }
            }
        }
        if read.refused { READ_ERROR } else { DONE }
    }

    fn gemv(&mut self, fields: &Fields) -> Result<u8, Undefined> {
        let (segments, int8) = (self.core.segments, fields.int8());
        let features = usize::try_from(fields.count).expect("20 bits");
        let per_segment = if int8 { 1 } else { 2 };
        let of_chunk = per_segment * segments;
        let chunks = (usize::try_from(fields.length).expect("32 bits") / BLOCK).div_ceil(of_chunk);
        let word = BLOCK * segments;
        // Scales of so many features fit into a word.
        let of_word = BLOCK / per_segment;

        let mut x = Vec::new();
        for row in 0..fields.rows {
            let mut blocks = Vec::new();
            for chunk in fields.operand..fields.operand + chunks {
                for segment in 0..segments {
                    if int8 {
                        blocks.push(self.whole_operand(chunk, row, segment)?);
                    } else {
                        blocks.push(self.operand(chunk, row, segment, 0)?);
                        blocks.push(self.operand(chunk, row, segment, 1)?);
                    }
                }
            }
            x.push(blocks);
        }

        let tiles = (0..features).step_by(TILE_FEATURES).map(|first| TILE_FEATURES.min(features - first));
        let words: usize = tiles.clone().map(|m| chunks * (m.div_ceil(of_word) + m)).sum();
        let read = self.read(fields.source, words * word);
        if read.refused {
            return Ok(self.results_unknown(fields, features));
        }
        read.known(fields.source)?;

        let mut values = vec![Vec::new(); fields.rows];
        let mut at = 0;
        for m in tiles {
            let mut fp4: Vec<Vec<MxFp4Block>> = vec![Vec::new(); m];
            let mut eight: Vec<Vec<MxInt8Block>> = vec![Vec::new(); m];
            for _ in 0..chunks {
                let elements = at + m.div_ceil(of_word) * word;
                for f in 0..m {
                    for segment in 0..segments {
                        let bytes = &read.bytes[elements + f * word + BLOCK * segment..][..BLOCK];
                        let scales = at + f / of_word * word + BLOCK * segment + f % of_word * per_segment;
                        if int8 {
                            eight[f].push(int8_block(bytes, read.bytes[scales]));
                        } else {
                            fp4[f].extend(fp4_blocks(bytes, [read.bytes[scales], read.bytes[scales + 1]]));
                        }
                    }
                }
                at = elements + m * word;
            }
            for f in 0..m {
                for (x, values) in x.iter().zip(&mut values) {
                    let row = if int8 { Row::MxInt8(&eight[f]) } else { Row::MxFp4(&fp4[f]) };
                    let (sum, _) = gemv_row(row, x);
                    values.push(to_binary32(&Exact::of(sum)).0);
                }
            }
        }
        Ok(self.write_results(fields, &values))
    }

    fn attend(&mut self, fields: &Fields) -> Result<u8, Undefined> {
        let shape = fields.shape(self.core.segments);
        let low = |n: u64| usize::try_from(n).expect("20 bits");
        let (tokens, window) = (low(fields.count), low(fields.length));
        let visible: Vec<_> = fields.positions[..fields.rows]
            .iter()
            .map(|&position| visible_keys(tokens, low(position), fields.causal(), window))
            .collect();
        let seen = || visible.iter().filter(|keys| !keys.is_empty());
        let (Some(first), Some(limit)) = (seen().map(|k| k.start).min(), seen().map(|k| k.end).max()) else {
            return Ok(NO_KEYS);
        };
        let q = (0..fields.rows).map(|row| self.query(fields, shape, row)).collect::<Result<Vec<_>, _>>()?;

        // K and V from the first tile that a row sees; what lies before it does not count, nor what comes behind.
        let origin = first - first % shape.tile_tokens();
        let zero = [[0; BLOCK + 1]; 2];
        let mut keys = vec![zero; tokens * shape.blocks];
        for number in origin / shape.tile_tokens()..limit.div_ceil(shape.tile_tokens()) {
            let of_tile = number * shape.tile_tokens();
            let wanted = shape.tile_tokens().min(limit - of_tile);
            let Some(tile) = self.tile(fields, shape, number, wanted)? else {
                return Ok(self.results_unknown(fields, shape.blocks * BLOCK));
            };
            for token in 0..wanted {
                for block in 0..shape.blocks {
                    keys[(of_tile + token) * shape.blocks + block] =
                        [false, true].map(|value| self.block_of_tile(&tile, shape, value, token, block));
                }
            }
        }

        let eight = |which: usize| -> Vec<_> {
            keys.iter().map(|block| int8_block(&block[which], block[which][BLOCK])).collect()
        };
        let four = |which: usize| -> Vec<_> {
            let code = |&code: &u8| E2m1::from_code(code).expect("4 bits");
            let block = |codes: &[u8; BLOCK + 1]| MxFp4Block {
                scale: E8m0::from_code(codes[BLOCK]),
                elements: std::array::from_fn(|lane| code(&codes[lane])),
            };
            keys.iter().map(|codes| block(&codes[which])).collect()
        };
        let queries: Vec<_> =
            q.iter().zip(visible).map(|(blocks, visible)| Query { blocks, visible }).collect();
        let (blocks, groups) = (shape.blocks, shape.groups);
        let rows = if fields.int8() {
            let (k, v) = (eight(0), eight(1));
            attend(&Head { blocks, keys: Tokens::MxInt8(&k), values: Tokens::MxInt8(&v), groups }, &queries)
        } else {
            let (k, v) = (four(0), four(1));
            attend(&Head { blocks, keys: Tokens::MxFp4(&k), values: Tokens::MxFp4(&v), groups }, &queries)
        };
        let values: Vec<_> = rows.into_iter().map(|row| row.values).collect();
        Ok(self.write_results(fields, &values))
    }

    /// q of a row. All groups of segments must hold the same.
    fn query(&self, fields: &Fields, shape: Shape, row: usize) -> Result<Vec<MxInt8Block>, Undefined> {
        let of_group = self.core.segments / shape.groups;
        let mut all: Vec<Vec<MxInt8Block>> = Vec::new();
        for group in 0..shape.groups {
            let mut blocks = Vec::new();
            for chunk in fields.operand..fields.operand + shape.parts {
                for segment in group * of_group..(group + 1) * of_group {
                    if fields.int8() {
                        blocks.push(self.whole_operand(chunk, row, segment)?);
                    } else {
                        blocks.push(self.operand(chunk, row, segment, 0)?);
                        blocks.push(self.operand(chunk, row, segment, 1)?);
                    }
                }
            }
            all.push(blocks);
        }
        if all.iter().any(|blocks| blocks != &all[0]) {
            return undefined(format!(
                "chunk {} of row {row} as q of {} groups of segments, but it was loaded without `grouped`",
                fields.operand, shape.groups
            ));
        }
        Ok(all.swap_remove(0))
    }

    /// Words of a tile of which the first `wanted` tokens count. `None`: one of them could not be read.
    fn tile(
        &self,
        fields: &Fields,
        shape: Shape,
        number: usize,
        wanted: usize,
    ) -> Result<Option<Vec<u8>>, Undefined> {
        let (word, words) = (BLOCK * self.core.segments, shape.tile_words());
        if fields.resident() {
            let first = fields.bank + number * words;
            let mut bytes = Vec::new();
            for (at, stored) in self.banks[first..first + words].iter().enumerate() {
                match stored {
                    Some(stored) => bytes.extend(stored),
                    None if shape.needs(at, wanted) => {
                        return undefined(format!(
                            "word {} of the banks, which no Fill has filled without an error",
                            first + at
                        ));
                    }
                    None => bytes.resize(bytes.len() + word, 0),
                }
            }
            return Ok(Some(bytes));
        }
        let address = fields.source + (number * words * word) as u64;
        let read = self.read(address, words * word);
        if read.refused {
            return Ok(None);
        }
        read.known(address)?;
        Ok(Some(read.bytes))
    }

    /// Codes of 32 elements and of their scale.
    fn block_of_tile(
        &self,
        tile: &[u8],
        shape: Shape,
        value: bool,
        token: usize,
        block: usize,
    ) -> [u8; BLOCK + 1] {
        let unit = block / shape.per_segment;
        let place = Place::new(self.core.segments, shape, value, token, unit);
        let chain = block % shape.per_segment;
        let mut codes = [0; BLOCK + 1];
        for (lane, code) in codes[..BLOCK].iter_mut().enumerate() {
            let byte = tile[place.elements + lane];
            *code = if shape.per_segment == 1 { byte } else { byte >> (4 * chain) & 15 };
        }
        codes[BLOCK] = tile[place.scales + chain];
        codes
    }

    fn append(&mut self, fields: &Fields) -> Result<u8, Undefined> {
        let shape = fields.shape(self.core.segments);
        let units = shape.blocks / shape.per_segment;
        let stream = (BLOCK * units).next_multiple_of(WORD_BYTES);
        let record = 2 * stream + WORD_BYTES;
        let tile_bytes = shape.tile_words() * BLOCK * self.core.segments;
        let count = usize::try_from(fields.count).expect("16 bits");
        let first = usize::try_from(fields.length).expect("20 bits");
        let (mut read_error, mut write_error) = (false, false);
        for index in 0..count {
            let source = fields.source + (index * record) as u64;
            let read = self.read(source, record);
            // Nobody says what becomes of the tokens from a refused record on.
            read_error |= read.refused;
            if !read_error {
                read.known(source)?;
            }
            let token = first + index;
            let tile = fields.destination + (token / shape.tile_tokens() * tile_bytes) as u64;
            for value in [false, true] {
                for unit in 0..units {
                    let place =
                        Place::new(self.core.segments, shape, value, token % shape.tile_tokens(), unit);
                    let of = |values: usize| if value { values } else { 0 };
                    let elements = of(stream) + BLOCK * unit;
                    let scales = 2 * stream + of(8) + shape.per_segment * unit;
                    for (to, from, length) in
                        [(place.elements, elements, BLOCK), (place.scales, scales, shape.per_segment)]
                    {
                        for i in 0..length {
                            let at = tile + (to + i) as u64;
                            let (word, strobe) = (at - at % WORD, 1 << (at % WORD));
                            if read_error {
                                self.image.forget(word, strobe);
                            } else {
                                let byte = [read.bytes[from + i]; WORD_BYTES];
                                write_error |= !self.image.write(word, &byte, strobe);
                            }
                        }
                    }
                }
            }
        }
        Ok(ended(read_error, write_error))
    }

    fn fill(&mut self, fields: &Fields) -> Result<u8, Undefined> {
        let word = BLOCK * self.core.segments;
        let count = usize::try_from(fields.count).expect("16 bits");
        let read = self.read(fields.source, count * word);
        if !read.refused {
            read.known(fields.source)?;
        }
        for (to, bytes) in self.banks[fields.bank..].iter_mut().zip(read.bytes.chunks(word)).take(count) {
            *to = (!read.refused).then(|| bytes.to_vec());
        }
        Ok(ended(read.refused, false))
    }

    /// Writes the results of all rows in groups of 16.
    fn write_results(&mut self, fields: &Fields, rows: &[Vec<u32>]) -> u8 {
        let mut refused = false;
        let mut address = fields.destination;
        for group in 0..rows[0].len().div_ceil(GROUP_FLOATS) {
            for row in rows {
                let mut bytes = [0; WORD_BYTES];
                let floats = row.iter().skip(group * GROUP_FLOATS).take(GROUP_FLOATS);
                for (to, float) in bytes.chunks_mut(4).zip(floats) {
                    to.copy_from_slice(&float.to_le_bytes());
                }
                refused |= !self.image.write(address, &bytes, u64::MAX);
                address += WORD;
            }
        }
        ended(false, refused)
    }

    /// What was streamed could not be read: nobody says what the results are.
    fn results_unknown(&mut self, fields: &Fields, features: usize) -> u8 {
        let words = features.div_ceil(GROUP_FLOATS) * fields.rows;
        for address in (fields.destination..).step_by(WORD_BYTES).take(words) {
            self.image.forget(address, u64::MAX);
        }
        ended(true, false)
    }
}

pub(super) const fn ended(read_error: bool, write_error: bool) -> u8 {
    if read_error {
        READ_ERROR
    } else if write_error {
        WRITE_ERROR
    } else {
        DONE
    }
}

/// Where a tile has 32 bytes of elements of a token, and their scales.
struct Place {
    elements: usize,
    scales: usize,
}

impl Place {
    /// `unit` counts what segments take of a token: a block of MXINT8, two of MXFP4.
    const fn new(segments: usize, shape: Shape, value: bool, token: usize, unit: usize) -> Self {
        let word = BLOCK * segments;
        let of_group = segments / shape.groups;
        let (group, beat) = (token / BLOCK, token % BLOCK);
        let (part, segment) = (unit / of_group, group * of_group + unit % of_group);
        let v = if value { 1 } else { 0 };
        let element_word = 2 * shape.scale_words() + (v * shape.parts + part) * BLOCK + beat;
        // Scale bytes of the beats follow each other through the part's words.
        let (scale, width) = (beat * shape.per_segment, shape.per_segment);
        let scale_word = v * shape.scale_words() + part * width + scale / BLOCK;
        Self {
            elements: element_word * word + BLOCK * segment,
            scales: scale_word * word + BLOCK * segment + scale % BLOCK,
        }
    }
}

impl Shape {
    /// A tile's word `at` holds something of its first `tokens` tokens.
    fn needs(&self, at: usize, tokens: usize) -> bool {
        let beats = tokens.min(BLOCK);
        match at.checked_sub(2 * self.scale_words()) {
            Some(element) => element % BLOCK < beats,
            None => at % self.per_segment * (BLOCK / self.per_segment) < beats,
        }
    }
}

fn int8_block(codes: &[u8], scale: u8) -> MxInt8Block {
    MxInt8Block {
        scale: E8m0::from_code(scale),
        elements: std::array::from_fn(|lane| Mxint8::from_code(codes[lane])),
    }
}

/// The block of the low nibbles and that of the high ones.
fn fp4_blocks(bytes: &[u8], scales: [u8; 2]) -> [MxFp4Block; 2] {
    [0, 1].map(|chain| MxFp4Block {
        scale: E8m0::from_code(scales[chain]),
        elements: std::array::from_fn(|lane| {
            E2m1::from_code(bytes[lane] >> (4 * chain) & 15).expect("4 bits")
        }),
    })
}
