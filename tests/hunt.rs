//! Filters and rules over finished results.
//!
//! Owns: that rules say of stored lines what they said when the sessions were read. In: captures
//! made here, the embedded one. Out: assertions. Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod common;
mod craft;
mod records;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use craft::{Connection, SECOND, START};
use longhaul::detect::{RuleSet, SourceCatalog};
use longhaul::emit::Origin;
use longhaul::emit::lines::render_session;
use longhaul::model::Alert;
use serde_json::Value;

fn longhaul(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_longhaul")).args(args).output().unwrap()
}

fn said(run: &Output) -> String {
    String::from_utf8_lossy(&run.stderr).into_owned()
}

fn lines(run: &Output) -> Vec<Value> {
    assert_eq!(run.status.code(), Some(0), "{}", said(run));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    craft::at(value, name).as_str().unwrap_or_default()
}

/// The result of the embedded capture.
fn farm(folder: &Path) -> String {
    let capture = folder.join("farm.pcap.zst");
    let (capture, out) = (capture.to_str().unwrap(), folder.join("farm"));
    assert!(longhaul(&["demo", "--extract", capture]).status.success());
    let out = out.to_str().unwrap().to_owned();
    let site = ["--home", "10.20.0.0/16", "--place", "39.04,-77.49", "-q"];
    let run = longhaul(&[&["read", capture, "--out", &out][..], &site].concat());
    assert!(run.status.success(), "{}", said(&run));
    out
}

/// The result of a few connections to a remote-control service, in a state of their own.
fn tools(folder: &Path) -> String {
    let mut all = craft::Capture::default();
    for n in 0..3u16 {
        let mut talk = Connection::new(&format!("10.0.0.{}:4000{n}", 5 + n), "192.0.2.1:443");
        talk.now = START + u64::from(n) * SECOND;
        talk.open().ask(&craft::client_hello("relay-1.net.anydesk.com"));
        talk.answer(&craft::server_hello());
        for _ in 0..40 {
            talk.wait(SECOND).ask(&craft::tls_data(200)).answer(&craft::tls_data(900));
        }
        all.join(talk.close());
    }
    let (capture, out) = (folder.join("tools.pcap"), folder.join("tools"));
    fs::write(&capture, all.sorted().pcap()).unwrap();
    let out = out.to_str().unwrap().to_owned();
    let run = longhaul(&["read", capture.to_str().unwrap(), "--out", &out, "-q"]);
    assert!(run.status.success(), "{}", said(&run));
    out
}

#[test]
fn a_filter_gives_the_lines_of_all_runs_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let (farm, tools) = (farm(folder.path()), tools(folder.path()));
    let expr = "destination.port == 443 and longhaul.far.handshake_us < 1000";
    let run = longhaul(&["hunt", &farm, &tools, "--where", expr]);
    let mut want = String::new();
    for out in [&farm, &tools] {
        let text = fs::read_to_string(Path::new(out).join("sessions.ndjson")).unwrap();
        for line in text.lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            let leg = craft::at(&value, "longhaul.far.handshake_us").as_f64();
            if *craft::at(&value, "destination.port") == 443 && leg.is_some_and(|us| us < 1000.0) {
                want.push_str(line);
                want.push('\n');
            }
        }
    }
    assert!(!want.is_empty());
    assert_eq!(String::from_utf8_lossy(&run.stdout), want);
    let count = format!("holds for {} of", want.lines().count());
    assert!(said(&run).contains(&count), "{}", said(&run));
    let none = longhaul(&["hunt", &farm, "--where", "source.port == 0", "-q"]);
    assert_eq!((lines(&none).len(), said(&none).as_str()), (0, ""));
    let alerts = lines(&longhaul(&[
        "hunt",
        &farm,
        "--table",
        "alerts",
        "--where",
        "rule.id == 'D18' and longhaul.evidence.name startswith 'dns.'",
    ]));
    assert!(!alerts.is_empty() && alerts.iter().all(|alert| text(alert, "rule.id") == "D18"));
}

/// Rule, level and session of every hit or alert.
type Hits = BTreeSet<(String, String, String)>;

