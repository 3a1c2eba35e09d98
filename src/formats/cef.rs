//! CEF, version 0, as ArcSight and others read it.
//!
//! Owns: the tables, escapes. In: events. Out: lines. Never: a line end within
//! one. Source: "Implementing ArcSight Common Event
//! Format (CEF)", version 26.

use std::borrow::Cow;
use std::sync::LazyLock;

use crate::formats::fields::plain;
use crate::formats::map::{How, Row};
use crate::formats::plan::{Event, Plan, Plans};
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

/// What the head says of a finding.
pub(super) const HEAD: &[&str] = &["rule.id", "rule.description"];

pub(super) static PLANS: Plans = (
    LazyLock::new(|| Plan::new(SESSION, &[], &[])),
    LazyLock::new(|| Plan::new(FINDING, &[], HEAD)),
);

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut String) {
    let (id, name) = title(event);
    let severity = severity(event.level).to_string();
    out.push_str("CEF:0|longhaul|longhaul");
    for text in [env!("CARGO_PKG_VERSION"), &id, &name, &severity] {
        out.push('|');
        put_escaped(text, '|', out);
    }
    out.push('|');
    let labels = if event.is_finding { FINDING_LABELS } else { SESSION_LABELS };
    let mut space = "";
    event.each(|key, value| {
        for part in [std::mem::replace(&mut space, " "), key, "="] {
            out.push_str(part);
        }
        put_escaped(&plain(value), '=', out);
        if let Some((_, label)) = labels.iter().find(|(custom, _)| *custom == key) {
            for part in [" ", key, "Label=", label] {
                out.push_str(part);
            }
        }
    });
}

/// The id and name of what happened.
pub(super) fn title<'a>(event: &Event<'a>) -> (Cow<'a, str>, Cow<'a, str>) {
    match event.kind {
        EventKind::Incident => ("incident".into(), "Incident".into()),
        EventKind::Alert => (event.text("rule.id"), event.text("rule.description")),
        EventKind::SessionUpdate => ("session_update".into(), "Session that lasts".into()),
        _ => ("session".into(), "Session".into()),
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

/// With a backslash before this letter and backslashes, and line ends as CEF writes them.
fn put_escaped(text: &str, special: char, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_control() || c == special || c == '\\') {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let mut letters = after.chars();
        match letters.next() {
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some(c) if c.is_control() => out.push(' '),
            Some(c) => out.extend(['\\', c]),
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
}
