//! Slices hold the packets behind an event: all of them, and no others.
//!
//! Owns: the round trip (reading a slice gives the same sessions), captures that moved or changed,
//! ids that fit nothing or too much. In: captures made here. Out: assertions. Never: a recorded
//! capture but the embedded one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use craft::{ACK, Connection, MS, PSH, SECOND, START, SYN};
use serde_json::Value;

fn longhaul(args: &[&dyn AsRef<std::ffi::OsStr>]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longhaul"));
    for arg in args {
        command.arg(arg);
    }
    command.output().unwrap()
}

/// A result that stays.
fn read(input: &Path, out: &Path, more: &[&str]) {
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"read", &input, &"--out", &out, &"-q"];
    args.extend(more.iter().map(|arg| arg as &dyn AsRef<std::ffi::OsStr>));
    let run = longhaul(&args);
    assert_eq!(run.status.code(), Some(0), "{}", String::from_utf8_lossy(&run.stderr));
}

fn carve(id: &str, run: &Path, to: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut args: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"carve", &id, &run, &"-o", &to];
    args.extend(more.iter().map(|arg| arg as &dyn AsRef<std::ffi::OsStr>));
    let run = longhaul(&args);
    (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
}

/// A line without what depends on other packets of the file: ordinals, and whether the file goes on
/// until the session is over.
fn own(line: &Value) -> Value {
    let mut line = line.clone();
    for name in ["packets", "state"] {
        line["longhaul"].as_object_mut().unwrap().remove(name);
    }
    line["event"].as_object_mut().unwrap().remove("type");
    line
}

fn id(line: &Value) -> &str {
    craft::at(line, "event.id").as_str().unwrap()
}

/// An IPv4 fragment of a UDP datagram between two fixed hosts.
fn fragment(ident: u16, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let (from, to) = ("10.9.9.1".parse().unwrap(), "192.0.2.99".parse().unwrap());
    let mut ip = craft::ip(from, to, 17, 64, data);
    ip[4..6].copy_from_slice(&ident.to_be_bytes());
    let field = (offset / 8) | if more { 0x2000 } else { 0 };
    ip[6..8].copy_from_slice(&field.to_be_bytes());
    craft::ethernet(0x0800, &ip)
}

fn echo(from: &str, to: &str, kind: u8, ident: u16) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0];
    message.extend(ident.to_be_bytes());
    message.extend([0, 1, 1, 2, 3, 4]);
    craft::frame(from.parse().unwrap(), to.parse().unwrap(), 1, 64, &message)
}

/// Sessions of several kinds that share hosts and ports.
fn mixed() -> craft::Capture {
    let mut all = craft::Capture::default();
    // Ports used again, twice.
    for n in 0..3 {
        let mut talk = Connection::new("10.0.0.5:40000", "192.0.2.1:443");
        talk.now = START + n * 90 * SECOND;
        talk.client_seq += n as u32 * 100_000;
        talk.open().ask(&craft::client_hello("www.example.org")).answer(&craft::server_hello());
        let before = talk.capture.frames.len();
        all.join(talk.close());
        // A mirror port sends the last packets again, behind the end of the session.
        let copies: Vec<_> = all.frames.iter().rev().take(2).cloned().collect();
        assert!(before > 0);
        for (at, frame) in copies.into_iter().rev() {
            let mut copy = frame;
            // Another hop: the time to live is lower.
            copy[22] -= 1;
            all.add(at + MS / 2, copy);
        }
    }
    // The same hosts by echo and by a message that has no answer.
    all.add(START + SECOND, echo("10.0.0.5", "192.0.2.1", 8, 7));
    all.add(START + SECOND + 9 * MS, echo("192.0.2.1", "10.0.0.5", 0, 7));
    all.add(START + SECOND + 10 * MS, echo("10.0.0.5", "192.0.2.1", 13, 7));
    // Datagrams in fragments: in order, and the later one first.
    let mut datagram = craft::udp(
        "10.9.9.1:5000".parse().unwrap(),
        "192.0.2.99:6000".parse().unwrap(),
        &[0x61; 1_200],
    );
    datagram.drain(..34);
    let (first, second) = datagram.split_at(800);
    all.add(START + 2 * SECOND, fragment(1, 0, true, first));
    all.add(START + 2 * SECOND + MS, fragment(1, 800, false, second));
    all.add(START + 3 * SECOND, fragment(2, 800, false, second));
    all.add(START + 3 * SECOND + MS, fragment(2, 0, true, first));
    all.sorted()
}

