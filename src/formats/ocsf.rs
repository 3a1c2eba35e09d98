//! OCSF 1.3: sessions as Network Activity (4001), alerts and incidents as Detection Finding (2004).
//!
//! Owns: the tables, the numbers of classes and activities. In: events. Out: JSON lines.
//! Never: a field that its classes lack: that is under `unmapped.longhaul`. Source:
//! schema.ocsf.io, version 1.3.0.

use serde_json::{Map, Value, json};

use crate::formats::Event;
use crate::formats::map::{self, How, Row};
use crate::model::{EventKind, Level};

const VERSION: &str = "1.3.0";

const DIRECTIONS: How = How::Words(&[
    ("inbound", 1),
    ("outbound", 2),
    ("internal", 3),
    // `external` has no word.
    ("other", 99),
]);

pub(super) const SESSION: &[Row] = &[
    ("@timestamp", "time", How::Millis),
    ("event.start", "start_time", How::Millis),
    ("event.end", "end_time", How::Millis),
    ("event.duration", "duration", How::NanosToMillis),
    ("event.id", "metadata.uid", How::Same),
    ("observer.name", "metadata.log_provider", How::Same),
    ("source.ip", "src_endpoint.ip", How::Same),
    ("source.port", "src_endpoint.port", How::Same),
    ("source.mac", "src_endpoint.mac", How::Same),
    ("source.domain", "src_endpoint.hostname", How::Same),
    ("source.geo.country_iso_code", "src_endpoint.location.country", How::Same),
    ("source.geo.region_iso_code", "src_endpoint.location.region", How::Same),
    ("source.as.number", "src_endpoint.autonomous_system.number", How::Same),
    ("source.as.organization.name", "src_endpoint.autonomous_system.name", How::Same),
    ("destination.ip", "dst_endpoint.ip", How::Same),
    ("destination.port", "dst_endpoint.port", How::Same),
    ("destination.mac", "dst_endpoint.mac", How::Same),
    ("destination.domain", "dst_endpoint.hostname", How::Same),
    ("destination.geo.country_iso_code", "dst_endpoint.location.country", How::Same),
    ("destination.geo.region_iso_code", "dst_endpoint.location.region", How::Same),
    ("destination.as.number", "dst_endpoint.autonomous_system.number", How::Same),
    ("destination.as.organization.name", "dst_endpoint.autonomous_system.name", How::Same),
    ("network.transport", "connection_info.protocol_name", How::Same),
    ("network.iana_number", "connection_info.protocol_num", How::Number),
    ("network.direction", "connection_info.direction_id", DIRECTIONS),
    ("network.community_id", "connection_info.uid", How::Same),
    ("network.application", "app_name", How::Same),
    ("source.bytes", "traffic.bytes_out", How::Same),
    ("destination.bytes", "traffic.bytes_in", How::Same),
    ("network.bytes", "traffic.bytes", How::Same),
    ("source.packets", "traffic.packets_out", How::Same),
    ("destination.packets", "traffic.packets_in", How::Same),
    ("network.packets", "traffic.packets", How::Same),
    ("tls.version", "tls.version", How::Same),
    ("tls.cipher", "tls.cipher", How::Same),
    ("tls.client.server_name", "tls.sni", How::Same),
    ("tls.client.supported_ciphers", "tls.client_ciphers", How::Same),
];

