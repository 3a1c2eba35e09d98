//! What a run in sets notes beside them, so that it can go on after it was killed.
//!
//! Owns: the directory `.resume` below the output directory: what the run was begun with; behind
//! the last set its note, the sessions that were open, and the state. In: a plan's facts, notes.
//! Out: where to go on. Never: a note of a set that is not whole before the set has its `run.json`,
//! or a step taken on inputs or options that are not those of the beginning.
//!
//! The order in which things become durable: state, ids, note, then `run.json` of the set. A set
//! without `run.json` is read anew; one that has it has everything that goes with it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::bounded;
use crate::model::Error;
use crate::pipeline::own_sessions::Left;
use crate::sinks::files::{Lock, OutDir, OutFile, make_dir, remove_set};
use crate::sinks::notes;

/// The directory of notes.
const DIR: &str = ".resume";
/// The file in it that says what the run was begun with.
const BEGUN: &str = "begun.json";

/// Most bytes of a note: 65,535 paths of 4,096 bytes.
const NOTE_BYTES_MAX: u64 = 512 << 20;

/// Bytes of an id.
const ID: usize = 16;

/// An input file as it was at the beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Input {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// When it was last written to, in ns since 1970.
    pub(super) modified: Option<u64>,
}

/// What a run was begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    pub(super) version: String,
    /// The command line, without what does not matter.
    pub(super) words: Vec<String>,
    /// Rules, lists, databases and files that options name.
    pub(super) shape: Value,
    pub(super) inputs: Vec<Input>,
    /// All sets are there.
    pub(super) done: bool,
}

/// What is noted behind a set.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SetNote {
    /// The first input of the next set, by the order of inputs; none behind the last.
    pub(super) next: Option<u16>,
    /// The first one that the next set reads again.
    pub(super) again: u16,
    clock: u32,
    /// Of the sessions that were open.
    sha256: String,
}

/// Where a run is to go on.
pub(super) enum At {
    /// Nothing is finished.
    Start,
    /// Behind the set of this number, from 1.
    Behind(u32, SetNote, Left),
    /// At the end.
    Done,
}

/// The notes of a run, which keep other runs out.
pub(super) struct Notes {
    root: PathBuf,
    _lock: Lock,
}

impl Begun {
    /// What differs from how the run was begun.
    fn difference(&self, then: &Begun) -> Option<String> {
        if self.version != then.version {
            let (then, now) = (&then.version, &self.version);
            return Some(format!("it was begun by version {then}, and this is {now}"));
        }
        if self.words != then.words {
            return Some(format!("it was begun by `longhaul {}`", then.words.join(" ")));
        }
        if self.shape != then.shape {
            return Some("rules, lists, databases or files of options have changed".to_owned());
        }
        let mut pairs = self.inputs.iter().zip(&then.inputs);
        if let Some((now, then)) = pairs.find(|(now, then)| now != then) {
            return Some(match now.path == then.path {
                true => format!("{} was written to since", now.path),
                false => format!("{} is gone or {} is new", then.path, now.path),
            });
        }
        let (now, then) = (self.inputs.len(), then.inputs.len());
        (now != then).then(|| format!("there are {now} files, and were {then}"))
    }
}

impl SetNote {
    /// Whether it can be of a run over so many inputs.
    fn is_within(&self, inputs: usize) -> bool {
        match self.next {
            Some(next) => self.again <= next && usize::from(next) < inputs,
            None => usize::from(self.again) <= inputs,
        }
    }
}

impl Notes {
    /// The notes in an output directory, and where to go on; a new directory begins a run.
    ///
    /// Errors: it holds something else, or a run that was begun otherwise.
    pub(super) fn open(root: &Path, begun: &Begun) -> Result<(Notes, At), Error> {
        let notes = root.join(DIR);
        if !notes.join(BEGUN).exists() {
            if is_unbegun(&notes) {
                remove(&notes)?;
            }
            // It refuses what is not empty but for what killed runs leave.
            drop(OutDir::create(root, false)?);
        }
        let lock = Lock::take(root)?;
        make_dir(&notes)?;
        let notes = Notes { root: root.to_path_buf(), _lock: lock };
        let Some(then) = notes.read::<Begun>(&notes.path(BEGUN))? else {
            notes::write(&notes.path(BEGUN), begun)?;
            return Ok((notes, At::Start));
        };
        if let Some(difference) = begun.difference(&Begun { done: begun.done, ..then.clone() }) {
            let help = "give the command that began it, with the same files; or begin anew with \
                        another directory";
            return Err(notes.refuse(difference).help(help));
        }
        let at = if then.done { At::Done } else { notes.place(then.inputs.len())? };
        // A kill may have come between the end of a set and this.
        match &at {
            At::Start => {}
            At::Behind(last, ..) => notes.forget_before(*last)?,
            At::Done => notes.forget_before(u32::MAX)?,
        }
        Ok((notes, at))
    }

