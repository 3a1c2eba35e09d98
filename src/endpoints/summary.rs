//! What one session contributes to each of its two endpoints.
//!
//! Owns: which facts belong to which end. In: a record. Out: a small value that can cross threads.
//! Never: totals.

use std::sync::Arc;

use crate::endpoints::egress::{self, Egress};
use crate::endpoints::{program, sizes};
use crate::model::controller_leg::ControllerLeg;
use crate::model::endpoint::{Locality, Service};
use crate::model::facts::{LongDatagram, PathMtu, StunFacts};
use crate::model::heap::ALLOCATION;
use crate::model::latency::Turns;
use crate::model::physics::ClaimedPlace;
use crate::model::record::{
    AutonomousSystem, Direction, Facts, Leg, Party, Place, Quality, SessionState, Subject, SynFacts,
};
use crate::model::{Addr, Heap, Nanos, Peer, Record, Transport};

/// A fingerprint of an end's software.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Print {
    /// None.
    #[default]
    None,
    /// JA4 of its ClientHello; and that of one that resumes nothing, if it differs.
    Ja4(Box<str>, Option<Box<str>>),
    /// Software part of its SSH identification string.
    Ssh(Arc<str>),
}

impl Print {
    /// Whether it is from SSH, and its text.
    pub fn as_text(&self) -> Option<(bool, &str)> {
        match self {
            Print::None => None,
            Print::Ja4(text, _) => Some((false, text)),
            Print::Ssh(text) => Some((true, text)),
        }
    }

    /// What tells the program if the text does not.
    pub fn program(&self) -> Option<&str> {
        match self {
            Print::Ja4(_, program) => program.as_deref(),
            Print::None | Print::Ssh(_) => None,
        }
    }
}

/// One end of one session.
#[derive(Clone, Debug)]
pub struct SideSummary {
    /// Address.
    pub ip: Addr,
    /// Home or remote.
    pub side: Locality,
    /// Its fingerprint; [`Print::None`] for a home end.
    pub print: Print,
    /// Transport round trip between the sensor and it, in ns.
    pub handshake_ns: Option<u64>,
    /// The session's lowest round trip on that leg, handshake or later, in ns; for UDP the closest
    /// equivalent ([`Record::transport_ns`]).
    pub transport_ns: Option<u64>,
    /// Location in the geo database.
    pub place: Option<Arc<Place>>,
    /// Announcing AS.
    pub asn: Option<Arc<AutonomousSystem>>,
}

/// The part of a session that concerns endpoints.
#[derive(Clone, Debug)]
pub struct EndpointSummary {
    /// The end that started the session.
    pub initiator: SideSummary,
    /// The other end.
    pub responder: SideSummary,
    /// The responder's port, if it answered. A scan of 65,536 closed ports is one endpoint, not
    /// 65,536.
    pub service: Option<Service>,
    /// First packet's time.
    pub first: Nanos,
    /// Last packet's time.
    pub last: Nanos,
    /// Nothing confirms these times: they may be years away from those of other sessions.
    pub doubtful: bool,
    /// Tags by list matches: whether the initiator's address matched, and the tag.
    pub tags: Vec<(bool, Arc<str>)>,
    /// The exchanges, with who answered and how fast.
    pub turns: Option<Box<Turns>>,
    /// What the initiator's SYN and program reveal about its system and path.
    pub stack: StackSummary,
    /// What rules on endpoints need beyond that; only for answered sessions from outside, because
    /// rules judge no other initiators.
    pub incoming: Option<Box<Incoming>>,
    /// What the initiator refused to pass on, if the datagram was addressed to itself: it has a
    /// smaller link behind it.
    pub refused: Option<LongDatagram>,
    /// What it is, if it lasts and a home end sends at least about as much as it receives: somebody
    /// may drive that host by it.
    pub long: Option<Box<LongSession>>,
    /// What it says of whom our side goes to.
    pub egress: Option<Box<Egress>>,
}

/// A session by which somebody may drive a home host.
#[derive(Clone, Debug, Default)]
pub struct LongSession {
    /// Its id and subject.
    pub session: Incoming,
    /// Application, else protocol, else transport.
    pub kind: Arc<str>,
    /// The remote-control tool that it is, by a list or signature.
    pub tool: Option<Arc<str>>,
    /// The configuration allows that application.
    pub approved: bool,
    /// The responder in the subjects file: id, and name if there is one.
    pub responder: Option<(Arc<str>, Option<Arc<str>>)>,
    /// A relay carries it: it asked one for a peer (TURN, RFC 8656).
    pub relayed: bool,
    /// The legs to who is at, or behind, initiator and responder.
    pub legs: [Option<ControllerLeg>; 2],
}