#[test]
fn the_slice_of_each_session_is_read_as_that_session_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("mixed.pcap"), folder.path().join("out"));
    fs::write(&input, mixed().pcap()).unwrap();
    read(&input, &out, &[]);
    let sessions = craft::values(&out.join("sessions.ndjson"));
    assert!(sessions.len() >= 6, "{}", sessions.len());
    let mut packets = 0;
    for session in &sessions {
        let slice = folder.path().join(format!("{}.pcapng", id(session)));
        let (code, said) = carve(id(session), &out, &slice, &[]);
        assert_eq!(code, Some(0), "{said}");
        let again = craft::read_path(&slice, &[]);
        assert_eq!(again.sessions.len(), 1, "{session}");
        assert_eq!(own(&again.sessions[0]), own(session));
        packets += again.run["counters"]["capture"]["frames"].as_u64().unwrap();
    }
    // Each frame is in exactly one slice: fragments and duplicates, too.
    assert_eq!(packets, mixed().frames.len() as u64);
}

#[test]
fn the_slice_of_an_incident_raises_its_alerts_again() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("farm.pcap.zst"), folder.path().join("out"));
    let site = ["--home", "10.20.0.0/16", "--place", "39.04,-77.49"];
    assert_eq!(longhaul(&[&"demo", &"--extract", &input]).status.code(), Some(0));
    read(&input, &out, &site);
    let pairs = |alerts: &[Value]| {
        let text = |alert: &Value, name: &str| craft::at(alert, name).as_str().unwrap().to_owned();
        let pair = |alert: &Value| (text(alert, "rule.id"), text(alert, "longhaul.session.id"));
        alerts.iter().map(pair).collect::<BTreeSet<_>>()
    };
    let alerts = craft::values(&out.join("alerts.ndjson"));
    let mut events = craft::values(&out.join("incidents.ndjson"));
    assert!(!events.is_empty());
    events.extend(alerts.iter().cloned());
    for event in &events {
        let members = craft::at(event, "longhaul.alerts").as_array().cloned();
        let ids: BTreeSet<String> = match members {
            Some(members) => members.iter().map(|alert| id(alert).to_owned()).collect(),
            None => [id(event).to_owned()].into(),
        };
        let mine: Vec<Value> =
            alerts.iter().filter(|alert| ids.contains(id(alert))).cloned().collect();
        let slice = folder.path().join("slice.pcapng");
        let (code, said) = carve(id(event), &out, &slice, &[]);
        assert_eq!(code, Some(0), "{said}");
        let again = craft::read_path(&slice, &site);
        let (want, got) = (pairs(&mine), pairs(&again.alerts));
        assert!(want.is_subset(&got), "{}: {want:?} in {got:?}", craft::at(event, "message"));
        let known: BTreeSet<String> = craft::values(&out.join("sessions.ndjson"))
            .iter()
            .map(|session| id(session).to_owned())
            .collect();
        assert!(again.sessions.iter().all(|session| known.contains(id(session))));
    }
}

/// One connection, and the result of reading it.
struct Case {
    folder: tempfile::TempDir,
    id: String,
}

fn case() -> Case {
    let folder = tempfile::tempdir().unwrap();
    let mut talk = Connection::new("10.0.0.5:40000", "192.0.2.1:443");
    talk.open().ask(b"hello").answer(b"welcome");
    let input = folder.path().join("in.pcap");
    fs::write(&input, talk.close().pcap()).unwrap();
    read(&input, &folder.path().join("out"), &[]);
    let sessions = craft::values(&folder.path().join("out/sessions.ndjson"));
    Case { id: id(&sessions[0]).to_owned(), folder }
}

impl Case {
    fn carve(&self, more: &[&str]) -> (Option<i32>, String) {
        let at = |name: &str| self.folder.path().join(name);
        carve(&self.id, &at("out"), &at("slice.pcapng"), more)
    }

    fn is_clean(&self) -> bool {
        let names = fs::read_dir(self.folder.path()).unwrap();
        names.map(|entry| entry.unwrap().file_name()).all(|name| {
            let name = name.to_string_lossy().into_owned();
            !name.contains("slice") && !name.contains("partial")
        })
    }
}

