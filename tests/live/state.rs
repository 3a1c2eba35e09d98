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
