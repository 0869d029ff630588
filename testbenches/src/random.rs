// SPDX-License-Identifier: Apache-2.0
//! Reproducible random values: data that a case names by a seed instead of carrying it.

use tandem_model::numerics::{E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};

/// One step of the SplitMix64 generator (Steele, Lea, Flood 2014).
pub fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// What values a block gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// Any element, scales near 2^0.
    Plain,
    /// The largest magnitudes only: partial sums at their bounds.
    Extreme,
    /// Mostly zeros.
    Sparse,
    /// Scale codes 0, 1, 254, 255 among others: the ends of the range, NaN.
    WildScales,
}

impl Flavour {
    /// All flavours.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Extreme, Self::Sparse, Self::WildScales];
}

/// A generator of block data.
#[derive(Clone, Debug)]
pub struct Source {
    state: u64,
    flavour: Flavour,
}

impl Source {
    /// A generator from a seed.
    #[must_use]
    pub const fn new(seed: u64, flavour: Flavour) -> Self {
        Self { state: seed, flavour }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        split_mix(&mut self.state)
    }

    /// A random byte.
    pub fn byte(&mut self) -> u8 {
        self.bits().to_le_bytes()[7]
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    fn scale(&mut self) -> E8m0 {
        let near = 120 + self.byte() % 16;
        E8m0::from_code(match (self.flavour, self.below(8)) {
            (Flavour::WildScales, 0) => 0,
            (Flavour::WildScales, 1) => 1,
            (Flavour::WildScales, 2) => 254,
            (Flavour::WildScales, 3) => 255,
            (Flavour::WildScales, 4) => self.byte(),
            _ => near,
        })
    }

    fn element(&mut self, extremes: &[u8], zero: u8) -> u8 {
        let any = self.byte();
        match self.flavour {
            Flavour::Extreme => extremes[usize::from(any) % extremes.len()],
            Flavour::Sparse if any & 7 != 0 => zero,
            _ => self.byte(),
        }
    }

    /// A block of E2M1 elements.
    pub fn fp4_block(&mut self) -> MxFp4Block {
        let scale = self.scale();
        // Nearly always one sign: the sums reach their bounds.
        let elements = std::array::from_fn(|_| self.element(&[7, 7, 7, 15], 0) & 15);
        MxFp4Block { scale, elements: elements.map(|c| E2m1::from_code(c).expect("4 bits")) }
    }

    /// A block of INT8 elements, -128 included.
    pub fn int8_block(&mut self) -> MxInt8Block {
        let scale = self.scale();
        let elements = std::array::from_fn(|_| self.element(&[0x80, 0x80, 0x80, 0x7F], 0));
        MxInt8Block { scale, elements: elements.map(Mxint8::from_code) }
    }
}
