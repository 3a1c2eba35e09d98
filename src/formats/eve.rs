//! Lines as in Suricata's EVE log: `flow` for sessions, `alert` for alerts and incidents.
//!
//! Owns: the tables. In: events. Out: JSON lines, with our own fields under `longhaul`. Never:
//! a field of Suricata's with another meaning. Source: Suricata's documentation of the EVE
//! JSON format, version 7.

use std::sync::LazyLock;

use crate::formats::fields::quoted;
use crate::formats::map::{How, Row};
use crate::formats::plan::{Event, Made, Nest, Plan, Plans};
use crate::model::{EventKind, Level};

pub(super) const SESSION: &[Row] = &[
    ("@timestamp", "timestamp", How::EveTime),
    ("event.id", "flow_id", How::FlowId),
    ("observer.name", "host", How::Same),
    ("source.ip", "src_ip", How::Same),
    ("source.port", "src_port", How::Same),
    ("destination.ip", "dest_ip", How::Same),
    ("destination.port", "dest_port", How::Same),
    ("network.transport", "proto", How::Upper),
    ("network.protocol", "app_proto", How::Same),
    ("network.community_id", "community_id", How::Same),
    ("source.packets", "flow.pkts_toserver", How::Same),
    ("destination.packets", "flow.pkts_toclient", How::Same),
    ("source.bytes", "flow.bytes_toserver", How::Same),
    ("destination.bytes", "flow.bytes_toclient", How::Same),
    ("event.start", "flow.start", How::EveTime),
    ("event.end", "flow.end", How::EveTime),
    ("event.duration", "flow.age", How::NanosToSeconds),
    ("longhaul.state", "flow.state", How::Same),
    ("tls.client.server_name", "tls.sni", How::Same),
    ("tls.client.ja3", "tls.ja3.hash", How::Same),
    ("tls.client.ja4", "tls.ja4", How::Same),
    ("tls.server.ja3s", "tls.ja3s.hash", How::Same),
    ("tls.server.subject", "tls.subject", How::Same),
    ("tls.server.issuer", "tls.issuerdn", How::Same),
];

pub(super) const FINDING: &[Row] = &[
    ("@timestamp", "timestamp", How::EveTime),
    ("longhaul.session.id", "flow_id", How::FlowId),
    ("observer.name", "host", How::Same),
    ("source.ip", "src_ip", How::Same),
    ("source.port", "src_port", How::Same),
    ("destination.ip", "dest_ip", How::Same),
    ("destination.port", "dest_port", How::Same),
    ("network.transport", "proto", How::Upper),
    ("network.protocol", "app_proto", How::Same),
    ("network.community_id", "community_id", How::Same),
    ("message", "alert.signature", How::Same),
    ("rule.name", "alert.category", How::Same),
    ("rule.id", "alert.signature_id", How::RuleNumber),
];

const MADE_SESSION: &[Made] = &[
    ("event_type", |_| Some(quoted("flow"))),
    ("flow.reason", reason),
    ("longhaul", |event| event.get("longhaul").map(|own| with_id(event, own))),
];

/// An incident is about a person: its addresses are those of the alerts.
const MADE_FINDING: &[Made] = &[
    ("event_type", |_| Some(quoted("alert"))),
    ("src_ip", |event| other_ip(event, "source.ip", 0)),
    ("dest_ip", |event| other_ip(event, "destination.ip", 1)),
    ("alert.category", |event| (event.kind == EventKind::Incident).then(|| quoted("incident"))),
    ("alert.action", |_| Some(quoted("allowed"))),
    ("alert.gid", |_| Some("1".to_owned())),
    ("alert.rev", |_| Some("1".to_owned())),
    ("alert.severity", |event| Some(severity(event.level).to_string())),
    ("longhaul", |event| event.get("longhaul").map(|own| with_id(event, own))),
];

pub(super) static PLANS: Plans = (
    LazyLock::new(|| Plan::new(SESSION, MADE_SESSION, &["longhaul", "longhaul.state", "event.id"])),
    LazyLock::new(|| Plan::new(FINDING, MADE_FINDING, &["longhaul", "event.id", "related.ip"])),
);

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut String) {
    let mut nest = Nest::new(out);
    nest.all(&event.plan.nested, event);
    nest.end();
}

fn reason(event: &Event<'_>) -> Option<String> {
    let is_open = event.kind == EventKind::SessionUpdate;
    let ended = matches!(&*event.text("longhaul.state"), "closed" | "reset");
    let word = if is_open { "update" } else { "timeout" };
    Some(quoted(if ended { "end" } else { word }))
}

/// The address at that place among those of the alerts, if the finding has none of its own.
fn other_ip(event: &Event<'_>, own: &str, at: usize) -> Option<String> {
    let is_missing = event.get(own).is_none();
    is_missing.then(|| event.texts("related.ip").get(at).map(|ip| quoted(ip)))?
}

/// Our own fields, with the id of the event among them.
fn with_id(event: &Event<'_>, own: &str) -> String {
    let Some((id, open)) = event.get("event.id").zip(own.strip_suffix('}')) else {
        return own.to_owned();
    };
    let comma = if open.len() > 1 { "," } else { "" };
    format!("{open}{comma}\"event_id\":{id}}}")
}

/// 1 is the highest.
const fn severity(level: Level) -> u32 {
    match level {
        Level::Critical | Level::High => 1,
        Level::Medium => 2,
        Level::Low => 3,
        Level::Informational => 4,
    }
}
