// SPDX-License-Identifier: Apache-2.0
//! Ctrl-C, or SIGTERM: long work looks at a flag and stops with its figures so far.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// The run was interrupted; exit code 130.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub struct Interrupted;

/// Lets Ctrl-C and SIGTERM raise the flag. The second time ends the program at once.
///
/// # Errors
/// When the handler cannot be installed.
pub fn install() -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })
}

/// True once one of them came.
#[must_use]
pub fn raised() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Stops the caller when Ctrl-C was pressed.
///
/// # Errors
/// [`Interrupted`].
pub fn check() -> Result<(), Interrupted> {
    if raised() { Err(Interrupted) } else { Ok(()) }
}
