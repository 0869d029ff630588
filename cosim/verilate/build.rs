// SPDX-License-Identifier: Apache-2.0
//! Remembers the target triple: the `cc` crate wants it outside of build scripts too.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=TANDEM_TARGET={target}");
}
