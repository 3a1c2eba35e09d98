//! What one forged packet makes of an innocent host, with everything that honest hosts answer to it.
//!
//! Each case has a victim of its own, which has an interface of a maker of single-board computers, a
//! lease without a name and an ordinary session. The address that is named with it is on every list
//! there is.

use std::net::IpAddr;
use std::net::SocketAddr;

use super::*;

/// On lists of every kind.
const LISTED: &str = "203.0.113.40";

/// A forged packet, and what others answer; by whom it can be sent.
pub(super) struct Case {
    name: &'static str,
    pub(super) frames: Vec<Vec<u8>>,
}

fn lists() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tags = [
        "list:sanctioned",
        "tor",
        "vpn:astrill",
        "vpn:other",
        "proxy:other",
        "rmm:other",
        "kvm:pikvm",
        "mesh:other",
        "tunnel:other",
        "hosting",
    ];
    for (n, tag) in tags.iter().enumerate() {
        let head = "# kind: prefix\n# source: test\n# date: 2026-11-20\n# licence: test\n";
        let text = format!("# name: list{n}\n# tag: {tag}\n{head}{LISTED}\n");
        std::fs::write(folder.path().join(format!("{n}.txt")), text).unwrap();
    }
    folder
}

fn at_port(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn echo(from: SocketAddr, to: SocketAddr, kind: u8) -> Vec<u8> {
    frame(from.ip(), to.ip(), 1, 60, &[kind, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4])
}

fn segment(from: SocketAddr, to: SocketAddr, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (seq, ack) = if flags & SYN != 0 { (100, 0) } else { (101, 9_999) };
    let mut frame = tcp(from, to, Tcp { seq, ack, flags, ttl: 50, payload });
    if flags & SYN != 0 && payload.is_empty() {
        // An MSS of 1,380 in its only option: as from a tunnel.
        let at = frame.len() - 2;
        frame[at..].copy_from_slice(&1_380u16.to_be_bytes());
    }
    frame
}

/// A datagram and its answer, from one end to the other.
fn asked_and_answered(from: SocketAddr, to: SocketAddr, with: [&[u8]; 2]) -> Vec<Vec<u8>> {
    vec![udp(from, to, with[0]), udp(to, from, with[1])]
}

/// A datagram whose first fragment is an IP packet of so many bytes, and its rest.
pub(super) fn fragmented(from: SocketAddr, to: SocketAddr, bytes: usize, id: u16) -> [Vec<u8>; 2] {
    let whole = udp(from, to, &[7; 1_600]);
    let (header, data) = whole[14..].split_at(20);
    let part = |begin: usize, end: usize, field: u16| {
        let mut ip = header.to_vec();
        ip[2..4].copy_from_slice(&((20 + end - begin) as u16).to_be_bytes());
        ip[4..6].copy_from_slice(&id.to_be_bytes());
        ip[6..8].copy_from_slice(&field.to_be_bytes());
        ip.extend(&data[begin..end]);
        ethernet(0x0800, &ip)
    };
    let cut = bytes - 20;
    [part(0, cut, 0x2000), part(cut, data.len(), (cut / 8) as u16)]
}

/// Who sends under the address of `from` to `to`, and what comes of it.
pub(super) fn between(from: &str, to: &str, ports: (u16, u16)) -> Vec<Case> {
    let (a, b) = (at_port(from, ports.0), at_port(to, ports.1));
    let (stun_asks, stun_answers) = (stun([0, 1], 1), stun([1, 1], 1));
    let hello = client_hello("relay-deadbeef.net.anydesk.com");
    let initiation = [&[1, 0, 0, 0][..], &[7; 144]].concat();
    let response = [&[2, 0, 0, 0][..], &[8; 4], &initiation[4..8], &[9; 80]].concat();
    let reset = [&[0x38][..], &[5; 8], &[0, 0, 0, 0, 0]].concat();
    let reset_answer = [&[0x40][..], &[6; 8], &[1, 0, 0, 0, 0], &[5; 8], &[0; 4]].concat();
    let syn_ack = tcp(b, a, Tcp { seq: 7, ack: 101, flags: SYN | ACK, ttl: 60, payload: b"" });
    let refusal = tcp(b, a, Tcp { seq: 0, ack: 101, flags: RST | ACK, ttl: 60, payload: b"" });
    // The owner of the address never asked.
    let unasked = tcp(a, b, Tcp { seq: 101, ack: 0, flags: RST, ttl: 64, payload: b"" });
    let case = |name, frames| Case { name, frames };
    vec![
        case("a datagram", asked_and_answered(a, b, [b"query", b"answer"])),
        case("a fragment", fragmented(a, b, 1_420, 7)[..1].to_vec()),
        case("a datagram in fragments", fragmented(a, b, 1_420, 8).to_vec()),
        case("a long datagram", vec![udp(a, b, &[7; 1_472])]),
        case("STUN", asked_and_answered(a, b, [&stun_asks, &stun_answers])),
        case("WireGuard", asked_and_answered(a, b, [&initiation, &response])),
        case("OpenVPN", asked_and_answered(a, b, [&reset, &reset_answer])),
        case("a ping", vec![echo(a, b, 8), echo(b, a, 0)]),
        case("SYN", vec![segment(a, b, SYN, b""), syn_ack, unasked]),
        case("a refused SYN", vec![segment(a, b, SYN, b""), refusal]),
        case("SYN with data", vec![segment(a, b, SYN, &hello)]),
        case("data", vec![segment(a, b, ACK, &hello), segment(b, a, RST, b"")]),
        case("SYN-ACK", vec![segment(a, b, SYN | ACK, b""), segment(b, a, RST, b"")]),
    ]
}

/// What somebody on the victim's segment can say in its name, and what servers answer.
fn on_the_segment(victim: &str, mac: [u8; 6]) -> Vec<Case> {
    let ip: std::net::Ipv4Addr = victim.parse().unwrap();
    let (resolver, own) = (addr(RESOLVER), at_port(victim, 4_444));
    let mut cases = Vec::new();
    for name in [VPN, RELAY, "pikvm.org", "brightdata.com"] {
        let answer = dns_answer(9, name, &[LISTED.parse::<IpAddr>().unwrap()]);
        let frames = asked_and_answered(own, resolver, [&dns_query(9, name, 1), &answer]);
        cases.push(Case { name: "a look-up", frames });
    }
    let named =
        [b"\x05pikvm\x05local\0\0\x01\0\x01\0\0\0\x78\0\x04".to_vec(), ip.octets().to_vec()];
    let message = [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &named.concat()].concat();
    for (name, port, group) in
        [("mDNS", 5_353, "224.0.0.251:5353"), ("LLMNR", 5_355, "224.0.0.252:5355")]
    {
        let mut frame = udp(at_port(victim, port), addr(group), &message);
        frame[..12].copy_from_slice(&[&[1, 0, 0x5e, 0, 0, 0xfb][..], &mac].concat());
        cases.push(Case { name, frames: vec![frame] });
    }
    let everybody = [addr("255.255.255.255:67"), addr("255.255.255.255:68")];
    let request = udp(addr("0.0.0.0:68"), everybody[0], &dhcp(1, 3, mac, [0; 4], "pikvm"));
    let ack = dhcp(2, 5, mac, ip.octets(), "pikvm");
    let ack = udp(addr("10.20.0.67:67"), everybody[1], &ack);
    cases.push(Case { name: "a lease", frames: vec![request.clone(), ack] });
    cases.push(Case { name: "a request that no server grants", frames: vec![request] });
    cases
}

/// A lease without a name, of a transaction of its own, and a session: what each victim does.
fn innocent(victim: &str, mac: [u8; 6], begin: u64) -> Capture {
    let ip: std::net::Ipv4Addr = victim.parse().unwrap();
    let nameless = |op: u8, kind: u8, yours: [u8; 4]| {
        let mut message = dhcp(op, kind, mac, yours, "");
        // Another transaction, and no empty name.
        message[4..8].copy_from_slice(&[9, 9, mac[4], mac[5]]);
        message.truncate(message.len() - 3);
        message.push(255);
        message
    };
    let mut capture = Capture::default();
    let everybody = [addr("255.255.255.255:67"), addr("255.255.255.255:68")];
    let request = nameless(1, 3, [0; 4]);
    let ack = nameless(2, 5, ip.octets());
    capture.add(begin, udp(addr("0.0.0.0:68"), everybody[0], &request));
    capture.add(begin + MS, udp(addr("10.20.0.67:67"), everybody[1], &ack));
    let mut talk = Connection::new(&at_port(victim, 50_000).to_string(), SERVER);
    talk.now = begin + 40 * SECOND;
    talk.open().ask(&client_hello("mail.example.org")).answer(&server_hello());
    talk.wait(2 * SECOND).ask(&tls_data(16)).answer(&tls_data(16));
    let talk = talk.close();
    let mut own = talk.clone();
    own.frames.iter_mut().for_each(|(_, frame)| {
        if frame[26..30] == ip.octets() {
            frame[6..12].copy_from_slice(&mac);
        }
    });
    capture.join(own);
    capture
}

/// Every case, each with its victim.
fn cases((victim, mac): (&str, [u8; 6]), n: usize) -> Vec<(&'static str, Case)> {
    let gate = "10.20.0.11";
    // Each a session of its own, also where all are between the same hosts.
    let port = 40_001 + n as u16;
    let mut all = Vec::new();
    let mut add = |by, cases: Vec<Case>| all.extend(cases.into_iter().map(|case| (by, case)));
    add("outside, to a service of ours", between(LISTED, gate, (port, 443)));
    add("outside, from a port of servers", between(LISTED, victim, (53, 3_478)));
    add("outside, from another", between(LISTED, victim, (443, 41_641)));
    add("inside, as the victim", between(victim, LISTED, (port, 443)));
    add("inside, as the victim", between(victim, LISTED, (41_641, 3_478)));
    add("inside, to the victim", between(LISTED, victim, (3_478, 41_641)));
    add("on the segment", on_the_segment(victim, mac));
    all
}

fn victim_of(case: usize) -> (String, [u8; 6]) {
    (format!("10.20.40.{}", case + 1), [0xb8, 0x27, 0xeb, 1, 0, case as u8])
}

/// The accusations that follow from one packet of each case, by victim.
fn accusations() -> (Vec<String>, Vec<String>, Said) {
    let count = cases(("10.20.40.1", PI), 0).len();
    let mut capture = Capture::default();
    let mut names = std::collections::BTreeMap::new();
    for n in 0..count {
        let (victim, mac) = victim_of(n);
        let begin = START + n as u64 * 100 * MS;
        capture.join(innocent(&victim, mac, begin));
        let (by, case) = cases((&victim, mac), n).swap_remove(n);
        for (step, frame) in case.frames.iter().enumerate() {
            capture.add(begin + 5 * SECOND + step as u64 * 20 * MS, frame.clone());
        }
        names.insert(victim, format!("{}, {by}", case.name));
    }
    let folder = lists();
    let lists = folder.path().to_str().unwrap();
    let said = read(&capture.sorted().pcap(), &["--quiet", "--place", "IAD", "--lists", lists]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let (mut looked_up, mut accused) = (Vec::new(), Vec::new());
    for alert in &said.alerts {
        let text = |path| at(alert, path).as_str().unwrap_or_default();
        let about = names.get(text("longhaul.subject.id")).cloned();
        let about = about.unwrap_or_else(|| text("longhaul.subject.id").to_owned());
        let line = format!("{} {}: {about}", text("rule.id"), text("log.level"));
        let look_up = text("message").contains("looked up");
        if look_up { looked_up.push(line) } else { accused.push(line) }
    }
    (looked_up, accused, said)
}

#[test]
fn one_packet_accuses_nobody() {
    let (looked_up, accused, said) = accusations();
    assert_eq!(accused, [""; 0], "{} of {}", accused.len(), said.sessions.len());
    // What is left is low, and adds up to no incident.
    let expected =
        ["D08", "D18", "D20", "D23"].map(|rule| format!("{rule} low: a look-up, on the segment"));
    assert_eq!(sorted(looked_up), expected);
    assert!(said.incidents.is_empty(), "{:?}", said.incidents);
    // Each packet was read: every victim has its session, and each forged one is there.
    let of_listed = |s: &&serde_json::Value| {
        [at(s, "source.ip"), at(s, "destination.ip")].iter().any(|ip| **ip == LISTED)
    };
    assert!(said.sessions.iter().filter(of_listed).count() >= 55);
    let unconfirmed = |s: &&serde_json::Value| *at(s, "longhaul.quality.unconfirmed") == true;
    let forged = || said.sessions.iter().filter(of_listed);
    assert_eq!(forged().filter(unconfirmed).count(), forged().count());
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// The same lists accuse whoever does speak with that address.
#[test]
fn a_confirmed_session_with_a_listed_address_alerts() {
    let folder = lists();
    let lists = folder.path().to_str().unwrap();
    let (mut talk, mut capture) =
        (Connection::new("10.20.30.99:50001", "203.0.113.40:443"), Capture::default());
    talk.open().ask(b"\x01opaque").answer(b"\x02opaque");
    talk.wait(700 * SECOND).ask(&tls_data(16)).answer(&tls_data(16));
    capture.join(talk.close());
    let (a, b) = (addr("10.20.30.98:50001"), addr("203.0.113.40:51820"));
    for n in 0..20 {
        capture.add(START + n * 40 * SECOND, udp(a, b, b"query"));
        capture.add(START + n * 40 * SECOND + 20 * MS, udp(b, a, b"answer"));
    }
    let said = read(&capture.sorted().pcap(), &["--quiet", "--lists", lists]);
    for subject in ["10.20.30.99", "10.20.30.98"] {
        let of = |alert: &&serde_json::Value| *at(alert, "longhaul.subject.id") == subject;
        let rules = said.alerts.iter().filter(of).map(|a| at(a, "rule.id").as_str().unwrap());
        let rules: Vec<_> = rules.collect();
        for rule in ["D08", "D18", "D20", "D21", "D23", "D27", "D28", "D29"] {
            assert!(rules.contains(&rule), "{rule} of {subject}: {rules:?}");
        }
    }
}
