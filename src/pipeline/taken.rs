//! The files of a followed directory that were read, whatever their names are by now.
//!
//! Owns: what tells one file from another, and how each looked when it was read. In: the files that
//! a look found. Out: those that are new, and what changed in others. Never: one file twice, or one
//! forgotten: they are at most as many as the inputs of a run, and a directory that seems empty may
//! be a share that is away.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::capture::{FileReport, InputSpec};

/// Device and number of a file.
type Id = (u64, u64);

/// How much a file has, and when it was last written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    size: u64,
    pub(super) at: Option<SystemTime>,
}

/// A file as a look found it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    born: Option<SystemTime>,
    pub(super) written: Written,
}

impl Seen {
    /// None if it is no regular file.
    pub(super) fn of(path: &Path) -> io::Result<Option<Seen>> {
        let meta = fs::metadata(path)?;
        let written = Written { size: meta.len(), at: meta.modified().ok() };
        let id = (meta.dev(), meta.ino());
        let seen = Seen { path: path.to_path_buf(), id, born: meta.created().ok(), written };
        Ok(meta.is_file().then_some(seen))
    }
}

/// A file that was read.
#[derive(Debug)]
struct Mark {
    /// Its name as it was read.
    path: PathBuf,
    /// Its name now.
    now: PathBuf,
    born: Option<SystemTime>,
    then: Written,
    last: Written,
    /// It was shorter for a while.
    was_cut: bool,
    /// The last whole look found it.
    is_there: bool,
}

impl Mark {
    fn has(&self, written: Written) -> bool {
        self.then == written || self.last == written
    }

    /// Whether a file with the number of this one is this one, though it was written to: numbers
    /// are used again.
    fn is_it(&self, file: &Seen) -> bool {
        match (self.born, file.born) {
            (Some(ours), Some(its)) => ours == its,
            _ => self.is_there,
        }
    }

    /// What of it was not read, if `read` bytes of it were.
    fn change(&self, read: u64) -> Option<String> {
        let (name, size) = (self.now.display(), self.last.size);
        if self.last == self.then && !self.was_cut {
            return None;
        }
        if self.was_cut {
            return Some(format!(
                "{name} was written anew after it was read: its {size} bytes were not read"
            ));
        }
        match size.saturating_sub(read.max(self.then.size)) {
            0 if size > self.then.size => None,
            0 => Some(format!(
                "{name} changed after it was read, and has as many bytes as before: if it was \
                 written anew, that was not read"
            )),
            more => {
                Some(format!("{name} changed after it was read: {more} bytes more were not read"))
            }
        }
    }
}

/// The files that were read.
#[derive(Debug, Default)]
pub(super) struct Taken {
    marks: Vec<Mark>,
    ids: HashMap<Id, usize>,
    paths: HashMap<PathBuf, usize>,
}

impl Taken {
    /// Those that a run begins with.
    pub(super) fn of(inputs: &[InputSpec]) -> Taken {
        let mut taken = Taken::default();
        let read = inputs.iter().filter(|input| !input.is_stdin() && input.same_as().is_none());
        for input in read {
            if let Ok(Some(file)) = Seen::of(&input.path) {
                taken.add(file);
            }
        }
        taken
    }

    /// A file is read from now on.
    pub(super) fn add(&mut self, file: Seen) {
        let at = self.marks.len();
        self.ids.insert(file.id, at);
        self.paths.insert(file.path.clone(), at);
        self.marks.push(Mark {
            now: file.path.clone(),
            path: file.path,
            born: file.born,
            then: file.written,
            last: file.written,
            was_cut: false,
            is_there: true,
        });
    }

    /// Tells new files from others of a look, and from other names of files that were read. Only a
    /// whole look shows that a file is gone.
    pub(super) fn look(&mut self, files: Vec<Seen>, is_whole: bool) -> (Vec<Seen>, Vec<InputSpec>) {
        let names: HashMap<PathBuf, Id> =
            files.iter().map(|file| (file.path.clone(), file.id)).collect();
        let mut there = vec![false; self.marks.len()];
        let (mut new, mut second) = (Vec::new(), Vec::new());
        for file in files {
            let known = self.find(&file);
            let Some((at, mark)) = known.and_then(|at| Some((at, self.marks.get_mut(at)?))) else {
                new.push(file);
                continue;
            };
            if let Some(there) = there.get_mut(at) {
                *there = true;
            }
            mark.last = file.written;
            mark.was_cut |= file.written.size < mark.then.size;
            if self.paths.get(&file.path) == Some(&at) {
                continue;
            }
            if names.get(&mark.now) == Some(&file.id) {
                second.push(InputSpec::second_name(&file.path, &mark.now));
            } else {
                // It was moved; what comes under the old name is another.
                self.paths.remove(&mark.now);
                mark.now.clone_from(&file.path);
            }
            self.paths.insert(file.path, at);
        }
        for (mark, there) in self.marks.iter_mut().zip(there) {
            mark.is_there = there || (mark.is_there && !is_whole);
        }
        (new, second)
    }

