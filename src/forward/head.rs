//! What receivers need to know of an event before they take it.
//!
//! Owns: which fields those are. In: a line of ECS JSON. Out: time, id, subject. Never: the rest.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::{EventKind, Nanos};

/// A part of an event.
#[derive(Debug, Deserialize)]
pub struct Head<'a> {
    #[serde(borrow, rename = "@timestamp", default)]
    time: Cow<'a, str>,
    #[serde(borrow, default)]
    event: Ids<'a>,
    #[serde(borrow, default)]
    source: End<'a>,
    #[serde(borrow, default)]
    longhaul: Own<'a>,
}

#[derive(Debug, Default, Deserialize)]
struct Ids<'a> {
    #[serde(borrow, default)]
    id: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
struct End<'a> {
    #[serde(borrow, default)]
    ip: Cow<'a, str>,
}

#[derive(Debug, Default, Deserialize)]
struct Own<'a> {
    update: Option<u64>,
    #[serde(borrow, default)]
    change: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Ids<'a>,
}

impl<'a> Head<'a> {
    /// Of a line; of one that is no event, without time and id.
    pub fn of(line: &'a [u8]) -> Head<'a> {
        serde_json::from_slice(line).unwrap_or_else(|_| Head {
            time: Cow::default(),
            event: Ids::default(),
            source: End::default(),
            longhaul: Own::default(),
        })
    }

    /// The time as the line has it.
    pub fn time(&self) -> &str {
        &self.time
    }

    /// Seconds since 1970, with a fraction.
    pub fn epoch_seconds(&self) -> Option<f64> {
        Nanos::parse(&self.time).map(|time| time.0 as f64 / 1e9)
    }

    /// Whom the event is about: a person, else the address that began it; empty for neither. Events
    /// of one subject keep their order.
    pub fn subject(&self) -> &str {
        if self.longhaul.subject.id.is_empty() {
            &self.source.ip
        } else {
            &self.longhaul.subject.id
        }
    }

    /// What is the same whenever the event is sent, and different for all others. An open session,
    /// and an incident that opens, gets worse and is closed, have one id and several events; health
    /// has no id.
    pub fn key(&self, line: &[u8], kind: EventKind) -> String {
        let id = &self.event.id;
        if id.is_empty() {
            let digest = Sha256::digest(line);
            return digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        }
        match (kind, self.longhaul.update) {
            (EventKind::SessionUpdate, Some(update)) => format!("{id}-{update}"),
            (EventKind::Incident, _) => format!("{id}-{}-{}", self.longhaul.change, self.time),
            _ => id.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_of_an_incident_is_an_event_of_its_own() {
        let line = |time: &str, change: &str| {
            format!(
                "{{\"@timestamp\":\"{time}\",\"event\":{{\"id\":\"a1\"}},\
                 \"longhaul\":{{\"change\":\"{change}\"}}}}"
            )
        };
        let key = |line: &str| Head::of(line.as_bytes()).key(line.as_bytes(), EventKind::Incident);
        let opened = line("2026-11-28T10:00:00Z", "opened");
        assert_eq!(key(&opened), "a1-opened-2026-11-28T10:00:00Z");
        assert_eq!(key(&opened), key(&opened), "sent again");
        for other in [line("2026-11-28T10:00:00Z", "worse"), line("2026-11-28T11:00:00Z", "opened")]
        {
            assert_ne!(key(&opened), key(&other));
        }
        let alert = Head::of(opened.as_bytes()).key(opened.as_bytes(), EventKind::Alert);
        assert_eq!(alert, "a1");
    }
}
