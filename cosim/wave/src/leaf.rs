// SPDX-License-Identifier: Apache-2.0
//! Parts of an element that have a signal of their own: numbers, struct fields, entries of packed arrays.

use tandem_model::block::Format;

use crate::decode;
use crate::error::Result;
use crate::plan::{Kind, VarId};
use crate::sink::Sink;

/// A variable per side, the RTL's first. Inputs have one value, which stands in the first place.
pub type Sided = [Option<VarId>; 2];

/// Part of an element with a variable of its own.
#[derive(Debug)]
pub struct Leaf {
    /// Lowest bit in its element.
    pub low: u32,
    /// Bits.
    pub width: u32,
    /// What to make of the bits when the variable is a number.
    pub format: Format,
    /// Type of its variables.
    pub kind: Kind,
    /// Its variables.
    pub vars: Sided,
}

/// Digits of an element now and before, kept between calls to spare allocations.
#[derive(Debug, Default)]
pub struct Scratch {
    /// In this cycle.
    pub now: Vec<u8>,
    /// In the cycle before; empty in the first.
    pub before: Vec<u8>,
}

impl Leaf {
    /// Writes the leaf if it changed.
    pub fn write(&self, side: usize, scratch: &Scratch, sink: &mut Sink) -> Result<()> {
        let Some(var) = self.vars[side] else { return Ok(()) };
        let now = self.part(&scratch.now);
        if now == self.part(&scratch.before) {
            return Ok(());
        }
        match self.kind {
            Kind::Bits(_) => sink.bits(var, now),
            Kind::Real => {
                let word = now.iter().fold(0, |word, &digit| word << 1 | u64::from(digit & 1));
                sink.real(var, decode::real(self.format, word).unwrap_or(f64::NAN))
            }
        }
    }

    /// The leaf's digits out of its element's, most significant first.
    fn part<'a>(&self, digits: &'a [u8]) -> &'a [u8] {
        let (low, width) = (self.low as usize, self.width as usize);
        let part = digits.len().checked_sub(low + width).map(|start| &digits[start..][..width]);
        part.unwrap_or_default()
    }
}

/// The low bits of an element as ASCII digits, most significant first, the way both formats take them.
pub fn digits(bytes: &[u8], width: u32, out: &mut Vec<u8>) {
    out.clear();
    out.extend((0..width as usize).rev().map(|i| b'0' + (bytes[i / 8] >> (i % 8) & 1)));
}
