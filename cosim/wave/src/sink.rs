// SPDX-License-Identifier: Apache-2.0
//! The two file formats behind one interface. A file stands under a temporary name until it is complete.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fst_writer::{
    FstBodyWriter, FstFileType, FstHeaderWriter, FstInfo, FstScopeType, FstSignalId, FstSignalType,
    FstVarDirection, FstVarType, FstWriteError,
};
use tempfile::{NamedTempFile, TempPath};
use vcd::{ReferenceIndex, ScopeType, SimulationCommand, TimescaleUnit, VarType};

use crate::error::{Error, Result};
use crate::plan::{Kind, Plan, Step, Var, VarId};

/// Changes that the FST library may hold in memory. It writes them only when told to, and counts them in 32 bits.
const FST_BUFFER: usize = 64 << 20;
/// 10^-9 s.
const FST_NANOSECONDS: i8 = -9;
const PROGRAM: &str = concat!("tandem-wave ", env!("CARGO_PKG_VERSION"));

/// File formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum FileFormat {
    Vcd,
    Fst,
}

enum Format {
    Vcd { writer: vcd::Writer<BufWriter<File>>, ids: Vec<String> },
    Fst { writer: Box<FstBodyWriter<BufWriter<File>>>, ids: Vec<FstSignalId> },
}

/// A waveform file in the making.
pub struct Sink {
    path: PathBuf,
    temporary: TempPath,
    format: Format,
    fst_buffer: usize,
}

impl Sink {
    /// Opens the temporary file and writes the header.
    pub fn create(path: &Path, plan: &Plan) -> Result<Self> {
        let format = match path.extension().and_then(OsStr::to_str) {
            Some("vcd") => FileFormat::Vcd,
            Some("fst") => FileFormat::Fst,
            _ => return Err(Error::Extension { path: path.to_owned() }),
        };
        if path.is_dir() {
            return Err(Error::Folder { path: path.to_owned() });
        }
        let (file, temporary) = temporary(path)?.into_parts();
        let file = BufWriter::new(file);
        let format = match format {
            FileFormat::Vcd => vcd_header(file, plan).map_err(|source| write_error(path, source))?,
            FileFormat::Fst => fst_header(file, plan).map_err(|source| fst_error(path, source))?,
        };
        Ok(Self { path: path.to_owned(), temporary, format, fst_buffer: FST_BUFFER })
    }

    /// Moves on to a time. Must come before the first change, and grow.
    pub fn time(&mut self, time: u64) -> Result<()> {
        match &mut self.format {
            Format::Vcd { writer, .. } => {
                writer.timestamp(time).map_err(|source| write_error(&self.path, source))
            }
            Format::Fst { writer, .. } => {
                // The library can only flush right before a new time.
                let full = writer.size() > self.fst_buffer;
                let flushed = if full { writer.flush() } else { Ok(()) };
                flushed
                    .and_then(|()| writer.time_change(time))
                    .map_err(|source| fst_error(&self.path, source))
            }
        }
    }

    /// The changes up to [`Sink::end_initial`] give every variable its first value.
    pub fn begin_initial(&mut self) -> Result<()> {
        match &mut self.format {
            Format::Vcd { writer, .. } => {
                writer.begin(SimulationCommand::Dumpvars).map_err(|source| write_error(&self.path, source))
            }
            Format::Fst { .. } => Ok(()),
        }
    }

    /// See [`Sink::begin_initial`].
    pub fn end_initial(&mut self) -> Result<()> {
        match &mut self.format {
            Format::Vcd { writer, .. } => writer.end().map_err(|source| write_error(&self.path, source)),
            Format::Fst { .. } => Ok(()),
        }
    }

    /// New value of a vector: ASCII digits, most significant first, as many as it has bits.
    pub fn bits(&mut self, var: VarId, digits: &[u8]) -> Result<()> {
        match &mut self.format {
            Format::Vcd { writer, ids } => {
                let id = ids[var.0].as_bytes();
                // Readers extend a short vector with zeros. Not the library's `change_vector`, which formats bit by
                // bit and takes several times as long.
                let zeros = digits.iter().take_while(|&&digit| digit == b'0').count();
                let kept = &digits[zeros.min(digits.len().saturating_sub(1))..];
                let (mark, space): (&[u8], &[u8]) = if digits.len() == 1 { (b"", b"") } else { (b"b", b" ") };
                let mut parts = [mark, kept, space, id, b"\n"].into_iter();
                let written = parts.try_for_each(|part| writer.writer().write_all(part));
                written.map_err(|source| write_error(&self.path, source))
            }
            Format::Fst { writer, ids } => {
                writer.signal_change(ids[var.0], digits).map_err(|source| fst_error(&self.path, source))
            }
        }
    }

    /// New value of a number.
    pub fn real(&mut self, var: VarId, value: f64) -> Result<()> {
        match &mut self.format {
            // Not the library's `change_real`: it spells 2^-1000 with three hundred zeros.
            Format::Vcd { writer, ids } => writeln!(writer.writer(), "r{value:e} {}", ids[var.0])
                .map_err(|source| write_error(&self.path, source)),
            Format::Fst { writer, ids } => writer
                .signal_change(ids[var.0], &value.to_le_bytes())
                .map_err(|source| fst_error(&self.path, source)),
        }
    }

