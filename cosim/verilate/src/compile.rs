// SPDX-License-Identifier: Apache-2.0
//! Runs Verilator and the C++ compiler, and keeps the results by the hash of everything that went in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::{Result, io};
use crate::find::Verilator;
use crate::slot::{Hash, in_slot};
use crate::tools::{Compiler, FIRST_HEADER, archive, cores, run, side_by_side};
use crate::tree::Tree;
use crate::{Spec, wrapper};

/// What to make of a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A static archive, for linking into a program.
    Static,
    /// A shared object with the runtime in it, for loading at run time.
    Shared,
}

/// A compiled device or runtime.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The library file.
    pub library: PathBuf,
    /// Verilator's syntax tree of the device; empty for the runtime.
    pub tree: PathBuf,
    /// What building it took, remembered when it came from the cache.
    pub timing: Timing,
}

/// Wall times of a build, seconds.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Timing {
    /// Verilator.
    pub verilate: f64,
    /// C++ compiler.
    pub compile: f64,
}

/// Flags that change nothing measurable at run time but make failures visible (shared by every device).
const VERILATOR_FLAGS: [&str; 10] = [
    "--cc",
    "--assert",
    "--savable",
    "--x-initial",
    "unique",
    "--x-assign",
    "unique",
    "--no-timing",
    "-Wno-lint",
    "--quiet",
];

/// Compiles Verilator's runtime library with the hooks in `cpp`. It never changes with the RTL.
///
/// # Errors
/// When a file cannot be read or the compiler fails.
pub fn runtime(verilator: &Verilator, cpp: &Path, cache: &Path) -> Result<Archive> {
    let mut hash = Hash::new();
    hash.dir(cpp)?;
    hash.verilator(verilator)?;
    let slot = cache.join(format!("runtime-{}", hash.finish()));
    cached(&slot, "runtime", "libtandem_verilated.a", |work| {
        let start = Instant::now();
        let include = verilator.include();
        let names = ["verilated.cpp", "verilated_threads.cpp", "verilated_save.cpp"];
        let mut sources: Vec<_> = names.iter().map(|n| include.join(n)).collect();
        sources.push(cpp.join("dut_runtime.cpp"));
        let jobs = sources.into_iter().map(|s| (s, 2)).collect();
        let objects = compile_all("runtime", jobs, &Compiler::new(verilator, cpp, work), work, None)?;
        archive("runtime", &objects, &work.join("libtandem_verilated.a"))?;
        Ok(Timing { verilate: 0.0, compile: start.elapsed().as_secs_f64() })
    })
}

/// Verilates and compiles a device. Results are kept below `cache` by a hash of everything that goes in.
///
/// # Errors
/// When Verilator or the compiler fails, or the registers of model and RTL differ.
pub fn build(spec: &Spec, verilator: &Verilator, cpp: &Path, cache: &Path, kind: Kind) -> Result<Archive> {
    let mut hash = Hash::new();
    hash.text(&format!("{spec:?} {kind:?} {VERILATOR_FLAGS:?}"));
    hash.verilator(verilator)?;
    hash.dir(cpp)?;
    for file in &spec.sources {
        hash.file(file)?;
    }
    for dir in &spec.include_dirs {
        hash.dir(dir)?;
    }
    let slot = cache.join(format!("{}-{}", spec.name, hash.finish()));
    let library = match kind {
        Kind::Static => format!("libtandem_{}.a", spec.name),
        Kind::Shared => format!("libtandem_{}.so", spec.name),
    };
    let runtime = runtime(verilator, cpp, cache)?;
    cached(&slot, &spec.name, &library, |work| {
        let start = Instant::now();
        verilate(spec, verilator, work)?;
        let verilate = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let shelf = match kind {
            // A leaf is one file, which every change changes.
            Kind::Shared if !spec.no_inline.is_empty() => Some(Shelf::of(spec, verilator, cpp, cache, work)?),
            _ => None,
        };
        let mut compiler = Compiler::new(verilator, cpp, work);
        if kind == Kind::Shared && spec.no_inline.is_empty() {
            compiler.prelude = Some(prelude(verilator, cpp, cache)?);
        }
        let objects = compile_all(&spec.name, jobs(spec, kind, work)?, &compiler, work, shelf.as_ref())?;
        match kind {
            Kind::Static => archive(&spec.name, &objects, &work.join(&library))?,
            Kind::Shared => compiler.link(&spec.name, &objects, &runtime.library, &work.join(&library))?,
        }
        Ok(Timing { verilate, compile: start.elapsed().as_secs_f64() })
    })
}

