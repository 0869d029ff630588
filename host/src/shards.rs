// SPDX-License-Identifier: Apache-2.0
//! The safetensors files of a model directory: one, or several and an index that says which tensor is in which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::error::HostError;
use crate::files;

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The files, mapped.
pub(crate) struct Shards {
    files: Vec<(PathBuf, Mmap)>,
    /// Which tensor is in which file, where there is an index.
    index: Option<BTreeMap<String, usize>>,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Maps the files of the model directory `dir`. One file goes before an index.
    pub(crate) fn open(dir: &Path) -> Result<Self, HostError> {
        files::require_directory(dir)?;
        let single = dir.join(WEIGHTS);
        if single.exists() || !dir.join(INDEX).exists() {
            let mapped = crate::map::map(&single).map_err(|error| match error {
                HostError::NotThere { .. } => HostError::NoFile { dir: dir.to_path_buf(), file: WEIGHTS },
                other => other,
            })?;
            return Ok(Self { files: vec![(single, mapped)], index: None });
        }
        let path = dir.join(INDEX);
        let bytes = files::read(dir, INDEX)?;
        let corrupt = |reason: String| HostError::Corrupt {
            path: path.clone(),
            expected: "an index of safetensors files, with a weight_map",
            reason,
        };
        let index: Index = serde_json::from_slice(&bytes).map_err(|source| corrupt(source.to_string()))?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        if names.is_empty() {
            return Err(corrupt("weight_map has no tensor".to_owned()));
        }
        let mut files = Vec::new();
        let mut numbers = BTreeMap::new();
        for name in names {
            // A name of a file of this directory, and nothing else.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(corrupt(format!("weight_map names {name:?}, which is no file of the directory")));
            }
            numbers.insert(name.clone(), files.len());
            let shard = dir.join(name);
            let mapped = crate::map::map(&shard).map_err(|error| match error {
                HostError::NotThere { .. } => {
                    HostError::NoShard { dir: dir.to_path_buf(), file: name.clone(), index: INDEX }
                }
                other => other,
            })?;
            files.push((shard, mapped));
        }
        let index = index.weight_map.into_iter().map(|(tensor, file)| (tensor, numbers[&file])).collect();
        Ok(Self { files, index: Some(index) })
    }

    /// The files' headers, and the number of the file of every tensor. Files and index must agree.
    pub(crate) fn parse(&self) -> Result<(Vec<SafeTensors<'_>>, BTreeMap<String, usize>), HostError> {
        let mut parsed = Vec::new();
        let mut places = BTreeMap::new();
        for (number, (path, mapped)) in self.files.iter().enumerate() {
            let file = SafeTensors::deserialize(mapped).map_err(|source| HostError::Corrupt {
                path: path.clone(),
                expected: "a safetensors file",
                reason: source.to_string(),
            })?;
            for name in file.names() {
                let listed = self.index.as_ref().map_or(Some(number), |index| index.get(name).copied());
                if listed != Some(number) {
                    let found = listed.map_or("nowhere".to_owned(), |at| self.name(at));
                    return Err(HostError::Shard { name: name.to_owned(), file: self.name(number), found });
                }
                places.insert(name.to_owned(), number);
            }
            parsed.push(file);
        }
        let missing = self.index.iter().flatten().find(|(name, _)| !places.contains_key(*name));
        if let Some((name, &number)) = missing {
            return Err(HostError::NotInShard { name: name.clone(), file: self.name(number) });
        }
        Ok((parsed, places))
    }

    fn name(&self, number: usize) -> String {
        self.files[number].0.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}
