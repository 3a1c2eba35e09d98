//! Where people are: the addresses of each person of the subjects file, and who shares one.
//!
//! Owns: people and the addresses that they use, in bytes. In: answered sessions from outside whose
//! subject is known, or that a VPN client keeps open. Out: facts about an address and its people.
//! Never: an address that nobody of the subjects file uses and that no VPN client is behind.
//!
//! Days and hours do not depend on the order of sessions. Policy at the cap, which is in bytes:
//! first go addresses of one person, then people who share none, then the others, of each those not
//! seen for longest.

mod counted;
mod days;
mod dual;
mod kvms;
mod news;
mod outbound;
mod person;
mod shapes;
mod site;
mod stored;
mod work_hours;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::endpoints::egress::Egress;
use crate::endpoints::people::counted::{Amount, Counted, SessionId};
use crate::endpoints::people::days::day;
use crate::endpoints::people::dual::Outside;
use crate::endpoints::people::news::{News, Tools};
use crate::endpoints::people::person::Person;
use crate::endpoints::people::shapes::Shapes;
use crate::endpoints::people::site::{Site, TUNNEL_S};
use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::table::Endpoints;
use crate::model::endpoint_facts::{ClaimTotals, Colocated};
use crate::model::people_facts::{PeopleFacts, Shared};
use crate::model::physics::ClaimedPlace;
use crate::model::{Addr, Nanos};

/// So many common hours of a day are no visit.
const OVERLAP_HOURS: u32 = 4;

/// At the cap a fraction (1/n) goes at once.
const ROOM: usize = 8;

/// The part (1/n) of the bytes for what was counted of open sessions.
const COUNTED: usize = 16;

/// The same for sessions that look controlled, over days.
const SHAPES: usize = 16;

/// Everybody.
#[derive(Clone, Debug)]
pub struct People {
    cap: usize,
    bytes: usize,
    people: HashMap<Arc<str>, Person, RandomState>,
    sites: HashMap<Addr, Site, RandomState>,
    outside: Outside,
    shapes: Shapes,
    counted: Counted,
    tools: Tools,
    /// To judge, the last first.
    news: Vec<News>,
    /// What was told of each home host in this span, the latest of each kind.
    told: BTreeMap<Addr, PeopleFacts>,
    /// Hours of the day (UTC), a bit each, that are office hours elsewhere: of the configuration.
    foreign_hours: u32,
    pub(super) dropped: u64,
}

