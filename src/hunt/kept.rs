//! What each file has given so far, so that a search goes on after it was killed.
//!
//! Owns: the directory of notes: what was asked; for each file that is done its answers, its counts
//! and where repetitions stand behind it. In: answers. Out: the same again. Never: the answers of a
//! file that has changed, or of another question.
//!
//! Answers and the state become durable before the note of their file: a file with a note is done.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::hunt::Hunted;
use crate::model::Error;
use crate::sinks::files::{Lock, OutFile, make_dir};
use crate::sinks::notes;

/// The note of what was asked.
const ASKED: &str = "asked.json";

/// Most bytes of a note, and of a state: [`crate::hunt::judge`] bounds what waits.
const NOTE_BYTES_MAX: u64 = 1 << 30;

/// What is noted of a file that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileNote {
    path: String,
    bytes: u64,
    modified: Option<u64>,
    /// What was found in it.
    pub found: Hunted,
}

/// The notes of a search.
pub struct Kept {
    dir: PathBuf,
    _lock: Lock,
}

impl Kept {
    /// The notes in a directory, of this question.
    ///
    /// Errors: it holds those of another, or something else.
    pub fn open(dir: &Path, asked: &Value) -> Result<Kept, Error> {
        let what = format!("notes in {}", dir.display());
        let refuse = |cause: &str| Err(Error::new(what.clone(), cause).help(ANEW));
        make_dir(dir)?;
        let kept = Kept { dir: dir.to_path_buf(), _lock: Lock::take(dir)? };
        let path = dir.join(ASKED);
        if let Some(then) = kept.read::<Value>(&path)? {
            return match then == *asked {
                true => Ok(kept),
                false => refuse("they are of another question, or of another version or rules"),
            };
        }
        let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".asked.json");
        let mut entries = fs::read_dir(dir).into_iter().flatten().flatten();
        if entries.any(|entry| !ours(&entry.file_name())) {
            return refuse("it is not empty, and holds no notes");
        }
        notes::write(&path, asked)?;
        Ok(kept)
    }

    /// The note of a file, by its place among all, if it is done.
    ///
    /// Errors: another file was there, or it has changed since.
    pub fn done(&self, number: usize, path: &Path) -> Result<Option<FileNote>, Error> {
        let Some(then) = self.read::<FileNote>(&self.note(number))? else { return Ok(None) };
        let now = note(path, then.found);
        if now == then {
            return Ok(Some(then));
        }
        let cause = match now.path == then.path {
            true => "it was written to since it was searched".to_owned(),
            false => format!("{} was in its place", then.path),
        };
        Err(Error::new(format!("going on with {}", path.display()), cause).help(ANEW))
    }

    /// The answers of a file.
    pub fn answers(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number:06}.ndjson"))
    }

    /// Begins the answers of a file.
    pub fn begin(&self, number: usize) -> Result<OutFile, Error> {
        OutFile::replace(&self.answers(number))
    }

    /// A file is done, its answers are finished; with the state behind it.
    pub fn finish(
        &self,
        (number, path): (usize, &Path),
        found: Hunted,
        state: &Value,
    ) -> Result<(), Error> {
        notes::write(&self.state_path(number), state)?;
        notes::write(&self.note(number), &note(path, found))?;
        match number.checked_sub(1).map(|last| fs::remove_file(self.state_path(last))) {
            Some(Err(cause)) if cause.kind() != ErrorKind::NotFound => {
                Err(Error::new(format!("notes in {}", self.dir.display()), cause.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// The state behind the last file that is done.
    pub fn state(&self, number: usize) -> Result<Value, Error> {
        let path = self.state_path(number);
        let state = self.read(&path)?;
        state.ok_or_else(|| Error::new("notes", "it is not there").at(&path, 0).help(ANEW))
    }

    fn note(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number:06}.json"))
    }

    fn state_path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number:06}.state.json"))
    }

    fn read<T: for<'d> Deserialize<'d>>(&self, path: &Path) -> Result<Option<T>, Error> {
        let read = notes::read(path, NOTE_BYTES_MAX);
        read.map_err(|cause| Error::new("notes", cause).at(path, 0).help(ANEW))
    }
}

/// The remedy.
const ANEW: &str = "give the command that began it; or begin anew with another --resume DIR";

fn note(path: &Path, found: Hunted) -> FileNote {
    let meta = fs::metadata(path).ok();
    let modified = meta.as_ref().and_then(|meta| meta.modified().ok());
    let since = modified.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    FileNote {
        path: path.to_string_lossy().into_owned(),
        bytes: meta.map_or(0, |meta| meta.len()),
        modified: since.and_then(|since| u64::try_from(since.as_nanos()).ok()),
        found,
    }
}
