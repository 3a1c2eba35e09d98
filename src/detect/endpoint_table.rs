//! The table of an endpoint's fields.
//!
//! Owns: name, type, unit, accessor and meaning of each field. In: an endpoint's row. Out: its
//! values. Never: a field that endpoints.ndjson does not have, unless it says so.

use crate::detect::fields::Field;
use crate::detect::fields::Get;
use crate::detect::fields::Kind;
use crate::detect::fields::Shown;
use crate::detect::fields::Value;
use crate::detect::read_endpoint as read;
use crate::model::endpoint::EndpointRow;

const SIDES: &[&str] = &["home", "remote"];
const ROLES: &[&str] = &["initiator", "responder", "both"];

type Row = (&'static str, Kind, &'static str, Shown, Get<EndpointRow>, &'static str);

const fn field(row: Row) -> Field<EndpointRow> {
    let (name, kind, unit, shown, get, description) = row;
    Field { name, kind, unit, shown, get, description }
}

/// Every field of an endpoint that rules may ask for. A table: rustfmt would give each cell a line.
#[rustfmt::skip]
pub(super) static ENDPOINT_FIELDS: &[Field<EndpointRow>] = &[
    field(("@timestamp", Kind::Time, "", Shown::Always, |r| Value::Text(r.last.to_string()),
        "Time of the last packet of its last session.")),
    field(("event.start", Kind::Time, "", Shown::Always, |r| Value::Text(r.first.to_string()),
        "Time of the first packet of its first session.")),
    field(("endpoint.ip", Kind::Ip, "", Shown::Always, |r| Value::Ip(r.key.ip),
        "Its address.")),
    field(("endpoint.side", Kind::Word(SIDES), "", Shown::Always,
        |r| Value::Str(r.key.side.as_str()), "Whether it is inside the home networks.")),
    field(("endpoint.role", Kind::Word(ROLES), "", Shown::Always,
        |r| Value::Str(r.role.as_str()), "The part it plays in its sessions.")),
    field(("endpoint.ja4", Kind::Text, "", Shown::Sometimes, read::ja4,
        "JA4 of its ClientHellos: what tells programs at one remote address apart.")),
    field(("endpoint.ssh", Kind::Text, "", Shown::Sometimes, read::ssh,
        "Software of its SSH identification string: likewise.")),
    field(("endpoint.service.port", Kind::Int, "", Shown::Sometimes, read::port,
        "Port of the service that it offered or used; of remote endpoints.")),
    field(("endpoint.service.transport", Kind::Text, "", Shown::Sometimes, read::transport,
        "Its transport protocol.")),
    field(("endpoint.geo.country_iso_code", Kind::Text, "", Shown::Sometimes,
        |r| read::place(r, |g| Value::str_opt(g.country.as_deref())),
        "ISO 3166-1 country, by the geo database.")),
    field(("endpoint.geo.region_iso_code", Kind::Text, "", Shown::Sometimes,
        |r| read::place(r, |g| Value::str_opt(g.region.as_deref())),
        "ISO 3166-2 region, by the geo database.")),
    field(("endpoint.geo.location.lat", Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(r, |g| Value::float_opt(g.location.map(|l| l.0))),
        "Latitude of the region's centre.")),
    field(("endpoint.geo.location.lon", Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(r, |g| Value::float_opt(g.location.map(|l| l.1))),
        "Longitude of the region's centre.")),
    field(("endpoint.as.number", Kind::Int, "", Shown::Sometimes,
        |r| read::asn(r, |a| Value::Int(u64::from(a.number))),
        "Number of the AS that announces the address.")),
    field(("endpoint.as.organization.name", Kind::Text, "", Shown::Sometimes,
        |r| read::asn(r, |a| Value::str_opt(a.organization.as_deref())), "Holder of that AS.")),
    field(("longhaul.tags", Kind::Texts, "", Shown::Sometimes, read::tags,
        "Tags of the lists that matched it.")),
    field(("longhaul.subject.id", Kind::Text, "", Shown::Rules, read::subject,
        "Who its last session is about: id from the subjects file, else the address of the end \
         that began.")),
    field(("longhaul.sessions", Kind::Int, "", Shown::Always, |r| Value::Int(r.sessions),
        "Sessions it took part in.")),
    field(("longhaul.handshakes", Kind::Int, "", Shown::Always, |r| Value::Int(r.handshakes),
        "Handshakes with a measured leg to it.")),
    field(("longhaul.days", Kind::Int, "", Shown::Sometimes,
        |r| Value::int_opt((r.traits.days > 0).then_some(r.traits.days)),
        "Days (UTC) on which answered sessions of it ended.")),
    field(("longhaul.subjects", Kind::Int, "", Shown::Sometimes,
        |r| Value::int_opt((r.traits.subjects > 0).then_some(r.traits.subjects)),
        "Different people of the subjects file its sessions were about, at most 8.")),
    field(("longhaul.floor_us", Kind::Float, "us", Shown::Sometimes,
        |r| read::micros(r.floor_ns), "Lowest transport round trip to it.")),
    field(("longhaul.floor.prefix_us", Kind::Float, "us", Shown::Sometimes,
        |r| read::micros(r.prefix_floor_ns), "Lowest floor of its /24 (IPv4) or /48 (IPv6).")),
    field(("longhaul.floor.of", Kind::Text, "", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Str(e.of)),
        "Whose floor it is held against: `prefix`, its neighbours in this run.")),
    field(("longhaul.floor.excess_us", Kind::Float, "us", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Micros(e.over_ns)),
        "How far its floor lies above that one.")),
    field(("longhaul.floor.ratio", Kind::Float, "", Shown::Rules,
        |r| read::excess(r, read::floor_ratio), "Its floor as a multiple of that one.")),
    field(("longhaul.rtt.sessions", Kind::Int, "", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Int(u64::from(s.sessions))),
        "Sessions with a round trip to it.")),
    field(("longhaul.rtt.p50_us", Kind::Float, "us", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Micros(s.p50_ns)),
        "Median of their lowest round trips, from a sample of at most 16 sessions.")),
    field(("longhaul.rtt.iqr_us", Kind::Float, "us", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Micros(s.iqr_ns())),
        "Distance between the quartiles of the same.")),
    field(("longhaul.hidden_leg.us", Kind::Float, "us", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Micros(h.ns)),
        "Estimated round trip hidden behind it.")),
    field(("longhaul.hidden_leg.confidence", Kind::Float, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::float_opt(Some(h.confidence))),
        "From 0 to 1; 0.5 and more reads as: a long leg is hidden here.")),
    field(("longhaul.hidden_leg.method", Kind::Text, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Str(h.method)), "Kinds of exchange it rests on.")),
    field(("longhaul.hidden_leg.samples", Kind::Int, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Int(u64::from(h.samples))), "Exchanges it rests on.")),
    field(("longhaul.hidden_leg.ratio", Kind::Float, "", Shown::Rules, read::hidden_ratio,
        "The hidden round trip as a multiple of the lowest transport round trip.")),
    field(("longhaul.mtu.hint", Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::int_opt(m.hints.first().map(|(mtu, _)| *mtu))),
        "MTU that most of its SYNs hint at: MSS plus 40 (IPv4) or 60 (IPv6).")),
    field(("longhaul.mtu.values", Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::Int(m.hints.len() as u64)),
        "Different MTUs its SYNs hint at, at most 4.")),
    field(("longhaul.mtu.syns", Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::Int(u64::from(m.syns))), "SYNs with an MSS.")),
    field(("longhaul.stack.syn", Kind::Text, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::str_opt(s.syn)), "Family of systems of most of its SYNs.")),
    field(("longhaul.stack.program", Kind::Text, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::str_opt(s.program)),
        "Family of systems that its SSH banner or user agent names.")),
    field(("longhaul.stack.compared", Kind::Int, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::Int(u64::from(s.compared))),
        "Sessions in which both are told.")),
    field(("longhaul.stack.differ", Kind::Int, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::Int(u64::from(s.differ))),
        "Those of them in which they differ.")),
    field(("longhaul.stack.differ_share", Kind::Float, "", Shown::Rules,
        |r| read::stack(r, read::differ_share), "Their share, from 0 to 1.")),
    field(("longhaul.tunnel.l3", Kind::Bool, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::Bool(t.l3)),
        "Whether a layer-3 tunnel lies on the way to it.")),
    field(("longhaul.tunnel.confidence", Kind::Float, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::float_opt(Some(t.confidence))), "From 0 to 1.")),
    field(("longhaul.tunnel.reason", Kind::Text, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::Str(t.reason)),
        "What speaks for it: `mss`, `stack`, `floor`, joined with `+`; `none`.")),
    field(("longhaul.disc.fibre_km", Kind::Float, "km", Shown::Rules, read::disc_fibre,
        "Farthest whoever answers can be at 2/3 of the speed of light: floor and hidden leg.")),
    field(("longhaul.disc.real_km", Kind::Float, "km", Shown::Rules, read::disc_real,
        "The same at 4/9, as on real paths.")),
];
