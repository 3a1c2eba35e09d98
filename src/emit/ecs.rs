//! A session as one line of ECS JSON.
//!
//! Owns: the names, types and order of a session's fields. In: a record. Out: bytes appended to a
//! buffer.
//! Never: null, an empty object, a value the record does not hold.

use crate::emit::Origin;
use crate::emit::facts::put_facts;
use crate::emit::facts::put_own_facts;
use crate::emit::gaps::put_gaps;
use crate::emit::json::ELEMENT;
use crate::emit::json::Json;
use crate::emit::json::QUOTED_ELEMENT;
use crate::emit::json::key;
use crate::emit::json::quoted;
use crate::emit::legs::put_leg;
use crate::emit::over_udp;
use crate::emit::physics::put_physics;
use crate::emit::text;
use crate::model::Addr;
use crate::model::Record;
use crate::model::Transport;
use crate::model::record::AutonomousSystem;
use crate::model::record::Context;
use crate::model::record::Holder;
use crate::model::record::Party;
use crate::model::record::Place;
use crate::model::record::Quality;
use crate::model::record::SessionState;
use crate::model::record::Subject;
use crate::model::record::SynFacts;

/// Appends one line, ending in a newline.
pub fn render_session(record: &Record, origin: &Origin, out: &mut Vec<u8>) {
    let mut json = Json::begin(out);
    put_event(&mut json, record);
    json.raw(key!("observer"), origin.observer());
    put_related(&mut json, [record.initiator.ip, record.responder.ip]);
    let ports = has_ports(record.transport);
    let mark = json.open(key!("source"));
    put_party(&mut json, &record.initiator, ports);
    json.close(mark);
    let mark = json.open(key!("destination"));
    json.string_opt(quoted!("domain"), record.responder_name());
    put_party(&mut json, &record.responder, ports);
    json.close(mark);
    put_network(&mut json, record);
    put_facts(&mut json, &record.facts);
    put_longhaul(&mut json, record);
    json.end_line();
}