#[test]
fn a_capture_that_moved_is_found_and_one_that_changed_is_refused() {
    let case = case();
    let input = case.folder.path().join("in.pcap");
    let bytes = fs::read(&input).unwrap();
    let elsewhere = case.folder.path().join("archive/2026");
    fs::create_dir_all(&elsewhere).unwrap();
    fs::rename(&input, elsewhere.join("other-name")).unwrap();
    let (code, said) = case.carve(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("in.pcap") && said.contains("--captures DIR"), "{said}");
    assert!(case.is_clean());
    let archive = case.folder.path().join("archive");
    let archive = archive.to_str().unwrap();
    let (code, said) = case.carve(&["--captures", archive]);
    assert_eq!(code, Some(0), "{said}");
    fs::remove_file(case.folder.path().join("slice.pcapng")).unwrap();

    // One bit of one address: neither size nor anything that is counted differs.
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    fs::write(&input, &changed).unwrap();
    let (code, said) = case.carve(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("SHA-256"), "{said}");
    assert!(case.is_clean());
    fs::write(elsewhere.join("other-name"), &changed).unwrap();
    let (code, said) = case.carve(&["--captures", archive]);
    assert_eq!(code, Some(2), "{said}");
    fs::write(&input, &bytes[..bytes.len() - 1]).unwrap();
    let (code, said) = case.carve(&[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("it has") && case.is_clean(), "{said}");
}

#[test]
fn a_slice_never_replaces_a_capture_and_may_go_to_a_pipe() {
    let case = case();
    let (input, out) = (case.folder.path().join("in.pcap"), case.folder.path().join("out"));
    let bytes = fs::read(&input).unwrap();
    let (code, said) = carve(&case.id, &out, &input, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(fs::read(&input).unwrap(), bytes);
    for name in ["sessions.ndjson", "run.json", "alerts.ndjson"] {
        let own = out.join(name);
        let bytes = fs::read(&own).unwrap();
        let (code, said) = carve(&case.id, &out, &own, &[]);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("a file of the result"), "{said}");
        assert_eq!(fs::read(&own).unwrap(), bytes, "{name}");
    }
    let piped = longhaul(&[&"carve", &case.id, &out, &"-o", &"-", &"-q"]);
    assert_eq!(piped.status.code(), Some(0));
    assert_eq!(case.carve(&[]).0, Some(0));
    assert_eq!(piped.stdout, fs::read(case.folder.path().join("slice.pcapng")).unwrap());
}

#[test]
fn an_unknown_id_is_answered_with_its_neighbours_and_a_short_one_with_all() {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("mixed.pcap"), folder.path().join("out"));
    fs::write(&input, mixed().pcap()).unwrap();
    read(&input, &out, &[]);
    let path = out.join("sessions.ndjson");
    let session = craft::values(&path).remove(0);
    let right = id(&session).to_owned();
    let mut wrong = right.clone().into_bytes();
    wrong[20] = if wrong[20] == b'0' { b'1' } else { b'0' };
    let wrong = String::from_utf8(wrong).unwrap();
    let slice = folder.path().join("slice.pcapng");
    let (code, said) = carve(&wrong, &out, &slice, &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("did you mean") && said.contains(&right), "{said}");
    // The same beginning twice.
    let mut text = fs::read_to_string(&path).unwrap();
    let twin = serde_json::to_string(&session).unwrap().replace(&right, &wrong);
    text.push_str(&twin);
    fs::write(&path, text).unwrap();
    let (code, said) = carve(&right[..8], &out, &slice, &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("2 events begin so") && said.contains(&right), "{said}");
    assert!(!slice.exists());
}

/// A pcapng file whose packets have comments, in either byte order.
fn commented(capture: &craft::Capture, big: bool) -> Vec<u8> {
    let word = |n: u32| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let half = |n: u16| if big { n.to_be_bytes() } else { n.to_le_bytes() };
    let block = |kind: u32, body: &[u8]| {
        let len = word(body.len() as u32 + 12);
        [&word(kind)[..], &len, body, &len].concat()
    };
    let head = [&word(0x1a2b_3c4d)[..], &half(1), &half(0), &[0xff; 8]].concat();
    let mut out = block(0x0a0d_0d0a, &head);
    // Ethernet, nanoseconds.
    let interface = [&half(1)[..], &half(0), &word(0), &half(9), &half(1), &[9, 0, 0, 0]].concat();
    out.extend(block(1, &[&interface[..], &[0; 4]].concat()));
    for (n, (at, frame)) in capture.frames.iter().enumerate() {
        let len = word(frame.len() as u32);
        let mut body =
            [&word(0)[..], &word((at >> 32) as u32), &word(*at as u32), &len, &len].concat();
        body.extend(frame);
        body.resize(body.len().next_multiple_of(4), 0);
        let comment = format!("seen by hand {n:02}");
        body.extend([&half(1)[..], &half(comment.len() as u16), comment.as_bytes()].concat());
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend([0; 4]);
        out.extend(block(6, &body));
    }
    out
}

