//! Correlations: agreement with another engine, refusals, and runs over captures.
//!
//! Owns: what authors of correlations rely on. In: generated events, captures made here. Out: pass
//! or fail. Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;
mod records;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use craft::{Capture, Connection, Said};
use longhaul::detect::ledger::{Ledger, LedgerConfig};
use longhaul::detect::{RuleSet, SourceCatalog};
use longhaul::model::{Nanos, Record, schema};
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;
use records::record_from_json;
use rsigma_eval::{CorrelationConfig, CorrelationEngine, JsonEvent};
use serde_json::{Value, json};

const CONFIG: LedgerConfig = LedgerConfig { entries: 1 << 24, subjects: 1 << 24, groups: 1 << 24 };

/// A rule that only correlations use.
fn part(number: usize, name: &str, item: &str) -> String {
    format!(
        "title: {name}\nid: 00000000-0000-4000-8000-{number:012}\nname: {name}\n\
         logsource: {{product: longhaul, service: session}}\n\
         detection:\n  s:\n    {item}\n  condition: s\n---\n"
    )
}

/// A correlation around its section; `rsigma.suppress` tells the other engine to fire once in a
/// span.
fn correlation(number: usize, section: &str, span: &str) -> String {
    let body: String = section.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "title: c{number}\nid: 00000000-0000-4000-9000-{number:012}\nname: c{number}\n\
         level: low\ngenerate: true\nrsigma.suppress: {span}\ncorrelation:\n{body}  \
         timespan: {span}\nlonghaul:\n  id: X{number}\n  family: N\n  topologies: [T1]\n  \
         ratio: 1.1\n  message: '{{value}}'\n---\n"
    )
}

fn parts() -> String {
    [
        ("a", "destination.port: 443"),
        ("b", "destination.port: 22"),
        ("c", "destination.port|neq: 443"),
    ]
    .iter()
    .enumerate()
    .map(|(at, (name, item))| part(at + 1, name, item))
    .collect()
}

/// Each type of correlation, ranges, aliases, and chains.
fn corpus() -> String {
    let by = "group-by: [source.ip]";
    let of = |kind: &str, rules: &str, rest: &str| {
        format!("type: {kind}\nrules: [{rules}]\n{by}\n{rest}").trim_end().to_owned()
    };
    // Without a condition it is the same for ours; the other engine takes one rule for enough.
    let all = "condition: {gte: 2}";
    let bytes = "condition:\n  field: source.bytes\n  ";
    let sections = [
        (of("event_count", "a", "condition: {gte: 3}"), "30s"),
        (of("value_count", "a, c", &format!("{bytes}gte: 2")), "20s"),
        (of("temporal", "a, b", all), "20s"),
        (of("temporal_ordered", "a, b, c", ""), "40s"),
        (of("value_sum", "c", &format!("{bytes}gte: 700")), "60s"),
        (of("value_avg", "a", &format!("{bytes}gt: 150\n  lt: 180")), "30s"),
        (of("value_percentile", "a, b", &format!("{bytes}percentile: 75\n  gte: 250")), "60s"),
        (of("event_count", "c1", "condition: {gte: 2}"), "2m"),
        (of("temporal", "c3, c", all), "1m"),
        (
            "type: temporal\nrules: [a, b]\ngroup-by: [peer]\naliases:\n  peer:\n    a: source.ip\n    \
             b: destination.ip\n\
             condition: {gte: 2}"
                .to_owned(),
            "30s",
        ),
        (of("event_count", "c", "condition: {gt: 1, lte: 3}"), "10s"),
        (of("value_count", "b", &format!("{bytes}neq: 1")), "1m"),
        (
            "type: value_count\nrules: [c]\ngroup-by: [source.ip, destination.ip]\n\
             condition: {field: [source.bytes, destination.port], eq: 3}"
                .to_owned(),
            "1h",
        ),
        (of("temporal", "a, b, c", "condition: {gte: 2}"), "5s"),
    ];
    let all = sections.iter().enumerate();
    parts() + &all.map(|(at, (text, span))| correlation(at + 1, text, span)).collect::<String>()
}

/// An event and its second.
type Event = (u64, Value);

fn event(second: u64, source: &str, destination: &str, (port, bytes): (u64, u64)) -> Event {
    let values = json!({
        "source.ip": source, "destination.ip": destination,
        "destination.port": port, "source.bytes": bytes,
    });
    (second, values)
}

