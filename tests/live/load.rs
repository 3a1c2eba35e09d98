//! A sensor under load: rules that change meanwhile, a reader of its lines that is slow, a port
//! that mirrors one direction, frames cut short.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::count;
use crate::datagram;
use crate::demo;
use crate::file;
use crate::net::Net;
use crate::net::Sensor;
use crate::net::json;
use crate::net::lines;
use crate::scratch;
use crate::whole;

#[test]
fn rules_that_change_under_load_cost_no_frame() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = |text: &str| std::fs::write(rules.join("one.yml"), text).unwrap();
    let on_port = |port: u16| include_str!("rule.yml").replace("PORT", &port.to_string());
    rule(&on_port(4_001));
    let rules_dir = rules.display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--rules-only", &rules_dir]);
    let load: Vec<Vec<u8>> =
        (0..40_000u16).map(|n| datagram((1, 1_000 + n % 500), (2, 4_002), &[7; 400])).collect();
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| net.send_paced("b0", &load, 10));
        for turn in 0..3 {
            rule("title: [broken\n");
            sensor.signal("HUP");
            let error = sensor.hears("one.yml:");
            assert!(error.contains("error:"), "{error}");
            sensor.hears("what was in force stays in force");
            rule(&on_port(4_002));
            sensor.signal("HUP");
            sensor.hears("reloaded: 1 rules");
            assert!(turn > 0 || !sender.is_finished(), "the load was over before the signals");
        }
        sender.join().unwrap();
    });
    // The workers take the last rules with the next mark; the sessions end with the run.
    std::thread::sleep(Duration::from_millis(2_500));
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    assert_eq!(count(&run, "capture", "frames"), whole(load.len()));
    assert_eq!(run["loss"]["ring"], 0);
    let alerts = lines(&file(&out, "alerts.ndjson"));
    assert!(!alerts.is_empty());
    assert!(alerts.iter().all(|alert| alert["destination"]["port"] == 4_002), "{alerts:#?}");
}

#[test]
fn a_pipe_in_place_of_a_rule_is_refused_while_the_run_goes_on() {
    let Some(_net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let rules = dir.path().join("rules");
    std::fs::create_dir(&rules).unwrap();
    let rule = rules.join("one.yml");
    let text = include_str!("rule.yml").replace("PORT", "4001");
    std::fs::write(&rule, &text).unwrap();
    let rules = rules.display().to_string();
    let mut sensor = Sensor::start(&["a0", "--out", &out, "--rules-only", &rules]);
    std::fs::remove_file(&rule).unwrap();
    assert!(Command::new("mkfifo").arg(&rule).status().unwrap().success());
    sensor.signal("HUP");
    sensor.hears("one.yml: it is a pipe (FIFO)");
    sensor.hears("what was in force stays in force");
    std::fs::remove_file(&rule).unwrap();
    std::fs::write(&rule, &text).unwrap();
    sensor.signal("HUP");
    sensor.hears("reloaded: 1 rules");
    assert_eq!(sensor.end().0, Some(0));
}

#[test]
fn blocked_workers_fill_the_ring_and_each_frame_is_read_or_counted_as_lost() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let args = ["a0", "--out", &out, "--ring", "4MiB", "--workers", "1"];
    let sensor = Sensor::start(&args);
    let flood: Vec<Vec<u8>> =
        (0..30_000u16).map(|n| datagram((1, n), (2, 4_001), &[0x55; 1_400])).collect();
    sensor.signal("STOP");
    net.send_paced("b0", &flood, 40);
    sensor.signal("CONT");
    assert_eq!(sensor.end().0, Some(0));
    let run = json(&file(&out, "run.json"));
    let (got, lost) = (count(&run, "capture", "frames"), run["loss"]["ring"].as_u64().unwrap());
    assert!(lost > 0 && got > 0, "{got} read, {lost} lost");
    assert_eq!(got + lost, whole(flood.len()));
    assert_eq!(run["loss"]["queue"], 0);
    assert_eq!(count(&run, "decode", "packets"), got, "what was read was worked on");
    assert_eq!(count(&run, "session", "sessions"), got, "each is a session of its own");
}

