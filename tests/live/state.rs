//! What a live run learns is kept, within the sandbox, and however it ends.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::datagram;
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
fn baselines_survive_a_run_and_a_kill_loses_only_those_since_the_last_write() {
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

/// Whole lines of a file that is being written.
fn so_far(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn subject(line: &Value) -> String {
    line["longhaul"]["subject"]["id"].as_str().unwrap().to_owned()
}

/// Rules of two families, each told once a day of a subject; sessions that end at once.
fn given(dir: &Path) -> [String; 4] {
    let (rules, config) = (dir.join("rules"), dir.join("longhaul.toml"));
    std::fs::create_dir(&rules).unwrap();
    let rule = include_str!("rule.yml").to_owned() + "  merge_by: [source.ip]\n";
    std::fs::write(rules.join("one.yml"), rule.replace("PORT", "4001")).unwrap();
    let other = rule.replace("PORT", "4002").replace("id: D18", "id: D08");
    std::fs::write(rules.join("two.yml"), other.replace("family: N", "family: R")).unwrap();
    std::fs::write(&config, "[caps]\nsessions = 16\n").unwrap();
    let text = |path: &Path| path.display().to_string();
    ["--rules-only".to_owned(), text(&rules), "--config".to_owned(), text(&config)]
}

#[test]
fn alerts_reported_before_a_kill_are_known_after_it() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let (state, again) = (dir.path().join("state"), dir.path().join("again"));
    let (state, again) = (state.display().to_string(), again.display().to_string());
    let given = given(dir.path());
    let start = |out: &str| {
        let given = given.iter().map(String::as_str);
        let args: Vec<&str> =
            ["a0", "--out", out, "--state", &state].into_iter().chain(given).collect();
        Sensor::start(&args)
    };
    let to = |port: u16| -> Vec<Vec<u8>> {
        (1..=100).map(|n| datagram((n, 4_000), (200, port), b"hello")).collect()
    };
    let sensor = start(&out);
    net.send_paced("b0", &to(4_001), 1);
    let told = Path::new(&out).join(".alerts.ndjson.partial");
    wait_for("alerts", || so_far(&told).len() > 10);
    sensor.signal("KILL");
    assert_eq!(sensor.end().0, None);
    let before: Vec<String> = so_far(&told).iter().map(subject).collect();

    let sensor = start(&again);
    net.send_paced("b0", &[to(4_001), to(4_002)].concat(), 1);
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    let of = |name: &str| so_far(&Path::new(&again).join(name));
    let alerts = of("alerts.ndjson").into_iter().filter(|line| line["rule"]["id"] == "D18");
    let after: Vec<String> = alerts.map(|line| subject(&line)).collect();
    assert!(!after.is_empty() && before.iter().all(|one| !after.contains(one)), "fired twice");
    let incidents: Vec<String> = of("incidents.ndjson").iter().map(subject).collect();
    assert!(before.iter().all(|one| incidents.contains(one)), "{before:?} {incidents:?}");
}
