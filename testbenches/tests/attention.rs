// SPDX-License-Identifier: Apache-2.0
//! The named suite of attention: the reference against binary64 on the same codes.

use tandem_model::array::Geometry;
use tandem_model::reference::attention::Flags;
use tandem_testbenches::attention::relative_error;
use tandem_testbenches::attention::suite::cases;

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
