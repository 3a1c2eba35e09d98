//! Sessions made by hand, in one piece and in random pieces.
//!
//! Owns: the promise that segmentation does not change facts. In: bytes written here. Out:
//! assertions.
//! Never: files.

use proptest::prelude::*;

use super::*;
use crate::model::record::Protocol;
use crate::model::{Counter, Nanos};

const TCP: (Transport, u16) = (Transport::TCP, 8080);

fn segment<'a>(role: Peer, to: (Transport, u16), payload: &'a [u8]) -> Segment<'a> {
    Segment {
        payload,
        from: role,
        transport: to.0,
        ports: (50_000, to.1),
        gap: false,
        time: Nanos::ZERO,
        opened: None,
        troubles: 0,
        numbers: (0, 0),
    }
}

/// Delivers the pieces in order.
fn run(to: (Transport, u16), pieces: &[(Peer, &[u8])]) -> (Observers, Counters) {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    for (role, bytes) in pieces {
        observers.observe(&segment(*role, to, bytes), &mut counters);
        assert_eq!(observers.weight(), observers.weigh_anew(), "what is remembered is so");
    }
    (observers, counters)
}

fn kexinit(lists: [&str; 10]) -> Vec<u8> {
    let mut payload = vec![20u8];
    payload.extend([7; 16]);
    for list in lists {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    let mut packet = ((payload.len() + 5) as u32).to_be_bytes().to_vec();
    packet.push(4);
    packet.extend(payload);
    packet.extend([0; 4]);
    packet
}

fn ssh_client() -> Vec<u8> {
    let lists = ["k1,k2", "h", "c2s", "s2c", "m1", "m2", "none", "zlib", "", ""];
    let debug = [0, 0, 0, 6, 4, 4, 0, 0, 0, 0];
    [&b"SSH-2.0-Probe_1\r\n"[..], &debug, &kexinit(lists)].concat()
}

#[test]
fn the_state_of_a_session_is_small() {
    assert!(std::mem::size_of::<Observers>() <= 72);
}

#[test]
fn ssh_banner_and_hassh() {
    let bytes = ssh_client();
    let (observers, _) = run(TCP, &[(Peer::Initiator, &bytes), (Peer::Responder, &bytes)]);
    assert!(!observers.wants(Peer::Initiator) && !observers.wants(Peer::Responder));
    let facts = observers.into_facts();
    assert_eq!(facts.protocol, Some(Protocol::Ssh));
    let ssh = facts.ssh.unwrap();
    assert_eq!(ssh.client.as_deref(), Some("SSH-2.0-Probe_1"));
    // printf 'k1,k2;c2s;m1;none' | md5sum
    assert_eq!(hex(&ssh.hassh.unwrap()), "d294685104f1a5cf7c00a0b508c8481f");
    // printf 'k1,k2;s2c;m2;zlib' | md5sum
    assert_eq!(hex(&ssh.hassh_server.unwrap()), "3a59aa7da61e0d079dd04a3d225be0b3");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn an_ssh_server_may_greet_first_and_version_1_ends_at_its_banner() {
    let server = b"Keep out.\r\nSSH-1.5-1.2.27\n\0\0\0\x09";
    let (observers, counters) = run(TCP, &[(Peer::Responder, server)]);
    assert!(!observers.wants(Peer::Responder));
    assert_eq!(counters.get(Counter::ParseFailures), 0);
    assert_eq!(
        observers.facts().unwrap().ssh.as_ref().unwrap().server.as_deref(),
        Some("SSH-1.5-1.2.27")
    );
}

#[test]
fn http_keeps_the_first_request_and_the_ones_that_differ() {
    let bytes =
        b"POST /a HTTP/1.1\r\nHost: x.example\r\nContent-Length: 16\r\n\r\nGET / HTTP/1.0\r\n\
        GET /b HTTP/1.1\r\nHost: y.example\r\nUser-Agent: U\r\n\r\n\
        GET /c HTTP/1.1\r\nHost: y.example\r\nUser-Agent: U\r\n\r\n";
    let answer = b"HTTP/1.1 404 Not Found\r\n\r\n";
    let (observers, _) = run(TCP, &[(Peer::Initiator, bytes), (Peer::Responder, answer)]);
    assert!(!observers.wants(Peer::Responder));
    let http = observers.into_facts().http.unwrap();
    assert_eq!((http.method.as_deref(), http.host.as_deref()), (Some("POST"), Some("x.example")));
    assert_eq!((http.status, http.more.len()), (Some(404), 1));
    assert_eq!(http.more[0].user_agent.as_deref(), Some("U"));
}

#[test]
fn a_stream_after_connect_is_parsed() {
    let connect = b"CONNECT h.example:22 HTTP/1.1\r\nHost: h.example:22\r\n\r\n";
    let (client, server) = (ssh_client(), [b"HTTP/1.1 200 OK\r\n\r\n", &ssh_client()[..]].concat());
    let pieces =
        [(Peer::Initiator, &connect[..]), (Peer::Responder, &server), (Peer::Initiator, &client)];
    let facts = run(TCP, &pieces).0.into_facts();
    assert_eq!(facts.http.unwrap().connect_target.as_deref(), Some("h.example:22"));
    let ssh = facts.ssh.unwrap();
    assert!(ssh.hassh.is_some() && ssh.hassh_server.is_some());
}

#[test]
fn preambles_do_not_hide_what_follows() {
    let ssh = ssh_client();
    let mut v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    v2.extend([9; 12]);
    let alert = b"\x15\x03\x03\0\x02\x01\x70";
    for lead in [&b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"[..], &v2, alert] {
        let bytes = [lead, &ssh[..]].concat();
        let facts = run(TCP, &[(Peer::Initiator, &bytes)]).0.into_facts();
        assert!(facts.ssh.unwrap().hassh.is_some());
    }
    let socks = [
        (Peer::Initiator, &b"\x05\x01\0"[..]),
        (Peer::Initiator, b"\x05\x01\0\x01\x01\x02\x03\x04\0\x16"),
    ];
    let facts = run(TCP, &[&socks[..], &[(Peer::Initiator, &ssh)]].concat()).0.into_facts();
    assert!(facts.ssh.unwrap().hassh.is_some());
    let both = [
        socks[0],
        (Peer::Responder, b"\x05\0"),
        socks[1],
        (Peer::Responder, b"\x05\0\0\x01\0\0\0\0\0\0"),
        (Peer::Initiator, &ssh),
    ];
    let facts = run(TCP, &both).0.into_facts();
    assert!(facts.ssh.unwrap().hassh.is_some());
    assert_eq!(facts.protocol, Some(Protocol::Socks), "what came first keeps the name");
}

#[test]
fn parsing_ends_after_a_bound() {
    let mut observers = Observers::default();
    let mut counters = Counters::default();
    for i in 0..16 {
        assert_eq!(observers.interest(), Interest::More, "{i}");
        for role in [Peer::Initiator, Peer::Responder] {
            observers.observe(&segment(role, TCP, b"\x7fnoise"), &mut counters);
        }
    }
    assert_eq!(observers.interest(), Interest::Done);
    assert!(observers.facts().is_none());
    let mut observers = Observers::default();
    observers.observe(&segment(Peer::Initiator, TCP, &[0x7f; 8192]), &mut counters);
    assert!(!observers.wants(Peer::Initiator));
}

#[test]
fn after_a_gap_the_direction_is_parsed_again() {
    let ssh = ssh_client();
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    observers.observe(&segment(Peer::Initiator, TCP, b"GET / HTTP/1.1\r\n"), &mut counters);
    let after = Segment { gap: true, ..segment(Peer::Initiator, TCP, &ssh) };
    observers.observe(&after, &mut counters);
    let facts = observers.into_facts();
    assert!(facts.http.is_none() && facts.ssh.unwrap().hassh.is_some());
}

#[test]
fn a_packet_longer_than_the_protocol_allows_is_counted_and_left() {
    let long = [&b"SSH-2.0-x\r\n"[..], &[0, 0, 0x89, 0xb8]].concat();
    let (observers, counters) = run(TCP, &[(Peer::Initiator, &long)]);
    assert!(!observers.wants(Peer::Initiator));
    assert_eq!(counters.get(Counter::ParseFailures), 1);
    let told: Vec<_> = counters.parse_errors().iter().collect();
    assert_eq!(told, [("ssh", vec![("bad_length", 1)])]);
}

/// By protocol and kind, also behind a message that is good.
#[test]
fn faults_of_protocols_that_a_port_tells_are_counted() {
    let dhcp =
        |options: &[u8]| [&[1, 1, 6, 0][..], &[7; 232], &[99, 130, 83, 99], options].concat();
    let (good, bad) = (dhcp(&[53, 1, 3, 255]), dhcp(&[53, 1, 3, 12, 9, b'x']));
    let pieces = [(Peer::Initiator, &good[..]), (Peer::Initiator, &bad), (Peer::Initiator, &bad)];
    let (observers, counters) = run((Transport::UDP, 67), &pieces);
    assert_eq!(counters.get(Counter::ParseFailures), 2);
    let told: Vec<_> = counters.parse_errors().iter().collect();
    assert_eq!(told, [("dhcp", vec![("truncated", 2)])]);
    assert_eq!(observers.into_facts().protocol, Some(Protocol::Dhcp));
    // A relative of DNS is counted under its own name.
    let mut cut = query(b"pc.local", 1);
    (cut[2], cut[7]) = (0, 1);
    let (_, counters) = run((Transport::UDP, 5_353), &[(Peer::Initiator, &cut)]);
    let told: Vec<_> = counters.parse_errors().iter().collect();
    assert_eq!(told, [("mdns", vec![("truncated", 1)])]);
}

#[test]
fn a_message_over_its_cap_is_counted_and_left() {
    // A head that never ends is read up to its limit; a hello longer than the cap is not.
    let pieces: Vec<(Peer, &[u8])> = std::iter::once(&b"GET / HTTP/1.1\r\nx: "[..])
        .chain(std::iter::repeat_n(&[b'x'; 512][..], 20))
        .map(|piece| (Peer::Initiator, piece))
        .collect();
    let (observers, _) = run((Transport::TCP, 80), &pieces);
    assert!(!observers.wants(Peer::Initiator));
    let record = [22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff];
    let piece = [&[22, 3, 1, 0x40, 0][..], &[0; 0x4000]].concat();
    let mut pieces: Vec<(Peer, &[u8])> = vec![(Peer::Initiator, &record)];
    let rest = vec![0; 0x4000 - 4];
    pieces.push((Peer::Initiator, &rest));
    pieces.extend(std::iter::repeat_n((Peer::Initiator, &piece[..]), 4));
    let (observers, counters) = run((Transport::TCP, 443), &pieces);
    assert!(!observers.wants(Peer::Initiator));
    assert_eq!(counters.get(Counter::MessagesOverCap), 1);
    let told: Vec<_> = counters.parse_errors().iter().collect();
    assert_eq!(told, [("tls", vec![("over_cap", 1)])]);
}

fn query(name: &[u8], qtype: u8) -> Vec<u8> {
    let mut m = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split(|b| *b == b'.') {
        m.push(label.len() as u8);
        m.extend(label);
    }
    m.extend([0, 0, qtype, 0, 1]);
    m
}

fn answer(name: &[u8]) -> Vec<u8> {
    let mut m = query(name, 1);
    (m[2], m[3], m[7]) = (0x81, 0x80, 1);
    m.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7]);
    m
}