#[test]
fn comments_of_the_original_stay_and_those_that_decided_are_named() {
    for big in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (input, out) = (folder.path().join("in.pcapng"), folder.path().join("out"));
        let mut talk = Connection::new("10.0.0.5:40000", "192.0.2.1:443");
        let capture = talk.open().ask(b"hello").close();
        fs::write(&input, commented(&capture, big)).unwrap();
        read(&input, &out, &[]);
        let session = craft::values(&out.join("sessions.ndjson")).remove(0);
        let slice = folder.path().join("slice.pcapng");
        assert_eq!(carve(id(&session), &out, &slice, &[]).0, Some(0));
        let bytes = fs::read(&slice).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for n in 0..capture.frames.len() {
            assert!(text.contains(&format!("seen by hand {n:02}")), "{n}");
        }
        for what in ["SYN of session", "SYN-ACK of session", "ACK of the handshake", "far.hand"] {
            assert_eq!(text.matches(what).count(), 1, "{what}");
        }
        assert!(text.contains(&format!("first packet of session {}", id(&session))));
        assert!(text.contains("last packet of session"));
        opens_in_tshark(&slice, capture.frames.len());
    }
}

/// Another program reads the slice without a complaint, where it is installed.
fn opens_in_tshark(slice: &Path, packets: usize) {
    let Ok(version) = Command::new("tshark").arg("-v").stdout(Stdio::null()).status() else {
        eprintln!("skipped: tshark is not installed");
        return;
    };
    assert!(version.success());
    let run = Command::new("tshark")
        .args(["-r", slice.to_str().unwrap(), "-T", "fields", "-e", "frame.comment"])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    assert_eq!(text.lines().count(), packets, "{text}");
    assert!(text.lines().all(|line| line.contains("seen by hand")), "{text}");
}

#[test]
fn each_capture_point_has_an_interface_and_files_of_other_days_are_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let captures = folder.path().join("captures");
    for (n, name) in ["a/one.pcap", "b/one.pcap", "a/two.pcap"].into_iter().enumerate() {
        let mut talk = Connection::new("10.0.0.5:40000", "192.0.2.1:443");
        talk.now = START + if n == 2 { 86_400 * SECOND } else { n as u64 * MS };
        talk.open();
        for _ in 0..3 {
            talk.up(PSH | ACK, b"x");
            talk.now += MS;
        }
        assert!(talk.capture.frames[0].1[47] & SYN != 0);
        let path = captures.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, talk.close().pcap()).unwrap();
    }
    let out = folder.path().join("out");
    read(&captures, &out, &["--point-by", "dir"]);
    let sessions = craft::values(&out.join("sessions.ndjson"));
    assert_eq!(sessions.len(), 3);
    // A file that is not needed may be gone.
    fs::remove_file(captures.join("a/two.pcap")).unwrap();
    let (mut frames, mut points) = (Vec::new(), BTreeSet::new());
    for session in &sessions[..2] {
        let slice = folder.path().join("slice.pcapng");
        let (code, said) = carve(id(session), &out, &slice, &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("of 1 session from"), "{said}");
        let bytes = fs::read(&slice).unwrap();
        frames.push(craft::read(&bytes, &[]).run["counters"]["capture"]["frames"].clone());
        let text = String::from_utf8_lossy(&bytes).into_owned();
        points.extend(["point0", "point1"].into_iter().filter(|name| text.contains(name)));
    }
    assert_eq!((frames, points.len()), (vec![9.into(), 9.into()], 2));
    let gone = carve(id(&sessions[2]), &out, &folder.path().join("slice.pcapng"), &[]);
    assert!(gone.0 == Some(2) && gone.1.contains("two.pcap"), "{}", gone.1);
}