    /// Completes the file, which stays under its temporary name.
    pub fn finish(self) -> Result<Finished> {
        match self.format {
            Format::Vcd { mut writer, .. } => {
                writer.flush().map_err(|source| write_error(&self.path, source))?
            }
            Format::Fst { writer, .. } => {
                let mut file = writer.finish().map_err(|source| fst_error(&self.path, source))?;
                file.flush().map_err(|source| write_error(&self.path, source))?;
            }
        }
        Ok(Finished { path: self.path, temporary: self.temporary })
    }
}

/// A complete file that waits for its name.
pub struct Finished {
    path: PathBuf,
    temporary: TempPath,
}

impl Finished {
    /// A complete file with this text.
    pub fn text(path: PathBuf, text: &str) -> Result<Self> {
        let mut file = temporary(&path)?;
        file.write_all(text.as_bytes()).map_err(|source| write_error(&path, source))?;
        Ok(Self { temporary: file.into_temp_path(), path })
    }

    /// Gives it its name, in place of what had it before.
    pub fn persist(self) -> Result<PathBuf> {
        self.temporary.persist(&self.path).map_err(|error| write_error(&self.path, error.error))?;
        Ok(self.path)
    }
}

/// A temporary file in the folder of `path`, so that renaming it is atomic.
fn temporary(path: &Path) -> Result<NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tandem-wave-");
    // Temporary files are for the owner's eyes only; a waveform is as public as the umask lets it be.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder).map_err(|source| write_error(path, source))
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}

fn fst_error(path: &Path, source: FstWriteError) -> Error {
    match source {
        FstWriteError::Io(source) => write_error(path, source),
        source => Error::Fst { path: path.to_owned(), source },
    }
}

fn vcd_header(file: BufWriter<File>, plan: &Plan) -> io::Result<Format> {
    let mut writer = vcd::Writer::new(file);
    writer.version(PROGRAM)?;
    writer.timescale(1, TimescaleUnit::NS)?;
    let mut ids = vec![String::new(); plan.len()];
    plan.walk(&mut |step| match step {
        Step::Enter(name) => writer.scope_def(ScopeType::Module, name),
        Step::Leave => writer.upscope(),
        Step::Declare(VarId(index), var) => {
            let (kind, width) = match var.kind {
                Kind::Bits(width) => (VarType::Wire, width),
                Kind::Real => (VarType::Real, 64),
            };
            let highest = var.highest_bit().map(|bit| i32::try_from(bit).unwrap_or(i32::MAX));
            let range = highest.map(|highest| ReferenceIndex::Range(highest, 0));
            ids[index] = writer.add_var(kind, width, &var.name, range)?.to_string();
            Ok(())
        }
    })?;
    writer.enddefinitions()?;
    Ok(Format::Vcd { writer, ids })
}

fn fst_header(file: BufWriter<File>, plan: &Plan) -> fst_writer::Result<Format> {
    let info = FstInfo {
        start_time: 0,
        timescale_exponent: FST_NANOSECONDS,
        version: PROGRAM.to_owned(),
        // No date: the same run writes the same file.
        date: String::new(),
        file_type: FstFileType::Verilog,
    };
    let mut header = FstHeaderWriter::new(file, &info)?;
    let mut ids = vec![None; plan.len()];
    plan.walk(&mut |step| match step {
        Step::Enter(name) => header.scope(name, "", FstScopeType::Module),
        Step::Leave => header.up_scope(),
        Step::Declare(VarId(index), var) => {
            let (kind, of) = match var.kind {
                Kind::Bits(width) => (FstSignalType::bit_vec(width), FstVarType::Wire),
                Kind::Real => (FstSignalType::real(), FstVarType::Real),
            };
            ids[index] = Some(header.var(fst_name(var), kind, of, FstVarDirection::Implicit, None)?);
            Ok(())
        }
    })?;
    // The walk declares every variable.
    let ids = ids.into_iter().flatten().collect();
    Ok(Format::Fst { writer: Box::new(header.finish()?), ids })
}

/// FST has no place for the bit range but the name.
fn fst_name(var: &Var) -> String {
    var.highest_bit().map_or_else(|| var.name.clone(), |highest| format!("{} [{highest}:0]", var.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fst_in_many_sections_reads_as_one() {
        let mut plan = Plan::default();
        let top = plan.scope(None, "top").unwrap();
        let vars = [("a", Kind::Bits(7)), ("b", Kind::Real)];
        let vars = vars.map(|(name, kind)| plan.var(top, name.to_owned(), kind).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wave.fst");
        let mut sink = Sink::create(&path, &plan).unwrap();
        // Flush whenever possible.
        sink.fst_buffer = 0;
        for time in 3..100 {
            sink.time(time).unwrap();
            sink.bits(vars[0], format!("{time:07b}").as_bytes()).unwrap();
            sink.real(vars[1], f64::from(u32::try_from(time).unwrap())).unwrap();
        }
        sink.finish().unwrap().persist().unwrap();
        let mut wave = wellen::simple::read(&path).unwrap();
        let signals: Vec<_> =
            wave.hierarchy().all_vars().map(|var| wave.hierarchy()[var].signal_ref()).collect();
        wave.load_signals(&signals);
        let changes = |index: usize| {
            let changes = wave.get_signal(signals[index]).unwrap().iter_changes().skip(1);
            changes
                .map(|(time, value)| (wave.time_table()[time as usize], value.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(changes(0), (3..100).map(|time| (time, format!("{time:07b}"))).collect::<Vec<_>>());
        assert_eq!(changes(1), (3..100).map(|time| (time, time.to_string())).collect::<Vec<_>>());
    }
}
