// SPDX-License-Identifier: Apache-2.0
//! Runs Verilator and the C++ compiler, and keeps the results by the hash of everything that went in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Result, VerilateError, io};
use crate::find::Verilator;
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
    hash.text(include_str!("compile.rs"));
    let slot = cache.join(format!("runtime-{}", hash.finish()));
    cached(&slot, "runtime", "libtandem_verilated.a", |work| {
        let start = Instant::now();
        let include = verilator.include();
        let names = ["verilated.cpp", "verilated_threads.cpp", "verilated_save.cpp"];
        let mut sources: Vec<_> = names.iter().map(|n| include.join(n)).collect();
        sources.push(cpp.join("dut_runtime.cpp"));
        let jobs = sources.into_iter().map(|s| (s, 2)).collect();
        let objects = compile_all("runtime", jobs, &compiler(verilator, cpp, work), work, None)?;
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
    for text in [include_str!("compile.rs"), include_str!("wrapper.rs"), include_str!("tree.rs")] {
        hash.text(text);
    }
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
        let compiler = compiler(verilator, cpp, work);
        let objects = compile_all(&spec.name, jobs(spec, kind, work)?, &compiler, work, shelf.as_ref())?;
        match kind {
            Kind::Static => archive(&spec.name, &objects, &work.join(&library))?,
            Kind::Shared => {
                let mut command = compiler.command();
                command.args(["-shared", "-Wl,-Bsymbolic", "-o"]).arg(work.join(&library));
                run("the C++ linker", &spec.name, command.args(&objects).arg(&runtime.library))?;
            }
        }
        Ok(Timing { verilate, compile: start.elapsed().as_secs_f64() })
    })
}

/// The slot's archive; makes it in a folder beside and moves it there whole, so that a stopped build leaves nothing.
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
    if !slot.is_dir() {
        let parent = slot.parent().unwrap_or(slot);
        io("create", parent, std::fs::create_dir_all(parent))?;
        let work = io("create a folder in", parent, tempfile::tempdir_in(parent))?;
        let timing = make(work.path())?;
        let text = serde_json::to_string(&timing).expect("two numbers");
        io("write", work.path(), std::fs::write(work.path().join(timing_file), text))?;
        for entry in io("read", work.path(), std::fs::read_dir(work.path()))?.flatten() {
            let keep = entry.path() == at(work.path()).library
                || entry.path() == at(work.path()).tree
                || entry.file_name() == timing_file;
            if !keep {
                io("remove", &entry.path(), std::fs::remove_file(entry.path()))?;
            }
        }
        // Somebody else may have finished the same build meanwhile: theirs is as good.
        if let Err(source) = std::fs::rename(work.path(), slot)
            && !slot.is_dir()
        {
            return Err(VerilateError::Io {
                action: "move a finished build to",
                path: slot.to_owned(),
                source,
            });
        }
    }
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
/// built for a test or a try, and big ones run for less time than they take to compile.
fn jobs(spec: &Spec, kind: Kind, work: &Path) -> Result<Vec<(PathBuf, u32)>> {
    let sources = files(work, "cpp")?;
    if spec.no_inline.is_empty() {
        // A leaf compiles fastest as one file.
        let unity = work.join("unity.cc");
        let text: String = sources.iter().map(|s| format!("#include \"{}\"\n", s.display())).collect();
        io("write", &unity, std::fs::write(&unity, text))?;
        return Ok(vec![(unity, 1)]);
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

struct Compiler {
    tool: cc::Tool,
}

impl Compiler {
    fn command(&self) -> Command {
        self.tool.to_command()
    }
}

fn compiler(verilator: &Verilator, cpp: &Path, work: &Path) -> Compiler {
    let include = verilator.include();
    let mut build = cc::Build::new();
    build
        .cpp(true)
        .std("c++17")
        .target(env!("TANDEM_TARGET"))
        .host(env!("TANDEM_TARGET"))
        .out_dir(work)
        .opt_level(0)
        .debug(false)
        .pic(true)
        .warnings(false)
        .cargo_metadata(false)
        .include(work)
        .include(cpp)
        .include(&include)
        .include(include.join("vltstd"))
        .define("VM_SC", "0")
        .define("VM_TRACE", "0")
        .define("VL_USER_STOP", None)
        .define("VL_USER_FATAL", None)
        .define("VL_PRINTF", "tandem_print")
        .flag("-include")
        .flag("tandem_print.h");
    Compiler { tool: build.get_compiler() }
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
        hash.text(include_str!("compile.rs"));
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
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get());
    let objects: Vec<PathBuf> = (0..jobs.len()).map(|i| work.join(format!("object_{i}.o"))).collect();
    let queue = Mutex::new(jobs.into_iter().zip(objects.clone()).collect::<std::collections::VecDeque<_>>());
    let next = || queue.lock().expect("no worker panics while holding it").pop_front();
    let worker = || -> Result<()> {
        while let Some(((source, level), object)) = next() {
            let place = shelf.map(|shelf| shelf.place(&source, level)).transpose()?;
            if let Some(place) = place.as_ref().filter(|place| place.is_file()) {
                io("copy", place, std::fs::copy(place, &object))?;
                continue;
            }
            let mut command = compiler.command();
            command.arg(format!("-O{level}")).arg("-c").arg(&source).arg("-o").arg(&object);
            run("the C++ compiler", name, &mut command)?;
            if let (Some(shelf), Some(place)) = (shelf, place) {
                shelf.keep(&object, &place)?;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().try_for_each(|t| t.join().expect("a worker returns its errors"))
    })?;
    Ok(objects)
}

fn archive(name: &str, objects: &[PathBuf], library: &Path) -> Result<()> {
    let mut build = cc::Build::new();
    build.target(env!("TANDEM_TARGET")).host(env!("TANDEM_TARGET")).opt_level(0).cargo_metadata(false);
    run("ar", name, build.get_archiver().arg("crs").arg(library).args(objects))
}

/// Runs a tool and keeps what it prints for the error.
fn run(tool: &str, name: &str, command: &mut Command) -> Result<()> {
    let fail = |output: String| VerilateError::Tool { tool: tool.to_owned(), name: name.to_owned(), output };
    let out = command.output().map_err(|e| fail(format!("{}: {e}", command.get_program().display())))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let lines: Vec<_> = text.lines().take(40).collect();
    Err(fail(lines.join("\n")))
}

/// A hash over files and texts.
struct Hash {
    state: Sha256,
}

impl Hash {
    fn new() -> Self {
        Self { state: Sha256::new() }
    }

    fn text(&mut self, text: &str) {
        self.state.update(text.len().to_le_bytes());
        self.state.update(text);
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let bytes = io("read", path, std::fs::read(path))?;
        self.state.update(bytes.len().to_le_bytes());
        self.state.update(&bytes);
        Ok(())
    }

    /// Where Verilator is, and which one: an upgrade in place must not find old archives.
    fn verilator(&mut self, verilator: &Verilator) -> Result<()> {
        self.text(&verilator.root.display().to_string());
        self.file(&verilator.include().join("verilated_config.h"))?;
        let size = io("read", &verilator.binary, std::fs::metadata(&verilator.binary))?.len();
        self.text(&size.to_string());
        Ok(())
    }

    /// Every file of a folder, without its subfolders, under its name.
    fn dir(&mut self, path: &Path) -> Result<()> {
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

    fn finish(self) -> String {
        self.state.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
    }
}
