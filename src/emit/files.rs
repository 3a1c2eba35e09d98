//! Where results go: a directory, one file, or standard output.
//!
//! Owns: temporary names, buffering, fsync, rename. In: byte slices that are ready. Out: files that
//! are whole, or not there. Never: a finished-looking file that is not finished.

use std::ffi::OsString;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufWriter;
use std::io::ErrorKind;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::model::Error;

/// The files of an output directory; `health.ndjson` is written by live runs only.
pub const NAMES: [&str; 6] = [
    "sessions.ndjson",
    "endpoints.ndjson",
    "alerts.ndjson",
    "incidents.ndjson",
    "health.ndjson",
    "run.json",
];

/// Slices larger than this go to the file as they are.
const BUFFER_BYTES: usize = 256 * 1024;

/// A directory that receives the files of one run.
#[derive(Debug)]
pub struct OutDir {
    dir: PathBuf,
    written: Vec<String>,
}

impl OutDir {
    /// Creates `dir` where it does not exist. One with anything in it is refused, unless `force`;
    /// what an interrupted run left under temporary names does not count, and is removed.
    pub fn create(dir: &Path, force: bool) -> Result<OutDir, Error> {
        let what = || format!("output directory {}", dir.display());
        fs::create_dir_all(dir).map_err(|cause| {
            Error::new(what(), cause.to_string())
                .help("choose a directory that can be created and written to")
        })?;
        let entries = fs::read_dir(dir).map_err(|cause| Error::new(what(), cause.to_string()))?;
        let leftovers: Vec<OsString> = NAMES.into_iter().map(partial_name).collect();
        for entry in entries {
            let entry = entry.map_err(|cause| Error::new(what(), cause.to_string()))?;
            if leftovers.contains(&entry.file_name()) {
                // Where this fails, creating the new one says why.
                let _ = fs::remove_file(entry.path());
            } else if !force {
                return Err(Error::new(what(), "it is not empty").help(
                    "choose another directory, or add --force to replace the results in this one",
                ));
            }
        }
        Ok(OutDir { dir: dir.to_path_buf(), written: Vec::new() })
    }

    /// Begins a file of the directory. It appears under its name when [`OutFile::finish`] returns.
    pub fn file(&mut self, name: &str) -> Result<OutFile, Error> {
        self.written.push(name.to_owned());
        OutFile::create(&self.dir.join(name))
    }

    /// Ends the run, once each file is finished: results of an earlier run that this one has not
    /// replaced are removed, since they would pass for its own.
    pub fn finish(self) -> Result<(), Error> {
        for name in NAMES.iter().filter(|name| !self.written.iter().any(|w| w == *name)) {
            let path = self.dir.join(name);
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(failed(&path, &cause));
                }
                _ => {}
            }
        }
        sync_dir(&self.dir);
        Ok(())
    }
}

/// One result being written.
pub struct OutFile {
    path: PathBuf,
    /// The temporary name, while the file is not finished; none for a stream.
    partial: Option<PathBuf>,
    sink: Sink,
    closed: bool,
}

enum Sink {
    File(BufWriter<File>),
    Stream(BufWriter<Box<dyn Write + Send>>),
}

impl OutFile {
    /// Begins a file. A path that names something other than a regular file (a pipe, a device) is
    /// written to as it is; `-` is standard output.
    pub fn create(path: &Path) -> Result<OutFile, Error> {
        if path == Path::new("-") {
            return Ok(OutFile::stream("standard output", Box::new(io::stdout())));
        }
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {
                Err(Error::new(format!("writing {}", path.display()), "it is a directory"))
            }
            Ok(meta) if !meta.is_file() => {
                let file = File::options().write(true).open(path).map_err(|e| failed(path, &e))?;
                Ok(OutFile::stream(path, Box::new(file)))
            }
            _ => OutFile::partial(path),
        }
    }

    /// Writes to a stream of the caller's; `name` stands in errors.
    pub fn stream(name: impl AsRef<Path>, stream: Box<dyn Write + Send>) -> OutFile {
        let sink = Sink::Stream(BufWriter::with_capacity(BUFFER_BYTES, stream));
        OutFile { path: name.as_ref().to_path_buf(), partial: None, sink, closed: false }
    }

    fn partial(path: &Path) -> Result<OutFile, Error> {
        let Some(name) = path.file_name() else {
            return Err(Error::new(format!("writing {}", path.display()), "it names no file"));
        };
        let partial = path.with_file_name(partial_name(name));
        // What an interrupted run left; creating anew also never follows a link somebody put there.
        let _ = fs::remove_file(&partial);
        let file = File::options()
            .write(true)
            .create_new(true)
            .open(&partial)
            .map_err(|e| failed(path, &e))?;
        let sink = Sink::File(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(OutFile { path: path.to_path_buf(), partial: Some(partial), sink, closed: false })
    }

    /// Appends `bytes`. A reader that has gone away is not an error: see [`OutFile::is_closed`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.write_all(bytes),
            Sink::Stream(stream) => stream.write_all(bytes),
        };
        self.settle(result)
    }

    /// Hands what was written so far to the system, so that others can follow it.
    pub fn flush(&mut self) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.flush(),
            Sink::Stream(stream) => stream.flush(),
        };
        self.settle(result)
    }

    /// Whether the reader of a pipe has gone away, so that writing more is pointless.
    pub const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Brings a file to disk and gives it its name; flushes a stream.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.closed {
            return Ok(());
        }
        let result = match &mut self.sink {
            Sink::File(file) => file.flush().and_then(|()| file.get_ref().sync_all()),
            Sink::Stream(stream) => stream.flush(),
        };
        self.settle(result)?;
        if let Some(partial) = &self.partial {
            fs::rename(partial, &self.path).map_err(|cause| failed(&self.path, &cause))?;
            self.partial = None;
            sync_dir(self.path.parent().unwrap_or(Path::new("")));
        }
        Ok(())
    }

    fn settle(&mut self, result: io::Result<()>) -> Result<(), Error> {
        match result {
            Err(cause) if cause.kind() == ErrorKind::BrokenPipe && self.partial.is_none() => {
                self.closed = true;
                Ok(())
            }
            Err(cause) => Err(failed(&self.path, &cause)),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for OutFile {
    /// A file that was not finished is taken away.
    fn drop(&mut self) {
        if let Some(partial) = &self.partial {
            let _ = fs::remove_file(partial);
        }
    }
}

fn partial_name(name: impl Into<OsString>) -> OsString {
    let mut partial = OsString::from(".");
    partial.push(name.into());
    partial.push(".partial");
    partial
}

/// Makes a rename lasting. Not every file system can, and the file itself is safe without.
fn sync_dir(dir: &Path) {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    if let Ok(dir) = File::open(dir) {
        let _ = dir.sync_all();
    }
}

fn failed(path: &Path, cause: &io::Error) -> Error {
    let error = Error::new(format!("writing {}", path.display()), cause.to_string());
    match cause.kind() {
        ErrorKind::StorageFull => error.help("free some space, or write to another file system"),
        ErrorKind::PermissionDenied => error.help("choose a place that can be written to"),
        ErrorKind::NotFound => error.help("create the directory first"),
        _ => error,
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
