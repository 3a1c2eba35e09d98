//! Forged TCP packets: what a third party may not make of a session. And who began one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "the shared module serves several tests")]

mod craft;

use std::net::SocketAddr;

use serde_json::Value;

use craft::ACK;
use craft::Capture;
use craft::Connection;
use craft::FIN;
use craft::MS;
use craft::PSH;
use craft::RST;
use craft::SECOND;
use craft::START;
use craft::SYN;
use craft::Said;
use craft::Tcp;
use craft::at;
use craft::tcp;

/// An address of the list of Astrill's exits.
const ASTRILL: &str = "104.140.119.23";

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn has(said: &Said, rule: &str) -> bool {
    said.rules().iter().any(|(id, _)| id == rule)
}

/// One segment between two ends.
fn segment((from, to): (&str, &str), flags: u8, (seq, ack): (u32, u32), ttl: u8) -> Vec<u8> {
    tcp(socket(from), socket(to), Tcp { seq, ack, flags, ttl, payload: b"" })
}

/// A session of some two minutes, with an exchange each 15 s.
fn long_session(client: &str, server: &str) -> Connection {
    let mut connection = Connection::new(client, server);
    connection.open().ask(b"SSH-2.0-OpenSSH_9.6\r\n").answer(b"SSH-2.0-OpenSSH_9.6\r\n");
    for _ in 0..9 {
        connection.wait(15 * SECOND).ask(&[7; 60]).answer(&[8; 90]);
    }
    connection
}

#[test]
fn syns_of_a_false_source_accuse_nobody() {
    let (exit, gate) = ("104.140.119.23:4500", "10.20.0.11:443");
    let mut capture = Capture::default();
    for second in [0, 30, 61] {
        let now = START + second * SECOND;
        capture.add(now, segment((exit, gate), SYN, (1, 0), 50));
        capture.add(now + 10 * MS, segment((gate, exit), SYN | ACK, (77, 2), 64));
    }
    let said = craft::read(&capture.pcap(), &[]);
    assert_eq!(said.sessions.len(), 1);
    assert_eq!(at(&said.sessions[0], "longhaul.state"), "opened");
    assert_eq!(at(&said.sessions[0], "longhaul.quality.unconfirmed"), true);
    assert!(said.alerts.is_empty(), "{:?}", said.rules());
    // Nor does an acknowledgement of what was never sent, data, a RST or FINs of either side.
    for (name, more) in [
        ("blind acknowledgement", vec![segment((exit, gate), ACK, (2, 12_345), 50)]),
        ("RST", vec![segment((gate, exit), RST | ACK, (78, 2), 64)]),
        ("RST of the false source", vec![segment((exit, gate), RST, (2, 0), 50)]),
        (
            "FINs",
            vec![
                segment((exit, gate), FIN | ACK, (2, 500), 50),
                segment((gate, exit), FIN | ACK, (78, 2), 64),
            ],
        ),
    ] {
        let mut capture = capture.clone();
        for frame in more {
            capture.add(START + 62 * SECOND, frame);
        }
        let said = craft::read(&capture.pcap(), &[]);
        assert!(said.alerts.is_empty(), "{name}: {:?}", said.rules());
    }
    // Picked up in the middle, and refused each time.
    let mut capture = Capture::default();
    for second in 0..70 {
        let now = START + second * SECOND;
        capture.add(now, segment((exit, gate), ACK, (1_000, 555), 50));
        capture.add(now + MS, segment((gate, exit), RST, (555, 0), 64));
    }
    let said = craft::read(&capture.pcap(), &[]);
    assert!(said.alerts.is_empty(), "{:?}", said.rules());
}

#[test]
fn a_session_that_continues_after_a_forged_end_counts() {
    let said =
        craft::read(&long_session("104.140.119.23:40001", "10.20.0.11:443").close().pcap(), &[]);
    assert!(has(&said, "D01"), "{:?}", said.rules());
    assert!(at(&said.sessions[0], "longhaul.quality.unconfirmed").is_null());
    // Also where its end is a RST, and where its beginning was not seen.
    let mut reset = long_session("104.140.119.23:40001", "10.20.0.11:443");
    reset.up(RST | ACK, b"");
    let said = craft::read(&reset.capture.pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "longhaul.state"), "reset");
    assert!(has(&said, "D01"), "{:?}", said.rules());
    let mut middle = long_session("104.140.119.23:40001", "10.20.0.11:443").close();
    middle.frames.drain(..3);
    let said = craft::read(&middle.pcap(), &[]);
    assert!(has(&said, "D01"), "{:?}", said.rules());
}

