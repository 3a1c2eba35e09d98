//! The fields `source.*` (the initiator) and `destination.*` (the responder).
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have.

use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, Shown, Value, read};
use crate::model::{Addr, Record};

table! {
/// The initiator.
pub(super) Source of Record [
    field(("source.ip", 1, Kind::Ip, "", Shown::Always, |r| Value::Ip(r.initiator.ip),
        "Address of the initiator.")),
    field(("source.nat.ip", 3, Kind::Ip, "", Shown::Sometimes,
        |r| Value::ip_opt(r.initiator.behind.map(Addr::from)),
        "IPv4 address that it stands for behind a NAT64 translator (RFC 6052).")),
    field(("source.port", 1, Kind::Int, "", Shown::Sometimes, |r| read::port(r, &r.initiator),
        "Port of the initiator, for protocols that have ports.")),
    field(("source.mac", 1, Kind::Text, "", Shown::Sometimes, |r| read::mac(r.initiator.mac),
        "Link-layer address of the initiator on the sensor's segment.")),
    field(("source.bytes", 1, Kind::Int, "bytes", Shown::Always, |r| Value::Int(r.initiator.bytes),
        "Bytes sent by the initiator: whole frames, as on the wire.")),
    field(("source.packets", 1, Kind::Int, "packets", Shown::Always,
        |r| Value::Int(r.initiator.packets), "Packets sent by the initiator.")),
]
}

table! {
/// Location of the initiator, from the geo database.
pub(super) SourceGeo of Record [
    field(("source.geo.country_iso_code", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::place(&r.initiator, |g| Value::str_opt(g.country.as_deref())),
        "ISO 3166-1 country, by the geo database.")),
    field(("source.geo.region_iso_code", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::place(&r.initiator, |g| Value::str_opt(g.region.as_deref())),
        "ISO 3166-2 region, by the geo database.")),
    field(("source.geo.location.lat", 1, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(&r.initiator, |g| Value::float_opt(read::point(g).map(|l| l.0))),
        "Latitude of the region's centre.")),
    field(("source.geo.location.lon", 1, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(&r.initiator, |g| Value::float_opt(read::point(g).map(|l| l.1))),
        "Longitude of the region's centre.")),
]
}

table! {
/// AS that announces the initiator's address.
pub(super) SourceAs of Record [
    field(("source.as.number", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::asn(&r.initiator, |a| Value::Int(u64::from(a.number))),
        "Number of the AS that announces the address.")),
    field(("source.as.organization.name", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::asn(&r.initiator, |a| Value::str_opt(a.organization.as_deref())),
        "Holder of that AS.")),
]
}

table! {
/// The responder.
pub(super) Destination of Record [
    field(("destination.domain", 2, Kind::Text, "", Shown::Sometimes,
        |r| Value::str_opt(r.responder_name()),
        "Name of the responder: what the session itself says (server name, Host), else the \
         name that the initiator's DNS look-up gave for that address.")),
    field(("destination.ip", 1, Kind::Ip, "", Shown::Always, |r| Value::Ip(r.responder.ip),
        "Address of the responder.")),
    field(("destination.nat.ip", 3, Kind::Ip, "", Shown::Sometimes,
        |r| Value::ip_opt(r.responder.behind.map(Addr::from)),
        "IPv4 address that it stands for behind a NAT64 translator (RFC 6052).")),
    field(("destination.port", 1, Kind::Int, "", Shown::Sometimes, |r| read::port(r, &r.responder),
        "Port of the responder, for protocols that have ports.")),
    field(("destination.mac", 1, Kind::Text, "", Shown::Sometimes, |r| read::mac(r.responder.mac),
        "Link-layer address of the responder on the sensor's segment.")),
    field(("destination.bytes", 1, Kind::Int, "bytes", Shown::Always,
        |r| Value::Int(r.responder.bytes),
        "Bytes sent by the responder: whole frames, as on the wire.")),
    field(("destination.packets", 1, Kind::Int, "packets", Shown::Always,
        |r| Value::Int(r.responder.packets), "Packets sent by the responder.")),
]
}

table! {
/// Location of the responder, from the geo database.
pub(super) DestinationGeo of Record [
    field(("destination.geo.country_iso_code", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::place(&r.responder, |g| Value::str_opt(g.country.as_deref())),
        "ISO 3166-1 country, by the geo database.")),
    field(("destination.geo.region_iso_code", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::place(&r.responder, |g| Value::str_opt(g.region.as_deref())),
        "ISO 3166-2 region, by the geo database.")),
    field(("destination.geo.location.lat", 1, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(&r.responder, |g| Value::float_opt(read::point(g).map(|l| l.0))),
        "Latitude of the region's centre.")),
    field(("destination.geo.location.lon", 1, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(&r.responder, |g| Value::float_opt(read::point(g).map(|l| l.1))),
        "Longitude of the region's centre.")),
]
}

table! {
/// AS that announces the responder's address.
pub(super) DestinationAs of Record [
    field(("destination.as.number", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::asn(&r.responder, |a| Value::Int(u64::from(a.number))),
        "Number of the AS that announces the address.")),
    field(("destination.as.organization.name", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::asn(&r.responder, |a| Value::str_opt(a.organization.as_deref())),
        "Holder of that AS.")),
]
}