/// An answered session with a remote initiator.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// Event id of the session.
    pub id: [u8; 16],
    /// File, first and last frame.
    pub packets: (u16, u32, u32),
    /// The session's quality flags.
    pub quality: Quality,
    /// Round trips measured on the initiator's leg, including the handshake's.
    pub trips: u32,
    /// The subject, if it is in the subjects file: id, and name if there is one.
    pub subject: Option<(Arc<str>, Option<Arc<str>>)>,
    /// The date the subject was hired.
    pub hired: Option<Arc<str>>,
    /// The subject's role.
    pub role: Option<Arc<str>>,
    /// The place that the subject claims.
    pub claim: Option<ClaimedPlace>,
    /// The region of the initiator's address.
    pub region: Option<ClaimedPlace>,
    /// The longest datagram it was sent, if not every link carries that.
    pub longest: Option<LongDatagram>,
    /// What sizes of datagrams tell of the path to the initiator.
    pub path: Option<PathMtu>,
    /// It is of a VPN client.
    pub tunnel: bool,
    /// Messages of the initiator.
    pub messages: u32,
}

/// An operating system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum OsFamily {
    /// Unknown.
    #[default]
    None,
    /// Linux, Android and Chrome OS.
    Linux,
    /// Windows.
    Windows,
    /// macOS, iOS and relatives.
    Apple,
    /// FreeBSD and relatives.
    Bsd,
}

impl OsFamily {
    /// The known ones.
    pub const KNOWN: [OsFamily; 4] =
        [OsFamily::Linux, OsFamily::Windows, OsFamily::Apple, OsFamily::Bsd];

    /// The system of that name; unknown for any other name.
    pub fn of(name: Option<&str>) -> OsFamily {
        let told = OsFamily::KNOWN.into_iter().find(|family| family.as_str() == name);
        told.filter(|_| name.is_some()).unwrap_or_default()
    }

    fn by_number(number: u8) -> OsFamily {
        let known = OsFamily::KNOWN.into_iter().find(|family| *family as u8 == number);
        known.unwrap_or_default()
    }

    /// Its name, if known.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            OsFamily::None => None,
            OsFamily::Linux => Some("linux"),
            OsFamily::Windows => Some("windows"),
            OsFamily::Apple => Some("apple"),
            OsFamily::Bsd => Some("bsd"),
        }
    }

    /// Whether it is known.
    pub fn is_known(self) -> bool {
        self != OsFamily::None
    }
}

/// The initiator's SYN and program in four bytes, kept for every session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StackSummary {
    /// 0: unknown. First, because summaries are ordered by it.
    mtu: u16,
    /// Operating systems: by the SYN (lower four bits), and by SSH banner, user agent or TLS
    /// client.
    families: u8,
    clamped: bool,
}

impl StackSummary {
    /// From an MTU and the names of two systems, each if known.
    pub fn new(mtu: Option<u16>, syn: Option<&str>, program: Option<&str>) -> StackSummary {
        StackSummary {
            mtu: mtu.unwrap_or_default(),
            families: OsFamily::of(syn) as u8 | (OsFamily::of(program) as u8) << 4,
            clamped: false,
        }
    }

    /// The same with an MSS that another system than the sender set, if `clamped`.
    pub const fn with_clamped(self, clamped: bool) -> StackSummary {
        StackSummary { clamped, ..self }
    }

    /// Operating system by the SYN.
    pub fn syn(&self) -> OsFamily {
        OsFamily::by_number(self.families & 0xf)
    }

    /// Operating system by SSH banner, user agent or TLS client.
    pub fn program(&self) -> OsFamily {
        OsFamily::by_number(self.families >> 4)
    }

    /// Whether another system than the sender set the MSS.
    pub const fn is_clamped(&self) -> bool {
        self.clamped
    }

    /// MTU derived from the SYN's MSS.
    pub fn mtu(&self) -> Option<u16> {
        (self.mtu > 0).then_some(self.mtu)
    }
}

impl EndpointSummary {
    /// Heap bytes of its own.
    pub(super) fn heap(&self) -> usize {
        let print = |side: &SideSummary| match &side.print {
            Print::None | Print::Ssh(_) => 0,
            Print::Ja4(text, program) => text.heap() + program.heap(),
        };
        let tags = self.tags.capacity() * size_of::<(bool, Arc<str>)>();
        let incoming = self.incoming.as_ref().map_or(0, |_| size_of::<Incoming>() + ALLOCATION);
        let long = self.long.as_ref().map_or(0, |_| size_of::<LongSession>() + ALLOCATION);
        let egress = self.egress.as_ref().map_or(0, |_| size_of::<Egress>() + ALLOCATION);
        let prints = print(&self.initiator) + print(&self.responder);
        prints + tags + self.turns.heap() + incoming + long + egress
    }

