//! Space reserved on a file system, so that a result can be finished properly when that is full.
//!
//! Owns: an empty file in the directory of the result. In: a number of bytes. Out: space, when it
//! is released. Never: a file that looks like a result.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use crate::model::Error;
use crate::sinks::partial::failed;

/// Prefix of the name of such a file.
const PREFIX: &str = ".room.";

/// Reserved space, released when dropped.
#[derive(Debug)]
pub struct Room {
    path: PathBuf,
}

impl Room {
    /// Reserves this many bytes in a directory that this process has locked.
    ///
    /// Errors: there is not enough space.
    pub fn keep(dir: &Path, name: &str, bytes: u32) -> Result<Room, Error> {
        let room = Room { path: dir.join(format!("{PREFIX}{name}")) };
        // Never through a link that somebody put there: what it leads to would be cut to nothing.
        let mut options = File::options();
        options.write(true).create_new(true);
        let file = match options.open(&room.path) {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => {
                fs::remove_file(&room.path).and_then(|()| options.open(&room.path))
            }
            opened => opened,
        };
        let file = file.map_err(|cause| failed(&room.path, &cause))?;
        // On an error the drop releases what was reserved.
        posix_fallocate(&file, 0, i64::from(bytes)).map_err(|cause| {
            failed(&room.path, &std::io::Error::from_raw_os_error(cause as i32))
        })?;
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a name is that of reserved space; a killed run leaves it.
pub(super) fn is_room(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// Bytes that this user may still write to the file system of a directory, and its total size.
pub fn free(dir: &Path) -> Result<(u64, u64), Error> {
    let stat = statvfs(dir).map_err(|cause| {
        Error::new(format!("file system of {}", dir.display()), cause.desc().to_owned())
    })?;
    let unit = stat.fragment_size();
    Ok((stat.blocks_available().saturating_mul(unit), stat.blocks().saturating_mul(unit)))
}

/// Bytes that a file takes on its file system, at least its length; 0 if it does not exist.
pub fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    match fs::symlink_metadata(path) {
        Ok(data) => data.len().max(data.blocks().saturating_mul(512)),
        Err(_) => 0,
    }
}

/// Removes a set of results: every file that a run may have left there, `run.json` first, so that
/// an interrupted removal does not look like a result. Foreign files stay, and the directory with
/// them.
pub(super) fn remove_set(dir: &Path, ours: &dyn Fn(&str) -> bool, run: &str) -> Result<(), Error> {
    let remove = |path: &Path| match fs::remove_file(path) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(path, &cause)),
        _ => Ok(()),
    };
    remove(&dir.join(run))?;
    for entry in fs::read_dir(dir).map_err(|cause| failed(dir, &cause))? {
        let entry = entry.map_err(|cause| failed(dir, &cause))?;
        if entry.file_name().to_str().is_some_and(ours) {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(cause) if cause.kind() != ErrorKind::DirectoryNotEmpty => Err(failed(dir, &cause)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_space_is_taken_and_released() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::keep(dir.path(), "end", 1 << 20).unwrap();
        let kept = dir.path().join(".room.end");
        assert!(size(&kept) >= 1 << 20);
        assert!(is_room(kept.file_name().unwrap()));
        drop(room);
        assert_eq!((kept.exists(), size(&kept)), (false, 0));
        let other = dir.path().join("other");
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, &kept).unwrap();
        drop(Room::keep(dir.path(), "end", 1 << 20).unwrap());
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        let (free, whole) = free(dir.path()).unwrap();
        assert!(free <= whole && whole > 0);
    }
}
