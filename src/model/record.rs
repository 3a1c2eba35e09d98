//! One session, whole: identity, counters, evidence, and who owns either end.
//!
//! Owns: the facts of a finished (or still open) session. In: session, evidence, enrich fill it in
//! turn.
//! Out: detect reads it, emit renders it. Never: payload, judgement.

use std::sync::Arc;

use crate::model::latency::RoundTrips;
use crate::model::latency::Turns;
pub use crate::model::physics::Physics;
pub use crate::model::physics::PhysicsVerdict;
pub use crate::model::protocol::Protocol;
use crate::model::{Addr, Nanos, Transport};

/// How a session ended, or stood when the input ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Seen from one side's first packet only: a SYN without an answer, a datagram without a reply.
    Opened,
    /// Both sides spoke.
    Established,
    /// TCP FIN from both sides.
    Closed,
    /// TCP RST.
    Reset,
    /// Idle longer than its time-out.
    Timeout,
    /// TCP without the handshake: begun before the capture, or half seen.
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

/// Where a session runs relative to the home networks (ECS `network.direction`).
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

/// A place from a geo database.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// ISO 3166-1 alpha-2.
    pub country: Option<Box<str>>,
    /// ISO 3166-2 with the country: `US-WA`, or the subdivision code alone where the database has
    /// only that.
    pub region: Option<Box<str>>,
    /// Latitude and longitude in degrees: the centre of the region.
    pub location: Option<(f64, f64)>,
    /// Radius in km that holds 90 % of the region's addresses, where the database says.
    pub radius_km: Option<f64>,
}

/// The autonomous system that announces an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutonomousSystem {
    /// AS number.
    pub number: u32,
    /// Its holder, as the database says.
    pub organization: Option<Box<str>>,
}

/// One end of a session.
#[derive(Clone, Debug)]
pub struct Party {
    /// Address.
    pub ip: Addr,
    /// Port, 0 where the protocol has none.
    pub port: u16,
    /// Link-layer address on the sensor's segment.
    pub mac: Option<[u8; 6]>,
    /// Bytes sent: whole frames, as on the wire.
    pub bytes: u64,
    /// Packets sent.
    pub packets: u64,
    /// TTL of its first packet as seen by the sensor.
    pub ttl: Option<u8>,
    /// Geo database's place.
    pub place: Option<Arc<Place>>,
    /// Announcing AS.
    pub asn: Option<Arc<AutonomousSystem>>,
}

/// One leg: the full round trips between the sensor and one end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leg {
    /// TCP handshake round trip in ns; absent where Karn's rule, Fast Open or loss forbid it.
    pub handshake_ns: Option<u64>,
    /// Round trips taken while the session ran.
    pub in_session: Option<RoundTrips>,
}

/// What the initiator's SYN said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SynFacts {
    /// Maximum segment size option.
    pub mss: Option<u16>,
    /// Path MTU the MSS hints at: MSS + 40 (IPv4) or + 60 (IPv6).
    pub mtu_hint: Option<u16>,
    /// Window scale option.
    pub window_scale: Option<u8>,
    /// Window field.
    pub window: u16,
    /// The timestamps option was offered.
    pub timestamps: bool,
    /// Coarse OS family of the SYN's shape, where one fits.
    pub os_hint: Option<&'static str>,
}

/// How far to trust a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality {
    /// TCP segments that repeat bytes already seen.
    pub retransmits: u32,
    /// TCP segments that arrived before an earlier one.
    pub out_of_order: u32,
    /// Packets dropped as copies.
    pub duplicates: u32,
    /// Holes in the TCP streams that were never filled.
    pub gaps: u32,
    /// Only one direction was seen.
    pub one_way: bool,
    /// A snap length or a cap cut something.
    pub truncated: bool,
}

impl Quality {
    /// Two sessions together: what is counted adds up, what is true of one is true of both.
    pub const fn with(self, other: &Quality) -> Quality {
        Quality {
            retransmits: self.retransmits.saturating_add(other.retransmits),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            duplicates: self.duplicates.saturating_add(other.duplicates),
            gaps: self.gaps.saturating_add(other.gaps),
            one_way: self.one_way || other.one_way,
            truncated: self.truncated || other.truncated,
        }
    }
}

