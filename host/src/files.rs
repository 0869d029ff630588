// SPDX-License-Identifier: Apache-2.0
//! Reading the files of a model directory, with errors that name what is missing.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::HostError;

/// Refuses `dir` unless it is a directory.
pub(crate) fn require_directory(dir: &Path) -> Result<(), HostError> {
    let found = match std::fs::metadata(dir) {
        Ok(metadata) if metadata.is_dir() => return Ok(()),
        Ok(_) => "a file",
        Err(source) if source.kind() == ErrorKind::NotFound => "nothing",
        Err(source) => {
            return Err(HostError::Unreadable { path: dir.to_path_buf(), source });
        }
    };
    Err(HostError::NoDirectory { path: dir.to_path_buf(), found })
}

/// All bytes of `file` in the model directory `dir`.
pub(crate) fn read(dir: &Path, file: &'static str) -> Result<Vec<u8>, HostError> {
    require_directory(dir)?;
    let path = dir.join(file);
    std::fs::read(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => HostError::NoFile { dir: dir.to_path_buf(), file },
        _ => HostError::Unreadable { path, source },
    })
}

/// All bytes of `file` in the model directory `dir`; `None` when it is not there.
pub(crate) fn read_if_there(dir: &Path, file: &'static str) -> Result<Option<Vec<u8>>, HostError> {
    match read(dir, file) {
        Err(HostError::NoFile { .. }) => Ok(None),
        other => other.map(Some),
    }
}
