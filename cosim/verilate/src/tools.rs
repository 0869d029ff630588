// SPDX-License-Identifier: Apache-2.0
//! The tools that a build runs: how they are called, how many at a time, and what they say when they fail.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::error::{Result, VerilateError, io};
use crate::find::Verilator;

/// Runs a tool and keeps what it prints for the error.
pub(crate) fn run(tool: &str, name: &str, command: &mut Command) -> Result<()> {
    let fail = |output: String| VerilateError::Tool { tool: tool.to_owned(), name: name.to_owned(), output };
    let out = command.output().map_err(|e| fail(format!("{}: {e}", command.get_program().display())))?;
    if out.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    let lines: Vec<_> = text.lines().take(40).collect();
    Err(fail(lines.join("\n")))
}

/// The C++ compiler with the flags that every device shares.
pub(crate) struct Compiler {
    tool: cc::Tool,
    /// A header that is compiled already, for single files at level 0.
    pub prelude: Option<PathBuf>,
}

/// Header that every file starts with.
pub(crate) const FIRST_HEADER: &str = "tandem_print.h";

impl Compiler {
    pub fn new(verilator: &Verilator, cpp: &Path, work: &Path) -> Self {
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
            .define("VL_PRINTF", "tandem_print");
        Self { tool: build.get_compiler(), prelude: None }
    }

    /// Compiles a source. `header` comes first in it; where it is compiled already, it must have been at this level.
    pub fn compile(
        &self,
        name: &str,
        (source, level): (&Path, u32),
        header: &Path,
        object: &Path,
    ) -> Result<()> {
        let mut command = self.tool.to_command();
        command.arg(format!("-O{level}")).arg("-include").arg(header);
        run("the C++ compiler", name, command.arg("-c").arg(source).arg("-o").arg(object))
    }

    /// Compiles a header that includes these, for files of this level; it comes before all else in them.
    pub fn precompile(&self, name: &str, header: &Path, level: u32, includes: &[String]) -> Result<()> {
        let lines = [FIRST_HEADER.to_owned()].into_iter().chain(includes.iter().cloned());
        let text: String = lines.map(|include| format!("#include \"{include}\"\n")).collect();
        io("write", header, std::fs::write(header, text))?;
        let mut command = self.tool.to_command();
        command.arg(format!("-O{level}")).args(["-x", "c++-header"]).arg(header);
        run("the C++ compiler", name, command.arg("-o").arg(header.with_extension("h.gch")))
    }

    /// Links objects and an archive to a shared object.
    pub fn link(&self, name: &str, objects: &[PathBuf], archive: &Path, library: &Path) -> Result<()> {
        let mut command = self.tool.to_command();
        command.args(["-shared", "-Wl,-Bsymbolic", "-o"]).arg(library);
        run("the C++ linker", name, command.args(objects).arg(archive))
    }
}

/// Puts objects into an archive.
pub(crate) fn archive(name: &str, objects: &[PathBuf], library: &Path) -> Result<()> {
    let mut build = cc::Build::new();
    build.target(env!("TANDEM_TARGET")).host(env!("TANDEM_TARGET")).opt_level(0).cargo_metadata(false);
    run("ar", name, build.get_archiver().arg("crs").arg(library).args(objects))
}

/// Threads that this machine runs at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// What `each` gives for every one of them, so many at a time. They are begun in order.
///
/// # Errors
/// The first error that a thread came upon; nothing more is begun then.
pub fn side_by_side<T: Sync, R: Send>(
    threads: usize,
    of: &[T],
    each: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let queue = Mutex::new(of.iter().enumerate());
    let next = || queue.lock().expect("no thread panics while holding it").next();
    let work = || -> Result<Vec<(usize, R)>> {
        let mut done = Vec::new();
        while let Some((place, one)) = next() {
            let result = each(one);
            if result.is_err() {
                while next().is_some() {}
            }
            done.push((place, result?));
        }
        Ok(done)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for thread in threads {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        all.sort_by_key(|(place, _)| *place);
        Ok(all.into_iter().map(|(_, result)| result).collect())
    })
}
