//! What is written of a session is all that was found of it.
//!
//! Owns: the comparison of lines with the records that they show. In: captures. Out: lines that
//! differ. Never: looks at what a line says.

use std::path::PathBuf;
use std::sync::Mutex;

use longhaul::config::Output;
use longhaul::config::Plan;
use longhaul::emit::lines::render_session;
use longhaul::model::Record;
use longhaul::pipeline::NoProgress;
use longhaul::pipeline::run_tapped;

use crate::common::demo;
use crate::own_corpus::folders;

/// Lines of the finished records, and those that were written, both sorted.
fn shown_and_written(inputs: Vec<PathBuf>) -> (Vec<String>, Vec<String>) {
    let root = tempfile::tempdir().unwrap();
    let output = Output::Dir { path: root.path().to_owned(), force: true };
    let plan = Plan { inputs, output, quiet: true, ..Plan::default() };
    let records = Mutex::new(Vec::new());
    let tap = |record: &Record| records.lock().unwrap().push(record.clone());
    let outcome = run_tapped(&plan, &mut NoProgress, Some(&tap)).unwrap();
    let shown = |record: &Record| {
        let mut line = Vec::new();
        render_session(record, &outcome.origin, &mut line);
        String::from_utf8(line).unwrap()
    };
    let written = std::fs::read_to_string(root.path().join("sessions.ndjson")).unwrap();
    let mut written: Vec<String> = written.split_inclusive('\n').map(str::to_owned).collect();
    let mut shown: Vec<String> = records.into_inner().unwrap().iter().map(shown).collect();
    shown.sort_unstable();
    written.sort_unstable();
    (shown, written)
}

#[test]
fn a_line_has_all_values_of_its_record() {
    let (shown, written) = shown_and_written(vec![demo()]);
    assert_eq!(shown, written);
    let inbound = |line: &&String| line.contains("\"direction\":\"inbound\"");
    let with = |what: &str| written.iter().filter(inbound).filter(|l| l.contains(what)).count();
    assert!(with("\"ja4\":") > 0 && with("\"gap\":") > 0);
}

#[test]
fn lines_of_other_captures_have_all_values_of_their_records() {
    for (folder, _) in folders(&[]) {
        let (shown, written) = shown_and_written(vec![folder]);
        assert!(!shown.is_empty() && shown == written, "some lines say less than their records");
    }
}
