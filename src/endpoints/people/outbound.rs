//! Where one person's sessions from inside go, and how much they carry.
//!
//! Owns: bytes by day and kind of owner, far destinations, hours of calls. In: sessions from inside
//! of that person. Out: what is unusual. Never: a name, or more than 60 days.
//!
//! Sixty days are kept as they are: that is less than a histogram would take, quantiles of them are
//! exact, and days of two sensors add up.

use std::collections::BTreeMap;

use crate::endpoints::egress::Egress;
use crate::endpoints::people::counted::Amount;
use crate::endpoints::people::days::{DAYS, day};
use crate::endpoints::summary::EndpointSummary;
use crate::model::heap::ALLOCATION;
use crate::model::people_facts::{Marathon, NewDestination, Owner, Volume};

/// Days with bytes that are kept.
const VOLUME_DAYS: usize = 60;

/// Destinations of one person.
const DESTINATIONS_MAX: usize = 64;

/// A destination not seen for so many days is new again.
const FORGOTTEN_DAYS: u32 = 30;

/// A session that lasts for less shows no destination.
const LASTS_S: u64 = 600;

/// Less in a day is not looked at.
const VOLUME_MIN: u64 = 100_000_000;

/// A call of so many seconds a day is a marathon.
const MARATHON_S: u32 = 4 * 3_600;

/// A network and a country: the number of the autonomous system, ISO 3166-1.
pub(super) type Destination = (u32, [u8; 2]);

/// Sums by day, the earliest first.
pub(super) type ByDay<T> = Vec<(u32, T)>;

/// Sessions from inside of one person.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbound {
    /// The first day with any.
    pub(super) since: Option<u32>,
    /// Bytes to each kind of owner.
    pub(super) volumes: BTreeMap<Owner, ByDay<u64>>,
    /// The latest day of a long session to each.
    pub(super) destinations: BTreeMap<Destination, u32>,
    /// Seconds of calls with a screen.
    pub(super) calls: ByDay<u32>,
    /// What was told of a volume: the day and its bytes.
    told: (u32, u64),
    /// The day of which a marathon was told.
    marathon: u32,
}

/// What is unusual about a session.
#[derive(Debug, Default)]
pub(super) struct Unusual {
    pub(super) volume: Option<Volume>,
    pub(super) destination: Option<(Destination, NewDestination)>,
    pub(super) marathon: Option<Marathon>,
}

/// Adds to a day; only the latest days stay.
pub(super) fn add_day<T: Copy>(
    all: &mut ByDay<T>,
    day: u32,
    most: usize,
    add: impl Fn(T) -> T,
    zero: T,
) {
    match all.binary_search_by_key(&day, |(day, _)| *day) {
        Ok(at) => {
            if let Some((_, known)) = all.get_mut(at) {
                *known = add(*known);
            }
        }
        Err(at) => {
            all.insert(at, (day, add(zero)));
            if all.len() > most {
                all.remove(0);
            }
        }
    }
}

impl Outbound {
    /// Adds a session, and what is new of it.
    pub(super) fn observe(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
        new: Amount,
    ) -> Unusual {
        let today = day(session.last);
        let since = *self.since.get_or_insert(today);
        self.since = Some(since.min(today));
        let history = today.saturating_sub(since);
        Unusual {
            volume: egress.owner.and_then(|owner| self.add_volume(owner, new.up, today)),
            destination: self.add_destination(session, egress, (today, history)),
            marathon: self.add_call(new.seconds, today),
        }
    }

    fn add_volume(&mut self, owner: Owner, bytes: u64, today: u32) -> Option<Volume> {
        if bytes == 0 {
            return None;
        }
        let days = self.volumes.entry(owner).or_default();
        add_day(days, today, VOLUME_DAYS, |sum: u64| sum.saturating_add(bytes), 0);
        let before = days.iter().filter(|(day, _)| *day < today);
        // The 99.9th percentile of less than a thousand days is their maximum.
        let usual = before.map(|(_, bytes)| *bytes).max().unwrap_or_default();
        let sum = days.iter().find(|(day, _)| *day == today).map(|(_, sum)| *sum)?;
        let told = if self.told.0 == today { self.told.1 } else { 0 };
        // A day's growth is told in steps of a quarter.
        if sum <= usual || sum < VOLUME_MIN || sum < told.saturating_add(told / 4) {
            return None;
        }
        self.told = (today, sum);
        let days = today.saturating_sub(self.since?);
        Some(Volume { owner, bytes: sum, usual, days })
    }

