//! What a third party can make the program report with forged packets.
//!
//! Each case is the packets of a third party together with those of an innocent host, and what must
//! not result from them. docs/threat-model.md has a line for each kind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

#[path = "forgery/around_genuine.rs"]
mod around_genuine;
mod craft;
#[path = "forgery/device.rs"]
mod device;
#[path = "forgery/one_packet.rs"]
mod one_packet;

use std::net::IpAddr;
use std::net::SocketAddr;

use craft::ACK;
use craft::Capture;
use craft::Connection;
use craft::MS;
use craft::RST;
use craft::SECOND;
use craft::START;
use craft::SYN;
use craft::Said;
use craft::Tcp;
use craft::at;
use craft::client_hello;
use craft::dns_answer;
use craft::dns_query;
use craft::ethernet;
use craft::frame;
use craft::read;
use craft::server_hello;
use craft::tcp;
use craft::tls_data;
use craft::udp;

const VICTIM: &str = "10.20.30.99";
const RESOLVER: &str = "10.20.0.53:53";
const SERVER: &str = "142.250.1.1:443";
const VPN: &str = "client.astrill.com";
const RELAY: &str = "relay-deadbeef.net.anydesk.com";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn victim(port: u16) -> SocketAddr {
    SocketAddr::new(VICTIM.parse().unwrap(), port)
}

/// Three minutes of TLS with an innocent server, or of bytes that name nobody.
fn session(port: u16, first: &[u8], answer: &[u8]) -> Capture {
    let mut talk = Connection::new(&victim(port).to_string(), SERVER);
    talk.now = START + 5 * SECOND;
    talk.open().ask(first).answer(answer);
    for _ in 0..6 {
        talk.wait(30 * SECOND).ask(&tls_data(16)).answer(&tls_data(16));
    }
    talk.close()
}

fn tls(port: u16) -> Capture {
    session(port, &client_hello("mail.example.org"), &server_hello())
}

/// Something that names nobody, in either direction.
fn nameless(port: u16) -> Capture {
    session(port, b"\x01opaque", b"\x02opaque")
}

fn forged(from: &str, to: SocketAddr, id: u16, name: &str) -> Capture {
    let server: IpAddr = addr(SERVER).ip();
    let mut capture = Capture::default();
    capture.add(START, udp(addr(from), to, &dns_answer(id, name, &[server])));
    capture
}

fn asked(id: u16, name: &str) -> Capture {
    let mut capture = Capture::default();
    capture.add(START - SECOND, udp(victim(4_444), addr(RESOLVER), &dns_query(id, name, 1)));
    capture
}