/// What a session says, but for counts of packets.
fn told(said: &Said) -> Vec<(Value, Value, Value, Value)> {
    let of = |session: &Value, path: &str| at(session, path).clone();
    let lines = said.sessions.iter();
    lines
        .map(|s| {
            let legs = (of(s, "longhaul.near.handshake_us"), of(s, "longhaul.far.handshake_us"));
            (of(s, "longhaul.state"), of(s, "event.duration"), legs.0, legs.1)
        })
        .collect()
}

#[test]
fn an_end_that_both_sides_ignore_ends_nothing() {
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let honest = long_session(client, server);
    let wanted = craft::read(&honest.capture.pcap(), &[]);
    assert_eq!(wanted.sessions.len(), 1);
    // Behind the first exchange: 21 bytes of each side.
    let (up, down) = (1_001 + 21, 5_001 + 21);
    let both = [
        segment((client, server), FIN | ACK, (up, down), 1),
        segment((server, client), FIN | ACK, (down, up), 1),
    ];
    for (name, frames) in [
        ("RST of the client", vec![segment((client, server), RST, (up, 0), 1)]),
        ("RST of the server", vec![segment((server, client), RST, (down, 0), 1)]),
        ("RST with the right TTL", vec![segment((client, server), RST, (up, 0), 64)]),
        ("RST within the window", vec![segment((client, server), RST, (up + 9_000, 0), 64)]),
        ("FIN of the client", vec![segment((client, server), FIN | ACK, (up, down), 1)]),
        ("FIN of both", both.to_vec()),
        (
            "FIN of both far ahead",
            vec![
                segment((client, server), FIN | ACK, (up + (1 << 20), down), 64),
                segment((server, client), FIN | ACK, (down + (1 << 20), up), 55),
            ],
        ),
    ] {
        let mut capture = honest.capture.clone();
        for frame in frames {
            capture.add(START + SECOND, frame);
        }
        let said = craft::read(&capture.sorted().pcap(), &[]);
        assert_eq!(told(&said), told(&wanted), "{name}");
        assert_eq!(said.rules(), wanted.rules(), "{name}");
        let counted = at(&said.run, "counters.session.ends_implausible").as_u64().unwrap();
        assert!(counted > 0, "{name}: not said");
    }
}

#[test]
fn an_end_followed_by_silence_ends_the_session() {
    for (name, state, wait) in [("close", "closed", 10), ("reset", "reset", 70)] {
        let mut connection = long_session("10.20.0.5:50001", "93.184.216.34:443");
        let mut capture = if name == "close" {
            connection.close()
        } else {
            connection.up(RST | ACK, b"");
            connection.capture.clone()
        };
        // The next use of the ports, and something else so that time goes on.
        let other = craft::udp(socket("10.0.0.9:5000"), socket("10.0.0.8:5001"), b"x");
        for second in 1..wait {
            capture.add(connection.now + second * SECOND, other.clone());
        }
        let said = craft::read(&capture.pcap(), &[]);
        let session = said.sessions.iter().find(|s| at(s, "network.transport") == "tcp").unwrap();
        assert_eq!(at(session, "longhaul.state"), state);
    }
}

#[test]
fn a_forged_syn_ack_takes_no_leg_back() {
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let forged = || segment((server, client), SYN | ACK, (4_000_000_000, 1_001), 55);
    for after in [33 * MS, 31 * MS, SECOND, 60 * SECOND] {
        let mut capture = long_session(client, server).capture;
        capture.add(START + after, forged());
        let said = craft::read(&capture.sorted().pcap(), &[]);
        assert_eq!(said.sessions.len(), 1, "{after}");
        let legs = told(&said).remove(0);
        assert_eq!((legs.2.as_f64(), legs.3.as_f64()), (Some(2_000.0), Some(30_000.0)), "{after}");
        assert_eq!(at(&said.run, "counters.session.openings_implausible"), 1, "{after}");
    }
    // One that came before the true one must not be timed.
    let mut capture = long_session(client, server).capture;
    capture.add(START + MS, forged());
    let said = craft::read(&capture.sorted().pcap(), &[]);
    assert_eq!(told(&said).remove(0).3, Value::Null, "a leg of 1 ms was believed");
}