/// The slot's archive; makes it when there is none.
fn cached(
    slot: &Path,
    name: &str,
    library: &str,
    make: impl FnOnce(&Path) -> Result<Timing>,
) -> Result<Archive> {
    let at = |dir: &Path| Archive {
        library: dir.join(library),
        tree: dir.join(tree_name(name)),
        timing: Timing::default(),
    };
    let timing_file = "timing.json";
    in_slot(slot, |work| {
        let timing = make(work)?;
        let text = serde_json::to_string(&timing).expect("two numbers");
        io("write", work, std::fs::write(work.join(timing_file), text))?;
        for entry in io("read", work, std::fs::read_dir(work))?.flatten() {
            let keep = entry.path() == at(work).library
                || entry.path() == at(work).tree
                || entry.file_name() == timing_file;
            if !keep {
                io("remove", &entry.path(), std::fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    })?;
    let text = io("read", slot, std::fs::read_to_string(slot.join(timing_file)))?;
    let timing = serde_json::from_str(&text).unwrap_or_default();
    Ok(Archive { timing, ..at(slot) })
}

fn tree_name(name: &str) -> String {
    format!("V{name}.tree.json")
}

/// Runs Verilator twice: for the tree, then, knowing the registers, for C++ and the accessor code.
fn verilate(spec: &Spec, verilator: &Verilator, work: &Path) -> Result<()> {
    let visible = work.join("visible.vlt");
    let mut text = "`verilator_config\n".to_owned();
    for module in &spec.no_inline {
        text.push_str(&format!("no_inline -module \"{module}\"\n"));
    }
    // Registers are named `_q` (the linter sees to it); the tree below tells whether one is missing.
    text.push_str("public_flat_rd -module \"*\" -var \"*_q\"\n");
    io("write", &visible, std::fs::write(&visible, text))?;

    let base = |first: &[&str]| {
        let mut command = verilator.command();
        command.args(first).arg("--Mdir").arg(work).arg("--prefix").arg(format!("V{}", spec.name));
        command.args(["--top-module", &spec.top]);
        for dir in &spec.include_dirs {
            command.arg(format!("-I{}", dir.display()));
        }
        for (name, value) in &spec.parameters {
            command.arg(format!("-G{name}={value}"));
        }
        command.args(&spec.sources).arg(&visible);
        command
    };
    run("verilator --json-only", &spec.name, &mut base(&["--json-only", "--quiet"]))?;
    let tree_file = work.join(tree_name(&spec.name));
    let tree = Tree::parse(&spec.name, &io("read", &tree_file, std::fs::read_to_string(&tree_file))?)?;
    let registers = tree.registers(&spec.top, &spec.no_inline)?;
    let tied = wrapper::tie(spec, &registers)?;
    run("verilator", &spec.name, &mut base(&VERILATOR_FLAGS))?;

    let prefix = format!("V{}_", spec.name);
    let mut submodules: Vec<String> = files(work, "h")?
        .iter()
        .filter_map(|p| p.file_name()?.to_str().map(str::to_owned))
        .filter(|n| {
            n.starts_with(&prefix)
                && !n.contains("__pch")
                && !n.contains("__Dpi")
                && !n.contains("___024root")
        })
        .map(|n| format!("#include \"{n}\"\n"))
        .collect();
    submodules.sort();
    let source = wrapper::source(spec, &tied).replace("@SUBMODULES@\n", &submodules.concat());
    let path = work.join("device.cpp");
    io("write", &path, std::fs::write(&path, source))
}

/// Source files with their optimisation level: what runs once is not worth the compiler's time. A shared object is
/// built for a test or a try, and runs for less time than it takes to compile.
fn jobs(spec: &Spec, kind: Kind, work: &Path) -> Result<Vec<(PathBuf, u32)>> {
    let sources = files(work, "cpp")?;
    if spec.no_inline.is_empty() {
        // A leaf compiles fastest as one file.
        let unity = work.join("unity.cc");
        let text: String = sources.iter().map(|s| format!("#include \"{}\"\n", s.display())).collect();
        io("write", &unity, std::fs::write(&unity, text))?;
        return Ok(vec![(unity, if kind == Kind::Shared { 0 } else { 1 })]);
    }
    let slow = |p: &PathBuf| p.to_string_lossy().contains("Slow") || p.to_string_lossy().contains("__Syms");
    let mut jobs: Vec<_> = sources
        .into_iter()
        .map(|p| (if slow(&p) || kind == Kind::Shared { 0 } else { 1 }, p))
        .map(|(o, p)| (p, o))
        .collect();
    // The longest first, so that the cores finish together.
    jobs.sort_by_key(|(p, level)| {
        let size = std::fs::metadata(p).map(|m| m.len()).unwrap_or(0);
        std::cmp::Reverse(size * (1 + 4 * u64::from(*level)))
    });
    Ok(jobs)
}

/// The headers that do not change with the RTL, compiled for single files at level 0.
fn prelude(verilator: &Verilator, cpp: &Path, cache: &Path) -> Result<PathBuf> {
    let mut hash = Hash::new();
    hash.dir(cpp)?;
    hash.verilator(verilator)?;
    let slot = cache.join(format!("prelude-{}", hash.finish()));
    let header = "prelude.h";
    in_slot(&slot, |work| {
        Compiler::new(verilator, cpp, work).precompile(
            "headers",
            &work.join(header),
            0,
            &["dut_base.h".to_owned()],
        )
    })?;
    Ok(slot.join(header))
}

fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let entries = io("read", dir, std::fs::read_dir(dir))?;
    let mut found: Vec<_> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == extension))
        .collect();
    found.sort();
    Ok(found)
}

