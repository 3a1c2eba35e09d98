//! What receivers need to know of an event before they take it.
//!
//! Owns: which fields those are. In: a line of ECS JSON. Out: time, id, subject. Never: the rest.

use std::borrow::Cow;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::model::Nanos;

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

    /// What is the same whenever the event is sent, and different for all others. An open session
    /// has one id and several events; health has no id.
    pub fn key(&self, line: &[u8], is_update: bool) -> String {
        if self.event.id.is_empty() {
            let digest = Sha256::digest(line);
            return digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        }
        match self.longhaul.update.filter(|_| is_update) {
            Some(update) => format!("{}-{update}", self.event.id),
            None => self.event.id.to_string(),
        }
    }
}
