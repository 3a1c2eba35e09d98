//! The table of an endpoint's fields; those of its people are in a file of their own.
//!
//! Owns: name, type, unit, accessor and meaning of each field. In: an endpoint's row. Out: its
//! values. Never: a field that endpoints.ndjson does not have, unless it says so.

use std::sync::LazyLock;

use crate::model::endpoint::{EndpointRow, Needs, PoolOf};
use crate::model::endpoint_facts::InputTest;
use crate::model::event_id::endpoint_id;
use crate::model::schema::people::People;
use crate::model::schema::read::point;
use crate::model::schema::table::{Table, table};
use crate::model::schema::{
    Described, Field, Kind, List, Objects, Row, Shown, Value, Visitor, field_of, fixed,
    read_endpoint as read,
};

const SIDES: &[&str] = &["home", "remote"];
const ROLES: &[&str] = &["initiator", "responder", "both"];

pub(super) const fn field(row: Row<EndpointRow>) -> Field<EndpointRow> {
    field_of(row)
}

table! {
/// What it is, and how it lies to the place that is claimed.
Endpoint of EndpointRow [
    field(("@timestamp", 1, Kind::Time, "", Shown::Always, |r| Value::Time(r.last),
        "Time of the last packet of its last session.")),
    fixed(("ecs.version", 1, Kind::Text, r#""8.17.0""#, "")),
    fixed(("event.kind", 1, Kind::Text, r#""state""#, "Always `state` for an endpoint.")),
    fixed(("event.category", 1, Kind::Texts, r#"["network"]"#, "")),
    fixed(("event.type", 1, Kind::Texts, r#"["info"]"#, "Always `info`.")),
    fixed(("event.dataset", 1, Kind::Text, r#""longhaul.endpoint""#, "")),
    field(("event.id", 1, Kind::Text, "", Shown::Line, |r| Value::Id(endpoint_id(r)),
        "Hash of what identifies the endpoint and its span: the same on every run.")),
    field(("event.start", 1, Kind::Time, "", Shown::Always, |r| Value::Time(r.first),
        "Time of the first packet of its first session.")),
    field(("event.end", 1, Kind::Time, "", Shown::Line, |r| Value::Time(r.last),
        "Time of the last packet of its last session.")),
    field(("observer.name", 3, Kind::Text, "", Shown::Sensor, |_| Value::Absent, "")),
    fixed(("observer.type", 3, Kind::Text, r#""sensor""#, "")),
    fixed(("observer.vendor", 3, Kind::Text, r#""longhaul""#, "")),
    field(("related.ip", 3, Kind::Ips, "", Shown::Line,
        |r| Value::List(List::Addrs(std::slice::from_ref(&r.key.ip))), "Its address.")),
    field(("endpoint.ip", 1, Kind::Ip, "", Shown::Always, |r| Value::Ip(r.key.ip),
        "Its address.")),
    field(("endpoint.side", 1, Kind::Word(SIDES), "", Shown::Always,
        |r| Value::Word(r.key.side.as_str()), "Whether it is inside the home networks.")),
    field(("endpoint.role", 1, Kind::Word(ROLES), "", Shown::Always,
        |r| Value::Word(r.role.as_str()), "The part it plays in its sessions.")),
    field(("endpoint.ja4", 1, Kind::Text, "", Shown::Sometimes, read::ja4,
        "JA4 of its ClientHellos: what tells programs at one remote address apart.")),
    field(("endpoint.ssh", 2, Kind::Text, "", Shown::Sometimes, read::ssh,
        "Software of its SSH identification string: likewise.")),
    field(("endpoint.service.port", 2, Kind::Int, "", Shown::Sometimes, read::port,
        "Port of the service that it offered or used; of remote endpoints.")),
    field(("endpoint.service.transport", 2, Kind::Text, "", Shown::Sometimes, read::transport,
        "Its transport protocol.")),
    field(("endpoint.geo.country_iso_code", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::place(r, |g| Value::str_opt(g.country.as_deref())),
        "ISO 3166-1 country, by the geo database.")),
    field(("endpoint.geo.region_iso_code", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::place(r, |g| Value::str_opt(g.region.as_deref())),
        "ISO 3166-2 region, by the geo database.")),
    field(("endpoint.geo.location.lat", 2, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(r, |g| Value::float_opt(point(g).map(|l| l.0))),
        "Latitude of the region's centre.")),
    field(("endpoint.geo.location.lon", 2, Kind::Float, "degrees", Shown::Sometimes,
        |r| read::place(r, |g| Value::float_opt(point(g).map(|l| l.1))),
        "Longitude of the region's centre.")),
    field(("endpoint.as.number", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::asn(r, |a| Value::Int(u64::from(a.number))),
        "Number of the AS that announces the address.")),
    field(("endpoint.as.organization.name", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::asn(r, |a| Value::str_opt(a.organization.as_deref())), "Holder of that AS.")),
    field(("longhaul.subject.id", 1, Kind::Text, "", Shown::Rules, read::subject,
        "Who its last session is about: id from the subjects file, else the address of the end \
         that began.")),
    field(("longhaul.subject.hired", 3, Kind::Date, "", Shown::Rules, read::hired,
        "The date that person was hired.")),
    field(("longhaul.claim.km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::claim(r, |c| Value::float_opt(Some(c.km))),
        "Distance from the sensor to the place that the only person it is about claims.")),
    field(("longhaul.claim.region_km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::claim(r, |c| Value::float_opt(c.region_km)),
        "Distance from that place to its region by the geo database, nearest points.")),
    field(("longhaul.claim.excess_us", 3, Kind::Float, "us", Shown::Sometimes, read::claim_excess,
        "How far its floor lies above what that place takes at 4/9 of the speed of light.")),
    field(("longhaul.claim.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::claim(r, |c| Value::Int(u64::from(c.days))),
        "Days of the last 14 on which the person was at this address, with any program.")),
    field(("longhaul.claim.near_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::claim(r, |c| Value::int_opt(c.near_days.map(u64::from))),
        "Days of the last 14 on which the person was seen near that place, at any address; absent \
         unless it is known of most days where the person was.")),
    field(("longhaul.region.km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| Value::float_opt(r.traits.region_km),
        "Distance from the sensor to the nearest point of its region by the geo database.")),
    field(("longhaul.region.excess_us", 3, Kind::Float, "us", Shown::Sometimes,
        read::region_excess,
        "How far its floor lies above what that region takes at 4/9 of the speed of light.")),
]
}

table! {
/// What its sessions and measurements add up to.
Totals of EndpointRow [
    field(("longhaul.sessions", 1, Kind::Int, "", Shown::Always, |r| Value::Int(r.sessions),
        "Sessions it took part in.")),
    field(("longhaul.handshakes", 1, Kind::Int, "", Shown::Always, |r| Value::Int(r.handshakes),
        "Handshakes with a measured leg to it.")),
    field(("longhaul.days", 2, Kind::Int, "", Shown::Sometimes,
        |r| Value::int_opt((r.traits.days > 0).then_some(r.traits.days)),
        "Days (UTC) on which answered sessions of it ended.")),
    field(("longhaul.people", 3, Kind::Int, "", Shown::Sometimes,
        |r| Value::int_opt((r.traits.subjects > 0).then_some(r.traits.subjects)),
        "Different people of the subjects file its sessions were about, at most 8.")),
    field(("longhaul.floor_us", 1, Kind::Float, "us", Shown::Sometimes,
        |r| Value::micros_opt(r.floor_ns), "Lowest transport round trip to it.")),
    field(("longhaul.floor.prefix_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| Value::micros_opt(r.prefix_floor_ns), "Lowest floor of its /24 (IPv4) or /48 (IPv6).")),
    field(("longhaul.floor.baseline.of", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::baseline(r, |b| Value::Str(b.of.as_str())),
        "With `--state`: whose round trips were learned: `prefix-baseline`, `asn-baseline` or \
         `destination-baseline`.")),
    field(("longhaul.floor.baseline.us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::baseline(r, |b| Value::Micros(b.floor_ns)),
        "What is learned to be its floor: a low quantile of them.")),
    field(("longhaul.floor.baseline.sessions", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::baseline(r, |b| Value::Int(b.sessions)), "Sessions that rests on.")),
    field(("longhaul.floor.baseline.days", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::baseline(r, |b| Value::Int(u64::from(b.days))), "Days on which they were.")),
    field(("longhaul.floor.baseline.learning", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::baseline(r, |b| Value::flag(b.learning)),
        "There where nothing is held against it yet.")),
    field(("longhaul.floor.subject.excess_us", 2, Kind::Float, "us", Shown::Sometimes,
        read::subject_excess,
        "How far its floor lies above the usual one of the only person it is about.")),
    field(("longhaul.floor.subject.us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::own(r, |b| Value::Micros(b.floor_ns)), "That usual floor.")),
    field(("longhaul.floor.subject.sessions", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::own(r, |b| Value::Int(b.sessions)), "Sessions it rests on.")),
    field(("longhaul.floor.subject.days", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::own(r, |b| Value::Int(u64::from(b.days))), "Days on which they were.")),
    field(("longhaul.floor.subject.learning", 2, Kind::Bool, "", Shown::Sometimes,
        |r| read::own(r, |b| Value::flag(b.learning)),
        "There where nothing is held against it yet.")),
    field(("longhaul.floor.of", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Word(e.of)),
        "Whose floor it is held against: `prefix`, its neighbours in this run, or the baseline.")),
    field(("longhaul.floor.excess_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Micros(e.over_ns)),
        "How far its floor lies above that one.")),
    field(("longhaul.floor.sessions", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Int(e.sessions)),
        "Sessions that one rests on: of a prefix in this run, those of other endpoints.")),
    field(("longhaul.floor.days", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::excess(r, |e| Value::Int(u64::from(e.days))),
        "Days (UTC) on which those were.")),
    field(("longhaul.floor.ratio", 2, Kind::Float, "", Shown::Sometimes,
        |r| read::excess(r, read::floor_ratio), "Its floor as a multiple of that one.")),
    field(("longhaul.rtt.sessions", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Int(u64::from(s.sessions))),
        "Sessions with 5 or more round trips to it.")),
    field(("longhaul.rtt.days", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Int(u64::from(s.days))),
        "Days (UTC) on which those ended.")),
    field(("longhaul.rtt.p50_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Micros(s.p50_ns)),
        "Median of their lowest round trips, from a sample of at most 16 sessions.")),
    field(("longhaul.rtt.iqr_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::spread(r, |s| Value::Micros(s.iqr_ns())),
        "Distance between the quartiles of the same.")),
    field(("longhaul.hidden_leg.us", 1, Kind::Float, "us", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Micros(h.ns)),
        "Estimated round trip hidden behind it.")),
    field(("longhaul.hidden_leg.confidence", 1, Kind::Float, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::float_opt(Some(h.confidence))),
        "From 0 to 1; 0.5 and more reads as: a long leg is hidden here.")),
    field(("longhaul.hidden_leg.method", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Word(h.method)), "Kinds of exchange it rests on.")),
    field(("longhaul.hidden_leg.samples", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Int(u64::from(h.samples))), "Exchanges it rests on.")),
    field(("longhaul.hidden_leg.handshakes", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Int(u64::from(h.handshakes))),
        "Sessions among them with a full handshake: not resumed, without a client certificate.")),
    field(("longhaul.hidden_leg.kinds", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Int(u64::from(h.kinds))),
        "Kinds of exchange that agree and have no cause in common but a leg.")),
    field(("longhaul.hidden_leg.of", 3, Kind::Word(&PoolOf::WORDS), "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Word(h.pool.of.as_str())),
        "What it rests on: this `line`, all lines with its `program` at its address, of its \
         `address`, of its `subject`, or with its program in its /24 or /48 (`prefix`).")),
    field(("longhaul.hidden_leg.lines", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden(r, |h| Value::Int(u64::from(h.pool.lines))), "Number of those lines.")),
    field(("longhaul.hidden_leg.needs.of", 3, Kind::Word(&Needs::WORDS), "", Shown::Sometimes,
        |r| read::needs(r, |n| Value::Word(n.of)),
        "Where it is undecided: which exchanges would decide, if they take as long: full \
         `handshake`s, or `other` ones.")),
    field(("longhaul.hidden_leg.needs.more", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::needs(r, |n| Value::Int(u64::from(n.more))), "How many more of them.")),
    field(("longhaul.hidden_leg.line.us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::hidden_line(r, |h| Value::Micros(h.ns)),
        "The estimate of this line alone, where the verdict rests on several.")),
    field(("longhaul.hidden_leg.line.confidence", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::hidden_line(r, |h| Value::float_opt(Some(h.confidence))), "Likewise.")),
    field(("longhaul.hidden_leg.line.method", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::hidden_line(r, |h| Value::Word(h.method)), "Likewise.")),
    field(("longhaul.hidden_leg.line.samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden_line(r, |h| Value::Int(u64::from(h.samples))), "Likewise.")),
    field(("longhaul.hidden_leg.line.handshakes", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::hidden_line(r, |h| Value::Int(u64::from(h.handshakes))), "Likewise.")),
    field(("longhaul.hidden_leg.ratio", 2, Kind::Float, "", Shown::Sometimes, read::hidden_ratio,
        "The hidden round trip as a multiple of the lowest transport round trip.")),
    field(("longhaul.mtu.hint", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::int_opt(m.hints.first().map(|(mtu, _)| *mtu))),
        "MTU that most of its SYNs hint at: MSS plus 40 (IPv4) or 60 (IPv6).")),
    field(("longhaul.mtu.values", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::Int(m.hints.len() as u64)),
        "Different MTUs its SYNs hint at, at most 4.")),
    field(("longhaul.mtu.syns", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::mtu(r, |m| Value::Int(u64::from(m.syns))), "SYNs with an MSS.")),
    field(("longhaul.mtu.refused", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| Value::int_opt(r.traits.refused),
        "Length of a datagram that it was sent, and that its own address refused to pass on: it \
        has a smaller link behind it.")),
    field(("longhaul.mtu.at_least", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| Value::int_opt(r.traits.path.map(|(at_least, _)| at_least)),
        "Length of an IP packet that the path to it carried, where lengths hint at a limit: a \
         server of QUIC used ever longer ones up to this, or three or more datagrams of the \
         endpoint came in fragments of this length. No proof: senders have reasons of their own.")),
    field(("longhaul.mtu.below", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| Value::int_opt(r.traits.path.map(|(_, below)| below)),
        "Length of the shortest one that was tried and not used afterwards, or above what fits \
         such a fragment.")),
    field(("longhaul.stack.syn", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::word_opt(s.syn)), "Family of systems of most of its SYNs.")),
    field(("longhaul.stack.program", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::word_opt(s.program)),
        "Family of systems that its SSH banner, user agent or TLS client names.")),
    field(("longhaul.stack.compared", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::Int(u64::from(s.compared))),
        "Sessions in which both families are known.")),
    field(("longhaul.stack.differ", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::stack(r, |s| Value::Int(u64::from(s.differ))),
        "Those of them in which they differ.")),
    field(("longhaul.stack.differ_share", 2, Kind::Float, "", Shown::Sometimes,
        |r| read::stack(r, read::differ_share), "Their share, from 0 to 1.")),
    field(("longhaul.tunnel.l3", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::Bool(t.l3)),
        "Whether a layer-3 tunnel lies on the way to it.")),
    field(("longhaul.tunnel.confidence", 1, Kind::Float, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::float_opt(Some(t.confidence))), "From 0 to 1.")),
    field(("longhaul.tunnel.reason", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::tunnel(r, |t| Value::Word(t.reason)),
        "What speaks for it: `refused` or `path` (the other sizes of datagrams), `mss`, `stack`, \
         `floor`, joined with `+`; `none`.")),
    field(("longhaul.remote_control.confidence", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::float_opt(Some(c.confidence))),
        "Of home hosts, from 0 to 1; 0.5 and more reads as: somebody elsewhere types through this \
         host. Absent where too few keystrokes left it.")),
    field(("longhaul.remote_control.via", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::str_opt(c.via.as_deref())),
        "What their input comes by: the session's application, else its protocol or transport.")),
    field(("longhaul.remote_control.lag_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::control(r, |c| Value::Micros(c.lag_ns)),
        "Median time from a message that came in to the keystroke that went out.")),
    field(("longhaul.remote_control.tool", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::str_opt(c.tool.as_deref())),
        "The remote-control tool that the input comes by, told by a list or signature.")),
    field(("longhaul.remote_control.approved", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Bool(c.approved)),
        "Whether the configuration allows that tool.")),
    field(("longhaul.remote_control.serves", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::flag(c.serves)),
        "The host answers there: the input comes to a service that it offers.")),
    field(("longhaul.remote_control.relayed", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::flag(c.relayed)),
        "A relay that was asked for a peer (TURN) carries the input.")),
    field(("longhaul.remote_control.internal", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::flag(c.session.as_ref().is_some_and(|s| s.peer_home))),
        "The input comes from another home host.")),
    field(("longhaul.remote_control.from", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Ip(c.from)), "Where the input comes from: often a relay.")),
    field(("longhaul.remote_control.to", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Ip(c.to)), "Where the keystrokes go.")),
    field(("longhaul.remote_control.share", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::float_opt(Some(c.share))),
        "Share of the keystrokes that follow a message, within 12 to 260 ms.")),
    field(("longhaul.remote_control.baseline", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::float_opt(Some(c.baseline))),
        "The same at six moments in the seconds before each: what chance alone would give.")),
    field(("longhaul.remote_control.samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Int(c.keys.into())), "Keystrokes it rests on.")),
    field(("longhaul.remote_control.windows", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Int(c.windows.into())),
        "Windows of 256 keystrokes or 20 minutes that are over and say so by themselves.")),
    field(("longhaul.remote_control.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::control(r, |c| Value::Int(c.days.into())), "Days (UTC) with such a window.")),
    field(("longhaul.remote_control.controller_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::controller_leg(r, |leg| Value::Micros(leg.whole_ns)),
        "Lowest round trip between the sensor and who sends the input, through whatever relay.")),
    field(("longhaul.remote_control.hidden_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::controller_leg(r, |leg| Value::micros_opt(leg.hidden_ns)),
        "The part of it behind the address that the input comes from. A slow client looks the \
         same where the method is `handshake`.")),
    field(("longhaul.remote_control.round_trips", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::controller_leg(r, |leg| Value::Int(leg.samples.into())),
        "Round trips that both rest on.")),
    field(("longhaul.remote_control.method", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::controller_leg(r, |leg| Value::Word(leg.method)),
        "How they were measured: `stun` (requests of both ends, also through a relay), `replies` \
         (messages that the other end's program sends when it gets ours), `turns` (answers in a \
         row that take equally long, in a session that our side opened: a handshake inside it), \
         `handshake` (TLS, RDP or DTLS of a session that the other end opened).")),
    field(("longhaul.synthetic_input.confidence", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::synthetic(r, |s| Value::float_opt(Some(s.confidence))),
        "From 0 to 1; 0.5 and more reads as: a device or program makes the input that comes in, \
         of remote endpoints that goes out. Absent where no test says so.")),
    field(("longhaul.synthetic_input.period_s", 3, Kind::Float, "s", Shown::Sometimes,
        |r| read::synthetic(r, |s| Value::Float(f64::from(s.period_ms) / 1_000.0)),
        "Median time from one burst of it to the next.")),
    field(("longhaul.synthetic_input.test", 3, Kind::Word(&InputTest::WORDS), "",
        Shown::Sometimes, |r| read::synthetic(r, |s| Value::Word(s.test.as_str())),
        "What told it: groups of events 100 ms apart (`comb`), one interval (`fixed`), intervals \
         between bounds (`bounded`), or one part of the minute (`phase`); of a remote endpoint \
         one message at one interval, where no other client of the service sends any (`alone`).")),
    field(("longhaul.synthetic_input.statistic", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::synthetic(r, |s| Value::float_opt(Some(s.statistic))),
        "That test's: share of lone bursts; deviation from the interval as a share of it; longest \
         interval by shortest; seconds of the minute; other clients of the service.")),
    field(("longhaul.synthetic_input.samples", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::synthetic(r, |s| Value::Int(s.bursts.into())), "Bursts it rests on.")),
    field(("longhaul.synthetic_input.from", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::synthetic(r, |s| Value::Ip(s.from)), "Where that input comes from.")),
    field(("longhaul.tags", 1, Kind::Texts, "", Shown::Sometimes, read::tags,
        "Tags of the lists that matched it.")),
    field(("longhaul.disc.fibre_km", 2, Kind::Float, "km", Shown::Rules, read::disc_fibre,
        "Farthest whoever answers can be at 2/3 of the speed of light: floor and hidden leg.")),
    field(("longhaul.disc.real_km", 2, Kind::Float, "km", Shown::Rules, read::disc_real,
        "The same at 4/9, as on real paths.")),
]
}

static FIELDS: LazyLock<Vec<Field<EndpointRow>>> =
    LazyLock::new(|| [Endpoint::rows(), People::rows(), Totals::rows()].concat());

impl Described for EndpointRow {
    fn fields() -> &'static [Field<EndpointRow>] {
        &FIELDS
    }

    fn visit<V: Visitor<EndpointRow>>(&self, visitor: &mut V) {
        Endpoint::visit(self, visitor);
        People::visit(self, visitor);
        Totals::visit(self, visitor);
    }

    fn visit_member<V: Visitor<EndpointRow>>(
        &self,
        at: (&'static Objects<EndpointRow>, usize),
        visitor: &mut V,
    ) {
        Endpoint::visit_member(self, at, visitor);
        Totals::visit_member(self, at, visitor);
    }
}
