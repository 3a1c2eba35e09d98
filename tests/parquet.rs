//! Results as Parquet: DuckDB, pyarrow, pandas and this program read the rows that the lines are.
//!
//! Owns: the comparison of every value. In: the embedded capture, lines made here. Out: pass or
//! fail; skipped, visibly, in builds without Parquet and where the tools of Python are missing.
//! Never: an expectation that is not a line.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// Whether the program that is tested writes Parquet.
fn has_parquet() -> bool {
    if !cfg!(feature = "parquet") {
        println!("skipped: built without Parquet: cargo test --features parquet");
    }
    cfg!(feature = "parquet")
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn ran(args: &[&str]) -> Output {
    let run = common::longhaul(args);
    assert_eq!(run.status.code(), Some(0), "{args:?}: {}", said(&run));
    run
}

/// Reads the embedded capture.
fn farm(folder: &Path, name: &str, more: &[&str]) -> String {
    let capture = folder.join("farm.pcap.zst").to_str().unwrap().to_owned();
    let out = folder.join(name).to_str().unwrap().to_owned();
    if !Path::new(&capture).exists() {
        ran(&["demo", "--extract", &capture]);
    }
    let site = ["--home", "10.20.0.0/16", "--place", "39.04,-77.49", "-q", "--out", &out];
    ran(&[&["read", &capture][..], &site, more].concat());
    out
}

/// The Parquet files below a directory, as paths in it.
fn tables(root: &str) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::from(root)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "parquet") {
                found.insert(path.strip_prefix(root).unwrap().to_path_buf());
            }
        }
    }
    found
}

#[test]
fn every_value_of_the_lines_is_read_by_duckdb_pyarrow_and_pandas() {
    if !has_parquet() {
        return;
    }
    let python = common::own("target/python/bin/python");
    let there =
        Command::new(&python).args(["-c", "import duckdb, pandas, pyarrow.parquet"]).output();
    if !there.is_ok_and(|out| out.status.success()) {
        return println!("skipped: duckdb and pyarrow are not installed: deploy/python-tools.sh");
    }
    let folder = tempfile::tempdir().unwrap();
    let first = farm(folder.path(), "first", &["--updates"]);
    let second = farm(folder.path(), "second", &["--sensor", "branch-2", "--unanswered", "0"]);
    let lake = folder.path().join("lake").to_str().unwrap().to_owned();
    let run = ran(&["convert", &first, &second, "-o", &lake]);
    assert!(said(&run).contains("of Parquet below"), "{}", said(&run));
    let script = common::own("tests/python/tables.py");
    let out = Command::new(&python).arg(script).args([&lake, &first, &second]).output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let counts: Vec<u64> =
        text.lines().map(|line| line.rsplit('\t').next().unwrap().parse().unwrap()).collect();
    assert!(counts.len() == 4 && counts.iter().all(|values| *values > 500), "{text}");
}

#[test]
fn tables_follow_the_results_they_are_made_from() {
    if !has_parquet() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = farm(folder.path(), "first", &["--format", "parquet"]);
    let made = tables(&first);
    let is_table = |path: &&PathBuf| path.starts_with("sessions") || path.starts_with("alerts");
    assert!(made.iter().filter(is_table).count() >= 2, "{made:?}");
    assert!(made.iter().all(|path| {
        let text = path.to_str().unwrap();
        text.contains("/day=20") && text.contains("/sensor=longhaul/")
    }));
    // Again: the same files with the same bytes.
    let bytes = |root: &str| -> Vec<Vec<u8>> {
        tables(root).iter().map(|path| fs::read(Path::new(root).join(path)).unwrap()).collect()
    };
    let before = bytes(&first);
    ran(&["convert", &first, "-q"]);
    assert_eq!((tables(&first), bytes(&first)), (made.clone(), before));
    // Beside the tables of another run they are the same, and convert leaves those alone.
    let lake = folder.path().join("lake").to_str().unwrap().to_owned();
    let second = farm(folder.path(), "second", &["--sensor", "branch-2"]);
    ran(&["convert", &first, "-q", "-o", &lake]);
    assert_eq!(tables(&lake), made);
    ran(&["convert", &second, "-q", "-o", &lake]);
    assert_eq!(tables(&lake).len(), 2 * made.len());
    ran(&["convert", &first, "-q", "-o", &lake]);
    assert_eq!(tables(&lake).len(), 2 * made.len());
    // Results that replace others remove their tables.
    farm(folder.path(), "first", &["--force", "--sensor", "branch-3"]);
    assert_eq!(tables(&first), BTreeSet::new());
}

