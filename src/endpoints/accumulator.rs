//! The statistics of an endpoint's sessions beside its totals.
//!
//! Owns: capped statistics of SYN facts, operating systems, days, people, round trips, and the last
//! session. In: session summaries. Out: [`Traits`]. Never: depends on the order of sessions.

use std::sync::Arc;

use crate::endpoints::summary::{EndpointSummary, Incoming, OsFamily, StackSummary};
use crate::model::Nanos;
use crate::model::endpoint::Locality;
use crate::model::endpoint_facts::{
    LatestSession, MTUS_MAX, MtuTotals, Spread, StackTotals, Traits,
};
use crate::model::facts::LongDatagram;

/// Maximum different people counted.
const SUBJECTS_MAX: usize = 8;

/// Maximum sessions whose round trips are sampled for quartiles.
const SAMPLES_MAX: usize = 16;

/// Maximum different SYNs counted.
const STACKS_MAX: usize = 64;

/// Datagrams kept that an endpoint was sent, and refused to pass on: the longest.
const DATAGRAMS_MAX: usize = 4;

/// Statistics of an endpoint that initiated sessions: 64 bytes, 8 per different SYN, and the box
/// for what rules judge.
#[derive(Clone, Debug, Default)]
pub(super) struct Accumulator {
    /// Different SYNs and their counts, smallest MTU first. At the cap the largest MTUs are
    /// dropped: the result does not depend on the order of sessions, and small MTUs carry the
    /// information.
    stacks: Vec<(StackSummary, u32)>,
    /// SYNs with an MSS that were dropped at the cap.
    beyond: u32,
    /// Datagrams that it refused to pass on, longest first.
    refused: Vec<LongDatagram>,
    judged: Option<Box<Judged>>,
}

/// Kept for remote endpoints only: about 200 bytes, and 16 for each of up to 16 round trips.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    /// One bit per day, by its number modulo 64.
    days: u64,
    subjects: Vec<Arc<str>>,
    /// Round trips keyed by a hash of their session; those with the smallest hashes are kept, which
    /// is a fair sample in any order.
    samples: Vec<(u64, u64)>,
    sampled: u32,
    /// As `days`, for the sampled sessions.
    sampled_days: u64,
    /// The longest datagrams of its sessions, longest first.
    longest: Vec<LongDatagram>,
    /// The longest IP packet that the path carried, and the shortest that it did not.
    path: Option<(u16, u16)>,
    latest: Option<LatestSession>,
}

/// The traits of an endpoint: its first stack with its count, and the other statistics. The table
/// adds the comparison with neighbours and baselines.
pub(super) fn traits(
    (first, count): (StackSummary, u32),
    accumulator: Option<&Accumulator>,
) -> Traits {
    let judged = accumulator.and_then(|accumulator| accumulator.judged.as_deref());
    let mut stacks = Accumulator::default();
    if let Some(accumulator) = accumulator {
        (stacks.stacks, stacks.beyond) = (accumulator.stacks.clone(), accumulator.beyond);
    }
    if count > 0 {
        stacks.add_stack(first, count);
    }
    Traits {
        mtu: stacks.mtu(),
        stack: stacks.stack(),
        ..judged.map(Judged::traits).unwrap_or_default()
    }
}

/// Accumulators by number, from 1: few endpoints have one.
#[derive(Debug, Default)]
pub(super) struct Accumulators {
    all: Vec<Accumulator>,
    /// Numbers that are free again.
    free: Vec<u32>,
}

impl Accumulators {
    /// The accumulator of a number; none for 0.
    pub(super) fn get(&self, number: u32) -> Option<&Accumulator> {
        self.all.get((number as usize).wrapping_sub(1))
    }

    /// Changes the accumulator of a number, created if there is none yet.
    pub(super) fn of(&mut self, number: &mut u32, change: impl FnOnce(&mut Accumulator)) {
        if *number == 0 {
            *number = self.free.pop().unwrap_or_else(|| {
                self.all.push(Accumulator::default());
                self.all.len() as u32
            });
        }
        if let Some(accumulator) = self.all.get_mut((*number as usize).wrapping_sub(1)) {
            change(accumulator);
        }
    }

