//! LEEF 2.0, as QRadar reads it; attributes are separated by tabs.
//!
//! Owns: the tables. In: events. Out: lines. Never: a tab in a value. Source: IBM,
//! "Log Event Extended Format (LEEF)", version 2.

use crate::formats::Event;
use crate::formats::cef::{severity, title};
use crate::formats::map::{self, How, Row};

pub(super) const SESSION: &[Row] = &[
    ("@timestamp", "devTime", How::Millis),
    ("event.id", "externalId", How::Same),
    ("observer.name", "identHostName", How::Same),
    ("source.ip", "src", How::Same),
    ("source.port", "srcPort", How::Same),
    ("source.mac", "srcMAC", How::Same),
    ("destination.ip", "dst", How::Same),
    ("destination.port", "dstPort", How::Same),
    ("destination.mac", "dstMAC", How::Same),
    ("destination.domain", "dstHost", How::Same),
    ("network.transport", "proto", How::Same),
    ("network.protocol", "app", How::Same),
    ("network.direction", "direction", How::Same),
    ("source.bytes", "srcBytes", How::Same),
    ("destination.bytes", "dstBytes", How::Same),
    ("source.packets", "srcPackets", How::Same),
    ("destination.packets", "dstPackets", How::Same),
    ("tls.client.server_name", "serverName", How::Same),
    ("tls.client.ja4", "ja4", How::Same),
    ("network.community_id", "communityId", How::Same),
    ("longhaul.tags", "tags", How::Joined),
    ("longhaul.near.handshake_us", "nearHandshakeUs", How::Same),
    ("longhaul.far.handshake_us", "farHandshakeUs", How::Same),
];

pub(super) const FINDING: &[Row] = &[
    ("@timestamp", "devTime", How::Millis),
    ("event.id", "externalId", How::Same),
    ("observer.name", "identHostName", How::Same),
    ("rule.name", "cat", How::Same),
    ("message", "msg", How::Same),
    ("source.ip", "src", How::Same),
    ("source.port", "srcPort", How::Same),
    ("destination.ip", "dst", How::Same),
    ("destination.port", "dstPort", How::Same),
    ("destination.domain", "dstHost", How::Same),
    ("network.transport", "proto", How::Same),
    ("longhaul.subject.id", "usrName", How::Same),
    ("longhaul.subject.name", "subjectName", How::Same),
    ("longhaul.change", "action", How::Same),
    ("threat.technique.id", "techniques", How::Joined),
    ("longhaul.group", "group", How::Same),
    ("longhaul.groups", "groups", How::Joined),
    ("longhaul.ratio", "likelihoodRatio", How::Same),
    ("longhaul.score", "probability", How::Same),
    ("longhaul.tags", "tags", How::Joined),
    ("network.community_id", "communityId", How::Same),
];

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut Vec<u8>) {
    let (id, _) = title(event);
    let id = safe(id).replace('|', " ");
    let version = env!("CARGO_PKG_VERSION");
    let severity = severity(event.level);
    let head = format!("LEEF:2.0|longhaul|longhaul|{version}|{id}|x09|sev={severity}");
    out.extend_from_slice(head.as_bytes());
    let rows = if event.is_finding { FINDING } else { SESSION };
    for (key, value) in map::fields(rows, event.value) {
        out.extend_from_slice(format!("\t{key}={}", safe(&map::text(&value))).as_bytes());
    }
}

/// There are no escapes: what would end an attribute or the line becomes a space.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
