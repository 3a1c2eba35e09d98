//! Timelines of days with more facts than are told, and of ids that are also names.

use std::fs;

use tempfile::tempdir;

use crate::{made, timeline};

/// An alert, incident or session of a subject.
fn line(file: &str, who: (&str, &str), at: (usize, &str), text: &str) -> String {
    let start = format!("2026-11-01T22:00:{:02}.000000000Z", at.0 % 60);
    let dataset = if file == "incidents" { "longhaul.incident" } else { "longhaul.alert" };
    let value = serde_json::json!({
        "@timestamp": start, "message": text, "log": {"level": "high"},
        "event": {"id": format!("{file}-{}", at.0), "dataset": dataset, "start": start,
            "end": "2026-11-02T03:10:00.000000000Z"},
        "source": {"ip": format!("203.0.{}.{}", at.0 / 200, 1 + at.0 % 200)},
        "destination": {"ip": "10.20.0.10"},
        "network": {"direction": "inbound", "application": format!("program {}", at.0)},
        "longhaul": {"subject": {"id": who.0, "name": who.1}, "change": at.1,
            "tags": [format!("vpn:{}", at.0)], "next_steps": [format!("{text} {}", at.0)]},
    });
    format!("{value}\n")
}

/// Many facts of a day are counted beyond what is kept; an incident counts once; times of another
/// day have their date.
#[test]
fn a_timeline_counts_what_it_does_not_tell() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 1, 1);
    let anna = ("e-7", "anna");
    let all = |file: &str, count: usize| -> String {
        (0..count).map(|at| line(file, anna, (at, "opened"), "did this")).collect()
    };
    let write = |file: &str, text: String| {
        fs::write(dir.path().join(format!("{file}.ndjson")), text).unwrap();
    };
    write("alerts", all("alerts", 300));
    write("sessions", all("sessions", 300));
    let changes = ["opened", "worse", "worse", "closed"];
    let changes = changes.map(|change| line("incidents", anna, (1, change), "went on"));
    write("incidents", changes.concat());
    let (code, told, errors) = timeline(dir.path(), "anna");
    assert_eq!(code, Some(0), "{errors}");
    let flat = told.split_whitespace().collect::<Vec<_>>().join(" ").replace(" - ", " ");
    for part in [
        "300 sessions on 1 day, 301 findings",
        "the first began at 22:00, the last ended at 2026-11-02 03:10;",
        "And 248 more other addresses. Beyond these, 44 sessions with further addresses",
        "And 248 more programs or protocols. Beyond these, 44 sessions of further programs",
        "And 248 more tools. Beyond these, 44 signs of further tools",
        "And 293 more alerts or incidents.",
        "45 sentences more are not told here",
    ] {
        assert!(flat.contains(part), "{part}: {told}");
    }
    write("alerts", String::new());
    let told = timeline(dir.path(), "anna").1;
    assert!(told.contains("Incident closed") && !told.contains("Incident worse"), "{told}");
}

/// An id is not mistaken for somebody's name.
#[test]
fn an_id_wins_over_a_name_in_a_timeline() {
    let dir = tempdir().unwrap();
    made::run(dir.path(), 1, 1);
    let of = |at, who| line("alerts", who, (at, "opened"), "did this");
    let lines =
        [of(1, ("e-7", "anna")), of(2, ("anna", "Anna B")), of(3, ("e-7", "anna"))].concat();
    fs::write(dir.path().join("alerts.ndjson"), lines).unwrap();
    let (code, told, errors) = timeline(dir.path(), "anna");
    assert_eq!(code, Some(0), "{errors}");
    assert!(told.starts_with("Anna B (anna)") && told.contains("1 finding."), "{told}");
    assert!(timeline(dir.path(), "e-7").1.contains("2 findings."));
}
