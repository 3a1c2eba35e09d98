//! What each fuzz target does with its bytes; replayed over the committed corpora by `tests/corpus.rs`.

#[path = "identity.rs"]
pub mod identity;

use std::path::Path;

use longhaul::capture::BlockPool;
use longhaul::capture::FileSource;
use longhaul::decode::DecodeConfig;
use longhaul::decode::Decoder;
use longhaul::endpoints::baseline::BaselineConfig;
use longhaul::endpoints::baseline::Baselines;
use longhaul::endpoints::people::People;
use longhaul::enrich::intel as feeds;
use longhaul::enrich::lists::Lists;
use longhaul::enrich::subjects::Subjects;
use longhaul::evidence::Observers;
use longhaul::evidence::parse_result::ParseResult;
use longhaul::model::Addr;
use longhaul::model::Counter;
use longhaul::model::Counters;
use longhaul::model::Frame;
use longhaul::model::Interest;
use longhaul::model::LinkType;
use longhaul::model::Nanos;
use longhaul::model::Peer;
use longhaul::model::Segment;
use longhaul::model::Transport;
use longhaul::model::record::Facts;
use longhaul::session::Arrival;
use longhaul::session::Finished;
use longhaul::session::Listener;
use longhaul::session::Room;
use longhaul::session::Shard;
use longhaul::session::Timeouts;
use sha2::Digest;
use sha2::Sha256;

/// What a target does with its bytes.
pub type Body = fn(&[u8]);

/// Every target by name.
pub const TARGETS: &[(&str, Body)] = &[
    ("decode", decode),
    ("tls", tls),
    ("dtls", dtls),
    ("quic", quic),
    ("stream", stream),
    ("datagram", datagram),
    ("rules", rules),
    ("correlations", correlations),
    ("config", config),
    ("capture", capture),
    ("lists", lists),
    ("intel", intel),
    ("hunt", hunt),
    #[cfg(feature = "parquet")]
    ("tables", tables),
    ("signatures", signatures),
    ("subjects", subjects),
    ("session", session),
    ("ike", ike),
    ("wireguard", wireguard),
    ("openvpn", openvpn),
    ("spool", spool),
    ("stun", stun),
    ("rustdesk", rustdesk),
    ("socks_rdp_vnc", socks_rdp_vnc),
    ("certificate", certificate),
    ("app_signatures", app_signatures),
    ("messages", messages),
    ("people", people),
    ("state", state),
    ("dhcp", identity::dhcp),
    ("nbns", identity::nbns),
    ("radius", identity::radius),
    ("eap", identity::eap),
    ("arp", identity::arp),
    ("kerberos", identity::kerberos),
    ("ntlm", identity::ntlm),
    ("overheard", identity::overheard),
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
            let _ = Decoder::wrapping(&DecodeConfig::default(), &decoded.packet, data);
        }
        for (at, subframe) in decoder.subframes(&frame).into_iter().flatten() {
            assert!(at + subframe.bytes.len() <= data.len());
            let _ = decoder.decode_subframe(&subframe, 0);
        }
    }
}

/// TLS records from either side.
pub fn tls(data: &[u8]) {
    let mut facts = Facts::default();
    longhaul::evidence::tls::observe_tls(data, Peer::Initiator, &mut facts);
    longhaul::evidence::tls::observe_tls(data, Peer::Responder, &mut facts);
}

/// A DTLS datagram from either side.
pub fn dtls(data: &[u8]) {
    let mut facts = Facts::default();
    let mut state = longhaul::evidence::dtls::DtlsState::default();
    state.observe(data, Peer::Initiator, &mut facts);
    // The same bytes cut in two: messages are kept from one datagram to the next.
    let (first, second) = data.split_at(data.len() / 2);
    for piece in [first, second, data] {
        state.observe(piece, Peer::Responder, &mut facts);
    }
}

/// QUIC datagrams: the input's halves, from both sides.
pub fn quic(data: &[u8]) {
    let mut facts = Facts::default();
    let mut state = longhaul::evidence::quic::QuicState::default();
    let (first, second) = data.split_at(data.len() / 2);
    for datagram in [data, first, second] {
        state.observe(datagram, Peer::Initiator, &mut facts);
        state.observe(datagram, Peer::Responder, &mut facts);
    }
}