    fn add_destination(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
        (today, history_days): (u32, u32),
    ) -> Option<(Destination, NewDestination)> {
        let lasts = session.last.since(session.first).as_secs();
        if lasts < LASTS_S || !(egress.interactive || egress.by.is_some()) {
            return None;
        }
        let far = &session.responder;
        let country = far.place.as_ref().and_then(|place| place.country.as_deref());
        let country = country.and_then(|code| code.as_bytes().try_into().ok())?;
        let key = (far.asn.as_ref()?.number, country);
        let before = self.destinations.insert(key, today);
        while self.destinations.len() > DESTINATIONS_MAX {
            let oldest = self.destinations.iter().map(|(key, day)| (*day, *key)).min();
            oldest.and_then(|(_, key)| self.destinations.remove(&key));
        }
        if before.is_some_and(|before| today.saturating_sub(before) <= FORGOTTEN_DAYS) {
            return None;
        }
        let km = egress.session.region.map(|region| region.sensor_km);
        let minutes = (lasts / 60) as u32;
        Some((
            key,
            NewDestination { minutes, km, people: 0, group: 0, group_people: 0, history_days },
        ))
    }

    fn add_call(&mut self, seconds: u64, today: u32) -> Option<Marathon> {
        if seconds == 0 {
            return None;
        }
        let seconds = seconds.min(86_400) as u32;
        add_day(&mut self.calls, today, DAYS as usize, |sum: u32| sum.saturating_add(seconds), 0);
        let long = |(_, seconds): &&(u32, u32)| *seconds >= MARATHON_S;
        let recent =
            self.calls.iter().filter(|(day, _)| day.saturating_add(DAYS) > today && *day <= today);
        let days = recent.filter(long).count() as u32;
        let now = self.calls.iter().find(|(day, _)| *day == today).filter(|day| long(day))?;
        let is_new = std::mem::replace(&mut self.marathon, today) != today;
        is_new.then_some(Marathon { days, hours: now.1 / 3_600 })
    }

    /// Whether the person went there lately.
    pub(super) fn went_to(&self, key: &Destination, now: u32) -> bool {
        let last = self.destinations.get(key);
        last.is_some_and(|last| now.saturating_sub(*last) <= FORGOTTEN_DAYS)
    }

    /// Adds what another sensor saw.
    pub(super) fn merge(&mut self, other: Outbound) {
        self.since = self.since.into_iter().chain(other.since).min();
        for (owner, days) in other.volumes {
            let known = self.volumes.entry(owner).or_default();
            for (day, bytes) in days {
                add_day(known, day, VOLUME_DAYS, |sum: u64| sum.saturating_add(bytes), 0);
            }
        }
        for (key, day) in other.destinations {
            let known = self.destinations.entry(key).or_insert(day);
            *known = day.max(*known);
        }
        while self.destinations.len() > DESTINATIONS_MAX {
            let oldest = self.destinations.iter().map(|(key, day)| (*day, *key)).min();
            oldest.and_then(|(_, key)| self.destinations.remove(&key));
        }
        for (day, seconds) in other.calls {
            let sum = |sum: u32| sum.saturating_add(seconds);
            add_day(&mut self.calls, day, DAYS as usize, sum, 0);
        }
    }

    /// Bytes of it.
    pub(super) fn bytes(&self) -> usize {
        let days = self.volumes.values().map(|days| days.capacity() * 16 + 64).sum::<usize>();
        let calls = self.calls.capacity() * 8;
        let destinations = self.destinations.len() * 2 * size_of::<(Destination, u32)>();
        size_of::<Outbound>() + days + calls + destinations + 3 * ALLOCATION
    }
}
