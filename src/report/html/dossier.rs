//! What a run knows of one subject: sessions, addresses, programs, hours.
//!
//! Owns: sums of everything, and the sessions that matter most. In: session lines. Out: a dossier.
//! Never: more than its caps: what is left out is counted.

use std::collections::{BTreeMap, BTreeSet};

use super::session::{Refuted, Session};
use crate::explain::Flat;
use crate::model::Nanos;

/// Most addresses of a subject that are told apart.
const ADDRESSES_MAX: usize = 256;
/// Most programs of a subject.
const APPLICATIONS_MAX: usize = 128;
/// Most hours: two years.
const HOURS_MAX: usize = 24 * 731;
/// Most hours of one session that are counted: 31 days.
pub(super) const HOURS_ONE: u64 = 24 * 31;
/// An hour in nanoseconds.
pub(super) const HOUR: u64 = 3_600_000_000_000;

/// Everything of one subject.
#[derive(Clone, Debug, Default)]
pub(super) struct Dossier {
    /// Its id: what lines call it.
    pub(super) id: String,
    /// Its name, if the subjects file has one.
    pub(super) name: Option<String>,
    /// Places in the list of incidents.
    pub(super) incidents: Vec<usize>,
    /// Places in the list of alerts.
    pub(super) alerts: Vec<usize>,
    /// All its findings, those without a place too; unknown beyond the cap of subjects.
    pub(super) found: Option<Found>,
    /// Sessions, all of them.
    pub(super) sessions: u64,
    /// Bytes of them.
    pub(super) bytes: u64,
    /// First and last moment.
    pub(super) first: Option<Nanos>,
    /// Likewise.
    pub(super) last: Option<Nanos>,
    /// Sessions that were open in each hour since 1970.
    pub(super) hours: BTreeMap<u64, u32>,
    /// Sessions with hours that are not counted there.
    pub(super) hours_cut: u64,
    /// Sessions with a round trip and a claimed place.
    pub(super) claims_all: u64,
    /// Handshakes of layers above the transport.
    pub(super) turns_all: u64,
    /// Remote addresses.
    pub(super) addresses: BTreeMap<String, Address>,
    /// Sessions with addresses beyond the cap.
    pub(super) addresses_more: u64,
    /// Sessions and bytes by program or protocol.
    pub(super) applications: BTreeMap<String, (u64, u64)>,
    /// The sessions that matter most.
    pub(super) kept: Vec<Session>,
    /// Sessions by what is wrong with their capture.
    pub(super) quality: Quality,
    /// Lines of endpoints that are about its addresses.
    pub(super) endpoints: Vec<Flat>,
    /// How many such lines there are.
    pub(super) endpoints_all: u64,
    /// Events and addresses that its findings name.
    pub(super) named: BTreeSet<String>,
}

/// How many findings are about a subject.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    /// Incidents that were opened.
    pub(super) incidents: u64,
    /// Alerts.
    pub(super) alerts: u64,
}

/// How far to trust the capture of a subject's sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Quality {
    /// Sessions with repeated segments, and so on.
    pub(super) retransmits: u64,
    pub(super) out_of_order: u64,
    pub(super) duplicates: u64,
    pub(super) gaps: u64,
    pub(super) one_way: u64,
    pub(super) truncated: u64,
    pub(super) unconfirmed: u64,
}

/// A remote address.
#[derive(Clone, Debug, Default)]
pub(super) struct Address {
    /// The subject came from there; else the subject went there.
    pub(super) is_origin: bool,
    /// Sessions with it.
    pub(super) sessions: u64,
    /// Lowest round trip to it, in microseconds, and the sessions with one.
    pub(super) rtt_us: Option<f64>,
    /// Sessions that had one.
    pub(super) samples: u64,
    /// Region or country that the database gives.
    pub(super) place: Option<String>,
    /// Its centre: degrees north and east.
    pub(super) centre: Option<(f64, f64)>,
    /// Its nearest point, in km from the sensor.
    pub(super) geo_km: Option<f64>,
    /// Nearest point of the place that the subjects file claims.
    pub(super) claim_km: Option<f64>,
    /// Network and owner.
    pub(super) owner: Option<String>,
    /// Tags of its sessions.
    pub(super) tags: BTreeSet<String>,
    /// Claims about it that are refuted.
    pub(super) refuted: Refuted,
    /// First and last moment.
    pub(super) first: Option<Nanos>,
    /// Likewise.
    pub(super) last: Option<Nanos>,
}

impl Dossier {
    /// The one of an id.
    pub(super) fn new(id: &str) -> Dossier {
        Dossier { id: id.to_owned(), ..Dossier::default() }
    }

    /// All its incidents and alerts, and whether they are all.
    pub(super) fn findings(&self) -> (Found, bool) {
        let (incidents, alerts) = (self.incidents.len() as u64, self.alerts.len() as u64);
        let found = self.found.unwrap_or_default();
        let incidents = found.incidents.max(incidents);
        (Found { incidents, alerts: found.alerts.max(alerts) }, self.found.is_some())
    }

