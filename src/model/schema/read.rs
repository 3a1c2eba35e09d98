//! How the parts of a record are read for the table of fields.
//!
//! Owns: the optional parts. In: a record. Out: values. Never: judges, or keeps anything.

use std::fmt::Write;

use crate::model::Record;
use crate::model::app_facts::AppFacts;
use crate::model::app_facts::Certificate;
use crate::model::app_facts::ProxyHeader;
use crate::model::app_facts::Rdp;
use crate::model::app_facts::Rfb;
use crate::model::app_facts::Socks;
use crate::model::latency::Exchange;
use crate::model::latency::Exclusions;
use crate::model::latency::RoundTrips;
use crate::model::names;
use crate::model::record::AutonomousSystem;
use crate::model::record::Direction;
use crate::model::record::DnsFacts;
use crate::model::record::Holder;
use crate::model::record::HttpFacts;
use crate::model::record::Leg;
use crate::model::record::Party;
use crate::model::record::Physics;
use crate::model::record::Place;
use crate::model::record::SessionState;
use crate::model::record::SshFacts;
use crate::model::record::StunFacts;
use crate::model::record::Subject;
use crate::model::record::SynFacts;
use crate::model::record::TlsFacts;
use crate::model::record::Wrapping;
use crate::model::schema::value::List;
use crate::model::schema::value::TagScope;
use crate::model::schema::value::Value;

/// Reads one part of something a record may have.
type Part<T> = for<'a> fn(&'a T) -> Value<'a>;

fn part<'a, T>(whole: Option<&'a T>, get: Part<T>) -> Value<'a> {
    whole.map_or(Value::Absent, get)
}

pub(super) fn tls(record: &Record, get: Part<TlsFacts>) -> Value<'_> {
    part(record.facts.tls.as_deref(), get)
}

pub(super) fn dns(record: &Record, get: Part<DnsFacts>) -> Value<'_> {
    part(record.facts.dns.as_deref(), get)
}

pub(super) fn ssh(record: &Record, get: Part<SshFacts>) -> Value<'_> {
    part(record.facts.ssh.as_deref(), get)
}

pub(super) fn stun(record: &Record, get: Part<StunFacts>) -> Value<'_> {
    part(record.facts.stun(), get)
}

/// A VLAN id is a name, not a quantity: text, as in ECS.
pub(super) fn vlan(id: Option<u16>) -> Value<'static> {
    id.map_or(Value::Absent, |id| Value::Text(id.to_string()))
}

pub(super) fn wrapping(record: &Record, get: Part<Wrapping>) -> Value<'_> {
    part(record.facts.wrapping(), get)
}

pub(super) fn http(record: &Record, get: Part<HttpFacts>) -> Value<'_> {
    part(record.facts.http.as_deref(), get)
}

pub(super) fn certificate(record: &Record, get: Part<Certificate>) -> Value<'_> {
    part(record.facts.tls.as_ref().and_then(|tls| tls.certificate.as_deref()), get)
}

pub(super) fn spoken(record: &Record, get: Part<AppFacts>) -> Value<'_> {
    part(record.facts.spoken(), get)
}

pub(super) fn socks(record: &Record, get: Part<Socks>) -> Value<'_> {
    part(record.facts.socks(), get)
}

pub(super) fn rdp(record: &Record, get: Part<Rdp>) -> Value<'_> {
    part(record.facts.spoken().and_then(|spoken| spoken.rdp.as_ref()), get)
}

pub(super) fn rfb(record: &Record, get: Part<Rfb>) -> Value<'_> {
    part(record.facts.spoken().and_then(|spoken| spoken.rfb.as_ref()), get)
}

pub(super) fn proxy(record: &Record, get: Part<ProxyHeader>) -> Value<'_> {
    part(record.facts.spoken().and_then(|spoken| spoken.proxy.as_ref()), get)
}

pub(super) fn syn(record: &Record, get: Part<SynFacts>) -> Value<'_> {
    part(record.syn.as_ref(), get)
}

pub(super) fn physics(record: &Record, get: Part<Physics>) -> Value<'_> {
    part(record.context.physics.as_ref(), get)
}

pub(super) fn holder(record: &Record, get: Part<Holder>) -> Value<'_> {
    part(record.context.holder.as_deref(), get)
}

pub(super) fn place(party: &Party, get: Part<Place>) -> Value<'_> {
    part(party.place.as_deref(), get)
}

pub(super) fn asn(party: &Party, get: Part<AutonomousSystem>) -> Value<'_> {
    part(party.asn.as_deref(), get)
}

/// How many there are, where there are any.
pub(super) fn count(count: usize) -> Value<'static> {
    if count > 0 { Value::Int(count as u64) } else { Value::Absent }
}

/// IANA's keyword, else the number as text.
pub(super) fn transport(record: &Record) -> Value<'_> {
    match record.transport.name() {
        Some(name) => Value::Str(name),
        None => Value::Text(record.transport.0.to_string()),
    }
}

