//! What is new about a home host's person: each becomes a row that rules judge at once.
//!
//! Owns: the facts until they are judged, tools seen on site. In: sessions from inside.
//! Out: rows. Never: more than a few facts of one session.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::endpoints::baseline::Known;
use crate::endpoints::egress::Egress;
use crate::endpoints::key::Key;
use crate::endpoints::people::People;
use crate::endpoints::people::counted::Amount;
use crate::endpoints::people::days::day;
use crate::endpoints::people::outbound::Unusual;
use crate::endpoints::summary::EndpointSummary;
use crate::endpoints::table::{Endpoints, Entry};
use crate::model::Addr;
use crate::model::endpoint::{EndpointKey, EndpointRow, Locality};
use crate::model::endpoint_facts::LatestSession;
use crate::model::people_facts::{FirstSeen, PeopleFacts};

/// Tools remembered; those not seen for longest go.
const TOOLS_MAX: usize = 512;

/// A tool not seen for so many days is new again.
const FORGOTTEN_DAYS: u32 = 30;

/// Home hosts whose lines show what was told; of the others only alerts do.
const TOLD_MAX: usize = 4_096;

/// Tags of IP-KVMs and of their makers' clouds.
const KVM: &str = "kvm:";

/// A session that lasts for less is no use of the tool.
const LASTS_S: u64 = 60;

/// Facts about the person of a home host, with the session that shows them.
#[derive(Clone, Debug)]
pub(in crate::endpoints) struct News {
    host: Addr,
    latest: LatestSession,
    facts: PeopleFacts,
}

/// The tools and tunnels seen on site.
#[derive(Clone, Debug, Default)]
pub(super) struct Tools {
    /// The first day with a session from inside that counts.
    pub(super) since: Option<u32>,
    /// The latest day of each.
    pub(super) all: BTreeMap<Arc<str>, u32>,
}

impl Tools {
    /// Adds a session; what is new about it.
    fn observe(&mut self, session: &EndpointSummary, egress: &Egress) -> Option<FirstSeen> {
        let today = day(session.last);
        let since = *self.since.get_or_insert(today);
        let lasts = session.last.since(session.first).as_secs() >= LASTS_S;
        let tool = egress.by.as_ref().filter(|_| lasts)?;
        let before = self.add(tool, today);
        let known = before.is_some_and(|before| today.saturating_sub(before) <= FORGOTTEN_DAYS);
        let history_days = today.saturating_sub(since);
        (!known).then(|| FirstSeen { tool: Arc::clone(tool), history_days })
    }

    /// Adds a day of a tool; the latest before.
    fn add(&mut self, tool: &Arc<str>, day: u32) -> Option<u32> {
        let before = self.all.get(tool).copied();
        self.all.insert(Arc::clone(tool), before.map_or(day, |before| before.max(day)));
        while self.all.len() > TOOLS_MAX {
            let oldest = self.all.iter().map(|(tool, day)| (*day, Arc::clone(tool))).min();
            oldest.and_then(|(_, tool)| self.all.remove(&tool));
        }
        before
    }

    /// Adds what another sensor saw.
    pub(super) fn merge(&mut self, other: Tools) {
        self.since = self.since.into_iter().chain(other.since).min();
        for (tool, day) in &other.all {
            self.add(tool, *day);
        }
    }
}