/// What TLS, DTLS or QUIC handshakes said. Hashes are bytes; emit writes them in hexadecimal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// Server name indication (RFC 6066).
    pub server_name: Option<Box<str>>,
    /// ALPN protocols the client offered (RFC 7301), capped.
    pub alpn: Vec<Box<str>>,
    /// ALPN protocol the server chose.
    pub alpn_chosen: Option<Box<str>>,
    /// JA3 of the ClientHello (MD5).
    pub ja3: Option<[u8; 16]>,
    /// JA3S of the ServerHello (MD5).
    pub ja3s: Option<[u8; 16]>,
    /// JA4 of the ClientHello: 36 ASCII characters.
    pub ja4: Option<Box<str>>,
    /// Negotiated version: `0x0304` and the like.
    pub version: Option<u16>,
    /// Highest version the client offered.
    pub version_offered: Option<u16>,
    /// Cipher suites the client offered, GREASE left out, capped.
    pub ciphers: Vec<u16>,
    /// Cipher suite the server chose.
    pub cipher: Option<u16>,
    /// Session id the client offered, empty where it offered none; absent where no ClientHello was
    /// seen, or where a ticket without an id hides whether it was accepted. Only to be compared
    /// with the server's.
    pub session_offered: Option<Box<[u8]>>,
    /// The handshake resumed an earlier session, where that can be seen.
    pub resumed: Option<bool>,
    /// The server answered with a HelloRetryRequest (RFC 8446 section 4.1.4).
    pub retry_request: bool,
    /// The client offered early data (RFC 8446 section 4.2.10).
    pub early_data: bool,
    /// Encrypted ClientHello was offered.
    pub ech: bool,
}

/// One DNS question of a session and what answered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DnsFacts {
    /// First question's name, without the final dot.
    pub name: Option<Box<str>>,
    /// Its type: `A`, `AAAA`, or `TYPE65` style for unnamed numbers.
    pub qtype: u16,
    /// Further questions' distinct names in this session, capped.
    pub more_names: Vec<Box<str>>,
    /// Distinct answers of all responses: (type, text form of the data), capped.
    pub answers: Vec<(u16, Box<str>)>,
    /// Distinct addresses told beside the answers (authority and additional sections: glue, the
    /// hosts behind an mDNS service), capped.
    pub additional: Vec<Box<str>>,
    /// Response code of the first answer.
    pub rcode: Option<u8>,
    /// Questions seen.
    pub questions: u32,
    /// Responses seen.
    pub responses: u32,
    /// The initiator's question that is waited for: transaction id, time, whether it came again.
    pub asked: Option<(u16, Nanos, bool)>,
    /// Lowest time from a question of the initiator to the responder's answer, in ns: over UDP.
    pub round_trip_ns: Option<u64>,
}

/// What SSH said in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SshFacts {
    /// Client identification string (RFC 4253 section 4.2).
    pub client: Option<Box<str>>,
    /// Server identification string.
    pub server: Option<Box<str>>,
    /// HASSH of the client's KEXINIT (MD5).
    pub hassh: Option<[u8; 16]>,
    /// HASSH of the server's KEXINIT (MD5).
    pub hassh_server: Option<[u8; 16]>,
}

/// One further HTTP/1 request of a session that differs from the first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// Method.
    pub method: Box<str>,
    /// `Host` header.
    pub host: Option<Box<str>>,
    /// `User-Agent` header.
    pub user_agent: Option<Box<str>>,
}

/// The first HTTP/1 request of a session, and those among the next few that differ from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpFacts {
    /// Method.
    pub method: Option<Box<str>>,
    /// `Host` header, else the authority of an absolute-form target.
    pub host: Option<Box<str>>,
    /// `User-Agent` header.
    pub user_agent: Option<Box<str>>,
    /// Target of a CONNECT request.
    pub connect_target: Option<Box<str>>,
    /// Status code of the first response.
    pub status: Option<u16>,
    /// Further requests with another method, host or user agent, capped.
    pub more: Vec<HttpRequest>,
}

