//! Round trips within sessions against Wireshark's `tcp.analysis.ack_rtt`.
//!
//! Owns: which of another dissector's round trips are the ones that the sensor takes. In: shared
//! captures, tshark. Out: counts, and every difference. Never: passes where tshark is there and
//! says otherwise.
//!
//! Wireshark times each segment whose end an acknowledgement names, repeated ones too. Compared are
//! the directions of sessions in which it saw no trouble (nothing sent again, early or missing:
//! what Karn's rule leaves), whose SYN is there, and in which each segment with data has an acknowledgement of its own.
//! Two differences are on purpose:
//!
//! * one segment of a direction is under way at a time, of long directions not every packet is
//!   timed, and what a card put together from several is not: theirs are thinned by the same rule;
//! * where one acknowledgement covers several segments, Wireshark times the last, the sensor the
//!   first, which waited longest: those directions are counted, and only the lowest is compared:
//!   ours is no lower.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::process::Command;

use longhaul::model::Transport;
use longhaul::model::latency::RoundTrips;

use crate::common::Seen;
use crate::common::Tally;
use crate::common::initiator;
use crate::common::shared;

/// Beginnings of the captures' names: conversations of every kind, small and clean.
const CAPTURES: [&str; 8] = ["ssh", "http", "tls", "rdp", "vnc", "smtp", "imap", "websocket"];

/// Segments larger than this and the MSS were put together by a card or its driver, later than they
/// tell.
const SEGMENT: u32 = 1_460;

/// Captures of microseconds round.
const NEAR_ENOUGH_NS: u64 = 1_000;

const FIELDS: [&str; 12] = [
    "frame.number",
    "tcp.stream",
    "ip.src",
    "ipv6.src",
    "tcp.srcport",
    "ip.dst",
    "ipv6.dst",
    "tcp.dstport",
    "tcp.len",
    "tcp.analysis.acks_frame",
    "tcp.analysis.ack_rtt",
    "tcp.analysis.flags",
];

/// What tshark says of one stream.
#[derive(Default)]
struct Stream {
    ends: Vec<(IpAddr, u16)>,
    trouble: bool,
    /// Of each end: its packets so far, and its segments with data: frame, ordinal of the packet,
    /// bytes.
    packets: [u32; 2],
    data: [Vec<(u64, u32, u32)>; 2],
    /// Of each end's segments: frame, frame of the acknowledgement, nanoseconds.
    trips: [Vec<(u64, u64, u64)>; 2],
}

/// Of the `n`th packet of a direction: the first 32, then ever fewer.
fn may_be_timed(n: u32) -> bool {
    n.is_multiple_of(match n {
        0..33 => 1,
        33..128 => 4,
        128..1_024 => 16,
        _ => 64,
    })
}

impl Stream {
    fn add(&mut self, row: &[&str]) -> Option<()> {
        let end = |v4: usize, v6: usize, port: usize| -> Option<(IpAddr, u16)> {
            let ip = if row[v4].is_empty() { row[v6] } else { row[v4] };
            Some((ip.parse().ok()?, row[port].parse().ok()?))
        };
        let (from, to) = (end(2, 3, 4)?, end(5, 6, 7)?);
        if self.ends.is_empty() {
            self.ends = vec![from, to];
        }
        let side = usize::from(self.ends[0] != from);
        let frame: u64 = row[0].parse().ok()?;
        self.trouble |= !row[11].is_empty();
        self.packets[side] += 1;
        let bytes: u32 = row[8].parse().ok()?;
        if bytes > 0 {
            self.data[side].push((frame, self.packets[side], bytes));
        }
        if let (Ok(of), Ok(seconds)) = (row[9].parse::<u64>(), row[10].parse::<f64>()) {
            self.trips[1 - side].push((of, frame, (seconds * 1e9).round() as u64));
        }
        Some(())
    }

    /// The round trips of one end's segments that the sensor takes; `None` where an acknowledgement
    /// covers several of them.
    fn taken(&self, side: usize, largest: u32) -> Option<Vec<u64>> {
        let trip = |frame: u64| self.trips[side].iter().find(|trip| trip.0 == frame);
        let (mut taken, mut until) = (Vec::new(), 0);
        for (frame, ordinal, bytes) in &self.data[side] {
            let (_, acknowledged, ns) = trip(*frame)?;
            if *frame > until && may_be_timed(*ordinal) && *bytes <= largest {
                taken.push(*ns);
                until = *acknowledged;
            }
        }
        taken.sort_unstable();
        Some(taken)
    }

