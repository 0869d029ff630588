// SPDX-License-Identifier: Apache-2.0
//! The named suite of attention: the reference against binary64 on the same codes, the engine's model against the
//! reference.

use tandem_model::array::Geometry;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_model::reference::attention::Flags;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::attention::pages::pack;
use tandem_testbenches::attention::suite::cases;
use tandem_testbenches::attention::{EngineDriver, Job, relative_error};

#[test]
fn every_named_case_is_within_its_relative_error() {
    let geometry = Geometry::ALL[0];
    let mut bad = Vec::new();
    for case in cases() {
        let (session, queries) = case.generate(2);
        let got = session.attend(geometry, &queries);
        let want = session.figures(geometry, &queries);
        let mut worst = 0f64;
        for (row, figures) in got.iter().zip(&want) {
            assert_eq!(row.flags, Flags::default(), "{case:?}");
            worst = worst.max(relative_error(&row.values, &figures.exact));
            for ((&bits, exact), bound) in row.values.iter().zip(&figures.exact).zip(&figures.bound) {
                assert!((f64::from(f32::from_bits(bits)) - exact).abs() <= *bound, "{case:?}");
            }
        }
        let format = if case.int8 { "MXINT8" } else { "MXFP4" };
        println!("{worst:9.2e} {} {format} {}", case.name, case.head_dim);
        if worst > case.limit {
            bad.push((case, worst));
        }
    }
    assert!(bad.is_empty(), "above their limits: {bad:#?}");
}

#[test]
fn engine_answers_every_named_case_as_the_reference() {
    for geometry in Geometry::ALL {
        for case in cases() {
            let (session, queries) = case.generate(geometry.rows);
            let pages = pack(&session, geometry);
            let mut dut = ModelOnly { model: AttentionEngine::new(geometry) };
            let mut driver = EngineDriver::new(geometry, &mut dut).unwrap();
            let job = Job { session: &session, pages: &pages, queries: &queries, resident: None };
            let results =
                driver.run(&[job], false, &mut |_| Ok(())).unwrap_or_else(|e| panic!("{case:?}: {e}"));
            for (r, want) in session.attend(geometry, &queries).iter().enumerate() {
                assert_eq!(results[0].values[r], want.values, "{} {case:?} row {r}", geometry.name);
            }
        }
    }
}
