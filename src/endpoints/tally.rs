//! What an endpoint's sessions add up to beside its totals.
//!
//! Owns: capped sums of SYN facts, families of systems, days, people, round trips, and the last
//! session. In: session summaries. Out: [`Traits`]. Never: depends on the order of sessions.

use std::sync::Arc;

use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::summary::Incoming;
use crate::endpoints::summary::SideSummary;
use crate::endpoints::summary::StackSummary;
use crate::model::Nanos;
use crate::model::traits::Excess;
use crate::model::traits::LatestSession;
use crate::model::traits::MTUS_MAX;
use crate::model::traits::MtuTotals;
use crate::model::traits::Spread;
use crate::model::traits::StackTotals;
use crate::model::traits::Traits;

/// Families of systems that SYNs and programs tell.
const FAMILIES: [&str; 4] = ["linux", "windows", "apple", "bsd"];

/// Different people counted.
const SUBJECTS_MAX: usize = 8;

/// Sessions whose round trips are kept for quartiles.
const SAMPLES_MAX: usize = 16;

/// Different MTUs counted; the most frequent [`MTUS_MAX`] are shown.
const MTUS_COUNTED: usize = 8;

/// Sums of one endpoint: about 200 bytes, and 16 for each of up to 16 round trips.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// A bit for each day, by its number modulo 64.
    days: u64,
    /// MTUs and their SYNs, the smallest first: which are counted does not depend on the order.
    mtus: Vec<(u16, u32)>,
    mtus_beyond: u32,
    syns: u32,
    syn_families: [u32; 4],
    program_families: [u32; 4],
    compared: u32,
    differ: u32,
    subjects: Vec<Arc<str>>,
    /// Round trips by a hash of their session, the smallest hashes: a fair sample in any order.
    samples: Vec<(u64, u64)>,
    sampled: u32,
    latest: Option<Box<LatestSession>>,
}

impl Tally {
    /// Adds a session; `side` is its initiator.
    pub(super) fn add(
        &mut self,
        session: &EndpointSummary,
        side: &SideSummary,
        incoming: &Incoming,
    ) {
        const DAY_S: u64 = 86_400;
        self.days |= 1 << (session.last.as_secs() / DAY_S % 64);
        self.add_syn(&incoming.stack);
        if let Some(ns) = side.transport_ns {
            self.sampled = self.sampled.saturating_add(1);
            keep_lowest(&mut self.samples, (mix(session, incoming), ns), SAMPLES_MAX);
        }
        if let Some((id, _)) = &incoming.subject
            && let Err(at) = self.subjects.binary_search(id)
        {
            self.subjects.insert(at, Arc::clone(id));
            self.subjects.truncate(SUBJECTS_MAX);
        }
        self.keep_latest(session, incoming);
    }

    fn add_syn(&mut self, stack: &StackSummary) {
        if let Some(mtu) = stack.mtu {
            self.syns = self.syns.saturating_add(1);
            self.count_mtu(mtu);
        }
        let at = |family: Option<&str>| FAMILIES.iter().position(|f| Some(*f) == family);
        let (syn, program) = (at(stack.syn), at(stack.program));
        for (counts, family) in
            [(&mut self.syn_families, syn), (&mut self.program_families, program)]
        {
            if let Some(count) = family.and_then(|family| counts.get_mut(family)) {
                *count = count.saturating_add(1);
            }
        }
        if syn.is_some() && program.is_some() {
            self.compared = self.compared.saturating_add(1);
            self.differ = self.differ.saturating_add(u32::from(syn != program));
        }
    }

    /// Counts an MTU; past the cap the largest goes, since the small ones are those that speak.
    fn count_mtu(&mut self, mtu: u16) {
        match self.mtus.binary_search_by_key(&mtu, |(known, _)| *known) {
            Ok(at) => {
                if let Some((_, count)) = self.mtus.get_mut(at) {
                    *count = count.saturating_add(1);
                }
            }
            Err(at) => self.mtus.insert(at, (mtu, 1)),
        }
        if self.mtus.len() > MTUS_COUNTED
            && let Some((_, count)) = self.mtus.pop()
        {
            self.mtus_beyond = self.mtus_beyond.saturating_add(count);
        }
    }

