//! The list of inputs: files, directories, standard input.
//!
//! Owns: the directory walk, and the search for paths that name the same file. In: paths of the
//! command line. Out: one [`InputSpec`] per input. Never: opens a file, or skips one silently.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::Error;

/// Maximum inputs of one run: frames carry the file index in 16 bits.
pub const MAX_FILES: usize = 65_535;

/// One input to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputSpec {
    /// The path as given or found; `-` is standard input.
    pub path: PathBuf,
    /// The bytes of a capture that is compiled in, instead of a file.
    embedded: Option<&'static [u8]>,
    /// The path of an earlier input that is the same file.
    same_as: Option<PathBuf>,
}

impl InputSpec {
    /// An input by its path.
    pub fn new(path: impl Into<PathBuf>) -> InputSpec {
        InputSpec { path: path.into(), embedded: None, same_as: None }
    }

    /// A compiled-in capture; `name` is used as its path.
    pub fn embedded(name: &str, bytes: &'static [u8]) -> InputSpec {
        InputSpec { path: name.into(), embedded: Some(bytes), same_as: None }
    }

    /// Another name of an input that was given before.
    pub fn second_name(path: impl Into<PathBuf>, first: &Path) -> InputSpec {
        InputSpec { same_as: Some(first.to_path_buf()), ..InputSpec::new(path) }
    }

    /// The bytes of an embedded capture.
    pub fn embedded_bytes(&self) -> Option<&'static [u8]> {
        self.embedded
    }

    /// Whether it is standard input.
    pub fn is_stdin(&self) -> bool {
        self.path.as_os_str() == "-"
    }

    /// Whether it can be read only once: standard input, a pipe, a device.
    pub fn is_stream(&self) -> bool {
        self.is_stdin() || fs::metadata(&self.path).is_ok_and(|m| !m.is_file() && !m.is_dir())
    }

    /// The path of an earlier input that is the same file; then this one is not read.
    pub fn same_as(&self) -> Option<&Path> {
        self.same_as.as_deref()
    }

    /// Its size in bytes; 0 if unknown or not read.
    pub fn size(&self) -> u64 {
        match self.embedded {
            None if self.same_as.is_some() => 0,
            Some(bytes) => bytes.len() as u64,
            None if self.is_stdin() => 0,
            None => fs::metadata(&self.path).map_or(0, |m| if m.is_file() { m.len() } else { 0 }),
        }
    }
}

/// All inputs in `paths`, sorted by path, each path once. Directories are searched recursively and
/// links are followed, but no directory is entered twice. An unreadable path is an input as well,
/// so that its report says why. A second name of a file (another spelling, a symbolic or a hard
/// link) is an input too, marked and not read again.
///
/// # Errors
/// More than [`MAX_FILES`] inputs.
pub fn expand_inputs(paths: &[PathBuf]) -> Result<Vec<InputSpec>, Error> {
    let mut walk = Walk::default();
    for path in paths {
        match path.as_os_str() != "-" && path.is_dir() {
            true => walk.waiting.push(path.clone()),
            false => walk.add(path.clone())?,
        }
    }
    walk.all()?;
    let mut specs: Vec<InputSpec> = walk.found.into_iter().map(InputSpec::new).collect();
    mark_second_names(&mut specs);
    Ok(specs)
}

/// What stands below a directory at one look.
#[derive(Debug, Default)]
pub struct Listing {
    /// The paths, sorted, each once; of directories those that could not be listed.
    pub paths: Vec<PathBuf>,
    /// The first reason why there may be more.
    pub missed: Option<String>,
}

/// The paths below a directory, searched as [`expand_inputs`] does.
///
/// # Errors
/// More than [`MAX_FILES`] paths.
pub fn list_inputs(directory: &Path) -> Result<Listing, Error> {
    let mut walk = Walk { waiting: vec![directory.to_path_buf()], ..Walk::default() };
    walk.all()?;
    Ok(Listing { paths: walk.found.into_iter().map(PathBuf::from).collect(), missed: walk.missed })
}

/// Reading one file twice would double its packets. The first name in order is read.
fn mark_second_names(specs: &mut [InputSpec]) {
    let mut known: HashMap<(u64, u64), PathBuf> = HashMap::new();
    for spec in specs.iter_mut().filter(|spec| !spec.is_stdin()) {
        let Ok(meta) = fs::metadata(&spec.path) else { continue };
        if meta.is_dir() {
            continue;
        }
        match known.get(&(meta.dev(), meta.ino())) {
            Some(first) => spec.same_as = Some(first.clone()),
            None => {
                known.insert((meta.dev(), meta.ino()), spec.path.clone());
            }
        }
    }
}

