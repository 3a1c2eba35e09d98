//! Builds records from flat JSON objects, so that a test of a rule is data.
//!
//! Owns: setting fields by name. In: JSON. Out: a record with exactly these values, or an error.
//! Never: used for captured traffic.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::records::app_facts::set_app_facts;
use crate::records::interaction::{set_echo, set_interaction, set_remote_control, set_stalls};
use crate::records::latency::gap_over_udp;
use crate::records::latency::set_gap;
use crate::records::latency::set_gap_over_udp;
use crate::records::latency::set_lag;
use crate::records::latency::set_over_udp;
use crate::records::latency::set_trips;
use crate::records::physics::set_lasting;
use crate::records::physics::set_physics;
use longhaul::model::Addr;
use longhaul::model::Nanos;
use longhaul::model::Record;
use longhaul::model::Transport;
use longhaul::model::addr::parse_mac;
use longhaul::model::names;
use longhaul::model::record::{
    AutonomousSystem, Context, Direction, DnsFacts, Facts, Holder, HttpFacts, Leg, ListHit,
    NameSources, Party, Place, Protocol, Quality, SessionState, SshFacts, Subject, SynFacts,
    TlsFacts,
};
use longhaul::model::schema;

/// 2026-11-22T10:00:00Z: the start of sessions in cases.
pub(super) const START: Nanos = Nanos::from_secs(1_795_341_600);

/// A record with these fields; the others are those of a small established TCP session between the
/// documentation prefixes of RFC 5737.
///
/// Errors: a field that is unknown, that a case cannot set, or that the record returns with another
/// value.
pub fn record_from_json(object: &Map<String, Json>) -> Result<Record, String> {
    for name in object.keys() {
        if schema::find(name).is_none_or(|field| !field.in_rules()) {
            return Err(format!("unknown field `{name}`"));
        }
    }
    let mut record = blank();
    for field in schema::all() {
        if let Some(value) = object.get(field.name) {
            set(&mut record, field.name, value)
                .ok_or_else(|| format!("`{}` cannot be set to {value}", field.name))?;
        }
    }
    for field in schema::all() {
        let have = (field.get)(&record).to_json();
        if let Some(want) = object.get(field.name)
            && !same(&have, want)
        {
            return Err(format!("`{}` is {have} where the case says {want}", field.name));
        }
    }
    Ok(record)
}

pub(super) fn same(a: &Json, b: &Json) -> bool {
    if let (Some(a), Some(b)) = (a.as_array(), b.as_array()) {
        // Tags are a set: their order in a case does not matter.
        return a.len() == b.len() && b.iter().all(|value| a.contains(value));
    }
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs(),
        _ => a == b,
    }
}

fn blank() -> Record {
    let party = |ip: [u8; 4], port| Party {
        ip: Addr::v4(ip),
        port,
        mac: None,
        bytes: 1_000,
        packets: 10,
        ttl: None,
        place: None,
        asn: None,
        behind: None,
        longest: None,
        path: None,
    };
    Record {
        at: START,
        start: START,
        end: START,
        state: SessionState::Established,
        transport: Transport::TCP,
        version: 4,
        vlan: None,
        id: [0; 16],
        point: 0,
        initiator: party([192, 0, 2, 1], 50_000),
        responder: party([198, 51, 100, 1], 443),
        near: Leg::default(),
        far: Leg::default(),
        syn: None,
        quality: Quality::default(),
        facts: Facts::default(),
        context: Context::default(),
        file: 0,
        frame_first: 0,
        frame_last: 0,
        twin: 0,
        doubtful: false,
        activity: None,
        interaction: None,
        remote_control: None,
        update: None,
        grain: longhaul::model::Grain::default(),
    }
}

