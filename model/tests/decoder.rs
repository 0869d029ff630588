// SPDX-License-Identifier: Apache-2.0
//! The decoder of the references: its fast products and its fast attention against those by the definition, and what does not
//! depend on how a sequence is cut into steps.

use tandem_model::numerics::{BLOCK_LEN, E2m1, E8m0, MxFp4Block, MxInt8Block, Mxint8};
use tandem_model::reference::attention::{Attended, Head, Query, attend};
use tandem_model::reference::decoder::{Cache, Decoder, Layer, Sizes, Step};
use tandem_model::reference::divide::to_binary32;
use tandem_model::reference::dot::{Row, gemv_row};
use tandem_model::reference::fast::{Blocks, Matrix, Session};
use tandem_model::reference::float::Exact;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("small")
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// A scale of a crowd, or with `hostile` any.
    fn scale(&mut self, middle: u8, hostile: bool) -> E8m0 {
        let near = middle - 3 + self.byte() % 7;
        let any = [0, 1, 254, 255, self.byte(), near, near, near][self.below(8)];
        E8m0::from_code(if hostile { any } else { near })
    }

    fn fp4(&mut self, middle: u8, hostile: bool) -> MxFp4Block {
        let scale = self.scale(middle, hostile);
        MxFp4Block {
            scale,
            elements: [0; BLOCK_LEN].map(|_| E2m1::from_code(self.byte() & 15).expect("4 bits")),
        }
    }

    fn int8(&mut self, middle: u8, hostile: bool) -> MxInt8Block {
        let scale = self.scale(middle, hostile);
        let same = (hostile && self.below(4) == 0).then(|| [128, 127, 129][self.below(3)]);
        let elements = [0; BLOCK_LEN].map(|_| Mxint8::from_code(same.unwrap_or_else(|| self.byte())));
        MxInt8Block { scale, elements }
    }

    fn fp4s(&mut self, count: usize, middle: u8, hostile: bool) -> Vec<MxFp4Block> {
        (0..count).map(|_| self.fp4(middle, hostile)).collect()
    }

    fn int8s(&mut self, count: usize, middle: u8, hostile: bool) -> Vec<MxInt8Block> {
        (0..count).map(|_| self.int8(middle, hostile)).collect()
    }

    fn blocks(&mut self, int8: bool, count: usize, middle: u8, hostile: bool) -> Blocks {
        if int8 {
            Blocks::Int8(self.int8s(count, middle, hostile))
        } else {
            Blocks::Fp4(self.fp4s(count, middle, hostile))
        }
    }

    /// About 1, with a fraction.
    fn floats(&mut self, count: usize) -> Vec<u32> {
        let bits = |random: &mut Self| {
            let fraction = u32::try_from(random.next() >> 41).expect("23 bits");
            u32::from(random.byte() & 1) << 31 | (125 + u32::from(random.byte() % 3)) << 23 | fraction
        };
        (0..count).map(|_| bits(self)).collect()
    }
}

fn by_definition(row: Row<'_>, x: &[MxInt8Block]) -> u32 {
    to_binary32(&Exact::of(gemv_row(row, x).0)).0
}

#[test]
fn fast_products_are_those_by_the_definition() {
    let mut random = Random(1);
    let mut zeros = 0;
    for case in 0..60 {
        let (hostile, blocks, tokens, rows) = (case % 3 != 0, 1 + random.below(9), 1 + random.below(20), 4);
        let x = random.int8s(blocks * tokens, 127, hostile);
        let fp4 = random.fp4s(blocks * rows, 127, hostile);
        let int8 = random.int8s(blocks * rows, 127, hostile);
        let found = [Matrix::fp4(blocks, &fp4).times(&x), Matrix::int8(blocks, &int8).times(&x)];
        for (token, x) in x.chunks(blocks).enumerate() {
            for row in 0..rows {
                let of = row * blocks..(row + 1) * blocks;
                let rows = [Row::MxFp4(&fp4[of.clone()]), Row::MxInt8(&int8[of])];
                for (row_of, found) in rows.into_iter().zip(&found) {
                    let expected = by_definition(row_of, x);
                    assert_eq!(found[token * 4 + row], expected, "case {case}, token {token}, row {row}");
                    zeros += usize::from(expected == 0);
                }
            }
        }
    }
    assert!(zeros > 0, "no result below binary32");
}

