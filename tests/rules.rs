//! Rules: the cases, the reference, the refusals, and agreement with another Sigma engine.
//!
//! Owns: what rule authors rely on. In: `rules/`, `docs/fields.md`, generated events. Out: pass or
//! fail.
//! Never: needs captures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod records;

use std::path::Path;

use longhaul::detect::RuleSet;
use longhaul::detect::SourceCatalog;
use longhaul::detect::cases;
use longhaul::model::Alert;
use longhaul::model::Nanos;
use longhaul::model::Peer;
use longhaul::model::Record;
use longhaul::model::SourceInfo;
use longhaul::model::interaction::{Class, Echo, Interaction, InteractionSums, Reply, Stalls};
use longhaul::model::remote_control::RemoteControl;
use longhaul::model::schema;
use longhaul::model::site_values::SiteValues;
use proptest::prelude::*;
use proptest::test_runner::RngAlgorithm;
use records::record_from_json;
use rsigma_eval::JsonEvent;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn catalog(lists: &[SourceInfo]) -> SourceCatalog {
    SourceCatalog { lists: lists.iter().cloned().map(Into::into).collect(), place: None, asn: None }
}

fn fire(rules: &RuleSet, record: &Record) -> Vec<Alert> {
    let mut alerts = Vec::new();
    rules.evaluate(record, &catalog(&[]), &mut alerts);
    alerts
}

#[test]
fn every_case_passes() {
    let results = cases::run(&root().join("rules"), &SiteValues::default()).unwrap();
    let failed: Vec<_> = results.iter().filter(|case| case.failure.is_some()).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(results.len() >= 14);
}

#[test]
fn embedded_and_directory_are_the_same_rules() {
    let embedded = RuleSet::embedded().unwrap();
    let loaded = RuleSet::load_dir(&root().join("rules")).unwrap();
    assert_eq!(embedded.infos()[0].sha256, loaded.infos()[0].sha256);
    assert_eq!(embedded.infos()[0].count, loaded.infos()[0].count);
    let numbers: Vec<&str> = embedded.iter().map(|rule| rule.info().id.as_str()).collect();
    let want = "D01 D01 D02 D03 D03 D04 D05 D05 D05 D05 D05 D06 D06 D07 D08 D08 D08 D09 D10 D10 \
                D10 D10 D11 D11 D12 D12 D12 D12 D13 D14 D14 D14 D15 D16 D16 D17 D17 D18 D18 D18 D18 D19 D20 \
                D20 D21 D22 D22 D23 D23 D23 D24 D24 D25 D25 D26 D27 D28 D29 D30 D31 D32 D33 D34 D35 D36 D37 D40 \
                D41 D42 D43 D43 D44 D45 D46";
    assert_eq!(numbers.join(" "), want);
}

#[test]
fn the_field_reference_is_current() {
    let path = root().join("docs/fields.md");
    let want = schema::reference_markdown();
    if std::env::var_os("LONGHAUL_BLESS").is_some() {
        std::fs::write(&path, &want).unwrap();
    }
    let have = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(have == want, "docs/fields.md is old: LONGHAUL_BLESS=1 cargo test --test rules");
}

fn case(text: &str) -> Record {
    let path = root().join("rules/cases").join(text);
    let object: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    record_from_json(object.as_object().unwrap()).unwrap()
}

#[test]
fn an_alert_carries_numbers_sources_and_places() {
    let record = case("d01/firing.high.json");
    let list = |built_at| SourceInfo {
        kind: "list",
        name: "astrill-prefixes".into(),
        version: "".into(),
        built_at: Some(built_at),
    };
    let rules = RuleSet::embedded().unwrap();
    let mut alerts = Vec::new();
    let day = 86_400;
    let fresh = [list(Nanos(record.end.0 - Nanos::from_secs(30 * day).0))];
    rules.evaluate(&record, &catalog(&fresh), &mut alerts);
    let old = [list(Nanos(record.end.0 - Nanos::from_secs(30 * day).0 - 1))];
    rules.evaluate(&record, &catalog(&old), &mut alerts);
    let [fresh, old] = alerts.as_slice() else { panic!("{alerts:#?}") };
    assert!((old.ratio * old.ratio - fresh.ratio).abs() < 1e-9, "half of its evidence is left");
    assert!(old.lowered[0].starts_with("old lists: ratio"), "{:?}", old.lowered);
    assert_eq!(
        fresh.message,
        "104.140.119.10, an exit of Astrill VPN, held a session with 10.0.0.1 for 75.0 s"
    );
    assert_eq!(&*fresh.subject, "10.0.0.1");
    assert_eq!(fresh.rule.techniques, ["T1090.003", "T1133"]);
    let sources: Vec<(&str, &str)> = fresh.sources.iter().map(|s| (s.kind, &*s.name)).collect();
    assert_eq!(sources, [("list", "astrill-prefixes"), ("rules", "embedded")]);
    // Every source tells its build, and its age by a date: of a rule set, its newest rule's.
    assert!(fresh.sources.iter().all(|source| source.built_at.is_some()), "{:?}", fresh.sources);
    let evidence: Vec<(&str, &str, &str, Option<f64>)> = fresh
        .evidence
        .iter()
        .map(|e| (e.name.as_str(), e.value.as_str(), e.unit.as_str(), e.threshold))
        .collect();
    assert_eq!(
        evidence,
        [
            ("event.duration", "75000000000", "ns", Some(6e10)),
            ("source.as.organization.name", "Example Hosting", "", None),
            ("longhaul.near.handshake_us", "182340.500", "us", None),
            ("longhaul.tags", "vpn:astrill (source.ip in case)", "", None),
        ]
    );
    let context: Map<String, Value> = fresh
        .context
        .iter()
        .map(|(name, json)| (name.clone(), serde_json::from_str(json).unwrap()))
        .collect();
    assert_eq!(context["source.ip"], json!("104.140.119.10"));
    assert_eq!(context["source.as.number"], json!(64500));
    assert_eq!(context["longhaul.tags"], json!(["hosting", "vpn:astrill"]));
}

/// A rule file around a detection section.
fn rule(number: usize, detection: &str) -> String {
    let body: String = detection.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "title: rule {number}\nid: 00000000-0000-4000-8000-{number:012}\nname: test\n\
         logsource: {{product: longhaul, service: session}}\ndetection:\n{body}level: low\n\
         longhaul:\n  id: X{number}\n  family: N\n  topologies: [T1]\n  ratio: 1.1\n  \
         message: 'fired'\n  evidence: []\n"
    )
}

