//! What a live run learns is kept, within the sandbox, and however it ends.

use std::path::Path;
use std::process::Command;

use crate::demo;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::json;
use crate::net::wait_for;
use crate::scratch;

fn shown(state: &str) -> (Option<i32>, String) {
    let command = &mut Command::new(env!("CARGO_BIN_EXE_longhaul"));
    let ended = command.args(["state", "show", state]).output().unwrap();
    (ended.status.code(), String::from_utf8(ended.stdout).unwrap())
}

#[test]
fn what_is_learned_outlives_the_run_and_a_kill_loses_only_what_came_since() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let state = dir.path().join("state").display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--state", &state]);
    let said = sensor.hears("baselines: ");
    assert!(said.contains("still learning, from the first session on"), "{said}");
    net.send("b0", &demo());
    let received = Path::new(&out).join(".sessions.ndjson.partial");
    wait_for("sessions", || std::fs::metadata(&received).is_ok_and(|data| data.len() > 20_000));
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    let report = json(&Path::new(&out).join("run.json"));
    let learned = report["state"]["sessions"].as_u64().unwrap();
    assert!(learned > 20, "{learned}");
    let (code, text) = shown(&state);
    assert!(code == Some(0) && text.starts_with(&format!("{learned} sessions from")), "{text}");

    let again = dir.path().join("again").display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &again, "--state", &state]);
    let said = sensor.hears("baselines: ");
    assert!(said.contains("still learning, until 20"), "{said}");
    net.send("b0", &demo());
    sensor.signal("KILL");
    assert_eq!(sensor.end().0, None);
    assert_eq!(shown(&state), (Some(0), text));
}

/// Subjects of the incidents in a file that were opened.
fn opened(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let incidents = whole.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let opened = incidents.filter(|incident| incident["longhaul"]["change"] == "opened");
    opened.map(|of| of["longhaul"]["subject"]["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_told_before_a_kill_is_not_told_again() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let state = dir.path().join("state").display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--state", &state]);
    sensor.hears("baselines: ");
    net.send("b0", &demo());
    let told = Path::new(&out).join(".incidents.ndjson.partial");
    wait_for("an incident", || !opened(&told).is_empty());
    sensor.signal("KILL");
    assert_eq!(sensor.end().0, None);
    let before = opened(&told);

    let again = dir.path().join("again").display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &again, "--state", &state]);
    sensor.hears("baselines: ");
    net.send("b0", &demo());
    let received = Path::new(&again).join(".sessions.ndjson.partial");
    wait_for("sessions", || std::fs::metadata(&received).is_ok_and(|data| data.len() > 20_000));
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    let after = opened(&Path::new(&again).join("incidents.ndjson"));
    assert!(before.iter().all(|subject| !after.contains(subject)), "{before:?} and {after:?}");
    let report = json(&Path::new(&again).join("run.json"));
    assert!(report["counters"]["detect"]["alerts_merged"].as_u64().unwrap() > 0);
}