/// TCP, UDP, DCCP (RFC 4340), SCTP and UDP-Lite (RFC 3828) have ports.
pub(super) fn port<'a>(record: &'a Record, party: &'a Party) -> Value<'a> {
    match record.transport.0 {
        6 | 17 | 33 | 132 | 136 => Value::Int(u64::from(party.port)),
        _ => Value::Absent,
    }
}

/// ECS writes a MAC as RFC 7042 does: upper-case octets joined by hyphens.
pub(super) fn mac(party: &Party) -> Value<'_> {
    hardware(party.mac)
}

/// A link-layer address as ECS writes it.
pub(super) fn hardware(mac: Option<[u8; 6]>) -> Value<'static> {
    match mac {
        Some([a, b, c, d, e, f]) => {
            let mut text = String::with_capacity(17);
            // Writing into a String cannot fail.
            let _ = write!(text, "{a:02X}-{b:02X}-{c:02X}-{d:02X}-{e:02X}-{f:02X}");
            Value::Text(text)
        }
        None => Value::Absent,
    }
}

pub(super) fn micros(nanos: Option<u64>) -> Value<'static> {
    nanos.map_or(Value::Absent, Value::Micros)
}

/// What an exchange over TCP took beyond its transport.
pub(super) fn gap(record: &Record, exchange: Exchange, by_initiator: bool) -> Value<'_> {
    let leg = if by_initiator { &record.near } else { &record.far };
    let turns = record.facts.turns.as_deref();
    micros(turns.and_then(|turns| turns.gap(exchange, by_initiator, leg)))
}

/// Why exchanges are left out.
pub(super) fn excluded(record: &Record) -> Value<'_> {
    let excluded = record.facts.turns.as_deref().map_or(Exclusions(0), |turns| turns.excluded);
    Value::list(List::Excluded(excluded))
}

/// One part of the round trips taken while the session ran.
pub(super) fn trips(leg: &Leg, get: Part<RoundTrips>) -> Value<'_> {
    part(leg.in_session.as_ref(), get)
}

/// Round trip of an exchange over UDP to either end.
pub(super) fn over_udp(record: &Record, by_initiator: bool) -> Value<'_> {
    micros(record.facts.over_udp(by_initiator).map(|turn| turn.round_trip_ns))
}

/// What an exchange over UDP hides behind the initiator.
pub(super) fn gap_over_udp(record: &Record, exchange: Exchange) -> Value<'_> {
    micros(record.facts.turns.as_ref().and_then(|turns| turns.gap_over_udp(exchange)))
}

/// The leg that tells how far the remote end is; other directions have no remote end.
pub(super) fn remote_leg(record: &Record, get: Part<Leg>) -> Value<'_> {
    match record.context.direction {
        Direction::Inbound => get(&record.near),
        Direction::Outbound => get(&record.far),
        Direction::Internal | Direction::External => Value::Absent,
    }
}

pub(super) fn tags(record: &Record, side: TagScope) -> Value<'_> {
    Value::list(List::Tags(&record.context.hits, side))
}

pub(super) fn event_type(record: &Record) -> Value<'_> {
    let over =
        matches!(record.state, SessionState::Closed | SessionState::Reset | SessionState::Timeout);
    Value::list(List::Words(match (over, record.facts.protocol.is_some()) {
        (true, true) => &["connection", "end", "protocol"],
        (true, false) => &["connection", "end"],
        (false, true) => &["connection", "protocol"],
        (false, false) => &["connection"],
    }))
}

/// The version as ECS writes it, or (`protocol`) the protocol it is a version of.
pub(super) fn tls_version(
    record: &Record,
    which: fn(&TlsFacts) -> Option<u16>,
    protocol: bool,
) -> Value<'_> {
    let version = record.facts.tls.as_deref().and_then(which).and_then(names::tls_version);
    Value::str_opt(version.map(|(number, name)| if protocol { name } else { number }))
}

pub(super) fn rcode(code: u8) -> Value<'static> {
    match names::dns_rcode(code) {
        Some(name) => Value::Str(name),
        None => Value::Text(format!("RCODE{code}")),
    }
}

/// A `Host` header's host (RFC 9110 section 7.2: `uri-host [ ":" port ]`).
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An unbracketed IPv6 literal is no valid Host, but is more than its first groups.
        Some((name, _)) if name.contains(':') && !name.ends_with(']') => host,
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Who the session is about.
pub(super) fn subject(record: &Record) -> Value<'_> {
    match &record.context.subject {
        Some(Subject::Named(id)) => Value::Str(id),
        Some(address) => Value::Text(address.to_string()),
        None => Value::Absent,
    }
}

/// Community ID v1 is `1:` and the base64 (RFC 4648 section 4) of a SHA-1.
pub(super) fn community_id(record: &Record) -> Value<'_> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let Some(digest) = record.context.community_id else { return Value::Absent };
    let mut text = String::from("1:");
    for chunk in digest.chunks(3) {
        let bits = (0..3).fold(0u32, |all, i| all << 8 | chunk.get(i).map_or(0, |b| u32::from(*b)));
        for i in 0..4 {
            let six = (bits >> (18 - 6 * i)) & 63;
            let letter = ALPHABET.get(six as usize).copied().unwrap_or(b'=');
            text.push(if i > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    Value::Text(text)
}
