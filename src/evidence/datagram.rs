//! A session over UDP: which protocol its datagrams speak, and what both sides say together.
//!
//! Owns: the look at a datagram's first bytes, the bounds of looking, the state that both
//! directions share. In: datagrams as they come. Out: calls to the observers of one protocol.
//! Never: costs a session without a known protocol more than a few comparisons.

use crate::evidence::dns;
use crate::evidence::dtls::DtlsState;
use crate::evidence::dtls_legs::DtlsLegs;
use crate::evidence::greetings::Greetings;
use crate::evidence::http;
use crate::evidence::ike::Ike;
use crate::evidence::legs::Legs;
use crate::evidence::legs::Moment;
use crate::evidence::openings::Openings;
use crate::evidence::openvpn::Openvpn;
use crate::evidence::pair;
use crate::evidence::pair::Pair;
use crate::evidence::quic::QuicState;
use crate::evidence::quic_legs;
use crate::evidence::rdp_udp;
use crate::evidence::step::Step;
use crate::evidence::stream::Around;
use crate::evidence::stream::Lane;
use crate::evidence::stream::Mode;
use crate::evidence::stun;
use crate::evidence::tells;
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
    legs: Legs,
    quic: Option<Box<QuicState>>,
    dtls: DtlsLegs,
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
    pub openings: Openings,
}