fn set(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    match name.split_once('.') {
        Some(("source", "ip")) => record.version = family(value)?,
        Some(("tls", rest)) if rest.starts_with("server.") && rest != "server.ja3s" => {
            return set_app_facts(record, name, value);
        }
        Some(("tls", rest)) => return set_tls(record, rest, value),
        Some(("dns", rest)) => return set_dns(record, rest, value),
        Some(("network", rest)) => return set_network(record, rest, value),
        _ => {}
    }
    if let Some(rest) = name.strip_prefix("source.") {
        return set_party(&mut record.initiator, rest, value);
    }
    if name == "destination.domain" {
        record.context.responder_name = Some(value.as_str()?.into());
        return Some(());
    }
    if let Some(rest) = name.strip_prefix("destination.") {
        return set_party(&mut record.responder, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.near.rtt.") {
        return set_trips(record.near.in_session.get_or_insert_default(), rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.far.rtt.") {
        return set_trips(record.far.in_session.get_or_insert_default(), rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.quality.") {
        return set_quality(&mut record.quality, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.tcp.") {
        return set_syn(record.syn.get_or_insert_default(), rest, value);
    }
    if name == "longhaul.update" || name.starts_with("longhaul.activity.") {
        return set_lasting(record, name, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.interaction.") {
        return set_interaction(record, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.stalls.") {
        return set_stalls(record, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.echo.") {
        return set_echo(record, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.remote_control.") {
        return set_remote_control(record, rest, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.physics.") {
        return set_physics(&mut record.context, rest, value);
    }
    if let Some(exchange) = gap_over_udp(name) {
        return set_gap_over_udp(record, exchange, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.gap.") {
        return set_gap(record, rest, value, true);
    }
    if name.starts_with("longhaul.lag.") || name.starts_with("longhaul.server_lag.") {
        return set_lag(record, name, value);
    }
    if let Some(rest) = name.strip_prefix("longhaul.server_gap.") {
        return set_gap(record, rest, value, false);
    }
    set_other(record, name, value)
}

fn set_other(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let context = &mut record.context;
    match name {
        "event.start" => record.start = Nanos::parse(value.as_str()?)?,
        "event.duration" => record.end = record.start.plus(Nanos(value.as_u64()?)),
        "longhaul.state" => record.state = state(value.as_str()?)?,
        "longhaul.near.handshake_us" => record.near.handshake_ns = Some(nanos(value)?),
        "longhaul.far.handshake_us" => record.far.handshake_ns = Some(nanos(value)?),
        "longhaul.near.exchange_us" | "longhaul.far.exchange_us" | "longhaul.exchange.method" => {
            let turns = record.facts.turns.get_or_insert_default();
            set_over_udp(turns, name.strip_prefix("longhaul.")?, value)?;
        }
        "longhaul.subject.id" => context.subject = Some(Subject::Named(value.as_str()?.into())),
        "longhaul.subject.name" => context.subject_name = Some(value.as_str()?.into()),
        "longhaul.subject.role" => context.subject_role = Some(value.as_str()?.into()),
        "longhaul.subject.hired" => context.subject_hired = Some(value.as_str()?.into()),
        "longhaul.device.arp_senders" => context.arp_senders = small(value)?,
        name if name.starts_with("longhaul.device.") => set_holder(context, name, value)?,
        "longhaul.application.reason" => {
            context.application_reason = Some(reason(value.as_str()?)?)
        }
        "longhaul.names.contradiction" => context.contradicted_name = Some(value.as_str()?.into()),
        "longhaul.application.approved" => context.application_approved = value.as_bool()?,
        "longhaul.tags" | "longhaul.destination.tags" => {
            add_tags(context, "destination.ip", value)?
        }
        "longhaul.source.tags" => add_tags(context, "source.ip", value)?,
        "longhaul.packets.input" => record.file = small(value)?,
        "longhaul.packets.first" => record.frame_first = small(value)?,
        "longhaul.packets.last" => record.frame_last = small(value)?,
        "url.domain" => http(record).host = text(value),
        "http.request.method" => http(record).method = text(value),
        "http.response.status_code" => http(record).status = Some(small(value)?),
        "user_agent.original" => http(record).user_agent = text(value),
        "longhaul.http.connect_target" => http(record).connect_target = text(value),
        "longhaul.ssh.client" => ssh(record).client = text(value),
        "longhaul.ssh.server" => ssh(record).server = text(value),
        "longhaul.ssh.hassh" => ssh(record).hassh = Some(hex(value)?),
        "longhaul.ssh.hassh_server" => ssh(record).hassh_server = Some(hex(value)?),
        "longhaul.stun.mapped" => stun(record).mapped = texts(value)?,
        "longhaul.stun.peers" => stun(record).peers = texts(value)?,
        "longhaul.stun.checks" => stun(record).checks = small(value)?,
        "longhaul.stun.goog_pings" => stun(record).goog_pings = small(value)?,
        "longhaul.stun.change_request" => stun(record).change_request = value.as_bool()?,
        "longhaul.tls.alpn" => tls(record).alpn = texts(value)?,
        "longhaul.tls.version_offered" => tls(record).version_offered = Some(version(value)?),
        "longhaul.tls.retry_request" => tls(record).retry_request = value.as_bool()?,
        "longhaul.tls.early_data" => tls(record).early_data = value.as_bool()?,
        "longhaul.tls.ja4_unresumed" => tls(record).ja4_unresumed = text(value),
        "longhaul.tls.ech" => tls(record).ech = value.as_bool()?,
        "longhaul.dns.questions" => dns(record).questions = small(value)?,
        "longhaul.dns.responses" => dns(record).responses = small(value)?,
        "longhaul.dns.more_names" => dns(record).more_names = texts(value)?,
        _ => return set_app_facts(record, name, value),
    }
    Some(())
}

fn set_holder(context: &mut Context, name: &str, value: &Json) -> Option<()> {
    let mut holder = context.holder.as_deref().cloned().unwrap_or_default();
    match name {
        "longhaul.device.name" => holder.host = Some(value.as_str()?.into()),
        "longhaul.device.user" => holder.user = Some(value.as_str()?.into()),
        "longhaul.device.mac" => holder.mac = Some(parse_mac(value.as_str()?)?),
        "longhaul.device.known_by" => {
            let words = texts(value)?;
            let known = |word: &str| Holder::SOURCES.into_iter().find(|source| *source == word);
            holder.known_by = words.iter().map(|word| known(word)).collect::<Option<_>>()?;
        }
        "longhaul.device.name_sources" => {
            let first = Holder::SOURCES.into_iter().take(small(value)?);
            let known = holder.named_by;
            holder.named_by = first.fold(known, |all, by| all.with(NameSources::of(by)));
        }
        "longhaul.device.name_confirmed" if value.as_bool()? => {
            holder.named_by = holder.named_by.twice();
        }
        _ => return None,
    }
    context.holder = Some(Arc::new(holder));
    Some(())
}

fn set_party(party: &mut Party, name: &str, value: &Json) -> Option<()> {
    let mut place = party.place.as_deref().cloned().unwrap_or(Place {
        cached: Default::default(),
        country: None,
        region: None,
        location: None,
        radius_km: None,
    });
    let (lat, lon) = place.location.unwrap_or_default();
    let system = party.asn.as_deref().cloned();
    let mut system = system.unwrap_or(AutonomousSystem {
        number: 0,
        organization: None,
        cached: Default::default(),
    });
    match name {
        "ip" => party.ip = Addr::from(value.as_str()?.parse::<std::net::IpAddr>().ok()?),
        "nat.ip" => party.behind = Some(value.as_str()?.parse().ok()?),
        "port" => party.port = small(value)?,
        "mac" => party.mac = Some(hex(value)?),
        "bytes" => party.bytes = value.as_u64()?,
        "packets" => party.packets = value.as_u64()?,
        "geo.country_iso_code" => place.country = text(value),
        "geo.region_iso_code" => place.region = text(value),
        "geo.location.lat" => place.location = Some((value.as_f64()?, lon)),
        "geo.location.lon" => place.location = Some((lat, value.as_f64()?)),
        "as.number" => system.number = small(value)?,
        "as.organization.name" => system.organization = text(value),
        _ => return None,
    }
    if name.starts_with("geo.") {
        party.place = Some(Arc::new(place));
    } else if name.starts_with("as.") {
        party.asn = Some(Arc::new(system));
    }
    Some(())
}

fn set_network(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    match name {
        "type" => record.version = if value.as_str()? == "ipv6" { 6 } else { 4 },
        "transport" => {
            let want = value.as_str()?;
            let named = (0..=255).map(Transport).find(|t| t.name() == Some(want));
            record.transport = named.or_else(|| want.parse().ok().map(Transport))?;
        }
        "iana_number" => record.transport = Transport(value.as_str()?.parse().ok()?),
        "protocol" => record.facts.protocol = Some(protocol(value.as_str()?)?),
        "application" => record.context.application = Some(value.as_str()?.into()),
        "direction" => record.context.direction = direction(value.as_str()?)?,
        "bytes" => {
            record.initiator.bytes = value.as_u64()?.checked_sub(record.responder.bytes)?;
        }
        "packets" => {
            record.initiator.packets = value.as_u64()?.checked_sub(record.responder.packets)?;
        }
        "vlan.id" => record.vlan = Some(value.as_str()?.parse().ok()?),
        _ => return None,
    }
    Some(())
}

fn set_tls(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let tls = tls(record);
    match name {
        "version" => tls.version = Some(version(value)?),
        // Follows from the version: only checked.
        "version_protocol" => {}
        "cipher" => tls.cipher = Some(cipher(value.as_str()?)?),
        "next_protocol" => tls.alpn_chosen = text(value),
        "resumed" => tls.resumed = Some(value.as_bool()?),
        "client.server_name" => tls.server_name = text(value),
        "client.ja3" => tls.ja3 = Some(hex(value)?),
        "client.ja4" => tls.ja4 = text(value),
        "client.supported_ciphers" => {
            let all = value.as_array()?.iter();
            tls.ciphers = all.map(|v| cipher(v.as_str()?)).collect::<Option<_>>()?;
        }
        "server.ja3s" => tls.ja3s = Some(hex(value)?),
        _ => return None,
    }
    Some(())
}

fn set_dns(record: &mut Record, name: &str, value: &Json) -> Option<()> {
    let dns = dns(record);
    match name {
        "question.name" => {
            dns.name = text(value);
            dns.qtype = 1;
        }
        "question.type" => dns.qtype = dns_type(value.as_str()?)?,
        "answers.type" => {
            let codes = value.as_array()?.iter().map(|v| dns_type(v.as_str()?));
            dns.answers =
                codes.map(|code| Some((code?, Box::from("")))).collect::<Option<Vec<_>>>()?;
        }
        "answers.data" => {
            let data = texts(value)?;
            dns.answers.resize(data.len(), (1, Box::from("")));
            for (answer, data) in dns.answers.iter_mut().zip(data) {
                answer.1 = data;
            }
        }
        "response_code" => {
            let want = value.as_str()?;
            dns.rcode = Some((0..=15).find(|code| names::dns_rcode(*code) == Some(want))?);
        }
        _ => return None,
    }
    Some(())
}

fn set_syn(syn: &mut SynFacts, name: &str, value: &Json) -> Option<()> {
    match name {
        "syn_mss" => syn.mss = Some(small(value)?),
        "mtu_hint" => syn.mtu_hint = Some(small(value)?),
        "timestamps" => syn.timestamps = value.as_bool()?,
        "window_scale" => syn.window_scale = Some(small(value)?),
        "window" => syn.window = small(value)?,
        _ => return None,
    }
    Some(())
}

fn set_quality(quality: &mut Quality, name: &str, value: &Json) -> Option<()> {
    match name {
        "retransmits" => quality.retransmits = small(value)?,
        "out_of_order" => quality.out_of_order = small(value)?,
        "duplicates" => quality.duplicates = small(value)?,
        "gaps" => quality.gaps = small(value)?,
        "one_way" => quality.one_way = value.as_bool()?,
        "truncated" => quality.truncated = value.as_bool()?,
        "unconfirmed" => quality.unconfirmed = value.as_bool()?,
        _ => return None,
    }
    Some(())
}

fn add_tags(context: &mut Context, on: &'static str, value: &Json) -> Option<()> {
    for tag in texts(value)? {
        let (tag, entry) = (Arc::from(tag), Arc::from("case"));
        context.hits.push(ListHit { list: 0, tag, entry, on });
    }
    Some(())
}

fn tls(record: &mut Record) -> &mut TlsFacts {
    record.facts.tls.get_or_insert_default()
}

fn dns(record: &mut Record) -> &mut DnsFacts {
    record.facts.dns.get_or_insert_default()
}

fn ssh(record: &mut Record) -> &mut SshFacts {
    record.facts.ssh.get_or_insert_default()
}

fn stun(record: &mut Record) -> &mut longhaul::model::record::StunFacts {
    record.facts.rare_mut().stun.get_or_insert_default()
}

fn http(record: &mut Record) -> &mut HttpFacts {
    record.facts.http.get_or_insert_default()
}

pub(super) fn text(value: &Json) -> Option<Box<str>> {
    value.as_str().map(Box::from)
}

pub(super) fn texts(value: &Json) -> Option<Vec<Box<str>>> {
    value.as_array()?.iter().map(text).collect()
}

pub(super) fn small<T: TryFrom<u64>>(value: &Json) -> Option<T> {
    T::try_from(value.as_u64()?).ok()
}

pub(super) fn nanos(value: &Json) -> Option<u64> {
    value.as_f64().filter(|us| *us >= 0.0).map(|us| (us * 1_000.0).round() as u64)
}

fn family(value: &Json) -> Option<u8> {
    Some(if value.as_str()?.contains(':') { 6 } else { 4 })
}

fn hex<const N: usize>(value: &Json) -> Option<[u8; N]> {
    let digits: String = value.as_str()?.chars().filter(|c| !matches!(c, ':' | '-')).collect();
    let mut bytes = [0; N];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    (digits.len() == 2 * N).then_some(bytes)
}

fn version(value: &Json) -> Option<u16> {
    let want = value.as_str()?;
    [0x0304, 0x0303, 0x0302, 0x0301, 0x0300, 0x0002]
        .into_iter()
        .find(|code| names::tls_version(*code).is_some_and(|(number, _)| number == want))
}

fn cipher(name: &str) -> Option<u16> {
    match name.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => (0..=u16::MAX).find(|code| names::cipher_suite(*code) == Some(name)),
    }
}

fn dns_type(name: &str) -> Option<u16> {
    match name.strip_prefix("TYPE") {
        Some(digits) => digits.parse().ok(),
        None => (0..=u16::MAX).find(|code| names::dns_type(*code) == Some(name)),
    }
}

fn state(word: &str) -> Option<SessionState> {
    use SessionState as S;
    [S::Opened, S::Established, S::Closed, S::Reset, S::Timeout, S::Half]
        .into_iter()
        .find(|state| state.as_str() == word)
}

fn direction(word: &str) -> Option<Direction> {
    use Direction as D;
    [D::Inbound, D::Outbound, D::Internal, D::External]
        .into_iter()
        .find(|direction| direction.as_str() == word)
}

fn protocol(word: &str) -> Option<Protocol> {
    Protocol::ALL.iter().find(|protocol| protocol.as_str() == word).copied()
}

/// The evidence that may name an application.
const REASONS: [&str; 14] = [
    "payload",
    "certificate",
    "title",
    "sni",
    "http",
    "alpn",
    "ja4",
    "ssh",
    "dns",
    "dns-name",
    "protocol",
    "ip",
    "as",
    "port",
];

fn reason(word: &str) -> Option<&'static str> {
    REASONS.into_iter().find(|reason| *reason == word)
}
