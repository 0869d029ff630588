// SPDX-License-Identifier: Apache-2.0
//! A packed model in a file: a header of [`HEADER`] bytes, the image, the manifest in JSON, the tokenizer.
//!
//! | bytes of the header | |
//! |---|---|
//! | 0-7 | `TANDEMPK` |
//! | 8-11 | version |
//! | 16-23 | bytes of the image, which begins behind the header |
//! | 24-31 | bytes of the manifest, which begins behind the image |
//! | 32-63 | SHA-256 of the manifest |
//!
//! The manifest says how long the tokenizer is, which ends the file.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::layout::{Manifest, TokenizerFile, VERSION};
use super::pack::{Files, digits, pack};
use super::{Bytes, ImportOptions, Packed, Progress};
use crate::chat::Chat;
use crate::config::Config;
use crate::error::HostError;
use crate::shards::Shards;
use crate::tensors::Tensors;
use crate::tokenizer::{TOKENIZER, Tokenizer};

const MAGIC: &[u8; 8] = b"TANDEMPK";
/// A page, so that the image begins at one.
const HEADER: usize = 4096;

/// Where a file has the image.
pub(super) fn image_of(manifest: &Manifest) -> Range<usize> {
    HEADER..HEADER + usize::try_from(manifest.bytes).expect("it is mapped")
}

pub(super) fn import(
    dir: &Path,
    path: &Path,
    options: &ImportOptions,
    each: &mut dyn FnMut(Progress) -> bool,
) -> Result<Manifest, HostError> {
    let config = Config::load(dir)?;
    let shards = Shards::open(dir)?;
    let tensors = Tensors::new(&shards, &config)?;
    // Read and parsed first: it would be a pity to find out in the end.
    let tokenizer = crate::files::read(dir, TOKENIZER)?;
    Tokenizer::parse(&tokenizer, &dir.join(TOKENIZER), &config)?;
    let (stop, chat) = (crate::stop::stop_ids(dir)?, Chat::load(dir)?);
    let of = Manifest::new(&config, options)?.bytes;

    let unwritable = |source: std::io::Error| HostError::Unwritable { path: path.to_path_buf(), source };
    let mut file = BufWriter::with_capacity(1 << 20, beside(path).map_err(unwritable)?);
    file.write_all(&[0; HEADER]).map_err(unwritable)?;
    let mut done = 0;
    let mut manifest = pack(&mut Files { config: &config, tensors }, options, &mut |bytes| {
        file.write_all(bytes).map_err(unwritable)?;
        done += bytes.len() as u64;
        if each(Progress { done, of }) { Ok(()) } else { Err(HostError::Stopped) }
    })?;
    let (bytes, sha256) = (tokenizer.len() as u64, digits(&Sha256::digest(&tokenizer)));
    manifest.tokenizer = Some(TokenizerFile { stop, chat, bytes, sha256 });
    let text = serde_json::to_vec(&manifest).map_err(|error| unwritable(error.into()))?;
    finish(file, &manifest, [&text, &tokenizer], path).map_err(unwritable)?;
    Ok(manifest)
}

/// A file without the name that it is to have, which is gone when it is dropped.
fn beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tandem-import-");
    #[cfg(unix)]
    {
        // As any other file: what the umask leaves of it.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder.unwrap_or(Path::new(".")))
}

/// The manifest and the header, and only then the name.
fn finish(
    mut file: BufWriter<tempfile::NamedTempFile>,
    manifest: &Manifest,
    [text, tokenizer]: [&[u8]; 2],
    path: &Path,
) -> std::io::Result<()> {
    file.write_all(text)?;
    file.write_all(tokenizer)?;
    file.seek(SeekFrom::Start(0))?;
    let mut header = Vec::from(MAGIC);
    header.extend(VERSION.to_le_bytes());
    header.extend([0; 4]);
    header.extend(manifest.bytes.to_le_bytes());
    header.extend((text.len() as u64).to_le_bytes());
    header.extend(Sha256::digest(text));
    file.write_all(&header)?;
    let file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

pub(super) fn load(path: &Path) -> Result<Packed, HostError> {
    let file = crate::map::map(path)?;
    let wrong = |expected: &str, found: String| HostError::Packed {
        path: PathBuf::from(path),
        expected: expected.to_owned(),
        found,
    };
    let magic = file.get(..8).unwrap_or(&file);
    if magic != MAGIC {
        let found = if file.is_empty() { "an empty file" } else { "another kind of file" };
        return Err(wrong("a packed model, which begins with TANDEMPK", found.to_owned()));
    }
    if file.len() < HEADER {
        return Err(wrong(&format!("at least {HEADER} bytes"), format!("{}: it is truncated", file.len())));
    }
    let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| file[at + i]));
    let version = u32::from_le_bytes(std::array::from_fn(|i| file[8 + i]));
    if version != VERSION {
        return Err(wrong(&format!("version {VERSION}"), format!("version {version}")));
    }
    let (image, text) = (number(16), number(24));
    let end = |from: u64, length: u64| {
        let end = from.checked_add(length).and_then(|end| usize::try_from(end).ok());
        end.filter(|&end| end <= file.len()).ok_or_else(|| {
            let found = format!("{} bytes in all: it is truncated", file.len());
            wrong(&format!("{length} bytes from byte {from} on"), found)
        })
    };
    let start = end(HEADER as u64, image)?;
    let behind = end(start as u64, text)?;
    let text = &file[start..behind];
    if Sha256::digest(text)[..] != file[32..64] {
        return Err(wrong("a manifest of the header's SHA-256", "another: bytes have changed".to_owned()));
    }
    let manifest: Manifest = serde_json::from_slice(text)
        .map_err(|error| wrong("a manifest in JSON", format!("that it does not parse: {error}")))?;
    if manifest.version != VERSION || manifest.bytes != image || manifest.expected()? != manifest {
        let expected = "a manifest that says what its configuration does";
        return Err(wrong(expected, "another layout: another program wrote it".to_owned()));
    }
    let tokenizer = match &manifest.tokenizer {
        None => None,
        Some(TokenizerFile { bytes, sha256, .. }) => {
            let tokenizer = &file[behind..end(behind as u64, *bytes)?];
            let found = digits(&Sha256::digest(tokenizer));
            if found != *sha256 {
                let expected = format!("a tokenizer of SHA-256 {sha256}");
                return Err(wrong(&expected, format!("{found}: bytes have changed")));
            }
            Some(tokenizer.to_vec())
        }
    };
    let packed = Packed { manifest, image: Bytes::Mapped(file), tokenizer };
    for tensor in &packed.manifest.tensors {
        let found = digits(&Sha256::digest(packed.bytes(tensor)));
        if found != tensor.sha256 {
            let expected = format!("tensor {} of SHA-256 {}", tensor.name, tensor.sha256);
            return Err(wrong(&expected, format!("{found}: bytes have changed")));
        }
    }
    Ok(packed)
}
