//! A session over UDP: which protocol its datagrams speak, and what both sides say together.
//!
//! Owns: the look at a datagram's first bytes, the bounds of looking, the state that both
//! directions share. In: datagrams as they come. Out: calls to the observers of one protocol.
//! Never: costs a session without a known protocol more than a few comparisons.

use crate::evidence::app_signatures::AppSignatures;
use crate::evidence::dns;
use crate::evidence::dtls::DtlsState;
use crate::evidence::dtls_rtt::DtlsRtt;
use crate::evidence::http;
use crate::evidence::ike::Ike;
use crate::evidence::openvpn::Openvpn;
use crate::evidence::parse_result::ParseResult;
use crate::evidence::quic::QuicState;
use crate::evidence::quic_rtt;
use crate::evidence::rdp_udp;
use crate::evidence::request_response_rtt::Moment;
use crate::evidence::request_response_rtt::RequestRtt;
use crate::evidence::socks_rdp_vnc::Greetings;
use crate::evidence::stream::Mode;
use crate::evidence::stream::ParseContext;
use crate::evidence::stream::StreamParser;
use crate::evidence::stun;
use crate::evidence::udp_pairs;
use crate::evidence::udp_pairs::Pair;
use crate::evidence::udp_signatures;
use crate::evidence::wireguard;
use crate::evidence::wireguard::Wireguard;
use crate::model::Counter;
use crate::model::Heap;
use crate::model::Nanos;
use crate::model::Segment;
use crate::model::heap::ALLOCATION;
use crate::model::record::Facts;
use crate::model::record::Protocol;
use crate::wire::http::Source;
use crate::wire::ike::Header;
use crate::wire::quic::LongPacket;

/// Datagrams of each direction looked at while undecided.
const DATAGRAMS_LOOKED: u8 = 4;
/// Datagrams of each direction given to a handshake's observer: a DTLS or QUIC flight with
/// certificates takes 3 to 6, each sent again at most a few times.
const DATAGRAMS_HANDSHAKE: u8 = 24;
/// SSDP repeats itself; so many datagrams of one session say all there is.
const DATAGRAMS_SSDP: u8 = 8;
/// ICE agents check several pairs, often twice, before DTLS begins (RFC 8445 section 6.1.4).
const DATAGRAMS_STUN: u8 = 48;
/// Datagrams of both directions looked at for their timing.
const DATAGRAMS_TIMED: u8 = 96;
/// SSDP's port (UPnP Device Architecture 2.0 section 1.3).
const PORT_SSDP: u16 = 1900;

/// Protocols whose exchanges are timed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Spoken {
    #[default]
    Nothing,
    Quic,
    Dtls,
    Ike,
    Wireguard,
    Openvpn,
    Stun,
}

/// What both directions of a session say together.
#[derive(Debug, Default)]
pub struct Talk {
    spoken: Spoken,
    datagrams: u8,
    over: bool,
    /// STUN was spoken, whatever came behind it.
    stunned: bool,
    /// Over UDP, once there is something to time.
    timed: Option<Box<Timed>>,
    /// Over UDP, while one of two datagrams is here.
    pair: Option<Box<Pair>>,
    /// Over TCP as well.
    pub openvpn: Openvpn,
    /// Over TCP only.
    pub streams: Option<Box<Streams>>,
}

/// What is timed over UDP.
#[derive(Debug, Default)]
struct Timed {
    rtt: RequestRtt,
    quic: Option<Box<QuicState>>,
    dtls: DtlsRtt,
    dtls_hellos: Option<Box<DtlsState>>,
    ike: Ike,
    wireguard: Wireguard,
}

/// How streams begin where both sides have to agree.
#[derive(Debug, Default)]
pub struct Streams {
    /// SOCKS, RDP, RFB.
    pub greetings: Greetings,
    /// The rest.
    pub openings: AppSignatures,
}

impl Heap for Timed {
    fn heap(&self) -> usize {
        self.rtt.heap() + self.quic.heap() + self.dtls_hellos.heap()
    }
}

impl Heap for Talk {
    fn heap(&self) -> usize {
        let boxes = size_of::<Pair>() + size_of::<Streams>() + 2 * ALLOCATION;
        let boxes = if self.pair.is_some() || self.streams.is_some() { boxes } else { 0 };
        self.timed.heap() + self.openvpn.heap() + boxes
    }
}

