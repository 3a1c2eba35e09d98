//! People in a state directory: who was where on which days survives a restart.
//!
//! Owns: the file. In: people, or the directory. Out: the same people after a restart. Never: a
//! file that is half written, or one overwritten that could not be read.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::bounded;
use crate::endpoints::people::People;
use crate::model::Error;
use crate::sinks::files::OutFile;

/// The file in a state directory.
pub const FILE: &str = "people";

/// Maximum size of that file, in bytes: more than any budget lets a run write.
const FILE_BYTES_MAX: u64 = 16 << 30;

/// Reads the people of a directory; nobody where there is no such file.
///
/// Errors: it cannot be read, is damaged, of another version or something else. It stays as it is.
pub(super) fn read(dir: &Path, cap: usize) -> Result<People, Error> {
    let path = dir.join(FILE);
    let problem = |cause: String| Error::new(format!("state {}", path.display()), cause);
    if fs::metadata(&path).is_err_and(|cause| cause.kind() == ErrorKind::NotFound) {
        return Ok(People::new(cap));
    }
    let bytes = bounded::file::read(&path, FILE_BYTES_MAX).map_err(|cause| {
        problem(cause).help("check that this user may read it; it was not changed")
    })?;
    People::decode(cap, &bytes).map_err(|why| problem(why.to_string()).help(why.remedy()))
}

/// Writes them: under a temporary name, synced, then renamed over the last file.
pub(super) fn save(dir: &Path, people: &People) -> Result<(), Error> {
    let mut file = OutFile::replace(&dir.join(FILE))?;
    file.write(&people.encode())?;
    file.finish()
}