    /// Frees a number.
    pub(super) fn free(&mut self, number: u32) {
        if let Some(accumulator) = self.all.get_mut((number as usize).wrapping_sub(1)) {
            *accumulator = Accumulator::default();
            self.free.push(number);
        }
    }
}

impl Accumulator {
    /// Adds a session that the endpoint initiated; its stack may have been counted elsewhere.
    pub(super) fn add(&mut self, session: &EndpointSummary, stack_counted: bool) {
        if !stack_counted {
            self.add_stack(session.stack, 1);
        }
        if let Some(incoming) = session.incoming.as_deref() {
            self.judged.get_or_insert_default().add(session, incoming);
        }
    }

    /// Adds a datagram that it refused to pass on.
    pub(super) fn add_refused(&mut self, datagram: LongDatagram) {
        keep_longest(&mut self.refused, datagram);
    }

    /// Datagrams that it refused to pass on.
    pub(super) fn refused(&self) -> &[LongDatagram] {
        &self.refused
    }

    /// The longest datagrams that it was sent.
    pub(super) fn longest(&self) -> &[LongDatagram] {
        self.judged.as_deref().map_or(&[], |judged| &judged.longest)
    }

    /// The person of its sessions, if it is only one.
    pub(super) fn only_subject(&self) -> Option<&Arc<str>> {
        if let [one] = self.subjects() { Some(one) } else { None }
    }

    /// The people of its sessions.
    pub(super) fn subjects(&self) -> &[Arc<str>] {
        self.judged.as_deref().map_or(&[], |judged| &judged.subjects)
    }

    /// One bit per day, by its number modulo 64.
    pub(super) fn days(&self) -> u64 {
        self.judged.as_deref().map_or(0, |judged| judged.days)
    }

    /// Continues from what an earlier span left.
    pub(super) fn of(judged: Box<Judged>) -> Accumulator {
        Accumulator { judged: Some(judged), ..Accumulator::default() }
    }

    /// The part that rules judge.
    pub(super) fn judged(&self) -> Option<&Judged> {
        self.judged.as_deref()
    }

    /// Whether rules judge it.
    pub(super) const fn is_judged(&self) -> bool {
        self.judged.is_some()
    }

    fn add_stack(&mut self, stack: StackSummary, times: u32) {
        match self.stacks.binary_search_by_key(&stack, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = self.stacks.get_mut(at) {
                    *count = count.saturating_add(times);
                }
            }
            Err(at) => self.stacks.insert(at, (stack, times)),
        }
        if self.stacks.len() > STACKS_MAX
            && let Some((stack, count)) = self.stacks.pop()
            && stack.mtu().is_some()
        {
            self.beyond = self.beyond.saturating_add(count);
        }
    }

    fn mtu(&self) -> Option<MtuTotals> {
        let mut hints: Vec<(u16, u32)> = Vec::new();
        for (mtu, count) in self.stacks.iter().filter_map(|(s, n)| s.mtu().map(|mtu| (mtu, *n))) {
            match hints.last_mut() {
                Some((known, sum)) if *known == mtu => *sum = sum.saturating_add(count),
                _ => hints.push((mtu, count)),
            }
        }
        let sum = |hints: &[(u16, u32)]| hints.iter().fold(0u32, |n, h| n.saturating_add(h.1));
        let syns = sum(&hints).saturating_add(self.beyond);
        hints.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        hints.truncate(MTUS_MAX);
        let others = syns.saturating_sub(sum(&hints));
        let usual = hints.first().copied();
        let clamped = self
            .stacks
            .iter()
            .filter(|(stack, _)| stack.is_clamped() && stack.mtu() == usual.map(|(mtu, _)| mtu));
        let clamped = clamped.fold(0u32, |sum, (_, count)| sum.saturating_add(*count));
        let clamped = usual.is_some_and(|(_, count)| clamped > count / 2);
        (syns > 0).then_some(MtuTotals { syns, hints, others, clamped })
    }

    fn stack(&self) -> Option<StackTotals> {
        let counted = |wanted: &dyn Fn(&StackSummary) -> bool| {
            let counts = self.stacks.iter().filter(|(stack, _)| wanted(stack));
            counts.fold(0u32, |sum, (_, count)| sum.saturating_add(*count))
        };
        let syn = most(&|family| counted(&|stack| stack.syn() == family));
        let program = most(&|family| counted(&|stack| stack.program() == family));
        let both = |stack: &StackSummary| stack.syn().is_known() && stack.program().is_known();
        let compared = counted(&both);
        let differ = counted(&|stack| both(stack) && stack.syn() != stack.program());
        let known = syn.is_some() || program.is_some();
        known.then_some(StackTotals { syn, program, compared, differ })
    }
}