    /// What it is called.
    pub(super) fn title(&self) -> String {
        match &self.name {
            Some(name) if *name != self.id => format!("{name} ({})", self.id),
            _ => self.id.clone(),
        }
    }

    /// Counts a session, and keeps it if it is among the `most` that matter.
    pub(super) fn add(&mut self, mut session: Session, most: usize) {
        self.sessions += 1;
        self.bytes = self.bytes.saturating_add(session.bytes);
        self.first = earliest(self.first, session.start);
        self.last = self.last.max(session.end);
        self.claims_all += u64::from(session.claim().is_some());
        self.turns_all += session.turns.len() as u64;
        self.count_hours(&session);
        self.count_application(&session);
        self.quality.count(&session);
        self.add_address(&session);
        session.is_named = self.named.contains(&session.id);
        self.kept.push(session);
        if self.kept.len() >= most.saturating_mul(2) {
            self.trim(most);
        }
    }

    /// Leaves the sessions that matter most, in the order of time.
    pub(super) fn trim(&mut self, most: usize) {
        self.kept.sort_by(|a, b| {
            let rank = |of: &Session| (of.is_named, of.weight());
            rank(b).cmp(&rank(a)).then_with(|| a.id.cmp(&b.id))
        });
        self.kept.truncate(most);
        self.kept.sort_by(|a, b| a.start.cmp(&b.start).then_with(|| a.id.cmp(&b.id)));
    }

    fn count_hours(&mut self, session: &Session) {
        let (Some(start), Some(end)) = (session.start, session.end) else { return };
        let first = start.0 / HOUR;
        let whole = (end.0 / HOUR).max(first);
        let last = whole.min(first + HOURS_ONE - 1);
        let mut is_cut = last < whole;
        for hour in first..=last {
            if self.hours.len() < HOURS_MAX || self.hours.contains_key(&hour) {
                *self.hours.entry(hour).or_default() += 1;
            } else {
                is_cut = true;
            }
        }
        self.hours_cut += u64::from(is_cut);
    }

    fn count_application(&mut self, session: &Session) {
        let name = session.program();
        let room = self.applications.len() < APPLICATIONS_MAX;
        let name = if room || self.applications.contains_key(name) { name } else { "others" };
        let sums = self.applications.entry(name.to_owned()).or_default();
        sums.0 += 1;
        sums.1 = sums.1.saturating_add(session.bytes);
    }

    fn add_address(&mut self, session: &Session) {
        let Some(remote) = &session.remote else { return };
        let room = self.addresses.len() < ADDRESSES_MAX || self.named.contains(remote);
        if !room && !self.addresses.contains_key(remote) {
            self.addresses_more += 1;
            return;
        }
        let address = self.addresses.entry(remote.clone()).or_default();
        address.is_origin |= session.is_inbound;
        address.sessions += 1;
        if let Some(us) = session.remote_us {
            address.samples += 1;
            address.rtt_us = Some(address.rtt_us.map_or(us, |least| least.min(us)));
        }
        address.place = address.place.take().or_else(|| session.place.clone());
        address.centre = address.centre.or(session.centre);
        address.geo_km = address.geo_km.or(session.geo_km);
        address.claim_km = address.claim_km.or(session.claim_km);
        address.owner = address.owner.take().or_else(|| session.owner.clone());
        address.refuted = address.refuted.or(session.refuted);
        address.first = earliest(address.first, session.start);
        address.last = address.last.max(session.end);
        for tag in &session.tags {
            if address.tags.len() < 16 {
                address.tags.insert(tag.clone());
            }
        }
    }

    /// Addresses, those that matter most first: named by a finding, refuted, many sessions.
    pub(super) fn ranked(&self) -> Vec<(&str, &Address)> {
        let mut all: Vec<(&str, &Address)> =
            self.addresses.iter().map(|(ip, address)| (ip.as_str(), address)).collect();
        let rank = |(ip, of): &(&str, &Address)| {
            (of.refuted.any(), self.named.contains(*ip), of.is_origin, of.sessions)
        };
        all.sort_by(|a, b| rank(b).cmp(&rank(a)).then_with(|| a.0.cmp(b.0)));
        all
    }
}

/// The earlier of two moments; one that is unknown is not earlier.
pub(super) fn earliest(a: Option<Nanos>, b: Option<Nanos>) -> Option<Nanos> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

impl Quality {
    fn count(&mut self, session: &Session) {
        let has = session.quality;
        for (slot, is_set) in [
            (&mut self.retransmits, has.retransmits),
            (&mut self.out_of_order, has.out_of_order),
            (&mut self.duplicates, has.duplicates),
            (&mut self.gaps, has.gaps),
            (&mut self.one_way, has.one_way),
            (&mut self.truncated, has.truncated),
            (&mut self.unconfirmed, has.unconfirmed),
        ] {
            *slot += u64::from(is_set);
        }
    }
}