    /// Behind which set a run over so many inputs goes on.
    fn place(&self, inputs: usize) -> Result<At, Error> {
        let is_whole = |set: &u32| self.set(*set).join("run.json").exists();
        let sets = (1u32..).take_while(is_whole).last();
        let Some(number) = sets else { return Ok(At::Start) };
        let lost = || {
            let help = "begin anew with another directory";
            self.refuse(format!("what is noted behind set {number} is not there")).help(help)
        };
        let note: SetNote = self.read(&self.note(number))?.ok_or_else(lost)?;
        let ids = bounded::file::read(&self.ids(number), NOTE_BYTES_MAX);
        let ids = ids.ok().filter(|ids| note.sha256 == sum(ids)).ok_or_else(lost)?;
        if !note.is_within(inputs) || !self.state(number).is_dir() {
            return Err(lost());
        }
        let (open, _) = ids.as_chunks::<ID>();
        let left = Left { open: open.to_vec(), clock: note.clock, ..Left::default() };
        Ok(At::Behind(number, note, left))
    }

    /// The directory of a set.
    pub(super) fn set(&self, number: u32) -> PathBuf {
        self.root.join(format!("set-{number:05}"))
    }

    /// Removes what a killed run has left of a set.
    pub(super) fn clear(&self, number: u32) -> Result<(), Error> {
        let dir = self.set(number);
        if dir.exists() { remove_set(&dir) } else { Ok(()) }
    }

    /// The state for a set to change: a copy of that behind the last one.
    pub(super) fn begin_state(&self, number: u32) -> Result<PathBuf, Error> {
        let (from, to) = (self.state(number.saturating_sub(1)), self.state(number));
        remove(&to)?;
        make_dir(&to)?;
        for entry in fs::read_dir(&from).into_iter().flatten() {
            let copied = entry.and_then(|entry| fs::copy(entry.path(), to.join(entry.file_name())));
            copied.map_err(|e| failed(&to, &e))?;
        }
        Ok(to)
    }

    /// Notes what goes with a set that is finished next.
    pub(super) fn note_set(
        &self,
        number: u32,
        (next, again): (Option<u16>, u16),
        left: &Left,
    ) -> Result<(), Error> {
        let ids = left.open.as_flattened();
        let mut file = OutFile::replace(&self.ids(number))?;
        file.write(ids)?;
        file.finish()?;
        let note = SetNote { next, again, clock: left.clock, sha256: sum(ids) };
        notes::write(&self.note(number), &note)
    }