impl Talk {
    /// Takes the round trips of one datagram.
    pub fn follow(&mut self, segment: &Segment<'_>, facts: &mut Facts) {
        if self.over || self.spoken == Spoken::Nothing {
            return;
        }
        let bytes = segment.payload;
        let Timed { rtt, quic, dtls, ike, wireguard, .. } =
            &mut **self.timed.get_or_insert_default();
        let mut at = Moment { role: segment.from, time: segment.time, facts };
        let more = match self.spoken {
            Spoken::Quic => {
                let opener = quic.as_deref().map(QuicState::opener).unwrap_or_default();
                quic_rtt::follow(bytes, opener, rtt, &mut at)
            }
            Spoken::Dtls => {
                self.stunned |= stun::follow(bytes, rtt, &mut at);
                let more = dtls.follow(bytes, rtt, &mut at);
                if !more && self.stunned {
                    // Agents go on asking for consent (RFC 7675 section 5.1).
                    self.spoken = Spoken::Stun;
                }
                more || self.stunned
            }
            Spoken::Ike => {
                ike.follow(bytes, segment.ports, rtt, &mut at);
                true
            }
            Spoken::Wireguard => wireguard.follow(bytes, rtt, &mut at),
            Spoken::Openvpn => self.openvpn.follow(bytes, rtt, &mut at),
            Spoken::Stun => {
                self.stunned |= stun::follow(bytes, rtt, &mut at);
                true
            }
            Spoken::Nothing => true,
        };
        self.datagrams = self.datagrams.saturating_add(1);
        self.over = !more || self.datagrams >= DATAGRAMS_TIMED;
    }

    /// Whether it is followed for its round trips only: its protocol has an observer of its own.
    pub fn is_told_without_timing(&self) -> bool {
        matches!(self.spoken, Spoken::Quic | Spoken::Dtls)
    }

    /// Whether a stream's dialogue has ended and nothing else has begun: most sessions that were
    /// relayed live on for long.
    pub fn is_spent(&self) -> bool {
        let streams = self.streams.as_deref();
        streams.is_some_and(|streams| streams.greetings.is_over() && !streams.openings.has_begun())
            && !self.openvpn.has_begun()
    }

    /// Whether nothing more is to be timed.
    pub const fn is_over(&self) -> bool {
        self.over
    }

    /// Whether it wants further datagrams.
    pub fn is_timing(&self) -> bool {
        !self.over && self.spoken != Spoken::Nothing
    }

    /// Whether one of two datagrams that go together is here.
    fn waits_for_half(&self) -> bool {
        self.pair.as_ref().is_some_and(|pair| pair.is_open())
    }

    fn speaks(&mut self, mode: Mode) {
        self.spoken = match mode {
            Mode::Quic => Spoken::Quic,
            Mode::Dtls => Spoken::Dtls,
            Mode::Ike => Spoken::Ike,
            Mode::Wireguard => Spoken::Wireguard,
            Mode::Openvpn => Spoken::Openvpn,
            Mode::Stun if self.spoken == Spoken::Nothing => Spoken::Stun,
            _ => return,
        };
    }
}

