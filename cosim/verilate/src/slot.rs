// SPDX-License-Identifier: Apache-2.0
//! Where builds are kept: a folder for each, named by the hash of all that went in.

use std::collections::BTreeMap;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Result, VerilateError, io};
use crate::find::Verilator;

/// What this crate does to a device.
const BUILDERS: [&str; 4] = [
    include_str!("compile.rs"),
    include_str!("tools.rs"),
    include_str!("tree.rs"),
    include_str!("wrapper.rs"),
];

/// Fills a folder that is not there yet: one beside it first, which is moved there whole, so that a stopped build leaves nothing.
pub(crate) fn in_slot(slot: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    if slot.is_dir() {
        return Ok(());
    }
    let parent = slot.parent().unwrap_or(slot);
    io("create", parent, std::fs::create_dir_all(parent))?;
    let work = io("create a folder in", parent, tempfile::tempdir_in(parent))?;
    fill(work.path())?;
    // Somebody else may have finished the same build meanwhile: theirs is as good.
    match std::fs::rename(work.path(), slot) {
        Err(source) if !slot.is_dir() => {
            Err(VerilateError::Io { action: "move a finished build to", path: slot.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// A hash over files and texts.
pub(crate) struct Hash {
    state: Sha256,
}

impl Hash {
    /// The code that builds is a part of everything that is built.
    pub fn new() -> Self {
        let mut hash = Self { state: Sha256::new() };
        BUILDERS.iter().for_each(|code| hash.text(code));
        hash
    }

    pub fn text(&mut self, text: &str) {
        self.state.update(text.len().to_le_bytes());
        self.state.update(text);
    }

    pub fn file(&mut self, path: &Path) -> Result<()> {
        let bytes = io("read", path, std::fs::read(path))?;
        self.state.update(bytes.len().to_le_bytes());
        self.state.update(&bytes);
        Ok(())
    }

    /// Where Verilator is, and which one: an upgrade in place must not find old archives.
    pub fn verilator(&mut self, verilator: &Verilator) -> Result<()> {
        self.text(&verilator.root.display().to_string());
        self.file(&verilator.include().join("verilated_config.h"))?;
        let size = io("read", &verilator.binary, std::fs::metadata(&verilator.binary))?.len();
        self.text(&size.to_string());
        Ok(())
    }

    /// Every file of a folder, without its subfolders, under its name.
    pub fn dir(&mut self, path: &Path) -> Result<()> {
        let mut found = BTreeMap::new();
        for entry in io("read", path, std::fs::read_dir(path))?.flatten() {
            if entry.path().is_file() {
                found.insert(entry.file_name(), entry.path());
            }
        }
        for (name, path) in found {
            self.text(&name.to_string_lossy());
            self.file(&path)?;
        }
        Ok(())
    }

    pub fn finish(self) -> String {
        self.state.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}