#[test]
fn dns_over_udp_and_tcp_give_the_same_facts() {
    let (q, more, a) = (query(b"Www.example", 1), query(b"b.example", 28), answer(b"Www.example"));
    let udp = [(Peer::Initiator, &q[..]), (Peer::Initiator, &more), (Peer::Responder, &a)];
    let framed = |m: &[u8]| [&(m.len() as u16).to_be_bytes(), m].concat();
    let asks = [framed(&q), framed(&more)].concat();
    let tells = framed(&a);
    let tcp = [(Peer::Initiator, &asks[..]), (Peer::Responder, &tells)];
    let facts = run((Transport::UDP, 53), &udp).0.into_facts();
    assert_eq!(facts, run((Transport::TCP, 53), &tcp).0.into_facts());
    // A plain message is recognised on other ports as well.
    assert_eq!(facts, run((Transport::UDP, 9_953), &udp).0.into_facts());
    let dns = facts.dns.unwrap();
    assert_eq!((dns.name.as_deref(), dns.qtype, dns.questions), (Some("Www.example"), 1, 2));
    assert_eq!((dns.responses, dns.rcode), (1, Some(0)));
    assert_eq!(dns.answers, [(1, "192.0.2.7".into())]);
    assert_eq!(dns.more_names, ["b.example".into()]);
}