/// Lines go to a pipe that nobody reads: they are lost and counted, frames are not.
#[test]
fn a_pipe_whose_reader_sleeps_stops_nothing() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    let config = dir.path().join("longhaul.toml");
    // Each new session ends one, and its line goes to the pipe.
    std::fs::write(&config, "memory = \"192MiB\"\n[caps]\nsessions = 16\n").unwrap();
    let config = config.display().to_string();
    let args = ["--workers", "1", "--sessions", "-", "--config", &config];
    let mut sensor = Sensor::start(&[&["a0", "--out", &out], &args[..]].concat());
    let flood: Vec<Vec<u8>> =
        (0..30_000u16).map(|n| datagram((1, n), (2, 4_001), &[0x55; 1_400])).collect();
    net.send_paced("b0", &flood, 4);
    sensor.hears("standard output: its reader takes nothing");
    let began = std::time::Instant::now();
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(began.elapsed() < std::time::Duration::from_secs(30));
    let run = json(&file(&out, "run.json"));
    assert_eq!(run["loss"]["ring"], 0);
    assert_eq!(count(&run, "decode", "packets"), whole(flood.len()));
    let [all, written, unsaved] =
        ["sessions", "written", "unsaved"].map(|name| count(&run, "session", name));
    assert_eq!(all, whole(flood.len()));
    assert!(unsaved > 20_000 && written + unsaved == all, "{written} {unsaved} {all}");
    assert!(run["loss"]["lines"].as_u64() >= Some(unsaved), "{}", run["loss"]);
}