/// `@timestamp` is the last packet's time: a session is a fact when it is over, tools that page
/// through "the last hour" then find every session that ended in it, and it is what Suricata and
/// Packetbeat do. Its beginning is `event.start`.
fn put_event(json: &mut Json<'_>, record: &Record) {
    json.moment(quoted!("@timestamp"), record.end);
    json.literal(r#","ecs":{"version":"8.17.0"}"#);
    let mark = json.open(key!("event"));
    json.literal(match (record.state, record.facts.protocol.is_some()) {
        (SessionState::Closed | SessionState::Reset | SessionState::Timeout, false) => {
            r#","kind":"event","category":["network"],"type":["connection","end"]"#
        }
        (SessionState::Closed | SessionState::Reset | SessionState::Timeout, true) => {
            r#","kind":"event","category":["network"],"type":["connection","end","protocol"]"#
        }
        (_, false) => r#","kind":"event","category":["network"],"type":["connection"]"#,
        (_, true) => r#","kind":"event","category":["network"],"type":["connection","protocol"]"#,
    });
    if record.update.is_some() {
        json.literal(r#","action":"session-update""#);
    }
    json.literal(r#","dataset":"longhaul.session""#);
    json.hex(quoted!("id"), Some(record.id));
    json.moment(quoted!("start"), record.start);
    json.moment(quoted!("end"), record.end);
    // Of moments that a damaged clock has set centuries apart: stores count up to 2^63 - 1.
    json.number(key!("duration"), record.end.since(record.start).0.min(i64::MAX as u64));
    json.close(mark);
}

/// `related.ip`: every address of the event, each once.
pub(super) fn put_related<const N: usize>(json: &mut Json<'_>, ips: [Addr; N]) {
    let mark = json.open(key!("related"));
    let list = json.open(key!("ip"));
    for (i, ip) in ips.iter().enumerate() {
        if !ips.iter().take(i).any(|before| before == ip) {
            json.addr(QUOTED_ELEMENT, *ip);
        }
    }
    json.close_list(list);
    json.close(mark);
}

/// Protocols whose session has port numbers: TCP, UDP, DCCP (RFC 4340), SCTP, UDP-Lite (RFC 3828).
const fn has_ports(transport: Transport) -> bool {
    matches!(transport.0, 6 | 17 | 33 | 132 | 136)
}

fn put_party(json: &mut Json<'_>, party: &Party, ports: bool) {
    json.addr(quoted!("ip"), party.ip);
    if let Some(v4) = party.behind {
        let mark = json.open(key!("nat"));
        json.addr(quoted!("ip"), v4.into());
        json.close(mark);
    }
    if ports {
        json.number(key!("port"), party.port);
    }
    if let Some(mac) = party.mac {
        json.quoted(quoted!("mac"), |out| text::put_mac(out, mac));
    }
    json.number(key!("bytes"), party.bytes);
    json.number(key!("packets"), party.packets);
    put_place(json, party.place.as_deref());
    put_as(json, party.asn.as_deref());
}

/// `geo` of whatever object is open.
pub(super) fn put_place(json: &mut Json<'_>, place: Option<&Place>) {
    let Some(place) = place else { return };
    let mark = json.open(key!("geo"));
    json.string_opt(quoted!("country_iso_code"), place.country.as_deref());
    json.string_opt(quoted!("region_iso_code"), place.region.as_deref());
    // A database may say anything; a store refuses the whole line for a point that is nowhere.
    if let Some((lat, lon)) = place.location
        && (-90.0..=90.0).contains(&lat)
        && (-180.0..=180.0).contains(&lon)
    {
        let mark = json.open(key!("location"));
        json.float(key!("lat"), lat);
        json.float(key!("lon"), lon);
        json.close(mark);
    }
    json.close(mark);
}

/// `as` of whatever object is open.
pub(super) fn put_as(json: &mut Json<'_>, asn: Option<&AutonomousSystem>) {
    let Some(asn) = asn else { return };
    let mark = json.open(key!("as"));
    json.number(key!("number"), asn.number);
    let inner = json.open(key!("organization"));
    json.string_opt(quoted!("name"), asn.organization.as_deref());
    json.close(inner);
    json.close(mark);
}

fn put_network(json: &mut Json<'_>, record: &Record) {
    let mark = json.open(key!("network"));
    json.word(quoted!("type"), if record.version == 6 { "ipv6" } else { "ipv4" });
    put_transport(json, record.transport);
    json.quoted(quoted!("iana_number"), |out| text::put_u64(out, u64::from(record.transport.0)));
    if let Some(protocol) = record.facts.protocol {
        json.word(quoted!("protocol"), protocol.as_str());
    }
    json.string_opt(quoted!("application"), record.context.application.as_deref());
    json.word(quoted!("direction"), record.context.direction.as_str());
    if let Some(id) = record.context.community_id {
        json.quoted(quoted!("community_id"), |out| {
            out.extend_from_slice(b"1:");
            text::put_base64(out, &id);
        });
    }
    let (from, to) = (&record.initiator, &record.responder);
    json.number(key!("bytes"), from.bytes.saturating_add(to.bytes));
    json.number(key!("packets"), from.packets.saturating_add(to.packets));
    if let Some(vlan) = record.facts.wrapping().and_then(|wrapping| wrapping.inner_vlan) {
        let inner = json.open(key!("inner"));
        put_vlan(json, vlan);
        json.close(inner);
    }
    if let Some(vlan) = record.vlan {
        put_vlan(json, vlan);
    }
    json.close(mark);
}

/// `vlan.id` is a keyword in ECS: a name of the network, not a quantity.
fn put_vlan(json: &mut Json<'_>, vlan: u16) {
    let mark = json.open(key!("vlan"));
    json.quoted(quoted!("id"), |out| text::put_u64(out, u64::from(vlan)));
    json.close(mark);
}

/// `transport` of whatever object is open: IANA's keyword, else the number.
pub(super) fn put_transport(json: &mut Json<'_>, transport: Transport) {
    match transport.name() {
        Some(name) => json.word(quoted!("transport"), name),
        None => json.quoted(quoted!("transport"), |out| {
            text::put_u64(out, u64::from(transport.0));
        }),
    }
}

fn put_longhaul(json: &mut Json<'_>, record: &Record) {
    let mark = json.open(key!("longhaul"));
    json.word(quoted!("state"), record.state.as_str());
    put_leg(json, key!("near"), &record.near, over_udp::round_trip(record, true));
    put_leg(json, key!("far"), &record.far, over_udp::round_trip(record, false));
    over_udp::put_method(json, &record.facts);
    put_gaps(json, record);
    if let Some(syn) = &record.syn {
        put_syn(json, syn);
    }
    put_own_facts(json, &record.facts);
    put_lasting(json, record);
    put_context(json, &record.context);
    let inner = json.open(key!("quality"));
    put_quality(json, &record.quality);
    json.close(inner);
    put_packets(json, record);
    json.close(mark);
}

/// Most sessions do not last: these have nothing here.
fn put_lasting(json: &mut Json<'_>, record: &Record) {
    if let Some(number) = record.update {
        json.number(key!("update"), number);
    }
    let Some(activity) = &record.activity else { return };
    let mark = json.open(key!("activity"));
    json.number(key!("seconds"), activity.seconds);
    json.number(key!("messages_up"), activity.messages_up);
    json.number(key!("messages_down"), activity.messages_down);
    if let Some(last) = activity.last {
        json.moment(quoted!("last"), last);
    }
    json.close(mark);
}

/// One place, in a list as the alerts have it. The input is told by index: the same capture gives
/// the same lines wherever its file lies.
fn put_packets(json: &mut Json<'_>, record: &Record) {
    let list = json.open(key!("packets"));
    let place = json.open(ELEMENT);
    json.number(key!("input"), record.file);
    json.number(key!("first"), record.frame_first);
    json.number(key!("last"), record.frame_last);
    json.close(place);
    json.close_list(list);
}

fn put_syn(json: &mut Json<'_>, syn: &SynFacts) {
    let mark = json.open(key!("tcp"));
    if let Some(mss) = syn.mss {
        json.number(key!("syn_mss"), mss);
    }
    if let Some(mtu) = syn.mtu_hint {
        json.number(key!("mtu_hint"), mtu);
    }
    if let Some(os) = syn.os_hint {
        json.word(quoted!("os_hint"), os);
    }
    json.flag(key!("timestamps"), syn.timestamps);
    if let Some(scale) = syn.window_scale {
        json.number(key!("window_scale"), scale);
    }
    json.number(key!("window"), syn.window);
    json.close(mark);
}

fn put_context(json: &mut Json<'_>, context: &Context) {
    let mark = json.open(key!("subject"));
    match &context.subject {
        Some(Subject::Named(id)) => json.string(quoted!("id"), id),
        Some(Subject::Address(addr)) => json.addr(quoted!("id"), *addr),
        None => {}
    }
    json.string_opt(quoted!("name"), context.subject_name.as_deref());
    json.string_opt(quoted!("role"), context.subject_role.as_deref());
    json.string_opt(quoted!("hired"), context.subject_hired.as_deref());
    json.close(mark);
    let mark = json.open(key!("names"));
    json.string_opt(quoted!("contradiction"), context.contradicted_name.as_deref());
    json.close(mark);
    if let Some(holder) = &context.holder {
        put_holder(json, holder);
    }
    if let Some(physics) = &context.physics {
        put_physics(json, physics);
    }
    put_tags(json, context);
    if let Some(reason) = context.application_reason {
        let mark = json.open(key!("application"));
        json.word(quoted!("reason"), reason);
        if context.application_approved {
            json.flag(key!("approved"), true);
        }
        json.close(mark);
    }
}

fn put_holder(json: &mut Json<'_>, holder: &Holder) {
    let mark = json.open(key!("device"));
    if let Some(mac) = holder.mac {
        json.quoted(quoted!("mac"), |out| text::put_mac(out, mac));
    }
    json.string_opt(quoted!("name"), holder.host.as_deref());
    json.string_opt(quoted!("user"), holder.user.as_deref());
    let list = json.open(key!("known_by"));
    for word in &holder.known_by {
        json.word(QUOTED_ELEMENT, word);
    }
    json.close_list(list);
    if holder.named_by.count() > 0 {
        json.number(key!("name_sources"), holder.named_by.count());
    }
    json.close(mark);
}

/// The tags of the lists that matched: each once, in order. A session has a handful of hits, so
/// looking for the next greater one each time is cheaper than a sorted copy.
fn put_tags(json: &mut Json<'_>, context: &Context) {
    let list = json.open(key!("tags"));
    let mut last: Option<&str> = None;
    while let Some(next) = context
        .hits
        .iter()
        .map(|hit| &*hit.tag)
        .filter(|tag| last.is_none_or(|last| *tag > last))
        .min()
    {
        json.string(QUOTED_ELEMENT, next);
        last = Some(next);
    }
    json.close_list(list);
}

/// `quality` as an object of its own, and a newline.
pub(super) fn put_quality_members(quality: &Quality, out: &mut Vec<u8>) {
    let mut json = Json::begin(out);
    put_quality(&mut json, quality);
    json.end_line();
}

/// The members of `quality`; always all that count, since a zero is a statement here.
fn put_quality(json: &mut Json<'_>, quality: &Quality) {
    if *quality == Quality::default() {
        return json.literal(concat!(
            r#","retransmits":0,"out_of_order":0,"duplicates":0,"gaps":0,"#,
            r#""one_way":false,"truncated":false"#
        ));
    }
    json.number(key!("retransmits"), quality.retransmits);
    json.number(key!("out_of_order"), quality.out_of_order);
    json.number(key!("duplicates"), quality.duplicates);
    json.number(key!("gaps"), quality.gaps);
    json.flag(key!("one_way"), quality.one_way);
    json.flag(key!("truncated"), quality.truncated);
    if quality.unconfirmed {
        json.flag(key!("unconfirmed"), true);
    }
}

#[cfg(test)]
#[path = "ecs_tests.rs"]
mod tests;
