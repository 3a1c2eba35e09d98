//! What hostile streams and datagrams may cost, a case for each row of the tables.
//!
//! Owns: those cases. In: bytes made here. Out: bytes looked at for each that was sent. Never: a
//! clock.

use super::cost_tests::FRAME;
use super::*;
use crate::model::protocol::Protocol;
use crate::wire::reader::visited;
use Peer::{Initiator, Responder};

/// Bytes looked at for each byte of the frames that carry these payloads.
fn cost(transport: Transport, port: u16, pieces: &[(Peer, &[u8])]) -> (f64, Facts) {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    visited::take();
    for (from, bytes) in pieces {
        let segment = Segment { ports: (50_000, port), ..Segment::plain(*from, transport, bytes) };
        observers.observe(&segment, &mut counters);
    }
    let sent: usize = pieces.iter().map(|(_, bytes)| bytes.len() + FRAME).sum();
    (visited::take() as f64 / sent as f64, observers.into_facts())
}

/// A stream's dialogue: what each side says in turn, the last of it in pieces.
struct Case {
    name: &'static str,
    port: u16,
    told: Option<Protocol>,
    says: Vec<(Peer, Vec<u8>)>,
}

fn case(
    name: &'static str,
    port: u16,
    told: impl Into<Option<Protocol>>,
    says: Vec<(Peer, Vec<u8>)>,
) -> Case {
    Case { name, port, told: told.into(), says }
}

fn ssh_packet(kind: u8) -> Vec<u8> {
    [&[0, 0, 0, 12, 10, kind][..], &[0; 10]].concat()
}

fn openvpn_control(id: u32) -> Vec<u8> {
    let packet = [&[0x20][..], &[3; 8], &[0], &id.to_be_bytes(), &[22, 3, 1, 0, 1, 7]].concat();
    [&(packet.len() as u16).to_be_bytes()[..], &packet].concat()
}

fn cases() -> Vec<Case> {
    let upgrade: &[u8] =
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let agree: &[u8] = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let page: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\n";
    let one = |from: Peer, bytes: &[u8], times: usize| vec![(from, bytes.repeat(times))];
    let openvpn_reset = [&[0, 14, 0x38][..], &[3; 8], &[0, 0, 0, 0, 0]].concat();
    let openvpn_answer = [&[0, 26, 0x40][..], &[4; 8], &[1, 0, 0, 0, 0], &[3; 8], &[0; 4]].concat();
    let openvpn: Vec<u8> = (1..400).flat_map(openvpn_control).collect();
    vec![
        case("TLS alerts", 443, None, one(Responder, &[0x15, 3, 3, 0, 2, 1, 112], 900)),
        case("TLS pieces", 443, None, one(Initiator, &[22, 3, 1, 0, 1, 1], 5_000)),
        case(
            "SSH messages",
            22,
            Protocol::Ssh,
            vec![(Initiator, [b"SSH-2.0-x\r\n".to_vec(), ssh_packet(2).repeat(900)].concat())],
        ),
        case("SSH lines", 22, None, one(Responder, b"hello\r\n", 3_000)),
        case("DNS messages", 53, None, one(Initiator, &[&[0, 12][..], &[0; 12]].concat(), 900)),
        case("PROXY line", 80, None, one(Initiator, b"PROXY TCP4 1", 2_000)),
        case("PROXY headers", 80, None, one(Initiator, b"PROXY UNKNOWN\r\n", 900)),
        case("RFB versions", 5_900, Protocol::Rfb, one(Responder, b"RFB 003.008\n", 900)),
        case(
            "RDP requests",
            3_389,
            Protocol::Rdp,
            one(Initiator, b"\x03\0\0\x0b\x06\xe0\0\0\0\0\0", 900),
        ),
        case("RDP claims", 3_389, None, one(Initiator, b"\x03\0\xff\xff\xfe\xe0\0\0\0", 900)),
        case("SOCKS hellos", 1_080, None, one(Initiator, &[5, 1, 0], 3_000)),
        case(
            "OpenVPN control",
            1_194,
            Protocol::Openvpn,
            vec![(Initiator, openvpn_reset), (Responder, openvpn_answer), (Initiator, openvpn)],
        ),
        case(
            "WebSocket pings",
            80,
            Protocol::Websocket,
            vec![
                (Initiator, upgrade.to_vec()),
                (Responder, agree.to_vec()),
                (Responder, [0x89, 0].repeat(2_000)),
            ],
        ),
        case("mail lines", 25, None, one(Responder, b"220 x\r\n", 2_000)),
        case("LDAP lengths", 389, None, one(Initiator, &[0x30, 0x84, 0, 0, 0xff, 0xff], 900)),
        case("MySQL names", 3_306, None, one(Responder, &[0x4a, 0, 0, 0, 10], 900)),
        case("HTTP requests", 80, Protocol::Http, one(Initiator, b"GET / HTTP/1.1\r\n\r\n", 900)),
        case("HTTP without end", 80, None, one(Initiator, b"GET /a", 3_000)),
        case(
            "a page of titles",
            80,
            Protocol::Http,
            vec![(Responder, [page.to_vec(), b"<title".repeat(900)].concat())],
        ),
        case("nothing known", 9, None, one(Initiator, &[0xee], 20_000)),
    ]
}

