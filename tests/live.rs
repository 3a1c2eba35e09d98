//! The sensor on real interfaces, in networks that the tests create.
//!
//! Each test has its own network namespace, with pairs of connected interfaces. If that is not
//! allowed the tests print `skipped:`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and a test of a live sensor waits"
)]

#[path = "live/full.rs"]
mod full;
#[path = "live/lasting.rs"]
mod lasting;
#[path = "live/load.rs"]
mod load;
#[path = "live/net.rs"]
#[allow(dead_code, reason = "the shared module serves several tests")]
mod net;
#[path = "live/replaced.rs"]
mod replaced;
#[path = "live/start.rs"]
mod start;
#[path = "live/state.rs"]
mod state;
#[cfg(feature = "tui")]
#[path = "common/tmux.rs"]
#[allow(dead_code, reason = "the shared module serves several tests")]
mod tmux;
#[path = "live/tunnels.rs"]
mod tunnels;
#[cfg(feature = "tui")]
#[path = "live/view.rs"]
mod view;
#[path = "live/watch.rs"]
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use net::Net;
use net::Sensor;
use net::frames;
use net::json;
use net::lines;
use net::wait_for;
use serde_json::Value;
use tempfile::TempDir;

/// The project's demonstration capture.
fn demo() -> Vec<Vec<u8>> {
    frames(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo/farm.pcap.zst"))
}

fn scratch() -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    // The sensor drops root and must still be able to reach it.
    let world = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), world).unwrap();
    let out = dir.path().join("out").display().to_string();
    (dir, out)
}

fn file(out: &str, name: &str) -> PathBuf {
    Path::new(out).join(name)
}

/// A counter of run.json.
fn count(run: &Value, group: &str, name: &str) -> u64 {
    run["counters"][group][name].as_u64().unwrap()
}

fn whole(n: usize) -> u64 {
    n as u64
}

/// Inserts tags behind a frame's addresses.
fn tagged(frame: &[u8], tags: &[u8]) -> Vec<u8> {
    [&frame[..12], tags, &frame[12..]].concat()
}

/// A UDP datagram over Ethernet and IPv4.
fn datagram(from: (u8, u16), to: (u8, u16), payload: &[u8]) -> Vec<u8> {
    let udp = 8 + payload.len() as u16;
    let mut frame = vec![2, 0, 0, 0, 0, to.0, 2, 0, 0, 0, 0, from.0, 8, 0, 0x45, 0];
    frame.extend((20 + udp).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, from.0, 10, 0, 0, to.0]);
    for word in [from.1, to.1, udp, 0] {
        frame.extend(word.to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// A session line without what depends on the moment of capture, by its five-tuple; and its legs.
type Plain = BTreeMap<String, (Value, Vec<(String, f64)>)>;

fn plain(path: &Path) -> Plain {
    let mut found = Plain::new();
    for mut line in lines(path) {
        let ends = ["source", "destination"].map(|end| {
            format!("{}:{}", line[end]["ip"].as_str().unwrap_or("?"), line[end]["port"])
        });
        let key = format!("{} {} {}", line["network"]["transport"], ends[0], ends[1]);
        let mut legs = Vec::new();
        timeless("", &mut line, &mut legs);
        let event = line["event"].as_object_mut().unwrap();
        for name in ["id", "start", "end", "duration"] {
            event.remove(name);
        }
        line.as_object_mut().unwrap().remove("@timestamp");
        assert!(found.insert(key.clone(), (line, legs)).is_none(), "{key} twice");
    }
    found
}

/// Removes every measured span.
fn timeless(path: &str, value: &mut Value, legs: &mut Vec<(String, f64)>) {
    let Some(object) = value.as_object_mut() else { return };
    for (name, value) in object {
        let path = format!("{path}.{name}");
        if let (true, Some(micros)) = (name.ends_with("_us"), value.as_f64()) {
            legs.push((path, micros));
            *value = Value::Null;
        } else {
            timeless(&path, value, legs);
        }
    }
}

#[test]
fn every_frame_arrives_and_sessions_are_those_of_a_recording() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let sent = demo();
    let mut recording = net::open("a0");
    // Minutes of traffic are sent in a moment, so retransmissions look like duplicates.
    let sensor = Sensor::start(&["a0", "--out", &out, "--workers", "2", "--no-dedup"]);
    net.send("b0", &sent);
    let record = dir.path().join("record.pcap");
    let mut file_of = recording.savefile(&record).unwrap();
    let mut recorded = 0;
    wait_for("the recording", || {
        while let Ok(packet) = recording.next_packet() {
            file_of.write(&packet);
            recorded += 1;
        }
        recorded == sent.len()
    });
    drop(file_of);
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "frames"), whole(sent.len()));
    assert_eq!(run["inputs"][0]["packets"], sent.len());
    let nothing = |lost: &Value| lost.as_f64() == Some(0.0);
    assert!(run["loss"].as_object().unwrap().values().all(nothing), "{}", run["loss"]);

    let offline = dir.path().join("offline").display().to_string();
    let record = record.display().to_string();
    let read = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read", &record, "--out", &offline, "--quiet", "--no-dedup"])
        .status();
    assert!(read.unwrap().success());
    let live = plain(&file(&out, "sessions.ndjson"));
    let recorded = plain(&file(&offline, "sessions.ndjson"));
    assert!(live.len() > 50, "{} sessions", live.len());
    assert_eq!(live.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    let mut legs = 0;
    for ((key, (session, spans)), (other, other_spans)) in live.iter().zip(recorded.values()) {
        assert_eq!(session, other, "{key}");
        for ((name, span), (other_name, other)) in spans.iter().zip(other_spans) {
            assert_eq!(name, other_name, "{key}");
            // Each socket timestamps a frame itself, some hundred nanoseconds apart.
            assert!((span - other).abs() < 1_000.0, "{key} {name}: {span} and {other}");
            legs += 1;
        }
        assert_eq!(spans.len(), other_spans.len(), "{key}");
    }
    assert!(legs > 50, "{legs} legs");
}

