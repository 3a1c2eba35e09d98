//! One person of the subjects file: where they claim to be, where they were, how they move.
//!
//! Owns: days near the claimed place, regions, the latest sessions by address. In: answered
//! sessions of that person from outside. Out: facts. Never: a place that light refutes, or that
//! nobody is at: exits, relays, mobile networks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::endpoints::egress::Egress;
use crate::endpoints::people::days::{DAYS, Days, day, days_of};
use crate::endpoints::people::kvms::Kvms;
use crate::endpoints::people::outbound::Outbound;
use crate::endpoints::people::work_hours::Activity;
use crate::endpoints::summary::{EndpointSummary, Incoming};
use crate::model::heap::ALLOCATION;
use crate::model::people_facts::{Differs, EgressSplit, Flip, Networks, Travel, WorkHours};
use crate::model::physics::{ClaimedPlace, KM_PER_RTT_MS_REAL, KM_PER_RTT_MS_VACUUM};
use crate::model::{Addr, Nanos, Transport};

/// A region of a database is near a claimed place up to so many km: providers announce a city's
/// addresses from the next one.
pub(super) const NEAR_KM: f64 = 150.0;

/// Regions of one person.
const REGIONS_MAX: usize = 16;

/// Addresses of one person whose latest sessions are compared with the next.
const SEEN_MAX: usize = 8;

/// Access networks of one person.
const NETWORKS_MAX: usize = 8;

/// People hired within so many days of each other begin together.
const COHORT_DAYS: u32 = 90;

/// Who was in another region within so many days does not live here.
const TRAVEL_DAYS: u32 = 7;

/// A finding holds for so many days.
const HOLDS_DAYS: u32 = 7;

/// Sessions that are farther apart say nothing of each other.
const FLIP_S: u64 = 3_600;
const SPLIT_S: u64 = 900;
const TRAVEL_S: u64 = 2 * 86_400;

/// A round trip to the claimed place may take so much longer than on a usual path: access networks.
const NEAR_NS: f64 = 60e6;

/// What kind of network an address is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Nobody knows, or a gateway of many: its users are elsewhere.
    Unknown,
    /// None of the others: homes and offices.
    Access,
    /// Hosting, VPN, Tor: traffic of somebody else leaves there.
    Exit,
}

impl Class {
    fn of(session: &EndpointSummary) -> Class {
        const GATEWAYS: [&str; 8] =
            ["sase", "relay", "pep", "satellite", "mobile", "cgnat", "anycast", "cdn"];
        let own = || session.tags.iter().filter(|(initiator, _)| *initiator);
        if own().any(|(_, tag)| GATEWAYS.contains(&&**tag)) {
            return Class::Unknown;
        }
        let exit = |tag: &str| tag == "hosting" || tag == "tor" || tag.starts_with("vpn:");
        match own().any(|(_, tag)| exit(tag)) {
            true => Class::Exit,
            false if session.initiator.asn.is_some() => Class::Access,
            false => Class::Unknown,
        }
    }
}

/// The latest session from an address, by transport.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    ip: Addr,
    udp: bool,
    class: Class,
    first: Nanos,
    last: Nanos,
    /// Its region, unless light could not be back so soon.
    place: Option<ClaimedPlace>,
    country: Option<[u8; 2]>,
}

impl Seen {
    fn of(session: &EndpointSummary, incoming: &Incoming) -> Option<Seen> {
        let side = &session.initiator;
        let class = Class::of(session);
        let service = session.service.filter(|_| class != Class::Unknown)?;
        let udp = match service.transport {
            Transport::TCP => false,
            Transport::UDP => true,
            _ => return None,
        };
        let possible = |place: &ClaimedPlace| {
            let reach = side.transport_ns.map(|ns| ns as f64 / 1e6 * KM_PER_RTT_MS_VACUUM);
            reach.is_none_or(|km| place.sensor_km <= km)
        };
        let country = side.place.as_ref().and_then(|place| place.country.as_deref());
        Some(Seen {
            ip: side.ip,
            udp,
            class,
            first: session.first,
            last: session.last,
            place: incoming.region.filter(possible),
            country: country.and_then(|code| code.as_bytes().try_into().ok()),
        })
    }

    /// From the end of the earlier to the start of the later, in seconds; 0 if they overlap.
    fn apart_s(&self, other: &Seen) -> u64 {
        self.first.since(other.last).max(other.first.since(self.last)).as_secs()
    }
}

/// A finding, and the day it was made.
#[derive(Clone, Copy, Debug)]
struct Found<T> {
    day: u32,
    to: Addr,
    what: T,
}