impl People {
    /// Holds at most so many bytes.
    pub fn new(cap: usize) -> People {
        People {
            cap: own_part(cap),
            bytes: 0,
            people: HashMap::default(),
            sites: HashMap::default(),
            outside: Outside::new(cap / ROOM),
            shapes: Shapes::new(cap / SHAPES),
            counted: Counted::new(cap / COUNTED),
            tools: Tools::default(),
            news: Vec::new(),
            told: BTreeMap::new(),
            foreign_hours: 0,
            dropped: 0,
        }
    }

    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.counted.held() + self.shapes.held()
    }

    /// Adds a session, or what an open one is so far, unless it `ended`. Whether rules should look
    /// at its endpoint now.
    pub(super) fn observe(&mut self, session: &EndpointSummary, ended: bool) -> bool {
        if let Some(egress) = session.egress.as_deref() {
            self.outside.observe(session);
            let new = self.count(egress.session.id, Amount::of(session, egress), ended);
            self.observe_behind(session, egress, new);
            if egress.outbound {
                self.observe_egress(session, egress, new);
            }
            self.dropped += std::mem::take(&mut self.shapes.dropped);
            self.keep_cap();
        }
        let Some(incoming) = session.incoming.as_deref() else { return false };
        let lasts = session.last.since(session.first).as_secs() >= TUNNEL_S;
        let ip = session.initiator.ip;
        if incoming.subject.is_none() && !(incoming.tunnel && lasts) {
            // Where people are whom other sessions show.
            if let Some(site) = self.sites.get_mut(&ip.site()) {
                site.region = incoming.region.or(site.region);
            }
            return false;
        }
        let mut news = false;
        if let Some((id, _)) = &incoming.subject {
            let new = self.count(incoming.id, Amount::of_incoming(incoming), ended);
            news |= self.of_person(id, |person| {
                person.activity.add(session.last, new.messages());
                person.observe(session, incoming)
            });
        }
        news |= self.of_site(ip, |site| site.observe(session, incoming));
        self.keep_cap();
        news
    }

    /// What to add of a session that has come so far.
    fn count(&mut self, id: SessionId, now: Amount, ended: bool) -> Amount {
        match ended {
            true => self.counted.end(now),
            false => self.counted.update(id, now),
        }
    }

    /// A session is over: what is observed next is all of it.
    pub(super) fn close(&mut self, id: &SessionId) {
        self.counted.close(id);
    }

    /// Updates of open sessions that count at their end, since the last call.
    pub(super) fn take_updates_dropped(&mut self) -> u64 {
        self.counted.take_dropped()
    }

    /// A session from inside shows its person at the address that their tunnel comes from.
    fn observe_behind(&mut self, session: &EndpointSummary, egress: &Egress, new: Amount) {
        let (Some(ip), Some((id, _))) = (egress.from, &egress.session.subject) else { return };
        let region = self.site(ip).and_then(|site| site.region);
        self.of_person(id, |person| {
            person.activity.add(session.last, new.messages());
            person.observe_behind(session, egress, region);
        });
        self.of_site(ip, |site| site.add_person(id, (session.first, session.last)));
    }

    /// Changes a person, and counts the bytes.
    fn of_person<T>(&mut self, id: &Arc<str>, change: impl FnOnce(&mut Person) -> T) -> T {
        let known = self.people.get(id).map(|person| person.bytes() + id.len());
        let person = self.people.entry(Arc::clone(id)).or_default();
        let result = change(person);
        let now = person.bytes() + id.len();
        self.bytes = (self.bytes + now).saturating_sub(known.unwrap_or_default());
        result
    }

    /// What is known of an address: of one of IPv6, of its /64.
    fn site(&self, ip: Addr) -> Option<&Site> {
        self.sites.get(&ip.site())
    }

    /// Changes an address, and counts the bytes.
    fn of_site<T>(&mut self, ip: Addr, change: impl FnOnce(&mut Site) -> T) -> T {
        let ip = ip.site();
        let known = self.sites.get(&ip).map(Site::bytes);
        let site = self.sites.entry(ip).or_default();
        let result = change(site);
        let now = site.bytes();
        self.bytes = (self.bytes + now).saturating_sub(known.unwrap_or_default());
        result
    }

    fn keep_cap(&mut self) {
        if self.bytes > self.cap {
            self.make_room();
        }
    }

    #[cold]
    fn make_room(&mut self) {
        let shares = |site: &Site| site.people.len() > 1;
        let sharing: BTreeSet<&str> = self
            .sites
            .values()
            .filter(|site| shares(site))
            .flat_map(|site| site.people.keys())
            .map(|id| &**id)
            .collect();
        let site = |(ip, site): (&Addr, &Site)| (2 * u8::from(shares(site)), site.last, Err(*ip));
        let person = |(id, person): (&Arc<str>, &Person)| {
            let worth = 1 + 2 * u8::from(sharing.contains(&**id)) + u8::from(person.tells());
            (worth, person.last, Ok(Arc::clone(id)))
        };
        let people = self.people.iter().map(person);
        let mut order: Vec<(u8, Nanos, Result<Arc<str>, Addr>)> =
            self.sites.iter().map(site).chain(people).collect();
        order.sort_unstable();
        for (_, _, key) in order {
            if self.bytes <= self.cap - self.cap / ROOM {
                break;
            }
            let freed = match key {
                Ok(id) => self.people.remove(&id).map_or(0, |gone| gone.bytes() + id.len()),
                Err(ip) => self.sites.remove(&ip).map_or(0, |gone| gone.bytes()),
            };
            self.bytes = self.bytes.saturating_sub(freed);
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
        let there = self.site(ip).and_then(|site| site.people.get(id));
        Some(ClaimTotals {
            km: claim.sensor_km,
            region_km: region.map(|region| claim.distance_km(region)),
            days: there.map_or(0, |hours| hours.until(day(now)).count() as u32),
            near_days: person.near_days(day(now)),
        })
    }

    /// The people who share an address on two days or more each.
    pub(super) fn colocated(&self, ip: Addr, now: Nanos) -> Option<Colocated> {
        let site = self.site(ip).filter(|site| !site.crowded)?;
        let now = day(now);
        let all = site.people.iter().map(|(id, hours)| (id, hours.until(now).collect()));
        let there: Vec<There<'_>> = all.filter(|(_, days): &There<'_>| days.len() >= 2).collect();
        if there.len() < 2 {
            return None;
        }
        let together = together(&there);
        let person = |id: &Arc<str>| self.people.get(id);
        let away = there.iter().filter_map(|(id, _)| person(id));
        let travels = |of: &Person| site.region.is_some_and(|region| of.travels_from(&region, now));
        let away = away.filter(|of| of.is_away(now) && !travels(of));
        let long = |hours: &u32| *hours >= OVERLAP_HOURS;
        Some(Colocated {
            days: together.len() as u32,
            overlap_days: together.values().filter(|hours| long(hours)).count() as u32,
            apart_km: self.apart_km(&there).unwrap_or_default(),
            away: away.count() as u32,
            people: there.into_iter().map(|(id, _)| Arc::clone(id)).collect(),
        })
    }

    /// The largest distance between the places that two of them claim.
    fn apart_km(&self, there: &[There<'_>]) -> Option<f64> {
        let claims = || there.iter().filter_map(|(id, _)| self.people.get(*id)?.claim);
        let known = claims().count() >= 2;
        let apart = claims().flat_map(|a| claims().map(move |b| a.distance_km(&b)));
        known.then(|| apart.fold(0.0, f64::max))
    }

    /// The people who were at an address on one day.
    fn shared(&self, site: &Site, now: u32) -> Option<Shared> {
        let all: Vec<There<'_>> =
            site.people.iter().map(|(id, hours)| (id, hours.until(now).collect())).collect();
        let common = together(&all);
        let meets = |(_, days): &There<'_>| days.iter().any(|(day, _)| common.contains_key(day));
        let there: Vec<There<'_>> = all.into_iter().filter(meets).collect();
        if there.len() < 2 || site.crowded {
            return None;
        }
        let since_hire = |(id, days): &There<'_>| {
            let person = self.people.get(*id)?;
            let hired = person.hired?;
            let met = days.iter().map(|(day, _)| *day).filter(|day| common.contains_key(day));
            let fewest = met.filter_map(|day| day.checked_sub(hired)).min()?;
            Some((fewest, !person.is_away(now)))
        };
        let newest = there.iter().filter_map(since_hire).min();
        Some(Shared {
            days: common.len() as u32,
            apart_km: self.apart_km(&there),
            hired_days: newest.map(|(days, _)| days),
            new_away: newest.is_some_and(|(_, home)| !home),
            people: there.into_iter().map(|(id, _)| Arc::clone(id)).collect(),
        })
    }

    /// What is known of the people of an address, and of the only one of an endpoint.
    pub(super) fn facts(
        &self,
        ip: Addr,
        only: Option<&Arc<str>>,
        now: Nanos,
    ) -> Option<Box<PeopleFacts>> {
        let (site, today) = (self.site(ip), day(now));
        let only = only.and_then(|id| self.people.get(id));
        let logs_in = site.filter(|site| !site.people.is_empty()).map(|site| site.last);
        PeopleFacts {
            shared: site.and_then(|site| self.shared(site, today)),
            behind: site.and_then(|site| site.behind(today)),
            dual: logs_in.and_then(|last| self.outside.dual(ip, last)),
            travel: only.and_then(|only| only.travel_to(ip, today)),
            flip: only.and_then(|only| only.flip_to(ip, today)),
            split: only.and_then(|only| only.split_at(ip, today)),
            networks: only.and_then(|only| only.networks(today)),
            work_hours: only.and_then(|only| only.work_hours(today, self.foreign_hours)),
            ..PeopleFacts::default()
        }
        .if_any()
    }

    /// Adds what another sensor knows.
    pub fn merge(&mut self, other: People) {
        for (id, person) in other.people {
            self.people.entry(id).or_default().merge(person);
        }
        for (ip, site) in other.sites {
            self.sites.entry(ip).or_default().merge(site);
        }
        self.outside.merge(other.outside);
        self.shapes.merge(other.shapes);
        self.tools.merge(other.tools);
        self.recount();
    }

    /// Counts the bytes anew, and keeps what fits.
    fn recount(&mut self) {
        let people: usize = self.people.iter().map(|(id, one)| id.len() + one.bytes()).sum();
        self.bytes = people + self.sites.values().map(Site::bytes).sum::<usize>();
        self.keep_cap();
    }

    /// Gives it another cap.
    #[must_use]
    pub fn with_cap(mut self, cap: usize) -> People {
        self.cap = own_part(cap);
        self.outside.set_cap(cap / ROOM);
        self.shapes.set_cap(cap / SHAPES);
        // Nothing is open where one begins.
        self.counted = Counted::new(cap / COUNTED);
        self.recount();
        self
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        let nobody = self.people.is_empty() && self.sites.is_empty();
        let nothing = self.outside.is_empty() && self.shapes.all.is_empty();
        nobody && nothing && self.tools.all.is_empty()
    }
}

