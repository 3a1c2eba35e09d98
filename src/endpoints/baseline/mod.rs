//! Baselines of round trips: learned from sessions, kept from run to run.
//!
//! Owns: floors and histograms of prefixes, networks in a region, people and services, capped.
//! In: session summaries; baselines of other sensors. Out: baselines to compare a floor with, and
//! bytes to store. Never: a clock, a file, or a baseline of too few sessions.

mod counts;
mod entry;
mod format;
mod key;
mod list;
mod table;

pub use crate::endpoints::stored::DecodeError;
pub use format::VERSION;
pub use list::BaselineRow;

use crate::endpoints::baseline::entry::{BaselineEntry, Sample, Support};
use crate::endpoints::baseline::key::{Destination, Network, Prefix, Subject};
use crate::endpoints::baseline::table::Table;
use crate::endpoints::summary::{EndpointSummary, SideSummary};
use crate::model::endpoint::{Locality, Role};
use crate::model::endpoint_facts::{Baseline, BaselineOf};
use crate::model::record::{AutonomousSystem, Place};
use crate::model::{Addr, Nanos};

/// Sessions and days needed before a baseline is used: a low quantile of fewer is chance, or one
/// evening's.
pub const SESSIONS_MIN: u64 = 20;
/// See [`SESSIONS_MIN`].
pub const DAYS_MIN: u32 = 3;

/// Addresses needed behind the baseline of a prefix or network: an endpoint's own history is no
/// measure of the path to the network.
pub const ADDRESSES_MIN: u32 = 2;

/// The low quantile used as the floor: the minimum could be one lucky packet, or one neighbour with
/// a wrong location.
const FLOOR_PERCENT: u64 = 5;

/// Caps, and the time to learn before baselines are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaselineConfig {
    /// Maximum prefixes, networks, people and services, of each.
    pub cap: usize,
    /// Packet time from the first session on.
    pub learn: Nanos,
}

/// All baselines.
#[derive(Clone, Debug)]
pub struct Baselines {
    config: BaselineConfig,
    span: Option<(Nanos, Nanos)>,
    sessions: u64,
    prefixes: Table<Prefix>,
    networks: Table<Network>,
    subjects: Table<Subject>,
    destinations: Table<Destination>,
}

/// The endpoint whose baseline is looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'e> {
    pub(super) ip: Addr,
    pub(super) side: Locality,
    /// IANA protocol and port of the responder.
    pub(super) service: Option<(u8, u16)>,
    pub(super) role: Role,
    pub(super) asn: Option<&'e AutonomousSystem>,
    pub(super) place: Option<&'e Place>,
    /// The only person of its sessions.
    pub(super) subject: Option<&'e std::sync::Arc<str>>,
}

/// The baselines of the path to an endpoint, and of the person there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) path: Option<Baseline>,
    pub(super) subject: Option<Baseline>,
}

/// Totals of the learned data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaselineTotals {
    /// Start of the first session and end of the last one.
    pub span: Option<(Nanos, Nanos)>,
    /// Sessions with a round trip on a leg to a remote end.
    pub sessions: u64,
    /// Entries of each kind, and those with enough data to be used, in the order of
    /// [`BaselineOf::ALL`].
    pub tables: [(u64, u64); 4],
    /// Entries evicted at the cap.
    pub dropped: u64,
    /// The time at which learning ends.
    pub learns_until: Option<Nanos>,
}

impl BaselineTotals {
    /// Whether learning is still in progress.
    pub fn learning(&self) -> bool {
        match (self.span, self.learns_until) {
            (Some((_, last)), Some(until)) => last < until,
            _ => true,
        }
    }
}

impl Baselines {
    /// Empty baselines.
    pub fn new(config: BaselineConfig) -> Baselines {
        Baselines {
            config,
            span: None,
            sessions: 0,
            prefixes: Table::new(config.cap),
            networks: Table::new(config.cap),
            subjects: Table::new(config.cap),
            destinations: Table::new(config.cap),
        }
    }

    /// Learns from a session: the lowest round trip of each leg to a remote end, if any.
    pub fn learn(&mut self, session: &EndpointSummary) {
        let service = session.service.map(|service| (service.transport.0, service.port));
        let learned = [
            self.learn_side(session, &session.initiator),
            self.learn_side(session, &session.responder),
        ];
        if let [_, Some(sample)] = learned
            && let Some((transport, port)) = service
        {
            let prefix = Prefix::of(session.responder.ip);
            self.destinations.learn(Destination { prefix, transport, port }, &sample);
        }
        if let [Some(sample), _] = learned
            && let Some((id, _)) = session.incoming.as_ref().and_then(|i| i.subject.as_ref())
            && let Some(subject) = Subject::of(id)
        {
            self.subjects.learn(subject, &sample);
        }
        if learned.iter().any(Option::is_some) {
            self.sessions = self.sessions.saturating_add(1);
        }
        // How long was looked at, also where nothing could be measured; no single frame of a false
        // time ends it.
        if !session.doubtful || learned.iter().any(Option::is_some) {
            self.span = joined(self.span, Some((session.first, session.last)));
        }
    }