/// (detection, line of the error, words of the error).
const REFUSED: &[(&str, u32, &str)] = &[
    ("s:\n  network.directon: inbound\ncondition: s", 7, "did you mean `network.direction`?"),
    ("s:\n  network.direction: inbond\ncondition: s", 7, "did you mean `inbound`?"),
    ("s:\n  source.ip: 10.0.0.1\n  tls.version|lt: 3\ncondition: s", 8, "need a number"),
    ("s:\n  event.duration|contains: 3\ncondition: s", 7, "need a text"),
    ("s:\n  event.duration|gte: long\ncondition: s", 7, "`long` is no number"),
    ("s:\n  source.port:\n    - 22\n    - ssh\ncondition: s", 9, "`ssh` does not fit"),
    ("s:\n  tls.version: 1.3\ncondition: s", 7, "quotes"),
    ("s:\n  source.ip: 10.0.0\ncondition: s", 7, "write an address"),
    ("s:\n  source.ip|cidr:\n  - 10.0.0.0/8\n  - 10.0.0.0\ncondition: s", 9, "no prefix"),
    ("s:\n  tls.resumed: maybe\ncondition: s", 7, "`true` or `false`"),
    ("s:\n  tls.client.server_name|base64: a\ncondition: s", 7, "`base64` is not supported"),
    ("s:\n  tls.client.server_name|wide: a\ncondition: s", 7, "fields hold decoded values"),
    ("s:\n  tls.client.server_name|utf16be|contains: a\ncondition: s", 7, "not supported"),
    ("s:\n  tls.client.server_name|foo: a\ncondition: s", 7, "unknown modifier `foo`"),
    ("s:\n  tls.client.server_name|containz: a\ncondition: s", 7, "did you mean `contains`?"),
    ("s:\n  tls.client.server_name|not: a\ncondition: s", 7, "`not` is no modifier"),
    ("s:\n  source.port|windash: 1\ncondition: s", 7, "need a text"),
    ("s:\n  tls.client.server_name|re|windash: a\ncondition: s", 7, "`windash` belongs to text"),
    ("s:\n  source.ip|fieldref: destination.pi\ncondition: s", 7, "did you mean `destination.ip`"),
    ("s:\n  source.ip|fieldref: source.port\ncondition: s", 7, "can never be equal"),
    ("s:\n  source.ip|fieldref|re: source.ip\ncondition: s", 7, "contradict"),
    ("s:\n  source.ip|expand: '%office%'\ncondition: s", 7, "`%office%` has no values"),
    ("s:\n  source.ip|expand: office\ncondition: s", 7, "holds no placeholder"),
    ("s:\n  source.ip|hour: 3\ncondition: s", 7, "parts of a time need a time"),
    ("s:\n  event.start|hour|contains: 3\ncondition: s", 7, "a part of a time is a number"),
    ("s:\n  event.start|hour|day: 3\ncondition: s", 7, "one part of the time"),
    ("s:\n  event.start|hour: three\ncondition: s", 7, "`three` is no number"),
    ("s:\n  source.port: 1\ncondition: s | count() > 5", 8, "correlation rules"),
    ("s:\n  source.ip: 10.0.0.1\n  dns.question.name|re: '(a'\ncondition: s", 8, "unclosed group"),
    ("s:\n  dns.question.name|re: 'a{9999}{9999}'\ncondition: s", 7, "regular expression"),
    ("s:\n  dns.question.name|contains|re: a\ncondition: s", 7, "contradict"),
    ("s:\n  dns.question.name|i: a\ncondition: s", 7, "belong to `re`"),
    ("s:\n  dns.question.name|contains|all: a\ncondition: s", 7, "more than one value"),
    ("s:\n  dns.question.name|exists: 1\ncondition: s", 7, "`true` or `false`"),
    ("s:\n  dns.question.name: [null, a]\ncondition: s", 7, "selection of its own"),
    ("s:\n  - AnyDesk\ncondition: s", 6, "keywords"),
    ("s:\n  event.id: a\ncondition: s", 7, "cannot be asked for"),
    ("s:\n  source.port: 1\ncondition: t", 8, "did you mean `s`?"),
    ("s:\n  source.port: 1\ncondition: 1 of t_*", 8, "no selection"),
    ("s:\n  source.port: 1\ncondition: 2 of them", 8, "fewer"),
    ("s:\n  source.port: 1\ncondition: s and", 8, "condition"),
    ("s:\n  source.port: 1\ncondition: s\ntimeframe: 5m", 9, "timeframe"),
    ("s:\n  source.port: 1\n   source.ip: 2\ncondition: s", 8, "YAML"),
    ("s:\n  - source.port: 1\n  - source.prt: 1\ncondition: s", 8, "`source.port`"),
];

/// What stops the parser hides nothing else of the document.
#[test]
fn all_errors_of_a_document_are_reported_together() {
    let detection = "s:\n  source.prt|containz: 1\n  source.port|foo|not: 1\nt:\n  \
                     - source.ip|cdr: 10.0.0.0/8\n  - source.ip|cidr: 10.0.0.0\n\
                     condition: s and (t";
    let text = rule(1, detection).replace("level: low", "level: lwo");
    let errors = RuleSet::from_text("r.yml", &text).unwrap_err();
    let all: Vec<(u32, String)> =
        errors.iter().map(|error| (error.place.as_ref().unwrap().1, error.to_string())).collect();
    let want = [
        (7, "unknown modifier `containz`"),
        (7, "unknown field `source.prt`"),
        (8, "unknown modifier `foo`"),
        (8, "`not` is no modifier"),
        (10, "did you mean `cidr`?"),
        (11, "no prefix"),
        (12, "condition: "),
        (13, "unknown level `lwo`"),
    ];
    for (line, words) in want {
        let found = all.iter().any(|(at, text)| *at == line && text.contains(words));
        assert!(found, "{line} {words}: {all:#?}");
    }
    assert_eq!(all.iter().filter(|(_, text)| text.contains("modifier")).count(), 4, "{all:#?}");
    assert!(errors.iter().all(|error| error.help.is_some()), "{all:#?}");
}

#[test]
fn actions_on_files_are_refused_with_the_remedy() {
    let text = format!(
        "action: global\nlevel: low\n---\n{}",
        rule(1, "s:\n  source.port: 1\ncondition: s")
    );
    let errors = RuleSet::from_text("r.yml", &text).unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].place.as_ref().unwrap().1, 1);
    assert!(errors[0].to_string().contains("shared keys into each rule"), "{}", errors[0]);
}

fn site(placeholders: &str) -> SiteValues {
    let mut plan = longhaul::config::Plan::default();
    let text = format!("[placeholders]\n{placeholders}");
    let file = longhaul::config::file::parse_config(Path::new("c.toml"), &text).unwrap();
    file.apply(&mut plan).unwrap();
    plan.site_values
}