/// The same of messages, of which each signal makes some, to a standard error that nobody reads.
#[test]
fn messages_that_nobody_reads_stop_nothing() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let mut sensor = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["live", "a0", "--out", &out, "--workers", "1"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(sensor.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("listening on") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    let id = sensor.id();
    let signals = format!("for n in $(seq 1500); do kill -USR1 {id}; sleep 0.002; done");
    assert!(Command::new("sh").args(["-c", &signals]).status().unwrap().success());
    let frames: Vec<Vec<u8>> =
        (0..2_000u16).map(|n| datagram((1, n), (2, 4_001), &[0x55; 100])).collect();
    net.send_paced("b0", &frames, 4);
    let began = std::time::Instant::now();
    assert!(Command::new("kill").arg(id.to_string()).status().unwrap().success());
    assert_eq!(sensor.wait().unwrap().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(30));
    let run = json(&file(&out, "run.json"));
    assert_eq!(run["loss"]["ring"], 0);
    assert_eq!(count(&run, "decode", "packets"), whole(frames.len()));
    assert!(run["loss"]["log"].as_u64() > Some(0), "{}", run["loss"]);
}

/// A TCP segment of a client that sends, as a port that mirrors one direction shows it.
fn segment(client: u8, flags: u8, seq: u32, payload: usize) -> Vec<u8> {
    let mut frame = datagram((client, 40_000), (200, 443), &vec![0x17; 12 + payload]);
    frame[23] = 6;
    let (seq, ack) = (seq.to_be_bytes(), u32::from(flags != 2) * 77);
    frame[38..42].copy_from_slice(&seq);
    frame[42..46].copy_from_slice(&ack.to_be_bytes());
    frame[46..54].copy_from_slice(&[0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame
}

#[test]
fn a_one_way_mirror_port_is_reported_once_and_gives_no_leg() {
    let Some(net) = Net::new(1) else { return };
    let (_dir, out) = scratch();
    let sensor = Sensor::start(&["a0", "--out", &out]);
    let mut feed = Vec::new();
    for client in 1..=30 {
        feed.push(segment(client, 0x02, 100, 0));
        feed.push(segment(client, 0x10, 101, 0));
        (0..5).for_each(|n| feed.push(segment(client, 0x18, 101 + n * 500, 500)));
    }
    net.send_paced("b0", &feed, 5);
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0));
    assert_eq!(said.matches("only one direction").count(), 1, "{said}");
    let run = json(&file(&out, "run.json"));
    let feeds = &run["one_way_feeds"];
    assert_eq!(
        (&feeds[0]["conversations"], &feeds[0]["one_way"]),
        (&30.into(), &30.into()),
        "{feeds}"
    );
    let health = lines(&file(&out, "health.ndjson"));
    assert!(health.last().unwrap()["longhaul"]["health"]["one_way_feeds"].is_array());
    let sessions = lines(&file(&out, "sessions.ndjson"));
    assert_eq!(sessions.len(), 30);
    for line in &sessions {
        assert_eq!(line["longhaul"]["quality"]["one_way"], true);
        let text = line.to_string();
        for measured in ["handshake_us", "gap_us", "min_us", "p50_us"] {
            assert!(!text.contains(measured), "{measured} of one direction: {line:#}");
        }
    }
}

#[test]
fn a_snap_length_cuts_frames_and_nothing_that_was_counted() {
    let Some(net) = Net::new(1) else { return };
    let (sent, mut kept) = (demo(), BTreeMap::new());
    for snap in ["96", "262144"] {
        let (_dir, out) = scratch();
        let sensor = Sensor::start(&["a0", "--out", &out, "--snaplen", snap, "--no-dedup"]);
        net.send("b0", &sent);
        assert_eq!(sensor.end().0, Some(0));
        let run = json(&file(&out, "run.json"));
        assert_eq!(count(&run, "capture", "frames"), whole(sent.len()));
        let short: u64 = sent.iter().map(|frame| whole(frame.len().min(96))).sum();
        let bytes = count(&run, "capture", "bytes");
        assert_eq!(bytes == short, snap == "96", "{bytes} of {short}");
        let longer = sent.iter().filter(|frame| frame.len() > 96).count();
        let cut = if snap == "96" { whole(longer) } else { 0 };
        assert_eq!(count(&run, "capture", "frames_truncated"), cut);
        for line in lines(&file(&out, "sessions.ndjson")) {
            let ends = ["source", "destination"].map(|end| line[end].clone());
            let tuple = ends.map(|end| format!("{}:{}", end["ip"], end["port"]));
            let counted = ["packets", "bytes"].map(|name| line["network"][name].clone());
            kept.entry(tuple).or_insert_with(Vec::<[Value; 2]>::new).push(counted);
        }
    }
    assert!(kept.len() > 50);
    for (tuple, counted) in kept {
        assert_eq!(counted.len(), 2, "{tuple:?}");
        assert_eq!(counted[0], counted[1], "{tuple:?}: lengths are those on the wire");
    }
}

/// Runs what follows as a user with the right to open packet sockets, and no other.
fn as_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.args(["--bounding-set", "-all,+net_raw", "--inh-caps", "-all,+net_raw"]);
    command.args(["--ambient-caps", "+net_raw"]);
    command
}

#[test]
fn the_right_to_open_packet_sockets_is_all_it_needs() {
    let Some(net) = Net::new(1) else { return };
    let (dir, out) = scratch();
    // Where the user nobody can get at it.
    let program = dir.path().join("longhaul");
    std::fs::copy(env!("CARGO_BIN_EXE_longhaul"), &program).unwrap();
    std::fs::create_dir(&out).unwrap();
    std::os::unix::fs::chown(&out, Some(65_534), Some(65_534)).unwrap();
    if !as_nobody().arg("true").status().is_ok_and(|status| status.success()) {
        println!("skipped: setpriv is not here");
        return;
    }
    let mut command = as_nobody();
    command.arg(&program);
    let mut args = vec!["a0", "--out", &out, "--filter", "udp"];
    args.extend(["--busy-poll", "200", "--rotate", "1h"]);
    let sensor = Sensor::start_by(command, &args);
    net.send_paced("b0", &vec![datagram((1, 4_000), (2, 4_001), b"hello"); 50], 1);
    let (code, said) = sensor.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("capabilities: none kept"), "{said}");
    let set = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    assert_eq!(count(&json(&set.join("run.json")), "capture", "frames"), 50);
}
