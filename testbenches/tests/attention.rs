// SPDX-License-Identifier: Apache-2.0
//! The attention engine's model against the untimed reference.

use tandem_model::array::Geometry;
use tandem_model::attention::attention_engine::AttentionEngine;
use tandem_testbenches::ModelOnly;
use tandem_testbenches::attention::pages::pack;
use tandem_testbenches::attention::suite::cases;
use tandem_testbenches::attention::{EngineDriver, Job};

/// Every named case: values and utilisation's words.
#[test]
fn named_suite_equals_the_reference() {
    for geometry in Geometry::ALL {
        for case in cases() {
            let (session, queries) = case.generate(geometry.rows);
            let pages = pack(&session, geometry);
            let mut dut = ModelOnly { model: AttentionEngine::new(geometry) };
            let mut driver = EngineDriver::new(geometry, &mut dut).unwrap();
            let job = Job { session: &session, pages: &pages, queries: &queries, resident: None };
            let start = driver.now();
            let results =
                driver.run(&[job], false, &mut |_| Ok(())).unwrap_or_else(|e| panic!("{case:?}: {e}"));
            let want = session.attend(geometry, &queries);
            for (r, want) in want.iter().enumerate() {
                assert_eq!(results[0].values[r], want.values, "{} {case:?} row {r}", geometry.name);
            }
            println!("{} {case:?}: {} cycles", geometry.name, driver.now() - start);
        }
    }
}
