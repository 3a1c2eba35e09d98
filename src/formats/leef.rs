//! LEEF 2.0, as QRadar reads it; attributes are separated by tabs.
//!
//! Owns: the tables. In: events. Out: lines. Never: a tab in a value. Source: IBM,
//! "Log Event Extended Format (LEEF)", version 2.

use std::sync::LazyLock;

use crate::formats::cef::{HEAD, severity, title};
use crate::formats::fields::plain;
use crate::formats::map::{How, Row};
use crate::formats::plan::{Event, Plan, Plans};

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

pub(super) static PLANS: Plans = (
    LazyLock::new(|| Plan::new(SESSION, &[], &[])),
    LazyLock::new(|| Plan::new(FINDING, &[], HEAD)),
);

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut String) {
    let (id, _) = title(event);
    out.push_str("LEEF:2.0|longhaul|longhaul|");
    out.push_str(env!("CARGO_PKG_VERSION"));
    out.push('|');
    put_safe(&id.replace('|', " "), out);
    out.push_str("|x09|sev=");
    out.push_str(&severity(event.level).to_string());
    event.each(|key, value| {
        for part in ["\t", key, "="] {
            out.push_str(part);
        }
        put_safe(&plain(value), out);
    });
}

/// There are no escapes: what would end an attribute or the line becomes a space.
fn put_safe(text: &str, out: &mut String) {
    for (at, part) in text.split(char::is_control).enumerate() {
        if at > 0 {
            out.push(' ');
        }
        out.push_str(part);
    }
}
