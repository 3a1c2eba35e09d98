//! Accessors of records for the table of fields.
//!
//! Owns: access to optional parts. In: a record. Out: values. Never: judgement, state.

use crate::model::app_facts::{AppFacts, Certificate, ProxyHeader, Rdp, Rfb, Socks};
use crate::model::latency::{Exchange, Exclusions, RoundTrips};
use crate::model::record::{
    AutonomousSystem, Direction, DnsFacts, Holder, HttpFacts, Leg, Party, Physics, Place,
    SessionState, SshFacts, StunFacts, Subject, SynFacts, TlsFacts, Wrapping,
};
use crate::model::schema::value::{List, TagScope, Value};
use crate::model::{Record, Transport, names};

/// Reads a field of an optional part.
type Part<T> = for<'a> fn(&'a T) -> Value<'a>;

#[inline]
fn part<'a, T>(whole: Option<&'a T>, get: Part<T>) -> Value<'a> {
    whole.map_or(Value::Absent, get)
}

#[inline]
pub(super) fn tls(record: &Record, get: Part<TlsFacts>) -> Value<'_> {
    part(record.facts.tls.as_deref(), get)
}

#[inline]
pub(super) fn dns(record: &Record, get: Part<DnsFacts>) -> Value<'_> {
    part(record.facts.dns.as_deref(), get)
}

#[inline]
pub(super) fn ssh(record: &Record, get: Part<SshFacts>) -> Value<'_> {
    part(record.facts.ssh.as_deref(), get)
}

#[inline]
pub(super) fn stun(record: &Record, get: Part<StunFacts>) -> Value<'_> {
    part(record.facts.stun(), get)
}

/// A VLAN id: text, as in ECS.
#[inline]
pub(super) fn vlan(id: Option<u16>) -> Value<'static> {
    id.map_or(Value::Absent, |id| Value::Digits(u64::from(id)))
}

#[inline]
pub(super) fn wrapping(record: &Record, get: Part<Wrapping>) -> Value<'_> {
    part(record.facts.wrapping(), get)
}

#[inline]
pub(super) fn http(record: &Record, get: Part<HttpFacts>) -> Value<'_> {
    part(record.facts.http.as_deref(), get)
}

#[inline]
pub(super) fn certificate(record: &Record, get: Part<Certificate>) -> Value<'_> {
    part(record.facts.tls.as_ref().and_then(|tls| tls.certificate.as_deref()), get)
}

#[inline]
pub(super) fn app_facts(record: &Record, get: Part<AppFacts>) -> Value<'_> {
    part(record.facts.app_facts(), get)
}

#[inline]
pub(super) fn socks(record: &Record, get: Part<Socks>) -> Value<'_> {
    part(record.facts.socks(), get)
}

#[inline]
pub(super) fn rdp(record: &Record, get: Part<Rdp>) -> Value<'_> {
    part(record.facts.app_facts().and_then(|app_facts| app_facts.rdp.as_ref()), get)
}

#[inline]
pub(super) fn rfb(record: &Record, get: Part<Rfb>) -> Value<'_> {
    part(record.facts.app_facts().and_then(|app_facts| app_facts.rfb.as_ref()), get)
}

#[inline]
pub(super) fn proxy(record: &Record, get: Part<ProxyHeader>) -> Value<'_> {
    part(record.facts.app_facts().and_then(|app_facts| app_facts.proxy.as_ref()), get)
}

#[inline]
pub(super) fn syn(record: &Record, get: Part<SynFacts>) -> Value<'_> {
    part(record.syn.as_ref(), get)
}

#[inline]
pub(super) fn physics(record: &Record, get: Part<Physics>) -> Value<'_> {
    part(record.context.physics.as_ref(), get)
}

#[inline]
pub(super) fn holder(record: &Record, get: Part<Holder>) -> Value<'_> {
    part(record.context.holder.as_deref(), get)
}

#[inline]
pub(super) fn place(party: &Party, get: Part<Place>) -> Value<'_> {
    part(party.place.as_deref(), get)
}

#[inline]
pub(super) fn asn(party: &Party, get: Part<AutonomousSystem>) -> Value<'_> {
    part(party.asn.as_deref(), get)
}

/// Coordinates from a database, if they are possible ones: Elasticsearch rejects a whole line for a
/// geo point out of range.
#[inline]
pub(super) fn point(place: &Place) -> Option<(f64, f64)> {
    let real = |(lat, lon): &(f64, f64)| lat.abs() <= 90.0 && lon.abs() <= 180.0;
    place.location.filter(real)
}

/// The number of answers to the first question.
pub(super) fn answers(record: &Record) -> usize {
    record.facts.dns.as_ref().map_or(0, |dns| dns.answers.len())
}

/// One answer: its type and data.
#[inline]
pub(super) fn answer(record: &Record, at: usize, get: Part<(u16, Box<str>)>) -> Value<'_> {
    part(record.facts.dns.as_ref().and_then(|dns| dns.answers.get(at)), get)
}