/// A TCP stream of both sides, cut where the input's own bytes say.
pub fn stream(data: &[u8]) {
    observe(data, Transport::TCP, 53);
    observe(data, Transport::TCP, 443);
}

/// Datagrams of both sides on the ports that matter.
pub fn datagram(data: &[u8]) {
    for port in [53, 67, 88, 443, 547, 1701, 1812, 1900, 3389, 4500, 5353, 9993] {
        observe(data, Transport::UDP, port);
    }
    for number in [50, 51, 115] {
        observe(data, Transport(number), 0);
    }
}

fn observe(data: &[u8], transport: Transport, responder_port: u16) {
    let mut observers = Observers::default();
    let mut counters = Counters::default();
    let mut rest = data;
    while let Some(first) = rest.first() {
        let len = (usize::from(*first) * 4 + 1).min(rest.len());
        let (payload, after) = rest.split_at(len);
        let role = if len % 3 == 0 { Peer::Responder } else { Peer::Initiator };
        let segment = Segment {
            payload,
            from: role,
            transport,
            ports: (40_000, responder_port),
            gap: len % 7 == 0,
            time: Nanos::ZERO,
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        };
        observers.observe(&segment, &mut counters);
        rest = after;
    }
    let _ = observers.into_facts();
}

/// A session over UDP between two ports: datagrams of both sides in turn, each behind its length
/// (two bytes, little-endian), a millisecond apart. No round trip is longer than the session.
fn talk(data: &[u8], ports: (u16, u16)) {
    let (mut observers, mut counters) = (Observers::default(), Counters::default());
    let (mut rest, mut sent) = (data, 0u64);
    while let Some(([low, high], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (payload, following) = after.split_at(length);
        rest = following;
        sent += 1;
        let segment = Segment {
            payload,
            from: if sent % 2 == 1 { Peer::Initiator } else { Peer::Responder },
            transport: Transport::UDP,
            ports: (ports.0, ports.1),
            gap: false,
            time: Nanos(sent * 1_000_000),
            opened: None,
            troubles: 0,
            numbers: (0, 0),
        };
        observers.observe(&segment, &mut counters);
    }
    let facts = observers.into_facts();
    for turn in [facts.over_udp(true), facts.over_udp(false)].into_iter().flatten() {
        assert!(turn.round_trip_ns < sent * 1_000_000);
    }
}

/// An IKE header on each of its ports, and a session of such.
pub fn ike(data: &[u8]) {
    let _ = longhaul::wire::ike::Header::parse(data, (500, 500));
    talk(data, (500, 500));
    talk(data, (40_000, 4_500));
}

/// A WireGuard message, and a session of such.
pub fn wireguard(data: &[u8]) {
    let _ = longhaul::wire::wireguard::parse(data);
    talk(data, (40_000, 51_820));
}

/// An OpenVPN packet under each seal, a session of such, and a stream.
pub fn openvpn(data: &[u8]) {
    use longhaul::wire::openvpn::Seal;
    let _ = longhaul::wire::openvpn::client_reset(data);
    for seal in [Seal::Plain, Seal::Auth(20), Seal::Auth(64), Seal::Crypt] {
        let _ = longhaul::wire::openvpn::is_server_reset(data, seal, 1);
        if let Ok(control) = longhaul::wire::openvpn::control(data, seal) {
            assert!(control.acks().count() <= 8);
        }
    }
    let (one, other) = data.split_at(data.len() / 2);
    if let Ok(first) = longhaul::wire::openvpn_scramble::First::parse(one) {
        assert!(!first.is_answered_by(other) || other.len() == one.len() + 12);
    }
    talk(data, (40_000, 1_194));
    observe(data, Transport::TCP, 1_194);
}

/// A STUN message's addresses, and a session of such.
pub fn stun(data: &[u8]) {
    if let Ok(message) = longhaul::wire::stun::parse(data) {
        assert!(message.size() == data.len() && message.addresses().count() <= data.len() / 4);
    }
    talk(data, (40_000, 3_478));
}

/// A message of RustDesk's rendezvous, and a session of such on its port.
pub fn rustdesk(data: &[u8]) {
    use longhaul::wire::rustdesk::{Message, PORT, address, frame, parse};
    let time = longhaul::model::Nanos(1_795_829_453_835_808_000);
    for bytes in [Ok(data), frame(data)].into_iter().flatten() {
        if let Ok(Message::FromServer(told) | Message::ToServer(told)) = parse(bytes) {
            assert!(address(told, time).is_none_or(|found| found.port() > 0));
        }
    }
    talk(data, (40_000, PORT));
}

/// A segment of a spool, of which anything may be left.
pub fn spool(data: &[u8]) {
    let (lines, bytes) = longhaul::sinks::spool::whole_lines(data);
    assert!(bytes <= data.len() && lines * 10 <= bytes as u64);
}

/// One certificate.
pub fn certificate(data: &[u8]) {
    if let Ok(read) = longhaul::evidence::certificate::certificate(data) {
        assert!(read.alternative_names.len() <= 8);
        assert!(read.subject.len() <= 1024 && read.issuer.len() <= 1024);
        // A date that no calendar has is left out.
        assert!(matches!(read.not_before.len(), 0 | 20) && matches!(read.not_after.len(), 0 | 20));
    }
}

/// How a stream begins, in pieces of both sides: each behind its length and its side.
pub fn app_signatures(data: &[u8]) {
    let mut known = longhaul::evidence::app_signatures::AppSignatures::default();
    let mut facts = Facts::default();
    let mut rest = data;
    while let [length, side, after @ ..] = rest {
        let (piece, following) = after.split_at(usize::from(*length).min(after.len()));
        rest = following;
        let role = if side % 2 == 0 { Peer::Initiator } else { Peer::Responder };
        let sign = longhaul::evidence::app_signatures::sign(piece, role, Some(&known));
        if let (Some(true), ParseResult::Used(size)) =
            (sign, known.observe(piece, role, &mut facts))
        {
            assert!(size > 0 && size <= piece.len());
        }
    }
}

/// One message of those that are read alone: a PROXY header, a frame, SMB, a page.
pub fn messages(data: &[u8]) {
    use longhaul::wire;
    if let Ok((size, _)) = wire::proxy_header::proxy_header(data) {
        assert!(size > 0 && size <= data.len());
    }
    if let Ok(frame) = wire::websocket::frame(data) {
        assert!(frame.unmasked(64).len() <= 64 && frame.size >= frame.payload.len());
    }
    if let Some(token) = wire::smb::token(data) {
        assert!(!token.is_empty() && token.len() <= data.len());
    }
    let mut facts = Facts::default();
    longhaul::evidence::html_title::observe_page(data, &mut facts);
    longhaul::evidence::websocket::observe(data, Peer::Responder, &mut facts);
    if let Some(title) = facts.http.and_then(|http| http.title) {
        assert!(title.len() <= 3 * 128);
    }
    if let Ok(flight) = wire::tls_record::flight(data) {
        let _ = flight.second_is_certificate();
    }
}

/// How SOCKS, RDP and RFB begin: a stream of both sides.
pub fn socks_rdp_vnc(data: &[u8]) {
    for size in [
        longhaul::wire::socks::hello(data).map(|(_, size)| size),
        longhaul::wire::socks::request(data).map(|asked| asked.size),
        longhaul::wire::socks::password(data),
    ]
    .into_iter()
    .flatten()
    {
        assert!(size <= data.len());
    }
    let _ = longhaul::wire::rdp::opening(data);
    observe(data, Transport::TCP, 1_080);
    observe(data, Transport::TCP, 3_389);
}

/// Sigma rules, as text.
pub fn rules(data: &[u8]) {
    let _ = longhaul::detect::RuleSet::from_text("fuzz.yml", &String::from_utf8_lossy(data));
}

/// Rules for correlations to count.
const COUNTED: &str = "title: a\nname: a\nlogsource: {product: longhaul, service: session}\n\
                       detection:\n  s:\n    destination.port: 443\n  condition: s\n---\n\
                       title: b\nname: b\nlogsource: {product: longhaul, service: endpoint}\n\
                       detection:\n  s:\n    longhaul.sessions|gte: 3\n  condition: s\n---\n";

/// Correlations of two rules, as text.
pub fn correlations(data: &[u8]) {
    let text = format!("{COUNTED}{}", String::from_utf8_lossy(data));
    let _ = longhaul::detect::RuleSet::from_text("fuzz.yml", &text);
}

/// A configuration file, as text.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(file) = longhaul::config::file::parse_config("fuzz.toml".as_ref(), &text) {
        let _ = file.apply(&mut longhaul::config::Plan::default());
    }
}