/// `(detection, event, whether it holds)`: what the site has put in place of names.
#[test]
fn placeholders_stand_for_the_values_of_the_site() {
    let site = site(
        "offices = [\"10.1.0.0/16\", \"2001:db8:1::/48\"]\nadmin_ports = [22, 3389]\n\
         hosts = [\"build\", \"jump*\"]\nzone = [\"corp.example\", \"lab.example\"]\n",
    );
    let cases = [
        ("source.ip|cidr|expand: '%offices%'", json!({"source.ip": "10.1.2.3"}), true),
        ("source.ip|cidr|expand: '%offices%'", json!({"source.ip": "10.2.2.3"}), false),
        ("source.ip|cidr|expand: '%offices%'", json!({"source.ip": "2001:db8:1::9"}), true),
        ("destination.port|expand: '%admin_ports%'", json!({"destination.port": 3389}), true),
        ("destination.port|expand: ['%admin_ports%']", json!({"destination.port": 23}), false),
        (
            "tls.client.server_name|expand: '%hosts%.%zone%'",
            json!({"tls.client.server_name": "jump7.LAB.example"}),
            true,
        ),
        (
            "tls.client.server_name|expand: '%hosts%.%zone%'",
            json!({"tls.client.server_name": "build7.lab.example"}),
            false,
        ),
        (
            "tls.client.server_name|endswith|expand|neq: '.%zone%'",
            json!({"tls.client.server_name": "a.corp.example"}),
            false,
        ),
        ("tls.client.server_name|contains|expand: '%zone%'", json!({}), false),
    ];
    for (item, event, want) in cases {
        let text = rule(1, &format!("s:\n  {item}\ncondition: s"));
        let rules =
            RuleSet::from_text_for("r.yml", &text, &site).unwrap_or_else(|e| panic!("{e:#?}"));
        let record = record_from_json(event.as_object().unwrap()).unwrap();
        assert_eq!(!fire(&rules, &record).is_empty(), want, "{item} {event}");
    }
    let text = rule(1, "s:\n  source.ip|cidr|expand: '%office%'\ncondition: s");
    let errors = RuleSet::from_text_for("r.yml", &text, &site).unwrap_err();
    assert!(errors[0].to_string().contains("did you mean `offices`?"), "{}", errors[0]);
}

fn site_of(text: &str) -> SiteValues {
    let mut plan = longhaul::config::Plan::default();
    let file = longhaul::config::file::parse_config(Path::new("c.toml"), text).unwrap();
    file.apply(&mut plan).unwrap();
    plan.site_values
}

/// A site's number takes the place of the rule's, in the test and in the evidence; of a network
/// with numbers of its own, these do.
#[test]
fn sites_and_networks_set_their_own_thresholds() {
    let text =
        rule(1, "s:\n  event.duration|gte: 60000000000\n  network.bytes|lt: 5000\ncondition: s")
            .replace(
                "evidence: []",
                "evidence:\n  - {field: event.duration, threshold: 60000000000}",
            );
    let fired = |config: &str, seconds: u64, source: &str| {
        let rules = RuleSet::from_text_for("r.yml", &text, &site_of(config));
        let rules = rules.unwrap_or_else(|e| panic!("{e:#?}"));
        let event = json!({"event.duration": seconds * 1_000_000_000, "source.ip": source});
        let record = record_from_json(event.as_object().unwrap()).unwrap();
        let alerts = fire(&rules, &record);
        alerts.first().map(|alert| alert.evidence[0].threshold)
    };
    let longer = "[thresholds]\nrules.X1.low.\"event.duration\" = 120e9\n";
    assert_eq!(fired("", 60, "10.0.0.1"), Some(Some(60e9)));
    assert_eq!(fired(longer, 119, "10.0.0.1"), None);
    assert_eq!(fired(longer, 120, "10.0.0.1"), Some(Some(120e9)));
    let group = format!(
        "{longer}[[thresholds.groups]]\nnetworks = [\"10.30.0.0/16\", \"2001:db8::1\"]\n\
         rules.X1.low = {{ \"event.duration|gte\" = 10e9 }}\n"
    );
    assert_eq!(fired(&group, 60, "10.0.0.1"), None);
    assert_eq!(fired(&group, 10, "10.30.0.1"), Some(None), "which of both decided is not told");
    assert_eq!(fired(&group, 9, "10.30.0.1"), None);
    for (config, words) in [
        ("rules.X2.low.x = 1", "there is no such rule"),
        ("rules.00000000-0000-4000-8000-000000000001.low.x = 1", "it compares: event.duration"),
        ("rules.X1.high.x = 1", "its levels are: low"),
        ("rules.X1.low.\"event.durations\" = 1", "did you mean `event.duration`?"),
        ("rules.X1.low.\"source.port\" = 1", "it compares: event.duration, network.bytes"),
        ("rules.X1.low.\"event.duration|lt\" = 1", "has no threshold"),
    ] {
        let site = site_of(&format!("[thresholds]\n{config}\n"));
        let errors = RuleSet::from_text_for("r.yml", &text, &site).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].to_string().contains(words), "{}", errors[0]);
        assert_eq!(errors[0].place.as_ref().unwrap(), &("c.toml".into(), 1), "{}", errors[0]);
    }
}

/// Each threshold of the embedded rules can be set.
#[test]
fn the_table_of_thresholds_is_a_configuration() {
    let table = longhaul::pipeline::queries::thresholds(&[], &SiteValues::default()).unwrap();
    assert!(table.contains("rules.D01.high.\"event.duration\" = 60000000000  # gte ns"), "{table}");
    let site = site_of(&table);
    let again =
        longhaul::pipeline::queries::thresholds(&[], &site).unwrap_or_else(|e| panic!("{e:#?}"));
    assert_eq!(again, table, "the same numbers change nothing");
}

