//! Metrics of a running sensor, its answers about its health, and its words to a service manager.
//!
//! Each test has its own network namespace; if that is not allowed the tests print `skipped:`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and a test of a live sensor waits"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[path = "live/net.rs"]
mod net;
#[path = "metrics/servers.rs"]
mod servers;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use longhaul::model::Counter;
use net::{Net, Sensor, frames, json, wait_for};
use tempfile::TempDir;

fn scratch() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    // The sensor drops root and must still be able to reach it.
    let world = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(dir.path(), world).unwrap();
    let out = dir.path().join("out").display().to_string();
    (dir, out)
}

fn demo() -> Vec<Vec<u8>> {
    frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/farm.pcap.zst"))
}

/// Where a sensor shows its metrics: `127.0.0.1:PORT`.
fn address(sensor: &Sensor) -> String {
    let line = sensor.said("metrics: http://").expect("it says where");
    line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
}

fn connect(at: &str) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream
}

/// All that a server answers to these bytes.
fn answer(at: &str, request: &[u8]) -> String {
    let mut stream = connect(at);
    // The server may close while it is sent too much.
    let _ = stream.write_all(request);
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

/// Status and body.
fn get(at: &str, path: &str) -> (String, String) {
    let text = answer(at, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

/// Values by name and labels.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let pair = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(pair).collect()
}

fn metrics(at: &str) -> BTreeMap<String, f64> {
    let (status, page) = get(at, "/metrics");
    if status == "200" { samples(&page) } else { BTreeMap::new() }
}

#[test]
fn a_scrape_has_every_counter_with_the_values_of_run_json() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let config = dir.path().join("c.toml");
    let file = dir.path().join("events.ndjson").display().to_string();
    let spool = dir.path().join("spool").display().to_string();
    let sink = format!("[[sink]]\nname = \"f\"\ntype = \"file\"\npath = \"{file}\"\n");
    let metrics_at = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&config, format!("{sink}spool = \"{spool}\"\n{metrics_at}")).unwrap();
    let config = config.display().to_string();
    let sensor = Sensor::start(&["a0", "--out", &out, "--workers", "2", "--config", &config]);
    let at = address(&sensor);
    let sent = demo();
    net.send("b0", &sent);
    let frames = "longhaul_capture_frames_total";
    wait_for("all frames in a scrape", || {
        metrics(&at).get(frames) == Some(&(sent.len() as f64)) && get(&at, "/readyz").0 == "200"
    });
    assert_eq!(get(&at, "/healthz"), ("200".to_owned(), "alive\n".to_owned()));
    assert_eq!(get(&at, "/").0, "404");
    let (_, page) = get(&at, "/metrics");
    let seen = samples(&page);
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&Path::new(&out).join("run.json"));
    for counter in Counter::ALL {
        let (group, name) = (counter.group(), counter.name());
        let shown = seen[&format!("longhaul_{group}_{name}_total")];
        let reported = run["counters"][group][name].as_f64().unwrap();
        // Sessions go on; what was captured stays as it is.
        let is_final = ["capture", "decode"].contains(&group);
        assert!(shown == reported || !is_final && shown < reported, "{group} {name}: {shown}");
    }
    for (place, lost) in run["loss"].as_object().unwrap() {
        let name = format!("longhaul_loss_total{{place=\"{place}\"}}");
        assert!(place == "capture_share" || seen[&name] <= lost.as_f64().unwrap(), "{place}");
    }
    let sessions = seen["longhaul_table_entries{table=\"sessions\"}"];
    assert!(sessions <= seen["longhaul_session_sessions_total"], "{page}");
    assert!(seen["longhaul_table_limit_entries{table=\"sessions\"}"] > 1_000.0, "{page}");
    assert!(seen["longhaul_stage_seconds_count{stage=\"read\"}"] > 0.0, "{page}");
    assert!(seen["longhaul_stage_seconds_count{stage=\"work\"}"] > 0.0, "{page}");
    assert_eq!(seen["longhaul_interface_packets_total{interface=\"a0\"}"], sent.len() as f64);
    assert!(seen.contains_key("longhaul_sink_lag_seconds{sink=\"f\"}"), "{page}");
    assert_eq!(seen["longhaul_sink_refused_bytes{sink=\"f\"}"], 0.0, "{page}");
    assert!(seen.keys().any(|name| name.starts_with("longhaul_list_age_seconds")), "{page}");
    well_formed(&page);
    for text in [
        include_str!("../deploy/prometheus/longhaul.rules.yml"),
        include_str!("../deploy/grafana/longhaul.json"),
    ] {
        let unknown: Vec<&str> = metrics_named(text)
            .filter(|name| {
                let of_name = |line: &str| line.starts_with(&format!("# TYPE {name} "));
                let whole = name.strip_suffix("_bucket").map(|name| format!("# TYPE {name} "));
                !page.lines().any(|l| of_name(l) || whole.iter().any(|w| l.starts_with(w)))
            })
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}