#[test]
fn acknowledgements_without_data_are_not_a_one_way_feed() {
    let mut capture = long_session("10.20.0.5:50001", "93.184.216.34:443").close();
    for n in 0..3_000u32 {
        let from = format!("198.51.{}.{}:{}", 100 + n / 250, n % 250 + 1, 2_000 + n);
        for packet in 0..3u32 {
            let frame = segment((&from, "10.20.0.11:443"), ACK, (1 + packet, 1), 50);
            capture.add(START + u64::from(n * 3 + packet) * MS, frame);
        }
    }
    let said = craft::read(&capture.sorted().pcap(), &[]);
    assert!(said.sessions.len() > 3_000);
    let feeds = &said.run["one_way_feeds"];
    assert!(feeds.as_array().is_none_or(Vec::is_empty), "{feeds}");
}

#[test]
fn a_group_address_is_never_the_source() {
    for (from, to, multicast) in [
        ("192.168.1.105:161", "255.255.255.255:54412", true),
        ("192.168.1.105:161", "192.168.1.255:54412", true),
        ("192.168.1.105:53", "224.0.0.251:54412", false),
        ("[fe80::1]:547", "[ff02::1:2]:54412", false),
    ] {
        let mut frame = craft::udp(socket(from), socket(to), &[b'a'; 20]);
        if multicast {
            frame[..6].fill(0xff);
        }
        let mut capture = Capture::default();
        let said = craft::read(&capture.add(START, frame).pcap(), &[]);
        let source = &said.sessions[0]["source"];
        assert_eq!(source["ip"], socket(from).ip().to_string(), "{from} to {to}");
        assert_eq!(source["packets"], 1, "{from} to {to}");
    }
}

/// A session of which only what stands behind the first `skip` frames was seen.
fn from_the_middle(connection: &Connection, skip: usize) -> Said {
    let mut capture = connection.capture.clone();
    capture.frames.drain(..skip);
    craft::read(&capture.pcap(), &[])
}

fn assert_source(said: &Said, ip: &str, direction: &str, what: &str) {
    assert_eq!(said.sessions.len(), 1, "{what}");
    let session = &said.sessions[0];
    let of = |path: &str| at(session, path).as_str().unwrap().to_owned();
    assert_eq!(
        (of("source.ip").as_str(), of("network.direction").as_str()),
        (ip, direction),
        "{what}"
    );
}

