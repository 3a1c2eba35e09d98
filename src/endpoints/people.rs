//! Where people are: the addresses of each person of the subjects file, and who shares one.
//!
//! Owns: days of people at addresses and near the place they claim. In: answered sessions from
//! outside whose subject is known. Out: facts about an address. Policy at the cap: addresses of one
//! person go first, those not seen for longest. Never: an address that nobody of the subjects file
//! uses; a result that depends on the order of sessions before the cap.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::endpoints::summary::{EndpointSummary, Incoming};
use crate::model::endpoint_facts::{ClaimTotals, Colocated};
use crate::model::physics::{ClaimedPlace, KM_PER_RTT_MS_REAL};
use crate::model::{Addr, Nanos};

/// Days looked back at.
const DAYS: u32 = 14;

/// People of an address: more are a shared way out, not a home.
const PEOPLE_MAX: usize = 16;

/// A region of a database is near a claimed place up to so many km: providers announce a city's
/// addresses from the next one.
const NEAR_KM: f64 = 150.0;

/// A round trip to the claimed place may take so much longer than on a usual path: access networks.
const NEAR_NS: f64 = 60e6;

const DAY_S: u64 = 86_400;

/// At the cap a fraction (1/n) goes at once.
const ROOM: usize = 8;

/// A person.
#[derive(Clone, Debug, Default)]
struct Person {
    claim: Option<ClaimedPlace>,
    /// Days of sessions from near the claimed place.
    near: Days,
}

/// The latest days.
#[derive(Clone, Debug, Default)]
struct Days(BTreeSet<u32>);

impl Days {
    fn add(&mut self, day: u32) {
        self.0.insert(day);
        while self.0.len() > DAYS as usize {
            self.0.pop_first();
        }
    }

    fn until(&self, now: u32) -> impl Iterator<Item = u32> {
        let since = now.saturating_sub(DAYS);
        self.0.iter().copied().filter(move |day| (since + 1..=now).contains(day))
    }
}

/// An address outside.
#[derive(Clone, Debug, Default)]
struct Site {
    people: BTreeMap<Arc<str>, Days>,
    /// There were more people than are kept.
    crowded: bool,
    last: Nanos,
}

/// Everybody.
#[derive(Clone, Debug)]
pub(super) struct People {
    cap: usize,
    people: BTreeMap<Arc<str>, Person>,
    sites: BTreeMap<Addr, Site>,
    pub(super) dropped: u64,
}

fn day(time: Nanos) -> u32 {
    (time.as_secs() / DAY_S) as u32
}

impl People {
    /// Holds at most `cap` addresses, and as many people as the subjects file has.
    pub(super) fn new(cap: usize) -> People {
        People { cap, people: BTreeMap::new(), sites: BTreeMap::new(), dropped: 0 }
    }

    /// Adds a session.
    pub(super) fn observe(&mut self, session: &EndpointSummary) {
        let Some(incoming) = session.incoming.as_deref() else { return };
        let Some((id, _)) = &incoming.subject else { return };
        let today = day(session.last);
        // A tunnel that stays up shows people on each of its days.
        let since = day(session.first).max(today.saturating_sub(DAYS));
        let person = self.people.entry(Arc::clone(id)).or_default();
        if let Some(claim) = incoming.claim {
            person.claim = Some(claim);
        }
        if is_near(session, incoming) {
            (since..=today).for_each(|day| person.near.add(day));
        }
        let ip = session.initiator.ip;
        if self.sites.len() >= self.cap && !self.sites.contains_key(&ip) {
            self.make_room();
        }
        let site = self.sites.entry(ip).or_default();
        site.last = site.last.max(session.last);
        let there = site.people.entry(Arc::clone(id)).or_default();
        (since..=today).for_each(|day| there.add(day));
        if site.people.len() > PEOPLE_MAX {
            site.people.pop_last();
            site.crowded = true;
        }
    }

    #[cold]
    fn make_room(&mut self) {
        let mut order: Vec<(bool, Nanos, Addr)> =
            self.sites.iter().map(|(ip, site)| (site.people.len() > 1, site.last, *ip)).collect();
        order.sort_unstable();
        for (_, _, ip) in order.into_iter().take(self.cap.div_ceil(ROOM)) {
            self.sites.remove(&ip);
            self.dropped += 1;
        }
    }

    /// What the only person of an endpoint claims, against its region.
    pub(super) fn claim(
        &self,
        (id, ip): (&Arc<str>, Addr),
        region: Option<&ClaimedPlace>,
        now: Nanos,
    ) -> Option<ClaimTotals> {
        let person = self.people.get(id)?;
        let claim = person.claim?;
        let there = self.sites.get(&ip).and_then(|site| site.people.get(id));
        Some(ClaimTotals {
            km: claim.sensor_km,
            region_km: region.map(|region| claim.distance_km(region)),
            days: there.map_or(0, |days| days.until(day(now)).count() as u32),
            near_days: person.near.until(day(now)).count() as u32,
        })
    }

    /// The people who share an address on two days or more each.
    pub(super) fn colocated(&self, ip: Addr, now: Nanos) -> Option<Colocated> {
        let site = self.sites.get(&ip).filter(|site| !site.crowded)?;
        let now = day(now);
        let days = |of: &Days| of.until(now).collect::<Vec<u32>>();
        let there: Vec<(&Arc<str>, Vec<u32>)> = site
            .people
            .iter()
            .map(|(id, of)| (id, days(of)))
            .filter(|(_, days)| days.len() >= 2)
            .collect();
        if there.len() < 2 {
            return None;
        }
        let mut shared: Vec<u32> =
            there.iter().flat_map(|(_, days)| days.iter().copied()).collect();
        shared.sort_unstable();
        let together = shared.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).count();
        let person = |id: &Arc<str>| self.people.get(id);
        let claims = || there.iter().filter_map(|(id, _)| person(id)?.claim);
        let apart = claims().flat_map(|a| claims().map(move |b| a.distance_km(&b)));
        let away = there.iter().filter_map(|(id, _)| person(id));
        let away = away.filter(|of| of.claim.is_some() && of.near.until(now).next().is_none());
        Some(Colocated {
            days: together as u32,
            apart_km: apart.fold(0.0, f64::max),
            away: away.count() as u32,
            people: there.into_iter().map(|(id, _)| Arc::clone(id)).collect(),
        })
    }
}

/// Whether a session comes from near the place that its person claims: by its region, and by a
/// round trip that access to the Internet there explains.
fn is_near(session: &EndpointSummary, incoming: &Incoming) -> bool {
    let (Some(claim), Some(ns)) = (incoming.claim, session.initiator.transport_ns) else {
        return false;
    };
    let usual = claim.sensor_km / KM_PER_RTT_MS_REAL * 1e6;
    let region = incoming.region.map(|region| claim.distance_km(&region));
    region.is_some_and(|km| km <= NEAR_KM) && ns as f64 <= usual + NEAR_NS
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