fn record((second, values): &Event) -> Record {
    let record = record_from_json(values.as_object().unwrap()).unwrap();
    let at = Nanos(craft::START).plus(Nanos::from_secs(*second));
    Record { start: at, end: at, id: second_id(*second, values), ..record }
}

fn second_id(second: u64, values: &Value) -> [u8; 16] {
    longhaul::model::id::siphash_128([0; 16], format!("{second} {values}").as_bytes())
}

/// What fires, in order: (number of the event, rule).
fn ours(rules: &RuleSet, ledger: &mut Ledger, events: &[Event]) -> Vec<(usize, String)> {
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let mut fired = Vec::new();
    for (number, event) in events.iter().enumerate() {
        let (mut alerts, mut seen) = (Vec::new(), Vec::new());
        rules.judge(&record(event), &catalog, (&mut alerts, &mut seen));
        for seen in seen {
            let alerts = ledger.correlate(rules.correlations(), &seen);
            fired.extend(alerts.iter().map(|alert| (number, alert.rule.uuid.clone())));
        }
    }
    fired
}

#[test]
fn another_engine_counts_the_same() {
    let text = corpus();
    let rules = RuleSet::from_text("c.yml", &text).unwrap_or_else(|e| panic!("{e:#?}"));
    let collection = rsigma_parser::parse_sigma_yaml(text.trim_end_matches("---\n")).unwrap();
    assert!(collection.errors.is_empty(), "{:?}", collection.errors);
    let addresses = ["10.0.0.1", "10.0.0.2", "198.51.100.7"];
    let strategy =
        prop::collection::vec((0u64..25, 0usize..2, 0usize..3, 0usize..3, 1u64..4), 1..80);
    let rng = proptest::test_runner::TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = ProptestConfig::with_cases(150);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
    let seen = std::cell::RefCell::new(BTreeMap::new());
    runner
        .run(&strategy, |steps| {
            let (mut at, mut events, mut times) = (0, Vec::new(), Vec::new());
            for (pause, source, destination, port, size) in steps {
                at += pause;
                let port = [443, 22, 3389][port];
                let (source, destination) = (addresses[source], addresses[destination]);
                events.push(event(at, source, destination, (port, size * 100)));
                times.push(at as i64);
            }
            let mut have = ours(&rules, &mut Ledger::new(CONFIG), &events);
            let mut oracle = CorrelationEngine::new(CorrelationConfig::default());
            oracle.add_collection(&collection).unwrap();
            let mut want = Vec::new();
            for (number, (event, time)) in events.iter().zip(times).enumerate() {
                let flat = Value::Object(schema::flat_json(&record(event)));
                let results = oracle.process_event_at(&JsonEvent::borrow(&flat), time);
                let fired = results.iter().filter(|result| result.is_correlation());
                want.extend(fired.map(|one| (number, one.header.rule_id.clone().unwrap())));
            }
            // The other engine (0.23) does not compare a percentile with anything.
            let percentile = |(_, id): &(usize, String)| !id.ends_with("07");
            have.retain(percentile);
            want.retain(percentile);
            have.sort();
            want.sort();
            prop_assert_eq!(&have, &want, "{:#?}", events);
            have.into_iter().for_each(|(_, id)| *seen.borrow_mut().entry(id).or_insert(0) += 1);
            Ok(())
        })
        .unwrap();
    assert_eq!(seen.borrow().len(), 13, "never fired, so never compared: {:?}", seen.borrow());
}

/// An interrupted run goes on where its state was stored, from a snapshot and from a journal.
#[test]
fn a_stored_ledger_goes_on_counting() {
    let rules = RuleSet::from_text("c.yml", &corpus()).unwrap();
    let events: Vec<Event> = (0..60)
        .map(|n| {
            let port = [443, 22, 3389][n as usize % 3];
            event(n * 4, "10.0.0.1", ["10.0.0.1", "10.0.0.2"][n as usize % 2], (port, n % 5 * 100))
        })
        .collect();
    let whole = ours(&rules, &mut Ledger::new(CONFIG), &events);
    assert!(whole.len() > 10, "{whole:?}");
    for cut in [1, 7, 20, 41] {
        let mut first = Ledger::new(CONFIG);
        let mut fired = ours(&rules, &mut first, &events[..cut]);
        let (mut second, _) = Ledger::decode(CONFIG, &first.encode(1)).unwrap();
        // From here on only the journal knows.
        let more = cut + 10;
        first.begin_journal();
        fired.extend(shifted(ours(&rules, &mut first, &events[cut..more]), cut));
        let journal = first.take_journal();
        let (records, _) = longhaul::detect::ledger::records(&journal).unwrap();
        for record in records {
            second.replay(record).unwrap();
        }
        second.count_stored(rules.correlations());
        fired.extend(shifted(ours(&rules, &mut second, &events[more..]), more));
        assert_eq!(fired, whole, "cut at {cut}");
    }
}

