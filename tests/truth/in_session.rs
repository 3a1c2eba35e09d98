//! Round trips within sessions, against sequence numbers and acknowledgements as tshark reads them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use longhaul::model::Record;
use longhaul::model::Transport;
use longhaul::model::latency::RoundTrips;

use crate::common::End;
use crate::common::Seen;
use crate::common::initiator;
use crate::common::responder;
use crate::common::shared;

const FIELDS: [&str; 12] = [
    "frame.time_epoch",
    "ip.src",
    "ip.dst",
    "ipv6.src",
    "ipv6.dst",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.seq_raw",
    "tcp.ack_raw",
    "tcp.len",
    "tcp.flags",
    "tcp.analysis.ack_rtt",
];

/// Captures with plain, long and short, near and far conversations.
const FILES: [&str; 14] = [
    "tls__ja4__tls-handshake.pcapng",
    "http__ja4__http1.pcapng",
    "http2__ja4__http2-with-cookies.pcapng",
    "ssh__ja4__ssh2.pcapng",
    "ssh__ndpi__ssh.pcap",
    "vnc__ndpi__vnc.pcap",
    "vnc__zeek__vncmac.pcap",
    "benign-saas__ndpi__zoom.pcap",
    "benign-saas__ndpi__chrome.pcap",
    "ipv6__ndpi__http_ipv6.pcap",
    "vpn-commercial__ndpi__tunnelbear.pcap",
    "proxy-socks__ndpi__socks.pcap",
    "tor__ndpi__tor.part-a.pcap",
    "rmm-anydesk__ndpi__anydesk.part-a.pcapng",
];

/// A TCP segment.
struct Segment {
    ns: u64,
    from: End,
    to: End,
    seq: u32,
    ack: u32,
    len: u32,
    acks: bool,
    /// What tshark says of the acknowledgement, in ns.
    ack_rtt: Option<u64>,
}

fn ns(text: &str) -> u64 {
    let (seconds, rest) = text.split_once('.').unwrap_or((text, ""));
    seconds.parse::<u64>().unwrap() * 1_000_000_000 + format!("{rest:0<9}").parse::<u64>().unwrap()
}

/// Every TCP segment of a capture that is not inside an ICMP error or a tunnel; `None` where there
/// is no tshark.
fn by_tshark(path: &Path) -> Option<Vec<Segment>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-o", "tcp.relative_sequence_numbers:TRUE", "-r"]);
    command.arg(path).args(["-Y", "tcp && !icmp && !icmpv6"]);
    let output = command.args(FIELDS.iter().flat_map(|field| ["-e", field])).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let segment = |line: &str| {
        let at: Vec<&str> = line.split('\t').collect();
        let ip = |four: usize, six: usize| {
            let text = if at[four].is_empty() { at[six] } else { at[four] };
            text.parse().ok()
        };
        let flags = u32::from_str_radix(at[10].trim_start_matches("0x"), 16).ok()?;
        Some(Segment {
            ns: ns(at[0]),
            from: (ip(1, 3)?, at[5].parse().ok()?),
            to: (ip(2, 4)?, at[6].parse().ok()?),
            seq: at[7].parse().ok()?,
            ack: at[8].parse().unwrap_or_default(),
            len: at[9].parse().ok()?,
            acks: flags & 0x10 != 0,
            ack_rtt: (!at[11].is_empty()).then(|| ns(at[11])),
        })
    };
    Some(text.lines().filter_map(segment).collect())
}

/// From each segment of `to` that passed once to the first acknowledgement of `from` that covers it.
fn round_trips(segments: &[&Segment], from: End) -> Vec<u64> {
    let covers = |ack: u32, end: u32| ack.wrapping_sub(end) < 1 << 31;
    let mut trips = Vec::new();
    for (at, asks) in segments.iter().enumerate().filter(|(_, s)| s.from != from && s.len > 0) {
        let end = asks.seq.wrapping_add(asks.len);
        let mut later = segments[at + 1..].iter();
        let answer = later.find(|s| s.from == from && s.acks && covers(s.ack, end));
        trips.extend(answer.and_then(|answer| answer.ns.checked_sub(asks.ns)));
    }
    trips
}

/// The lowest that tshark gives for acknowledgements of `from` to data.
fn lowest_by_tshark(segments: &[&Segment], from: End) -> Option<u64> {
    let data = segments.iter().filter(|s| s.from == from && s.acks);
    data.filter_map(|s| s.ack_rtt).min()
}

#[test]
fn every_round_trip_within_a_session_is_one_that_tshark_sees() {
    let Some(folder) = shared("pcaps") else { return };
    let (mut legs, mut values, mut lowest, mut wrong) = (0, 0, 0, Vec::new());
    for file in FILES {
        let path = folder.join(file);
        let Some(segments) = by_tshark(&path) else {
            println!("skipped: tshark is not here");
            return;
        };
        let mut of: BTreeMap<(End, End), Vec<&Segment>> = BTreeMap::new();
        for segment in &segments {
            let ends = (segment.from.min(segment.to), segment.from.max(segment.to));
            of.entry(ends).or_default().push(segment);
        }
        let seen = Seen::read(vec![path]);
        let tcp = |record: &&Record| record.transport == Transport::TCP;
        for record in seen.records.iter().filter(tcp) {
            let ends = (initiator(record), responder(record));
            let Some(of) = of.get(&(ends.0.min(ends.1), ends.0.max(ends.1))) else { continue };
            for (side, leg) in [(ends.0, record.near), (ends.1, record.far)] {
                let Some(RoundTrips { min_ns, p50_ns, p95_ns, .. }) = leg.in_session else {
                    continue;
                };
                legs += 1;
                let trips = round_trips(of, side);
                let is_seen = |ns: u64| trips.iter().any(|trip| trip.abs_diff(ns) <= 1_000);
                for ns in [min_ns, p50_ns, p95_ns] {
                    values += 1;
                    if !is_seen(ns) {
                        wrong.push(format!("{file}: {side:?} of {ends:?}: {ns} ns"));
                    }
                }
                let theirs = lowest_by_tshark(of, side);
                lowest +=
                    usize::from(theirs.is_some_and(|theirs| theirs.abs_diff(min_ns) <= 1_000));
            }
        }
    }
    println!(
        "{values} values of {legs} legs, {} that tshark does not see; {lowest} minima are tshark's \
         own (it takes the last segment acknowledged, and counts every one)",
        wrong.len()
    );
    assert!(legs > 100, "{legs}");
    assert!(lowest * 2 > legs, "{lowest} of {legs}");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
