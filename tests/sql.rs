//! Rules in other tools' hands: as SQL in DuckDB they find what the engine finds, row for row, and
//! pySigma accepts every shipped file.
//!
//! Owns: the lines that both judge. In: the cases of the rules, rules made here, the demonstration.
//! Out: pass or fail; skipped, visibly, where `deploy/python-tools.sh` could not install the tools.
//! Never: an expectation that is not the engine's own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails"
)]

mod common;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use longhaul::detect::ledger::{Ledger, LedgerConfig};
use longhaul::detect::{RuleSet, SourceCatalog};
use longhaul::emit::Origin;
use longhaul::emit::lines::render_endpoint;
use longhaul::emit::lines::render_session;
use longhaul::model::site_values::SiteValues;
use longhaul::model::{Alert, Nanos, Record};
use records::endpoint_from_json;
use records::record_from_json;
use serde_json::Value;

/// A rule's UUID, and the id of what it holds for.
type Row = (String, String);

/// Python with a package, if it is installed.
fn python(package: &str) -> Option<PathBuf> {
    let python = common::own("target/python/bin/python");
    let there = Command::new(&python).args(["-c", &format!("import {package}")]).output();
    if there.is_ok_and(|out| out.status.success()) {
        return Some(python);
    }
    println!("skipped: {package} is not installed: deploy/python-tools.sh");
    None
}

/// Lines of a result, and what the engine says of each.
struct World {
    root: tempfile::TempDir,
    want: BTreeSet<Row>,
    lines: usize,
}

impl World {
    /// The cases of the shipped rules, each with an id of its own.
    fn of_cases(rules: &RuleSet) -> World {
        let root = tempfile::tempdir().unwrap();
        let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
        let origin = Origin::new("longhaul", [Path::new("a.pcap")]);
        let (mut sessions, mut endpoints) = (String::new(), String::new());
        let (mut want, mut lines) = (BTreeSet::new(), 0);
        for path in cases() {
            let object: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            // Of a correlation it is a list of events: those have a test of their own.
            let Some(object) = object.as_object() else { continue };
            let (mut alerts, mut line) = (Vec::<Alert>::new(), Vec::new());
            let to = match record_from_json(object) {
                Ok(record) => {
                    rules.evaluate(&record, &catalog, &mut alerts);
                    render_session(&record, &origin, &mut line);
                    &mut sessions
                }
                Err(_) => {
                    let row = endpoint_from_json(object).unwrap();
                    rules.evaluate_endpoint(&row, &catalog, &mut alerts);
                    render_endpoint(&row, &origin, &mut line);
                    &mut endpoints
                }
            };
            lines += 1;
            let id = format!("case{lines}");
            let mut value: Value = serde_json::from_slice(&line).unwrap();
            value["event"]["id"] = Value::from(id.as_str());
            to.push_str(&format!("{value}\n"));
            want.extend(alerts.iter().map(|alert| (alert.rule.uuid.clone(), id.clone())));
        }
        fs::write(root.path().join("run.json"), "{}").unwrap();
        fs::write(root.path().join("sessions.ndjson"), sessions).unwrap();
        fs::write(root.path().join("endpoints.ndjson"), endpoints).unwrap();
        World { root, want, lines }
    }

    /// What the rules as SQL find in the lines.
    fn found(&self, python: &Path, rules: &[&str]) -> BTreeSet<Row> {
        let mut args = vec!["rules", "sql", "--duckdb", self.root.path().to_str().unwrap()];
        args.extend(rules);
        rows(python, &args)
    }
}

/// The shipped correlations.
fn correlations() -> BTreeSet<String> {
    let rules = RuleSet::embedded().unwrap();
    let all = rules.iter().filter(|rule| rule.service() == "correlation");
    all.map(|rule| rule.info().uuid.clone()).collect()
}

/// The shipped rules on single events that have a statement: not those on what no line has.
fn sayable() -> BTreeSet<String> {
    let printed = common::longhaul(&["rules", "sql"]);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let text = String::from_utf8(printed.stdout).unwrap();
    let uuid = |line: &str| {
        let rest = line.strip_prefix("SELECT '")?;
        Some(rest.split_once("' AS \"rule.uuid\"")?.0.to_owned())
    };
    let counted = correlations();
    assert!(!text.contains("no statement here"), "each has one, or says why it has none");
    let all: BTreeSet<String> = text.lines().filter_map(uuid).collect();
    assert!(counted.is_subset(&all), "each shipped correlation has a statement");
    all.difference(&counted).cloned().collect()
}

