//! Files being written: temporary names that no other run touches.
//!
//! Owns: those names, a lock on each file, the list of all that are open. In: the final name of a
//! file. Out: a file under a temporary name. Never: deletes a file that another run wrote or is
//! writing.
//!
//! A killed run leaves its temporary files. They may be all that is left of a capture, so they are
//! kept, the next run uses the next free name, and its user is told.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Error;

/// Maximum temporary files of one name: those of interrupted runs, and the current one.
const LEFT_MAX: usize = 100;

/// Results name people and their activity: other users of the system may not read them.
const FILE_MODE: u32 = 0o640;

/// The temporary files of this process.
static OPEN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn open_files() -> MutexGuard<'static, Vec<PathBuf>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name, removed when dropped.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    kept: bool,
}

impl Partial {
    /// Starts a file that will be `target`. Also returns the leftovers of interrupted runs.
    pub(super) fn begin(target: &Path) -> Result<(Partial, File, Vec<PathBuf>), Error> {
        let (partial, file) = Partial::first_free(target)?;
        let mut left = Vec::new();
        for path in names(target)?.filter(|path| *path != partial.path) {
            match File::open(&path).map(|file| file.try_lock()) {
                Ok(Err(TryLockError::WouldBlock)) => {
                    let what = format!("writing {}", target.display());
                    let help = "give each run a file of its own, or wait until that run has ended";
                    return Err(Error::new(what, "another run is writing to it").help(help));
                }
                Err(cause) if cause.kind() == ErrorKind::NotFound => {}
                _ => left.push(path),
            }
        }
        Ok((partial, file, left))
    }

    /// Starts a file that replaces `target` and that only this process may write: a leftover of an
    /// interrupted run is useless then, and is removed.
    pub(super) fn replacing(target: &Path) -> Result<(Partial, File), Error> {
        for path in names(target)?.take_while(|path| fs::symlink_metadata(path).is_ok()) {
            fs::remove_file(&path).map_err(|cause| failed(target, &cause))?;
        }
        Partial::first_free(target)
    }

    fn first_free(target: &Path) -> Result<(Partial, File), Error> {
        for path in names(target)? {
            // Before the file exists, so that no signal finds it without its entry.
            let mut open = open_files();
            // Creating it never follows a link that somebody put there. It is readable so that its
            // last line can be found if the file system turns out to be full.
            let mut options = File::options();
            options.read(true).write(true).create_new(true).mode(FILE_MODE);
            let file = options.open(&path);
            match file {
                Ok(file) => {
                    open.push(path.clone());
                    // Nobody else has it; if the system has no locks, nothing can be done.
                    let _ = file.try_lock();
                    return Ok((Partial { path, kept: false }, file));
                }
                Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {}
                Err(cause) => return Err(failed(target, &cause)),
            }
        }
        let what = format!("writing {}", target.display());
        let cause = format!("{LEFT_MAX} interrupted runs have left files beside it");
        Err(Error::new(what, cause).help("look at the files .NAME.partial*, then remove them"))
    }

    /// Renames the file; if that fails it is kept under the temporary name.
    pub(super) fn rename(mut self, target: &Path) -> Result<(), Error> {
        self.kept = true;
        fs::rename(&self.path, target).map_err(|cause| {
            let kept = format!("what was written is kept as {}", self.path.display());
            failed(target, &cause).help(kept)
        })
    }

    /// Keeps the file under its temporary name.
    pub(super) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Partial {
    /// Removes a file that was not renamed.
    fn drop(&mut self) {
        let mut open = open_files();
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
        open.retain(|path| *path != self.path);
    }
}

/// Removes every temporary file of this process, which must then exit at once: starting another
/// file blocks for ever.
pub fn abandon() {
    let open = open_files();
    for path in open.iter() {
        // There is nobody left to tell.
        let _ = fs::remove_file(path);
    }
    std::mem::forget(open);
}

/// The existing temporary files of a name, whoever wrote them.
pub(super) fn all_of(target: &Path) -> Result<Vec<PathBuf>, Error> {
    Ok(names(target)?.filter(|path| fs::symlink_metadata(path).is_ok()).collect())
}

/// Whether `name` is a temporary name of `target`.
pub(super) fn is_of(name: &str, target: &str) -> bool {
    let rest = name.strip_prefix('.').and_then(|name| name.strip_prefix(target));
    rest.is_some_and(|rest| rest.starts_with(".partial"))
}

/// The temporary names of a file, in the order of use.
fn names(target: &Path) -> Result<impl Iterator<Item = PathBuf> + use<>, Error> {
    let Some(name) = target.file_name() else {
        return Err(Error::new(format!("writing {}", target.display()), "it names no file"));
    };
    let mut first = OsString::from(".");
    first.push(name);
    first.push(".partial");
    let target = target.to_path_buf();
    let numbered = move |n: usize| {
        let mut name = first.clone();
        if n > 0 {
            name.push(format!("-{n}"));
        }
        target.with_file_name(name)
    };
    Ok((0..LEFT_MAX).map(numbered))
}

/// The error if a path cannot be written to.
pub(super) fn failed(path: &Path, cause: &std::io::Error) -> Error {
    let error = Error::new(format!("writing {}", path.display()), cause.to_string());
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            error.help("free some space, or write to another file system")
        }
        ErrorKind::PermissionDenied => error.help("choose a place that can be written to"),
        ErrorKind::NotFound => error.help("create the directory first"),
        _ => error,
    }
}