/// Those of alerts on sessions. Of a merged one the evidence names the sessions.
fn of_alerts(out: &str) -> Hits {
    let mut all = Hits::new();
    let rules = RuleSet::embedded().unwrap();
    for alert in craft::values(&Path::new(out).join("alerts.ndjson")) {
        let uuid = text(&alert, "rule.uuid");
        let rule = rules.iter().find(|rule| rule.info().uuid == uuid).unwrap();
        if rule.service() != "session" {
            continue;
        }
        let count = craft::at(&alert, "longhaul.count").as_u64().unwrap_or(1);
        assert!(count <= 8, "evidence names no more");
        let evidence = craft::at(&alert, "longhaul.evidence").as_array().cloned().unwrap();
        for item in &evidence {
            for session in craft::at(item, "sessions").as_array().unwrap() {
                let pair = [text(&alert, "rule.id"), text(&alert, "log.level")].map(str::to_owned);
                let [id, level] = pair;
                all.insert((id, level, session.as_str().unwrap().to_owned()));
            }
        }
    }
    all
}

#[test]
fn rules_say_of_stored_sessions_what_they_said_when_these_were_read() {
    let folder = tempfile::tempdir().unwrap();
    for out in [farm(folder.path()), tools(folder.path())] {
        let want = of_alerts(&out);
        assert!(!want.is_empty());
        let run = longhaul(&["hunt", &out]);
        let hits = lines(&run);
        let names = ["rule.id", "log.level", "longhaul.session.id"];
        let hit = |hit: &Value| {
            let [id, level, session] = names.map(|name| text(hit, name).to_owned());
            (id, level, session)
        };
        let got: Hits = hits.iter().map(hit).collect();
        assert_eq!(got, want);
        assert_eq!(got.len(), hits.len(), "each once");
        assert!(said(&run).contains("not judged"), "{}", said(&run));
        let alerts = craft::values(&Path::new(&out).join("alerts.ndjson"));
        for hit in &hits {
            let same = |alert: &&Value| {
                // One that fired while the session went on has the numbers of then.
                text(alert, "@timestamp") == text(hit, "@timestamp")
                    && text(alert, "rule.uuid") == text(hit, "rule.uuid")
                    && text(alert, "longhaul.session.id") == text(hit, "longhaul.session.id")
            };
            if let Some(alert) = alerts.iter().find(same) {
                // A merged alert adds how many it stands for.
                let (said, words) = (text(alert, "message"), text(hit, "message"));
                assert!(said.starts_with(words), "{said} / {words}");
            }
        }
        let high = lines(&longhaul(&["hunt", &out, "--level", "high"]));
        assert!(high.iter().all(|hit| ["high", "critical"].contains(&text(hit, "log.level"))));
        assert!(high.len() < hits.len());
    }
}

#[test]
fn every_case_of_every_rule_is_judged_from_its_line_as_from_its_record() {
    let rules = RuleSet::embedded().unwrap();
    let catalog = SourceCatalog { lists: Vec::new(), place: None, asn: None };
    let origin = Origin::new("longhaul", [Path::new("a.pcap")]);
    let (mut judged, mut fired) = (0, BTreeSet::new());
    for folder in fs::read_dir(common::own("rules/cases")).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            let object: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let Some(object) = object.as_object() else { continue };
            let Ok(record) = records::record_from_json(object) else { continue };
            let (mut alerts, mut line) = (Vec::<Alert>::new(), Vec::new());
            rules.evaluate(&record, &catalog, &mut alerts);
            render_session(&record, &origin, &mut line);
            let line: Value = serde_json::from_slice(&line).unwrap();
            let hits = rules.hits(&line).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let said = |uuid: &str, message: &str| (uuid.to_owned(), message.to_owned());
            let want: BTreeSet<_> =
                alerts.iter().map(|alert| said(&alert.rule.uuid, &alert.message)).collect();
            let got: BTreeSet<_> =
                hits.iter().map(|hit| said(&hit.rule.uuid, &hit.message)).collect();
            assert_eq!(got, want, "{}", path.display());
            judged += 1;
            fired.extend(want.into_iter().map(|(uuid, _)| uuid));
        }
    }
    assert!(judged > 100 && fired.len() > 20, "{judged} cases, {} rules", fired.len());
}

