// SPDX-License-Identifier: Apache-2.0
//! "The references share nothing with the cycle model but the format types" (docs/numerics.md, "Where it is
//! checked"), enforced on the sources of `model/src/reference/`.

use std::path::Path;

/// What a reference may take from the rest of the crate: types that carry bits.
const FORMAT_TYPES: [&str; 10] = [
    "Float36",
    "Rounded",
    "E2m1",
    "E8m0",
    "Mxint8",
    "MxFp4Block",
    "MxInt8Block",
    "Quantised",
    "ScaleRule",
    "BLOCK_LEN",
];

/// What the format types can compute; a reference that called it would check the numerics against themselves.
/// (The `+` of two floats cannot be seen in text; review has to.)
const COMPUTED: [&str; 16] = [
    "Float36::from_int",
    "Float36::from_fields",
    "Float36::widen",
    ".narrow()",
    ".significand()",
    ".exponent()",
    ".fraction()",
    ".doubled()",
    ".low_nibble()",
    ".high_half()",
    ".units()",
    ".to_f32()",
    "rne_saturating",
    "Block::quantise",
    ".dequantise_f32()",
    ".dequantise_f64()",
];

/// The one file that calls the numerics, and what it may take of them: tables that are a definition themselves.
const FUNCTIONS: (&str, [&str; 2]) =
    ("functions.rs", ["use crate::numerics::vector::function;", "use crate::vector::types::Function;"]);

/// `Err` says what `source`, the file of the reference with this name, shares beyond what it may.
fn check_file(file: &str, source: &str) -> Result<(), String> {
    if file != FUNCTIONS.0 {
        return check(source);
    }
    let rest: Vec<&str> = source.lines().filter(|line| !FUNCTIONS.1.contains(line)).collect();
    check(&rest.join("\n"))
}

/// `Err` says what `source`, a file of the reference, shares beyond the format types.
fn check(source: &str) -> Result<(), String> {
    // Without comments and blanks, so that no layout of a `use` hides anything.
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    let code: String = code.split_whitespace().collect::<Vec<_>>().join("");
    for root in ["tandem_model::", "super::super", "externcrate", "include!", "#[path"] {
        if code.contains(root) {
            return Err(format!("{root} leaves the reference"));
        }
    }
    for path in code.split("crate::").skip(1) {
        // `pub(in crate::..)` and the like do not occur; whatever is not the one allowed shape is refused.
        let rest = path.strip_prefix("numerics::").ok_or_else(|| format!("crate::{}", name(path)))?;
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => {
                group.split('}').next().unwrap_or("").split(',').filter(|n| !n.is_empty()).collect()
            }
            None => vec![name(rest)],
        };
        if let Some(foreign) = names.iter().find(|n| !FORMAT_TYPES.contains(n)) {
            return Err(format!("crate::numerics::{foreign} is not a format type"));
        }
    }
    match COMPUTED.iter().find(|call| code.contains(*call)) {
        Some(call) => Err(format!("{call} is computed by the numerics")),
        None => Ok(()),
    }
}

/// The identifier that `text` begins with.
fn name(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("")
}

#[test]
fn the_references_share_only_format_types_with_the_rest_of_the_crate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference");
    let mut seen = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // A folder would need a walk: refuse it rather than overlook it.
        assert!(path.extension().is_some_and(|e| e == "rs"), "{} is not a source", path.display());
        let source = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        check_file(&file, &source).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        seen.push(file);
    }
    for expected in [
        "mod.rs",
        "attention.rs",
        "attention_error.rs",
        "command.rs",
        "crc32c.rs",
        "decoder.rs",
        "divide.rs",
        "dot.rs",
        "fast.rs",
        "float.rs",
        "functions.rs",
        "image.rs",
        "program.rs",
        "pv.rs",
        "quantise.rs",
        "secded.rs",
        "softmax.rs",
        "vector.rs",
        "vector_program.rs",
    ] {
        assert!(seen.iter().any(|name| name == expected), "{expected} was not read");
    }
}

#[test]
fn a_module_of_the_crate_may_not_see_more_than_the_format_types() {
    // `super` of the reference's own root is the crate.
    let root =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/reference/mod.rs")).unwrap();
    assert!(!root.lines().any(|line| !line.starts_with("//") && line.contains("super")));
}

#[test]
fn a_reference_that_shares_more_is_rejected() {
    let good =
        "use crate::numerics::{\n    Float36,\n    Rounded, // crate::array\n};\nuse crate::numerics::E2m1;";
    assert_eq!(check(good), Ok(()));
    let bad = [
        "use crate::array::Pe;",
        "use crate::numerics::float36::add;",
        "use crate::numerics::{Float36, float36::add};",
        "use crate::numerics::{Float36,\n    quantise};",
        "use crate::numerics::*;",
        "use crate::numerics;",
        "use crate::{numerics::Float36};",
        "use crate::numerics::Float36 as Other;",
        "use tandem_model::numerics::Float36;",
        "use super::super::numerics::Float36;",
        "let x = Float36::from_int(n, e);",
        "let x = element\n    .doubled();",
        "let x = MxFp4Block::quantise(&values, rule);",
        "let x = E2m1::from_f32_rne_saturating(v);",
    ];
    for source in bad {
        assert!(check(source).is_err(), "accepted: {source}");
    }
    for line in FUNCTIONS.1 {
        assert_eq!(check_file(FUNCTIONS.0, line), Ok(()));
        assert!(check_file("vector.rs", line).is_err(), "accepted: {line}");
    }
    assert!(check_file(FUNCTIONS.0, "use crate::numerics::vector::product;").is_err());
}
