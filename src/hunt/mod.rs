//! Filters and rules over what finished runs left.
//!
//! Owns: the way over the lines of one or many results, or over their tables in Parquet. In:
//! results, a filter. Out: lines. Never: a line left out silently: one that is damaged ends the
//! search with its file and number, and so does a directory that cannot be listed.

pub mod expression;
pub mod judge;
pub mod parse;

use std::path::PathBuf;

use serde_json::Value;

use crate::emit::json_schema::Lines;
use crate::hunt::expression::Expr;
use crate::model::Error;
use crate::results::Results;
use crate::sinks::tables;

/// Bytes between two reports of progress.
const BYTES_PER_TICK: u64 = 4 << 20;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// What is done with a line, as it is and as a value.
pub type Each<'e> = dyn FnMut(&[u8], &Value) -> Result<(), String> + 'e;

/// Where lines are read from.
#[derive(Clone, Debug)]
pub enum Stored {
    /// Results with lines.
    Results(Results),
    /// A directory with their tables.
    Lake(PathBuf),
}

/// How far the search is.
struct Search<'s> {
    all: Hunted,
    filter: Option<&'s Expr>,
    each: &'s mut Each<'s>,
}

impl Search<'_> {
    /// A line as it is, and as a value.
    fn line(&mut self, line: &[u8], value: &Value) -> Result<(), String> {
        self.all.lines += 1;
        if self.filter.is_none_or(|filter| filter.holds(value)) {
            self.all.found += 1;
            (self.each)(line, value)?;
        }
        Ok(())
    }
}

/// Calls `each` with every line of a table that the filter holds for, as it is and as a value. Of
/// tables in Parquet the line is the row as JSON.
///
/// Errors: a damaged line, or `each`.
pub fn lines<'s>(
    stored: &[Stored],
    table: Lines,
    filter: Option<&'s Expr>,
    each: &'s mut Each<'s>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Hunted, Error> {
    let file = format!("{}.ndjson", table.name());
    let paths = |one: &Stored| match one {
        Stored::Results(of) => Ok(of.files(&file)),
        Stored::Lake(path) => tables::files(path, table.name()),
    };
    let paths = stored.iter().map(paths).collect::<Result<Vec<_>, Error>>()?;
    let sizes = paths.iter().flatten().filter_map(|path| path.metadata().ok());
    let total = sizes.map(|meta| meta.len()).sum();
    let mut search = Search { all: Hunted::default(), filter, each };
    let mut ticker = Ticker { done: 0, next: 0, total, progress };
    for one in stored {
        search.all.files += match one {
            Stored::Results(of) => of.each_line(&file, |line| {
                ticker.add(line.len() as u64);
                let value: Value = serde_json::from_slice(line)
                    .map_err(|error| format!("it is no JSON object: {error}"))?;
                search.line(line, &value)
            })?,
            Stored::Lake(path) => rows(path, table, &mut search, &mut ticker)?,
        };
    }
    Ok(search.all)
}

/// The rows of the files of a table.
#[cfg(feature = "parquet")]
fn rows(
    lake: &std::path::Path,
    table: Lines,
    search: &mut Search<'_>,
    ticker: &mut Ticker<'_>,
) -> Result<usize, Error> {
    let files = crate::lake::rows::files(lake, table)?;
    for path in &files {
        let is_earlier = crate::lake::rows::each_row(path, table, &mut |row| {
            search.line(row.to_string().as_bytes(), &row)
        })?;
        search.all.earlier += usize::from(is_earlier);
        ticker.add(path.metadata().map_or(0, |meta| meta.len()));
    }
    Ok(files.len())
}

/// A build without Parquet refuses such directories before.
#[cfg(not(feature = "parquet"))]
fn rows(
    lake: &std::path::Path,
    _table: Lines,
    _search: &mut Search<'_>,
    _ticker: &mut Ticker<'_>,
) -> Result<usize, Error> {
    Err(Error::new("hunt", "this build of longhaul has no Parquet").at(lake, 0))
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