/// The first two columns of the rows of the SQL that a command prints.
fn rows(python: &Path, args: &[&str]) -> BTreeSet<Row> {
    let pair = |mut row: Vec<String>| (row.remove(0), row.remove(0));
    whole_rows(python, args).into_iter().map(pair).collect()
}

/// The rows of the SQL that a command prints.
fn whole_rows(python: &Path, args: &[&str]) -> Vec<Vec<String>> {
    let printed = common::longhaul(args);
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), &printed.stdout).unwrap();
    let script = common::own("tests/python/query.py");
    let out = Command::new(python).arg(script).arg(file.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn cases() -> Vec<PathBuf> {
    let folders = fs::read_dir(common::own("rules/cases")).unwrap();
    let mut files: Vec<PathBuf> = folders
        .flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap())
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    files
}

#[test]
fn shipped_rules_find_the_same_in_duckdb() {
    let Some(python) = python("duckdb") else { return };
    let rules = RuleSet::embedded().unwrap();
    let world = World::of_cases(&rules);
    assert!(world.lines > 200, "{}", world.lines);
    let said = sayable();
    let want: BTreeSet<Row> =
        world.want.iter().filter(|(rule, _)| said.contains(rule)).cloned().collect();
    let fired: BTreeSet<&str> = want.iter().map(|(rule, _)| rule.as_str()).collect();
    assert!(said.len() > 50);
    assert_eq!(fired.len(), said.len(), "each rule with a statement fires on some line");
    let mut found = world.found(&python, &[]);
    // The cases are of no one's day: what they would count to together means nothing.
    found.retain(|(rule, _)| said.contains(rule));
    let missed: Vec<_> = want.difference(&found).collect();
    let more: Vec<_> = found.difference(&want).collect();
    assert!(missed.is_empty() && more.is_empty(), "missed {missed:#?}, more {more:#?}");
}

/// A selection of each kind that the shipped rules have not.
const SELECTIONS: [(&str, &str); 23] = [
    ("session", "source.ip|cidr: 10.0.0.0/8"),
    ("session", "source.ip|cidr: ['104.0.0.0/5', '2001:db8::/32']"),
    ("session", "source.ip|cidr: '::/0'"),
    ("session", "destination.ip: 10.0.0.1"),
    ("session", "destination.ip|cidr: '0.0.0.0/0'"),
    ("session", "tls.client.server_name|endswith: ['.com', '_%']"),
    ("session", "tls.client.server_name: 'RELAY-*.net.?nydesk.com'"),
    ("session", "tls.client.server_name|cased|contains: 'A'"),
    ("session", "network.application|re: '^[a-m].*desk$'"),
    ("session", "network.application|re|i: '^ANY'"),
    ("session", "longhaul.tags|all: [hosting, 'vpn:astrill']"),
    ("session", "longhaul.tags|contains: \"o'r\""),
    ("session", "destination.port: [443, 53, 5938]"),
    ("session", "network.application|neq: anydesk"),
    ("session", "longhaul.application.approved: true"),
    ("session", "dns.question.name: null"),
    ("session", "source.ip|fieldref: destination.ip"),
    ("session", "network.application|fieldref|startswith: longhaul.state"),
    ("session", "source.port|fieldref|neq: destination.port"),
    ("session", "tls.client.server_name|windash|contains: '-9'"),
    ("session", "'event.start|hour': 10"),
    ("session", "'event.start|week|gte': 47"),
    ("endpoint", "longhaul.floor_us|lt: 20000"),
];

#[test]
fn selections_of_each_kind_find_the_same_in_duckdb() {
    let Some(python) = python("duckdb") else { return };
    let root = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (number, (service, selection)) in SELECTIONS.iter().enumerate() {
        let other = match *service {
            "session" => "longhaul.subject.id|contains: '1'",
            _ => "endpoint.ip|cidr: '192.0.0.0/8'",
        };
        for (plus, condition) in
            ["s", "not s", "1 of s*", "all of them", "s or not t"].iter().enumerate()
        {
            let number = number * 10 + plus;
            text.push_str(&format!(
                "title: t{number}\nid: 00000000-0000-4000-8000-{number:012}\nlogsource: {{product: \
                 longhaul, service: {service}}}\ndetection:\n  s:\n    {selection}\n  t:\n    \
                 {other}\n  condition: {condition}\nlevel: low\n\
                 longhaul: {{id: X{number:03}, family: N, topologies: [T1], message: m, evidence: []}}\n---\n"
            ));
        }
    }
    let file = root.path().join("kinds.yml");
    fs::write(&file, text.trim_end_matches("---\n")).unwrap();
    let rules = RuleSet::load(std::slice::from_ref(&file), &[], &SiteValues::default()).unwrap();
    let world = World::of_cases(&rules);
    let found = world.found(&python, &[file.to_str().unwrap()]);
    let missed: Vec<_> = world.want.difference(&found).collect();
    let more: Vec<_> = found.difference(&world.want).collect();
    assert!(missed.is_empty() && more.is_empty(), "missed {missed:#?}, more {more:#?}");
    let of = |rule: usize| {
        let uuid = format!("00000000-0000-4000-8000-{rule:012}");
        world.want.iter().filter(|(id, _)| *id == uuid).count()
    };
    let some = (0..SELECTIONS.len()).filter(|number| of(number * 10) > 0).count();
    assert!(some >= 12, "only {some} selections hold for any line");
}