#[test]
fn tags_that_the_kernel_takes_out_are_seen() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out]);
    let plain = datagram((1, 4_000), (2, 4_001), b"plain");
    net.send(
        "b0",
        &[
            plain.clone(),
            tagged(&datagram((3, 4_000), (4, 4_001), b"802.1Q"), &[0x81, 0, 0x60, 7]),
            tagged(&datagram((5, 4_000), (6, 4_001), b"802.1ad"), &[0x88, 0xa8, 0, 8]),
            tagged(&datagram((7, 4_000), (8, 4_001), b"QinQ"), &[0x88, 0xa8, 0, 9, 0x81, 0, 0, 10]),
        ],
    );
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "tags_restored"), 3);
    let lines = lines(&file(&out, "sessions.ndjson"));
    let vlans: BTreeMap<&str, &Value> = lines
        .iter()
        .map(|line| (line["source"]["ip"].as_str().unwrap(), &line["network"]["vlan"]["id"]))
        .collect();
    let expected = [
        ("10.0.0.1", Value::Null),
        ("10.0.0.3", "7".into()),
        ("10.0.0.5", "8".into()),
        ("10.0.0.7", "9".into()),
    ];
    assert_eq!(vlans, expected.iter().map(|(ip, vlan)| (*ip, vlan)).collect());
    // The whole frame is restored: nothing but the tag was before the payload.
    assert!(lines.iter().all(|line| line["longhaul"]["quality"]["truncated"] != true));
}

#[test]
fn the_filter_is_the_kernels_and_knows_of_tags() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--filter", "vlan 7 and udp port 53"]);
    let wanted = datagram((1, 4_000), (2, 53), &[0x55; 60_000]);
    net.send(
        "b0",
        &[
            tagged(&wanted, &[0x81, 0, 0, 7]),
            tagged(&wanted, &[0x81, 0, 0, 8]),
            tagged(&datagram((1, 4_000), (2, 54), b"x"), &[0x81, 0, 0, 7]),
            wanted.clone(),
        ],
    );
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "frames"), 1);
    assert_eq!(count(&run, "capture", "bytes"), whole(wanted.len() + 4), "whole");
}

#[test]
fn an_interface_goes_down_comes_back_goes_away_and_is_made_anew() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let mut sensor = Sensor::start(&["a0", "--out", &out]);
    let frame = |n: u8| vec![datagram((n, 4_000), (n + 100, 4_001), b"hello")];
    net.send("b0", &frame(1));
    net.link(&["set", "a0", "down"]);
    sensor.hears("a0: the interface is down");
    net.link(&["set", "a0", "up"]);
    sensor.hears("a0: the interface is back");
    net.send("b0", &frame(2));
    net.link(&["del", "a0"]);
    sensor.hears("a0: the interface is gone");
    net.wire(0);
    sensor.hears("a0: the interface is back");
    net.send("b0", &frame(3));
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0));
    assert_eq!(said.matches("waiting for it").count(), 2, "said once each: {said}");
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "frames"), 3);
    assert_eq!(count(&run, "capture", "interface_downs"), 2);
    assert_eq!(run["inputs"][0]["downs"], 2);
}