/// A search through directories.
#[derive(Default)]
struct Walk {
    found: BTreeSet<OsString>,
    entered: BTreeSet<PathBuf>,
    waiting: Vec<PathBuf>,
    missed: Option<String>,
}

impl Walk {
    /// Lists every directory that waits, and those in them.
    fn all(&mut self) -> Result<(), Error> {
        while let Some(directory) = self.waiting.pop() {
            let real = fs::canonicalize(&directory).unwrap_or_else(|_| directory.clone());
            if self.entered.insert(real) {
                self.list(&directory)?;
            }
        }
        Ok(())
    }

    /// Lists one directory. Pipes, sockets and devices in it are not stored captures and are not
    /// opened.
    fn list(&mut self, directory: &Path) -> Result<(), Error> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(cause) => return self.miss(directory.to_path_buf(), &cause),
        };
        let mut directories = Vec::new();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(cause) => {
                    self.miss(directory.to_path_buf(), &cause)?;
                    break;
                }
            };
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => directories.push(path),
                Ok(meta) if !meta.is_file() => {}
                Ok(_) => self.add(path)?,
                // A link that leads nowhere, or a file that has gone meanwhile.
                Err(cause) if cause.kind() == ErrorKind::NotFound => self.add(path)?,
                // It may be a directory.
                Err(cause) => self.miss(path, &cause)?,
            }
        }
        // The walk must not depend on directory order, which decides through which of two links a
        // directory is entered.
        directories.sort_by(|a, b| b.cmp(a));
        self.waiting.append(&mut directories);
        Ok(())
    }

    fn miss(&mut self, path: PathBuf, cause: &io::Error) -> Result<(), Error> {
        self.missed.get_or_insert_with(|| format!("{}: {cause}", path.display()));
        self.add(path)
    }

    fn add(&mut self, path: PathBuf) -> Result<(), Error> {
        self.found.insert(path.into_os_string());
        if self.found.len() > MAX_FILES {
            let cause = format!("more than {MAX_FILES} input files");
            return Err(Error::new("the list of inputs", cause)
                .help("give fewer files at once, or join them with mergecap"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_walked_sorted_and_loops_end() {
        let root = tempfile::tempdir().unwrap();
        let at = |p: &str| root.path().join(p);
        fs::create_dir_all(at("b/deep")).unwrap();
        for file in ["b/deep/z.pcap", "b/.hidden", "a.txt", "c"] {
            fs::write(at(file), b"x").unwrap();
        }
        std::os::unix::fs::symlink(root.path(), at("b/loop")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("broken")).unwrap();
        let paths = [root.path().to_path_buf(), "-".into(), at("c"), at("missing")];
        let specs = expand_inputs(&paths).unwrap();
        let names: Vec<_> = specs
            .iter()
            .map(|s| s.path.strip_prefix(root.path()).unwrap_or(&s.path).display().to_string())
            .collect();
        let all = ["-", "a.txt", "b/.hidden", "b/deep/z.pcap", "broken", "c", "missing"];
        assert_eq!(names, all);
        assert!(specs.first().unwrap().is_stdin());
    }

    #[test]
    fn a_file_of_several_names_is_read_by_the_first() {
        let root = tempfile::tempdir().unwrap();
        let at = |p: &str| root.path().join(p);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("b"), b"x").unwrap();
        fs::write(at("other"), b"x").unwrap();
        fs::hard_link(at("b"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("b"), at("soft")).unwrap();
        let paths = [at("soft"), at("sub/../b"), at("other"), at("hard"), at("b"), "-".into()];
        let specs = expand_inputs(&paths).unwrap();
        let read: Vec<_> = specs.iter().filter(|s| s.same_as().is_none()).collect();
        assert_eq!(
            read.iter().map(|s| s.path.clone()).collect::<Vec<_>>(),
            [PathBuf::from("-"), at("b"), at("other")]
        );
        let second: Vec<_> = specs.iter().filter(|s| s.same_as() == Some(&at("b"))).collect();
        assert_eq!(second.len(), 3);
        assert!(second.iter().all(|s| s.size() == 0));
    }

    #[test]
    fn a_directory_that_is_away_is_no_empty_one() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("in");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a"), b"x").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.join("broken")).unwrap();
        let whole = list_inputs(&dir).unwrap();
        assert_eq!((whole.paths.len(), whole.missed), (2, None));
        fs::rename(&dir, root.path().join("away")).unwrap();
        let missed = list_inputs(&dir).unwrap().missed.unwrap();
        assert!(missed.starts_with(&format!("{}: ", dir.display())), "{missed}");
    }
}