    /// Takes the facts about endpoints out of a record that is no longer needed: its turns and JA4
    /// are moved.
    pub fn of(record: &mut Record) -> EndpointSummary {
        let (from, to) = sides(record.context.direction);
        // Before the JA4 is moved out with the initiator.
        let stack = stack(record);
        // Before the turns are.
        let long = may_drive(record).then(|| long(record));
        // Whoever writes both directions of a session writes its round trips too.
        let proven = |ns: Option<u64>| ns.filter(|_| !record.is_unproven());
        let near = (proven(record.near.handshake_ns), proven(record.transport_ns(true)));
        let far = (proven(record.far.handshake_ns), proven(record.transport_ns(false)));
        let initiator = SideSummary {
            print: initiator_print(from, &mut record.facts),
            ..side(&record.initiator, from, near)
        };
        let responder = SideSummary {
            print: responder_print(to, &record.facts),
            ..side(&record.responder, to, far)
        };
        EndpointSummary {
            initiator,
            responder,
            service: answered(record)
                .then_some(Service { transport: record.transport, port: record.responder.port }),
            first: record.start,
            last: record.end,
            doubtful: record.doubtful,
            tags: tags(record, from),
            turns: turns(record),
            stack,
            incoming: (from == Locality::Remote && answered(record) && !record.quality.unconfirmed)
                .then(|| Box::new(incoming(record))),
            refused: sizes::refused(record),
            long,
            egress: egress::egress(record, incoming).filter(|_| answered(record)),
        }
    }
}

fn incoming(record: &Record) -> Incoming {
    Incoming {
        id: record.id,
        packets: (record.file, record.frame_first, record.frame_last),
        quality: record.quality,
        trips: trips(&record.near),
        subject: subject(record),
        hired: record.context.subject_hired.clone(),
        role: record.context.subject_role.clone(),
        claim: record.context.physics.as_ref().and_then(|physics| physics.claimed),
        region: record.context.physics.as_ref().and_then(|physics| physics.region),
        longest: record.responder.longest.map(|(bytes, print)| {
            let ports = (record.responder.port, record.initiator.port);
            LongDatagram { bytes, print, ports }
        }),
        path: sizes::path(record),
        tunnel: egress::tunnel(record).is_some(),
        messages: egress::messages(record),
    }
}

/// Whether somebody may drive a home host by the session: it lasts, and the host sends at least
/// about as much as it receives, as a screen would need.
pub(super) fn may_drive(record: &Record) -> bool {
    let (from, to) = sides(record.context.direction);
    let (up, down) = (record.initiator.bytes, record.responder.bytes);
    let shows = |side, sent: u64, received: u64| side == Locality::Home && sent >= received / 2;
    let shows = shows(from, up, down) || shows(to, down, up);
    record.activity.is_some() && shows && !record.quality.unconfirmed && !record.is_unproven()
}

fn long(record: &Record) -> Box<LongSession> {
    let protocol = record.facts.protocol.map(|protocol| protocol.as_str());
    let transport = || record.transport.name().unwrap_or("ip");
    let application = record.context.application.clone();
    let tags = record.context.hits.iter().map(|hit| &hit.tag);
    Box::new(LongSession {
        session: incoming(record),
        kind: application.unwrap_or_else(|| protocol.unwrap_or_else(transport).into()),
        tool: tags.filter_map(|tag| tag.strip_prefix(TOOL)).next().map(Arc::from),
        approved: record.context.application_approved,
        responder: record.context.responder_subject.clone().map(|named| (named.id, named.name)),
        relayed: record.facts.stun().is_some_and(StunFacts::is_relayed),
        legs: [Peer::Initiator, Peer::Responder].map(|remote| record.controller_leg(remote)),
    })
}

/// Prefix of the tags of remote-control tools.
const TOOL: &str = "rmm:";

fn trips(leg: &Leg) -> u32 {
    let in_session = leg.in_session.map_or(0, |trips| trips.samples);
    in_session.saturating_add(u32::from(leg.handshake_ns.is_some()))
}

/// What the SYN tells; nothing where anybody may have sent it, because a SYN is a single packet.
fn stack(record: &Record) -> StackSummary {
    if record.quality.unconfirmed {
        return StackSummary::new(None, None, None);
    }
    let syn = record.syn.as_ref();
    let mtu = syn.and_then(|syn| syn.mtu_hint);
    let summary =
        StackSummary::new(mtu, syn.and_then(|syn| syn.os_hint), program::family(&record.facts));
    summary.with_clamped(syn.is_some_and(|syn| is_clamped(syn, record.version)))
}