    fn keep_latest(&mut self, session: &EndpointSummary, incoming: &Incoming) {
        let order = |end: Nanos, id: [u8; 16]| (end, id);
        let known = self.latest.as_ref().map(|latest| order(latest.end, latest.id));
        if known >= Some(order(session.last, incoming.id)) {
            return;
        }
        let peer = &session.responder;
        let (subject, subject_name) = incoming.subject.clone().unzip();
        let latest = LatestSession {
            id: incoming.id,
            start: session.first,
            end: session.last,
            packets: incoming.packets,
            quality: incoming.quality,
            peer: peer.ip,
            peer_home: peer.side == crate::model::endpoint::Side::Home,
            subject,
            subject_name: subject_name.flatten(),
            began: session.initiator.ip,
        };
        match &mut self.latest {
            Some(known) => **known = latest,
            None => self.latest = Some(Box::new(latest)),
        }
    }

    /// The sums, with the excess that the table knows.
    pub(super) fn traits(&self, excess: Option<Excess>) -> Traits {
        Traits {
            days: self.days.count_ones(),
            subjects: self.subjects.len() as u32,
            mtu: self.mtu(),
            stack: self.stack(),
            spread: self.spread(),
            excess,
            latest: self.latest.clone(),
        }
    }

    fn mtu(&self) -> Option<MtuTotals> {
        let mut hints = self.mtus.clone();
        hints.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        let beyond: u32 = hints.iter().skip(MTUS_MAX).map(|(_, count)| *count).sum();
        hints.truncate(MTUS_MAX);
        let others = self.mtus_beyond.saturating_add(beyond);
        (self.syns > 0).then_some(MtuTotals { syns: self.syns, hints, others })
    }

    fn stack(&self) -> Option<StackTotals> {
        let (syn, program) = (most(&self.syn_families), most(&self.program_families));
        let (compared, differ) = (self.compared, self.differ);
        let known = syn.is_some() || program.is_some();
        known.then_some(StackTotals { syn, program, compared, differ })
    }

    fn spread(&self) -> Option<Spread> {
        let mut all: Vec<u64> = self.samples.iter().map(|(_, ns)| *ns).collect();
        all.sort_unstable();
        let at = |quarter: usize| all.get((all.len().saturating_sub(1)) * quarter / 4).copied();
        Some(Spread {
            sessions: self.sampled,
            p25_ns: at(1)?,
            p50_ns: at(2)?,
            p75_ns: all.get(((all.len().saturating_sub(1)) * 3).div_ceil(4)).copied()?,
        })
    }
}

/// The family with most votes, the first of several.
fn most(counts: &[u32; 4]) -> Option<&'static str> {
    let best = counts.iter().copied().max().filter(|count| *count > 0)?;
    FAMILIES.iter().zip(counts).find(|(_, count)| **count == best).map(|(family, _)| *family)
}

/// Adds to a list that keeps its lowest values, in order.
fn keep_lowest(all: &mut Vec<(u64, u64)>, value: (u64, u64), most: usize) {
    if all.len() >= most && all.last().is_some_and(|last| *last <= value) {
        return;
    }
    let at = all.partition_point(|have| *have <= value);
    all.insert(at, value);
    all.truncate(most);
}

/// A session's place in the draw: its id is a hash already.
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
        let tally = Tally { samples, sampled: 5, ..Tally::default() };
        let spread = tally.spread().unwrap();
        assert_eq!((spread.p25_ns, spread.p50_ns, spread.p75_ns), (20, 30, 40));
        assert_eq!(spread.iqr_ns(), 20);
        assert_eq!(Tally::default().spread(), None);
    }

    #[test]
    fn mtus_past_the_cap_are_counted_the_largest_first() {
        let mut tally = Tally { syns: 12, ..Tally::default() };
        for mtu in [1_500, 1_500, 1_420, 1_400, 1_410, 1_411, 1_412, 1_413, 1_414, 1_415, 1_420] {
            tally.count_mtu(mtu);
        }
        let mtu = tally.mtu().unwrap();
        assert_eq!(mtu.hints.first(), Some(&(1_420, 2)));
        assert_eq!(mtu.others + mtu.hints.iter().map(|(_, n)| n).sum::<u32>(), 11);
    }
}
