// SPDX-License-Identifier: Apache-2.0
//! Tokens that end a text.

use std::path::Path;

use serde::Deserialize;

use crate::error::HostError;

/// One id, or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Ids {
    One(u32),
    Several(Vec<u32>),
}

#[derive(Deserialize)]
struct Raw {
    eos_token_id: Option<Ids>,
}

/// The ids that end a text of the model in `dir`: `eos_token_id` of `generation_config.json`, and if that does not say any, of
/// `config.json`. Without both a text ends nowhere.
///
/// # Errors
///
/// [`HostError::Corrupt`] when one of the files is there but does not parse; [`HostError::Unreadable`].
pub fn stop_ids(dir: &Path) -> Result<Vec<u32>, HostError> {
    for file in ["generation_config.json", "config.json"] {
        let Some(bytes) = crate::files::read_if_there(dir, file)? else { continue };
        let raw: Raw = serde_json::from_slice(&bytes).map_err(|source| HostError::Corrupt {
            path: dir.join(file),
            expected: "JSON in which eos_token_id is an id or a list of them",
            reason: source.to_string(),
        })?;
        match raw.eos_token_id {
            Some(Ids::One(id)) => return Ok(vec![id]),
            Some(Ids::Several(ids)) => return Ok(ids),
            None => {}
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(files: &[(&str, &str)]) -> Result<Vec<u32>, HostError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        stop_ids(dir.path())
    }

    #[test]
    fn generation_config_goes_first_and_may_name_several() {
        let config = ("config.json", r#"{"eos_token_id": 7, "hidden_size": 1}"#);
        assert_eq!(stops(&[config]).unwrap(), [7]);
        let several = ("generation_config.json", r#"{"eos_token_id": [3, 4]}"#);
        assert_eq!(stops(&[config, several]).unwrap(), [3, 4]);
        let none = ("generation_config.json", r#"{"eos_token_id": null}"#);
        assert_eq!(stops(&[config, none]).unwrap(), [7]);
        assert!(stops(&[]).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_id_is_refused() {
        let error = stops(&[("generation_config.json", r#"{"eos_token_id": "</s>"}"#)]).unwrap_err();
        assert!(error.to_string().contains("eos_token_id"), "{error}");
    }
}