#[test]
fn hunting_in_tables_finds_what_hunting_in_lines_finds() {
    if !has_parquet() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = farm(folder.path(), "run", &["--updates"]);
    let lake = folder.path().join("lake").to_str().unwrap().to_owned();
    ran(&["convert", &run, "-q", "-o", &lake]);
    let of = |args: &[&str]| -> Vec<Value> {
        let out = ran(args);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut all: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        all.sort_by_cached_key(Value::to_string);
        all
    };
    for (table, filter) in [
        ("sessions", "exists event.id"),
        ("sessions", "network.direction == \"inbound\" and longhaul.near.handshake_us > 1000"),
        ("endpoints", "longhaul.hidden_leg.confidence >= 0.5"),
        ("alerts", "longhaul.evidence.samples > 0"),
        ("incidents", "exists event.id"),
    ] {
        let args = |place: &str| -> Vec<Value> {
            of(&["hunt", place, "--where", filter, "--table", table, "-q"])
        };
        let (lines, rows) = (args(&run), args(&lake));
        assert!(!lines.is_empty(), "{table} {filter}");
        assert_eq!(lines.len(), rows.len(), "{table} {filter}");
        for (line, row) in lines.iter().zip(&rows) {
            let same = line.to_string().replace(".000000000Z\"", "Z\"")
                == row.to_string().replace(".000000000Z\"", "Z\"");
            assert!(same, "{table} {filter}\n{line}\n{row}");
        }
    }
    let (lines, rows) = (of(&["hunt", &run, "-q"]), of(&["hunt", &lake, "-q"]));
    assert!(!lines.is_empty());
    assert_eq!(lines, rows, "hits of rules");
}

#[test]
fn lines_of_another_version_are_refused_with_their_place() {
    if !has_parquet() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = farm(folder.path(), "run", &[]);
    let sessions = Path::new(&run).join("sessions.ndjson");
    let lines = fs::read_to_string(&sessions).unwrap();
    let lake = folder.path().join("lake").to_str().unwrap().to_owned();
    for (from, to, cause) in [
        (
            "\"network\":{",
            "\"network\":{\"colour\":\"red\",",
            "network.colour: this version has no",
        ),
        ("\"transport\":\"", "\"transport\":7,\"x\":\"", "not of its type"),
        ("\"@timestamp\":\"", "\"@timestamp\":\"x", "is no time"),
        ("\"observer\":{\"name\":\"", "\"observer\":{\"name\":\"../", "no name of a sensor"),
    ] {
        let wrong = lines.replacen(from, to, 1);
        assert_ne!(wrong, lines, "{from}");
        fs::write(&sessions, wrong).unwrap();
        let out = common::longhaul(&["convert", &run, "-o", &lake]);
        assert_eq!(out.status.code(), Some(2), "{}", said(&out));
        assert!(said(&out).contains(cause), "{cause}: {}", said(&out));
        assert!(said(&out).contains("sessions.ndjson:1"), "{}", said(&out));
        assert_eq!(tables(&lake), BTreeSet::new(), "no table of half of the lines");
    }
    fs::write(&sessions, lines).unwrap();
    ran(&["convert", &run, "-q", "-o", &lake]);
    // A damaged table is said, too.
    let table = tables(&lake).into_iter().find(|path| path.starts_with("sessions")).unwrap();
    let bytes = fs::read(Path::new(&lake).join(&table)).unwrap();
    fs::write(Path::new(&lake).join(&table), &bytes[..bytes.len() - 9]).unwrap();
    let out = common::longhaul(&["hunt", &lake, "--where", "exists event.id"]);
    assert_eq!(out.status.code(), Some(2), "{}", said(&out));
    assert!(said(&out).contains(table.to_str().unwrap()), "{}", said(&out));
}

#[test]
fn a_build_without_parquet_says_how_to_get_it() {
    if cfg!(feature = "parquet") {
        return println!("skipped: built with Parquet: cargo test");
    }
    let folder = tempfile::tempdir().unwrap();
    let out = common::longhaul(&["convert", folder.path().to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("cargo build --release --features parquet"), "{}", said(&out));
    let demo = common::demo();
    let to = folder.path().join("out");
    let args =
        ["read", demo.to_str().unwrap(), "--out", to.to_str().unwrap(), "--format", "parquet"];
    let out = common::longhaul(&args);
    assert_eq!(out.status.code(), Some(2));
    assert!(said(&out).contains("--features parquet") && !to.exists(), "{}", said(&out));
}