/// Looks at one datagram of one direction.
pub fn observe(lane: &mut StreamParser, bytes: &[u8], time: Nanos, context: &mut ParseContext<'_>) {
    if lane.mode == Mode::Wireguard && udp_signatures::is_disco(bytes) {
        // What it carried before it spoke: the capture began in the middle.
        context.facts().protocol = Some(Protocol::Tailscale);
        return lane.finish();
    }
    if lane.mode == Mode::Look && speaks_rdp(context) {
        lane.mode = Mode::RdpUdp;
    }
    if lane.mode == Mode::Look {
        if let Some(told) = udp_signatures::tell(bytes, context.ports) {
            // Also where the question before it looked like something else.
            context.facts().protocol = Some(told);
            return match told {
                Protocol::Rdp => lane.mode = Mode::RdpUdp,
                _ => lane.finish(),
            };
        }
        if is_tunnel_on_any_port(bytes) {
            lane.mode = Mode::Wireguard;
        }
    }
    if lane.mode == Mode::Dns || (lane.mode == Mode::Look && dns::is_dns_port(context.ports)) {
        match dns::observe_dns(bytes, context.ports, context.facts()) {
            // Counts questions as long as the session lasts: no bound on datagrams.
            ParseResult::Used(_) => {
                lane.mode = Mode::Dns;
                dns::time(bytes, context.role, time, context.facts());
            }
            // A datagram stands for itself: the next one may be good.
            ParseResult::Failed => {
                context.counters.bump(Counter::ParseFailures);
                lane.mode = Mode::Dns;
            }
            _ => {}
        }
        if lane.mode == Mode::Dns {
            return;
        }
    }
    // An SPI may begin with any byte.
    if lane.mode == Mode::Look && udp_pairs::has_port(context.ports) && is_pair(bytes, context) {
        return lane.finish();
    }
    if matches!(lane.mode, Mode::Look | Mode::Stun) {
        lane.mode = sign(lane.mode, bytes, context);
    }
    if lane.mode == Mode::Look && !udp_pairs::has_port(context.ports) && is_pair(bytes, context) {
        return lane.finish();
    }
    let step = ask(lane.mode, bytes, time, context);
    settle_talk(lane.mode, step, context);
    match step {
        ParseResult::Used(_) | ParseResult::NeedMore | ParseResult::Await(_) => {}
        ParseResult::NotMine => lane.mode = Mode::Look,
        ParseResult::Done => lane.finish(),
        ParseResult::Failed => {
            context.counters.bump(Counter::ParseFailures);
            lane.finish();
        }
    }
    count(lane);
}

/// Whether a datagram that nothing claims goes with one before it.
fn is_pair(bytes: &[u8], context: &mut ParseContext<'_>) -> bool {
    let waits = context.talk.as_ref().is_some_and(|talk| talk.waits_for_half());
    if !waits && !udp_pairs::has_port(context.ports) && !udp_pairs::has_size(bytes) {
        return false;
    }
    let talk = context.talk.get_or_insert_default();
    let pair = talk.pair.get_or_insert_default();
    let Some(told) = pair.observe(bytes, context.role, context.ports) else { return false };
    talk.pair = None;
    context.facts().protocol.get_or_insert(told);
    true
}

/// Asks the observer of the mode.
fn ask(mode: Mode, bytes: &[u8], time: Nanos, context: &mut ParseContext<'_>) -> ParseResult {
    let role = context.role;
    match mode {
        Mode::Dns => {
            let step = dns::observe_dns(bytes, context.ports, context.facts());
            if matches!(step, ParseResult::Used(_)) {
                dns::time(bytes, role, time, context.facts());
            }
            step
        }
        Mode::Ssdp => observe_ssdp(bytes, context.facts()),
        Mode::Dtls => {
            let talk = context.talk.get_or_insert_default();
            let facts = context.facts.get_or_insert_default();
            let timed = talk.timed.get_or_insert_default();
            let step = timed.dtls_hellos.get_or_insert_default().observe(bytes, role, facts);
            // What is behind STUN says more than STUN.
            if facts.protocol == Some(Protocol::Stun) && step != ParseResult::NotMine {
                facts.protocol = Some(Protocol::Dtls);
            }
            step
        }
        Mode::Quic => {
            let talk = context.talk.get_or_insert_default();
            let facts = context.facts.get_or_insert_default();
            talk.timed
                .get_or_insert_default()
                .quic
                .get_or_insert_default()
                .observe(bytes, role, facts)
        }
        Mode::RdpUdp => {
            let talk = context.talk.get_or_insert_default();
            let facts = context.facts.get_or_insert_default();
            let timed = talk.timed.get_or_insert_default();
            let dtls = timed.dtls_hellos.get_or_insert_default();
            if rdp_udp::observe(bytes, role, dtls, facts) {
                ParseResult::Done
            } else {
                ParseResult::NeedMore
            }
        }
        mode if mode.is_timed_only() => ParseResult::NeedMore,
        _ => ParseResult::NotMine,
    }
}

/// Counts a datagram against the bound of its mode.
fn count(lane: &mut StreamParser) {
    lane.turns = lane.turns.saturating_add(1);
    let datagrams_max = match lane.mode {
        Mode::Look => DATAGRAMS_LOOKED,
        Mode::Ssdp => DATAGRAMS_SSDP,
        Mode::Stun => DATAGRAMS_STUN,
        Mode::Dtls | Mode::Quic | Mode::RdpUdp => DATAGRAMS_HANDSHAKE,
        mode if mode.is_timed_only() => DATAGRAMS_TIMED,
        _ => u8::MAX,
    };
    if lane.turns >= datagrams_max {
        lane.finish();
    }
}

