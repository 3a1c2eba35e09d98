//! Fields of the other end of a remote-control session.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have.

use crate::model::Record;
use crate::model::remote_control::RemoteControl;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, List, Shown, Value};

fn of<'a>(record: &'a Record, get: impl FnOnce(&'a RemoteControl) -> Value<'a>) -> Value<'a> {
    record.remote_control.as_deref().map_or(Value::Absent, get)
}

table! {
/// In the order of the output.
pub(super) Remote of Record where (|r| r.remote_control.is_some()) [
    field(("longhaul.remote_control.tool", 3, Kind::Text, "", Shown::Sometimes,
        |r| of(r, |c| Value::str_opt(c.tool.as_deref())),
        "Tool or device for remote control that the session belongs to. All of \
         `longhaul.remote_control` is there where there is one, or where our side looks \
         controlled.")),
    field(("longhaul.remote_control.family", 3, Kind::Text, "", Shown::Sometimes,
        |r| of(r, |c| Value::str_opt(c.family.as_deref())),
        "What that tool counts as where different ones are counted: one word for all of one \
         vendor, and for all of one program's code; else the tool itself.")),
    field(("longhaul.remote_control.relay", 3, Kind::Ip, "", Shown::Sometimes,
        |r| of(r, |c| Value::ip_opt(c.relay)),
        "Relay between our side and the controller.")),
    field(("longhaul.remote_control.controller.ip", 3, Kind::Ip, "", Shown::Sometimes,
        |r| of(r, |c| Value::ip_opt(c.controller)),
        "Address of the other end: the one peer that a TURN relay agreed to reach, the one that \
         RustDesk's server named, or the session's own where nothing stands between.")),
    field(("longhaul.remote_control.controller.geo.country_iso_code", 3, Kind::Text, "",
        Shown::Sometimes,
        |r| of(r, |c| Value::str_opt(c.place.as_deref().and_then(|p| p.country.as_deref()))),
        "ISO 3166-1 country of that address, by the geo database.")),
    field(("longhaul.remote_control.controller.geo.region_iso_code", 3, Kind::Text, "",
        Shown::Sometimes,
        |r| of(r, |c| Value::str_opt(c.place.as_deref().and_then(|p| p.region.as_deref()))),
        "ISO 3166-2 region.")),
    field(("longhaul.remote_control.controller.as.number", 3, Kind::Int, "", Shown::Sometimes,
        |r| of(r, |c| Value::int_opt(c.asn.as_deref().map(|system| system.number))),
        "Number of the AS that announces that address.")),
    field(("longhaul.remote_control.controller.as.organization", 3, Kind::Text, "",
        Shown::Sometimes,
        |r| of(r, |c| Value::str_opt(c.asn.as_deref().and_then(|a| a.organization.as_deref()))),
        "Holder of that AS.")),
    field(("longhaul.remote_control.controller.tags", 3, Kind::Texts, "", Shown::Sometimes,
        |r| of(r, |c| Value::list(List::Strings(&c.tags))),
        "Tags of that address, from the lists: `vpn:...`, `hosting`; `country:...` of one that \
         `controller_countries` of the configuration names.")),
    field(("longhaul.remote_control.hidden_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| of(r, |c| Value::micros_opt(c.hidden_ns)),
        "Round trip behind the relay: the lowest of STUN requests that go through it, less the \
         lowest to the relay itself.")),
    field(("longhaul.remote_control.samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| of(r, |c| Value::int_opt((c.samples > 0).then_some(c.samples))),
        "Requests through the relay that were answered.")),
    field(("longhaul.remote_control.method", 3, Kind::Text, "", Shown::Sometimes,
        |r| of(r, |c| Value::word_opt(c.method)),
        "What it is from: `stun` (round trips), `turn`, `rustdesk`, `direct` (the address).")),
]
}
