//! Results as they grow: those of finished runs, and of one that is still writing.
//!
//! Owns: how far each file was read. In: a directory that `--out` made, or one with the sets of a
//! live run, again and again. Out: each line once, each set's run.json once. Never: half a line, a
//! file that is not a regular one, or one line twice because its file got its final name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{self, File, Metadata};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::explain::Flat;
use crate::model::Error;
use crate::results::{DAMAGED, LINE_BYTES_MAX};

/// The files, in the order in which they are read: findings name sessions.
const FILES: [&str; 4] = ["incidents.ndjson", "alerts.ndjson", "health.ndjson", "sessions.ndjson"];

/// After so many bytes of lines it says how far it is.
const STEP: u64 = 1 << 20;

/// What there is of a directory.
pub enum News<'a> {
    /// A line of a set.
    Line(usize, &'a [u8]),
    /// A set has ended: its run.json.
    Ended(usize, Box<Flat>),
    /// Bytes read of all that there are.
    Progress(u64, u64),
    /// What is wrong, with its remedy.
    Fault(String),
    /// The directory holds the results of another run now: whatever was read before is void.
    Anew,
}

/// Where whoever reads stands after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Sets of which all was read.
    pub ended: usize,
    /// Sets that are being written.
    pub open: usize,
    /// Sets before the first one that is read.
    pub older: usize,
}

/// The identity of a file, which a new name does not change.
type Node = (u64, u64);

/// A directory that is read as it grows.
pub struct Tail {
    root: PathBuf,
    /// The last sets that are read.
    most: usize,
    /// Bytes read of each file of open sets.
    read: HashMap<Node, u64>,
    /// Sets by their directories, with the run.json of those that have ended.
    sets: BTreeMap<PathBuf, (usize, Option<Node>)>,
    numbers: usize,
    /// Files that cannot be read, which was said.
    faulty: BTreeSet<PathBuf>,
}

/// A set on disk.
struct Set {
    dir: PathBuf,
    run: Option<Node>,
}

impl Tail {
    /// The last sets of a directory.
    ///
    /// Errors: it is no directory, or cannot be read.
    pub fn open(root: &Path, most: usize) -> Result<Tail, Error> {
        fs::read_dir(root).map_err(|cause| {
            Error::new(format!("results in {}", root.display()), cause.to_string())
                .help("give a directory that `longhaul read --out` or `longhaul live --out` makes")
        })?;
        let (read, sets, faulty) = (HashMap::new(), BTreeMap::new(), BTreeSet::new());
        Ok(Tail { root: root.to_path_buf(), most, read, sets, numbers: 0, faulty })
    }

