//! The error type shown to users.
//!
//! Owns: the form of an error. In: what, cause, place, remedy. Out: `error: WHAT: CAUSE` and
//! `help:`.
//! Never: a backtrace.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::escape::escaped;

/// A failure, described so that the reader can fix it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The action or the subject.
    pub what: String,
    /// Why it failed.
    pub cause: String,
    /// The text file and line (from 1; 0 for the whole file) of the cause.
    pub place: Option<(PathBuf, u32)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl Error {
    /// An error without place and remedy.
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

/// Every part may quote a file name or text; none of them can inject lines.
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