impl Endpoints {
    /// Continues with people as an earlier run left them, or with nobody yet.
    pub fn set_people(&mut self, people: People) {
        let hours = self.people.foreign_hours;
        self.people = people;
        self.people.foreign_hours = hours;
    }

    /// Which hours of the day (UTC), a bit each, are office hours elsewhere.
    pub const fn set_foreign_hours(&mut self, hours: u32) {
        self.people.foreign_hours = hours;
    }

    /// Only the people and their addresses.
    pub fn into_people(self) -> People {
        self.people
    }

    /// The people and their addresses.
    pub const fn people(&self) -> &People {
        &self.people
    }
}

/// What is left of the bytes for people and their addresses.
const fn own_part(cap: usize) -> usize {
    cap - cap / ROOM - cap / COUNTED - cap / SHAPES
}

/// A person, and the days there with the hours of each.
type There<'p> = (&'p Arc<str>, Vec<(u32, u32)>);

/// The days on which two or more of them were there, and the hours that two or more share.
fn together(there: &[There<'_>]) -> BTreeMap<u32, u32> {
    let mut days: BTreeMap<u32, (u32, u32, u32)> = BTreeMap::new();
    for (day, hours) in there.iter().flat_map(|(_, days)| days) {
        let (people, any, two) = days.entry(*day).or_default();
        *people += 1;
        *two |= *any & hours;
        *any |= hours;
    }
    let common = days.into_iter().filter(|(_, (people, ..))| *people > 1);
    common.map(|(day, (_, _, two))| (day, two.count_ones())).collect()
}

#[cfg(test)]
mod tests;