    /// Gives what is new to `each`, until it returns false.
    pub fn look(&mut self, each: &mut dyn FnMut(News<'_>) -> bool) -> Look {
        let mut found = self.found();
        let older = found.len().saturating_sub(self.most.max(1));
        found.drain(..older);
        let is_other = |set: &Set| {
            let known = self.sets.get(&set.dir).and_then(|(_, run)| *run);
            known.is_some() && known != set.run
        };
        if found.iter().any(is_other) {
            (self.read, self.sets) = (HashMap::new(), BTreeMap::new());
            self.faulty.clear();
            each(News::Anew);
        }
        let (ended, open) = found.iter().fold((0, 0), |(ended, open), set| match set.run {
            Some(_) => (ended + 1, open),
            None => (ended, open + 1),
        });
        let look = Look { ended, open, older };
        let fresh: Vec<(Set, Vec<(PathBuf, Metadata)>)> = found
            .into_iter()
            .filter(|set| self.sets.get(&set.dir).is_none_or(|(_, run)| run.is_none()))
            .map(|set| {
                let files = files(&set);
                (set, files)
            })
            .collect();
        let behind = |(_, file): &(PathBuf, Metadata)| file.len().saturating_sub(self.at(file));
        let mut progress = Progress {
            done: 0,
            all: fresh.iter().flat_map(|(_, files)| files).map(behind).sum(),
            said: 0,
        };
        if progress.all > 0 {
            each(News::Progress(0, progress.all));
        }
        for (set, files) in fresh {
            if !self.read_set(&set, &files, &mut progress, each) {
                break;
            }
        }
        look
    }

    fn at(&self, file: &Metadata) -> u64 {
        self.read.get(&node(file)).copied().unwrap_or_default()
    }

    /// The directory itself if it is a set, else the sets in it, in the order of their times.
    fn found(&self) -> Vec<Set> {
        if let Some(set) = set_at(&self.root) {
            return vec![set];
        }
        let entries = fs::read_dir(&self.root).into_iter().flatten().filter_map(Result::ok);
        let mut sets: Vec<Set> = entries.filter_map(|entry| set_at(&entry.path())).collect();
        sets.sort_by(|a, b| a.dir.cmp(&b.dir));
        sets
    }

    fn read_set(
        &mut self,
        set: &Set,
        files: &[(PathBuf, Metadata)],
        progress: &mut Progress,
        each: &mut dyn FnMut(News<'_>) -> bool,
    ) -> bool {
        let (number, _) = *self.sets.entry(set.dir.clone()).or_insert_with(|| {
            self.numbers += 1;
            (self.numbers, None)
        });
        for (path, _) in files {
            if self.faulty.contains(path) {
                continue;
            }
            let result = read_lines(path, (&mut self.read, set.run.is_some()), &mut |line| {
                progress.count(line.len(), each) && each(News::Line(number, line))
            });
            match result {
                Ok(true) => {}
                Ok(false) => return false,
                Err(cause) => {
                    self.faulty.insert(path.clone());
                    let error = Error::new("result", cause).at(path, 0).help(DAMAGED);
                    each(News::Fault(error.to_string()));
                }
            }
        }
        let Some(run) = set.run else { return true };
        for (_, file) in files {
            self.read.remove(&node(file));
        }
        self.sets.insert(set.dir.clone(), (number, Some(run)));
        let path = set.dir.join("run.json");
        let read = crate::bounded::file::read(&path, LINE_BYTES_MAX);
        match read.and_then(|bytes| super::parse(&bytes)) {
            Ok(run) => each(News::Ended(number, Box::new(run))),
            Err(cause) => {
                let error = Error::new("result", cause).at(&path, 0).help(DAMAGED);
                each(News::Fault(error.to_string()))
            }
        }
    }
}

/// How far a look is.
struct Progress {
    done: u64,
    all: u64,
    said: u64,
}

impl Progress {
    fn count(&mut self, bytes: usize, each: &mut dyn FnMut(News<'_>) -> bool) -> bool {
        self.done += bytes as u64;
        if self.done < self.said + STEP {
            return true;
        }
        self.said = self.done;
        each(News::Progress(self.done, self.all))
    }
}

fn node(file: &Metadata) -> Node {
    (file.dev(), file.ino())
}

/// A directory with a run.json, or with files that a run is writing.
fn set_at(dir: &Path) -> Option<Set> {
    let run = fs::metadata(dir.join("run.json")).ok().filter(Metadata::is_file);
    let run = run.map(|file| node(&file));
    let is_set = run.is_some() || FILES.iter().any(|name| partial(dir, name).is_some());
    is_set.then(|| Set { dir: dir.to_path_buf(), run })
}

/// The latest temporary file of a name.
fn partial(dir: &Path, name: &str) -> Option<(PathBuf, Metadata)> {
    let entries = fs::read_dir(dir).ok()?.filter_map(Result::ok);
    let begin = format!(".{name}.partial");
    let of_name = |entry: &fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name.starts_with(&begin))
    };
    let files = entries.filter(of_name).filter_map(|entry| {
        let file = entry.metadata().ok().filter(Metadata::is_file)?;
        Some((entry.path(), file))
    });
    files.max_by_key(|(_, file)| (file.mtime(), file.mtime_nsec()))
}

/// The files of a set that are there, with their final names if it has ended.
fn files(set: &Set) -> Vec<(PathBuf, Metadata)> {
    let of = |name: &&str| {
        let path = set.dir.join(name);
        let whole = fs::metadata(&path).ok().filter(Metadata::is_file);
        match whole {
            Some(file) if set.run.is_some() => Some((path, file)),
            _ if set.run.is_some() => None,
            _ => partial(&set.dir, name),
        }
    };
    FILES.iter().filter_map(of).collect()
}

/// Reads whole lines from where it stands on; of a file that is whole the last one needs no end.
/// Returns whether to go on.
fn read_lines(
    path: &Path,
    (read, is_whole): (&mut HashMap<Node, u64>, bool),
    each: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<bool, String> {
    let failed = |cause: std::io::Error| cause.to_string();
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut file = match file {
        // It has just got its final name, or its set was removed: the next look tells.
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        file => file.map_err(failed)?,
    };
    let data = file.metadata().map_err(failed)?;
    if !data.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let at = read.entry(node(&data)).or_default();
    if data.len() < *at {
        return Err("it has become shorter".to_owned());
    }
    file.seek(SeekFrom::Start(*at)).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut bounded = reader.by_ref().take(LINE_BYTES_MAX);
        let len = bounded.read_until(b'\n', &mut line).map_err(failed)?;
        if len as u64 >= LINE_BYTES_MAX {
            return Err(format!("a line has more than {LINE_BYTES_MAX} bytes"));
        }
        if len == 0 || (!is_whole && line.last() != Some(&b'\n')) {
            return Ok(true);
        }
        *at += len as u64;
        if !line.trim_ascii().is_empty() && !each(&line) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// The lines of a look, what ended, and whether all began anew.
    fn look(tail: &mut Tail) -> (Vec<String>, usize, bool) {
        let (mut lines, mut ended, mut anew) = (Vec::new(), 0, false);
        tail.look(&mut |news| {
            match news {
                News::Line(_, line) => lines.push(String::from_utf8(line.to_vec()).unwrap()),
                News::Ended(..) => ended += 1,
                News::Anew => anew = true,
                News::Fault(text) => lines.push(text),
                News::Progress(..) => {}
            }
            true
        });
        (lines, ended, anew)
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn each_line_comes_once_though_its_file_gets_another_name() {
        let dir = tempfile::tempdir().unwrap();
        let mut tail = Tail::open(dir.path(), 9).unwrap();
        assert_eq!(look(&mut tail), (vec![], 0, false));
        let partial = dir.path().join(".sessions.ndjson.partial");
        append(&partial, "{\"a\":1}\n{\"a\":");
        assert_eq!(look(&mut tail).0, ["{\"a\":1}\n"]);
        append(&partial, "2}\n");
        assert_eq!(look(&mut tail).0, ["{\"a\":2}\n"]);
        append(&partial, "{\"a\":3}\n");
        fs::rename(&partial, dir.path().join("sessions.ndjson")).unwrap();
        append(&dir.path().join("run.json"), "{}");
        assert_eq!(look(&mut tail), (vec!["{\"a\":3}\n".to_owned()], 1, false));
        assert_eq!(look(&mut tail), (vec![], 0, false));
        // Another run takes the place.
        fs::remove_file(dir.path().join("sessions.ndjson")).unwrap();
        append(&dir.path().join("sessions.ndjson"), "{\"b\":1}\n");
        append(&dir.path().join("run.json.new"), "{}");
        fs::rename(dir.path().join("run.json.new"), dir.path().join("run.json")).unwrap();
        assert_eq!(look(&mut tail), (vec!["{\"b\":1}\n".to_owned()], 1, true));
    }

    #[test]
    fn the_last_sets_of_a_live_run_are_read_and_a_damaged_file_is_said_once() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20260101T000000Z", "20260102T000000Z", "20260103T000000Z"] {
            fs::create_dir(dir.path().join(name)).unwrap();
            append(
                &dir.path().join(name).join("alerts.ndjson"),
                &format!("{{\"of\":\"{name}\"}}\n"),
            );
            append(&dir.path().join(name).join("run.json"), "{}");
        }
        fs::create_dir(dir.path().join("mine")).unwrap();
        let mut tail = Tail::open(dir.path(), 2).unwrap();
        let (lines, ended, _) = look(&mut tail);
        assert_eq!((lines.len(), ended), (2, 2), "{lines:?}");
        assert!(lines[0].contains("20260102"), "{lines:?}");
        let last = dir.path().join("20260104T000000Z");
        fs::create_dir(&last).unwrap();
        append(&last.join("run.json"), "damaged");
        let (lines, ended, _) = look(&mut tail);
        assert!(ended == 0 && lines.len() == 1 && lines[0].contains("run.json"), "{lines:?}");
        assert_eq!(look(&mut tail).0, Vec::<String>::new());
        assert!(Tail::open(&dir.path().join("nowhere"), 2).is_err());
    }
}