/// One tunnel around a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The word for its kind: `vxlan`, `gre`.
    pub kind: &'static str,
    /// Its number: VNI, GRE key, TEID, ERSPAN session; 0 where it has none.
    pub id: u32,
    /// Who sent the packet around it.
    pub source: crate::model::Addr,
    /// Who that was sent to.
    pub destination: crate::model::Addr,
}

/// What a session's first packet was wrapped in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wrapping {
    /// Tunnels, outermost first; decode's depth limit bounds them.
    pub layers: Vec<Layer>,
    /// The last VLAN id met, where there was more than one.
    pub inner_vlan: Option<u16>,
    /// First MPLS label met.
    pub mpls_label: Option<u32>,
}

/// What the observers saw in a session. Boxed, so that a session without evidence costs a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Protocol told from payload.
    pub protocol: Option<Protocol>,
    /// TLS, DTLS or QUIC handshake.
    pub tls: Option<Box<TlsFacts>>,
    /// DNS.
    pub dns: Option<Box<DnsFacts>>,
    /// SSH.
    pub ssh: Option<Box<SshFacts>>,
    /// HTTP.
    pub http: Option<Box<HttpFacts>>,
    /// Tunnels and inner tags around the first packet.
    pub wrapping: Option<Box<Wrapping>>,
    /// Exchanges that forced an end to answer.
    pub turns: Option<Box<Turns>>,
}

/// A list that matched one end or name of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct ListHit {
    /// Index of the list in the run's lists (run.json's order).
    pub list: u16,
    /// Tag it gives: `vpn:astrill`, `hosting`, `rmm:anydesk`.
    pub tag: Arc<str>,
    /// What matched: the prefix or the name suffix.
    pub entry: Arc<str>,
    /// The field it matched on: `destination.ip`, `tls.client.server_name`, `dns.question.name`,
    /// ...
    pub on: &'static str,
}

/// Who a session is about: an employee or an asset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An id of the subjects file.
    Named(Arc<str>),
    /// The address of the end that began the session: the employee's device on its way out, the
    /// employee's home on the way in.
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

/// What enrichment adds.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Community ID v1, 28 base64 characters behind `1:`.
    pub community_id: Option<[u8; 20]>,
    /// Relative to the home networks.
    pub direction: Direction,
    /// Application (`network.application`), lower case with hyphens.
    pub application: Option<Arc<str>>,
    /// Why: `sni`, `dns`, `port`.
    pub application_reason: Option<&'static str>,
    /// Lists that matched; their tags are `longhaul.tags`.
    pub hits: Vec<ListHit>,
    /// Distance verdict, where the run has a sensor place.
    pub physics: Option<Physics>,
    /// Who the session is about; nobody where neither end is home.
    pub subject: Option<Subject>,
    /// Subject's name.
    pub subject_name: Option<Arc<str>>,
}

/// One session with all its evidence.
#[derive(Clone, Debug)]
pub struct Record {
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
    /// Who spoke first (the sender of the SYN where one was seen).
    pub initiator: Party,
    /// The other side.
    pub responder: Party,
    /// Sensor to initiator.
    pub near: Leg,
    /// Sensor to responder.
    pub far: Leg,
    /// The initiator's SYN, where seen.
    pub syn: Option<SynFacts>,
    /// How far to trust it.
    pub quality: Quality,
    /// What the observers saw.
    pub facts: Facts,
    /// What enrichment added.
    pub context: Context,
    /// Input file (index) of the first packet.
    pub file: u16,
    /// Ordinal of the first packet's frame in that file.
    pub frame_first: u32,
    /// Ordinal of the last packet's frame (in the file of the first, where all are in one).
    pub frame_last: u32,
    /// How many sessions of its five-tuple ended and began again within the tick of the capture's
    /// clock in which it began; told apart up to the cap of the session table.
    pub twin: u16,
}
