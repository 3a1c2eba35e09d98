//! The cost of hostile bytes.
//!
//! Owns: the worst input of each protocol's observer. In: bytes made here. Out: the number of bytes
//! examined per byte sent. Never: a clock: the count is the same on any machine.

use super::*;
use crate::model::{Counter, Nanos};
use crate::wire::reader::visited;

/// The smallest frame that carries a byte: what a segment costs its sender.
pub(super) const FRAME: usize = 60;

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

/// Bytes examined per byte of the frames that carry these payloads.
fn cost(to: (Transport, u16), pieces: &[(Peer, &[u8])]) -> (f64, Observers, Counters) {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    visited::take();
    for (role, bytes) in pieces {
        observers.observe(&segment(*role, to, bytes), &mut counters);
    }
    let sent: usize = pieces.iter().map(|(_, bytes)| bytes.len() + FRAME).sum();
    (visited::take() as f64 / sent as f64, observers, counters)
}

/// The same for a stream whose segments hold one byte each.
fn cost_of_bytes(port: u16, role: Peer, bytes: &[u8]) -> (f64, Observers, Counters) {
    let pieces: Vec<_> = bytes.iter().map(|b| (role, std::slice::from_ref(b))).collect();
    cost((Transport::TCP, port), &pieces)
}

/// A header that claims so many answers, and a question.
fn dns(answers: u16) -> Vec<u8> {
    let mut out = vec![0, 1, 0x81, 0x80, 0, 1];
    out.extend(answers.to_be_bytes());
    out.extend([0, 0, 0, 0]);
    out.extend(b"\x01a\x07example\0\0\x05\0\x01");
    out
}

/// A record of this type whose owner is named by `name`.
fn record(name: &[u8], kind: u8, data: &[u8]) -> Vec<u8> {
    [name, &[0, kind, 0, 1, 0, 0, 0, 9], &(data.len() as u16).to_be_bytes()[..], data].concat()
}

const UDP: (Transport, u16) = (Transport::UDP, 53);

#[test]
fn pointers_into_a_chain_of_pointers() {
    // Each pointer leads to the one before: the names grow with the message.
    let mut message = dns(1_400);
    for n in 0..1_400u16 {
        let at = message.len() as u16;
        let name = if n == 0 { 12 } else { at - 12 };
        message.extend(record(&(0xc000 | name).to_be_bytes(), 255, &[]));
    }
    let (cost, observers, counters) = cost(UDP, &[(Peer::Responder, &message)]);
    assert!(cost < 16.0, "{cost} a byte");
    assert_eq!(counters.get(Counter::ParseFailures), 1, "and it is counted");
    let told: Vec<_> = counters.parse_errors().iter().collect();
    assert_eq!(told, [("dns", vec![("too_deep", 1)])]);
    let facts = observers.into_facts();
    assert_eq!(facts.dns.unwrap().name.as_deref(), Some("a.example"), "what came before is kept");
}

#[test]
fn names_behind_sixteen_pointers_each() {
    let mut message = dns(60);
    let chain = message.len() as u16 + 12;
    let pointers: Vec<u16> =
        (0..15).map(|n| if n == 0 { 12 } else { chain + 2 * (n - 1) }).collect();
    let data: Vec<u8> = pointers.iter().flat_map(|to| (0xc000 | to).to_be_bytes()).collect();
    message.extend(record(&[0xc0, 12], 5, &data));
    let last = (0xc000 | (chain + 28)).to_be_bytes();
    for _ in 1..60 {
        message.extend(record(&last, 5, &last));
    }
    let (cost, observers, counters) = cost(UDP, &[(Peer::Responder, &message)]);
    assert!(cost < 2.5, "{cost} a byte");
    assert_eq!(counters.get(Counter::ParseFailures), 0, "all of it was read");
    let dns = observers.into_facts().dns.unwrap();
    assert_eq!(dns.answers, [(5, "a.example".into())]);
    assert!(!dns.cut);
}

