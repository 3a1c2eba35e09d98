use serde_json::{Value, json};

use super::*;
use crate::results::find::find;

const ALERT: &str = "a1a1a1a1a1a1a1a1";
const SESSION: &str = "b2b2b2b2b2b2b2b2";
const SUM: &str = "c3c3c3c3c3c3c3c3";

fn event(id: &str, second: u32) -> Value {
    let time = format!("2026-11-23T02:00:{second:02}Z");
    json!({ "id": id, "start": time, "end": time })
}

/// A result with an alert about 10.0.0.5, sums of it, and perhaps a session.
fn wanted(id: &str, with_session: bool) -> Result<Wanted, Error> {
    let folder = tempfile::tempdir().unwrap();
    let mut alert_event = event(ALERT, 0);
    alert_event["end"] = "2026-11-23T02:00:30Z".into();
    let alert = json!({ "event": alert_event, "endpoint": { "ip": "10.0.0.5" } });
    let mut lines = String::new();
    for second in [1, 2, 50] {
        let mut event = event(SUM, second);
        event["action"] = SUMMED.into();
        lines += &format!("{}\n", json!({ "event": event, "source": { "ip": "10.0.0.5" } }));
    }
    if with_session {
        let session = json!({
            "event": event(SESSION, 3),
            "source": { "ip": "10.0.0.5", "port": 40000 },
            "destination": { "ip": "192.0.2.1", "port": 443 },
            "network": { "iana_number": "6", "type": "ipv4" },
            "longhaul": { "packets": [{ "input": 0, "first": 1, "last": 2 }] },
        });
        lines += &format!("{session}\n");
    }
    std::fs::write(folder.path().join("run.json"), "{}").unwrap();
    std::fs::write(folder.path().join("alerts.ndjson"), format!("{alert}\n")).unwrap();
    std::fs::write(folder.path().join("sessions.ndjson"), lines).unwrap();
    let results = Results::open(folder.path())?;
    of(&results, vec![asked(&results, &find(&results, id)?)?])?.remove(0)
}

#[test]
fn sums_of_an_endpoint_are_counted_and_its_sessions_found() {
    let found = wanted(ALERT, true).unwrap_or_else(|error| panic!("{error}"));
    let ids: Vec<&str> = found.sessions.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(ids, [SESSION]);
    assert!(found.notes.iter().any(|note| note.starts_with("2 sums ")), "{:?}", found.notes);
}

#[test]
fn sums_alone_are_refused_in_their_own_words() {
    for id in [ALERT, SUM] {
        let error = wanted(id, false).unwrap_err();
        assert!(error.cause.contains("sum") && error.help.is_some(), "{error}");
    }
}

#[test]
fn only_lines_of_ours_are_told_by_their_ids() {
    let id =
        |line: &str| own_id(line.as_bytes()).map(|id| String::from_utf8_lossy(id).into_owned());
    assert_eq!(id(r#"{"x":1,"event":{"kind":"event","id":"b2b2"},"y":{}}"#), Some("b2b2".into()));
    for other in [
        r#"{"event":{"inner":{},"id":"b2b2"}}"#,
        r#"{"event":{"kind":"event"},"z":{"id":"b2b2"}}"#,
        r#"{"event": {"id": "b2b2"}}"#,
        r#"{"event":{"id":"b2\u0062"}}"#,
        r#"{"message":"\"event\":{\"id\":\"b2\""}"#,
        "",
    ] {
        assert_eq!(id(other), None, "{other}");
    }
}
