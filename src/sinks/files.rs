//! Result files: in a directory, one file, or standard output.
//!
//! Owns: the directory's lock, the order in which files are renamed, fsync. In: complete byte
//! slices. Out: files that are complete, or absent. Never: a `run.json` next to files of another
//! run.
//!
//! `run.json` means that a result is complete. So the one of an earlier run is removed before any
//! other file is replaced, and the new one is renamed last. Whenever the process is killed, there
//! is either no `run.json`, or one whose files are all there.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Seek, SeekFrom, Write, WriterPanicked};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use crate::model::Error;
use crate::sinks::detached::{Detached, Stdout};
use crate::sinks::partial::{self, Partial, failed};
use crate::sinks::room::{self, Room};
use crate::sinks::tables;

pub use crate::sinks::partial::abandon;

/// The files of an output directory; `health.ndjson` is written by live runs only.
pub const NAMES: [&str; 6] = [
    "sessions.ndjson",
    "endpoints.ndjson",
    "alerts.ndjson",
    "incidents.ndjson",
    "health.ndjson",
    RUN,
];

/// The file that means that the others are complete.
const RUN: &str = "run.json";

/// Other users of the system may not read results.
const DIR_MODE: u32 = 0o750;

/// Larger slices are written without buffering.
const BUFFER_BYTES: usize = 256 * 1024;

/// A directory that receives the files of one run, locked against other runs.
#[derive(Debug)]
pub struct OutDir {
    dir: PathBuf,
    lock: Lock,
    files: Vec<Staged>,
    left: Vec<PathBuf>,
}

/// A file of the directory that was not renamed yet.
#[derive(Debug)]
struct Staged {
    name: String,
    partial: Partial,
}

impl OutDir {
    /// Creates `dir` if missing, and locks it for this run. A directory that is not empty is
    /// refused, unless `force`; temporary files of interrupted runs do not count.
    pub fn create(dir: &Path, force: bool) -> Result<OutDir, Error> {
        make_dir(dir)?;
        let lock = Lock::take(dir)?;
        let mut left = Vec::new();
        for name in NAMES {
            left.extend(partial::all_of(&dir.join(name))?);
        }
        let refuse = |cause: &str| Error::new(what(dir), cause);
        for entry in fs::read_dir(dir).map_err(|cause| refuse(&cause.to_string()))? {
            let path = entry.map_err(|cause| refuse(&cause.to_string()))?.path();
            if path.file_name().is_some_and(room::is_room) {
                // If this fails, reserving space again reports why.
                let _ = fs::remove_file(&path);
                continue;
            }
            if force || left.contains(&path) {
                continue;
            }
            let unfinished = !dir.join(RUN).exists()
                && path.file_name().is_some_and(|name| NAMES.iter().any(|ours| name == *ours));
            let cause = match unfinished {
                true => "it holds files of a run that did not finish (there is no run.json)",
                false => "it is not empty",
            };
            return Err(refuse(cause).help(
                "choose another directory, or add --force to replace the results in this one",
            ));
        }
        Ok(OutDir { dir: dir.to_path_buf(), lock, files: Vec::new(), left })
    }