/// Each kind of correlation, with its condition, and what it groups by.
const COUNTED: [(&str, &str, &str, &str); 11] = [
    ("event_count", "any", "condition: {gte: 3}", "source.ip"),
    ("event_count", "any", "condition: {gt: 1, lte: 3}", "source.ip, destination.ip"),
    ("event_count", "web, any", "condition: {gte: 5}", "source.ip"),
    ("value_count", "any", "condition: {field: destination.port, gte: 3}", "source.ip"),
    (
        "value_count",
        "any",
        "condition: {field: [source.bytes, destination.port], eq: 4}",
        "source.ip",
    ),
    ("temporal", "web, shell, mail", "condition: {gte: 3}", "source.ip"),
    ("temporal_ordered", "web, shell, mail", "", "source.ip"),
    ("value_sum", "any", "condition: {field: source.bytes, gte: 900}", "source.ip"),
    ("value_avg", "any", "condition: {field: source.bytes, gt: 150, lt: 180}", "destination.ip"),
    (
        "value_percentile",
        "web, shell",
        "condition: {field: source.bytes, percentile: 75, gte: 250}",
        "source.ip",
    ),
    ("value_count", "any", "condition: {field: source.ip, neq: 2}", "destination.port"),
];

/// Seconds of their windows.
const SPAN_S: u64 = 40;

fn counted_rules() -> String {
    let part = |(number, (name, item)): (usize, &(&str, &str))| {
        format!(
            "title: {name}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\nlogsource: \
             {{product: longhaul, service: session}}\ndetection:\n  s:\n    {item}\n  condition: s\n---\n"
        )
    };
    let parts = [
        ("web", "destination.port: 443"),
        ("shell", "destination.port: 22"),
        ("mail", "destination.port: 25"),
        ("any", "destination.port|exists: true"),
    ];
    let one = |(number, (kind, rules, rest, by)): (usize, &(&str, &str, &str, &str))| {
        format!(
            "title: c{number}\nid: 00000000-0000-4000-9000-{number:012}\nname: c{number}\nlevel: low\n\
             correlation:\n  type: {kind}\n  rules: [{rules}]\n  group-by: [{by}]\n  timespan: {SPAN_S}s\n  \
             {rest}\nlonghaul: {{id: X{number}, family: N, topologies: [T1], ratio: 1.1, message: '{{value}}'}}\n---\n"
        )
    };
    let parts: String = parts.iter().enumerate().map(part).collect();
    let all = parts + &COUNTED.iter().enumerate().map(one).collect::<String>();
    all.trim_end_matches("---\n").to_owned()
}

