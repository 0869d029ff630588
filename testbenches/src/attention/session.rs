// SPDX-License-Identifier: Apache-2.0
//! One head's K and V, and rows of queries that attend to them.

use tandem_model::array::Geometry;
use tandem_model::array::types::SEGMENT_LANES;
use tandem_model::numerics::MxInt8Block;
use tandem_model::reference::attention::{Attended, Head, Query, Tokens, attend, fetched_keys, visible_keys};
use tandem_model::reference::attention_error::{Figures, figures};

use crate::array::{HeadLayout, Stream};

/// K and V of one head.
#[derive(Clone, Debug)]
pub struct Session {
    /// 64 or 128.
    pub head_dim: usize,
    /// K: `tokens x blocks`, token by token.
    pub keys: Stream,
    /// V, likewise and in the same format.
    pub values: Stream,
}

/// Rows of queries that attend together.
#[derive(Clone, Debug)]
pub struct Queries {
    /// Per row the blocks of q, log2(e)/sqrt(d) folded in.
    pub rows: Vec<Vec<MxInt8Block>>,
    /// Per row its position in the session.
    pub positions: Vec<u32>,
    /// A row sees no key after its own position.
    pub causal: bool,
    /// A row sees this many keys up to its position; 0: all.
    pub window: u32,
}

impl Session {
    /// K and V are MXINT8, else MXFP4.
    #[must_use]
    pub const fn int8(&self) -> bool {
        self.keys.is_int8()
    }

    /// MX blocks of a token.
    #[must_use]
    pub const fn blocks(&self) -> usize {
        self.head_dim / SEGMENT_LANES
    }

    /// Tokens.
    #[must_use]
    pub fn tokens(&self) -> usize {
        self.keys.len() / self.blocks()
    }

    /// How the head lies in an array.
    #[must_use]
    pub fn layout(&self, geometry: Geometry) -> HeadLayout {
        HeadLayout::new(geometry, self.int8(), self.blocks())
    }

    /// The reference's answers with the groups of this geometry, a row each.
    #[must_use]
    pub fn attend(&self, geometry: Geometry, queries: &Queries) -> Vec<Attended> {
        let groups = self.layout(geometry).groups;
        attend(&self.head(groups), &self.queries(queries))
    }

    /// The answers in binary64 and the bounds, a row each.
    #[must_use]
    pub fn figures(&self, geometry: Geometry, queries: &Queries) -> Vec<Figures> {
        let head = self.head(self.layout(geometry).groups);
        self.queries(queries).iter().map(|query| figures(&head, query)).collect()
    }

    /// A block of K of a key that is fetched for these queries has scale code 255.
    #[must_use]
    pub fn fetches_nan(&self, geometry: Geometry, queries: &Queries) -> bool {
        let fetched = fetched_keys(&self.head(self.layout(geometry).groups), &self.queries(queries));
        let mut blocks = fetched.into_iter().flat_map(|key| key * self.blocks()..(key + 1) * self.blocks());
        match &self.keys {
            Stream::Fp4(keys) => blocks.any(|at| keys[at].scale.is_nan()),
            Stream::Int8(keys) => blocks.any(|at| keys[at].scale.is_nan()),
        }
    }

    fn head(&self, groups: usize) -> Head<'_> {
        Head { blocks: self.blocks(), keys: tokens(&self.keys), values: tokens(&self.values), groups }
    }

    fn queries<'a>(&self, queries: &'a Queries) -> Vec<Query<'a>> {
        let whole = |n: u32| usize::try_from(n).expect("32 bits");
        let visible = |p: u32| visible_keys(self.tokens(), whole(p), queries.causal, whole(queries.window));
        let rows = queries.rows.iter().zip(&queries.positions);
        rows.map(|(blocks, &position)| Query { blocks, visible: visible(position) }).collect()
    }
}

fn tokens(stream: &Stream) -> Tokens<'_> {
    match stream {
        Stream::Fp4(blocks) => Tokens::MxFp4(blocks),
        Stream::Int8(blocks) => Tokens::MxInt8(blocks),
    }
}

/// |values - exact| over |exact|, Euclidean, of one row's binary32 bits.
#[must_use]
pub fn relative_error(values: &[u32], exact: &[f64]) -> f64 {
    let difference = |(&bits, exact): (&u32, &f64)| (f64::from(f32::from_bits(bits)) - exact).powi(2);
    let error: f64 = values.iter().zip(exact).map(difference).sum();
    let size: f64 = exact.iter().map(|exact| exact * exact).sum();
    if error > 0.0 { (error / size).sqrt() } else { 0.0 }
}
