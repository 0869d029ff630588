// SPDX-License-Identifier: Apache-2.0
//! Results of an operation are the same bits in every geometry: also in one of four segments that is only linted.

use tandem_model::array::Geometry;
use tandem_model::array::systolic_array::SystolicArray;
use tandem_model::numerics::{Float36, MxInt8Block};
use tandem_testbenches::ModelOnly;
use tandem_testbenches::array::{
    ArrayDriver, HeadLayout, KeyTile, Matrix, Stalls, Stationary, Stream, run_gemv,
};
use tandem_testbenches::random::{Flavour, Source};

const WIDE: Geometry =
    Geometry { name: "wide", rows: 2, segments: 4, bank_words: 64, selective: false, peers: 1 };

fn geometries() -> Vec<Geometry> {
    Geometry::ALL.into_iter().chain([WIDE]).collect()
}

fn stream(source: &mut Source, int8: bool, blocks: usize) -> Stream {
    if int8 {
        Stream::Int8((0..blocks).map(|_| source.int8_block()).collect())
    } else {
        Stream::Fp4((0..blocks).map(|_| source.fp4_block()).collect())
    }
}

/// Results of rows 0 and 1, feature by feature.
fn gemv(geometry: Geometry, int8: bool, flavour: Flavour, stalls: Option<u64>) -> Vec<Float36> {
    let (features, blocks) = (70, 13);
    let mut source = Source::new(11, flavour);
    let matrix = Matrix { features, blocks, weights: stream(&mut source, int8, features * blocks) };
    let values: Vec<MxInt8Block> = (0..2 * blocks).map(|_| source.int8_block()).collect();
    let mut dut = ModelOnly { model: SystolicArray::new(geometry) };
    let mut driver = ArrayDriver::new(geometry, &mut dut).unwrap();
    if let Some(seed) = stalls {
        driver.stall(Stalls::new(seed));
    }
    let run = run_gemv(&mut driver, &matrix, &Stationary { blocks, values }, &mut |_| Ok(())).unwrap();
    run.results.chunks(geometry.rows).flat_map(|rows| [rows[0], rows[1]]).collect()
}

/// Scores of 32 tokens of a head of 128, rows 0 and 1, token by token.
fn scores(geometry: Geometry, int8: bool, flavour: Flavour) -> Vec<Float36> {
    let mut source = Source::new(12, flavour);
    let all = stream(&mut source, int8, 32 * 4);
    let values: Vec<MxInt8Block> = (0..2 * 4).map(|_| source.int8_block()).collect();
    let layout = HeadLayout::new(geometry, int8, 4);
    // A beat of a wide array takes several tokens: group g has those from g * beats.
    let tile = KeyTile { layout, beats: 32 / layout.groups, keys: all };
    let mut dut = ModelOnly { model: SystolicArray::new(geometry) };
    let mut driver = ArrayDriver::new(geometry, &mut dut).unwrap();
    tile.stream(&mut driver, &Stationary { blocks: 4, values }).unwrap();
    driver.drain().unwrap();
    let mut found = vec![None; 64];
    for e in driver.take_emitted().into_iter().filter(|e| e.row < 2) {
        let group = (e.segment + 1) / layout.segments_per_group(geometry) - 1;
        found[2 * (group * tile.beats + usize::from(e.slot)) + e.row] = Some(e.value);
    }
    found.into_iter().map(|score| score.expect("one score per token and row")).collect()
}

#[test]
fn gemv_is_the_same_bits_in_every_geometry() {
    for flavour in Flavour::ALL {
        for int8 in [false, true] {
            let first = gemv(Geometry::ALL[0], int8, flavour, None);
            assert!(first.iter().any(|f| !f.is_zero()));
            for geometry in geometries() {
                assert_eq!(
                    gemv(geometry, int8, flavour, None),
                    first,
                    "{geometry:?} {flavour:?} int8 {int8}"
                );
                assert_eq!(gemv(geometry, int8, flavour, Some(5)), first, "{geometry:?} with stalls");
            }
        }
    }
}

#[test]
fn scores_are_the_same_bits_in_every_geometry() {
    for flavour in Flavour::ALL {
        for int8 in [false, true] {
            let first = scores(Geometry::ALL[0], int8, flavour);
            assert!(first.iter().any(|f| !f.is_zero()));
            for geometry in geometries() {
                assert_eq!(scores(geometry, int8, flavour), first, "{geometry:?} {flavour:?} int8 {int8}");
            }
        }
    }
}

/// The comparison can fail: another order of the blocks gives other bits.
#[test]
fn another_order_of_additions_is_told_apart() {
    let mut source = Source::new(11, Flavour::Plain);
    let blocks: Vec<Float36> = (0..64)
        .map(|i| {
            let bits = source.bits();
            Float36::from_fields(bits >> 63 == 1, 2040 + (i * 7) % 16, bits & ((1 << 23) - 1))
        })
        .collect();
    let fold =
        |order: &mut dyn Iterator<Item = &Float36>| order.fold(Float36::ZERO, |sum, &b| (sum + b).value);
    assert_ne!(fold(&mut blocks.iter()), fold(&mut blocks.iter().rev()));
}