/// A count, absent if it is zero.
#[inline]
pub(super) fn count(count: usize) -> Value<'static> {
    if count > 0 { Value::Int(count as u64) } else { Value::Absent }
}

/// IANA's keyword, or the number as text if it has none.
#[inline]
pub(super) fn transport(record: &Record) -> Value<'_> {
    match record.transport.name() {
        Some(name) => Value::Word(name),
        None => Value::Digits(u64::from(record.transport.0)),
    }
}

/// TCP, UDP, DCCP (RFC 4340), SCTP and UDP-Lite (RFC 3828) have ports.
#[inline]
pub(super) fn port<'a>(record: &'a Record, party: &'a Party) -> Value<'a> {
    match record.transport.0 {
        6 | 17 | 33 | 132 | 136 => Value::Int(u64::from(party.port)),
        _ => Value::Absent,
    }
}

/// A link-layer address, or absent.
#[inline]
pub(super) fn mac(mac: Option<[u8; 6]>) -> Value<'static> {
    mac.map_or(Value::Absent, Value::Mac)
}

/// The time of an exchange over TCP beyond the round trip of its transport.
pub(super) fn gap(record: &Record, exchange: Exchange, by_initiator: bool) -> Value<'_> {
    let leg = if by_initiator { &record.near } else { &record.far };
    let turns = record.facts.turns.as_deref();
    Value::micros_opt(turns.and_then(|turns| turns.gap(exchange, by_initiator, leg)))
}

/// The lag of one of the initiator's first turns, from 0.
pub(super) fn lag(record: &Record, turn: usize) -> Value<'_> {
    let turns = record.facts.turns.as_deref();
    Value::micros_opt(turns.and_then(|turns| turns.lags.ns(true, turn)))
}

/// The lowest lag of the responder's first turns.
pub(super) fn server_lag(record: &Record) -> Value<'_> {
    let turns = record.facts.turns.as_deref();
    Value::micros_opt(turns.and_then(|turns| turns.lags.lowest_ns(false)))
}

/// The reasons why exchanges are excluded.
pub(super) fn excluded(record: &Record) -> Value<'_> {
    let excluded = record.facts.turns.as_deref().map_or(Exclusions(0), |turns| turns.excluded);
    Value::list(List::Excluded(excluded))
}

/// A field of the round trips measured within the session.
#[inline]
pub(super) fn trips(leg: &Leg, get: Part<RoundTrips>) -> Value<'_> {
    part(leg.in_session.as_ref(), get)
}

/// Round trip of an exchange over UDP to either end.
pub(super) fn over_udp(record: &Record, by_initiator: bool) -> Value<'_> {
    Value::micros_opt(record.facts.over_udp(by_initiator).map(|turn| turn.round_trip_ns))
}

/// What OpenVPN's takes beyond its transport, over TCP or UDP.
pub(super) fn gap_of_openvpn(record: &Record) -> Value<'_> {
    match record.transport {
        Transport::TCP => gap(record, Exchange::Openvpn, true),
        _ => gap_over_udp(record, Exchange::Openvpn),
    }
}

/// The hidden leg behind the initiator according to an exchange over UDP.
pub(super) fn gap_over_udp(record: &Record, exchange: Exchange) -> Value<'_> {
    Value::micros_opt(record.facts.turns.as_ref().and_then(|turns| turns.gap_over_udp(exchange)))
}

/// The leg to the remote end; only inbound and outbound sessions have a remote end.
#[inline]
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

/// The TLS version as in ECS, or with `protocol` the name of the protocol.
pub(super) fn tls_version(
    record: &Record,
    which: fn(&TlsFacts) -> Option<u16>,
    protocol: bool,
) -> Value<'_> {
    let version = record.facts.tls.as_deref().and_then(which).and_then(names::tls_version);
    Value::word_opt(version.map(|(number, name)| if protocol { name } else { number }))
}

pub(super) fn rcode(code: u8) -> Value<'static> {
    match names::dns_rcode(code) {
        Some(name) => Value::Word(name),
        None => Value::Code("RCODE", u64::from(code)),
    }
}

/// A `Host` header's host (RFC 9110 section 7.2: `uri-host [ ":" port ]`).
pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // An IPv6 literal without brackets is not a valid Host; it is kept whole.
        Some((name, _)) if name.contains(':') && !name.ends_with(']') => host,
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The subject of the session.
pub(super) fn subject(record: &Record) -> Value<'_> {
    match &record.context.subject {
        Some(Subject::Named(id)) => Value::Str(id),
        Some(Subject::Address(address)) => Value::Ip(*address),
        None => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_cut_off_a_host_and_nothing_else() {
        for (host, want) in [
            ("example.com", "example.com"),
            ("example.com:80", "example.com"),
            ("[2001:db8::1]:80", "[2001:db8::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("2001:db8::1", "2001:db8::1"),
            ("", ""),
        ] {
            assert_eq!(without_port(host), want);
        }
    }
}