impl People {
    /// Adds a session from inside, and what is new of it.
    pub(super) fn observe_egress(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
        new: Amount,
    ) {
        let first_seen = self.tools.observe(session, egress);
        let screen_days = self.shapes.observe(session, egress);
        let unusual = self.observe_outbound(session, egress, new);
        let today = day(session.last);
        let Unusual { volume, destination, marathon } = unusual;
        let new_destination = destination.map(|(key, mut found)| {
            let own = egress.session.subject.as_ref().map(|(id, _)| id);
            let person = own.and_then(|id| self.people.get(id));
            for other in self.people.iter().filter(|(id, _)| Some(*id) != own).map(|(_, of)| of) {
                let outbound = other.outbound.as_ref();
                let there = u32::from(outbound.is_some_and(|of| of.went_to(&key, today)));
                let group = person.is_some_and(|person| person.is_of_group(other));
                found.people += there;
                found.group += u32::from(group);
                found.group_people += if group { there } else { 0 };
            }
            found
        });
        let none = PeopleFacts::default;
        let each = [
            PeopleFacts { volume, ..none() },
            PeopleFacts { new_destination, ..none() },
            PeopleFacts { first_seen, ..none() },
            PeopleFacts { marathon, ..none() },
            PeopleFacts { screen_days, ..none() },
        ];
        for facts in each.into_iter().filter(|facts| *facts != none()) {
            let (host, latest) = (session.initiator.ip, latest(session, egress));
            self.tell(host, &facts);
            self.news.push(News { host, latest, facts });
        }
    }

    /// Keeps facts for the line of their host, the latest of each kind.
    fn tell(&mut self, host: Addr, facts: &PeopleFacts) {
        if self.told.len() >= TOLD_MAX && !self.told.contains_key(&host) {
            self.dropped += 1;
            return;
        }
        let told = self.told.entry(host).or_default();
        let facts = facts.clone();
        told.volume = facts.volume.or(told.volume);
        told.new_destination = facts.new_destination.or(told.new_destination);
        told.first_seen = facts.first_seen.or(told.first_seen.take());
        told.marathon = facts.marathon.or(told.marathon);
        told.screen_days = facts.screen_days.or(told.screen_days);
    }

    /// What was told of a home host.
    pub(in crate::endpoints) fn told(&self, host: Addr) -> Option<Box<PeopleFacts>> {
        self.told.get(&host).map(|facts| Box::new(facts.clone()))
    }

    /// The same people, for the next span.
    pub(in crate::endpoints) fn successor(&self) -> People {
        People { told: BTreeMap::new(), dropped: 0, ..self.clone() }
    }

    fn observe_outbound(
        &mut self,
        session: &EndpointSummary,
        egress: &Egress,
        new: Amount,
    ) -> Unusual {
        let Some((id, _)) = &egress.session.subject else { return Unusual::default() };
        self.of_person(id, |person| {
            person.last = person.last.max(session.last);
            person.describe(&egress.session);
            if egress.by.as_deref().is_some_and(|by| by.starts_with(KVM)) {
                person.kvms.add(session.first, person.switched);
            }
            person.outbound.get_or_insert_default().observe(session, egress, new)
        })
    }
}

fn latest(session: &EndpointSummary, egress: &Egress) -> LatestSession {
    let (subject, subject_name) = egress.session.subject.clone().unzip();
    LatestSession {
        id: egress.session.id,
        start: session.first,
        end: session.last,
        packets: egress.session.packets,
        quality: egress.session.quality,
        peer: session.responder.ip,
        peer_home: false,
        subject,
        subject_name: subject_name.flatten(),
        hired: egress.session.hired.clone(),
        region: None,
        began: session.initiator.ip,
    }
}

impl Endpoints {
    /// The next home host of whose person something is new.
    pub(in crate::endpoints) fn next_news(&mut self) -> Option<EndpointRow> {
        let News { host, latest, facts } = self.people.news.pop()?;
        let (fingerprint, service) = (None, None);
        let key = EndpointKey { ip: host, side: Locality::Home, fingerprint, service };
        let known = self.entry_of(&key).and_then(|at| self.entries.get(at));
        let none = Entry::new(Key::closed(&key, 0));
        let mut row = self.totals(known.unwrap_or(&none)).row(key, None, Known::default());
        (row.first, row.last) = (row.first.min(latest.start), row.last.max(latest.end));
        row.traits.latest = Some(Box::new(latest));
        row.traits.people = facts.if_any();
        Some(row)
    }
}

#[cfg(test)]
#[path = "news_tests.rs"]
mod tests;