#[test]
fn one_element_of_a_weight_is_noticed() {
    let mut random = Random(2);
    let (mut weights, x) = (random.fp4s(4, 127, false), random.int8s(4, 127, false));
    let before = Matrix::fp4(4, &weights).times(&x);
    let code = weights[3].elements[31].code();
    weights[3].elements[31] = E2m1::from_code(code ^ 8).expect("4 bits");
    assert_eq!(Matrix::fp4(4, &weights).times(&x)[0] == before[0], code & 7 == 0);
}

/// A session, a row of queries, and what attention makes of them by the definition.
fn attended(
    random: &mut Random,
    (int8, wide, groups): (bool, bool, usize),
    middle: u8,
    hostile: bool,
) -> (Vec<u32>, Attended) {
    let blocks = if wide { 4 } else { 2 };
    let tokens = 1 + random.below(150);
    let (keys, values) = (
        random.blocks(int8, tokens * blocks, middle, hostile && middle == 127),
        random.blocks(int8, tokens * blocks, 127, hostile),
    );
    let q = random.int8s(blocks, 124, false);
    let start = random.below(tokens);
    let visible = start..start + random.below(tokens - start + 1);
    let mut session = Session::new(int8, blocks, groups);
    session.append(&keys, &values);
    let found = session.attend(&q, visible.clone());
    let head = Head { blocks, keys: keys.tokens(), values: values.tokens(), groups };
    (found, attend(&head, &[Query { blocks: &q, visible }]).remove(0))
}

#[test]
fn fast_attention_is_that_by_the_definition() {
    let mut random = Random(3);
    let (mut empty, mut far, mut unknown, mut clamped) = (0, 0, 0, 0);
    for case in 0..240 {
        let kinds =
            [(false, false, 2), (false, false, 1), (false, true, 1), (true, false, 1), (true, true, 1)];
        // Scores of about 1, of up to hundreds, of up to thousands.
        let middle = [121, 124, 127][case / 5 % 3];
        let (found, expected) = attended(&mut random, kinds[case % 5], middle, case % 2 == 1);
        assert_eq!(found, expected.values, "case {case}");
        empty += usize::from(expected.flags.empty);
        unknown += usize::from(expected.flags.nan_scale);
        clamped += usize::from(expected.flags.clamped);
        far += usize::from(expected.weights.iter().flatten().any(|w| w.exponent.abs() > 400));
    }
    assert!([empty, far, unknown, clamped].iter().all(|&n| n > 2), "{empty} {far} {unknown} {clamped}");
}

#[test]
fn attention_in_another_number_of_groups_is_noticed() {
    let mut random = Random(4);
    let other = |random: &mut Random| {
        let (keys, values) = (random.blocks(false, 400, 124, false), random.blocks(false, 400, 127, false));
        let q = random.int8s(2, 124, false);
        let results = [1, 2].map(|groups| {
            let mut session = Session::new(false, 2, groups);
            session.append(&keys, &values);
            session.attend(&q, 0..200)
        });
        results[0] != results[1]
    };
    assert!((0..10).any(|_| other(&mut random)));
}

