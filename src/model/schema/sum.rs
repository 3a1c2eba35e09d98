//! The table of fields of sums: lines of sessions.ndjson for several unanswered sessions.
//!
//! Owns: name, type, unit, accessor and meaning of each field. In: a sum. Out: its values. Never: a
//! field that only a single session has.

use crate::model::event_id::scan_id;
use crate::model::scan::Scan;
use crate::model::schema::table::{Table, table};
use crate::model::schema::{
    Described, Field, Kind, List, Objects, Row, Shown, Value, Visitor, field_of, fixed,
};

fn transport(scan: &Scan) -> Value<'_> {
    match scan.transport.name() {
        Some(name) => Value::Word(name),
        None => Value::Digits(scan.transport.0.into()),
    }
}

const fn field(row: Row<Scan>) -> Field<Scan> {
    field_of(row)
}

table! {
/// In the order of the output.
Sum of Scan [
    field(("@timestamp", 1, Kind::Time, "", Shown::Line, |s| Value::Time(s.last), "")),
    fixed(("ecs.version", 1, Kind::Text, r#""8.17.0""#, "")),
    fixed(("event.kind", 1, Kind::Text, r#""event""#, "")),
    fixed(("event.category", 1, Kind::Texts, r#"["network"]"#, "")),
    fixed(("event.type", 1, Kind::Texts, r#"["connection"]"#, "Always `connection`.")),
    fixed(("event.action", 3, Kind::Text, r#""sessions-summed""#,
        "Marks the line as a sum; no other line has it.")),
    fixed(("event.dataset", 1, Kind::Text, r#""longhaul.session""#, "")),
    field(("event.id", 1, Kind::Text, "", Shown::Line, |s| Value::Id(scan_id(s)),
        "Hash of source, transport and second: the same on every run.")),
    field(("event.start", 1, Kind::Time, "", Shown::Line, |s| Value::Time(s.first), "")),
    field(("event.end", 1, Kind::Time, "", Shown::Line, |s| Value::Time(s.last), "")),
    field(("event.duration", 1, Kind::Int, "ns", Shown::Line,
        |s| Value::Int(s.last.since(s.first).0.min(i64::MAX as u64)), "")),
    field(("observer.name", 3, Kind::Text, "", Shown::Sensor, |_| Value::Absent, "")),
    fixed(("observer.type", 3, Kind::Text, r#""sensor""#, "")),
    fixed(("observer.vendor", 3, Kind::Text, r#""longhaul""#, "")),
    field(("related.ip", 3, Kind::Ips, "", Shown::Sometimes,
        |s| Value::list(List::Addrs(s.source.as_slice())), "The source, if it is known.")),
    field(("source.ip", 1, Kind::Ip, "", Shown::Sometimes, |s| Value::ip_opt(s.source),
        "The source; left out if the table of sources was full.")),
    field(("source.bytes", 1, Kind::Int, "bytes", Shown::Line, |s| Value::Int(s.bytes),
        "Bytes of all their packets.")),
    field(("source.packets", 1, Kind::Int, "packets", Shown::Line, |s| Value::Int(s.packets),
        "Packets of all of them.")),
    field(("network.transport", 1, Kind::Text, "", Shown::Line, transport, "")),
    field(("network.bytes", 1, Kind::Int, "bytes", Shown::Line, |s| Value::Int(s.bytes), "")),
    field(("network.packets", 1, Kind::Int, "packets", Shown::Line,
        |s| Value::Int(s.packets), "")),
    fixed(("longhaul.state", 1, Kind::Word(&["opened"]), r#""opened""#, "Always `opened`.")),
    field(("longhaul.summary.sessions", 3, Kind::Int, "", Shown::Line,
        |s| Value::Int(s.sessions), "Number of sessions in the sum.")),
    field(("longhaul.summary.ports", 3, Kind::Int, "", Shown::Line,
        |s| Value::Int(s.ports.count() as u64),
        "Number of different destination ports, up to 1,024.")),
    field(("longhaul.summary.destinations", 3, Kind::Int, "", Shown::Line,
        |s| Value::Int(s.destinations.count() as u64),
        "Number of different destination addresses, up to 1,024.")),
]
}

impl Described for Scan {
    fn fields() -> &'static [Field<Scan>] {
        Sum::rows()
    }

    fn visit<V: Visitor<Scan>>(&self, visitor: &mut V) {
        Sum::visit(self, visitor);
    }

    fn visit_member<V: Visitor<Scan>>(&self, at: (&'static Objects<Scan>, usize), visitor: &mut V) {
        Sum::visit_member(self, at, visitor);
    }
}