    fn lowest(&self, side: usize) -> Option<u64> {
        let of_data = |trip: &&(u64, u64, u64)| self.data[side].iter().any(|d| d.0 == trip.0);
        self.trips[side].iter().filter(of_data).map(|trip| trip.2).min()
    }
}

/// What tshark says of a capture; `None` where there is no tshark.
fn streams(path: &Path) -> Option<BTreeMap<u32, Stream>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(path).args(["-Y", "tcp && !icmp && !icmpv6", "-T", "fields"]);
    command.args(["-E", "occurrence=l", "-E", "separator=|"]);
    for field in FIELDS {
        command.args(["-e", field]);
    }
    let output = command.output().ok()?;
    let mut streams = BTreeMap::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let row: Vec<&str> = line.split('|').collect();
        if let Some(stream) = row.get(1).and_then(|stream| stream.parse().ok()) {
            let stream: &mut Stream = streams.entry(stream).or_default();
            assert!(row.len() == FIELDS.len(), "{}: {line}", path.display());
            stream.trouble |= stream.add(&row).is_none();
        }
    }
    Some(streams)
}

fn is_near(a: u64, b: u64) -> bool {
    a.abs_diff(b) <= NEAR_ENOUGH_NS
}

/// Whether ours are theirs: lowest and median (by nearest rank) of as many.
fn are_same(ours: Option<RoundTrips>, theirs: &[u64]) -> bool {
    let Some(ours) = ours else { return theirs.is_empty() };
    let median = theirs.get(theirs.len().div_ceil(2).wrapping_sub(1));
    ours.samples as usize == theirs.len()
        && theirs.first().is_some_and(|lowest| is_near(*lowest, ours.min_ns))
        && (theirs.len() > 16 || median.is_some_and(|median| is_near(*median, ours.p50_ns)))
}

#[test]
fn round_trips_within_sessions_equal_those_of_wireshark() {
    let Some(folder) = shared("pcaps") else { return };
    if Command::new("tshark").arg("--version").output().is_err() {
        return println!("skipped: tshark is not installed");
    }
    let wanted = |name: &str| CAPTURES.iter().any(|head| name.starts_with(head));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let capture = name.contains(".pcap");
        capture && wanted(&name) && path.metadata().unwrap().len() < 1_000_000
    });
    paths.sort();
    let seen = Seen::read(paths.clone());
    let (mut same, mut no_lower) =
        (Tally::new("ack_rtt, one by one"), Tally::new("ack_rtt, lowest"));
    for path in &paths {
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        for (number, stream) in streams(path).unwrap() {
            let [a, b] = stream.ends[..] else { continue };
            let records = seen.between(&file, Transport::TCP, a, b);
            let [record] = records[..] else { continue };
            // Of a session that began before the capture, early segments may be repetitions.
            // And the dissector cuts some connections in two.
            let packets = record.initiator.packets + record.responder.packets;
            let whole = packets == u64::from(stream.packets[0] + stream.packets[1]);
            if stream.trouble || record.syn.is_none() || !whole {
                continue;
            }
            let mss = record.syn.and_then(|syn| syn.mss).unwrap_or_default();
            let largest = SEGMENT.max(mss.into());
            for side in [0, 1] {
                // Data of the responder time the initiator's leg.
                let of_initiator = initiator(record) == stream.ends[side];
                let leg = if of_initiator { record.far } else { record.near };
                let ours = leg.in_session;
                let story = |theirs: &dyn std::fmt::Debug| {
                    format!("stream {number} of {}: {ours:?}, not {theirs:?}", stream.ends[side].1)
                };
                match (stream.taken(side, largest), ours, stream.lowest(side)) {
                    (Some(theirs), ours, _) => {
                        same.check(are_same(ours, &theirs), &file, || story(&theirs));
                    }
                    (None, Some(trips), Some(lowest)) => {
                        let right = trips.min_ns + NEAR_ENOUGH_NS >= lowest;
                        no_lower.check(right, &file, || story(&lowest));
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(same.counts().0 > 40, "{:?}", same.counts());
    same.conclude(&[]);
    no_lower.conclude(&[]);
}
