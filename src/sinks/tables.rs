//! Where Parquet files of results stand below a directory: `TABLE/day=…/sensor=…/NAME.parquet`.
//!
//! Owns: finding and removing them. In: a directory. Out: paths. Never: another file, or what a
//! link leads to.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::model::Error;
use crate::sinks::partial::failed;

/// The tables: the files of results whose lines have the fields of the schema.
pub const NAMES: [&str; 4] = ["sessions", "endpoints", "alerts", "incidents"];

/// Most files of a table.
const FILES_MAX: usize = 1_000_000;

/// The files of a table, by day, sensor and name.
pub fn files(root: &Path, table: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for day in below(&root.join(table), "day=") {
        for sensor in below(&day, "sensor=") {
            let names = below(&sensor, table);
            all.extend(
                names.into_iter().filter(|path| path.extension() == Some("parquet".as_ref())),
            );
            if all.len() >= FILES_MAX {
                return all;
            }
        }
    }
    all
}

/// What a directory holds whose name begins so, in order.
fn below(dir: &Path, begins: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let ours = entries.filter(|entry| {
        let is_link = entry.file_type().is_ok_and(|of| of.is_symlink());
        !is_link && entry.file_name().to_string_lossy().starts_with(begins)
    });
    let mut all: Vec<PathBuf> = ours.map(|entry| entry.path()).collect();
    all.sort();
    all
}

/// Removes the files of all tables, and the directories that are empty then.
///
/// Errors: one cannot be removed.
pub fn remove(root: &Path) -> Result<(), Error> {
    for table in NAMES {
        let files = files(root, table);
        for path in &files {
            match fs::remove_file(path) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => {
                    return Err(failed(path, &cause));
                }
                _ => {}
            }
        }
        let around =
            |path: &PathBuf| path.ancestors().skip(1).take(3).map(Path::to_path_buf).collect();
        let mut dirs: Vec<PathBuf> =
            files.iter().flat_map(around as fn(&PathBuf) -> Vec<_>).collect();
        dirs.sort();
        dirs.dedup();
        // One that holds something else stays.
        dirs.iter().rev().for_each(|dir| drop(fs::remove_dir(dir)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tables_are_found_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for name in [
            "sessions/day=2026-11-22/sensor=b/sessions-1.parquet",
            "sessions/day=2026-11-21/sensor=a/sessions-2.parquet",
            "sessions/day=2026-11-21/sensor=a/notes.txt",
            "sessions/mine.parquet",
            "alerts/day=2026-11-21/sensor=a/alerts-2.parquet",
            "sessions.ndjson",
        ] {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "x").unwrap();
        }
        let found = files(root.path(), "sessions");
        assert_eq!(found.len(), 2);
        assert!(found.first().unwrap().ends_with("day=2026-11-21/sensor=a/sessions-2.parquet"));
        remove(root.path()).unwrap();
        assert!(NAMES.iter().all(|table| files(root.path(), table).is_empty()));
        assert!(!at("alerts").exists() && !at("sessions/day=2026-11-22").exists());
        for kept in [
            "sessions/day=2026-11-21/sensor=a/notes.txt",
            "sessions/mine.parquet",
            "sessions.ndjson",
        ] {
            assert!(at(kept).exists(), "{kept}");
        }
    }
}