fn shifted(fired: Vec<(usize, String)>, by: usize) -> Vec<(usize, String)> {
    fired.into_iter().map(|(number, id)| (number + by, id)).collect()
}

#[test]
fn many_groups_evict_those_of_few_events() {
    let rules = RuleSet::from_text("c.yml", &corpus()).unwrap();
    let mut ledger = Ledger::new(LedgerConfig { groups: 1 << 20, ..CONFIG });
    let count = |ledger: &mut Ledger, second: u64, source: &str| {
        let event = event(second, source, "198.51.100.7", (443, 100));
        let id = "00000000-0000-4000-9000-000000000001".to_owned();
        ours(&rules, ledger, &[event]).contains(&(0, id))
    };
    assert!(!count(&mut ledger, 0, "10.9.9.9") && !count(&mut ledger, 1, "10.9.9.9"));
    for n in 0..20_000u32 {
        let source = format!("10.{}.{}.{}", 20 + (n >> 16), n >> 8 & 255, n & 255);
        assert!(!count(&mut ledger, 2, &source));
    }
    assert!(count(&mut ledger, 3, "10.9.9.9"), "its third event: two of it were kept");
    let mut counters = longhaul::model::Counters::default();
    ledger.count(&mut counters);
    assert!(counters.get(longhaul::model::Counter::CorrelationGroupsDropped) > 1_000);
}

const GOOD: &str = "type: event_count\nrules: [a]\ngroup-by: [source.ip]\ncondition: {gte: 3}";

/// (from, to, line, words).
const REFUSED: &[(&str, &str, u32, &str)] = &[
    ("type: event_count", "type: event_cout", 16, "did you mean `event_count`?"),
    ("  type: event_count\n", "", 15, "has no `type`"),
    ("rules: [a]", "rules: [aa]", 17, "there is no rule `aa`"),
    ("rules: [a]", "rules: [a, a]", 17, "named twice"),
    ("rules: [a]", "rules: [c1]", 17, "wait for each other: c1 -> c1"),
    ("rules: [a]", "rule: [a]", 17, "did you mean `rules`?"),
    ("group-by: [source.ip]", "group-by: [source.pi]", 18, "did you mean `source.ip`?"),
    ("group-by: [source.ip]", "group-by: [longhaul.tags]", 18, "has several values"),
    ("  group-by: [source.ip]\n", "", 15, "no `group-by`"),
    ("{gte: 3}", "{gte: many}", 19, "needs a number"),
    ("{gte: 3}", "{gtr: 3}", 19, "unknown key `gtr`"),
    ("{gte: 3}", "{gte: 5, lte: 3}", 19, "can never hold"),
    ("{gte: 3}", "{lt: 1}", 19, "can never hold"),
    ("{gte: 3}", "{gte: 100000}", 19, "more are not kept of a group"),
    ("{gte: 3}", "{gte: 3, field: source.ip}", 19, "looks at no `field`"),
    ("{gte: 3}", "{gte: 3, percentile: 50}", 19, "out of place"),
    ("  condition: {gte: 3}\n", "", 15, "no `condition`"),
    ("timespan: 1h", "timespan: 90", 20, "has no unit"),
    ("timespan: 1h", "timespan: 1x", 20, "no timespan"),
    ("timespan: 1h", "timespan: 93d", 20, "out of range"),
    ("  timespan: 1h\n", "", 15, "no `timespan`"),
    ("type: event_count", "type: value_sum", 19, "needs a `field`"),
    ("timespan: 1h", "timespan: 1h\n  aliases: {who: {b: source.ip}}", 21, "not one of `rules`"),
    ("timespan: 1h", "timespan: 1h\n  aliases: {who: {a: source.ip}}", 21, "is not used"),
    ("[source.ip]", "[who]\n  aliases: {who: {a: source.pi}}", 19, "did you mean `source.ip`?"),
    ("'{value}'", "'{source.port}'", 26, "is not what the correlation groups by"),
    ("level: low\n", "", 10, "no `level`"),
    ("ratio: 1.1", "ratio: 1.1\n  at_least: 3", 26, "no `at_least`"),
    ("level: low", "level: low\nlogsource: {product: longhaul}", 14, "has no `logsource`"),
];

