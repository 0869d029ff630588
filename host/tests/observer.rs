// SPDX-License-Identifier: Apache-2.0
//! What the observer is told is what the pass computed with.

mod common;

use std::collections::BTreeMap;

use common::{checkpoint, distance, prompts};
use tandem_host::{Checkpoint, Forward, Linear, Matrix, Observer, Rows, Step};

/// The activations of a matrix as `[tokens][cols]`.
type Owned = Vec<Vec<f32>>;

#[derive(Default)]
struct Recorder {
    order: Vec<(Option<usize>, Linear)>,
    inputs: BTreeMap<(Option<usize>, Linear), Owned>,
    attention: BTreeMap<usize, [Owned; 3]>,
}

fn owned(rows: Rows<'_>) -> Owned {
    let owned: Owned = rows.iter().map(<[f32]>::to_vec).collect();
    assert_eq!(owned.len(), rows.tokens());
    owned
}

impl Observer for Recorder {
    fn linear_input(&mut self, layer: Option<usize>, linear: Linear, input: Rows<'_>) {
        self.order.push((layer, linear));
        self.inputs.insert((layer, linear), owned(input));
    }

    fn attention_input(&mut self, layer: usize, q: Rows<'_>, k: Rows<'_>, v: Rows<'_>) {
        self.attention.insert(layer, [q, k, v].map(owned));
    }
}

fn record(checkpoint: &Checkpoint) -> (Recorder, Step) {
    let forward = Forward::new(checkpoint).unwrap();
    let mut recorder = Recorder::default();
    let step = forward.step(&mut forward.cache(), &prompts()[1].ids, &mut recorder).unwrap();
    (recorder, step)
}

/// `matrix * x` as a plain sum in binary64.
fn product(matrix: &Matrix, x: &[f32]) -> Vec<f64> {
    let row = |row: &[f32]| row.iter().zip(x).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    matrix.data.chunks_exact(matrix.cols).map(row).collect()
}

#[allow(clippy::cast_possible_truncation)] // Rounding to binary32 is the point.
fn round(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    values.into_iter().map(|value| value as f32).collect()
}

#[test]
fn every_matrix_is_observed_once_and_in_order() {
    let checkpoint = checkpoint();
    let (recorder, _) = record(&checkpoint);
    let expected: Vec<_> = checkpoint.linears().map(|(layer, linear, _)| (layer, linear)).collect();
    assert_eq!(recorder.order, expected);
    assert_eq!(expected.len(), 3 * Linear::LAYER.len() + 1);
    assert_eq!(expected.last(), Some(&(None, Linear::Head)));
    for (layer, linear, matrix) in checkpoint.linears() {
        let input = &recorder.inputs[&(layer, linear)];
        assert_eq!(input.len(), prompts()[1].ids.len());
        assert!(input.iter().all(|row| row.len() == matrix.cols), "{layer:?} {linear}");
    }
}

#[test]
fn the_observed_inputs_explain_the_residual_stream_and_the_logits() {
    let checkpoint = checkpoint();
    let (recorder, step) = record(&checkpoint);
    let width = checkpoint.config.hidden_size;
    for (index, layer) in checkpoint.layers.iter().enumerate() {
        let [o, down, gate, up] = [Linear::O, Linear::Down, Linear::Gate, Linear::Up]
            .map(|linear| &recorder.inputs[&(Some(index), linear)]);
        for token in 0..o.len() {
            let at = token * width..(token + 1) * width;
            let before = &step.hidden.residual[index][at.clone()];
            let branches =
                product(&layer.o_proj, &o[token]).into_iter().zip(product(&layer.down_proj, &down[token]));
            let after = round(before.iter().zip(branches).map(|(x, (o, d))| f64::from(*x) + o + d));
            assert!(distance(&step.hidden.residual[index + 1][at], &after) < 1e-5);

            let gates = product(&layer.gate_proj, &gate[token]).into_iter();
            let silu = gates.map(|gate| gate / (1.0 + (-gate).exp()));
            let hidden = silu.zip(product(&layer.up_proj, &up[token])).map(|(gate, up)| gate * up);
            assert!(distance(&down[token], &round(hidden)) < 1e-5);
        }
    }
    let head = &recorder.inputs[&(None, Linear::Head)];
    for (input, logits) in head.iter().zip(step.logits.chunks_exact(checkpoint.config.vocab_size)) {
        assert!(distance(logits, &round(product(checkpoint.head(), input))) < 1e-5);
    }
}

#[test]
fn the_observed_queries_keys_and_values_explain_attention() {
    let checkpoint = checkpoint();
    let (recorder, _) = record(&checkpoint);
    let (dim, heads) = (checkpoint.config.head_dim, checkpoint.config.num_attention_heads);
    let group = heads / checkpoint.config.num_key_value_heads;
    for (layer, [q, k, v]) in &recorder.attention {
        let output = &recorder.inputs[&(Some(*layer), Linear::O)];
        for token in 0..q.len() {
            let mut mixed = vec![0.0; heads * dim];
            for head in 0..heads {
                let kv = head / group * dim;
                let dot = |past: usize| -> f64 {
                    let pairs = q[token][head * dim..].iter().zip(&k[past][kv..kv + dim]);
                    pairs.map(|(q, k)| f64::from(*q) * f64::from(*k)).sum()
                };
                let weights: Vec<f64> =
                    (0..=token).map(|past| (dot(past) / 128.0_f64.sqrt()).exp()).collect();
                let sum: f64 = weights.iter().sum();
                for (past, weight) in weights.iter().enumerate() {
                    for i in 0..dim {
                        mixed[head * dim + i] += weight / sum * f64::from(v[past][kv + i]);
                    }
                }
            }
            assert!(distance(&output[token], &round(mixed)) < 1e-5, "layer {layer}, token {token}");
        }
    }
    assert_eq!(recorder.attention.len(), 3);
}

#[test]
fn rows_without_a_width_are_none() {
    assert_eq!(Rows { cols: 0, data: &[] }.tokens(), 0);
    assert_eq!(Rows { cols: 0, data: &[] }.iter().count(), 0);
}