    /// Notes for users about the directory.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = left_behind(&self.left);
        if self.lock.0.is_none() {
            let why = "its file system has no locks, so nothing keeps a second run from writing \
                       to it";
            remarks.push(format!("{}: {why}", self.dir.display()));
        }
        remarks
    }

    /// Starts a file of the directory. [`OutDir::finish`] renames it together with the others.
    pub fn file(&mut self, name: &str) -> Result<OutFile, Error> {
        let path = self.dir.join(name);
        let (partial, file, _) = Partial::begin(&path)?;
        self.files.push(Staged { name: name.to_owned(), partial });
        Ok(OutFile::over(path, file, None))
    }

    /// Reserves space in the directory for what must be written last.
    pub fn keep_room(&self, name: &str, bytes: u32) -> Result<Room, Error> {
        Room::keep(&self.dir, name, bytes)
    }

    /// Ends the run if its last file could not be written: the files stay under their temporary
    /// names.
    pub fn keep(mut self) {
        self.files.drain(..).for_each(|file| file.partial.keep());
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Ends the run, once each file is finished: renames all. Results of an earlier run that this
    /// one has not replaced are removed, because they would look like its own.
    ///
    /// Errors: files that could not be renamed are kept under their temporary names.
    pub fn finish(mut self) -> Result<(), Error> {
        let named = self.name_all();
        if named.is_err() {
            self.files.drain(..).for_each(|file| file.partial.keep());
        }
        named
    }

    fn name_all(&mut self) -> Result<(), Error> {
        let dir = &self.dir;
        let stale = NAMES.iter().filter(|name| !self.files.iter().any(|file| file.name == **name));
        let stale: Vec<PathBuf> = stale.map(|name| dir.join(name)).collect();
        remove(&dir.join(RUN))?;
        tables::remove(dir)?;
        sync_dir(dir);
        // The last is taken first.
        self.files.sort_by_key(|file| file.name != RUN);
        while let Some(file) = self.files.pop() {
            if file.name == RUN {
                stale.iter().try_for_each(|path| remove(path))?;
                sync_dir(dir);
            }
            file.partial.rename(&dir.join(file.name))?;
        }
        // If there will be no run.json, they are removed too.
        stale.iter().try_for_each(|path| remove(path))?;
        sync_dir(dir);
        Ok(())
    }
}

/// Removes a file, if it exists.
fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(path, &cause)),
        _ => Ok(()),
    }
}

fn what(dir: &Path) -> String {
    format!("output directory {}", dir.display())
}

/// Creates a directory for results, and its parents, if missing.
pub fn make_dir(dir: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir).map_err(|cause| {
        Error::new(what(dir), cause.to_string())
            .help("choose a directory that can be created and written to")
    })
}

/// A directory that only this process writes to, until this is dropped or the process ends, however
/// it ends. `None` if the file system has no locks.
#[derive(Debug)]
pub struct Lock(Option<File>);

impl Lock {
    /// Locks the directory itself, so that no lock file is needed.
    ///
    /// Errors: another process has it; it cannot be opened or locked.
    pub fn take(dir: &Path) -> Result<Lock, Error> {
        let refuse = |cause: String| Error::new(what(dir), cause);
        let open = File::open(dir).map_err(|cause| refuse(cause.to_string()))?;
        match open.try_lock() {
            Ok(()) => Ok(Lock(Some(open))),
            Err(TryLockError::WouldBlock) => Err(refuse("another run is writing to it".to_owned())
                .help("give each run a directory of its own, or wait until that run has ended")),
            Err(TryLockError::Error(cause)) if cause.kind() == ErrorKind::Unsupported => {
                Ok(Lock(None))
            }
            Err(TryLockError::Error(cause)) => Err(refuse(format!("it cannot be locked: {cause}"))
                .help("choose a directory on another file system")),
        }
    }
}

/// Removes a set of results that no run is writing to, including the leftovers of a killed run.
///
/// Errors: another run is writing to it; something in it is not ours, or cannot be removed.
pub fn remove_set(dir: &Path) -> Result<(), Error> {
    let _lock = Lock::take(dir)?;
    let ours = |name: &str| {
        room::is_room(name.as_ref())
            || NAMES.iter().any(|ours| name == *ours || partial::is_of(name, ours))
    };
    room::remove_set(dir, &ours, RUN)
}

/// A result file being written.
pub struct OutFile {
    path: PathBuf,
    /// A file that is renamed when finished; `None` for a stream, and for a file of an [`OutDir`],
    /// which renames all its files at once.
    partial: Option<Partial>,
    sink: Sink,
    left: Vec<PathBuf>,
    closed: bool,
    /// Lines written or buffered.
    lines: u64,
}