/// The names of metrics in a text.
fn metrics_named(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("longhaul_"))
}

#[test]
fn alert_rules_and_dashboard_are_well_formed() {
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../deploy/grafana/longhaul.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10 && panels.iter().all(|panel| !panel["targets"].is_null()));
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus/longhaul.rules.yml");
    match Command::new("promtool").args(["check", "rules"]).arg(rules).output() {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(_) => println!("skipped: promtool is not installed"),
    }
}

/// Whether the program that reads such pages takes it.
fn well_formed(page: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = command.spawn() else {
        return println!("skipped: promtool is not installed");
    };
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    // 3: it would name something otherwise; 1: it cannot be read.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!([Some(0), Some(3)].contains(&output.status.code()), "{said}");
}

#[test]
fn slow_and_hostile_clients_harm_neither_capture_nor_others() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--metrics", "0"]);
    let at = address(&sensor);
    wait_for("the first page", || get(&at, "/metrics").0 == "200");
    let idle: Vec<TcpStream> = (0..100).map(|_| connect(&at)).collect();
    let half: Vec<TcpStream> = (0..50)
        .map(|_| {
            let mut stream = connect(&at);
            let _ = stream.write_all(b"GET /metr");
            stream
        })
        .collect();
    let begun = Instant::now();
    assert_eq!(get(&at, "/metrics").0, "200");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let long = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let answered = answer(&at, &long);
    assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 431 "), "{answered}");
    for wrong in [&b"\0\xff\xfe\r\n\r\n"[..], b"POST /metrics HTTP/1.1\r\n\r\n", b"\r\n\r\n"] {
        let answered = answer(&at, wrong);
        assert!(answered.starts_with("HTTP/1.1 40"), "{answered}");
    }
    // A client that asks and never reads.
    let mut deaf = connect(&at);
    deaf.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let sent = demo();
    net.send("b0", &sent);
    wait_for("all frames", || {
        metrics(&at).get("longhaul_capture_frames_total") == Some(&(sent.len() as f64))
    });
    assert_eq!(get(&at, "/readyz").0, "200");
    drop((idle, half, deaf));
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&Path::new(&out).join("run.json"));
    assert_eq!(run["counters"]["capture"]["frames"], sent.len());
    assert_eq!(run["loss"]["ring"], 0);
}

#[test]
fn a_server_that_is_stopped_holds_nothing_up() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--metrics", "0"]);
    let at = address(&sensor);
    wait_for("the first page", || get(&at, "/metrics").0 == "200");
    let [server] = &sensor.children()[..] else { panic!("{:?}", sensor.children()) };
    kill("-STOP", server);
    let sent = demo();
    net.send("b0", &sent);
    // Longer than its pipe has room for.
    std::thread::sleep(Duration::from_secs(4));
    let process = format!("/proc/{}/exe", sensor.id());
    let server = server.clone();
    let freed = std::thread::spawn(move || {
        // The process has ended; its line of errors is open as long as the stopped one lives.
        wait_for("the end", || std::fs::read_link(&process).is_err());
        kill("-KILL", &server);
    });
    let (code, said) = sensor.end();
    freed.join().unwrap();
    assert_eq!(code, Some(0), "{said}");
    let run = json(&Path::new(&out).join("run.json"));
    assert_eq!(run["counters"]["capture"]["frames"], sent.len());
    assert_eq!(run["loss"]["ring"], 0);
}

/// A service manager that listens.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    heard: Vec<String>,
}