/// Whether a router or tunnel on the path has lowered the MSS. Linux and Windows offer a window of
/// so many segments of their own interface's MSS; so one that is a multiple of Ethernet's and not
/// of the MSS offered was set before the MSS was.
const fn is_clamped(syn: &SynFacts, version: u8) -> bool {
    let ethernet: u16 = if version == 6 { 1_440 } else { 1_460 };
    match syn.mss {
        Some(mss) if mss > 0 && mss < ethernet && syn.window >= ethernet => {
            syn.window.is_multiple_of(ethernet) && !syn.window.is_multiple_of(mss)
        }
        _ => false,
    }
}

/// The turns, if the initiator answered any and its leg is known.
fn turns(record: &mut Record) -> Option<Box<Turns>> {
    let turns = record.facts.turns.as_deref()?;
    let tells = turns.turns.iter().any(|turn| turn.by_initiator) && !record.is_unproven();
    if tells && record.transport_ns(true).is_some() { record.facts.turns.take() } else { None }
}

fn subject(record: &Record) -> Option<(Arc<str>, Option<Arc<str>>)> {
    match &record.context.subject {
        Some(Subject::Named(id)) => Some((Arc::clone(id), record.context.subject_name.clone())),
        _ => None,
    }
}

/// Whether the responder offered the service at all. A closed TCP port refuses with one RST per
/// SYN: no SYN-ACK to measure, no data, and no more packets than it received. A sender of forged
/// SYNs may also reset what was answered, so over TCP the initiator has to acknowledge the answer.
fn answered(record: &Record) -> bool {
    let sent = &record.responder;
    let refused = record.transport == Transport::TCP
        && record.state == SessionState::Reset
        && record.far.handshake_ns.is_none()
        && record.facts.protocol.is_none()
        && sent.packets <= record.initiator.packets;
    let forged =
        record.transport == Transport::TCP && record.quality.unconfirmed || record.is_unproven();
    sent.packets > 0 && record.state != SessionState::Opened && !refused && !forged
}

fn side(
    party: &Party,
    side: Locality,
    (handshake_ns, transport_ns): (Option<u64>, Option<u64>),
) -> SideSummary {
    SideSummary {
        // Behind a NAT64 translator all of IPv4 would share a prefix.
        ip: party.origin(),
        side,
        print: Print::None,
        handshake_ns,
        transport_ns,
        place: party.place.clone(),
        asn: party.asn.clone(),
    }
}

/// Sides of initiator and responder.
pub(super) const fn sides(direction: Direction) -> (Locality, Locality) {
    match direction {
        Direction::Inbound => (Locality::Remote, Locality::Home),
        Direction::Outbound => (Locality::Home, Locality::Remote),
        Direction::Internal => (Locality::Home, Locality::Home),
        Direction::External => (Locality::Remote, Locality::Remote),
    }
}

/// Only the client's hello is fingerprinted, so a JA4 always belongs to the initiator.
fn initiator_print(side: Locality, facts: &mut Facts) -> Print {
    if side == Locality::Home {
        return Print::None;
    }
    let ja4 = facts.tls.as_deref_mut().and_then(|tls| Some((tls.ja4.take()?, tls)));
    match ja4 {
        Some((ja4, tls)) => Print::Ja4(ja4, tls.ja4_unresumed.take()),
        None => ssh(facts.ssh.as_deref().and_then(|ssh| ssh.client.as_deref())),
    }
}

fn responder_print(side: Locality, facts: &Facts) -> Print {
    match side {
        Locality::Home => Print::None,
        Locality::Remote => ssh(facts.ssh.as_deref().and_then(|ssh| ssh.server.as_deref())),
    }
}

fn ssh(banner: Option<&str>) -> Print {
    banner.and_then(software).map_or(Print::None, |software| Print::Ssh(software.into()))
}

/// RFC 4253 section 4.2: `SSH-protoversion-softwareversion SP comments`.
fn software(banner: &str) -> Option<&str> {
    let version = banner.strip_prefix("SSH-")?.split_once('-')?.1;
    version.split([' ', '\r', '\n']).next().filter(|software| !software.is_empty())
}

/// The tags of its ends, with whether they are the initiator's. A hit on an address belongs to the
/// end that has it, any other to the remote end. But the name that an end from outside asks us for
/// is none of its own, what it chooses to say excuses it from nothing, and what a single packet
/// says is nobody's.
fn tags(record: &Record, initiator: Locality) -> Vec<(bool, Arc<str>)> {
    let inbound = initiator == Locality::Remote && record.context.direction == Direction::Inbound;
    let mut tags = Vec::new();
    for hit in &record.context.hits {
        let of_initiator = match hit.is_of_address() {
            true => hit.is_of_source(),
            false if record.quality.unconfirmed || hit.is_of_question() => continue,
            false if inbound && (hit.is_of_service() || hit.excuses()) => continue,
            false => inbound,
        };
        tags.push((of_initiator, Arc::clone(&hit.tag)));
    }
    tags
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