impl<T: Copy> Found<T> {
    fn at(&self, ip: Addr, now: u32) -> Option<T> {
        (self.to == ip && self.day + HOLDS_DAYS > now).then_some(self.what)
    }
}

/// A person.
#[derive(Clone, Debug, Default)]
pub(super) struct Person {
    pub(super) claim: Option<ClaimedPlace>,
    /// Day of the hire, since 1970.
    pub(super) hired: Option<u32>,
    /// Their role in the subjects file.
    pub(super) role: Option<Arc<str>>,
    /// Days of sessions from near the claimed place.
    pub(super) near: Days,
    /// Days of sessions that are known to come from elsewhere, or from near it.
    pub(super) judged: Days,
    /// Days of sessions of which nobody can say so.
    pub(super) unknown: Days,
    /// Regions of the addresses, by their centre in hundredths of a degree.
    pub(super) regions: BTreeMap<(i32, i32), (ClaimedPlace, Days)>,
    /// Access networks by the number of their autonomous system: the first day, and all.
    pub(super) networks: BTreeMap<u32, (u32, Days)>,
    pub(super) last: Nanos,
    /// When the latest of those networks was first seen.
    pub(super) switched: Nanos,
    /// When sessions with IP-KVMs began.
    pub(super) kvms: Kvms,
    /// Messages by hour.
    pub(super) activity: Activity,
    /// Sessions from inside.
    pub(super) outbound: Option<Box<Outbound>>,
    seen: Vec<Seen>,
    travel: Option<Found<Travel>>,
    flip: Option<Found<Flip>>,
    flips: Days,
    split: Option<Found<EgressSplit>>,
}

impl Person {
    /// Adds a session. Whether it tells something new of how the person moves.
    pub(super) fn observe(&mut self, session: &EndpointSummary, incoming: &Incoming) -> bool {
        let (first, today) = (session.first, day(session.last));
        // A tunnel that stays up shows people on each of its days.
        let since = day(first).max(today.saturating_sub(DAYS));
        if incoming.claim.is_some() {
            self.claim = incoming.claim;
        }
        self.describe(incoming);
        self.last = self.last.max(session.last);
        let near = is_near(session, incoming);
        let add = |to: &mut Days| (since..=today).for_each(|day| to.add(day));
        add(if near.is_some() { &mut self.judged } else { &mut self.unknown });
        if near == Some(true) {
            add(&mut self.near);
        }
        // Through a VPN a laptop is wherever the exit is.
        if let Some(region) = incoming.region.filter(|_| !has_exit(session)) {
            self.add_region(region, since..=today);
        }
        if let Some(asn) = &session.initiator.asn
            && Class::of(session) == Class::Access
        {
            if !self.networks.contains_key(&asn.number) {
                self.switched = self.switched.max(session.first);
                self.kvms.forget_before(self.switched);
            }
            self.add_network(asn.number, since..=today);
        }
        Seen::of(session, incoming).is_some_and(|seen| self.compare(seen, today))
    }

    /// Takes what the subjects file says of the person.
    pub(super) fn describe(&mut self, told: &Incoming) {
        let hired = told.hired.as_deref().and_then(Nanos::from_date);
        self.hired = hired.map(day).or(self.hired);
        if told.role.is_some() {
            self.role.clone_from(&told.role);
        }
    }

    /// Whether another does the same work: in the same role; where neither has one, hired within so
    /// many days.
    pub(super) fn is_of_group(&self, other: &Person) -> bool {
        match (&self.role, &other.role) {
            (Some(own), Some(role)) => own.eq_ignore_ascii_case(role),
            (None, None) => {
                let apart = self.hired.zip(other.hired).map(|(a, b)| a.abs_diff(b));
                apart.is_some_and(|days| days <= COHORT_DAYS)
            }
            _ => false,
        }
    }

    /// Adds a session of a tunnel whose outer end is in that region. Only what says no is known:
    /// nobody measured the way to that end.
    pub(super) fn observe_behind(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
        region: Option<ClaimedPlace>,
    ) {
        self.claim = egress.claim.or(self.claim);
        self.describe(&egress.session);
        self.last = self.last.max(session.last);
        let near = self.claim.zip(region).map(|(claim, at)| claim.distance_km(&at) <= NEAR_KM);
        let to = if near == Some(false) { &mut self.judged } else { &mut self.unknown };
        days_of(session.first, session.last).for_each(|day| to.add(day));
    }

