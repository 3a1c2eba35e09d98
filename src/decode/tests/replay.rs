//! Real captures: every TCP stream that Wireshark finds is found here.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use super::{captures, decoder};
use crate::model::{Addr, Transport};

/// An address and port each, lower first.
type Ends = ((Addr, u16), (Addr, u16));

/// The TCP sessions of a file.
fn tcp_sessions(path: &Path) -> BTreeSet<Ends> {
    let mut decoder = decoder();
    captures::read(path)
        .iter()
        .filter_map(|owned| decoder.decode_frame(&owned.frame(), 0).ok())
        .map(|decoded| decoded.packet.key)
        .filter(|key| key.transport == Transport::TCP)
        .map(|key| ((key.a, key.a_port), (key.b, key.b_port)))
        .collect()
}

/// The same by another reader of headers, that knows neither tunnels nor fragments.
fn tcp_sessions_by_etherparse(path: &Path) -> BTreeSet<Ends> {
    let ends = |owned: captures::Owned| {
        let packet = etherparse::SlicedPacket::from_ethernet(&owned.bytes).ok()?;
        let Some(etherparse::TransportSlice::Tcp(tcp)) = packet.transport else { return None };
        let (from, to) = match packet.net? {
            etherparse::NetSlice::Ipv4(ip) => (
                IpAddr::from(ip.header().source_addr()),
                IpAddr::from(ip.header().destination_addr()),
            ),
            etherparse::NetSlice::Ipv6(ip) => (
                IpAddr::from(ip.header().source_addr()),
                IpAddr::from(ip.header().destination_addr()),
            ),
            _ => return None,
        };
        let ends =
            [(Addr::from(from), tcp.source_port()), (Addr::from(to), tcp.destination_port())];
        Some((ends[0].min(ends[1]), ends[0].max(ends[1])))
    };
    captures::read(path).into_iter().filter_map(ends).collect()
}

#[test]
fn every_tcp_stream_of_the_demonstration_is_decoded() {
    let found = tcp_sessions(&captures::demo());
    assert!(found.len() > 30, "{}", found.len());
    assert_eq!(found, tcp_sessions_by_etherparse(&captures::demo()));
}

/// Streams that Wireshark makes of a packet quoted in an ICMP error; here the error is the packet.
const QUOTED: [(&str, u16); 1] = [("encap-ipip__ndpi__6in4tunnel.pcap", 60491)];

#[test]
fn every_tcp_stream_of_the_round_trip_table_is_decoded() {
    let Some(folder) = captures::shared_captures() else { return };
    let table = std::fs::read_to_string(folder.join("rtt.csv")).unwrap();
    let mut expected: BTreeMap<&str, Vec<Ends>> = BTreeMap::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split(',').collect();
        let end = |ip: &str, port: &str| {
            (Addr::from(ip.parse::<IpAddr>().unwrap()), port.parse::<u16>().unwrap())
        };
        let ends = [end(columns[2], columns[3]), end(columns[4], columns[5])];
        if QUOTED.contains(&(columns[0], ends[1].1)) {
            continue;
        }
        let (lower, upper) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        expected.entry(columns[0]).or_default().push((lower, upper));
    }
    let (mut misses, mut streams) = (Vec::new(), 0);
    for (file, ends) in &expected {
        let found = tcp_sessions(&folder.join(file));
        streams += ends.len();
        misses.extend(ends.iter().filter(|e| !found.contains(e)).map(|e| format!("{file}: {e:?}")));
    }
    assert!(streams > 2000, "the table holds {streams} streams");
    assert!(misses.is_empty(), "{} of {streams} missed:\n{}", misses.len(), misses.join("\n"));
}
