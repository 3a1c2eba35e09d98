//! Filters and rules over what finished runs left.
//!
//! Owns: the way over the lines of one or many results. In: results, a filter. Out: lines. Never: a
//! line left out silently: one that is damaged ends the search with its file and number.

pub mod expression;
pub mod judge;
pub mod parse;

use serde_json::Value;

use crate::hunt::expression::Expr;
use crate::model::Error;
use crate::results::Results;

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
}

/// What is done with a line, as it is and as a value.
pub type Each<'e> = dyn FnMut(&[u8], &Value) -> Result<(), String> + 'e;

/// Calls `each` with every line of a file of all results that the filter holds for, as it is and
/// as a value.
///
/// Errors: a damaged line, or `each`.
pub fn lines(
    results: &[Results],
    file: &str,
    filter: Option<&Expr>,
    each: &mut Each<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Hunted, Error> {
    let paths = results.iter().flat_map(|of| of.files(file));
    let total = paths.filter_map(|path| path.metadata().ok()).map(|meta| meta.len()).sum();
    let (mut all, mut done, mut next) = (Hunted::default(), 0, 0);
    for of in results {
        all.files += of.each_line(file, |line| {
            done += line.len() as u64;
            if done >= next {
                progress(done, total);
                next = done + BYTES_PER_TICK;
            }
            let value: Value = serde_json::from_slice(line)
                .map_err(|error| format!("it is no JSON object: {error}"))?;
            all.lines += 1;
            if filter.is_none_or(|filter| filter.holds(&value)) {
                all.found += 1;
                each(line, &value)?;
            }
            Ok(())
        })?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests;
