//! Sessions from inside that look controlled, over days: by whom, and with which network.
//!
//! Owns: the days of each pair. In: sessions in which our side shows a screen and input comes back.
//! Out: on how many days, and how many others there are with the same network. Policy at the cap,
//! which is in bytes: pairs that were not seen for longest go. Never: an approved tool.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoints::egress::Egress;
use crate::endpoints::people::days::{Days, day, days_of};
use crate::endpoints::summary::EndpointSummary;
use crate::model::Addr;
use crate::model::heap::ALLOCATION;
use crate::model::people_facts::ScreenDays;

/// A session that lasts for less shows no screen.
const LASTS_S: u64 = 60;

/// At the cap a fraction (1/n) goes at once.
const ROOM: usize = 8;

/// A person of the subjects file, else a host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Who {
    Person(Arc<str>),
    Host(Addr),
}

impl Who {
    fn bytes(&self) -> usize {
        match self {
            Who::Person(id) => id.len() + ALLOCATION,
            Who::Host(_) => 0,
        }
    }
}

/// The owner of the other end by the number of its autonomous system, else its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum With {
    System(u32),
    Address(Addr),
}

/// Bytes of a pair in the map.
pub(super) const PLACE: usize = 2 * size_of::<((With, Who), Days)>() + ALLOCATION;

/// The pairs.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    cap: usize,
    bytes: usize,
    pub(super) all: BTreeMap<(With, Who), Days>,
    pub(super) dropped: u64,
}

impl Shapes {
    /// Holds at most so many bytes.
    pub(super) fn new(cap: usize) -> Shapes {
        Shapes { cap, ..Shapes::default() }
    }

    /// Gives it another cap.
    pub(super) fn set_cap(&mut self, cap: usize) {
        self.cap = cap;
        self.trim();
    }

    pub(super) const fn held(&self) -> usize {
        self.bytes
    }

    /// Adds a session; what it tells, the first time of its day.
    pub(super) fn observe(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
    ) -> Option<ScreenDays> {
        let lasts = session.last.since(session.first).as_secs() >= LASTS_S;
        if !egress.controlled || !lasts {
            return None;
        }
        let who = match &egress.session.subject {
            Some((id, _)) => Who::Person(Arc::clone(id)),
            None => Who::Host(session.initiator.ip),
        };
        let with = match &session.responder.asn {
            Some(system) => With::System(system.number),
            None => With::Address(session.responder.ip),
        };
        let (key, today) = ((with, who), day(session.last));
        let before = self.all.get(&key).copied().unwrap_or_default();
        let mut days = before;
        days_of(session.first, session.last).for_each(|day| days.add(day));
        if days == before {
            return None;
        }
        self.add(key.clone(), days);
        let others = self
            .of(with)
            .filter(|(who, days)| **who != key.1 && days.until(today).next().is_some());
        let others = others.count() as u32;
        let system = match with {
            With::System(number) => Some(number),
            With::Address(_) => None,
        };
        let ip = session.responder.ip;
        Some(ScreenDays { days: days.until(today).count() as u32, others, system, ip })
    }

    /// Who has such sessions with a network.
    fn of(&self, with: With) -> impl Iterator<Item = (&Who, &Days)> {
        let from = (with, Who::Person(Arc::from("")));
        let all = self.all.range(from..).take_while(move |((other, _), _)| *other == with);
        all.map(|((_, who), days)| (who, days))
    }

    /// Adds days of a pair.
    pub(super) fn add(&mut self, key: (With, Who), days: Days) {
        let bytes = PLACE + key.1.bytes();
        match self.all.get_mut(&key) {
            Some(known) => known.merge(days),
            None => {
                self.bytes += bytes;
                self.all.insert(key, days);
            }
        }
        self.trim();
    }

    fn trim(&mut self) {
        if self.bytes <= self.cap {
            return;
        }
        let last = |(key, days): (&(With, Who), &Days)| (days.last(), key.clone());
        let mut order: Vec<_> = self.all.iter().map(last).collect();
        order.sort_unstable();
        for (_, key) in order {
            if self.bytes <= self.cap - self.cap / ROOM {
                break;
            }
            self.all.remove(&key);
            self.bytes = self.bytes.saturating_sub(PLACE + key.1.bytes());
            self.dropped += 1;
        }
    }

    /// Adds what another sensor saw.
    pub(super) fn merge(&mut self, other: Shapes) {
        other.all.into_iter().for_each(|(key, days)| self.add(key, days));
    }
}