#[test]
fn many_different_names_that_share_a_long_end() {
    let mut message = dns(60);
    let long: Vec<u8> = [&b"\x01x".repeat(120)[..], &[0]].concat();
    let at = (0xc000 | (message.len() as u16 + 12)).to_be_bytes();
    message.extend(record(&[0xc0, 12], 5, &long));
    for n in 1..60u8 {
        message.extend(record(
            &[0xc0, 12],
            5,
            &[&[2, b'a' + n / 10, b'0' + n % 10], &at[..]].concat(),
        ));
    }
    let (cost, observers, _) = cost(UDP, &[(Peer::Responder, &message)]);
    assert!(cost < 8.0, "{cost} a byte");
    let dns = observers.into_facts().dns.unwrap();
    assert!((3..20).contains(&dns.answers.len()), "{}", dns.answers.len());
    assert!(dns.cut, "what is left out is said");
}

#[test]
fn an_answer_whose_text_is_too_long_is_said() {
    const HTTPS: u8 = 65;
    // Priority 1, the root, and an alpn whose octets take four bytes each as text.
    let answer = |strings: usize| {
        let list = [&[100][..], &[1; 100]].concat().repeat(strings);
        let data = [&[0, 1, 0, 0, 1][..], &(list.len() as u16).to_be_bytes(), &list].concat();
        let message = [dns(1), record(&[0xc0, 12], HTTPS, &data)].concat();
        let (_, observers, _) = cost(UDP, &[(Peer::Responder, &message)]);
        let dns = observers.into_facts().dns.unwrap();
        (dns.answers.len(), dns.cut)
    };
    assert_eq!(answer(3), (1, false), "1,211 bytes");
    assert_eq!(answer(4), (0, true), "1,612 bytes");
}

#[test]
fn many_records_with_the_same_long_name() {
    let mut message = dns(120);
    let long: Vec<u8> = [&b"\x01x".repeat(120)[..], &[0]].concat();
    let at = message.len() as u16;
    message.extend(record(&long, 255, &[]));
    for _ in 0..120 {
        message.extend(record(&(0xc000 | at).to_be_bytes(), 255, &[]));
    }
    let (cost, ..) = cost(UDP, &[(Peer::Responder, &message)]);
    assert!(cost < 16.0, "{cost} a byte");
}

#[test]
fn names_that_differ_in_their_last_label_only() {
    // 48 answers are kept; each of many more equals all of them except for its end.
    let mut pieces = Vec::new();
    let name =
        |n: u8| [&b"\x01x".repeat(120)[..], &[1, b'0' + n / 10, 1, b'0' + n % 10, 0]].concat();
    for n in 0..46 {
        pieces.push([dns(1), record(&[0xc0, 12], 5, &name(n))].concat());
    }
    let mut last = dns(80);
    let at = last.len() as u16 + 12;
    last.extend(record(&[0xc0, 12], 5, &name(99)));
    for _ in 1..80 {
        last.extend(record(&[0xc0, 12], 5, &(0xc000 | at).to_be_bytes()));
    }
    pieces.extend(std::iter::repeat_n(last, 50));
    let pieces: Vec<_> = pieces.iter().map(|piece| (Peer::Responder, &piece[..])).collect();
    let (cost, ..) = cost(UDP, &pieces);
    assert!(cost < 8.0, "{cost} a byte");
}

#[test]
fn the_cost_of_eighty_answers_is_linear() {
    let mut message = dns(80);
    for n in 0..80 {
        message.extend(record(&[0xc0, 12], 1, &[192, 0, 2, n]));
    }
    let (cost, observers, _) = cost(UDP, &[(Peer::Responder, &message)]);
    assert!(cost < 8.0, "{cost} a byte");
    assert_eq!(observers.into_facts().dns.unwrap().answers.len(), 48);
}

