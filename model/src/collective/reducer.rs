// SPDX-License-Identifier: Apache-2.0
//! Mirror of `rtl/collective/reducer.sv`.

use super::types::WORD_FLOATS;
use crate::array::float_add::FloatAdd;
use crate::block::{Bits, Visit, Visitor, Wide};
use crate::common::DelayLine;
use crate::link::types::LinkWord;
use crate::numerics::Float36;
use crate::numerics::float36::FLOAT_BITS;

/// Adds words of floats, lane by lane; `T` is the valid bit and the tag that travels along.
#[derive(Clone, Debug)]
pub struct Reducer<T> {
    lanes: [FloatAdd; WORD_FLOATS],
    tag: DelayLine<T>,
}

/// The floats of a word. A lane whose exponent is 0 is zero.
#[must_use]
pub fn floats(word: &LinkWord) -> [Float36; WORD_FLOATS] {
    let float_bits = FLOAT_BITS as usize;
    std::array::from_fn(|lane| {
        let (at, shift) = (lane * float_bits / 64, lane * float_bits % 64);
        let above = word.0.get(at + 1).map_or(0, |next| next.0);
        Float36::canonical(low(u128::from(above) << 64 | u128::from(word.0[at].0), shift))
    })
}

/// 64 bits of a pair of columns.
fn low(pair: u128, shift: usize) -> u64 {
    u64::try_from(pair >> shift & u128::from(u64::MAX)).expect("64 bits")
}

/// A word of floats.
#[must_use]
pub fn word_of(floats: &[Float36; WORD_FLOATS]) -> LinkWord {
    let mut word = LinkWord::default();
    for (lane, float) in floats.iter().enumerate() {
        let (at, shift) = (lane * FLOAT_BITS as usize / 64, lane * FLOAT_BITS as usize % 64);
        let pair = u128::from(float.bits()) << shift;
        word.0[at].0 |= low(pair, 0);
        if let Some(next) = word.0.get_mut(at + 1) {
            next.0 |= low(pair, 64);
        }
    }
    word
}

impl<T: Bits> Reducer<T> {
    /// The tag of the word that comes out.
    #[must_use]
    pub fn tag(&self) -> T {
        self.tag.output()
    }

    /// The sum of the words of four cycles ago.
    #[must_use]
    pub fn word(&self) -> LinkWord {
        word_of(&std::array::from_fn(|k| self.lanes[k].sum().value))
    }

    /// A lane of [`Self::word`] was clamped.
    #[must_use]
    pub fn clamped(&self) -> bool {
        self.lanes.iter().any(|lane| lane.sum().saturated)
    }

    /// Advances by one clock.
    pub fn advance(&mut self, tag: T, running: &LinkWord, term: &LinkWord) {
        let terms = floats(running).into_iter().zip(floats(term));
        for (lane, (a, b)) in self.lanes.iter_mut().zip(terms) {
            lane.advance(a, b);
        }
        self.tag.clock(tag);
    }
}

impl<T: Bits> Default for Reducer<T> {
    fn default() -> Self {
        Self { lanes: Default::default(), tag: DelayLine::new(FloatAdd::LATENCY) }
    }
}

impl<T: Bits> Visit for Reducer<T> {
    fn visit<V: Visitor>(&mut self, v: &mut V) {
        for (k, lane) in self.lanes.iter_mut().enumerate() {
            v.enter("gen_lane", Some(k));
            v.enter("u_add", None);
            lane.visit(v);
            v.leave();
            v.leave();
        }
        v.enter("u_tag", None);
        self.tag.visit(v);
        v.leave();
    }
}

/// Words of a packed array, in the order of the RTL's vector.
pub(super) fn visit_words<V: Visitor>(v: &mut V, name: &'static str, words: &mut [LinkWord]) {
    let mut columns: Vec<Wide<64>> = words.iter().flat_map(|word| word.0).collect();
    v.packed(name, &mut columns);
    for (word, columns) in words.iter_mut().zip(columns.chunks_exact(8)) {
        word.0.copy_from_slice(columns);
    }
}
