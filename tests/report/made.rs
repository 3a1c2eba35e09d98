//! Results of any size, made here: lines as a run writes them.
//!
//! Owns: their form. In: how many sessions and incidents, and what names are. Out: a directory.
//! Never: a line that the schema does not know.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

/// A name that wants to be markup, script, and not what it seems.
pub const HOSTILE: &str = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\
                           \"&amp;<svg onload=alert(3)>\u{202e}txt.exe\u{2066}\u{1b}[31m\u{0}";

/// Results with plain names.
pub fn run(dir: &Path, sessions: usize, incidents: usize) {
    run_with(dir, sessions, incidents, "Robin Example");
}

/// Results whose people, servers and programs have this name.
pub fn run_with(dir: &Path, sessions: usize, incidents: usize, name: &str) {
    let mut lines = String::new();
    for at in 0..sessions {
        writeln!(lines, "{}", session(at, incidents, name)).unwrap();
    }
    std::fs::write(dir.join("sessions.ndjson"), lines).unwrap();
    let findings = |kind: &'static str| {
        let lines = (0..incidents).map(move |at| format!("{}\n", finding(kind, at, name)));
        lines.collect::<String>()
    };
    std::fs::write(dir.join("alerts.ndjson"), findings("alert")).unwrap();
    std::fs::write(dir.join("incidents.ndjson"), findings("incident")).unwrap();
    let endpoints = (0..incidents).map(|at| format!("{}\n", endpoint(at)));
    std::fs::write(dir.join("endpoints.ndjson"), endpoints.collect::<String>()).unwrap();
    let run = json!({
        "schema_version": 3, "version": "0.1.0", "arguments": ["place=IAD"],
        "sensor": {"name": "longhaul", "place": {"lat": 39.04, "lon": -77.49, "code": "IAD"}},
        "inputs": [{"path": name, "verdict": "ok", "bytes": 1, "packets": 2, "sha256": "00"}],
        "rules": [{"name": "embedded", "build": "2026-11-28", "version": "1", "entries": 65}],
        "geo": [], "lists": [{"name": name, "build": "2026-11-22", "entries": 1}],
        "interrupted": false, "loss": {"table": 3},
        "counters": {"capture": {"frames": 1000}},
        "totals": {"sessions": sessions, "endpoints": incidents, "alerts": incidents,
                   "incidents": incidents},
    });
    std::fs::write(dir.join("run.json"), run.to_string()).unwrap();
}

fn time(at: usize) -> String {
    let (day, hour, minute) = (1 + at / 1_440 % 28, at / 60 % 24, at % 60);
    format!("2026-11-{day:02}T{hour:02}:{minute:02}:00.000000000Z")
}

fn person(at: usize) -> String {
    format!("e-{at:05}")
}

fn session(at: usize, people: usize, name: &str) -> Value {
    let who = at % people.max(1);
    json!({
        "@timestamp": time(at), "event": {
            "id": format!("{at:012x}{at:020x}"), "start": time(at), "end": time(at + 90),
            "duration": 5_400_000_000_000_u64},
        "source": {"ip": format!("203.0.113.{}", who % 200), "port": 40_000, "bytes": 700,
            "geo": {"country_iso_code": "AU", "location": {"lat": -26.8, "lon": 152.4}},
            "as": {"number": 1221, "organization": {"name": name}}},
        "destination": {"ip": "10.20.0.10", "port": 443, "domain": name},
        "network": {"direction": "inbound", "transport": "tcp", "protocol": "tls",
            "application": name, "bytes": 1000 + at},
        "tls": {"client": {"server_name": name}},
        "longhaul": {"subject": {"id": person(who), "name": name},
            "near": {"handshake_us": 3180.2 + at as f64, "rtt": {"min_us": 3138.9}},
            "far": {"handshake_us": 43.8}, "gap": {"tls_us": 891.3, "first_data_us": 5.0},
            "server_gap": {"tls_us": 455.7},
            "physics": {"geo_km": 15064.8, "claim_km": 15064.8, "claim_of": "geo",
                "verdict": "too-fast", "refuted": ["geo"]},
            "tags": [name], "quality": {"retransmits": at % 3, "one_way": false}},
    })
}

fn finding(kind: &str, at: usize, name: &str) -> Value {
    let dataset = format!("longhaul.{kind}");
    let digit = if kind == "alert" { 'a' } else { 'b' };
    json!({
        "@timestamp": time(at), "event": {
            "id": format!("{digit}{at:011x}{at:020x}"), "dataset": dataset, "severity": 75,
            "start": time(at), "end": time(at + 1)},
        "log": {"level": "high"}, "message": format!("{name} did this"),
        "rule": {"id": "D01", "name": "made_here", "description": name},
        "related": {"ip": [format!("203.0.113.{}", at % 200)]},
        "longhaul": {"subject": {"id": person(at), "name": name}, "change": "opened",
            "score": 0.9 - at as f64 / 10_000.0, "groups": ["latency", "list"], "ratio": 20.0,
            "prior": 0.0005,
            "alerts": [{"rule": {"id": "D01"}, "time": time(at), "message": name, "ratio": 20.0}],
            "evidence": [{"name": "longhaul.near.handshake_us", "value": 3180.2, "unit": "us",
                "samples": 1, "sessions": [format!("{at:012x}{at:020x}")]}],
            "benign_checked": [name], "next_steps": [name], "does_not_prove": [name],
            "packets": [{"file": name, "first": 1, "last": 2}]},
    })
}

fn endpoint(at: usize) -> Value {
    json!({
        "@timestamp": time(at), "endpoint": {"ip": format!("203.0.113.{}", at % 200),
            "side": "remote", "role": "initiator"},
        "longhaul": {"sessions": 4, "handshakes": 4, "floor_us": 3100.0,
            "hidden_leg": {"us": 151_000.0, "confidence": 0.93, "samples": 4},
            "remote_control": {"share": 0.91, "baseline": 0.2, "lag_us": 90_000.0,
                "samples": 141, "confidence": 0.97, "via": "rdp", "from": "198.51.100.4"}},
    })
}
