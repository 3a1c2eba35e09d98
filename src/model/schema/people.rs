//! The fields of the people at an endpoint's address, or of a home host's person.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: an endpoint's row. Out: its values.
//! Never: a field that endpoints.ndjson does not have.

use crate::model::endpoint::EndpointRow;
use crate::model::people_facts::{CountedBy, Differs, Owner};
use crate::model::schema::endpoint::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, Shown, Value, read_endpoint as read};

table! {
/// In the order of the output.
pub(super) People of EndpointRow [
    field(("longhaul.colocated.people", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::colocated(r, |c| Value::Int(c.people.len() as u64)),
        "People of the subjects file who share its address, of IPv6 its /64, on two days or more \
         each; absent of more than 16.")),
    field(("longhaul.colocated.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::colocated(r, |c| Value::Int(u64::from(c.days))),
        "Days of the last 14 on which two or more of them were there.")),
    field(("longhaul.colocated.overlap_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::colocated(r, |c| Value::Int(u64::from(c.overlap_days))),
        "Those of them on which two or more were there in the same hour, for 4 hours or more.")),
    field(("longhaul.colocated.apart_km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::colocated(r, |c| Value::float_opt(Some(c.apart_km))),
        "Largest distance between the places that two of them claim, nearest points.")),
    field(("longhaul.colocated.away", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::colocated(r, |c| Value::Int(u64::from(c.away))),
        "Those of them who were not seen near the place they claim in 14 days, though it is known \
         of most days where they were, nor in another region than this one in 7.")),
    field(("longhaul.shared.people", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.shared.as_ref(), |s| Value::Int(s.people.len() as u64)),
        "People of the subjects file who were at its address, of IPv6 its /64, on the same day as \
         another one, in 14 days; absent of more than 16.")),
    field(("longhaul.shared.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.shared.as_ref(), |s| Value::Int(s.days.into())), "Those days.")),
    field(("longhaul.shared.apart_km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::people(r, |p| p.shared.as_ref(), |s| Value::float_opt(s.apart_km)),
        "Largest distance between the places that two of them claim, nearest points.")),
    field(("longhaul.shared.hired_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.shared.as_ref(), |s| Value::int_opt(s.hired_days)),
        "Fewest days from the date one of them was hired to such a day.")),
    field(("longhaul.shared.new_away", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::people(r, |p| p.shared.as_ref(), |s| Value::flag(s.new_away)),
        "There where that one was never seen near the place they claim in 14 days, though it is \
         known of most days where they were.")),
    field(("longhaul.hosts_behind.min", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.behind.as_ref(), |b| Value::Int(b.min.into())),
        "At least so many devices were behind its address at once in 14 days; absent where one \
         explains all.")),
    field(("longhaul.hosts_behind.method", 3, Kind::Word(&CountedBy::WORDS), "", Shown::Sometimes,
        |r| read::people(r, |p| p.behind.as_ref(), |b| Value::Word(b.method.as_str())),
        "What says so: clients of one VPN gateway connected at once (`tunnels`), people active in \
         one hour (`people`), systems by SYNs of one hour (`stacks`).")),
    field(("longhaul.dual_role.by", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::people(r, |p| p.dual.as_ref(), |d| Value::Str(&d.by)),
        "People log in from its address, and a host of ours is connected with it by this tool or \
         tunnel.")),
    field(("longhaul.dual_role.host", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.dual.as_ref(), |d| Value::Ip(d.host)), "That host.")),
    field(("longhaul.dual_role.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.dual.as_ref(), |d| Value::Int(d.days.into())),
        "Days between the two, at most 30.")),
    field(("longhaul.travel.km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::people(r, |p| p.travel.as_ref(), |t| Value::float_opt(Some(t.km))),
        "From the region of another address of its only person to its own, nearest points: the \
         fastest in 7 days. No region that a round trip refutes; no exits, relays or mobile \
         networks.")),
    field(("longhaul.travel.minutes", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.travel.as_ref(), |t| Value::Int(t.minutes.into())),
        "From the end of the session there to the start of the one here; 0 if they overlap.")),
    field(("longhaul.travel.kmh", 3, Kind::Float, "km/h", Shown::Sometimes,
        |r| read::people(r, |p| p.travel.as_ref(), |t| Value::float_opt(Some(t.kmh()))),
        "The speed that takes; less than a minute counts as one.")),
    field(("longhaul.travel.from", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.travel.as_ref(), |t| Value::Ip(t.from)), "The other address.")),
    field(("longhaul.flip.minutes", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.flip.as_ref(), |f| Value::Int(f.minutes.into())),
        "Its only person changed between an access network and a hosting network, VPN or Tor \
         within so many minutes; 0 if the sessions overlap.")),
    field(("longhaul.flip.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.flip.as_ref(), |f| Value::Int(f.days.into())),
        "Days of the last 14 with such a change.")),
    field(("longhaul.flip.from", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.flip.as_ref(), |f| Value::Ip(f.from)), "The other address.")),
    field(("longhaul.egress_split.seconds", 3, Kind::Int, "s", Shown::Sometimes,
        |r| read::people(r, |p| p.split.as_ref(), |s| Value::Int(s.seconds.into())),
        "TCP and UDP of its only person came from addresses of one version in different networks, \
         so many seconds apart; 0 if the sessions overlap.")),
    field(("longhaul.egress_split.tcp", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.split.as_ref(), |s| Value::Ip(s.tcp)), "Where TCP came from.")),
    field(("longhaul.egress_split.udp", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.split.as_ref(), |s| Value::Ip(s.udp)), "Where UDP came from.")),
    field(("longhaul.egress_split.differs", 3, Kind::Word(&Differs::WORDS), "", Shown::Sometimes,
        |r| read::people(r, |p| p.split.as_ref(), |s| Value::Word(s.differs.as_str())),
        "What tells the networks apart: an access network and one of hosting or VPN (`class`), or \
         the `country`.")),
    field(("longhaul.networks.count", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.networks.as_ref(), |n| Value::Int(n.count.into())),
        "Access networks (autonomous systems) its only person worked from in 14 days, at most 8.")),
    field(("longhaul.networks.hired_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.networks.as_ref(), |n| Value::int_opt(n.hired_days)),
        "Days from the date that person was hired to the first session from the latest of them.")),
    field(("longhaul.networks.kvm_minutes", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.networks.as_ref(), |n| Value::int_opt(n.kvm_minutes)),
        "Minutes from that session to the first of that person's side with an IP-KVM, or with the \
         cloud of its maker; absent after more than a day.")),
    field(("longhaul.work_hours.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.work_hours.as_ref(), |h| Value::Int(h.days.into())),
        "Days of the last 14 (UTC) on which its only person was active, at any address. An hour \
         is active with 300 messages or more of their side to us, and a tenth of those of the \
         busiest hour of a day (median of the days): keep-alives are fewer.")),
    field(("longhaul.work_hours.active_p50", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.work_hours.as_ref(), |h| Value::Int(h.active_p50.into())),
        "Active hours of such a day, median.")),
    field(("longhaul.work_hours.active_max", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.work_hours.as_ref(), |h| Value::Int(h.active_max.into())),
        "Most active hours of a day.")),
    field(("longhaul.work_hours.long_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.work_hours.as_ref(), |h| Value::Int(h.long_days.into())),
        "Days of the last 7 with 14 active hours or more.")),
    field(("longhaul.work_hours.foreign_share", 3, Kind::Float, "", Shown::Sometimes,
        |r| read::people(r, |p| p.work_hours.as_ref(), |h| Value::float_opt(h.foreign_share)),
        "Share of the active hours that are in `foreign_hours` of the configuration, and not in \
         the day (8 to 18 h by the sun) of the place that the person claims. Absent without \
         such hours.")),
    field(("longhaul.volume.owner", 3, Kind::Word(&Owner::WORDS), "", Shown::Sometimes,
        |r| read::people(r, |p| p.volume.as_ref(), |v| Value::Word(v.owner.as_str())),
        "Of a home host whose person sent more in a day than on any before to one kind of owner: \
         hosting of `code`, `sharing` or `storage` of files, other `hosting`.")),
    field(("longhaul.volume.bytes", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| read::people(r, |p| p.volume.as_ref(), |v| Value::Int(v.bytes)),
        "Bytes sent on that day (UTC), in sessions that ended on it.")),
    field(("longhaul.volume.usual_bytes", 3, Kind::Int, "bytes", Shown::Sometimes,
        |r| read::people(r, |p| p.volume.as_ref(), |v| Value::Int(v.usual)),
        "The 99.9th percentile of that person's days before: of up to 60 days their maximum.")),
    field(("longhaul.volume.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.volume.as_ref(), |v| Value::Int(v.days.into())),
        "Days since the first session from inside of that person.")),
    field(("longhaul.new_destination.minutes", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::Int(d.minutes.into())),
        "Of a home host whose person had a session of 10 minutes or more, by a tool or like \
         typing, to an AS and country that they did not go to so in 30 days: its length.")),
    field(("longhaul.new_destination.km", 3, Kind::Float, "km", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::float_opt(d.km)),
        "From the sensor to its region by the geo database.")),
    field(("longhaul.new_destination.people", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::Int(d.people.into())),
        "Other people who went there so in 30 days.")),
    field(("longhaul.new_destination.group", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::Int(d.group.into())),
        "Other people of that person's group: the same `role` in the subjects file; where neither \
         has one, `hired` within 90 days.")),
    field(("longhaul.new_destination.group_people", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::Int(d.group_people.into())),
        "Those of them who went there so in 30 days.")),
    field(("longhaul.new_destination.history_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.new_destination.as_ref(), |d| Value::Int(d.history_days.into())),
        "Days since the first session from inside of that person.")),
    field(("longhaul.first_seen.tool", 3, Kind::Text, "", Shown::Sometimes,
        |r| read::people(r, |p| p.first_seen.as_ref(), |f| Value::Str(&f.tool)),
        "Of a home host: a tool or tunnel that is not approved and that nobody on site used in 30 \
         days.")),
    field(("longhaul.first_seen.history_days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.first_seen.as_ref(), |f| Value::Int(f.history_days.into())),
        "Days since the first session from inside of a person or by such a tool.")),
    field(("longhaul.marathon.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.marathon.as_ref(), |m| Value::Int(m.days.into())),
        "Of a home host: days of the last 14 on which its person was in calls for 4 hours or more \
         that show a screen, with messages like input back.")),
    field(("longhaul.marathon.hours", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.marathon.as_ref(), |m| Value::Int(m.hours.into())),
        "Hours of them on the last of those days.")),
    field(("longhaul.screen_days.days", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.screen_days.as_ref(), |s| Value::Int(s.days.into())),
        "Of a home host: days of the last 14 on which its person, or it, had a session of 60 s or \
         more with one network outside in which it shows a screen and is controlled, by shape.")),
    field(("longhaul.screen_days.others", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.screen_days.as_ref(), |s| Value::Int(s.others.into())),
        "Other people and hosts that had some with the same network in that time.")),
    field(("longhaul.screen_days.as.number", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::people(r, |p| p.screen_days.as_ref(), |s| Value::int_opt(s.system)),
        "That network: the AS that announces the other end; absent where none is known, and the \
         address counts.")),
    field(("longhaul.screen_days.ip", 3, Kind::Ip, "", Shown::Sometimes,
        |r| read::people(r, |p| p.screen_days.as_ref(), |s| Value::Ip(s.ip)),
        "The other end of the latest of these sessions.")),
]
}