/// Keeps the longest, whatever the order in which they come.
fn keep_longest(kept: &mut Vec<LongDatagram>, datagram: LongDatagram) {
    if let Err(at) = kept.binary_search_by(|known| datagram.cmp(known)) {
        kept.insert(at, datagram);
        kept.truncate(DATAGRAMS_MAX);
    }
}

impl Judged {
    /// The number of days on which it was seen, modulo 64.
    pub(super) const fn days_seen(&self) -> u32 {
        self.days.count_ones()
    }

    fn add(&mut self, session: &EndpointSummary, incoming: &Incoming) {
        const DAY_S: u64 = 86_400;
        let day = 1 << (session.last.as_secs() / DAY_S % 64);
        self.days |= day;
        let measured = incoming.trips >= Spread::TRIPS_MIN;
        if let Some(ns) = session.initiator.transport_ns.filter(|_| measured) {
            self.sampled_days |= day;
            self.sampled = self.sampled.saturating_add(1);
            keep_lowest(&mut self.samples, (mix(session, incoming), ns), SAMPLES_MAX);
        }
        if let Some((id, _)) = &incoming.subject
            && let Err(at) = self.subjects.binary_search(id)
        {
            self.subjects.insert(at, Arc::clone(id));
            self.subjects.truncate(SUBJECTS_MAX);
        }
        if let Some(path) = incoming.path {
            let (at_least, below) = self.path.unwrap_or((0, u16::MAX));
            self.path = Some((path.at_least.max(at_least), path.below.min(below)));
        }
        if let Some(datagram) = incoming.longest {
            keep_longest(&mut self.longest, datagram);
        }
        self.keep_latest(session, incoming);
    }

    fn keep_latest(&mut self, session: &EndpointSummary, incoming: &Incoming) {
        let order = |end: Nanos, id: [u8; 16]| (end, id);
        let known = self.latest.as_ref().map(|latest| order(latest.end, latest.id));
        if known >= Some(order(session.last, incoming.id)) {
            return;
        }
        let peer = &session.responder;
        let (subject, subject_name) = incoming.subject.clone().unzip();
        self.latest = Some(LatestSession {
            id: incoming.id,
            start: session.first,
            end: session.last,
            packets: incoming.packets,
            quality: incoming.quality,
            peer: peer.ip,
            peer_home: peer.side == Locality::Home,
            subject,
            subject_name: subject_name.flatten(),
            hired: incoming.hired.clone(),
            region: incoming.region,
            began: session.initiator.ip,
        });
    }

    fn traits(&self) -> Traits {
        Traits {
            days: self.days.count_ones(),
            subjects: self.subjects.len() as u32,
            spread: self.spread(),
            region_km: self.latest.as_ref().and_then(|of| of.region).map(|of| of.sensor_km),
            latest: self.latest.clone().map(Box::new),
            // Sessions that disagree took different paths, or lost a probe by chance.
            path: self.path.filter(|(at_least, below)| at_least < below),
            ..Traits::default()
        }
    }