pub(super) const FINDING: &[Row] = &[
    ("@timestamp", "time", How::Millis),
    ("event.start", "start_time", How::Millis),
    ("event.end", "end_time", How::Millis),
    ("event.id", "metadata.uid", How::Same),
    ("event.id", "finding_info.uid", How::Same),
    ("observer.name", "metadata.log_provider", How::Same),
    ("message", "message", How::Same),
    ("message", "finding_info.desc", How::Same),
    ("rule.description", "finding_info.title", How::Same),
    ("rule.id", "finding_info.analytic.uid", How::Same),
    ("rule.name", "finding_info.analytic.name", How::Same),
    ("event.start", "finding_info.first_seen_time", How::Millis),
    ("event.end", "finding_info.last_seen_time", How::Millis),
];

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut Vec<u8>) {
    let rows = if event.is_finding { FINDING } else { SESSION };
    let mut object = Map::new();
    for (name, value) in map::fields(rows, event.value) {
        map::put(&mut object, name, value);
    }
    let (category, class, activity) = class_of(event);
    for (name, value) in [
        ("category_uid", json!(category)),
        ("class_uid", json!(class)),
        ("activity_id", json!(activity)),
        ("type_uid", json!(class * 100 + activity)),
        ("severity_id", json!(severity(event.level))),
        ("metadata.version", json!(VERSION)),
        ("metadata.product.name", json!("longhaul")),
        ("metadata.product.vendor_name", json!("longhaul")),
        ("metadata.product.version", json!(env!("CARGO_PKG_VERSION"))),
    ] {
        map::put(&mut object, name, value);
    }
    if event.is_finding {
        put_finding(event, &mut object);
    } else if event.get("network.direction").is_none() {
        // It is required.
        map::put(&mut object, "connection_info.direction_id", json!(0));
    }
    if let Some(own) = event.get("longhaul") {
        map::put(&mut object, "unmapped.longhaul", own.clone());
    }
    out.extend_from_slice(Value::Object(object).to_string().as_bytes());
}

/// Category, class and activity.
fn class_of(event: &Event<'_>) -> (u32, u32, u32) {
    match event.kind {
        EventKind::Alert | EventKind::Incident => {
            let activity = match event.text("longhaul.change") {
                "worse" => 2,
                "closed" => 3,
                _ => 1,
            };
            (2, 2004, activity)
        }
        _ => {
            let activity = match event.text("longhaul.state") {
                "closed" => 2,
                "reset" => 3,
                "opened" => 4,
                _ => 6,
            };
            (4, 4001, activity)
        }
    }
}

fn put_finding(event: &Event<'_>, object: &mut Map<String, Value>) {
    let is_closed = event.text("longhaul.change") == "closed";
    map::put(object, "status_id", json!(if is_closed { 4 } else { 1 }));
    map::put(object, "is_alert", json!(true));
    // A rule.
    map::put(object, "finding_info.analytic.type_id", json!(1));
    map::put(object, "finding_info.types", json!(["Network"]));
    if let Some(score) = event.get("longhaul.score").and_then(Value::as_f64) {
        map::put(object, "confidence_score", json!((score * 100.0).round() as u32));
    }
    let techniques = event.get("threat.technique.id").and_then(Value::as_array);
    let attack = |id: &Value| json!({ "technique": { "uid": id }, "version": "15.1" });
    let attacks: Vec<Value> = techniques.into_iter().flatten().map(attack).collect();
    if !attacks.is_empty() {
        map::put(object, "finding_info.attacks", json!(attacks));
    }
    let addresses = event.get("related.ip").and_then(Value::as_array).into_iter().flatten();
    // 2 is an address, 4 the name of a user.
    let mut seen: Vec<Value> =
        addresses.map(|ip| json!({ "name": "related.ip", "type_id": 2, "value": ip })).collect();
    if let Some(id) = event.get("longhaul.subject.id") {
        seen.push(json!({ "name": "longhaul.subject.id", "type_id": 4, "value": id }));
    }
    map::put(object, "observables", json!(seen));
    let mut ends = Map::new();
    for (name, value) in map::fields(SESSION, event.value) {
        let is_end = name.starts_with("src_endpoint") || name.starts_with("dst_endpoint");
        if is_end || name.starts_with("connection_info") {
            map::put(&mut ends, name, value);
        }
    }
    if !ends.is_empty() {
        map::put(object, "evidences", json!([ends]));
    }
}

const fn severity(level: Level) -> u32 {
    match level {
        Level::Informational => 1,
        Level::Low => 2,
        Level::Medium => 3,
        Level::High => 4,
        Level::Critical => 5,
    }
}