/// Objects of shared builds, kept by what they are compiled from: a change to one module of a large device leaves most of
/// its C++ as it was. Where the RTL lies does not count; it is only in messages of failed invariants.
struct Shelf {
    folder: PathBuf,
    origin: String,
    /// Of everything but the file itself.
    common: String,
}

impl Shelf {
    fn of(spec: &Spec, verilator: &Verilator, cpp: &Path, cache: &Path, work: &Path) -> Result<Self> {
        let origin = spec.sources.first().and_then(|file| file.parent()).unwrap_or(Path::new(""));
        let origin = origin.display().to_string();
        let mut hash = Hash::new();
        hash.verilator(verilator)?;
        hash.dir(cpp)?;
        for header in files(work, "h")? {
            hash.text(&io("read", &header, std::fs::read_to_string(&header))?.replace(&origin, ""));
        }
        let folder = cache.join("objects");
        io("create", &folder, std::fs::create_dir_all(&folder))?;
        Ok(Self { folder, origin, common: hash.finish() })
    }

    /// Where the object of a file is kept.
    fn place(&self, source: &Path, level: u32) -> Result<PathBuf> {
        let text = io("read", source, std::fs::read_to_string(source))?;
        let mut hash = Hash::new();
        hash.text(&self.common);
        hash.text(&level.to_string());
        hash.text(&text.replace(&self.origin, ""));
        Ok(self.folder.join(format!("{}.o", hash.finish())))
    }

    /// Whole or not at all, as others may look for it.
    fn keep(&self, object: &Path, place: &Path) -> Result<()> {
        let file = io("create a file in", &self.folder, tempfile::NamedTempFile::new_in(&self.folder))?;
        io("copy", object, std::fs::copy(object, file.path()))?;
        io("write", place, file.persist(place).map_err(|e| e.error))?;
        Ok(())
    }
}

/// Compiles every file, as many at a time as there are cores.
fn compile_all(
    name: &str,
    jobs: Vec<(PathBuf, u32)>,
    compiler: &Compiler,
    work: &Path,
    shelf: Option<&Shelf>,
) -> Result<Vec<PathBuf>> {
    let objects: Vec<PathBuf> = (0..jobs.len()).map(|i| work.join(format!("object_{i}.o"))).collect();
    let mut left = Vec::new();
    for ((source, level), object) in jobs.into_iter().zip(&objects) {
        let place = shelf.map(|shelf| shelf.place(&source, level)).transpose()?;
        match place.as_ref().filter(|place| place.is_file()) {
            Some(place) => io("copy", place, std::fs::copy(place, object)).map(|_| ())?,
            None => left.push((source, level, object, place)),
        }
    }
    let levels: BTreeMap<u32, usize> = left.iter().fold(BTreeMap::new(), |mut counts, (_, level, ..)| {
        *counts.entry(*level).or_default() += 1;
        counts
    });
    let precompiled =
        levels.into_iter().filter(|(_, files)| *files >= WORTH_A_HEADER).map(|(level, _)| level);
    let precompiled: Vec<_> = precompiled.map(|level| (level, work.join(format!("all_{level}.h")))).collect();
    let headers: Vec<_> = files(work, "h")?
        .iter()
        .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
        .filter(|file| file.starts_with('V'))
        .collect();
    side_by_side(cores(), &precompiled, |(level, header)| {
        compiler.precompile(name, header, *level, &headers)
    })?;
    side_by_side(cores(), &left, |(source, level, object, place)| {
        let own = precompiled.iter().find(|(of, _)| of == level).map(|(_, header)| header.as_path());
        let header = own.or(compiler.prelude.as_deref()).unwrap_or(Path::new(FIRST_HEADER));
        compiler.compile(name, (source, *level), header, object)?;
        match (shelf, place) {
            (Some(shelf), Some(place)) => shelf.keep(object, place),
            _ => Ok(()),
        }
    })?;
    Ok(objects)
}

/// Files from which on compiling their headers first pays.
const WORTH_A_HEADER: usize = 4;