#[test]
fn refusals_name_line_cause_and_remedy() {
    let a = part(1, "a", "destination.port: 443");
    let good = a + &correlation(1, GOOD, "1h").replace("---\n", "");
    let good = good.replace("rsigma.suppress: 1h\n", "");
    RuleSet::from_text("c.yml", &good).unwrap_or_else(|e| panic!("{e:#?}"));
    for (from, to, line, words) in REFUSED {
        let (before, after) = good.rsplit_once(from).unwrap_or_else(|| panic!("{from}"));
        let errors = RuleSet::from_text("c.yml", &format!("{before}{to}{after}")).expect_err(to);
        let hit = errors.iter().find(|error| error.to_string().contains(words));
        let hit = hit.unwrap_or_else(|| panic!("{to}: {errors:#?}"));
        let place = hit.place.as_ref().unwrap().1;
        assert_eq!(place, *line, "{to}: {hit}");
        assert!(hit.help.is_some(), "{hit}");
    }
    // All of them at once.
    let many = good.replace("gte: 3", "gtr: 3").replace("[source.ip]", "[source.pi]");
    let many = many.replace("timespan: 1h", "timespan: 1").replace("family: N", "family: Z");
    let errors = RuleSet::from_text("c.yml", &many).unwrap_err();
    for words in ["gtr", "has no unit", "unknown family"] {
        assert!(errors.iter().any(|e| e.to_string().contains(words)), "{words}: {errors:#?}");
    }
}

#[test]
fn correlations_that_wait_for_each_other_are_refused() {
    let of = |number, rules: &str| correlation(number, &GOOD.replace("[a]", rules), "1h");
    let a = part(1, "a", "destination.port: 443");
    let text = a.clone() + &of(1, "[c2]") + &of(2, "[c3, a]") + &of(3, "[c1]");
    let errors = RuleSet::from_text("c.yml", &text).unwrap_err();
    assert_eq!(errors.len(), 3, "{errors:#?}");
    assert!(errors[0].to_string().contains("c1 -> c2 -> c3 -> c1"), "{}", errors[0]);
    let chain: String = (2..=12).map(|n| of(n, &format!("[c{}]", n - 1))).collect();
    let errors = RuleSet::from_text("c.yml", &(a + &of(1, "[a]") + &chain)).unwrap_err();
    assert!(errors.iter().all(|e| e.to_string().contains("a chain of more than 8")), "{errors:#?}");
}

/// Sessions of ten seconds each from one host to several, over some hours, and one that ends by
/// its timeout.
fn capture() -> Vec<u8> {
    let mut all = Capture::default();
    for n in 0..12u64 {
        let mut one = Connection::new(&format!("10.20.0.5:{}", 40_000 + n), "203.0.113.9:443");
        one.wait(n * 600 * craft::SECOND);
        one.open().ask(b"GET / HTTP/1.1\r\n\r\n").answer(b"HTTP/1.1 200 OK\r\n\r\n");
        all.join(one.wait(10 * craft::SECOND).close());
    }
    all.sorted().pcap()
}

/// What the manual shows.
const RULES: &str = "title: Many sessions with one server
id: 7c2d9f0a-4a51-4c8e-9a44-2f1f8f3f6a20
name: many_sessions
level: medium
correlation:
  type: event_count
  rules:
    - session_outside
  group-by:
    - source.ip
    - destination.ip
  timespan: 1h
  condition:
    gte: 5
longhaul:
  id: D120
  family: R
  topologies: [T3]
  ratio: 2
  message: '{source.ip} had {value} sessions with {destination.ip} within an hour'
---
title: A session with a server outside
name: session_outside
logsource: {product: longhaul, service: session}
detection:
  selection:
    destination.port: 443
  condition: selection
";

fn of_rule<'s>(said: &'s Said, id: &str) -> Vec<&'s Value> {
    said.alerts.iter().filter(|alert| *craft::at(alert, "rule.id") == id).collect()
}

