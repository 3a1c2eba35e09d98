//! Results as Parquet: `TABLE/day=YYYY-MM-DD/sensor=NAME/TABLE-HASH.parquet`.
//!
//! Owns: the way from the lines of results to tables, and back. In: results. Out: files; rows as
//! JSON. Never: a row that is no line of the results, or a line without a row.
//!
//! A file is named after the SHA-256 of the lines that it was made from: results that are converted
//! again replace their own files and no others.

pub mod cells;
pub mod columns;
pub mod files;
mod guard;
pub mod rows;

use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::emit::json_schema::Lines;
use crate::lake::files::{Files, Origin, Written};
use crate::model::Error;
use crate::results::{Results, each_line_of};
use crate::sinks::files::{Lock, make_dir};
use crate::sinks::tables;

/// Bytes between two reports of progress.
const BYTES_PER_TICK: u64 = 4 << 20;

const READ_BYTES: usize = 1 << 18;

/// The file of a result that a table is made from.
pub fn lines_of(table: Lines) -> String {
    format!("{}.ndjson", table.name())
}

/// Writes the tables of results below a directory.
///
/// Errors: a line is not as this version writes lines; a file cannot be read or written.
pub fn convert(
    results: &[Results],
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Written, Error> {
    make_dir(out)?;
    let _lock = Lock::take(out)?;
    // Tables inside a result are those of this result and of no earlier one.
    if results.iter().any(|of| of.is_at(out)) {
        tables::remove(out)?;
    }
    let names = Lines::ALL.map(lines_of);
    let sources = Lines::ALL.iter().zip(&names).flat_map(|(table, name)| {
        results.iter().flat_map(move |of| of.files(name)).map(move |path| (*table, path))
    });
    let sources: Vec<_> = sources.collect();
    let size = |path: &Path| path.metadata().map_or(0, |meta| meta.len());
    let total = sources.iter().map(|(_, path)| size(path)).sum();
    let (mut all, mut done, mut next) = (Written::default(), 0, 0);
    for (table, path) in &sources {
        let sha256 = hash_of(path)?;
        let mut files = Files::new(Origin { root: out, table: *table, sha256: &sha256 })?;
        each_line_of(path, &mut |_, line| {
            done += line.len() as u64;
            if done >= next {
                progress(done, total);
                next = done + BYTES_PER_TICK;
            }
            files.line(line)
        })?;
        let written = files.finish()?;
        all.rows += written.rows;
        all.files += written.files;
        all.beyond += written.beyond;
    }
    Ok(all)
}

fn hash_of(path: &Path) -> Result<String, Error> {
    let failed = |e: std::io::Error| Error::new("result", e.to_string()).at(path, 0);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; READ_BYTES]);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            n => hash.update(buffer.get(..n).unwrap_or_default()),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
