//! One complete session: identity, counters, evidence, and the owners of both ends.
//!
//! Owns: the facts of a finished (or still open) session. In: session, evidence, enrich fill it in
//! turn.
//! Out: detect reads it, emit renders it. Never: payload, judgement.

use std::net::Ipv4Addr;
use std::sync::Arc;

pub use crate::model::activity::Activity;
pub use crate::model::facts::{
    DnsFacts, Facts, FirstBytes, HttpFacts, HttpRequest, Layer, PathMtu, SshFacts, StunFacts,
    TlsFacts, Wrapping,
};
use crate::model::interaction::Interaction;
pub use crate::model::latency::Leg;
pub use crate::model::origin::{AutonomousSystem, Place};
use crate::model::physics::ClaimedPlace;
pub use crate::model::physics::{Physics, PhysicsVerdict};
pub use crate::model::protocol::Protocol;
use crate::model::remote_control::RemoteControl;
use crate::model::{Addr, Grain, Nanos, Peer, Transport};

/// How a session ended, or its state at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// One side only: a SYN without an answer, a datagram without a reply.
    Opened,
    /// Both sides sent packets.
    Established,
    /// TCP FIN from both sides.
    Closed,
    /// TCP RST.
    Reset,
    /// Idle for longer than its timeout.
    Timeout,
    /// TCP without the handshake: started before the capture, or seen in part.
    Half,
}

impl SessionState {
    /// `longhaul.state`.
    pub const fn as_str(self) -> &'static str {
        match self {
            SessionState::Opened => "opened",
            SessionState::Established => "established",
            SessionState::Closed => "closed",
            SessionState::Reset => "reset",
            SessionState::Timeout => "timeout",
            SessionState::Half => "half",
        }
    }
}

/// The direction of a session relative to the home networks (ECS `network.direction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Remote initiator, home responder.
    Inbound,
    /// Home initiator, remote responder.
    Outbound,
    /// Both home.
    Internal,
    /// Neither home.
    #[default]
    External,
}

impl Direction {
    /// The ECS word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
            Direction::Internal => "internal",
            Direction::External => "external",
        }
    }
}

/// One end of a session.
#[derive(Clone, Debug)]
pub struct Party {
    /// Address.
    pub ip: Addr,
    /// Port, 0 if the protocol has none.
    pub port: u16,
    /// Link-layer address on the sensor's segment.
    pub mac: Option<[u8; 6]>,
    /// Bytes sent: whole frames, as on the wire.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// TTL of its first packet as seen by the sensor.
    pub ttl: Option<u8>,
    /// Location in the geo database.
    pub place: Option<Arc<Place>>,
    /// Announcing AS.
    pub asn: Option<Arc<AutonomousSystem>>,
    /// The IPv4 address embedded in `ip`, if that is a NAT64 address.
    pub behind: Option<Ipv4Addr>,
    /// UDP length and fingerprint of the longest datagram it sent, if not every link carries that.
    pub longest: Option<(u16, u16)>,
    /// What the sizes of its datagrams tell of the path to the other end.
    pub path: Option<PathMtu>,
}

impl Party {
    /// The address to look up for location and owner: the embedded IPv4 address, else its own.
    pub fn origin(&self) -> Addr {
        self.behind.map_or(self.ip, Addr::from)
    }
}

/// The facts of the initiator's SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynFacts {
    /// Maximum segment size option.
    pub mss: Option<u16>,
    /// MTU derived from the MSS: MSS + 40 (IPv4) or + 60 (IPv6).
    pub mtu_hint: Option<u16>,
    /// Window scale option.
    pub window_scale: Option<u8>,
    /// Window field.
    pub window: u16,
    /// The timestamps option was offered.
    pub timestamps: bool,
    /// Coarse OS family of the SYN, if one matches.
    pub os_hint: Option<&'static str>,
}

/// Quality flags of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// TCP segments that repeat bytes already seen.
    pub retransmits: u32,
    /// TCP segments that arrived out of order.
    pub out_of_order: u32,
    /// Packets dropped as duplicates.
    pub duplicates: u32,
    /// Holes in the TCP streams that were never filled.
    pub gaps: u32,
    /// Only one direction was seen.
    pub one_way: bool,
    /// A snap length or a cap cut something.
    pub truncated: bool,
    /// The initiator did not show that it received what the responder sent: over TCP it
    /// acknowledged none of it; otherwise it is from outside and answered nothing, or it is a home
    /// host that sent nothing after the responder's first packet. Its packets may have a forged
    /// source.
    pub unconfirmed: bool,
}

