//! False timestamps: a few frames with a wrong date affect nothing but themselves. And every
//! session that was opened is written, or counted as dropped.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared modules serve several tests")]

mod common;
mod craft;
#[path = "clock/false_times.rs"]
mod false_times;

use std::path::Path;

use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::SECOND;
use craft::START;
use craft::at;
use false_times::HOUR;
use false_times::YEAR_2106;
use false_times::demo;
use false_times::falsified;
use false_times::verdicts;
use proptest::prelude::*;

/// Its name, where the run of frames begins and how long it is, what becomes of their times.
type Case = (&'static str, (usize, usize), fn(u64) -> u64);

#[test]
fn false_times_lose_no_session_and_no_incident() {
    let demo = demo();
    let honest = craft::read(&demo.pcap(), &[]);
    let wanted = verdicts(&honest);
    assert_eq!((wanted.0.len(), wanted.2.len()), (72, 1), "the demonstration changed");
    let end = demo.frames.len();
    let cases: [Case; 9] = [
        ("two of 2106", (10, 2), |_| YEAR_2106),
        ("two of 2106 later", (200, 2), |_| YEAR_2106),
        ("two an hour ahead", (500, 2), |t| t + HOUR),
        ("ten a day ahead", (1_500, 10), |t| t + 24 * HOUR),
        ("a thousand of 2106", (1_000, 1_000), |_| YEAR_2106),
        ("ten of 1970", (700, 10), |_| 0),
        ("ten of 2106 at the end", (end - 10, 10), |_| YEAR_2106),
        ("two of 2106 at the beginning", (0, 2), |_| YEAR_2106),
        ("one of 1970 at the beginning", (0, 1), |_| 0),
    ];
    for (name, run, how) in cases {
        let said = craft::read(&falsified(&demo, run, how).pcap(), &[]);
        let got = verdicts(&said);
        assert_eq!(got.0, wanted.0, "{name}: sessions");
        assert_eq!(got.2, wanted.2, "{name}: incidents");
        if run.1 < 100 && run.0 > 100 && run.0 + run.1 < end {
            assert_eq!(got.1, wanted.1, "{name}: alerts");
        }
        let capture = at(&said.run, "counters.capture");
        let told =
            capture["time_leaps"].as_u64().unwrap() + capture["times_doubtful"].as_u64().unwrap();
        assert_eq!(told, run.1 as u64, "{name}: not said");
    }
}

#[test]
fn added_frames_of_a_false_time_change_nothing() {
    let demo = demo();
    let wanted = verdicts(&craft::read(&demo.pcap(), &[]));
    let stray =
        craft::udp("192.0.2.9:5000".parse().unwrap(), "192.0.2.8:5001".parse().unwrap(), b"x");
    let mut capture = demo.clone();
    for (n, place) in [10, 10, 900, 1_801, 2_702].into_iter().enumerate() {
        capture.frames.insert(place, (START + (n as u64 + 1) * 50 * HOUR, stray.clone()));
    }
    let said = craft::read(&capture.pcap(), &[]);
    let (sessions, rules, incidents) = verdicts(&said);
    let others: Vec<String> = sessions.into_iter().filter(|s| !s.contains("192.0.2.9")).collect();
    assert_eq!((others, rules, incidents), wanted);
}

#[test]
fn many_false_times_at_the_end_raise_no_alert_again() {
    let demo = false_times::demo();
    let honest = craft::read(&demo.pcap(), &[]).rules();
    let end = demo.frames.len();
    let said = craft::read(&falsified(&demo, (end - 100, 100), |_| YEAR_2106).pcap(), &[]);
    let count = |rules: &[(String, String)]| rules.iter().filter(|(id, _)| id == "D03").count();
    assert_eq!(count(&said.rules()), count(&honest));
    let dates = said.endpoints.iter().map(|row| row["@timestamp"].as_str().unwrap());
    let wrong: Vec<&str> = dates.filter(|date| date.starts_with("2106")).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn false_times_give_the_same_bytes_at_any_number_of_workers() {
    let demo = demo();
    let mut capture = falsified(&demo, (10, 2), |_| YEAR_2106);
    capture = falsified(&capture, (700, 40), |t| t - 30 * HOUR);
    capture = falsified(&capture, (3_000, 55), |t| t + 2 * HOUR);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("false.pcap");
    std::fs::write(&file, capture.pcap()).unwrap();
    let lines = |workers: &str| {
        let said = craft::read_path(&file, &["--workers", workers]);
        (said.sessions, said.endpoints, said.alerts, said.incidents, said.run["counters"].clone())
    };
    let one = lines("1");
    for workers in ["2", "8"] {
        let more = lines(workers);
        assert!(one.0 == more.0, "{workers}: sessions");
        assert!(one.1 == more.1, "{workers}: endpoints");
        assert!(one.2 == more.2, "{workers}: alerts");
        assert!(one.3 == more.3, "{workers}: incidents");
        assert_eq!(one.4, more.4, "{workers}: counters");
    }
}

/// A session of 20 exchanges that starts at that time.
fn session(port: u16, begins: u64) -> Capture {
    let mut connection = Connection::new(&format!("10.0.0.5:{port}"), "198.51.100.7:443");
    connection.now = begins;
    connection.open();
    for _ in 0..20 {
        connection.ask(b"question").answer(b"an answer").wait(700 * MS);
    }
    connection.close()
}

#[test]
fn a_pause_of_a_night_or_of_years_is_believed() {
    for apart in [10 * HOUR, 9_000 * HOUR, 200_000 * HOUR] {
        let mut capture = session(50_000, START);
        for later in 1..4 {
            capture.join(session(50_000 + later, START + u64::from(later) * apart));
        }
        let said = craft::read(&capture.pcap(), &[]);
        assert_eq!(said.sessions.len(), 4, "{apart}");
        for session in &said.sessions {
            let near = at(session, "longhaul.near.handshake_us").as_f64().unwrap();
            let far = at(session, "longhaul.far.handshake_us").as_f64().unwrap();
            assert_eq!((near, far), (2_000.0, 30_000.0), "{apart}");
        }
    }
}

#[test]
fn a_stretch_on_another_clock_keeps_its_legs() {
    let legs = |session: &serde_json::Value| {
        let near = at(session, "longhaul.near.handshake_us").as_f64();
        (near, at(session, "longhaul.far.handshake_us").as_f64())
    };
    for back in [40 * SECOND, 9_000 * HOUR] {
        // Fourteen seconds each: the clock is set back for the second, and restored for the third.
        let begins = [START, START + 30 * SECOND - back, START + 60 * SECOND];
        let mut capture = Capture::default();
        for (n, begins) in begins.into_iter().enumerate() {
            capture.join(session(50_000 + n as u16, begins));
        }
        let said = craft::read(&capture.pcap(), &[]);
        assert_eq!(said.sessions.len(), 3, "{back}");
        for session in &said.sessions {
            assert_eq!(legs(session), (Some(2_000.0), Some(30_000.0)), "{back}: {session}");
        }
    }
}

#[test]
fn a_run_of_equal_times_gives_no_leg() {
    let mut capture = session(50_000, START);
    let mut frozen = session(50_001, START + 20 * SECOND);
    frozen.frames.iter_mut().for_each(|(time, _)| *time = START - HOUR);
    capture.join(frozen);
    capture.join(session(50_002, START + 60 * SECOND));
    let said = craft::read(&capture.pcap(), &[]);
    let session = said.sessions.iter().find(|s| *at(s, "source.port") == 50_001).unwrap();
    assert!(at(session, "longhaul.far.handshake_us").is_null(), "{session}");
    assert_eq!(at(&said.run, "counters.capture.times_doubtful").as_u64(), Some(0));
}

#[test]
fn a_session_at_a_doubtful_time_keeps_its_own_time() {
    let mut capture = session(50_000, START);
    capture.join(session(50_001, START + 10 * HOUR));
    let said = craft::read(&capture.pcap(), &[]);
    let late = said.sessions.iter().find(|s| at(s, "source.port") == 50_001).unwrap();
    assert!(at(late, "event.start").as_str().unwrap().contains("T20:00:00"), "{late}");
    assert_eq!(at(late, "longhaul.far.handshake_us").as_f64(), Some(30_000.0));
}

#[test]
fn a_false_time_in_one_file_does_not_delay_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let demo = demo();
    let wanted = verdicts(&craft::read(&demo.pcap(), &[]));
    let (mut even, mut odd) = (Capture::default(), Capture::default());
    for (n, (time, frame)) in demo.frames.iter().enumerate() {
        let time = if n == 1_000 { YEAR_2106 } else { *time };
        if n % 2 == 0 {
            even.add(time, frame.clone())
        } else {
            odd.add(time, frame.clone())
        };
    }
    std::fs::write(folder.path().join("even.pcap"), even.pcap()).unwrap();
    std::fs::write(folder.path().join("odd.pcap"), odd.pcap()).unwrap();
    let said = craft::read_path(folder.path(), &[]);
    assert_eq!(verdicts(&said), wanted);
}

#[test]
fn sessions_of_the_last_seconds_of_32_bits_are_written() {
    let mut capture = Capture::default();
    for n in 0..600u64 {
        let from = format!("198.51.100.{}:{}", n % 200, 2_000 + n);
        let frame = craft::udp(from.parse().unwrap(), "10.0.0.5:9999".parse().unwrap(), b"abcd");
        capture.add((u64::from(u32::MAX) - 60) * SECOND + n * SECOND / 10, frame);
    }
    let said = craft::read(&capture.pcap(), &[]);
    assert_eq!(said.sessions.len(), 600);
}

/// Every file of the fuzz corpora: a capture as it is, anything else as frames and as payload.
#[test]
fn every_session_of_every_fuzz_corpus_is_accounted_for() {
    let corpora = common::own("fuzz/corpus");
    let (mut captures, mut read) = (0, 0);
    for folder in std::fs::read_dir(corpora).unwrap() {
        let folder = folder.unwrap().path();
        let mut capture = Capture::default();
        let mut now = START;
        for file in std::fs::read_dir(&folder).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let said =
                if folder.ends_with("capture") { Some(craft::read(&bytes, &[])) } else { None };
            captures += usize::from(said.is_some());
            let bytes = &bytes[..bytes.len().min(1_400)];
            now += SECOND / 7;
            capture.add(now, bytes.to_vec());
            let port = 2_000 + (now / MS % 60_000) as u16;
            let host = format!("10.0.0.9:{port}");
            let server = "198.51.100.20:443";
            capture.add(now, craft::udp(host.parse().unwrap(), server.parse().unwrap(), bytes));
            let mut connection = Connection::new(&host, server);
            connection.now = now;
            connection.open().ask(bytes).answer(bytes);
            capture.join(connection.capture);
        }
        read += capture.frames.len();
        craft::read(&capture.sorted().pcap(), &[]);
    }
    assert!(captures >= 5 && read > 100, "{captures} {read}");
}

