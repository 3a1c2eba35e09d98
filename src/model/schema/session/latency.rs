//! Fields of how long everything took.
//!
//! Owns: name, type, unit, accessor and meaning of each. In: a record. Out: its values.
//! Never: a field that sessions.ndjson does not have, unless it says so.

use crate::model::Record;
use crate::model::latency::Exchange;
use crate::model::schema::session::field;
use crate::model::schema::table::table;
use crate::model::schema::{Kind, List, Shown, Value, read};

const STATES: &[&str] = &["opened", "established", "closed", "reset", "timeout", "half"];

/// Whether an end answered over TCP, and its leg is known.
fn answers_over_tcp(record: &Record, by_initiator: bool) -> bool {
    let leg = if by_initiator { &record.near } else { &record.far };
    let turns = record.facts.turns.as_deref().map(|turns| turns.turns.as_slice());
    leg.transport_ns().is_some()
        && turns.unwrap_or_default().iter().any(|turn| turn.by_initiator == by_initiator)
}

/// Whether the initiator answered over UDP, and a round trip without thought is known.
fn answers_over_udp(record: &Record) -> bool {
    record.facts.turns.as_deref().is_some_and(|turns| turns.near.is_some())
}

table! {
/// State and legs.
pub(super) Legs of Record [
    field(("longhaul.state", 1, Kind::Word(STATES), "", Shown::Always,
        |r| Value::Word(r.state.as_str()),
        "How the session ended or stood at the end of the input.")),
    field(("longhaul.near.handshake_us", 1, Kind::Float, "us", Shown::Sometimes,
        |r| Value::micros_opt(r.near.handshake_ns),
        "Round trip sensor to initiator: SYN-ACK to ACK.")),
    field(("longhaul.near.exchange_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::over_udp(r, true),
        "Over UDP: lowest round trip sensor to initiator of an exchange that forces an answer, \
         of those answered without thought where there is one.")),
    field(("longhaul.near.rtt.min_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.near, |t| Value::Micros(t.min_ns)),
        "Lowest round trip to the initiator while the session ran.")),
    field(("longhaul.near.rtt.p50_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.near, |t| Value::Micros(t.p50_ns)),
        "Their median, of 8 to 16 where there are more.")),
    field(("longhaul.near.rtt.p95_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.near, |t| Value::Micros(t.p95_ns)),
        "95th percentile of the same; late acknowledgements count.")),
    field(("longhaul.near.rtt.samples", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::trips(&r.near, |t| Value::Int(u64::from(t.samples))),
        "Round trips taken.")),
    field(("longhaul.near.rtt.methods", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::trips(&r.near, |t| Value::list(List::Words(t.methods.words()))),
        "How: `timestamp` (its echo), `ack` (of data sent once).")),
    field(("longhaul.far.handshake_us", 1, Kind::Float, "us", Shown::Sometimes,
        |r| Value::micros_opt(r.far.handshake_ns),
        "Round trip sensor to responder: SYN to SYN-ACK.")),
    field(("longhaul.far.exchange_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::over_udp(r, false), "Likewise sensor to responder; of DNS, a resolver's own \
         asking is in it.")),
    field(("longhaul.far.rtt.min_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.far, |t| Value::Micros(t.min_ns)),
        "Lowest round trip to the responder while the session ran.")),
    field(("longhaul.far.rtt.p50_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.far, |t| Value::Micros(t.p50_ns)),
        "Their median, of 8 to 16 where there are more.")),
    field(("longhaul.far.rtt.p95_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::trips(&r.far, |t| Value::Micros(t.p95_ns)),
        "95th percentile of the same; late acknowledgements count.")),
    field(("longhaul.far.rtt.samples", 2, Kind::Int, "", Shown::Sometimes,
        |r| read::trips(&r.far, |t| Value::Int(u64::from(t.samples))),
        "Round trips taken.")),
    field(("longhaul.far.rtt.methods", 2, Kind::Texts, "", Shown::Sometimes,
        |r| read::trips(&r.far, |t| Value::list(List::Words(t.methods.words()))),
        "How: `timestamp` (its echo), `ack` (of data sent once).")),
    field(("longhaul.exchange.method", 2, Kind::Text, "", Shown::Sometimes,
        |r| Value::word_opt(r.facts.method_over_udp()),
        "The exchange that the responder's leg rests on, else the initiator's: `quic`, `dtls`, \
         `ike`, `wireguard`, `openvpn`, `ping` (STUN), `dns`.")),
]
}

table! {
/// What answers took beyond TCP.
pub(super) Gaps of Record where (|r| answers_over_tcp(r, true)) [
    field(("longhaul.gap.first_data_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::FirstData, true),
        "The ACK that completes the handshake to the initiator's first payload, where it speaks \
         first: at once, or as late as a proxy between that it commands.")),
    field(("longhaul.gap.tls_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Tls, true),
        "The server's first flight to the client's answer, less the client's transport \
         round trip.")),
    field(("longhaul.gap.tls_resumed_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::TlsResumed, true),
        "The same where an earlier session is resumed.")),
    field(("longhaul.gap.tls_certificate_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::TlsCertificate, true),
        "The same where the client shows a certificate, or signs with it; and inside OpenVPN over \
         TCP, where it may.")),
    field(("longhaul.gap.tls_data_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::TlsData, true),
        "TLS 1.2: the server's Finished to the client's first data, likewise.")),
    field(("longhaul.gap.ssh_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Ssh, true),
        "The server's identification string to the client's KEXINIT, likewise.")),
    field(("longhaul.gap.ssh_auth_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::SshAuth, true),
        "The lowest of the first three rounds of SSH's authentication, likewise.")),
    field(("longhaul.gap.rdp_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Rdp, true),
        "The lowest of RDP's connection and CredSSP's first rounds, likewise.")),
    field(("longhaul.gap.rfb_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Rfb, true),
        "The lowest of the first four rounds of RFB (VNC), likewise.")),
    field(("longhaul.gap.ping_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Ping, true),
        "The lowest of the first four WebSocket pings, recognised by length inside TLS, \
         likewise.")),
]
}

table! {
/// What answers took over UDP.
pub(super) GapsOverUdp of Record where (answers_over_udp) [
    field(("longhaul.gap.dtls_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap_over_udp(r, Exchange::Dtls),
        "End of the server's flight to the client's answer, less the lowest round trip to the \
         client that took no thought: the echo of a cookie, an answer to STUN.")),
    field(("longhaul.gap.dtls_resumed_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap_over_udp(r, Exchange::DtlsResumed),
        "The same if an earlier session is resumed: the server's Finished to the client's.")),
    field(("longhaul.gap.quic_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap_over_udp(r, Exchange::Quic),
        "End of the server's first flight to the client's Finished, less the lowest round trip \
         to the client that took no thought: its first acknowledgement under handshake keys, or \
         its answer to a Retry.")),
    field(("longhaul.gap.quic_resumed_us", 3, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap_over_udp(r, Exchange::QuicResumed),
        "The same if an earlier session is resumed.")),
    field(("longhaul.gap.ike_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap_over_udp(r, Exchange::Ike),
        "Response to IKE_SA_INIT to the next request, less the lowest round trip to the \
         initiator that took no thought: the echo of a cookie, a liveness check.")),
]
}

table! {
/// What OpenVPN's answers took, and what is left out.
pub(super) OtherGaps of Record where (|r| r.facts.turns.is_some()) [
    field(("longhaul.gap.openvpn_us", 2, Kind::Float, "us", Shown::Sometimes,
        read::gap_of_openvpn,
        "The server's reset to the client's first TLS bytes, less the lowest round trip to the \
         client that took no thought: an acknowledgement. Over TCP to its next packet, less its \
         transport round trip.")),
    field(("longhaul.gap.excluded", 2, Kind::Texts, "", Shown::Sometimes, read::excluded,
        "Why exchanges are left out: `early-data`, `retry-request`, \
         `client-certificate`, `loss`, `split-flight`, `stall`.")),
]
}

table! {
/// What the responder's answers took beyond TCP.
pub(super) ServerGaps of Record where (|r| answers_over_tcp(r, false)) [
    field(("longhaul.server_gap.tls_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Tls, false),
        "The ClientHello to the server's first flight, less the server's transport round \
         trip: its thinking, or a leg behind it.")),
    field(("longhaul.server_gap.ssh_auth_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::SshAuth, false),
        "The lowest of the server's first answers to authentication, likewise.")),
    field(("longhaul.server_gap.rdp_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Rdp, false),
        "The lowest of its first answers in RDP, likewise.")),
    field(("longhaul.server_gap.rfb_us", 2, Kind::Float, "us", Shown::Sometimes,
        |r| read::gap(r, Exchange::Rfb, false),
        "The lowest of its first answers in RFB, likewise.")),
]
}

table! {
/// How long answers took behind their acknowledgement.
pub(super) TurnLags of Record where (|r| r.facts.turns.is_some()) [
    field(("longhaul.lag.turn1_us", 3, Kind::Float, "us", Shown::Sometimes, |r| read::lag(r, 0),
        "The initiator's first answer to data of the responder, over TCP: from the packet that \
         acknowledges all of them to the answer. Absent if the answer itself is that packet, or if \
         the packet was so late that it may have waited for a timer.")),
    field(("longhaul.lag.turn2_us", 3, Kind::Float, "us", Shown::Sometimes, |r| read::lag(r, 1),
        "Its second answer, likewise.")),
    field(("longhaul.lag.turn3_us", 3, Kind::Float, "us", Shown::Sometimes, |r| read::lag(r, 2),
        "Its third answer, likewise.")),
    field(("longhaul.lag.turn4_us", 3, Kind::Float, "us", Shown::Sometimes, |r| read::lag(r, 3),
        "Its fourth answer, likewise.")),
    field(("longhaul.server_lag.us", 3, Kind::Float, "us", Shown::Sometimes, read::server_lag,
        "The lowest of the responder's first four answers behind its own acknowledgements, \
         likewise.")),
]
}

table! {
/// The leg of the remote end.
pub(super) RemoteLeg of Record [
    field(("longhaul.remote.handshake_us", 1, Kind::Float, "us", Shown::Rules,
        |r| read::remote_leg(r, |leg| Value::micros_opt(leg.handshake_ns)),
        "The leg of the remote end: near of an inbound session, far of an outbound one.")),
    field(("longhaul.remote.rtt.min_us", 2, Kind::Float, "us", Shown::Rules,
        |r| read::remote_leg(r, |leg| read::trips(leg, |t| Value::Micros(t.min_ns))),
        "Lowest round trip to the remote end while the session ran.")),
]
}

table! {
/// The initiator's SYN.
pub(super) Syn of Record where (|r| r.syn.is_some()) [
    field(("longhaul.tcp.syn_mss", 1, Kind::Int, "bytes", Shown::Sometimes,
        |r| read::syn(r, |s| Value::int_opt(s.mss)),
        "Maximum segment size in the initiator's SYN.")),
    field(("longhaul.tcp.mtu_hint", 1, Kind::Int, "bytes", Shown::Sometimes,
        |r| read::syn(r, |s| Value::int_opt(s.mtu_hint)),
        "Path MTU that size hints at: plus 40 (IPv4) or 60 (IPv6).")),
    field(("longhaul.tcp.os_hint", 1, Kind::Text, "", Shown::Sometimes,
        |r| read::syn(r, |s| Value::word_opt(s.os_hint)), "Coarse OS family of the SYN's shape.")),
    field(("longhaul.tcp.timestamps", 1, Kind::Bool, "", Shown::Sometimes,
        |r| read::syn(r, |s| Value::Bool(s.timestamps)), "Whether the SYN offered timestamps.")),
    field(("longhaul.tcp.window_scale", 1, Kind::Int, "", Shown::Sometimes,
        |r| read::syn(r, |s| Value::int_opt(s.window_scale)), "Window scale in the SYN.")),
    field(("longhaul.tcp.window", 1, Kind::Int, "bytes", Shown::Sometimes,
        |r| read::syn(r, |s| Value::Int(u64::from(s.window))), "Window field of the SYN.")),
]
}