#[test]
fn no_stream_costs_more_than_some_times_its_bytes() {
    for Case { name, port, told, says } in cases() {
        for size in [1, 7, 100, 1_400] {
            let pieces: Vec<(Peer, &[u8])> = says
                .iter()
                .flat_map(|(from, bytes)| bytes.chunks(size).map(|piece| (*from, piece)))
                .collect();
            let (cost, facts) = cost(Transport::TCP, port, &pieces);
            assert!(cost < 12.0, "{cost} a byte of {name} in segments of {size}");
            if size == 1_400 {
                assert_eq!(facts.protocol, told, "{name}");
            }
        }
    }
}

#[test]
fn no_datagram_costs_more_than_some_times_its_bytes() {
    let fragment = |at: u8| {
        let piece = [1, 0, 0x40, 0, 0, 0, 0, 0, at, 0, 0, 1, 7];
        let head = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, at, 0, 13];
        [&head[..], &piece].concat()
    };
    let dtls: Vec<u8> = (0..50).flat_map(fragment).collect();
    let esp = |n: u8| [&[9, 9, 9, 9, 0, 0, 0, n][..], &[7; 40]].concat();
    let syn =
        [&[0xff; 4][..], &[0, 0x40, 0, 1, 1, 2, 3, 4, 4, 0xd0, 4, 0xd0], &[0; 1_216]].concat();
    let cases: [(&str, u16, Vec<u8>); 9] = [
        ("DTLS of one-byte fragments", 443, dtls),
        ("RDP", 3_389, syn),
        ("ESP", 4_500, esp(1)),
        ("IKE", 500, [&[7; 16][..], &[33, 0x20, 34, 8, 0, 0, 0, 0, 0, 0, 0, 28]].concat()),
        (
            "SSDP",
            1_900,
            b"M-SEARCH * HTTP/1.1\r\n".iter().chain(&b"a:b\r\n".repeat(250)).copied().collect(),
        ),
        ("WireGuard", 51_820, [&[1, 0, 0, 0][..], &[7; 144]].concat()),
        ("OpenVPN", 1_194, [&[0x38][..], &[3; 8], &[0, 0, 0, 0, 0]].concat()),
        ("DHCP", 67, vec![0; 1_400]),
        ("nothing known", 9, vec![0x33; 1_400]),
    ];
    for (name, port, datagram) in &cases {
        let pieces: Vec<(Peer, &[u8])> = (0..200)
            .map(|n| (if n % 2 == 0 { Initiator } else { Responder }, &datagram[..]))
            .collect();
        let (cost, _) = cost(Transport::UDP, *port, &pieces);
        assert!(cost < 12.0, "{cost} a byte of {name}");
    }
}
