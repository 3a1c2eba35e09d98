//! Every field has one type, in every line of every file.
//!
//! Owns: the index template in deploy/elasticsearch and what it takes; JSON Schema of each file. In:
//! lines of the project's own captures, of all rule cases, and of shared captures where they are.
//! Out: each line that a store with that template, or with none, would refuse, or that its schema
//! does. Never: knows a field by itself.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test that cannot go on fails"
)]

mod common;
mod craft;
#[allow(dead_code, reason = "the shared module serves several tests")]
mod own_corpus;
mod records;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use craft::Connection;
use longhaul::detect::RuleSet;
use longhaul::emit::Origin;
use longhaul::emit::Store as TemplateOf;
use longhaul::emit::health::render_health;
use longhaul::emit::index_template;
use longhaul::emit::lines::render_alert;
use longhaul::emit::lines::render_endpoint;
use longhaul::emit::lines::render_session;
use longhaul::model::Counter;
use longhaul::model::Counters;
use longhaul::model::Nanos;
use longhaul::model::finding::Advice;
use records::endpoint_from_json;
use records::record_from_json;
use serde_json::Value;
use serde_json::json;

const TEMPLATE: &str = "deploy/elasticsearch/longhaul-template.json";

#[test]
fn the_index_template_is_current() {
    let mut want = serde_json::to_string_pretty(&index_template(TemplateOf::Elastic)).unwrap();
    want.push('\n');
    let path = common::own(TEMPLATE);
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &want).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "{TEMPLATE} is old: LONGHAUL_BLESS=1 cargo test --test types");
}

/// What JSON calls it, whole numbers and others apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    Flag,
    Whole,
    Fraction,
    Text,
    Object,
    List,
}

impl Shape {
    fn of(value: &Value) -> Option<Shape> {
        match value {
            Value::Null => None,
            Value::Bool(_) => Some(Shape::Flag),
            Value::Number(number) if number.is_f64() => Some(Shape::Fraction),
            Value::Number(_) => Some(Shape::Whole),
            Value::String(_) => Some(Shape::Text),
            Value::Array(_) => Some(Shape::List),
            Value::Object(_) => Some(Shape::Object),
        }
    }
}

/// A store that knows the template, and remembers what each field was first.
struct Store {
    mappings: Value,
    /// Shape of each field, and whether its text looks like a date.
    first: BTreeMap<String, (Shape, String)>,
    /// JSON Schema by `event.dataset`, as the program prints it.
    schemas: BTreeMap<&'static str, jsonschema::Validator>,
    lines: usize,
    refused: Vec<String>,
}

/// Which file a line belongs to, and so which schema it keeps to.
const DATASETS: [(&str, &str); 4] = [
    ("longhaul.session", "sessions"),
    ("longhaul.endpoint", "endpoints"),
    ("longhaul.alert", "alerts"),
    ("longhaul.incident", "incidents"),
];

fn schema(of: Option<&str>) -> jsonschema::Validator {
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["fields", "--json-schema"])
        .args(of)
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let schema: Value = serde_json::from_slice(&run.stdout).unwrap();
    jsonschema::meta::validate(&schema).unwrap_or_else(|e| panic!("no schema: {e}"));
    jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
}

impl Store {
    fn new() -> Store {
        let text = std::fs::read_to_string(common::own(TEMPLATE)).unwrap();
        let template: Value = serde_json::from_str(&text).unwrap();
        let mappings = template["template"]["mappings"].clone();
        let schemas = DATASETS.map(|(dataset, file)| (dataset, schema(Some(file)))).into();
        Store { mappings, first: BTreeMap::new(), schemas, lines: 0, refused: Vec::new() }
    }

    fn take(&mut self, from: &str, line: &Value) {
        self.lines += 1;
        let mapping = self.mappings.clone();
        let mut why = Vec::new();
        self.look("", line, &mapping, &mut why);
        let dataset = line["event"]["dataset"].as_str().unwrap_or_default();
        if let Some(schema) = self.schemas.get(dataset) {
            let wrong = schema.iter_errors(line).take(3);
            why.extend(wrong.map(|e| format!("schema: {e} at {}", e.instance_path())));
        } else if dataset != "longhaul.health" {
            why.push(format!("no schema for {dataset:?}"));
        }
        for always in ["observer", "event", "ecs", "@timestamp"] {
            if line.get(always).is_none() {
                why.push(format!("no {always}"));
            }
        }
        self.refused.extend(why.into_iter().map(|why| format!("{from}: {why}")));
    }