impl Manager {
    fn start(dir: &Path) -> Manager {
        let path = dir.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let world = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&path, world).unwrap();
        Manager { socket, path, heard: Vec::new() }
    }

    /// Starts a sensor, as a unit with `WatchdogSec=` does or not.
    fn sensor(&self, watchdog: bool, args: &[&str]) -> Sensor {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
        command.env("NOTIFY_SOCKET", &self.path);
        if watchdog {
            command.env("WATCHDOG_USEC", "30000000");
        }
        Sensor::start_by(command, args)
    }

    /// The lines that come within a time.
    fn hears_within(&mut self, span: Duration) -> Vec<String> {
        let (until, before) = (Instant::now() + span, self.heard.len());
        let mut text = [0; 4_096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.heard[before..].to_vec();
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            if let Ok(length) = self.socket.recv(&mut text) {
                let text = String::from_utf8_lossy(&text[..length]).into_owned();
                self.heard.extend(text.lines().map(str::to_owned));
            }
        }
    }

    /// Waits for a line.
    fn hears(&mut self, word: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while !self.heard.iter().any(|line| line == word) {
            assert!(Instant::now() < until, "no {word} but {:?}", self.heard);
            self.hears_within(Duration::from_millis(50));
        }
    }
}

fn signs(heard: &[String]) -> usize {
    heard.iter().filter(|line| *line == "WATCHDOG=1").count()
}

fn kill(signal: &str, process: &str) {
    assert!(Command::new("kill").args([signal, process]).status().unwrap().success());
}

#[test]
fn a_service_manager_hears_of_the_start_of_life_and_of_the_end() {
    let Some(_net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let mut manager = Manager::start(dir.path());
    let sensor = manager.sensor(false, &["a0", "--out", &out]);
    manager.hears("READY=1");
    manager.hears("STATUS=capturing");
    assert!(sensor.said("metrics: http").is_none(), "nothing was asked for");
    assert_eq!(sensor.end().0, Some(0));
    manager.hears("STOPPING=1");
    assert_eq!(signs(&manager.heard), 0, "no watchdog was there: {:?}", manager.heard);
}

#[test]
fn the_watchdog_hears_from_the_process_that_captures_and_from_no_other() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let mut manager = Manager::start(dir.path());
    let sensor = manager.sensor(true, &["a0", "--out", &out]);
    let own = sensor.id().to_string();
    assert!(sensor.said("nothing can be sent, but 10 bytes").is_some(), "it is confined");
    manager.hears("WATCHDOG=1");
    let while_it_runs = manager.hears_within(Duration::from_secs(4));
    assert!((2..=6).contains(&signs(&while_it_runs)), "{while_it_runs:?}");
    // The process that shows how the run is: a sensor without it is as healthy as before.
    let [server] = &sensor.children()[..] else { panic!("{:?}", sensor.children()) };
    kill("-KILL", server);
    let alone = manager.hears_within(Duration::from_secs(4));
    assert!((2..=6).contains(&signs(&alone)), "{alone:?}");
    kill("-STOP", &own);
    manager.hears_within(Duration::from_millis(200));
    let stopped = manager.hears_within(Duration::from_secs(4));
    assert_eq!(signs(&stopped), 0, "{stopped:?}");
    kill("-CONT", &own);
    let sent = demo();
    net.send("b0", &sent);
    let goes_on = manager.hears_within(Duration::from_secs(3));
    assert!(signs(&goes_on) > 0, "{goes_on:?}");
    assert!(!manager.heard.iter().any(|line| line == "STOPPING=1"), "{:?}", manager.heard);
    assert_eq!(sensor.end().0, Some(0));
    manager.hears("STOPPING=1");
    let run = json(&Path::new(&out).join("run.json"));
    assert_eq!(run["counters"]["capture"]["frames"], sent.len());
}

#[test]
fn a_watchdog_that_is_too_impatient_is_refused_with_a_remedy() {
    let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["live", "a0", "--duration", "5s"])
        .env("WATCHDOG_USEC", "1000000")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(said.contains("less than 3 seconds") && said.contains("WatchdogSec="), "{said}");
}

#[test]
fn an_address_that_cannot_be_used_is_refused_with_a_remedy() {
    let Some(_net) = Net::new(1) else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (word, cause) in [(taken.as_str(), "in use"), ("nowhere", "is no address")] {
        let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .args(["live", "a0", "--duration", "5s", "--metrics", word])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains(cause) && said.contains("help: give "), "{said}");
    }
}
