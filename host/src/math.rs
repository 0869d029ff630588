// SPDX-License-Identifier: Apache-2.0
//! The arithmetic of the forward pass, all in binary32.

use crate::checkpoint::Matrix;

/// Partial sums of a dot product: enough for the compiler to use vectors, and a shorter error chain than one sum.
const LANES: usize = 8;

/// `n` as binary32: exact up to 2^24, which is all that a checked configuration holds, and rounded above.
pub(crate) fn float(n: usize) -> f32 {
    // Two halves of 16 bits each convert exactly, so only the addition rounds.
    let n = u32::try_from(n).unwrap_or(u32::MAX);
    let [high, low] = [n >> 16, n & 0xffff].map(|half| u16::try_from(half).map_or(0.0, f32::from));
    high * 65536.0 + low
}

/// Sum of the products of two slices of equal length.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<LANES>();
    let (b, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

/// `x * matrix^T`: `[tokens, cols]` to `[tokens, rows]`.
pub(crate) fn linear(matrix: &Matrix, x: &[f32]) -> Vec<f32> {
    let tokens = x.len() / matrix.cols;
    let mut out = vec![0.0; tokens * matrix.rows];
    // Weights outside, tokens inside: a prompt reads every weight from memory once.
    for (row, weights) in matrix.data.chunks_exact(matrix.cols).enumerate() {
        let column = out.iter_mut().skip(row).step_by(matrix.rows);
        for (out, x) in column.zip(x.chunks_exact(matrix.cols)) {
            *out = dot(weights, x);
        }
    }
    out
}

/// `acc += x`, element by element.
pub(crate) fn add(acc: &mut [f32], x: &[f32]) {
    for (acc, x) in acc.iter_mut().zip(x) {
        *acc += x;
    }
}

/// Divides every row of `weight.len()` values by the root of its mean square plus `eps`, times `weight`.
pub(crate) fn rms_norm(x: &mut [f32], weight: &[f32], eps: f32) {
    for row in x.chunks_exact_mut(weight.len()) {
        let scale = 1.0 / (dot(row, row) / float(weight.len()) + eps).sqrt();
        for (x, weight) in row.iter_mut().zip(weight) {
            *x = weight * (*x * scale);
        }
    }
}

/// `silu(gate) * up`, element by element.
pub(crate) fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    gate.iter().zip(up).map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up).collect()
}

/// Scores to weights that sum to one.
pub(crate) fn softmax(scores: &mut [f32]) {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in &mut *scores {
        *score = (*score - max).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

/// Index of the largest value, the lowest index winning ties. `None` when there is no value or one is NaN.
#[must_use]
pub fn argmax(values: &[f32]) -> Option<u32> {
    let mut best: Option<(u32, f32)> = None;
    for (index, &value) in (0..).zip(values) {
        if value.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, most)| value > most) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_convert_exactly_to_two_to_the_24() {
        assert_eq!([0, 1, 65_535, 65_536, 151_936].map(float), [0.0, 1.0, 65535.0, 65536.0, 151936.0]);
        assert_eq!(float(1 << 24), 16_777_216.0);
        assert_eq!(float((1 << 24) - 1), 16_777_215.0);
    }

    #[test]
    fn dot_covers_lengths_that_are_no_multiple_of_the_lanes() {
        let ones = vec![1.0; 19];
        let ramp: Vec<f32> = (0..19).map(float).collect();
        assert_eq!(dot(&ones, &ramp), 171.0);
    }

    #[test]
    fn the_lowest_index_wins_and_nan_is_no_answer() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 2]), Some(0));
        assert_eq!(argmax(&[1.0, f32::NAN]), None);
        assert_eq!(argmax(&[]), None);
    }

    #[test]
    fn softmax_survives_large_scores() {
        let mut scores = [1000.0, 1000.0];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5]);
    }
}
