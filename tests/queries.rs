//! The queries of docs/queries.md run in DuckDB on the result of the embedded capture.
//!
//! Owns: that each is accepted and finds what is there. In: the document. Out: pass or fail;
//! skipped, visibly, where DuckDB is not installed. Never: a query of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;

use std::fs;
use std::process::Command;

#[test]
fn every_query_of_the_document_finds_something() {
    let python = common::own("target/python/bin/python");
    let there = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !there.is_ok_and(|out| out.status.success()) {
        return println!("skipped: duckdb is not installed: deploy/python-tools.sh");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (capture, out) = (at("farm.pcap.zst"), at("out"));
    assert!(common::longhaul(&["demo", "--extract", &capture]).status.success());
    let site = ["--home", "10.20.0.0/16", "--place", "39.04,-77.49", "-q"];
    let read = common::longhaul(&[&["read", &capture, "--out", &out][..], &site].concat());
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let text = fs::read_to_string(common::own("docs/queries.md")).unwrap();
    let queries: Vec<&str> =
        text.split("```sql\n").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    assert_eq!(queries.len(), 10);
    for query in queries {
        let file = at("query.sql");
        fs::write(&file, query.replace("RUN/", &format!("{out}/"))).unwrap();
        let script = common::own("tests/python/query.py");
        let ran = Command::new(&python).arg(script).arg(&file).output().unwrap();
        let (rows, cause) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success(), "{query}\n{cause}");
        assert!(!rows.trim().is_empty(), "nothing found by:\n{query}");
    }
}
