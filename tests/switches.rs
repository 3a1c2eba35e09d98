//! Rules that are switched on and off: the others say what they said before.
//!
//! Owns: the sessions and endpoints of all cases, judged with one rule less. In: the embedded rules and their cases. Out:
//! assertions.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;
mod records;

use std::collections::BTreeSet;
use std::path::Path;

use longhaul::detect::{RuleSet, Switches};
use longhaul::model::endpoint::EndpointRow;
use longhaul::model::{Alert, Record};
use records::{endpoint_from_json, record_from_json};
use serde_json::Value;

/// What the cases of single events are about.
struct Cases {
    sessions: Vec<Record>,
    endpoints: Vec<EndpointRow>,
}

fn cases() -> Cases {
    let mut cases = Cases { sessions: Vec::new(), endpoints: Vec::new() };
    let mut files = Vec::new();
    for folder in std::fs::read_dir(common::own("rules/cases")).unwrap() {
        let entries = std::fs::read_dir(folder.unwrap().path()).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    for file in files {
        add(&mut cases, &file);
    }
    cases
}

fn add(cases: &mut Cases, file: &Path) {
    let case: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    // Of a correlation it is a list of events.
    let Some(object) = case.as_object() else { return };
    match record_from_json(object) {
        Ok(record) => cases.sessions.push(record),
        Err(_) => cases.endpoints.push(endpoint_from_json(object).unwrap()),
    }
}

/// Number and id of each rule that fires, by case.
fn fired(rules: &RuleSet, cases: &Cases) -> BTreeSet<(usize, String, String)> {
    let catalog = records::catalog();
    let mut fired = BTreeSet::new();
    let mut alerts = Vec::new();
    let mut note = |at: usize, alerts: &mut Vec<Alert>| {
        for alert in alerts.drain(..) {
            fired.insert((at, alert.rule.id.clone(), alert.rule.uuid.clone()));
        }
    };
    for (at, record) in cases.sessions.iter().enumerate() {
        rules.evaluate(record, &catalog, &mut alerts);
        note(at, &mut alerts);
    }
    for (at, row) in cases.endpoints.iter().enumerate() {
        rules.evaluate_endpoint(row, &catalog, &mut alerts);
        note(cases.sessions.len() + at, &mut alerts);
    }
    fired
}

fn switched(enable: &[String], disable: &[String]) -> RuleSet {
    RuleSet::embedded().unwrap().switched(Switches { enable, disable }).unwrap()
}

#[test]
fn a_rule_that_is_off_takes_no_other_with_it() {
    let cases = cases();
    let all = RuleSet::embedded().unwrap();
    let numbers: BTreeSet<String> = all.iter().map(|rule| rule.info().id.clone()).collect();
    let enable: Vec<String> = numbers.iter().cloned().collect();
    let usual = fired(&switched(&enable, &[]), &cases);
    let firing: BTreeSet<&String> = usual.iter().map(|(_, number, _)| number).collect();
    assert!(firing.len() > 35, "{firing:?}");
    for off in &numbers {
        let left = fired(&switched(&enable, std::slice::from_ref(off)), &cases);
        let want = usual.iter().filter(|(_, number, _)| number != off).cloned().collect();
        assert!(left == want, "without {off}: {:?}", left.symmetric_difference(&want));
    }
}

#[test]
fn what_is_on_by_default_fires_by_default() {
    let cases = cases();
    let all = RuleSet::embedded().unwrap();
    let off = |number: &str| number == "D31";
    let usual = fired(&switched(&[], &[]), &cases);
    let want: BTreeSet<_> =
        fired(&all, &cases).into_iter().filter(|(_, number, _)| !off(number)).collect();
    assert!(usual == want, "{:?}", usual.symmetric_difference(&want));
}
