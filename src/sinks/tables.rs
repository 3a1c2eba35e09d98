//! Where Parquet files of results stand below a directory: `TABLE/day=…/sensor=…/NAME.parquet`.
//!
//! Owns: finding and removing them. In: a directory. Out: paths. Never: another file, or what a
//! link leads to.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::model::Error;
use crate::sinks::partial::failed;

/// The tables: the files of results whose lines have the fields of the schema.
pub const NAMES: [&str; 4] = ["sessions", "endpoints", "alerts", "incidents"];

/// Most files of a table.
const FILES_MAX: usize = 1_000_000;

/// What stands at the places of a table.
#[derive(Debug, Default)]
struct Found {
    files: Vec<PathBuf>,
    /// Links at the place of a directory or a file; they are not followed.
    links: Vec<PathBuf>,
}

/// The files of a table, by day, sensor and name.
///
/// Errors: it cannot be known whether these are all.
pub fn files(root: &Path, table: &str) -> Result<Vec<PathBuf>, Error> {
    let found = find(root, table, FILES_MAX)?;
    match found.links.first() {
        None => Ok(found.files),
        Some(link) => Err(Error::new("table", "it is a link, and links are not followed")
            .at(link, 0)
            .help("put what it leads to in its place, or give that directory of tables too")),
    }
}

fn find(root: &Path, table: &str, most: usize) -> Result<Found, Error> {
    let mut found = Found::default();
    for day in found.below(&root.join(table), "day=")? {
        for sensor in found.below(&day, "sensor=")? {
            let mut files = found.below(&sensor, table)?;
            found.files.append(&mut files);
            if found.files.len() > most {
                return Err(Error::new("table", format!("more than {most} files"))
                    .at(&root.join(table), 0)
                    .help("keep tables of fewer days or sensors in one directory"));
            }
        }
    }
    Ok(found)
}

impl Found {
    /// What a directory holds whose name begins so, in order.
    fn below(&mut self, dir: &Path, begins: &str) -> Result<Vec<PathBuf>, Error> {
        let failed = |cause: io::Error| Error::new("table", cause.to_string()).at(dir, 0);
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(cause) if is_none(&cause) => return Ok(Vec::new()),
            Err(cause) => return Err(failed(cause)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let (name, path) = (entry.file_name(), entry.path());
            // Names of directories end in `=` and a value, those of files in their form.
            let is_ours = begins.ends_with('=') || path.extension() == Some("parquet".as_ref());
            if !is_ours || !name.to_string_lossy().starts_with(begins) {
                continue;
            }
            match entry.file_type().map_err(failed)?.is_symlink() {
                true => self.links.push(path),
                false => all.push(path),
            }
        }
        all.sort();
        Ok(all)
    }
}

/// Nothing is there, or no directory.
fn is_none(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Removes the files of all tables, and the directories that are empty then.
///
/// What links lead to stays. Errors: one cannot be removed, or found.
pub fn remove(root: &Path) -> Result<(), Error> {
    for table in NAMES {
        let files = find(root, table, FILES_MAX)?.files;
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
        let found = files(root.path(), "sessions").unwrap();
        assert_eq!(found.len(), 2);
        assert!(found.first().unwrap().ends_with("day=2026-11-21/sensor=a/sessions-2.parquet"));
        remove(root.path()).unwrap();
        assert!(NAMES.iter().all(|table| files(root.path(), table).unwrap().is_empty()));
        assert!(!at("alerts").exists() && !at("sessions/day=2026-11-22").exists());
        for kept in [
            "sessions/day=2026-11-21/sensor=a/notes.txt",
            "sessions/mine.parquet",
            "sessions.ndjson",
        ] {
            assert!(at(kept).exists(), "{kept}");
        }
    }

    #[test]
    fn files_that_cannot_be_found_are_no_empty_table() {
        let root = tempfile::tempdir().unwrap();
        let sensor = root.path().join("sessions/day=2026-11-22/sensor=b");
        fs::create_dir_all(&sensor).unwrap();
        for name in ["sessions-1.parquet", "sessions-2.parquet", "sessions-3.txt"] {
            fs::write(sensor.join(name), "x").unwrap();
        }
        let refused = find(root.path(), "sessions", 1).unwrap_err();
        assert!(refused.to_string().contains("more than 1 files"), "{refused}");
        assert_eq!(find(root.path(), "sessions", 2).unwrap().files.len(), 2);
        // A directory on another disk: its rows would be missing.
        let elsewhere = tempfile::tempdir().unwrap();
        let kept = elsewhere.path().join("sessions-3.parquet");
        fs::write(&kept, "x").unwrap();
        let link = sensor.with_file_name("sensor=c");
        std::os::unix::fs::symlink(elsewhere.path(), &link).unwrap();
        let refused = files(root.path(), "sessions").unwrap_err().to_string();
        assert!(refused.contains("sensor=c") && refused.contains("a link"), "{refused}");
        remove(root.path()).unwrap();
        assert!(kept.exists() && link.is_symlink() && !sensor.join("sessions-1.parquet").exists());
        // A name that no directory can have stands for any error: root may list every directory.
        let refused = files(&root.path().join("x".repeat(300)), "sessions");
        assert!(refused.is_err());
    }
}
