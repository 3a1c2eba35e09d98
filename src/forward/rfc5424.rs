//! Syslog messages (RFC 5424).
//!
//! Owns: the header, the severities. In: a message. Out: bytes. Never: a line end within, or more
//! digits of a second than the format has.

use crate::forward::{Head, Message};
use crate::model::time::to_micros;
use crate::model::{EventKind, Level};

/// The longest host name (RFC 5424 section 6).
const HOST_MAX: usize = 255;

/// What all messages of a sensor have in common.
#[derive(Clone, Debug)]
pub(super) struct Header {
    facility: u8,
    host: String,
}

impl Header {
    /// Of a facility, 0 to 23, and a sensor's name.
    pub(super) fn new(facility: u8, sensor: &str) -> Header {
        // PRINTUSASCII: no space.
        let printable = |c: &char| ('!'..='~').contains(c);
        let host: String = sensor.chars().filter(printable).take(HOST_MAX).collect();
        Header { facility, host: if host.is_empty() { "-".to_owned() } else { host } }
    }

    /// Appends a message.
    pub(super) fn put(&self, message: &Message<'_>, out: &mut Vec<u8>) {
        let priority = u32::from(self.facility) * 8 + severity(message);
        let head = Head::of(message.event);
        // TIME-SECFRAC has six digits at most (section 6.2.3).
        let time = match to_micros(head.time()) {
            Some(time) => format!("{time}Z"),
            None => "-".to_owned(),
        };
        let word = word(message.kind);
        let host = &self.host;
        let header = format!("<{priority}>1 {time} {host} longhaul - {word} - ");
        out.extend_from_slice(header.as_bytes());
        out.extend_from_slice(message.text);
    }
}

/// The kind, as MSGID.
const fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::SessionUpdate => "update",
        EventKind::SessionEnd => "session",
        EventKind::Endpoint => "endpoint",
        EventKind::Alert => "alert",
        EventKind::Incident => "incident",
        EventKind::Health => "health",
    }
}

/// Section 6.2.1.
fn severity(message: &Message<'_>) -> u32 {
    match message.level {
        Level::Critical => 2,
        Level::High => 3,
        Level::Medium => 4,
        Level::Low => 5,
        Level::Informational => 6,
    }
}