/// Most frames read of one capture: a few bytes of a decompressor's input may stand for millions.
const FRAMES_MAX: usize = 4_096;

/// A capture file of any format, plain or compressed.
pub fn capture(data: &[u8]) {
    let pool = BlockPool::new(512, 2);
    let Ok(mut source) = FileSource::from_bytes(Path::new("fuzz"), data.to_vec(), &pool) else {
        return;
    };
    let mut frames = 0;
    while let Some(meta) = source.next_frame() {
        let frame = meta.frame(source.block());
        assert!(frame.bytes.len() == meta.captured as usize);
        frames += 1;
        if frames == FRAMES_MAX {
            break;
        }
    }
    assert!(source.verdict().packets == frames as u64);
}

/// A list file, as text, and a few questions to it.
pub fn lists(data: &[u8]) {
    let Ok(lists) = Lists::from_text(Path::new("fuzz.txt"), &String::from_utf8_lossy(data)) else {
        return;
    };
    let addr = Addr::from(std::net::IpAddr::from([192, 0, 2, 1]));
    let _ = lists.by_address(addr).count() + lists.by_asn(64_500).count();
    let _ = lists.by_port(Transport::TCP, 443).count();
    let mut names = 0usize;
    lists.for_each_by_name("a.example.com", |_| names += 1);
}