#[test]
fn endpoints_and_correlations_are_judged_as_when_they_were_read() {
    let folder = tempfile::tempdir().unwrap();
    let capture = folder.path().join("farm.pcap.zst");
    let (capture, out) = (capture.to_str().unwrap(), folder.path().join("out"));
    assert!(longhaul(&["demo", "--extract", capture]).status.success());
    let own = folder.path().join("own.yml");
    let text_of = "title: c\nid: 5f0c2a52-9d0e-4c0b-8b3a-3a7d4c1a9e20\nname: c\nlevel: low\n\
        correlation:\n  type: event_count\n  rules: [each]\n  group-by: [source.ip]\n  timespan: 1h\n  \
        condition: {gte: 3}\nlonghaul: {id: X901, family: N, topologies: [T1], ratio: 1.1, message: \
        '{value} of {source.ip}'}\n---\ntitle: each\nid: 5f0c2a52-9d0e-4c0b-8b3a-3a7d4c1a9e21\nname: \
        each\nlogsource: {product: longhaul, service: session}\ndetection:\n  s:\n    \
        destination.port|exists: true\n  condition: s\n";
    fs::write(&own, text_of).unwrap();
    let (out, own) = (out.to_str().unwrap(), own.to_str().unwrap());
    let read = longhaul(&["read", capture, "--out", out, "--place", "IAD", "--rules", own, "-q"]);
    assert!(read.status.success(), "{}", said(&read));
    let alerts = craft::values(&Path::new(out).join("alerts.ndjson"));
    let of_own = |all: &[Value]| {
        let own = all.iter().filter(|one| text(one, "rule.id") == "X901");
        let mut said: Vec<String> = own.map(|one| text(one, "message").to_owned()).collect();
        said.sort();
        said
    };
    let hits = lines(&longhaul(&["hunt", out, "--rules", own]));
    assert!(of_own(&alerts).len() >= 2, "{:?}", of_own(&alerts));
    assert_eq!(of_own(&hits), of_own(&alerts));

    let rules = RuleSet::embedded().unwrap();
    let on_endpoints =
        |id: &&str| rules.iter().any(|rule| rule.info().id == **id && rule.service() == "endpoint");
    let want: BTreeSet<&str> =
        alerts.iter().map(|alert| text(alert, "rule.id")).filter(on_endpoints).collect();
    let run = longhaul(&["hunt", out, "--table", "endpoints"]);
    let hits = lines(&run);
    let have: BTreeSet<&str> = hits.iter().map(|hit| text(hit, "rule.id")).collect();
    assert!(!want.is_empty() && want.is_subset(&have), "{want:?} of {have:?}");
    assert!(hits.iter().all(|hit| !text(hit, "endpoint.ip").is_empty()), "{hits:?}");
    assert!(said(&run).contains("rules on sessions are not judged here"), "{}", said(&run));
}

#[test]
fn rules_of_ones_own_judge_what_a_filter_lets_through() {
    let folder = tempfile::tempdir().unwrap();
    let out = tools(folder.path());
    let rule = folder.path().join("own.yml");
    fs::write(
        &rule,
        "title: Anything to that port\nid: 0aee9a3c-8f0b-4d1c-9f6a-2f2d6f6f5b11\nname: any_port\n\
         status: test\ndescription: Any session to port 443\nlogsource:\n  product: longhaul\n  \
         service: session\ndetection:\n  selection:\n    destination.port: 443\n  condition: \
         selection\nlevel: low\nlonghaul:\n  id: X01\n  family: N\n  topologies: [T1]\n  \
         group: network\n  message: '{source.ip} to {destination.port}'\n  evidence:\n    \
         - {field: destination.port}\n  benign_checked: ['none']\n",
    )
    .unwrap();
    let rule = rule.to_str().unwrap();
    let filter = "source.ip in ('10.0.0.6/31')";
    let run = longhaul(&["hunt", &out, "--rules-only", rule, "--where", filter]);
    let hits = lines(&run);
    let messages: Vec<&str> = hits.iter().map(|hit| text(hit, "message")).collect();
    assert_eq!(messages, ["10.0.0.6 to 443", "10.0.0.7 to 443"], "{}", said(&run));
}

