// SPDX-License-Identifier: Apache-2.0
//! Files as memory: weights are read where they lie, not copied first.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;

use crate::error::HostError;

/// A file's bytes.
///
/// # Errors
///
/// [`HostError::NoFile`] when there is none, [`HostError::Unreadable`].
pub(crate) fn map(path: &Path) -> Result<Mmap, HostError> {
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => HostError::NotThere { path: path.to_path_buf() },
        _ => HostError::Unreadable { path: path.to_path_buf(), source },
    };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
        return Err(HostError::Unreadable { path: path.to_path_buf(), source });
    }
    // There is no safe way: who shortens the file meanwhile ends this program, who changes it changes the weights.
    // Nobody does either to a model that is in use, and files of ours are replaced, never written in place.
    #[allow(unsafe_code)]
    let mapped = unsafe { Mmap::map(&file) };
    mapped.map_err(unreadable)
}