impl Quality {
    /// Combines two sessions: counts are added, flags are joined.
    pub const fn with(self, other: &Quality) -> Quality {
        Quality {
            retransmits: self.retransmits.saturating_add(other.retransmits),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            gaps: self.gaps.saturating_add(other.gaps),
            one_way: self.one_way || other.one_way,
            truncated: self.truncated || other.truncated,
            unconfirmed: self.unconfirmed || other.unconfirmed,
        }
    }
}

/// A list that matched one end or name of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct ListHit {
    /// Index of the list in the run's lists (run.json's order).
    pub list: u16,
    /// Tag it gives: `vpn:astrill`, `hosting`, `rmm:anydesk`.
    pub tag: Arc<str>,
    /// The entry that matched: the prefix or the name suffix.
    pub entry: Arc<str>,
    /// The field it matched on: `destination.ip`, `tls.client.server_name`, `dns.question.name`,
    /// ...
    pub on: &'static str,
}

impl ListHit {
    /// Whether it is about the initiator's address or AS.
    pub fn is_of_source(&self) -> bool {
        self.on.starts_with("source.")
    }

    /// Whether it is about an end's address or AS, not about what their packets say.
    pub fn is_of_address(&self) -> bool {
        self.is_of_source() || matches!(self.on, "destination.ip" | "destination.as.number")
    }

    /// Whether its tag keeps rules from accusing: many people share such an address, or are not
    /// where it is.
    pub fn excuses(&self) -> bool {
        const TAGS: [&str; 11] = [
            "sase",
            "relay",
            "pep",
            "satellite",
            "mobile",
            "cgnat",
            "office",
            "hotel",
            "coworking",
            "anycast",
            "cdn",
        ];
        TAGS.contains(&&*self.tag)
    }

    /// Whether it is about a name or page of the responder. The client chooses the name it asks
    /// for.
    pub fn is_of_service(&self) -> bool {
        const FIELDS: [&str; 6] = [
            "tls.client.server_name",
            "tls.server.subject",
            "url.domain",
            "longhaul.http.connect_target",
            "longhaul.http.title",
            "destination.domain",
        ];
        FIELDS.contains(&self.on)
    }

    /// Whether it is about a name that somebody looked up: of neither end.
    pub fn is_of_question(&self) -> bool {
        self.on.starts_with("dns.")
    }
}

/// An entry of the subjects file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedSubject {
    /// Its id.
    pub id: Arc<str>,
    /// Its name for people.
    pub name: Option<Arc<str>>,
}

/// The subject of a session: an employee or an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An id in the subjects file.
    Named(Arc<str>),
    /// The address of the initiator: the employee's device on outbound sessions, the employee's
    /// home on inbound ones.
    Address(Addr),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Subject::Named(id) => f.write_str(id),
            Subject::Address(addr) => addr.fmt(f),
        }
    }
}

/// The holder of an address at a time, as far as packets revealed it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// Link-layer address of the device.
    pub mac: Option<[u8; 6]>,
    /// The device's own name, lower case, without a domain.
    pub host: Option<Arc<str>>,
    /// The logged-in user; absent if several people share the address.
    pub user: Option<Arc<str>>,
    /// The public address that the user connects from, as an access server reports.
    pub from: Option<Addr>,
    /// Protocols that gave the name.
    pub named_by: NameSources,
    /// Protocols behind all of this, in alphabetical order: words of [`Holder::SOURCES`].
    pub known_by: Vec<&'static str>,
}

impl Holder {
    /// Protocols that reveal the holder of an address.
    pub const SOURCES: [&'static str; 9] =
        ["802.1x", "dhcp", "dhcpv6", "kerberos", "llmnr", "mdns", "nbns", "ntlm", "radius"];
}

/// A set of protocols that gave a device's name: words of [`Holder::SOURCES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameSources(u16);

impl NameSources {
    /// Beside the protocols: one of them gave the name in two messages.
    const TWICE: u16 = 1 << 15;

    /// The set with one protocol; empty if the word is not in the list.
    pub fn of(by: &str) -> NameSources {
        let place = Holder::SOURCES.iter().position(|word| *word == by);
        NameSources(place.map_or(0, |place| 1 << place))
    }

    /// Both sets.
    #[must_use]
    pub const fn with(self, other: NameSources) -> NameSources {
        NameSources(self.0 | other.0)
    }

    /// The same, given in two messages.
    #[must_use]
    pub const fn twice(self) -> NameSources {
        NameSources(self.0 | NameSources::TWICE)
    }

    /// Whether a protocol is in the set.
    pub const fn has(self, other: NameSources) -> bool {
        self.0 & other.0 == other.0
    }

