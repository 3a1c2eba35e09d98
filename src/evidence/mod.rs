//! Observers: what the first bytes of a session say about who speaks.
//!
//! Owns: a session's observation state and the facts found so far. In: [`Segment`]s, in order for
//! TCP, as they come for UDP. Out: [`Facts`] and whether anybody still listens. Never: judges,
//! keeps payload beyond a message in pieces, or looks on after its bounds.

pub mod dns;
pub mod dtls;
mod hashed;
pub mod http;
pub mod ja3;
pub mod ja4;
pub mod quic;
pub mod ssh;
pub mod step;
mod stream;
#[cfg(test)]
mod tests;
mod text;
pub mod tls;
mod turns;

use crate::evidence::quic::QuicState;
use crate::evidence::step::Role;
use crate::evidence::step::Step;
use crate::evidence::stream::Around;
use crate::evidence::stream::Lane;
use crate::evidence::stream::Mode;
use crate::evidence::turns::Beside;
use crate::evidence::turns::Watch;
use crate::model::Counter;
use crate::model::Counters;
use crate::model::Nanos;
use crate::model::Transport;
use crate::model::record::Facts;
use crate::model::record::Protocol;
use crate::model::record::Wrapping;
use crate::wire::http::Source;

/// Datagrams of each direction looked at while undecided.
const DATAGRAMS_LOOKED: u8 = 4;
/// Datagrams of each direction given to a handshake's observer: a DTLS or QUIC flight with
/// certificates takes 3 to 6, each sent again at most a few times.
const DATAGRAMS_HANDSHAKE: u8 = 24;
/// SSDP repeats itself; so many datagrams of one session say all there is.
const DATAGRAMS_SSDP: u8 = 8;
/// SSDP's port (UPnP Device Architecture 2.0 section 1.3).
const PORT_SSDP: u16 = 1900;

/// Payload of one session as the session stage delivers it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// TCP: the next bytes in order. UDP: one datagram.
    pub payload: &'a [u8],
    /// Who sent it.
    pub role: Role,
    /// TCP or UDP; nobody listens to others.
    pub transport: Transport,
    /// Initiator's port.
    pub initiator_port: u16,
    /// Responder's port.
    pub responder_port: u16,
    /// Bytes were lost just before this.
    pub gap: bool,
    /// The packet's time.
    pub time: Nanos,
    /// TCP: when the SYN-ACK passed, where the handshake gives the initiator's leg.
    pub opened: Option<Nanos>,
    /// TCP: repetitions, early segments and holes of the session so far.
    pub troubles: u32,
}

/// Whether further segments are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Go on delivering.
    More,
    /// Nobody listens to this session any more: neither deliver nor buffer.
    Done,
}

/// What watches the turns of a session.
#[derive(Debug, Default)]
enum Watching {
    /// Nothing was seen yet.
    #[default]
    Not,
    /// It goes on.
    On(Box<Watch>),
    /// It is over.
    Over,
}

/// The observers of one session. Costs 64 bytes until something is found.
#[derive(Debug, Default)]
pub struct Observers {
    initiator: Lane,
    responder: Lane,
    facts: Option<Box<Facts>>,
    quic: Option<Box<QuicState>>,
    watching: Watching,
}

impl Observers {
    /// Looks at a segment.
    pub fn observe(&mut self, segment: &Segment<'_>, counters: &mut Counters) -> Interest {
        let lane = match segment.role {
            Role::Initiator => &mut self.initiator,
            Role::Responder => &mut self.responder,
        };
        if lane.mode != Mode::Done && !segment.payload.is_empty() {
            let ports = (segment.initiator_port, segment.responder_port);
            let role = segment.role;
            let mut around = Around { role, ports, facts: &mut self.facts, counters };
            match segment.transport {
                Transport::TCP => lane.observe(segment.payload, segment.gap, &mut around),
                Transport::UDP => {
                    observe_datagram(lane, &mut self.quic, segment.payload, &mut around);
                }
                _ => lane.finish(),
            }
        }
        if segment.transport == Transport::TCP {
            self.watch(segment, counters);
        }
        self.interest()
    }

    /// Follows the turns of a TCP session.
    fn watch(&mut self, segment: &Segment<'_>, counters: &mut Counters) {
        if let Watching::Not = self.watching {
            self.watching = Watching::On(Box::default());
        }
        let Watching::On(watch) = &mut self.watching else { return };
        let tls = self.facts.as_ref().and_then(|facts| facts.tls.as_deref());
        watch.observe(segment, &mut Beside { tls, counters });
        if watch.is_over() {
            self.end_watch();
        }
    }

