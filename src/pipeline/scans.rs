//! Which unanswered sessions get no line of their own, and the lines that sum them.
//!
//! Owns: how many of a second were written individually; the sums of a second. In: sessions in
//! order. Out: lines, by source, at the end of the second. Never: leaves out an answered session or
//! one on which a rule fired, or decides by what another shard has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::SHARDS;
use crate::emit::Origin;
use crate::emit::id::scan_id;
use crate::emit::lines::render_scan;
use crate::model::event::SessionLine;
use crate::model::record::{Facts, SessionState};
use crate::model::scan::{Scan, Unanswered};
use crate::model::{Addr, Nanos, Record, Transport};

/// Sources kept apart in one second. At the cap the half with the fewest sessions is merged into
/// one sum: a scanner stays, forged sources are merged.
const SOURCES_MAX: usize = 256;

/// How many unanswered sessions a shard may write individually, second by second. Sessions of one
/// source are spread over all shards: each has its part of the rate.
pub(super) struct Quota {
    each: u64,
    /// Those ended by packets: by shard, the second and their number.
    by_packets: [(u32, u64); SHARDS as usize],
    /// Those ended by timers in the current second.
    by_timers: u64,
}

impl Quota {
    /// This many per second, over all shards.
    pub(super) fn new(rate: u64) -> Quota {
        let each = rate.div_ceil(u64::from(SHARDS));
        Quota { each, by_packets: [(0, 0); SHARDS as usize], by_timers: 0 }
    }

    /// The next second or shard starts.
    pub(super) fn begin(&mut self) {
        self.by_timers = 0;
    }

    /// Counts a session that a timer ended in its turn. Returns whether it is written.
    pub(super) fn timer(&mut self) -> bool {
        self.by_timers += 1;
        self.by_timers <= self.each
    }

    /// Counts a session of a shard that a packet ended in a second. Returns whether it is written.
    pub(super) fn packet(&mut self, shard: u16, clock: u32) -> bool {
        let Some((second, count)) = self.by_packets.get_mut(usize::from(shard)) else {
            return true;
        };
        if *second != clock {
            (*second, *count) = (clock, 0);
        }
        *count += 1;
        *count <= self.each
    }
}

/// The part of a sum for a session, if it was unanswered and carried no known payload: a one-way
/// tap sees no answers, and the questions there deserve lines of their own.
pub(super) fn unanswered(record: &Record) -> Option<Unanswered> {
    let silent = record.state == SessionState::Opened && record.responder.packets == 0;
    (silent && !says_something(&record.facts)).then_some(Unanswered {
        source: record.initiator.ip,
        destination: record.responder.ip,
        transport: record.transport,
        port: record.responder.port,
        packets: record.initiator.packets,
        bytes: record.initiator.bytes,
        first: record.start,
        last: record.end,
    })
}

/// Whether its payload gave any fact.
fn says_something(facts: &Facts) -> bool {
    let read = facts.tls.is_some() || facts.dns.is_some() || facts.ssh.is_some();
    let fits = facts.app_facts().is_some() || facts.first_bytes().is_some();
    read || fits || facts.protocol.is_some() || facts.http.is_some() || facts.turns.is_some()
}

/// One line that sums several sessions.
pub(super) struct Sum<'a> {
    pub(super) line: SessionLine<'a>,
    /// The number of its sessions.
    pub(super) sessions: u64,
}

/// The sums of one second.
pub(super) struct Scans {
    second: Nanos,
    by_source: BTreeMap<(Addr, Transport), Scan>,
    /// Those of sources that are not kept apart, by transport.
    others: BTreeMap<Transport, Scan>,
    lines: Vec<u8>,
    /// For each line its end, number of sessions, id and time.
    ends: Vec<(usize, u64, [u8; 16], Nanos)>,
    origin: Arc<Origin>,
}

impl Scans {
    /// No sums yet; `origin` describes the run in each line.
    pub(super) fn new(origin: &Arc<Origin>) -> Scans {
        Scans {
            second: Nanos::ZERO,
            by_source: BTreeMap::new(),
            others: BTreeMap::new(),
            lines: Vec::new(),
            ends: Vec::new(),
            origin: Arc::clone(origin),
        }
    }

    /// Adds a session that ended in a second; sums of earlier ones must have been taken.
    pub(super) fn add(&mut self, second: Nanos, one: &Unanswered) {
        self.second = second;
        if self.by_source.len() >= SOURCES_MAX {
            self.forget_half();
        }
        let (source, transport) = (Some(one.source), one.transport);
        let scan = self.by_source.entry((one.source, transport));
        scan.or_insert_with(|| Scan { source, transport, second, ..Scan::default() }).add(one);
    }

