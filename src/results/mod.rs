//! Finished results, as commands read them again.
//!
//! Owns: which files a result has, reading their lines, finding one by its id. In: a directory that
//! `--out` made, or one of sets that a live run left. Out: lines. Never: a line longer than a cap,
//! or a file that is not a regular one.

pub mod find;
pub mod scan;
pub mod stats;
pub mod tail;
pub mod tune;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::explain::Flat;
use crate::model::Error;

/// Most bytes of a line: no line of ours is a hundredth of it.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Most sets of a live run.
const SETS_MAX: usize = 100_000;

/// The results below a directory.
#[derive(Clone, Debug)]
pub struct Results {
    /// As it was given.
    root: PathBuf,
    /// One, or the sets of a live run in the order of their times.
    dirs: Vec<PathBuf>,
}

impl Results {
    /// A directory that `--out` made, or that holds the sets of a live run.
    ///
    /// Errors: it is neither.
    pub fn open(path: &Path) -> Result<Results, Error> {
        if path.join("run.json").is_file() {
            let dirs = vec![path.to_path_buf()];
            return Ok(Results { root: path.to_path_buf(), dirs });
        }
        let what = format!("results in {}", path.display());
        let help = "give a directory that `longhaul read --out` or `longhaul live --out` made";
        let refuse = |cause: String| Error::new(what.clone(), cause).help(help);
        let entries = std::fs::read_dir(path).map_err(|e| refuse(e.to_string()))?;
        let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut dirs: Vec<PathBuf> =
            folders.filter(|dir| dir.join("run.json").is_file()).take(SETS_MAX).collect();
        dirs.sort();
        if dirs.is_empty() {
            return Err(refuse("there is no run.json".to_owned()));
        }
        Ok(Results { root: path.to_path_buf(), dirs })
    }

    /// Whether a path is the directory that was opened.
    pub fn is_at(&self, path: &Path) -> bool {
        let own = std::fs::canonicalize(&self.root);
        own.is_ok_and(|own| std::fs::canonicalize(path).is_ok_and(|path| path == own))
    }

    /// The directories, in order.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// The last sets only.
    pub fn last(mut self, most: usize) -> Results {
        self.dirs.drain(..self.dirs.len().saturating_sub(most));
        self
    }

    /// The directories.
    pub fn names(&self) -> Vec<PathBuf> {
        self.dirs.clone()
    }

    /// The files of a name, in order.
    pub fn files(&self, name: &str) -> Vec<PathBuf> {
        self.dirs.iter().map(|dir| dir.join(name)).filter(|path| path.exists()).collect()
    }

    /// Calls `each` with the lines of a file of all sets, in order. Sets without the file are
    /// passed over: a run may have been told to write none. Gives how many sets had it.
    ///
    /// Errors: those of reading, of a line that is too long, and of `each`, with file and line.
    pub fn each_line(
        &self,
        name: &str,
        mut each: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<usize, Error> {
        let files = self.files(name);
        for path in &files {
            read_lines(path, &mut |_, line| each(line))?;
        }
        Ok(files.len())
    }

    /// The same with the lines that hold one of some texts alone, until `each` gives false. Others
    /// are not even looked at, so that a damaged one is not noticed.
    pub fn each_line_with(
        &self,
        name: &str,
        texts: &[&[u8]],
        mut each: impl FnMut(&[u8]) -> Result<bool, String>,
    ) -> Result<usize, Error> {
        let files = self.files(name);
        let mut goes_on = true;
        for path in &files {
            scan::each_line_with(path, texts, &mut |line| {
                goes_on = each(line)?;
                Ok(goes_on)
            })?;
            if !goes_on {
                break;
            }
        }
        Ok(files.len())
    }

    /// The same with the file and the number of each line, for those that go on after a bad one.
    ///
    /// Errors: those of reading, and of a line that is too long.
    pub fn each_numbered(
        &self,
        name: &str,
        mut each: impl FnMut(&Path, u32, &[u8]),
    ) -> Result<usize, Error> {
        let files = self.files(name);
        for path in &files {
            read_lines(path, &mut |number, line| {
                each(path, number, line);
                Ok(())
            })?;
        }
        Ok(files.len())
    }

    /// The same with each line's fields.
    pub fn each(
        &self,
        name: &str,
        mut each: impl FnMut(&Flat) -> Result<(), String>,
    ) -> Result<usize, Error> {
        self.each_line(name, |line| each(&parse(line)?))
    }

    /// The paths of the inputs, by their numbers. Of several sets nothing: each has its own.
    pub fn inputs(&self) -> Result<Vec<String>, Error> {
        let runs = self.runs()?;
        let [run] = runs.as_slice() else { return Ok(Vec::new()) };
        let path = |input: &Flat| input.text("path").unwrap_or_default().to_owned();
        Ok(run.objects("inputs").iter().map(path).collect())
    }

    /// The descriptions of the runs (`run.json`), in order.
    pub fn runs(&self) -> Result<Vec<Flat>, Error> {
        self.each_run().collect()
    }

    /// The same, one at a time.
    pub fn each_run(&self) -> impl Iterator<Item = Result<Flat, Error>> {
        self.dirs.iter().map(|dir| {
            let path = dir.join("run.json");
            let refuse = |cause: String| Error::new("result", cause).at(&path, 0).help(DAMAGED);
            let bytes = crate::bounded::file::read(&path, LINE_BYTES_MAX).map_err(refuse)?;
            parse(&bytes).map_err(refuse)
        })
    }
}

/// The remedy of a file that is not as it was written.
const DAMAGED: &str = "the file is not as longhaul wrote it: run again, or restore it";

fn parse(line: &[u8]) -> Result<Flat, String> {
    Flat::parse(line).map_err(|error| format!("it is no JSON object: {error}"))
}

fn refused(path: &Path, number: u32, cause: String) -> Error {
    Error::new("result", cause).at(path, number).help(DAMAGED)
}

/// Opens a file of lines.
fn open(path: &Path) -> Result<File, Error> {
    let failed = |e: io::Error| refused(path, 0, e.to_string());
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(failed)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(file),
        false => Err(refused(path, 0, "it is not a regular file".to_owned())),
    }
}

/// Calls `each` with the number and the bytes of each line of a file.
///
/// Errors: those of reading, of a line that is too long, and of `each`, with file and line.
pub fn each_line_of(
    path: &Path,
    each: &mut impl FnMut(u32, &[u8]) -> Result<(), String>,
) -> Result<(), Error> {
    read_lines(path, each)
}

fn read_lines(
    path: &Path,
    each: &mut impl FnMut(u32, &[u8]) -> Result<(), String>,
) -> Result<(), Error> {
    let refuse = |number: u32, cause: String| refused(path, number, cause);
    let failed = |number: u32| move |e: io::Error| refuse(number, e.to_string());
    let mut reader = BufReader::with_capacity(1 << 18, open(path)?);
    let mut line = Vec::new();
    for number in 1u32.. {
        line.clear();
        let mut bounded = reader.by_ref().take(LINE_BYTES_MAX);
        let len = bounded.read_until(b'\n', &mut line).map_err(failed(number))?;
        if len == 0 {
            break;
        }
        if len as u64 >= LINE_BYTES_MAX {
            return Err(refuse(number, format!("the line has more than {LINE_BYTES_MAX} bytes")));
        }
        if !line.trim_ascii().is_empty() {
            each(number, &line).map_err(|cause| refuse(number, cause))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