    /// The file that was read and is this one: by its number, or, since some shares number their
    /// files anew, by its name, size and time.
    fn find(&self, file: &Seen) -> Option<usize> {
        let mark = |at: &usize| Some((*at, self.marks.get(*at)?));
        let by_id = self.ids.get(&file.id).and_then(mark);
        if let Some((at, _)) = by_id.filter(|(_, of)| of.has(file.written) || of.is_it(file)) {
            return Some(at);
        }
        let by_path = self.paths.get(&file.path).and_then(mark);
        by_path.filter(|(_, of)| of.has(file.written)).map(|(at, _)| at)
    }

    /// What changed after it was read.
    pub(super) fn changes(&self, reports: &[FileReport]) -> Vec<String> {
        let read: HashMap<&Path, u64> =
            reports.iter().map(|report| (report.path.as_path(), report.bytes)).collect();
        let change = |mark: &Mark| mark.change(read.get(mark.path.as_path()).copied().unwrap_or(0));
        self.marks.iter().filter_map(change).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn file(path: &str, ino: u64, size: u64, at: u64) -> Seen {
        let written = Written { size, at: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(at)) };
        Seen { path: path.into(), id: (1, ino), born: None, written }
    }

    /// The names that are new, and second ones.
    fn look(taken: &mut Taken, files: &[Seen], is_whole: bool) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (new, second) = taken.look(files.to_vec(), is_whole);
        (
            new.into_iter().map(|file| file.path).collect(),
            second.into_iter().map(|input| input.path).collect(),
        )
    }

    fn one() -> Taken {
        let mut taken = Taken::default();
        taken.add(file("in/b", 7, 100, 50));
        taken
    }

    #[test]
    fn a_file_that_was_read_is_known_by_every_name() {
        let nothing = (vec![], vec![]);
        let mut taken = one();
        for is_whole in [false, true, true] {
            assert_eq!(look(&mut taken, &[], is_whole), nothing, "it is away");
        }
        assert_eq!(look(&mut taken, &[file("in/b", 7, 100, 50)], true), nothing);
        assert_eq!(look(&mut taken, &[file("./in/b", 7, 100, 50)], true), nothing, "spelled anew");
        assert_eq!(look(&mut taken, &[file("in/done/b", 7, 100, 50)], true), nothing, "moved");
        assert_eq!(look(&mut taken, &[file("in/done/b", 9, 100, 50)], true), nothing, "renumbered");
        let linked = [file("in/a", 7, 100, 50), file("in/done/b", 7, 100, 50)];
        assert_eq!(look(&mut taken, &linked, true), (vec![], vec!["in/a".into()]));
        assert_eq!(look(&mut taken, &linked, true), nothing, "a second name is said once");
        assert!(taken.changes(&[]).is_empty());
    }

    #[test]
    fn another_file_of_the_same_name_or_number_is_new() {
        for other in [file("in/b", 8, 100, 60), file("in/b", 8, 90, 50)] {
            assert_eq!(look(&mut one(), &[other], true).0, [PathBuf::from("in/b")]);
        }
        // A number that is free is used again.
        let mut taken = one();
        assert_eq!(look(&mut taken, &[], true).0.len(), 0);
        assert_eq!(look(&mut taken, &[file("in/c", 7, 90, 60)], true).0.len(), 1);
        let (mut taken, mut other) = (one(), file("in/c", 7, 90, 60));
        other.born = other.written.at;
        taken.marks[0].born = taken.marks[0].then.at;
        assert_eq!(look(&mut taken, &[other], true).0.len(), 1, "made later");
        assert!(taken.changes(&[]).is_empty());
    }

    #[test]
    fn what_was_written_after_reading_is_said() {
        let report = FileReport::duplicate(Path::new("in/b"), Path::new("x"));
        let change = |sizes: &[(u64, u64)], read: u64| {
            let mut taken = one();
            for (size, at) in sizes {
                let (new, _) = look(&mut taken, &[file("in/b", 7, *size, *at)], true);
                assert!(new.is_empty(), "{sizes:?}");
            }
            taken.changes(&[FileReport { bytes: read, ..report.clone() }])
        };
        let grown = "in/b changed after it was read: 20 bytes more were not read";
        assert_eq!(change(&[(110, 60), (120, 70)], 100), [grown]);
        assert!(change(&[(120, 70)], 120).is_empty(), "it grew before it was opened");
        let anew = "in/b was written anew after it was read: its 120 bytes were not read";
        assert_eq!(change(&[(24, 60), (120, 70)], 100), [anew]);
        assert!(change(&[(100, 70)], 100)[0].contains("if it was written anew"));
    }
}