#[test]
fn a_dns_tunnel_keeps_counting_and_stops_keeping() {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    for i in 0..1_000 {
        let q = query(format!("x{i}.example").as_bytes(), 10);
        let interest =
            observers.observe(&segment(Peer::Initiator, (Transport::UDP, 53), &q), &mut counters);
        assert_eq!(interest, Interest::More);
    }
    let dns = observers.into_facts().dns.unwrap();
    assert_eq!((dns.questions, dns.more_names.len()), (1_000, 32));
}

#[test]
fn netbios_names_are_decoded() {
    let q = query(b"EHEPECCACACACACACACACACACACACAAA", 32);
    let dns = run((Transport::UDP, 137), &[(Peer::Initiator, &q)]).0.into_facts().dns.unwrap();
    assert_eq!(dns.name.as_deref(), Some("GOB<00>"));
}

#[test]
fn ssdp_is_http_in_datagrams() {
    let search =
        b"M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nUSER-AGENT: B/1\r\nST: x\r\n\r\n";
    let (observers, _) = run((Transport::UDP, 1900), &[(Peer::Initiator, search)]);
    let http = observers.into_facts().http.unwrap();
    assert_eq!(
        (http.method.as_deref(), http.user_agent.as_deref()),
        (Some("M-SEARCH"), Some("B/1"))
    );
}

