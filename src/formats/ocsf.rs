//! OCSF 1.3: sessions as Network Activity (4001), alerts and incidents as Detection Finding (2004).
//!
//! Owns: the tables, the numbers of classes and activities. In: events. Out: JSON lines.
//! Never: a field that its classes lack: that is under `unmapped.longhaul`. Source:
//! schema.ocsf.io, version 1.3.0.

use std::sync::LazyLock;

use crate::formats::fields::quoted;
use crate::formats::map::{How, Row};
use crate::formats::plan::{Event, Made, Nest, Plan, Plans, Source};
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

const MADE: &[Made] = &[
    ("category_uid", |event| Some(class_of(event).0.to_string())),
    ("class_uid", |event| Some(class_of(event).1.to_string())),
    ("activity_id", |event| Some(class_of(event).2.to_string())),
    ("type_uid", |event| {
        let (_, class, activity) = class_of(event);
        Some((class * 100 + activity).to_string())
    }),
    ("severity_id", |event| Some(severity(event.level).to_string())),
    ("metadata.version", |_| Some(quoted(VERSION))),
    ("metadata.product.name", |_| Some(quoted("longhaul"))),
    ("metadata.product.vendor_name", |_| Some(quoted("longhaul"))),
    ("metadata.product.version", |_| Some(quoted(env!("CARGO_PKG_VERSION")))),
    ("unmapped.longhaul", |event| event.get("longhaul").map(str::to_owned)),
];

const MADE_SESSION: &[Made] = &[
    // It is required.
    ("connection_info.direction_id", |event| {
        event.get("network.direction").is_none().then(|| "0".to_owned())
    }),
];

const MADE_FINDING: &[Made] = &[
    ("status_id", |event| Some(if is_closed(event) { "4" } else { "1" }.to_owned())),
    ("is_alert", |_| Some("true".to_owned())),
    // A rule.
    ("finding_info.analytic.type_id", |_| Some("1".to_owned())),
    ("finding_info.types", |_| Some("[\"Network\"]".to_owned())),
    ("finding_info.attacks", attacks),
    ("confidence_score", |event| {
        let score: f64 = event.get("longhaul.score")?.parse().ok()?;
        Some(((score * 100.0).round() as u32).to_string())
    }),
    ("observables", |event| Some(observables(event))),
    ("evidences", evidences),
];

/// The fields that the values above are made of.
const MORE: &[&str] = &[
    "longhaul",
    "longhaul.state",
    "longhaul.change",
    "longhaul.score",
    "longhaul.subject.id",
    "threat.technique.id",
    "related.ip",
];

pub(super) static PLANS: Plans = (
    LazyLock::new(|| Plan::new(SESSION, &[MADE, MADE_SESSION].concat(), MORE)),
    LazyLock::new(|| {
        let of_ends: Vec<&str> = SESSION.iter().filter(is_end).map(|(from, ..)| *from).collect();
        Plan::new(FINDING, &[MADE, MADE_FINDING].concat(), &[MORE, &of_ends].concat())
    }),
);

/// Whether a row is about the ends of a session, which findings have in their evidence.
fn is_end((_, to, _): &&Row) -> bool {
    ["src_endpoint.", "dst_endpoint.", "connection_info."].iter().any(|name| to.starts_with(name))
}

/// The line of an event.
pub(super) fn render(event: &Event<'_>, out: &mut String) {
    let mut nest = Nest::new(out);
    nest.all(&event.plan.nested, event);
    nest.end();
}

fn is_closed(event: &Event<'_>) -> bool {
    event.text("longhaul.change") == "closed"
}

/// Category, class and activity.
fn class_of(event: &Event<'_>) -> (u32, u32, u32) {
    match event.kind {
        EventKind::Alert | EventKind::Incident => {
            let activity = match &*event.text("longhaul.change") {
                "worse" => 2,
                "closed" => 3,
                _ => 1,
            };
            (2, 2004, activity)
        }
        _ => {
            let activity = match &*event.text("longhaul.state") {
                "closed" => 2,
                "reset" => 3,
                "opened" => 4,
                _ => 6,
            };
            (4, 4001, activity)
        }
    }
}

fn attacks(event: &Event<'_>) -> Option<String> {
    let attack =
        |id: &String| format!("{{\"technique\":{{\"uid\":{}}},\"version\":\"15.1\"}}", quoted(id));
    let all: Vec<String> = event.texts("threat.technique.id").iter().map(attack).collect();
    (!all.is_empty()).then(|| format!("[{}]", all.join(",")))
}

/// 2 is an address, 4 the name of a user.
fn observables(event: &Event<'_>) -> String {
    let one = |name: &str, kind: u32, value: &str| {
        format!("{{\"name\":\"{name}\",\"type_id\":{kind},\"value\":{value}}}")
    };
    let addresses = event.texts("related.ip");
    let addresses = addresses.iter().map(|ip| one("related.ip", 2, &quoted(ip)));
    let person = event.get("longhaul.subject.id").map(|id| one("longhaul.subject.id", 4, id));
    let all: Vec<String> = addresses.chain(person).collect();
    format!("[{}]", all.join(","))
}

fn evidences(event: &Event<'_>) -> Option<String> {
    let wanted = &event.plan.wanted;
    let row = |(from, to, how): &Row| (*to, Source::Field(wanted.slot(from), *how));
    let mut rows: Vec<_> = SESSION.iter().filter(is_end).map(row).collect();
    rows.sort_by_key(|(to, _)| to.split('.').collect::<Vec<_>>());
    let mut text = "[".to_owned();
    let mut nest = Nest::new(&mut text);
    nest.all(&rows, event);
    let has_any = nest.end();
    text.push(']');
    has_any.then_some(text)
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
