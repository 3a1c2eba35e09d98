//! CEF, version 0, as ArcSight and others read it.
//!
//! Owns: the tables, escapes. In: events. Out: lines. Never: a line end within
//! one. Source: "Implementing ArcSight Common Event
//! Format (CEF)", version 26.

use crate::formats::Event;
use crate::formats::map::{self, How, Row};
use crate::model::{EventKind, Level};

const DIRECTIONS: How = How::Words(&[("inbound", 0), ("outbound", 1)]);

pub(super) const SESSION: &[Row] = &[
    ("@timestamp", "rt", How::Millis),
    ("event.start", "start", How::Millis),
    ("event.end", "end", How::Millis),
    ("event.id", "externalId", How::Same),
    ("observer.name", "dvchost", How::Same),
    ("source.ip", "src", How::Same),
    ("source.port", "spt", How::Same),
    ("source.mac", "smac", How::Same),
    ("destination.ip", "dst", How::Same),
    ("destination.port", "dpt", How::Same),
    ("destination.mac", "dmac", How::Same),
    ("destination.domain", "dhost", How::Same),
    ("network.transport", "proto", How::Same),
    ("network.protocol", "app", How::Same),
    ("network.direction", "deviceDirection", DIRECTIONS),
    ("source.bytes", "out", How::Same),
    ("destination.bytes", "in", How::Same),
    ("tls.client.server_name", "cs1", How::Same),
    ("tls.client.ja4", "cs2", How::Same),
    ("network.community_id", "cs3", How::Same),
    ("longhaul.tags", "cs4", How::Joined),
    ("longhaul.near.handshake_us", "cfp1", How::Same),
    ("longhaul.far.handshake_us", "cfp2", How::Same),
];

pub(super) const FINDING: &[Row] = &[
    ("@timestamp", "rt", How::Millis),
    ("event.start", "start", How::Millis),
    ("event.end", "end", How::Millis),
    ("event.id", "externalId", How::Same),
    ("observer.name", "dvchost", How::Same),
    ("message", "msg", How::Same),
    ("source.ip", "src", How::Same),
    ("source.port", "spt", How::Same),
    ("destination.ip", "dst", How::Same),
    ("destination.port", "dpt", How::Same),
    ("destination.domain", "dhost", How::Same),
    ("network.transport", "proto", How::Same),
    ("network.protocol", "app", How::Same),
    ("network.direction", "deviceDirection", DIRECTIONS),
    ("longhaul.subject.id", "suid", How::Same),
    ("longhaul.subject.name", "suser", How::Same),
    ("longhaul.change", "act", How::Same),
    ("threat.technique.id", "cs1", How::Joined),
    ("longhaul.group", "cs2", How::Same),
    ("network.community_id", "cs3", How::Same),
    ("longhaul.tags", "cs4", How::Joined),
    ("longhaul.groups", "cs5", How::Joined),
    ("longhaul.ratio", "cfp1", How::Same),
    ("longhaul.score", "cfp2", How::Same),
];

/// What custom keys stand for.
const SESSION_LABELS: &[(&str, &str)] = &[
    ("cs1", "serverName"),
    ("cs2", "ja4"),
    ("cs3", "communityId"),
    ("cs4", "tags"),
    ("cfp1", "nearHandshakeUs"),
    ("cfp2", "farHandshakeUs"),
];

const FINDING_LABELS: &[(&str, &str)] = &[
    ("cs1", "techniques"),
    ("cs2", "group"),
    ("cs3", "communityId"),
    ("cs4", "tags"),
    ("cs5", "groups"),
    ("cfp1", "likelihoodRatio"),
    ("cfp2", "probability"),
];

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut Vec<u8>) {
    let (id, name) = title(event);
    let head = [env!("CARGO_PKG_VERSION"), id, name].map(|text| escaped(text, &['|', '\\']));
    let [version, id, name] = &head;
    let severity = severity(event.level);
    out.extend_from_slice(
        format!("CEF:0|longhaul|longhaul|{version}|{id}|{name}|{severity}|").as_bytes(),
    );
    let (rows, labels) = match event.is_finding {
        true => (FINDING, FINDING_LABELS),
        false => (SESSION, SESSION_LABELS),
    };
    let mut first = true;
    let mut put = |key: &str, text: &str| {
        let space = if std::mem::take(&mut first) { "" } else { " " };
        out.extend_from_slice(format!("{space}{key}={}", escaped(text, &['=', '\\'])).as_bytes());
    };
    for (key, value) in map::fields(rows, event.value) {
        put(key, &map::text(&value));
        if let Some((_, label)) = labels.iter().find(|(custom, _)| *custom == key) {
            put(&format!("{key}Label"), label);
        }
    }
}

/// The id and name of what happened.
pub(super) fn title<'a>(event: &Event<'a>) -> (&'a str, &'a str) {
    match event.kind {
        EventKind::Incident => ("incident", "Incident"),
        EventKind::Alert => (event.text("rule.id"), event.text("rule.description")),
        EventKind::SessionUpdate => ("session_update", "Session that lasts"),
        _ => ("session", "Session"),
    }
}

/// From 0 to 10, as LEEF has it too.
pub(super) const fn severity(level: Level) -> u32 {
    match level {
        Level::Informational => 1,
        Level::Low => 3,
        Level::Medium => 5,
        Level::High => 8,
        Level::Critical => 10,
    }
}

/// With backslashes before these, and line ends as CEF writes them.
fn escaped(text: &str, special: &[char]) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            c if c.is_control() => safe.push(' '),
            c => {
                if special.contains(&c) {
                    safe.push('\\');
                }
                safe.push(c);
            }
        }
    }
    safe
}
