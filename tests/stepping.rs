//! Home hosts that are driven from elsewhere, through the whole program.
//!
//! Owns: made sessions of a screen, of work, and of both. In: nothing. Out: pass or fail.
//! Never: needs captures.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use craft::ACK;
use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::PSH;
use craft::START;
use craft::at;
use serde_json::Value;

/// When somebody types, in ms: from the twentieth second on, in bursts.
fn typing(seed: u64, keys: usize) -> Vec<u64> {
    let (mut state, mut at, mut all) = (seed, 20_000, Vec::new());
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    while all.len() < keys {
        for _ in 0..4 + random(12) {
            all.push(at);
            at += 80 + random(160);
        }
        at += 700 + random(2_300);
    }
    all
}

/// A screen of a host goes out to a relay of that name, and at these times something comes in.
fn screen(host: &str, name: &str, inputs: &[u64]) -> Capture {
    let mut session = Connection::new(&format!("{host}:50000"), "203.0.113.9:443");
    session.open();
    session.ask(&craft::client_hello(name));
    session.answer(&craft::server_hello());
    for ms in inputs {
        session.now = START + ms * MS;
        session.down(PSH | ACK, &craft::tls_data(48));
        session.now += MS;
        session.up(PSH | ACK, &craft::tls_data(1_300));
    }
    session.close()
}

/// Keystrokes from one end to another by SSH, each with its echo of so many bytes.
fn ssh((client, server): (&str, &str), keys: &[u64], echo: usize) -> Capture {
    let mut session = Connection::new(client, server);
    session.open();
    session.answer(b"SSH-2.0-OpenSSH_9.2\r\n");
    session.ask(b"SSH-2.0-OpenSSH_9.2\r\n");
    for ms in keys {
        session.now = START + ms * MS;
        session.up(PSH | ACK, &[0x5a; 36]);
        session.now += 32 * MS;
        session.down(PSH | ACK, &vec![0x5a; echo]);
    }
    session.close()
}

/// Keystrokes of a host to a server.
fn work(host: &str, keys: &[u64]) -> Capture {
    ssh((&format!("{host}:50100"), "198.51.100.7:22"), keys, 44)
}

/// A web server of ours with a client outside: each request makes it ask a database.
fn web_server(host: &str, requests: &[u64]) -> Capture {
    let mut session = Connection::new("203.0.113.20:50000", &format!("{host}:443"));
    session.open();
    session.ask(&craft::client_hello("shop.example"));
    session.answer(&craft::server_hello());
    let mut database = Connection::new(&format!("{host}:50200"), "198.51.100.9:5432");
    database.open();
    for ms in requests {
        session.now = START + ms * MS;
        session.up(PSH | ACK, &craft::tls_data(180));
        database.now = session.now + 3 * MS;
        database.up(PSH | ACK, &[0x51; 120]);
        database.now += 4 * MS;
        database.down(PSH | ACK, &[0x44; 300]);
        session.now += 12 * MS;
        session.down(PSH | ACK, &craft::tls_data(1_300));
    }
    let mut all = session.close();
    all.join(database.close());
    all
}

/// A jump host of ours: somebody outside types at its SSH.
fn jump_host(host: &str, keys: &[u64]) -> Capture {
    ssh(("203.0.113.21:51000", &format!("{host}:22")), keys, 76)
}

/// One host that is driven, one whose user types while a viewer answers each change of the screen,
/// and one that is driven by something without a name.
fn site() -> Vec<u8> {
    let (keys, own) = (typing(1, 150), typing(2, 150));
    let later = |all: &[u64], ms: u64| all.iter().map(|at| at + ms).collect::<Vec<u64>>();
    let mut capture = Capture::default();
    capture.join(screen("10.0.0.5", "relay-1.net.anydesk.com", &keys));
    capture.join(work("10.0.0.5", &later(&keys, 5)));
    capture.join(screen("10.0.0.6", "relay-1.net.anydesk.com", &later(&own, 90)));
    capture.join(work("10.0.0.6", &own));
    capture.join(screen("10.0.0.7", "a.example", &keys));
    capture.join(work("10.0.0.7", &later(&keys, 5)));
    capture.sorted().pcap()
}

fn endpoint<'v>(said: &'v craft::Said, ip: &str) -> &'v Value {
    said.endpoints.iter().find(|row| at(row, "endpoint.ip") == ip).unwrap()
}

#[test]
fn who_types_is_told_by_what_comes_before() {
    let said = craft::read(&site(), &["--workers", "2"]);
    let control = |ip: &str| at(endpoint(&said, ip), "longhaul.remote_control").clone();
    let confidence = |ip: &str| control(ip)["confidence"].as_f64().unwrap();
    assert!(confidence("10.0.0.5") >= 0.9, "{}", control("10.0.0.5"));
    assert!(confidence("10.0.0.6") < 0.5, "{}", control("10.0.0.6"));
    assert!(confidence("10.0.0.7") >= 0.9, "{}", control("10.0.0.7"));
    let driven = control("10.0.0.5");
    assert_eq!((&driven["from"], &driven["to"]), (&"203.0.113.9".into(), &"198.51.100.7".into()));
    let lag = driven["lag_us"].as_f64().unwrap();
    assert!((4_000.0..6_000.0).contains(&lag), "{lag}");
    // The shape alone is no alert.
    let alerts = said.alerts.iter().filter(|alert| at(alert, "rule.id") == "D12");
    let subjects: Vec<&Value> = alerts.map(|alert| at(alert, "longhaul.subject.id")).collect();
    assert_eq!(subjects, ["10.0.0.5"]);
}

