//! Lines as in Suricata's EVE log: `flow` for sessions, `alert` for alerts and incidents.
//!
//! Owns: the tables. In: events. Out: JSON lines, with our own fields under `longhaul`. Never:
//! a field of Suricata's with another meaning. Source: Suricata's documentation of the EVE
//! JSON format, version 7.

use serde_json::{Map, Value, json};

use crate::formats::Event;
use crate::formats::map::{self, How, Row};
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

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut Vec<u8>) {
    let rows = if event.is_finding { FINDING } else { SESSION };
    let mut object = Map::new();
    let kind = if event.is_finding { "alert" } else { "flow" };
    map::put(&mut object, "event_type", json!(kind));
    for (name, value) in map::fields(rows, event.value) {
        map::put(&mut object, name, value);
    }
    if event.is_finding {
        // An incident is about a person: its addresses are those of the alerts.
        let related = event.get("related.ip").and_then(Value::as_array);
        for (name, ip) in ["src_ip", "dest_ip"].into_iter().zip(related.into_iter().flatten()) {
            object.entry(name).or_insert_with(|| ip.clone());
        }
        map::put(&mut object, "alert.action", json!("allowed"));
        map::put(&mut object, "alert.gid", json!(1));
        map::put(&mut object, "alert.rev", json!(1));
        map::put(&mut object, "alert.severity", json!(severity(event.level)));
        if event.kind == EventKind::Incident {
            map::put(&mut object, "alert.category", json!("incident"));
        }
    } else {
        let is_open = event.kind == EventKind::SessionUpdate;
        let reason = if is_open { "update" } else { "timeout" };
        let ended = matches!(event.text("longhaul.state"), "closed" | "reset");
        map::put(&mut object, "flow.reason", json!(if ended { "end" } else { reason }));
    }
    if let Some(own) = event.get("longhaul") {
        map::put(&mut object, "longhaul", own.clone());
    }
    if let Some(id) = event.get("event.id") {
        map::put(&mut object, "longhaul.event_id", id.clone());
    }
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
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