    fn learn_side(&mut self, session: &EndpointSummary, side: &SideSummary) -> Option<Sample> {
        let ns = side.transport_ns.filter(|_| side.side == Locality::Remote)?;
        let sample = Sample::new(side.ip, ns, session.last);
        self.prefixes.learn(Prefix::of(side.ip), &sample);
        if let Some(network) = Network::of(side.asn.as_deref(), side.place.as_deref()) {
            self.networks.learn(network, &sample);
        }
        Some(sample)
    }

    /// Adds the baselines of another sensor or time. Until [`Baselines::trim`] the result depends
    /// neither on order nor on grouping.
    pub fn merge(&mut self, other: Baselines) {
        self.span = joined(self.span, other.span);
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.prefixes.merge(other.prefixes);
        self.networks.merge(other.networks);
        self.subjects.merge(other.subjects);
        self.destinations.merge(other.destinations);
    }

    /// Enforces the caps after a merge.
    pub fn trim(&mut self) {
        self.prefixes.trim();
        self.networks.trim();
        self.subjects.trim();
        self.destinations.trim();
    }

    /// Whether learning is still in progress: the first and the last session are fewer days apart
    /// than the time to learn.
    pub fn learning(&self) -> bool {
        self.span.is_none_or(|(first, last)| last.since(first) < self.config.learn)
    }

    /// Totals of the learned data. Visits every entry.
    pub fn totals(&self) -> BaselineTotals {
        BaselineTotals {
            span: self.span,
            sessions: self.sessions,
            tables: [
                usable(&self.prefixes, BaselineOf::Prefix),
                usable(&self.networks, BaselineOf::Network),
                usable(&self.destinations, BaselineOf::Destination),
                usable(&self.subjects, BaselineOf::Subject),
            ],
            dropped: self.dropped(),
            learns_until: self.learns_until(),
        }
    }

    /// When learning ends; not known before the first session.
    pub fn learns_until(&self) -> Option<Nanos> {
        self.span.map(|(first, _)| first.plus(self.config.learn))
    }

    /// Entries evicted at a cap since creation.
    pub fn dropped(&self) -> u64 {
        let (prefixes, networks) = (self.prefixes.dropped(), self.networks.dropped());
        prefixes + networks + self.subjects.dropped() + self.destinations.dropped()
    }

    /// The baseline to compare an endpoint's floor with: for a service, its own; else the prefix's,
    /// else the network's in that region. For the only person there, their own as well.
    pub(super) fn known(&self, asked: &Asked<'_>) -> Known {
        if asked.side != Locality::Remote {
            return Known::default();
        }
        let prefix = Prefix::of(asked.ip);
        // An initiator's service is the one it asked for, which is not at its own prefix.
        let service = asked.service.filter(|_| asked.role == Role::Responder);
        let service = service.and_then(|(transport, port)| {
            let entry = self.destinations.get(&Destination { prefix, transport, port })?;
            self.baseline(entry, BaselineOf::Destination)
        });
        let of_prefix = || self.baseline(self.prefixes.get(&prefix)?, BaselineOf::Prefix);
        let of_network = || {
            let network = Network::of(asked.asn, asked.place)?;
            self.baseline(self.networks.get(&network)?, BaselineOf::Network)
        };
        let subject = asked
            .subject
            .and_then(Subject::of)
            .and_then(|subject| self.baseline(self.subjects.get(&subject)?, BaselineOf::Subject));
        Known { path: service.or_else(of_prefix).or_else(of_network), subject }
    }

    fn baseline(&self, entry: &BaselineEntry, of: BaselineOf) -> Option<Baseline> {
        let support = entry.support();
        let floor_ns = is_enough(&support, of).then(|| floor(entry)).flatten()?;
        let Support { sessions, days, .. } = support;
        Some(Baseline { of, floor_ns, sessions, days, learning: self.learning() })
    }
}

/// Whether there is enough data behind an entry to use it.
const fn is_enough(support: &Support, of: BaselineOf) -> bool {
    let shared = matches!(of, BaselineOf::Prefix | BaselineOf::Network);
    support.sessions >= SESSIONS_MIN
        && support.days >= DAYS_MIN
        && (!shared || support.addresses >= ADDRESSES_MIN)
}

/// The floor that sessions are compared with.
fn floor(entry: &BaselineEntry) -> Option<u64> {
    entry.counts().percentile(FLOOR_PERCENT)
}

fn usable<K: Clone + Eq + std::hash::Hash + Ord>(table: &Table<K>, of: BaselineOf) -> (u64, u64) {
    let usable = table.entries().filter(|entry| is_enough(&entry.support(), of)).count();
    (table.len() as u64, usable as u64)
}

/// The union of two spans.
fn joined(a: Option<(Nanos, Nanos)>, b: Option<(Nanos, Nanos)>) -> Option<(Nanos, Nanos)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
