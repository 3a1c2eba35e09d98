//! Community ID v1: the same session identifier as in other tools.
//!
//! Owns: the canonical order and the digest. In: addresses, ports, protocol of a session.
//! Out: the 20 bytes behind `1:` (emit writes base64). Never: a seed other than 0.
//!
//! Source: Community ID Flow Hashing, version 1 (corelight/community-id-spec).

use sha1::{Digest, Sha1};

use crate::model::{Addr, FlowKey, Record, Transport};
use crate::wire::icmp;

/// The digest of a session, from its record.
///
/// ICMP ports are the type and, for types that come in pairs, the type of the answer, else the
/// code.
pub fn community_id(record: &Record) -> [u8; 20] {
    let from = (record.initiator.ip, record.initiator.port);
    let to = (record.responder.ip, record.responder.port);
    digest(record.transport, record.version, from, to)
}

/// The same from the key of a session's packets.
pub fn of_key(key: &FlowKey) -> [u8; 20] {
    digest(key.transport, key.version, (key.a, key.a_port), (key.b, key.b_port))
}

fn digest(transport: Transport, version: u8, from: (Addr, u16), to: (Addr, u16)) -> [u8; 20] {
    let swap = from > to && !is_one_way(transport, from.1, to.1);
    let (lower, upper) = if swap { (to, from) } else { (from, to) };
    let mut input = Input { bytes: [0; 40], len: 0 };
    // Seed 0 in network order.
    input.push(&[0, 0]);
    input.push_addr(version, lower.0);
    input.push_addr(version, upper.0);
    input.push(&[transport.0, 0]);
    if has_ports(transport) {
        input.push(&lower.1.to_be_bytes());
        input.push(&upper.1.to_be_bytes());
    }
    Sha1::digest(input.bytes.get(..input.len).unwrap_or_default()).into()
}

/// Seed 2, two addresses 32, protocol and padding 2, ports 4.
struct Input {
    bytes: [u8; 40],
    len: usize,
}

impl Input {
    fn push(&mut self, part: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + part.len()) {
            room.copy_from_slice(part);
            self.len += part.len();
        }
    }

    fn push_addr(&mut self, version: u8, addr: Addr) {
        match addr.to_v4() {
            Some(v4) if version == 4 => self.push(&v4.octets()),
            _ => self.push(&addr.0),
        }
    }
}

fn has_ports(transport: Transport) -> bool {
    matches!(
        transport,
        Transport::TCP | Transport::UDP | Transport::SCTP | Transport::ICMP | Transport::ICMP6
    )
}

/// An ICMP message without a counterpart keeps the order in which it was sent.
fn is_one_way(transport: Transport, from: u16, to: u16) -> bool {
    let pair = match transport {
        Transport::ICMP => icmp::counterpart,
        Transport::ICMP6 => icmp::counterpart_v6,
        _ => return false,
    };
    u8::try_from(from).ok().and_then(pair).map(u16::from) != Some(to)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn base64(bytes: &[u8]) -> String {
        const ABC: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut out = String::new();
        for chunk in bytes.chunks(3) {
            let word =
                chunk.iter().fold(0u32, |w, b| w << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
            for i in 0..4 {
                let sextet = ABC[(word >> (18 - 6 * i) & 63) as usize] as char;
                out.push(if i <= chunk.len() { sextet } else { '=' });
            }
        }
        out
    }

    fn id(transport: u8, from: (&str, u16), to: (&str, u16)) -> String {
        let ip: IpAddr = from.0.parse().unwrap();
        let version = if ip.is_ipv4() { 4 } else { 6 };
        let end = |(ip, port): (&str, u16)| (Addr::from(ip.parse::<IpAddr>().unwrap()), port);
        format!("1:{}", base64(&digest(Transport(transport), version, end(from), end(to))))
    }

    // Expected values: the reference implementation's own tests (corelight/pycommunityid).
    #[test]
    fn published_vectors_both_ways() {
        let tcp = "1:LQU9qZlK+B5F3KDmev6m5PMibrg=";
        assert_eq!(id(6, ("128.232.110.120", 34855), ("66.35.250.204", 80)), tcp);
        assert_eq!(id(6, ("66.35.250.204", 80), ("128.232.110.120", 34855)), tcp);
        let udp = "1:d/FP5EW3wiY1vCndhwleRRKHowQ=";
        assert_eq!(id(17, ("192.168.1.52", 54585), ("8.8.8.8", 53)), udp);
        assert_eq!(id(17, ("8.8.8.8", 53), ("192.168.1.52", 54585)), udp);
        let sctp = "1:jQgCxbku+pNGw8WPbEc/TS/uTpQ=";
        assert_eq!(id(132, ("192.168.170.8", 7), ("192.168.170.56", 80)), sctp);
        assert_eq!(id(132, ("192.168.170.56", 80), ("192.168.170.8", 7)), sctp);
    }

    #[test]
    fn published_vectors_of_icmp() {
        let echo = "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=";
        assert_eq!(id(1, ("192.168.0.89", 8), ("192.168.0.1", 0)), echo);
        assert_eq!(id(1, ("192.168.0.1", 0), ("192.168.0.89", 8)), echo);
        let solicit = "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=";
        let (host, neighbour) = ("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea");
        assert_eq!(id(58, (host, 135), (neighbour, 136)), solicit);
        assert_eq!(id(58, (neighbour, 136), (host, 135)), solicit);
        let one_way = "1:3o2RFccXzUgjl7zDpqmY7yJi8rI=";
        assert_eq!(id(1, ("192.168.0.89", 20), ("192.168.0.1", 0)), one_way);
    }
}
