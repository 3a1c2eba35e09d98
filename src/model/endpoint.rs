//! One end of many sessions, aggregated over a run.
//!
//! Owns: the identity of an endpoint and its totals. In: endpoints fills it. Out: detect reads it,
//! emit and report render it. Never: judgement, or a session's own evidence.

use std::sync::Arc;

use crate::model::endpoint_facts::Traits;
use crate::model::record::{AutonomousSystem, Place};
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

/// Distinguishes two programs at one address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fingerprint {
    /// JA4 of the ClientHello it sent.
    Ja4(Arc<str>),
    /// Software part of the SSH identification string it sent (RFC 4253 section 4.2).
    Ssh(Arc<str>),
}

impl Fingerprint {
    /// Whether it is from SSH, and its text.
    pub fn as_text(&self) -> (bool, &str) {
        match self {
            Fingerprint::Ja4(text) => (false, text),
            Fingerprint::Ssh(text) => (true, text),
        }
    }
}

/// The responder's transport and port, if the responder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// IANA protocol.
    pub transport: Transport,
    /// Responder's port, 0 if the protocol has none.
    pub port: u16,
}

/// The key of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointKey {
    /// Address.
    pub ip: Addr,
    /// Home or remote.
    pub side: Locality,
    /// The fingerprint of its software; remote endpoints only.
    pub fingerprint: Option<Fingerprint>,
    /// The service it used; remote endpoints only.
    pub service: Option<Service>,
}

/// The role of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// It always sent first.
    Initiator,
    /// It never sent first.
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

/// The hidden round trip: between an endpoint and the program that really answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HiddenLeg {
    /// Full round trip, in ns.
    pub ns: u64,
    /// From 0 to 1; read 0.5 and more as: there is a long hidden leg.
    pub confidence: f64,
    /// The kinds of exchange behind it, in one word: `tls+first_data`.
    pub method: &'static str,
    /// Kinds among them that nothing but a leg makes long together.
    pub kinds: u32,
    /// The exchanges behind it.
    pub samples: u32,
    /// Sessions among them with a full handshake: not resumed, without a client certificate.
    pub handshakes: u32,
    /// What would decide, if it is undecided.
    pub needs: Option<Needs>,
    /// What it rests on.
    pub pool: Pool,
}

/// Exchanges that would decide whether there is a hidden leg, if they take as long as the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Which: [`Needs::OTHER`] or [`Needs::HANDSHAKE`].
    pub of: &'static str,
    /// How many more.
    pub more: u32,
}

impl Needs {
    /// Exchanges that need no public-key arithmetic.
    pub const OTHER: &'static str = "other";
    /// Full handshakes.
    pub const HANDSHAKE: &'static str = "handshake";
    /// Each of them.
    pub const WORDS: [&'static str; 2] = [Needs::OTHER, Needs::HANDSHAKE];
}

/// The lines that an estimate rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What they have in common.
    pub of: PoolOf,
    /// Their number.
    pub lines: u32,
}

impl Pool {
    /// One line alone.
    pub const LINE: Pool = Pool { of: PoolOf::Line, lines: 1 };
}

/// What pooled lines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PoolOf {
    /// Everything: it is one line.
    Line,
    /// Address and program.
    Program,
    /// The address.
    Address,
    /// The person in the subjects file.
    Subject,
    /// The program, in a /24 (IPv4) or /48 (IPv6).
    Prefix,
}

impl PoolOf {
    /// Each word of `longhaul.hidden_leg.of`.
    pub const WORDS: [&'static str; 5] = ["line", "program", "address", "subject", "prefix"];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            PoolOf::Line => "line",
            PoolOf::Program => "program",
            PoolOf::Address => "address",
            PoolOf::Subject => "subject",
            PoolOf::Prefix => "prefix",
        }
    }
}

/// Whether there is a layer-3 tunnel on the path to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tunnel {
    /// There is one.
    pub l3: bool,
    /// From 0 to 1.
    pub confidence: f64,
    /// The evidence for it: `refused`, `mss`, `stack`, `floor`, joined with `+`; `none` if there is
    /// none.
    pub reason: &'static str,
}

/// An endpoint's totals over a run.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointRow {
    /// The key.
    pub key: EndpointKey,
    /// Its role.
    pub role: Role,
    /// Sessions it took part in.
    pub sessions: u64,
    /// Sessions whose handshake gave a round trip on its leg.
    pub handshakes: u64,
    /// Lowest transport round trip between the sensor and it, in ns.
    pub floor_ns: Option<u64>,
    /// Lowest floor of any endpoint of the same side in its /24 (IPv4) or /48 (IPv6), in ns.
    pub prefix_floor_ns: Option<u64>,
    /// First packet's time over its sessions.
    pub first: Nanos,
    /// Last packet's time over its sessions.
    pub last: Nanos,
    /// Location in the geo database.
    pub place: Option<Arc<Place>>,
    /// Announcing AS.
    pub asn: Option<Arc<AutonomousSystem>>,
    /// Tags of the lists that matched it, sorted.
    pub tags: Vec<Arc<str>>,
    /// The hidden leg behind it; absent if undecided.
    pub hidden: Option<HiddenLeg>,
    /// The estimate of this line alone, if `hidden` rests on several.
    pub hidden_line: Option<HiddenLeg>,
    /// A layer-3 tunnel on the path; absent if undecided.
    pub tunnel: Option<Tunnel>,
    /// Statistics of its stack, its path and its days.
    pub traits: Traits,
}
