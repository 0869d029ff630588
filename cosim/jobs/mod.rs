// SPDX-License-Identifier: Apache-2.0
//! What the program does: one module per command.

pub mod bench;
pub mod fuzz;
pub mod list;
pub mod matvec;
pub mod replay;

use indicatif::{ProgressBar, ProgressStyle};

/// A progress bar on standard error; nothing where that is no terminal.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    if let Ok(style) = ProgressStyle::with_template("{msg:28} {bar:30} {pos}/{len} {per_sec} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar
}