#[test]
fn a_correlation_fires_once_in_its_span_and_says_what_it_counted() {
    let temp = tempfile::tempdir().unwrap();
    let rules = temp.path().join("many.yml");
    fs::write(&rules, RULES).unwrap();
    let rules = rules.to_str().unwrap();
    let said = craft::read(&capture(), &["--rules-only", rules]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let fired = of_rule(&said, "D120");
    assert_eq!(said.alerts.len(), 2, "the fifth, and one an hour later");
    let alert = fired[0];
    let message = "10.20.0.5 had 5 sessions with 203.0.113.9 within an hour";
    assert_eq!(alert["message"], message);
    let evidence = craft::at(alert, "longhaul.evidence");
    assert_eq!(evidence[0]["name"], "event_count");
    assert_eq!((&evidence[0]["value"], &evidence[0]["threshold"]), (&json!(5.0), &json!(5.0)));
    assert_eq!(evidence[0]["sessions"].as_array().unwrap().len(), 5);
    assert_eq!(*craft::at(alert, "source.ip"), "10.20.0.5");
    assert_eq!(*craft::at(&said.run, "counters.detect.correlation_events"), 12);
    let path = temp.path().join("a.pcap");
    fs::write(&path, capture()).unwrap();
    let of = |workers: &str| {
        craft::read_path(&path, &["--rules-only", rules, "--workers", workers]).alerts
    };
    let one = of("1");
    assert_eq!(one.len(), 2);
    assert!(one == of("2") && one == of("8"));
}

/// Of the capture in two halves, with a state between them.
#[test]
fn what_was_counted_is_kept_from_run_to_run() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("many.yml"), RULES).unwrap();
    let half = |from: u64, to: u64| {
        let mut all = Capture::default();
        for n in from..to {
            let client = format!("10.20.0.5:{}", 40_000 + n);
            let mut one = Connection::new(&client, "203.0.113.9:443");
            one.wait(n * 60 * craft::SECOND);
            all.join(one.open().ask(b"GET / HTTP/1.1\r\n\r\n").close());
        }
        all.sorted().pcap()
    };
    let (rules, state) = (at("many.yml"), at("state"));
    let args = ["--rules-only", &rules, "--state", &state];
    let first = craft::read(&half(0, 3), &args);
    assert!(first.code == Some(0) && first.alerts.is_empty(), "{}", first.stderr);
    let second = craft::read(&half(3, 6), &args);
    assert_eq!(of_rule(&second, "D120").len(), 1, "{}", second.stderr);
    let third = craft::read(&half(6, 9), &args);
    assert!(third.alerts.is_empty(), "once in its span");
}

/// `generate` of Sigma: rules of the same file are silent without it, others are as they were.
#[test]
fn rules_that_are_counted_may_still_speak() {
    let temp = tempfile::tempdir().unwrap();
    let at = |name: &str| temp.path().join(name);
    let alone = "title: one\nid: 7c2d9f0a-4a51-4c8e-9a44-2f1f8f3f6a21\nname: session_outside\n\
                 level: low\nlogsource: {product: longhaul, service: session}\ndetection:\n  \
                 selection:\n    destination.port: 443\n  condition: selection\nlonghaul:\n  \
                 id: D121\n  family: R\n  topologies: [T3]\n  ratio: 2\n  message: 'one'\n  \
                 evidence: []\n";
    let (counting, _) = RULES.split_once("---\n").unwrap();
    let counts = |files: &[(&str, String)]| {
        let dir = at("rules");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        files.iter().for_each(|(name, text)| fs::write(dir.join(name), text).unwrap());
        let said = craft::read(&capture(), &["--rules-only", dir.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        (of_rule(&said, "D120").len(), of_rule(&said, "D121").len())
    };
    assert_eq!(counts(&[("a.yml", format!("{counting}---\n{alone}"))]), (2, 0));
    let generate = format!("generate: true\n{counting}---\n{alone}");
    assert_eq!(counts(&[("a.yml", generate)]), (2, 12));
    let elsewhere = [("a.yml", counting.to_owned()), ("b.yml", alone.to_owned())];
    assert_eq!(counts(&elsewhere), (2, 12), "a rule of another file is not silenced");
}

#[test]
fn the_manual_shows_this_correlation() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/README.md"));
    assert!(text.unwrap().contains(RULES), "rules/README.md shows what is tested here");
}