/// Both pass on what comes in as a person would, and the statistic says so: what they are decides.
#[test]
fn a_web_server_is_no_alert_and_a_jump_host_a_low_one() {
    let (requests, keys) = (typing(3, 150), typing(4, 150));
    let mut capture = web_server("10.0.0.8", &requests);
    capture.join(jump_host("10.0.0.9", &keys));
    capture.join(work("10.0.0.9", &keys.iter().map(|at| at + 5).collect::<Vec<u64>>()));
    let said = craft::read(&capture.sorted().pcap(), &["--workers", "2"]);
    for ip in ["10.0.0.8", "10.0.0.9"] {
        let control = at(endpoint(&said, ip), "longhaul.remote_control");
        assert!(control["confidence"].as_f64().unwrap() >= 0.9, "{control}");
        assert_eq!(control["serves"], true, "{control}");
    }
    let alerts = said.alerts.iter().filter(|alert| at(alert, "rule.id") == "D12");
    let found: Vec<_> = alerts
        .map(|alert| (at(alert, "longhaul.subject.id").clone(), at(alert, "log.level").clone()))
        .collect();
    assert_eq!(found, [("10.0.0.9".into(), "low".into())]);
}

#[test]
fn workers_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("site.pcap");
    std::fs::write(&file, site()).unwrap();
    let one = craft::read_path(&file, &["--workers", "1"]);
    for workers in ["2", "8"] {
        let other = craft::read_path(&file, &["--workers", workers]);
        assert!(one.endpoints == other.endpoints, "endpoints, {workers} workers");
        assert!(one.alerts == other.alerts, "alerts, {workers} workers");
    }
}

/// A shell whose server takes so many milliseconds for an echo; before it, its system acknowledges
/// the keystroke, or not.
fn shell(acknowledges: bool, echo_ms: u64) -> Capture {
    let mut session = Connection::new("10.0.0.7:50100", "198.51.100.7:22");
    session.open();
    session.answer(b"SSH-2.0-OpenSSH_9.2\r\n");
    session.ask(b"SSH-2.0-OpenSSH_9.2\r\n");
    for n in 0..220 {
        session.now = START + (20_000 + n * 1_000) * MS;
        session.up(PSH | ACK, &[0x5a; 36]);
        session.now += echo_ms / 2 * MS;
        if acknowledges {
            session.down(ACK, &[]);
        }
        session.now += echo_ms / 2 * MS;
        session.down(PSH | ACK, &[0x5a; 36]);
    }
    session.close()
}

/// An echo that comes together with the acknowledgement says nothing, however late it is.
#[test]
fn a_shell_that_goes_on_echoes_late_behind_its_acknowledgement() {
    let fired = |capture: Capture| {
        let said = craft::read(&capture.pcap(), &[]);
        said.rules().iter().any(|(rule, level)| rule == "D13" && level == "medium")
    };
    assert!(fired(shell(true, 300)));
    assert!(!fired(shell(false, 300)), "piggybacked");
    assert!(!fired(shell(true, 40)), "near");
}

/// Clients of one service of ours for an hour and a half. Each works at times of its own; one, or
/// two of them, send a message at an interval besides: of which sizes and intervals, their choice.
fn clients(intervals: &[(u64, u16)]) -> Capture {
    let mut all = Capture::default();
    for n in 0..6 {
        let mut session = Connection::new(&format!("203.0.113.{}:50000", 30 + n), "10.0.0.5:3389");
        session.open();
        session.ask(&craft::client_hello("desk.example"));
        session.answer(&craft::server_hello());
        let mut pauses = 0;
        let work = typing(50 + n as u64, 1_500).into_iter().zip(1u64..);
        let mut steps: Vec<(u64, u16)> = work
            .map(|(ms, k)| {
                // Every thirty keys one of up to three minutes.
                pauses += if k % 30 == 0 { ms * 7_919 % 180_000 } else { 0 };
                (ms + pauses, 60 + (k * k % 37) as u16)
            })
            .collect();
        if let Some((seconds, size)) = intervals.get(n) {
            let each = (1..5_400 / seconds).map(|k| (20_011 + k * seconds * 1_000, *size));
            steps.extend(each);
        }
        steps.sort_unstable();
        for (ms, size) in steps {
            session.now = session.now.max(START + ms * MS);
            session.up(PSH | ACK, &craft::tls_data(size));
            session.now += MS;
            session.down(PSH | ACK, &craft::tls_data(900));
        }
        all.join(session.close());
    }
    all.sorted()
}

#[test]
fn what_one_client_alone_sends_at_an_interval_is_told_and_keep_alives_are_not() {
    let told = |intervals: &[(u64, u16)]| {
        let said = craft::read(&clients(intervals).pcap(), &["--workers", "2"]);
        let alone = said.alerts.into_iter().filter(|alert| {
            at(alert, "rule.id") == "D25" && at(alert, "message").to_string().contains("no other")
        });
        alone.map(|alert| at(&alert, "message").to_string()).collect::<Vec<String>>()
    };
    let one = told(&[(60, 120)]);
    assert_eq!(one.len(), 1, "{one:?}");
    assert!(one[0].contains("203.0.113.30 sends a message of one size each 60"), "{one:?}");
    // Each client chooses how often it sends a keep-alive, and its version how long one is.
    assert_eq!(told(&[(60, 120), (45, 137)]), [""; 0]);
    assert_eq!(told(&[(60, 120), (120, 120)]), [""; 0]);
    assert_eq!(told(&[]), [""; 0]);
}
