//! Small JSON files by which a command that was killed goes on: absent or whole.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::bounded;
use crate::model::Error;
use crate::sinks::files::OutFile;

/// Reads a note of at most so many bytes, if there is one.
///
/// Errors: it cannot be read, or is damaged.
pub fn read<T: for<'d> Deserialize<'d>>(path: &Path, most: u64) -> Result<Option<T>, String> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = bounded::file::read(path, most)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| format!("it is damaged: {error}"))
}

/// Writes a note over the last one, in a directory that this process has locked.
pub fn write(path: &Path, note: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_vec(note)
        .map_err(|error| Error::new("a note", error.to_string()).at(path, 0))?;
    let mut file = OutFile::replace(path)?;
    file.write(&text)?;
    file.finish()
}