/// A filter over lines: what is read holds for a line or not.
pub fn hunt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(filter) = longhaul::hunt::parse::parse(&text) else { return };
    for line in ["{}", r#"{"source":{"ip":"10.0.0.1","port":5},"longhaul":{"tags":["x",["y"]]}}"#] {
        let line = serde_json::from_str(line).unwrap();
        // Nothing holds together with its opposite.
        let opposite = longhaul::hunt::expression::Expr::Not(Box::new(filter.clone()));
        assert_ne!(filter.holds(&line), opposite.holds(&line));
    }
}

/// A table of incidents in Parquet: it is read, or refused.
#[cfg(feature = "parquet")]
pub fn tables(data: &[u8]) {
    use longhaul::emit::json_schema::Lines;
    let name = format!("longhaul-{}-{:?}", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, data).unwrap();
    let _ = longhaul::lake::rows::each_row(&path, Lines::Incidents, &mut |_| Ok(()));
    std::fs::remove_file(&path).unwrap();
}

/// A feed in every form, and in the one that it seems to have.
pub fn intel(data: &[u8]) {
    let path = Path::new("feed");
    let told = feeds::read(path, data, None);
    for (_, form) in feeds::Form::ALL {
        let read = feeds::read(path, data, Some(form));
        // What was told from the bytes is read the same where it is named.
        if let (Ok((of, told)), Ok((_, read))) = (&told, &read)
            && *of == form
        {
            assert_eq!(told, read);
        }
    }
}

/// A signature file, as text, and what its payload patterns make of the text itself.
pub fn signatures(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(lists) = Lists::from_signatures(Path::new("fuzz.yaml"), &text) else { return };
    for transport in [Transport::TCP, Transport::UDP] {
        let matcher = lists.payload();
        let (from, to) =
            (matcher.look(transport, 443, true, data), matcher.look(transport, 443, false, data));
        let _ = matcher.application(transport, from, to);
    }
    let mut names = 0usize;
    lists.for_each_by_name("a.example.com", |_| names += 1);
    assert!(!lists.applications().is_empty());
}

/// A subjects file, as text.
pub fn subjects(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(subjects) = Subjects::parse(Path::new("fuzz.csv"), &text) {
        let _ = subjects.of(Addr::from(std::net::IpAddr::from([10, 0, 0, 1])));
    }
}