impl Heap for Timed {
    fn heap(&self) -> usize {
        self.legs.heap() + self.quic.heap() + self.dtls_hellos.heap()
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
        let Timed { legs, quic, dtls, ike, wireguard, .. } =
            &mut **self.timed.get_or_insert_default();
        let mut at = Moment { role: segment.from, time: segment.time, facts };
        let more = match self.spoken {
            Spoken::Quic => {
                let opener = quic.as_deref().map(QuicState::opener).unwrap_or_default();
                quic_legs::follow(bytes, opener, legs, &mut at)
            }
            Spoken::Dtls => {
                self.stunned |= stun::follow(bytes, legs, &mut at);
                let more = dtls.follow(bytes, legs, &mut at);
                if !more && self.stunned {
                    // Agents go on asking for consent (RFC 7675 section 5.1).
                    self.spoken = Spoken::Stun;
                }
                more || self.stunned
            }
            Spoken::Ike => {
                ike.follow(bytes, segment.ports, legs, &mut at);
                true
            }
            Spoken::Wireguard => wireguard.follow(bytes, legs, &mut at),
            Spoken::Openvpn => self.openvpn.follow(bytes, legs, &mut at),
            Spoken::Stun => {
                self.stunned |= stun::follow(bytes, legs, &mut at);
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
pub fn observe(lane: &mut Lane, bytes: &[u8], time: Nanos, around: &mut Around<'_>) {
    if lane.mode == Mode::Wireguard && tells::is_disco(bytes) {
        // What it carried before it spoke: the capture began in the middle.
        around.facts().protocol = Some(Protocol::Tailscale);
        return lane.finish();
    }
    if lane.mode == Mode::Look && speaks_rdp(around) {
        lane.mode = Mode::RdpUdp;
    }
    if lane.mode == Mode::Look {
        if let Some(told) = tells::tell(bytes, around.ports) {
            // Also where the question before it looked like something else.
            around.facts().protocol = Some(told);
            return match told {
                Protocol::Rdp => lane.mode = Mode::RdpUdp,
                _ => lane.finish(),
            };
        }
        if is_tunnel_on_any_port(bytes) {
            lane.mode = Mode::Wireguard;
        }
    }
    if lane.mode == Mode::Dns || (lane.mode == Mode::Look && dns::is_dns_port(around.ports)) {
        match dns::observe_dns(bytes, around.ports, around.facts()) {
            // Counts questions as long as the session lasts: no bound on datagrams.
            Step::Used(_) => {
                lane.mode = Mode::Dns;
                dns::time(bytes, around.role, time, around.facts());
            }
            // A datagram stands for itself: the next one may be good.
            Step::Failed => {
                around.counters.bump(Counter::ParseFailures);
                lane.mode = Mode::Dns;
            }
            _ => {}
        }
        if lane.mode == Mode::Dns {
            return;
        }
    }
    // An SPI may begin with any byte.
    if lane.mode == Mode::Look && pair::has_port(around.ports) && is_pair(bytes, around) {
        return lane.finish();
    }
    if matches!(lane.mode, Mode::Look | Mode::Stun) {
        lane.mode = sign(lane.mode, bytes, around);
    }
    if lane.mode == Mode::Look && !pair::has_port(around.ports) && is_pair(bytes, around) {
        return lane.finish();
    }
    let step = ask(lane.mode, bytes, time, around);
    settle_talk(lane.mode, step, around);
    match step {
        Step::Used(_) | Step::NeedMore | Step::Await(_) => {}
        Step::NotMine => lane.mode = Mode::Look,
        Step::Done => lane.finish(),
        Step::Failed => {
            around.counters.bump(Counter::ParseFailures);
            lane.finish();
        }
    }
    count(lane);
}

/// Whether a datagram that nothing claims goes with one before it.
fn is_pair(bytes: &[u8], around: &mut Around<'_>) -> bool {
    let waits = around.talk.as_ref().is_some_and(|talk| talk.waits_for_half());
    if !waits && !pair::has_port(around.ports) && !pair::has_size(bytes) {
        return false;
    }
    let talk = around.talk.get_or_insert_default();
    let pair = talk.pair.get_or_insert_default();
    let Some(told) = pair.observe(bytes, around.role, around.ports) else { return false };
    talk.pair = None;
    around.facts().protocol.get_or_insert(told);
    true
}

/// Asks the observer of the mode.
fn ask(mode: Mode, bytes: &[u8], time: Nanos, around: &mut Around<'_>) -> Step {
    let role = around.role;
    match mode {
        Mode::Dns => {
            let step = dns::observe_dns(bytes, around.ports, around.facts());
            if matches!(step, Step::Used(_)) {
                dns::time(bytes, role, time, around.facts());
            }
            step
        }
        Mode::Ssdp => observe_ssdp(bytes, around.facts()),
        Mode::Dtls => {
            let talk = around.talk.get_or_insert_default();
            let facts = around.facts.get_or_insert_default();
            let timed = talk.timed.get_or_insert_default();
            let step = timed.dtls_hellos.get_or_insert_default().observe(bytes, role, facts);
            // What is behind STUN says more than STUN.
            if facts.protocol == Some(Protocol::Stun) && step != Step::NotMine {
                facts.protocol = Some(Protocol::Dtls);
            }
            step
        }
        Mode::Quic => {
            let talk = around.talk.get_or_insert_default();
            let facts = around.facts.get_or_insert_default();
            talk.timed
                .get_or_insert_default()
                .quic
                .get_or_insert_default()
                .observe(bytes, role, facts)
        }
        Mode::RdpUdp => {
            let talk = around.talk.get_or_insert_default();
            let facts = around.facts.get_or_insert_default();
            let timed = talk.timed.get_or_insert_default();
            let dtls = timed.dtls_hellos.get_or_insert_default();
            if rdp_udp::observe(bytes, role, dtls, facts) { Step::Done } else { Step::NeedMore }
        }
        mode if mode.is_timed_only() => Step::NeedMore,
        _ => Step::NotMine,
    }
}

/// Counts a datagram against the bound of its mode.
fn count(lane: &mut Lane) {
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
fn settle_talk(mode: Mode, step: Step, around: &mut Around<'_>) {
    let has_hello = matches!(mode, Mode::Quic | Mode::Dtls);
    if step == Step::NotMine {
        if around.talk.as_ref().is_some_and(|talk| !talk.is_timing() && !talk.waits_for_half()) {
            *around.talk = None;
        }
    } else if mode.is_timed_only() || (has_hello && step != Step::Failed) {
        around.talk.get_or_insert_default().speaks(mode);
    }
}

/// Which observer a datagram's first bytes call for.
fn sign(mode: Mode, bytes: &[u8], around: &Around<'_>) -> Mode {
    let ports = around.ports;
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
        [0x80..=0xff, ..] if speaks_quic(around) => Mode::Quic,
        _ if ports.0 == PORT_SSDP || ports.1 == PORT_SSDP => Mode::Ssdp,
        [1..=4, ..] if wireguard::may_be(bytes) => Mode::Wireguard,
        [0x38 | 0x40 | 0x50, ..] if may_be_openvpn(bytes, around) => Mode::Openvpn,
        _ => Mode::Look,
    }
}

/// A WireGuard initiation or response: services offer it on DNS's port too.
fn is_tunnel_on_any_port(bytes: &[u8]) -> bool {
    matches!(bytes, [1..=2, 0, 0, 0, ..])
        && wireguard::may_be(bytes)
        && !dns::is_plain_message(bytes)
}

fn may_be_openvpn(bytes: &[u8], around: &Around<'_>) -> bool {
    match around.talk.as_ref() {
        Some(talk) => talk.openvpn.may_be(bytes, around.role),
        None => Openvpn::default().may_be(bytes, around.role),
    }
}

/// Whether the session began with RDP's SYN.
fn speaks_rdp(around: &Around<'_>) -> bool {
    around.facts.as_ref().is_some_and(|facts| facts.protocol == Some(Protocol::Rdp))
}

/// Whether the session is known to speak QUIC.
fn speaks_quic(around: &Around<'_>) -> bool {
    around.facts.as_ref().is_some_and(|facts| facts.protocol == Some(Protocol::Quic))
}

/// SSDP is HTTP heads in datagrams (UPnP Device Architecture 2.0 section 1.1.1).
fn observe_ssdp(bytes: &[u8], facts: &mut Facts) -> Step {
    match http::observe_request(bytes, Source::Datagram, facts) {
        (Step::NotMine, _) => http::observe_response(bytes, Source::Datagram, facts).0,
        (step, _) => step,
    }
}

#[cfg(test)]
#[path = "datagram_tests.rs"]
mod tests;
