//! Filters and rules over what finished runs left.
//!
//! Owns: the way over the lines of one or many results, or over their tables in Parquet. In:
//! results, a filter. Out: lines. Never: a line left out silently: one that is damaged ends the
//! search with its file and number, and so does a directory that cannot be listed.

pub mod expression;
pub mod judge;
pub mod kept;
pub mod parse;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::emit::json_schema::Lines;
use crate::hunt::expression::Expr;
use crate::model::Error;
use crate::results::{Results, each_line_of};
use crate::sinks::tables;

/// Bytes between two reports of progress.
const BYTES_PER_TICK: u64 = 4 << 20;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunted {
    /// Lines that were read.
    pub lines: u64,
    /// Those that the filter holds for.
    pub found: u64,
    /// Files that were read.
    pub files: usize,
    /// Those among them whose fields are of an earlier schema version.
    pub earlier: usize,
}

impl Hunted {
    fn add(&mut self, more: Hunted) {
        self.lines += more.lines;
        self.found += more.found;
        self.files += more.files;
        self.earlier += more.earlier;
    }
}

/// Who takes what is found.
pub trait Take {
    /// A file is next; what was found in it, if it was searched before.
    fn begin(&mut self, number: usize, path: &Path) -> Result<Option<Hunted>, Error>;
    /// A line that the filter holds for, as it is and as a value. Of tables in Parquet the line is
    /// the row as JSON.
    fn line(&mut self, line: &[u8], value: &Value) -> Result<(), String>;
    /// The file is done.
    fn end(&mut self, number: usize, path: &Path, found: Hunted) -> Result<(), Error>;
}

/// Where lines are read from.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Results with lines.
    Results(Results),
    /// A directory with their tables.
    Lake(PathBuf),
}

/// How far the search of a file is.
struct Search<'s> {
    all: Hunted,
    filter: Option<&'s Expr>,
    take: &'s mut dyn Take,
}

impl Search<'_> {
    /// A line as it is, and as a value.
    fn line(&mut self, line: &[u8], value: &Value) -> Result<(), String> {
        self.all.lines += 1;
        if self.filter.is_none_or(|filter| filter.holds(value)) {
            self.all.found += 1;
            self.take.line(line, value)?;
        }
        Ok(())
    }
}

/// Gives every line of a table that the filter holds for.
///
/// Errors: a damaged line, or of who takes them.
pub fn lines(
    stored: &[Stored],
    table: Lines,
    filter: Option<&Expr>,
    take: &mut dyn Take,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Hunted, Error> {
    let file = format!("{}.ndjson", table.name());
    let mut paths: Vec<(bool, PathBuf)> = Vec::new();
    for one in stored {
        match one {
            Stored::Results(of) => paths.extend(of.files(&file).into_iter().map(|p| (false, p))),
            Stored::Lake(path) => {
                paths.extend(tables::files(path, table.name())?.into_iter().map(|p| (true, p)));
            }
        }
    }
    let size = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    let total = paths.iter().map(|(_, path)| size(path)).sum();
    let mut ticker = Ticker { done: 0, next: 0, total, progress };
    let mut all = Hunted::default();
    for (number, (is_lake, path)) in paths.iter().enumerate() {
        if let Some(found) = take.begin(number, path)? {
            ticker.add(size(path));
            all.add(found);
            continue;
        }
        let mut search = Search { all: Hunted { files: 1, ..Hunted::default() }, filter, take };
        match is_lake {
            true => rows(path, table, &mut search, &mut ticker)?,
            false => each_line_of(path, &mut |_, line| {
                ticker.add(line.len() as u64);
                let value: Value = serde_json::from_slice(line)
                    .map_err(|error| format!("it is no JSON object: {error}"))?;
                search.line(line, &value)
            })?,
        }
        let found = search.all;
        take.end(number, path, found)?;
        all.add(found);
    }
    Ok(all)
}

/// The rows of a file of a table.
#[cfg(feature = "parquet")]
fn rows(
    path: &Path,
    table: Lines,
    search: &mut Search<'_>,
    ticker: &mut Ticker<'_>,
) -> Result<(), Error> {
    let is_earlier = crate::lake::rows::each_row(path, table, &mut |row| {
        search.line(row.to_string().as_bytes(), &row)
    })?;
    search.all.earlier += usize::from(is_earlier);
    ticker.add(path.metadata().map_or(0, |meta| meta.len()));
    Ok(())
}

/// A build without Parquet refuses such directories before.
#[cfg(not(feature = "parquet"))]
fn rows(
    path: &Path,
    _table: Lines,
    _search: &mut Search<'_>,
    _ticker: &mut Ticker<'_>,
) -> Result<(), Error> {
    Err(Error::new("hunt", "this build of longhaul has no Parquet").at(path, 0))
}

/// Reports progress now and then.
struct Ticker<'p> {
    done: u64,
    next: u64,
    total: u64,
    progress: &'p mut dyn FnMut(u64, u64),
}

impl Ticker<'_> {
    fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.done >= self.next {
            (self.progress)(self.done, self.total);
            self.next = self.done + BYTES_PER_TICK;
        }
    }
}

#[cfg(test)]
mod tests;
