//! Fields of sessions that last.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have.

use crate::model::Record;
use crate::model::record::Activity;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, Shown, Value};

fn activity(record: &Record, get: impl FnOnce(&Activity) -> u32) -> Value<'_> {
    record.activity.as_ref().map_or(Value::Absent, |activity| Value::Int(get(activity).into()))
}

table! {
/// In the order of the output.
pub(super) Updates of Record [
    field(("longhaul.update", 3, Kind::Int, "", Shown::Sometimes,
        |r| r.update.map_or(Value::Absent, |number| Value::Int(number.into())),
        "The session goes on, and this is how it stood: which of its updates this is, from 1. \
         Absent once it is over. Lines of updates are written with `--updates` only.")),
    field(("longhaul.activity.seconds", 3, Kind::Int, "s", Shown::Sometimes,
        |r| activity(r, |a| a.seconds),
        "Distinct seconds of packet time in which data passed. All of `longhaul.activity` counts \
         from ten seconds after the session's beginning on, and is there where both sides had \
         sent data and the session went on.")),
    field(("longhaul.activity.messages_up", 3, Kind::Int, "", Shown::Sometimes,
        |r| activity(r, |a| a.messages_up),
        "Messages of the initiator: what it sends until the responder sends data is one.")),
    field(("longhaul.activity.messages_down", 3, Kind::Int, "", Shown::Sometimes,
        |r| activity(r, |a| a.messages_down),
        "Messages of the responder.")),
    field(("longhaul.activity.last", 3, Kind::Time, "", Shown::Sometimes,
        |r| r.activity.and_then(|a| a.last).map_or(Value::Absent, Value::Time),
        "When data last passed.")),
]
}