/// Sessions that end a second or more apart, by their id.
fn counted_sessions() -> Vec<(u64, Record)> {
    let start = 1_790_000_000;
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let mut second = 0;
    let mut session = |number: u64| {
        second += 1 + random(12);
        let ports = [443, 22, 25, 443];
        let values = serde_json::json!({
            "source.ip": format!("10.0.0.{}", 1 + random(2)),
            "destination.ip": format!("198.51.100.{}", 1 + random(2)),
            "destination.port": ports[random(4) as usize],
            "source.bytes": 100 * (1 + random(4)),
        });
        let at = Nanos::from_secs(start + second);
        let mut id = [0; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        let record = record_from_json(values.as_object().unwrap()).unwrap();
        (second, Record { start: at, end: at, id, ..record })
    };
    (0..300).map(&mut session).collect()
}

#[test]
fn correlations_find_the_same_in_duckdb() {
    let Some(python) = python("duckdb") else { return };
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("counted.yml");
    fs::write(&file, counted_rules()).unwrap();
    let rules = RuleSet::load(std::slice::from_ref(&file), &[], &SiteValues::default())
        .unwrap_or_else(|errors| panic!("{errors:#?}"));
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let origin = Origin::new("longhaul", [Path::new("a.pcap")]);
    let room = LedgerConfig { entries: 1 << 24, subjects: 1 << 24, groups: 1 << 24 };
    let mut ledger = Ledger::new(room);
    let (mut lines, mut want, mut seconds) = (Vec::new(), BTreeSet::new(), BTreeMap::new());
    for (second, record) in counted_sessions() {
        let at = lines.len();
        render_session(&record, &origin, &mut lines);
        let line: Value = serde_json::from_slice(&lines[at..]).unwrap();
        let id = line["event"]["id"].as_str().unwrap().to_owned();
        seconds.insert(id.clone(), second);
        // A line of the session while it went on is none of its end.
        render_session(&Record { update: Some(1), ..record.clone() }, &origin, &mut lines);
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        rules.judge(&record, &catalog, (&mut alerts, &mut seen));
        for alert in seen.iter().flat_map(|seen| ledger.correlate(rules.correlations(), seen)) {
            want.insert((alert.rule.uuid.clone(), id.clone()));
        }
    }
    fs::write(root.path().join("run.json"), "{}").unwrap();
    fs::write(root.path().join("sessions.ndjson"), lines).unwrap();
    let args = ["rules", "sql", "--duckdb", root.path().to_str().unwrap(), file.to_str().unwrap()];
    // The engine fires once in a span of a group.
    let mut found = whole_rows(&python, &args);
    found.sort_by_key(|row| seconds[&row[1]]);
    let mut last: BTreeMap<(String, Vec<String>), u64> = BTreeMap::new();
    found.retain(|row| {
        let (group, second) = ((row[0].clone(), row[4..].to_vec()), seconds[&row[1]]);
        let new = last.get(&group).is_none_or(|before| second - before >= SPAN_S);
        if new {
            last.insert(group, second);
        }
        new
    });
    let found: BTreeSet<Row> =
        found.into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let missed: Vec<_> = want.difference(&found).collect();
    let more: Vec<_> = found.difference(&want).collect();
    assert!(missed.is_empty() && more.is_empty(), "missed {missed:#?}, more {more:#?}");
    let fired: BTreeSet<&String> = want.iter().map(|(rule, _)| rule).collect();
    assert_eq!(fired.len(), COUNTED.len(), "each fires somewhere: {fired:?}");
}

#[test]
fn a_run_of_the_program_finds_the_same_in_duckdb() {
    let Some(python) = python("duckdb") else { return };
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("it's a result");
    let out = out.to_str().unwrap();
    let demo = common::demo();
    let read = common::longhaul(&["read", demo.to_str().unwrap(), "--place", "IAD", "--out", out]);
    assert!(read.status.success());
    let found = rows(&python, &["rules", "sql", "--duckdb", out]);
    let mut want = std::collections::BTreeMap::<String, u64>::new();
    for line in fs::read_to_string(Path::new(out).join("alerts.ndjson")).unwrap().lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let rule = alert["rule"]["uuid"].as_str().unwrap().to_owned();
        *want.entry(rule).or_default() += alert["longhaul"]["count"].as_u64().unwrap_or(1);
    }
    let said = sayable();
    want.retain(|rule, _| said.contains(rule));
    assert!(want.len() >= 8, "{want:?}");
    let mut have = std::collections::BTreeMap::<String, u64>::new();
    // Of a correlation there is a row for each event that completes it.
    let found = found.into_iter().filter(|(rule, _)| said.contains(rule));
    found.for_each(|(rule, _)| *have.entry(rule).or_default() += 1);
    assert_eq!(have, want);
}

#[test]
fn pysigma_accepts_every_shipped_rule() {
    let Some(python) = python("sigma") else { return };
    let mut files = Vec::new();
    for folder in ["behaviour", "co_location", "network", "physics", "remote_control"] {
        let entries = fs::read_dir(common::own("rules").join(folder)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.retain(|file| file.extension().is_some_and(|e| e == "yml"));
    assert!(files.len() >= 27, "{files:?}");
    let script = common::own("tests/python/accept.py");
    let out = Command::new(python).arg(script).args(&files).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let taken: usize = String::from_utf8(out.stdout).unwrap().trim().parse().unwrap();
    assert!(taken >= RuleSet::embedded().unwrap().iter().len(), "{taken}");
}