    fn look(&mut self, name: &str, value: &Value, mapping: &Value, why: &mut Vec<String>) {
        let Some(shape) = Shape::of(value) else { return why.push(format!("{name} is null")) };
        let first = self.first.entry(name.to_owned()).or_insert((shape, value.to_string()));
        if first.0 != shape {
            why.push(format!("{name} was {first:?}, and is {value}"));
        }
        match value {
            Value::Object(members) if mapping["type"] != "geo_point" => {
                for (key, inner) in members {
                    let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                    self.look(&name, inner, &mapping["properties"][key], why);
                }
            }
            Value::Array(all) => {
                for one in all {
                    self.look(&format!("{name}[]"), one, mapping, why);
                }
            }
            // Counters grow with the program: the template knows them by patterns.
            leaf if name.starts_with("longhaul.health.") || name == "longhaul.schema_version" => {
                if !leaf.is_number() {
                    why.push(format!("{name} is {leaf}"));
                }
            }
            leaf => {
                let fits = mapping["type"].as_str().is_some_and(|kind| fits(leaf, kind));
                if !fits {
                    why.push(format!("{name} is {leaf}, mapped as {}", mapping["type"]));
                }
            }
        }
    }
}

/// Whether a store takes the value for that type as it stands, without turning one type into
/// another.
fn fits(value: &Value, kind: &str) -> bool {
    let text = value.as_str().unwrap_or_default();
    match kind {
        "long" => value.as_i64().is_some(),
        "double" => value.is_f64() && value.as_f64().is_some_and(f64::is_finite),
        "boolean" => value.is_boolean(),
        "ip" => text.parse::<IpAddr>().is_ok(),
        "date" => is_date(text),
        "geo_point" => {
            let within = |key: &str, most| value[key].as_f64().is_some_and(|d| d.abs() <= most);
            value.as_object().is_some_and(|o| o.len() == 2)
                && within("lat", 90.0)
                && within("lon", 180.0)
        }
        // A store without the template makes dates of texts that look like some.
        "keyword" | "match_only_text" => value.is_string() && !is_date(text),
        _ => false,
    }
}

/// `YYYY-MM-DD`, and a time of day in UTC behind it or not.
fn is_date(text: &str) -> bool {
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let time = time.strip_suffix('Z').unwrap_or_default();
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<Option<u32>> = time.split(':').map(|part| part.parse().ok()).collect();
    let clock = matches!(parts[..], [Some(0..24), Some(0..60), Some(0..60)]);
    Nanos::from_date(day).is_some()
        && clock
        && (1..=9).contains(&fraction.len())
        && fraction.bytes().all(|b| b.is_ascii_digit())
}

/// `longhaul read` of these inputs, every line given to the store.
fn read_into(store: &mut Store, inputs: &[PathBuf], args: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .arg("read")
        .args(inputs)
        .arg("--out")
        .arg(out.path())
        .args(["--quiet", "--workers", "1"])
        .args(args)
        .output()
        .unwrap();
    assert!(run.status.success(), "{inputs:?}: {}", String::from_utf8_lossy(&run.stderr));
    for name in ["sessions", "endpoints", "alerts", "incidents"] {
        let lines = craft::values(&out.path().join(format!("{name}.ndjson")));
        for line in lines {
            assert!(line["related"]["ip"].is_array(), "{name}: {line}");
            store.take(&format!("{inputs:?} {name}"), &line);
        }
    }
}

fn conclude(store: &Store, least: usize) {
    let shown: Vec<&String> = store.refused.iter().take(20).collect();
    assert!(store.refused.is_empty(), "{} refused: {shown:#?}", store.refused.len());
    assert!(store.lines >= least, "{} lines are too few to say so", store.lines);
}