/// What an author hardly means is said, and hinders nobody.
#[test]
fn odd_rules_are_noted() {
    let notes = |detection: &str| -> Vec<String> {
        let rules = RuleSet::from_text("r.yml", &rule(1, detection));
        let rules = rules.unwrap_or_else(|e| panic!("{e:#?}"));
        rules.notes().map(|(_, line, text)| format!("{line}: {text}")).collect()
    };
    let never = "the condition can never hold";
    for (detection, want) in [
        (
            "s:\n  source.port: 1\nt:\n  source.port: 2\ncondition: s",
            vec!["8: selection `t` is not used by the condition".to_owned()],
        ),
        (
            "s:\n  source.port: 1\nt:\n  source.port: 2\ncondition: s and t",
            vec![format!("10: {never}")],
        ),
        ("s:\n  source.port: 1\ncondition: s and not s", vec![format!("8: {never}")]),
        (
            "s:\n  event.duration|gt: 5\n  event.duration|lt: 5\ncondition: s",
            vec![format!("9: {never}"), "6: selection `s` can never hold".to_owned()],
        ),
        (
            "s:\n  network.direction: inbound\nt:\n  network.direction: outbound\ncondition: all of them",
            vec![format!("10: {never}")],
        ),
        (
            "s:\n  tls.resumed: true\nt:\n  tls.resumed: null\ncondition: s and t",
            vec![format!("10: {never}")],
        ),
        (
            "s:\n  source.ip: 10.0.0.1\n  source.ip|cidr: 192.0.2.0/24\ncondition: s",
            vec![format!("9: {never}"), "6: selection `s` can never hold".to_owned()],
        ),
        // These can.
        ("s:\n  event.duration|gte: 5\n  event.duration|lte: 5\ncondition: s", vec![]),
        ("s:\n  longhaul.tags|contains|all: [a, b]\ncondition: s", vec![]),
        ("s:\n  longhaul.tags: a\nt:\n  longhaul.tags: b\ncondition: s and t", vec![]),
        ("s:\n  source.port: [1, 2]\nt:\n  source.port: [2, 3]\ncondition: s and t", vec![]),
        (
            "s:\n  tls.client.server_name: A\nt:\n  tls.client.server_name|cased: a\ncondition: s and t",
            vec![],
        ),
        ("s:\n  source.port: 1\nt:\n  source.port: 2\ncondition: s or t", vec![]),
        ("s:\n  source.port: 1\nt:\n  source.port: 2\ncondition: s and not t", vec![]),
    ] {
        assert_eq!(notes(detection), want, "{detection}");
    }
    let embedded = RuleSet::embedded().unwrap();
    let odd: Vec<_> = embedded.notes().collect();
    assert!(odd.is_empty(), "{odd:?}");
    let errors = RuleSet::from_text("r.yml", &rule(1, "s:\n  endpoint.ip: 10.0.0.1\ncondition: s"));
    let text = errors.unwrap_err()[0].to_string();
    assert!(
        text.contains("is no field of a session") && text.contains("service: endpoint"),
        "{text}"
    );
}

/// Ten thousand values are compared one by one: that is measured, and said.
#[test]
fn costly_rules_are_measured() {
    let dir = tempfile::tempdir().unwrap();
    let check = |values: usize| {
        let list: String = (0..values).map(|n| format!("    - '*.a{n}.example'\n")).collect();
        let text = rule(1, &format!("s:\n  url.domain:\n{list}condition: s"));
        let path = dir.path().join("r.yml");
        std::fs::write(&path, text).unwrap();
        longhaul::pipeline::queries::check_rules(&[path], &SiteValues::default()).unwrap().notes
    };
    let notes = check(10_000);
    assert!(
        notes.iter().any(|note| note.contains("r.yml:1") && note.contains("10000")),
        "{notes:?}"
    );
}

/// The other engine has no greater and less for parts of a time.
#[test]
fn parts_of_a_time_are_numbers() {
    for (item, want) in [
        ("event.start|hour|gte: 10", true),
        ("event.start|hour|gt: 10", false),
        ("event.start|hour|lt: 6", false),
        ("event.start|minute|lte: 0", true),
        ("event.start|week|lt: 48", true),
        ("event.start|hour|neq: 10", false),
        ("event.start|hour: [9, 10]", true),
    ] {
        let rules = RuleSet::from_text("r.yml", &rule(1, &format!("s:\n  {item}\ncondition: s")));
        let record = record_from_json(json!({}).as_object().unwrap()).unwrap();
        assert_eq!(!fire(&rules.unwrap(), &record).is_empty(), want, "{item}");
    }
}

/// A filter leaves out what its condition does not allow, of the rules that it names.
#[test]
fn filters_join_the_rules_that_they_name() {
    let two = ["source.port: 1", "destination.port: 443"]
        .iter()
        .enumerate()
        .map(|(i, item)| rule(i + 1, &format!("s:\n  {item}\ncondition: s")) + "---\n")
        .collect::<String>();
    let filter = |rules: &str, line: &str| {
        format!(
            "{two}title: f\nid: 00000000-0000-4000-8000-000000000009\n\
             logsource: {{product: longhaul, service: session}}\nfilter:\n  rules: {rules}\n  \
             selection:\n    {line}\n  condition: not selection\n"
        )
    };
    let fired = |text: &str| -> Vec<String> {
        let rules = RuleSet::from_text("r.yml", text).unwrap_or_else(|e| panic!("{e:#?}"));
        let event = json!({"source.port": 1, "destination.port": 443, "source.ip": "10.0.0.1"});
        let record = record_from_json(event.as_object().unwrap()).unwrap();
        fire(&rules, &record).iter().map(|alert| alert.rule.id.clone()).collect()
    };
    let line = "source.ip: 10.0.0.1";
    assert_eq!(fired(&two), ["X1", "X2"]);
    assert_eq!(fired(&filter("[00000000-0000-4000-8000-000000000001]", line)), ["X2"]);
    assert!(fired(&filter("any", line)).is_empty());
    assert_eq!(fired(&filter("any", "source.ip: 10.0.0.2")), ["X1", "X2"]);
    for (rules, line, at, words) in [
        ("[nobody]", line, 39, "there is no rule `nobody`"),
        ("any", "source.pi: 10.0.0.1", 41, "did you mean `source.ip`?"),
    ] {
        let errors = RuleSet::from_text("r.yml", &filter(rules, line)).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].to_string().contains(words), "{}", errors[0]);
        assert_eq!(errors[0].place.as_ref().unwrap().1, at, "{}", errors[0]);
    }
}

#[test]
fn refusals_name_line_cause_and_remedy() {
    for (detection, line, words) in REFUSED {
        let text = rule(1, detection);
        let errors = RuleSet::from_text("r.yml", &text).expect_err(detection);
        let all: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 1, "{detection}\n{}", all.join("\n"));
        assert!(all[0].contains(words), "{detection}\n{}", all[0]);
        assert!(all[0].contains("\nhelp: "), "{}", all[0]);
        let place = errors[0].place.as_ref().unwrap();
        assert_eq!(place.1, *line, "{detection}\n{}", all[0]);
    }
}

/// What costs more than its size lets expect, or cannot be read at all.
#[test]
fn conditions_and_selections_are_bounded() {
    let deep = format!("s:\n  source.port: 1\ncondition: {}s{}", "(".repeat(99), ")".repeat(99));
    let long = format!("s:\n  source.port: 1\ncondition: {}s", "not ".repeat(20_000));
    let one = |n| format!("s{n}:\n  source.port: {n}\n");
    let many = (0..1_025).map(one).collect::<String>() + "condition: 1 of s*";
    for (detection, line, words) in [
        (deep, 8, "condition: condition nesting exceeds"),
        (long, 8, "too long"),
        (many, 5, "1025 selections are more than 1024"),
    ] {
        let errors = RuleSet::from_text("r.yml", &rule(1, &detection)).expect_err(words);
        let text = errors[0].to_string();
        assert!(text.contains(words) && text.len() < 400, "{text}");
        assert_eq!(errors[0].place.as_ref().unwrap().1, line, "{text}");
    }
}

