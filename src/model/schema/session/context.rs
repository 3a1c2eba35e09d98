//! Fields of the session's context: subject, device, physics, tags, quality, packets.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have, unless it says so.

use crate::model::Record;
use crate::model::physics::Claim;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, List, Objects, Shown, TagScope, Value, read};

const CLAIMS: &[&str] = &["subject", "geo"];
const VERDICTS: &[&str] = &["possible", "too-fast", "unknown"];

/// A list of one, as in findings. The input is given by its index: the same capture gives the
/// same lines wherever its file lies.
static PACKETS: Objects<Record> = Objects::new("longhaul.packets", |_| 1);

table! {
/// The subject, and a name that is not believed.
pub(super) Who of Record [
    field(("longhaul.subject.id", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::subject(r),
        "Who: id from the subjects file, else the address of the end that began.")),
    field(("longhaul.subject.name", 1, Kind::Text, "", Shown::Sometimes,
        |r| Value::str_opt(r.context.subject_name.as_deref()), "Their name in the subjects file.")),
    field(("longhaul.subject.role", 2, Kind::Text, "", Shown::Sometimes,
        |r| Value::str_opt(r.context.subject_role.as_deref()), "Their role in the subjects file.")),
    field(("longhaul.subject.hired", 2, Kind::Date, "", Shown::Sometimes,
        |r| Value::str_opt(r.context.subject_hired.as_deref()),
        "When they were hired, by the subjects file: `YYYY-MM-DD`.")),
    field(("longhaul.names.contradiction", 3, Kind::Text, "", Shown::Sometimes,
        |r| Value::str_opt(r.context.contradicted_name.as_deref()),
        "Name that the initiator's DNS look-up gave for the responder's address, if the session \
         itself gives another name; it is then not used to identify the application.")),
]
}

table! {
/// The holder of the initiator's address.
pub(super) Device of Record where (
    |r| r.context.holder.is_some() || r.context.arp_senders > 0
) [
    field(("longhaul.device.mac", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::holder(r, |h| read::mac(h.mac)),
        "Link-layer address of the device that held the initiator's address then.")),
    field(("longhaul.device.name", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::holder(r, |h| Value::str_opt(h.host.as_deref())),
        "Name of that device, without its domain.")),
    field(("longhaul.device.user", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::holder(r, |h| Value::str_opt(h.user.as_deref())),
        "Who had logged in there; absent where several people share the address.")),
    field(("longhaul.device.known_by", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::holder(r, |h| Value::list(List::Words(&h.known_by))),
        "Who said so: 802.1x, dhcp, dhcpv6, kerberos, llmnr, mdns, nbns, ntlm, radius.")),
    field(("longhaul.device.name_sources", 3, Kind::Int, "", Shown::Sometimes,
        |r| read::holder(r, |h| match h.named_by.count() {
            0 => Value::Absent,
            n => Value::Int(u64::from(n)),
        }), "In how many of these protocols the device's name was said.")),
    field(("longhaul.device.name_confirmed", 3, Kind::Bool, "", Shown::Sometimes,
        |r| read::holder(r, |h| Value::flag(h.named_by.is_confirmed())),
        "No single message gave the device its name: two of these protocols did, or the device \
         gave it twice when it asked for leases that a server granted.")),
    field(("longhaul.device.arp_senders", 3, Kind::Int, "", Shown::Sometimes,
        |r| match r.context.arp_senders {
            0 => Value::Absent,
            n => Value::Int(n.into()),
        },
        "How many other devices' hardware addresses that device gave as the sender's in ARP \
         requests with sender IP 0.0.0.0, where a probe has its own (RFC 5227); 8 at most.")),
]
}