#[test]
fn undecided_datagrams_are_given_up_after_four() {
    let noise = [(Peer::Initiator, &[1u8, 2, 3][..]); 4];
    let (observers, _) = run((Transport::UDP, 53), &noise);
    assert!(!observers.wants(Peer::Initiator) && observers.wants(Peer::Responder));
    assert_eq!(observers.into_facts(), Facts::default());
}

#[test]
fn unusual_forms_of_quic_and_dtls_are_recognised() {
    // A long header with its fixed bit zero (RFC 9287) is QUIC only after QUIC was recognised.
    let quic = [&[0xb0, 0, 0, 0, 1, 0, 0][..], &[7; 16]].concat();
    let dtls = [22, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let rtp = [0x80, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1];
    for (datagram, protocol) in [(&quic[..], None), (&dtls, Some(Protocol::Dtls)), (&rtp, None)] {
        let (observers, _) = run((Transport::UDP, 443), &[(Peer::Responder, datagram)]);
        assert_eq!(observers.into_facts().protocol, protocol);
    }
}

/// Streams that start with a known protocol, both directions.
fn known_streams() -> Vec<(u16, Vec<u8>, Vec<u8>)> {
    let ssh = ssh_client();
    let framed = |m: Vec<u8>| [&(m.len() as u16).to_be_bytes(), &m[..]].concat();
    let posts = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\
        xyzPUT / HTTP/1.1\r\nHost: b\r\n\r\n";
    let connect = [b"CONNECT h:1 HTTP/1.1\r\n\r\n", &ssh[..]].concat();
    let through = [b"HTTP/1.1 200 OK\r\n\r\n", &ssh[..]].concat();
    vec![
        (22, ssh.clone(), ssh.clone()),
        (80, posts.to_vec(), b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".to_vec()),
        (3128, connect, through),
        (22, [b"PROXY UNKNOWN\r\n", &ssh[..]].concat(), ssh),
        (53, [framed(query(b"a.b", 1)), framed(query(b"c.d", 1))].concat(), framed(answer(b"a.b"))),
    ]
}

fn cut<'a>(role: Peer, bytes: &'a [u8], sizes: &[usize]) -> Vec<(Peer, &'a [u8])> {
    let mut rest = bytes;
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at((*size).min(rest.len()));
        pieces.push((role, head));
        rest = tail;
    }
    pieces
}

proptest! {
    #[test]
    fn segmentation_does_not_change_facts(
        which in 0usize..5,
        sizes in proptest::collection::vec(1usize..60, 1..12),
    ) {
        let (port, client, server) = known_streams().swap_remove(which);
        let to = (Transport::TCP, port);
        let whole = run(to, &[(Peer::Initiator, &client), (Peer::Responder, &server)]);
        let mut pieces = cut(Peer::Initiator, &client, &sizes);
        pieces.extend(cut(Peer::Responder, &server, &sizes));
        let cut = run(to, &pieces);
        for role in [Peer::Initiator, Peer::Responder] {
            prop_assert_eq!(whole.0.wants(role), cut.0.wants(role));
        }
        // Turns are measured between packets, not bytes.
        let facts = |observers: Observers| Facts { turns: None, ..observers.into_facts() };
        prop_assert_eq!(facts(whole.0), facts(cut.0));
        for counter in [Counter::ParseFailures, Counter::MessagesOverCap] {
            prop_assert_eq!(whole.1.get(counter), cut.1.get(counter));
        }
    }

    #[test]
    fn never_panics(
        port in prop::sample::select(vec![22u16, 53, 80, 137, 443, 1900, 5353]),
        tcp in any::<bool>(),
        segments in proptest::collection::vec(
            (
                any::<bool>(),
                any::<bool>(),
                prop::sample::select(vec![
                    "", "SSH-2.0-a\n", "GET / HTTP/1.1\r\n", "PROXY ",
                    "\u{16}\u{3}", "HTTP/1.1 200 ",
                    "\0\u{20}\0\u{1}\u{1}\0\0\u{1}\0\0\0\0\0\0",
                ]),
                proptest::collection::vec(any::<u8>(), 0..80),
            ),
            0..24,
        ),
    ) {
        let transport = if tcp { Transport::TCP } else { Transport::UDP };
        let (mut observers, mut counters) = (Observers::default(), Counters::default());
        for (initiator, gap, lead, tail) in &segments {
            let role = if *initiator { Peer::Initiator } else { Peer::Responder };
            let bytes = [lead.as_bytes(), tail].concat();
            let next = Segment { gap: *gap, ..segment(role, (transport, port), &bytes) };
            observers.observe(&next, &mut counters);
        }
        let _ = observers.into_facts();
    }
}