/// Whatever its operators: a condition that is too long is refused before it is parsed, and names
/// of selections do not multiply what they stand for (a copy for each would take gigabytes).
#[test]
fn conditions_cost_what_they_are_long() {
    let values = (0..20_000).map(|n| format!("    - a{n}\n")).collect::<String>();
    let big = format!("s:\n  url.domain:\n{values}");
    for (operator, operand) in
        [("not ", ""), ("s and ", ""), ("s or ", ""), ("(", ")"), ("1 of s* and not ", "")]
    {
        let load = |n: usize| {
            let condition = format!("{}s{}", operator.repeat(n), operand.repeat(n));
            let text = rule(1, &format!("{big}condition: {condition}"));
            RuleSet::from_text("r.yml", &text).map_err(|errors| errors[0].to_string())
        };
        let fits = load(60);
        assert!(fits.is_ok(), "{operator}: {fits:?}");
        let most = 4_095 / (operator.len() + operand.len());
        for n in [most, most + 1, 16_000] {
            let loaded = load(n);
            assert!(loaded.is_ok() == (n == most && operand.is_empty()), "{operator} {n}");
            if let Err(text) = loaded {
                assert!(text.contains("r.yml:") && text.len() < 300, "{text}");
            }
        }
    }
}

#[test]
fn metadata_is_checked_at_its_line() {
    let good = rule(1, "s:\n  source.port: 1\ncondition: s");
    assert!(RuleSet::from_text("r.yml", &good).is_ok());
    let changes: &[(&str, &str, u32, &str)] = &[
        ("level: low", "level: lwo", 9, "unknown level"),
        ("level: low", "leval: low", 9, "did you mean `level`?"),
        ("level: low\n", "", 1, "no `level`"),
        ("id: 0000", "idd: 0000", 1, "no `id`"),
        ("id: 0000", "id: zz", 2, "no UUID"),
        ("service: session", "service: alert", 4, "not yet evaluated"),
        ("service: session", "service: sessions", 4, "did you mean `session`?"),
        ("product: longhaul", "product: windows", 4, "not ours"),
        ("family: N", "family: Z", 12, "unknown family"),
        ("ratio: 1.1", "ratio: 0", 14, "out of range"),
        ("ratio: 1.1", "ratio: 1.1\n  subject: source", 15, "unknown subject `source`"),
        ("ratio: 1.1", "wait: 0.1", 14, "unknown field `wait`"),
        ("ratio: 1.1", "wight: 0.1", 14, "unknown field `wight`"),
        ("ratio: 1.1", "weight: 1.0", 14, "the weight is out of range"),
        ("ratio: 1.1", "ratio: 1.1\n  weight: 0.1", 15, "both `ratio` and `weight`"),
        ("[T1]", "[T9]", 13, "unknown topology"),
        ("'fired'", "'{source.pi}'", 15, "did you mean `source.ip`?"),
        ("evidence: []", "evidence:\n  - field: source.prt", 17, "did you mean `source.port`?"),
        ("evidence: []", "evidence:\n  - {field: event.duration, unit: s}", 17, "its unit is `ns`"),
        ("title: rule 1\n", "", 1, "no `title`"),
    ];
    for (from, to, line, words) in changes {
        let errors = RuleSet::from_text("r.yml", &good.replacen(from, to, 1)).expect_err(to);
        let hit = errors.iter().find(|e| e.to_string().contains(words));
        let hit = hit.unwrap_or_else(|| panic!("{to}: {errors:#?}"));
        assert_eq!(hit.place.as_ref().unwrap().1, *line, "{to}: {hit}");
    }
    let weighed = RuleSet::from_text("r.yml", &good.replacen("ratio: 1.1", "weight: 0.75", 1));
    let ratios: Vec<f64> = weighed.unwrap().iter().map(|rule| rule.info().ratio).collect();
    assert_eq!(ratios, [4.0]);
    // Sigma leaves `name` free.
    let unnamed = RuleSet::from_text("r.yml", &good.replacen("name: test\n", "", 1)).unwrap();
    let names: Vec<&str> = unnamed.iter().map(|rule| rule.info().name.as_str()).collect();
    assert_eq!(names, ["rule_1"]);
    let twice = format!("{good}---\n{good}");
    let errors = RuleSet::from_text("r.yml", &twice).unwrap_err();
    assert_eq!(errors[0].place.as_ref().unwrap().1, 19, "{}", errors[0]);
    assert!(errors[0].to_string().contains("r.yml:1"), "{}", errors[0]);
}

#[test]
fn all_errors_of_a_directory_are_reported_together() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("sub")).unwrap();
    let bad = rule(1, "s:\n  source.prt: 1\n  source.pi: 1\ncondition: s");
    std::fs::write(dir.path().join("a.yml"), bad.replace("level: low", "level: lwo")).unwrap();
    std::fs::write(dir.path().join("sub/b.yaml"), ": - :\n").unwrap();
    std::fs::write(dir.path().join("c.yml"), [0xff, 0xfe]).unwrap();
    let errors = RuleSet::load_dir(dir.path()).unwrap_err();
    let unreadable: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert!(unreadable[0].contains("c.yml"), "{unreadable:#?}");
    std::fs::remove_file(dir.path().join("c.yml")).unwrap();
    let errors = RuleSet::load_dir(dir.path()).unwrap_err();
    let places: Vec<(String, u32)> = errors
        .iter()
        .map(|e| e.place.as_ref().unwrap())
        .map(|(file, line)| (file.file_name().unwrap().to_string_lossy().into_owned(), *line))
        .collect();
    let at = |file: &str, line| (file.to_owned(), line);
    assert_eq!(places[..3], [at("a.yml", 7), at("a.yml", 8), at("a.yml", 10)], "{errors:#?}");
    assert_eq!(places[3], at("b.yaml", 1));
    assert!(RuleSet::load_dir(&dir.path().join("nothing")).is_err());
}

