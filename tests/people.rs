//! People at one address: what one run saw of them, the next one knows.
//!
//! Owns: made-up log-ins and sessions. In: the binary. Out: assertions. Never: a recorded capture.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "tests share helpers that not all of them use")]

mod craft;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use craft::{Capture, Connection, MS, SECOND, START};

/// The address that two people share.
const HOUSE: &str = "203.0.113.66";

const SUBJECTS: &str = "match,id,hired\nuser:joe,e-1,2020-01-01\nuser:jim,e-2,2026-11-01\n";

fn end(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The access server reports that a user came from the house, or has gone; it is confirmed (RFC
/// 2866 section 4.2).
fn accounting(at: u64, status: u32, user: &str) -> Capture {
    let attribute = |kind: u8, value: &[u8]| [&[kind, value.len() as u8 + 2], value].concat();
    let framed = Ipv4Addr::new(10, 9, 0, if user == "joe" { 1 } else { 2 });
    let attributes = [
        attribute(40, &status.to_be_bytes()),
        attribute(1, user.as_bytes()),
        attribute(8, &framed.octets()),
        attribute(31, HOUSE.as_bytes()),
    ]
    .concat();
    let length = (20 + attributes.len() as u16).to_be_bytes();
    let request = [&[4, 1], &length[..], &[0; 16], &attributes].concat();
    let (client, server) = (end("10.0.0.2:40000"), end("10.0.0.3:1813"));
    let mut capture = Capture::default();
    capture.add(at, craft::udp(client, server, &request));
    let confirmed = [&[5, 1, 0, 20][..], &[0; 16]].concat();
    capture.add(at + MS, craft::udp(server, client, &confirmed));
    capture
}

/// A user connects from the house, works for a few seconds, and goes.
fn visit(at: u64, user: &str, port: u16) -> Capture {
    let mut capture = accounting(at, 1, user);
    let mut session = Connection::new(&format!("{HOUSE}:{port}"), "10.0.0.9:9999");
    session.now = at + SECOND;
    session.open().ask(b"question").answer(b"answer").ask(b"question").answer(b"answer");
    capture.join(session.close()).join(accounting(at + 5 * SECOND, 2, user));
    capture
}

/// Runs over a capture with a state directory; the rules that fired, with their levels.
fn run(capture: &Capture, state: &Path) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let subjects = folder.path().join("subjects.csv");
    std::fs::write(&subjects, SUBJECTS).unwrap();
    let args = ["--subjects", subjects.to_str().unwrap(), "--state", state.to_str().unwrap()];
    craft::read(&capture.pcap(), &args).rules()
}

#[test]
fn who_was_there_before_a_restart_is_known_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let state = |name: &str| folder.path().join(name);
    let (joe, jim) = (visit(START, "joe", 41_000), visit(START + 3_600 * SECOND, "jim", 41_001));
    let found = [("D16".to_owned(), "low".to_owned())];
    let mut both = joe.clone();
    both.join(jim.clone());
    assert_eq!(run(&both, &state("both")), found);
    // Each alone says nothing; the second run knows the first, and each says its own.
    assert_eq!(run(&jim, &state("jim")), []);
    assert_eq!(run(&joe, &state("one")), []);
    assert_eq!(run(&jim, &state("one")), found);
    let people = |name: &str| std::fs::read(state(name).join("people")).unwrap();
    assert_eq!(people("one"), people("both"), "as one run that saw all");
    // So does what another sensor saw.
    assert_eq!(run(&joe, &state("joe")), []);
    let merged = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["state", "merge"])
        .args([state("all"), state("joe"), state("jim")])
        .output()
        .unwrap();
    assert_eq!(merged.status.code(), Some(0), "{merged:?}");
    assert_eq!(people("all"), people("both"));
}

/// Two who are connected at once: no session of their address has a name, those of their tunnels do.
#[test]
fn people_who_are_always_connected_are_found_by_their_tunnels() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = accounting(START, 1, "joe");
    all.join(accounting(START + SECOND, 1, "jim"));
    let session = |from: &str, to: &str, at: u64| {
        let mut session = Connection::new(from, to);
        session.now = at;
        session.open().ask(b"question").answer(b"answer").ask(b"question").answer(b"answer");
        session.close()
    };
    for (n, from) in ["10.9.0.1:41000", "10.9.0.2:41000"].into_iter().enumerate() {
        all.join(session(from, "198.51.100.7:443", START + (n as u64 + 2) * SECOND));
    }
    all.join(session(&format!("{HOUSE}:41000"), "10.0.0.9:9999", START + 5 * SECOND));
    assert_eq!(run(&all, &folder.path().join("state")), [("D16".to_owned(), "low".to_owned())]);
}

#[test]
fn damaged_people_are_refused_and_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let joe = visit(START, "joe", 41_000);
    assert_eq!(run(&joe, &state), []);
    let file = state.join("people");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let input = folder.path().join("input.pcap");
    std::fs::write(&input, joe.pcap()).unwrap();
    let ended = Command::new(env!("CARGO_BIN_EXE_longhaul"))
        .args(["read".as_ref(), input.as_path(), "--state".as_ref(), &state])
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let error = format!("error: state {}: it is damaged: its checksum is another", file.display());
    assert!(said.starts_with(&error) && said.contains("help: it was not changed"), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
}