/// What the demonstration does not have: cleartext, a VLAN, addresses of both versions.
fn made() -> Vec<u8> {
    let mut capture = craft::Capture::default();
    let http = b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: 5\r\n\r\n";
    let mut web = Connection::new("10.0.0.5:40000", "203.0.113.9:80");
    web.open().ask(http).answer(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n");
    capture.join(web.close());
    for port in 1..=40 {
        let mut scan = Connection::new("10.0.0.9:50000", &format!("203.0.113.7:{port}"));
        scan.up(craft::SYN, b"");
        capture.join(scan.capture);
    }
    let mut six = Connection::new("[2001:db8::1]:40001", "[2001:db8::2]:443");
    six.open().ask(&craft::client_hello("a.example")).answer(&craft::server_hello());
    capture.join(six.close());
    let question = craft::udp(
        "10.0.0.5:5000".parse().unwrap(),
        "192.0.2.53:53".parse().unwrap(),
        &craft::dns_query(7, "client.astrill.com", 1),
    );
    capture.add(craft::START, question);
    let question = craft::udp(
        "10.0.0.6:5001".parse().unwrap(),
        "192.0.2.53:53".parse().unwrap(),
        &craft::dns_query(8, "b.example", 1),
    );
    let mut tagged = question;
    tagged.splice(12..12, [0x81, 0, 0, 101]);
    capture.add(craft::START + craft::SECOND, tagged);
    capture.sorted().pcap()
}

#[test]
fn every_line_of_our_own_captures_fits_the_template() {
    let mut store = Store::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("made.pcap");
    std::fs::write(&file, made()).unwrap();
    let place = ["--place", "39.04,-77.49", "--home", "10.0.0.0/8"];
    read_into(&mut store, &[common::demo()], &place);
    let home = ["--sensor", "edge-1", "--home", "10.0.0.0/8", "--unanswered", "5"];
    read_into(&mut store, &[file], &home);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/capture");
    read_into(&mut store, &[corpus], &[]);
    // An alert of numbers and one of texts were among them, and an incident.
    let summed = "longhaul.summary.sessions";
    for name in ["longhaul.evidence[].value", "longhaul.evidence[].text", "longhaul.score", summed]
    {
        assert!(store.first.contains_key(name), "{name}");
    }
    let texts = store.first.iter().filter(|(name, _)| *name == "network.vlan.id");
    assert!(texts.count() == 1, "no VLAN was read");
    conclude(&store, 120);
}

#[test]
fn every_line_of_the_rule_cases_fits_the_template() {
    let mut store = Store::new();
    let rules = RuleSet::embedded().unwrap();
    let catalog = records::catalog();
    let origin = Origin::new("longhaul", [Path::new("a.pcap")]);
    let mut kinds = std::collections::BTreeSet::new();
    for path in cases() {
        let text = std::fs::read_to_string(&path).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        // Of a correlation it is a list of events.
        let events = case.as_array().cloned().unwrap_or_else(|| vec![case]);
        let (mut alerts, mut line) = (Vec::new(), Vec::new());
        for event in &events {
            let object = event.as_object().unwrap();
            if let Ok(record) = record_from_json(object) {
                rules.evaluate(&record, &catalog, &mut alerts);
                render_session(&record, &origin, &mut line);
                continue;
            }
            let row = endpoint_from_json(object).unwrap_or_else(|why| panic!("{path:?}: {why}"));
            rules.evaluate_endpoint(&row, &catalog, &mut alerts);
            render_endpoint(&row, &origin, &mut line);
        }
        for alert in &alerts {
            kinds.insert(alert.rule.id.clone());
            render_alert(alert, Advice::default(), &origin, &mut line);
        }
        for line in line.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let value: Value = serde_json::from_slice(line).unwrap();
            store.take(&path.display().to_string(), &value);
        }
    }
    // Correlations judge no single line.
    let single = rules.iter().filter(|rule| rule.service() != "correlation");
    let all: std::collections::BTreeSet<String> =
        single.map(|rule| rule.info().id.clone()).collect();
    assert_eq!(kinds, all, "a rule without an alert here");
    conclude(&store, 130);
}

fn cases() -> Vec<PathBuf> {
    let folder = common::own("rules/cases");
    let folders = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.push(common::own("tests/data/session_every_field.json"));
    paths.sort();
    paths
}