/// Detections that use each modifier and each form of condition.
///
/// Left out: wildcards inside `startswith` and `endswith`. The other engine (0.23) anchors those
/// patterns at the opposite end; ours follow the specification, and `detect::pattern` tests them
/// alone.
const SYNTHETIC: &[&str] = &[
    "s:\n  tls.client.server_name: relay-1.net.AnyDesk.com\ncondition: s",
    "s:\n  tls.client.server_name|contains: DESK\ncondition: s",
    "s:\n  tls.client.server_name|startswith: [relay, api.]\ncondition: s",
    "s:\n  tls.client.server_name|endswith: .com\ncondition: s",
    "s:\n  tls.client.server_name|contains|all: [net, desk]\ncondition: s",
    "s:\n  tls.client.server_name|cased: relay-1.net.AnyDesk.com\ncondition: s",
    "s:\n  tls.client.server_name|contains|cased: Any\ncondition: s",
    "s:\n  tls.client.server_name: 'relay-?.*.com'\ncondition: s",
    "s:\n  tls.client.server_name: '*desk*'\ncondition: s",
    "s:\n  tls.client.server_name|contains: 'r*y-'\ncondition: s",
    "s:\n  tls.client.server_name|re: '^relay-[0-9]+\\.'\ncondition: s",
    "s:\n  tls.client.server_name|re|i: 'ANYDESK'\ncondition: s",
    "s:\n  tls.client.server_name|exists: true\ncondition: s",
    "s:\n  tls.client.server_name|exists: false\ncondition: s",
    "s:\n  tls.client.server_name: null\ncondition: s",
    "s:\n  source.ip|cidr: 104.140.119.0/24\ncondition: s",
    "s:\n  source.ip|cidr: [2001:db8::/32, 10.0.0.0/8]\ncondition: s",
    "s:\n  source.ip: 2001:db8::5\ncondition: s",
    "s:\n  source.ip|startswith: '10.'\ncondition: s",
    "s:\n  event.duration|gt: 60000000000\ncondition: s",
    "s:\n  event.duration|gte: 60000000000\ncondition: s",
    "s:\n  longhaul.near.handshake_us|lt: 1500.5\ncondition: s",
    "s:\n  longhaul.near.handshake_us|lte: 1500.5\ncondition: s",
    "s:\n  destination.port: [22, 443]\ncondition: s",
    "s:\n  tls.resumed: true\ncondition: s",
    "s:\n  longhaul.quality.one_way: false\ncondition: s",
    "s:\n  longhaul.tags: 'vpn:astrill'\ncondition: s",
    "s:\n  longhaul.tags|startswith: ['vpn:', 'rmm:']\ncondition: s",
    "s:\n  longhaul.tags|re: '^(vpn|rmm):'\ncondition: s",
    "s:\n  longhaul.source.tags: hosting\nt:\n  longhaul.destination.tags: sase\n\
     condition: s and not t",
    "s:\n  - destination.port: 22\n  - source.ip|cidr: 10.0.0.0/8\n    tls.resumed: false\n\
     condition: s",
    "a_1:\n  destination.port: 443\na_2:\n  tls.resumed: true\nb:\n  network.direction: inbound\n\
     condition: 1 of a_* and not b",
    "a_1:\n  destination.port: 443\na_2:\n  tls.resumed: true\nb:\n  network.direction: inbound\n\
     condition: all of a_* or b",
    "a:\n  destination.port: 443\nb:\n  tls.resumed: true\nc:\n  network.direction: inbound\n\
     condition: 2 of them",
    "a:\n  destination.port: 443\nb:\n  tls.resumed: true\nc:\n  network.direction: inbound\n\
     condition: not (a or b) or (b and not c)",
    "a:\n  destination.port: 443\nb:\n  tls.resumed: true\ncondition:\n  - a\n  - b",
    "a:\n  dns.answers.data|cidr: 10.0.0.0/8\ncondition: a",
    "s:\n  tls.client.server_name|contains|windash: ' -enc'\ncondition: s",
    "s:\n  tls.client.server_name|startswith|windash|cased: '/enc'\ncondition: s",
    "s:\n  tls.client.server_name|fieldref: url.domain\ncondition: s",
    "s:\n  tls.client.server_name|fieldref|cased: url.domain\ncondition: s",
    "s:\n  tls.client.server_name|fieldref|endswith: url.domain\ncondition: s",
    "s:\n  tls.client.server_name|fieldref|contains: url.domain\ncondition: s",
    "s:\n  source.ip|fieldref: destination.ip\ncondition: s",
    "s:\n  source.packets|fieldref: destination.packets\ncondition: s",
    "s:\n  event.end|minute: [2, 10]\ncondition: s",
    "s:\n  event.start|hour: 10\n  event.start|year: 2026\ncondition: s",
    "s:\n  event.start|day: 22\n  event.start|month: 11\n  event.start|week: 47\ncondition: s",
    "a:\n  network.direction: [inbound, internal]\ncondition: a",
];