enum Sink {
    File(BufWriter<File>),
    Stream(BufWriter<Box<dyn Write + Send>>),
    Detached(Detached),
}

impl OutFile {
    /// Starts a file. A path that is not a regular file (a pipe, a device) is written to as it is;
    /// `-` is standard output.
    pub fn create(path: &Path) -> Result<OutFile, Error> {
        if path == Path::new("-") {
            return Ok(OutFile::stream("standard output", Box::new(Stdout)));
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                Err(Error::new(format!("writing {}", path.display()), "it is a directory"))
            }
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(path).map_err(|e| failed(path, &e))?;
                Ok(OutFile::stream(path, Box::new(file)))
            }
            _ => {
                let (partial, file, left) = Partial::begin(path)?;
                let file = OutFile::over(path.to_path_buf(), file, Some(partial));
                Ok(OutFile { left, ..file })
            }
        }
    }

    /// Starts a file that replaces the last one of its name, in a directory that this process has
    /// locked.
    pub fn replace(path: &Path) -> Result<OutFile, Error> {
        let (partial, file) = Partial::replacing(path)?;
        Ok(OutFile::over(path.to_path_buf(), file, Some(partial)))
    }

    /// Writes to a stream of the caller's; `name` is used in errors.
    pub fn stream(name: impl AsRef<Path>, stream: Box<dyn Write + Send>) -> OutFile {
        let sink = Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream));
        let path = name.as_ref().to_path_buf();
        OutFile { path, partial: None, sink, left: Vec::new(), closed: false, lines: 0 }
    }

    /// The same; a stream is written by a thread of its own, which holds about `cap` bytes. For
    /// runs that must not wait for a reader.
    pub fn detached(mut self, cap: usize) -> Result<OutFile, Error> {
        if let Sink::Stream(writer) = self.sink {
            // Nothing was written yet.
            let detached = Detached::new(writer.into_parts().0, cap);
            self.sink = Sink::Detached(detached.map_err(|cause| failed(&self.path, &cause))?);
        }
        Ok(self)
    }

    /// Whether more can be written without waiting for a reader, or losing it.
    pub fn has_room(&self) -> bool {
        !matches!(&self.sink, Sink::Detached(stream) if !stream.has_room())
    }

    fn over(path: PathBuf, file: File, partial: Option<Partial>) -> OutFile {
        let sink = Sink::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        OutFile { path, partial, sink, left: Vec::new(), closed: false, lines: 0 }
    }

    /// Notes for users about its location.
    pub fn remarks(&self) -> Vec<String> {
        left_behind(&self.left)
    }

    /// Appends `bytes`. A closed pipe is not an error: see [`OutFile::is_closed`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.append(bytes, lines(bytes))
    }

    /// The same with one line, which is not counted byte by byte.
    pub fn write_line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.append(line, 1)
    }

    fn append(&mut self, bytes: &[u8], lines: u64) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.write_all(bytes),
            Sink::Stream(stream) => stream.write_all(bytes),
            Sink::Detached(stream) => stream.write(bytes),
        };
        if result.is_ok() {
            self.lines += lines;
        }
        self.settle(result)
    }

    /// Lines that were given to it and not lost.
    pub fn lines(&self) -> u64 {
        let lost = if let Sink::Detached(stream) = &self.sink { stream.lost() } else { 0 };
        self.lines.saturating_sub(lost)
    }

    /// After a failure: drops what could not be written, so that the file ends with its last
    /// complete line and can be written to again. [`OutFile::lines`] returns the rest.
    pub fn cut(&mut self) -> Result<(), Error> {
        let nowhere = Sink::Stream(BufWriter::with_capacity(0, Box::new(io::sink())));
        let rest = match std::mem::replace(&mut self.sink, nowhere) {
            Sink::File(writer) => {
                let (mut file, rest) = writer.into_parts();
                let ended = end_line(&mut file);
                self.sink = Sink::File(BufWriter::with_capacity(BUFFER_BYTES, file));
                ended.map_err(|cause| failed(&self.path, &cause))?;
                rest
            }
            Sink::Stream(writer) => {
                let (stream, rest) = writer.into_parts();
                self.sink = Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream));
                rest
            }
            // It holds whole lines only.
            detached @ Sink::Detached(_) => {
                self.sink = detached;
                return Ok(());
            }
        };
        let rest = rest.unwrap_or_else(WriterPanicked::into_inner);
        self.lines = self.lines.saturating_sub(lines(&rest));
        Ok(())
    }

    /// Flushes to the system, so that others can follow.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.flush(),
            Sink::Stream(stream) => stream.flush(),
            Sink::Detached(stream) => stream.flush(),
        };
        self.settle(result)
    }

    /// Whether lines wait for a reader.
    pub fn is_behind(&self) -> bool {
        matches!(&self.sink, Sink::Detached(stream) if stream.is_behind())
    }

    /// Flushes, and waits for a detached stream while its reader takes something.
    pub fn wait(&mut self) -> Result<(), Error> {
        self.flush()?;
        let Sink::Detached(stream) = &mut self.sink else { return Ok(()) };
        let result = stream.wait();
        self.settle(result)
    }

    /// Whether the reader of a pipe has gone, so that writing more is pointless.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Syncs a file and, unless its directory does that, renames it; flushes a stream.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.flush().and_then(|()| file.get_ref().sync_all()),
            Sink::Stream(stream) => stream.flush(),
            Sink::Detached(stream) => stream.wait(),
        };
        self.settle(result)?;
        if let Some(partial) = self.partial.take() {
            partial.rename(&self.path)?;
            sync_dir(self.path.parent().unwrap_or(Path::new("")));
        }
        Ok(())
    }

    fn settle(&mut self, result: io::Result<()>) -> Result<(), Error> {
        let is_stream = !matches!(self.sink, Sink::File(_));
        match result {
            Err(cause) if cause.kind() == ErrorKind::BrokenPipe && is_stream => {
                self.closed = true;
                Ok(())
            }
            Err(cause) => Err(failed(&self.path, &cause)),
            Ok(()) => Ok(()),
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Truncates a file after its last complete line and continues there.
fn end_line(file: &mut File) -> io::Result<()> {
    const STEP: u64 = 64 * 1024;
    let mut end = file.metadata()?.len();
    let mut chunk = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        chunk.resize(usize::try_from(end - start).unwrap_or(0), 0);
        file.read_exact_at(&mut chunk, start)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end)).map(drop)
}

/// Reports the sets below the directory of a live run that unfinished runs left.
pub fn unfinished_sets(root: &Path) -> Vec<String> {
    let sets =
        fs::read_dir(root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let ours = |set: &PathBuf, name: &str| {
        let path = set.join(name);
        path.exists() || partial::all_of(&path).is_ok_and(|all| !all.is_empty())
    };
    let unfinished =
        |set: &PathBuf| !set.join(RUN).exists() && NAMES.iter().any(|name| ours(set, name));
    let mut left: Vec<PathBuf> = sets.filter(unfinished).collect();
    left.sort();
    left_behind(&left)
}

/// Reports the leftovers of interrupted runs.
fn left_behind(left: &[PathBuf]) -> Vec<String> {
    let Some(first) = left.first() else { return Vec::new() };
    let kept = "left by a run that was interrupted; it is kept, remove it if you do not need it";
    let more = match left.len() {
        1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    vec![format!("{}{more}: {kept}", first.display())]
}

/// Makes a rename durable. Not every file system can, and the file itself is safe without.
fn sync_dir(dir: &Path) {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

/// An output file for encoders, which want bytes to be taken one way.
pub struct OutBytes(pub OutFile);

impl Write for OutBytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(|error| io::Error::other(error.cause))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