    /// The lines of all seconds before this one, in source order.
    pub(super) fn take_before(&mut self, second: Nanos) -> impl Iterator<Item = Sum<'_>> {
        self.lines.clear();
        self.ends.clear();
        // Called for each session, and there are usually none.
        let any = !self.by_source.is_empty() || !self.others.is_empty();
        if any && second > self.second {
            let sources = std::mem::take(&mut self.by_source).into_values();
            for scan in sources.chain(std::mem::take(&mut self.others).into_values()) {
                render_scan(&scan, &self.origin, &mut self.lines);
                let id = scan_id(&scan);
                self.ends.push((self.lines.len(), scan.sessions, id, scan.second));
            }
        }
        let (lines, mut from) = (&self.lines, 0);
        self.ends.iter().map(move |(end, sessions, id, time)| {
            let line = lines.get(std::mem::replace(&mut from, *end)..*end).unwrap_or_default();
            let line = SessionLine { id: *id, time: *time, line, is_update: false };
            Sum { line, sessions: *sessions }
        })
    }

    #[cold]
    fn forget_half(&mut self) {
        let mut sizes: Vec<u64> = self.by_source.values().map(|scan| scan.sessions).collect();
        sizes.sort_unstable();
        let middle = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
        let second = self.second;
        let few = self.by_source.extract_if(.., |_, scan| scan.sessions <= middle);
        for ((_, transport), scan) in few {
            let other = self.others.entry(transport);
            other.or_insert_with(|| Scan { transport, second, ..Scan::default() }).merge(scan);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emit::samples::bare_record;
    use crate::model::record::Protocol;

    fn one(source: u32, port: u16) -> Unanswered {
        Unanswered {
            source: Addr::from(std::net::Ipv4Addr::from(source)),
            destination: Addr::v4([10, 0, 0, 1]),
            transport: Transport::TCP,
            port,
            packets: 1,
            bytes: 60,
            first: Nanos::from_secs(5),
            last: Nanos::from_secs(5),
        }
    }

    #[test]
    fn a_scanner_is_named_beside_spoofed_sources() {
        let origin = Arc::new(Origin::new("here", []));
        let mut scans = Scans::new(&origin);
        let second = Nanos::from_secs(75);
        for n in 0..20_000 {
            scans.add(second, &one(n, 80));
            scans.add(second, &one(0xc000_0207, n as u16));
        }
        assert_eq!(scans.take_before(second).count(), 0, "it may go on");
        let lines: Vec<serde_json::Value> = scans
            .take_before(Nanos::from_secs(76))
            .map(|sum| {
                let line: serde_json::Value = serde_json::from_slice(sum.line.line).unwrap();
                assert_eq!(line["longhaul"]["summary"]["sessions"], sum.sessions);
                line
            })
            .collect();
        assert!(lines.len() <= SOURCES_MAX + 1, "{}", lines.len());
        let scanner = lines.iter().find(|line| line["source"]["ip"] == "192.0.2.7").unwrap();
        assert_eq!(scanner["longhaul"]["summary"]["sessions"], 20_000);
        assert_eq!(scanner["longhaul"]["summary"]["ports"], 1_024);
        let sum =
            lines.iter().map(|line| line["longhaul"]["summary"]["sessions"].as_u64().unwrap());
        assert_eq!(sum.sum::<u64>(), 40_000);
        assert_eq!(scans.take_before(Nanos::from_secs(99)).count(), 0);
    }

    #[test]
    fn sessions_with_facts_or_an_answer_are_not_summed() {
        let mut silent = Record { state: SessionState::Opened, ..bare_record() };
        (silent.responder.packets, silent.facts) = (0, Facts::default());
        assert!(unanswered(&silent).is_some());
        let mut answered = silent.clone();
        answered.responder.packets = 1;
        assert!(unanswered(&answered).is_none(), "a SYN-ACK came");
        let mut named = silent.clone();
        named.facts.tls = Some(Box::default());
        assert!(unanswered(&named).is_none(), "a tap of one direction saw its name");
        let mut identified = silent;
        identified.facts.protocol = Some(Protocol::Ssh);
        assert!(unanswered(&identified).is_none());
    }

    #[test]
    fn each_shard_has_its_part_of_the_rate() {
        let mut quota = Quota::new(640);
        let written = (0..100).filter(|_| quota.packet(3, 7)).count();
        assert_eq!((written, quota.packet(3, 8), quota.packet(4, 8)), (10, true, true));
        assert_eq!((0..100).filter(|_| quota.timer()).count(), 10);
        quota.begin();
        assert!(quota.timer());
    }
}