/// Field and values an event may take: none, or one of them.
#[allow(clippy::too_many_lines, reason = "a table")]
fn pools() -> Vec<(&'static str, Vec<Value>)> {
    let tags = json!([
        ["vpn:astrill"],
        ["vpn:mullvad", "hosting"],
        ["hosting"],
        ["sase", "vpn:astrill"],
        ["rmm:anydesk"],
        ["proxy:honeygain", "kvm:pikvm"],
        ["tunnel:ngrok", "kvm:pikvm"],
        ["mesh:tailscale", "proxy:honeygain", "kvm:pikvm"],
        ["tor"],
        ["list:sanctioned"],
        ["relay"],
        ["cdn"]
    ]);
    let pool = |values: Value| values.as_array().cloned().unwrap();
    vec![
        ("source.ip", pool(json!(["104.140.119.9", "10.1.2.3", "2001:db8::5", "192.0.2.77"]))),
        ("source.as.number", pool(json!([64500]))),
        ("destination.port", pool(json!([22, 443, 5938, 3478, 19302]))),
        ("destination.packets", pool(json!([0, 1, 2]))),
        ("event.duration", pool(json!([29e9 as u64, 30e9 as u64, 12e10 as u64, 6e11 as u64]))),
        ("network.bytes", pool(json!([999_999, 1_000_000]))),
        ("network.direction", pool(json!(["inbound", "outbound", "internal"]))),
        ("network.protocol", pool(json!(["tls", "dns", "wireguard", "ssh"]))),
        ("longhaul.shape.encapsulated_tls", pool(json!([true]))),
        ("destination.mac", pool(json!(["DC-A6-32-00-00-01"]))),
        ("network.application", pool(json!(["anydesk", "teamviewer", "zoom"]))),
        (
            "longhaul.application.reason",
            pool(json!(["sni", "dns", "port", "certificate", "title"])),
        ),
        ("longhaul.application.approved", pool(json!([true]))),
        ("longhaul.device.name", pool(json!(["pikvm", "laptop"]))),
        ("longhaul.device.name_sources", pool(json!([1, 2]))),
        ("longhaul.device.name_confirmed", pool(json!([true]))),
        ("longhaul.stalls.most", pool(json!([4, 6]))),
        ("longhaul.stalls.ratio", pool(json!([4, 6]))),
        ("longhaul.device.arp_senders", pool(json!([2, 3]))),
        ("longhaul.dns.questions", pool(json!([1, 2]))),
        ("source.packets", pool(json!([1, 2]))),
        ("longhaul.device.mac", pool(json!(["DC-A6-32-00-00-01", "00-00-5E-00-53-01"]))),
        ("longhaul.state", pool(json!(["opened", "closed", "reset", "timeout"]))),
        ("longhaul.near.handshake_us", pool(json!([1500.5, 1500.499, 80_000.25]))),
        ("longhaul.physics.verdict", pool(json!(["possible", "too-fast", "unknown"]))),
        ("longhaul.physics.refuted", pool(json!([["subject"], ["subject", "geo"]]))),
        ("longhaul.physics.doubtful", pool(json!([["geo"], ["subject", "geo"]]))),
        ("longhaul.quality.one_way", pool(json!([true]))),
        (
            "tls.client.server_name",
            pool(json!([
                "relay-1.net.anydesk.com",
                "relay-1.net.AnyDesk.com",
                "api.astrill.com",
                "desk",
                "x.y",
                "x \u{2013}enc",
                "/enc y",
                "-ENC"
            ])),
        ),
        ("url.domain", pool(json!(["DESK", "x.y", "AnyDesk.com", "astrill.com"]))),
        ("destination.ip", pool(json!(["10.1.2.3", "2001:db8::5", "198.51.100.1"]))),
        ("longhaul.stun.change_request", pool(json!([true, true]))),
        (
            "longhaul.interaction.class",
            pool(json!(["remote_control", "remote_control", "remote_control", "view_only"])),
        ),
        (
            "longhaul.interaction.controlled_side",
            pool(json!(["source", "source", "destination", "destination"])),
        ),
        ("longhaul.interaction.confidence", pool(json!([0.5, 0.75, 0.8, 0.49]))),
        ("longhaul.remote_control.tool", pool(json!(["rustdesk", "anydesk"]))),
        ("longhaul.remote_control.relay", pool(json!(["203.0.113.40", "203.0.113.41"]))),
        (
            "longhaul.remote_control.controller.tags",
            pool(json!([["vpn:astrill"], ["hosting"], ["tor", "x"], ["vpn"], ["mobile"]])),
        ),
        ("longhaul.remote_control.method", pool(json!(["rustdesk", "turn"]))),
        ("longhaul.remote_control.hidden_us", pool(json!([80000, 180000.5, 79999]))),
        ("longhaul.remote_control.samples", pool(json!([30, 31, 400, 29]))),
        ("tls.resumed", pool(json!([true, false]))),
        ("dns.answers.data", pool(json!([["10.0.0.9", "alias.example"], ["192.0.2.1"]]))),
        ("dns.response_code", pool(json!(["NOERROR", "NXDOMAIN"]))),
        ("longhaul.source.tags", pool(tags.clone())),
        ("longhaul.destination.tags", pool(tags)),
        ("longhaul.echo.excess_us", pool(json!([60000, 120000, 59999]))),
        ("longhaul.echo.samples", pool(json!([200, 900, 199]))),
    ]
}

fn events() -> impl Strategy<Value = Map<String, Value>> {
    let pools = pools();
    proptest::collection::vec(any::<prop::sample::Index>(), pools.len()).prop_map(move |picks| {
        let mut object = Map::new();
        for ((name, values), pick) in pools.iter().zip(picks) {
            if let Some(value) = values.get(pick.index(values.len() + 1)) {
                object.insert((*name).to_owned(), value.clone());
            }
        }
        object
    })
}

/// Every embedded rule on sessions and every synthetic one as one YAML stream.
fn corpus() -> String {
    let mut text = String::new();
    for family in ["co_location", "network", "physics", "remote_control"] {
        for entry in std::fs::read_dir(root().join("rules").join(family)).unwrap() {
            let rule = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            // Correlations, and what only they use, are compared in tests/correlation.rs.
            let alone = |rule: &&str| !rule.contains("correlation:") && rule.contains("level:");
            if !rule.contains("service: endpoint") {
                for rule in rule.split("---\n").filter(alone) {
                    text.push_str(rule);
                    text.push_str("---\n");
                }
            }
        }
    }
    for (i, detection) in SYNTHETIC.iter().enumerate() {
        text.push_str(&rule(i + 1, detection));
        text.push_str("---\n");
    }
    text
}

#[test]
fn another_sigma_engine_agrees() {
    let text = corpus();
    let ours = RuleSet::from_text("corpus.yml", &text).unwrap_or_else(|e| panic!("{e:#?}"));
    let collection = rsigma_parser::parse_sigma_yaml(&text).unwrap();
    assert_eq!(collection.rules.len(), ours.infos()[0].count);
    let mut oracle = rsigma_eval::Engine::new();
    oracle.add_collection(&collection).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    // The same events every time: whether every rule fired must not be a matter of luck.
    let rng = proptest::test_runner::TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = ProptestConfig::with_cases(5_000);
    let mut runner = proptest::test_runner::TestRunner::new_with_rng(config, rng);
    let seen_cell = std::cell::RefCell::new(&mut seen);
    runner
        .run(&events(), |object| {
            let record = record_from_json(&object).map_err(TestCaseError::fail)?;
            let event = Value::Object(schema::flat_json(&record));
            let mut want: Vec<String> = oracle
                .evaluate(&JsonEvent::borrow(&event))
                .iter()
                .filter_map(|hit| hit.header.rule_id.clone())
                .collect();
            let fired = fire(&ours, &record);
            let mut have: Vec<String> = fired.iter().map(|a| a.rule.uuid.clone()).collect();
            want.sort();
            have.sort();
            prop_assert_eq!(&have, &want, "{}", event);
            seen_cell.borrow_mut().extend(have);
            Ok(())
        })
        .unwrap();
    let never: Vec<_> = ours
        .iter()
        .filter(|rule| !seen.contains(&rule.info().uuid))
        .map(|r| &r.info().title)
        .collect();
    assert!(never.is_empty(), "never fired, so never compared: {never:?}");
}