/// Begins to time what both sides say, or forgets what only looked like it.
fn settle_talk(mode: Mode, step: ParseResult, context: &mut ParseContext<'_>) {
    let has_hello = matches!(mode, Mode::Quic | Mode::Dtls);
    if step == ParseResult::NotMine {
        if context.talk.as_ref().is_some_and(|talk| !talk.is_timing() && !talk.waits_for_half()) {
            *context.talk = None;
        }
    } else if mode.is_timed_only() || (has_hello && step != ParseResult::Failed) {
        context.talk.get_or_insert_default().speaks(mode);
    }
}

/// Which observer a datagram's first bytes call for.
fn sign(mode: Mode, bytes: &[u8], context: &ParseContext<'_>) -> Mode {
    let ports = context.ports;
    match bytes {
        // Class and method leave the first two bits zero, the cookie stands for itself.
        [0..=0x3f, _, _, _, 0x21, 0x12, 0xa4, 0x42, ..] => Mode::Stun,
        // Before the others: a transaction id may look like any first byte.
        _ if mode == Mode::Look && dns::is_plain_message(bytes) => Mode::Dns,
        // A DTLS record: content type 20 to 26, version 254.x (RFC 9147 section 4, RFC 6347
        // section 4.1).
        [20..=26, 0xfe, ..] => Mode::Dtls,
        // DTLS before RFC 4347, which Cisco AnyConnect kept: a handshake record of epoch 0.
        [22, 1, 0, 0, 0, ..] => Mode::Dtls,
        // Behind STUN comes DTLS, or media.
        _ if mode != Mode::Look => mode,
        // Before QUIC: an SPI may begin with any byte.
        _ if Header::parse(bytes, ports).is_ok() => Mode::Ike,
        // A QUIC long header: form and fixed bits, a version (RFC 9000 section 17.2).
        [first, version @ ..] if first & 0xc0 == 0xc0 && !version.starts_with(&[0; 4]) => {
            Mode::Quic
        }
        [0x09 | 0x0d, ..] if LongPacket::is_of_another_version(bytes) => Mode::Quic,
        // An answer may clear the fixed bit (RFC 9287 section 3.1).
        [0x80..=0xff, ..] if speaks_quic(context) => Mode::Quic,
        _ if ports.0 == PORT_SSDP || ports.1 == PORT_SSDP => Mode::Ssdp,
        [1..=4, ..] if wireguard::may_be(bytes) => Mode::Wireguard,
        [0x38 | 0x40 | 0x50, ..] if may_be_openvpn(bytes, context) => Mode::Openvpn,
        _ => Mode::Look,
    }
}

/// A WireGuard initiation or response: services offer it on DNS's port too.
fn is_tunnel_on_any_port(bytes: &[u8]) -> bool {
    matches!(bytes, [1..=2, 0, 0, 0, ..])
        && wireguard::may_be(bytes)
        && !dns::is_plain_message(bytes)
}

fn may_be_openvpn(bytes: &[u8], context: &ParseContext<'_>) -> bool {
    match context.talk.as_ref() {
        Some(talk) => talk.openvpn.may_be(bytes, context.role),
        None => Openvpn::default().may_be(bytes, context.role),
    }
}

/// Whether the session began with RDP's SYN.
fn speaks_rdp(context: &ParseContext<'_>) -> bool {
    context.facts.as_ref().is_some_and(|facts| facts.protocol == Some(Protocol::Rdp))
}

/// Whether the session is known to speak QUIC.
fn speaks_quic(context: &ParseContext<'_>) -> bool {
    context.facts.as_ref().is_some_and(|facts| facts.protocol == Some(Protocol::Quic))
}

/// SSDP is HTTP heads in datagrams (UPnP Device Architecture 2.0 section 1.1.1).
fn observe_ssdp(bytes: &[u8], facts: &mut Facts) -> ParseResult {
    match http::observe_request(bytes, Source::Datagram, facts) {
        (ParseResult::NotMine, _) => http::observe_response(bytes, Source::Datagram, facts).0,
        (step, _) => step,
    }
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