#[test]
fn a_reload_refuses_a_bad_rule_by_line_and_accepts_a_good_one() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = |text: &str| std::fs::write(rules.join("one.yml"), text).unwrap();
    let on_port = |port: u16| include_str!("live/rule.yml").replace("PORT", &port.to_string());
    rule(&on_port(4_001));
    let rules_dir = rules.display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--rules-only", &rules_dir]);
    let closed = |n: u8, port: u16| vec![datagram((n, 4_000), (n + 100, port), b"x")];
    net.send("b0", &closed(1, 4_001));
    rule("title: [broken\n");
    sensor.signal("HUP");
    let error = sensor.hears("one.yml:");
    assert!(error.contains("error:"), "{error}");
    sensor.hears("what was in force stays in force");
    rule(&on_port(4_002));
    sensor.signal("HUP");
    sensor.hears("reloaded: 1 rules");
    // The workers switch at the next watermark; these sessions end with the run, after that.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    net.send("b0", &closed(2, 4_002));
    assert_eq!(sensor.end().0, Some(0));
    let alerts = lines(&file(&out, "alerts.ndjson"));
    let ports: Vec<&Value> = alerts.iter().map(|alert| &alert["destination"]["port"]).collect();
    assert_eq!(ports, [4_002], "{alerts:#?}");
}

#[test]
fn signatures_subjects_and_configuration_are_read_again() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("signatures")).unwrap();
    let write = |who: &str, home: &str| {
        let signature = format!(
            "- name: {who}\n  title: A tool\n  category: rmm\n  tag: rmm:{who}\n  source: \"test\"\n  \
             date: 2026-01-01\n  ports: [4001/udp]\n"
        );
        std::fs::write(at("signatures/own.yaml"), signature).unwrap();
        std::fs::write(at("subjects.csv"), format!("match,id\n10.0.0.0/8,{who}\n")).unwrap();
        std::fs::write(at("longhaul.toml"), format!("home = [\"{home}\"]\n")).unwrap();
    };
    write("first", "10.0.0.0/8");
    let path = |name: &str| at(name).display().to_string();
    let (signatures, subjects) = (path("signatures"), path("subjects.csv"));
    let config = path("longhaul.toml");
    let options = ["--signatures", &signatures, "--subjects", &subjects, "--config", &config];
    let mut sensor = Sensor::start(&[&["a0", "--out", &out][..], &options].concat());
    net.send("b0", &[datagram((1, 4_000), (101, 4_001), b"x")]);
    write("second", "172.16.0.0/12");
    sensor.signal("HUP");
    sensor.hears("reloaded: ");
    // The workers switch at the next watermark; these sessions end with the run, after that.
    std::thread::sleep(std::time::Duration::from_millis(2_500));
    let both = [datagram((2, 4_000), (102, 4_001), b"x"), datagram((102, 4_001), (2, 4_000), b"y")];
    net.send("b0", &both);
    assert_eq!(sensor.end().0, Some(0));
    let sessions = lines(&file(&out, "sessions.ndjson"));
    let of = |ip: &str| sessions.iter().find(|s| s["source"]["ip"] == ip).unwrap();
    let later = of("10.0.0.2");
    assert_eq!(later["network"]["application"], "second", "{later:#}");
    assert_eq!(later["longhaul"]["subject"]["id"], "second", "{later:#}");
    assert_eq!(later["network"]["direction"], "external", "{later:#}");
}

#[test]
fn lines_are_written_during_the_run_and_sets_are_finished() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out, "--rotate", "3s", "--workers", "2"]);
    // Closed TCP sessions end after five silent seconds: time advances without packets.
    net.send("b0", &demo());
    let sets = || {
        let mut sets: Vec<PathBuf> = std::fs::read_dir(&out)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path())
            .collect();
        sets.sort();
        sets
    };
    let finished = |sets: &[PathBuf]| -> Vec<Value> {
        sets.iter().flat_map(|set| lines(&set.join("sessions.ndjson"))).collect()
    };
    wait_for("a finished set with sessions", || !finished(&sets()).is_empty());
    let early = finished(&sets()).len();
    assert_eq!(sensor.end().0, Some(0));
    let sets = sets();
    assert!(sets.len() >= 2, "{sets:?}");
    let all = finished(&sets);
    assert!(early < all.len(), "{early} of {}", all.len());
    let names = ["sessions", "endpoints", "alerts", "incidents", "health"];
    let mut frames = 0;
    let mut lines_of_runs = 0;
    for set in &sets {
        for name in names {
            assert!(set.join(format!("{name}.ndjson")).exists(), "{name} in {}", set.display());
        }
        let run = json(&set.join("run.json"));
        frames += count(&run, "capture", "frames");
        lines_of_runs += count(&run, "session", "sessions");
        let left = std::fs::read_dir(set).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(left.into_iter().all(|name| !name.to_string_lossy().contains("partial")));
    }
    // The counts of all sets add up to the total.
    assert_eq!(frames, whole(demo().len()));
    assert_eq!(lines_of_runs, whole(all.len()));
}

