//! Which unanswered sessions have no line of their own, and the lines that stand for them.
//!
//! Owns: how many of a second were written in full; the sums of a second. In: sessions in their
//! order. Out: lines, by source, at the end of the second. Never: leaves out a session that was
//! answered or that a rule fired on, or decides by what another shard has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::decode::SHARDS;
use crate::emit::Origin;
use crate::emit::scan::render_scan;
use crate::model::Addr;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Nanos;
use crate::model::Record;
use crate::model::Transport;
use crate::model::record::SessionState;
use crate::model::scan::Scan;
use crate::model::scan::Unanswered;

/// Sources told apart in one second. At the cap the half with the fewest sessions is summed in
/// one: who scans stays, who was made up goes.
const SOURCES_MAX: usize = 256;

/// How many unanswered sessions a shard may write in full, second by second. Sessions of one source
/// are spread over all shards: each has a sixteenth of the rate.
pub(super) struct Quota {
    each: u64,
    /// Those that packets end: by shard, the second and how many there were.
    by_packets: [(u32, u64); SHARDS as usize],
    /// Those that timers end in the second whose turn it is.
    by_timers: u64,
}

impl Quota {
    /// So many a second, of all shards together.
    pub(super) fn new(rate: u64) -> Quota {
        let each = rate.div_ceil(u64::from(SHARDS));
        Quota { each, by_packets: [(0, 0); SHARDS as usize], by_timers: 0 }
    }

    /// It is another second's, or another shard's, turn.
    pub(super) fn begin(&mut self) {
        self.by_timers = 0;
    }

    /// Counts a session that a timer ended in its turn. Whether it is written.
    pub(super) fn timer(&mut self) -> bool {
        self.by_timers += 1;
        self.by_timers <= self.each
    }

    /// Counts a session of a shard that a packet ended in a second. Whether it is written.
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

/// What is summed of a session, where nobody answered it.
pub(super) fn unanswered(record: &Record) -> Option<Unanswered> {
    (record.state == SessionState::Opened).then_some(Unanswered {
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

/// The sums of one second.
pub(super) struct Scans {
    second: Nanos,
    by_source: BTreeMap<(Addr, Transport), Scan>,
    /// Those of sources that are not told apart, by transport.
    others: BTreeMap<Transport, Scan>,
    lines: Vec<u8>,
    origin: Arc<Origin>,
}

impl Scans {
    /// None yet; `origin` is where the lines come from.
    pub(super) fn new(origin: &Arc<Origin>) -> Scans {
        Scans {
            second: Nanos::ZERO,
            by_source: BTreeMap::new(),
            others: BTreeMap::new(),
            lines: Vec::new(),
            origin: Arc::clone(origin),
        }
    }

    /// Adds a session that ended in a second; those of an earlier one must have been taken.
    pub(super) fn add(&mut self, second: Nanos, one: &Unanswered) {
        self.second = second;
        if self.by_source.len() >= SOURCES_MAX {
            self.forget_half();
        }
        let (source, transport) = (Some(one.source), one.transport);
        let scan = self.by_source.entry((one.source, transport));
        scan.or_insert_with(|| Scan { source, transport, second, ..Scan::default() }).add(one);
    }

    /// The lines of everything that was added in seconds before this one, in the order of sources;
    /// and counts them.
    pub(super) fn take_before(&mut self, second: Nanos, counters: &mut Counters) -> &[u8] {
        self.lines.clear();
        if second <= self.second {
            return &self.lines;
        }
        let sources = std::mem::take(&mut self.by_source).into_values();
        for scan in sources.chain(std::mem::take(&mut self.others).into_values()) {
            counters.add(Counter::SessionsSummed, scan.sessions);
            counters.bump(Counter::SummaryLines);
            render_scan(&scan, &self.origin, &mut self.lines);
        }
        &self.lines
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
    fn who_scans_stays_where_sources_are_made_up() {
        let origin = Arc::new(Origin::new("here", []));
        let (mut scans, mut counters) = (Scans::new(&origin), Counters::default());
        let second = Nanos::from_secs(75);
        for n in 0..20_000 {
            scans.add(second, &one(n, 80));
            scans.add(second, &one(0xc000_0207, n as u16));
        }
        assert!(scans.take_before(second, &mut counters).is_empty(), "it may go on");
        let lines = scans.take_before(Nanos::from_secs(76), &mut counters).to_vec();
        let lines: Vec<serde_json::Value> = lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert!(lines.len() <= SOURCES_MAX + 1, "{}", lines.len());
        let scanner = lines.iter().find(|line| line["source"]["ip"] == "192.0.2.7").unwrap();
        assert_eq!(scanner["longhaul"]["summary"]["sessions"], 20_000);
        assert_eq!(scanner["longhaul"]["summary"]["ports"], 1_024);
        let sum =
            lines.iter().map(|line| line["longhaul"]["summary"]["sessions"].as_u64().unwrap());
        assert_eq!(sum.sum::<u64>(), 40_000);
        assert_eq!(counters.get(Counter::SessionsSummed), 40_000);
        assert_eq!(counters.get(Counter::SummaryLines), lines.len() as u64);
        assert!(scans.take_before(Nanos::from_secs(99), &mut counters).is_empty());
    }

    #[test]
    fn each_shard_has_its_part_of_the_rate() {
        let mut quota = Quota::new(160);
        let written = (0..100).filter(|_| quota.packet(3, 7)).count();
        assert_eq!((written, quota.packet(3, 8), quota.packet(4, 8)), (10, true, true));
        assert_eq!((0..100).filter(|_| quota.timer()).count(), 10);
        quota.begin();
        assert!(quota.timer());
    }
}