fn decoder(random: &mut Random, int8: bool, norms_heads: bool, window: usize) -> Decoder {
    let (hidden, heads, kv_heads, head_dim, intermediate) = (64, 4, 2, 64, 96);
    let eps = 1e-6f32.to_bits();
    let sizes =
        Sizes { hidden, heads, kv_heads, head_dim, intermediate, eps, norms_heads, int8, segments: 2 };
    let matrix = |random: &mut Random, rows: usize, inputs: usize| {
        let blocks = inputs / BLOCK_LEN;
        Matrix::fp4(blocks, &random.fp4s(rows * blocks, 122, false))
    };
    let layer = |random: &mut Random| Layer {
        input_norm: random.floats(hidden),
        kv: matrix(random, 2 * kv_heads * head_dim, hidden),
        q: matrix(random, heads * head_dim, hidden),
        k_norm: random.floats(head_dim),
        q_norm: random.floats(head_dim),
        o: matrix(random, hidden, heads * head_dim),
        post_attention_norm: random.floats(hidden),
        gate_up: matrix(random, 2 * intermediate, hidden),
        down: matrix(random, hidden, intermediate),
        window,
    };
    let layers = [layer(random), layer(random)].into();
    Decoder {
        sizes,
        embedding: random.floats(40 * hidden),
        angles: random.floats(64 * head_dim),
        layers,
        final_norm: random.floats(hidden),
        head: Matrix::int8(2, &random.int8s(80, 122, false)),
    }
}

fn run(decoder: &Decoder, steps: &[&[u32]]) -> Vec<Step> {
    let mut cache: Cache = decoder.cache();
    let run = |tokens: &&[u32]| decoder.step(&mut cache, tokens, 0..tokens.len());
    steps.iter().map(run).collect()
}

#[test]
fn steps_may_be_cut_anywhere() {
    let mut random = Random(5);
    let tokens: Vec<u32> = (0..40).map(|_| u32::from(random.byte() % 40)).collect();
    for (int8, norms_heads, window) in [(false, true, 0), (true, false, 0), (false, false, 9)] {
        let decoder = decoder(&mut random, int8, norms_heads, window);
        let whole = &run(&decoder, &[&tokens])[0];
        let parts = run(&decoder, &[&tokens[..1], &tokens[1..33], &tokens[33..]]);
        let joined = |of: &dyn Fn(&Step) -> Vec<u32>| parts.iter().flat_map(of).collect::<Vec<_>>();
        assert_eq!(joined(&|step| step.logits.clone()), whole.logits);
        for layer in 0..2 {
            assert_eq!(joined(&|step| step.layers[layer].attended.clone()), whole.layers[layer].attended);
            assert_eq!(joined(&|step| step.layers[layer].residual.clone()), whole.layers[layer].residual);
        }
        assert_eq!(parts.iter().flat_map(|step| step.best.clone()).collect::<Vec<_>>(), whole.best);
        assert!(whole.best.iter().any(|(best, _)| *best != whole.best[0].0), "always the same token");
    }
}

#[test]
fn what_comes_later_changes_nothing_and_what_came_before_does() {
    let mut random = Random(6);
    let decoder = decoder(&mut random, false, true, 4);
    let logits = |tokens: &[u32]| run(&decoder, &[tokens])[0].logits.clone();
    let base = logits(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    let later = logits(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 11]);
    assert_eq!(base[..360], later[..360]);
    let before = logits(&[1, 2, 3, 4, 5, 11, 7, 8, 9, 10]);
    assert_ne!(base[360..], before[360..]);
    // Two layers with windows of four see seven tokens.
    let long_before = logits(&[1, 2, 11, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(base[360..], long_before[360..]);
}

#[test]
fn only_the_logits_that_are_wanted_are_computed() {
    let mut random = Random(7);
    let decoder = decoder(&mut random, false, true, 0);
    let all = decoder.step(&mut decoder.cache(), &[3, 1, 2], 0..3);
    let last = decoder.step(&mut decoder.cache(), &[3, 1, 2], 2..3);
    assert_eq!(last.logits, all.logits[80..]);
    assert_eq!(last.best, all.best[2..]);
    assert!(decoder.step(&mut decoder.cache(), &[3], 1..1).logits.is_empty());
}