    /// A set is finished: what was noted behind those before is not needed any more.
    pub(super) fn forget_before(&self, number: u32) -> Result<(), Error> {
        let dir = self.root.join(DIR);
        for entry in fs::read_dir(&dir).map_err(|e| failed(&dir, &e))? {
            let entry = entry.map_err(|e| failed(&dir, &e))?;
            if set_of(&entry.file_name()).is_some_and(|set| set < number) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// All sets are finished.
    pub(super) fn finish(&self, begun: &Begun) -> Result<(), Error> {
        notes::write(&self.path(BEGUN), &Begun { done: true, ..begun.clone() })?;
        self.forget_before(u32::MAX)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(DIR).join(name)
    }

    fn note(&self, number: u32) -> PathBuf {
        self.path(&format!("set-{number:05}.json"))
    }

    fn ids(&self, number: u32) -> PathBuf {
        self.path(&format!("set-{number:05}.ids"))
    }

    fn state(&self, number: u32) -> PathBuf {
        self.path(&format!("set-{number:05}.state"))
    }

    fn refuse(&self, cause: String) -> Error {
        Error::new(format!("going on with the run in {}", self.root.display()), cause)
    }

    fn read<T: for<'d> Deserialize<'d>>(&self, path: &Path) -> Result<Option<T>, Error> {
        notes::read(path, NOTE_BYTES_MAX).map_err(|cause| {
            let what = format!("notes of the run in {}", self.root.display());
            Error::new(what, cause).at(path, 0).help("begin anew with another directory")
        })
    }
}

/// Whether a run was killed before it had noted anything.
fn is_unbegun(notes: &Path) -> bool {
    let ours = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(".begun.json.partial");
    let entries = fs::read_dir(notes);
    entries.is_ok_and(|mut all| all.all(|entry| entry.is_ok_and(|one| ours(&one.file_name()))))
}

/// The number of the set that a note is of, or what a kill has left of one.
fn set_of(name: &std::ffi::OsStr) -> Option<u32> {
    let name = name.to_str()?;
    let number = name.strip_prefix('.').unwrap_or(name).strip_prefix("set-")?;
    number.split_once('.')?.0.parse().ok()
}

/// SHA-256 in lower-case hexadecimal.
pub(super) fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn remove(path: &Path) -> Result<(), Error> {
    let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
    let removed = if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(cause) if cause.kind() != ErrorKind::NotFound => Err(failed(path, &cause)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(format!("writing {}", path.display()), cause.to_string())
        .help("free some space, or see whether this user may write there")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        let input = |path: &str| Input { path: path.to_owned(), bytes: 7, modified: Some(9) };
        Begun {
            version: "1".to_owned(),
            words: vec!["read".to_owned(), "in".to_owned()],
            shape: Value::Null,
            inputs: vec![input("a"), input("b")],
            done: false,
        }
    }

    #[test]
    fn what_differs_from_the_beginning_is_said() {
        let then = begun();
        assert_eq!(then.difference(&then), None);
        let said = |change: &dyn Fn(&mut Begun)| {
            let mut now = begun();
            change(&mut now);
            now.difference(&then).unwrap()
        };
        assert!(said(&|b| b.version = "2".to_owned()).contains("version 1, and this is 2"));
        assert!(said(&|b| b.words.push("--x".to_owned())).contains("`longhaul read in`"));
        assert!(said(&|b| b.shape = Value::from(1)).contains("rules"));
        assert_eq!(said(&|b| b.inputs[1].bytes = 8), "b was written to since");
        assert_eq!(said(&|b| b.inputs[0].path = "0".to_owned()), "a is gone or 0 is new");
        assert_eq!(said(&|b| b.inputs.truncate(1)), "there are 1 files, and were 2");
    }

    #[test]
    fn a_run_goes_on_behind_the_last_set_that_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("out");
        let (notes, at) = Notes::open(&root, &begun()).unwrap();
        assert!(matches!(at, At::Start));
        let left = Left { open: vec![[1; 16], [2; 16]], ..Left::default() };
        for set in 1..=2 {
            notes.begin_state(set).unwrap();
            notes.note_set(set, (Some(1), 0), &left).unwrap();
            make_dir(&notes.set(set)).unwrap();
        }
        drop(notes);
        assert!(matches!(Notes::open(&root, &begun()).unwrap().1, At::Start), "no run.json");
        fs::write(root.join("set-00001/run.json"), "{}").unwrap();
        let (notes, at) = Notes::open(&root, &begun()).unwrap();
        let At::Behind(set, note, read) = at else { panic!("there is a set") };
        assert_eq!((set, note.next, note.again), (1, Some(1), 0));
        assert_eq!(read.open, left.open);
        for (next, again) in [(Some(2), 0), (Some(0), 1), (None, 3)] {
            notes.note_set(1, (next, again), &left).unwrap();
            let error = notes.place(2).err().unwrap();
            assert!(error.cause.contains("set 1 is not there"), "{error}");
        }
        notes.note_set(1, (Some(1), 0), &left).unwrap();
        let ids = notes.ids(1);
        let bytes = fs::read(&ids).unwrap();
        fs::write(&ids, &bytes[1..]).unwrap();
        drop(notes);
        let error = Notes::open(&root, &begun()).err().unwrap();
        assert!(error.cause.contains("set 1 is not there") && error.help.is_some(), "{error}");
        fs::write(&ids, bytes).unwrap();
        let other = Begun { version: "2".to_owned(), ..begun() };
        assert!(Notes::open(&root, &other).is_err());
        let (notes, _) = Notes::open(&root, &begun()).unwrap();
        let kept = || {
            let names = fs::read_dir(root.join(DIR)).unwrap().map(|one| one.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names
        };
        drop(notes);
        // As if each kill had come before what is behind was forgotten.
        for left in [".set-00001.ids.partial-7", "set-00001.json", "set-00001.ids"] {
            fs::write(root.join(DIR).join(left), fs::read(&ids).unwrap_or_default()).unwrap();
        }
        fs::write(root.join("set-00002/run.json"), "{}").unwrap();
        let (notes, _) = Notes::open(&root, &begun()).unwrap();
        let last = ["begun.json", "set-00002.ids", "set-00002.json", "set-00002.state"];
        assert_eq!(kept(), last);
        notes::write(&notes.path(BEGUN), &Begun { done: true, ..begun() }).unwrap();
        drop(notes);
        assert!(matches!(Notes::open(&root, &begun()).unwrap().1, At::Done));
        assert_eq!(kept(), ["begun.json"]);
    }
}