table! {
/// How far light can have gone.
pub(super) Distance of Record where (|r| r.context.physics.is_some()) [
    field(("longhaul.physics.km_max_fibre", 1, Kind::Float, "km", Shown::Sometimes,
        |r| read::physics(r, |p| Value::float_opt(Some(p.km_max_fibre))),
        "Farthest the remote end can be at 2/3 of the speed of light.")),
    field(("longhaul.physics.km_max_real", 2, Kind::Float, "km", Shown::Sometimes,
        |r| read::physics(r, |p| Value::float_opt(Some(p.km_max_real))),
        "Farthest it is likely to be, at 4/9, as on real paths.")),
    field(("longhaul.physics.km_max_vacuum", 1, Kind::Float, "km", Shown::Sometimes,
        |r| read::physics(r, |p| Value::float_opt(Some(p.km_max_vacuum))),
        "Farthest it can be at the speed of light: a hard bound.")),
    field(("longhaul.physics.claim_km", 1, Kind::Float, "km", Shown::Sometimes,
        |r| read::physics(r, |p| Value::float_opt(p.claim_km)),
        "Distance to the nearest point of the claimed place.")),
    field(("longhaul.physics.claim_of", 2, Kind::Word(CLAIMS), "", Shown::Sometimes,
        |r| read::physics(r, |p| Value::word_opt(p.claim_of.map(Claim::as_str))),
        "Whose claim that is: the subjects file's, else the geo database's.")),
    field(("longhaul.physics.geo_km", 2, Kind::Float, "km", Shown::Sometimes,
        |r| read::physics(r, |p| Value::float_opt(p.geo_km)),
        "Distance to the nearest point of the geo region.")),
    field(("longhaul.physics.verdict", 1, Kind::Word(VERDICTS), "", Shown::Sometimes,
        |r| read::physics(r, |p| Value::Word(p.verdict.as_str())),
        "Whether light could have gone to the claimed place and back.")),
    field(("longhaul.physics.refuted", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::physics(r, |p| Value::list(List::Words(p.refuted.words()))),
        "Claims that are farther than light in a vacuum could have gone.")),
    field(("longhaul.physics.doubtful", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::physics(r, |p| Value::list(List::Words(p.doubtful.words()))),
        "Claims that are farther than light in fibre could have gone, but no farther than that.")),
    field(("longhaul.physics.withheld_by", 2, Kind::Text, "", Shown::Sometimes,
        |r| read::physics(r, |p| Value::word_opt(p.withheld_by)),
        "The tag for which there is no verdict: the end is not where its users are.")),
]
}

table! {
/// Tags.
pub(super) Tags of Record where (|r| !r.context.hits.is_empty()) [
    field(("longhaul.tags", 1, Kind::Texts, "", Shown::Sometimes, |r| read::tags(r, TagScope::Any),
        "Tags of the lists that matched either end or a name of the session.")),
    field(("longhaul.source.tags", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::tags(r, TagScope::Source),
        "Those of them that matched the initiator's address or AS.")),
    field(("longhaul.destination.tags", 1, Kind::Texts, "", Shown::Sometimes,
        |r| read::tags(r, TagScope::Destination),
        "Those of them that matched the responder: address, AS, port or a name asked for.")),
]
}

table! {
/// What the application is.
pub(super) Application of Record [
    field(("longhaul.application.reason", 1, Kind::Text, "", Shown::Sometimes,
        |r| Value::word_opt(r.context.application_reason),
        "What named the application, in order of trust: `payload`, `sni`, `http`, `alpn`, `ja4`, \
         `ssh`, `dns` (asked for), `dns-name` (behind the address), `protocol`, `ip`, `as`, \
         `port`.")),
    field(("longhaul.application.approved", 2, Kind::Bool, "", Shown::Sometimes,
        |r| Value::flag(r.context.application_approved),
        "The configuration or the subjects file allows the application.")),
]
}

table! {
/// How complete what was seen is.
pub(super) QualityFields of Record [
    field(("longhaul.quality.retransmits", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.quality.retransmits)),
        "TCP segments that repeat bytes already seen.")),
    field(("longhaul.quality.out_of_order", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.quality.out_of_order)),
        "TCP segments that came before an earlier one.")),
    field(("longhaul.quality.duplicates", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.quality.duplicates)),
        "Duplicates of its packets that a mirror port made; no other count has them.")),
    field(("longhaul.quality.gaps", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.quality.gaps)),
        "Holes in the TCP streams that were never filled.")),
    field(("longhaul.quality.one_way", 1, Kind::Bool, "", Shown::Always,
        |r| Value::Bool(r.quality.one_way), "Only one direction was seen.")),
    field(("longhaul.quality.truncated", 1, Kind::Bool, "", Shown::Always,
        |r| Value::Bool(r.quality.truncated), "A snap length or a cap cut something.")),
    field(("longhaul.quality.unconfirmed", 3, Kind::Bool, "", Shown::Sometimes,
        |r| Value::flag(r.quality.unconfirmed),
        "The initiator did not show that it got what the responder sent, so that anybody may have \
         sent its packets: over TCP it acknowledged none of it; otherwise it is from outside and \
         answered nothing, or a home host that sent nothing after the responder's first packet. \
         Or a home host spoke out of a tunnel from outside that nobody answers. Written where \
         true.")),
]
}

table! {
/// The first and the last packet.
pub(super) Packets of Record [
    field(("longhaul.packets.input", 3, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.file)),
        "Input file or interface of the first packet: `file` of run.json's `inputs`."))
        .each(&PACKETS, |r, _| Value::Int(u64::from(r.file))),
    field(("longhaul.packets.first", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.frame_first)),
        "Ordinal of the first packet's frame in that file."))
        .each(&PACKETS, |r, _| Value::Int(u64::from(r.frame_first))),
    field(("longhaul.packets.last", 1, Kind::Int, "", Shown::Always,
        |r| Value::Int(u64::from(r.frame_last)), "Ordinal of the last packet's frame."))
        .each(&PACKETS, |r, _| Value::Int(u64::from(r.frame_last))),
]
}