fn judge(parts: &[Capture]) -> Said {
    let mut all = Capture::default();
    for part in parts {
        all.join(part.clone());
    }
    let capture = all.sorted().pcap();
    let said = read(&capture, &["--quiet", "--place", "IAD", "--workers", "1"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let again = read(&capture, &["--quiet", "--place", "IAD", "--workers", "8"]);
    assert_eq!(said.sessions, again.sessions, "workers differ");
    assert_eq!(said.rules(), again.rules(), "workers differ");
    said
}

fn of(said: &Said, port: u16) -> &serde_json::Value {
    said.sessions.iter().find(|s| *at(s, "source.port") == port).expect("a session of that port")
}

fn accused(said: &Said) -> Vec<(String, String)> {
    let named = ["D08", "D18", "D20", "D22", "D23"];
    said.rules().into_iter().filter(|(rule, _)| named.contains(&rule.as_str())).collect()
}

#[test]
fn an_answer_that_nobody_asked_for_names_nothing() {
    let outside = "203.0.113.66:53";
    for to in [victim(31_337), addr("10.20.30.66:31337"), addr("203.0.113.77:31337")] {
        for name in [VPN, RELAY] {
            let said = judge(&[forged(outside, to, 7, name), nameless(50_000), tls(50_001)]);
            assert_eq!(accused(&said), [], "{name} to {to}");
            assert!(at(of(&said, 50_000), "destination.domain").is_null(), "{name} to {to}");
            assert!(said.incidents.is_empty());
        }
    }
}

#[test]
fn an_answer_has_to_fit_its_question() {
    let resolver = |id, name| forged(RESOLVER, victim(4_444), id, name);
    let name = |parts: &[Capture]| at(of(&judge(parts), 50_000), "destination.domain").clone();
    let own = "relay.example.org";
    let talk = nameless(50_000);
    assert_eq!(name(&[asked(7, own), resolver(7, own), talk.clone()]), own, "the true one");
    for (why, part) in [
        ("another id", resolver(8, own)),
        ("another name", resolver(7, VPN)),
        ("another port", forged(RESOLVER, victim(4_445), 7, own)),
        ("another server", forged("10.20.0.54:53", victim(4_444), 7, own)),
        ("from outside", forged("203.0.113.66:53", victim(4_444), 7, own)),
    ] {
        assert!(name(&[asked(7, own), part, talk.clone()]).is_null(), "{why}");
    }
    let mut late = Capture::default();
    late.add(START - 60 * SECOND, udp(victim(4_444), addr(RESOLVER), &dns_query(7, own, 1)));
    assert!(name(&[late, resolver(7, own), talk.clone()]).is_null(), "a minute later");
    // Once it was answered, a second answer is nobody's.
    let mut second = resolver(7, own);
    second.frames[0].0 += SECOND;
    let pointed = judge(&[asked(7, own), resolver(7, own), second, talk]);
    assert_eq!(*at(of(&pointed, 50_000), "destination.domain"), own);
}

#[test]
fn answers_that_nobody_asked_for_are_counted() {
    let forge = |to, id| forged(RESOLVER, to, id, "relay.example.org");
    let count = |parts: &[Capture]| {
        at(&judge(parts).run, "counters.identity.answers_unasked").as_u64().unwrap()
    };
    let (own, talk) = (asked(7, "relay.example.org"), nameless(50_000));
    let mut again = forge(victim(4_444), 7);
    again.frames[0].0 += SECOND;
    let good = forge(victim(4_444), 7);
    assert_eq!(count(&[own.clone(), good, again, talk.clone()]), 0, "asked once, answered twice");
    let elsewhere = forge(addr("203.0.113.77:4444"), 7);
    assert_eq!(count(&[elsewhere, talk.clone()]), 0, "to somebody whose questions we need not see");
    assert_eq!(count(&[own, forge(victim(4_444), 8), forge(victim(4_445), 7), talk.clone()]), 2);
    assert_eq!(count(&[lease(true), talk.clone()]), 0);
    assert_eq!(count(&[lease(false), talk]), 1, "a lease");
}

#[test]
fn a_name_is_bound_for_whoever_asked() {
    let other = addr("10.20.30.66:4444");
    let mut lookup = Capture::default();
    lookup.add(START - SECOND, udp(other, addr(RESOLVER), &dns_query(7, RELAY, 1)));
    let answer = forged(RESOLVER, other, 7, RELAY);
    let said = judge(&[lookup, answer, nameless(50_000)]);
    assert!(at(of(&said, 50_000), "destination.domain").is_null());
    let about_victim = |alert: &serde_json::Value| *at(alert, "longhaul.subject.id") == VICTIM;
    assert!(!said.alerts.iter().any(about_victim), "{:?}", said.alerts);
}

#[test]
fn what_a_session_says_beats_what_was_heard() {
    let heard = [asked(7, VPN), forged(RESOLVER, victim(4_444), 7, VPN)];
    let [question, answer] = heard;
    let said = judge(&[question, answer, tls(50_000), nameless(50_001)]);
    let own = of(&said, 50_000);
    assert_eq!(*at(own, "destination.domain"), "mail.example.org");
    assert_eq!(*at(own, "longhaul.names.contradiction"), VPN);
    assert!(!at(own, "longhaul.tags").to_string().contains("vpn:"), "{own}");
    let silent = of(&said, 50_001);
    assert_eq!(*at(silent, "destination.domain"), VPN, "it says nothing itself");
    assert!(at(silent, "longhaul.names.contradiction").is_null());
    let levels: Vec<_> = accused(&said).into_iter().filter(|(_, level)| level == "high").collect();
    assert_eq!(levels, [("D18".to_owned(), "high".to_owned())], "the one that says nothing");
}

/// A DHCP message (RFC 2131 section 2) with a host name.
fn dhcp(op: u8, kind: u8, mac: [u8; 6], yours: [u8; 4], name: &str) -> Vec<u8> {
    let mut out = vec![op, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend([&yours[..], &[0; 8], &mac, &[0; 10 + 64 + 128], &[99, 130, 83, 99]].concat());
    out.extend([&[53, 1, kind, 51, 4, 0, 0, 14, 16, 12, name.len() as u8][..]].concat());
    out.extend(name.as_bytes());
    out.push(255);
    out
}

const PI: [u8; 6] = [0xb8, 0x27, 0xeb, 0, 0, 1];

/// A server grants a lease with that name, after these messages of the client.
fn lease_after(kinds: &[u8]) -> Capture {
    let mut capture = Capture::default();
    let (client, server) = (addr("0.0.0.0:68"), addr("10.20.30.66:67"));
    let everybody = [addr("255.255.255.255:67"), addr("255.255.255.255:68")];
    for (n, kind) in kinds.iter().enumerate() {
        let question = dhcp(1, *kind, PI, [0; 4], "pikvm");
        capture.add(START + n as u64 * SECOND, udp(client, everybody[0], &question));
    }
    let granted = START + kinds.len() as u64 * SECOND;
    capture.add(granted, udp(server, everybody[1], &dhcp(2, 5, PI, [10, 20, 30, 99], "pikvm")));
    capture
}

fn lease(asked: bool) -> Capture {
    lease_after(if asked { &[3] } else { &[] })
}

/// A host of that link-layer address says over mDNS that it is `pikvm.local`.
fn announced(mac: [u8; 6]) -> Capture {
    let mut message = vec![0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    message.extend(b"\x05pikvm\x05local\0\0\x01\0\x01\0\0\0\x78\0\x04\x0a\x14\x1e\x63");
    let mut frame = udp(victim(5_353), addr("224.0.0.251:5353"), &message);
    frame[..12].copy_from_slice(&[&[1, 0, 0x5e, 0, 0, 0xfb][..], &mac].concat());
    let mut capture = Capture::default();
    capture.add(START, frame);
    capture
}

/// The same session, its initiator's frames sent by that interface.
fn from_interface(mut capture: Capture, mac: [u8; 6]) -> Capture {
    let own = ethernet(0, &[])[6..12].to_vec();
    for (_, frame) in &mut capture.frames {
        assert_eq!(frame[6..12], own);
        frame[6..12].copy_from_slice(&mac);
    }
    capture
}

#[test]
fn one_message_makes_nobody_a_kvm() {
    for (why, part) in [("a lease that nobody asked for", lease(false)), ("mDNS", announced(PI))] {
        let said = judge(&[part, tls(50_000)]);
        assert_eq!(accused(&said), [], "{why}");
    }
    let device = judge(&[lease(false), tls(50_000)]);
    assert!(at(of(&device, 50_000), "longhaul.device").is_null());
    let said = judge(&[lease(true), tls(50_000)]);
    assert_eq!(accused(&said), [], "one kind, though of two messages");
    assert_eq!(*at(of(&said, 50_000), "longhaul.device.name_sources"), 1);
    let said = judge(&[lease(true), announced(PI)]);
    assert_eq!(accused(&said), [], "it was never seen to speak");
    let said = judge(&[announced(PI), from_interface(tls(50_000), PI)]);
    assert_eq!(accused(&said), [], "one message about a host whose interface is of a maker");
}

#[test]
fn two_kinds_and_a_session_make_one() {
    let said = judge(&[lease(true), announced(PI), tls(50_000)]);
    assert_eq!(accused(&said), [("D22".to_owned(), "high".to_owned())]);
    assert_eq!(*at(of(&said, 50_000), "longhaul.device.name_sources"), 2);
    let said = judge(&[lease_after(&[1, 3]), from_interface(tls(50_000), PI)]);
    assert_eq!(accused(&said), [("D22".to_owned(), "high".to_owned())], "its own interface");
    assert_eq!(*at(of(&said, 50_000), "longhaul.device.name_confirmed"), true);
    // Who asks once for a lease may not be the device, although the server grants it.
    let said = judge(&[lease(true), from_interface(tls(50_000), PI)]);
    assert_eq!(accused(&said), []);
}

/// An address of the list of Astrill's exits, and one of our hosts that answers whoever asks.
const EXIT: &str = "104.140.119.23:40001";
const GATE: &str = "10.20.0.11:3478";

/// Datagrams of both ends, three times within a minute and a bit.
fn datagrams(frames: &[Vec<u8>]) -> Said {
    let mut capture = Capture::default();
    for second in [0, 30, 61] {
        for (n, frame) in frames.iter().enumerate() {
            capture.add(START + second * SECOND + n as u64 * 10 * MS, frame.clone());
        }
    }
    read(&capture.pcap(), &[])
}

/// A STUN message (RFC 8489 section 5).
fn stun(class: [u8; 2], transaction: u8) -> Vec<u8> {
    [&class[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &[transaction; 12]].concat()
}

#[test]
fn datagrams_of_a_false_source_accuse_nobody() {
    let (exit, gate) = (addr(EXIT), addr(GATE));
    let echo = |kind: u8| [kind, 0, 0, 0, 0, 7, 0, 1, 1, 2, 3, 4];
    let icmp =
        |from: SocketAddr, to: SocketAddr, kind| frame(from.ip(), to.ip(), 1, 60, &echo(kind));
    let (ask, answer) = (stun([0, 1], 1), stun([1, 1], 1));
    for (name, frames) in [
        ("UDP", [udp(exit, gate, b"query"), udp(gate, exit, b"answer")]),
        ("STUN", [udp(exit, gate, &ask), udp(gate, exit, &answer)]),
        ("ping", [icmp(exit, gate, 8), icmp(gate, exit, 0)]),
    ] {
        let said = datagrams(&frames);
        assert_eq!(at(&said.sessions[0], "network.direction"), "inbound", "{name}");
        assert_eq!(*at(&said.sessions[0], "longhaul.quality.unconfirmed"), true, "{name}");
        assert!(said.alerts.is_empty(), "{name}: {:?}", said.rules());
        assert!(said.incidents.is_empty(), "{name}");
    }
    // Whoever answers what it was asked is where it says.
    let said = datagrams(&[
        udp(exit, gate, &ask),
        udp(gate, exit, &stun([0, 1], 2)),
        udp(exit, gate, &stun([1, 1], 2)),
    ]);
    assert!(at(&said.sessions[0], "longhaul.quality.unconfirmed").is_null());
    assert!(said.rules().iter().any(|(rule, _)| rule == "D01"), "{:?}", said.rules());
    // One of our own that begins needs no such proof.
    let said = datagrams(&[udp(gate, exit, b"query"), udp(exit, gate, b"answer")]);
    assert!(at(&said.sessions[0], "longhaul.quality.unconfirmed").is_null());
}

#[test]
fn a_false_source_that_resets_what_it_opened_was_not_answered() {
    let (exit, gate) = (addr(EXIT), addr("10.20.0.11:443"));
    let segment =
        |from, to, flags, seq, ack| tcp(from, to, Tcp { seq, ack, flags, ttl: 50, payload: b"" });
    let mut capture = Capture::default();
    capture.add(START, segment(exit, gate, SYN, 1, 0));
    capture.add(START + MS, segment(gate, exit, SYN | ACK, 77, 2));
    capture.add(START + 2 * MS, segment(exit, gate, RST, 2, 0));
    let said = read(&capture.pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "longhaul.state"), "reset");
    for row in &said.endpoints {
        assert!(at(row, "endpoint.service.port").is_null(), "{row}");
    }
    assert!(!said.endpoints.is_empty() && said.alerts.is_empty(), "{:?}", said.rules());
}

/// Frames inside VXLAN: those of `first` from one end of the tunnel, the others from the other.
fn tunnelled(inner: &Capture, ends: [&str; 2], first: impl Fn(&[u8]) -> bool) -> Capture {
    let [one, other] = ends.map(|end| format!("{end}:4789"));
    let mut capture = Capture::default();
    for (time, frame) in &inner.frames {
        let (from, to) = if first(frame) { (&one, &other) } else { (&other, &one) };
        let packet = [&[8, 0, 0, 0, 0, 0, 1, 0], &frame[..]].concat();
        capture.add(*time, udp(addr(from), addr(to), &packet));
    }
    capture
}

/// Whether the victim sent a frame.
fn is_the_victims(frame: &[u8]) -> bool {
    frame[26..30] == [10, 20, 30, 99]
}

/// One host outside can write both directions of a session into the packets of a tunnel.
#[test]
fn a_session_inside_a_strangers_tunnel_accuses_nobody() {
    let session = session(40_001, &client_hello(RELAY), &server_hello());
    let question = asked(7, VPN);
    let answer = forged(RESOLVER, victim(4_444), 7, VPN);
    let mut inner = nameless(40_002);
    inner.join(session).join(question).join(answer);
    let inner = inner.sorted();
    let stranger = tunnelled(&inner, ["198.51.100.66", "10.20.0.9"], |_| true);
    let said = judge(&[stranger]);
    assert_eq!(accused(&said), []);
    let told = of(&said, 40_001);
    assert_eq!(*at(told, "tls.client.server_name"), RELAY);
    assert_eq!(*at(told, "longhaul.quality.unconfirmed"), true);
    assert!(at(of(&said, 40_002), "destination.domain").is_null(), "the question was not heard");
    // The resolver is one of ours as well.
    assert_eq!(*at(&said.run, "counters.identity.overheard_unproven"), 2);
    assert_eq!(*at(&said.run, "counters.session.unproven"), 3);
    assert!(said.rules().is_empty(), "{:?}", said.rules());
    // The stranger sends the answers as they are, and only what the victim says in a tunnel.
    let mut half = Capture::default();
    for (time, frame) in inner.frames.iter().filter(|(_, frame)| !is_the_victims(frame)) {
        half.add(*time, frame.clone());
    }
    let victims = Capture {
        frames: inner.frames.iter().filter(|(_, frame)| is_the_victims(frame)).cloned().collect(),
    };
    let victims = tunnelled(&victims, ["198.51.100.66", "10.20.0.9"], |_| true);
    assert_eq!(accused(&judge(&[half, victims])), []);
}

/// What a switch of ours mirrors, and a tunnel whose other end answers, are heard as ever.
#[test]
fn sessions_in_tunnels_of_our_own_are_judged() {
    let inner = session(40_001, &client_hello(RELAY), &server_hello());
    let mirrored = tunnelled(&inner, ["10.20.0.1", "10.20.0.9"], |_| true);
    let branch = tunnelled(&inner, ["198.51.100.66", "203.0.113.5"], is_the_victims);
    for capture in [inner, mirrored, branch] {
        let said = judge(&[capture]);
        assert!(accused(&said).iter().any(|(rule, _)| rule == "D08"), "{:?}", said.rules());
        assert!(at(of(&said, 40_001), "longhaul.quality.unconfirmed").is_null());
    }
}