#[test]
fn every_session_is_accounted_for_with_any_options() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("small.toml");
    std::fs::write(&config, "[caps]\nsessions = 16\nendpoints = 16\nalerts = 16\n").unwrap();
    let pcap = demo().pcap();
    for args in [
        &["--no-sessions"][..],
        &["--config", config.to_str().unwrap()],
        &["--no-dedup", "--no-latency"],
        &["--filter", "udp"],
    ] {
        let said = craft::read(&pcap, args);
        assert!(!said.run.is_null(), "{args:?}: {}", said.stderr);
        let opened = at(&said.run, "counters.session.sessions").as_u64().unwrap();
        assert!(opened > 0, "{args:?}");
    }
    if let Some(shared) = common::shared("pcaps") {
        craft::read_path(&shared, &["--no-dedup"]);
    }
    if let Some(shared) = common::shared("cases") {
        craft::read_path(&shared, &[]);
    }
    assert!(Path::new("Cargo.toml").exists());
}

/// A pcapng file (pcapng draft sections 4.1 to 4.3) of two interfaces that count nanoseconds;
/// each frame with the number of its interface.
fn two_interfaces(frames: &[(u32, u64, Vec<u8>)]) -> Vec<u8> {
    let block = |kind: u32, mut body: Vec<u8>| {
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let head = [&0x1a2b_3c4du32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat();
    let mut out = block(0x0a0d_0d0a, head);
    for _ in 0..2 {
        out.extend(block(1, vec![1, 0, 0, 0, 0, 0, 4, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
    }
    for (interface, time, frame) in frames {
        let (high, low, len) = ((time >> 32) as u32, *time as u32, frame.len() as u32);
        let words = [*interface, high, low, len, len];
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        out.extend(block(6, [words, frame.clone()].concat()));
    }
    out
}

/// A host looks up the name of a server and then connects to it, on the first of two interfaces. In
/// between, the last frame of the second interface is ten hours ahead, and nothing tells whether
/// that is true. Returns the host's session.
fn beside_doubt(doubtful: Vec<Vec<u8>>) -> serde_json::Value {
    let count = doubtful.len() as u64;
    let mut frames = vec![(0, START, own_question())];
    frames.extend((0..3).map(|n| (1, START + n * MS, ask("10.0.0.6:4444", 80 + n as u16))));
    frames.extend(doubtful.into_iter().map(|frame| (1, START + 10 * HOUR, frame)));
    frames.push((0, START + 20 * MS, own_answer()));
    let mut connection = Connection::new("10.0.0.5:50000", OWN_SERVER);
    connection.now = START + 40 * MS;
    let talk = connection.open().ask(b"\x01opaque").answer(b"\x02opaque").close();
    frames.extend(talk.frames.into_iter().map(|(time, frame)| (0, time, frame)));
    let said = craft::read(&two_interfaces(&frames), &[]);
    assert_eq!(at(&said.run, "counters.capture.times_doubtful").as_u64(), Some(count));
    said.sessions.into_iter().find(|s| *at(s, "source.port") == 50_000).unwrap()
}

const OWN_SERVER: &str = "198.51.100.7:443";

fn ask(from: &str, id: u16) -> Vec<u8> {
    let resolver = "10.0.0.53:53".parse().unwrap();
    craft::udp(from.parse().unwrap(), resolver, &craft::dns_query(id, "own.example", 1))
}

fn own_question() -> Vec<u8> {
    ask("10.0.0.5:4444", 7)
}

fn own_answer() -> Vec<u8> {
    let (host, resolver) = ("10.0.0.5:4444".parse().unwrap(), "10.0.0.53:53".parse().unwrap());
    let address = [OWN_SERVER.parse::<std::net::SocketAddr>().unwrap().ip()];
    craft::udp(resolver, host, &craft::dns_answer(7, "own.example", &address))
}

#[test]
fn a_doubtful_time_expires_no_question_and_no_name() {
    let name = |doubtful| at(&beside_doubt(doubtful), "destination.domain").clone();
    assert_eq!(name(vec![ask("10.0.0.6:4444", 9)]), "own.example", "a question");
    assert_eq!(name(vec![own_question(), own_answer()]), "own.example", "the same answer later");
}

#[test]
fn a_doubtful_time_expires_no_fragment() {
    let first = |n: u8| {
        let from = format!("10.0.0.{n}:5000").parse().unwrap();
        let mut frame = craft::udp(from, "198.51.100.7:9999".parse().unwrap(), &[n; 1_400]);
        // More fragments follow (RFC 791 section 3.1).
        frame[20] = 0x20;
        frame
    };
    let mut rest = first(5);
    // The second piece, 1,408 bytes in.
    (rest[20], rest[21]) = (0, 176);
    let frames = [
        (0, START, first(5)),
        (1, START, first(6)),
        (1, START + 10 * HOUR, first(7)),
        (0, START + MS, rest),
    ];
    let said = craft::read(&two_interfaces(&frames), &[]);
    assert_eq!(at(&said.run, "counters.capture.times_doubtful").as_u64(), Some(1));
    assert_eq!(at(&said.run, "counters.decode.fragment_orphans").as_u64(), Some(0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    /// Whatever times frames have, no session vanishes.
    #[test]
    fn no_times_make_a_session_vanish(
        wild in proptest::collection::vec((any::<prop::sample::Index>(), any::<u32>(), 1usize..30), 0..8),
        end in 200usize..1_200,
    ) {
        let mut capture = demo();
        capture.frames.truncate(end);
        for (place, second, run) in wild {
            let from = place.index(end);
            let frames = capture.frames.iter_mut().skip(from).take(run);
            frames.for_each(|(time, _)| *time = u64::from(second) * SECOND);
        }
        let said = craft::read(&capture.pcap(), &[]);
        prop_assert!(!said.sessions.is_empty());
    }
}