    fn end_watch(&mut self) {
        let watching = std::mem::replace(&mut self.watching, Watching::Over);
        if let Watching::On(watch) = watching
            && let Some(turns) = watch.into_turns()
        {
            self.facts.get_or_insert_default().turns = Some(turns);
        }
    }

    /// Whether anybody still listens to either direction.
    pub fn interest(&self) -> Interest {
        let watching = matches!(self.watching, Watching::On(_));
        if watching || self.wants(Role::Initiator) || self.wants(Role::Responder) {
            Interest::More
        } else {
            Interest::Done
        }
    }

    /// Whether anybody still listens to what this side sends.
    pub fn wants(&self, role: Role) -> bool {
        let lane = match role {
            Role::Initiator => &self.initiator,
            Role::Responder => &self.responder,
        };
        lane.mode != Mode::Done
    }

    /// The facts found so far, `None` while there are none.
    pub fn facts(&self) -> Option<&Facts> {
        self.facts.as_deref()
    }

    /// Notes what the session's first packet was wrapped in.
    pub fn note_wrapping(&mut self, wrapping: Wrapping) {
        self.facts.get_or_insert_default().wrapping = Some(Box::new(wrapping));
    }

    /// Ends the observation and gives what was found.
    pub fn into_facts(mut self) -> Facts {
        self.end_watch();
        self.facts.map(|facts| *facts).unwrap_or_default()
    }
}

/// Looks at one datagram of one direction.
fn observe_datagram(
    lane: &mut Lane,
    quic: &mut Option<Box<QuicState>>,
    bytes: &[u8],
    around: &mut Around<'_>,
) {
    if lane.mode == Mode::Dns || (lane.mode == Mode::Look && dns::is_dns_port(around.ports)) {
        match dns::observe_dns(bytes, around.ports, around.facts()) {
            // Counts questions as long as the session lasts: no bound on datagrams.
            Step::Used(_) => lane.mode = Mode::Dns,
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
    if lane.mode == Mode::Look {
        lane.mode = datagram_sign(bytes, around);
    }
    let role = around.role;
    let step = match lane.mode {
        Mode::Dns => dns::observe_dns(bytes, around.ports, around.facts()),
        Mode::Ssdp => observe_ssdp(bytes, around.facts()),
        Mode::Dtls => dtls::observe_dtls(bytes, role, around.facts()),
        Mode::Quic => quic.get_or_insert_default().observe(bytes, role, around.facts()),
        _ => Step::NotMine,
    };
    match step {
        Step::Used(_) | Step::NeedMore => {}
        Step::NotMine => lane.mode = Mode::Look,
        Step::Done => lane.finish(),
        Step::Failed => {
            around.counters.bump(Counter::ParseFailures);
            lane.finish();
        }
    }
    lane.turns = lane.turns.saturating_add(1);
    let datagrams_max = match lane.mode {
        Mode::Look => DATAGRAMS_LOOKED,
        Mode::Ssdp => DATAGRAMS_SSDP,
        Mode::Dtls | Mode::Quic => DATAGRAMS_HANDSHAKE,
        _ => u8::MAX,
    };
    if lane.turns >= datagrams_max {
        lane.finish();
    }
}

/// Which observer a datagram's first bytes call for.
fn datagram_sign(bytes: &[u8], around: &Around<'_>) -> Mode {
    let ports = around.ports;
    match bytes {
        // Before the others: a transaction id may look like any first byte.
        _ if dns::is_plain_message(bytes) => Mode::Dns,
        // A DTLS record: content type 20 to 26, version 254.x (RFC 9147 section 4, RFC 6347
        // section 4.1).
        [20..=26, 0xfe, ..] => Mode::Dtls,
        // DTLS before RFC 4347, which Cisco AnyConnect kept: a handshake record of epoch 0.
        [22, 1, 0, 0, 0, ..] => Mode::Dtls,
        // A QUIC long header: form and fixed bits, a version (RFC 9000 section 17.2).
        [first, version @ ..] if first & 0xc0 == 0xc0 && !version.starts_with(&[0; 4]) => {
            Mode::Quic
        }
        // An answer may clear the fixed bit (RFC 9287 section 3.1).
        [0x80..=0xff, ..] if speaks_quic(around) => Mode::Quic,
        _ if ports.0 == PORT_SSDP || ports.1 == PORT_SSDP => Mode::Ssdp,
        _ => Mode::Look,
    }
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
