//! What happens in a run, as outputs hear of it.
//!
//! Owns: the kinds of events, what each says of itself. In: what the correlator has found. Out:
//! [`Event`]. Never: how an event is written; a [`Format`] does that.

use std::sync::Arc;

use crate::model::Alert;
use crate::model::Counters;
use crate::model::Incident;
use crate::model::Level;
use crate::model::Nanos;
use crate::model::endpoint::EndpointRow;

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// What is known of a session that still lasts.
    SessionUpdate,
    /// A session is over.
    SessionEnd,
    /// An endpoint, at the end of a span.
    Endpoint,
    /// A rule fired.
    Alert,
    /// An incident was opened, got worse, or was closed.
    Incident,
    /// What the sensor says of itself.
    Health,
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
    /// The session still lasts.
    pub is_update: bool,
}

/// What a sensor has counted in a span of its own clock.
#[derive(Clone, Debug)]
pub struct Health {
    /// Where the span begins.
    pub since: Nanos,
    /// Where it ends.
    pub until: Nanos,
    /// What was added in it.
    pub counted: Counters,
    /// Capture points that feed one direction only, with their counts.
    pub one_way_feeds: Vec<serde_json::Value>,
}

/// The endpoints of a span that is over, each row made when it is asked for: all of them at once
/// would take more memory than the table.
pub trait EndpointSource {
    /// How many there are.
    fn count(&self) -> usize;

    /// Each of them, in the order of the output.
    fn rows(&self) -> Box<dyn Iterator<Item = EndpointRow> + '_>;
}

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// What is known of a session that still lasts.
    SessionUpdate(SessionLine<'a>),
    /// A session is over.
    SessionEnd(SessionLine<'a>),
    /// An endpoint of a span that is over.
    Endpoint(&'a EndpointRow),
    /// A rule fired.
    Alert(&'a Arc<Alert>),
    /// An incident was opened, got worse, or was closed.
    Incident(&'a Arc<Incident>),
    /// The sensor on itself.
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

    /// Who an alert or an incident is about.
    pub fn subject(&self) -> Option<&str> {
        match self {
            Event::Alert(alert) => Some(&alert.subject),
            Event::Incident(incident) => Some(&incident.subject),
            _ => None,
        }
    }
}

/// An event that waits for an output, shared with others that it waits for.
#[derive(Clone, Debug)]
pub enum Held {
    /// A rule fired.
    Alert(Arc<Alert>),
    /// An incident was opened, got worse, or was closed.
    Incident(Arc<Incident>),
    /// The sensor on itself.
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

    /// What it is worth where there is no room for all, the least first: health, alerts by level
    /// and weight, incidents by level and score.
    pub fn worth(&self) -> (u8, Level, u64) {
        // Bits of numbers that are not negative are in the order of the numbers.
        let bits = |of: f64| of.max(0.0).to_bits();
        match self {
            Held::Health(_) => (0, Level::Informational, 0),
            Held::Alert(of) => (1, of.level, bits(of.weight)),
            Held::Incident(of) => (2, of.level, bits(of.score)),
        }
    }

    /// Bytes that it holds while it waits, about.
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

/// A way to write events down.
pub trait Format: Send + Sync {
    /// Appends an event, with its end of line.
    fn render(&self, event: &Event<'_>, out: &mut Vec<u8>);
}
