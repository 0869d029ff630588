// SPDX-License-Identifier: Apache-2.0
//! Perplexity of the small model: binary32 against the numerics of the hardware.

mod common;

use std::fs;

use common::model_dir;
use tandem_host::import::{ImportOptions, Packed};
use tandem_host::perplexity::{Perplexity, PerplexityOptions, paragraphs, perplexity};
use tandem_host::{Checkpoint, HostError, Tokenizer};
use tandem_model::array::Geometry;

/// Ends a paragraph of what the small model was trained on.
const END: u32 = 0;

/// The small model, packed, and a text that it was not trained on.
fn model() -> (Checkpoint, Packed, Vec<u32>) {
    let checkpoint = Checkpoint::load(&model_dir()).unwrap();
    let packed = Packed::of_checkpoint(&checkpoint, &ImportOptions::new(Geometry::ALL[0])).unwrap();
    let tokenizer = Tokenizer::load(&model_dir(), &checkpoint.config).unwrap();
    let text = fs::read_to_string(model_dir().join("heldout.txt")).unwrap();
    let tokens = paragraphs(&tokenizer, &text, END).unwrap();
    (checkpoint, packed, tokens)
}

fn measure(
    (checkpoint, packed, tokens): &(Checkpoint, Packed, Vec<u32>),
    options: &PerplexityOptions,
) -> Result<Perplexity, HostError> {
    perplexity(checkpoint, packed, tokens, options, &mut |_| true)
}

#[test]
fn the_hardware_foretells_nearly_as_well() {
    let model = model();
    let options =
        PerplexityOptions { window: 192, windows: Some(4), threads: 2, ..PerplexityOptions::default() };
    let found = measure(&model, &options).unwrap();
    assert_eq!(found.tokens, 4 * 191);
    assert!((1.8..2.8).contains(&found.binary32), "{found:?}");
    // K and V in MXFP4, in MXINT8.
    let [fp4, int8] = [0, 1].map(|of| found.above(found.hardware[of]).abs());
    assert!(fp4 < 0.06 && int8 < 0.03, "{found:?}");
    // What MXFP4 costs is in its four bits: binary32 with them is as far off, a change of every number in the cache.
    assert!(found.rounded != found.binary32 && found.above(found.rounded).abs() < 0.06, "{found:?}");
    assert_ne!(found.hardware[0], found.hardware[1]);
    let alone = PerplexityOptions { threads: 1, int8: vec![true], ..options };
    assert_eq!(measure(&model, &alone).unwrap().hardware, [found.hardware[1]], "threads change nothing");
}

#[test]
fn a_packed_model_that_is_another_foretells_worse() {
    let (checkpoint, packed, tokens) = model();
    let mut other = checkpoint.clone();
    // The norm of the last layer's heads of K: a small part of the model.
    for weight in other.layers[2].k_norm.iter_mut().flatten() {
        *weight = 0.25;
    }
    let other = Packed::of_checkpoint(&other, &ImportOptions::new(Geometry::ALL[0])).unwrap();
    let options = PerplexityOptions { window: 128, windows: Some(3), ..PerplexityOptions::default() };
    let [right, wrong] = [packed, other]
        .map(|packed| perplexity(&checkpoint, &packed, &tokens, &options, &mut |_| true).unwrap());
    assert_eq!(right.binary32, wrong.binary32);
    let int8 = |found: &Perplexity| found.above(found.hardware[1]);
    assert!(int8(&wrong) > int8(&right) + 0.02, "{right:?} {wrong:?}");
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let model = model();
    for window in [0, 1, 513] {
        let options = PerplexityOptions { window, ..PerplexityOptions::default() };
        assert!(matches!(measure(&model, &options), Err(HostError::Option { option: "window", .. })));
    }
    let (checkpoint, packed, tokens) = &model;
    let options = PerplexityOptions { window: 32, ..PerplexityOptions::default() };
    let of = |tokens: &[u32]| perplexity(checkpoint, packed, tokens, &options, &mut |_| false);
    assert!(matches!(of(&[]), Err(HostError::ShortText { tokens: 0 })));
    assert!(matches!(of(&[7]), Err(HostError::ShortText { tokens: 1 })));
    assert!(matches!(of(&[7, 512]), Err(HostError::UnknownToken { id: 512, .. })));
    assert!(matches!(of(tokens), Err(HostError::Stopped)));
}