    /// The number of protocols.
    pub const fn count(self) -> u32 {
        (self.0 & !NameSources::TWICE).count_ones()
    }

    /// Whether no single message can have given the name: two protocols did, or one did twice.
    pub const fn is_confirmed(self) -> bool {
        self.count() >= 2 || self.0 & NameSources::TWICE != 0
    }
}

/// The results of enrichment.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Community ID v1, 28 base64 characters behind `1:`.
    pub community_id: Option<[u8; 20]>,
    /// Relative to the home networks.
    pub direction: Direction,
    /// Application (`network.application`), lower case with hyphens.
    pub application: Option<Arc<str>>,
    /// The evidence: `payload`, `sni`, `http`, `alpn`, `ja4`, `ssh`, `dns`, `dns-name`, `protocol`,
    /// `port`.
    pub application_reason: Option<&'static str>,
    /// The configuration allows that application, for everybody, for the session's subject, or for
    /// the responder that showed it.
    pub application_approved: bool,
    /// Lists that matched; their tags are `longhaul.tags`.
    pub hits: Vec<ListHit>,
    /// Distance verdict, if the sensor's location is known.
    pub physics: Option<Physics>,
    /// The subject of the session; none if neither end is home.
    pub subject: Option<Subject>,
    /// Subject's name.
    pub subject_name: Option<Arc<str>>,
    /// Their job title in the subjects file.
    pub subject_role: Option<Arc<str>>,
    /// When they were hired: `YYYY-MM-DD`.
    pub subject_hired: Option<Arc<str>>,
    /// The place that a subject who connects from outside by a tunnel claims.
    pub subject_claim: Option<ClaimedPlace>,
    /// The responder's entry in the subjects file.
    pub responder_subject: Option<NamedSubject>,
    /// The holder of the initiator's address when the session started.
    pub holder: Option<Arc<Holder>>,
    /// How many other devices' hardware addresses the device behind the initiator's address gave as
    /// its own in ARP probes.
    pub arp_senders: u8,
    /// The name that the initiator looked up to get the responder's address, unless the session
    /// contradicts it.
    pub responder_name: Option<Arc<str>>,
    /// The same if the session contradicts it.
    pub contradicted_name: Option<Arc<str>>,
}

/// One session with all its evidence.
#[derive(Clone, Debug)]
pub struct Record {
    /// `event.id`: a hash of what identifies the session; zeros until it is over.
    pub id: [u8; 16],
    /// The run's clock at which it was handed over: the merge key of the output.
    pub at: Nanos,
    /// First packet's time.
    pub start: Nanos,
    /// Last packet's time.
    pub end: Nanos,
    /// State at the end.
    pub state: SessionState,
    /// IANA protocol.
    pub transport: Transport,
    /// 4 or 6.
    pub version: u8,
    /// Outer (first) VLAN id.
    pub vlan: Option<u16>,
    /// Capture point.
    pub point: u16,
    /// The end that started the session (the sender of the SYN if one was seen).
    pub initiator: Party,
    /// The other end.
    pub responder: Party,
    /// Sensor to initiator.
    pub near: Leg,
    /// Sensor to responder.
    pub far: Leg,
    /// The initiator's SYN, if seen.
    pub syn: Option<SynFacts>,
    /// Quality flags.
    pub quality: Quality,
    /// The facts of the observers.
    pub facts: Facts,
    /// The results of enrichment.
    pub context: Context,
    /// Activity counts, if the session is long.
    pub activity: Option<Activity>,
    /// Who shows a screen and who controls, if the session is long.
    pub interaction: Option<Box<Interaction>>,
    /// The other end of a remote-control session.
    pub remote_control: Option<Box<RemoteControl>>,
    /// The session is still open: the number of this update, from 1.
    pub update: Option<u32>,
    /// Input file (index) of the first packet.
    pub file: u16,
    /// Ordinal of the first packet's frame in that file.
    pub frame_first: u32,
    /// Ordinal of the last packet's frame (in the file of the first, if all are in one).
    pub frame_last: u32,
    /// How many sessions of its five-tuple ended and started again within the tick of the capture's
    /// clock in which it started; counted up to the cap of the session table.
    pub twin: u16,
    /// It belongs to a stretch of frames whose times nothing confirms: they may be hours away from
    /// those of other sessions.
    pub doubtful: bool,
    /// The granularity of its packets' clock.
    pub grain: Grain,
}

impl Record {
    /// One end.
    pub const fn party(&self, side: Peer) -> &Party {
        match side {
            Peer::Initiator => &self.initiator,
            Peer::Responder => &self.responder,
        }
    }
}