/// `neq` turns an item into its negation, which holds where the field is absent. The other engine
/// (0.23) holds an absent field to be not unequal; of the same item behind `not` it says the same.
#[test]
fn neq_is_the_negation_of_its_item() {
    let items = [
        ("tls.client.server_name|neq", "tls.client.server_name", "api.astrill.com"),
        ("tls.client.server_name|contains|neq", "tls.client.server_name|contains", "astrill"),
        (
            "tls.client.server_name|contains|all|neq",
            "tls.client.server_name|contains|all",
            "[a, s]",
        ),
        ("destination.port|neq", "destination.port", "[22, 443]"),
        ("longhaul.tags|neq", "longhaul.tags", "'vpn:astrill'"),
        ("event.duration|gt|neq", "event.duration|gt", "60000000000"),
        ("source.ip|cidr|neq", "source.ip|cidr", "10.0.0.0/8"),
        ("tls.client.server_name|exists|neq", "tls.client.server_name|exists", "true"),
        ("tls.client.server_name|neq", "tls.client.server_name", "null"),
    ];
    let both = |form: &dyn Fn(&str, &str, &str) -> String| -> String {
        let each = items.iter().enumerate();
        each.map(|(i, (neq, plain, value))| {
            format!("{}---\n", rule(i + 1, &form(neq, plain, value)))
        })
        .collect()
    };
    let neq = both(&|neq, _, value| format!("s:\n  {neq}: {value}\ncondition: s"));
    let not = both(&|_, plain, value| format!("s:\n  {plain}: {value}\ncondition: not s"));
    let ours = RuleSet::from_text("neq.yml", &neq).unwrap_or_else(|e| panic!("{e:#?}"));
    let mut oracle = rsigma_eval::Engine::new();
    oracle.add_collection(&rsigma_parser::parse_sigma_yaml(&not).unwrap()).unwrap();
    for case in [
        json!({}),
        json!({"tls.client.server_name": "api.astrill.com", "destination.port": 22}),
        json!({"tls.client.server_name": "x.y", "longhaul.destination.tags": ["vpn:astrill"]}),
        json!({"source.ip": "10.1.2.3", "event.duration": 120_000_000_000u64}),
    ] {
        let record = record_from_json(case.as_object().unwrap()).unwrap();
        let event = Value::Object(schema::flat_json(&record));
        let hits = oracle.evaluate(&JsonEvent::borrow(&event));
        let mut want: Vec<String> =
            hits.iter().filter_map(|hit| hit.header.rule_id.clone()).collect();
        let mut have: Vec<String> =
            fire(&ours, &record).iter().map(|alert| alert.rule.uuid.clone()).collect();
        want.sort();
        have.sort();
        assert_eq!(have, want, "{event}");
    }
}

/// A record that has every field a case can set.
/// A session in which the responder is controlled.
fn interaction() -> Interaction {
    let mut sums = InteractionSums { span_ms: 40_000, ..InteractionSums::default() };
    sums.initiator.bytes = 9_000;
    sums.responder.bytes = 450_000;
    sums.initiator.p90_pps = 14;
    sums.initiator.median_bytes = 36;
    sums.initiator.active_s = 31;
    let (class, controlled) = (Class::RemoteControl, Some(Peer::Responder));
    let checks = longhaul::model::remote_control::Checks::NONE;
    let echo = Some(Echo { median_ns: 140_000_000, samples: 210, together: 3 });
    let stalls = Some(Stalls { hours: 3, most: 12, others: 4 });
    let reply = Some(Reply { us: 264_000, samples: 145, share: 0.97 });
    Interaction { sums, checks, echo, reply, stalls, class, confidence: 0.75, controlled }
}

fn full() -> Record {
    let path = root().join("tests/data/session_every_field.json");
    let object: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut record = record_from_json(object.as_object().unwrap()).unwrap();
    record.context.community_id = Some([0x5a; 20]);
    record.facts.dns.as_mut().unwrap().additional = vec!["192.0.2.7".into()];
    record.facts.http.as_mut().unwrap().more = vec![Default::default()];
    let (source, destination) = (record.initiator.ip, record.responder.ip);
    let layer = |kind, id| longhaul::model::record::Layer { kind, id, source, destination };
    record.facts.rare_mut().wrapping = Some(Box::new(longhaul::model::record::Wrapping {
        layers: vec![layer("gre", 0), layer("vxlan", 42)],
        inner_vlan: Some(9),
        mpls_label: Some(20),
        unproven: false,
    }));
    record.update = Some(3);
    record.activity = Some(longhaul::model::activity::Activity {
        seconds: 40,
        messages_up: 17,
        messages_down: 16,
        last: Some(record.end),
    });
    record.interaction = Some(Box::new(interaction()));
    record.remote_control = Some(Box::new(RemoteControl {
        tool: Some("rustdesk".into()),
        family: Some("rustdesk".into()),
        relay: Some(record.responder.ip),
        controller: Some(record.initiator.ip),
        place: record.responder.place.clone(),
        asn: record.responder.asn.clone(),
        tags: vec!["hosting".into()],
        hidden_ns: Some(180_000_123),
        samples: 40,
        method: Some("stun"),
    }));
    record.facts.rare_mut().stun.get_or_insert_default().change_request = true;
    if let Some(syn) = &mut record.syn {
        syn.os_hint = Some("linux");
    }
    record
}

fn flatten(prefix: &str, value: &Value, out: &mut Map<String, Value>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), value, out);
            }
        }
        Value::Array(all) if all.iter().any(Value::is_object) => {
            for item in all {
                let mut one = Map::new();
                flatten(prefix, item, &mut one);
                for (key, value) in one {
                    let list = out.entry(key).or_insert_with(|| json!([]));
                    list.as_array_mut().unwrap().push(value);
                }
            }
        }
        other => {
            out.insert(prefix.to_owned(), other.clone());
        }
    }
}

/// Fields of a line that follow from the run, not from the record alone.
const UNTOLD: [&str; 1] = ["observer.name"];

#[test]
fn the_session_line_agrees_with_the_table_of_fields() {
    let record = full();
    let mut line = Vec::new();
    let origin = longhaul::emit::Origin::new("longhaul", [Path::new("a.pcap")]);
    longhaul::emit::lines::render_session(&record, &origin, &mut line);
    let mut shown = Map::new();
    flatten("", &serde_json::from_slice(&line).unwrap(), &mut shown);
    for name in UNTOLD {
        assert!(shown.remove(name).is_some(), "{name}");
    }
    let mut table = schema::flat_json(&record);
    let told = |name: &str| !UNTOLD.contains(&name);
    for field in schema::all().iter().filter(|field| field.in_lines() && told(field.name)) {
        assert!(table.contains_key(field.name), "no value in the test for {}", field.name);
    }
    table.retain(|name, _| schema::find(name).is_some_and(schema::Field::in_lines));
    let number = |value: &Value| value.as_f64();
    for (name, want) in &shown {
        let have = table.get(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        // A session has one place of packets, in a list as alerts have theirs.
        let want = if name.starts_with("longhaul.packets.") { &want[0] } else { want };
        let same = have == want || number(have).is_some_and(|n| Some(n) == number(want));
        assert!(same, "{name}: table {have}, line {want}");
    }
    let missing: Vec<_> = table.keys().filter(|name| !shown.contains_key(*name)).collect();
    assert!(missing.is_empty(), "never shown: {missing:?}");
}
