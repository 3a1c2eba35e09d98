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

/// Regions of one person.
const REGIONS_MAX: usize = 16;

/// Who was in another region within so many days does not live here.
const TRAVEL_DAYS: u32 = 7;

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
    /// Days of sessions that are known to come from elsewhere, or from near it.
    judged: Days,
    /// Days of sessions of which nobody can say so.
    unknown: Days,
    /// Regions of the addresses, by their centre in hundredths of a degree.
    regions: BTreeMap<(i32, i32), (ClaimedPlace, Days)>,
}

impl Person {
    /// Days near the claimed place; `None` unless more is known than not of where the person was.
    fn near_days(&self, now: u32) -> Option<u32> {
        let judged: BTreeSet<u32> = self.judged.until(now).collect();
        let unknown = self.unknown.until(now).filter(|day| !judged.contains(day)).count();
        let near = self.near.until(now).count() as u32;
        (near > 0 || judged.len() > unknown).then_some(near)
    }

    /// Whether the person was never near the claimed place, as far as is known.
    fn is_away(&self, now: u32) -> bool {
        self.claim.is_some() && self.near_days(now) == Some(0)
    }

    fn add_region(&mut self, region: ClaimedPlace, days: impl Iterator<Item = u32>) {
        let grain = |degrees: f64| (degrees * 100.0).round() as i32;
        let key = (grain(region.centre.0), grain(region.centre.1));
        let (_, there) = self.regions.entry(key).or_insert_with(|| (region, Days::default()));
        days.for_each(|day| there.add(day));
        if self.regions.len() > REGIONS_MAX {
            let last = |(key, (_, days)): (&(i32, i32), &(_, Days))| (days.0.last().copied(), *key);
            let oldest = self.regions.iter().map(last).min();
            oldest.and_then(|(_, key)| self.regions.remove(&key));
        }
    }

    /// Whether the person came from another region as well in the last days.
    fn travels_from(&self, region: &ClaimedPlace, now: u32) -> bool {
        let recent = |days: &Days| days.until(now).any(|day| day + TRAVEL_DAYS > now);
        let mut other = self.regions.values();
        other.any(|(other, days)| other.distance_km(region) > NEAR_KM && recent(days))
    }
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
    /// Its region by the geo database.
    region: Option<ClaimedPlace>,
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
        let near = is_near(session, incoming);
        let add = |to: &mut Days| (since..=today).for_each(|day| to.add(day));
        add(if near.is_some() { &mut person.judged } else { &mut person.unknown });
        if near == Some(true) {
            add(&mut person.near);
        }
        // Through a VPN a laptop is wherever the exit is.
        if let Some(region) = incoming.region.filter(|_| !has_exit(session)) {
            person.add_region(region, since..=today);
        }
        let ip = session.initiator.ip;
        if self.sites.len() >= self.cap && !self.sites.contains_key(&ip) {
            self.make_room();
        }
        let site = self.sites.entry(ip).or_default();
        site.last = site.last.max(session.last);
        site.region = incoming.region.or(site.region);
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
            near_days: person.near_days(day(now)),
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
        let travels = |of: &Person| site.region.is_some_and(|region| of.travels_from(&region, now));
        let away = away.filter(|of| of.is_away(now) && !travels(of));
        Some(Colocated {
            days: together as u32,
            apart_km: apart.fold(0.0, f64::max),
            away: away.count() as u32,
            people: there.into_iter().map(|(id, _)| Arc::clone(id)).collect(),
        })
    }
}

/// Whether the session comes from an address where somebody else's traffic leaves.
fn has_exit(session: &EndpointSummary) -> bool {
    let exits = ["hosting", "tor", "sase", "relay"];
    let mut tags = session.tags.iter().filter(|(of_initiator, _)| *of_initiator);
    tags.any(|(_, tag)| exits.contains(&&**tag) || tag.starts_with("vpn:"))
}

/// Whether a session comes from near the place that its person claims: by its region, and by a
/// round trip that access to the Internet there explains. One that says no is enough for no; `None`
/// if what is known says yes, and not all is.
fn is_near(session: &EndpointSummary, incoming: &Incoming) -> Option<bool> {
    let claim = incoming.claim?;
    let usual = claim.sensor_km / KM_PER_RTT_MS_REAL * 1e6;
    let by_region = incoming.region.map(|region| claim.distance_km(&region) <= NEAR_KM);
    let by_time = session.initiator.transport_ns.map(|ns| ns as f64 <= usual + NEAR_NS);
    match (by_region, by_time) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