#[test]
fn frames_that_do_not_fit_the_ring_are_counted() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--ring", "4MiB"]);
    // A stopped sensor: only the kernel's ring buffers.
    sensor.signal("STOP");
    let flood: Vec<Vec<u8>> =
        (0..4_000u16).map(|n| datagram((1, n), (2, 4_001), &[0x55; 4_000])).collect();
    net.send("b0", &flood);
    sensor.signal("CONT");
    sensor.signal("USR1");
    let shown = sensor.hears("loss:");
    assert!(shown.contains(" ring=") && shown.contains(" nic="), "{shown}");
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    let (got, lost) = (count(&run, "capture", "frames"), run["loss"]["ring"].as_u64().unwrap());
    assert!(lost > 0 && got > 0, "{got} read, {lost} lost");
    assert_eq!(got + lost, whole(flood.len()));
    assert!(count(&run, "capture", "ring_freezes") > 0);
    let health = lines(&file(&out, "health.ndjson"));
    assert_eq!(health.last().unwrap()["event"]["kind"], "metric");
    let told: u64 = health
        .iter()
        .map(|line| line["longhaul"]["health"]["loss"]["ring"].as_u64().unwrap())
        .sum();
    assert_eq!(told, lost);
}

#[test]
fn two_interfaces_that_carry_one_direction_each_give_whole_sessions() {
    let Some(net) = Net::new(2) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "a1", "--out", &out]);
    let asks = datagram((1, 4_000), (2, 4_001), b"question");
    let answers = datagram((2, 4_001), (1, 4_000), b"answer");
    for _ in 0..20 {
        net.send("b0", std::slice::from_ref(&asks));
        net.send("b1", std::slice::from_ref(&answers));
    }
    assert_eq!(sensor.end().0, Some(0));
    let sessions = lines(&file(&out, "sessions.ndjson"));
    assert_eq!(sessions.len(), 1, "{sessions:#?}");
    assert_eq!(sessions[0]["source"]["ip"], "10.0.0.1");
    assert_eq!(sessions[0]["source"]["packets"], 20);
    assert_eq!(sessions[0]["destination"]["packets"], 20);
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "time_backwards"), 0, "merged by time");
    assert_eq!([&run["inputs"][0]["packets"], &run["inputs"][1]["packets"]], [20, 20]);
}

#[test]
fn a_frame_on_the_loopback_interface_counts_once() {
    let Some(_net) = Net::new(0) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["lo", "--out", &out]);
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..10 {
        socket.send_to(b"round and round", socket.local_addr().unwrap()).unwrap();
    }
    assert_eq!(sensor.end().0, Some(0));
    assert_eq!(count(&json(&file(&out, "run.json")), "capture", "frames"), 10);
}

#[test]
fn processes_of_one_group_share_the_flows() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let (_other_dir, other) = scratch();
    let first = Sensor::start(&["a0", "--fanout", "7", "--out", &out]);
    let second = Sensor::start(&["a0", "--fanout", "7", "--out", &other]);
    for n in 0..200 {
        net.send(
            "b0",
            &[
                datagram((1, 4_000 + n), (2, 53), b"question"),
                datagram((2, 53), (1, 4_000 + n), b"answer"),
            ],
        );
    }
    assert_eq!((first.end().0, second.end().0), (Some(0), Some(0)));
    let sessions = [&out, &other].map(|out| lines(&file(out, "sessions.ndjson")));
    let counts = [sessions[0].len(), sessions[1].len()];
    assert!(counts[0] > 20 && counts[1] > 20, "both have a share: {counts:?}");
    assert_eq!(counts[0] + counts[1], 200, "each flow at one of them, in both directions");
    let whole = |line: &Value| line["network"]["packets"] == 2;
    assert!(sessions.iter().flatten().all(whole));
}

#[test]
fn libpcap_gives_the_same_frames() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--backend", "pcap", "--out", &out]);
    let sent = demo();
    net.send("b0", &sent);
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "frames"), whole(sent.len()));
    assert_eq!(lines(&file(&out, "sessions.ndjson")).len(), 72);
}

#[test]
fn an_unusable_interface_is_refused_before_anything_is_written() {
    let Some(_net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    for (args, word) in [
        (vec!["nope0"], "nope0"),
        (vec!["a0", "--filter", "tcp prot"], "tcp prot"),
        (vec!["a0", "--timestamps", "hardware"], "hardware"),
        (vec!["a0", "--duration", "soon"], "--duration"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_longhaul"))
            .args([&["live", "--out", &out], &args[..]].concat())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains("error:") && said.contains(word), "{said}");
        assert!(!Path::new(&out).exists());
    }
}