#[test]
fn what_is_wrong_is_said_at_once_and_damaged_lines_by_number() {
    let folder = tempfile::tempdir().unwrap();
    let out = tools(folder.path());
    let run = longhaul(&["hunt", &out, "/nowhere", "--where", "source.prt == 1", "--level", "x"]);
    assert_eq!(run.status.code(), Some(2));
    for word in ["/nowhere", "column 1: unknown field `source.prt`", "`source.port`", "level"] {
        assert!(said(&run).contains(word), "{word}: {}", said(&run));
    }
    let run = longhaul(&["hunt", &out, "--table", "alerts"]);
    assert_eq!(run.status.code(), Some(2), "rules judge sessions only");
    let path = Path::new(&out).join("sessions.ndjson");
    let mut text = fs::read_to_string(&path).unwrap();
    text.insert_str(text.find('\n').unwrap() + 1, "{\"event\":\n");
    fs::write(&path, &text).unwrap();
    let run = longhaul(&["hunt", &out, "--where", "source.port == 1"]);
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("sessions.ndjson:2"), "{}", said(&run));
    // A value of another type than its field has.
    let text =
        text.replacen("{\"event\":\n", "", 1).replacen("\"port\":443", "\"port\":\"443\"", 1);
    fs::write(&path, &text).unwrap();
    let run = longhaul(&["hunt", &out]);
    assert_eq!(run.status.code(), Some(2));
    assert!(said(&run).contains("destination.port"), "{}", said(&run));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a kill comes at some moment")]
fn a_search_that_is_killed_goes_on_to_the_same_answers() {
    let folder = tempfile::tempdir().unwrap();
    let farm = farm(folder.path());
    let tools = tools(folder.path());
    let runs: Vec<String> = (0..12)
        .map(|n| {
            let own = folder.path().join(format!("run-{n:02}"));
            fs::create_dir(&own).unwrap();
            for file in fs::read_dir(if n % 3 == 0 { &tools } else { &farm }).unwrap() {
                let file = file.unwrap();
                if file.file_type().unwrap().is_file() {
                    fs::copy(file.path(), own.join(file.file_name())).unwrap();
                }
            }
            own.to_str().unwrap().to_owned()
        })
        .collect();
    let runs: Vec<&str> = runs.iter().map(String::as_str).collect();
    let whole = longhaul(&[&["hunt"][..], &runs].concat());
    assert!(lines(&whole).len() > 12, "{}", said(&whole));
    let mut kills = 0;
    for round in 0..4u64 {
        let notes = folder.path().join(format!("notes-{round}"));
        let args = [&["hunt", "--resume", notes.to_str().unwrap()][..], &runs].concat();
        for attempt in 0..40u64 {
            let mut child = Command::new(env!("CARGO_BIN_EXE_longhaul"))
                .args(&args)
                .stdout(std::process::Stdio::null())
                .stderr(std::process::Stdio::null())
                .spawn()
                .unwrap();
            let pause = 30 + (round * 41 + attempt * 29) % 200;
            std::thread::sleep(std::time::Duration::from_millis(pause));
            if child.try_wait().unwrap().is_some_and(|status| status.success()) {
                break;
            }
            let _ = child.kill();
            kills += u32::from(!child.wait().unwrap().success());
        }
        let end = longhaul(&args);
        assert_eq!(end.stdout, whole.stdout, "{round}: {}", said(&end));
        assert_eq!(said(&end), said(&whole));
    }
    assert!(kills >= 4, "{kills} were killed");
    let notes = folder.path().join("notes-0");
    let with = |more: &[&str]| {
        let args = [&["hunt", "--resume", notes.to_str().unwrap()][..], &runs, more].concat();
        let run = longhaul(&args);
        assert_eq!(run.status.code(), Some(2), "{}", said(&run));
        said(&run)
    };
    let other = with(&["--level", "high"]);
    assert!(other.contains("of another question") && other.contains("help: "), "{other}");
    let sessions = Path::new(runs[3]).join("sessions.ndjson");
    fs::write(&sessions, [fs::read(&sessions).unwrap(), b"\n".to_vec()].concat()).unwrap();
    assert!(with(&[]).contains("it was written to since it was searched"));
}

#[test]
fn answers_that_cannot_be_kept_are_no_fault_of_the_result() {
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("result");
    let demo = common::demo();
    let read = longhaul(&["read", demo.to_str().unwrap(), "--out", result.to_str().unwrap(), "-q"]);
    assert!(read.status.success(), "{}", said(&read));
    // More than is buffered.
    let sessions = result.join("sessions.ndjson");
    let lines = fs::read(&sessions).unwrap();
    fs::write(&sessions, lines.repeat((1 << 20) / lines.len() + 1)).unwrap();
    // The shell's limit stands for a disk that is full.
    let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" hunt result --where 'exists event.id' \
                  --resume notes -q > /dev/null";
    let run = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_longhaul")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = said(&run);
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("notes/") && said.contains("help: free some space"), "{said}");
    assert!(!said.contains("sessions.ndjson"), "{said}");
}
