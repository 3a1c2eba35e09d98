//! Limits the size of a live run's directory: the oldest sets are removed.
//!
//! Owns: the list of finished sets and their sizes. In: the size of the current set. Out: removed
//! sets, counted. Never: removes a file that no run of ours wrote, or a set that another run is
//! writing.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use crate::model::{Counter, Counters, Error};
use crate::sinks::files::remove_set;
use crate::sinks::room::size;

/// A set is finished at this fraction (1/n) of the cap at the latest, so that no more is removed at
/// once.
const PARTS: u64 = 8;

/// Size of a directory entry on most file systems.
const ENTRY_BYTES: u64 = 4_096;

/// The finished sets below a directory.
pub(super) struct Space {
    most: u64,
    /// Oldest first: names are times.
    sets: VecDeque<(PathBuf, u64)>,
    held: u64,
}

impl Space {
    /// Scans the directory: sets of earlier runs are counted and removed like this run's own.
    pub(super) fn new(root: &Path, most: u64) -> Space {
        let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
        let is_set = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(is_stamp) && path.is_dir()
        };
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_set).collect();
        paths.sort_by_key(|path| order(path));
        let mut space = Space { most, sets: VecDeque::new(), held: 0 };
        paths.into_iter().for_each(|path| space.add(path));
        space
    }

    /// Maximum bytes of session lines in one set.
    pub(super) fn set_most(&self) -> u64 {
        self.most / PARTS
    }

    /// The cap.
    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// A set was finished.
    pub(super) fn add(&mut self, path: PathBuf) {
        let bytes = bytes_of(&path);
        self.held += bytes;
        self.sets.push_back((path, bytes));
    }

    /// Whether `present` more bytes fit.
    pub(super) fn fits(&self, present: u64) -> bool {
        self.held.saturating_add(present) <= self.most
    }

    /// Removes sets, the oldest first, until `present` more bytes fit or none is left. Returns a
    /// message for each that was removed, or could not be.
    pub(super) fn make_room(&mut self, present: u64, counted: &mut Counters) -> Vec<String> {
        let mut messages = Vec::new();
        while !self.fits(present) {
            let Some((path, bytes)) = self.sets.pop_front() else { break };
            self.held = self.held.saturating_sub(bytes);
            match remove_set(&path) {
                Ok(()) => {
                    counted.bump(Counter::SetsRemoved);
                    counted.add(Counter::SetBytesRemoved, bytes);
                    messages.push(format!("removed {}: --out-max is reached", path.display()));
                }
                Err(Error { cause, .. }) => messages.push(format!(
                    "not removed, and no longer counted for --out-max: {}: {cause}",
                    path.display()
                )),
            }
        }
        messages
    }
}

/// The size of a set, with everything in its directory.
pub(super) fn bytes_of(set: &Path) -> u64 {
    let entries = fs::read_dir(set).into_iter().flatten().filter_map(Result::ok);
    entries.map(|entry| size(&entry.path())).fold(ENTRY_BYTES, u64::saturating_add)
}

/// Whether a name is that of a set: `20261123T120000Z`, and `-2` for a second one.
fn is_stamp(name: &str) -> bool {
    let (stamp, more) = name.split_at_checked(16).unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = (stamp.get(..8), stamp.get(8..9), stamp.get(9..15), stamp.get(15..));
    matches!(parts, (Some(day), Some("T"), Some(time), Some("Z")) if digits(day) && digits(time))
        && (more.is_empty() || more.strip_prefix('-').is_some_and(digits))
}

/// The order in which sets were started.
fn order(path: &Path) -> (String, u64) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (stamp, more) = name.split_at_checked(16).unwrap_or((name, ""));
    let number = more.strip_prefix('-').and_then(|more| more.parse().ok());
    (stamp.to_owned(), number.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(root: &Path, name: &str, bytes: usize) {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("sessions.ndjson"), vec![b'x'; bytes]).unwrap();
        fs::write(root.join(name).join("run.json"), "{}").unwrap();
    }

    #[test]
    fn names_of_sets_are_recognised() {
        for good in ["20261123T120000Z", "20261123T120000Z-2", "20261123T120000Z-10"] {
            assert!(is_stamp(good), "{good}");
        }
        for bad in ["", "2026", "20261123T120000", "20261123T120000Z-", "20261123T120000Zx"] {
            assert!(!is_stamp(bad), "{bad}");
        }
        assert!(!is_stamp("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"));
        let names = ["20261123T120000Z-10", "20261123T120000Z-2", "20261123T120000Z"];
        let mut paths = names.map(PathBuf::from);
        paths.sort_by_key(|path| order(path));
        assert_eq!(paths, [names[2], names[1], names[0]].map(PathBuf::from));
    }

    #[test]
    fn only_the_oldest_sets_are_deleted() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"] {
            set(dir.path(), name, 100_000);
        }
        fs::write(dir.path().join("notes.txt"), vec![0; 1 << 20]).unwrap();
        fs::create_dir(dir.path().join("mine")).unwrap();
        let mut space = Space::new(dir.path(), 300_000);
        let mut counted = Counters::default();
        assert!(!space.fits(50_000));
        let messages = space.make_room(50_000, &mut counted);
        assert_eq!(messages.len(), 1, "{messages:?}");
        assert!(!dir.path().join("20260101T000000Z").exists());
        assert!(dir.path().join("20260102T000000Z").exists());
        assert!(dir.path().join("notes.txt").exists() && dir.path().join("mine").exists());
        assert_eq!(counted.get(Counter::SetsRemoved), 1);
        assert!(counted.get(Counter::SetBytesRemoved) >= 100_000);
    }

    #[test]
    fn foreign_files_in_a_set_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path(), "20260101T000000Z", 100_000);
        let set = dir.path().join("20260101T000000Z");
        fs::write(set.join("notes.txt"), "mine").unwrap();
        let mut space = Space::new(dir.path(), 1);
        space.make_room(0, &mut Counters::default());
        assert!(set.join("notes.txt").exists());
        assert!(!set.join("run.json").exists() && !set.join("sessions.ndjson").exists());
    }

    #[test]
    fn a_set_in_use_by_another_run_is_kept_and_reported() {
        let dir = tempfile::tempdir().unwrap();
        set(dir.path(), "20260101T000000Z", 100_000);
        let set = dir.path().join("20260101T000000Z");
        let _lock = crate::sinks::files::Lock::take(&set).unwrap();
        let mut space = Space::new(dir.path(), 1);
        let mut counted = Counters::default();
        let messages = space.make_room(0, &mut counted);
        assert!(
            messages[0].starts_with("not removed") && set.join("run.json").exists(),
            "{messages:?}"
        );
        assert_eq!(counted.get(Counter::SetsRemoved), 0);
        assert!(space.fits(0), "it is asked once");
    }
}
