//! What each fuzz target does with its bytes; replayed over the committed corpora by `tests/corpus.rs`.

use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::evidence::Observers;
use longhaul::evidence::Segment;
use longhaul::evidence::step::Role;
use longhaul::model::Counters;
use longhaul::model::Frame;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::model::Transport;
use longhaul::model::record::Facts;

/// What a target does with its bytes.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: [(&str, Body); 8] = [
    ("decode", decode),
    ("tls", tls),
    ("dtls", dtls),
    ("quic", quic),
    ("stream", stream),
    ("datagram", datagram),
    ("rules", rules),
    ("config", config),
];

/// A frame of each link type, behind the frame before it.
pub fn decode(data: &[u8]) {
    let mut decoder = Decoder::new(DecodeConfig::default());
    for link in [0u16, 1, 9, 101, 104, 105, 108, 113, 127, 228, 229, 239, 276] {
        let frame = Frame {
            time: Nanos::ZERO,
            link: LinkType(link),
            wire_len: data.len() as u32,
            bytes: data,
        };
        if let Ok(decoded) = decoder.decode_frame(&frame, 0) {
            let _ = decoded.packet.payload(data);
            let _ = longhaul::wire::tcp::TcpOptions::parse(decoded.packet.l4_header(data));
        }
    }
}

/// TLS records from either side.
pub fn tls(data: &[u8]) {
    let mut facts = Facts::default();
    longhaul::evidence::tls::observe_tls(data, Role::Initiator, &mut facts);
    longhaul::evidence::tls::observe_tls(data, Role::Responder, &mut facts);
}

/// A DTLS datagram from either side.
pub fn dtls(data: &[u8]) {
    let mut facts = Facts::default();
    longhaul::evidence::dtls::observe_dtls(data, Role::Initiator, &mut facts);
    longhaul::evidence::dtls::observe_dtls(data, Role::Responder, &mut facts);
}

/// QUIC datagrams: the input's halves, from both sides.
pub fn quic(data: &[u8]) {
    let mut facts = Facts::default();
    let mut state = longhaul::evidence::quic::QuicState::default();
    let (first, second) = data.split_at(data.len() / 2);
    for datagram in [data, first, second] {
        state.observe(datagram, Role::Initiator, &mut facts);
        state.observe(datagram, Role::Responder, &mut facts);
    }
}

/// A TCP stream of both sides, cut where the input's own bytes say.
pub fn stream(data: &[u8]) {
    observe(data, Transport::TCP, 53);
    observe(data, Transport::TCP, 443);
}

/// Datagrams of both sides on the ports that matter.
pub fn datagram(data: &[u8]) {
    for port in [53, 443, 1900, 5353] {
        observe(data, Transport::UDP, port);
    }
}

fn observe(data: &[u8], transport: Transport, responder_port: u16) {
    let mut observers = Observers::default();
    let mut counters = Counters::default();
    let mut rest = data;
    while let Some(first) = rest.first() {
        let len = (usize::from(*first) * 4 + 1).min(rest.len());
        let (payload, after) = rest.split_at(len);
        let role = if len % 3 == 0 { Role::Responder } else { Role::Initiator };
        let segment = Segment {
            payload,
            role,
            transport,
            initiator_port: 40_000,
            responder_port,
            gap: len % 7 == 0,
            time: Nanos::ZERO,
        };
        observers.observe(&segment, &mut counters);
        rest = after;
    }
    let _ = observers.into_facts();
}

/// Sigma rules, as text.
pub fn rules(data: &[u8]) {
    let _ = longhaul::detect::RuleSet::from_text("fuzz.yml", &String::from_utf8_lossy(data));
}

/// A configuration file, as text.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(file) = longhaul::config::file::parse_config("fuzz.toml".as_ref(), &text) {
        let _ = file.apply(&mut longhaul::config::Plan::default());
    }
}
