//! What a user reads when something cannot be done.
//!
//! Owns: the shape of an error. In: what, cause, place, remedy. Out: `error: WHAT: CAUSE` and
//! `help:`.
//! Never: a backtrace.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::escape::escaped;

/// Something that could not be done, said so that the reader can mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What was being done or looked at.
    pub what: String,
    /// Why it failed.
    pub cause: String,
    /// The text file and line (from 1; 0 where the whole file is meant) the cause stands at.
    pub place: Option<(PathBuf, u32)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Error {
    /// An error with no place and no remedy yet.
    pub fn new(what: impl Into<String>, cause: impl Into<String>) -> Error {
        Error { what: what.into(), cause: cause.into(), place: None, help: None }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Error {
        self.help = Some(help.into());
        self
    }

    /// Adds the file and line.
    #[must_use]
    pub fn at(mut self, file: &Path, line: u32) -> Error {
        self.place = Some((file.to_path_buf(), line));
        self
    }
}

/// All parts may quote a file's name or text: none of them can make lines of its own.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}: ", escaped(&self.what))?;
        if let Some((file, line)) = &self.place {
            f.write_str(&escaped(&file.to_string_lossy()))?;
            match line {
                0 => f.write_str(": ")?,
                line => write!(f, ":{line}: ")?,
            }
        }
        f.write_str(&escaped(&self.cause))?;
        match &self.help {
            Some(help) => write!(f, "\nhelp: {}", escaped(help)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