    /// Days near the claimed place; `None` unless more is known than not of where the person was.
    pub(super) fn near_days(&self, now: u32) -> Option<u32> {
        let judged: BTreeSet<u32> = self.judged.until(now).collect();
        let unknown = self.unknown.until(now).filter(|day| !judged.contains(day)).count();
        let near = self.near.until(now).count() as u32;
        (near > 0 || judged.len() > unknown).then_some(near)
    }

    /// Whether the person was never near the claimed place, as far as is known.
    pub(super) fn is_away(&self, now: u32) -> bool {
        self.claim.is_some() && self.near_days(now) == Some(0)
    }

    fn add_region(&mut self, region: ClaimedPlace, days: impl Iterator<Item = u32>) {
        let grain = |degrees: f64| (degrees * 100.0).round() as i32;
        let key = (grain(region.centre.0), grain(region.centre.1));
        let (_, there) = self.regions.entry(key).or_insert_with(|| (region, Days::default()));
        days.for_each(|day| there.add(day));
        self.trim_regions();
    }

    fn trim_regions(&mut self) {
        while self.regions.len() > REGIONS_MAX {
            let last = |(key, (_, days)): (&(i32, i32), &(_, Days))| (days.last(), *key);
            let oldest = self.regions.iter().map(last).min();
            oldest.and_then(|(_, key)| self.regions.remove(&key));
        }
    }

    fn add_network(&mut self, asn: u32, days: impl Iterator<Item = u32>) {
        for day in days {
            let (first, all) = self.networks.entry(asn).or_insert((day, Days::default()));
            *first = day.min(*first);
            all.add(day);
        }
        self.trim_networks();
    }

    fn trim_networks(&mut self) {
        while self.networks.len() > NETWORKS_MAX {
            let oldest = self.networks.iter().map(|(asn, (_, days))| (days.last(), *asn)).min();
            oldest.and_then(|(_, asn)| self.networks.remove(&asn));
        }
    }

    /// Whether the person came from another region as well in the last days.
    pub(super) fn travels_from(&self, region: &ClaimedPlace, now: u32) -> bool {
        let recent = |days: &Days| days.until(now).any(|day| day + TRAVEL_DAYS > now);
        let mut other = self.regions.values();
        other.any(|(other, days)| other.distance_km(region) > NEAR_KM && recent(days))
    }

    /// Compares a session with the latest from other addresses, and keeps it. Whether there is
    /// news.
    fn compare(&mut self, seen: Seen, today: u32) -> bool {
        let before = (self.flips, self.travel.is_some(), self.split.is_some());
        for at in 0..self.seen.len() {
            let Some(other) = self.seen.get(at).copied().filter(|other| other.ip != seen.ip) else {
                continue;
            };
            self.travel(&seen, &other, today);
            self.flip(&seen, &other, today);
            self.split(&seen, &other, today);
        }
        let same = |known: &Seen| (known.ip, known.udp) == (seen.ip, seen.udp);
        match self.seen.iter_mut().find(|known| same(known)) {
            // A session that ended earlier may have begun earlier, too.
            Some(known) if known.last <= seen.last => *known = seen,
            Some(_) => {}
            None => self.seen.push(seen),
        }
        if self.seen.len() > SEEN_MAX {
            let oldest = (0..self.seen.len())
                .min_by_key(|at| self.seen.get(*at).map(|seen| (seen.last, seen.ip, seen.udp)));
            oldest.map(|at| self.seen.swap_remove(at));
        }
        before != (self.flips, self.travel.is_some(), self.split.is_some())
    }

    fn travel(&mut self, seen: &Seen, other: &Seen, today: u32) {
        let (Some(here), Some(there)) = (seen.place, other.place) else { return };
        let apart = seen.apart_s(other);
        if apart > TRAVEL_S || seen.class != Class::Access || other.class != Class::Access {
            return;
        }
        let minutes = (apart / 60) as u32;
        let what = Travel { km: here.distance_km(&there), minutes, from: other.ip };
        let known = self.travel.filter(|known| known.day + HOLDS_DAYS > today);
        let faster = known.is_none_or(|known| known.what.kmh() < what.kmh());
        if what.km > NEAR_KM && faster {
            self.travel = Some(Found { day: today, to: seen.ip, what });
        }
    }

    fn flip(&mut self, seen: &Seen, other: &Seen, today: u32) {
        let apart = seen.apart_s(other);
        if seen.class == other.class || apart > FLIP_S {
            return;
        }
        self.flips.add(today);
        let what = Flip { minutes: (apart / 60) as u32, days: 0, from: other.ip };
        self.flip = Some(Found { day: today, to: seen.ip, what });
    }

