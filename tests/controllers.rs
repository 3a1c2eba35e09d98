//! Who controls a host of ours, through a relay, through RustDesk, or by its own server.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::net::Ipv4Addr;

use craft::{Capture, MS, SECOND, START, Said, at};

const HOST: &str = "10.0.0.5:50000";
const RELAY: &str = "203.0.113.40:3478";
/// An exit of a VPN, by the lists.
const CONTROLLER: [u8; 4] = [104, 140, 119, 5];

/// STUN with a transaction and attributes.
fn stun(kind: u16, transaction: u32, attributes: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend((attributes.len() as u16).to_be_bytes());
    out.extend([0x21, 0x12, 0xa4, 0x42]);
    out.extend([7; 8]);
    out.extend(transaction.to_be_bytes());
    out.extend(attributes);
    out
}

/// XOR-PEER-ADDRESS.
fn peer([a, b, c, d]: [u8; 4]) -> Vec<u8> {
    [&[0, 0x12, 0, 8, 0, 1, 0x21, 0x12][..], &[a ^ 0x21, b ^ 0x12, c ^ 0xa4, d ^ 0x42]].concat()
}

/// What TURN carries under a channel's number.
fn channel(bytes: &[u8]) -> Vec<u8> {
    [&[0x40, 1][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

/// Frames between two ends over UDP.
struct Talk {
    capture: Capture,
    ends: (&'static str, &'static str),
}

impl Talk {
    fn up(&mut self, time: u64, payload: &[u8]) {
        let (from, to) = self.ends;
        let frame = craft::udp(from.parse().unwrap(), to.parse().unwrap(), payload);
        self.capture.add(time, frame);
    }

    fn down(&mut self, time: u64, payload: &[u8]) {
        let (from, to) = self.ends;
        let frame = craft::udp(to.parse().unwrap(), from.parse().unwrap(), payload);
        self.capture.add(time, frame);
    }
}

/// A host that shows its screen through a relay 20 ms away and is sent `inputs` messages a second;
/// the other end is `hidden` ms behind the relay. `agrees`: the relay reaches the peer.
fn relayed(seconds: u64, hidden: u64, inputs: u64, agrees: bool) -> Capture {
    let mut talk = Talk { capture: Capture::default(), ends: (HOST, RELAY) };
    for (kind, transaction, time) in [(0x0008, 1, START), (0x0009, 2, START + 50 * MS)] {
        talk.up(time, &stun(kind, transaction, &peer(CONTROLLER)));
        let answer = if agrees { 0x0100 } else { 0x0110 };
        talk.down(time + 20 * MS, &stun(kind | answer, transaction, &[]));
    }
    let screen = channel(&[&[0x80, 96][..], &[5; 800]].concat());
    let input = channel(&[&[0x17, 0xfe, 0xfd][..], &[9; 80]].concat());
    for second in 1..seconds {
        let now = START + second * SECOND;
        for frame in 0..20 {
            talk.up(now + frame * 50 * MS, &screen);
        }
        // A person pauses.
        for event in 0..if second % 5 == 0 { 0 } else { inputs } {
            talk.down(now + 13 * MS + event * 61 * MS, &input);
        }
        let check = |kind| channel(&stun(kind, 100 + second as u32, &[]));
        talk.up(now + 7 * MS, &check(0x0001));
        talk.down(now + (7 + 20 + hidden) * MS, &check(0x0101));
    }
    talk.capture.sorted()
}

/// The alerts of the rules on controllers.
fn control(said: &Said) -> Vec<(String, String)> {
    let ours = ["D10", "D11", "D24"];
    said.rules().into_iter().filter(|(rule, _)| ours.contains(&&**rule)).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(rule, level)| ((*rule).to_owned(), (*level).to_owned())).collect()
}

#[test]
fn a_controller_behind_a_relay_is_named_and_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input.pcap");
    std::fs::write(&file, relayed(330, 180, 12, true).pcap()).unwrap();
    let said = craft::read_path(&file, &[]);
    let line = &said.sessions[0];
    let of = |name: &str| at(line, &format!("longhaul.{name}"));
    assert_eq!(of("interaction.class"), "remote_control", "{line}");
    assert_eq!(of("interaction.controlled_side"), "source");
    assert_eq!(of("remote_control.relay"), "203.0.113.40");
    assert_eq!(of("remote_control.controller.ip"), "104.140.119.5");
    assert_eq!(of("remote_control.controller.as.number"), 62_904);
    let hidden = of("remote_control.hidden_us").as_f64().unwrap();
    assert!((hidden - 180_000.0).abs() < 1.0, "{hidden}");
    assert!(of("remote_control.samples").as_u64().unwrap() >= 300);
    let mut fired = control(&said);
    fired.sort();
    assert_eq!(fired, pairs(&[("D10", "medium"), ("D11", "medium"), ("D24", "medium")]));
    for workers in ["2", "8"] {
        let again = craft::read_path(&file, &["--workers", workers]);
        assert_eq!((again.sessions, again.alerts), (said.sessions.clone(), said.alerts.clone()));
    }
}

#[test]
fn each_part_alone_says_less() {
    let refused = craft::read(&relayed(330, 180, 12, false).pcap(), &[]);
    let line = &refused.sessions[0];
    assert!(at(line, "longhaul.remote_control.controller").is_null(), "{line}");
    assert!(!control(&refused).iter().any(|(rule, _)| rule == "D10"), "the relay refused");
    let near = craft::read(&relayed(330, 15, 12, true).pcap(), &[]);
    assert!(!control(&near).iter().any(|(rule, _)| rule == "D11"));
    let watched = craft::read(&relayed(330, 180, 0, true).pcap(), &[]);
    assert_eq!(at(&watched.sessions[0], "longhaul.interaction.class"), "view_only");
    assert_eq!(control(&watched), []);
}

/// RustDesk's reversible form of an address, written at that time.
fn mangled(ip: [u8; 4], port: u16, time: u64) -> Vec<u8> {
    let stamp = u128::from((time / 1_000) as u32);
    let ip = u128::from(u32::from_le_bytes(Ipv4Addr::from(ip).octets()));
    let value = (ip + stamp) << 49 | stamp << 17 | (u128::from(port) + (stamp & 0xffff));
    let bytes = value.to_le_bytes();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes[..end].to_vec()
}

/// A host registers every 15 s on a server of any name; one message names who asks for it, written
/// so long before it is sent.
fn rustdesk(seconds: u64, age: u64) -> Capture {
    let ends = ("10.0.0.5:50000", "203.0.113.41:7000");
    let mut talk = Talk { capture: Capture::default(), ends };
    for second in (0..seconds).step_by(15) {
        let now = START + second * SECOND;
        talk.up(now, b"\x32\x0b\x0a\x09123456789");
        talk.down(now + 30 * MS, b"\x3a\x00");
    }
    let now = START + 100 * SECOND;
    let address = mangled(CONTROLLER, 51_000, now - age * SECOND);
    let body = [&[0x0a, address.len() as u8][..], &address].concat();
    talk.down(now, &[&[0x4a, body.len() as u8][..], &body].concat());
    talk.capture.sorted()
}

#[test]
fn rustdesks_server_names_who_asks_for_control() {
    let said = craft::read(&rustdesk(330, 0).pcap(), &[]);
    let line = &said.sessions[0];
    assert_eq!(at(line, "network.application"), "rustdesk", "{line}");
    assert_eq!(at(line, "longhaul.remote_control.tool"), "rustdesk");
    assert_eq!(at(line, "longhaul.remote_control.controller.ip"), "104.140.119.5");
    assert_eq!(at(line, "longhaul.remote_control.method"), "rustdesk");
    assert_eq!(control(&said), pairs(&[("D10", "high")]));
    let old = craft::read(&rustdesk(330, 600).pcap(), &[]);
    assert!(at(&old.sessions[0], "longhaul.remote_control.controller").is_null());
    assert_eq!(control(&old), []);
}

/// Anybody can write under a server's address: the host registered nowhere.
#[test]
fn a_forged_message_names_nobody() {
    let address = mangled(CONTROLLER, 51_000, START);
    let body = [&[0x0a, address.len() as u8][..], &address].concat();
    let message = [&[0x4a, body.len() as u8][..], &body].concat();
    for ends in [
        ("203.0.113.41:21116", "10.0.0.5:50000"),
        ("10.0.0.5:50000", "203.0.113.41:21116"),
        ("203.0.113.41:7000", "10.0.0.5:50000"),
    ] {
        let mut talk = Talk { capture: Capture::default(), ends };
        for second in (0..400).step_by(20) {
            talk.up(START + second * SECOND, &message);
        }
        talk.down(START + 400 * SECOND, &[1, 2, 3]);
        let said = craft::read(&talk.capture.sorted().pcap(), &[]);
        assert_eq!(control(&said), [], "{ends:?}");
    }
}

/// Pairs of requests, each from a new port every ten seconds.
fn kvm(pairs: u64, change: bool) -> Capture {
    let mut all = Capture::default();
    for pair in 0..pairs {
        let port = 40_000 + pair;
        let (from, to) = (format!("10.0.0.9:{port}"), "203.0.113.19:19302");
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let now = START + pair * 10 * SECOND;
        let plain: &[u8] = &[];
        let second: &[u8] = if change { &[0, 3, 0, 4, 0, 0, 0, 6] } else { plain };
        for (at, (transaction, attributes)) in [(0, (1, plain)), (40, (2, second))] {
            all.add(now + at * MS, craft::udp(from, to, &stun(1, transaction, attributes)));
            let answer = stun(0x0101, transaction, &[]);
            all.add(now + (at + 20) * MS, craft::udp(to, from, &answer));
        }
    }
    all.sorted()
}

#[test]
fn five_stun_pairs_from_new_ports_are_an_ip_kvms() {
    let fired = |capture: Capture| craft::read(&capture.pcap(), &[]).rules();
    assert_eq!(fired(kvm(5, true)), pairs(&[("D23", "medium")]));
    assert_eq!(fired(kvm(4, true)), []);
    assert_eq!(fired(kvm(8, false)), []);
}
