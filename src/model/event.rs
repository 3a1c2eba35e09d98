//! The events that the correlator sends to the outputs.
//!
//! Owns: the kinds of events; time and subject of each. In: results of the correlator. Out:
//! [`Event`]. Never: the form in which an event is written; a [`Format`] does that.

use std::sync::Arc;

use crate::model::endpoint::EndpointRow;
use crate::model::{Alert, Counters, Incident, Level, Nanos};

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// The facts so far of an open session.
    SessionUpdate,
    /// A session has ended.
    SessionEnd,
    /// An endpoint, at the end of a span.
    Endpoint,
    /// A rule fired.
    Alert,
    /// An incident was opened, got worse, or was closed.
    Incident,
    /// The sensor's own state.
    Health,
}

impl EventKind {
    /// All of them.
    pub const ALL: [EventKind; 6] = [
        EventKind::SessionEnd,
        EventKind::SessionUpdate,
        EventKind::Endpoint,
        EventKind::Alert,
        EventKind::Incident,
        EventKind::Health,
    ];

    /// Its word in configurations, and in subjects of message queues.
    pub const fn word(self) -> &'static str {
        match self {
            EventKind::SessionEnd => "session",
            EventKind::SessionUpdate => "update",
            EventKind::Endpoint => "endpoint",
            EventKind::Alert => "alert",
            EventKind::Incident => "incident",
            EventKind::Health => "health",
        }
    }
}

/// The line of a session, rendered by the worker that judged it.
#[derive(Clone, Copy, Debug)]
pub struct SessionLine<'a> {
    /// Its event id.
    pub id: [u8; 16],
    /// Packet time of its last packet.
    pub time: Nanos,
    /// ECS JSON with its end of line.
    pub line: &'a [u8],
    /// Whether the session is still open.
    pub is_update: bool,
}

/// The counts of a sensor in a span of its own clock.
#[derive(Clone, Debug)]
pub struct Health {
    /// Beginning of the span.
    pub since: Nanos,
    /// End of the span.
    pub until: Nanos,
    /// The increments of the counters in the span.
    pub counted: Counters,
    /// Capture points with one direction only, and their counts.
    pub one_way_feeds: Vec<serde_json::Value>,
}

/// The endpoints of a finished span. Rows are made one by one: all of them together would take more
/// memory than the table.
pub trait EndpointSource {
    /// Number of endpoints.
    fn count(&self) -> usize;

    /// The endpoints, in the order of the output.
    fn rows(&self) -> Box<dyn Iterator<Item = EndpointRow> + '_>;
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The facts so far of an open session.
    SessionUpdate(SessionLine<'a>),
    /// A session has ended.
    SessionEnd(SessionLine<'a>),
    /// An endpoint of a finished span.
    Endpoint(&'a EndpointRow),
    /// A rule fired.
    Alert(&'a Arc<Alert>),
    /// An incident was opened, got worse, or was closed.
    Incident(&'a Arc<Incident>),
    /// The sensor's own state.
    Health(&'a Arc<Health>),
}

impl Event<'_> {
    /// Its kind.
    pub const fn kind(&self) -> EventKind {
        match self {
            Event::SessionUpdate(_) => EventKind::SessionUpdate,
            Event::SessionEnd(_) => EventKind::SessionEnd,
            Event::Endpoint(_) => EventKind::Endpoint,
            Event::Alert(_) => EventKind::Alert,
            Event::Incident(_) => EventKind::Incident,
            Event::Health(_) => EventKind::Health,
        }
    }

    /// Packet time; of health, the run's clock.
    pub fn time(&self) -> Nanos {
        match self {
            Event::SessionUpdate(line) | Event::SessionEnd(line) => line.time,
            Event::Endpoint(row) => row.last,
            Event::Alert(alert) => alert.time,
            Event::Incident(incident) => incident.time,
            Event::Health(health) => health.until,
        }
    }

    /// The subject of an alert or an incident.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Event::Alert(alert) => Some(&alert.subject),
            Event::Incident(incident) => Some(&incident.subject),
            _ => None,
        }
    }
}

/// An event in the queue of an output, shared with the queues of other outputs.
#[derive(Clone, Debug)]
pub enum Held {
    /// A rule fired.
    Alert(Arc<Alert>),
    /// An incident was opened, got worse, or was closed.
    Incident(Arc<Incident>),
    /// The sensor's own state.
    Health(Arc<Health>),
}

impl Held {
    /// The event.
    pub const fn event(&self) -> Event<'_> {
        match self {
            Held::Alert(alert) => Event::Alert(alert),
            Held::Incident(incident) => Event::Incident(incident),
            Held::Health(health) => Event::Health(health),
        }
    }

    /// Its priority in a full queue, lowest first: health, alerts by level and ratio, incidents by
    /// level and score.
    pub fn worth(&self) -> (u8, Level, u64) {
        // The bits of non-negative numbers sort like the numbers.
        let bits = |of: f64| of.max(0.0).to_bits();
        match self {
            Held::Health(_) => (0, Level::Informational, 0),
            Held::Alert(of) => (1, of.level, bits(of.ratio)),
            Held::Incident(of) => (2, of.level, bits(of.score)),
        }
    }

    /// Approximate bytes that it holds in the queue.
    pub fn bytes(&self) -> usize {
        match self {
            Held::Alert(alert) => alert.bytes(),
            Held::Incident(of) => {
                let alerts = of.alerts.iter().map(|member| member.alert.bytes());
                size_of::<Incident>() + alerts.sum::<usize>()
            }
            Held::Health(_) => size_of::<Health>() + size_of::<Counters>(),
        }
    }
}

/// An output format.
pub trait Format: Send + Sync {
    /// Appends an event, with its end of line.
    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>);
}