    fn split(&mut self, seen: &Seen, other: &Seen, today: u32) {
        let apart = seen.apart_s(other);
        let version = |seen: &Seen| seen.ip.to_v4().is_some();
        if seen.udp == other.udp || apart > SPLIT_S || version(seen) != version(other) {
            return;
        }
        let country = || seen.country.zip(other.country).is_some_and(|(a, b)| a != b);
        let differs = match seen.class != other.class {
            true => Differs::Class,
            false if country() => Differs::Country,
            false => return,
        };
        let (tcp, udp) = if seen.udp { (other.ip, seen.ip) } else { (seen.ip, other.ip) };
        let what = EgressSplit { seconds: apart as u32, tcp, udp, differs };
        let known = self.split.filter(|known| known.day + HOLDS_DAYS > today);
        if known.is_none_or(|known| known.what.seconds >= what.seconds) {
            self.split = Some(Found { day: today, to: seen.ip, what });
        }
    }

    /// How the person came to an address, if it was fast.
    pub(super) fn travel_to(&self, ip: Addr, now: u32) -> Option<Travel> {
        self.travel?.at(ip, now)
    }

    /// The change that led to an address.
    pub(super) fn flip_to(&self, ip: Addr, now: u32) -> Option<Flip> {
        let days = self.flips.until(now).count() as u32;
        self.flip?.at(ip, now).map(|flip| Flip { days, ..flip })
    }

    /// TCP and UDP from different networks, one of them this address.
    pub(super) fn split_at(&self, ip: Addr, now: u32) -> Option<EgressSplit> {
        self.split?.at(ip, now)
    }

    /// The access networks of the last days.
    pub(super) fn networks(&self, now: u32) -> Option<Networks> {
        let recent = |days: &Days| days.until(now).next().is_some();
        let recent: Vec<u32> = self
            .networks
            .values()
            .filter(|(_, days)| recent(days))
            .map(|(first, _)| *first)
            .collect();
        let latest = recent.iter().max().copied()?;
        let hired_days = self.hired.and_then(|hired| latest.checked_sub(hired));
        let kvm_minutes = self.kvms.after(self.switched);
        Some(Networks { count: recent.len() as u32, hired_days, kvm_minutes })
    }

    /// When the person works.
    pub(super) fn work_hours(&self, now: u32, foreign: u32) -> Option<WorkHours> {
        self.activity.facts(now, foreign, self.claim.as_ref())
    }

    /// Whether something speaks against the person, or may soon.
    pub(super) const fn tells(&self) -> bool {
        self.travel.is_some() || self.split.is_some()
    }

    /// Adds what another sensor knows of the same person.
    pub(super) fn merge(&mut self, other: Person) {
        let newer = other.last > self.last;
        self.claim = if newer { other.claim.or(self.claim) } else { self.claim.or(other.claim) };
        self.hired = if newer { other.hired.or(self.hired) } else { self.hired.or(other.hired) };
        let role =
            if newer { other.role.or(self.role.take()) } else { self.role.take().or(other.role) };
        self.role = role;
        self.last = self.last.max(other.last);
        self.near.merge(other.near);
        self.judged.merge(other.judged);
        self.unknown.merge(other.unknown);
        self.activity.merge(other.activity);
        self.switched = self.switched.max(other.switched);
        self.kvms.merge(&other.kvms, self.switched);
        for (key, (region, days)) in other.regions {
            self.regions.entry(key).or_insert_with(|| (region, Days::default())).1.merge(days);
        }
        if let Some(other) = other.outbound {
            self.outbound.get_or_insert_default().merge(*other);
        }
        for (asn, (first, days)) in other.networks {
            let known = self.networks.entry(asn).or_insert((first, Days::default()));
            known.0 = known.0.min(first);
            known.1.merge(days);
        }
        self.trim_regions();
        self.trim_networks();
    }

    /// Bytes of it, with its place in the map.
    pub(super) fn bytes(&self) -> usize {
        const REGION: usize = size_of::<((i32, i32), (ClaimedPlace, Days))>();
        const NETWORK: usize = size_of::<(u32, (u32, Days))>();
        let regions = self.regions.len() * REGION * 2;
        let networks = self.networks.len() * NETWORK * 2;
        let seen = self.seen.capacity() * size_of::<Seen>();
        let outbound = self.outbound.as_ref().map_or(0, |outbound| outbound.bytes());
        let role = self.role.as_ref().map_or(0, |role| role.len() + ALLOCATION);
        let role = role + self.kvms.bytes();
        let heap = regions + networks + seen + outbound + role + self.activity.bytes();
        2 * size_of::<Person>() + heap + 6 * ALLOCATION
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
