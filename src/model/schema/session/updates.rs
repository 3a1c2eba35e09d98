//! Fields of sessions that last.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have.

use crate::model::interaction::{Class, Echo, Interaction, Reply, SideSums, Stalls};
use crate::model::record::Activity;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, Shown, Value};
use crate::model::{Peer, Record};

fn activity(record: &Record, get: impl FnOnce(&Activity) -> u32) -> Value<'_> {
    record.activity.as_ref().map_or(Value::Absent, |activity| Value::Int(get(activity).into()))
}

fn interaction<'a>(
    record: &'a Record,
    get: impl FnOnce(&'a Interaction) -> Value<'a>,
) -> Value<'a> {
    record.interaction.as_deref().map_or(Value::Absent, get)
}

fn control(record: &Record, get: impl FnOnce(&SideSums) -> u32) -> Value<'_> {
    let side = record.interaction.as_deref().and_then(Interaction::control);
    side.map_or(Value::Absent, |side| Value::Int(get(side).into()))
}

fn echo<'a>(record: &'a Record, get: impl FnOnce(&'a Echo) -> Value<'a>) -> Value<'a> {
    interaction(record, |seen| seen.echo.as_ref().map_or(Value::Absent, get))
}

fn reply(record: &Record, get: impl FnOnce(&Reply) -> Value<'static>) -> Value<'_> {
    interaction(record, |seen| seen.reply.as_ref().map_or(Value::Absent, get))
}

fn stalls(record: &Record, get: impl FnOnce(&Stalls) -> Value<'static>) -> Value<'_> {
    interaction(record, |seen| seen.stalls.as_ref().map_or(Value::Absent, get))
}

/// The median echo, and the lowest acknowledgement of the same side.
fn behind(record: &Record, get: impl FnOnce(u64, u64) -> Value<'static>) -> Value<'_> {
    let ack = record.far.transport_ns();
    echo(record, |echo| ack.map_or(Value::Absent, |ack| get(echo.median_ns, ack)))
}

table! {
/// Whether the session goes on.
pub(super) Updates of Record [
    field(("longhaul.update", 3, Kind::Int, "", Shown::Sometimes,
        |r| r.update.map_or(Value::Absent, |number| Value::Int(number.into())),
        "The session goes on, and this is how it stood: which of its updates this is, from 1. \
         Absent once it is over. Lines of updates are written with `--updates` only.")),
]
}

table! {
/// What passed while the session lasted.
pub(super) Lasting of Record where (|r| r.activity.is_some()) [
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

table! {
/// What its traffic looks like.
pub(super) Looks of Record where (|r| r.interaction.is_some()) [
    field(("longhaul.interaction.class", 3, Kind::Text, "", Shown::Sometimes,
        |r| interaction(r, |i| Value::Word(i.class.name())),
        "What the traffic looks like: `remote_control`, `view_only`, `call`, `bulk`, `typing`, \
         `game`, or `unknown`. All of `longhaul.interaction` counts from ten seconds after the \
         session's beginning on.")),
    field(("longhaul.interaction.confidence", 3, Kind::Float, "", Shown::Sometimes,
        |r| interaction(r, |i| match i.class {
            Class::Unknown => Value::Absent,
            _ => Value::Float(i.confidence),
        }),
        "0 to 1: how far the numbers are from the bounds of the class.")),
    field(("longhaul.interaction.controlled_side", 3, Kind::Text, "", Shown::Sometimes,
        |r| interaction(r, |i| i.controlled.map_or(Value::Absent, |side| Value::Word(match side {
            Peer::Initiator => "source",
            Peer::Responder => "destination",
        }))),
        "The side that shows a screen or echoes what is typed, told by bytes and sizes of \
         messages: `source` or `destination`.")),
    field(("longhaul.interaction.screen_kbps", 3, Kind::Float, "kbit/s", Shown::Sometimes,
        |r| interaction(r, |i| i.screen_kbps().map_or(Value::Absent, Value::Float)),
        "What the controlled side sends.")),
    field(("longhaul.interaction.ratio", 3, Kind::Float, "", Shown::Sometimes,
        |r| interaction(r, |i| i.ratio().map_or(Value::Absent, Value::Float)),
        "Bytes of the controlled side over those of the controlling side.")),
    field(("longhaul.interaction.control_median_bytes", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| control(r, |side| side.median_bytes),
        "Median size of the controlling side's messages, within 12 %; 512 is 512 or more.")),
    field(("longhaul.interaction.control_p90_pps", 3, Kind::Int, "1/s", Shown::Sometimes,
        |r| control(r, |side| side.p90_pps),
        "90th percentile of the controlling side's messages in a second that has any.")),
    field(("longhaul.interaction.active_s", 3, Kind::Int, "s", Shown::Sometimes,
        |r| control(r, |side| side.active_s),
        "Seconds in which the controlling side sent messages.")),
    field(("longhaul.interaction.reply_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| reply(r, |reply| Value::Micros(u64::from(reply.us) * 1_000)),
        "Over TCP, between a home host and one elsewhere: how long after our messages those of \
         the other end come that answer them, where one lag prevails. A program answers, whatever \
         relay acknowledges our segments: so it is a round trip to it, at most. Within 8 % or 2 \
         ms.")),
    field(("longhaul.interaction.reply_samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| reply(r, |reply| Value::Int(reply.samples.into())),
        "Messages of one size that it rests on, 255 at most.")),
    field(("longhaul.interaction.reply_share", 3, Kind::Float, "", Shown::Sometimes,
        |r| reply(r, |reply| Value::Float(reply.share)),
        "The share of them that came so long after one of ours.")),
    field(("longhaul.stalls.hours", 3, Kind::Int, "", Shown::Sometimes,
        |r| stalls(r, |stalls| Value::Int(stalls.hours.into())),
        "Over TCP: hours (UTC) in which the initiator sent 60 messages or more that may be \
         keystrokes; from ten seconds after the session's beginning on.")),
    field(("longhaul.stalls.most", 3, Kind::Int, "", Shown::Sometimes,
        |r| stalls(r, |stalls| Value::Int(stalls.most.into())),
        "Bursts in the one of these hours that has most: three such messages within 10 ms, behind \
         a silence of 200 ms or more.")),
    field(("longhaul.stalls.ratio", 3, Kind::Float, "", Shown::Sometimes,
        |r| stalls(r, |stalls| stalls.ratio().map_or(Value::Absent, Value::Float)),
        "That over the mean of the other hours, of which there are two or more; as if they had one \
         burst where they have none.")),
    field(("longhaul.echo.median_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| echo(r, |echo| Value::Micros(echo.median_ns)),
        "Over TCP: median time from a keystroke of the initiator, after a quarter of a second of \
         silence, to its echo. Only echoes count before which a packet of its own acknowledged \
         the keystroke. Within 12 %; from ten seconds after the session's beginning on.")),
    field(("longhaul.echo.excess_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| behind(r, |echo, ack| Value::Micros(echo.saturating_sub(ack))),
        "That less the responder's lowest round trip: what lies behind who acknowledges, or how \
         slow its program is.")),
    field(("longhaul.echo.ratio", 3, Kind::Float, "", Shown::Sometimes,
        |r| behind(r, |echo, ack| Value::Float(echo as f64 / ack.max(1) as f64)),
        "That median over the responder's lowest round trip.")),
    field(("longhaul.echo.samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| echo(r, |echo| Value::Int(echo.samples.into())), "Echoes that it rests on.")),
    field(("longhaul.echo.piggybacked", 3, Kind::Int, "", Shown::Sometimes,
        |r| echo(r, |echo| Value::Int(echo.together.into())),
        "Echoes that do not count, since they carried the acknowledgement themselves.")),
]
}