/// Stored baselines: as they are, and with the checksum that the rest asks for. What is read is
/// written again byte by byte, and added to itself still is a state.
pub fn state(data: &[u8]) {
    let config = BaselineConfig { cap: 1 << 20, learn: Nanos::ZERO };
    let _ = Baselines::decode(config, data);
    let rest = data.len().saturating_sub(32);
    let mut sealed = data.get(..rest).unwrap_or_default().to_vec();
    let sum = Sha256::digest(&sealed);
    sealed.extend(sum);
    let Ok(mut baselines) = Baselines::decode(config, &sealed) else { return };
    assert!(baselines.encode() == sealed);
    assert!(baselines.rows().len() as u64 == entries(&baselines));
    baselines.merge(baselines.clone());
    assert!(Baselines::decode(config, &baselines.encode()).is_ok());
}

/// Stored people: what is read is bounded, and is written as it was, up to what caps take away.
pub fn people(data: &[u8]) {
    const CAP: usize = 1 << 20;
    let _ = People::decode(CAP, data);
    let rest = data.len().saturating_sub(32);
    let mut sealed = data.get(..rest).unwrap_or_default().to_vec();
    let sum = Sha256::digest(&sealed);
    sealed.extend(sum);
    let Ok(mut people) = People::decode(CAP, &sealed) else { return };
    let stored = people.encode();
    let again = People::decode(CAP, &stored).unwrap();
    assert!(again.encode() == stored);
    people.merge(again);
    assert!(People::decode(CAP, &people.encode()).is_ok());
}

fn entries(baselines: &Baselines) -> u64 {
    baselines.totals().tables.iter().map(|(entries, _)| entries).sum()
}

/// Sessions of a shard that is soon full.
const SESSIONS_MAX: usize = 8;

/// What listens to the shard: counts what opens and what ends.
#[derive(Default)]
struct Ear {
    counters: Counters,
    finished: u64,
}

impl Listener<Observers> for Ear {
    fn deliver(&mut self, extra: &mut Option<Box<Observers>>, delivery: &Segment<'_>) -> Interest {
        let segment = Segment { opened: None, troubles: 0, numbers: (0, 0), ..*delivery };
        extra.get_or_insert_default().observe(&segment, &mut self.counters)
    }

    fn finish(&mut self, _: Finished<Observers>) {
        self.finished += 1;
    }

    fn count(&mut self, counter: Counter, n: u64) {
        self.counters.add(counter, n);
    }
}

/// Frames one behind the other, through decoder and session table. Each has four bytes before it:
/// its length (two, little-endian), milliseconds since the one before, and how often those count
/// double. Every session that opens also ends, and the table never outgrows its cap.
pub fn session(data: &[u8]) {
    let mut decoder = Decoder::new(DecodeConfig::default());
    // Little room, so that what is let go at the caps is tried, too.
    let room = Room { sessions: 1 << 20, kept: 4_096, waiting: 2_048, fragments: 8_192 };
    let mut shard = Shard::within(SESSIONS_MAX, room, Timeouts::default());
    let mut ear = Ear::default();
    let (mut rest, mut at, mut number) = (data, 1_000_000_000_000u64, 0u32);
    while let Some(([low, high, millis, doubled], after)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (bytes, following) = after.split_at(length);
        rest = following;
        number += 1;
        at += (u64::from(*millis) << (doubled % 24)) * 1_000_000;
        let frame =
            Frame { time: Nanos(at), link: LinkType::ETHERNET, wire_len: length as u32, bytes };
        let Ok(decoded) = decoder.decode_frame(&frame, 0) else { continue };
        let mut packet = decoded.packet;
        packet.number = number;
        packet.wire_len = length as u32;
        packet.clock = u32::try_from(at / 1_000_000_000).unwrap_or(u32::MAX);
        let hint = shard.locate(&packet);
        shard.touch(Arrival { packet: &packet, frame: bytes, file: 0 }, hint, &mut ear);
        assert!(shard.len() <= SESSIONS_MAX);
    }
    shard.drain(u32::MAX, &mut ear);
    assert!(shard.is_empty());
    assert_eq!(ear.finished, ear.counters.get(Counter::Sessions));
}