#[test]
fn every_line_of_health_fits_the_template() {
    let mut store = Store::new();
    let origin = Origin::new("longhaul", []);
    let mut counters = Counters::default();
    for step in 0..3 {
        let mut line = Vec::new();
        let span = (Nanos::from_secs(60 * step), Nanos::from_secs(60 * step + 60));
        render_health(span, &counters, &[], &origin, &mut line);
        store.take("health", &serde_json::from_slice(&line).unwrap());
        Counter::ALL.iter().for_each(|counter| counters.add(*counter, 1 + step));
    }
    conclude(&store, 3);
}

#[test]
fn the_template_check_of_this_test_rejects_wrong_types() {
    let good = json!({"@timestamp": "2026-01-01T00:00:00.000000000Z", "ecs": {"version": "8.17.0"},
        "event": {"kind": "event", "duration": 5, "dataset": "longhaul.health"},
        "observer": {"name": "x"}});
    let mut store = Store::new();
    store.take("good", &good);
    assert!(store.refused.is_empty(), "{:?}", store.refused);
    for (pointer, value) in [
        ("/event/duration", json!(5.0)),
        ("/event/duration", json!("5")),
        ("/event/duration", json!(u64::MAX)),
        ("/event/kind", json!({"a": 1})),
        ("/event/kind", json!("2026-01-01")),
        ("/event/kind", json!(["event"])),
        ("/observer/name", json!(7)),
        ("/@timestamp", json!("2026-02-30T00:00:00Z")),
        ("/@timestamp", json!("soon")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        let before = store.refused.len();
        store.take("bad", &bad);
        assert!(store.refused.len() > before, "{bad}");
    }
    let mut unknown = good;
    unknown["longhaul"] = json!({"nobody_wrote_this_down": 1});
    let before = store.refused.len();
    store.take("unknown", &unknown);
    assert!(store.refused.len() > before);
}

#[test]
fn every_line_of_other_captures_fits_the_template() {
    let mut store = Store::new();
    let made = own_corpus::folder().to_owned();
    let shared = ["pcaps", "lab", "lab-m", "rmm", "cases"].into_iter().filter_map(common::find);
    for folder in std::iter::once(made).chain(shared) {
        read_into(&mut store, &[folder], &["--place", "SEA"]);
    }
    conclude(&store, 10);
}

/// A line of the demonstration, for each file, with what a line must not be.
#[test]
fn a_schema_rejects_unknown_fields() {
    let out = tempfile::tempdir().unwrap();
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .arg("read")
        .arg(common::demo())
        .arg("--out")
        .arg(out.path())
        .args(["--quiet", "--place", "39.04,-77.49"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let any = schema(None);
    for (dataset, file) in DATASETS {
        let lines = craft::values(&out.path().join(format!("{file}.ndjson")));
        let good = lines.first().unwrap_or_else(|| panic!("no line of {file}"));
        assert_eq!(good["event"]["dataset"], dataset);
        let schema = schema(Some(file));
        let refuses = |pointer: &str, change: &dyn Fn(&mut Value)| {
            let mut bad = good.clone();
            change(bad.pointer_mut(pointer).unwrap_or_else(|| panic!("{file}: {pointer}")));
            assert!(!schema.is_valid(&bad) && !any.is_valid(&bad), "{file}: {pointer}: {bad}");
        };
        assert!(schema.is_valid(good) && any.is_valid(good), "{file}: {good}");
        refuses("", &|line| line["nobody_wrote_this_down"] = json!(1));
        refuses("/event", &|event| event["nobody"] = json!("x"));
        refuses("/longhaul", &|own| own["nobody"] = json!("x"));
        refuses("/@timestamp", &|time| *time = json!("soon"));
        refuses("/event/start", &|time| *time = json!(5));
        refuses("/event/kind", &|kind| *kind = json!("metric"));
        refuses("/related/ip/0", &|ip| *ip = json!("300.0.0.1"));
        refuses("/observer", &|observer| drop(observer.as_object_mut().unwrap().remove("name")));
        refuses("/event", &|event| drop(event.as_object_mut().unwrap().remove("id")));
    }
}