#[test]
fn payload_in_the_middle_of_a_session_shows_its_initiator() {
    // A client outside, a server inside on a port of its own; the first frame seen is the server's.
    let (outside, inside) = ("203.0.113.9:41000", "10.20.0.5:40443");
    let mut connection = Connection::new(outside, inside);
    connection.open().wait(MS);
    connection.down(ACK, b"");
    connection.ask(&craft::client_hello("a.example")).answer(&craft::server_hello());
    for _ in 0..5 {
        connection.wait(20 * SECOND).ask(&craft::tls_data(40)).answer(&craft::tls_data(90));
    }
    let said = from_the_middle(&connection, 3);
    assert_source(&said, "203.0.113.9", "inbound", "ClientHello");
    let session = &said.sessions[0];
    assert_eq!(at(session, "tls.client.server_name"), "a.example");
    assert_eq!(at(session, "source.packets"), 12, "{session}");
    let near = at(session, "longhaul.near.rtt.min_us").as_f64().unwrap();
    assert!((near - 2_000.0).abs() < 1.0, "the legs were not turned: {near}");

    // A server's answer on a port of its own; then requests.
    let mut connection = Connection::new("10.20.0.5:40123", "203.0.113.9:40080");
    connection.open();
    connection.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for _ in 0..5 {
        let request = b"GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n";
        connection
            .wait(SECOND)
            .ask(request)
            .answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    assert_source(&from_the_middle(&connection, 3), "10.20.0.5", "outbound", "answer");
    assert_source(&from_the_middle(&connection, 4), "10.20.0.5", "outbound", "request");
    assert_source(&from_the_middle(&connection, 8), "10.20.0.5", "outbound", "answer later");

    // No words at all: the dynamic port is the client's.
    let mut connection = Connection::new("10.20.0.5:50123", "203.0.113.9:8080");
    connection.open().answer(&[1; 50]).ask(&[2; 50]);
    assert_source(&from_the_middle(&connection, 3), "10.20.0.5", "outbound", "ports");
}

#[test]
fn an_astrill_client_inside_is_not_an_astrill_exit_outside() {
    let server = format!("{ASTRILL}:40443");
    let mut connection = Connection::new("10.20.0.5:41000", &server);
    connection.open().wait(MS);
    connection.down(PSH | ACK, &[1; 30]);
    connection.ask(&craft::client_hello("client.astrill.com")).answer(&craft::server_hello());
    for _ in 0..12 {
        connection.wait(20 * SECOND).ask(&craft::tls_data(400)).answer(&craft::tls_data(900));
    }
    let said = from_the_middle(&connection, 3);
    assert_source(&said, "10.20.0.5", "outbound", "Astrill");
    assert!(has(&said, "D18") && !has(&said, "D01"), "{:?}", said.rules());
}

/// A session whose SYN has the highest time to live, and nothing else has.
fn high_syn(hello: &[&[u8]]) -> Connection {
    let mut talk = Connection::new("10.20.0.5:50001", "93.184.216.34:443");
    talk.open();
    for part in hello {
        talk.now += MS;
        talk.up(PSH | ACK, part);
    }
    talk.now += talk.far;
    talk.down(ACK, b"");
    talk.answer(&craft::server_hello()).ask(&craft::tls_data(60)).answer(&craft::tls_data(90));
    for (_, frame) in talk.capture.frames.iter_mut().take(1) {
        frame[22] = 255;
    }
    talk
}

#[test]
fn data_that_the_peer_acknowledges_is_no_decoy() {
    let hello = craft::client_hello("mail.example.org");
    let (one, two) = hello.split_at(40);
    for parts in [vec![&hello[..]], vec![one, two]] {
        let said = craft::read(&high_syn(&parts).close().pcap(), &[]);
        assert_eq!(at(&said.sessions[0], "tls.client.server_name"), "mail.example.org");
        assert_eq!(at(&said.run, "counters.session.decoys"), 0);
        assert_eq!(at(&said.sessions[0], "longhaul.quality.gaps"), 0);
    }
    // A decoy that the true hello follows, in one piece or in two, is left alone still.
    let decoy = craft::client_hello("www.example.com");
    for parts in [vec![&hello[..]], vec![one, two]] {
        let mut talk = high_syn(&parts);
        for (_, frame) in &mut talk.capture.frames {
            if frame[26..30] == [10, 20, 0, 5] {
                frame[22] = 64;
            }
        }
        let (from, to) = (talk.client, talk.server);
        let forged = Tcp { seq: 1_001, ack: 5_001, flags: PSH | ACK, ttl: 4, payload: &decoy };
        talk.capture.frames.insert(3, (START + 33 * MS, tcp(from, to, forged)));
        let said = craft::read(&talk.close().pcap(), &[]);
        assert_eq!(at(&said.sessions[0], "tls.client.server_name"), "mail.example.org");
        assert_eq!(at(&said.run, "counters.session.decoys"), 1);
    }
}

#[test]
fn a_forged_syn_splits_no_session() {
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let wanted = craft::read(&long_session(client, server).capture.pcap(), &[]);
    for after in [40 * MS, 20 * SECOND] {
        let mut capture = long_session(client, server).capture;
        capture.add(START + after, segment((client, server), SYN, (777_777, 0), 64));
        let said = craft::read(&capture.sorted().pcap(), &[]);
        assert_eq!(told(&said), told(&wanted), "{after}");
        assert_eq!(at(&said.run, "counters.session.openings_implausible"), 1, "{after}");
    }
    // Picked up in the middle; and answered by whoever forges both sides, or refused.
    let syn = || segment((client, server), SYN, (777_777, 0), 64);
    let answer = |flags| segment((server, client), flags, (888_888, 777_778), 64);
    for drained in [0, 3] {
        for forged in [vec![syn()], vec![syn(), answer(SYN | ACK)], vec![syn(), answer(RST | ACK)]]
        {
            let mut middle = long_session(client, server).capture;
            middle.frames.drain(..drained);
            let count = forged.len() as u64;
            for (n, frame) in forged.into_iter().enumerate() {
                middle.add(START + 20 * SECOND + n as u64 * MS, frame);
            }
            let said = craft::read(&middle.sorted().pcap(), &[]);
            assert_eq!(said.sessions.len(), 1, "{drained} {count}");
            let seen = ["openings_implausible", "ends_implausible"]
                .map(|name| at(&said.run, &format!("counters.session.{name}")).as_u64().unwrap());
            assert_eq!(seen.iter().sum::<u64>(), count, "{drained} {count}");
        }
    }
}

#[test]
fn forged_fins_of_both_sides_within_the_window_are_taken_back() {
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let mut talk = long_session(client, server);
    let (up, down) = (talk.client_seq, talk.server_seq);
    let now = talk.now;
    talk.capture.add(now + MS, segment((client, server), FIN | ACK, (up + 1_000, down), 64));
    talk.capture.add(now + 2 * MS, segment((server, client), FIN | ACK, (down + 1_000, up), 55));
    talk.wait(10 * SECOND);
    for _ in 0..3 {
        talk.ask(&craft::tls_data(700)).answer(&craft::tls_data(700));
    }
    // Longer than an end that is believed waits.
    talk.wait(400 * SECOND).ask(&craft::tls_data(70)).answer(&craft::tls_data(70));
    let said = craft::read(&talk.close().pcap(), &[]);
    assert_eq!(said.sessions.len(), 1);
    assert!(at(&said.run, "counters.session.ends_implausible").as_u64().unwrap() >= 1);
}

#[test]
fn a_fin_that_overtook_data_ends_its_session() {
    let mut talk = Connection::new("10.20.0.5:50001", "93.184.216.34:443");
    talk.open().ask(&craft::client_hello("mail.example.org")).answer(&craft::server_hello());
    talk.ask(&craft::tls_data(700));
    let last = talk.capture.frames.len() - 2;
    let mut capture = talk.close();
    // The client's data come behind its FIN.
    let fin = last + 2;
    let times = [capture.frames[last].0, capture.frames[fin].0];
    capture.frames.swap(last, fin);
    (capture.frames[last].0, capture.frames[fin].0) = (times[0], times[1]);
    let said = craft::read(&capture.pcap(), &[]);
    assert_eq!(said.sessions.len(), 1);
    assert_eq!(at(&said.sessions[0], "longhaul.state"), "closed");
    assert_eq!(at(&said.run, "counters.session.ends_implausible"), 0);
}

#[test]
fn ports_that_are_used_again_are_another_session() {
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let first = long_session(client, server);
    for (pause, has_far_leg) in [(10 * SECOND, false), (100 * SECOND, true)] {
        let mut second = Connection::new(client, server);
        (second.client_seq, second.server_seq) = (900_000, 800_000);
        second.now = first.now + pause;
        second.open().ask(&craft::client_hello("mail.example.org")).answer(&craft::server_hello());
        let mut capture = first.capture.clone();
        capture.join(second.close());
        let said = craft::read(&capture.pcap(), &[]);
        assert_eq!(said.sessions.len(), 2, "{pause}");
        let again = said.sessions.iter().find(|s| at(s, "tls.client.server_name").is_string());
        let again = again.unwrap();
        assert_eq!(at(again, "tls.client.server_name"), "mail.example.org", "{pause}");
        assert_eq!(at(again, "source.ip"), "10.20.0.5", "{pause}");
        assert_eq!(at(again, "longhaul.far.handshake_us").is_f64(), has_far_leg, "{pause}");
    }
}

#[test]
fn segments_far_away_move_no_stream_before_its_hello() {
    let hello = craft::client_hello("mail.example.org");
    let (client, server) = ("10.20.0.5:50001", "93.184.216.34:443");
    let mut talk = Connection::new(client, server);
    talk.open().wait(SECOND).ask(&hello).answer(&craft::server_hello());
    let mut capture = talk.close();
    for n in 0..4 {
        let at = Tcp { seq: (1 << 30) + n, ack: 5_001, flags: PSH | ACK, ttl: 64, payload: b"x" };
        capture.add(START + 40 * MS, tcp(socket(client), socket(server), at));
    }
    let said = craft::read(&capture.sorted().pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "tls.client.server_name"), "mail.example.org");
    // What the peer acknowledges is there, though the sensor missed what lies between.
    let mut talk = Connection::new(client, server);
    talk.open();
    talk.client_seq += 1 << 28;
    for _ in 0..3 {
        talk.ask(b"SSH-2.0-OpenSSH_9.6\r\n");
    }
    let said = craft::read(&talk.close().pcap(), &[]);
    assert_eq!(at(&said.sessions[0], "longhaul.quality.out_of_order"), 1);
}
