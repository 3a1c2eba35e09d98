//! The fields `event.*`, `observer.*`, `related.*` and `network.*`.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have, unless it says so.

use crate::model::Record;
use crate::model::record::Protocol;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, List, Shown, Value, fixed, read};

const DIRECTIONS: &[&str] = &["inbound", "outbound", "internal", "external"];

table! {
/// `@timestamp`.
pub(super) Timestamp of Record [
    field(("@timestamp", 1, Kind::Time, "", Shown::Always, |r| Value::Time(r.end),
        "Time of the last packet.")),
]
}

table! {
/// Fields with the same value in every line.
pub(super) Constants of Record [
    fixed(("ecs.version", 1, Kind::Text, r#""8.17.0""#, "Version of the Elastic Common Schema.")),
    fixed(("event.kind", 1, Kind::Text, r#""event""#, "Always `event` for a session.")),
    fixed(("event.category", 1, Kind::Texts, r#"["network"]"#, "Always `network`.")),
]
}

table! {
/// `event.*`, in the order of the output.
pub(super) EventFields of Record [
    field(("event.type", 1, Kind::Texts, "", Shown::Line, read::event_type,
        "`connection`; `end` where it is over; `protocol` if payload identified one.")),
    field(("event.action", 3, Kind::Text, "", Shown::Sometimes,
        |r| Value::word_opt(r.update.map(|_| "session-update")),
        "`session-update` in a line of a session that goes on (`--updates`); `sessions-summed` in \
         one that stands for unanswered sessions of one source which ended within one second, \
         beyond `--unanswered`. A session that is over has none.")),
    fixed(("event.dataset", 1, Kind::Text, r#""longhaul.session""#,
        "Which of our streams the line belongs to.")),
    field(("event.id", 1, Kind::Text, "", Shown::Line, |r| Value::Hash(&r.id),
        "Hash of what identifies the session: the same on every run.")),
    field(("event.start", 1, Kind::Time, "", Shown::Always, |r| Value::Time(r.start),
        "Time of the first packet.")),
    field(("event.end", 1, Kind::Time, "", Shown::Always, |r| Value::Time(r.end),
        "Time of the last packet.")),
    field(("event.duration", 1, Kind::Int, "ns", Shown::Always,
        |r| Value::Int(r.end.since(r.start).0.min(i64::MAX as u64)),
        "From the first packet to the last.")),
]
}

table! {
/// `observer.*`.
pub(super) Observer of Record [
    field(("observer.name", 3, Kind::Text, "", Shown::Sensor, |_| Value::Absent,
        "Name of the sensor: `--sensor`.")),
    fixed(("observer.type", 3, Kind::Text, r#""sensor""#, "Always `sensor`.")),
    fixed(("observer.vendor", 3, Kind::Text, r#""longhaul""#, "Always `longhaul`.")),
]
}

table! {
/// `related.*`.
pub(super) Related of Record [
    field(("related.ip", 3, Kind::Ips, "", Shown::Line,
        |r| Value::List(List::Ends(&r.initiator.ip, &r.responder.ip)),
        "The addresses of both ends, each once.")),
]
}

table! {
/// `network.*`, in the order of the output.
pub(super) Network of Record [
    field(("network.type", 1, Kind::Word(&["ipv4", "ipv6"]), "", Shown::Always,
        |r| Value::Word(if r.version == 6 { "ipv6" } else { "ipv4" }), "IP version.")),
    field(("network.transport", 1, Kind::Text, "", Shown::Always, read::transport,
        "IANA keyword of the transport protocol in lower case, else its number as text.")),
    field(("network.iana_number", 1, Kind::Text, "", Shown::Always,
        |r| Value::Digits(u64::from(r.transport.0)),
        "IANA number of the transport protocol, as text.")),
    field(("network.protocol", 1, Kind::Text, "", Shown::Sometimes,
        |r| Value::word_opt(r.facts.protocol.map(Protocol::as_str)),
        "Protocol identified from payload.")),
    field(("network.application", 1, Kind::Text, "", Shown::Sometimes,
        |r| Value::str_opt(r.context.application.as_deref()),
        "Application, lower case with hyphens.")),
    field(("network.direction", 1, Kind::Word(DIRECTIONS), "", Shown::Always,
        |r| Value::Word(r.context.direction.as_str()), "Relative to the home networks.")),
    field(("network.community_id", 1, Kind::Text, "", Shown::Sometimes,
        |r| r.context.community_id.as_ref().map_or(Value::Absent, Value::CommunityId),
        "Community ID version 1.")),
    field(("network.bytes", 1, Kind::Int, "bytes", Shown::Always,
        |r| Value::Int(r.initiator.bytes.saturating_add(r.responder.bytes)),
        "Bytes of both sides: whole frames, as on the wire.")),
    field(("network.packets", 1, Kind::Int, "packets", Shown::Always,
        |r| Value::Int(r.initiator.packets.saturating_add(r.responder.packets)),
        "Packets of both sides.")),
    field(("network.vlan.id", 1, Kind::Text, "", Shown::Sometimes, |r| read::vlan(r.vlan),
        "Outer VLAN id, as text.")),
    field(("network.inner.vlan.id", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::wrapping(r, |w| read::vlan(w.inner_vlan)),
        "The last VLAN id of the first frame, where it had more than one.")),
]
}
