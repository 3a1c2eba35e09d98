//! Endpoints whose own address refuses to pass on what they are sent: gateways with a tunnel behind
//! them.
//!
//! Owns: which messages prove it. In: captures built here. Out: pass or fail. Never: a file.

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

use craft::Capture;
use craft::MS;
use craft::START;
use serde_json::Value;

const V4: [&str; 3] = ["203.0.113.20:40000", "192.0.2.10:4433", "203.0.113.1:0"];
const V6: [&str; 3] = ["[2001:db8:9::20]:40000", "[2001:db8:1::10]:4433", "[2001:db8:9::1]:0"];
const HOMES: [&str; 4] = ["--home", "192.0.2.0/24", "--home", "2001:db8:1::/48"];

/// A remote client, a server at home, and a router between them.
struct Ends {
    client: SocketAddr,
    server: SocketAddr,
    router: SocketAddr,
}

impl Ends {
    fn of([client, server, router]: [&str; 3]) -> Ends {
        let end = |text: &str| text.parse().unwrap();
        Ends { client: end(client), server: end(server), router: end(router) }
    }

    /// The server's datagram with `bytes` of payload: in full, as an IP packet.
    fn long(&self, bytes: usize, fill: u8) -> Vec<u8> {
        craft::udp(self.server, self.client, &vec![fill; bytes])
    }

    /// The message of `from` that repeats a frame's packet.
    fn refuses(&self, from: SocketAddr, frame: &[u8]) -> Vec<u8> {
        let (protocol, kind) = if from.is_ipv4() { (1, [3, 4]) } else { (58, [2, 0]) };
        let packet = &frame[14..];
        let quote = &packet[..packet.len().min(548)];
        let message = [&kind[..], &[0, 0, 0, 0, 5, 0x8c], quote].concat();
        craft::frame(from.ip(), self.server.ip(), protocol, 60, &message)
    }

    /// STUN both ways, so that the client proves where it is; `sent`, and what it is answered.
    fn capture(&self, sent: &[u8], message: Option<Vec<u8>>) -> Capture {
        let mut capture = Capture::default();
        capture.add(START, craft::udp(self.client, self.server, &stun(0x0001, 1)));
        capture.add(START + MS, craft::udp(self.server, self.client, &stun(0x0101, 1)));
        capture.add(START + 2 * MS, sent.to_vec());
        capture.add(START + 3 * MS, craft::udp(self.server, self.client, &stun(0x0001, 2)));
        if let Some(message) = message {
            capture.add(START + 40 * MS, message);
        }
        capture.add(START + 43 * MS, craft::udp(self.client, self.server, &stun(0x0101, 2)));
        capture
    }
}

/// A message of STUN (RFC 8489 section 5).
fn stun(kind: u16, transaction: u8) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &[0, 0, 0x21, 0x12, 0xa4, 0x42], &[transaction; 12]].concat()
}

/// What the endpoint's line says of a tunnel, and whether D06 fired.
fn told(capture: &Capture) -> (Option<Value>, bool) {
    let said = craft::read(&capture.pcap(), &HOMES);
    let tunnel =
        said.endpoints.iter().filter(|row| row["longhaul"]["mtu"]["refused"].is_u64()).map(|row| {
            (row["longhaul"]["tunnel"].clone(), row["longhaul"]["mtu"]["refused"].clone())
        });
    let tunnels: Vec<_> = tunnel.collect();
    let lines = tunnels.iter().map(|(tunnel, _)| tunnel.clone());
    let alerts = said.rules().iter().filter(|(rule, _)| rule == "D06").count();
    for (tunnel, refused) in &tunnels {
        assert_eq!(tunnel["l3"], true, "{tunnel}");
        assert!(refused.as_u64().is_some_and(|bytes| (1_281..=1_500).contains(&bytes)));
    }
    (lines.into_iter().next(), alerts > 0)
}

#[test]
fn an_endpoint_that_refuses_what_it_was_sent_is_a_gateway() {
    for ends in [V4, V6].map(Ends::of) {
        let sent = ends.long(1_400, 7);
        let message = ends.refuses(ends.client, &sent);
        let (tunnel, fired) = told(&ends.capture(&sent, Some(message)));
        assert_eq!(tunnel.unwrap()["reason"], "refused");
        assert!(fired);
    }
}

#[test]
fn what_proves_nothing_is_believed_by_nobody() {
    let ends = Ends::of(V4);
    let sent = ends.long(1_400, 7);
    let none = |what: &str, sent: &[u8], message: Option<Vec<u8>>| {
        assert_eq!(told(&ends.capture(sent, message)), (None, false), "{what}");
    };
    none("no message", &sent, None);
    none("another router", &sent, Some(ends.refuses(ends.router, &sent)));
    none("guessed payload", &sent, Some(ends.refuses(ends.client, &ends.long(1_400, 8))));
    none("guessed length", &sent, Some(ends.refuses(ends.client, &ends.long(1_399, 7))));
    let jumbo = ends.long(1_600, 7);
    none("longer than Ethernet's", &jumbo, Some(ends.refuses(ends.client, &jumbo)));
    let cut = ends.refuses(ends.client, &sent);
    none("too short a quote", &sent, Some(craft::ethernet(0x0800, &cut[14..14 + 20 + 8 + 36])));
    let other = SocketAddr::new(ends.client.ip(), 40_001);
    let elsewhere = craft::udp(ends.server, other, &[7; 1_400]);
    none("another port", &sent, Some(ends.refuses(ends.client, &elsewhere)));
}

/// The server has not seen an answer: whoever asked may not be there.
#[test]
fn an_unconfirmed_session_proves_nothing() {
    let ends = Ends::of(V4);
    let sent = ends.long(1_400, 7);
    let mut capture = Capture::default();
    capture.add(START, craft::udp(ends.client, ends.server, &[1; 100]));
    capture.add(START + MS, sent.clone());
    capture.add(START + 40 * MS, ends.refuses(ends.client, &sent));
    assert_eq!(told(&capture), (None, false));
}
