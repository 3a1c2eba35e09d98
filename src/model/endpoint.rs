//! One end of many sessions, summed over a run.
//!
//! Owns: the identity of an endpoint and its totals. In: endpoints fills it. Out: detect reads it,
//! emit and report render it. Never: judgement, or a session's own evidence.

use std::sync::Arc;

use crate::model::endpoint_facts::Traits;
use crate::model::record::AutonomousSystem;
use crate::model::record::Place;
use crate::model::{Addr, Nanos, Transport};

/// Whether an address belongs to the home networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Locality {
    /// Inside the home networks.
    Home,
    /// Outside them.
    Remote,
}

impl Locality {
    /// `endpoint.side`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Locality::Home => "home",
            Locality::Remote => "remote",
        }
    }
}

/// What tells two programs at one address apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fingerprint {
    /// JA4 of the ClientHello it sent.
    Ja4(Arc<str>),
    /// Software part of the SSH identification string it sent (RFC 4253 section 4.2).
    Ssh(Arc<str>),
}

impl Fingerprint {
    /// Whether it is SSH's, and its text.
    pub fn as_text(&self) -> (bool, &str) {
        match self {
            Fingerprint::Ja4(text) => (false, text),
            Fingerprint::Ssh(text) => (true, text),
        }
    }
}

/// The responder's transport and port, where the responder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// IANA protocol.
    pub transport: Transport,
    /// Responder's port, 0 where the protocol has none.
    pub port: u16,
}

/// What makes two sessions belong to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Address.
    pub ip: Addr,
    /// Home or remote.
    pub side: Locality,
    /// What it spoke with; remote endpoints only.
    pub fingerprint: Option<Fingerprint>,
    /// What was spoken to; remote endpoints only.
    pub service: Option<Service>,
}

/// Which part an endpoint played.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It always spoke first.
    Initiator,
    /// It never spoke first.
    Responder,
    /// Both happened.
    Both,
}

impl Role {
    /// `endpoint.role`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Initiator => "initiator",
            Role::Responder => "responder",
            Role::Both => "both",
        }
    }
}

/// The round trip that hides behind an endpoint: between it and whoever really answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HiddenLeg {
    /// Full round trip, in ns.
    pub ns: u64,
    /// From 0 to 1; 0.5 and more reads as: a long leg is hidden here.
    pub confidence: f64,
    /// The kinds of exchange it rests on, in one word: `tls+first_data`.
    pub method: &'static str,
    /// Exchanges it rests on.
    pub samples: u32,
    /// Sessions among them with a full handshake: not resumed, without a client certificate.
    pub handshakes: u32,
}

/// Whether a layer-3 tunnel lies on the way to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunnel {
    /// One does.
    pub l3: bool,
    /// From 0 to 1.
    pub confidence: f64,
    /// What speaks for it: `mss`, `stack`, `floor`, joined with `+`; `none` where nothing does.
    pub reason: &'static str,
}

/// An endpoint's totals over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// Who.
    pub key: EndpointKey,
    /// Which part it played.
    pub role: Role,
    /// Sessions it took part in.
    pub sessions: u64,
    /// Those whose handshake gave a round trip on its leg.
    pub handshakes: u64,
    /// Lowest transport round trip between the sensor and it, in ns.
    pub floor_ns: Option<u64>,
    /// Lowest floor of any endpoint of the same side in its /24 (IPv4) or /48 (IPv6), in ns.
    pub prefix_floor_ns: Option<u64>,
    /// First packet's time over its sessions.
    pub first: Nanos,
    /// Last packet's time over its sessions.
    pub last: Nanos,
    /// Geo database's place.
    pub place: Option<Arc<Place>>,
    /// Announcing AS.
    pub asn: Option<Arc<AutonomousSystem>>,
    /// Tags of the lists that matched it, sorted.
    pub tags: Vec<Arc<str>>,
    /// The leg hidden behind it; absent where that cannot be decided.
    pub hidden: Option<HiddenLeg>,
    /// A layer-3 tunnel on the way; absent where that cannot be decided.
    pub tunnel: Option<Tunnel>,
    /// What its sessions say together of its stack, its path and its days.
    pub traits: Traits,
}
