//! A worker's enrichment: adds to a record what is known of its addresses and names.
//!
//! Owns: a worker's caches. In: a finished record. Out: the same record, enriched.
//! Never: blocks, shares state with other workers, lets a cache change an answer.

use std::sync::Arc;

use crate::enrich::cache::OriginCache;
use crate::enrich::controller;
use crate::enrich::data::EnrichData;
use crate::enrich::geo::is_public;
use crate::enrich::hits::match_lists;
use crate::enrich::physics::{self, Claimed};
use crate::model::record::{Direction, ListHit, NamedSubject, Party, Physics, Subject};
use crate::model::{Counter, Counters, Record};

/// Tags of addresses that are not where their users are: their distance proves nothing.
const UNTRUSTED: [&str; 7] = ["anycast", "cdn", "sase", "relay", "pep", "satellite", "mobile"];

/// The first of those tags that the session has; from outside, that the initiator's address has: it
/// chooses the name it asks for.
fn untrusted(record: &Record) -> Option<&'static str> {
    let inbound = record.context.direction == Direction::Inbound;
    let counts = |hit: &&ListHit| !inbound || hit.is_of_source();
    let hits = record.context.hits.iter().filter(counts);
    let has = |tag: &&str| hits.clone().any(|hit| &*hit.tag == *tag);
    UNTRUSTED.into_iter().find(has)
}

/// An enricher, one per worker.
pub struct Enricher {
    data: Arc<EnrichData>,
    origins: OriginCache,
    errors_reported: u64,
    hits_lost: u64,
}

impl Enricher {
    /// An enricher with empty caches.
    pub fn new(data: Arc<EnrichData>) -> Enricher {
        Enricher { data, origins: OriginCache::new(), errors_reported: 0, hits_lost: 0 }
    }

    /// The snapshot in use.
    pub fn data(&self) -> &EnrichData {
        &self.data
    }

    /// Fills in locations, systems and `context` of a record.
    pub fn enrich(&mut self, record: &mut Record) {
        self.fill_origin(&mut record.initiator);
        self.fill_origin(&mut record.responder);
        let from_home = self.data.is_home(record.initiator.ip);
        let to_home = self.data.is_home(record.responder.ip);
        record.context.direction = match (from_home, to_home) {
            (true, true) => Direction::Internal,
            (true, false) => Direction::Outbound,
            (false, true) => Direction::Inbound,
            (false, false) => Direction::External,
        };
        self.hits_lost += match_lists(&self.data.lists, record);
        record.context.physics = self.physics(record);
        controller::fill(record, &self.data, &mut self.origins);
        self.fill_subject(record);
        if let Some(pseudonyms) = &self.data.pseudonyms {
            pseudonyms.hide(record);
        }
    }

    /// Whether the application is allowed, for everybody or for the subject.
    fn is_approved(&self, application: Option<&str>, own: &[Box<str>]) -> bool {
        let Some(application) = application else { return false };
        let names = |tag: &str| tag.split_once(':').is_some_and(|(_, name)| name == application);
        self.data.approved.iter().any(|tag| names(tag)) || own.iter().any(|tag| names(tag))
    }

    /// Adds the counts since the last call to `counters`.
    pub fn drain_counters(&mut self, counters: &mut Counters) {
        let errors = self.origins.errors();
        counters.add(Counter::GeoErrors, errors - self.errors_reported);
        self.errors_reported = errors;
        counters.add(Counter::ListHitsDropped, std::mem::take(&mut self.hits_lost));
    }

    fn fill_origin(&mut self, party: &mut Party) {
        party.behind = self.data.nat64.inside(party.ip);
        if is_public(party.origin()) {
            let origin = self.origins.get(&self.data.geo, party.origin());
            (party.place, party.asn) = (origin.place, origin.asn);
        }
    }

    /// Judges the leg of the remote end; an external or internal session has no known remote end.
    fn physics(&self, record: &Record) -> Option<Physics> {
        let sensor = self.data.sensor.as_ref()?;
        let (rtt_ns, remote) = match record.context.direction {
            Direction::Inbound => (record.transport_ns(true)?, &record.initiator),
            Direction::Outbound => (record.transport_ns(false)?, &record.responder),
            Direction::Internal | Direction::External => return None,
        };
        // The clock's granularity adds to the round trip: the bounds are those of the longest leg
        // possible.
        let rtt_ns = rtt_ns.saturating_add(record.grain.as_nanos());
        let inbound = record.context.direction == Direction::Inbound;
        let held = record.context.holder.as_deref().filter(|_| inbound);
        let held = held.and_then(|holder| self.data.subjects.of_holder(holder));
        let subject = held.or_else(|| self.data.subjects.of(remote.origin()));
        let subject = subject.and_then(|subject| subject.place_at(record.end));
        let claimed = Claimed { subject, geo: remote.place.as_deref() };
        Some(physics::judge(sensor, rtt_ns, &claimed, untrusted(record)))
    }

    /// Finds the subject: that of the initiator's holder, else of the initiator's address, else of
    /// the responder's address. Without a match it is the address of the initiator, which is the
    /// employee's device on outbound sessions and the employee's home on inbound ones.
    fn fill_subject(&mut self, record: &mut Record) {
        let subjects = &self.data.subjects;
        // Inbound, a match on the gateway would collect everybody who is not in the file.
        let inbound = record.context.direction == Direction::Inbound;
        let responder = subjects.of(record.responder.origin());
        let answering = responder.filter(|_| !inbound);
        let held = record.context.holder.as_deref().and_then(|holder| subjects.of_holder(holder));
        let named = held.or_else(|| subjects.of(record.initiator.origin())).or(answering);
        let own = named.map(|subject| subject.approved.as_slice()).unwrap_or_default();
        let application = record.context.application.as_deref();
        // A page or certificate is the responder's own: it may be allowed to show it.
        let shows = matches!(record.context.application_reason, Some("certificate" | "title"));
        let shown = responder.filter(|_| shows).map(|subject| subject.approved.as_slice());
        record.context.application_approved = self.is_approved(application, own)
            || self.is_approved(application, shown.unwrap_or_default());
        record.context.responder_subject = responder.map(|subject| NamedSubject {
            id: Arc::clone(&subject.id),
            name: subject.name.clone(),
        });
        if let Some(subject) = named {
            record.context.subject = Some(Subject::Named(Arc::clone(&subject.id)));
            record.context.subject_name = subject.name.clone();
            record.context.subject_role = subject.role.clone();
            record.context.subject_hired = subject.hired.clone();
            let holder = record.context.holder.as_deref();
            let from = holder.and_then(|holder| holder.from).and(held);
            let claim = from.and_then(|own| own.place_at(record.end));
            let sensor = self.data.sensor.as_ref();
            record.context.subject_claim =
                claim.zip(sensor).and_then(|(claim, sensor)| physics::claimed(sensor, claim));
            return;
        }
        // Inbound, the employee is the remote end: the gateway's address would collect everybody.
        if record.context.direction != Direction::External {
            record.context.subject = Some(Subject::Address(record.initiator.origin()));
        }
    }
}