    fn spread(&self) -> Option<Spread> {
        let mut all: Vec<u64> = self.samples.iter().map(|(_, ns)| *ns).collect();
        all.sort_unstable();
        let at = |quarter: usize| all.get((all.len().saturating_sub(1)) * quarter / 4).copied();
        Some(Spread {
            sessions: self.sampled,
            days: self.sampled_days.count_ones(),
            p25_ns: at(1)?,
            p50_ns: at(2)?,
            p75_ns: all.get(((all.len().saturating_sub(1)) * 3).div_ceil(4)).copied()?,
        })
    }
}

/// The operating system with most votes; of equals the first.
fn most(votes: &dyn Fn(OsFamily) -> u32) -> Option<&'static str> {
    let mut best = (0, None);
    for family in OsFamily::KNOWN {
        let count = votes(family);
        if count > best.0 {
            best = (count, family.as_str());
        }
    }
    best.1
}

/// Inserts into a sorted list that keeps its lowest values.
fn keep_lowest(all: &mut Vec<(u64, u64)>, value: (u64, u64), most: usize) {
    if all.len() >= most && all.last().is_some_and(|last| *last <= value) {
        return;
    }
    let at = all.partition_point(|have| *have <= value);
    all.insert(at, value);
    all.truncate(most);
}

/// A session's sampling key: its id is a hash already.
fn mix(session: &EndpointSummary, incoming: &Incoming) -> u64 {
    let half = incoming.id.first_chunk::<8>().map_or(0, |half| u64::from_be_bytes(*half));
    half ^ session.first.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_are_kept_in_any_order() {
        let values: Vec<(u64, u64)> = (0..40u64).map(|i| (i * 29 % 41, i)).collect();
        let run = |order: &mut dyn Iterator<Item = &(u64, u64)>| {
            let mut all = Vec::new();
            order.for_each(|value| keep_lowest(&mut all, *value, 5));
            all
        };
        let forth = run(&mut values.iter());
        assert_eq!(forth, run(&mut values.iter().rev()));
        assert!(forth.len() == 5 && forth.is_sorted());
    }

    #[test]
    fn quartiles_are_of_the_sample() {
        let samples = [10, 20, 30, 40, 50].map(|ns| (ns, ns)).to_vec();
        let judged = Judged { samples, sampled: 5, ..Judged::default() };
        let spread = judged.spread().unwrap();
        assert_eq!((spread.p25_ns, spread.p50_ns, spread.p75_ns), (20, 30, 40));
        assert_eq!(spread.iqr_ns(), 20);
        assert_eq!(Judged::default().spread(), None);
    }

    #[test]
    fn stacks_past_the_cap_are_counted_the_largest_first() {
        let run = |mtus: &mut dyn Iterator<Item = u16>| {
            let mut accumulator = Accumulator::default();
            for mtu in mtus {
                accumulator
                    .add_stack(StackSummary::new(Some(mtu), Some("linux"), Some("windows")), 1);
            }
            (accumulator.mtu().unwrap(), accumulator.stack().unwrap())
        };
        let all: Vec<u16> = (1_300..1_400).chain([1_320, 1_320, 1_500]).collect();
        let (mtu, stack) = run(&mut all.iter().copied());
        assert_eq!(mtu.hints.first(), Some(&(1_320, 3)));
        assert_eq!(mtu.syns, 103);
        assert_eq!(mtu.others + mtu.hints.iter().map(|(_, n)| n).sum::<u32>(), 103);
        assert_eq!((stack.syn, stack.program), (Some("linux"), Some("windows")));
        assert_eq!((stack.compared, stack.differ), (66, 66));
        assert_eq!((mtu, stack), run(&mut all.iter().rev().copied()));
    }

    #[test]
    fn what_no_syn_tells_is_not_counted() {
        let mut accumulator = Accumulator::default();
        accumulator.add_stack(StackSummary::new(None, None, None), 1);
        assert_eq!((accumulator.mtu(), accumulator.stack()), (None, None));
        accumulator.add_stack(StackSummary::new(None, Some("bsd"), None), 1);
        assert_eq!(
            accumulator.stack().map(|stack| (stack.syn, stack.compared)),
            Some((Some("bsd"), 0))
        );
    }
}