/// A ClientHello of so many bytes, in one handshake message.
fn hello(padding: usize) -> Vec<u8> {
    let extension = [&[0, 21][..], &(padding as u16).to_be_bytes(), &vec![0; padding]].concat();
    let extensions = (extension.len() as u16).to_be_bytes();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &extensions, &extension].concat();
    [&[1][..], &(body.len() as u32).to_be_bytes()[1..], &body].concat()
}

#[test]
fn tls_records_of_one_byte() {
    let records: Vec<u8> =
        hello(6_000).into_iter().flat_map(|byte| [22, 3, 1, 0, 1, byte]).collect();
    for size in [1, 7, 1_400] {
        let pieces: Vec<_> = records.chunks(size).map(|piece| (Peer::Initiator, piece)).collect();
        let (cost, observers, _) = cost((Transport::TCP, 443), &pieces);
        assert!(cost < 12.0, "{cost} a byte in segments of {size}");
        assert!(observers.into_facts().tls.is_some(), "{size}");
    }
}

#[test]
fn a_head_a_byte_a_segment() {
    let head = [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(1_200), b"\r\n"].concat();
    let (cost, observers, _) = cost_of_bytes(80, Peer::Initiator, &head);
    assert!(cost < 4.0, "{cost} a byte");
    assert!(observers.into_facts().http.is_some());
}

#[test]
fn a_page_a_byte_a_segment() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9000\r\n\r\n";
    let page = [&head[..], &b"<b>".repeat(1_200), b"<title>late</title>"].concat();
    let (cost, ..) = cost_of_bytes(80, Peer::Responder, &page);
    assert!(cost < 4.0, "{cost} a byte");
}

#[test]
fn ssh_and_dns_over_tcp_a_byte_a_segment() {
    let mut packet = 30_000u32.to_be_bytes().to_vec();
    packet.extend([4, 2]);
    packet.resize(4 + 30_000, 0);
    let ssh = [&b"SSH-2.0-x\r\n"[..], &packet].concat();
    let (cost, ..) = cost_of_bytes(22, Peer::Initiator, &ssh);
    assert!(cost < 4.0, "{cost} a byte of SSH");
    let mut message = 60_000u16.to_be_bytes().to_vec();
    message.extend(dns(0));
    message.resize(60_002, 0);
    let (cost, observers, counters) = cost_of_bytes(53, Peer::Initiator, &message);
    assert!(cost < 4.0, "{cost} a byte of DNS");
    assert_eq!(counters.get(Counter::MessagesOverCap), 0);
    assert!(observers.into_facts().dns.is_some(), "it was read when it was whole");
}

#[test]
fn a_frame_of_a_websocket_a_byte_a_segment() {
    let ask = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let agree = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let frame = [&[0x82, 126, 0x1f, 0x00][..], &vec![b'x'; 0x1f00]].concat();
    let bytes = frame.iter().map(|b| (Peer::Responder, std::slice::from_ref(b)));
    let head: [(Peer, &[u8]); 2] = [(Peer::Initiator, ask), (Peer::Responder, agree)];
    let pieces: Vec<_> = head.into_iter().chain(bytes).collect();
    let (cost, ..) = cost((Transport::TCP, 80), &pieces);
    assert!(cost < 4.0, "{cost} a byte");
}

#[test]
fn stun_with_nothing_but_addresses() {
    let attribute = [0, 0x12, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43];
    let attributes = attribute.repeat(110);
    let head = [&[0, 1][..], &(attributes.len() as u16).to_be_bytes(), &[0x21, 0x12, 0xa4, 0x42]];
    let message = [&head.concat()[..], &[9; 12], &attributes].concat();
    let pieces: Vec<(Peer, &[u8])> = vec![(Peer::Initiator, &message); 40];
    let (cost, ..) = cost((Transport::UDP, 3_478), &pieces);
    assert!(cost < 8.0, "{cost} a byte");
}
