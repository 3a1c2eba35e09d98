//! What rules, correlations and lists cost: `cargo bench --bench detect [-- CAPTURE ...]`.
//!
//! Rules: time a record, over the demonstration or the captures named. Correlations: time an event
//! while a million groups are open. Lists: time to load ten million prefixes, and a look-up among
//! them. The least of several rounds, since other programs only add.

#![allow(
    clippy::disallowed_methods,
    missing_docs,
    clippy::expect_used,
    reason = "a bench that cannot go on ends"
)]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use longhaul::config::Plan;
use longhaul::detect::ledger::{Ledger, LedgerConfig};
use longhaul::detect::{RuleSet, SourceCatalog};
use longhaul::enrich::lists::Lists;
use longhaul::model::{Addr, Nanos, Record};
use longhaul::pipeline::{NoProgress, run_tapped};

const ROUNDS: usize = 7;

/// Open groups; and events that are timed, among the groups in an order that no cache follows. As a
/// test, which `cargo bench` is not, few: it shows that the bench runs.
fn sizes() -> (u32, u32) {
    let measures = std::env::args().any(|arg| arg == "--bench");
    if measures { (1_000_000, 200_000) } else { (1_000, 200) }
}

const COUNTING: &str = "title: c\nid: 7c2d9f0a-4a51-4c8e-9a44-2f1f8f3f6a40\nname: c\nlevel: low\n\
    correlation:\n  type: TYPE\n  rules: [a]\n  group-by: [source.ip]\n  timespan: 7d\n  \
    condition: {gte: 50FIELD}\nlonghaul:\n  id: D140\n  family: N\n  topologies: [T1]\n  ratio: 2\n  \
    message: '{value}'\n---\ntitle: a\nname: a\n\
    logsource: {product: longhaul, service: session}\ndetection:\n  s:\n    \
    source.ip|exists: true\n  condition: s\n";

fn records(paths: Vec<PathBuf>) -> Vec<Record> {
    let kept = Mutex::new(Vec::new());
    let plan = Plan { inputs: paths, ..Plan::default() };
    let tap = |record: &Record| kept.lock().expect("no panic").push(record.clone());
    run_tapped(&plan, &mut NoProgress, Some(&tap)).expect("the captures are read");
    kept.into_inner().expect("no panic")
}

fn catalogue(records: &[Record]) {
    let rules = RuleSet::embedded().expect("the embedded rules");
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let mut least = Duration::MAX;
    for _ in 0..ROUNDS {
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        for record in records {
            rules.judge(record, &catalog, (&mut alerts, &mut seen));
            alerts.clear();
            seen.clear();
        }
        least = least.min(begin.elapsed());
    }
    let each = least.as_nanos() as f64 / records.len().max(1) as f64;
    println!("rules: {each:.0} ns a record, over {} records", records.len());
}

fn correlation(kind: &str, field: &str, record: &Record) {
    let text = COUNTING.replace("TYPE", kind).replace("FIELD", field);
    let rules = RuleSet::from_text("c.yml", &text).expect("a correlation");
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let config = LedgerConfig { entries: 1 << 20, subjects: 1 << 20, groups: 4 << 30 };
    let mut ledger = Ledger::new(config);
    let mut record = record.clone();
    let start = record.end;
    let (mut worker, mut correlator) = (Duration::ZERO, Duration::ZERO);
    let (groups, events) = sizes();
    for number in 0..groups + events {
        // The first go to one group each, the others to any.
        let group =
            if number < groups { number } else { number.wrapping_mul(2_654_435_761) % groups };
        record.initiator.ip =
            Addr::from(std::net::IpAddr::from((0x0a00_0000 | group).to_be_bytes()));
        record.end = start.plus(Nanos::from_millis(u64::from(number)));
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        let begin = Instant::now();
        rules.judge(&record, &catalog, (&mut alerts, &mut seen));
        let judged = begin.elapsed();
        let begin = Instant::now();
        for seen in &seen {
            black_box(ledger.correlate(rules.correlations(), seen));
        }
        let counted = begin.elapsed();
        if number >= groups {
            worker += judged;
            correlator += counted;
        }
    }
    let each = |all: Duration| all.as_nanos() as f64 / f64::from(events);
    let (worker, correlator) = (each(worker), each(correlator));
    println!(
        "{kind}: {correlator:.0} ns an event in the correlator, {worker:.0} in the worker (the rule \
         holds for every record), {groups} groups"
    );
}

/// Addresses of a made feed: the same in each run.
fn address(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761).rotate_left(7) ^ number.wrapping_mul(40_503)
}

fn lists() {
    let (groups, lookups) = sizes();
    let prefixes = groups * 10;
    let mut text = String::from(
        "# name: feed\n# kind: prefix\n# source: made\n# licence: CC0-1.0\n# date: \
         2026-11-01\n",
    );
    for number in 0..prefixes {
        text.push_str(&format!("{}\n", std::net::Ipv4Addr::from(address(number))));
    }
    let begin = Instant::now();
    let lists = Lists::from_text("feed.txt".as_ref(), &text).expect("a list");
    let loaded = begin.elapsed();
    let mut least = Duration::MAX;
    for round in 0..ROUNDS as u32 {
        // Half of them are listed.
        let asked = |n: u32| address(n.wrapping_mul(7_919) % prefixes) ^ (n & 1) << (round + 8);
        let begin = Instant::now();
        for n in 0..lookups {
            let addr = Addr::from(std::net::IpAddr::from(asked(n).to_be_bytes()));
            black_box(lists.by_address(addr).count());
        }
        least = least.min(begin.elapsed());
    }
    let each = least.as_nanos() as f64 / f64::from(lookups);
    println!("lists: {prefixes} prefixes in {loaded:.2?}, {each:.0} ns a look-up");
}

fn main() {
    let named: Vec<PathBuf> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).map(PathBuf::from).collect();
    let demo = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/farm.pcap.zst");
    let records = records(if named.is_empty() { vec![demo] } else { named });
    catalogue(&records);
    lists();
    let Some(record) = records.first() else { return };
    correlation("event_count", "", record);
    correlation("value_count", ", field: destination.port", record);
    correlation("value_sum", ", field: source.bytes", record);
}
